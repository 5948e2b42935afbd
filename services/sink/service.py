"""The sink: streams in, symbol files, quote topics and `_status.json` out.

`build` hangs it on a Service. Guarantees: files and topics are what the projection of the journal says (see
services/quotes/projection.py), brought in line at start and again after every change; each current price is vouched
for (vouching.py), renewed in time while it is, and marked once it is not, which is no part of the projection; state
and cursors are saved together about once a second, so a restart costs the tail only; a full disk holds up files alone.
"""

import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain
from pathlib import Path

import msgspec
import structlog

from messages.codec import decode_heartbeat, decode_status, encode, encode_json, json_decoder
from messages.topics import HEARTBEAT_PREFIX, STATUS, events_endpoint, heartbeat_topic, quote_topic, sharded
from messages.views import UNVOUCHED, Head, Quote, Status
from services.base.clock import SECOND, iso
from services.base.liveness import Liveness
from services.base.settings import Settings
from services.base.symbols import file_name
from services.journal import saved_state, streams_in
from services.journal.cursor import Cursor
from services.quotes.checkpoints import newest_checkpoint
from services.quotes.projection import Projection, file_bytes
from services.quotes.status_fallback import StatusKeeper
from services.runtime.bus import is_listening
from services.runtime.niceness import Breath, be_nice
from services.runtime.process import Service
from services.sink.candles import Candles
from services.sink.core import Conflator
from services.sink.status_file import after_files, shortened
from services.sink.vouching import Renewals, Voucher
from services.sink.writer import FileWriter, withheld

log = structlog.get_logger()

STATUS_FILE = "_status.json"
STATE_FILE = "sink.state"
SAVE_SECONDS = 1.0
SAVE_SHARE = 0.05  # most of the loop's time that saving may take
RETRY_SECONDS = 1.0
COUNT_SECONDS = 0.05
IDLE_SECONDS = 2.0  # after which files are written though a stream is behind; at start, without progress
TURN_SECONDS = 0.02  # files are conflated to a longer interval anyway
LOOK_SHARE = 0.1  # of the span: between two looks at what is to be renewed, and twice a second at least
ALONE_SECONDS = 0.4  # for one of those followed to begin to end too
END_SECONDS = 1.5  # for all of them to have ended
CLOSE_SECONDS = 2.0  # for the last files


def build(service: Service) -> None:
    service.pace = TURN_SECONDS
    be_nice(service.settings.sink_nice)
    Sink(service).start()


class Sink:
    """The loop's side of the sink: topics, files and time around its pure parts."""

    def __init__(self, service: Service) -> None:
        settings = service.settings
        self._service = service
        self._clock = service.clock
        self._gateways = [sharded("gateway", name) for name in settings.gateway_names]
        self._followed = (*self._gateways, "planner", "supervisor")
        self._files = FileWriter(settings.stream_dir)
        self._state_path = settings.state_dir / STATE_FILE
        self._status_path = settings.stream_dir / STATUS_FILE
        self._projection, self._saved = _load_state(self._state_path, settings)
        self._conflator = Conflator(settings.file_interval_ms / 1000, settings.file_writes_per_second)
        self._voucher = Voucher(
            settings.good_for_seconds, settings.heartbeat_timeout, self._gateways, set(settings.peers)
        )
        self._candles = Candles(service)
        self._span = int(settings.good_for_seconds * SECOND)
        self._withheld: dict[str, str | None] = dict.fromkeys(self._gateways, "reader_behind")  # why, by gateway
        self._vouched: dict[str, dict[str, int]] = {name: {} for name in self._gateways}  # until when; oldest first
        self._renewals = {name: Renewals(settings.good_for_seconds) for name in self._gateways}
        self._polled: set[str] = set()  # symbols with a price that was asked for, and is good for a while from then on
        self._ended = False
        self._landed: set[str] = set()  # symbols whose file is there
        last = _read_status(self._status_path) or Status(
            status="disconnected", reason="service_down", api_mode=settings.api_mode
        )
        self._alive = Liveness(
            settings.heartbeat_timeout, self._clock.monotonic(), ["supervisor"], settings.heartbeat_timeout
        )
        self._keeper = StatusKeeper(last, self._alive)
        self._status: Status | None = None  # to be written
        self._save_due = self._retry_due = self._count_due = 0.0
        self._caught_up = False
        self._progress = (-1, self._clock.monotonic())  # events applied when last behind, and since when as many
        self._published = 0
        self._quotes: dict[str, Quote] = {}  # as they are until they change: a renewal only tells another moment
        self._paths: dict[str, Path] = {}  # of symbols' files: making one costs as much as a quote

    def start(self) -> None:
        service = self._service
        self._files.prepare()
        self._files.withdraw("reader_behind")
        for stream in streams_in(service.settings.journal_dir, service.settings.gateway_names):
            service.follow(
                stream,
                self._candles.beside(stream, partial(self._projection.apply, stream)),
                partial(self._restart, stream),
                self._saved.get(stream),
                self._projection.times.get(stream, 0),
            )
        service.on_topic(STATUS, self._on_status)
        for name in self._followed:
            service.on_topic(heartbeat_topic(name), self._on_heartbeat)
        service.each_turn(self._turn)
        looks = min(0.5, service.settings.heartbeat_interval, service.settings.good_for_seconds * LOOK_SHARE)
        service.every(looks, self._count)
        service.on_close(self._close)
        service.subscribe(self._followed)

    # --- what comes in ---

    def _restart(self, stream: str) -> None:
        log.warning("stream_folded_again", stream=stream)
        self._projection.reset(stream)
        self._caught_up = False

    def _on_status(self, _topic: str, payload: bytes) -> None:
        try:
            status = decode_status(payload)
        except msgspec.MsgspecError:
            self._service.malformed += 1
            return
        self._alive.hear("supervisor", self._clock.monotonic())
        self._status = self._keeper.on_status(status)

    def _on_heartbeat(self, topic: str, payload: bytes) -> None:
        at, now = self._clock.monotonic(), self._clock.now()
        self._voucher.turn(at, now)  # a turn begins with what came meanwhile
        self._alive.hear(topic.removeprefix(HEARTBEAT_PREFIX), at)
        try:
            beat = decode_heartbeat(payload)
        except msgspec.MsgspecError:
            return  # counted where heads are taken from it
        if beat.service in self._followed:
            self._voucher.hear(beat, at, now)

    # --- what goes out, once a turn ---

    def _turn(self) -> float:
        at, now = self._clock.monotonic(), self._clock.now()
        self._voucher.turn(at, now)
        if self._hold(at):
            self._write_status(at)
            self._save(at)
            return self._alive.wait(at)
        self._retry(at)
        self._review_vouching(at, now)
        self._take_changes()
        self._put(self._conflator.take(at))
        self._write_status(at)
        self._service.problem = self._files.problem
        self._tell_when_whole(at)
        self._save(at)
        waits = (self._conflator.wait(at), self._voucher.wait(at, now), self._alive.wait(at))
        return min(*waits, self._candles.turn(at, now))

    def _tell_when_whole(self, at: float) -> None:
        """The supervisor waits for all files to be there before it says connected: do not let it wait for a beat."""
        if self._service.metrics.get(UNVOUCHED) and at >= self._count_due and not self._unvouched():
            self._count()
            self._service.beat()
            self._count_due = at + COUNT_SECONDS

    # --- vouching ---

    def _review_vouching(self, at: float, now: int) -> None:
        """What is known now: mark what can't be vouched for any more, or can again, and renew what runs out."""
        self._voucher.settle(self._reached)
        if self._voucher.clock_was_set_back():
            self._conflator.mark(self._projection.symbols())
        for gateway, vouched in self._vouched.items():
            why = self._voucher.withheld(gateway, at, now)
            if why != self._withheld[gateway]:
                log.info("vouching", gateway=gateway, withheld=why)
                self._withheld[gateway] = why
                self._conflator.mark(self._projection.symbols())
            if why is None:
                until = self._voucher.good_until(gateway, at, now)
                due = self._renewals[gateway].due(until, now)
                self._conflator.mark(self._running_out(vouched, due, until))

    def _running_out(self, vouched: dict[str, int], due: int, until: int) -> list[str]:
        """Symbols whose files are good until `due` at most, to be renewed until then."""
        found = []
        for symbol, given in vouched.items():
            if given > due or given >= until:
                break
            found.append(symbol)
        return found

    def _reached(self, stream: str, head: Head) -> bool:
        follower = self._service.followers.get(stream)
        if follower is None:
            return True
        cursor = follower.cursor  # of a later epoch than the writer is in it is of a journal that was deleted
        return cursor.seq >= head.seq and cursor.epoch <= head.epoch

    def _shown(self, quote: Quote) -> Quote:
        """With the vouching on it: until when it may be used, or why it must not be."""
        gateway = sharded("gateway", self._projection.gateway_of(quote.symbol))
        for each in self._vouched.values():
            each.pop(quote.symbol, None)
        self._polled.discard(quote.symbol)
        if quote.stale:
            return quote
        why = "shutdown" if self._ended else self._withheld.get(gateway, "service_down")  # it may be of an older plan
        if why is not None:
            return withheld(quote, why)
        until = self._voucher.good_until(gateway, self._clock.monotonic(), self._clock.now())
        polled = self._projection.polled_at(quote.symbol)
        if polled is not None:  # nothing tells when it is over: good for the span, and not renewed
            self._polled.add(quote.symbol)
            return msgspec.structs.replace(quote, good_until=iso(min(until, polled + self._span)))
        self._vouched[gateway][quote.symbol] = until  # the last: it has longest
        return msgspec.structs.replace(quote, good_until=iso(until))

    def _hold(self, now: float) -> bool:
        """Whether to hold all back because a stream is behind: old prices must not go out as new ones. Not for
        ever: what is announced may not be readable (a writer holds blocks in memory while its disk is full),
        and a sink that is too slow for its streams must go on all the same."""
        followers = self._service.followers.values()
        if any(follower.behind for follower in followers):
            applied = sum(follower.cursor.seq for follower in followers)
            if not self._caught_up and applied != self._progress[0]:
                self._progress = (applied, now)
            if now - self._progress[1] < IDLE_SECONDS:
                return True
        else:
            self._progress = (-1, now)
        if not self._caught_up:
            self._begin()
        return False

    def _begin(self) -> None:
        """The end of the journal is reached: bring all files in line with it."""
        self._caught_up = True
        symbols = self._projection.symbols()
        self._projection.changed.update(symbols)
        self._files.withdraw("unplanned", known=set(symbols))
        log.info("caught_up", symbols=len(symbols), cursors={s: c.seq for s, c in self._cursors().items()})

    def _take_changes(self) -> None:
        changed = self._projection.changed
        self._conflator.mark(changed)
        for symbol in changed:
            self._quotes.pop(symbol, None)
        changed.clear()

    def _put(self, symbols: Iterable[str]) -> None:
        """All topics first, so that the bus's thread and those of its listeners wake once for them; then the files."""
        quotes = [self._shown(quote) for symbol in symbols if (quote := self._quote(symbol)) is not None]
        for quote in quotes:
            self._service.publisher.set_last(quote_topic(quote.symbol), encode(quote))
        self._published += len(quotes)
        breath = Breath()
        for quote in quotes:
            breath.draw()
            if self._files.write(self._path(quote.symbol), file_bytes(quote)):
                self._landed.add(quote.symbol)

    def _quote(self, symbol: str) -> Quote | None:
        quote = self._quotes.get(symbol) or self._projection.quote(symbol)
        if quote is not None:
            self._quotes[symbol] = quote
        return quote

    def _path(self, symbol: str) -> Path:
        path = self._paths.get(symbol)
        if path is None:
            path = self._paths[symbol] = self._files.folder / file_name(symbol)
        return path

    def _write_status(self, at: float) -> None:
        self._alive.check(at)
        self._status = self._keeper.check(self._clock.now()) or self._status
        if self._status is not None:
            self._put_status(after_files(self._status, self._landed))
            self._status = None

    def _put_status(self, status: Status) -> None:
        self._files.write_roomy(self._status_path, encode_json(status), encode_json(shortened(status)))

    def _retry(self, now: float) -> None:
        """Mark for another try what the disk refused."""
        if not self._files.failed or now < self._retry_due:
            return
        self._retry_due = now + RETRY_SECONDS
        for path in list(self._files.failed):
            if path == self._status_path:
                self._status = self._keeper.current
            elif path == self._state_path:
                self._save_due = now
            else:
                self._conflator.mark([path.stem])

    # --- state ---

    def _cursors(self) -> dict[str, Cursor]:
        return {stream: follower.cursor for stream, follower in self._service.followers.items()}

    def _save(self, now: float, *, at_once: bool = False) -> None:
        if now < self._save_due and not at_once:
            return
        cursors = self._cursors()
        self._save_due = now + SAVE_SECONDS
        if cursors == self._saved:
            return
        if self._files.write(self._state_path, self._projection.dump(cursors), lasting=True):
            self._saved = cursors
        spent = self._clock.monotonic() - now
        self._save_due = now + max(SAVE_SECONDS, spent / SAVE_SHARE)

    def _unvouched(self) -> int:
        """How many current prices are in no file that says so."""
        vouched = self._landed.intersection(chain(self._polled, *self._vouched.values()))
        projection = self._projection
        current = (symbol for symbol in projection.symbols() if not projection.overlay(symbol)[0])
        return sum(symbol not in vouched and projection.is_priced(symbol) for symbol in current)

    def _count(self) -> None:
        self._service.metrics.update(
            {UNVOUCHED: self._unvouched()},
            files_written_total=self._files.written,
            file_errors_total=self._files.errors,
            quotes_published_total=self._published,
            quotes_pending=self._conflator.pending,
            candles_published_total=self._candles.published,
        )

    def _follow_to_the_end(self) -> None:
        """Stopped together with the services that it follows, the sink ends last, so that what they journal while
        they end is in its files. When none of them goes, it is stopped alone."""
        settings, began = self._service.settings, self._clock.monotonic()
        places = [settings.run_path / events_endpoint(name) for name in self._followed]
        while True:
            there = sum(map(is_listening, places))
            patience = END_SECONDS if there < len(places) else ALONE_SECONDS
            late = self._clock.monotonic() - began > patience
            for follower in self._service.followers.values():
                follower.look_back()
                while follower.step() and self._clock.monotonic() - began < END_SECONDS:
                    pass
            if late or not there:
                return
            time.sleep(0.02)

    def _close(self) -> None:
        """The last change of every symbol lands; then the state, then the status."""
        self._follow_to_the_end()
        deadline = self._clock.monotonic() + CLOSE_SECONDS
        if self._caught_up:
            self._ended = True
            vouched = list(chain(self._polled, *self._vouched.values()))
            self._take_changes()
            for symbol in dict.fromkeys([*vouched, *self._conflator.drain()]):
                self._put([symbol])
                if self._clock.monotonic() > deadline:
                    log.warning("files_left_behind")  # the next start brings them in line
                    break
        self._save(self._clock.monotonic(), at_once=True)
        self._candles.close()
        self._put_status(self._keeper.at_stop())


def _load_state(path: Path, settings: Settings) -> tuple[Projection, dict[str, Cursor]]:
    """The saved projection, less what is not of this journal; that is folded from the whole of it then. Without
    one, the journal's newest checkpoint: it also knows what was retired."""
    saved = saved_state.read(path, Projection.load)
    if saved is None:
        return newest_checkpoint(settings.journal_dir)
    projection, cursors = saved
    for stream in saved_state.of_another_journal(settings, cursors, projection.times):
        projection.reset(stream)
        del cursors[stream]
    return projection, cursors


_decode_status_file: Callable[[bytes], Status] = json_decoder(Status)


def _read_status(path: Path) -> Status | None:
    try:
        return _decode_status_file(path.read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None
