"""The table of IB's error codes: complete, sane, and the same as in the docs."""

import re
from pathlib import Path

from services.gateway.core.ib_errors import FARM_CODES, TABLE, look_up

FACTS = {
    100, 101, 162, 200, 300, 322, 326, 354, 366, 420, 502, 504, 1100, 1101, 1102, 1300, 2103, 2104, 2105, 2106, 2107,
    2108, 2110, 2157, 2158, 10089, 10090, 10091, 10167, 10168, 10186, 10197, 10225, 10285,
}  # fmt: skip
README = Path(__file__).parents[3] / "services" / "gateway" / "README.md"


def test_every_code_of_the_facts_has_its_reaction() -> None:
    assert set(TABLE) >= FACTS
    names = [entry.name for entry in TABLE.values()]
    assert len(set(names)) == len(names)
    for entry in TABLE.values():
        assert re.fullmatch(r"[a-z][a-z0-9_]+", entry.name)
        assert entry.sentence.endswith(".") and "|" not in entry.sentence


def test_an_unknown_code_is_named_so() -> None:
    entry = look_up(31_337)
    assert (entry.code, entry.name, entry.reaction) == (31_337, "unknown", "note")


def test_farm_codes_are_farm_codes() -> None:
    assert set(FARM_CODES) == {code for code, entry in TABLE.items() if entry.reaction == "farm"}


def test_the_readme_has_the_same_table() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| (\w+) \| `(\w+)` \| (.+) \|$", README.read_text("utf-8"), re.MULTILINE)
    written = {int(code): tuple(rest) for code, *rest in rows}
    assert written == {entry.code: (entry.name, entry.kind, entry.reaction, entry.sentence) for entry in TABLE.values()}
