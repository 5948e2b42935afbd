"""Tables: at any width, and in a pipe, every cell is there whole."""

import io

import pytest
from rich.console import Console

from services.cli.table import Table

LONG = "No security definition has been found for the request, and so there is no contract to subscribe to at all"
ROWS = [
    ("IBIT", "[red]rejected[/]", "", "", "no_contract", LONG),
    ("GOOGL_LSEETF_GBP", "stale", "ib_snapshot", "12.5 s", "connection_lost_and_not_back", ""),
]


def printed(width: int, terminal: bool = True) -> str:
    table = Table("symbol", "state", "source", ">age", "reason", "message", wraps=True)
    for row in ROWS:
        table.add_row(*row)
    return shown_on(table, width, terminal)


def shown_on(table: Table, width: int, terminal: bool = True) -> str:
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=terminal, color_system=None, soft_wrap=True, highlight=False
    )
    console.print(table)
    return out.getvalue()


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 200])
def test_nothing_is_cut_on_a_terminal(width: int) -> None:
    shown = printed(width)
    for row in ROWS:
        for cell in row[:-1]:
            assert cell.replace("[red]", "").replace("[/]", "") in shown
    assert "…" not in shown
    assert " ".join(LONG.split()) in " ".join(shown.split())


def test_the_message_wraps_beside_the_rest_or_below_it() -> None:
    wide, narrow = printed(140).splitlines(), printed(80).splitlines()
    assert max(map(len, wide)) <= 140
    assert wide[1].startswith("IBIT")
    assert "No security" in wide[1]
    assert narrow[2].startswith("    No security")
    assert max(map(len, narrow)) <= 80


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100])
@pytest.mark.parametrize("message", ["short", "A sentence that fits on one line below its row", LONG])
def test_each_row_begins_a_line(width: int, message: str) -> None:
    table = Table("setting", "value", "why", wraps=True)
    names = ["IBSTREAM_DATA_ROOT", "IBSTREAM_RUN_DIR", "IBSTREAM_API_MODE"]
    for name in names:
        table.add_row(name, "a value of some length, say a path", message)
    starts = [line.partition(" ")[0] for line in shown_on(table, width).splitlines()]
    assert [start for start in starts if start] == ["setting", *names]


def test_in_a_pipe_a_row_is_a_line() -> None:
    lines = printed(20, terminal=False).splitlines()
    assert len(lines) == 1 + len(ROWS)
    assert lines[1].startswith("IBIT")
    assert lines[1].endswith(LONG)


def test_columns_that_are_left_out() -> None:
    table = Table("symbol", ">bid", "reason")
    table.add_row("SPY", "590.58", "x")
    assert table.width == len("symbol  590.58  reason")
    assert table.without({"bid"}).width == len("symbol  reason")
