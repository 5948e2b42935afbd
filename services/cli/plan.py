"""`ibstream plan`: which symbols, why, and how each of them is; or what a start would plan."""

from typing import TYPE_CHECKING, Annotated

import typer

from messages.errors import IbStreamError
from services.cli import output as tools
from services.cli.stream import MaxOption, ProjectOption, SnapshotOption, SymbolsOption
from services.cli.table import Table

if TYPE_CHECKING:
    from messages.events import Plan, PlannedSymbol
    from messages.views import Status
    from services.base.settings import Settings


def plan(
    json: Annotated[bool, typer.Option("--json", help="The plan as JSON.")] = False,
    refresh: Annotated[
        bool,
        typer.Option("--refresh", help="Read the database now and try rejected symbols again, then show it."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be planned for the options below, and change nothing.")
    ] = False,
    project: ProjectOption = None,
    decision_snapshot: SnapshotOption = None,
    symbols: SymbolsOption = None,
    max_symbols: MaxOption = None,
) -> None:
    """Show the plan: each symbol with the reason why it is there, its priority, state and source.

    [dim]Examples:[/dim]

      ibstream plan                                 what is planned now

      ibstream plan --refresh                       after a change in the database, without waiting

      ibstream plan --dry-run --project 3           what `start --project 3` would stream

      ibstream plan --json | jq '.symbols[].symbol'
    """
    where = tools.settings()
    asked = (project, decision_snapshot, symbols, max_symbols) != (None, None, None, None)
    if asked and not dry_run:
        raise IbStreamError("invalid_request", "these options go with --dry-run; `ibstream start` changes the plan")
    if dry_run and refresh:
        raise IbStreamError("invalid_request", "--dry-run changes nothing, so it does not go with --refresh")
    if dry_run:
        _show(_compute(where, project, decision_snapshot, symbols, max_symbols), None, json)
        return
    status = tools.get_status(where)
    found = _refreshed(where) if refresh else _last(where)
    if refresh:
        status = tools.get_status(where)
    _show(found, status, json)
    if refresh and found.problem:
        raise IbStreamError(
            found.problem_code or "database_unavailable",
            f"the refresh failed, the last plan stays in force: {found.problem}",
        )


def _compute(
    where: "Settings", project: int | None, snapshot: int | None, symbols: str | None, max_symbols: int | None
) -> "Plan":
    from messages.control import ComputePlan, PlanReply
    from messages.topics import PLANNER_CONTROL

    wanted = tools.start_request(project, snapshot, symbols, max_symbols)
    patience = where.database_timeout + 5
    return tools.ask(where, PLANNER_CONTROL, ComputePlan(request=wanted), PlanReply, patience).plan


def _last(where: "Settings") -> "Plan":
    """The newest plan, from the journal: it is there whether or not the planner runs."""
    from messages.codec import decode_plan
    from messages.topics import PLAN
    from services.journal import JournalReader

    with JournalReader(where.journal_dir, PLAN) as reader:
        row = reader.last()
    if row is None:
        raise IbStreamError("planner_unreachable", "there is no plan yet: the planner has not made one")
    return decode_plan(row.payload)


def _refreshed(where: "Settings") -> "Plan":
    """Ask for a refresh and wait for the plan that answers it."""
    import time

    from messages.control import Accepted, RefreshPlan
    from messages.topics import SUPERVISOR_CONTROL
    from services.runtime.bus import unreachable

    before = _last(where)
    if not before.started:
        raise IbStreamError("invalid_request", "the stream is stopped, so there is nothing to refresh")
    tools.ask(where, SUPERVISOR_CONTROL, RefreshPlan(), Accepted)
    deadline = time.monotonic() + where.database_timeout + 5
    while time.monotonic() < deadline:
        found = _last(where)
        if found.refresh_token != before.refresh_token:
            return found
        time.sleep(0.05)
    raise unreachable(where, "planner.control")


def _show(found: "Plan", status: "Status | None", as_json: bool) -> None:
    if as_json:
        tools.print_json(tools.with_iso_times(found, "time", "problem_since"))
        return
    console = tools.console()
    console.print(tools.styled(_title(found), "bold"))
    if found.problem:
        console.print(
            tools.styled(
                f"the last refresh failed, this plan stays in force: {found.problem} [{found.problem_code}]", "yellow"
            )
        )
    for warning in found.warnings:
        console.print(tools.styled(f"warning: {warning}", "yellow"))
    states = status.symbols if status is not None else {}
    columns = ("state", "source") if status is not None else ()
    several = any(symbol.gateway for symbol in found.symbols)
    table = Table(">#", "symbol", *(["gateway"] if several else []), *columns, "why", wraps=True)
    rows = [(symbol.priority, symbol.symbol, _place(symbol), symbol.reason) for symbol in found.symbols]
    rows += [(cut.priority, cut.symbol, cut.gateway, f"cut: {cut.reason}") for cut in found.cut]
    for priority, name, gateway, why in rows:
        state = states.get(name)
        place = [gateway] if several else []
        cells = [tools.state_text(state.state), state.source or ""] if state is not None else [""] * len(columns)
        table.add_row(str(priority), name, *place, *cells, tools.styled(why, None))
    console.print(table)


def _place(symbol: "PlannedSymbol") -> str:
    return f"{symbol.gateway}, from {symbol.home}" if symbol.home else symbol.gateway


def _title(found: "Plan") -> str:
    if not found.started:
        return "nothing is planned: the stream is stopped"
    parts = [f"{len(found.symbols)} symbols"]
    if found.cut:
        parts.append(f"{len(found.cut)} cut")
    if found.project_id is not None:
        parts.append(f"project {found.project_id}" + (f" ({found.project_name})" if found.project_name else ""))
    if found.decision_snapshot_id is not None:
        parts.append(f"decision snapshot {found.decision_snapshot_id}")
    return ", ".join(parts)
