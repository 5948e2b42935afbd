"""The page as a person sees it: what the tests look at and press."""

from pathlib import Path

from playwright.sync_api import ConsoleMessage, Locator, Page, expect

TIMEOUT_MS = 30_000
expect.set_options(timeout=TIMEOUT_MS)


class CardPage:
    """`errors` holds what the browser complained of, less requests that failed because something was killed."""

    def __init__(self, page: Page, screenshots: Path) -> None:
        self.page = page
        self.errors: list[str] = []
        self._screenshots = screenshots
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)

    @property
    def badge(self) -> Locator:
        return self.page.get_by_test_id("status-badge")

    @property
    def reason(self) -> Locator:
        return self.page.get_by_test_id("status-reason")

    def metric(self, name: str) -> Locator:
        return self.page.get_by_test_id(f"metric-{name}")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def row(self, symbol: str) -> Locator:
        return self.page.locator(f'tr[data-symbol="{symbol}"]')

    def cell(self, symbol: str, column: str) -> Locator:
        return self.row(symbol).locator(f'[data-column="{column}"]')

    @property
    def rows(self) -> Locator:
        return self.page.locator("tr[data-symbol]")

    def symbols(self) -> list[str]:
        names = self.rows.evaluate_all("rows => rows.map(row => row.dataset.symbol)")
        return [str(name) for name in names]

    def open_symbol(self, symbol: str) -> None:
        self.row(symbol).get_by_role("button").click()
        expect(self.page.get_by_role("img", name=symbol)).to_be_visible()

    def screenshot(self, name: str) -> None:
        self._screenshots.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=self._screenshots / f"{name}.png", animations="disabled")
