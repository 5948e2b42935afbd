"""Every price expires: whatever dies, freezes or is taken away, no dead price passes for a good one for long.

Each row is a fault done to real processes, each column a way to read; a cell is the age of the oldest price that passed
by the one rule (now is before its `good_until`). With EXPIRY_TABLE=FILE the table goes there, for messages/README.md.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from messages.control import Start, Stop
from tests.process.pipeline import ALL, Pipeline
from tests.process.readings import WAYS, Readings
from tests.process.simulators import Controller
from tests.process.test_disk_full import fill, small_disk
from tests.support import eventually

LIMIT = 5.0  # seconds: IBSTREAM_GOOD_FOR_SECONDS
MARGIN = 0.7  # for what reading, and a price on its way when the fault comes, take on a loaded machine
WATCH = 6.5  # seconds for which a fault is watched
SYMBOL = "SPY"

Fault = Callable[["House"], None]
Row = tuple[str, Fault, Fault]
"""What is done, and how it is undone."""


class House(Pipeline):
    """All services on a data root on a small disk of its own, with readers at all doors."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.disk = stack.enter_context(small_disk(folder / "data"))
        env = {"run_dir": folder / "run", "flight_recorder_mb": 1}
        self.control_path = folder / "control"
        arguments = {"simulator": ["--pipeline", "--control", str(self.control_path)]}
        super().__init__(folder, ALL, env, arguments)
        stack.enter_context(self)
        self.whole()
        self.readings = stack.enter_context(Readings(self, SYMBOL))

    def whole(self) -> None:
        self.await_status("connected", timeout=60)
        eventually(lambda: (self.quote(SYMBOL) or {}).get("good_until"))

    def simulator(self, **step: object) -> None:
        with Controller(self.control_path) as control:
            assert control(**step)["ok"]

    def signal_all(self, number: int, *names: str) -> None:
        for name in names or ALL:
            self.processes[name].send_signal(number)

    def ended(self) -> None:
        for process in self.processes.values():
            process.wait(10)

    def again(self) -> None:
        for name in ALL:
            if self.processes[name].poll() is not None:
                self.start(name)

    def suffer(self, row: Row) -> dict[str, float]:
        """Do it, watch, undo it. The oldest price that passed for good, by way to read."""
        _, fault, undo = row
        self.readings.begin()
        eventually(lambda: not self.readings.silent, message="a price by each way")
        self.readings.begin()
        fault(self)
        time.sleep(WATCH)
        found = self.readings.oldest
        undo(self)
        self.whole()
        return found


def killed(*names: str) -> Row:
    def fault(house: House) -> None:
        house.signal_all(signal.SIGKILL, *names)
        for name in names:
            house.processes[name].wait(5)

    return f"{' and '.join(names)} killed", fault, House.again


def frozen(*names: str) -> Row:
    return (
        "all frozen" if names == ALL else f"{' and '.join(names)} frozen",
        lambda house: house.signal_all(signal.SIGSTOP, *names),
        lambda house: house.signal_all(signal.SIGCONT, *names),
    )


def ended_by(number: signal.Signals, what: str) -> Row:
    def fault(house: House) -> None:
        house.signal_all(number)
        house.ended()

    return what, fault, House.again


def stopped() -> Row:
    return "`ibstream stop`", lambda house: _ask(house, Stop()), lambda house: _ask(house, Start())


def _ask(house: House, command: Start | Stop) -> None:
    house.ask(command)


def simulated(what: str, step: dict[str, object], undo: dict[str, object]) -> Row:
    return what, lambda house: house.simulator(**step), lambda house: house.simulator(**undo)


def disk_full() -> Row:
    return (
        "disk full",
        lambda house: [fill(house.disk), None][1],
        lambda house: (house.disk / "filler").unlink(),
    )


def no_inodes() -> Row:
    def fault(house: House) -> None:
        told = os.statvfs(house.disk)
        _remount(house, f"nr_inodes={told.f_files - told.f_ffree}")

    return "no inodes", fault, lambda house: _remount(house, "nr_inodes=100000")


def read_only() -> Row:
    return "read-only", lambda house: _make_read_only(house, True), lambda house: _make_read_only(house, False)


def _make_read_only(house: House, on: bool) -> None:
    """The folder of the symbol files becomes a mount of its own that takes nothing."""
    folder = str(house.settings.stream_dir)
    if on:
        subprocess.run(["mount", "--bind", folder, folder], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
    else:
        subprocess.run(["umount", folder], check=True)


def _remount(house: House, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(house.disk)], check=True)


def run_folder_deleted() -> Row:
    def fault(house: House) -> None:
        shutil.rmtree(house.settings.run_path)
        house.kill("sink")

    return "run folder deleted, and the sink killed", fault, House.again


def journal_deleted() -> Row:
    def fault(house: House) -> None:
        shutil.rmtree(house.settings.journal_dir)

    def undo(house: House) -> None:
        house.signal_all(signal.SIGKILL, *house.alive())
        house.ended()
        house.again()

    return "journal deleted", fault, undo


def deaf_sink() -> Row:
    """The socket's file is removed and the sink begins again at once: it must hear the gateway all the same."""

    def fault(house: House) -> None:
        (house.settings.run_path / "gateway.events").unlink()
        house.restart("sink")

    return "gateway's socket file deleted, sink restarted", fault, House.again


ROWS: tuple[Row, ...] = (
    killed("sink"),
    frozen("sink"),
    killed("gateway", "supervisor"),
    frozen(*ALL),
    ended_by(signal.SIGTERM, "clean stop"),
)
"""Of each kind the one that misleads longest when nothing expires: enough for every run."""

MORE: tuple[Row, ...] = (
    *(killed(name) for name in ALL if name != "sink"),
    *(frozen(name) for name in ALL if name != "sink"),
    frozen("gateway", "supervisor"),
    ended_by(signal.SIGKILL, "all killed"),
    ended_by(signal.SIGINT, "Ctrl-C"),
    stopped(),
    disk_full(),
    no_inodes(),
    read_only(),
    run_folder_deleted(),
    deaf_sink(),
    journal_deleted(),
    simulated("link lost", {"do": "restart"}, {"do": "listen"}),
    simulated("link silent", {"do": "silence"}, {"do": "speak"}),
    simulated("IB's own connection lost", {"do": "ib_down"}, {"do": "ib_up"}),
    simulated("farm down", {"do": "farm_down"}, {"do": "farm_up"}),
    simulated("one symbol starved", {"do": "starve", "symbol": SYMBOL}, {"do": "feed", "symbol": SYMBOL}),
)


@contextmanager
def house_on(folder: Path) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(folder, stack)


def run(folder: Path, rows: tuple[Row, ...]) -> None:
    table: list[tuple[str, dict[str, float]]] = []
    with house_on(folder) as house:
        for row in rows:
            table.append((row[0], house.suffer(row)))
            print(row[0], table[-1][1], flush=True)
    text = rendered(table)
    print(f"\n{text}")
    if path := os.environ.get("EXPIRY_TABLE"):
        with Path(path).open("a") as file:
            file.write(text)
    too_long = {(what, way): age for what, cells in table for way, age in cells.items() if age > LIMIT + MARGIN}
    assert not too_long


def rendered(table: list[tuple[str, dict[str, float]]]) -> str:
    lines = [f"| fault | {' | '.join(WAYS)} |", f"| --- {'| ---: ' * len(WAYS)}|"]
    lines += [f"| {what} | {' | '.join(f'{cells[way]:.1f}' for way in WAYS)} |" for what, cells in table]
    return "\n".join(lines) + "\n"


def test_no_dead_price_passes_for_a_good_one(tmp_path: Path) -> None:
    run(tmp_path, ROWS)


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_whatever_is_done_to_it(tmp_path: Path) -> None:
    run(tmp_path, MORE)
