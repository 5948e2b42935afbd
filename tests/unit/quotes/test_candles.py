"""Candles: what counts as a trade, what is blind, and that cutting, repeating and merging change no digit."""

from collections.abc import Sequence

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from messages.candles import SECONDS, Candle, Interval
from messages.codec import encode
from messages.events import (
    Bar,
    BarsReceived,
    ContractQualified,
    ContractRolled,
    GapClosed,
    GapOpened,
    StreamStarted,
    SymbolChanged,
    TickBlock,
)
from messages.fields import (
    ASK,
    DELAYED_LAST,
    DELAYED_VOLUME,
    DELAYED_VOLUME_UNIT,
    FIELDS_SINCE,
    LAST,
    MARKET_DATA_TYPE,
    PRICE_MAGNIFIER,
    SOURCE,
    VOLUME,
    VOLUME_UNIT,
)
from services.base.clock import SECOND, iso
from services.quotes.candles import BookState, CandleBook
from tests import blocks
from tests.blocks import NOW, Tick, events, plan
from tests.support import examples

MINUTE = 60 * SECOND
ALL: tuple[Interval, ...] = ("1s", "5s", "1m", "5m", "15m", "1h", "1d")


class Told:
    """A book that is told blocks as the services write them."""

    def __init__(
        self, *intervals: Interval, trusted: Sequence[str] = ("SPY",), since: int = NOW - 3600 * SECOND
    ) -> None:
        self.book = CandleBook(intervals or ALL)
        self._seq = {"ticks": 1, "link": 1}
        if trusted:
            self.book.apply("control", events(StreamStarted(), time=since))
            self.book.apply("plan", plan(*trusted, time=since))
            self.link(*(SymbolChanged(symbol=name, state="live", stale=False) for name in trusted), at=since - NOW)

    def rows(self, *rows: Tick, at: float = 0.0) -> TickBlock:
        block = blocks.ticks(rows, seq=self._seq["ticks"], time=NOW + int(at * SECOND))
        self._seq["ticks"] += len(rows)
        self.book.apply("ticks", block)
        return block

    def link(self, *listed: object, at: float = 0.0) -> None:
        time = NOW + int(at * SECOND) if isinstance(at, float) else NOW + at
        self.book.apply("link", events(*listed, seq=self._seq["link"], time=time))  # type: ignore[arg-type]
        self._seq["link"] += len(listed)

    def subscribed(self, symbol: str = "SPY", *, volume: float = 1000.0, at: float = 0.0, source: float = 0.0) -> None:
        """What a new subscription begins with; the gateway's own rows come behind it."""
        self.rows(
            (symbol, LAST, 99.0, 100.0),
            (symbol, VOLUME, volume),
            (symbol, SOURCE, source),
            (symbol, FIELDS_SINCE, NOW / SECOND + at),
            (symbol, VOLUME_UNIT, 1.0),
            (symbol, DELAYED_VOLUME_UNIT, 1.0),
            at=at,
        )

    def candle(self, interval: Interval = "1m", at: float = 0.0, now: float = 86_400.0, symbol: str = "SPY") -> Candle:
        found = self.perhaps(interval, at, now, symbol)
        assert found is not None
        return found

    def perhaps(
        self, interval: Interval = "1m", at: float = 0.0, now: float = 86_400.0, symbol: str = "SPY"
    ) -> Candle | None:
        span = self.book.span(symbol, interval, NOW + int(at * SECOND))
        assert span is not None
        return self.book.candle(symbol, interval, span, NOW + int(now * SECOND))


# --- what a trade is ---


def test_delayed_trades_beside_live_ones_are_none():
    told = Told()
    told.subscribed(volume=1000)
    told.rows(("SPY", MARKET_DATA_TYPE, 1.0), ("SPY", LAST, 100.0, 100.0), ("SPY", VOLUME, 1100.0), at=1)
    told.rows(("SPY", DELAYED_LAST, 50.0, 100.0), ("SPY", DELAYED_VOLUME, 900.0), at=2)
    told.rows(("SPY", DELAYED_LAST, 51.0, 100.0), ("SPY", DELAYED_VOLUME, 950.0), at=3)
    told.rows(("SPY", LAST, 101.0, 100.0), ("SPY", VOLUME, 1200.0), at=4)
    candle = told.candle()
    assert (candle.open, candle.low, candle.close, candle.volume) == (100.0, 100.0, 101.0, 200.0)


def test_a_candle_holds_what_was_traded_in_its_minute() -> None:
    told = Told()
    told.subscribed()
    told.rows(("SPY", LAST, 100.0, 300.0), ("SPY", VOLUME, 1300.0), at=1)
    told.rows(("SPY", LAST, 102.0, 100.0), ("SPY", VOLUME, 1400.0), at=2)
    told.rows(("SPY", LAST, 98.5, 100.0), ("SPY", VOLUME, 1500.0), at=59)
    told.rows(("SPY", LAST, 200.0, 100.0), ("SPY", VOLUME, 9500.0), at=60)
    candle = told.candle()
    assert (candle.open, candle.high, candle.low, candle.close) == (100.0, 102.0, 98.5, 98.5)
    assert (candle.volume, candle.trades) == (500.0, 3)
    assert candle.vwap == (300 * 100 + 100 * 102 + 100 * 98.5) / 500
    assert (candle.start, candle.end) == (iso(NOW), iso(NOW + MINUTE))
    assert candle.complete
    assert (candle.coverage, candle.blind, candle.source) == (1.0, [], "ib_stream")


def test_what_a_subscription_begins_with_is_no_trade() -> None:
    told = Told()
    told.subscribed()
    assert told.perhaps() is None
    told.rows(("SPY", VOLUME, 1100.0), at=3)  # at the price that is known
    told.subscribed(volume=900_000.0, at=5)  # again: what was traded meanwhile is not known to be of this minute
    candle = told.candle()
    assert (candle.open, candle.close, candle.volume, candle.trades) == (99.0, 99.0, 100.0, 1)


def test_a_trade_at_an_unchanged_price_is_told_by_volume_alone() -> None:
    told = Told()
    told.subscribed()
    told.rows(("SPY", LAST, 100.0, 1.0), ("SPY", VOLUME, 1001.0), ("SPY", VOLUME, 1005.0), ("SPY", ASK, 101.0, 5.0))
    candle = told.candle()
    assert (candle.volume, candle.trades, candle.high) == (5.0, 2, 100.0)


def test_a_count_that_begins_anew_counts_and_a_correction_does_not() -> None:
    told = Told()
    told.subscribed(volume=1000.0)
    told.rows(("SPY", VOLUME, 990.0), at=1)
    assert told.perhaps() is None
    told.rows(("SPY", VOLUME, 995.0), at=2)
    assert told.candle().volume == 5.0
    told.rows(("SPY", VOLUME, 40.0), at=3)
    assert told.candle().volume == 45.0


def test_volume_is_in_shares_or_absent() -> None:
    lots = Told()
    lots.subscribed()
    lots.rows(("SPY", VOLUME_UNIT, 100.0), ("SPY", VOLUME, 1003.0))
    assert lots.candle().volume == 300.0
    nobody_knows = Told()
    nobody_knows.subscribed()
    nobody_knows.rows(("SPY", VOLUME_UNIT, 0.0), ("SPY", VOLUME, 1003.0))
    candle = nobody_knows.candle()
    assert (candle.volume, candle.vwap, candle.trades) == (None, None, 1)


def test_prices_are_in_the_contracts_currency_and_parts_of_a_coin_count() -> None:
    told = Told()
    told.subscribed()
    told.rows(("SPY", PRICE_MAGNIFIER, 100.0), ("SPY", LAST, 12_345.0, 1.0), ("SPY", VOLUME, 1000.00025))
    candle = told.candle()
    assert (candle.close, candle.volume) == (123.45, 0.00025)


def test_invented_prices_never_pass_as_real_ones() -> None:
    told = Told()
    told.subscribed()
    told.rows(("SPY", LAST, 100.0, 1.0), at=1)
    told.rows(("SPY", SOURCE, 10.0), ("SPY", LAST, 100.0, 1.0), at=2)
    assert told.candle().source == "mock"
    assert told.candle("1h").source == "mock"
    unsaid = Told()
    unsaid.rows(("SPY", LAST, 100.0, 1.0), ("SPY", LAST, 101.0, 1.0))
    assert unsaid.perhaps() is None  # nobody said whose prices these are


def test_a_snapshots_prices_are_no_trades() -> None:
    told = Told()
    told.subscribed()
    told.rows(
        ("SPY", LAST, 100.0, 1.0),
        ("SPY", VOLUME, 5000.0),
        ("SPY", SOURCE, 1.0),
        ("SPY", FIELDS_SINCE, NOW / SECOND + 4),
        at=5,
    )
    told.rows(("SPY", LAST, 101.0, 1.0), at=6)
    assert told.perhaps() is None


def test_delayed_prices_say_so_and_count_apart() -> None:
    told = Told()
    told.subscribed()
    told.rows(("SPY", MARKET_DATA_TYPE, 3.0), ("SPY", DELAYED_LAST, 90.0, 1.0), ("SPY", DELAYED_VOLUME, 400.0), at=1)
    assert told.perhaps() is None
    told.rows(("SPY", DELAYED_LAST, 91.0, 1.0), ("SPY", DELAYED_VOLUME, 500.0), at=2)
    candle = told.candle()
    assert (candle.close, candle.volume, candle.market_data_type) == (91.0, 100.0, "delayed")


# --- coverage ---


def test_coverage_is_the_share_in_which_the_price_was_trusted_and_says_why_not() -> None:
    told = Told()
    told.subscribed()
    told.rows(("SPY", LAST, 100.0, 1.0), at=1)
    told.link(SymbolChanged(symbol="SPY", state="stale", stale=True, reason="farm_down"), at=30.0)
    told.link(GapOpened(symbol="SPY", start=NOW + 15 * SECOND, reason="farm_down"), at=30.0)
    assert told.candle(now=45).coverage == 15 / 45 // 1e-6 / 1e6
    assert not told.candle(now=45).complete
    told.link(SymbolChanged(symbol="SPY", state="live", stale=False), at=45.0)
    told.link(GapClosed(symbol="SPY", start=NOW + 15 * SECOND, end=NOW + 45 * SECOND, reason="farm_down"), at=45.0)
    candle = told.candle()
    assert candle.coverage == 0.5
    assert msgspec.to_builtins(candle.blind) == [{"reason": "farm_down", "seconds": 30.0}]


def test_what_is_stopped_unplanned_or_without_its_gateway_is_blind() -> None:
    told = Told(trusted=())
    told.subscribed()
    told.rows(("SPY", LAST, 100.0, 1.0), at=1)
    assert [one.reason for one in told.candle().blind] == ["stopped"]
    told.book.apply("control", events(StreamStarted(), time=NOW + 10 * SECOND))
    told.book.apply("plan", plan("SPY", time=NOW + 20 * SECOND))
    told.link(SymbolChanged(symbol="SPY", state="live", stale=False), at=35.0)
    seen = {one.reason: one.seconds for one in told.candle().blind}
    assert seen == {"stopped": 10.0, "unplanned": 10.0, "pending": 15.0}


def test_an_interval_with_a_gap_and_no_trade_has_a_candle_without_prices() -> None:
    told = Told()
    told.link(GapOpened(symbol="SPY", start=NOW, reason="connection_lost"), at=12.0)
    told.link(GapClosed(symbol="SPY", start=NOW, end=NOW + 3 * MINUTE, reason="connection_lost"), at=180.0)
    candle = told.candle(at=60)
    assert (candle.open, candle.volume, candle.trades, candle.coverage) == (None, None, 0, 0.0)
    assert told.perhaps(at=180) is None  # seen whole, and nothing traded


# --- bars of IB ---


def gap_with_bars(told: Told, *, unit: float = 1.0, mock: bool = False) -> None:
    told.link(GapOpened(symbol="SPY", start=NOW + 70 * SECOND, reason="connection_lost"), at=85.0)
    told.link(
        GapClosed(symbol="SPY", start=NOW + 70 * SECOND, end=NOW + 130 * SECOND, reason="connection_lost"), at=130.0
    )
    bars = [Bar(NOW + n * MINUTE, 110.0 + n, 112.0 + n, 109.0 + n, 111.0 + n, 1000.0 * n) for n in range(4)]
    told.link(
        BarsReceived(symbol="SPY", bar_seconds=60, bars=bars, purpose="gap_fill", mock=mock, volume_unit=unit), at=200.0
    )


def test_a_blind_minute_is_ibs_bar_and_says_so() -> None:
    told = Told()
    told.subscribed()
    told.rows(("SPY", LAST, 100.0, 1.0), ("SPY", VOLUME, 1100.0), at=30)
    told.rows(("SPY", LAST, 101.0, 1.0), ("SPY", VOLUME, 1200.0), at=65)
    gap_with_bars(told)
    told.rows(("SPY", LAST, 103.0, 1.0), ("SPY", VOLUME, 1300.0), at=200)
    minute = told.candle(at=60)
    assert (minute.open, minute.high, minute.low, minute.close, minute.volume) == (111.0, 113.0, 110.0, 112.0, 1000.0)
    assert (minute.filled, minute.source, minute.vwap) == (1.0, "ib_history", None)
    assert minute.coverage == 10 / 60 // 1e-6 / 1e6
    assert told.candle().volume == 100.0  # seen whole: the bar says nothing
    whole = told.candle("5m")
    assert (whole.open, whole.high, whole.low, whole.close) == (100.0, 114.0, 100.0, 103.0)
    assert (whole.volume, whole.trades) == (100.0 + 1000.0 + 2000.0 + 100.0, 2)
    assert (whole.filled, whole.source) == (0.4, "ib_stream")


def test_bars_of_unknown_unit_or_of_a_simulator_are_told_as_such() -> None:
    told = Told()
    gap_with_bars(told, unit=0.0, mock=True)
    candle = told.candle(at=60)
    assert (candle.close, candle.volume, candle.source) == (112.0, None, "mock")


# --- days ---

NEW_YORK = "20260105:0930-20260105:1600;20260106:CLOSED"
EVENING = "20260104:1700-20260105:1600;20260105:1700-20260106:1600"


def qualified(symbol: str, sec_type: str, zone: str, hours: str, liquid: str = "") -> ContractQualified:
    return ContractQualified(
        symbol=symbol, con_id=1, sec_type=sec_type, exchange="X", currency="USD", time_zone=zone, trading_hours=hours,
        liquid_hours=liquid,
    )  # fmt: skip


def test_a_day_is_the_exchanges_session() -> None:
    told = Told()
    told.subscribed()
    told.rows(("SPY", LAST, 100.0, 1.0), at=1)
    day = told.candle("1d")
    assert (day.session, day.hours, day.start) == ("2026-01-05", "utc", "2026-01-05T00:00:00.000000Z")
    told.link(qualified("SPY", "STK", "US/Eastern", "20260105:0400-20260105:2000", NEW_YORK))
    day = told.candle("1d")
    assert (day.session, day.hours) == ("2026-01-05", "exchange")
    assert (day.start, day.end) == ("2026-01-05T14:30:00.000000Z", "2026-01-05T21:00:00.000000Z")
    assert told.book.span("SPY", "1d", NOW - MINUTE) is None  # before the session
    assert told.book.span("SPY", "1d", NOW + 86_400 * SECOND) is None  # a holiday


def test_a_futures_session_begins_on_the_evening_before() -> None:
    told = Told()
    told.link(qualified("ES", "FUT", "US/Central", EVENING, "20260105:0830-20260105:1500"))
    span = told.book.span("ES", "1d", NOW)
    assert span is not None
    assert (span.day, iso(span.start), iso(span.end)) == (
        "2026-01-05", "2026-01-04T23:00:00.000000Z", "2026-01-05T22:00:00.000000Z",
    )  # fmt: skip


def test_hours_of_days_that_are_asked_for_no_more_are_forgotten() -> None:
    told = Told()
    for day in range(5, 25):
        text = ";".join(f"202601{one:02}:0930-202601{one:02}:1600" for one in range(day, day + 6))
        told.link(qualified("SPY", "STK", "US/Eastern", text, text), at=(day - 5) * 86_400.0)
        now = NOW + (day - 5) * 86_400 * SECOND
        told.book.forget(now, now)
        spans = [told.book.span("SPY", "1d", now - back * 86_400 * SECOND) for back in (0, 1) if day - back >= 5]
        assert [span.day for span in spans if span] == [f"2026-01-{one:02}" for one in (day, day - 1) if one >= 5]
    assert len(told.book.state().hours["SPY"]) < 5


# --- the same to the last digit ---

PRICES = st.sampled_from([0.1, 0.2, 0.3, 687.11, 687.12, 1e-5, 123456.789, 1e6 / 3])
KINDS = st.sampled_from([LAST, VOLUME, VOLUME, ASK, DELAYED_LAST, DELAYED_VOLUME])
ROWS = st.lists(
    st.tuples(st.sampled_from(["SPY", "QQQ"]), KINDS, PRICES, st.floats(0, 400), st.floats(0, 1e7)),
    min_size=1,
    max_size=60,
)


def stream(rows: list[tuple[str, int, float, float, float]]) -> list[TickBlock]:
    """A block for each moment; the volume of each symbol rises by what a row says, in thirds of a share."""
    told = Told(trusted=())
    made = [
        told.rows((symbol, SOURCE, 0.0), (symbol, VOLUME_UNIT, 1.0), (symbol, DELAYED_VOLUME_UNIT, 100.0))
        for symbol in ("SPY", "QQQ")
    ]
    counts = {"SPY": 0.0, "QQQ": 0.0}
    time = 0.0
    for symbol, field, price, wait, count in rows:
        time += wait if wait > 200 else 0.0
        counts[symbol] += count / 3
        value = counts[symbol] if field in (VOLUME, DELAYED_VOLUME) else price
        made.append(told.rows((symbol, field, value, 1.0), at=time))
    return made


def trusted_book() -> CandleBook:
    return Told(trusted=("SPY", "QQQ")).book


def everything(book: CandleBook, interval: Interval, told: list[TickBlock]) -> list[bytes]:
    width = SECONDS[interval] * SECOND
    found = []
    for symbol in ("SPY", "QQQ"):
        for time in sorted({block.time - block.time % width for block in told}):
            span = book.span(symbol, interval, time)
            candle = book.candle(symbol, interval, span, NOW + 7 * 86_400 * SECOND) if span else None
            found += [encode(candle)] if candle else []
    return found


def cut(blocks_: list[TickBlock], cuts: set[int]) -> list[TickBlock]:
    """The same rows in other blocks: joined where the moment is the same, and not at the `cuts`."""
    made: list[TickBlock] = []
    for number, block in enumerate(blocks_):
        last = made[-1] if made else None
        if last is None or last.time != block.time or number in cuts:
            made.append(block)
            continue
        ids = {name: index for index, name in zip(last.ids, last.symbols, strict=True)}
        for name in block.symbols:
            ids.setdefault(name, max(ids.values()) + 1)
        renamed = {old: ids[name] for old, name in zip(block.ids, block.symbols, strict=True)}
        numbers = [int.from_bytes(block.symbol[at : at + 4], "little") for at in range(0, len(block.symbol), 4)]
        made[-1] = TickBlock(
            epoch=1,
            first_seq=last.first_seq,
            count=last.count + block.count,
            time=last.time,
            ids=list(ids.values()),
            symbols=list(ids),
            symbol=last.symbol + b"".join(renamed[one].to_bytes(4, "little") for one in numbers),
            field=last.field + block.field,
            value=last.value + block.value,
            size=last.size + block.size,
        )
    return made


@settings(max_examples=examples(60), deadline=None)
@given(ROWS, st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)), st.booleans())
def test_however_blocks_are_cut_repeated_saved_or_forgotten_no_digit_changes(
    rows: list[tuple[str, int, float, float, float]], cuts: set[int], repeats: set[int], forgetful: bool
) -> None:
    blocks_ = stream(rows)
    plainly = trusted_book()
    for block in blocks_:
        plainly.apply("ticks", block)
    otherwise = trusted_book()
    for number, block in enumerate(cut(blocks_, cuts)):
        otherwise.apply("ticks", block)
        if number in repeats:
            again = CandleBook(ALL)
            again.restore(msgspec.json.decode(msgspec.json.encode(otherwise.state()), type=BookState))
            again.apply("ticks", block)
            otherwise = again
        if forgetful:
            otherwise.forget(block.time - block.time % MINUTE, NOW)
    for interval in ("1h", "1d") if forgetful else ALL:
        assert everything(otherwise, interval, blocks_) == everything(plainly, interval, blocks_)


@settings(max_examples=examples(60), deadline=None)
@given(ROWS)
def test_a_coarse_candle_is_the_merge_of_the_fine_ones(rows: list[tuple[str, int, float, float, float]]) -> None:
    book, blocks_ = trusted_book(), stream(rows)
    for block in blocks_:
        book.apply("ticks", block)
    for fine, coarse in (("1s", "5s"), ("5s", "1m"), ("1m", "5m"), ("5m", "15m"), ("15m", "1h"), ("1h", "1d")):
        small = [msgspec.msgpack.decode(one, type=Candle) for one in everything(book, fine, blocks_)]
        for encoded in everything(book, coarse, blocks_):
            whole = msgspec.msgpack.decode(encoded, type=Candle)
            parts = [one for one in small if one.symbol == whole.symbol and whole.start <= one.start < whole.end]
            assert (whole.open, whole.close) == (parts[0].open, parts[-1].close)
            assert whole.high == max(one.high or 0.0 for one in parts)
            assert whole.low == min(one.low or 0.0 for one in parts)
            assert whole.trades == sum(one.trades for one in parts)


def test_a_candle_that_holds_a_roll_says_so_and_no_other_does() -> None:
    book = trusted_book()
    blocks_ = stream([("SPY", LAST, 100.0 + number, 300.0, 1.0) for number in range(6)])
    roll = ContractRolled("SPY", 2, "ESH7", "202703", "20270319", 1, "ESZ6", "202612", "20261218", 5)
    for number, block in enumerate(blocks_):
        book.apply("ticks", block)
        if number == len(blocks_) // 2:
            told = events(roll, time=block.time)
            assert [news.symbol for news in book.apply("link", told)] == ["SPY"]
            book.apply("link", told)  # repeated
    again = CandleBook(ALL)
    again.restore(msgspec.json.decode(msgspec.json.encode(book.state()), type=BookState))
    at = blocks_[len(blocks_) // 2].time
    for known in (book, again):
        for interval in ("1m", "1h"):
            spans = {known.span("SPY", interval, block.time) for block in blocks_}
            found = {s: known.candle("SPY", interval, s, NOW + 10**15) for s in spans if s is not None}
            marked = {s: candle.rolled for s, candle in found.items() if candle is not None and candle.rolled}
            assert all(s.start <= at < s.end and months == "ESZ6 ESH7" for s, months in marked.items())
            assert marked
