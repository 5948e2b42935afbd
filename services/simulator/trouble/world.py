"""What is wrong in the simulated world right now: links, farms, entitlements, halts, hours. Scenario steps change
it, the server looks at it. All is well in a new one.
"""

from dataclasses import dataclass, field
from typing import Literal

from services.simulator.market.contracts import Instrument
from services.simulator.market.hours import MarketHours
from services.simulator.trouble.faults import Faults

MARKET_FARMS = ("usfarm", "usfarm.nj", "cashfarm", "usfuture", "eufarm", "hfarm")
HISTORY_FARM = "ushmds"
SEC_DEF_FARM = "secdefil"

FarmState = Literal["ok", "idle", "broken"]
Params = Literal["first", "second", "never"]
"""Whether tickReqParams (81) comes before the market data type (58), after it, or not at all."""


@dataclass(frozen=True)
class Entitlement:
    """What the account may not see of a symbol. `code`: 354, 10089, 10090 or 10091; `delayed`: whether delayed
    prices are offered instead to a client that asks for them. `advisory`: an error that such a client is told
    beside them, `before` its market data type or after it (0: none)."""

    code: int
    delayed: bool
    advisory: int = 0
    before: bool = False


@dataclass
class World:
    hours: MarketHours = field(default_factory=MarketHours)
    line_limit: int = 100
    message_limit: int = 50
    strikes_allowed: int = 3
    history_pacing: bool = True
    deaf: bool = False  # accepts connections, answers nothing
    ids_taken: bool = False  # 326 for everybody
    ib_link: bool = True  # false between 1100 and 1101 or 1102
    competing: bool = False  # 10197
    all_starved: bool = False
    starved: set[str] = field(default_factory=set)
    rejected: set[str] = field(default_factory=set)  # error 200
    odd: set[str] = field(default_factory=set)  # -1 prices, unset sizes, "0" times
    entitlements: dict[str, Entitlement] = field(default_factory=dict)
    params: Params = "first"
    late_ticks: float = 0.0  # seconds for which ticks go on after a cancel
    session_zone: str = ""  # the zone of bars' times; empty: the exchange's
    fractional: bool = False  # last sizes of stocks have a fraction, for clients that can take it
    lots: bool = False  # sizes and volumes of US stocks are in hundreds of shares
    empty_hours: bool = False  # hours begin with an empty segment
    notices: tuple[tuple[str, FarmState], ...] | None = None  # market farms that a new client hears of; None: all
    faults: Faults = field(default_factory=Faults)
    farms: dict[str, FarmState] = field(
        default_factory=lambda: dict.fromkeys((*MARKET_FARMS, HISTORY_FARM, SEC_DEF_FARM), "ok")
    )

    def exists(self, instrument: Instrument, with_expired: bool = False) -> bool:
        """Whether IB finds the contract now; 200 if not."""
        expired = instrument.key in self.faults.expired and not with_expired
        return not (self.faults.refusing or expired or instrument.key in self.rejected)

    def flows(self, instrument: Instrument) -> bool:
        """Whether prices of the instrument reach subscribers at all, hours aside."""
        return (
            self.ib_link
            and not self.competing
            and not self.all_starved
            and self.farms[instrument.farm] != "broken"
            and instrument.key not in self.starved
        )
