"""The doctor's word on entitlement: an advisory is a refusal only where no price follows it."""

from types import SimpleNamespace
from typing import Any

import pytest

from messages.events import PlannedSymbol
from services.gateway.core.interface import IbErrorSeen
from services.gateway.doctor import REQUEST, _entitlement


@pytest.mark.parametrize(
    ("code", "prices", "level"),
    [(10089, {"last": 1.0}, "ok"), (10089, {}, "failed"), (2176, {"last": 1.0}, "ok"), (354, {"last": 1.0}, "failed")],
)
def test_an_advisory_is_a_refusal_where_nothing_follows(code: int, prices: dict[str, float], level: str) -> None:
    said = IbErrorSeen(REQUEST, code, "text")
    session: Any = SimpleNamespace(prices=prices, errors=lambda: iter([said]))
    assert _entitlement(session, PlannedSymbol("SPY", "test", 0)).level == level
