"""The flight recorder keeps the newest bytes, in order, across restarts and a kill, and nothing else."""

from pathlib import Path

import pytest

from services.base.flight_recorder import SEGMENT, Recorder, passages


def test_what_was_recorded_comes_back_in_order(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "ring", 2)
    recorder.begin(176)
    recorder.record(1, b"in")
    recorder.record(2, memoryview(b"out"), sent=True)
    found = list(passages(tmp_path / "ring"))  # not closed: what a killed process leaves
    assert [(p.time, p.sent, p.server_version, p.data) for p in found] == [
        (1, False, 176, b"in"),
        (2, True, 176, b"out"),
    ]
    recorder.close()


def test_the_oldest_goes_first_and_the_newest_stays(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "ring", 3)
    piece = SEGMENT // 10
    for number in range(100):
        recorder.record(number, bytes([number]) * piece)
    times = [p.time for p in passages(tmp_path / "ring")]
    assert times == list(range(times[0], 100))
    assert 2 * 9 <= len(times) <= 3 * 10
    assert (tmp_path / "ring").stat().st_size == 3 * SEGMENT
    recorder.close()


def test_a_restart_goes_on_and_keeps_each_sessions_version(tmp_path: Path) -> None:
    for version in (157, 200):
        recorder = Recorder(tmp_path / "ring", 4)
        recorder.begin(version)
        recorder.record(version, b"x")
        recorder.close()
    assert [(p.server_version, p.data) for p in passages(tmp_path / "ring")] == [(157, b"x"), (200, b"x")]


def test_more_than_a_segment_at_once_is_kept_whole(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "ring", 4)
    data = bytes(range(256)) * (SEGMENT // 128)
    recorder.record(5, data)
    assert b"".join(p.data for p in passages(tmp_path / "ring")) == data
    recorder.close()


def test_a_dump_is_a_copy_and_only_the_newest_are_kept(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "ring", 2)
    recorder.record(7, b"before the fault")
    for number in range(5):
        recorder.dump(tmp_path / f"{number}.flight", keep=3)
    recorder.close()
    assert sorted(path.name for path in tmp_path.glob("*.flight")) == ["2.flight", "3.flight", "4.flight"]
    assert [p.data for p in passages(tmp_path / "4.flight")] == [b"before the fault"]


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"hello")
    with pytest.raises(ValueError, match="not a flight recording"):
        list(passages(tmp_path / "other"))
