"""Values that a real gateway sends now and then and that are no data: they must never end up in anybody's file."""

from services.simulator.market import prices as p
from services.simulator.market.market import Quotes
from services.simulator.market.prices import Tick

UNSET_SIZE = str(2**127 - 1)  # the maximum Decimal: the official client's "unset"
UNSET_PRICE = "1.7976931348623157E308"

ODD = (
    Tick(p.PRICE, p.BID, "-1.0", 0, 1),
    Tick(p.SIZE, p.BID_SIZE, "0"),
    Tick(p.PRICE, p.ASK, "-1.0", 0, 1),
    Tick(p.SIZE, p.ASK_SIZE, UNSET_SIZE),
    Tick(p.PRICE, p.LAST, "0.0", 0),
    Tick(p.SIZE, p.LAST_SIZE, UNSET_SIZE),
    Tick(p.SIZE, p.VOLUME, UNSET_SIZE),
    Tick(p.PRICE, p.HIGH, "-1.0"),
    Tick(p.PRICE, p.OPEN, UNSET_PRICE),
    Tick(p.STRING, p.LAST_TIME, "0"),
    Tick(p.GENERIC, p.HALTED, "-1.0"),
)


def mix_in(made: list[Tick], feed: Quotes) -> list[Tick]:
    """The odd values, then what is true, and one of the sizes twice more."""
    again = [tick for tick in made if tick.kind == p.SIZE][:1] or [Tick(p.SIZE, p.BID_SIZE, "", feed.quote("bid")[1])]
    return [*ODD, *feed.image(), *again, *again]


def crossed(made: list[Tick], feed: Quotes) -> list[Tick]:
    """The same, with each bid above the ask."""
    bid = f"{float(feed.quote('ask')[0]) * 1.0005:.{feed.instrument.decimals}f}"
    return [tick._replace(text=bid) if tick.field == p.BID and tick.kind == p.PRICE else tick for tick in made]


def with_outliers(made: list[Tick], feed: Quotes, factor: float) -> list[Tick]:
    """The same, with a last price that is `factor` times as large before each one."""
    told: list[Tick] = []
    for tick in made:
        if tick.field == p.LAST and tick.kind == p.PRICE:
            told.append(tick._replace(text=f"{float(tick.text) * factor:.{feed.instrument.decimals}f}"))
        told.append(tick)
    return told
