"""The ways to read a price, each tried over and over by the one rule: how old the oldest price is that passed for good.

For tests that break things: while all is well that is the pause between two prices, and of a dead price it grows until
its `good_until` is over.
"""

import asyncio
import contextlib
import http.client
import importlib.util
import json
import threading
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zmq

from ibstream import Client, IbstreamError, Quote, connect
from ibstream.bus import BusTransport, FileTransport
from messages.codec import decode_quote, encode_json
from messages.topics import events_endpoint, quote_topic
from services.runtime.bus import Subscriber
from tests.process.pipeline import Pipeline
from tests.support import REPOSITORY

WAYS = (
    "file",
    "topic",
    "new subscriber",
    "HTTP",
    "event stream",
    "client: files",
    "client: bus",
    "client: HTTP",
    "client: quotes",
)
PAUSE = 0.03  # seconds between two tries
TIMEOUT = 1.0  # seconds for which a client waits for an answer

_spec = importlib.util.spec_from_file_location("risk_check", REPOSITORY / "deploy" / "examples" / "risk_check.py")
assert _spec is not None and _spec.loader is not None
risk_check = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(risk_check)


class OnLocalBus(FileTransport):
    """The bus of this machine: what a client of `tcp://` does, over Unix sockets."""

    quote = BusTransport.quote

    def __init__(self, pipeline: Pipeline, timeout: float) -> None:
        self._begin(pipeline.env, timeout)


class Readings:
    """A thread a way, from `with` to its end. `begin` forgets what was seen; `oldest` says it, by way, seconds."""

    def __init__(self, pipeline: Pipeline, symbol: str) -> None:
        self._pipeline, self._symbol = pipeline, symbol
        self._folder = str(pipeline.settings.stream_dir)
        self._context: zmq.Context[Any] = zmq.Context()
        self._done = threading.Event()
        self._began = time.time()
        self._oldest: dict[str, float] = {}
        self._refused: set[str] = set()
        self._problems: list[BaseException] = []
        self._lock = threading.Lock()
        root = pipeline.folder / "data"
        ways: dict[str, Callable[[], None]] = {
            "file": self._file,
            "topic": self._topic,
            "new subscriber": self._new_subscriber,
            "HTTP": self._http,
            "event stream": self._event_stream,
            "client: files": lambda: self._client("client: files", connect(root, timeout=TIMEOUT)),
            "client: bus": lambda: self._client("client: bus", Client(OnLocalBus(pipeline, TIMEOUT))),
            "client: HTTP": lambda: self._client("client: HTTP", connect(self._url_of_web(), timeout=TIMEOUT)),
            "client: quotes": self._client_quotes,
        }
        self._threads = [threading.Thread(target=self._again, args=(ways[way],), daemon=True) for way in WAYS]

    def __enter__(self) -> "Readings":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(10)
        self._context.destroy(linger=0)
        self.check()

    def check(self) -> None:
        """Raises what ended one of the ways."""
        for problem in self._problems:
            raise problem

    def begin(self) -> None:
        self.check()
        with self._lock:
            self._began = time.time()
            self._oldest, self._refused = {}, set()

    @property
    def oldest(self) -> dict[str, float]:
        with self._lock:
            return {way: round(self._oldest.get(way, 0.0), 1) for way in WAYS}

    @property
    def silent(self) -> set[str]:
        """The ways by which nothing passed yet: while all is well, one that does not work."""
        with self._lock:
            return set(WAYS) - self._oldest.keys()

    @property
    def refused(self) -> set[str]:
        """Why the example refused."""
        with self._lock:
            return set(self._refused)

    # --- the rule ---

    def _judge(self, way: str, quote: dict[str, Any]) -> None:
        now = datetime.now(UTC)
        until = quote.get("good_until")
        if until is None or now >= datetime.fromisoformat(until):
            return
        assert not quote["stale"], quote
        self._note(way, quote["timestamp"])

    def _note(self, way: str, timestamp: str) -> None:
        age = (datetime.now(UTC) - datetime.fromisoformat(timestamp)).total_seconds()
        with self._lock:
            self._oldest[way] = max(self._oldest.get(way, 0.0), min(age, time.time() - self._began))

    def _again(self, once: Callable[[], None]) -> None:
        try:
            while not self._done.is_set():
                once()
                self._done.wait(PAUSE)
        except BaseException as error:
            self._problems.append(error)
            raise

    # --- the ways ---

    def _file(self) -> None:
        try:
            self._judge("file", json.loads(Path(self._folder, f"{self._symbol}.json").read_bytes()))
            self._judge("file", risk_check.usable(self._folder, self._symbol))
        except FileNotFoundError:
            return
        except ValueError as error:
            with self._lock:
                self._refused.add(str(error))

    def _subscriber(self) -> Subscriber:
        endpoint, topic = events_endpoint("sink"), quote_topic(self._symbol)
        return Subscriber(self._context, self._pipeline.settings, [endpoint], [topic])

    def _topic(self) -> None:
        subscriber, last = self._subscriber(), None
        while not self._done.wait(PAUSE):
            frames = subscriber.drain()
            last = frames[-1][1] if frames else last
            if last is not None:
                self._judge("topic", json.loads(encode_json(decode_quote(last))))
        subscriber.close()

    def _new_subscriber(self) -> None:
        subscriber = self._subscriber()
        if subscriber.socket.poll(200):
            for _, payload in subscriber.drain():
                self._judge("new subscriber", json.loads(encode_json(decode_quote(payload))))
        subscriber.close()

    def _http(self) -> None:
        try:
            with urllib.request.urlopen(self._url(f"snapshot?symbol={self._symbol}"), timeout=1) as answer:
                self._judge("HTTP", json.loads(answer.read()))
        except (OSError, http.client.HTTPException):  # nobody answers: that misleads nobody
            return

    def _event_stream(self) -> None:
        """As a page does: the last quote that came is held against the clock, also while nothing comes."""
        held: list[dict[str, Any]] = []
        reader = threading.Thread(target=self._take_events, args=(held,), daemon=True)
        reader.start()
        while not self._done.wait(PAUSE):
            if held:
                self._judge("event stream", held[-1])
            if not reader.is_alive():
                reader = threading.Thread(target=self._take_events, args=(held,), daemon=True)
                reader.start()
                self._done.wait(0.3)

    def _take_events(self, held: list[dict[str, Any]]) -> None:
        try:
            with urllib.request.urlopen(self._url("events"), timeout=4) as answer:
                for line in answer:
                    if self._done.is_set():
                        return
                    if line.startswith(b"data: ["):
                        held.extend(quote for quote in json.loads(line[6:]) if quote["symbol"] == self._symbol)
                        del held[:-1]
        except (OSError, http.client.HTTPException):
            return

    def _client(self, way: str, client: Client) -> None:
        """`price` of the client: what it answers is held to the rule like everything else."""
        with client:
            while not self._done.wait(PAUSE):
                try:
                    quote = client.price(self._symbol)
                except IbstreamError:
                    continue
                self._judge(way, json.loads(encode_json(quote)))

    def _client_quotes(self) -> None:
        """The last quote that came is believed without a clock: that it comes once more, stale, must be enough."""
        last: list[Quote] = []

        async def follow(client: Client) -> None:
            async for quote in client.quotes(self._symbol):
                last[:] = [quote]

        async def judge() -> None:
            with Client(OnLocalBus(self._pipeline, TIMEOUT)) as client:
                following = asyncio.create_task(follow(client))
                while not self._done.is_set() and not following.done():
                    await asyncio.sleep(PAUSE)
                    if last and not last[0].stale and last[0].timestamp is not None:
                        self._note("client: quotes", last[0].timestamp)
                following.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await following

        asyncio.run(judge())

    def _url_of_web(self) -> str:
        return f"http://127.0.0.1:{self._pipeline.web_port}"

    def _url(self, what: str) -> str:
        return f"{self._url_of_web()}/api/ib/stream/{what}"
