"""Exercises of chapter 12, beyond this package: orders of chains, scales, blocks and workers."""

from __future__ import annotations

import numpy as np

from ..bijection import Chain
from ..blocks import Array
from ..distributions import StandardNormal
from ..elementwise import Affine, Exp, Sigmoid
from ..flow import Flow
from ..symbolic import SymArray
from .exercise import Exercise, Formula, Mistake


def _other_order(x: Array, rho: Array) -> Array:
    """Return the log-density of `x = exp(rho) exp(z)`."""
    return Flow(StandardNormal(), Chain((Exp(), Affine(0.0, rho)))).log_prob(x)


def _raw_scale(s: Array) -> Array:
    """Return `r` with `sigmoid(r + 2) + 1/1000 = exp(-s)`, the scale from data to base."""
    log_det = Affine(0.0, s).inverse_and_log_det(SymArray(0))[1]
    return Sigmoid().inverse(np.exp(log_det) - SymArray(1) / 1000) - 2


def _of_both(a: Array, b: Array, g: Array, h: Array) -> Array:
    """Return the mean of `a` scores whose mean is `g`, and `b` whose mean is `h`."""
    return (a * g + b * h) / (a + b)


def _nine_tenths(n: Array, c: Array, tau: Array) -> Array:
    """Solve `n c/(n c + tau W²) = 9/10`."""
    return np.sqrt(n * c / (9 * tau))


EXERCISES: tuple[Exercise, ...] = (
    Formula(
        name="beyond-chain-order",
        symbols={"x": "positive", "rho": "real"},
        reference=_other_order,
        solution=lambda x, rho: -((np.log(x) - rho) ** 2) / 2 - np.log(2 * np.pi) / 2 - np.log(x),
        mistakes=(
            Mistake(
                lambda x, rho: (
                    -((np.log(x) * np.exp(-rho)) ** 2) / 2 - np.log(2 * np.pi) / 2 - rho - np.log(x)
                ),
                "That is what was wanted. Which map does the library apply first?",
            ),
            Mistake(
                lambda x, rho: (
                    -((np.log(x) - rho) ** 2) / 2 - np.log(2 * np.pi) / 2 - rho - np.log(x)
                ),
                "How does the derivative of log x - rho by x depend on rho?",
            ),
            Mistake(
                lambda x, rho: -((np.log(x) - rho) ** 2) / 2 - np.log(2 * np.pi) / 2,
                "That is the density of z. What does the change of variables add?",
            ),
        ),
        hint="Write x as a function of z first: the last map of the list is applied first.",
    ),
    Formula(
        name="beyond-raw-scale",
        symbols={"s": (0, 2)},
        reference=_raw_scale,
        solution=lambda s: np.log((1000 * np.exp(-s) - 1) / (1001 - 1000 * np.exp(-s))) - 2,
        mistakes=(
            Mistake(
                lambda s: np.log(np.exp(-s) / (1 - np.exp(-s))) - 2,
                "Something is added behind the sigmoid.",
            ),
            Mistake(
                lambda s: np.log((1000 * np.exp(-s) - 1) / (1001 - 1000 * np.exp(-s))),
                "Something is added inside the sigmoid.",
            ),
            Mistake(lambda s: s, "That is the logarithm of our scale. What must the network say?"),
            Mistake(lambda s: -s - 2, "A sigmoid is no exponential function."),
        ),
        hint="Set the two scales from data to base equal, and solve for the argument of sigmoid.",
    ),
    Formula(
        name="beyond-two-blocks",
        symbols={"a": "positive", "b": "positive", "g": "real", "h": "real"},
        reference=_of_both,
        solution=lambda a, b, g, h: (a * g + b * h) / (a + b),
        mistakes=(
            Mistake(lambda a, b, g, h: (g + h) / 2, "Do both workers hold equally many?"),
            Mistake(lambda a, b, g, h: g + h, "These are means, and so should the answer be."),
            Mistake(
                lambda a, b, g, h: a * g + b * h,
                "That is the sum over all observations. The mean is asked for.",
            ),
        ),
        hint="Turn each mean back into a sum first.",
    ),
    Formula(
        name="beyond-nine-tenths",
        symbols={"n": "positive", "c": "positive", "tau": "positive"},
        reference=_nine_tenths,
        solution=lambda n, c, tau: np.sqrt(n * c / tau) / 3,
        mistakes=(
            Mistake(
                lambda n, c, tau: 9 * np.sqrt(n * c / tau) / 10,
                "Efficiency does not fall in proportion to W. Solve for it.",
            ),
            Mistake(
                lambda n, c, tau: 3 * np.sqrt(n * c / tau), "More workers are less busy, not more."
            ),
            Mistake(
                lambda n, c, tau: n * c / (9 * tau), "That is the square of the number of workers."
            ),
        ),
        hint="Without rounds the efficiency is 1/(1 + tau W^2/(n c)).",
    ),
)
