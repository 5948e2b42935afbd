"""When price alerts come: a fold of all streams, in the order of their times.

Pure, and the one judgement of it: the supervisor feeds it with what the journal holds a moment ago, `ibstream alerts
replay` with any past, and both come to the same alerts. Only a price that may be used makes a price rule come
true; the last usable one before a gap counts, so a price that jumps over a level while nobody sees it has crossed it.
A rule comes when it becomes true, and again only after it was not, and its pause is over. Of several prices in one
block of ticks the last counts.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, assert_never

import msgspec

from messages.events import (
    AlertAdded,
    AlertFired,
    AlertRemoved,
    Block,
    EventBlock,
    Plan,
    PlannedSymbol,
    PriceSource,
    SymbolChanged,
    TickBlock,
)
from messages.topics import LINK, PLAN, kind, shard
from messages.views import Quote
from services.base.clock import SECOND
from services.base.prices import midpoint
from services.quotes.alert_rules import ALL, Crosses, Moves, Rule, Silent, Spread, Stale, parse
from services.quotes.extremes import Extremes
from services.quotes.projection import Projection

MOVE_PARTS: Final = 300  # of a move's time: how old the oldest price in it is, is known to one of them
UNWANTED: Final = frozenset({"stopped", "unplanned"})


class Watched(msgspec.Struct):
    """A rule for one symbol."""

    since: int  # UTC ns: nothing before counts
    side: int = 0  # of a level: 1 above, -1 below, 0 not known
    wide: bool = False  # the spread is
    judged: int | None = None  # the silence, by its beginning, that has lasted long enough and was told
    told: int | None = None  # when it came last
    extremes: Extremes = msgspec.field(default_factory=Extremes)  # of a move's time


class SetAlert(msgspec.Struct):
    rule: Rule
    pause: float
    watched: dict[str, Watched] = {}


class State(msgspec.Struct):
    """All that is known beside the projection, to be saved."""

    alerts: dict[int, SetAlert] = {}
    reasons: dict[str, list[str]] = {}  # of each planned symbol: the first words of its reasons
    closed: dict[str, dict[str, int]] = {}  # by gateway: symbols whose market is closed
    epochs: dict[str, int] = {}  # by gateway
    stale_since: dict[str, int] = {}  # UTC ns
    open_since: dict[str, int] = {}  # UTC ns: planned, and its market open


class AskedFor(NamedTuple):
    """A rule, and its pause in seconds."""

    rule: Rule
    pause: float


class AlertFold:
    """The alerts are those that the stream `control` sets; or `rules`, by their numbers from 1 on, and no others."""

    def __init__(
        self, projection: Projection, state: State | None = None, rules: Sequence[AskedFor] | None = None
    ) -> None:
        """`projection` is what it begins with, and its own from then on."""
        self.projection = projection
        self.projection.changed.clear()
        self.state = state if state is not None else State()
        self._obeys = rules is None
        for number, asked in enumerate(rules or (), 1):
            self.state.alerts[number] = SetAlert(*asked)
        self._due: list[tuple[int, int, str]] = []  # heap: when to look at a rule of a symbol, at the latest
        self._queued: set[tuple[int, str]] = set()
        for number, alert in self.state.alerts.items():
            for symbol in alert.watched:
                self._queue(number, alert, symbol)

    def begin(self, time: int) -> None:
        """All up to `time` (UTC nanoseconds) is known: from here on alerts come."""
        self._notice(self.state.reasons, time)
        for number in self.state.alerts:
            self._watch(number, time)

    def apply(self, stream: str, block: Block) -> Iterator[AlertFired]:
        """Fold one block, of a time that is no earlier than those before it, and give what comes of it."""
        yield from self.advance(block.time)
        self.projection.apply(stream, block)
        touched = self.learn(stream, block)
        self._notice(touched, block.time)
        if stream == PLAN:
            for number in self.state.alerts:
                self._watch(number, block.time)
        changed, self.projection.changed = self.projection.changed, set()
        for symbol in sorted(changed):
            yield from self._look(symbol, block.time)

    def advance(self, time: int) -> Iterator[AlertFired]:
        """It is `time` now (UTC nanoseconds) and no block of before is to come: what lasts long enough comes."""
        while self._due and self._due[0][0] <= time:
            at, number, symbol = heapq.heappop(self._due)
            self._queued.discard((number, symbol))
            alert = self.state.alerts.get(number)
            if alert is None or symbol not in alert.watched:
                continue
            deadline = self._deadline(alert, symbol)
            if deadline is not None and deadline <= at:
                yield from self._lasted(number, alert, symbol, deadline)
            else:
                self._queue(number, alert, symbol)

    # --- what the streams say ---

    def learn(self, stream: str, block: Block) -> set[str]:
        """What a block says of alerts, plans and markets: all there is to fold of one of before the beginning, for the
        projection knows it. Returns the symbols of which it says more than a price."""
        match block:
            case Plan():
                before = self.state.reasons
                left_out = [cut.contract for cut in block.cut if cut.contract is not None]
                self.state.reasons = {planned.symbol: _words(planned) for planned in (*left_out, *block.symbols)}
                return set(before) | set(self.state.reasons)
            case EventBlock() if kind(stream) == LINK:
                return self._learn_link(shard(stream), block)
            case EventBlock():
                return self._learn_control(block)
            case TickBlock():
                return set()

    def _learn_control(self, block: EventBlock) -> set[str]:
        for seq, event in enumerate(block.events if self._obeys else (), block.first_seq):
            match event:
                case AlertAdded():
                    self.state.alerts[seq] = SetAlert(parse(event.rule), event.pause)
                    self._watch(seq, block.time)
                case AlertRemoved():
                    self.state.alerts.pop(event.id, None)
                case _:
                    pass
        return set(self.state.reasons)

    def _learn_link(self, gateway: str, block: EventBlock) -> set[str]:
        closed = self.state.closed.setdefault(gateway, {})
        touched: set[str] = set()
        if self.state.epochs.get(gateway) != block.epoch:  # a new process: what the last one said holds no more
            self.state.epochs[gateway] = block.epoch
            touched.update(self.state.reasons)
            closed.clear()
        for event in block.events:
            if isinstance(event, SymbolChanged):
                touched.add(event.symbol)
                if event.state == "closed":
                    closed[event.symbol] = block.time
                else:
                    closed.pop(event.symbol, None)
        return touched

    def _notice(self, symbols: Iterable[str], time: int) -> None:
        """Since when a symbol has been stale, and since when a price of it is due."""
        stale_since, open_since = self.state.stale_since, self.state.open_since
        for symbol in symbols:
            stale, why = self.projection.overlay(symbol)
            wanted = why not in UNWANTED
            _mark(stale_since, symbol, time, on=stale and wanted)
            shut = symbol in self.state.closed.get(self.projection.gateway_of(symbol), ())
            _mark(open_since, symbol, time, on=wanted and not shut)
            self._look_again(symbol)

    def _look_again(self, symbol: str) -> None:
        """What lasts may have begun, or be over."""
        for number, alert in self.state.alerts.items():
            if symbol in alert.watched and isinstance(alert.rule, Silent | Stale):
                self._queue(number, alert, symbol)

    # --- rules ---

    def _watch(self, number: int, time: int) -> None:
        """The symbols of an alert, as the plan has them now."""
        alert = self.state.alerts[number]
        target = alert.rule.target
        if not target.startswith("@"):
            members = [target]
        elif target == ALL:
            members = list(self.state.reasons)
        else:
            members = [symbol for symbol, words in self.state.reasons.items() if target[1:] in words]
        alert.watched = {symbol: alert.watched.get(symbol) or Watched(time) for symbol in members}
        for symbol in members:
            self._queue(number, alert, symbol)

    def _queue(self, number: int, alert: SetAlert, symbol: str) -> None:
        deadline = self._deadline(alert, symbol)
        if deadline is not None and (number, symbol) not in self._queued:
            self._queued.add((number, symbol))
            heapq.heappush(self._due, (deadline, number, symbol))

    def _begun(self, rule: Rule, symbol: str) -> int | None:
        """Since when what lasts has lasted; None while it does not, and of rules of prices."""
        match rule:
            case Stale():
                return self.state.stale_since.get(symbol)
            case Silent():
                begun = self.state.open_since.get(symbol)
                return None if begun is None else max(begun, self.projection.price_time(symbol))
            case _:
                return None

    def _deadline(self, alert: SetAlert, symbol: str) -> int | None:
        """When what lasts will have lasted long enough if nothing changes; None when it can't, or was judged."""
        watched, begun = alert.watched[symbol], self._begun(alert.rule, symbol)
        if begun is None or begun == watched.judged:
            return None
        assert isinstance(alert.rule, Silent | Stale)
        return max(begun, watched.since) + int(alert.rule.seconds * SECOND)

    def _lasted(self, number: int, alert: SetAlert, symbol: str, at: int) -> Iterator[AlertFired]:
        alert.watched[symbol].judged = self._begun(alert.rule, symbol)
        assert isinstance(alert.rule, Silent | Stale)
        words = f"has had no new price for {alert.rule.seconds:.12g} s"
        if isinstance(alert.rule, Stale):
            words = f"has been stale for {alert.rule.seconds:.12g} s: {self.projection.overlay(symbol)[1]}"
        yield from self._tell(number, alert, symbol, at, alert.rule.seconds, words)

    def _look(self, symbol: str, time: int) -> Iterator[AlertFired]:
        """The symbol's quote may have changed."""
        watching = [(number, alert) for number, alert in self.state.alerts.items() if symbol in alert.watched]
        quote = self.projection.quote(symbol) if watching else None
        for number, alert in watching:
            if isinstance(alert.rule, Silent):
                self._queue(number, alert, symbol)
            elif quote is not None and not quote.stale:
                yield from self._judge(number, alert, quote, time)

    def _judge(self, number: int, alert: SetAlert, quote: Quote, time: int) -> Iterator[AlertFired]:
        """Hold a rule against a quote that may be used."""
        watched = alert.watched[quote.symbol]
        match alert.rule:
            case Crosses() as rule:
                found = _crossed(watched, rule, _price(quote, rule.of))
            case Moves() as rule:
                found = _moved(watched, rule, _price(quote, rule.of), time)
            case Spread() as rule:
                found = _widened(watched, rule, quote)
            case Silent() | Stale():
                found = None
            case _ as never:
                assert_never(never)
        if found is not None:
            value, words = found
            invented = " (invented by the simulator)" if quote.source == "mock" else ""
            yield from self._tell(number, alert, quote.symbol, time, value, words + invented, quote.source)

    def _tell(
        self,
        number: int,
        alert: SetAlert,
        symbol: str,
        at: int,
        value: float,
        words: str,
        source: PriceSource | None = None,
    ) -> Iterator[AlertFired]:
        watched = alert.watched[symbol]
        if watched.told is None or at >= watched.told + int(alert.pause * SECOND):
            watched.told = at
            yield AlertFired(id=number, symbol=symbol, at=at, value=value, text=f"{symbol} {words}", source=source)


def _crossed(watched: Watched, rule: Crosses, price: float | None) -> tuple[float, str] | None:
    if price is None or price == rule.price:
        return None
    before, watched.side = watched.side, 1 if price > rule.price else -1
    if before == 0 or before == watched.side or rule.direction == ("down" if watched.side > 0 else "up"):
        return None
    way = "rose above" if watched.side > 0 else "fell below"
    return price, f"{way} {rule.price:.12g}: {rule.of} {price:.12g}"


def _moved(watched: Watched, rule: Moves, price: float | None, time: int) -> tuple[float, str] | None:
    if price is None or price <= 0:
        return None
    part = time // (int(rule.seconds * SECOND) // MOVE_PARTS)
    low, high = watched.extremes.note(part, price, part - MOVE_PARTS)
    rise, fall = (price / low - 1) * 100, (1 - price / high) * 100
    if max(rise, fall) < rule.percent:
        return None
    watched.extremes.begin(part, price)  # the next move is counted from here
    way = f"rose {rise:.3g}%" if rise >= fall else f"fell {fall:.3g}%"
    return max(rise, fall), f"{way} within {rule.seconds:.12g} s: {rule.of} {price:.12g}"


def _widened(watched: Watched, rule: Spread, quote: Quote) -> tuple[float, str] | None:
    width = _spread(quote, percent=rule.percent)
    if width is None:
        return None
    before, watched.wide = watched.wide, width > rule.width
    if before or not watched.wide:
        return None
    unit = "%" if rule.percent else ""
    return width, f"has a spread of {width:.4g}{unit}: bid {quote.bid:.12g}, ask {quote.ask:.12g}"


def _mark(since: dict[str, int], symbol: str, time: int, *, on: bool) -> None:
    if on:
        since.setdefault(symbol, time)
    else:
        since.pop(symbol, None)


def _words(planned: PlannedSymbol) -> list[str]:
    """The first word of each reason: `benchmark; decision_snapshot 12, rank 3` has two."""
    return [reason.strip().partition(",")[0].partition(" ")[0] for reason in planned.reason.split(";")]


def _price(quote: Quote, of: str) -> float | None:
    match of:
        case "bid":
            return quote.bid
        case "ask":
            return quote.ask
        case "mid":
            return midpoint(quote.bid, quote.ask)
        case _:
            return quote.last


def _spread(quote: Quote, *, percent: bool) -> float | None:
    if quote.bid is None or quote.ask is None:
        return None
    width, middle = quote.ask - quote.bid, midpoint(quote.bid, quote.ask)
    if not percent:
        return round(width, 12)
    return width / middle * 100 if middle > 0 else None
