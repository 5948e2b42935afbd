"""The fast path against the official decoder, frame by frame, and against itself under any cutting of the bytes."""

import json
import math
import random
import struct
import sys
from array import array
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from messages.codec import decode_ticks, encode
from messages.fields import NUMERIC_STRING_FIELDS, SIZE_FIELD
from services.gateway.wire.columns import Columns
from services.gateway.wire.text_ticks import FIRST_OWN_FIELD, MAX_FRAME, SLAB, FrameError, TextTickDecoder
from tests.unit.gateway import official

HERE = Path(__file__).parent
VERSIONS = range(100, 201)
ROUTES = {request: request - 1000 for request in (1001, 1002, 5, 2147483647)}
SIZE_TWIN = {1: 0, 2: 3, 4: 5, 66: 69, 67: 70, 68: 71}  # the size tick that the official client adds to a price
UNSET_SIZES = ["", "170141183460469231731687303715884105727", "2147483647", "9223372036854775807"]
UNSET_SIZES += ["-9223372036854775808", "1.7976931348623157E308"]


def payload(*fields: object) -> bytes:
    return b"".join((field if isinstance(field, bytes) else str(field).encode()) + b"\0" for field in fields)


def frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


class Decoded:
    """What a decoder made of bytes that came in the given cuts."""

    def __init__(self, *cuts: bytes, version: int = 176, routes: dict[int, int] = ROUTES) -> None:
        decoder = TextTickDecoder(version)
        for request, symbol_id in routes.items():
            decoder.add(request, symbol_id)
        columns = Columns()
        self.rare: list[bytes] = []
        for cut in cuts:
            decoder.feed(cut, columns, self.rare)
        self.rows = rows(columns)
        self.unrouted = decoder.unrouted

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, Decoded)
        return (self.rows, sorted(self.rare), self.unrouted) == (other.rows, sorted(other.rare), other.unrouted)


def rows(columns: Columns) -> list[tuple[Any, ...]]:
    """Rows with NaN written as None and a text in the place of its index: comparable."""
    found = []
    for symbol_id, field, value, size in zip(columns.ids, columns.fields, columns.values, columns.sizes, strict=True):
        assert isinstance(value, float)
        shown: Any = None if math.isnan(value) else value
        if field in TEXT_TICKS:
            shown = columns.texts[int(value)]
        found.append((symbol_id, field, shown, None if math.isnan(size) else size))
    return found


TEXT_TICKS = {32, 33, 47, 48, 59, 84}
NUMBERS = sorted(set(range(104)) - TEXT_TICKS)

# --- frames ------------------------------------------------------------------------------------------------

odd_texts = ["", "-1", "0", "-0", "+5", ".5", "5.", "007", " 7", "7 ", "1e3", "1E-7", "1_000", "1,5", "-1.0", "1e999"]
odd_texts += ["nan", "-Infinity", "Infinity", "inf", "abc", "0x10", "true", "null", "[1]", '"1"', "5]", "[2", "²", "٣"]
odd_numbers = st.sampled_from([*odd_texts, "9" * 40, *UNSET_SIZES])
decimals = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**6), max_value=10**6, places=4).map(str)
numbers = decimals | st.integers(-5, 10**12).map(str) | st.floats(allow_nan=False, allow_infinity=False).map(repr)
whole = st.integers(0, 10**6)
anything = numbers | odd_numbers | st.text(max_size=30).map(lambda text: text.replace("\0", ""))
requests = st.sampled_from([*ROUTES, 77]).map(str)
price_fields = st.sampled_from([1, 2, 4, 6, 7, 9, 14, 37, 66, 67, 68, 72, 73, 75, 76, 103]).map(str)
size_fields = st.sampled_from([0, 3, 5, 8, 21, 69, 70, 71, 74, 89]).map(str)
text_fields = st.sampled_from(sorted(TEXT_TICKS)).map(str)
texts = st.binary(max_size=300).map(lambda raw: raw.replace(b"\0", b"")) | st.sampled_from([b"", b"4", b"KPQ", b"1,2"])
versions = st.sampled_from(["6", "1", "2"])

plain_ticks = st.one_of(
    st.builds(
        payload, st.just(1), versions, requests, price_fields, decimals, st.integers(0, 10**6), st.integers(0, 7)
    ),
    st.builds(payload, st.just(2), versions, requests, size_fields, whole),
    st.builds(payload, st.just(45), versions, requests, st.sampled_from([49, 90, 23, 24, 54]), decimals),
    st.builds(payload, st.just(46), versions, requests, st.sampled_from([45, 88]), st.integers(0, 2**31)),
)
odd_ticks = st.one_of(
    st.builds(payload, st.just(1), versions, requests, price_fields, anything, anything, anything),
    st.builds(payload, st.just(2), versions, requests, size_fields, anything),
    st.builds(payload, st.just(45), versions, requests, st.just(49), anything),
    st.builds(payload, st.just(46), versions, requests, st.sampled_from([45, 88]), anything),
    st.builds(payload, st.just(46), versions, requests, text_fields, texts),
    st.builds(payload, st.sampled_from([1, 2, 45]), anything, anything, anything, anything),
    st.builds(payload, st.just(46), anything, anything, text_fields | odd_numbers, anything),
    st.lists(anything, max_size=8).map(lambda rest: payload("2", *rest)),
    st.builds(payload, st.sampled_from(["01", "1.0", "-1", "45x", "461"]), versions, requests, size_fields, numbers),
)
other_messages = st.one_of(
    st.sampled_from([payload(58, 1, 1001, 3), payload(9, 1, 5), payload(4, 2, -1, 2104, "farm is OK:usfarm", "")]),
    st.builds(payload, st.sampled_from([3, 5, 10, 17, 52, 57, 81]), st.binary(max_size=700)),
    st.binary(min_size=1, max_size=20),  # no NUL at the end, or nothing that makes sense
)
streams = st.lists(plain_ticks | plain_ticks | odd_ticks | other_messages, max_size=30)


# --- differential ------------------------------------------------------------------------------------------


def expected_row(calls: list[official.Call] | None, body: bytes) -> tuple[Any, ...] | None:
    """The row that the official client's callbacks for one tick frame stand for."""
    if not calls or len(calls) > 2:
        return None
    name, request, field, value = calls[0]
    size = None
    if name == "string":
        value = float(value) if field in NUMERIC_STRING_FIELDS else value
    elif name == "size":
        value = None if value == official.UNSET else float(value)
    if name == "price":
        if len(calls) == 2:
            assert calls[1][:3] == ["size", request, SIZE_TWIN[field]]
            size = calls[1][3]
        else:  # the official client reads the size of such a price and drops it
            size = body.split(b"\0")[5].decode()
        size = None if size in (official.UNSET, *UNSET_SIZES) else float(size)
    return ROUTES[request], field, none_if_nan(value), none_if_nan(size)


def none_if_nan(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


@given(version=st.sampled_from(VERSIONS), body=plain_ticks | odd_ticks)
@example(version=200, body=payload(2, 6, 1001, 8, "2147483648"))
@example(version=152, body=payload(46, 6, 1001, 84, "日本".encode()))
@example(version=153, body=payload(46, 6, 1001, 84, "日本".encode()))
@example(version=153, body=payload(46, 6, 1001, 84, b"a\\x41\\q"))
def test_what_it_decodes_the_official_decoder_decodes_the_same(version: int, body: bytes) -> None:
    got = Decoded(frame(body), version=version)
    assert len(got.rows) + len(got.rare) + got.unrouted == 1
    if got.rows:
        assert got.rows == [expected_row(official.calls(body, version), body)]
    elif got.rare:
        assert got.rare == [body]
    else:
        assert official.calls(body, version)[0][1] not in ROUTES


@pytest.mark.parametrize("version", VERSIONS)
def test_every_tick_message_of_every_version(version: int) -> None:
    """All fields of all four messages, well-formed: taken by the fast path, and the same as the official decoder."""
    rng = random.Random(version)
    bodies = []
    for field in NUMBERS:
        price, size = f"{rng.uniform(-5, 5000):.{rng.randrange(6)}f}", rng.randrange(10**6)
        bodies.append(payload(1, 6, 1001, field, price, f"{size}.5" if version >= 163 else size, rng.randrange(8)))
        bodies.append(payload(2, 6, 1002, field, size))
        bodies.append(payload(45, 6, 1001, field, price))
    bodies += [payload(46, 6, 1001, field, "1700000000") for field in (45, 88)]
    bodies += [payload(46, 6, 1001, field, "K;1.5;P=2") for field in sorted(TEXT_TICKS)]
    got = [Decoded(frame(body), version=version) for body in bodies]
    assert not any(one.rare for one in got)
    expected = [expected_row(official.calls(body, version), body) for body in bodies]
    assert [row for one in got for row in one.rows] == expected


def test_the_corpus() -> None:
    """Frames as gateways send them, each with what must come of it, by hand."""
    lines = [json.loads(line) for line in (HERE / "corpus.jsonl").read_text().splitlines()]
    expected_rows = [tuple(line["row"]) for line in lines if "row" in line]
    expected_rare = [payload(*line["frame"]) for line in lines if "row" not in line]
    data = b"".join(frame(payload(*line["frame"])) for line in lines)
    got = Decoded(data, routes={1001: 1, 1002: 2})
    assert got.rows == expected_rows
    assert sorted(got.rare) == sorted(expected_rare)


# --- cutting -----------------------------------------------------------------------------------------------


@given(bodies=streams, data=st.data())
def test_any_cutting_of_the_bytes_gives_the_same(bodies: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(frame, bodies))
    whole = Decoded(stream)
    assert len(whole.rows) + len(whole.rare) + whole.unrouted == len(bodies)
    points = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=8)))
    cuts = [stream[a:b] for a, b in zip([0, *points], [*points, len(stream)], strict=True)]
    assert Decoded(*cuts) == whole
    assert Decoded(*(stream[i : i + 1] for i in range(len(stream)))) == whole
    assert Decoded(*(frame(body) for body in bodies)) == whole


@given(bodies=streams)
def test_a_whole_frame_never_waits_for_the_next(bodies: list[bytes]) -> None:
    """What was received in full is delivered, whatever the start of the next frame looks like."""
    stream = b"".join(map(frame, bodies))
    whole = Decoded(stream)
    for start in (b"\0", b"\0\0", b"\0\0\0", b"\0\0\0\x10", b"\0\0\0\x102\x006\0", b"\0\x01"):
        assert Decoded(stream + start) == whole


def test_other_messages_keep_their_order() -> None:
    details = payload(10, 7, "SPY", "long " * 60)
    others = [payload(15, 1, "DU1"), payload(9, 1, 1), details, payload(52, 1, 7), payload(58, 1, 1001, 3)]
    ticks = [payload(1, 6, 1001, 1, 10 + n, 100, 0) for n in range(len(others))]
    got = Decoded(b"".join(frame(body) for pair in zip(ticks, others, strict=True) for body in pair))
    assert got.rare == others
    assert [row[2] for row in got.rows] == [10, 11, 12, 13, 14]


def test_a_burst_of_many_slabs_and_a_frame_longer_than_one() -> None:
    rng = random.Random(1)
    bodies = [payload(1, 6, 1001, 1, n / 4, rng.randrange(10**5), 0) for n in range(8000)]
    bodies.insert(3000, payload(17, 1, "bar," * SLAB))
    stream = b"".join(map(frame, bodies))
    whole = Decoded(stream)
    assert [row[2] for row in whole.rows] == [n / 4 for n in range(8000)]
    assert whole.rare == [bodies[3000]]
    assert Decoded(*(stream[i : i + 5000] for i in range(0, len(stream), 5000))) == whole


def test_input_types() -> None:
    data = frame(payload(2, 6, 1001, 0, 300))
    assert Decoded(bytearray(data)) == Decoded(memoryview(data)) == Decoded(data)  # type: ignore[arg-type]


# --- routes, absurd lengths, blocks ------------------------------------------------------------------------


def test_ticks_of_a_cancelled_request_are_counted_and_dropped() -> None:
    decoder, columns, rare = TextTickDecoder(176), Columns(), []
    decoder.add(1, 10)
    decoder.add(2, 20)
    ticks = b"".join(frame(payload(2, 6, request, 0, 5)) for request in (1, 2, 1))
    ticks += frame(payload(46, 6, 1, 84, "K")) + frame(payload(46, 6, 2, 84, "N"))
    decoder.remove(1)
    decoder.remove(1)
    decoder.feed(ticks, columns, rare)
    assert rows(columns) == [(20, 0, 5.0, None), (20, 84, "N", None)]
    assert (decoder.unrouted, rare, columns.texts) == (3, [], ["N"])


@pytest.mark.parametrize("length", [0, MAX_FRAME + 1, 0x47455420])  # the last one: somebody's HTTP
def test_an_absurd_length_is_an_error_that_names_it_after_the_frames_before(length: int) -> None:
    decoder, columns = TextTickDecoder(176), Columns()
    decoder.add(1001, 1)
    good = frame(payload(2, 6, 1001, 0, 5)) * 3
    with pytest.raises(FrameError, match=str(length)):
        decoder.feed(good + length.to_bytes(4, "big") + b"what", columns, [])
    assert len(columns) == 3


def test_a_tick_of_one_of_our_own_fields_is_not_taken_from_the_wire() -> None:
    bodies = [payload(2, 6, 1001, FIRST_OWN_FIELD, 5), payload(46, 6, 1001, 202, "EUR"), payload(2, 6, 1001, -1, 5)]
    got = Decoded(b"".join(map(frame, bodies)))
    assert (got.rows, sorted(got.rare)) == ([], sorted(bodies))


def test_a_text_in_the_place_of_a_price_is_no_price_of_ours() -> None:
    columns = Columns()
    columns.add_text(1, 4, "10.5")
    columns.add_text(1, 4, "ten")
    assert (columns.values[0], math.isnan(columns.values[1]), columns.texts) == (10.5, True, [])
    odd = payload(46, 6, 1001, 4, "10.5")
    assert (Decoded(frame(odd)).rows, Decoded(frame(odd)).rare) == ([], [odd])


def test_columns_become_a_block() -> None:
    columns = Columns()
    columns.add(7, 1, 10.5, 300)
    columns.add_text(3, 84, "KPQ")
    columns.add(7, 0, math.nan)
    columns.add_text(3, 45, "1700000000")
    columns.add_text(3, 45, "soon")
    assert list(columns.keys()) == [7 << 8 | 1, 3 << 8 | 84, 7 << 8, 3 << 8 | 45, 3 << 8 | 45]
    block = decode_ticks(encode(columns.to_block(2, 41, 99, {3: "SPY", 7: "QQQ", 8: "IWM"})))
    assert (block.epoch, block.first_seq, block.count, block.time) == (2, 41, 5, 99)
    assert dict(zip(block.ids, block.symbols, strict=True)) == {3: "SPY", 7: "QQQ"}
    assert array("I", block.symbol).tolist() == [7, 3, 7, 3, 3]
    assert list(block.field) == [1, 84, 0, 45, 45]
    values, sizes = array("d", block.value).tolist(), array("d", block.size).tolist()
    assert [values[0], values[3], sizes[0], block.texts[int(values[1])]] == [10.5, 1700000000, 300, "KPQ"]
    assert all(map(math.isnan, [values[2], values[4], *sizes[1:]]))
    columns.clear()
    assert (len(columns), columns.texts, block.texts) == (0, [], ["KPQ"])


def test_keys_are_the_same_for_few_rows_and_for_many() -> None:
    rng = random.Random(3)
    expected = [(rng.randrange(1 << 32), rng.randrange(256)) for _ in range(1000)]
    few, many = Columns(), Columns()
    for symbol_id, field in expected:
        few.add(symbol_id, field, 0.0)
        many.add(symbol_id, field, 0.0)
        if len(few) == 7:
            assert list(few.keys()) == list(many.keys())[-7:]
            few.clear()
    assert list(many.keys()) == [symbol_id * 256 + field for symbol_id, field in expected]


def test_price_fields_with_a_size_are_those_of_the_official_client() -> None:
    assert set(SIZE_FIELD) == set(SIZE_TWIN)
    assert sys.byteorder in ("little", "big")
