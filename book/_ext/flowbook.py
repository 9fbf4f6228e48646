"""What the built book needs so that it works from a folder on disk, without a network.

Sphinx extension of this book alone. It copies MathJax out of an installed package into the built
pages, takes out the scripts that Jupyter Book adds for live kernels, which would be fetched from a
content network, keeps a formula and the comma after it on one line, mends what other extensions
write that a screen reader would stumble over, and keeps one of them from failing on sections
without a title.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

MATHJAX_PACKAGE = "sphinx-mathjax-offline"
# All of MathJax is 24 MB. These two files typeset TeX as SVG, fonts included, and put off what is
# not on the screen yet.
MATHJAX_FILES = ("tex-svg-full.js", "ui/lazy.js")


def copy_mathjax(app: Sphinx) -> None:
    """Copy the parts of MathJax that the pages load to `_static/mathjax`."""
    if app.builder.format != "html":
        return
    try:
        package = importlib.metadata.distribution(MATHJAX_PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        message = f"{MATHJAX_PACKAGE} is not installed; `make book` installs what the book needs"
        raise ExtensionError(message) from error
    target = Path(app.outdir) / "_static" / "mathjax"
    for name in MATHJAX_FILES:
        source = Path(str(package.locate_file(f"{MATHJAX_PACKAGE}/static/mathjax/{name}")))
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target / name)


def drop_thebe(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Take sphinx-thebe out of a page: Jupyter Book loads it even where no kernel is offered."""

    def mentions_thebe(asset: Any) -> bool:
        body = getattr(asset, "attributes", {}).get("body") or ""
        return "thebe" in f"{getattr(asset, 'filename', asset)} {body}".lower()

    for kind in ("script_files", "css_files"):
        context[kind][:] = [asset for asset in context[kind] if not mentions_thebe(asset)]


# A browser may break a line on either side of a formula, as it may beside a picture.
FORMULA_AND_MARK = re.compile(r'(<span class="math[^>]*>[^<]*</span>[.,;:!?)\]’]+)')


def keep_marks_with_formulas(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Keep a formula and the punctuation mark that follows it on one line."""
    if "body" in context:
        unbroken = r'<span class="unbroken">\1</span>'
        context["body"] = FORMULA_AND_MARK.sub(unbroken, context["body"])


# What the page says, and what it should say instead.
MENDS = {
    # sphinx-exercise and sphinx-proof: the same id again and again.
    re.compile(
        r'<section id="(exercise|solution|proof)-content">'
    ): r'<section class="\1-content">',
    # myst-nb: a name that hides the words on the button.
    re.compile(r'<summary aria-label="Toggle hidden content">'): "<summary>",
    # docutils: a role that is out of date and not one of an item in a list.
    re.compile(r'role="doc-biblioentry"'): 'role="listitem"',
    # The tables of formulas in docstrings, whose first column names the row.
    re.compile(r"<td><p>(forward|inverse)</p></td>"): r'<th scope="row">\1</th>',
}


def mend_markup(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Mend names, roles and ids in a page that another extension has written."""
    for found, mended in MENDS.items():
        if "body" in context:
            context["body"] = found.sub(mended, context["body"])


def guard_codeautolink() -> None:
    """Let sphinx-codeautolink leave sections without a title, which sphinx-proof makes.

    Version 0.19 pops a title for every section it leaves, also for those that pushed none.
    """
    from sphinx_codeautolink.extension.block import CodeBlockAnalyser

    def depart_section(self: Any, node: nodes.section) -> None:
        if any(isinstance(child, nodes.title) for child in node.children):
            self.title_stack.pop()

    CodeBlockAnalyser.depart_section = depart_section


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    guard_codeautolink()
    app.connect("builder-inited", copy_mathjax)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("html-page-context", keep_marks_with_formulas)
    app.connect("html-page-context", mend_markup)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
