"""The trouble of a soak: what happens when hangs on a seed. Called by tests/soak/run.py, on its thread.

Whoever dies in the first half of the run is spared in the second, and the other way round: so every service lives
through one half, in which its neighbours die, and what it uses is measured over that life.
"""

import contextlib
import random
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import zmq

from messages.topics import TICKS, events_endpoint
from services.runtime.bus import address
from tests.process.pipeline import Pipeline
from tests.process.simulators import Controller
from tests.support import NO_TLS, eventually

HALVES = (("gateway", "sink", "planner"), ("supervisor", "web", "simulator"))
API = "/api/ib/stream"


class Storm:
    def __init__(
        self, pipeline: Pipeline, control: Path, symbols: list[str], seconds: float, rng: random.Random
    ) -> None:
        self.told: Counter[str] = Counter()
        self._pipeline = pipeline
        self._control = control
        self._symbols = symbols
        self._seconds = seconds
        self._rng = rng
        self._context: zmq.Context[Any] = zmq.Context()
        self._stalled: list[tuple[float, Callable[[], None]]] = []  # when each stalled reader leaves

    def blow(self, watch: Callable[[], None]) -> None:
        """Until the time is over; `watch` is called all the time."""
        began = time.monotonic()
        pause = min(6.0, self._seconds / 20)
        faults = (self._kill, self._kill, self._end, self._freeze, self._trouble, self._trouble, self._stop_and_start,
                  self._stall_subscriber, self._stall_page)  # fmt: skip
        while (passed := time.monotonic() - began) < self._seconds:
            half = HALVES[passed > self._seconds / 2]
            self._rng.choice(faults)(self._rng.choice(half))
            self._wait(self._rng.uniform(0.2, pause), watch)
            self._let_go(time.monotonic())
        self._let_go(float("inf"))
        self._context.term()

    def begin(self) -> None:
        """The stream of these symbols, in place of what a new data root begins with."""
        self._stop_and_start("")

    def calm(self) -> None:
        """No more trouble, and the stream is wanted."""
        self._tell_simulator(do="calm")
        self._start()

    def child(self, name: str) -> int | None:
        """The process that a keeper keeps, if it runs now."""
        try:
            children = psutil.Process(self._pipeline.processes[name].pid).children()
        except psutil.Error:
            return None
        return children[0].pid if children else None

    # --- faults ---

    def _kill(self, victim: str) -> None:
        self._signal(victim, signal.SIGKILL)

    def _end(self, victim: str) -> None:
        self._signal(victim, signal.SIGTERM)

    def _freeze(self, _victim: str) -> None:
        victim = self._rng.choice(self._rng.choice(HALVES))
        pid = self._signal(victim, signal.SIGSTOP)
        try:
            time.sleep(self._rng.uniform(0.5, 4.0) * min(1.0, self._seconds / 60))
        finally:
            with contextlib.suppress(psutil.Error):
                psutil.Process(pid).send_signal(signal.SIGCONT)

    def _trouble(self, _victim: str) -> None:
        """Something between the gateway and IB, which passes by itself."""
        lasting = self._rng.uniform(0.5, 4.0)
        farm = self._rng.choice(("usfarm", "usfarm.nj"))
        symbol = ",".join(self._rng.sample(self._symbols, 3))
        step: dict[str, Any] = self._rng.choice(
            (
                {"do": "drop", "how": self._rng.choice(("close", "reset"))},
                {"do": "restart", "for": lasting},
                {"do": "ib_down", "data": self._rng.choice(("kept", "lost")), "for": lasting},
                {"do": "farm_down", "farm": farm, "for": lasting},
                {"do": "competing", "for": lasting},
                {"do": "starve", "symbol": symbol, "for": lasting},
                {"do": "halt", "symbol": symbol, "for": lasting},
                {"do": "bust", "symbol": symbol},
                {"do": "odd", "for": lasting},
                {"do": "garbage", "count": 5},
                {"do": "dribble", "for": lasting / 4},
            )
        )
        self.told[f"simulator: {step['do']}"] += 1
        self._tell_simulator(**step)

    def _stop_and_start(self, _victim: str) -> None:
        self.told["stop and start"] += 1
        eventually(lambda: self._post("stop"), 60, "the stream is stopped over the API")
        time.sleep(self._rng.uniform(0.0, 1.0))
        self._start()

    def _stall_subscriber(self, _victim: str) -> None:
        """One who subscribes to every tick and reads none."""
        self.told["stalled subscriber"] += 1
        sock = self._context.socket(zmq.SUB)
        sock.setsockopt(zmq.LINGER, 0)
        sock.setsockopt(zmq.RCVHWM, 1)
        sock.setsockopt(zmq.RCVBUF, 4096)
        sock.setsockopt(zmq.SUBSCRIBE, TICKS.encode())
        sock.connect(address(self._pipeline.settings, events_endpoint("gateway")))
        self._stalled.append((self._until(), sock.close))

    def _stall_page(self, _victim: str) -> None:
        """A page that asks for the events and reads none."""
        self.told["stalled page"] += 1
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(2.0)
        try:
            sock.connect(("127.0.0.1", self._pipeline.web_port))
            sock.sendall(f"GET {API}/events HTTP/1.1\r\nHost: 127.0.0.1:{self._pipeline.web_port}\r\n\r\n".encode())
        except OSError:  # the web is being started again
            sock.close()
            return
        self._stalled.append((self._until(), sock.close))

    # --- how ---

    def _signal(self, victim: str, number: signal.Signals) -> int:
        """To a service that runs; it is waited for."""
        pid = eventually(lambda: self.child(victim), 60, f"{victim} is started again")
        assert pid is not None
        with contextlib.suppress(psutil.Error):
            psutil.Process(pid).send_signal(number)
        self.told[f"{victim}: {number.name}"] += 1
        return pid

    def _start(self) -> None:
        eventually(lambda: self._post("start", symbols=self._symbols), 60, "the stream is started over the API")

    def _post(self, what: str, **body: object) -> bool:
        url = f"http://127.0.0.1:{self._pipeline.web_port}{API}/{what}"
        try:
            answer = httpx.post(url, json=body, timeout=10, verify=NO_TLS)
        except httpx.HTTPError:
            return False
        return answer.status_code in (200, 202, 409)  # 409: it is started already

    def _tell_simulator(self, **step: object) -> None:
        def told() -> bool:
            try:
                with Controller(self._control) as tell:
                    answer = tell(**step)
            except (OSError, ValueError):
                return False  # it is being started again
            assert answer["ok"], answer
            return True

        eventually(told, 60, "the simulator takes a step")

    def _until(self) -> float:
        return time.monotonic() + self._rng.uniform(1.0, 20.0)

    def _let_go(self, now: float) -> None:
        for due, close in self._stalled:
            if due <= now:
                close()
        self._stalled = [(due, close) for due, close in self._stalled if due > now]

    @staticmethod
    def _wait(seconds: float, watch: Callable[[], None]) -> None:
        until = time.monotonic() + seconds
        watch()
        while time.monotonic() < until:
            time.sleep(0.1)
            watch()
