"""A table of a thousand symbols is as light as one of thirty, and is walked by wheel, keyboard and link."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.dev_backend import dev_backend, page_cost, with_columns
from tests.browser.test_accessibility import violations_on

FEW, MANY = 28, 1000
SECONDS = 3.0


@pytest.fixture(scope="module")
def many() -> Iterator[str]:
    """The address of a backend of a thousand symbols, for pages that only read."""
    with dev_backend(MANY) as address:
        yield address


def test_the_page_costs_no_more_for_a_thousand_symbols(browser: Browser, many: str) -> None:
    with dev_backend(FEW) as few:
        costs = {FEW: page_cost(browser, few, SECONDS), MANY: page_cost(browser, many, SECONDS)}
    assert costs[MANY]["nodes"] < 2 * costs[FEW]["nodes"]
    assert costs[MANY]["script ms/s"] < 2 * costs[FEW]["script ms/s"], costs
    assert costs[MANY]["layout and style ms/s"] < 2 * costs[FEW]["layout and style ms/s"], costs


def test_far_rows_are_reached_by_wheel_keyboard_and_link(browser: Browser, many: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(many)
    rows = page.locator("tr[data-symbol]")
    expect(rows.first).to_be_visible()
    assert rows.count() < 80
    page.locator("tbody button").first.focus()
    page.keyboard.press("End")
    last = page.locator('tr[data-symbol="SYM999"]')
    expect(last.get_by_role("button")).to_be_focused()
    expect(last).to_be_in_viewport()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.get_by_role("img", name="SYM998")).to_be_visible()
    assert page.evaluate("location.hash") == "#SYM998"
    page.mouse.move(600, 400)
    page.mouse.wheel(0, -1_000_000)
    expect(page.locator('tr[data-symbol="SPY"]')).to_be_in_viewport()
    assert violations_on(page) == []

    page.goto(f"{many}/#SYM500")
    page.reload()
    expect(page.get_by_role("img", name="SYM500")).to_be_in_viewport()
    expect(page.locator('tr[data-symbol="SYM500"]')).to_be_in_viewport()
    with page.expect_download() as saved:
        page.get_by_role("button", name="CSV").click()
    lines = saved.value.path().read_text().splitlines()
    assert len(lines) == MANY + 1
    assert lines[1].startswith("SPY,live,yes,")
    assert errors == []
    page.close()


def test_columns_that_were_added_cost_little_and_scroll_in_their_box(browser: Browser, many: str) -> None:
    columns = ["spread", "local_symbol", "delta", "implied_volatility", "vwap", "shortable_shares", "open", "high"]
    plain = page_cost(browser, many, SECONDS)
    added = page_cost(browser, many, SECONDS, columns=columns, symbol="SPY")
    assert added["nodes"] < 2 * plain["nodes"]
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    with_columns(page, columns)
    page.goto(many)
    rows = page.locator("tr[data-symbol]")
    expect(rows.first).to_be_visible()
    page.locator("tbody button").first.focus()
    page.keyboard.press("End")
    last = page.locator('tr[data-symbol="SYM999"]')
    expect(last).to_be_in_viewport()
    assert rows.count() < 80
    expect(page.locator('th[data-column="symbol"]').first).to_be_in_viewport()  # the head stays above
    box = page.locator("table").locator("..")
    box.evaluate("box => box.scrollTo({ left: 10_000 })")
    expect(last.locator('[data-column="delta"]')).to_have_text("0.5200")
    expect(last.locator('[data-column="delta"]')).to_be_in_viewport()
    expect(last.get_by_role("button")).to_be_in_viewport()  # and the name at the side
    assert violations_on(page) == []
    with page.expect_download() as saved:
        page.get_by_role("button", name="CSV").click()
    head, first, *_ = saved.value.path().read_text().splitlines()
    assert head.endswith("marks,spread,local_symbol,implied_volatility,delta,vwap,shortable_shares")
    assert ",0.21,0.52," in first
    page.close()


def test_a_hosts_own_scrolling_box_shows_the_right_rows(browser: Browser) -> None:
    with dev_backend(300) as address:
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.goto(address)
        expect(page.locator("tr[data-symbol]").first).to_be_visible()
        page.add_style_tag(content="#root { overflow: auto; height: 500px }")
        page.locator("#root").evaluate("box => box.scrollTo(0, 6000)")
        middle = "() => document.elementFromPoint(640, 300)?.closest('tr')?.dataset.symbol ?? ''"
        page.wait_for_function(f"({middle})() !== ''")
        page.close()
