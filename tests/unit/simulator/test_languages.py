"""A gateway that speaks another language: codes and names stay, and what is not ASCII travels as escapes."""

import itertools
import re
from typing import Any

import pytest

from services.simulator.core import farm_message
from services.simulator.trouble.languages import localised
from tests.unit.simulator.test_reported_troubles import VERSIONS, history
from tests.unit.simulator.test_steps import Stage


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("language", "word"), [("zh", "市场数据"), ("de", "Marktdaten")])
def test_another_language_keeps_codes_and_names(version: int, language: str, word: str) -> None:
    stage = Stage(version)
    stage.play("localised", language=language, lasts=10)
    stage.play("farm_down", farm="usfarm")
    stage.play("farm_down", farm="ushmds")
    history(stage, 9)
    (farm, text), (_, history_farm), (code, no_bars) = [call[3:5] for call in stage.calls("error")]
    assert farm == 2103 and word in text and text.endswith("usfarm") and "farm connection" not in text
    assert history_farm.endswith("ushmds")
    assert code == 162 and "HMDS" in no_bars and "error" not in no_bars
    stage.turn(10)
    stage.play("farm_up", farm="usfarm")
    assert stage.calls("error")[-1][4] == "Market data farm connection is OK:usfarm"


@pytest.mark.parametrize("language", ["de", "zh"])
def test_every_message_of_another_language_ends_with_its_name(language: Any) -> None:
    for kind, farm, state in itertools.product(
        ("market data", "HMDS data", "Sec-def data"), ("usfarm.nj", "ushmds"), ("ok", "idle", "broken")
    ):
        code, text = farm_message(kind, farm, state)
        said = localised(language, code, text)
        assert said != text and re.split("[:：.。]", said, maxsplit=1)[1] == farm
    assert localised(language, 1300, "has been reset. Reconnect on the new port - 4002").endswith(" 4002")
    assert localised(language, 162, "error message:Historical data request pacing violation: x") != localised(
        language, 162, "error message:HMDS query returned no data: SPY@SMART TRADES"
    )
    assert localised(language, 99_999, "as it is") == "as it is"


def test_other_languages_travel_as_escapes_from_153_on() -> None:
    for version in (152, 153, 200):
        stage = Stage(version)
        stage.play("localised")
        stage.sent.clear()
        stage.play("farm_down", farm="usfarm")
        data = b"".join(stage.sent)
        assert (b"\\u5e02\\u573a" in data) == (version >= 153)
        assert ("市场".encode() in data) == (version < 153)
