"""The gap ledger: a fold of the gateway's gap events."""

from messages.events import EventBlock, GapClosed, GapFilled, GapOpened
from services.cli.gap_ledger import Gap, GapLedger


def ledger(*events: GapOpened | GapClosed | GapFilled) -> GapLedger:
    made = GapLedger()
    for number, event in enumerate(events, 1):
        made.apply(EventBlock(epoch=1, first_seq=number, time=number, events=[event]))
    return made


def test_gaps_open_close_and_fill() -> None:
    made = ledger(
        GapOpened("SPY", 200, "farm_down"),
        GapOpened("QQQ", 100, "connection_lost"),
        GapClosed("QQQ", 100, 150, "connection_lost"),
        GapFilled("QQQ", 100, 150, 3),
    )
    assert made.gaps() == [
        Gap(symbol="QQQ", start=100, end=150, reason="connection_lost", filled_bars=3),
        Gap(symbol="SPY", start=200, reason="farm_down"),
    ]
    assert [gap.symbol for gap in made.gaps("SPY")] == ["SPY"]


def test_a_close_without_its_opening_still_tells_the_gap() -> None:
    """The journal's older days may be retired."""
    assert ledger(GapClosed("SPY", 5, 9, "halted")).gaps() == [Gap(symbol="SPY", start=5, end=9, reason="halted")]


def test_a_fill_covers_only_what_lies_inside() -> None:
    closed = GapClosed("SPY", 10, 20, "a"), GapClosed("SPY", 30, 40, "b")
    made = ledger(*closed, GapOpened("SPY", 50, "c"), GapFilled("SPY", 5, 25, 1))
    assert [gap.filled_bars for gap in made.gaps()] == [1, None, None]
