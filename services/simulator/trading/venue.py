"""What the order desk needs of the world around it; the core's is services/simulator/venue.py, a test has its own."""

from typing import Protocol

from services.simulator.market.contracts import Instrument
from services.simulator.trading.matching import Quote


class Venue(Protocol):
    """What the desk knows of the world. Times are UTC nanoseconds."""

    @property
    def now(self) -> int: ...

    def quote(self, instrument: Instrument) -> Quote:
        """The market of a contract; prices are looked up as if somebody had subscribed to it."""

    def day_end(self, instrument: Instrument) -> int:
        """When an order for the day ends."""

    def moment(self, text: str) -> int:
        """The time that a client wrote. Raises ValueError."""

    def watch(self, instrument: Instrument) -> None:
        """Let the contract's price move from now on."""

    def release(self, instrument: Instrument) -> None:
        """The desk needs its price no longer."""
