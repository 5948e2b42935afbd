"""Quotes: what each kind of row means, and that only the rows and their order count."""

import math
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages import fields as f
from messages.codec import decode_ticks, encode
from messages.events import TickBlock
from messages.views import Quote
from services.gateway.wire.columns import Columns
from services.quotes.book import QuoteBook

T0 = 1_700_000_000_000_000_000  # 2023-11-14T22:13:20Z
SECOND = 1_000_000_000
NAN = math.nan
NAMES = {1: "SPY", 2: "QQQ", 3: "VIX", 1001: "SPY"}  # SPY under two ids: its stream's, and the gateway's own

Row = tuple[int, int, float | str, float]


def block(rows: list[Row], first_seq: int = 1, time: int = T0, epoch: int = 1) -> TickBlock:
    columns = Columns()
    for symbol_id, field, value, size in rows:
        if isinstance(value, str):
            columns.add_text(symbol_id, field, value)
        else:
            columns.add(symbol_id, field, value, size)
    return decode_ticks(encode(columns.to_block(epoch, first_seq, time, NAMES)))


def quote_of(*rows: tuple[int, float | str] | tuple[int, float | str, float]) -> Quote:
    """SPY's quote after rows (field, value, size)."""
    book = QuoteBook()
    book.apply(block([(1, row[0], row[1], row[2] if len(row) == 3 else NAN) for row in rows]))
    quote = book.quote("SPY")
    assert quote is not None
    return quote


def test_a_whole_quote():
    quote = quote_of(
        (f.SOURCE, f.SOURCE_STREAM),
        (f.CURRENCY, "USD"),
        (f.EXCHANGE, "ARCA"),
        (f.MARKET_DATA_TYPE, 1),
        (f.BID, 411.25, 300),
        (f.BID_SIZE, 300),
        (f.ASK, 411.27, 100),
        (f.ASK_SIZE, 200),
        (f.LAST, 411.26, 25),
        (f.LAST_TIME, 1_700_000_000),
        (f.HIGH, 412, 0),
        (f.LOW, 409.5, 0),
        (f.OPEN, 410, 0),
        (f.CLOSE, 408.25, 0),
        (f.VOLUME, 58_012_345.5),
        (f.VOLUME_UNIT, 1),
        (f.HALTED, 0),
    )
    assert msgspec.to_builtins(quote) == {
        "symbol": "SPY",
        "timestamp": "2023-11-14T22:13:20.000000Z",
        "source": "ib_stream",
        "bid": 411.25,
        "ask": 411.27,
        "last": 411.26,
        "close": 408.25,
        "open": 410,
        "high": 412,
        "low": 409.5,
        "bid_size": 300,
        "ask_size": 200,
        "last_size": 25,
        "volume": 58_012_345.5,
        "currency": "USD",
        "exchange": "ARCA",
        "market_data_type": "realtime",
        "exchange_time": "2023-11-14T22:13:20.000000Z",
        "halted": False,
        "stale": False,
        "epoch": 1,
        "seq": 17,
    }


@pytest.mark.parametrize("price", [-1, 0, -1.0])
@pytest.mark.parametrize("size", [0, NAN])
@pytest.mark.parametrize("field", [f.BID, f.ASK, f.LAST, f.HIGH, f.CLOSE, f.DELAYED_BID])
def test_no_data_withdraws_a_price(price, size, field):
    name = f.QUOTE_FIELD[field]
    before = (field, 10.5, 100)
    assert getattr(quote_of(before, (field, price, size)), name) is None
    assert getattr(quote_of(before, (field, price, size), (field, 11, 5)), name) == 11


def test_a_price_of_minus_one_with_a_size_is_a_price():
    assert quote_of((f.BID, -1, 3)).bid == -1
    assert quote_of((f.LAST, -37.63, 0)).last == -37.63


def test_the_size_of_a_withdrawn_price_is_absent_and_a_size_of_zero_beside_a_price_is_there():
    quote = quote_of((f.BID, 10, 300), (f.BID, -1, 0), (f.BID_SIZE, 0), (f.ASK, 11, 0), (f.ASK_SIZE, 0))
    assert (quote.bid, quote.bid_size, quote.ask, quote.ask_size) == (None, None, 11, 0)


def test_a_quote_stays_when_its_only_price_is_withdrawn():
    assert quote_of((f.BID, 10, 300), (f.BID, -1, 0)).timestamp == "2023-11-14T22:13:20.000000Z"
    assert quote_of((f.BID, -1, 0), (f.CLOSE, 0, 0)).timestamp is None


@pytest.mark.parametrize("size", [-1, -0.5, -9223372036854775808])
def test_a_size_below_zero_is_none(size):
    quote = quote_of((f.BID, 10, size), (f.ASK, 11, 5), (f.ASK_SIZE, size), (f.LAST_SIZE, size))
    assert (quote.bid, quote.ask, quote.bid_size, quote.ask_size, quote.last_size) == (10, 11, None, None, None)


@pytest.mark.parametrize("data_type", [1, 2])
def test_a_delayed_row_is_no_part_of_what_is_not_delayed(data_type):
    rows = [(f.MARKET_DATA_TYPE, data_type), (f.LAST, 11, 5), (f.DELAYED_LAST, 10, 7), (f.DELAYED_BID, 9, 7)]
    quote = quote_of(*rows)
    assert (quote.last, quote.last_size, quote.bid, quote.bid_size) == (11, 5, None, None)
    assert quote_of(*rows, (f.MARKET_DATA_TYPE, 3)).last == 10


def test_the_newer_of_two_sizes_counts():
    assert quote_of((f.BID, 10, 300), (f.BID_SIZE, 200)).bid_size == 200
    assert quote_of((f.BID_SIZE, 200), (f.BID, 10, 300)).bid_size == 300
    assert quote_of((f.BID_SIZE, 200), (f.BID, 10, NAN)).bid_size is None


def test_unset_and_impossible_values_are_absent():
    quote = quote_of(
        (f.BID, math.inf, 1),
        (f.ASK, 1.7976931348623157e308, 1),
        (f.LAST, NAN, 1),
        (f.CLOSE, 5),
        (f.VOLUME, NAN),
        (f.LAST_TIME, 9e18),
        (f.MARKET_DATA_TYPE, 9),
        (f.SOURCE, 77),
        (f.CURRENCY, ""),
    )
    present = {name for name in quote.__struct_fields__ if getattr(quote, name) is not None}
    sizes = {"bid_size", "ask_size", "last_size"}
    assert present == {"symbol", "timestamp", "close", "stale", "epoch", "seq"} | sizes


def test_delayed_fields_are_the_same_quote_fields():
    quote = quote_of(
        (f.MARKET_DATA_TYPE, 3),
        (f.DELAYED_BID, 10, 1),
        (f.DELAYED_ASK, 11, 2),
        (f.DELAYED_LAST, 10.5, 3),
        (f.DELAYED_LAST_SIZE, 4),
        (f.DELAYED_HIGH, 12),
        (f.DELAYED_LOW, 9),
        (f.DELAYED_VOLUME, 100),
        (f.DELAYED_VOLUME_UNIT, 40),
        (f.DELAYED_CLOSE, 8),
        (f.DELAYED_OPEN, 8.5),
        (f.DELAYED_LAST_TIME, 1_700_000_000),
        (f.DELAYED_HALTED, 2),
    )
    assert (quote.bid, quote.bid_size, quote.ask, quote.ask_size, quote.last, quote.last_size) == (
        10,
        1,
        11,
        2,
        10.5,
        4,
    )
    assert (quote.high, quote.low, quote.volume, quote.close, quote.open) == (12, 9, 4000, 8, 8.5)
    assert (quote.exchange_time, quote.halted) == ("2023-11-14T22:13:20.000000Z", True)
    assert quote.market_data_type == "delayed"
    assert quote_of((f.DELAYED_BID, 10, 1), (f.BID, 10.25, 5)).bid == 10.25
    assert quote_of((f.BID, 10.25, 5), (f.DELAYED_BID, 10, 1)).bid_size == 1


@pytest.mark.parametrize(("value", "halted"), [(-1, None), (0, False), (1, True), (2, True)])
def test_halted(value, halted):
    assert quote_of((f.BID, 1, 1), (f.HALTED, value)).halted is halted


def test_a_last_time_of_zero_means_nothing():
    assert quote_of((f.BID, 1, 1), (f.LAST_TIME, 0)).exchange_time is None


@pytest.mark.parametrize(("source", "word"), f.SOURCES.items())
def test_sources(source, word):
    assert quote_of((f.BID, 1, 1), (f.SOURCE, source)).source == word


def test_the_timestamp_is_when_a_bid_ask_last_or_size_was_received():
    book = QuoteBook()

    def after(seconds: int, *rows: Row) -> str | None:
        book.apply(block(list(rows), first_seq=1 + 10 * seconds, time=T0 + seconds * SECOND))
        quote = book.quote("SPY")
        assert quote is not None
        return quote.timestamp

    assert after(0, (1, f.CURRENCY, "USD", NAN)) is None
    assert after(1, (1, f.BID, -1, 0)) is None
    assert after(2, (1, f.CLOSE, 8, 0)) == "2023-11-14T22:13:22.000000Z"
    assert after(3, (1, f.LAST, 9, 100)) == "2023-11-14T22:13:23.000000Z"
    assert after(4, (1, f.CLOSE, 8, 0), (1, f.HALTED, 0, NAN)) == "2023-11-14T22:13:23.000000Z"
    assert after(5, (1, f.ASK_SIZE, 100, NAN)) == "2023-11-14T22:13:25.000000Z"
    assert book.price_time("SPY") == T0 + 5 * SECOND
    assert after(6, (1, f.LAST, 7, NAN), (1, f.PRICE_TIME, 1_600_000_000, NAN)) == "2020-09-13T12:26:40.000000Z"
    assert after(7, (1, f.LAST, 7.5, 10)) == "2023-11-14T22:13:27.000000Z"
    withdrawn = ((1, f.ASK, -1, 0), (1, f.ASK_SIZE, 0, NAN), (1, f.BID, -1, 0), (1, f.BID_SIZE, 0, NAN))
    assert after(8, *withdrawn) == "2023-11-14T22:13:27.000000Z"
    assert book.price_time("QQQ") == 0


def test_what_was_brought_before_its_source_was_asked_is_not_part_of_the_quote():
    book = QuoteBook()
    book.apply(block([(1, f.BID, 100.0, 100), (1, f.ASK, 100.1, 100), (1, f.LAST, 100.05, 100)]))
    asked = T0 + 60 * SECOND
    rows = [
        (2, f.LAST, 95.0, 100.0),
        (3, f.SOURCE, float(f.SOURCE_SNAPSHOT), NAN),
        (3, f.FIELDS_SINCE, asked / SECOND, NAN),
    ]
    names = NAMES | {2: "SPY", 3: "SPY"}
    columns = Columns()
    for row in rows:
        columns.add(*row)
    book.apply(columns.to_block(1, 10, asked + SECOND // 2, names))
    quote = book.quote("SPY")
    assert quote is not None
    assert (quote.bid, quote.ask, quote.bid_size, quote.last, quote.source) == (None, None, None, 95.0, "ib_snapshot")
    assert quote.since == "2023-11-14T22:14:20.000000Z" and quote.timestamp == "2023-11-14T22:14:20.500000Z"


def test_prices_are_divided_by_the_magnifier_and_say_so():
    quote = quote_of(
        (f.LAST, 450.25, 1),
        (f.HIGH, 451.5, 0),
        (f.VOLUME, 7),
        (f.VOLUME_UNIT, 1),
        (f.PRICE_MAGNIFIER, 100),
        (f.MULTIPLIER, 5000),
    )
    assert (quote.last, quote.high, quote.volume) == (4.5025, 4.515, 7)
    assert (quote.price_magnifier, quote.multiplier) == (100, 5000)
    plain = quote_of((f.LAST, 450.25, 1), (f.PRICE_MAGNIFIER, 1), (f.MULTIPLIER, 1))
    assert (plain.last, plain.price_magnifier, plain.multiplier) == (450.25, None, None)


@pytest.mark.parametrize(
    ("rows", "volume", "raw"),
    [
        ([(f.VOLUME, 4523)], None, 4523),
        ([(f.VOLUME, 4523), (f.VOLUME_UNIT, 0)], None, 4523),
        ([(f.VOLUME, 4523), (f.VOLUME_UNIT, 100)], 452_300, None),
        ([(f.VOLUME_UNIT, 1), (f.VOLUME, 4523.5)], 4523.5, None),
        ([(f.DELAYED_VOLUME, 812_670), (f.DELAYED_VOLUME_UNIT, 40)], 32_506_800, None),
        ([(f.DELAYED_VOLUME, 812_670), (f.VOLUME_UNIT, 1)], None, 812_670),
        ([(f.DELAYED_VOLUME, 5), (f.VOLUME, 7), (f.VOLUME_UNIT, 1), (f.DELAYED_VOLUME_UNIT, 0)], 7, None),
        ([(f.DELAYED_VOLUME, -1_553_556_175), (f.DELAYED_VOLUME_UNIT, 40)], None, None),
        ([(f.VOLUME, -1_553_556_175), (f.VOLUME_UNIT, 1)], 2_741_411_121, None),
        ([(f.VOLUME, -1_553_556_175)], None, -1_553_556_175),
        ([(f.VOLUME, -1), (f.VOLUME_UNIT, 1)], None, None),
        ([(f.VOLUME, NAN), (f.VOLUME_UNIT, 1)], None, None),
    ],
)
def test_volume_is_given_in_shares_or_not_at_all(rows, volume, raw):
    quote = quote_of((f.BID, 10.0, 100), *rows)
    assert (quote.volume, quote.volume_raw) == (volume, raw)


def test_sizes_are_given_in_shares_or_not_at_all():
    rows = ((f.BID, 10.0, 3), (f.ASK_SIZE, 5), (f.LAST, 10.5, 1), (f.ASK, 11.0, 7))
    plain = quote_of(*rows)
    assert (plain.bid_size, plain.ask_size, plain.last_size) == (3, 7, 1)
    lots = quote_of(*rows, (f.SIZE_UNIT, 100))
    assert (lots.bid_size, lots.ask_size, lots.last_size) == (300, 700, 100)
    unknown = quote_of(*rows, (f.SIZE_UNIT, 0))
    assert (unknown.bid, unknown.bid_size, unknown.ask_size, unknown.last_size) == (10.0, None, None, None)


def test_a_quote_with_only_a_close_has_the_time_of_the_close():
    assert quote_of((f.CLOSE, 8, 0)).timestamp == "2023-11-14T22:13:20.000000Z"


def test_changed_symbols_and_their_seq_and_epoch():
    book = QuoteBook()
    assert book.quote("SPY") is None
    assert book.apply(block([(1, f.BID, 10, 1), (2, f.BID, 20, 1), (1, f.ASK, 11, 1)])) == {"SPY", "QQQ"}
    assert book.apply(block([(2, f.BID, 20, 1), (1, 22, 10.5, NAN)], first_seq=4, epoch=2)) == {"QQQ"}
    spy, qqq = book.quote("SPY"), book.quote("QQQ", stale=True, reason="link_down")
    assert spy is not None and qqq is not None
    assert (spy.seq, spy.epoch, qqq.seq, qqq.epoch) == (3, 1, 4, 2)
    assert (qqq.stale, qqq.reason, spy.stale) == (True, "link_down", False)
    assert sorted(book.symbols()) == ["QQQ", "SPY"]


def test_texts_of_other_fields_are_left_alone():
    assert quote_of((84, "K"), (f.CURRENCY, "USD"), (32, "NPQ"), (f.BID, 1, 1)).currency == "USD"


# --- properties --------------------------------------------------------------------------------------------

values = st.sampled_from([-1.0, 0.0, 1.0, 2.0, 10.25, 1.7e9, NAN, math.inf]) | st.floats(allow_nan=False, width=32)
numeric = st.tuples(
    st.sampled_from(sorted(NAMES)),
    st.sampled_from(sorted({*f.QUOTE_FIELD, f.PRICE_TIME, 22} - f.TEXT_FIELDS)),
    values,
    st.sampled_from([NAN, 0.0, 100.0]),
)
text = st.tuples(st.sampled_from(sorted(NAMES)), st.sampled_from([f.CURRENCY, f.EXCHANGE, 84]), st.text(), st.just(NAN))
many_rows = st.lists(numeric | text, max_size=60)


def quotes(book: QuoteBook) -> dict[str, Quote | None]:
    return {symbol: book.quote(symbol) for symbol in sorted(book.symbols())}


@given(rows=many_rows, data=st.data())
def test_how_ticks_are_cut_into_blocks_does_not_matter(rows, data):
    whole, cut, single = QuoteBook(), QuoteBook(), QuoteBook()
    changed = whole.apply(block(rows))
    points = [0, *sorted(data.draw(st.sets(st.integers(0, len(rows)), max_size=5))), len(rows)]
    changed_cut = set()
    for start, stop in pairwise(points):
        changed_cut |= cut.apply(block(rows[start:stop], first_seq=1 + start))
    for at, row in enumerate(rows):
        single.apply(block([row], first_seq=1 + at))
    assert quotes(whole) == quotes(cut) == quotes(single)
    assert changed == changed_cut


@given(before=many_rows, after=many_rows)
def test_a_saved_book_goes_on_as_if_nothing_had_happened(before, after):
    book = QuoteBook()
    book.apply(block(before))
    loaded = QuoteBook.load(book.dump())
    assert quotes(loaded) == quotes(book)
    last = block(after, first_seq=1 + len(before), time=T0 + 1, epoch=2)
    assert loaded.apply(last) == book.apply(last)
    assert quotes(loaded) == quotes(book)


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x91\x01", encode({"a": 1})])
def test_foreign_bytes_are_not_loaded(data):
    with pytest.raises(msgspec.MsgspecError):
        QuoteBook.load(data)


@pytest.mark.parametrize(
    "damage",
    [{"count": 3}, {"field": b"\1"}, {"size": b""}, {"ids": [1]}, {"ids": [], "symbols": []}, {"ids": [1, 5]}],
)
def test_a_block_that_does_not_fit_together_is_refused_whole(damage):
    good = block([(1, f.BID, 10, 1), (2, f.BID, 20, 1)])
    book = QuoteBook()
    book.apply(good)
    before = book.dump()
    with pytest.raises(ValueError, match="tick block"):
        book.apply(msgspec.structs.replace(good, first_seq=3, **damage))
    assert book.dump() == before


@given(
    found=st.lists(st.tuples(st.lists(numeric | text, max_size=8), st.booleans()), max_size=12), odd=st.integers(0, 3)
)
def test_many_blocks_at_once_are_folded_as_one_after_the_other(found, odd):
    blocks, first = [], 1
    for number, (rows, later) in enumerate(found):
        made = block(rows, first, T0 + number * 1000, epoch=1 + later)
        if odd and number % 4 == odd:  # the ids mean other symbols now
            made = msgspec.structs.replace(made, symbols=[f"{name}{odd}" for name in made.symbols])
        blocks.append(made)
        first += made.count
    single, many = QuoteBook(), QuoteBook()
    changed = {symbol for made in blocks for symbol in single.apply(made)}
    assert many.apply_all(blocks) == changed
    assert quotes(many) == quotes(single)
    assert many.symbols() == single.symbols()


def test_a_block_that_does_not_fit_together_is_refused_among_many_too():
    good, last = block([(1, f.BID, 1.0, 1.0)]), block([(1, f.BID, 3.0, 1.0)], 3)
    for bad in (msgspec.structs.replace(good, count=2), msgspec.structs.replace(good, ids=[7])):
        book = QuoteBook()
        with pytest.raises(ValueError, match="a tick block"):
            book.apply_all([good, bad, last])
        assert book.quote("SPY").bid == 1.0
