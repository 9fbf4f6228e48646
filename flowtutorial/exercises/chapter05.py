"""Exercises of chapter 5, flows with shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import sympy as sp

from ..bijection import Bijection, Chain, Interval
from ..blocks import Array
from ..distributions import StandardNormal
from ..elementwise import Affine, SinhArcsinh, Softplus
from ..flow import Flow
from ..mixture import LogisticMixture
from ..spline import SplineBin
from ..symbolic import SymArray
from .exercise import Exercise, Formula, Mistake
from .maps import Map


def _median(mu: Any, sigma: Any, epsilon: Any, d: Any) -> Any:
    bent = Chain((SinhArcsinh(epsilon, np.log(d)), Affine(mu, np.log(sigma))))
    return bent.forward(SymArray(0))


def _two_hills(x: Any, m: Any) -> Any:
    log_scales = SymArray([sp.log(3), sp.log(3)])
    mixture = LogisticMixture(SymArray([0]), np.stack([-m, m]), log_scales)
    return np.exp(mixture.inverse_and_log_det(x)[1])


def _logistic(t: Any) -> Any:
    """Return the standard logistic density."""
    return np.exp(-t) / (1.0 + np.exp(-t)) ** 2


def _softplus_normal(x: Any) -> Any:
    return Flow(StandardNormal(), Softplus()).log_prob(x)


def _log_normal_density(z: Any) -> Any:
    return -(z**2) / 2 - np.log(2 * np.pi) / 2


def _back(x: Any) -> Any:
    return np.log(np.exp(x) - 1)


def _middle(a: SymArray, b: SymArray, h: SymArray) -> list[Any]:
    x, log_slope = SplineBin(0, 1, 0, h, a, b).forward_and_log_det(SymArray(1) / 2)
    return [x, np.exp(log_slope)]


@dataclass(frozen=True, eq=False)
class _Gumbel(Bijection):
    domain: ClassVar[Interval] = (0.0, 1.0)

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        x = -np.log(-np.log(z))
        return x, x + np.exp(-x)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        return np.exp(-np.exp(-x)), -x - np.exp(-x)


class _GumbelOfMinima(_Gumbel):
    """The mirror image, whose distribution function is `1 - exp(-exp(x))`."""

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        x = np.log(-np.log(1.0 - z))
        return x, np.exp(x) - x

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        return 1.0 - np.exp(-np.exp(x)), x - np.exp(x)


class _GumbelWithoutInnerSlope(_Gumbel):
    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        x, log_det = super().forward_and_log_det(z)
        return x, log_det - x

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        return np.exp(-np.exp(-x)), -np.exp(-x)


EXERCISES: tuple[Exercise, ...] = (
    Formula(
        name="shape-median",
        symbols={"mu": "real", "sigma": "positive", "epsilon": "real", "d": "positive"},
        reference=_median,
        solution=lambda mu, sigma, epsilon, d: mu + sigma * np.sinh(epsilon * d),
        mistakes=(
            Mistake(
                lambda mu, sigma, epsilon, d: mu + 0 * sigma * epsilon * d,
                "Where does the bent line send the median of the base?",
            ),
            Mistake(
                lambda mu, sigma, epsilon, d: mu + sigma * np.sinh(epsilon) + 0 * d,
                "Something multiplies what stands inside the outer sinh.",
            ),
            Mistake(
                lambda mu, sigma, epsilon, d: np.sinh(epsilon * d) + 0 * mu * sigma,
                "This is the median before the affine map.",
            ),
        ),
        hint="An increasing map sends the median to the median. Which is that of the base?",
    ),
    Formula(
        name="shape-find-the-error",
        symbols={"x": "real", "m": "real"},
        reference=_two_hills,
        solution=lambda x, m: (_logistic((x + m) / 3) + _logistic((x - m) / 3)) / 6,
        mistakes=(
            Mistake(
                lambda x, m: (_logistic((x + m) / 3) + _logistic((x - m) / 3)) / 2,
                "This is what the code computes. What is its integral over all x?",
            ),
            Mistake(
                lambda x, m: (_logistic((x + m) / 3) + _logistic((x - m) / 3)) / 3,
                "How much do the weights add up to?",
            ),
            Mistake(
                lambda x, m: (_logistic((x + m) / 3) + _logistic((x - m) / 3)) * 3 / 2,
                "A wider hill is lower, not higher.",
            ),
        ),
        hint="Differentiate the distribution function by x, with the chain rule.",
    ),
    Formula(
        name="shape-softplus-density",
        symbols={"x": "positive"},
        reference=_softplus_normal,
        solution=lambda x: _log_normal_density(_back(x)) - np.log(1 - np.exp(-x)),
        mistakes=(
            Mistake(
                lambda x: _log_normal_density(_back(x)) + np.log(1 - np.exp(-x)),
                "Near 0 the map from data to base is steep. Which sign has the logarithm then?",
            ),
            Mistake(
                lambda x: _log_normal_density(_back(x)), "What does the map do to lengths near 0?"
            ),
            Mistake(
                lambda x: _log_normal_density(_back(x)) + np.log(1 + np.exp(-x)),
                "The slope of the softplus is to be taken at z, not at x.",
            ),
        ),
        hint="Solve x = log(1 + exp(z)) for z, and differentiate by x.",
    ),
    Formula(
        name="shape-spline-middle",
        symbols={"a": "positive", "b": "positive", "h": "positive"},
        reference=_middle,
        solution=lambda a, b, h: [h * (h + a) / (2 * h + a + b), 4 * h**2 / (2 * h + a + b)],
        mistakes=(
            Mistake(
                lambda a, b, h: [h / 2 + 0 * a, 4 * h**2 / (2 * h + a + b)],
                "The middle goes to the middle only if both slopes agree.",
            ),
            Mistake(
                lambda a, b, h: [h * (h + b) / (2 * h + a + b), 4 * h**2 / (2 * h + a + b)],
                "Which slope lifts the middle, that of the left end or that of the right?",
            ),
            Mistake(
                lambda a, b, h: [h * (h + a) / (2 * h + a + b), (2 * h + a + b) / 4],
                "The slope is divided by the square of the denominator.",
            ),
        ),
        hint="The width is 1, so m = h; put t = u = 1/2 into both formulas.",
    ),
    Map(
        name="shape-gumbel",
        asks="the map from (0, 1) whose inverse is exp(-exp(-x))",
        reference=_Gumbel,
        solution=_Gumbel,
        mistakes=(
            Mistake(_GumbelOfMinima, "This is the mirror image. Does your inverse fall at -x?"),
            Mistake(_GumbelWithoutInnerSlope, "The chain rule has two factors here."),
        ),
        hint="The inverse is the distribution function; its slope is the density.",
    ),
)
