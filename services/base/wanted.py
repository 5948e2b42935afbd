"""Whether the stream is wanted: the fold of starts and stops in the stream `control`, for all that act on it. Pure."""

import msgspec

from messages.events import AnyEvent, StreamStarted, StreamStopped


class Wanted(msgspec.Struct):
    """The last start or stop. Saved with the folds that hold it."""

    request: StreamStarted | None = None  # None: stopped
    since: int = 0  # when that was said, UTC nanoseconds; 0: nothing was said yet
    seq: int = 0  # of the event that said it

    def apply(self, event: AnyEvent, seq: int, time: int) -> bool:
        """Fold one event of the stream; `time` is its block's. Returns whether it was a start or a stop."""
        if not isinstance(event, StreamStarted | StreamStopped):
            return False
        self.request = event if isinstance(event, StreamStarted) else None
        self.since, self.seq = time, seq
        return True
