"""`ibstream gaps`: the gap ledger, from the journal alone."""

from typing import TYPE_CHECKING, Annotated

import typer

from services.cli import output as tools
from services.cli.options import FromOption, ToOption
from services.cli.table import Table

if TYPE_CHECKING:
    from services.base.settings import Settings
    from services.quotes.gaps import Gap


def register(app: typer.Typer) -> None:
    app.command()(gaps)


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

    where = tools.settings()
    name = name_of(symbol) if symbol is not None else None
    first, last = tools.since("--from", begin if begin is not None else since), tools.since("--to", end)
    found = [gap for gap in _ledger(where, first or 0, last, name) if gap.end is None or not open_only]
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


def _filled(gap: "Gap") -> str:
    if gap.filled_bars is None:
        return ""
    return f"{gap.filled_bars} bars" if gap.filled else "no: history has no bars"


def _ledger(where: "Settings", begin: int, before: int | None, symbol: str | None) -> "list[Gap]":
    """The gaps that lasted at some time from `begin` on and `before` that, in order of their start."""
    from messages.codec import decode_block
    from messages.events import EventBlock
    from messages.topics import LINK, kind
    from services.journal import JournalReader, streams_in
    from services.quotes.gaps import Gap, GapFold

    found: list[Gap] = []
    journal = tools.journal(where)
    for stream in streams_in(journal):
        if kind(stream) != LINK:
            continue
        fold = GapFold()
        with JournalReader(journal, stream) as reader:
            for row in reader.blocks():
                block = decode_block(stream, row.payload)
                assert isinstance(block, EventBlock)
                for event in block.events:
                    fold.apply(event)
        found += fold.gaps(symbol)
    found.sort(key=lambda gap: (gap.start, gap.symbol))
    return [gap for gap in found if (gap.end is None or gap.end >= begin) and (before is None or gap.start < before)]
