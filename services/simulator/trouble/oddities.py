"""Values that a real gateway sends now and then and that are no data: they must never end up in anybody's file."""

from services.simulator.market.market import Quotes
from services.simulator.market.prices import (
    ASK,
    ASK_SIZE,
    BID,
    BID_SIZE,
    GENERIC,
    HALTED,
    HIGH,
    LAST,
    LAST_SIZE,
    LAST_TIME,
    OPEN,
    PRICE,
    SIZE,
    STRING,
    VOLUME,
    Tick,
)

UNSET_SIZE = str(2**127 - 1)  # the maximum Decimal: the official client's "unset"
UNSET_PRICE = "1.7976931348623157E308"

ODD = (
    Tick(PRICE, BID, "-1.0", 0, 1),
    Tick(SIZE, BID_SIZE, "0"),
    Tick(PRICE, ASK, "-1.0", 0, 1),
    Tick(SIZE, ASK_SIZE, UNSET_SIZE),
    Tick(PRICE, LAST, "0.0", 0),
    Tick(SIZE, LAST_SIZE, UNSET_SIZE),
    Tick(SIZE, VOLUME, UNSET_SIZE),
    Tick(PRICE, HIGH, "-1.0"),
    Tick(PRICE, OPEN, UNSET_PRICE),
    Tick(STRING, LAST_TIME, "0"),
    Tick(GENERIC, HALTED, "-1.0"),
)


def mix_in(made: list[Tick], feed: Quotes) -> list[Tick]:
    """The odd values, then what is true, and one of the sizes twice more."""
    again = [tick for tick in made if tick.kind == SIZE][:1] or [Tick(SIZE, BID_SIZE, "", feed.quote("bid")[1])]
    return [*ODD, *feed.image(), *again, *again]


def crossed(made: list[Tick], feed: Quotes) -> list[Tick]:
    """The same, with each bid above the ask."""
    bid = f"{float(feed.quote('ask')[0]) * 1.0005:.{feed.instrument.decimals}f}"
    return [tick._replace(text=bid) if tick.field == BID and tick.kind == PRICE else tick for tick in made]


def with_outliers(made: list[Tick], feed: Quotes, factor: float) -> list[Tick]:
    """The same, with a last price that is `factor` times as large before each one."""
    told: list[Tick] = []
    for tick in made:
        if tick.field == LAST and tick.kind == PRICE:
            told.append(tick._replace(text=f"{float(tick.text) * factor:.{feed.instrument.decimals}f}"))
        told.append(tick)
    return told
