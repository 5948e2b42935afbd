"""Decoding ticks: the fast path beside a bare frame splitter, the official client and ib_async, on the same bytes.

Peers run as they are meant to: their own socket code against a process that plays a gateway. The fast path is
measured so too, and on bytes in memory, where nothing but decoding counts.
"""

import socket
import struct
from functools import partial

from messages.codec import encode
from services.gateway.wire.columns import Columns
from services.gateway.wire.tick_decoder import TickDecoder, tick_decoder
from tests import protobuf as wire
from tests.benchmarks.burst import (
    END_REQUEST,
    FIRST_REQUEST,
    PROTOBUF_END,
    PROTOBUF_VERSION,
    SERVER_VERSION,
    burst,
    frame,
    with_length,
)
from tests.benchmarks.feeder import Feeder
from tests.benchmarks.harness import Case, Sample, ask_peer, cpu_ns, in_turn, median, report, spread, thousands, timed
from tests.benchmarks.peers import install

SYMBOLS = 100
RECEIVE = 1 << 18  # bytes in one receive, as in the gateway
NAMES = {request: f"S{request}" for request in range(FIRST_REQUEST, FIRST_REQUEST + SYMBOLS)}


def splitter(data: bytes, frames: int) -> Sample:
    """Frames cut out of the buffer one by one and thrown away: the limit of a client that handles frames singly."""
    length_of = struct.Struct(">I").unpack_from
    with timed(frames) as sample:
        at, end, found = 0, len(data), 0
        while at + 4 <= end:
            stop = at + 4 + length_of(data, at)[0]
            data[at + 4 : stop]
            at = stop
            found += 1
    assert found == frames
    return sample


def new_decoder(protobuf: bool) -> TickDecoder:
    decoder = tick_decoder(PROTOBUF_VERSION if protobuf else SERVER_VERSION)
    for request in NAMES:
        decoder.add(request, request)
    return decoder


def fast_path(
    data: bytes, frames: int, *, receive: int = RECEIVE, blocks: bool = False, protobuf: bool = False
) -> Sample:
    """The fast path over `receive` bytes at a time; with `blocks`, encoded as the journal and the bus take them."""
    decoder, columns, rare, rows = new_decoder(protobuf), Columns(), [], 0
    view = memoryview(data)
    with timed(frames) as sample:
        for at in range(0, len(data), receive):
            decoder.feed(view[at : at + receive], columns, rare)
            if blocks:
                encode(columns.to_block(1, 1 + rows, 1_700_000_000_000_000_000, NAMES))
            rows += len(columns)
            columns.clear()
    assert (rows, rare, decoder.unrouted) == (frames, [], 0)
    return sample


def fast_path_socket(port: int, frames: int, *, protobuf: bool = False) -> Sample:
    """The fast path behind a socket, from asking for the burst to its end."""
    decoder, columns, rare, rows = new_decoder(protobuf), Columns(), [], 0
    buffer = bytearray(RECEIVE)
    version = b"v%d..%d" % (PROTOBUF_VERSION, PROTOBUF_VERSION) if protobuf else b"v157..157"
    start, ask_time, end = frame(71, 2, 1, ""), frame(49, 1), frame(57, 1, END_REQUEST)[4:]
    if protobuf:
        start, ask_time, end = with_length(wire.message(71, (1, 1))), with_length(wire.message(49)), PROTOBUF_END[4:]
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"API\0" + struct.pack(">I", 9) + version)
        sock.recv(100)
        sock.sendall(start)
        decoder.feed(sock.recv(100), columns, [])
        with timed(frames) as sample:
            sock.sendall(ask_time)
            while end not in rare:
                decoder.feed(memoryview(buffer)[: sock.recv_into(buffer)], columns, rare)
                rows += len(columns)
                columns.clear()
    assert rows == frames
    return sample


def peers(port: int, protobuf_port: int, frames: int, seconds: int) -> dict[str, Case]:
    """The clients that users have now. One that is not done after `seconds` is cut off."""
    limit = {"timeout": seconds + 60.0}
    official = [
        ("ibapi-stable", "ibapi-stable 10.50, protobuf, bare callbacks", protobuf_port),
        ("ibapi-stable", "ibapi-stable 10.50, text, bare callbacks", port),
        ("ibapi", "ibapi 9.81.1, text, bare callbacks", port),
    ]
    cases: dict[str, Case] = {}
    for peer, name, where in official:
        cases[name] = partial(ask_peer, install(peer), "peer_official.py", where, frames, seconds, **limit)
    script = partial(ask_peer, install("ib_async"), "peer_ib_async.py", port, frames, SYMBOLS, seconds, **limit)
    return cases | {IB_ASYNC: script}


IB_ASYNC = "ib_async 2.1, text, bare ticker loop"


def compare(frames: int, rounds: int, seconds: int) -> None:
    data, binary = burst(frames, SYMBOLS), burst(frames, SYMBOLS, protobuf=True)
    with Feeder(frames) as port, Feeder(frames, protobuf=True) as protobuf_port:
        cases = {
            "bare frame splitter, in memory": partial(splitter, data, frames),
            "fast path, text, in memory": partial(fast_path, data, frames),
            "fast path, protobuf, in memory": partial(fast_path, binary, frames, protobuf=True),
            "fast path and encoded blocks, text, in memory": partial(fast_path, data, frames, blocks=True),
            "fast path and encoded blocks, protobuf, in memory": partial(
                fast_path, binary, frames, blocks=True, protobuf=True
            ),
            "fast path, text, from a socket": partial(fast_path_socket, port, frames),
            "fast path, protobuf, from a socket": partial(fast_path_socket, protobuf_port, frames, protobuf=True),
            **peers(port, protobuf_port, frames, seconds),
        }
        samples = in_turn(cases, rounds)
    base, base_cpu = median(samples[IB_ASYNC]), median(samples[IB_ASYNC], cpu_ns)
    rows = []
    for name, taken in samples.items():
        rate, cpu = median(taken), median(taken, cpu_ns)
        done = "" if all(sample.finished for sample in taken) else f" (not done in {seconds} s)"
        ratios = [f"{rate / base:.2f}", f"{base_cpu / cpu:.2f}"]
        rows.append([name + done, thousands(rate), spread(taken), f"{cpu:,.0f}", *ratios])
    report(
        f"decode-{frames}",
        f"Decoding a burst of {frames:,} frames, {SYMBOLS} symbols, medians of {rounds} rounds",
        ["", "thousand frames/s", "low to high", "CPU ns a frame", "times ib_async", "by CPU time"],
        rows,
        samples,
    )


def linearity(sizes: list[int], rounds: int) -> None:
    """Whether a backlog slows the fast path down: everything in one call, and in receives."""
    cases: dict[str, Case] = {}
    for frames in sizes:
        for name, protobuf in (("text", False), ("protobuf", True)):
            data = burst(frames, SYMBOLS, protobuf=protobuf)
            case = partial(fast_path, data, frames, protobuf=protobuf)
            cases[f"{frames:,} frames, {name}"] = case
            cases[f"{frames:,} frames, {name}, all in one call"] = partial(case, receive=len(data))
    samples = in_turn(cases, rounds)
    base = median(next(iter(samples.values())), cpu_ns)
    rows = []
    for name, taken in samples.items():
        cpu = median(taken, cpu_ns)
        rows.append([name, thousands(median(taken)), spread(taken), f"{cpu:,.0f}", f"{cpu / base:.2f}"])
    title = f"The fast path as the backlog grows, medians of {rounds} rounds"
    columns = ["", "thousand frames/s", "low to high", "CPU ns a frame", "times the first"]
    report("decode-linearity", title, columns, rows, samples)


def drains(frames: int, rounds: int) -> None:
    """Small drains, as on a quiet line: what a frame costs when few come together."""
    cases: dict[str, Case] = {}
    drained: list[int] = []
    for name, protobuf in (("text", False), ("protobuf", True)):
        data = burst(frames, SYMBOLS, protobuf=protobuf)
        for together in (1, 10, 50, 200, 1000, 5000):
            receive = max(1, int(together * len(data) / frames))
            cases[f"{together} frames a receive, {name}"] = partial(
                fast_path, data, frames, receive=receive, protobuf=protobuf
            )
            drained.append(together)
    samples = in_turn(cases, rounds)
    rows = []
    for (name, taken), together in zip(samples.items(), drained, strict=True):
        rows.append([name, thousands(median(taken)), f"{median(taken, cpu_ns) * together / 1e3:,.1f}"])
    title = f"The fast path on small drains, medians of {rounds} rounds"
    report("decode-drains", title, ["", "thousand frames/s", "CPU µs a drain"], rows, samples)


def main(short: bool) -> None:
    if short:
        compare(20_000, rounds=3, seconds=20)
        linearity([20_000, 100_000], rounds=3)
        drains(20_000, rounds=3)
    else:
        compare(100_000, rounds=5, seconds=60)
        compare(500_000, rounds=5, seconds=30)
        linearity([100_000, 500_000, 1_000_000, 5_000_000], rounds=5)
        drains(100_000, rounds=5)
