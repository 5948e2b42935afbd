"""The gateway on each distribution of the official API: the one that is installed, and three others of other ages."""

import os
from pathlib import Path

import pytest
from ibapi.server_versions import MAX_CLIENT_VER

from messages.events import ContractQualified, LinkChanged
from tests.process.pipeline import REPOSITORY, Pipeline
from tests.support import eventually

OTHERS = {"ibapi-9.81.1": 157, "nautilus_ibapi-10.46.1": 225, "ibapi-latest-10.51.1": 226}
"""Where each is (`make test` installs it), and the newest server version that it knows."""


def check_stream(pipeline: Pipeline, version: int) -> None:
    status = pipeline.await_status("connected")
    quote = eventually(lambda: pipeline.quote("SPY"))
    assert quote["source"] == "mock"
    assert quote["bid"] < quote["ask"]
    assert {"last", "close", "open", "high", "low", "volume", "currency"} <= quote.keys()
    assert status.link is not None and status.link.server_version == version
    details = eventually(lambda: [e for e in pipeline.link_events() if isinstance(e, ContractQualified)])
    assert all(detail.con_id and detail.liquid_hours and detail.time_zone for detail in details)
    assert not [e for e in pipeline.link_events() if isinstance(e, LinkChanged) and e.phase == "backoff"]
    assert "message_malformed" not in pipeline.log("gateway")


def test_the_current_package_speaks_the_newest_version_that_it_knows(tmp_path: Path) -> None:
    with Pipeline(tmp_path) as pipeline:
        check_stream(pipeline, MAX_CLIENT_VER)


@pytest.mark.parametrize("name", OTHERS)
def test_the_other_packages_work_as_well(tmp_path: Path, name: str) -> None:
    folder = REPOSITORY / ".venvs" / name
    if not (folder / "ibapi").is_dir():
        assert not os.environ.get("CI"), f"{folder} is missing: `make test` installs it"
        pytest.skip(f"{folder} is missing: `make test` installs it")
    with Pipeline(tmp_path, ["simulator", "planner", "sink", "supervisor"]) as pipeline:
        pipeline.env["PYTHONPATH"] = str(folder)
        pipeline.start("gateway")
        check_stream(pipeline, OTHERS[name])
