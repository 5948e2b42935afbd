"""What the server says as protobuf, in the official client's own message classes.

Each method stands in for the one of the same name in `TextReplies`, with the same arguments; `replies.py` says from
which server version on. Fields that a captured gateway sent although they are 0 are set here too.
"""

from collections.abc import Sequence
from typing import Any

from services.base.prices import midpoint
from services.simulator.market.contracts import Instrument
from services.simulator.market.depth import DepthRow
from services.simulator.market.derived import OptionSeries
from services.simulator.market.greeks import Worth
from services.simulator.market.headlines import Headline
from services.simulator.market.past_ticks import PastTick
from services.simulator.protocol import ib
from services.simulator.protocol.orders_protobuf import OrderProtobufReplies, fill_contract, frame_of
from services.simulator.protocol.replies_text import COUPON, DERIVATIVES, ORDER_TYPES, SNAPSHOT_PERMISSIONS
from services.simulator.protocol.rows import BarRow, Hours

PRECISION = "0.000001"  # of last prices and sizes, as captured gateways give it for US stocks


class ProtobufReplies(OrderProtobufReplies):
    # --- connection ---

    def error(self, request: int, code: int, text: str, now_ms: int) -> bytes:
        return frame_of(4, ib.ErrorMessage(id=request, errorTime=now_ms, errorCode=code or None, errorMsg=text))

    # --- market data ---

    def tick_req_params(self, request: int, found: Instrument, bbo_exchange: str) -> bytes:
        made = ib.TickReqParams(reqId=request, minTick=found.tick_text, bboExchange=bbo_exchange,
                                snapshotPermissions=SNAPSHOT_PERMISSIONS)  # fmt: skip
        if found.sec_type == "STK":
            made.lastPricePrecision = made.lastSizePrecision = PRECISION
        return frame_of(81, made)

    def option_computation(self, request: int, field: int, found: Worth) -> bytes:
        made = ib.TickOptionComputation(
            reqId=request, tickType=field, tickAttrib=0, impliedVol=found.volatility, delta=found.delta,
            optPrice=found.price, pvDividend=0.0, gamma=found.gamma, vega=found.vega, theta=found.theta,
            undPrice=found.under,
        )  # fmt: skip
        return frame_of(21, made)

    def tick_news(self, request: int, at_ms: int, provider: str, article: str, headline: str) -> bytes:
        return frame_of(84, ib.TickNews(reqId=request, timestamp=at_ms, providerCode=provider, articleId=article,
                                      headline=headline))  # fmt: skip

    def real_time_bar(self, request: int, bar: BarRow) -> bytes:
        made = ib.RealTimeBarTick(
            reqId=request, time=int(bar.time), open=bar.open, high=bar.high, low=bar.low, close=bar.close,
            volume=str(bar.volume), WAP=f"{bar.wap:.10g}", count=bar.trades,
        )  # fmt: skip
        return frame_of(50, made)

    def tick_by_tick_last(self, request: int, all_last: bool, at: int, price: str, size: float, exchange: str) -> bytes:
        made = ib.TickByTickData(reqId=request, tickType=2 if all_last else 1)
        _fill_last(made.historicalTickLast, at, price, size, exchange)
        return frame_of(99, made)

    def tick_by_tick_bid_ask(
        self, request: int, at: int, bid: str, ask: str, bid_size: float, ask_size: float
    ) -> bytes:
        made = ib.TickByTickData(reqId=request, tickType=3)
        _fill_bid_ask(made.historicalTickBidAsk, at, bid, ask, bid_size, ask_size)
        return frame_of(99, made)

    def tick_by_tick_midpoint(self, request: int, at: int, price: float) -> bytes:
        made = ib.TickByTickData(reqId=request, tickType=4)
        made.historicalTickMidPoint.time, made.historicalTickMidPoint.price = at, price
        return frame_of(99, made)

    # --- contracts ---

    def contract_details(self, request: int, found: Instrument, exchange: str, hours: Hours) -> bytes:
        made = ib.ContractData(reqId=request)
        fill_contract(made.contract, found, exchange)
        _set(made.contract, primaryExch=found.primary, lastTradeDate=found.expiry)
        _set(made.contract, lastTradeDateOrContractMonth=found.expires)
        details = made.contractDetails
        details.marketName, details.minTick = found.market_name, found.tick_text
        details.orderTypes, details.validExchanges = ORDER_TYPES, found.valid_exchanges
        details.priceMagnifier = found.magnifier
        _set(details, underConId=found.under_con_id, longName=found.name, contractMonth=found.contract_month)
        _set(details, industry=found.industry, category=found.category, subcategory=found.subcategory)
        details.timeZoneId, details.tradingHours, details.liquidHours = hours
        for tag, value in found.sec_ids:
            details.secIdList[tag] = value
        details.aggGroup = 1
        _set(details, underSymbol=found.under_symbol, underSecType=found.under_sec_type)
        details.marketRuleIds = found.market_rules
        _set(details, realExpirationDate=found.expiry, stockType=found.stock_type)
        details.minSize = details.sizeIncrement = "1"
        details.suggestedSizeIncrement, details.minAlgoSize = str(found.round_lot), "0"
        if found.sec_type == "STK":
            details.lastPricePrecision = details.lastSizePrecision = PRECISION
        if found.sec_type == "BOND":
            details.cusip, details.coupon, details.bondType, details.couponType = found.symbol, COUPON, "GOVT", "FIXED"
        return frame_of(18 if found.sec_type == "BOND" else 10, made)

    def symbol_samples(self, request: int, found: Sequence[Instrument]) -> bytes:
        made = ib.SymbolSamples(reqId=request)
        for one in found:
            sample = made.contractDescriptions.add()
            sample.contract.conId, sample.contract.symbol = one.con_id, one.symbol
            sample.contract.secType, sample.contract.currency = one.sec_type, one.currency
            sample.contract.primaryExch = one.primary or one.exchange
            sample.contract.description = one.name
            sample.derivativeSecTypes.extend(DERIVATIVES.get(one.sec_type, ()))
        return frame_of(79, made)

    def option_params(self, request: int, con_id: int, series: OptionSeries) -> bytes:
        made = ib.SecDefOptParameter(reqId=request, exchange=series.exchange, underlyingConId=con_id,
                                     tradingClass=series.trading_class, multiplier=series.multiplier)  # fmt: skip
        made.expirations.extend(series.expirations)
        made.strikes.extend(series.strikes)
        return frame_of(75, made)

    def smart_components(self, request: int, exchanges: Sequence[tuple[str, str]]) -> bytes:
        made = ib.SmartComponents(reqId=request)
        for bit, (exchange, letter) in enumerate(exchanges):
            made.smartComponents.add(bitNumber=bit, exchange=exchange, exchangeLetter=letter)
        return frame_of(82, made)

    def market_rule(self, rule: int, increment: str) -> bytes:
        made = ib.MarketRule(marketRuleId=rule)
        made.priceIncrements.add(lowEdge=0.0, increment=float(increment))
        return frame_of(93, made)

    def depth_exchanges(self, exchanges: Sequence[tuple[str, str]]) -> bytes:
        made = ib.MarketDepthExchanges()
        for exchange, sec_type in exchanges:
            made.depthMarketDataDescriptions.add(exchange=exchange, secType=sec_type, listingExch="",
                                                 serviceDataType="Deep2", aggGroup=1)  # fmt: skip
        return frame_of(80, made)

    # --- history ---

    def historical_data(
        self, request: int, start: str, end: str, bars: Sequence[BarRow], decimals: int, round_lot: int
    ) -> bytes:
        """The bars and the end message. Volume is in shares or contracts."""
        made = ib.HistoricalData(reqId=request)
        for bar in bars:
            _fill_bar(made.historicalDataBars.add(), bar, decimals)
        return frame_of(17, made) + frame_of(
            108, ib.HistoricalDataEnd(reqId=request, startDateStr=start, endDateStr=end)
        )

    def histogram(self, request: int, rows: Sequence[tuple[str, int]]) -> bytes:
        made = ib.HistogramData(reqId=request)
        for price, size in rows:
            made.histogramDataEntries.add(price=float(price), size=str(size))
        return frame_of(89, made)

    def historical_schedule(
        self, request: int, start: str, end: str, time_zone: str, sessions: Sequence[tuple[str, str, str]]
    ) -> bytes:
        made = ib.HistoricalSchedule(reqId=request, startDateTime=start, endDateTime=end, timeZone=time_zone)
        for first, last, day in sessions:
            made.historicalSessions.add(startDateTime=first, endDateTime=last, refDate=day)
        return frame_of(106, made)

    def historical_data_update(self, request: int, bar: BarRow, decimals: int) -> bytes:
        made = ib.HistoricalDataUpdate(reqId=request)
        _fill_bar(made.historicalDataBar, bar, decimals)
        return frame_of(90, made)

    def historical_ticks(self, request: int, ticks: Sequence[PastTick]) -> bytes:
        """Mid-points."""
        made = ib.HistoricalTicks(reqId=request, isDone=True)
        for one in ticks:
            made.historicalTicks.add(time=one.time, price=midpoint(float(one.bid), float(one.ask)), size="0")
        return frame_of(96, made)

    def historical_ticks_bid_ask(self, request: int, ticks: Sequence[PastTick]) -> bytes:
        made = ib.HistoricalTicksBidAsk(reqId=request, isDone=True)
        for one in ticks:
            tick = made.historicalTicksBidAsk.add()
            _fill_bid_ask(tick, one.time, one.bid, one.ask, one.bid_size, one.ask_size)
        return frame_of(97, made)

    def historical_ticks_last(self, request: int, ticks: Sequence[PastTick], exchange: str) -> bytes:
        made = ib.HistoricalTicksLast(reqId=request, isDone=True)
        for one in ticks:
            _fill_last(made.historicalTicksLast.add(), one.time, one.last, one.last_size, exchange)
        return frame_of(98, made)

    # --- accounts, and the ends of what is said about orders ---

    def family_codes(self, account: str) -> bytes:
        made = ib.FamilyCodes()
        made.familyCodes.add(accountId=account, familyCode="")
        return frame_of(78, made)

    def soft_dollar_tiers(self, request: int) -> bytes:
        return frame_of(77, ib.SoftDollarTiers(reqId=request))

    # --- depth, news and the rest ---

    def market_depth(self, request: int, row: DepthRow) -> bytes:
        """With its market maker (13) where depth of all exchanges was asked for, else without (12)."""
        made = ib.MarketDepthL2(reqId=request) if row.smart else ib.MarketDepth(reqId=request)
        change = made.marketDepthData
        change.position, change.operation, change.side = row.place, row.operation, row.side
        change.price, change.size = float(row.level.price), f"{row.level.size:.10g}"
        if row.smart:
            change.marketMaker, change.isSmartDepth = row.level.maker, True
        return frame_of(13 if row.smart else 12, made)

    def news_providers(self, providers: Sequence[tuple[str, str]]) -> bytes:
        made = ib.NewsProviders()
        for code, name in providers:
            made.newsProviders.add(providerCode=code, providerName=name)
        return frame_of(85, made)

    def historical_news(self, request: int, headline: Headline) -> bytes:
        made = ib.HistoricalNews(reqId=request, time=headline.time, providerCode=headline.provider,
                                 articleId=headline.article, headline=headline.text)  # fmt: skip
        return frame_of(86, made)

    def scanner_data(self, request: int, found: Sequence[Instrument]) -> bytes:
        """The rows, the first rank first."""
        made = ib.ScannerData(reqId=request)
        for rank, one in enumerate(found):
            row = made.scannerDataElement.add(rank=rank, marketName=one.market_name)
            row.contract.conId, row.contract.symbol, row.contract.secType = one.con_id, one.symbol, one.sec_type
            row.contract.exchange, row.contract.currency, row.contract.strike = "SMART", one.currency, 0.0
            row.contract.localSymbol, row.contract.tradingClass = one.local_symbol, one.trading_class
        return frame_of(20, made)


def _set(made: Any, **values: object) -> None:
    """Only what is not empty: an absent field is how protobuf says so."""
    for name, value in values.items():
        if value:
            setattr(made, name, value)


def _fill_bar(made: Any, bar: BarRow, decimals: int) -> None:
    made.date, made.volume, made.barCount = bar.time, str(bar.volume), bar.trades
    made.WAP = f"{bar.wap:.{decimals + 1}f}"
    made.open, made.high, made.low, made.close = (round(price, decimals) for price in bar[1:5])


def _fill_last(made: Any, at: int, price: str, size: float, exchange: str) -> None:
    made.time, made.price, made.size = at, float(price), f"{size:.10g}"
    made.exchange, made.specialConditions = exchange, ""
    made.tickAttribLast.pastLimit = made.tickAttribLast.unreported = False


def _fill_bid_ask(made: Any, at: int, bid: str, ask: str, bid_size: float, ask_size: float) -> None:
    made.time, made.priceBid, made.priceAsk = at, float(bid), float(ask)
    made.sizeBid, made.sizeAsk = f"{bid_size:.10g}", f"{ask_size:.10g}"
    made.tickAttribBidAsk.bidPastLow = made.tickAttribBidAsk.askPastHigh = False
