"""The card's development backend: the HTTP contract over any number of invented symbols, without a pipeline."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import UI
from tests.support import NO_TLS, eventually, free_port, missing

CHANGES_A_SECOND = 56  # quotes, whatever the number of symbols: so the size of the table alone is measured
TURNS_A_SECOND = 4


@contextmanager
def dev_backend(symbols: int, *, scenario: str = "mock", ticking: float | None = None) -> Iterator[str]:
    """The backend's address. `ticking` is the share of symbols that change in each quarter of a second."""
    node = shutil.which("node")
    if node is None:
        missing("no node on this machine; install Node.js 20 or newer")
    share = CHANGES_A_SECOND / TURNS_A_SECOND / symbols if ticking is None else ticking
    port = free_port()
    env = {"PORT": port, "SYMBOLS": symbols, "SCENARIO": scenario, "TICKING": share}
    process = subprocess.Popen(
        [node, str(UI / "dev" / "backend.mjs")],
        env=os.environ | {name: str(value) for name, value in env.items()},
        stdout=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: _answers(address), message="the development backend answers")
        yield address
    finally:
        process.kill()
        process.wait()


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/api/ib/stream/status", timeout=5, verify=NO_TLS).is_success
    except httpx.TransportError:
        return False


def with_columns(page: Page, columns: Sequence[str]) -> None:
    """Have the page find these columns added, as a person left them. Before it is opened."""
    kept = json.dumps(json.dumps(list(columns)))
    page.add_init_script(f"localStorage.setItem('ibstream.columns', {kept})")


def page_cost(
    browser: Browser,
    address: str,
    seconds: float,
    *,
    scrolling: bool = False,
    columns: Sequence[str] = (),
    symbol: str = "",
) -> dict[str, float]:
    """What the page costs once it is there: milliseconds of its main thread for each second, frames a second, and
    the size of the document. `scrolling` turns the wheel all the while; `columns` are added to the table; the chart of
    `symbol` is open."""
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    try:
        with_columns(page, columns)
        page.goto(f"{address}/#{symbol}" if symbol else address)
        if symbol:
            expect(page.get_by_role("img", name=symbol)).to_be_visible()
        expect(page.locator('tr[data-symbol][data-good="true"]').first).to_be_visible()
        expect(page.locator("tr[data-symbol] svg path").first).to_be_attached()
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        page.evaluate(
            "window.frames_seen = 0; (function count() { window.frames_seen += 1; requestAnimationFrame(count) })()"
        )
        before, frames, started = _metrics(session), page.evaluate("window.frames_seen"), time.monotonic()
        while (passed := time.monotonic() - started) < seconds:
            if scrolling:
                page.mouse.move(640, 600)
                page.mouse.wheel(0, 400 if int(passed) % 4 < 2 else -400)
            page.wait_for_timeout(100)
        after, passed = _metrics(session), time.monotonic() - started
        return {
            "main thread ms/s": (after["TaskDuration"] - before["TaskDuration"]) / passed * 1e3,
            "script ms/s": (after["ScriptDuration"] - before["ScriptDuration"]) / passed * 1e3,
            "layout and style ms/s": sum(after[n] - before[n] for n in ("LayoutDuration", "RecalcStyleDuration"))
            / passed
            * 1e3,
            "frames/s": (page.evaluate("window.frames_seen") - frames) / passed,
            "nodes": page.evaluate("document.querySelectorAll('*').length"),
        }
    finally:
        page.close()


def _metrics(session) -> dict[str, float]:  # type: ignore[no-untyped-def]
    return {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
