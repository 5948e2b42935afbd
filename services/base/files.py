"""Files that other programs read: replaced in one step, so that a reader never sees half of one.

Used for symbol files, `_status.json`, and the saved state of projections. After a power failure a file may
be the old or the new one, or be missing its content: every writer here brings its files in line at start.
"""

import contextlib
import errno
import os
from pathlib import Path


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` at `path`. Makes the folder when it is missing. Raises OSError, and leaves the old file then."""
    folder, name = os.path.split(path)  # hundreds of times a second: Path costs more than the system's calls
    temporary = f"{folder or '.'}/.{name}.{os.getpid()}.tmp"
    try:
        _write(temporary, data)
        os.replace(temporary, path)  # noqa: PTH105
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def overwrite_file(path: Path, data: bytes) -> None:
    """Put `data` where `path` has its bytes already, for a disk that has room for no other file: it takes neither a
    block nor an inode. What is left of the file becomes spaces. A reader that comes meanwhile finds what does not
    begin with the first byte of `data`, and is to look again. Raises OSError, also when `data` is longer than the file.
    """
    handle = os.open(path, os.O_WRONLY)
    try:
        room = os.fstat(handle).st_size
        if len(data) > room:
            raise OSError(errno.ENOSPC, "the file is too short to be overwritten")
        os.pwrite(handle, b" ", 0)
        os.pwrite(handle, data[1:] + b" " * (room - len(data)), 1)
        os.pwrite(handle, data[:1], 0)
    finally:
        os.close(handle)


def private_folder(path: Path) -> None:
    """Make it, for this user alone, also where it is there already and ours. Raises OSError."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = path.stat()
    if found.st_uid == os.getuid() and found.st_mode & 0o077:
        path.chmod(0o700)


def clear_temporaries(folder: Path) -> None:
    """Remove what a killed writer left half written. Call while holding the writer's lock."""
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            path.unlink()


def _write(path: str, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    try:
        handle = os.open(path, flags, 0o644)
    except FileNotFoundError:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, flags, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
    finally:
        os.close(handle)
