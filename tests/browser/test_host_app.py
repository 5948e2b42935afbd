"""Other React apps, of another origin and outside this repository, install the packed card and show two of them."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import SCREENSHOTS, await_page
from tests.browser.host_app import make_host, one_at_a_time, pack_card, served
from tests.process.pipeline import ALL, Pipeline

pytestmark = pytest.mark.timeout(400)  # a test may wait for another one that makes the same host

HOSTS = [
    pytest.param(19, "npm", id="react-19"),
    pytest.param(18, "npm", id="react-18"),
    pytest.param(19, "pnpm", id="react-19-pnpm", marks=pytest.mark.slow),
    pytest.param(18, "pnpm", id="react-18-pnpm", marks=pytest.mark.slow),
]
HostApp = Callable[[int, str], str]


@pytest.fixture(scope="module")
def host_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostApp]:
    """Makes a host app, of each kind once for all test processes: `host_app(18, "pnpm")` is its origin."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with ExitStack() as stack:

        def make(react: int, installer: str) -> str:
            with one_at_a_time(shared):
                built = make_host(shared / f"host-{react}-{installer}", pack_card(shared / "card"), react, installer)
            return stack.enter_context(served(built))

        yield make


@pytest.mark.parametrize(("react", "installer"), HOSTS)
def test_two_cards_in_another_app(
    react: int, installer: str, host_app: HostApp, browser: Browser, tmp_path: Path
) -> None:
    origin = host_app(react, installer)
    with Pipeline(tmp_path, ALL, {"web_origins": origin}) as pipeline:
        await_page(pipeline)
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{origin}/?api=http://127.0.0.1:{pipeline.web_port}")
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


def test_an_app_of_an_origin_that_is_not_allowed_gets_nothing(
    host_app: HostApp, browser: Browser, tmp_path: Path
) -> None:
    origin = host_app(19, "npm")
    with Pipeline(tmp_path, ALL) as pipeline:
        await_page(pipeline)
        page = browser.new_page()
        page.goto(f"{origin}/?api=http://127.0.0.1:{pipeline.web_port}")
        badge = page.get_by_role("region", name="Our feed").get_by_test_id("status-badge")
        expect(badge).to_have_text("Backend away")
        expect(page.locator("tr[data-symbol]")).to_have_count(0)
        page.close()
