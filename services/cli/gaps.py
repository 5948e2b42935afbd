"""`ibstream gaps`: the gap ledger, from the journal alone."""

from typing import TYPE_CHECKING, Annotated

import typer

from messages.errors import IbStreamError
from services.cli import output as tools
from services.cli.options import FromOption, ToOption
from services.cli.table import Table

if TYPE_CHECKING:
    from services.base.settings import Settings
    from services.quotes.gaps import Gap


def gaps(
    symbol: Annotated[str | None, typer.Option(help="Only this symbol.")] = None,
    begin: FromOption = None,
    end: ToOption = None,
    since: Annotated[str | None, typer.Option("--since", hidden=True)] = None,
    open_only: Annotated[bool, typer.Option("--open", help="Only gaps that last.")] = False,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show when streamed prices were missing, for each symbol: from, to, why, and whether history filled it.

    Reads the journal, so the services need not run.

    [dim]Examples:[/dim]

      ibstream gaps --from -1d

      ibstream gaps --symbol SPY --json
    """
    from services.base.symbols import name_of
    from services.quotes.past_gaps import gaps_in

    where = tools.settings()
    name = name_of(symbol) if symbol is not None else None
    first, last = tools.span(begin if begin is not None else since, end)
    listed = list(gaps_in(tools.journal(where), first or 0, last, {name} if name is not None else ()))
    if name is not None and not listed:
        _check_known(where, name)
    found = [gap for gap, _ in listed if gap.end is None or not open_only]
    if json:
        tools.print_json([tools.with_iso_times(gap, "start", "end") for gap in found])
        return
    if not found:
        typer.echo("no gaps" + (f" of {name}" if name else ""))
        return
    from services.base.clock import SECOND, iso

    table = Table("symbol", "from (UTC)", "to", ">seconds", "reason", "filled")
    for gap in found:
        length = f"{(gap.end - gap.start) / SECOND:.1f}" if gap.end is not None else ""
        table.add_row(
            gap.symbol,
            iso(gap.start)[:23],
            iso(gap.end)[:23] if gap.end is not None else tools.styled("open", "yellow"),
            length,
            gap.reason,
            _filled(gap),
        )
    tools.console().print(table)


def _check_known(where: "Settings", name: str) -> None:
    """Raises IbStreamError `symbol_not_found`: of what was never planned no price was ever missing."""
    from messages.codec import decode_plan
    from messages.topics import PLAN
    from services.journal import JournalReader

    with JournalReader(tools.journal(where), PLAN) as reader:
        planned = (symbol.symbol for row in reader.blocks() for symbol in decode_plan(row.payload).symbols)
        if name not in planned:
            raise IbStreamError("symbol_not_found", f"{name} was never planned: nothing was recorded of it")


def _filled(gap: "Gap") -> str:
    if gap.filled_bars is None:
        return ""
    return f"{gap.filled_bars} bars" if gap.filled else "no: history has no bars"
