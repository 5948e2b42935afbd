"""When IB was last heard: any byte tells, but for after a time in which bytes may have waited."""

from services.base.clock import SECOND
from services.gateway.pulse import Pulse

NOW = 1_700_000_000 * SECOND


def moment(seconds: float) -> tuple[float, int]:
    return 100.0 + seconds, NOW + int(seconds * SECOND)


def beating(until: float) -> Pulse:
    pulse = Pulse(1.0)
    for tenth in range(int(until * 10) + 1):
        pulse.heard(*moment(tenth / 10))
    return pulse


def test_without_a_connection_nothing_was_heard() -> None:
    pulse = beating(1)
    pulse.begin()
    assert pulse.heard_at(*moment(1)) == 0


def test_silence_is_asked_about_once_an_interval() -> None:
    pulse = beating(1)
    asked = 0
    for tenth in range(10, 45):
        if pulse.wants(*moment(tenth / 10)):
            pulse.asked(moment(tenth / 10)[0])
            asked += 1
    assert asked == 3
    assert pulse.heard_at(*moment(4.5)) == NOW + SECOND


def test_after_a_freeze_only_the_answer_to_a_later_question_proves_anything() -> None:
    pulse = beating(1)
    pulse.asked(moment(1)[0])
    pulse.heard(*moment(61))  # what waited in the socket
    pulse.answered(*moment(61))  # and so did this
    assert pulse.heard_at(*moment(61)) == NOW + SECOND
    assert pulse.wants(*moment(61))
    pulse.asked(moment(61)[0])
    pulse.heard(*moment(61.1))
    assert pulse.heard_at(*moment(61.1)) == NOW + SECOND
    pulse.answered(*moment(61.2))
    assert pulse.heard_at(*moment(61.3)) >= NOW + 61 * SECOND


def test_a_machine_that_slept_is_a_freeze_though_the_steady_clock_stood_still() -> None:
    pulse = beating(1)
    at, now = moment(1.1)
    pulse.heard(at, now + 3600 * SECOND)
    assert pulse.heard_at(at, now + 3600 * SECOND) <= NOW + SECOND
    assert pulse.wants(at, now + 3600 * SECOND)


def test_a_clock_that_is_set_back_takes_the_moment_with_it() -> None:
    pulse = beating(1)
    at, now = moment(3)
    assert pulse.heard_at(at, now - 3600 * SECOND) == now - 3602 * SECOND
