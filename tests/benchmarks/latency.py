"""Latency: from the write into the gateway's socket to a subscriber, and to the symbol's file.

Every millisecond a group of ticks is written, each pair with a number of its own in its size; the subscriber
and the reader of one symbol's file find the numbers again. Beside it, in the same run, a bare ZeroMQ PUB and SUB
with messages of the size of the gateway's blocks at the same pace.
"""

import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import zmq

from messages.codec import decode_ticks
from messages.topics import TICKS
from services.base.symbols import file_name
from services.runtime.bus import Subscriber
from tests.benchmarks.exchange import MARK_FIELD, Exchange
from tests.benchmarks.gateway import GatewayUnderTest
from tests.benchmarks.harness import report
from tests.benchmarks.system import System

SYMBOLS = 100
PERCENTILES = (50.0, 99.0, 99.9)


def percentiles(latencies: Sequence[float]) -> list[float]:
    """In milliseconds, by PERCENTILES."""
    ordered = sorted(latencies)
    return [ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))] / 1e6 for p in PERCENTILES]


def to_subscriber(exchange: Exchange, subscriber: Subscriber, rate: int, seconds: float) -> tuple[list[float], float]:
    """Latencies in ns to the subscriber, and the mean size of a block in bytes."""
    total = int(rate * seconds / 2)
    seen: dict[int, int] = {}
    sizes: list[int] = []
    exchange.stream(rate, seconds)
    while len(seen) < total:
        assert subscriber.socket.poll(10_000), f"{total - len(seen)} of {total} numbers never came"
        for _, payload in subscriber.drain():
            now = time.perf_counter_ns()
            sizes.append(len(payload))
            for number in _marks(payload):
                seen.setdefault(number, now)
    sent = exchange.stream_sent()
    return [at - sent[number - 1] for number, at in seen.items()], statistics.mean(sizes)


def to_file(system: System, rate: int, seconds: float) -> list[float]:
    """Latencies in ns to one symbol's file, looked at every millisecond: of the newest tick at each replacement."""
    path = system.pipeline.settings.stream_dir / file_name(system.symbols[0])
    found: dict[int, int] = {}
    last, until = path.stat().st_ino, time.monotonic() + seconds
    system.exchange.stream(rate, seconds)
    while time.monotonic() < until:
        time.sleep(0.001)
        inode = path.stat().st_ino
        if inode != last:
            last = inode
            number, now = _mark_in_file(path), time.perf_counter_ns()
            found.setdefault(number, now)
    sent = system.exchange.stream_sent()
    return [at - sent[number - 1] for number, at in list(found.items())[1:] if number <= len(sent)]


def _marks(payload: bytes) -> list[int]:
    block = decode_ticks(payload)
    values = memoryview(block.value).cast("d")
    return [int(values[row]) for row, field in enumerate(block.field) if field == MARK_FIELD]


def _mark_in_file(path: Path) -> int:
    return int(json.loads(path.read_bytes()).get("last_size", 0))


def bare(seconds: float, size: int) -> list[float]:
    """Latencies in ns of a PUB and a SUB that do nothing else: one message of `size` bytes a millisecond."""
    with tempfile.TemporaryDirectory(prefix="ibs-bench-") as folder, zmq.Context() as context:
        address = f"ipc://{folder}/bare"
        publisher = multiprocessing.get_context("spawn").Process(
            target=_publish, args=(address, seconds, size), daemon=True
        )
        latencies = []
        with context.socket(zmq.SUB) as subscriber:
            subscriber.setsockopt(zmq.SUBSCRIBE, b"")
            subscriber.connect(address)
            publisher.start()
            while True:
                assert subscriber.poll(10_000)
                stamp, payload = subscriber.recv_multipart()
                latencies.append(float(time.perf_counter_ns() - int(stamp)))
                if not payload:
                    break
        publisher.join()
    return latencies[:-1]


def _publish(address: str, seconds: float, size: int) -> None:
    with zmq.Context() as context, context.socket(zmq.PUB) as publisher:
        publisher.setsockopt(zmq.LINGER, 2_000)
        publisher.bind(address)
        time.sleep(0.5)
        payload, until = bytes(size), time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(0.001)
            publisher.send_multipart([b"%d" % time.perf_counter_ns(), payload])
        publisher.send_multipart([b"%d" % time.perf_counter_ns(), b""])


BARE, ALONE, WITH_ALL, FILE = (
    "bare PUB and SUB",
    "to a subscriber, the gateway alone",
    "to a subscriber, with all services",
    "to the file",
)


def measure(rates: Sequence[int], rounds: int, seconds: float) -> dict[int, dict[str, list[list[float]]]]:
    """Percentiles of each round."""
    taken: dict[int, dict[str, list[list[float]]]] = {
        rate: {name: [] for name in (BARE, ALONE, WITH_ALL, FILE)} for rate in rates
    }
    with GatewayUnderTest(SYMBOLS) as gateway:
        for rate in rates * rounds:
            latencies, size = to_subscriber(gateway.exchange, gateway.subscriber, rate, seconds)
            taken[rate][ALONE].append(percentiles(latencies))
            taken[rate][BARE].append(percentiles(bare(seconds, int(size))))
    with System(SYMBOLS) as system:
        subscriber = system.subscribe(["gateway"], [TICKS])
        time.sleep(0.5)
        for rate in rates * rounds:
            while subscriber.drain():
                pass
            taken[rate][WITH_ALL].append(percentiles(to_subscriber(system.exchange, subscriber, rate, seconds)[0]))
            taken[rate][FILE].append(percentiles(to_file(system, rate, seconds)))
    return taken


def main(short: bool) -> None:
    rounds, seconds = (2, 2.0) if short else (5, 10.0)
    taken = measure((2_000, 20_000), rounds, seconds)
    rows = []
    for rate, cases in taken.items():
        base = statistics.median(one[0] for one in cases[BARE])
        for name, many in cases.items():
            middle = [statistics.median(column) for column in zip(*many, strict=True)]
            row = [f"{rate:,} ticks/s, {name}", *(f"{value:.3f}" for value in middle)]
            rows.append([*row, f"{middle[0] / base:.1f}"])
    report(
        "latency",
        f"Latency in milliseconds, {SYMBOLS} symbols, medians of {rounds} rounds of {seconds:.0f} s",
        ["", *(f"p{p:g}" for p in PERCENTILES), "p50, times bare"],
        rows,
        taken,
        [
            "A file is written at most every 200 ms a symbol; its latency is that of the newest tick in it.",
            "With all services, eight busy threads share the machine's cores with the subscriber that measures.",
        ],
    )
