"""`ibstream start`, `stop` and `status`."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from messages.errors import IbStreamError
from services.cli import output as tools
from services.cli.table import Table

if TYPE_CHECKING:
    from messages.control import Accepted

ProjectOption = Annotated[int | None, typer.Option(help="Project whose symbols to stream.", show_default=False)]
SnapshotOption = Annotated[
    int | None,
    typer.Option("--decision-snapshot", help="Decision snapshot; without it the project's latest usable one."),
]
SymbolsOption = Annotated[
    str | None,
    typer.Option(help="Stream exactly these: SPY,QQQ or SAP:IBIS:EUR. Takes precedence over any snapshot."),
]
MaxOption = Annotated[
    int | None, typer.Option("--max-symbols", help="Stream at most so many; the least important are cut.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="What came of it as JSON: accepted, changed, seq in the stream control.")
]
DataType = Literal["realtime", "frozen", "delayed", "delayed_frozen"]


def register(app: typer.Typer) -> None:
    app.command()(start)
    app.command()(stop)
    app.command()(status)


def start(
    project: ProjectOption = None,
    decision_snapshot: SnapshotOption = None,
    symbols: SymbolsOption = None,
    max_symbols: MaxOption = None,
    market_data_type: Annotated[
        DataType | None, typer.Option(help="What to ask IB for; what is delivered is shown by `ibstream status`.")
    ] = None,
    refresh_interval: Annotated[
        float | None, typer.Option(help="Seconds between two looks at the database, at least 5.")
    ] = None,
    generic_ticks: Annotated[
        str | None,
        typer.Option(
            help="What IB is asked for beside prices and sizes, by its numbers: 233,236. See deploy/database.md."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Start streaming. The choice survives restarts, until `ibstream stop`.

    [dim]Examples:[/dim]

      ibstream start                                      the default project

      ibstream start --project 3 --decision-snapshot 12   a certain snapshot

      ibstream start --symbols SPY,QQQ,BRK.B              exactly these

    Fails with ib_stream_lock_busy (exit 3) when the stream is started already, and with a code of its own for
    an unknown project, snapshot or symbol: the stream then stays as it was.
    """
    from messages.control import Accepted
    from messages.topics import SUPERVISOR_CONTROL

    where = tools.settings()
    wanted = tools.start_request(
        project, decision_snapshot, symbols, max_symbols, market_data_type, refresh_interval, generic_ticks
    )
    reply = tools.ask(where, SUPERVISOR_CONTROL, wanted, Accepted, timeout=where.database_timeout + 10)
    if json:
        _print_accepted(reply)
    else:
        typer.echo("started; `ibstream status --watch` shows the prices")


def stop(json: JsonOption = False) -> None:
    """Stop streaming: every subscription ends, the services stay. The choice survives restarts.

    [dim]Example:[/dim]  ibstream stop && ibstream start --symbols SPY
    """
    from messages.control import Accepted, Stop
    from messages.topics import SUPERVISOR_CONTROL

    reply = tools.ask(tools.settings(), SUPERVISOR_CONTROL, Stop(), Accepted)
    if json:
        _print_accepted(reply)
    else:
        typer.echo("stopped" if reply.changed else "it was stopped already")


def _print_accepted(reply: "Accepted") -> None:
    """The answer as the HTTP API gives it."""
    tools.print_json({"accepted": True, "changed": reply.changed, "seq": reply.seq})


def status(
    json: Annotated[bool, typer.Option("--json", help="The whole status as JSON, as in _status.json.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Every symbol, live, until Ctrl-C.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit 0 while the supervisor answers and no service is down, else 1.")
    ] = False,
) -> None:
    """Show how the stream is: the status, the services, and every symbol that is not as it should be.

    [dim]Examples:[/dim]

      ibstream status --watch                            prices, source, state and age of each symbol, live

      ibstream status --json | jq .symbols.SPY           for scripts

      ibstream status --watch --json                     one line of JSON a second

      ibstream status --check && echo well              for health checks
    """
    if check:
        _check()
        return
    if watch:
        from services.cli.watch import watch_status

        watch_status(tools.settings(), as_json=json)
        return
    found = tools.get_status(tools.settings())
    if json:
        tools.print_json(found)
        return
    console = tools.console()
    console.print(tools.headline(found))
    live = sum(symbol.state in ("live", "quiet") for symbol in found.symbols.values())
    facts = [f"{live} of {len(found.symbols)} symbols live"] if found.symbols else []
    facts.append(f"api mode {found.api_mode}")
    if found.project_id is not None:
        facts.append(f"project {found.project_id}")
    if found.decision_snapshot_id is not None:
        facts.append(f"decision snapshot {found.decision_snapshot_id}")
    for name, link in found.links_by_gateway.items():
        facts.append(" ".join(word for word in ("link", name, link.phase, link.endpoint) if word))
    console.print(", ".join(facts))
    console.print(f"services: {tools.services_line(found)}")
    if found.ib_error_count and found.last_error is not None:
        last = found.last_error
        console.print(
            f"{found.ib_error_count} IB errors, the last {last.code} {last.name}:", tools.styled(last.message, None)
        )
    for warning in tools.warnings_of(found):
        console.print(tools.styled(f"warning: {warning}", "yellow"))
    troubled = {name: s for name, s in found.symbols.items() if s.state not in ("live", "quiet", "closed")}
    if troubled:
        table = Table("symbol", "state", "source", ">age", "reason", "message", wraps=True)
        for name, symbol in troubled.items():
            table.add_row(
                name,
                tools.state_text(symbol.state),
                symbol.source or "",
                tools.age_text(symbol.age),
                symbol.reason or "",
                tools.styled(symbol.message, None),
            )
        console.print(table)


def _check() -> None:
    """The health check of a container: silent when all is well, else one line and exit 1 (Docker reserves 2 and
    knows no other). How the prices are is no matter of it: a restart would not bring them back."""
    try:
        found = tools.get_status(tools.settings())
    except IbStreamError as error:
        typer.echo(f"ibstream: {error.message} [{error.code}]", err=True)
        raise typer.Exit(1) from None
    down = [name for name, service in found.services.items() if service.state == "down"]
    if down:
        typer.echo(f"ibstream: not running: {', '.join(down)}", err=True)
        raise typer.Exit(1)
