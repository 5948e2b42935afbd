"""The simulator as a service of the pipeline: one on a data root, with a heartbeat on `heartbeat.simulator`.

Used with `--pipeline` only; a simulator for another client needs neither a data root nor a bus.
"""

import os
import resource

import zmq

from messages.codec import encode
from messages.topics import events_endpoint, heartbeat_topic
from messages.views import Heartbeat
from services.base.clock import SystemClock
from services.base.lock import OwnedLock
from services.base.run_dir import prepare_run_dir
from services.base.settings import Settings
from services.runtime.bus import PlainSocket, Publisher
from services.runtime.timers import LoopLag
from services.simulator.core import Core

NAME = "simulator"


class PipelineHeartbeat:
    """Call it after each turn of the loop, with the loop's lag in seconds."""

    def __init__(self, settings: Settings, core: Core) -> None:
        """Raises IbStreamError `ib_stream_lock_busy` when another one runs on the data root."""
        self._settings, self._core, self._clock = settings, core, SystemClock()
        self._started_at = self._clock.now()
        busy = f"another {NAME} runs already on the data root {settings.root}"
        self._lock = OwnedLock(prepare_run_dir(settings) / f"{NAME}.lock", busy, self._started_at)
        self._context: zmq.Context[PlainSocket] = zmq.Context()
        self._publisher = Publisher(self._context, settings, events_endpoint(NAME))
        self._due = 0.0
        self._lag = LoopLag()

    def __call__(self, lag: float) -> None:
        at = self._clock.monotonic()
        self._lag.note(lag, at)
        self._publisher.on_readable()
        self._publisher.connections.drain()
        if at >= self._due:
            self._due = at + self._settings.heartbeat_interval
            self._publisher.set_last(heartbeat_topic(NAME), encode(self._heartbeat(at)))

    def close(self) -> None:
        self._publisher.close()
        self._context.term()
        self._lock.release()

    def _heartbeat(self, at: float) -> Heartbeat:
        stats, usage = self._core.stats, resource.getrusage(resource.RUSAGE_SELF)
        return Heartbeat(
            service=NAME,
            pid=os.getpid(),
            time=self._clock.now(),
            started_at=self._started_at,
            interval=self._settings.heartbeat_interval,
            loop_lag_ms=round(self._lag.longest(at) * 1000, 3),
            metrics=self._publisher.metrics()
            | {
                "cpu_seconds_total": usage.ru_utime + usage.ru_stime,
                "memory_peak_bytes": usage.ru_maxrss * 1024.0,
                "simulator_ticks_sent_total": float(stats.ticks),
                "simulator_clients": float(len(self._core.ready_clients())),
                "simulator_market_data_lines": float(self._core.book.lines),
                "simulator_strikes_total": float(stats.strikes),
            },
        )
