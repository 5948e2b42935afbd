"""Other ways to decode the same burst, for whoever thinks of changing the fast path: what each one reaches.

They are simpler than the fast path: they believe that every frame is a plain tick of a known request, and that
no frame is cut off. So they are measured at their best.
"""

import re
from collections.abc import Callable
from functools import partial
from itertools import chain
from math import nan
from operator import itemgetter

from ibapi.protobuf.TickPrice_pb2 import TickPrice
from ibapi.protobuf.TickSize_pb2 import TickSize
from ibapi.protobuf.TickString_pb2 import TickString

from tests.benchmarks.burst import FIRST_REQUEST, burst
from tests.benchmarks.decode import SYMBOLS, fast_path
from tests.benchmarks.harness import Case, Sample, in_turn, median, report, spread, thousands, timed

SLAB = 1 << 16
ROUTES = {b"%d" % request: request for request in range(FIRST_REQUEST, FIRST_REQUEST + SYMBOLS)}
MESSAGES = {201: TickPrice, 202: TickSize, 246: TickString}  # by the last byte of their id on the wire
FIELDS = {b"%d" % field: field for field in range(200)}
Columns = tuple[list[int], list[int], list[float], list[float]]

_FRAME = re.compile(rb"\0\0\0.(1|2|45|46)\0\d+\0(\d+)\0(\d+)\0([^\0]*)(?:\0([^\0]*)\0\d+)?\0", re.DOTALL)


def one_regex(data: bytes) -> Columns:
    """One regular expression over many frames, then columns."""
    _, requests, fields, values, sizes = zip(*_FRAME.findall(data), strict=True)
    return (
        list(map(ROUTES.__getitem__, requests)),
        list(map(FIELDS.__getitem__, fields)),
        list(map(float, values)),
        [float(size) if size else -1.0 for size in sizes],
    )


def frame_by_frame(data: bytes, number: Callable[[bytes], float] = float) -> Columns:
    """Cut between frames, then split each one."""
    ids, fields, values, sizes = [], [], [], []
    for piece in data[3:-1].split(b"\0\0\0\0"):
        parts = piece.split(b"\0")
        ids.append(ROUTES[parts[2]])
        fields.append(FIELDS[parts[3]])
        values.append(parts[4])
        sizes.append(parts[5] if len(parts) == 7 else b"nan")
    return ids, fields, list(map(number, values)), list(map(number, sizes))


class KnownNumbers(dict[bytes, float]):
    """Numbers by their text, read once."""

    def __missing__(self, text: bytes) -> float:
        if len(self) > 100_000:
            self.clear()
        value = self[text] = float(text)
        return value


def one_split(data: bytes) -> Columns:
    """Pad the shorter frames, split everything once, and take columns by strides."""
    pieces = data[3:-1].split(b"\0\0\0\0")
    padding = map({49: b"\0", 50: b"\0nan\x000\0", 52: b"\0nan\x000\0"}.__getitem__, map(itemgetter(1), pieces))
    parts = b"".join(chain.from_iterable(zip(pieces, padding, strict=True))).split(b"\0")
    return (
        list(map(ROUTES.__getitem__, parts[2::7])),
        list(map(FIELDS.__getitem__, parts[3:-1:7])),
        list(map(float, parts[4::7])),
        list(map(float, parts[5::7])),
    )


def message_by_message(data: bytes) -> Columns:
    """Protobuf: the official client's own classes, one message after another."""
    ids, fields, values, sizes = [], [], [], []
    at = 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        kind = MESSAGES[data[at + 7]]
        tick = kind.FromString(data[at + 8 : end])
        ids.append(tick.reqId)
        fields.append(tick.tickType)
        values.append(tick.price if kind is TickPrice else float(tick.size if kind is TickSize else tick.value))
        sizes.append(float(tick.size) if kind is TickPrice else nan)
        at = end
    return ids, fields, values, sizes


def measure(way: Callable[[bytes], Columns], slabs: list[bytes], frames: int) -> Sample:
    found = 0
    with timed(frames) as sample:
        for slab in slabs:
            found += len(way(slab)[0])
    assert found == frames
    return sample


def cut(data: bytes) -> list[bytes]:
    """Slabs of whole frames."""
    slabs, start, at = [], 0, 0
    while at < len(data):
        at += 4 + int.from_bytes(data[at : at + 4], "big")
        if at - start >= SLAB or at == len(data):
            slabs.append(data[start:at])
            start = at
    return slabs


def main(short: bool) -> None:
    frames, rounds = (20_000, 3) if short else (100_000, 5)
    data, binary = burst(frames, SYMBOLS), burst(frames, SYMBOLS, protobuf=True)
    slabs = cut(data)
    ways: dict[str, Callable[[bytes], Columns]] = {
        "one regular expression": one_regex,
        "cut, split each frame, float": frame_by_frame,
        "cut, split each frame, a dict of known numbers": partial(frame_by_frame, number=KnownNumbers().__getitem__),
        "pad, one split, strides, float": one_split,
    }
    cases: dict[str, Case] = {name: partial(measure, way, slabs, frames) for name, way in ways.items()}
    cases["the fast path, with all its checks"] = partial(fast_path, data, frames)
    cases["protobuf: the official classes, a message at a time"] = partial(
        measure, message_by_message, cut(binary), frames
    )
    cases["protobuf: the fast path, with all its checks"] = partial(fast_path, binary, frames, protobuf=True)
    samples = in_turn(cases, rounds)
    rows = []
    for name, taken in samples.items():
        cpu = median(taken, lambda sample: sample.cpu / sample.count * 1e9)
        rows.append([name, thousands(median(taken)), spread(taken), f"{cpu:,.0f}"])
    title = f"Ways to decode {frames:,} frames, medians of {rounds} rounds"
    report("ways", title, ["", "thousand frames/s", "low to high", "CPU ns a frame"], rows, samples)
