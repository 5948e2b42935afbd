"""Fixtures of the process tests."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.process.pipeline import CORE, Pipeline

Phase = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.when == "call":
        item.stash[Phase] = report.failed
    return report  # type: ignore[return-value]


@pytest.fixture
def pipeline(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Pipeline]]:
    """A function that starts services: `pipeline(["gateway", "sink"], stale_after=2)`; settings by short name.

    With `start=False` nothing is started. Everything is ended after the test, and after a failed test what
    the services wrote is shown.
    """
    made: list[Pipeline] = []
    with ExitStack() as stack:

        def make(services: Iterable[str] = CORE, *, start: bool = True, **env: object) -> Pipeline:
            folder = tmp_path / f"pipeline-{len(made)}" if made else tmp_path
            folder.mkdir(exist_ok=True)
            built = Pipeline(folder, services, env)
            made.append(built)
            stack.callback(built.close)
            return built.__enter__() if start else built

        yield make
    if request.node.stash.get(Phase, False):
        for built in made:
            print(built.logs())
