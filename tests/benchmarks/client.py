"""The Python client beside the bare way: a price by file, bus and HTTP, and the streams of quotes and ticks.

Prices are asked for, one after another, for a second a case, at a full account's tick rate. A stream is followed by the
client and by a bare SUB at the same time, in two threads of one process: how much later the client hands over what the
socket brought, and what each of them costs.
"""

import statistics
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import zmq

import ibstream
from ibstream.client import Client
from messages.codec import decode_quote, decode_ticks
from messages.ticks import ticks
from messages.topics import QUOTE_PREFIX, TICKS, events_endpoint
from services.base.symbols import file_name
from services.runtime.bus import address
from tests.benchmarks.harness import Sample, cpu_ns, in_turn, median, report
from tests.benchmarks.system import SERVICES, System
from tests.process.readings import OnLocalBus

SYMBOLS = 100
RATE = 2_000


class Arrival(NamedTuple):
    what: Any
    at: int  # ns


class Followed:
    """A thread that notes what comes out of `source`, and what that cost it."""

    def __init__(self, source: Iterator[Any], seconds: float) -> None:
        self.came: list[Arrival] = []
        self.cpu = 0.0
        self._until = time.monotonic() + seconds
        self._thread = threading.Thread(target=self._run, args=(source,))
        self._thread.start()

    def _run(self, source: Iterator[Any]) -> None:
        began = time.thread_time()
        for item in source:
            self.came.append(Arrival(item, time.perf_counter_ns()))
            if time.monotonic() > self._until:
                break
        self.cpu = time.thread_time() - began

    def join(self) -> "Followed":
        self._thread.join()
        return self


def bare_frames(system: System, service: str, topic: str) -> Iterator[bytes]:
    """Payloads of a topic from a SUB that nothing of ours stands on."""
    with zmq.Context() as context, context.socket(zmq.SUB) as subscriber:
        subscriber.setsockopt(zmq.SUBSCRIBE, topic.encode())
        subscriber.connect(address(system.pipeline.settings, events_endpoint(service)))
        while True:
            yield subscriber.recv_multipart()[1]


def for_a_while(once: Callable[[], object], seconds: float) -> Callable[[], Sample]:
    def case() -> Sample:
        count, cpu, began = 0, time.process_time(), time.perf_counter()
        while (wall := time.perf_counter() - began) < seconds:
            once()
            count += 1
        return Sample(count, wall, time.process_time() - cpu)

    return case


def prices(system: System, rounds: int, seconds: float) -> dict[str, list[Sample]]:
    symbol = system.symbols[0]
    path = system.pipeline.settings.stream_dir / file_name(symbol)
    web = f"http://127.0.0.1:{system.pipeline.web_port}"
    root = system.pipeline.folder / "data"

    def get() -> bytes:
        with urllib.request.urlopen(f"{web}/api/ib/stream/snapshot?symbol={symbol}", timeout=5) as answer:
            body: bytes = answer.read()
            return body

    with zmq.Context() as context, context.socket(zmq.SUB) as subscriber:
        subscriber.setsockopt(zmq.SUBSCRIBE, QUOTE_PREFIX.encode())
        subscriber.connect(address(system.pipeline.settings, events_endpoint("sink")))

        def drain() -> None:
            while subscriber.poll(0):
                subscriber.recv_multipart()

        with (
            ibstream.connect(root) as files,
            ibstream.connect(web) as http,
            Client(OnLocalBus(system.pipeline, 5.0)) as bus,
        ):
            cases = {
                "file: read": path.read_bytes,
                "file: client.price": lambda: files.price(symbol),
                "bus: a bare SUB, drained": drain,
                "bus: client.price": lambda: bus.price(symbol),
                "HTTP: GET": get,
                "HTTP: client.price": lambda: http.price(symbol),
            }
            system.exchange.stream(RATE, rounds * seconds * len(cases) + 3)
            samples = in_turn({name: for_a_while(once, seconds) for name, once in cases.items()}, rounds)
            system.exchange.stream_sent()
            return samples


def streams(system: System, seconds: float) -> dict[str, dict[str, float]]:
    """What came, the lag of the client behind the bare SUB in ms, and the CPU µs of each for one item."""
    with ibstream.connect(system.pipeline.folder / "data") as client:
        sources: dict[str, tuple[str, str, Callable[[], Iterable[Any]], Callable[[Any], Any]]] = {
            "quotes": ("sink", QUOTE_PREFIX, client.quotes, lambda quote: (quote.symbol, quote.epoch, quote.seq)),
            "ticks": ("gateway", TICKS, client.ticks, lambda tick: tick.seq),
        }
        measured = {}
        for name, (service, topic, follow, key) in sources.items():
            system.exchange.stream(RATE, seconds + 3)
            frames = Followed(bare_frames(system, service, topic), seconds)
            items = Followed(iter(follow()), seconds)
            bare, ours = frames.join(), items.join()
            system.exchange.stream_sent()
            first = _first(((key(item), at) for item, at in _items(name, bare.came)))
            lags = sorted((at - first[key(item)]) / 1e6 for item, at in ours.came if key(item) in first)
            assert lags, f"no {name} came both ways"
            measured[name] = {
                "items": float(len(ours.came)),
                "lag p50": statistics.median(lags),
                "lag p99": lags[len(lags) * 99 // 100],
                "bare CPU": bare.cpu / len(first) * 1e6,
                "client CPU": ours.cpu / len(ours.came) * 1e6,
            }
        return measured


def _items(name: str, came: Iterable[Arrival]) -> Iterator[tuple[Any, int]]:
    for payload, at in came:
        if name == "quotes":
            yield decode_quote(payload), at
        else:
            for tick in ticks(decode_ticks(payload)):
                yield tick, at


def _first(seen: Iterable[tuple[Any, int]]) -> dict[Any, int]:
    first: dict[Any, int] = {}
    for key, at in seen:
        first.setdefault(key, at)
    return first


def main(short: bool) -> None:
    rounds, seconds = (2, 0.3) if short else (5, 1.0)
    following = 3.0 if short else 20.0
    with System(SYMBOLS, [*SERVICES, "web"]) as system:
        taken = prices(system, rounds, seconds)
        followed = streams(system, following)
    rows, bare = [], 1.0
    for name, samples in taken.items():
        each = 1e6 / median(samples)
        bare = bare if "client" in name else each
        rows.append([name, f"{each:,.1f}", f"{median(samples, cpu_ns) / 1e3:,.1f}", f"{each / bare:.1f}"])
    report(
        "client-price",
        f"One price, {RATE:,} ticks/s over {SYMBOLS} symbols, medians of {rounds} rounds of {seconds:g} s",
        ["", "µs each", "CPU µs each", "times the bare way"],
        rows,
        taken,
        ["The bare way brings bytes; the client decodes them and holds them against the rule."],
    )
    report(
        "client-streams",
        f"Streams of the client beside a bare SUB, {RATE:,} ticks/s over {SYMBOLS} symbols for {following:g} s",
        ["", "items", "later by, ms: p50", "p99", "CPU µs an item, bare SUB", "client"],
        [
            [
                name,
                f"{one['items']:,.0f}",
                f"{one['lag p50']:.2f}",
                f"{one['lag p99']:.2f}",
                f"{one['bare CPU']:.1f}",
                f"{one['client CPU']:.1f}",
            ]
            for name, one in followed.items()
        ],
        followed,
        ["The bare SUB receives frames and decodes none. Both are threads of one process, which holds up both."],
    )
