"""The reader's path: map, previous and next, questions, links from code, and previews of links."""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, Locator, Page

from tests.browser import chromium, find_chromium, set_theme, typeset_all, unfold
from tests.test_pages import soup as parsed
from tests.test_repository import ROOT, pages

CHAPTERS = sorted(path.stem for path in (ROOT / "book").glob("[0-9]*.ipynb"))

needs_browser = pytest.mark.skipif(
    find_chromium() is None and os.environ.get("FLOWTUTORIAL_REQUIRE_BROWSER") != "1",
    reason="no Chromium: install the package `chromium`, or set CHROMIUM to its path",
)


def soup(book: Path, name: str) -> BeautifulSoup:
    return parsed(book / f"{name}.html")


# -- map, previous and next ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guide() -> Iterator[object]:
    sys.path.insert(0, str(ROOT / "book/_ext"))
    yield importlib.import_module("guide")
    sys.path.remove(str(ROOT / "book/_ext"))


def test_needs_that_others_bring_along_are_not_drawn(guide: object) -> None:
    needs = {1: set(), 2: {1}, 3: {1}, 4: {1, 3}, 5: {3, 4}, 6: {2, 4}}
    drawn = {1: set(), 2: {1}, 3: {1}, 4: {3}, 5: {4}, 6: {2, 4}}
    assert guide.first_needs(needs) == drawn  # type: ignore[attr-defined]


def test_chapters_stand_below_what_they_need(guide: object) -> None:
    needs = {1: set(), 2: {1}, 3: {1}, 4: {3}, 5: {4}, 6: {2, 4}, 7: {5, 6}}
    places = guide.places(needs)  # type: ignore[attr-defined]
    assert {number: row for number, (_, row) in places.items()} == {
        1: 0, 2: 1, 3: 1, 4: 2, 5: 3, 6: 3, 7: 4,
    }  # fmt: skip
    assert len(set(places.values())) == len(places)
    assert places[6][0] < places[5][0]  # 2 stands left of 3


def test_home_page_maps_every_chapter_by_its_title(book: Path) -> None:
    home = soup(book, "book/index")
    drawn = [str(link["href"]) for link in home.select(".chapter-map svg a")]
    listed = home.select(".chapter-map .chapter-list .title a")
    assert drawn == [str(link["href"]) for link in listed] == [f"{name}.html" for name in CHAPTERS]
    for link, name in zip(listed, CHAPTERS, strict=True):
        title = soup(book, f"book/{name}").find("h1")
        assert title is not None
        assert [*link.get_text().split(), "#"] == title.get_text(" ").split()


def test_next_leads_through_the_book_and_previous_back(book: Path) -> None:
    there = [pages()[0]]
    while (link := soup(book, there[-1]).select_one("a.right-next")) is not None:
        there.append(f"book/{Path(str(link['href'])).stem}")
    assert there == pages()
    for name, before in zip(there[1:], there, strict=False):
        link = soup(book, name).select_one("a.left-prev")
        assert link is not None
        assert f"book/{Path(str(link['href'])).stem}" == before


# -- questions -------------------------------------------------------------------------------------


def asked(name: str) -> list[str]:
    """Return the titles of the admonitions of a chapter that are questions."""
    cells = json.loads((ROOT / f"book/{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return re.findall(r"^:{3,}\{admonition\} (.+\?)$", text, re.MULTILINE)


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def test_every_question_of_the_chapters_is_listed_with_its_answer(book: Path) -> None:
    rows = soup(book, "book/questions").select("table.questions tbody tr")
    found = {}
    for row in rows:
        question, answer = row.find_all("td")
        found[tuple(words(question.get_text()))] = [str(a["href"]) for a in answer.find_all("a")]
    assert len(found) == len(rows) >= 20
    for name in CHAPTERS:
        for title in asked(name):
            plain = re.sub(r"[$`]", "", title)
            (link,) = [a for a in found[tuple(words(plain))] if a.startswith(name)]
            answer = soup(book, f"book/{name}").find(id=link.split("#")[1])
            assert answer is not None
            assert words(answer.find("p").get_text()) == words(plain)  # type: ignore[union-attr]
    assert sum(len(links) for links in found.values()) == sum(len(asked(n)) for n in CHAPTERS)


# -- links from code, copy buttons -----------------------------------------------------------------


def test_names_in_code_lead_to_the_package_reference(book: Path) -> None:
    for name in CHAPTERS:
        links = soup(book, f"book/{name}").select("div.cell_input a.sphinx-codeautolink-a")
        places = {str(link["href"]).split("api.html#")[-1] for link in links}
        assert "flowtutorial.flow.Flow" in places, name
        assert len(links) > 20, name


def test_ids_do_not_repeat(book: Path) -> None:
    for name in pages():
        ids = [str(tag["id"]) for tag in soup(book, name).find_all(id=True)]
        assert sorted(ids) == sorted(set(ids)), name


# -- in a browser ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1300, "height": 900}, offline=True)
    opened = context.new_page()
    opened.on("request", lambda request: requests.append(request.url))
    requests: list[str] = []
    yield opened
    context.close()
    assert not [url for url in requests if not url.startswith(("file:", "data:", "blob:"))]


def hover(page: Page, link: Locator) -> Locator:
    """Hover a link, and return the card that appears."""
    link.scroll_into_view_if_needed()
    link.hover()
    card = page.locator("#preview")
    card.wait_for(state="visible", timeout=10_000)
    return card


@needs_browser
@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("[href^='#equation-']", "equation"),
        ("[href*='.html#equation-']", "equation"),
        ("[href*='notation.html#term-']", "text"),
        ("[href*='bibliography.html#']", "text"),
    ],
)
def test_links_show_what_they_point_to(page: Page, book: Path, target: str, kind: str) -> None:
    link = f"article a.reference.internal{target}:visible"
    for name in CHAPTERS:
        page.goto((book / f"book/{name}.html").as_uri())
        if page.locator(link).count():
            break
    typeset_all(page)
    card = hover(page, page.locator(link).first)
    if kind == "equation":
        card.locator("mjx-container svg").wait_for(timeout=10_000)
        number = page.locator(link).first.inner_text()
        assert number in card.inner_text()
    else:
        assert len(card.inner_text().split()) > 4
    assert page.locator(link).first.get_attribute("aria-describedby") == "preview"
    box = card.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 1300
    page.keyboard.press("Escape")
    assert not card.is_visible()


@needs_browser
def test_previews_come_with_the_keyboard_and_leave_with_it(page: Page, book: Path) -> None:
    page.goto((book / f"book/{CHAPTERS[1]}.html").as_uri())
    typeset_all(page)
    link = page.locator("article a.reference.internal[href*='#']:visible").first
    link.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    card = page.locator("#preview")
    card.wait_for(state="visible", timeout=10_000)
    page.keyboard.press("Shift+Tab")
    card.wait_for(state="hidden", timeout=10_000)


@needs_browser
def test_a_preview_fits_on_a_phone(page: Page, book: Path) -> None:
    page.set_viewport_size({"width": 380, "height": 800})
    page.goto((book / f"book/{CHAPTERS[1]}.html").as_uri())
    typeset_all(page)
    set_theme(page, "dark")
    card = hover(page, page.locator("article a.reference.internal[href^='#equation-']").first)
    card.locator("mjx-container svg").wait_for(timeout=10_000)
    box = card.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 380
    assert page.evaluate("document.documentElement.scrollWidth") <= 380


@needs_browser
def test_every_code_cell_can_be_copied(page: Page, book: Path) -> None:
    page.goto((book / f"book/{CHAPTERS[0]}.html").as_uri())
    cells = page.locator("div.cell_input div.highlight")
    page.locator("button.copybtn").first.wait_for(state="attached", timeout=10_000)
    unfold(page)
    button = page.get_by_role("button", name="Copy to clipboard")
    assert cells.count() > 5
    assert cells.filter(has=button).count() == cells.count()
