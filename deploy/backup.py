#!/usr/bin/env python3
"""Backs up a data root while ibstream runs: `python deploy/backup.py DATA_ROOT TARGET`.

Run by hand or by a timer; needs nothing but Python. TARGET is then a data root of its own, in which every file is
whole: `ibstream verify` can examine it. Days that were copied before and have not changed are passed over. What can
be made again (state, symbol files, sockets, the flight recorder's ring) is left out.
"""

import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

LEFT_OUT = {"run", "state", "ib", "flight"}
MADE_BY_SQLITE = ("-wal", "-shm", "-journal")
SQLITE, MARKER = ".sqlite", ".durable"


def files(root: Path) -> Iterator[Path]:
    """What is to be kept, relative to the root. A day's marker comes first: the copy of the day holds what it says.
    Raises OSError for a folder that may not be read: what is in it would be missing without a word."""
    for path in sorted(_below(root), key=lambda path: (path.suffix != MARKER, path)):
        if path.is_file() and not path.name.endswith((".lock", *MADE_BY_SQLITE)):
            yield path.relative_to(root)


def _below(root: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # gone meanwhile
            raise error

    for folder, inside, names in os.walk(root, onerror=refuse, followlinks=True):
        if Path(folder) == root:
            inside[:] = [name for name in inside if name not in LEFT_OUT]
        yield from (Path(folder, name) for name in names)


def copy(source: Path, target: Path) -> bool:
    """Replace `target` by a whole copy. False when nothing has changed since the last one."""
    seen = source.stat()
    log = Path(f"{source}-wal")
    still = not log.exists() or log.stat().st_size == 0
    if still and target.exists() and target.stat().st_mtime_ns == seen.st_mtime_ns:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(target.name + ".new")
    new.unlink(missing_ok=True)
    if source.suffix == SQLITE:  # a plain copy would miss the log, or tear a page that is being written
        reading = f"{source.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(reading, uri=True)) as read, closing(sqlite3.connect(new)) as write:
            read.backup(write)
        new.chmod(seen.st_mode)
    else:
        shutil.copy2(source, new)
    with new.open("rb") as written:
        os.fsync(written.fileno())
    os.utime(new, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    new.replace(target)
    return True


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or not Path(arguments[0], "journal").is_dir():
        sys.stderr.write("usage: backup.py DATA_ROOT TARGET, DATA_ROOT being where ibstream keeps its journal/\n")
        return 2
    root, target = map(Path, arguments)
    if target.resolve().is_relative_to(root.resolve()):  # files that are written would be replaced, or copied for ever
        sys.stderr.write(f"backup.py: {target} is inside of {root}; name a folder elsewhere\n")
        return 2
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    copied = 0
    for name in files(root):
        try:
            copied += copy(root / name, target / name)
        except FileNotFoundError:
            if (root / name).exists():
                raise
            continue  # archived or retired meanwhile: its Parquet file follows, now or next time
    print(f"{copied} files copied to {target}")
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main(sys.argv[1:]))
    except (OSError, sqlite3.Error) as error:
        sys.stderr.write(f"backup.py: the backup is not whole: {error}\n")
        raise SystemExit(1) from None
