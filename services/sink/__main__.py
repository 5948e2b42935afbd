"""`python -m services.sink`: the process that keeps the files."""

import services.base.first  # noqa: F401 - before all else
from services.runtime.process import main
from services.sink.service import build

if __name__ == "__main__":
    raise SystemExit(main("sink", build))
