"""A full disk while streaming: it is said, prices go on, nothing written is harmed, and it mends by itself.

On a small tmpfs that the test mounts (as root), once for the journal alone and once for the whole data root.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from messages.codec import decode_quote
from messages.control import Start, Stop
from messages.errors import IbStreamError
from messages.topics import TICKS, events_endpoint, quote_topic
from services.journal import JournalReader
from services.journal.verify import verify
from services.runtime.bus import Subscriber
from tests.process.pipeline import Pipeline
from tests.process.test_kill import check_counts, check_files, settle, ticks_in
from tests.support import eventually

SIZE = 24 << 20  # bytes
SYMBOLS = [f"SIM{number:04}" for number in range(1, 31)]


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A tmpfs at `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        reason = f"a small tmpfs cannot be mounted here ({mounted.stderr.strip()}): run as root"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take every byte that is left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return filler


@pytest.mark.parametrize("place", ["journal", "data root"])
def test_a_full_disk_is_announced_survived_and_healed(tmp_path: Path, place: str) -> None:
    control = tmp_path / "simulator.control"
    arguments = ["--pipeline", "--rate", "3000", "--symbols", "30", "--stats", str(tmp_path / "stats.json")]
    env: dict[str, object] = {"ib_message_rate": 500, "stale_after": 60, "link_stale_after": 60}
    env["run_dir"] = tmp_path / "run"
    env["flight_recorder_mb"] = 2
    data = tmp_path / "data"
    with small_disk(data / "journal" if place == "journal" else data) as disk:
        simulator = {"simulator": [*arguments, "--control", str(control), "--message-limit", "2000"]}
        with Pipeline(tmp_path, env=env, arguments=simulator) as pipeline:
            pipeline.await_status("connected")
            pipeline.ask(Stop())
            pipeline.ask(Start(symbols=SYMBOLS))
            eventually(lambda: ticks_in(pipeline) > 1000)
            pipeline.restart("gateway")  # ticks of lines that were just cancelled are not to count
            before = ticks_in(pipeline)
            eventually(lambda: ticks_in(pipeline) > before + 1000)
            pipeline.await_status("connected")
            live_through_a_full_disk(pipeline, disk, files_go_on=place == "journal")
            before = ticks_in(pipeline)
            eventually(lambda: ticks_in(pipeline) > before + 3000)
            pipeline.await_status("connected")
            settle(pipeline, control)
            assert pipeline.stop() == dict.fromkeys(pipeline.processes, 0)
        report = verify(pipeline.settings.journal_dir)
        assert (report.verdict, report.findings) == ("clean", [])
        check_counts(pipeline.settings, json.loads((tmp_path / "stats.json").read_bytes()))
        check_files(pipeline, tmp_path, SYMBOLS)


def live_through_a_full_disk(pipeline: Pipeline, disk: Path, *, files_go_on: bool) -> None:
    filler = fill(disk)
    stood = eventually(lambda: refused(pipeline))
    status = pipeline.await_status("degraded")
    assert status.services["gateway"].state == "failing"
    assert "cannot be written: database or disk is full" in (status.services["gateway"].detail or "")
    assert "journal_refused" in pipeline.log("gateway")
    with pytest.raises(IbStreamError) as failed:
        pipeline.ask(Stop())
    assert failed.value.code == "journal_unavailable"

    quotes_go_on(pipeline)
    if files_go_on:
        first = pipeline.quote(SYMBOLS[0])
        eventually(lambda: pipeline.quote(SYMBOLS[0]) != first, message="the file of a symbol goes on")
    with JournalReader(pipeline.settings.journal_dir, TICKS) as reader:  # what was written reads as before
        assert sum(row.events for row in reader.blocks(to_seq=stood)) >= stood
    assert pipeline.alive() == pipeline.services

    filler.unlink()
    eventually(lambda: "journal_recovered" in pipeline.log("gateway"))
    eventually(lambda: (now := pipeline.status()) is not None and now.services["gateway"].state == "up")
    status_file = eventually(pipeline.status_file)
    assert status_file["status"] != "stopped"  # the command that failed never came true


def refused(pipeline: Pipeline) -> int:
    """The head of the journal once it has stopped to rise; 0 before."""
    status = pipeline.status()
    if status is None or status.services["gateway"].state != "failing":
        return 0
    return ticks_in(pipeline)


def quotes_go_on(pipeline: Pipeline) -> None:
    import zmq

    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    subscriber = Subscriber(context, pipeline.settings, [events_endpoint("sink")], [quote_topic(SYMBOLS[0])])
    seen: set[int] = set()

    def several() -> bool:
        seen.update(decode_quote(payload).seq for _, payload in subscriber.drain())
        return len(seen) >= 5

    try:
        eventually(several, message="quotes go on")
    finally:
        subscriber.close()
        context.term()
