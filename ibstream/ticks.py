"""Every tick without a gap, with marks where prices were missing: the join that the services themselves use."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from ibstream.bus import subscriber
from ibstream.errors import Unreachable
from messages.codec import decode_block, decode_heartbeat
from messages.control import ReplayReply, ReplayRequest
from messages.errors import IbStreamError
from messages.events import Block, EventBlock, GapClosed, GapOpened, TickBlock
from messages.ticks import Tick, ticks
from messages.topics import HEARTBEAT_PREFIX, LINK, TICKS, heartbeat_topic, kind, replay_endpoint
from services.base.settings import Settings
from services.journal.cursor import Cursor
from services.journal.reader import JournalReader
from services.runtime.bus import request
from services.runtime.follow import FileSource, Follower
from services.runtime.replay_endpoint import RemoteSource

MAX_HELD: Final = 200_000
"""Ticks read ahead of their reader, at most: a slow one stays behind in the journal, not in memory."""


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """Where a symbol's prices are missing. `blind`: none from `start` on, because of `reason`. `verified`: they are
    had again from `end` on; what lies between is not in the stream. Times in UTC nanoseconds."""

    kind: str
    symbol: str
    start: int
    end: int | None = None
    reason: str


Item = Tick | Mark


class TickFeed:
    """The streams `ticks` and `link` of every gateway. In order for each stream, exactly once."""

    def __init__(self, bus: Any, symbols: frozenset[str], since: int | None) -> None:
        settings: Settings = bus.settings
        self._symbols = symbols
        self._items: deque[Item] = deque()
        gateways = [name for name in settings.services if kind(name) == "gateway"]
        topics = [*(heartbeat_topic(name) for name in gateways)]
        self._followers: dict[str, Follower] = {}
        self._sources: list[FileSource | RemoteSource] = []
        for gateway in gateways:
            for stream_kind in (TICKS, LINK):
                stream = gateway.replace("gateway", stream_kind, 1)
                self._followers[stream] = self._follower(settings, gateway, stream, since)
                topics.append(stream)
        self._subscriber = subscriber(bus.context, settings, gateways, topics)
        for follower in self._followers.values():
            follower.look_back()

    def poll(self, seconds: float) -> list[Item]:
        """What came, at most after `seconds`. Raises Unreachable when the journal cannot be read."""
        deadline = time.monotonic() + seconds
        while True:
            more = self._turn()
            if self._items or time.monotonic() >= deadline:
                break
            if not more:
                self._subscriber.socket.poll(max(int((deadline - time.monotonic()) * 1000), 1))
        found = list(self._items)
        self._items.clear()
        return found

    def close(self) -> None:
        self._subscriber.close()
        for source in self._sources:
            source.close()

    def _turn(self) -> bool:
        for topic, payload in self._subscriber.drain():
            if topic.startswith(HEARTBEAT_PREFIX):
                self._on_heartbeat(payload)
            elif topic in self._followers:
                self._followers[topic].on_frame(payload)
        more = False
        try:
            for follower in self._followers.values():
                while len(self._items) < MAX_HELD and follower.step():
                    more = True
        except IbStreamError as error:
            raise Unreachable(error.message, error.code) from None
        return more

    def _on_heartbeat(self, payload: bytes) -> None:
        try:
            beat = decode_heartbeat(payload)
        except msgspec.MsgspecError:
            return
        for stream, head in beat.heads.items():
            if stream in self._followers:
                self._followers[stream].on_head(head.epoch, head.seq)

    def _follower(self, settings: Settings, gateway: str, stream: str, since: int | None) -> Follower:
        here = gateway not in settings.peers
        source = FileSource(settings.journal_dir, stream) if here else RemoteSource(settings, gateway, stream)
        self._sources.append(source)
        place = _local_place(settings, stream, since) if here else _remote_place(settings, gateway, stream, since)
        taken = self._taker(since)
        return Follower(stream, source, taken, lambda: None, place)

    def _taker(self, since: int | None) -> Callable[[Block], None]:
        def take(block: Block) -> None:
            if since is None or block.time >= since:
                self._items.extend(self._items_of(block))

        return take

    def _items_of(self, block: Block) -> Iterator[Item]:
        if isinstance(block, TickBlock):
            yield from (tick for tick in ticks(block) if not self._symbols or tick.symbol in self._symbols)
        elif isinstance(block, EventBlock):
            for event in block.events:
                if isinstance(event, GapOpened | GapClosed) and (not self._symbols or event.symbol in self._symbols):
                    yield _mark(event)


def _mark(event: GapOpened | GapClosed) -> Mark:
    if isinstance(event, GapClosed):
        return Mark(kind="verified", symbol=event.symbol, start=event.start, end=event.end, reason=event.reason)
    return Mark(kind="blind", symbol=event.symbol, start=event.start, reason=event.reason)


def _local_place(settings: Settings, stream: str, since: int | None) -> Cursor:
    """Just before the first block of `since`, or the end of what is there."""
    with JournalReader(settings.journal_dir, stream) as reader:
        last = reader.last()
        if last is None:
            return Cursor()
        if since is None or (seq := reader.seq_at(since)) > last.last_seq:
            return Cursor(last.epoch, last.last_seq)
        rows = reader.read(max(seq - 1, 0), 1) if seq > 1 else []
        before = [row for row in rows if row.last_seq < seq]
        return Cursor(before[-1].epoch, before[-1].last_seq) if before else Cursor()


def _remote_place(settings: Settings, gateway: str, stream: str, since: int | None) -> Cursor:
    """The same, asked of the writer. Raises Unreachable."""

    def ask(from_seq: int, from_time: int) -> ReplayReply:
        wanted = ReplayRequest(stream=stream, from_seq=from_seq, max_bytes=1, from_time=from_time)
        try:
            reply = request(settings, replay_endpoint(gateway), wanted)
        except (IbStreamError, msgspec.MsgspecError) as error:
            raise Unreachable(f"{gateway} does not replay: {error}", "unreachable") from None
        if not isinstance(reply, ReplayReply):
            raise Unreachable(f"{gateway} does not replay: it speaks another version", "unreachable")
        return reply

    if since is None:
        wanted = ask(0, 0).head_seq
    else:
        found = ask(0, since)
        wanted = decode_block(stream, found.blocks[0]).first_seq - 1 if found.blocks else found.head_seq
    if wanted < 1:
        return Cursor()
    blocks = ask(wanted, 0).blocks
    if not blocks:
        return Cursor()
    block = decode_block(stream, blocks[0])
    return Cursor(block.epoch, block.first_seq + block.count - 1)
