"""`GET /candles`: JSON and CSV out of the journal, and how what cannot be answered looks."""

import asyncio
import csv
import io
import json

import pytest

from messages.candles import Candle
from messages.codec import encode
from services.web import candles, schema
from services.web.events import Room
from services.web.hub import Hub
from tests.traded import record
from tests.unit.web.support import API, Web, error_of, quote_frame
from tests.unit.web.test_events import Client, hear, settle

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
    assert answer.text.splitlines()[0] == schema.CANDLES_CSV_EXAMPLE.splitlines()[0]
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


def test_where_nothing_was_ever_recorded(tmp_path):
    assert error_of(Web(tmp_path).get(f"{API}/candles", params=DAY)) == (404, "symbol_not_found")


def test_reading_that_takes_too_long_ends_with_a_sentence(web, monkeypatch):
    monkeypatch.setattr(candles, "READ_SECONDS", -1.0)
    answer = web.get(f"{API}/candles", params=DAY)
    assert error_of(answer) == (503, "journal_unavailable")
    assert "ask for a shorter time" in answer.json()["detail"]["message"]


def candle_frame(symbol: str, start: str, close: float, *, complete: bool = False) -> tuple[str, bytes]:
    candle = Candle(
        symbol=symbol, interval="1m", start=start, end="later", close=close, coverage=1.0, complete=complete
    )  # fmt: skip
    return f"candle.1m.{symbol} {start}", encode(candle)


def test_the_event_stream_brings_candles_to_those_who_ask_for_them_alone():
    async def scenario() -> None:
        listened: list[tuple[str, bool]] = []
        room = Room(Hub(2.0, "test", 100.0), lambda candle, wanted: listened.append((candle, wanted)))
        asking, other = Client(room, candles=frozenset({"1m.SPY"})), Client(room)
        await settle()
        assert listened == [("1m.SPY", True)]
        hear(room, candle_frame("SPY", "14:30", 1.5, complete=True), candle_frame("SPY", "14:31", 1.6))
        hear(room, candle_frame("QQQ", "14:31", 2.0))  # of a topic that begins with what is listened to
        await settle()
        found = [
            json.loads(part.partition("data: ")[2].split("\n")[0]) for part in asking.text.split("event: candles\n")[1:]
        ]
        assert [(one["start"], one["close"], one["complete"]) for one in found[0]] == [
            ("14:30", 1.5, True),
            ("14:31", 1.6, False),
        ]
        assert "id: test-" in asking.text and "QQQ" not in asking.text and "candles" not in other.text
        hear(room, quote_frame("SPY", 3.0), candle_frame("SPY", "14:31", 1.7))
        await settle()
        assert asking.text.count("event: candles") == 2 and asking.text.count("event: quotes") == 1
        asking.left.set()
        await settle()
        assert listened[1:] == [("1m.SPY", False)]
        other.left.set()
        await settle()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ("SPY", "invalid_request"),
        ("2m.SPY", "invalid_request"),
        ("1s.SPY", "invalid_request"),
        ("1m.", "invalid_symbol"),
    ],
)
def test_candles_that_cannot_be_listened_to(web, wanted, code):
    assert error_of(web.get(f"{API}/events", params={"candles": wanted}))[1] == code
