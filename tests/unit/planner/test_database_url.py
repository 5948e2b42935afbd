"""Database URLs: what is taken, what is refused, and that a password is never repeated."""

import traceback
from urllib.parse import quote

import pytest

from messages.errors import IbStreamError
from services.planner.database import Database

SECRET = "s3cr/t:%w?rd#é 'x'&"


@pytest.mark.parametrize(
    ("url", "display"),
    [
        ("sqlite:////srv/projects.sqlite", "the SQLite database /srv/projects.sqlite"),
        ("postgresql://me:x@db.example:5433/trading", "the PostgreSQL database trading at db.example:5433"),
        ("postgres://me@db/trading", "the PostgreSQL database trading at db"),
        ("postgresql+psycopg://me@/trading?host=/run/pg", "the PostgreSQL database trading at localhost"),
        ("mysql://me:x@db/trading", "the MySQL database trading at db"),
        ("postgresql+asyncpg://me@db/trading", "the PostgreSQL database trading at db"),
        ("sqlite+aiosqlite:////srv/projects.sqlite", "the SQLite database /srv/projects.sqlite"),
        ("mariadb+pymysql://me:x@db/trading", "the MariaDB database trading at db"),
    ],
)
def test_the_databases_that_are_read(url: str, display: str) -> None:
    assert Database(url, 1.0).display == display


@pytest.mark.parametrize(
    "url",
    [
        "oracle://me:hunter2@db/x",
        "mssql+pyodbc://me:hunter2@db/x",
        "nonsense+x://me:hunter2@db",
        "postgresql://me:hunter2@db:port/x",
        "postgresql://me:hunt@er2@db/x",
        "sqlite://",
        "sqlite:///:memory:",
    ],
)
def test_what_is_refused_names_the_setting_and_not_the_password(url: str) -> None:
    with pytest.raises(IbStreamError) as caught:
        Database(url, 1.0)
    assert caught.value.code == "invalid_setting"
    assert "IBSTREAM_DATABASE_URL" in caught.value.message
    assert "hunter2" not in caught.value.message and "er2" not in caught.value.message


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_password_is_in_no_error_and_no_traceback(scheme: str) -> None:
    database = Database(f"{scheme}://me:{quote(SECRET, safe='')}@127.0.0.1:1/trading?application_name=x", 1.0)
    with pytest.raises(IbStreamError) as caught:
        database.read(1, None)
    assert caught.value.code == "database_unavailable"
    said = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + database.display
    for spelling in (SECRET, quote(SECRET), quote(SECRET, safe=""), repr(SECRET)[1:-1]):
        assert spelling not in said


def test_redact_knows_every_spelling() -> None:
    database = Database(f"postgresql://me:{quote(SECRET, safe='')}@db/x?sslpassword=k%2Fey", 1.0)
    for text in (SECRET, quote(SECRET, safe=""), repr(SECRET), "k%2Fey", "k/ey"):
        redacted = database.redact(f"driver says {text}!")
        assert SECRET not in redacted and "k/ey" not in redacted and "k%2Fey" not in redacted
        assert redacted.startswith("driver says ") and "***" in redacted
