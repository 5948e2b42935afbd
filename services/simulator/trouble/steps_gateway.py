"""Steps about the gateway as such: how it greets, which language and clock it has, and whatever bytes you like."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from services.simulator.client import Client
from services.simulator.trouble import burst as bytes_of
from services.simulator.trouble.faults import Greeting, Language
from services.simulator.trouble.registry import Undo, check_of, revive, step, subscriptions

if TYPE_CHECKING:
    from services.simulator.trouble.scenario import Director

RESTORED = "Connectivity between IB and the gateway has been restored - data maintained."


@step
def half_greeting(
    on: Director, missing: Literal["accounts", "order_id", "both"] = "accounts", late: float = 0.0
) -> Undo:
    """A client that starts is not told the accounts or the first order id, or only `late` seconds later (0: never)."""
    on.core.world.faults.greeting = Greeting(missing, on.scaled(late))
    return partial(whole_greeting, on)


@step
def whole_greeting(on: Director) -> None:
    """End `half_greeting`, for new connections."""
    on.core.world.faults.greeting = None


@step
def farms_in_1102(on: Director, broken: str = "") -> None:
    """1102, whose text alone says how the farms are: those of `broken` (separated by commas) are not connected, all
    others are, and no 2103 or 2104 comes. Begin it with `ib_down`."""
    core = on.core
    core.world.ib_link = True
    names = {name.strip() for name in broken.split(",") if name.strip()}
    for farm in core.world.farms:
        core.world.farms[farm] = "broken" if farm in names else "ok"
    connected = "; ".join(farm for farm in core.world.farms if farm not in names)
    if names:
        lists = f"The following farms are connected: {connected}. The following farms are not connected: "
        core.tell_all(1102, f"{RESTORED} {lists}{'; '.join(sorted(names))}.")
    else:
        core.tell_all(1102, f"{RESTORED} All data farms are connected: {connected}.")
    revive(subscriptions(on), ticks=True)


@check_of("farms_in_1102")
def _known_farms(on: Director, arguments: Mapping[str, Any]) -> None:
    for farm in filter(None, map(str.strip, arguments.get("broken", "").split(","))):
        on.check_farm(farm)


@step
def localised(on: Director, language: Language = "zh") -> Undo:
    """Messages of farms, links and requests come in German or Chinese; codes and the names of farms stay."""
    on.core.world.faults.language = language
    return partial(in_english, on)


@step
def in_english(on: Director) -> None:
    """End `localised`."""
    on.core.world.faults.language = "en"


@step
def clock(on: Director, offset: float = 90.0) -> Undo:
    """The gateway's clock is `offset` seconds ahead (below 0: behind): in its greeting, in errors, and when asked."""
    on.core.world.faults.clock_offset = offset
    return partial(clock_right, on)


@step
def clock_right(on: Director) -> None:
    """End `clock`."""
    on.core.world.faults.clock_offset = 0.0


@step
def chatter(on: Director, code: int = 1100, message: str = "", count: int = 833) -> None:
    """The same system message `count` times in one burst; by itself it changes nothing else."""
    text = message or "Connectivity between IB and the gateway has been lost."
    for _ in range(count):
        on.core.tell_all(code, text)


@step
def raw(on: Director, text: str = "", hex: str = "", base64: str = "", symbol: str = "") -> None:
    """Anything: `text` is one message, its fields separated by `|` (`ID` stands for the request id of each line of
    these symbols, of all lines if none is named); `hex` and `base64` are bytes, sent as they are."""
    if text:
        _raw_text(on, text, symbol)
    data = bytes_of.decoded(hex, base64)
    if data:
        for client in on.core.ready_clients():
            on.core.send_raw(client, data)


@check_of("raw")
def _is_bytes(on: Director, arguments: Mapping[str, Any]) -> None:
    bytes_of.decoded(arguments.get("hex", ""), arguments.get("base64", ""))


def _raw_text(on: Director, text: str, symbol: str) -> None:
    fields = text.removesuffix("|").split("|")
    whom: list[tuple[Client, str]] = [(client, "") for client in on.core.ready_clients()]
    if "ID" in fields:
        whom = [(line.client, str(line.request)) for line in subscriptions(on, symbol)]
    for client, request in whom:
        filled = [request if one == "ID" else one for one in fields]
        on.core.send_raw(client, bytes_of.text_message(client.replies.version, filled))
