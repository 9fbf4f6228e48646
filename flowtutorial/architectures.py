"""Whole flows in one line: the arrangements of layers that the literature has names for.

Each starts near the identity, on a standard normal base. Chapters 10 and 11 put them together by
hand first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .autoregressive import Autoregressive
from .bijection import Bijection, Chain, Interval
from .blocks import as_count, as_generator
from .coupling import Coupling
from .distributions import StandardNormal
from .elementwise import BoundedAffine
from .flow import Flow
from .linear import Permutation, TriangularAffine
from .spline import RationalQuadraticSpline


def realnvp(
    dim: int,
    layers: int = 6,
    rng: np.random.Generator | int = 0,
    *,
    hidden: Sequence[int] | int = (64, 64),
    transformer: Any = BoundedAffine,
    context_dim: int = 0,
    activation: str = "relu",
) -> Flow:
    """Return a flow of affine couplings; the two halves of the coordinates take turns.

    Dinh et al. (2017), *Density estimation using Real NVP*.

    Parameters
    ----------
    dim : int
        Length of the vectors, at least 2.
    layers : int
        How many couplings.
    rng : numpy.random.Generator or int
        Draws the weights of the networks.
    hidden : sequence of int, or int for one layer
        Units of each network's hidden layers.
    transformer : Bijection or class
        What the networks condition; its class is made with parameters 0.
    context_dim : int
        Length of the context of a conditional flow.
    activation : {"relu", "tanh"}

    Examples
    --------
    >>> flow = realnvp(2, layers=2, hidden=(8,))
    >>> flow.params.size, flow.sample(3, rng=0).shape
    (68, (3, 2))
    """
    dim, rng = as_count(dim, "dim", 1), as_generator(rng)
    first = np.arange(dim) < (dim + 1) // 2
    parts = [
        Coupling.init(
            dim, rng, hidden=hidden, transformer=transformer,
            stays=(first if layer % 2 == 0 else ~first).tolist(),
            context_dim=context_dim, activation=activation,
        )
        for layer in range(as_count(layers, "layers", 1))
    ]  # fmt: skip
    return Flow(StandardNormal(dim), Chain(tuple(parts)))


def spline_flow(
    dim: int,
    layers: int = 4,
    rng: np.random.Generator | int = 0,
    *,
    bins: int = 8,
    interval: Interval = (-4.0, 4.0),
    hidden: Sequence[int] | int = (64, 64),
    context_dim: int = 0,
    activation: str = "relu",
) -> Flow:
    """Return a flow of spline couplings, and a triangular affine map next to the data.

    Durkan et al. (2019), *Neural spline flows*. The splines are the identity outside of
    `interval`; the affine map brings the data into it.

    Parameters
    ----------
    dim, layers, rng, hidden, context_dim, activation
        As for `realnvp`.
    bins : int
        Of each spline.
    interval : tuple of float
        Where the splines have their knots.

    Examples
    --------
    >>> spline_flow(2, layers=2, bins=4, hidden=(8,)).log_prob([[0.0, 0.0]]).shape
    (1,)
    """
    flow = realnvp(
        dim, layers, rng, hidden=hidden, context_dim=context_dim, activation=activation,
        transformer=RationalQuadraticSpline.init(bins, interval),
    )  # fmt: skip
    return Flow(flow.base, Chain((flow.bijection, TriangularAffine.init(dim))))


def maf(
    dim: int,
    layers: int = 5,
    rng: np.random.Generator | int = 0,
    *,
    hidden: Sequence[int] | int = (64, 64),
    transformer: Any = BoundedAffine,
    context_dim: int = 0,
    activation: str = "relu",
) -> Flow:
    """Return a flow of autoregressive layers; the order of the coordinates turns between them.

    Papamakarios et al. (2017), *Masked autoregressive flow for density estimation*.

    Parameters
    ----------
    dim : int
        Length of the vectors, at least 1.
    layers, rng, hidden, transformer, context_dim, activation
        As for `realnvp`.

    Examples
    --------
    >>> maf(3, layers=2, hidden=(8,)).log_prob([[0.0, 0.0, 0.0]]).shape
    (1,)
    """
    dim, rng = as_count(dim, "dim", 1), as_generator(rng)
    parts: list[Bijection] = []
    for layer in range(as_count(layers, "layers", 1)):
        if layer:
            parts.append(Permutation.reverse(dim))
        parts.append(
            Autoregressive.init(
                dim, rng, hidden=hidden, transformer=transformer,
                context_dim=context_dim, activation=activation,
            )
        )  # fmt: skip
    return Flow(StandardNormal(dim), Chain(tuple(parts)))
