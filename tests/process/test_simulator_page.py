"""The examples of the simulator's page, run as they stand there but for the port."""

import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.wrapper import EWrapper

from services.simulator.testing import SimulatedGateway
from tests.process.simulators import SimulatorProcess, simulator
from tests.process.test_simulator_clients import VENVS, require
from tests.support import REPOSITORY

pytest_plugins = ["services.simulator.pytest_plugin"]
PAGE = (REPOSITORY / "services" / "simulator" / "README.md").read_text()
PRINTED = re.compile(r"SPY (\d+\.\d+)\n")


def example(title: str, language: str, number: int = 0) -> str:
    """The block of code of that number in a section of the page."""
    section = PAGE[PAGE.index(f"\n## {title}\n") + 1 :].split("\n## ")[0]
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return found[number]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where an example runs: of this repository nothing is there."""
    (tmp_path / "example").mkdir()
    return tmp_path / "example"


def run(sim: SimulatorProcess, folder: Path, command: list[str], name: str, text: str) -> None:
    """The example ends by itself, and says one price of SPY at least."""
    assert text.count("17497") == 1
    (folder / name).write_text(text.replace("17497", str(sim.port)))
    done = subprocess.run([*command, name], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    prices = PRINTED.findall(done.stdout)
    assert prices and all(float(price) > 0 for price in prices), done.stdout


@pytest.mark.parametrize("number", [0, 1], ids=["the official client", "ib_async"])
def test_a_first_connection_from_python(tmp_path: Path, folder: Path, number: int) -> None:
    with simulator(tmp_path) as sim:
        run(sim, folder, [sys.executable], "first.py", example("A first connection", "python", number))


@pytest.mark.tools
def test_a_first_connection_from_node(tmp_path: Path, folder: Path) -> None:
    require("stoqey-1.6.10", "make clients")
    (folder / "node_modules").symlink_to(VENVS / "stoqey-1.6.10" / "node_modules")
    with simulator(tmp_path) as sim:
        run(sim, folder, ["node"], "first.mjs", example("A first connection", "js"))


class MyProgram(EWrapper, EClient):
    """What a reader's program does: subscribes, and again after 1101."""

    def __init__(self, host: str, port: int) -> None:
        EClient.__init__(self, self)
        self.connect(host, port, 1)
        threading.Thread(target=self.run, daemon=True).start()

    def nextValidId(self, orderId: int) -> None:
        self.subscribe(1)

    def error(self, *arguments: Any) -> None:
        if 1101 in arguments:
            self.subscribe(2)

    def subscribe(self, request: int) -> None:
        spy = Contract()
        spy.symbol, spy.secType, spy.exchange, spy.currency = "SPY", "STK", "SMART", "USD"
        self.reqMktData(request, spy, "", False, False, [])


def test_the_example_of_a_test(simulated_gateway: SimulatedGateway) -> None:
    names: dict[str, Any] = {"MyProgram": MyProgram}
    exec(example("In your own tests", "python"), names)
    assert names["pytest_plugins"] == ["ibstream.services.simulator.pytest_plugin"]
    names["test_my_program_subscribes_anew_after_1101"](simulated_gateway)
