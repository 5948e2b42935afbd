"""What services leave out of their imports so that they start sooner, and that it is there for whoever asks for it."""

import subprocess
import sys

import pytest

from tests.support import REPOSITORY


def said(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, services.base.first; {program}"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("service", ["gateway", "sink", "supervisor"])
def test_a_service_without_use_for_them_loads_neither_asyncio_nor_rich(service: str) -> None:
    program = f"import services.{service}.service; print(sys.modules.keys() & {{'asyncio.events', 'rich'}})"
    assert said(program) == "set()"


@pytest.mark.parametrize(
    "program",
    [
        "import asyncio; print(asyncio.run(asyncio.sleep(0, 'slept')))",
        "from asyncio import run, sleep; print(run(sleep(0, 'slept')))",
        "import asyncio.events; asyncio.new_event_loop().close(); print('slept')",
        "import asyncio as one; one.Event(); import asyncio as two; print(two.run(one.sleep(0, 'slept')))",
    ],
)
def test_asyncio_is_there_for_whoever_asks_for_it(program: str) -> None:
    assert said(program) == "slept"
