"""`ibstream price`: one price for a shell script, or an exit code and a sentence. Reads the symbol's file, by the one
rule for readers."""

from typing import TYPE_CHECKING, Annotated

import typer

from messages.errors import IbStreamError
from services.cli import output as tools

if TYPE_CHECKING:
    from pathlib import Path

    from messages.views import Quote, Status
    from services.base.settings import Settings
    from services.quotes.trust import Refusal


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
    from typing import get_args

    from messages.events import PriceSource
    from services.base.symbols import file_name, name_of
    from services.quotes.trust import refusal

    where = tools.settings()
    name = name_of(symbol)
    if source is not None and source not in get_args(PriceSource):
        sources = ", ".join(get_args(PriceSource))
        raise IbStreamError("invalid_request", f"--source is {source!r}; expected one of {sources}")
    quote = _quote(where.stream_dir / file_name(name), name)
    if quote is None:
        raise _without_file(where, name, time_ns())
    refused = refusal(quote, time_ns(), where.good_for_seconds, max_age, None if source is None else {source})
    if refused is not None:
        raise _why_not(where, refused, time_ns())
    number = _number(quote)
    if number is None:
        raise IbStreamError("stale_price", f"{name} has neither a last price nor both bid and ask")
    if json:
        tools.print_json(quote)
    else:
        typer.echo(f"{number:.10g}")


def _why_not(where: "Settings", refused: "Refusal", now: int) -> IbStreamError:
    """What is really wrong where nobody vouches: nothing runs, or a service that keeps the prices is down."""
    if refused.reason == "stopped":
        return IbStreamError("stream_stopped", "the stream is stopped; `ibstream start` starts it")
    if refused.reason not in ("expired", "shutdown"):
        return IbStreamError("stale_price", refused.sentence)
    try:
        down = [name for name, service in _status(where, now).services.items() if service.state == "down"]
    except IbStreamError as error:
        return error
    behind = f"; down: {', '.join(down)}" if down else ""
    return IbStreamError("stale_price", f"{refused.sentence}{behind}")


def _without_file(where: "Settings", name: str, now: int) -> IbStreamError:
    try:
        status = _status(where, now)
    except IbStreamError as error:
        return error
    if status.status == "stopped":
        return IbStreamError("stream_stopped", "the stream is stopped; `ibstream start` starts it")
    if name in status.symbols:
        return IbStreamError("stale_price", f"{name} has no price yet: {status.symbols[name].reason or 'awaited'}")
    return IbStreamError("symbol_not_found", f"{name} is not streamed; `ibstream plan` shows what is")


def _status(where: "Settings", now: int) -> "Status":
    """The file's while somebody keeps it, else the supervisor's own. Raises IbStreamError `supervisor_unreachable`."""
    import msgspec

    from messages.codec import json_decoder
    from messages.views import Status
    from services.quotes.trust import is_good, moment

    try:
        status: Status = json_decoder(Status)((where.stream_dir / "_status.json").read_bytes())
    except (OSError, msgspec.MsgspecError):
        return tools.get_status(where)
    return status if is_good(moment(status), now, where.good_for_seconds) else tools.get_status(where)


def _quote(path: "Path", name: str) -> "Quote | None":
    """What a file holds, None when there is none. Raises IbStreamError `stale_price` for what is no quote of `name`."""
    import msgspec

    from messages.codec import json_decoder
    from messages.views import Quote

    try:
        quote: Quote = json_decoder(Quote)(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise IbStreamError("stale_price", f"{path} cannot be read: {error}") from None
    if quote.symbol != name:
        raise IbStreamError("stale_price", f"{path} holds a quote of {quote.symbol}")
    return quote


def _number(quote: "Quote") -> float | None:
    if quote.last is not None:
        return quote.last
    return (quote.bid + quote.ask) / 2 if quote.bid is not None and quote.ask is not None else None
