"""Tracing: what NumPy code says when it is read, and what it may not do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy as sp
from scipy import special

from flowtutorial import Flow, Shift, StandardNormal
from flowtutorial.symbolic import SymArray, latex, symbols, trace
from flowtutorial.symbolic.trace import _MEANING, exact

z = sp.Symbol("z", real=True)
ARGUMENTS = {  # where a function is not defined on ordinary numbers
    "arccosh": (1.5,), "arcsin": (0.3,), "arccos": (0.3,), "arctanh": (0.3,), "logit": (0.3,),
    "ndtri": (0.3,), "erfinv": (0.3,), "cbrt": (-0.7,),
}  # fmt: skip
LOGICAL = {"logical_and", "logical_or", "logical_not", "bitwise_and", "bitwise_or", "invert"}


@pytest.mark.parametrize("name", sorted(_MEANING.keys() - LOGICAL))
def test_meanings_agree_with_numbers(name: str) -> None:
    """Each entry of the table, put to symbols and evaluated, is what NumPy computes."""
    ufunc = getattr(np, name, None) or getattr(special, name)
    arguments = ARGUMENTS.get(name, (0.7, 1.3)[: ufunc.nin])
    names = sp.symbols("a b", real=True)[: ufunc.nin]
    formula = trace(ufunc, *names)
    got = sp.sympify(formula).subs(dict(zip(names, map(sp.Float, arguments), strict=True)))
    expected = ufunc(*arguments)
    if got in (sp.true, sp.false):
        assert bool(got) == bool(expected)
    else:
        assert float(got) == pytest.approx(float(expected), rel=1e-14)


@pytest.mark.parametrize(("a", "b"), [(1.0, 2.0), (2.0, 1.0)])
def test_logic(a: float, b: float) -> None:
    def inside(v: Any) -> Any:
        return np.where((v > 0.0) & ~(v >= 2.0) | np.logical_and(v < -5.0, v != -7.0), a, b)

    formula = trace(inside, z)
    for value in (-8.0, -7.0, -1.0, 1.0, 2.0):
        assert float(formula.subs(z, value)) == float(inside(np.float64(value)))


@pytest.mark.parametrize(
    ("function", "formula"),
    [
        (lambda v: np.where(v > 0, v, 0.0), sp.Piecewise((z, z > 0), (0, True))),
        (lambda v: np.sum(np.stack([v, 2 * v])), 3 * z),
        (lambda v: np.mean(np.stack([v, 3 * v])), 2 * z),
        (lambda v: np.mean(np.stack([v, 3 * v]), axis=0), 2 * z),
        (lambda v: np.prod(np.stack([v, v])), z**2),
        (lambda v: np.cumsum(np.stack([v, v, v]))[2], 3 * z),
        (lambda v: np.add.reduce(np.stack([v, v])), 2 * z),
        (lambda v: np.multiply.reduce(np.stack([v, v])), z**2),
        (lambda v: np.zeros_like(v) + np.ones_like(v) + np.full_like(v, v), 1 + z),
        (lambda v: np.broadcast_to(v, (2,))[1], z),
        (lambda v: np.concatenate([np.ravel(v), np.reshape(v, (1,))])[0], z),
        (lambda v: np.stack([v, v]) @ np.array([1, 2]), 3 * z),
        (lambda v: v + np.ndim(v) + np.size(v) + len(np.shape(v)), z + 1),
        (lambda v: 3 - v / 2 + v**2, 3 - z / 2 + z**2),
        (lambda v: abs(v), sp.Abs(z)),
        (lambda v: v * np.array(True), z),
        (lambda v: np.array(False) * v, sp.S.Zero),
        (lambda v: v * (v > 0.0), sp.Piecewise((z, z > 0), (0, True))),
    ],
)
def test_functions(function: Any, formula: sp.Expr) -> None:
    assert sp.simplify(trace(function, z) - formula) == 0


@pytest.mark.parametrize(
    ("number", "meaning"),
    [
        (2, sp.Integer(2)),
        (np.int64(-3), sp.Integer(-3)),
        (0.5, sp.Rational(1, 2)),
        (0.1, sp.Rational(1, 10)),
        (1e-3, sp.Rational(1, 1000)),
        (-2.5, sp.Rational(-5, 2)),
        (np.float64(1 / 3), sp.Rational(1, 3)),
        (0.1234567890123456, sp.Rational(0.1234567890123456)),
        (np.pi, sp.pi),
        (np.pi / 2, sp.pi / 2),
        (np.log(2.0), sp.log(2)),
        (np.log(10.0), sp.log(10)),
        (0.5 * np.log(2 * np.pi), sp.log(2 * sp.pi) / 2),
        (np.sqrt(2.0), sp.sqrt(2)),
        (np.e, sp.E),
        (np.inf, sp.oo),
        (-np.inf, -sp.oo),
        (True, sp.true),
        (1.0 - 2.0**-52, sp.Rational(1.0 - 2.0**-52)),
        (2.0 / 3.0, sp.Rational(2, 3)),
        (-np.pi / 2, -sp.pi / 2),
    ],
)
def test_floats_are_read_as_what_they_stand_for(number: Any, meaning: sp.Basic) -> None:
    assert (
        sp.simplify(exact(number) - meaning) == 0
        if meaning.is_finite
        else (exact(number) == meaning)
    )


def test_nan_is_read_as_nan_and_text_is_refused() -> None:
    assert exact(np.nan) is sp.nan
    with pytest.raises(TypeError, match="holds numbers and symbols, not 'a'"):
        exact("a")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda v: v if v > 0 else -v, "branches on a symbol"),
        (lambda v: float(v), r"float\(\) of a traced value"),
        (lambda v: np.asarray(v), r"numpy.asarray\(\) of a traced value"),
        (lambda v: np.sort(np.stack([v, v])), "numpy.sort has no symbolic meaning"),
        (lambda v: np.floor(v), "numpy.floor .* has no symbolic meaning"),
        (lambda v: np.add(v, 1, out=np.empty(())), "in place, as in a \\+= b; write a = a \\+ b"),
        (lambda v: np.maximum.accumulate(np.stack([v, v])), "has no symbolic meaning"),
        (lambda v: v + "a", "holds numbers and symbols"),
    ],
)
def test_code_can_not_leave_the_symbols_unnoticed(function: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        trace(function, "z")


def test_decided_conditions_may_branch() -> None:
    assert trace(lambda v: v if v > v - 1 or True else -v, "z") == z
    assert bool(SymArray(sp.true))


def test_arrays_of_symbols() -> None:
    data = SymArray([SymArray(z), 2.0, sp.Integer(3)])
    assert SymArray([[z, 1], (2, z)]).shape == (2, 2)
    assert SymArray([]).shape == (0,)
    assert data.shape == (3,)
    assert (data.ndim, data.size, len(data)) == (1, 3, 3)
    assert (data[0] + data[1]).expr == z + 2
    assert [item.expr for item in data] == [z, 2, 3]
    assert repr(data) == "SymArray([z, 2, 3])"
    assert data._repr_latex_() is None
    with pytest.raises(TypeError, match=r"an array of shape \(3,\) has many"):
        _ = data.expr
    assert trace(lambda v: np.exp(v), data).tolist() == [sp.exp(z), sp.exp(2), sp.exp(3)]


def test_stable_forms_stay_inside_and_are_elementary_outside() -> None:
    formula = np.log1p(np.expm1(SymArray(z))) + np.logaddexp(SymArray(z), 0.0)
    assert "log1p" in str(formula.cells[()].atoms(sp.Function))
    assert formula.expr == sp.log(sp.exp(z)) + sp.log(sp.exp(z) + 1) or not formula.expr.has(
        *(f.func for f in formula.cells[()].atoms(sp.Function) if f.func.__name__ == "log1p")
    )


def test_symbols_and_latex() -> None:
    a, mu = symbols("a mu")
    assert latex(np.exp(a) * mu) == r"\mu e^{a}"
    assert latex(sp.sqrt(z)) == r"\sqrt{z}"
    assert (a + mu)._repr_latex_() == r"$\displaystyle a + \mu$"
    assert symbols("p", positive=True).expr.is_positive
    assert (a**2).diff(a).expr == 2 * a.expr


def test_derivatives_by_a_vector_stand_on_new_axes() -> None:
    v = SymArray(symbols("v_0 v_1"))
    a, b = v.cells
    jacobian = SymArray([v[0] * v[1], v[1] ** 2, v[0]]).diff(v)
    assert jacobian.cells.tolist() == [[b, a], [0, 2 * b], [1, 0]]
    assert (v[0] * v[1]).diff(v).cells.tolist() == [b, a]


def test_sympy_numbers_may_stand_on_the_left() -> None:
    a = symbols("a")
    for made, formula in [
        (2 * sp.pi * a, 2 * sp.pi * a.expr),
        (sp.pi - a, sp.pi - a.expr),
        (sp.Integer(1) / a, 1 / a.expr),
        (sp.E**a, sp.exp(a.expr)),
    ]:
        assert isinstance(made, SymArray)
        assert made.expr == formula


def test_a_flow_writes_its_formula_down() -> None:
    x, mu = symbols("x mu")
    log_prob = Flow(StandardNormal(), Shift(mu)).log_prob(x)
    expected = -((x.expr - mu.expr) ** 2) / 2 - sp.log(2 * sp.pi) / 2
    assert sp.simplify(log_prob.expr - expected) == 0


def test_results_of_several_parts() -> None:
    forward = trace(Shift(1.0).forward_and_log_det, "z")
    assert forward == (z + 1, 0)
    assert trace(lambda v: 3, "z") == 3
