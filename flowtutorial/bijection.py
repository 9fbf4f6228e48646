"""What a bijection is, and how bijections are combined.

A bijection `x = g(z)` carries the base variable `z` to the data variable `x` and knows by how much
it stretches on the way. Chapter 3 derives why the logarithm of that stretch is all that a density
needs; chapter 4 follows derivatives back through a chain of bijections.
"""

from __future__ import annotations

import dataclasses
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from .blocks import Array, as_real, as_vectors, is_traced
from .parameters import Parametrised, gathered

Interval = tuple[float, float]


class Pullback(Protocol):
    """What carries derivatives back through a map `v = f(u; θ)`.

    For `L = l(v) + log|det ∂v/∂u|` it returns `∂L/∂u` and the list of `∂L/∂θ` at fixed `u`, one
    array for each trained field: the axes of the observations first, then those of the field; or,
    `summed`, the field's alone.
    """

    def __call__(self, bar: Array, summed: bool = False, /) -> tuple[Array, list[Array]]:
        """Return the derivatives of `L` from `bar = ∂l/∂v`."""


def _looks_first(method: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return a method that checks its argument if it takes vectors, `name` in messages."""

    @functools.wraps(method)
    def looking(self: Bijection, *given: Array, **named: Array) -> Any:
        if self.event_ndim:  # a chain may be of numbers
            given = tuple(self.as_event(value, name) for value in (*given, *named.values()))
            return method(self, *given)
        return method(self, *given, **named)

    return looking


@dataclass(frozen=True, eq=False)
class Bijection(Parametrised, ABC):
    """An invertible, differentiable map `x = g(z)` with inverse `z = f(x)`.

    A subclass is a frozen dataclass whose fields are its parameters. It writes two methods in
    plain NumPy:

    * `forward_and_log_det(z)`, from base to data, returns `g(z)` and `log|det ∂g/∂z|`;
    * `inverse_and_log_det(x)`, from data to base, returns `f(x)` and `log|det ∂f/∂x|`.

    A map of numbers works elementwise, and both results have the shape of the argument. A map of
    vectors, with `event_ndim = 1`, works on the last axis, which the log-determinant has not.
    The methods of a map of vectors are given arrays of real numbers whose last axis fits: who calls
    them with others gets the error that `forward` and `inverse` raise.
    Parameters are unconstrained: every real value gives a valid map. A field that is not trained
    says `field(metadata={"static": True})`; a parameter that is not a single number says how many
    axes it has, `field(metadata={"ndim": 1})`.

    Attributes
    ----------
    event_ndim : {0, 1}
        Whether one observation is a number, or a vector.
    dim : int or None
        Length of the vectors; None for numbers, or if vectors of any length will do.
    context_dim : int
        Length of the context vector that `given` needs; 0 if there is none.
    domain, codomain : tuple of float
        The open intervals that `g` maps from and to; for vectors, in each coordinate.
    numerical : {None, "forward", "inverse"}
        The direction that has no formula and is solved for numerically, if there is one. What is
        proved and derived is then the other.

    Notes
    -----
    Papamakarios et al. (2021), *Normalizing flows for probabilistic modeling and inference*,
    section 2.1.

    Examples
    --------
    A bijection of one's own takes these lines, and can be proved, differentiated and fitted as
    those of the package.

    >>> @dataclass(frozen=True, eq=False)
    ... class Reflect(Bijection):
    ...     def forward_and_log_det(self, z):
    ...         return -z, np.zeros_like(z)
    ...     def inverse_and_log_det(self, x):
    ...         return -x, np.zeros_like(x)
    >>> Reflect().forward([1.0, 2.0])
    array([-1., -2.])
    """

    event_ndim: ClassVar[int] = 0
    dim: ClassVar[int | None] = None
    context_dim: ClassVar[int] = 0
    domain: ClassVar[Interval] = (-np.inf, np.inf)
    codomain: ClassVar[Interval] = (-np.inf, np.inf)
    numerical: ClassVar[str | None] = None

    def __init_subclass__(cls, **options: Any) -> None:
        """Let every method of a map of vectors begin with a look at its argument."""
        super().__init_subclass__(**options)
        for direction, name in (("forward", "z"), ("inverse", "x")):
            for method in (f"{direction}_and_log_det", f"{direction}_and_pullback"):
                if cls.event_ndim and method in vars(cls):
                    setattr(cls, method, _looks_first(vars(cls)[method], name))

    @abstractmethod
    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return `x = g(z)` and `log|det ∂g/∂z|`."""

    @abstractmethod
    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return `z = f(x)` and `log|det ∂f/∂x|`."""

    def forward(self, z: Array) -> Array:
        """Return `x = g(z)`, from base to data.

        `TypeError` if `z` does not hold real numbers, `ValueError` if its last axis does not fit.
        """
        z = self.as_event(z, "z")
        return in_type_of(z, self.forward_and_log_det(z)[0])

    def inverse(self, x: Array) -> Array:
        """Return `z = f(x)`, from data to base.

        `TypeError` if `x` does not hold real numbers, `ValueError` if its last axis does not fit.
        """
        x = self.as_event(x, "x")
        return in_type_of(x, self.inverse_and_log_det(x)[0])

    def as_event(self, value: Array, name: str) -> Array:
        """Return `value` as an array of real numbers on which this bijection can act."""
        value = as_real(value, name)
        return as_vectors(value, self.dim, name) if self.event_ndim else value

    def given(self, context: Array) -> Self:
        """Return this bijection with `context` put into every conditioner that takes one."""
        parts = {
            name: tuple(part.given(context) for part in value)
            if isinstance(value, tuple)
            else value.given(context)
            for name, value in self.trained_fields().items()
            if isinstance(value, Bijection)
            or (isinstance(value, tuple) and any(isinstance(part, Bijection) for part in value))
        }
        return dataclasses.replace(self, **parts) if parts else self

    # -- derivatives -----------------------------------------------------------------------------

    def inverse_and_pullback(self, x: Array) -> tuple[Array, Array, Pullback]:
        """Return `f(x)`, `log|∂f/∂x|` and the function that carries derivatives back through `f`.

        For `L = l(z) + log|∂f/∂x|` with `z = f(x; θ)`, `pullback(∂l/∂z)` returns
        `∂L/∂x = ∂l/∂z · ∂z/∂x + ∂log|∂f/∂x|/∂x` and the list of `∂L/∂θ` at fixed `x`, one array for
        each trained field, of the shape of `x` and then of the field. The derivatives come from
        this class's own NumPy code (`symbolic.derive`), compiled once; chapter 4 derives them.
        """
        return (self._traced_pullback if self.event_ndim else self._derived_pullback)(x, "inverse")

    def forward_and_pullback(self, z: Array) -> tuple[Array, Array, Pullback]:
        """Return `g(z)`, `log|∂g/∂z|` and what carries derivatives back through `g`, likewise."""
        return (self._traced_pullback if self.event_ndim else self._derived_pullback)(z, "forward")

    def _traced_pullback(self, x: Array, direction: str) -> tuple[Array, Array, Pullback]:
        from .symbolic.derive import vector_pullback

        x = self.as_event(x, "x" if direction == "inverse" else "z")
        pulled: tuple[Array, Array, Pullback] = vector_pullback(self, x, direction)
        return pulled

    def _derived_pullback(self, x: Array, direction: str) -> tuple[Array, Array, Pullback]:
        from .symbolic.derive import derive  # SymPy is loaded when needed

        d = derive(self, direction)(tuple(self.trained_fields().values()), x, full=False)

        def pullback(bar: Array, summed: bool = False) -> tuple[Array, list[Array]]:
            along_x = bar * d.d_value_dx + d.d_log_det_dx
            pairs = zip(d.d_value_dparams, d.d_log_det_dparams, strict=True)
            along_params = [
                gathered(with_axes_of(value, bar) * value + log_det, np.ndim(bar), summed)
                for value, log_det in pairs
            ]
            return along_x, along_params

        return d.value, d.log_det, pullback


@dataclass(frozen=True, eq=False)
class Chain(Bijection):
    """Several bijections, one after the other; the first of `parts` is applied first.

    With parts `g₁, …, g_K` the chain is `x = g_K(… g₁(z))`, and log-determinants add:
    `log|∂x/∂z| = Σ_k log|g_k'|`, each at the value that reaches it (Papamakarios et al. 2021,
    equations 6 and 7).

    Parameters
    ----------
    parts : tuple of Bijection
        In the order in which `forward` applies them. An empty tuple is the identity.

    Raises
    ------
    TypeError
        If `parts` is not a sequence of bijections.
    ValueError
        If maps of numbers and of vectors are mixed, or of vectors of different lengths, or if a
        map of vectors takes other values than the one before it gives.

    Examples
    --------
    Doubling and then adding one is not adding one and then doubling:

    >>> from flowtutorial import Affine, Chain, Shift
    >>> double, add_one = Affine(0.0, np.log(2.0)), Shift(1.0)
    >>> float(Chain((double, add_one)).forward(3.0)), float(Chain((add_one, double)).forward(3.0))
    (7.0, 8.0)
    """

    parts: tuple[Bijection, ...]

    def __post_init__(self) -> None:
        if isinstance(self.parts, Bijection) or not isinstance(self.parts, tuple | list):
            raise TypeError(f"parts: expected a tuple of bijections, got {self.parts!r}")
        for index, part in enumerate(self.parts):
            if not isinstance(part, Bijection):
                raise TypeError(f"parts[{index}]: expected a bijection, got {part!r}")
        object.__setattr__(self, "parts", tuple(self.parts))
        _check_events(self.parts)

    @property
    def event_ndim(self) -> int:  # type: ignore[override]
        """That of every part."""
        return self.parts[0].event_ndim if self.parts else 0

    @property
    def dim(self) -> int | None:  # type: ignore[override]
        """Length of the vectors, as far as a part says it."""
        return next((part.dim for part in self.parts if part.dim is not None), None)

    @property
    def context_dim(self) -> int:  # type: ignore[override]
        """Length of the context, as far as a part takes one."""
        return max((part.context_dim for part in self.parts), default=0)

    def __repr__(self) -> str:
        inner = ", ".join(repr(part) for part in self.parts)
        return f"Chain(({inner}{',' if len(self.parts) == 1 else ''}))"

    @property
    def domain(self) -> Interval:  # type: ignore[override]
        """The values that pass through every part, as an open interval."""
        if self.event_ndim:
            return self.parts[0].domain
        interval = (-np.inf, np.inf)
        for part in reversed(self.parts):
            interval = image(part.inverse, interval, part.codomain, part.domain)
        return interval

    @property
    def codomain(self) -> Interval:  # type: ignore[override]
        """Where the values of `domain` arrive, as an open interval."""
        if self.event_ndim:
            return self.parts[-1].codomain
        interval = self.domain
        for part in self.parts:
            interval = image(part.forward, interval, part.domain, part.codomain)
        return interval

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return `g_K(… g₁(z))` and the sum of the parts' log-determinants."""
        total = zero_log_det(z, self.event_ndim)
        for part in self.parts:
            z, log_det = part.forward_and_log_det(z)
            total = total + log_det
        return z, total

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return `f₁(… f_K(x))` and the sum of the parts' inverse log-determinants."""
        total = zero_log_det(x, self.event_ndim)
        for part in reversed(self.parts):
            x, log_det = part.inverse_and_log_det(x)
            total = total + log_det
        return x, total

    def inverse_and_pullback(self, x: Array) -> tuple[Array, Array, Pullback]:
        """As for every bijection; derivatives travel back from the base to the data."""
        total, pullbacks = zero_log_det(x, self.event_ndim), []
        for part in reversed(self.parts):
            x, log_det, part_pullback = part.inverse_and_pullback(x)
            total = total + log_det
            pullbacks.append(part_pullback)

        def pullback(bar: Array, summed: bool = False) -> tuple[Array, list[Array]]:
            collected: list[Array] = []
            for part_pullback in reversed(pullbacks):  # the first is next to the base
                bar, along_params = part_pullback(bar, summed)
                collected += along_params
            return bar, collected

        return x, total, pullback

    def forward_and_pullback(self, z: Array) -> tuple[Array, Array, Pullback]:
        """As for every bijection; derivatives travel back from the data to the base."""
        total, pullbacks = zero_log_det(z, self.event_ndim), []
        for part in self.parts:
            z, log_det, part_pullback = part.forward_and_pullback(z)
            total = total + log_det
            pullbacks.append(part_pullback)

        def pullback(bar: Array, summed: bool = False) -> tuple[Array, list[Array]]:
            collected: list[Array] = []
            for part_pullback in reversed(pullbacks):
                bar, along_params = part_pullback(bar, summed)
                collected = along_params + collected  # the vector keeps the order of the parts
            return bar, collected

        return z, total, pullback


@dataclass(frozen=True, eq=False)
class Inverse(Bijection):
    """A bijection read in the other direction: `forward` is the other's `inverse`.

    `x = f(z)` with `log|∂x/∂z| = log|∂f/∂z|`, where `f` is the inverse of `bijection`.

    Parameters
    ----------
    bijection : Bijection
        The map to be read backwards.

    Examples
    --------
    >>> from flowtutorial import Exp
    >>> Inverse(Exp()).forward([1.0, np.e])
    array([0., 1.])
    """

    bijection: Bijection

    def __post_init__(self) -> None:
        if not isinstance(self.bijection, Bijection):
            raise TypeError(f"bijection: expected a bijection, got {self.bijection!r}")

    def __repr__(self) -> str:
        return f"Inverse({self.bijection!r})"

    @property
    def event_ndim(self) -> int:  # type: ignore[override]
        """That of `bijection`."""
        return self.bijection.event_ndim

    @property
    def dim(self) -> int | None:  # type: ignore[override]
        """That of `bijection`."""
        return self.bijection.dim

    @property
    def context_dim(self) -> int:  # type: ignore[override]
        """That of `bijection`."""
        return self.bijection.context_dim

    @property
    def domain(self) -> Interval:  # type: ignore[override]
        """The codomain of `bijection`."""
        return self.bijection.codomain

    @property
    def codomain(self) -> Interval:  # type: ignore[override]
        """The domain of `bijection`."""
        return self.bijection.domain

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return what `bijection.inverse_and_log_det` returns."""
        return self.bijection.inverse_and_log_det(z)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return what `bijection.forward_and_log_det` returns."""
        return self.bijection.forward_and_log_det(x)

    def inverse_and_pullback(self, x: Array) -> tuple[Array, Array, Pullback]:
        """Return what `bijection.forward_and_pullback` returns."""
        return self.bijection.forward_and_pullback(x)

    def forward_and_pullback(self, z: Array) -> tuple[Array, Array, Pullback]:
        """Return what `bijection.inverse_and_pullback` returns."""
        return self.bijection.inverse_and_pullback(z)


def zero_log_det(argument: Array, event_ndim: int) -> Array:
    """Return a 0 for each observation."""
    return np.zeros_like(argument[..., 0] if event_ndim else argument)


def pullback_through_the_other(
    value: Array, pullback: Pullback, solve_transposed: Callable[[Array], Array]
) -> Pullback:
    """Return the pullback of a map from that of its inverse, taken at the map's `value`.

    For `v = f(u; θ)` with inverse `u = g(v; θ)` and Jacobian matrix `J = ∂g/∂v`:
    `∂L/∂u = J⁻ᵀ(∂l/∂v - ∂log|det J|/∂v)` and `∂L/∂θ = -(∂g/∂θ)ᵀ ∂L/∂u - ∂log|det J|/∂θ`.

    Parameters
    ----------
    value : array
        `v`.
    pullback : Pullback
        That of `g`, at `v`.
    solve_transposed : callable
        `b -> J⁻ᵀ b`.
    """

    def back(bar: Array, summed: bool = False) -> tuple[Array, list[Array]]:
        of_log_det = pullback(np.zeros_like(value), True)[0]
        along_u = solve_transposed(bar - of_log_det)
        return along_u, [-part for part in pullback(along_u, summed)[1]]

    return back


def _is_same_interval(a: Interval, b: Interval) -> bool:
    """Whether two intervals are the same, also where they have ends for each coordinate."""
    return all(bool(np.all(np.equal(x, y))) for x, y in zip(a, b, strict=True))


def _check_events(parts: Sequence[Bijection]) -> None:
    """Check that parts of a chain act on the same kind of observation."""
    for index, part in enumerate(parts):
        first = parts[0]
        if part.event_ndim != first.event_ndim:
            kinds = ("a map of numbers", "a map of vectors")
            raise ValueError(
                f"parts[{index}]: {type(part).__name__} is {kinds[part.event_ndim]} and "
                f"{type(first).__name__} before it {kinds[first.event_ndim]}; lift the one of "
                "numbers to vectors with Elementwise(...)"
            )
        if not part.event_ndim or index == 0:
            continue
        for what in ("dim", "context_dim"):
            known = [getattr(p, what) for p in parts[:index] if getattr(p, what)]
            if getattr(part, what) and known and getattr(part, what) != known[0]:
                kind = "vectors" if what == "dim" else "a context"
                raise ValueError(
                    f"parts[{index}]: {type(part).__name__} takes {kind} of length "
                    f"{getattr(part, what)}, the parts before it of length {known[0]}"
                )
        before = parts[index - 1]
        if not _is_same_interval(before.codomain, part.domain):
            raise ValueError(
                f"parts[{index}]: {type(part).__name__} takes values in {part.domain} but "
                f"{type(before).__name__} before it gives values in {before.codomain}; put maps "
                "onto an interval together in one Elementwise(Chain((...)))"
            )


def with_axes_of(value: Array, bar: Array) -> Array:
    """Return `bar` with axes of length 1 behind its own, as many as `value` has more."""
    more = np.ndim(value) - np.ndim(bar)
    return np.reshape(bar, np.shape(bar) + (1,) * more) if more > 0 else bar


def in_type_of(source: Array, result: Array) -> Array:
    """Return `result` in the floating-point type of `source`; traced values pass."""
    if is_traced(result) or is_traced(source):
        return result
    if not hasattr(result, "dtype"):
        result = np.asarray(result)
    return result.astype(source.dtype, copy=False)[()]


def image(
    function: Callable[[Array], Array], interval: Interval, domain: Interval, codomain: Interval
) -> Interval:
    """Return the open interval that a monotone `function` makes of `interval`.

    An end that the interval shares with the domain goes to an end of the codomain, as declared;
    the function is asked about ends in the interior alone.
    """
    low, high = max(interval[0], domain[0]), min(interval[1], domain[1])
    if not low < high:
        return (np.nan, np.nan)
    if (low, high) == tuple(domain):
        return codomain
    inner = _interior(low, high)
    first, last = (float(function(point)) for point in inner)
    ends = codomain if first < last else codomain[::-1]
    at_low = ends[0] if low == domain[0] else float(function(np.float64(low)))
    at_high = ends[1] if high == domain[1] else float(function(np.float64(high)))
    return min(at_low, at_high), max(at_low, at_high)


def _interior(low: float, high: float) -> tuple[np.float64, np.float64]:
    """Return two points inside an interval, the smaller first."""
    if np.isinf(low) and np.isinf(high):
        return np.float64(-0.5), np.float64(0.5)
    if np.isinf(high):
        return np.float64(low + 0.5), np.float64(low + 1.5)
    if np.isinf(low):
        return np.float64(high - 1.5), np.float64(high - 0.5)
    return np.float64(0.6 * low + 0.4 * high), np.float64(0.4 * low + 0.6 * high)
