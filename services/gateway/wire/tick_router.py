"""Whose a tick is, and what becomes of it: between the decoders of the wire and the tick blocks of the journal.

Used by the gateway's loop alone. It knows which symbol each request stands for, collects the rows of the block that is
being built (IB's and our own), and tells the core what the ticks mean for it: who ticked, who is halted, what a
snapshot brought. Guarantees: rows keep the order in which IB sent them; a tick of a request that is not open any more
is counted and dropped.
"""

from collections.abc import Callable, Sequence
from math import isfinite, nan
from typing import Final

from messages.codec import encode
from messages.fields import DELAYED_FIELDS, DELAYED_HALTED, HALTED, QUOTE_FIELD, TEXT_FIELDS
from services.gateway.core.interface import HaltSeen, Row, SnapshotEnd, TicksSeen, is_number
from services.gateway.wire.columns import Columns
from services.gateway.wire.text_ticks import FIRST_OWN_FIELD
from services.gateway.wire.tick_decoder import TickDecoder, tick_decoder

OWN_IDS: Final = 1 << 31  # symbol ids from here on are ours, below are IB request ids

_CURRENT_FIELDS: Final = {"bid", "ask", "last", "bid_size", "ask_size", "last_size", "volume"}
_CURRENT: Final = bytes(QUOTE_FIELD.get(field) in _CURRENT_FIELDS for field in range(256))
_UNDELAYED: Final = bytes(bool(_CURRENT[field]) and field not in DELAYED_FIELDS for field in range(256))
_HALTS: Final = (HALTED, DELAYED_HALTED)


class TickRouter:
    """`odd` ticks came by way of the official decoder, being rare or not as documented; `unrouted` ones are nobody's
    any more, such as those still on their way after a cancel; `unknown` ones have a field that IB does not have.
    """

    def __init__(self, server_version: int) -> None:
        self.odd = self.unrouted = self.unknown = 0
        self._columns = Columns()
        self._symbols: dict[int, str] = {}  # what each request id, and each id of our own, stands for
        self._closed: list[int] = []  # requests whose symbol is not known any more after the next block
        self._own_ids: dict[str, int] = {}
        self._newest: dict[int, float] = {}  # value by request id and field, as in Columns.keys
        self._snapshots: dict[int, int] = {}  # open snapshot request -> the symbol's stream, or -1
        self._settled: dict[str, int] = {}  # symbols of whose request the core has no more to say than that it ticked
        self._unsettled: set[int] = set()  # requests with prices in this turn that are not settled
        self._marked: set[str] = set()  # symbols of which the core said something in this turn
        self._decoder: TickDecoder = tick_decoder(server_version)

    @property
    def rows(self) -> Columns:
        """Of the block that is being built."""
        return self._columns

    # --- connections and requests ---

    def begin(self, server_version: int, odd: Callable[[bytes], None]) -> None:
        """A new connection. `odd` is given each tick that is not as documented, when it is its turn; what it reads
        comes back by `add`."""
        self._decoder = tick_decoder(server_version, odd)
        self._symbols = {own: symbol for symbol, own in self._own_ids.items()}
        self._closed.clear()

    def end(self, server_version: int) -> None:
        """The connection and its requests are gone; rows that are there already still go out."""
        self.unrouted += self._decoder.unrouted
        self._decoder = tick_decoder(server_version)
        self._snapshots.clear()
        self._newest.clear()
        self._settled.clear()
        self._unsettled.clear()

    def open(self, req_id: int, symbol: str, *, snapshot_of: int | None = None) -> None:
        """From now on the ticks of this request are rows of this symbol. `snapshot_of` is the symbol's stream, or -1,
        where the request is a snapshot."""
        self._symbols[req_id] = symbol
        self._decoder.add(req_id, req_id)
        if snapshot_of is not None:
            self._snapshots[req_id] = snapshot_of

    def close(self, req_id: int) -> None:
        """Later ticks of the request are dropped; those already here are still its symbol's."""
        self._snapshots.pop(req_id, None)
        self._decoder.remove(req_id)
        self._closed.append(req_id)
        for key in range(req_id << 8, (req_id << 8) + FIRST_OWN_FIELD):
            self._newest.pop(key, None)

    # --- rows ---

    def feed(self, data: bytes | memoryview, rare: list[bytes]) -> None:
        """Received bytes; frames that are no ticks go to `rare`. Raises FrameError as the decoders do."""
        self._decoder.feed(data, self._columns, rare)

    def add(self, req_id: int, field: int, value: float | str, size: float = nan) -> None:
        """One tick that the official decoder read."""
        self.odd += 1
        if req_id not in self._decoder.routes:
            self.unrouted += 1
        elif not 0 <= field < FIRST_OWN_FIELD:
            self.unknown += 1
        elif isinstance(value, str):
            self._columns.add_text(req_id, field, value)
        else:
            self._columns.add(req_id, field, value, size)

    def add_fine(self, req_id: int, field: int, value: float | str, size: float = nan) -> None:
        """A row of our own that the official decoder read: tick by tick, or a bar of five seconds."""
        if req_id not in self._decoder.routes:
            self.unrouted += 1
        elif isinstance(value, str):
            self._columns.add_text(req_id, field, value)
        else:
            self._columns.add(req_id, field, float(value), size)

    def add_own(self, symbol: str, rows: Sequence[Row]) -> None:
        """Rows of our own, such as the source of a price: in one block with the price."""
        own = self._own_ids.setdefault(symbol, OWN_IDS + len(self._own_ids))
        self._symbols[own] = symbol
        self._marked.add(symbol)
        self._settled.pop(symbol, None)
        for field, value, size, text in rows:
            if field in TEXT_FIELDS:
                self._columns.add_text(own, field, text)
            else:
                self._columns.add(own, field, value, size)

    def take_block(self, epoch: int, first_seq: int, time_ns: int) -> tuple[bytes, int]:
        """The encoded block of all rows, and how many they are; the next block begins empty."""
        columns, self._columns = self._columns, Columns()
        payload = encode(columns.to_block(epoch, first_seq, time_ns, self._symbols))
        for req_id in self._closed:
            self._symbols.pop(req_id, None)
        self._closed.clear()
        return payload, len(columns)

    # --- what they mean for the core ---

    def all_settled(self) -> bool:
        """Whether the core will have nothing to add to these rows, so that they may go out before it is asked."""
        settled, symbols = self._settled, self._symbols
        return all(settled.get(symbols[req_id]) == req_id for req_id in set(self._columns.ids))

    def read(self, columns: Columns) -> list[TicksSeen | HaltSeen]:
        """What the rows of one drain tell the core."""
        newest = dict(zip(columns.keys(), columns.values, strict=True))
        self._newest.update(newest)
        said: list[TicksSeen | HaltSeen] = []
        told = [key for key, value in newest.items() if _CURRENT[key & 255] and is_number(value)]
        current = {key >> 8 for key in told}
        if current:
            undelayed = {key >> 8 for key in told if _UNDELAYED[key & 255]}
            said.append(TicksSeen(current, current - undelayed))
            self._unsettled = {req_id for req_id in current if self._settled.get(self._symbols[req_id]) != req_id}
        for key, value in newest.items():
            if key & 255 in _HALTS and isfinite(value):
                said.append(HaltSeen(key >> 8, int(value), key & 255 == DELAYED_HALTED))
        return said

    def values_of(self, req_id: int) -> dict[int, float]:
        """The newest value of each field that the request brought."""
        keys = range(req_id << 8, (req_id << 8) + FIRST_OWN_FIELD)
        return {key & 255: self._newest[key] for key in keys if key in self._newest}

    def snapshot_ended(self, req_id: int) -> SnapshotEnd | None:
        """What the snapshot brought, beside what its symbol's stream did; None when it is not open."""
        stream = self._snapshots.get(req_id)
        if stream is None:
            return None
        ended = SnapshotEnd(req_id, self.values_of(req_id), self.values_of(stream))
        self.close(req_id)
        return ended

    def settle(self) -> None:
        """The turn is over. Requests whose prices made the core say nothing of its own go first from now on. One for
        which it had to say a mark (the source of a price, its type) must not: a price and its mark are in one block."""
        unsettled, self._unsettled = self._unsettled, set()
        marked, self._marked = self._marked, set()
        for req_id in unsettled:
            symbol = self._symbols[req_id]
            if symbol in marked:
                self._settled.pop(symbol, None)
            else:
                self._settled[symbol] = req_id

    def count_unrouted(self) -> int:
        """Of all connections so far."""
        return self.unrouted + self._decoder.unrouted
