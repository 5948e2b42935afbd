"""What a running pipeline uses, and whether that grows: memory, file handles and threads of each process, and files.

Pure but for `measure`. A process is measured over the longest life that it had: the middle of its first third
against that of its last, its start-up apart. What grows by more than `LIMITS` is a leak, and is told in a sentence.
"""

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

import psutil

MEGABYTE: Final = 1e6
WARM_UP: Final = (0.2, 60.0)  # of a life that is not judged: a fifth, and at most so many seconds
SETTLING: Final = 60.0  # seconds
LEAST_SAMPLES: Final = 6  # of a life that is judged


class Limit(NamedTuple):
    """What a figure may grow by in a long life: a part of what it was, and so much more. A short one may more: its
    process is still settling, and neighbours that come and go make up most of what is seen."""

    part: float
    more: float
    unit: str

    def allows(self, first: float, last: float, seconds: float) -> bool:
        return last <= first * (1 + self.part) + self.slack(seconds)

    def slack(self, seconds: float) -> float:
        return self.more * (1 + SETTLING / max(1.0, seconds))


LIMITS: Final = {
    "memory": Limit(0.05, 3.0, " MB"),
    "handles": Limit(0.0, 3.0, ""),
    "threads": Limit(0.0, 2.0, ""),
    "run directory": Limit(0.0, 3.0, " entries"),  # the sockets of a service that is down are not there
    "other files": Limit(0.1, 5.0, ""),  # in the data root, journal and flight recordings apart
    "other bytes": Limit(0.1, 2.0, " MB"),
}
BOUNDS: Final = {
    "write-ahead logs": 128.0,  # all streams together: a log is emptied at 64, or soon after
    "flight recordings": 24.0,  # the ring and ten dumps, 2 MB each
}
"""MB that may come and go as long as they are no more than this."""

Figures = dict[str, float]


class Life(NamedTuple):
    """One process from its birth on: seconds, and its figures then."""

    pid: int
    times: list[float]
    figures: list[Figures]

    @property
    def seconds(self) -> float:
        return self.times[-1] - self.times[0]


class Growth(NamedTuple):
    """The medians of a figure in the first and the last third of a life, and its highest."""

    whose: str
    figure: str
    first: float
    last: float
    highest: float
    seconds: float

    @property
    def leak(self) -> str | None:
        """The sentence about it, if it is one."""
        limit = LIMITS[self.figure]
        if limit.allows(self.first, self.last, self.seconds):
            return None
        return (
            f"{self.whose}: {self.figure} grew from {self.first:.1f} to {self.last:.1f}{limit.unit} in"
            f" {self.seconds:.0f} s; {limit.part:.0%} and {limit.slack(self.seconds):.1f}{limit.unit} are allowed"
        )


class Gauge:
    """Collects samples; `growths` says what came of them."""

    def __init__(self) -> None:
        self.lives: dict[str, list[Life]] = {}
        self.most = dict.fromkeys(BOUNDS, 0.0)

    def bound(self, what: str, size: float) -> None:
        """`size` in MB."""
        self.most[what] = max(self.most[what], size)

    def note(self, whose: str, pid: int, at: float, figures: Figures) -> None:
        lives = self.lives.setdefault(whose, [])
        if not lives or lives[-1].pid != pid:
            lives.append(Life(pid, [], []))
        lives[-1].times.append(at)
        lives[-1].figures.append(figures)

    def growths(self) -> list[Growth]:
        return [growth for whose, lives in self.lives.items() for growth in _growths(whose, lives)]

    def leaks(self) -> list[str]:
        found = [leak for growth in self.growths() if (leak := growth.leak) is not None]
        found += [f"{whose}: no life long enough to judge" for whose in self.lives if not self._judged(whose)]
        found += [
            f"the {what} grew to {size:.0f} MB; {BOUNDS[what]:.0f} are allowed"
            for what, size in self.most.items()
            if size > BOUNDS[what]
        ]
        return found

    def _judged(self, whose: str) -> bool:
        return bool(_growths(whose, self.lives[whose]))


def _growths(whose: str, lives: list[Life]) -> list[Growth]:
    life = max(lives, key=lambda life: life.seconds)
    begin = life.times[0] + min(WARM_UP[1], WARM_UP[0] * life.seconds)
    kept = [figures for at, figures in zip(life.times, life.figures, strict=True) if at >= begin]
    if len(kept) < LEAST_SAMPLES:
        return []
    third = len(kept) // 3
    return [
        Growth(
            whose,
            figure,
            statistics.median(figures[figure] for figures in kept[:third]),
            statistics.median(figures[figure] for figures in kept[-third:]),
            max(figures[figure] for figures in kept),
            life.times[-1] - begin,
        )
        for figure in kept[0]
    ]


def measure(pid: int) -> Figures | None:
    """A process now; None when it is gone."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            return {
                "memory": process.memory_info().rss / MEGABYTE,
                "handles": float(process.num_fds()),
                "threads": float(process.num_threads()),
            }
    except (psutil.Error, FileNotFoundError):
        return None


def sizes(paths: Iterable[Path]) -> list[int]:
    """Bytes of each file that is still there."""
    found = []
    for path in paths:
        try:
            found.append(path.stat().st_size)
        except FileNotFoundError:
            continue
    return found
