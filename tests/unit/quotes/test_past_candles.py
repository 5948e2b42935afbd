"""Candles from the journal: the bytes of a fold that lived through it, whatever has become of the files since."""

from pathlib import Path

import pytest

from messages.candles import INTERVALS, Candle, Interval
from messages.codec import encode
from messages.errors import IbStreamError
from messages.events import Block
from services.archive.compaction import archive_day
from services.base.clock import SECOND, iso
from services.journal import day_files
from services.quotes.candle_table import csv_lines
from services.quotes.candles import CandleBook
from services.quotes.checkpoints import update_checkpoints
from services.quotes.past_candles import past_candles
from tests.blocks import NOW
from tests.traded import DAY, MINUTE, in_turn, record

LATER = NOW + 5 * DAY


def lived(recorded, interval: Interval, symbol: str = "SPY") -> list[bytes]:
    """The candles of a book that folded the blocks as they came."""
    book = CandleBook([interval])
    for stream, block in in_turn(recorded):
        book.apply(stream, block)
    moments = [NOW + day * DAY + second * SECOND for day in range(2) for second in range(-60, 1200)]
    spans = dict.fromkeys(span for time in moments if (span := book.span(symbol, interval, time)) is not None)
    candles = [book.candle(symbol, interval, span, LATER) for span in spans]
    return [encode(candle) for candle in candles if candle is not None]


def past(folder: Path, interval: Interval = "1m", begin: int = NOW - MINUTE, end: int = LATER, **more) -> list[Candle]:
    return list(past_candles(folder, more.get("symbol", "SPY"), interval, begin, end, more.get("now", LATER)).candles)


@pytest.fixture(scope="module")
def two_days(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Block]]]:
    """A journal that is only read, and its blocks."""
    folder = tmp_path_factory.mktemp("two_days")
    return folder, record(folder, days=2, minutes=12)


@pytest.mark.parametrize("interval", INTERVALS)
def test_the_journal_gives_the_bytes_of_a_fold_that_lived_through_it(
    two_days: tuple[Path, dict[str, list[Block]]], interval: Interval
) -> None:
    folder, recorded = two_days
    for symbol in ("SPY", "QQQ"):
        expected = lived(recorded, interval, symbol)
        assert len(expected) >= 2
        assert [encode(candle) for candle in past(folder, interval, symbol=symbol)] == expected


def test_any_part_of_it_is_the_same(tmp_path: Path) -> None:
    record(tmp_path)
    whole = past(tmp_path)
    for number in (1, 3, 7):
        begin = NOW + number * MINUTE + 17 * SECOND
        part = past(tmp_path, begin=begin, end=begin + 4 * MINUTE)
        assert part == whole[number : number + 5]


def test_the_gap_is_filled_and_said(tmp_path: Path) -> None:
    record(tmp_path)
    minutes = past(tmp_path)
    assert [candle.filled for candle in minutes[:5]] == [0.0, 0.0, 1.0, 1.0, 0.0]
    assert [candle.coverage for candle in minutes[:5]] == [1.0, 1.0, 0.166666, 0.833333, 1.0]
    assert (minutes[2].source, minutes[2].close, minutes[2].volume) == ("ib_history", 604.0, 4000.0)
    (day,) = past(tmp_path, "1d")
    assert (day.session, day.hours, day.filled > 0) == ("2026-01-05", "exchange", True)
    assert day.volume == sum(candle.volume or 0 for candle in minutes)


def test_archived_days_give_the_same(tmp_path: Path) -> None:
    record(tmp_path, days=2)
    before = past(tmp_path, "5m")
    for stream in ("ticks", "link"):
        archive_day(day_files(tmp_path / stream)[0], stream)
    update_checkpoints(tmp_path, LATER)
    assert (tmp_path / "ticks" / "2026-01-05.parquet").exists()
    assert len(day_files(tmp_path / "ticks")) == 1
    assert past(tmp_path, "5m") == before


def test_what_retention_deleted_is_said(tmp_path: Path) -> None:
    record(tmp_path, days=2)
    second_day = [encode(candle) for candle in past(tmp_path, begin=NOW + DAY)]
    update_checkpoints(tmp_path, LATER)
    day_files(tmp_path / "ticks")[0].unlink()
    found = past_candles(tmp_path, "SPY", "1m", NOW, LATER, LATER)
    assert [encode(candle) for candle in found.candles] == second_day
    assert found.note is not None and f"ticks before {iso(NOW + DAY)[:16]}" in found.note
    with pytest.raises(IbStreamError, match="were deleted") as caught:
        past_candles(tmp_path, "SPY", "1m", NOW, NOW + MINUTE, LATER)
    assert caught.value.code == "past_deleted"


def test_the_candle_under_way_is_not_complete(tmp_path: Path) -> None:
    record(tmp_path)
    now = NOW + 5 * MINUTE + 30 * SECOND
    *over, last = past(tmp_path, end=now, now=now)
    assert all(candle.complete for candle in over)
    assert not last.complete and last.start == iso(NOW + 5 * MINUTE)


def test_a_symbol_that_never_was_is_said(tmp_path: Path) -> None:
    record(tmp_path)
    with pytest.raises(IbStreamError, match="ZZZ was never planned") as caught:
        past_candles(tmp_path, "ZZZ", "1m", NOW, LATER, LATER)
    assert caught.value.code == "symbol_not_found"


def test_invented_days_are_marked(tmp_path: Path) -> None:
    record(tmp_path, mock=True)
    assert {candle.source for interval in INTERVALS for candle in past(tmp_path, interval)} == {"mock", None}
    assert {candle.source for candle in past(tmp_path)} == {"mock"}


def test_csv_has_all_of_it(tmp_path: Path) -> None:
    record(tmp_path)
    lines = "".join(csv_lines(past(tmp_path))).splitlines()
    assert lines[0].startswith("symbol,interval,start,end,session,hours,open,high,low,close,volume,vwap,trades,")
    assert "farm_down=50" in lines[3]
    assert len(lines) == 21
    assert list(csv_lines([])) == [lines[0] + "\n"]
