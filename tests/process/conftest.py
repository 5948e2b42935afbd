"""Fixtures of the process tests; and of each test that fails, what the services of all pipelines wrote."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.process.pipeline import CORE, RUNNING, Pipeline


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.failed:
        report.sections += [(f"services in {one.folder}", one.logs()) for one in RUNNING]
    return report  # type: ignore[return-value]


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Callable[..., Pipeline]]:
    """A function that starts services: `pipeline(["gateway", "sink"], stale_after=2)`; settings by short name.

    With `start=False` nothing is started. Everything is ended after the test.
    """
    made: list[Pipeline] = []
    with ExitStack() as stack:

        def make(services: Iterable[str] = CORE, *, start: bool = True, **env: object) -> Pipeline:
            folder = tmp_path / f"pipeline-{len(made)}" if made else tmp_path
            folder.mkdir(exist_ok=True)
            built = Pipeline(folder, services, env)
            made.append(built)
            RUNNING.add(built)
            stack.callback(built.close)
            return built.__enter__() if start else built

        yield make
