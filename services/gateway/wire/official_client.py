"""IB's official client, used for what it is best at: encoding requests and decoding rare messages.

Called by the gateway's loop. The official socket, reader thread and run loop are not used: requests are
collected as bytes, messages are decoded one by one into the core's inputs. Which messages are text and which
protobuf, at the version that the gateway answered with, the official client knows. Works with every release that
speaks version 100 or more, whose callbacks differ in their signatures.
"""

import inspect
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from math import isfinite, nan
from typing import Any

import structlog
from ibapi import server_versions
from ibapi.client import EClient
from ibapi.decoder import Decoder
from ibapi.message import IN
from ibapi.wrapper import EWrapper

from messages.checks import FoundSymbol
from messages.events import Bar, PlannedSymbol
from messages.fields import (
    ASK,
    ASK_SIZE,
    BAR_TIME,
    BAR_TRADES,
    BID,
    BID_SIZE,
    DELAYED_TWIN,
    LAST,
    LAST_SIZE,
    MIDPOINT,
    NEWS,
    QUOTE_ASK,
    QUOTE_BID,
    QUOTE_TIME,
    TRADE,
    TRADE_TIME,
    TRADE_VENUE,
)
from services.base.clock import SECOND
from services.gateway.core.interface import (
    BarsEnd,
    BarsSeen,
    ContractEnd,
    ContractSeen,
    CurrentTimeSeen,
    Event,
    GreetingSeen,
    History,
    IbErrorSeen,
    MarketDataTypeSeen,
    OptionParamsEnd,
    OptionParamsSeen,
    PositionSeen,
    PositionsEnd,
    PositionUnreadable,
    Ready,
    RerouteSeen,
)
from services.gateway.wire.official_values import (
    UNSET_SIZE,
    bar_time,
    contract_of,
    held_contract,
    number_of,
    qualified,
    size_of,
)

log = structlog.get_logger()

OLDEST_VERSION = 100
NEWEST_VERSION: int = server_versions.MAX_CLIENT_VER
BINARY_IDS = 201  # server version from which a message begins with its id as 4 bytes
PROTOBUF = 200  # from that version on, a message of an id over this is protobuf, and that of a text message plus this
ID_BYTES = 4

logging.getLogger("ibapi").setLevel(logging.CRITICAL)

_DECODER_TAKES_ID = "msgId" in inspect.signature(Decoder.interpret).parameters


OnTick = Callable[[int, int, float | str, float], None]
"""Takes request, tick field, value (or text), and the size that came with a price (NaN without one)."""


OnFine = Callable[..., None]
"""Takes request, own tick field, value (or text), and the size that goes with a price: tick by tick and bars."""

BAR_SECONDS = 5


class BadFrame(Exception):
    """A frame that cannot be a message of this protocol: the byte stream is not to be trusted any more."""


_LIVE_SIZES = {BID: BID_SIZE, ASK: ASK_SIZE, LAST: LAST_SIZE}
SIZE_OF_PRICE = _LIVE_SIZES | {DELAYED_TWIN[price]: DELAYED_TWIN[size] for price, size in _LIVE_SIZES.items()}

_ESCAPED_TEXT = 153  # server version from which texts are ASCII with escapes
_SIZE_MULTIPLIER, _SIZE_RULES = 110, 164  # versions between which contract details tell the round lot so
_SIZE_MULTIPLIER_FIELD = 14  # behind version, request id, ten fields of the contract, its id, and the least tick
_OPEN_HISTORY = 100  # IB allows half as many
_WARNINGS = 100  # lines in the log, a connection
_ERROR_WITHOUT_VERSION = 194  # server version from which an error does not begin with a version


class _Outgoing:
    """Stands in for the official socket: keeps what the encoders send."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def isConnected(self) -> bool:
        return True

    def sendMsg(self, frame: bytes) -> int:
        self.frames.append(frame)
        return len(frame)

    def disconnect(self) -> None:
        pass


class OfficialClient(EWrapper):  # type: ignore[misc]
    """One connection's worth of the official client: its encoders and its decoder.

    `inputs` collects what the callbacks said; `snapshots_done` the request ids of finished snapshots; the caller
    empties both. `on_tick` gets the ticks that were given to `interpret`. `malformed` counts messages that the decoder
    could not read, `unknown` those that the installed client has no decoder for.
    """

    def __init__(
        self,
        client_id: int,
        server_version: int,
        on_tick: OnTick = lambda *_: None,
        on_fine: OnFine = lambda *_: None,
    ) -> None:
        super().__init__()
        self._on_tick = on_tick
        self._on_fine = on_fine
        self._round_lot = 0.0  # of the contract details in hand, where only the message itself tells it
        self._price: tuple[int, int, float] | None = None  # of a tickPrice whose size is told next
        self.inputs: list[Event] = []
        self.found: list[FoundSymbol] | None = None  # what the last search for symbols brought
        self.snapshots_done: list[int] = []
        self.malformed = self.unknown = 0
        self._warned: set[tuple[str, int]] = set()  # what was logged, by event and message id
        self._outgoing = _Outgoing()
        self._bars: dict[int, list[Bar]] = {}
        self._next_id_seen = False
        self._accounts: tuple[str, ...] = ()
        self._ready = False
        self.server_version = server_version
        self._client = EClient(self)
        self._client.conn = self._outgoing
        self._client.clientId = client_id
        self._client.serverVersion_ = server_version
        self._client.setConnState(EClient.CONNECTED)
        self._decoder = Decoder(self, server_version)

    def take_frames(self) -> list[bytes]:
        """The encoded requests since the last call, each one message."""
        frames, self._outgoing.frames = self._outgoing.frames, []
        return frames

    # --- requests ---

    def start_api(self) -> None:
        self._client.startApi()

    def subscribe(
        self, req_id: int, planned: PlannedSymbol, con_id: int, *, snapshot: bool, generic_ticks: str = ""
    ) -> None:
        """reqMktData. Never a regulatory snapshot: those cost money per request. IB refuses generic ticks, such as
        `233,787`, in a snapshot."""
        self._client.reqMktData(req_id, contract_of(planned, con_id), generic_ticks, snapshot, False, [])

    def cancel_market_data(self, req_id: int) -> None:
        self._client.cancelMktData(req_id)

    def contract_details(self, req_id: int, planned: PlannedSymbol) -> None:
        self._client.reqContractDetails(req_id, contract_of(planned, 0))

    def tick_by_tick(self, req_id: int, planned: PlannedSymbol, con_id: int, what: str) -> None:
        self._client.reqTickByTickData(req_id, contract_of(planned, con_id), what, 0, False)

    def cancel_tick_by_tick(self, req_id: int) -> None:
        self._client.cancelTickByTickData(req_id)

    def real_time_bars(self, req_id: int, planned: PlannedSymbol, con_id: int, what: str) -> None:
        self._client.reqRealTimeBars(req_id, contract_of(planned, con_id), BAR_SECONDS, what, False, [])

    def cancel_real_time_bars(self, req_id: int) -> None:
        self._client.cancelRealTimeBars(req_id)

    def option_params(self, req_id: int, planned: PlannedSymbol, con_id: int) -> None:
        where = planned.exchange if planned.sec_type == "FUT" else ""  # futFopExchange: else options of all exchanges
        self._client.reqSecDefOptParams(req_id, planned.ib_symbol or planned.symbol, where, planned.sec_type, con_id)

    def history(self, ask: History) -> None:
        until = f"{datetime.fromtimestamp(ask.end // SECOND, UTC):%Y%m%d-%H:%M:%S}" if ask.end else ""
        self._bars[ask.req_id] = []
        while len(self._bars) > _OPEN_HISTORY:  # one that ended with an error, long ago
            del self._bars[next(iter(self._bars))]
        contract = contract_of(ask.planned, ask.con_id)
        self._client.reqHistoricalData(
            ask.req_id, contract, until, ask.duration, ask.bar_size, ask.what_to_show, 0, 2, False, []
        )

    def cancel_history(self, req_id: int) -> None:
        self._bars.pop(req_id, None)
        self._client.cancelHistoricalData(req_id)

    def matching_symbols(self, req_id: int, pattern: str) -> None:
        """reqMatchingSymbols: what comes of it is in `found`."""
        self._client.reqMatchingSymbols(req_id, pattern)

    def set_market_data_type(self, data_type: int) -> None:
        self._client.reqMarketDataType(data_type)

    def ask_time(self) -> None:
        self._client.reqCurrentTime()

    def positions(self) -> None:
        self._client.reqPositions()

    def cancel_positions(self) -> None:
        self._client.cancelPositions()

    # --- messages ---

    def interpret(self, frame: bytes) -> None:
        """Decode one message into `inputs`. Raises BadFrame when it has no message id; a message that the installed
        client does not know, or fails to decode, is counted and dropped, and the rest goes on."""
        message_id, body = self._split(frame)
        protobuf = self.server_version >= BINARY_IDS and message_id > PROTOBUF
        if protobuf:
            message_id -= PROTOBUF
        known = self._decoder.msgId2handleInfoProtoBuf if protobuf else self._decoder.msgId2handleInfo
        if message_id not in known:
            self.unknown += 1
            self._warn("message_unknown", message_id, protobuf=protobuf, size=len(frame))
            return
        try:
            if protobuf:
                self._decoder.processProtoBuf(body, message_id)
            else:
                self._interpret_text(body.split(b"\0")[:-1], message_id)
        except Exception as error:  # the official decoder raises whatever its parsing meets
            self.malformed += 1
            told = str(error)[:200]
            if message_id == IN.POSITION_DATA:  # whatever it says may be of the account
                told = type(error).__name__
                self.inputs.append(PositionUnreadable())
            self._warn("message_malformed", message_id, size=len(frame), error=told)
        self._tell_price(nan)

    def _warn(self, event: str, message_id: int, **more: object) -> None:
        """Once a connection and kind of message: a gateway may send as many as it likes, and they are counted."""
        if (event, message_id) not in self._warned and len(self._warned) < _WARNINGS:
            self._warned.add((event, message_id))
            log.warning(event, message_id=message_id, **more)

    def _split(self, frame: bytes) -> tuple[int, bytes]:
        """The message id, and what follows it."""
        if self.server_version >= BINARY_IDS:
            if len(frame) >= ID_BYTES:
                return int.from_bytes(frame[:ID_BYTES], "big"), frame[ID_BYTES:]
        else:
            text, _, body = frame.partition(b"\0")
            with suppress(ValueError):
                return int(text), body
        raise BadFrame(f"a frame of {len(frame)} bytes that begins with {frame[:16]!r}")

    def _interpret_text(self, fields: list[bytes], message_id: int) -> None:
        """Raises whatever the official decoder does, where the message says nothing without what it cannot read."""
        if message_id == IN.CONTRACT_DATA:
            self._round_lot = self._size_multiplier(fields)
        try:
            self._decode(self._fitted(fields, message_id), message_id)
        except Exception:
            if message_id == IN.ERR_MSG:
                self._read_error(fields)
            elif message_id != IN.CONTRACT_DATA or not self._decode_without_one(fields, message_id):
                raise

    def _size_multiplier(self, fields: list[bytes]) -> float:
        """The market data size multiplier of contract details, which newer clients pass over; 0 without one."""
        if not _SIZE_MULTIPLIER <= self.server_version < _SIZE_RULES or len(fields) <= _SIZE_MULTIPLIER_FIELD:
            return 0.0
        return number_of(fields[_SIZE_MULTIPLIER_FIELD])

    def _decode(self, fields: list[bytes], message_id: int) -> None:
        if _DECODER_TAKES_ID:
            self._decoder.interpret(tuple(fields), message_id)
        else:
            self._decoder.interpret((b"%d" % message_id, *fields))

    def _fitted(self, fields: list[bytes], message_id: int) -> list[bytes]:
        """Messages that the official decoder reads by a callback's signature: it drops them without a word when they
        have a field more or less. Raises ValueError for one less."""
        parameters = self._decoder.msgId2handleInfo[message_id].wrapperParams  # self, and the message's version, apart
        if parameters is None:
            return fields
        if len(fields) < len(parameters):
            raise ValueError(f"{len(fields)} fields; expected {len(parameters)}")
        return fields[: len(parameters)]

    def _decode_without_one(self, fields: list[bytes], message_id: int) -> bool:
        """Contract details of which one field cannot be read: without it, or with its backslashes as they stand. They
        come in one callback at their end, so that a failed try has said nothing."""
        for number, field in enumerate(fields):
            for instead in (field.replace(b"\\", b"\\\\"), b""):
                with suppress(Exception):
                    self._decode([*fields[:number], instead, *fields[number + 1 :]], message_id)
                    self._warn("field_unreadable", message_id, field=number, value=repr(field[:60]))
                    return True
        return False

    def _read_error(self, fields: list[bytes]) -> None:
        """An error that lacks what its version should have at the end. Raises ValueError or IndexError."""
        first = 0 if self.server_version >= _ERROR_WITHOUT_VERSION else 1
        req_id, code, text = fields[first : first + 3]
        escaped = self.server_version >= _ESCAPED_TEXT
        message = text.decode("unicode-escape" if escaped else "utf-8", "backslashreplace")
        self._say_error(req_id, code, message)

    def _say_error(self, req_id: Any, code: Any, text: str) -> None:
        """Errors are journalled and shown: none names an account of this gateway."""
        for account in sorted(self._accounts, key=len, reverse=True):
            text = text.replace(account, "(account)")
        self.inputs.append(IbErrorSeen(int(req_id), int(code), text))

    # --- callbacks: names and signatures are IB's ---

    def nextValidId(self, orderId: int) -> None:
        self._next_id_seen = True
        self._check_ready()

    def managedAccounts(self, accountsList: str) -> None:
        self._accounts = tuple(part for part in accountsList.split(",") if part)
        self._check_ready()

    def _check_ready(self) -> None:
        """Requests sent before both messages may be dropped (TWS API documentation, "Connectivity")."""
        if self._ready:
            return
        if self._next_id_seen and self._accounts:
            self._ready = True
            self.inputs.append(Ready(self.server_version, self._accounts))
        else:
            self.inputs.append(GreetingSeen("managedAccounts" if self._next_id_seen else "nextValidId"))

    def error(self, *args: Any) -> None:
        """3, 4 or 5 arguments by version: (id, code, text), with advanced JSON, with a time after the id."""
        with_time = len(args) >= 4 and isinstance(args[2], int)
        code, text = (args[2], args[3]) if with_time else (args[1], args[2])
        self._say_error(args[0], code, str(text))

    def marketDataType(self, reqId: int, marketDataType: int) -> None:
        self.inputs.append(MarketDataTypeSeen(reqId, int(marketDataType)))

    def rerouteMktDataReq(self, reqId: int, conId: int, exchange: str) -> None:
        self.inputs.append(RerouteSeen(reqId, int(conId), exchange))

    def contractDetails(self, reqId: int, contractDetails: Any) -> None:
        self.inputs.append(ContractSeen(reqId, qualified(contractDetails, self._round_lot)))

    def bondContractDetails(self, reqId: int, contractDetails: Any) -> None:
        """Bonds have a message of their own, which lacks what only others have."""
        self.contractDetails(reqId, contractDetails)

    def tickPrice(self, reqId: int, tickType: int, price: float, attrib: Any) -> None:
        self._tell_price(nan)
        self._price = (reqId, tickType, price)

    def tickSize(self, reqId: int, tickType: int, size: Any) -> None:
        """Of a tick of its own, or of the price just before: the official client tells the two apart."""
        number = nan if size == UNSET_SIZE else float(size)
        if self._price is not None and (self._price[0], SIZE_OF_PRICE.get(self._price[1])) == (reqId, tickType):
            self._tell_price(number)
        else:
            self._on_tick(reqId, tickType, number, nan)

    def tickGeneric(self, reqId: int, tickType: int, value: float) -> None:
        self._on_tick(reqId, tickType, value, nan)

    def tickString(self, reqId: int, tickType: int, value: str) -> None:
        self._on_tick(reqId, tickType, value, nan)

    def tickOptionComputation(self, reqId: int, tickType: int, tickAttrib: Any, *computed: float | None) -> None:
        """Implied volatility, delta, price, dividends, gamma, vega, theta, underlying's price; None where not known."""
        self._on_tick(reqId, tickType, ";".join("" if one is None else f"{one:.12g}" for one in computed), nan)

    def tickByTickAllLast(
        self, reqId: int, tickType: int, time: int, price: float, size: Any, attrib: Any, exchange: str, special: str
    ) -> None:
        self._on_fine(reqId, TRADE_TIME, time)
        self._on_fine(reqId, TRADE, price, size_of(size))
        self._on_fine(reqId, TRADE_VENUE, f"{exchange};{special}")

    def tickByTickBidAsk(
        self, reqId: int, time: int, bidPrice: float, askPrice: float, bidSize: Any, askSize: Any, attrib: Any
    ) -> None:
        self._on_fine(reqId, QUOTE_TIME, time)
        self._on_fine(reqId, QUOTE_BID, bidPrice, size_of(bidSize))
        self._on_fine(reqId, QUOTE_ASK, askPrice, size_of(askSize))

    def tickByTickMidPoint(self, reqId: int, time: int, midPoint: float) -> None:
        self._on_fine(reqId, QUOTE_TIME, time)
        self._on_fine(reqId, MIDPOINT, midPoint)

    def realtimeBar(
        self, reqId: int, time: int, open_: float, high: float, low: float, close: float, *more: Any
    ) -> None:  # fmt: skip
        """`more`: volume, the average price by volume, and the count of trades."""
        rows = (time, open_, high, low, close, *map(size_of, more))
        for field, value in zip(range(BAR_TIME, BAR_TRADES + 1), rows, strict=True):
            self._on_fine(reqId, field, value)

    def tickNews(self, reqId: int, timeStamp: int, providerCode: str, articleId: str, headline: str, _: str) -> None:
        self._on_tick(reqId, NEWS, ";".join((str(timeStamp), providerCode, articleId, headline)), nan)

    def tickEFP(self, reqId: int, tickType: int, *parts: object) -> None:
        self._on_tick(reqId, tickType, ";".join(map(str, parts)), nan)

    def _tell_price(self, size: float) -> None:
        price, self._price = self._price, None
        if price is not None:
            self._on_tick(*price, size)

    def contractDetailsEnd(self, reqId: int) -> None:
        self.inputs.append(ContractEnd(reqId))

    def securityDefinitionOptionParameter(
        self,
        reqId: int,
        exchange: str,
        underlyingConId: int,
        tradingClass: str,
        multiplier: str,
        expirations: Any,
        strikes: Any,
    ) -> None:
        days = tuple(sorted(map(str, expirations)))
        prices = tuple(sorted(price for price in map(number_of, strikes) if price))
        self.inputs.append(OptionParamsSeen(reqId, exchange, tradingClass, str(multiplier), days, prices))

    def securityDefinitionOptionParameterEnd(self, reqId: int) -> None:
        self.inputs.append(OptionParamsEnd(reqId))

    def tickSnapshotEnd(self, reqId: int) -> None:
        self.snapshots_done.append(reqId)

    def historicalData(self, reqId: int, bar: Any) -> None:
        bars = self._bars.get(reqId)
        if bars is None:
            return
        try:
            start = bar_time(str(bar.date))
        except ValueError as error:  # ZoneInfo's among them
            self.malformed += 1
            self._warn("bar_malformed", IN.HISTORICAL_DATA, req_id=reqId, error=str(error)[:200])
        else:
            bars.append(Bar(start, bar.open, bar.high, bar.low, bar.close, number_of(bar.volume)))

    def historicalDataEnd(self, reqId: int, start: str, end: str) -> None:
        bars = self._bars.pop(reqId, None)
        if bars is not None:
            self.inputs.append(BarsSeen(reqId, bars))
            self.inputs.append(BarsEnd(reqId))

    def symbolSamples(self, reqId: int, contractDescriptions: Any) -> None:
        self.found = [
            FoundSymbol(
                con_id=int(one.contract.conId),
                symbol=one.contract.symbol,
                sec_type=one.contract.secType,
                currency=one.contract.currency,
                primary_exchange=one.contract.primaryExchange or "",
                name=getattr(one.contract, "description", "") or "",
                derivatives=list(one.derivativeSecTypes or ()),
            )
            for one in contractDescriptions or ()
        ]

    def positionProtoBuf(self, position: Any) -> None:
        """Comes before `position`, which does not come for one without a contract. Raises ValueError."""
        if not position.HasField("contract"):
            raise ValueError("a position without a contract")

    def position(self, account: str, contract: Any, position: Any, avgCost: float) -> None:
        """Which contract, and whether any of it is held: how many and at what cost ends here. Raises ValueError."""
        held = held_contract(contract)
        if not account:
            raise ValueError("a position of no account")
        if held.con_id <= 0 or not held.symbol or not isfinite(position) or position == UNSET_SIZE:
            raise ValueError("a position without a contract or a quantity")
        self.inputs.append(PositionSeen(account, held, position != 0))

    def positionEnd(self) -> None:
        self.inputs.append(PositionsEnd())

    def currentTime(self, time: int) -> None:
        self.inputs.append(CurrentTimeSeen(int(time)))
