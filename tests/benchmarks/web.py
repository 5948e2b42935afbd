"""Event clients: two hundred of them, some of which never read, at a full account's tick rate.

Those that read must stay current, and the pipeline must not feel them: the same is measured with one client.
"""

from messages.topics import events_endpoint
from services.runtime.bus import address
from tests.benchmarks.harness import report
from tests.benchmarks.system import SERVICES, System
from tests.benchmarks.web_clients import Swarm

SYMBOLS = 100
RATE = 2_000


def run(readers: int, stalled: int, seconds: float) -> dict[str, float]:
    with System(SYMBOLS, [*SERVICES, "web"]) as system:
        quotes = address(system.pipeline.settings, events_endpoint("sink"))
        memory = system.memory()["web"]
        with Swarm(system.pipeline.web_port, quotes, readers, stalled) as swarm:
            cpu = system.cpu()
            system.exchange.stream(RATE, seconds + 2)
            seen = swarm.measure(seconds)
            spent = {name: used - cpu[name] for name, used in system.cpu().items()}
            grown = system.memory()["web"] - memory
            system.exchange.stream_sent()
        assert seen.lost == 0, f"{seen.lost} clients that read were let go"
        lags = sorted(seen.lags)
        assert lags
        return {
            "quotes received": len(lags),
            "behind the sink p50 ms": lags[len(lags) // 2] * 1e3,
            "p95 ms": lags[len(lags) * 95 // 100] * 1e3,
            "max ms": lags[-1] * 1e3,
            "web memory grown MB": grown,
            **{f"cpu {name} %": used / seconds * 100 for name, used in spent.items()},
        }


def main(short: bool) -> None:
    seconds = 5.0 if short else 40.0
    sizes = {"1 client": (1, 0), "200 clients, 20 of them stalled": (180, 20)}
    measured = {name: run(*size, seconds) for name, size in sizes.items()}
    names = list(next(iter(measured.values())))
    rows = [[name, *(f"{one[name]:,.1f}" for one in measured.values())] for name in names]
    report(
        "web",
        f"Event clients at {RATE:,} ticks/s over {SYMBOLS} symbols for {seconds:.0f} s",
        ["", *measured],
        rows,
        measured,
        ["Behind: from the sink's publication of a quote, just before its file is written, to a client's arrival."],
    )
