"""Exercises of chapter 4, gradient ascent for any univariate flow."""

from __future__ import annotations

import numpy as np
import sympy as sp

from ..bijection import Chain
from ..blocks import Array
from ..distributions import Logistic, StandardNormal
from ..elementwise import Affine, Exp, Shift
from ..flow import Flow
from ..symbolic import SymArray, average, symbols
from .exercise import Exercise, Formula, Mistake
from .variables import Data

_BASE = StandardNormal()


def _affine(mu: Array, rho: Array) -> Flow:
    return Flow(_BASE, Affine(mu, rho))


def _affine_score(z: Array) -> Array:
    """Return the score of the log-scale at the observation that has the base value `z`."""
    x, mu, rho = symbols("x mu rho")
    score = _affine(mu, rho).log_prob(x).diff(rho)
    return SymArray(score.expr.subs(x.expr, Affine(mu, rho).forward(z).expr))


def _downhill_factor(gamma: Array, sigma: Array) -> Array:
    x, mu = symbols("x mu")
    slope = _affine(mu, np.log(sigma)).log_prob(x).diff(mu)
    return (mu - gamma * slope).diff(mu)


def _loss(x: Array, mu: Array, rho: Array) -> Array:
    return -np.mean(_affine(mu, rho).log_prob(x))


def _log_normal_score(x: Array, mu: Array, rho: Array) -> list[Array]:
    log_p = Flow(_BASE, Chain((Affine(mu, rho), Exp()))).log_prob(x)
    return [log_p.diff(mu), log_p.diff(rho)]


def _best_step(m: Array, L: Array) -> sp.Expr:
    """Return where the factors of both curvatures have the same size and opposite signs."""
    gamma = symbols("gamma")
    (best,) = sp.solve((1 - gamma * m + 1 - gamma * L).expr, gamma.expr)
    return best


def _curvature_in_precision(S: Array) -> list[list[Array]]:
    """Return the second derivatives of the mean log-likelihood in (μ, τ), at its top."""
    x, x_bar, mu = symbols("x xbar mu")
    tau = symbols("tau", positive=True)
    log_p = _affine(mu, -np.log(tau) / 2).log_prob(x)
    ell = average(log_p, x, [1, x_bar, S**2 + x_bar**2])
    top = {mu.expr: x_bar.expr, tau.expr: 1 / S.expr**2}
    return [[SymArray(ell.diff(a).diff(b).expr.subs(top)) for b in (mu, tau)] for a in (mu, tau)]


def _five_shrinking_steps(x: Array) -> Array:
    mu, at = symbols("mu"), symbols("mu_0")
    for t in range(len(x)):
        slope = Flow(_BASE, Shift(mu)).log_prob(x[t]).diff(mu)
        at = at + SymArray(slope.expr.subs(mu.expr, at.expr)) / (t + 1)
    return SymArray(sp.expand(at.expr))


def _variance_of_shrinking_steps(t: Array) -> Array:
    """Return `t` times the square of the weight that the last draw has, as all draws have it."""
    x, mu = symbols("x mu")
    weight = (mu + Flow(_BASE, Shift(mu)).log_prob(x).diff(mu) / t).diff(x)
    return t * weight**2


EXERCISES: tuple[Exercise, ...] = (
    Formula(
        name="affine-score",
        symbols={"z": "real"},
        reference=_affine_score,
        solution=lambda z: z**2 - 1,
        mistakes=(
            Mistake(lambda z: z**2, "The log-determinant depends on rho, too."),
            Mistake(lambda z: 1 - z**2, "For an observation far out, should the scale grow?"),
        ),
        hint="Differentiate the log-density at fixed x; both of its terms depend on rho.",
    ),
    Formula(
        name="logistic-score",
        symbols={"z": "real"},
        reference=lambda z: Logistic().log_prob(z).diff(z),
        solution=lambda z: -np.tanh(z / 2),
        mistakes=(
            Mistake(lambda z: np.tanh(z / 2), "Does the density rise to the right of 0?"),
            Mistake(lambda z: -np.tanh(z), "At 0 this is twice as steep as it should be."),
            Mistake(lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2, "That is the density itself."),
        ),
        hint="Take the logarithm of the density first; its two terms are easy to differentiate.",
    ),
    Formula(
        name="logistic-location",
        symbols={"x": "real", "mu": "real"},
        reference=lambda x, mu: Flow(Logistic(), Shift(mu)).log_prob(x).diff(mu),
        solution=lambda x, mu: np.tanh((x - mu) / 2),
        mistakes=(
            Mistake(
                lambda x, mu: -np.tanh((x - mu) / 2), "An observation to the right pulls mu up."
            ),
            Mistake(lambda x, mu: np.tanh(x - mu), "Near mu this is twice as steep."),
            Mistake(lambda x, mu: x - mu, "That is the score of the normal base."),
        ),
        hint="It is the slope of the base at z = x - mu, and mu enters z with a minus.",
    ),
    Formula(
        name="two-errors-sign",
        symbols={"gamma": "real", "sigma": "positive"},
        reference=_downhill_factor,
        solution=lambda gamma, sigma: 1 + gamma / sigma**2,
        mistakes=(
            Mistake(lambda gamma, sigma: 1 - gamma / sigma**2, "That is the step uphill."),
            Mistake(lambda gamma, sigma: 1 + gamma + 0 * sigma, "Here the scale is not one."),
            Mistake(lambda gamma, sigma: 1 + gamma / sigma, "In which unit is the slope in mu?"),
        ),
        hint="Write the step as it is coded, subtract the mean, and divide by the old distance.",
    ),
    Formula(
        name="two-errors-loss",
        symbols={"x": Data(5), "mu": "real", "rho": "real"},
        reference=_loss,
        solution=lambda x, mu, rho: (
            np.mean(((x - mu) * np.exp(-rho)) ** 2) / 2 + rho + 0.5 * np.log(2 * np.pi)
        ),
        mistakes=(
            Mistake(
                lambda x, mu, rho: np.mean(((x - mu) * np.exp(-rho)) ** 2) / 2,
                "This is the loss as printed. What does stretching cost?",
            ),
            Mistake(
                lambda x, mu, rho: (
                    np.mean(((x - mu) * np.exp(-rho)) ** 2) / 2 - rho + 0.5 * np.log(2 * np.pi)
                ),
                "Stretching is rewarded here. Mind that a loss is a negative logarithm.",
            ),
            Mistake(
                lambda x, mu, rho: np.mean(((x - mu) * np.exp(-rho)) ** 2) / 2 + rho,
                "It has the right minimum; only the constant of the normal density is missing.",
            ),
            Mistake(
                lambda x, mu, rho: (
                    np.mean(((x - mu) * np.exp(-rho)) ** 2) + rho + 0.5 * np.log(2 * np.pi)
                ),
                "The square lost its half.",
            ),
        ),
        hint="It is the negative mean of log_prob: base density, log-determinant, all of it.",
    ),
    Formula(
        name="log-normal",
        symbols={"x": "positive", "mu": "real", "rho": "real"},
        reference=_log_normal_score,
        solution=lambda x, mu, rho: [
            (np.log(x) - mu) * np.exp(-2 * rho),
            (np.log(x) - mu) ** 2 * np.exp(-2 * rho) - 1,
        ],
        mistakes=(
            Mistake(
                lambda x, mu, rho: [
                    (np.log(x) - mu) * np.exp(-2 * rho),
                    (np.log(x) - mu) ** 2 * np.exp(-2 * rho),
                ],
                "The second lacks what comes from the log-determinant.",
            ),
            Mistake(
                lambda x, mu, rho: [
                    (np.log(x) - mu) * np.exp(-rho),
                    (np.log(x) - mu) ** 2 * np.exp(-2 * rho) - 1,
                ],
                "Look at the unit of the first.",
            ),
            Mistake(
                lambda x, mu, rho: [
                    (x - mu) * np.exp(-2 * rho),
                    (x - mu) ** 2 * np.exp(-2 * rho) - 1,
                ],
                "That is the score of the affine flow. Which variable does it see here?",
            ),
        ),
        hint="Exp has no parameters: first undo it, then use the affine score.",
    ),
    Formula(
        name="best-step",
        symbols={"m": "positive", "L": "positive"},
        reference=_best_step,
        solution=lambda m, L: 2 / (m + L),
        mistakes=(
            Mistake(lambda m, L: 1 / L, "That is safe: no direction oscillates. It can be larger."),
            Mistake(lambda m, L: 2 / L, "There the steep direction oscillates forever."),
            Mistake(lambda m, L: 1 / (m + L), "It can be larger still."),
        ),
        hint="At the best step the slow and the fast direction have factors of the same size.",
    ),
    Formula(
        name="best-step-rate",
        symbols={"kappa": (1, np.inf)},
        reference=lambda kappa: 1 - SymArray(_best_step(SymArray(1), kappa)),
        solution=lambda kappa: (kappa - 1) / (kappa + 1),
        mistakes=(
            Mistake(lambda kappa: 1 - 1 / kappa, "That is the rate of the step 1/L."),
            Mistake(lambda kappa: (1 - kappa) / (1 + kappa), "A rate is a size."),
        ),
        hint="Put the best step into the factor of the slow direction, and divide by m.",
    ),
    Formula(
        name="precision",
        symbols={"S": "positive"},
        reference=_curvature_in_precision,
        solution=lambda S: [[-1 / S**2, 0], [0, -(S**4) / 2]],
        mistakes=(
            Mistake(
                lambda S: [[-1 / S**2, 0], [0, -2 / S**2]],
                "The last entry is that in the scale itself.",
            ),
            Mistake(
                lambda S: [[-1 / S**2, 0], [0, -2]],
                "The last entry is that in the logarithm of the scale.",
            ),
            Mistake(
                lambda S: [[1 / S**2, 0], [0, S**4 / 2]],
                "At a maximum the curvature points down.",
            ),
        ),
        hint="Write the mean log-likelihood with tau in place of the scale, then differentiate.",
    ),
    Formula(
        name="shrinking-steps",
        symbols={"x": Data(5)},
        reference=_five_shrinking_steps,
        solution=np.mean,
        mistakes=(
            Mistake(np.sum, "The first step leads to the first draw, the second half way on."),
            Mistake(lambda x: x[4], "Only the first step forgets all that was before."),
        ),
        hint="Compute the second iterate by hand, then the third.",
    ),
    Formula(
        name="shrinking-steps-variance",
        symbols={"t": "positive"},
        reference=_variance_of_shrinking_steps,
        solution=lambda t: 1 / t,
        mistakes=(
            Mistake(lambda t: 1 / t**2, "Variances of independent draws add."),
            Mistake(lambda t: 1 / np.sqrt(t), "That is the standard deviation."),
        ),
        hint="Each of the draws has variance one, and they all have the same weight.",
    ),
)
