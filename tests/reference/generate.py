"""Compute reference values of every bijection to 40 digits, in the package's own parameters.

Textbook formulas in mpmath, at a precision that is raised until two runs agree to 45 digits: a
fixed precision is not enough (60 digits are wrong for softplus at -158). Run it to rewrite
`values.json`; a test recomputes some of the rows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import mpmath as mp

HERE = Path(__file__).parent
MAGNITUDES = [
    0.0, 5e-324, 1e-310, 1e-300, 1e-16, 1e-8, 1e-4, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 18.0, 20.0, 37.0,
    40.0, 100.0, 354.0, 700.0, 709.0, 745.0, 1e4, 1e8, 1e15, 1e100, 1e300,
]  # fmt: skip
REAL = [sign * m for m in MAGNITUDES for sign in (1.0, -1.0)]
POSITIVE = [m for m in MAGNITUDES if m > 0.0]
UNIT = [
    5e-324, 1e-300, 1e-16, 1e-4, 0.1, 0.25, 0.5, 0.625, 0.75, 0.9375, 1 - 2.0**-30, 1 - 2.0**-53,
]  # fmt: skip
SIGNED_UNIT = [s * u for u in [0.0, *UNIT] for s in (1.0, -1.0)]

Row = tuple[mp.mpf, mp.mpf]
Numbers = Sequence[mp.mpf]
Formula = Callable[..., Row]


def shift(z: mp.mpf, b: mp.mpf) -> Row:
    return z + b, mp.mpf(0)


def affine(z: mp.mpf, b: mp.mpf, s: mp.mpf) -> Row:
    return b + mp.exp(s) * z, s


def affine_inverse(x: mp.mpf, b: mp.mpf, s: mp.mpf) -> Row:
    return (x - b) / mp.exp(s), -s


def exp(z: mp.mpf) -> Row:
    return mp.exp(z), z


def exp_inverse(x: mp.mpf) -> Row:
    return mp.log(x), -mp.log(x)


def sigmoid(z: mp.mpf) -> Row:
    return 1 / (1 + mp.exp(-z)), -z - 2 * mp.log1p(mp.exp(-z))


def sigmoid_inverse(x: mp.mpf) -> Row:
    return mp.log(x) - mp.log1p(-x), -mp.log(x) - mp.log1p(-x)


def softplus(z: mp.mpf) -> Row:
    return mp.log1p(mp.exp(z)), -mp.log1p(mp.exp(-z))


def softplus_inverse(x: mp.mpf) -> Row:
    return x + mp.log(-mp.expm1(-x)), -(mp.log1p(-mp.exp(-x)) if x > 1 else mp.log(-mp.expm1(-x)))


def tanh(z: mp.mpf) -> Row:
    return mp.tanh(z), -mp.log1p(mp.sinh(z) ** 2)


def tanh_inverse(x: mp.mpf) -> Row:
    return (mp.log1p(x) - mp.log1p(-x)) / 2, -mp.log1p(-x * x)


def leaky_relu(z: mp.mpf, s: mp.mpf) -> Row:
    return (z, mp.mpf(0)) if z >= 0 else (mp.exp(s) * z, s)


def leaky_relu_inverse(x: mp.mpf, s: mp.mpf) -> Row:
    return (x, mp.mpf(0)) if x >= 0 else (mp.exp(-s) * x, -s)


def arsinh(x: mp.mpf) -> mp.mpf:
    a = abs(x)
    return mp.sign(x) * mp.log1p(a + a * a / (1 + mp.sqrt(1 + a * a)))


def sinh_arcsinh(z: mp.mpf, skewness: mp.mpf, log_tailweight: mp.mpf) -> Row:
    x = mp.sinh((arsinh(z) + skewness) * mp.exp(log_tailweight))
    return x, log_tailweight + (mp.log1p(x * x) - mp.log1p(z * z)) / 2


def sinh_arcsinh_inverse(x: mp.mpf, skewness: mp.mpf, log_tailweight: mp.mpf) -> Row:
    z = mp.sinh(arsinh(x) / mp.exp(log_tailweight) - skewness)
    return z, -log_tailweight - (mp.log1p(x * x) - mp.log1p(z * z)) / 2


def normal_cdf(z: mp.mpf) -> Row:
    return mp.erfc(-z / mp.sqrt(2)) / 2, -z * z / 2 - mp.log(2 * mp.pi) / 2


def normal_cdf_inverse(x: mp.mpf) -> Row:
    far = mp.sqrt(-2 * mp.log(min(x, 1 - x))) + 1  # beyond the solution, as is its mirror image
    z = bisected(lambda z: normal_cdf(z)[0] - x, -far, far)
    return z, z * z / 2 + mp.log(2 * mp.pi) / 2


def bisected(function: Callable[[mp.mpf], mp.mpf], low: mp.mpf, high: mp.mpf) -> mp.mpf:
    """Return where an increasing function is 0, to the working precision and then some."""
    with mp.workprec(2 * mp.mp.prec):
        for _ in range(mp.mp.prec + 60):
            middle = (low + high) / 2
            value = function(middle)
            if value == 0:
                return middle
            low, high = (middle, high) if value < 0 else (low, middle)
        return (low + high) / 2


def mixture(x: mp.mpf, logits: Numbers, means: Numbers, log_scales: Numbers) -> Row:
    weights = [mp.exp(logit) for logit in (mp.mpf(0), *logits)]
    t = [(x - m) / mp.exp(s) for m, s in zip(means, log_scales, strict=True)]
    z = sum(w / (1 + mp.exp(-v)) for w, v in zip(weights, t, strict=True)) / sum(weights)
    slopes = (w * mp.exp(-v - s) / (1 + mp.exp(-v)) ** 2
              for w, v, s in zip(weights, t, log_scales, strict=True))  # fmt: skip
    return z, mp.log(sum(slopes) / sum(weights))


def mixture_forward(z: mp.mpf, logits: Numbers, means: Numbers, log_scales: Numbers) -> Row:
    odds = mp.log(z) - mp.log1p(-z)
    ends = [m + mp.exp(s) * odds for m, s in zip(means, log_scales, strict=True)]
    at = lambda x: mixture(x, logits, means, log_scales)  # noqa: E731
    x = bisected(lambda x: at(x)[0] - z, min(ends), max(ends))
    return x, -at(x)[1]


def knots(widths: Numbers, heights: Numbers, slopes: Numbers, interval: Numbers) -> list[Any]:
    """Return knots, images and slopes of a spline, from its definition."""
    (low, high), least = interval, mp.mpf(1) / 1000

    def accumulated(raw: Numbers) -> list[mp.mpf]:
        total = sum(map(mp.exp, raw))
        shares = [least + (1 - len(raw) * least) * mp.exp(v) / total for v in raw]
        return [low + (high - low) * sum(shares[:i]) for i in range(len(raw))] + [high]

    offset = mp.log(mp.expm1(1 - least))
    inner = [least + mp.log1p(mp.exp(s + offset)) for s in slopes]
    return [accumulated(widths), accumulated(heights), [mp.mpf(1), *inner, mp.mpf(1)]]


def spline(z: mp.mpf, *params: Numbers) -> Row:
    """Durkan et al. (2019), equations 4 and 5."""
    xs, ys, ds = knots(*params)
    if not xs[0] < z < xs[-1]:
        return z, mp.mpf(0)
    k = max(i for i in range(len(xs) - 1) if xs[i] <= z)
    w, h, a, b = xs[k + 1] - xs[k], ys[k + 1] - ys[k], ds[k], ds[k + 1]
    s, t = h / w, (z - xs[k]) / w
    below = s + (a + b - 2 * s) * t * (1 - t)
    slope = s**2 * (b * t**2 + 2 * s * t * (1 - t) + a * (1 - t) ** 2) / below**2
    return ys[k] + h * (s * t**2 + a * t * (1 - t)) / below, mp.log(slope)


def spline_inverse(x: mp.mpf, *params: Numbers) -> Row:
    """Durkan et al. (2019), equations 6 to 8: the precision makes up for their cancellation."""
    xs, ys, ds = knots(*params)
    if not ys[0] < x < ys[-1]:
        return x, mp.mpf(0)
    k = max(i for i in range(len(ys) - 1) if ys[i] <= x)
    h, above, s = ys[k + 1] - ys[k], x - ys[k], (ys[k + 1] - ys[k]) / (xs[k + 1] - xs[k])
    bend = ds[k + 1] + ds[k] - 2 * s
    a, b, c = h * (s - ds[k]) + above * bend, h * ds[k] - above * bend, -s * above
    z = xs[k] + 2 * c / (-b - mp.sqrt(b * b - 4 * a * c)) * (xs[k + 1] - xs[k])
    return z, -spline(z, *params)[1]


MIXTURES = [
    ([], [0.5], [-0.25]),
    ([0.5, -1.0], [-1.5, 0.25, 2.0], [-0.5, 0.0, -1.0]),
    ([30.0], [-1e6, 1e6], [0.0, 3.0]),
    ([-20.0, 1.0], [0.0, 0.0, 1e-3], [5.0, -10.0, -2.0]),
]
SPLINES = [
    ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0], [-3.0, 3.0]),
    ([0.5, 0.0, -0.5], [-0.25, 1.0, 0.0], [0.75, -1.0], [-3.0, 3.0]),
    ([5.0, -5.0, 0.0, 2.0], [-4.0, 6.0, 1.0, -3.0], [8.0, -8.0, 3.0], [-2.0, 700.0]),
    ([0.0], [3.0], [], [-1e8, 1e-3]),
]


def around_knots(case: Any, which: int) -> list[float]:
    """Return the knots of a spline or their images, the numbers beside them, and some more."""
    found = [float(v) for v in knots(*[[mp.mpf(v) for v in part] for part in case])[which]]
    beside = [math.nextafter(v, way) for v in found for way in (-math.inf, math.inf)]
    between = [a + (b - a) * share for a, b in pairwise(found) for share in (1e-9, 0.3, 0.5, 0.9)]
    return found + beside + between + REAL


# class, parameters, direction: formula, arguments
CASES: list[tuple[str, tuple[Any, ...], str, Formula, list[float]]] = [
    ("Shift", (0.75,), "forward", shift, REAL),
    ("Shift", (-0.75,), "inverse", lambda x, b: shift(x, -b), REAL),
    ("Affine", (0.75, 0.9375), "forward", affine, REAL),
    ("Affine", (0.75, 0.9375), "inverse", affine_inverse, REAL),
    ("Affine", (-2.0, -7.0), "inverse", affine_inverse, REAL),
    ("Exp", (), "forward", exp, REAL),
    ("Exp", (), "inverse", exp_inverse, POSITIVE),
    ("Sigmoid", (), "forward", sigmoid, REAL),
    ("Sigmoid", (), "inverse", sigmoid_inverse, UNIT),
    ("Softplus", (), "forward", softplus, REAL),
    ("Softplus", (), "inverse", softplus_inverse, POSITIVE),
    ("Tanh", (), "forward", tanh, REAL),
    ("Tanh", (), "inverse", tanh_inverse, SIGNED_UNIT),
    ("LeakyReLU", (-2.0,), "forward", leaky_relu, REAL),
    ("LeakyReLU", (-2.0,), "inverse", leaky_relu_inverse, REAL),
    *[
        ("SinhArcsinh", params, direction, formula, REAL)
        for params in [(0.0, 0.0), (0.5, 0.25), (-1.5, -0.5), (1e-3, 1e-5), (2.0, 0.0)]
        for direction, formula in [("forward", sinh_arcsinh), ("inverse", sinh_arcsinh_inverse)]
    ],
    ("NormalCDF", (), "forward", normal_cdf, [z for z in REAL if abs(z) < 1e8]),
    ("NormalCDF", (), "inverse", normal_cdf_inverse, UNIT),
    *[("LogisticMixture", case, "inverse", mixture, REAL) for case in MIXTURES],
    *[("LogisticMixture", case, "forward", mixture_forward, UNIT) for case in MIXTURES],
    *[
        ("RationalQuadraticSpline", case, direction, formula, around_knots(case, which))
        for case in SPLINES
        for which, (direction, formula) in enumerate(
            [("forward", spline), ("inverse", spline_inverse)]
        )
    ],
]


def exactly(param: Any) -> Any:
    """Return a number, or a list of numbers, in mpmath."""
    return [mp.mpf(v) for v in param] if isinstance(param, list | tuple) else mp.mpf(param)


def accurate(formula: Formula, argument: float, params: tuple[Any, ...]) -> tuple[str, str]:
    """Return value and log-determinant as strings of 40 digits."""
    previous: Row | None = None
    for digits in (60, 120, 240, 480, 960, 1920):
        with mp.workdps(digits):
            row = formula(mp.mpf(argument), *map(exactly, params))
            if previous is not None and all(
                abs(new - old) <= mp.mpf(10) ** -45 * abs(new) or abs(new) < mp.mpf(10) ** -400
                for new, old in zip(row, previous, strict=True)
            ):
                return mp.nstr(row[0], 40), mp.nstr(row[1], 40)
            previous = row
    raise ArithmeticError(f"{formula.__name__} at {argument}: no two precisions agree")


def rows(case: tuple[str, tuple[Any, ...], str, Formula, list[float]]) -> dict[str, object]:
    """Return one case as it is stored."""
    name, params, direction, formula, arguments = case
    values = [(a.hex(), *accurate(formula, a, params)) for a in arguments]
    return {"class": name, "params": params, "direction": direction, "rows": values}


if __name__ == "__main__":
    text = json.dumps([rows(case) for case in CASES], indent=0)
    (HERE / "values.json").write_text(text + "\n")
