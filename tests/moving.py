"""The figures that move, with places for their sliders and the words that have to appear there.

The words come from NumPy and SciPy alone, or from the package's numbers: never from a traced
formula.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.stats import norm

from flowtutorial import RationalQuadraticSpline, SinhArcsinh, gallery, realnvp
from flowtutorial.interactive import Figure
from flowtutorial.spline import MINIMUM, OFFSET

HUNDRED = np.random.default_rng(1).normal(2.0, 1.0, size=100).round(6)
PAIRS = HUNDRED.reshape(50, 2) - 2.0
COUPLINGS = realnvp(2, layers=3, rng=0, hidden=(4,), activation="tanh").bijection
TEN = np.random.default_rng(101).normal(2.0, 1.0, size=10).round(6)


@dataclass(frozen=True)
class Case:
    """A figure, two places of its sliders, and the words that it shows at a place."""

    make: Callable[[], Figure]
    places: tuple[dict[str, float], dict[str, float]]
    words: Callable[..., list[str]]


def fixed(value: Any, digits: int = 4) -> str:
    """Write a number as the page does, with a minus sign in place of a hyphen."""
    return f"{float(value):.{digits}f}".replace("-", "−")


def step_size(gamma: float, mu_0: float, steps: float) -> list[str]:
    mu = mu_0
    for _ in range(int(steps)):
        mu = mu + gamma * np.mean(HUNDRED - mu)
    log_likelihood = norm(mu, 1.0).logpdf(HUNDRED).mean()
    return [
        f"μ = {fixed(mu)}, x̄ = {fixed(HUNDRED.mean())}",
        f"mean log-likelihood = {fixed(log_likelihood)}",
    ]


def likelihood_and_kl(moved: float, mu: float) -> list[str]:
    x = np.append(TEN[:-1], moved)
    loss = -norm(mu, 1.0).logpdf(x).mean()
    return [
        f"x̄ = {fixed(x.mean())}, KL = {fixed(0.5 * (mu - 2.0) ** 2)}",
        f"negative mean log-likelihood = {fixed(loss)}",
    ]


def equal_areas(slope: float, place: float) -> list[str]:
    area = norm.cdf(place + 0.3) - norm.cdf(place - 0.3)
    density = norm(0.0, abs(slope)).pdf(slope * place)
    return [
        f"width: 0.6 → {fixed(0.6 * abs(slope))}",
        f"height: {fixed(norm.pdf(place))} → {fixed(density)}",
        f"area {fixed(area)}",
        f"area {fixed(area)}",
    ]


def sinh_arcsinh(skewness: float, log_tailweight: float, z_0: float) -> list[str]:
    g = SinhArcsinh(skewness, log_tailweight)
    x, near = float(g.forward(z_0)), 1e-5
    stretch = float(g.forward(z_0 + near) - g.forward(z_0 - near)) / (2 * near)
    return [
        f"x = g(z) = {fixed(x)}, stretch = {fixed(stretch)}",
        f"density of the base at z = {fixed(norm.pdf(z_0))}",
        f"density of x = {fixed(norm.pdf(z_0) / stretch)}",
    ]


def spline(knot: float, image: float, slope: float) -> RationalQuadraticSpline:
    """Return the shipped spline of two bins on (-3, 3) whose inner knot is the given one."""

    def raw(place: float) -> list[float]:
        share = ((place + 3.0) / 6.0 - MINIMUM) / (1.0 - 2.0 * MINIMUM)
        return [float(np.log(share / (1.0 - share))), 0.0]

    slopes = [float(np.log(np.expm1(slope - MINIMUM))) - OFFSET]
    return RationalQuadraticSpline(raw(knot), raw(image), slopes, (-3.0, 3.0))


def spline_knot(knot: float, image: float, slope: float) -> list[str]:
    return [
        f"density of the base at the knot = {fixed(norm.pdf(knot))}",
        f"density of the flow at its image = {fixed(norm.pdf(knot) / slope)}",
    ]


def pit(location_error: float, log_scale_error: float) -> list[str]:
    mean = HUNDRED.mean() + location_error
    std = HUNDRED.std() * np.exp(log_scale_error)
    counts = np.histogram(norm(mean, std).cdf(HUNDRED), bins=10, range=(0.0, 1.0))[0]
    return [
        f"model mean = {fixed(mean, 3)}, σ = {fixed(std, 3)}",
        f"mean log-likelihood = {fixed(norm(mean, std).logpdf(HUNDRED).mean())}",
        *[str(count) for count in counts if count],
    ]


def layers(depth: float) -> list[str]:
    return [f"layers passed: {fixed(depth, 2)} of 3"]


CASES = {
    "step_size": Case(
        lambda: gallery.step_size(HUNDRED),
        ({"gamma": 1.7, "mu_0": -3.0, "steps": 4}, {"gamma": -0.25, "mu_0": 1.5, "steps": 9}),
        step_size,
    ),
    "likelihood_and_kl": Case(
        lambda: gallery.likelihood_and_kl(TEN),
        ({"moved": 7.3, "mu": 2.5}, {"moved": -3.9, "mu": -0.7}),
        likelihood_and_kl,
    ),
    "equal_areas": Case(
        gallery.equal_areas,
        ({"slope": 0.7, "place": -1.3}, {"slope": -1.9, "place": 0.4}),
        equal_areas,
    ),
    "sinh_arcsinh": Case(
        gallery.sinh_arcsinh,
        (
            {"skewness": -1.2, "log_tailweight": 0.55, "z_0": -2.1},
            {"skewness": 0.35, "log_tailweight": -0.4, "z_0": 0.0},
        ),
        sinh_arcsinh,
    ),
    "spline_knot": Case(
        gallery.spline_knot,
        (
            {"knot": 1.25, "image": -0.4, "slope": 3.6},
            {"knot": -1.9, "image": 1.75, "slope": 0.15},
        ),
        spline_knot,
    ),
    "pit": Case(
        lambda: gallery.pit(HUNDRED),
        (
            {"location_error": 0.85, "log_scale_error": 0.3},
            {"location_error": -0.4, "log_scale_error": -0.6},
        ),
        pit,
    ),
    "layers": Case(
        lambda: gallery.layers(COUPLINGS, PAIRS, PAIRS[:20]),
        ({"depth": 1.25}, {"depth": 3.0}),
        layers,
    ),
}


@cache
def figure(name: str) -> Figure:
    """Return the figure of a case, made once."""
    return CASES[name].make()
