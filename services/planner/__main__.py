"""`python -m services.planner`: the process that decides which symbols to watch."""

import services.base.lean  # noqa: F401 - before what it makes lighter
from services.planner.service import build
from services.runtime.process import main

if __name__ == "__main__":
    raise SystemExit(main("planner", build))
