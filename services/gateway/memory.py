"""What the gateway knows from before: the fold of its own link stream.

The adapter builds one at the start, from the journal; the core then applies each event that it emits.
"""

from messages.events import AnyEvent


class Memory:
    """Qualified contracts, the learned line limit, the newest local bar and open gaps, by symbol."""

    def __init__(self) -> None:
        self.streamed_until = 0

    def apply(self, event: AnyEvent, time: int) -> None:
        """Fold one event of the stream `link`; `time` is its block's, UTC nanoseconds. Others are ignored."""

    def note_streamed_until(self, time: int) -> None:
        """Until when the stream `ticks` goes (time of its last block): no older price may be served again."""
        self.streamed_until = max(self.streamed_until, time)
