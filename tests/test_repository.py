"""The parts of the repository agree with each other."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))


def pages() -> list[str]:
    """Return the pages of the table of contents, without their endings."""
    entries = [entry["file"] for part in TOC["parts"] for entry in part["chapters"]]
    return [TOC["root"], *entries]


def test_every_page_is_in_the_table_of_contents() -> None:
    files = [*(ROOT / "book").glob("*.ipynb"), *(ROOT / "book").glob("*.md")]
    assert sorted(pages()) == sorted(str(path.relative_to(ROOT).with_suffix("")) for path in files)


def test_home_page_has_a_line_for_every_chapter() -> None:
    home = (ROOT / "book/index.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^```\{chapter-map\}\n(.*?)^```", home, re.MULTILINE | re.DOTALL)
    chapters = {int(path.name.split("-")[0]) for path in (ROOT / "book").glob("[0-9]*.ipynb")}
    assert chapters <= set(yaml.safe_load(table))


def test_notation_page_lists_every_tex_macro() -> None:
    macros = CONFIG["sphinx"]["config"]["mathjax3_config"]["tex"]["macros"]
    page = (ROOT / "book/notation.md").read_text(encoding="utf-8")
    section = page.split("## TeX macros")[1].split("\n## ")[0]
    assert set(re.findall(r"`\\([a-zA-Z]+)", section)) == set(macros)


def test_notebook_text_converter_has_one_name() -> None:
    attributes = (ROOT / ".gitattributes").read_text(encoding="utf-8")
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (name,) = re.findall(r"^\*\.ipynb .*\bdiff=(\w+)", attributes, re.MULTILINE)
    assert f"git config diff.{name}.textconv" in contributing


def test_lock_holds_every_dependency_with_hashes_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(name for extra in extras for name in extra)]
    names = {re.split(r"[<>=~! \[]", entry)[0].lower() for entry in wanted}
    entries = re.findall(r"^(\S+)==.*\n(.*)", lock, re.MULTILINE)
    assert names <= {name for name, _ in entries}
    assert all("--hash=sha256:" in following for _, following in entries)
    assert "://" not in lock


def test_make_says_what_is_wrong_with_an_old_python(tmp_path: Path) -> None:
    old = tmp_path / "python-old"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.9.1" && exit\nexit 1\n')
    old.chmod(0o755)
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text(encoding="utf-8"))
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    run = subprocess.run(
        ["make", "book", f"PYTHON={old}"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2
    assert "needs Python 3.11 or newer" in run.stderr
    assert "Python 3.9.1" in run.stderr
