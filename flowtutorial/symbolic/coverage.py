r"""Tie every displayed equation of the book to the executed cell that proves it.

`equation("eq-...")` takes the LaTeX of a claim from the page, `.prove(names)` reads it with the
table of names and proves each step. Its output, one line with the label, a hash of the LaTeX and
the verdict, is stored in the notebook. `coverage` compares these lines with the pages: a claim
without one is unverified, and one whose LaTeX has changed since is stale. `make equations` runs
the comparison.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp

from .outcomes import (
    CHECKED,
    OPEN,
    PROVED_EXACT,
    PROVED_FOR,
    PROVED_IDENTITY,
    REFUTED,
    weakest_of,
)
from .prove import Assumption, Claim, Proof, prove
from .texmath import Relation, Statement, TexError, read
from .trace import SymArray

KINDS = {"eq": "claim", "def": "definition", "cite": "citation"}

# -- the pages -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Displayed:
    """A displayed equation, as it stands on a page."""

    label: str | None
    latex: str
    page: str
    around: str

    @property
    def kind(self) -> str | None:
        """One of `claim`, `definition` and `citation`, as the label says; otherwise None."""
        return KINDS.get((self.label or "").split("-")[0])

    @property
    def name(self) -> str:
        """What to call the equation in a message."""
        return self.label or f"{self.page}: {' '.join(self.latex.split())[:40]}"


@dataclasses.dataclass(frozen=True)
class Record:
    """What a proof left in the stored output of a cell."""

    label: str
    digest: str
    verdict: str
    steps: int
    page: str
    cell: int


def digest(latex: str) -> str:
    """Return the hash by which a changed equation is found; spaces and line ends don't count."""
    return hashlib.sha256(" ".join(latex.split()).encode()).hexdigest()[:8]


_DISPLAYED = re.compile(
    r"^(?P<indent>[ >]*)\$\$(?P<dollars>(?:(?!\$\$).)*)\$\$"
    r"[ \t]*(?:\((?P<label>[\w:.-]+)\))?[ \t]*$"
    r"|^[ >]*(?P<fence>`{3,}|:{3,})\{math\}[ \t]*\n(?P<options>(?:[ \t>]*:[\w-]+:[^\n]*\n)*)"
    r"(?P<directive>.*?)^[ >]*(?P=fence)[ \t]*$"
    r"|^[ >]*\\begin\{(?P<environment>equation|align|gather|alignat|multline|eqnarray)"
    r"(?P<star>\*?)\}"
    r"(?P<ams>.*?)\\end\{(?P=environment)(?P=star)\}",
    re.DOTALL | re.MULTILINE,
)
_FENCE = re.compile(
    r"^(?P<indent>[ >]*)(?P<fence>`{3,}|~{3,})(?P<info>[^\n`]*)\n(?P<body>.*?)"
    r"^[ >]*(?P=fence)[`~]*[ \t]*$",
    re.DOTALL | re.MULTILINE,
)
_LITERAL = {"code", "code-block", "code-cell", "sourcecode", "literalinclude", "eval-rst", "raw"}


# What else would be displayed: in a list, a table, a title, by another directive or environment.
_OTHER = re.compile(
    r"\$\$|\{math\}|\.\. math::"
    r"|\\begin\{(?:equation|align|gather|flalign|alignat|multline|eqnarray)\*?\}",
    re.IGNORECASE,
)
_INLINE_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)


def _prose(markdown: str) -> str:
    """Return a page's text without what is shown as code."""

    def kept(match: re.Match[str]) -> str:
        directive = re.match(r"\{([\w:-]+)\}", match["info"].strip())
        if directive is None or directive[1] in _LITERAL:
            return ""
        return match.group()

    return _FENCE.sub(kept, markdown)


def _in_text(text: str, page: str) -> Iterator[Displayed]:
    text = _prose(text.replace("\r\n", "\n"))
    for match in _DISPLAYED.finditer(text):
        label = match["label"]
        if match["options"]:
            option = re.search(r":label:\s*(\S+)", match["options"])
            label = option[1] if option else None
        latex = match["dollars"] or match["directive"] or match["ams"] or ""
        written = re.findall(r"\\label\{([^}]*)\}", match["ams"] or "")
        if len(written) == 1:  # several labels are those of several claims, and none counts
            label, latex = written[0], re.sub(r"\\label\{[^}]*\}", "", latex)
        paragraphs = (text[: match.start()].rstrip(), text[match.end() :].lstrip())
        around = paragraphs[0].split("\n\n")[-1] + "\n\n" + paragraphs[1].split("\n\n")[0]
        yield Displayed(label, latex.strip(), page, around)
    for left in _OTHER.findall(_INLINE_CODE.sub("", _DISPLAYED.sub("", text))):
        yield Displayed(None, f"{left} in a form that is not read here", page, "")


_RECORD = re.compile(
    rf"^(?P<label>eq-[\w-]+) \[(?P<digest>[0-9a-f]{{8}})\]: (?P<verdict>"
    rf"{'|'.join(re.escape(v) for v in (PROVED_EXACT, PROVED_IDENTITY, CHECKED, OPEN, REFUTED))}"
    rf"|{PROVED_FOR}[^,\n]*)(?:, (?P<steps>\d+) steps)?",
    re.MULTILINE,
)


def _printed(output: Mapping[str, Any]) -> str:
    text = output.get("text", output.get("data", {}).get("text/plain", ""))
    return text if isinstance(text, str) else "".join(text)


@dataclasses.dataclass(frozen=True)
class _Page:
    displayed: tuple[Displayed, ...]
    records: tuple[Record, ...]


@lru_cache(maxsize=256)
def _page(path: Path, changed: int) -> _Page:
    """Read a page; `changed` is the time of its last change, so that it is read again after one."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return _Page(tuple(_in_text(text, path.name)), ())
    displayed: list[Displayed] = []
    records: list[Record] = []
    try:
        cells = json.loads(text)["cells"]
    except (ValueError, KeyError, TypeError):  # not a notebook, whatever it is called
        return _Page((), ())
    for number, cell in enumerate(cells):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            displayed += _in_text(source, path.name)
        for output in cell.get("outputs", ()):
            for found in _RECORD.finditer(_printed(output)):
                # a proof is by name, in the cell that shows it
                if re.search(rf"(?<![\w-]){found['label']}(?![\w-])", source):
                    steps = int(found["steps"] or 1)
                    found_ = (found["label"], found["digest"], found["verdict"], steps)
                    records.append(Record(*found_, path.name, number))
    return _Page(tuple(displayed), tuple(records))


def _pages(book: Path) -> list[_Page]:
    paths = sorted([*book.glob("*.ipynb"), *book.glob("*.md")])
    return [_page(path, path.stat().st_mtime_ns) for path in paths]


# -- proving what the page says --------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, repr=False)
class EquationProof(Proof):
    """What became of a displayed equation; it prints as the line that the book keeps."""

    label: str = ""
    digest: str = ""

    def __bool__(self) -> bool:
        return super().__bool__()

    def __repr__(self) -> str:
        steps = f", {len(self.claims)} steps" if len(self.claims) > 1 else ""
        line = f"{self.label} [{self.digest}]: {self.verdict}{steps}"
        if self:
            return line
        weakest = next(claim for claim in self.claims if claim.verdict == self.verdict)
        return f"{line} — {weakest.statement}" + (f", {weakest.note}" if weakest.note else "")


@dataclasses.dataclass(frozen=True)
class Equation:
    """A displayed equation, taken from its page by `equation`."""

    label: str
    latex: str

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex}$"

    def prove(
        self,
        names: Mapping[str, Any],
        assume: Mapping[sp.Symbol | str, Assumption] | None = None,
        rewrite: Callable[[sp.Expr], sp.Expr] | None = None,
        fixed: str = "",
    ) -> EquationProof:
        r"""Prove every step of the equation, as it stands on the page.

        Parameters
        ----------
        names : mapping of str to object
            What each name in the LaTeX stands for (`flowtutorial.symbolic.texmath.read` says what
            may stand there): best what the package's own code returns for symbols.
        assume : mapping of symbol (or its name) to assumption, optional
            As for `prove`, for a condition that the text states and the equation does not; the
            verdict then names it, `proved for n > 3`. A clause of the equation, like `(x > 0)`,
            holds by itself.
        rewrite : callable, optional
            A function of SymPy that leaves the value of a formula unchanged, such as
            `sympy.powsimp`, applied to both sides first.
        fixed : str, optional
            What the names fix that the equation leaves open, `"D = 3"`. The verdict then is
            `proved for D = 3`.

        Returns
        -------
        EquationProof
            With one claim for each step, from sign to sign.

        Raises
        ------
        TexError
            If the LaTeX can't be read with these names; the message says where.
        """
        given = {str(symbol): value for symbol, value in (assume or {}).items()}
        try:
            proofs = list(_steps(read(self.latex, names), given, rewrite))
        except TexError as error:
            raise TexError(f"{self.label}: {error}") from error
        witness = next((proof.witness for proof in proofs if proof.witness), None)
        verdict = weakest_of(proof.verdict for proof in proofs)
        claims = tuple(_weakest(proof) for proof in proofs)
        conditions = [fixed] if fixed else []
        conditions += [_in_words(name, value) for name, value in given.items()]
        if conditions and verdict in (PROVED_EXACT, PROVED_IDENTITY):
            verdict = f"{PROVED_FOR}{' and '.join(conditions)}"
        return EquationProof(verdict, claims, witness, self.label, digest(self.latex))


def _in_words(name: str, assumption: Assumption) -> str:
    """Return an assumption as a condition: `x > 0`."""
    words = {"positive": (0, sp.oo), "negative": (-sp.oo, 0)}
    if isinstance(assumption, str) and assumption not in words:
        return f"{assumption} {name}"
    low, high = words[assumption] if isinstance(assumption, str) else assumption
    if high in (sp.oo, np.inf):
        return f"{name} > {low}"
    return f"{name} < {high}" if low in (-sp.oo, -np.inf) else f"{low} < {name} < {high}"


def _weakest(proof: Proof) -> Claim:
    """Return the claims of one step, which for arrays are many, as one."""
    return next(claim for claim in proof.claims if claim.verdict == proof.verdict)


def _steps(
    statement: Statement,
    assume: Mapping[str, Assumption],
    rewrite: Callable[[sp.Expr], sp.Expr] | None,
) -> Iterator[Proof]:
    ranges: dict[str, Assumption] = {s.name: range_ for s, range_ in statement.where.items()}
    if twice := sorted(ranges.keys() & assume.keys()):
        raise TexError(f"assume: the equation itself says where {twice[0]} lies")
    ranges |= assume
    if statement.equivalent:
        yield _equivalence(statement)
        return
    for relation in statement.relations:
        sides = [_rewritten(side, rewrite) if rewrite else side for side in relation.sides]
        for left, sign, right in zip(sides, relation.signs, sides[1:], strict=False):
            known = {symbol.name for side in (left, right) for symbol in _symbols(side)}
            given = {name: value for name, value in ranges.items() if name in known}
            yield _step(left, sign, right, given)


def _rewritten(side: SymArray, rewrite: Callable[[sp.Expr], sp.Expr]) -> SymArray:
    cells = np.empty(side.shape, dtype=object)
    for index in np.ndindex(side.shape):
        cells[index] = rewrite(side[index].expr)
    return SymArray(cells)


def _symbols(side: SymArray) -> set[sp.Symbol]:
    return {symbol for cell in side.cells.flat for symbol in sp.sympify(cell).free_symbols}


def _step(
    left: SymArray, sign: str, right: SymArray, given: Mapping[sp.Symbol | str, Assumption]
) -> Proof:
    if sign == "=":
        return prove(left, right, given)
    if sign in (">=", "<="):
        distance = left - right if sign == ">=" else right - left
        return prove(abs(distance), distance, given)
    raise TexError(f"{sign} alone is not read; write \\leq, \\geq or an \\iff between two ranges")


def _equivalence(statement: Statement) -> Proof:
    """Prove that two conditions on one symbol hold for the same of its values."""
    sides = [side for relation in statement.relations for side in relation.sides]
    free = {symbol for side in sides for symbol in _symbols(side)}
    if len(free) != 1:
        raise TexError(f"\\iff is read for one symbol, not for {sorted(map(str, free))}")
    (symbol,) = free
    real = sp.Symbol(symbol.name, real=True)
    among = sp.Interval.open(*statement.where.get(symbol, (-sp.oo, sp.oo)))
    first, second = (_solutions(relation, symbol, real, among) for relation in statement.relations)
    verdict = PROVED_EXACT if first == second else REFUTED
    return Proof(verdict, (Claim(f"{first} = {second}", verdict),))


def _solutions(
    relation: Relation, symbol: sp.Symbol, real: sp.Symbol, among: sp.Interval
) -> sp.Set:
    compare = {"<": sp.Lt, ">": sp.Gt, "<=": sp.Le, ">=": sp.Ge, "=": sp.Eq}
    sides = [side.expr.xreplace({symbol: real}) for side in relation.sides]
    found: sp.Set = among
    for left, sign, right in zip(sides, relation.signs, sides[1:], strict=False):
        found &= sp.solveset(compare[sign](left, right), real, sp.S.Reals)
    return found


def equation(label: str, book: str | Path | None = None) -> Equation:
    """Take a displayed equation from the book's page, to prove it.

    Parameters
    ----------
    label : str
        As it stands behind the equation, `eq-...`.
    book : path, optional
        The folder of the book's pages. Without it, the working folder and a folder `book` in it or
        beside it are searched, so that a chapter opened alone finds its own equations.

    Returns
    -------
    Equation

    Raises
    ------
    LookupError
        If no page has that label, or two pages have it with different formulas.
    """
    here = Path.cwd()
    folders = [Path(book)] if book is not None else [here, here / "book", here.parent / "book"]
    for folder in folders:
        found = {item.latex for page in _pages(folder) for item in page.displayed
                 if item.label == label}  # fmt: skip
        if len(found) == 1:
            return Equation(label, found.pop())
        if found:
            raise LookupError(f"{label}: {len(found)} different equations in {folder} have it")
    searched = ", ".join(str(folder) for folder in folders if folder.is_dir())
    raise LookupError(
        f"{label}: no page in {searched} has an equation with this label. The LaTeX is read from "
        "the chapter itself: save the notebook, and start Jupyter in the folder of the chapters"
    )


# -- what is covered -------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Status:
    """Whether a displayed equation has what its kind asks for.

    Attributes
    ----------
    equation : Displayed
    outcome : str
        `proved`, `checked`, `cited` or `defined`; or what is wrong: `unlabelled`, `repeated`,
        `unverified`, `stale`, `not proved` or `uncited`.
    record : Record or None
        The stored line of the proof.
    """

    equation: Displayed
    outcome: str
    record: Record | None = None

    @property
    def covered(self) -> bool:
        """Whether nothing is wrong."""
        return self.outcome in OUTCOMES


OUTCOMES = ("proved", "checked", "cited", "defined")


def coverage(book: str | Path) -> list[Status]:
    """Return the status of every displayed equation in a folder of pages, in reading order.

    Raises
    ------
    FileNotFoundError
        If the folder has no pages.
    """
    pages = _pages(Path(book))
    if not pages:
        raise FileNotFoundError(f"book: there are no pages (.ipynb, .md) in {book}")
    displayed = [item for page in pages for item in page.displayed]
    counts = Counter(item.label for item in displayed)
    records: dict[str, list[Record]] = {}
    for record in (record for page in pages for record in page.records):
        records.setdefault(record.label, []).append(record)
    return [_status(item, counts[item.label], records) for item in displayed]


def _status(item: Displayed, count: int, records: Mapping[str, list[Record]]) -> Status:
    if item.kind is None:
        return Status(item, "unlabelled")
    if count > 1:
        return Status(item, "repeated")
    if item.kind == "definition":
        return Status(item, "defined")
    if item.kind == "citation":
        return Status(item, "cited" if re.search(r"\{cite(:\w)?\}`", item.around) else "uncited")
    found = records.get(item.label or "", [])
    if not found:
        return Status(item, "unverified")
    fresh = [record for record in found if record.digest == digest(item.latex)]
    if len(fresh) < len(found):
        return Status(item, "stale", found[0])
    record = max(fresh, key=lambda record: _OUTCOME_OF.index(_outcome(record.verdict)))
    return Status(item, _outcome(record.verdict), record)


_OUTCOME_OF = ("proved", "checked", "not proved")  # from the strongest


def _outcome(verdict: str) -> str:
    if verdict in (PROVED_EXACT, PROVED_IDENTITY) or verdict.startswith(PROVED_FOR):
        return "proved"
    return "checked" if verdict == CHECKED else "not proved"


def summary(statuses: list[Status]) -> str:
    """Return the counts, as `make equations` and the home page show them."""
    counts = Counter(status.outcome for status in statuses)
    shown = ", ".join(f"{outcome} {counts[outcome]}" for outcome in OUTCOMES)
    return f"{shown} of {len(statuses)}"
