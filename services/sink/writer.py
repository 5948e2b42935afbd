"""The sink's files on the disk: written when they differ, tried again when the disk refuses.

Used by the sink's loop. Guarantees: a refused file is announced in `problem`, remembered in `failed`, and
holds up no other file; what is on the disk already is not written again after a restart.
"""

from pathlib import Path

import msgspec
import structlog

from messages.views import Quote
from services.base.files import clear_temporaries, replace_file
from services.quotes.projection import file_bytes

log = structlog.get_logger()

_decode_quote = msgspec.json.Decoder(Quote).decode


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

    def write(self, path: Path, data: bytes) -> bool:
        """Put `data` at `path`. False when the disk refuses."""
        try:
            if path not in self._known:
                self._known.add(path)
                if _content(path) == data:
                    return True
            replace_file(path, data)
        except OSError as error:
            self._refused(path, error)
            return False
        self.written += 1
        if self.failed and self.failed.pop(path, None) is not None and not self.failed:
            log.info("files_recovered")
        return True

    def mark_orphans(self, symbols: set[str]) -> None:
        """A symbol's file of which the journal knows nothing must not look current: say so in it."""
        for path in self.folder.glob("[!._]*.json"):
            if path.stem in symbols:
                continue
            try:
                quote = _decode_quote(path.read_bytes())
            except (OSError, msgspec.MsgspecError):
                continue
            if quote.symbol == path.stem and not quote.stale:
                log.warning("file_without_journal", symbol=quote.symbol)
                self.write(path, file_bytes(msgspec.structs.replace(quote, stale=True, reason="unplanned")))

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
