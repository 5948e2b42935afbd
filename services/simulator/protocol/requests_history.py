"""Requests for history: bars, head timestamp, histogram, historical ticks; and the real-time bars' turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from services.base.clock import SECOND
from services.simulator.client import Client, KeptBars
from services.simulator.market import bars
from services.simulator.market.contracts import Instrument
from services.simulator.market.hours import parse_moment
from services.simulator.market.past_ticks import MOST, WINDOW
from services.simulator.market.shown import QUOTES, SHOWN, TRADES, VOLATILITIES, has, shown
from services.simulator.market.trades import RawBar
from services.simulator.protocol.handlers import handles
from services.simulator.protocol.requested import ById, HeadTimestamp, Histogram, HistoricalData, HistoricalTicks
from services.simulator.protocol.requests_market import PAST, past_ticks_reply, refuse_twice, resolve
from services.simulator.protocol.rows import BarRow
from services.simulator.protocol.versions import INSTRUMENT_TIMEZONE
from services.simulator.refused import Refused, invalid
from services.simulator.trouble.answers import answered

if TYPE_CHECKING:
    from services.simulator.core import Core

SMALL_BAR = 30  # seconds: up to here the pacing rules hold
KEPT = {"TRADES"} | QUOTES - {"BID_ASK"}
FIRST_DATA = datetime(2004, 1, 23, 14, 30, tzinfo=UTC)
SERVICE = "Historical Market Data Service error message:"


@handles(20)
def historical_data(core: Core, client: Client, asked: HistoricalData) -> None:
    replies, world = client.replies, core.world
    request, wanted, what = asked.request, asked.contract, asked.what
    if world.farms["ushmds"] == "broken":
        raise Refused(162, f"{SERVICE}HMDS server disconnect occurred. Attempting reconnection...")
    instrument = resolve(core, wanted)
    if answered(core, client, request, "history", instrument):
        return
    refuse(instrument, asked)
    try:
        seconds = bars.BAR_SECONDS[asked.bar]
        duration = bars.parse_duration(asked.duration)
        end = parse_end(asked.end, core)
        if what not in SHOWN:
            raise ValueError(f"{what!r} is not known")
    except (KeyError, ValueError) as error:
        raise invalid(f"{error} in a historical data request") from None
    if seconds <= SMALL_BAR and world.history_pacing:
        series = (instrument.key, wanted.exchange, what)
        identity = (*series, asked.end, asked.bar, asked.duration)
        rule = client.history.breach(core.now, series, identity, 2 if what == "BID_ASK" else 1)
        if rule is not None:
            raise Refused(162, f"{SERVICE}Historical data request pacing violation: {rule}")
    if asked.keep_up_to_date and (asked.end or seconds < 5 or what not in KEPT):
        raise invalid(
            "only bars of 5 seconds or more that show trades, bid, ask or their middle are kept up to date, to now"
        )
    refuse_twice(request, client.kept_bars)
    start = first_bar(core, instrument, end, duration)
    if what == "SCHEDULE":
        _send_schedule(core, client, request, instrument, start, end)
        return
    made = core.market.bars(instrument, start, end, seconds, what in TRADES) if has(instrument, what) else []
    if not made:
        raise Refused(162, f"{SERVICE}HMDS query returned no data: {instrument.key}@{wanted.exchange} {what}")
    kept = KeptBars(instrument, seconds, what, asked.date_format)
    rows = [bar_row(core, client, kept, bar) for bar in made]
    ends = [moment_text(core, client, at) for at in (start, end)]
    decimals = decimals_of(kept)
    core.send(client, replies.historical_data(request, ends[0], ends[1], rows, decimals, instrument.round_lot))
    if asked.keep_up_to_date:
        client.kept_bars[request] = kept


def refuse(instrument: Instrument, asked: HistoricalData) -> None:
    """Raises Refused for a request that is well-formed, and not for this kind of contract."""
    if instrument.sec_type == "CRYPTO" and asked.what == "TRADES":
        raise Refused(10299, "Expected what to show is AGGTRADES, please use that instead of TRADES.")
    if instrument.sec_type == "CONTFUT" and asked.end:
        raise Refused(10339, "Setting end date/time for continuous future security type is not allowed")


def first_bar(core: Core, instrument: Instrument, end: int, duration: int) -> int:
    """When a span of `duration` seconds before `end` begins: never before there is any data. Days are trading days:
    `1 D` on a Sunday is Friday."""
    hours = core.world.hours
    first = int(FIRST_DATA.timestamp()) * SECOND
    if duration < bars.DAY or end < first:
        return max(first, end - duration * SECOND)
    day = hours.local(end - 1).date()
    wanted = max(1, round(duration / bars.DAY * (1.0 if hours.schedule == "always" else 5 / 7)))
    if duration == bars.DAY:
        wanted = 1
    for _ in range(min(duration // bars.DAY + 15, (end - first) // (bars.DAY * SECOND))):
        spans = hours.sessions(instrument.sec_type, day)
        if spans and hours.to_ns(spans[0].start) < end:
            wanted -= 1
            if not wanted:
                return hours.to_ns(spans[0].start)
        day -= timedelta(days=1)
    return max(first, end - duration * SECOND)


def decimals_of(kept: KeptBars) -> int:
    return 6 if kept.what in VOLATILITIES else kept.instrument.decimals


def bar_row(core: Core, client: Client, kept: KeptBars, bar: RawBar) -> BarRow:
    """The bar as the request wants it shown and its time written."""
    tick = 10.0 ** -decimals_of(kept) if kept.what in VOLATILITIES else kept.instrument.tick
    bar = shown(bar, kept.instrument, kept.what)
    opened, high, low, close = (round(price / tick) * tick for price in bar[1:5])
    if kept.seconds >= bars.DAY:
        time = f"{core.world.hours.local(bar.start):%Y%m%d}"
    elif kept.date_format == 2:
        time = str(bar.start // SECOND)
    else:
        time = moment_text(core, client, bar.start)
    average = bar.average if bar.volume >= 0 else -1.0
    return BarRow(time, opened, high, low, close, bar.volume, average, bar.trades)


def moment_text(core: Core, client: Client, at: int) -> str:
    """Time in the session's zone; from 174 on with that zone."""
    zone = core.world.session_zone or core.world.hours.time_zone
    local = datetime.fromtimestamp(at // SECOND, ZoneInfo(zone))
    if client.replies.version >= INSTRUMENT_TIMEZONE:
        return f"{local:%Y%m%d %H:%M:%S} {zone}"
    return f"{local:%Y%m%d  %H:%M:%S}"


def parse_end(text: str, core: Core) -> int:
    """The end of a request: empty for now, time in the session's zone or with a zone, or UTC as yyyymmdd-hh:mm:ss
    with or without the Z of newer clients. Raises ValueError."""
    if not text:
        return core.market.time(core.now)
    return parse_moment(text, core.world.session_zone or core.world.hours.time_zone)


def _send_schedule(core: Core, client: Client, request: int, instrument: Instrument, start: int, end: int) -> None:
    hours = core.world.hours
    rows: list[tuple[str, str, str]] = []
    day = hours.local(start).date()
    while day <= hours.local(end).date() and len(rows) < 400:
        rows += [
            (f"{span.start:%Y%m%d-%H:%M:%S}", f"{span.end:%Y%m%d-%H:%M:%S}", f"{day:%Y%m%d}")
            for span in hours.sessions(instrument.sec_type, day)
        ]
        day += timedelta(days=1)
    first, last = (rows[0][0], rows[-1][1]) if rows else ("", "")
    core.send(client, client.replies.historical_schedule(request, first, last, hours.time_zone, rows))


@handles(25)
def cancel_historical_data(core: Core, client: Client, asked: ById) -> None:
    """All requests are answered at once: only one that is kept up to date is there to cancel."""
    request = asked.request
    if client.kept_bars.pop(request, None) is None:
        raise Refused(366, f"No historical data query found for ticker id:{request}")


@handles(87)
def head_timestamp(core: Core, client: Client, asked: HeadTimestamp) -> None:
    instrument = resolve(core, asked.contract)
    if asked.what not in SHOWN:
        raise invalid(f"{asked.what!r} is not known in a head timestamp request")
    if not has(instrument, asked.what):
        raise Refused(162, f"{SERVICE}No head time stamp")
    seconds = int(FIRST_DATA.timestamp())
    text = str(seconds) if asked.date_format == 2 else f"{FIRST_DATA:%Y%m%d-%H:%M:%S}"
    core.send(client, client.replies.head_timestamp(asked.request, text))


@handles(88)
def histogram(core: Core, client: Client, asked: Histogram) -> None:
    request = asked.request
    instrument = resolve(core, asked.contract)
    try:
        duration = bars.parse_period(asked.period)
    except ValueError as error:
        raise invalid(f"{error} in a histogram request") from None
    end = core.market.time(core.now)
    rows: dict[str, int] = {}
    for bar in core.market.bars(instrument, first_bar(core, instrument, end, duration), end, 3600):
        price = f"{round(bar.close / instrument.tick) * instrument.tick:.{instrument.decimals}f}"
        rows[price] = rows.get(price, 0) + int(bar.volume)
    core.send(client, client.replies.histogram(request, sorted(rows.items())))


@handles(96)
def historical_ticks(core: Core, client: Client, asked: HistoricalTicks) -> None:
    """From `start` on or, without one, until `end`."""
    request = asked.request
    instrument = resolve(core, asked.contract)
    try:
        if asked.what not in PAST.values():
            raise ValueError(f"{asked.what!r} is not known")
        if not (asked.start or asked.end):
            raise ValueError("neither start nor end")
        end = min(parse_end(asked.end, core), core.market.time(core.now))
        start = parse_end(asked.start, core) if asked.start else end - WINDOW
    except ValueError as error:
        raise invalid(f"{error} in a historical ticks request") from None
    end, most = min(end, start + WINDOW), min(max(asked.most, 1), MOST)
    exists = has(instrument, asked.what)
    found = core.market.past_ticks(instrument, start, end, most, first=bool(asked.start)) if exists else []
    core.send(client, past_ticks_reply(client, request, asked.what, found, instrument))


def send_real_time_bars(core: Core) -> None:
    """The last five seconds, to everybody who asked. Called once in five seconds."""
    end = core.now // (5 * SECOND) * 5 * SECOND
    for client in core.ready_clients():
        for request, (instrument, what) in client.real_time_bars.items():
            if not moves(core, instrument):
                continue
            made = core.market.bars(instrument, end - 5 * SECOND, end, 5)
            for bar in made[-1:]:
                row = bar_row(core, client, KeptBars(instrument, 5, what, 2), bar)
                core.send(client, client.replies.real_time_bar(request, row))


def send_kept_bars(core: Core) -> None:
    """The newest bar of every request that is kept up to date. Called once in five seconds."""
    end = core.market.time(core.now)
    for client in core.ready_clients():
        for request, kept in client.kept_bars.items():
            if not moves(core, kept.instrument) or core.world.farms["ushmds"] == "broken":
                continue
            made = core.market.bars(
                kept.instrument, end - 2 * kept.seconds * SECOND, end, kept.seconds, kept.what in TRADES
            )
            for bar in made[-1:]:
                row = bar_row(core, client, kept, bar)
                core.send(client, client.replies.historical_data_update(request, row, decimals_of(kept)))


def moves(core: Core, instrument: Instrument) -> bool:
    return core.world.flows(instrument) and core.world.hours.is_open(instrument.sec_type, core.now)
