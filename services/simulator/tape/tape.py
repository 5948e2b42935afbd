"""A recorded day as a replay needs it: its tick blocks in order, and the contracts behind its symbols.

Reads the journal (services/journal), never writes it; works beside a running gateway. Memory is bounded: blocks are
read a few megabytes at a time.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from messages.codec import decode_events, decode_ticks
from messages.errors import IbStreamError
from messages.events import ContractQualified, TickBlock
from messages.topics import LINK, TICKS, is_stream, shard, sharded
from services.base.symbols import parse
from services.journal.days import Day, all_days, tick_streams
from services.journal.reader import open_day
from services.simulator.market.contracts import Instrument

READ_BYTES = 2 << 20
LINK_DAYS = 14  # how far back contract details are looked for
INVENTED_IDS = 992_000_000


class AnyTape(Protocol):
    """What a replay needs of a recording: a day of the journal, or a flight recording (flight_tape.py)."""

    symbols: dict[str, None]
    contracts: dict[str, ContractQualified]
    first: int
    last: int
    ticks: int

    def peek(self) -> int | None: ...
    def take(self) -> TickBlock: ...
    def close(self) -> None: ...


class Tape:
    """The tick blocks of one day. `symbols` are all that occur, `first` and `last` the times of the ends."""

    def __init__(self, path: Path) -> None:
        """Reads the day through once. Raises IbStreamError: no such file, damage, or no tick in it."""
        stream = path.parent.name if is_stream(path.parent.name) else TICKS
        self._day = _opened(path, stream)
        self._next_seq = 1
        self._blocks: list[TickBlock] = []
        self.symbols: dict[str, None] = {}
        self.first = self.last = self.ticks = 0
        self._survey(path)
        self.contracts = find_contracts(path.parent.parent / sharded(LINK, shard(stream)), path.stem, set(self.symbols))

    def peek(self) -> int | None:
        """When the next block was received, UTC nanoseconds; None at the end."""
        self._fill()
        return self._blocks[-1].time if self._blocks else None

    def take(self) -> TickBlock:
        """The next block. Only after `peek` gave a time."""
        return self._blocks.pop()

    def close(self) -> None:
        self._day.close()

    def _survey(self, path: Path) -> None:
        for block in iter(self._read, None):
            self.first = self.first or block[0].time
            self.last = block[-1].time
            for one in block:
                self.ticks += one.count
                self.symbols.update(dict.fromkeys(one.symbols))
        if not self.first:
            raise IbStreamError("journal_unavailable", f"there is no tick in {path}")
        self._next_seq = 1

    def _fill(self) -> None:
        if not self._blocks:
            self._blocks = (self._read() or [])[::-1]

    def _read(self) -> list[TickBlock] | None:
        rows = self._day.read(self._next_seq, READ_BYTES)
        if not rows:
            return None
        self._next_seq = rows[-1].last_seq + 1
        try:
            return [decode_ticks(row.payload) for row in rows]
        except msgspec.MsgspecError as error:
            raise IbStreamError(
                "journal_damaged", f"{self._day.path} holds a block that is no tick block: {error}"
            ) from None


class Tapes:
    """What several gateways recorded on one day, as one tape."""

    def __init__(self, tapes: Sequence[Tape]) -> None:
        self._tapes = tapes
        self.symbols = {symbol: None for tape in tapes for symbol in tape.symbols}
        self.contracts = {symbol: found for tape in tapes for symbol, found in tape.contracts.items()}
        self.first = min(tape.first for tape in tapes)
        self.last = max(tape.last for tape in tapes)
        self.ticks = sum(tape.ticks for tape in tapes)

    def peek(self) -> int | None:
        return min((time for tape in self._tapes if (time := tape.peek()) is not None), default=None)

    def take(self) -> TickBlock:
        time = self.peek()
        return next(tape for tape in self._tapes if tape.peek() == time).take()

    def close(self) -> None:
        for tape in self._tapes:
            tape.close()


def find_day(name: str, journal: Path) -> list[Path]:
    """The files of a recorded day, one a gateway that recorded then: a path, or `YYYY-MM-DD` or `last` in the
    journal folder. Raises IbStreamError."""
    if name == "last" or re.fullmatch(r"\d{4}-\d\d-\d\d", name):
        streams = tick_streams(journal)
        days = sorted([path for stream in streams for path in all_days(journal / stream)], key=lambda path: path.stem)
        wanted = days[-1].stem if days and name == "last" else name
        found = [path for path in days if path.stem == wanted]
        if found:
            return found
        known = f"{days[0].stem} to {days[-1].stem}" if days else "no day at all"
        raise IbStreamError(
            "journal_unavailable", f"there is no day {name} in {journal / streams[0]}; it holds {known}"
        )
    path = Path(name)
    if not path.is_file():
        raise IbStreamError(
            "journal_unavailable", f"{name!r} is neither a file, nor a day such as 2026-01-05, nor last"
        )
    return [path]


def find_contracts(link: Path, day: str, wanted: set[str]) -> dict[str, ContractQualified]:
    """The newest contract details of each symbol, up to `day`. A link journal that cannot be read has none."""
    found: dict[str, ContractQualified] = {}
    for path in [one for one in all_days(link) if one.stem <= day][: -LINK_DAYS - 1 : -1]:
        if wanted <= found.keys():
            break
        try:
            of_day = _contracts_of(_opened(path, link.name))
        except IbStreamError:
            continue
        found = {symbol: one for symbol, one in of_day.items() if symbol in wanted} | found
    return found


def instruments(tape: AnyTape) -> list[Instrument]:
    """What a client may subscribe to: the recorded symbols, as IB described them or else as their names say."""
    made: list[Instrument] = []
    for number, symbol in enumerate(tape.symbols, 1):
        try:
            made.append(_instrument(symbol, number, tape.contracts.get(symbol)))
        except IbStreamError:
            continue  # a name that no client could ask for
    return made


def _instrument(name: str, number: int, details: ContractQualified | None) -> Instrument:
    contract = parse(name)
    sec_type = details.sec_type if details else contract.sec_type
    primary = details.primary_exchange if details else contract.primary_exchange
    tick = (details.min_tick if details else 0.0) or 0.01
    return Instrument(
        con_id=details.con_id if details and details.con_id else INVENTED_IDS + number,
        symbol=contract.ib_symbol,
        name=(details.long_name if details else "") or f"RECORDED {name}",
        price=100.0,
        daily=0.01,
        volume=1,
        sec_type=sec_type,
        exchange=(details.exchange if details else "") or contract.exchange,
        primary=primary,
        currency=(details.currency if details else "") or contract.currency,
        tick=tick,
        decimals=_decimals(tick),
        farm=_farm(sec_type, primary),
        expiry=contract.last_trade_date,
        local_symbol=(details.local_symbol if details else "") or contract.local_symbol or contract.ib_symbol,
        trading_class=contract.trading_class or contract.ib_symbol,
        strike=contract.strike,
        right=contract.right,
        multiplier="100" if sec_type == "OPT" else "",
        market_name=contract.ib_symbol,
        called=name,
        lot=int(details.suggested_size_increment) if details else 0,
    )


def _decimals(tick: float) -> int:
    return len(f"{tick:.10f}".rstrip("0").partition(".")[2])


def _farm(sec_type: str, primary: str) -> str:
    if sec_type in ("CASH", "FUT"):
        return {"CASH": "cashfarm", "FUT": "usfuture"}[sec_type]
    return "usfarm" if sec_type == "IND" or primary in ("", "NASDAQ") else "usfarm.nj"


def _contracts_of(day: Day) -> dict[str, ContractQualified]:
    found: dict[str, ContractQualified] = {}
    try:
        next_seq = 1
        while rows := day.read(next_seq, READ_BYTES):
            next_seq = rows[-1].last_seq + 1
            for row in rows:
                found |= _qualified(row.payload, decode_events)
    finally:
        day.close()
    return found


def _qualified(payload: bytes, decode: Callable[[bytes], object]) -> dict[str, ContractQualified]:
    try:
        block = decode(payload)
    except msgspec.MsgspecError:
        return {}
    return {one.symbol: one for one in getattr(block, "events", ()) if isinstance(one, ContractQualified)}


def _opened(path: Path, stream: str) -> Day:
    try:
        return open_day(path, stream)
    except FileNotFoundError as error:
        raise IbStreamError("journal_unavailable", f"{path}: {error.strerror}") from None
