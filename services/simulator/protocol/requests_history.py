"""Requests for history: bars, head timestamp, histogram, historical ticks; and the real-time bars' turn."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.base.clock import SECOND
from services.simulator.client import Client
from services.simulator.market import bars
from services.simulator.market.contracts import Instrument
from services.simulator.protocol.requested import ById, HeadTimestamp, Histogram, HistoricalData, HistoricalTicks
from services.simulator.protocol.requests_market import ignore, resolve
from services.simulator.protocol.rows import BarRow
from services.simulator.protocol.versions import INSTRUMENT_TIMEZONE
from services.simulator.trouble.answers import answered

if TYPE_CHECKING:
    from services.simulator.core import Core

SMALL_BAR = 30  # seconds: up to here the pacing rules hold
SHOWN = {
    "TRADES", "MIDPOINT", "BID", "ASK", "BID_ASK", "ADJUSTED_LAST", "HISTORICAL_VOLATILITY",
    "OPTION_IMPLIED_VOLATILITY", "AGGTRADES", "SCHEDULE",
}  # fmt: skip
FIRST_DATA = datetime(2004, 1, 23, 14, 30)
SERVICE = "Historical Market Data Service error message:"


def historical_data(core: Core, client: Client, asked: HistoricalData) -> None:
    replies, world = client.replies, core.world
    request, wanted, what = asked.request, asked.contract, asked.what
    if world.farms["ushmds"] == "broken":
        core.error(client, request, 162, f"{SERVICE}HMDS server disconnect occurred. Attempting reconnection...")
        return
    instrument = resolve(core, client, request, wanted)
    if instrument is None or answered(core, client, request, "history", instrument):
        return
    if (refusal := refused(instrument, asked)) is not None:
        core.error(client, request, *refusal)
        return
    try:
        seconds = bars.BAR_SECONDS[asked.bar]
        duration = bars.parse_duration(asked.duration)
        end = parse_end(asked.end, core)
        if what not in SHOWN:
            raise ValueError(f"{what!r} is not known")
    except (KeyError, ValueError) as error:
        core.error(client, request, 321, f"Error validating request: {error} in a historical data request")
        return
    if seconds <= SMALL_BAR and world.history_pacing:
        series = (instrument.key, wanted.exchange, what)
        identity = (*series, asked.end, asked.bar, asked.duration)
        rule = client.history.breach(core.now, series, identity, 2 if what == "BID_ASK" else 1)
        if rule is not None:
            core.error(client, request, 162, f"{SERVICE}Historical data request pacing violation: {rule}")
            return
    start = first_bar(core, instrument, end, duration)
    if what == "SCHEDULE":
        _send_schedule(core, client, request, instrument, start, end)
        return
    made = core.market.bars(instrument, start, end, seconds)
    if not made:
        core.error(
            client, request, 162, f"{SERVICE}HMDS query returned no data: {instrument.key}@{wanted.exchange} {what}"
        )
        return
    rows = [bar_row(core, client, instrument, bar, seconds, asked.date_format) for bar in made]
    ends = [moment_text(core, client, at) for at in (start, end)]
    decimals = instrument.decimals
    core.send(client, replies.historical_data(request, ends[0], ends[1], rows, decimals, instrument.in_lots))


def refused(instrument: Instrument, asked: HistoricalData) -> tuple[int, str] | None:
    """The error of a request that is well-formed, and not for this kind of contract."""
    if instrument.sec_type == "CRYPTO" and asked.what == "TRADES":
        return 10299, "Expected what to show is AGGTRADES, please use that instead of TRADES."
    if instrument.sec_type == "CONTFUT" and asked.end:
        return 10339, "Setting end date/time for continuous future security type is not allowed"
    return None


def first_bar(core: Core, instrument: Instrument, end: int, duration: int) -> int:
    """When a span of `duration` seconds before `end` begins. Days are trading days: `1 D` on a Sunday is Friday."""
    hours = core.world.hours
    if duration < bars.DAY:
        return end - duration * SECOND
    day = hours.local(end - 1).date()
    wanted = max(1, round(duration / bars.DAY * (1.0 if hours.schedule == "always" else 5 / 7)))
    if duration == bars.DAY:
        wanted = 1
    for _ in range(duration // bars.DAY + 15):
        spans = hours.sessions(instrument.sec_type, day)
        if spans and hours.to_ns(spans[0].start) < end:
            wanted -= 1
            if not wanted:
                return hours.to_ns(spans[0].start)
        day -= timedelta(days=1)
    return end - duration * SECOND


def bar_row(
    core: Core, client: Client, instrument: Instrument, bar: bars.RawBar, seconds: int, date_format: int
) -> BarRow:
    opened, high, low, close = (round(price / instrument.tick) * instrument.tick for price in bar[1:5])
    if seconds >= bars.DAY:
        time = f"{core.world.hours.local(bar.start):%Y%m%d}"
    elif date_format == 2:
        time = str(bar.start // SECOND)
    else:
        time = moment_text(core, client, bar.start)
    volume = bar.volume if instrument.volume else -1
    average = (opened + high + low + close) / 4
    return BarRow(time, opened, high, low, close, volume, average, bar.trades if instrument.volume else -1)


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
    parts = text.split(None, 2)
    if len(parts) == 1 and "-" in text:
        moment = datetime.strptime(text.removesuffix("Z"), "%Y%m%d-%H:%M:%S").replace(tzinfo=UTC)
        return int(moment.timestamp()) * SECOND
    local = datetime.strptime(" ".join(parts[:2]), "%Y%m%d %H:%M:%S" if len(parts) > 1 else "%Y%m%d")
    if len(parts) < 3:
        parts.append(core.world.session_zone or core.world.hours.time_zone)
    try:
        return int(local.replace(tzinfo=ZoneInfo(parts[-1])).timestamp()) * SECOND
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{parts[-1]!r} is not a time zone") from None


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


def cancel_historical_data(core: Core, client: Client, asked: ById) -> None:
    """All requests are answered at once, so there is never one to cancel."""
    request = asked.request
    core.error(client, request, 366, f"No historical data query found for ticker id:{request}")


def head_timestamp(core: Core, client: Client, asked: HeadTimestamp) -> None:
    request = asked.request
    instrument = resolve(core, client, request, asked.contract)
    if instrument is None:
        return
    seconds = int(FIRST_DATA.replace(tzinfo=UTC).timestamp())
    text = str(seconds) if asked.date_format == 2 else f"{FIRST_DATA:%Y%m%d-%H:%M:%S}"
    core.send(client, client.replies.head_timestamp(request, text))


def histogram(core: Core, client: Client, asked: Histogram) -> None:
    request = asked.request
    instrument = resolve(core, client, request, asked.contract)
    if instrument is None:
        return
    end = core.market.time(core.now)
    start = end - 3 * bars.DAY * SECOND
    rows: dict[str, int] = {}
    for bar in core.market.bars(instrument, start, end, 3600):
        price = f"{round(bar.close / instrument.tick) * instrument.tick:.{instrument.decimals}f}"
        rows[price] = rows.get(price, 0) + bar.volume
    core.send(client, client.replies.histogram(request, sorted(rows.items())))


def historical_ticks(core: Core, client: Client, asked: HistoricalTicks) -> None:
    """There are bars, and no recorded ticks."""
    instrument = resolve(core, client, asked.request, asked.contract)
    if instrument is not None:
        core.send(client, client.replies.historical_ticks(asked.request, asked.what))


def send_real_time_bars(core: Core) -> None:
    """The last five seconds, to everybody who asked. Called once in five seconds."""
    end = core.now // (5 * SECOND) * 5 * SECOND
    for client in core.ready_clients():
        for request, instrument in client.real_time_bars.items():
            if not (core.world.flows(instrument) and core.world.hours.is_open(instrument.sec_type, core.now)):
                continue
            made = core.market.bars(instrument, end - 5 * SECOND, end, 5)
            for bar in made[-1:]:
                row = bar_row(core, client, instrument, bar, 5, 2)
                core.send(client, client.replies.real_time_bar(request, row))


HANDLERS: dict[int, Callable[[Core, Client, Any], None]] = {
    20: historical_data,
    25: cancel_historical_data,
    87: head_timestamp,
    88: histogram,
    89: ignore,
    90: ignore,
    96: historical_ticks,
    107: ignore,
}
