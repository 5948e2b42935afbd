"""Orders from real clients in processes of their own: a bracket's whole life is the same to all of them, and fifty
clients with ten thousand orders leave an account that adds up, and nothing else.
"""

import json
import os
import re
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ibapi.order import Order

from services.simulator.protocol.versions import HIGHEST
from services.simulator.trading.commissions import cents
from tests.process.simulators import Caller, SimulatorProcess, simulator
from tests.process.test_simulator_clients import PYTHON, VENVS, require
from tests.support import REPOSITORY, eventually
from tests.unit.simulator.conversation import contract
from tests.unit.simulator.test_order_encodings import Wire

OFFICIAL = [*PYTHON, "tests.process.clients.bracket_official"]
LIFE = {
    "entry": ["Submitted", "Filled"],
    "profit": ["PreSubmitted", "Submitted", "Filled"],
    "loss": ["PreSubmitted", "Cancelled"],
}
SHAPE = {
    "entry": ["SPY", "BUY", "MKT", 100, False],
    "profit": ["SPY", "SELL", "LMT", 100, True],
    "loss": ["SPY", "SELL", "STP", 100, True],
}


def seen_by(command: list[str], sim: SimulatorProcess, folder: str = "") -> dict[str, Any]:
    env = dict(os.environ) | ({"PYTHONPATH": str(VENVS / folder)} if folder else {})
    done = subprocess.run([*command, str(sim.port)], cwd=REPOSITORY, env=env, capture_output=True, text=True,
                          timeout=90)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def check(found: dict[str, Any]) -> None:
    assert found["complaints"] == []
    assert found["life"] == LIFE
    assert found["shape"] == SHAPE
    assert found["sides"] == {"entry": ["BOT"], "profit": ["SLD"], "loss": []}
    assert found["filled"] == {"entry": 100, "profit": 100, "loss": 0}
    assert (found["cancelled"], found["charged"], found["held"]) == (["loss"], 2.0, 0)


def test_a_bracket_is_the_same_to_every_client_in_text_and_in_protobuf(tmp_path: Path) -> None:
    with simulator(tmp_path) as sim:
        installed = seen_by(OFFICIAL, sim)
        asynchronous = seen_by([*PYTHON, "tests.process.clients.bracket_asynchronous", "ib_async"], sim)
    (tmp_path / "text").mkdir()
    with simulator(tmp_path / "text", "--server-version", "200") as sim:
        as_text = seen_by(OFFICIAL, sim)
    for found in (installed, asynchronous, as_text):
        check(found)
    assert (installed["version"] > 200, as_text["version"], asynchronous["version"]) == (True, 200, 178)


@pytest.mark.parametrize(
    ("folder", "version"),
    [("ibapi-latest-10.51.1", 226), ("nautilus_ibapi-10.46.1", 225), ("ibapi-9.81.1", 157)],
)
def test_a_bracket_as_other_packages_see_it(tmp_path: Path, folder: str, version: int) -> None:
    require(folder)
    with simulator(tmp_path) as sim:
        found = seen_by(["python", *OFFICIAL[3:]], sim, folder)  # old packages warn
    check(found)
    assert found["version"] == min(version, HIGHEST)


@pytest.mark.tools
def test_a_bracket_as_stoqey_sees_it(tmp_path: Path) -> None:
    require("stoqey-1.6.10", "make clients")
    with simulator(tmp_path) as sim:
        check(seen_by(["node", "tests/process/clients/bracket_stoqey.mjs", str(VENVS / "stoqey-1.6.10")], sim))


CLIENTS, ROUNDS = 50, 50  # four orders a round
MOST_MEMORY = 400_000  # kB of the simulator, with all of a day's orders and fills


@pytest.mark.slow
def test_fifty_clients_and_ten_thousand_orders_leave_an_account_that_adds_up(tmp_path: Path) -> None:
    with simulator(tmp_path, "--message-limit", "100000", "--no-history-pacing") as sim:
        with ExitStack() as stack:
            callers = [stack.enter_context(Caller(sim.port, number)).ready() for number in range(1, CLIENTS + 1)]
            with ThreadPoolExecutor(CLIENTS) as pool:
                told = list(pool.map(trade, callers))
            assert sum(orders for orders, _ in told) == 4 * CLIENTS * ROUNDS
            first = callers[0]
            first.send(58, 1)
            first.send(16, 1)
            assert first.until("53")[0] == "53"
            check_account(first, sum(fills for _, fills in told))
        eventually(lambda: sim.stats["open"] == 0)
        memory = int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{sim.process.pid}/status").read_text())[0])
        assert memory < MOST_MEMORY
        assert sim.stats["errors"].keys() <= {"2104", "2106", "2158", "201", "202", "10148"}


def trade(caller: Caller) -> tuple[int, int]:
    """Place orders round by round: how many were answered, and how many fills this client was told of."""
    orders = fills = 0
    for turn in range(ROUNDS):
        number, symbol = 4 * turn + 1, f"SIM{caller.id * 7 % 20 + 1:04d}"
        sides = ("BUY", "SELL") if (turn + caller.id) % 2 else ("SELL", "BUY")
        place(caller, number, symbol, sides[0], "MKT", 10 + turn)
        place(caller, number + 1, symbol, sides[1], "MKT", 5 + turn % 7)
        place(caller, number + 2, symbol, "BUY", "LMT", 100, 0.5)
        place(caller, number + 3, symbol, "SELL", "LMT", 20, 0.01)
        caller.send(4, number + 2, "", "", "2147483647")
        open_ones = {str(number + n) for n in range(4)}
        while open_ones:
            fields = caller.frame()
            fills += fields[0] == "11"
            if fields[0] == "3" and fields[2] in ("Filled", "Cancelled", "Inactive"):
                orders += fields[1] in open_ones
                open_ones.discard(fields[1])
    return orders, fills


def place(
    caller: Caller, number: int, symbol: str, side: str, kind: str, size: int, price: float | None = None
) -> None:
    """placeOrder of server version 200, written by the installed official client."""
    wire, order = Wire(200), Order()
    order.action, order.orderType, order.totalQuantity = side, kind, Decimal(size)
    if price is not None:
        order.lmtPrice = price
    wire.client.placeOrder(number, contract(symbol), order)
    caller.socket.sendall(wire.sent[0])


def check_account(caller: Caller, fills: int) -> None:
    """What the account shows is what the executions of the day make of a million dollars."""
    caller.send(7, 3, 1, 0, "", "", "", "", "", "", 2147483647, 0)
    paid, held, seen = Decimal(0), Counter[str](), 0
    while (fields := caller.frame())[0] != "55":
        if fields[0] == "11":
            side, size, price = fields[18:21]
            signed = Decimal(size) if side == "BOT" else -Decimal(size)
            paid += cents(signed * Decimal(price))
            held[fields[4]] += int(signed)
            seen += 1
        elif fields[0] == "59":
            paid += Decimal(fields[3])
    assert seen == fills > CLIENTS * ROUNDS
    caller.send(62, 1, 4, "All", "TotalCashValue,NetLiquidation,GrossPositionValue")
    values = {}
    while (fields := caller.frame())[0] != "64":
        if fields[0] == "63":
            values[fields[4]] = Decimal(fields[5])
    assert values["TotalCashValue"] == 1_000_000 - paid
    caller.send(61, 1)
    positions = {}
    while (fields := caller.frame())[0] != "62":
        if fields[0] == "61":
            positions[fields[4]] = int(fields[14])
    assert positions == {symbol: size for symbol, size in held.items() if size}
