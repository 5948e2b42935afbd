"""The sink's candles beside its prices: what is wrong with them must not end the sink."""

import math
from types import SimpleNamespace
from typing import Any

from messages.events import LinkChanged
from messages.fields import LAST, SOURCE
from services.base.clock import SECOND, ManualClock
from services.base.settings import Settings
from services.journal import JournalDamaged
from services.journal.cursor import Cursor
from services.sink.candles import Candles
from tests.blocks import NOW, events, ticks


class Damaged:
    """The past of a stream, on a disk that lost some of it."""

    def read(self, from_seq: int, max_bytes: int) -> list[bytes]:
        raise JournalDamaged("a block is torn")


def test_prices_go_on_when_the_past_of_the_candles_cannot_be_read(tmp_path):
    followers = {
        "ticks": SimpleNamespace(cursor=Cursor(1, 9), payload=b""),
        "link": SimpleNamespace(cursor=Cursor(), payload=b""),
    }
    service: Any = SimpleNamespace(
        settings=Settings(data_root=str(tmp_path)),
        clock=ManualClock(NOW),
        publisher=SimpleNamespace(),
        source=lambda _stream: Damaged(),
        followers=followers,
    )
    seen: list[str] = []
    candles = Candles(service)
    on_ticks = candles.beside("ticks", lambda _block: seen.append("ticks"))
    on_link = candles.beside("link", lambda _block: seen.append("link"))
    assert candles.turn(0.0, NOW) == math.inf  # the prices have got further than the candles, which give up
    on_link(events(LinkChanged(phase="ready"), seq=1, time=NOW))
    on_ticks(ticks([("SPY", LAST, 600.0)], seq=10, time=NOW))
    assert seen == ["link", "ticks"]
    candles.close()


class Listened:
    """A publisher of which somebody wants everything."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def new_subscriptions(self) -> tuple[str, ...]:
        return ()

    def wants(self, _topic: str) -> bool:
        return True

    def send(self, topic: str, _payload: bytes) -> None:
        self.sent.append(topic)


def test_a_clock_that_is_set_back_holds_up_no_candle(tmp_path):
    publisher, followed = Listened(), SimpleNamespace(cursor=Cursor(), payload=b"")
    service: Any = SimpleNamespace(
        settings=Settings(data_root=str(tmp_path), candles="1m"),
        clock=ManualClock(NOW),
        publisher=publisher,
        source=lambda _stream: Damaged(),  # nothing of it is read
        followers={"ticks": followed},
    )
    candles = Candles(service)
    begun = service.clock.monotonic()
    on_ticks = candles.beside("ticks", lambda _block: None)
    candles.turn(begun, NOW)
    on_ticks(ticks([("SPY", LAST, 599.0, 1.0), ("SPY", SOURCE, 0.0)], seq=1, time=NOW + SECOND // 2))
    on_ticks(ticks([("SPY", LAST, 600.0, 1.0)], seq=3, time=NOW + SECOND))
    candles.turn(begun + 2, NOW - 3600 * SECOND)
    assert publisher.sent == ["candle.1m.SPY"]
