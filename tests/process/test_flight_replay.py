"""A fault leaves a flight recording, and the simulator plays it to another client."""

from collections.abc import Callable
from pathlib import Path

from tests.process.pipeline import Pipeline
from tests.process.simulators import Caller, simulator
from tests.support import eventually


def test_a_lost_gateway_leaves_a_recording_that_the_simulator_plays(
    tmp_path: Path, pipeline: Callable[..., Pipeline]
) -> None:
    made = pipeline()
    made.await_status("connected")
    before = eventually(lambda: made.quote("SPY"))
    made.kill("simulator")
    dumps = eventually(lambda: list((made.data / "flight").glob("*.flight")))
    made.close()
    with simulator(tmp_path, "--replay", str(dumps[0]), "--speed", "10") as player, Caller(player.port) as client:
        client.ready().subscribe(1, "SPY")
        bid = client.until("1", "6", "1", "1")
        assert abs(float(bid[4]) - before["bid"]) < 5
        assert client.until("1", "6", "1", "2")[4] > bid[4]
