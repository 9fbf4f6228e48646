"""Every displayed equation has what its kind asks for, and a changed one is found."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sympy as sp

from flowtutorial import Flow, Shift, StandardNormal
from flowtutorial.symbolic import average, equation, symbols
from flowtutorial.symbolic.coverage import Equation, Status, coverage, digest, summary
from flowtutorial.symbolic.texmath import TexError
from tests.test_pages import soup

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
STATUSES = coverage(BOOK)
CLAIMS = [status for status in STATUSES if status.equation.kind == "claim"]
x, mu = symbols("x mu")
NAMES = {"x": x, r"\mu": mu, "p": Flow(StandardNormal(), Shift(mu))}


@pytest.mark.parametrize("status", STATUSES, ids=lambda status: status.equation.name)
def test_displayed(status: Status) -> None:
    assert status.covered, f"{status.outcome}: {status.equation.latex}"


def test_the_book_displays_equations_of_each_kind() -> None:
    assert {status.outcome for status in STATUSES} >= {"proved", "cited", "defined"}
    assert len(CLAIMS) > 100


def test_pages_show_the_equations_that_were_counted(book: Path) -> None:
    shown = []
    for page in sorted((book / "book").glob("*.html")):
        shown += [tag.get("id") for tag in soup(page).select("div.math")]
    assert sorted(map(str, shown)) == sorted(f"equation-{s.equation.label}" for s in STATUSES)


def test_marks_and_appendix_lead_to_the_proofs(book: Path) -> None:
    marks = []
    for page in (book / "book").glob("[0-9]*.html"):
        for mark in soup(page).select(".eqno a.proof-mark"):
            marks.append(str(mark["href"]))
            label = str(mark["href"]).removeprefix("#proof-")
            record = soup(page).find(id=f"proof-{label}")
            assert record is not None
            assert record.find_parent(class_="cell_output")
            assert record["href"] == f"#equation-{label}"
            assert "proved" in str(mark["aria-label"]) or "checked" in str(mark["aria-label"])
    assert len(marks) == len(CLAIMS)
    appendix = soup(book / "book/equations.html")
    assert len(appendix.select("table.equations tbody tr")) == len(STATUSES)
    home = (book / "book/index.html").read_text(encoding="utf-8")
    assert f"{len(STATUSES)} displayed equations" in home


# -- what is found ---------------------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for page in [*BOOK.glob("*.ipynb"), *BOOK.glob("*.md")]:
        shutil.copy(page, tmp_path)
    return tmp_path


def change(folder: Path, label: str, old: str, new: str) -> None:
    """Change the LaTeX of one equation, in the cell that displays it."""
    for page in folder.glob("*.ipynb"):
        notebook = json.loads(page.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown" and old in source and label in source:
                cell["source"] = source.replace(old, new)
                page.write_text(json.dumps(notebook), encoding="utf-8")
                return
    raise AssertionError(label)


def altered(latex: str) -> str:
    """Change the first numeral, or else the first sign, or else the letters."""
    if match := re.search(r"(?<![_A-Za-z{])\d", latex):
        return latex[: match.start()] + str((int(match[0]) + 1) % 10) + latex[match.end() :]
    if match := re.search(r"[+-]", latex):
        return latex[: match.start()] + "-+"["+-".index(match[0])] + latex[match.end() :]
    return f"2 {latex}"


def test_a_change_in_any_claim_is_found(copy: Path) -> None:
    before = {status.equation.label: status.outcome for status in coverage(copy)}
    for claim in CLAIMS:
        label, latex = str(claim.equation.label), claim.equation.latex
        page = copy / claim.equation.page
        stored = page.read_bytes()
        change(copy, label, latex, altered(latex))
        after = {status.equation.label: status.outcome for status in coverage(copy)}
        page.write_bytes(stored)
        assert {key for key in before if after[key] != before[key]} == {label}
        assert after[label] == "stale"


def test_what_is_missing_has_a_name(tmp_path: Path) -> None:
    page = tmp_path / "page.md"

    def outcomes(text: str) -> list[str]:
        page.write_text(text, encoding="utf-8")
        return [status.outcome for status in coverage(tmp_path)]

    assert outcomes("$$\nx = 1\n$$") == ["unlabelled"]
    assert outcomes("$$ x = 1 $$ (other-x)") == ["unlabelled"]
    assert outcomes("$$ x = 1 $$ (eq-x)") == ["unverified"]
    assert outcomes("$$ x = 1 $$ (def-x)") == ["defined"]
    assert outcomes("$$ x = 1 $$ (def-x)\n\n$$ x = 1 $$ (def-x)") == ["repeated"] * 2
    assert outcomes("$$ x = 1 $$ (cite-x)") == ["uncited"]
    assert outcomes("$$ x = 1 $$ (cite-x)\n\nby {cite:p}`someone`") == ["cited"]
    assert outcomes("```{math}\n:label: eq-x\nx = 1\n```") == ["unverified"]
    assert outcomes("```{math}\nx = 1\n```") == ["unlabelled"]
    assert outcomes(":::{admonition} A\n\n$$ x = 1 $$ (eq-x)\n:::") == ["unverified"]
    assert outcomes("\\begin{equation}\nx = 1\n\\label{eq-x}\n\\end{equation}") == ["unverified"]
    assert outcomes("\\begin{align*}\nx = 1\n\\end{align*}") == ["unlabelled"]
    two = "\\begin{align}\nx = 1 \\label{def-x} \\\\\ny = 1 \\label{eq-y}\n\\end{align}"
    assert outcomes(two) == ["unlabelled"]
    for hidden in (
        "- $$x = 1$$",
        "| $$x = 1$$ |",
        "~~~{math}\nx = 1\n~~~",
        "1. $$ x = 1 $$ (eq-x)",
    ):
        assert set(outcomes(hidden)) == {"unlabelled"}, hidden
    assert outcomes("One writes `$$x = 1$$ (eq-x)` for it.") == []
    far = "$$ x = 1 $$ (cite-x)\n\nA paragraph.\n\nAnother {cite:p}`someone`."
    assert outcomes(far) == ["uncited"]
    assert outcomes("```python\n$$ x = 1 $$\n```\n\nnone but $y$") == []
    with pytest.raises(FileNotFoundError, match="no pages"):
        coverage(tmp_path / "none")


def notebook(folder: Path, source: str, printed: str, latex: str = "x = 1") -> list[Status]:
    """Write a notebook with one claim and one cell, and return the statuses."""
    stream = {"output_type": "stream", "name": "stdout", "text": printed}
    cells = [
        {"cell_type": "markdown", "source": f"$$\n{latex}\n$$ (eq-x)"},
        {"cell_type": "code", "source": source, "outputs": [stream]},
    ]
    (folder / "page.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    return coverage(folder)


def test_a_record_counts_with_the_right_hash_verdict_and_cell(tmp_path: Path) -> None:
    source, mark = 'equation("eq-x").prove(names)', digest("x = 1")
    verdicts = {
        "proved (exact)": "proved",
        "proved (exact), 3 steps": "proved",
        "proved (identity test, error < 2⁻¹⁰⁰)": "proved",
        "proved for D = 3": "proved",
        "checked to 50 digits": "checked",
        "checked to 50 digits — x = 1, why": "checked",
        "open — x = 1": "not proved",
        "refuted — x = 1, at x = 2": "not proved",
        "proved": "unverified",
    }
    for verdict, outcome in verdicts.items():
        (status,) = notebook(tmp_path, source, f"eq-x [{mark}]: {verdict}\n")
        assert status.outcome == outcome, verdict
    (status,) = notebook(tmp_path, source, "eq-x [00000000]: proved (exact)\n")
    assert status.outcome == "stale"
    (status,) = notebook(tmp_path, "print(text)", f"eq-x [{mark}]: proved (exact)\n")
    assert status.outcome == "unverified"
    two = f"eq-x [{mark}]: proved (exact)\neq-x [{mark}]: open\n"
    (status,) = notebook(tmp_path, source, two)
    assert status.outcome == "not proved"
    assert summary([status]) == "proved 0, checked 0, cited 0, defined 0 of 1"


def test_the_command_fails_where_something_is_missing(copy: Path) -> None:
    command = [sys.executable, str(ROOT / "tools/equations.py")]
    whole = subprocess.run([*command, str(BOOK)], capture_output=True, text=True)
    assert whole.returncode == 0
    assert whole.stdout.splitlines()[-1] == summary(STATUSES)
    change(copy, "eq-shift-one-step", r"(1 - \gamma)", r"(1 + \gamma)")
    run = subprocess.run([*command, str(copy)], capture_output=True, text=True)
    assert run.returncode == 1
    assert "stale: eq-shift-one-step (01-the-simplest-flow.ipynb)" in run.stdout
    assert re.search(r"proved \d+, checked \d+, cited \d+, defined \d+ of \d+$", run.stdout.strip())


# -- proving from the page -------------------------------------------------------------------------


def test_an_equation_is_proved_as_it_stands_on_the_page() -> None:
    claim = equation("eq-shift-log-prob", BOOK)
    names = NAMES | {"p": lambda x, mu: sp.exp(Flow(StandardNormal(), Shift(mu)).log_prob(x).expr)}
    proof = claim.prove(names)
    assert proof
    assert repr(proof) == f"eq-shift-log-prob [{digest(claim.latex)}]: proved (exact)"
    wrong = Equation(claim.label, claim.latex.replace("(x - ", "(x + ")).prove(names)
    assert not wrong
    assert wrong.verdict == "refuted"
    assert wrong.witness
    assert "refuted — " in repr(wrong)


def test_every_step_is_proved() -> None:
    chain = Equation("eq-chain", r"(x + \mu)^2 = x^2 + 2 x \mu + \mu^2 = x (x + 2 \mu) + \mu^2")
    assert repr(chain.prove(NAMES)).endswith("proved (exact), 2 steps")
    middle = Equation("eq-chain", r"(x + \mu)^2 = x^2 + 3 x \mu + \mu^2 = (x + \mu)^2")
    assert middle.prove(NAMES).verdict == "refuted"


@pytest.mark.parametrize(
    ("latex", "verdict"),
    [
        (r"\sqrt{x^2} = x \qquad (x > 0)", "proved (exact)"),
        (r"\sqrt{x^2} = x", "refuted"),
        (r"x^2 + 1 \geq 2 x", "proved (exact)"),
        (r"x^2 \leq 2 x", "refuted"),
        (r"|1 - x| < 1 \iff 0 < x < 2", "proved (exact)"),
        (r"|1 - x| < 1 \iff 0 < x < 3", "refuted"),
        (r"x^2 < 1 \iff x < 1 \qquad (x > 0)", "proved (exact)"),
        (r"x^2 < 1 \iff x < 1", "refuted"),
        (r"\begin{pmatrix} x & 1 \end{pmatrix} = \begin{pmatrix} x & 2 \end{pmatrix}", "refuted"),
        (r"\log p(x) = -\tfrac12 (\log 2\pi + x^2) \qquad \text{at } \mu = 0", "proved (exact)"),
    ],
)
def test_relations_and_clauses(latex: str, verdict: str) -> None:
    assert Equation("eq-x", latex).prove(NAMES).verdict == verdict


def test_options_of_prove() -> None:
    t = sp.Symbol("t", integer=True)
    power = Equation("eq-x", "x^{t+1} = x x^t")
    assert power.prove(NAMES | {"t": t}, rewrite=sp.powsimp)
    assumed = Equation("eq-x", r"|x| = x").prove(NAMES, assume={"x": "positive"})
    assert assumed
    assert repr(assumed).endswith(": proved for x > 0")
    between = Equation("eq-x", r"|x| = x").prove(NAMES, assume={"x": (1, 2)}, fixed="n = 2")
    assert repr(between).endswith(": proved for n = 2 and 1 < x < 2")
    fixed = Equation("eq-x", "x + x = 2 x").prove(NAMES, fixed="n = 2")
    assert repr(fixed).endswith(": proved for n = 2")
    assert fixed
    assert Equation("eq-x", "x + x = 3 x").prove(NAMES, fixed="n = 2").verdict == "refuted"


def test_errors_name_the_equation(tmp_path: Path) -> None:
    with pytest.raises(TexError, match="eq-x: undeclared name 'w'"):
        Equation("eq-x", "w = 1").prove(NAMES)
    with pytest.raises(TexError, match=r"eq-x: .* alone is not read"):
        Equation("eq-x", "x < 1").prove(NAMES)
    with pytest.raises(TexError, match=r"eq-x: .* one symbol"):
        Equation("eq-x", r"x < 1 \iff \mu < 1").prove(NAMES)
    with pytest.raises(TexError, match="eq-x: assume: the equation itself says where x lies"):
        Equation("eq-x", r"|x| = x \qquad (x < 0)").prove(NAMES, assume={"x": "positive"})
    with pytest.raises(LookupError, match=r"eq-none: no page in .* save the notebook"):
        equation("eq-none", BOOK)
    for name in ("a", "b"):
        (tmp_path / f"{name}.md").write_text(f"$$ x = 1 $$ (eq-x)\n\n$$ {name} = 1 $$ (eq-y)")
    assert equation("eq-x", tmp_path).latex == "x = 1"
    with pytest.raises(LookupError, match="2 different equations"):
        equation("eq-y", tmp_path)


def test_an_equation_is_found_from_the_folder_of_the_chapters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for folder in (BOOK, ROOT, ROOT / "tests"):
        monkeypatch.chdir(folder)
        assert equation("eq-shift-one-step").latex


# -- averages --------------------------------------------------------------------------------------


def test_average_is_the_integral() -> None:
    z = symbols("z")
    density = sp.exp(StandardNormal().log_prob(z).expr)
    formula = (2 * z - mu) ** 2 + z
    integral = sp.integrate(sp.expand(formula.expr) * density, (z.expr, -sp.oo, sp.oo))
    assert sp.simplify(average(formula, z, [1, 0, 1]).expr - integral) == 0


def test_average_refuses_what_the_moments_do_not_reach() -> None:
    with pytest.raises(ValueError, match=r"moments: 3 averages .* the formula has x\*\*4"):
        average(x**4, x, [1, 0, 1])
    with pytest.raises(ValueError, match=r"formula: .* is not a polynomial in x"):
        average(sp.exp(x.expr), x, [1, 0, 1])
