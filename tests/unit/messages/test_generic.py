"""What IB packs into one text, by name."""

import pytest

from messages import fields as f
from messages.generic import (
    GENERIC_FIELDS,
    GENERIC_NUMBERS,
    GENERIC_TEXTS,
    Computation,
    Dividends,
    GenericTicks,
    News,
    TradeReport,
    computation,
    dividends,
    fundamentals,
    news,
    trade_report,
)
from messages.ticks import Tick


def test_a_trade_report() -> None:
    assert trade_report("701.28;1;1348075471534;67854;701.46918464;true") == TradeReport(
        price=701.28, size=1, time="2012-09-19T17:24:31.534000Z", volume=67854, vwap=701.46918464, single=True
    )
    assert trade_report(";0.000000;1348075471534;67854;701.4;false") == TradeReport(
        size=0, time="2012-09-19T17:24:31.534000Z", volume=67854, vwap=701.4, single=False
    )


def test_dividends_known_and_not() -> None:
    assert dividends("0.83,0.92,20130219,0.23") == Dividends(
        past_12_months=0.83, next_12_months=0.92, next_date="2013-02-19", next_amount=0.23
    )
    assert dividends(",,,") is None


def test_fundamental_ratios_are_a_map_without_what_is_not_available() -> None:
    assert fundamentals("TTMNPMGN=-99999.99;NLOW=80.6;CURRENCY=USD;;PEEXCLXOR=11.02; AFEEPSNTM = 3;X=") == {
        "NLOW": 80.6,
        "CURRENCY": "USD",
        "PEEXCLXOR": 11.02,
        "AFEEPSNTM": 3.0,
    }


def test_a_headline_may_hold_anything() -> None:
    assert news("1672531200500;BRFG;BRFG$04;Up; or down?") == News(
        time="2023-01-01T00:00:00.500000Z", provider="BRFG", article_id="BRFG$04", headline="Up; or down?"
    )


def test_a_computation_leaves_out_what_ib_did_not_compute() -> None:
    assert computation("0.3;0.51;2.5;;0.02;;-0.1;316.9") == Computation(
        implied_volatility=0.3, delta=0.51, price=2.5, gamma=0.02, theta=-0.1, underlying=316.9
    )
    assert computation(";;;;;;;") is None


@pytest.mark.parametrize("text", ["", "1;2", "a,b", "nonsense", "1;2;3;4;5;6;7;8;9", "=;=;=", "x" * 1000, ";;;;;"])
def test_a_text_that_cannot_be_read_is_none_and_no_crash(text: str) -> None:
    for read in (trade_report, dividends, fundamentals, computation):
        assert read(text) is None
    assert news(text) is None or text.count(";") >= 3


def test_a_tick_gives_its_parts() -> None:
    assert Tick(1, "SPY", 59, "1,2,20260105,0.5", None).parts == dividends("1,2,20260105,0.5")
    assert Tick(1, "SPY", f.BID, 1.0, None).parts is None
    assert Tick(1, "SPY", 48, 3.0, None).parts is None  # a number where a text should be


def test_every_field_has_a_tick_and_texts_are_texts() -> None:
    assert GENERIC_TEXTS <= f.WIRE_TEXT_FIELDS and not GENERIC_NUMBERS & f.WIRE_TEXT_FIELDS
    assert not GENERIC_FIELDS & f.QUOTE_FIELD.keys()
    from messages.generic import NUMBERS, PARTS, PRICES, SIZES, VOLUMES, WORDS

    named = {name for table in (PARTS, WORDS, PRICES, SIZES, VOLUMES, NUMBERS) for name in table.values()}
    assert named == set(GenericTicks.__struct_fields__)
