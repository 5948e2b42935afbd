"""Price alerts, live: the journal of a moment ago, folded beside the supervisor's loop; nothing while none is set.

Once a second a job on a thread reads what all streams have written since the last time, in the order of their times
and up to `LAG` ago, and folds it (services/quotes/alert_fold.py). So what comes is what a replay of the journal gives,
and a person hears of it a second or two later. The fold is saved with its cursors, once what it found is in the stream
`control`: what it finds again after a crash is known by that one, which holds every alert that came.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from messages.codec import decode_block
from messages.errors import IbStreamError
from messages.events import AlertFired
from messages.topics import writer_of
from services.base.clock import HOUR, SECOND
from services.base.settings import Settings
from services.journal import saved_state, streams_in
from services.journal.cursor import Cursor
from services.quotes.alert_fold import AlertFold, State
from services.quotes.alert_replay import fold_at
from services.quotes.projection import Projection
from services.quotes.replay import FilePast, Past, RemotePast, by_time
from services.runtime.background import Background

LAG: Final = SECOND // 2  # what is that old has been written by all
LOOK_BACK: Final = HOUR  # what came longer ago, while nobody looked, is news to nobody
JOB_SECONDS: Final = 60.0  # the first look may fold an hour
SAVE_NS: Final = 5 * SECOND
VERSION: Final = 2  # raise it when a fold changes

Told = Callable[[list[AlertFired]], bool]


class PriceAlerts:
    """The loop's side: one look at a time, and none while no alert is set."""

    def __init__(self, settings: Settings, background: Background, told: Told) -> None:
        """`told` is called on the loop with what came, in order; after a crash also with what it was told before. It
        says whether that is in the journal now; if not, it is called with it again."""
        self._settings = settings
        self._background = background
        self._told = told
        self._watcher: Watcher | None = None
        self._busy = False
        self._time = 0  # UTC ns that pass though the clock is set back, as those of the gateway do
        self._time_at = 0.0
        self._untold: list[AlertFired] = []  # that are not in the journal yet
        self.problem: str | None = None

    def look(self, set_at: int | None, now: int, at: float) -> None:
        """Call about once a second. `set_at`: when the oldest alert was set (UTC nanoseconds); None while none is.
        `at`: seconds on a clock that never goes back."""
        now = self._time = max(now, self._time + int((at - self._time_at) * SECOND))
        self._time_at = at
        if self._busy or not self._tell():
            return
        if set_at is None:
            self._watcher = self.problem = None
            return
        if self._watcher is None:
            self._watcher = Watcher(self._settings, max(set_at, now - LOOK_BACK))
        self._busy = True
        self._background.submit(partial(self._watcher.read, now - LAG), self._took, JOB_SECONDS)

    def _took(self, outcome: list[AlertFired] | IbStreamError) -> None:
        self._busy = False
        if isinstance(outcome, IbStreamError):
            self.problem, self._watcher = f"price alerts: {outcome.message}", None  # next from the saved state on
            return
        self.problem = None
        self._untold += outcome
        self._tell()

    def _tell(self) -> bool:
        """Whether all that was found is in the journal."""
        if self._untold and self._told(self._untold):
            self._untold = []
        return not self._untold


class Watcher:
    """The thread's side: one call at a time."""

    def __init__(self, settings: Settings, begin: int) -> None:
        """`begin` (UTC nanoseconds) is where it starts without a saved state."""
        self._settings = settings
        self._path = settings.state_dir / "alerts.state"
        self._begin = begin
        self._fold: AlertFold | None = None
        self._cursors: dict[str, Cursor] = {}
        self._until = 0  # UTC ns: what came before is found
        self._found = False  # something, by the last call
        self._saved_at = 0

    def read(self, until: int) -> list[AlertFired]:
        """What came before `until` (UTC nanoseconds) and was not given yet. To ask again says that all that was given
        before is journalled. Raises IbStreamError."""
        self._save()
        settings = self._settings
        pasts = {stream: self._past(stream) for stream in streams_in(settings.journal_dir, settings.gateway_names)}
        fold = self._fold = self._go_on() or self._load() or self._begin_at(pasts)
        times = fold.projection.times
        rows = {stream: past.rows(times.get(stream, self._begin), until) for stream, past in pasts.items()}
        found: list[AlertFired] = []
        for stream, row in by_time(rows):
            if row.last_seq > self._cursors.get(stream, Cursor()).seq:
                found += fold.apply(stream, decode_block(stream, row.payload))
                self._cursors[stream] = Cursor(row.epoch, row.last_seq)
        found += fold.advance(until - 1)
        self._until, self._found = until, bool(found)
        return found

    def _save(self) -> None:
        """What was folded by the last call: at once when that found something."""
        fold = self._fold
        if fold is not None and (self._found or self._until > self._saved_at + SAVE_NS):
            self._saved_at = self._until
            projection = fold.projection.dump(self._cursors)
            saved_state.save(self._path, _Saved(until=self._until, projection=projection, state=fold.state))

    def _past(self, stream: str) -> Past:
        if writer_of(stream) in self._settings.peers:
            return RemotePast(self._settings, stream)
        return FilePast(self._settings.journal_dir, stream)

    def _go_on(self) -> AlertFold | None:
        """The fold as it is, unless its journal was deleted meanwhile."""
        fold = self._fold
        if fold is None or saved_state.of_another_journal(self._settings, self._cursors, fold.projection.times):
            return None
        return fold

    def _load(self) -> AlertFold | None:
        saved = saved_state.load(self._path, _Saved, VERSION)
        if saved is None or saved.until < self._begin:
            return None
        try:
            projection, cursors = Projection.load(saved.projection)
        except ValueError:
            return None
        if saved_state.of_another_journal(self._settings, cursors, projection.times):
            return None
        self._cursors = cursors
        return AlertFold(projection, saved.state)

    def _begin_at(self, pasts: dict[str, Past]) -> AlertFold:
        self._cursors = {}
        return fold_at(self._settings.journal_dir, pasts, self._begin, None)


class _Saved(msgspec.Struct, kw_only=True):
    version: int = VERSION
    until: int  # UTC ns: all before is folded
    projection: bytes  # with its cursors
    state: State
