"""A preflight for the database: `python -m services.planner.doctor`, run by `ibstream doctor`.

Reads as the planner would, writes nothing, and prints one Finding as a JSON line. No password is shown.
"""

import sys

import msgspec

from messages.checks import Finding
from messages.errors import IbStreamError
from services.base.settings import Settings, load
from services.planner.database import Database


def examine(settings: Settings) -> Finding:
    if not settings.database_url and not (settings.root / "projects.sqlite").exists():
        return Finding("database", "ok", "none yet: the demo database is made at the first start")
    try:
        database = Database(settings.database, settings.database_timeout)
        rows = database.read(settings.project_id or 1, None)
    except IbStreamError as error:
        mend = "see deploy/database.md: the URL, the GRANT, and the columns that are read"
        return Finding("database", "failed", f"{error.message} [{error.code}]", mend)
    if rows.project is None:
        mend = "set IBSTREAM_PROJECT_ID to one of your projects"
        return Finding("database", "warning", f"{database.display}: no project {settings.project_id or 1}", mend)
    snapshot = f"decision snapshot {rows.snapshot.id}" if rows.snapshot else "no usable decision snapshot"
    return Finding("database", "ok", f"{database.display}: project {rows.project.id}, {snapshot}")


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(examine(load())) + b"\n")
