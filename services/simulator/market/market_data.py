"""Market data lines: subscribe, snapshot, cancel, and what flows on them each turn.

Who gets what: live ids for an entitled symbol whatever type was asked for (types 3 and 4 mean "live or delayed"),
delayed ids with 10167 for one that is not entitled and a client that takes delayed prices, else the error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.base.clock import MILLISECOND, SECOND
from services.base.prices import midpoint
from services.simulator.client import Client, Subscription
from services.simulator.market import generic_ticks, ticks
from services.simulator.market.contracts import BBO_EXCHANGE, Instrument
from services.simulator.market.market import Quotes
from services.simulator.market.prices import ASK, ASK_SIZE, BID, BID_SIZE, LAST, LAST_SIZE, PRICE, SIZE, Tick
from services.simulator.trouble import burst, oddities
from services.simulator.trouble.world import Entitlement

if TYPE_CHECKING:
    from services.simulator.core import Core

SNAPSHOT_LIMIT = 11.0  # seconds after which a snapshot ends, whatever came
Cache = dict[tuple[bool, ticks.Form], ticks.Encoded]
_QUOTE_FIELDS = {BID, ASK, BID_SIZE, ASK_SIZE}
MODEL_FIELD, DELAYED_MODEL_FIELD = 13, 83
FROZEN = (2, 4)  # market data types that keep the prices of the close
NOT_FOUND = "No security definition has been found for the request"
COMPETING = "No market data during competing live session"
DELAYED_AVAILABLE = "Delayed market data is available."
NOT_ENTITLED = {
    354: "Requested market data is not subscribed.",
    10089: "Requested market data requires additional subscription for API. See link in 'Market Data Connections' "
    "dialog for more details.",
    10090: "Part of requested market data is not subscribed. Subscription-independent ticks are still active.",
    10091: "Part of requested market data requires additional subscription for API.",
    10168: "Requested market data is not subscribed. Delayed market data is not enabled.",
    10167: "Requested market data is not subscribed. Displaying delayed market data.",
}


class Book:
    """All subscriptions by instrument. One per core."""

    def __init__(self) -> None:
        self.by_instrument: dict[int, list[Subscription]] = {}
        self.was_open: dict[int, bool] = {}

    @property
    def lines(self) -> int:
        return sum(map(len, self.by_instrument.values()))


def subscribe(
    core: Core, client: Client, request: int, instrument: Instrument, generic: frozenset[str], snapshot: bool
) -> None:
    """Open a line, or say why not: 101, 10197, 354 and its kin, or 91 where to. The contract is known, the id free."""
    if (instead := reroute(core, instrument)) is not None:
        core.send(client, client.replies.reroute_market_data(request, *instead))
        client.lost_ids.add(request)
        return
    if core.book.lines >= core.world.line_limit:
        core.error(client, request, 101, f"Max number of tickers has been reached: {core.world.line_limit}")
        return
    subscription = Subscription(client, request, instrument, generic, asked="snapshot" if snapshot else "stream")
    if core.world.lots:
        subscription.form = subscription.form.in_hundreds()
    entitlement = core.world.entitlements.get(instrument.key)
    if not _entitle(core, subscription, entitlement):
        return
    if core.world.competing:
        core.error(client, request, 10197, COMPETING)
    client.subscriptions[request] = subscription
    core.book.by_instrument.setdefault(instrument.con_id, []).append(subscription)
    core.market.activate(instrument, core.now)
    _announce(core, subscription)
    if core.world.flows(instrument):
        send_image(core, subscription)
        subscription.dead = instrument.key in core.world.faults.image_only
        if snapshot:
            core.after(0, lambda: _end_snapshot(core, subscription))
    else:
        subscription.image_due = True
        if snapshot:
            core.after(SNAPSHOT_LIMIT, lambda: _end_snapshot(core, subscription))


def reroute(core: Core, instrument: Instrument) -> tuple[int, str] | None:
    """The contract id and exchange to ask for instead: a CFD has no market data of its own."""
    if instrument.sec_type == "CFD" and instrument.under is not None:
        return instrument.under.con_id, instrument.under.exchange
    return core.world.faults.reroutes.get(instrument.key)


def cancel(core: Core, client: Client, request: int) -> None:
    subscription = client.subscriptions.get(request)
    if subscription is None:
        if request in client.lost_ids:
            client.lost_ids.discard(request)
            return
        core.error(client, request, 300, f"Can't find EId with tickerId:{request}")
        return
    if not core.world.late_ticks:
        forget(core, subscription)
        return
    client.subscriptions.pop(request)
    if core.world.flows(subscription.instrument):
        send_image(core, subscription)
    core.after(core.world.late_ticks, lambda: forget(core, subscription))


def forget(core: Core, subscription: Subscription) -> None:
    if subscription.client.subscriptions.get(subscription.request) is subscription:
        subscription.client.subscriptions.pop(subscription.request)
    con_id = subscription.instrument.con_id
    others = core.book.by_instrument.get(con_id, [])
    if subscription in others:
        others.remove(subscription)
    if not others:
        core.book.by_instrument.pop(con_id, None)
        core.book.was_open.pop(con_id, None)
        core.release(subscription.instrument)


def lose(core: Core, subscription: Subscription) -> None:
    """IB drops the line by itself: the client learns it from a message, and may still cancel it."""
    subscription.client.lost_ids.add(subscription.request)
    forget(core, subscription)


def forget_all(core: Core, client: Client) -> None:
    for subscription in list(client.subscriptions.values()):
        forget(core, subscription)


def send_image(core: Core, subscription: Subscription) -> None:
    """Everything that is known of the symbol now, but for what its faults hold back."""
    subscription.image_due = False
    instrument, faults = subscription.instrument, core.world.faults
    image = core.market.feed(instrument, core.now).image()
    is_open = core.world.hours.is_open(instrument.sec_type, core.now)
    closed = not is_open and _delivered_type(core, subscription) not in FROZEN
    if closed or instrument.key in faults.withdrawn:
        image = [_withdrawn(tick) for tick in image]
    kept = faults.partial.get((subscription.asked, instrument.key))
    if subscription.asked == "snapshot" and instrument.key in faults.image_only:
        kept = frozenset()
    if kept is not None:
        image = [tick for tick in image if tick.field in kept]
    _deliver(core, subscription, _magnified(core, instrument, image), {})
    if not subscription.generic:
        return
    if any(one.partition(":")[0] == generic_ticks.NEWS for one in subscription.generic):
        _send_news(core, subscription)
    if extra := generic_ticks.at_start(core.market.feed(instrument, core.now), subscription.generic):
        data = ticks.frames(subscription.head, ticks.encode(extra, subscription.form, instrument, delayed=False))
        core.send(subscription.client, data, len(extra))
        core.stats.symbols[instrument.key] += len(extra)


def _send_news(core: Core, subscription: Subscription) -> None:
    at = core.market.time(core.now) // MILLISECOND
    headline = f"{subscription.instrument.name}: simulated headline; no news at all"
    data = subscription.client.replies.tick_news(subscription.request, at, "SIM-N", f"SIM-N${at}", headline)
    core.send(subscription.client, data)


def refuse(core: Core, subscription: Subscription, entitlement: Entitlement) -> None:
    """The symbol's entitlement changed while it was streaming."""
    if not _entitle(core, subscription, entitlement):
        forget(core, subscription)
        return
    _tell_type(core, subscription)
    _advise(core, subscription)
    subscription.image_due = True


def withdraw(core: Core, instrument: Instrument) -> None:
    """Tell all lines that there is neither bid nor ask."""
    image = core.market.feed(instrument, core.now).image()
    tell(core, instrument, [_withdrawn(tick) for tick in image if tick.field in _QUOTE_FIELDS])


def turn(core: Core) -> None:
    """Move the markets to the core's time and deliver."""
    _notice_hours(core)
    for feed, made in core.market.advance(core.now):
        made = _with_faults(core, feed, made)
        encoded: Cache = {}
        flows = core.world.flows(feed.instrument)
        for subscription in core.book.by_instrument.get(feed.instrument.con_id, ()):
            if subscription.dead:
                continue
            if not flows or subscription.client.silent_until > core.now:
                subscription.image_due = True
                continue
            if subscription.feed_type != feed.data_type:
                _tell_type(core, subscription)
            if subscription.image_due:
                send_image(core, subscription)
            elif made:
                _deliver(core, subscription, made, encoded, feed)
        if made and flows:
            _send_tick_by_tick(core, feed, made)


def _with_faults(core: Core, feed: Quotes, made: list[Tick]) -> list[Tick]:
    """What is told of a step of the market."""
    key, faults = feed.instrument.key, core.world.faults
    if not made or key in faults.quiet:
        return []
    if key in core.world.odd:
        made = oddities.mix_in(made, feed)
    if key in faults.withdrawn:
        made = [tick for tick in made if tick.field not in _QUOTE_FIELDS]
    return _magnified(core, feed.instrument, _distorted(core, feed, made))


def _distorted(core: Core, feed: Quotes, made: list[Tick]) -> list[Tick]:
    """Prices that are wrong, and look like any other."""
    key, faults = feed.instrument.key, core.world.faults
    if key in faults.stuck:
        made = [tick for tick in made if tick.kind == SIZE]
    if key in faults.crossed:
        made = oddities.crossed(made, feed)
    if key in faults.outliers:
        made = oddities.with_outliers(made, feed, faults.outliers[key])
    return made


def _magnified(core: Core, instrument: Instrument, made: list[Tick]) -> list[Tick]:
    factor = core.world.faults.magnifiers.get(instrument.key)
    if factor is None:
        return made
    return [
        tick._replace(text=f"{float(tick.text) * factor:.{instrument.decimals}f}")
        if tick.kind == PRICE and tick.text != "-1.0"
        else tick
        for tick in made
    ]


def tell(core: Core, instrument: Instrument, made: list[Tick]) -> None:
    """Ticks out of turn, to every subscriber whose line flows."""
    cache: Cache = {}
    for subscription in core.book.by_instrument.get(instrument.con_id, ()):
        if core.world.flows(instrument) and not subscription.dead:
            _deliver(core, subscription, made, cache)


def _notice_hours(core: Core) -> None:
    """When a market closes, quotes are withdrawn; when it opens, everything is told anew."""
    for con_id, subscriptions in core.book.by_instrument.items():
        instrument = subscriptions[0].instrument
        is_open = core.world.hours.is_open(instrument.sec_type, core.now)
        if core.book.was_open.setdefault(con_id, is_open) != is_open:
            core.book.was_open[con_id] = is_open
            for subscription in subscriptions:
                _tell_type(core, subscription)
                if core.world.flows(instrument) and not subscription.dead:
                    send_image(core, subscription)


def _deliver(
    core: Core,
    subscription: Subscription,
    made: list[Tick],
    cache: Cache,
    feed: Quotes | None = None,
) -> None:
    """`cache` holds what was encoded for other subscribers of the same ticks."""
    instrument, client = subscription.instrument, subscription.client
    variant = (subscription.delayed, subscription.form)
    encoded = cache.get(variant)
    if encoded is None or subscription.partial:
        chosen = [tick for tick in made if tick.field not in _QUOTE_FIELDS] if subscription.partial else made
        if core.world.fractional and instrument.in_lots and not subscription.form.whole:
            chosen = [one._replace(size=one.size + 0.25) if one.field in (LAST, LAST_SIZE) else one for one in chosen]
        encoded = ticks.encode(chosen, subscription.form, instrument, delayed=subscription.delayed)
        if not subscription.partial:
            cache[variant] = encoded
    if feed is not None and subscription.generic:
        extra = generic_ticks.along(feed, subscription.generic, made, client.replies.version)
        encoded = encoded + ticks.encode(extra, subscription.form, instrument, delayed=subscription.delayed)
    if (how := core.world.faults.bent.get(instrument.key)) is not None:
        encoded = [(kind, burst.bent(kind, tail, how, subscription.form.protobuf)) for kind, tail in encoded]
    if encoded:
        core.send(client, ticks.frames(subscription.head, encoded), len(encoded))
        core.stats.symbols[instrument.key] += len(encoded)
        if instrument.sec_type in ("OPT", "FOP"):
            _send_computations(core, subscription)


def _send_computations(core: Core, subscription: Subscription) -> None:
    """At bid, ask and last, and by the model; the volatility at a price is about what the price says."""
    feed = core.market.feed(subscription.instrument, core.now)
    found = feed.worth(core.now)
    if found is None:
        return
    shift = DELAYED_MODEL_FIELD - MODEL_FIELD if subscription.delayed else 0
    reply, request = subscription.client.replies.option_computation, subscription.request
    for field, side in enumerate(("bid", "ask", "last"), MODEL_FIELD - 3):
        price = float(feed.quote(side)[0])
        volatility = found.volatility * price / max(found.price, 0.01)
        core.send(
            subscription.client, reply(request, field + shift, found._replace(price=price, volatility=volatility))
        )
    core.send(subscription.client, reply(request, MODEL_FIELD + shift, found))


def _entitle(core: Core, subscription: Subscription, entitlement: Entitlement | None) -> bool:
    """Say what the account may not see. False: the line is not opened, or must be closed."""
    subscription.delayed = subscription.partial = False
    if entitlement is None:
        return True
    client, request, code = subscription.client, subscription.request, entitlement.code
    if entitlement.advisory and client.data_type >= 3:
        subscription.delayed = True
        if entitlement.before:
            _warn(core, subscription, entitlement.advisory)
        return True
    if code in (10090, 10091):
        core.error(client, request, code, NOT_ENTITLED[code])
        subscription.partial = True
        return True
    if client.data_type < 3:
        hint = DELAYED_AVAILABLE if entitlement.delayed else ""
        core.error(client, request, code, NOT_ENTITLED[code] + hint)
        return False
    if not entitlement.delayed:
        code = code if code == 10089 else 10168
        core.error(client, request, code, NOT_ENTITLED[code])
        return False
    subscription.delayed = True
    return True


def _announce(core: Core, subscription: Subscription) -> None:
    """What comes before the first tick of a line: its parameters, its type, and that it is delayed."""
    client, order = subscription.client, core.world.params
    params = client.replies.tick_req_params(subscription.request, subscription.instrument, BBO_EXCHANGE)
    if order == "first":
        core.send(client, params)
    _tell_type(core, subscription)
    if order == "second":
        core.send(client, params)
    _advise(core, subscription)


def _advise(core: Core, subscription: Subscription) -> None:
    """10167 for a delayed line; captured gateways say it once for lines of one client on the same contract."""
    entitlement = core.world.entitlements.get(subscription.instrument.key)
    if subscription.delayed and entitlement is not None and entitlement.advisory and not entitlement.before:
        _warn(core, subscription, entitlement.advisory)
    same = core.book.by_instrument.get(subscription.instrument.con_id, ())
    told = any(one.delayed and one is not subscription and one.client is subscription.client for one in same)
    if subscription.delayed and not told:
        core.error(subscription.client, subscription.request, 10167, NOT_ENTITLED[10167])


def _warn(core: Core, subscription: Subscription, code: int) -> None:
    """An error beside delayed prices that elsewhere is a refusal."""
    core.error(subscription.client, subscription.request, code, f"{NOT_ENTITLED[code]} {DELAYED_AVAILABLE}")


def _tell_type(core: Core, subscription: Subscription) -> None:
    subscription.feed_type = core.market.feed(subscription.instrument, core.now).data_type
    kind = _delivered_type(core, subscription)
    core.send(subscription.client, subscription.client.replies.market_data_type(subscription.request, kind))


def _delivered_type(core: Core, subscription: Subscription) -> int:
    """1 live, 2 frozen, 3 delayed, 4 delayed frozen: what this line gets, not what was asked for."""
    is_open = core.world.hours.is_open(subscription.instrument.sec_type, core.now)
    if subscription.delayed:
        return 4 if subscription.client.data_type == 4 and not is_open else 3
    return 2 if subscription.client.data_type in (2, 4) and not is_open else subscription.feed_type


def _withdrawn(tick: Tick) -> Tick:
    """Out of hours there is no bid and no ask: IB says -1 with size 0."""
    if tick.field not in _QUOTE_FIELDS:
        return tick
    return tick._replace(text="-1.0" if tick.kind == PRICE else "", size=0, mask=0)


def _end_snapshot(core: Core, subscription: Subscription) -> None:
    if subscription.client.subscriptions.get(subscription.request) is subscription:
        core.send(subscription.client, subscription.client.replies.tick_snapshot_end(subscription.request))
        forget(core, subscription)


def _send_tick_by_tick(core: Core, feed: Quotes, made: list[Tick]) -> None:
    fields, at = {tick.field for tick in made}, core.market.time(core.now) // SECOND
    for client in core.ready_clients():
        for request, (instrument, kind) in client.tick_by_tick.items():
            if instrument.con_id != feed.instrument.con_id:
                continue
            (bid, bid_size), (ask, ask_size), (last, size) = map(feed.quote, ("bid", "ask", "last"))
            if kind in ("Last", "AllLast") and LAST_SIZE in fields:
                exchange = instrument.primary or instrument.exchange
                data = client.replies.tick_by_tick_last(request, kind == "AllLast", at, last, size, exchange)
            elif kind == "BidAsk" and fields & _QUOTE_FIELDS:
                data = client.replies.tick_by_tick_bid_ask(request, at, bid, ask, bid_size, ask_size)
            elif kind == "MidPoint" and fields & {BID, ASK}:
                data = client.replies.tick_by_tick_midpoint(request, at, midpoint(float(bid), float(ask)))
            else:
                continue
            core.send(client, data)
