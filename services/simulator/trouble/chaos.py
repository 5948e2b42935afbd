"""A seeded mix of everything that can go wrong: the same seed gives the same trouble, so that a failure replays."""

import random
from collections.abc import Callable
from typing import Any

SYMBOLS = ("SPY", "QQQ", "IWM", "AAPL", "MSFT", "NVDA", "JPM", "TLT", "GLD", "XOM")
MARKET_FARMS = ("usfarm", "usfarm.nj", "cashfarm", "usfuture")
MEAN_PAUSE = 3.0  # seconds between two troubles
Entry = dict[str, Any]

_TROUBLES: list[Callable[[random.Random], Entry]] = [
    lambda dice: {"do": "farm_down", "farm": dice.choice(MARKET_FARMS), "for": dice.uniform(0.5, 20),
                  "ticks": dice.random() < 0.7},
    lambda dice: {"do": "farm_down", "farm": "ushmds", "for": dice.uniform(1, 30)},
    lambda dice: {"do": "farm_idle", "farm": dice.choice((*MARKET_FARMS, "ushmds"))},
    lambda dice: {"do": "ib_down", "for": dice.uniform(1, 15), "data": dice.choice(("kept", "lost")),
                  "ticks": dice.random() < 0.7},
    lambda dice: {"do": "server_broken"},
    lambda dice: {"do": "starve", "symbol": dice.choice(SYMBOLS), "for": dice.uniform(5, 40)},
    lambda dice: {"do": "starve", "for": dice.uniform(2, 15)},
    lambda dice: {"do": "kill_line", "symbol": ",".join(dice.sample(SYMBOLS, 3))},
    lambda dice: {"do": "competing", "for": dice.uniform(2, 20), "ticks": dice.random() < 0.5},
    lambda dice: {"do": "not_entitled", "symbol": dice.choice(SYMBOLS), "code": dice.choice((354, 10089, 10090, 10091)),
                  "delayed": dice.random() < 0.5, "for": dice.uniform(5, 40)},
    lambda dice: {"do": "reject", "symbol": dice.choice(SYMBOLS), "for": dice.uniform(5, 40)},
    lambda dice: {"do": "bust", "symbol": ",".join(dice.sample(SYMBOLS, 2))},
    lambda dice: {"do": "halt", "symbol": dice.choice(SYMBOLS), "kind": dice.choice((1, 2)),
                  "for": dice.uniform(2, 20)},
    lambda dice: {"do": "odd", "for": dice.uniform(2, 20)},
    lambda dice: {"do": "drop", "how": dice.choice(("close", "reset", "mid_frame"))},
    lambda dice: {"do": "restart", "how": dice.choice(("close", "reset", "mid_frame")), "for": dice.uniform(0.5, 12)},
    lambda dice: {"do": "deaf", "for": dice.uniform(1, 10)},
    lambda dice: {"do": "silence", "for": dice.uniform(0.5, 15)},
    lambda dice: {"do": "dribble", "for": dice.uniform(0.5, 4)},
    lambda dice: {"do": "burst", "silence": dice.uniform(0.5, 5)},
    lambda dice: {"do": "garbage", "kind": dice.choice(("bytes", "fields")), "count": dice.randrange(1, 4)},
    lambda dice: {"do": "absurd_length"},
    lambda dice: {"do": "unknown_message"},
    lambda dice: {"do": "ids_taken", "for": dice.uniform(1, 10)},
    lambda dice: {"do": "error", "code": dice.choice((2119, 2150, 10285, 99_999)), "message": "something else"},
]  # fmt: skip


def plan(seed: int, seconds: float) -> list[Entry]:
    """Steps with their times, at most `seconds` long together, and calm at the end."""
    dice = random.Random(seed)  # noqa: S311 - trouble, not secrets
    made: list[Entry] = []
    at = 0.0
    while (at := at + dice.expovariate(1 / MEAN_PAUSE)) < seconds:
        entry = dice.choice(_TROUBLES)(dice) | {"at": at}
        if "for" in entry:
            entry["for"] = min(entry["for"], seconds - at)
        made.append(entry)
    return [*made, {"do": "calm", "at": seconds}, {"do": "calm", "at": seconds + 0.5}]
