"""Exercises of chapter 3, the change of variables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..bijection import Bijection, Chain, Interval, Inverse
from ..blocks import Array
from ..distributions import StandardNormal
from ..elementwise import Affine, Exp, Sigmoid, Tanh
from ..flow import Flow
from ..symbolic import symbols
from .exercise import Exercise, Formula, Mistake
from .maps import Map

_BASE = StandardNormal()


def _log_normal(x: Array, mu: Array, sigma: Array) -> Array:
    return np.exp(Flow(_BASE, Chain((Affine(mu, np.log(sigma)), Exp()))).log_prob(x))


def _signed(log_p_Z: Array, log_det: Array) -> Array:
    """Return the log-density of a map whose log-determinant from base to data is `log_det`."""
    return log_p_Z + Affine(0, log_det).inverse_and_log_det(symbols("x"))[1]


def _any_line(x: Array, a: Array, b: Array) -> Array:
    """Return the density of `a + b z`; the base is symmetric, so the sign of `b` is free."""
    return np.exp(Flow(_BASE, Affine(a, np.log(np.abs(b)))).log_prob(x))


def _half_normal(x: Array) -> Array:
    return np.exp(_BASE.log_prob(x)) + np.exp(_BASE.log_prob(-x))


@dataclass(frozen=True, eq=False)
class _Positive(Bijection):
    """A map of the positive numbers onto themselves."""

    domain: ClassVar[Interval] = (0.0, np.inf)
    codomain: ClassVar[Interval] = (0.0, np.inf)


class _Reciprocal(_Positive):
    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        return 1.0 / z, -2.0 * np.log(z)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        return 1.0 / x, -2.0 * np.log(x)


class _ReciprocalWrongSign(_Positive):
    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        return 1.0 / z, 2.0 * np.log(z)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        return 1.0 / x, 2.0 * np.log(x)


class _ReciprocalOfValue(_Positive):
    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        return 1.0 / z, -np.log(z)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        return 1.0 / x, -np.log(x)


class _ReciprocalWithoutAbs(_Positive):
    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        return 1.0 / z, np.log(-1.0 / z**2)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        return 1.0 / x, np.log(-1.0 / x**2)


def _power(log_power: float) -> Chain:
    return Chain((Inverse(Exp()), Affine(0.0, log_power), Exp()))


@dataclass(frozen=True, eq=False)
class _Power(_Positive):
    log_power: float

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        k = np.exp(self.log_power)
        return z**k, self.log_power + (k - 1.0) * np.log(z)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        k = np.exp(-self.log_power)
        return x**k, -self.log_power + (k - 1.0) * np.log(x)


@dataclass(frozen=True, eq=False)
class _PowerWithoutFactor(_Positive):
    log_power: float

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        k = np.exp(self.log_power)
        return z**k, (k - 1.0) * np.log(z)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        k = np.exp(-self.log_power)
        return x**k, (k - 1.0) * np.log(x)


@dataclass(frozen=True, eq=False)
class _PowerAtBase(_Positive):
    log_power: float

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        k = np.exp(self.log_power)
        return z**k, self.log_power + (k - 1.0) * np.log(z)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        k = np.exp(self.log_power)
        return x ** (1.0 / k), -self.log_power - (k - 1.0) * np.log(x)


_DOUBLE = float(np.log(2.0))

EXERCISES: tuple[Exercise, ...] = (
    Formula(
        name="exp-log-det",
        symbols={"x": "positive"},
        reference=lambda x: Exp().inverse_and_log_det(x)[1],
        solution=lambda x: -np.log(x),
        mistakes=(
            Mistake(np.log, "That is from base to data. Asked is the way from data to base."),
            Mistake(lambda x: 1 / x, "That is the slope; its logarithm is asked for."),
        ),
        hint="Write the way back from x to z, and differentiate it.",
    ),
    Formula(
        name="four-errors-log-normal",
        symbols={"x": "positive", "mu": "real", "sigma": "positive"},
        reference=_log_normal,
        solution=lambda x, mu, sigma: (
            np.exp(-((np.log(x) - mu) ** 2) / (2 * sigma**2)) / (x * sigma * np.sqrt(2 * np.pi))
        ),
        mistakes=(
            Mistake(
                lambda x, mu, sigma: (
                    np.exp(-(np.log(x) - mu) / (2 * sigma**2)) ** 2
                    / (x * sigma * np.sqrt(2 * np.pi))
                ),
                "This is the density as printed. What does a square outside do to the exponent?",
            ),
            Mistake(
                lambda x, mu, sigma: (
                    np.exp(-((np.log(x) - mu) ** 2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))
                ),
                "That is the normal density at the logarithm. Where is the slope of the logarithm?",
            ),
            Mistake(
                lambda x, mu, sigma: (
                    np.exp(-((np.log(x) - mu) ** 2) / sigma**2) / (x * sigma * np.sqrt(2 * np.pi))
                ),
                "The exponent lost its half.",
            ),
        ),
        hint="Take the normal density at the logarithm of x, and the slope of the logarithm.",
    ),
    Formula(
        name="four-errors-arcsine",
        symbols={"x": (0, 1)},
        # the way back of the chapter's SineSquared; for a uniform base it is the probability
        reference=lambda x: 2.0 / np.pi * np.arcsin(np.sqrt(x)),
        solution=lambda x: 2 / np.pi * np.arcsin(np.sqrt(x)),
        mistakes=(
            Mistake(
                lambda x: 1 - 2 / np.pi * np.arcsin(np.sqrt(x)),
                "This is the function as printed. Does it rise?",
            ),
            Mistake(
                lambda x: 1 / (np.pi * np.sqrt(x * (1 - x))), "That is the density, its slope."
            ),
            Mistake(lambda x: np.arcsin(np.sqrt(x)), "Which value does it have to reach at x = 1?"),
        ),
        hint="It has to begin at 0, to rise, to end at 1, and to have the density as its slope.",
    ),
    Formula(
        name="four-errors-uniform",
        reference=lambda: np.exp(Affine(3.0, _DOUBLE).inverse_and_log_det(symbols("x"))[1]),
        solution=0.5,
        mistakes=(
            Mistake(1 / 3, "This is the number as printed. What does a shift do to the height?"),
            Mistake(2, "The interval became longer. Does the height grow or fall?"),
            Mistake(1 / 5, "How long is the interval from 3 to 5?"),
        ),
        hint="The area is one.",
    ),
    Formula(
        name="four-errors-sign",
        symbols={"log_p_Z": "real", "log_det": "real"},
        reference=_signed,
        solution=lambda log_p_Z, log_det: log_p_Z - log_det,
        mistakes=(
            Mistake(
                lambda log_p_Z, log_det: log_p_Z + log_det,
                "This is the formula as printed. Where the map stretches, is the density lower?",
            ),
        ),
        hint="Where a map stretches by two, the density is half as high.",
    ),
    Map(
        name="reciprocal",
        asks="the map x = 1/z on the positive numbers",
        reference=_Reciprocal,
        solution=_Reciprocal,
        mistakes=(
            Mistake(_ReciprocalWrongSign, "Near 0 the map is steep: is the logarithm positive?"),
            Mistake(_ReciprocalOfValue, "That is the logarithm of the value, not of the slope."),
            Mistake(_ReciprocalWithoutAbs, "The map falls; what stands in the logarithm then?"),
        ),
        hint="The log-determinant is the logarithm of the size of the slope.",
    ),
    Map(
        name="compose",
        asks="a chain with the formulas of Tanh",
        instance=True,
        reference=Tanh,
        solution=Chain((Affine(0.0, _DOUBLE), Sigmoid(), Affine(-1.0, _DOUBLE))),
        mistakes=(
            Mistake(
                Chain((Sigmoid(), Affine(-1.0, _DOUBLE))),
                "It has the right range, but it rises too slowly.",
            ),
            Mistake(
                Chain((Affine(0.0, 2.0), Sigmoid(), Affine(-1.0, 2.0))),
                "The second field of Affine is the logarithm of the scale.",
            ),
            Mistake(
                Chain((Affine(-1.0, _DOUBLE), Sigmoid(), Affine(0.0, _DOUBLE))),
                "The first part of a chain is applied first.",
            ),
        ),
        hint="Where does the sigmoid lead, and where tanh? Compare their slopes at 0, too.",
    ),
    Formula(
        name="half-normal",
        symbols={"x": "positive"},
        reference=_half_normal,
        solution=lambda x: 2 * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi),
        mistakes=(
            Mistake(
                lambda x: np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi),
                "Its area is one half: two values of z lead to every x.",
            ),
            Mistake(
                lambda x: np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi) / 2,
                "Are the branches added or averaged?",
            ),
        ),
        hint="Add what both branches bring.",
    ),
    Formula(
        name="missing-abs",
        symbols={"x": "real", "a": "real", "b": "nonzero"},
        reference=_any_line,
        solution=lambda x, a, b: (
            np.exp(-((x - a) ** 2) / (2 * b**2)) / (np.abs(b) * np.sqrt(2 * np.pi))
        ),
        mistakes=(
            Mistake(
                lambda x, a, b: np.exp(-((x - a) ** 2) / (2 * b**2)) / (b * np.sqrt(2 * np.pi)),
                "Can a density be negative? Try b = -1.",
            ),
            Mistake(
                lambda x, a, b: np.exp(-((x - a) ** 2) / (2 * b**2)) / np.sqrt(2 * np.pi),
                "Its area depends on b.",
            ),
            Mistake(
                lambda x, a, b: (
                    np.exp(-((x - a) ** 2) / (2 * b**2)) * np.abs(b) / np.sqrt(2 * np.pi)
                ),
                "Which slope is it, that from base to data or that from data to base?",
            ),
        ),
        hint="Find the way back and its slope; only the size of the slope counts.",
    ),
    Map(
        name="power",
        asks="the map x = z**k on the positive numbers, with k = exp(log_power)",
        parameters=("log_power",),
        reference=_power,
        solution=_Power,
        mistakes=(
            Mistake(_PowerWithoutFactor, "Differentiate again: the exponent comes down."),
            Mistake(_PowerAtBase, "The way back is a power, too. Which one?"),
        ),
        hint="Differentiate both directions, and take logarithms.",
    ),
)
