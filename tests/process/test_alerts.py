"""Alerts leave the machine: a real apprise URL, answered by a small HTTP server here."""

import socket
from collections.abc import Callable, Iterator

import pytest

from tests.process.inbox import Inbox, opened
from tests.process.pipeline import Pipeline
from tests.support import eventually


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with opened() as server:
        yield server


def test_an_outage_and_its_end_are_told(pipeline: Callable[..., Pipeline], inbox: Inbox) -> None:
    p = pipeline(alert_urls=inbox.url, alert_min_interval=1, reset_windows="", ib_backoff_max=1)
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
    windows = "daily 00:00-24:00"
    p = pipeline(alert_urls=inbox.url, alert_min_interval=1, reset_windows=windows, ib_backoff_max=1)
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
