"""Coupling layers: some coordinates stay, and say how the others are transformed.

The Jacobian matrix is triangular whatever the network that conditions does, so a flow of many
dimensions costs no more than its networks. Chapter 10 derives it (Dinh et al. 2017, *Density
estimation using Real NVP*, section 3).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any, ClassVar, Self

import numpy as np

from .bijection import Bijection, Pullback
from .blocks import Array, as_count, as_real, as_vectors
from .conditioner import MLP, as_hidden
from .elementwise import Affine
from .parameters import are_numbers, leaves, refilled


@dataclass(frozen=True, eq=False)
class Conditioned(Bijection):
    """What couplings and autoregressive layers share: a network gives a transformer its parameters.

    The network's outputs are added to the transformer's own parameters, coordinate by coordinate:
    where the outputs are 0, every coordinate goes through `transformer` as it is.
    """

    event_ndim: ClassVar[int] = 1
    conditioner: MLP
    transformer: Bijection = field(default=Affine(0.0, 0.0), metadata={"static": True})
    context: Array | None = field(default=None, metadata={"static": True})

    def _check_kinds(self) -> None:
        """Check that there is a network, and a transformer for it to condition."""
        if not hasattr(self.conditioner, "and_pullback"):
            raise TypeError(f"conditioner: expected a network, an MLP, got {self.conditioner!r}")
        if not isinstance(self.transformer, Bijection) or self.transformer.event_ndim:
            raise TypeError(
                "transformer: expected a bijection of numbers, such as Affine(0.0, 0.0), got "
                f"{self.transformer!r}"
            )
        for name in ("domain", "codomain"):
            if tuple(getattr(self.transformer, name)) != (-np.inf, np.inf):
                raise ValueError(
                    f"transformer: expected a map of all numbers onto all numbers, got "
                    f"{self.transformer!r} with {name} {getattr(self.transformer, name)}"
                )
        are_numbers(self.transformer, "transformer")
        if self.per_coordinate == 0:
            raise ValueError(f"transformer: {self.transformer!r} has no parameters to condition")

    def _check_sizes(self, coordinates: int, inputs: int) -> None:
        """Check that the network fits `coordinates` transformed ones, from `inputs` others."""
        expected = coordinates * self.per_coordinate
        if self.conditioner.outputs != expected:
            raise ValueError(
                f"conditioner: expected {expected} outputs, {self.per_coordinate} for each of "
                f"{coordinates} coordinates, got {self.conditioner.outputs}"
            )
        if self.conditioner.inputs < inputs:
            raise ValueError(
                f"conditioner: expected at least {inputs} inputs, one for each coordinate, got "
                f"{self.conditioner.inputs}"
            )

    @property
    def per_coordinate(self) -> int:
        """How many parameters the transformer has."""
        return count_parameters(self.transformer)

    def given(self, context: Array) -> Self:
        """Return this layer for one context, or for one context for each observation."""
        if not self.context_dim:
            return self
        context = as_vectors(as_real(context, "context"), self.context_dim, "context")
        made: Self = refilled(self, context=context)
        return made

    def _input(self, seen: Array) -> Array:
        """Return what the network sees: coordinates, and the context if there is one."""
        if not self.context_dim:
            return seen
        if self.context is None:
            raise ValueError(
                f"context: this flow is conditional; give a context of length {self.context_dim}"
            )
        try:
            context = np.broadcast_to(self.context, (*seen.shape[:-1], self.context_dim))
        except ValueError as error:
            raise ValueError(
                f"context: its shape {self.context.shape} does not go with vectors of shape "
                f"{seen.shape[:-1]}; give one context, or one for each vector"
            ) from error
        return np.concatenate([seen, context], axis=-1)

    def _transformer(self, outputs: Array) -> Bijection:
        """Return the transformer with a parameter array for each coordinate."""
        each, slots = self.per_coordinate, iter(_slots(self.transformer))
        table = np.reshape(outputs, (*outputs.shape[:-1], outputs.shape[-1] // each, each))
        made: Bijection = self.transformer.rebuild(
            lambda value: value + table[..., next(slots)], refilled
        )
        return made

    def _outputs_bar(self, along_fields: list[Array], shape: tuple[int, ...]) -> Array:
        """Return the derivatives by the outputs from those by the transformer's fields."""
        parts = [
            part if isinstance(slot, slice) else part[..., None]
            for part, slot in zip(along_fields, _slots(self.transformer), strict=True)
        ]
        return np.reshape(np.concatenate(parts, axis=-1), shape)


@dataclass(frozen=True, eq=False)
class Coupling(Conditioned):
    """Leave some coordinates as they are, and transform the others as these say.

    With `z_a` the coordinates that stay, `z_b` the others, `τ` the transformer and `c` the network:

    ========  ============================================  ====================================
    forward   `x_a = z_a`, `x_b = τ(z_b; c(z_a))`           `Σ_b log|∂τ/∂z_b|`
    inverse   `z_a = x_a`, `z_b = τ⁻¹(x_b; c(x_a))`         `-Σ_b log|∂τ/∂z_b|`
    ========  ============================================  ====================================

    Neither direction inverts the network. With `Affine` it is the layer of RealNVP, with `Shift`
    that of NICE (Dinh et al. 2015), with `RationalQuadraticSpline` a spline coupling (Durkan et al.
    2019). Domain and codomain: all vectors.

    Parameters
    ----------
    conditioner : MLP
        Its inputs are the coordinates that stay, then the context; its outputs are the
        transformer's parameters for the first of the others, then the second, …
    transformer : Bijection
        An elementwise map of all numbers onto all numbers. Not trained: the network's outputs are
        added to its parameters.
    stays : tuple of bool
        For each coordinate, whether it stays.

    Raises
    ------
    ValueError
        If no coordinate stays, or all do, or the network does not fit.

    Examples
    --------
    A network of one weight: the second coordinate is shifted by 3 times the first.

    >>> from flowtutorial import MLP, Shift
    >>> layer = Coupling(MLP(([[3.0]],), ([0.0],)), Shift(0.0), stays=(True, False))
    >>> layer.forward([2.0, 1.0])
    array([2., 7.])
    """

    stays: tuple[bool, ...] = field(default=(True, False), metadata={"static": True})

    def __post_init__(self) -> None:
        object.__setattr__(self, "stays", as_stays(self.stays))
        staying = sum(self.stays)
        if not 0 < staying < len(self.stays):
            raise ValueError(
                f"stays: expected at least one coordinate that stays and one that does not, got "
                f"{self.stays}; for vectors of length 1 use Autoregressive"
            )
        self._check_kinds()
        self._check_sizes(len(self.stays) - staying, staying)

    @classmethod
    def init(
        cls,
        dim: int,
        rng: np.random.Generator | int,
        *,
        hidden: Sequence[int] | int = (64, 64),
        transformer: Any = Affine,
        stays: Sequence[bool] | None = None,
        context_dim: int = 0,
        activation: str = "relu",
    ) -> Self:
        """Return a coupling of vectors of length `dim`, near its transformer.

        Parameters
        ----------
        dim : int
            At least 2.
        rng : numpy.random.Generator or int
            Draws the network's weights.
        hidden : sequence of int, or int for one layer
            Units of its hidden layers.
        transformer : Bijection or class
            A class is made with parameters 0.
        stays : sequence of bool, optional
            By default the first half.
        context_dim : int
        activation : {"relu", "tanh"}
        """
        dim = as_count(dim, "dim", 1)
        if dim < 2:
            raise ValueError(
                "dim: a coupling needs two coordinates, one to say how the other is transformed; "
                "for one use Autoregressive, or a bijection of numbers"
            )
        chosen = as_stays(np.arange(dim) < dim // 2 if stays is None else stays)
        if len(chosen) != dim:
            raise ValueError(f"stays: expected {dim} entries, one each, got {len(chosen)}")
        template, staying = as_transformer(transformer), sum(chosen)
        context_dim = as_count(context_dim, "context_dim")
        each = count_parameters(template)
        sizes = [staying + context_dim, *as_hidden(hidden), (dim - staying) * each]
        network = MLP.init(sizes, rng, activation=activation)
        return cls(network, template, stays=chosen)

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Length of the vectors."""
        return len(self.stays)

    @property
    def context_dim(self) -> int:  # type: ignore[override]
        """Inputs of the network beyond the coordinates that stay."""
        return self.conditioner.inputs - sum(self.stays)

    def _split(self, v: Array) -> tuple[Array, Array]:
        staying, others, _ = _places(self.stays)
        return v[..., staying], v[..., others]

    def _join(self, a: Array, b: Array) -> Array:
        order = _places(self.stays)[2]
        joined = np.concatenate([a, b], axis=-1)
        return joined if order is None else joined[..., order]

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return `(z_a, τ(z_b; c(z_a)))` and the sum of the log-derivatives."""
        a, b = self._split(z)
        transformer = self._transformer(self.conditioner(self._input(a)))
        b, log_det = transformer.forward_and_log_det(b)
        return self._join(a, b), np.sum(log_det, axis=-1)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return `(x_a, τ⁻¹(x_b; c(x_a)))` and the sum of the log-derivatives."""
        a, b = self._split(x)
        transformer = self._transformer(self.conditioner(self._input(a)))
        b, log_det = transformer.inverse_and_log_det(b)
        return self._join(a, b), np.sum(log_det, axis=-1)

    def forward_and_pullback(self, z: Array) -> tuple[Array, Array, Pullback]:
        """As for every bijection: through the transformer, and through the network."""
        return self._both(z, "forward_and_pullback")

    def inverse_and_pullback(self, x: Array) -> tuple[Array, Array, Pullback]:
        """As for every bijection: through the transformer, and through the network."""
        return self._both(x, "inverse_and_pullback")

    def _both(self, v: Array, method: str) -> tuple[Array, Array, Pullback]:
        a, b = self._split(v)
        outputs, through_network = self.conditioner.and_pullback(self._input(a))
        transform = getattr(self._transformer(outputs), method)
        value, log_det, through_transformer = transform(b)

        def pullback(bar: Array, summed: bool = False) -> tuple[Array, list[Array]]:
            a_bar, b_bar = self._split(bar)
            b_bar, along_fields = through_transformer(b_bar)
            outputs_bar = self._outputs_bar(along_fields, outputs.shape)
            input_bar, along_network = through_network(outputs_bar, summed)
            return self._join(a_bar + input_bar[..., : a.shape[-1]], b_bar), along_network

        return self._join(a, value), np.sum(log_det, axis=-1), pullback


def as_stays(stays: Any) -> tuple[bool, ...]:
    """Return which coordinates stay, a bool for each; 0 and 1 will do, places will not."""
    flags = tuple(stays) if np.iterable(stays) else (None,)
    kinds = bool | np.bool_ | int | np.integer
    if not all(isinstance(flag, kinds) and flag in (0, 1) for flag in flags):
        raise TypeError(
            f"stays: expected a bool for each coordinate, such as (True, False), got {stays!r}"
        )
    return tuple(map(bool, flags))


@lru_cache
def count_parameters(transformer: Bijection) -> int:
    """Return how many numbers the parameters of a transformer are."""
    return int(sum(np.size(value) for _, value in leaves(transformer)))


@lru_cache
def _slots(transformer: Bijection) -> tuple[int | slice, ...]:
    """Return where among a coordinate's outputs each parameter is, an array's as a slice."""
    slots: list[int | slice] = []
    start = 0
    for _, value in leaves(transformer):
        end = start + int(np.size(value))
        slots.append(slice(start, end) if np.ndim(value) else start)
        start = end
    return tuple(slots)


@cache
def _places(stays: tuple[bool, ...]) -> tuple[Any, Any, Any]:
    """Return where the coordinates that stay are, where the others, and what undoes their order."""
    staying, others = np.flatnonzero(stays), np.flatnonzero(np.logical_not(stays))
    order = np.argsort(np.concatenate([staying, others]))
    undone = None if np.array_equal(order, np.arange(len(stays))) else _regular(order)
    return _regular(staying), _regular(others), undone


def _regular(places: Array) -> Any:
    """Return places in equal steps as a slice, which copies nothing; others as they are."""
    step = int(places[1] - places[0]) if len(places) > 1 else 1
    if step == 0 or not np.array_equal(places, places[0] + step * np.arange(len(places))):
        return places
    end = int(places[-1]) + step
    return slice(int(places[0]), None if end < 0 else end, step)


def as_transformer(transformer: Any) -> Bijection:
    """Return a transformer: an instance as it is, a class with all parameters 0."""
    if isinstance(transformer, Bijection):
        return transformer
    if not (isinstance(transformer, type) and issubclass(transformer, Bijection)):
        raise TypeError(f"transformer: expected a bijection or its class, got {transformer!r}")
    if transformer.event_ndim == 1:
        raise TypeError(
            f"transformer: expected a bijection of numbers, and {transformer.__name__} is one of "
            "vectors"
        )
    trained = [f for f in dataclasses.fields(transformer) if not f.metadata.get("static")]
    if any(f.metadata.get("ndim") for f in trained):
        raise TypeError(
            f"transformer: {transformer.__name__} has arrays of parameters; pass an instance, such "
            f"as {transformer.__name__}.init(8), so that their shape is known"
        )
    try:
        return transformer(**{f.name: 0.0 for f in trained})
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"transformer: {transformer.__name__} can't be made with parameters 0 ({error}); pass "
            "an instance"
        ) from error
