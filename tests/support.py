"""Helpers of the tests: waiting for a condition, free ports, and programs that a machine may lack."""

import os
import shutil
import socket
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest

T = TypeVar("T")

REPOSITORY = Path(__file__).parents[1]
QUICK = os.environ.get("TEST_EXAMPLES") == "quick"
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""As httpx's `verify`: without it every question reads the certificates of all authorities, 30 ms of CPU, over plain
HTTP too."""


def examples(count: int) -> int:
    """How many examples Hypothesis tries: `count`, or a tenth of it in the quick check."""
    return max(count // 10, 5) if QUICK else count


def some(cases: Sequence[T], few: int) -> Sequence[T]:
    """All `cases` of one proof, or `few` of them from the first to the last in the quick check."""
    if not QUICK or few >= len(cases):
        return cases
    return [cases[round(number * (len(cases) - 1) / max(few - 1, 1))] for number in range(few)]


def eventually(probe: Callable[[], T], timeout: float = 30.0, message: str = "") -> T:
    """The first true value of `probe`, asked again and again: fifty times a second, and more rarely where an answer
    itself takes long. Fails after `timeout` seconds with the last one."""
    deadline = time.monotonic() + timeout
    while True:
        asked = time.monotonic()
        value = probe()
        if value:
            return value
        answered = time.monotonic()
        if answered > deadline:
            raise AssertionError(f"not within {timeout} s: {message or probe} (last value: {value!r})")
        time.sleep(min(max(0.02, 3 * (answered - asked)), 0.1))


def free_port() -> int:
    """A TCP port on loopback that nobody uses right now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def missing(sentence: str) -> NoReturn:
    """A tool is not there: skip on a desk, fail where CI=true promises that it is."""
    if os.environ.get("CI") == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)


def program(name: str, package: str) -> str:
    """The path of a program, beside Python or on PATH. Without it the test is skipped with a sentence, and fails
    where CI=true promises that it is there."""
    found = shutil.which(
        name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin"
    )
    if found is None:
        missing(f"{name} is not installed: {package}")
    return found
