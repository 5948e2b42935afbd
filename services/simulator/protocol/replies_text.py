"""What the server says as text, in the layout of one server version.

Layouts follow the official client's decoder; tests feed every method through it, at every version where one changes.
"""

from collections.abc import Sequence

from services.base.prices import midpoint
from services.simulator.market.contracts import Instrument
from services.simulator.market.depth import DepthRow
from services.simulator.market.derived import OptionSeries
from services.simulator.market.greeks import Worth
from services.simulator.market.headlines import Headline
from services.simulator.market.past_ticks import PastTick
from services.simulator.protocol import versions as v
from services.simulator.protocol.orders_text import OrderTextReplies
from services.simulator.protocol.rows import BarRow, Hours, Verbatim

ORDER_TYPES = "ACTIVETIM,LMT,MKT,STP"
SNAPSHOT_PERMISSIONS = 4
COUPON = 4.25
DERIVATIVES = {"STK": ("CFD", "OPT")}


class TextReplies(OrderTextReplies):
    """Every reply as text; from 201 on with the message id in four bytes."""

    def _escaped(self, text: str) -> str:
        """From 153 on the client undoes escapes in long names and error texts."""
        if isinstance(text, Verbatim):
            return text
        return text.encode("unicode-escape").decode() if self.version >= v.ENCODE_MSG_ASCII7 else text

    # --- connection ---

    def error(self, request: int, code: int, text: str, now_ms: int) -> bytes:
        """Code 0 stands for none: as protobuf, such a message was seen without the field."""
        fields: list[object] = [4]
        if self.version < v.ERROR_TIME:
            fields.append(2)
        fields += [request, code, self._escaped(text)]
        if self.version >= v.ADVANCED_ORDER_REJECT:
            fields.append("")
        if self.version >= v.ERROR_TIME:
            fields.append(now_ms)
        return self._message(*fields)

    # --- market data ---

    def tick_req_params(self, request: int, found: Instrument, bbo_exchange: str) -> bytes:
        """Empty before 114: the map of exchange letters that it points to did not exist yet."""
        if self.version < v.SMART_COMPONENTS:
            return b""
        return self._message(81, request, found.tick_text, bbo_exchange, SNAPSHOT_PERMISSIONS)

    def option_computation(self, request: int, field: int, found: Worth) -> bytes:
        """The model's price and greeks; the dividends' present value is 0."""
        fields: list[object] = [21]
        if self.version < v.PRICE_BASED_VOLATILITY:
            fields.append(6)
        fields += [request, field]
        if self.version >= v.PRICE_BASED_VOLATILITY:
            fields.append(0)
        fields += [found.volatility, found.delta, found.price, 0.0, found.gamma, found.vega, found.theta, found.under]
        return self._message(*fields)

    def tick_news(self, request: int, at_ms: int, provider: str, article: str, headline: str) -> bytes:
        return self._message(84, request, at_ms, provider, article, headline, "")

    def real_time_bar(self, request: int, bar: BarRow) -> bytes:
        return self._message(
            50, 3, request, bar.time, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.wap, bar.trades
        )

    def tick_by_tick_last(self, request: int, all_last: bool, at: int, price: str, size: float, exchange: str) -> bytes:
        return self._message(99, request, 2 if all_last else 1, at, price, size, 0, exchange, "")

    def tick_by_tick_bid_ask(
        self, request: int, at: int, bid: str, ask: str, bid_size: float, ask_size: float
    ) -> bytes:
        return self._message(99, request, 3, at, bid, ask, bid_size, ask_size, 0)

    def tick_by_tick_midpoint(self, request: int, at: int, price: float) -> bytes:
        return self._message(99, request, 4, at, price)

    # --- contracts ---

    def contract_details(self, request: int, found: Instrument, exchange: str, hours: Hours) -> bytes:
        version = self.version
        if found.sec_type == "BOND":
            return self._bond_details(request, found, exchange, hours)
        fields: list[object] = [10]
        if version < v.SIZE_RULES:
            fields.append(8)
        fields += [request, found.symbol, found.sec_type, found.expires]
        if version >= v.LAST_TRADE_DATE:
            fields.append(found.expiry)
        fields += [f"{found.strike:g}", found.right, exchange, found.currency, found.local_symbol]
        fields += [found.market_name, found.trading_class, found.con_id, found.tick_text]
        if v.MD_SIZE_MULTIPLIER <= version < v.SIZE_RULES:
            fields.append(found.round_lot)
        fields += [found.multiplier, ORDER_TYPES, found.valid_exchanges, found.magnifier, found.under_con_id]
        fields += [self._escaped(found.name), found.primary, found.contract_month]
        fields += [found.industry, found.category, found.subcategory]
        fields += [hours.time_zone, hours.trading, hours.liquid, "", 0]
        fields += [len(found.sec_ids), *(text for pair in found.sec_ids for text in pair)]
        if version >= v.AGG_GROUP:
            fields.append(1)
        if version >= v.UNDERLYING_INFO:
            fields += [found.under_symbol, found.under_sec_type]
        if version >= v.MARKET_RULES:
            fields.append(found.market_rules)
        if version >= v.REAL_EXPIRATION_DATE:
            fields.append(found.expiry)
        if version >= v.STOCK_TYPE:
            fields.append(found.stock_type)
        if v.FRACTIONAL_SIZE_SUPPORT <= version < v.SIZE_RULES:
            fields.append(1)
        if version >= v.SIZE_RULES:
            fields += [1, 1, found.round_lot]
        if version >= v.INELIGIBILITY_REASONS:
            fields.append(0)
        return self._message(*fields)

    def _bond_details(self, request: int, found: Instrument, exchange: str, hours: Hours) -> bytes:
        """Bonds have a message of their own."""
        version = self.version
        fields: list[object] = [18]
        if version < v.SIZE_RULES:
            fields.append(6)
        fields += [request, found.symbol, found.sec_type, found.symbol, COUPON, found.expiry, "", "", "GOVT", "FIXED"]
        fields += [False, False, False, self._escaped(found.name), exchange, found.currency, found.market_name]
        fields += [found.trading_class, found.con_id, found.tick_text]
        if v.MD_SIZE_MULTIPLIER <= version < v.SIZE_RULES:
            fields.append(1)
        fields += [ORDER_TYPES, found.valid_exchanges, "", "", False, "", self._escaped(found.name)]
        if version >= v.BOND_TRADING_HOURS:
            fields += list(hours)
        fields += ["", 0, 0]
        if version >= v.AGG_GROUP:
            fields.append(1)
        if version >= v.MARKET_RULES:
            fields.append(found.market_rules)
        if version >= v.SIZE_RULES:
            fields += [1, 1, 1]
        return self._message(*fields)

    def symbol_samples(self, request: int, found: Sequence[Instrument]) -> bytes:
        fields: list[object] = [79, request, len(found)]
        for one in found:
            fields += [one.con_id, one.symbol, one.sec_type, one.primary or one.exchange, one.currency]
            derivatives = DERIVATIVES.get(one.sec_type, ())
            fields += [len(derivatives), *derivatives]
            if self.version >= v.BOND_ISSUERID:
                fields += [one.name, ""]
        return self._message(*fields)

    def option_params(self, request: int, con_id: int, series: OptionSeries) -> bytes:
        fields: list[object] = [75, request, series.exchange, con_id, series.trading_class, series.multiplier]
        fields += [len(series.expirations), *series.expirations, len(series.strikes), *series.strikes]
        return self._message(*fields)

    def smart_components(self, request: int, exchanges: Sequence[tuple[str, str]]) -> bytes:
        fields: list[object] = [82, request, len(exchanges)]
        for bit, (exchange, letter) in enumerate(exchanges):
            fields += [bit, exchange, letter]
        return self._message(*fields)

    def market_rule(self, rule: int, increment: str) -> bytes:
        return self._message(93, rule, 1, 0, increment)

    def depth_exchanges(self, exchanges: Sequence[tuple[str, str]]) -> bytes:
        fields: list[object] = [80, len(exchanges)]
        for exchange, sec_type in exchanges:
            fields += [exchange, sec_type]
            fields += ["", "Deep2", 1] if self.version >= v.SERVICE_DATA_TYPE else [1]
        return self._message(*fields)

    # --- history ---

    def historical_data(
        self, request: int, start: str, end: str, bars: Sequence[BarRow], decimals: int, round_lot: int
    ) -> bytes:
        """The bars and, from 196 on, the end message that earlier versions carry in the same frame."""
        fields: list[object] = [17]
        if self.version < v.SYNT_REALTIME_BARS:
            fields.append(3)
        fields.append(request)
        if self.version < v.HISTORICAL_DATA_END:
            fields += [start, end]
        fields.append(len(bars))
        lot = round_lot if self.version < v.HMDS_IN_SHARES else 1
        for bar in bars:
            fields += [
                bar.time,
                *(f"{price:.{decimals}f}" for price in bar[1:5]),
                bar.volume if lot == 1 else bar.volume // lot,
            ]
            fields.append(f"{bar.wap:.{decimals + 1}f}")
            if self.version < v.SYNT_REALTIME_BARS:
                fields.append("false")
            fields.append(bar.trades)
        data = self._message(*fields)
        if self.version >= v.HISTORICAL_DATA_END:
            data += self._message(108, request, start, end)
        return data

    def histogram(self, request: int, rows: Sequence[tuple[str, int]]) -> bytes:
        fields: list[object] = [89, request, len(rows)]
        for price, size in rows:
            fields += [price, size]
        return self._message(*fields)

    def historical_schedule(
        self, request: int, start: str, end: str, time_zone: str, sessions: Sequence[tuple[str, str, str]]
    ) -> bytes:
        fields: list[object] = [106, request, start, end, time_zone, len(sessions)]
        for session in sessions:
            fields += session
        return self._message(*fields)

    def historical_data_update(self, request: int, bar: BarRow, decimals: int) -> bytes:
        opened, high, low, close = (f"{price:.{decimals}f}" for price in bar[1:5])
        average = f"{bar.wap:.{decimals + 1}f}"
        return self._message(90, request, bar.trades, bar.time, opened, close, high, low, average, bar.volume)

    def historical_ticks(self, request: int, ticks: Sequence[PastTick]) -> bytes:
        """Mid-points."""
        fields = [part for one in ticks for part in (one.time, "", midpoint(float(one.bid), float(one.ask)), 0)]
        return self._message(96, request, len(ticks), *fields, True)

    def historical_ticks_bid_ask(self, request: int, ticks: Sequence[PastTick]) -> bytes:
        fields = [part for one in ticks for part in (one.time, 0, one.bid, one.ask, one.bid_size, one.ask_size)]
        return self._message(97, request, len(ticks), *fields, True)

    def historical_ticks_last(self, request: int, ticks: Sequence[PastTick], exchange: str) -> bytes:
        fields = [part for one in ticks for part in (one.time, 0, one.last, one.last_size, exchange, "")]
        return self._message(98, request, len(ticks), *fields, True)

    # --- accounts, and the ends of what is said about orders ---

    def family_codes(self, account: str) -> bytes:
        return self._message(78, 1, account, "")

    def soft_dollar_tiers(self, request: int) -> bytes:
        return self._message(77, request, 0)

    # --- depth, news and the rest ---

    def market_depth(self, request: int, row: DepthRow) -> bytes:
        """With its market maker (13) where depth of all exchanges was asked for, else without (12)."""
        change: list[object] = [row.operation, row.side, row.level.price, f"{row.level.size:.10g}"]
        if not row.smart:
            return self._message(12, 1, request, row.place, *change)
        since: list[object] = [True] if self.version >= v.SMART_DEPTH else []
        return self._message(13, 1, request, row.place, row.level.maker, *change, *since)

    def news_providers(self, providers: Sequence[tuple[str, str]]) -> bytes:
        return self._message(85, len(providers), *(text for provider in providers for text in provider))

    def historical_news(self, request: int, headline: Headline) -> bytes:
        return self._message(86, request, *headline)

    def scanner_data(self, request: int, found: Sequence[Instrument]) -> bytes:
        """The rows, the first rank first."""
        fields: list[object] = [20, 3, request, len(found)]
        for rank, one in enumerate(found):
            fields += [rank, one.con_id, one.symbol, one.sec_type, "", 0, "", "SMART", one.currency, one.local_symbol,
                       one.market_name, one.trading_class, "", "", "", ""]  # fmt: skip
        return self._message(*fields)
