"""Chapters as stored: executed, readable, and compared by a gate that is able to fail.

That every stored output is what the code gives today is tested by nbval, which `make test` runs
over `book/`, and by `conftest.py` for figures. Here is what nbval lets pass, and the proof that the
gate closes: copies with a changed digit, a changed figure and a changed formula have to fail.
"""

from __future__ import annotations

import ast
import base64
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from PIL import Image, ImageDraw

from tools.notebooks import macro_definitions, tex_macros

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = sorted((ROOT / "book").glob("*.ipynb"))
# A chapter prints rendered mathematics and figures besides text, and nothing that needs a kernel.
MIME_TYPES = {"text/plain", "text/latex", "text/markdown", "image/png"}
MIME_TYPES |= {"application/vnd.vegalite.v5+json"}  # a chart, which needs none either


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def chapter(request: pytest.FixtureRequest) -> Any:
    return read(request.param)


def test_there_are_chapters() -> None:
    assert CHAPTERS


def test_every_cell_was_executed_in_order(chapter: Any) -> None:
    cells = code_cells(chapter)
    assert all(cell.source.strip() for cell in cells)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


def test_no_output_is_an_error_or_a_warning(chapter: Any) -> None:
    outputs = [output for cell in code_cells(chapter) for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]


def test_outputs_are_text_mathematics_or_png(chapter: Any) -> None:
    outputs = [output for cell in code_cells(chapter) for output in cell.outputs]
    assert {kind for output in outputs for kind in output.get("data", {})} <= MIME_TYPES


def test_every_figure_has_alternative_text_and_lies_on_white(chapter: Any) -> None:
    for cell in code_cells(chapter):
        figures = [o.data for o in cell.outputs if "image/png" in o.get("data", {})]
        assert len(figures) <= 1, "one figure a cell, or they share one alternative text"
        for figure in figures:
            png, moving = figure["image/png"], figure.get("application/vnd.vegalite.v5+json", {})
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            text = moving.get("description", alt)
            assert len(text.split()) >= 5, f"metadata.mystnb.image.alt of:\n{cell.source}"
            picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA")
            assert picture.getpixel((0, 0)) == (255, 255, 255, 255)


def test_no_cell_imports_a_private_name(chapter: Any) -> None:
    imports = [
        node
        for cell in code_cells(chapter)
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.ImportFrom)
    ]
    assert not [alias.name for node in imports for alias in node.names if alias.name[0] == "_"]


def test_no_cell_asks_nbval_to_look_away(chapter: Any) -> None:
    for cell in code_cells(chapter):
        assert not re.search(r"NBVAL|PYTEST_VALIDATE", cell.source)
        tags = cell.metadata.get("tags", [])
        assert not [tag for tag in tags if tag.startswith("nbval") or tag == "raises-exception"]


def test_jupyter_knows_the_books_tex_macros(chapter: Any) -> None:
    assert chapter.cells[0].source == macro_definitions(tex_macros())
    assert "remove-cell" in chapter.cells[0].metadata.tags


def test_metadata_does_not_depend_on_the_machine(chapter: Any) -> None:
    assert set(chapter.metadata) == {"kernelspec", "language_info"}
    assert chapter.metadata.kernelspec.name == "python3"
    assert set(chapter.metadata.language_info) == {"name"}
    assert not [cell for cell in chapter.cells if "execution" in cell.metadata]


def validate(notebook: Path, *options: str, package: Path = ROOT) -> str:
    """Run nbval on a copy of a chapter, with the package from the given folder; return its report.

    The report names each failed cell in a line of its own.
    """
    (notebook.parent / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "--color=no"]
    plugins = ["-p", "conftest", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-cov", "-rf"]
    config = ["-c", str(notebook.parent / "pytest.ini")]
    run = subprocess.run(
        [*command, *plugins, *config, *options, str(notebook)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(package)},
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert run.returncode == 1, f"the gate did not close:\n{run.stdout[-3000:]}{run.stderr[-3000:]}"
    return run.stdout


def failed_cells(report: str) -> list[int]:
    return [int(number) for number in re.findall(r"^FAILED .*::Cell (\d+)", report, re.MULTILINE)]


def change_digit(cells: list[Any]) -> int:
    """Change the last digit that a cell printed, and return the number of that cell."""
    for number, cell in enumerate(cells):
        for output in cell.outputs:
            if output.output_type == "stream" and (digits := list(re.finditer(r"\d", output.text))):
                at = digits[-1].start()
                other = str((int(output.text[at]) + 1) % 10)
                output.text = output.text[:at] + other + output.text[at + 1 :]
                return number
    raise AssertionError("no cell prints a number")


def change_figure(cells: list[Any]) -> int:
    """Draw a thin line across a stored figure, and return the number of its cell."""
    for number, cell in enumerate(cells):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                data = base64.b64decode(output.data["image/png"])
                picture = Image.open(io.BytesIO(data)).convert("RGB")
                ImageDraw.Draw(picture).line((0, 0, *picture.size), fill="#0072B2", width=2)
                changed = io.BytesIO()
                picture.save(changed, format="PNG")
                output.data["image/png"] = base64.b64encode(changed.getvalue()).decode()
                return number
    raise AssertionError("no cell draws a figure")


def test_changed_digit_and_changed_figure_are_found(tmp_path: Path) -> None:
    notebook = read(CHAPTERS[0])
    cells = code_cells(notebook)
    changed = {change_digit(cells), change_figure(cells)}
    notebook.cells = notebook.cells[: notebook.cells.index(cells[max(changed)]) + 1]
    nbformat.write(notebook, tmp_path / CHAPTERS[0].name)
    report = validate(tmp_path / CHAPTERS[0].name)
    assert failed_cells(report) == sorted(changed)
    assert "Cell outputs differ" in report
    assert "Cell figures differ" in report


def test_changed_formula_is_found(tmp_path: Path) -> None:
    package = tmp_path / "package/flowtutorial"
    shutil.copytree(ROOT / "flowtutorial", package)
    source = (package / "elementwise.py").read_text(encoding="utf-8")
    changed = source.replace("return x - self.shift,", "return x + self.shift,", 1)
    assert changed != source
    (package / "elementwise.py").write_text(changed, encoding="utf-8")
    shutil.copy(CHAPTERS[0], tmp_path)
    report = validate(tmp_path / CHAPTERS[0].name, "--exitfirst", package=package.parent)
    assert failed_cells(report)


def test_changed_equation_is_found(tmp_path: Path) -> None:
    notebook = read(CHAPTERS[0])
    changed = [cell for cell in notebook.cells if "(eq-shift-log-prob)" in cell.source]
    proofs = [cell for cell in code_cells(notebook) if '"eq-shift-log-prob"' in cell.source]
    assert (len(changed), len(proofs)) == (1, 1)
    before = changed[0].source
    changed[0].source = before.replace(r"- \tfrac{1}{2} (x - \mu)^2", r"- \tfrac{1}{2} (x + \mu)^2")
    assert changed[0].source != before
    notebook.cells = notebook.cells[: notebook.cells.index(proofs[0]) + 1]
    nbformat.write(notebook, tmp_path / CHAPTERS[0].name)
    report = validate(tmp_path / CHAPTERS[0].name)
    assert failed_cells(report) == [code_cells(notebook).index(proofs[0])]
    assert "refuted" in report
