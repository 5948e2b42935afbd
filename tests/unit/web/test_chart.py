"""The chart's points: from the journal, bounded, folded once."""

import pytest

from messages import fields
from messages.events import Bar, BarsReceived, LinkChanged
from messages.topics import TICKS
from services.base.clock import SECOND
from services.web import chart as history_module
from services.web.chart import MAX_POINTS, History, step_width
from services.web.ledger import Ledger
from tests.blocks import NOW, TestWriter, events
from tests.unit.web.support import API, Web, error_of

MINUTE = 60 * SECOND


@pytest.fixture
def journal(tmp_path):
    writer = TestWriter(tmp_path / "journal", TICKS)
    yield writer
    writer.close()


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def history(tmp_path, journal, ledger):
    return History(tmp_path / "journal", ledger)


def trade(journal, seconds: float, price: float, symbol: str = "SPY", **more) -> None:
    journal.ticks([(symbol, fields.LAST, price, 100.0)], NOW + int(seconds * SECOND), **more)


@pytest.mark.parametrize(("minutes", "width"), [(1, 5), (50, 5), (51, 10), (60, 10), (300, 30), (1440, 150)])
def test_a_chart_has_at_most_so_many_steps(minutes, width):
    assert step_width(minutes) == width
    assert minutes * 60 / width <= MAX_POINTS


def test_the_last_trade_of_each_step(journal, history):
    for second in range(20):
        trade(journal, second, 500.0 + second)
        trade(journal, second, 400.0, "QQQ")
    points = history.points("SPY", 5, NOW + 20 * SECOND, "ib_stream")
    assert [(point.time[17:19], point.price, point.source) for point in points] == [
        ("04", 504.0, "ib_stream"),
        ("09", 509.0, "ib_stream"),
        ("14", 514.0, "ib_stream"),
        ("19", 519.0, "ib_stream"),
    ]
    assert history.points("IWM", 5, NOW + 20 * SECOND, None) == []


def test_sparklines_of_many_symbols_are_the_charts_prices(journal, history):
    for second in range(20):
        trade(journal, second, 500.0 + second)
        trade(journal, second, 400.0 - second, "QQQ")
    now = NOW + 20 * SECOND
    lines = history.sparklines(dict.fromkeys(["SPY", "QQQ", "IWM"], 1), 5, now)
    assert list(lines) == ["SPY", "QQQ", "IWM"]
    for symbol in ("SPY", "QQQ"):
        assert [price for _, price in lines[symbol]] == [point.price for point in history.points(symbol, 5, now, None)]
    start = NOW // SECOND
    assert [time for time, _ in lines["SPY"]] == [start, start + 5, start + 10, start + 15]
    assert lines["IWM"] == []


def test_sparklines_over_http(tmp_path, journal):
    web = Web(tmp_path)
    trade(journal, 1, 500.0)
    web.clock.advance(30)
    answer = web.get(f"{API}/sparklines", params={"symbols": "SPY,qqq,SPY"})
    assert answer.json() == {
        "series": [
            {"symbol": "SPY", "times": [NOW // SECOND], "prices": [500.0]},
            {"symbol": "QQQ", "times": [], "prices": []},
        ]
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"symbols": "SPY,../etc"}, (422, "invalid_symbol")),
        ({"symbols": "SPY,,QQQ"}, (422, "invalid_symbol")),
        ({"symbols": ""}, (422, "invalid_request")),
        ({}, (422, "invalid_request")),
        ({"symbols": "SPY", "minutes": 61}, (422, "invalid_request")),
        ({"symbols": ",".join(f"S{n}" for n in range(201))}, (422, "invalid_request")),
    ],
)
def test_sparklines_are_bounded(tmp_path, query, expected):
    assert error_of(Web(tmp_path).get(f"{API}/sparklines", params=query)) == expected


def test_only_the_minutes_asked_for(journal, history):
    for minute in range(10):
        trade(journal, minute * 60, 500.0 + minute)
    points = history.points("SPY", 3, NOW + 9 * MINUTE + SECOND, None)
    assert [point.price for point in points] == [507.0, 508.0, 509.0]


def test_the_middle_of_bid_and_ask_where_nothing_trades(journal, history):
    for second in range(0, 40, 5):
        journal.ticks([("EUR", fields.BID, 1.0, 1.0), ("EUR", fields.ASK, 2.0, 1.0)], NOW + second * SECOND)
    trade(journal, 39, 9.0, "EUR")
    assert {point.price for point in history.points("EUR", 5, NOW + MINUTE, None)} == {1.5}


def test_a_product_in_cents_is_drawn_in_the_currency_of_its_quote(journal, history):
    trade(journal, 1, 450.25, "ZC")
    journal.ticks([("ZC", fields.PRICE_MAGNIFIER, 100.0, 0.0), ("ZC", fields.LAST, 451.0, 1.0)], NOW + 7 * SECOND)
    now = NOW + 12 * SECOND
    assert [point.price for point in history.points("ZC", 1, now, None, 100)] == [4.5025, 4.51]
    assert [price for _, price in history.sparklines({"ZC": 100}, 1, now)["ZC"]] == [4.5025, 4.51]


def test_a_day_long_chart_stays_small(journal, history):
    for minute in range(0, 1440, 2):
        trade(journal, minute * 60, float(minute + 1))
    points = history.points("SPY", 1440, NOW + 1440 * MINUTE, None)
    assert 500 < len(points) <= MAX_POINTS


def test_a_step_with_too_many_ticks_is_read_from_its_end(journal, history, monkeypatch):
    monkeypatch.setattr(history_module, "EVENTS_READ", 10)
    trade(journal, 0.0, 1.0, "OLD")
    for number in range(100):
        trade(journal, 1 + number / 100, 500.0 + number)
    now = NOW + 10 * SECOND
    assert [point.price for point in history.points("SPY", 1, now, None)] == [599.0]
    assert history.points("OLD", 1, now, None) == []


def test_a_finished_step_is_folded_once_and_the_newest_one_grows(journal, history, monkeypatch):
    folded = []
    fold = history_module.fold_step
    monkeypatch.setattr(history_module, "fold_step", lambda *args: folded.append(args[1]) or fold(*args))
    for second in range(12):
        trade(journal, second, 500.0 + second)
        trade(journal, second, 400.0, "QQQ")
    first = history.points("SPY", 1, NOW + 12 * SECOND, None)
    count = len(folded)
    assert history.points("QQQ", 1, NOW + 12 * SECOND, None)
    assert len(folded) == count
    trade(journal, 13, 600.0)
    second = history.points("SPY", 1, NOW + 14 * SECOND, None)
    assert len(folded) - count <= 2
    assert (first[-1].price, second[-1].price) == (511.0, 600.0)


def test_the_cache_is_bounded(journal, history, monkeypatch):
    monkeypatch.setattr(history_module, "POINTS_KEPT", 5)
    for step in range(20):
        trade(journal, step * 5, 500.0 + step)
    for _ in range(2):
        assert len(history.points("SPY", 5, NOW + 4 * MINUTE, None)) == 20
        assert history._points <= 5
    monkeypatch.setattr(history_module, "STEPS_KEPT", 7)
    assert len(history.points("SPY", 5, NOW + 4 * MINUTE, None)) == 20
    assert len(history._steps) <= 7


def test_sources_as_they_were_and_never_an_invented_price_as_a_real_one(journal, ledger, history):
    ledger.apply(events(LinkChanged(phase="ready", account_kind="simulator"), time=NOW - SECOND))
    trade(journal, 1, 500.0)
    ledger.apply(events(LinkChanged(phase="ready", account_kind="live"), time=NOW + 5 * SECOND))
    trade(journal, 6, 501.0)
    journal.ticks([("SPY", fields.SOURCE, fields.SOURCE_SNAPSHOT), ("SPY", fields.LAST, 502.0, 1.0)], NOW + 11 * SECOND)
    trade(journal, 16, 503.0)
    points = history.points("SPY", 1, NOW + 20 * SECOND, "ib_stream")
    assert [(point.price, point.source) for point in points] == [
        (500.0, "mock"),
        (501.0, "ib_stream"),
        (502.0, "ib_snapshot"),
        (503.0, "ib_snapshot"),
    ]


def test_gaps_are_filled_with_bars(journal, ledger, history):
    trade(journal, 0, 500.0)
    bar = Bar(NOW + 60 * SECOND, 1.0, 2.0, 0.5, 1.5, 100.0)
    ledger.apply(events(BarsReceived(symbol="SPY", bar_seconds=60, bars=[bar], purpose="gap_fill")))
    trade(journal, 120, 502.0)
    points = history.points("SPY", 5, NOW + 125 * SECOND, "ib_stream")
    assert [(point.price, point.source) for point in points] == [
        (500.0, "ib_stream"),
        (1.5, "ib_history"),
        (502.0, "ib_stream"),
    ]


def test_an_old_price_that_came_late_is_not_drawn_as_new(journal, history):
    old = (NOW - 3600 * SECOND) / SECOND
    journal.ticks(
        [("SPY", fields.CLOSE, 499.0, 0.0), ("SPY", fields.LAST, 499.0, 1.0), ("SPY", fields.PRICE_TIME, old)]
    )
    assert history.points("SPY", 5, NOW + SECOND, None) == []


def test_over_http(tmp_path, journal):
    web = Web(tmp_path)
    for second in range(10):
        trade(journal, second, 500.0 + second)
    web.clock.advance(12)
    answer = web.get(f"{API}/history?symbol=spy&minutes=5").json()
    assert answer["symbol"] == "SPY"
    assert answer["points"][-1] == {"time": "2026-01-05T14:30:09.000000Z", "price": 509.0, "source": None}


def test_of_several_gateways_the_price_that_was_received_last(tmp_path, ledger):
    writers = [TestWriter(tmp_path / "journal", f"ticks.{name}") for name in "ab"]
    for second in range(10):
        trade(writers[second % 2], second, 500.0 + second)
    trade(writers[0], 7, 400.0, "QQQ")
    points = History(tmp_path / "journal", ledger).points("SPY", 5, NOW + 20 * SECOND, "ib_stream")
    assert [(point.time[17:19], point.price) for point in points] == [("04", 504.0), ("09", 509.0)]
    for writer in writers:
        writer.close()
