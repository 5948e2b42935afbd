"""Scenario files: the shipped ones run to their end at any speed, and afterwards all is live again."""

import itertools
from pathlib import Path

import pytest

from services.base.clock import SECOND, ManualClock
from services.simulator.core import Config, Core
from services.simulator.effects import Close, Effect, Listen, Send
from services.simulator.trouble import chaos, scenario
from services.simulator.trouble.scenario import Director, Scenario, ScenarioError, Timed
from tests.unit.simulator.conversation import MONDAY_NOON, Conversation, contract, framed

SHIPPED = scenario.shipped()
README = Path(scenario.__file__).parents[1] / "README.md"


class Survivor:
    """A client that never gives up: reconnects, and subscribes anew to what has not ticked for two seconds."""

    SYMBOLS = ("SPY", "AAPL", "NVDA")

    def __init__(self, core: Core, now: int) -> None:
        self.core, self.now = core, now
        self.listening, self.conn, self.next_id = True, 0, 0
        self.codes: set[int] = set()
        self.ticked = dict.fromkeys(self.SYMBOLS, 0)
        self._end(now)

    def turn(self, now: int) -> None:
        self.now = now
        self._take(self.core.handle_turn(now))
        if not self.conn and self.listening and now > self.since + SECOND // 2:
            self.conn, self.since = next(CONNS), now
            self._take(self.core.handle_connected(self.conn, now))
            self._say(b"API\0" + framed(b"v100..200"))
        elif self.conn and not self.ready and now > self.since + 3 * SECOND:
            self._end(now)
        for symbol in self.SYMBOLS if self.ready else ():
            if self.ticked[symbol] < now - 2 * SECOND and self.asked.get(symbol, 0) < now - 2 * SECOND:
                self.asked[symbol] = now
                for request in [r for r, of in self.lines.items() if of == symbol]:
                    self.lines.pop(request)
                    self._send(2, 2, request)
                self.next_id += 1
                self.lines[self.next_id] = symbol
                self._send(
                    1, 11, self.next_id, 0, symbol, "STK", "", 0, "", "", "SMART", "", "USD", "", "", 0, "", 0, 0, ""
                )

    def _end(self, now: int) -> None:
        if self.conn:
            self.core.handle_closed(self.conn, now)
        self.conn, self.ready, self.since, self.buffer = 0, False, now, b""
        self.lines: dict[int, str] = {}
        self.asked: dict[str, int] = {}

    def _send(self, *fields: object) -> None:
        self._say(framed("".join(f"{field}\0" for field in fields).encode()))

    def _say(self, data: bytes) -> None:
        if self.conn:
            self._take(self.core.handle_bytes(self.conn, data, self.now))

    def _take(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Listen):
                self.listening = effect.on
                self._take(self.core.handle_listening(4000, self.now) if effect.on else [])
            elif isinstance(effect, Close) and effect.conn == self.conn:
                self._end(self.now)
            elif isinstance(effect, Send) and effect.conn == self.conn:
                self._read(effect.data)

    def _read(self, data: bytes) -> None:
        self.buffer += data
        while len(self.buffer) >= 4:
            length = int.from_bytes(self.buffer[:4], "big")
            if length > 1_000_000:
                self._end(self.now)
                return
            if len(self.buffer) < 4 + length:
                return
            fields = self.buffer[4 : 4 + length].decode("latin-1").split("\0")
            self.buffer = self.buffer[4 + length :]
            if fields[0] == "200":
                self._send(71, 2, 1, "")
            elif fields[0] == "9":
                self.ready = True
            elif fields[0] == "4":
                self.codes.add(int(fields[2]))
            elif fields[0] in ("1", "2") and fields[2].isdigit() and fields[3] in ("0", "1") and float(fields[4]) > 0:
                self.ticked |= {self.lines[r]: self.now for r in (int(fields[2]),) if r in self.lines}


CONNS = itertools.count(1)


def survive(chosen: Scenario, seconds: float, speed: float) -> tuple[Survivor, set[str]]:
    """The client after the scenario, and which of its symbols ticked in the last second and a half."""
    clock = ManualClock(MONDAY_NOON)
    core = Core(Config(), clock.now())
    client = Survivor(core, clock.now())
    client._take(core.handle_call(lambda: Director(core, speed).run(chosen), clock.now()))
    for _ in range(round(seconds / 0.05)):
        client.turn(clock.advance(0.05))
    return client, {symbol for symbol, at in client.ticked.items() if at > clock.now() - 1.5 * SECOND}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_scenario_is_documented(name: str) -> None:
    chosen = scenario.load(name)
    assert chosen.title and chosen.about and chosen.steps
    assert f"`{name}`" in README.read_text()


SEEN = {
    "killed_5s": set(), "killed_60s": set(), "client_id_taken": {326}, "link_lost_kept": {1100, 1102},
    "link_lost_kept_silent": {1100, 1102}, "link_lost_data_lost": {1100, 1101}, "farm_blip": {2103},
    "farm_blip_silent": {2103}, "competing_session": {10197}, "no_entitlement": {354, 10089},
    "unknown_symbol": {200}, "nightly_reset": {1100}, "port_change": {1300}, "history_farm_down": {2105},
    "chaos": {1100, 2103, 10197, 326}, "habits": {2103},
}  # fmt: skip
TICKING = {"no_entitlement": {"SPY"}, "holiday": set(), "market_closes_and_opens": set(), "half_day": set()}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_client_that_never_gives_up_survives(name: str) -> None:
    client, ticking = survive(scenario.load(name), seconds=75, speed=10)
    assert ticking == TICKING.get(name, set(Survivor.SYMBOLS))
    assert client.codes >= SEEN.get(name, set())
    assert 100 not in client.codes


def test_steps_happen_at_their_times_divided_by_the_speed() -> None:
    talk = Conversation()
    steps = [Timed(2.0, "server_broken", {}), Timed(4.0, "ib_down", {}, 2.0)]
    talk.core.handle_call(lambda: Director(talk.core, 2.0).run(Scenario("", "", "start", steps)), talk.clock.now())
    talk.take()
    seen: list[tuple[float, int]] = []
    for turn in range(80):
        talk.turn()
        seen += [(round((turn + 1) * 0.05, 2), code) for _, code in talk.errors()]
        talk.take()
    assert seen == [(1.0, 2110), (2.0, 1100), (3.0, 1102)]


@pytest.mark.parametrize(("begin", "when"), [("client", 1), ("subscription", 2)])
def test_a_scenario_waits_for_its_beginning(begin: str, when: int) -> None:
    talk = Conversation()
    talk.core.handle_closed(talk.conn, 0)
    chosen = scenario.parse({"begin": begin, "step": [{"do": "error", "code": 7, "message": "now"}]})
    talk.core.handle_call(lambda: Director(talk.core).run(chosen), talk.clock.now())
    talk.turn(5)
    other = Conversation(core=talk.core, client_id=3)
    other.clock = talk.clock
    other.turn(1)
    assert (other.errors() == [(-1, 7)]) == (when == 1)
    other.client.reqMktData(1, contract(), "", False, False, [])
    other.turn(1)
    assert other.errors() == [(-1, 7)]


def test_chaos_is_the_same_for_the_same_seed_and_ends_calm() -> None:
    assert chaos.plan(5, 600) == chaos.plan(5, 600) != chaos.plan(6, 600)
    plan = chaos.plan(5, 600)
    assert len(plan) > 100
    assert all(entry["at"] + entry.get("for", 0) <= 600.5 for entry in plan)
    assert plan[-1]["do"] == "calm"
    for entry in plan:
        scenario.parse_step(entry)
    kinds = {entry["do"] for seed in range(5) for entry in chaos.plan(seed, 600)}
    assert kinds >= {"farm_down", "ib_down", "starve", "competing", "drop", "restart", "deaf", "odd", "halt", "burst"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("title = ", "Invalid value"),
        ("tilte = 'x'", "unknown key 'tilte'"),
        ("begin = 'noon'", "begin is 'noon'"),
        ("[[step]]\ndo = 'starve'\n[[step]]\ndo = 'x'", "step 2: do is 'x'"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        scenario.load(str(path))
    assert complaint in str(caught.value)
    assert str(path) in str(caught.value)


def test_an_unknown_scenario_is_told_which_there_are() -> None:
    with pytest.raises(ScenarioError, match=r"neither a file nor one of advisory, bad_bytes, .*chaos"):
        scenario.load("nosuch")
