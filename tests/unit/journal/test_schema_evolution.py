"""A journal written by the first schema reads today as it did then, and today's programs live with tomorrow's events.

`tests/data/first_schema` was written once, by the first version of the messages, and is never written again.
`expected.json` is what its blocks hold. A field that was there then must be there now, with the same value.
"""

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from messages.codec import decode_block, decode_events, decode_ticks, encode
from messages.events import EventBlock, LinkChanged, SymbolChanged, TickBlock, UnknownEvent
from messages.fields import BID, CURRENCY
from messages.ticks import Tick, ticks
from messages.topics import STREAMS, TICKS
from services.journal import JournalReader, JournalWriter
from services.journal.cursor import Cursor
from services.runtime.follow import Follower
from tests.journals import DAY, NOON, events_block, tick_block
from tests.rebuilt import fold

FIRST = Path(__file__).parents[2] / "data" / "first_schema"


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """The old journal, as a copy that may be written to."""
    return Path(shutil.copytree(FIRST, tmp_path / "journal"))


def plain(stream: str, payload: bytes) -> Any:
    """A block as JSON would show it; every event with all that it holds."""
    return msgspec.json.decode(msgspec.json.encode(decode_block(stream, payload)))


def held(old: Any, new: Any) -> bool:
    """Whether `new` says all that `old` said. More is allowed: fields and columns were added since."""
    if isinstance(old, dict):
        return isinstance(new, dict) and all(key in new and held(value, new[key]) for key, value in old.items())
    if isinstance(old, list):
        return isinstance(new, list) and len(new) >= len(old) and all(map(held, old, new))
    return bool(old == new)


@pytest.mark.parametrize("stream", STREAMS)
def test_every_block_of_the_first_schema_reads_as_it_was_written(first: Path, stream: str) -> None:
    expected = msgspec.json.decode((first / "expected.json").read_bytes())[stream]
    with JournalReader(first, stream) as reader:
        blocks = [plain(stream, row.payload) for row in reader.blocks()]
    assert len(blocks) == len(expected)
    for old, new in zip(expected, blocks, strict=True):
        assert held(old, new), f"{stream}: {old} became {new}"


def test_ticks_of_the_first_schema_mean_what_they_meant(first: Path) -> None:
    with JournalReader(first, TICKS) as reader:
        rows = [tick for row in reader.blocks() for tick in ticks(decode_ticks(row.payload))]
    assert [row.seq for row in rows] == list(range(1, 14))
    assert rows[2] == Tick(3, "SPY", CURRENCY, "USD", None)
    assert rows[4] == Tick(5, "SPY", BID, 591.25, 300.0)
    assert rows[8].value == "591.26;100;1767614400000"
    assert rows[9].symbol == "BRK B"
    assert {row.name for row in rows} > {"bid", "ask", "volume", "last", "exchange_time", "source", "rt_volume"}


def test_the_first_journal_folds_to_quotes(first: Path) -> None:
    projection = fold(first)
    quote = projection.quote("SPY")
    assert quote is not None
    assert (quote.bid, quote.ask, quote.currency, quote.source) == (591.26, 591.27, "USD", "ib_stream")


@pytest.mark.parametrize("stream", STREAMS)
def test_todays_writer_goes_on_in_the_first_journal(first: Path, stream: str) -> None:
    with JournalReader(first, stream) as reader:
        last = reader.last()
    assert last is not None
    writer = JournalWriter(first, stream, now=NOON + DAY)
    assert (writer.epoch, writer.next_seq) == (last.epoch + 1, last.last_seq + 1)
    writer.close()


# --- what a later version may write ------------------------------------------------------------------------


def later_block(first_seq: int) -> bytes:
    """A known event with a field more, an unknown one, and a known one with a value that is new."""
    known = msgspec.to_builtins(SymbolChanged(symbol="SPY", state="live", stale=False))
    events = [
        known | {"colour": "blue"},
        {"type": "of_2030", "anything": [1, {"deep": True}]},
        {"type": "link_changed", "phase": "teleporting"},
        msgspec.to_builtins(LinkChanged(phase="ready")),
    ]
    return encode({"type": "events", "epoch": 1, "first_seq": first_seq, "time": NOON, "events": events, "new": 1})


def test_unknown_fields_are_ignored_and_unknown_events_keep_their_place() -> None:
    block = decode_events(later_block(5))
    assert block.count == 4
    assert block.events == [
        SymbolChanged(symbol="SPY", state="live", stale=False),
        UnknownEvent(name="of_2030"),
        UnknownEvent(name="link_changed"),
        LinkChanged(phase="ready"),
    ]


def test_a_consumer_counts_what_it_does_not_know_and_goes_on() -> None:
    class Nothing:
        def read(self, from_seq: int, max_bytes: int) -> list[bytes]:
            return []

        def unreadable(self, why: str) -> None:
            raise AssertionError(why)

        def head(self) -> None:
            return None

        def close(self) -> None:
            pass

    applied: list[Any] = []
    follower = Follower("link", Nothing(), applied.append, applied.clear)
    for payload in (encode(events_block(1, 1, 4)), later_block(5), encode(events_block(1, 9, 1))):
        follower.on_frame(payload)
    assert follower.cursor == Cursor(1, 9)
    assert (follower.unknown, follower.malformed, len(applied)) == (2, 0, 3)


def test_columns_that_a_later_version_appends_are_ignored() -> None:
    block = tick_block(1, 1, [1.0, 2.0])
    longer = encode([*msgspec.to_builtins(block, builtin_types=(bytes,)), b"more", 7])
    assert decode_ticks(longer) == block


@pytest.mark.parametrize("kind", [EventBlock, TickBlock])
def test_what_is_no_block_at_all_is_still_refused(kind: type) -> None:
    decode = decode_events if kind is EventBlock else decode_ticks
    for payload in (b"", b"\xc1", encode({"type": "events", "events": [1]}), encode({"type": "other"}), encode([1])):
        with pytest.raises((msgspec.MsgspecError, ValueError)):
            decode(payload)
