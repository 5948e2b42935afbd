"""What `_status.json` says beyond the supervisor's words: nothing is called live whose file is not there yet. Pure."""

from collections.abc import Collection
from typing import Final

import msgspec

from messages.views import Status, SymbolStatus

PRICED: Final = frozenset({"live", "quiet", "delayed", "halted", "closed", "snapshot", "history"})


def after_files(status: Status, landed: Collection[str]) -> Status:
    """The status as far as files bear it out; `landed` are the symbols that have one."""
    awaited = {
        name: msgspec.structs.replace(symbol, state="pending", reason="awaiting_file")
        for name, symbol in status.symbols.items()
        if name not in landed and _claims_price(symbol)
    }
    if not awaited:
        return status
    status = msgspec.structs.replace(status, symbols=status.symbols | awaited)
    if status.status != "connected":
        return status
    message = f"waiting for the files of {len(awaited)} symbols"
    return msgspec.structs.replace(status, status="starting", reason="awaiting_files", message=message)


def shortened(status: Status) -> Status:
    """Without its lists, for when there is no room for them."""
    return msgspec.structs.replace(
        status, symbols={}, subscribed_symbols=[], ib_errors_by_code={}, warnings=[], plan_problem=None
    )


def _claims_price(symbol: SymbolStatus) -> bool:
    return symbol.state in PRICED and symbol.age is not None
