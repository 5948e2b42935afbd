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


class FoundSymbol(msgspec.Struct, frozen=True, omit_defaults=True):
    """What IB knows under a text, and `plan`: what to write where a symbol is wanted."""

    con_id: int
    symbol: str
    sec_type: str
    currency: str
    primary_exchange: str = ""
    name: str = ""  # empty before server version 176
    derivatives: list[str] = []  # types that hang on it: OPT, FUT
    plan: str = ""
