"""`ibstream projects`: what there is to choose from, as the planner reads it in the database."""

from typing import TYPE_CHECKING, Annotated

import typer

from services.cli import output as tools
from services.cli.table import Table

if TYPE_CHECKING:
    from messages.views import ProjectChoice, SnapshotChoice


def projects(
    project: Annotated[
        int | None, typer.Argument(help="Only this one: its decision snapshots, the newest first.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON, with the fields of the HTTP endpoints.")] = False,
) -> None:
    """List the projects, each with the decision snapshot that a start would stream; or the snapshots of one.

    [dim]Examples:[/dim]

      ibstream projects

      ibstream projects 3

      ibstream plan --dry-run --project 3 --decision-snapshot 12     what would be streamed
    """
    from messages.control import ListProjects, ListSnapshots, ProjectsReply, SnapshotsReply
    from messages.topics import PLANNER_CONTROL

    where = tools.settings()
    question = ListProjects() if project is None else ListSnapshots(project_id=project)
    expected: type[ProjectsReply | SnapshotsReply] = ProjectsReply if project is None else SnapshotsReply
    reply = tools.ask(where, PLANNER_CONTROL, question, expected, where.database_timeout + 5)
    if json:
        listed = {"projects": reply.projects} if isinstance(reply, ProjectsReply) else {"snapshots": reply.snapshots}
        tools.print_json({**listed, "more": reply.more})
        return
    if isinstance(reply, ProjectsReply):
        _show_projects(reply.projects)
    else:
        _show_snapshots(reply.snapshots)
    if reply.more:
        typer.echo("there are older ones, which are not listed", err=True)


def _show_projects(found: "list[ProjectChoice]") -> None:
    table = Table(">id", "name", ">snapshot", "date", ">symbols", "note", wraps=True)
    for project in found:
        snapshot = project.snapshot
        note = "archived: a start refuses it" if project.archived else _note(snapshot)
        cells = (str(snapshot.id), snapshot.date or "", _count(snapshot)) if snapshot is not None else ("", "", "")
        table.add_row(str(project.id), tools.styled(project.name, None), *cells, tools.styled(note, "yellow"))
    tools.console().print(table)


def _show_snapshots(found: "list[SnapshotChoice]") -> None:
    table = Table(">snapshot", "date", ">symbols", "note", wraps=True)
    for snapshot in found:
        note = tools.styled(_note(snapshot), "yellow")
        table.add_row(str(snapshot.id), snapshot.date or "", _count(snapshot), note)
    tools.console().print(table)


def _count(snapshot: "SnapshotChoice") -> str:
    return "" if snapshot.count is None else str(snapshot.count)


def _note(snapshot: "SnapshotChoice | None") -> str:
    if snapshot is None:
        return "no usable decision snapshot"
    return (snapshot.problem or "") if snapshot.usable else "not usable: its status is not success"
