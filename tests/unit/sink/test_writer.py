"""Files on a disk that may refuse: announced, isolated, tried again."""

import json
import sys
import threading

import pytest

from messages.codec import encode_json
from messages.views import Quote
from services.base import files
from services.base.files import clear_temporaries, exchange_file, replace_file
from services.sink.writer import FileWriter


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def writer(tmp_path):
    writer = FileWriter(tmp_path / "stream")
    writer.prepare()
    return writer


@pytest.mark.parametrize("way", ["rename", "exchange", "exchange where there is none"])
def test_a_file_is_replaced_in_one_step(tmp_path, monkeypatch, way):
    put = replace_file if way == "rename" else exchange_file
    if way.endswith("none"):
        monkeypatch.setattr(files, "_renameat2", lambda: None)
    path = tmp_path / "new" / "folder" / "SPY.json"
    put(path, b"1")
    before = path.stat().st_ino
    with path.open("rb") as reader:
        put(path, b"22")
        assert reader.read() == b"1"
    assert path.read_bytes() == b"22"
    assert path.stat().st_ino != before
    assert names(path.parent) == ["SPY.json"]


def test_a_file_is_replaced_by_a_python_without_foreign_calls_too(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ctypes", None)  # as where Python was built without libffi
    files._renameat2.cache_clear()
    try:
        for content in (b"1", b"22"):
            exchange_file(tmp_path / "SPY.json", content)
            assert (tmp_path / "SPY.json").read_bytes() == content
    finally:
        files._renameat2.cache_clear()
    assert names(tmp_path) == ["SPY.json"]


@pytest.mark.parametrize("put", [replace_file, exchange_file])
def test_a_folder_in_the_place_of_a_file_is_left_there(tmp_path, put):
    folder = tmp_path / "SPY.json"
    folder.mkdir()
    with pytest.raises(OSError):
        put(folder, b"1")
    assert folder.is_dir() and names(tmp_path) == ["SPY.json"]


def test_a_reader_finds_the_whole_old_file_or_the_whole_new_one_while_they_change_places(tmp_path):
    path, texts = tmp_path / "SPY.json", [bytes([letter]) * 4000 for letter in b"abcdefgh"]
    exchange_file(path, texts[0])
    done = threading.Event()

    def write():
        for number in range(400):
            exchange_file(path, texts[number % len(texts)])
        done.set()

    writing = threading.Thread(target=write)
    writing.start()
    seen = set()
    while not done.is_set():
        seen.add(path.read_bytes())
    writing.join()
    assert seen <= set(texts)


def test_what_a_killed_writer_left_is_cleared(tmp_path):
    (tmp_path / ".SPY.json.123.tmp").write_bytes(b"{")
    (tmp_path / "SPY.json").write_bytes(b"{}")
    clear_temporaries(tmp_path)
    assert names(tmp_path) == ["SPY.json"]


def test_what_is_on_the_disk_already_is_not_written_again(writer):
    path = writer.folder / "SPY.json"
    path.write_bytes(b"same")
    assert writer.write(path, b"same")
    assert writer.written == 0
    assert writer.write(path, b"other")
    assert (writer.written, path.read_bytes()) == (1, b"other")


def test_a_refused_file_is_announced_and_holds_up_no_other(writer):
    blocked = writer.folder / "SPY.json"
    blocked.mkdir()
    assert not writer.write(blocked, b"1")
    assert writer.write(writer.folder / "QQQ.json", b"2")
    assert "SPY.json" in writer.problem
    assert list(writer.failed) == [blocked]
    assert names(writer.folder) == ["QQQ.json", "SPY.json"]
    blocked.rmdir()
    assert writer.write(blocked, b"1")
    assert writer.problem is None


def test_a_folder_that_vanished_comes_back(writer):
    path = writer.folder / "SPY.json"
    assert writer.write(path, b"1")
    path.unlink()
    writer.folder.rmdir()
    assert writer.write(path, b"2")
    assert path.read_bytes() == b"2"


def test_a_file_without_a_journal_behind_it_is_marked(writer):
    known = Quote(symbol="SPY", stale=False, epoch=1, seq=1, last=1.0)
    orphan = Quote(symbol="OLD", stale=False, epoch=1, seq=1, last=2.0)
    for quote in (known, orphan):
        (writer.folder / f"{quote.symbol}.json").write_bytes(encode_json(quote))
    (writer.folder / "_status.json").write_bytes(b"{}")
    (writer.folder / "notes.json").write_bytes(b"{}")
    writer.withdraw("unplanned", known={"SPY"})
    assert b'"stale":true,"reason":"unplanned"' in (writer.folder / "OLD.json").read_bytes()
    assert b'"last":2.0' in (writer.folder / "OLD.json").read_bytes()
    assert b'"stale":false' in (writer.folder / "SPY.json").read_bytes()
    assert (writer.folder / "notes.json").read_bytes() == b"{}"


def test_a_status_that_finds_no_room_for_a_new_file_is_written_where_the_old_one_is(tmp_path, monkeypatch):
    writer, path = FileWriter(tmp_path), tmp_path / "_status.json"
    assert writer.write_roomy(path, b'{"status":"connected"}', b"{}")
    room = path.stat().st_size
    assert json.loads(path.read_bytes()) == {"status": "connected"}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("services.sink.writer.exchange_file", full)
    assert not writer.write_roomy(path, b'{"status":"degraded"}', b"{}")
    assert json.loads(path.read_bytes()) == {"status": "degraded"}
    assert "No space left" in (writer.problem or "")
    assert not writer.write_roomy(path, b'{"symbols":"' + b"x" * room + b'"}', b'{"short":1}')
    assert json.loads(path.read_bytes()) == {"short": 1}
    assert path.stat().st_size == room
