"""Show beside a link what it points to: an equation, a section, a term of the glossary, a work.

Sphinx extension of this book alone. A page that is opened from a folder on disk may not read
another page, but it may load a script. So everything that the pages' links point to is put into one
script, `_static/preview-texts.js`, which `preview.js` loads when a first preview is asked for.
"""

from __future__ import annotations

import json
from copy import copy
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag
from sphinx.application import Sphinx

LINKS = "article a.reference.internal[href*='#']"  # the same in `preview.js`
NOT_SHOWN = ".headerlink, .proof-mark, img, details, script"
TITLES = ("dt", "h1", "h2", "h3", "h4")


def excerpt(target: Tag) -> str | None:
    """Return the HTML that stands for the target of a link, or None."""
    classes = target.get("class") or []
    if "math" in classes or "citation" in classes:
        return _cleaned(target)
    if target.name == "dt":
        return _cleaned(target) + _first_paragraph(target.find_next_sibling("dd"))
    if target.name == "section" or "admonition" in classes:
        title = target.find(["h1", "h2", "h3", "h4", "p"])
        return title and _cleaned(title) + _first_paragraph(title.find_next_sibling(True))
    if target.name == "span" and target.parent and not target.get_text(strip=True):
        return excerpt(target.parent)  # a second label of what stands around it
    return None


def _first_paragraph(holder: Any) -> str:
    if holder is not None and holder.name != "p":
        holder = holder.find("p")
    return _cleaned(holder) if holder is not None else ""


def _cleaned(original: Tag) -> str:
    """Return a copy without links, ids and what only serves on the page itself."""
    tag = copy(original)
    for extra in tag.select(NOT_SHOWN):
        extra.decompose()
    for link in tag.find_all("a"):
        link.unwrap()
    for inner in [tag, *tag.find_all(True)]:
        inner.attrs = {"class": inner["class"]} if inner.get("class") else {}
    if tag.name in TITLES:
        tag.name, tag["class"] = "p", ["preview-title"]
    return str(tag)


def collect(root: Path, names: list[str]) -> dict[str, str]:
    """Return the excerpts for all links of the pages, by the address of what they point to."""
    soups = {
        name: BeautifulSoup((root / name).read_text(encoding="utf-8"), "html.parser")
        for name in names
    }
    places = {name: {tag["id"]: tag for tag in soup(id=True)} for name, soup in soups.items()}
    found: dict[str, str] = {}
    for name, soup in soups.items():
        for link in soup.select(LINKS):
            parts = urlsplit(str(link["href"]))
            path = (root / name).parent / unquote(parts.path) if parts.path else root / name
            page = path.resolve().relative_to(root.resolve()).as_posix()
            target = places.get(page, {}).get(unquote(parts.fragment))
            text = excerpt(target) if target is not None else None
            if text:
                found[f"{page}#{unquote(parts.fragment)}"] = text
    return dict(sorted(found.items()))


def write(app: Sphinx, exception: Exception | None) -> None:
    """Write the script with the excerpts."""
    if exception or app.builder.format != "html":
        return
    root = Path(app.outdir)
    names = sorted(
        Path(app.builder.get_outfilename(name)).relative_to(root).as_posix()  # type: ignore[attr-defined]
        for name in app.env.found_docs
    )
    texts = json.dumps(collect(root, names), ensure_ascii=False, indent=0)
    script = f"window.flowPreviews = {texts};\n"
    (root / "_static/preview-texts.js").write_text(script, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    app.add_js_file("preview.js", loading_method="defer")
    app.add_css_file("preview.css")
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
