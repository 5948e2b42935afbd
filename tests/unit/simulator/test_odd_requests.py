"""Requests that make no sense, or ask for more than there is: refused with their id, or bounded; never a crash."""

import pytest
from ibapi.contract import Contract
from ibapi.execution import ExecutionFilter

from services.simulator.protocol import handlers
from services.simulator.protocol.versions import HIGHEST
from tests.support import some
from tests.unit.simulator.conversation import Conversation

VERSIONS = [157, 200, HIGHEST]


def spy() -> Contract:
    contract = Contract()
    contract.symbol, contract.secType, contract.exchange, contract.currency = "SPY", "STK", "SMART", "USD"
    return contract


def refusals(talk: Conversation) -> list[tuple[int, int]]:
    """Request id and code of each error; farm notices apart."""
    found = [(call[1], call[3] if isinstance(call[3], int) else call[2]) for call in talk.calls("error")]
    return [(request, code) for request, code in found if code < 2100 or code > 2199]


def bars(talk: Conversation, request: int, duration: str, size: str = "1 day", end: str = "") -> int:
    talk.client.reqHistoricalData(request, spy(), end, duration, size, "TRADES", 0, 1, False, [])
    return len([call for call in talk.calls("historicalData") if call[1] == request])


@pytest.mark.parametrize("version", some(VERSIONS, 1))
@pytest.mark.parametrize("duration", some(["100 Y", "99999 Y", "999999 Y", "999999 M"], 2))
def test_a_duration_of_more_than_there_is_brings_what_there_is(version: int, duration: str) -> None:
    talk = Conversation(version)
    assert bars(talk, 1, duration) > 5000
    (first, *_) = [call[2].date for call in talk.calls("historicalData")]
    assert first >= "20040123"


def test_a_span_of_millions_of_bars_costs_no_more_than_the_newest_of_them() -> None:
    talk = Conversation(HIGHEST)
    looked_at = 0
    sessions = talk.core.world.hours.sessions

    def counted(*of: object) -> object:
        nonlocal looked_at
        looked_at += 1
        return sessions(*of)  # type: ignore[arg-type]

    talk.core.world.hours.sessions = counted  # type: ignore[method-assign, assignment]
    assert bars(talk, 1, "5 D", "1 secs") == 20_000
    assert looked_at < 200


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("end", ["00010101-00:00:00", "99991231-23:59:59", "99991231 23:59:59 Asia/Tokyo", "garbage"])
def test_a_time_far_from_ours_is_refused(version: int, end: str) -> None:
    talk = Conversation(version)
    assert bars(talk, 1, "1 D", end=end) == 0
    talk.client.reqHistoricalTicks(2, spy(), end, "", 10, "TRADES", 1, True, [])
    wanted = ExecutionFilter()
    wanted.time = end
    talk.client.reqExecutions(3, wanted)
    assert refusals(talk) == [(1, 321), (2, 321), (3, 321)]


def test_bars_of_a_time_before_there_were_any_are_none() -> None:
    talk = Conversation(HIGHEST)
    assert bars(talk, 1, "1 Y", end="20000103-12:00:00") == 0
    assert refusals(talk) == [(1, 162)]


@pytest.mark.parametrize("version", VERSIONS)
def test_another_account_is_refused(version: int) -> None:
    talk = Conversation(version)
    client = talk.client
    client.reqAccountUpdates(True, "U999")
    client.reqPositionsMulti(1, "U999", "")
    client.reqAccountUpdatesMulti(2, "U999", "", True)
    client.reqPnL(3, "U999", "")
    client.reqPnLSingle(4, "U999", "", 756733)
    assert refusals(talk) == [(-1, 321), (1, 321), (2, 321), (3, 321), (4, 321)]
    assert not talk.calls("updateAccountValue") + talk.calls("pnl") + talk.calls("accountUpdateMulti")
    client.reqAccountUpdates(True, "DUSIM01")
    client.reqPnL(5, "", "")
    client.reqPnLSingle(6, "DUSIM01", "", 756733)
    assert talk.calls("accountDownloadEnd") and talk.calls("pnl") and talk.calls("pnlSingle")
    assert len(refusals(talk)) == 5


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_asked_for_wrongly_is_refused_under_its_id(version: int) -> None:
    talk = Conversation(version)
    client = talk.client
    client.reqHeadTimeStamp(1, spy(), "XXX", 1, 1)
    client.reqHistogramData(2, spy(), True, "x")
    client.reqHistogramData(3, spy(), True, "0 days")
    client.reqTickByTickData(4, spy(), "XXX", 0, False)
    client.cancelTickByTickData(5)
    client.cancelRealTimeBars(6)
    client.replaceFA(7, 1, "<x/>")
    assert refusals(talk) == [(1, 321), (2, 321), (3, 321), (4, 10189), (5, 300), (6, 300), (7, 321)]
    client.reqHistogramData(8, spy(), True, "1 year")
    assert [call[1] for call in talk.calls("histogramData")] == [8]


@pytest.mark.parametrize("version", VERSIONS)
def test_an_id_that_is_in_use_is_refused_and_what_runs_goes_on(version: int) -> None:
    talk = Conversation(version)
    qqq = spy()
    qqq.symbol = "QQQ"
    talk.client.reqTickByTickData(1, spy(), "Last", 0, False)
    talk.client.reqTickByTickData(1, qqq, "MidPoint", 0, False)
    for _ in range(2):
        talk.client.reqHistoricalData(2, spy(), "", "600 S", "1 min", "TRADES", 0, 1, True, [])
    assert refusals(talk) == [(1, 322), (2, 322)]
    talk.turn(2)
    assert talk.calls("tickByTickAllLast") and not talk.calls("tickByTickMidPoint")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_request_that_fails_here_ends_neither_its_client_nor_the_others(
    version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OverflowError("date value out of range")

    monkeypatch.setitem(handlers.HANDLERS, 87, fail)
    talk = Conversation(version)
    talk.client.reqHeadTimeStamp(1, spy(), "TRADES", 1, 1)
    assert refusals(talk) == [(1, 322)]
    assert bars(talk, 2, "1 D") == 1
