"""What the core asks of the loop around it. `conn` is the number that the loop gave the connection."""

from typing import NamedTuple


class Send(NamedTuple):
    """Write `data` in one piece; it holds `ticks` tick messages."""

    conn: int
    data: bytes
    ticks: int = 0


class Close(NamedTuple):
    """Close after what was sent, or at once with a reset."""

    conn: int
    abort: bool = False


class Listen(NamedTuple):
    """Listen on `port` (0: any free one, None: the one before), or refuse connections."""

    on: bool
    port: int | None = None


class Log(NamedTuple):
    event: str
    values: dict[str, object]


Effect = Send | Close | Listen | Log
