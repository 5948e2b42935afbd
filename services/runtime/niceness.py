"""Who comes first when more is to be done than this machine has cores: called by services whose work can wait.

A process that works for some milliseconds keeps its core for all of them, though somebody is woken meanwhile who has
a tick to pass on. So a service that wakes often, and does much then, is niced, and rests in between.
"""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

PIECE_SECONDS: Final = 0.0003  # of work at a stretch: the longest that a tick waits behind it
BREATH_SECONDS: Final = 0.00001  # the kernel makes it some 60 µs. To yield is less, and means nothing beyond one's
# own session and control group, in which a service most often is alone


def be_nice(nice: int) -> None:
    """Have all threads of this process run at `nice`, or at what they were started with if that is more. It counts
    among the processes of one session and control group. Not too much of it: with four programs that never sleep beside
    the sink on two cores that had more than enough to do, no price expired at 3, some did at 5, and half at 10."""
    threads = [0]
    with suppress(OSError):
        threads = [int(task.name) for task in Path("/proc/self/task").iterdir()]
    for thread in threads:
        with suppress(OSError):  # it has ended, or may not
            os.setpriority(os.PRIO_PROCESS, thread, max(nice, os.getpriority(os.PRIO_PROCESS, thread)))


class Breath:
    """Call `draw` between two parts of a long piece of work."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def draw(self) -> None:
        """Let others have the core, if this process has had it for long."""
        if time.monotonic() - self._since > PIECE_SECONDS:
            time.sleep(BREATH_SECONDS)
            self._since = time.monotonic()
