"""Candles: ticks a second into them, as they come and from the journal, and what they cost the sink."""

import random
import statistics
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from messages.candles import INTERVALS, Interval
from messages.codec import decode_ticks, encode
from messages.fields import ASK, ASK_SIZE, BID, BID_SIZE, LAST, LAST_SIZE, LAST_TIME, SOURCE, VOLUME, VOLUME_UNIT
from messages.topics import CANDLE_PREFIX
from services.base.clock import SECOND
from services.gateway.wire.columns import Columns
from services.journal import JournalWriter
from services.quotes.candles import CandleBook
from services.quotes.past_candles import past_candles
from tests.benchmarks.cost import busy_over
from tests.benchmarks.harness import Case, Sample, in_turn, median, report, spread, thousands, timed
from tests.benchmarks.system import SERVICES, System

START = 1_767_623_400 * SECOND
SYMBOLS = 100
COARSE: tuple[Interval, ...] = ("1m", "5m", "15m", "1h", "1d")
NAN = float("nan")


def blocks(ticks: int, size: int) -> list[bytes]:
    """Encoded blocks of `size` ticks, 2,000 a second: bid, ask and a trade of a symbol at random, as IB sends them."""
    rng = random.Random(size)
    names = {number: f"S{number}" for number in range(SYMBOLS)}
    told = Columns()
    for symbol in range(SYMBOLS):
        told.add(symbol, SOURCE, 0.0, NAN)
        told.add(symbol, VOLUME_UNIT, 1.0, NAN)
    encoded, seq, columns = [encode(told.to_block(1, 1, START, names))], 1 + 2 * SYMBOLS, Columns()
    volumes = [0.0] * SYMBOLS
    for number in range(ticks // 8):
        symbol = rng.randrange(SYMBOLS)
        volumes[symbol] += 100.0
        price, size_of = round(rng.uniform(5, 900), 2), 100.0 * rng.randrange(1, 50)
        for field in (BID, ASK, LAST):
            columns.add(symbol, field, price, size_of)
        for field, value in (
            (BID_SIZE, size_of),
            (ASK_SIZE, size_of),
            (LAST_SIZE, size_of),
            (VOLUME, volumes[symbol]),
            (LAST_TIME, 1.0),
        ):
            columns.add(symbol, field, value, NAN)
        if len(columns) >= size:
            encoded.append(encode(columns.to_block(1, seq, START + number * 4_000_000, names)))
            seq, columns = seq + len(columns), Columns()
    return encoded


def fold(encoded: list[bytes], ticks: int, intervals: tuple[Interval, ...]) -> Sample:
    book = CandleBook(intervals)
    with timed(ticks) as sample:
        for payload in encoded:
            book.apply("ticks", decode_ticks(payload))
    return sample


def replay(folder: Path, ticks: int, interval: Interval) -> Sample:
    """One symbol's candles, out of the ticks of all."""
    end = START + ticks * SECOND // 2_000 + SECOND
    with timed(ticks) as sample:
        assert list(past_candles(folder, "S1", interval, START, end, end).candles)
    return sample


@contextmanager
def recorded(encoded: list[bytes]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ibs-bench-") as name:
        writer = JournalWriter(Path(name), "ticks", now=START, commit_seconds=0.05)
        for payload in encoded:
            block = decode_ticks(payload)
            writer.append(payload, block.count, block.time)
        writer.close()
        yield Path(name)


def sink(seconds: float, rounds: int, *, listen: bool, candles: str) -> list[float]:
    """Percent of one core that the sink takes at 2,000 ticks a second."""
    with System(SYMBOLS, SERVICES, candles=candles) as system:
        over = threading.Event()
        listener = threading.Thread(target=_listen, args=(system, over))
        if listen:
            listener.start()
        used = [busy_over(system, seconds)["sink"] for _ in range(rounds)]
        over.set()
        if listen:
            listener.join()
    return used


def _listen(system: System, over: threading.Event) -> None:
    subscriber = system.subscribe(["sink"], [CANDLE_PREFIX])
    while not over.is_set():
        subscriber.socket.poll(100)
        subscriber.drain()
    system.unsubscribe(subscriber)


def main(short: bool) -> None:
    ticks, rounds, seconds = (40_000, 2, 3.0) if short else (400_000, 5, 20.0)
    cases: dict[str, Case] = {}
    for size in (8, 80, 800):
        encoded = blocks(ticks, size)
        cases[f"fold, 1m to 1d, blocks of {size} ticks"] = partial(fold, encoded, ticks, COARSE)
    cases["fold, 1s to 1d, blocks of 80 ticks"] = partial(fold, blocks(ticks, 80), ticks, INTERVALS)
    with recorded(blocks(ticks, 80)) as folder:
        for interval in ("1s", "1m", "1d"):
            cases[f"from the journal, {interval} of one symbol in {SYMBOLS}"] = partial(replay, folder, ticks, interval)
        samples = in_turn(cases, rounds)
    costs = {
        "without": sink(seconds, rounds, listen=False, candles=""),
        "1m to 1d, nobody listens": sink(seconds, rounds, listen=False, candles=" ".join(COARSE)),
        "1m to 1d, one listens to all": sink(seconds, rounds, listen=True, candles=" ".join(COARSE)),
        "1s to 1d, one listens to all": sink(seconds, rounds, listen=True, candles=" ".join(INTERVALS)),
    }
    rows = [
        [name, thousands(median(taken)), spread(taken), f"{median(taken, lambda s: s.cpu / s.count * 1e6):.2f}", ""]
        for name, taken in samples.items()
    ]
    rows += [[f"sink, {name}", "", "", "", f"{statistics.median(used):.2f}"] for name, used in costs.items()]
    report(
        "candles",
        f"Candles of {SYMBOLS} symbols, medians of {rounds} rounds",
        ["", "thousand ticks/s", "low to high", "CPU µs a tick", "sink at 2,000 ticks/s, % of a core"],
        rows,
        {"rates": samples, "sink": costs},
        ["Two of eight ticks tell of a trade. From the journal: one symbol's candles out of the ticks of all."],
    )
