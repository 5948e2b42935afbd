"""Alerts leave the machine: a real apprise URL, answered by a small HTTP server here."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.process.pipeline import Pipeline
from tests.support import eventually


class Inbox(ThreadingHTTPServer):
    """Keeps what is posted to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.received: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.server_port}/"

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.received]


class _Post(BaseHTTPRequestHandler):
    server: Inbox

    def do_POST(self) -> None:
        self.server.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with Inbox() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


def test_an_outage_and_its_end_are_told(pipeline: Callable[..., Pipeline], inbox: Inbox) -> None:
    p = pipeline(alert_urls=inbox.url, alert_min_interval=1, reset_windows="")
    p.await_status("connected")
    p.kill("simulator")
    eventually(lambda: inbox.titles == ["ibstream is disconnected"])
    told = inbox.received[0]["message"]
    assert "gateway" in told
    assert "symbols touched (" in told
    assert f"host {socket.gethostname()}, data root {p.folder / 'data'}" in told
    assert f"http://127.0.0.1:{p.web_port}" in told
    p.start("simulator")
    eventually(lambda: inbox.titles == ["ibstream is disconnected", "ibstream has recovered"])


def test_an_outage_in_a_reset_window_is_told_to_nobody(pipeline: Callable[..., Pipeline], inbox: Inbox) -> None:
    p = pipeline(alert_urls=inbox.url, alert_min_interval=1, reset_windows="daily 00:00-24:00")
    p.await_status("connected")
    p.kill("simulator")
    status = p.await_status("disconnected")
    assert status.link is not None
    assert status.link.expected
    p.start("simulator")
    p.await_status("connected")
    p.kill("sink")  # no reset of IB's ends one of ours
    eventually(lambda: inbox.titles == ["ibstream is degraded"])


def test_a_url_that_apprise_does_not_know_stops_the_start_and_is_not_shown(pipeline: Callable[..., Pipeline]) -> None:
    p = pipeline(["supervisor"], alert_urls="nonsense://user:secret@host")
    assert p.processes["supervisor"].wait(20) == 2
    log = p.log("supervisor")
    assert "IBSTREAM_ALERT_URLS" in log
    assert "secret" not in log
