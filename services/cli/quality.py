"""`ibstream quality`: what a day's data is worth, symbol by symbol, from the journal alone."""

from typing import TYPE_CHECKING, Annotated

import typer

from services.cli import output as tools
from services.cli.table import Table

if TYPE_CHECKING:
    from messages.quality import SymbolQuality


def quality(
    day: Annotated[str | None, typer.Option(help="A day by UTC: 2026-01-05. Without it, today.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Only this symbol.")] = None,
    marked: Annotated[bool, typer.Option("--marked", help="Only symbols in which something was found.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Read the ticks again, though a report was kept.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The whole report as JSON.")] = False,
) -> None:
    """Show what a day's data is worth: coverage and gaps, crossed and locked quotes, outliers, stuck and zero prices,
    ticks beside their usual number, the clock, and what looks like a split.

    A mark says what to look at, and no more: nothing is altered or left out for it. Reads the journal and its archive,
    so the services need not run; a day that is over is read once, and its report kept.

    [dim]Examples:[/dim]

      ibstream quality

      ibstream quality --day 2026-01-05 --marked

      ibstream quality --symbol SPY --json
    """
    import time

    import msgspec

    from messages.quality import QualityReport
    from services.base.clock import utc_day
    from services.base.symbols import name_of
    from services.quotes.past_quality import day_report

    where, now = tools.settings(), time.time_ns()
    name = name_of(symbol) if symbol is not None else None
    said = day_report(tools.journal(where), day or utc_day(now), now, kept=not fresh)
    report = msgspec.json.decode(said, type=QualityReport)
    rows = [row for row in report.symbols if name in (None, row.symbol) and (row.marks or not marked)]
    if json:
        tools.print_json(msgspec.structs.replace(report, symbols=rows))
        return
    if not rows:
        typer.echo("nothing was found" if marked else f"no ticks of {name or day or 'today'}")
        return
    columns = (">coverage", ">gaps", ">ticks", ">crossed", ">locked", ">outliers", ">off bars", ">zero", ">stuck")
    table = Table("symbol", *columns, ">clock", "split", "marks")
    for row in rows:
        table.add_row(row.symbol, *_figures(row), tools.styled(", ".join(row.marks), "yellow"))
    tools.console().print(table)
    typer.echo(f"{report.start[:10]}, until {report.until[11:19]} UTC; crossed, locked and stuck in seconds")


def _figures(row: "SymbolQuality") -> list[str]:
    return [
        "" if row.coverage is None else f"{row.coverage:.2%}",
        _shown(len(row.gaps)),
        f"{row.ticks}",
        _shown(row.crossed_seconds),
        _shown(row.locked_seconds),
        _shown(row.outliers),
        _shown(row.bars_outside),
        _shown(row.zero_prices),
        _shown(row.stuck_seconds),
        "" if row.clock_seconds is None else f"{row.clock_seconds:+.1f} s",
        row.split or "",
    ]


def _shown(figure: float) -> str:
    """Nothing for 0: what is there stands out."""
    return f"{figure:.4g}" if figure else ""
