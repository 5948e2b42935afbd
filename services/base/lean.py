"""Imported first by the `__main__` of each service: the logger's library without `rich`, which it would load for
tracebacks in colour that no log here has. That is a fifth of what a service imports, and six of them start at once.
"""

import sys
from types import ModuleType
from typing import cast

HIDDEN = "rich"


def _load_logger() -> None:
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    if HIDDEN in modules:
        return
    modules[HIDDEN] = None  # an import of it fails, and the library does without
    try:
        import structlog  # noqa: F401
    finally:
        del modules[HIDDEN]


_load_logger()
