"""Two network namespaces as two machines with one cable between them, which can be pulled. Linux, as root."""

import ctypes
import os
import subprocess
from itertools import count
from pathlib import Path

import pytest

from tests.support import program

CLONE_NEWNET = 0x40000000

_numbers = count()


class Hosts:
    """`addresses` and `prefixes` of the two: what a command begins with to run there."""

    def __init__(self) -> None:
        """Skips the test where it is not root, or `ip` is not installed; in CI, the latter fails it."""
        if os.geteuid() != 0:
            pytest.skip("network namespaces need root: run this test as root")
        self._ip = program("ip", "apt-get install iproute2")
        number = next(_numbers)
        self.names = [f"ibs{os.getpid()}-{number}-{side}" for side in "ab"]
        self._cables = [f"ib{os.getpid() % 100_000}{number}{side}" for side in "ab"]
        net = f"10.{os.getpid() % 250}.{number % 250}"
        self.addresses = [f"{net}.1", f"{net}.2"]
        self.prefixes = [[self._ip, "netns", "exec", name] for name in self.names]
        for name in self.names:
            self._run("netns", "add", name)
        a, b = self._cables
        self._run("-n", self.names[0], "link", "add", a, "type", "veth", "peer", "name", b, "netns", self.names[1])
        for name, cable, address in zip(self.names, self._cables, self.addresses, strict=True):
            self._run("-n", name, "link", "set", "lo", "up")
            self._run("-n", name, "address", "add", f"{address}/24", "dev", cable)
            self._run("-n", name, "link", "set", cable, "up")

    def pull_cable(self) -> None:
        self._run("-n", self.names[0], "link", "set", self._cables[0], "down")

    def plug_in(self) -> None:
        self._run("-n", self.names[0], "link", "set", self._cables[0], "up")

    def enter(self, host: int) -> None:
        """Move the calling thread, and the threads that it starts from now on, to a host."""
        with Path(f"/run/netns/{self.names[host]}").open() as namespace:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.setns(namespace.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")

    def close(self) -> None:
        for name in self.names:
            subprocess.run([self._ip, "netns", "delete", name], check=False)

    def _run(self, *arguments: str) -> None:
        done = subprocess.run([self._ip, *arguments], capture_output=True, text=True)
        if done.returncode:
            self.close()
            raise AssertionError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
