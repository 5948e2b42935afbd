"""A night in the life, and the days around it: from a Friday afternoon to Monday morning in New York, with the resets,
the end of the weekly login, flapping farms, an outage that outlives its window, a half day, and the end of summer time.

After each step the world checks that nothing is called current without proof, that IB's rules are kept, and that each
field of a quote that is not stale was brought by its source. Here it is told what happens, and how soon all is well.
"""

from collections import Counter
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from messages.events import LinkChanged
from tests.simulation.ib_world import SECOND, IbError, World, fx

NEW_YORK = ZoneInfo("America/New_York")
DAYS = ("20261030", "20261031", "20261101", "20261102", "20261103")  # summer time ends on Sunday 1 November
STOCK = "20261030:0930-20261030:1600;20261031:CLOSED;20261101:CLOSED;20261102:0930-20261102:1600;20261103:CLOSED"
HALF_DAY = STOCK.replace("20261030:1600", "20261030:1300")
ALL_DAY = ";".join(f"{day}:0000-{day}:2400" for day in DAYS)
HOURS = {"SPY": STOCK, "HALF": HALF_DAY, "BTC": ALL_DAY}

WELL_AGAIN = 45  # seconds, at the latest, from when IB is well until every open symbol is live


def at(day: int, clock: str) -> int:
    """UTC nanoseconds of a time in New York; days from Friday 30 October."""
    hour, minute = map(int, clock.split(":"))
    local = datetime(2026, 10, 30, tzinfo=NEW_YORK).replace(day=30 + day) if day < 2 else datetime(2026, 11, day - 1)
    moment = local.replace(hour=hour, minute=minute, tzinfo=NEW_YORK)
    return int(moment.astimezone(UTC).timestamp()) * SECOND


def is_open(now: int, symbol: str) -> bool:
    local = datetime.fromtimestamp(now / SECOND, UTC).astimezone(NEW_YORK)
    if symbol == "BTC":
        return True
    minutes = local.hour * 60 + local.minute
    close = 13 * 60 if symbol == "HALF" and local.day == 30 else 16 * 60
    return local.weekday() < 5 and 570 <= minutes < close


class Week:
    def __init__(self) -> None:
        self.world = world = World(["SPY"], quotes=True, start=at(0, "15:30"))
        world.hours.update(HOURS)
        world.market_open = lambda symbol: is_open(world.now, symbol)
        world.plan(["SPY", "HALF", "BTC"])

    def until(self, day: int, clock: str) -> None:
        self.world.rest((at(day, clock) - self.world.now) / SECOND)

    def well(self) -> bool:
        said = self.world.said
        return all(said[name].state == ("live" if is_open(self.world.now, name) else "closed") for name in HOURS)

    def must_be_well(self, within: float = WELL_AGAIN) -> None:
        self.world.until(self.well, within=within)

    def flap(self, times: int, down: float, up: float) -> None:
        for _ in range(times):
            self.world.farm("usfarm", up=False, symbols=list(HOURS))
            self.world.run(down)
            self.world.farm("usfarm", up=True)
            self.must_be_well()
            self.world.run(up)


@pytest.mark.hours
def test_from_friday_to_monday() -> None:
    week = Week()
    world = week.world
    week.must_be_well()
    week.until(0, "16:00")
    world.run(30)
    assert week.well() and world.state("SPY") == "closed" and world.state("BTC") == "live"

    # the Saturday reset begins on Friday night: IB goes, the socket dies, and contracts are refused for hours
    week.until(0, "23:10")
    world.ib_link = False
    world.error(1100)
    assert world.link is not None and world.link.expected
    world.run(300)
    world.sec_def_down = True
    world.kill()
    world.run(60)
    world.up = world.ib_link = True
    world.until(lambda: world.ready, within=60)
    world.error(2157, "Sec-def data farm connection is broken:secdefnj")
    week.until(1, "03:05")
    assert {said.state for said in world.said.values()} == {"rejected"}
    world.sec_def_down = False
    world.error(2158, "Sec-def data farm connection is OK:secdefnj")
    week.must_be_well()

    # farms by the dozen
    week.flap(12, down=20, up=40)

    # fifteen hours without IB: they begin on Saturday noon, and outlive the night's window and the end of summer time
    week.until(1, "12:00")
    world.ib_link = False
    world.error(1100)
    world.run(1)
    assert world.link.phase == "no_ib" and not world.link.expected
    week.until(2, "00:30")
    assert world.link.expected and all(said.stale for name, said in world.said.items() if name == "BTC")
    week.until(2, "02:00")
    assert world.link.phase == "no_ib" and not world.link.expected
    week.until(2, "03:00")
    world.ib_link = True
    world.error(1102, "Restored. All data farms are connected: usfarm; ushmds; secdefnj.")
    week.must_be_well()

    # the weekly login has ended: the gateway accepts, and gets ready only when a person logs in
    world.answers = False
    world.close()
    week.until(2, "09:00")
    assert world.link.reason in ("gateway_silent", "handshake") or world.link.phase == "backoff"
    world.answers = True
    week.must_be_well(within=90)

    # Monday's reset, with the subscriptions lost; then the market opens, and farms flap in it
    week.until(3, "00:20")
    world.ib_link = False
    world.error(1100)
    week.until(3, "00:40")
    world.ib_link = True
    world.error(1101)
    week.must_be_well()
    week.until(3, "09:30")
    week.must_be_well()
    assert {said.state for said in world.said.values()} == {"live"}
    week.flap(12, down=10, up=30)
    check_the_diary(world)


def check_the_diary(world: World) -> None:
    """No cause is written down more than once a second, and the connection was not given up without need."""
    written = Counter((time // SECOND, repr(event)) for time, event in world.events)
    often = [text for (_, text), times in written.items() if times > 1]
    assert often == []
    assert len(world.of(IbError)) < 200
    assert len([event for event in world.of(LinkChanged) if event.phase == "ready"]) < 20
    assert len(world.of(fx.Subscribe)) < 400
