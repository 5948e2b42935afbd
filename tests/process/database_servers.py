"""Real database servers for tests: installed binaries, started on a port and in a folder of their own.

Both are loopback only and forget durability, for speed. They refuse to run as root, so a root user drops to an
unprivileged one for them. What is not installed is a skip with a sentence, and a failure where CI=true.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.runtime.bus import is_listening
from tests.support import eventually, free_port

ADMIN_PASSWORD = "administrator"


class Server(ABC):
    """A database server that can be killed and started again on the same port and data."""

    kind: str
    package: str
    stop_signal = signal.SIGKILL

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ibstream-db-"))
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.account = _unprivileged()
        if self.account is not None:
            os.chown(self.folder, self.account.pw_uid, self.account.pw_gid)

    @abstractmethod
    def admin_url(self, database: str) -> sa.URL:
        """Where the administrator reaches a database; an empty name: the server's own."""

    @abstractmethod
    def command(self) -> list[str]:
        """What starts the server."""

    def start(self) -> None:
        assert self.process is None
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self.identity()
            )
        eventually(self.answers, 60.0, f"{self.kind} to answer")

    def answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"{self.kind} ended:\n{(self.folder / 'server.log').read_text()[-2000:]}")
        engine = sa.create_engine(self.admin_url(""), poolclass=sa.pool.NullPool)
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql("SELECT 1")
        except sa.exc.DBAPIError:
            return False
        return True

    def kill(self) -> None:
        """As a crash: no goodbye to any connection."""
        assert self.process is not None
        self.process.send_signal(self.stop_signal)
        self.process.wait(30)
        self.process = None

    def close(self) -> None:
        if self.process is not None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def identity(self) -> dict[str, object]:
        """Popen arguments: the unprivileged user, and nothing of this process's environment that could matter."""
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TMPDIR": str(self.folder)}
        identity: dict[str, object] = {"env": environment, "cwd": self.folder}
        if self.account is not None:
            identity |= {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}
        return identity

    def run(self, *command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, **self.identity())
        assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"


class PostgreSQL(Server):
    kind = "postgresql"
    package = "postgresql"
    stop_signal = signal.SIGQUIT  # its "immediate": the children go with it, nothing is written

    def __init__(self) -> None:
        bin_folder = _postgres_bin()
        super().__init__()
        self._postgres = str(bin_folder / "postgres")
        password = self.folder / "password"
        password.write_text(ADMIN_PASSWORD)
        password.chmod(0o644)
        self.run(
            *(str(bin_folder / "initdb"), "-D", str(self.folder / "data"), "-U", "admin", "-A", "scram-sha-256"),
            *("--pwfile", str(password), "-E", "UTF8", "--locale", "C", "--no-sync"),
        )

    def command(self) -> list[str]:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "shared_buffers": "16MB",
            "max_connections": 30,
        }
        return [
            self._postgres,
            "-D",
            str(self.folder / "data"),
            *(f"--{key}={value}" for key, value in options.items()),
        ]

    def admin_url(self, database: str) -> sa.URL:
        return sa.URL.create(
            "postgresql+psycopg", "admin", ADMIN_PASSWORD, "127.0.0.1", self.port, database or "postgres"
        )


class MariaDB(Server):
    kind = "mariadb"
    package = "mariadb-server"

    def __init__(self) -> None:
        self._mariadbd = _find(self.package, "mariadbd", "/usr/sbin/mariadbd", "mysqld", "/usr/sbin/mysqld")
        install = _find(self.package, "mariadb-install-db", "mysql_install_db")
        super().__init__()
        self.run(
            *(install, "--no-defaults", f"--datadir={self.folder / 'data'}", "--skip-test-db"),
            "--auth-root-authentication-method=normal",
        )

    def command(self) -> list[str]:
        return [
            *(self._mariadbd, "--no-defaults", f"--datadir={self.folder / 'data'}", f"--port={self.port}"),
            *(f"--socket={self.folder / 'mariadb.sock'}", f"--pid-file={self.folder / 'mariadb.pid'}"),
            *("--bind-address=127.0.0.1", "--skip-log-bin", "--skip-name-resolve"),
            # Commits reach the operating system, if not the disk: they survive the death of the server.
            *("--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=2", "--sql-mode="),
        ]

    def answers(self) -> bool:
        # PyMySQL leaks its socket when nobody listens yet.
        return is_listening(self.folder / "mariadb.sock") and super().answers()

    def admin_url(self, database: str) -> sa.URL:
        socket = {"unix_socket": str(self.folder / "mariadb.sock")}
        return sa.URL.create("mariadb+pymysql", "root", "", "localhost", None, database, socket)


def missing(package: str) -> None:
    """Skip with a sentence; fail where the tools are promised to be there."""
    sentence = f"{package} is not installed: apt-get install {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)


def _find(package: str, *names: str) -> str:
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    missing(package)
    raise AssertionError


def _postgres_bin() -> Path:
    """Debian keeps initdb and postgres off the path, by version: the newest."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: -float(p.parent.name)):
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    return Path(_find("postgresql", "initdb")).resolve().parent


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom to run a server as: None for oneself."""
    if os.getuid() != 0:
        return None
    for name in ("nobody", "postgres", "mysql", "daemon"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise AssertionError("no unprivileged user to run a database server as")
