"""`python -m services.sink`: the process that keeps the files."""

import services.base.lean  # noqa: F401 - before what it makes lighter
from services.runtime.process import main
from services.sink.service import build

if __name__ == "__main__":
    raise SystemExit(main("sink", build))
