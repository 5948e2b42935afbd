"""`python -m services.simulator`: a TWS-protocol server on loopback, for `make run`, tests and anyone's IB client."""

import services.base.first  # noqa: F401 - before all else
from services.simulator.service import main

if __name__ == "__main__":
    raise SystemExit(main())
