"""When a symbol's price was streamed and trusted, and why not otherwise: the facts of the quote fold, kept with their
times, and the gap ledger.

A fold of `link`, `plan` and `control`. Pure; used by candles. Blind is a symbol, the most far-reaching cause first:
while the stream is stopped, while the symbol is not planned, while its gateway is down, while the gateway calls its
price stale or has no stream of it, and in a gap of the ledger, which also tells what was found out later. The market
being closed is no blindness. Each stream is folded on its own, so it does not matter how they interleave.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from messages.candles import Blind
from messages.events import (
    Block,
    EventBlock,
    GapClosed,
    GapOpened,
    Plan,
    ServiceChanged,
    StreamStarted,
    StreamStopped,
    SymbolChanged,
)
from messages.topics import CONTROL, LINK, PLAN, kind, shard
from services.base.clock import SECOND
from services.quotes.projection import POLLED

_PENDING: Final = "pending"


class Span(NamedTuple):
    """A time in which a symbol was blind; UTC nanoseconds."""

    start: int
    end: int
    reason: str


class Timeline(msgspec.Struct, array_like=True):
    """What held from when on. `unsaid` held before anything was said."""

    unsaid: str | None
    times: list[int] = []
    values: list[str | None] = []

    def say(self, time: int, value: str | None) -> None:
        if value == (self.values[-1] if self.values else self.unsaid):
            return
        self.times.append(max(time, self.times[-1]) if self.times else time)
        self.values.append(value)

    def spans(self, start: int, end: int) -> Iterator[tuple[int, int, str | None]]:
        """What held in [start, end), in order."""
        index = bisect_right(self.times, start)
        value = self.values[index - 1] if index else self.unsaid
        while start < end:
            until = min(self.times[index], end) if index < len(self.times) else end
            if start < until:
                yield start, until, value
            if until == end:
                return
            start, value, index = until, self.values[index], index + 1

    def forget(self, before: int) -> None:
        """What held earlier is not asked for any more."""
        index = bisect_right(self.times, before)
        if index > 1:
            self.unsaid = self.values[index - 2]
            del self.times[: index - 1], self.values[: index - 1]


class GapSpan(msgspec.Struct, array_like=True):
    start: int
    end: int | None
    reason: str


class Coverage:
    """All symbols, or `only` some. Times in UTC nanoseconds."""

    def __init__(self, only: Iterable[str] = ()) -> None:
        self._only = frozenset(only)
        self.clear()

    def clear(self) -> None:
        self._state = CoverageState()

    @property
    def state(self) -> "CoverageState":
        """To be saved."""
        return self._state

    def restore(self, state: "CoverageState") -> None:
        self._state = state

    def reset(self, stream: str) -> None:
        """Forget all of one stream: it is going to be folded again from its beginning."""
        state = self._state
        if stream == CONTROL:
            state.wanted, state.down = Timeline("stopped"), {}
        elif stream == PLAN:
            state.served = {}
        else:
            state.said.pop(shard(stream), None)
            state.gaps.pop(shard(stream), None)
            state.epochs.pop(shard(stream), None)

    def apply(self, stream: str, block: Block) -> set[str]:
        """Fold one block of `stream`. Returns the symbols of which the past may look different now."""
        if stream == PLAN:
            assert isinstance(block, Plan)
            self._apply_plan(block)
        elif kind(stream) == LINK:
            assert isinstance(block, EventBlock)
            return self._apply_link(shard(stream), block)
        elif stream == CONTROL:
            assert isinstance(block, EventBlock)
            self._apply_control(block)
        return set()

    def new_epoch(self, gateway: str, epoch: int, time: int) -> None:
        """The gateway has another process: what the last one said holds no more."""
        if self._state.epochs.get(gateway) != epoch:
            self._state.epochs[gateway] = epoch
            for said in self._state.said.get(gateway, {}).values():
                said.say(time, _PENDING)

    def blind(self, symbol: str, start: int, end: int) -> list[Span]:
        """The times in [start, end) in which the symbol was blind, in order, none twice."""
        open_spans = [(start, end)] if start < end else []
        found: list[Span] = []
        for layer in self._layers(symbol, start, end):
            for span in layer:
                if not open_spans:
                    break
                if span.start < end and span.end > start:
                    open_spans = _cut(open_spans, span, found)
        return sorted(found)

    def gap_in(self, symbol: str, start: int, end: int) -> bool:
        """Whether a gap of the ledger reaches into [start, end)."""
        return any(span.start < end and span.end > start for span in self._gaps(symbol, end))

    def next_gap(self, symbol: str, time: int) -> int | None:
        """The first moment from `time` on that lies in a gap of the ledger."""
        starts = [
            max(gap.start, time)
            for gaps in self._state.gaps.values()
            for gap in gaps.get(symbol, ())
            if gap.end is None or gap.end > time
        ]
        return min(starts, default=None)

    def knows(self, symbol: str) -> bool:
        """Whether it was ever planned."""
        return symbol in self._state.served

    def was_told(self, gateway: str, symbol: str, time: int) -> bool:
        """Whether the gateway had said how the symbol is by `time`, as far as this fold goes back."""
        line = self._state.said.get(gateway, {}).get(symbol)
        return line is not None and bool(line.times) and line.times[0] <= time

    def symbols_with_gaps(self) -> set[str]:
        return {symbol for gaps in self._state.gaps.values() for symbol in gaps}

    def forget(self, before: int) -> None:
        """Times before this one are not asked for any more."""
        state = self._state
        lines = [state.wanted, *state.down.values(), *state.served.values()]
        for said in state.said.values():
            lines += said.values()
        for line in lines:
            line.forget(before)
        for gateway, gaps in state.gaps.items():
            kept = {
                symbol: [gap for gap in listed if gap.end is None or gap.end > before]
                for symbol, listed in gaps.items()
            }
            state.gaps[gateway] = {symbol: listed for symbol, listed in kept.items() if listed}

    # --- inside ---

    def _layers(self, symbol: str, start: int, end: int) -> Iterator[Iterable[Span]]:
        state = self._state
        yield _said(state.wanted, start, end)
        served = state.served.get(symbol)
        if served is None:
            yield [Span(start, end, "unplanned")]
            return
        spans = list(served.spans(start, end))
        yield [Span(a, b, "unplanned") for a, b, gateway in spans if gateway is None]
        for a, b, gateway in spans:
            if gateway is not None:
                down = state.down.get(gateway)
                if down is not None:
                    yield _said(down, a, b)
                line = state.said.get(gateway, {}).get(symbol)
                yield _said(line, a, b) if line is not None else [Span(a, b, _PENDING)]
        yield self._gaps(symbol, end)

    def _gaps(self, symbol: str, end: int) -> list[Span]:
        return [
            Span(gap.start, end if gap.end is None else gap.end, gap.reason)
            for gaps in self._state.gaps.values()
            for gap in gaps.get(symbol, ())
        ]

    def _apply_link(self, gateway: str, block: EventBlock) -> set[str]:
        self.new_epoch(gateway, block.epoch, block.time)
        said = self._state.said.setdefault(gateway, {})
        gaps = self._state.gaps.setdefault(gateway, {})
        touched = set()
        for event in block.events:
            match event:
                case SymbolChanged() if not self._only or event.symbol in self._only:
                    reason = event.reason or event.state if event.stale or event.state in POLLED else None
                    said.setdefault(event.symbol, Timeline(_PENDING)).say(block.time, reason)
                case GapOpened() | GapClosed() if not self._only or event.symbol in self._only:
                    _note_gap(gaps.setdefault(event.symbol, []), event)
                    touched.add(event.symbol)
                case _:
                    pass
        return touched

    def _apply_plan(self, plan: Plan) -> None:
        planned = {cut.symbol: cut.gateway for cut in plan.cut}
        planned |= {symbol.symbol: symbol.gateway for symbol in plan.symbols}
        served = self._state.served
        for symbol in served.keys() - planned.keys():
            served[symbol].say(plan.time, None)
        for symbol, gateway in planned.items():
            if not self._only or symbol in self._only:
                served.setdefault(symbol, Timeline(None)).say(plan.time, gateway)

    def _apply_control(self, block: EventBlock) -> None:
        state = self._state
        for event in block.events:
            if isinstance(event, StreamStarted):
                state.wanted.say(block.time, None)
            elif isinstance(event, StreamStopped):
                state.wanted.say(block.time, "stopped")
            elif isinstance(event, ServiceChanged) and kind(event.service) == "gateway":
                line = state.down.setdefault(shard(event.service), Timeline(None))
                line.say(block.time, "service_down" if event.state == "down" else None)


class CoverageState(msgspec.Struct):
    wanted: Timeline = msgspec.field(default_factory=lambda: Timeline("stopped"))
    served: dict[str, Timeline] = {}  # by which gateway; None: by none
    down: dict[str, Timeline] = {}  # by gateway, as all that follow
    said: dict[str, dict[str, Timeline]] = {}
    gaps: dict[str, dict[str, list[GapSpan]]] = {}  # in the order of their start
    epochs: dict[str, int] = {}


def _said(line: Timeline, start: int, end: int) -> list[Span]:
    return [Span(a, b, reason) for a, b, reason in line.spans(start, end) if reason is not None]


def reasons(blind: Iterable[Span]) -> list[Blind]:
    """For how long each reason held, the longest first."""
    lengths: dict[str, int] = {}
    for one in blind:
        lengths[one.reason] = lengths.get(one.reason, 0) + one.end - one.start
    longest_first = sorted(lengths.items(), key=lambda item: (-item[1], item[0]))
    return [Blind(reason=reason, seconds=length / SECOND) for reason, length in longest_first]


def _cut(spans: list[tuple[int, int]], blind: Span, found: list[Span]) -> list[tuple[int, int]]:
    """What is left of `spans` without `blind`; what it takes goes to `found`."""
    left = []
    for start, end in spans:
        a, b = max(start, blind.start), min(end, blind.end)
        if a >= b:
            left.append((start, end))
            continue
        found.append(Span(a, b, blind.reason))
        left += [span for span in ((start, a), (b, end)) if span[0] < span[1]]
    return left


def _note_gap(gaps: list[GapSpan], event: GapOpened | GapClosed) -> None:
    end = event.end if isinstance(event, GapClosed) else None
    known = next((gap for gap in reversed(gaps) if gap.start == event.start), None)
    if known is None:
        gaps.append(GapSpan(event.start, end, event.reason))
    elif end is not None:
        known.end, known.reason = end, event.reason
