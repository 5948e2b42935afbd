"""The gateway as it runs: socket, decode, journal and publish in one process, beside its peers on the same burst.

The gateway is started as `python -m services.gateway` with a plan in its journal; the burst comes from a process
that plays IB; a subscriber on the bus counts what is published, and the journal is counted at the end.
"""

import gc
import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from types import TracebackType

import psutil
import zmq

from messages.codec import decode_block, decode_ticks, encode
from messages.events import Plan, PlannedSymbol
from messages.topics import PLAN, TICKS
from services.base.settings import load
from services.journal import JournalReader, JournalWriter
from services.runtime.bus import Subscriber
from tests.benchmarks.burst import burst
from tests.benchmarks.decode import IB_ASYNC, peers, splitter
from tests.benchmarks.exchange import Exchange
from tests.benchmarks.feeder import Feeder
from tests.benchmarks.harness import Sample, cpu_ns, in_turn, median, report, spread, thousands
from tests.support import REPOSITORY

SYMBOLS = 100


class GatewayUnderTest:
    """A gateway process that holds a line for each of `symbols` symbols, and a subscriber of its ticks."""

    def __init__(self, symbols: int = SYMBOLS, *, protobuf: bool = False) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ibs-bench-"))
        self._symbols = symbols
        self.exchange = Exchange(symbols, protobuf=protobuf)
        self.received = 0  # ticks

    def __enter__(self) -> "GatewayUnderTest":
        self.exchange.__enter__()
        self._env = {
            "IBSTREAM_DATA_ROOT": str(self._folder),
            "IBSTREAM_API_MODE": "ib",
            "IBSTREAM_IB_PORT": str(self.exchange.port),
            "IBSTREAM_IB_LINE_LIMIT": str(self._symbols),
            "IBSTREAM_IB_MESSAGE_RATE": "1000",
            "IBSTREAM_STALE_AFTER": "3600",  # no probes of its own between the bursts
            "IBSTREAM_LINK_STALE_AFTER": "3600",
            "IBSTREAM_LOG_LEVEL": "warning",
        }
        self.settings = load(self._env)
        self._write_plan()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("IBSTREAM_")}
        command = [sys.executable, "-m", "services.gateway"]
        self.process = subprocess.Popen(command, env=clean | self._env, cwd=REPOSITORY)
        self.usage = psutil.Process(self.process.pid)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.subscriber = Subscriber(self._context, self.settings, ["gateway.events"], [TICKS])
        try:
            self.exchange.await_lines(self._symbols)
        except AssertionError:
            assert self.process.poll() is None, f"the gateway ended with code {self.process.returncode}"
            raise
        self.settle()
        self.exchange.burst(50 * self._symbols)  # every symbol has had prices: the gateway has no more to say
        self.exchange.burst_sent()
        self.settle()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        self.process.wait(10)
        self.exchange.__exit__(kind, error, trace)
        self.subscriber.close()
        self._context.term()
        shutil.rmtree(self._folder)

    def settle(self, seconds: float = 1.0) -> None:
        """Take what still comes, until nothing came for so long."""
        quiet = time.monotonic()
        while time.monotonic() - quiet < seconds:
            if self._take(0.1):
                quiet = time.monotonic()
        gc.collect()

    def burst(self, frames: int) -> Sample:
        """One burst: from its first byte to its last tick on the bus, and then in the journal."""
        self.exchange.prepare(frames)
        self.settle(0.2)
        journalled = self.journalled()
        before, cpu = self.received, sum(self.usage.cpu_times()[:2])
        began = self.exchange.burst(frames)
        while self.received < before + frames:
            assert self._take(10.0), f"{self.received - before} of {frames} ticks, and no more for 10 s"
        wall = time.perf_counter() - began
        cpu = sum(self.usage.cpu_times()[:2]) - cpu
        self.exchange.burst_sent()
        assert self.received == before + frames
        assert self.journalled() == journalled + frames
        return Sample(frames, wall, cpu, extra={"memory_mb": self.usage.memory_info().rss / 1e6})

    def journalled(self) -> int:
        """Ticks in the journal."""
        with JournalReader(self.settings.journal_dir, TICKS) as reader:
            last = reader.last()
        return last.last_seq if last is not None else 0

    def _take(self, timeout: float) -> bool:
        self.subscriber.socket.poll(int(timeout * 1000))
        frames = self.subscriber.drain()
        for _, payload in frames:
            self.received += decode_ticks(payload).count
        return bool(frames)

    def _write_plan(self) -> None:
        now = time.time_ns()
        writer = JournalWriter(self.settings.journal_dir, PLAN, now=now)
        symbols = [PlannedSymbol(f"SIM{n + 1:04}", "benchmark", n) for n in range(self._symbols)]
        plan = Plan(epoch=writer.epoch, first_seq=writer.next_seq, time=now, started=True, symbols=symbols)
        writer.append(encode(plan), 1, now)
        writer.sync()
        writer.close()
        assert decode_block(PLAN, encode(plan)) == plan


OURS = "ibstream gateway, text: socket to journalled and published"
OURS_PROTOBUF = "ibstream gateway, protobuf: socket to journalled and published"


def compare(frames: int, rounds: int, seconds: int, official: bool) -> None:
    data = burst(frames, SYMBOLS)
    with (
        Feeder(frames) as port,
        Feeder(frames, protobuf=True) as protobuf_port,
        GatewayUnderTest() as gateway,
        GatewayUnderTest(protobuf=True) as protobuf_gateway,
    ):
        clients = peers(port, protobuf_port, frames, seconds)
        cases = {
            "bare frame splitter, in memory": partial(splitter, data, frames),
            OURS: partial(gateway.burst, frames),
            OURS_PROTOBUF: partial(protobuf_gateway.burst, frames),
            **{name: case for name, case in clients.items() if official or name == IB_ASYNC},
        }
        samples = in_turn(cases, rounds)
    ours, ours_cpu = median(samples[OURS]), median(samples[OURS], cpu_ns)
    rows = []
    for name, taken in samples.items():
        rate, cpu = median(taken), median(taken, cpu_ns)
        done = "" if all(sample.finished for sample in taken) else f" (not done in {seconds} s)"
        ratios = [f"{ours / rate:.2f}", f"{cpu / ours_cpu:.2f}"]
        rows.append([name + done, thousands(rate), spread(taken), f"{cpu:,.0f}", *ratios])
    report(
        f"gateway-{frames}",
        f"A burst of {frames:,} frames through the gateway, {SYMBOLS} symbols, medians of {rounds} rounds",
        ["", "thousand frames/s", "low to high", "CPU ns a frame", "ours is x times", "by CPU time"],
        rows,
        samples,
    )


def backlog(sizes: list[int], rounds: int) -> None:
    with GatewayUnderTest() as gateway:
        samples = in_turn({f"{frames:,} frames": partial(gateway.burst, frames) for frames in sizes}, rounds)
    rows = []
    for name, taken in samples.items():
        memory = median(taken, lambda sample: sample.extra["memory_mb"])
        rows.append([name, thousands(median(taken)), spread(taken), f"{median(taken, cpu_ns):,.0f}", f"{memory:,.0f}"])
    title = f"The gateway as the backlog grows, medians of {rounds} rounds"
    report(
        "gateway-backlog",
        title,
        ["", "thousand frames/s", "low to high", "CPU ns a frame", "memory MB"],
        rows,
        samples,
    )


def main(short: bool) -> None:
    if short:
        compare(20_000, rounds=3, seconds=20, official=True)
        backlog([20_000, 100_000], rounds=2)
    else:
        compare(100_000, rounds=5, seconds=60, official=True)
        compare(500_000, rounds=5, seconds=60, official=False)
        backlog([100_000, 500_000, 1_000_000, 5_000_000], rounds=5)
