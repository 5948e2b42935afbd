"""Relay: blocks a second to JetStream and from there: real processes and a real server, all on this machine.

A journal that is there already is sent by one relay, and then received by another one into an empty data root. Its
blocks are of a hundred ticks each, as of a busy gateway.
"""

import statistics
import tempfile
import time
from pathlib import Path

import psutil
import zmq

from messages.codec import decode_heartbeat
from messages.topics import TICKS, events_endpoint, heartbeat_topic
from services.base.settings import load
from services.journal import JournalReader, JournalWriter
from services.runtime.bus import Subscriber
from tests.benchmarks.harness import report
from tests.benchmarks.journal import NOON, numbered, template
from tests.process.nats_server import NatsServer
from tests.process.pipeline import Pipeline

BLOCK = 100  # ticks
SHARE = 0.1  # of the blocks, before the clock starts: a connection and a first look at both sides take a while
LONGEST = 120.0  # seconds


def relayed(blocks: int) -> dict[str, float]:
    """Blocks a second each way, and CPU µs of the relay for each."""
    with tempfile.TemporaryDirectory(prefix="ibs-bench-") as name:
        folder = Path(name)
        server = NatsServer(folder)
        server.start()
        try:
            _write(folder / "here", blocks)
            found = _timed(folder / "here", "sent", blocks, {"nats_url": server.url, "relay_send": TICKS})
            found |= _timed(folder / "there", "received", blocks, {"nats_url": server.url, "relay_receive": TICKS})
        finally:
            server.stop()
    return found


def _write(root: Path, blocks: int) -> None:
    journal_dir = load({"IBSTREAM_DATA_ROOT": str(root / "data")}).journal_dir
    writer = JournalWriter(journal_dir, TICKS, now=NOON)
    for payload, count, stamp in numbered(template(BLOCK), blocks * BLOCK, writer.next_seq, writer.epoch):
        writer.append(payload, count, stamp)
    writer.close()


def _timed(root: Path, way: str, blocks: int, settings: dict[str, object]) -> dict[str, float]:
    """One relay until all is through. The counts are its own, in its heartbeats; what it received is looked for."""
    root.mkdir(exist_ok=True)
    with Pipeline(root, ["relay"], settings | {"heartbeat_interval": 0.1}) as pipeline, zmq.Context() as context:
        relay = psutil.Process(pipeline.processes["relay"].pid)
        heard = Subscriber(context, pipeline.settings, [events_endpoint("relay")], [heartbeat_topic("relay")])
        try:
            first: tuple[float, float, float] | None = None
            deadline = time.monotonic() + LONGEST
            while True:
                assert time.monotonic() < deadline, f"not {way} in {LONGEST:.0f} s: {pipeline.logs()}"
                heard.socket.poll(1_000)
                for _, payload in heard.drain():
                    beat = decode_heartbeat(payload)
                    count = beat.metrics.get(f'relay_{way}_blocks_total{{stream="{TICKS}"}}', 0.0)
                    now = (count, beat.time / 1e9, sum(relay.cpu_times()[:2]))
                    if first is None and count >= blocks * SHARE:
                        first = now
                    if count >= blocks:
                        break
                else:
                    continue
                break
        finally:
            heard.close()
        if way == "received":
            with JournalReader(pipeline.settings.journal_dir, TICKS) as reader:
                last = reader.last()
            assert last is not None and last.last_seq == blocks * BLOCK
    assert first is not None and now[0] > first[0], "too few blocks to time them"
    many = now[0] - first[0]
    return {f"{way} a second": many / (now[1] - first[1]), f"{way}, µs each": (now[2] - first[2]) / many * 1e6}


def main(short: bool) -> None:
    rounds, blocks = (1, 10_000) if short else (5, 60_000)
    taken = [relayed(blocks) for _ in range(rounds)]
    rows = []
    for way in ("sent", "received"):
        rates = [one[f"{way} a second"] for one in taken]
        cpu = statistics.median(one[f"{way}, µs each"] for one in taken)
        spread = f"{min(rates):,.0f} to {max(rates):,.0f}"
        rows.append([way, f"{statistics.median(rates):,.0f}", spread, f"{cpu:,.0f}"])
    title = f"Relay, blocks of {BLOCK} ticks, server on the same machine, medians of {rounds} rounds of {blocks:,}"
    report("relay", title, ["", "blocks a second", "low to high", "CPU µs a block"], rows, taken)
