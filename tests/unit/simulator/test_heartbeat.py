"""The simulator as a service: its heartbeat tells who came to its socket and left, and how late its loop was."""

from pathlib import Path

import zmq

from messages.codec import decode_heartbeat
from messages.topics import events_endpoint
from messages.views import Heartbeat
from services.base.clock import SECOND
from services.base.settings import Settings
from services.runtime.bus import Subscriber
from services.simulator.core import Config, Core
from services.simulator.heartbeat import PipelineHeartbeat
from tests.support import eventually


def test_it_tells_who_left_and_how_late_it_was(tmp_path: Path) -> None:
    settings = Settings(data_root=str(tmp_path), heartbeat_interval=0.02, heartbeat_timeout=0.1)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    heartbeat = PipelineHeartbeat(settings, Core(Config(), 1_700_000_000 * SECOND))
    subscribers = [Subscriber(context, settings, [events_endpoint("simulator")], ["heartbeat."]) for _ in range(2)]
    heard: list[Heartbeat] = []

    def turn() -> None:
        heartbeat(0.0)
        heard.extend(decode_heartbeat(payload) for _, payload in subscribers[0].drain())

    try:
        heartbeat(2.5)
        eventually(lambda: (turn(), heard)[1])
        assert heard[-1].loop_lag_ms == 2500.0
        subscribers.pop().close()
        eventually(
            lambda: (turn(), heard[-1].metrics['bus_disconnected_total{endpoint="events"}'] == 1.0)[1], timeout=5
        )
    finally:
        for subscriber in subscribers:
            subscriber.close()
        context.term()
        heartbeat.close()
