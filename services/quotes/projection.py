"""The projection of the journal to symbol files: used by the sink, by replay and `at`, and by tests.

The streams are folded each on its own, and a symbol's quote is a function of these folds. So the result
does not depend on how the streams interleaved, on restarts, or on who folded them: the sink's files and a
rebuild from the journal are the same bytes.

    ticks     the prices: a QuoteBook
    link      what the gateway says of each symbol (SymbolChanged); nothing, in a new epoch, until it says so
    plan      which symbols are planned
    control   whether the stream is wanted, and whether the gateway is there

Each of several gateways has a `ticks.NAME` and a `link.NAME`. A quote is then that of the gateway whose price was
received last, so that an older price never replaces a newer one; whether it can be trusted is said by the gateway
that the plan assigns the symbol to.

A symbol has a file once IB has said something of its price, and from then on for ever; a planned symbol that
has never had a price has none.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from messages.codec import decoder, encode_json
from messages.events import (
    Block,
    EventBlock,
    Plan,
    ServiceChanged,
    StreamStarted,
    StreamStopped,
    SymbolChanged,
    TickBlock,
)
from messages.topics import CONTROL, LINK, PLAN, TICKS, kind, shard
from messages.views import Quote
from services.journal.cursor import Cursor
from services.journal.saved_state import pack, unpack
from services.quotes.book import Cell, QuoteBook

Overlay = tuple[bool, str | None]
"""Whether a price must not be trusted as current, and why."""

PENDING: Final[Overlay] = (True, "pending")
POLLED: Final = frozenset({"snapshot", "history", "over_limit"})
"""States of a symbol that has no stream."""


class Projection:
    """The folds. `changed` collects the symbols whose quote may differ since it was last cleared; `times`
    has the time of the last block of each stream, UTC nanoseconds."""

    def __init__(self) -> None:
        self.changed: set[str] = set()
        self.times: dict[str, int] = {}
        self._books: dict[str, QuoteBook] = {}  # by gateway, as all that follow
        self._links: dict[str, _Link] = {}
        self._planned: dict[str, str] = {}  # symbols, and their gateway
        self._held: set[str] = set()
        self._plan_started = False
        self._wanted = False
        self._down: set[str] = set()

    def apply(self, stream: str, block: Block) -> None:
        """Fold one block of `stream`; blocks of a stream come in order, streams in any."""
        if kind(stream) == TICKS:
            assert isinstance(block, TickBlock)
            self.changed.update(self._book(stream).apply(block))
        elif stream == PLAN:
            assert isinstance(block, Plan)
            self._apply_plan(block)
        elif kind(stream) == LINK:
            assert isinstance(block, EventBlock)
            self._apply_link(self._links.setdefault(shard(stream), _Link()), block)
        else:
            assert stream == CONTROL and isinstance(block, EventBlock)
            self._apply_control(block)
        self.times[stream] = block.time

    def apply_all(self, stream: str, blocks: Sequence[Block]) -> None:
        """Fold several blocks of `stream` in order, as `apply` does one by one: faster for small tick blocks."""
        if kind(stream) == TICKS and blocks:
            self.changed.update(
                self._book(stream).apply_all([block for block in blocks if isinstance(block, TickBlock)])
            )
            self.times[stream] = blocks[-1].time
            return
        for block in blocks:
            self.apply(stream, block)

    def reset(self, stream: str) -> None:
        """Forget all of one stream: it is going to be folded again from its beginning."""
        self.changed.update(self.symbols())
        self.times.pop(stream, None)
        if kind(stream) == TICKS:
            self._books.pop(shard(stream), None)
        elif kind(stream) == LINK:
            self._links.pop(shard(stream), None)
        elif stream == PLAN:
            self._planned, self._held, self._plan_started = {}, set(), False
        else:
            self._wanted = False
            self._down.clear()

    def symbols(self) -> list[str]:
        """Symbols that ever had a tick, sorted."""
        return sorted({symbol for book in self._books.values() for symbol in book.symbols()})

    def is_priced(self, symbol: str) -> bool:
        """Whether it has a quote: any gateway has said something of its price."""
        return any(book.is_priced(symbol) for book in self._books.values())

    def quote(self, symbol: str) -> Quote | None:
        """The current quote, or None as long as IB has never said anything of the symbol's price."""
        gateway = self._priced_by(symbol)
        if gateway is None:
            return None
        stale, reason = self.overlay(symbol)
        quote = self._books[gateway].quote(symbol, stale=stale, reason=reason)
        if quote is None or not (gateway or symbol in self._held):
            return quote
        return msgspec.structs.replace(quote, gateway=gateway or None, held=symbol in self._held or None)

    def rows(self, stream: str, symbol: str) -> Mapping[int, Cell]:
        """The last row of each field that a stream of ticks told of a symbol."""
        book = self._books.get(shard(stream))
        return book.rows(symbol) if book is not None else {}

    def gateway_of(self, symbol: str) -> str:
        """The name of the gateway that speaks for the symbol; empty when there is one alone, or none."""
        return self._planned.get(symbol, "")

    def polled_at(self, symbol: str) -> int | None:
        """When its price was asked for and received, UTC ns; None of one that is streamed, or of a closed market."""
        link = self._links.get(self._planned.get(symbol, ""))
        return self.price_time(symbol) or None if link is not None and symbol in link.polled else None

    def price_time(self, symbol: str) -> int:
        """When its price was received, UTC ns; 0 while there is none."""
        gateway = self._priced_by(symbol)
        return 0 if gateway is None else self._books[gateway].price_time(symbol)

    def overlay(self, symbol: str) -> Overlay:
        """The most far-reaching cause first, so that a symbol shows why it really is silent."""
        if not self._wanted:
            return True, "stopped"
        if symbol not in self._planned:
            return True, "unplanned" if self._plan_started else "stopped"
        gateway = self._planned[symbol]
        if gateway in self._down:
            return True, "service_down"
        link = self._links.get(gateway)
        return PENDING if link is None else link.said.get(symbol, PENDING)

    def _book(self, stream: str) -> QuoteBook:
        gateway = shard(stream)
        book = self._books.get(gateway)
        if book is None:
            book = self._books[gateway] = QuoteBook()
        return book

    def _priced_by(self, symbol: str) -> str | None:
        """The gateway whose price was received last; of two that are as old, the planned one, then by name. What a
        gateway says of yesterday's close, before it has a price of now, replaces no price of now."""
        if len(self._books) == 1:  # most often: nothing to compare
            ((gateway, book),) = self._books.items()
            return gateway if book.is_priced(symbol) else None
        planned = self._planned.get(symbol)
        found = [(book.price_rank(symbol), gateway == planned, gateway) for gateway, book in self._books.items()]
        (_, time), _, gateway = max(found, default=((False, 0), False, ""))
        return gateway if time else None

    # --- the folds of link, plan and control ---

    def _apply_link(self, link: "_Link", block: EventBlock) -> None:
        if block.epoch != link.epoch:
            link.epoch = block.epoch  # a new gateway process: what the last one said holds no more
            self.changed.update(link.said)
            link.said.clear()
            link.polled.clear()
        for event in block.events:
            if isinstance(event, SymbolChanged):
                overlay = (event.stale, event.reason or event.state if event.stale else None)
                polled = event.state in POLLED
                if link.said.get(event.symbol) != overlay or polled != (event.symbol in link.polled):
                    link.said[event.symbol] = overlay
                    self.changed.add(event.symbol)
                if polled:
                    link.polled[event.symbol] = None
                else:
                    link.polled.pop(event.symbol, None)

    def _apply_plan(self, plan: Plan) -> None:
        planned = {cut.symbol: cut.gateway for cut in plan.cut}
        planned |= {symbol.symbol: symbol.gateway for symbol in plan.symbols}
        held = {one.symbol for each in (plan.symbols, plan.cut) for one in each if one.held}
        if plan.started != self._plan_started:
            self.changed.update(self.symbols())
        self.changed.update(symbol for symbol, _ in planned.items() ^ self._planned.items())
        self.changed.update(held ^ self._held)
        self._planned, self._held, self._plan_started = planned, held, plan.started

    def _apply_control(self, block: EventBlock) -> None:
        before = (self._wanted, set(self._down))
        for event in block.events:
            if isinstance(event, StreamStarted | StreamStopped):
                self._wanted = isinstance(event, StreamStarted)
            elif isinstance(event, ServiceChanged) and kind(event.service) == "gateway":
                note = self._down.add if event.state == "down" else self._down.discard
                note(shard(event.service))
        if before != (self._wanted, self._down):
            self.changed.update(self.symbols())

    # --- saving ---

    def dump(self, cursors: dict[str, Cursor]) -> bytes:
        """The state together with the cursors it belongs to, and a checksum."""
        saved = _Saved(
            cursors=cursors,
            times=self.times,
            books={gateway: book.dump() for gateway, book in self._books.items()},
            links=self._links,
            planned=self._planned,
            held=sorted(self._held),
            plan_started=self._plan_started,
            wanted=self._wanted,
            down=sorted(self._down),
        )
        return pack(saved)

    @classmethod
    def load(cls, data: bytes) -> "tuple[Projection, dict[str, Cursor]]":
        """What `dump` wrote. Raises ValueError for anything else: rebuild from the journal then."""
        version, body = unpack(data)
        projection = cls()
        try:
            saved = _decode(version, body)
            projection._books = {gateway: QuoteBook.load(book) for gateway, book in saved.books.items()}
        except msgspec.MsgspecError as error:
            raise ValueError(str(error)) from None
        projection.times = saved.times
        projection._links = saved.links
        projection._planned, projection._plan_started = saved.planned, saved.plan_started
        projection._held = set(saved.held)
        projection._wanted, projection._down = saved.wanted, set(saved.down)
        return projection, saved.cursors


STATE_VERSION: Final = 4  # raise it when the fold changes: saved states are rebuilt from the journal then


class _Link(msgspec.Struct):
    """What a gateway's process says of its symbols."""

    epoch: int = 0
    said: dict[str, Overlay] = {}
    polled: dict[str, None] = {}  # symbols whose prices are asked for now and then: nothing tells when they change


class _Saved(msgspec.Struct, kw_only=True):
    version: int = STATE_VERSION
    cursors: dict[str, Cursor]
    times: dict[str, int]
    books: dict[str, bytes]
    links: dict[str, _Link]
    planned: dict[str, str]
    held: list[str] = []
    plan_started: bool
    wanted: bool
    down: list[str]


class _Saved2(msgspec.Struct, kw_only=True):
    """Of version 2, with one gateway. It is read because checkpoints know what was retired from the journal."""

    cursors: dict[str, Cursor]
    times: dict[str, int]
    book: bytes
    link_epoch: int
    link: dict[str, Overlay]
    planned: list[str]
    plan_started: bool
    wanted: bool
    gateway_down: bool

    def converted(self) -> _Saved:
        return _Saved(
            cursors=self.cursors,
            times=self.times,
            books={"": self.book},
            links={"": _Link(self.link_epoch, self.link)},
            planned=dict.fromkeys(self.planned, ""),
            plan_started=self.plan_started,
            wanted=self.wanted,
            down=[""] if self.gateway_down else [],
        )


_decode_saved: Callable[[bytes], _Saved] = decoder(_Saved)
_decode_saved2: Callable[[bytes], _Saved2] = decoder(_Saved2)


def _decode(version: int, body: bytes) -> _Saved:
    if version == 2:
        return _decode_saved2(body).converted()
    if version != STATE_VERSION:
        raise ValueError(f"its version is {version}, not {STATE_VERSION}")
    return _decode_saved(body)


def file_bytes(quote: Quote) -> bytes:
    """The content of a symbol's file: one line of JSON."""
    return encode_json(quote) + b"\n"
