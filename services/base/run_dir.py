"""The folder of a data root's sockets and locks: called by whoever listens, or takes a lock, before it does.

Apart from the locks, since clients listen too and need no library for locks.
"""

import os
import stat
from pathlib import Path

from messages.errors import IbStreamError
from services.base.settings import Settings


def prepare_run_dir(settings: Settings) -> Path:
    """The folder of sockets and locks: made 0700. Raises IbStreamError when it belongs to somebody else."""
    path = settings.run_path
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    if os.getuid() not in (found.st_uid, 0):
        raise IbStreamError("invalid_setting", f"the run directory {path} (mode {mode:o}) belongs to somebody else")
    if mode != 0o700:
        path.chmod(0o700)
    return path
