"""The planner's state machine: what is read when, what is published, and what stays in force through faults."""

import msgspec

from messages.control import Start
from messages.errors import IbStreamError
from messages.events import LineLimitLearned, LinkChanged, Plan, PlanRefreshRequested, StreamStarted, StreamStopped
from services.base.clock import SECOND
from services.planner.core import Answer, Project, Sources, derive
from services.planner.items import Item
from services.planner.state import Defaults, Effect, Folded, PlannerState, Publish, Read

NOW = 1_767_623_400 * SECOND
GONE = IbStreamError("database_unavailable", "the database is gone")


def answer(*symbols: str, snapshot: int = 12) -> Answer:
    rows = [Item(symbol, line, rank=line - 1) for line, symbol in enumerate(symbols, 2)]
    return derive(Start(), Sources(Project(1, "Test"), snapshot, rows))


class Rig:
    """A state machine with a clock; what it publishes is in `plans`, what it wants read in `reads`."""

    def __init__(self, folded: Folded | None = None, plan: Plan | None = None, **defaults) -> None:
        self.state = PlannerState(Defaults(**defaults), folded or Folded(), plan)
        self.now = NOW
        self.seq = 0
        self.plans: list[Plan] = []
        self.reads: list[Read] = []

    def control(self, event) -> None:
        self.seq += 1
        self.state.on_control(event, self.seq, self.now)
        self.turn()

    def turn(self, seconds: float = 0.0) -> None:
        self.now += int(seconds * SECOND)
        self._do(self.state.turn(self.now))

    def give(self, outcome: Answer | IbStreamError) -> None:
        self._do(self.state.on_read(self.reads[-1].number, outcome, self.now))

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Publish):
                self.plans.append(effect.plan)
            else:
                self.reads.append(effect)

    @property
    def names(self) -> list[str]:
        return [s.symbol for s in self.plans[-1].symbols]


def started(*symbols: str, **defaults) -> Rig:
    rig = Rig(**defaults)
    rig.control(StreamStarted(project_id=1))
    rig.give(answer(*(symbols or ("AAPL", "NVDA"))))
    return rig


def test_nothing_before_the_supervisor_has_spoken() -> None:
    rig = Rig()
    rig.turn()
    rig.turn(100)
    assert rig.reads == [] and rig.plans == []


def test_a_start_is_read_and_planned_at_once() -> None:
    rig = started()
    assert rig.reads[0].request == Start(project_id=1)
    assert rig.names == ["AAPL", "NVDA"]
    plan = rig.plans[-1]
    assert (plan.started, plan.project_id, plan.decision_snapshot_id) == (True, 1, 12)


def test_the_refresh_interval_of_the_request_else_of_the_settings() -> None:
    rig = started(refresh_interval=60.0)
    rig.turn(59)
    assert len(rig.reads) == 1
    rig.turn(1)
    assert len(rig.reads) == 2
    rig.control(StreamStopped())
    rig.control(StreamStarted(project_id=1, refresh_interval_seconds=5))
    rig.give(answer("AAPL"))
    rig.turn(5)
    assert len(rig.reads) == 4


def test_one_read_at_a_time() -> None:
    rig = Rig()
    rig.control(StreamStarted(project_id=1))
    rig.turn(1000)
    assert len(rig.reads) == 1


def test_a_plan_goes_out_only_when_it_changed() -> None:
    rig = started("AAPL", "NVDA")
    for _ in range(3):
        rig.turn(60)
        rig.give(answer("AAPL", "NVDA"))
    assert len(rig.plans) == 1
    rig.turn(60)
    rig.give(answer("AAPL", "NVDA", "MSFT"))
    assert len(rig.plans) == 2 and rig.names == ["AAPL", "NVDA", "MSFT"]


def test_stop_plans_nothing_and_starting_again_plans_afresh() -> None:
    rig = started()
    rig.control(StreamStopped())
    assert (rig.plans[-1].started, rig.names) == (False, [])
    rig.turn(1000)
    assert len(rig.reads) == 1
    rig.control(StreamStarted(symbols=["SPY"]))
    assert rig.reads[-1].request.symbols == ["SPY"]


def test_a_read_that_was_overtaken_is_dropped() -> None:
    rig = Rig()
    rig.control(StreamStarted(project_id=1))
    late = rig.reads[-1]
    rig.control(StreamStopped())
    rig._do(rig.state.on_read(late.number, answer("AAPL"), rig.now))
    assert rig.plans[-1].started is False
    rig.control(StreamStarted(project_id=2))
    rig._do(rig.state.on_read(late.number, answer("AAPL"), rig.now))
    assert rig.plans[-1].started is False


def test_a_refresh_by_hand_reads_at_once_and_is_visible() -> None:
    rig = started()
    before = rig.plans[-1].refresh_token
    rig.control(PlanRefreshRequested())
    assert len(rig.reads) == 2
    rig.give(answer("AAPL", "NVDA"))
    assert rig.plans[-1].refresh_token > before and rig.names == ["AAPL", "NVDA"]


def test_the_last_good_plan_stays_in_force_through_a_fault_and_heals() -> None:
    rig = started()
    rig.turn(60)
    rig.give(GONE)
    failed = rig.plans[-1]
    assert rig.names == ["AAPL", "NVDA"]
    assert (failed.problem_code, failed.problem) == ("database_unavailable", "the database is gone")
    assert failed.problem_since == rig.now
    for _ in range(700):  # an hour of it: tried again every few seconds, said once
        rig.turn(5)
        rig.give(GONE)
    assert len(rig.plans) == 2 and len(rig.reads) == 702
    rig.turn(5)
    rig.give(answer("AAPL", "NVDA", "MSFT"))
    assert rig.names == ["AAPL", "NVDA", "MSFT"]
    assert (rig.plans[-1].problem_code, rig.plans[-1].problem_since) == (None, None)


def test_another_problem_is_said_and_keeps_no_old_beginning() -> None:
    rig = started()
    rig.turn(60)
    rig.give(GONE)
    rig.turn(5)
    rig.give(IbStreamError("snapshot_unreadable", "the CSV is missing"))
    assert rig.plans[-1].problem_code == "snapshot_unreadable"
    assert rig.plans[-1].problem_since == rig.now
    assert rig.names == ["AAPL", "NVDA"]


def test_a_fault_at_the_first_start_plans_nothing_and_says_why() -> None:
    rig = Rig()
    rig.control(StreamStarted(project_id=7))
    rig.give(GONE)
    plan = rig.plans[-1]
    assert (plan.started, plan.symbols, plan.project_id, plan.problem_code) == (True, [], 7, "database_unavailable")
    rig.turn(5)
    rig.give(answer("AAPL"))
    assert rig.names == ["AAPL"] and rig.plans[-1].problem is None


def test_another_start_does_not_inherit_the_plan_of_the_last_one() -> None:
    rig = started("AAPL")
    rig.now += SECOND
    rig.state.on_control(StreamStopped(), 2, rig.now)  # while the planner was away: no turn in between
    rig.now += SECOND
    rig.state.on_control(StreamStarted(project_id=2), 3, rig.now)
    rig.turn()
    rig.give(GONE)
    assert (rig.names, rig.plans[-1].project_id) == ([], 2)


def test_a_restarted_planner_keeps_the_plan_and_its_limit() -> None:
    rig = started("AAPL", "NVDA", "MSFT")
    rig.state.on_link(LineLimitLearned(limit=2))
    rig.turn()
    again = Rig(msgspec.structs.replace(rig.state.folded), rig.plans[-1])
    again.now = rig.now + SECOND
    again.turn()
    again.give(GONE)
    assert again.names == ["AAPL", "NVDA"]
    again.turn(5)
    again.give(answer("AAPL", "NVDA", "MSFT"))
    assert again.names == ["AAPL", "NVDA"]


def test_a_learned_line_limit_cuts_at_once_also_while_the_database_is_away() -> None:
    rig = started("AAPL", "NVDA", "MSFT")
    rig.turn(60)
    rig.give(GONE)
    rig.state.on_link(LineLimitLearned(limit=2))
    rig.turn()
    assert rig.names == ["AAPL", "NVDA"]
    assert rig.plans[-1].cut[0].reason == "over the limit of 2 market data lines"
    assert rig.plans[-1].problem_code == "database_unavailable"
    rig.control(PlanRefreshRequested())  # by hand: the limit is tried again
    rig.give(answer("AAPL", "NVDA", "MSFT"))
    assert rig.names == ["AAPL", "NVDA", "MSFT"]


def test_max_symbols_and_market_data_type_of_the_request() -> None:
    rig = Rig()
    rig.control(StreamStarted(project_id=1, max_symbols=1, market_data_type="delayed"))
    rig.give(answer("AAPL", "NVDA"))
    plan = rig.plans[-1]
    assert (rig.names, [c.symbol for c in plan.cut], plan.market_data_type) == (["AAPL"], ["NVDA"], "delayed")


def test_a_clock_that_was_set_back_does_not_unsettle_the_plan() -> None:
    rig = started()
    rig.now -= 3600 * SECOND
    rig.state.refresh()
    rig.turn()
    rig.give(GONE)
    assert rig.names == ["AAPL", "NVDA"]
    for _ in range(3):
        rig.turn(5)
    assert len(rig.plans) == 2


def test_a_plan_that_the_journal_refused_is_computed_again() -> None:
    rig = started()
    rig.turn(60)
    rig.give(answer("MSFT"))
    rig.state.not_published()
    rig.turn(60)
    rig.give(answer("MSFT"))
    assert rig.names == ["MSFT"] and len(rig.plans) == 3


def test_a_preview_changes_nothing() -> None:
    rig = started()
    plan = rig.state.preview(Start(project_id=2, max_symbols=1), answer("QQQ", "SPY"), rig.now)
    assert [s.symbol for s in plan.symbols] == ["QQQ"]
    rig.turn(60)
    rig.give(answer("AAPL", "NVDA"))
    assert len(rig.plans) == 1


# --- several gateways --------------------------------------------------------------------------------------

TWO = {"line_limits": {"a": 3, "b": 3}}
SIX = ("A1", "B1", "A2", "B2", "A3", "B3")


def beating(rig: Rig, seconds: float, names: str = "ab") -> None:
    for _ in range(round(seconds * 10)):
        for name in names:
            rig.state.on_beat(name, 1, rig.now)
        rig.turn(0.1)


def link(rig: Rig, name: str, phase: str) -> None:
    rig.state.on_link(LinkChanged(phase=phase), name, 1, rig.now)  # type: ignore[arg-type]


def two_gateways(*symbols: str) -> Rig:
    rig = started(*symbols, **TWO)
    link(rig, "a", "ready")
    link(rig, "b", "ready")
    beating(rig, 1)
    return rig


def places(rig: Rig) -> dict[str, tuple[str, str]]:
    return {s.symbol: (s.gateway, s.home) for s in rig.plans[-1].symbols}


AT_HOME = {name: (name[0].lower(), "") for name in SIX}
MOVED = {name: ("b", "a" if name[0] == "A" else "") for name in SIX}


def test_symbols_are_shared_out_and_a_failed_gateways_move_and_come_back() -> None:
    rig = two_gateways(*SIX)
    assert places(rig) == AT_HOME
    plans = len(rig.plans)
    link(rig, "a", "backoff")
    beating(rig, 1.2)
    assert len(rig.plans) == plans
    beating(rig, 1)
    assert places(rig) == MOVED
    link(rig, "a", "ready")
    beating(rig, 2.5)
    assert places(rig) == MOVED
    beating(rig, 1)
    assert places(rig) == AT_HOME
    assert len(rig.plans) == plans + 2


def test_the_lines_of_all_gateways_limit_the_plan_and_a_failure_cuts_nothing() -> None:
    rig = two_gateways(*SIX, "X1")
    assert rig.names == list(SIX)
    assert [(c.symbol, c.limit) for c in rig.plans[-1].cut] == [("X1", "lines")]
    assert rig.plans[-1].cut[0].gateway == "a"
    beating(rig, 3, "b")  # the process of a is silent
    assert rig.names == list(SIX)
    assert places(rig) == MOVED
    assert rig.plans[-1].cut[0].gateway == "b"


def test_a_restarted_planner_moves_nothing() -> None:
    rig = two_gateways(*SIX)
    link(rig, "a", "backoff")
    beating(rig, 2)
    again = Rig(rig.state.folded, rig.plans[-1], **TWO)
    again.now = rig.now
    again.turn()
    again.give(answer(*SIX))
    assert again.plans == []
    beating(again, 3)
    assert again.plans == []
    link(again, "a", "ready")
    beating(again, 4)
    assert places(again) == AT_HOME


def test_a_limit_that_one_gateway_learned_is_its_own() -> None:
    rig = two_gateways(*SIX)
    rig.state.on_link(LineLimitLearned(limit=2), "a", 1, rig.now)
    beating(rig, 0.2)
    assert rig.names == list(SIX[:5])
    assert places(rig) == {"A1": ("a", ""), "B1": ("b", ""), "A2": ("a", ""), "B2": ("b", ""), "A3": ("b", "")}


def test_a_failure_moves_symbols_while_the_database_is_away() -> None:
    rig = two_gateways(*SIX)
    rig.turn(60)
    rig.give(GONE)
    beating(rig, 3, "b")
    assert places(rig) == MOVED
    assert rig.plans[-1].problem_code == "database_unavailable"


def test_one_gateway_has_no_name_in_the_plan() -> None:
    rig = started("AAPL", "NVDA")
    (fields, *_) = msgspec.to_builtins(rig.plans[-1])["symbols"]
    assert not {"gateway", "home"} & fields.keys()
