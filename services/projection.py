"""The projection of the journal to symbol files: used by the sink, by replay and `at`, and by tests.

Four streams are folded each on its own, and a symbol's quote is a function of the four folds. So the result
does not depend on how the streams interleaved, on restarts, or on who folded them: the sink's files and a
rebuild from the journal are the same bytes.

    ticks     the prices: a QuoteBook
    link      what the gateway says of each symbol (SymbolChanged); nothing, in a new epoch, until it says so
    plan      which symbols are planned
    control   whether the stream is wanted, and whether the gateway is there

A symbol has a file once IB has said something of its price, and from then on for ever; a planned symbol that
has never had a price has none.
"""

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from messages.codec import decode_block, encode, encode_json
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
from messages.topics import CONTROL, LINK, PLAN, TICKS
from messages.views import Quote
from services.files import replace_file
from services.follow import Cursor
from services.journal import JournalReader, streams_in
from services.quotes import QuoteBook
from services.symbols import file_name

Overlay = tuple[bool, str | None]
"""Whether a price must not be trusted as current, and why."""

PENDING: Final[Overlay] = (True, "pending")


class Projection:
    """The four folds. `changed` collects the symbols whose quote may differ since it was last cleared; `times`
    has the time of the last block of each stream, UTC nanoseconds."""

    def __init__(self) -> None:
        self.changed: set[str] = set()
        self.times: dict[str, int] = {}
        self._book = QuoteBook()
        self._link_epoch = 0
        self._link: dict[str, Overlay] = {}
        self._planned: frozenset[str] = frozenset()
        self._plan_started = False
        self._wanted = False
        self._gateway_down = False

    def apply(self, stream: str, block: Block) -> None:
        """Fold one block of `stream`; blocks of a stream come in order, streams in any."""
        if stream == TICKS:
            assert isinstance(block, TickBlock)
            self.changed.update(self._book.apply(block))
        elif stream == PLAN:
            assert isinstance(block, Plan)
            self._apply_plan(block)
        elif stream == LINK:
            assert isinstance(block, EventBlock)
            self._apply_link(block)
        else:
            assert stream == CONTROL and isinstance(block, EventBlock)
            self._apply_control(block)
        self.times[stream] = block.time

    def apply_all(self, stream: str, blocks: Sequence[Block]) -> None:
        """Fold several blocks of `stream` in order, as `apply` does one by one: faster for small tick blocks."""
        if stream == TICKS and blocks:
            self.changed.update(self._book.apply_all([block for block in blocks if isinstance(block, TickBlock)]))
            self.times[stream] = blocks[-1].time
            return
        for block in blocks:
            self.apply(stream, block)

    def reset(self, stream: str) -> None:
        """Forget all of one stream: it is going to be folded again from its beginning."""
        self.changed.update(self.symbols())
        self.times.pop(stream, None)
        if stream == TICKS:
            self._book = QuoteBook()
        elif stream == LINK:
            self._link_epoch, self._link = 0, {}
        elif stream == PLAN:
            self._planned, self._plan_started = frozenset(), False
        else:
            self._wanted = self._gateway_down = False

    def symbols(self) -> list[str]:
        """Symbols that ever had a tick, sorted."""
        return sorted(self._book.symbols())

    def quote(self, symbol: str) -> Quote | None:
        """The current quote, or None as long as IB has never said anything of the symbol's price."""
        if not self._book.price_time(symbol):
            return None
        stale, reason = self.overlay(symbol)
        return self._book.quote(symbol, stale=stale, reason=reason)

    def overlay(self, symbol: str) -> Overlay:
        """The most far-reaching cause first, so that a symbol shows why it really is silent."""
        if not self._wanted:
            return True, "stopped"
        if symbol not in self._planned:
            return True, "unplanned" if self._plan_started else "stopped"
        if self._gateway_down:
            return True, "service_down"
        return self._link.get(symbol, PENDING)

    # --- the folds of link, plan and control ---

    def _apply_link(self, block: EventBlock) -> None:
        if block.epoch != self._link_epoch:
            self._link_epoch = block.epoch  # a new gateway process: what the last one said holds no more
            self.changed.update(self._link)
            self._link.clear()
        for event in block.events:
            if isinstance(event, SymbolChanged):
                overlay = (event.stale, event.reason or event.state if event.stale else None)
                if self._link.get(event.symbol) != overlay:
                    self._link[event.symbol] = overlay
                    self.changed.add(event.symbol)

    def _apply_plan(self, plan: Plan) -> None:
        planned = frozenset([s.symbol for s in plan.symbols] + [s.symbol for s in plan.cut])
        if plan.started != self._plan_started:
            self.changed.update(self.symbols())
        self.changed.update(planned ^ self._planned)
        self._planned, self._plan_started = planned, plan.started

    def _apply_control(self, block: EventBlock) -> None:
        before = (self._wanted, self._gateway_down)
        for event in block.events:
            if isinstance(event, StreamStarted):
                self._wanted = True
            elif isinstance(event, StreamStopped):
                self._wanted = False
            elif isinstance(event, ServiceChanged) and event.service == "gateway":
                self._gateway_down = event.state == "down"
        if before != (self._wanted, self._gateway_down):
            self.changed.update(self.symbols())

    # --- saving ---

    def dump(self, cursors: dict[str, Cursor]) -> bytes:
        """The state together with the cursors it belongs to, and a checksum."""
        saved = _Saved(
            cursors=cursors,
            times=self.times,
            book=self._book.dump(),
            link_epoch=self._link_epoch,
            link=self._link,
            planned=sorted(self._planned),
            plan_started=self._plan_started,
            wanted=self._wanted,
            gateway_down=self._gateway_down,
        )
        body = encode(saved)
        return zlib.crc32(body).to_bytes(4, "little") + body

    @classmethod
    def load(cls, data: bytes) -> "tuple[Projection, dict[str, Cursor]]":
        """What `dump` wrote. Raises ValueError for anything else: rebuild from the journal then."""
        body = data[4:]
        if zlib.crc32(body).to_bytes(4, "little") != data[:4]:
            raise ValueError("its checksum does not match")
        projection = cls()
        try:
            saved = _decode_saved(body)
            if saved.version != STATE_VERSION:
                raise ValueError(f"its version is {saved.version}, not {STATE_VERSION}")
            projection._book = QuoteBook.load(saved.book)
        except msgspec.MsgspecError as error:
            raise ValueError(str(error)) from None
        projection.times = saved.times
        projection._link_epoch, projection._link = saved.link_epoch, saved.link
        projection._planned, projection._plan_started = frozenset(saved.planned), saved.plan_started
        projection._wanted, projection._gateway_down = saved.wanted, saved.gateway_down
        return projection, saved.cursors


STATE_VERSION: Final = 2  # raise it when the fold changes: saved states are rebuilt from the journal then


class _Saved(msgspec.Struct, kw_only=True):
    version: int = STATE_VERSION
    cursors: dict[str, Cursor]
    times: dict[str, int]
    book: bytes
    link_epoch: int
    link: dict[str, Overlay]
    planned: list[str]
    plan_started: bool
    wanted: bool
    gateway_down: bool


_decode_saved = msgspec.msgpack.Decoder(_Saved).decode


def is_past_of(journal_dir: Path, stream: str, cursor: Cursor, time: int) -> bool:
    """Whether a state that ends at `cursor`, with a block of `time`, can be of this journal. The numbers alone
    do not say: a journal that was deleted begins at epoch 1 and sequence number 1 again. Raises JournalDamaged.
    """
    with JournalReader(journal_dir, stream) as reader:
        row = next(iter(reader.read(cursor.seq, 1)), None)
    if row is None:
        return False
    if row.first_seq > cursor.seq:
        return True  # retired since then
    return Cursor(row.epoch, row.last_seq) == cursor and decode_block(stream, row.payload).time == time


def file_bytes(quote: Quote) -> bytes:
    """The content of a symbol's file: one line of JSON."""
    return encode_json(quote) + b"\n"


def fold(
    journal_dir: Path,
    until: int | None = None,
    progress: Callable[[str, int], None] | None = None,
) -> Projection:
    """The projection of the journal, of blocks before `until` (UTC nanoseconds) when it is given.

    `progress` is called with the stream and the number of its events folded so far. Raises JournalDamaged.
    """
    projection = Projection()
    for stream in streams_in(journal_dir):
        done = 0
        with JournalReader(journal_dir, stream) as reader:
            last = None if until is None else reader.seq_at(until) - 1
            for row in reader.blocks(to_seq=last):
                projection.apply(stream, decode_block(stream, row.payload))
                done += row.events
                if progress is not None:
                    progress(stream, done)
    return projection


def rebuild(journal_dir: Path, into: Path, until: int | None = None) -> list[str]:
    """Write the symbol files that the journal gives into the folder `into`. Returns the symbols.

    Raises JournalDamaged and OSError.
    """
    projection = fold(journal_dir, until)
    into.mkdir(parents=True, exist_ok=True)
    written = []
    for symbol in projection.symbols():
        quote = projection.quote(symbol)
        if quote is not None:
            replace_file(into / file_name(symbol), file_bytes(quote))
            written.append(symbol)
    return written
