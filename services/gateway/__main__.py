"""`python -m services.gateway [NAME]`: the IB gateway adapter; with several gateways, the one of that name."""

import sys

import services.base.first  # noqa: F401 - before all else
from services.gateway.service import Gateway
from services.runtime.process import main

if __name__ == "__main__":
    name = "".join(sys.argv[1:2])
    raise SystemExit(main("gateway", Gateway, name, lambda settings: settings.of_gateway(name)))
