"""Candles in the client: of the past from a data root, live from a feed, and how what cannot be had looks."""

import asyncio
from pathlib import Path

import pytest

import ibstream
from ibstream.testing import FakeStream
from messages.candles import Candle
from tests.traded import record

DAY = {"from_": "2026-01-05", "to": "2026-01-06"}


def candle(start: str, symbol: str = "SPY", *, complete: bool = True) -> Candle:
    return Candle(
        symbol=symbol, interval="1m", start=f"2023-11-14T22:{start}:00.000000Z",
        end=f"2023-11-14T22:{int(start) + 1}:00.000000Z", close=1.0, coverage=1.0, complete=complete,
    )  # fmt: skip


def test_candles_of_the_past_from_a_data_root(tmp_path: Path) -> None:
    record(tmp_path / "journal", minutes=6)
    with ibstream.connect(tmp_path) as client:
        minutes = list(client.candles("spy", "1m", **DAY))
        assert [one.start[11:16] for one in minutes] == [f"14:3{number}" for number in range(6)]
        assert minutes[2].filled == 1.0 and minutes[2].blind[0].reason == "farm_down"
        (day,) = client.candles("SPY", "1d", 0)
        assert day.volume == sum(one.volume or 0 for one in minutes)
        with pytest.raises(ibstream.UnknownSymbol, match="ZZZ was never planned"):
            list(client.candles("ZZZ", **DAY))
    with ibstream.connect(tmp_path / "elsewhere") as client, pytest.raises(ibstream.Unreachable, match="no journal"):
        list(client.candles("SPY", **DAY))


def test_what_is_asked_for_wrongly(tmp_path: Path) -> None:
    client = ibstream.connect(tmp_path)
    for wrong in ({"interval": "2m"}, {"from_": "yesterday"}, {"from_": "now", "to": "-1h"}):
        with pytest.raises(ibstream.IbstreamError) as caught:
            client.candles("SPY", **wrong)  # type: ignore[arg-type]
        assert caught.value.reason == "invalid_request"
    with pytest.raises(ibstream.IbstreamError, match="need a data root or HTTP"):
        ibstream.connect("tcp://sink=127.0.0.1:1", key=None).candles("SPY")


def test_live_candles_for_both_loops() -> None:
    fake = FakeStream()
    came = iter(fake.client.live_candles("SPY"))

    async def first() -> Candle:
        stream = fake.client.live_candles()
        fake.add_candle(candle("14"))
        async for one in stream:
            return one
        raise AssertionError

    assert asyncio.run(first()).start[14:16] == "14"
    fake.add_candle(candle("13", complete=False))
    fake.add_candle(candle("13", "QQQ"))
    fake.add_candle(candle("13"))
    assert [one.symbol for one in fake.client.candles("SPY", "1m", "2023-11-14T22:13:00Z", "2023-11-14T22:14:00Z")] == [
        "SPY"
    ]
    fake.add_candle(candle("15"))
    live = iter(fake.client.live_candles("SPY"))
    fake.add_candle(candle("16"))
    assert next(live).start[14:16] == "16"
    came.close()  # type: ignore[attr-defined]
