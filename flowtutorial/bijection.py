"""What a bijection is, and how bijections are combined.

A bijection `x = g(z)` carries the base variable `z` to the data variable `x` and knows by how much
it stretches on the way. Chapter 3 derives why the logarithm of that stretch is all that a density
needs; chapter 4 follows derivatives back through a chain of bijections.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar, Self

import numpy as np

from .blocks import Array, as_real, is_traced

Interval = tuple[float, float]
# Derivatives of L with respect to x and to each parameter, from the derivative of L with respect
# to z, where L is what comes before plus the log-determinant.
Pullback = Callable[[Array], tuple[Array, list[Array]]]


@dataclass(frozen=True, eq=False)
class Bijection(ABC):
    """An invertible, differentiable map `x = g(z)` with inverse `z = f(x)`, elementwise.

    A subclass is a frozen dataclass whose fields are its parameters. It writes two methods in
    plain NumPy:

    * `forward_and_log_det(z)`, from base to data, returns `g(z)` and `log|∂g/∂z|`;
    * `inverse_and_log_det(x)`, from data to base, returns `f(x)` and `log|∂f/∂x|`.

    Both return two arrays of the shape of their argument. Parameters are unconstrained: every
    real value gives a valid map. A field that is not trained says
    `field(metadata={"static": True})`; a parameter that is not a single number says how many
    axes it has, `field(metadata={"ndim": 1})`.

    Attributes
    ----------
    domain, codomain : tuple of float
        The open intervals that `g` maps from and to.
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

    domain: ClassVar[Interval] = (-np.inf, np.inf)
    codomain: ClassVar[Interval] = (-np.inf, np.inf)
    numerical: ClassVar[str | None] = None

    @abstractmethod
    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return `x = g(z)` and `log|∂g/∂z|`, both of the shape of `z`."""

    @abstractmethod
    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return `z = f(x)` and `log|∂f/∂x|`, both of the shape of `x`."""

    def forward(self, z: Array) -> Array:
        """Return `x = g(z)`, from base to data. `TypeError` if `z` does not hold real numbers."""
        z = as_real(z, "z")
        return in_type_of(z, self.forward_and_log_det(z)[0])

    def inverse(self, x: Array) -> Array:
        """Return `z = f(x)`, from data to base. `TypeError` if `x` does not hold real numbers."""
        x = as_real(x, "x")
        return in_type_of(x, self.inverse_and_log_det(x)[0])

    # -- parameters ------------------------------------------------------------------------------

    def trained_fields(self) -> dict[str, Any]:
        """Return name and value of each field that is trained, in the order of the class."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if not field.metadata.get("static", False)
        }

    @property
    def params(self) -> np.ndarray:
        """All parameters as one vector: order of application, then of fields, then C order."""
        return np.array([value for _, value in _numbers(self)], dtype=np.float64)

    @property
    def param_names(self) -> tuple[str, ...]:
        """A name for each entry of `params`; a name that comes again is numbered from 2."""
        seen: dict[str, int] = {}
        names = []
        for name, _ in _numbers(self):
            seen[name] = seen.get(name, 0) + 1
            names.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
        return tuple(names)

    def with_params(self, params: Array) -> Self:
        """Return the same bijection with the parameters of the vector `params`.

        Raises
        ------
        ValueError
            If `params` has not the length of `self.params`.
        """
        numbers = iter(self._checked(params))
        made: Self = self._rebuild(lambda old: _refill(old, numbers), dataclasses.replace)
        return made

    def bundle(self, params: Array) -> SimpleNamespace:
        """Return the vector `params` as a namespace with the fields of this bijection.

        A gradient comes in this form: `flow.gradient(x).shift`.
        """
        numbers = iter(self._checked(params))
        made: SimpleNamespace = self._rebuild(
            lambda old: _refill(old, numbers), lambda _, **fields: SimpleNamespace(**fields)
        )
        return made

    def _checked(self, params: Array) -> list[float]:
        expected = len(self.param_names)
        values = np.asarray(params)
        if values.shape != (expected,):
            raise ValueError(
                f"params: expected a vector of length {expected} ({', '.join(self.param_names)}), "
                f"got shape {values.shape}"
            )
        return list(values) if values.dtype == object else as_real(values, "params").tolist()

    def _rebuild(self, leaf: Callable[[Any], Any], make: Callable[..., Any]) -> Any:
        """Pass every trained number or array through `leaf`; assemble each level with `make`."""

        def rebuilt(value: Any) -> Any:
            if isinstance(value, Bijection):
                return value._rebuild(leaf, make)
            if isinstance(value, tuple):
                return tuple(rebuilt(part) for part in value)
            return leaf(value)

        fields = {name: rebuilt(value) for name, value in self.trained_fields().items()}
        return make(self, **fields)

    # -- derivatives -----------------------------------------------------------------------------

    def inverse_and_pullback(self, x: Array) -> tuple[Array, Array, Pullback]:
        """Return `f(x)`, `log|∂f/∂x|` and the function that carries derivatives back through `f`.

        For `L = l(z) + log|∂f/∂x|` with `z = f(x; θ)`, `pullback(∂l/∂z)` returns
        `∂L/∂x = ∂l/∂z · ∂z/∂x + ∂log|∂f/∂x|/∂x` and the list of `∂L/∂θ` at fixed `x`, one array for
        each trained field, of the shape of `x` and then of the field. The derivatives come from
        this class's own NumPy code (`symbolic.derive`), compiled once; chapter 4 derives them.
        """
        return self._derived_pullback(x, "inverse")

    def _derived_pullback(self, x: Array, direction: str) -> tuple[Array, Array, Pullback]:
        from .symbolic.derive import derive  # SymPy is loaded when a first gradient is asked for

        d = derive(self, direction)(tuple(self.trained_fields().values()), x)

        def pullback(z_bar: Array) -> tuple[Array, list[Array]]:
            along_x = z_bar * d.d_value_dx + d.d_log_det_dx
            along_params = [
                _with_axes_of(value, z_bar) * value + log_det
                for value, log_det in zip(d.d_value_dparams, d.d_log_det_dparams, strict=True)
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

    def __repr__(self) -> str:
        inner = ", ".join(repr(part) for part in self.parts)
        return f"Chain(({inner}{',' if len(self.parts) == 1 else ''}))"

    @property
    def domain(self) -> Interval:  # type: ignore[override]
        """The values that pass through every part, as an open interval."""
        interval = (-np.inf, np.inf)
        for part in reversed(self.parts):
            interval = image(part.inverse, interval, part.codomain, part.domain)
        return interval

    @property
    def codomain(self) -> Interval:  # type: ignore[override]
        """Where the values of `domain` arrive, as an open interval."""
        interval = self.domain
        for part in self.parts:
            interval = image(part.forward, interval, part.domain, part.codomain)
        return interval

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return `g_K(… g₁(z))` and the sum of the parts' log-determinants."""
        total = np.zeros_like(z)
        for part in self.parts:
            z, log_det = part.forward_and_log_det(z)
            total = total + log_det
        return z, total

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return `f₁(… f_K(x))` and the sum of the parts' inverse log-determinants."""
        total = np.zeros_like(x)
        for part in reversed(self.parts):
            x, log_det = part.inverse_and_log_det(x)
            total = total + log_det
        return x, total

    def inverse_and_pullback(self, x: Array) -> tuple[Array, Array, Pullback]:
        """As for every bijection; derivatives travel back from the base to the data."""
        total, pullbacks = np.zeros_like(x), []
        for part in reversed(self.parts):
            x, log_det, part_pullback = part.inverse_and_pullback(x)
            total = total + log_det
            pullbacks.append(part_pullback)

        def pullback(z_bar: Array) -> tuple[Array, list[Array]]:
            collected: list[Array] = []
            for part_pullback in reversed(pullbacks):  # the first part stands next to the base
                z_bar, along_params = part_pullback(z_bar)
                collected += along_params
            return z_bar, collected

        return x, total, pullback


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
        """As for every bijection, through the forward direction of `bijection`."""
        inner = self.bijection
        if isinstance(inner, Inverse):
            return inner.bijection.inverse_and_pullback(x)
        if not isinstance(inner, Chain):
            return inner._derived_pullback(x, "forward")
        total, pullbacks = np.zeros_like(x), []
        for part in inner.parts:
            x, log_det, part_pullback = Inverse(part).inverse_and_pullback(x)
            total = total + log_det
            pullbacks.append(part_pullback)

        def pullback(z_bar: Array) -> tuple[Array, list[Array]]:
            collected: list[Array] = []
            for part_pullback in reversed(pullbacks):
                z_bar, along_params = part_pullback(z_bar)
                collected = along_params + collected  # the vector keeps the order of the parts
            return z_bar, collected

        return x, total, pullback


def _with_axes_of(value: Array, bar: Array) -> Array:
    """Return `bar` with axes of length 1 behind its own, as many as `value` has more."""
    bar = np.asarray(bar)
    return bar.reshape(bar.shape + (1,) * (np.ndim(value) - bar.ndim))


def in_type_of(source: Array, result: Array) -> Array:
    """Return `result` in the floating-point type of `source`; traced values pass."""
    if is_traced(result) or is_traced(source):
        return result
    return np.asarray(result, dtype=source.dtype)[()]


def _numbers(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every trained number below `value` with the name of its field."""
    if isinstance(value, Bijection):
        for field, part in value.trained_fields().items():
            yield from _numbers(part, field)
    elif isinstance(value, tuple):
        for part in value:
            yield from _numbers(part, name)
    elif np.ndim(value) == 0:
        yield name, value
    else:
        for index, number in enumerate(np.ravel(value)):
            yield f"{name}[{index}]", number


def _refill(old: Any, numbers: Iterator[float]) -> Any:
    """Return a number or array of the shape of `old`, filled from `numbers`."""
    if np.ndim(old) == 0:
        return next(numbers)
    return np.array([next(numbers) for _ in range(np.size(old))]).reshape(np.shape(old))


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
