"""Climbing a likelihood to its summit, also over kinks, where the slope jumps.

The likelihood of a spline has one wherever a knot meets a datum, and Newton's method stalls beside
it. The secant method of Broyden, Fletcher, Goldfarb and Shanno learns from the jumps, if its line
search asks for no more than a slope that has become flatter (Lewis and Overton 2013). Where it gets
no further, the slopes nearby tell why. At a smooth place they change in proportion to the distance,
and give the curvature for Newton's method. At a kink they jump; if a mean of them is 0, no
direction leads up (Burke, Lewis and Overton 2005). `fit` ends with this.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from .blocks import Array

CLIMB, FLATTEN = 1e-4, 0.9  # what a step has to gain, and to take off the slope
RADIUS = 1.0  # longest step, in the metric
NEARBY = 1e-4  # distance at which slopes are compared, in the metric
WINDOW, GAIN = 20, 0.01  # steps over which a gain of the log-likelihood is small
BALANCED = 0.1  # standard errors that the slopes around a summit may leave
BENT = 0.1  # share of a change of the slope that may differ from that on the other side
CURVED = 1e-7  # least curvature that counts, in the metric
SLOW = 0.03  # of the last step: a step no shorter than that asks for the curvature anew
FEW = 10  # parameters: the curvature costs less than the steps that it saves
AT_A_KINK = "a kink of the likelihood, with slopes on all sides that lead back"
STUCK = "no step climbs any further"


class Place(NamedTuple):
    """A value, its gradient, and the metric, as `unit` with `unit unitᵀ` the metric's inverse."""

    params: Array
    value: float
    gradient: Array
    unit: Array


class Objective(Protocol):
    """A mean over observations, not finite where it has no value. Each method is one pass."""

    def place(self, params: Array) -> Place:
        """Return value, gradient and metric."""

    def slope(self, params: Array) -> tuple[float, Array]:
        """Return value and gradient."""

    def slopes(self, points: Array) -> Array:
        """Return the gradients at the rows of an array."""


class Summit(NamedTuple):
    """Where a climb ended: whether no direction leads on from there, or else why not.

    The message is empty if there were too few iterations.
    """

    params: Array
    iterations: int
    converged: bool
    message: str
    kink: bool = False


def climb_over_kinks(
    objective: Objective, start: Place, n: int, *, tolerance: float, iterations: int
) -> Summit:
    """Maximise a function that is smooth but for kinks.

    Parameters
    ----------
    objective : Objective
    start : Place
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
    params, value, gradient, unit = start
    first = inverse = unit @ unit.T
    values, before, few = [value], np.inf, params.size <= FEW
    if few:
        inverse, rise = _newton(*_sides(objective, start, _basis(params.size)), unit)
        params, value, gradient = _off_a_saddle(objective, params, value, gradient, rise)
    for iteration in range(iterations + 1):
        # beside a kink `inverse` may shrink without end, so `first` has a say too
        steps = [np.sqrt(n * max(gradient @ matrix @ gradient, 0.0)) for matrix in (inverse, first)]
        if steps[0] <= tolerance and steps[1] <= np.sqrt(tolerance):
            small = f"the next step is below {tolerance:g} standard errors"
            return Summit(params + inverse @ gradient, iteration, True, small)
        if iteration == iterations:
            break
        few = few and steps[0] < before  # else the curvature has not helped
        if few and steps[0] > SLOW * before:
            here = Place(params, value, gradient, unit)
            around = _sides(objective, here, _basis(params.size))
            if _smooth(*around, gradient @ unit):
                inverse, _ = _newton(*around, unit)
        before = steps[0]
        found = _line_search(objective, params, value, gradient, _bounded(inverse @ gradient, unit))
        slow = len(values) > WINDOW and values[-1] - values[-WINDOW] < GAIN / n
        if found is None or slow:
            here = objective.place(params)
            unit, values = here.unit, []
            first = inverse = unit @ unit.T
            around = _sides(objective, here, np.vstack([_basis(params.size), _others(params.size)]))
            smooth = _smooth(*around, gradient @ unit)
            if smooth:
                inverse, _ = _newton(*around, unit)
                step = inverse @ gradient
                left, enough = np.sqrt(max(gradient @ step, 0.0)), np.sqrt(tolerance)
            else:
                mean = _shortest_mean(np.vstack(around))
                left, step, enough = np.linalg.norm(mean), unit @ mean, BALANCED
            if not smooth and np.sqrt(n) * left <= BALANCED:
                return Summit(params, iteration, True, AT_A_KINK, kink=True)
            found = _line_search(objective, params, value, gradient, _bounded(step, unit))
            if found is None:
                near = bool(np.sqrt(n) * left <= enough)
                return Summit(params, iteration, near, STUCK, kink=not smooth)
        step, value, after = found
        inverse = _updated(inverse, step, gradient - after)
        params, gradient = params + step, after
        values.append(value)
    return Summit(params, iterations, False, "")


def _bounded(step: Array, unit: Array) -> Array:
    """Return a step, or the part of it that is `RADIUS` long."""
    length = float(np.linalg.norm(np.linalg.solve(unit, step)))
    return step * min(1.0, RADIUS / max(length, 1e-300))


def _line_search(
    objective: Objective, params: Array, value: float, gradient: Array, step: Array
) -> tuple[Array, float, Array] | None:
    """Return a multiple of a step that climbs and flattens, the value and the gradient there.

    The conditions of Wolfe, found by halving and doubling (Lewis and Overton 2013, section 2).
    """
    low, high, length = 0.0, np.inf, 1.0
    slope = float(gradient @ step)
    rounding = 1e-13 * abs(value)  # of a mean
    best = None
    for _ in range(50):
        there, new_gradient = objective.slope(params + length * step)
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
        if length < 1.0 and length * slope < 1e-3 * rounding:
            break  # what there is to gain can't be seen
    return best


def _updated(inverse: Array, step: Array, fall: Array) -> Array:
    """Return the inverse curvature with what a step has shown: the gradient fell by `fall`."""
    curved = float(step @ fall)
    if not curved > 0.0:
        return inverse
    turn = np.eye(step.size) - np.outer(step, fall) / curved
    updated: Array = turn @ inverse @ turn.T + np.outer(step, step) / curved
    return updated


# -- what the slopes nearby tell -------------------------------------------------------------------


def _basis(k: int) -> Array:
    """Return `k` directions at right angles, askew to the axes."""
    return np.linalg.qr(np.random.default_rng(0).standard_normal((k, k)))[0]


def _others(k: int) -> Array:
    directions = np.random.default_rng(1).standard_normal((5, k))
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def _sides(objective: Objective, here: Place, directions: Array) -> tuple[Array, Array]:
    """Return the slopes `NEARBY` in some directions and on the other side, measured by the metric.

    Beyond a wall, where there is none, the slope is taken to be that of `here`.
    """
    away = NEARBY * directions @ here.unit.T
    slopes = objective.slopes(np.vstack([here.params + away, here.params - away]))
    finite = np.isfinite(slopes).all(axis=1, keepdims=True)
    up, down = np.split(np.where(finite, slopes, here.gradient) @ here.unit, 2)
    return up, down


def _smooth(up: Array, down: Array, middle: Array) -> bool:
    """Whether slopes change on both sides by the same."""
    bend = np.linalg.norm(up + down - 2.0 * middle, axis=1)
    return bool(bend.max() <= BENT * np.linalg.norm(up - down, axis=1).max())


def _newton(up: Array, down: Array, unit: Array) -> tuple[Array, Array]:
    """Return the inverse of the curvature from the slopes along `_basis`, and a way off a saddle.

    Where the function is convex the curvature is taken by its absolute value, so that the step
    climbs; where it is flat, that of the metric. The way off is 0 if it is convex nowhere.
    """
    k = len(unit)
    matrix = _basis(k).T @ (down - up)[:k] / (2.0 * NEARBY)
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    size = np.abs(values)
    steep = unit @ vectors / np.sqrt(np.where(size > CURVED, size, 1.0))
    rise = unit @ vectors[:, 0] * (values[0] < -CURVED)
    return steep @ steep.T, rise


def _off_a_saddle(
    objective: Objective, params: Array, value: float, gradient: Array, rise: Array
) -> tuple[Array, float, Array]:
    """Return the place up a direction in which the function is convex, if it is higher."""
    for step in (0.1 * rise, -0.1 * rise) if rise.any() else ():
        there, slope = objective.slope(params + step)
        if there > value and np.isfinite(slope).all():
            return params + step, there, slope
    return params, value, gradient


def _shortest_mean(slopes: Array) -> Array:
    """Return the shortest mean of slopes, in the direction of which they all climb."""
    from scipy.optimize import nnls

    size = max(float(np.linalg.norm(slopes, axis=1).max()), 1e-300)
    system = np.vstack([slopes.T / size, np.ones(len(slopes))])
    weights = nnls(system, np.append(np.zeros(slopes.shape[1]), 1.0))[0]
    mean: Array = weights @ slopes / max(float(weights.sum()), 1e-300)
    return mean
