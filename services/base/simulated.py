"""The account by which a client knows the simulator: prices from it are invented, whatever mode the pipeline runs in.

Used by the simulator, which has it, and by all who must tell it from an account of Interactive Brokers. It begins
with D, as IB's paper accounts do, so that programs which refuse a live account take it for what it is; behind DU
those have digits only.
"""

from typing import Final

SIMULATED_ACCOUNT: Final = "DUSIM01"
_PREFIXES: Final = ("DUSIM", "SIMULATOR")  # the second is what the simulator's account was called before


def is_simulated(account: str) -> bool:
    """Whether an account, as managedAccounts names it, is a simulator's."""
    return account.startswith(_PREFIXES)
