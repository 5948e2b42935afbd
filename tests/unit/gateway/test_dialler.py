"""The gateway's dialler on real sockets: a name's addresses in turn, and what is given up."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.gateway.dialler import Dialler
from services.gateway.wire.connection import Connection, LinkClosed, Stage
from tests.gateway_loop import LoopService
from tests.support import eventually

REFUSES, ACCEPTS = "127.0.0.2", "127.0.0.1"


class Dialled:
    """A dialler on a loop, and what it told."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self.opened: list[Connection] = []
        self.failed: list[str] = []
        self.probed: list[bool] = []
        self.service = LoopService(folder, port, ib_connect_timeout=1)
        self.dialler = Dialler(self.service, self.opened.append, self._on_failed)  # type: ignore[arg-type]
        self.service.every(1.0, self.dialler.look)

    def _on_failed(self, error: LinkClosed) -> None:
        self.failed.append(error.reason)

    def until(self, done: Callable[[], object]) -> None:
        def turned() -> object:
            self.service.turn()
            return done()

        eventually(turned)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server((ACCEPTS, 0)) as made:
        yield made


@pytest.fixture
def dialled(tmp_path: Path, listener: socket.socket) -> Iterator[Dialled]:
    made = Dialled(tmp_path, listener.getsockname()[1])
    yield made
    made.dialler.hang_up()
    for each in made.opened:
        each.close()


def _named(monkeypatch: pytest.MonkeyPatch, *addresses: str, before: Callable[[], None] = lambda: None) -> None:
    """`gateway` is these, and looking that up takes `before`."""

    def found(host: str, port: int, *_: Any, flags: int = 0, **__: Any) -> list[Any]:
        if flags & socket.AI_NUMERICHOST:
            raise OSError("it is a name")
        before()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr("socket.getaddrinfo", found)


def test_the_second_address_is_tried_when_the_first_one_refuses(
    dialled: Dialled, monkeypatch: pytest.MonkeyPatch
) -> None:
    _named(monkeypatch, REFUSES, ACCEPTS)
    dialled.dialler.dial("gateway", dialled.port)
    dialled.until(lambda: dialled.opened)
    assert str(dialled.opened[0].address) == ACCEPTS
    assert dialled.opened[0].stage is Stage.VERSIONS
    assert not dialled.failed and not dialled.dialler.connecting


def test_the_second_address_is_tried_when_the_first_one_hangs(
    dialled: Dialled, monkeypatch: pytest.MonkeyPatch
) -> None:
    _named(monkeypatch, REFUSES, ACCEPTS)
    monkeypatch.setattr(Connection, "connected", lambda made: str(made.address) == ACCEPTS)  # the other one is silent
    dialled.dialler.dial("gateway", dialled.port)
    dialled.until(lambda: dialled.opened)
    assert str(dialled.opened[0].address) == ACCEPTS and not dialled.failed


def test_one_failure_is_told_when_all_addresses_refuse(dialled: Dialled, monkeypatch: pytest.MonkeyPatch) -> None:
    _named(monkeypatch, REFUSES, "127.0.0.3")
    dialled.dialler.dial("gateway", dialled.port)
    dialled.until(lambda: dialled.failed)
    assert dialled.failed == ["refused"] and not dialled.opened and not dialled.dialler.connecting


def test_nothing_comes_of_a_lookup_that_was_given_up(dialled: Dialled, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[bool] = []
    _named(monkeypatch, ACCEPTS, before=lambda: looked_up.append(True))
    dialled.dialler.dial("gateway", dialled.port)
    dialled.dialler.hang_up()
    dialled.until(lambda: looked_up)
    dialled.dialler.probe(ACCEPTS, 1, dialled.probed.append)
    dialled.until(lambda: dialled.probed)
    assert not dialled.opened and not dialled.failed and not dialled.dialler.connecting
