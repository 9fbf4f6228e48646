"""Base densities: where a flow starts.

Each is a standard distribution without parameters; location, scale and shape are the business of
the flow. All have `log_prob`, `sample`, `cdf`, `quantile` and the open interval `support`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from .bijection import Interval
from .blocks import Array, as_count, as_real, as_vectors
from .elementwise import HALF_LOG_2PI, log_sigmoid


@runtime_checkable
class Distribution(Protocol):
    """What a flow asks of its base: a log-density and samples."""

    def log_prob(self, z: Array) -> Array:
        """Return the logarithm of the density at each entry of `z`."""

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Return `n` independent draws."""


@dataclass(frozen=True)
class StandardNormal:
    """The normal distribution N(0, 1), `log φ(z) = -½z² - ½ log 2π`, or N(0, I) of vectors.

    Of vectors, on the last axis, `log φ(z) = -½‖z‖² - ½ D log 2π`.

    Parameters
    ----------
    dim : int, optional
        Length of the vectors; by default an observation is a number.

    Examples
    --------
    >>> StandardNormal().log_prob(np.array([0.0, 1.0])).round(4)
    array([-0.9189, -1.4189])
    >>> StandardNormal(2).log_prob(np.array([[0.0, 1.0]])).round(4)
    array([-2.3379])
    """

    support: ClassVar[Interval] = (-np.inf, np.inf)
    dim: int | None = None

    def __post_init__(self) -> None:
        if self.dim is not None:
            as_count(self.dim, "dim", 1)

    def __repr__(self) -> str:
        return f"StandardNormal({'' if self.dim is None else self.dim})"

    @property
    def event_ndim(self) -> int:
        """Whether one observation is a number (0) or a vector (1)."""
        return 0 if self.dim is None else 1

    @np.errstate(over="ignore")
    def log_prob(self, z: Array) -> Array:
        """Return `-½z² - ½ log 2π`, of vectors its sum over the coordinates."""
        if self.dim is not None:
            z = as_vectors(as_real(z, "z"), self.dim, "z")
        each = -0.5 * z * z - HALF_LOG_2PI
        return each if self.dim is None else np.sum(each, axis=-1)

    def score(self, z: Array) -> Array:
        """Return `∂ log φ/∂z = -z`."""
        return -z

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Return `n` independent draws."""
        return rng.standard_normal(n if self.dim is None else (n, self.dim))

    def cdf(self, z: Array) -> Array:
        """Return `Φ(z)`, the probability of a value up to `z`."""
        from scipy.special import ndtr

        return ndtr(z)

    def quantile(self, q: Array) -> Array:
        """Return `Φ⁻¹(q)` for `q` in [0, 1]."""
        from scipy.special import ndtri

        return ndtri(q)


@dataclass(frozen=True)
class Logistic:
    """The standard logistic distribution, `log p(z) = -z - 2 log(1 + exp(-z))`.

    Mean 0, variance `π²/3`; tails heavier than the normal's. Its distribution function is the
    sigmoid.

    Examples
    --------
    >>> Logistic().log_prob(np.array([0.0, 1000.0])).round(4)
    array([   -1.3863, -1000.    ])
    """

    support: ClassVar[Interval] = (-np.inf, np.inf)

    def log_prob(self, z: Array) -> Array:
        """Return `-|z| - 2 log(1 + exp(-|z|))`, the same value without overflow."""
        return -np.abs(z) - 2.0 * np.log1p(np.exp(-np.abs(z)))

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Return `n` independent draws."""
        return rng.logistic(size=n)

    def cdf(self, z: Array) -> Array:
        """Return `1/(1 + exp(-z))`, the probability of a value up to `z`."""
        return np.exp(log_sigmoid(z))

    def quantile(self, q: Array) -> Array:
        """Return `log(q/(1 - q))` for `q` in [0, 1]."""
        with np.errstate(divide="ignore"):  # the ends are at ±∞
            return np.log(q) - np.log1p(-np.asarray(q))


@dataclass(frozen=True)
class Uniform:
    """The uniform distribution on the unit interval: density 1 on [0, 1], 0 elsewhere.

    Examples
    --------
    >>> Uniform().log_prob(np.array([-0.5, 0.5]))
    array([-inf,   0.])
    """

    support: ClassVar[Interval] = (0.0, 1.0)

    def log_prob(self, z: Array) -> Array:
        """Return 0 on [0, 1] and `-∞` elsewhere."""
        outside = np.where((z < 0.0) | (z > 1.0), -np.inf, 0.0)
        return np.where(np.isnan(z), z, outside)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Return `n` independent draws."""
        return rng.random(n)

    def cdf(self, z: Array) -> Array:
        """Return `z` held to [0, 1], the probability of a value up to `z`."""
        return np.clip(z, 0.0, 1.0)

    def quantile(self, q: Array) -> Array:
        """Return `q`."""
        return np.positive(q)
