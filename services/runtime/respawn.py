"""Keeps one service running: `python -m services.runtime.respawn gateway` starts it again when it dies.

A parent of a few megabytes that imports nothing of ours. A service that ends by itself with a code that a
restart cannot mend (2 settings, 3 lock busy) is left alone; else it is started again, after one
second, doubling to 30 while it keeps dying young. Signals are passed on; the child dies with the parent.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from types import FrameType

FINAL_CODES = (2, 3)
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """In the child, on Linux: get SIGTERM when the parent is gone, so that nothing is left running."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def main(arguments: list[str]) -> int:
    if not arguments:
        sys.stderr.write("usage: python -m services.runtime.respawn SERVICE [ARGUMENTS]\n")
        return 2
    stopping = False
    child: subprocess.Popen[bytes] | None = None

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True
        if child is not None and child.poll() is None:
            child.send_signal(number)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    pause = FIRST_PAUSE
    while not stopping:
        born = time.monotonic()
        child = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", f"services.{arguments[0]}", *arguments[1:]], preexec_fn=_die_with_parent
        )
        code = child.wait()
        if stopping or code in FINAL_CODES:
            return code if code >= 0 else 128 - code
        if time.monotonic() - born > LONGEST_PAUSE:
            pause = FIRST_PAUSE
        name = signal.Signals(-code).name if code < 0 else f"code {code}"
        sys.stderr.write(f"ibstream {arguments[0]}: ended with {name}; starting it again in {pause:.0f} s\n")
        deadline = time.monotonic() + pause
        while not stopping and time.monotonic() < deadline:
            time.sleep(0.1)
        pause = min(LONGEST_PAUSE, pause * 2)
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    raise SystemExit(main(sys.argv[1:]))
