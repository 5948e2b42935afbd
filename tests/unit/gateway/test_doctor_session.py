"""The doctor before a scripted gateway: what it said before it closed counts, and every end is told in words."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from messages.checks import Finding
from messages.control import StatusReply
from messages.errors import IbStreamError
from messages.events import PlannedSymbol
from messages.views import LinkStatus, Status
from services.base.settings import load
from services.gateway import doctor, session
from services.gateway.doctor import examine
from services.gateway.wire import connection


def _frame(*fields: str) -> bytes:
    payload = "".join(f"{field}\0" for field in fields).encode()
    return struct.pack(">I", len(payload)) + payload


READY = (_frame("15", "1", "DU9000001"), _frame("9", "1", "1"))
TAKEN = _frame("4", "2", "-1", "326", "Unable to connect as the client id is already in use.", "")
SPY = PlannedSymbol("SPY", "test", 0)


@contextmanager
def _gateway(*last_words: bytes) -> Iterator[int]:
    """The port of a gateway that takes startApi, says `last_words`, and closes at once."""

    def serve() -> None:
        with listener.accept()[0] as sock:
            sock.recv(4096)
            sock.sendall(_frame("176", "20260105 10:00:00 EST"))
            sock.recv(4096)
            sock.sendall(b"".join(last_words))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.fixture
def findings(tmp_path: Path) -> Callable[[int], dict[str, Finding]]:
    def found(port: int, host: str = "127.0.0.1") -> dict[str, Finding]:
        env = {"IBSTREAM_DATA_ROOT": str(tmp_path), "IBSTREAM_API_MODE": "ib", "IBSTREAM_IB_CLIENT_ID": "1031"}
        settings = load(env | {"IBSTREAM_IB_HOST": host, "IBSTREAM_IB_PORT": str(port)})
        return {finding.stage: finding for finding in examine(settings, SPY)}

    return found


def test_a_taken_client_id_is_told_although_the_gateway_closes_at_once(
    findings: Callable[[int], dict[str, Finding]],
) -> None:
    with _gateway(TAKEN) as port:
        found = findings(port)
    assert found["client id"].level == "failed"
    assert "client id 1031 is in use by somebody else" in found["client id"].seen
    assert "326" in found["client id"].seen
    assert "restart" in found["client id"].mend
    assert "IBSTREAM_IB_CLIENT_ID" in found["client id"].mend
    assert found["ready"].level == "skipped"


@pytest.mark.parametrize("last_words", [(), READY])
def test_a_gateway_that_closes_is_told_in_words(
    findings: Callable[[int], dict[str, Finding]], last_words: tuple[bytes, ...]
) -> None:
    with _gateway(*last_words) as port:
        found = findings(port)
    failed = next(finding for finding in found.values() if finding.level == "failed")
    assert failed.stage == ("data farms" if last_words else "client id")
    assert "the gateway closed the connection" in failed.seen
    assert "eof" not in failed.seen


def test_each_address_that_was_tried_is_named(
    findings: Callable[..., dict[str, Finding]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def two(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setattr(connection.socket, "getaddrinfo", two)
    failed = findings(port, host="gateway.example")["tcp"]
    assert failed.level == "failed"
    assert failed.seen == f"gateway.example:{port}: 127.0.0.2: Connection refused; 127.0.0.1: Connection refused"


@pytest.mark.parametrize(
    ("link", "level", "words"),
    [
        (LinkStatus(phase="ready"), "ok", "is connected with 1031"),
        (LinkStatus(phase="no_ib", reason="ib_connection_lost"), "ok", "is connected with 1031"),
        (LinkStatus(phase="backoff", reason="client_id_in_use"), "failed", "client id 1031 is in use by somebody else"),
        (LinkStatus(phase="backoff", reason="gateway_silent"), "warning", "is not connected: gateway_silent"),
        (None, "warning", "is not known"),
    ],
)
def test_the_running_service_holds_its_client_id_only_when_it_is_connected(
    findings: Callable[[int], dict[str, Finding]],
    monkeypatch: pytest.MonkeyPatch,
    link: LinkStatus | None,
    level: str,
    words: str,
) -> None:
    def status(*_: Any, **__: Any) -> Any:
        if link is None:
            raise IbStreamError("supervisor_unreachable", "no supervisor")
        return StatusReply(Status(status="degraded", api_mode="ib", link=link))

    monkeypatch.setattr(session, "is_listening", lambda _path: True)
    monkeypatch.setattr(doctor, "request", status)
    with _gateway(*READY) as port:
        found = findings(port)["client id"]
    assert found.level == level
    assert words in found.seen
    assert bool(found.mend) == (level != "ok")
