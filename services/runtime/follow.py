"""Joining a stream without a gap, and staying on it: one class, used by every consumer.

The order is the one that loses nothing: subscribe; wait for the first live frame or heartbeat, which names a
sequence number N; replay from the cursor up to N; go on live. Any hole in the live frames starts the same
replay. `Follower` does no I/O of its own but through the `ReplaySource` it is given, so a simulation can run
it. Delivery is at least once on the wire and exactly once, in order, to `apply`.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import msgspec

from messages.codec import decode_block
from messages.events import Block, EventBlock, UnknownEvent
from services.journal import JournalDamaged, JournalReader
from services.journal.cursor import Cursor

BEHIND_SECONDS: Final = 0.02  # between two looks at a stream that is known to go on


class ReplaySource(Protocol):
    """Where the past of a stream can be read: the files on this machine, or the writer's endpoint."""

    def read(self, from_seq: int, max_bytes: int) -> list[bytes]:
        """Payloads of the blocks from the one that holds `from_seq`, in order and without a hole; empty at the end.

        They begin later only when what is before was retired, or is known to be lost. Empty too while they cannot be
        read yet. Raises IbStreamError.
        """

    def unreadable(self, why: str) -> None:
        """What `read` gave is no block of the stream. Raises JournalDamaged where that is the last word; else the
        same will be read again."""

    def head(self) -> Cursor | None:
        """The last event that can be read, or None when there is none or it is not known."""

    def close(self) -> None:
        """Let go of files and sockets; a later read opens them again."""


class FileSource:
    """Replays from the journal's files. Raises JournalDamaged."""

    def __init__(self, directory: Path, stream: str) -> None:
        self._reader = JournalReader(directory, stream)

    def read(self, from_seq: int, max_bytes: int) -> list[bytes]:
        return [row.payload for row in self._reader.read(from_seq, max_bytes)]

    def unreadable(self, why: str) -> None:
        raise JournalDamaged(why)

    def head(self) -> Cursor | None:
        last = self._reader.last()
        return None if last is None else Cursor(last.epoch, last.last_seq)

    def close(self) -> None:
        self._reader.close()


class Follower:
    """Feeds `apply` every block of one stream after `cursor`, once and in order.

    Call `on_frame` for each live frame, `on_head` for each heartbeat of the writer, and `step` while it
    returns True (or once a turn of the loop): a long catch-up is cut into slices, so that the consumer's
    loop stays alive meanwhile. `restart` is called when what was consumed is not in the journal any more
    (the writer lost an unsynced tail in a power failure, or the past was retired): the consumer must drop
    its state, and everything is applied again from the journal's first block.
    """

    def __init__(
        self,
        stream: str,
        source: ReplaySource,
        apply: Callable[[Block], None],
        restart: Callable[[], None],
        cursor: Cursor | None = None,
        slice_bytes: int = 1 << 20,
        *,
        time: int = 0,
        unproven: bool = False,
    ) -> None:
        """`time` is that of the block at `cursor`, UTC nanoseconds; 0: not known. `unproven`: nobody has held the
        cursor against the journal yet, so that it is done as soon as the writer is heard."""
        self.stream = stream
        self.cursor = cursor if cursor is not None else Cursor()
        self.gaps = 0  # holes met in the live frames
        self.malformed = 0  # frames that were not a block of this stream
        self.payload = b""  # the block that is being applied, as its writer wrote it
        self.unknown = 0  # events applied that a newer program wrote and this one does not know
        self._source = source
        self._apply = apply
        self._restart = restart
        self._slice_bytes = slice_bytes
        self._target = 0  # replay is wanted up to this sequence number
        self._writer_epoch = 0  # the newest epoch that was heard or read of
        self._doubt = False  # a new epoch was heard: does the journal still hold what was consumed?
        self._time = time
        self._unproven = unproven
        self._run = 0  # of the writer, as it was heard last
        self._joined = False

    @property
    def behind(self) -> int:
        """Events that are known to be there and not applied yet."""
        return max(self._target - self.cursor.seq, int(self._doubt), 0)

    @property
    def joined(self) -> bool:
        """True once the writer was heard and everything up to then is applied."""
        return self._joined and not self.behind

    def on_frame(self, payload: bytes) -> None:
        """A live frame. Malformed ones are counted and dropped."""
        try:
            block = decode_block(self.stream, payload)
        except (msgspec.MsgspecError, ValueError):
            self.malformed += 1
            return
        self.on_block(block, payload)

    def on_block(self, block: Block, payload: bytes) -> None:
        """A live frame, decoded: what `payload` holds."""
        caught_up = self.joined
        self._hear(block.epoch, block.first_seq + block.count - 1)
        if block.epoch < self._writer_epoch or block.first_seq <= self.cursor.seq or self._doubt:
            return
        if block.first_seq == self.cursor.seq + 1:
            try:
                self._take(block, payload)
            except ValueError:  # well formed, and nonsense all the same: what the journal has in its place counts
                self.malformed += 1
        elif caught_up:
            self.gaps += 1

    def on_head(self, epoch: int, seq: int, run: int = 0) -> None:
        """The writer's heartbeat: `seq` is the last that it wrote. Reveals a lost tail and a first frame.

        `run` tells its processes apart, by the time of their start. Each has an epoch above all that its journal
        knows: another process in an epoch that is no later writes another journal, since the old one was deleted.
        """
        if run and run != self._run:
            if self._run and epoch <= self._writer_epoch:
                self._writer_epoch, self._unproven = 0, True
            self._run = run
        self._hear(epoch, seq)

    def look_back(self) -> None:
        """Want all that can be read now, heard from the writer or not: it may be down. Call after subscribing."""
        head = self._source.head()
        if head is not None:
            joined = self._joined
            self._hear(head.epoch, head.seq)
            self._joined = joined

    def wait(self, _now: float) -> float:
        """Seconds until `step` is wanted; infinity while nothing is missing."""
        return BEHIND_SECONDS if self.behind else math.inf

    def step(self) -> bool:
        """Apply one slice of what is missing. True when there is more to do. Raises IbStreamError."""
        if self._doubt:
            return self._settle()
        if not self.behind:
            return False
        payloads = self._source.read(self.cursor.seq + 1, self._slice_bytes)
        if not payloads:
            # Announced but not to be read: the writer holds it in memory while its disk is full.
            return False
        for payload in payloads:
            block = self._decode(payload)
            if block is None:
                return False
            last_seq = block.first_seq + block.count - 1
            if last_seq <= self.cursor.seq:
                continue
            follows = block.first_seq == self.cursor.seq + 1 and block.epoch == self.cursor.epoch
            held = True if follows else block.first_seq > self.cursor.seq and self._holds_cursor()
            if held is None:
                return False  # the source does not answer just now
            if not held:
                # The past was retired while this consumer was away, or the writer lost what was consumed here
                # and has begun a new epoch since the last read.
                self._begin_again()
                return True
            try:
                self._take(block, payload)
            except ValueError as error:
                self._unreadable(f"it does not fit what was before: {error}")
                return False
        return bool(self.behind)

    # --- inside ---

    def _hear(self, epoch: int, last_seq: int) -> None:
        """Learn that the writer has got to `last_seq` in `epoch`."""
        if epoch < self._writer_epoch:
            return
        if epoch > self._writer_epoch:
            self._writer_epoch = epoch
            self._target = 0
            self._doubt = self.cursor.seq > 0 and (epoch != self.cursor.epoch or self._unproven)
        self._joined = True
        self._target = max(self._target, last_seq)

    def _settle(self) -> bool:
        """A new run of the writer: go on where we are if the journal still holds it, else begin again."""
        if self._target >= self.cursor.seq:
            held = self._holds_cursor()
            if held is None:
                return False
        else:
            held = False
        self._doubt = self._unproven = False
        if not held:
            self._begin_again()
        return bool(self.behind)

    def _holds_cursor(self) -> bool | None:
        """Whether the journal holds the block at the cursor as it was consumed. None: not to be read yet."""
        if not self.cursor.seq:
            return True
        payloads = self._source.read(self.cursor.seq, 1)
        if not payloads:
            return None
        block = self._decode(payloads[0])
        if block is None:
            return None
        same = Cursor(block.epoch, block.first_seq + block.count - 1) == self.cursor
        return same and self._time in (0, block.time)

    def _begin_again(self) -> None:
        self.cursor, self._time = Cursor(), 0
        self._restart()

    def _take(self, block: Block, payload: bytes) -> None:
        assert block.first_seq > self.cursor.seq
        self.payload = payload
        if isinstance(block, EventBlock):
            self.unknown += sum(isinstance(event, UnknownEvent) for event in block.events)
        self._apply(block)
        self.cursor, self._time = Cursor(block.epoch, block.first_seq + block.count - 1), block.time
        if block.epoch > self._writer_epoch:
            # Read before it was heard of: frames of the older epoch must not follow it, and how far that one
            # had got means nothing any more.
            self._writer_epoch, self._target = block.epoch, self.cursor.seq

    def _decode(self, payload: bytes) -> Block | None:
        try:
            return decode_block(self.stream, payload)
        except (msgspec.MsgspecError, ValueError) as error:
            self._unreadable(str(error))
            return None

    def _unreadable(self, why: str) -> None:
        where = f"stream {self.stream}, after sequence number {self.cursor.seq}"
        self._source.unreadable(f"{where}: what follows is not one of its blocks: {why}")
