"""The book as one PDF: all pages, in order, with their numbers, bookmarks and links."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from pypdf import PdfReader

from tests.browser import find_chromium
from tests.test_pages import soup
from tests.test_repository import ROOT, pages
from tools.pdf import print_book, reading_order, resolved

# A page of each kind; typesetting the whole book for paper takes minutes.
PRINTED = [
    pages()[0],
    pages()[1],
    *(f"book/{name}" for name in ("notation", "equations", "bibliography")),
]


@pytest.fixture(scope="module")
def printed(book: Path, tmp_path_factory: pytest.TempPathFactory) -> PdfReader:
    if find_chromium() is None and os.environ.get("FLOWTUTORIAL_REQUIRE_BROWSER") != "1":
        pytest.skip("no Chromium: install the package `chromium`, or set CHROMIUM to its path")
    target = tmp_path_factory.mktemp("pdf") / "book.pdf"
    print_book(book, target, PRINTED)
    return PdfReader(target)


def words(text: str) -> str:
    """Return a text without spaces and ligatures."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def first_pages(printed: PdfReader) -> list[int]:
    """Return the numbers of the pages on which the pages of the book begin."""
    top = [item for item in printed.outline if not isinstance(item, list)]
    return [printed.get_destination_page_number(item) or 0 for item in top]


def test_pages_follow_the_table_of_contents(book: Path) -> None:
    assert reading_order(book) == pages()
    assert resolved("../x.html", "book/a") == "x"
    assert resolved("b.html", "book/a") == "book/b"


def test_bookmarks_are_the_headings(printed: PdfReader, book: Path) -> None:
    titles = []
    for name in PRINTED:
        title = soup(book / f"{name}.html").select_one("article h1")
        assert title is not None
        titles.append(words(title.get_text()).removesuffix("#"))
    top = [item for item in printed.outline if not isinstance(item, list)]
    assert [words(str(item.title)) for item in top] == titles
    first = first_pages(printed)
    assert first == sorted(first)
    for number, title in zip(first, titles, strict=True):
        assert title[:12] in words(printed.pages[number].extract_text())


def test_solutions_and_numbers_are_printed(printed: PdfReader, book: Path) -> None:
    _, begin, end, *_ = first_pages(printed)
    text = words("".join(page.extract_text() for page in printed.pages[begin:end]))
    chapter = soup(book / f"{PRINTED[1]}.html")
    numbers = [number.get_text().split(")")[0] + ")" for number in chapter.select(".eqno")]
    assert numbers
    assert not [number for number in numbers if number not in text]
    solutions = chapter.select(".solution section > p")
    assert solutions
    first = words(str(solutions[0].find(string=True)))
    assert first in text
    assert "Clicktoshow" not in text


def test_links_stay_in_the_book_or_lead_to_the_web(printed: PdfReader) -> None:
    inside, addresses = 0, []
    for page in printed.pages:
        for annotation in page.get("/Annots") or []:
            action = annotation.get_object().get("/A", {})
            inside += "/URI" not in action
            addresses += [str(action["/URI"])] if "/URI" in action else []
    assert inside > 50
    assert not [address for address in addresses if not address.startswith("https://")]


def test_a_missing_chromium_is_named(book: Path, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, ROOT / "tools/pdf.py", "--html", book, "--output", tmp_path / "book.pdf"],
        env={"PATH": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert "Install the package `chromium`" in run.stderr
