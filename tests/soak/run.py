"""One soak: the pipeline as `make run` starts it, in a storm; then everything is read back.

`soak` raises AssertionError with a sentence for what leaked, was lost or did not heal.
"""

import random
import time
from pathlib import Path
from typing import NamedTuple

from messages.topics import STREAMS
from services.base.settings import Settings
from services.quotes.checkpoints import fold
from services.quotes.projection import Projection
from tests.process.pipeline import ALL, Pipeline
from tests.process.readback import Witness, check_files, check_journal, end_of, settle, ticks_in
from tests.soak.gauge import MEGABYTE, Gauge, measure, sizes
from tests.soak.storm import Storm
from tests.support import eventually

RATE = 2_000  # ticks a second
SYMBOLS = [f"SIM{number:04}" for number in range(1, 101)]
READ_BACK_SECONDS = 900.0
PLACES = "files"  # whose figures those of the data root are


class Kept(Pipeline):
    """Each service under its keeper."""

    def command(self, name: str) -> list[str]:
        python, _, module, *arguments = super().command(name)
        return [python, "-m", "services.runtime.respawn", module.removeprefix("services."), *arguments]


class Soak(NamedTuple):
    gauge: Gauge
    faults: dict[str, int]
    lives: dict[str, int]
    ticks: int
    gaps: int  # that the consumer of the test had to bridge
    journal: float  # MB
    seconds: float


class Watcher:
    """Takes the figures of all processes and places, at most once a period."""

    def __init__(self, pipeline: Pipeline, storm: Storm, period: float) -> None:
        self.gauge = Gauge()
        self._pipeline, self._storm, self._period = pipeline, storm, period
        self._due = 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + self._period
        for name in ALL:
            keeper = self._pipeline.processes[name].pid
            for whose, pid in ((name, self._storm.child(name)), (f"keeper of {name}", keeper)):
                figures = measure(pid) if pid is not None else None
                if pid is not None and figures is not None:
                    self.gauge.note(whose, pid, now, figures)
        self._note_places(self._pipeline.settings, now)

    def _note_places(self, settings: Settings, now: float) -> None:
        apart = {settings.journal_dir, settings.flight_dir}
        others = [path for path in settings.root.rglob("*") if path.is_file() and apart.isdisjoint(path.parents)]
        self.gauge.bound("write-ahead logs", sum(sizes(settings.journal_dir.rglob("*-wal"))) / MEGABYTE)
        self.gauge.bound("flight recordings", sum(sizes(settings.flight_dir.rglob("*"))) / MEGABYTE)
        figures = {
            "run directory": float(sum(1 for _ in settings.run_path.iterdir())),
            "other files": float(len(others)),
            "other bytes": sum(sizes(others)) / MEGABYTE,
        }
        self.gauge.note(PLACES, 0, now, figures)


def soak(folder: Path, seconds: float, seed: int) -> Soak:
    """Run for so long in an empty folder, which keeps all files."""
    control = folder / "simulator.control"
    arguments = ["--pipeline", "--rate", str(RATE), "--symbols", "100", "--lines", "300", "--message-limit", "2000",
                 "--control", str(control)]  # fmt: skip
    env = {"ib_message_rate": 500, "max_symbols": 100, "stale_after": 10, "link_stale_after": 5, "ib_backoff_max": 2,
           "flight_recorder_mb": 2, "log_level": "warning"}  # fmt: skip
    with Kept(folder, ALL, env, {"simulator": arguments}) as pipeline:
        eventually(pipeline.status, 60)
        storm = Storm(pipeline, control, SYMBOLS, seconds, random.Random(seed))
        eventually(lambda: storm.child("web"), 30)
        storm.begin()
        pipeline.await_status("connected", timeout=90)
        witness = Witness(pipeline.settings)
        witness.start()
        watcher = Watcher(pipeline, storm, period=min(2.0, seconds / 60))
        storm.blow(watcher)
        storm.calm()
        pipeline.await_status("connected", timeout=120)
        before = ticks_in(pipeline)
        eventually(lambda: ticks_in(pipeline) > before + RATE, 60, "ticks flow again")
        settle(pipeline, control)
        ended = pipeline.stop()
    witness.finish()
    assert set(ended.values()) == {0}, f"a service did not end well: {ended}"
    check(pipeline, witness)
    gauge = watcher.gauge
    journal = sum(sizes(pipeline.settings.journal_dir.rglob("*"))) / MEGABYTE
    lives = {name: len(gauge.lives[name]) for name in ALL}
    return Soak(gauge, dict(storm.told), lives, ticks_in(pipeline), witness.gaps, journal, seconds)


def check(pipeline: Pipeline, witness: Witness) -> None:
    """Nothing is lost: numbers without a hole, every consumer's state and every file the fold of the journal."""
    settings = pipeline.settings
    check_journal(pipeline, settings, READ_BACK_SECONDS)
    assert witness.restarts == 0, "something that was published was taken back"
    numbers = 1
    for _, first_seq, count in witness.seen:
        assert first_seq == numbers, f"a consumer missed the ticks from {numbers} to {first_seq - 1}"
        numbers += count
    assert numbers == ticks_in(pipeline) + 1, "a consumer missed the last ticks"
    saved, cursors = Projection.load((settings.state_dir / "sink.state").read_bytes())
    assert cursors == {stream: end_of(settings, stream) for stream in STREAMS}, "the sink is not at the end"
    folded = fold(settings.journal_dir, None)
    wrong = [symbol for symbol in folded.symbols() if saved.quote(symbol) != folded.quote(symbol)]
    assert not wrong, f"the sink's quotes are not the fold of the journal: {wrong[:5]}"
    check_files(pipeline, pipeline.folder, SYMBOLS, READ_BACK_SECONDS)
