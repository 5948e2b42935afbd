"""`GET /candles`: JSON and CSV out of the journal, and how what cannot be answered looks."""

import csv
import io

import pytest

from services.web import candles
from tests.traded import record
from tests.unit.web.support import API, Web, error_of

DAY = {"symbol": "SPY", "from": "2026-01-05", "to": "2026-01-05T14:36:00Z"}


@pytest.fixture
def web(tmp_path):
    web = Web(tmp_path)
    record(web.settings.journal_dir, minutes=6)
    web.clock.advance(3600)
    return web


def test_candles_are_the_message(web):
    answer = web.get(f"{API}/candles", params=DAY).json()
    assert (answer["symbol"], answer["interval"], answer["more"], answer["note"]) == ("SPY", "1m", False, None)
    assert [candle["start"][11:16] for candle in answer["candles"]] == [f"14:3{minute}" for minute in range(6)]
    filled = answer["candles"][2]
    assert (filled["source"], filled["filled"], filled["coverage"]) == ("ib_history", 1.0, 0.166666)
    assert filled["blind"] == [{"reason": "farm_down", "seconds": 50.0}]
    assert all(candle["complete"] for candle in answer["candles"])


def test_csv_has_the_same_numbers(web):
    answer = web.get(f"{API}/candles", params=DAY | {"format": "csv", "interval": "5m"})
    assert answer.headers["content-type"].startswith("text/csv")
    first, second = csv.DictReader(io.StringIO(answer.text))
    same = web.get(f"{API}/candles", params=DAY | {"interval": "5m"}).json()["candles"]
    assert [float(first["vwap"] or 0), float(second["vwap"])] == [0.0, same[1]["vwap"]]  # a bar tells no average
    assert (first["start"], float(first["volume"])) == (same[0]["start"], same[0]["volume"])


def test_more_is_said_and_asked_for(web, monkeypatch):
    monkeypatch.setattr(candles, "MAX_CANDLES", 4)
    answer = web.get(f"{API}/candles", params=DAY).json()
    assert (len(answer["candles"]), answer["more"]) == (4, True)
    rest = web.get(f"{API}/candles", params=DAY | {"from": answer["candles"][-1]["end"]}).json()
    assert (len(rest["candles"]), rest["more"]) == (2, False)


def test_without_a_time_it_is_the_last_ones(web):
    assert len(web.get(f"{API}/candles", params={"symbol": "SPY"}).json()["candles"]) == 6
    assert web.get(f"{API}/candles", params={"symbol": "SPY", "interval": "1s", "from": "-1m"}).json()["candles"] == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"symbol": "ZZZ"}, (404, "symbol_not_found")),
        ({"symbol": "../x"}, (422, "invalid_symbol")),
        ({"symbol": "SPY", "interval": "2m"}, (422, "invalid_request")),
        ({"symbol": "SPY", "from": "yesterday"}, (400, "invalid_request")),
        ({"symbol": "SPY", "from": "now", "to": "-1h"}, (400, "invalid_request")),
        ({"symbol": "SPY", "format": "xml"}, (422, "invalid_request")),
        ({}, (422, "invalid_request")),
    ],
)
def test_what_cannot_be_answered(web, query, expected):
    assert error_of(web.get(f"{API}/candles", params=query)) == expected


def test_reading_that_takes_too_long_ends_with_a_sentence(web, monkeypatch):
    monkeypatch.setattr(candles, "READ_SECONDS", -1.0)
    answer = web.get(f"{API}/candles", params=DAY)
    assert error_of(answer) == (503, "journal_unavailable")
    assert "ask for a shorter time" in answer.json()["detail"]["message"]
