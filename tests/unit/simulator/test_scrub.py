"""Nothing of a user is left in a recording: secrets planted in every field of whatever carries an account, an order or
free text, in text and protobuf, both ways; then the whole file is searched."""

import base64
import json
import struct
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given, settings
from hypothesis import strategies as st
from ibapi.message import IN, OUT

from services.base.clock import ManualClock
from services.simulator.recording.capture import CaptureFile, moments
from services.simulator.recording.proxy import Leg
from services.simulator.recording.scrub import (
    ACCOUNT,
    LEFT_OUT,
    PROTOBUF_FROM_CLIENT,
    PROTOBUF_FROM_SERVER,
    TEXT_FROM_CLIENT,
    TEXT_FROM_SERVER,
    Scrubber,
)
from tests import captures, protobuf
from tests.support import examples

SECRETS = ("U7654321", "Jane Q. Public", "my-order-ref-9", "sk_live_0xdeadbeef", "janeq777")
FROM_SERVER = {
    3: "OrderStatus", 5: "OpenOrder", 6: "AccountValue", 7: "PortfolioValue", 8: "AccountUpdateTime",
    11: "ExecutionDetails", 12: "MarketDepth", 14: "NewsBulletin", 16: "ReceiveFA", 20: "ScannerData",
    54: "AccountDataEnd", 59: "CommissionAndFeesReport", 61: "Position", 63: "AccountSummary", 65: "VerifyMessageApi",
    66: "VerifyCompleted", 68: "DisplayGroupUpdated", 71: "PositionMulti", 73: "AccountUpdateMulti",
    77: "SoftDollarTiers", 78: "FamilyCodes", 83: "NewsArticle", 84: "TickNews", 86: "HistoricalNews", 94: "PnL",
    95: "PnLSingle", 100: "OrderBound", 101: "CompletedOrder", 103: "ReplaceFAEnd", 104: "WshMetaData",
    107: "UserInfo", 110: "ConfigResponse",
    4: "ErrorMessage", 15: "ManagedAccounts", 9: "NextValidId",
}  # fmt: skip
FROM_CLIENT = {
    3: "PlaceOrderRequest", 4: "CancelOrderRequest", 6: "AccountDataRequest", 7: "ExecutionRequest", 18: "FARequest",
    19: "FAReplace", 21: "ExerciseOptionsRequest", 58: "GlobalCancelRequest", 62: "AccountSummaryRequest",
    65: "VerifyRequest", 66: "VerifyMessageRequest", 69: "UpdateDisplayGroupRequest", 71: "StartApiRequest",
    74: "PositionsMultiRequest", 76: "AccountUpdatesMultiRequest", 92: "PnLRequest", 94: "PnLSingleRequest",
    102: "WshEventDataRequest",
}  # fmt: skip
TEXT_VERSIONS = (100, 157, 178, 194, 200, 203)
secrets = st.sampled_from(SECRETS)


def planted(name: str, draw: Any, depth: int = 0) -> Any:
    """A message of this class with a secret in every text, in its maps and the messages within it."""
    made = getattr(import_module(f"ibapi.protobuf.{name}_pb2"), name)()
    fill(made, draw, depth)
    return made


def fill(made: Any, draw: Any, depth: int) -> None:
    for field in made.DESCRIPTOR.fields:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].type == FieldDescriptor.TYPE_STRING:
                getattr(made, field.name)[draw(secrets)] = draw(secrets)
        elif field.message_type is not None:
            if depth < 4:
                held = getattr(made, field.name)
                fill(held.add() if field.is_repeated else held, draw, depth + 1)
        elif field.type == FieldDescriptor.TYPE_STRING:
            if field.is_repeated:
                getattr(made, field.name).append(draw(secrets))
            else:
                setattr(made, field.name, draw(secrets))


def framed(payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + payload


def text_payload(version: int, kind: int, fields: list[str]) -> bytes:
    body = "".join(f"{one}\0" for one in fields).encode()
    return struct.pack(">I", kind) + body if version >= 201 else f"{kind}\0".encode() + body


def searched(path: Path) -> bytes:
    """All that is in the file, as it stands there and with its frames decoded."""
    raw = path.read_bytes()
    frames = [json.loads(line).get("frame", "") for line in raw.splitlines()]
    return raw + b"".join(map(base64.b64decode, frames))


def record(folder: Path, version: int, said: list[tuple[bytes, bool]]) -> bytes:
    path = folder / "recording.jsonl"
    path.unlink(missing_ok=True)
    file, scrubber = CaptureFile(path, 0, 1 << 30), Scrubber(version, set())
    file.connected(1, version, 0)
    for payload, from_server in said:
        file.message(1, from_server, *scrubber.scrub(payload, from_server), 0)
    file.close()
    return searched(path)


@st.composite
def odd_frames(draw: st.DrawFn) -> bytes:
    """Of a sensible length, with an id that is known and fields that make no sense."""
    kind = draw(st.sampled_from([1, 2, 4, 9, 10, 15, 46, 71, 20, 201, 204, 210, 215, 246, 271]))
    fields = draw(
        st.lists(st.sampled_from(["", "1", "1.5", "Infinity", "1e9", "-1", "x", "\u0661", "9" * 20]), max_size=9)
    )
    head = draw(st.sampled_from([struct.pack(">I", kind), f"{kind}\0".encode()]))
    return framed(head + "".join(f"{one}\0" for one in fields).encode())


def assert_clean(found: bytes) -> None:
    for secret in SECRETS:
        assert secret.encode() not in found


@settings(max_examples=examples(200), deadline=None)
@given(data=st.data(), kind=st.sampled_from([*((k, True) for k in FROM_SERVER), *((k, False) for k in FROM_CLIENT)]))
def test_protobuf(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: tuple[int, bool]) -> None:
    number, from_server = kind
    made = planted((FROM_SERVER if from_server else FROM_CLIENT)[number], data.draw)
    if number == 4 and from_server:
        made.errorCode = data.draw(st.sampled_from([201, 321, 200, 2104, 1102, 326, 10197, 0]))
    payload = struct.pack(">I", 200 + number) + made.SerializeToString()
    assert_clean(record(tmp_path_factory.mktemp("p"), 226, [(payload, from_server)]))


@settings(max_examples=examples(200), deadline=None)
@given(data=st.data(), version=st.sampled_from(TEXT_VERSIONS))
def test_text(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, version: int) -> None:
    """Of every message id that the official client knows but those of prices, contracts and bars."""
    from_server = data.draw(st.booleans())
    reference = {10, 17, 18, 75, 81, 88, 89, 90, 91, 92, 93, 96, 97, 98, 99, 106, 108} if from_server else {
        1, 9, 10, 20, 50, 78, 87, 88, 96, 97}  # fmt: skip
    known = {int(value) for value in (IN if from_server else OUT)} | {150, 199}
    kind = data.draw(st.sampled_from(sorted(known - reference)))
    number = st.sampled_from(["1", "-1", "0", "3.5", "", "200", "2104", "1102", "326"])
    fields = data.draw(st.lists(st.one_of(secrets, number), min_size=1, max_size=14))
    if kind == 46 and from_server:
        fields = fields[:3]  # its fourth is a tick's own text
    assert_clean(record(tmp_path_factory.mktemp("t"), version, [(text_payload(version, kind, fields), from_server)]))


@settings(max_examples=examples(50), deadline=None)
@given(data=st.data(), name=st.sampled_from([*PROTOBUF_FROM_SERVER.items(), *PROTOBUF_FROM_CLIENT.items()]))
def test_fields_that_no_class_knows_and_options(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, name: tuple[int, str]
) -> None:
    """In the messages that are kept: what a newer gateway adds, and free options."""
    number, message = name
    made = getattr(import_module(f"ibapi.protobuf.{message}_pb2"), message)()
    for field in LEFT_OUT:
        if field in made.DESCRIPTOR.fields_by_name:
            if made.DESCRIPTOR.fields_by_name[field].is_repeated:
                getattr(made, field)[data.draw(secrets)] = data.draw(secrets)
            else:
                setattr(made, field, data.draw(secrets))
    body = made.SerializeToString() + protobuf.encode([(777, data.draw(secrets))])
    from_server = PROTOBUF_FROM_SERVER.get(number) == message
    payload = struct.pack(">I", 200 + number) + body
    assert_clean(record(tmp_path_factory.mktemp("u"), 226, [(payload, from_server)]))


def test_an_account_that_the_gateway_has_named_is_looked_for_in_all_that_follows(tmp_path: Path) -> None:
    accounts = text_payload(178, 15, ["1", "U7654321,U1112223"])
    innocent = text_payload(178, 10, ["8", "1", "U1112223", "STK"])
    found = record(tmp_path, 178, [(accounts, True), (innocent, True)])
    assert_clean(found)
    assert b"U1112223" not in found
    assert f"{ACCOUNT},{ACCOUNT}".encode() in found


def test_free_options_at_the_end_of_a_text_request() -> None:
    asked = ["11", "7", "0", "SPY", "STK", "", "0", "", "", "SMART", "", "USD", "", "", "0", "", "0", "0"]
    kind, frame = Scrubber(178, set()).scrub(text_payload(178, 1, [*asked, "key=sk_live_0xdeadbeef;"]), False)
    assert kind == 1 and frame == framed(text_payload(178, 1, [*asked, ""]))


def test_texts_of_an_unknown_server_version_and_garbage_are_withheld() -> None:
    tick = ["6", "1", "1", "590.5", "3", "1"]
    assert Scrubber(200, set()).scrub(text_payload(200, 1, tick), True)[1] is not None
    assert Scrubber(999, set()).scrub(text_payload(999, 1, tick), True) == (1, None)
    assert Scrubber(178, set()).scrub(b"what is this", True) == (-1, None)
    assert Scrubber(178, set()).scrub(b"7654321\0", True) == (-1, None)
    for odd in ("1.5", "1e9", "Infinity", ""):
        assert Scrubber(178, set()).scrub(text_payload(178, 4, ["2", "-1", odd, "text"]), True) == (4, None)
    assert Scrubber(226, set()).scrub(b"\0\0\0\xc9\xff\xff\xff", True) == (1, None)


@pytest.mark.parametrize("version", [178, 194, 203, 226])
def test_errors_keep_their_code_and_a_farm_its_name(version: int) -> None:
    """And nothing else of what IB wrote."""
    for code, text, kept in (
        (2103, "Market data farm connection is broken:usfarm.nj", b"broken:usfarm.nj"),
        (2108, "Market data farm connection is inactive but should be available upon demand.euhmds", b"demand.euhmds"),
        (2104, "Market data farm connection is OK:U7654321", b"OK:farm"),
        (201, "Order rejected - reason: U7654321 has no funds", b"not recorded"),
    ):
        if version >= 201:
            fields = [(1, -1), (2, 1_700_000_000_000), (3, code), (4, text), (5, '{"account": "U7654321"}')]
            payload = protobuf.message(4, *fields)
        else:
            head = [] if version >= 194 else ["2"]
            tail = [] if version < 166 else ["U7654321"]
            time = ["1700000000000"] if version >= 194 else []
            payload = text_payload(version, 4, [*head, "-1", str(code), text, *tail, *time])
        _, frame = Scrubber(version, set()).scrub(payload, True)
        assert frame is not None and kept in frame and b"U7654321" not in frame


def test_what_real_gateways_sent_of_prices_and_contracts_is_kept_as_it_was() -> None:
    kept = withheld = 0
    for frame in captures.server_frames():
        kind, scrubbed = Scrubber(frame.server_version, set()).scrub(frame.payload, True)
        assert kind == frame.message_id
        if scrubbed is None:
            withheld += 1
            assert kind not in {*PROTOBUF_FROM_SERVER, *TEXT_FROM_SERVER}
        elif kind not in (4, 9, 15):
            assert scrubbed == framed(frame.payload)
            kept += 1
    assert kept > 100 and withheld > 0
    requests = [frame for name in captures.names() for frame in captures.frames(name) if not frame.from_server]
    for frame in requests:
        if frame.message_id in {*PROTOBUF_FROM_CLIENT} & {*TEXT_FROM_CLIENT}:
            assert Scrubber(frame.server_version, set()).scrub(frame.payload, False)[1] is not None


@settings(max_examples=examples(300), deadline=None)
@given(
    said=st.lists(st.tuples(st.booleans(), st.binary(max_size=40) | odd_frames()), max_size=12),
    version=st.sampled_from([*TEXT_VERSIONS, 226]),
)
def test_whatever_is_said_raises_nothing(
    tmp_path_factory: pytest.TempPathFactory, said: list[tuple[bool, bytes]], version: int
) -> None:
    """What is passed on must not end because it cannot be recorded."""
    file = CaptureFile(tmp_path_factory.mktemp("w") / "r.jsonl", 0, 1 << 30)
    leg = Leg(1, file, set(), ManualClock(0), lambda sentence: None)
    leg.said_by_client(b"API\0" + framed(b"v100..226"))
    leg.said_by_server(framed(f"{version}\0now\0".encode()))
    for from_server, data in said:
        (leg.said_by_server if from_server else leg.said_by_client)(data)
    leg.ended("client")
    file.close()


def test_a_file_is_private_new_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    file = CaptureFile(path, 0, 600)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        CaptureFile(path, 0, 600)
    file.connected(1, 178, 5)
    for at in range(50):
        file.message(1, True, 1, framed(b"1\x006\x001\x001\x002.5\x003\x000\x00"), at)
    file.close()
    assert path.stat().st_size <= 600 and file.ended == "the file has its most bytes" and not file.failed
    assert [one.event for one in moments(path)][:2] == ["connect", ""]
    with path.open("ab") as cut:
        cut.write(b'{"leg": 1, "from": "ser')
    assert list(moments(path))
    path.write_text("{}\n")
    with pytest.raises(ValueError, match="is not a recording"):
        list(moments(path))
