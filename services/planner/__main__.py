"""`python -m services.planner`: the process that decides which symbols to watch."""

import services.base.first  # noqa: F401 - before all else
from services.planner.service import build
from services.runtime.process import main

if __name__ == "__main__":
    raise SystemExit(main("planner", build))
