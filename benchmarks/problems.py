"""The problems that every library solves: data, starting values, fixed parameters, goals.

They are written to one file, which all read: so all have the same numbers. Of the flows of one
variable, parameters stand in the order below, in the meaning that `flowtutorial` gives them:

* `shift`: `x = z + shift`;
* `affine`: `x = shift + exp(log_scale) z`;
* `sinh-arcsinh`: skewness and logarithm of the tail weight, then an affine map;
* `spline`: a rational-quadratic spline of the data, with its knots on the data's axis, so that the
  density needs no root: unnormalised widths, heights and slopes, on (-5, 5), the identity outside.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

INTERVAL, MINIMUM = (-5.0, 5.0), 1e-3
OFFSET = float(np.log(np.expm1(1.0 - MINIMUM)))  # the softplus of this is a slope of 1 - MINIMUM
RATE, STEPS = 0.1, 138  # of gradient ascent: after these a start at 0 is at 2, to six digits
BATCH, ADAM_RATE, REALNVP_GOAL = 512, 2e-3, -1.90

# Smallest known mean negative log-likelihoods. For splines: to where L-BFGS comes quickly from the
# start; thousands of evaluations more gain less than the tolerance with 8 bins, and with 16 bins
# go on to 1.6595, along single data.
BEST = {
    "affine": 2.110580611,
    "sinh-arcsinh": 2.627288642,
    "spline-8": 1.663,
    "spline-16": 1.661,
}
TOLERANCE = {"affine": 1e-4, "sinh-arcsinh": 1e-4, "spline-8": 1e-3, "spline-16": 1e-3}


def data(kind: str) -> np.ndarray:
    """Return ten thousand observations for the fit of a flow."""
    noise, n = np.random.default_rng, 10_000
    if kind == "affine":
        return noise(1).normal(3.0, 2.0, n)
    if kind == "sinh-arcsinh":
        z = noise(2).normal(size=n)
        skewed: np.ndarray = 1.0 + 2.0 * np.sinh((np.arcsinh(z) + 0.6) / 0.8)
        return skewed
    left, z = noise(3).random(n) < 0.4, noise(4).normal(size=n)
    return np.where(left, -2.0 + 0.5 * z, 1.5 + 0.8 * z)


def start(kind: str) -> list[np.ndarray]:
    """Return the parameters with which every fit begins."""
    if kind == "sinh-arcsinh":
        x = data(kind)
        return [np.array(value) for value in (0.0, 0.0, x.mean(), np.log(x.std()))]
    if kind.startswith("spline"):
        bins = int(kind.split("-")[1])
        return [np.zeros(bins), np.zeros(bins), np.zeros(bins - 1)]
    return [np.array(0.0)] * {"shift": 1, "affine": 2}[kind]


def fixed(kind: str) -> list[np.ndarray]:
    """Return the parameters of the flows whose densities and samples are timed."""
    if kind == "affine":
        return [np.array(3.0), np.array(np.log(2.0))]
    if kind == "sinh-arcsinh":
        return [np.array(value) for value in (0.6, np.log(1.25), 1.0, np.log(2.0))]
    rng = np.random.default_rng(11)
    return [0.7 * rng.normal(size=size) for size in (8, 8, 7)]


def knots(widths: Any, heights: Any, slopes: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the knots of a spline, their images and its slopes there."""
    low, high = INTERVAL

    def accumulated(raw: np.ndarray) -> np.ndarray:
        shares = np.exp(raw - raw.max())
        shares = MINIMUM + (1.0 - MINIMUM * raw.size) * shares / shares.sum()
        return np.concatenate([[low], low + (high - low) * np.cumsum(shares)[:-1], [high]])

    inner = MINIMUM + np.logaddexp(0.0, slopes + OFFSET)
    return accumulated(widths), accumulated(heights), np.concatenate([[1.0], inner, [1.0]])


def goal(kind: str) -> float:
    """Return the mean log-likelihood at which a fit has arrived."""
    return -BEST[kind] - TOLERANCE[kind]


FITS, DENSITIES = tuple(BEST), ("affine", "sinh-arcsinh", "spline")


def write(path: Path) -> dict[str, np.ndarray]:
    """Write all of this to a file; return our log-densities at `points`, for each kind.

    `points` are where the libraries are checked to agree: for RealNVP at parameters shaken a
    little, so that no output is zero.
    """
    from flowtutorial import realnvp
    from flowtutorial.datasets import moons
    from flowtutorial.parameters import leaves

    first = realnvp(2)
    jitter = np.random.default_rng(1).normal(size=first.params.size)
    rough = first.with_params(first.params + 0.05 * jitter)
    arrays: dict[str, Any] = {
        "shift/data": np.random.default_rng(0).normal(2.0, 1.0, 1_000_000),
        "points": np.random.default_rng(9).normal(1.0, 1.8, 1000),
        "realnvp/data": moons(10_000, 5), "realnvp/test": moons(10_000, 6),
        "realnvp/points": moons(1000, 7), "realnvp/batch": BATCH, "realnvp/rate": ADAM_RATE,
    }  # fmt: skip
    for kind in FITS:
        arrays[f"{kind}/data"], arrays[f"{kind}/goal"] = data(kind), goal(kind)
    for name, kinds, values in (("start", ("shift", *FITS), start), ("fixed", DENSITIES, fixed)):
        for kind in kinds:
            for number, value in enumerate(values(kind)):
                arrays[f"{kind}/{name}/{number}"] = value
    for name, flow in (("start", first), ("rough", rough)):
        for layer, coupling in enumerate(flow.bijection.parts):  # type: ignore[attr-defined]
            for number, (_, value) in enumerate(leaves(coupling.conditioner)):
                arrays[f"realnvp/{name}/{layer}/{number}"] = value
    np.savez(path, **arrays)
    return {
        "realnvp": rough.log_prob(arrays["realnvp/points"]),
        **{kind: flow_of(kind, fixed(kind)).log_prob(arrays["points"]) for kind in DENSITIES},
    }


def flow_of(kind: str, values: list[np.ndarray]) -> Any:
    """Return our flow of one variable with these parameters."""
    from flowtutorial import (
        Affine,
        Chain,
        Flow,
        Inverse,
        RationalQuadraticSpline,
        Shift,
        SinhArcsinh,
        StandardNormal,
    )

    if kind == "shift":
        return Flow(StandardNormal(), Shift(float(values[0])))
    if kind == "affine":
        return Flow(StandardNormal(), Affine(*map(float, values)))
    if kind == "sinh-arcsinh":
        skewness, tail, shift, scale = map(float, values)
        return Flow(StandardNormal(), Chain((SinhArcsinh(skewness, tail), Affine(shift, scale))))
    widths, heights, slopes = values
    return Flow(
        StandardNormal(), Inverse(RationalQuadraticSpline(widths, heights, slopes, INTERVAL))
    )
