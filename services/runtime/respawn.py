"""Keeps one service running: `python -m services.runtime.respawn gateway` starts it again when it dies.

A parent of a few megabytes that imports nothing of ours. A service that ends by itself with a code that a
restart cannot mend (2 settings, 3 lock busy) is left alone; else it is started again, after one second, doubling
while it keeps dying young, to 30 s and for a gateway to 5 s. SIGINT, SIGTERM and the end of whoever started it end
both: the service is asked, and killed after PATIENCE. It dies with its keeper too, however that ends.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from types import FrameType

FINAL_CODES = (2, 3)
FIRST_PAUSE = 1.0  # seconds
LONGEST_PAUSE = 30.0
LONGEST_PAUSES = {"gateway": 5.0}  # a gateway that is away loses prices; a crash loop of it costs little
STEADY = 30.0  # seconds after which a service has not died young
PATIENCE = 4.0  # seconds for a service that was asked to end
PARENT_CHECK = 0.5  # seconds between two looks at whether the parent is there
PR_SET_PDEATHSIG = 1

_LIBC = ctypes.CDLL(None)


def die_with_parent(parent: int) -> None:
    """In a child before its program starts: be ended when `parent` ends, also when it is gone already.

    Signals that come before the program has handlers of its own must end it, not run the parent's.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


def longer(pause: float, service: str) -> float:
    """The pause after one of `pause` seconds, for a service that died young once more."""
    return min(LONGEST_PAUSES.get(service, LONGEST_PAUSE), pause * 2)


class Keeper:
    """One service, and whether it is to run at all."""

    def __init__(self, service: str, arguments: list[str]) -> None:
        self._service = service
        self._command = [sys.executable, "-m", f"services.{service}", *arguments]
        self._parent = os.getppid()
        self._child: subprocess.Popen[bytes] | None = None
        self._asked = 0  # the signal that asked for the end
        self._kill_at = float("inf")
        self._woken, bell = os.pipe()
        for end in (self._woken, bell):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # wakes the loop
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def run(self) -> int:
        """Until the end; the exit code. Raises OSError when no process can be started."""
        pause = FIRST_PAUSE
        while not self._asked:
            born = time.monotonic()
            code = self._run_once()
            if self._asked or code in FINAL_CODES:
                return code if code >= 0 else 128 - code
            if time.monotonic() - born > STEADY:
                pause = FIRST_PAUSE
            name = signal.Signals(-code).name if code < 0 else f"code {code}"
            sys.stderr.write(f"ibstream {self._service}: ended with {name}; starting it again in {pause:.0f} s\n")
            self._rest(pause)
            pause = longer(pause, self._service)
        return 0

    def _run_once(self) -> int:
        keeper = os.getpid()
        self._child = subprocess.Popen(self._command, preexec_fn=lambda: die_with_parent(keeper))  # noqa: S603 - our own
        if self._asked:  # while it was being started: the handler could not tell it
            self._child.send_signal(self._asked)
        while (code := self._child.poll()) is None:
            self._wait(PARENT_CHECK)
            if time.monotonic() > self._kill_at:
                self._child.kill()
        return code

    def _rest(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._asked and time.monotonic() < deadline:
            self._wait(min(PARENT_CHECK, seconds))

    def _wait(self, seconds: float) -> None:
        """Until a signal or so long; and see whether the parent is still there."""
        if select.select([self._woken], [], [], seconds)[0]:
            os.read(self._woken, 4096)
        if os.getppid() != self._parent and not self._asked:
            self._end(signal.SIGTERM)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._end(number)

    def _end(self, number: int) -> None:
        self._asked = number
        self._kill_at = min(self._kill_at, time.monotonic() + PATIENCE)
        if self._child is not None:
            self._child.send_signal(number)


def main(arguments: list[str]) -> int:
    if not arguments:
        sys.stderr.write("usage: python -m services.runtime.respawn SERVICE [ARGUMENTS]\n")
        return 2
    return Keeper(arguments[0], arguments[1:]).run()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    raise SystemExit(main(sys.argv[1:]))
