"""What the wheel holds: one package, `ibstream`, with `messages` and `services` inside it. Called by hatchling.

This repository's top level has three packages, which is right for those who work here and wrong in somebody else's
site-packages, where `services` is likely their own. So a wheel is built from a copy in which they are
`ibstream.messages` and `ibstream.services`; an editable install uses the folders as they are.
"""

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGES = ("messages", "services")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "ui", "node_modules")
IMPORT = re.compile(r"^(\s*(?:from|import)\s+)(messages|services)\b", re.MULTILINE)
NAME = re.compile(r"""(?<=["'])(messages|services)(?=\.[a-z_{])""")
COMMAND = re.compile(r"(?<=-m )services(?=\.)")


def moved(text: str) -> str:
    """A module's text as it must be inside the package: its imports, and the modules that it names in strings."""
    text = IMPORT.sub(r"\1ibstream.\2", text)
    return COMMAND.sub("ibstream.services", NAME.sub(r"ibstream.\1", text))


def lay_out(root: Path, into: Path) -> None:
    """Make the package `into` from the repository at `root`."""
    shutil.copytree(root / "ibstream", into, ignore=LEFT_OUT)
    for package in PACKAGES:
        shutil.copytree(root / package, into / package, ignore=LEFT_OUT)
    shutil.copy(root / "Procfile", into / "Procfile")
    for path in (*into.rglob("*.py"), into / "Procfile"):
        path.write_text(moved(path.read_text()))


class WheelHook(BuildHookInterface[Any]):
    """Puts the laid out package into the wheel; the folder of the copy goes with the build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        self._folder = tempfile.TemporaryDirectory()
        package = Path(self._folder.name) / "ibstream"
        lay_out(Path(self.root), package)
        build_data["force_include"][str(package)] = "ibstream"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self._folder.cleanup()
