"""A service whose settings are wrong says so in one line and starts nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from messages.topics import SERVICES
from tests.support import REPOSITORY


def refused(command: list[str], **env: str) -> str:
    """What a service says, in one line, that does not start with these settings."""
    service, *arguments = command
    ended = subprocess.run(
        [sys.executable, "-m", f"services.{service}", *arguments],
        env=env,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.returncode == 2
    assert len(ended.stderr.strip().splitlines()) == 1
    return ended.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_refuses_before_it_starts_anything(service: str, tmp_path: Path) -> None:
    root = tmp_path / "data"
    said = refused([service], IBSTREAM_DATA_ROOT=str(root), IBSTREAM_RESET_TIME_ZONE="Mars/Olympus")
    assert "IBSTREAM_RESET_TIME_ZONE is 'Mars/Olympus'; expected" in said
    assert not root.exists()


@pytest.mark.parametrize(("argument", "hint"), [((), "one of its names"), (("c",), "a gateway named 'c'")])
def test_a_gateway_is_told_which_it_is(argument: tuple[str, ...], hint: str, tmp_path: Path) -> None:
    gateways = "a=127.0.0.1:1 b=127.0.0.1:2"
    said = refused(["gateway", *argument], IBSTREAM_DATA_ROOT=str(tmp_path), IBSTREAM_GATEWAYS=gateways)
    assert "IBSTREAM_GATEWAYS" in said
    assert hint in said
