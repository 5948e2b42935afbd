"""A preflight for a real gateway: connects as the gateway service would and says what it sees, stage by stage.

Run by `ibstream doctor` as `python -m services.gateway.doctor [SYMBOL [GATEWAY]]`; prints one Finding a line as JSON.
A stage that cannot be reached is `skipped`. It asks for one streaming line, for seconds, and never for a paid
snapshot.
"""

import sys
import time
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import msgspec

from messages.checks import Finding, Level
from messages.control import GetStatus
from messages.errors import IbStreamError
from messages.events import MarketDataType, PlannedSymbol
from messages.fields import MARKET_DATA_TYPES
from messages.topics import SUPERVISOR_CONTROL, shard, sharded
from messages.views import LinkStatus
from services.base.clock import SECOND
from services.base.settings import Settings, load
from services.base.simulated import is_simulated
from services.base.symbols import parse, planned
from services.gateway.core.answers import ADVISORIES, NOTICES
from services.gateway.core.ib_errors import look_up
from services.gateway.core.interface import CurrentTimeSeen, Event, IbErrorSeen, MarketDataTypeSeen, Ready
from services.gateway.core.link import farm_name
from services.gateway.core.unit_check import ROUND
from services.gateway.session import REQUEST, Session, client_id
from services.gateway.wire.connection import LinkClosed, Stage, resolve
from services.gateway.wire.official_client import BadFrame
from services.gateway.wire.text_ticks import FrameError
from services.runtime.bus import request

STAGES = (
    "address",
    "tcp",
    "handshake",
    "client id",
    "ready",
    "data farms",
    "clock",
    "entitlement",
    "data type",
    "sizes",
)
FIRST_PRICE_SECONDS = 12.0  # IB may take about eleven
CLOCK_TOLERANCE = 2.0  # seconds
FRACTIONAL_SIZES = 163  # server version from which sizes are in shares (10285 below)
CLIENT_ID_TAKEN = 326
HOLDING = ("ready", "no_ib")  # phases of a link in which the service has its client id
STATUS_SECONDS = 2.0  # for the supervisor to tell how the service's link is
MAY_COME = ADVISORIES | {10090, 10167}


T = TypeVar("T", bound=Event)


def examine(settings: Settings, symbol: PlannedSymbol, service: str = "gateway") -> Iterator[Finding]:
    """The findings, one for each of STAGES, in order."""
    said = 0
    try:
        for finding in _stages(settings, symbol, service):
            said += 1
            yield finding
    except (LinkClosed, FrameError, BadFrame) as error:
        yield _closed(STAGES[said], error, settings)
        said += 1
    for stage in STAGES[said:]:
        yield Finding(stage, "skipped", "an earlier stage failed")


def _stages(settings: Settings, symbol: PlannedSymbol, service: str) -> Iterator[Finding]:
    where = _where(settings)
    yield _address(settings)
    wait = settings.ib_connect_timeout
    used = client_id(settings, service)
    session = Session(settings, used)
    connection = session.connection
    try:
        yield Finding("tcp", "ok", f"{where} accepts connections at {connection.address}")
        if not session.until(lambda: connection.stage is Stage.OPEN, wait):
            raise LinkClosed("timeout", "it accepts, but does not answer: the API may be off, or the gateway hung")
        yield Finding("handshake", "ok", f"server version {connection.server_version}")
        session.until(lambda: _first(session, Ready) or _taken(session), wait)
        if _taken(session):
            yield _in_use(settings, used, f"the gateway refuses it with {CLIENT_ID_TAKEN}")
            return
        ready = _first(session, Ready)
        yield _client_id_finding(settings, used, service)
        yield _ready(ready)
        if ready is None:
            raise LinkClosed("timeout", "the API is not ready")
        yield from _live_stages(session, symbol)
    finally:
        connection.close()


def _live_stages(session: Session, symbol: PlannedSymbol) -> Iterator[Finding]:
    session.official.ask_time()
    session.send()
    asked = time.time_ns()
    session.until(lambda: _first(session, CurrentTimeSeen), 3.0)
    answered = time.time_ns()
    yield _farms(session)
    yield _clock(_first(session, CurrentTimeSeen), asked, answered)
    session.official.set_market_data_type(3)  # live where entitled, else delayed
    session.official.subscribe(REQUEST, symbol, 0, snapshot=False)
    session.send()
    session.until(lambda: {"bid", "ask"} <= session.prices.keys() or _refusal(session), FIRST_PRICE_SECONDS)
    session.until(lambda: len(session.sizes) >= 6, 1.0)
    yield _entitlement(session, symbol)
    yield _data_type(_first(session, MarketDataTypeSeen))
    yield _sizes(session)
    session.official.cancel_market_data(REQUEST)
    session.send()


def _address(settings: Settings) -> Finding:
    host, port = settings.gateway_addresses[0]
    return Finding("address", "ok", f"{host} is {' and '.join(map(str, resolve(host, port)))}")


def _where(settings: Settings) -> str:
    host, port = settings.gateway_addresses[0]
    return f"{host}:{port}"


def _taken(session: Session) -> bool:
    return any(error.code == CLIENT_ID_TAKEN for error in session.errors())


def _in_use(settings: Settings, client_id: int, seen: str) -> Finding:
    return Finding(
        "client id",
        "failed",
        f"client id {client_id} is in use by somebody else: {seen}",
        f"end the other program, or set {_names(settings).client_id} to a free one; after a crash wait some minutes, "
        "as the gateway keeps the id for a while, and at times only a restart of the gateway frees it",
    )


def _client_id_finding(settings: Settings, used: int, service: str) -> Finding:
    """What is known of the configured id, which the gateway service has for itself while it runs."""
    accepted = f"client id {used} is accepted"
    if used == settings.ib_client_id:
        return Finding("client id", "ok", accepted)
    link, wanted = _service_link(settings, service), settings.ib_client_id
    if link is None:
        seen = f"{accepted}; a {service} service runs, and whether it has {wanted} is not known"
        return Finding("client id", "warning", seen, "start the supervisor, which knows")
    if link.phase in HOLDING:
        return Finding("client id", "ok", f"{accepted} (the running {service} service is connected with {wanted})")
    if link.reason == "client_id_in_use":
        return _in_use(settings, wanted, f"the running {service} service waits for it ({used} is accepted)")
    if link.phase == "idle":
        idle = f"the running {service} service has nothing to stream and is not connected"
        return Finding("client id", "ok", f"{accepted} ({idle})")
    seen = f"{accepted}, but the running {service} service is not connected: {link.reason or link.phase}"
    return Finding("client id", "warning", seen, "`ibstream status` and the service's log tell why")


def _service_link(settings: Settings, service: str) -> LinkStatus | None:
    """The link of the running gateway service, as the supervisor knows it; None when that cannot be asked."""
    try:
        reply = request(settings, SUPERVISOR_CONTROL, GetStatus(), timeout=STATUS_SECONDS)
    except IbStreamError:
        return None
    return reply.status.links_by_gateway.get(shard(service))


def _ready(ready: Ready | None) -> Finding:
    if ready is None:
        return Finding(
            "ready",
            "failed",
            "no nextValidId and managedAccounts",
            "log the gateway in; in its API settings tick 'Enable ActiveX and Socket Clients' and trust this address",
        )
    simulated = any(map(is_simulated, ready.accounts))
    kind = "the built-in simulator" if simulated else ("paper" if ready.accounts[0].startswith("D") else "live")
    return Finding("ready", "ok", f"{len(ready.accounts)} account(s), {kind}")


def _farms(session: Session) -> Finding:
    broken = [error.message for error in session.errors() if error.code in (2103, 2105, 2157, 2110, 1100)]
    good = [error.message for error in session.errors() if error.code in (2104, 2106, 2107, 2108, 2158)]
    if broken:
        return Finding(
            "data farms", "warning", "; ".join(broken), "IB heals these by itself; read IB's system status page"
        )
    names = ", ".join(map(farm_name, good))
    if not good:
        return Finding("data farms", "warning", "no word of any data farm", "wait for the gateway to finish logging in")
    return Finding("data farms", "ok", names)


def _clock(answer: CurrentTimeSeen | None, asked: int, answered: int) -> Finding:
    if answer is None:
        return Finding("clock", "warning", "no answer to the time request within 3 s", "the gateway may be overloaded")
    # IB answers in whole seconds: the truth lies within the second that begins with the answer.
    early, late = answer.seconds - answered / SECOND, answer.seconds + 1 - asked / SECOND
    skew = 0.0 if early <= 0 <= late else (early if early > 0 else late)
    if abs(skew) > CLOCK_TOLERANCE:
        return Finding("clock", "warning", f"this machine is {-skew:+.1f} s off the gateway's", "let NTP set the clock")
    return Finding("clock", "ok", "within a second of the gateway's" if abs(skew) < 1 else f"{-skew:+.1f} s")


def _refusal(session: Session) -> IbErrorSeen | None:
    """What ended the request; advisories and notices do not, as data may follow them."""
    said = (error for error in session.errors() if error.req_id == REQUEST and error.code not in NOTICES)
    return next((error for error in said if error.code not in MAY_COME), None)


def _advisory(session: Session) -> IbErrorSeen | None:
    return next((error for error in session.errors() if error.req_id == REQUEST and error.code in ADVISORIES), None)


def _entitlement(session: Session, symbol: PlannedSymbol) -> Finding:
    refused = _refusal(session) or (None if session.prices else _advisory(session))
    if session.prices and refused is None:
        shown = ", ".join(
            f"{name} {session.prices[name]:g}" for name in ("bid", "ask", "last") if name in session.prices
        )
        return Finding("entitlement", "ok", f"{symbol.symbol}: {shown or 'prices of the last session'}")
    if refused is not None:
        known = look_up(refused.code)
        mend = known.sentence
        if known.reaction == "no_entitlement":
            mend = "subscribe to the exchange's data in IB's Client Portal, and share it with the paper account"
        return Finding("entitlement", "failed", f"{refused.code} {known.name}: {refused.message}", mend)
    return Finding(
        "entitlement",
        "warning",
        f"{symbol.symbol}: no price in {FIRST_PRICE_SECONDS:g} s and no error",
        "the market may be closed; try a symbol that trades now: ibstream doctor --symbol EUR:IDEALPRO:USD:CASH",
    )


def _data_type(seen: MarketDataTypeSeen | None) -> Finding:
    if seen is None:
        return Finding("data type", "skipped", "nothing was delivered")
    name: MarketDataType | str = MARKET_DATA_TYPES.get(seen.data_type, str(seen.data_type))
    level: Level = "ok" if name == "realtime" else "warning"
    mend = "" if level == "ok" else "prices are not live: subscribe to live data, or accept that they are marked so"
    return Finding("data type", level, str(name), mend)


def _sizes(session: Session) -> Finding:
    sizes = [size for size in session.sizes if size > 0]
    if not sizes:
        return Finding("sizes", "skipped", "no size was delivered")
    shown = ", ".join(f"{size:g}" for size in sizes[:4])
    if session.connection.server_version < FRACTIONAL_SIZES:
        mend = "sizes are in round lots: update the gateway and use a current API package"
        return Finding("sizes", "warning", f"{shown}; server version below {FRACTIONAL_SIZES}", mend)
    if any(size % ROUND for size in sizes):
        mend = "if these are lots, untick 'Send market data in lots for US stocks' in the gateway's API settings"
        return Finding("sizes", "warning", f"{shown}: no multiples of {ROUND} shares", mend)
    return Finding("sizes", "ok", f"{shown}: shares")


class _Names(NamedTuple):
    """Where this gateway's address and client id are set."""

    host: str
    port: str
    client_id: str


def _names(settings: Settings) -> _Names:
    if settings.gateways:
        return _Names(*(f"the {what} in IBSTREAM_GATEWAYS" for what in ("host", "port", "client id")))
    return _Names("IBSTREAM_IB_HOST", "IBSTREAM_IB_PORT", "IBSTREAM_IB_CLIENT_ID")


def _closed(stage: str, error: Exception, settings: Settings) -> Finding:
    names = _names(settings)
    mend = {
        "address": f"correct {names.host}",
        "tcp": f"start TWS or IB Gateway, and compare {names.port} with its API port (7496, 7497, 4001, 4002)",
        "handshake": "log in to the gateway and enable its API; restart it when it hangs",
        "client id": "trust this machine's address in the gateway's API settings, and accept the connection where it "
        f"asks; if that is done, wait some minutes, or set {names.client_id} to a free one",
    }.get(stage, "read the gateway's own log")
    return Finding(stage, "failed", f"{_where(settings)}: {_in_words(error)}", mend)


def _in_words(error: Exception) -> str:
    if not isinstance(error, LinkClosed):
        return f"what it sends cannot be read: {error}"
    if error.reason == "reset":
        return f"the gateway closed the connection ({error.detail})"
    return error.detail or error.reason


def _first(session: Session, kind: type[T]) -> T | None:
    return next((event for event in session.events if isinstance(event, kind)), None)


def main(arguments: list[str]) -> int:
    try:
        name = "".join(arguments[1:2])
        settings = load().of_gateway(name)
        symbol = planned(parse(arguments[0] if arguments else "SPY"), "doctor")
    except IbStreamError as error:
        sys.stderr.write(f"{error.message} [{error.code}]\n")
        return error.exit_code
    for finding in examine(settings, symbol, sharded("gateway", name)):
        sys.stdout.buffer.write(msgspec.json.encode(finding) + b"\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
