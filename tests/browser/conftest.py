"""A real Chromium, and a real pipeline behind it. Screenshots land in artifacts/screenshots."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from tests.browser.card import CardPage
from tests.process.conftest import pytest_runtest_makereport as pytest_runtest_makereport  # a failed test tells logs
from tests.process.pipeline import ALL, Pipeline
from tests.support import NO_TLS, REPOSITORY, eventually, missing

UI = REPOSITORY / "services" / "web" / "ui"
ARTIFACTS = REPOSITORY / "artifacts"
SCREENSHOTS = ARTIFACTS / "screenshots"
QUIET = [
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        missing("no Chromium on this machine; install it with `apt-get install chromium`")
    running = playwright.chromium.launch(executable_path=found, args=QUIET)
    yield running
    running.close()


def await_page(pipeline: Pipeline) -> None:
    """Wait until quotes flow and the web answers."""
    pipeline.await_status("connected", timeout=60)
    eventually(lambda: answers(pipeline.web_port), message="the web answers")


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5, verify=NO_TLS).is_success
    except httpx.TransportError:
        return False


@pytest.fixture(scope="package")
def timings() -> Iterator[dict[str, float]]:
    """Seconds that the page took to notice things, for whoever reads the artifacts: no test judges them."""
    taken: dict[str, float] = {}
    yield taken
    if taken:
        ARTIFACTS.mkdir(exist_ok=True)
        (ARTIFACTS / "card-timings.json").write_text(json.dumps(taken, indent=2) + "\n")


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """Every service, for tests that leave it as they found it."""
    with Pipeline(tmp_path_factory.mktemp("stream"), ALL) as pipeline:
        await_page(pipeline)
        yield pipeline


@pytest.fixture
def own_stream(tmp_path: Path) -> Iterator[Pipeline]:
    """Every service, for a test that kills some."""
    with Pipeline(tmp_path, ALL) as pipeline:
        await_page(pipeline)
        yield pipeline


OpenPage = Callable[..., CardPage]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens the page of a pipeline: `open_page(pipeline, width=390, language="zh", theme="dark")`."""
    contexts = []

    def open_it(
        pipeline: Pipeline, *, width: int = 1280, height: int = 860, language: str = "en", theme: str = "light"
    ) -> CardPage:
        context = browser.new_context(viewport={"width": width, "height": height}, device_scale_factor=2)
        contexts.append(context)
        context.set_default_timeout(30_000)
        page: Page = context.new_page()
        card = CardPage(page, SCREENSHOTS)
        page.goto(f"http://127.0.0.1:{pipeline.web_port}/?lang={language}&theme={theme}")
        return card

    yield open_it
    for context in contexts:
        context.close()
