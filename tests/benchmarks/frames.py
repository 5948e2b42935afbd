"""Recorded ticks as data frames: Parquet to Arrow, to polars, and one-minute candles by SQL, beside the same from the
archive's plain Parquet files with the library alone."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow.parquet as pq

import ibstream
from messages.codec import encode
from messages.events import TickBlock
from services.base.clock import SECOND
from services.journal import JournalWriter, Row
from services.journal.parquet import write_day
from tests.benchmarks.harness import Case, Sample, cpu_ns, in_turn, median, report, spread, thousands, timed

START = 1_767_571_200 * SECOND  # 2026-01-05T00:00:00Z
DAY = 86_400 * SECOND
SYMBOLS = 100
BLOCK = 100  # ticks
FIELDS = np.array([1, 0, 2, 3, 4, 5, 45, 8], dtype=np.uint8)  # a price and its size, and what comes with a trade

COLUMNS = ["time", "symbol", "field", "value", "size", "text", "epoch", "seq"]

CANDLES = """
    SELECT symbol, time_bucket(INTERVAL 1 minute, time) AS minute, arg_min(value, seq) AS open, max(value) AS high,
           min(value) AS low, arg_max(value, seq) AS close, count(*) AS trades
    FROM {ticks} WHERE {last} GROUP BY ALL
"""


def rows(ticks: int, begin: int, first_seq: int = 1) -> Iterator[Row]:
    """Blocks of prices that walk at random, over 23 hours."""
    rng = np.random.default_rng(7)
    names = [f"S{number}" for number in range(SYMBOLS)]
    prices = np.round(rng.uniform(20, 900, SYMBOLS), 2)
    count = ticks // BLOCK
    for number in range(count):
        symbol = rng.integers(0, SYMBOLS, BLOCK, dtype=np.uint32)
        field = FIELDS[rng.integers(0, len(FIELDS), BLOCK)]
        prices[symbol] = np.round(np.maximum(1.0, prices[symbol] + rng.integers(-2, 3, BLOCK) / 100), 2)
        is_price = (field == 1) | (field == 2) | (field == 4)
        sizes = rng.integers(1, 50, BLOCK) * 100.0
        time = begin + number * (82_800 * SECOND // count)
        values = np.where(is_price, prices[symbol], np.where(field == 45, time // SECOND, sizes))
        seq = first_seq + number * BLOCK
        block = TickBlock(
            epoch=1,
            first_seq=seq,
            count=BLOCK,
            time=time,
            ids=list(range(SYMBOLS)),
            symbols=names,
            symbol=symbol.tobytes(),
            field=field.tobytes(),
            value=values.tobytes(),
            size=np.where(is_price, sizes, np.nan).tobytes(),
        )
        yield Row(seq, BLOCK, 1, time, encode(block))


def archived(root: Path, ticks: int) -> str:
    """A day in Parquet, as the archive writes it; its path."""
    folder = root / "journal" / "ticks"
    folder.mkdir(parents=True)
    path = folder / "2026-01-05.parquet"
    write_day(path, "ticks", rows(ticks, START), 1, None)
    return str(path)


def written(root: Path, ticks: int) -> None:
    """A day in SQLite, as the gateway writes it."""
    writer = JournalWriter(root / "journal", "ticks", now=START)
    for row in rows(ticks, START):
        writer.append(row.payload, row.events, row.time)
    writer.close()


def streamed(root: Path) -> Sample:
    """Every batch is looked at and dropped."""
    with timed(0) as sample:
        sample.count = sum(batch.num_rows for batch in ibstream.open_data(root).ticks())
    return sample


PEAK = """
import sys
import duckdb, ibstream, polars, pyarrow.parquet
def peak():
    with open("/proc/self/status") as told:
        return next(int(line.split()[1]) for line in told if line.startswith("VmHWM")) / 1024
data = ibstream.open_data(sys.argv[1])
data.ticks(end=1).read_all()
before = peak()
read = {
    "batches": lambda: sum(batch.num_rows for batch in data.ticks()),
    "polars": lambda: polars.DataFrame(data.ticks()),
    "candles": lambda: data.duckdb().sql(sys.argv[3]).fetchall(),
}[sys.argv[2]]
kept = read()
print(peak() - before)
"""


def peak_mb(root: Path, what: str) -> str:
    """Megabytes by which a process of its own grows at most that reads all: `batches`, `polars` or `candles`."""
    sql = CANDLES.format(ticks="ticks", last="field = 'last'")
    command = [sys.executable, "-c", PEAK, str(root), what, sql]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return f"{float(told.split()[-1]):.0f}"  # behind DuckDB's bar of progress, which comes when it takes long


def plain(path: str) -> Sample:
    """What the library alone does: the same columns of the same file, a row group at a time."""
    with timed(0) as sample:
        file = pq.ParquetFile(path)
        groups = (file.read_row_group(number, COLUMNS) for number in range(file.num_row_groups))
        sample.count = sum(table.num_rows for table in groups)
    return sample


def counted(read: Callable[[], Any]) -> Sample:
    """Into a frame of polars, all of it in memory."""
    with timed(0) as sample:
        sample.count = read().height
    return sample


def candles(ticks: int, sql: Callable[[], Any]) -> Sample:
    with timed(ticks) as sample:
        found = sql().fetchall()
    sample.extra = {"candles": len(found)}
    return sample


def main(short: bool) -> None:
    ticks, rounds = (200_000, 2) if short else (10_000_000, 5)
    with tempfile.TemporaryDirectory() as folder:
        root, live = Path(folder) / "archived", Path(folder) / "live"
        path, few = archived(root, ticks), ticks // 10
        written(live, few)
        data, recent = ibstream.open_data(root), ibstream.open_data(live)
        view, recent_view = data.duckdb(), recent.duckdb()
        frame = pl.DataFrame(data.ticks())
        of_polars = duckdb.connect()
        of_polars.register("frame", frame)
        last, plain_last = "field = 'last'", "field = 4"
        cases: dict[str, Case] = {
            "batches of Arrow, archived day": partial(streamed, root),
            "the same from plain Parquet, pyarrow alone": partial(plain, path),
            "batches of Arrow, day in SQLite": partial(streamed, live),
            "frame of polars, archived day": partial(counted, lambda: pl.DataFrame(data.ticks())),
            "the same from plain Parquet, polars alone": partial(
                counted, lambda: pl.read_parquet(path, columns=COLUMNS)
            ),
            "one-minute candles, SQL on `ticks`, archived day": partial(
                candles, ticks, lambda: view.sql(CANDLES.format(ticks="ticks", last=last))
            ),
            "the same from plain Parquet, DuckDB alone": partial(
                candles, ticks, lambda: duckdb.sql(CANDLES.format(ticks=f"read_parquet('{path}')", last=plain_last))
            ),
            "the same on the frame of polars": partial(
                candles, ticks, lambda: of_polars.sql(CANDLES.format(ticks="frame", last=last))
            ),
            "one-minute candles, SQL on `ticks`, day in SQLite": partial(
                candles, few, lambda: recent_view.sql(CANDLES.format(ticks="ticks", last=last))
            ),
        }
        assert len(frame) == ticks
        peaks = {
            "batches of Arrow, archived day": peak_mb(root, "batches"),
            "batches of Arrow, day in SQLite": peak_mb(live, "batches"),
            "frame of polars, archived day": peak_mb(root, "polars"),
            "one-minute candles, SQL on `ticks`, archived day": peak_mb(root, "candles"),
        }
        samples = in_turn(cases, rounds)
    rows_shown = [
        [
            name,
            thousands(median(taken)),
            spread(taken),
            f"{median(taken, lambda sample: sample.wall):.2f}",
            f"{median(taken, cpu_ns):.0f}",
            peaks.get(name, ""),
        ]
        for name, taken in samples.items()
    ]
    columns = ["", "thousand ticks/s", "low to high", "seconds", "CPU ns a tick", "MB at most"]
    title = f"{ticks:,} archived ticks ({few:,} in SQLite) as data frames, medians of {rounds} rounds"
    notes = ["MB at most: by how much a process of its own grows that does this, after its imports."]
    report("frames", title, columns, rows_shown, samples, notes)
