"""Price alerts on real processes: set, told, kept over a crash, and the same in a replay of the journal."""

import json
import urllib.request
from collections.abc import Callable
from typing import Any

from messages.events import AlertFired, EventBlock
from services.base.clock import iso
from tests.process.pipeline import ALL, Pipeline
from tests.support import eventually

RULES = ("SPY moves 0.0001% in 30s", "@all silent for 1s", "SPY spread above 0.0001")


def fired(p: Pipeline) -> list[AlertFired]:
    found = [event for block in p.blocks("control") if isinstance(block, EventBlock) for event in block.events]
    return [event for event in found if isinstance(event, AlertFired)]


def call(p: Pipeline, method: str, path: str, body: object = None) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{p.web_port}/api/ib/stream/alerts{path}",
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_alerts_come_once_over_a_crash_and_a_replay_gives_the_same(pipeline: Callable[..., Pipeline]) -> None:
    p = pipeline()
    p.await_status("connected")
    numbers = [json.loads(p.cli("alerts", "add", rule, "--pause", "2", "--json").stdout)["id"] for rule in RULES]
    eventually(lambda: {event.id for event in fired(p)} == set(numbers))
    p.restart("supervisor")
    before = len(fired(p))
    eventually(lambda: len(fired(p)) > before + 3)
    p.stop()
    live = fired(p)
    assert len({(event.id, event.symbol, event.at) for event in live}) == len(live)
    replayed = json.loads(p.cli("alerts", "replay", "--from", "-10m", "--json").stdout)
    told = [(event.id, event.symbol, iso(event.at), event.text) for event in sorted(live, key=lambda event: event.at)]
    found = [(alert["id"], alert["symbol"], alert["time"], alert["text"]) for alert in replayed]
    assert sorted(found[: len(told)]) == sorted(told)  # what came in the very last second was told to nobody


def test_alerts_over_http(pipeline: Callable[..., Pipeline]) -> None:
    p = pipeline(ALL)
    p.await_status("connected")
    eventually(lambda: f"open http://127.0.0.1:{p.web_port}" in p.log("web"))
    number = call(p, "POST", "", {"rule": "spy Moves 0.0001% in 30s", "pause": 1, "note": "look"})["seq"]
    shown = eventually(lambda: call(p, "GET", "")["recent"])
    (alert,) = call(p, "GET", "")["alerts"]
    assert (alert["id"], alert["rule"], alert["note"]) == (number, "SPY moves 0.0001% in 30s", "look")
    assert alert["count"] >= 1
    assert shown[0]["source"] == "mock"
    assert "(invented by the simulator)" in shown[0]["text"]
    refused = p.cli("alerts", "add", "SPY jumps")
    assert refused.returncode == 2
    assert "is no rule of an alert" in refused.stderr
    assert call(p, "DELETE", f"/{number}")["accepted"]
    assert p.cli("alerts", "remove", str(number)).returncode == 19
    assert call(p, "GET", "")["alerts"] == []
