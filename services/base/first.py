"""Imported first by the `__main__` of each service, for what must hold while the rest is imported.

SIGINT ends the process at once. Python would raise KeyboardInterrupt instead, wherever it is, and now and then that
is in a callback of its import locks, which cannot raise: the signal would be lost. Nothing is open yet that must be
closed, and the service sets a handler of its own before anything is.

The libraries that all services use are made lighter, for six of them start at once, and how long that takes is the CPU
of their imports. `rich`, which the logger's would load for tracebacks in colour that no log here has, is kept from it.
`asyncio`, which those of the logger and of locks import for forms of theirs that nothing here uses, is loaded once
somebody uses it.
"""

import importlib
import signal
import sys
from types import ModuleType
from typing import cast

HIDDEN = "rich"
LAZY = "asyncio"

signal.signal(signal.SIGINT, signal.SIG_DFL)


class _Lazy(ModuleType):
    """Stands in for a module until something in it is asked for. (importlib's own is loaded by its second import.)"""

    def __getattr__(self, name: str) -> object:
        if sys.modules.get(self.__name__) is self:
            sys.modules.pop(self.__name__, None)
        return getattr(importlib.import_module(self.__name__), name)


def _load_logger() -> None:
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    if HIDDEN in modules:
        return
    modules[HIDDEN] = None  # an import of it fails, and the library does without
    try:
        import structlog  # noqa: F401
    finally:
        del modules[HIDDEN]


sys.modules.setdefault(LAZY, _Lazy(LAZY))
_load_logger()
