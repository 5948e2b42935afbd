"""The official client's protobuf messages by name: `ib.OpenOrder` is the class of that name in `ibapi.protobuf`, which
has a module for each. AttributeError for one that the installed client does not have.
"""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    try:
        found = getattr(import_module(f"ibapi.protobuf.{name}_pb2"), name)
    except ModuleNotFoundError:
        raise AttributeError(f"ibapi.protobuf has no message {name!r}") from None
    globals()[name] = found
    return found
