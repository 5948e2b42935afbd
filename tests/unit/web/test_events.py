"""The event stream: conflated for each client, gone when the client is, ended with the process."""

import asyncio

import pytest

from services.web import events
from services.web.events import EventStream, Room
from services.web.hub import Hub
from tests.blocks import NOW
from tests.unit.web.support import quote_frame


class Client:
    """One side of a connection: takes what is sent while `open`."""

    def __init__(self, room: Room, version: int = 0, candles: frozenset[str] = frozenset()) -> None:
        self.received: list[bytes] = []
        self.complete = False
        self.writable = asyncio.Event()
        self.writable.set()
        self.left = asyncio.Event()
        self.task = asyncio.create_task(
            EventStream(room, version, candles)({"type": "http", "method": "GET"}, self.receive, self.send)
        )

    async def receive(self):
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message) -> None:
        await self.writable.wait()
        if message.get("body"):
            self.received.append(message["body"])
        if message["type"] == "http.response.body" and not message.get("more_body", True):
            self.complete = True

    @property
    def text(self) -> str:
        return b"".join(self.received).decode()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def hear(room: Room, *frames) -> None:
    if room.hub.apply(frames, 100.0, NOW):
        room.wake()


def run(scenario) -> None:
    async def main() -> None:
        await scenario(Room(Hub(2.0, "test", 100.0)))

    asyncio.run(main())


def test_changes_are_sent_as_they_come():
    async def scenario(room: Room) -> None:
        client = Client(room)
        await settle()
        for last in (1.0, 2.0):
            hear(room, quote_frame("SPY", last))
            await settle()
        assert client.text.count("event: quotes") == 2
        assert client.text.startswith("retry: ")
        assert room.clients == 1

    run(scenario)


def test_a_slow_client_gets_one_step_instead_of_many():
    async def scenario(room: Room) -> None:
        client = Client(room)
        await settle()
        client.writable.clear()
        for last in range(100):
            hear(room, quote_frame("SPY", last))
            await settle()
        client.writable.set()
        await settle()
        assert client.text.count("event: quotes") == 1
        assert '"last":99.0' in client.text

    run(scenario)


def test_a_client_that_left_is_forgotten():
    async def scenario(room: Room) -> None:
        client = Client(room)
        await settle()
        client.left.set()
        await client.task
        assert room.clients == 0

    run(scenario)


def test_a_stalled_client_is_let_go(monkeypatch):
    monkeypatch.setattr(events, "STALL_SECONDS", 0.01)

    async def scenario(room: Room) -> None:
        client = Client(room)
        await settle()
        client.writable.clear()
        hear(room, quote_frame("SPY"))
        await client.task
        assert (room.clients, room.stalled, client.complete) == (0, 1, False)

    run(scenario)


def test_silence_is_broken_so_that_a_dead_line_shows(monkeypatch):
    monkeypatch.setattr(events, "KEEP_ALIVE_SECONDS", 0.01)

    async def scenario(room: Room) -> None:
        client = Client(room)
        async with asyncio.timeout(5):
            while ": still here\n\n" not in client.text:
                await asyncio.sleep(0.01)
        client.left.set()
        await client.task

    run(scenario)


def test_the_end_of_the_process_ends_every_stream():
    async def scenario(room: Room) -> None:
        clients = [Client(room) for _ in range(5)]
        await settle()
        room.close()
        await asyncio.gather(*(client.task for client in clients))
        assert all(client.complete for client in clients)
        late = Client(room)
        await late.task
        assert late.complete

    run(scenario)


@pytest.mark.parametrize("limit", [0, 3])
def test_the_number_of_clients_is_bounded(web, monkeypatch, limit):
    monkeypatch.setattr(events, "MAX_CLIENTS", limit)
    web.backend.room.clients = limit
    answer = web.get("/api/ib/stream/events")
    assert (answer.status_code, answer.json()["detail"]["code"]) == (503, "too_many_clients")
