"""`python -m services.relay`: the process that connects machines over NATS JetStream."""

from services.process import main
from services.relay.service import build

if __name__ == "__main__":
    raise SystemExit(main("relay", build))
