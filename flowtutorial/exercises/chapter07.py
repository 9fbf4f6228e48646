"""Exercises of chapter 7, whether the flow is any good: transforms, tests, scores and mass."""

from __future__ import annotations

import numpy as np
import sympy as sp

from ..blocks import Array
from ..distributions import Logistic, StandardNormal
from ..elementwise import Affine, Exp, Shift, Sigmoid
from ..flow import Flow
from ..symbolic import SymArray, average, symbols
from .exercise import Exercise, Formula, Mistake


def _density_of_u(u: Array, delta: Array) -> Array:
    """Return the ratio of two logistic densities at the `x` with this `u`."""
    data, model = Flow(Logistic(), Shift(delta)), Logistic()
    x = Sigmoid().inverse(u)
    return np.exp(data.log_prob(x) - model.log_prob(x))


def _worm_crossing(delta: Array, tau: Array) -> Array:
    """Return where the quantile of the scores meets that of the base; both are linear in `z`."""
    z = symbols("z")
    deviation = Affine(delta, np.log(tau)).forward(z) - z
    return -SymArray(deviation.expr.subs(z.expr, 0)) / deviation.diff(z)


def _known_scale_loss(z: SymArray) -> SymArray:
    """Return `d I⁻¹ d` for the distribution function of the shift flow, at `x = mu + z`."""
    mu, x = symbols("mu x")
    model = Flow(StandardNormal(), Shift(mu))
    slope = StandardNormal().cdf(model.bijection.inverse(x)).diff(mu)
    score = model.log_prob(x).diff(mu)
    information = average(score**2, x, [1, mu, mu**2 + 1])
    loss = (slope**2 / information).expr
    return SymArray(loss.subs(x.expr, model.bijection.forward(z).expr))


def _known_mean_flattery(n: SymArray) -> SymArray:
    """Return the expected excess of training data, where only the scale is fitted."""
    x = symbols("x")
    s_squared, w = symbols("V W", positive=True)
    log_prob = Flow(StandardNormal(), Affine(0, np.log(s_squared) / 2)).log_prob(x)
    inside, outside = (average(log_prob, x, [1, 0, second]) for second in (s_squared, 1))
    gap = sp.expand((inside - outside).expr.subs(s_squared.expr, w.expr / n.expr))
    power = sp.Dummy("s", positive=True)
    total = sp.integrate(w.expr ** (power - 1) * sp.exp(-w.expr / 2), (w.expr, 0, sp.oo))
    mean_inverse = sp.gammasimp(total.subs(power, n.expr / 2 - 1) / total.subs(power, n.expr / 2))
    return average(gap.subs(1 / w.expr, x.expr), x, [1, mean_inverse])


def _mass_without_log_det() -> sp.Expr:
    """Return the integral of `φ(log x)` over x > 0, taken over `z` with `x = exp(z)`."""
    z = symbols("z")
    _, log_det = Exp().forward_and_log_det(z)
    integrand = np.exp(StandardNormal().log_prob(z) + log_det)
    return sp.integrate(integrand.expr, (z.expr, -sp.oo, sp.oo))


EXERCISES: tuple[Exercise, ...] = (
    Formula(
        name="pit-logistic",
        symbols={"u": (0, 1), "delta": "real"},
        reference=_density_of_u,
        solution=lambda u, delta: np.exp(delta) / (u + np.exp(delta) * (1 - u)) ** 2,
        mistakes=(
            Mistake(
                lambda u, delta: (u + np.exp(delta) * (1 - u)) ** 2 / np.exp(delta),
                "Which of the two densities stands above the line?",
            ),
            Mistake(
                lambda u, delta: np.exp(-delta) / (u + np.exp(-delta) * (1 - u)) ** 2,
                "Data that lie too far to the right have u near 1. Where are yours?",
            ),
            Mistake(
                lambda u, delta: np.exp(delta) * u * (1 - u) / (u + np.exp(delta) * (1 - u)) ** 2,
                "That is the density of the data at this x. What became of the model's?",
            ),
        ),
        hint="Take the ratio of the densities at x = log(u/(1 - u)), and put exp(-x) = (1 - u)/u.",
    ),
    Formula(
        name="worm-crossing",
        symbols={"delta": "real", "tau": (0, 1)},
        reference=_worm_crossing,
        solution=lambda delta, tau: delta / (1 - tau),
        mistakes=(
            Mistake(
                lambda delta, tau: delta / (tau - 1),
                "A worm that falls and is above zero in the middle crosses on the right.",
            ),
            Mistake(
                lambda delta, tau: -delta / tau,
                "There the scores are zero. Where are they what they should be?",
            ),
        ),
        hint="The worm is a straight line: find its height at z = 0 and its slope.",
    ),
    Formula(
        name="ks-one",
        symbols={"d": (sp.Rational(1, 2), 1)},
        reference=lambda d: d - (1 - d),  # the length of the u between 1 - d and d
        solution=lambda d: 2 * d - 1,
        mistakes=(
            Mistake(lambda d: d, "The distance to the step from below counts as well."),
            Mistake(lambda d: 2 * (1 - d), "That is the probability of a larger distance."),
        ),
        hint="The distance is the larger one of u and 1 - u. Which u keep both below d?",
    ),
    Formula(
        name="ks-known-scale",
        symbols={"z": "real"},
        reference=_known_scale_loss,
        solution=lambda z: np.exp(-(z**2)) / (2 * np.pi),
        mistakes=(
            Mistake(
                lambda z: np.exp(-(z**2)) / (2 * np.pi) * (1 + z**2 / 2),
                "This is for two parameters. Here only one is fitted.",
            ),
            Mistake(
                lambda z: np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi),
                "That is the slope. How does it enter the variance?",
            ),
            Mistake(
                lambda z: np.exp(-(z**2)) / (2 * np.pi) * z**2 / 2,
                "This is what fitting the scale alone would take.",
            ),
        ),
        hint="One slope and one entry of the information are left.",
    ),
    Formula(
        name="flattery-known-mean",
        symbols={"n": (2, sp.oo)},
        reference=_known_mean_flattery,
        solution=lambda n: 1 / (n - 2),
        mistakes=(
            Mistake(
                lambda n: 1 / n, "That is the limit for one parameter. Here an exact value exists."
            ),
            Mistake(
                lambda n: 1 / (n - 3),
                "With a known mean no degree of freedom is lost: nu = n.",
            ),
            Mistake(lambda n: 1 / (2 * (n - 2)), "Is that the distance to the truth, or the gap?"),
        ),
        hint="The gap is (n/W - 1)/2, and W has n degrees of freedom.",
    ),
    Formula(
        name="mass-log-normal",
        reference=_mass_without_log_det,
        solution=sp.exp(sp.Rational(1, 2)),
        mistakes=(
            Mistake(1, "That is the mass of the log-normal density. Is this one?"),
            Mistake(sp.exp(1), "Complete the square: which constant is left over?"),
            Mistake(sp.exp(-sp.Rational(1, 2)), "Substitute x = exp(z). Which factor comes in?"),
        ),
        hint="Substitute x = exp(z) and complete the square.",
    ),
)
