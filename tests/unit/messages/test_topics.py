"""Names of streams and services, with one gateway and with several."""

from pathlib import Path

import pytest

from messages import topics
from messages.codec import decode_block, encode
from messages.topics import is_stream, kind, services, shard, streams, writer_of
from services.journal import streams_in
from services.relay.names import jetstream_name, subject, values_of
from tests.blocks import ticks


def test_one_gateway_has_the_names_that_it_always_had() -> None:
    assert topics.STREAMS == ("ticks", "link", "plan", "control")
    assert topics.SERVICES == ("simulator", "gateway", "planner", "sink", "supervisor", "web")
    assert [writer_of(stream) for stream in topics.STREAMS] == ["gateway", "gateway", "planner", "supervisor"]


def test_each_of_several_has_streams_of_its_own() -> None:
    found = streams(("a", "b"))
    assert found == ("ticks.a", "ticks.b", "link.a", "link.b", "plan", "control")
    assert [writer_of(stream) for stream in found[:4]] == ["gateway.a", "gateway.b", "gateway.a", "gateway.b"]
    assert {writer_of(stream) for stream in found} <= set(services(("a", "b")))
    assert (kind("ticks.a"), shard("ticks.a"), shard("ticks")) == ("ticks", "a", "")
    assert all(name.startswith("ticks") for name in found[:2]), "a subscription of `ticks` gets all of them"


@pytest.mark.parametrize("name", ["quotes", "checkpoints", "ticks.", "ticks.A", "ticks.a.b", "plan.a", "control.a", ""])
def test_what_is_no_stream(name: str) -> None:
    assert not is_stream(name)


def test_a_block_is_read_by_the_kind_of_its_stream() -> None:
    block = ticks([("SPY", 1, 500.0, 1.0)])
    assert decode_block("ticks.a", encode(block)) == decode_block("ticks", encode(block)) == block
    with pytest.raises(KeyError):
        decode_block("quotes", encode(block))


def test_the_streams_of_a_folder(tmp_path: Path) -> None:
    assert streams_in(tmp_path / "nothing") == streams_in(tmp_path) == topics.STREAMS
    for name in ("ticks.b", "checkpoints", "plan"):
        (tmp_path / name).mkdir()
    (tmp_path / "link.z").write_text("a file")
    assert streams_in(tmp_path) == ("ticks.b", "link.b", "plan", "control")
    assert streams_in(tmp_path, ("a",)) == streams(("a", "b"))
    (tmp_path / "ticks").mkdir()  # written before there were several
    assert streams_in(tmp_path, ("a",)) == streams(("", "a", "b"))


def test_the_names_in_nats() -> None:
    assert (subject("ticks.a"), jetstream_name("ticks.a")) == ("ibstream.ticks.a", "ibstream_ticks_a")
    assert values_of(["ticks.a", "link.a", "control"]) == ["heartbeat.gateway.a", "heartbeat.supervisor", "status"]
