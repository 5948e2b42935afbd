"""The Python client, the examples and the Node example on a real pipeline: they follow, command, and refuse."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import ibstream
from ibstream.ticks import Mark
from messages.errors import CODES
from messages.ticks import Tick
from services.base.clock import SECOND
from tests.process.pipeline import ALL, Pipeline
from tests.support import REPOSITORY, eventually, free_port, missing, program

SERVICES_NEED = {"fastapi", "filelock", "honcho", "ibapi", "prometheus_client", "google.protobuf", "pyarrow", "rich",
                 "sqlalchemy", "structlog", "typer", "uvicorn"}  # fmt: skip
EXAMPLES = REPOSITORY / "deploy" / "examples"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """One pipeline for all who only read, connected."""
    with Pipeline(tmp_path_factory.mktemp("client"), ALL) as pipeline:
        with ibstream.connect(pipeline.folder / "data") as client:
            client.wait_until_connected(60)
        yield pipeline


def addresses(pipeline: Pipeline) -> dict[str, str]:
    return {"files": str(pipeline.folder / "data"), "http": f"http://127.0.0.1:{pipeline.web_port}"}


def test_the_client_needs_pyzmq_and_msgspec_alone() -> None:
    program = "import sys, ibstream, ibstream.testing; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert {"zmq", "msgspec"} <= {*found.stdout.split()}
    assert not SERVICES_NEED & {*found.stdout.split()}


@pytest.mark.parametrize("way", ["files", "http"])
def test_a_price_the_status_and_the_plan(running: Pipeline, way: str) -> None:
    with ibstream.connect(addresses(running)[way]) as client:
        client.wait_until_connected(60)
        quote = client.price("SPY", max_age=30, sources={"mock"})
        assert quote.bid is not None and quote.good_until is not None
        with pytest.raises(ibstream.StalePrice) as caught:
            client.price("SPY", sources={"ib_stream"})
        assert (caught.value.reason, caught.value.source) == ("source", "mock")
        with pytest.raises(ibstream.UnknownSymbol):
            client.price("NEVER")
        assert "SPY" in [planned.symbol for planned in client.plan().symbols]
        with pytest.raises(ibstream.CommandRefused) as refused:
            client.start()
        assert refused.value.reason == "ib_stream_lock_busy"


@pytest.mark.parametrize("way", ["files", "http"])
def test_quotes_as_they_change(running: Pipeline, way: str) -> None:
    with ibstream.connect(addresses(running)[way]) as client:
        seen = []
        for quote in client.quotes("SPY", "QQQ"):
            seen.append(quote)
            if len(seen) >= 6 and {one.symbol for one in seen} == {"SPY", "QQQ"}:
                break
        assert not any(one.stale for one in seen)
        assert all(one.good_until for one in seen)


def test_candles_of_the_past_and_live_are_the_same_everywhere(running: Pipeline) -> None:
    ways = addresses(running)
    with ibstream.connect(ways["files"]) as here, ibstream.connect(ways["http"]) as far:
        for client in (here, far):
            live = next(iter(client.live_candles("SPY")))
            assert (live.symbol, live.interval, live.source) == ("SPY", "1m", "mock")
        begin = time.time_ns() - 20 * SECOND

        def over() -> int:
            """A moment before which there is a candle; the stream may have just begun."""
            until = time.time_ns() - 2 * SECOND
            return until if list(here.candles("SPY", "1s", begin, until)) else 0

        until = eventually(over)
        found = list(here.candles("SPY", "1s", begin, until))
        assert list(far.candles("SPY", "1s", begin, until)) == found
        with pytest.raises(ibstream.UnknownSymbol):
            list(far.candles("ZZZZ"))


def test_ticks_since_a_time_have_no_gap(running: Pipeline) -> None:
    with ibstream.connect(running.folder / "data") as client:
        begin = time.time_ns() - 3_000_000_000
        numbers: list[int] = []
        for item in client.ticks(since=begin):
            if isinstance(item, Tick):
                numbers.append(item.seq)
            if len(numbers) > 400:
                break
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        of_one = []
        for item in client.ticks("SPY"):
            of_one.append(item)
            if len(of_one) > 5:
                break
        assert {item.symbol for item in of_one} == {"SPY"}


def test_nobody_there(tmp_path: Path) -> None:
    with ibstream.connect(tmp_path) as client, pytest.raises(ibstream.Unreachable):
        client.price("SPY")
    with ibstream.connect(f"http://127.0.0.1:{free_port()}") as client, pytest.raises(ibstream.Unreachable):
        client.price("SPY")


# --- examples ---


def example(pipeline: Pipeline, *command: str | Path) -> "subprocess.Popen[str]":
    env = pipeline.environment() | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen([str(part) for part in command], env=env, stdout=subprocess.PIPE, text=True, cwd=EXAMPLES)


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    try:
        return process.stdout.readline()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_follow_quotes(running: Pipeline) -> None:
    said = first_line(example(running, sys.executable, "follow_quotes.py", running.folder / "data", "SPY"))
    assert said.startswith("SPY: ") and "(mock)" in said


def test_a_risk_check(running: Pipeline) -> None:
    def check(*symbols: str) -> tuple[int, str]:
        command = [sys.executable, EXAMPLES / "risk_check.py", running.settings.stream_dir, *symbols]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        return done.returncode, done.stdout

    code, said = check("SPY", "QQQ")
    assert (code, [line.split()[0] for line in said.splitlines()]) == (0, ["SPY", "QQQ"])
    code, said = check("SPY", "NEVER")
    assert code == 1 and "NEVER must not be used" in said


def test_a_node_program(running: Pipeline, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "node", tmp_path / "node")
    npm = program("npm", "apt-get install npm")
    subprocess.run([npm, "install", "--no-audit", "--no-fund"], cwd=tmp_path / "node", check=True, capture_output=True)
    program("node", "apt-get install nodejs")
    said = first_line(example(running, "node", tmp_path / "node" / "follow.mjs", running.settings.run_path, "SPY"))
    topic, price = said.split(maxsplit=1)
    assert topic == "quote.SPY"
    assert float(price) > 0


def test_a_node_program_with_the_client(running: Pipeline, tmp_path: Path) -> None:
    """The packed client in an empty folder; beside a frozen sink its prices end, and the command line says why."""
    npm, node = program("npm", "apt-get install npm"), program("node", "apt-get install nodejs")
    ui = REPOSITORY / "services" / "web" / "ui"
    if not (ui / "node_modules").exists():
        missing("what builds the client is not installed; run `npm ci` in services/web/ui")
    shutil.copy(EXAMPLES / "node" / "price.mjs", tmp_path)
    pack = [npm, "pack", "--silent", "--workspace", "client", "--pack-destination", tmp_path]
    subprocess.run(pack, cwd=ui, check=True, capture_output=True)
    install = [npm, "install", "--silent", "--no-audit", "--no-fund", *tmp_path.glob("*.tgz")]
    subprocess.run(install, cwd=tmp_path, check=True, capture_output=True)
    process = example(running, node, tmp_path / "price.mjs", addresses(running)["http"], "SPY")
    assert process.stdout is not None
    said = iter(process.stdout.readline, "")
    sink = running.processes["sink"]
    try:
        assert next(said).endswith("from mock\n")
        assert float(next(said).removeprefix("SPY: ")) > 0
        sink.send_signal(signal.SIGSTOP)
        assert next(line for line in said if "not to be used" in line)
        told = eventually(lambda: refused_price(running))
        assert told.returncode == CODES["stale_price"].exit and "down: sink" in told.stderr
    finally:
        sink.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()
        process.stdout.close()
    running.await_status("connected")


def refused_price(pipeline: Pipeline) -> "subprocess.CompletedProcess[str] | None":
    """What the command line says, once it names a service."""
    done = pipeline.cli("price", "SPY")
    return done if "down:" in done.stderr else None


def test_a_web_backend(running: Pipeline) -> None:
    port = free_port()
    command = (sys.executable, "-m", "uvicorn", "backend_fastapi:app", "--port", str(port), "--log-level", "error")
    backend = example(running, *command)

    def get(path: str) -> dict[str, object]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                found: dict[str, object] = json.load(answer)
                return found
        except OSError:
            return {}

    try:
        eventually(lambda: get("/stream").get("status") == "connected")
        assert get("/price/SPY")["source"] == "mock"
    finally:
        backend.terminate()
        backend.communicate(timeout=10)


def test_control_and_what_the_client_says_after_a_stop(tmp_path: Path) -> None:
    with Pipeline(tmp_path) as pipeline, ibstream.connect(tmp_path / "data") as client:
        client.wait_until_connected(60)

        def control(*words: str) -> str:
            command = [sys.executable, EXAMPLES / "control.py", pipeline.settings.run_path, *words]
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=dict(os.environ))
            return done.stdout.strip() or done.stderr.strip()

        assert "ib_stream_lock_busy" in control("start", "QQQ")
        assert control("stop") == "accepted"

        def stopped() -> bool:
            try:
                client.price("SPY")
            except ibstream.StreamStopped:
                return True
            return False

        eventually(stopped)
        client.start(symbols=["IWM"])
        client.wait_until_connected(60)
        assert client.price("IWM").source == "mock"


def test_marks_say_where_prices_are_missing(tmp_path: Path) -> None:
    with Pipeline(tmp_path) as pipeline, ibstream.connect(tmp_path / "data") as client:
        client.wait_until_connected(60)
        begin = time.time_ns()
        pipeline.restart("gateway")
        marks = (item for item in client.ticks("SPY", since=begin) if isinstance(item, Mark))
        blind, verified = next(marks), next(marks)
        assert (blind.kind, blind.reason, verified.kind) == ("blind", "gateway_restarted", "verified")
        assert blind.start == verified.start < (verified.end or 0)
