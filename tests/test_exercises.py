"""Exercises: solutions are right, known mistakes get their hints, and odd answers a kind word."""

from __future__ import annotations

import importlib
import math
import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import sympy as sp

from flowtutorial import Affine, Bijection, Chain, Flow, Shift, Sigmoid, StandardNormal, Tanh
from flowtutorial import exercises as package
from flowtutorial.exercises import Formula, Map, check, exercise, exercises
from flowtutorial.symbolic import SymArray, prove, symbols, trace

ALL = exercises()
FORMULAS = [name for name, item in ALL.items() if isinstance(item, Formula)]
MISTAKES = [
    pytest.param(item, mistake, id=f"{name}-{number}")
    for name, item in ALL.items()
    for number, mistake in enumerate(item.mistakes)
]
ASKED = "kl-find-the-half"  # a formula in x and mu
X, MU = sp.symbols("x mu")
RIGHT = -((X - MU) ** 2) / 2 - sp.log(2 * sp.pi) / 2


def message(answer: Any, name: str = ASKED) -> str:
    """Return the reply to an answer that is not right, on one line."""
    reply = check(name, answer)
    assert not reply, reply
    assert reply.verdict == "not yet", reply
    return " ".join(repr(reply).split())


# -- every exercise --------------------------------------------------------------------------------


def test_each_chapter_has_three_exercises() -> None:
    folder = Path(exercise.__file__).parent
    chapters = sorted(folder.glob("chapter*.py"))
    assert len(chapters) >= 4
    for path in chapters:
        module = __import__(f"flowtutorial.exercises.{path.stem}", fromlist=["EXERCISES"])
        assert len(module.EXERCISES) >= 3, path


@pytest.mark.parametrize("name", ALL)
def test_solution_is_right(name: str) -> None:
    reply = check(name, ALL[name].solution)
    assert reply
    assert reply.message.startswith("proved"), reply


@pytest.mark.parametrize("name", FORMULAS)
def test_solution_is_right_as_a_formula_of_plain_symbols(name: str) -> None:
    """The traced solution, with its symbols replaced by namesakes without assumptions."""
    item = ALL[name]
    assert isinstance(item, Formula)
    if not item.symbols:
        return
    cells = trace(item.solution, *(variable.traced for variable in item.variables))
    plain = [
        formula.xreplace({s: sp.Symbol(s.name) for s in formula.free_symbols})
        for formula in map(sp.sympify, np.ravel(SymArray(cells).cells))
    ]
    assert check(name, np.array(plain, dtype=object).reshape(item.shape))


@pytest.mark.parametrize(("item", "mistake"), MISTAKES)
def test_mistake_is_not_yet_right_and_has_its_hint(item: Any, mistake: Any) -> None:
    reply = item.check(mistake.answer)
    assert reply.verdict == "not yet"
    assert reply.hint == mistake.hint


@pytest.mark.parametrize("name", ALL)
def test_no_hint_gives_the_answer_away(name: str) -> None:
    item = ALL[name]
    hints = [item.hint, *(mistake.hint for mistake in item.mistakes)]
    assert all(len(hint.split()) >= 3 for hint in hints)
    if isinstance(item, Map):
        return
    assert isinstance(item, Formula)
    assert item.right.cells is not None
    for cell in item.right.cells.flat:
        if cell in (0, 1, -1):
            continue
        texts = {str(cell), sp.latex(cell), sp.pycode(cell)}
        if cell.is_number:
            texts.add(f"{float(cell):g}")
        for text in texts:
            alone = re.compile(rf"(?<![\w.]){re.escape(text)}(?![\w.])")
            assert not [hint for hint in hints if alone.search(hint)], text


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_no_answer(name: str) -> None:
    for nothing in (None, "", ..., [], (), np.array([])):
        assert "there is no answer yet; this exercise asks for" in message(nothing, name)
    assert "without quotes" in message("x - mu", name)
    assert not check(name, object())


# -- right answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        RIGHT,
        sp.expand(RIGHT),
        sp.log(sp.exp(-((X - MU) ** 2) / 2) / sp.sqrt(2 * sp.pi)),
        sp.expand((X + MU) ** 20) - (X + MU) ** 20 + RIGHT,  # 40 digits cancel
        RIGHT + sp.sqrt(X**2) - sp.Abs(X),
        RIGHT.subs(X, sp.Symbol("x", positive=True)),
        RIGHT.subs(MU, sp.Symbol("μ")),
        sp.Lambda((X, MU), RIGHT),
        sp.Matrix([RIGHT]),
        sp.Poly(RIGHT, X),
        [RIGHT],
        sp.Integral(MU - X, X) - MU**2 / 2 - sp.log(2 * sp.pi) / 2,
        lambda x, mu: -0.5 * (x - mu) ** 2 - 0.5 * np.log(2 * np.pi),
        lambda mu, x: -0.5 * (x - mu) ** 2 - 0.5 * np.log(2 * np.pi),
        lambda a, b, c=2: -((a - b) ** c) / 2 - 0.5 * np.log(2 * np.pi),
        lambda *values: -((values[0] - values[1]) ** 2) / 2 - 0.5 * np.log(2 * np.pi),
        lambda x, mu: Flow(StandardNormal(), Shift(mu)).log_prob(x),
    ],
)
def test_another_form_is_right_too(answer: Any) -> None:
    reply = check(ASKED, answer)
    assert reply
    assert reply.message.startswith("proved (exact) for all real x, mu")


def test_symbols_of_the_package_are_the_same_symbols() -> None:
    x, mu = symbols("x mu")
    assert check(ASKED, -0.5 * (x - mu) ** 2 - 0.5 * np.log(2 * np.pi))


def test_a_function_without_a_formula_is_compared_and_said_to_be() -> None:
    reply = check("shift-weights", lambda x, w: np.average(x, weights=w))
    assert reply
    assert "agrees at 40 points to 1e-12" in repr(reply)
    assert "no proof" in " ".join(repr(reply).split())
    assert not re.search(r"\bproved\b", repr(reply))
    one_by_one = check(
        ASKED, lambda x, mu: -((float(x) - float(mu)) ** 2) / 2 - math.log(2 * math.pi) / 2
    )
    assert one_by_one.message.startswith("agrees at 40 points")
    near = check("shift-weights", lambda x, w: np.average(x, weights=w) + 1e-10)
    assert near.verdict == "not yet"
    assert "very close" in near.hint


def test_an_answer_that_only_the_digits_confirm_is_not_called_proved() -> None:
    item = Formula(
        name="digits",
        symbols={"u": (0, 1)},
        reference=lambda u: u,
        solution=lambda u: u,
        hint="Nothing happens to it.",
    )
    u = sp.Symbol("u")
    reply = item.check(2 / sp.pi * sp.asin(sp.sqrt(sp.sin(sp.pi * u / 2) ** 2)))
    assert reply
    assert reply.message.startswith("checked to 50 digits for all 0 < u < 1")


def test_a_decimal_number_needs_its_digits() -> None:
    name = "kl-find-the-half-area"
    assert check(name, 1 / np.sqrt(2))
    assert check(name, 0.70710678118).message.startswith("agrees to 9 digits")
    for rounded in (0.70710678, 0.7071):
        assert "which is too small" in message(rounded, name)
        assert "very close" in message(rounded, name)
    assert "0.7071" not in message(0.5, name)  # the expected value would be the answer
    for half in (0.5, Fraction(1, 2), Decimal("0.5"), np.float32(0.5), sp.Float(0.5), 0.5 + 0j):
        assert check("four-errors-uniform", half)


@pytest.mark.parametrize(
    "answer", [[1.1, 0.9], (0.9, 1.1), {0.9, 1.1}, np.array([0.9, 1.1]), sp.FiniteSet("0.9", "1.1")]
)
def test_order_does_not_matter_where_it_is_said(answer: Any) -> None:
    assert check("shift-half-life", answer)
    assert "has 1 number" in message(0.9, "shift-half-life")
    assert "yours is 1.2, which is too large" in message([0.9, 1.2], "shift-half-life")
    assert "a function" in message(lambda: [0.9, 1.1], "shift-half-life")
    assert "uses the symbol x" in message([X, MU], "shift-half-life")


def test_matrices_and_lists_of_formulas() -> None:
    s = sp.Symbol("S")
    assert check("precision", sp.Matrix([[-1 / s**2, 0], [0, -(s**4) / 2]]))
    assert "entry [1, 1], at S = 1.5" in message(sp.diag(-1 / s**2, -(s**4)), "precision")
    assert "asks for a 2 × 2 array of formulas in S" in message(1 / s, "precision")
    assert "unequal parts" in message([[1, 2], [3]], "precision")


# -- wrong answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (-RIGHT, "The size is right, the sign is not."),
        (RIGHT + 3, "Up to a constant that is added it is right."),
        (3 * RIGHT, "Up to a constant factor it is right."),
        (sp.exp(RIGHT), "You have the exponential of what is asked for."),
        (1 / RIGHT, "It looks like one over what is asked for."),
        (RIGHT + sp.log(2 * sp.pi) / 2 - 0.918938533, "Is a constant rounded"),
        (7, "at x = 1.5, mu = -2.5: yours gives 7, expected -8.91894"),
        (sp.log(-1 - X**2), "yours gives not a real number"),
        (sp.I * X, "yours gives not a real number"),
        (lambda x, mu: np.log(-(x**2)), "yours gives not a real number"),
        (
            lambda x, mu: np.where(x < 0, np.nan, -((x - mu) ** 2) / 2 - 0.5 * np.log(2 * np.pi)),
            "yours gives not a real number",
        ),
    ],
)
def test_wrong_answers_show_where_they_differ(answer: Any, says: str) -> None:
    assert says in message(answer)


def test_the_prover_sees_further_than_the_points() -> None:
    far = message(RIGHT + sp.Piecewise((1, X > 50), (0, True)))
    x = re.search(r"x = ([\d.]+)", far)
    assert x
    assert float(x[1]) > 50.0


def test_the_logarithm_of_the_answer_is_recognised() -> None:
    x = sp.Symbol("x")
    assert "You have the logarithm" in message(
        sp.log(2) - x**2 / 2 - sp.log(2 * sp.pi) / 2, "half-normal"
    )


def two_faces(x: Any, mu: Any) -> Any:
    """Give the right formula on symbols, and 0 on numbers."""
    formula = -0.5 * (x - mu) ** 2 - 0.5 * np.log(2 * np.pi)
    return formula if isinstance(x, SymArray) else 0.0 * formula


def test_a_function_has_to_run_on_numbers_as_well() -> None:
    assert "when your code runs on numbers" in message(two_faces)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (X - sp.Symbol("m"), "uses the symbol m; this exercise is stated in x, mu"),
        (sp.Symbol("a") + sp.Symbol("b"), "uses the symbols a, b"),
        (sp.Function("f")(X), "f(x), a function of which nothing is known"),
        (sp.Function("f"), "a function of which nothing is known"),
        (sp.Eq(X, MU), "hand over one side of it"),
        (X < MU, "hand over one side of it"),
        (True, "true or false"),
        (np.bool_(True), "true or false"),
        (sp.true, "true or false"),
        ([X, MU], "an array of shape (2,)"),
        (np.ones(3), "an array of shape (3,)"),
        ({1: X}, "a dictionary"),
        (float("nan"), "not a finite number"),
        (sp.zoo, "not a finite number"),
        (np.inf, "not a finite number"),
        (Decimal("Infinity"), "not a finite number"),
        (1j, "a complex number"),
        (b"x", "the answer is text"),
        (np, "of type module"),
        (sp.S.Reals, "of type Reals"),
        (Shift, "Shift is a class"),
        (Shift(1.0), "Shift(shift=1.0) is a bijection"),
        (Flow(StandardNormal(), Shift(1.0)), "the answer is a flow"),
        (prove(X, X), "the answer is a proof"),
        (sp.exp, "exp can't be applied to x, mu"),
        (lambda x: x, "takes x; it is called with 2 arguments: x, mu"),
        (lambda: 0, "takes nothing; it is called with 2 arguments"),
        (lambda x, mu, s: x, "takes x, mu, s"),
        (lambda x, mu: None, "returns nothing; is there a return?"),
        (lambda x, mu: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda x, mu: {}["mu"], "KeyError: 'mu'"),
        (lambda x, mu: math.exp("1"), "not those of math or SymPy"),
        (lambda x, mu: "text", "your function returns values of type"),
        (lambda x, mu: np.sum(x), "a single number for arrays of shape (40,)"),
        (lambda x, mu: x[:3], "an array of shape (3,)"),
        (lambda x, mu: [x, mu], "an array of shape (2, 40)"),
        (lambda x, mu: x + 1j, "values of type complex128"),
        (lambda x, mu: object(), "returns object"),
        (lambda x, mu: exit(), "when it is read"),
    ],
)
def test_ill_typed_answers_get_a_precise_word(answer: Any, says: str) -> None:
    reply = check(ASKED, answer)
    assert not reply
    assert says in " ".join(repr(reply).split())


def test_data_are_given_as_vectors_or_by_their_symbols() -> None:
    name = "shift-find-the-error"
    x = sp.symbols("x1:6")
    assert check(name, MU + (sum(x) / 5 - MU) / 10)
    assert check(name, lambda x, mu: mu + 0.1 * (sum(x) / len(x) - mu))
    assert "is stated in x1, ..., x5, mu" in message(X + MU, name)
    assert "an array of shape (5,)" in message(lambda x, mu: x + mu, name)
    assert "at x = [-1.5, -2.5, -0.5, 4, 3], mu = -1: yours gives -1" in message(MU, name)


def test_unknown_names_are_answered_with_near_ones() -> None:
    assert "did you mean 'shift-half-life'" in message(1, "shift-halflife")
    assert "the text of each exercise gives its name" in message(1, "qqq")
    assert "the name of the exercise comes first" in message(1, None)  # type: ignore[arg-type]
    assert check("ex-kl_Flattery", 1 / sp.Symbol("n"))


# -- time ------------------------------------------------------------------------------------------


def spin(x: Any, mu: Any) -> Any:
    """Never return, and swallow what ordinary errors try to say."""
    while True:
        try:
            while True:
                pass
        except Exception:
            pass


@pytest.mark.parametrize(
    "answer",
    [spin, sp.Integral(sp.exp(-(X**4) - MU * sp.sin(X)), (X, 0, X))],
    ids=["loop", "sympy"],
)
def test_time_is_limited(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(ASKED, RIGHT)  # what has to be computed once
    monkeypatch.setattr(exercise, "SECONDS", 1.0)
    start = time.monotonic()
    reply = check(ASKED, answer)
    assert time.monotonic() - start < 10.0
    assert reply.verdict == "could not be decided"
    assert "longer than 1 seconds" in reply.message
    assert check(ASKED, RIGHT)  # the clock is off again


def test_a_proof_that_takes_too_long_says_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_time(*args: Any, **kwargs: Any) -> Any:
        raise exercise.OutOfTime

    monkeypatch.setattr(exercise, "prove", out_of_time)
    reply = check(ASKED, RIGHT)
    assert reply.verdict == "could not be decided"
    assert "agrees with the answer at all 40 points" in reply.message


@pytest.mark.parametrize(
    "answer",
    [
        X ** (10**9),
        X ** sp.Rational(10**30 + 1, 3),
        sp.Add(*(sp.sin(k * X) for k in range(3000))),
        sp.exp(sp.exp(sp.exp(sp.exp(X)))),
        RIGHT + sp.gamma(X + 20) - sp.factorial(X + 19),
        RIGHT + sp.gamma(X + sp.Rational(81, 2)) - sp.factorial(X + sp.Rational(79, 2)),
    ],
    ids=["power", "fraction", "long", "tower", "unproved", "unproved-cancelling"],
)
def test_what_can_not_be_decided_is_said_to_be(answer: Any) -> None:
    assert check(ASKED, answer).verdict == "could not be decided"


def test_the_clock_needs_the_main_thread_and_does_without() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(check, ASKED, RIGHT).result()


# -- bijections ------------------------------------------------------------------------------------

POSITIVE = (0.0, np.inf)


class Reciprocal(Bijection):
    domain = codomain = POSITIVE

    def forward_and_log_det(self, z: Any) -> Any:
        return 1.0 / z, np.log(np.abs(-1.0 / z**2))

    inverse_and_log_det = forward_and_log_det


class Everywhere(Reciprocal):
    domain = codomain = (-np.inf, np.inf)


class NoInterval(Reciprocal):
    domain = 3  # type: ignore[assignment]


class Half(Bijection):
    def forward_and_log_det(self, z: Any) -> Any:
        return 1.0 / z, -2.0 * np.log(z)


class ValueAlone(Reciprocal):
    def forward_and_log_det(self, z: Any) -> Any:
        return 1.0 / z


class OneLogDet(Reciprocal):
    def forward_and_log_det(self, z: Any) -> Any:
        return 1.0 / z, 0.0


class Breaks(Reciprocal):
    def forward_and_log_det(self, z: Any) -> Any:
        raise KeyError("why")


class WrongWayBack(Reciprocal):
    def inverse_and_log_det(self, x: Any) -> Any:
        return 1.0 / x, 2.0 * np.log(x)


class Loops(Reciprocal):
    def forward_and_log_det(self, z: Any) -> Any:
        return np.array([1.0 / v for v in z]), np.array([-2.0 * np.log(v) for v in z])


class Duck:
    domain = codomain = POSITIVE

    def forward_and_log_det(self, z: Any) -> Any:
        return 1.0 / z, -2.0 * np.log(z)

    def inverse_and_log_det(self, x: Any) -> Any:
        return 1.0 / x, -2.0 * np.log(x)


@pytest.mark.parametrize("answer", [Reciprocal, Reciprocal(), Duck, Duck()])
def test_a_bijection_is_proved(answer: Any) -> None:
    assert repr(check("reciprocal", answer)).startswith("right: proved (exact): inverse∘forward")


def test_a_bijection_without_a_formula_is_compared() -> None:
    reply = check("reciprocal", Loops)
    assert reply
    assert "agrees at 8 points to 1e-09" in reply.message
    assert not re.search(r"\bproved\b", reply.message)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Everywhere, "The domain that yours declares is (-inf, inf)"),
        (NoInterval, "domain: expected an interval (low, high), got 3"),
        (Half, "Half has no method inverse_and_log_det yet"),
        (ValueAlone, "returns ndarray; expected two arrays"),
        (OneLogDet, "returns a single number for an array of shape (8,)"),
        (Breaks, "fails on an array of shape (8,): KeyError: 'why'"),
        (WrongWayBack, "at x = 2: yours gives 1.38629, expected -1.38629"),
        (Shift, "Shift has the fields shift; this exercise asks for none"),
        (int, "the answer is the class int"),
        (lambda z: 1 / z, "of type function"),
        (1 / X, "of type Pow"),
        (Flow(StandardNormal(), Shift(1.0)), "hand over its bijection"),
    ],
)
def test_wrong_bijections_get_a_precise_word(answer: Any, says: str) -> None:
    assert says in message(answer, "reciprocal")


@dataclass(frozen=True, eq=False)
class Power(Bijection):
    q: float
    domain = codomain = POSITIVE

    def forward_and_log_det(self, z: Any) -> Any:
        k = np.exp(self.q)
        return z**k, self.q + (k - 1.0) * np.log(z)

    def inverse_and_log_det(self, x: Any) -> Any:
        z = x ** np.exp(-self.q)
        return z, -self.forward_and_log_det(z)[1]


class Forgotten(Bijection):
    log_power: float

    def forward_and_log_det(self, z: Any) -> Any:
        return z, z

    inverse_and_log_det = forward_and_log_det


@dataclass(frozen=True, eq=False)
class TwoFields(Power):
    other: float = 0.0


class Unmade(Power):
    def __init__(self) -> None:
        raise TypeError("no")


@dataclass(frozen=True, eq=False)
class WrongSign(Power):
    def forward_and_log_det(self, z: Any) -> Any:
        z, log_det = super().forward_and_log_det(z)
        return z, -log_det


def test_the_fields_of_a_class_become_symbols() -> None:
    assert check("power", Power)
    assert "hand over the class itself, Power" in message(Power(1.0), "power")
    assert "@dataclass(frozen=True, eq=False) above the class" in message(Forgotten, "power")
    assert "has the fields q, other" in message(TwoFields, "power")
    assert "Unmade can't be made: TypeError" in message(Unmade, "power")
    assert "its sign is not" in message(WrongSign, "power")


def test_an_instance_is_asked_for_where_there_are_no_fields() -> None:
    double = np.log(2.0)
    chain = Chain((Affine(0.0, double), Sigmoid(), Affine(-1.0, double)))
    assert check("compose", chain)
    assert "Chain is a class; make an instance of it" in message(Chain, "compose")
    assert "build it from other parts" in message(Tanh(), "compose")
    assert "the value of your forward_and_log_det" in message(Chain(()), "compose")


# -- the book --------------------------------------------------------------------------------------


def named() -> Iterator[tuple[str, str, str]]:
    """Yield chapter, name and kind of cell for each `check` that the chapters mention."""
    for path in sorted((Path(__file__).parent.parent / "book").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            for name in re.findall(r"\bcheck\(\s*\"([^\"]+)\"", cell.source):
                yield path.stem[:2], name, cell.cell_type


def test_chapters_name_exercises_that_exist() -> None:
    example = {"name"}  # as in `check("name", answer)`
    assert {name for _, name, _ in named()} - example <= set(ALL)


def test_every_exercise_is_asked_and_answered_in_its_chapter() -> None:
    places = set(named())
    for path in sorted(Path(package.__file__).parent.glob("chapter*.py")):
        chapter = importlib.import_module(f"flowtutorial.exercises.{path.stem}")
        for item in chapter.EXERCISES:
            where = (path.stem.removeprefix("chapter"), item.name)
            assert (*where, "code") in places, f"{item.name} is not answered"


def test_every_chapter_has_three_exercises_or_more() -> None:
    asked = Counter(chapter for chapter, _ in {(c, n) for c, n, kind in named() if kind == "code"})
    chapters = {
        path.stem[:2] for path in (Path(__file__).parent.parent / "book").glob("[0-9]*.ipynb")
    }
    assert set(asked) == chapters
    assert min(asked.values()) >= 3
