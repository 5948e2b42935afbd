"""Puts the tables of the last run into README.md beside this file: `python -m tests.benchmarks.page`."""

import json
import re
from pathlib import Path
from typing import Any

from tests.benchmarks.harness import ARTIFACTS

PAGE = Path(__file__).parent / "README.md"
_PLACE = re.compile(r"(<!-- table (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(result: dict[str, Any]) -> str:
    """One result as Markdown, with where and when it was measured."""
    lines = [
        f"**{result['title']}**",
        "",
        _row(result["columns"]),
        _row([":--", *["--:"] * (len(result["columns"]) - 1)]),
    ]
    lines += [_row(cells) for cells in result["rows"]]
    lines += ["", *(f"{note}  " for note in result["notes"])]
    environment = ", ".join(f"{key} {value}" for key, value in result["environment"].items())
    return "\n".join([*lines, f"<sub>{environment}</sub>", ""])


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def fill(page: str) -> str:
    """The page with every table replaced for which there is a result."""

    def place(match: re.Match[str]) -> str:
        path = ARTIFACTS / f"{match[2]}.json"
        if not path.exists():
            return match[0]
        return f"{match[1]}\n{table(json.loads(path.read_text()))}\n{match[3]}"

    return _PLACE.sub(place, page)


if __name__ == "__main__":
    PAGE.write_text(fill(PAGE.read_text()))
