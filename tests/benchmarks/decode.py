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
from tests.benchmarks.burst import END_REQUEST, FIRST_REQUEST, SERVER_VERSION, burst, frame
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


def new_decoder() -> TickDecoder:
    decoder = tick_decoder(SERVER_VERSION)
    for request in NAMES:
        decoder.add(request, request)
    return decoder


def fast_path(data: bytes, frames: int, *, receive: int = RECEIVE, blocks: bool = False) -> Sample:
    """The fast path over `receive` bytes at a time; with `blocks`, encoded as the journal and the bus take them."""
    decoder, columns, rare, rows = new_decoder(), Columns(), [], 0
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


def fast_path_socket(port: int, frames: int) -> Sample:
    """The fast path behind a socket, from asking for the burst to its end."""
    decoder, columns, rare, rows = new_decoder(), Columns(), [], 0
    buffer = bytearray(RECEIVE)
    end = frame(57, 1, END_REQUEST)[4:]
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"API\0" + struct.pack(">I", 9) + b"v157..157")
        sock.recv(100)
        sock.sendall(frame(71, 2, 1, ""))
        decoder.feed(sock.recv(100), columns, [])
        with timed(frames) as sample:
            sock.sendall(frame(49, 1))
            while end not in rare:
                decoder.feed(memoryview(buffer)[: sock.recv_into(buffer)], columns, rare)
                rows += len(columns)
                columns.clear()
    assert rows == frames
    return sample


def peers(port: int, frames: int, seconds: int) -> dict[str, Case]:
    """The clients that users have now. One that is not done after `seconds` is cut off."""
    limit = {"timeout": seconds + 60.0}
    official = [("nautilus_ibapi", "nautilus_ibapi 10.46, bare callbacks"), ("ibapi", "ibapi 9.81.1, bare callbacks")]
    cases: dict[str, Case] = {}
    for peer, name in official:
        cases[name] = partial(ask_peer, install(peer), "peer_official.py", port, frames, seconds, **limit)
    script = partial(ask_peer, install("ib_async"), "peer_ib_async.py", port, frames, SYMBOLS, seconds, **limit)
    return cases | {IB_ASYNC: script}


IB_ASYNC = "ib_async 2.1, bare ticker loop"


def compare(frames: int, rounds: int, seconds: int) -> None:
    data = burst(frames, SYMBOLS)
    with Feeder(frames) as port:
        cases = {
            "bare frame splitter, in memory": partial(splitter, data, frames),
            "fast path, in memory": partial(fast_path, data, frames),
            "fast path and encoded blocks, in memory": partial(fast_path, data, frames, blocks=True),
            "fast path, from a socket": partial(fast_path_socket, port, frames),
            **peers(port, frames, seconds),
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
        data = burst(frames, SYMBOLS)
        cases[f"{frames:,} frames"] = partial(fast_path, data, frames)
        cases[f"{frames:,} frames, all in one call"] = partial(fast_path, data, frames, receive=len(data))
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
    data = burst(frames, SYMBOLS)
    size = len(data) / frames
    cases = {
        f"{together} frames a receive": partial(fast_path, data, frames, receive=max(1, int(together * size)))
        for together in (1, 10, 50, 200, 1000, 5000)
    }
    samples = in_turn(cases, rounds)
    rows = []
    for (name, taken), together in zip(samples.items(), (1, 10, 50, 200, 1000, 5000), strict=True):
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
