"""Generic ticks and option computations in a quote: by name, in the right units, and only of the source in force."""

import msgspec
import pytest

from messages import fields as f
from messages.views import Quote
from services.quotes.book import QuoteBook
from tests.blocks import NAN, NOW, ticks

SECOND = 1_000_000_000


def quote(rows: list[tuple[int, float | str]], more: list[tuple[int, float | str]] | None = None) -> Quote:
    """SPY's quote after one block of (field, value), and a second one a second later."""
    book = QuoteBook()
    for number, block in enumerate((rows, more or [])):
        texts: list[str] = []
        made = []
        for field, value in block:
            if isinstance(value, str):
                made.append(("SPY", field, float(len(texts)), NAN))
                texts.append(value)
            else:
                made.append(("SPY", field, value, NAN))
        book.apply(ticks(made, seq=1 + 100 * number, time=NOW + number * SECOND, texts=texts))
    found = book.quote("SPY")
    assert found is not None
    return found


def plain(value: object) -> object:
    return msgspec.to_builtins(value)


def test_numbers_prices_and_counts_have_names_and_units() -> None:
    found = quote([
        (f.SIZE_UNIT, 1), (f.VOLUME_UNIT, 100), (f.PRICE_MAGNIFIER, 100), (19, 5050.0), (20, 9900.0), (37, 7011.0),
        (46, 3.0), (89, 85_888_008.0), (54, 12_345.0), (63, 20.0), (35, -1.0), (36, 400.0), (21, 770.0), (109, "Q"),
        (107, 25.0),
    ])  # fmt: skip
    assert plain(found.generic) == {
        "low_52_week": 50.5,
        "high_52_week": 99.0,
        "mark_price": 70.11,
        "shortable": 3.0,
        "shortable_shares": 85_888_008.0,
        "trade_count": 12_345.0,
        "short_term_volume_3_min": 2_000.0,
        "auction_imbalance": 400.0,
        "avg_volume_raw": 770.0,
        "odd_lot_bid_exch": "Q",
        "odd_lot_bid_size": 25.0,
    }
    assert found.timestamp is None  # none of these is a price to trade at


def test_a_trade_report_is_scaled_and_without_its_unit_has_no_size() -> None:
    text = "70128;2;1348075471534;67854;70146.9;true"
    known = quote([(f.SIZE_UNIT, 100), (f.VOLUME_UNIT, 100), (f.PRICE_MAGNIFIER, 100), (48, text), (77, text)])
    assert known.generic is not None and known.generic.rt_volume is not None
    report = known.generic.rt_volume
    assert (report.price, report.vwap, report.size, report.volume) == (701.28, 701.469, 200, 6_785_400)
    assert known.generic.rt_trade_volume == report
    unknown = quote([(f.SIZE_UNIT, 0), (f.VOLUME_UNIT, 0), (48, text)]).generic
    assert unknown is not None and unknown.rt_volume is not None
    assert (unknown.rt_volume.size, unknown.rt_volume.volume, unknown.rt_volume.price) == (None, None, 70128.0)


def test_greeks_and_their_delayed_twins() -> None:
    live, delayed = "0.3;0.51;2.5;0;0.02;0.1;-0.1;316.9", "0.4;0.6;2.75;0;0.03;0.2;-0.2;320"
    found = quote([(10, live), (13, live), (83, delayed), (11, ";;;;;;;")]).greeks
    assert found is not None and found.bid is not None and found.model is not None and found.ask is None
    assert (found.bid.implied_volatility, found.bid.underlying) == (0.3, 316.9)
    assert (found.model.delta, found.model.underlying) == (0.6, 320.0)
    assert quote([(13, live)], [(13, ";;;;;;;")]).greeks is None  # withdrawn


def test_what_another_source_brought_is_left_out() -> None:
    found = quote([(37, 590.5), (59, "1,2,20260105,0.5")], [(f.FIELDS_SINCE, NOW / SECOND + 1), (46, 3.0)])
    assert plain(found.generic) == {"shortable": 3.0}


@pytest.mark.parametrize("rows", [[], [(59, ",,,")], [(48, "garbage")], [(48, 3.0)], [(37, NAN)], [(37, 1.7e308)]])
def test_nothing_is_absent(rows: list[tuple[int, float | str]]) -> None:
    found = quote([(f.BID, 1.0), *rows])
    assert found.generic is None and found.greeks is None
    assert b"generic" not in msgspec.json.encode(found)
