"""Who gets onto the bus, and who does not: keys and roles on tcp, private local sockets, hostile bytes on all of them.

One pipeline for the module, its services on loopback tcp; every test leaves it as it was.
`IBSTREAM_FUZZ_SECONDS` makes the fuzzer of each socket run longer than its two seconds.
"""

import contextlib
import itertools
import os
import random
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

import ibstream
from messages.codec import decode_heartbeat, decode_message, encode
from messages.control import (
    Accepted,
    AnyMessage,
    ComputePlan,
    Failed,
    GetStatus,
    ReplayReply,
    ReplayRequest,
    Start,
    StatusReply,
    Stop,
)
from messages.errors import IbStreamError
from messages.ticks import Tick
from messages.topics import HEARTBEAT_PREFIX, PLANNER_CONTROL, SUPERVISOR_CONTROL, TICKS, heartbeat_topic
from messages.views import Heartbeat
from services.base import keys
from services.base.settings import Settings, load
from services.runtime.bus import Subscriber, address, request
from tests.process.bench import clean_environment
from tests.process.pipeline import CORE, Pipeline
from tests.process.readback import Witness
from tests.support import REPOSITORY, eventually, free_port

ON_TCP = ("gateway", "planner", "sink", "supervisor")
FUZZ_SECONDS = float(os.environ.get("IBSTREAM_FUZZ_SECONDS") or 2)
REFUSED_SECONDS = 1.0  # for which one who must not get in tries


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    folder = tmp_path_factory.mktemp("bus")
    peers = " ".join(f"{name}=127.0.0.1:{free_ports(3)}" for name in ON_TCP)
    for name, role in (("local", "control"), ("reader", "data"), ("gone", "control")):
        keys.make(folder / "data" / "keys", name, role)
    with Pipeline(folder, CORE, {"bus_peers": peers, "heartbeat_timeout": 5}) as built:
        built.await_status("connected", timeout=60)
        yield built


def free_ports(count: int) -> int:
    """The first of some ports in a row that nobody uses."""
    while True:
        first = free_port()
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first


def client(house: Pipeline, key: str = "local", keys_dir: Path | None = None) -> Settings:
    """The settings of a program on another machine that holds `key`."""
    return load(house.env | {"IBSTREAM_BUS_KEY": key, "IBSTREAM_KEYS_DIR": str(keys_dir or house.data / "keys")})


def stranger(house: Pipeline, folder: Path) -> Settings:
    """Somebody who knows the server's public key and has made a key of his own."""
    keys.make(folder, "stranger", "control")
    (folder / "server.key").write_bytes((house.data / "keys" / "server.key").read_bytes())
    return client(house, "stranger", folder)


def heard(settings: Settings, endpoint: str, prefix: str, seconds: float) -> list[tuple[str, bytes]]:
    """The first frames of a topic from an endpoint; empty when none comes in `seconds`."""
    context: zmq.Context[Any] = zmq.Context()
    try:
        subscriber = Subscriber(context, settings, [endpoint], [prefix])
        subscriber.socket.poll(int(seconds * 1000))
        frames = subscriber.drain()
        subscriber.close()
        return frames
    finally:
        context.term()


def heartbeat(house: Pipeline, service: str) -> Heartbeat:
    """What a service says now."""
    frames = heard(client(house), f"{service}.events", heartbeat_topic(service), 10.0)
    assert frames, f"{service} is not heard"
    return decode_heartbeat(frames[-1][1])


def count(beat: Heartbeat, name: str, **labels: str) -> float:
    """The sum of a metric over the series that have these labels."""
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return sum(
        value
        for series, value in beat.metrics.items()
        if series.partition("{")[0] == name and all(text in series for text in wanted)
    )


def refused(house: Pipeline, service: str, **labels: str) -> float:
    return count(heartbeat(house, service), "bus_refused_total", **labels)


def gets_in(settings: Settings, endpoint: str, message: AnyMessage, timeout: float = REFUSED_SECONDS) -> bool:
    try:
        request(settings, endpoint, message, timeout=timeout)
    except IbStreamError as error:
        if error.code.endswith("_unreachable"):
            return False
        raise
    return True


# --- keys ---


def test_a_control_key_stops_and_starts(house: Pipeline) -> None:
    stopped = request(client(house), SUPERVISOR_CONTROL, Stop())
    assert isinstance(stopped, Accepted)
    assert stopped.changed
    house.await_status("stopped")
    assert isinstance(request(client(house), SUPERVISOR_CONTROL, Start(), timeout=20), Accepted)
    house.await_status("connected", timeout=60)


def test_a_data_key_reads_and_replays(house: Pipeline) -> None:
    reader = client(house, "reader")
    assert heard(reader, "gateway.events", TICKS, 20.0)
    reply = request(reader, "gateway.replay", ReplayRequest(stream=TICKS, from_seq=1), timeout=20)
    assert isinstance(reply, ReplayReply)
    assert reply.head_seq > 0
    first = house.blocks(TICKS)[: len(reply.blocks)]
    assert [encode(block) for block in first] == reply.blocks


def test_the_python_client_reads_with_a_data_key_and_commands_with_a_control_key(
    house: Pipeline, tmp_path: Path
) -> None:
    """A program on another machine: the address of each service and a folder with its own key and the server's."""
    for name in ("reader.key_secret", "reader.key", "local.key_secret", "local.key", "server.key"):
        (tmp_path / name).write_bytes((house.data / "keys" / name).read_bytes())
    where = f"tcp://{','.join(house.env['IBSTREAM_BUS_PEERS'].split())}"
    with ibstream.connect(where, key=tmp_path / "reader.key_secret", timeout=10) as reader:
        assert reader.price("SPY", sources={"mock"}).good_until
        with pytest.raises(ibstream.UnknownSymbol):
            reader.price("NEVER")
        assert reader.wait_until_connected(30).status == "connected"
        assert "SPY" in [planned.symbol for planned in reader.plan().symbols]
        assert next(iter(reader.quotes("SPY"))).symbol == "SPY"
        seqs = [item.seq for item in itertools.islice(reader.ticks(since="-2s"), 300) if isinstance(item, Tick)]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    with ibstream.connect(where, key=tmp_path / "reader.key_secret", timeout=REFUSED_SECONDS) as reader:
        with pytest.raises(ibstream.Unreachable):
            reader.stop()
        assert_untouched(house)
    with ibstream.connect(where, key=tmp_path / "local.key_secret", timeout=20) as owner:
        with pytest.raises(ibstream.CommandRefused) as refusal:
            owner.start()
        assert refusal.value.reason == "ib_stream_lock_busy"
    stranger(house, tmp_path / "stranger")
    unknown = tmp_path / "stranger" / "stranger.key_secret"
    with (
        ibstream.connect(where, key=unknown, timeout=REFUSED_SECONDS) as nobody,
        pytest.raises(ibstream.Unreachable),
    ):
        nobody.price("SPY")


def test_a_data_key_gets_no_answer_on_a_control_port(house: Pipeline) -> None:
    before = refused(house, "supervisor", endpoint="control", reason="auth")
    reader = client(house, "reader")
    for endpoint, message in ((SUPERVISOR_CONTROL, Stop()), (PLANNER_CONTROL, ComputePlan(Start()))):
        assert not gets_in(reader, endpoint, message)
    assert refused(house, "supervisor", endpoint="control", reason="auth") > before
    assert_untouched(house)


def test_an_unknown_key_gets_nothing(house: Pipeline, tmp_path: Path) -> None:
    before = refused(house, "gateway", reason="auth")
    who = stranger(house, tmp_path)
    assert not heard(who, "gateway.events", "", REFUSED_SECONDS)
    assert not gets_in(who, "gateway.replay", ReplayRequest(stream=TICKS, from_seq=1))
    assert not gets_in(who, SUPERVISOR_CONTROL, Stop())
    assert refused(house, "gateway", reason="auth") > before
    assert_untouched(house)


def test_without_a_key_nothing_is_heard(house: Pipeline) -> None:
    """A plain ZeroMQ client, as any language has one."""
    before = refused(house, "gateway", endpoint="events")
    context: zmq.Context[Any] = zmq.Context()
    with context.socket(zmq.SUB) as plain, context.socket(zmq.DEALER) as asking:
        for sock in (plain, asking):
            sock.setsockopt(zmq.LINGER, 0)
        plain.setsockopt(zmq.SUBSCRIBE, b"")
        plain.connect(address(client(house), "gateway.events"))
        asking.connect(address(client(house), SUPERVISOR_CONTROL))
        asking.send(encode(Stop()))
        assert not plain.poll(int(REFUSED_SECONDS * 1000))
        assert not asking.poll(0)
    context.term()
    assert refused(house, "gateway", endpoint="events") > before
    assert_untouched(house)


def test_the_wrong_servers_key_finds_no_server(house: Pipeline, tmp_path: Path) -> None:
    """A client that expects another server does not talk to this one."""
    keys.make(tmp_path, "local", "control")
    for name in ("local.key", "local.key_secret"):
        (tmp_path / name).write_bytes((house.data / "keys" / name).read_bytes())
    assert not gets_in(client(house, "local", tmp_path), SUPERVISOR_CONTROL, GetStatus())


def test_a_revoked_key_is_refused_at_once(house: Pipeline, tmp_path: Path) -> None:
    for name in ("gone.key", "gone.key_secret", "server.key"):
        (tmp_path / name).write_bytes((house.data / "keys" / name).read_bytes())
    gone = client(house, "gone", tmp_path)  # the holder keeps his copy
    assert gets_in(gone, SUPERVISOR_CONTROL, GetStatus(), timeout=10)
    assert house.cli("keys", "revoke", "gone").returncode == 0
    eventually(lambda: not gets_in(gone, SUPERVISOR_CONTROL, GetStatus()), 10)
    before = refused(house, "supervisor", endpoint="control", reason="auth")
    assert not gets_in(gone, SUPERVISOR_CONTROL, Stop())
    assert not heard(gone, "gateway.events", "", REFUSED_SECONDS)
    assert refused(house, "supervisor", endpoint="control", reason="auth") > before
    assert_untouched(house)


class Holder:
    """A program that stays connected to one endpoint with its key: a reader of events, or one who asks."""

    def __init__(self, settings: Settings, endpoint: str) -> None:
        self._context: zmq.Context[Any] = zmq.Context()
        self._reads = endpoint.endswith(".events")
        self._socket = self._context.socket(zmq.SUB if self._reads else zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        if self._reads:
            self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        keys.arm_client(self._socket, settings, endpoint.partition(".")[0])
        self._socket.connect(address(settings, endpoint))
        self._message = encode(
            ReplayRequest(stream=endpoint.partition(".")[0].replace("gateway", TICKS), from_seq=1, max_bytes=1000)
            if endpoint.endswith(".replay")
            else GetStatus()
        )

    def is_served(self, seconds: float = REFUSED_SECONDS) -> bool:
        """Whether anything comes, from now on, within a time."""
        while self._socket.poll(0):
            self._socket.recv_multipart()
        if not self._reads:
            with contextlib.suppress(zmq.Again):  # no connection to send on: then none
                self._socket.send_multipart([b"", self._message], zmq.DONTWAIT)
        return bool(self._socket.poll(int(seconds * 1000)))

    def close(self) -> None:
        self._socket.close()
        self._context.term()


def is_cut_off(holder: Holder, endpoint: str) -> None:
    eventually(lambda: not holder.is_served(), 10, f"{endpoint} serves no revoked key")
    assert not holder.is_served(3.0), f"{endpoint} cut it off, and let it in again"


@pytest.mark.parametrize("role", keys.ROLES)
def test_a_revoked_key_loses_its_open_connections_and_nobody_else_an_event(
    house: Pipeline, tmp_path: Path, role: keys.Role
) -> None:
    name = f"leaver-{role}"
    keys.make(house.data / "keys", name, role)
    for file in (f"{name}.key", f"{name}.key_secret", "server.key"):
        (tmp_path / file).write_bytes((house.data / "keys" / file).read_bytes())
    endpoints = ["gateway.events", "gateway.replay", *([SUPERVISOR_CONTROL] if role == "control" else [])]
    leaver, honest = client(house, name, tmp_path), client(house)
    pids = {service: process.pid for service, process in house.processes.items()}
    for service in ("gateway", "supervisor"):  # a client that is refused once does not try again
        eventually(lambda service=service: heard(leaver, f"{service}.events", HEARTBEAT_PREFIX, 2.0), 20)
    with contextlib.ExitStack() as stack:
        holders = {endpoint: Holder(leaver, endpoint) for endpoint in endpoints}
        witness = Witness(honest)
        witness.start()
        stack.callback(witness.finish)
        for endpoint, holder in holders.items():
            stack.callback(holder.close)
            eventually(holder.is_served, 20, f"{endpoint} serves a key that is allowed")
        eventually(lambda: witness.seen)
        assert house.cli("keys", "revoke", name).returncode == 0
        with ThreadPoolExecutor() as pool:  # each holder has a thread of its own
            list(pool.map(is_cut_off, holders.values(), holders))
        before = witness.seen[-1]
        eventually(lambda: witness.seen[-1] != before, 20, "others are back")
    assert witness.restarts == 0
    numbers = [first for _, first, _ in witness.seen]
    assert numbers == [1, *(first + count for _, first, count in witness.seen[:-1])]
    assert {service: process.pid for service, process in house.processes.items()} == pids
    assert_untouched(house)


def test_a_key_of_the_same_name_does_not_let_the_revoked_one_in(house: Pipeline, tmp_path: Path) -> None:
    """Revoked and made anew in one breath: the folder looks the same, and is not."""
    keys.make(house.data / "keys", "twice", "data")
    for file in ("twice.key", "twice.key_secret", "server.key"):
        (tmp_path / file).write_bytes((house.data / "keys" / file).read_bytes())
    old = client(house, "twice", tmp_path)
    eventually(lambda: heard(old, "gateway.events", HEARTBEAT_PREFIX, 2.0), 20)
    keys.revoke(house.data / "keys", "twice")
    keys.make(house.data / "keys", "twice", "data")
    eventually(lambda: not heard(old, "gateway.events", HEARTBEAT_PREFIX, 2.0), 20)
    eventually(lambda: heard(client(house, "twice"), "gateway.events", HEARTBEAT_PREFIX, 2.0), 20)
    assert_untouched(house)


def test_a_key_made_while_the_services_run_is_let_in(house: Pipeline) -> None:
    assert house.cli("keys", "make", "fresh", "--role", "data").returncode == 0
    eventually(lambda: heard(client(house, "fresh"), "gateway.events", HEARTBEAT_PREFIX, 2.0), 20)


@pytest.mark.parametrize("service", ON_TCP)
def test_a_tcp_endpoint_without_keys_is_refused(service: str, tmp_path: Path) -> None:
    root = tmp_path / "data"
    peers = f"{service}=127.0.0.1:{free_ports(3)}"
    done = subprocess.run(
        [sys.executable, "-m", f"services.{service}"],
        env=clean_environment() | {"IBSTREAM_DATA_ROOT": str(root), "IBSTREAM_BUS_PEERS": peers},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "server.key_secret" in done.stderr
    assert "ibstream keys make" in done.stderr
    assert "Traceback" not in done.stderr


# --- places ---


def test_sockets_and_keys_are_the_owners_alone(house: Pipeline) -> None:
    run = house.settings.run_path
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    assert stat.S_IMODE((house.data / "keys").stat().st_mode) == 0o700
    for secret in (house.data / "keys").glob("*.key_secret"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert {path.name for path in run.glob("*.events")} == {"simulator.events"}


def test_an_open_run_folder_is_closed_at_the_start(house: Pipeline) -> None:
    run = house.settings.run_path
    house.kill("sink", 15)
    run.chmod(0o755)
    house.start("sink")
    eventually(lambda: stat.S_IMODE(run.stat().st_mode) == 0o700)
    assert heartbeat(house, "sink").pid == house.processes["sink"].pid


# --- hostile bytes ---


class Fuzzer(threading.Thread):
    """Sends what no client of ours would, to one endpoint, for a while. `sent` counts attempts."""

    def __init__(self, house: Pipeline, endpoint: str, seed: int) -> None:
        super().__init__(daemon=True)
        self.sent = 0
        self.error: BaseException | None = None
        self._settings = client(house)
        self._endpoint = endpoint
        self._random = random.Random(seed)
        self._until = time.monotonic() + FUZZ_SECONDS

    def run(self) -> None:
        try:
            while time.monotonic() < self._until:
                self._random.choice((self._raw, self._frames))()
                self.sent += 1
        except BaseException as error:
            self.error = error

    def _raw(self) -> None:
        """Bytes on the bare socket: noise, half a greeting, a greeting and then noise, nothing at all."""
        greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01CURVE" + bytes(47)
        junk = self._random.randbytes(self._random.choice((0, 1, 9, 200, 70_000)))
        huge = b"\x02" + (1 << 62).to_bytes(8, "big") + junk  # a frame that claims to be enormous
        data = self._random.choice((junk, greeting[: len(junk)], greeting + junk, greeting + huge, b"\x01\x00" + junk))
        with contextlib.suppress(OSError), self._connect() as sock:
            sock.settimeout(0.5)
            sock.sendall(data)
            if self._random.random() < 0.5:
                sock.shutdown(socket.SHUT_WR)
                sock.recv(1000)

    def _connect(self) -> socket.socket:
        kind, _, where = address(self._settings, self._endpoint).partition("://")
        if kind == "tcp":
            host, _, port = where.rpartition(":")
            return socket.create_connection((host, int(port)), 0.5)
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(0.5)
        sock.connect(where)
        return sock

    def _frames(self) -> None:
        """Messages over a real connection, with a key that is let in."""
        context: zmq.Context[Any] = zmq.Context()
        kind = zmq.XSUB if self._endpoint.endswith(".events") else zmq.DEALER
        with context.socket(kind) as sock:
            sock.setsockopt(zmq.LINGER, 100)
            where = address(self._settings, self._endpoint)
            if where.startswith("tcp:"):
                keys.arm_client(sock, self._settings, self._endpoint.partition(".")[0])
            sock.connect(where)
            for _ in range(20):
                sock.send_multipart(self._message(), zmq.DONTWAIT)
            sock.poll(200)
        context.term()

    def _message(self) -> list[bytes]:
        rng = self._random
        wild = [
            rng.randbytes(rng.randrange(300)),
            encode(msgspec.msgpack.decode(encode(GetStatus())) | {"type": rng.choice(["", "start ", "\0", "ticks"])}),
            encode(ReplayRequest(stream="ticks", from_seq=rng.choice((-1, 0, (1 << 64) - 1)), max_bytes=-1)),
            encode(ReplayRequest(stream="../control", from_seq=1)),
            encode(ReplayReply(stream="ticks", head_seq=1, blocks=[b"x"])),
            encode(StatusReply(status=None))[: rng.randrange(20)],  # type: ignore[arg-type]
            encode(Failed(code="x", message="y" * 1000)),
            encode(ComputePlan(Start(symbols=["\0" * 50] * 50, max_symbols=-(1 << 60), project_id=1 << 62))),
            encode(Start(project_id=-1, symbols=["'; drop table"], refresh_interval_seconds=float("nan"))),
            b"\x01" + rng.randbytes(3),  # on an event socket: subscriptions
            b"\x01",
            b"\xdd\xff\xff\xff\xff",  # an array of four thousand million
            b"\x81" * 5000,  # nested beyond reason
        ]
        if rng.random() < 0.05:
            return [bytes(3 << 20)]
        return [rng.choice(wild) for _ in range(rng.choice((1, 1, 1, 2, 5, 200)))]


ENDPOINTS = (
    "gateway.events",
    "gateway.replay",
    "planner.events",
    "planner.replay",
    PLANNER_CONTROL,
    "supervisor.events",
    "supervisor.replay",
    SUPERVISOR_CONTROL,
    "sink.events",  # a local socket, as all are by default
)


@pytest.mark.timeout(FUZZ_SECONDS + 180)
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_fuzzer_stops_nothing(house: Pipeline, endpoint: str) -> None:
    service, _, kind = endpoint.partition(".")
    before = {name: process.pid for name, process in house.processes.items()}
    first = heartbeat(house, service)
    fuzzer = Fuzzer(house, endpoint, seed=len(endpoint))
    fuzzer.start()
    silences = longest_silence(house, service, fuzzer)
    assert fuzzer.error is None
    assert fuzzer.sent > 0
    last = heartbeat(house, service)
    noticed = ("bus_refused_total", "bus_malformed_total", "bus_failed_total", "bus_disconnected_total")
    counted = {name: count(last, name, endpoint=kind) - count(first, name, endpoint=kind) for name in noticed}
    assert counted["bus_disconnected_total"] > 0
    assert sum(counted.values()) > 1, counted
    if kind != "events":
        assert counted["bus_malformed_total"] + counted["bus_failed_total"] > 0, counted
    assert silences < house.settings.heartbeat_timeout
    assert {name: process.pid for name, process in house.processes.items() if process.poll() is None} == before
    assert_untouched(house)


def longest_silence(house: Pipeline, service: str, fuzzer: Fuzzer) -> float:
    """Seconds between two heartbeats of a service at most, while the fuzzer is at it."""
    context: zmq.Context[Any] = zmq.Context()
    subscriber = Subscriber(context, client(house), [f"{service}.events"], [heartbeat_topic(service)])
    longest, last = 0.0, time.monotonic()
    while fuzzer.is_alive():
        subscriber.socket.poll(100)
        now = time.monotonic()
        longest = max(longest, now - last)
        if subscriber.drain():
            last = now
    subscriber.close()
    context.term()
    return longest


def assert_untouched(house: Pipeline) -> None:
    """The stream goes on, and honest requests are answered."""
    status = house.await_status("connected", timeout=30)
    assert status.subscribed_symbols
    head = heartbeat(house, "gateway").heads[TICKS].seq
    eventually(lambda: heartbeat(house, "gateway").heads[TICKS].seq > head)
    reply = request(client(house), "gateway.replay", ReplayRequest(stream=TICKS, from_seq=head), timeout=10)
    assert isinstance(reply, ReplayReply)
    assert decode_message(encode(reply)) == reply
