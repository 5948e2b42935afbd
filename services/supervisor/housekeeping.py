"""Starts the archive and retention of the journal once an hour, as a child process of low priority.

Called by the supervisor's loop; never waits for the child. What the child does, and its guarantees:
services/archive/compaction.py.
"""

import subprocess
import sys

import structlog

log = structlog.get_logger()

FIRST_SECONDS = 60.0  # after the start: not while everything else starts
EVERY_SECONDS = 3600.0


class Housekeeping:
    """One child at a time. `at` is the monotonic time of the start."""

    def __init__(self, at: float) -> None:
        self._due = at + FIRST_SECONDS
        self._child: subprocess.Popen[bytes] | None = None

    def turn(self, now: float) -> None:
        """Call every few seconds with the monotonic time: starts the child when due, reports one that failed."""
        if self._child is not None:
            code = self._child.poll()
            if code is None:
                return
            self._child = None
            if code != 0:
                log.error("archive_failed", exit_code=code)
        if now >= self._due:
            self._due = now + EVERY_SECONDS
            self._child = subprocess.Popen([sys.executable, "-m", "services.archive"])

    def close(self) -> None:
        """End a running child; it leaves nothing half done, and goes on next time."""
        if self._child is not None:
            self._child.terminate()
            try:
                self._child.wait(2.0)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
