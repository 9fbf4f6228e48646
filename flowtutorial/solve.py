"""Inverting a map that has no closed inverse: Newton's method, with bisection as its safeguard.

A map that is strictly increasing has exactly one solution between two points that enclose it. All
solutions of an array are searched for at once. Chapter 5 uses it for a mixture.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .blocks import Array, is_traced

EPS = float(np.finfo(np.float64).eps)


def solve_increasing(
    function: Callable[[Array], tuple[Array, Array]],
    low: Array,
    high: Array,
    *,
    iterations: int = 200,
) -> Array:
    """Return where an increasing function is 0, to the last digits that its values allow.

    A Newton step is taken where it stays between the two ends and is at most half as long as the
    step before; elsewhere the interval is halved (Press et al. 2007, *Numerical Recipes*, section
    9.4). A solution is found when the value, or the next step, is at the level of rounding.

    Parameters
    ----------
    function : callable
        `x -> (value, slope)`, elementwise, with a value that rounds to about `2⁻⁵²` near 0.
    low, high : array
        Ends that enclose the solution, of the shape of the result.
    iterations : int
        At most so many evaluations.

    Returns
    -------
    array
        NaN where an end or the function is NaN.

    Raises
    ------
    TypeError
        If the ends are symbolic: a search has no formula.

    Examples
    --------
    >>> solve_increasing(lambda x: (x**3 - 8.0, 3.0 * x**2), np.array([0.0]), np.array([10.0]))
    array([2.])
    """
    if is_traced(low) or is_traced(high):
        raise TypeError("a numerical inverse has no formula; trace the other direction")
    low, high = np.array(low, dtype=np.float64), np.array(high, dtype=np.float64)
    x, last = 0.5 * low + 0.5 * high, high - low
    open_ = ~np.isnan(x)
    for _ in range(iterations):
        value, slope = function(x)
        low, high = np.where(value <= 0.0, x, low), np.where(value >= 0.0, x, high)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            step = -value / slope  # infinite or NaN on a plateau
        newton = x + step
        good = (newton >= low) & (newton <= high) & (np.abs(step) <= 0.5 * last)
        after = np.where(good, newton, 0.5 * low + 0.5 * high)
        small = 2.0 * np.spacing(np.abs(x))
        ended = (np.abs(value) <= EPS) | (np.abs(step) <= small) | (high - low <= small)
        x, last = np.where(open_ & (good | ~ended), after, x), np.abs(after - x)
        open_ &= ~ended & ~np.isnan(value)
        if not open_.any():
            break
    return x
