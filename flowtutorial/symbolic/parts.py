"""Bijections that are no single formula: one direction solved numerically, or many pieces.

What has a formula is proved by `prove_bijection` as always. What has none, a search for a root or
for a bin, is run in floating point at many points and parameters: a failure refutes, and that there
is none is said as what it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import sympy as sp

from .decide import decide, is_positive
from .outcomes import NUMERICAL, OPEN, PROVED_EXACT, REFUTED, Decision
from .trace import SymArray

TOLERANCE = 1e-6  # of a comparison of floats, and of a difference quotient
STEP = 1e-5


def float_witness(bijection: Any) -> dict[str, str] | None:
    """Return a point at which the floating-point code fails, or None.

    `inverse(forward(z)) = z`, up to what rounding of `x` carries through, and both log-determinants
    are those of difference quotients; at the parameters given and at some others.
    """
    for instance in _variants(bijection):
        with np.errstate(all="ignore"):
            z = _points(instance.domain)
            x, forward = instance.forward_and_log_det(z)
            back, inverse = instance.inverse_and_log_det(x)
            carried = np.abs(x) * np.exp(inverse)
            size = np.maximum(1.0, np.maximum(np.abs(z), carried))
            step = STEP * _distance(instance.domain, z)
            rise = instance.forward_and_log_det(z + step)[0]
            rise = rise - instance.forward_and_log_det(z - step)[0]
            slope = np.log(np.abs(rise) / (2.0 * step))
            # at a knot the quotient sees both sides, and where x is large it sees rounding
            clear = np.abs(rise) > 1e-9 * np.maximum(1.0, np.abs(x))
            allowed = np.where(clear, 0.02, np.inf)
        for what, left, right, bound in (
            ("inverse(forward(z))", back, z, TOLERANCE * size),
            ("log det forward", forward, slope, allowed),
            ("log det inverse", inverse, -forward, TOLERANCE * (1.0 + np.abs(forward))),
        ):
            wrong = ~(np.abs(left - right) <= bound)
            if wrong.any():
                return _witness(instance, z, what, left, right, int(np.argmax(wrong)))
    return None


def _witness(
    instance: Any, z: np.ndarray, what: str, left: np.ndarray, right: np.ndarray, index: int
) -> dict[str, str]:
    values = dict(zip(instance.param_names, instance.params, strict=True))
    shown = {name: f"{value:.15g}" for name, value in values.items()}
    numbers = {"z": z, "lhs": left, "rhs": right, "difference": left - right}
    shown |= {name: f"{array[index]:.15g}" for name, array in numbers.items()}
    return shown | {"claim": what}


def _variants(bijection: Any) -> Iterator[Any]:
    """Yield instances: the one given, and some with other parameters."""
    rng = np.random.default_rng(0)
    if isinstance(bijection, type):
        import dataclasses

        bijection = bijection(*np.zeros(len(dataclasses.fields(bijection))))
    yield bijection
    for _ in range(8):
        yield bijection.with_params(bijection.params + rng.normal(size=bijection.params.size))


def _points(interval: tuple[float, float]) -> np.ndarray:
    """Return points that fill an open interval, closer together towards its ends."""
    low, high = interval
    t = np.linspace(-9.0, 9.0, 240) + 0.0123
    if np.isinf(low) and np.isinf(high):
        return t
    if np.isinf(high):
        return low + np.exp(t)
    if np.isinf(low):
        return high - np.exp(t)
    return low + (high - low) / (1.0 + np.exp(-t))


def _distance(interval: tuple[float, float], z: np.ndarray) -> np.ndarray:
    """Return how far points are from the ends of their interval, at most 1."""
    low, high = interval
    return np.minimum(1.0, np.minimum(z - low, high - z))


def numerical_claim(direction: str, bijection: Any) -> tuple[str, Decision]:
    """Return statement and verdict for a direction that is solved numerically."""
    witness = float_witness(bijection)
    if witness is not None:
        return direction, Decision(REFUTED, witness=witness)
    return direction, Decision(NUMERICAL, "the round trip is tested, up to conditioning")


# -- pieces ----------------------------------------------------------------------------------------


def symbolic_piece(bijection: Any) -> tuple[Any, list[sp.Symbol]]:
    """Return one piece of a bijection with symbols for its corners and slopes, and the symbols."""
    made: list[sp.Symbol] = []

    def symbol(name: str, **assumptions: bool) -> SymArray:
        made.append(sp.Symbol(name, **assumptions))
        return SymArray(made[-1])

    piece = bijection.piece(
        lambda name: symbol(name, real=True), lambda name: symbol(name, positive=True)
    )
    return piece, made


def ends_claims(piece: Any) -> Iterator[tuple[str, Decision]]:
    """Yield that a piece goes from corner to corner, and that it has the slopes given there."""
    corners = (
        (piece.left, piece.low, piece.slope_left),
        (piece.right, piece.high, piece.slope_right),
    )
    ends = [(piece.forward_and_log_det(end), value, slope) for end, value, slope in corners]
    yield "knots go to their images", _first_failure((got.expr, x.expr) for (got, _), x, _ in ends)
    yield (
        "slopes match at the knots",
        _first_failure((log_det.expr, sp.log(slope.expr)) for (_, log_det), _, slope in ends),
    )


def _first_failure(pairs: Iterable[tuple[sp.Expr, sp.Expr]]) -> Decision:
    decision = Decision(PROVED_EXACT)
    for left, right in pairs:
        decision = decide(left, right)
        if not decision.verdict.startswith("proved"):
            return decision
    return decision


def knots_claim(symbolic: Any) -> tuple[str, Decision]:
    """Claim that knots fill the interval in order, and slopes are positive and 1 at the ends."""
    statement = "knots increase, slopes are positive"
    knots, images, slopes = symbolic.knots()
    ends = [SymArray(end).expr for end in symbolic.interval]
    exact = [
        *((part[i].expr, ends[i]) for part in (knots, images) for i in (0, -1)),
        *((slopes[i].expr, sp.S.One) for i in (0, -1)),
    ]
    decision = _first_failure(exact)
    if not decision.verdict.startswith("proved"):
        return statement, decision
    count = knots.shape[-1]
    gaps = [(part[i + 1] - part[i]).expr for part in (knots, images) for i in range(count - 1)]
    ordered = all(map(_is_positive, [*gaps, *(slopes[i].expr for i in range(count))]))
    return statement, Decision(PROVED_EXACT if ordered else OPEN)


def _is_positive(expr: sp.Expr) -> bool:
    constant, rest = expr.as_coeff_Add()
    return is_positive(expr) or bool(constant > 0 and is_positive(rest))
