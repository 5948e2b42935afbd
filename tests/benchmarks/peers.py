"""The clients that we are compared with, each in a virtual environment of its own under `.venvs`.

Made by `python -m tests.benchmarks.peers` (`make peers`) and by every benchmark and test that needs one.
"""

import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

from tests.support import REPOSITORY

PEERS: Final = {
    "ibapi": ["ibapi==9.81.1.post1"],
    "ibapi-stable": ["ibapi-stable==10.50.2"],
    "ib_async": ["ib_async==2.1.0"],
}


def python_of(peer: str) -> Path:
    """The peer's interpreter, whether it is there or not."""
    return REPOSITORY / ".venvs" / peer / "bin" / "python"


def install(peer: str) -> Path:
    """Make the peer's environment unless it is there. Returns its interpreter. Raises CalledProcessError."""
    python, folder = python_of(peer), python_of(peer).parents[1]
    mark = folder / "installed"
    wanted = "\n".join(PEERS[peer])
    if not mark.exists() or mark.read_text() != wanted:
        print(f"installing {', '.join(PEERS[peer])} into {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *PEERS[peer]], check=True)
        mark.write_text(wanted)
    return python


if __name__ == "__main__":
    for name in PEERS:
        install(name)
