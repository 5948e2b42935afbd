"""Where things are: any path as data root, and folders that are nobody else's."""

import stat
from collections.abc import Callable
from pathlib import Path

from tests.process.pipeline import ALL, Pipeline
from tests.support import eventually


def test_any_path_is_a_data_root_and_what_is_private_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "per%cent what? #1 ü"
    folder.mkdir()
    with Pipeline(folder, ALL, {"run_dir": tmp_path / "run"}) as p:
        for name in ("state", "flight"):
            eventually(lambda: (p.data / name).exists())  # noqa: B023 - called before the next turn
        p.await_status("connected")
        assert eventually(lambda: p.quote("SPY"))
        assert p.cli("verify").returncode == 0
        for name in ("state", "flight"):
            assert stat.S_IMODE((p.data / name).stat().st_mode) == 0o700
    assert [path.name for path in folder.iterdir() if path.is_dir()] == ["data"]


def test_a_folder_that_others_could_read_is_made_private(pipeline: Callable[..., Pipeline], tmp_path: Path) -> None:
    (tmp_path / "data" / "flight").mkdir(parents=True, mode=0o755)
    p = pipeline(["planner"])
    eventually(lambda: stat.S_IMODE((p.data / "flight").stat().st_mode) == 0o700)
