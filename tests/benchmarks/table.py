"""The page's quote table in a real Chromium by number of symbols: its main thread, at rest and while scrolling.

The development backend sends the same number of changed quotes a second whatever the size, so that the table alone
is compared; a second table lets changes grow with the symbols, and a third one has the whole pipeline behind the page:
every service, a thousand symbols at 2,000 ticks a second, columns added and a chart open.
"""

import shutil
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from tests.benchmarks.harness import report
from tests.benchmarks.system import System
from tests.browser.conftest import QUIET
from tests.browser.dev_backend import CHANGES_A_SECOND, TURNS_A_SECOND, dev_backend, page_cost

SIZES = (28, 100, 300, 1000)
SHARE = 0.45  # of all symbols, each turn


COLUMNS = ("spread", "open", "high", "local_symbol", "implied_volatility", "delta", "vwap", "shortable_shares")
PIPELINE_SYMBOLS, RATE = 1_000, 2_000  # symbols, ticks a second
SERVICES = ("gateway", "planner", "sink", "supervisor", "web")


def behind_the_page(browser: Browser, seconds: float) -> None:
    """The page over the whole pipeline, on this machine."""
    rows, measured = [], {}
    ways: dict[str, dict[str, Any]] = {
        "at rest": {},
        "scrolling": {"scrolling": True},
        f"scrolling, {len(COLUMNS)} columns added": {"scrolling": True, "columns": COLUMNS},
        f"scrolling, {len(COLUMNS)} columns added, a chart open": {
            "scrolling": True,
            "columns": COLUMNS,
            "symbol": "SIM0001",
        },
    }
    with System(PIPELINE_SYMBOLS, SERVICES, quality_seconds=5) as system:
        address = f"http://127.0.0.1:{system.pipeline.web_port}"
        for name, more in ways.items():
            system.exchange.stream(RATE, seconds + 20)
            cost = measured[name] = page_cost(browser, address, seconds, **more)
            system.exchange.stream_sent()
            rows.append([name, f"{cost['main thread ms/s']:.0f}", f"{cost['frames/s']:.0f}", f"{cost['nodes']:.0f}"])
    report(
        "table-pipeline",
        f"The page over the whole pipeline: {PIPELINE_SYMBOLS:,} symbols, {RATE:,} ticks a second",
        ["the page", "main thread ms/s", "frames/s", "nodes"],
        rows,
        measured,
        ["Services, Chromium and the source of the ticks share the machine's cores."],
    )


def main(short: bool) -> None:
    seconds = 3.0 if short else 15.0
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        for name, share in (("steady", None), ("growing", SHARE)):
            rows, measured = [], {}
            for symbols in SIZES:
                with dev_backend(symbols, ticking=share) as address:
                    still = page_cost(browser, address, seconds)
                    moving = page_cost(browser, address, seconds, scrolling=True)
                measured[symbols] = {"still": still, "scrolling": moving}
                first = measured[SIZES[0]]["still"]["main thread ms/s"]
                rows.append(
                    [
                        str(symbols),
                        f"{still['main thread ms/s']:.0f}",
                        f"{still['main thread ms/s'] / first:.2f}",
                        f"{still['script ms/s']:.0f}",
                        f"{still['layout and style ms/s']:.0f}",
                        f"{still['nodes']:.0f}",
                        f"{moving['main thread ms/s']:.0f}",
                        f"{moving['frames/s']:.0f}",
                    ]
                )
            changes = CHANGES_A_SECOND if share is None else f"{SHARE * TURNS_A_SECOND:.1f} times the symbols in"
            report(
                f"table-{name}",
                f"The page by number of symbols, {changes} changed quotes a second",
                ["symbols", "main thread ms/s", "ratio", "script", "layout", "nodes", "scrolling ms/s", "frames/s"],
                rows,
                measured,
                ["Milliseconds of the browser's main thread for each second; frames a second while the wheel turns."],
            )
        behind_the_page(browser, seconds)
        browser.close()
