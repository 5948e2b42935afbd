"""An upgrade under load: every service is ended and started again, one at a time, at 2000 ticks a second.

Nothing that was published may be missing from the journal, no sequence number may be skipped or come twice, and
readers, of the bus and of the files, must be current again after each step.
"""

import signal
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest
import zmq

from messages.codec import decode_heartbeat
from messages.events import Block
from messages.topics import CONTROL, LINK, PLAN, TICKS, events_endpoint, heartbeat_topic
from services.base.settings import Settings
from services.journal import JournalReader
from services.runtime.bus import Subscriber
from services.runtime.follow import FileSource, Follower
from tests.process.pipeline import ALL, Pipeline
from tests.support import eventually

RATE = 2000
ORDER = ("supervisor", "planner", "sink", "web", "gateway")  # as deploy/README.md says: prices last


class Reader:
    """Follows the stream `ticks` from another process, as a user's program does."""

    def __init__(self, settings: Settings) -> None:
        self.next_seq = 1
        self.epochs: list[int] = []
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._source = FileSource(settings.journal_dir, TICKS)
        topics = (TICKS, heartbeat_topic("gateway"))
        self._subscriber = Subscriber(self._context, settings, [events_endpoint("gateway")], topics)
        self._follower = Follower(TICKS, self._source, self._take, self._restart)

    def at(self) -> int:
        """Take what has come; the last sequence number applied."""
        for topic, payload in self._subscriber.drain():
            if topic == TICKS:
                self._follower.on_frame(payload)
            else:
                head = decode_heartbeat(payload).heads[TICKS]
                self._follower.on_head(head.epoch, head.seq)
        while self._follower.step():
            pass
        return self.next_seq - 1

    def _take(self, block: Block) -> None:
        assert block.first_seq == self.next_seq, "a hole, or an event twice"
        self.next_seq += block.count
        if block.epoch not in self.epochs:
            self.epochs.append(block.epoch)

    def _restart(self) -> None:
        raise AssertionError("the journal does not hold any more what was published")

    def close(self) -> None:
        self._subscriber.close()
        self._source.close()
        self._context.term()


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[Pipeline]:
    arguments = {"simulator": ["--pipeline", "--rate", str(RATE)]}
    with Pipeline(tmp_path, ALL, arguments=arguments) as p:
        p.await_status("connected")
        yield p


def written(p: Pipeline) -> int:
    """The last tick that the journal's files hold now."""
    with JournalReader(p.settings.journal_dir, TICKS) as reader:
        last = reader.last()
        return last.last_seq if last is not None else 0


def newest_file(p: Pipeline) -> int:
    """The newest tick that any symbol's file has seen."""
    return max((quote["seq"] for name in ("SPY", "QQQ", "IWM") if (quote := p.quote(name))), default=0)


def restarted(p: Pipeline, reader: Reader, name: str) -> float:
    """End a service and start it again; the seconds from its end until files and reader were current again."""
    assert p.kill(name, signal.SIGTERM) == 0, name
    ended, seen = monotonic(), written(p)
    p.start(name)
    eventually(lambda: newest_file(p) > max(seen, written(p) - RATE))
    seconds = monotonic() - ended
    eventually(lambda: reader.at() > max(seen, written(p) - RATE))
    p.await_status("connected")
    return seconds


def test_restarting_every_service_under_load_leaves_no_gap(loaded: Pipeline) -> None:
    p, reader = loaded, Reader(loaded.settings)
    try:
        eventually(lambda: reader.at() > RATE)
        steps = [f"{name} {restarted(p, reader, name):.2f} s" for name in ORDER]
        print("files at most a second of ticks behind again after:", ", ".join(steps))
        after = written(p)
        eventually(lambda: reader.at() > after + RATE)
        assert reader.epochs == [1, 2], "two runs of the gateway, one after the other"
        assert set(p.stop().values()) == {0}
        assert reader.at() == written(p)
    finally:
        reader.close()
    for stream in (TICKS, LINK, PLAN, CONTROL):
        next_seq = 1
        for block in p.blocks(stream):
            assert block.first_seq == next_seq, stream
            next_seq += block.count
    verified = p.cli("verify")
    assert verified.returncode == 0, verified.stdout
