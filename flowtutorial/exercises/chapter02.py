"""Exercises of chapter 2, maximum likelihood and the KL divergence."""

from __future__ import annotations

import numpy as np
import sympy as sp

from ..blocks import Array
from ..distributions import StandardNormal
from ..divergence import cross_entropy_normal, entropy_normal, kl_normal
from ..elementwise import Shift
from ..flow import Flow
from ..symbolic import SymArray, average, symbols
from .exercise import Exercise, Formula, Mistake
from .variables import Data


def _swap(m_1: Array, m_2: Array, s_1: Array, s_2: Array) -> Array:
    return kl_normal(m_1, s_1, m_2, s_2) - kl_normal(m_2, s_2, m_1, s_1)


def _swap_slope(r: Array) -> Array:
    # with cross-entropies, whose form has no case distinction to differentiate
    narrow_first = cross_entropy_normal(0, 1, 0, r) - cross_entropy_normal(0, 1, 0, 1)
    wide_first = cross_entropy_normal(0, r, 0, 1) - cross_entropy_normal(0, r, 0, r)
    return (narrow_first - wide_first).diff(r)


def _lowest_on_sample(x: Array) -> Array:
    """Return where the mean log-ratio of the running example is lowest; its slope is linear."""
    mu = symbols("mu")
    p, p_mu = (Flow(StandardNormal(), Shift(mean)) for mean in (2, mu))
    ratio: Array = np.mean(p.log_prob(x) - p_mu.log_prob(x))
    slope = ratio.diff(mu)
    return -SymArray(slope.expr.subs(mu.expr, 0)) / slope.diff(mu)


def _without_its_half(x: Array, mu: Array) -> Array:
    return -((x - mu) ** 2) - 0.5 * np.log(2 * np.pi)


def _false_area() -> sp.Expr:
    x, mu = symbols("x mu")
    false = sp.exp(_without_its_half(x, mu).expr)
    return sp.integrate(false, (x.expr, -sp.oo, sp.oo))


def _false_divergence() -> Array:
    x = symbols("x")
    two: Array = SymArray(2)
    ratio = Flow(StandardNormal(), Shift(two)).log_prob(x) - _without_its_half(x, two)
    return average(ratio, x, [1, two, two**2 + 1])


def _flattery(n: Array) -> Array:
    """Return twice the expected divergence of the fit, whose error is `t/√n` with `E t² = 1`."""
    t, one = symbols("t"), SymArray(1)
    excess = cross_entropy_normal(2, 1, 2 + t / np.sqrt(n), one) - entropy_normal(one)
    return 2 * average(excess, t, [1, 0, 1])


def _best_scale(m_1: Array, m_2: Array, s_1: Array) -> sp.Expr:
    s_2 = symbols("s_2", positive=True)
    slope = cross_entropy_normal(m_1, s_1, m_2, s_2).diff(s_2)
    (best,) = sp.solve(sp.together(slope.expr), s_2.expr)
    return best


EXERCISES: tuple[Exercise, ...] = (
    Formula(
        name="kl-parabola",
        symbols={"mu": "real"},
        reference=lambda mu: kl_normal(2.0, 1.0, mu, 1.0),
        solution=lambda mu: (mu - 2) ** 2 / 2,
        mistakes=(
            Mistake(lambda mu: (mu - 2) ** 2, "Each logarithm has its square halved."),
            Mistake(lambda mu: -((mu - 2) ** 2) / 2, "A divergence is never negative."),
        ),
        hint="Subtract the logarithms of the two densities, and average over draws of the first.",
    ),
    Formula(
        name="kl-swap",
        symbols={"m_1": "real", "m_2": "real", "s_1": "positive", "s_2": "positive"},
        reference=_swap,
        solution=lambda m_1, m_2, s_1, s_2: (
            2 * np.log(s_2 / s_1)
            + (s_1**2 + (m_1 - m_2) ** 2) / (2 * s_2**2)
            - (s_2**2 + (m_1 - m_2) ** 2) / (2 * s_1**2)
        ),
        mistakes=(
            Mistake(
                lambda m_1, m_2, s_1, s_2: (
                    np.log(s_2 / s_1)
                    + (s_1**2 + (m_1 - m_2) ** 2) / (2 * s_2**2)
                    - (s_2**2 + (m_1 - m_2) ** 2) / (2 * s_1**2)
                ),
                "Both divergences bring a logarithm. Do they cancel or add?",
            ),
            Mistake(
                lambda m_1, m_2, s_1, s_2: (
                    (s_1**2 + (m_1 - m_2) ** 2) / (2 * s_2**2)
                    - (s_2**2 + (m_1 - m_2) ** 2) / (2 * s_1**2)
                ),
                "Both divergences bring a logarithm. Do they cancel or add?",
            ),
        ),
        hint="Write the formula twice, the second time with 1 and 2 exchanged, and subtract.",
    ),
    Formula(
        name="kl-swap-slope",
        symbols={"r": "positive"},
        reference=_swap_slope,
        solution=lambda r: -((r**2 - 1) ** 2) / r**3,
        mistakes=(
            Mistake(lambda r: 2 / r - 1 / r**3, "The second fraction depends on r as well."),
            Mistake(lambda r: 2 / r - 1 / r**3 + r, "Look at the sign of the last fraction."),
        ),
        hint="With equal means, divide both scales by the first, and differentiate three terms.",
    ),
    Formula(
        name="kl-find-the-limit",
        symbols={"x": Data(5)},
        reference=_lowest_on_sample,
        solution=np.mean,
        mistakes=(
            Mistake(
                lambda x: 2.0 + 0.0 * np.mean(x),
                "That is where the line before is lowest: it knows p. Here is only a sample.",
            ),
            Mistake(lambda x: np.mean(x) - 2.0, "That is how far the two lines are apart."),
            Mistake(lambda x: np.sum(x), "What becomes of the factor 1/n?"),
        ),
        hint="Write the mean log-ratio of two normal densities, and set its slope in mu to zero.",
    ),
    Formula(
        name="kl-find-the-half",
        symbols={"x": "real", "mu": "real"},
        reference=lambda x, mu: Flow(StandardNormal(), Shift(mu)).log_prob(x),
        solution=lambda x, mu: -0.5 * (x - mu) ** 2 - 0.5 * np.log(2 * np.pi),
        mistakes=(
            Mistake(_without_its_half, "This is the line as printed."),
            Mistake(
                lambda x, mu: -0.5 * (x - mu) ** 2 - np.log(2 * np.pi),
                "The constant was right as printed: the density divides by a square root.",
            ),
            Mistake(
                lambda x, mu: -0.5 * (x - mu) ** 2,
                "A constant is missing; without it the area is not one.",
            ),
        ),
        hint="Compare with the logarithm of the standard normal density of chapter 1, at x - mu.",
    ),
    Formula(
        name="kl-find-the-half-area",
        reference=_false_area,
        solution=1 / sp.sqrt(2),
        mistakes=(
            Mistake(1, "That would be a density."),
            Mistake(sp.sqrt(2), "A bell that is too narrow at the same height: more or less area?"),
            Mistake(sp.sqrt(sp.pi), "Do not forget the constant in front."),
            Mistake(sp.Rational(1, 2), "By what factor is the bell narrower?"),
        ),
        hint="The bell has the right height, but it is too narrow. What is its standard deviation?",
    ),
    Formula(
        name="kl-find-the-half-divergence",
        reference=_false_divergence,
        solution=0.5,
        mistakes=(
            Mistake(0, "That is what it should report."),
            Mistake(-0.5, "The false density is below the true one. Which way does the ratio go?"),
            Mistake(1, "The true square has its half, and is subtracted."),
        ),
        hint="Average the difference of the two logarithms; the square of x - 2 averages to one.",
    ),
    Formula(
        name="kl-flattery",
        symbols={"n": "positive"},
        reference=_flattery,
        solution=lambda n: 1 / n,
        mistakes=(
            Mistake(lambda n: 1 / (2 * n), "That is one of two parts: better here, worse there."),
            Mistake(lambda n: -1 / n, "Which of the two is larger?"),
            Mistake(lambda n: 2 / n, "The two parts are equal. How large is each?"),
        ),
        hint="On its own data the fit gains what it loses on fresh data.",
    ),
    Formula(
        name="kl-best-scale",
        symbols={"m_1": "real", "m_2": "real", "s_1": "positive"},
        reference=_best_scale,
        solution=lambda m_1, m_2, s_1: np.sqrt(s_1**2 + (m_1 - m_2) ** 2),
        mistakes=(
            Mistake(
                lambda m_1, m_2, s_1: s_1 + 0 * (m_1 - m_2),
                "That is best where the means agree. Here the model also has to reach.",
            ),
            Mistake(
                lambda m_1, m_2, s_1: s_1**2 + (m_1 - m_2) ** 2,
                "Is that in the unit of the data, or in its square?",
            ),
            Mistake(
                lambda m_1, m_2, s_1: s_1 + np.abs(m_1 - m_2),
                "It has to grow with the gap, but not by this much. Set the slope to zero.",
            ),
        ),
        hint="Differentiate the divergence with respect to the second scale.",
    ),
)
