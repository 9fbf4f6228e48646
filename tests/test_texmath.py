"""The reader of LaTeX: what it reads, and above all what it refuses to guess."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy as sp

from flowtutorial import Affine, Flow, Shift, StandardNormal
from flowtutorial.symbolic import SymArray, prove, symbols
from flowtutorial.symbolic.texmath import TexError, read

x, y, mu, n, S, r = symbols("x y mu n S r")
ROOT_TWO_PI = sp.sqrt(2 * sp.pi)
NAMES: dict[str, Any] = {
    "x": x,
    "y": y,
    r"\mu": mu,
    "n": n,
    "S": S,
    "r": r,
    r"\bar{x}": symbols("xbar"),
    "x_1": symbols("x_1"),
    "f": lambda v: 2 * v + v**3,
    "p": Flow(StandardNormal(), Shift(mu)),
    "q": Flow(StandardNormal(), Shift(0.0)),
    r"\E": lambda formula: formula * 10,
    r"\E_p": lambda formula: formula * 100,
    r"\KL": lambda a, b: a.log_prob(SymArray(0)) - b.log_prob(SymArray(0)),
    r"\Normal": lambda m, v: Flow(StandardNormal(), Affine(m, np.log(v) / 2)),
    "v": SymArray([1, 2]),
    "A": SymArray([[1, 2], [3, 4]]),
    r"\theta": SymArray([[x.expr], [y.expr]]),
}
X, Y = x.expr, y.expr


def value(latex: str, **names: Any) -> Any:
    """Return what stands to the left of `= 0`."""
    side = read(f"{latex} = 0", NAMES | names).relations[0].sides[0]
    return side.expr if side.ndim == 0 else side.cells


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        (r"\tfrac12 x", X / 2),
        (r"\frac{1}{2} x^2 y", X**2 * Y / 2),
        (r"x^{-1}", 1 / X),
        (r"-x + y - 2", -X + Y - 2),
        (r"x \cdot 2 \times y", 2 * X * Y),
        (r"y x / 2", X * Y / 2),
        (r"2\,x\left(x - \bigl[y + 1\bigr]\right)", 2 * X * (X - Y - 1)),
        (r"\log 2\pi", sp.log(2 * sp.pi)),
        (r"\log(1 + x) y", sp.log(1 + X) * Y),
        (r"\log x + y", sp.log(X) + Y),
        (r"\log\frac{x}{y}", sp.log(X / Y)),
        (r"\log^2 \frac{x}{y}", sp.log(X / Y) ** 2),
        (r"\log x^2", sp.log(X**2)),
        (r"\sin x \cos y", sp.sin(X) * sp.cos(Y)),
        (r"\log\cosh x", sp.log(sp.cosh(X))),
        (r"\operatorname{arcsinh} x", sp.asinh(X)),
        (r"\log|x| y", sp.log(sp.Abs(X)) * Y),
        (r"|x - |y||", sp.Abs(X - sp.Abs(Y))),
        (r"x |y| x", X**2 * sp.Abs(Y)),
        (r"\left|{-2}\sqrt y\right|", 2 * sp.Abs(sp.sqrt(Y))),
        (r"e^{-x/2}", sp.exp(-X / 2)),
        (r"\exp\Bigl(-\frac{x}{2}\Bigr)", sp.exp(-X / 2)),
        (r"\max(x, 0, y)", sp.Max(X, 0, Y)),
        (r"f(x)", 2 * X + X**3),
        (r"f'(x)", 2 + 3 * X**2),
        (r"f''(y)", 6 * Y),
        (r"f'(2 y)", 2 + 12 * Y**2),
        (r"\frac{\partial}{\partial x} f(x) y", (2 + 3 * X**2) * Y),
        (r"\frac{\partial f(x)}{\partial x} + x", 2 + 3 * X**2 + X),
        (r"\frac{\partial^2}{\partial x^2} f(x)", 6 * X),
        (r"\frac{\partial^2 x^2 y^2}{\partial x\,\partial y}", 4 * X * Y),
        (r"\frac{\diff}{\diff x}\bigl[1 - x^2\bigr]", -2 * X),
        (r"\frac{d x^2}{d x}", 2 * X),
        (r"\int_0^1 x y \diff x", Y / 2),
        (r"\int_{-\infty}^\infty e^{-x^2} \diff x", sp.sqrt(sp.pi)),
        (r"\E x y + 1", 10 * X * Y + 1),
        (r"\E[x + 1] y", (10 * X + 10) * Y),
        (r"\E_p\, x^2", 100 * X**2),
        (r"p(x)", sp.exp(-((X - mu.expr) ** 2) / 2) / ROOT_TWO_PI),
        (r"\KL{p}{q}", -(mu.expr**2) / 2),
        (r"\KL{\Normal(\mu, 1)}{q}", -(mu.expr**2) / 2),
        (r"\det A", -2),
        (r"\operatorname{tr} A", 5),
        (r"{}\bar x + \bar{x}", 2 * sp.Symbol("xbar", real=True)),
        (r"x_1 x", sp.Symbol("x_1", real=True) * X),
    ],
)
def test_reads(latex: str, expected: Any) -> None:
    assert prove(value(latex), expected).verdict == "proved (exact)"


def test_reads_matrices() -> None:
    made = value(r"\begin{pmatrix} 1 & -x \\ -2 & 0 \end{pmatrix} A")
    assert made.tolist() == [[1 - 3 * X, 2 - 4 * X], [-2, -4]]
    assert value(r"A^{\mathsf T}").tolist() == [[1, 3], [2, 4]]
    assert value(r"A^{-1} A").tolist() == [[1, 0], [0, 1]]
    row = r"\begin{pmatrix} 1 & x \end{pmatrix}"
    assert value(row + row + r"^{\mathsf T}") == 1 + X**2  # a row by a column is a number
    hessian = value(r"\frac{\partial^2 x^2 y}{\partial\theta\,\partial\theta^{\mathsf T}}")
    assert hessian.tolist() == [[2 * Y, 2 * X], [2 * X, 0]]


def test_a_declared_name_wins_over_the_shorter_one_and_over_a_meaning() -> None:
    assert value(r"S^2 + S^3", **{"S^2": 7}) == 7 + sp.Symbol("S", real=True) ** 3
    assert value(r"\gamma^*", **{r"\gamma^*": 3}) == 3
    assert value(r"g'_\theta", **{r"g_\theta'": 5}) == 5
    assert value(r"e", e=4) == 4


def test_reads_chains_rows_and_clauses() -> None:
    chain = read(r"\begin{aligned} x &= y \\ &\quad= 2 \\ &\qquad - 1 \end{aligned}".replace(
        r"\qquad", r"\quad"), NAMES)  # fmt: skip
    assert [side.expr for side in chain.relations[0].sides] == [X, Y, 1]
    rows = read(r"\begin{aligned} x &= 1, \\ -x &= 2 . \end{aligned}", NAMES)
    assert [side.expr for rel in rows.relations for side in rel.sides] == [X, 1, -X, 2]
    assert read(r"x = y \qquad (0 < x < 1)", NAMES).where == {X: (0, 1)}
    assert read(r"x = y \qquad (x > 0)", NAMES).where == {X: (0, sp.oo)}
    assert read(r"x = y \qquad \text{for } x < 2", NAMES).where == {X: (-sp.oo, 2)}
    placed = read(r"f'(x) = x \qquad \text{at } x = 2y", NAMES).relations[0]
    assert [sp.expand(side.expr) for side in placed.sides] == [2 + 12 * Y**2, 2 * Y]
    both = read(r"|1 - x| < 1 \iff 0 < x < 2", NAMES)
    assert both.equivalent
    assert len(both.relations) == 2
    assert read(r"x^2 \geq 0", NAMES).relations[0].signs == (">=",)


@pytest.mark.parametrize(
    ("latex", "message"),
    [
        (r"z = 1", "undeclared name 'z'"),
        (r"x_2 = 1", r"undeclared name 'x_\{2\}'"),
        (r"\nu = 1", "undeclared name"),
        (r"\log x (1 - x) = 1", "ends is not clear"),
        (r"\log\frac{x}{y} x = 1", "ends is not clear"),
        (r"\log f(x) y = 1", "ends is not clear"),
        (r"\log(x)^2 = 1", "read in two ways"),
        (r"\sin^{-1} x = 1", "read in two ways"),
        (r"x 2 = 1", "a number stands behind a factor"),
        (r"f x = 1", "is not a number"),
        (r"p = 1", "can only be an argument"),
        (r"p(x, y) = 1", "has one argument"),
        (r"y(x) = 1, 2", "expected a relation"),
        (r"x' = 1", "not a function"),
        (r"x = (1", "expected"),
        (r"x = 1)", "can't read"),
        (r"x = |1", "expected"),
        (r"x", "expected a relation"),
        (r"x = ", "unexpected end"),
        (r"x = 1 \text{ if } y = 2", "a clause begins with"),
        (r"x = 1 \qquad (x y > 0)", "expected a symbol"),
        (r"x = 1 \qquad (x \geq 0)", "open interval"),
        (r"\frac{\partial}{\partial f(x)} x = 1", "a derivative is by a symbol"),
        (r"\frac{\partial^2}{\partial x} x = 1", "2 derivatives above the line, 1 below"),
        (r"x = \begin{cases} 1 \end{cases}", "only aligned and pmatrix"),
        (r"x = \begin{pmatrix} 1 & 2 \\ 3 \end{pmatrix}", "differ in length"),
        (r"x \sim y = 1", r"can't read|undeclared"),
        (r"x \pm 1 = 1", r"undeclared"),
        (r"A^2 = 1", "power -1"),
        (r"x^{\mathsf T} = 1", "only a matrix"),
        (r"\cos'(x) = 1", "no prime"),
        (r"e' = 1", "no prime"),
        (r"\sqrt[3]{x} = 1", "only the square root"),
        (r"{-x}^2 = 1", "braces print nothing"),
        (r"{x + y} x = 1", "braces print nothing"),
        (r"\log{x + y} = 1", "braces print nothing"),
        (r"1/2\pi x = 1", "below / is not clear"),
        (r"x^2/2y^2 = 1", "below / is not clear"),
        (r"e^{x/2y} = 1", "below / is not clear"),
        (r"\int_0^1 x \diff x^2 = 1", "not clear"),
        (r"\E(x) y = 1", "square brackets"),
        (r"\E(x)^2 = 1", "square brackets"),
        (r"A - 1 = 1", "can't be added"),
        (r"|A| = 1", "can't be a matrix"),
        (r"\log A = 1", "can't be a matrix"),
        (r"1/A = 1", "can't be a matrix"),
        (r"e^A = 1", "can't be a matrix"),
        (r"A v = 1", "not clear"),
        (r"\frac{\partial A}{\partial\theta} = 1", "an array by an array"),
        (r"\begin{aligned} x &= y & y &= x \end{aligned}", "two columns"),
        (r"\begin{aligned} x &= y \\[1ex] &= y \end{aligned}", "one aligned"),
        (r"\begin{aligned} x &= y \end{aligned} \begin{aligned} x \end{aligned}", "one aligned"),
        (r"f(x, y) = 1", "can't be called with 2 arguments"),
        (r"x = x \iff y = y, x = x", "between two relations"),
    ],
)
def test_refuses(latex: str, message: str) -> None:
    with pytest.raises(TexError, match=message):
        read(latex, NAMES)


def test_every_token_is_consumed() -> None:
    latex = r"\log p(x) = -\tfrac12 \log 2\pi - \tfrac12 (x - \mu)^2"
    read(latex, NAMES)
    for token in (")", "]", "}", "|", "=", r"\right)", r"\iff", ";", "x", "1", "+", "^2", "/", "'"):
        with pytest.raises(TexError):
            read(f"{latex} {token}" if token not in "x1" else f"{latex}, {token}", NAMES)


def test_a_derivative_is_by_the_argument_alone() -> None:
    square = {"f": lambda v: x * v**2}
    assert value(r"f'(x)", **square) == 2 * X**2
    assert value(r"\frac{\partial}{\partial x} f(x)", **square) == 3 * X**2


def test_a_key_that_is_not_a_name_is_refused() -> None:
    with pytest.raises(TexError, match="a name is"):
        read("x = 1", {"x + y": 1})
