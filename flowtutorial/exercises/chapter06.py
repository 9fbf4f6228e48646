"""Exercises of chapter 6, how far an estimate may be off: information and standard errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy as sp

from ..distributions import Logistic, StandardNormal, Uniform
from ..elementwise import Affine, Exp, Shift
from ..flow import Flow
from ..symbolic import SymArray, average, symbols
from .exercise import Exercise, Formula, Mistake


def _information(sigma: SymArray) -> sp.Matrix:
    """Return the expected outer product of the scores by `mu` and `rho`, at the scale `sigma`."""
    mu, rho, x, z = symbols("mu rho x z")
    affine = Affine(mu, rho)
    log_prob = Flow(StandardNormal(), affine).log_prob(x)
    scores = [log_prob.diff(p).expr.subs(x.expr, affine.forward(z).expr) for p in (mu, rho)]
    rows = [[average(a * b, z, [1, 0, 1, 0, 3]).expr for b in scores] for a in scores]
    return sp.Matrix(rows).subs(rho.expr, sp.log(sigma.expr))


def _standard_errors(sigma: SymArray, n: SymArray) -> list[sp.Expr]:
    covariance = _information(sigma).inv() / n.expr
    return [sp.sqrt(covariance[i, i]) for i in (0, 1)]


def _logistic_information() -> sp.Expr:
    """Return the mean square of the score, twice that over `z > 0`, through `w = exp(-z)`."""
    mu, x = symbols("mu x")
    z, w = symbols("z w", positive=True)
    score = Flow(Logistic(), Shift(mu)).log_prob(x).diff(mu).expr
    square = score.subs(x.expr, Shift(mu).forward(z).expr) ** 2
    integrand = square * sp.exp(Logistic().log_prob(z).expr)  # the density is even
    in_w = sp.simplify(integrand).subs(z.expr, -sp.log(w.expr)) / w.expr
    return 2 * sp.integrate(sp.simplify(in_w), (w.expr, 0, 1))


def _efficiency_of_the_mean() -> sp.Expr:
    return 1 / (_logistic_information() * sp.pi**2 / 3)


def _three_kinds(v: SymArray) -> list[SymArray]:
    mu, x = symbols("mu x")
    log_prob = Flow(StandardNormal(), Shift(mu)).log_prob(x)
    moments = [1, mu, mu**2 + v]  # of any data with mean mu and variance v
    bread = 1 / average(-log_prob.diff(mu).diff(mu), x, moments)
    meat = average(log_prob.diff(mu) ** 2, x, moments)
    return [bread, 1 / meat, bread * meat * bread]


def _log_normal_mean_variance(mu: Any, sigma: Any, n: SymArray) -> sp.Expr:
    rho, z = symbols("rho z")
    drawn = Exp().forward(Affine(mu, np.log(sigma)).forward(z)) * np.exp(
        StandardNormal().log_prob(z)
    )
    mean = sp.integrate(sp.powsimp(drawn.expr), (z.expr, -sp.oo, sp.oo))
    mean = mean.subs(sigma.expr, sp.exp(rho.expr))
    gradient = sp.Matrix([mean.diff(mu.expr), mean.diff(rho.expr)]).subs(
        rho.expr, sp.log(sigma.expr)
    )
    return (gradient.T * _information(sigma).inv() * gradient)[0] / n.expr


def _score_of_an_edge() -> SymArray:
    rho, x = symbols("rho x")
    score = Flow(Uniform(), Affine(0, rho)).log_prob(x).diff(rho)
    return SymArray(score.expr.subs(x.expr, sp.exp(rho.expr) / 2))  # the same at every x inside


EXERCISES: tuple[Exercise, ...] = (
    Formula(
        name="se-find-the-error",
        symbols={"sigma": "positive", "n": "positive"},
        reference=_standard_errors,
        solution=lambda sigma, n: [sigma / np.sqrt(n), 1 / np.sqrt(2 * n)],
        mistakes=(
            Mistake(
                lambda sigma, n: [sigma, np.sqrt(0.5) * n / n],
                "This is what the code reports. Would more data change it?",
            ),
            Mistake(
                lambda sigma, n: [sigma**2 / n, 1 / (2 * n)],
                "These are variances. Which unit has a standard error?",
            ),
            Mistake(
                lambda sigma, n: [sigma / n, np.sqrt(0.5) / n],
                "Does the variance shrink like 1/n, or the standard error?",
            ),
            Mistake(
                lambda sigma, n: [sigma / np.sqrt(n), sigma / np.sqrt(2 * n)],
                "The second belongs to the scale itself. Here the parameter is its logarithm.",
            ),
        ),
        hint="Of how many observations is the Hessian of a mean? Then invert and take the root.",
    ),
    Formula(
        name="se-logistic",
        reference=_logistic_information,
        solution=sp.Rational(1, 3),
        mistakes=(
            Mistake(3, "That is the bound. Which number is it the inverse of?"),
            Mistake(1, "That is the information in a normal observation."),
            Mistake(
                sp.pi**2 / 3, "That is the variance of an observation. What does the score vary?"
            ),
        ),
        hint="With u = P(z) the score is a straight line in u, and u is uniform.",
    ),
    Formula(
        name="se-logistic-mean",
        reference=_efficiency_of_the_mean,
        solution=9 / sp.pi**2,
        mistakes=(
            Mistake(sp.pi**2 / 9, "A ratio above 1 would beat the bound. Turn it over."),
            Mistake(3 / sp.pi, "That is the ratio of the standard errors. Compare variances."),
        ),
        hint="Divide the bound by the variance of the mean; n cancels.",
    ),
    Formula(
        name="se-three-kinds",
        symbols={"v": "positive"},
        reference=_three_kinds,
        solution=lambda v: [v / v, 1 / v, v],
        mistakes=(
            Mistake(
                lambda v: [v, v, v], "The shift flow has one curvature, whatever the data are."
            ),
            Mistake(
                lambda v: [v / v, v, v],
                "The mean square of the score is v. What does opg do with it?",
            ),
            Mistake(
                lambda v: [v / v, v, 1 / v],
                "Which two are exchanged? The variance of a mean is known.",
            ),
        ),
        hint="The score is x - mu. Find the curvature A and the mean square J first.",
    ),
    Formula(
        name="se-log-normal-mean",
        symbols={"mu": "real", "sigma": "positive", "n": "positive"},
        reference=_log_normal_mean_variance,
        solution=lambda mu, sigma, n: np.exp(2 * mu + sigma**2) * (sigma**2 + sigma**4 / 2) / n,
        mistakes=(
            Mistake(
                lambda mu, sigma, n: np.exp(2 * mu + sigma**2) * (np.exp(sigma**2) - 1) / n,
                "That is the variance of the sample mean. Asked is that of the fitted flow.",
            ),
            Mistake(
                lambda mu, sigma, n: np.exp(2 * mu + sigma**2) * sigma**2 / n,
                "The mean depends on the scale as well.",
            ),
            Mistake(
                lambda mu, sigma, n: np.exp(2 * mu + sigma**2) * (sigma**2 + sigma**2 / 2) / n,
                "Look at the derivative by rho: what is that of sigma squared?",
            ),
            Mistake(
                lambda mu, sigma, n: (sigma**2 + sigma**4 / 2) / n,
                "That is the variance of the logarithm of the mean.",
            ),
        ),
        hint="Differentiate the mean by mu and by rho; sigma = exp(rho). Then the delta method.",
    ),
    Formula(
        name="se-moving-edge",
        reference=_score_of_an_edge,
        solution=-1,
        mistakes=(
            Mistake(0, "That is the rule. Its proof has a condition; does it hold at both ends?"),
            Mistake(1, "Does the density rise or fall when the interval grows?"),
        ),
        hint="Inside the interval the log density is minus rho; how does it change with rho?",
    ),
)
