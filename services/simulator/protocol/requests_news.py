"""Requests for news, scanners and display groups."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from services.base.clock import DAY
from services.simulator.client import Client
from services.simulator.market import headlines, scans
from services.simulator.market.contracts import Wanted
from services.simulator.protocol.handlers import cancels, handles, tells
from services.simulator.protocol.requested import (
    DisplayGroup,
    DisplayGroupContract,
    HistoricalNews,
    NewsArticle,
    Scanner,
)
from services.simulator.protocol.requests_history import parse_end
from services.simulator.protocol.requests_market import resolve
from services.simulator.refused import Refused, invalid

if TYPE_CHECKING:
    from services.simulator.core import Core

MOST_SCANS = 10  # of one client at a time (TWS API documentation, market scanners)
SCAN_SECONDS = 30.0
GROUPS = "1|2|3|4|5|6|7"
NO_CONTRACT = "none"


tells(85, lambda core, client, asked: client.replies.news_providers(list(headlines.PROVIDERS.items())))


@handles(86)
def historical_news(core: Core, client: Client, asked: HistoricalNews) -> None:
    instrument = resolve(core, Wanted(asked.con_id, "", "", "", "", "", "", "", ""))
    providers = asked.providers.replace(",", "+").split("+")
    unknown = [code for code in providers if code not in headlines.PROVIDERS]
    if unknown:
        raise invalid(f"unknown news provider {unknown[0]!r}")
    try:
        end = min(_news_time(asked.end, core), core.now)
        start = _news_time(asked.start, core) if asked.start else 0
    except ValueError as error:
        raise invalid(f"{error} in a request for news") from None
    most = min(max(asked.most, 1), headlines.MOST)
    found, more = headlines.headlines(instrument, providers, start, end, most)
    for headline in found:
        core.send(client, client.replies.historical_news(asked.request, headline))
    core.send(client, client.replies.historical_news_end(asked.request, more))


def _news_time(text: str, core: Core) -> int:
    """`2026-01-05 14:30:00.0`, UTC, as headlines have it; or as in requests for history. Raises ValueError."""
    day, _, time = text.partition(" ")
    if day.count("-") == 2:
        return parse_end(f"{day.replace('-', '')}-{time.partition('.')[0]}", core)
    return parse_end(text, core)


@handles(84)
def news_article(core: Core, client: Client, asked: NewsArticle) -> None:
    text = headlines.article(asked.provider, asked.article)
    if text is None:
        raise Refused(10172, "Failed to request news article: No data available")
    core.send(client, client.replies.news_article(asked.request, text))


tells(24, lambda core, client, asked: client.replies.scanner_parameters(scans.parameters()))


@handles(22)
def scanner(core: Core, client: Client, asked: Scanner) -> None:
    if (wrong := scans.refusal(asked.scan)) is not None:
        raise invalid(wrong)
    if len(client.scans) >= MOST_SCANS:
        raise Refused(165, f"only {MOST_SCANS} API scanner subscriptions are allowed at once")
    client.scans[asked.request] = asked.scan
    _scan(core, client, asked.request, asked.scan)


cancels(23, lambda client: client.scans)


def _scan(core: Core, client: Client, request: int, scan: scans.Scan) -> None:
    """Its rows now, and again as long as it is wanted."""
    if client.scans.get(request) is not scan or client.is_closing():
        return
    core.send(client, client.replies.scanner_data(request, scans.rows(scan, _seen(core))))
    core.after(SCAN_SECONDS, partial(_scan, core, client, request, scan))


def _seen(core: Core) -> list[scans.Seen]:
    now = core.market.time(core.now)
    found = []
    for stock in core.master:
        if stock.in_lots and not stock.invented and core.world.exists(stock):
            days = core.market.bars(stock, now - 4 * DAY, now, 86_400)
            if days:
                before = days[-2].close if len(days) > 1 else days[-1].open
                found.append(scans.Seen(stock, days[-1].close, days[-1].close / before - 1))
    return found


tells(67, lambda core, client, asked: client.replies.display_groups(asked.request, GROUPS))


@handles(68)
def follow_group(core: Core, client: Client, asked: DisplayGroup) -> None:
    if str(asked.group) not in GROUPS.split("|"):
        raise invalid(f"there is no display group {asked.group}")
    client.groups[asked.request] = asked.group
    shown = core.groups.get(asked.group, NO_CONTRACT)
    core.send(client, client.replies.display_group_updated(asked.request, shown))


cancels(70, lambda client: client.groups)


@handles(69)
def show_in_group(core: Core, client: Client, asked: DisplayGroupContract) -> None:
    """All who follow the group hear of its new contract."""
    group = client.groups.get(asked.request)
    if group is None:
        raise invalid("subscribe to the display group first")
    core.groups[group] = asked.contract
    for other in core.ready_clients():
        for request, followed in other.groups.items():
            if followed == group:
                core.send(other, other.replies.display_group_updated(request, asked.contract))
