"""What IB knows under a text: symbols and names that match, each with what to write in the plan.

Run by `ibstream find` as `python -m services.gateway.find TEXT [GATEWAY]`; prints one FoundSymbol a line as JSON. Uses
no market data line.
"""

import sys
from typing import Final

import msgspec

from messages.checks import FoundSymbol
from messages.errors import IbStreamError
from messages.topics import sharded
from services.base.settings import Settings, load
from services.base.symbols import SEC_TYPES, parse
from services.gateway.core.interface import IbErrorSeen, Ready
from services.gateway.session import Session, client_id
from services.gateway.wire.connection import LinkClosed
from services.gateway.wire.official_client import BadFrame
from services.gateway.wire.text_ticks import FrameError

REQUEST: Final = 1
SEARCH_SECONDS: Final = 15.0  # IB takes a second or more, and answers one search a second
_EXCHANGES: Final = {"CASH": "IDEALPRO", "IND": "", "CRYPTO": "PAXOS", "FUT": "", "CMDTY": "SMART"}


def find(settings: Settings, text: str, service: str = "gateway") -> list[FoundSymbol]:
    """Raises IbStreamError `gateway_unreachable`: nobody answers; `symbol_not_found`: IB knows none."""
    try:
        found = _ask(settings, text, service)
    except (LinkClosed, FrameError, BadFrame) as error:
        host, port = settings.gateway_addresses[0]
        said = error.detail or error.reason if isinstance(error, LinkClosed) else str(error)
        raise IbStreamError("gateway_unreachable", f"{host}:{port}: {said}; `ibstream doctor` tells more") from None
    if not found:
        raise IbStreamError("symbol_not_found", f"IB knows nothing under {text[:40]!r}")
    return [msgspec.structs.replace(one, plan=plan_of(one)) for one in found]


def _ask(settings: Settings, text: str, service: str) -> list[FoundSymbol]:
    session = Session(settings, client_id(settings, service))
    try:
        ready = session.until(
            lambda: any(isinstance(event, Ready) for event in session.events), settings.ib_connect_timeout
        )
        if not ready:
            raise LinkClosed("timeout", "the API is not ready")
        session.official.matching_symbols(REQUEST, text)
        session.send()
        session.until(lambda: session.official.found is not None or _refusal(session), SEARCH_SECONDS)
        refused = _refusal(session)
        if refused is not None:
            raise LinkClosed("refused", f"{refused.code}: {refused.message}")
        if session.official.found is None:
            raise LinkClosed("timeout", f"no answer within {SEARCH_SECONDS:g} s")
        return session.official.found
    finally:
        session.connection.close()


def _refusal(session: Session) -> IbErrorSeen | None:
    return next((error for error in session.errors() if error.req_id == REQUEST), None)


def plan_of(found: FoundSymbol) -> str:
    """The notation that means this contract; empty where there is none: its contract id says it then."""
    exchange = _EXCHANGES.get(found.sec_type, "SMART") or found.primary_exchange
    if found.sec_type not in SEC_TYPES or found.sec_type in ("FUT", "OPT", "FOP", "WAR", "BOND") or not exchange:
        return ""
    if (found.sec_type, found.currency) == ("STK", "USD"):
        text = found.symbol.replace(" ", ".")
    else:
        primary = f":{found.primary_exchange}" if found.sec_type == "STK" and found.primary_exchange else ""
        text = f"{found.symbol}:{exchange}:{found.currency}:{found.sec_type}{primary}"
    try:
        parse(text)
    except IbStreamError:
        return ""
    return text


def main(arguments: list[str]) -> int:
    text, name = arguments[0], "".join(arguments[1:2])
    try:
        found = find(load().of_gateway(name), text, sharded("gateway", name))
    except IbStreamError as error:
        sys.stderr.write(f"{error.message} [{error.code}]\n")
        return error.exit_code
    for one in found:
        sys.stdout.buffer.write(msgspec.json.encode(one) + b"\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
