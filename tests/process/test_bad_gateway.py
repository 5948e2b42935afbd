"""The real gateway process against a scripted bad server: no lost tick, no crash, no hang, and it says what
happened (issue: a gateway that never answers, closes mid-frame, dribbles, sends garbage, and so on)."""

import os
import signal
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from messages.codec import decode_events, decode_ticks, encode
from messages.events import IbError, LinkChanged, Plan, PlannedSymbol
from messages.fields import ASK, BID, LAST
from services.journal import JournalReader, JournalWriter
from services.quotes.book import QuoteBook
from tests.process.bad_gateway import BadGateway, Peer, frame, tick_price
from tests.process.processes import start
from tests.support import eventually


class GatewayProcess:
    """`python -m services.gateway` on a data root of its own, with a plan of one symbol, SPY."""

    def __init__(self, root: Path, port: int, python: str = sys.executable, **env: str) -> None:
        self.root = root
        plan = JournalWriter(root / "journal", "plan", now=time.time_ns())
        symbols = [PlannedSymbol(symbol="SPY", reason="test", priority=0)]
        plan.append(encode(Plan(plan.epoch, plan.next_seq, time.time_ns(), True, symbols)), 1, time.time_ns())
        plan.close()
        self.log = root / "gateway.log"
        settings = {
            "IBSTREAM_DATA_ROOT": str(root),
            "IBSTREAM_API_MODE": "ib",
            "IBSTREAM_IB_PORT": str(port),
            "IBSTREAM_IB_CONNECT_TIMEOUT": "1",
            "IBSTREAM_IB_BACKOFF_MAX": "1",
        }
        clean = {name: value for name, value in os.environ.items() if not name.startswith("IBSTREAM_")}
        self.process = start([python, "-m", "services.gateway"], {**clean, **settings, **env}, self.log)

    def ticks(self) -> list[tuple[str, int, float, float]]:
        rows = []
        with JournalReader(self.root / "journal", "ticks") as reader:
            for row in reader.blocks():
                block = decode_ticks(row.payload)
                names = dict(zip(block.ids, block.symbols, strict=True))
                ids = memoryview(block.symbol).cast("I")
                values, sizes = memoryview(block.value).cast("d"), memoryview(block.size).cast("d")
                rows += [(names[i], f, v, s) for i, f, v, s in zip(ids, block.field, values, sizes, strict=True)]
        return rows

    def bids(self) -> list[float]:
        return [value for symbol, field, value, _ in self.ticks() if symbol == "SPY" and field == BID]

    def links(self) -> list[LinkChanged]:
        return [event for event in self._events() if isinstance(event, LinkChanged)]

    def errors(self) -> list[IbError]:
        return [event for event in self._events() if isinstance(event, IbError)]

    def reasons(self) -> set[str | None]:
        return {link.reason for link in self.links()}

    def _events(self) -> list[object]:
        with JournalReader(self.root / "journal", "link") as reader:
            return [event for row in reader.blocks() for event in decode_events(row.payload).events]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[list[GatewayProcess | BadGateway]]:
    """Whatever is put in here is ended at the end, and the gateway's log is shown."""
    started: list[GatewayProcess | BadGateway] = []
    yield started
    for item in started:
        if isinstance(item, BadGateway):
            item.close()
        else:
            if item.process.poll() is None:
                item.process.kill()
            item.process.wait()
            print(item.log.read_text())


def against(
    run: list[GatewayProcess | BadGateway], tmp_path: Path, *scripts: object
) -> tuple[BadGateway, GatewayProcess]:
    server = BadGateway(*scripts)  # type: ignore[arg-type]
    gateway = GatewayProcess(tmp_path, server.port)
    run += [gateway, server]
    return server, gateway


def good(peer: Peer) -> None:
    """A healthy connection: one bid of 500, then silence."""
    peer.handshake()
    peer.await_subscriptions(1)
    peer.sock.sendall(tick_price(peer.requests["SPY"], BID, 500.0, 3))
    peer.swallow()


def test_a_port_that_accepts_and_never_answers_is_left_and_tried_again(run, tmp_path):  # type: ignore[no-untyped-def]
    server, gateway = against(run, tmp_path, Peer.swallow, Peer.swallow, good)
    eventually(lambda: 500.0 in gateway.bids())
    assert len(server.connections) == 3
    assert "gateway_silent" in gateway.reasons()
    assert gateway.stop() == 0


def test_backoff_grows_between_tries(run, tmp_path):  # type: ignore[no-untyped-def]
    def slam(peer: Peer) -> None:
        pass

    server, gateway = against(run, tmp_path, slam)
    eventually(lambda: len(server.connections) >= 5)
    waits = [link.retry_in for link in gateway.links() if link.phase == "backoff" and link.retry_in]
    assert waits[0] < max(waits) <= 1.5
    assert gateway.stop() == 0


def test_a_frame_cut_in_the_middle_loses_only_itself(run, tmp_path):  # type: ignore[no-untyped-def]
    def cut(peer: Peer) -> None:
        peer.handshake()
        peer.await_subscriptions(1)
        req_id = peer.requests["SPY"]
        peer.sock.sendall(tick_price(req_id, BID, 499.0, 3) + tick_price(req_id, BID, 499.5, 3)[:-9])

    _, gateway = against(run, tmp_path, cut, good)
    eventually(lambda: gateway.bids() == [499.0, 500.0])
    assert gateway.stop() == 0


def test_a_burst_of_exactly_4096_bytes_and_then_silence_is_read_whole(run, tmp_path):  # type: ignore[no-untyped-def]
    sent: list[float] = []

    def burst(peer: Peer) -> None:
        peer.handshake()
        peer.await_subscriptions(1)
        req_id = peer.requests["SPY"]
        data = b""
        while len(data) < 4096 - 60:
            sent.append(100 + len(sent) / 100)
            data += tick_price(req_id, BID, sent[-1], 3)
        sent.append(900.0)
        last = tick_price(req_id, BID, 900.0, 3)
        # A longer spelling of the same price fills the burst to the byte.
        last = tick_price(req_id, BID, "900." + "0" * (4096 - len(data) - len(last) + 1), 3)  # type: ignore[arg-type]
        assert len(data + last) == 4096
        peer.sock.sendall(data + last)
        peer.swallow()

    _, gateway = against(run, tmp_path, burst)
    eventually(lambda: sent and gateway.bids() == sent)
    assert gateway.stop() == 0


def test_bytes_that_dribble_in_one_at_a_time_are_put_together(run, tmp_path):  # type: ignore[no-untyped-def]
    def dribble(peer: Peer) -> None:
        peer.handshake()
        peer.await_subscriptions(1)
        for byte in tick_price(peer.requests["SPY"], BID, 501.25, 3) + tick_price(peer.requests["SPY"], BID, 501.5, 4):
            peer.sock.sendall(bytes([byte]))
            time.sleep(0.002)
        peer.swallow()

    _, gateway = against(run, tmp_path, dribble)
    eventually(lambda: gateway.bids() == [501.25, 501.5])
    assert gateway.stop() == 0


@pytest.mark.parametrize(
    "garbage",
    [
        struct.pack(">I", 24) + b"\xff" * 24,
        struct.pack(">I", 0xFFFFFFFF) + b"x" * 50,
        struct.pack(">I", 0),
    ],
    ids=["right length, no message", "absurd length", "length nought"],
)
def test_garbage_ends_the_connection_and_nothing_else(run, tmp_path, garbage):  # type: ignore[no-untyped-def]
    def mad(peer: Peer) -> None:
        peer.handshake()
        peer.await_subscriptions(1)
        peer.sock.sendall(tick_price(peer.requests["SPY"], BID, 499.0, 3) + garbage)
        peer.swallow()

    _, gateway = against(run, tmp_path, mad, good)
    eventually(lambda: gateway.bids() == [499.0, 500.0])
    assert "protocol_error" in gateway.reasons()
    assert gateway.stop() == 0


def test_an_unknown_message_id_is_counted_and_the_connection_kept(run, tmp_path):  # type: ignore[no-untyped-def]
    def strange(peer: Peer) -> None:
        peer.handshake()
        peer.await_subscriptions(1)
        req_id = peer.requests["SPY"]
        peer.sock.sendall(
            tick_price(req_id, BID, 499.0, 3)
            + frame(150, 1, "from", "the", "future")
            + frame(4, 2, -1, 9999, "something new", "")
            + frame(58, 1)
            + tick_price(req_id, BID, 499.5, 3)
        )
        peer.swallow()

    server, gateway = against(run, tmp_path, strange)
    eventually(lambda: gateway.bids() == [499.0, 499.5])
    eventually(lambda: any(error.code == 9999 and error.name == "unknown" for error in gateway.errors()))
    assert len(server.connections) == 1
    assert gateway.stop() == 0


def test_a_name_with_two_addresses_of_which_one_listens(tmp_path: Path) -> None:
    def serve(peer: Peer) -> None:
        peer.handshake()
        peer.await_subscriptions(1)
        peer.sock.sendall(tick_price(peer.requests["SPY"], BID, 100.0, 100))
        peer.swallow()

    names = tmp_path / "names"
    names.mkdir()
    (names / "sitecustomize.py").write_text(
        "import socket\n"
        "_found = socket.getaddrinfo\n"
        "def getaddrinfo(host, port, *args, flags=0, **more):\n"
        "    if host != 'gateway.test' or flags:\n"
        "        return _found(host, port, *args, flags=flags, **more)\n"
        "    return [(socket.AF_INET, socket.SOCK_STREAM, 6, '', (f'127.0.0.{last}', port)) for last in (2, 1)]\n"
        "socket.getaddrinfo = getaddrinfo\n"
    )
    path = os.pathsep.join([str(names), *filter(None, [os.environ.get("PYTHONPATH")])])
    server = BadGateway(serve)
    gateway = GatewayProcess(tmp_path, server.port, IBSTREAM_IB_HOST="gateway.test", PYTHONPATH=path)
    try:
        eventually(lambda: gateway.bids() == [100.0])
    finally:
        gateway.stop()
        server.close()


def test_a_renewed_stream_that_brings_a_part_shows_no_more_than_that(tmp_path: Path) -> None:
    def first(peer: Peer) -> None:
        peer.handshake()
        peer.await_subscriptions(1)
        req_id = peer.requests["SPY"]
        peer.sock.sendall(tick_price(req_id, BID, 100.0, 100) + tick_price(req_id, ASK, 100.1, 100))
        assert peer.sock.recv(1 << 16) is not None

    def second(peer: Peer) -> None:
        peer.handshake()
        peer.await_subscriptions(1)
        peer.sock.sendall(tick_price(peer.requests["SPY"], LAST, 95.0, 100))
        peer.swallow()

    server = BadGateway(first, second)
    gateway = GatewayProcess(tmp_path, server.port)
    try:
        eventually(lambda: any(field == LAST for _, field, _, _ in gateway.ticks()))
        book = QuoteBook()
        with JournalReader(tmp_path / "journal", "ticks") as reader:
            for row in reader.blocks():
                book.apply(decode_ticks(row.payload))
        quote = book.quote("SPY")
        assert quote is not None
        assert (quote.bid, quote.ask, quote.last, quote.source) == (None, None, 95.0, "ib_stream")
    finally:
        gateway.stop()
        server.close()
