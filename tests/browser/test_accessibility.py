"""axe finds nothing to complain of, in any state of the card, by light and dark, on a desk and on a phone."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.card import CardPage
from tests.browser.conftest import UI, OpenPage
from tests.process.pipeline import Pipeline
from tests.support import missing

AXE = UI / "node_modules" / "axe-core" / "axe.min.js"
LOOKS = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]


def violations(card: CardPage) -> list[str]:
    return violations_on(card.page)


def violations_on(page: Page) -> list[str]:
    if not AXE.exists():
        missing("axe-core is not installed; run `npm ci` in services/web/ui")
    page.evaluate(AXE.read_text())
    result: dict[str, Any] = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [f"{found['id']}: {[node['target'] for node in found['nodes']]}" for found in result["violations"]]


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_running(width: int, theme: str, stream: Pipeline, open_page: OpenPage) -> None:
    card = open_page(stream, width=width, theme=theme)
    card.page.emulate_media(reduced_motion="reduce")
    expect(card.badge).to_have_text("Connected")
    card.open_symbol("SPY")
    for summary in card.page.locator("summary").all():
        summary.click()
    assert violations(card) == []


def test_stopped_refused_and_away(own_stream: Pipeline, open_page: OpenPage) -> None:
    cards = [
        open_page(own_stream, theme=theme, language=language) for theme, language in (("light", "en"), ("dark", "zh"))
    ]
    card = cards[0]
    card.button("Stop stream").click()
    assert violations(card) == []
    card.button("Stop").click()
    expect(card.badge).to_have_text("Stopped")
    card.page.get_by_text("More options").click()
    card.page.get_by_label("Max symbols").fill("none")
    card.button("Start stream").click()
    assert violations(card) == []
    card.page.get_by_label("Max symbols").fill("")
    card.page.get_by_label("Symbols", exact=True).fill("$$$")
    card.button("Start stream").click()
    expect(card.page.get_by_role("alert")).to_be_visible()
    for each in cards:
        assert violations(each) == []
    own_stream.kill("web")
    expect(cards[0].badge).to_have_text("Backend away")
    expect(cards[1].badge).to_have_text("后端失联")
    for each in cards:
        assert violations(each) == []
