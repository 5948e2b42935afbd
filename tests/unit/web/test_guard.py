"""Who is let in: Host, Origin, token, size, and what the page may do."""

import pytest

from messages.errors import IbStreamError
from services.base.clock import iso
from services.base.settings import load
from services.web.guard import MAX_BODY
from tests.unit.web.support import API, Web, error_of, heartbeat_frame, quote_frame

TOKEN = "s3cret"


@pytest.fixture
def guarded(tmp_path):
    web = Web(tmp_path, IBSTREAM_WEB_HOST="0.0.0.0", IBSTREAM_WEB_TOKEN=TOKEN)
    web.hear(quote_frame("SPY"), heartbeat_frame("sink"))
    return web


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "trading.example"])
def test_an_address_that_others_reach_is_refused_without_a_token(host):
    with pytest.raises(IbStreamError) as caught:
        load({"IBSTREAM_WEB_HOST": host})
    assert caught.value.code == "invalid_setting"
    assert "IBSTREAM_WEB_TOKEN" in caught.value.message
    load({"IBSTREAM_WEB_HOST": host, "IBSTREAM_WEB_TOKEN": TOKEN})


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "localhost"])
def test_loopback_needs_none(host):
    load({"IBSTREAM_WEB_HOST": host})


@pytest.mark.parametrize("origin", ["desk.example", "https://desk.example/path", "ftp://desk.example", "*"])
def test_an_origin_that_is_none_is_refused_at_start(origin):
    with pytest.raises(IbStreamError) as caught:
        load({"IBSTREAM_WEB_ORIGINS": f"https://good.example, {origin}"})
    assert origin in caught.value.message


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "LOCALHOST", "[::1]:8765", "page.localhost"])
def test_this_machines_names_are_known(web, host):
    assert web.get(f"{API}/quotes", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", "[", "a b"])
def test_a_foreign_name_that_points_here_gets_nothing(web, host):
    for path in (f"{API}/quotes", "/", "/metrics", f"{API}/events"):
        assert error_of(web.get(path, headers={"host": host})) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("headers", "let_in"),
    [
        ({}, True),
        ({"origin": "http://127.0.0.1:8765"}, True),
        ({"origin": "https://127.0.0.1:8765"}, True),
        ({"origin": "https://desk.example"}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"origin": "http://127.0.0.1:9999"}, False),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "https://desk.example.evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
    ],
)
@pytest.mark.parametrize("command", ["start", "stop"])
def test_only_our_own_pages_start_and_stop_the_stream(tmp_path, command, headers, let_in):
    web = Web(tmp_path, IBSTREAM_WEB_ORIGINS="https://desk.example")
    answer = web.post(f"{API}/{command}", json={}, headers=headers)
    if let_in:
        assert answer.status_code == 200
    else:
        assert error_of(answer) == (403, "forbidden")
    assert len(web.control.asked) == let_in


def test_a_form_of_a_foreign_page_starts_nothing(web):
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        answer = web.post(f"{API}/start", content=b'{"project_id":1}', headers={"content-type": kind})
        assert error_of(answer) == (422, "invalid_request")
    assert web.control.asked == []


def test_a_named_foreign_page_may_read(tmp_path):
    web = Web(tmp_path, IBSTREAM_WEB_ORIGINS="https://desk.example")
    good = web.get(f"{API}/quotes", headers={"origin": "https://desk.example"})
    assert good.headers["access-control-allow-origin"] == "https://desk.example"
    evil = web.get(f"{API}/quotes", headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in evil.headers


def test_nobody_else_may_read_across_origins(web):
    answer = web.get(f"{API}/quotes", headers={"origin": "https://desk.example"})
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", [f"{API}/quotes", f"{API}/nothing", "/metrics", "/docs", "/openapi.json"])
def test_with_a_token_set_everybody_needs_it(guarded, path):
    for headers in (
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": TOKEN},
        {"authorization": f"Basic {TOKEN}"},
    ):
        answer = guarded.get(path, headers=headers)
        assert error_of(answer) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert guarded.get(path, headers={"authorization": f"Bearer {TOKEN}"}).status_code in (200, 404)
    assert guarded.get(f"{path}?access_token={TOKEN}").status_code == 401


def test_the_page_and_the_health_checks_are_open(guarded):
    assert guarded.get("/").status_code == 200
    assert guarded.get("/healthz").status_code == 200
    assert guarded.get("/readyz").status_code == 503


def test_the_token_in_the_address_is_for_the_event_stream_alone(guarded):
    assert guarded.ask("POST", f"{API}/stop?access_token={TOKEN}").status_code == 401
    assert guarded.get(f"{API}/events?access_token=wrong").status_code == 401


def test_bodies_are_bounded(web):
    big = b'{"symbols":["' + b"A" * MAX_BODY + b'"]}'
    headers = {"content-type": "application/json"}
    assert error_of(web.post(f"{API}/start", content=big, headers=headers)) == (413, "request_too_large")

    async def in_parts():
        for _ in range(MAX_BODY // 1024 + 2):
            yield b" " * 1024

    assert error_of(web.post(f"{API}/start", content=in_parts(), headers=headers)) == (413, "request_too_large")
    assert error_of(web.post(f"{API}/stop", headers={"content-length": "-5"})) == (413, "request_too_large")


def test_every_answer_keeps_the_page_to_itself(web):
    for path in ("/", f"{API}/quotes", "/nothing"):
        headers = web.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_every_answer_tells_the_servers_time(tmp_path):
    page = "https://desk.example"
    web = Web(tmp_path, IBSTREAM_WEB_ORIGINS=page)
    for path in ("/", "/healthz", f"{API}/quotes", "/nothing"):
        answer = web.get(path, headers={"Origin": page})
        assert answer.headers["X-Server-Time"] == iso(web.clock.now())
        assert "X-Server-Time" in answer.headers["Access-Control-Expose-Headers"]
        web.clock.advance(1)
