"""A peer that answers something unexpected has not answered: nobody who asked ends of it, or waits long."""

import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import msgspec
import pytest
import zmq

from messages.codec import decode_message, encode
from messages.control import Accepted, Failed, GetStatus, ReplayReply, ReplayRequest, Start
from messages.errors import IbStreamError
from messages.events import Block
from messages.topics import LINK, SUPERVISOR_CONTROL, replay_endpoint
from services.base.run_dir import prepare_run_dir
from services.base.settings import Settings
from services.runtime.bus import address, request
from services.runtime.follow import Follower
from services.runtime.replay_endpoint import RemoteSource
from tests.journals import events_block
from tests.support import eventually

ODD = {
    "a newer version": msgspec.msgpack.encode({"type": "replay_reply_v2", "stream": LINK}),
    "another type": encode(Accepted(seq=1)),
    "a question": encode(GetStatus()),
    "no message": b"\xc1\xff",
    "no text": encode(ReplayReply(stream=LINK, head_seq=1, blocks=[])).replace(LINK.encode(), b"\xff\xfe\xfd\xfc"),
    "an error of a newer version": encode(Failed(code="moon_phase", message="not tonight")),
    "another stream": encode(ReplayReply(stream="plan", head_seq=1, blocks=[])),
    "no blocks of it": encode(ReplayReply(stream=LINK, head_seq=1, blocks=[b"\x93", b""])),
    "blocks of another stream": encode(ReplayReply(stream=LINK, head_seq=1, blocks=[encode(Accepted())])),
}


class Peer:
    """Answers every question with the same; None: not at all, "right": as it should."""

    def __init__(self, settings: Settings, endpoint: str) -> None:
        self.answer: bytes | None = None
        self.right = False
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.bind(address(settings, endpoint))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            while True:
                *route, payload = self._socket.recv_multipart()
                answer = _rightly(payload) if self.right else self.answer
                if answer is not None:
                    self._socket.send_multipart([*route, answer])
        except zmq.ContextTerminated:
            self._socket.close(0)

    def close(self) -> None:
        self._context.term()
        self._thread.join()


def _rightly(payload: bytes) -> bytes:
    wanted = decode_message(payload)
    assert isinstance(wanted, ReplayRequest)
    blocks = [encode(events_block(1, seq, 1)) for seq in range(wanted.from_seq, 101)]
    return encode(ReplayReply(stream=LINK, head_seq=100, blocks=blocks))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(data_root=str(tmp_path))
    prepare_run_dir(made)
    return made


@pytest.fixture
def peer(settings: Settings) -> Iterator[Peer]:
    made = Peer(settings, replay_endpoint("gateway"))
    yield made
    made.close()


@pytest.mark.parametrize("odd", [*ODD, "silence"])
def test_a_reader_goes_on_and_catches_up_once_the_answers_are_right(
    settings: Settings, peer: Peer, odd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RemoteSource, "PAUSE", 0.05)
    monkeypatch.setattr(RemoteSource, "PATIENCE", 0.2)
    peer.answer = ODD.get(odd)
    applied: list[Block] = []
    source = RemoteSource(settings, "gateway", LINK)
    follower = Follower(LINK, source, applied.append, applied.clear)
    follower.on_head(1, 100)
    longest = 0.0

    def step() -> bool:
        nonlocal longest
        began = monotonic()
        follower.step()
        longest = max(longest, monotonic() - began)
        return source.malformed > 2 or odd == "silence"

    eventually(step, timeout=10)
    for _ in range(5):
        step()
    assert (follower.cursor.seq, follower.behind, applied) == (0, 100, [])
    assert (source.problem is None) == (odd == "silence"), "what is silent only is told by others"
    peer.right = True
    eventually(lambda: (step(), not follower.behind)[1], timeout=10)
    assert [block.first_seq for block in applied] == list(range(1, 101))
    assert source.problem is None
    assert longest < 0.5
    source.close()


def test_answers_under_way_are_kept_apart_by_what_was_asked(settings: Settings, peer: Peer) -> None:
    """A follower that asks two things in turn gets on, however slow the way is."""
    peer.right = True
    source = RemoteSource(settings, "gateway", LINK)
    source.WAIT = 0.0  # type: ignore[misc]
    found: dict[int, list[bytes]] = {}

    def ask() -> bool:
        for from_seq in (90, 100):
            found.setdefault(from_seq, []).extend(() if found.get(from_seq) else source.read(from_seq, 1000))
        return all(found.values())

    eventually(ask, timeout=10)
    assert [len(blocks) for blocks in found.values()] == [11, 1]
    source.close()


@pytest.mark.parametrize("odd", ["a newer version", "another type", "a question", "no message", "no text"])
def test_a_command_that_is_answered_oddly_has_one_clear_sentence(settings: Settings, odd: str) -> None:
    peer = Peer(settings, SUPERVISOR_CONTROL)
    peer.answer = ODD[odd]
    try:
        with pytest.raises(IbStreamError, match="the supervisor answers") as error:
            request(settings, SUPERVISOR_CONTROL, GetStatus())
        assert error.value.code == "supervisor_unreachable"
        peer.answer = ODD["an error of a newer version"]
        with pytest.raises(IbStreamError, match=r"not tonight \[moon_phase\]"):
            request(settings, SUPERVISOR_CONTROL, GetStatus())
    finally:
        peer.close()


@pytest.mark.parametrize("question", [Start(project_id=10**30), Start(symbols=["\ud800"])], ids=["number", "text"])
def test_what_no_message_can_hold_is_refused_before_anybody_is_asked(settings: Settings, question: Start) -> None:
    with pytest.raises(IbStreamError) as refused:
        request(settings, SUPERVISOR_CONTROL, question)
    assert refused.value.code == "invalid_request"
