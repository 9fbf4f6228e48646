"""Climbing a likelihood that has kinks, as that of a spline has wherever a knot meets a datum.

At a kink the slope jumps, so that Newton's method stalls beside it. The secant method of Broyden,
Fletcher, Goldfarb and Shanno learns from the jumps, if its line search asks for no more than a
slope that has become flatter (Lewis and Overton 2013). `fit` ends with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .blocks import Array

Objective = Callable[[Array], tuple[float, Array]]  # value and gradient, at parameters
CLIMB, FLATTEN = 1e-4, 0.9  # what a step has to gain, and to take off the slope
RADIUS = 1.0  # longest step, in the metric
NEARBY = 1e-4  # distance at which slopes are compared, in the metric
WINDOW, GAIN = 20, 0.01  # steps over which a gain of the log-likelihood is small
BALANCED = 0.1  # standard errors that the slopes around a summit may leave
AT_A_KINK = "a kink of the likelihood, with slopes on all sides that lead back"
STUCK = "no step climbs any further"


class Summit(NamedTuple):
    """Where a climb ended, and whether no direction leads on from there."""

    params: Array
    iterations: int
    converged: bool
    message: str


def climb_over_kinks(
    objective: Objective, start: Array, metric: Array, n: int, *, tolerance: float, iterations: int
) -> Summit:
    """Maximise a function that is smooth but for kinks.

    Parameters
    ----------
    objective : callable
        Value and gradient of a mean over `n` observations; not finite where it has no value.
    start : array of shape (k,)
    metric : array of shape (k, k)
        Symmetric and positive: the information, in which steps are measured.
    n : int
        Number of observations.
    tolerance : float
        As for `fit`: the length of the next step in standard errors, where there is no kink.
    iterations : int
        At most so many steps.

    Returns
    -------
    Summit
    """
    params, (value, gradient) = start, objective(start)
    first = inverse = np.linalg.inv(metric)
    values = [value]
    for iteration in range(iterations):
        # beside a kink `inverse` may shrink without end, so `first` has a say too
        steps = [np.sqrt(n * max(gradient @ matrix @ gradient, 0.0)) for matrix in (inverse, first)]
        if steps[0] <= tolerance and steps[1] <= np.sqrt(tolerance):
            small = f"the next step is below {tolerance:g} standard errors"
            return Summit(params + inverse @ gradient, iteration, True, small)
        step = _bounded(inverse @ gradient, metric)
        found = _line_search(objective, params, value, float(gradient @ step), step)
        if found is None and inverse is not first:  # once more, with nothing learned
            inverse = first
            step = _bounded(inverse @ gradient, metric)
            found = _line_search(objective, params, value, float(gradient @ step), step)
        slow = len(values) > WINDOW and values[-1] - values[-WINDOW] < GAIN / n
        if found is None or slow:
            left, step = _balanced(objective, params, first)
            if np.sqrt(n) * left <= BALANCED:
                return Summit(params, iteration, True, AT_A_KINK)
            found = _line_search(objective, params, value, left * left, step)
            if found is None:
                return Summit(params, iteration, False, STUCK)
            inverse, values = first, []
        step, value, after = found
        inverse = _updated(inverse, step, gradient - after)
        params, gradient = params + step, after
        values.append(value)
    return Summit(params, iterations, False, f"{iterations} iterations were not enough")


def _bounded(step: Array, metric: Array) -> Array:
    """Return a step, or the part of it that is `RADIUS` long."""
    length = float(np.sqrt(max(step @ metric @ step, 1e-300)))
    return step * min(1.0, RADIUS / length)


def _line_search(
    objective: Objective, params: Array, value: float, slope: float, step: Array
) -> tuple[Array, float, Array] | None:
    """Return a multiple of a step that climbs and flattens, the value and the gradient there.

    The conditions of Wolfe, found by halving and doubling (Lewis and Overton 2013, section 2).
    """
    low, high, length = 0.0, np.inf, 1.0
    rounding = 1e-13 * abs(value)  # of a mean
    best = None
    for _ in range(50):
        there, new_gradient = objective(params + length * step)
        least = value + CLIMB * length * slope - rounding
        if not (there >= least and np.isfinite(new_gradient).all()):
            high = length
        else:
            found = (length * step, there, new_gradient)
            best = found if there > value else best
            if new_gradient @ step <= FLATTEN * slope:
                return found
            low = length
        length = 0.5 * (low + high) if high < np.inf else 2.0 * low
    return best


def _updated(inverse: Array, step: Array, fall: Array) -> Array:
    """Return the inverse curvature with what a step has shown: the gradient fell by `fall`."""
    curved = float(step @ fall)
    if not curved > 0.0:
        return inverse
    turn = np.eye(step.size) - np.outer(step, fall) / curved
    updated: Array = turn @ inverse @ turn.T + np.outer(step, step) / curved
    return updated


def _balanced(objective: Objective, params: Array, inverse: Array) -> tuple[float, Array]:
    """Return the shortest mean of the slopes nearby, its length, and the step that climbs them all.

    It is 0 at a summit, also where there is no derivative (Burke, Lewis and Overton 2005).
    """
    from scipy.optimize import nnls

    rng, k = np.random.default_rng(0), params.size
    root = np.linalg.cholesky(inverse)
    directions = rng.standard_normal((2 * k + 10, k))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    slopes = np.array([objective(params + NEARBY * root @ d)[1] @ root for d in directions])
    slopes = slopes[np.isfinite(slopes).all(axis=1)]
    if not len(slopes):
        return np.inf, np.zeros(k)
    size = max(float(np.linalg.norm(slopes, axis=1).max()), 1e-300)
    system = np.vstack([slopes.T / size, np.ones(len(slopes))])
    weights = nnls(system, np.append(np.zeros(k), 1.0))[0]
    mean = weights @ slopes / max(float(weights.sum()), 1e-300)
    return float(np.linalg.norm(mean)), root @ mean
