"""`ibstream price`: one price for a shell script, or an exit code and a sentence. Reads the symbol's file, by the one
rule for readers."""

from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from messages.errors import IbStreamError
from services.cli import output as tools

if TYPE_CHECKING:
    from pathlib import Path

    from messages.views import Quote, Status
    from services.base.settings import Settings

T = TypeVar("T")


def register(app: typer.Typer) -> None:
    app.command()(price)


def price(
    symbol: Annotated[str, typer.Argument(help="SPY, or SYMBOL:EXCHANGE:CURRENCY as it was planned.")],
    max_age: Annotated[
        float | None, typer.Option("--max-age", min=0, help="Refuse a price that was received longer ago, seconds.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Refuse a price of another source: ib_stream, ib_snapshot, ib_history or mock.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The whole quote as JSON, as in the symbol's file.")] = False,
) -> None:
    """Print the current price of a symbol: the last trade, or the middle of bid and ask where there was none.

    It may be used for as long as the sink vouches for it, and not a moment longer: everything else is a failure, with
    one sentence and exit code stale_price (16), symbol_not_found (13), stream_stopped (17) or supervisor_unreachable
    (8: nothing runs).

    [dim]Examples:[/dim]

      ibstream price SPY

      ibstream price SPY --max-age 5 --source ib_stream || exit 1
    """
    from time import time_ns

    from services.base.symbols import name_of

    where = tools.settings()
    name = name_of(symbol)
    quote = _current(where, name, time_ns())
    _check_wishes(quote, max_age, source, time_ns())
    if json:
        tools.print_json(quote)
        return
    typer.echo(f"{_number(quote):.10g}")


def _current(where: "Settings", name: str, now: int) -> "Quote":
    """The quote in the symbol's file. Raises IbStreamError when it must not be used."""
    from messages.views import Quote
    from services.base.symbols import file_name
    from services.quotes.trust import is_good, moment

    quote = _read(where.stream_dir / file_name(name), Quote)
    if quote is not None and not quote.stale and is_good(moment(quote), now, where.good_for_seconds):
        return quote
    if quote is None:
        raise _without_file(where, name, now)
    raise _why_not(where, quote, now)


def _why_not(where: "Settings", quote: "Quote", now: int) -> IbStreamError:
    if quote.reason == "stopped":
        return IbStreamError("stream_stopped", "the stream is stopped; `ibstream start` starts it")
    if quote.reason == "unplanned":
        return IbStreamError(
            "stale_price", f"{quote.symbol} is not planned any more: its price is of {quote.timestamp}"
        )
    if quote.stale and quote.reason != "shutdown":
        return IbStreamError("stale_price", f"the price of {quote.symbol} is stale: {quote.reason}")
    if _silent(where, now):
        return IbStreamError("supervisor_unreachable", _nothing_runs(where))
    return IbStreamError("stale_price", f"nobody vouches for the price of {quote.symbol}: its good_until is over")


def _without_file(where: "Settings", name: str, now: int) -> IbStreamError:
    status = _status(where)
    if status is None or _silent(where, now):
        return IbStreamError("supervisor_unreachable", _nothing_runs(where))
    if status.status == "stopped":
        return IbStreamError("stream_stopped", "the stream is stopped; `ibstream start` starts it")
    if name in status.symbols:
        return IbStreamError("stale_price", f"{name} has no price yet: {status.symbols[name].reason or 'awaited'}")
    return IbStreamError("symbol_not_found", f"{name} is not streamed; `ibstream plan` shows what is")


def _check_wishes(quote: "Quote", max_age: float | None, source: str | None, now: int) -> None:
    """Raises IbStreamError `stale_price` for a price that is not as it was asked for."""
    from math import inf

    from services.base.clock import SECOND, parse_time

    if source is not None and quote.source != source:
        raise IbStreamError("stale_price", f"the price of {quote.symbol} comes from {quote.source}, not from {source}")
    if _number(quote) is None:
        raise IbStreamError("stale_price", f"{quote.symbol} has neither a last price nor both bid and ask")
    if max_age is not None:
        age = (now - parse_time(quote.timestamp, 0)) / SECOND if quote.timestamp is not None else inf
        if age > max_age:
            raise IbStreamError("stale_price", f"the price of {quote.symbol} is {age:.1f} s old, more than {max_age:g}")


def _number(quote: "Quote") -> float | None:
    if quote.last is not None:
        return quote.last
    return (quote.bid + quote.ask) / 2 if quote.bid is not None and quote.ask is not None else None


def _silent(where: "Settings", now: int) -> bool:
    """Whether nobody keeps the status."""
    from services.base.clock import SECOND, parse_time

    status = _status(where)
    if status is None or status.last_heartbeat is None:
        return True
    return abs(now - parse_time(status.last_heartbeat, 0)) > 2 * max(where.good_for_seconds, 1) * SECOND


def _nothing_runs(where: "Settings") -> str:
    return f"nobody keeps the prices (data root {where.root}); is ibstream running? `make run` starts it"


def _status(where: "Settings") -> "Status | None":
    from messages.views import Status

    return _read(where.stream_dir / "_status.json", Status)


def _read(path: "Path", kind: type[T]) -> T | None:
    """What a file holds, None when there is none. Raises IbStreamError `stale_price` for what is no such thing."""
    import msgspec

    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise IbStreamError("stale_price", f"{path} cannot be read: {error}") from None
