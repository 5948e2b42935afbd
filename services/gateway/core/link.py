"""The link state machine: one connection to an IB gateway, kept up, with a backup where there is one.

Called by the core. Guarantees: at most one connection at a time; a pause between tries that grows, jitters
and never exceeds `ib_backoff_max`; the phase and its reason are said whenever they change.
"""

import re
from enum import Enum
from typing import Final, Literal, NamedTuple

from messages.events import FarmChanged, LinkChanged, LinkPhase
from services.base.reset_windows import ResetWindows
from services.base.simulated import is_simulated
from services.gateway.core.context import Context
from services.gateway.core.deadlines import SECOND, ns
from services.gateway.core.ib_errors import FARM_CODES, FARM_CONNECTING, FarmKind, FarmState, IbCode
from services.gateway.core.interface import Connect, Disconnect, ProbeEndpoint

FIRST_PAUSE: Final = 0.5  # seconds
CLIENT_ID_PAUSE: Final = 2.0  # IB keeps an id taken for a while after a restart
TRIES_BEFORE_BACKUP: Final = 3
NO_IB_BEFORE_BACKUP: Final = 30.0  # seconds that a gateway may be without IB before the other one is tried
PRIMARY_PROBE: Final = 10.0
PRIMARY_PROBE_MAX: Final = 300.0
PROBES_BEFORE_HAND_BACK: Final = 2
SETTLED: Final = 60.0  # seconds of readiness after which earlier failures are forgotten
CLOCK_TOLERANCE: Final = 1.0  # seconds
HALF_GREETING: Final = 4  # times `ib_connect_timeout` that the rest of a greeting is waited for
WORD: Final = 10.0  # seconds that 1101 or 1102 is waited for once a farm is back
IN_FLIGHT: Final = ns(2)  # ticks this soon after 1100 were under way before it

FAILURE_REASON: Final = {
    "refused": "gateway_unreachable",
    "unreachable": "gateway_unreachable",
    "timeout": "gateway_unreachable",
    "eof": "connection_lost",
    "reset": "connection_lost",
    "bad_frame": "protocol_error",
    "bad_version": "protocol_error",
}


_COLON: Final = re.compile("[:\uff1a]")
_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})")
_FARM: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.]*[A-Za-z0-9_])?")
_FARM_LIST: Final = re.compile("[:\uff1a]\\s*([A-Za-z0-9_.]+(?:\\s*[;\uff1b]\\s*[A-Za-z0-9_.]+)*)")


class LinkStep(Enum):
    """What a step of the link means for the symbols."""

    UP = "up"  # a fresh connection: nothing is subscribed
    DOWN = "down"  # the connection is gone
    IB_LOST = "ib_lost"  # the socket is up, prices have stopped
    DATA_LOST = "data_lost"  # IB is back without the subscriptions
    DATA_KEPT = "data_kept"  # IB is back, it says with the subscriptions


Farm = tuple[FarmKind, str]


class FarmChange(NamedTuple):
    farm: Farm
    before: str  # empty: it was not known
    state: FarmState


class Link:
    """`phase` is where it stands; `reason` a stable word while that is not `ready`, else None."""

    def __init__(self, context: Context) -> None:
        self.context = context
        settings = context.settings
        self.windows = ResetWindows(settings.reset_windows, settings.reset_time_zone)
        self.endpoints = settings.gateway_addresses
        self.using = 0  # index of the endpoint in use
        self.port_override: int | None = None  # 1300: until it fails
        self.phase: LinkPhase = "idle"
        self.reason: str | None = "nothing_planned"
        self.detail: str | None = None
        self.wanted = False
        self.server_version: int | None = None
        self.account_kind: Literal["simulator", "paper", "live"] | None = None
        self.farms: dict[Farm, str] = {}
        self.tries = 0  # failures in a row, of this endpoint
        self.no_ib_since = 0
        self.probes_up = 0
        self.probe_every = PRIMARY_PROBE
        self.clock_skew: float | None = None  # seconds that the gateway's clock is ahead, where that is worth a word
        self._missing = ""  # which part of the greeting has not come, once the other one has
        self._refusal: tuple[str, str] | None = None  # why the gateway is about to close the socket
        self._said: LinkChanged | None = None

    @property
    def endpoint(self) -> tuple[str, int]:
        host, port = self.endpoints[self.using]
        return host, self.port_override or port

    @property
    def connected(self) -> bool:
        """Requests may be sent."""
        return self.phase in ("ready", "no_ib")

    @property
    def has_socket(self) -> bool:
        return self.phase in ("connecting", "handshake", "ready", "no_ib")

    # --- wishes of the core ---

    def want(self, wanted: bool) -> LinkStep | None:
        """Should there be a connection?"""
        if wanted == self.wanted:
            return None
        self.wanted = wanted
        if wanted:
            self.tries = 0
            if self.phase in ("idle", "backoff"):
                self._connect("connecting")
            return None
        return self._rest()

    def drop(self, reason: str, detail: str | None = None) -> LinkStep | None:
        """Close a connection that is of no use, and connect again at once."""
        if not self.has_socket:
            return None
        self.context.out(Disconnect(reason))
        return self._lost(reason, detail)

    def _rest(self) -> LinkStep | None:
        had_socket = self.has_socket
        if had_socket:
            self.context.out(Disconnect("nothing_planned"))
        self._clear_deadlines()
        self._go("idle", "nothing_planned")
        return LinkStep.DOWN if had_socket else None

    # --- what the socket did ---

    def opened(self) -> None:
        if self.phase == "connecting":
            self._go("handshake", self.reason if self.tries else "handshake", self.detail)
            self._deadline("give_up", self.context.settings.ib_connect_timeout)

    def greeted(self, missing: str) -> None:
        """A part of the greeting came: the gateway lives, and may be waited for longer."""
        if self.phase == "handshake" and not self._missing:
            self._deadline("give_up", HALF_GREETING * self.context.settings.ib_connect_timeout)
        self._missing = missing

    def failed(self, reason: str, detail: str) -> LinkStep | None:
        if self.phase != "connecting":
            return None
        return self._lost(FAILURE_REASON.get(reason, reason), detail or None)

    def closed(self, reason: str, detail: str) -> LinkStep | None:
        if not self.has_socket:
            return None
        word = FAILURE_REASON.get(reason, reason)
        if word == "connection_lost" and self.phase == "handshake":
            word = "handshake_refused"
        return self._lost(word, detail or None)

    def ready(self, server_version: int, accounts: tuple[str, ...]) -> LinkStep | None:
        if self.phase != "handshake":
            return None
        self.server_version = server_version
        self.account_kind = _account_kind(accounts)
        if self.context.settings.api_mode == "mock" and self.account_kind != "simulator":
            return self.drop("foreign_gateway", _foreign(self.endpoint, self.account_kind))
        self.context.deadlines.clear(("link", "give_up"))
        self.farms.clear()
        self.clock_skew = None
        self._go("ready")
        self._deadline("settled", SETTLED)
        if self.using > 0:
            self.probes_up = 0
            self._deadline("probe_primary", self.probe_every)
        return LinkStep.UP

    def _connect(self, reason: str, detail: str | None = None) -> None:
        host, port = self.endpoint
        self._refusal = None
        self._missing = ""
        self._go("connecting", reason, detail)
        self.context.out(Connect(host, port))
        self._deadline("give_up", self.context.settings.ib_connect_timeout)

    def _lost(self, reason: str, detail: str | None) -> LinkStep:
        """The connection is gone, or never came: pause, then try again, perhaps at the other endpoint."""
        was_ready = self.connected
        if self._refusal is not None:
            reason, detail = self._refusal
        self._clear_deadlines()
        self.tries += 1
        self._choose_endpoint(reason)
        pause = 0.0 if was_ready and reason == "port_changed" else self._pause(reason)
        self._go("backoff", reason, detail, retry_in=round(pause, 3))
        self._deadline("retry", pause)
        return LinkStep.DOWN

    def _pause(self, reason: str) -> float:
        """Seconds: doubling from the first, with jitter between half of it and all of it."""
        first = CLIENT_ID_PAUSE if reason == "client_id_in_use" else FIRST_PAUSE
        most = self.context.settings.ib_backoff_max
        pause = min(most, first * 2.0 ** min(self.tries - 1, 20))
        return pause * (0.5 + 0.5 * self.context.rng.random())

    def _choose_endpoint(self, reason: str) -> None:
        if self.port_override is not None and reason != "port_changed" and self.tries >= 2:
            self.port_override = None  # the announced port does not answer: the configured one may
        if len(self.endpoints) == 1 or reason == "hand_back":
            return
        # A backup that was left for a primary which then fails takes over again at the first failure.
        patience = 1 if self.using == 0 and self.probe_every > PRIMARY_PROBE else TRIES_BEFORE_BACKUP
        if self.tries >= patience or reason == "no_ib_too_long":
            self._use(1 - self.using)

    def _use(self, index: int) -> None:
        self.using = index
        self.tries = 0
        self.port_override = None

    # --- what IB said about the link ---

    def ib_said(self, entry: IbCode, message: str) -> LinkStep | None:
        """A message of the link's own kind. Farm messages go to `farm_said`."""
        match entry.reaction:
            case "ib_lost" if self.connected:
                return self._ib_lost(entry.name)
            case "ib_restored_lost" if self.connected:
                self._ib_back()
                return LinkStep.DATA_LOST
            case "ib_restored_kept" if self.connected:
                self._ib_back()
                return LinkStep.DATA_KEPT
            case "client_id_taken":
                self._refusal = (entry.name, message)
            case "new_port":
                return self._new_port(message)
            case "reconnect" if self.has_socket:
                return self.drop(entry.name, message)
            case _:
                pass
        return None

    def _ib_lost(self, reason: str) -> LinkStep | None:
        if self.phase == "no_ib":
            return None
        self.no_ib_since = self.context.now
        self._go("no_ib", reason)
        if len(self.endpoints) > 1:
            self._deadline("no_ib_too_long", NO_IB_BEFORE_BACKUP)
        return LinkStep.IB_LOST

    def _ib_back(self) -> None:
        for what in ("no_ib_too_long", "unsaid"):
            self.context.deadlines.clear(("link", what))
        self._go("ready")

    def ticked(self) -> LinkStep | None:
        """A stream brought a tick. In phase no_ib that means that IB is back, said or not."""
        if self.phase == "no_ib" and self.context.now > self.no_ib_since + IN_FLIGHT:
            self._ib_back()
            return LinkStep.DATA_KEPT
        return None

    def _new_port(self, message: str) -> LinkStep | None:
        ports = [int(word) for word in re.findall(r"\b\d{1,5}\b", message) if 0 < int(word) < 65536]
        if not self.has_socket:
            return None
        if ports:
            self.port_override = ports[-1]
        self.tries = 0
        self.context.out(Disconnect("port_changed"))
        return self._lost("port_changed", message)

    def farm_said(self, code: int, message: str) -> list[FarmChange]:
        """A farm's message. Returns what changed by it."""
        kind, state = FARM_CODES[code]
        farm = kind, farm_name(message)
        if code == FARM_CONNECTING and self.farms.get(farm) == "broken":
            return []  # it is not back before it is connected
        if kind == "market_data" and self.phase == "no_ib":
            self._await_word(state)
        return self._note_farm(farm, state)

    def _await_word(self, state: FarmState) -> None:
        """A farm is connected, so that IB is there: 1101 or 1102 should follow, and is not waited for without end."""
        if state == "ok" and self.context.now > self.no_ib_since + IN_FLIGHT:
            self._deadline("unsaid", WORD)
        elif state == "broken":
            self.context.deadlines.clear(("link", "unsaid"))

    def farms_listed(self, message: str) -> list[FarmChange]:
        """1101 and 1102 name the farms that are connected, and those that are not. Returns what changed by it."""
        connected, missing = farm_lists(message)
        changes = [self._note_farm((_kind_of_farm(name), name), "ok") for name in connected]
        changes += [self._note_farm((_kind_of_farm(name), name), "broken") for name in missing]
        return [change for each in changes for change in each]

    def _note_farm(self, farm: Farm, state: FarmState) -> list[FarmChange]:
        before = self.farms.get(farm, "ok" if state != "ok" else "")
        if before == state:
            return []
        self.farms[farm] = state
        self.context.emit(FarmChanged(farm=farm[1], kind=farm[0], state=state))
        return [FarmChange(farm, before, state)]

    def clock_said(self, skew: float) -> None:
        """How far the gateway's clock is ahead of this machine's, seconds; 0 where they may well be the same."""
        differs = round(skew, 1) if abs(skew) > CLOCK_TOLERANCE else None
        if self.connected and abs((differs or 0.0) - (self.clock_skew or 0.0)) > CLOCK_TOLERANCE:
            self.clock_skew = differs
            self._go(self.phase, self.reason, self.detail)

    # --- time ---

    def due(self, what: str) -> LinkStep | None:
        """A deadline of the link has come."""
        match what:
            case "give_up":
                return self._give_up()
            case "retry":
                self._connect(self.reason or "connecting", self.detail)
            case "settled":
                self.tries = 0
                if self.using == 0:
                    self.probe_every = PRIMARY_PROBE
            case "no_ib_too_long":
                if self.phase == "no_ib":
                    self.context.out(Disconnect("no_ib_too_long"))
                    return self._lost("no_ib_too_long", None)
            case "unsaid":
                if self.phase == "no_ib":
                    self._ib_back()
                    return LinkStep.DATA_KEPT
            case "probe_primary":
                self.context.out(ProbeEndpoint(*self.endpoints[0]))
            case "silent" if self.phase == "ready":
                return self.drop("link_silent", "subscriptions bring nothing, renewed or not")
            case "silent":
                pass
            case "window":
                self._go(self.phase, self.reason, self.detail)
            case _:
                raise AssertionError(what)
        return None

    def _give_up(self) -> LinkStep | None:
        if self.phase != "handshake":
            return self.drop("gateway_unreachable", "no answer in time")
        if self._missing:
            return self.drop("greeting_incomplete", f"{self._missing} did not come in time; is the login complete?")
        return self.drop("gateway_silent", "no answer in time")

    def endpoint_seen(self, up: bool) -> LinkStep | None:
        """The primary was probed while the backup serves."""
        if self.using == 0 or not self.connected:
            return None
        self.probes_up = self.probes_up + 1 if up else 0
        if self.probes_up < PROBES_BEFORE_HAND_BACK:
            self._deadline("probe_primary", PRIMARY_PROBE if up else self.probe_every)
            return None
        self.probe_every = min(2 * self.probe_every, PRIMARY_PROBE_MAX)  # a primary that fails again waits longer
        self._use(0)
        self.context.out(Disconnect("hand_back"))
        self._clear_deadlines()
        self._connect("hand_back")
        return LinkStep.DOWN

    # --- saying it ---

    def announce(self) -> None:
        """A new gateway says where it stands before anything happened: an earlier one's last word is void."""
        if self._said is None:
            self._go(self.phase, self.reason)

    def _go(
        self, phase: LinkPhase, reason: str | None = None, detail: str | None = None, retry_in: float | None = None
    ) -> None:
        self.phase, self.reason, self.detail = phase, reason, detail
        host, port = self.endpoint
        down = phase not in ("ready", "idle")
        event = LinkChanged(
            phase=phase,
            reason=reason,
            detail=detail,
            host=host,
            port=port,
            server_version=self.server_version if self.connected else None,
            account_kind=self.account_kind if self.connected else None,
            clock_skew=self.clock_skew if self.connected else None,
            expected=down and self.windows.expected(self.context.now),
            retry_in=retry_in,
        )
        if event != self._said:
            self._said = event
            self.context.emit(event)
        if down:
            self._deadline("window", 60 - self.context.now / SECOND % 60)  # windows begin and end on a full minute
        else:
            self.context.deadlines.clear(("link", "window"))

    def _deadline(self, what: str, seconds: float) -> None:
        self.context.due_in("link", what, max(1, ns(seconds)))

    def _clear_deadlines(self) -> None:
        for what in ("give_up", "retry", "settled", "no_ib_too_long", "unsaid", "probe_primary", "window"):
            self.context.deadlines.clear(("link", what))


def farm_name(message: str) -> str:
    """The last word, whatever the language: behind a colon of any script, or in 2107 and 2108 behind the full stop of
    the sentence. Farms' names are ASCII."""
    text = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), message)
    behind = _COLON.split(text)
    if len(behind) == 1:
        behind = text.split("\u3002" if "\u3002" in text else ".", 1)
    words = _FARM.findall(behind[-1])
    return str(words[-1]) if words else "unnamed"


def farm_lists(message: str) -> tuple[list[str], list[str]]:
    """The farms that the text of 1101 or 1102 says are connected, and those that it says are not: names between
    semicolons, behind a colon. Of two lists the second is of those that are missing."""
    text = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), message)
    found = [(match.start(), _FARM.findall(match[1])) for match in _FARM_LIST.finditer(text)]
    if len(found) == 1 and " not connected" in text[: found[0][0]]:
        return [], found[0][1]
    lists = [names for _, names in found]
    return (lists[0] if lists else []), (lists[1] if len(lists) > 1 else [])


def _kind_of_farm(name: str) -> FarmKind:
    """By the name alone, where no code tells."""
    lower = name.lower()
    if lower.startswith("secdef"):
        return "sec_def"
    return "history" if "hmds" in lower else "market_data"


def _foreign(endpoint: tuple[str, int], kind: str) -> str:
    return (
        f"port {endpoint[1]} is an IB gateway with a {kind} account and not the simulator; "
        "set IBSTREAM_API_MODE=ib to use it"
    )


def _account_kind(accounts: tuple[str, ...]) -> Literal["simulator", "paper", "live"]:
    if any(map(is_simulated, accounts)):
        return "simulator"
    return "paper" if accounts and accounts[0].startswith("D") else "live"
