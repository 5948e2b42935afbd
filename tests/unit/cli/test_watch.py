"""The table of `ibstream status --watch` never shows as current what nobody vouches for."""

from io import StringIO
from types import SimpleNamespace
from typing import Any

from rich.console import Console

from messages.views import Quote, Status, SymbolStatus
from services.cli.watch import render


def shown(quote: Quote) -> str:
    """The row of SPY, with its styles, where the status says that it is live."""
    symbols = {"SPY": SymbolStatus(state="live", source="ib_stream", age=0.1)}
    status = Status(status="connected", api_mode="ib", symbols=symbols)
    viewer: Any = SimpleNamespace(status=status, quote=lambda _: quote)
    written = StringIO()
    Console(file=written, width=100, force_terminal=True, color_system="standard").print(render(viewer, 20, 100))
    return next(line for line in written.getvalue().splitlines() if line.startswith("SPY"))


def test_a_live_one_is_live() -> None:
    row = shown(Quote(symbol="SPY", last=590.0, stale=False, epoch=1, seq=1))
    assert "live" in row


def test_a_price_whose_time_is_over_is_dim_and_called_stale() -> None:
    row = shown(Quote(symbol="SPY", last=590.0, stale=True, reason="expired", epoch=1, seq=1))
    assert "live" not in row and "stale" in row and "expired" in row
    assert "\x1b[2m590.00" in row
