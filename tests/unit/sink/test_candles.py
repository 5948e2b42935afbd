"""The sink's candles beside its prices: what is wrong with them must not end the sink."""

import math
from types import SimpleNamespace
from typing import Any

from messages.events import LinkChanged
from services.base.clock import ManualClock
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
    on_ticks(ticks([("SPY", 4, 600.0)], seq=10, time=NOW))
    assert seen == ["link", "ticks"]
    candles.close()
