"""`ibstream rehearse`: a score card for an IB program, from what it does when the simulated gateway fails."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli import output as tools
from services.cli.table import Table

if TYPE_CHECKING:
    from services.simulator.rehearsal.card import Card
    from services.simulator.rehearsal.rehearse import Terms
    from services.simulator.rehearsal.trials import Trial

STYLE = {"pass": "green", "fail": "bold red"}


def rehearse(
    command: Annotated[
        list[str] | None,
        typer.Argument(
            help="The program, after --. {host} and {port} in it are the gateway's, {scenario} a name.",
            show_default=False,
        ),
    ] = None,
    scenario: Annotated[list[str] | None, typer.Option(help="Only this one; may be given again.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="The scenarios, with their weights and rules.")] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where the gateway listens; without a COMMAND start yours by hand.")
    ] = 0,
    speed: Annotated[
        float, typer.Option(min=0.1, max=1000, help="Troubles take this part of their time. Your clock is real.")
    ] = 1.0,
    connect: Annotated[float, typer.Option(min=1, max=3600, help="Seconds to connect and subscribe.")] = 60.0,
    patience: Annotated[
        float, typer.Option(min=0, max=3600, help="Seconds to be whole again; 0: each scenario's own, 5 to 90.")
    ] = 0.0,
    jobs: Annotated[
        int, typer.Option(min=1, max=14, help="Scenarios at the same time, if several of your program can run at once.")
    ] = 1,
    log: Annotated[Path | None, typer.Option(help="Append what the program prints here.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the card as JUnit XML here.")] = None,
    json: Annotated[bool, typer.Option("--json", help="The card as one JSON object.")] = False,
) -> None:
    """Take an IB program through the bad days of a gateway, watch it from the wire, and print a score card.

    The program, in any language, is started anew for each scenario with IBSTREAM_IB_HOST and IBSTREAM_IB_PORT in its
    environment, must subscribe to something, and is ended with its children afterwards. No account is needed.

    Exit code 0: full marks, 1: a scenario failed, 2: wrong usage, 18: the program could not be started or never
    connected.

    [dim]Examples:[/dim]

      ibstream rehearse -- python my_program.py --port {port}

      ibstream rehearse --scenario link_lost --scenario restart --junit card.xml -- ./my_program

      ibstream rehearse --port 17500        start your program by hand, anew for each scenario
    """
    from messages.errors import IbStreamError
    from services.simulator.rehearsal.card import junit as as_junit
    from services.simulator.rehearsal.rehearse import Terms
    from services.simulator.rehearsal.trials import choose

    chosen = choose(scenario or [])
    if listed:
        _list(chosen)
        return
    if not command and not port:
        raise IbStreamError("invalid_request", "name your program after --, or with --port where to wait for it")
    if junit is not None:
        _write(junit, b"")  # now, and not after minutes
    if jobs > 1 and port:
        raise IbStreamError("invalid_request", "--jobs wants a port for each scenario: leave --port out")
    terms = Terms(port=port, speed=speed, connect=connect, patience=patience, jobs=jobs)
    made = _run(command or [], chosen, terms, log)
    if junit is not None:
        _write(junit, as_junit(made))
    if json:
        import msgspec

        typer.echo(msgspec.json.encode(made))
    else:
        _show(made)
    raise typer.Exit(0 if made.full else 1)


def _write(path: Path, data: bytes) -> None:
    from messages.errors import IbStreamError

    try:
        path.write_bytes(data)
    except OSError as error:
        raise IbStreamError("invalid_request", f"{path} cannot be written: {error.strerror}") from None


def _run(command: list[str], chosen: "list[Trial]", terms: "Terms", log: Path | None) -> "Card":
    import logging
    import shlex
    import sys
    import tempfile

    import structlog

    from services.simulator.rehearsal.program import Program
    from services.simulator.rehearsal.rehearse import rehearse as run

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )  # what the gateway does is on the card

    def say(sentence: str) -> None:
        typer.echo(sentence, err=True)

    with tempfile.TemporaryDirectory(prefix="ibstream-rehearse-") as folder:

        def program(scenario: str) -> Program:
            return Program(command, log or Path(folder) / scenario, scenario)

        name = shlex.join(command) if command else f"whoever connected to port {terms.port}"
        return _until_signal(lambda: run(program if command else None, name, chosen, terms, say))


def _until_signal(work: Callable[[], Coroutine[Any, Any, "Card"]]) -> "Card":
    """The card; a signal ends the program too, and then us."""
    ended_by: list[int] = []

    async def main() -> "Card":
        task = asyncio.ensure_future(work())

        def end(number: int) -> None:
            ended_by.append(number)
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, end, number)
        return await task

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        raise typer.Exit(128 + ended_by[0]) from None


def _list(chosen: "list[Trial]") -> None:
    table = Table("scenario", ">points", "what happens, and the rule", wraps=True)
    for trial in chosen:
        table.add_row(trial.name, str(trial.weight), f"{trial.title}. {trial.rule} ({trial.source})")
    tools.console().print(table)


def _show(made: "Card") -> None:
    from rich.markup import escape

    table = Table("scenario", "verdict", ">points", ">blind", "why", wraps=True)
    for one in made.outcomes:
        blind = "" if one.blind_seconds is None else f"{one.blind_seconds:.1f} s"
        remarks = "".join(f"; {remark}" for remark in one.remarks)
        rule = f". {one.rule} ({one.source})" if one.verdict == "fail" else ""
        verdict = f"[{STYLE[one.verdict]}]{one.verdict}[/]"
        table.add_row(one.name, verdict, f"{one.points}/{one.of}", blind, escape(f"{one.why}{remarks}{rule}"))
    console = tools.console()
    console.print(table)
    console.print(f"{made.points} of {made.of} points", soft_wrap=True)
