"""Print the built book into one PDF, with the numbering and the links of the pages.

    .venv/bin/python tools/pdf.py

writes `_build/normalizing-flows.pdf`; `make pdf` builds the pages first. All pages are put into
one, in reading order and with everything unfolded, and Chromium prints that.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag
from pypdf import PdfReader, PdfWriter
from pypdf.generic import DictionaryObject, NameObject, TextStringObject

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.browser import chromium, find_chromium, set_theme, typeset_all, unfold  # noqa: E402

# Scripts have no place on paper, and a page says once where it is from.
SCREEN_ONLY = "script, button, .headerlink, .prev-next-footer"
STYLE = "article.bd-article + article.bd-article { break-before: page; }"
FOOTER = (
    '<div style="font: 8pt sans-serif; text-align: center; width: 100%">'
    '<span class="pageNumber"></span></div>'
)


def reading_order(html: Path) -> list[str]:
    """Return the pages without their endings, from the home page on, each followed by its next."""
    pages = ["book/index"]
    while True:
        soup = BeautifulSoup(
            (html / f"{pages[-1]}.html").read_text(encoding="utf-8"), "html.parser"
        )
        link = soup.select_one("a.right-next")
        if link is None:
            return pages
        pages.append(resolved(str(link["href"]), pages[-1]))


def resolved(path: str, page: str) -> str:
    """Return the page that a relative path on another page leads to."""
    there = (Path("/") / Path(page).parent / path).resolve()
    return str(there.relative_to("/").with_suffix(""))


def place(page: str, fragment: str) -> str:
    """Return the id that a place of a page has when all pages are one."""
    return f"{Path(page).name}--{fragment}" if fragment else Path(page).name


def article(html: Path, page: str, pages: list[str]) -> str:
    """Return what a page says, with ids and links that hold within the whole book."""
    soup = BeautifulSoup(html.joinpath(f"{page}.html").read_text(encoding="utf-8"), "html.parser")
    body = soup.select_one("article.bd-article")
    if body is None:
        raise ValueError(f"{page}.html has no article")
    for extra in body.select(SCREEN_ONLY):
        extra.decompose()
    for tag in body.find_all(id=True):
        if tag.name != "svg" and not tag.find_parent("svg"):  # pictures refer to their own parts
            tag["id"] = place(page, str(tag["id"]))
    for link in body.find_all("a", href=True):
        point_within(link, page, pages)
    body["id"] = place(page, "")
    return str(body)


def point_within(link: Tag, page: str, pages: list[str]) -> None:
    """Let a link to another page lead to a place in the one; drop links to what is not printed."""
    parts = urlsplit(str(link["href"]))
    if parts.scheme or parts.netloc:
        return
    target = resolved(unquote(parts.path), page) if parts.path else page
    if target in pages:
        link["href"] = f"#{place(target, unquote(parts.fragment))}"
    else:
        del link["href"]


def print_book(html: Path, target: Path, pages: list[str]) -> None:
    """Print pages in the folder `html`, without their endings, into the file `target`."""
    articles = [article(html, page, pages) for page in pages]
    with chromium() as browser:
        page = browser.new_page()
        page.goto((html / f"{pages[0]}.html").as_uri())
        set_theme(page, "light")
        page.evaluate(
            """articles => {
                document.querySelector("article.bd-article").outerHTML = articles.join("");
                document.title = document.querySelector("h1").textContent;
            }""",
            articles,
        )
        page.add_style_tag(content=STYLE)
        page.evaluate(
            "async () => { await MathJax.startup.promise; await MathJax.typesetPromise(); }"
        )
        typeset_all(page)
        unfold(page)
        headings = page.evaluate(
            "[...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map((h) => h.textContent)"
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        page.pdf(
            path=target,
            format="A4",
            scale=0.8,
            margin={"top": "18mm", "bottom": "18mm", "left": "16mm", "right": "16mm"},
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=FOOTER,
            print_background=True,
            tagged=True,
            outline=True,
        )
    name_bookmarks(target, [" ".join(heading.split()) for heading in headings])


def name_bookmarks(target: Path, headings: list[str]) -> None:
    """Give the bookmarks the words of the headings.

    Chromium joins the lines of a heading without a space, and repeats one that it has moved to the
    next page.
    """
    logging.getLogger("pypdf").setLevel(logging.ERROR)  # it remarks on how Chromium counts objects
    writer = PdfWriter(clone_from=PdfReader(target))
    bookmarks = list(outline_items(writer.root_object["/Outlines"].get_object()))
    if len(bookmarks) != len(headings):
        raise ValueError(f"{len(headings)} headings, but {len(bookmarks)} bookmarks")
    for bookmark, heading in zip(bookmarks, headings, strict=True):
        bookmark[NameObject("/Title")] = TextStringObject(heading)
    writer.write(target)


def outline_items(parent: DictionaryObject) -> Iterator[DictionaryObject]:
    """Yield the bookmarks below one, in reading order."""
    item = parent.get("/First")
    while item is not None:
        found = item.get_object()
        yield found
        yield from outline_items(found)
        item = found.get("/Next")


def main() -> int:
    """Print the book, or say what is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--html", type=Path, default=ROOT / "_build/html", help="the built book")
    parser.add_argument("--output", type=Path, default=ROOT / "_build/normalizing-flows.pdf")
    options = parser.parse_args()
    if find_chromium() is None:
        print(
            "Chromium prints the PDF, and none was found. Install the package `chromium`, or set "
            "CHROMIUM to the path of one.",
            file=sys.stderr,
        )
        return 1
    if not (options.html / "index.html").is_file():
        parser.error(f"no pages in {options.html}: run `make book` first")
    print_book(options.html, options.output, reading_order(options.html))
    print(f"The book is printed. Open {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
