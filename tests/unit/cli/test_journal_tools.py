"""verify, replay, at, export and archive as a user meets them: arguments in, output and exit code out."""

import csv
import io
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from messages.codec import encode
from messages.events import EventBlock, Plan, PlannedSymbol, StreamStarted, SymbolChanged
from messages.fields import ASK, BID, CURRENCY, LAST
from messages.topics import CONTROL, LINK, PLAN, TICKS
from services.base.clock import SECOND, iso
from services.cli import app
from services.gateway.wire.columns import Columns
from services.journal import day_files
from services.quotes.replay import Pace, parse_speed
from tests.journals import DAY, NOON, open_writer
from tests.rebuilt import rebuild

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A minute of two symbols on each of two days; SPY at 100, 101, … a second apart, in epochs 1 and 2."""
    root = tmp_path / "data" / "journal"
    for day in range(2):
        start = NOON + day * DAY
        control, plan, link = (open_writer(root, start, name) for name in (CONTROL, PLAN, LINK))
        started = EventBlock(control.epoch, control.next_seq, start - SECOND, [StreamStarted(project_id=1)])
        assert control.append(encode(started), 1, started.time)
        planned = [PlannedSymbol(symbol=name, reason="test", priority=0) for name in ("SPY", "BRK.B")]
        current = Plan(plan.epoch, plan.next_seq, start - SECOND, True, planned)
        assert plan.append(encode(current), 1, current.time)
        live = [SymbolChanged(symbol=name, state="live", stale=False) for name in ("SPY", "BRK.B")]
        block = EventBlock(link.epoch, link.next_seq, start, [*live])
        assert link.append(encode(block), 2, start)
        ticks = open_writer(root, start, TICKS)
        for second in range(60):
            columns = Columns()
            columns.add(1, BID, 100.0 + second + 60 * day, 300.0)
            columns.add(2, LAST, 250.0 + second / 4)
            if second == 0:
                columns.add_text(1, CURRENCY, "USD")
                columns.add(2, ASK, float("nan"))
            tick_block = columns.to_block(ticks.epoch, ticks.next_seq, start + second * SECOND, {1: "SPY", 2: "BRK.B"})
            assert ticks.append(encode(tick_block), tick_block.count, tick_block.time)
        for writer in (control, plan, link, ticks):
            writer.close()
    return root


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    monkeypatch.setenv("IBSTREAM_DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("IBSTREAM_RETENTION_DAYS_TICKS", "99999")
    monkeypatch.setenv("IBSTREAM_RETENTION_DAYS_EVENTS", "99999")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = app.run(list(arguments))
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return run


def lines(text: str) -> list[Any]:
    return [msgspec.json.decode(line) for line in text.splitlines()]


# --- verify ------------------------------------------------------------------------------------------------


def test_verify_says_clean_and_counts(journal: Path, run: Run) -> None:
    code, out, _ = run("verify")
    assert code == 0
    assert "clean" in out
    code, out, _ = run("verify", "--json")
    report = msgspec.json.decode(out)
    assert (code, report["verdict"]) == (0, "clean")
    found = {stream["stream"]: (stream["files"], stream["blocks"], stream["events"]) for stream in report["streams"]}
    assert found == {TICKS: (2, 120, 244), LINK: (2, 2, 4), PLAN: (2, 2, 2), CONTROL: (2, 2, 2)}


def test_verify_names_every_damage_and_exits_with_1(journal: Path, run: Run) -> None:
    path = day_files(journal / TICKS)[0]
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("UPDATE block SET payload = x'00' WHERE first_seq = 5")
    db.execute("DELETE FROM block WHERE first_seq = 9")
    db.execute("UPDATE block SET first_seq = 1000 WHERE first_seq = 21")
    db.close()
    code, out, _ = run("verify", "--json")
    report = msgspec.json.decode(out)
    assert (code, report["verdict"]) == (1, "damaged")
    messages = [finding["message"] for stream in report["streams"] for finding in stream["findings"]]
    assert [message.removeprefix(f"{path}: ") for message in messages[:3]] == [
        "the block at sequence number 5 fails its checksum",
        "events 9 to 10 are missing",
        "events 21 to 22 are missing",
    ]
    assert "the block at sequence number 1000 fails its checksum" in messages[3]
    code, out, _ = run("verify", "--stream", "link,plan")
    assert code == 0


def test_verify_finds_a_missing_day_and_blocks_of_another_stream(journal: Path, run: Run) -> None:
    days = day_files(journal / LINK)
    writer = open_writer(journal, NOON + 2 * DAY, LINK)
    assert writer.append(encode({"type": "plan"}), 1, NOON + 2 * DAY)
    assert writer.append(encode(EventBlock(9, 7, NOON, [StreamStarted()])), 1, NOON + 2 * DAY)
    writer.close()
    days[1].unlink()
    _, out, _ = run("verify", "--json", "--stream", "link")
    (stream,) = msgspec.json.decode(out)["streams"]
    messages = [finding["message"] for finding in stream["findings"]]
    assert "events 3 to 4 are missing" in messages[0]
    assert "the block at sequence number 5 is none of the stream link" in messages[1]
    assert "the block at sequence number 6 says of itself that it is 7" in messages[2]


def test_verify_cannot_tell_where_there_is_nothing_or_nothing_to_be_read(tmp_path: Path, run: Run) -> None:
    code, out, _ = run("verify", "--json")
    assert (code, msgspec.json.decode(out)["verdict"]) == (2, "unknown")
    open_writer(tmp_path / "data" / "journal").close()
    day_files(tmp_path / "data" / "journal" / "link")[0].unlink()
    day = tmp_path / "data" / "journal" / "link" / "2026-01-05.sqlite"
    day.mkdir()  # what no user can open as a file, root included
    code, out, _ = run("verify")
    assert code == 2
    assert f"{day} cannot be read" in out


@pytest.mark.parametrize("command", [("gaps",), ("replay",), ("at", "now"), ("export",)], ids=lambda words: words[0])
def test_a_data_root_without_a_journal_is_said(tmp_path: Path, run: Run, command: tuple[str, ...]) -> None:
    code, out, said = run(*command)
    assert (code, out) == (14, "")
    assert f"there is no journal in {tmp_path / 'data' / 'journal'}" in said
    assert not list(Path.cwd().glob("ticks.parquet"))


@pytest.mark.parametrize(
    "command", ["replay --stream ticks", "export", "at now", "candles SPY", "alerts replay", "quality"]
)
def test_a_folder_that_cannot_be_read_does_not_pass_for_an_empty_one(
    journal: Path, run: Run, tmp_path: Path, command: str
) -> None:
    lock_out(journal / "ticks")
    code, _, err = run(*command.split())
    assert code == 14
    assert f"{journal / 'ticks'} cannot be read" in err
    assert not list(tmp_path.glob("*.parquet"))
    code, out, _ = run("verify")
    assert code == 2
    assert "cannot be read" in out


def lock_out(folder: Path) -> None:
    """Nobody can list it, not root either."""
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.symlink_to(folder)


def test_verify_works_beside_a_writer_and_calls_a_durable_tail_that_is_gone_damage(journal: Path, run: Run) -> None:
    writer = open_writer(journal, NOON + 3 * DAY)
    time = NOON + 3 * DAY
    for number in range(3):
        block = EventBlock(
            writer.epoch, writer.next_seq, time, [SymbolChanged(symbol=f"S{number}", state="live", stale=False)]
        )
        assert writer.append(encode(block), 1, time)
    writer.sync()
    assert run("verify")[0] == 0
    writer.close()
    db = sqlite3.connect(day_files(journal / LINK)[-1], isolation_level=None)
    db.execute("DELETE FROM block WHERE first_seq = 7")
    db.close()
    code, out, _ = run("verify", "--json", "--stream", "link")
    assert code == 1
    assert "events 7 to 7 were durable and are missing" in out


# --- replay ------------------------------------------------------------------------------------------------


def test_replay_gives_every_event_in_the_order_of_time(journal: Path, run: Run) -> None:
    code, out, _ = run("replay", "--json")
    found = lines(out)
    assert code == 0
    assert len(found) == 252
    assert [event["ts"] for event in found] == sorted(event["ts"] for event in found)
    for stream in (TICKS, LINK, PLAN, CONTROL):
        numbers = [event["seq"] for event in found if event["stream"] == stream]
        assert numbers == list(range(1, len(numbers) + 1))
    assert found[0] == {
        "stream": "plan",
        "epoch": 1,
        "seq": 1,
        "ts": iso(NOON - SECOND),
        "type": "plan",
        "started": True,
        "symbols": [{"symbol": name, "reason": "test", "priority": 0} for name in ("SPY", "BRK.B")],
    } | {key: value for key, value in found[0].items() if key not in ("symbols", "started")}
    assert {event["type"] for event in found} == {"tick", "symbol_changed", "plan", "stream_started"}


def test_replay_of_a_span_and_a_symbol(journal: Path, run: Run) -> None:
    span = ("--from", iso(NOON + 10 * SECOND), "--to", iso(NOON + 12 * SECOND))
    _, out, _ = run("replay", *span, "--json", "--symbol", "SPY")
    assert lines(out) == [
        {
            "stream": "ticks",
            "epoch": 1,
            "seq": 23 + 2 * number,
            "ts": iso(NOON + (10 + number) * SECOND),
            "type": "tick",
            "symbol": "SPY",
            "field": "bid",
            "id": 1,
            "value": 110.0 + number,
            "size": 300.0,
        }
        for number in range(2)
    ]
    _, out, _ = run("replay", *span, "--json", "--stream", "link,plan")
    assert out == ""
    _, out, _ = run("replay", *span, "--symbol", "brk.b")
    assert [line.split()[1:] for line in out.splitlines()[1:]] == [
        ["ticks", "24", "BRK.B", "last", "252.5"],
        ["ticks", "26", "BRK.B", "last", "252.75"],
    ]


def test_texts_and_values_that_are_none_are_shown_as_such(journal: Path, run: Run) -> None:
    _, out, _ = run("replay", "--json", "--stream", "ticks", "--to", iso(NOON + 1000))
    assert [(event["field"], event["value"]) for event in lines(out)] == [
        ("bid", 100.0),
        ("last", 250.0),
        ("currency", "USD"),
        ("ask", None),
    ]


def test_replay_into_a_folder_gives_the_files_of_the_fold(journal: Path, run: Run, tmp_path: Path) -> None:
    rebuild(journal, tmp_path / "expected")
    code, out, _ = run("replay", "--into", "rebuilt")
    assert (code, out) == (0, "2 symbol files in rebuilt\n")
    assert content(tmp_path / "rebuilt") == content(tmp_path / "expected")
    rebuild(journal, tmp_path / "then", until=NOON + 30 * SECOND)
    run("replay", "--into", "half", "--to", iso(NOON + 30 * SECOND))
    assert content(tmp_path / "half") == content(tmp_path / "then") != content(tmp_path / "expected")
    run("replay", "--into", "lived", "--speed", "100000", "--from", iso(NOON + 50 * SECOND), "--to", iso(NOON + DAY))
    rebuild(journal, tmp_path / "day", until=NOON + DAY)
    assert content(tmp_path / "lived") == content(tmp_path / "day")


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_speed_spaces_events_as_they_were() -> None:
    pace = Pace(10.0)
    assert pace.wait(NOON, 5.0) == 0.0
    assert pace.wait(NOON + 20 * SECOND, 5.5) == pytest.approx(1.5)
    assert pace.wait(NOON + 20 * SECOND, 9.0) == 0.0
    assert Pace(None).wait(NOON + DAY, 0.0) == 0.0
    assert (parse_speed("max"), parse_speed("0.5")) == (None, 0.5)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["replay", "--speed", "fast"], "--speed: 'fast' is no speed"),
        (["replay", "--from", "yesterday"], "--from: 'yesterday' is not a time"),
        (["replay", "--stream", "quotes"], "quotes is no stream; there are ticks, link, plan, control"),
        (["replay", "--into", "x", "--json"], "--into writes all symbols"),
        (["at", "25:00"], "TIME: '25:00' is not a time"),
        (["export", "--format", "excel"], "--format excel: expected parquet or csv"),
        (["replay", "--into", "data/ib/stream"], "data/ib/stream holds the prices of now"),
        (["replay", "--from", "2026-01-06", "--to", "2026-01-05"], "--from is not before --to"),
        (["export", "--from", "2026-01-06", "--to", "2026-01-06"], "--from is not before --to"),
        (["gaps", "--from", "2026-01-06", "--to", "2026-01-05"], "--from is not before --to"),
        (["verify", "--stream", ","], "--stream names none"),
        (["export", "--to", "excel"], "--to: 'excel' is not a time"),
        (["export", "--to", "csv", "--stream", "link", "--symbol", "SPY"], "symbols choose ticks"),
    ],
)
def test_a_wrong_option_gets_one_sentence_and_exit_code_2(
    journal: Path, run: Run, arguments: list[str], sentence: str
) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert sentence in err
    assert len(err.splitlines()) == 1


# --- at ----------------------------------------------------------------------------------------------------


def test_at_is_the_book_as_it_was(journal: Path, run: Run) -> None:
    _, out, _ = run("at", iso(NOON + 30 * SECOND), "--json")
    quotes = {quote["symbol"]: quote for quote in msgspec.json.decode(out)}
    assert quotes["SPY"]["bid"] == 130.0
    assert quotes["SPY"]["timestamp"] == iso(NOON + 30 * SECOND)
    assert quotes["BRK.B"]["last"] == 257.5
    _, out, _ = run("at", iso(NOON + 30 * SECOND - 1000), "SPY", "--json")
    (quote,) = msgspec.json.decode(out)
    assert (quote["symbol"], quote["bid"]) == ("SPY", 129.0)
    _, out, _ = run("at", iso(NOON + 9 * DAY), "SPY")
    assert "219" in out


@pytest.mark.parametrize("time", ["-30s", "-5m", "-1h", "-2d"])
def test_at_takes_a_time_before_now(journal: Path, run: Run, time: str) -> None:
    code, out, err = run("at", time, "--json")
    assert (code, err) == (0, "")
    assert isinstance(msgspec.json.decode(out), list)


def test_at_names_a_symbol_that_had_no_price_yet(journal: Path, run: Run) -> None:
    code, _, err = run("at", iso(NOON), "QQQ")
    assert (code, "QQQ had no price yet" in err) == (13, True)
    code, out, _ = run("at", "2020-01-01", "--json")
    assert (code, out) == (0, "[]\n")


# --- export ------------------------------------------------------------------------------------------------


def test_export_to_parquet_and_csv(journal: Path, run: Run, tmp_path: Path) -> None:
    code, out, _ = run("export", "--to", "parquet", "--symbol", "SPY", "--until", "2026-01-06")
    assert (code, out) == (0, "61 events in ticks.parquet\n")
    table = pq.read_table(tmp_path / "ticks.parquet")
    assert table.column_names == ["seq", "epoch", "time", "symbol", "field", "field_id", "value", "size", "text"]
    assert table["value"].to_pylist()[:3] == [100.0, 0.0, 101.0]
    _, out, _ = run("export", "--to", "csv", "--out", "-", "--from", "2026-01-06", "--symbol", "BRK.B")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 61
    assert (rows[0]["symbol"], rows[0]["field"], float(rows[0]["value"])) == ("BRK.B", "last", 250.0)
    run("export", "--stream", "control", "--out", "control.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "control.csv").read_text())))
    assert [row["type"] for row in rows] == ["stream_started"] * 2
    code, out, _ = run("export", "--format", "csv", "--to", "2026-01-06", "--out", "-", "--symbol", "SPY")
    assert (code, len(out.splitlines())) == (0, 62)
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize("command", ["export", "export --format csv --out -", "replay", "replay --json"])
def test_a_symbol_of_which_nothing_was_recorded(journal: Path, run: Run, tmp_path: Path, command: str) -> None:
    code, _, err = run(*command.split(), "--symbol", "SPY,NOPE")
    assert code == 13
    assert "NOPE" in err
    assert not list(tmp_path.glob("*ticks.parquet*"))


@pytest.mark.parametrize("command", ["export", "replay"])
def test_a_list_of_no_symbols_does_not_mean_all(journal: Path, run: Run, tmp_path: Path, command: str) -> None:
    code, out, err = run(command, "--symbol", "")
    assert (code, out) == (7, "")
    assert "--symbol names none" in err


def test_gaps_of_what_was_never_planned_are_none_that_could_be_told(journal: Path, run: Run) -> None:
    assert run("gaps", "--symbol", "SPY") == (0, "no gaps of SPY\n", "")
    code, _, err = run("gaps", "--symbol", "SPYY")
    assert code == 13
    assert "SPYY was never planned" in err


# --- archive -----------------------------------------------------------------------------------------------


def test_archive_compacts_and_every_tool_reads_on(journal: Path, run: Run, tmp_path: Path) -> None:
    before = run("replay", "--json")[1], run("at", iso(NOON + 30 * SECOND), "--json")[1]
    rebuild(journal, tmp_path / "expected")
    code, out, _ = run("archive", "--json")
    assert code == 0
    assert {one["action"] for one in msgspec.json.decode(out)} == {"archived"}
    assert (journal / TICKS / "2026-01-05.parquet").exists()
    assert (run("replay", "--json")[1], run("at", iso(NOON + 30 * SECOND), "--json")[1]) == before
    run("replay", "--into", "rebuilt")
    assert content(tmp_path / "rebuilt") == content(tmp_path / "expected")
    assert run("verify")[0] == 0
    archived = journal / TICKS / "2026-01-05.parquet"
    archived.write_bytes(archived.read_bytes()[:-1] + b"\0")
    code, out, _ = run("verify")
    assert code == 1
    assert "2026-01-05.parquet" in out
