"""What the supervisor knows: the folds of its own stream `control`, of `link` and `plan`, and price times.

Pure, and saved as a whole together with its cursors, so that a restart costs only the tail of the streams. What
the gateways say is kept by their names; one alone has none.
`verdict.py` turns it into a status word, `status.py` into the status that others read.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from messages.events import (
    AlertAdded,
    AlertFired,
    AlertRemoved,
    AnyEvent,
    Block,
    ContractQualified,
    CutSymbol,
    EventBlock,
    FarmChanged,
    IbError,
    LinkChanged,
    Plan,
    PlannedSymbol,
    PositionsChanged,
    ServiceChanged,
    StatusChanged,
    SymbolChanged,
)
from messages.fields import SOURCE_MOCK, SOURCE_SNAPSHOT
from messages.topics import LINK, kind, shard, sharded
from messages.views import LastError, PriceTime
from services.base.clock import iso
from services.base.wanted import Wanted
from services.journal.cursor import Cursor

VERSION: Final = 9  # raise it when a fold changes: saved facts are then folded again from the journal

NOTICES: Final = 200  # alerts that are remembered


class SymbolFact(msgspec.Struct, frozen=True):
    """The newest that the gateway said of a symbol, and when."""

    said: SymbolChanged
    since: int  # UTC ns


class AlertFact(msgspec.Struct, kw_only=True):
    """A price alert that is set."""

    added: AlertAdded
    since: int  # UTC ns
    count: int = 0
    last: AlertFired | None = None


class LinkFacts(msgspec.Struct, kw_only=True):
    """What one gateway's process says."""

    epoch: int = 0
    link: LinkChanged | None = None
    since: int = 0
    failure: LinkChanged | None = None  # why the link is not ready, once it was tried or lost
    farms: dict[str, str] = {}
    symbols: dict[str, SymbolFact] = {}
    months: dict[str, tuple[str, str]] = {}  # of futures, by symbol: local symbol and month; also of one that is gone
    positions: PositionsChanged | None = None  # also of a process that is gone: the next one knows no better

    @property
    def ready(self) -> bool:
        return self.link is not None and self.link.phase == "ready"

    def meet(self, epoch: int) -> None:
        """A new process, known from its heartbeat or its first block: what the last one said of the link and the
        symbols holds no more."""
        if epoch > self.epoch:
            self.epoch = epoch
            self.forget()

    def forget(self) -> None:
        self.link = self.failure = None
        self.farms, self.symbols = {}, {}

    def apply(self, event: AnyEvent, time: int) -> None:
        match event:
            case LinkChanged():
                self._apply_link_changed(event, time)
            case FarmChanged():
                self.farms[_farm_key(event)] = event.state
            case SymbolChanged(state="removed"):
                self.symbols.pop(event.symbol, None)
            case SymbolChanged():
                known = self.symbols.get(event.symbol)
                kept = known is not None and known.said.state == event.state
                self.symbols[event.symbol] = SymbolFact(event, known.since if kept and known else time)
            case ContractQualified() if event.sec_type == "FUT":
                self.months[event.symbol] = event.local_symbol, event.contract_month
            case PositionsChanged():
                self.positions = event
            case _:
                pass

    def _apply_link_changed(self, event: LinkChanged, time: int) -> None:
        previous = self.link
        if previous is None or previous.phase != event.phase:
            self.since = time
        if event.phase in ("ready", "idle"):
            self.failure = None
        elif event.phase in ("backoff", "no_ib") or (previous is not None and previous.phase == "ready"):
            self.failure = event
        self.link = event


def _farm_key(event: FarmChanged) -> str:
    """The farm's name, with its kind where the name alone would be that of another kind's farm."""
    usual = {"market_data": True, "history": "hmds" in event.farm, "sec_def": event.farm.startswith("secdef")}
    return event.farm if usual[event.kind] else f"{event.farm} ({event.kind})"


class Facts(msgspec.Struct, kw_only=True):
    """Times are UTC nanoseconds; 0 or None is never."""

    version: int = VERSION
    cursors: dict[str, Cursor] = {}
    times: dict[str, int] = {}  # of the last block of each stream
    # control: what is wanted, and what was said about the services and the whole
    wanted: Wanted = msgspec.field(default_factory=Wanted)
    said_services: dict[str, str] = {}
    said_status: StatusChanged | None = None
    alerts: dict[int, AlertFact] = {}  # that are set, by id
    notices: list[AlertFired] = []  # those that came last, the newest first
    # link
    links: dict[str, LinkFacts] = {}  # by gateway
    errors: dict[str, int] = {}  # by code, since the stream was started
    last_error: LastError | None = None
    # plan
    plan: Plan | None = None
    # prices, as heartbeats tell of them; some may be missing, so these are hints and no fold
    prices: dict[str, int] = {}  # when the newest price of a symbol was received
    sources: dict[str, int] = {}  # messages.fields.SOURCES
    last_snapshot: int = 0
    # the status itself
    degraded_since: int = 0

    # --- control ---

    def apply_control(self, block: EventBlock) -> None:
        for seq, event in enumerate(block.events, block.first_seq):
            match event:
                case ServiceChanged():
                    self.said_services[event.service] = event.state
                case StatusChanged():
                    self.said_status = event
                case AlertAdded():
                    self.alerts[seq] = AlertFact(added=event, since=block.time)
                case AlertRemoved():
                    self.alerts.pop(event.id, None)
                case AlertFired():
                    self._note_alert(event)
                case _:
                    if self.wanted.apply(event, seq, block.time) and self.wanted.request is not None:
                        self.errors, self.last_error = {}, None
        self._advance("control", block)

    def _note_alert(self, event: AlertFired) -> None:
        self.notices = [event, *self.notices[: NOTICES - 1]]
        alert = self.alerts.get(event.id)
        if alert is not None:
            alert.count, alert.last = alert.count + 1, event

    def news(self, found: list[AlertFired]) -> list[AlertFired]:
        """Those alerts of `found` that were not told yet: after a crash the same ones are found again."""
        return [event for event in found if event.id in self.alerts and event not in self.notices]

    def restart(self, stream: str) -> None:
        """A stream is going to be folded again from its beginning."""
        self.cursors.pop(stream, None)
        self.times.pop(stream, None)
        if stream == "control":
            self.wanted, self.said_services, self.said_status = Wanted(), {}, None
            self.alerts, self.notices = {}, []
        elif kind(stream) == LINK:
            self.links.pop(shard(stream), None)
            self.errors, self.last_error = {}, None
        else:
            self.plan = None

    # --- link ---

    def apply_link(self, block: Block, gateway: str = "") -> None:
        assert isinstance(block, EventBlock)
        link = self.link_of(gateway)
        link.meet(block.epoch)
        for event in block.events:
            if isinstance(event, IbError):
                self._count(event, block.time)
            elif block.epoch == link.epoch:
                link.apply(event, block.time)
        self._advance(sharded(LINK, gateway), block)

    def link_of(self, gateway: str) -> LinkFacts:
        known = self.links.get(gateway)
        if known is None:
            known = self.links[gateway] = LinkFacts()
        return known

    def fact(self, planned: PlannedSymbol | CutSymbol) -> SymbolFact | None:
        """What the gateway that serves the symbol said of it."""
        link = self.links.get(planned.gateway)
        return link.symbols.get(planned.symbol) if link is not None else None

    def month(self, planned: PlannedSymbol | CutSymbol) -> tuple[str, str]:
        """Of a future: its local symbol and its month, as IB told them last; else empty."""
        link = self.links.get(planned.gateway)
        return link.months.get(planned.symbol, ("", "")) if link is not None else ("", "")

    def _count(self, error: IbError, time: int) -> None:
        """Errors since the stream was started, but for those of class info, which tell that all is well."""
        if error.kind == "info" or time < self.wanted.since:
            return
        self.errors[str(error.code)] = self.errors.get(str(error.code), 0) + error.repeats
        self.last_error = LastError(
            time=iso(time), code=error.code, name=error.name, message=error.message, symbol=error.symbol
        )

    # --- plan ---

    @property
    def plan_answers(self) -> bool:
        """Whether the plan in force answers what is wanted now, and not an earlier start or stop, or another journal's.
        A planner of before it said so is believed by the time of its plan."""
        plan = self.plan
        return plan is not None and plan.time >= self.wanted.since and plan.answers in (0, self.wanted.seq)

    def apply_plan(self, block: Block) -> None:
        assert isinstance(block, Plan)
        self.plan = block
        self._advance("plan", block)

    # --- prices ---

    def see_prices(self, prices: Mapping[str, PriceTime]) -> None:
        """Note when prices came and who brought them, as a gateway says."""
        for name, price in prices.items():
            self.prices[name] = max(self.prices.get(name, 0), price.time)
            self.sources[name] = price.source
            if price.source % SOURCE_MOCK == SOURCE_SNAPSHOT:
                self.last_snapshot = max(self.last_snapshot, price.time)

    # --- inside ---

    def _advance(self, stream: str, block: Block) -> None:
        self.cursors[stream] = Cursor(block.epoch, block.first_seq + block.count - 1)
        self.times[stream] = block.time
