"""Everything that was recorded, as data frames: ticks, quotes, candles and gaps, of the journal and its archive as one.

    data = ibstream.open_data("data")                        # the data root on this machine, or a copy of it
    ticks = data.ticks("SPY", "2026-01-05", "2026-01-06")    # pyarrow.RecordBatchReader: batches, bounded memory
    ticks.read_all()                                         # pyarrow.Table;  ticks.read_pandas(): pandas
    polars.DataFrame(ticks)                                  # without a copy, through Arrow's C stream
    data.duckdb().sql("SELECT ... FROM ticks")               # SQL over live and archived days

Needs pyarrow (`ibstream[frames]`); polars, pandas and DuckDB when you use them. Reads only, with the services running
or not. A reader is read once; memory is bounded as long as you take batch by batch.

Symbols are a name, several, or none for all. Times are ISO 8601 (UTC unless it has an offset), `14:30`, `-2h`, a
`datetime`, or UTC nanoseconds; a span is from `begin` on and before `end`, None without a bound. Times in columns are
UTC; those of ticks in nanoseconds (when the bytes came here, on this machine's clock), all others in microseconds, as
in files. Order ticks by `seq`: a clock may be set back, and many ticks have one time.

Errors are `IbstreamError`, as a reader is made or while it is read: `journal_unavailable` (no journal, or it cannot be
read), `journal_damaged` (a checksum fails or something is missing; the message says where, and nothing of that part is
given), `invalid_request`, `invalid_symbol`, `missing_dependency`.
"""

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ibstream.errors import IbstreamError
from messages.candles import INTERVALS
from messages.errors import IbStreamError
from services.base.clock import SECOND, moment_of
from services.base.places import default_root
from services.base.symbols import name_of
from services.journal.days import is_there, tick_streams

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

Symbols = str | Iterable[str]
Time = str | int | datetime | None

T = TypeVar("T")


def open_data(root: str | Path = "") -> "Data":
    """The recorded data of a data root, or of a copy of one; without an argument of the root that `connect` takes.

    Raises IbstreamError `journal_unavailable` where nothing was ever recorded, `missing_dependency` without pyarrow.
    """
    try:
        import pyarrow as pa  # noqa: F401 - a client that reads no frames needs none
    except ImportError:
        raise IbstreamError("data frames need pyarrow: pip install 'ibstream[frames]'", "missing_dependency") from None
    folder = Path(root or os.environ.get("IBSTREAM_DATA_ROOT") or default_root()).expanduser()
    journal = folder / "journal"
    if not _said(lambda: is_there(journal)):
        raise IbstreamError(f"there is no journal in {folder}: nothing was recorded there", "journal_unavailable")
    return Data(journal)


class Data:
    """Made by `open_data`. Holds no file open; may be used from several threads."""

    def __init__(self, journal_dir: Path, now: Callable[[], int] = time.time_ns) -> None:
        self.journal_dir = journal_dir
        self._now = now

    def ticks(
        self,
        symbols: Symbols = (),
        begin: Time = None,
        end: Time = None,
        *,
        columns: Collection[str] | None = None,
    ) -> "pa.RecordBatchReader":
        """Every tick as IB sent it, in the order of `seq`; of several gateways one after the other.

        | column | type | |
        | --- | --- | --- |
        | `time` | timestamp[ns, UTC] | when it was received |
        | `symbol` | dictionary of string | |
        | `field` | dictionary of string | `bid`, `ask`, `last`, `bid_size`, ..., as in `messages/fields.py` |
        | `value` | double | IB's number: a price (times the contract's `price_magnifier`), a size, Unix seconds, ... |
        | `size` | double | the size that came with a price; null without one |
        | `text` | string | of a text field, whose `value` means nothing; else null |
        | `gateway` | dictionary of string | empty where there is one gateway |
        | `epoch` | int64 | the run of the gateway |
        | `seq` | int64 | rises by one from tick to tick of a gateway, and never repeats |

        Nothing is left out or corrected: -1 and 0 are IB's "no data", sizes may be in round lots. `quotes` knows what
        the numbers mean. `columns` chooses some, in this order; fewer are faster.
        """
        import pyarrow as pa

        from services.journal.frames import TICKS_FRAME, tick_batches

        names = _names(symbols)
        first, last = self._span(begin, end)
        chosen = list(TICKS_FRAME.names if columns is None else columns)
        unknown = [name for name in chosen if name not in TICKS_FRAME.names]
        if unknown or not chosen:
            listed = ", ".join(TICKS_FRAME.names)
            raise IbstreamError(f"ticks have no column {(unknown or ['of no name'])[0]}; there are {listed}", BAD)
        schema = pa.schema([TICKS_FRAME.field(name) for name in chosen])

        def batches() -> Iterator[pa.RecordBatch]:
            for stream in self.tick_streams():
                yield from tick_batches(self.journal_dir, stream, first, last, names, chosen)

        return _reader(schema, batches())

    def quotes(
        self, symbols: Symbols = (), begin: Time = None, end: Time = None, *, every: float | None = None
    ) -> "pa.RecordBatchReader":
        """The quote of each symbol as of `begin`, and again whenever it changed: what its file said at that `time`.

        `every`: at most once in so many seconds, as of the end of each such step; None: at every change. A symbol that
        did not change has no row in a step: the one before holds (an as-of join takes it).

        `time`, `symbol`; `bid`, `ask`, `last`, `open`, `high`, `low`, `close` in `currency`; `bid_size`, `ask_size`,
        `last_size`, `volume` in shares or contracts; `stale` (the price was not to be trusted then) and `reason`;
        `source`, `market_data_type`, `halted`; `price_time` (when the price was received) and `exchange_time`;
        `local_symbol` and `contract_month` of a future; `multiplier`, `price_magnifier`, `gateway`, `seq`. What was not
        known is null.

        The fold starts at the nearest checkpoint of the journal, so a span of days costs a fold of days.
        """
        from ibstream.frames_quotes import QUOTES_FRAME, quote_batches

        if every is not None and not every > 0:
            raise IbstreamError(f"every is {every}; expected seconds above 0", BAD)
        names = _names(symbols)
        first, last = self._span(begin, end)
        step = None if every is None else max(1, int(every * SECOND))
        return _reader(QUOTES_FRAME, quote_batches(self.journal_dir, names, first, last, step))

    def at(self, moment: Time, symbols: Symbols = ()) -> "pa.Table":
        """The quotes as they were at `moment`, a row a symbol, with the columns of `quotes`."""
        import pyarrow as pa

        from ibstream.frames_quotes import QUOTES_FRAME, quotes_at

        names = _names(symbols)
        asked = self._time(moment)
        if asked is None:
            raise IbstreamError("at which moment?", BAD)
        return pa.Table.from_batches([_said(lambda: quotes_at(self.journal_dir, names, asked))], QUOTES_FRAME)

    def candles(
        self, symbols: Symbols, interval: str = "1m", begin: Time = None, end: Time = None
    ) -> "pa.RecordBatchReader":
        """The candles of each symbol that overlap the span, one symbol after the other: `1s`, `5s`, `1m`, `5m`, `15m`,
        `1h` or `1d`. What counts as a trade, and what that misses: services/quotes/README.md.

        `symbol`, `interval`, `start`, `end`; `session` (of a day: its date); `open`, `high`, `low`, `close`, `vwap` in
        the contract's currency; `volume` in shares or contracts; `trades`, reports that came; `coverage`, the share of
        it in which the price was trusted, and in `blind` why not, with seconds; `filled`, the share that is IB's own
        bars; `hours`, `source`, `market_data_type`, `complete`. What is not known is null.

        Raises IbstreamError, as it is read, `symbol_not_found` and `past_deleted` too.
        """
        from ibstream.frames_candles import CANDLES_FRAME, candle_batches

        chosen = next((known for known in INTERVALS if known == interval), None)
        if chosen is None:
            raise IbstreamError(f"{interval!r} is no interval; there are {', '.join(INTERVALS)}", BAD)
        names = _names(symbols)
        first, last = self._span(begin, end)
        return _reader(CANDLES_FRAME, candle_batches(self.journal_dir, names, chosen, first, last, self._now()))

    def gaps(self, symbols: Symbols = (), begin: Time = None, end: Time = None) -> "pa.Table":
        """When streamed prices were missing, by their start: the gaps that lasted at some time of the span.

        `symbol`, `start`, `end` (null: it lasts), `reason` (a stable word), `filled_bars` (one-minute bars of IB's
        history in it; 0: history has none; null: not asked), `gateway`.
        """
        import pyarrow as pa

        from services.quotes.past_gaps import gaps_in

        names = _names(symbols)
        first, last = self._span(begin, end)
        found = _said(lambda: gaps_in(self.journal_dir, first, last, names))
        rows = [gap for gap, _ in found]
        stamp = pa.timestamp("us", tz="UTC")
        ends = [None if gap.end is None else gap.end // MICROSECOND for gap in rows]
        return pa.table(
            {
                "symbol": pa.array([gap.symbol for gap in rows], pa.string()),
                "start": pa.array([gap.start // MICROSECOND for gap in rows], pa.int64()).cast(stamp),
                "end": pa.array(ends, pa.int64()).cast(stamp),
                "reason": pa.array([gap.reason for gap in rows], pa.string()),
                "filled_bars": pa.array([gap.filled_bars for gap in rows], pa.int32()),
                "gateway": pa.array([gateway for _, gateway in found], pa.string()),
            }
        )

    def duckdb(
        self,
        connection: "duckdb.DuckDBPyConnection | None" = None,
        *,
        symbols: Symbols = (),
        begin: Time = None,
        end: Time = None,
    ) -> "duckdb.DuckDBPyConnection":
        """A DuckDB connection (yours, or a new one in memory) with the views `ticks` and `gaps`: the same columns as
            `ticks` and `gaps` here, within `symbols` and the span.

            Archived days are read by DuckDB itself, in parallel and only what a query asks for. Days that are not
        archived yet are read anew for each query, so that it sees what is written by then: about a million ticks a
        second, and only what is within the span. Order by `seq`: many ticks have the same time.
        """
        from ibstream.frames_sql import create_views

        names = _names(symbols)
        first, last = self._span(begin, end)
        return create_views(self, connection, names, first, last)

    def tick_streams(self) -> list[str]:
        """The streams of ticks that there are: one a gateway."""
        return _said(lambda: tick_streams(self.journal_dir))

    def _span(self, begin: Time, end: Time) -> tuple[int, int | None]:
        return self._time(begin) or 0, self._time(end)

    def _time(self, said: Time) -> int | None:
        if isinstance(said, datetime):
            said = said.isoformat()
        if said is None:
            return None
        try:
            return moment_of(said, self._now())
        except ValueError as error:
            raise IbstreamError(str(error), BAD) from None


BAD = "invalid_request"
MICROSECOND = 1_000  # ns


def _names(symbols: Symbols) -> list[str]:
    listed = [symbols] if isinstance(symbols, str) else symbols
    return [_said(lambda symbol=symbol: name_of(symbol)) for symbol in listed]  # type: ignore[misc]


def _reader(schema: "pa.Schema", batches: "Iterator[pa.RecordBatch]") -> "pa.RecordBatchReader":
    import pyarrow as pa

    return pa.RecordBatchReader.from_batches(schema, _saying(batches))


def _saying(batches: Iterator[Any]) -> Iterator[Any]:
    """The same, with this package's errors."""
    try:
        yield from batches
    except IbStreamError as error:
        raise IbstreamError(error.message, error.code) from None


def _said(job: Callable[[], T]) -> T:
    try:
        return job()
    except IbStreamError as error:
        raise IbstreamError(error.message, error.code) from None
