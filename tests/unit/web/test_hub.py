"""Versions: what a client that saw one of them has missed."""

import json

from hypothesis import given
from hypothesis import strategies as st

from services.base.clock import SECOND, iso
from services.web.hub import SHARED_CHUNKS, Hub
from tests.blocks import NOW
from tests.unit.web.support import heartbeat_frame, quote_frame, status_frame


def hub() -> Hub:
    return Hub(2.0, "test", 100.0)


def hear(it: Hub, *frames, at: float = 100.0) -> bool:
    return it.apply(frames, at, NOW)


def silence(it: Hub, at: float, seconds: float, *frames) -> bool:
    """Time passes by tenths of a second, with nothing but these frames in each. Whether there was news."""
    before = it.version
    for tenth in range(1, round(seconds * 10) + 1):
        hear(it, *frames, at=at + tenth / 10)
    return it.version != before


def read(chunk: bytes) -> list[tuple[str, object, str | None]]:
    """Event, data and id of each event, as a client parses them."""
    events = []
    for text in chunk.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
        if fields:
            events.append((fields["event"], json.loads(fields["data"]), fields.get("id")))
    return events


def test_a_new_client_gets_everything_and_the_id_with_the_last_event():
    it = hub()
    assert it.changes_since(0) == b""
    assert hear(it, status_frame(), quote_frame("SPY", 1.0), quote_frame("QQQ", 2.0))
    (kind, status, no_id), (other, quotes, event_id) = read(it.changes_since(0))
    assert (kind, status["status"], no_id) == ("status", "connected", None)
    assert (other, {quote["symbol"] for quote in quotes}) == ("quotes", {"SPY", "QQQ"})
    assert it.version_of(event_id) == it.version


def test_only_what_changed_since_then():
    it = hub()
    hear(it, status_frame(), quote_frame("SPY", 1.0), quote_frame("QQQ", 2.0))
    seen = it.version
    assert it.changes_since(seen) == b""
    hear(it, quote_frame("SPY", 1.5))
    [(kind, quotes, _)] = read(it.changes_since(seen))
    assert (kind, [(quote["symbol"], quote["last"]) for quote in quotes]) == ("quotes", [("SPY", 1.5)])


def test_the_same_again_is_no_news():
    it = hub()
    assert hear(it, status_frame(), quote_frame("SPY", 1.0))
    assert not hear(it, status_frame(), quote_frame("SPY", 1.0), heartbeat_frame("gateway", 5))


def test_an_id_of_another_process_or_of_nobody_means_everything():
    it = hub()
    hear(it, status_frame())
    for event_id in ("", "other-1", "test-", "test-x", "test--1", "-", "test-٣", "test-" + "9" * 100):
        assert it.version_of(event_id) == 0
    assert it.version_of("test-999") == it.version


def test_clients_in_step_share_the_bytes_and_the_store_is_bounded():
    it = hub()
    for last in range(100):
        hear(it, quote_frame("SPY", last))
        assert it.changes_since(last) is it.changes_since(last)
    assert len(it._chunks) <= SHARED_CHUNKS


def test_frames_that_cannot_be_read_are_counted():
    it = hub()
    assert not hear(it, ("quote.SPY", b"\xc1"), ("status", b""), ("heartbeat.sink", b"\x80"), ("plan", b"x"))
    assert it.malformed == 4


def test_the_silence_of_supervisor_and_sink_is_news():
    it = hub()
    hear(it, status_frame(), quote_frame("SPY"), heartbeat_frame("supervisor"), heartbeat_frame("gateway"))
    seen = it.version
    assert silence(it, 100.0, 3.0, heartbeat_frame("gateway"))
    (_, status, _), (_, quotes, _) = read(it.changes_since(seen))
    assert (status["status"], status["reason"]) == ("degraded", "service_down")
    assert (quotes[0]["stale"], quotes[0]["reason"]) == (True, "service_down")
    assert hear(it, heartbeat_frame("sink"), status_frame(), at=103.1)
    assert it.quote("SPY").stale is False
    assert it.status.status == "connected"


def test_a_machine_that_slept_has_lost_nobody():
    it = hub()
    hear(it, status_frame(), quote_frame("SPY"), heartbeat_frame("supervisor"), heartbeat_frame("gateway"))
    seen = it.version
    assert not hear(it, at=3700.0)
    assert not silence(it, 3700.0, 1.8)
    assert (it.version, it.quote("SPY").stale, it.heard("gateway")) == (seen, False, True)
    assert silence(it, 3701.8, 0.4)
    assert (it.status.reason, it.quote("SPY").stale, it.heard("gateway")) == ("service_down", True, False)


def test_a_price_that_was_stale_for_its_own_reason_keeps_it():
    it = hub()
    hear(it, quote_frame("SPY", stale=True, reason="farm_down"))
    silence(it, 100.0, 10.0)
    assert it.quote("SPY").reason == "farm_down"


updates = st.lists(st.tuples(st.sampled_from(["A", "B", "C", "status"]), st.integers(0, 3)), max_size=5)


@given(st.lists(st.tuples(updates, st.lists(st.integers(0, 2), max_size=3)), max_size=30))
def test_every_client_however_slow_ends_with_the_same_picture(turns):
    it, clients = hub(), [({}, [0]) for _ in range(3)]

    def catch_up(number: int) -> None:
        picture, version = clients[number]
        for kind, data, event_id in read(it.changes_since(version[0])):
            for quote in data if kind == "quotes" else [data | {"symbol": "status"}]:
                picture[quote["symbol"]] = quote
            version[0] = it.version_of(event_id) if event_id else version[0]

    for changes, readers in turns:
        hear(it, *[status_frame(last_heartbeat=str(n)) if s == "status" else quote_frame(s, n) for s, n in changes])
        for number in readers:
            catch_up(number)
    for number in range(3):
        catch_up(number)
    pictures = [picture for picture, _ in clients]
    assert pictures[0] == pictures[1] == pictures[2]
    assert all(json.loads(it.quote_json(s)) == quote for s, quote in pictures[0].items() if s != "status")


def test_a_quote_whose_time_is_over_is_shown_as_stale_and_comes_back_when_it_is_renewed():
    it, later = hub(), NOW + 6 * SECOND
    hear(it, quote_frame("SPY", 1.0, good_until=iso(NOW + 5 * SECOND)))
    assert not it.quote("SPY").stale
    version = it.version
    assert it.apply([("heartbeat.sink", b"")], 100.1, later)
    assert (it.quote("SPY").stale, it.quote("SPY").reason, it.quote("SPY").good_until) == (True, "expired", None)
    assert read(it.changes_since(version))[0][1][0]["reason"] == "expired"
    it.apply([quote_frame("SPY", 1.0, good_until=iso(later + 5 * SECOND))], 100.2, later)
    assert not it.quote("SPY").stale


def test_a_quote_of_before_the_clock_was_set_back_is_not_current():
    it = hub()
    hear(it, quote_frame("SPY", 1.0, good_until=iso(NOW + 5 * SECOND)))
    it.apply((), 100.1, NOW - 3600 * SECOND)
    assert it.quote("SPY").reason == "expired"
