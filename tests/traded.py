"""A journal of days on which SPY and QQQ trade, with a gap that bars of history fill: for candles."""

import random
from collections.abc import Iterable
from pathlib import Path

from messages.events import (
    Bar,
    BarsReceived,
    Block,
    ContractQualified,
    GapClosed,
    GapOpened,
    StreamStarted,
    SymbolChanged,
)
from messages.fields import ASK, FIELDS_SINCE, LAST, SOURCE, VOLUME, VOLUME_UNIT
from services.base.clock import SECOND
from tests.blocks import NOW, TestWriter, Tick

MINUTE = 60 * SECOND
DAY = 86_400 * SECOND
HOURS = ";".join(f"202601{day:02}:0930-202601{day:02}:1600" for day in (5, 6, 7, 8))


def record(folder: Path, days: int = 1, *, minutes: int = 20, mock: bool = False) -> dict[str, list[Block]]:
    """`minutes` of each day from NOW on, a tick a second; from second 130 to 190 there is none, and bars come later.
    Returns the blocks of each stream."""
    chance = random.Random(5)
    writers = {name: TestWriter(folder, name) for name in ("ticks", "link", "plan", "control")}
    ticks, link = writers["ticks"], writers["link"]
    writers["control"].events(StreamStarted(), time=NOW - MINUTE)
    writers["plan"].plan(("SPY", "QQQ"), time=NOW - MINUTE)
    for symbol in ("SPY", "QQQ"):
        link.events(contract(symbol), SymbolChanged(symbol=symbol, state="live", stale=False), time=NOW - MINUTE)
        ticks.ticks(begun(symbol, mock=mock), time=NOW - MINUTE)
    volume = {"SPY": 1000.0, "QQQ": 1000.0}
    for start in range(NOW, NOW + days * DAY, DAY):
        for second in range(minutes * 60):
            time = start + second * SECOND + 250_000_000
            if second == 145:
                link.events(GapOpened(symbol="SPY", start=start + 130 * SECOND, reason="farm_down"), time=time)
            if second == 190:
                link.events(gone(start), time=time)
            if second == 300:
                link.events(bars(start, mock=mock), time=time)
            symbol = chance.choice(["SPY", "SPY", "QQQ"])
            if symbol == "SPY" and 130 <= second < 190:
                continue
            volume[symbol] += chance.choice([1.0, 100.0, 37.0])
            ticks.ticks(report(symbol, 600 + chance.randrange(100) / 100, volume[symbol]), time=time)
    for writer in writers.values():
        writer.close()
    return {name: writer.blocks for name, writer in writers.items()}


def contract(symbol: str) -> ContractQualified:
    return ContractQualified(
        symbol=symbol, con_id=1, sec_type="STK", exchange="SMART", currency="USD", time_zone="US/Eastern",
        liquid_hours=HOURS,
    )  # fmt: skip


def begun(symbol: str, *, mock: bool) -> list[Tick]:
    since = NOW / SECOND - 60
    own = [(SOURCE, 10.0 if mock else 0.0), (FIELDS_SINCE, since), (VOLUME_UNIT, 1.0)]
    return [(symbol, LAST, 600.0, 100.0), (symbol, VOLUME, 1000.0), *((symbol, *row) for row in own)]


def report(symbol: str, price: float, volume: float) -> list[Tick]:
    return [(symbol, LAST, price, 100.0), (symbol, VOLUME, volume), (symbol, ASK, price + 0.01, 100.0)]


def gone(start: int) -> GapClosed:
    return GapClosed(symbol="SPY", start=start + 130 * SECOND, end=start + 190 * SECOND, reason="farm_down")


def bars(start: int, *, mock: bool) -> BarsReceived:
    made = [Bar(start + n * MINUTE, 601.0, 603.5, 599.5, 602.0 + n, 4000.0) for n in (2, 3)]
    return BarsReceived(
        symbol="SPY", bar_seconds=60, bars=made, purpose="gap_fill", mock=mock, volume_unit=1.0
    )  # fmt: skip


def in_turn(recorded: dict[str, list[Block]]) -> Iterable[tuple[str, Block]]:
    """All blocks in the order of their times, as a follower gets them."""
    named = ((name, block) for name, blocks in recorded.items() for block in blocks)
    return sorted(named, key=lambda one: one[1].time)
