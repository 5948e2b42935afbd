"""Option chains that the plan asks for: what IB lists for an underlying, and the strike that is nearest to its price.

Called by the core. It says both on the stream `link`; which options are planned follows from them in the planner. So
that options are not subscribed and cancelled in turn, the strike in the middle moves only when the price is clearly
nearer to another one. Of a future that rolls the options of the new month are asked for.
"""

from bisect import bisect_left
from typing import Final

from messages.events import OptionClass, OptionsCentred, OptionsListed, PlannedChain
from messages.fields import ASK, BID, CLOSE, DELAYED_ASK, DELAYED_BID, DELAYED_CLOSE, DELAYED_LAST, LAST
from services.base.prices import midpoint
from services.gateway.core.context import Context
from services.gateway.core.deadlines import NEVER, ns
from services.gateway.core.governor import Request
from services.gateway.core.interface import OptionParamsSeen, ReadStream
from services.gateway.core.requests import Requests
from services.gateway.core.symbol import Symbol

ASK_AGAIN: Final = ns(6 * 3600)  # new expiries are listed by the day
LOOK_AGAIN: Final = ns(1)  # at the price
CLEARLY: Final = 0.75  # of the way to the next strike: beyond it that one is the middle
SMART: Final = "SMART"


class Chains:
    def __init__(self, context: Context, requests: Requests) -> None:
        self.context = context
        self.requests = requests
        self.underlyings: frozenset[str] = frozenset()
        self._asked_at: dict[str, tuple[int, int]] = {}  # when, and of which contract
        self._looked_at: dict[str, int] = {}
        self._answers: dict[int, list[OptionParamsSeen]] = {}

    def planned(self, chains: list[PlannedChain]) -> None:
        """The chains of a new plan."""
        self.underlyings = frozenset(chain.underlying for chain in chains)
        for name in self.underlyings & self.context.symbols.keys():
            self.context.touch(self.context.symbols[name])

    def connection_lost(self) -> None:
        self._asked_at.clear()
        self._answers.clear()

    def check(self, symbol: Symbol) -> int:
        """Ask what is listed, once its contract is known and now and then, and look at its price. Returns when to do so
        again."""
        con_id = symbol.contract.con_id
        if symbol.name not in self.underlyings or not con_id:
            return NEVER
        now = self.context.now
        asked_at, asked_of = self._asked_at.get(symbol.name, (-ASK_AGAIN, con_id))
        if asked_of != con_id or now >= asked_at + ASK_AGAIN:
            self._asked_at[symbol.name] = now, con_id
            self.requests.cancel(symbol.requests.options)
            self.requests.options(symbol)
        if now >= self._looked_at.get(symbol.name, 0) + LOOK_AGAIN:
            self._looked_at[symbol.name] = now
            stream = symbol.requests.stream
            if stream is not None and stream.req_id:
                self.context.out(ReadStream(stream.req_id))
        return self._looked_at[symbol.name] + LOOK_AGAIN

    def seen(self, event: OptionParamsSeen) -> None:
        if event.req_id in self.requests.by_id:
            self._answers.setdefault(event.req_id, []).append(event)

    def ended(self, request: Request, symbol: Symbol) -> None:
        """All exchanges are told: those of SMART are taken, or of the underlying's own, or of the one that lists the
        most."""
        self.requests.finish(request)
        answers = self._answers.pop(request.req_id, [])
        if not answers:
            return
        told = {one.exchange for one in answers}
        own = next((one for one in (SMART, symbol.planned.exchange) if one in told), None)
        exchange = own or _widest(answers)
        listed = OptionsListed(
            symbol=symbol.name,
            exchange=exchange,
            classes=sorted(
                (
                    OptionClass(one.trading_class, one.multiplier, sorted(one.expirations), sorted(one.strikes))
                    for one in answers
                    if one.exchange == exchange
                ),
                key=lambda one: (one.trading_class != (symbol.planned.ib_symbol or symbol.name), one.trading_class),
            ),
        )
        if listed != self.context.memory.options.get(symbol.name):
            self.context.emit(listed)

    def stream_read(self, symbol: Symbol, values: dict[int, float]) -> None:
        """What the stream of a symbol brought so far."""
        memory, name = self.context.memory, symbol.name
        listed, contract = memory.options.get(name), memory.contracts.get(name)
        price = price_of(values)
        if name not in self.underlyings or listed is None or price is None:
            return
        price = in_strikes(listed, price, contract.price_magnifier if contract is not None else 1)
        centre = nearest(listed, price, memory.centres.get(name))
        if centre and centre != memory.centres.get(name):
            self.context.emit(OptionsCentred(symbol=name, strike=centre))


def nearest(listed: OptionsListed, price: float, before: float | None) -> float:
    """The strike in the middle; 0 when there is none. `before` stays it until the price is clearly nearer to another
    one."""
    strikes = sorted({strike for one in listed.classes for strike in one.strikes})
    if not strikes:
        return 0.0
    at = bisect_left(strikes, price)
    around = strikes[max(at - 1, 0) : at + 1]
    best = min(around, key=lambda strike: (abs(strike - price), strike))
    if before is None or before not in strikes:
        return best
    place = strikes.index(before)
    neighbour = strikes[place + 1 : place + 2] if price > before else strikes[max(place - 1, 0) : place]
    if not neighbour:
        return before
    return best if abs(price - before) > CLEARLY * abs(neighbour[0] - before) else before


def in_strikes(listed: OptionsListed, price: float, magnifier: int) -> float:
    """The price as strikes are written. Where IB quotes the underlying in cents, nothing tells whether its strikes are
    in cents too: they are, where only so the price lies among them."""
    strikes = [strike for one in listed.classes for strike in one.strikes]
    among = [one for one in (price / magnifier, price) if strikes and min(strikes) <= one <= max(strikes)]
    return among[0] if among else price / magnifier


def price_of(values: dict[int, float]) -> float | None:
    """The last price, else the middle of bid and ask, else the close."""
    for last, bid, ask in ((LAST, BID, ASK), (DELAYED_LAST, DELAYED_BID, DELAYED_ASK)):
        if values.get(last, 0) > 0:
            return values[last]
        if values.get(bid, 0) > 0 and values.get(ask, 0) > 0:
            return midpoint(values[bid], values[ask])
    close = values.get(CLOSE, values.get(DELAYED_CLOSE, 0))
    return close if close > 0 else None


def _widest(answers: list[OptionParamsSeen]) -> str:
    return max(answers, key=lambda one: (len(one.expirations) * len(one.strikes), one.exchange)).exchange
