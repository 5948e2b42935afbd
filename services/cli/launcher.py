"""Runs the commands of a Procfile together, prints what they say, and ends them all: a small process manager.

The simulator is asked to end when the others have.
Guarantees, on Linux without exception: within five seconds after SIGINT, SIGTERM, SIGHUP, the closing of its output,
the end of one of the commands, or its own death by SIGKILL, nothing of what it started is left. (Elsewhere a killed
launcher is noticed by the keepers.) The Procfile and its names, and how a line is printed, are honcho's.
"""

import datetime
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from types import FrameType
from typing import Final

from honcho.colour import get_colours
from honcho.printer import Message, Printer

from services.runtime.respawn import die_with_parent

PATIENCE: Final = 4.5  # seconds from the first signal until what is left is killed
TICK: Final = 0.5  # seconds between two looks around, when nothing happens
CHUNK: Final = 1 << 16
SIDE: Final = ("web",)  # whose end ends nothing else, and whose start waits until the others have said something:
SIDE_PATIENCE: Final = 1.0  # seconds at most. Its imports are the longest, and no price is to wait for them
LAST: Final = ("simulator",)  # asked to end when the others have: nobody sees a connection lost in a clean stop
TWICE: Final = 0.3  # seconds: a Ctrl-C so soon after the first is the same one, passed on by a wrapper as well
ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Running:
    """One command: a process group of its own, and its output as lines."""

    def __init__(self, name: str, command: str, env: Mapping[str, str], colour: str) -> None:
        launcher = os.getpid()
        self.name = name
        self.colour = colour
        self.process = subprocess.Popen(  # noqa: S603 - a line of the Procfile
            ["/bin/sh", "-c", command],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: die_with_parent(launcher),
        )
        assert self.process.stdout is not None
        self.output = self.process.stdout.fileno()
        os.set_blocking(self.output, False)
        self._rest = b""
        self.spoke = False

    def lines(self) -> list[bytes] | None:
        """The whole lines that have come; None once there will be no more."""
        try:
            chunk = os.read(self.output, CHUNK)
        except BlockingIOError:
            return []
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if chunk:
            return lines
        last, self._rest = self._rest, b""
        return [last] if last else None

    def signal(self, number: int) -> None:
        if self.process.returncode is None:  # not reaped: the group's number is still its own
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)


class Launcher:
    def __init__(self, commands: Mapping[str, str], env: Mapping[str, str], banner: str = "") -> None:
        self._first = {name: command for name, command in commands.items() if name not in SIDE}
        self._env = env
        self._banner = banner
        self._running: dict[str, _Running] = {}
        self._later = {name: command for name, command in commands.items() if name in SIDE}
        self._later_at = 0.0  # monotonic seconds
        self._ending = False
        self._last_asked = False
        self._asked = 0.0  # when all were asked to end, monotonic seconds
        self._code = 0
        self._parent = os.getppid()
        self._output_open = True
        self._colours = get_colours()
        self._printer = Printer(sys.stdout, width=max(map(len, (*commands, "system"))))
        self._poll = select.poll()
        self._woken, bell = os.pipe()
        for end in (self._woken, bell):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # wakes the loop
        signal.signal(signal.SIGALRM, self._give_up)
        for number in ENDING:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup: a closed terminal is no end
                signal.signal(number, self._on_signal)

    def run(self) -> int:
        """Start all, and serve until all have ended; the exit code: that of the first that ended by itself."""
        try:
            self._poll.register(self._woken, select.POLLIN)
            self._poll.register(sys.stdout.fileno(), 0)  # its errors are told of without asking
            self._say(self._banner)
            self._start(self._first)
            self._later_at = time.monotonic() + SIDE_PATIENCE
            while self._later or any(running.process.returncode is None for running in self._running.values()):
                self._turn()
            for running in self._running.values():
                self._pass_on(running)
        finally:
            for running in self._running.values():
                running.signal(signal.SIGKILL)
            self._let_go_of_output()
        return self._code

    def _start(self, commands: Mapping[str, str]) -> None:
        for name, command in commands.items():
            try:
                running = _Running(name, command, self._env, next(self._colours))
            except OSError as error:
                self._say(f"{name} cannot be started: {error.strerror}; ending the others")
                self._end(1)
                break
            self._running[name] = running
            self._poll.register(running.output, select.POLLIN)
            if self._ending:  # while it was being started: the handler could not tell it
                running.signal(signal.SIGTERM)
                break

    def _start_later(self) -> None:
        """What begins when the others have said something, at the latest SIDE_PATIENCE after them."""
        if time.monotonic() >= self._later_at or all(running.spoke for running in self._running.values()):
            later, self._later = self._later, {}
            self._start(later)

    def _turn(self) -> None:
        if self._ending:
            self._later = {}
        if self._later:
            self._start_later()
        wait = min(TICK, max(0.0, self._later_at - time.monotonic())) if self._later else TICK
        ready = dict(self._poll.poll(wait * 1000))
        if ready.pop(self._woken, 0):
            os.read(self._woken, 4096)
        if ready.pop(sys.stdout.fileno(), 0) and self._output_open:
            self._output_closed()
        for running in self._running.values():
            if running.output in ready and not self._pass_on(running):
                self._poll.unregister(running.output)
        for running in self._running.values():
            if running.process.returncode is None and running.process.poll() is not None:
                self._on_end(running)
        if self._ending and not any(running.process.returncode is None for running in self._others()):
            self._ask_last()

    # --- ends ---

    def _on_end(self, running: _Running) -> None:
        code = running.process.returncode
        self._pass_on(running)
        if self._ending:
            return
        if running.name in SIDE:
            self._say(f"{running.name} ended with code {code}; the others go on")
            return
        self._say(f"{running.name} ended with code {code}: ending the others")
        self._end(code if code > 0 else 128 - code)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Nothing here waits for the output: it may be what hangs."""
        if self._ending and number == signal.SIGINT and time.monotonic() - self._asked > TWICE:  # a second Ctrl-C
            signal.setitimer(signal.ITIMER_REAL, 0.01)
        self._end(0)

    def _end(self, code: int) -> None:
        """Ask all to end; what is left after PATIENCE is killed. Once."""
        if self._ending:
            return
        self._asked = time.monotonic()
        self._ending, self._code = True, code
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        for running in self._others():
            running.signal(signal.SIGTERM)

    def _others(self) -> list[_Running]:
        return [running for running in self._running.values() if running.name not in LAST]

    def _ask_last(self) -> None:
        """Once: a keeper that is asked again would pass it on again."""
        if not self._last_asked:
            self._last_asked = True
            for running in self._running.values():
                running.signal(signal.SIGTERM)

    def _give_up(self, _number: int, _frame: FrameType | None) -> None:
        for running in list(self._running.values()):
            running.signal(signal.SIGKILL)
        os._exit(self._code or 1)

    # --- output ---

    def _pass_on(self, running: _Running) -> bool:
        """Print what a command has said; False once it says no more."""
        while lines := running.lines():
            running.spoke = True
            for line in lines:
                self._print(line, running.name, running.colour)
        return lines is not None

    def _say(self, sentence: str) -> None:
        for line in sentence.splitlines():
            self._print(line.encode(), "ibstream", None)

    def _print(self, line: bytes, name: str, colour: str | None) -> None:
        if not self._output_open:
            return
        now = datetime.datetime.now()
        try:
            self._printer.write(Message(type="line", data=line, time=now, name=name, colour=colour))
        except OSError:
            self._output_closed()

    def _output_closed(self) -> None:
        """Nobody reads it any more: that is an end like Ctrl-C."""
        self._poll.unregister(sys.stdout.fileno())
        self._output_open = False
        self._end(0)

    def _let_go_of_output(self) -> None:
        """So that the interpreter finds nothing to complain of when it flushes."""
        if not self._output_open:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
