"""Reading everything back after trouble: what a consumer saw, what the journal holds, and what the files say.

For tests that kill services: each check fails with what is not whole.
"""

import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import zmq

from messages.codec import decode_heartbeat
from messages.events import Block
from messages.topics import STREAMS, TICKS, events_endpoint, heartbeat_topic
from services.base.settings import Settings
from services.journal import JournalReader
from services.journal.cursor import Cursor
from services.journal.verify import verify
from services.runtime.bus import Subscriber
from services.runtime.follow import FileSource, Follower
from tests.process.pipeline import Pipeline
from tests.rebuilt import folded_files
from tests.support import eventually


class Witness(threading.Thread):
    """A consumer in the test's own process that follows the ticks through everything."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True)
        self.seen: list[tuple[int, int, int]] = []  # epoch, first number and count of each block
        self.restarts = 0
        self.gaps = 0
        self._settings = settings
        self._done = threading.Event()
        self._problem: BaseException | None = None

    def run(self) -> None:
        try:
            self._follow()
        except BaseException as error:
            self._problem = error

    def _follow(self) -> None:
        def restart() -> None:
            self.restarts += 1
            self.seen.clear()

        context: zmq.Context[Any] = zmq.Context()
        source = FileSource(self._settings.journal_dir, TICKS)
        self.follower = Follower(TICKS, source, self._apply, restart)
        subscriber = Subscriber(
            context, self._settings, [events_endpoint("gateway")], [TICKS, heartbeat_topic("gateway")]
        )
        self.follower.look_back()
        while not self._done.is_set():
            subscriber.socket.poll(20)
            for topic, payload in subscriber.drain():
                if topic == TICKS:
                    self.follower.on_frame(payload)
                else:
                    head = decode_heartbeat(payload).heads[TICKS]
                    self.follower.on_head(head.epoch, head.seq)
            self.follower.step()
        subscriber.close()
        context.term()
        self.follower.look_back()
        while self.follower.step():
            pass
        self.gaps = self.follower.gaps
        source.close()

    def _apply(self, block: Block) -> None:
        self.seen.append((block.epoch, block.first_seq, block.count))

    def finish(self) -> None:
        self._done.set()
        self.join(30)
        assert not self.is_alive()
        if self._problem is not None:
            raise self._problem


def ticks_in(pipeline: Pipeline) -> int:
    with JournalReader(pipeline.settings.journal_dir, TICKS) as reader:
        last = reader.last()
    return 0 if last is None else last.last_seq


def settle(pipeline: Pipeline, control: Path) -> None:
    """The simulator falls silent, and everything that it had sent arrives."""
    with socket.socket(socket.AF_UNIX) as sock, sock.makefile("rw") as lines:
        sock.connect(str(control))
        lines.write('{"do": "silence"}\n')
        lines.flush()
        assert json.loads(lines.readline())["ok"]
    seen = [-1, time.monotonic()]

    def quiet() -> bool:
        head = ticks_in(pipeline)
        if head != seen[0]:
            seen[:] = [head, time.monotonic()]
        return time.monotonic() - seen[1] > 1.5

    eventually(quiet, 20, "the ticks end")


def check_journal(pipeline: Pipeline, settings: Settings, patience: float = 120.0) -> None:
    """Numbers without gap or repetition, each epoch once and in order, and not a byte damaged."""
    report = verify(settings.journal_dir)
    assert report.verdict == "clean", report.findings
    assert not report.findings
    for stream in STREAMS:
        expected, epochs = 1, [0]
        with JournalReader(settings.journal_dir, stream) as reader:
            for row in reader.blocks():
                assert row.first_seq == expected
                expected = row.last_seq + 1
                if row.epoch != epochs[-1]:
                    epochs.append(row.epoch)
        assert epochs == sorted(set(epochs))
    command = pipeline.cli("verify", timeout=patience)
    assert command.returncode == 0, command.stdout


def end_of(settings: Settings, stream: str) -> Cursor:
    with JournalReader(settings.journal_dir, stream) as reader:
        last = reader.last()
    assert last is not None
    return Cursor(last.epoch, last.last_seq)


def check_files(pipeline: Pipeline, tmp_path: Path, symbols: list[str], patience: float = 120.0) -> None:
    """Every symbol's file is, byte for byte and but for the vouching, the one that the journal gives."""
    command = pipeline.cli("replay", "--into", str(tmp_path / "rebuilt"), timeout=patience)
    assert command.returncode == 0, command.stderr
    rebuilt = folded_files(tmp_path / "rebuilt")
    live = folded_files(pipeline.data / "ib" / "stream")
    assert set(live) == set(rebuilt) >= {f"{symbol}.json" for symbol in symbols}
    assert live == rebuilt
