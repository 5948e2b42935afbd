"""Imported by the server of `forked.py` alone: what the services import, once for all that are forked from it."""

import gc

import services.base.first
import services.gateway.service
import services.planner.service
import services.relay.service
import services.simulator.service
import services.sink.service
import services.supervisor.service
import services.web.service  # noqa: F401

gc.collect()
gc.freeze()  # so that forked processes share these pages
