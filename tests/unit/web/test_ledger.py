"""Gaps and the link's past, bounded."""

from messages.events import Bar, BarsReceived, GapClosed, GapOpened, LinkChanged, StatusChanged
from services.base.clock import SECOND
from services.web import ledger as ledger_module
from services.web.ledger import Ledger
from tests.blocks import NOW, events


def bars(symbol: str, *times: int, purpose="gap_fill", mock=False) -> BarsReceived:
    listed = [Bar(time, 1.0, 2.0, 0.5, 1.5, 100.0) for time in times]
    return BarsReceived(symbol=symbol, bar_seconds=60, bars=listed, purpose=purpose, mock=mock)


def test_a_gap_whose_beginning_is_before_our_time_is_still_a_gap():
    ledger = Ledger()
    ledger.apply(events(GapClosed("SPY", NOW, NOW + SECOND, "farm_down")))
    [gap] = ledger.view()["gaps"]
    assert (gap["symbol"], gap["end"], gap["reason"]) == ("SPY", "2026-01-05T14:30:01.000000Z", "farm_down")


def test_the_newest_gaps_and_changes_are_kept(monkeypatch):
    monkeypatch.setattr(ledger_module, "GAPS_KEPT", 10)
    ledger = Ledger()
    ledger.apply(events(*(GapOpened("SPY", NOW + number, "test") for number in range(25))))
    ledger.apply(events(*(StatusChanged("connected") for _ in range(ledger_module.CHANGES_KEPT + 5))))
    assert len(ledger.view()["gaps"]) == 10
    assert len(ledger.view()["link"]) == ledger_module.CHANGES_KEPT


def test_when_prices_were_invented():
    ledger = Ledger()
    assert ledger.mock_at(NOW) is None
    for minute, kind in enumerate(["simulator", "simulator", "paper", "live", "simulator"]):
        ledger.apply(events(LinkChanged(phase="ready", account_kind=kind), time=NOW + minute * 60 * SECOND))
    ledger.apply(events(LinkChanged(phase="backoff"), time=NOW + 600 * SECOND))
    said = [ledger.mock_at(NOW + minute * 60 * SECOND) for minute in range(-1, 6)]
    assert said == [None, True, True, False, False, True, True]


def test_bars_that_filled_gaps():
    ledger = Ledger()
    ledger.apply(events(bars("SPY", NOW, NOW + 60 * SECOND), bars("SPY", NOW + 120 * SECOND, purpose="fallback")))
    ledger.apply(events(bars("SPY", NOW + 60 * SECOND, mock=True)))
    assert [(bar.time - NOW, mock) for bar, mock in ledger.bars("SPY", NOW, NOW + 10**12)] == [
        (0, False),
        (60 * SECOND, True),
    ]
    assert ledger.bars("QQQ", NOW, NOW + 10**12) == []
    later = NOW + 90_000 * SECOND
    ledger.apply(events(bars("SPY", later), time=later))
    assert [bar.time for bar, _ in ledger.bars("SPY", 0, later + 1)] == [later]


def test_a_ledger_full_of_old_bars_makes_room_for_new_ones(monkeypatch):
    """Of symbols that are streamed no more, too: a web that runs for years must not stop at its first full day."""
    monkeypatch.setattr(ledger_module, "BARS_KEPT", 3)
    ledger = Ledger()
    ledger.apply(events(*(bars(f"OLD{number}", NOW) for number in range(6))))
    ledger.apply(events(bars("SPY", NOW)))
    assert ledger.bars("SPY", 0, NOW + 1) == [], "full, and nothing in it is old yet"
    later = NOW + 90_000 * SECOND
    ledger.apply(events(bars("SPY", later), time=later))
    assert [bar.time for bar, _ in ledger.bars("SPY", 0, later + 1)] == [later]
    assert ledger.bars("OLD0", 0, later) == []


def test_what_is_folded_again_begins_empty():
    ledger = Ledger()
    ledger.apply(events(GapOpened("SPY", NOW, "test"), StatusChanged("connected"), bars("SPY", NOW)))
    ledger.forget_link()
    assert ledger.view()["gaps"] == []
    assert ledger.bars("SPY", 0, NOW + 1) == []
    assert len(ledger.view()["link"]) == 1
    ledger.forget_control()
    assert ledger.view()["link"] == []


def test_several_gateways_have_gaps_of_one_symbol_each():
    ledger = Ledger()
    ledger.apply(events(GapOpened("SPY", NOW, "farm_down")), gateway="a")
    ledger.apply(events(GapOpened("SPY", NOW, "connection_lost")), gateway="b")
    ledger.apply(events(GapClosed("SPY", NOW, NOW + SECOND, "farm_down")), gateway="a")
    assert [(gap["reason"], gap["end"] is None) for gap in ledger.view()["gaps"]] == [
        ("farm_down", False),
        ("connection_lost", True),
    ]
    ledger.forget_link("b")
    assert [gap["reason"] for gap in ledger.view()["gaps"]] == ["farm_down"]
