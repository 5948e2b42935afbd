"""Symbol files are a function of the journal: of what is in it, not of when or in which order it was read."""

import zlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from messages import fields
from messages.codec import encode
from messages.events import CutSymbol, Plan, ServiceChanged, StreamStarted, StreamStopped, SymbolChanged
from messages.topics import CONTROL, LINK, PLAN, SHARDED, STREAMS, TICKS, sharded
from messages.topics import streams as names_of
from messages.views import Quote
from services.base.clock import SECOND
from services.journal.cursor import Cursor
from services.quotes.projection import Projection, file_bytes
from tests import blocks
from tests.blocks import NOW, TestWriter
from tests.rebuilt import fold, rebuild
from tests.support import examples


def live(symbol: str) -> SymbolChanged:
    return SymbolChanged(symbol=symbol, state="live", stale=False)


def price(symbol: str, value: float):
    return (symbol, fields.LAST, value, 100.0)


def streaming() -> Projection:
    projection = Projection()
    projection.apply(CONTROL, blocks.events(StreamStarted(project_id=1)))
    projection.apply(PLAN, blocks.plan("SPY", "QQQ"))
    projection.apply(LINK, blocks.events(live("SPY"), live("QQQ")))
    projection.apply(TICKS, blocks.ticks([price("SPY", 500.0)]))
    return projection


def said(projection: Projection, symbol: str = "SPY") -> tuple[bool, str | None]:
    quote = projection.quote(symbol)
    assert quote is not None
    return quote.stale, quote.reason


def test_a_planned_live_symbol_shows_its_price():
    quote = streaming().quote("SPY")
    assert (quote.last, quote.last_size, quote.stale, quote.reason) == (500.0, 100.0, False, None)
    assert quote.timestamp == "2026-01-05T14:30:00.000000Z"


def test_a_symbol_that_is_held_is_marked_and_that_is_kept():
    projection = streaming()
    assert projection.quote("SPY").held is None
    plan = blocks.plan("SPY", "QQQ", seq=2)
    projection.changed.clear()
    projection.apply(PLAN, replace(plan, symbols=[replace(one, held=one.symbol == "SPY") for one in plan.symbols]))
    assert projection.changed == {"SPY"}
    assert projection.quote("SPY").held is True
    kept, _ = Projection.load(projection.dump({}))
    assert kept.quote("SPY") == projection.quote("SPY")
    projection.apply(PLAN, blocks.plan("SPY", "QQQ", seq=3))
    assert projection.quote("SPY").held is None
    cut = CutSymbol("SPY", "over max_symbols 1", 1, replace(plan.symbols[0], held=True))
    projection.apply(PLAN, blocks.plan("QQQ", seq=4, cut=[cut]))
    assert projection.quote("SPY").held is True


def test_a_planned_symbol_without_a_price_has_no_quote():
    projection = streaming()
    assert projection.quote("QQQ") is None
    projection.apply(TICKS, blocks.ticks([("QQQ", fields.MARKET_DATA_TYPE, 1.0)], seq=2))
    assert projection.quote("QQQ") is None


def test_a_withdrawn_price_leaves_the_quote_and_the_file_without_it():
    projection = streaming()
    projection.apply(TICKS, blocks.ticks([("SPY", fields.LAST, -1.0, 0.0)], seq=2))
    assert projection.quote("SPY").last is None
    assert b"last" not in file_bytes(projection.quote("SPY"))


def test_what_the_gateway_says_of_a_symbol_is_in_its_quote():
    projection = streaming()
    projection.apply(LINK, blocks.events(SymbolChanged("SPY", "stale", True, "farm_down"), seq=3))
    assert said(projection) == (True, "farm_down")
    projection.apply(LINK, blocks.events(live("SPY"), seq=4))
    assert said(projection) == (False, None)


def test_a_new_gateway_process_starts_with_nothing_to_be_trusted():
    projection = streaming()
    projection.apply(LINK, blocks.events(live("QQQ"), epoch=2, seq=3))
    assert said(projection) == (True, "pending")
    projection.apply(LINK, blocks.events(live("SPY"), epoch=2, seq=4))
    assert said(projection) == (False, None)


def test_a_symbol_that_left_the_plan_keeps_its_price_and_says_so():
    projection = streaming()
    projection.apply(PLAN, blocks.plan("QQQ", seq=2))
    assert said(projection) == (True, "unplanned")
    assert projection.quote("SPY").last == 500.0


def test_a_stopped_stream_says_so():
    projection = streaming()
    projection.apply(CONTROL, blocks.events(StreamStopped(), seq=2))
    assert said(projection) == (True, "stopped")
    projection.apply(CONTROL, blocks.events(StreamStarted(), seq=3))
    projection.apply(PLAN, blocks.plan(seq=2, started=False))
    assert said(projection) == (True, "stopped")


def test_a_gateway_that_is_down_shows_in_every_quote():
    projection = streaming()
    projection.apply(CONTROL, blocks.events(ServiceChanged("planner", "down"), seq=2))
    assert said(projection) == (False, None)
    projection.apply(CONTROL, blocks.events(ServiceChanged("gateway", "down"), seq=3))
    assert said(projection) == (True, "service_down")
    projection.apply(CONTROL, blocks.events(ServiceChanged("gateway", "failing"), seq=4))
    assert said(projection) == (False, None)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_reset_and_a_second_fold_of_a_stream_change_nothing(stream):
    projection, expected = streaming(), file_bytes(streaming().quote("SPY"))
    projection.changed.clear()
    projection.reset(stream)
    assert "SPY" in projection.changed
    assert projection.quote("SPY") is None or projection.quote("SPY").stale
    projection.apply(
        stream,
        {
            CONTROL: blocks.events(StreamStarted(project_id=1)),
            PLAN: blocks.plan("SPY", "QQQ"),
            LINK: blocks.events(live("SPY"), live("QQQ")),
            TICKS: blocks.ticks([price("SPY", 500.0)]),
        }[stream],
    )
    assert file_bytes(projection.quote("SPY")) == expected


def test_a_saved_state_is_the_state_and_a_damaged_one_is_refused():
    cursors = {TICKS: Cursor(1, 1), PLAN: Cursor(1, 1)}
    data = streaming().dump(cursors)
    loaded, at = Projection.load(data)
    assert at == cursors
    assert file_bytes(loaded.quote("SPY")) == file_bytes(streaming().quote("SPY"))
    for damaged in (b"", data[:-1], data[:40] + b"\xff" + data[41:], b"x" * 100):
        with pytest.raises(ValueError):
            Projection.load(damaged)


# --- any order, any restart: the same files ----------------------------------------------------------------

PRICES = [fields.BID, fields.LAST, fields.DELAYED_ASK]
SYMBOLS = ["SPY", "QQQ", "BRK.B"]
symbol = st.sampled_from(SYMBOLS)
tick_rows = st.lists(
    st.one_of(
        st.tuples(
            symbol, st.sampled_from([fields.BID, fields.LAST, fields.DELAYED_ASK]), st.floats(1, 1e6), st.just(7.0)
        ),
        st.tuples(symbol, st.sampled_from([fields.BID_SIZE, fields.VOLUME]), st.floats(0, 1e9)),
        st.tuples(symbol, st.just(fields.BID), st.just(-1.0), st.just(0.0)),
        st.tuples(symbol, st.just(fields.SOURCE), st.sampled_from([0.0, 1.0, 10.0])),
    ),
    min_size=1,
    max_size=6,
)
link_events = st.lists(
    st.builds(
        SymbolChanged,
        symbol=symbol,
        state=st.just("any"),
        stale=st.booleans(),
        reason=st.sampled_from([None, "farm"]),
    ),
    min_size=1,
    max_size=3,
)
control_events = st.lists(
    st.one_of(
        st.builds(StreamStarted),
        st.builds(StreamStopped),
        st.builds(
            ServiceChanged,
            service=st.sampled_from(["gateway", "gateway.a", "gateway.b"]),
            state=st.sampled_from(["up", "down", "failing"]),
        ),
    ),
    min_size=1,
    max_size=2,
)
content = st.one_of(
    st.tuples(st.just(TICKS), tick_rows),
    st.tuples(st.just(LINK), link_events),
    st.tuples(st.just(CONTROL), control_events),
    st.tuples(st.just(PLAN), st.tuples(st.sets(symbol), st.booleans())),
)


def history(gateways: str) -> st.SearchStrategy:
    """What is written, with a new epoch of its stream where it is True, and by which gateway."""
    return st.lists(st.tuples(content, st.booleans(), st.sampled_from(gateways.split(","))), max_size=30)


def streams_of(history, gateways: str) -> dict[str, list]:
    """The blocks of each stream. A plan gives all symbols to the gateway that stands beside it."""
    streams = {stream: [] for stream in names_of(gateways.split(","))}
    heads = dict.fromkeys(streams, (1, 1))
    for (kind, what), restarted, gateway in history:
        stream = sharded(kind, gateway) if kind in SHARDED else kind
        epoch, seq = heads[stream]
        epoch += restarted
        at = {"epoch": epoch, "seq": seq, "time": NOW + len(streams[stream]) * SECOND}
        if kind == TICKS:
            block = blocks.ticks(what, **at)
        elif kind == PLAN:
            block = planned(blocks.plan(*sorted(what[0]), started=what[1], **at), gateway)
        else:
            block = blocks.events(*what, **at)
        heads[stream] = (epoch, seq + block.count)
        streams[stream].append(block)
    return streams


def planned(plan: Plan, gateway: str) -> Plan:
    return replace(plan, symbols=[replace(symbol, gateway=gateway) for symbol in plan.symbols])


def files_of(projection: Projection) -> dict[str, bytes]:
    quotes = {symbol: projection.quote(symbol) for symbol in projection.symbols()}
    return {symbol: file_bytes(quote) for symbol, quote in quotes.items() if quote is not None}


@pytest.mark.parametrize("gateways", ["", "a,b", ",a"])
@settings(max_examples=examples(150), deadline=None)
@given(st.data(), st.randoms(use_true_random=False))
def test_files_depend_neither_on_the_order_of_streams_nor_on_restarts(gateways, data, random):
    streams = streams_of(data.draw(history(gateways)), gateways)
    straight = Projection()
    for stream, listed in streams.items():
        for block in listed:
            straight.apply(stream, block)

    shuffled, written = Projection(), {}
    cursors = {stream: Cursor() for stream in streams}
    left = {stream: list(listed) for stream, listed in streams.items()}
    while any(left.values()):
        stream = random.choice([stream for stream, listed in left.items() if listed])
        block = left[stream].pop(0)
        shuffled.apply(stream, block)
        cursors[stream] = Cursor(block.epoch, block.first_seq + block.count - 1)
        if random.random() < 0.2:
            saved = shuffled.dump(cursors)
        if random.random() < 0.3:  # what a sink writes: the changed symbols alone
            written |= {s: files_of(shuffled)[s] for s in shuffled.changed if s in files_of(shuffled)}
            shuffled.changed.clear()
        if random.random() < 0.1:  # killed: back to the saved state, and everything since then again
            shuffled, cursors = Projection.load(saved) if "saved" in locals() else (Projection(), {})
            cursors = {stream: cursors.get(stream, Cursor()) for stream in streams}
            left = {s: [b for b in streams[s] if b.first_seq > cursors[s].seq] for s in streams}
            shuffled.changed.update(shuffled.symbols())
    written |= {s: files_of(shuffled)[s] for s in shuffled.changed if s in files_of(shuffled)}

    assert files_of(shuffled) == files_of(straight)
    assert written == files_of(straight)


# --- several gateways --------------------------------------------------------------------------------------


def two_gateways() -> Projection:
    """SPY is planned on a, which has its price of 500."""
    projection = Projection()
    projection.apply(CONTROL, blocks.events(StreamStarted()))
    projection.apply(PLAN, planned(blocks.plan("SPY"), "a"))
    projection.apply("link.a", blocks.events(live("SPY")))
    projection.apply("ticks.a", blocks.ticks([price("SPY", 500.0)], time=NOW))
    return projection


def test_the_price_that_was_received_last_counts_whoever_received_it():
    projection = two_gateways()
    assert (projection.quote("SPY").last, projection.quote("SPY").gateway) == (500.0, "a")
    projection.apply("ticks.b", blocks.ticks([price("SPY", 499.0)], time=NOW - SECOND))
    assert projection.quote("SPY").last == 500.0
    projection.apply("ticks.b", blocks.ticks([price("SPY", 501.0)], seq=2, time=NOW + SECOND))
    assert (projection.quote("SPY").last, projection.quote("SPY").gateway) == (501.0, "b")
    projection.apply("ticks.a", blocks.ticks([price("SPY", 502.0)], seq=2, time=NOW + SECOND))
    assert projection.quote("SPY").last == 502.0, "of two as old, that of the planned gateway"


def test_a_close_alone_replaces_no_price_of_now():
    projection, mark = two_gateways(), ("SPY", fields.SOURCE, 0.0)
    projection.apply("ticks.a", blocks.ticks([mark], seq=2))
    projection.apply("ticks.b", blocks.ticks([("SPY", fields.CLOSE, 480.0)], time=NOW + SECOND))
    assert (projection.quote("SPY").last, projection.quote("SPY").gateway) == (500.0, "a")
    projection.apply("ticks.b", blocks.ticks([("SPY", fields.BID, 500.9, 1.0), mark], seq=2, time=NOW + 2 * SECOND))
    assert (projection.quote("SPY").bid, projection.quote("SPY").gateway) == (500.9, "b")


def test_the_state_is_said_by_the_gateway_that_the_plan_names():
    projection = two_gateways()
    projection.apply("link.b", blocks.events(SymbolChanged("SPY", "over_limit", True, "line_limit")))
    assert said(projection) == (False, None)
    projection.changed.clear()
    projection.apply(PLAN, planned(blocks.plan("SPY", seq=2), "b"))
    assert projection.changed == {"SPY"}
    assert said(projection) == (True, "line_limit")
    projection.apply(CONTROL, blocks.events(ServiceChanged("gateway.a", "down"), seq=2))
    assert said(projection) == (True, "line_limit")
    projection.apply(CONTROL, blocks.events(ServiceChanged("gateway.b", "down"), seq=3))
    assert said(projection) == (True, "service_down")


def test_a_new_process_of_one_gateway_takes_nothing_back_of_another():
    projection = two_gateways()
    projection.apply("link.b", blocks.events(live("QQQ"), epoch=2))
    assert said(projection) == (False, None)
    projection.apply("link.a", blocks.events(live("QQQ"), epoch=2, seq=2))
    assert said(projection) == (True, "pending")


def test_the_quote_of_one_gateway_alone_names_none():
    assert b"gateway" not in file_bytes(streaming().quote("SPY"))


def test_a_state_saved_before_there_were_several_is_read():
    """Checkpoints of then know what was retired from the journal since."""
    projection = streaming()
    saved = msgspec.msgpack.decode(projection.dump({TICKS: Cursor(1, 1)})[4:])
    old = {name: saved[name] for name in ("cursors", "times", "plan_started", "wanted")}
    old |= {"version": 2, "book": saved["books"][""], "planned": ["QQQ", "SPY"], "gateway_down": False}
    old |= {"link_epoch": saved["links"][""]["epoch"], "link": saved["links"][""]["said"]}
    body = msgspec.msgpack.encode(old)
    again, cursors = Projection.load(zlib.crc32(body).to_bytes(4, "little") + body)
    assert cursors == {TICKS: Cursor(1, 1)}
    assert files_of(again) == files_of(projection)
    assert said(again) == (False, None)


def test_the_streams_of_several_gateways_are_found_by_their_folders(tmp_path):
    writers = {stream: TestWriter(tmp_path, stream) for stream in names_of(("a", "b"))}
    writers[CONTROL].events(StreamStarted())
    writers[PLAN].plan(["SPY", "QQQ"])
    writers["ticks.a"].ticks([price("SPY", 500.0), price("QQQ", 400.0)])
    writers["ticks.b"].ticks([price("QQQ", 401.0)], time=NOW + SECOND)
    for writer in writers.values():
        writer.close()
    projection = fold(tmp_path)
    assert (projection.quote("SPY").last, projection.quote("QQQ").last) == (500.0, 401.0)


# --- from a journal ----------------------------------------------------------------------------------------


def write_journal(folder: Path) -> None:
    writers = {stream: TestWriter(folder, stream) for stream in STREAMS}
    writers[CONTROL].events(StreamStarted())
    writers[PLAN].plan(["SPY", "QQQ"])
    writers[LINK].events(live("SPY"), live("QQQ"))
    for second in range(5):
        writers[TICKS].ticks([price("SPY", 500.0 + second), price("QQQ", 400.0)], time=NOW + second * SECOND)
    for writer in writers.values():
        writer.close()


def test_a_rebuild_writes_the_files_of_the_fold(tmp_path):
    write_journal(tmp_path / "journal")
    assert rebuild(tmp_path / "journal", tmp_path / "into") == ["QQQ", "SPY"]
    written = {path.name: path.read_bytes() for path in (tmp_path / "into").iterdir()}
    projection = fold(tmp_path / "journal")
    assert written == {f"{symbol}.json": data for symbol, data in files_of(projection).items()}
    quote = msgspec.json.decode(written["SPY.json"], type=Quote)
    assert (quote.last, quote.stale) == (504.0, False)
    assert written["SPY.json"].endswith(b"}\n")


def test_a_fold_until_a_moment_is_the_book_as_it_was(tmp_path):
    write_journal(tmp_path / "journal")
    calls = []
    then = fold(tmp_path / "journal", NOW + 3 * SECOND, lambda stream, done: calls.append((stream, done)))
    assert then.quote("SPY").last == 502.0
    assert calls[0] == (TICKS, 2)
    assert fold(tmp_path / "journal", NOW).symbols() == []


def test_file_and_topic_carry_the_same_fields():
    quote = streaming().quote("SPY")
    assert msgspec.json.decode(file_bytes(quote)) == msgspec.msgpack.decode(encode(quote))


def test_a_price_that_was_asked_for_is_told_from_a_streamed_one():
    projection, found = streaming(), []
    for seq, state in enumerate(("snapshot", "closed", "over_limit", "live"), 3):
        projection.changed.clear()
        projection.apply(LINK, blocks.events(SymbolChanged("SPY", state, False), seq=seq))
        found.append(projection.polled_at("SPY"))
        assert projection.changed == {"SPY"}
        assert Projection.load(projection.dump({}))[0].polled_at("SPY") == found[-1]
    assert found == [NOW, None, NOW, None]
