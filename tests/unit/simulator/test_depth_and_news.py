"""Depth, news, scanners and display groups, asked for by the official client in several versions."""

from xml.etree import ElementTree

import pytest
from ibapi.contract import Contract
from ibapi.scanner import ScannerSubscription
from ibapi.tag_value import TagValue

from services.simulator.protocol.versions import HIGHEST, SMART_DEPTH
from tests.unit.simulator.conversation import Conversation

VERSIONS = (100, 150, 176, 200, 203, 209, 212, HIGHEST)


@pytest.fixture(params=VERSIONS)
def talk(request: pytest.FixtureRequest) -> Conversation:
    return Conversation(request.param)


def stock(symbol: str = "AAPL", exchange: str = "SMART") -> Contract:
    found = Contract()
    found.symbol, found.secType, found.exchange, found.currency = symbol, "STK", exchange, "USD"
    return found


def price(talk: Conversation, field: int) -> float:
    talk.client.reqMktData(99, stock(), "", True, False, [])
    return next(call[3] for call in talk.calls("tickPrice") if call[1:3] == (99, field))


class BookOfClient:
    """What a client makes of the rows."""

    def __init__(self) -> None:
        self.sides: dict[int, list[float]] = {0: [], 1: []}

    def apply(self, place: int, operation: int, side: int, at: float) -> None:
        rows = self.sides[side]
        match operation:
            case 0:
                rows.insert(place, at)
            case 1:
                rows[place] = at
            case _:
                del rows[place]


@pytest.mark.parametrize("smart", [False, True])
def test_the_book_is_ordered_all_the_time_and_begins_at_the_quote(talk: Conversation, smart: bool) -> None:
    if smart and talk.version < SMART_DEPTH:
        smart = False
    talk.client.reqMktDepth(1, stock(), 5, smart, [])
    shown = BookOfClient()
    for _ in range(10):
        for call in talk.calls("updateMktDepthL2" if smart else "updateMktDepth"):
            place, rest = call[2], call[4:] if smart else call[3:]
            shown.apply(place, rest[0], rest[1], rest[2])
        talk.take()
        asks, bids = shown.sides[0], shown.sides[1]
        assert len(asks) == len(bids) == 5
        assert bids == sorted(bids, reverse=True)
        assert asks == sorted(asks)
        assert bids[0] < asks[0]
        talk.turn(1.0)
    assert shown.sides[1][0] == pytest.approx(price(talk, 1), abs=0.2)
    talk.client.cancelMktDepth(1, smart)
    talk.take()
    talk.turn(3.0)
    assert not talk.calls("updateMktDepth") and not talk.calls("updateMktDepthL2")
    assert talk.errors() == []


def test_depth_has_its_limits(talk: Conversation) -> None:
    for request in range(1, 5):
        talk.client.reqMktDepth(request, stock(), 5, False, [])
    talk.client.cancelMktDepth(7, False)
    index = stock("SPX", "CBOE")
    index.secType = "IND"
    talk.client.reqMktDepth(8, index, 5, False, [])
    assert talk.errors() == [(4, 309), (7, 310), (8, 10092)]


def test_headlines_and_their_articles(talk: Conversation) -> None:
    if talk.version < 117:
        return
    talk.client.reqNewsProviders()
    ((_, providers),) = talk.calls("newsProviders")
    assert "BRFG" in {provider.code for provider in providers}
    talk.client.reqHistoricalNews(1, 265598, "BRFG+DJNL", "", "", 5, [])
    found = talk.calls("historicalNews")
    assert len(found) == 5
    assert [call[2] for call in found] == sorted((call[2] for call in found), reverse=True)
    assert all("(invented)" in call[5] for call in found)
    assert talk.calls("historicalNewsEnd") == [("historicalNewsEnd", 1, True)]
    talk.client.reqNewsArticle(2, found[0][3], found[0][4], [])
    assert "invented" in talk.calls("newsArticle")[0][3]
    talk.client.reqNewsArticle(3, "BRFG", "nothing", [])
    talk.client.reqHistoricalNews(4, 265598, "NOBODY", "", "", 5, [])
    talk.client.reqHistoricalNews(5, 265598, "BRFG", "yesterday", "", 5, [])
    oldest = found[-1][2]
    talk.client.reqHistoricalNews(6, 265598, "BRFG+DJNL", oldest, "", 300, [])
    assert [call[2] for call in talk.calls("historicalNews") if call[1] == 6] == [call[2] for call in found]
    assert talk.errors() == [(3, 10172), (4, 321), (5, 321)]


def test_a_scan_gives_ranked_rows_within_its_bounds(talk: Conversation) -> None:
    talk.client.reqScannerParameters()
    known = ElementTree.fromstring(talk.calls("scannerParameters")[0][1].partition("\n")[2])
    assert "TOP_PERC_GAIN" in {code.text for code in known.iter("scanCode")}
    scan = ScannerSubscription()
    scan.instrument, scan.locationCode, scan.scanCode = "STK", "STK.US.MAJOR", "MOST_ACTIVE"
    scan.numberOfRows, scan.abovePrice = 5, 200.0
    talk.client.reqScannerSubscription(1, scan, [], None)
    rows = talk.calls("scannerData")
    assert [call[2] for call in rows] == [0, 1, 2, 3, 4]
    assert all(call[3].contract.secType == "STK" and call[3].contract.symbol for call in rows)
    assert talk.calls("scannerDataEnd") == [("scannerDataEnd", 1)]
    talk.turn(31.0)
    assert len(talk.calls("scannerDataEnd")) == 2
    talk.client.cancelScannerSubscription(1)
    talk.turn(31.0)
    assert len(talk.calls("scannerDataEnd")) == 2
    scan.scanCode = "MOST_WANTED"
    talk.client.reqScannerSubscription(2, scan, [], None)
    assert talk.errors() == [(2, 321)]


@pytest.mark.parametrize("version", [150, 200, 226])
def test_a_scan_by_filters_is_served_or_refused(version: int) -> None:
    talk = Conversation(version)
    talk.client.reqScannerParameters()
    known = ElementTree.fromstring(talk.calls("scannerParameters")[0][1].partition("\n")[2])
    assert "priceAbove" in {code.text for code in known.iterfind(".//AbstractField/code")}
    scan = ScannerSubscription()
    scan.instrument, scan.locationCode, scan.scanCode = "STK", "STK.US.MAJOR", "TOP_PERC_GAIN"

    def symbols(request: int, **filters: str) -> set[str]:
        talk.client.reqScannerSubscription(request, scan, [], [TagValue(*one) for one in filters.items()])
        return {call[3].contract.symbol for call in talk.calls("scannerData") if call[1] == request}

    assert "F" in symbols(1, priceAbove="5", priceBelow="50") and "SPY" not in symbols(2, priceBelow="50")
    assert symbols(3, changePercAbove="20") == set()
    assert symbols(4, changePercAbove="0").isdisjoint(symbols(5, changePercBelow="-0.0001"))
    assert (
        symbols(6, volumeAbove="1e12") == symbols(7, socialSentimentNetAbove="1") == symbols(8, priceAbove="x") == set()
    )
    assert talk.errors() == [(7, 321), (8, 321)]


def test_who_follows_a_display_group_hears_of_its_contract(talk: Conversation) -> None:
    other = Conversation(talk.version, talk.core, client_id=2, clock=talk.clock)
    talk.client.queryDisplayGroups(1)
    assert talk.calls("displayGroupList")[0][2].startswith("1|2|3")
    talk.client.subscribeToGroupEvents(2, 4)
    talk.client.updateDisplayGroup(2, "265598@SMART")
    assert [call[2] for call in talk.calls("displayGroupUpdated")] == ["none", "265598@SMART"]
    other.client.subscribeToGroupEvents(5, 4)
    assert [call[1:] for call in other.calls("displayGroupUpdated")] == [(5, "265598@SMART")]
    talk.client.unsubscribeFromGroupEvents(2)
    talk.client.updateDisplayGroup(2, "8314@SMART")
    talk.client.subscribeToGroupEvents(3, 9)
    assert talk.errors() == [(2, 321), (3, 321)]
