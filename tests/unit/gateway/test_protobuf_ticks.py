"""The protobuf fast path against the official decoder, frame by frame, on captured frames, and under any cutting."""

import math
import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.gateway.wire.columns import NUMBERS, Columns
from services.gateway.wire.protobuf_groups import NotPlain, read_groups, wire_number
from services.gateway.wire.protobuf_ticks import ProtobufTickDecoder
from services.gateway.wire.text_ticks import MAX_FRAME, SLAB, FrameError
from tests import captures, protobuf
from tests.unit.gateway import official

ROUTES = {request: request + 7 for request in (1, 5, 127, 128, 1001, 20_000, 1_200_000_000, 2147483647)}
VERSIONS = range(201, 227)
SIZE_TWIN = {1: 0, 2: 3, 4: 5, 66: 69, 67: 70, 68: 71}
TEXT_TICKS = {32, 33, 47, 48, 59, 62, 84, 109, 110}
UNSET = "170141183460469231731687303715884105727"

Row = tuple[int, int, Any, float | None]


class Decoded:
    """What the decoder made of bytes that came in the given cuts."""

    def __init__(self, *cuts: bytes, version: int = 225, routes: dict[int, int] = ROUTES) -> None:
        decoder = ProtobufTickDecoder(version)
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
        return (self.rows, self.rare, self.unrouted) == (other.rows, other.rare, other.unrouted)


def rows(columns: Columns) -> list[Row]:
    """Rows with NaN written as None and a text in the place of its index: comparable. A flipped byte can make a number
    of a field that is a text; readers take it for no text then."""
    found: list[Row] = []
    places = range(len(columns.texts))
    for symbol_id, field, value, size in zip(columns.ids, columns.fields, columns.values, columns.sizes, strict=True):
        shown: Any = columns.texts[int(value)] if field in TEXT_TICKS and value in places else none_if_nan(value)
        found.append((symbol_id, field, shown, none_if_nan(size)))
    return found


def none_if_nan(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


# --- frames ------------------------------------------------------------------------------------------------

requests = st.sampled_from([*ROUTES, 77, -1])
numeric_fields = st.sampled_from(sorted(set(range(111)) - TEXT_TICKS))
prices = st.floats() | st.sampled_from([0.0, -1.0, 100.0, 1.7976931348623157e308])
odd_texts = ["", "-1", "007", " 7", "1e3", "1E-7", "1_000", "1,5", ".5", "5.", "nan", "sNaN", "inf", "abc", UNSET, "٣"]
sizes = st.sampled_from([*odd_texts, "0.000001", "86385.5", "-1553556175"]) | st.integers(0, 10**12).map(str)
texts = st.text(max_size=40) | st.text(min_size=100, max_size=300) | st.sampled_from(["1.05,1.09,20260810,0.27", ""])
values = st.one_of(st.integers(-(1 << 31), 1 << 31), st.floats(), texts, st.binary(max_size=20))
extra = st.lists(st.tuples(st.integers(1, 40), values), max_size=3)

plain_ticks = st.one_of(
    st.builds(protobuf.tick_price, requests, numeric_fields, prices, sizes, st.integers(0, 7)),
    st.builds(protobuf.tick_size, requests, numeric_fields, sizes),
    st.builds(protobuf.tick_generic, requests, numeric_fields, prices),
    st.builds(protobuf.tick_string, requests, st.sampled_from([45, 88]), st.integers(0, 2**31).map(str)),
    st.builds(protobuf.tick_string, requests, st.sampled_from(sorted(TEXT_TICKS)), texts),
)
odd_ticks = st.one_of(
    st.builds(lambda tick, more: tick + protobuf.encode(more), plain_ticks, extra),
    st.builds(
        lambda kind, fields: protobuf.message(kind, *fields),
        st.sampled_from([1, 2, 45, 46]),
        st.lists(st.tuples(st.integers(1, 7), values), max_size=6),
    ),
    st.builds(lambda tick, end: tick[: max(4, len(tick) - end)], plain_ticks, st.integers(1, 12)),
    st.builds(lambda kind, rest: struct.pack(">I", 200 + kind) + rest, st.sampled_from([1, 2, 45, 46]), st.binary()),
    st.builds(lambda tick, end: tick + end, plain_ticks, st.binary(min_size=1, max_size=8)),
)
text_ticks = st.one_of(
    st.builds(lambda r, f, p, s: protobuf.text(1, 6, r, f, p, s, 0), requests, numeric_fields, prices, sizes),
    st.builds(lambda r, f, s: protobuf.text(2, 6, r, f, s), requests, numeric_fields, sizes),
    st.builds(lambda r, f, s: protobuf.text(46, 6, r, f, s), requests, st.sampled_from([45, 84]), sizes),
)
others = st.one_of(
    st.sampled_from([protobuf.message(9, (1, 1)), protobuf.text(9, 1, 1), protobuf.message(58, (1, 1), (2, 3))]),
    st.builds(lambda kind, body: struct.pack(">I", kind) + body, st.integers(47, 400), st.binary(max_size=600)),
    st.binary(min_size=1, max_size=8),
)
streams = st.lists(plain_ticks | plain_ticks | odd_ticks | text_ticks | others, max_size=30)


# --- differential ------------------------------------------------------------------------------------------


def expected(calls: list[official.Call] | None) -> Row | None:
    """The row that the official client's callbacks for one tick stand for."""
    if not calls:
        return None
    name, request, field, value = calls[0]
    size = calls[1][3] if name == "price" and len(calls) == 2 else None
    if name == "string":
        value = number_or_none(value) if field in NUMBERS else value
    elif name == "size":
        value = None if value == official.UNSET else float(value)
    return (
        ROUTES[request],
        field,
        none_if_nan(value),
        none_if_nan(None if size in (None, official.UNSET) else float(size)),
    )


def number_or_none(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


@given(body=plain_ticks | odd_ticks)
@example(body=protobuf.tick_price(1, 4, 10.0, UNSET))
@example(body=protobuf.tick_size(1, 8, UNSET))
@example(body=protobuf.tick_size(1, 8, ""))
@example(body=protobuf.message(1, (1, 1), (2, 1), (3, 10.5), (4, "100"), (5, 1), (6, "one field more")))
@example(body=protobuf.message(1, (1, 1), (2, 1), (3, 10.5), (4, "100"), (5, 1), (3, 11.5)))
@example(body=protobuf.message(1, (2, 1), (1, 1), (3, 10.5), (4, "100")))
@example(body=protobuf.message(1, (1, 1), (2, 1), (3, 10.5)))
def test_what_it_decodes_the_official_decoder_decodes_the_same(body: bytes) -> None:
    got = Decoded(frame(body))
    assert len(got.rows) + len(got.rare) + got.unrouted == 1
    calls = official.calls(body, 225)
    if got.rows:
        wanted = expected(calls)
        assert wanted is not None and got.rows[0][:3] == wanted[:3]
        if got.rows[0][1] in SIZE_TWIN:  # the official client reads the size of other prices, and drops it
            assert got.rows[0][3] == wanted[3]
    elif got.rare:
        assert got.rare == [body]
    else:
        assert calls is not None and (not calls or calls[0][1] not in ROUTES)


@given(body=plain_ticks)
def test_a_tick_that_was_seen_before_is_decoded_the_same(body: bytes) -> None:
    once, thrice = Decoded(frame(body)), Decoded(frame(body) * 3)
    assert thrice.rows == once.rows * 3
    assert thrice.rare == once.rare * 3
    assert thrice.unrouted == once.unrouted * 3


@pytest.mark.parametrize("version", VERSIONS)
def test_text_ticks_behind_a_binary_id(version: int) -> None:
    bodies = [
        protobuf.text(1, 6, 1001, 4, 10.5, 100, 0),
        protobuf.text(2, 6, 1001, 8, 4523),
        protobuf.text(45, 6, 1001, 49, 0),
        protobuf.text(46, 6, 1001, 45, 1700000000),
        protobuf.text(46, 6, 1001, 84, "KPQ"),
    ]
    got = Decoded(b"".join(map(frame, bodies)), version=version)
    assert got.rows == [expected(official.calls(body, version)) for body in bodies]
    assert (got.rare, got.unrouted) == ([], 0)
    odd = protobuf.text(1, 6, 1001, 4, 10.5, 100, 0, "")
    assert Decoded(frame(odd), version=version).rare == [odd]


def test_every_captured_tick() -> None:
    ticks = [f for f in captures.server_frames() if f.server_version > 200 and f.message_id in (1, 2, 45, 46)]
    assert len(ticks) > 40
    routes = dict.fromkeys((1, 2, 20611, 20603, 20601), ROUTES[1])
    for captured in ticks:
        got = Decoded(frame(captured.payload), version=captured.server_version, routes=routes)
        calls = official.calls(captured.payload, captured.server_version)
        assert calls is not None and calls[0][1] in routes
        calls = [[name, 1, *rest] for name, _, *rest in calls]
        wanted = expected(calls)
        assert wanted is not None and [row[:3] for row in got.rows] == [wanted[:3]]
        assert (got.rare, got.unrouted) == ([], 0)


# --- many at once ------------------------------------------------------------------------------------------

usual_sizes = st.sampled_from(["0", "5", "100", "86385.5", "1e3", "007", "1,5", " 7", "", "nan", UNSET, "1" * 37])
usual_ticks = st.one_of(
    st.builds(protobuf.tick_price, requests, numeric_fields, prices, usual_sizes, st.integers(0, 200)),
    st.builds(protobuf.tick_size, requests, numeric_fields, usual_sizes),
    st.builds(protobuf.tick_generic, requests, numeric_fields, prices),
    st.builds(protobuf.tick_string, requests, st.sampled_from([45, 88, 84]), usual_sizes),
)


@given(bodies=st.lists(st.tuples(usual_ticks, st.integers(1, 3)), min_size=1, max_size=12), data=st.data())
def test_many_at_once_are_read_as_one_by_one(bodies: list[tuple[bytes, int]], data: st.DataObject) -> None:
    """Or not at all: whatever is not plain among them."""
    frames = [frame(body) for body, times in bodies for _ in range(times)]
    stream = b"".join(data.draw(st.permutations(frames)))
    stream = data.draw(st.sampled_from([stream, stream[: len(stream) // 2], stream + b"\0\0"]))
    try:
        many = read_groups(stream, 0, len(stream), {wire_number(request): ROUTES[request] for request in ROUTES})
    except NotPlain:
        return
    columns = Columns()
    columns.extend(many.ids, many.fields, many.values, many.sizes)
    one_by_one = Decoded(stream[: many.end])
    assert one_by_one.rows == rows(columns)
    assert (one_by_one.rare, one_by_one.unrouted) == ([], 0)
    assert len(Decoded(stream).rows) == len(one_by_one.rows)  # none was left over


@given(
    bodies=st.lists(st.one_of(usual_ticks, plain_ticks), min_size=1, max_size=6),
    flips=st.lists(st.tuples(st.integers(0, 400), st.integers(1, 255)), max_size=3),
)
def test_a_byte_that_is_not_as_expected_is_looked_at_closely(bodies: list[bytes], flips: list[tuple[int, int]]) -> None:
    stream = bytearray(b"".join(map(frame, bodies)))
    for place, bits in flips:
        stream[place % len(stream)] ^= bits
    symbols = {wire_number(request): ROUTES[request] for request in ROUTES}
    try:
        many = read_groups(bytes(stream), 0, len(stream), symbols)
    except NotPlain:
        return
    columns = Columns()
    columns.extend(many.ids, many.fields, many.values, many.sizes)
    assert rows(columns) == Decoded(bytes(stream[: many.end])).rows


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
    stream = b"".join(map(frame, bodies))
    whole = Decoded(stream)
    for start in (b"\0", b"\0\0\0", b"\0\0\0\x16", b"\0\0\0\x16\0\0\0\xc9\x08\x01", b"\0\x01"):
        assert Decoded(stream + start) == whole


def test_rows_keep_the_order_in_which_the_ticks_came() -> None:
    ticks = [protobuf.tick_price(1, 4, 10.0 + n, "100") for n in range(6)]
    ticks[1] = protobuf.text(1, 6, 1, 4, 11.0, 100, 0)
    ticks[2] = protobuf.text(1, 6, 1, 4, 12.0, 100, 0)
    assert [row[2] for row in Decoded(b"".join(map(frame, ticks))).rows] == [10.0, 11.0, 12.0, 13.0, 14.0, 15.0]


def test_a_burst_of_many_slabs_and_a_frame_longer_than_one() -> None:
    bodies = [protobuf.tick_price(1001, 1, n / 4, str(n % 700)) for n in range(8000)]
    bodies.insert(3000, protobuf.message(17, (2, b"bar," * SLAB)))
    stream = b"".join(map(frame, bodies))
    whole = Decoded(stream)
    assert [row[2] for row in whole.rows] == [n / 4 for n in range(8000)]
    assert whole.rare == [bodies[3000]]
    assert Decoded(*(stream[i : i + 5000] for i in range(0, len(stream), 5000))) == whole


def test_more_different_sizes_than_it_keeps() -> None:
    bodies = [protobuf.tick_price(5, 4, 1.0, str(n)) for n in range(40_000)]
    bodies += [protobuf.tick_size(5, 8, str(n)) for n in range(40_000)]
    got = Decoded(b"".join(map(frame, bodies)))
    assert [row[3] for row in got.rows[:40_000]] == [float(n) for n in range(40_000)]
    assert [row[2] for row in got.rows[40_000:]] == [float(n) for n in range(40_000)]


# --- routes, absurd lengths --------------------------------------------------------------------------------


def test_ticks_of_a_cancelled_request_are_counted_and_dropped() -> None:
    decoder, columns, rare = ProtobufTickDecoder(225), Columns(), []
    decoder.add(1, 10)
    decoder.add(2, 20)
    ticks = b"".join(frame(protobuf.tick_size(request, 0, "5")) for request in (1, 2, 1))
    decoder.feed(ticks, columns, rare)
    decoder.remove(1)
    decoder.feed(ticks, columns, rare)
    assert columns.ids == [10, 20, 10, 20]
    assert (decoder.unrouted, rare) == (2, [])
    decoder.add(1, 30)
    decoder.feed(ticks, columns, rare)
    assert columns.ids[4:] == [30, 20, 30]


@pytest.mark.parametrize("field", [-1, 200, 255, 256, 1 << 20])
def test_a_tick_of_a_field_that_ib_does_not_have_is_not_taken(field: int) -> None:
    body = protobuf.tick_price(1, field, 1.0, "5")
    assert (Decoded(frame(body)).rows, Decoded(frame(body)).rare) == ([], [body])


@pytest.mark.parametrize("length", [0, MAX_FRAME + 1, 0x47455420])
def test_an_absurd_length_is_an_error_that_names_it_after_the_frames_before(length: int) -> None:
    decoder, columns = ProtobufTickDecoder(225), Columns()
    decoder.add(1001, 1)
    good = frame(protobuf.tick_size(1001, 0, "5")) * 3
    with pytest.raises(FrameError, match=str(length)):
        decoder.feed(good + length.to_bytes(4, "big") + b"what", columns, [])
    assert len(columns) == 3


@pytest.mark.parametrize(
    "tick",
    [
        protobuf.tick_price(1001, 4, 10.5, "100"),
        protobuf.tick_size(1001, 8, "100"),
        protobuf.tick_generic(1001, 49, 1.0),
        protobuf.tick_string(1001, 45, "1700000000"),
        protobuf.tick_string(1001, 84, "K"),
    ],
)
def test_a_familiar_tick_that_is_cut_off_anywhere_waits_for_its_rest(tick: bytes) -> None:
    whole = frame(tick) * 3
    for cut in range(len(whole)):
        assert Decoded(whole[:cut], whole[cut:]) == Decoded(whole), cut
