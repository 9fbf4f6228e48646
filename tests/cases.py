"""One table drives the tests of all bijections; a new bijection is one line here."""

from __future__ import annotations

import numpy as np

from flowtutorial import (
    Affine,
    Bijection,
    Chain,
    Exp,
    Inverse,
    LeakyReLU,
    LogisticMixture,
    NormalCDF,
    RationalQuadraticSpline,
    Shift,
    Sigmoid,
    SinhArcsinh,
    Softplus,
    Tanh,
)

CASES: dict[str, Bijection] = {
    "shift": Shift(-1.5),
    "affine": Affine(2.0, 0.75),
    "affine-small": Affine(-3.0, -4.0),
    "exp": Exp(),
    "sigmoid": Sigmoid(),
    "softplus": Softplus(),
    "tanh": Tanh(),
    "leaky-relu": LeakyReLU(-1.5),
    "leaky-relu-steep": LeakyReLU(0.5),
    "sinh-arcsinh": SinhArcsinh(0.5, 0.25),
    "sinh-arcsinh-light": SinhArcsinh(-1.0, -0.5),
    "normal-cdf": NormalCDF(),
    "logistic-one": LogisticMixture([], [0.5], [-0.25]),
    "logistic-mixture": LogisticMixture([0.5, -1.0], [-1.5, 0.25, 2.0], [-0.5, 0.0, -1.0]),
    "spline": RationalQuadraticSpline([0.5, 0.0, -0.5], [-0.25, 1.0, 0.0], [0.75, -1.0]),
    "spline-one-bin": RationalQuadraticSpline([0.0], [1.0], [], (-1.0, 2.0)),
    "spline-identity": RationalQuadraticSpline.init(5, (-2.0, 3.0)),
    "universal": Chain((NormalCDF(), LogisticMixture([0.0], [-1.0, 2.0], [-0.5, 0.0]))),
    "spline-affine": Chain((RationalQuadraticSpline.init(3), Affine(1.0, 0.5))),
    "chain": Chain((SinhArcsinh(0.3, 0.1), Affine(1.0, -0.5))),
    "chain-positive": Chain((Affine(0.2, 0.3), Exp(), Affine(-3.0, 0.5))),
    "chain-nested": Chain((Shift(0.5), Chain((Tanh(), Affine(1.0, 1.0))), LeakyReLU(0.2))),
    "chain-empty": Chain(()),
    "inverse": Inverse(SinhArcsinh(0.5, 0.25)),
    "inverse-chain": Inverse(Chain((Affine(2.0, 0.5), SinhArcsinh(0.2, -0.3)))),
    "inverse-inverse": Inverse(Inverse(Softplus())),
    "inverse-from-positive": Inverse(Exp()),
}

# Cases whose log-determinant is 0 everywhere: a wrong sign would not show in them.
VOLUME_PRESERVING = {"shift", "chain-empty"}


def base_points(bijection: Bijection, n: int = 41) -> np.ndarray:
    """Return moderate points within the domain."""
    low, high = bijection.domain
    if low == -np.inf and high == np.inf:
        return np.linspace(-4.0, 4.0, n) + 0.013
    if high == np.inf:
        return low + np.geomspace(0.01, 30.0, n)
    return low + (high - low) * np.linspace(0.01, 0.99, n)
