"""Imported first by the `__main__` of each service, for what must hold while the rest is imported.

SIGINT ends the process at once. Python would raise KeyboardInterrupt instead, wherever it is, and now and then that
is in a callback of its import locks, which cannot raise: the signal would be lost. Nothing is open yet that must be
closed, and the service sets a handler of its own before anything is.

The logger's library comes without `rich`, which it would load for tracebacks in colour that no log here has. That is a
fifth of what a service imports, and six of them start at once.
"""

import signal
import sys
from types import ModuleType
from typing import cast

HIDDEN = "rich"

signal.signal(signal.SIGINT, signal.SIG_DFL)


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
