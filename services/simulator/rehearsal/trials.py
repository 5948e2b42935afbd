"""What a program is taken through: one trial a trouble, with the rule of IB that it rehearses, and its weight.

Run by rehearse.py. The times of steps are divided by `--speed`; `within` is real time, since a program's own clock is.
Sources are the TWS API documentation by the name of its section, or what users of several clients have reported.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from messages.errors import IbStreamError

EACH_FARM = "*"  # stands for every farm that serves what the program is subscribed to

MESSAGE_CODES = "TWS API documentation, system message codes"
ERROR_CODES = "TWS API documentation, error codes"
PACING = "TWS API documentation, pacing limitations"
CONNECTION = "TWS API documentation, the connection to TWS"
REPORTED = "reported by users of several clients; services/simulator/README.md names the issues"

TOO_FAST = {"code": 100, "message": "Max rate of messages per second has been exceeded"}


class Trial(NamedTuple):
    """`steps` are those of a scenario file, `before` those that are taken before the program is started. The trouble
    is `over` seconds after its beginning, or when the markets open (`until_open`); from then on the program has
    `within` seconds to have every line again."""

    name: str
    title: str
    weight: int
    over: float
    within: float
    rule: str
    source: str
    steps: tuple[Mapping[str, Any], ...] = ()
    before: tuple[Mapping[str, Any], ...] = ()
    until_open: bool = False


TRIALS: tuple[Trial, ...] = (
    Trial(
        "calm", "Nothing happens for ten seconds", 8, 10, 5,
        "Keep to 50 messages a second, and ask for a contract once: each market data line counts.", PACING,
    ),
    Trial(
        "restart", "The gateway goes away for five seconds", 12, 5, 60,
        "A lost connection is for the client to make again, and its subscriptions went with it.", CONNECTION,
        ({"do": "restart", "for": 5},),
    ),
    Trial(
        "client_id_in_use", "A restart, then 326 for ten seconds", 6, 12, 60,
        "326: the client id is still taken after a restart; try again with a pause.", ERROR_CODES,
        ({"do": "restart", "for": 2}, {"at": 2, "do": "ids_taken", "for": 10}),
    ),
    Trial(
        "silent_death", "The socket stays open and nothing comes any more", 12, 0, 90,
        "An open socket is no proof of life: ask for the time, and connect anew when nothing answers.", REPORTED,
        ({"do": "silence"},),
    ),
    Trial(
        "farm_down", "2103 for three seconds, then 2104, and prices go on", 6, 3, 15,
        "2103 and 2104 are notices: the farm is connected again by the gateway, the socket stays.", MESSAGE_CODES,
        ({"do": "farm_down", "farm": EACH_FARM, "for": 3},),
    ),
    Trial(
        "farm_down_silent", "2103, then 2104, and the old lines stay dead", 10, 3, 90,
        "After 2104 see whether prices come, and subscribe anew where they do not.", REPORTED,
        ({"do": "farm_down", "farm": EACH_FARM, "ticks": False, "for": 3},),
    ),
    Trial(
        "link_kept", "1100, ten seconds later 1102, and prices go on", 6, 10, 15,
        "1102: data is maintained, there is no need to subscribe anew.", MESSAGE_CODES,
        ({"do": "ib_down", "data": "kept", "for": 10},),
    ),
    Trial(
        "link_kept_silent", "1100, then 1102, and the old lines stay dead", 8, 10, 90,
        "After 1102 see whether prices come, and subscribe anew where they do not.", REPORTED,
        ({"do": "ib_down", "data": "kept", "ticks": False, "for": 10},),
    ),
    Trial(
        "link_lost", "1100, ten seconds later 1101", 12, 10, 30,
        "1101: data is lost, every market data request must be made again.", MESSAGE_CODES,
        ({"do": "ib_down", "data": "lost", "for": 10},),
    ),
    Trial(
        "competing_session", "10197 for twenty seconds", 4, 20, 30,
        "10197: another session of the user has the prices; they come back on the open lines.", ERROR_CODES,
        ({"do": "competing", "for": 20},),
    ),
    Trial(
        "pacing_end", "The gateway says 100 three times and closes", 4, 1, 60,
        "100, and the third breach ends the session: come back, and no faster than 50 messages a second.", PACING,
        ({"do": "error", **TOO_FAST}, {"at": 0.3, "do": "error", **TOO_FAST}, {"at": 0.6, "do": "error", **TOO_FAST},
         {"at": 1, "do": "drop"}),
    ),
    Trial(
        "garbage", "Nonsense in whole frames, then a cut in the middle of one", 4, 4, 60,
        "What cannot be read is no end: skip it, or connect anew.", REPORTED,
        ({"do": "unknown_message"}, {"at": 1, "do": "garbage", "kind": "fields"},
         {"at": 2, "do": "garbage", "kind": "bytes"}, {"at": 4, "do": "drop", "how": "mid_frame"}),
    ),
    Trial(
        "nightly_reset", "1100, away for thirty seconds, 326 for five, all data lost", 6, 40, 60,
        "The gateway restarts every day: come back without anybody's help.", "TWS API documentation, daily restarts",
        ({"do": "ib_down"}, {"at": 5, "do": "restart", "how": "close", "for": 30},
         {"at": 35, "do": "ib_up", "data": "lost"}, {"at": 35, "do": "ids_taken", "for": 5}),
    ),
    Trial(
        "weekend", "Started while all is closed; a restart; then the markets open", 2, 0, 60,
        "No prices while the market is closed is no fault: do not ask again and again, and be there when it opens.",
        "TWS API documentation, contract details: trading hours",
        ({"at": 5, "do": "restart", "how": "close", "for": 5},),
        before=({"do": "session", "opens_in": 25},), until_open=True,
    ),
)  # fmt: skip

TOTAL = sum(trial.weight for trial in TRIALS)


def choose(names: list[str]) -> list[Trial]:
    """The trials of these names in their order here; all, without any. Raises IbStreamError `invalid_request`."""
    known = {trial.name for trial in TRIALS}
    for name in names:
        if name not in known:
            listed = ", ".join(trial.name for trial in TRIALS)
            raise IbStreamError("invalid_request", f"there is no scenario {name!r}; there are {listed}")
    return [trial for trial in TRIALS if not names or trial.name in names]


def steps(trial: Trial, farms: set[str]) -> list[dict[str, Any]]:
    """The trial's steps; those of EACH_FARM once for every one of `farms`."""
    made: list[dict[str, Any]] = []
    for entry in trial.steps:
        if entry.get("farm") == EACH_FARM:
            made += [{**entry, "farm": farm} for farm in sorted(farms)]
        else:
            made.append(dict(entry))
    return made
