"""A flow: a base density and a bijection.

`Flow._formula` is the change-of-variables formula as one writes it on a board. Chapter 3 derives
it. Everything else is the door in front of it: types, the support, long arrays, parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Self

import numpy as np

from .bijection import Bijection, Interval, image
from .blocks import (
    BLOCK,
    Array,
    as_count,
    as_generator,
    as_observations,
    as_real,
    is_traced,
    map_blocks,
)
from .distributions import Distribution


@dataclass(frozen=True, eq=False)
class Flow:
    """The distribution of `x = g(z)` when `z` has the base density.

    `log p_X(x) = log p_Z(f(x)) + log|∂f/∂x|` with `f = g⁻¹` (Papamakarios et al. 2021, equation 3).

    Parameters
    ----------
    base : Distribution
        Any object with `log_prob(z)` and `sample(n, rng)`.
    bijection : Bijection
        The map `g` from base to data; its parameters are those of the flow.

    Raises
    ------
    TypeError
        If `base` or `bijection` is of another kind, or a parameter is not a real number.
    ValueError
        If a parameter is not finite, or has the wrong number of axes, or the bijection is not
        defined on all values of the base.

    Examples
    --------
    >>> from flowtutorial import Flow, Shift, StandardNormal
    >>> flow = Flow(StandardNormal(), Shift(2.0))
    >>> flow.log_prob([2.0, 3.0]).round(4)
    array([-0.9189, -1.4189])
    >>> flow.gradient([1.0, 2.0, 6.0])
    namespace(shift=1.0)
    """

    base: Distribution
    bijection: Bijection

    def __post_init__(self) -> None:
        if isinstance(self.base, type) or not isinstance(self.base, Distribution):
            raise TypeError(
                f"base: expected an object with log_prob and sample, such as StandardNormal(), "
                f"got {self.base!r}"
            )
        if not isinstance(self.bijection, Bijection):
            raise TypeError(
                f"bijection: expected a bijection, such as Shift(0.0), got {self.bijection!r}"
            )
        if _check_parameters(self.bijection):
            self._check_domain()

    def _check_domain(self) -> None:
        low, high = self.bijection.domain
        first, last = getattr(self.base, "support", (-np.inf, np.inf))
        if not (low <= first and last <= high):
            raise ValueError(
                f"bijection: {self.bijection!r} takes values in ({low:g}, {high:g}) but the base "
                f"{self.base!r} has values in ({first:g}, {last:g}); begin the chain with a map "
                "into that interval, or choose another base"
            )

    # -- density and samples -----------------------------------------------------------------------

    def _formula(self, x: Array) -> Array:
        z, log_det = self.bijection.inverse_and_log_det(x)
        return self.base.log_prob(z) + log_det

    def log_prob(self, x: Array) -> Array:
        """Return `log p(x)`, of the shape and floating-point type of `x`.

        Outside the open interval onto which the bijection maps, and at ±∞, the result is `-∞`; at
        NaN it is NaN, there alone. A traced `x` gives the formula.

        Raises
        ------
        TypeError
            If `x` does not hold real numbers.
        """
        x = as_real(x, "x")
        if is_traced(x):
            return self._formula(x)
        low, high = self.bijection.codomain

        def block(x: Array) -> Array:
            if low < x.min(initial=np.inf) and x.max(initial=-np.inf) < high:
                return self._formula(x)
            inside = (x > low) & (x < high)
            result = self._formula(np.where(inside, x, np.nan))
            return np.where(inside | np.isnan(x), result, -np.inf)

        return map_blocks(block, x)

    def sample(self, n: int, rng: np.random.Generator | int) -> Array:
        """Return `n` independent draws: `g(z)` for `z` from the base.

        Parameters
        ----------
        n : int
            How many.
        rng : numpy.random.Generator or int
            A generator, or a seed for a new one.
        """
        z = as_real(self.base.sample(as_count(n, "n"), as_generator(rng)), "base.sample")
        return map_blocks(lambda z: self.bijection.forward_and_log_det(z)[0], z)

    @property
    def support(self) -> Interval:
        """The open interval of the values that the flow takes."""
        support = getattr(self.base, "support", (-np.inf, np.inf))
        g = self.bijection
        return image(g.forward, support, g.domain, g.codomain)

    def cdf(self, x: Array) -> Array:
        """Return the probability of a value up to `x`, from the base's `cdf`."""
        x = as_real(x, "x")
        low, high = self.support
        increasing = self.is_increasing()

        def block(x: Array) -> Array:
            inside = (x > low) & (x < high)
            q = self.base.cdf(self.bijection.inverse(np.where(inside, x, np.nan)))  # type: ignore[attr-defined]
            beyond = np.where(x >= high, 1.0, np.where(x <= low, 0.0, x))
            return np.where(inside, q if increasing else 1.0 - q, beyond)

        return map_blocks(block, x)

    def quantile(self, q: Array) -> Array:
        """Return the value that is not exceeded with probability `q`, from the base's `quantile`.

        Raises
        ------
        ValueError
            If `q` leaves [0, 1].
        """
        q = as_real(q, "q")
        if np.any((q < 0.0) | (q > 1.0)):
            raise ValueError("q: a probability lies in [0, 1]")
        level = q if self.is_increasing() else 1.0 - q
        with np.errstate(divide="ignore"):  # the ends 0 and 1 may lie at infinity
            return self.bijection.forward(self.base.quantile(level))  # type: ignore[attr-defined]

    def is_increasing(self) -> bool:
        """Return whether the map increases; asks for two quantiles of the base."""
        for name in ("cdf", "quantile"):
            if not hasattr(self.base, name):
                raise TypeError(f"base: {type(self.base).__name__} has no method {name}")
        first, last = self.bijection.forward(self.base.quantile(np.array([0.25, 0.75])))  # type: ignore[attr-defined]
        return bool(first < last)

    # -- parameters and their gradient -------------------------------------------------------------

    @property
    def params(self) -> np.ndarray:
        """The bijection's parameters as one vector."""
        return self.bijection.params

    @property
    def param_names(self) -> tuple[str, ...]:
        """A name for each entry of `params`."""
        return self.bijection.param_names

    def with_params(self, params: Array) -> Self:
        """Return the same flow with the parameters of the vector `params`."""
        return type(self)(self.base, self.bijection.with_params(params))

    def log_prob_and_score(self, x: Array) -> tuple[Array, Array]:
        """Return `log p(x; θ)` and `∂ log p(x; θ)/∂θ` for each observation.

        Parameters
        ----------
        x : array of shape (n,)
            Finite data.

        Returns
        -------
        log_prob : array of shape (n,)
        score : array of shape (n, k)
            For the `k` entries of `params`.
        """
        x = as_observations(x, "x")
        return self._log_prob_and_score(x)

    def _log_prob_and_score(self, x: Array) -> tuple[Array, Array]:
        from .symbolic.derive import score_of

        low, high = self.bijection.codomain
        inside = (x > low) & (x < high)
        z, log_det, pullback = self.bijection.inverse_and_pullback(np.where(inside, x, np.nan))
        _, score = pullback(score_of(self.base, z))
        log_prob = np.where(inside | np.isnan(x), self.base.log_prob(z) + log_det, -np.inf)
        columns = [np.reshape(part, (*x.shape, -1)) for part in score]
        return log_prob, np.concatenate([np.empty((*x.shape, 0)), *columns], axis=-1)

    def gradient(self, x: Array) -> SimpleNamespace:
        """Return `∂/∂θ` of the mean log-likelihood, as a bundle with the bijection's fields.

        Parameters
        ----------
        x : array
            Finite data.

        Raises
        ------
        TypeError, ValueError
            If `x` is not real, is empty, or has NaN or infinite values.
        """
        x = as_observations(x, "x")
        total = sum(
            self._log_prob_and_score(x[start : start + BLOCK])[1].sum(axis=0)
            for start in range(0, x.size, BLOCK)
        )
        return self.bijection.bundle(total / x.size)


def _check_parameters(bijection: Bijection) -> bool:
    """Check every trained field; return whether all are numbers (and none is traced)."""
    from dataclasses import fields

    numeric = True
    for field in fields(bijection):
        if field.metadata.get("static", False):
            continue
        value: Any = getattr(bijection, field.name)
        where = f"{type(bijection).__name__}.{field.name}"
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, Bijection):
                numeric &= _check_parameters(part)
            elif is_traced(part):
                numeric = False
            else:
                _check_number(part, where, field.metadata.get("ndim", 0))
    return numeric


def _check_number(value: Any, where: str, ndim: int) -> None:
    array = as_real(value, where)
    if np.ndim(array) != ndim:
        raise ValueError(
            f"{where}: expected {'one number' if ndim == 0 else f'{ndim} axes'}, got an array of "
            f"shape {np.shape(array)}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{where}: expected a finite number, got {value!r}")
