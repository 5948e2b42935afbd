"""A world of writers, a bus and consumers in one process: everything that happens hangs on one seed.

The followers are the real ones. The journal is a model of the writer's contract (fast: thousands of seeds),
or the real writer and reader on real files (slower: the proof that the model is right). The bus drops, doubles
and delays, and lets frames of a dead writer arrive after those of its successor. After each step the
invariants of `World.check` must hold; when all faults have ended, `World.settle` must bring every consumer to
the fold of the journal.
"""

import itertools
import os
import random
import shutil
from bisect import bisect_right
from collections import deque
from pathlib import Path
from typing import Protocol

from messages.codec import encode
from messages.events import Block, EventBlock, IbError
from messages.topics import CONTROL, LINK
from services.journal import JournalReader, JournalWriter, day_files
from services.journal import writer as writing
from services.journal.cursor import Cursor
from services.runtime.follow import FileSource, Follower, ReplaySource
from tests.journals import NOON

Event = tuple[int, int]
"""Epoch and sequence number: they name an event for ever."""

STREAMS = (LINK, CONTROL)


def payload_of(epoch: int, first_seq: int, count: int) -> bytes:
    events = [IbError(code=first_seq + n, name="x", kind="info", message=str(epoch)) for n in range(count)]
    return encode(EventBlock(epoch, first_seq, NOON, list(events)))


class Store(Protocol):
    """A stream's journal from its writer's side."""

    epoch: int
    seq: int
    full: bool  # the disk refuses

    def append(self, count: int, *, hold: bool = True) -> bytes | None:
        """One block; None when it was not taken."""

    def sync(self) -> None: ...

    def poll(self) -> None: ...

    def synced(self) -> int:
        """The last sequence number that a power failure must leave."""

    def held(self) -> int:
        """Events in memory only."""

    def crash(self, power: float | None) -> None:
        """Die and start again; `power` is the share of the unsynced blocks that a power failure leaves."""

    def retire(self, before: int) -> None: ...

    def source(self) -> ReplaySource: ...

    def events(self) -> list[Event]: ...

    def close(self) -> None: ...


class ModelStore:
    """What JournalWriter and JournalReader promise, without a disk."""

    def __init__(self) -> None:
        self.epoch = 1
        self.seq = 0
        self.full = False
        self._blocks: list[tuple[int, int, int, bytes]] = []  # first, last, epoch, payload
        self._ends: list[int] = []
        self._synced = 0  # blocks
        self._held: deque[tuple[int, int, int, bytes]] = deque()

    def append(self, count: int, *, hold: bool = True) -> bytes | None:
        if not hold:
            self.poll()
        refused = self.full or bool(self._held)
        if refused and not hold:
            return None
        payload = payload_of(self.epoch, self.seq + 1, count)
        block = (self.seq + 1, self.seq + count, self.epoch, payload)
        self.seq += count
        if refused:
            self._held.append(block)
        else:
            self._write(block)
        return payload

    def _write(self, block: tuple[int, int, int, bytes]) -> None:
        self._blocks.append(block)
        self._ends.append(block[1])

    def poll(self) -> None:
        while self._held and not self.full:
            self._write(self._held.popleft())

    def sync(self) -> None:
        self._synced = len(self._blocks)

    def synced(self) -> int:
        return self._blocks[self._synced - 1][1] if self._synced else 0

    def held(self) -> int:
        return sum(block[1] - block[0] + 1 for block in self._held)

    def crash(self, power: float | None) -> None:
        self._held.clear()
        self.full = False  # the machine's owner made room: the writer would not start else
        if power is not None:
            left = self._synced + round(power * (len(self._blocks) - self._synced))
            del self._blocks[left:], self._ends[left:]
        self._synced = len(self._blocks)
        self.seq = self._ends[-1] if self._ends else 0
        self.epoch += 1

    def retire(self, before: int) -> None:
        gone = min(bisect_right(self._ends, before), len(self._blocks) - 1, self._synced)
        if gone > 0:
            del self._blocks[:gone], self._ends[:gone]
            self._synced -= gone

    def source(self) -> "ModelStore":
        return self

    def read(self, from_seq: int, max_bytes: int) -> list[bytes]:
        at = bisect_right(self._ends, from_seq - 1)
        payloads = []
        for *_, payload in self._blocks[at:]:
            payloads.append(payload)
            max_bytes -= len(payload)
            if max_bytes <= 0:
                break
        return payloads

    def unreadable(self, why: str) -> None:
        raise AssertionError(why)

    def head(self) -> Cursor | None:
        return Cursor(self._blocks[-1][2], self._blocks[-1][1]) if self._blocks else None

    def events(self) -> list[Event]:
        return [(epoch, seq) for first, last, epoch, _ in self._blocks for seq in range(first, last + 1)]

    def close(self) -> None:
        pass


class RealStore:
    """The real writer on real files; a power failure cuts the log where it was last synced, or later."""

    def __init__(self, root: Path, stream: str) -> None:
        self._root, self._stream = root, stream
        self._lives = 0
        self._open()

    def _open(self) -> None:
        self._writer = JournalWriter(self._root, self._stream, now=NOON, commit_seconds=600)
        self._synced_bytes = self._wal().stat().st_size
        self._synced_seq = self._writer.seq
        self._ends = [(self._synced_bytes, self._writer.seq)]
        self.epoch = self._writer.epoch

    def _wal(self) -> Path:
        return Path(f"{day_files(self._root / self._stream)[-1]}-wal")

    @property
    def seq(self) -> int:
        return self._writer.seq

    @property
    def full(self) -> bool:
        return isinstance(self._writer, _FullDisk)

    @full.setter
    def full(self, value: bool) -> None:
        self._writer.__class__ = _FullDisk if value else JournalWriter

    def append(self, count: int, *, hold: bool = True) -> bytes | None:
        payload = payload_of(self.epoch, self.seq + 1, count)
        taken = self._writer.append(payload, count, NOON, hold=hold)
        self._note()
        return payload if taken else None

    def poll(self) -> None:
        self._writer.poll(float("inf"))
        self._note()

    def _note(self) -> None:
        self._ends.append((self._wal().stat().st_size, self._writer._file.written))

    def sync(self) -> None:
        if not self.held():
            self._writer.sync()
            self._synced_bytes, self._synced_seq = self._ends[-1]

    def synced(self) -> int:
        return self._synced_seq

    def held(self) -> int:
        return self._writer.seq - self._writer._file.written

    def crash(self, power: float | None) -> None:
        self._lives += 1
        image = self._root.parent / f"{self._root.name}-{self._stream}-{self._lives}"
        ignored = shutil.ignore_patterns("*-shm", ".writer.lock")
        shutil.copytree(self._root / self._stream, image, ignore=ignored)
        if power is not None:
            later = [size for size, _ in self._ends if size >= self._synced_bytes]
            os.truncate(image / self._wal().name, later[round(power * (len(later) - 1))])
        self._writer.__class__ = JournalWriter
        self._writer._backlog.clear()
        self._writer.close()
        shutil.rmtree(self._root / self._stream)
        image.rename(self._root / self._stream)
        self._open()

    def retire(self, before: int) -> None:
        """Days are retired, not blocks: the model alone shows this."""

    def source(self) -> ReplaySource:
        return FileSource(self._root, self._stream)

    def events(self) -> list[Event]:
        with JournalReader(self._root, self._stream) as reader:
            return [(row.epoch, seq) for row in reader.blocks() for seq in range(row.first_seq, row.last_seq + 1)]

    def close(self) -> None:
        self._writer.__class__ = JournalWriter
        self._writer.close()


class _FullDisk(JournalWriter):
    """A writer whose disk refuses."""

    def _write(self, row: object) -> bool:
        self.problem = "the disk is full"
        return False


assert writing.JournalWriter is JournalWriter


class Consumer:
    """Follows all streams. What it has applied is its state; state and cursors are saved together."""

    def __init__(self, stores: dict[str, Store]) -> None:
        self._stores = stores
        self.restarts = 0
        self.saved: dict[str, tuple[Cursor, list[Event]]] = {s: (Cursor(), []) for s in stores}
        self.start()

    def start(self) -> None:
        """A new process, from what was saved."""
        self.state = {stream: list(events) for stream, (_, events) in self.saved.items()}
        self.sources = {stream: store.source() for stream, store in self._stores.items()}
        self.followers = {stream: self._follower(stream) for stream in self._stores}
        for follower in self.followers.values():
            follower.look_back()

    def _follower(self, stream: str) -> Follower:
        def apply(block: Block) -> None:
            assert isinstance(block, EventBlock)
            self.state[stream] += [(block.epoch, block.first_seq + n) for n in range(block.count)]

        def restart() -> None:
            self.restarts += 1
            self.state[stream].clear()

        return Follower(stream, self.sources[stream], apply, restart, self.saved[stream][0], slice_bytes=200)

    def save(self) -> None:
        self.saved = {s: (follower.cursor, list(self.state[s])) for s, follower in self.followers.items()}

    def close(self) -> None:
        for source in self.sources.values():
            if isinstance(source, FileSource):
                source.close()


class Channel:
    """From one writer to one consumer. In order within an epoch; a dead writer's frames may come late."""

    def __init__(self) -> None:
        self.frames: dict[int, deque[tuple[str, object]]] = {}

    def put(self, epoch: int, frame: tuple[str, object]) -> None:
        self.frames.setdefault(epoch, deque()).append(frame)

    def waiting(self) -> list[int]:
        return [epoch for epoch, frames in self.frames.items() if frames]


class World:
    """One run: all that happens is chosen by `seed`; `history` tells it again."""

    def __init__(self, seed: int, stores: dict[str, Store], consumers: int = 2) -> None:
        self.rng = random.Random(seed)
        self.stores = stores
        self.history: list[str] = []
        self.consumers = [Consumer(stores) for _ in range(consumers)]
        self.channels = {(s, n): Channel() for s in stores for n in range(consumers)}
        self.written: dict[str, set[Event]] = {stream: set() for stream in stores}  # every event that ever was
        self.acknowledged: dict[str, set[Event]] = {stream: set() for stream in stores}
        self.retired: dict[str, int] = dict.fromkeys(stores, 0)  # the oldest number that is kept
        self.began = {(stream, store.epoch): store.seq + 1 for stream, store in stores.items()}
        self._given = {stream: store.seq for stream, store in stores.items()}
        # A seed is of one temper: a calm world, or one where everything breaks all the time.
        trouble = self.rng.choice((0.2, 1.0, 3.0))
        self.loss = self.rng.choice((0.0, 0.1, 0.5))
        self.actions = [
            (self.append, 6.0),
            (self.deliver, 6.0),
            (self.step, 5.0),
            (self.heartbeat, 2.0),
            (self.sync, 2.0),
            (self.save, 1.0),
            (self.command, 0.5),
            (self.consumer_dies, 0.4 * trouble),
            (self.writer_dies, 0.4 * trouble),
            (self.power_fails, 0.3 * trouble),
            (self.disk_fills_or_clears, 0.3 * trouble),
            (self.retire, 0.1),
        ]

    def run(self, steps: int) -> None:
        doings, weights = zip(*self.actions, strict=True)
        for doing in self.rng.choices(doings, weights, k=steps):
            doing()
            self.check()
        self.settle()

    # --- what happens ---

    def _stream(self) -> str:
        return self.rng.choice(STREAMS)

    def _tell(self, *words: object) -> None:
        self.history.append(" ".join(map(str, words)))

    def append(self) -> None:
        stream = self._stream()
        for _ in range(self.rng.randint(1, 4)):
            self._publish(stream, self.stores[stream].append(self.rng.randint(1, 3)))

    def _publish(self, stream: str, payload: bytes | None) -> list[Event]:
        store = self.stores[stream]
        self._tell("append", stream, store.epoch, store.seq, payload is not None)
        if payload is None:
            return []
        new = [(store.epoch, seq) for seq in range(self._given[stream] + 1, store.seq + 1)]
        self._given[stream] = store.seq
        assert not self.written[stream].intersection(new), "a name was given twice"
        self.written[stream].update(new)
        for number in range(len(self.consumers)):
            if self.rng.random() >= self.loss:
                for _ in range(2 if self.rng.random() < 0.05 else 1):
                    self.channels[stream, number].put(store.epoch, ("frame", payload))
        return new

    def heartbeat(self) -> None:
        stream = self._stream()
        store = self.stores[stream]
        for number in range(len(self.consumers)):
            if self.rng.random() >= self.loss / 2:
                self.channels[stream, number].put(store.epoch, ("head", (store.epoch, store.seq)))

    def deliver(self) -> None:
        stream, number = self._stream(), self.rng.randrange(len(self.consumers))
        channel = self.channels[stream, number]
        for _ in range(self.rng.randint(1, 8)):
            waiting = channel.waiting()
            if not waiting:
                return
            kind, content = channel.frames[self.rng.choice(waiting)].popleft()
            follower = self.consumers[number].followers[stream]
            if kind == "frame":
                assert isinstance(content, bytes)
                follower.on_frame(content)
            else:
                assert isinstance(content, tuple)
                follower.on_head(*content)
            self._tell("deliver", stream, number, kind, follower.cursor.epoch, follower.cursor.seq)

    def step(self) -> None:
        number = self.rng.randrange(len(self.consumers))
        for stream, follower in self.consumers[number].followers.items():
            follower.step()
            self._tell("step", stream, number, follower.cursor.epoch, follower.cursor.seq)

    def sync(self) -> None:
        self.stores[self._stream()].sync()

    def command(self) -> None:
        """Durable before it is acknowledged, or it never happened."""
        stream = self._stream()
        store = self.stores[stream]
        payload = store.append(1, hold=False)
        events = self._publish(stream, payload)
        if payload is None:
            assert store.full or store.held()
        else:
            store.sync()
            self.acknowledged[stream].update(events)

    def save(self) -> None:
        self.rng.choice(self.consumers).save()

    def consumer_dies(self) -> None:
        number = self.rng.randrange(len(self.consumers))
        consumer = self.consumers[number]
        consumer.close()
        for stream in STREAMS:
            self.channels[stream, number] = Channel()
        if self.rng.random() < 0.2:
            consumer.saved = {stream: (Cursor(), []) for stream in STREAMS}  # its saved state was of no use
        consumer.start()
        self._tell("consumer dies", number)

    def writer_dies(self) -> None:
        stream = self._stream()
        store = self.stores[stream]
        written = store.seq - store.held()
        store.crash(None)
        assert store.seq == written, "a killed writer lost what it had written"
        self._reborn(stream, "writer dies")

    def power_fails(self) -> None:
        stream = self._stream()
        store = self.stores[stream]
        synced = store.synced()
        store.crash(self.rng.choice((0.0, 1.0, self.rng.random())))
        assert store.seq >= synced, "a power failure took what was durable"
        self._reborn(stream, "power fails")

    def _reborn(self, stream: str, how: str) -> None:
        store = self.stores[stream]
        self.began[stream, store.epoch] = store.seq + 1
        self._given[stream] = store.seq
        self._tell(how, stream, store.epoch, store.seq)

    def disk_fills_or_clears(self) -> None:
        store = self.stores[self._stream()]
        store.full = not store.full
        store.poll()

    def retire(self) -> None:
        stream = self._stream()
        store = self.stores[stream]
        store.retire(self.rng.randint(0, store.synced()))
        events = store.events()
        self.retired[stream] = events[0][1] if events else 0

    # --- what must hold ---

    def check(self) -> None:
        """After each step: nothing doubled, skipped, invented or out of order, for any consumer."""
        for consumer in self.consumers:
            for stream, follower in consumer.followers.items():
                events = consumer.state[stream]
                if not events:
                    assert follower.cursor == Cursor()
                    continue
                assert follower.cursor == Cursor(*events[-1]), "the cursor is not the state's"
                first = events[0][1]
                assert first == 1 or first <= self.retired[stream], "it began in the middle"
                assert len(events) == follower.cursor.seq - first + 1, "a number is missing or doubled"
                assert events[-1] in self.written[stream], "an event was invented"
                for (epoch, seq), (next_epoch, next_seq) in itertools.pairwise(events[-12:]):
                    assert next_seq == seq + 1
                    assert next_epoch == epoch or next_seq == self.began[stream, next_epoch], "two histories in one"

    def settle(self) -> None:
        """All faults end: within a bounded number of turns, every consumer's state is the fold of the journal."""
        for stream, store in self.stores.items():
            store.full = False
            store.poll()
            store.sync()
            events = store.events()
            assert self.acknowledged[stream] <= {*events} | {
                e for e in self.written[stream] if e[1] < self.retired[stream]
            }
            assert [seq for _, seq in events] == list(range(events[0][1], store.seq + 1)) if events else not store.seq
        for number, consumer in enumerate(self.consumers):
            for stream, follower in consumer.followers.items():
                store = self.stores[stream]
                follower.on_head(store.epoch, store.seq)
                for _ in range(store.seq + 10):
                    if not follower.step():
                        break
                assert follower.joined, f"consumer {number} does not come to the end of {stream}"
                events = store.events()
                kept = [event for event in consumer.state[stream] if not events or event[1] >= events[0][1]]
                assert kept == events, f"consumer {number}: its state of {stream} is not the fold"
        self.check()

    def close(self) -> None:
        for consumer in self.consumers:
            consumer.close()
        for store in self.stores.values():
            store.close()
