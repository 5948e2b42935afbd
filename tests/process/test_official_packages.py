"""The gateway on both distributions of the official API: `nautilus_ibapi` 10.46, and `ibapi` 9.81.1 of 2020."""

import os
from pathlib import Path

import pytest

from messages.events import ContractQualified, LinkChanged
from tests.process.pipeline import REPOSITORY, Pipeline
from tests.support import eventually

OLD_PACKAGE = REPOSITORY / ".venvs" / "ibapi-9.81.1"


@pytest.fixture
def old_package() -> Path:
    if not (OLD_PACKAGE / "ibapi").is_dir():
        assert not os.environ.get("CI"), f"{OLD_PACKAGE} is missing: `make test` installs it"
        pytest.skip(f"{OLD_PACKAGE} is missing: `make test` installs it")
    return OLD_PACKAGE


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


def test_the_current_package_speaks_text_up_to_version_200(tmp_path: Path) -> None:
    with Pipeline(tmp_path) as pipeline:
        check_stream(pipeline, 200)


def test_the_package_of_2020_works_as_well(tmp_path: Path, old_package: Path) -> None:
    with Pipeline(tmp_path, ["simulator", "planner", "sink", "supervisor"]) as pipeline:
        pipeline.env["PYTHONPATH"] = str(old_package)
        pipeline.start("gateway")
        check_stream(pipeline, 157)
