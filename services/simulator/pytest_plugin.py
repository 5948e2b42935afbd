"""The fixture `simulated_gateway`. In your conftest.py:

pytest_plugins = ["ibstream.services.simulator.pytest_plugin"]   # in this repository without `ibstream.`
"""

from collections.abc import Iterator

import pytest

from services.simulator.testing import SimulatedGateway


@pytest.fixture
def simulated_gateway() -> Iterator[SimulatedGateway]:
    """A gateway of its own for each test, with a clock that the test holds."""
    with SimulatedGateway() as gateway:
        yield gateway
