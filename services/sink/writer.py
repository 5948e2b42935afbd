"""The sink's files on the disk: written when they differ, tried again when the disk refuses.

Used by the sink's loop. Guarantees: a refused file is announced in `problem`, remembered in `failed`, and
holds up no other file; what is on the disk already is not written again after a restart.
"""

import contextlib
from collections.abc import Callable, Container
from pathlib import Path

import msgspec
import structlog

from messages.codec import json_decoder
from messages.views import Quote
from services.base.files import clear_temporaries, exchange_file, overwrite_file, replace_file
from services.quotes.projection import file_bytes

log = structlog.get_logger()

ROOM = 4096  # bytes: `_status.json` is a multiple of it
SPARE = 1024  # bytes of it at least that are left for a longer status

_decode_quote: Callable[[bytes], Quote] = json_decoder(Quote)


class FileWriter:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written = 0
        self.errors = 0
        self.failed: dict[Path, str] = {}  # what could not be written, and why
        self._known: set[Path] = set()  # what this process has compared with the disk

    @property
    def problem(self) -> str | None:
        path = next(iter(self.failed), None)
        return None if path is None else f"{len(self.failed)} files cannot be written: {path}: {self.failed[path]}"

    def prepare(self) -> None:
        """Make the folder, clear what a killed sink left half written. Failing is no reason not to start."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            clear_temporaries(self.folder)
        except OSError as error:
            log.error("folder_refused", path=str(self.folder), error=str(error))

    def write(self, path: Path, data: bytes, *, lasting: bool = False) -> bool:
        """Put `data` at `path`; `lasting`: the kernel is to write it out at once. False when the disk refuses."""
        try:
            if path not in self._known:
                self._known.add(path)
                if _content(path) == data:
                    return True
            (replace_file if lasting else exchange_file)(path, data)
        except OSError as error:
            self._refused(path, error)
            return False
        self.written += 1
        if self.failed and self.failed.pop(path, None) is not None and not self.failed:
            log.info("files_recovered")
        return True

    def write_roomy(self, path: Path, data: bytes, short: bytes) -> bool:
        """Put JSON at `path` with spaces after it, so that it can be overwritten where it is when the disk has no room
        for another file; `short` is what to say then if `data` is too long. False when the disk refuses a new file.
        """
        room = -(-(len(data) + SPARE) // ROOM) * ROOM
        if self.write(path, data.ljust(room - 1) + b"\n"):
            return True
        for content in (data, short):
            with contextlib.suppress(OSError):
                overwrite_file(path, content)
                break
        return False

    def withdraw(self, reason: str, *, known: Container[str] = ()) -> None:
        """Mark the files of symbols that are not `known` and say that they are current: they must not."""
        for path in self.folder.glob("[!._]*.json"):
            if path.stem in known:
                continue
            try:
                quote = _decode_quote(path.read_bytes())
            except (OSError, msgspec.MsgspecError):
                continue
            if quote.symbol == path.stem and not quote.stale:
                self.write(path, file_bytes(withheld(quote, reason)))

    def _refused(self, path: Path, error: OSError) -> None:
        self.errors += 1
        if not self.failed:
            log.error("file_refused", path=str(path), error=str(error))
        self.failed[path] = error.strerror or str(error)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def withheld(quote: Quote, reason: str) -> Quote:
    """The quote as it is shown while nobody vouches for it."""
    return msgspec.structs.replace(quote, stale=True, reason=reason, good_until=None)
