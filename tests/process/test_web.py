"""The web as a real process: what a browser, a monitor and other programs get from it."""

import asyncio
import json
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from messages.codec import decode_heartbeat, encode
from messages.control import Accepted, Start
from messages.topics import SUPERVISOR_CONTROL
from messages.views import Quote
from services.runtime.bus import Server
from tests.process.bench import Bench, clean_environment, end
from tests.process.test_sink import begin, last, publish_status
from tests.support import NO_TLS, free_port

API = "/api/ib/stream"
EXAMPLE = Path(__file__).parents[2] / "deploy" / "examples" / "subscribe_status.py"


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path, IBSTREAM_HEARTBEAT_TIMEOUT="0.6", IBSTREAM_WEB_PORT=str(free_port()))
    for name in ("gateway", "planner", "supervisor", "sink"):
        bench.fake(name)
    yield bench
    bench.close()


def base(bench: Bench) -> str:
    return f"http://127.0.0.1:{bench.settings.web_port}"


def ready(bench: Bench, path: str = "/readyz") -> bool:
    try:
        return httpx.get(base(bench) + path, timeout=2, verify=NO_TLS).status_code == 200
    except httpx.HTTPError:
        return False


def get(bench: Bench, path: str) -> httpx.Response:
    bench.pump()
    return httpx.get(base(bench) + path, timeout=10, verify=NO_TLS)


def publish_quote(bench: Bench, symbol: str, price: float, **more) -> None:
    quote = Quote(symbol=symbol, last=price, stale=False, epoch=1, seq=1, **more)
    bench.fakes["sink"].publisher.set_last(f"quote.{symbol}", encode(quote))


class Listener:
    """An event stream, read in a thread."""

    def __init__(self, bench: Bench, last_event_id: str | None = None) -> None:
        self.lines: list[str] = []
        self.ended = threading.Event()
        self._headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        self._url = f"{base(bench)}{API}/events"
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            with httpx.stream("GET", self._url, headers=self._headers, timeout=30, verify=NO_TLS) as response:
                for line in response.iter_lines():
                    self.lines.append(line)
        except httpx.HTTPError as error:
            self.lines.append(f"error {error!r}")
        finally:
            self.ended.set()

    def data(self, event: str) -> list:
        pairs = zip(self.lines, self.lines[1:], strict=False)
        return [json.loads(then[6:]) for line, then in pairs if line == f"event: {event}"]

    @property
    def event_id(self) -> str:
        return next((line[4:] for line in reversed(self.lines) if line.startswith("id: ")), "")


def test_what_the_bus_says_is_on_the_page(bench):
    begin(bench, ["SPY"])
    web = bench.spawn("web")
    publish_status(bench, "connected")
    publish_quote(bench, "SPY", 500.0)
    bench.until(lambda: ready(bench))
    bench.until(lambda: get(bench, f"{API}/snapshot?symbol=SPY").status_code == 200)
    assert get(bench, f"{API}/status").json()["status"] == "connected"
    assert get(bench, f"{API}/snapshot?symbol=SPY").json()["last"] == 500.0
    assert get(bench, f"{API}/plan").json()["symbols"][0]["symbol"] == "SPY"
    assert get(bench, "/").headers["content-type"].startswith("text/html")
    bench.until(lambda: 'ibstream_service_up{service="web"} 1.0' in get(bench, "/metrics").text)
    assert f"open {base(bench)}" in end(web)


def test_events_go_on_where_a_client_left_off(bench):
    bench.spawn("web")
    publish_status(bench, "connected")
    publish_quote(bench, "SPY", 500.0)
    publish_quote(bench, "QQQ", 400.0)
    bench.until(lambda: ready(bench))
    first = Listener(bench)
    bench.until(lambda: first.data("status") and first.data("quotes"))
    publish_quote(bench, "SPY", 501.0)
    bench.until(lambda: first.data("quotes")[-1][0]["last"] == 501.0)
    seen = first.event_id
    publish_quote(bench, "QQQ", 401.0)
    bench.until(lambda: first.data("quotes")[-1][0]["symbol"] == "QQQ")
    resumed = Listener(bench, seen)
    bench.until(lambda: resumed.data("quotes"))
    assert [quote["symbol"] for quote in resumed.data("quotes")[0]] == ["QQQ"]
    fresh = Listener(bench, "another-7")
    bench.until(lambda: fresh.data("quotes"))
    assert {quote["symbol"] for quote in fresh.data("quotes")[0]} == {"SPY", "QQQ"}


def test_the_silence_of_the_supervisor_reaches_the_page(bench):
    bench.spawn("web")
    publish_status(bench, "connected")
    bench.until(lambda: ready(bench))
    listener = Listener(bench)
    bench.until(lambda: listener.data("status"))
    bench.fakes["supervisor"].beating = False
    bench.until(lambda: listener.data("status")[-1]["reason"] == "service_down")
    assert get(bench, f"{API}/status").json()["detail"]["code"] == "supervisor_unreachable"
    bench.fakes["supervisor"].beating = True
    publish_status(bench, "connected")
    bench.until(lambda: listener.data("status")[-1]["status"] == "connected")


def test_commands_reach_the_supervisor(bench):
    commands = []

    def accept(command):
        commands.append(command)
        return Accepted(seq=3)

    bench.spawn("web")
    server = Server(bench.context, bench.settings, SUPERVISOR_CONTROL, accept)
    try:
        bench.until(lambda: ready(bench, "/healthz"))
        answers: list[httpx.Response] = []
        asking = threading.Thread(
            target=lambda: answers.append(
                httpx.post(f"{base(bench)}{API}/start", json={"symbols": ["SPY"]}, timeout=20)
            )
        )
        asking.start()
        bench.until(lambda: server.on_readable() or answers)
        asking.join()
    finally:
        server.close()
    assert answers[0].json() == {"accepted": True, "changed": True, "seq": 3}
    assert commands == [Start(symbols=["SPY"])]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_with_clients_listening_and_a_command_under_way(bench, number):
    web = bench.spawn("web")
    publish_status(bench, "connected")
    bench.until(lambda: ready(bench))
    listeners = [Listener(bench) for _ in range(5)]
    bench.until(lambda: all(listener.data("status") for listener in listeners))
    stalled = socket.create_connection(("127.0.0.1", bench.settings.web_port))
    stalled.sendall(f"GET {API}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    command = threading.Thread(target=lambda: _post_and_forget(f"{base(bench)}{API}/stop"), daemon=True)
    command.start()
    bench.until(lambda: "ibstream_web_event_clients 6.0" in get(bench, "/metrics").text)
    output = end(web, number, timeout=5)
    assert web.returncode == 0
    assert all(listener.ended.wait(5) for listener in listeners)
    assert "Traceback" not in output and "ERROR" not in output
    stalled.close()


def _post_and_forget(url: str) -> None:
    with suppress(httpx.HTTPError):
        httpx.post(url, timeout=20)


def test_a_busy_port_is_one_clear_sentence_and_waited_for(bench):
    beats = bench.subscribe("web", "heartbeat.web")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", bench.settings.web_port))
        taken.listen()
        web = bench.spawn("web")
        problem = bench.until(lambda: next((p for p in _problems(beats) if p), None))
        assert f"port {bench.settings.web_port}" in problem
        assert "IBSTREAM_WEB_PORT" in problem
    bench.until(lambda: ready(bench, "/healthz"))
    bench.until(lambda: None in _problems(beats))
    web.terminate()
    assert web.communicate(timeout=10)[0].count("page_not_served") == 1


def _problems(beats):
    return [decode_heartbeat(payload).problem for _, payload in beats.drain()]


def test_who_only_connects_takes_nothing_from_those_who_ask(bench):
    """With a thousand files, as most systems give: 1,400 that begin a request and never end it."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(files[0], min(4096, files[1])), files[1]))
    try:
        web = bench.spawn("web", preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024)))
        bench.until(lambda: ready(bench, "/healthz"))
        with ExitStack() as stack:
            idle = []
            for _ in range(1400):
                sock = socket.create_connection(("127.0.0.1", bench.settings.web_port), timeout=5)
                idle.append(stack.enter_context(sock))
                with suppress(OSError):
                    sock.sendall(b"GET / HT")
                sock.setblocking(False)
            bench.until(lambda: sum(map(_is_closed, idle)) >= 1400 - 1024)
            for sock in idle:  # those that are open may only keep out others until their deadline
                if not _is_closed(sock):
                    sock.close()
                    break
            bench.until(lambda: ready(bench, "/healthz"))
        web.terminate()
        output = web.communicate(timeout=10)[0]
        assert output.count("connections_refused") == 1
        assert len(output.splitlines()) < 20
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, files)


def _is_closed(sock):
    try:
        return sock.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_a_request_with_two_lengths_is_refused(bench):
    bench.spawn("web")
    bench.until(lambda: ready(bench, "/healthz"))
    with socket.create_connection(("127.0.0.1", bench.settings.web_port), timeout=5) as sock:
        sock.sendall(
            b"POST /api/ib/stream/stop HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        )
        answers = b"".join(iter(lambda: sock.recv(4096), b""))
    assert answers.startswith(b"HTTP/1.1 400")
    assert answers.count(b"HTTP/1.1 ") == 1


def test_an_address_for_others_needs_a_token(bench):
    web = bench.spawn("web", IBSTREAM_WEB_HOST="0.0.0.0")
    output = web.communicate(timeout=20)[0]
    assert web.returncode == 2
    assert "IBSTREAM_WEB_TOKEN" in output
    open_web = bench.spawn("web", IBSTREAM_WEB_HOST="0.0.0.0", IBSTREAM_WEB_TOKEN="s3cret")
    bench.until(lambda: ready(bench, "/healthz"))
    assert get(bench, f"{API}/quotes").status_code == 401
    answer = httpx.get(f"{base(bench)}{API}/quotes", headers={"Authorization": "Bearer s3cret"})
    assert answer.json() == {"quotes": []}
    assert "s3cret" not in end(open_web)


def test_history_comes_from_the_journal_also_with_the_gateway_down(bench):
    begin(bench, ["SPY"])
    now = time.time_ns()
    for second in range(10):
        bench.fakes["gateway"].ticks([("SPY", 4, 500.0 + second, 1.0)], now - (10 - second) * 10**9)
    bench.spawn("web")
    bench.until(lambda: ready(bench, "/healthz"))
    points = get(bench, f"{API}/history?symbol=SPY&minutes=5").json()["points"]
    assert points[-1]["price"] == 509.0
    assert 2 <= len(points) <= 4


def test_garbage_at_the_door_harms_nobody(bench):
    web = bench.spawn("web")
    publish_status(bench, "connected")
    bench.until(lambda: ready(bench))
    for garbage in (
        b"\x00" * 5000,
        b"GET / HTTP/9.9\r\n\r\n",
        b"A" * 70_000,
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n",
    ):
        address = ("127.0.0.1", bench.settings.web_port)
        with suppress(OSError), socket.create_connection(address, timeout=5) as sock:
            sock.sendall(garbage + b"\r\n\r\n")
            sock.recv(1024)
    bench.fakes["sink"].publisher.send("quote.SPY", b"\xc1 not a quote")
    assert ready(bench)
    bench.until(lambda: "ibstream_web_malformed_frames_total 1.0" in get(bench, "/metrics").text)
    assert "Traceback" not in end(web)


def test_the_twenty_line_example_follows_the_status(bench, tmp_path):
    assert len(EXAMPLE.read_text().splitlines()) <= 22
    printed = tmp_path / "printed"
    with printed.open("w") as output:
        program = subprocess.Popen(
            [sys.executable, str(EXAMPLE), str(bench.settings.run_path)], env=clean_environment(), stdout=output
        )
    try:
        publish_status(bench, "connected", subscribed_symbols=["SPY", "QQQ"])
        bench.until(lambda: "connected - 2 symbols\n" in printed.read_text())
        publish_status(bench, "degraded", reason="farm_down", subscribed_symbols=["SPY"])
        bench.until(lambda: "degraded farm_down 1 symbols\n" in printed.read_text())
    finally:
        program.kill()
        program.wait()


def test_prices_of_a_real_sink_arrive(bench):
    bench.fakes.pop("sink").close()
    begin(bench, ["SPY"])
    bench.spawn("sink")
    bench.spawn("web")
    last(bench, "SPY", 500.0)
    bench.until(lambda: ready(bench, "/healthz"))
    bench.until(lambda: get(bench, f"{API}/snapshot?symbol=SPY").status_code == 200)
    spy = bench.settings.stream_dir / "SPY.json"
    bench.until(lambda: get(bench, f"{API}/snapshot?symbol=SPY").json() == json.loads(spy.read_bytes()))


class Crowd:
    """Event clients on one thread: each keeps the newest price of each symbol; some never read."""

    def __init__(self, bench: Bench, readers: int, stalled: int) -> None:
        self.pictures: list[dict[str, float]] = [{} for _ in range(readers)]
        self.asleep = [socket.socket() for _ in range(stalled)]
        self._port = bench.settings.web_port
        for sock in self.asleep:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", self._port))
            sock.sendall(f"GET {API}/events HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        self._thread = threading.Thread(target=lambda: asyncio.run(self._read_all()), daemon=True)
        self._thread.start()

    async def _read_all(self) -> None:
        await asyncio.gather(*map(self._read, self.pictures))

    async def _read(self, picture: dict[str, float]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=16 << 20)
        writer.write(f"GET {API}/events HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                event = await reader.readuntil(b"\n\n")
                start = event.find(b"data: [")
                if start >= 0:
                    quotes = json.loads(event[start + 6 : event.index(b"\n", start)])
                    picture.update({quote["symbol"]: quote["last"] for quote in quotes})
        writer.close()

    def close(self) -> None:
        for sock in self.asleep:
            sock.close()
        self._thread.join(10)


def test_clients_that_do_not_read_cost_little_and_hold_up_nobody(bench):
    web = bench.spawn("web")
    symbols = [f"SYM{number}" for number in range(300)]
    publish_status(bench, "connected")
    for symbol in symbols:
        publish_quote(bench, symbol, 0.0)
    bench.until(lambda: ready(bench))
    before = psutil.Process(web.pid).memory_info().rss
    crowd = Crowd(bench, readers=40, stalled=10)
    price = 0.0

    def clients_with_new_prices(count: int) -> bool:
        nonlocal price
        price += 1.0
        for symbol in symbols:
            publish_quote(bench, symbol, price)
        return f"ibstream_web_event_clients {count}.0" in get(bench, "/metrics").text

    try:
        bench.until(lambda: clients_with_new_prices(50))
        bench.until(lambda: clients_with_new_prices(40), timeout=90)  # those that do not read are let go
        bench.until(lambda: all(set(picture.values()) == {price} for picture in crowd.pictures))
        assert all(picture.keys() == set(symbols) for picture in crowd.pictures)
        assert psutil.Process(web.pid).memory_info().rss - before < 64 << 20
    finally:
        end(web)
        crowd.close()
