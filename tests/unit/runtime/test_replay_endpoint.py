"""The past from a writer's replay endpoint is the past in its files: by number, time and symbol, in slices."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from messages.codec import encode
from messages.control import ReplayReply, ReplayRequest
from messages.events import EventBlock, LinkChanged, SymbolChanged
from messages.fields import BID
from messages.topics import LINK, TICKS, replay_endpoint
from services.base.clock import SECOND
from services.base.run_dir import prepare_run_dir
from services.base.settings import Settings
from services.gateway.wire.columns import Columns
from services.quotes.replay import FilePast, RemotePast
from services.runtime.bus import request
from services.runtime.replay_endpoint import ReplayServer
from tests.journals import DAY, NOON, open_writer

NAMES = ("SPY", "QQQ", "IWM")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Settings]:
    """A journal of two days and its writer's endpoint: each block holds one symbol, in turn."""
    settings = Settings(data_root=str(tmp_path))
    for day in range(2):
        ticks, link = (open_writer(settings.journal_dir, NOON + day * DAY, stream) for stream in (TICKS, LINK))
        for second in range(60):
            time, name = NOON + day * DAY + second * SECOND, NAMES[second % 3]
            columns = Columns()
            columns.add(1, BID, 100.0 + second, 1.0)
            columns.add(1, BID, 101.0 + second, 1.0)
            assert ticks.append(encode(columns.to_block(ticks.epoch, ticks.next_seq, time, {1: name})), 2, time)
            event = SymbolChanged(symbol=name, state="live", stale=False) if second % 2 else LinkChanged(phase="ready")
            assert link.append(encode(EventBlock(link.epoch, link.next_seq, time, [event])), 1, time)
        ticks.close()
        link.close()
    prepare_run_dir(settings)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    server = ReplayServer(context, settings, "gateway", [TICKS, LINK])
    thread = threading.Thread(target=server.run)
    thread.start()
    yield settings
    context.term()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("stream", [TICKS, LINK])
def test_the_endpoint_gives_what_the_files_hold(house: Settings, stream: str) -> None:
    here, there = FilePast(house.journal_dir, stream), RemotePast(house, stream)
    spans = [(0, None), (NOON + 30 * SECOND, NOON + DAY + 10 * SECOND), (NOON + 9 * DAY, None), (NOON + 1, NOON + 1)]
    for begin, end in spans:
        assert list(there.rows(begin, end)) == list(here.rows(begin, end))


def test_only_blocks_of_the_symbols_travel(house: Settings) -> None:
    seen, next_seq, rounds = [], 0, 0
    while True:
        wanted = ReplayRequest(stream=TICKS, from_seq=next_seq, max_bytes=1000, symbols=["SPY"])
        reply = request(house, replay_endpoint("gateway"), wanted)
        assert isinstance(reply, ReplayReply)
        seen += reply.blocks
        rounds += 1
        next_seq = reply.next_seq
        if next_seq > reply.head_seq:
            break
    assert len(seen) == 40
    assert rounds > 5
    assert [row.payload for row in RemotePast(house, TICKS, ["SPY"]).rows(0, None)] == seen
    assert len(list(RemotePast(house, LINK, ["QQQ", "IWM"]).rows(0, None))) == 40


def test_a_time_goes_before_a_number(house: Settings) -> None:
    wanted = ReplayRequest(stream=TICKS, from_seq=5, from_time=NOON + 59 * SECOND, max_bytes=1)
    reply = request(house, replay_endpoint("gateway"), wanted)
    assert isinstance(reply, ReplayReply)
    assert (reply.next_seq, len(reply.blocks), reply.head_seq) == (121, 1, 240)
