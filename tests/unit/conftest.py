"""Unit tests start no process: what needs one belongs to tests/process."""

import subprocess
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: subprocess.Popen[Any], *arguments: Any, **options: Any) -> None:
        raise AssertionError(f"a unit test starts a process: {arguments or options}")

    monkeypatch.setattr(subprocess.Popen, "__init__", refused)
