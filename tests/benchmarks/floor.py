"""The least that a pipeline of this shape can cost: the same writes, wake-ups and files, and no work at all.

A process reads a socket and passes each read on by PUB; three SUBs take it (as sink, supervisor and the page do),
and one of them replaces a small file for each. Nothing is decoded, journalled or folded. Used by cost.py, which
puts it beside the pipeline in the same run.
"""

import multiprocessing
import select
import socket
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import zmq

from services.base.files import exchange_file

SUBSCRIBERS = 3
FILES = 100
FILE_BYTES = 400


def floor(writes_per_second: float, size: int, seconds: float) -> dict[str, float]:
    """Percent of one core over `seconds`, by process."""
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="ibs-bench-") as folder, socket.create_server(("127.0.0.1", 0)) as server:
        address = f"ipc://{folder}/floor"
        ready, theirs = spawn.Pipe()
        port = server.getsockname()[1]
        made = {"passes on": spawn.Process(target=_pass_on, args=(theirs, port, address), daemon=True)}
        for number in range(SUBSCRIBERS):
            files = Path(folder) if number == 0 else None
            name = "replaces files" if files else f"drops {number}"
            made[name] = spawn.Process(target=_take, args=(theirs, address, files), daemon=True)
        for process in made.values():
            process.start()
        client, _ = server.accept()
        try:
            for _ in made:
                ready.recv()
            time.sleep(0.3)
            return _watch(client, made, writes_per_second, size, seconds)
        finally:
            client.close()
            for process in made.values():
                process.terminate()
                process.join()


def _watch(
    client: socket.socket,
    made: dict[str, multiprocessing.context.SpawnProcess],
    writes_per_second: float,
    size: int,
    seconds: float,
) -> dict[str, float]:
    watched = {name: psutil.Process(process.pid) for name, process in made.items()}
    payload, sent, start = bytes(size), 0, time.monotonic()
    before = {name: sum(process.cpu_times()[:2]) for name, process in watched.items()}
    while (now := time.monotonic() - start) < seconds:
        time.sleep(0.001)
        while sent < now * writes_per_second:
            client.sendall(payload)
            sent += 1
    return {
        name: (sum(p.cpu_times()[:2]) - before[name]) / (time.monotonic() - start) * 100 for name, p in watched.items()
    }


def _pass_on(ready: Connection, port: int, address: str) -> None:
    with zmq.Context() as context, context.socket(zmq.PUB) as publisher:
        publisher.bind(address)
        with socket.create_connection(("127.0.0.1", port)) as source:
            poller = select.poll()
            poller.register(source, select.POLLIN)
            ready.send(None)
            while True:
                poller.poll()
                data = source.recv(1 << 16)
                if not data:
                    return
                publisher.send(data)


def _take(ready: Connection, address: str, folder: Path | None) -> None:
    with zmq.Context() as context, context.socket(zmq.SUB) as subscriber:
        subscriber.setsockopt(zmq.SUBSCRIBE, b"")
        subscriber.connect(address)
        ready.send(None)
        count, content = 0, bytes(FILE_BYTES)
        while True:
            subscriber.recv()
            if folder is not None:
                count += 1
                exchange_file(folder / f"{count % FILES}.json", content)
