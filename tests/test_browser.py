"""The built pages in a browser that has no network, opened from a folder on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page

from tests.browser import chromium, find_chromium, set_theme, typeset_all
from tests.test_repository import pages

REQUIRED = os.environ.get("FLOWTUTORIAL_REQUIRE_BROWSER") == "1"
PAGES = [*pages(), "genindex", "search"]
PHONE = {"width": 380, "height": 800}
TEX_ERRORS = "mjx-container svg [data-mjx-error]"
LOCAL = ("file:", "data:", "blob:", "about:")

pytestmark = pytest.mark.skipif(
    find_chromium() is None and not REQUIRED,
    reason="no Chromium: install the package `chromium`, or set CHROMIUM to its path",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


class Visit:
    """A page that was opened, with what it asked for and complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def open(self, path: Path, query: str = "") -> None:
        self.page.goto(path.as_uri() + query)
        typeset_all(self.page)


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    context = browser.new_context(viewport=PHONE, offline=True)
    yield Visit(context.new_page())
    context.close()


def check_mathematics(page: Page) -> None:
    """Every formula has become a picture, and none of them an error."""
    assert page.locator("mjx-container").count() >= page.locator("span.math, div.math").count()
    assert page.locator("mjx-container:not(:has(svg))").count() == 0
    assert page.locator(TEX_ERRORS).count() == 0


def check_width(page: Page) -> None:
    """What is wider than a phone scrolls by itself; the page does not."""
    for theme in ("light", "dark"):
        set_theme(page, theme)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], theme


@pytest.mark.parametrize("name", PAGES)
def test_page_on_a_phone_without_network(visit: Visit, book: Path, name: str) -> None:
    visit.open(book / f"{name}.html")
    check_mathematics(visit.page)
    check_width(visit.page)
    assert not visit.complaints
    assert not [url for url in visit.requests if not url.startswith(LOCAL)]


def test_search_finds_a_word(visit: Visit, book: Path) -> None:
    visit.open(book / "search.html", "?q=codomain")
    visit.page.locator("#search-results ul.search li a").first.wait_for(timeout=20_000)
    found = visit.page.locator("#search-results ul.search li").all_inner_texts()
    assert any("Notation and glossary" in text for text in found)
    assert not visit.complaints


def test_failing_mathematics_is_noticed(visit: Visit, book: Path, tmp_path: Path) -> None:
    home = book / "book/index.html"
    html = home.read_text(encoding="utf-8")
    changed = html.replace(r"x = z + \mu", r"x = z + \unknown", 1)
    assert changed != html
    broken = tmp_path / "broken.html"
    broken.write_text(changed.replace("<head>", f'<head><base href="{home.as_uri()}">', 1))
    visit.open(broken)
    assert visit.page.locator(TEX_ERRORS).count() == 1


def test_home_page_says_on_one_screen_why_it_can_be_trusted(browser: Browser, book: Path) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto((book / "book/index.html").as_uri())
    typeset_all(page)
    boxes = [
        box.bounding_box() for box in page.locator("#why-its-equations-can-be-trusted li").all()
    ]
    assert page.locator(".chapter-map svg a").count() >= 7
    page.close()
    assert boxes
    assert all(box is not None and box["y"] + box["height"] <= 900 for box in boxes)
