"""Imported by the server of `processes.py` alone: what is imported once for all that is forked from it."""

import gc
import importlib
from pathlib import Path

import services.base.first  # before all else, as the services do
import services.cli
import services.gateway.service
import services.planner.service
import services.relay.service
import services.simulator.service
import services.sink.service
import services.supervisor.service
import services.web.service

for path in Path(services.cli.__file__).parent.glob("*.py"):
    if path.stem != "app":  # the program itself: it runs as `__main__`
        importlib.import_module(f"services.cli.{path.stem}")
gc.collect()
gc.freeze()  # so that forked processes share these pages
