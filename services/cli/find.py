"""`ibstream find`: IB's own search for symbols, with what to write in the plan."""

import subprocess
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from messages.errors import CODES, IbStreamError
from services.cli import output as tools
from services.cli.table import Table

if TYPE_CHECKING:
    from messages.checks import FoundSymbol

PATIENCE = 60.0  # seconds; the search has time limits of its own


def find(
    text: Annotated[str, typer.Argument(help="The beginning of a symbol, or a part of a name.")],
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Search IB's symbols, and say what to write in a configuration, a decision snapshot or `--symbols` for each.

    Connects to the gateway of the settings, with a client id of its own while the gateway service runs, and uses no
    market data line. Fails with symbol_not_found (13), or gateway_unreachable (21).

    [dim]Example:[/dim]

      ibstream find "berkshire"
    """
    where = tools.settings()
    if not text.strip() or not text.isprintable() or len(text) > 100:
        raise IbStreamError("invalid_request", "expected a text of 1 to 100 characters to search for")
    found = _search(text.strip(), where.gateway_names[0])
    if json:
        tools.print_json(found)
        return
    table = Table("in the plan", ">contract id", "type", "currency", "primary exchange", "name", "also has")
    for one in found:
        cells = (one.plan or f"con_id {one.con_id}", str(one.con_id), one.sec_type, one.currency, one.primary_exchange)
        table.add_row(*(tools.styled(cell, None) for cell in (*cells, one.name, ", ".join(one.derivatives))))
    tools.console().print(table)


def _search(text: str, gateway: str) -> "list[FoundSymbol]":
    """By a process of the gateway's, which knows IB's protocol."""
    from messages.checks import FoundSymbol
    from messages.codec import json_decoder

    command = [sys.executable, "-m", "services.gateway.find", text, *([gateway] if gateway else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)  # noqa: S603 - ours
    except subprocess.TimeoutExpired:
        raise IbStreamError("gateway_unreachable", f"the search did not end within {PATIENCE:g} seconds") from None
    if done.returncode:
        said = done.stderr.strip().splitlines()
        sentence, _, code = (said[-1] if said else "the search failed").rpartition(" [")
        known = code.rstrip("]")
        raise IbStreamError(known, sentence) if known in CODES else IbStreamError("gateway_unreachable", sentence)
    decode = json_decoder(FoundSymbol)
    return [decode(line.encode()) for line in done.stdout.splitlines()]
