"""The client refuses every price that may not be used, each with its reason; shown on the fake that users test with."""

import asyncio
import socket
import threading
from pathlib import Path

import pytest

import ibstream
from ibstream.streams import Stream
from ibstream.testing import FakeFeed, FakeStream


@pytest.fixture
def fake() -> FakeStream:
    fake = FakeStream(good_for=5.0)
    fake.set_price("SPY", 590.0, bid=589.9, ask=590.1)
    return fake


def refused(fake: FakeStream, kind: type[ibstream.IbstreamError], **wanted: object) -> ibstream.IbstreamError:
    with pytest.raises(kind) as caught:
        fake.client.price("SPY", **wanted)  # type: ignore[arg-type]
    return caught.value


def test_a_price_that_is_vouched_for(fake: FakeStream) -> None:
    quote = fake.client.price("SPY", max_age=2, sources={"ib_stream"})
    assert (quote.last, quote.bid, quote.ask, quote.source) == (590.0, 589.9, 590.1, "ib_stream")
    assert fake.client.price("spy").seq == quote.seq


def test_nobody_vouches_any_more(fake: FakeStream) -> None:
    fake.advance(4.9)
    assert fake.client.price("SPY").last == 590.0
    fake.advance(0.1)
    error = refused(fake, ibstream.StalePrice)
    assert (error.reason, error.source) == ("expired", "ib_stream")
    assert error.age == pytest.approx(5.0)


def test_a_clock_that_was_set_back(fake: FakeStream) -> None:
    fake.advance(-3600)
    assert refused(fake, ibstream.StalePrice).reason == "clock"


def test_too_old_and_from_elsewhere(fake: FakeStream) -> None:
    fake.advance(3)
    assert refused(fake, ibstream.StalePrice, max_age=2).reason == "too_old"
    assert refused(fake, ibstream.StalePrice, max_age=float("nan")).reason == "too_old"
    assert fake.client.price("SPY", max_age=3.5).last == 590.0
    error = refused(fake, ibstream.StalePrice, sources={"ib_snapshot", "mock"})
    assert error.reason == "source"
    assert "ib_snapshot, mock" in str(error)


def test_a_quote_of_another_symbol_is_none_of_this_one(fake: FakeStream, monkeypatch: pytest.MonkeyPatch) -> None:
    other = fake.quote("SPY")
    monkeypatch.setattr(fake, "quote", lambda name: other)
    with pytest.raises(ibstream.Unreachable):
        fake.client.price("QQQ")


def test_damaged_files_are_refused_and_never_an_error_of_another_kind(tmp_path: Path) -> None:
    folder, client = tmp_path / "ib" / "stream", ibstream.connect(tmp_path)
    folder.mkdir(parents=True)
    quote = b'{"symbol":"SPY","stale":false,"epoch":1,"seq":1}'
    status = b'{"status":"connected","api_mode":"mock","message":"all is well"}'
    for name, whole, ask in (("SPY", quote, lambda: client.price("SPY")), ("_status", status, client.status)):
        for at in range(len(whole)):
            for byte in b"\0\x80\xff":
                (folder / f"{name}.json").write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
                with pytest.raises(ibstream.IbstreamError):
                    ask()
    client.close()


@pytest.mark.parametrize("address", ["tcp://", "tcp:// ,", "http://[::1", "ftp://host", "da\0ta"])
def test_what_is_no_address_is_said_at_once(address: str) -> None:
    with pytest.raises(ibstream.InvalidAddress):
        ibstream.connect(address)


@pytest.mark.parametrize("said", ["soon", "-99999999999999d", 10**30])
def test_what_is_no_time_is_refused_in_words(tmp_path: Path, said: str | int) -> None:
    client = ibstream.connect(tmp_path)
    for ask in (lambda: client.ticks(since=said), lambda: client.candles("SPY", "1m", said)):
        with pytest.raises(ibstream.IbstreamError) as caught:
            ask()
        assert caught.value.reason == "invalid_request"
    client.close()


def test_a_key_that_is_missing_is_a_wrong_address(tmp_path: Path) -> None:
    client = ibstream.connect("tcp://sink=127.0.0.1:9,supervisor=127.0.0.1:9", key=tmp_path / "no.key_secret")
    for ask in (lambda: client.price("SPY"), client.status, lambda: client.quotes("SPY")):
        with pytest.raises(ibstream.InvalidAddress):
            ask()
    client.close()


@pytest.mark.parametrize(
    "answer",
    [b"220 mail ESMTP\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", b"HTTP/1.1 200 " + b"x" * 70_000],
    ids=["no HTTP", "broken off", "no end"],
)
def test_what_answers_something_else_is_unreachable(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_once, args=(listener, answer))
        thread.start()
        with pytest.raises(ibstream.Unreachable):
            ibstream.connect(f"http://127.0.0.1:{listener.getsockname()[1]}").price("SPY")
        thread.join()


def answer_once(listener: socket.socket, answer: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(answer)


def test_a_stale_price_says_why(fake: FakeStream) -> None:
    fake.go_stale("SPY", "farm_down")
    assert refused(fake, ibstream.StalePrice).reason == "farm_down"


def test_the_stream_is_stopped_and_started(fake: FakeStream) -> None:
    fake.client.stop()
    assert refused(fake, ibstream.StreamStopped).reason == "stopped"
    fake.client.start(symbols=["SPY"])
    fake.set_price("SPY", 591.0)
    assert fake.client.price("SPY").last == 591.0
    with pytest.raises(ibstream.CommandRefused) as caught:
        fake.client.start()
    assert caught.value.reason == "ib_stream_lock_busy"


def test_no_such_symbol_and_nobody_there(fake: FakeStream) -> None:
    with pytest.raises(ibstream.UnknownSymbol) as caught:
        fake.client.price("QQQ")
    assert caught.value.reason == "symbol_not_found"
    with pytest.raises(ibstream.UnknownSymbol) as caught:
        fake.client.price("../etc/passwd")
    assert caught.value.reason == "invalid_symbol"
    fake.unplug()
    for ask in (lambda: fake.client.price("SPY"), fake.client.status, lambda: fake.client.wait_until_connected(0)):
        with pytest.raises(ibstream.Unreachable):
            ask()


def test_followed_quotes_expire_without_a_word_from_anybody(fake: FakeStream) -> None:
    came = iter(fake.client.quotes("SPY"))
    assert next(came).last == 590.0
    fake.set_price("QQQ", 1.0)
    fake.set_price("SPY", 590.5)
    assert next(came).last == 590.5
    fake.advance(6)
    last = next(came)
    assert (last.stale, last.reason, last.good_until, last.last) == (True, "expired", None, 590.5)


def test_they_expire_in_time_and_not_with_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, waited = FakeStream(good_for=5.1), [0.0]
    brought = FakeFeed.poll

    def passes(feed: FakeFeed[ibstream.Quote], seconds: float) -> list[ibstream.Quote]:
        found = brought(feed, seconds)
        if not found:
            waited.append(seconds)
            fake.advance(seconds)
        return found

    monkeypatch.setattr(FakeFeed, "poll", passes)
    fake.set_price("SPY", 590.0)
    came = iter(fake.client.quotes("SPY"))
    assert next(came).last == 590.0
    assert next(came).reason == "expired"
    assert 5.1 <= sum(waited) < 5.11


def test_a_follower_is_not_fooled_by_a_clock_that_was_set_back(fake: FakeStream) -> None:
    fake.advance(-3600)
    first = next(iter(fake.client.quotes("SPY")))
    assert (first.stale, first.reason) == (True, "expired")


def test_each_of_many_expires_at_its_own_time(fake: FakeStream) -> None:
    came = iter(fake.client.quotes())
    assert next(came).symbol == "SPY"
    fake.advance(2)
    fake.set_price("QQQ", 1.0)
    assert next(came).symbol == "QQQ"
    fake.advance(3)
    assert (next(came).symbol, fake.client.price("QQQ").last) == ("SPY", 1.0)
    fake.advance(2)
    last = next(came)
    assert (last.symbol, last.reason) == ("QQQ", "expired")


def test_the_same_for_asyncio(fake: FakeStream) -> None:
    async def follow() -> list[tuple[str, bool]]:
        seen = []
        async for quote in fake.client.quotes():
            seen.append((quote.symbol, quote.stale))
            if len(seen) == 1:
                fake.go_stale("SPY")
            else:
                break
        return seen

    assert asyncio.run(follow()) == [("SPY", False), ("SPY", True)]


class SlowFeed:
    """A feed whose poll lasts until `release`, and which knows whether it was closed meanwhile."""

    def __init__(self) -> None:
        self.started, self.release = threading.Event(), threading.Event()
        self.polling = self.closed = self.closed_under_its_poll = False

    def poll(self, seconds: float) -> list[str]:
        self.polling = True
        self.started.set()
        assert self.release.wait(10)
        self.polling = False
        return []

    def close(self) -> None:
        self.closed, self.closed_under_its_poll = True, self.polling


def test_who_is_cancelled_closes_no_socket_under_its_poll() -> None:
    async def cancelled(feed: SlowFeed) -> None:
        async def follow() -> None:
            async for _ in Stream(feed):
                pass

        following = asyncio.create_task(follow())
        await asyncio.to_thread(feed.started.wait, 10)
        following.cancel()
        await asyncio.sleep(0)
        feed.release.set()
        with pytest.raises(asyncio.CancelledError):
            await following

    feed = SlowFeed()
    asyncio.run(cancelled(feed))
    assert feed.closed and not feed.closed_under_its_poll


@pytest.mark.parametrize("address", ["ftp://host", "ws://host:1"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ibstream.InvalidAddress):
        ibstream.connect(address)
