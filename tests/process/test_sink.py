"""The sink as a real process, fed by stand-ins for its neighbours: what other programs find on the disk."""

import json
import os
import shutil
import signal
from pathlib import Path

import msgspec
import pytest

from messages import fields
from messages.codec import decode_heartbeat, decode_quote, encode
from messages.events import ServiceChanged, StreamStarted, StreamStopped, SymbolChanged
from messages.views import ServiceStatus, Status
from services.base.clock import SECOND
from tests.blocks import NOW, ticks
from tests.process.bench import Bench, end
from tests.rebuilt import folded_files, rebuild


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path, IBSTREAM_HEARTBEAT_TIMEOUT="0.6", IBSTREAM_FILE_INTERVAL_MS="50")
    for name in ("gateway", "planner", "supervisor"):
        bench.fake(name)
    yield bench
    bench.close()


def begin(bench: Bench, symbols: list[str]) -> None:
    bench.fakes["supervisor"].events("control", StreamStarted())
    bench.fakes["planner"].plan(symbols)
    live = [SymbolChanged(symbol=symbol, state="live", stale=False) for symbol in symbols]
    bench.fakes["gateway"].events("link", *live)


def last(bench: Bench, symbol: str, price: float, second: int = 0) -> None:
    bench.fakes["gateway"].ticks([(symbol, fields.LAST, price, 100.0)], NOW + second * SECOND)


def read(bench: Bench, name: str) -> dict:
    try:
        return json.loads((bench.settings.stream_dir / f"{name}.json").read_bytes())
    except FileNotFoundError:
        return {}


def publish_status(bench: Bench, word: str, **more) -> None:
    status = Status(status=word, api_mode="mock", services={"supervisor": ServiceStatus(state="up")}, **more)
    bench.fakes["supervisor"].publisher.set_last("status", encode(status))


def test_prices_land_in_files_and_topics(bench):
    begin(bench, ["SPY", "BRK.B"])
    last(bench, "SPY", 500.0)
    bench.spawn("sink")
    subscriber = bench.subscribe("sink", "quote.SPY")
    bench.until(lambda: read(bench, "SPY").get("last") == 500.0)
    assert read(bench, "BRK.B") == {}
    for second in range(1, 40):
        last(bench, "SPY", 500.0 + second, second)
    last(bench, "BRK.B", 400.0, 40)
    bench.until(lambda: read(bench, "SPY").get("last") == 539.0 and read(bench, "BRK.B").get("last") == 400.0)
    assert read(bench, "SPY")["timestamp"] == "2026-01-05T14:30:39.000000Z"
    assert read(bench, "SPY")["stale"] is False
    received = []
    bench.until(
        lambda: received.extend(subscriber.drain()) or (received and decode_quote(received[-1][1]).last == 539.0)
    )
    assert {topic for topic, _ in received} == {"quote.SPY"}

    bench.fakes["gateway"].events("link", SymbolChanged("SPY", "stale", True, "farm_down"))
    bench.until(lambda: read(bench, "SPY").get("reason") == "farm_down")
    bench.fakes["supervisor"].events("control", ServiceChanged("gateway", "down"))
    bench.until(lambda: read(bench, "BRK.B").get("reason") == "service_down")
    bench.fakes["planner"].plan(["BRK.B"])
    bench.until(lambda: read(bench, "SPY").get("reason") == "unplanned")
    bench.fakes["supervisor"].events("control", StreamStopped())
    bench.until(lambda: read(bench, "SPY").get("reason") == "stopped" and read(bench, "BRK.B")["stale"])
    assert read(bench, "SPY")["last"] == 539.0


def test_a_new_subscriber_gets_the_current_quotes_at_once(bench):
    begin(bench, ["SPY", "QQQ"])
    last(bench, "SPY", 500.0)
    last(bench, "QQQ", 400.0)
    bench.spawn("sink")
    bench.until(lambda: read(bench, "SPY") and read(bench, "QQQ"))
    late, received = bench.subscribe("sink", "quote."), {}
    bench.until(lambda: received.update(dict(late.drain())) or len(received) == 2)
    assert decode_quote(received["quote.QQQ"]).last == 400.0


def test_killed_and_started_again_the_files_are_those_of_the_journal(bench, tmp_path):
    begin(bench, ["SPY", "QQQ"])
    sink = bench.spawn("sink")
    for number in range(6):
        for second in range(30):
            last(bench, "SPY", 500.0 + second, number * 60 + second)
            bench.pump()
        bench.until(lambda: read(bench, "SPY"))
        end(sink, signal.SIGKILL)
        last(bench, "QQQ", 400.0 + number, number * 60 + 59)  # while nobody is there
        sink = bench.spawn("sink")
    bench.until(lambda: read(bench, "QQQ").get("last") == 405.0 and read(bench, "SPY").get("last") == 529.0)
    output = end(sink)
    assert "stream_folded_again" not in output
    rebuild(bench.settings.journal_dir, tmp_path / "into")
    assert folded_files(bench.settings.stream_dir) == folded_files(tmp_path / "into")


@pytest.mark.parametrize("state", ["damaged", "missing", "old"])
def test_without_a_usable_state_all_is_rebuilt(bench, state):
    begin(bench, ["SPY"])
    last(bench, "SPY", 500.0)
    end_path = bench.settings.state_dir / "sink.state"
    sink = bench.spawn("sink")
    bench.until(lambda: read(bench, "SPY") and end_path.exists())
    old = end_path.read_bytes()
    last(bench, "SPY", 501.0, 1)
    bench.until(lambda: read(bench, "SPY")["last"] == 501.0)
    end(sink)
    if state == "missing":
        end_path.unlink()
    else:
        end_path.write_bytes(old if state == "old" else end_path.read_bytes()[:-3] + b"???")
    spy = bench.settings.stream_dir / "SPY.json"
    good = folded_files(bench.settings.stream_dir)
    spy.write_bytes(b"{ half")
    sink = bench.spawn("sink")
    bench.until(lambda: spy.read_bytes() != b"{ half" and folded_files(bench.settings.stream_dir) == good)
    assert ("state_unusable" in end(sink)) == (state == "damaged")


def test_with_all_neighbours_down_the_files_still_follow_the_journal(bench):
    begin(bench, ["SPY"])
    last(bench, "SPY", 500.0)
    for service in bench.fakes.values():
        service.beating = False
    bench.spawn("sink")
    bench.until(lambda: read(bench, "SPY").get("last") == 500.0)


def test_lost_frames_are_found_by_the_heartbeat(bench):
    begin(bench, ["SPY"])
    bench.spawn("sink")
    last(bench, "SPY", 500.0)
    bench.until(lambda: read(bench, "SPY"))
    bench.fakes["gateway"].deaf = True
    last(bench, "SPY", 501.0, 1)
    bench.until(lambda: read(bench, "SPY")["last"] == 501.0)


def test_a_journal_that_began_again_is_folded_again(bench, tmp_path):
    begin(bench, ["SPY"])
    sink = bench.spawn("sink")
    for second in range(20):
        last(bench, "SPY", 500.0 + second, second)
    bench.until(lambda: read(bench, "SPY").get("last") == 519.0)
    end(sink)
    bench.fakes.pop("gateway").close()
    shutil.rmtree(bench.settings.journal_dir / "ticks")  # as a user does who wants a fresh start
    gateway = bench.fake("gateway")
    gateway.events("link", SymbolChanged("SPY", "live", False))
    last(bench, "SPY", 400.0, 100)
    bench.spawn("sink")
    bench.until(lambda: read(bench, "SPY").get("last") == 400.0)
    rebuild(bench.settings.journal_dir, tmp_path / "into")
    assert folded_files(bench.settings.stream_dir) == folded_files(tmp_path / "into")


def test_nonsense_on_the_bus_is_dropped_and_the_journal_counts(bench):
    begin(bench, ["SPY"])
    sink = bench.spawn("sink")
    last(bench, "SPY", 500.0)
    bench.until(lambda: read(bench, "SPY"))
    gateway = bench.fakes["gateway"]
    head = gateway.writers["ticks"].journal
    uneven = ticks([("SPY", fields.LAST, 666.0, 1.0)], epoch=head.epoch, seq=head.next_seq)
    for payload in (b"", b"\xc1", b"\x00" * 100_000, encode(msgspec.structs.replace(uneven, value=b"odd"))):
        gateway.publish("ticks", payload)
        gateway.publish("link", payload)
        bench.fakes["supervisor"].publish("status", payload)
    last(bench, "SPY", 501.0, 1)
    bench.until(lambda: read(bench, "SPY")["last"] == 501.0)
    assert sink.poll() is None


def test_the_status_file_follows_the_supervisor_and_says_when_it_is_gone(bench):
    begin(bench, ["SPY"])
    sink = bench.spawn("sink")
    publish_status(bench, "connected", subscribed_symbols=["SPY"])
    bench.until(lambda: read(bench, "_status").get("status") == "connected")
    bench.fakes["supervisor"].beating = False
    bench.until(lambda: read(bench, "_status").get("reason") == "service_down")
    assert read(bench, "_status")["status"] == "degraded"
    bench.fakes["gateway"].beating = False
    bench.until(lambda: read(bench, "_status").get("status") == "disconnected")
    bench.fakes["supervisor"].beating = bench.fakes["gateway"].beating = True
    publish_status(bench, "connected", subscribed_symbols=["SPY"])
    bench.until(lambda: read(bench, "_status").get("status") == "connected")
    end(sink)
    status = read(bench, "_status")
    assert (status["status"], status["reason"], status["subscribed_symbols"]) == ("stopped", "shutdown", ["SPY"])


def test_a_file_that_cannot_be_written_is_announced_and_tried_again(bench):
    blocked = bench.settings.stream_dir / "SPY.json"
    blocked.mkdir(parents=True)
    begin(bench, ["SPY", "QQQ"])
    bench.spawn("sink")
    last(bench, "SPY", 500.0)
    last(bench, "QQQ", 400.0)
    heartbeats = bench.subscribe("sink", "heartbeat.sink")
    quotes, received = bench.subscribe("sink", "quote.SPY"), []

    def problem() -> str | None:
        beats = heartbeats.drain()
        return decode_heartbeat(beats[-1][1]).problem if beats else None

    bench.until(lambda: "SPY.json" in (problem() or ""))
    bench.until(lambda: read(bench, "QQQ").get("last") == 400.0)
    bench.until(lambda: received.extend(quotes.drain()) or received)
    blocked.rmdir()
    bench.until(lambda: read(bench, "SPY").get("last") == 500.0)
    beats: list = []
    bench.until(lambda: beats.extend(heartbeats.drain()) or (beats and decode_heartbeat(beats[-1][1]).problem is None))


def test_stopped_with_its_neighbours_it_has_their_last_words(bench, tmp_path):
    begin(bench, ["SPY"])
    sink = bench.spawn("sink")
    last(bench, "SPY", 500.0)
    bench.until(lambda: read(bench, "SPY"))
    for name in ("planner", "supervisor"):
        bench.fakes.pop(name).close()
    sink.send_signal(signal.SIGTERM)
    bench.fakes["gateway"].deaf = True
    last(bench, "SPY", 501.0, 1)
    bench.fakes["gateway"].events("link", SymbolChanged("SPY", "stale", True, "shutdown"))
    bench.fakes.pop("gateway").close()
    end(sink)
    assert (read(bench, "SPY")["last"], read(bench, "SPY")["reason"]) == (501.0, "shutdown")
    rebuild(bench.settings.journal_dir, tmp_path / "into")
    assert folded_files(bench.settings.stream_dir) == folded_files(tmp_path / "into")


def test_a_second_sink_on_the_same_data_root_is_refused(bench):
    bench.spawn("sink")
    lock = bench.settings.run_path / "sink.lock"
    bench.until(lock.exists)
    bench.until(lambda: (bench.settings.run_path / "sink.events").exists())
    second = bench.spawn("sink")
    output = second.communicate(timeout=20)[0]
    assert second.returncode == 3
    assert "ib_stream_lock_busy" in output


def test_gives_way_to_the_gateway(bench):
    """With all of its threads: the bus's too."""
    begin(bench, ["SPY"])
    last(bench, "SPY", 500.0)
    own = os.getpriority(os.PRIO_PROCESS, 0)
    process = bench.spawn("sink", IBSTREAM_SINK_NICE="7")
    bench.until(lambda: read(bench, "SPY").get("last") == 500.0)
    threads = [int(task.name) for task in Path(f"/proc/{process.pid}/task").iterdir()]
    assert len(threads) > 1
    assert {os.getpriority(os.PRIO_PROCESS, thread) for thread in threads} == {max(own, 7)}
