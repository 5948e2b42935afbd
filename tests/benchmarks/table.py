"""The page's quote table in a real Chromium by number of symbols: its main thread, at rest and while scrolling.

The development backend sends the same number of changed quotes a second whatever the size, so that the table alone
is compared; a second table lets changes grow with the symbols.
"""

import shutil

from playwright.sync_api import sync_playwright

from tests.benchmarks.harness import report
from tests.browser.conftest import QUIET
from tests.browser.dev_backend import CHANGES_A_SECOND, TURNS_A_SECOND, dev_backend, page_cost

SIZES = (28, 100, 300, 1000)
SHARE = 0.45  # of all symbols, each turn


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
        browser.close()
