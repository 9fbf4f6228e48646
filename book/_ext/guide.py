"""The reader's path: the map of the chapters, and the questions with links to their answers.

Sphinx extension of this book alone. The directive `chapter-map` draws what builds on what from a
small table and the table of contents. An admonition whose title is a question can be linked by it,
and the directive `questions` lists them all.
"""

from __future__ import annotations

import html
import re
from pathlib import PurePosixPath
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

LOGGER = logging.getLogger(__name__)


def chapters(env: BuildEnvironment) -> dict[int, str]:
    """Return the documents of the chapters that are in the book, by their numbers."""
    found = {}
    for name in env.found_docs:
        if match := re.match(r"(\d+)-", PurePosixPath(name).name):
            found[int(match[1])] = name
    return dict(sorted(found.items()))


def title_node(env: BuildEnvironment, name: str) -> list[nodes.Node]:
    """Return copies of the nodes of a document's title."""
    return [child.deepcopy() for child in env.titles[name].children]


# -- the map -------------------------------------------------------------------------------------


class chapter_map(nodes.General, nodes.Element):
    """Stands where the map will be; holds the table."""


class ChapterMap(SphinxDirective):
    """A map of the chapters and a list of them, from a table in YAML.

    Each number of a chapter leads to a short `name` for the map, to what the chapter is `about`
    for the list, and to the numbers of the chapters that it `needs`. A chapter that is not in the
    table of contents yet is left out.
    """

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Read the table and leave a place for the map."""
        place = chapter_map()
        place["table"] = yaml.safe_load("\n".join(self.content))
        self.set_source_info(place)
        for number, entry in place["table"].items():
            about, messages = self.parse_inline(entry["about"].strip(), lineno=self.lineno)
            place += nodes.paragraph("", "", *about, *messages, number=number)
        return [place]


def first_needs(needs: dict[int, set[int]]) -> dict[int, set[int]]:
    """Drop the needs of a chapter that one of its other needs brings along."""

    def behind(number: int) -> set[int]:
        return set().union(*({n} | behind(n) for n in needs[number]))

    return {
        number: {n for n in direct if not any(n in behind(m) for m in direct)}
        for number, direct in needs.items()
    }


def places(needs: dict[int, set[int]]) -> dict[int, tuple[float, int]]:
    """Return column and row of each chapter: below all that it needs, and near to them."""
    rows: dict[int, int] = {}
    for number in sorted(needs):
        rows[number] = 1 + max((rows[n] for n in needs[number]), default=-1)
    columns: dict[int, float] = {}
    for row in range(max(rows.values()) + 1):
        inside = [number for number in sorted(rows) if rows[number] == row]
        above = {n: [columns[m] for m in needs[n]] or [0.0] for n in inside}
        inside.sort(key=lambda n: sum(above[n]) / len(above[n]))
        for place, number in enumerate(inside):
            columns[number] = place - (len(inside) - 1) / 2
    return {number: (columns[number], rows[number]) for number in sorted(needs)}


BOX, GAP = (164, 38), (14, 26)  # width and height, in pixels


def drawing(names: dict[int, str], needs: dict[int, set[int]], links: dict[int, str]) -> str:
    """Return the map as SVG: a box for each chapter, an arrow from each that it builds on."""
    needs = first_needs(needs)
    at = places(needs)
    middle = max(column for column, _ in at.values())
    center = {
        number: (
            (column + middle + 0.5) * (BOX[0] + GAP[0]),
            row * (BOX[1] + GAP[1]) + BOX[1] / 2 + 1,
        )
        for number, (column, row) in at.items()
    }
    width = (2 * middle + 1) * (BOX[0] + GAP[0])
    height = max(y for _, y in center.values()) + BOX[1] / 2 + 1
    arrows, boxes = [], []
    for number, (x, y) in center.items():
        top = y - BOX[1] / 2
        for needed in sorted(needs[number]):
            from_x, from_y = center[needed][0], center[needed][1] + BOX[1] / 2
            above, bend = top - GAP[1], GAP[1] / 2  # straight down to the row above, then across
            arrows.append(
                f'<path d="M{from_x:g},{from_y:g} V{above:g} C{from_x:g},{above + bend:g} '
                f'{x:g},{top - 5 - bend:g} {x:g},{top - 5:g}"/>'
                f'<path class="head" d="M{x - 4:g},{top - 7:g} h8 l-4,7 z"/>'
            )
        boxes.append(
            f'<a href="{html.escape(links[number])}">'
            f'<rect x="{x - BOX[0] / 2:g}" y="{top:g}" width="{BOX[0]}" height="{BOX[1]}" rx="5"/>'
            f'<text x="{x:g}" y="{y + 4.5:g}">{number} {html.escape(names[number])}</text></a>'
        )
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}">'
        f'<g class="arrows" aria-hidden="true">{"".join(arrows)}</g>{"".join(boxes)}</svg>'
    )


def in_words(numbers: set[int]) -> str:
    """Return what a chapter builds on, in words."""
    ordered = [str(number) for number in sorted(numbers)]
    if not ordered:
        return "Begin here."
    if len(ordered) == 1:
        return f"Builds on chapter {ordered[0]}."
    return f"Builds on chapters {', '.join(ordered[:-1])} and {ordered[-1]}."


def fill_map(app: Sphinx, place: chapter_map, docname: str) -> None:
    """Put the map and the list of the chapters into their place."""
    found, table = chapters(app.env), place["table"]
    for number in set(found) - set(table):
        LOGGER.warning("chapter-map: chapter %d is not in the table", number, location=place)
    found = {number: name for number, name in found.items() if number in table}
    needs = {number: set(table[number].get("needs", ())) for number in found}
    for number, needed in needs.items():
        if unknown := {n for n in needed if n not in table or n >= number}:
            LOGGER.warning("chapter-map: chapter %d needs %s", number, unknown, location=place)
        needs[number] = {n for n in needed - unknown if n in found}
    links = {n: app.builder.get_relative_uri(docname, name) for n, name in found.items()}
    names = {number: table[number]["name"] for number in found}
    about = {paragraph["number"]: paragraph.children for paragraph in place.children}
    listed = nodes.bullet_list(classes=["chapter-list"])
    for number, name in found.items():
        title = title_node(app.env, name)
        link = nodes.reference("", f"{number}. ", *title, refuri=links[number], internal=True)
        words = nodes.inline("", in_words(needs[number]), classes=["needs"])
        text = nodes.paragraph("", "", *about[number], nodes.Text(" "), words)
        listed += nodes.list_item("", nodes.paragraph("", "", link, classes=["title"]), text)
    picture = (
        f'<nav class="map" aria-label="Map of the chapters">{drawing(names, needs, links)}</nav>'
    )
    box = nodes.container(classes=["chapter-map"])
    box += [nodes.raw("", picture, format="html"), listed]
    place.replace_self(box)


# -- the questions -------------------------------------------------------------------------------


class question_table(nodes.General, nodes.Element):
    """Stands where the table of questions will be; holds one paragraph for each."""


def key(text: str) -> str:
    """Return a question as part of an id: its words, whatever the quotation marks."""
    return "-".join(re.findall(r"[a-z0-9]+", text.lower().replace("’", "'")))


class Questions(SphinxDirective):
    """A table of questions, one a line, each with links to the admonitions of that title.

    A question that no chapter answers yet ends in `(to come)`. Questions that the chapters answer
    beyond those listed are added at the end.
    """

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Read the questions and leave a place for the table."""
        place = question_table()
        self.set_source_info(place)
        for line in self.content:
            if line.strip():
                text, mark, _ = line.partition(" (to come)")
                parsed, messages = self.parse_inline(text.strip(), lineno=self.lineno)
                place += nodes.paragraph("", "", *parsed, *messages, to_come=bool(mark))
        return [place]


def note_questions(app: Sphinx, doctree: nodes.document) -> None:
    """Give each admonition whose title is a question an id, and remember it."""
    noted = []
    for admonition in doctree.findall(nodes.admonition):
        title = admonition.next_node(nodes.title)
        if title is not None and title.astext().endswith("?"):
            place = f"question-{key(title.astext())}"
            admonition["ids"].append(place)
            noted.append((place, [child.deepcopy() for child in title.children]))
    questions(app.env)[app.env.docname] = noted


def questions(env: BuildEnvironment) -> dict[str, list[tuple[str, list[nodes.Node]]]]:
    """Return the questions that each document answers."""
    if not hasattr(env, "flow_questions"):
        env.flow_questions = {}  # type: ignore[attr-defined]
    found: dict[str, list[tuple[str, list[nodes.Node]]]] = env.flow_questions  # type: ignore[attr-defined]
    return found


def purge_questions(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget the questions of a document that is read anew."""
    questions(env).pop(docname, None)


def merge_questions(app: Sphinx, env: BuildEnvironment, names: Any, other: Any) -> None:
    """Take over the questions that another process has read."""
    questions(env).update(questions(other))


def fill_questions(app: Sphinx, place: question_table, docname: str) -> None:
    """Put the table of questions into its place."""
    answers: dict[str, list[tuple[int, str]]] = {}
    titles: dict[str, list[nodes.Node]] = {}
    for number, name in chapters(app.env).items():
        for target, title in questions(app.env).get(name, []):
            uri = f"{app.builder.get_relative_uri(docname, name)}#{target}"
            answers.setdefault(target, []).append((number, uri))
            titles.setdefault(target, title)
    body = nodes.tbody()
    for paragraph in place.children:
        target = f"question-{key(paragraph.astext())}"
        if target not in answers and not paragraph["to_come"]:
            LOGGER.warning("questions: no answer to %r", paragraph.astext(), location=place)
        body += question_row(paragraph.children, answers.pop(target, []))
    for target, found in answers.items():
        body += question_row([node.deepcopy() for node in titles[target]], found)
    heads = nodes.row(
        "", *(nodes.entry("", nodes.paragraph("", h)) for h in ("Question", "Answer"))
    )
    widths = [nodes.colspec(colwidth=width) for width in (75, 25)]
    group = nodes.tgroup("", *widths, nodes.thead("", nodes.row("", *heads)), body, cols=2)
    place.replace_self(nodes.table("", group, classes=["questions"]))


def question_row(text: list[nodes.Node], answers: list[tuple[int, str]]) -> nodes.row:
    """Return the row of one question: the words, and links to the answers."""
    cell = nodes.paragraph("", "")
    for number, uri in answers:
        words = f"chapter {number}" if len(cell) else f"Chapter {number}"
        if len(cell):
            cell += nodes.Text(", ")
        cell += nodes.reference("", words, refuri=uri, internal=True)
    if not answers:
        cell += nodes.emphasis("", "to come")
    return nodes.row("", nodes.entry("", nodes.paragraph("", "", *text)), nodes.entry("", cell))


# -- both ----------------------------------------------------------------------------------------


def fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put what depends on other pages into its place."""
    for place in list(doctree.findall(chapter_map)):
        fill_map(app, place, docname)
    for place in list(doctree.findall(question_table)):
        fill_questions(app, place, docname)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    app.add_node(chapter_map)
    app.add_node(question_table)
    app.add_directive("chapter-map", ChapterMap)
    app.add_directive("questions", Questions)
    app.add_css_file("guide.css")
    app.connect("doctree-read", note_questions)
    app.connect("env-purge-doc", purge_questions)
    app.connect("env-merge-info", merge_questions)
    app.connect("doctree-resolved", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
