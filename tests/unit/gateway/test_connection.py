"""A gateway's name has several addresses, and the gateway listens on one of them."""

import socket
from typing import Any

import pytest

from services.gateway.wire import connection
from services.gateway.wire.connection import LinkClosed, Stage, open_any, resolve
from tests.support import eventually


@pytest.fixture
def two_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """`gateway` is 127.0.0.2, where nobody listens, and 127.0.0.1."""

    def found(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(connection.socket, "getaddrinfo", found)


def test_each_address_is_tried(two_addresses: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        opened = open_any("gateway", listener.getsockname()[1], 100, 200, 2.0)
        assert opened.stage is Stage.VERSIONS and str(opened.address) == "127.0.0.1"
        opened.close()


def test_when_none_accepts_the_last_one_s_reason_is_told(two_addresses: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(LinkClosed) as failure:
        open_any("gateway", port, 100, 200, 2.0)
    assert failure.value.reason == "refused"


def test_a_number_needs_no_lookup_and_a_name_does() -> None:
    assert [str(address) for address in resolve("127.0.0.1", 4002, numeric=True)] == ["127.0.0.1"]
    with pytest.raises(LinkClosed):
        resolve("gateway.example", 4002, numeric=True)


@pytest.mark.parametrize("host", ["", "a" * 300, "\udcff.example"])
def test_what_is_no_name_is_unreachable(host: str) -> None:
    with pytest.raises(LinkClosed):
        resolve(f"x..{host}", 1)


def test_a_gateway_that_names_another_host_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        opened = open_any("127.0.0.1", listener.getsockname()[1], 100, 200, 2.0)
        peer, _ = listener.accept()
        with peer:
            answer = b"-1\0gw2.example:4001\0"
            peer.sendall(len(answer).to_bytes(4, "big") + answer)
            with pytest.raises(LinkClosed, match=r"gw2\.example:4001") as failure:
                eventually(opened.receive)
        opened.close()
    assert failure.value.reason == "bad_version"
