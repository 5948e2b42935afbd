"""`python -m services.relay`: the process that connects machines over NATS JetStream."""

import services.base.first  # noqa: F401 - before all else
from services.relay.service import build
from services.runtime.process import main

if __name__ == "__main__":
    raise SystemExit(main("relay", build))
