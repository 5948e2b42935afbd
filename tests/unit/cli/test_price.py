"""`ibstream price`: a price, or one sentence with a code, from what the files say."""

import json
import time
from pathlib import Path

import pytest

from messages.codec import encode_json
from messages.errors import CODES
from messages.views import Quote, Status, SymbolStatus
from services.base.clock import SECOND, iso
from services.base.files import replace_file
from services.cli.app import run
from tests.support import some


class Folder:
    """A data root with the files that a test puts there."""

    def __init__(self, root: Path) -> None:
        self._stream = root / "ib" / "stream"

    def quote(self, left: float | None = 3.0, age: float = 0.1, **fields: object) -> None:
        now = time.time_ns()
        known = {"symbol": "SPY", "last": 590.58, "source": "ib_stream", "stale": left is None, "epoch": 1, "seq": 1}
        until = None if left is None else iso(now + int(left * SECOND))
        quote = Quote(**known | {"timestamp": iso(now - int(age * SECOND)), "good_until": until} | fields)
        replace_file(self._stream / "SPY.json", encode_json(quote))

    def status(self, word: str = "connected", silent: float = 0.2, *symbols: str) -> None:
        heard = time.time_ns() - int(silent * SECOND)
        states = {name: SymbolStatus(state="pending", reason="awaiting_tick") for name in symbols}
        status = Status(status=word, api_mode="ib", symbols=states, good_until=iso(heard + 5 * SECOND))
        replace_file(self._stream / "_status.json", encode_json(status) + b"    \n")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv("IBSTREAM_DATA_ROOT", str(tmp_path))
    return Folder(tmp_path)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The code with which `ibstream price SPY` is refused; what it exits with is that code's."""
    exit_code = run(["price", *(arguments or ("SPY",))])
    told = capsys.readouterr()
    code = told.err.rstrip().rpartition("[")[2].rstrip("]")
    assert told.out == "" and exit_code == CODES[code].exit and len(told.err.splitlines()) == 1
    return code


def test_a_current_price_is_printed(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.quote()
    assert run(["price", "SPY", "--max-age", "5", "--source", "ib_stream"]) == 0
    assert capsys.readouterr().out == "590.58\n"
    assert run(["price", "SPY", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["last"] == 590.58


def test_without_a_trade_it_is_the_middle(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.quote(last=None, bid=10.0, ask=11.0)
    assert run(["price", "SPY"]) == 0
    assert capsys.readouterr().out == "10.5\n"


@pytest.mark.parametrize("left", [-0.1, 3600.0], ids=["over", "clock set back"])
def test_a_price_that_nobody_vouches_for_is_refused(
    folder: Folder, capsys: pytest.CaptureFixture[str], left: float
) -> None:
    folder.quote(left)
    folder.status()
    assert refused(capsys) == "stale_price"


@pytest.mark.parametrize(
    ("reason", "code"),
    [("farm_down", "stale_price"), ("stopped", "stream_stopped"), ("shutdown", "supervisor_unreachable")],
)
def test_why_it_is_stale_is_told(folder: Folder, capsys: pytest.CaptureFixture[str], reason: str, code: str) -> None:
    folder.quote(None, reason=reason)
    folder.status(silent=60.0)
    assert refused(capsys) == code


def test_of_an_older_version_that_vouches_for_nothing_no_price_is_used(
    folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.quote(stale=False, good_until=None)
    folder.status()
    assert refused(capsys) == "stale_price"


def test_wishes_are_held_against_it(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.quote(age=30.0)
    assert refused(capsys, "SPY", "--max-age", "5") == "stale_price"
    assert refused(capsys, "SPY", "--source", "ib_snapshot") == "stale_price"
    folder.quote(last=None, bid=10.0)
    assert refused(capsys) == "stale_price"


def test_without_a_file_the_status_tells_why(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys) == "supervisor_unreachable"
    folder.status()
    assert refused(capsys) == "symbol_not_found"
    folder.status("connected", 0.2, "SPY")
    assert refused(capsys) == "stale_price"
    folder.status("stopped")
    assert refused(capsys) == "stream_stopped"
    assert refused(capsys, "S/PY\n") == "invalid_symbol"


def test_half_a_file_is_refused_with_a_sentence(
    folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replace_file(tmp_path / "ib" / "stream" / "SPY.json", b'{"symbol":"SPY","la')
    assert refused(capsys) == "stale_price"


def test_a_damaged_file_never_gives_a_trace(folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ib" / "stream" / "SPY.json"
    folder.quote(None, reason="farm_down")
    whole = path.read_bytes()
    for at in some(range(len(whole)), 60):
        for byte in (0x00, 0x80, 0xFF):
            path.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
            assert refused(capsys) == "stale_price"


def test_a_file_of_another_symbol_is_no_price_of_this_one(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.quote(symbol="QQQ")
    assert refused(capsys) == "stale_price"


def test_a_source_that_there_is_not_is_wrong_usage(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.quote()
    assert refused(capsys, "SPY", "--source", "ib_steam") == "invalid_request"
