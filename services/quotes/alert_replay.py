"""Price alerts over the journal: the fold as it was at a moment, and what came from there on. Bounded memory.

Raises JournalDamaged where the journal does, and IbStreamError where another machine's cannot be read.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from messages.codec import decode_block
from messages.events import AlertFired
from messages.topics import TICKS, kind
from services.journal import streams_in
from services.quotes.alert_fold import AlertFold, AskedFor
from services.quotes.checkpoints import book_at
from services.quotes.replay import FilePast, Past, files, merged


def fold_at(journal_dir: Path, pasts: Mapping[str, Past], begin: int, rules: Sequence[AskedFor] | None) -> AlertFold:
    """The fold of all that was written before `begin` (UTC nanoseconds). Silences are counted from then on."""
    fold = AlertFold(book_at(journal_dir, begin - 1), rules=rules)
    for stream, past in pasts.items():
        if kind(stream) == TICKS:
            continue
        for row in past.rows(0, begin):
            block = decode_block(stream, row.payload)
            fold.learn(stream, block)
            if not isinstance(past, FilePast):  # of another machine: not in the files that the book was made of
                fold.projection.apply(stream, block)
    fold.begin(begin)
    return fold


def replay(journal_dir: Path, begin: int, end: int, rules: Sequence[AskedFor] | None = None) -> Iterator[AlertFired]:
    """What came, or would have come, from `begin` on and before `end` (UTC nanoseconds), in order.

    With the alerts that were set then; or with `rules`, in their place: their ids are their numbers, from 1 on.
    """
    pasts = files(journal_dir, streams_in(journal_dir))
    fold = fold_at(journal_dir, pasts, begin, rules)
    for stream, row in merged(pasts, begin, end):
        yield from fold.apply(stream, decode_block(stream, row.payload))
    yield from fold.advance(end - 1)
