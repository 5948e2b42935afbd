"""What the gateway knows from before: the fold of its own link stream.

The adapter builds one at the start, from the journal; the core then applies each event that it emits, so a
restarted gateway knows what the old one knew.
"""

from typing import Final

from messages.events import (
    AnyEvent,
    Bar,
    BarsReceived,
    ContractQualified,
    ContractRolled,
    GapClosed,
    GapFilled,
    GapOpened,
    LineLimitLearned,
    MonthsTraded,
    OptionsCentred,
    OptionsListed,
    PositionsChanged,
    SymbolChanged,
)

UNFILLED_KEPT: Final = 200  # closed gaps of one symbol that wait for bars


class Memory:
    """Qualified contracts, the learned line limit, the newest bar, open and unfilled gaps."""

    def __init__(self) -> None:
        self.contracts: dict[str, ContractQualified] = {}
        self.contract_time: dict[str, int] = {}  # when its details came, UTC ns
        self.line_limit = 0  # 0: IB has not said 101
        self.newest_bar: dict[str, tuple[Bar, int, bool]] = {}  # bar, its length in ns, invented
        self.open_gaps: dict[str, GapOpened] = {}
        self.unfilled: dict[str, list[GapClosed]] = {}  # by symbol, oldest first
        self.options: dict[str, OptionsListed] = {}  # by underlying
        self.centres: dict[str, float] = {}  # the strike nearest to its price
        self.traded: dict[str, MonthsTraded] = {}  # of futures that roll by volume
        self.traded_time: dict[str, int] = {}  # when that was told, UTC ns
        self.rolled_by_volume: dict[str, ContractRolled] = {}  # the last time
        self.positions: PositionsChanged | None = None
        self.priced: set[str] = set()  # symbols that ever had a price
        self.streamed: set[str] = set()  # symbols whose stream was trusted at the end
        self.streamed_until = 0

    def apply(self, event: AnyEvent, time: int) -> None:
        """Fold one event of the stream `link`; `time` is its block's, UTC nanoseconds. Others are ignored."""
        match event:
            case SymbolChanged():
                if not event.stale or event.state == "history":
                    self.priced.add(event.symbol)
                if event.state in ("live", "quiet", "delayed", "halted"):
                    self.streamed.add(event.symbol)
                else:
                    self.streamed.discard(event.symbol)
            case ContractQualified():
                self.contracts[event.symbol] = event
                self.contract_time[event.symbol] = time
            case MonthsTraded():
                self.traded[event.symbol] = event
                self.traded_time[event.symbol] = time
            case ContractRolled() if event.rule == "volume":
                self.rolled_by_volume[event.symbol] = event
            case LineLimitLearned():
                self.line_limit = event.limit
            case OptionsListed():
                self.options[event.symbol] = event
            case OptionsCentred():
                self.centres[event.symbol] = event.strike
            case PositionsChanged():
                self.positions = event
            case BarsReceived() if event.bars:
                self._apply_bars(event)
            case GapOpened():
                self.open_gaps[event.symbol] = event
            case GapClosed():
                self.open_gaps.pop(event.symbol, None)
                gaps = self.unfilled.setdefault(event.symbol, [])
                gaps.append(event)
                del gaps[:-UNFILLED_KEPT]
            case GapFilled():
                self._apply_filled(event)
            case _:
                pass

    def note_streamed_until(self, time: int) -> None:
        """Until when the stream `ticks` goes (time of its last block): no older price may be served again."""
        self.streamed_until = max(self.streamed_until, time)

    def _apply_bars(self, event: BarsReceived) -> None:
        bar = max(event.bars, key=lambda bar: bar.time)
        known = self.newest_bar.get(event.symbol)
        if known is None or bar.time >= known[0].time:
            self.newest_bar[event.symbol] = (bar, event.bar_seconds * 1_000_000_000, event.mock)

    def _apply_filled(self, event: GapFilled) -> None:
        """One answer may cover several gaps."""
        gaps = self.unfilled.get(event.symbol, [])
        left = [gap for gap in gaps if not (event.start <= gap.start and gap.end <= event.end)]
        if left:
            self.unfilled[event.symbol] = left
        else:
            self.unfilled.pop(event.symbol, None)
