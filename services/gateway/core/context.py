"""What the parts of the gateway's core share: the symbols, deadlines, settings, memory, and where effects go.

Built by the core, handed to each part. `now` is the time of the input in hand, UTC nanoseconds.
"""

import random
from typing import Literal

from messages.events import Bar, BarsReceived, ContractQualified, LinkEvent
from messages.fields import (
    CONTRACT_MONTH,
    CURRENCY,
    DELAYED_VOLUME_UNIT,
    EXCHANGE,
    FIELDS_SINCE,
    LOCAL_SYMBOL,
    MULTIPLIER,
    PRICE_MAGNIFIER,
    SIZE_UNIT,
    SOURCE,
    SOURCE_MOCK,
    VOLUME_UNIT,
)
from services.base.settings import Settings
from services.gateway.core.deadlines import SECOND, Deadlines, Part, ns
from services.gateway.core.interface import NAN, Effect, Emit, EmitTicks, Row
from services.gateway.core.memory import Memory
from services.gateway.core.symbol import SharedFacts, Symbol
from services.gateway.core.units import NO_DOUBT, Units, units

BUSY_SHARE = 0.8
"""Of the span for which prices are vouched for: silence after which a busy symbol's stream is no proof any more. The
rest is for saying so."""

OVERNIGHT = "OVERNIGHT"  # IB's exchange of US stocks at night


class Context:
    def __init__(self, settings: Settings, rng: random.Random, memory: Memory) -> None:
        self.settings = settings
        self.rng = rng
        self.memory = memory
        self.symbols: dict[str, Symbol] = {}
        self.given: dict[str, int] = {}  # symbols that left the plan: time of the newest price they had
        self.shared = SharedFacts(
            ns(settings.stale_after), ns(settings.link_stale_after), ns(settings.good_for_seconds * BUSY_SHARE)
        )
        self.deadlines = Deadlines()
        self.effects: list[Effect] = []
        self.now = 0
        self.server_version = 0  # of this connection, or of the last one
        self.doubt = NO_DOUBT  # of the units of US stocks, on this connection
        self.mock = settings.api_mode == "mock"
        self._touched: dict[str, Symbol] = {}

    def out(self, effect: Effect) -> None:
        self.effects.append(effect)

    def emit(self, event: LinkEvent) -> None:
        """Say it on the stream `link`, and remember it as a restarted gateway would."""
        self.memory.apply(event, self.now)
        self.effects.append(Emit(event))

    def due_in(self, part: Part, what: str, span: int) -> None:
        """Have the core's part called so many nanoseconds from now."""
        self.deadlines.set((part, what), self.now + span)

    def ticks(self, symbol: str, rows: list[Row]) -> None:
        self.effects.append(EmitTicks(symbol, rows))

    def bars(self, symbol: Symbol, bars: list[Bar], purpose: Literal["fallback", "gap_fill"]) -> None:
        """Keep one-minute bars of its history."""
        unit = self._units(symbol).bars
        self.emit(
            BarsReceived(
                symbol=symbol.name, bar_seconds=60, bars=bars, purpose=purpose, mock=self.mock, volume_unit=unit
            )
        )

    def roll(self, symbol: Symbol, since: int) -> None:
        """Its file begins anew: it says which contract it is, and has nothing that IB sent before `since`."""
        symbol.price.fields_since, symbol.price.contract_told = since, True
        self.ticks(symbol.name, [(FIELDS_SINCE, since / SECOND, NAN, ""), *self.contract_rows(symbol)])
        self.touch(symbol)

    # --- which symbols are to be reviewed after this input ---

    def touch(self, symbol: Symbol) -> None:
        self._touched[symbol.name] = symbol

    def touch_all(self) -> None:
        self._touched.update(self.symbols)

    def untouch(self, symbol: Symbol) -> None:
        self._touched.pop(symbol.name, None)

    def take_touched(self) -> dict[str, Symbol]:
        """The touched ones, once each; from now on they are to be touched anew."""
        touched, self._touched = self._touched, {}
        return touched

    # --- the marks in the tick stream ---

    def priced_by(self, symbol: Symbol, source: int, time: int, since: int) -> None:
        """The price in its file comes from this source (messages.fields.SOURCE_*) and is of this time. What was
        received before `since`, when the source was asked, is not of this source, and does not stand beside it."""
        price = symbol.price
        price.time = max(price.time, time)
        price.source = source
        mark = source + SOURCE_MOCK if self.mock else source
        rows: list[Row] = []
        if price.mark != mark:
            price.mark = mark
            rows.append((SOURCE, float(mark), NAN, ""))
        if price.fields_since != since:
            price.fields_since = since
            rows.append((FIELDS_SINCE, since / SECOND, NAN, ""))
        if rows:
            rows += self.unit_rows(symbol) if price.contract_told else self.contract_rows(symbol)
            price.contract_told = True
            self.ticks(symbol.name, rows)
        self.touch(symbol)

    def contract_rows(self, symbol: Symbol) -> list[Row]:
        contract = self.memory.contracts.get(symbol.name)
        exchange = contract and (contract.primary_exchange or contract.exchange)
        if symbol.planned.exchange == OVERNIGHT:
            exchange = OVERNIGHT  # its prices are not those of the exchange where the stock is listed
        return [
            (CURRENCY, 0.0, NAN, contract.currency if contract else symbol.planned.currency),
            (EXCHANGE, 0.0, NAN, exchange or symbol.planned.exchange),
            (PRICE_MAGNIFIER, float(contract.price_magnifier if contract else 1), NAN, ""),
            (MULTIPLIER, contract.multiplier if contract else 1.0, NAN, ""),
            *_month_rows(contract),
            *self.unit_rows(symbol),
        ]

    def unit_rows(self, symbol: Symbol) -> list[Row]:
        """Of what comes on this connection. Market data of another contract (a CFD's is that of its stock) has units
        that the symbol's details do not tell."""
        told = self._units(symbol)
        return [
            (SIZE_UNIT, told.size, NAN, ""),
            (VOLUME_UNIT, told.volume, NAN, ""),
            (DELAYED_VOLUME_UNIT, told.delayed_volume, NAN, ""),
        ]

    def _units(self, symbol: Symbol) -> Units:
        contract = self.memory.contracts.get(symbol.name) if symbol.contract.route is None else None
        return units(contract, self.server_version, self.doubt)


def _month_rows(contract: ContractQualified | None) -> list[Row]:
    if contract is None or contract.sec_type != "FUT":
        return []
    return [(LOCAL_SYMBOL, 0.0, NAN, contract.local_symbol), (CONTRACT_MONTH, 0.0, NAN, contract.contract_month)]
