"""Conditioners: the small neural networks that say how one coordinate is to be transformed.

A network may be anything, since nobody inverts it: that is the point of couplings (chapter 10).
With masks, its outputs each see only the inputs that come before them (chapter 11).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Self

import numpy as np

from .blocks import Array, as_count, as_generator, as_parameters, as_real, as_vectors, spare, times
from .parameters import Parametrised, gathered, outer

# Each activation, with a place for the result, and its derivative from its own value. The maximum
# of two arrays takes half as long as that of an array and a number.
ACTIVATIONS: dict[str, tuple[Callable[..., Array], Callable[[Array], Array]]] = {
    "relu": (lambda a, out: np.maximum(a, np.zeros_like(a), out=out), lambda h: h > 0.0),
    "tanh": (np.tanh, lambda h: 1.0 - h * h),
}


@dataclass(frozen=True, eq=False)
class MLP(Parametrised):
    """A multilayer perceptron, `h ← σ(W h + b)` layer by layer, the last without `σ`.

    Parameters
    ----------
    weights : tuple of array
        `W` of each layer, of shape (outputs, inputs).
    biases : tuple of array
        `b` of each layer, of shape (outputs,).
    activation : {"relu", "tanh"}
        `σ`. A network with tanh is smooth, one with relu quicker.
    masks : tuple of array, optional
        Zeros and ones of the shapes of `weights`: a weight counts where its mask is 1.

    Raises
    ------
    ValueError
        If the shapes do not belong together, or there is no such activation.

    Examples
    --------
    >>> MLP(([[1.0], [-1.0]], [[1.0, 1.0]]), ([0.0, 0.0], [0.5]))([[-2.0], [3.0]])  # |h| + ½
    array([[2.5],
           [3.5]])
    """

    weights: tuple[Array, ...] = field(metadata={"ndim": 2})
    biases: tuple[Array, ...] = field(metadata={"ndim": 1})
    activation: str = field(default="relu", metadata={"static": True})
    masks: tuple[Array, ...] | None = field(default=None, metadata={"static": True})

    def __post_init__(self) -> None:
        for name in ("weights", "biases", "masks"):
            value = getattr(self, name)
            if not np.iterable(value) and not (name == "masks" and value is None):
                raise TypeError(
                    f"{name}: expected a tuple with an array for each layer, got {value!r}"
                )
        for name in ("weights", "biases"):
            parts = tuple(
                as_parameters(part, f"{name}[{i}]") for i, part in enumerate(getattr(self, name))
            )
            object.__setattr__(self, name, parts)
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"activation: expected one of {', '.join(ACTIVATIONS)}, got {self.activation!r}"
            )
        if not self.weights or len(self.weights) != len(self.biases):
            raise ValueError(
                f"biases: expected as many as weights and at least one, got {len(self.biases)} "
                f"and {len(self.weights)}"
            )
        inputs = self.weights[0].shape[-1]
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if weight.ndim != 2 or weight.shape != (*bias.shape, inputs):
                raise ValueError(
                    f"weights[{i}]: expected the shape (outputs, {inputs}) with biases[{i}] of "
                    f"shape (outputs,), got {weight.shape} and {bias.shape}"
                )
            inputs = weight.shape[0]
        if self.masks is not None:
            masks = tuple(np.asarray(mask, dtype=bool) for mask in self.masks)
            object.__setattr__(self, "masks", masks)
            shapes = [weight.shape for weight in self.weights]
            if [mask.shape for mask in masks] != shapes:
                raise ValueError(f"masks: expected the shapes of weights, {shapes}")

    @classmethod
    def init(
        cls,
        sizes: Sequence[int],
        rng: np.random.Generator | int,
        *,
        activation: str = "relu",
        masks: tuple[Array, ...] | None = None,
        last: float = 0.1,
    ) -> Self:
        """Return a network with random weights whose outputs are small.

        Weights and biases are uniform on `±1/√inputs`, those of the last layer `last` times that,
        its biases 0: so a flow that the network conditions starts near the identity.

        Parameters
        ----------
        sizes : sequence of int
            Inputs, hidden units of each layer, outputs.
        rng : numpy.random.Generator or int
        activation, masks
            As for the class.
        last : float
            Size of the last layer's weights.
        """
        rng = as_generator(rng)
        sizes = as_counts(sizes, "sizes")
        if len(sizes) < 2:
            raise ValueError(f"sizes: expected at least two, inputs and outputs, got {len(sizes)}")
        weights, biases = [], []
        layers = list(pairwise(sizes))
        for index, (inputs, outputs) in enumerate(layers):
            bound = 1.0 / np.sqrt(max(inputs, 1))
            if index == len(layers) - 1:
                weights.append(rng.uniform(-last * bound, last * bound, (outputs, inputs)))
                biases.append(np.zeros(outputs))
            else:
                weights.append(rng.uniform(-bound, bound, (outputs, inputs)))
                biases.append(rng.uniform(-bound, bound, outputs))
        return cls(tuple(weights), tuple(biases), activation, masks)

    @classmethod
    def autoregressive(
        cls,
        dim: int,
        per_output: int,
        rng: np.random.Generator | int,
        *,
        hidden: Sequence[int] | int = (64, 64),
        context_dim: int = 0,
        activation: str = "relu",
    ) -> Self:
        """Return a masked network: the outputs for coordinate `i` see `x_0, …, x_{i-1}` alone.

        Germain et al. (2015), *MADE*, section 4: each hidden unit has a number `m`, it sees
        coordinates up to the `m`-th, and the outputs for coordinate `i` see units with `m ≤ i`.

        Parameters
        ----------
        dim : int
            Coordinates `D`; the outputs are those of the first coordinate, then of the second, …
        per_output : int
            Outputs for each coordinate.
        rng : numpy.random.Generator or int
        hidden : sequence of int, or int for one layer
            Units of each hidden layer.
        context_dim : int
            Inputs after the coordinates that every output sees.
        activation : str
        """
        dim, per_output = as_count(dim, "dim", 1), as_count(per_output, "per_output")
        context_dim = as_count(context_dim, "context_dim")
        # Degrees of a layer's units; 0 for a context, which all may read.
        numbers = np.concatenate([np.arange(1, dim + 1), np.zeros(context_dim, dtype=int)])
        # Lowest degree of a hidden unit; those of 0 read the context alone.
        first = 0 if context_dim or dim == 1 else 1
        masks, hidden = [], as_hidden(hidden)
        for units in hidden:
            later = first + np.arange(units) % max(dim - first, 1)
            masks.append(later[:, None] >= numbers)
            numbers = later
        outputs = np.repeat(np.arange(dim), per_output)
        masks.append(outputs[:, None] >= numbers)
        sizes = [dim + context_dim, *hidden, dim * per_output]
        return cls.init(sizes, rng, activation=activation, masks=tuple(masks))

    def sees(self) -> Array:
        """Return for each output which inputs can reach it, by the masks: (outputs, inputs)."""
        seen = np.eye(self.inputs, dtype=bool)
        for weight, mask in zip(self.weights, self.masks or self.weights, strict=True):
            step = np.ones(np.shape(weight), dtype=int) if self.masks is None else mask.astype(int)
            seen = step @ seen.astype(int) > 0
        return seen

    @property
    def inputs(self) -> int:
        """Length of the vectors that it takes."""
        return int(self.weights[0].shape[-1])

    @property
    def outputs(self) -> int:
        """Length of the vectors that it returns."""
        return int(self.weights[-1].shape[0])

    @np.errstate(invalid="ignore")  # of infinite inputs: infinity minus infinity is NaN
    def __call__(self, h: Array) -> Array:
        """Return the outputs for inputs on the last axis."""
        h = as_vectors(as_real(h, "h"), self.inputs, "h")
        activate = ACTIVATIONS[self.activation][0]
        *hidden, last = zip(self._masked(), self.biases, strict=True)
        for weight, bias in hidden:
            h = affine(h, weight, bias)
            h = activate(h, out=spare(h))
        return affine(h, *last)

    def and_pullback(self, h: Array) -> tuple[Array, Callable[..., tuple[Array, list[Array]]]]:
        """Return the outputs, and what carries derivatives back to the inputs and parameters.

        `pullback(bar, summed)` returns `∂l/∂inputs` and the derivatives by each weight, then by
        each bias, from `bar = ∂l/∂outputs`.
        """
        activate, slope = ACTIVATIONS[self.activation]
        weights, seen = self._masked(), [h]
        for weight, bias in zip(weights[:-1], self.biases[:-1], strict=True):
            a = affine(seen[-1], weight, bias)
            seen.append(activate(a, out=spare(a)))
        out = affine(seen[-1], weights[-1], self.biases[-1])

        def pullback(bar: Array, summed: bool = False) -> tuple[Array, list[Array]]:
            by_weights: list[Array] = []
            by_biases: list[Array] = []
            for index in reversed(range(len(weights))):
                by_weight = outer(bar, seen[index], summed)
                by_weights.append(
                    by_weight if self.masks is None else by_weight * self.masks[index]
                )
                by_biases.append(gathered(bar, np.ndim(bar) - 1, summed))
                bar = times(bar, weights[index])
                if index:
                    bar = np.multiply(bar, slope(seen[index]), out=spare(bar))
            return bar, by_weights[::-1] + by_biases[::-1]

        return out, pullback

    def _masked(self) -> tuple[Array, ...]:
        if self.masks is None:
            return self.weights
        return tuple(w * mask for w, mask in zip(self.weights, self.masks, strict=True))

    def __repr__(self) -> str:
        sizes = [self.inputs, *(weight.shape[0] for weight in self.weights)]
        masked = "" if self.masks is None else ", masked"
        return f"MLP({' -> '.join(map(str, sizes))}, {self.activation}{masked})"


def affine(h: Array, weight: Array, bias: Array) -> Array:
    """Return `W h + b` for vectors on the last axis."""
    if weight.shape[1] < 4:  # then one more input, always 1, costs less than a pass for the bias
        h = np.concatenate([h, np.ones((*np.shape(h)[:-1], 1))], axis=-1)
        return times(h, np.swapaxes(np.concatenate([weight, bias[:, None]], axis=1), 0, 1))
    product = times(h, np.swapaxes(weight, 0, 1))
    return np.add(product, bias, out=spare(product))


def as_hidden(hidden: Any) -> tuple[int, ...]:
    """Return the sizes of hidden layers as a tuple; a number alone is one layer."""
    return as_counts((hidden,) if isinstance(hidden, int | np.integer) else hidden, "hidden", 1)


def as_counts(values: Any, name: str, least: int = 0) -> tuple[int, ...]:
    """Return how many units layers have as a tuple of integers."""
    if isinstance(values, str) or not np.iterable(values):
        raise TypeError(f"{name}: expected a tuple of integers, got {values!r}")
    return tuple(as_count(units, f"{name}[{i}]", least) for i, units in enumerate(values))
