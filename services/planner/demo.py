"""The demo project: what a fresh data root plans, so that everything works before a database is connected.

`ensure_demo` is called when the planner starts. It creates the default SQLite file only when it is not there,
in one step, and never touches a database that a user has named.
"""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import structlog

from services.base.clock import iso, utc_day
from services.base.files import replace_file
from services.base.settings import Settings

log = structlog.get_logger()

DEMO_PROJECT: Final = 1
ITEMS_PATH: Final = "demo/decision_1.csv"  # relative to the data root, so that the folder can be moved

TABLES: Final = """
CREATE TABLE projects (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    is_archived BOOLEAN NOT NULL DEFAULT 0
);
CREATE TABLE project_versions (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES projects (id),
    description TEXT,
    content TEXT,
    created_at TIMESTAMP NOT NULL
);
CREATE TABLE decision_snapshots (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES projects (id),
    status TEXT NOT NULL,
    snapshot_date DATE,
    items_path TEXT,
    created_at TIMESTAMP NOT NULL
);
"""

CONFIG: Final = {
    "benchmark": "SPY",
    "risk_off_symbols": ["BIL", "TLT"],
    "symbols": ["SPY", "QQQ", "IWM", "DIA", "GLD"],
    "themes": [
        {"key": "technology", "weight": 0.6, "priority": 2, "manual": ["NFLX"], "exclude": ["INTC"]},
        {"key": "energy", "weight": 0.4, "priority": 1},
    ],
    "asset_types": ["stock", "etf"],
}

_HELD: Final = (
    *("AAPL", "NVDA", "MSFT", "AMZN", "GOOGL", "META", "AVGO", "TSLA", "BRK.B", "JPM", "V", "UNH", "XOM"),
    *("MA", "JNJ", "PG", "HD", "WMT", "KO", "PEP", "CVX", "QQQ", "IWM", "XLE", "GLD", "TLT"),
)

_UNIVERSE: Final = {
    "technology": "AAPL NVDA MSFT GOOGL META AVGO AMD INTC",
    "energy": "XOM CVX XLE USO",
    "consumer": "AMZN TSLA HD WMT KO PEP PG DIS",
    "financials": "JPM V MA BAC BRK.B",
    "healthcare": "UNH JNJ XLV",
    "index": "SPY QQQ IWM DIA VTI VOO",
}
_ETFS: Final = frozenset(["XLE", "USO", "XLV", "SPY", "QQQ", "IWM", "DIA", "VTI", "VOO"])


def ensure_demo(settings: Settings, now: int) -> bool:
    """Create what is missing of the demo; True when its database is new. `now` is UTC nanoseconds.

    Raises OSError and sqlite3.Error when the data root cannot be written.
    """
    if not settings.universe_csv.exists():
        replace_file(settings.universe_csv, _universe().encode())
    path = settings.root / "projects.sqlite"
    if settings.database_url or path.exists():
        return False
    items = settings.root / ITEMS_PATH
    if not items.exists():
        replace_file(items, _items().encode())
    # Built beside its place and moved there whole: a start that was killed half way leaves no half database.
    fresh = path.with_name(f".projects.{os.getpid()}.tmp")
    fresh.unlink(missing_ok=True)
    _create(fresh, now)
    fresh.replace(path)
    log.info("demo_created", database=str(path), project=DEMO_PROJECT)
    return True


def _create(path: Path, now: int) -> None:
    created = iso(now).replace("T", " ").rstrip("Z")
    with closing(sqlite3.connect(path)) as database:
        database.executescript(TABLES)
        database.execute("INSERT INTO projects VALUES (?, ?, 0)", (DEMO_PROJECT, "Demo"))
        database.execute(
            "INSERT INTO project_versions VALUES (1, ?, 'project_config', ?, ?)",
            (DEMO_PROJECT, json.dumps(CONFIG), created),
        )
        database.execute(
            "INSERT INTO decision_snapshots VALUES (1, ?, 'success', ?, ?, ?)",
            (DEMO_PROJECT, utc_day(now), ITEMS_PATH, created),
        )
        database.commit()


def _items() -> str:
    total = len(_HELD) * (len(_HELD) + 1) / 2
    rows = [f"{symbol},{rank},{(len(_HELD) + 1 - rank) / total:.4f}" for rank, symbol in enumerate(_HELD, 1)]
    return "\n".join(["symbol,rank,weight", *rows]) + "\n"


def _universe() -> str:
    rows = [
        f"{symbol},{category},{'etf' if symbol in _ETFS else 'stock'}"
        for category, symbols in _UNIVERSE.items()
        for symbol in symbols.split()
    ]
    return "\n".join(["symbol,category,asset_class", *rows]) + "\n"
