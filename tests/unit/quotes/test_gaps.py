"""Gaps: a fold of the gateway's gap events."""

from messages.events import EventBlock, GapClosed, GapFilled, GapOpened
from services.quotes.gaps import Gap, GapFold
from services.web.ledger import Ledger


def ledger(*events: GapOpened | GapClosed | GapFilled) -> GapFold:
    made = GapFold()
    for event in events:
        made.apply(event)
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


def test_a_gap_of_which_history_has_nothing_is_not_filled() -> None:
    """For the command and for the page alike."""
    closed = GapClosed("SPY", 10, 20, "a")
    [asked] = ledger(closed, GapFilled("SPY", 10, 20, 0)).gaps()
    assert (asked.filled_bars, asked.filled) == (0, False)
    [again] = ledger(closed, GapFilled("SPY", 10, 20, 2), GapFilled("SPY", 0, 30, 0)).gaps()
    assert (again.filled_bars, again.filled) == (2, True)
    web = Ledger()
    web.apply(EventBlock(epoch=1, first_seq=1, time=1, events=[closed, GapFilled("SPY", 10, 20, 0)]))
    assert [gap["filled"] for gap in web.view()["gaps"]] == [False]


def test_of_many_the_newest_are_kept() -> None:
    fold = GapFold(kept=10)
    for start in range(25):
        fold.apply(GapOpened("SPY", start, "test"))
    assert [gap.start for gap in fold.gaps()] == list(range(15, 25))
