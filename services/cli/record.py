"""`ibstream record`: keep what a gateway and its clients say, less accounts and orders, for the simulator to play."""

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from messages.errors import IbStreamError

if TYPE_CHECKING:
    from services.simulator.recording.capture import CaptureFile

LOOPBACK = "127.0.0.1"
FLUSH_EVERY = 1.0  # seconds: what a killed recorder may lose


def record(
    to: Annotated[Path, typer.Option(help="A new file; its owner alone may read it.")],
    listen: Annotated[str, typer.Option(help="[HOST:]PORT that clients connect to; on loopback without a host.")],
    gateway: Annotated[str, typer.Option(help="HOST:PORT of TWS or IB Gateway.")],
    most: Annotated[int, typer.Option(min=1, help="Megabytes of the file, after which nothing more is kept.")] = 1000,
) -> None:
    """Stand between any IB client and any gateway, pass everything on, and record what may be kept.

    Kept are prices, bars, contracts and the state of the link, text and protobuf. Accounts, orders, positions, names
    and IB's texts are never written; a message of a kind that is not known is counted alone.

    Ctrl-C ends it. `ibstream simulate --replay FILE` plays the recording to any client.

    [dim]Example:[/dim]

      ibstream record --to morning.jsonl --listen 4010 --gateway 127.0.0.1:4002
    """
    from services.base.clock import SystemClock
    from services.simulator.recording.capture import CaptureFile

    here, there = _address(listen, "--listen", LOOPBACK), _address(gateway, "--gateway")
    try:
        file = CaptureFile(to, SystemClock().now(), most * 1_000_000)
    except FileExistsError:
        raise IbStreamError("invalid_request", f"{to} is there already: name a new file") from None
    except OSError as error:
        raise IbStreamError("invalid_request", f"{to} cannot be written: {error.strerror}") from None
    try:
        asyncio.run(_serve(here, there, file))
    finally:
        file.close()
    if file.failed:
        raise IbStreamError("journal_unavailable", f"{to} is not whole: {file.ended}")
    left_out = sum(file.withheld.values())
    _say(f"{file.kept} messages are in {to}, {left_out} were left out{': ' if left_out else ''}"
         + ", ".join(f"{name} x {count}" for name, count in sorted(file.withheld.items())))  # fmt: skip


def _address(text: str, option: str, host: str = "") -> tuple[str, int]:
    before, _, after = text.rpartition(":")
    where = before.strip("[]") or host
    if not where or not after.isdigit() or not int(after) < 1 << 16:
        raise IbStreamError("invalid_request", f"{option} is {text!r}; expected HOST:PORT, such as 127.0.0.1:4002")
    return LOOPBACK if where == "localhost" and host else where, int(after)


def _say(sentence: str) -> None:
    typer.echo(sentence, err=True)


async def _serve(here: tuple[str, int], there: tuple[str, int], file: "CaptureFile") -> None:
    """Until a signal."""
    from ipaddress import ip_address

    from services.base.clock import SystemClock
    from services.simulator.recording.proxy import Proxy

    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    proxy = Proxy(there, file, SystemClock(), _say)
    try:
        port = await proxy.start(*here)
    except OSError as error:
        sentence = f"cannot listen on {here[0]}:{here[1]}: {error.strerror}"
        raise IbStreamError("invalid_request", sentence) from None
    if not ip_address(here[0]).is_loopback:
        _say(f"whoever reaches {here[0]} can use your gateway through this, orders included")
    typer.echo(f"recording on {here[0]}:{port}, for the gateway at {there[0]}:{there[1]}")
    try:
        while not over.is_set():
            file.flush()
            try:
                await asyncio.wait_for(over.wait(), FLUSH_EVERY)
            except TimeoutError:
                continue
    finally:
        await proxy.close()
