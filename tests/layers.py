"""One table drives the tests of the maps of vectors; a new layer is one line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flowtutorial import (
    Affine,
    Autoregressive,
    Bijection,
    BoundedAffine,
    Chain,
    Coupling,
    Elementwise,
    Householder,
    Inverse,
    LeakyReLU,
    LogisticMixture,
    LULinear,
    NormalCDF,
    Permutation,
    Planar,
    Radial,
    RationalQuadraticSpline,
    Shift,
    SinhArcsinh,
    TriangularAffine,
)


def generic(layer: Bijection, spread: float = 0.4) -> Bijection:
    """Return the layer with noise added to every parameter, so that none is special."""
    noise = np.random.default_rng(layer.params.size).standard_normal(layer.params.size)
    return layer.with_params(layer.params + spread * noise)


def planar(dim: int, slope: float) -> Planar:
    """Return a planar layer of random direction with `wᵀu = slope`."""
    u, w = np.random.default_rng(dim).standard_normal((2, dim))
    return Planar(u + (slope - w @ u) * w / (w @ w), w, 0.3)


def radial(dim: int, log_stretch: float) -> Radial:
    """Return a radial layer around a random point."""
    return Radial(0.5 * np.random.default_rng(dim).standard_normal(dim), 0.4, log_stretch)


def coupling(
    dim: int, transformer: Any, activation: str = "tanh", hidden: Any = 5, stays: Any = None
) -> Bijection:
    """Return a small coupling."""
    made = Coupling.init(
        dim, dim, hidden=hidden, transformer=transformer, stays=stays, activation=activation
    )
    return generic(made)


def masked(dim: int, transformer: Any, activation: str = "tanh", hidden: Any = (4, 3)) -> Bijection:
    """Return a small autoregressive layer, its hidden layers of different sizes."""
    made = Autoregressive.init(
        dim, dim, hidden=hidden, transformer=transformer, activation=activation
    )
    return generic(made)


SPLINE = RationalQuadraticSpline.init(4)
SHAPED = Chain((SinhArcsinh(0.2, -0.1), Affine(0.1, 0.3)))
MIXTURE = Chain((NormalCDF(), LogisticMixture([0.5], [-1.0, 1.0], [0.0, -0.25])))
SCALAR = (Affine(0.3, -0.4), SPLINE, SHAPED, LeakyReLU(0.5))


def alternate(dim: int) -> tuple[bool, ...]:
    """Return a mask in which coordinates 1, 3, … stay."""
    return tuple(i % 2 == 1 for i in range(dim))


LAYERS: dict[str, Callable[[int], Bijection]] = {
    "triangular": lambda d: generic(TriangularAffine.init(d)),
    "lu": lambda d: generic(LULinear.init(d, d)),
    "permutation": lambda d: Permutation.init(d, d),
    "householder": lambda d: Householder.init(d, d),
    "planar": lambda d: planar(d, 1.5),
    "planar-negative": lambda d: planar(d, -1.5),
    "radial": lambda d: radial(d, 0.8),
    "radial-shrinking": lambda d: radial(d, -1.2),
    "elementwise": lambda d: Elementwise(SinhArcsinh(0.3, 0.2)),
    "elementwise-each": lambda d: Elementwise((*SCALAR, *[Shift(1.0)] * d)[:d]),
    "coupling-affine": lambda d: coupling(d, Affine),
    "coupling-shift": lambda d: coupling(d, Shift),
    "coupling-bounded": lambda d: coupling(d, BoundedAffine, "relu"),
    "coupling-spline": lambda d: coupling(d, SPLINE),
    "coupling-leaky-relu": lambda d: coupling(d, LeakyReLU, hidden=()),
    "coupling-sinh-arcsinh": lambda d: coupling(d, SinhArcsinh(0.2, -0.1), hidden=(4, 3)),
    "coupling-chain": lambda d: coupling(d, SHAPED),
    "coupling-inverse": lambda d: coupling(d, Inverse(SPLINE)),
    "coupling-odd": lambda d: coupling(d, Affine, stays=alternate(d)),
    "autoregressive": lambda d: masked(d, Affine),
    "autoregressive-bounded": lambda d: masked(d, BoundedAffine, "relu", (9, 8)),
    "autoregressive-spline": lambda d: masked(d, SPLINE),
    "autoregressive-mixture": lambda d: masked(d, MIXTURE),
    "inverse-triangular": lambda d: Inverse(generic(TriangularAffine.init(d))),
    "inverse-planar": lambda d: Inverse(planar(d, 2.5)),
    "inverse-radial": lambda d: Inverse(radial(d, 0.5)),
    "inverse-coupling": lambda d: Inverse(coupling(d, SPLINE)),
    "inverse-autoregressive": lambda d: Inverse(masked(d, Affine)),
    "chain": lambda d: Chain(
        (generic(TriangularAffine.init(d)), planar(d, -0.5), masked(d, Affine),
         Elementwise(LeakyReLU(-0.5)))),
    "chain-nested": lambda d: Chain(
        (Chain((radial(d, 0.3), Permutation.reverse(d))),
         Inverse(Chain((generic(LULinear.init(d, 1)), planar(d, 1.0)))))),
}  # fmt: skip

# Layers that are about at least two coordinates.
AT_LEAST_TWO = {name for name in LAYERS if "coupling" in name}

# Layers whose log-determinant is 0 everywhere: a wrong sign would not show in them.
VOLUME_PRESERVING = {"permutation", "householder", "coupling-shift"}


def dims(name: str, *wanted: int) -> list[int]:
    """Return those of the dimensions that the layer can have."""
    return [dim for dim in wanted if dim > 1 or name not in AT_LEAST_TWO]


def points(dim: int, n: int = 5, seed: int = 0) -> np.ndarray:
    """Return moderate vectors."""
    return 1.5 * np.random.default_rng([seed, dim]).standard_normal((n, dim))
