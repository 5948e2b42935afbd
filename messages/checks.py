"""What a preflight check found: one finding a stage, as a JSON line, from a service's own checker to the CLI."""

from typing import Literal

import msgspec

Level = Literal["ok", "warning", "failed", "skipped"]


class Finding(msgspec.Struct, frozen=True):
    """One stage of `ibstream doctor`: what was seen, and, unless all is well, how to mend it."""

    stage: str
    level: Level
    seen: str
    mend: str = ""
