"""Exercises of chapter 10, coupling: log-determinants, ways back, and what a layer keeps."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..blocks import Array
from ..conditioner import MLP
from ..coupling import Coupling
from ..distributions import StandardNormal
from ..elementwise import Affine, Shift
from ..flow import Flow
from ..symbolic import SymArray, average, symbols
from .exercise import Exercise, Formula, Mistake


class _Says(MLP):
    """A network that says what a function of its inputs returns."""

    def __init__(self, says: Any, outputs: int) -> None:
        super().__init__((np.zeros((outputs, 1)),), (np.zeros(outputs),))
        object.__setattr__(self, "says", says)

    def __call__(self, h: Array) -> Array:
        return SymArray(self.says(h[0]))  # type: ignore[attr-defined]


def _two_layers() -> tuple[Coupling, Coupling]:
    """Return `y₂ = exp(y₁) z₂`, and then `x₁ = exp(y₂) y₁ + y₂`."""
    first = Coupling(_Says(lambda h: [0 * h, h], 2), Affine(0.0, 0.0), stays=(True, False))
    second = Coupling(_Says(lambda h: [h, h], 2), Affine(0.0, 0.0), stays=(False, True))
    return first, second


def _two_log_dets(z_1: Array, z_2: Array) -> Array:
    """Return the log-determinant of both layers, each at the value that reaches it."""
    first, second = _two_layers()
    y, log_det = first.forward_and_log_det(SymArray([z_1, z_2]))
    return log_det + second.forward_and_log_det(y)[1]


def _undone(x_1: Array, x_2: Array) -> list[Array]:
    """Undo `y₂ = z₂ + z₁²`, then `x₁ = y₁ + sin y₂`."""
    first = Coupling(_Says(lambda h: [h**2], 1), Shift(0.0), stays=(True, False))
    second = Coupling(_Says(lambda h: [np.sin(h)], 1), Shift(0.0), stays=(False, True))
    z = first.inverse(second.inverse(SymArray([x_1, x_2])))
    return [z[0], z[1]]


def _log_prob(x_1: Array, x_2: Array, s: Array, t: Array) -> Array:
    """Return the log-density of a coupling whose network says `t` and `s`, whatever it sees."""
    network = MLP((np.zeros((2, 1)),), (SymArray([t, s]),))
    flow = Flow(StandardNormal(2), Coupling(network, Affine(0.0, 0.0), stays=(True, False)))
    return flow.log_prob(SymArray([x_1, x_2]))


def _missing_log_scale(z_1: Array) -> Array:
    """Return what is missing to the log-determinant 0 when the other log-scale is `sin 3z₁`."""
    says = _Says(lambda h: [h**2, np.sin(3 * h), h, 0 * h], 4)
    layer = Coupling(says, Affine(0.0, 0.0), stays=(True, False, False))
    return -layer.forward_and_log_det(SymArray([z_1, 0, 0]))[1]


def _correlation(a: Array, s: Array) -> Array:
    """Return the correlation that the coupling `x₂ = a z₁ + exp(s) z₂` makes."""
    network = MLP((SymArray([[a], [0]]),), (SymArray([0, s]),))
    layer = Coupling(network, Affine(0.0, 0.0), stays=(True, False))
    z_1, z_2 = symbols("z_1 z_2")
    x = layer.forward(SymArray([z_1, z_2]))

    def mean(formula: Array) -> SymArray:
        return average(average(formula, z_1, [1, 0, 1]), z_2, [1, 0, 1])

    return mean(x[0] * x[1]) / np.sqrt(mean(x[0] ** 2) * mean(x[1] ** 2))


EXERCISES: tuple[Exercise, ...] = (
    Formula(
        name="coupling-two-layers",
        symbols={"z_1": "real", "z_2": "real"},
        reference=_two_log_dets,
        solution=lambda z_1, z_2: z_1 + np.exp(z_1) * z_2,
        mistakes=(
            Mistake(
                lambda z_1, z_2: z_1 + z_2,
                "The second network does not see the base. What reaches it?",
            ),
            Mistake(
                lambda z_1, z_2: -z_1 - np.exp(z_1) * z_2,
                "That is the way from data to base. Which way is asked for?",
            ),
            Mistake(
                lambda z_1, z_2: z_1 * np.exp(z_1) * z_2,
                "Determinants multiply. What do their logarithms do?",
            ),
            Mistake(
                lambda z_1, z_2: np.exp(z_1 + np.exp(z_1) * z_2),
                "That is the determinant itself. Its logarithm is asked for.",
            ),
        ),
        hint="Each layer adds the log-scale that its network says, at what reaches the network.",
    ),
    Formula(
        name="coupling-undo",
        symbols={"x_1": "real", "x_2": "real"},
        reference=_undone,
        solution=lambda x_1, x_2: [x_1 - np.sin(x_2), x_2 - (x_1 - np.sin(x_2)) ** 2],
        mistakes=(
            Mistake(
                lambda x_1, x_2: [x_1 - np.sin(x_2), x_2 - x_1**2],
                "The first layer squared its own first coordinate. Is that the one you squared?",
            ),
            Mistake(
                lambda x_1, x_2: [x_1 - np.sin(x_2 - x_1**2), x_2 - x_1**2],
                "Which layer came last? It is undone first.",
            ),
            Mistake(
                lambda x_1, x_2: [x_1 + np.sin(x_2), x_2 + (x_1 + np.sin(x_2)) ** 2],
                "To undo an addition, do what?",
            ),
        ),
        hint="Undo the last layer first. Each keeps one coordinate, from which you know its shift.",
    ),
    Formula(
        name="coupling-find-the-error",
        symbols={"x_1": "real", "x_2": "real", "s": "real", "t": "real"},
        reference=_log_prob,
        solution=lambda x_1, x_2, s, t: (
            -0.5 * x_1**2 - 0.5 * ((x_2 - t) * np.exp(-s)) ** 2 - np.log(2 * np.pi) - s
        ),
        mistakes=(
            Mistake(
                lambda x_1, x_2, s, t: (
                    -0.5 * x_1**2 - 0.5 * ((x_2 - t) * np.exp(-s)) ** 2 - np.log(2 * np.pi) + s
                ),
                "Where the data are stretched, is the density higher or lower?",
            ),
            Mistake(
                lambda x_1, x_2, s, t: (
                    -0.5 * x_1**2 - 0.5 * ((x_2 - t) * np.exp(s)) ** 2 - np.log(2 * np.pi) + s
                ),
                "Now s is minus the logarithm of the scale. Keep what the loop says of z_2.",
            ),
            Mistake(
                lambda x_1, x_2, s, t: (
                    -0.5 * x_1**2 - 0.5 * ((x_2 - t) * np.exp(-s)) ** 2 - np.log(2 * np.pi) / 2 - s
                ),
                "How many coordinates does the base have?",
            ),
            Mistake(
                lambda x_1, x_2, s, t: (
                    -0.5 * x_1**2 - 0.5 * ((x_2 - t) * np.exp(-s)) ** 2 - np.log(2 * np.pi)
                ),
                "Without a log-determinant this is no density of x.",
            ),
        ),
        hint="The values are right. Look at what is added to the log-density of the base.",
    ),
    Formula(
        name="coupling-keep-volume",
        symbols={"z_1": "real"},
        reference=_missing_log_scale,
        solution=lambda z_1: -np.sin(3 * z_1),
        mistakes=(
            Mistake(lambda z_1: 1 / np.sin(3 * z_1), "Scales multiply, but these are logarithms."),
            Mistake(lambda z_1: np.sin(3 * z_1), "Then both stretch at once, and shrink at once."),
            Mistake(lambda z_1: -np.sin(3 * z_1) - z_1**2, "Does a shift change volumes?"),
        ),
        hint="What must the two log-scales add up to?",
    ),
    Formula(
        name="coupling-correlation",
        symbols={"a": "real", "s": "real"},
        reference=_correlation,
        solution=lambda a, s: a / np.sqrt(a**2 + np.exp(2 * s)),
        mistakes=(
            Mistake(lambda a, s: a, "That is the covariance. What is the variance of the second?"),
            Mistake(
                lambda a, s: a / (a**2 + np.exp(2 * s)),
                "A correlation divides by standard deviations.",
            ),
            Mistake(
                lambda a, s: a / np.sqrt(a**2 + np.exp(s)),
                "The logarithm of a scale is given. What is the variance?",
            ),
        ),
        hint="Both coordinates have mean 0. Find their variances and the mean of the product.",
    ),
)
