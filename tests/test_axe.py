"""Every built page against the rules of axe-core, light and dark, with everything unfolded."""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import chromium, find_chromium, set_theme, typeset_all, unfold
from tests.test_repository import pages

AXE = (importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
PAGES = [*pages(), "genindex", "py-modindex", "search"]
# The theme's own buttons are named by one word and show another, such as a keyboard shortcut.
THEME = {("label-content-name-mismatch", name) for name in ("search-button-field", "theme-switch")}

# Most of the time goes into the contrast of each coloured word of code. Of all the code on a page
# those blocks are looked at which bring a kind of word that no block before them had.
RUN = """(only) => {
    const seen = new Set(), repeated = [];
    for (const block of document.querySelectorAll("div.highlight")) {
        const kinds = [...block.querySelectorAll("span, a")].map(
            (word) => `${block.parentElement.className} ${word.className}`);
        if (kinds.every((kind) => seen.has(kind))) repeated.push(block);
        kinds.forEach((kind) => seen.add(kind));
    }
    return axe.run({exclude: repeated}, {
        resultTypes: ["violations"],
        ...(only.length ? {runOnly: only} : {}),
        rules: {"label-content-name-mismatch": {enabled: !only.length}},
    }).then((results) => results.violations);
}"""

pytestmark = pytest.mark.skipif(
    find_chromium() is None and os.environ.get("FLOWTUTORIAL_REQUIRE_BROWSER") != "1",
    reason="no Chromium: install the package `chromium`, or set CHROMIUM to its path",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1300, "height": 900}, offline=True)
    yield context.new_page()
    context.close()


def open_page(page: Page, path: Path) -> None:
    page.goto(path.as_uri())
    typeset_all(page)
    unfold(page)
    page.add_style_tag(content="*, *::before, *::after { transition: none !important; }")
    page.evaluate(AXE)


def violations(page: Page, *only: str) -> list[str]:
    """Return the rule, the place and the reason of each violation, but for those of the theme."""
    found: list[Any] = page.evaluate(RUN, only)
    return [
        f"{rule['id']}: {node['target']} {node['html'][:100]} — {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
        if not any(rule["id"] == known and name in node["html"] for known, name in THEME)
    ]


@pytest.mark.parametrize("name", PAGES)
def test_page_keeps_the_rules_of_accessibility(page: Page, book: Path, name: str) -> None:
    open_page(page, book / f"{name}.html")
    set_theme(page, "light")
    assert violations(page) == []
    set_theme(page, "dark")
    assert violations(page, "color-contrast") == []  # nothing else depends on colours


def test_violations_are_noticed(page: Page, book: Path) -> None:
    open_page(page, book / f"{PAGES[1]}.html")
    page.evaluate(
        """() => document.querySelector("article p").insertAdjacentHTML("afterend",
            '<p style="color: #777; background: #999">faint</p><img src="">' +
            '<div class="highlight"><pre><span class="odd" style="color: #fefefe">code</span>')"""
    )
    set_theme(page, "light")
    rules = [violation.split(":")[0] for violation in violations(page)]
    assert sorted(rules) == ["color-contrast", "color-contrast", "image-alt"]
