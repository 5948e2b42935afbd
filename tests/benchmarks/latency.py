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
from services.symbols import file_name
from tests.benchmarks.exchange import MARK_FIELD
from tests.benchmarks.harness import report
from tests.benchmarks.system import System

SYMBOLS = 100
PERCENTILES = (50.0, 99.0, 99.9)


def percentiles(latencies: Sequence[float]) -> list[float]:
    """In milliseconds, by PERCENTILES."""
    ordered = sorted(latencies)
    return [ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))] / 1e6 for p in PERCENTILES]


def through_the_gateway(system: System, rate: int, seconds: float) -> tuple[list[float], list[float], float]:
    """Latencies in ns to the subscriber and to the file, and the mean size of a block in bytes."""
    subscriber = system.subscribe(["gateway"], [TICKS])
    path = system.pipeline.settings.stream_dir / file_name(system.symbols[0])
    time.sleep(0.3)
    total = int(rate * seconds / 2)
    seen: dict[int, int] = {}
    in_file: dict[int, int] = {}
    sizes: list[int] = []
    system.exchange.stream(rate, seconds)
    until = time.monotonic() + seconds + 10
    while len(seen) < total and time.monotonic() < until:
        if subscriber.socket.poll(1):
            for _, payload in subscriber.drain():
                now = time.perf_counter_ns()
                sizes.append(len(payload))
                for number in _marks(payload):
                    seen.setdefault(number, now)
        number = _mark_in_file(path)
        in_file.setdefault(number, time.perf_counter_ns())
    sent = system.exchange.stream_sent()
    system.unsubscribe(subscriber)
    assert len(seen) == total, f"{total - len(seen)} of {total} numbers never came"
    to_file = [at - sent[number - 1] for number, at in in_file.items() if number in seen and 0 < number <= total]
    return [at - sent[number - 1] for number, at in seen.items()], to_file[1:], statistics.mean(sizes)


def _marks(payload: bytes) -> list[int]:
    block = decode_ticks(payload)
    values = memoryview(block.value).cast("d")
    return [int(values[row]) for row, field in enumerate(block.field) if field == MARK_FIELD]


def _mark_in_file(path: Path) -> int:
    return int(json.loads(path.read_bytes()).get("last_size", 0))


def bare(rate: int, seconds: float, size: int) -> list[float]:
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


def main(short: bool) -> None:
    rounds, seconds = (2, 2.0) if short else (5, 10.0)
    rows, data = [], {}
    with System(SYMBOLS) as system:
        for rate in (2_000, 20_000):
            taken: dict[str, list[list[float]]] = {"bare PUB and SUB": [], "to a subscriber": [], "to the file": []}
            for _ in range(rounds):
                to_subscriber, to_file, size = through_the_gateway(system, rate, seconds)
                taken["to a subscriber"].append(percentiles(to_subscriber))
                taken["to the file"].append(percentiles(to_file))
                taken["bare PUB and SUB"].append(percentiles(bare(rate, seconds, int(size))))
            base = statistics.median(one[0] for one in taken["bare PUB and SUB"])
            for name, many in taken.items():
                middle = [statistics.median(column) for column in zip(*many, strict=True)]
                row = [f"{rate:,} ticks/s, {name}", *(f"{value:.3f}" for value in middle)]
                rows.append([*row, f"{middle[0] / base:.1f}"])
                data[f"{rate} {name}"] = many
    report(
        "latency",
        f"Latency in milliseconds, {SYMBOLS} symbols, medians of {rounds} rounds of {seconds:.0f} s",
        ["", *(f"p{p:g}" for p in PERCENTILES), "p50, times bare"],
        rows,
        data,
        ["A file is written at most every 200 ms a symbol; its latency is that of the newest tick in it."],
    )
