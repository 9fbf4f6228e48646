"""Exercises of chapter 1, the simplest flow: its likelihood, and the steps that climb it."""

from __future__ import annotations

import numpy as np
import sympy as sp

from ..blocks import Array
from ..distributions import StandardNormal
from ..elementwise import Affine, Shift
from ..flow import Flow
from ..likelihood import gradient_ascent
from ..symbolic import SymArray, average, symbols
from .exercise import Exercise, Formula, Mistake
from .variables import Data


def _flow(mu: Array) -> Flow:
    return Flow(StandardNormal(), Shift(mu))


def _slope(x: Array, mu: Array) -> Array:
    """Return the slope of the mean log-likelihood, for data or for their mean alone."""
    return np.mean(_flow(mu).log_prob(x).diff(mu)) if x.ndim else _flow(mu).log_prob(x).diff(mu)


def _factor(gamma: Array) -> Array:
    """Return what a step multiplies the distance to the mean by."""
    x, mu = symbols("x mu")
    return (mu + gamma * _slope(x, mu)).diff(mu)


def _two_step_sizes() -> list[sp.Expr]:
    gamma = symbols("gamma")
    return list(sp.solve(_factor(gamma).expr ** 2 - sp.Rational(1, 100), gamma.expr))


def _steps_to_a_hundredth() -> int:
    path = gradient_ascent(_flow(0.0), np.array([1.0]), learning_rate=0.1, steps=100).params[:, 0]
    return int(np.argmax(np.abs(path - 1.0) < 0.01))


def _loss_of_known_scale(S: Array) -> Array:
    x, x_bar = symbols("x xbar")
    bijections = (Affine(x_bar, np.log(S)), Shift(x_bar))
    formulas = [Flow(StandardNormal(), bijection).log_prob(x) for bijection in bijections]
    best, shift_only = (average(f, x, [1, x_bar, S**2 + x_bar**2]) for f in formulas)
    return best - shift_only


def _variance_of_the_walk(gamma: Array, t: Array) -> Array:
    """Return `t` times the variance of a step on `x = z + mu`, whose slope is `z` alone."""
    z, mu, fixed_x = symbols("z mu x")
    slope = _slope(fixed_x, mu).expr.subs(fixed_x.expr, (z + mu).expr)
    return t * (gamma * SymArray(slope).diff(z)) ** 2


def _weighted_maximum(x: Array, w: Array) -> Array:
    """Return where the slope of the weighted log-likelihood is 0; it is linear in `mu`."""
    mu = symbols("mu")
    slope = np.sum(w * _flow(mu).log_prob(x)).diff(mu)
    at_zero = SymArray(slope.expr.subs(mu.expr, 0))
    return -at_zero / slope.diff(mu)


EXERCISES: tuple[Exercise, ...] = (
    Formula(
        name="shift-score",
        symbols={"x": "real", "mu": "real"},
        reference=_slope,
        solution=lambda x, mu: x - mu,
        mistakes=(
            Mistake(lambda x, mu: mu - x, "If mu is too small, which way is up?"),
            Mistake(lambda x, mu: 2 * (x - mu), "What became of the half before the square?"),
        ),
        hint="Only the square depends on mu.",
    ),
    Formula(
        name="shift-half-life-steps",
        reference=_steps_to_a_hundredth,
        solution=44,
        mistakes=(
            Mistake(43, "After that many steps it is still a little above one hundredth."),
            Mistake(
                np.log(0.01) / np.log(0.9),
                "That is where the curve crosses one hundredth; steps are whole.",
            ),
        ),
        hint="In every step the distance keeps nine tenths of what it was.",
    ),
    Formula(
        name="shift-half-life",
        any_order=True,
        reference=_two_step_sizes,
        solution=[0.9, 1.1],
        mistakes=(
            Mistake([0.99, 1.01], "That is the distance after one step. How many are taken?"),
            Mistake([0.1, -0.1], "These are the factors. Which step sizes have them?"),
        ),
        hint="Two steps multiply the distance by the square of one factor, which may be negative.",
    ),
    Formula(
        name="shift-find-the-error",
        symbols={"x": Data(5), "mu": "real"},
        reference=lambda x, mu: mu + _slope(x, mu) / 10,
        solution=lambda x, mu: mu + 0.1 * np.mean(x - mu),
        mistakes=(
            Mistake(
                lambda x, mu: mu - 0.1 * np.mean(x - mu),
                "This is the loop as printed. Which way does the likelihood rise?",
            ),
            Mistake(
                lambda x, mu: mu + 0.1 * np.sum(x - mu),
                "The step climbs the sum. What does that do to the step sizes that arrive?",
            ),
            Mistake(lambda x, mu: mu + 0.1 * mu, "The data do not enter."),
            Mistake(lambda x, mu: np.mean(x - mu), "That is the slope. Where does a step lead?"),
        ),
        hint="One line of the loop is right in size. Compare it with the update of the chapter.",
    ),
    Formula(
        name="shift-known-scale",
        symbols={"S": "positive"},
        reference=_loss_of_known_scale,
        solution=lambda S: (S**2 - 1) / 2 - np.log(S),
        mistakes=(
            Mistake(lambda S: np.log(S) - (S**2 - 1) / 2, "A loss is positive. Which is higher?"),
            Mistake(lambda S: S**2 - 1 - np.log(S), "One of the terms lost its half."),
            Mistake(lambda S: S**2 / 2 - np.log(S), "Should there be a loss at S = 1?"),
            Mistake(
                lambda S: (S**2 - 1) / 2 - np.log(S**2),
                "The scale stretches once: is it S or its square that has its logarithm taken?",
            ),
        ),
        hint="Subtract the height of one top from that of the other; at S = 1 nothing is left.",
    ),
    Formula(
        name="shift-sum-factor",
        symbols={"gamma": "real", "n": "positive"},
        reference=lambda gamma, n: _factor(n * gamma),
        solution=lambda gamma, n: 1 - n * gamma,
        mistakes=(
            Mistake(lambda gamma, n: 1 - gamma, "That is the factor for the mean."),
            Mistake(lambda gamma, n: 1 - gamma / n, "Is the slope of the sum larger or smaller?"),
            Mistake(lambda gamma, n: 1 + n * gamma, "With this factor no step would ever arrive."),
        ),
        hint="Write the update with the slope of the sum, and subtract the mean on both sides.",
    ),
    Formula(
        name="shift-weights",
        symbols={"x": Data(5), "w": Data(5, "positive")},
        reference=_weighted_maximum,
        solution=lambda x, w: np.sum(w * x) / np.sum(w),
        mistakes=(
            Mistake(lambda x, w: np.mean(x), "The weights do not enter."),
            Mistake(lambda x, w: np.mean(w * x), "If all weights are doubled, does the top move?"),
            Mistake(lambda x, w: np.sum(w * x), "If all weights are doubled, does the top move?"),
        ),
        hint="Set the slope of the weighted sum to zero; it is linear in mu.",
    ),
    Formula(
        name="shift-random-walk",
        symbols={"gamma": "real", "t": "positive"},
        reference=_variance_of_the_walk,
        solution=lambda gamma, t: gamma**2 * t,
        mistakes=(
            Mistake(lambda gamma, t: gamma * t, "A step is gamma times z: what is its variance?"),
            Mistake(lambda gamma, t: gamma**2 * t**2, "The steps are independent of each other."),
            Mistake(lambda gamma, t: gamma * np.sqrt(t), "That is the standard deviation."),
        ),
        hint="Every step adds gamma times a fresh z. Add the variances.",
    ),
)
