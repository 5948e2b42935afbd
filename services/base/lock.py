"""Locks that say who holds them: for each service's run folder, and for the supervisor's data root.

The lock is the operating system's own and goes with its holder; the name beside it is for people.
"""

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from messages.codec import json_decoder
from messages.errors import IbStreamError
from messages.views import LockOwner
from services.base.clock import iso
from services.base.files import replace_file


class Holder(LockOwner, frozen=True, kw_only=True):
    """What is written beside a lock. `note` is more for whoever is refused."""

    note: str = ""


class OwnedLock:
    """An exclusive lock on a file, with its owner written beside it. Holds from the start until `release`."""

    def __init__(self, path: Path, what: str, now: int, note: str = "") -> None:
        """Take the lock. `what` it stands for goes into the message; `now` is UTC nanoseconds.

        Raises IbStreamError `ib_stream_lock_busy` naming the holder (`pid@host`) and since when it holds.
        """
        self._lock = FileLock(path)
        self._owner_path = path.with_suffix(".owner")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise IbStreamError("ib_stream_lock_busy", f"{what}{holder(path)}") from None
        self.owner = LockOwner(owner=f"{os.getpid()}@{socket.gethostname()}", since=iso(now))
        with contextlib.suppress(OSError):  # a full disk must not keep a service from starting
            written = Holder(owner=self.owner.owner, since=self.owner.since, note=note)
            replace_file(self._owner_path, msgspec.json.encode(written))

    def release(self) -> None:
        """Let go. Idempotent."""
        if self._lock.is_locked:
            with contextlib.suppress(OSError):
                self._owner_path.unlink()
            self._lock.release()


_decode_holder: Callable[[bytes], Holder] = json_decoder(Holder)


def holder(path: Path) -> str:
    """Who holds the lock on `path`, as the end of a sentence; empty when that is not written there."""
    try:
        found = _decode_holder(path.with_suffix(".owner").read_bytes())
    except (OSError, msgspec.MsgspecError):
        return ""
    return f": held by {found.owner} since {found.since}" + (f", {found.note}" if found.note else "")
