"""What a scenario can do: one function a step, its parameters the step's keys. Returns how to undo it, if it can be
undone; a step with `for` is undone after that time, and `calm` undoes everything.

Called by scenario.py, which checks names, types and times.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Literal

from services.base.clock import SECOND
from services.simulator.client import Client
from services.simulator.core import farm_message
from services.simulator.market import market_data
from services.simulator.market.hours import Span
from services.simulator.market.prices import GENERIC, HALTED, Tick
from services.simulator.trouble import burst as bytes_of
from services.simulator.trouble.registry import Undo, end_step, entitle, lose_lines, revive, step, subscriptions
from services.simulator.trouble.steps_contracts import one_listing, uncross_volumes
from services.simulator.trouble.world import HISTORY_FARM, SEC_DEF_FARM, Entitlement, World

if TYPE_CHECKING:
    from services.simulator.trouble.scenario import Director

TROUBLES = (
    "ids_taken", "competing", "all_starved", "starved", "rejected", "odd", "entitlements", "faults",
    "params", "late_ticks", "session_zone", "empty_hours", "fractional", "lots", "notices",
)  # fmt: skip
LASTING = 3600.0  # seconds: silence and dribbling without `for` end here


# --- the socket ---


@step
def stop_listening(on: Director) -> Undo:
    """New connections are refused."""
    on.core.listen(False)
    return partial(listen, on)


@step
def listen(on: Director) -> None:
    """Accept connections again, on the same port."""
    on.core.listen(True)


@step
def drop(on: Director, how: Literal["close", "reset", "mid_frame"] = "close") -> None:
    """End every connection: in good order, with a TCP reset, or in the middle of a frame."""
    for client in list(on.core.clients.values()):
        if how == "mid_frame":
            on.core.send_raw(client, bytes_of.unknown_message(client.replies.version)[:9])
        on.core.close(client, f"scenario: {how}", abort=how == "reset")


@step
def restart(on: Director, how: Literal["close", "reset", "mid_frame"] = "reset") -> Undo:
    """The gateway goes away: connections end, new ones are refused, until undone."""
    drop(on, how)
    return stop_listening(on)


@step
def deaf(on: Director) -> Undo:
    """New connections are accepted and never answered, as by a container's port forwarder."""
    on.core.world.deaf = True
    return partial(hear, on)


@step
def hear(on: Director) -> None:
    """Answer new connections again; those that were never answered end."""
    on.core.world.deaf = False
    for client in [one for one in on.core.clients.values() if one.deaf]:
        on.core.close(client, "scenario: was never answered")


@step
def silence(on: Director) -> Undo:
    """Nothing at all is sent on open connections; answers wait, prices are lost."""
    until = on.core.now + int(LASTING * SECOND)
    for client in on.core.clients.values():
        client.silent_until = until
    return partial(speak, on)


@step
def speak(on: Director) -> None:
    """End silence and dribbling: what waited is sent."""
    for client in on.core.clients.values():
        client.silent_until = client.dribble_until = 0


@step
def dribble(on: Director) -> Undo:
    """Everything is sent one byte at a time."""
    until = on.core.now + int(LASTING * SECOND)
    for client in on.core.ready_clients():
        client.dribble_until = until
    return partial(speak, on)


@step
def burst(on: Director, size: int = 4096, silence: float = 10.0) -> None:
    """Half a second of silence, exactly `size` bytes of whole ticks in one piece, then `silence` seconds of nothing."""
    core = on.core
    pause, rest = on.scaled(0.5), on.scaled(silence)
    for client in core.ready_clients():
        client.silent_until = core.now + int((pause + rest + 1) * SECOND)

        def fire(client: Client = client) -> None:
            data, ticks = bytes_of.exact(core, client, size)
            if data:
                core.send_raw(client, data, ticks)
            client.silent_until = core.now + int(rest * SECOND)

        core.after(pause, fire)


@step
def garbage(on: Director, kind: Literal["bytes", "fields"] = "bytes", count: int = 1) -> None:
    """Frames of an honest length that hold nonsense."""
    for client in on.core.ready_clients():
        for _ in range(count):
            version = client.replies.version
            on.core.send_raw(client, bytes_of.garbage(on.random) if kind == "bytes" else bytes_of.bad_fields(version))


@step
def absurd_length(on: Director) -> None:
    """A frame that announces two gigabytes. Nothing sensible can follow it."""
    for client in on.core.ready_clients():
        on.core.send_raw(client, bytes_of.absurd_length())


@step
def unknown_message(on: Director) -> None:
    """A well-formed message of an id that no client knows."""
    for client in on.core.ready_clients():
        on.core.send_raw(client, bytes_of.unknown_message(client.replies.version))


@step
def ids_taken(on: Director) -> Undo:
    """Every client id is in use: 326, and the socket closes."""
    on.core.world.ids_taken = True
    return partial(ids_free, on)


@step
def ids_free(on: Director) -> None:
    """End `ids_taken`."""
    on.core.world.ids_taken = False


@step
def move_port(on: Director, port: int = 0) -> None:
    """1300: the API port is changed (0: to any free one); the old connections end and the old port is closed."""

    def moved(new: int) -> None:
        text = (
            "TWS socket port has been reset and this connection is being dropped. Please reconnect on the new port - "
        )
        on.core.tell_all(1300, f"{text}{new}")
        drop(on)

    on.core.on_listening = moved
    on.core.listen(True, port)


# --- the link between gateway and IB ---


@step
def ib_down(on: Director, data: Literal["kept", "lost"] = "kept", ticks: bool = True) -> Undo:
    """1100: the gateway lost IB; prices stop, the socket stays. `data` and `ticks` say how undoing it ends."""
    on.core.world.ib_link = False
    on.core.tell_all(1100, "Connectivity between IB and the gateway has been lost.")
    return partial(ib_up, on, data, ticks)


@step
def ib_up(on: Director, data: Literal["kept", "lost"] = "kept", ticks: bool = True) -> None:
    """1102 (data kept) or 1101 (data lost: subscriptions are gone). Without `ticks`, 1102 promises data and none
    comes on the lines of before."""
    core = on.core
    core.world.ib_link = True
    if data == "lost":
        core.tell_all(1101, "Connectivity between IB and the gateway has been restored - data lost.")
        for subscription in subscriptions(on):
            market_data.lose(core, subscription)
        return
    core.tell_all(1102, "Connectivity between IB and the gateway has been restored - data maintained.")
    revive(subscriptions(on), ticks)


@step
def server_broken(on: Director) -> None:
    """2110: gateway to server broken; it heals itself, prices may go on."""
    text = "Connectivity between the gateway and the server is broken. It will be restored automatically."
    on.core.tell_all(2110, text)


@step
def farm_down(on: Director, farm: str = "usfarm", ticks: bool = True) -> Undo:
    """2103, 2105 or 2157: a farm breaks; what it serves stops. The socket and other farms stay."""
    on.core.world.farms[farm] = "broken"
    on.core.tell_all(*farm_message(_kind(farm), farm, "broken"))
    return partial(farm_up, on, farm, ticks)


@step
def farm_up(on: Director, farm: str = "usfarm", ticks: bool = True) -> None:
    """2104, 2106 or 2158: it is back. Without `ticks`, its old lines stay dead until subscribed anew."""
    on.core.world.farms[farm] = "ok"
    on.core.tell_all(*farm_message(_kind(farm), farm, "ok"))
    revive([one for one in subscriptions(on) if one.instrument.farm == farm], ticks)


@step
def farm_idle(on: Director, farm: str = "ushmds") -> None:
    """2107 or 2108: inactive, available on demand. Normal."""
    on.core.world.farms[farm] = "idle"
    on.core.tell_all(*farm_message(_kind(farm), farm, "idle"))


@step
def competing(on: Director, ticks: bool = True) -> Undo:
    """10197 for every line: another session of the same user has the prices."""
    on.core.world.competing = True
    for subscription in subscriptions(on):
        on.core.error(subscription.client, subscription.request, 10197, market_data.COMPETING)
    return partial(competing_over, on, ticks)


@step
def competing_over(on: Director, ticks: bool = True) -> None:
    """The other session has ended. Without `ticks`, the lines of before stay dead until subscribed anew."""
    on.core.world.competing = False
    revive(subscriptions(on), ticks)


# --- symbols ---


@step
def starve(on: Director, symbol: str = "") -> Undo:
    """Prices stop without a word: of some symbols (separated by commas), or of all."""
    if symbol:
        on.core.world.starved |= on.keys(symbol)
    else:
        on.core.world.all_starved = True
    return partial(feed, on, symbol)


@step
def feed(on: Director, symbol: str = "") -> None:
    """End `starve`."""
    if symbol:
        on.core.world.starved -= on.keys(symbol)
    else:
        on.core.world.all_starved = False
        on.core.world.starved.clear()


@step
def kill_line(on: Director, symbol: str) -> None:
    """The open lines of these symbols go dead without a word; subscribing anew mends it."""
    revive(subscriptions(on, symbol), ticks=False)


@step
def reject(on: Director, symbol: str) -> Undo:
    """200: these symbols do not exist any more."""
    on.core.world.rejected |= on.keys(symbol)
    lose_lines(on, symbol, 200, market_data.NOT_FOUND)
    return partial(accept, on, symbol)


accept = end_step("accept", "End `reject`.", lambda world: world.rejected)


@step
def not_entitled(
    on: Director, symbol: str, code: Literal[354, 10089, 10090, 10091] = 354, delayed: bool = True
) -> Undo:
    """The account may not see the live prices of these symbols. With `delayed`, it may see delayed ones (10167 for
    clients that ask for type 3 or 4), else they get 10168, or 10089 alone. 10090 and 10091: only bid and ask are
    missing."""
    entitle(on, symbol, Entitlement(code, delayed))
    return partial(entitled, on, symbol)


entitled = end_step(
    "entitled", "End `not_entitled`; open lines notice when subscribed anew.", lambda world: world.entitlements
)


@step
def halt(on: Director, symbol: str, kind: Literal[1, 2] = 1) -> Undo:
    """Tick 49: trading halts (1 regulatory, 2 volatility); no more prices."""
    _set_halt(on, symbol, kind)
    return partial(resume, on, symbol)


@step
def resume(on: Director, symbol: str) -> None:
    """End `halt`."""
    _set_halt(on, symbol, 0)


@step
def bust(on: Director, symbol: str) -> None:
    """10225: a bust event deactivates the lines of these symbols; subscribe anew."""
    text = "Bust event occurred, current subscription is deactivated. Please resubscribe."
    lose_lines(on, symbol, 10225, text)


@step
def odd(on: Director, symbol: str = "") -> Undo:
    """Prices of -1, sizes of the maximum Decimal, times of "0", doubled sizes, between the honest ticks."""
    on.core.world.odd |= on.keys(symbol)
    return partial(even, on, symbol)


@step
def even(on: Director, symbol: str = "") -> None:
    """End `odd`."""
    on.core.world.odd -= on.keys(symbol)


@step
def error(on: Director, code: int, message: str, symbol: str = "") -> None:
    """Any error message: for the lines of these symbols, or for the system (id -1). Code 0: without a code."""
    if not symbol:
        on.core.tell_all(code, message)
    for one in subscriptions(on, symbol) if symbol else ():
        on.core.error(one.client, one.request, code, message)


# --- limits ---


@step
def lines(on: Director, limit: int = 100) -> None:
    """How many market data lines may be open before 101. Open ones stay."""
    on.core.world.line_limit = limit


@step
def message_limit(on: Director, limit: int = 50) -> None:
    """How many messages a second before 100, for connections old and new."""
    on.core.world.message_limit = limit
    for client in on.core.clients.values():
        client.rate.limit = limit


# --- hours ---


@step
def hours(on: Director, schedule: Literal["always", "regular"] = "regular") -> Undo:
    """`always`: every market trades day and night. `regular`: the US calendar with holidays and half days."""
    on.core.world.hours.overrides.clear()
    on.core.world.hours.schedule = schedule
    return partial(_always_open, on)


@step
def holiday(on: Director) -> Undo:
    """Today is closed."""
    on.core.world.hours.overrides[on.core.world.hours.local(on.core.now).date()] = []
    return partial(_always_open, on)


@step
def session(on: Director, opens_in: float = -1, closes_in: float = -1, opens_again_in: float = -1) -> Undo:
    """Today's hours, in seconds from now, each at the next full minute (IB writes hours no finer). Below 0: open
    from midnight, until midnight, and closed for the rest of the day. A half day is a session that closes soon."""
    market = on.core.world.hours
    now = market.local(on.core.now)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    tomorrow, minute = midnight + timedelta(days=1), timedelta(minutes=1)

    def moment(seconds: float) -> datetime:
        return midnight + minute * -(-((now - midnight).total_seconds() + on.scaled(seconds)) // 60)

    start = moment(opens_in) if opens_in >= 0 else midnight
    end = min(max(moment(closes_in), start + minute), tomorrow) if closes_in >= 0 else tomorrow
    spans = [Span(start, end)]
    if opens_again_in >= 0 and end + minute < tomorrow:
        spans.append(Span(max(moment(opens_again_in), end + minute), tomorrow))
    market.overrides[now.date()] = spans
    return partial(_always_open, on)


# --- everything ---


@step
def chaos(on: Director, seed: int = 1, seconds: float = 600.0) -> None:
    """A seeded mix of troubles for `seconds`, then calm."""
    on.chaos(seed, seconds)


@step
def calm(on: Director) -> None:
    """All is well again, with the messages that say so. Lines that died stay dead until subscribed anew."""
    world, fresh = on.core.world, World()
    hear(on)
    speak(on)
    one_listing(on)
    for root in tuple(world.faults.volumes_crossed):
        uncross_volumes(on, root)
    for farm in [name for name, state in world.farms.items() if state == "broken"]:
        farm_up(on, farm)
    if not world.ib_link:
        ib_up(on)
    told_otherwise = world.faults.magnifiers.keys() | world.faults.withdrawn | world.faults.crossed | world.faults.stuck
    for name in TROUBLES:
        setattr(world, name, getattr(fresh, name))
    for one in subscriptions(on):
        one.image_due = one.image_due or one.instrument.key in told_otherwise
    hours(on, "always")
    resume(on, "")
    on.core.listen(True)


# --- what steps are made of ---


def _set_halt(on: Director, symbol: str, kind: int) -> None:
    known = {found.instrument.key: found.instrument for found in on.core.market.feeds()}
    for instrument in on.instruments(symbol) if symbol else known.values():
        found = on.core.market.feed(instrument, on.core.now)
        if found.halted != kind:
            found.halted = kind
            market_data.tell(on.core, instrument, [Tick(GENERIC, HALTED, f"{kind}.0")])


def _always_open(on: Director) -> None:
    hours(on, "always")


def _kind(farm: str) -> str:
    return {HISTORY_FARM: "HMDS data", SEC_DEF_FARM: "Sec-def data"}.get(farm, "market data")
