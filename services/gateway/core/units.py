"""What IB's sizes and volumes count: told in the tick stream beside the numbers, which stay there as IB sent them.

Called when a symbol's contract or subscription is told. A unit follows from the kind of tick, the server version and
the contract details, never from one of them alone. Where it does not follow, it is not known, and the fold then gives
no size or volume rather than a wrong one. Sources: TWS API "Available Tick Types", the names of the server versions
in IB's client, and frames that gateways sent in 2026 (tests/data/captures):

- Bid, ask and last sizes of US stocks are shares from version 159 on (seen at 200 to 225), before in round lots.
- Day volume of US stocks is in round lots before 220. The delayed one (74) still is at 225. The live one (8) is in
  shares from 220 on, by that version's name.
- A round lot is what the details call the suggested size increment (100 or 40 for one stock, within a year); before
  version 164 their market data size multiplier.
- What a trade report (RTVolume, ticks 48 and 77) counts is taken for what last size and volume count: nothing else is
  told of it.
- Nobody tells what sizes of a bond count: pieces, or a thousand of face value.
- Of futures and options, sizes and volume are in contracts. Stocks elsewhere have sizes in shares; nobody says whether
  volume is in lots, where a round lot is more than one share. The volume of anything else has no unit that is told.
"""

from typing import Final, NamedTuple, TypeGuard

from messages.events import ContractQualified
from services.gateway.core.listings import at_home

UNKNOWN: Final = 0.0
SIZES_IN_SHARES: Final = 159  # server versions
BARS_IN_SHARES: Final = 175
VOLUMES_IN_SHARES: Final = 220

_CONTRACTS: Final = frozenset({"FUT", "OPT", "FOP", "CONTFUT", "WAR", "IOPT"})


class Doubt(NamedTuple):
    """Of US stocks on this connection: numbers that are not in the unit that follows (unit_check.py)."""

    sizes: bool = False
    volume: bool = False
    delayed_volume: bool = False


class Units(NamedTuple):
    """Shares or contracts that one stands for, 0 where that is not known."""

    size: float  # bid, ask and last sizes
    volume: float  # tick 8
    delayed_volume: float  # tick 74
    bars: float  # volume of bars


NO_DOUBT: Final = Doubt()


def is_us_stock(contract: ContractQualified | None) -> TypeGuard[ContractQualified]:
    return contract is not None and contract.sec_type == "STK" and contract.currency == "USD" and at_home(contract)


def units(contract: ContractQualified | None, server_version: int, doubt: Doubt = NO_DOUBT) -> Units:
    """The units of what a gateway of this version sends of the contract; `None`: of one without details."""
    known = _units(contract, server_version)
    if doubt is NO_DOUBT or not is_us_stock(contract):
        return known
    return Units(
        UNKNOWN if doubt.sizes else known.size,
        UNKNOWN if doubt.volume else known.volume,
        UNKNOWN if doubt.delayed_volume else known.delayed_volume,
        known.bars,
    )


def _units(contract: ContractQualified | None, server_version: int) -> Units:
    in_shares = 1.0 if server_version >= SIZES_IN_SHARES else UNKNOWN
    if contract is None:
        return Units(in_shares, UNKNOWN, UNKNOWN, UNKNOWN)
    if contract.sec_type in _CONTRACTS:
        return Units(1.0, 1.0, 1.0, 1.0)
    if contract.sec_type == "BOND":
        return Units(UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN)
    if contract.sec_type != "STK":
        return Units(1.0, UNKNOWN, UNKNOWN, UNKNOWN)
    lot = contract.suggested_size_increment
    if lot == 1:
        return Units(1.0, 1.0, 1.0, 1.0)
    if not is_us_stock(contract):
        return Units(1.0, UNKNOWN, UNKNOWN, UNKNOWN)
    return Units(
        size=1.0 if server_version >= SIZES_IN_SHARES else lot,
        volume=1.0 if server_version >= VOLUMES_IN_SHARES else lot,
        delayed_volume=lot,
        bars=1.0 if server_version >= BARS_IN_SHARES else lot,
    )
