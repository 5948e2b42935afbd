"""The gateway's loop: one wake-up, one drain, one block, one journal write, one send.

Run by `python -m services.gateway [NAME]`. It owns the socket to TWS or IB Gateway and the journal streams `ticks`
and `link` (`ticks.NAME` and `link.NAME`); what to do is decided by the pure core (core.py), a connection is made by
the dialler (dialler.py), and what is said on it by the official client (official_client.py) and the fast decoders
of ticks (tick_decoder.py). Journal first, then publish; nobody can hold it up.
"""

import math
import random
from collections.abc import Callable
from contextlib import suppress
from typing import assert_never

import structlog

from messages.codec import decode_events, encode
from messages.events import Block, ContractQualified, EventBlock, LinkChanged, LinkEvent, Plan, SymbolChanged
from messages.topics import LINK, PLAN, TICKS, shard, sharded
from messages.views import PriceTime
from services.base import flight_recorder
from services.base.clock import DAY, MINUTE, SECOND, iso
from services.gateway.core import interface as fx
from services.gateway.core.core import GatewayCore
from services.gateway.core.memory import Memory
from services.gateway.dialler import Dialler
from services.gateway.pulse import Pulse
from services.gateway.wire.connection import RECEIVE_SIZE, Connection, LinkClosed, Stage
from services.gateway.wire.official_client import OLDEST_VERSION, BadFrame, OfficialClient
from services.gateway.wire.text_ticks import FrameError
from services.gateway.wire.tick_router import TickRouter
from services.journal import JournalReader
from services.journal.cursor import Cursor
from services.runtime.process import Service

log = structlog.get_logger()

MAX_DRAIN = 1 << 18  # bytes taken from the socket in one turn of the loop
BUSY_SECONDS = 0.1  # between two looks at what cannot say when it will be done: connecting, and requests that are paced
PULSE_SHARE = 0.18  # of the span for which prices are vouched for: silence after which IB is asked for the time
PULSE_LOOKS = 0.1  # the same for how often that is looked at, and twice a second at least
TELL_ALL_EVERY = 10  # heartbeats
BEAT_SECONDS = 0.05  # after the word on a symbol: a status is not to wait for the price that stands behind it
DUMP_PAUSE = MINUTE
MEMORY = 30 * DAY  # how much of the link stream is read again at the start


class Gateway:
    """Carries the core's effects out and feeds it what happens."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._settings = service.settings
        service.pace = service.settings.gather_ms / 1000
        self._name = shard(service.name)
        self._ticks = service.journal(sharded(TICKS, self._name))
        self._link = service.journal(sharded(LINK, self._name))
        service.serve_replay()
        jitter = random.Random()  # noqa: S311 - no secret
        self._core = GatewayCore(service.settings, jitter, self._remember(), name=self._name)
        self._dialler = Dialler(service, self._on_open, self._on_failed)
        self._connection: Connection | None = None  # that TCP is up on
        self._router = TickRouter(OLDEST_VERSION)
        self._official = self._client_of(OLDEST_VERSION)
        self._rare: list[bytes] = []
        self._link_events: list[LinkEvent] = []
        self._watched_write = False
        self._flight_dir = self._settings.flight_dir / self._name
        self._recorder = self._open_recorder()
        self._dump_again = 0
        self._time = max(self._ticks.time, self._link.time)
        self._time_at = service.clock.monotonic()
        self._pulse = Pulse(self._settings.good_for_seconds * PULSE_SHARE)
        service.source_heard = self._source_heard
        self._told_heard = False
        service.new_prices = self._new_prices
        self._told_prices: dict[str, PriceTime] = {}
        self._tell_all_again = 0  # in so many heartbeats: one that was lost is made up for
        self._beat_due = math.inf  # monotonic seconds: what was said of a symbol waits for its price to be told
        self._counts = service.metrics
        self._counts.update(ticks_total=0, ticks_dropped_total=0, connections_total=0)
        self._counts.update(frames_malformed_total=0, frames_unknown_total=0)
        service.follow(PLAN, self._on_plan, restart=lambda: None, cursor=self._before_last_plan())
        service.subscribe(["planner"])
        service.every(min(0.5, self._settings.good_for_seconds * PULSE_LOOKS), self._on_timer)
        service.each_turn(self._until_due)
        service.every(1.0, self._poll_journals)
        service.on_close(self._on_close)

    def _client_of(self, server_version: int) -> OfficialClient:
        return OfficialClient(self._settings.ib_client_id, server_version, self._router.add, self._router.add_fine)

    def _open_recorder(self) -> flight_recorder.Recorder | None:
        segments = self._settings.flight_recorder_mb
        if not segments:
            return None
        try:
            return flight_recorder.Recorder(self._flight_dir / "ring", segments)
        except OSError as error:
            log.warning("flight_recorder_off", error=str(error))
            return None

    # --- the past ---

    def _remember(self) -> Memory:
        """What earlier runs learned: the fold of our own link stream, and how far the ticks go."""
        memory = Memory()
        with JournalReader(self._settings.journal_dir, self._link.stream) as reader:
            for row in reader.blocks(reader.seq_at(self._link.time - MEMORY)):
                for event in decode_events(row.payload).events:
                    memory.apply(event, row.time)
        memory.note_streamed_until(self._ticks.time)
        return memory

    def _before_last_plan(self) -> Cursor | None:
        """The newest plan is complete. The ones before would take symbols up that others serve, or nobody any more."""
        with JournalReader(self._settings.journal_dir, PLAN) as reader:
            last = reader.last()
            before = None if last is None else next(iter(reader.read(last.first_seq - 1, 1)), None)
        if last is None or before is None or before.last_seq != last.first_seq - 1:
            return None
        return Cursor(before.epoch, before.last_seq)

    # --- inputs ---

    def _now(self) -> int:
        """UTC nanoseconds that never go back, not across a restart either. While the clock is behind, as after it was
        set back, time passes all the same: else nothing would grow stale."""
        at = self._service.clock.monotonic()
        self._time = max(self._service.clock.now(), self._time + int((at - self._time_at) * SECOND))
        self._time_at = at
        return self._time

    def _on_plan(self, plan: Block) -> None:
        assert isinstance(plan, Plan)
        self._turn([fx.PlanChanged(plan)])

    def _source_heard(self) -> int:
        """When IB was last heard, UTC ns; 0 while no prices can come."""
        if self._core.link.phase != "ready":
            return 0
        return self._pulse.heard_at(self._service.clock.monotonic(), self._service.clock.now())

    def _new_prices(self) -> dict[str, PriceTime]:
        """Of the symbols whose newest price is another than the last heartbeat told; now and then of all."""
        prices = {
            name: PriceTime(symbol.price_time, symbol.price.mark)
            for name, symbol in self._core.symbols.items()
            if symbol.price.mark is not None
        }
        self._tell_all_again, again = (self._tell_all_again or TELL_ALL_EVERY) - 1, not self._tell_all_again
        told, self._told_prices = {} if again else self._told_prices, prices
        return {name: price for name, price in prices.items() if told.get(name) != price}

    def _ask_time(self) -> None:
        self._pulse.asked(self._service.clock.monotonic())
        self._request(OfficialClient.ask_time)

    def _on_timer(self) -> None:
        self._dialler.look()
        clock = self._service.clock
        if self._core.link.phase == "ready" and self._pulse.wants(clock.monotonic(), clock.now()):
            self._ask_time()
        self._turn([fx.Timer()])
        hears = self._source_heard() > 0
        if hears != self._told_heard:
            self._told_heard = hears
            self._service.beat()  # nothing is vouched for before it is told

    def _until_due(self) -> float:
        """Seconds until something is to be done though nothing comes; what is due by now is done."""
        core = self._core
        if core.context.deadlines.next <= self._now():
            self._on_timer()
        at = self._service.clock.monotonic()
        if at >= self._beat_due:
            self._beat_due = math.inf
            self._service.beat()
        wait = max(0.0, min((core.context.deadlines.next - self._time) / SECOND, self._beat_due - at))
        if self._dialler.connecting or (core.link.connected and core.requests.governor.waiting):
            return min(wait, BUSY_SECONDS)
        return wait

    def _on_open(self, connection: Connection) -> None:
        self._connection, self._watched_write = connection, False
        self._service.on_readable(connection.fd, self._on_socket)
        self._on_socket(fx.SocketOpened())

    def _on_failed(self, error: LinkClosed) -> None:
        self._turn([fx.SocketFailed(error.reason, error.detail)])

    def _on_socket(self, *before: fx.Event) -> None:
        """The socket can be read or written: move on, drain it, and make one turn of what it held."""
        connection = self._connection
        assert connection is not None
        inputs = [*before]
        try:
            connection.flush()
            self._drain(connection, inputs)
        except (LinkClosed, FrameError, BadFrame) as error:
            told = error if isinstance(error, LinkClosed) else LinkClosed("bad_frame", str(error))
            self._dump_recorder(told.reason)
            with suppress(BadFrame):
                self._interpret(inputs)  # why it ends stands in the last messages: 326, 1300
            self._pass_on_ticks(inputs)
            self._drop_connection()
            inputs.append(fx.SocketClosed(told.reason, told.detail))
        self._turn(inputs)

    def _drain(self, connection: Connection, inputs: list[fx.Event]) -> None:
        """All that the socket holds, within bounds: ticks into the columns or out, the rest into `inputs`."""
        taken = 0
        while taken < MAX_DRAIN:
            stage = connection.stage
            data = connection.receive()
            if stage is not Stage.OPEN and connection.stage is Stage.OPEN:
                self._begin_session(connection)
            if data is None:
                break
            taken += len(data)
            self._pulse.heard(self._service.clock.monotonic(), self._service.clock.now())
            if self._recorder is not None:
                self._recorder.record(self._now(), data)
            self._router.feed(data, self._rare)
            if len(data) < RECEIVE_SIZE and stage is Stage.OPEN:
                break  # there was no more: asking again costs as much as decoding what came
        self._interpret(inputs)
        self._count_answers(inputs)
        self._pass_on_ticks(inputs)
        self._seen_snapshots(inputs)

    def _count_answers(self, inputs: list[fx.Event]) -> None:
        for event in inputs:
            if isinstance(event, fx.CurrentTimeSeen):
                self._pulse.answered(self._service.clock.monotonic(), self._service.clock.now())

    def _interpret(self, inputs: list[fx.Event]) -> None:
        frames, self._rare = self._rare, []
        for frame in frames:
            self._official.interpret(frame)
        inputs.extend(self._official.inputs)
        self._official.inputs.clear()

    def _pass_on_ticks(self, inputs: list[fx.Event]) -> None:
        """Tell the core which requests had prices in this drain, and of halts. Where it will have nothing to add to
        the block, that goes out before."""
        rows = self._router.rows
        if not len(rows):
            return
        if not inputs and self._router.all_settled():
            self._flush_ticks(self._now())
        inputs += self._router.read(rows)

    def _seen_snapshots(self, inputs: list[fx.Event]) -> None:
        done, self._official.snapshots_done = self._official.snapshots_done, []
        inputs += [ended for req_id in done if (ended := self._router.snapshot_ended(req_id)) is not None]

    # --- one turn ---

    def _turn(self, inputs: list[fx.Event]) -> None:
        """Feed the core, carry out what it wants, then journal and publish what came of it."""
        now = self._now()
        queue = inputs
        while queue:
            pending: list[fx.Effect] = []
            for event in queue:
                pending += self._core.handle(event, now)
            queue = []
            for effect in pending:
                try:
                    self._carry_out(effect)
                except LinkClosed as error:
                    self._drop_connection()
                    kind = fx.SocketFailed if isinstance(effect, fx.Connect) else fx.SocketClosed
                    queue.append(kind(error.reason, error.detail))
            queue += self._official.inputs  # encoders report what they refuse as errors of the client's own
            self._official.inputs.clear()
        self._router.settle()
        self._flush_ticks(now)
        self._flush_link(now)
        self._watch_writes()

    def _carry_out(self, effect: fx.Effect) -> None:
        """One effect of the core. Raises LinkClosed."""
        match effect:
            case fx.Emit(event):
                self._link_events.append(event)
            case fx.EmitTicks(symbol, rows):
                self._router.add_own(symbol, rows)
            case fx.Connect():
                self._connect(effect)
            case fx.Disconnect():
                self._drop_connection()
            case fx.ProbeEndpoint(host, port):
                self._dialler.probe(host, port, lambda up: self._turn([fx.EndpointSeen(up)]))
            case fx.Subscribe(req_id, planned, con_id, more):
                self._router.open(req_id, planned.symbol)
                self._request(lambda ib: ib.subscribe(req_id, planned, con_id, snapshot=False, generic_ticks=more))
            case fx.Snapshot(req_id, planned, con_id, stream):
                self._router.open(req_id, planned.symbol, snapshot_of=stream)
                self._request(lambda ib: ib.subscribe(req_id, planned, con_id, snapshot=True))
            case fx.Forget(req_id):
                self._router.close(req_id)
            case fx.CancelMktData(req_id):
                self._router.close(req_id)
                self._request(lambda ib: ib.cancel_market_data(req_id))
            case fx.ContractDetails(req_id, planned):
                self._request(lambda ib: ib.contract_details(req_id, planned))
            case fx.TickByTick(req_id, planned, con_id, what):
                self._router.open(req_id, planned.symbol)
                self._request(lambda ib: ib.tick_by_tick(req_id, planned, con_id, what))
            case fx.RealTimeBars(req_id, planned, con_id, what):
                self._router.open(req_id, planned.symbol)
                self._request(lambda ib: ib.real_time_bars(req_id, planned, con_id, what))
            case fx.CancelTickByTick(req_id):
                self._router.close(req_id)
                self._request(lambda ib: ib.cancel_tick_by_tick(req_id))
            case fx.CancelRealTimeBars(req_id):
                self._router.close(req_id)
                self._request(lambda ib: ib.cancel_real_time_bars(req_id))
            case fx.OptionParams(req_id, planned, con_id):
                self._request(lambda ib: ib.option_params(req_id, planned, con_id))
            case fx.History():
                self._request(lambda ib: ib.history(effect))
            case fx.CancelHistory(req_id):
                self._request(lambda ib: ib.cancel_history(req_id))
            case fx.SetMarketDataType(data_type):
                self._request(lambda ib: ib.set_market_data_type(data_type))
            case fx.AskTime():
                self._ask_time()
            case fx.AskPositions():
                self._request(OfficialClient.positions)
            case fx.CancelPositions():
                self._request(OfficialClient.cancel_positions)
            case fx.ReadStream(req_id):
                self._official.inputs.append(fx.StreamRead(req_id, self._router.values_of(req_id)))
            case _:
                assert_never(effect)

    def _flush_ticks(self, now: int) -> None:
        if not len(self._router.rows):
            return
        payload, count = self._router.take_block(self._ticks.epoch, self._ticks.next_seq, now)
        if self._ticks.append(payload, count, now):
            self._service.publisher.send(self._ticks.stream, payload)
            self._counts["ticks_total"] += count
        else:
            self._counts["ticks_dropped_total"] += count

    def _flush_link(self, now: int) -> None:
        events, self._link_events = self._link_events, []
        if not events:
            return
        payload = encode(EventBlock(self._link.epoch, self._link.next_seq, now, list(events)))
        if self._link.append(payload, len(events), now):
            self._service.publisher.send(self._link.stream, payload)
        if any(isinstance(event, SymbolChanged) for event in events):
            self._beat_due = min(self._beat_due, self._service.clock.monotonic() + BEAT_SECONDS)
        for event in events:
            if isinstance(event, LinkChanged):
                log.info("link", phase=event.phase, reason=event.reason, detail=event.detail, retry_in=event.retry_in)
            elif isinstance(event, ContractQualified):
                log.debug("contract", symbol=event.symbol, con_id=event.con_id)

    def _watch_writes(self) -> None:
        connection = self._connection
        if connection is not None and connection.wants_write != self._watched_write:
            self._watched_write = connection.wants_write
            self._service.on_writable(connection.fd, self._watched_write)

    def _poll_journals(self) -> None:
        for journal in (self._ticks, self._link):
            journal.poll(self._service.clock.monotonic())
        self._counts["ticks_unrouted_total"] = self._router.count_unrouted()
        self._counts["ticks_odd_total"] = self._router.odd
        self._counts["clock_skew_seconds"] = self._core.link.clock_skew or 0.0
        self._counts["ticks_unknown_total"] = self._router.unknown
        self._count_frames()

    def _count_frames(self) -> None:
        """Of all connections so far: each has a client, and so counts, of its own."""
        official = self._official
        self._counts["frames_malformed_total"] += official.malformed
        self._counts["frames_unknown_total"] += official.unknown
        official.malformed = official.unknown = 0

    # --- effects: connection ---

    def _begin_session(self, connection: Connection) -> None:
        self._count_frames()
        self._official = self._client_of(connection.server_version)
        self._router.begin(connection.server_version, self._official.interpret)
        if self._recorder is not None:
            self._recorder.begin(connection.server_version)
        self._official.start_api()
        self._send(connection)

    def _connect(self, effect: fx.Connect) -> None:
        """Raises LinkClosed."""
        self._drop_connection()
        self._counts["connections_total"] += 1
        self._dialler.dial(effect.host, effect.port)

    def _drop_connection(self) -> None:
        """Close, and forget all that belongs to the connection; ticks already decoded are still published."""
        self._dialler.hang_up()
        connection, self._connection = self._connection, None
        self._pulse.begin()
        if connection is not None:
            self._service.forget(connection.fd)
            connection.close()
        self._rare.clear()
        self._official.inputs.clear()
        self._official.snapshots_done.clear()
        self._router.end(OLDEST_VERSION)

    def _dump_recorder(self, reason: str) -> None:
        """Keep what led to a fault, at most once a minute."""
        if self._recorder is None or self._time < self._dump_again:
            return
        self._dump_again = self._time + DUMP_PAUSE
        path = self._flight_dir / f"{iso(self._time).replace(':', '')}-{reason}{flight_recorder.SUFFIX}"
        try:
            self._recorder.dump(path)
        except OSError as error:
            log.warning("flight_dump_failed", path=str(path), error=str(error))
        else:
            log.info("flight_dumped", path=str(path), reason=reason)

    # --- effects: requests ---

    def _request(self, ask: Callable[[OfficialClient], None]) -> None:
        if self._connection is None or self._connection.stage is not Stage.OPEN:
            return  # the connection ended in this very turn: the core learns of it by SocketClosed
        ask(self._official)
        self._send(self._connection)

    def _send(self, connection: Connection) -> None:
        for frame in self._official.take_frames():
            if self._recorder is not None:
                self._recorder.record(self._time, frame, sent=True)
            connection.send(frame)

    def _on_close(self) -> None:
        self._drop_connection()
        if self._recorder is not None:
            self._recorder.close()
