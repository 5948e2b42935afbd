"""A writer of another machine as the consumers on this one see it: its streams' journals, its live frames, its
heartbeats and last values, all in the places where they are looked for.

Lives on the main loop. Journal first, then publish, as with any writer. Blocks that are known already are
passed over; a block that comes too early is refused, and the receiver begins again where the replica ends.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec
import structlog

from messages.codec import decode_block, decode_heartbeat, encode
from messages.events import Block
from messages.topics import HEARTBEAT_PREFIX, PLAN
from services.base.clock import Clock
from services.journal import JournalReader, JournalReplica
from services.journal.replica import rewind
from services.relay.names import Position, position
from services.runtime.bus import Publisher
from services.runtime.process import Service

log = structlog.get_logger()

Verdict = Literal["taken", "early", "full"]


class Mirror:
    """One writer; `streams` are those of its streams that come here."""

    def __init__(self, service: Service, writer: str, streams: Iterable[str]) -> None:
        """Raises IbStreamError `ib_stream_lock_busy` when that service runs on this data root itself."""
        self._service = service
        self._clock: Clock = service.clock
        self._journal_dir = service.settings.journal_dir
        self.taken = self.doubled = self.malformed = 0  # blocks
        self._publisher: Publisher = service.stand_in(writer)
        for stream in streams:
            with JournalReader(self._journal_dir, stream) as reader:
                found = reader.last()
            if found is not None:
                self._open(stream, found.first_seq)

    def head(self, stream: str) -> Position:
        """How far the replica has come."""
        replica = self._replica(stream)
        return Position(replica.epoch, replica.seq) if replica is not None else Position(0, 0)

    def take(self, stream: str, payloads: list[bytes]) -> Verdict:
        """Append and publish blocks. Stops at the first that cannot be taken. Raises IbStreamError."""
        run: list[tuple[Block, bytes]] = []  # that follow each other: journalled together
        for payload in payloads:
            try:
                block = decode_block(stream, payload)
            except (msgspec.MsgspecError, ValueError):
                self.malformed += 1
                continue
            if run and not _follows(run[-1][0], block):
                verdict = self._take(stream, run)
                if verdict != "taken":
                    return verdict
                run = []
            run.append((block, payload))
        return self._take(stream, run) if run else "taken"

    def on_value(self, topic: str, payload: bytes) -> None:
        """A last value. Of a heartbeat, the heads are put right: those that can be read here."""
        if topic.startswith(HEARTBEAT_PREFIX):
            try:
                beat = decode_heartbeat(payload)
            except msgspec.MsgspecError:
                self.malformed += 1
                return
            heads = {stream: found.head for stream in beat.heads if (found := self._replica(stream)) is not None}
            payload = encode(msgspec.structs.replace(beat, heads=heads))
        self._publisher.set_last(topic, payload)

    # --- inside ---

    def _take(self, stream: str, run: list[tuple[Block, bytes]]) -> Verdict:
        """Blocks that follow each other, less those that are known."""
        head = self.head(stream)
        new = [(block, payload) for block, payload in run if position(block) > head]
        self.doubled += len(run) - len(new)
        if not new:
            return "taken"
        first = new[0][0]
        replica = self._replica(stream) or self._open(stream, first.first_seq, first.time)
        if first.first_seq < replica.next_seq:
            replica = self._rewound(stream, first)
        if first.first_seq > replica.next_seq:
            return "early"
        count = replica.append_blocks(new)
        self.taken += count
        publish = self._publisher.set_last if stream == PLAN else self._publisher.send
        for _, payload in new[:count]:
            publish(stream, payload)
        return "taken" if count == len(new) else "full"

    def _rewound(self, stream: str, block: Block) -> JournalReplica:
        """The writer lost the end of its journal, which had come here, and has begun anew before it."""
        log.warning("replica_rewound", stream=stream, epoch=block.epoch, through=block.first_seq - 1)
        self._service.journals.pop(stream).close()
        rewind(self._journal_dir, stream, block.first_seq - 1)
        return self._open(stream, block.first_seq)

    def _replica(self, stream: str) -> JournalReplica | None:
        found = self._service.journals.get(stream)
        assert found is None or isinstance(found, JournalReplica)
        return found

    def _open(self, stream: str, first_seq: int, time: int | None = None) -> JournalReplica:
        replica = JournalReplica(
            self._journal_dir,
            stream,
            now=self._clock.now() if time is None else time,
            first_seq=first_seq,
            commit_seconds=self._service.settings.journal_commit_ms / 1000,
        )
        self._service.journals[stream] = replica
        return replica


def _follows(before: Block, block: Block) -> bool:
    """Whether a block is the next one of the same journal."""
    return block.first_seq == before.first_seq + before.count and block.epoch >= before.epoch
