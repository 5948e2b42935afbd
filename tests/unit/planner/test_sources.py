"""From tables and files to a plan, on SQLite: which project, which snapshot, and what each fault is called.

The same tables on PostgreSQL and MariaDB servers are in tests/process/test_databases.py.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messages.control import Start
from messages.errors import CODES, IbStreamError
from messages.events import Plan
from services.base.settings import Settings, load
from services.planner.core import Limits, derive, select
from services.planner.database import Database
from services.planner.demo import CONFIG, TABLES, ensure_demo
from services.planner.sources import gather, with_project
from tests.support import examples

NOW = 1_767_623_400_000_000_000


class Tables:
    """A SQLite database with the contract's tables, and settings that point at it."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.folder = folder
        self.path = folder / "user.sqlite"
        self.path.unlink(missing_ok=True)
        with closing(sqlite3.connect(self.path)) as db:
            db.executescript(TABLES)
        self.settings = load(
            {"IBSTREAM_DATA_ROOT": str(folder), "IBSTREAM_DATABASE_URL": f"sqlite:///{self.path}", **env}
        )

    def add(self, table: str, *rows: tuple[object, ...]) -> None:
        with closing(sqlite3.connect(self.path)) as db:
            for row in rows:
                db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
            db.commit()

    def config(self, content: object, id: int = 1, project: int = 1, created: object = "2026-01-01") -> None:
        self.add("project_versions", (id, project, "project_config", json.dumps(content), created))

    def snapshot(self, id: int, csv: str | None, status: str = "success", date: object = "2026-01-05") -> None:
        if csv is not None:
            (self.folder / f"{id}.csv").write_text(csv)
        self.add("decision_snapshots", (id, 1, status, date, f"{id}.csv", "2026-01-05 10:00:00"))

    def plan(self, request: Start | None = None) -> dict[str, str]:
        request = with_project(request or Start(project_id=1), self.settings)
        database = Database(self.settings.database, 5.0)
        selection = select(derive(request, gather(request, self.settings, database)), Limits(100, 100))
        return {s.symbol: s.reason for s in selection.symbols}

    def refusal(self, request: Start | None = None) -> str:
        with pytest.raises(IbStreamError) as caught:
            self.plan(request)
        return f"{caught.value.code}: {caught.value.message}"


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    made = Tables(tmp_path)
    made.add("projects", (1, "Größe & Mut", 0))
    made.config({"benchmark": "SPY", "symbols": ["IWM"]})
    yield made


def test_the_latest_usable_snapshot_counts(tables: Tables) -> None:
    assert tables.plan() == {"SPY": "benchmark", "IWM": "project symbol"}
    tables.snapshot(10, "symbol,rank\nAAPL,1\nNVDA,2\n", date="2026-01-05")
    tables.snapshot(11, "symbol\nOLD\n", date="2026-01-02")
    tables.snapshot(12, "symbol\nBROKEN\n", date="2026-01-09", status="failed")
    tables.snapshot(13, "symbol\nDATELESS\n", date=None)
    assert list(tables.plan()) == ["SPY", "AAPL", "NVDA"]
    assert list(tables.plan(Start(decision_snapshot_id=11))) == ["SPY", "OLD"]
    assert list(tables.plan(Start(project_id=1, decision_snapshot_id=11))) == ["SPY", "OLD"]


def test_the_newest_configuration_counts(tables: Tables) -> None:
    tables.config({"symbols": "DIA"}, id=5, created="2026-02-01")
    tables.config({"symbols": "OLD"}, id=6, created="2025-02-01")
    tables.add("project_versions", (7, 1, "notes", "not even JSON", "2026-03-01"), (8, 1, None, None, "2026-03-01"))
    assert tables.plan() == {"DIA": "project symbol"}


def test_unknown_archived_and_foreign(tables: Tables) -> None:
    tables.add("projects", (2, "Old", 1), (3, "Other", ""))
    tables.snapshot(10, "symbol\nAAPL\n")
    tables.snapshot(11, "symbol\nAAPL\n", status="running")
    assert tables.refusal(Start(project_id=9)) == "project_not_found: there is no project 9"
    assert tables.refusal(Start(project_id=2)) == "project_not_found: project 2 is archived"
    assert tables.refusal(Start(project_id=-1)) == "project_not_found: there is no project -1"
    assert tables.refusal(Start(project_id=1 << 70)).startswith("project_not_found")
    assert tables.refusal(Start(decision_snapshot_id=99)).startswith("decision_snapshot_not_found")
    assert "belongs to project 1, not 3" in tables.refusal(Start(project_id=3, decision_snapshot_id=10))
    assert "its status is 'running'" in tables.refusal(Start(project_id=1, decision_snapshot_id=11))
    assert tables.refusal(Start(project_id=3)).startswith("symbols_empty: project 3 has no usable decision snapshot")


def test_a_snapshot_that_cannot_be_read_is_no_smaller_plan(tables: Tables) -> None:
    tables.snapshot(10, None)
    assert tables.refusal().startswith("snapshot_unreadable: the CSV of decision snapshot 10 is missing: /")
    (tables.folder / "10.csv").write_text("symbol,rank\nAA")
    assert "looks half written" in tables.refusal()
    (tables.folder / "10.csv").write_text("symbol,rank\n")
    assert tables.refusal() == "symbols_empty: decision snapshot 10 has no symbols"


def test_symbols_alone_need_no_database(tmp_path: Path) -> None:
    settings = load({"IBSTREAM_DATA_ROOT": str(tmp_path), "IBSTREAM_DATABASE_URL": "sqlite:////nowhere/x.sqlite"})
    request = with_project(Start(symbols=["SPY", "QQQ"]), settings)
    answer = derive(request, gather(request, settings, Database(settings.database, 1.0)))
    assert [c.contract.name for c in answer.candidates] == ["SPY", "QQQ"]
    with pytest.raises(IbStreamError, match="does not exist"):
        gather(Start(project_id=1), settings, Database(settings.database, 1.0))


def test_the_project_in_force() -> None:
    def project(request: Start, **env: str) -> int | None:
        return with_project(request, load({f"IBSTREAM_{k.upper()}": v for k, v in env.items()})).project_id

    assert project(Start()) == 1
    assert project(Start(), api_mode="ib") is None
    assert project(Start(), api_mode="ib", project_id="4") == 4
    assert project(Start(project_id=3), project_id="4") == 3
    assert project(Start(symbols=["SPY"])) is None
    assert project(Start(symbols=["SPY"]), project_id="4") == 4
    assert project(Start(decision_snapshot_id=12)) is None
    with pytest.raises(IbStreamError, match="no project was named"):
        settings = load({"IBSTREAM_API_MODE": "ib"})
        gather(Start(), settings, Database("sqlite:////nowhere", 1.0))


def test_themes_want_their_universe(tables: Tables) -> None:
    tables.config({"themes": [{"key": "energy"}, {"key": "out", "weight": 0}]}, id=2, created="2026-02-01")
    assert tables.refusal().startswith("snapshot_unreadable: the universe of theme members is missing")
    tables.settings.universe_csv.parent.mkdir()
    tables.settings.universe_csv.write_text("symbol,category,asset_class\nXOM,energy,stock\nX,out,stock\n")
    assert tables.plan() == {"XOM": "theme energy"}


def test_a_schema_that_is_another(tables: Tables) -> None:
    with closing(sqlite3.connect(tables.path)) as db:
        db.execute("ALTER TABLE decision_snapshots RENAME COLUMN items_path TO items_file")
    assert tables.refusal().startswith("schema_unexpected: the SQLite database")
    assert "no such column: decision_snapshots.items_path" in tables.refusal()


@pytest.mark.parametrize("content", [b"not a database at all, but quite long " * 100, b""])
def test_a_file_that_is_no_database(tables: Tables, content: bytes) -> None:
    tables.path.write_bytes(content)
    assert tables.refusal().split(":")[0] in ("database_unavailable", "schema_unexpected")


def test_a_locked_database_is_busy_not_broken(tables: Tables) -> None:
    with closing(sqlite3.connect(tables.path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        with pytest.raises(IbStreamError, match=r"is busy: no answer within 0\.2 seconds"):
            Database(tables.settings.database, 0.2).read(1, None)


def test_nothing_is_ever_written(tables: Tables) -> None:
    before = tables.path.read_bytes()
    database = Database(tables.settings.database, 1.0)
    database.read(1, None)
    for statement in ("DELETE FROM projects", "CREATE TABLE x (y)"):
        with pytest.raises(sqlite3.OperationalError, match="readonly"), closing(database._open_sqlite()) as connection:
            connection.execute(statement)
    assert tables.path.read_bytes() == before
    missing = tables.folder / "missing.sqlite"
    with pytest.raises(IbStreamError):
        Database(f"sqlite:///{missing}", 1.0).read(1, None)
    assert not missing.exists()


# --- the demo ---


def test_the_demo_plans_itself_and_leaves_what_is_there(tmp_path: Path) -> None:
    settings = load({"IBSTREAM_DATA_ROOT": str(tmp_path)})
    assert ensure_demo(settings, NOW) is True
    request = with_project(Start(), settings)
    answer = derive(request, gather(request, settings, Database(settings.database, 1.0)))
    names = [c.contract.name for c in answer.candidates]
    assert names[:3] == ["SPY", *CONFIG["risk_off_symbols"]]
    assert 20 <= len(names) <= 30 and answer.decision_snapshot_id == 1 and not answer.warnings
    before = (tmp_path / "projects.sqlite").read_bytes()
    (tmp_path / "demo" / "decision_1.csv").unlink()
    assert ensure_demo(settings, NOW + 1) is False
    assert (tmp_path / "projects.sqlite").read_bytes() == before
    assert not (tmp_path / "demo" / "decision_1.csv").exists()


def test_the_demo_keeps_out_of_a_users_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'mine.sqlite'}"
    assert ensure_demo(load({"IBSTREAM_DATA_ROOT": str(tmp_path), "IBSTREAM_DATABASE_URL": url}), NOW) is False
    assert not (tmp_path / "mine.sqlite").exists() and not (tmp_path / "projects.sqlite").exists()
    assert (tmp_path / "universe" / "universe.csv").exists()


# --- any tables, any file ---

T = TypeVar("T")


def mostly(common: st.SearchStrategy[T], rare: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """`rare` once in six: with everything wild at once no plan would ever come of it."""
    return st.integers(0, 5).flatmap(lambda n: rare if n == 5 else common)


cell = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=12),
    st.binary(max_size=12),
    st.sampled_from(["AAPL", "SAP:IBIS:EUR", "0000-00-00", "success", "../x", ""]),
)
good = st.sampled_from(["AAPL", "NVDA", "BRK B", "brk.b", "SAP:IBIS:EUR", "SPY", "spy", "QQQ", "ES:CME:USD:FUT:202612"])
symbol = mostly(good, st.sampled_from(["../x", "", "Ä", "ES:CME:USD:FUT", "X" * 300]))
symbols = st.lists(symbol, max_size=6)
theme = st.fixed_dictionaries(
    {"key": mostly(st.sampled_from(["energy", "tech"]), st.just(""))},
    optional={
        "weight": mostly(st.floats(-1, 1), cell),
        "priority": st.integers(-3, 3),
        "manual": symbols,
        "exclude": symbols,
    },
)
config = st.fixed_dictionaries(
    {},
    optional={
        "benchmark": symbol,
        "risk_off_symbols": symbols,
        "symbols": mostly(symbols, st.text(max_size=10)),
        "themes": st.lists(theme, max_size=3),
        "asset_types": st.sampled_from([["stock"], "etf", None]),
        "contracts": st.dictionaries(symbol, st.sampled_from(["BMW:IBIS:EUR", {"exchange": "X"}, 3, "?"]), max_size=2),
    },
)
rank = st.sampled_from(["1", "2", "3", "", "x", "-1", "1e999"])
csv_bytes = mostly(
    st.lists(st.tuples(symbol, rank), max_size=20).map(
        lambda rows: ("symbol,rank\n" + "".join(f"{s},{r}\n" for s, r in rows)).encode()
    ),
    st.binary(max_size=200),
)
universe_bytes = mostly(st.just(b"symbol,category,asset_class\nXOM,energy,stock\nAAPL,tech,stock\n"), csv_bytes)
snapshot = st.tuples(mostly(st.just("success"), st.sampled_from(["failed", "", b"success"])), cell, cell)
request = st.builds(
    Start,
    project_id=mostly(st.just(1), st.sampled_from([None, 2, 2**80])),
    decision_snapshot_id=mostly(st.none(), st.sampled_from([1, 2, -5])),
    symbols=mostly(st.none(), symbols),
    max_symbols=mostly(st.sampled_from([None, 1, 2, 3, 50]), st.just(0)),
)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    request=request,
    archived=mostly(st.sampled_from([0, ""]), cell),
    content=mostly(config.map(lambda c: json.dumps(c, default=repr)), cell),
    snapshots=st.lists(snapshot, max_size=3),
    csv=csv_bytes,
    universe=universe_bytes,
)
def test_any_tables_and_any_bytes_give_a_plan_that_keeps_the_rules_or_a_coded_error(
    tmp_path: Path, request: Start, archived, content, snapshots, csv: bytes, universe: bytes
) -> None:
    made = Tables(tmp_path)
    made.add("projects", (1, "x", 0 if archived is None else archived))
    made.add("project_versions", (1, 1, "project_config", content, "0000-00-00"))
    for number, (status, date, path) in enumerate(snapshots, 1):
        name = "items.csv" if number < 3 else path
        made.add("decision_snapshots", (number, 1, status or "", date, name, "2026-01-01"))
    (tmp_path / "items.csv").write_bytes(csv)
    (tmp_path / "universe").mkdir(exist_ok=True)
    made.settings.universe_csv.write_bytes(universe)
    assert outcome(made.settings, request) == outcome(made.settings, request)


def outcome(settings: Settings, request: Start) -> Plan | str:
    request = with_project(request, settings)
    limits = Limits(request.max_symbols or 3, 5)
    try:
        answer = derive(request, gather(request, settings, Database(settings.database, 1.0)))
    except IbStreamError as error:
        assert error.code in CODES and error.code != "invalid_setting"
        assert error.message and "\n" not in error.message
        return f"{error.code}: {error.message}"
    selection = select(answer, limits)
    plan = Plan(1, 1, 1, True, selection.symbols, selection.cut, warnings=selection.warnings)
    names = [s.symbol for s in plan.symbols] + [c.symbol for c in plan.cut]
    assert names and len(set(names)) == len(names)
    assert len(plan.symbols) == min(len(names), limits.count)
    assert [s.priority for s in plan.symbols] == list(range(len(plan.symbols)))
    assert [c.priority for c in plan.cut] == list(range(len(plan.symbols), len(names)))
    assert all(s.reason for s in plan.symbols) and all(c.reason and c.contract for c in plan.cut)
    return plan


def test_a_half_good_csv_is_planned_with_a_word_on_what_is_not(tmp_path):
    tables = Tables(tmp_path)
    tables.add("projects", (1, "Momentum", 0))
    tables.snapshot(7, "symbol,weight\nSPY,0.5\nbrk b,half\n,0.2\nBRK.B,0.1\n???,0.1\n")
    answer = derive(
        Start(project_id=1), gather(Start(project_id=1), tables.settings, Database(tables.settings.database, 5.0))
    )
    assert {c.contract.name for c in answer.candidates} == {"SPY", "BRK.B"}
    warnings = " | ".join(answer.warnings)
    assert "1 line left out, without a symbol: line 4" in warnings
    assert "weight that is no number" in warnings
    assert "a symbol comes more than once, and the most important line counts: BRK.B in lines 3, 5" in warnings
    assert "decision_snapshot 7, line 6" in warnings


@pytest.mark.parametrize("name", ["per%cent", "what?", "hash#1", "a b", "%41", "q'uo\"te"])
def test_any_path_as_data_root(tmp_path, name):
    root = tmp_path / name
    settings = load({"IBSTREAM_DATA_ROOT": str(root)})
    ensure_demo(settings, NOW)
    rows = Database(settings.database, 1.0).read(1, None)
    assert rows.project is not None
    assert [path.name for path in tmp_path.iterdir()] == [name]
