"""`python -m services.web`: the process that serves the page and the HTTP API."""

import services.base.first  # noqa: F401 - before all else
from services.runtime.process import main
from services.web.service import build

if __name__ == "__main__":
    raise SystemExit(main("web", build))
