"""The gateway on each distribution of the official API: the one that is installed, and three others of other ages."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from ibapi.server_versions import MAX_CLIENT_VER

from messages.events import ContractQualified, LinkChanged
from tests import protobuf
from tests.process.pipeline import Pipeline
from tests.support import REPOSITORY, eventually
from tests.unit.gateway import official
from tests.unit.gateway import test_protobuf_ticks as protobuf_ticks
from tests.unit.gateway import test_text_ticks as text_ticks

FIELDS = [field for field in text_ticks.NUMBERS if field not in protobuf_ticks.TEXT_TICKS]

OTHERS = {"ibapi-9.81.1": 157, "nautilus_ibapi-10.46.1": 225, "ibapi-latest-10.51.1": 226}
"""Where each is (`make test` installs it), and the newest server version that it knows."""


def check_stream(pipeline: Pipeline, version: int) -> None:
    status = pipeline.await_status("connected")
    whole = {"last", "close", "open", "high", "low", "volume", "currency"}  # the volume's unit follows the details
    eventually(lambda: whole <= (pipeline.quote("SPY") or {}).keys())
    quote = pipeline.quote("SPY")
    assert quote is not None and quote["source"] == "mock"
    assert quote["bid"] < quote["ask"]
    assert status.link is not None and status.link.server_version == version
    details = eventually(lambda: [e for e in pipeline.link_events() if isinstance(e, ContractQualified)])
    assert all(detail.con_id and detail.liquid_hours and detail.time_zone for detail in details)
    lost = [e for e in pipeline.link_events() if isinstance(e, LinkChanged) and e.phase == "backoff"]
    assert not [e for e in lost if e.reason != "gateway_unreachable"]  # which it is while the simulator starts
    assert "message_malformed" not in pipeline.log("gateway")


def test_the_current_package_speaks_the_newest_version_that_it_knows(tmp_path: Path) -> None:
    with Pipeline(tmp_path) as pipeline:
        check_stream(pipeline, MAX_CLIENT_VER)


@pytest.fixture(params=OTHERS)
def other(request: pytest.FixtureRequest) -> Path:
    folder: Path = REPOSITORY / ".venvs" / request.param
    if not (folder / "ibapi").is_dir():
        assert not os.environ.get("CI"), f"{folder} is missing: `make test` installs it"
        pytest.skip(f"{folder} is missing: `make test` installs it")
    return folder


def test_the_other_packages_work_as_well(tmp_path: Path, other: Path) -> None:
    with Pipeline(tmp_path, ["simulator", "planner", "sink", "supervisor"]) as pipeline:
        pipeline.env["PYTHONPATH"] = str(other)
        pipeline.start("gateway")
        check_stream(pipeline, OTHERS[other.name])


def test_the_other_packages_decode_ticks_as_we_do(other: Path) -> None:
    """Whole sizes only: the package of 2020 knows no others, and no unset ones."""
    rng = random.Random(4)
    text = [text_ticks.payload(1, 6, 1001, field, rng.uniform(0, 900), rng.randrange(900), 3) for field in FIELDS]
    text += [text_ticks.payload(2, 6, 1001, field, rng.randrange(900)) for field in FIELDS]
    text += [text_ticks.payload(45, 6, 1001, 49, value) for value in (-1, 0, 1, 2)]
    text += [text_ticks.payload(46, 6, 1001, field, value) for field, value in ((45, 1700000000), (84, "KPQ"))]
    binary = [protobuf.tick_price(1001, field, rng.uniform(0, 900), str(rng.randrange(900))) for field in FIELDS]
    binary += [protobuf.tick_size(1001, field, str(rng.randrange(900))) for field in FIELDS]
    binary += [protobuf.tick_generic(1001, 49, 1.0), protobuf.tick_string(1001, 45, "1700000000")]
    asked = [(version, text) for version in (100, 152, 153, 157, 176, 200) if version <= OTHERS[other.name]]
    asked += [(version, binary) for version in (206, 220, OTHERS[other.name]) if OTHERS[other.name] > 200]
    lines = [json.dumps([version, [body.decode("latin-1") for body in bodies]]) for version, bodies in asked]
    answer = subprocess.run(
        [sys.executable, official.__file__],
        input="\n".join(lines),
        env=os.environ | {"PYTHONPATH": str(other)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    for (version, bodies), line in zip(asked, answer.stdout.splitlines(), strict=True):
        for calls, body in zip(json.loads(line), bodies, strict=True):
            if version > 200:
                got = protobuf_ticks.Decoded(text_ticks.frame(body), version=version)
                (row,) = got.rows
                wanted = protobuf_ticks.expected(calls)
                assert wanted is not None and (row[:3], got.rare) == (wanted[:3], []), (version, body)
                assert row[1] not in protobuf_ticks.SIZE_TWIN or row[3] == wanted[3], (version, body)
            else:
                plain = text_ticks.Decoded(text_ticks.frame(body), version=version)
                assert (plain.rows, plain.rare) == ([text_ticks.expected_row(calls, body)], []), (version, body)
