"""From a request to its sources: which project, which snapshot, which files. Runs on a worker thread.

The order is the contract's: symbols of the request; the snapshot asked for; the project's latest usable
snapshot; its configured symbols and themes. Everything that can go wrong is an IbStreamError.
"""

import msgspec

from messages.control import Start
from messages.errors import IbStreamError
from services.base.settings import Settings
from services.planner.config import ProjectConfig, parse_config
from services.planner.core import Project, Sources, active_themes, check_request
from services.planner.database import Database, ProjectRow, SnapshotRow
from services.planner.demo import DEMO_PROJECT
from services.planner.items import Items, Member, find_items, parse_items, parse_universe, read_file


def with_project(request: Start, settings: Settings) -> Start:
    """The request with the project in force: its own, that of the settings, or the demo in mock mode.

    The demo stands in only when nothing else is named, so `start --symbols SPY,QQQ` means exactly these.
    """
    if request.project_id is not None:
        return request
    project_id = settings.project_id
    nothing_named = request.symbols is None and request.decision_snapshot_id is None
    if project_id is None and nothing_named and settings.api_mode == "mock":
        project_id = DEMO_PROJECT
    return msgspec.structs.replace(request, project_id=project_id)


def gather(request: Start, settings: Settings, database: Database) -> Sources:
    """What the database and the files say about a request that `with_project` completed.

    Raises IbStreamError: `project_not_found`, `decision_snapshot_not_found`, `snapshot_unreadable`,
    `database_unavailable`, `schema_unexpected`, and what `check_request` raises.
    """
    check_request(request)
    if request.project_id is None and request.decision_snapshot_id is None:
        if request.symbols is not None:
            return Sources()
        raise IbStreamError("project_not_found", "no project was named; use --project N or set IBSTREAM_PROJECT_ID")
    for name, number in (("project", request.project_id), ("decision snapshot", request.decision_snapshot_id)):
        if number is not None and not 0 <= number < 1 << 63:
            code = "project_not_found" if name == "project" else "decision_snapshot_not_found"
            raise IbStreamError(code, f"there is no {name} {number}")
    rows = database.read(request.project_id, request.decision_snapshot_id, want_snapshot=request.symbols is None)
    snapshot = _checked_snapshot(request, rows.snapshot)
    project = _checked_project(request, rows.project, snapshot)
    if request.symbols is not None:
        return Sources(project, snapshot.id if snapshot else None)
    if snapshot is not None:
        items = read_items(snapshot, settings)
        return Sources(project, snapshot.id, items=items.rows, warnings=items.warnings)
    return _configured(project, settings)


def _checked_snapshot(request: Start, snapshot: SnapshotRow | None) -> SnapshotRow | None:
    wanted = request.decision_snapshot_id
    if wanted is None:
        return snapshot
    if snapshot is None:
        raise IbStreamError("decision_snapshot_not_found", f"there is no decision snapshot {wanted}")
    if request.project_id is not None and snapshot.project_id != request.project_id:
        raise IbStreamError(
            "decision_snapshot_not_found",
            f"decision snapshot {wanted} belongs to project {snapshot.project_id}, not {request.project_id}",
        )
    if not snapshot.usable:
        raise IbStreamError(
            "decision_snapshot_not_found",
            f"decision snapshot {wanted} is not usable: its status is {snapshot.status[:40]!r}, not 'success'",
        )
    return snapshot


def _checked_project(request: Start, row: ProjectRow | None, snapshot: SnapshotRow | None) -> Project:
    if row is None:
        wanted = request.project_id if request.project_id is not None else snapshot and snapshot.project_id
        raise IbStreamError("project_not_found", f"there is no project {wanted}")
    if row.is_archived:
        raise IbStreamError("project_not_found", f"project {row.id} is archived")
    where = f"the configuration of project {row.id} (project_versions {row.config_version})"
    return Project(row.id, row.name, parse_config(row.content, where))


def read_items(snapshot: SnapshotRow, settings: Settings) -> Items:
    """The rows of its CSV, and what was left out. Raises IbStreamError `snapshot_unreadable`."""
    what = f"the CSV of decision snapshot {snapshot.id}"
    path = find_items(snapshot.items_path, settings.items_root, settings.root, what)
    return parse_items(read_file(path, what, settings.items_root), what)


def _configured(project: Project, settings: Settings) -> Sources:
    """Symbols and themes of the configuration. A universe that is gone is a fault, not a smaller plan,
    unless every theme names symbols of its own."""
    if not active_themes(project.config):
        return Sources(project)
    what = "the universe of theme members"
    if _needs_universe(project.config) or settings.universe_csv.exists():
        return Sources(project, universe=parse_universe(read_file(settings.universe_csv, what), what))
    missing: tuple[Member, ...] = ()
    return Sources(project, universe=missing, warnings=(f"{what} is missing: themes have only what they name by hand",))


def _needs_universe(config: ProjectConfig) -> bool:
    return any(not theme.manual for theme in active_themes(config))
