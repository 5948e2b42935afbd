"""Helpers of the tests: waiting for a condition, free ports, journals and services in folders of their own."""

import socket
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(probe: Callable[[], T], timeout: float = 30.0, message: str = "") -> T:
    """The first true value of `probe`, asked again and again. Fails after `timeout` seconds with the last one."""
    deadline = time.monotonic() + timeout
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {message or probe} (last value: {value!r})")
        time.sleep(0.02)


def free_port() -> int:
    """A TCP port on loopback that nobody uses right now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
