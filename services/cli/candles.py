"""`ibstream candles`: candles of any past interval, from the journal alone."""

from typing import TYPE_CHECKING, Annotated

import typer

from messages.candles import INTERVALS, SECONDS, Interval
from messages.errors import IbStreamError
from services.cli import output as tools
from services.cli.options import FromOption, ToOption
from services.cli.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from messages.candles import Candle

SHOWN = 60  # candles, when no beginning is asked for


def candles(
    symbol: Annotated[str, typer.Argument(help="SYMBOL, or SYMBOL:EXCHANGE:CURRENCY[:SECTYPE[:PRIMARY]].")],
    interval: Annotated[str, typer.Option(help=", ".join(INTERVALS))] = "1m",
    begin: FromOption = None,
    end: ToOption = None,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON a candle.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="As CSV.")] = False,
) -> None:
    """Show what a symbol traded, interval by interval, and in which part of it that was seen.

    Open, high, low, close, volume and average price, how many reports of trades came, and the share of the interval in
    which the price was trusted (coverage), with the reasons where it was not. A minute that was not seen whole is IB's
    own bar, where there is one, and marked as filled. Reads the journal and its archive, so the services need not run.
    Without --from the last 60 candles.

    [dim]Examples:[/dim]

      ibstream candles SPY --from -2h

      ibstream candles ES:CME:USD:FUT --interval 1d --from 2026-01-05 --csv
    """
    import sys
    import time

    from services.base.clock import SECOND
    from services.base.symbols import name_of
    from services.quotes.candle_table import csv_lines
    from services.quotes.past_candles import past_candles

    if json and csv:
        raise IbStreamError("invalid_request", "--json and --csv: one of them")
    where, now, wanted = tools.settings(), time.time_ns(), _interval(interval)
    first, last = tools.since("--from", begin), tools.since("--to", end)
    last = now if last is None else last
    first = last - SHOWN * SECONDS[wanted] * SECOND if first is None else first
    if first >= last:
        raise IbStreamError("invalid_request", "--from is not before --to")
    past = past_candles(tools.journal(where), name_of(symbol), wanted, first, last, now)
    if past.note is not None:
        typer.echo(f"ibstream: {past.note}", err=True)
    if json:
        from messages.codec import encode_json

        for candle in past.candles:
            sys.stdout.buffer.write(encode_json(candle) + b"\n")
    elif csv:
        for line in csv_lines(past.candles):
            sys.stdout.write(line)
    else:
        _show(past.candles)


def _interval(text: str) -> Interval:
    for interval in INTERVALS:
        if text == interval:
            return interval
    raise IbStreamError("invalid_request", f"--interval {text}: expected one of {', '.join(INTERVALS)}")


def _show(found: "Iterable[Candle]") -> None:
    table = Table(
        "start (UTC)", ">open", ">high", ">low", ">close", ">volume", ">vwap", ">trades", ">coverage", "source", "",
        wraps=True,
    )  # fmt: skip
    empty = True
    for candle in found:
        empty = False
        prices = (candle.open, candle.high, candle.low, candle.close)
        table.add_row(
            candle.session or candle.start[:19].replace("T", " "),
            *(_number(price) for price in prices),
            _number(candle.volume),
            f"{candle.vwap:.4f}" if candle.vwap is not None else "",
            str(candle.trades),
            tools.styled(f"{candle.coverage:.1%}", None if candle.coverage == 1 else "yellow"),
            candle.source or "",
            tools.styled(_remarks(candle), None),
        )
    if empty:
        typer.echo("no candles: nothing was traded, and no prices were missing")
        return
    tools.console().print(table)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.12g}"


def _remarks(candle: "Candle") -> str:
    """What a reader must know beside the numbers."""
    said = [f"{one.reason} {one.seconds:.1f} s" for one in candle.blind]
    if candle.rolled:
        said.append(f"rolled: {candle.rolled.replace(' ', ' to ')}")
    if candle.filled:
        said.append(f"{candle.filled:.0%} IB's bars")
    if candle.hours == "utc":
        said.append("day of UTC: the hours are not known")
    if candle.market_data_type not in (None, "realtime"):
        said.append(str(candle.market_data_type))
    if not candle.complete:
        said.append("under way")
    return ", ".join(said)
