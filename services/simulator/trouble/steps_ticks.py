"""Steps about what a subscription brings: advisories, images with holes, silence that is none, ticks out of shape."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from services.simulator.market import market_data
from services.simulator.market import prices as p
from services.simulator.trouble.faults import Asked
from services.simulator.trouble.registry import Undo, check_of, end_step, entitle, step, subscriptions
from services.simulator.trouble.world import Entitlement

if TYPE_CHECKING:
    from services.simulator.trouble.scenario import Director

FIELDS = {
    "bid": (p.BID, p.BID_SIZE), "ask": (p.ASK, p.ASK_SIZE), "last": (p.LAST, p.LAST_SIZE, p.LAST_TIME),
    "high": (p.HIGH,), "low": (p.LOW,), "close": (p.CLOSE,), "open": (p.OPEN,), "volume": (p.VOLUME,),
}  # fmt: skip


@step
def advisory(on: Director, symbol: str, code: Literal[10089, 10091] = 10089, before: bool = False) -> Undo:
    """354 for live prices; for a client that asks for type 3 or 4 the delayed ones flow, and with them, `before` the
    market data type or after it, comes an error that elsewhere is a refusal."""
    entitle(on, symbol, Entitlement(354, delayed=True, advisory=code, before=before))
    return partial(no_advisory, on, symbol)


no_advisory = end_step(
    "no_advisory", "End `advisory`; open lines notice when subscribed anew.", lambda world: world.entitlements
)


@step
def partial_image(
    on: Director, symbol: str, fields: str = "last", of: Literal["stream", "snapshot"] = "snapshot"
) -> Undo:
    """What a snapshot or a new stream begins with has these fields only (of bid, ask, last, high, low, close, open,
    volume, separated by commas); none: a snapshot that ends empty."""
    chosen = frozenset(tick for name in _names(fields) for tick in FIELDS[name])
    for key in on.keys(symbol):
        on.core.world.faults.partial[of, key] = chosen
    return partial(whole_image, on, symbol, of)


@check_of("partial_image")
def _known_fields(on: Director, arguments: Mapping[str, Any]) -> None:
    unknown = set(_names(arguments.get("fields", ""))) - FIELDS.keys()
    if unknown:
        raise ValueError(f"there is no field {min(unknown)!r}; there are {', '.join(FIELDS)}")


def _names(fields: str) -> list[str]:
    return [name for part in fields.split(",") if (name := part.strip())]


@step
def whole_image(on: Director, symbol: str, of: Asked = "snapshot") -> None:
    """End `partial_image`."""
    for key in on.keys(symbol):
        on.core.world.faults.partial.pop((of, key), None)


@step
def image_only(on: Director, symbol: str) -> Undo:
    """Each new stream brings its first image and then nothing; snapshots end empty. Open lines go dead."""
    on.core.world.faults.image_only |= on.keys(symbol)
    for one in subscriptions(on, symbol):
        one.dead = True
    return partial(more_than_image, on, symbol)


more_than_image = end_step(
    "more_than_image",
    "End `image_only`; lines that are dead stay so until subscribed anew.",
    lambda world: world.faults.image_only,
)


@step
def quiet(on: Director, symbol: str) -> Undo:
    """Nothing changes: the stream is silent, and a snapshot says the same prices."""
    on.core.world.faults.quiet |= on.keys(symbol)
    return partial(lively, on, symbol)


lively = end_step("lively", "End `quiet`.", lambda world: world.faults.quiet)


@step
def withdraw(on: Director, symbol: str) -> Undo:
    """Bid and ask turn to -1 with size 0, as when a market closes, though its hours go on; trades are still told."""
    on.core.world.faults.withdrawn |= on.keys(symbol)
    for instrument in on.instruments(symbol):
        market_data.withdraw(on.core, instrument)
    return partial(offer, on, symbol)


offer = end_step("offer", "End `withdraw`: bid and ask are back.", lambda world: world.faults.withdrawn, anew=True)


@step
def extra_field(on: Director, symbol: str) -> Undo:
    """Ticks have one field more than documented: an empty one in text, one of an unknown number in protobuf."""
    on.core.world.faults.bent |= dict.fromkeys(on.keys(symbol), "extra")
    return partial(straight, on, symbol)


@step
def missing_field(on: Director, symbol: str, how: Literal["empty", "short"] = "empty") -> Undo:
    """The last field of each price tick, its attributes, is `empty`, or it is not there at all (`short`)."""
    on.core.world.faults.bent |= dict.fromkeys(on.keys(symbol), how)
    return partial(straight, on, symbol)


straight = end_step("straight", "End `extra_field` and `missing_field`.", lambda world: world.faults.bent)


@step
def cross(on: Director, symbol: str) -> Undo:
    """Bids are told above the ask."""
    on.core.world.faults.crossed |= on.keys(symbol)
    return partial(uncross, on, symbol)


uncross = end_step("uncross", "End `cross`: everything is told anew.", lambda world: world.faults.crossed, anew=True)


@step
def stick(on: Director, symbol: str) -> Undo:
    """Sizes go on, and no price moves."""
    on.core.world.faults.stuck |= on.keys(symbol)
    return partial(unstick, on, symbol)


unstick = end_step("unstick", "End `stick`: everything is told anew.", lambda world: world.faults.stuck, anew=True)


@step
def outliers(on: Director, symbol: str, factor: float = 1.1) -> Undo:
    """Before each last price comes one that is `factor` times as large."""
    on.core.world.faults.outliers |= dict.fromkeys(on.keys(symbol), factor)
    return partial(no_outliers, on, symbol)


no_outliers = end_step("no_outliers", "End `outliers`.", lambda world: world.faults.outliers)
