"""End to end: a hundred thousand ticks a second through gateway, journal, bus and sink, feeder and all on this machine.

It must lose nothing, the sink must keep up, and at the end the files must be what the fold of the journal says.
"""

import bisect
import time

from messages.codec import decode_quote, decode_ticks
from messages.topics import QUOTE_PREFIX, TICKS
from services.base.symbols import file_name
from services.journal import JournalReader
from services.quotes.projection import file_bytes
from tests.benchmarks.harness import report
from tests.benchmarks.system import System
from tests.rebuilt import fold
from tests.support import eventually

SYMBOLS = 100


def run(rate: int, seconds: float) -> dict[str, float]:
    with System(SYMBOLS) as system:
        before = _journalled(system)
        subscriber = system.subscribe(["gateway", "sink"], [TICKS, QUOTE_PREFIX])
        time.sleep(0.5)
        heads: list[int] = []  # the last sequence number of each block seen
        seen_at: list[float] = []
        lags: list[float] = []
        received, total = 0, int(rate * seconds / 2) * 2
        system.exchange.stream(rate, seconds)
        cpu, start = system.cpu(), time.monotonic()
        while received < total:
            assert subscriber.socket.poll(10_000), f"{received} of {total} ticks, and no more for 10 s"
            for topic, payload in subscriber.drain():
                now = time.monotonic()
                if topic == TICKS:
                    block = decode_ticks(payload)
                    received += block.count
                    heads.append(block.first_seq + block.count - 1)
                    seen_at.append(now)
                elif heads:
                    seq = decode_quote(payload).seq
                    at = bisect.bisect_left(heads, seq)
                    if heads[0] < seq and at < len(heads):
                        lags.append(now - seen_at[at])
        wall = time.monotonic() - start
        spent = {name: used - cpu[name] for name, used in system.cpu().items()}
        system.exchange.stream_sent()
        system.await_sink(before + total)
        assert _journalled(system) == before + total
        eventually(lambda: _files_are_the_fold(system), 10.0, "files equal the fold of the journal")
        lags.sort()
        return {
            "ticks": total,
            "seconds": wall,
            "lag p50 ms": lags[len(lags) // 2] * 1e3,
            "lag max ms": lags[-1] * 1e3,
            **{f"cpu {name} %": used / wall * 100 for name, used in spent.items()},
        }


def _journalled(system: System) -> int:
    with JournalReader(system.pipeline.settings.journal_dir, TICKS) as reader:
        last = reader.last()
    return last.last_seq if last is not None else 0


def _files_are_the_fold(system: System) -> bool:
    settings = system.pipeline.settings
    projection = fold(settings.journal_dir)
    for symbol in system.symbols:
        quote = projection.quote(symbol)
        if quote is None or (settings.stream_dir / file_name(symbol)).read_bytes() != file_bytes(quote):
            return False
    return True


def main(short: bool) -> None:
    rate, seconds = (20_000, 5.0) if short else (100_000, 60.0)
    measured = run(rate, seconds)
    rows = [[name, f"{value:,.1f}"] for name, value in measured.items()]
    report(
        "end-to-end",
        f"{rate:,} ticks/s over {SYMBOLS} symbols for {seconds:.0f} s: nothing lost, files equal the fold",
        ["", "measured"],
        rows,
        measured,
        ["Lag: from a block at a subscriber of the gateway to a quote of the sink that contains it."],
    )
