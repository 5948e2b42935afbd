"""When a gateway counts as failed, and when as returned: blips move nothing."""

from messages.events import LinkChanged
from services.base.clock import SECOND
from services.planner.health import Health, LinkFact, fold_link

START = 1_767_623_400 * SECOND


class Rig:
    """Two gateways; those in `beating` are heard as time passes, the link of each in `epochs`."""

    def __init__(self, failed: str = "", silence: float = 2.5, beat_every: int = 1) -> None:
        self.now = START
        self.health = Health("ab", failed, self.now, silence)
        self.beat_every = beat_every  # tenths of a second
        self.tenths = 0
        self.links: dict[str, LinkFact] = {}
        self.epochs = {"a": 1, "b": 1}
        self.beating = {"a", "b"}

    def link(self, name: str, phase: str, epoch: int | None = None) -> None:
        epoch = epoch or self.epochs[name]
        fact = self.links.get(name, LinkFact())
        self.links[name] = fold_link(fact, LinkChanged(phase=phase), epoch, self.now)  # type: ignore[arg-type]

    def passing(self, seconds: float) -> str:
        """The names of those that have failed, at the end."""
        for _ in range(round(seconds * 10)):
            self.now += SECOND // 10
            self.tenths += 1
            for name in self.beating if self.tenths % self.beat_every == 0 else ():
                self.health.on_beat(name, self.epochs[name], self.now)
            self.health.check(self.links, self.now)
        return "".join(sorted(self.health.failed))


def ready() -> Rig:
    rig = Rig()
    rig.link("a", "ready")
    rig.link("b", "ready")
    assert rig.passing(1) == ""
    return rig


def test_a_link_that_is_lost_for_longer_than_a_blip() -> None:
    rig = ready()
    rig.link("a", "backoff")
    assert rig.passing(1.4) == ""
    rig.link("a", "connecting")  # another try is no return
    assert rig.passing(0.3) == "a"


def test_a_blip_moves_nothing() -> None:
    rig = ready()
    for _ in range(5):
        rig.link("a", "backoff")
        assert rig.passing(1) == ""
        rig.link("a", "ready")
        assert rig.passing(1) == ""


def test_a_gateway_that_lost_ib_has_failed() -> None:
    rig = ready()
    rig.link("b", "no_ib")
    assert rig.passing(2) == "b"


def test_a_silent_process_has_failed_and_its_last_word_does_not_bring_it_back() -> None:
    rig = ready()
    rig.beating.remove("a")
    assert rig.passing(2.4) == ""
    assert rig.passing(0.3) == "a"
    rig.beating.add("a")
    rig.epochs["a"] = 2  # a new process: `ready` was said by the old one
    assert rig.passing(10) == "a"
    rig.link("a", "connecting")
    rig.link("a", "ready")
    assert rig.passing(2.8) == "a"
    assert rig.passing(0.4) == ""


def test_a_return_must_last() -> None:
    rig = ready()
    rig.link("a", "backoff")
    assert rig.passing(2) == "a"
    for _ in range(3):
        rig.link("a", "ready")
        assert rig.passing(2) == "a"
        rig.link("a", "backoff")
        assert rig.passing(1) == "a"


def test_at_the_start_everybody_gets_longer() -> None:
    rig = Rig()
    rig.beating.remove("a")
    rig.link("b", "connecting")
    assert rig.passing(4.8) == ""
    assert rig.passing(0.5) == "ab"


def test_a_login_may_take_its_time() -> None:
    rig = ready()
    rig.link("a", "idle")  # the stream was stopped
    assert rig.passing(1) == ""
    rig.link("a", "connecting")
    rig.link("a", "handshake")
    assert rig.passing(4.8) == ""
    rig.link("a", "backoff")  # in vain
    assert rig.passing(0.1) == "a"


def test_a_link_that_is_not_wanted_is_no_failure() -> None:
    rig = ready()
    rig.link("a", "idle")
    assert rig.passing(20) == ""


def test_what_had_failed_before_a_restart_of_the_planner_has_failed_after_it() -> None:
    rig = Rig("a")
    rig.link("b", "ready")
    rig.link("a", "backoff")
    assert rig.passing(0.1) == "a"
    rig.link("a", "ready")
    assert rig.passing(3.2) == ""


def test_a_planner_that_was_held_up_has_not_seen_others_fail() -> None:
    rig = ready()
    rig.now += 20 * SECOND  # their heartbeats of that time are in the socket
    rig.health.check(rig.links, rig.now)
    assert rig.health.failed == frozenset()
    assert rig.passing(1) == ""


def test_gateways_that_are_set_to_beat_seldom_have_not_failed_in_between() -> None:
    rig = Rig(silence=10, beat_every=50)
    rig.link("a", "ready")
    rig.link("b", "ready")
    for _ in range(20):
        assert rig.passing(1) == ""
    rig.beating.remove("a")
    assert rig.passing(11) == "a"
