"""What the bus last said, ready to be sent: the one source of all that the web shows.

Pure: fed by the web's loop with frames and the time, read by the endpoints and the event streams. A change
raises `version`; a client is nothing but the version that it has seen, so a slow or stalled one costs
nothing here, and all that are in step share the same bytes. It holds one value a topic: bounded. A quote that nobody
vouches for any more, because the sink is silent or its `good_until` is over, is shown as stale.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from messages.candles import Candle
from messages.codec import decode_candle, decode_heartbeat, decode_plan, decode_quote, decode_status, encode_json
from messages.events import Plan
from messages.topics import CANDLE_PREFIX, HEARTBEAT_PREFIX, PLAN, QUOTE_PREFIX, STATUS, TICKS, kind
from messages.views import Heartbeat, Quote, Status
from services.base.liveness import Liveness
from services.quotes.status_fallback import StatusKeeper
from services.quotes.trust import is_good, moment

CANDLES_KEPT = 12  # of one interval and symbol: what comes within a turn, and what is revised
SHARED_CHUNKS = 32  # encoded differences kept for clients in step
NEVER = 1 << 63
RATE_SECONDS = 5.0  # over which rates are taken


class Shown(NamedTuple):
    version: int
    quote: Quote
    json: bytes


class Hub:
    """Times `at` are seconds on a clock that never goes back; `now` is UTC nanoseconds."""

    def __init__(self, timeout: float, instance: str, at: float, span: float = 5.0) -> None:
        """`span`: seconds for which the sink vouches at most."""
        self.instance = instance  # of this process: event ids of another one mean nothing here
        self.version = 0
        self.status: Status | None = None
        self.plan: Plan | None = None
        self.heartbeats: dict[str, Heartbeat] = {}
        self.malformed = 0
        self._alive = Liveness(timeout, at, ["sink", "supervisor"], timeout)
        self._span = span
        self._expiry = NEVER  # UTC ns: no quote shown as current is over before
        self._looked = 0  # UTC ns: when that was looked at last
        self._keeper: StatusKeeper | None = None
        self._status_version = 0
        self._status_json = b""
        self._quotes: dict[str, Quote] = {}  # as the sink said
        self._shown: dict[str, Shown] = {}  # oldest change first
        self._sink_lost = False
        self._candles: dict[
            str, dict[str, tuple[int, bytes]]
        ] = {}  # listened to: by name, by start, oldest change first
        self._chunks: dict[tuple[int, int], bytes] = {}
        self._tick_heads: dict[str, int] = {}  # of each gateway's stream
        self._ticks_seen: tuple[float, int] | None = None
        self.ticks_per_second = 0.0

    # --- what comes in ---

    def apply(self, frames: Iterable[tuple[str, bytes]], at: float, now: int) -> bool:
        """Take the frames, in order, and the passing of time. True when there is something new to send."""
        before = self.version
        for topic, payload in frames:
            try:
                self._take(topic, payload, at, now)
            except msgspec.MsgspecError:
                self.malformed += 1
        self._check_silence(at, now)
        return self.version != before

    def _take(self, topic: str, payload: bytes, at: float, now: int) -> None:
        if topic.startswith(QUOTE_PREFIX):
            quote = decode_quote(payload)
            self._quotes[quote.symbol] = quote
            self._show(quote, now)
        elif topic.startswith(CANDLE_PREFIX):
            self._take_candle(decode_candle(payload))
        elif topic == STATUS:
            status = decode_status(payload)
            self._alive.hear("supervisor", at)
            self._keeper = self._keeper or StatusKeeper(status, self._alive)
            self._show_status(self._keeper.on_status(status))
        elif topic == PLAN:
            self.plan = decode_plan(payload)
        elif topic.startswith(HEARTBEAT_PREFIX):
            self._take_heartbeat(decode_heartbeat(payload), at)

    def _take_candle(self, candle: Candle) -> None:
        kept = self._candles.get(f"{candle.interval}.{candle.symbol}")
        if kept is not None:
            self.version += 1
            kept.pop(candle.start, None)
            kept[candle.start] = (self.version, encode_json(candle))
            while len(kept) > CANDLES_KEPT:
                del kept[next(iter(kept))]

    def _take_heartbeat(self, heartbeat: Heartbeat, at: float) -> None:
        self.heartbeats[heartbeat.service] = heartbeat
        self._alive.hear(heartbeat.service, at)
        heads = {stream: head.seq for stream, head in heartbeat.heads.items() if kind(stream) == TICKS}
        if heads:
            if not heads.keys() <= self._tick_heads.keys():
                self._ticks_seen = None  # what a gateway wrote before it was heard is no rate
            self._tick_heads |= heads
            self._measure(sum(self._tick_heads.values()), at)

    def _measure(self, seq: int, at: float) -> None:
        if self._ticks_seen is None or seq < self._ticks_seen[1]:
            self._ticks_seen = (at, seq)
        elif at - self._ticks_seen[0] >= RATE_SECONDS:
            self.ticks_per_second = (seq - self._ticks_seen[1]) / (at - self._ticks_seen[0])
            self._ticks_seen = (at, seq)

    def _check_silence(self, at: float, now: int) -> None:
        self._alive.check(at)
        if self._keeper is not None:
            status = self._keeper.check(now)
            if status is not None:
                self._show_status(status)
        if not any(kind(name) == "gateway" and self._alive.heard(name) for name in self._alive.names()):
            self.ticks_per_second, self._ticks_seen = 0.0, None
        lost = "sink" in self._alive.lost
        if lost != self._sink_lost or now >= self._expiry or now < self._looked:
            self._sink_lost = lost
            self._expiry = NEVER
            for quote in self._quotes.values():
                self._show(quote, now)
        self._looked = now

    def _show(self, quote: Quote, now: int) -> None:
        until = None if quote.stale else moment(quote)
        if self._sink_lost and not quote.stale:  # nobody would say so if it were not current any more
            quote = msgspec.structs.replace(quote, stale=True, reason="service_down", good_until=None)
        elif until is not None and not is_good(until, now, self._span):
            quote = msgspec.structs.replace(quote, stale=True, reason="expired", good_until=None)
        elif until is not None:
            self._expiry = min(self._expiry, until)
        known = self._shown.get(quote.symbol)
        if known is not None:
            if known.quote == quote:
                return
            del self._shown[quote.symbol]  # to stand last again
        self.version += 1
        self._shown[quote.symbol] = Shown(self.version, quote, encode_json(quote))

    def _show_status(self, status: Status) -> None:
        self.status = status
        encoded = encode_json(status)
        if encoded != self._status_json:
            self.version += 1
            self._status_version, self._status_json = self.version, encoded

    # --- what goes out ---

    def heard(self, service: str) -> bool:
        """Whether a service is heard, as of the last `apply`."""
        return self._alive.heard(service)

    @property
    def status_json(self) -> bytes | None:
        return self._status_json or None

    def quote_json(self, symbol: str) -> bytes | None:
        shown = self._shown.get(symbol)
        return None if shown is None else shown.json

    def quotes_json(self) -> bytes:
        """`{"quotes": [...]}`, by symbol."""
        return b'{"quotes":[' + b",".join(self._shown[symbol].json for symbol in sorted(self._shown)) + b"]}"

    def quote(self, symbol: str) -> Quote | None:
        shown = self._shown.get(symbol)
        return None if shown is None else shown.quote

    def event_id(self, version: int) -> str:
        return f"{self.instance}-{version}"

    def version_of(self, event_id: str) -> int:
        """What the client that saw this event has; 0, which is nothing, for an id of another process."""
        instance, _, version = event_id.rpartition("-")
        if instance != self.instance or not version.isascii() or not version.isdigit() or len(version) > 18:
            return 0
        return min(int(version), self.version)

    def listen(self, candle: str, *, wanted: bool) -> None:
        """Keep the newest candles of `{interval}.{SYMBOL}`, or no more."""
        if wanted:
            self._candles.setdefault(candle, {})
        else:
            self._candles.pop(candle, None)

    def with_candles(self, version: int, wanted: Iterable[str], rest: bytes) -> bytes:
        """`rest`, what `changes_since` gave for this version, behind the candles of these names that changed."""
        changed = []
        for name in wanted:
            changed += [shown for at, shown in self._candles.get(name, {}).values() if at > version]
        if not changed:
            return rest
        event = b"event: candles\ndata: [" + b",".join(changed) + b"]"
        return event + (b"\n\n" + rest if rest else b"\nid: " + self.event_id(self.version).encode() + b"\n\n")

    def changes_since(self, version: int) -> bytes:
        """Server-sent events with all that changed after `version`; empty when nothing did.

        The id stands at the last event alone, so that a client cut off in between asks for all of it again.
        """
        key = (version, self.version)
        chunk = self._chunks.get(key)
        if chunk is None:
            while len(self._chunks) >= SHARED_CHUNKS:
                del self._chunks[next(iter(self._chunks))]
            chunk = self._chunks[key] = self._changes_since(version)
        return chunk

    def _changes_since(self, version: int) -> bytes:
        events = []
        if self._status_version > version:
            events.append(b"event: status\ndata: " + self._status_json)
        changed = []
        for shown in reversed(self._shown.values()):
            if shown.version <= version:
                break
            changed.append(shown.json)
        if changed:
            events.append(b"event: quotes\ndata: [" + b",".join(changed) + b"]")
        if not events:
            return b""
        events[-1] += b"\nid: " + self.event_id(self.version).encode()
        return b"\n\n".join(events) + b"\n\n"
