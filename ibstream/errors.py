"""Why a price is refused, or nothing can be said. Every error of the client is an `IbstreamError`."""


class IbstreamError(Exception):
    """Base of all. `reason` is a stable word; `age` (seconds since the price was received) and `source` are those of
    the price that was refused, None where there is none."""

    def __init__(self, message: str, reason: str, *, age: float | None = None, source: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.age = age
        self.source = source


class StalePrice(IbstreamError):
    """There is a price, and it must not be used: nobody vouches for it now, it is older than asked for, or it comes
    from another source than asked for. `reason` is the quote's own, or `expired`, `clock`, `too_old`, `source`."""


class UnknownSymbol(IbstreamError):
    """No price of this symbol was ever received, or it could not be a symbol (`symbol_not_found`, `invalid_symbol`)."""


class StreamStopped(IbstreamError):
    """The stream was stopped, or ibstream was shut down (`stopped`, `shutdown`)."""


class Unreachable(IbstreamError):
    """Nothing answers at this address, or what answers is no ibstream (`unreachable`, `unauthorized`)."""


class CommandRefused(IbstreamError):
    """A start or stop was refused. `reason` is the stable code: `ib_stream_lock_busy`, `project_not_found`, ..."""


class InvalidAddress(IbstreamError):
    """`connect` was given what is no address, or a setting that is wrong (`invalid_address`)."""
