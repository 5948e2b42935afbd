"""A user's own tables on one of the databases, made as each of their programs would have made them.

The planner gets in as the user that deploy/database.md describes, with the GRANTs written there and no more.
"""

import itertools
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from services.planner.demo import TABLES
from tests.process.database_servers import Server

PASSWORD = "pÄss:w/rd@100%#"
DOCUMENT = Path(__file__).parents[2] / "deploy" / "database.md"

_POSTGRESQL_TABLES = """
CREATE TYPE run_status AS ENUM ('running', 'success', 'failed');
CREATE TABLE projects (id BIGSERIAL PRIMARY KEY, name VARCHAR(200), is_archived BOOLEAN, api_key TEXT);
CREATE TABLE project_versions (id BIGSERIAL PRIMARY KEY, project_id BIGINT REFERENCES projects (id),
  description VARCHAR(80), content JSONB, created_at TIMESTAMPTZ, author TEXT);
CREATE TABLE decision_snapshots (id BIGSERIAL PRIMARY KEY, project_id BIGINT REFERENCES projects (id),
  status run_status, snapshot_date DATE, items_path TEXT, created_at TIMESTAMPTZ, log TEXT);
"""
_MARIADB_TABLES = """
CREATE TABLE projects (id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(200), is_archived BIT(1), api_key TEXT)
  DEFAULT CHARSET utf8mb4;
CREATE TABLE project_versions (id BIGINT AUTO_INCREMENT PRIMARY KEY, project_id BIGINT,
  description VARCHAR(80), content JSON, created_at DATETIME, author TEXT) DEFAULT CHARSET utf8mb4;
CREATE TABLE decision_snapshots (id BIGINT AUTO_INCREMENT PRIMARY KEY, project_id BIGINT,
  status ENUM('running', 'success', 'failed'), snapshot_date DATE, items_path VARCHAR(500), created_at DATETIME,
  log LONGTEXT) DEFAULT CHARSET utf8mb4;
"""

_names = itertools.count(1)


class UserDatabase:
    """Three tables with rows that a test puts there. `url` is the planner's; `folder` holds the CSVs."""

    def __init__(self, kind: str, server: Server | None, folder: Path) -> None:
        self.kind = kind
        self.server = server
        self.folder = folder
        self.path = folder / "user's projects.sqlite"
        if server is None:
            with closing(sqlite3.connect(self.path)) as database:
                database.executescript(TABLES)
            self.url = f"sqlite:///{self.path}"
            self._engine = sa.create_engine(self.url, poolclass=sa.pool.NullPool)
            return
        number = next(_names)
        name, reader = f"trading{number}", f"reader{number}"
        self._engine = sa.create_engine(server.admin_url(name), poolclass=sa.pool.NullPool)
        root = sa.create_engine(server.admin_url(""), poolclass=sa.pool.NullPool, isolation_level="AUTOCOMMIT")
        with root.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        self.script(_POSTGRESQL_TABLES if kind == "postgresql" else _MARIADB_TABLES)
        self.script(_documented_grants(kind, name, reader))
        scheme = "postgresql" if kind == "postgresql" else "mariadb"
        self.url = f"{scheme}://{reader}:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}/{name}"

    def script(self, text: str) -> None:
        with self._engine.begin() as connection:
            for statement in filter(str.strip, text.split(";")):
                connection.exec_driver_sql(statement.replace("%", "%%") if self.server else statement)

    def connect(self) -> sa.Connection:
        """As the user's own programs: with every right."""
        return self._engine.connect()

    @property
    def admin_url(self) -> str:
        return self._engine.url.render_as_string(hide_password=False)

    def project(self, id: int = 1, name: str | None = "Größe 株 🚀", archived: bool | None = False) -> None:
        if self.server is None:
            name, archived = name or "", bool(archived)
        self._insert("projects", id=id, name=name, is_archived=archived)

    def config(self, content: object, created: str | None = "2026-01-05 09:00:00", project: int = 1) -> None:
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        self._insert(
            "project_versions", project_id=project, description="project_config", content=text, created_at=created
        )

    def snapshot(
        self,
        id: int,
        csv: str | bytes | None,
        *,
        status: str = "success",
        date: str | None = "2026-01-05",
        created: str | None = "2026-01-05 10:00:00",
        project: int = 1,
    ) -> None:
        path = self.folder / f"decision {id}.csv"
        if csv is not None:
            path.write_bytes(csv if isinstance(csv, bytes) else csv.encode())
        self._insert(
            "decision_snapshots",
            **{"id": id, "project_id": project, "status": status, "snapshot_date": date},
            **{"items_path": str(path), "created_at": created},
        )

    def lock(self, connection: sa.Connection, table: str) -> None:
        """Keep every reader of `table` waiting until `connection` is closed."""
        statements = {
            "sqlite": "BEGIN EXCLUSIVE",
            "postgresql": f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE",
            "mariadb": f"LOCK TABLES {table} WRITE",
        }
        connection.exec_driver_sql(statements[self.kind])

    def vanish(self) -> None:
        if self.server is not None:
            self.server.kill()
        else:
            self.path.rename(self.path.with_suffix(".away"))

    def come_back(self) -> None:
        if self.server is not None:
            self.server.start()
        else:
            self.path.with_suffix(".away").rename(self.path)

    def _insert(self, table: str, **values: object) -> None:
        casts = {"content": "JSONB", "status": "run_status", "created_at": "TIMESTAMPTZ", "snapshot_date": "DATE"}
        marks = [
            f"CAST(:{key} AS {casts[key]})" if self.kind == "postgresql" and key in casts else f":{key}"
            for key in values
        ]
        statement = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(marks)})"
        with self._engine.begin() as connection:
            connection.execute(sa.text(statement), values)


def _documented_grants(kind: str, database: str, reader: str) -> str:
    """The statements of deploy/database.md, for another database, user and password."""
    heading = "### PostgreSQL" if kind == "postgresql" else "### MySQL and MariaDB"
    block = re.search(re.escape(heading) + r"\n\n```sql\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert block, f"{DOCUMENT} has no GRANT for {kind}"
    text = block[1].replace("choose-a-password", PASSWORD).replace("trading", database)
    return text.replace("ibstream", reader)
