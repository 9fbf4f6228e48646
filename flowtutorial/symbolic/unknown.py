"""Undefined functions, their derivatives, and what it takes to substitute in them.

To the prover such a value is opaque: a head, in which slots stand for what may vary, and the points
in the slots; equal heads at equal points are equal. To the refuter an undefined function is a
polynomial like any other, and its derivatives are those of the polynomial.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import permutations
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef

from .outcomes import Undecided


def substituted(expr: sp.Expr, values: Mapping[sp.Symbol, sp.Expr]) -> sp.Expr:
    """Replace symbols, also by what SymPy can't differentiate by."""
    values = {old: new for old, new in values.items() if old != new}
    if expr.has(sp.Derivative, sp.Subs) and not _renames(expr, values):
        return expr.subs(values, simultaneous=len(values) > 1)
    return expr.xreplace(values)


def _renames(expr: sp.Expr, values: Mapping[sp.Symbol, sp.Expr]) -> bool:
    new = set(values.values())
    distinct = len(new) == len(values) and not new & expr.atoms(sp.Symbol)
    return distinct and all(value.is_Symbol for value in new)


@cache
def _slot(number: int) -> sp.Symbol:
    return sp.Dummy(f"slot{number}", real=True)


def with_slots(
    expr: sp.Expr, slot: Callable[[int], sp.Symbol] = _slot
) -> tuple[Any, Sequence[sp.Symbol], Sequence[sp.Expr]]:
    """Return the head of an undefined function, a derivative or a `Subs`, its slots and points.

    `Derivative(f(g(x), a), g(x))` has the head `Derivative(f(slot, a), slot)` and the point `g(x)`.
    A derivative by several functions that contain each other is its own head, without a slot.
    """
    if isinstance(expr, AppliedUndef):
        return expr.func, (), expr.args
    derivative = isinstance(expr, sp.Derivative)
    if derivative and not _independent(expr):
        return expr, (), ()
    points = tuple(v for v, _ in expr.variable_count) if derivative else expr.point
    slots = tuple(slot(i) for i in range(len(points)))
    head = expr.expr.xreplace(
        dict(zip(points if derivative else expr.variables, slots, strict=True))
    )
    if derivative:
        orders = (order for _, order in expr.variable_count)
        head = sp.Derivative(head, *zip(slots, orders, strict=True))
    return head, slots, points


def _independent(derivative: sp.Derivative) -> bool:
    """Whether each variable can be varied without the others, and stands outside derivatives."""
    variables = [v for v, _ in derivative.variable_count]
    inner = derivative.expr.atoms(sp.Derivative, sp.Subs)
    return not any(v.has(w) for v, w in permutations(variables, 2)) and not any(
        node != v and node.has(v) for v in variables if not v.is_Symbol for node in inner
    )


def with_concrete_functions(expr: sp.Expr) -> sp.Expr:
    """Replace undefined functions by polynomials, so that the refuter can evaluate them.

    Raises `Undecided` for a derivative that it can't find.
    """
    return _concrete(expr).doit() if expr.has(AppliedUndef) else _concrete(expr)


def _concrete(expr: sp.Expr) -> sp.Expr:
    if not expr.has(AppliedUndef, sp.Derivative, sp.Subs):
        return expr
    if isinstance(expr, AppliedUndef):
        return _polynomial(expr.func.__name__, [_concrete(arg) for arg in expr.args])
    if not isinstance(expr, sp.Derivative | sp.Subs):
        return expr.func(*(_concrete(arg) for arg in expr.args))
    head, slots, points = with_slots(expr, lambda i: sp.Dummy(f"slot{i}", real=True))
    if isinstance(expr, sp.Derivative) and isinstance(head, sp.Derivative) and slots:
        value = sp.diff(_concrete(head.expr), *head.variable_count)
    elif slots:
        value = _concrete(head)
    if not slots or value.has(sp.Derivative, sp.Subs):
        raise Undecided(f"{expr} has no value")
    return value.xreplace({s: _concrete(p) for s, p in zip(slots, points, strict=True)})


def _polynomial(name: str, args: Sequence[sp.Expr]) -> sp.Expr:
    """Return powers of different linear forms: one form alone would satisfy relations of its own.

    Of a polynomial of degree 2 in one form every third derivative is 0, and the ratio of any two
    first derivatives constant; a false claim that says so would not be refuted. Terms of both signs
    give slopes of both signs.
    """
    rng = random.Random(f"{name}/{len(args)}")

    def linear() -> sp.Expr:
        return sum((sp.Rational(rng.randrange(1, 9), 7) * a for a in args), sp.Rational(1, 3))

    powers = (rng.choice((-1, 1)) * linear() ** k / sp.Integer(5 * k) for k in range(2, 6))
    return linear() + sum(powers) - linear() ** 3 / 7
