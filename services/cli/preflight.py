"""What must be true before `make run` starts anything: settings, folders, no other run, free ports.

Each fault is an IbStreamError whose sentence says what to do. `Preflight` holds the run's own lock until `release`.
"""

import os
import socket
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout
from honcho.environ import parse_procfile

from messages.errors import IbStreamError
from messages.topics import sharded
from services.base.lock import OwnedLock, holder
from services.base.run_dir import prepare_run_dir
from services.base.settings import Settings, load, with_env_file
from services.cli.summary import summary_text

LEAVING: Final = 5.0  # seconds in which the services of a run that was killed must have gone


class Preflight:
    """Everything that a launcher needs. Raises IbStreamError from the constructor."""

    def __init__(self, procfile: str) -> None:
        self.env = with_env_file(os.environ)
        settings = load(self.env)
        self.commands = commands(Path(procfile), settings)
        check_folders(settings)
        busy = f"ibstream runs here already (data root {settings.root})"
        path = prepare_run_dir(settings) / "launcher.lock"
        killed = path.with_suffix(".owner").exists()  # a run that ended by itself takes it away
        self._lock = OwnedLock(path, busy, time.time_ns(), note=f"page at {settings.page_url}")
        try:
            check_no_services(settings, LEAVING if killed else 0.0)
            check_ports(settings, self.commands)
        except BaseException:
            self.release()
            raise
        self.summary = summary_text(settings)

    def release(self) -> None:
        self._lock.release()


def commands(procfile: Path, settings: Settings) -> dict[str, str]:
    """The commands by process name; the gateway's once for each of several."""
    try:
        listed = parse_procfile(procfile.read_text(encoding="utf-8")).processes
    except (OSError, UnicodeDecodeError) as error:
        raise IbStreamError("invalid_request", f"the Procfile {procfile} cannot be read: {error}") from None
    except AssertionError:
        raise IbStreamError("invalid_request", f"the Procfile {procfile} has one name twice") from None
    if not listed:
        raise IbStreamError("invalid_request", f"the Procfile {procfile} has no line like `gateway: command`")
    return {
        sharded(name, gateway): f"{command} {gateway}".rstrip()
        for name, command in listed.items()
        for gateway in (settings.gateway_names if name == "gateway" else ("",))
    }


def check_folders(settings: Settings) -> None:
    """That what ibstream writes can be written, and that the run directory is ours."""
    mend = "; set IBSTREAM_DATA_ROOT to a folder of your own"
    for folder in (settings.root, settings.stream_dir, settings.journal_dir, settings.state_dir, settings.flight_dir):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-"):
                pass
        except OSError as error:
            why = error.strerror or error
            raise IbStreamError("invalid_setting", f"{folder} cannot be written: {why}{mend}") from None
    mend = "; set IBSTREAM_RUN_DIR to a folder of your own"
    try:
        path = prepare_run_dir(settings)
        with tempfile.NamedTemporaryFile(dir=path, prefix=".probe-"):
            pass
    except OSError as error:
        why = error.strerror or error
        sentence = f"the run directory {settings.run_path} cannot be used: {why}{mend}"
        raise IbStreamError("invalid_setting", sentence) from None
    except IbStreamError as error:
        raise IbStreamError(error.code, error.message + mend) from None


def check_no_services(settings: Settings, patience: float) -> None:
    """That no service of ours runs here, by whatever started it; they get `patience` seconds to leave."""
    deadline = time.monotonic() + patience
    for service in settings.services:
        path = settings.run_path / f"{service}.lock"
        while not _is_free(path):
            if time.monotonic() > deadline:
                sentence = f"ibstream runs here already: the {service} on the data root {settings.root}{holder(path)}"
                raise IbStreamError("ib_stream_lock_busy", sentence)
            time.sleep(0.1)


def _is_free(path: Path) -> bool:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    lock.release()
    return True


def check_ports(settings: Settings, listed: dict[str, str]) -> None:
    """That the page and the simulator can listen."""
    if "web" in listed:
        _check_port("page", settings.web_host.strip("[]"), settings.web_port, "IBSTREAM_WEB")
    if "simulator" in listed:
        _check_port("simulator", *settings.simulator_address, "IBSTREAM_SIM")


def _check_port(what: str, host: str, port: int, setting: str) -> None:
    try:
        family, kind, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        sentence = f"the {what} cannot listen on {host}: {error.strerror}; set {setting}_HOST to another"
        raise IbStreamError("invalid_setting", sentence) from None
    with socket.socket(family, kind) as sock:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(where)
            sock.listen(1)
        except OSError as error:
            fault = f"the {what} cannot listen on {host} port {port}: {error.strerror}"
            raise IbStreamError("invalid_setting", f"{fault}; set {setting}_PORT to another") from None
