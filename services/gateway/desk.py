"""What the parts of the gateway's core share: where effects go, deadlines, settings, and the memory.

Built by the core, handed to each part. `now` is the time of the input in hand.
"""

import random

from messages.events import LinkEvent
from services.gateway.deadlines import Deadlines
from services.gateway.effects import Effect, Emit, EmitTicks, Row
from services.gateway.memory import Memory
from services.settings import Settings


class Desk:
    def __init__(self, settings: Settings, rng: random.Random, memory: Memory) -> None:
        self.settings = settings
        self.rng = rng
        self.memory = memory
        self.deadlines = Deadlines()
        self.effects: list[Effect] = []
        self.now = 0
        self.mock = settings.api_mode == "mock"

    def out(self, effect: Effect) -> None:
        self.effects.append(effect)

    def emit(self, event: LinkEvent) -> None:
        """Say it on the stream `link`, and remember it as a restarted gateway would."""
        self.memory.apply(event, self.now)
        self.effects.append(Emit(event))

    def ticks(self, symbol: str, rows: list[Row]) -> None:
        self.effects.append(EmitTicks(symbol, rows))
