"""Where ibstream's data is when no setting says so: `./data` in a checkout, the user's own folder when installed."""

import os
import sys
from pathlib import Path
from typing import Final

INSTALLED: Final = __name__.startswith("ibstream.")
"""Whether this is the package of the wheel, in which `services` lies inside `ibstream`."""


def default_root() -> str:
    """The default of IBSTREAM_DATA_ROOT."""
    return str(_user_data() / "ibstream") if INSTALLED else "./data"


def _user_data() -> Path:
    """The folder for an application's data, by the rules of the system (XDG base directories on Linux)."""
    if sys.platform == "darwin":
        return Path("~/Library/Application Support")
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share")
