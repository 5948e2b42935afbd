"""Data frames hold what the journal holds: the same from SQLite and from Parquet, from a copy, in Arrow and in SQL."""

import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ibstream
from messages.codec import decode_ticks
from messages.events import GapClosed, GapFilled, GapOpened, StreamStarted, SymbolChanged
from messages.fields import ASK, BID, BID_SIZE, CURRENCY, LAST, SOURCE, TICK_NAME
from messages.ticks import ticks as ticks_of
from services.archive.compaction import archive_day
from services.base.clock import MINUTE, SECOND, iso
from services.journal import JournalReader, day_files
from services.quotes.checkpoints import book_at
from services.quotes.past_candles import past_candles
from tests.blocks import NOW, TestWriter
from tests.support import examples

DAY = 86_400 * SECOND
SYMBOLS = ("SPY", "QQQ", "ES")


def archive(root: Path, stream: str = "ticks") -> int:
    """All closed days of a stream into Parquet; how many."""
    closed = day_files(root / "journal" / stream)[:-1]
    for path in closed:
        archive_day(path, stream)
    return len(closed)


def held(root: Path, stream: str = "ticks") -> list[tuple[Any, ...]]:
    """What the journal's own reader says, with the columns of a frame."""
    with JournalReader(root / "journal", stream) as reader:
        return [
            (row.time, tick.symbol, tick.name, tick.value, tick.size, stream.partition(".")[2], row.epoch, tick.seq)
            for row in reader.blocks()
            for tick in ticks_of(decode_ticks(row.payload))
        ]


def shown(reader: Any) -> list[tuple[Any, ...]]:
    """The same of a frame: a text in place of the value, as in a Tick."""
    return [
        (
            row["time"].value if hasattr(row["time"], "value") else nanoseconds(row["time"]),
            row["symbol"],
            row["field"],
            row["value"] if row["text"] is None else row["text"],
            row["size"],
            row["gateway"],
            row["epoch"],
            row["seq"],
        )
        for row in reader.read_all().to_pylist()
    ]


def nanoseconds(moment: datetime) -> int:
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * SECOND + moment.microsecond * 1000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two days of SPY and QQQ, the first of which is archived."""
    writer = TestWriter(tmp_path / "journal", "ticks")
    writer.ticks([("SPY", BID, 100.0, 3.0), ("SPY", CURRENCY, 0.0), ("QQQ", LAST, 50.0, 1.0)], NOW, texts=["USD"])
    writer.ticks([("SPY", ASK, 100.02, 2.0), ("SPY", BID_SIZE, 4.0), ("QQQ", SOURCE, 0.0)], NOW + SECOND)
    writer.ticks([("SPY", BID, 100.01, 3.0)], NOW + DAY)
    writer.ticks([("QQQ", LAST, 51.0, 5.0)], NOW + DAY + SECOND)
    writer.close()
    assert archive(tmp_path) == 1
    return tmp_path


BLOCKS = st.lists(
    st.tuples(
        st.lists(
            st.one_of(
                st.tuples(st.sampled_from(SYMBOLS), st.sampled_from((BID, ASK, 99)), st.floats(-1, 1e6)),
                st.tuples(
                    st.sampled_from(SYMBOLS), st.just(LAST), st.floats(0, 1e6), st.floats(0, 1e9, allow_nan=False)
                ),
                st.tuples(st.sampled_from(SYMBOLS), st.just(CURRENCY), st.sampled_from((0.0, 1.0))),
            ),
            min_size=1,
            max_size=8,
        ),
        st.integers(0, 12 * 3600),  # seconds since the block before
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=examples(60), deadline=None)
@given(blocks=BLOCKS)
def test_a_frame_is_what_the_reader_reads_in_sqlite_and_in_parquet(
    blocks: list[tuple[Sequence[Any], int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("data")
    writer, time = TestWriter(root / "journal", "ticks"), NOW
    for rows, pause in blocks:
        time += pause * SECOND
        writer.ticks(rows, time, texts=["USD", "EUR"])
    writer.close()
    expected = held(root)
    data = ibstream.open_data(root)
    assert shown(data.ticks()) == expected
    archive(root)
    assert shown(data.ticks()) == expected
    middle = (NOW + time) // 2
    parts = [row for span in ((None, middle), (middle, None)) for row in shown(data.ticks((), *span))]
    assert parts == expected
    assert shown(data.ticks("SPY")) == [row for row in expected if row[1] == "SPY"]


def test_symbols_spans_and_columns_choose(root: Path) -> None:
    data = ibstream.open_data(root)
    found = data.ticks(["QQQ", "spy"], iso(NOW + SECOND), iso(NOW + DAY + SECOND), columns=["seq", "symbol"]).read_all()
    assert found.to_pydict() == {"seq": [4, 5, 6, 7], "symbol": ["SPY", "SPY", "QQQ", "SPY"]}
    assert data.ticks("QQQ", NOW + DAY).read_all()["value"].to_pylist() == [51.0]
    assert data.ticks("NONE").read_all().num_rows == 0
    assert data.ticks(begin=datetime(2026, 1, 6, tzinfo=UTC), columns=["seq"]).read_all()["seq"].to_pylist() == [7, 8]


def test_every_gateway_is_read_and_named(tmp_path: Path) -> None:
    for gateway in ("a", "b"):
        writer = TestWriter(tmp_path / "journal", f"ticks.{gateway}")
        writer.ticks([("SPY", BID, 100.0, 3.0)])
        writer.close()
    data = ibstream.open_data(tmp_path)
    assert shown(data.ticks()) == held(tmp_path, "ticks.a") + held(tmp_path, "ticks.b")
    assert data.duckdb().sql("SELECT gateway, count(*) FROM ticks GROUP BY 1 ORDER BY 1").fetchall() == [
        ("a", 1),
        ("b", 1),
    ]


def test_polars_takes_the_stream_as_it_is(root: Path) -> None:
    frame = polars.DataFrame(ibstream.open_data(root).ticks())
    assert frame["seq"].to_list() == list(range(1, 9))
    assert set(frame["field"].to_list()) <= set(TICK_NAME.values())


def test_one_view_has_archived_and_live_days_and_what_comes_after_it_was_made(root: Path) -> None:
    sql = ibstream.open_data(root).duckdb()
    count = "SELECT count(*), count(DISTINCT seq), max(value) FILTER (field = 'last') FROM ticks"
    assert sql.sql(count).fetchall() == [(8, 8, 51.0)]
    writer = TestWriter(root / "journal", "ticks", NOW + 2 * DAY)
    writer.ticks([("QQQ", LAST, 52.0, 1.0)], NOW + 2 * DAY)
    assert sql.sql(count).fetchall() == [(9, 9, 52.0)]
    assert archive(root) == 1  # a day of before goes to Parquet while the view is there
    assert sql.sql(count).fetchall() == [(9, 9, 52.0)]
    writer.close()
    bounded = ibstream.open_data(root).duckdb(duckdb.connect(), symbols="SPY", begin=NOW + SECOND, end=NOW + DAY + 1)
    assert bounded.sql("SELECT seq FROM ticks ORDER BY seq").fetchall() == [(4,), (5,), (7,)]


def test_a_copy_without_services_reads_the_same(root: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(root, tmp_path / "copy"))
    assert shown(ibstream.open_data(copied).ticks()) == held(root)


def test_quotes_are_what_the_files_said_then(root: Path) -> None:
    plan = TestWriter(root / "journal", "plan")
    plan.plan(["SPY", "QQQ"], NOW)
    plan.close()
    data = ibstream.open_data(root)
    rows = data.quotes().read_all().to_pylist()
    for row in rows:
        quote = book_at(root / "journal", nanoseconds(row["time"])).quote(row["symbol"])
        assert quote is not None
        told = (row["bid"], row["ask"], row["last"], row["bid_size"], row["stale"], row["reason"], row["seq"])
        assert told == (quote.bid, quote.ask, quote.last, quote.bid_size, quote.stale, quote.reason, quote.seq)
        assert iso(nanoseconds(row["price_time"])) == quote.timestamp
    assert [(row["symbol"], row["bid"]) for row in rows if row["symbol"] == "SPY"][-1] == ("SPY", 100.01)
    (now,) = data.at(NOW + SECOND, "SPY").to_pylist()
    assert (now["bid"], now["ask"], now["bid_size"]) == (100.0, 100.02, 4.0)
    later = data.quotes("SPY", NOW + 2 * SECOND).read_all().to_pylist()
    assert [(nanoseconds(row["time"]) - NOW, row["bid"]) for row in later] == [(2 * SECOND, 100.0), (DAY, 100.01)]
    stepped = data.quotes("SPY", NOW, NOW + 2 * DAY, every=3600).read_all().to_pylist()
    assert [row["bid"] for row in stepped] == [100.0, 100.01]


def test_times_of_nanoseconds_become_python_values_without_pandas(tmp_path: Path) -> None:
    writer = TestWriter(tmp_path / "journal", "ticks")
    writer.ticks([("SPY", BID, 100.0, 3.0)], NOW + 1_234_567)
    writer.close()
    data = ibstream.open_data(tmp_path)
    (row,) = data.quotes("SPY", NOW).read_all().to_pylist()
    assert nanoseconds(row["time"]) == nanoseconds(row["price_time"]) == NOW + 1_234_000
    (row,) = data.at(NOW + 2_000_001, "SPY").to_pylist()
    assert nanoseconds(row["time"]) == NOW + 2_000_000
    assert data.ticks().read_all()["time"].cast("int64").to_pylist() == [NOW + 1_234_567]


def test_gaps_come_with_cause_and_filling(tmp_path: Path) -> None:
    writer = TestWriter(tmp_path / "journal", "link")
    writer.events(SymbolChanged(symbol="SPY", state="live", stale=False))
    writer.events(GapOpened(symbol="SPY", start=NOW + 1, reason="farm_down"))
    writer.events(GapClosed(symbol="SPY", start=NOW + 1, end=NOW + 60 * SECOND, reason="farm_down"))
    writer.events(GapFilled(symbol="SPY", start=NOW, end=NOW + 60 * SECOND, bars=2))
    writer.events(GapOpened(symbol="QQQ", start=NOW + DAY, reason="link_down"))
    writer.close()
    data = ibstream.open_data(tmp_path)
    spy, qqq = data.gaps().to_pylist()
    assert (spy["symbol"], nanoseconds(spy["start"]), nanoseconds(spy["end"])) == ("SPY", NOW, NOW + 60 * SECOND)
    assert (spy["reason"], spy["filled_bars"]) == ("farm_down", 2)
    assert (qqq["end"], qqq["reason"], qqq["filled_bars"]) == (None, "link_down", None)
    assert data.gaps("QQQ").num_rows == 1
    assert data.gaps(end=NOW).num_rows == 0
    assert data.duckdb().sql('SELECT symbol FROM gaps WHERE "end" IS NULL').fetchall() == [("QQQ",)]


def test_candles_are_those_of_the_journal(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    for stream, events in (
        ("control", [StreamStarted()]),
        ("link", [SymbolChanged(symbol="SPY", state="live", stale=False), GapOpened("SPY", NOW + MINUTE, "farm_down")]),
    ):
        writer = TestWriter(journal, stream, NOW - DAY)
        writer.events(*events, time=NOW - DAY)
        writer.close()
    planned = TestWriter(journal, "plan", NOW - DAY)
    planned.plan(["SPY"], NOW - DAY)
    planned.close()
    writer = TestWriter(journal, "ticks")
    writer.ticks([("SPY", LAST, 99.0, 1.0), ("SPY", SOURCE, 0.0)], NOW)
    for number, price in enumerate((100.0, 102.0, 101.0)):
        writer.ticks([("SPY", LAST, price, 1.0)], NOW + (1 + number) * SECOND)
    writer.close()
    data = ibstream.Data(journal, now=lambda: NOW + 2 * MINUTE)
    rows = data.candles("SPY").read_all().to_pylist()
    past = list(past_candles(journal, "SPY", "1m", 0, NOW + 2 * MINUTE, NOW + 2 * MINUTE).candles)
    assert [iso(nanoseconds(row["start"])) for row in rows] == [candle.start for candle in past]
    first = rows[0]
    assert (first["open"], first["high"], first["low"], first["close"], first["trades"]) == (
        100.0,
        102.0,
        100.0,
        101.0,
        3,
    )
    assert (first["coverage"], first["blind"]) == (1.0, [])
    assert rows[1]["open"] is None and rows[1]["blind"] == [{"reason": "farm_down", "seconds": 60.0}]
    with pytest.raises(ibstream.IbstreamError) as said:
        data.candles("NONE").read_all()
    assert said.value.reason == "symbol_not_found"


def test_damage_is_said_and_nothing_of_it_given(root: Path) -> None:
    (archived,) = (root / "journal" / "ticks").glob("*.parquet")
    data = bytearray(archived.read_bytes())
    for place in range(200, 260):
        data[place] ^= 255
    archived.write_bytes(data)
    with pytest.raises(ibstream.IbstreamError) as said:
        ibstream.open_data(root).ticks().read_all()
    assert said.value.reason == "journal_damaged"
    assert archived.name in str(said.value)


def test_what_cannot_be_is_refused_in_a_sentence(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = ibstream.open_data(root)
    for asked, reason in (
        (lambda: data.ticks("no such thing!"), "invalid_symbol"),
        (lambda: data.ticks(begin="yesterday"), "invalid_request"),
        (lambda: data.ticks(columns=["price"]), "invalid_request"),
        (lambda: data.quotes(every=0), "invalid_request"),
        (lambda: data.candles("SPY", "2m"), "invalid_request"),
        (lambda: ibstream.open_data(root / "nowhere"), "journal_unavailable"),
    ):
        with pytest.raises(ibstream.IbstreamError) as said:
            asked()
        assert said.value.reason == reason
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ibstream.IbstreamError, match="DuckDB"):
        data.duckdb()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ibstream.IbstreamError, match="pip install"):
        ibstream.open_data(root)
