"""Folding ticks into quotes: what the sink, `at` and a replay do with blocks, by block size and number of symbols."""

import random
from collections.abc import Iterator
from functools import partial

from messages.codec import decode_ticks, encode, encode_json
from services.gateway.wire.columns import Columns
from services.quotes.book import QuoteBook
from tests.benchmarks.harness import Case, Sample, in_turn, median, report, spread, thousands, timed

START = 1_700_000_000_000_000_000


def blocks(ticks: int, size: int, symbols: int) -> list[bytes]:
    """Encoded blocks of `size` ticks: prices, sizes and trade times of symbols at random."""
    rng = random.Random(size * symbols)
    names = {number: f"S{number}" for number in range(symbols)}
    encoded = []
    for first in range(0, ticks, size):
        columns = Columns()
        for row in _rows(rng, symbols):
            if len(columns) == size:
                break
            columns.add(*row)
        encoded.append(encode(columns.to_block(1, 1 + first, START + first * 1000, names)))
    return encoded


def _rows(rng: random.Random, symbols: int) -> Iterator[tuple[int, int, float, float]]:
    nan = float("nan")
    while True:
        symbol = rng.randrange(symbols)
        price_field, size_field = rng.choice(((1, 0), (2, 3), (4, 5)))
        size = 100.0 * rng.randrange(1, 50)
        yield symbol, price_field, round(rng.uniform(5, 900), 2), size
        yield (symbol, size_field, size, nan) if rng.random() < 0.6 else (symbol, 45, 1_700_000_000.0, nan)


def warm_book(symbols: int) -> QuoteBook:
    """A book that knows every field of every symbol."""
    book, columns = QuoteBook(), Columns()
    for symbol in range(symbols):
        for field in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14, 45, 49):
            columns.add(symbol, field, 10.0, 100.0)
    book.apply(columns.to_block(1, 1, START, {number: f"S{number}" for number in range(symbols)}))
    return book


def fold(encoded: list[bytes], size: int, symbols: int) -> Sample:
    book = warm_book(symbols)
    with timed(len(encoded) * size) as sample:
        for payload in encoded:
            book.apply(decode_ticks(payload))
    return sample


def quotes(symbols: int) -> Sample:
    """Quotes asked for and encoded, as they go to files and topics."""
    book = warm_book(symbols)
    with timed(symbols) as sample:
        for number in range(symbols):
            encode_json(book.quote(f"S{number}"))
    return sample


def main(short: bool) -> None:
    ticks, rounds = (20_000, 3) if short else (200_000, 5)
    cases: dict[str, Case] = {}
    for symbols in (100, 1_000, 10_000):
        for size in (1, 10, 50, 200, 1_000, 5_000):
            count = min(ticks, 2_000 * size)
            encoded = blocks(count, size, symbols)
            cases[f"{symbols:,} symbols, blocks of {size:,} ticks"] = partial(fold, encoded, size, symbols)
    cases["quotes asked for and encoded"] = partial(quotes, 1_000)
    samples = in_turn(cases, rounds)
    rows = [
        [name, thousands(median(taken)), spread(taken), f"{median(taken, lambda s: s.cpu / s.count * 1e6):.2f}"]
        for name, taken in samples.items()
    ]
    title = f"Folding encoded blocks into quotes, medians of {rounds} rounds"
    report("fold", title, ["", "thousand/s", "low to high", "CPU µs each"], rows, samples)
