"""The protocol page on a real pipeline, with ZeroMQ and msgpack alone, as a program in another language takes it.

Its tables and examples are read from the page itself: what it says must work as it stands there.
"""

import contextlib
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import zmq

import ibstream
from messages import topics
from messages.codec import decode_block, decode_candle, decode_heartbeat, decode_plan, decode_quote, decode_ticks
from messages.control import ANSWERS
from messages.errors import CODES
from messages.topics import events_endpoint
from messages.views import Status
from tests.process.pipeline import ALL, Pipeline
from tests.support import REPOSITORY

PAGE = (REPOSITORY / "messages" / "PROTOCOL.md").read_text()
STARTS = {"type": "start"}
ANSWER = {kind.__struct_config__.tag: answer.__struct_config__.tag for kind, answer in ANSWERS.items()}
NOT_HERE = ("start", "remove_alert")  # examples that name a snapshot and an alert which this pipeline has not


def section(title: str) -> str:
    return PAGE[PAGE.index(f"\n## {title}\n") :].partition("\n## ")[2].partition("\n## ")[0]


def examples(title: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in re.findall(r"```json\n(.*?)```", section(title), re.DOTALL)]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with Pipeline(tmp_path_factory.mktemp("protocol"), ALL) as running:
        running.await_status("connected", timeout=60)
        yield running


@contextlib.contextmanager
def connected(pipeline: Pipeline, kind: int, endpoint: str) -> Iterator["zmq.Socket[bytes]"]:
    with zmq.Context() as context, context.socket(kind) as sock:
        sock.linger = 0
        sock.connect(f"ipc://{pipeline.settings.run_path}/{endpoint}")
        yield sock


def ask(pipeline: Pipeline, endpoint: str, message: dict[str, Any]) -> dict[str, Any]:
    """The reply to a REQ socket, within the time that the page says."""
    seconds = 30 if endpoint.startswith("planner") else 5
    with connected(pipeline, zmq.REQ, endpoint) as sock:
        sock.send(msgspec.msgpack.encode(message))
        assert sock.poll(seconds * 1000), f"{endpoint} did not answer {message}"
        reply: dict[str, Any] = msgspec.msgpack.decode(sock.recv())
        return reply


def frame(pipeline: Pipeline, endpoint: str, topic: str) -> bytes:
    """The payload of the first frame of a topic: all of that name, a topic being a prefix on the wire."""
    with connected(pipeline, zmq.SUB, endpoint) as sock:
        sock.setsockopt(zmq.SUBSCRIBE, topic.encode())
        while True:
            assert sock.poll(20_000), f"nothing came on {topic} of {endpoint}"
            name, payload = sock.recv_multipart()
            if name.decode() == topic:
                return payload


def test_each_topic_of_the_table_is_published_where_it_says(pipeline: Pipeline) -> None:
    rows = re.findall(r"^\| (`.*?) \| `(.*?)` \|", section("Topics"), re.MULTILINE)
    read: dict[str, Callable[[bytes], object]] = {
        "status": lambda payload: msgspec.msgpack.decode(payload, type=Status).status == "connected",
        "quote.SYMBOL": lambda payload: decode_quote(payload).symbol == "SPY",
        "candle.INTERVAL.SYMBOL": lambda payload: decode_candle(payload).interval == "1m",
        "plan": lambda payload: decode_plan(payload).symbols,
        "ticks": lambda payload: decode_ticks(payload).count,
    }
    seen = set()
    ask(pipeline, "supervisor.control", {"type": "refresh_plan"})
    for names, place in rows:
        for name in re.findall("`(.*?)`", names):
            if name == "heartbeat.SERVICE":
                for service in ALL:
                    payload = frame(pipeline, events_endpoint(service), f"heartbeat.{service}")
                    assert decode_heartbeat(payload).service == service
            elif name in read:
                assert read[name](frame(pipeline, place, name.replace("SYMBOL", "SPY").replace("INTERVAL", "1m")))
            seen.add(name)
    assert seen >= {*read, "heartbeat.SERVICE", topics.LINK, topics.CONTROL}  # the last two: asked for by replay, below


def test_every_command_is_answered_where_it_says(pipeline: Pipeline) -> None:
    """The page's examples as they stand; then the stream goes on as before."""
    supervisor, planner = section("Commands").split("To `planner.control`")
    for endpoint, text in (("planner.control", planner), ("supervisor.control", supervisor)):
        for found in re.findall(r"```json\n(.*?)```", text, re.DOTALL):
            command = json.loads(found)
            reply = ask(pipeline, endpoint, command)
            if reply["type"] == "failed":
                assert command["type"] in NOT_HERE and reply["code"] in CODES, reply
            else:
                assert reply["type"] == ANSWER[command["type"]]
    ask(pipeline, "supervisor.control", {"type": "stop"})
    assert ask(pipeline, "supervisor.control", {"type": "stop"})["changed"] is False
    accepted = ask(pipeline, "supervisor.control", STARTS)
    assert accepted["type"] == "accepted" and "changed" not in accepted and accepted["seq"] > 0
    busy = ask(pipeline, "supervisor.control", STARTS)
    assert busy == next(reply for reply in examples("Replies") if reply.get("code") == "ib_stream_lock_busy")
    pipeline.await_status("connected", timeout=60)


def test_a_refusal_names_the_field(pipeline: Pipeline) -> None:
    refused = ask(pipeline, "planner.control", {"type": "compute_plan", "request": STARTS | {"symbols": ["???"]}})
    shown = next(reply for reply in examples("Replies") if reply.get("code") == "invalid_symbol")
    assert refused == shown


def test_a_dealer_sends_an_empty_frame_first(pipeline: Pipeline) -> None:
    with connected(pipeline, zmq.DEALER, "supervisor.control") as sock:
        sock.send_multipart([b"", msgspec.msgpack.encode({"type": "get_status"})])
        assert sock.poll(5_000)
        empty, reply = sock.recv_multipart()
        assert empty == b"" and msgspec.msgpack.decode(reply)["type"] == "status"


def test_a_stream_is_joined_without_a_gap(pipeline: Pipeline) -> None:
    request, _ = examples("Without a gap")
    for stream, endpoint in (("ticks", "gateway"), ("link", "gateway"), ("plan", "planner"), ("control", "supervisor")):
        cursor, blocks = 1, []
        while True:
            reply = ask(pipeline, f"{endpoint}.replay", request | {"stream": stream, "from_seq": cursor})
            blocks += [decode_block(stream, block) for block in reply["blocks"]]
            cursor = reply["next_seq"]
            if cursor > reply["head_seq"] or not reply["blocks"]:
                break
        counts = [getattr(block, "count", 1) for block in blocks]
        seqs = [block.first_seq for block in blocks]
        assert seqs[0] == 1 and seqs[1:] == [seq + count for seq, count in zip(seqs, counts, strict=True)][:-1]


def test_a_misspelt_field_is_refused_by_name_on_every_way_in(pipeline: Pipeline) -> None:
    for endpoint, command in (
        ("supervisor", STARTS),
        ("supervisor", {"type": "stop"}),
        ("planner", {"type": "list_projects"}),
    ):
        reply = ask(pipeline, f"{endpoint}.control", command | {"projekt_id": 7})
        assert (reply["type"], reply["code"]) == ("failed", "invalid_request") and "projekt_id" in reply["message"]
    reply = ask(pipeline, "gateway.replay", {"type": "replay", "stream": "ticks", "from_seq": 1, "projekt_id": 7})
    assert reply["type"] == "failed" and "projekt_id" in reply["message"]

    for path in ("start", "stop", "plan"):
        url = f"http://127.0.0.1:{pipeline.web_port}/api/ib/stream/{path}"
        posted = urllib.request.Request(url, b'{"projekt_id": 7}', {"Content-Type": "application/json"})
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(posted, timeout=10)
        with caught.value as answer:
            detail = json.load(answer)["detail"]
        assert detail["code"] == "invalid_request" and "projekt_id" in json.dumps(detail)

    told = pipeline.cli("start", "--projekt", "7")
    assert told.returncode == CODES["invalid_request"].exit and "--projekt" in told.stderr
    with ibstream.connect(pipeline.folder / "data") as client, pytest.raises(TypeError, match="projekt_id"):
        client.start(projekt_id=7)  # type: ignore[call-arg]
    assert pipeline.await_status("connected").status == "connected"
