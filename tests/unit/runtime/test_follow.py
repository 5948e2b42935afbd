"""The follower: every block once and in order, whatever the bus does, and an honest restart when the past changed."""

import shutil
from pathlib import Path

import pytest

from messages.codec import decode_block, encode
from messages.events import Block, EventBlock
from services.journal import JournalDamaged, JournalWriter, day_files
from services.journal.cursor import Cursor
from services.runtime.follow import FileSource, Follower
from tests.journals import DAY, NOON, STREAM, append, events_block, fill, killed, open_writer


class Consumer:
    """Folds a stream to the list of its sequence numbers; saves nothing."""

    def __init__(self, root: Path, cursor: Cursor | None = None, slice_bytes: int = 1 << 20) -> None:
        self.seen: list[tuple[int, int]] = []  # epoch and number of each event, since the last restart
        self.restarts = 0
        self.source = FileSource(root, STREAM)
        self.follower = Follower(STREAM, self.source, self.apply, self.restart, cursor, slice_bytes)

    def apply(self, block: Block) -> None:
        assert isinstance(block, EventBlock)
        assert decode_block(STREAM, self.follower.payload) == block, "the bytes are not those of the block"
        self.seen += [(block.epoch, block.first_seq + n) for n in range(block.count)]

    def restart(self) -> None:
        self.restarts += 1
        self.seen.clear()

    def catch_up(self) -> None:
        for _ in range(100):
            if not self.follower.step():
                return
        raise AssertionError("no end")

    @property
    def numbers(self) -> list[int]:
        return [number for _, number in self.seen]


class Bus:
    """A writer whose frames can be sent, or not."""

    def __init__(self, root: Path) -> None:
        self.writer = open_writer(root)

    def publish(self, count: int = 1) -> bytes:
        writer = self.writer
        payload = encode(events_block(writer.epoch, writer.next_seq, count))
        assert writer.append(payload, count, NOON)
        return payload

    def heartbeat(self, follower: Follower) -> None:
        follower.on_head(self.writer.epoch, self.writer.seq)

    def restart(self, root: Path) -> None:
        self.writer.close()
        self.writer = open_writer(root)


@pytest.fixture
def bus(tmp_path: Path) -> Bus:
    return Bus(tmp_path)


def test_a_first_frame_starts_the_replay_of_all_before_it(tmp_path: Path, bus: Bus) -> None:
    consumer = Consumer(tmp_path)
    assert not consumer.follower.joined
    frames = [bus.publish(3) for _ in range(4)]
    consumer.follower.on_frame(frames[-1])
    assert (consumer.seen, consumer.follower.behind) == ([], 12)
    consumer.catch_up()
    assert consumer.numbers == list(range(1, 13))
    assert consumer.follower.joined
    consumer.follower.on_frame(bus.publish(2))
    assert consumer.numbers[-2:] == [13, 14]
    assert consumer.follower.cursor == Cursor(1, 14)
    assert consumer.follower.gaps == 0


def test_a_heartbeat_reveals_a_lost_tail(tmp_path: Path, bus: Bus) -> None:
    consumer = Consumer(tmp_path)
    bus.heartbeat(consumer.follower)
    consumer.follower.on_frame(bus.publish())
    for _ in range(3):
        bus.publish()
    assert not consumer.follower.behind
    bus.heartbeat(consumer.follower)
    assert consumer.follower.behind == 3
    consumer.catch_up()
    assert consumer.numbers == [1, 2, 3, 4]


def test_a_hole_is_counted_and_filled_and_duplicates_do_nothing(tmp_path: Path, bus: Bus) -> None:
    consumer = Consumer(tmp_path)
    frames = [bus.publish(2) for _ in range(5)]
    for number in (0, 0, 1, 3, 3, 0, 4):
        consumer.follower.on_frame(frames[number])
    assert consumer.numbers == [1, 2, 3, 4]
    assert consumer.follower.gaps == 1
    consumer.catch_up()
    for frame in frames:
        consumer.follower.on_frame(frame)
    assert consumer.numbers == list(range(1, 11))


def test_frames_that_arrive_during_a_replay_are_neither_lost_nor_doubled(tmp_path: Path, bus: Bus) -> None:
    for _ in range(30):
        bus.publish(2)
    consumer = Consumer(tmp_path, slice_bytes=400)
    bus.heartbeat(consumer.follower)
    while consumer.follower.step():
        if bus.writer.seq < 90:
            consumer.follower.on_frame(bus.publish(2))
    assert consumer.numbers == list(range(1, bus.writer.seq + 1))


def test_a_saved_cursor_costs_the_tail_only(tmp_path: Path, bus: Bus) -> None:
    for _ in range(10):
        bus.publish(2)
    consumer = Consumer(tmp_path, Cursor(1, 16))
    bus.heartbeat(consumer.follower)
    consumer.catch_up()
    assert consumer.numbers == [17, 18, 19, 20]
    assert consumer.restarts == 0


def test_what_can_be_read_is_read_without_a_writer(tmp_path: Path) -> None:
    fill(tmp_path, [2, 2])
    consumer = Consumer(tmp_path)
    consumer.follower.look_back()
    consumer.catch_up()
    assert consumer.numbers == [1, 2, 3, 4]
    assert not consumer.follower.joined


def test_a_new_epoch_goes_on_where_the_old_one_ended(tmp_path: Path, bus: Bus) -> None:
    consumer = Consumer(tmp_path)
    consumer.follower.on_frame(bus.publish(2))
    for _ in range(3):
        bus.restart(tmp_path)
        consumer.follower.on_frame(bus.publish(2))
        consumer.catch_up()
    assert consumer.seen == [(1 + n // 2, n + 1) for n in range(8)]
    assert consumer.restarts == 0


def test_frames_of_an_older_epoch_are_dropped(tmp_path: Path, bus: Bus) -> None:
    consumer = Consumer(tmp_path)
    old = [bus.publish(2) for _ in range(2)]
    consumer.follower.on_frame(old[0])
    bus.restart(tmp_path)
    bus.heartbeat(consumer.follower)
    consumer.follower.on_frame(encode(events_block(1, 5, 1)))
    assert consumer.numbers == [1, 2]
    consumer.catch_up()
    assert consumer.numbers == [1, 2, 3, 4]


@pytest.mark.parametrize("consumed", ["exactly the lost tail", "more than is written anew", "other block borders"])
def test_a_lost_tail_that_was_consumed_makes_the_consumer_begin_again(tmp_path: Path, consumed: str) -> None:
    live = tmp_path / "live"
    bus = Bus(live)
    consumer = Consumer(tmp_path / "after")
    first = bus.publish(4)
    image = killed(live, tmp_path / "after")  # what the power failure will leave
    lost = [bus.publish(2) for _ in range(3)]
    for frame in (first, *lost):
        consumer.follower.on_frame(frame)
    assert consumer.numbers == list(range(1, 11))
    bus.writer.close()
    shutil.rmtree(live)
    after = Bus(image)
    counts = {"exactly the lost tail": [2, 2, 2], "more than is written anew": [1], "other block borders": [5, 3]}
    for count in counts[consumed]:
        after.publish(count)
    after.heartbeat(consumer.follower)
    assert consumer.follower.behind
    consumer.catch_up()
    assert consumer.restarts == 1
    assert consumer.seen == [(1, n) for n in (1, 2, 3, 4)] + [(2, n) for n in range(5, after.writer.seq + 1)]


def test_the_question_waits_while_the_journal_cannot_be_read(tmp_path: Path, bus: Bus) -> None:
    consumer = Consumer(tmp_path, Cursor(1, 2))
    consumer.follower.on_head(2, 5)  # announced, but still held in the writer's memory
    assert consumer.follower.behind
    assert not consumer.follower.step()
    assert consumer.restarts == 0
    assert not consumer.follower.joined
    bus.publish(2)
    assert consumer.follower.step()
    assert consumer.restarts == 0


def test_what_is_announced_and_not_yet_readable_is_waited_for(tmp_path: Path, bus: Bus) -> None:
    consumer = Consumer(tmp_path)
    bus.heartbeat(consumer.follower)
    consumer.follower.on_head(bus.writer.epoch, 3)
    assert not consumer.follower.step()
    bus.publish(3)
    consumer.catch_up()
    assert consumer.numbers == [1, 2, 3]


def test_a_consumer_that_was_away_longer_than_the_past_is_kept_begins_again(tmp_path: Path) -> None:
    for day in range(3):
        fill(tmp_path, [2, 2], NOON + day * DAY)
    for old in day_files(tmp_path / STREAM)[:2]:
        old.unlink()
    for cursor, restarts in ((Cursor(1, 2), 1), (None, 0), (Cursor(3, 10), 0)):
        consumer = Consumer(tmp_path, cursor)
        consumer.follower.look_back()
        consumer.catch_up()
        assert consumer.numbers == ([11, 12] if cursor == Cursor(3, 10) else [9, 10, 11, 12])
        assert consumer.restarts == restarts


def test_a_loss_that_the_operator_accepted_is_stepped_over(tmp_path: Path) -> None:
    fill(tmp_path, [2, 2])
    fill(tmp_path, [2, 2], NOON + DAY)
    day_files(tmp_path / STREAM)[-1].unlink()
    fill(tmp_path, [3], NOON + DAY)
    for cursor, restarts in ((Cursor(), 0), (Cursor(1, 4), 0), (Cursor(2, 6), 1)):
        consumer = Consumer(tmp_path, cursor)
        consumer.follower.look_back()
        consumer.catch_up()
        assert consumer.numbers[-3:] == [9, 10, 11]
        assert consumer.restarts == restarts


def test_damage_in_the_past_is_raised_and_not_skipped(tmp_path: Path) -> None:
    for day in range(3):
        fill(tmp_path, [2, 2], NOON + day * DAY)
    day_files(tmp_path / STREAM)[1].unlink()
    consumer = Consumer(tmp_path)
    consumer.follower.look_back()
    with pytest.raises(JournalDamaged, match="events 5 to 8 are missing"):
        consumer.catch_up()
    assert consumer.numbers == [1, 2, 3, 4]


def test_foreign_frames_are_counted_and_dropped(tmp_path: Path, bus: Bus) -> None:
    consumer = Consumer(tmp_path)
    for junk in (b"", b"\xff" * 50, encode({"type": "plan"}), encode([1, 2, 3])):
        consumer.follower.on_frame(junk)
    assert consumer.follower.malformed == 4
    assert not consumer.follower.behind


def test_a_foreign_block_in_the_journal_is_named(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, STREAM, now=NOON)
    append(writer)
    writer.append(b"\xc1", 1, NOON)
    writer.close()
    consumer = Consumer(tmp_path)
    consumer.follower.look_back()
    with pytest.raises(JournalDamaged, match="stream link, after sequence number 1"):
        consumer.catch_up()


# --- another journal in the place of the one that was followed ---


def test_a_writer_whose_journal_was_deleted_is_followed_from_its_new_beginning(tmp_path: Path) -> None:
    for _ in range(4):
        fill(tmp_path, [2])
    bus, consumer = Bus(tmp_path), Consumer(tmp_path)
    consumer.follower.on_head(bus.writer.epoch, bus.writer.seq, 1)
    consumer.catch_up()
    assert (bus.writer.epoch, consumer.numbers) == (5, list(range(1, 9)))
    bus.writer.close()
    shutil.rmtree(tmp_path / STREAM)
    bus = Bus(tmp_path)
    frame = bus.publish(3)
    consumer.follower.on_frame(frame)
    assert consumer.restarts == 0, "a frame of an older epoch may be a late one"
    consumer.follower.on_head(bus.writer.epoch, bus.writer.seq, 2)
    assert consumer.follower.behind
    consumer.catch_up()
    assert (consumer.restarts, consumer.seen) == (1, [(1, 1), (1, 2), (1, 3)])
    consumer.follower.on_frame(bus.publish())
    assert consumer.numbers == [1, 2, 3, 4]
    bus.writer.close()


def test_another_process_of_the_same_journal_is_no_news(tmp_path: Path) -> None:
    bus, consumer = Bus(tmp_path), Consumer(tmp_path)
    for run in range(1, 4):
        consumer.follower.on_frame(bus.publish())
        consumer.follower.on_head(bus.writer.epoch, bus.writer.seq, run)
        consumer.catch_up()
        bus.restart(tmp_path)
    assert (consumer.restarts, consumer.numbers) == (0, [1, 2, 3])
    bus.writer.close()


@pytest.mark.parametrize(("time", "restarts"), [(NOON, 0), (0, 0), (NOON - DAY, 1)])
def test_a_cursor_that_nobody_has_proved_is_held_against_the_journal(tmp_path: Path, time: int, restarts: int) -> None:
    """A journal that was deleted on another machine has the same numbers again, at another time."""
    fill(tmp_path, [1, 1, 1])
    seen: list[int] = []

    def again() -> None:
        nonlocal restarts
        restarts -= 1

    source = FileSource(tmp_path, STREAM)
    follower = Follower(
        STREAM, source, lambda block: seen.append(block.first_seq), again, Cursor(1, 2), time=time, unproven=True
    )
    follower.on_head(1, 3, 1)
    while follower.step():
        pass
    assert restarts == 0
    assert seen == ([3] if time != NOON - DAY else [1, 2, 3])


def test_a_cursor_beyond_the_end_of_the_journal_is_of_another_one(tmp_path: Path) -> None:
    fill(tmp_path, [1, 1, 1])
    seen: list[int] = []
    source = FileSource(tmp_path, STREAM)
    follower = Follower(
        STREAM, source, lambda block: seen.append(block.first_seq), seen.clear, Cursor(1, 40), unproven=True
    )
    follower.on_head(1, 3, 1)
    while follower.step():
        pass
    assert seen == [1, 2, 3]
