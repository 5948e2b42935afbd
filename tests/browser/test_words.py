"""The card has words, in both languages, for every reason and code that the services say. Needs no browser."""

import re

import pytest

from messages.errors import CODES
from messages.quality import MARKS
from services.gateway.core.ib_errors import TABLE
from services.gateway.core.symbol_state import REASONS
from services.supervisor.verdict import WORDS
from services.web.errors import HTTP_CODES
from tests.browser.conftest import UI

STRINGS = UI / "src" / "card" / "strings"


def words(language: str, group: str) -> set[str]:
    """The keys of a group of the card's strings."""
    text = (STRINGS / f"{language}.ts").read_text()
    found = re.search(rf"^  {group}: \{{\n(.*?)^  \}},$", text, re.MULTILINE | re.DOTALL)
    assert found, f"{language}.ts has no group {group}"
    return set(re.findall(r"^    (\w+):", found[1], re.MULTILINE))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_reasons(language: str) -> None:
    rejections = {entry.name for entry in TABLE.values() if entry.reaction in ("reject", "no_entitlement")}
    assert (WORDS.keys() | REASONS.keys() | rejections) - words(language, "reason") == set()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_errors_of_a_command(language: str) -> None:
    about_files = {"journal_damaged", "past_deleted", "service_failing", "stale_price", "stream_stopped"}
    of_the_command_line = {"gateway_unreachable", "program_unreachable"}
    codes = CODES.keys() | {code for code in HTTP_CODES.values() if code not in ("method_not_allowed",)}
    assert codes - about_files - of_the_command_line - {"request_too_large"} - words(language, "error") == set()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_marks_of_the_quality(language: str) -> None:
    assert words(language, "mark") == words(language, "markHelp") == set(MARKS)
