"""The quality report as a fold of the streams, over a span of time: the same live and from the journal, to the byte.

Used by `ibstream quality`, by the web, and by the supervisor for alerts and metrics. Pure; times in UTC nanoseconds.
The streams are folded each on its own, so it does not matter how they interleave:

    ticks    crossed, locked, zero, stuck and outlying prices, the rate, the clock: quality_checks.py
    link     gaps and IB's bars; with plan and control, the coverage: coverage.py

Nothing is altered or left out for what is found. Marks, and what sets them:

    blind        less than 99 % of the planned time was covered, and ten seconds of it or more were not
    crossed      the bid stood above the ask for a second in all, or ten times
    locked       the bid was the ask for a tenth of the time in which it ticked
    outliers     a price more than 0.5 % and ten usual steps from its neighbours, which are near each other
    off_bars     a trade beyond the bars of IB of its minute and the two beside it, by more than 0.1 %
    zero_prices  a bid, ask or last of 0 (IB's own sign for "none" too: it is no data, and should be rare)
    stuck        ticks came for a minute, ten times as long as usual, and no price moved
    slow         an hour, or ten minutes of it at least, with less than a quarter of its usual ticks
    clock        receipt was two seconds or more from the exchange's time, in the middle of an hour
    split        the first trade is to the last one before as in a split (2:1 to 50:1, 3:2, and back), within 2 %
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Final, NamedTuple

import msgspec

from messages.events import BarsReceived, Block, EventBlock, TickBlock
from messages.quality import Hole, Mark, QualityReport, SymbolQuality
from messages.topics import LINK, TICKS, kind, shard
from services.base.clock import HOUR, MINUTE, SECOND, iso
from services.quotes.coverage import Coverage, CoverageState, Span, reasons
from services.quotes.gaps import Gap, GapFold
from services.quotes.quality_checks import CLOCK_STEPS, Checks, TickChecks

COVERED: Final = 0.99
BLIND_SECONDS: Final = 10.0  # what a subscription begins with is no fault
CROSSED_SECONDS: Final = 1.0
CROSSED_TIMES: Final = 10
LOCKED_SHARE: Final = 0.1
OFF_BARS: Final = 0.001
STUCK: Final = MINUTE
TIMES_UNMOVED: Final = 10  # of the usual time between two moves, which is known after
MOVES_KNOWN: Final = 10
SLOW_SHARE: Final = 0.25
SLOW_TICKS: Final = 100  # ticks in an hour: of fewer nothing is expected
SLOW_TIME: Final = 600 * SECOND
CLOCK_SECONDS: Final = 2.0
CLOCK_COUNT: Final = 20  # trades with a time, of which the middle says something
GAPS_SHOWN: Final = 100
GAPS_KEPT: Final = 20_000  # of one gateway
RATIOS: Final = ((3, 2), *((number, 1) for number in (2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 40, 50)))
SPLIT_NEAR: Final = 0.02
_UNWANTED: Final = frozenset({"stopped", "unplanned"})
_DIGITS: Final = 6


class Usual(NamedTuple):
    """What is known of a symbol from earlier days. `by_hour`: ticks in each hour of the span; empty: not known."""

    by_hour: Sequence[float] = ()
    last: float | None = None  # price of the last trade


class FoldState(msgspec.Struct, kw_only=True):
    """A fold so far, to be saved."""

    start: int
    end: int
    reached: int
    coverage: CoverageState
    ticks: dict[str, dict[str, Checks]]  # by gateway, as the others
    gaps: dict[str, list[Gap]]
    bars: dict[str, dict[int, tuple[float, float]]]


class QualityFold:
    """Blocks of ticks of other times are passed over; those of the other streams come from their beginning on."""

    def __init__(self, start: int, end: int) -> None:
        self.start, self.end = start, end
        self.coverage = Coverage()
        self._ticks: dict[str, TickChecks] = {}  # by gateway
        self._gaps: dict[str, GapFold] = {}
        self._bars: dict[str, dict[int, tuple[float, float]]] = {}  # low and high of minutes of the span
        self._reached = start

    def apply(self, stream: str, block: Block) -> None:
        """Fold one block of `stream`; blocks of a stream come in order, streams in any. Raises ValueError for a block
        of ticks that contradicts itself."""
        self._reached = max(self._reached, min(block.time, self.end))
        if kind(stream) == TICKS:
            assert isinstance(block, TickBlock)
            if self.start <= block.time < self.end:
                self._checks(shard(stream)).apply(block)
            return
        self.coverage.apply(stream, block)
        if kind(stream) == LINK:
            assert isinstance(block, EventBlock)
            gaps = self._gaps.setdefault(shard(stream), GapFold(GAPS_KEPT))
            for event in block.events:
                gaps.apply(event)
                if isinstance(event, BarsReceived) and event.bar_seconds == 60:
                    self._keep_bars(event)

    def over(self, start: int, end: int) -> "QualityFold":
        """The fold of a later span, which goes on with what is known of the streams beside the ticks."""
        following = QualityFold(start, end)
        following.coverage, following._gaps = self.coverage, self._gaps
        following.coverage.forget(start)
        return following

    def state(self) -> FoldState:
        return FoldState(
            start=self.start,
            end=self.end,
            reached=self._reached,
            coverage=self.coverage.state,
            ticks={gateway: checks.symbols for gateway, checks in self._ticks.items()},
            gaps={gateway: fold.state() for gateway, fold in self._gaps.items()},
            bars=self._bars,
        )

    @classmethod
    def of(cls, state: FoldState) -> "QualityFold":
        """The fold that said so of itself: it goes on as that one does."""
        fold = cls(state.start, state.end)
        fold.coverage.restore(state.coverage)
        for gateway, symbols in state.ticks.items():
            fold._checks(gateway).symbols = symbols
        for gateway, gaps in state.gaps.items():
            fold._gaps[gateway] = GapFold(GAPS_KEPT, gaps)
        fold._bars, fold._reached = state.bars, state.reached
        return fold

    def report(self, usual: Mapping[tuple[str, str], Usual] | None = None) -> QualityReport:
        """`usual` of gateway and symbol, from earlier days."""
        known = usual or {}
        seen = {(gateway, name) for gateway, checks in self._ticks.items() for name in checks.symbols}
        planned = {name for name in self.coverage.state.served if self._wanted(name)}
        silent = {("", name) for name in planned - {name for _, name in seen}}
        rows = sorted(seen | silent, key=lambda row: (row[1], row[0]))
        holes = self._holes()
        return QualityReport(
            start=iso(self.start),
            end=iso(self.end),
            until=iso(self._reached),
            symbols=[
                self._symbol(gateway, name, holes.get((gateway, name), []), known.get((gateway, name), Usual()))
                for gateway, name in rows
            ],
        )

    # --- inside ---

    def _checks(self, gateway: str) -> TickChecks:
        found = self._ticks.get(gateway)
        if found is None:
            found = self._ticks[gateway] = TickChecks(self.start, self.end)
        return found

    def _keep_bars(self, event: BarsReceived) -> None:
        kept = {
            (bar.time - self.start) // MINUTE: (bar.low, bar.high)
            for bar in event.bars
            if self.start - MINUTE <= bar.time < self.end + MINUTE
        }
        if kept:
            self._bars.setdefault(event.symbol, {}).update(kept)

    def _wanted(self, name: str) -> int:
        """For how long of the span so far the symbol was to be streamed, in nanoseconds."""
        until = max(self._reached, self.start)
        return until - self.start - _length(self._blind(name), _UNWANTED)

    def _blind(self, name: str) -> list[Span]:
        return self.coverage.blind(name, self.start, self._reached)

    def _symbol(self, gateway: str, name: str, gaps: list[Hole], usual: Usual) -> SymbolQuality:
        checks = self._ticks[gateway].symbols.get(name) if gateway in self._ticks else None
        blind = [span for span in self._blind(name) if span.reason not in _UNWANTED]
        wanted = self._wanted(name)
        minutes, outside = self._against_bars(name, checks) if checks is not None else (0, 0)
        row = SymbolQuality(
            symbol=name,
            gateway=gateway or None,
            ticks=sum(checks.hours) if checks is not None else 0,
            coverage=round(1 - _length(blind) / wanted, _DIGITS) if wanted > 0 else None,
            blind=reasons(blind),
            gaps=gaps[:GAPS_SHOWN],
            bar_minutes=minutes,
            bars_outside=outside,
            usual_by_hour=list(usual.by_hour),
        )
        if checks is not None:
            row = msgspec.structs.replace(row, **_figures(checks), split=_split(checks, usual.last))
        return msgspec.structs.replace(row, marks=list(self._marks(row, checks)))

    def _holes(self) -> dict[tuple[str, str], list[Hole]]:
        """The gaps that reach into the span, by gateway and symbol."""
        found: dict[tuple[str, str], list[Hole]] = {}
        for gateway, fold in self._gaps.items():
            for gap in fold.gaps():
                if gap.start < self._reached and (gap.end is None or gap.end > self.start):
                    found.setdefault((gateway, gap.symbol), []).append(self._hole(gap))
        return found

    def _hole(self, gap: Gap) -> Hole:
        end = None if gap.end is None else iso(min(gap.end, self.end))
        return Hole(start=iso(max(gap.start, self.start)), end=end, reason=gap.reason, filled_bars=gap.filled_bars)

    def _against_bars(self, name: str, checks: Checks) -> tuple[int, int]:
        """Minutes with trades and a bar, and of these those with a trade that no bar beside it reaches: IB counts by
        exchange time, and a trade may have come here a minute later."""
        compared = outside = 0
        bars = self._bars.get(name, {})
        for minute in bars:
            if not 0 <= minute < len(checks.lows) or not isfinite(checks.lows[minute]):
                continue
            around = [bars[near] for near in (minute - 1, minute, minute + 1) if near in bars]
            low, high = min(low for low, _ in around), max(high for _, high in around)
            room = OFF_BARS * abs(high)
            compared += 1
            outside += checks.lows[minute] < low - room or checks.highs[minute] > high + room
        return compared, outside

    def _marks(self, row: SymbolQuality, checks: Checks | None) -> Iterator[Mark]:
        if row.coverage is not None and row.coverage < COVERED and _blind_seconds(row) >= BLIND_SECONDS:
            yield "blind"
        if row.crossed_seconds >= CROSSED_SECONDS or row.crossed >= CROSSED_TIMES:
            yield "crossed"
        if checks is not None and checks.active and checks.locked_time > LOCKED_SHARE * checks.active:
            yield "locked"
        if row.outliers:
            yield "outliers"
        if row.bars_outside:
            yield "off_bars"
        if row.zero_prices:
            yield "zero_prices"
        if checks is not None and _is_stuck(checks):
            yield "stuck"
        if slow_hours(row, self._reached - self.start):
            yield "slow"
        if row.clock_seconds is not None and abs(row.clock_seconds) >= CLOCK_SECONDS:
            yield "clock"
        if row.split is not None:
            yield "split"


def _blind_seconds(row: SymbolQuality) -> float:
    return sum(part.seconds for part in row.blind)


def slow_hours(row: SymbolQuality, passed: int) -> list[int]:
    """The hours of the span with few ticks. `passed`: nanoseconds of the span that are over."""
    found = []
    for hour, (usual, ticks) in enumerate(zip(row.usual_by_hour, row.ticks_by_hour, strict=False)):
        part = min(passed - hour * HOUR, HOUR)
        if usual >= SLOW_TICKS and part >= SLOW_TIME and ticks < SLOW_SHARE * usual * part / HOUR:
            found.append(hour)
    return found


def _figures(checks: Checks) -> dict[str, object]:
    return {
        "crossed": checks.crossed,
        "crossed_seconds": _seconds(checks.crossed_time),
        "locked": checks.locked,
        "locked_seconds": _seconds(checks.locked_time),
        "outliers": checks.outliers,
        "worst_outliers": checks.worst,
        "zero_prices": checks.zeros,
        "stuck_seconds": _seconds(checks.stuck),
        "ticks_by_hour": checks.hours,
        "clock_seconds": _clock(checks.clock),
        "last": checks.newest_last,
    }


def _seconds(time: int) -> float:
    return round(time / SECOND, _DIGITS)


def _clock(by_hour: Mapping[int, Mapping[int, int]]) -> float | None:
    """The middle difference, of the hour in which it was furthest; of all together where no hour tells."""
    together: Counter[int] = Counter()
    for counts in by_hour.values():
        together.update(counts)
    found = [middle for counts in by_hour.values() if (middle := _middle(counts)) is not None]
    return max(found, key=abs, default=_middle(together))


def _middle(counts: Mapping[int, int]) -> float | None:
    """IB's time is cut to the second: half of one is no difference."""
    total = sum(counts.values())
    if total < CLOCK_COUNT:
        return None
    passed = 0
    for parts, count in sorted(counts.items()):
        passed += count
        if 2 * passed >= total:
            return round(parts / CLOCK_STEPS - 0.5, _DIGITS)
    return None


def _is_stuck(checks: Checks) -> bool:
    if checks.stuck < STUCK or checks.moves < MOVES_KNOWN:
        return False
    return checks.stuck > TIMES_UNMOVED * (checks.active - checks.stuck) / checks.moves


def _split(checks: Checks, last: float | None) -> str | None:
    """By the last trade of the day before, and by what IB says the close was."""
    first = checks.first_last
    for before in (last, checks.close):
        if first and before and first > 0 and before > 0:
            for many, few in RATIOS:
                if abs(before / first * few / many - 1) <= SPLIT_NEAR:
                    return f"{many}:{few}"
                if abs(first / before * few / many - 1) <= SPLIT_NEAR:
                    return f"{few}:{many}"
    return None


def _length(spans: Iterable[Span], reasons: frozenset[str] | None = None) -> int:
    return sum(span.end - span.start for span in spans if reasons is None or span.reason in reasons)
