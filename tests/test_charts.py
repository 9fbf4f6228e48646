"""Figures that move, in built pages, opened from a folder on disk by a browser without network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, Page

from tests.browser import chromium, find_chromium, set_theme
from tests.moving import CASES, figure

ROOT = Path(__file__).resolve().parent.parent
REQUIRED = os.environ.get("FLOWTUTORIAL_REQUIRE_BROWSER") == "1"
LOCAL = ("file:", "data:", "blob:", "about:")
LIVE = "div.chart-is-live"
TEXT = ".chart-live svg text"
CONFIGURATION = """
import sys
sys.path.insert(0, {extensions!r})
extensions = ["myst_nb", "vega"]
project = "Charts"
nb_execution_mode = "off"
html_theme = "sphinx_book_theme"
html_context = {{"default_mode": "light"}}
html_theme_options = {{"navbar_persistent": []}}
html_static_path = [{static!r}]
html_css_files = ["book.css"]
html_copy_source = False
"""

needs_browser = pytest.mark.skipif(
    find_chromium() is None and not REQUIRED,
    reason="no Chromium: install the package `chromium`, or set CHROMIUM to its path",
)


def notebook(title: str, outputs: list[nbformat.NotebookNode]) -> nbformat.NotebookNode:
    code = nbformat.v4.new_code_cell("figure", execution_count=1, outputs=outputs)
    cells = [nbformat.v4.new_markdown_cell(f"# {title}"), code]
    return nbformat.v4.new_notebook(
        cells=cells, metadata={"language_info": {"name": "python", "pygments_lexer": "ipython3"}}
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a book with one page for each figure, and one page without any."""
    source = tmp_path_factory.mktemp("charts")
    pages = {
        name: [
            nbformat.v4.new_output(
                "execute_result", figure(name)._repr_mimebundle_(), execution_count=1
            )
        ]
        for name in CASES
    }
    pages["plain"] = [nbformat.v4.new_output("stream", text="no figure")]
    for name, outputs in pages.items():
        nbformat.write(notebook(name, outputs), source / f"{name}.ipynb")
    paths = {"extensions": str(ROOT / "book/_ext"), "static": str(ROOT / "book/_static")}
    (source / "conf.py").write_text(CONFIGURATION.format(**paths), encoding="utf-8")
    contents = "\n".join(["# Charts", "", "```{toctree}", *pages, "```", ""])
    (source / "index.md").write_text(contents, encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", source, source / "html"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return source / "html"


# -- what is written -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_page_holds_a_still_picture_with_its_words(site: Path, name: str) -> None:
    page = BeautifulSoup((site / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
    (still,) = page.select("div.chart > img")
    assert still["alt"] == figure(name).alt
    picture = (site / str(still["src"])).read_text(encoding="utf-8")
    assert picture.startswith("<svg")
    assert "image/png" not in str(page)
    assert len(page.select("script[src*='vega-bundle']")) == 1


def test_only_pages_with_a_figure_load_the_libraries(site: Path) -> None:
    for page in ("plain", "index", "genindex"):
        text = (site / f"{page}.html").read_text(encoding="utf-8")
        assert "vega" not in re.sub(r"<title>.*?</title>", "", text), page


def test_libraries_come_with_their_licences(site: Path) -> None:
    bundle = (site / "_static/vega/vega-bundle.js").read_text(encoding="utf-8")
    assert bundle.startswith("/* Licences: see licenses/vega.txt */")
    notice = (site / "_static/licenses/vega.txt").read_text(encoding="utf-8")
    for words in ("vega-lite", "vega-embed", "d3-array", "Redistribution and use", "topojson"):
        assert words in notice
    mathjax = (site / "_static/licenses/mathjax.txt").read_text(encoding="utf-8")
    assert "Apache License" in mathjax


# -- what the reader sees --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture
def page(browser: Browser, complaints: list[str]) -> Iterator[Page]:
    """A page that may load nothing but files, and notes what it asks for and complains about."""
    context = browser.new_context(viewport={"width": 1300, "height": 900}, offline=True)
    page = context.new_page()
    page.on("console", lambda m: complaints.append(m.text) if m.type != "log" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith(LOCAL) else complaints.append(r.url))
    yield page
    context.close()


def open_chart(page: Page, site: Path, name: str) -> None:
    page.goto((site / f"{name}.html").as_uri())
    page.locator(LIVE).wait_for(timeout=30_000)


def shown(page: Page) -> list[str]:
    """Return the lines of text in the live chart."""
    return page.evaluate(
        """selector => Array.from(document.querySelectorAll(selector)).flatMap(text => {
            const lines = Array.from(text.querySelectorAll("tspan"), line => line.textContent);
            return lines.length ? lines : [text.textContent];
        })""",
        TEXT,
    )


def check_words(page: Page, name: str, place: dict[str, float]) -> None:
    found = shown(page)
    for words in CASES[name].words(**place):
        assert words in found, (place, found)
        found.remove(words)


def move(page: Page, place: dict[str, float]) -> None:
    """Put the sliders where they are wanted, as a script does."""
    for name, value in place.items():
        page.locator(f"input[name='{name}']").evaluate(
            """(input, value) => {
                input.value = value;
                input.dispatchEvent(new Event("input", {bubbles: true}));
            }""",
            str(value),
        )
    page.wait_for_timeout(150)


@needs_browser
@pytest.mark.parametrize("name", CASES)
def test_sliders_moved_by_script(page: Page, site: Path, complaints: list[str], name: str) -> None:
    open_chart(page, site, name)
    for place in CASES[name].places:
        move(page, place)
        check_words(page, name, place)
    assert not complaints


@needs_browser
@pytest.mark.parametrize("name", CASES)
def test_sliders_moved_by_keyboard(
    page: Page, site: Path, complaints: list[str], name: str
) -> None:
    open_chart(page, site, name)
    place = {}
    for slider in page.locator(f"{LIVE} input[type=range]").all():
        slider.focus()
        for key in ("Home", "ArrowRight", "ArrowRight", "ArrowLeft", "ArrowUp", "ArrowRight"):
            page.keyboard.press(key)
        low, step = (float(slider.get_attribute(a) or "nan") for a in ("min", "step"))
        value = float(slider.input_value())
        assert value == pytest.approx(low + 3 * step)
        place[slider.get_attribute("name") or ""] = value
    page.wait_for_timeout(150)
    assert place.keys() == CASES[name].places[0].keys()
    check_words(page, name, place)
    assert not complaints


@needs_browser
@pytest.mark.parametrize("name", CASES)
def test_names_for_those_who_do_not_see(page: Page, site: Path, name: str) -> None:
    open_chart(page, site, name)
    assert page.get_by_role("group", name=figure(name).alt, exact=True).count() == 1
    for slider in figure(name).sliders:
        label = slider.parameter.param.bind.to_dict()["name"].strip()
        assert page.get_by_role("slider", name=re.compile(f"^{re.escape(label)}")).count() == 1
    assert page.locator(".chart-said").inner_text() == ""
    place = CASES[name].places[0]
    move(page, place)
    page.wait_for_timeout(700)
    said = page.locator(".chart-said").inner_text()
    assert all(words in said for words in CASES[name].words(**place)[:2])


@needs_browser
@pytest.mark.parametrize("name", CASES)
def test_phone(page: Page, site: Path, name: str) -> None:
    """The chart fits into a page that becomes narrow, and its sliders keep their places."""
    open_chart(page, site, name)
    place = CASES[name].places[0]
    move(page, place)
    page.set_viewport_size({"width": 380, "height": 800})
    page.wait_for_timeout(1500)
    for theme in ("light", "dark"):
        set_theme(page, theme)
        assert page.evaluate("document.documentElement.scrollWidth") <= 380
    chart, svg = page.locator(LIVE).bounding_box(), page.locator(f"{LIVE} svg").bounding_box()
    assert chart is not None
    assert svg is not None
    assert 200 < svg["width"] <= chart["width"] <= 380
    check_words(page, name, place)


@needs_browser
def test_card_is_white_in_the_dark(page: Page, site: Path) -> None:
    open_chart(page, site, "pit")
    set_theme(page, "dark")
    assert page.locator(LIVE).evaluate("c => getComputedStyle(c).backgroundColor") == (
        "rgb(255, 255, 255)"
    )
    assert page.locator(f"{LIVE} label").first.evaluate("c => getComputedStyle(c).color") == (
        "rgb(34, 34, 34)"
    )


@needs_browser
def test_print_shows_the_still_picture(page: Page, site: Path) -> None:
    open_chart(page, site, "step_size")
    assert not page.locator(".chart-still").is_visible()
    page.emulate_media(media="print")
    assert page.locator(".chart-still").is_visible()
    assert not page.locator(".chart-live").is_visible()


@needs_browser
def test_without_scripts_the_still_picture_is_shown(browser: Browser, site: Path) -> None:
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto((site / "pit.html").as_uri())
    still = page.locator(".chart-still")
    assert still.is_visible()
    box = still.bounding_box()
    assert box is not None
    assert box["width"] > 300
    context.close()


@needs_browser
def test_a_chart_that_fails_leaves_the_still_picture(
    page: Page, site: Path, complaints: list[str]
) -> None:
    text = (site / "pit.html").read_text(encoding="utf-8")
    broken = site / "broken.html"
    broken.write_text(text.replace('"datum.k / 10"', '"datum.k +/ 10"'), encoding="utf-8")
    page.goto(broken.as_uri())
    page.wait_for_timeout(1500)
    assert page.locator(".chart-still").is_visible()
    assert page.locator(LIVE).count() == 0
    assert any("Left: the data" in complaint for complaint in complaints)
