"""A process with many clients of the event stream: some read and note how old each quote is, some never read.

Run by web.py, which tells it where to connect; `Swarm.result` is what the readers saw.
"""

import asyncio
import multiprocessing
import socket
import threading
import time
from multiprocessing.connection import Connection
from types import TracebackType

import msgspec
import zmq

from messages.codec import decode_quote

EVENTS = b"GET /api/ib/stream/events HTTP/1.0\r\nHost: localhost\r\n\r\n"
LARGEST_EVENT = 64 << 20


class SeenQuote(msgspec.Struct):
    symbol: str
    seq: int


_decode = msgspec.json.Decoder(list[SeenQuote]).decode


class Seen(msgspec.Struct):
    """What the readers of one swarm saw while it was measured."""

    lags: list[float] = []  # seconds from the sink's publication to the client, of every quote in every event
    connected: int = 0
    lost: int = 0  # readers whose stream ended


class Swarm:
    """`readers` and `stalled` clients of the page at `port`; the sink's topics are at `quotes`."""

    def __init__(self, port: int, quotes: str, readers: int, stalled: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(theirs, port, quotes, readers, stalled), daemon=True)

    def __enter__(self) -> "Swarm":
        self._process.start()
        assert self._pipe.poll(60)
        self._pipe.recv()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.join()

    def measure(self, seconds: float) -> Seen:
        self._pipe.send(seconds)
        assert self._pipe.poll(seconds + 60)
        return msgspec.msgpack.decode(self._pipe.recv(), type=Seen)


def _run(pipe: Connection, port: int, quotes: str, readers: int, stalled: int) -> None:
    published: dict[tuple[str, int], float] = {}
    threading.Thread(target=_note_published, args=(quotes, published), daemon=True).start()
    asyncio.run(_clients(pipe, port, readers, stalled, published))


def _note_published(quotes: str, published: dict[tuple[str, int], float]) -> None:
    with zmq.Context() as context, context.socket(zmq.SUB) as subscriber:
        subscriber.connect(quotes)
        subscriber.setsockopt(zmq.SUBSCRIBE, b"quote.")
        while True:
            quote = decode_quote(subscriber.recv_multipart()[1])
            published[quote.symbol, quote.seq] = time.monotonic()


async def _clients(
    pipe: Connection, port: int, readers: int, stalled: int, published: dict[tuple[str, int], float]
) -> None:
    seen = Seen()
    asleep = [_never_reading(port) for _ in range(stalled)]
    tasks = [asyncio.create_task(_read(port, seen, published)) for _ in range(readers)]
    while seen.connected < readers:
        await asyncio.sleep(0.05)
    pipe.send("connected")
    seconds = await asyncio.to_thread(pipe.recv)
    seen.lags.clear()
    await asyncio.sleep(seconds)
    pipe.send(msgspec.msgpack.encode(seen))
    await asyncio.gather(*tasks)
    del asleep


def _never_reading(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    sock.sendall(EVENTS)
    return sock


async def _read(port: int, seen: Seen, published: dict[tuple[str, int], float]) -> None:
    reader, _ = await asyncio.open_connection("127.0.0.1", port, limit=LARGEST_EVENT)
    reader._transport.write(EVENTS)  # type: ignore[attr-defined]
    try:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readuntil(b"event: ")
        seen.connected += 1
        while True:
            event = await reader.readuntil(b"\n\n")
            now = time.monotonic()
            start = event.find(b"data: [")
            if start < 0:
                continue
            for quote in _decode(event[start + 6 : event.index(b"\n", start)]):
                at = published.get((quote.symbol, quote.seq))
                if at is not None:
                    seen.lags.append(now - at)
    except (asyncio.IncompleteReadError, ConnectionError):
        seen.lost += 1
