"""A web application on a backend without sockets: what the bus says is put in, commands are written down."""

import asyncio
from pathlib import Path
from typing import Any

import httpx

from messages.codec import encode
from messages.control import (
    Accepted,
    AnyMessage,
    Command,
    ListProjects,
    ListSnapshots,
    PlannerCommand,
    PlanReply,
    ProjectsReply,
    SnapshotsReply,
)
from messages.errors import IbStreamError
from messages.topics import heartbeat_topic, quote_topic, shard, sharded
from messages.views import (
    Head,
    Heartbeat,
    LinkStatus,
    ProjectChoice,
    Quote,
    ServiceStatus,
    SnapshotChoice,
    Status,
    SymbolStatus,
)
from services.base.clock import ManualClock
from services.base.settings import load
from services.web import schema
from services.web.app import create_app
from services.web.backend import Backend
from services.web.chart import History
from services.web.events import Room
from services.web.hub import Hub
from services.web.ledger import Ledger
from tests.blocks import NOW, plan

BASE = "http://127.0.0.1:8765"
API = "/api/ib/stream"

# The same of each application, and it takes longer than most tests to write: it is written once.
_documents: dict[str, dict[str, Any]] = {}
_document = schema._document
schema._document = lambda app: _documents.get(app.version) or _documents.setdefault(app.version, _document(app))


class FakeControl:
    """Answers commands, or refuses them with `error`."""

    def __init__(self) -> None:
        self.asked: list[Command | PlannerCommand] = []
        self.error: IbStreamError | None = None

    async def __call__(self, command: Command | PlannerCommand) -> AnyMessage:
        self.asked.append(command)
        if self.error is not None:
            raise self.error
        return Accepted(seq=len(self.asked))


class FakePlanner(FakeControl):
    """Knows one project with one snapshot."""

    async def __call__(self, command: Command | PlannerCommand) -> AnyMessage:
        await super().__call__(command)
        snapshot = SnapshotChoice(id=12, date="2026-01-05", count=2)
        match command:
            case ListProjects():
                return ProjectsReply(projects=[ProjectChoice(id=3, name="Momentum", snapshot=snapshot)])
            case ListSnapshots():
                return SnapshotsReply(snapshots=[snapshot])
            case _:
                return PlanReply(plan=plan("SPY"))


def quote(symbol: str, last: float = 1.0, **more: Any) -> Quote:
    return Quote(**{"symbol": symbol, "last": last, "stale": False, "epoch": 1, "seq": 1, **more})


def quote_frame(symbol: str, last: float = 1.0, **more: Any) -> tuple[str, bytes]:
    return quote_topic(symbol), encode(quote(symbol, last, **more))


def status(word: str = "connected", **more: Any) -> Status:
    return Status(
        status=word,
        api_mode="mock",
        subscribed_symbols=["SPY"],
        symbols={"SPY": SymbolStatus(state="live"), "QQQ": SymbolStatus(state="live")},
        services={"gateway": ServiceStatus(state="up")},
        link=LinkStatus(phase="ready", farms={"usfarm": "ok", "eufarm": "broken"}),
        ib_errors_by_code={"2103": 2},
        **more,
    )


def status_frame(word: str = "connected", **more: Any) -> tuple[str, bytes]:
    return "status", encode(status(word, **more))


def heartbeat_frame(service: str, seq: int | None = None, **metrics: float) -> tuple[str, bytes]:
    stream = sharded("ticks", shard(service))
    heads = {} if seq is None else {stream: Head(epoch=1, seq=seq, durable_seq=seq)}
    beat = Heartbeat(
        service=service,
        pid=1,
        time=NOW,
        started_at=NOW,
        interval=0.5,
        loop_lag_ms=2.5,
        heads=heads,
        metrics=metrics,
    )
    return heartbeat_topic(service), encode(beat)


class Web:
    """The application with its backend, and a client of it."""

    def __init__(self, root: Path, **env: str) -> None:
        self.clock = ManualClock(NOW)
        self.control = FakeControl()
        self.planner = FakePlanner()
        self.settings = load({"IBSTREAM_DATA_ROOT": str(root)} | env)
        self.hub = Hub(2.0, "test", self.clock.monotonic())
        self.ledger = Ledger()
        self.backend = Backend(
            settings=self.settings,
            clock=self.clock,
            hub=self.hub,
            room=Room(self.hub),
            ledger=self.ledger,
            history=History(self.settings.journal_dir, self.ledger),
            control=self.control,
            planner=self.planner,
            read=asyncio.to_thread,
        )
        self.app = create_app(self.backend)

    def hear(self, *frames: tuple[str, bytes]) -> bool:
        return self.hub.apply(frames, self.clock.monotonic(), self.clock.now())

    def pass_time(self, seconds: float) -> bool:
        """As it does: a tenth of a second at a time."""
        news = False
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
            news = self.hear() or news
        return news

    def ask(self, method: str, path: str, *, base: str = BASE, **more: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=base) as client:
                return await client.request(method, path, **more)

        return asyncio.run(call())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("POST", path, **more)


def error_of(response: httpx.Response) -> tuple[int, str]:
    body = response.json()
    assert set(body) == {"detail"}
    assert set(body["detail"]) - {"field"} == {"code", "message"}
    assert body["detail"]["message"]
    return response.status_code, body["detail"]["code"]
