"""The journal: appending beside bare SQLite and a plain file, replay, the sink's restart, size, and growth.

The work is done on the disk of the temporary folder (TMPDIR): name another one to measure another disk.
"""

import math
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import zmq

from messages.codec import decode_heartbeat, decode_ticks, encode
from messages.events import TickBlock
from messages.fields import ASK, BID, LAST
from messages.topics import TICKS, events_endpoint, heartbeat_topic
from services.archive.compaction import archive_day
from services.base.clock import SECOND
from services.base.settings import Settings
from services.gateway.wire.columns import Columns
from services.journal import JournalReader, JournalWriter, batches, day_files
from services.quotes.book import QuoteBook
from services.quotes.checkpoints import BATCH_EVENTS
from services.runtime.bus import Subscriber
from tests.benchmarks.harness import (
    REPOSITORY,
    Case,
    Sample,
    cpu_ns,
    in_turn,
    median,
    report,
    spread,
    thousands,
    timed,
)
from tests.support import eventually

NOON = 1_767_614_400 * SECOND
SYMBOLS = 100
COMMIT = 0.1  # seconds


def template(size: int, seed: int = 1) -> list[TickBlock]:
    """Blocks as a gateway makes them: walking prices, each with its size, and the size tick after it."""
    rng = random.Random(seed)
    prices = [rng.randrange(1_000, 90_000) for _ in range(SYMBOLS)]
    names = {number: f"SYM{number}" for number in range(SYMBOLS)}
    made = []
    for _ in range(max(1, 20_000 // size)):
        columns = Columns()
        while len(columns) < size:
            symbol = rng.randrange(SYMBOLS)
            prices[symbol] += rng.choice((-1, 0, 0, 1))
            field, lots = rng.choice((BID, ASK, LAST)), 100.0 * rng.randrange(1, 30)
            columns.add(symbol, field, prices[symbol] / 100, lots)
            if len(columns) < size:
                columns.add(symbol, {BID: 0, ASK: 3, LAST: 5}[field], lots)
        made.append(columns.to_block(1, 1, NOON, names))
    return made


def numbered(blocks: list[TickBlock], ticks: int, first: int = 1, epoch: int = 1) -> Iterator[tuple[bytes, int, int]]:
    """Payload, count and time of `ticks` ticks of endless blocks, a millisecond apart."""
    number, end = 0, first + ticks
    while first < end:
        block = blocks[number % len(blocks)]
        stamp = NOON + number * 1_000_000
        changed = TickBlock(
            epoch,
            first,
            block.count,
            stamp,
            block.ids,
            block.symbols,
            block.symbol,
            block.field,
            block.value,
            block.size,
        )
        yield encode(changed), block.count, stamp
        first += block.count
        number += 1


# --- append ------------------------------------------------------------------------------------------------

Payloads = list[tuple[bytes, int, int]]


def append_journal(payloads: Payloads, ticks: int) -> Sample:
    with tempfile.TemporaryDirectory() as folder:
        writer = JournalWriter(Path(folder), TICKS, now=NOON, commit_seconds=COMMIT)
        with timed(ticks) as sample:
            for payload, count, stamp in payloads:
                writer.append(payload, count, stamp)
            writer.sync()
        writer.close()
    return sample


def append_sqlite(payloads: Payloads, ticks: int, durable: bool) -> Sample:
    """One row a block: each its own durable transaction, or one durable transaction every COMMIT seconds."""
    with tempfile.TemporaryDirectory() as folder, closing(sqlite3.connect(f"{folder}/x", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE block (first_seq INTEGER PRIMARY KEY, count, epoch, time, crc, payload BLOB)")
        with timed(ticks) as sample:
            first, due = 1, 0.0
            for payload, count, stamp in payloads:
                if not durable and time.monotonic() >= due:
                    if due:
                        db.execute("COMMIT")
                    db.execute("BEGIN")
                    due = time.monotonic() + COMMIT
                row = (first, count, 1, stamp, zlib.crc32(payload), payload)
                db.execute("INSERT INTO block VALUES (?, ?, ?, ?, ?, ?)", row)
                first += count
            if not durable:
                db.execute("COMMIT")
    return sample


def append_file(payloads: Payloads, ticks: int) -> Sample:
    """Length, checksum and payload at the end of a file; synced every COMMIT seconds."""
    with tempfile.TemporaryFile(buffering=0) as file, timed(ticks) as sample:
        due = time.monotonic() + COMMIT
        for payload, _, _ in payloads:
            file.write(len(payload).to_bytes(4, "little") + zlib.crc32(payload).to_bytes(4, "little") + payload)
            if time.monotonic() >= due:
                os.fdatasync(file.fileno())
                due = time.monotonic() + COMMIT
        os.fdatasync(file.fileno())
    return sample


def append(short: bool) -> None:
    total, rounds = (20_000, 3) if short else (1_000_000, 5)
    rows, data = [], {}
    for size in (1, 10, 100, 1_000):
        ticks = min(total, 20_000 * size)
        payloads = list(numbered(template(size), ticks))
        cases: dict[str, Case] = {
            "journal": partial(append_journal, payloads, ticks),
            "bare SQLite, group commit": partial(append_sqlite, payloads, ticks, durable=False),
            "plain file, group sync": partial(append_file, payloads, ticks),
        }
        samples = in_turn(cases, rounds)
        few = payloads[: max(1, len(payloads) // 50)]
        each = sum(count for _, count, _ in few)
        samples |= in_turn({"bare SQLite, each block": partial(append_sqlite, few, each, durable=True)}, rounds)
        ours = median(samples["journal"])
        for name, taken in samples.items():
            ratio = f"{median(taken) / ours:.2f}"
            blocks = thousands(median(taken) / size)
            rows.append([f"blocks of {size:,}: {name}", thousands(median(taken)), spread(taken), blocks, ratio])
        data[str(size)] = samples
    title = f"Appending tick blocks, durable within {COMMIT * 1000:.0f} ms, medians of {rounds} rounds"
    notes = [
        "The journal's block survives the death of the process when append returns; with bare SQLite in one"
        " transaction for many blocks only a commit does that. `each block`: one durable transaction a block."
    ]
    report(
        "journal_append",
        title,
        ["", "thousand ticks/s", "low to high", "thousand blocks/s", "ratio"],
        rows,
        data,
        notes,
    )


# --- replay and size ---------------------------------------------------------------------------------------


@contextmanager
def journal_of(ticks: int, size: int) -> Iterator[Path]:
    """A closed journal of one day and one epoch."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "journal"
        write(root, ticks, size)
        yield root


def write(root: Path, ticks: int, size: int) -> None:
    writer = JournalWriter(root, TICKS, now=NOON)
    for payload, count, stamp in numbered(template(size), ticks, writer.next_seq, writer.epoch):
        assert writer.append(payload, count, stamp)
    writer.close()


def read(root: Path, ticks: int) -> Sample:
    with JournalReader(root, TICKS) as reader, timed(ticks) as sample:
        for _ in reader.blocks():
            pass
    return sample


def fold(root: Path, ticks: int) -> Sample:
    """As services/quotes/checkpoints.py does it."""
    book = QuoteBook()
    with JournalReader(root, TICKS) as reader, timed(ticks) as sample:
        for batch in batches(reader.blocks(), BATCH_EVENTS):
            book.apply_all([decode_ticks(row.payload) for row in batch])
    return sample


def replay(short: bool) -> None:
    ticks, rounds = (50_000, 3) if short else (2_000_000, 5)
    rows, sizes, data = [], [], {}
    for size in (10, 100, 1_000, 5_000):
        count = min(ticks, 20_000 * size)
        with journal_of(count, size) as root:
            day = day_files(root / TICKS)[0]
            in_journal = day.stat().st_size / count
            cases: dict[str, Case] = {
                "journal, read": partial(read, root, count),
                "journal": partial(fold, root, count),
            }
            samples = in_turn(cases, rounds)
            writer = JournalWriter(root, TICKS, now=NOON + 86_400 * SECOND)  # a next day: this one is closed
            writer.append(b"x", 1, NOON + 86_400 * SECOND)
            writer.close()
            archived = archive_day(day, TICKS)
            day_files(root / TICKS)[0].unlink()
            cases = {"archive, read": partial(read, root, count), "archive": partial(fold, root, count)}
            samples |= in_turn(cases, rounds)
        in_archive = archived.bytes_after / count
        for name, taken in samples.items():
            what = name if name.endswith("read") else f"{name}, into a quote book"
            rows.append([f"blocks of {size:,}: {what}", thousands(median(taken)), spread(taken)])
        ratio = f"{in_journal / in_archive:.1f}"
        sizes.append([f"blocks of {size:,}", f"{in_journal:.1f}", f"{in_archive:.1f}", ratio])
        data[str(size)] = {"samples": samples, "journal_bytes": in_journal, "archive_bytes": in_archive}
    title = f"Replay on one core, medians of {rounds} rounds (aim: 1,500 thousand ticks/s into a quote book)"
    report("journal_replay", title, ["", "thousand ticks/s", "low to high"], rows, data)
    report("journal_size", "Bytes a tick", ["", "journal", "Parquet (zstd)", "ratio"], sizes, data)


# --- the sink's restart ------------------------------------------------------------------------------------


def sink_current(settings: Settings, head: int) -> float:
    """Seconds from the start of a sink until its heartbeat says that it has applied `head`; then it is killed."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("IBSTREAM_")}
    env["IBSTREAM_DATA_ROOT"] = settings.data_root
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "services.sink"], env=env, cwd=REPOSITORY, stderr=subprocess.DEVNULL
    )
    subscriber = Subscriber(context, settings, [events_endpoint("sink")], [heartbeat_topic("sink")])
    try:

        def current() -> bool:
            return any(decode_heartbeat(payload).cursors.get(TICKS) == head for _, payload in subscriber.drain())

        eventually(current, timeout=300)
        taken = time.monotonic() - began
        state = settings.state_dir / "sink.state"
        eventually(lambda: state.exists() and state.stat().st_mtime > time.time() - 5, timeout=10)
        return taken
    finally:
        process.kill()
        process.wait()
        subscriber.close()
        context.term()


def restart(short: bool) -> None:
    ticks, rounds = (100_000, 2) if short else (10_000_000, 3)
    tail = ticks // 50
    rows, data = [], {}
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_root=folder, heartbeat_interval=0.05)
        write(settings.journal_dir, ticks, 500)
        head = ticks
        cold = []
        for _ in range(rounds):
            (settings.state_dir / "sink.state").unlink(missing_ok=True)
            cold.append(sink_current(settings, head))
        warm = []
        for _ in range(rounds):
            write(settings.journal_dir, tail, 500)  # what came while it was away
            head += tail
            warm.append(sink_current(settings, head))
    for name, taken in (
        (f"with its state, {tail:,} ticks behind", warm),
        ("without its state: all folded again", cold),
    ):
        middle = sorted(taken)[len(taken) // 2]
        rows.append([name, f"{middle:.2f}", f"{min(taken):.2f} to {max(taken):.2f}"])
        data[name] = taken
    title = f"Restart of a killed sink with {ticks:,} ticks in the journal, from process start (aim: 2 s)"
    report("journal_restart", title, ["", "seconds until current", "low to high"], rows, data)


# --- growth ------------------------------------------------------------------------------------------------


def growth(short: bool) -> None:
    """Appending at three sizes: at once behind the burst that made the journal so large, and once the disk has it."""
    steps = [100_000, 300_000, 1_000_000] if short else [10_000_000, 30_000_000, 100_000_000]
    probe, rounds = (10_000, 3) if short else (1_000_000, 5)
    rows, data = [], {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "journal"
        done = 0
        for step in steps:
            write(root, step - (rounds + 1) * probe - done, 1_000)
            behind, opened = probed_append(root, probe)
            os.sync()
            settled = [probed_append(root, probe)[0] for _ in range(rounds)]
            done = step
            figures = {"open": opened} | lookups(root, done)
            data[str(step)] = figures | {"behind": behind, "settled": settled}
            rows.append(
                [f"{step / 1e6:g}", thousands(behind.rate), thousands(median(settled)), spread(settled)]
                + [f"{median(settled, cpu_ns):.0f}", f"{opened * 1e3:.0f}"]
                + [f"{figures[name] * 1e6:,.0f}" for name in ("tail", "middle", "at")]
                + [f"{figures['bytes']:.1f}"]
            )
    title = f"Millions of ticks in one day's file; appending in thousand ticks/s, {probe:,} in blocks of 1,000"
    columns = [
        "",
        "behind a burst",
        "settled",
        "low to high",
        "CPU ns a tick",
        "writer opens, ms",
        "read tail, µs",
        "read middle, µs",
        "find a time, µs",
        "bytes a tick",
    ]
    notes = [
        "Behind a burst: at once after the ticks before were written as fast as can be, while the disk is busy with"
        f" them. Settled: once it has them, medians of {rounds} rounds. Each ends with a sync."
    ]
    report("journal_growth", title, columns, rows, data, notes)


def probed_append(root: Path, ticks: int) -> tuple[Sample, float]:
    """Appending at this size, and how long the writer took to open."""
    began = time.perf_counter()
    writer = JournalWriter(root, TICKS, now=NOON, commit_seconds=COMMIT)
    opened = time.perf_counter() - began
    payloads = list(numbered(template(1_000), ticks, writer.next_seq, writer.epoch))
    with timed(ticks) as sample:
        for payload, count, stamp in payloads:
            writer.append(payload, count, stamp)
        writer.sync()
    writer.close()
    return sample, opened


def lookups(root: Path, ticks: int) -> dict[str, float]:
    """Median seconds of reading a block at the end and in the middle, and of finding a time; bytes a tick."""
    rng = random.Random(ticks)
    with JournalReader(root, TICKS) as reader:
        last = reader.last()
        assert last is not None and last.last_seq == ticks
        reads: dict[str, Callable[[], object]] = {
            "tail": lambda: reader.read(ticks - 10, 1),
            "middle": lambda: reader.read(rng.randrange(1, ticks), 1),
            "at": lambda: reader.seq_at(rng.randrange(NOON, last.time)),
        }
        figures = {name: middle(read) for name, read in reads.items()}
    return figures | {"bytes": day_files(root / TICKS)[0].stat().st_size / ticks}


def middle(action: Callable[[], object], times: int = 101) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        taken.append(time.perf_counter() - began)
    result = sorted(taken)[times // 2]
    assert math.isfinite(result)
    return result


def main(short: bool) -> None:
    append(short)
    replay(short)
    restart(short)
    growth(short)
