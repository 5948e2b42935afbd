"""What replies are made of, before any encoding: bars, hours, past ticks."""

from typing import NamedTuple


class Verbatim(str):
    """Text that is sent as it is, though a client that undoes escapes cannot read it."""


class BarRow(NamedTuple):
    """One bar as the wire wants it: `time` is text already; `volume` in shares or contracts; `decimals` of prices."""

    time: str
    open: float
    high: float
    low: float
    close: float
    volume: int
    wap: float
    trades: int


class Hours(NamedTuple):
    """A contract's hours as IB writes them, in `time_zone`."""

    time_zone: str
    trading: str
    liquid: str
