"""What is odd about single symbols, about answers and about the gateway itself, though every link is up: what scenario
steps set, and core, requests and market data look at. Nothing is odd in a new one, and `calm` puts one in place.
"""

from dataclasses import dataclass, field
from typing import Literal

from services.simulator.market.contracts import Instrument

Asked = Literal["stream", "snapshot", "history", "details"]
Bend = Literal["extra", "empty", "short"]
Language = Literal["en", "de", "zh"]


@dataclass(frozen=True)
class Answer:
    """An error for requests of one kind, in place of what they ask for or beside it."""

    code: int
    message: str
    instead: bool


@dataclass(frozen=True)
class Greeting:
    """What a client that starts is not told, or is told `late` seconds later (0: never)."""

    missing: Literal["accounts", "order_id", "both"]
    late: float


@dataclass(frozen=True)
class Details:
    """Contract details that lack their hours and zone, or name zone, primary exchange or company otherwise."""

    bare: bool = False
    zone: str = ""
    primary: str = ""
    long_name: str = ""


@dataclass
class Faults:
    """Symbols are keys (`Instrument.key`); fields are tick ids of live prices."""

    reroutes: dict[str, tuple[int, str]] = field(default_factory=dict)  # contract id and exchange to ask for instead
    answers: dict[tuple[Asked, str], Answer] = field(default_factory=dict)
    partial: dict[tuple[Asked, str], frozenset[int]] = field(default_factory=dict)  # the fields that an image has
    image_only: set[str] = field(default_factory=set)  # after a subscription's first image nothing comes
    quiet: set[str] = field(default_factory=set)  # nothing changes; a snapshot is answered
    withdrawn: set[str] = field(default_factory=set)  # no bid and no ask
    crossed: set[str] = field(default_factory=set)  # the bid is told above the ask
    stuck: set[str] = field(default_factory=set)  # sizes are told, and prices not
    outliers: dict[str, float] = field(default_factory=dict)  # by what the last price is too large, for a moment
    magnifiers: dict[str, int] = field(default_factory=dict)
    bent: dict[str, Bend] = field(default_factory=dict)  # ticks with a field more or less
    details: dict[str, Details] = field(default_factory=dict)
    volumes_crossed: set[str] = field(default_factory=set)  # futures whose first two months changed places
    twins: list[Instrument] = field(default_factory=list)  # the second listings
    expired: set[str] = field(default_factory=set)
    refusing: bool = False  # 200 for everything that is asked
    positions: Answer | None = None  # in place of what the account holds; without a message: nothing
    greeting: Greeting | None = None
    language: Language = "en"
    clock_offset: float = 0.0  # seconds that the gateway's clock is ahead
