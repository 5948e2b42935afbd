"""Files that other programs read: replaced in one step, so that a reader never sees half of one.

Used for symbol files, `_status.json`, and the saved state of projections. After a power failure a file may
be the old or the new one, or be missing its content: every writer here brings its files in line at start.
"""

import contextlib
import errno
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` at `path`. Makes the folder when it is missing. Raises OSError, and leaves the old file then."""
    _put(path, data, os.replace)


def exchange_file(path: Path, data: bytes) -> None:
    """As `replace_file`, for what is replaced many times a second: its bytes go to the disk when the kernel finds time,
    within half a minute, and not at all when they are replaced before. Replacing by a mere rename has ext4 allocate and
    write each of them at once, and free what was there: thrice the time, and a wait for the disk.
    """
    _put(path, data, _exchange)


def _put(path: Path, data: bytes, move: Callable[[str, str], None]) -> None:
    folder, name = os.path.split(path)  # hundreds of times a second: Path costs more than the system's calls
    temporary = f"{folder or '.'}/.{name}.{os.getpid()}.tmp"
    try:
        _write(temporary, data)
        move(temporary, f"{folder or '.'}/{name}")
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def _exchange(temporary: str, path: str) -> None:
    """Have the two change places in one step, and remove what was at `path`."""
    if not _exchanged(temporary, path):  # there is no file yet, or this file system cannot do it
        os.replace(temporary, path)  # noqa: PTH105
        return
    try:
        os.unlink(temporary)  # noqa: PTH108
    except OSError:
        _exchanged(temporary, path)  # it was a folder
        raise


def _exchanged(one: str, other: str) -> bool:
    """Whether the two have changed places; False where that cannot be done."""
    call = _renameat2()
    return call is not None and not call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)


@cache
def _renameat2() -> Any:
    """The system's call, None where there is none: Python has no name for it, and may have no way to make it (built
    without libffi, or where memory that is written may not be run)."""
    try:
        import ctypes

        call = getattr(ctypes.CDLL(None), "renameat2", None)
    except (ImportError, OSError, MemoryError):
        return None
    if call is not None:
        call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    return call


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
