"""SciPy, scikit-learn and kernels compiled by numba, for `worker.py`.

SciPy has the normal density, scikit-learn a mixture of one normal: the affine flow. SciPy's
`johnsonsu` is the nearest to the sinh-arcsinh flow that it has, another density of as many
parameters: it is timed, not compared. numba has no flows; what it compiles here is the formula of a
density, written out in one loop, as a bound of what a library can reach.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..problems import knots
from .common import NoEquivalentError, Parameters, versions

HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
NO_SPLINE = "has no flow, and no density with the shape of a spline"
CLOSED = "closed form"


def VERSIONS(name: str) -> dict[str, str]:
    """Return what is installed."""
    return {**versions(name), "numpy": np.__version__}


class Base:
    """What has no equivalent."""

    optimiser = CLOSED

    def arrange(self, x: np.ndarray) -> np.ndarray:
        """Return `x`."""
        return x

    def ascend(self, x: np.ndarray, rate: float, steps: int) -> float:
        """No gradients."""
        raise NoEquivalentError("has no gradients")

    def fit(self, x: np.ndarray, goal: float) -> tuple[float, str]:
        """No fit."""
        raise NoEquivalentError("has no flow to fit")

    def sample(self, n: int, seed: int) -> np.ndarray:
        """No draws."""
        raise NoEquivalentError("has no distribution to draw from")


class OfSciPy(Base):
    """`scipy.stats.norm`, and `johnsonsu`."""

    def __init__(self, kind: str, parameters: Parameters) -> None:
        from scipy import stats

        if kind == "sinh-arcsinh":
            skewness, tail, shift, scale = map(float, parameters)
            self.args: tuple[float, ...] = (-skewness, math.exp(-tail), shift, math.exp(scale))
            self.frozen: Any = stats.johnsonsu
        elif kind == "affine":
            self.args = (float(parameters[0]), math.exp(parameters[1]))
            self.frozen = stats.norm
        else:
            raise NoEquivalentError(NO_SPLINE if kind.startswith("spline") else "has no gradients")
        self.kind = kind

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Return log-densities."""
        values: np.ndarray = self.frozen.logpdf(x, *self.args)
        return values

    def sample(self, n: int, seed: int) -> np.ndarray:
        """Return draws."""
        draws: np.ndarray = self.frozen.rvs(
            *self.args, size=n, random_state=np.random.default_rng(seed)
        )
        return draws

    def fit(self, x: np.ndarray, goal: float) -> tuple[float, str]:
        """Return the maximum, which has a closed form."""
        if self.kind != "affine":
            raise NoEquivalentError("has no density of this family to fit")
        _, scale = self.frozen.fit(x)
        return -math.log(scale) - HALF_LOG_2PI - 0.5, "norm.fit"


class OfScikitLearn(Base):
    """A mixture of one normal."""

    def __init__(self, kind: str, parameters: Parameters) -> None:
        if kind != "affine":
            raise NoEquivalentError(
                "has no gradients" if kind == "shift" else "has no density of this family"
            )
        self.mixture = self._mixture()
        shift, scale = float(parameters[0]), math.exp(parameters[1])
        self.mixture.weights_ = np.ones(1)
        self.mixture.means_ = np.array([[shift]])
        self.mixture.covariances_ = np.array([[scale**2]])
        self.mixture.precisions_cholesky_ = np.array([[1.0 / scale]])

    @staticmethod
    def _mixture() -> Any:
        from sklearn.mixture import GaussianMixture

        return GaussianMixture(1, covariance_type="diag", reg_covar=0.0, init_params="random")

    def arrange(self, x: np.ndarray) -> np.ndarray:
        """Return a column."""
        return x[:, None]

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Return log-densities."""
        values: np.ndarray = self.mixture.score_samples(x)
        return values

    def sample(self, n: int, seed: int) -> np.ndarray:
        """Return draws."""
        self.mixture.random_state = seed
        draws: np.ndarray = self.mixture.sample(n)[0]
        return draws

    def fit(self, x: np.ndarray, goal: float) -> tuple[float, str]:
        """Return the maximum."""
        found = self._mixture().fit(x)
        return found.score(x), "GaussianMixture(1)"


def compiled(kind: str, parameters: Parameters) -> Callable[[np.ndarray], np.ndarray]:
    """Return a density in one loop."""
    import numba

    jit = numba.njit(fastmath=True, error_model="numpy")
    if kind == "affine":
        shift, log_scale = map(float, parameters)

        @jit
        def density(x: Any, shift: float, log_scale: float) -> Any:
            out, precision = np.empty_like(x), math.exp(-log_scale)
            for i in range(len(x)):
                z = (x[i] - shift) * precision
                out[i] = -0.5 * z * z - (HALF_LOG_2PI + log_scale)
            return out

        return lambda x: density(x, shift, log_scale)
    if kind == "sinh-arcsinh":
        skewness, tail, shift, log_scale = map(float, parameters)

        @jit
        def bent(x: Any, skewness: float, tail: float, shift: float, log_scale: float) -> Any:
            out, precision, slope = np.empty_like(x), math.exp(-log_scale), math.exp(-tail)
            constant = -tail - log_scale - HALF_LOG_2PI
            for i in range(len(x)):  # logarithms and exponentials are quicker than asinh and sinh
                y = (x[i] - shift) * precision
                inner = 1.0 + y * y
                u = math.copysign(math.log(abs(y) + math.sqrt(inner)), y)
                e = math.exp(u * slope - skewness)
                z = 0.5 * (e - 1.0 / e)
                out[i] = constant - 0.5 * z * z + 0.5 * math.log((1.0 + z * z) / inner)
            return out

        return lambda x: bent(x, skewness, tail, shift, log_scale)
    corners = knots(*parameters)

    @jit
    def spline(v: Any, x: Any, y: Any, d: Any) -> Any:
        out, last = np.empty_like(v), len(x) - 1
        for i in range(len(v)):
            z, log_det = v[i], 0.0
            if x[0] < v[i] < x[last]:
                k = 0
                for j in range(1, last):
                    k += v[i] >= x[j]
                w, h = x[k + 1] - x[k], y[k + 1] - y[k]
                s, t = h / w, (v[i] - x[k]) / w
                q = t * (1.0 - t)
                below = s + (d[k] + d[k + 1] - 2.0 * s) * q
                z = y[k] + h * (s * t * t + d[k] * q) / below
                above = d[k + 1] * t * t + 2.0 * s * q + d[k] * (1.0 - t) * (1.0 - t)
                log_det = math.log(s * s * above / (below * below))
            out[i] = log_det - 0.5 * z * z - HALF_LOG_2PI
        return out

    return lambda x: spline(x, *corners)


class OfNumba(Base):
    """A density compiled from its formula."""

    def __init__(self, kind: str, parameters: Parameters) -> None:
        if kind == "shift":
            raise NoEquivalentError("has no gradients")
        self.log_prob = compiled(kind, parameters)


def make(name: str, kind: str, parameters: Any) -> Any:
    """Return the model."""
    if kind == "realnvp":
        raise NoEquivalentError("has no networks")
    kinds = {"scipy": OfSciPy, "scikit-learn": OfScikitLearn, "numba": OfNumba}
    return kinds[name](kind, parameters)
