"""Limits on connections: deadlines for what a client has begun, and how refusals are told."""

from structlog.testing import capture_logs
from uvicorn.config import Config
from uvicorn.server import ServerState

from services.web.limits import BODY_SECONDS, HEAD_SECONDS, LOG_SECONDS, Refusals, protocol


class FakeLoop:
    """Keeps timers; `due` says in how many seconds what is left of them is called."""

    def __init__(self):
        self.timers = []

    def call_later(self, seconds, call, *arguments):
        timer = FakeTimer(seconds, call)
        self.timers.append(timer)
        return timer

    def due(self):
        return [timer.seconds for timer in self.timers if not timer.cancelled]

    def create_task(self, work, **more):
        work.close()
        return FakeTask()


class FakeTask:
    def add_done_callback(self, call):
        pass


class FakeTimer:
    def __init__(self, seconds, call):
        self.seconds, self.call, self.cancelled = seconds, call, False

    def cancel(self):
        self.cancelled = True


class FakeTransport:
    aborted = False

    def abort(self):
        self.aborted = True

    def is_closing(self):
        return self.aborted

    def get_extra_info(self, name, default=None):
        return default

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


async def _app(scope, receive, send):
    pass


def connected(most=10, state=None):
    loop, state, transport = FakeLoop(), state or ServerState(), FakeTransport()
    refusals = Refusals(lambda: 0.0)
    config = Config(_app, http=protocol(most, refusals), lifespan="off", ws="none", log_config=None)
    made = config.http(config, state, {}, loop)
    made.connection_made(transport)
    return made, loop, transport, refusals


def test_a_head_has_a_deadline_that_trickling_bytes_do_not_move():
    made, loop, transport, _ = connected()
    assert loop.due() == [HEAD_SECONDS]
    for letter in b"POST / HTTP/1.1\r\nHost: x\r\n":
        made.data_received(bytes([letter]))
    assert loop.due() == [HEAD_SECONDS]
    loop.timers[0].call()
    assert transport.aborted


def test_a_body_has_one_too_and_what_is_whole_has_none():
    made, loop, _, _ = connected()
    made.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
    assert loop.due() == [BODY_SECONDS]
    made.data_received(b"cd")
    assert loop.due() == []


def test_one_connection_too_many_is_closed():
    state = ServerState()
    _, _, first, _ = connected(1, state)
    with capture_logs() as logs:
        _, loop, second, refusals = connected(1, state)
    assert (first.aborted, second.aborted, refusals.total) == (False, True, 1)
    assert loop.due() == []
    assert [line["event"] for line in logs] == ["connections_refused"]


def test_refusals_are_told_once_a_minute():
    now = [0.0]
    refusals = Refusals(lambda: now[0])
    with capture_logs() as logs:
        for _ in range(1000):
            refusals.on_loop_error(None, {"message": "socket.accept() out of system resource"})
        now[0] = LOG_SECONDS
        refusals.add("again")
    assert [line["so_far"] for line in logs] == [1, 1001]
