"""`GET /metrics` for Prometheus: the status and every service's heartbeat, as the bus last said them.

Names: `ibstream_NAME{service="..."}` for what a service's heartbeat carries, and the families of `_status_families`
and `_service_families` for the rest. Lag is `ibstream_stream_behind_events` and `ibstream_loop_lag_seconds`.
"""

import contextlib
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.responses import Response

from messages.topics import kind, shard
from messages.views import Status, StatusWord
from services.web.backend import Backend
from services.web.schema import failures

log = structlog.get_logger()

PREFIX: Final = "ibstream_"
SIZE_SECONDS: Final = 10.0  # how long a measured journal size is good for
_SERIES: Final = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?")
_LABEL: Final = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="([^"\\]*)"')


def install(app: FastAPI, backend: Backend) -> None:
    registry = CollectorRegistry()
    registry.register(PipelineCollector(backend))

    @app.get(
        "/metrics",
        tags=["health"],
        summary="Figures of every service, for Prometheus",
        response_class=Response,
        responses={
            200: {"description": "Prometheus text", "content": {"text/plain": {"schema": {"type": "string"}}}},
            **failures("unauthorized", "invalid_request"),
        },
    )
    async def metrics() -> Response:
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


class PipelineCollector(Collector):
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._sizes: dict[str, int] = {}
        self._sized = -SIZE_SECONDS

    def describe(self) -> list[Metric]:
        """Nothing is known before it is collected."""
        return []

    def collect(self) -> Iterator[Metric]:
        status = self._backend.hub.status
        ours = [*self._own_families(), *self._service_families()]
        if status is not None:
            ours += _status_families(status)
        yield from ours
        yield from self._heartbeat_families({family.name for family in ours})

    def _own_families(self) -> Iterator[Metric]:
        backend = self._backend
        yield _gauge("ticks_per_second", "Ticks journalled, over the last seconds", backend.hub.ticks_per_second)
        yield _gauge("web_event_clients", "Clients of the event stream", backend.room.clients)
        yield _counter("web_event_clients_stalled", "Clients let go for taking nothing", backend.room.stalled)
        yield _counter("web_malformed_frames", "Frames from the bus that could not be read", backend.hub.malformed)
        sizes = _family("journal_size_bytes", "Size of a stream's files on disk", "stream")
        for stream, size in self._journal_sizes().items():
            sizes.add_metric([stream], size)
        yield sizes
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(backend.settings.root).free
            yield _gauge("disk_free_bytes", "Room left on the disk of the data root", free)

    def _service_families(self) -> Iterator[Metric]:
        backend = self._backend
        up = _family("service_up", "1 while the service is heard", "service")
        lag = _family("loop_lag_seconds", "Longest delay of its loop in the last ten seconds", "service")
        started = _family("service_start_time_seconds", "When the process started", "service")
        labels = ["service", "stream"]
        head = CounterMetricFamily(f"{PREFIX}stream_events", "Last sequence number written", labels=labels)
        durable = _family("stream_durable_seq", "Last sequence number on disk", *labels)
        for name, beat in sorted(backend.hub.heartbeats.items()):
            up.add_metric([name], 1.0 if backend.hub.heard(name) else 0.0)
            lag.add_metric([name], beat.loop_lag_ms / 1000)
            started.add_metric([name], beat.started_at / 1e9)
            for stream, at_head in beat.heads.items():
                head.add_metric([name, stream], at_head.seq)
                durable.add_metric([name, stream], at_head.durable_seq)
        yield from (up, lag, started, head, durable)

    def _heartbeat_families(self, taken: set[str]) -> Iterator[Metric]:
        """The figures that services put into their heartbeats, each with the label `service` added. One family a
        name, whatever its labels; a name of ours is `taken`."""
        families: dict[str, Metric] = {}
        for service, beat in sorted(self._backend.hub.heartbeats.items()):
            for series, value in beat.metrics.items():
                found = _SERIES.fullmatch(series)
                if found is None:
                    continue
                name = PREFIX + found[1]
                base = name.removesuffix("_total")
                if base in taken:
                    continue
                kind = "counter" if base != name else "gauge"
                family = families.setdefault(base, Metric(base, f"{found[1]}, as the service says", kind))
                if family.type == kind:
                    family.add_sample(name, dict(_LABEL.findall(found[2] or "")) | {"service": service}, value)
        yield from families.values()

    def _journal_sizes(self) -> dict[str, int]:
        at = self._backend.clock.monotonic()
        if at - self._sized >= SIZE_SECONDS:
            self._sized = at
            folder = self._backend.settings.journal_dir
            try:
                self._sizes = {stream.name: _size(stream) for stream in sorted(folder.iterdir()) if stream.is_dir()}
            except OSError as error:
                log.debug("journal_size_unknown", error=str(error))
        return self._sizes


def _status_families(status: Status) -> Iterator[Metric]:
    words = _family("status", "1 for the status word that holds", "status")
    for word in get_args(StatusWord):
        words.add_metric([word], float(word == status.status))
    yield words
    reasons = _family("status_reason", "1 for the reason that holds", "reason")
    if status.reason is not None:
        reasons.add_metric([status.reason], 1.0)
    yield reasons
    gateways = [shard(name) for name in status.services if kind(name) == "gateway"] or [""]
    several = gateways != [""]  # then each gateway's figures have a label
    labels = ["gateway"] if several else []
    ready = _family("link_ready", "1 while requests may be sent to IB and prices flow", *labels)
    expected = _family("link_outage_expected", "1 inside a reset window of IB", *labels)
    farms = _family("farm_up", "0 while a data farm is broken", "farm", *labels)
    for name in gateways:
        link = status.links_by_gateway.get(name)
        ready.add_metric([name][:several], float(link is not None and link.phase == "ready"))
        expected.add_metric([name][:several], float(link is not None and link.expected))
        for farm, state in (link.farms if link is not None else {}).items():
            farms.add_metric([farm, name][: 1 + several], float(state != "broken"))
    yield from (ready, expected, farms)
    counts = Counter((symbol.state, symbol.gateway or "") for symbol in status.symbols.values())
    symbols = _family("symbols", "Planned symbols by state", "state", *labels)
    for (state, gateway), count in sorted(counts.items()):
        symbols.add_metric([state, gateway][: 1 + several], count)
    yield symbols
    errors = CounterMetricFamily(f"{PREFIX}ib_errors", "Errors from IB by code", labels=["code"])
    for code, count in sorted(status.ib_errors_by_code.items()):
        errors.add_metric([code], count)
    yield errors
    yield _gauge("subscribed_symbols", "Symbols with a market data line", len(status.subscribed_symbols))


def _family(name: str, help: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, help, labels=labels)


def _gauge(name: str, help: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, help, value=float(value))


def _counter(name: str, help: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, help, value=float(value))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
