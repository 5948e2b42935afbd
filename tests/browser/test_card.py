"""The card in a real Chromium, over a pipeline of real processes."""

import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.card import CardPage
from tests.browser.conftest import OpenPage, await_page
from tests.browser.test_accessibility import violations
from tests.process.pipeline import ALL, Pipeline
from tests.support import eventually

EXPIRED_MS = 5_300  # five seconds, and what it takes to look from outside

PICTURE = "chart => [...chart.querySelectorAll('canvas')].map(canvas => canvas.toDataURL()).join()"


def text_changes(locator: Locator) -> None:
    """Wait until the text is another one."""
    before = locator.inner_text()
    expect(locator).not_to_have_text(before)


@contextmanager
def timed(timings: dict[str, float], name: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    timings[name] = round(time.monotonic() - started, 2)


def candles_asked(card: CardPage) -> list[str]:
    """The addresses of all questions for candles so far."""
    names: list[str] = card.page.evaluate("performance.getEntriesByType('resource').map(each => each.name)")
    return [name for name in names if "/candles?" in name]


def test_quotes_move(stream: Pipeline, open_page: OpenPage) -> None:
    card = open_page(stream)
    expect(card.badge).to_have_text("Connected")
    expect(card.cell("SPY", "source")).to_have_text("Mock")
    expect(card.cell("SPY", "state")).to_contain_text("Live")
    expect(card.cell("SPY", "bidAsk")).to_have_text(re.compile(r"\d+\.\d\d×\d+\.\d\d"))
    text_changes(card.cell("SPY", "last"))
    text_changes(card.cell("QQQ", "volume"))
    text_changes(card.metric("heartbeat"))
    expect(card.page.get_by_test_id("mock-notice")).to_be_visible()
    assert set(card.symbols()) == set(stream.await_status("connected").symbols)
    card.screenshot("light")
    assert card.errors == []


def test_candles_are_drawn_and_grow_and_their_numbers_are_under_the_pointer(
    stream: Pipeline, open_page: OpenPage
) -> None:
    card = open_page(stream)
    card.open_symbol("SPY")
    chart = card.page.get_by_role("img", name=re.compile(r"SPY, \d+ candles of 1 min: from \d"))
    expect(chart).to_be_visible()
    for _ in range(3):
        first = chart.evaluate(PICTURE)
        eventually(lambda: chart.evaluate(PICTURE) != first, message="the chart moves")  # noqa: B023
    assert len(candles_asked(card)) <= 2, "what follows is pushed"
    card.page.get_by_role("group", name="Length of a candle").get_by_role("button", name="1 s").click()
    chart = card.page.get_by_role("img", name=re.compile(r"SPY, \d+ candles of 1 s: from \d"))
    expect(chart).to_be_visible()
    expect(card.page.get_by_text("Not kept up to date.")).to_be_visible()  # seconds are not published by themselves
    place = chart.bounding_box()
    assert place is not None
    card.page.mouse.move(place["x"] + place["width"] * 0.85, place["y"] + place["height"] / 2)
    numbers = card.page.get_by_text(re.compile(r"^\d\d:\d\d:\d\d.*O \d+\.\d\d.*VWAP"))
    expect(numbers).to_be_visible()
    expect(card.row("SPY").locator("svg path").first).to_be_attached()
    card.screenshot("chart")
    assert card.errors == []


def test_an_open_chart_goes_on_after_the_backend_was_away(own_stream: Pipeline, open_page: OpenPage) -> None:
    card = open_page(own_stream)
    card.open_symbol("SPY")
    chart = card.page.get_by_role("img", name=re.compile(r"SPY, \d+ candles of 1 min: from \d"))
    expect(chart).to_be_visible()
    eventually(
        lambda: len(candles_asked(card)) == 2, message="the stream brings candles, and what came before is known"
    )
    own_stream.kill("web")
    expect(card.badge).to_have_text("Backend away")
    own_stream.start("web")
    eventually(lambda: len(candles_asked(card)) >= 3, 30, "what was missed is asked for")
    first = chart.evaluate(PICTURE)
    eventually(lambda: chart.evaluate(PICTURE) != first, message="the chart moves again")
    assert all("from=" in url for url in candles_asked(card)[1:])


def test_wrong_prices_are_marked_and_stand_in_the_days_report(tmp_path: Path, open_page: OpenPage) -> None:
    simulator = {"simulator": ["--pipeline", "--rate", "400", "--scenario", "bad_prices"]}
    with Pipeline(tmp_path, ALL, {"quality_seconds": 1}, simulator) as pipeline:
        await_page(pipeline)
        card = open_page(pipeline)
        expect(card.cell("SPY", "quality")).to_contain_text("crossed", timeout=60_000)
        expect(card.cell("AAPL", "quality")).to_contain_text("outliers", timeout=60_000)
        card.open_symbol("SPY")
        expect(card.page.get_by_role("list", name="Data quality")).to_contain_text("The bid stood above the ask.")
        panel = card.page.get_by_test_id("quality")
        panel.get_by_text("Data quality").first.click()
        expect(panel.get_by_role("row", name="SPY")).to_contain_text("crossed")
        expect(panel.get_by_role("row", name="AAPL")).to_contain_text(
            re.compile(r"[\d.]+ between [\d.]+ and [\d.]+ at")
        )
        assert violations(card) == []
        card.screenshot("quality")
        assert card.errors == []


def test_added_columns_are_there_again(stream: Pipeline, open_page: OpenPage) -> None:
    card = open_page(stream)
    card.page.get_by_text("Columns", exact=True).click()
    card.page.get_by_role("checkbox", name="Spread").check()
    card.page.get_by_role("checkbox", name="Exchange").check()
    card.screenshot("columns")
    card.page.reload()
    expect(card.cell("SPY", "spread")).to_have_text(re.compile(r"^0\.\d\d$"))
    with card.page.expect_download() as saved:
        card.button("CSV").click()
    assert saved.value.path().read_text().splitlines()[0].endswith(",marks,spread")
    assert card.errors == []


def test_a_price_alert_is_set_comes_and_is_removed(own_stream: Pipeline, open_page: OpenPage) -> None:
    card = open_page(own_stream)
    panel = card.page.get_by_test_id("alerts")
    panel.get_by_text("Price alerts").click()
    panel.get_by_label("Rule").fill("SPY jumps")
    panel.get_by_role("button", name="Set alert").click()
    expect(panel.get_by_role("alert")).to_contain_text("is no rule of an alert")
    panel.get_by_label("Rule").fill("SPY moves 0.0001% in 30s")
    panel.get_by_role("button", name="Set alert").click()
    expect(panel.get_by_role("list", name="Alerts that came")).to_contain_text("invented by the simulator")
    card.screenshot("alerts")
    panel.get_by_role("button", name="Remove the alert SPY moves 0.0001% in 30s").click()
    expect(panel.get_by_text("No alert is set.")).to_be_visible()
    assert [error for error in card.errors if "400" not in error] == []


def test_stop_and_start(own_stream: Pipeline, open_page: OpenPage) -> None:
    card = open_page(own_stream)
    card.button("Stop stream").click()
    card.button("Stop").click()
    expect(card.badge).to_have_text("Stopped")
    assert own_stream.await_status("stopped").subscribed_symbols == []
    expect(card.metric("subscribed")).to_contain_text("0")
    expect(card.cell("SPY", "state")).to_contain_text("Stale")
    card.screenshot("stopped")

    # what there is to choose from, and what would come of it
    project = card.page.get_by_label("Project")
    preview = card.page.get_by_test_id("plan-preview")
    expect(project).to_contain_text("Demo")
    project.select_option("1")
    expect(preview).to_contain_text(re.compile(r"Would stream \d\d symbols of Demo\."))
    card.page.get_by_label("Max symbols").fill("5")
    expect(preview).to_contain_text("Would stream 5 symbols of Demo.")
    card.screenshot("start")
    card.button("Start stream").click()
    expect(card.badge).to_have_text("Connected")
    expect(card.rows).to_have_count(len(own_stream.await_status("connected").symbols))
    expect(card.metric("subscribed")).to_contain_text("5")
    expect(card.page.get_by_role("heading", name="Market data stream")).to_contain_text("Demo")
    text_changes(card.cell("SPY", "last"))
    assert card.errors == []


def test_a_refused_start_says_why(own_stream: Pipeline, open_page: OpenPage) -> None:
    card = open_page(own_stream)
    other = open_page(own_stream)
    card.button("Stop stream").click()
    card.button("Stop").click()
    card.page.get_by_text("More options").click()
    symbols = card.page.get_by_label("Symbols", exact=True)
    symbols.fill("SPY, $$$")
    card.button("Start stream").click()
    alert = card.page.get_by_role("alert")
    expect(alert).to_contain_text("invalid_symbol")
    expect(alert).to_contain_text("A symbol is not valid.")
    expect(symbols).to_have_attribute("aria-invalid", "true")
    expect(card.page.locator(f"#{symbols.get_attribute('aria-describedby')}")).to_contain_text("$$$")
    card.screenshot("refused")
    # a page that has not noticed yet that somebody else started it: held back here by cutting its events
    expect(other.badge).to_have_text("Stopped")
    other.page.route("**/events", lambda route: route.abort())
    symbols.fill("")
    card.button("Start stream").click()
    expect(card.badge).to_have_text("Connected")
    expect(alert).to_have_count(0)
    answer = card.page.evaluate(
        "async () => { const r = await fetch('/api/ib/stream/start', { method: 'POST' });"
        " return [r.status, (await r.json()).detail.code] }"
    )
    assert answer == [409, "ib_stream_lock_busy"]


def test_the_ib_gateway_is_killed_and_comes_back(
    own_stream: Pipeline, open_page: OpenPage, timings: dict[str, float]
) -> None:
    card = open_page(own_stream)
    expect(card.badge).to_have_text("Connected")
    own_stream.kill("simulator")
    with timed(timings, "IB gateway killed"):
        expect(card.badge).to_have_text(re.compile("Disconnected|Degraded"))
    expect(card.reason).to_have_text(re.compile("IB gateway"))
    expect(card.cell("SPY", "state")).to_have_text(re.compile("Stale"))
    expect(card.metric("degraded")).to_contain_text("for")
    strip = card.page.get_by_role("region", name="Link history")
    strip.get_by_text("Changes and gaps").click()
    expect(strip.locator("tbody")).to_have_text(re.compile("Disconnected|Degraded"))
    card.screenshot("gateway-away")
    own_stream.start("simulator")
    with timed(timings, "IB gateway back"):
        expect(card.badge).to_have_text("Connected")
    expect(card.metric("degraded")).to_contain_text("Not degraded")
    text_changes(card.cell("SPY", "last"))
    expect(strip.locator("tbody")).to_contain_text("No prices")
    assert card.errors == []


@pytest.mark.parametrize("service", ["gateway", "sink", "supervisor"])
def test_a_service_is_killed_and_comes_back(
    service: str, own_stream: Pipeline, open_page: OpenPage, timings: dict[str, float]
) -> None:
    card = open_page(own_stream)
    expect(card.badge).to_have_text("Connected")
    own_stream.kill(service)
    with timed(timings, f"{service} killed"):
        expect(card.badge).to_have_text(re.compile("Disconnected|Degraded"))
    expect(card.reason).to_have_text(re.compile(service, re.IGNORECASE))
    card.page.get_by_text("Services and link").click()
    expect(card.page.get_by_role("listitem").filter(has_text=service)).to_contain_text("down")
    own_stream.start(service)
    expect(card.badge).to_have_text("Connected")
    text_changes(card.cell("SPY", "last"))
    assert card.errors == []


def test_the_backend_is_killed_and_comes_back(
    own_stream: Pipeline, open_page: OpenPage, timings: dict[str, float]
) -> None:
    card = open_page(own_stream)
    expect(card.badge).to_have_text("Connected")
    expect(card.cell("SPY", "state")).to_contain_text("Live")
    own_stream.kill("web")
    with timed(timings, "backend killed"):
        expect(card.badge).to_have_text("Backend away")
    expect(card.reason).to_contain_text("Prices below are not current.")
    expect(card.cell("SPY", "state")).to_contain_text("No contact")
    expect(card.button("Stop stream")).to_have_count(0)
    card.screenshot("backend-away")
    own_stream.start("web")
    with timed(timings, "backend back"):
        expect(card.badge).to_have_text("Connected")
    expect(card.cell("SPY", "state")).to_contain_text("Live")
    text_changes(card.cell("SPY", "last"))
    assert card.errors == []


def test_every_row_expires_when_a_service_freezes(
    own_stream: Pipeline, open_page: OpenPage, timings: dict[str, float]
) -> None:
    card = open_page(own_stream)
    card.page.evaluate("document.fonts.ready.then(() => true)")
    live = card.page.locator('tr[data-symbol][data-good="true"]')
    planned = len(own_stream.await_status("connected").symbols)
    for service in ("web", "sink"):
        expect(live).to_have_count(planned)
        own_stream.processes[service].send_signal(signal.SIGSTOP)
        with timed(timings, f"{service} frozen"):
            expect(live).to_have_count(0, timeout=EXPIRED_MS)
        states = card.rows.evaluate_all("rows => rows.map(row => row.dataset.state)")
        assert set(states) <= {"expired", "stale"}
        price = card.cell("SPY", "last").locator("[data-distrusted]")
        expect(price).to_have_attribute("data-distrusted", "true")
        card.screenshot(f"expired-{service}")
        own_stream.processes[service].send_signal(signal.SIGCONT)
        expect(card.cell("SPY", "state")).to_contain_text("Live")
        expect(card.badge).to_have_text("Connected")
    assert card.errors == []


def test_sorting_and_filtering(stream: Pipeline, open_page: OpenPage) -> None:
    card = open_page(stream)
    expect(card.cell("SPY", "last")).to_have_text(re.compile(r"\d"))
    header = card.page.get_by_role("columnheader", name="Symbol")
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "ascending")
    assert card.symbols() == sorted(card.symbols())
    card.page.get_by_label("Filter symbols").fill("q")
    expect(card.rows).to_have_count(1)
    assert card.symbols() == ["QQQ"]
    card.button("Clear filter").click()
    live = card.page.get_by_role("button", name=re.compile("^Live"))
    live.click()
    expect(live).to_have_attribute("aria-pressed", "true")
    expect(card.row("SPY")).to_be_visible()


def test_chinese(stream: Pipeline, open_page: OpenPage) -> None:
    card = open_page(stream, language="zh")
    expect(card.badge).to_have_text("已连接")
    expect(card.cell("SPY", "source")).to_have_text("模拟")
    expect(card.cell("SPY", "state")).to_contain_text("实时")
    expect(card.page.locator("html")).to_have_attribute("lang", "zh-CN")
    card.open_symbol("SPY")
    card.screenshot("chinese")
    english = re.compile(r"\b(Connected|Subscribed|Heartbeat|Volume|Source|State|Filter|Stop|Live)\b")
    assert english.findall(card.page.locator("section").first.inner_text()) == []
    # the choice is kept
    card.page.get_by_label("语言").select_option("en")
    expect(card.badge).to_have_text("Connected")
    card.page.goto(f"http://127.0.0.1:{stream.web_port}/")
    expect(card.badge).to_have_text("Connected")


def test_phone(stream: Pipeline, open_page: OpenPage) -> None:
    card = open_page(stream, width=390, height=844)
    expect(card.badge).to_have_text("Connected")
    expect(card.cell("SPY", "last")).to_have_text(re.compile(r"\d"))
    expect(card.cell("SPY", "volume")).to_be_hidden()
    expect(card.cell("SPY", "symbol")).to_contain_text("Mock")
    card.page.get_by_label("Sort by").select_option("symbol")
    assert card.symbols() == sorted(card.symbols())
    card.screenshot("phone")
    card.open_symbol("SPY")
    card.row("SPY").scroll_into_view_if_needed()
    card.screenshot("phone-chart")
    width = card.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390, "the page scrolls sideways"


def test_dark(stream: Pipeline, open_page: OpenPage) -> None:
    card = open_page(stream, theme="dark")
    expect(card.badge).to_have_text("Connected")
    card.open_symbol("SPY")
    card.screenshot("dark")
    background = card.page.locator("section").first.evaluate("card => getComputedStyle(card).backgroundColor")
    assert max(map(int, re.findall(r"\d+", background)[:3])) < 64
    # light by choice, at once, the chart's canvas too
    chart = card.page.get_by_role("img", name=re.compile(r"SPY, \d+ candles"))
    expect(chart).to_be_visible()
    axis = "chart => [...chart.querySelectorAll('canvas')].at(-1).toDataURL()"
    before = chart.evaluate(axis)
    card.page.get_by_label("Theme").select_option("light")
    background = card.page.locator("section").first.evaluate("card => getComputedStyle(card).backgroundColor")
    assert min(map(int, re.findall(r"\d+", background)[:3])) > 192
    eventually(lambda: chart.evaluate(axis) != before)


def test_keyboard_alone(own_stream: Pipeline, open_page: OpenPage) -> None:
    card = open_page(own_stream)
    keyboard = card.page.keyboard
    expect(card.cell("SPY", "last")).to_have_text(re.compile(r"\d"))

    def tab_to(name: str) -> None:
        """Press Tab until the focus is on what is called so; what has the focus can be seen."""
        script = (
            "() => { const e = document.activeElement;"
            " return [e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText,"
            " getComputedStyle(e).outlineStyle] }"
        )
        for _ in range(120):
            keyboard.press("Tab")
            label, outline = card.page.evaluate(script)
            assert outline != "none", f"the focus on {label!r} is invisible"
            if str(label).strip() == name:
                return
        raise AssertionError(f"Tab never reached {name!r}")

    tab_to("Filter symbols")
    keyboard.type("SPY")
    expect(card.rows).to_have_count(1)
    tab_to("SPY: show chart and details")
    keyboard.press("Enter")
    expect(card.page.get_by_role("img", name="SPY")).to_be_visible()
    tab_to("5 min")
    keyboard.press("Space")
    expect(card.button("5 min")).to_have_attribute("aria-pressed", "true")

    card.page.reload()
    expect(card.badge).to_have_text("Connected")
    tab_to("Stop stream")
    keyboard.press("Enter")
    keyboard.press("Escape")
    expect(card.button("Stop stream")).to_be_focused()
    keyboard.press("Enter")
    expect(card.button("Stop")).to_be_focused()
    keyboard.press("Enter")
    expect(card.badge).to_have_text("Stopped")
    tab_to("Start stream")
    keyboard.press("Enter")
    expect(card.badge).to_have_text("Connected")
