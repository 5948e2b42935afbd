"""Over HTTP a price counts in the server's time, whatever this machine's clocks say or do."""

import http.server
import threading
from collections.abc import Iterator
from email.utils import formatdate

import pytest

import ibstream
from ibstream.server_clock import Reading, ServerClock
from messages.codec import encode_json
from messages.views import Quote
from services.base.clock import SECOND, iso

NOON = 1_772_625_600 * SECOND
HOUR = 3600 * SECOND


class Machine:
    """Two clocks that a test turns."""

    def __init__(self, wall: int = NOON) -> None:
        self.wall, self.steady = wall, 5 * SECOND
        self.clock = ServerClock(lambda: Reading(self.wall, self.steady))

    def goes_on(self, wall: int, steady: int | None = None) -> None:
        self.wall += wall
        self.steady += wall if steady is None else steady

    def told(self, server: int, sent: Reading | None = None) -> None:
        self.clock.answered({"X-Server-Time": iso(server)}, sent or self.clock.read())


@pytest.mark.parametrize("wrong", [-24 * HOUR, -7 * SECOND, 7 * SECOND, 24 * HOUR])
def test_how_wrong_the_wall_is_does_not_matter(wrong: int) -> None:
    machine = Machine(NOON + wrong)
    machine.told(NOON)
    machine.goes_on(3 * SECOND)
    assert machine.clock.now() == NOON + 3 * SECOND


def test_never_behind_and_nothing_learnt_from_a_slow_answer() -> None:
    machine = Machine()
    sent = machine.clock.read()
    machine.goes_on(SECOND // 2)
    machine.told(NOON, sent)
    assert machine.clock.now() == NOON + SECOND // 2
    sent = machine.clock.read()
    machine.goes_on(9 * SECOND)
    machine.told(NOON + 9 * SECOND, sent)
    assert machine.clock.now() == NOON + 9 * SECOND + SECOND // 2


@pytest.mark.parametrize(("wall", "steady"), [(60 * SECOND, 0), (-HOUR, 60 * SECOND)], ids=["suspended", "set back"])
def test_a_clock_that_stood_still_or_was_set_back(wall: int, steady: int) -> None:
    machine = Machine()
    machine.told(NOON)
    machine.goes_on(wall, steady)
    assert machine.clock.now() == NOON + 60 * SECOND
    assert machine.clock.jumped
    machine.told(NOON + 60 * SECOND)
    assert not machine.clock.jumped


def test_the_second_of_a_proxy_that_shows_no_more() -> None:
    machine = Machine()
    machine.clock.answered({"Date": formatdate(NOON / SECOND, usegmt=True)}, machine.clock.read())
    assert machine.clock.now() == NOON + SECOND
    with pytest.raises(ValueError, match="no time"):
        machine.clock.answered({}, machine.clock.read())


class Server(http.server.BaseHTTPRequestHandler):
    """Answers each request with a quote that is good for `left` ns of a clock that stands at NOON."""

    left = 3 * SECOND

    def do_GET(self) -> None:
        quote = Quote(symbol="SPY", last=590.0, timestamp=iso(NOON), stale=False, epoch=1, seq=1)
        body = encode_json(quote).replace(b'"epoch"', b'"good_until":"%s","epoch"' % iso(NOON + self.left).encode())
        self.send_response_only(200)
        self.send_header("X-Server-Time", iso(NOON))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_price_of_a_server_in_another_year(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with ibstream.connect(address) as client:
        assert client.price("SPY").last == 590.0
        monkeypatch.setattr(Server, "left", 0)
        with pytest.raises(ibstream.StalePrice) as refused:
            client.price("SPY")
        assert refused.value.reason == "expired"
