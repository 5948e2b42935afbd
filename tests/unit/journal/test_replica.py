"""The replica of a stream that is written elsewhere: the same rows, whatever comes twice, early, or was taken back."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from messages.codec import encode
from messages.topics import LINK
from services.base.clock import ManualClock
from services.base.settings import load
from services.journal import JournalReader, JournalReplica, Row
from services.journal.verify import verify
from services.relay.mirror import Mirror
from tests.journals import NOON, events_block


class Publisher:
    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, _topic: str, payload: bytes) -> None:
        self.sent.append(payload)


class Site:
    """A mirror on a machine of its own; `restart` opens it anew."""

    def __init__(self, root: Path) -> None:
        self.settings = load({"IBSTREAM_DATA_ROOT": str(root)})
        self.publisher = Publisher()
        self.journals: dict[str, Any] = {}
        self.restart()

    def restart(self) -> None:
        for replica in self.journals.values():
            replica.close()
        self.journals.clear()
        service: Any = SimpleNamespace(
            settings=self.settings, clock=ManualClock(NOON), journals=self.journals, stand_in=lambda _: self.publisher
        )
        self.mirror = Mirror(service, "gateway", [LINK])

    def take(self, epoch: int, first_seq: int, count: int, word: str = "") -> str:
        return self.mirror.take(LINK, [encode(events_block(epoch, first_seq, count, word=word))])

    def rows(self) -> list[Row]:
        with JournalReader(self.settings.journal_dir, LINK) as reader:
            return list(reader.blocks())

    def spans(self) -> list[tuple[int, int, int]]:
        return [(row.epoch, row.first_seq, row.last_seq) for row in self.rows()]


@pytest.fixture
def site(tmp_path: Path) -> Any:
    made = Site(tmp_path)
    yield made
    made.restart()
    for replica in made.journals.values():
        replica.close()


def test_epochs_and_numbers_are_the_writers(site: Site) -> None:
    assert site.take(3, 1, 5) == "taken"
    assert site.take(3, 6, 2) == "taken"
    assert site.take(7, 8, 1) == "taken"
    site.restart()
    assert site.take(7, 9, 1) == "taken"
    assert site.spans() == [(3, 1, 5), (3, 6, 7), (7, 8, 8), (7, 9, 9)]
    assert [row.payload for row in site.rows()] == site.publisher.sent


@pytest.mark.parametrize("many", [1, 7, 8, 9, 27])
def test_blocks_that_come_together_are_all_there_to_the_byte(site: Site, many: int) -> None:
    payloads = [encode(events_block(3, 1 + 2 * number, 2, word=f"number {number}")) for number in range(many)]
    assert site.mirror.take(LINK, payloads) == "taken"
    assert [row.payload for row in site.rows()] == payloads
    assert site.spans()[-1] == (3, 2 * many - 1, 2 * many)
    assert verify(site.settings.journal_dir).verdict == "clean"


def test_what_comes_twice_is_passed_over(site: Site) -> None:
    for _ in range(3):
        assert site.take(1, 1, 5) == "taken"
    site.take(1, 6, 5)
    site.restart()
    assert site.take(1, 1, 5) == site.take(1, 6, 5) == "taken"
    assert site.spans() == [(1, 1, 5), (1, 6, 10)]
    assert len(site.publisher.sent) == 2


def test_what_comes_early_is_refused(site: Site) -> None:
    site.take(1, 1, 5)
    assert site.take(1, 8, 2) == "early"
    assert site.take(1, 6, 2) == "taken"
    assert site.take(1, 8, 2) == "taken"
    assert site.spans() == [(1, 1, 5), (1, 6, 7), (1, 8, 9)]


def test_a_stream_may_begin_anywhere(site: Site) -> None:
    assert site.take(4, 1001, 5) == "taken"
    site.restart()
    assert site.take(4, 1006, 5) == "taken"
    assert site.spans() == [(4, 1001, 1005), (4, 1006, 1010)]


def test_what_the_writer_lost_is_taken_back(site: Site) -> None:
    """A power failure took the writer's last blocks, which had come here; it went on in a new epoch."""
    for first in (1, 6, 11):
        site.take(1, first, 5)
    assert site.take(2, 6, 3, "anew") == "taken"
    assert site.spans() == [(1, 1, 5), (2, 6, 8)]
    assert site.take(1, 11, 5) == "taken"  # an old one, late
    site.restart()
    assert site.take(2, 9, 1) == "taken"
    assert site.spans() == [(1, 1, 5), (2, 6, 8), (2, 9, 9)]
    site.restart()
    assert [report.findings for report in verify(site.settings.journal_dir, [LINK]).streams] == [[]]


def test_malformed_blocks_are_counted_and_dropped(site: Site) -> None:
    assert site.mirror.take(LINK, [b"", b"\xc1", encode({"type": "ticks"})]) == "taken"
    assert site.mirror.malformed == 3
    assert site.rows() == []


def test_a_replica_is_no_new_run_of_the_writer(tmp_path: Path) -> None:
    for _ in range(3):
        replica = JournalReplica(tmp_path, LINK, now=NOON, commit_seconds=0.01)
        assert replica.epoch == 0
        replica.close()
