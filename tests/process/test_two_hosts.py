"""Two hosts: the gateway on one, sink and web on the other; the cable between them pulled under load, and put back.

Over CURVE tcp, and again over JetStream. No tick is lost, and every file is the one that the journal gives.
`IBSTREAM_CUT_SECONDS=30` is the long form.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from messages.codec import decode_heartbeat
from messages.events import Block
from messages.topics import STREAMS, TICKS, heartbeat_topic
from services.base.settings import Settings
from services.journal import JournalReader
from services.runtime.bus import Subscriber
from services.runtime.follow import Follower
from services.runtime.replay_endpoint import RemoteSource
from services.supervisor.heartbeats import START_GRACE
from tests.process.bench import clean_environment
from tests.process.hosts import Hosts
from tests.process.nats_server import NatsServer
from tests.process.pipeline import Pipeline
from tests.rebuilt import folded_files, rebuild
from tests.support import REPOSITORY, eventually

CUT_SECONDS = float(os.environ.get("IBSTREAM_CUT_SECONDS") or 5)

pytestmark = pytest.mark.timeout(CUT_SECONDS + 180)
WRITERS = ("simulator", "gateway", "planner", "supervisor")


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    made = Hosts()
    yield made
    made.close()


def exchange_keys(first: Path, second: Path) -> None:
    """What the operator's guide says, word by word: each side knows the other's server key, and lets the other's
    client key in. Both are folders of a host, in which `data` is the data root."""
    guide = (REPOSITORY / "deploy" / "README.md").read_text()
    guide = guide[guide.index("### Over CURVE tcp") : guide.index("### Over NATS")]
    make_and_pack, take, *_ = re.findall(r"```sh\n(.*?)```", guide, re.DOTALL)
    make, pack_first, pack_second = make_and_pack.splitlines()
    take_first, take_second = take.split("# on risk\n")
    for host, commands in ((first, [make, pack_first]), (second, [make, pack_second])):
        host.mkdir()
        as_operator(host, "\n".join(commands))
    shutil.copy(first / "feed.tar", second)
    shutil.copy(second / "risk.tar", first)
    as_operator(first, take_first)
    as_operator(second, take_second)
    # The guide's feed has a real gateway. Ours has a simulator, whose heartbeat is followed too.
    shutil.copy(first / "data" / "keys" / "server.key", second / "data" / "keys" / "peers" / "simulator.key")


def as_operator(host: Path, commands: str) -> None:
    """Run commands of the guide on a host, on its own data root and as who we are."""
    for said, here in (("sudo -u ibstream ", ""), ("sudo ", ""), ("-o ibstream ", "")):
        commands = commands.replace(said, here)
    commands = commands.replace("/var/lib/ibstream", str(host / "data"))
    env = clean_environment() | {
        "IBSTREAM_DATA_ROOT": str(host / "data"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(["sh", "-eu", "-c", commands], cwd=host, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def cut(hosts: Hosts) -> None:
    hosts.pull_cable()
    time.sleep(CUT_SECONDS)  # what is tested is that time passes
    hosts.plug_in()


def end(settings: Settings) -> int:
    with JournalReader(settings.journal_dir, TICKS) as reader:
        last = reader.last()
    return last.last_seq if last is not None else 0


def more_ticks(settings: Settings, count: int = 50) -> None:
    goal = end(settings) + count
    eventually(lambda: end(settings) >= goal, 60)


def folded(settings: Settings, into: Path) -> dict[str, bytes]:
    """The files that the journal gives now."""
    shutil.rmtree(into, ignore_errors=True)
    rebuild(settings.journal_dir, into)
    return folded_files(into)


def page_says(hosts: Hosts, pipeline: Pipeline) -> str | None:
    """The status word of the web API, asked on the second host."""
    found: list[str | None] = []

    def ask() -> None:
        hosts.enter(1)
        with contextlib.suppress(OSError):
            url = f"http://127.0.0.1:{pipeline.web_port}/api/ib/stream/status"
            with urllib.request.urlopen(url, timeout=5) as answer:
                found.append(json.load(answer)["status"])

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return found[0] if found else None


class Witness(threading.Thread):
    """A consumer on a host of its own: every block of ticks that gets there, by the join rules of all."""

    def __init__(self, hosts: Hosts, host: int, settings: Settings) -> None:
        super().__init__(daemon=True)
        self.seen: list[tuple[int, int, int]] = []  # epoch, first number and count of each block
        self.restarts = 0
        self.cursor = 0
        self.done = threading.Event()
        self._hosts, self._host, self._settings = hosts, host, settings

    def run(self) -> None:
        self._hosts.enter(self._host)
        context: zmq.Context[Any] = zmq.Context()
        source = RemoteSource(self._settings, "gateway", TICKS)
        follower = Follower(TICKS, source, self._apply, self._restart)
        heartbeat = heartbeat_topic("gateway")
        subscriber = Subscriber(context, self._settings, ["gateway.events"], [TICKS, heartbeat])
        while not self.done.is_set():
            subscriber.socket.poll(20)
            for topic, payload in subscriber.drain():
                if topic == TICKS:
                    follower.on_frame(payload)
                else:
                    head = decode_heartbeat(payload).heads[TICKS]
                    follower.on_head(head.epoch, head.seq)
            follower.step()
            self.cursor = follower.cursor.seq
        source.close()
        subscriber.close()
        context.term()

    def _apply(self, block: Block) -> None:
        self.seen.append((block.epoch, block.first_seq, block.count))

    def _restart(self) -> None:
        self.restarts += 1


def test_no_tick_is_lost_over_curve(hosts: Hosts, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    exchange_keys(first, second)
    a, b = hosts.addresses
    peers = f"gateway={a}:5000 planner={a}:5010 supervisor={a}:5020 simulator={a}:5030 sink={b}:5000"
    env = {"bus_peers": peers, "heartbeat_timeout": 5}
    with (
        Pipeline(first, WRITERS, env, prefix=hosts.prefixes[0]) as here,
        Pipeline(second, ["sink", "web"], env, prefix=hosts.prefixes[1]) as there,
    ):
        eventually(lambda: (there.status_file() or {}).get("status") == "connected", 60)
        witness = Witness(hosts, 1, there.settings)
        witness.start()
        eventually(lambda: witness.seen)
        more_ticks(here.settings)
        cut(hosts)
        at_return = end(here.settings)
        assert at_return > witness.cursor
        eventually(lambda: witness.cursor > at_return, 60)
        eventually(lambda: (there.status_file() or {}).get("status") == "connected", 60)
        eventually(lambda: page_says(hosts, there) == "connected")
        here.kill("simulator", signal.SIGTERM)
        into = tmp_path / "rebuilt"
        eventually(lambda: folded_files(there.data / "ib" / "stream") == folded(here.settings, into) != {}, 60)
        eventually(lambda: witness.cursor == end(here.settings))
        witness.done.set()
        witness.join(10)
        with JournalReader(here.settings.journal_dir, TICKS) as reader:
            assert witness.seen == [(row.epoch, row.first_seq, row.events) for row in reader.blocks()]
        assert witness.restarts == 0
        assert there.cli("status").returncode == 0
        as_operator(first, "ibstream keys revoke risk")
        eventually(lambda: there.cli("status").returncode != 0)


def test_no_tick_is_lost_over_jetstream(hosts: Hosts, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    server = NatsServer(tmp_path, hosts.addresses[0], hosts.prefixes[0])
    server.start()
    relayed = " ".join(STREAMS)
    env = {"nats_url": server.url, "heartbeat_timeout": 5}
    sends = env | {"relay_send": relayed, "expected_services": "gateway planner relay"}
    takes = env | {"relay_receive": relayed}
    try:
        with (
            Pipeline(first, [*WRITERS, "relay"], sends, prefix=hosts.prefixes[0]) as here,
            Pipeline(second, ["sink", "web", "relay"], takes, prefix=hosts.prefixes[1]) as there,
        ):
            eventually(lambda: there.quote("SPY"), 60)
            started = time.monotonic()
            more_ticks(there.settings)
            cut(hosts)
            at_return = end(here.settings)
            assert at_return > end(there.settings)
            eventually(lambda: end(there.settings) > at_return, 60)
            eventually(lambda: time.monotonic() > started + START_GRACE, 30)  # by now a sink would be missed
            assert "sink" not in here.await_status("connected").services
            eventually(lambda: page_says(hosts, there) == "connected", 60)
            here.kill("simulator", signal.SIGTERM)
            into = tmp_path / "rebuilt"
            eventually(lambda: folded_files(there.data / "ib" / "stream") == folded(here.settings, into) != {}, 60)
            with (
                JournalReader(here.settings.journal_dir, TICKS) as written,
                JournalReader(there.settings.journal_dir, TICKS) as relayed_here,
            ):
                assert list(relayed_here.blocks()) == list(written.blocks())
    finally:
        server.stop()
