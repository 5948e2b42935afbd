"""One recorded day with kills in it, folded again from a copy of the journal alone: the candles, the quality report and
the alerts of the live run, to the byte."""

import shutil
import time
import urllib.request
from collections.abc import Container
from pathlib import Path

import msgspec
import zmq

from messages.candles import Interval
from messages.codec import decode_block, decode_candle, encode
from messages.events import AlertFired, EventBlock, Plan
from messages.quality import QualityReport
from messages.topics import CANDLE_PREFIX, PLAN, events_endpoint
from services.base.clock import SECOND, iso
from services.journal import JournalReader
from services.quotes.alert_replay import replay
from services.quotes.past_candles import past_candles
from services.quotes.past_quality import day_report
from services.runtime.bus import Subscriber
from tests.process.pipeline import ALL, Pipeline
from tests.support import eventually

FINE: tuple[Interval, ...] = ("1s", "5s")
RULES = ("@all moves 0.01% in 30s", "@all silent for 1s", "@all spread above 0.005%", "@all stale for 1s")
SERVICES = ("simulator", "gateway", "sink", "supervisor")
Key = tuple[Interval, str, str]  # interval, symbol, start


class Listener:
    """Keeps the last of every finished candle that the sink published."""

    def __init__(self, p: Pipeline, context: "zmq.Context[zmq.Socket[bytes]]") -> None:
        self._p = p
        topics = [f"{CANDLE_PREFIX}{interval}." for interval in FINE]
        self.subscriber = Subscriber(context, p.settings, [events_endpoint("sink")], topics)
        self.came: dict[Key, bytes] = {}

    def take(self) -> bool:
        for _, payload in self.subscriber.drain():
            candle = decode_candle(payload)
            if candle.complete:
                self.came[candle.interval, candle.symbol, candle.start] = payload
        return bool(self.came)

    def settled(self, journal_dir: Path) -> bool:
        """Whether all that came of what is over for two seconds is what the journal gives, and candles of every length
        are among it. Then the rest is let go."""
        self.take()
        until = time.time_ns() - 2 * SECOND
        over = {key: payload for key, payload in self.came.items() if decode_candle(payload).end <= iso(until)}
        lengths = {interval for interval, _symbol, _start in over}
        if lengths != set(FINE) or over != rebuilt(journal_dir, over, until):
            return False
        self.came = over
        return True


def rebuilt(journal_dir: Path, wanted: Container[Key], until: int) -> dict[Key, bytes]:
    """The wanted candles as the journal has them."""
    with JournalReader(journal_dir, PLAN) as reader:
        plans = [decode_block(PLAN, row.payload) for row in reader.blocks()]
    symbols = {planned.symbol for plan in plans if isinstance(plan, Plan) for planned in plan.symbols}
    found = {
        (interval, symbol, candle.start): encode(candle)
        for symbol in symbols
        for interval in FINE
        for candle in past_candles(journal_dir, symbol, interval, 0, until, until).candles
    }
    return {key: payload for key, payload in found.items() if key in wanted}


def alerts(p: Pipeline) -> list[AlertFired]:
    found = [event for block in p.blocks("control") if isinstance(block, EventBlock) for event in block.events]
    return [event for event in found if isinstance(event, AlertFired)]


def quality(p: Pipeline) -> bytes:
    address = f"http://127.0.0.1:{p.web_port}/api/ib/stream/quality"
    with urllib.request.urlopen(address, timeout=30) as response:
        content: bytes = response.read()
    return content


def live(p: Pipeline, listener: Listener) -> bytes:
    """A run in which each service is killed once. Returns the quality report as the one that lived through it says."""
    p.await_status("connected", timeout=60)
    for rule in RULES:
        assert p.cli("alerts", "add", rule, "--pause", "1").returncode == 0
    eventually(listener.take, 30)
    for service in SERVICES:
        told = len(alerts(p))
        p.restart(service)
        p.await_status("connected", timeout=60)
        eventually(lambda told=told: listener.take() and len(alerts(p)) > told, 30)  # type: ignore[misc]
        quality(p)
    eventually(lambda: listener.settled(p.settings.journal_dir), 60)
    for service in ("gateway", "planner", "sink", "supervisor", "simulator"):
        p.kill(service, 15)
    return quality(p)


def test_a_recorded_day_gives_the_candles_the_report_and_the_alerts_of_the_live_run(tmp_path: Path) -> None:
    env = {"candles": "1s 5s 1d", "quality_seconds": 1}
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with Pipeline(tmp_path, ALL, env, {"simulator": ["--pipeline", "--rate", "400"]}) as p:
        listener = Listener(p, context)
        try:
            report = live(p, listener)
        finally:
            listener.subscriber.close()
            context.term()
        told = alerts(p)
    copy = tmp_path / "copy" / "journal"
    shutil.copytree(p.settings.journal_dir, copy, ignore=shutil.ignore_patterns("quality", "checkpoints"))

    assert listener.came == rebuilt(copy, listener.came, time.time_ns())
    blind = [candle for candle in map(decode_candle, listener.came.values()) if candle.coverage < 1]
    assert {reason.reason for candle in blind for reason in candle.blind} & {"pending", "connecting"}

    said = msgspec.json.decode(report, type=QualityReport)
    assert report == day_report(copy, said.start[:10], (1 << 62) - SECOND, kept=False)
    assert all(row.gaps and row.coverage is not None and row.coverage < 1 for row in said.symbols)

    found = list(replay(copy, 0, told[-1].at + 1))
    assert [encode(event) for event in found[: len(told)]] == [encode(event) for event in told]
    assert {event.id for event in told} == {event.id for event in found} and len({e.id for e in told}) >= 3
