"""`ibstream doctor`: is everything in place for a real gateway? Each stage with what was seen and how to mend it."""

import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from messages.checks import Finding
from messages.errors import IbStreamError
from services.cli import output as tools

if TYPE_CHECKING:
    from services.base.settings import Settings

MARKS = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}
LOW_DISK_GB = 5.0
CHECK_SECONDS = 60.0  # the slowest checker waits for a price for twelve


def doctor(
    symbol: Annotated[str, typer.Option(help="Symbol to ask a price for, in the notation of the plan.")] = "SPY",
    json: Annotated[bool, typer.Option("--json", help="One finding a line, as JSON.")] = False,
) -> None:
    """Check the way to a real gateway, or to each of several, stage by stage: address, TCP, handshake, client id,
    data farms, entitlement, delivered data type, sizes, clock, database, disk, run directory, ports.

    It changes nothing, and uses one market data line for some seconds. Exit code 0: all is well, 1: there are
    warnings, 2: something failed.

    [dim]Example:[/dim]

      IBSTREAM_API_MODE=ib IBSTREAM_IB_PORT=4001 ibstream doctor --symbol AAPL
    """
    import msgspec

    from services.base.symbols import parse

    parse(symbol)
    where = tools.settings()
    worst = "ok"
    console = tools.console()
    width = 12 + max(len(f"{name} ".lstrip()) for name in where.gateway_names)
    for finding in _findings(where, symbol):
        if finding.level in ("failed", "warning") and worst != "failed":
            worst = finding.level
        if json:
            typer.echo(msgspec.json.encode(finding))
            continue
        style = MARKS[finding.level]
        console.print(
            f"[{style}]{finding.level:<8}[/] [bold]{finding.stage:<{width}}[/] ", finding.seen, sep="", soft_wrap=True
        )
        if finding.mend:
            console.print(" " * (width + 10) + "mend: ", finding.mend, sep="", soft_wrap=True)
    raise typer.Exit({"ok": 0, "warning": 1, "failed": 2}[worst])


def _findings(where: "Settings", symbol: str) -> Iterator[Finding]:
    import msgspec

    for name in where.gateway_names:
        for finding in _ask("services.gateway.doctor", symbol, *([name] if name else [])):
            yield msgspec.structs.replace(finding, stage=f"{name} {finding.stage}".lstrip())
    yield from _ask("services.planner.doctor")
    yield _disk(where)
    yield _run_directory(where)
    yield _port(where)


def _ask(module: str, *arguments: str) -> Iterator[Finding]:
    """The findings of a service's own checker, as they come."""
    import msgspec

    from messages.codec import json_decoder

    decode = json_decoder(Finding)
    stage = module.split(".")[1]
    command = [sys.executable, "-m", module, *arguments]
    fault = "this is a fault of ibstream's own check"
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,  # noqa: S603 - ours
    ):
        late = False

        def give_up() -> None:
            nonlocal late
            late = True
            process.kill()

        deadline = threading.Timer(CHECK_SECONDS, give_up)
        deadline.start()
        try:
            for line in process.stdout or ():
                try:
                    yield decode(line.encode())
                except msgspec.MsgspecError:
                    yield Finding(stage, "failed", f"the check said what is no finding: {line.strip()}", fault)
            code = process.wait()
        finally:
            deadline.cancel()
            process.kill()  # for whoever stops listening in between
        if late:
            hang = f"the check did not end within {CHECK_SECONDS:g} seconds"
            yield Finding(stage, "failed", hang, "what the stage before says may tell where it hangs")
        elif code != 0:
            errors.seek(0)
            said = errors.read().strip()
            last = said.splitlines()[-1] if said else f"exit code {code}"
            yield Finding(stage, "failed", last, fault)


def _disk(where: "Settings") -> Finding:
    folder = next(path for path in (where.root, *where.root.parents) if path.exists())
    free = shutil.disk_usage(folder).free / 1e9
    seen = f"{free:.1f} GB free at {folder}"
    if free < LOW_DISK_GB:
        return Finding("disk", "warning", seen, "make room, or lower IBSTREAM_RETENTION_GB and _DAYS_TICKS")
    return Finding("disk", "ok", seen)


def _run_directory(where: "Settings") -> Finding:
    from services.base.run_dir import prepare_run_dir

    try:
        path = prepare_run_dir(where)
    except (IbStreamError, OSError) as error:
        return Finding("run folder", "failed", str(error), "set IBSTREAM_RUN_DIR to a folder of your own")
    return Finding("run folder", "ok", f"{path}, mode {stat.S_IMODE(path.stat().st_mode):o}")


def _port(where: "Settings") -> Finding:
    from services.runtime.bus import is_listening

    if is_listening(where.run_path / "web.events"):
        return Finding("web port", "ok", f"{where.web_host}:{where.web_port}, served by this ibstream")
    family = socket.AF_INET6 if ":" in where.web_host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((where.web_host, where.web_port))
        except OSError as error:
            mend = "end the program that has it, or set IBSTREAM_WEB_PORT"
            return Finding("web port", "failed", f"{where.web_host}:{where.web_port}: {error.strerror}", mend)
    return Finding("web port", "ok", f"{where.web_host}:{where.web_port} is free")
