"""`python -m services.gateway`: the IB gateway adapter."""

from services.gateway.service import Gateway
from services.process import main

if __name__ == "__main__":
    raise SystemExit(main("gateway", Gateway))
