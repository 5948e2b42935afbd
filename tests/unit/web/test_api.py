"""The endpoints: what they answer, and how every failure looks."""

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from messages.codec import encode
from messages.control import ComputePlan, ListProjects, ListSnapshots, Start, Stop
from messages.errors import CODES, IbStreamError
from messages.events import GapClosed, GapFilled, GapOpened, StatusChanged
from messages.views import LinkStatus, ServiceStatus, SymbolStatus
from services.web.page import STATIC, accepts_gzip
from tests import blocks
from tests.blocks import NOW
from tests.unit.web.support import API, error_of, heartbeat_frame, quote_frame, status, status_frame


def test_status_is_what_the_supervisor_said(web):
    web.hear(status_frame("degraded", reason="farm_down"), heartbeat_frame("supervisor"))
    answer = web.get(f"{API}/status")
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["reason"]) == ("degraded", "farm_down")
    assert answer.headers["cache-control"] == "no-store"


def test_status_without_a_supervisor_is_an_error_and_not_an_old_answer(web):
    assert error_of(web.get(f"{API}/status")) == (503, "supervisor_unreachable")
    web.hear(status_frame())
    assert web.get(f"{API}/status").status_code == 200
    web.pass_time(3.0)
    assert error_of(web.get(f"{API}/status")) == (503, "supervisor_unreachable")
    assert error_of(web.get("/readyz")) == (503, "supervisor_unreachable")
    assert web.get("/healthz").json() == {"status": "ok"}
    web.hear(status_frame())
    assert web.get("/readyz").json() == {"status": "ok"}


def test_snapshot_is_the_quote_however_the_symbol_is_written(web):
    web.hear(quote_frame("BRK.B", 400.5), heartbeat_frame("sink"))
    for written in ("BRK.B", "brk b", "BRK B"):
        answer = web.get(f"{API}/snapshot", params={"symbol": written})
        assert answer.json() == {"symbol": "BRK.B", "last": 400.5, "stale": False, "epoch": 1, "seq": 1}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"symbol": "ZZZZ"}, (404, "symbol_not_found")),
        ({"symbol": "../../etc/passwd"}, (422, "invalid_symbol")),
        ({"symbol": " "}, (422, "invalid_symbol")),
        ({"symbol": ""}, (422, "invalid_request")),
        ({"symbol": "A" * 300}, (422, "invalid_request")),
        ({}, (422, "invalid_request")),
    ],
)
@pytest.mark.parametrize("endpoint", ["snapshot", "history"])
def test_a_symbol_that_is_none(web, endpoint, query, expected):
    assert error_of(web.get(f"{API}/{endpoint}", params=query)) == expected


@pytest.mark.parametrize("minutes", ["0", "1441", "x", "-5", "1.5"])
def test_minutes_are_bounded(web, minutes):
    assert error_of(web.get(f"{API}/history?symbol=SPY&minutes={minutes}")) == (422, "invalid_request")


def test_quotes_are_all_quotes_by_symbol(web):
    web.hear(quote_frame("SPY"), quote_frame("AAPL"), quote_frame("SPY", 2.0), heartbeat_frame("sink"))
    quotes = web.get(f"{API}/quotes").json()["quotes"]
    assert [(quote["symbol"], quote["last"]) for quote in quotes] == [("AAPL", 1.0), ("SPY", 2.0)]


def test_prices_that_nobody_watches_are_not_shown_as_current(web):
    web.hear(quote_frame("SPY", 5.0))
    web.pass_time(3.0)
    quote = web.get(f"{API}/snapshot?symbol=SPY").json()
    assert (quote["last"], quote["stale"], quote["reason"]) == (5.0, True, "service_down")
    web.hear(heartbeat_frame("sink"))
    assert web.get(f"{API}/snapshot?symbol=SPY").json()["stale"] is False


def test_the_plan_as_the_planner_made_it(web):
    assert error_of(web.get(f"{API}/plan")) == (503, "planner_unreachable")
    web.hear(("plan", encode(blocks.plan("SPY", "QQQ"))))
    plan = web.get(f"{API}/plan").json()
    assert [symbol["symbol"] for symbol in plan["symbols"]] == ["SPY", "QQQ"]
    assert plan["started"] is True


def test_gaps_and_the_history_of_the_link(web):
    web.ledger.apply(blocks.events(StatusChanged("degraded", "farm_down"), StatusChanged("connected")))
    web.ledger.apply(
        blocks.events(
            GapOpened("SPY", NOW, "farm_down"),
            GapOpened("QQQ", NOW + 1, "farm_down"),
            GapClosed("SPY", NOW, NOW + 60 * 10**9, "farm_down"),
            GapFilled("SPY", NOW, NOW + 60 * 10**9, 1),
        )
    )
    answer = web.get(f"{API}/gaps").json()
    spy, qqq = answer["gaps"]
    assert spy == {
        "symbol": "SPY",
        "start": "2026-01-05T14:30:00.000000Z",
        "end": "2026-01-05T14:31:00.000000Z",
        "reason": "farm_down",
        "filled": True,
    }
    assert (qqq["end"], qqq["filled"]) == (None, False)
    assert [(entry["status"], entry["reason"]) for entry in answer["link"]] == [
        ("degraded", "farm_down"),
        ("connected", None),
    ]


# --- commands ----------------------------------------------------------------------------------------------


def test_start_passes_the_request_on_and_answers_when_it_is_durable(web):
    body = {"project_id": 7, "symbols": ["SPY", "brk b"], "max_symbols": 50, "market_data_type": "delayed"}
    answer = web.post(f"{API}/start", json=body | {"refresh_interval_seconds": 30})
    assert answer.json() == {"accepted": True, "changed": True, "seq": 1}
    assert web.control.asked == [
        Start(
            project_id=7,
            symbols=["SPY", "brk b"],
            max_symbols=50,
            market_data_type="delayed",
            refresh_interval_seconds=30.0,
        )
    ]


def test_start_and_stop_need_no_body(web):
    assert web.post(f"{API}/start").status_code == 200
    assert web.post(f"{API}/stop").status_code == 200
    assert web.post(f"{API}/stop", json={}).status_code == 200
    assert web.control.asked == [Start(), Stop(), Stop()]


@pytest.mark.parametrize("code", sorted(CODES))
def test_what_the_supervisor_refuses_has_its_code_and_status(web, code):
    web.control.error = IbStreamError(code, "no")
    assert error_of(web.post(f"{API}/start", json={"project_id": 1})) == (CODES[code].http, code)


@pytest.mark.parametrize(
    "body",
    [
        {"project_id": 0},
        {"project_id": "1"},
        {"project_id": 2**63},
        {"project_id": True},
        {"symbols": "SPY"},
        {"symbols": [1]},
        {"symbols": ["A" * 200]},
        {"symbols": ["SPY"] * 10_001},
        {"max_symbols": 0},
        {"market_data_type": "fast"},
        {"refresh_interval_seconds": 1},
        {"unknown": 1},
        [],
        "start",
    ],
)
def test_a_request_that_is_not_as_documented(web, body):
    assert error_of(web.post(f"{API}/start", json=body)) == (422, "invalid_request")
    assert web.control.asked == []


@pytest.mark.parametrize("body", [{"symbols": ["SPY"]}, {"unknown": None}, [], "SPY", 1])
def test_a_stop_of_something_in_particular_stops_nothing(web, body):
    assert error_of(web.post(f"{API}/stop", json=body)) == (422, "invalid_request")
    assert web.control.asked == []


def test_the_sentence_names_the_field_and_not_the_value(web):
    message = web.post(f"{API}/start", json={"max_symbols": "hunter2"}).json()["detail"]["message"]
    assert message.startswith("max_symbols: ")
    assert "hunter2" not in message


def test_a_symbol_that_could_not_be_one_is_refused_without_asking(web):
    answer = web.post(f"{API}/start", json={"symbols": ["SPY", "../x"]})
    assert error_of(answer) == (422, "invalid_symbol")
    assert web.control.asked == []


@pytest.mark.parametrize(
    ("method", "path", "field"),
    [
        ("GET", "/candles?symbol=SPY&form=-1h", "form"),
        ("GET", "/history?symbol=SPY&minute=5", "minute"),
        ("GET", "/quality?date=2026-01-05", "date"),
        ("GET", "/snapshot?symbol=SPY&max_age=5", "max_age"),
        ("GET", "/snapshot?symbol=SPY&symbol=QQQ", "symbol"),
        ("GET", "/events?candels=1m.SPY", "candels"),
        ("GET", "/alerts?symbol=SPY", "symbol"),
        ("POST", "/stop?project_id=1", "project_id"),
    ],
)
def test_a_parameter_that_is_misspelt_or_comes_twice_is_refused_and_not_ignored(web, method, path, field):
    web.hear(status_frame(), quote_frame("SPY"), heartbeat_frame("sink"))
    answer = web.ask(method, API + path)
    assert error_of(answer) == (422, "invalid_request")
    assert answer.json()["detail"]["field"] == field
    assert web.control.asked == []


def test_a_body_that_is_not_json(web):
    answer = web.post(f"{API}/start", content=b"{ half", headers={"content-type": "application/json"})
    assert error_of(answer) == (400, "invalid_request")
    deep = web.post(f"{API}/start", content=b"[" * 100_000, headers={"content-type": "application/json"})
    assert deep.status_code in (400, 422)


# --- everything else ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/nothing/here", (404, "not_found")),
        ("GET", f"{API}/nothing", (404, "not_found")),
        ("GET", "/../../etc/passwd", (404, "not_found")),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", (404, "not_found")),
        ("GET", "/assets/%00", (404, "not_found")),
        ("GET", f"{API}/start", (405, "method_not_allowed")),
        ("DELETE", f"{API}/status", (405, "method_not_allowed")),
    ],
)
def test_errors_of_http_itself_have_the_same_shape(web, method, path, expected):
    assert error_of(web.ask(method, path)) == expected


def test_a_fault_of_ours_says_nothing_of_the_inside(web):
    web.hub.quotes_json = None
    answer = web.get(f"{API}/quotes")
    assert error_of(answer) == (500, "internal_error")
    assert "NoneType" not in answer.text


def test_the_page_is_kept_as_long_as_is_right(web):
    page = web.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["cache-control"] == "no-cache"
    script = page.text.partition('src="./')[2].partition('"')[0]
    assert "immutable" in web.get(f"/{script}").headers["cache-control"]
    assert error_of(web.get("/assets/none.js")) == (404, "not_found")


def script_of(web):
    return "/" + web.get("/").text.partition('src="./')[2].partition('"')[0]


def test_the_page_travels_compressed_and_stays_under_300_kb(web):
    plain = web.get(script_of(web), headers={"Accept-Encoding": "identity"})
    packed = web.get(script_of(web), headers={"Accept-Encoding": "gzip, br"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 2
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
    assert packed.headers["content-type"] == plain.headers["content-type"]
    assert packed.headers["cache-control"] == plain.headers["cache-control"]
    files = [path for path in STATIC.rglob("*") if path.is_file() and not path.name.startswith("licenses")]
    answers = [web.get(f"/{path.relative_to(STATIC)}", headers={"Accept-Encoding": "gzip"}) for path in files]
    assert {answer.status_code for answer in answers} == {200}
    assert sum(int(answer.headers["content-length"]) for answer in answers) < 300_000


def test_a_compressed_file_that_a_browser_has_is_not_sent_again(web):
    first = web.get("/", headers={"Accept-Encoding": "gzip"})
    again = web.get("/", headers={"Accept-Encoding": "gzip", "If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_nothing_but_files_of_the_page_is_compressed(web):
    web.hear(status_frame(), quote_frame("SPY"))
    for path in (f"{API}/quotes", f"{API}/status", "/metrics", "/healthz"):
        assert "content-encoding" not in web.get(path, headers={"Accept-Encoding": "gzip"}).headers


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("*", True),
        ("", False),
        ("br", False),
        ("gzip;q=0, *", False),
        ("*;q=0", False),
        ("gzip; q=0.0", False),
    ],
)
def test_who_takes_gzip(header, accepted):
    assert accepts_gzip(header) is accepted


def test_the_documentation_needs_nothing_from_elsewhere(web):
    page = web.get("/docs")
    assert page.status_code == 200
    assert f"{API}/start" in page.text
    assert "ib_stream_lock_busy" in page.text
    assert "https://" not in page.text and "<script" not in page.text
    assert web.get("/docs.css").headers["content-type"].startswith("text/css")


def test_metrics_tell_of_status_services_and_streams(web):
    web.hear(
        status_frame("degraded", reason="farm_down"),
        heartbeat_frame("gateway", 1000, ticks_total=7, **{'stream_gaps_total{stream="plan"}': 2}),
        heartbeat_frame("sink"),
    )
    for head in [1000] * 9 + [6000]:
        web.clock.advance(0.5)
        web.hear(heartbeat_frame("gateway", head))
    web.hear(status_frame("degraded", reason="farm_down"))
    lines = web.get("/metrics").text.splitlines()
    for line in (
        'ibstream_status{status="degraded"} 1.0',
        'ibstream_status{status="connected"} 0.0',
        'ibstream_status_reason{reason="farm_down"} 1.0',
        "ibstream_link_ready 1.0",
        'ibstream_farm_up{farm="eufarm"} 0.0',
        'ibstream_symbols{state="live"} 2.0',
        'ibstream_ib_errors_total{code="2103"} 2.0',
        "ibstream_ticks_per_second 1000.0",
        'ibstream_service_up{service="gateway"} 1.0',
        'ibstream_service_up{service="sink"} 0.0',
        'ibstream_loop_lag_seconds{service="gateway"} 0.0025',
        'ibstream_stream_events_total{service="gateway",stream="ticks"} 6000.0',
    ):
        assert line in lines
    assert any(line.startswith("ibstream_disk_free_bytes ") for line in lines)


def test_metrics_of_services_cannot_break_the_page(web):
    web.hear(
        status_frame(),
        heartbeat_frame("gateway", depth=1, **{'depth{queue="a"}': 2, "status": 9, "depth_total": 3, "no name": 4}),
        heartbeat_frame("sink", **{'depth{queue="b"}': 5, "ticks_per_second": 6, 'x{a="\\"}': 7}),
    )
    families = list(text_string_to_metric_families(web.get("/metrics").text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    depth = next(family for family in families if family.name == "ibstream_depth")
    labels = [tuple(sorted(sample.labels.items())) for sample in depth.samples]
    assert labels == [
        (("service", "gateway"),),
        (("queue", "a"), ("service", "gateway")),
        (("queue", "b"), ("service", "sink")),
    ]


def test_metrics_of_several_gateways_name_them(web):
    links = {"a": LinkStatus(phase="ready", farms={"usfarm": "ok"}), "b": LinkStatus(phase="backoff")}
    several = msgspec.structs.replace(
        status("degraded", links=links),
        services={f"gateway.{name}": ServiceStatus(state="up") for name in "ab"},
        symbols={"SPY": SymbolStatus(state="live", gateway="a"), "QQQ": SymbolStatus(state="live", gateway="b")},
    )
    web.hear(("status", encode(several)))
    lines = web.get("/metrics").text.splitlines()
    for line in (
        'ibstream_link_ready{gateway="a"} 1.0',
        'ibstream_link_ready{gateway="b"} 0.0',
        'ibstream_farm_up{farm="usfarm",gateway="a"} 1.0',
        'ibstream_symbols{gateway="b",state="live"} 1.0',
    ):
        assert line in lines


def test_the_rate_is_of_all_gateways(web):
    for seconds, heads in ((0, (1000, 500)), (5, (6000, 3000))):
        web.clock.advance(seconds)
        for name, head in zip("ab", heads, strict=True):
            web.hear(heartbeat_frame(f"gateway.{name}", head))
    assert "ibstream_ticks_per_second 1000.0" in web.get("/metrics").text


def test_projects_and_snapshots_to_choose_from(web):
    snapshot = {"id": 12, "date": "2026-01-05", "usable": True, "count": 2, "problem": None}
    answer = web.get(f"{API}/projects").json()
    assert answer == {
        "projects": [{"id": 3, "name": "Momentum", "archived": False, "snapshot": snapshot}],
        "more": False,
    }
    assert web.get(f"{API}/projects/3/snapshots").json() == {"snapshots": [snapshot], "more": False}
    assert web.planner.asked == [ListProjects(), ListSnapshots(project_id=3)]
    web.planner.error = IbStreamError("database_unavailable", "it is away")
    assert error_of(web.get(f"{API}/projects")) == (503, "database_unavailable")


def test_the_plan_that_would_come_of_a_start(web):
    answer = web.post(f"{API}/plan", json={"project_id": 3, "max_symbols": 5})
    assert [symbol["symbol"] for symbol in answer.json()["symbols"]] == ["SPY"]
    assert web.planner.asked == [ComputePlan(request=Start(project_id=3, max_symbols=5))]
    assert web.control.asked == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"max_symbols": 0}, "max_symbols"),
        ({"symbols": ["SPY", 3]}, "symbols"),
        ({"symbols": ["../x"]}, "symbols"),
        ({"projekt_id": 3}, "projekt_id"),
    ],
)
@pytest.mark.parametrize("endpoint", ["start", "plan"])
def test_a_refusal_names_the_field(web, endpoint, body, field):
    assert web.post(f"{API}/{endpoint}", json=body).json()["detail"]["field"] == field


def test_what_the_planner_refuses_names_the_field_too(web):
    web.planner.error = IbStreamError("project_not_found", "there is no project 9")
    assert web.post(f"{API}/plan", json={"project_id": 9}).json()["detail"]["field"] == "project_id"
    assert web.get(f"{API}/snapshot", params={"symbol": " "}).json()["detail"]["field"] == "symbol"
    assert "field" not in web.post(f"{API}/plan", content=b"{").json()["detail"]
