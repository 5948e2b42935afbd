"""The gateway's pure core: what to ask of IB, when, and what to say about every symbol.

Called by the gateway's I/O loop alone. Guarantees: no I/O, no clock, no threads; the same inputs, times and
seed give the same effects.
"""

import random

from services.gateway.effects import Effect, Event
from services.gateway.memory import Memory
from services.settings import Settings


class GatewayCore:
    """Fold inputs to effects. `memory` is the fold of the gateway's own link stream at the start."""

    def __init__(self, settings: Settings, rng: random.Random, memory: Memory | None = None) -> None:
        self.next_wake = 0  # UTC ns: call with Timer at this time, or in 0.25 s if that is sooner

    def handle(self, event: Event, now: int) -> list[Effect]:
        """Take one input. `now` is UTC nanoseconds and never goes back."""
        return []
