"""Show on the built pages how each displayed equation was established.

Sphinx extension of this book alone. It reads the statuses that `flowtutorial.symbolic.coverage`
finds in the notebooks, puts a small mark with a link to the proving cell beside each proved
equation and a link back from the cell, and offers two directives: `equation-count`, a sentence with
the counts, and `equation-table`, the appendix that lists every equation.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from flowtutorial.symbolic.coverage import OUTCOMES, Status, coverage

MARKS = {"proved": "✓", "checked": "≈"}
COUNTED = {
    "proved": "proved by running the code",
    "checked": "checked to 50 digits",
    "cited": "cited",
    "defined": "definitions",
}


class equation_count(nodes.General, nodes.Element):
    """Stands where the counts will be."""


class equation_table(nodes.General, nodes.Element):
    """Stands where the table will be."""


class EquationCount(SphinxDirective):
    """A sentence with the number of displayed equations of each outcome."""

    def run(self) -> list[nodes.Node]:
        """Leave a place for the sentence."""
        return [equation_count()]


class EquationTable(SphinxDirective):
    """A table for each chapter: equation, kind, how it was established, and where."""

    def run(self) -> list[nodes.Node]:
        """Leave a place for the tables."""
        return [equation_table()]


def read_statuses(app: Sphinx) -> None:
    """Read the statuses once, before the pages."""
    app.env.flow_equations = coverage(Path(app.srcdir) / "book")  # type: ignore[attr-defined]


def statuses(app: Sphinx) -> list[Status]:
    """Return the statuses of the pages that are in the book."""
    found: list[Status] = app.env.flow_equations  # type: ignore[attr-defined]
    return [status for status in found if document(status.equation.page) in app.env.found_docs]


def document(page: str) -> str:
    """Return Sphinx's name of a page."""
    return f"book/{page.rsplit('.', 1)[0]}"


def fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the sentence and the tables into their places."""
    for place in list(doctree.findall(equation_count)):
        place.replace_self(nodes.paragraph("", sentence(statuses(app))))
    for place in list(doctree.findall(equation_table)):
        place.replace_self(list(tables(app, docname)))


def sentence(found: list[Status]) -> str:
    """Return the counts in words."""
    parts = []
    for outcome in OUTCOMES:
        count = sum(status.outcome == outcome for status in found)
        if count or outcome == "proved":
            parts.append(f"{count} {COUNTED[outcome]}")
    return f"{len(found)} displayed equations: {', '.join(parts)}."


def tables(app: Sphinx, docname: str) -> list[nodes.Node]:
    """Return a section with a table for each page that displays equations."""
    pages: dict[str, list[Status]] = {}
    for status in statuses(app):
        pages.setdefault(status.equation.page, []).append(status)
    made: list[nodes.Node] = []
    for page, found in pages.items():
        title = app.env.titles[document(page)].astext()
        section = nodes.section("", nodes.title("", title), ids=[f"equations-{page[:-6]}"])
        section += nodes.paragraph("", sentence(found))
        section += table(app, docname, found)
        made.append(section)
    return made


def table(app: Sphinx, docname: str, found: list[Status]) -> nodes.table:
    """Return the table of one page."""
    numbers = app.env.toc_fignumbers.get(document(found[0].equation.page), {}).get(
        "displaymath", {}
    )
    body = nodes.tbody()
    for status in found:
        label, page = status.equation.label or "", status.equation.page
        number = ".".join(map(str, numbers.get(f"equation-{label}", ())))
        cells: list[nodes.Node] = [
            link(app, docname, page, f"equation-{label}", f"({number})"),
            nodes.literal("", label),
            nodes.Text(status.equation.kind or ""),
            nodes.Text(established(status)),
        ]
        if status.record:
            page, target = status.record.page, f"proof-{label}"
            cells[3] = link(app, docname, page, target, established(status))
        body += nodes.row("", *(nodes.entry("", nodes.paragraph("", "", c)) for c in cells))
    heads = ("Equation", "Label", "Kind", "How it was established")
    row = nodes.row("", *(nodes.entry("", nodes.paragraph("", head)) for head in heads))
    widths = [nodes.colspec(colwidth=width) for width in (12, 38, 15, 35)]
    group = nodes.tgroup("", *widths, nodes.thead("", row), body, cols=len(heads))
    return nodes.table("", group, classes=["equations"])


def established(status: Status) -> str:
    """Return how an equation was established, in the words of the verdicts."""
    if status.record is None:
        return {"defined": "notation", "cited": "reference beside it"}.get(
            status.outcome, status.outcome
        )
    if not status.covered:
        return status.outcome
    steps = f", {status.record.steps} steps" if status.record.steps > 1 else ""
    return f"{status.record.verdict}{steps}"


def link(app: Sphinx, docname: str, page: str, target: str, text: str) -> nodes.reference:
    """Return a link from one page to a place on another."""
    uri = app.builder.get_relative_uri(docname, document(page))
    return nodes.reference("", text, refuri=f"{uri}#{target}", internal=True)


NUMBER = re.compile(r'id="equation-(?P<label>[\w-]+)">\s*<span class="eqno">\([^)]*\)')
RECORD = re.compile(r"\b(?P<label>eq-[\w-]+)(?= \[[0-9a-f]{8}\]: )")


def mark(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Put the marks beside the equations, and links back beside the proofs."""
    body = context.get("body")
    if not body or app.builder.format != "html":
        return
    known = {status.equation.label: status for status in statuses(app)}

    def marked(match: re.Match[str]) -> str:
        status = known.get(match["label"])
        if status is None or status.record is None or status.outcome not in MARKS:
            return match[0]
        place = ""
        if document(status.record.page) != pagename:
            place = app.builder.get_relative_uri(pagename, document(status.record.page))
        words = html.escape(established(status))
        return (
            f'{match[0]}<a class="proof-mark {status.outcome}" '
            f'href="{place}#proof-{match["label"]}" title="{words}" '
            f'aria-label="{words}: go to the proof">{MARKS[status.outcome]}</a>'
        )

    seen: set[str] = set()

    def linked(match: re.Match[str]) -> str:
        label = match["label"]
        status = known.get(label)
        if status is None or label in seen:
            return match[0]
        seen.add(label)
        place = ""
        if document(status.equation.page) != pagename:
            place = app.builder.get_relative_uri(pagename, document(status.equation.page))
        target = f"{place}#equation-{label}"
        return f'<a class="proof-record" id="proof-{label}" href="{target}">{label}</a>'

    context["body"] = RECORD.sub(linked, NUMBER.sub(marked, body))


def check(app: Sphinx, exception: Exception | None) -> None:
    """Fail where a mark or a row would lead nowhere."""
    if exception or app.builder.format != "html":
        return
    for status in statuses(app):
        if status.record is None:
            continue
        built = Path(app.outdir) / f"{document(status.record.page)}.html"
        if f'id="proof-{status.equation.label}"' not in built.read_text(encoding="utf-8"):
            raise ExtensionError(f"{built.name}: no proof of {status.equation.label} is shown")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    app.add_node(equation_count)
    app.add_node(equation_table)
    app.add_directive("equation-count", EquationCount)
    app.add_directive("equation-table", EquationTable)
    app.connect("env-before-read-docs", lambda app, env, docnames: read_statuses(app))
    app.connect("doctree-resolved", fill)
    app.connect("html-page-context", mark)
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
