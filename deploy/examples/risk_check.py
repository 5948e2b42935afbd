"""May these prices be used? `python risk_check.py data/ib/stream SPY QQQ`: exits 1 and says why when one may not.

The one rule: a price may be used if now is before its `good_until`. A moment further ahead than anybody vouches for
comes from a clock that was set back since.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

LONGEST = 60  # seconds: nobody vouches for longer


def usable(folder: str, symbol: str) -> dict:
    """The symbol's quote. Raises ValueError, with the reason, when it must not be used."""
    quote = json.loads(Path(folder, f"{symbol}.json").read_bytes())
    if "good_until" not in quote:
        raise ValueError(quote.get("reason", "nobody vouches for it"))
    left = (datetime.fromisoformat(quote["good_until"]) - datetime.now(UTC)).total_seconds()
    if not 0 < left <= LONGEST:
        raise ValueError("its good_until is over" if left <= 0 else "its good_until is too far ahead")
    return quote


if __name__ == "__main__":
    failed = False
    for name in sys.argv[2:]:
        try:
            print(name, usable(sys.argv[1], name).get("last"))
        except (OSError, ValueError) as error:
            failed = True
            print(f"{name} must not be used: {error}")
    raise SystemExit(failed)
