"""What there is to choose from: projects and decision snapshots, for the start form and `ibstream projects`.

Called by the planner's service on a worker thread. Reads the database as a plan does, and the snapshots' CSVs
for their counts, for COUNT_SECONDS at most: what is not counted then has no count. Answers are bounded.
"""

import re
from contextlib import suppress
from time import monotonic
from typing import Final

from messages.control import ProjectsReply, SnapshotsReply
from messages.errors import IbStreamError
from messages.views import ProjectChoice, SnapshotChoice
from services.base.settings import Settings
from services.base.symbols import name_of
from services.planner.database import Database, SnapshotRow
from services.planner.items import Item
from services.planner.sources import read_items

MAX_PROJECTS: Final = 500
MAX_SNAPSHOTS: Final = 100
COUNT_SECONDS: Final = 2.0

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?=$|[ T])")


class Catalogue:
    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database

    def projects(self) -> ProjectsReply:
        """Raises IbStreamError `database_unavailable` or `schema_unexpected`."""
        found = self._database.projects(MAX_PROJECTS + 1)
        until = monotonic() + COUNT_SECONDS
        choices = [
            ProjectChoice(
                id=row.id,
                name=row.name,
                archived=row.is_archived,
                snapshot=self._choice(row.snapshot, until) if row.snapshot is not None else None,
            )
            for row in found[-MAX_PROJECTS:]
        ]
        return ProjectsReply(projects=choices, more=len(found) > MAX_PROJECTS)

    def snapshots(self, project_id: int) -> SnapshotsReply:
        """Raises IbStreamError `project_not_found`, and as `projects` does."""
        found = self._database.snapshots(project_id, MAX_SNAPSHOTS + 1) if 0 <= project_id < 1 << 63 else None
        if found is None:
            raise IbStreamError("project_not_found", f"there is no project {project_id}")
        until = monotonic() + COUNT_SECONDS
        choices = [self._choice(row, until) for row in found[:MAX_SNAPSHOTS]]
        return SnapshotsReply(snapshots=choices, more=len(found) > MAX_SNAPSHOTS)

    def _choice(self, row: SnapshotRow, until: float) -> SnapshotChoice:
        count, problem = None, None
        if row.usable and monotonic() < until:
            try:
                count = _count(read_items(row, self._settings).rows)
            except IbStreamError as error:
                problem = error.message
        return SnapshotChoice(id=row.id, date=_day(row.date), usable=row.usable, count=count, problem=problem)


def _count(items: list[Item]) -> int:
    names = set()
    for item in items:
        with suppress(IbStreamError):
            names.add(name_of(item.symbol))
    return len(names)


def _day(text: str | None) -> str | None:
    """`2026-01-05` of a date or a time; any other text as it is, in bounds."""
    found = _DATE.match(text) if text is not None else None
    return found[0] if found else text and text[:40]
