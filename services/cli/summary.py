"""What `make run` says first, and `ibstream settings --summary`: where everything is. Imports nothing that draws."""

from services.base.settings import Settings
from services.base.settings_rules import parse_gateways


def summary_text(where: Settings) -> str:
    gateway = "built-in simulator, invented prices" if where.api_mode == "mock" else "IB gateway"
    source = f"  settings also from:         {where.env_file}\n" if where.env_file else ""
    several = [f"{name} {found.host}:{found.port}" for name, found in parse_gateways(where).items()]
    host, port = where.gateway_addresses[0]
    return (
        f"ibstream: {gateway} at {', '.join(several) or f'{host}:{port}'}\n"
        f"  prices and status as files: {where.stream_dir}\n"
        f"  page:                       {where.page_url}\n"
        f"{source}"
        f"  in another terminal:        .venv/bin/ibstream status --watch\n"
        f"  Ctrl-C ends everything."
    )
