"""Autoregressive layers: each coordinate is transformed as the ones before it say.

One direction takes one pass through a masked network, the other a pass for each coordinate. Chapter
11 derives both (Papamakarios et al. 2017, *Masked autoregressive flow for density estimation*).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from .bijection import Pullback, pullback_through_the_other
from .blocks import Array, as_count
from .conditioner import MLP, as_hidden
from .coupling import Conditioned, as_transformer, count_parameters
from .elementwise import Affine


@dataclass(frozen=True, eq=False)
class Autoregressive(Conditioned):
    """Transform each coordinate with parameters that depend on the coordinates before it.

    With `τ` the transformer and `c_i` the outputs of the network for coordinate `i`:

    ========  ==========================================  ================================
    forward   `x_i = τ(z_i; c_i(x_0, …, x_{i-1}))`        `Σ_i log|∂τ/∂z_i|`
    inverse   `z_i = τ⁻¹(x_i; c_i(x_0, …, x_{i-1}))`      `-Σ_i log|∂τ/∂z_i|`
    ========  ==========================================  ================================

    The inverse, and so the density, takes one pass through the network; forward, and so a sample,
    takes `D` passes. `Inverse(Autoregressive(...))` turns that around: the inverse autoregressive
    flow of Kingma et al. (2016). Domain and codomain: all vectors.

    Parameters
    ----------
    conditioner : MLP
        With masks, so that the outputs for coordinate `i` see the inputs before it alone; the
        context comes after the coordinates (`MLP.autoregressive`).
    transformer : Bijection
        An elementwise map of all numbers onto all numbers. Not trained: the network's outputs are
        added to its parameters.

    Raises
    ------
    ValueError
        If the network does not fit, or an output sees a coordinate that it must not.

    Examples
    --------
    >>> layer = Autoregressive.init(3, rng=0)
    >>> z = np.array([1.0, -1.0, 0.5])
    >>> bool(np.allclose(layer.inverse(layer.forward(z)), z))
    True
    """

    def __post_init__(self) -> None:
        self._check_kinds()
        self._check_sizes(self.dim, self.dim)
        self._check_masks()

    def _check_masks(self) -> None:
        """Check by the masks which inputs each output can see."""
        for row, output in enumerate(self.conditioner.sees()):
            i = row // self.per_coordinate
            if output[i : self.dim].any():
                seen = i + int(np.argmax(output[i : self.dim]))
                raise ValueError(
                    f"conditioner: output {row}, for coordinate {i}, sees coordinate {seen}; make "
                    "the network with MLP.autoregressive, whose masks hide it"
                )

    @classmethod
    def init(
        cls,
        dim: int,
        rng: np.random.Generator | int,
        *,
        hidden: Sequence[int] | int = (64, 64),
        transformer: Any = Affine,
        context_dim: int = 0,
        activation: str = "relu",
    ) -> Self:
        """Return a layer on vectors of length `dim`, near its transformer.

        Parameters
        ----------
        dim : int
        rng : numpy.random.Generator or int
            Draws the network's weights.
        hidden : sequence of int, or int for one layer
            Units of its hidden layers.
        transformer : Bijection or class
            A class is made with parameters 0.
        context_dim : int
        activation : {"relu", "tanh"}
        """
        dim, template = as_count(dim, "dim", 1), as_transformer(transformer)
        each = count_parameters(template)
        network = MLP.autoregressive(
            dim, each, rng, hidden=as_hidden(hidden), context_dim=context_dim, activation=activation
        )
        return cls(network, template)

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Length of the vectors."""
        return self.conditioner.outputs // self.per_coordinate

    @property
    def context_dim(self) -> int:  # type: ignore[override]
        """Inputs of the network beyond the coordinates."""
        return self.conditioner.inputs - self.dim

    def _conditioned(self, x: Array) -> Any:
        return self._transformer(self.conditioner(self._input(x)))

    @np.errstate(invalid="ignore")  # of infinity a network makes NaN
    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return `x`, one coordinate after the other, and the sum of the log-derivatives."""
        x, log_det = np.zeros_like(z), np.zeros_like(z)
        for i in range(self.dim):
            value, log_slope = self._conditioned(x).forward_and_log_det(z)
            # Pass i makes coordinate i. Those after it stay 0: if one of them
            # overflowed, a masked weight would not hide it: 0 times ∞ is NaN.
            now = np.arange(self.dim) == i
            x = np.where(now, value, x)
            log_det = np.where(now, log_slope, log_det)
        return x, np.sum(log_det, axis=-1)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return `z` and the sum of the log-derivatives, in one pass."""
        z, log_det = self._conditioned(x).inverse_and_log_det(x)
        return z, np.sum(log_det, axis=-1)

    def inverse_and_pullback(self, x: Array) -> tuple[Array, Array, Pullback]:
        """As for every bijection: through the transformer, and through the network."""
        return self._pulled(x)[:3]

    def forward_and_pullback(self, z: Array) -> tuple[Array, Array, Pullback]:
        """As for every bijection, through the inverse map."""
        x, log_det = self.forward_and_log_det(z)
        pullback, solve_transposed = self._pulled(x)[2:]
        return x, log_det, pullback_through_the_other(x, pullback, solve_transposed)

    def _pulled(self, x: Array) -> tuple[Array, Array, Pullback, Callable[[Array], Array]]:
        """Return the inverse map with its pullback, and what solves `Jᵀ v = bar`, `J = ∂z/∂x`."""
        outputs, through_network = self.conditioner.and_pullback(self._input(x))
        z, log_slope, through_transformer = self._transformer(outputs).inverse_and_pullback(x)

        def pullback(bar: Array, summed: bool = False) -> tuple[Array, list[Array]]:
            along_x, along_fields = through_transformer(bar)
            outputs_bar = self._outputs_bar(along_fields, outputs.shape)
            input_bar, along_network = through_network(outputs_bar, summed)
            return along_x + input_bar[..., : self.dim], along_network

        def solve_transposed(bar: Array) -> Array:
            """Solve from the last coordinate: `J` is lower triangular, its diagonal the slopes."""
            at_zero, fields_at_zero = through_transformer(np.zeros_like(x))
            # A difference has the sign of a slope, but not its digits; these are in its logarithm.
            sign = np.sign(through_transformer(np.exp(-log_slope))[0] - at_zero)
            v = np.zeros_like(bar)
            for _ in range(self.dim):  # after pass i the last i coordinates are right
                fields = through_transformer(v)[1]
                fields = [part - rest for part, rest in zip(fields, fields_at_zero, strict=True)]
                beside = through_network(self._outputs_bar(fields, outputs.shape), True)[0]
                v = (bar - beside[..., : self.dim]) * sign * np.exp(-log_slope)
            return v

        return z, np.sum(log_slope, axis=-1), pullback, solve_transposed
