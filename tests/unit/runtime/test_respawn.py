"""How long a service that keeps dying young is left alone."""

from itertools import accumulate, repeat

import pytest

from services.runtime.respawn import FIRST_PAUSE, longer


@pytest.mark.parametrize(
    ("service", "pauses"), [("sink", [1, 2, 4, 8, 16, 30, 30]), ("gateway", [1, 2, 4, 5, 5, 5, 5])]
)
def test_pauses_double_up_to_a_bound(service: str, pauses: list[float]) -> None:
    assert list(accumulate(repeat(service, 6), longer, initial=FIRST_PAUSE)) == pauses
