"""Price alerts beside the supervisor's loop: none is lost between the journal of prices and that of alerts."""

from collections.abc import Callable
from typing import Any

import pytest

from messages.errors import IbStreamError
from messages.events import AlertAdded, AlertFired, StreamStarted, SymbolChanged
from messages.fields import LAST
from services.base.clock import SECOND
from services.base.settings import Settings
from services.supervisor.price_alerts import PriceAlerts, Watcher
from tests.blocks import NOW, TestWriter


@pytest.fixture
def settings(tmp_path):
    """A journal in which SPY rises above 600 two seconds after an alert was set."""
    settings = Settings(data_root=str(tmp_path))
    streams = ("control", "plan", "link", "ticks")
    control, plan, link, ticks = writers = [TestWriter(settings.journal_dir, stream) for stream in streams]
    control.events(StreamStarted(project_id=1), AlertAdded(rule="SPY rises above 600", pause=60.0, note=""))
    plan.plan(["SPY"])
    link.events(SymbolChanged("SPY", "live", False))
    for second, price in ((1, 599.0), (2, 601.0)):
        ticks.ticks([("SPY", LAST, price, 100.0)], time=NOW + second * SECOND)
    for writer in writers:
        writer.close()
    return settings


def test_what_was_found_and_not_told_is_found_again_after_a_crash(settings):
    first = Watcher(settings, NOW)
    assert [event.id for event in first.read(NOW + 3 * SECOND)] == [2]
    second = Watcher(settings, NOW)
    assert [event.id for event in second.read(NOW + 4 * SECOND)] == [2]
    assert second.read(NOW + 5 * SECOND) == []  # it asks again: what it was given is journalled
    assert Watcher(settings, NOW).read(NOW + 6 * SECOND) == []


class Threads:
    """Jobs that are done when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []

    def submit(self, job: Callable[[], Any], then: Callable[[Any], None], seconds: float) -> None:
        self.waiting.append((job, then))

    def work(self) -> None:
        waiting, self.waiting = self.waiting, []
        for job, then in waiting:
            try:
                outcome = job()
            except IbStreamError as error:
                outcome = error
            then(outcome)


def test_while_an_alert_cannot_be_journalled_it_comes_again_and_nothing_is_read(settings):
    threads: Any = Threads()
    told: list[list[AlertFired]] = []
    takes = False

    def tell(found: list[AlertFired]) -> bool:
        told.append([*found])
        return takes

    alerts = PriceAlerts(settings, threads, tell)
    alerts.look(NOW, NOW + 3 * SECOND, 3.0)
    threads.work()
    alerts.look(NOW, NOW + 4 * SECOND, 4.0)
    assert not threads.waiting
    takes = True
    alerts.look(NOW, NOW + 5 * SECOND, 5.0)
    assert len(threads.waiting) == 1
    assert [[event.id for event in found] for found in told] == [[2], [2], [2]]
    threads.work()
    assert len(told) == 3


def test_a_problem_ends_with_the_last_alert(settings):
    threads: Any = Threads()
    alerts = PriceAlerts(settings, threads, lambda _found: True)
    alerts.look(NOW, NOW + 3 * SECOND, 3.0)
    ((_, then),) = threads.waiting
    then(IbStreamError("journal_damaged", "a block is torn"))
    assert alerts.problem == "price alerts: a block is torn"
    alerts.look(None, NOW + 4 * SECOND, 4.0)
    assert alerts.problem is None


def test_a_clock_that_is_set_back_holds_up_no_alert(settings):
    """The gateway's times never go back: what it writes is not of the future."""
    threads: Any = Threads()
    told: list[AlertFired] = []
    alerts = PriceAlerts(settings, threads, lambda found: told.extend(found) or True)
    alerts.look(NOW, NOW + 3 * SECOND // 2, 1.5)
    threads.work()
    assert told == []
    alerts.look(NOW, NOW - 3600 * SECOND, 3.0)
    threads.work()
    assert [event.id for event in told] == [2]
