"""Requests as text fields: one reader a message, by the client's server version. Raises BadRequest.

The order of the fields is that of the official client's encoder, whose version thresholds are in `versions.py`.
"""

import re
from collections.abc import Callable
from typing import Any

from services.simulator.market.scans import Scan
from services.simulator.protocol import requested as asked
from services.simulator.protocol import versions as v
from services.simulator.protocol.order_fields import UNSET_INTEGER
from services.simulator.protocol.order_versions import EXECUTION_DAYS
from services.simulator.protocol.read_contract import contract_of_fields as contract
from services.simulator.protocol.read_order import place_order
from services.simulator.protocol.wire import Fields

UNSET_ABOVE = 1e300

Reader = Callable[[Fields, int], Any]


def nothing(fields: Fields, version: int) -> asked.Nothing:
    return asked.Nothing()


def by_id(fields: Fields, version: int) -> asked.ById:
    return asked.ById(fields.number())


def market_depth(fields: Fields, version: int) -> asked.MarketDepth:
    request = fields.number()
    wanted = contract(fields, with_primary=version >= v.MKT_DEPTH_PRIM_EXCHANGE)
    return asked.MarketDepth(request, wanted, fields.number(0), version >= v.SMART_DEPTH and fields.flag())


def start_api(fields: Fields, version: int) -> asked.StartApi:
    return asked.StartApi(fields.number(0))  # @stoqey/ib leaves it empty by default


def market_data(fields: Fields, version: int) -> asked.MarketData:
    request, wanted = fields.number(), contract(fields)
    if wanted.sec_type == "BAG":
        fields.skip(4 * fields.number(0))  # legs
    if fields.flag():
        fields.skip(3)  # delta neutral contract
    generic, snapshot = fields.text(), fields.flag()
    regulatory = version >= v.SMART_COMPONENTS and fields.flag()
    return asked.MarketData(request, wanted, generic, snapshot, regulatory)


def market_data_type(fields: Fields, version: int) -> asked.MarketDataType:
    return asked.MarketDataType(fields.number())


def real_time_bars(fields: Fields, version: int) -> asked.RealTimeBars:
    return asked.RealTimeBars(fields.number(), contract(fields), fields.number(), fields.text())


def tick_by_tick(fields: Fields, version: int) -> asked.TickByTick:
    request, wanted, kind = fields.number(), contract(fields), fields.text()
    return asked.TickByTick(request, wanted, kind, fields.number(0) if version >= v.TICK_BY_TICK_IGNORE_SIZE else 0)


def contract_details(fields: Fields, version: int) -> asked.OfContract:
    request, wanted = fields.number(), contract(fields)
    expired, sec_id = fields.flag(), (fields.text().upper(), fields.text().upper())
    return asked.OfContract(request, wanted._replace(expired=expired, sec_id=sec_id))


def matching_symbols(fields: Fields, version: int) -> asked.MatchingSymbols:
    return asked.MatchingSymbols(fields.number(), fields.text())


def option_params(fields: Fields, version: int) -> asked.OptionParams:
    request, symbol, exchange, sec_type = fields.number(), fields.text(), fields.text(), fields.text()
    return asked.OptionParams(request, symbol, exchange, sec_type, fields.number())


def market_rule(fields: Fields, version: int) -> asked.MarketRule:
    return asked.MarketRule(fields.number())


def historical_data(fields: Fields, version: int) -> asked.HistoricalData:
    request, wanted = fields.number(), contract(fields)
    fields.skip()  # include expired
    end, bar, duration = fields.text(), fields.text(), fields.text()
    fields.skip()  # regular hours only
    what, date_format = fields.text(), fields.number(1)
    if wanted.sec_type == "BAG":
        fields.skip(4 * fields.number(0))  # legs
    keep = version >= v.SYNT_REALTIME_BARS and fields.flag()
    return asked.HistoricalData(request, wanted, end, bar, duration, what, date_format, keep)


def head_timestamp(fields: Fields, version: int) -> asked.HeadTimestamp:
    request, wanted = fields.number(), contract(fields)
    fields.skip(2)  # include expired, regular hours only
    return asked.HeadTimestamp(request, wanted, fields.text(), fields.number(1))


def of_contract(fields: Fields, version: int) -> asked.OfContract:
    return asked.OfContract(fields.number(), contract(fields))


def histogram(fields: Fields, version: int) -> asked.Histogram:
    request, wanted = fields.number(), contract(fields)
    fields.skip(2)  # include expired, regular hours only
    return asked.Histogram(request, wanted, fields.text())


def historical_ticks(fields: Fields, version: int) -> asked.HistoricalTicks:
    request, wanted = fields.number(), contract(fields)
    fields.skip()  # include expired
    return asked.HistoricalTicks(request, wanted, fields.text(), fields.text(), fields.number(0), fields.text())


def account_updates(fields: Fields, version: int) -> asked.AccountUpdates:
    return asked.AccountUpdates(fields.flag(), fields.text())


def account_summary(fields: Fields, version: int) -> asked.AccountSummary:
    request = fields.number()
    fields.skip()  # group
    return asked.AccountSummary(request, fields.text())


def scanner(fields: Fields, version: int) -> asked.Scanner:
    request, rows = fields.number(), fields.number(0)
    instrument, location, code = fields.text(), fields.text(), fields.text()
    above, below, volume = fields.decimal(), fields.decimal(), fields.number(0)
    filters = {}
    if version >= v.SCANNER_GENERIC_OPTS:
        fields.skip(14)  # market value to type of stock
        filters = dict(one.split("=", 1) for one in fields.text().split(";") if "=" in one)
    bounds = _bound(above), _bound(below), _whole(volume)
    return asked.Scanner(request, Scan(code, instrument, location, rows, *bounds, filters))


def _bound(price: float) -> float:
    """0 for the client's unset double."""
    return price if abs(price) < UNSET_ABOVE else 0.0


def _whole(number: int) -> int:
    """0 for the client's unset integer."""
    return number if number != UNSET_INTEGER else 0


def historical_news(fields: Fields, version: int) -> asked.HistoricalNews:
    request, con_id, providers = fields.number(), fields.number(0), fields.text()
    return asked.HistoricalNews(request, con_id, providers, fields.text(), fields.text(), fields.number(0))


def news_article(fields: Fields, version: int) -> asked.NewsArticle:
    return asked.NewsArticle(fields.number(), fields.text(), fields.text())


def display_group(fields: Fields, version: int) -> asked.DisplayGroup:
    return asked.DisplayGroup(fields.number(), fields.number(0))


def display_group_contract(fields: Fields, version: int) -> asked.DisplayGroupContract:
    return asked.DisplayGroupContract(fields.number(), fields.text())


def executions(fields: Fields, version: int) -> asked.Executions:
    request, client_id = fields.number(), fields.number(0)
    account, time, symbol, sec_type, exchange, side = (fields.text() for _ in range(6))
    found = asked.Executions(request, client_id, account, time, symbol, sec_type, exchange, side)
    if version < EXECUTION_DAYS:
        return found
    days = fields.number(0)
    dates = tuple(fields.number() for _ in range(fields.number(0)))
    return found._replace(days=0 if days == UNSET_INTEGER else days, dates=dates)


def auto_open_orders(fields: Fields, version: int) -> asked.AutoOpenOrders:
    return asked.AutoOpenOrders(fields.flag())


def completed_orders(fields: Fields, version: int) -> asked.CompletedOrders:
    return asked.CompletedOrders(fields.flag())


def pnl_single(fields: Fields, version: int) -> asked.ProfitOf:
    request, account = fields.number(), fields.text()
    fields.skip()  # model
    return asked.ProfitOf(request, account, fields.number(0))


def of_account(fields: Fields, version: int) -> asked.OfAccount:
    return asked.OfAccount(fields.number(), fields.text())


def replace_advisor(fields: Fields, version: int) -> asked.ById:
    if version < v.REPLACE_FA_END:
        return asked.ById(-1)
    fields.skip(2)  # which data, and the data
    return by_id(fields, version)


_NOTHING = (5, 8, 12, 13, 14, 16, 17, 18, 24, 49, 58, 61, 64, 80, 82, 85, 105)
_BY_ID = (79, 83, 89, 90, 93, 95, 98, 100, 101, 102, 103, 104, 106, 107)

READERS: dict[int, Reader] = {
    **dict.fromkeys(_NOTHING, nothing),
    **dict.fromkeys((2, 4, 11, 21, 23, 25, 51, 52, 53, 56, 57, 63, 67, 70, 75, 77, *_BY_ID), by_id),
    1: market_data,
    3: place_order,
    6: account_updates,
    7: executions,
    9: contract_details,
    10: market_depth,
    15: auto_open_orders,
    19: replace_advisor,
    20: historical_data,
    22: scanner,
    50: real_time_bars,
    54: of_contract,
    55: of_contract,
    59: market_data_type,
    62: account_summary,
    68: display_group,
    69: display_group_contract,
    71: start_api,
    74: of_account,
    76: of_account,
    78: option_params,
    81: matching_symbols,
    84: news_article,
    86: historical_news,
    87: head_timestamp,
    88: histogram,
    91: market_rule,
    92: of_account,
    94: pnl_single,
    96: historical_ticks,
    97: tick_by_tick,
    99: completed_orders,
}

_VERSIONLESS_SINCE = {
    **dict.fromkeys((*_NOTHING, *_BY_ID, 78, 81, 84, 86, 87, 88, 91, 92, 94, 96, 97, 99), v.LOWEST),
    3: v.ORDER_CONTAINER,
    4: v.CME_TAGGING_FIELDS,
    20: v.SYNT_REALTIME_BARS,
    22: v.SCANNER_GENERIC_OPTS,
}  # all other requests begin with a version of their own


def _begins_with_version(kind: int, version: int) -> bool:
    return bool(version < _VERSIONLESS_SINCE.get(kind, v.HIGHEST + 1))


def read(kind: int, fields: list[str], version: int) -> Any:
    """The request, of the type that its message id says. Raises BadRequest; KeyError for an unknown id."""
    reader, sent = READERS[kind], Fields(fields)
    if _begins_with_version(kind, version):
        sent.skip()
    return reader(sent, version)


def request_id(kind: int, fields: list[str], version: int) -> int:
    """The id in a request that may be unknown or malformed, or -1."""
    if kind in (*_NOTHING, 6, 15, 59, 71, 91, 99):
        return -1
    place = int(_begins_with_version(kind, version))
    text = fields[place] if place < len(fields) else ""
    return int(text) if re.fullmatch(r"-?[0-9]{1,10}", text) else -1
