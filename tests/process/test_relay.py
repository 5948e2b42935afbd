"""The relay over a real NATS server: one machine writes, the other has the same journal and the same files.

Two data roots stand for two machines: nothing but NATS connects them. Killed in turn under load: the server,
either relay.
"""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from messages.topics import STREAMS, TICKS, streams
from services.journal import JournalReader, Row
from tests.process.nats_server import NatsServer
from tests.process.pipeline import CORE, Pipeline
from tests.rebuilt import folded_files, rebuild
from tests.support import eventually, free_port

WRITERS = {"simulator", "gateway", "gateway.a", "gateway.b", "planner", "supervisor"}
RELAYED = " ".join(STREAMS)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    made = NatsServer(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def here(tmp_path: Path, server: NatsServer) -> Iterator[Pipeline]:
    """The machine with the gateway."""
    env = {"nats_url": server.url, "relay_send": RELAYED, "heartbeat_timeout": 5}
    (tmp_path / "here").mkdir()
    with Pipeline(tmp_path / "here", [*CORE, "relay"], env) as built:
        yield built


@pytest.fixture
def there(tmp_path: Path, server: NatsServer) -> Iterator[Pipeline]:
    """The machine with the sink."""
    env = {"nats_url": server.url, "relay_receive": RELAYED, "heartbeat_timeout": 5}
    (tmp_path / "there").mkdir()
    with Pipeline(tmp_path / "there", ["sink", "relay"], env) as built:
        yield built


def rows(pipeline: Pipeline, stream: str) -> list[Row]:
    with JournalReader(pipeline.settings.journal_dir, stream) as reader:
        return list(reader.blocks())


def end(pipeline: Pipeline, stream: str) -> int:
    with JournalReader(pipeline.settings.journal_dir, stream) as reader:
        last = reader.last()
    return last.last_seq if last is not None else 0


def relay_state(pipeline: Pipeline) -> tuple[str, str | None]:
    """What the supervisor says of the relay."""
    status = pipeline.status()
    found = status.services.get("relay") if status is not None else None
    return (found.state, found.detail) if found is not None else ("unknown", None)


def more_ticks(pipeline: Pipeline, count: int = 50) -> None:
    """Wait until so many more ticks have come."""
    goal = end(pipeline, TICKS) + count
    eventually(lambda: end(pipeline, TICKS) >= goal, 60)


def check_same(here: Pipeline, there: Pipeline, tmp_path: Path) -> None:
    """End the writers; both journals are the same then, and the files those of the journal."""
    written = streams(here.settings.gateway_names)
    for name in WRITERS & here.processes.keys():
        here.kill(name, signal.SIGTERM)
    for stream in written:
        eventually(lambda stream=stream: end(there, stream) == end(here, stream), 60)  # type: ignore[misc]
    here.stop()
    there.stop()
    for stream in written:
        assert rows(there, stream) == rows(here, stream)
    rebuild(here.settings.journal_dir, tmp_path / "rebuilt")
    expected = folded_files(tmp_path / "rebuilt")
    files = folded_files(there.data / "ib" / "stream")
    assert len(files) > 5
    assert files == expected
    command = there.cli("verify", timeout=60)
    assert command.returncode == 0, command.stdout


def test_the_other_machine_has_the_same_files(here: Pipeline, there: Pipeline, tmp_path: Path) -> None:
    here.await_status("connected", timeout=60)
    eventually(lambda: there.quote("SPY"))
    eventually(lambda: relay_state(here) == ("up", None))
    eventually(lambda: (there.status_file() or {}).get("status") == "connected")
    more_ticks(there)
    check_same(here, there, tmp_path)


def test_a_killed_server_loses_nothing(here: Pipeline, there: Pipeline, server: NatsServer, tmp_path: Path) -> None:
    more_ticks(there)
    for _ in range(2):
        server.kill()
        eventually(lambda: relay_state(here)[0] == "failing" and "NATS at" in (relay_state(here)[1] or ""), 30)
        more_ticks(here)
        server.start()
        more_ticks(there)
    check_same(here, there, tmp_path)


@pytest.mark.parametrize("side", ["here", "there"])
def test_a_killed_relay_doubles_nothing(side: str, here: Pipeline, there: Pipeline, tmp_path: Path) -> None:
    for _ in range(3):
        more_ticks(there)
        (here if side == "here" else there).restart("relay")
    more_ticks(there)
    check_same(here, there, tmp_path)


def test_a_restarted_gateway_is_followed(here: Pipeline, there: Pipeline, tmp_path: Path) -> None:
    more_ticks(there)
    here.restart("gateway")
    eventually(lambda: rows(there, TICKS)[-1].epoch == 2, 60)
    more_ticks(there)
    check_same(here, there, tmp_path)


def test_the_streams_of_several_gateways(server: NatsServer, tmp_path: Path) -> None:
    port = free_port()
    both = {"gateways": f"a=127.0.0.1:{port}/17 b=127.0.0.1:{port}/18", "nats_url": server.url, "heartbeat_timeout": 5}
    for side in ("here", "there"):
        (tmp_path / side).mkdir()
    services = ["simulator", "gateway.a", "gateway.b", "planner", "sink", "supervisor", "relay"]
    with (
        Pipeline(tmp_path / "here", services, both | {"relay_send": RELAYED, "sim_port": port}) as here,
        Pipeline(tmp_path / "there", ["sink", "relay"], both | {"relay_receive": RELAYED}) as there,
    ):
        here.await_status("connected", timeout=60)
        eventually(lambda: min(end(there, "ticks.a"), end(there, "ticks.b")) > 50, 60)
        check_same(here, there, tmp_path)


def test_a_relay_without_a_stream_is_refused(tmp_path: Path) -> None:
    with Pipeline(tmp_path, ["relay"]) as built:
        assert built.processes["relay"].wait(30) == 2
        assert "IBSTREAM_RELAY_SEND" in built.log("relay")


def test_a_mirror_and_its_writer_do_not_share_a_machine(there: Pipeline) -> None:
    eventually(lambda: "relay" in there.log("relay"))
    there.start("gateway")
    assert there.processes["gateway"].wait(30) == 3
