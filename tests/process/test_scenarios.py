"""The simulator's scenarios against the whole pipeline, on real processes: what status, file and topic say while
the trouble lasts, that each word is the right one, and that everything heals by itself.

Time runs some ten times faster: the simulator's scripts by their speed, patience by the settings.
With SCENARIO_TIMES=FILE, when each thing was said goes to that file.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import zmq

from messages.codec import decode_quote, decode_status
from messages.control import RefreshPlan, Start, Stop
from messages.events import FarmChanged, GapClosed, GapOpened, IbError, LinkChanged, SymbolChanged
from messages.topics import QUOTE_PREFIX, STATUS, events_endpoint, quote_topic
from messages.views import Quote, Status
from services.runtime.bus import Subscriber
from tests.process.pipeline import CORE, Pipeline
from tests.process.simulators import Caller, Controller, simulator
from tests.support import eventually, free_port

SYMBOLS = ["SPY", "QQQ", "IWM", "AAPL", "MSFT", "NVDA", "JPM", "TLT", "GLD", "XOM"]
FAST = {
    "stale_after": 2.0,
    "link_stale_after": 1.4,
    "probe_timeout": 2.0,
    "ib_backoff_max": 2.0,
    "ib_connect_timeout": 1.0,
    "file_interval_ms": 20,
}
SPEED = 8.0
MARKER = 77_777  # an error code that nobody else sends


class Sea:
    """A pipeline whose simulator takes orders, and a subscriber to what everybody else would see."""

    def __init__(self, folder: Path, *arguments: str, **env: object) -> None:
        self.control_path = folder / "control"
        self.pipeline = Pipeline(
            folder, CORE, {**FAST, **env}, {"simulator": ["--control", str(self.control_path), *arguments]}
        )
        self.context: zmq.Context[Any] = zmq.Context()
        self.control: Controller | None = None
        self.diary: list[str] = []  # what was said when, since the trouble began
        self.zero = time.monotonic()
        self.topics: dict[str, bytes] = {}

    def open(self, symbols: list[str]) -> None:
        self.pipeline.__enter__()
        services = [events_endpoint("sink"), events_endpoint("supervisor")]
        self.subscriber = Subscriber(self.context, self.pipeline.settings, services, [QUOTE_PREFIX, STATUS])
        eventually(self.pipeline.status)
        self.control = Controller(self.control_path)
        self.pipeline.ask(Stop())
        self.pipeline.ask(Start(symbols=symbols, max_symbols=len(symbols)))

    def close(self) -> None:
        if self.control is not None:
            self.control.__exit__()
        self.pipeline.close()
        self.context.destroy(linger=0)

    # --- the simulator ---

    def play(self, scenario: str, speed: float = SPEED) -> None:
        self.do("run", scenario=scenario, speed=speed)

    def do(self, step: str, **keys: Any) -> None:
        assert self.control is not None
        if not self.diary:
            self.zero = time.monotonic()
        self.note(step if step != "run" else f"{keys['scenario']} at speed {keys['speed']:g}")
        answer = self.control(do=step, **keys)
        assert answer["ok"], answer

    def calm(self) -> None:
        """All is well, and known to be."""
        self.do("calm")
        self.pipeline.ask(RefreshPlan())
        self.connected()

    def note(self, what: str) -> None:
        self.diary.append(f"{time.monotonic() - self.zero:.1f} s: {what}")

    def tell(self, name: str) -> None:
        """Write the diary of a test, where somebody wants it."""
        if path := os.environ.get("SCENARIO_TIMES"):
            with Path(path).open("a") as file:
                file.write(f"{name}: {'; '.join(self.diary)}\n")
        self.diary.clear()

    # --- what is said ---

    def topic(self, name: str) -> bytes | None:
        self.topics.update(self.subscriber.drain())
        return self.topics.get(name)

    def status_topic(self) -> Status | None:
        frame = self.topic(STATUS)
        return decode_status(frame) if frame else None

    def quote_topic(self, symbol: str) -> Quote | None:
        frame = self.topic(quote_topic(symbol))
        return decode_quote(frame) if frame else None

    def says(self, word: str, *reasons: str, timeout: float = 30.0) -> Status:
        """Command, file and topic agree on the status, and its reason is one of these."""
        seen: list[object] = []

        def agreed() -> Status | None:
            status, file, topic = self.pipeline.status(), self.pipeline.status_file(), self.status_topic()
            if status is None or file is None or topic is None:
                return None
            said = [(status.status, status.reason), (file["status"], file["reason"]), (topic.status, topic.reason)]
            seen[:] = said
            good = all(word == w and (not reasons or r in reasons) for w, r in said)
            return status if good else None

        try:
            status = eventually(agreed, timeout)
        except AssertionError:
            raise AssertionError(f"never {word} {reasons}; last: {seen}") from None
        assert status is not None
        self.note(f"{status.status} {status.reason or ''}".strip())
        return status

    def connected(self, timeout: float = 60.0) -> Status:
        return self.says("connected", timeout=timeout)

    def quote(self, symbol: str, wanted: Callable[[dict[str, Any]], bool], timeout: float = 30.0) -> dict[str, Any]:
        """The symbol's file once it is as wanted; its topic has to agree."""

        def agreed() -> dict[str, Any] | None:
            file, topic = self.pipeline.quote(symbol), self.quote_topic(symbol)
            if file is None or topic is None or not wanted(file):
                return None
            return file if (topic.stale, topic.reason) == (file["stale"], file.get("reason")) else None

        found = eventually(agreed, timeout, f"quote of {symbol}: {self.pipeline.quote(symbol)}")
        assert found is not None
        return found

    def stale(self, symbol: str, *reasons: str, timeout: float = 30.0) -> dict[str, Any]:
        return self.quote(symbol, lambda q: q["stale"] and (not reasons or q.get("reason") in reasons), timeout)

    def fresh(self, symbol: str, timeout: float = 30.0) -> dict[str, Any]:
        return self.quote(symbol, lambda q: not q["stale"] and q["source"] == "mock", timeout)

    # --- the record ---

    def mark(self) -> int:
        """From here on `since` counts."""
        return len(self.pipeline.link_events())

    def since(self, mark: int, kind: type) -> list[Any]:
        return [event for event in self.pipeline.link_events()[mark:] if isinstance(event, kind)]

    def states(self, mark: int, symbol: str) -> list[tuple[str, str | None]]:
        return [(e.state, e.reason) for e in self.since(mark, SymbolChanged) if e.symbol == symbol]

    def phases(self, mark: int) -> list[str]:
        return [event.phase for event in self.since(mark, LinkChanged)]

    def came_through(self, mark: int, phase: str) -> None:
        """The link was in this phase since, and is ready again."""
        try:
            eventually(lambda: phase in (seen := self.phases(mark)) and seen[-1] == "ready")
        except AssertionError:
            raise AssertionError(f"never through {phase}: {self.phases(mark)}") from None


@contextmanager
def opened(folder: Path, symbols: list[str], *arguments: str, **env: object) -> Iterator[Sea]:
    sea = Sea(folder, *arguments, **env)
    try:
        sea.open(symbols)
        yield sea
        sea.tell(folder.name)
    except BaseException as error:
        error.add_note(sea.pipeline.logs())
        raise
    finally:
        sea.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sea]:
    with opened(tmp_path_factory.mktemp("sea"), SYMBOLS) as sea:
        yield sea


@pytest.fixture
def sea(shared: Sea, request: pytest.FixtureRequest) -> Iterator[Sea]:
    shared.calm()
    shared.diary.clear()
    yield shared
    shared.tell(request.node.name)
    assert shared.pipeline.alive() == list(CORE), shared.pipeline.logs()


def test_gateway_absent_at_start_then_there(tmp_path: Path) -> None:
    with opened(tmp_path, SYMBOLS, "--scenario", "gateway_absent") as sea:

        def all_say_why() -> bool:
            status = sea.says("disconnected", "gateway_unreachable")
            return {symbol.reason for symbol in status.symbols.values()} == {"gateway_unreachable"}

        eventually(all_say_why)
        sea.connected()
        sea.fresh("SPY")


def test_tcp_accepts_and_nothing_answers(sea: Sea) -> None:
    mark = sea.mark()
    sea.do("deaf")
    sea.do("drop")
    sea.says("disconnected", "gateway_silent")
    sea.stale("SPY", "gateway_silent")
    sea.do("hear")
    sea.connected()
    sea.fresh("SPY")
    assert all(link.retry_in is None or link.retry_in <= 2 for link in sea.since(mark, LinkChanged))


@pytest.mark.parametrize("scenario", ["killed_5s", "killed_60s"])
def test_killed_while_streaming(sea: Sea, scenario: str) -> None:
    mark = sea.mark()
    sea.play(scenario)
    sea.says("disconnected", "connection_lost", "gateway_unreachable")
    sea.stale("SPY", "connection_lost", "gateway_unreachable")
    sea.connected()
    sea.fresh("SPY")
    opened_gaps = {gap.symbol for gap in sea.since(mark, GapOpened)}
    assert opened_gaps == {gap.symbol for gap in sea.since(mark, GapClosed)} == set(SYMBOLS)


def test_client_id_in_use(sea: Sea) -> None:
    mark = sea.mark()
    sea.do("ids_taken")
    sea.do("drop")
    sea.says("disconnected", "client_id_in_use")
    sea.do("ids_free")
    sea.connected()
    assert {326} <= {error.code for error in sea.since(mark, IbError)}


def test_link_lost_and_kept(sea: Sea) -> None:
    mark = sea.mark()
    sea.play("link_lost_kept")
    sea.says("disconnected", "ib_connection_lost")
    sea.stale("SPY", "ib_connection_lost")
    sea.connected()
    assert sea.phases(mark) == ["no_ib", "ready"]


def test_link_lost_and_kept_but_no_tick_follows(sea: Sea) -> None:
    mark = sea.mark()
    sea.play("link_lost_kept_silent")
    sea.says("disconnected", "ib_connection_lost")
    sea.says("degraded")
    sea.connected()
    assert "ready" in sea.phases(mark) and "verifying" in {reason for _, reason in sea.states(mark, "SPY")}


def test_link_lost_and_data_lost(sea: Sea) -> None:
    mark = sea.mark()
    sea.play("link_lost_data_lost")
    sea.says("disconnected", "ib_connection_lost")
    sea.connected()
    assert sea.phases(mark) == ["no_ib", "ready"]
    sea.fresh("JPM")


@pytest.mark.parametrize("scenario", ["farm_blip", "farm_blip_silent"])
def test_farm_blip_keeps_the_socket(sea: Sea, scenario: str) -> None:
    mark = sea.mark()
    sea.play(scenario, speed=2)
    eventually(lambda: [farm.state for farm in sea.since(mark, FarmChanged)] == ["broken", "ok"])
    sea.connected()
    assert sea.phases(mark) == []
    assert {state for state, _ in sea.states(mark, "JPM")} <= {"live"}  # on the other farm
    sea.fresh("AAPL")


def test_one_symbol_starves(sea: Sea) -> None:
    mark = sea.mark()
    sea.do("starve", symbol="SPY")
    sea.says("degraded", "no_ticks", "no_answer")
    sea.stale("SPY", "no_ticks", "no_answer")
    sea.do("feed", symbol="SPY")
    sea.connected()
    assert sea.phases(mark) == [] and sea.states(mark, "JPM") == []


def test_one_line_dies_without_a_word(sea: Sea) -> None:
    mark = sea.mark()
    sea.play("starve_one")
    eventually(lambda: "feed_dead" in {reason for _, reason in sea.states(mark, "SPY")})
    sea.connected()
    assert sea.phases(mark) == [] and sea.states(mark, "JPM") == []


def test_all_starve(sea: Sea) -> None:
    mark = sea.mark()
    sea.play("starve_all", speed=4)
    sea.says("degraded", "link_silent")
    sea.stale("SPY")
    sea.connected()
    assert ("stale", "link_silent") in sea.states(mark, "SPY")


def test_competing_session(sea: Sea) -> None:
    mark = sea.mark()
    sea.play("competing_session")
    sea.says("degraded", "competing_session")
    sea.stale("SPY", "competing_session")
    sea.connected()
    assert sea.phases(mark) == []


def test_no_entitlement(sea: Sea) -> None:
    sea.play("no_entitlement", speed=100)
    status = sea.says("degraded", "no_entitlement")
    quote = sea.quote("AAPL", lambda q: q.get("market_data_type") == "delayed")
    assert not quote["stale"]
    status = eventually(lambda: _symbol(sea, "NVDA", "rejected"))
    assert status is not None and status.symbols["NVDA"].code in (10089, 10168)
    assert status.symbols["AAPL"].state == "delayed"
    assert status.symbols["MSFT"].state == "live"  # 10090 breaks nothing


def test_unknown_symbol(sea: Sea) -> None:
    mark = sea.mark()
    sea.do("reject", symbol="NVDA")
    status = sea.says("degraded", "no_contract")
    assert (status.symbols["NVDA"].state, status.symbols["NVDA"].code) == ("rejected", 200)
    sea.stale("NVDA", "no_contract")
    sea.do("accept", symbol="NVDA")
    sea.pipeline.ask(RefreshPlan())
    sea.connected()
    assert sea.states(mark, "JPM") == [] and sea.phases(mark) == []


def test_halt(sea: Sea) -> None:
    mark = sea.mark()
    sea.do("halt", symbol="AAPL", kind=2)
    quote = sea.quote("AAPL", lambda q: q.get("halted") is True)
    assert not quote["stale"]
    eventually(lambda: _symbol(sea, "AAPL", "halted"))
    sea.connected()
    sea.do("resume", symbol="AAPL")
    eventually(lambda: _symbol(sea, "AAPL", "live"))
    assert {state for state, _ in sea.states(mark, "AAPL")} <= {"halted", "live"}


def test_port_change(tmp_path: Path) -> None:
    with opened(tmp_path, SYMBOLS) as sea:
        sea.connected()
        mark = sea.mark()
        sea.do("move_port")
        eventually(lambda: "port_changed" in {link.reason for link in sea.since(mark, LinkChanged)})
        eventually(lambda: _link_port(sea) != sea.pipeline.ib_port)
        sea.connected()


def test_odd_values_are_never_in_a_file(sea: Sea) -> None:
    sea.do("odd")
    start = {symbol: (sea.pipeline.quote(symbol) or {})["seq"] for symbol in SYMBOLS}

    def all_moved() -> bool:
        quotes = {symbol: sea.pipeline.quote(symbol) or {} for symbol in SYMBOLS}
        for quote in [*quotes.values(), *map(_fields, filter(None, map(sea.quote_topic, SYMBOLS)))]:
            _check_sane(quote)
        return all(quote["seq"] > start[symbol] + 1000 for symbol, quote in quotes.items())

    eventually(all_moved, timeout=60)
    sea.connected()


def test_bust_event(sea: Sea) -> None:
    mark = sea.mark()
    sea.play("bust")
    eventually(lambda: 10225 in {error.code for error in sea.since(mark, IbError)})
    sea.connected()
    sea.fresh("GLD")
    assert sea.phases(mark) == []


def test_pacing_ends_a_violator_and_never_us(sea: Sea) -> None:
    mark = sea.mark()
    sea.play("pacing", speed=4)  # time to be back from its restart before IB goes away
    port = sea.pipeline.ib_port
    sea.came_through(mark, "backoff")
    sea.connected()
    with Caller(port, client_id=99) as violator:
        violator.ready()
        with pytest.raises((EOFError, OSError)):
            for number in range(1000):
                violator.send(49, 1)
                if number % 60 == 59:
                    violator.until("4", "100")
    sea.came_through(mark, "no_ib")
    sea.connected()
    assert 100 not in {error.code for error in sea.since(0, IbError)}


def test_line_limit_of_100_with_130_symbols(tmp_path: Path) -> None:
    symbols = [f"SIM{number:04}" for number in range(1, 131)]
    with opened(tmp_path, symbols, "--lines", "100") as sea:
        status = sea.says("degraded", "line_limit")

        def rotated() -> Status | None:
            status = sea.pipeline.status()
            assert status is not None
            states = {name: symbol.state for name, symbol in status.symbols.items()}
            over = [name for name, state in states.items() if state == "over_limit"]
            priced = [name for name in over if (sea.pipeline.quote(name) or {}).get("last")]
            live = [name for name, state in states.items() if state == "live"]
            return status if len(live) + len(over) == 130 and len(live) >= 98 and len(priced) == len(over) else None

        status = eventually(rotated, timeout=60) or status
        live = sorted(name for name, symbol in status.symbols.items() if symbol.state == "live")
        assert live == symbols[: len(live)]  # the most important ones
        rest = {symbol.reason for name, symbol in status.symbols.items() if name not in live}
        assert rest <= {"line_limit", "plan_limit"}, rest  # the planner cuts at max_symbols, the gateway at IB's limit


def test_reset_in_its_window_is_expected(tmp_path: Path) -> None:
    with opened(tmp_path, SYMBOLS, reset_windows="daily 00:00-24:00") as sea:
        sea.connected()
        mark = sea.mark()
        sea.play("nightly_reset", speed=10)
        status = sea.says("disconnected")
        assert status.link is not None and status.link.expected
        sea.connected()
        down = [link for link in sea.since(mark, LinkChanged) if link.phase != "ready"]
        assert down and all(link.expected for link in down)


def test_a_holiday_is_no_fault(tmp_path: Path) -> None:
    with opened(tmp_path, SYMBOLS, "--scenario", "holiday") as sea:
        eventually(lambda: _symbol(sea, "SPY", "closed"), timeout=60)
        sea.connected()
        assert not (sea.pipeline.quote("SPY") or {})["stale"]


@pytest.mark.slow
def test_market_closes_and_opens(tmp_path: Path) -> None:
    with opened(tmp_path, SYMBOLS, "--scenario", "market_closes_and_opens") as sea:
        sea.connected()
        mark = sea.mark()
        eventually(lambda: _symbol(sea, "SPY", "closed"), timeout=75)
        sea.connected()
        eventually(lambda: _symbol(sea, "SPY", "live"), timeout=75)
        sea.connected()
        assert {state for state, _ in sea.states(mark, "SPY")} <= {"live", "quiet", "closed", "stale", "pending"}
        assert sea.phases(mark) == []


@pytest.mark.slow
def test_half_day(tmp_path: Path) -> None:
    with opened(tmp_path, SYMBOLS, "--scenario", "half_day") as sea:
        sea.connected()
        eventually(lambda: _symbol(sea, "SPY", "closed"), timeout=140)
        sea.connected()


def test_the_backup_gateway_takes_over_and_hands_back(tmp_path: Path) -> None:
    backup_port = free_port()
    with opened(tmp_path, SYMBOLS, ib_backup=f"127.0.0.1:{backup_port}") as sea:
        sea.connected()
        (tmp_path / "backup").mkdir()
        with simulator(tmp_path / "backup", "--port", str(backup_port)):
            sea.do("restart", **{"for": 8.0})
            eventually(lambda: _link_port(sea) == backup_port)
            sea.connected()
            eventually(lambda: _link_port(sea) == sea.pipeline.ib_port, timeout=60)
            sea.connected()


def test_chaos_for_ten_minutes_then_calm(sea: Sea, tmp_path: Path) -> None:
    gateway = psutil.Process(sea.pipeline.processes["gateway"].pid)
    before = (gateway.num_fds(), gateway.num_threads(), gateway.memory_info().rss)
    script = tmp_path / "ten_minutes.toml"
    markers = "".join(
        f'[[step]]\nat = {at}\ndo = "error"\ncode = {MARKER}\nmessage = "over"\n' for at in range(610, 670, 10)
    )
    script.write_text(f'title = "chaos"\n[[step]]\nat = 0.0\ndo = "chaos"\nseed = 11\nseconds = 600.0\n{markers}')
    mark = sea.mark()
    sea.play(str(script), speed=20)
    eventually(lambda: MARKER in {error.code for error in sea.since(mark, IbError)}, timeout=90)
    sea.calm()
    for symbol in SYMBOLS:
        sea.fresh(symbol)
    after = (gateway.num_fds(), gateway.num_threads(), gateway.memory_info().rss)
    assert after[0] <= before[0] + 3 and after[1] <= before[1] + 1
    assert after[2] < before[2] + 40_000_000


def test_sizes_in_lots_have_no_name_and_volume_only_where_bars_bear_it_out(sea: Sea) -> None:
    sea.quote("SPY", lambda quote: quote.get("bid_size", 0) >= 100 and quote.get("volume", 0) > 0)
    sea.do("lots")
    sea.do("drop")
    quote = sea.quote("SPY", lambda quote: "bid_size" not in quote and not quote["stale"])
    assert "volume" not in quote and "last_size" not in quote and quote["volume_raw"] > 0
    sea.do("calm")
    sea.do("drop")
    sea.quote("SPY", lambda quote: quote.get("bid_size", 0) >= 100 and quote.get("volume", 0) > 0)


# --- small things ---


def _symbol(sea: Sea, name: str, state: str) -> Status | None:
    status = sea.pipeline.status()
    return status if status is not None and name in status.symbols and status.symbols[name].state == state else None


def _link_port(sea: Sea) -> int | None:
    ready = [event for event in sea.since(0, LinkChanged) if event.phase == "ready"]
    return ready[-1].port if ready else None


def _fields(quote: Quote) -> dict[str, Any]:
    return {name: value for name in quote.__struct_fields__ if (value := getattr(quote, name)) is not None}


def _check_sane(quote: dict[str, Any]) -> None:
    for name in ("bid", "ask", "last", "close", "open", "high", "low"):
        assert quote.get(name, 1.0) > 0, (name, quote)
    for name in ("bid_size", "ask_size", "last_size", "volume"):
        assert 0 <= quote.get(name, 0) < 1e15, (name, quote)
    assert not str(quote.get("exchange_time", "2026")).startswith("1970"), quote
