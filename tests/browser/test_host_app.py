"""Another React app, of another origin, imports the built card by its package name and shows two of them."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import SCREENSHOTS, UI, await_page, missing
from tests.process.pipeline import ALL, Pipeline

BUILD_SECONDS = 120


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def host_app() -> Iterator[str]:
    """The host app, built and served; its origin."""
    npm = shutil.which("npm")
    if npm is None or not (UI / "node_modules").exists():
        missing("the card's packages are not installed; run `npm ci` in services/web/ui")
    done = subprocess.run([npm, "run", "build:host"], cwd=UI, capture_output=True, text=True, timeout=BUILD_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = UI / "tests" / "host" / "dist"
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_two_cards_in_another_app(host_app: str, browser: Browser, tmp_path: Path) -> None:
    with Pipeline(tmp_path, ALL, {"web_origins": host_app}) as pipeline:
        await_page(pipeline)
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{host_app}/?api=http://127.0.0.1:{pipeline.web_port}")
        ours, chinese = page.get_by_role("region", name="Our feed"), page.locator(".second")

        # each speaks for itself, in the host's words where it gave some
        expect(ours.get_by_test_id("status-badge")).to_have_text("All is well")
        expect(chinese.get_by_test_id("status-badge")).to_have_text("已连接")
        for card in (ours, chinese):
            last = card.locator('tr[data-symbol="SPY"] [data-column="last"]')
            expect(last).not_to_have_text(last.inner_text())
        backgrounds = [card.evaluate("e => getComputedStyle(e).backgroundColor") for card in (ours, chinese)]
        assert backgrounds[0] != backgrounds[1], "one is light, the other dark"

        # nothing of the card's look leaks into the host
        look = "e => [getComputedStyle(e).fontFamily, getComputedStyle(e).fontSize, getComputedStyle(e).color]"
        assert page.locator("#own-text").evaluate(look) == ["Georgia, serif", "18px", "rgb(0, 0, 0)"]
        assert page.locator("#own-button").evaluate("e => getComputedStyle(e).borderStyle") == "outset"

        # the host's origin may control the stream
        ours.get_by_role("button", name="Stop stream").click()
        ours.get_by_role("button", name="Stop", exact=True).click()
        expect(chinese.get_by_test_id("status-badge")).to_have_text("已停止")
        assert errors == []
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / "host-app.png")
        page.close()


def test_an_app_of_an_origin_that_is_not_allowed_gets_nothing(host_app: str, browser: Browser, tmp_path: Path) -> None:
    with Pipeline(tmp_path, ALL) as pipeline:
        await_page(pipeline)
        page = browser.new_page()
        page.goto(f"{host_app}/?api=http://127.0.0.1:{pipeline.web_port}")
        badge = page.get_by_role("region", name="Our feed").get_by_test_id("status-badge")
        expect(badge).to_have_text("Backend away")
        expect(page.locator("tr[data-symbol]")).to_have_count(0)
        page.close()
