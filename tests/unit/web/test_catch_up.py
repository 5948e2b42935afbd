"""Requests that come together, after nobody asked for a while: each is answered from what is new."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from services.base.clock import ManualClock
from services.web.ledger import Ledger
from services.web.service import LatestFrames, Runner


async def _two_at_once() -> list[str]:
    seen: list[str] = []
    calls: list[Callable[[], None]] = []
    latest = LatestFrames()
    service: Any = SimpleNamespace(drain=lambda: latest.put("quote.SPY", b""), call_soon=calls.append)
    backend: Any = SimpleNamespace(
        clock=ManualClock(),
        room=SimpleNamespace(clients=0, wake=lambda: None),
        hub=SimpleNamespace(apply=lambda frames, _at, _now: seen.extend(topic for topic, _ in frames)),
    )
    runner = Runner(service, latest, Ledger())
    runner._loop = asyncio.get_running_loop()

    async def answered() -> None:
        await runner._catch_up(backend)
        assert seen, "it is answered from what was known before"

    requests = [asyncio.create_task(answered()) for _ in range(2)]
    await asyncio.sleep(0)
    for call in calls:
        call()
    await asyncio.gather(*requests)
    return seen


def test_two_requests_at_once_are_both_answered_from_what_is_new() -> None:
    assert asyncio.run(_two_at_once())[0] == "quote.SPY"
