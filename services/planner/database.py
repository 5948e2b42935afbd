"""The user's database, read and never written: projects, their configuration, their decision snapshots.

`Database.read` is called on a worker thread. Each call opens a connection of its own and closes it, so a
server that went away and came back heals by itself. It reads in one read-only transaction, one consistent
view, bounded in time by the server and the driver. Every failure is an IbStreamError whose sentence never
holds the password.
"""

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote, quote_plus, unquote

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from messages.errors import IbStreamError

T = TypeVar("T")

_DRIVERS: Final = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
_EXTRAS: Final = {"postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql"}

# The columns have no types here: ids, texts and JSON come as the driver gives them, and dates are only ever
# sorted, in SQL, so that a zero date or a text that is none cannot break a read.
_projects = sa.table("projects", sa.column("id"), sa.column("name"), sa.column("is_archived"))
_versions = sa.table(
    "project_versions",
    sa.column("id"),
    sa.column("project_id"),
    sa.column("description"),
    sa.column("content"),
    sa.column("created_at"),
)
_snapshots = sa.table(
    "decision_snapshots",
    sa.column("id"),
    sa.column("project_id"),
    sa.column("status"),
    sa.column("snapshot_date"),
    sa.column("items_path"),
    sa.column("created_at"),
)


class ProjectRow(msgspec.Struct, frozen=True):
    id: int
    name: str
    is_archived: bool
    config_version: int | None  # id of the newest `project_config` version
    content: object  # of that version, as the driver gives it


class SnapshotRow(msgspec.Struct, frozen=True):
    id: int
    project_id: int | None
    status: str
    items_path: str
    date: str | None = None  # as the database writes it

    @property
    def usable(self) -> bool:
        return self.status.strip().lower() == "success"


class Listing(msgspec.Struct, frozen=True):
    """A project with its newest usable snapshot."""

    id: int
    name: str
    is_archived: bool
    snapshot: SnapshotRow | None


class Rows(msgspec.Struct, frozen=True):
    """One consistent view of what a request needs. What is not there is None."""

    project: ProjectRow | None = None
    snapshot: SnapshotRow | None = None


class Database:
    """The database behind `where`: a URL, or the path of a SQLite file, which may be any path.

    Raises IbStreamError `invalid_setting` when that is none we can read.
    """

    def __init__(self, where: str | Path, timeout: float) -> None:
        self._secrets = _secrets(where) if isinstance(where, str) else []
        self._timeout = timeout
        parsed = _parse(where) if isinstance(where, str) else sa.URL.create("sqlite", database=str(where))
        self._kind = parsed.get_backend_name()
        self.display = _display(parsed)  # for logs and sentences: where, without who
        self._path = Path(parsed.database or "") if self._kind == "sqlite" else None
        try:
            arguments = self._arguments(parsed.password)
            self._engine = sa.create_engine(parsed, poolclass=NullPool, hide_parameters=True, **arguments)
        except ModuleNotFoundError:
            extra = _EXTRAS[self._kind]
            raise IbStreamError(
                "invalid_setting",
                f"IBSTREAM_DATABASE_URL needs a driver that is not installed: pip install '.[{extra}]' in the checkout",
            ) from None
        except (SQLAlchemyError, TypeError, ValueError):
            raise _not_a_url() from None

    def read(self, project_id: int | None, snapshot_id: int | None, *, want_snapshot: bool = True) -> Rows:
        """The project (by the snapshot when only that is named) and its snapshot: the one asked for, usable
        or not, else with `want_snapshot` the latest usable one.

        Raises IbStreamError `database_unavailable` (gone, slow, locked, refused) or `schema_unexpected`.
        """
        return self._ask(lambda connection: _read(connection, project_id, snapshot_id, want_snapshot))

    def projects(self, most: int) -> list[Listing]:
        """The newest projects, archived ones too, at most so many, by id. Raises as `read` does."""
        return self._ask(lambda connection: _projects_of(connection, most))

    def snapshots(self, project_id: int, most: int) -> list[SnapshotRow] | None:
        """A project's snapshots, usable or not, the newest first, at most so many; None when there is no such
        project. Raises as `read` does."""
        return self._ask(lambda connection: _snapshots_of(connection, project_id, most))

    def _ask(self, query: Callable[[sa.Connection], T]) -> T:
        try:
            if self._path is not None and not self._path.exists():
                raise IbStreamError("database_unavailable", f"{self.display} does not exist")
            with self._engine.connect() as connection:
                self._begin(connection)
                return query(connection)
        except DBAPIError as error:
            raise self._explain(error) from None
        except (SQLAlchemyError, OSError, TypeError, ValueError, OverflowError) as error:
            raise self._failed("database_unavailable", "cannot be read", error) from None

    def redact(self, text: str) -> str:
        """`text` without the password, in any of the spellings in which a driver might repeat it."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    # --- inside ---

    def _arguments(self, password: str | None) -> dict[str, Any]:
        seconds = max(1, round(self._timeout))
        if self._path is not None:
            return {"creator": self._open_sqlite}
        if self._kind == "postgresql":
            # Keepalives end a read whose server vanished without a word.
            alive = {"keepalives_idle": seconds, "keepalives_interval": 2, "keepalives_count": 3}
            return {"connect_args": {"connect_timeout": max(2, seconds), "application_name": "ibstream", **alive}}
        timeouts = {"connect_timeout": seconds, "read_timeout": seconds, "write_timeout": seconds}
        if password is None:
            return {"connect_args": timeouts}
        # As bytes: PyMySQL would encode a text in Latin-1, the server knows it in UTF-8.
        return {"connect_args": {"password": password.encode(), **timeouts}}

    def _open_sqlite(self) -> sqlite3.Connection:
        """Read-only, also where the file's mode would allow more; never creates a file."""
        connection = sqlite3.connect(
            f"file:{quote(str(self._path))}?mode=ro",
            uri=True,
            timeout=self._timeout,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA query_only = ON")
        return connection

    def _begin(self, connection: sa.Connection) -> None:
        """A read-only transaction with one view of all tables; the server ends what takes too long."""
        seconds = max(1, round(self._timeout))
        if self._kind == "sqlite":
            statements = ["BEGIN"]
        elif self._kind == "postgresql":
            statements = [
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
                f"SET LOCAL statement_timeout = {seconds * 1000}",
            ]
        else:
            statements = [
                f"SET SESSION lock_wait_timeout = {seconds}",
                "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
            ]
        for statement in statements:
            connection.exec_driver_sql(statement)

    def _explain(self, error: DBAPIError) -> IbStreamError:
        original = error.orig
        state = str(getattr(original, "sqlstate", None) or "")
        number = original.args[0] if original is not None and original.args else None
        text = str(original)
        if state in ("42P01", "42703", "42883", "3F000") or number in (1146, 1054):
            return self._failed("schema_unexpected", "is not laid out as expected", original)
        if re.match(r"no such (table|column)", text):
            return self._failed("schema_unexpected", "is not laid out as expected", original)
        if state == "42501" or number in (1142, 1143):
            return self._failed("schema_unexpected", "does not let ibstream read (see deploy/database.md)", original)
        if state in ("57014", "55P03") or number in (1205, 3024, 1969) or "locked" in text:
            return IbStreamError(
                "database_unavailable", f"{self.display} is busy: no answer within {self._timeout:g} seconds"
            )
        return self._failed("database_unavailable", "cannot be read", original)

    def _failed(self, code: str, what: str, error: BaseException | None) -> IbStreamError:
        """One stable sentence: the same failure gives the same words again."""
        args = error.args if error is not None else ()
        detail = str(args[1]) if len(args) > 1 and isinstance(args[0], int) else str(error)
        detail = " ".join(self.redact(detail).split())
        detail = re.sub(r"\s*(LINE \d+:|Multiple connection attempts|Is the server running).*", "", detail)
        return IbStreamError(code, f"{self.display} {what}: {detail[:300]}")


def _read(connection: sa.Connection, project_id: int | None, snapshot_id: int | None, want_snapshot: bool) -> Rows:
    snapshot = _snapshot(connection, _snapshots.c.id == snapshot_id) if snapshot_id is not None else None
    if project_id is None and snapshot is not None:
        project_id = snapshot.project_id
    if project_id is None:
        return Rows(snapshot=snapshot)
    found = connection.execute(sa.select(_projects).where(_projects.c.id == project_id)).first()
    if found is None:
        return Rows(snapshot=snapshot)
    version = connection.execute(
        sa.select(_versions.c.id, _versions.c.content)
        .where(_versions.c.project_id == project_id, _text(_versions.c.description) == "project_config")
        .order_by(*_newest(_versions.c.created_at), _versions.c.id.desc())
        .limit(1)
    ).first()
    if snapshot_id is None and want_snapshot:
        snapshot = _snapshot(connection, _usable(project_id))
    project = ProjectRow(
        id=project_id,
        name=_decoded(found.name),
        is_archived=_truth(found.is_archived),
        config_version=version.id if version is not None else None,
        content=version.content if version is not None else None,
    )
    return Rows(project, snapshot)


def _projects_of(connection: sa.Connection, most: int) -> list[Listing]:
    newest = sa.select(_projects).order_by(_projects.c.id.desc()).limit(most)
    return [
        Listing(int(row.id), _decoded(row.name), _truth(row.is_archived), _snapshot(connection, _usable(row.id)))
        for row in reversed(connection.execute(newest).all())
    ]


def _snapshots_of(connection: sa.Connection, project_id: int, most: int) -> list[SnapshotRow] | None:
    if connection.execute(sa.select(_projects.c.id).where(_projects.c.id == project_id)).first() is None:
        return None
    return _newest_snapshots(connection, _snapshots.c.project_id == project_id, most)


def _usable(project_id: int) -> sa.ColumnElement[bool]:
    return sa.and_(_snapshots.c.project_id == project_id, _text(_snapshots.c.status) == "success")


def _snapshot(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> SnapshotRow | None:
    return next(iter(_newest_snapshots(connection, condition, 1)), None)


def _newest_snapshots(connection: sa.Connection, condition: sa.ColumnElement[bool], most: int) -> list[SnapshotRow]:
    c = _snapshots.c
    query = (
        sa.select(c.id, c.project_id, c.status, c.items_path, _text(c.snapshot_date).label("date"))
        .where(condition)
        .order_by(*_newest(c.snapshot_date), *_newest(c.created_at), c.id.desc())
        .limit(most)
    )
    return [
        SnapshotRow(
            id=int(found.id),
            project_id=int(found.project_id) if found.project_id is not None else None,
            status=_decoded(found.status),
            items_path=_decoded(found.items_path),
            date=_decoded(found.date) or None,
        )
        for found in connection.execute(query)
    ]


def _newest(column: sa.ColumnElement[Any]) -> tuple[sa.ColumnElement[Any], ...]:
    """Newest first, and what has no date last: the databases disagree on where NULL sorts."""
    return sa.case((column.is_(None), 1), else_=0), column.desc()


def _text(column: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    """As text: the column may be of an enumerated type, which PostgreSQL compares with no string."""
    return sa.cast(column, sa.String)


def _decoded(value: object) -> str:
    if value is None:
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _truth(value: object) -> bool:
    """Of a boolean, a number, a BIT (bytes) or a text, whichever the user's column is."""
    if isinstance(value, bytes):
        return any(value) if len(value) < 2 and value[:1] < b"0" else _truth(_decoded(value))
    if isinstance(value, str):
        return value.strip().lower() not in ("", "0", "f", "false", "n", "no")
    return bool(value)


# --- the URL -----------------------------------------------------------------------------------------------


def _parse(url: str) -> sa.URL:
    """The URL with our driver: whichever the user's own programs name, an asynchronous one too."""
    scheme, _, rest = url.partition("://")
    driver = _DRIVERS.get(scheme.partition("+")[0].lower())
    if driver is None:
        raise _not_a_url()
    try:
        parsed = sa.make_url(f"{driver}://{rest}")
    except (ArgumentError, ValueError):
        raise _not_a_url() from None
    if driver == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise _not_a_url()
    if "@" in (parsed.host or "") or "@" in (parsed.username or ""):
        # A password with an @ would end up in the host's name, and from there in an error of the driver.
        raise IbStreamError(
            "invalid_setting",
            "IBSTREAM_DATABASE_URL has an @ in the user, password or host; write it as %40 (and : / ? # as %3A ...)",
        )
    return parsed


def _display(url: sa.URL) -> str:
    if url.get_backend_name() == "sqlite":
        return f"the SQLite database {url.database}"
    names = {"postgresql": "PostgreSQL", "mysql": "MySQL", "mariadb": "MariaDB"}
    port = f":{url.port}" if url.port else ""
    return f"the {names[url.get_backend_name()]} database {url.database or ''} at {url.host or 'localhost'}{port}"


def _secrets(url: str) -> list[str]:
    """Every spelling of what must not be repeated, the longest first."""
    found: set[str] = set()
    authority = re.match(r"[^:]*://[^:/@]*:(.*)@", url, re.DOTALL)
    if authority:
        found.add(authority[1])
    found.update(re.findall(r"[?&][^=&]*(?:pass|secret|token|key)[^=&]*=([^&]*)", url, re.IGNORECASE))
    plain = {unquote(secret) for secret in found}
    found |= plain | {quote(secret) for secret in plain} | {quote_plus(secret) for secret in plain}
    found |= {repr(secret)[1:-1] for secret in plain}
    return sorted((secret for secret in found if secret), key=len, reverse=True)


def _not_a_url() -> IbStreamError:
    return IbStreamError(
        "invalid_setting",
        "IBSTREAM_DATABASE_URL is not the URL of a SQLite file, PostgreSQL, MySQL or MariaDB; expected something like"
        " postgresql://user:password@host/name or sqlite:////path/projects.sqlite",
    )
