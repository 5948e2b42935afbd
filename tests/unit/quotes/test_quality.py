"""The quality report names what is wrong in the data, and is the same however it was come by."""

import random
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messages.codec import decode_block, encode_json
from messages.errors import IbStreamError
from messages.events import (
    Bar,
    BarsReceived,
    Block,
    GapClosed,
    GapFilled,
    GapOpened,
    StreamStarted,
    SymbolChanged,
)
from messages.fields import (
    ASK,
    BID,
    BID_SIZE,
    CLOSE,
    DELAYED_LAST,
    FIELDS_SINCE,
    LAST,
    LAST_TIME,
    SOURCE,
    SOURCE_HISTORY,
)
from messages.quality import MARKS, SymbolQuality
from services.base.clock import DAY, HOUR, MINUTE, SECOND, iso
from services.journal import JournalReader, streams_in
from services.quotes.past_quality import QualityReader, day_report, keep_reports, kept_report, usual
from services.quotes.quality import QualityFold, Usual
from tests.blocks import NOW, TestWriter, events, plan, ticks
from tests.support import examples

START = NOW - NOW % DAY
STEADY = [100.0 + number % 3 / 100 for number in range(40)]


def judged(*rows: Any, field: int = LAST, step: int = SECOND, before: Usual | None = None) -> SymbolQuality:
    """The report of prices of SPY, a block each, `step` apart; a row may also be a list of a block's rows."""
    fold = QualityFold(START, START + DAY)
    for number, row in enumerate(rows):
        block = row if isinstance(row, list) else [("SPY", field, row, 1.0)]
        fold.apply("ticks", ticks(block, seq=1 + 10 * number, time=NOW + number * step))
    (found,) = fold.report({("", "SPY"): before} if before else None).symbols
    return found


def quoted(bid: float, ask: float) -> list[Any]:
    return [("SPY", BID, bid, 1.0), ("SPY", ASK, ask, 1.0)]


def test_ordinary_prices_have_no_mark() -> None:
    found = judged(*(quoted(price, price + 0.02) for price in STEADY), *STEADY)
    assert found.marks == []
    assert (found.ticks, found.outliers, found.crossed, found.locked, found.zero_prices) == (120, 0, 0, 0, 0)


def test_a_price_far_from_its_neighbours_is_an_outlier_and_a_move_is_none() -> None:
    found = judged(*STEADY, 112.0, *STEADY)
    assert (found.outliers, found.marks) == (1, ["outliers"])
    (worst,) = found.worst_outliers
    assert (worst.field, worst.price, worst.before, worst.after) == ("last", 112.0, STEADY[-1], STEADY[0])
    assert worst.time == iso(NOW + len(STEADY) * SECOND)
    assert judged(*STEADY, 112.0, 112.01, 112.02, 112.01).outliers == 0
    assert judged(*STEADY, 112.0, *STEADY, field=DELAYED_LAST).outliers == 1


def test_what_another_subscription_or_source_brings_is_no_neighbour() -> None:
    begun = [("SPY", LAST, 112.0, 1.0), ("SPY", FIELDS_SINCE, NOW / SECOND)]
    again = [("SPY", LAST, 100.0, 1.0), ("SPY", FIELDS_SINCE, NOW / SECOND)]
    assert judged(*STEADY, begun, again, *STEADY).outliers == 0
    bars = [("SPY", LAST, 112.0, 1.0), ("SPY", SOURCE, float(SOURCE_HISTORY))]
    stream = [("SPY", LAST, 100.0, 1.0), ("SPY", SOURCE, 0.0)]
    assert judged(*STEADY, bars, [("SPY", LAST, 0.0)], stream, *STEADY).marks == []


def test_crossed_and_locked_quotes_count_by_time_and_only_when_the_block_is_over() -> None:
    found = judged(quoted(100, 100.02), quoted(100.05, 100.02), quoted(100.05, 100.02), quoted(100, 100.02))
    assert (found.crossed, found.crossed_seconds, found.marks) == (1, 2.0, ["crossed"])
    passing = [("SPY", BID, 100.05, 1.0), ("SPY", ASK, 100.07, 1.0)]  # the bid came first: for a moment above the ask
    assert judged(quoted(100, 100.02), passing).crossed == 0
    locked = judged(*[quoted(100, 100)] * 5, quoted(100, 100.02))
    assert (locked.locked, locked.locked_seconds, locked.marks) == (1, 5.0, ["locked"])
    silent = judged(quoted(100.05, 100.02), quoted(100, 100.02), step=3600 * SECOND)
    assert silent.crossed_seconds == 10.0  # how long a silence says that it still stood


def test_zero_prices_are_counted_and_no_data_is_not() -> None:
    assert judged(*STEADY, [("SPY", LAST, 0.0, 0.0)], *STEADY).marks == ["zero_prices"]
    assert judged(*STEADY, 0.0, *STEADY).marks == ["outliers", "zero_prices"]
    withdrawn = [("SPY", BID, -1.0, 0.0)]
    assert judged(*STEADY, withdrawn, *STEADY).marks == []


def test_prices_that_stand_still_while_ticks_come_are_stuck() -> None:
    sizes = [[("SPY", BID_SIZE, float(number))] for number in range(70)]
    found = judged(*STEADY, *sizes, *STEADY)
    assert found.marks == ["stuck"]
    assert found.stuck_seconds == 72.0
    slow = [row for number in range(12) for row in (100.0 + number, *sizes)]
    assert judged(*slow).marks == []  # of one that moves once a minute that is no news


def test_bars_of_ib_that_a_price_does_not_lie_in(tmp_path: Path) -> None:
    fold = QualityFold(START, START + DAY)
    for number, price in enumerate((100.0, 100.1, 103.0)):
        fold.apply("ticks", ticks([("SPY", LAST, price, 1.0)], seq=1 + number, time=NOW + number * 2 * MINUTE))
    bars = [Bar(NOW + number * MINUTE, 100.0, 100.2, 99.9, 100.1, 5.0) for number in range(5)]
    fold.apply("link", events(BarsReceived(symbol="SPY", bar_seconds=60, bars=bars, purpose="gap_fill")))
    (found,) = fold.report().symbols
    assert (found.bar_minutes, found.bars_outside, found.marks) == (3, 1, ["off_bars"])
    near = [Bar(NOW + 3 * MINUTE, 102.0, 103.0, 102.0, 102.5, 5.0)]  # a minute later by the exchange's time, or earlier
    fold.apply("link", events(BarsReceived(symbol="SPY", bar_seconds=60, bars=near, purpose="gap_fill"), seq=2))
    (found,) = fold.report().symbols
    assert (found.bar_minutes, found.bars_outside) == (3, 0)


def test_fewer_ticks_than_usual_at_that_hour_are_slow() -> None:
    by_hour = [0.0] * 24
    by_hour[14] = 10_000.0
    rows = [100.0 + number % 3 / 100 for number in range(60)]
    assert judged(*rows, step=30 * SECOND, before=Usual(by_hour)).marks == ["slow"]
    assert judged(*rows, step=30 * SECOND, before=Usual([0.0] * 24)).marks == []
    assert judged(*rows[:5], step=30 * SECOND, before=Usual(by_hour)).marks == ["slow"]  # half past: 30 minutes passed
    fold = QualityFold(NOW, NOW + HOUR)
    for minute, marks in ((5, []), (11, ["slow"])):  # of an hour that has just begun nothing is expected
        fold.apply("ticks", ticks([("SPY", LAST, 100.0, 1.0)], seq=minute, time=NOW + minute * MINUTE))
        (found,) = fold.report({("", "SPY"): Usual([10_000.0])}).symbols
        assert found.marks == marks


def test_the_clock_is_off_when_receipt_is_far_from_the_exchanges_time() -> None:
    def told(ahead: float) -> list[list[Any]]:
        return [[("SPY", LAST_TIME, float((NOW + number * SECOND) // SECOND) - ahead)] for number in range(40)]

    assert judged(*told(0)).clock_seconds == -0.5
    found = judged(*told(5))
    assert (found.clock_seconds, found.marks) == (4.5, ["clock"])
    assert judged(*told(5)[:10]).clock_seconds is None


@pytest.mark.parametrize(
    ("before", "first", "ratio"),
    [(400.0, 100.3, "4:1"), (10.0, 99.5, "1:10"), (150.0, 100.0, "3:2"), (100.0, 93.0, None), (100.0, 60.0, None)],
)
def test_a_jump_as_in_a_split_is_suspected(before: float, first: float, ratio: str | None) -> None:
    for row in (judged(first, first, before=Usual((), before)), judged([("SPY", CLOSE, before)], first)):
        assert (row.split, "split" in row.marks) == (ratio, ratio is not None)


def world() -> dict[str, list[Block]]:
    """A morning with a gap."""
    rng = random.Random(3)
    control = [events(StreamStarted(), time=START)]
    plans = [plan("SPY", "QQQ", "IWM", time=START)]
    link = [
        events(*(SymbolChanged(symbol=name, state="live", stale=False) for name in ("SPY", "QQQ")), time=START),
        events(GapOpened(symbol="QQQ", start=NOW, reason="farm_down"), seq=3, time=NOW + 5 * SECOND),
        events(GapClosed(symbol="QQQ", start=NOW, end=NOW + MINUTE, reason="farm_down"), seq=4, time=NOW + MINUTE),
        events(GapFilled(symbol="QQQ", start=NOW, end=NOW + MINUTE, bars=1), seq=5, time=NOW + 2 * MINUTE),
    ]
    told, seq = [], 1
    for number in range(200):
        rows = [(rng.choice(("SPY", "QQQ")), rng.choice((BID, ASK, LAST)), 100 + rng.random(), 1.0) for _ in range(4)]
        told.append(ticks(rows, seq=seq, time=NOW + number * SECOND))
        seq += 4
    return {"control": control, "plan": plans, "link": link, "ticks": told}


@settings(max_examples=examples(50), deadline=None)
@given(order=st.randoms(use_true_random=False))
def test_it_does_not_matter_how_the_streams_interleave(order: random.Random) -> None:
    def folded(streams: dict[str, list[Block]], shuffled: bool) -> bytes:
        fold = QualityFold(START, START + DAY)
        left = {stream: list(blocks) for stream, blocks in streams.items()}
        while left:
            stream = order.choice(sorted(left)) if shuffled else min(left)
            fold.apply(stream, left[stream].pop(0))
            left = {name: blocks for name, blocks in left.items() if blocks}
        return encode_json(fold.report())

    assert folded(world(), shuffled=True) == folded(world(), shuffled=False)


def test_a_span_that_is_over_is_judged_to_its_end_and_no_further() -> None:
    fold = QualityFold(START, START + DAY)
    for stream, blocks in world().items():
        for block in blocks:
            fold.apply(stream, block)
    assert fold.report().until == iso(NOW + 199 * SECOND)
    fold.apply("link", events(GapOpened(symbol="SPY", start=START + DAY, reason="late"), seq=6, time=START + 2 * DAY))
    report = fold.report()
    assert report.until == report.end == iso(START + DAY)
    assert [row.coverage for row in report.symbols if row.symbol == "SPY"] == [1.0]


def test_coverage_and_gaps_come_with_their_causes() -> None:
    fold = QualityFold(START, START + DAY)
    for stream, blocks in world().items():
        for block in blocks:
            fold.apply(stream, block)
    rows = {row.symbol: row for row in fold.report().symbols}
    passed = (NOW + 199 * SECOND - START) / SECOND
    assert rows["SPY"].coverage == 1.0
    assert rows["QQQ"].coverage == round(1 - 60 / passed, 6)
    (gap,) = rows["QQQ"].gaps
    assert (gap.start, gap.end, gap.reason, gap.filled_bars) == (iso(NOW), iso(NOW + MINUTE), "farm_down", 1)
    assert [(blind.reason, blind.seconds) for blind in rows["QQQ"].blind] == [("farm_down", 60.0)]
    assert (rows["IWM"].ticks, rows["IWM"].coverage, rows["IWM"].marks) == (0, 0.0, ["blind"])


def written(root: Path, days: int = 1) -> None:
    """The morning, on several days, as its services would have written it."""
    for stream, blocks in world().items():
        for day in range(days if stream == "ticks" else 1):
            writer = TestWriter(root, stream, blocks[0].time + day * DAY)
            for block in blocks:
                at = {"epoch": writer.journal.epoch, "first_seq": writer.journal.next_seq}
                writer._append(msgspec.structs.replace(block, time=block.time + day * DAY, **at))
            writer.close()


def test_a_reader_that_follows_says_the_same_as_one_that_comes_late(tmp_path: Path) -> None:
    written(tmp_path)
    late = encode_json(QualityReader(tmp_path, DAY).report(NOW))
    copy, following = tmp_path / "copy", None
    writers: dict[str, TestWriter] = {}
    for number in range(200):
        for stream, blocks in world().items():
            if number < len(blocks):
                if stream not in writers:
                    writers[stream] = TestWriter(copy, stream, blocks[0].time)
                writers[stream]._append(blocks[number])
        if number % 50 == 0:
            following = following or QualityReader(copy, DAY)
            following.report(NOW)
    assert following is not None
    assert encode_json(following.report(NOW)) == late
    for writer in writers.values():
        writer.close()


def test_reports_of_closed_days_are_kept_and_tell_what_is_usual(tmp_path: Path) -> None:
    written(tmp_path, days=3)
    now = NOW + 2 * DAY
    assert keep_reports(tmp_path, now) == 2
    assert keep_reports(tmp_path, now) == 0
    assert day_report(tmp_path, "2026-01-05", now) == day_report(tmp_path, "2026-01-05", now, kept=False)
    known = usual(tmp_path, START + 2 * DAY, START + 3 * DAY)[("", "SPY")]
    first = kept_report(tmp_path, "2026-01-05")
    assert first is not None
    row = next(row for row in first.symbols if row.symbol == "SPY")
    assert list(known.by_hour) == [float(count) for count in row.ticks_by_hour]
    assert known.last == row.last
    hour = usual(tmp_path, START + 2 * DAY + 14 * HOUR, START + 2 * DAY + 15 * HOUR)[("", "SPY")]
    assert list(hour.by_hour) == [float(row.ticks_by_hour[14])]
    for path in (tmp_path / "ticks").glob("2026-01-05.*"):
        path.unlink()
    assert b'"SPY"' in day_report(tmp_path, "2026-01-05", now)  # it outlives the ticks
    with pytest.raises(IbStreamError, match="any more"):
        day_report(tmp_path, "2026-01-05", now, kept=False)
    with pytest.raises(IbStreamError, match="has not begun"):
        day_report(tmp_path, "2026-01-08", now)
    with pytest.raises(IbStreamError, match="no day"):
        day_report(tmp_path, "yesterday", now)


def test_a_journal_begun_anew_is_read_anew(tmp_path: Path) -> None:
    written(tmp_path / "journal")
    reader = QualityReader(tmp_path / "journal", DAY)
    reader.report(NOW)
    shutil.rmtree(tmp_path / "journal")
    writer = TestWriter(tmp_path / "journal", "ticks")
    writer.ticks([("NEW", LAST, 5.0, 1.0)])
    writer.close()
    assert [row.symbol for row in reader.report(NOW).symbols] == ["NEW"]


def test_a_reader_that_goes_on_for_hours_keeps_no_more_than_its_span_needs(tmp_path: Path) -> None:
    writers = {stream: TestWriter(tmp_path, stream, START) for stream in ("control", "plan", "link")}
    writers["control"].events(StreamStarted(project_id=1), time=START)
    writers["plan"].plan(["SPY"], time=START)
    reader = QualityReader(tmp_path, HOUR)
    for number in range(10 * 60):
        blind = number % 3 == 0
        said = SymbolChanged("SPY", "stale" if blind else "live", blind, "farm_down" if blind else None)
        writers["link"].events(said, time=START + number * MINUTE)
        if number % 60 == 30:
            now = START + number * MINUTE
            assert encode_json(reader.report(now)) == encode_json(QualityReader(tmp_path, HOUR).report(now))
    assert len(reader._fold.coverage.state.said[""]["SPY"].times) < 100
    earlier = START + 4 * HOUR  # the clock was set back
    assert encode_json(reader.report(earlier)) == encode_json(QualityReader(tmp_path, HOUR).report(earlier))
    for writer in writers.values():
        writer.close()


@pytest.mark.parametrize(("wait", "marks"), [(9, []), (11, ["blind"])])
def test_what_a_subscription_begins_with_is_not_called_blind(wait: int, marks: list[str]) -> None:
    fold = QualityFold(START, START + DAY)
    fold.apply("control", events(StreamStarted(project_id=1), time=NOW))
    fold.apply("plan", plan("SPY", time=NOW))
    fold.apply("link", events(SymbolChanged("SPY", "live", stale=False), time=NOW + wait * SECOND))
    fold.apply("ticks", ticks([("SPY", LAST, 100.0, 1.0)], time=NOW + 100 * SECOND))
    (found,) = fold.report().symbols
    assert found.coverage == 1 - wait / 100
    assert found.marks == marks


def test_a_clock_that_was_off_for_an_hour_is_seen_in_a_day_of_good_ones() -> None:
    def told(ahead: float, since: int) -> list[list[Any]]:
        times = (NOW // SECOND + since + number for number in range(40))
        return [[("SPY", LAST_TIME, float(time) - ahead)] for time in times]

    fold = QualityFold(START, START + DAY)
    for hour in range(5):
        for number, block in enumerate(told(5 if hour == 1 else 0, hour * 3600)):
            time = NOW + (hour * 3600 + number) * SECOND
            fold.apply("ticks", ticks(block, seq=1 + hour * 100 + number, time=time))
    (found,) = fold.report().symbols
    assert (found.clock_seconds, found.marks) == (4.5, ["clock"])


def read_ticks(reader: QualityReader, now: int) -> tuple[bytes, int]:
    """The report, and how many ticks were read for it."""
    read = 0

    def note(what: str, done: int, _of: int) -> None:
        nonlocal read
        read = max(read, done + 1 if what == "reading ticks" else 0)

    return encode_json(reader.report(now, note)), read


def test_what_one_reader_saved_another_begins_with(tmp_path: Path) -> None:
    writers = {stream: TestWriter(tmp_path, stream, blocks[0].time) for stream, blocks in world().items()}
    first = QualityReader(tmp_path, DAY)
    beside = QualityReader(tmp_path, DAY)
    for number in range(150):
        for stream, blocks in world().items():
            if number < len(blocks):
                writers[stream]._append(blocks[number])
        if number == 10:
            beside.report(NOW)
        if number == 140:
            first.report(NOW)
            assert first.save()
    whole, all_ticks = read_ticks(QualityReader(tmp_path, DAY, fresh=True), NOW)
    for reader in (QualityReader(tmp_path, DAY), beside, first):
        report, read = read_ticks(reader, NOW)
        assert report == whole
        assert 0 < read < all_ticks / 10
    (tmp_path / "quality" / "now.state").write_bytes(b"torn")
    assert read_ticks(QualityReader(tmp_path, DAY), NOW) == (whole, all_ticks)
    for writer in writers.values():
        writer.close()


def test_what_was_saved_of_another_journal_or_day_is_not_believed(tmp_path: Path) -> None:
    written(tmp_path, days=2)
    later = QualityReader(tmp_path, DAY)
    later.report(NOW + DAY)
    later.save()
    assert day_report(tmp_path, "2026-01-05", NOW) == day_report(tmp_path, "2026-01-05", NOW, kept=False)
    following = encode_json(QualityReader(tmp_path, DAY).report(NOW + 2 * DAY))  # of the day after: begun with it
    assert following == encode_json(QualityReader(tmp_path, DAY, fresh=True).report(NOW + 2 * DAY))
    other = tmp_path / "other"
    writer = TestWriter(other, "ticks", NOW + DAY)
    writer.ticks([("NEW", LAST, 5.0, 1.0)], time=NOW + DAY)
    writer.close()
    (other / "quality").mkdir()
    shutil.copy(tmp_path / "quality" / "now.state", other / "quality")
    assert [row.symbol for row in QualityReader(other, DAY).report(NOW + DAY).symbols] == ["NEW"]


def test_reading_a_long_day_goes_on_where_its_time_was_over(tmp_path: Path) -> None:
    written(tmp_path)
    reader = QualityReader(tmp_path, DAY)
    looks = 1
    while not reader.advance(NOW, seconds=0):
        looks += 1
    assert looks > 10
    assert encode_json(reader.report(NOW)) == encode_json(QualityReader(tmp_path, DAY, fresh=True).report(NOW))


def test_every_mark_is_described() -> None:
    import services.quotes.quality

    for mark in MARKS:
        assert f"\n    {mark} " in (services.quotes.quality.__doc__ or "")


def test_the_report_reads_as_the_journal_does(tmp_path: Path) -> None:
    """Whatever reads the blocks one by one comes to the same bytes."""
    written(tmp_path)
    fold = QualityFold(START, START + DAY)
    for stream in streams_in(tmp_path):
        with JournalReader(tmp_path, stream) as reader:
            for row in reader.blocks():
                fold.apply(stream, decode_block(stream, row.payload))
    assert encode_json(fold.report()) == day_report(tmp_path, "2026-01-05", NOW)
