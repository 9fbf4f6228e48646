"""Averages of polynomials from the averages of powers: what an expectation or a sum needs to know.

The log-density of a normal flow is a polynomial in the variable. Its average, over a density or
over data, then follows from a few moments, and no integral has to be found (chapters 1, 2 and 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy as sp

from .trace import SymArray


def average(formula: Any, variable: Any, moments: Sequence[Any]) -> SymArray:
    r"""Return the average of a polynomial from the averages of the powers of its variable.

    $\E \sum_k c_k v^k = \sum_k c_k\, \E v^k$: the expectation is linear.

    Parameters
    ----------
    formula : SymArray or SymPy expression
        A polynomial in `variable`; its coefficients may hold any other symbol.
    variable : SymArray or SymPy symbol
    moments : sequence
        The averages of 1, v, v², ...: `[1, 0, 1]` for the standard normal up to degree two.

    Returns
    -------
    SymArray

    Raises
    ------
    ValueError
        If the formula is not a polynomial in the variable, or of a higher degree than `moments`.

    Examples
    --------
    >>> from flowtutorial.symbolic import symbols
    >>> z, m = symbols("z m")
    >>> average((m + 2 * z) ** 2, z, [1, 0, 1])
    SymArray(m**2 + 4)
    """
    expression, symbol = SymArray(formula).expr, SymArray(variable).expr
    try:
        terms = sp.Poly(sp.expand(expression), symbol).terms()
    except sp.PolynomialError as error:
        raise ValueError(f"formula: {expression} is not a polynomial in {symbol}") from error
    degree = max(power for (power,), _ in terms)
    if degree >= len(moments):
        raise ValueError(
            f"moments: {len(moments)} averages reach to the power {len(moments) - 1}, but the "
            f"formula has {symbol}**{degree}"
        )
    return SymArray(sum(c * SymArray(moments[power]).expr for (power,), c in terms))
