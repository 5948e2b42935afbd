"""How patient recovery is: all in measure of the setting `stale_after`, so that a test can run it fast.

Built once by the core, read by its parts.
"""

from typing import Final, NamedTuple

from services.base.settings import Settings
from services.gateway.core.deadlines import SECOND, ns


class Pace(NamedTuple):
    """Nanoseconds. The seconds in the comments are those of the default, 15 s."""

    stale_after: int
    link_stale_after: int
    probe_timeout: int
    verify: int  # 5: ticks must be seen so soon after the link or a farm came back, or after a subscription
    first_pause: int  # 15: between two resubscriptions of one symbol, doubling
    last_pause: int  # 300
    region_pause: int  # 60: between two resubscriptions of a region
    first_reconnect: int  # 60: between two reconnects for silence, doubling
    last_reconnect: int  # 600
    farm_grace: int  # 3: silence after which a broken farm is taken for a symbol's trouble
    in_flight: int  # 1: ticks so soon after a farm broke were under way before
    farm_patience: int  # 300: for so long the return of a broken farm is just awaited
    competing: int  # 10: between two tries to get the data back from another session
    competing_settle: int  # 1: then streams that come back by themselves have done so
    ping: int  # 60: silence of the socket after which the gateway is asked for the time
    answer: int  # 5: for the time
    snapshot: int  # 15: between two snapshots of a symbol
    snapshot_rarely: int  # 60: where they bring nothing
    history: int  # 120: between two looks into IB's history


def pace_of(settings: Settings) -> Pace:
    stale = ns(settings.stale_after)
    return Pace(
        stale_after=stale,
        link_stale_after=ns(settings.link_stale_after),
        probe_timeout=ns(settings.probe_timeout),
        verify=min(5 * SECOND, stale // 2),
        first_pause=stale,
        last_pause=20 * stale,
        region_pause=4 * stale,
        first_reconnect=4 * stale,
        last_reconnect=40 * stale,
        farm_grace=min(3 * SECOND, stale // 5),
        in_flight=min(SECOND, stale // 15),
        farm_patience=20 * stale,
        competing=min(10 * SECOND, stale * 2 // 3),
        competing_settle=min(SECOND, stale // 15),
        ping=4 * stale,
        answer=ns(settings.ib_connect_timeout),
        snapshot=stale,
        snapshot_rarely=4 * stale,
        history=8 * stale,
    )


DOUBLINGS: Final = 20


def growing(first: int, last: int, times: int) -> int:
    """A pause that doubles each time, up to `last`."""
    return min(last, first << min(max(times, 0), DOUBLINGS))
