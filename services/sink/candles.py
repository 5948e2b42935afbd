"""The sink's candles: kept from the streams that it follows, and published to whoever listens.

Hung on the sink's loop, and apart from its prices: they do not wait for a candle, nor does a candle's state stand in
theirs. Guarantees: on `candle.{interval}.{SYMBOL}` comes what services/quotes/candles.py makes of the journal; a candle
under way once in a while when it has changed, at once to a new subscriber, and one that is over SETTLE_SECONDS later,
when all that is known to be journalled is folded; that one again when more is learned of it within REVISED. So many a
turn and no more; nothing is made that nobody listens to. What is kept is saved every few minutes: a restart
reads the rest from the journal, and without a saved state the last day, a slice a turn.
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Final

import msgspec
import structlog

from messages.candles import SECONDS, Interval
from messages.codec import decoder, encode
from messages.errors import IbStreamError
from messages.events import Block, TickBlock
from messages.topics import CANDLE_PREFIX, TICKS, candle_topic, kind, shard
from services.base.clock import MINUTE, SECOND
from services.base.settings_rules import candle_intervals
from services.journal import saved_state
from services.journal.cursor import Cursor
from services.quotes.candles import LONGEST, BookState, CandleBook, News
from services.quotes.checkpoints import checkpoint_before
from services.runtime.follow import Follower
from services.runtime.process import Service
from services.runtime.replay_endpoint import RemoteSource

log = structlog.get_logger()

STATE_FILE: Final = "candles.state"
STATE_VERSION: Final = 2  # raise it when the fold changes
SETTLE_SECONDS: Final = 0.5  # after its end, for what was received in a candle to be here
REVISED: Final = 10 * MINUTE  # after its end, in which a candle is published again when it changed
KEPT: Final = REVISED + 15 * MINUTE  # minutes: as many as the longest candle that is made of them alone, and REVISED
SECONDS_KEPT: Final = MINUTE  # of candles that are made of seconds, in which they are revised too
PARTS: Final = 60  # a candle under way is published so often in its time, and at most once a second
LEAST_PAUSE: Final = 1.0
MOST_PAUSE: Final = 15.0
A_TURN: Final = 40  # candles published in one turn of the loop: about a millisecond
SLICE_BYTES: Final = 1 << 18  # read in one turn to catch up
SAVE_SECONDS: Final = 300.0  # a thousand symbols take 40 ms
CLOSE_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 0.5  # between two looks at what is due
BEHIND_SECONDS: Final = 0.001  # between two turns while there is more to catch up with


class _Saved(msgspec.Struct, kw_only=True):
    version: int = STATE_VERSION
    cursors: dict[str, Cursor]
    times: dict[str, int]
    intervals: list[str]
    book: bytes  # BookState as JSON


_decode_book: Callable[[bytes], BookState] = msgspec.json.Decoder(BookState).decode


class Candles:
    """Ask it for a handler for each stream with `beside`, and call `turn` once a turn."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._publisher = service.publisher
        self._intervals = candle_intervals(service.settings)
        self._path = service.settings.state_dir / STATE_FILE
        self._followers: dict[str, Follower] = {}
        self._times: dict[str, int] = {}  # of the last block of each stream
        self._book = CandleBook(self._intervals)
        self._begin: dict[str, Cursor] = {}
        if self._intervals:
            try:
                self._load()
            except IbStreamError as error:
                self._give_up(error)
        self._traded: dict[str, int] = {}  # symbols, and when they traded last
        now = self._time = service.clock.now()  # UTC ns that pass though the clock is set back, as the gateways' do
        self._time_at = service.clock.monotonic()
        self._over = dict.fromkeys(self._intervals, now)  # candles that ended by then have been published
        self._shown = dict.fromkeys(self._intervals, now)  # when those under way were published last
        self._waiting: dict[tuple[Interval, str, int], None] = {}  # candles to be published, by their start
        self._forget_due = now
        self._save_due = service.clock.monotonic() + SAVE_SECONDS
        self.published = 0

    def beside(self, stream: str, apply: Callable[[Block], None]) -> Callable[[Block], None]:
        """What to follow `stream` with: `apply`, and then this."""
        if not self._intervals:
            return apply
        source = self._service.source(stream)
        follower = self._followers[stream] = Follower(
            stream,
            source,
            partial(self._apply, stream),
            partial(self._restart, stream),
            self._begin.get(stream),
            SLICE_BYTES,
            time=self._times.get(stream, 0),
            unproven=isinstance(source, RemoteSource),
        )

        def both(block: Block) -> None:
            apply(block)
            if self._intervals:  # they may have been given up since
                follower.on_block(block, self._service.followers[stream].payload)

        return both

    def turn(self, at: float, now: int) -> float:
        """Seconds until it wants to be called again. `at` is on a clock that never goes back, `now` UTC nanoseconds."""
        if not self._intervals:
            return math.inf
        now = self._time = max(now, self._time + int((at - self._time_at) * SECOND))
        self._time_at = at
        if self._catch_up():
            return BEHIND_SECONDS
        if not self._intervals:
            return math.inf
        if any(follower.behind for follower in self._followers.values()):
            return LOOK_SECONDS
        self._look_who_listens(now)
        self._find_due(now)
        self._publish(now)
        if now >= self._forget_due:
            self._forget_due = now - now % MINUTE + MINUTE
            self._book.forget(now - now % MINUTE - KEPT, now - SECONDS_KEPT)
        if at >= self._save_due:
            self._save(at)
        return 0.0 if self._waiting else LOOK_SECONDS

    def close(self) -> None:
        """Keep what is folded, for the next start."""
        until = self._service.clock.monotonic() + CLOSE_SECONDS
        while self._catch_up() and self._service.clock.monotonic() < until:
            pass
        if self._intervals:
            self._save(0.0)

    def _catch_up(self) -> bool:
        """Fold a slice of what was missed: all that the sink's prices have seen. True when there is more."""
        for stream, follower in self._followers.items():
            seen = self._service.followers[stream].cursor
            if seen.seq > follower.cursor.seq:
                follower.on_head(seen.epoch, seen.seq)
        try:
            return any(follower.behind and follower.step() for follower in self._followers.values())
        except IbStreamError as error:
            self._give_up(error)
            return False

    def _give_up(self, error: IbStreamError) -> None:
        """Prices go on without candles: what is wrong with the past is no reason to have none."""
        log.error("candles_stopped", code=error.code, message=error.message)
        self._intervals = ()
        self._followers.clear()

    def _save(self, at: float) -> None:
        self._save_due = at + SAVE_SECONDS
        saved = _Saved(
            cursors={stream: follower.cursor for stream, follower in self._followers.items()},
            times=self._times,
            intervals=list(self._intervals),
            book=msgspec.json.encode(self._book.state()),
        )
        saved_state.save(self._path, saved)

    # --- what comes in ---

    def _apply(self, stream: str, block: Block) -> None:
        news = self._book.apply(stream, block)
        self._times[stream] = block.time
        if isinstance(block, TickBlock):
            for one in news:
                self._traded[one.symbol] = block.time
        elif not news and self._is_late(block.time):
            news = [News(symbol, block.time, block.time + 1) for symbol in self._traded]
        for one in news:
            if self._is_late(one.start):
                self._revise(one)

    def _restart(self, stream: str) -> None:
        log.warning("candles_folded_again", stream=stream)
        self._book.reset(stream)

    def _is_late(self, time: int) -> bool:
        """Whether a candle that `time` lies in may have been published as one that is over."""
        finest = self._intervals[0]
        return time < self._over[finest] - self._over[finest] % (SECONDS[finest] * SECOND)

    def _revise(self, news: News) -> None:
        """Publish again those of its candles that are over."""
        for interval in self._intervals:
            over = self._over[interval]
            kept = SECONDS_KEPT // 2 if SECONDS[interval] < 60 else REVISED
            time = max(news.start, over - kept - SECONDS[interval] * SECOND)
            while time < min(news.end, over):
                span = self._book.span(news.symbol, interval, time)
                if span is not None and over - kept < span.end <= over:
                    self._waiting[interval, news.symbol, span.start] = None
                time = span.end if span is not None else time + MINUTE

    # --- what goes out ---

    def _look_who_listens(self, now: int) -> None:
        """A new subscriber gets the newest of what it asks for."""
        for prefix in self._publisher.new_subscriptions():
            if CANDLE_PREFIX.startswith(prefix) or prefix.startswith(CANDLE_PREFIX):
                for interval in self._intervals:
                    for symbol in self._heard(interval):
                        if candle_topic(interval, symbol).startswith(prefix):
                            self._show_newest(interval, symbol, now)

    def _heard(self, interval: Interval) -> list[str]:
        """The symbols whose candles somebody listens to."""
        begin = candle_topic(interval, "")
        if self._publisher.wants(begin):
            return sorted(self._book.symbols())
        ends = tuple(topic.removeprefix(begin) for topic in self._publisher.subscribed if topic.startswith(begin))
        return sorted(symbol for symbol in self._book.symbols() if symbol.startswith(ends)) if ends else []

    def _show_newest(self, interval: Interval, symbol: str, now: int) -> None:
        """The candle under way, or the last one while nothing has traded in it."""
        span = self._book.span(symbol, interval, now)
        if span is None or self._book.candle(symbol, interval, span, now) is None:
            span = self._book.span(symbol, interval, self._traded.get(symbol, now - SECONDS[interval] * SECOND))
        if span is not None:
            self._waiting[interval, symbol, span.start] = None

    def _find_due(self, now: int) -> None:
        settled = now - int(SETTLE_SECONDS * SECOND)
        for interval in self._intervals:
            step = min(SECONDS[interval], 60 if interval == "1d" else SECONDS[interval]) * SECOND
            over, self._over[interval] = self._over[interval], max(settled, self._over[interval])
            if settled // step > over // step:
                for symbol in self._heard(interval):
                    self._find_over(interval, symbol, max(over, settled - REVISED), settled)
            pause = min(max(SECONDS[interval] / PARTS, LEAST_PAUSE), MOST_PAUSE)
            if now - self._shown[interval] >= int(pause * SECOND):
                since, self._shown[interval] = self._shown[interval], now
                for symbol in self._heard(interval):
                    self._find_changed(interval, symbol, since, now)

    def _find_over(self, interval: Interval, symbol: str, after: int, settled: int) -> None:
        """Those that ended after `after`, and by `settled`."""
        time = after - after % SECOND
        while time < settled:
            span = self._book.span(symbol, interval, time)
            if span is not None and after < span.end <= settled:
                self._waiting[interval, symbol, span.start] = None
            time = span.end if span is not None else time + MINUTE

    def _find_changed(self, interval: Interval, symbol: str, since: int, now: int) -> None:
        """That one under way, if something was traded since then."""
        time = self._traded.get(symbol, 0)
        span = self._book.span(symbol, interval, now) if time >= since - SECOND else None
        if span is not None and time >= span.start:
            self._waiting[interval, symbol, span.start] = None

    def _publish(self, now: int) -> None:
        for interval, symbol, start in list(islice(self._waiting, A_TURN)):
            del self._waiting[interval, symbol, start]
            span = self._book.span(symbol, interval, start)
            topic = candle_topic(interval, symbol)
            if span is None or not self._publisher.wants(topic):
                continue
            candle = self._book.candle(symbol, interval, span, now)
            if candle is not None and (
                not candle.complete or span.end <= self._over[interval]
            ):  # else it comes settled
                self._publisher.send(topic, encode(candle))
                self.published += 1

    # --- state ---

    def _load(self) -> None:
        """The saved state; without one, the newest checkpoint from which all of the longest candle can be had."""
        settings = self._service.settings
        saved = saved_state.read(self._path, self._checked)
        if saved is not None:
            foreign = saved_state.of_another_journal(settings, saved.cursors, saved.times)
            if not foreign:
                self._book.restore(_decode_book(saved.book))
                self._begin, self._times = saved.cursors, saved.times
                return
        projection, cursors = checkpoint_before(settings.journal_dir, self._service.clock.now() - LONGEST)
        for stream, cursor in cursors.items():
            if kind(stream) == TICKS:
                self._begin[stream] = cursor
                self._times[stream] = projection.times.get(stream, 0)
                trades = self._book.trades(shard(stream))
                for symbol in projection.symbols():
                    trades.begin(symbol, projection.rows(stream, symbol))

    def _checked(self, data: bytes) -> _Saved:
        saved = _decode_saved(saved_state.opened(data, STATE_VERSION))
        if saved.intervals != list(self._intervals):
            raise ValueError("it is of other intervals (IBSTREAM_CANDLES)")
        return saved


_decode_saved: Callable[[bytes], _Saved] = decoder(_Saved)
