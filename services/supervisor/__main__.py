"""`python -m services.supervisor`: the process that watches the others and holds what is wanted."""

import services.base.first  # noqa: F401 - before all else
from services.runtime.process import main
from services.supervisor.service import build

if __name__ == "__main__":
    raise SystemExit(main("supervisor", build))
