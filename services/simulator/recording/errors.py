"""What a recording keeps of an error: its code and a sentence of ours. IB's own text may name accounts and orders, so
none of it is stored, but for the name of a farm.
"""

import re

from services.simulator.core import farm_message
from services.simulator.market.market_data import COMPETING, NOT_ENTITLED, NOT_FOUND

WITHHELD = "The text of this error was not recorded."

_FARM = re.compile(r"(?:[a-z]{2,6})?(?:farm|hmds|future|opt|bond|secdef)(?:[a-z]{0,4})(?:\.[a-z]{2,3})?")
_FARM_CODES = {
    2103: ("market data", "broken"), 2104: ("market data", "ok"), 2108: ("market data", "idle"),
    2105: ("HMDS data", "broken"), 2106: ("HMDS data", "ok"), 2107: ("HMDS data", "idle"),
    2157: ("Sec-def data", "broken"), 2158: ("Sec-def data", "ok"),
}  # fmt: skip
_SENTENCES = {
    100: "Max rate of messages per second has been exceeded",
    101: "Max number of tickers has been reached",
    162: "Historical Market Data Service error message",
    200: NOT_FOUND,
    300: "Can't find EId",
    326: "Unable to connect as the client id is already in use: use a unique client id.",
    366: "No historical data query found",
    420: "Invalid Real-time Query",
    1100: "Connectivity between IB and the gateway has been lost.",
    1101: "Connectivity between IB and the gateway has been restored - data lost.",
    1102: "Connectivity between IB and the gateway has been restored - data maintained.",
    2110: "Connectivity between the gateway and the server is broken. It will be restored automatically.",
    10197: COMPETING,
    10225: "Bust event occurred, current subscription is deactivated. Please resubscribe.",
    **NOT_ENTITLED,
}


def sentence(code: int, text: str) -> str:
    """What stands in the recording for IB's `text`."""
    if code not in _FARM_CODES:
        return _SENTENCES.get(code, WITHHELD)
    kind, state = _FARM_CODES[code]
    last = re.split(r"[:\s]", text.strip())[-1].removeprefix("demand.")
    return farm_message(kind, last if _FARM.fullmatch(last) else "farm", state)[1]
