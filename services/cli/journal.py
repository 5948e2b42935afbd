"""`ibstream verify`, `replay`, `at`, `export` and `archive`: the journal's tools. Services need not run."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from messages.errors import IbStreamError
from services.cli import output as tools
from services.cli.options import FromOption, ToOption
from services.cli.table import Table

if TYPE_CHECKING:
    from messages.views import Quote
    from services.base.settings import Settings
    from services.journal.verify import Report
    from services.quotes.replay import Entry

FORMATS: Final = ("parquet", "csv")

StreamOption = Annotated[
    str | None, typer.Option("--stream", help="Only these: ticks, link, plan, control; several with commas.")
]
SymbolOption = Annotated[str | None, typer.Option("--symbol", help="Only these symbols; several with commas.")]


def register(app: typer.Typer) -> None:
    for command in (verify, replay, export, archive):
        app.command()(command)
    # -5m is a time, and -1h is no call for help.
    app.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})(at)


def verify(
    stream: StreamOption = None,
    json: Annotated[bool, typer.Option("--json", help="The whole report as JSON.")] = False,
) -> int:
    """Read the whole journal and its archive, and say whether all of it is there and whole.

    Reads only, never repairs. Exit code 0: clean; 1: damaged, with what and where; 2: it cannot tell, with why.

    [dim]Examples:[/dim]

      ibstream verify

      ibstream verify --stream ticks --json
    """
    from services.journal.verify import verify as examine

    where = tools.settings()
    with _progress("verifying") as show:
        report = examine(where.journal_dir, _streams(stream, where), show)
    if json:
        tools.print_json(report)
    else:
        _show_report(report)
    return report.exit_code


def replay(
    begin: FromOption = None,
    end: ToOption = None,
    symbol: SymbolOption = None,
    stream: StreamOption = None,
    speed: Annotated[str, typer.Option(help="1: as it was; 10: ten times as fast; max: at once.")] = "max",
    json: Annotated[bool, typer.Option("--json", help="One line of JSON an event.")] = False,
    into: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Write the symbol files instead, byte for byte as the sink left them."),
    ] = None,
) -> None:
    """Replay what was recorded: to the screen, as JSON lines, or into symbol files.

    Streams of services on other machines (IBSTREAM_BUS_PEERS) are asked of these, all others read from files.

    [dim]Examples:[/dim]

      ibstream replay --from -5m --symbol SPY

      ibstream replay --from 2026-01-05T14:30 --to 2026-01-05T14:31 --json | jq .value

      ibstream replay --into rebuilt                       every symbol file, from the journal alone

      ibstream replay --from 14:30 --speed 10 --into demo  files that live through it again
    """
    from messages.topics import writer_of
    from services.quotes.replay import RemotePast, entries, files

    where = tools.settings()
    since, until = tools.span(begin, end)
    pace = _speed(speed)
    if into is not None:
        if symbol or stream or json:
            raise IbStreamError(
                "invalid_request", "--into writes all symbols from all streams: no other choice with it"
            )
        _replay_into(where, into, since, until, pace)
        return
    chosen, symbols = _streams(stream, where) or known_streams(where), _symbols(symbol)
    here = [name for name in chosen if writer_of(name) not in where.peers]
    pasts = files(tools.journal(where), here) if here else {}
    pasts |= {name: RemotePast(where, name, symbols) for name in chosen if name not in pasts}
    _check_seen(symbols, _print_entries(entries(pasts, since or 0, until, symbols), pace, json))


def at(
    time: Annotated[str, typer.Argument(help="2026-01-05T14:30:00Z, 2026-01-05, 14:30 (UTC), -5m, now.")],
    symbols: Annotated[list[str] | None, typer.Argument(help="Only these.", metavar="[SYMBOL]...")] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON, with the fields of the symbol files.")] = False,
) -> None:
    """Show the quotes as they were at a time.

    [dim]Examples:[/dim]

      ibstream at 2026-01-05T14:30:00Z

      ibstream at -5m SPY QQQ --json
    """
    from services.base.symbols import name_of
    from services.quotes.checkpoints import book_at

    where = tools.settings()
    moment = tools.since("TIME", time)
    assert moment is not None
    with _progress("folding") as show:
        book = book_at(tools.journal(where), moment, show)
    quotes = {name: quote for name in book.symbols() if (quote := book.quote(name)) is not None}
    for name in map(name_of, symbols or []):
        if name not in quotes:
            raise IbStreamError("symbol_not_found", f"{name} had no price yet at {time}")
    wanted = list(map(name_of, symbols)) if symbols else list(quotes)
    if json:
        tools.print_json([quotes[name] for name in wanted])
    else:
        _show_quotes([quotes[name] for name in wanted])


def export(
    format: Annotated[
        str | None, typer.Option("--format", help="parquet or csv. Default: the ending of --out, else parquet.")
    ] = None,
    out: Annotated[
        str | None, typer.Option(help="The file, - for standard output. Default: the stream's name with its ending.")
    ] = None,
    stream: Annotated[str, typer.Option(help="ticks, link, plan or control.")] = "ticks",
    begin: FromOption = None,
    end: ToOption = None,
    until: Annotated[str | None, typer.Option("--until", hidden=True)] = None,
    symbol: SymbolOption = None,
) -> None:
    """Write events as a table, for notebooks and spreadsheets.

    [dim]Examples:[/dim]

      ibstream export --from 2026-01-05 --to 2026-01-06

      ibstream export --format csv --symbol SPY --out - | head
    """
    import os
    import sys
    from pathlib import Path

    from services.journal.export import export as write

    if format is None and end in FORMATS:  # as it was called before there was --format
        format, end = end, None
    kind = _format(format, out)
    where = tools.settings()
    name, *more = _streams(stream, where) or [stream]
    if more:
        raise IbStreamError("invalid_request", f"one stream at a time: {name}, {', '.join(more)}")
    first, last = tools.span(begin, end if end is not None else until)
    symbols, seen = _symbols(symbol), set[str]()
    target = Path(f"{name}.{kind}" if out is None else out)
    if target.is_dir():
        raise IbStreamError("invalid_request", f"{target} is a folder; --out names a file")
    special = target.exists() and not target.is_file()  # a device or a pipe is written to, and never replaced
    with _progress(f"exporting {name}") as show:

        def progress(done: int, total: int) -> None:
            show("", done, total)

        options: dict[str, Any] = {"begin": first or 0, "end": last, "symbols": symbols, "progress": progress}
        if out == "-":
            write(tools.journal(where), name, kind, sys.stdout.buffer, seen=seen, **options)
            _check_seen(symbols, seen)
            return
        draft = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            if special:
                with target.open("wb") as file:
                    count = write(tools.journal(where), name, kind, file, seen=seen, **options)
                _check_seen(symbols, seen)
                typer.echo(f"{count:,} events in {target}", err=True)
                return
            count = write(tools.journal(where), name, kind, draft, seen=seen, **options)
            _check_seen(symbols, seen)
            draft.replace(target)
        except OSError as error:
            raise IbStreamError("invalid_request", f"{target} cannot be written: {error.strerror or error}") from None
        finally:
            draft.unlink(missing_ok=True)
    typer.echo(f"{count:,} events in {target}")


def archive(
    json: Annotated[bool, typer.Option("--json", help="What was done, as JSON.")] = False,
) -> int:
    """Compact closed days into Parquet now, and remove what is past its retention. The supervisor does it hourly.

    Settings: IBSTREAM_ARCHIVE_AFTER_DAYS, _RETENTION_DAYS_TICKS, _RETENTION_DAYS_EVENTS, _RETENTION_GB.
    """
    import time

    from services.archive.compaction import run

    where = tools.settings()
    with _progress("archiving") as show:
        done = run(where, time.time_ns(), show)
    if json:
        tools.print_json(done)
    elif not done:
        typer.echo("nothing to archive or to retire")
    else:
        table = Table("stream", "day", "", ">events", ">MB before", ">MB after", "problem", wraps=True)
        for one in done:
            sizes = f"{one.bytes_before / 1e6:.1f}", f"{one.bytes_after / 1e6:.1f}" if one.bytes_after else ""
            table.add_row(
                one.stream, one.day, one.action, f"{one.events:,}" if one.events else "", *sizes, one.problem or ""
            )
        tools.console().print(table)
    return 1 if any(one.problem for one in done) else 0


# --- options -----------------------------------------------------------------------------------------------


def known_streams(where: "Settings") -> tuple[str, ...]:
    """Those that the settings name, and those that are in the journal."""
    from services.journal import streams_in

    return streams_in(where.journal_dir, where.gateway_names)


def _streams(text: str | None, where: "Settings") -> list[str] | None:
    """`ticks` is every gateway's, where each has one of its own."""
    from messages.topics import chosen

    known, names = known_streams(where), tools.symbol_list(text)
    if names == []:
        raise IbStreamError("invalid_request", f"--stream names none; there are {', '.join(known)}")
    try:
        return None if names is None else chosen(names, known)
    except KeyError as unknown:
        message = f"{unknown.args[0]} is no stream; there are {', '.join(known)}"
        raise IbStreamError("invalid_request", message) from None


def _format(asked: str | None, out: str | None) -> Literal["parquet", "csv"]:
    """Raises IbStreamError."""
    ending = (out or "").rpartition(".")[2].lower()
    chosen = asked if asked is not None else ending if ending in FORMATS else "parquet"
    if chosen not in FORMATS:
        raise IbStreamError("invalid_request", f"--format {chosen}: expected parquet or csv")
    return "csv" if chosen == "csv" else "parquet"


def _check_seen(asked: Iterable[str], seen: set[str]) -> None:
    """Raises IbStreamError `symbol_not_found` for one that nothing was found of."""
    for name in asked:
        if name not in seen:
            raise IbStreamError("symbol_not_found", f"nothing of {name} was recorded in that time")


def _symbols(text: str | None) -> list[str]:
    from services.base.symbols import name_of

    names = tools.symbol_list(text)
    if names == []:
        raise IbStreamError("invalid_symbol", "--symbol names none; without it all are meant")
    return [name_of(symbol) for symbol in names or ()]


def _speed(text: str) -> float | None:
    from services.quotes.replay import parse_speed

    try:
        return parse_speed(text)
    except ValueError as error:
        raise IbStreamError("invalid_request", f"--speed: {error}") from None


# --- what is shown -----------------------------------------------------------------------------------------


@contextmanager
def _progress(doing: str) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on standard error, once something takes longer than a second and somebody looks."""
    import sys
    import time

    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(doing)
    began = shown = time.monotonic()

    def show(what: str, done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - began < 1.0 or now - shown < 0.1:
            return
        shown = now
        if not bar.live.is_started:
            bar.start()
        bar.update(task, description=what or doing, completed=done, total=max(1, total))

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()


def _show_report(report: "Report") -> None:
    styles = {"damaged": "bold red", "unknown": "yellow", "note": "cyan"}
    table = Table("stream", ">files", ">blocks", ">events", ">epochs", ">first", ">last")
    for stream in report.streams:
        ends = ("" if seq is None else f"{seq:,}" for seq in (stream.first_seq, stream.last_seq))
        counts = (f"{number:,}" for number in (stream.files, stream.blocks, stream.events, stream.epochs))
        table.add_row(stream.stream, *counts, *ends)
    console = tools.console()
    console.print(table)
    for finding in report.findings:
        console.print(tools.styled(finding.kind, styles[finding.kind]), finding.message, markup=True, soft_wrap=True)
    verdicts = {"clean": "bold green", "damaged": "bold red", "unknown": "bold yellow"}
    words = {"clean": "clean", "damaged": "damaged", "unknown": "it cannot be told"}
    console.print(tools.styled(words[report.verdict], verdicts[report.verdict]))


def _print_entries(entries: "Iterator[Entry]", pace: float | None, json: bool) -> set[str]:
    """One line an event as its time comes; a table's columns are as wide as what they usually hold. Returns the
    symbols that were seen."""
    import sys
    import time

    import msgspec

    from services.base.clock import iso
    from services.quotes.replay import Pace, describe

    timing = Pace(pace)
    encode = msgspec.json.Encoder().encode
    out = sys.stdout.buffer
    if not json:
        out.write(b"time (UTC)                   stream          seq  symbol      what\n")
    seen = set[str]()
    for entry in entries:
        if entry.symbol is not None:
            seen.add(entry.symbol)
        wait = timing.wait(entry.time, time.monotonic())
        if wait > 0:
            out.flush()
            time.sleep(wait)
        if json:
            out.write(encode(entry.as_json()) + b"\n")
            continue
        kind = "" if entry.type in ("tick", "plan") else f"{entry.type} "
        name = entry.symbol or ""
        line = f"{iso(entry.time):28} {entry.stream:8}{entry.seq:>11}  {name:10}  {kind}{describe(entry)}"
        out.write(line.encode() + b"\n")
    out.flush()
    return seen


def _replay_into(where: "Settings", into: str, since: int | None, until: int | None, pace: float | None) -> None:
    import time
    from pathlib import Path

    from services.quotes.checkpoints import Rebuild
    from services.quotes.replay import Pace

    folder = Path(into)
    if folder.resolve() == where.stream_dir.resolve():
        sentence = f"{folder} holds the prices of now; --into names a folder for those of the past"
        raise IbStreamError("invalid_request", sentence)
    timing = Pace(pace)
    try:
        with _progress("folding") as show:
            rebuild = Rebuild(tools.journal(where), folder, until)
            rebuild.fold(until if pace is None else since or 0, show)
        if pace is not None:
            for moment in rebuild.live():
                time.sleep(timing.wait(moment, time.monotonic()))
        count = rebuild.write()
    except OSError as error:
        raise IbStreamError("invalid_request", f"{folder} cannot be written: {error.strerror or error}") from None
    typer.echo(f"{count} symbol files in {folder}")


def _show_quotes(quotes: "list[Quote]") -> None:
    table = Table("symbol", ">bid", ">ask", ">last", ">volume", "time (UTC)", "source", "why")
    for quote in quotes:
        prices = ("" if price is None else f"{price:g}" for price in (quote.bid, quote.ask, quote.last, quote.volume))
        stale = tools.styled(quote.reason or "stale", "yellow") if quote.stale else ""
        table.add_row(quote.symbol, *prices, (quote.timestamp or "")[:23], quote.source or "", stale)
    tools.console().print(table)
