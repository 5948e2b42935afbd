"""`ibstream alerts`: price alerts, set with the supervisor, and what would have come of them in the past."""

from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from messages.errors import IbStreamError
from services.cli import output as tools
from services.cli.options import FromOption, ToOption
from services.cli.table import Table

if TYPE_CHECKING:
    from messages.control import AnyMessage
    from messages.events import AlertFired

T = TypeVar("T")

JsonOption = Annotated[bool, typer.Option("--json", help="As JSON, with the fields of the HTTP endpoints.")]
PauseOption = Annotated[float, typer.Option(help="Seconds: least time between two alerts for one symbol.")]


def register(app: typer.Typer) -> None:
    alerts = typer.Typer(help="Price alerts: set, list and remove them, or try one on the past.")
    alerts.callback(invoke_without_command=True)(show)
    alerts.command("add")(add)
    alerts.command("remove")(remove)
    alerts.command("replay")(replay)
    app.add_typer(alerts, name="alerts")


def show(context: typer.Context, json: JsonOption = False) -> None:
    """List the alerts that are set, and those that came last.

    [dim]Examples:[/dim]

      ibstream alerts add "SPY rises above 600"

      ibstream alerts add "@all stale for 60s" --pause 3600

      ibstream alerts replay --from -1d --rule "SPY moves 2% in 5m"
    """
    if context.invoked_subcommand is not None:
        return
    from messages.control import AlertsReply, ListAlerts

    reply = _ask(ListAlerts(), AlertsReply)
    if json:
        tools.print_json({"alerts": reply.alerts, "recent": reply.recent})
        return
    if not reply.alerts:
        typer.echo('no alert is set; `ibstream alerts add "SPY rises above 600"` sets one')
    else:
        table = Table(">id", "rule", ">pause", ">came", "last", "note", wraps=True)
        for alert in reply.alerts:
            last = "" if alert.last is None else f"{alert.last.time[:19]}  {alert.last.text}"
            cells = (str(alert.id), alert.rule, f"{alert.pause:g} s", str(alert.count), last, alert.note)
            table.add_row(*(tools.styled(cell, None) for cell in cells))
        tools.console().print(table)
    for notice in reply.recent[:10] if not reply.alerts else ():
        typer.echo(f"{notice.time[:19]}  {notice.text}")


def add(
    rule: Annotated[str, typer.Argument(help='Such as "SPY rises above 600" or "SPY moves 2% in 5m".')],
    pause: PauseOption = 900.0,
    note: Annotated[str, typer.Option(help="Your own words, told with the alert.")] = "",
    json: JsonOption = False,
) -> None:
    """Set an alert. It lasts across restarts, and is told on the page, in the log and by IBSTREAM_ALERT_URLS.

    [dim]Rules:[/dim]

      SPY crosses 600 | SPY rises above 600 | SPY falls below 600 by bid

      SPY moves 2% in 5m | SPY spread above 0.05 | SPY spread above 0.1%

      SPY silent for 30s                  no new price, though its market is open

      @all stale for 60s                  no price to use; @decision_snapshot, @benchmark: those of the plan's reason
    """
    from messages.control import Accepted, AddAlert

    reply = _ask(AddAlert(rule=rule, pause=pause, note=note), Accepted)
    if json:
        tools.print_json({"id": reply.seq})
    else:
        typer.echo(f"alert {reply.seq} is set")


def remove(
    number: Annotated[int, typer.Argument(metavar="ID", help="As `ibstream alerts` shows it.")],
    json: JsonOption = False,
) -> None:
    """Remove an alert. Fails with alert_not_found (exit 19)."""
    from messages.control import Accepted, RemoveAlert

    _ask(RemoveAlert(id=number), Accepted)
    if json:
        tools.print_json({"id": number})
    else:
        typer.echo(f"alert {number} is removed")


def replay(
    begin: FromOption = "-1d",
    end: ToOption = "now",
    rule: Annotated[
        list[str] | None, typer.Option("--rule", help="Instead of the alerts that were set: as in `alerts add`.")
    ] = None,
    pause: PauseOption = 900.0,
    json: JsonOption = False,
) -> None:
    """Show the alerts that came, or that another rule would have given, from the journal alone.

    [dim]Example:[/dim]

      ibstream alerts replay --from -1d --rule "SPY moves 2% in 5m" --pause 60
    """
    from services.base.clock import iso
    from services.quotes import alert_replay
    from services.quotes.alert_fold import AskedFor
    from services.quotes.alert_rules import parse

    asked = [AskedFor(parse(text), pause) for text in rule] if rule else None
    first, last = tools.since("--from", begin), tools.since("--to", end)
    assert first is not None and last is not None
    if first >= last:
        raise IbStreamError("invalid_request", "--from is not before --to")
    found = alert_replay.replay(tools.journal(tools.settings()), first, last, asked)
    if json:
        tools.print_json([_as_notice(event) for event in found])
        return
    came = False
    for event in found:
        came = True
        typer.echo(f"{iso(event.at)[:23]}  {event.text}")
    if not came:
        typer.echo("none came")


def _as_notice(event: "AlertFired") -> object:
    import msgspec

    from services.base.clock import iso

    plain = msgspec.to_builtins(event)
    del plain["type"]
    return plain | {"time": iso(plain.pop("at"))}


def _ask(command: "AnyMessage", answer: "type[T]") -> "T":
    from messages.topics import SUPERVISOR_CONTROL

    return tools.ask(tools.settings(), SUPERVISOR_CONTROL, command, answer)
