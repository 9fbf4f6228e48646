"""Normalizing flows, written once in plain NumPy and read many ways.

The package behind the book of the same name. Importing it is quick: each name loads its module,
and with it NumPy and nothing heavier, when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .architectures import maf, realnvp, spline_flow
    from .autoregressive import Autoregressive
    from .bijection import Bijection, Chain, Inverse
    from .conditioner import MLP
    from .coupling import Coupling
    from .distributions import Logistic, StandardNormal, Uniform
    from .elementwise import (
        Affine,
        BoundedAffine,
        Elementwise,
        Exp,
        LeakyReLU,
        NormalCDF,
        Shift,
        Sigmoid,
        SinhArcsinh,
        Softplus,
        Tanh,
    )
    from .flow import Flow
    from .likelihood import Ascent, DivergenceError, Fit, fit, gradient_ascent
    from .linear import Householder, LULinear, Permutation, TriangularAffine
    from .loops import compiled
    from .mixture import LogisticMixture
    from .planar import Planar, Radial
    from .spline import RationalQuadraticSpline
    from .training import Training

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "Affine",
    "Ascent",
    "Autoregressive",
    "Bijection",
    "BoundedAffine",
    "Chain",
    "Coupling",
    "DivergenceError",
    "Elementwise",
    "Exp",
    "Fit",
    "Flow",
    "Householder",
    "Inverse",
    "LULinear",
    "LeakyReLU",
    "Logistic",
    "LogisticMixture",
    "NormalCDF",
    "Permutation",
    "Planar",
    "Radial",
    "RationalQuadraticSpline",
    "Shift",
    "Sigmoid",
    "SinhArcsinh",
    "Softplus",
    "StandardNormal",
    "Tanh",
    "Training",
    "TriangularAffine",
    "Uniform",
    "compiled",
    "fit",
    "gradient_ascent",
    "maf",
    "realnvp",
    "spline_flow",
]

# The imports above once more, for `__getattr__`: type checkers read those, Python runs these.
_NAMES = {
    "architectures": ("maf", "realnvp", "spline_flow"),
    "training": ("Training",),
    "bijection": ("Bijection", "Chain", "Inverse"),
    "planar": ("Planar", "Radial"),
    "linear": ("Householder", "LULinear", "Permutation", "TriangularAffine"),
    "coupling": ("Coupling",),
    "conditioner": ("MLP",),
    "autoregressive": ("Autoregressive",),
    "distributions": ("Logistic", "StandardNormal", "Uniform"),
    "elementwise": (
        "Affine",
        "BoundedAffine",
        "Elementwise",
        "Exp",
        "LeakyReLU",
        "NormalCDF",
        "Shift",
        "Sigmoid",
        "SinhArcsinh",
        "Softplus",
        "Tanh",
    ),
    "flow": ("Flow",),
    "likelihood": ("Ascent", "DivergenceError", "Fit", "fit", "gradient_ascent"),
    "loops": ("compiled",),
    "mixture": ("LogisticMixture",),
    "spline": ("RationalQuadraticSpline",),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Load a name from its module at its first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value  # the next use finds it here
    return value


def __dir__() -> list[str]:
    """Return what completion offers: also the names that are not loaded yet."""
    return sorted({*globals(), *__all__})
