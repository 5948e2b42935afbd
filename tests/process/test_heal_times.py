"""For each trouble of a gateway, the time to notice it and to heal, on real processes; and a weekend of them.

With HEAL_TABLE=FILE the table goes there, for services/gateway/README.md. Times are those of the status, in command,
file and topic alike; patience is an eighth of the defaults (`FAST`).
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from messages.control import RefreshPlan
from messages.events import IbError, LinkChanged
from services.base.clock import SECOND
from tests.process.test_scenarios import SYMBOLS, Sea, opened
from tests.support import eventually

Step = dict[str, Any]
"""A step of the simulator by its name under `step`, with its keys; `refresh` is one of ours."""
GERMAN = "Fehlermeldung des historischen Marktdatendienstes: keine Daten f\u00fcr diesen Kontrakt"
CHINESE = "\u5386\u53f2\u5e02\u573a\u6570\u636e\u670d\u52a1\u9519\u8bef: \u6ca1\u6709\u6570\u636e"
WELL_AGAIN = 45.0  # seconds, at the latest, from when IB is well until all is


class Trouble(NamedTuple):
    """What begins it, the status and its reasons by which it is called, and what ends it."""

    name: str
    begin: list[Step]
    status: str
    reasons: tuple[str, ...]
    end: list[Step]


def step(do: str, **keys: Any) -> Step:
    return {"step": do, **keys}


DOWN, DROP = step("ib_down"), step("drop")
TROUBLES = [
    Trouble("the gateway is killed", [step("restart")], "disconnected", ("connection_lost", "gateway_unreachable"),
            [step("listen")]),
    Trouble("TCP accepts, nothing answers", [step("deaf"), DROP], "disconnected", ("gateway_silent",), [step("hear")]),
    Trouble("client id in use", [step("ids_taken"), DROP], "disconnected", ("client_id_in_use",), [step("ids_free")]),
    Trouble("half a greeting", [step("half_greeting"), DROP], "disconnected", ("greeting_incomplete",),
            [step("whole_greeting")]),
    Trouble("1100, then 1102 with ticks", [DOWN], "disconnected", ("ib_connection_lost",), [step("ib_up")]),
    Trouble("1100, then 1102 without ticks", [DOWN], "disconnected", ("ib_connection_lost",),
            [step("ib_up", ticks=False)]),
    Trouble("1100, then 1101", [DOWN], "disconnected", ("ib_connection_lost",), [step("ib_up", data="lost")]),
    Trouble("a farm is down", [step("farm_down")], "degraded", ("farm_down",), [step("farm_up")]),
    Trouble("a farm is down, its feeds stay dead", [step("farm_down")], "degraded", ("farm_down",),
            [step("farm_up", ticks=False)]),
    Trouble("one symbol starves", [step("starve", symbol="SPY")], "degraded", ("no_ticks", "no_answer"),
            [step("feed", symbol="SPY")]),
    Trouble("all starve", [step("starve")], "degraded", ("link_silent",), [step("feed")]),
    Trouble("competing session", [step("competing")], "degraded", ("competing_session",), [step("competing_over")]),
    Trouble("competing session, its lines stay dead", [step("competing")], "degraded", ("competing_session",),
            [step("competing_over", ticks=False)]),
    Trouble("error 200, then a refresh", [step("reject", symbol="NVDA")], "degraded", ("no_contract",),
            [step("accept", symbol="NVDA"), step("refresh")]),
    Trouble("a reset that refuses all, 2157 to 2158", [step("refuse_in_reset")], "degraded", ("no_contract",),
            [step("reset_over")]),
]  # fmt: skip


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sea]:
    with opened(tmp_path_factory.mktemp("heal"), SYMBOLS) as sea:
        yield sea


@pytest.fixture
def sea(shared: Sea) -> Sea:
    shared.calm()
    return shared


def do(sea: Sea, steps: list[Step]) -> float:
    """When the last of them was done."""
    for each in steps:
        if each["step"] == "refresh":
            sea.pipeline.ask(RefreshPlan())
        else:
            sea.do(each["step"], **{key: value for key, value in each.items() if key != "step"})
    return time.monotonic()


def suffer(sea: Sea, trouble: Trouble) -> tuple[float, float]:
    """Seconds until it is called by its name, and from its end until all is well."""
    sea.calm()
    begun = do(sea, trouble.begin)
    sea.says(trouble.status, *trouble.reasons)
    noticed = time.monotonic() - begun
    ended = do(sea, trouble.end)
    sea.connected(WELL_AGAIN)
    return noticed, time.monotonic() - ended


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_each_trouble_is_noticed_and_heals(sea: Sea) -> None:
    rows = [(trouble.name, *suffer(sea, trouble)) for trouble in TROUBLES]
    if path := os.environ.get("HEAL_TABLE"):
        head = "| trouble | called by its name after | connected again after its end |\n| --- | --: | --: |\n"
        Path(path).write_text(head + "".join(f"| {name} | {at:.1f} | {well:.1f} |\n" for name, at, well in rows))
    assert all(noticed < 10 for _, noticed, _ in rows), rows


# --- what clients of other makes trip over ---


def test_1101_alone_renews_what_ib_forgot(sea: Sea) -> None:
    mark = sea.mark()
    sea.do("ib_up", data="lost")
    eventually(lambda: {1101} <= {error.code for error in sea.since(mark, IbError)})
    for symbol in SYMBOLS:
        eventually(lambda symbol=symbol: sea.states(mark, symbol))
    sea.connected(WELL_AGAIN)
    for symbol in SYMBOLS:
        sea.fresh(symbol)
    assert sea.phases(mark) == []


@pytest.mark.parametrize(
    ("symbol", "code", "message"),
    [
        ("SPY", 162, GERMAN),
        ("QQQ", 162, CHINESE),
        ("IWM", 2188, "Up-to-the-second history wants another subscription"),
        ("GLD", 430, "The fundamental data for the security specified is not available"),
        ("MSFT", 10339, "Setting an end is not allowed for this security type"),
    ],
)
def test_history_that_refuses_is_no_trouble_of_the_stream(sea: Sea, symbol: str, code: int, message: str) -> None:
    mark = sea.mark()
    sea.do("answer", to="history", symbol=symbol, code=code, message=message)
    sea.do("starve", symbol=symbol)
    refused = (code, symbol)  # bars are asked for once snapshots show that it is not just quiet
    eventually(lambda: refused in {(error.code, error.symbol) for error in sea.since(mark, IbError)}, timeout=60)
    sea.stale(symbol, "no_ticks", "no_answer")
    sea.do("feed", symbol=symbol)
    sea.connected(WELL_AGAIN)
    sea.fresh(symbol)
    assert sea.phases(mark) == [] and sea.states(mark, "JPM") == []


def test_a_snapshot_that_is_rerouted_brings_the_prices_of_the_other_contract(tmp_path: Path) -> None:
    """With one line, NVDA has snapshots alone."""
    with opened(tmp_path, ["SPY", "NVDA"], ib_line_limit=1) as sea:
        own = sea.quote("NVDA", lambda quote: quote.get("last") and not quote["stale"])["last"]
        mark = sea.mark()
        sea.do("reroute", symbol="NVDA", to="AMD")
        other = sea.quote("NVDA", lambda quote: abs(quote.get("last", own) / own - 1) > 0.05 and not quote["stale"])
        assert (other["symbol"], sea.phases(mark)) == ("NVDA", [])


# --- a week ---


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_from_friday_to_monday_on_real_processes(tmp_path: Path) -> None:
    """The troubles of a weekend one after the other, hours as seconds; the same week runs in the pure core by the clock
    (tests/simulation/test_gateway_week.py)."""
    with opened(tmp_path, SYMBOLS) as sea:
        sea.connected()
        begun = sea.mark()

        def well() -> None:
            sea.connected(WELL_AGAIN)
            for symbol in SYMBOLS:
                sea.fresh(symbol)

        def over(reason: str, *begin: Step) -> None:
            apart(sea, *begin)
            sea.says("disconnected", reason)
            for symbol in SYMBOLS:  # nothing passes for current without proof
                sea.stale(symbol)

        # the Saturday reset: IB goes, the socket dies, contracts are refused for hours
        over("ib_connection_lost", DOWN)
        for each in (step("refuse_in_reset"), step("ib_up"), step("reset_over")):
            apart(sea, each)
            if each["step"] != "reset_over":
                eventually(lambda: {"no_contract"} == {sea.states(0, symbol)[-1][1] for symbol in SYMBOLS})
        well()
        flap(sea, 12)
        well()
        # fifteen hours without IB
        over("ib_connection_lost", DOWN)
        apart(sea, step("ib_up", ticks=False))
        well()
        # the weekly login has ended; a person logs in
        over("gateway_silent", step("deaf"), DROP)
        apart(sea, step("hear"))
        well()
        # Monday's reset, with the subscriptions lost; the client id stays taken for a while
        over("ib_connection_lost", DOWN)
        apart(sea, step("ib_up", data="lost"))
        well()
        over("client_id_in_use", step("ids_taken"), DROP)
        apart(sea, step("ids_free"))
        well()
        flap(sea, 3)
        well()
        check_the_record(sea, begun)


def apart(sea: Sea, *steps: Step) -> None:
    """One step a second, so that what is said of each is told apart by its second."""
    for each in steps:
        time.sleep(1.1)
        do(sea, [each])


def flap(sea: Sea, times: int) -> None:
    for turn in range(times):
        time.sleep(2.0)
        sea.do("farm_down", farm=("usfarm", "usfarm.nj")[turn % 2], **{"for": 0.3})


def check_the_record(sea: Sea, begun: int) -> None:
    """No cause is written down more than once a second, no rule of IB's was broken, and no connection given up that
    was of use. `begun`: where it begins, for in the first second the stream is started, stopped and started again."""
    written = [(block.time // SECOND, repr(event)) for block in sea.pipeline.blocks("link") for event in block.events]
    written = written[begun:]
    assert [text for (_, text), count in Counter(written).items() if count > 1] == []
    assert not {100, 101, 300, 322} & {error.code for error in sea.since(0, IbError)}
    assert len([link for link in sea.since(0, LinkChanged) if link.phase == "ready"]) <= 12
