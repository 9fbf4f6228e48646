"""A flow: a base density and a bijection.

`Flow._formula` is the change-of-variables formula as one writes it on a board. Chapter 3 derives
it. Everything else is the door in front of it: types, the support, long arrays, parameters.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any, Self

import numpy as np

from .bijection import Bijection, Interval, image
from .blocks import (
    BLOCK,
    ROWS,
    Array,
    as_count,
    as_generator,
    as_observations,
    as_real,
    as_vectors,
    is_chunked,
    is_traced,
    map_blocks,
    map_rows,
)
from .distributions import Distribution
from .observations import Block, observe
from .parameters import are_numbers
from .pieces import MANY, in_pieces
from .recorded import compiling, for_many
from .sums import Sums, sums_for


@dataclass(frozen=True, eq=False)
class Flow:
    """The distribution of `x = g(z)` when `z` has the base density.

    `log p_X(x) = log p_Z(f(x)) + log|det ∂f/∂x|` with `f = g⁻¹` (Papamakarios et al. 2021,
    equation 3). With a map of numbers every entry of an array is an observation; with a map of
    vectors every row, on the last axis. A bijection whose conditioners take a context makes the
    flow conditional: `context` then is a vector, or one for each observation.

    Parameters
    ----------
    base : Distribution
        Any object with `log_prob(z)` and `sample(n, rng)`; of vectors if the bijection is one. It
        may not change during a fit, or at all if it is a frozen dataclass.
    bijection : Bijection
        The map `g` from base to data; its parameters are those of the flow.

    Raises
    ------
    TypeError
        If `base` or `bijection` is of another kind, or a parameter is not a real number.
    ValueError
        If a parameter is not finite, or has the wrong number of axes, or the bijection is not
        defined on all values of the base, or one is about numbers and the other about vectors.

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
        self._check_events()
        if are_numbers(self.bijection):
            self._check_domain()

    def _check_events(self) -> None:
        of_base, of_map = getattr(self.base, "event_ndim", 0), self.bijection.event_ndim
        if of_base != of_map:
            advice = (
                "lift the bijection with Elementwise(...)"
                if of_base
                else f"use a base of vectors, such as StandardNormal({self.bijection.dim or 2})"
            )
            kinds = ("numbers", "vectors")
            raise ValueError(
                f"base: {self.base!r} is a distribution of {kinds[of_base]}, and the bijection "
                f"{type(self.bijection).__name__} a map of {kinds[of_map]}; {advice}"
            )
        length, dim = getattr(self.base, "dim", None), self.bijection.dim
        if length is not None and dim is not None and length != dim:
            raise ValueError(
                f"base: {self.base!r} makes vectors of length {length}, and the bijection takes "
                f"vectors of length {dim}"
            )

    def _check_domain(self) -> None:
        low, high = self.bijection.domain
        first, last = getattr(self.base, "support", (-np.inf, np.inf))
        if not (np.all(low <= first) and np.all(last <= high)):
            shown = f"({low:g}, {high:g})" if np.ndim(low) == 0 else f"({low}, {high})"
            raise ValueError(
                f"bijection: {self.bijection!r} takes values in {shown} but the base "
                f"{self.base!r} has values in ({first:g}, {last:g}); begin the chain with a map "
                "into that interval, or choose another base"
            )

    @property
    def event_ndim(self) -> int:
        """Whether one observation is a number (0) or a vector (1)."""
        return self.bijection.event_ndim

    @property
    def dim(self) -> int | None:
        """Length of the vectors; None if an observation is a number."""
        length: int | None = getattr(self.base, "dim", None)
        return self.bijection.dim if length is None else length

    @property
    def context_dim(self) -> int:
        """Length of the context; 0 for a flow that is not conditional."""
        return self.bijection.context_dim

    # -- density and samples -----------------------------------------------------------------------

    def _formula(self, x: Array) -> Array:
        z, log_det = self.bijection.inverse_and_log_det(x)
        return self.base.log_prob(z) + log_det

    def log_prob(self, x: Array, context: Array | None = None) -> Array:
        """Return `log p(x)`, or `log p(x | context)`, in the floating-point type of `x`.

        Of numbers it has the shape of `x`, of vectors that without the last axis. Outside the open
        interval onto which the bijection maps, at ±∞, and where a vector's latents overflow, the
        result is `-∞`; at NaN it is NaN, there alone. A traced `x` gives the formula.

        Parameters
        ----------
        x : array
            Numbers, or vectors on the last axis. Of a Dask array the result is one, too, of the
            same chunks, not yet computed.
        context : array of shape (..., C), optional
            For a conditional flow: one vector, or one for each observation.

        Raises
        ------
        TypeError
            If `x` or `context` does not hold real numbers.
        ValueError
            If vectors have the wrong length, or a context is missing, or not wanted.
        """
        if is_chunked(x) or is_chunked(context):
            from .cluster import log_prob

            return log_prob(self, x, context)
        x, context = self._event(x, "x"), self.as_context(context)
        if is_traced(x):
            return self._given(context)._formula(x)
        if not self.event_ndim:
            return self._log_prob_of_numbers(x)
        if context is None:
            flow, rows = self._for_many(x.size // max(1, x.shape[-1]))
            return map_rows(flow._log_prob, x, rows=rows)
        _check_broadcast(x, context)
        return map_rows(lambda rows, given: self._given(given)._log_prob(rows), x, context)

    def _for_many(self, n: int) -> tuple[Self, int]:
        """Return the flow as it is quickest for `n` vectors, and how many of them at once."""
        bijection = in_pieces(self.bijection) if n >= MANY else self.bijection
        if bijection is self.bijection:
            return self, ROWS
        return self.around(bijection), 8 * ROWS

    def _log_prob_of_numbers(self, x: Array) -> Array:
        if compiling.get():
            formula, length = for_many(self._formula_anywhere, x.dtype, x.size, self._known)
            return map_blocks(formula, x, length)
        low, high = self.bijection.codomain
        formula, length = for_many(self._formula, x.dtype, x.size, self._known)

        def block(x: Array, out: Array | None) -> Array:
            if low < x.min(initial=np.inf) and x.max(initial=-np.inf) < high:
                return formula(x, out)
            return _inside(lambda x: formula(x, out), x, low, high)

        return map_blocks(block, x, length)

    def _formula_anywhere(self, x: Array) -> Array:
        return _inside(self._formula, x, *self.bijection.codomain)

    @property
    def _known(self) -> dict[Any, Any]:
        """What was recorded of the flow's code; nothing where somebody may change the base."""
        declared = getattr(type(self.base), "__dataclass_params__", None)
        frozen = declared is not None and declared.frozen
        return vars(self).setdefault("_recorded", {}) if frozen else {}

    def _log_prob(self, x: Array) -> Array:
        """Return `log p(x)` of vectors, also where a value has no density."""
        low, high = self.bijection.codomain
        if np.all(low < x.min(initial=np.inf)) and np.all(x.max(initial=-np.inf) < high):
            with np.errstate(all="ignore"):
                result = self._formula(x)
            # latents beyond the floating-point numbers, from which a network makes NaN
            return np.where(np.isnan(result), -np.inf, result)
        inside, missing = (x > low) & (x < high), np.isnan(x)
        inside, missing = inside.all(axis=-1), missing.any(axis=-1)
        with np.errstate(all="ignore"):
            result = self._formula(np.where(inside[..., None], x, np.nan))
        inside = inside & ~np.isnan(result)
        return np.where(inside | missing, result, -np.inf)

    def _event(self, x: Array, name: str) -> Array:
        """Return `x` as an array of what the flow is about."""
        x = as_real(x, name)
        return as_vectors(x, self.dim, name) if self.event_ndim else x

    def as_context(self, context: Array | None) -> Array | None:
        """Return a context as an array of finite numbers; check that it is given where needed."""
        if not self.context_dim:
            if context is not None:
                raise ValueError("context: this flow is not conditional; leave the context out")
            return None
        if context is None:
            raise ValueError(
                f"context: this flow is conditional; give a context of length {self.context_dim}"
            )
        context = as_vectors(as_real(context, "context"), self.context_dim, "context")
        if not is_traced(context) and not np.isfinite(context).all():
            raise ValueError("context: expected finite numbers, got NaN or infinite ones")
        return context

    def _given(self, context: Array | None) -> Self:
        """Return the flow for one context, or for one for each observation."""
        return self if context is None else self.around(self.bijection.given(context))

    def around(self, bijection: Bijection) -> Self:
        """Return the flow with a bijection whose parts are checked already."""
        made = object.__new__(type(self))
        vars(made).update(base=self.base, bijection=bijection)
        return made

    def sample(self, n: int, rng: np.random.Generator | int, context: Array | None = None) -> Array:
        """Return `n` independent draws: `g(z)` for `z` from the base.

        Of numbers, the base is asked for some thousands of draws at a time, so that no more memory
        is needed than for the result.

        Parameters
        ----------
        n : int
            How many.
        rng : numpy.random.Generator or int
            A generator, or a seed for a new one.
        context : array of shape (..., C), optional
            For a conditional flow; `n` draws for each of its vectors.

        Returns
        -------
        array
            Of shape (n,), or (n, D) for vectors, or (n, ..., D) with the leading axes of the
            context, so that `log_prob(draws, context)` belongs together.
        """
        n, rng, context = as_count(n, "n"), as_generator(rng), self.as_context(context)
        if not self.event_ndim:
            return self._sample_numbers(n, rng)
        lead = (n,) if context is None else (n, *context.shape[:-1])
        z = as_real(self.base.sample(int(np.prod(lead)), rng), "base.sample")
        z = z.reshape(*lead, z.shape[-1])
        if context is None:
            flow, rows = self._for_many(n)
            return map_rows(lambda z: flow.bijection.forward_and_log_det(z)[0], z, rows=rows)
        return map_rows(
            lambda z, given: self.bijection.given(given).forward_and_log_det(z)[0], z, context
        )

    def _sample_numbers(self, n: int, rng: np.random.Generator) -> Array:
        dtype = as_real(self.base.sample(0, rng), "base.sample").dtype
        g, length = for_many(self._forward, dtype, n, self._known)
        x = np.empty(n, dtype)
        for start in range(0, n, length):
            part = x[start : start + length]
            result = g(as_real(self.base.sample(len(part), rng), "base.sample"), part)
            if result is not part:
                part[...] = result
        return x

    def _forward(self, z: Array) -> Array:
        return self.bijection.forward_and_log_det(z)[0]

    @property
    def support(self) -> Interval:
        """The open interval of the values that the flow takes, of vectors in each coordinate."""
        if self.event_ndim:
            return self.bijection.codomain
        support = getattr(self.base, "support", (-np.inf, np.inf))
        g = self.bijection
        return image(g.forward, support, g.domain, g.codomain)

    def cdf(self, x: Array) -> Array:
        """Return the probability of a value up to `x`, from the base's `cdf`."""
        increasing = self.is_increasing()
        x = as_real(x, "x")
        low, high = self.support

        def block(x: Array, out: Array | None) -> Array:
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
        if self.event_ndim:
            raise TypeError("a flow of vectors has no distribution function of one variable")
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

    def moved_to(self, params: Array) -> Self:
        """Return `with_params(params)` for a vector that is known to be finite and to fit."""
        made = self.around(self.bijection.moved_to(params))
        vars(made)["_printed"] = self._printed  # for any parameters
        return made

    @property
    def sums(self) -> Sums | None:
        """The flow's code as sums over the data, if it can be read so."""
        key = compiling.get()
        if key not in self._printed:
            self._printed[key] = sums_for(self)
        return self._printed[key]

    @cached_property
    def _printed(self) -> dict[bool, Sums | None]:
        return {}

    def sums_of_many(self, n: int) -> Sums | None:
        """Return `sums` if they are known, or are worth being printed for `n` data."""
        return self.sums if compiling.get() in self._printed or n > BLOCK else None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the printed code behind: another process prints its own."""
        own = ("_printed", "_recorded")
        return {name: value for name, value in vars(self).items() if name not in own}

    def log_prob_and_score(self, x: Array, context: Array | None = None) -> tuple[Array, Array]:
        """Return `log p(x; θ)` and `∂ log p(x; θ)/∂θ` for each observation.

        Parameters
        ----------
        x : array of shape (n,), or (n, D) for vectors
            Finite data.
        context : array of shape (C,) or (n, C), optional
            For a conditional flow.

        Returns
        -------
        log_prob : array of shape (n,)
        score : array of shape (n, k)
            For the `k` entries of `params`.
        """
        x = self.observations(x)
        return self._given(self.rows_of_context(context, len(x)))._log_prob_and_score(x)

    def score(self, x: Array) -> Array:
        """Return `∂ log p(x)/∂x`, of the shape of `x`; so a flow can be the base of another."""
        from .symbolic.derive import score_of

        z, _, pullback = self.bijection.inverse_and_pullback(self._event(x, "x"))
        return pullback(score_of(self.base, z))[0]

    def observations(self, x: Array) -> Array:
        """Return data for a fit, finite and not empty: of shape (n,), or (n, D) for vectors."""
        return as_observations(self._event(x, "x"), "x", self.event_ndim)

    def rows_of_context(self, context: Array | None, n: int) -> Array | None:
        """Return a context with one row for each of `n` observations."""
        context = self.as_context(context)
        if context is not None and context.shape[:-1] not in ((), (n,)):
            raise ValueError(
                f"context: expected one vector, or one for each of {n} observations, got an array "
                f"of shape {context.shape}"
            )
        return None if context is None else np.broadcast_to(context, (n, context.shape[-1]))

    def formula_and_score(self, x: Array, summed: bool | None) -> tuple[Array, list[Array]]:
        """Return `log p(x; θ)` inside the support and its derivatives by the trained fields."""
        from .symbolic.derive import score_of

        z, log_det, pullback = self.bijection.inverse_and_pullback(x)
        # None leaves the scores of a spline in their bins
        _, score = pullback(score_of(self.base, z), summed)  # type: ignore[arg-type]
        return self.base.log_prob(z) + log_det, score

    def _pulled(self, x: Array, summed: bool | None) -> tuple[Array, list[Array]]:
        low, high = self.bijection.codomain
        all_inside = np.all(low < x.min(initial=np.inf)) and np.all(x.max(initial=-np.inf) < high)
        inside = True if all_inside else (x > low) & (x < high)
        seen = x if all_inside else np.where(inside, x, np.nan)
        log_prob, score = self.formula_and_score(seen, summed)
        if all_inside:
            return log_prob, score
        missing = np.isnan(x)
        if self.event_ndim:
            inside, missing = np.all(inside, axis=-1), missing.any(axis=-1)
        return np.where(inside | missing, log_prob, -np.inf), score

    def _log_prob_and_score(self, x: Array) -> tuple[Array, Array]:
        log_prob, score = self._pulled(x, summed=False)
        columns = [np.reshape(part, (len(x), -1)) for part in score]
        return log_prob, np.concatenate([np.empty((len(x), 0)), *columns], axis=-1)

    def _log_prob_and_slope(self, x: Array) -> tuple[float, Array]:
        """Return `Σ log p(x; θ)` and its derivative by the vector of parameters."""
        sums = self.sums_of_many(len(x))
        if sums is not None:
            value, slope = sums.slope(x, self)
            if np.isfinite(value) and np.isfinite(slope).all():
                return value, slope  # or the code has a say: numbers before sums may overflow
        log_prob, score = self._pulled(x, summed=True)
        return float(log_prob.sum()), np.concatenate([np.empty(0), *score], axis=None)

    def gradient(self, x: Array, context: Array | None = None) -> SimpleNamespace:
        """Return `∂/∂θ` of the mean log-likelihood, as a bundle with the bijection's fields.

        Parameters
        ----------
        x : array
            Finite data.
        context : array of shape (C,) or (n, C), optional
            For a conditional flow.

        Raises
        ------
        TypeError, ValueError
            If `x` is not real, is empty, or has NaN or infinite values, or the context does not
            fit.
        """
        data = observe(self, x, context)
        return self.bijection.bundle(data.reduce(sums_of, self)[1] / len(data))

    # -- on disk -----------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the flow to one `.npz` file, arrays and a description, without pickle.

        The file is replaced as a whole, or left as it was. `storage` has the format.
        """
        from .storage import save

        save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], classes: tuple[type, ...] = ()) -> Flow:
        """Return the flow that `save` wrote.

        Parameters
        ----------
        path : path
        classes : tuple of type
            Your own bijections and distributions in it; those of the package are known.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is damaged, of another kind, of a newer format, or has a class that is not known.
        """
        from .storage import load

        return load(path, classes)


def sums_of(block: Block, flow: Flow) -> tuple[float, Array]:
    """Return `Σ log p(x; θ)` over a block, and its derivative by the vector of parameters."""
    with np.errstate(all="ignore"):  # callers check for finite results
        return flow._given(block.context)._log_prob_and_slope(block.x)


def _inside(formula: Callable[[Array], Array], x: Array, low: Array, high: Array) -> Array:
    """Return a formula's value, which is -∞ outside an open interval."""
    inside = (x > low) & (x < high)
    result = formula(np.where(inside, x, np.nan))
    return np.where(inside | np.isnan(x), result, -np.inf)


def _check_broadcast(x: Array, context: Array) -> None:
    try:
        np.broadcast_shapes(x.shape[:-1], context.shape[:-1])
    except ValueError as error:
        raise ValueError(
            f"context: its shape {context.shape} does not go with that of x, {x.shape}; give one "
            "vector, or one for each observation"
        ) from error
