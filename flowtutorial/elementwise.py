"""Bijections of one variable, each a few lines of NumPy.

Every class gives four formulas: `forward` with its log-derivative, `inverse` with its own. They are
written in the form that stays accurate where the textbook form overflows or cancels. Chapters 1, 3
and 4 derive them, and prove them from this very code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from .bijection import Bijection, Interval, Pullback
from .blocks import Array, as_real, is_traced
from .parameters import gathered

HALF_LOG_2PI = float(0.5 * np.log(2.0 * np.pi))


def log_sigmoid(z: Array) -> Array:
    """Return `log(1/(1 + exp(-z)))`, written so that `exp` is only taken of what is negative."""
    return np.minimum(z, 0.0) - np.log1p(np.exp(-np.abs(z)))


@dataclass(frozen=True, eq=False)
class Shift(Bijection):
    """Add a constant: the flow of chapter 1.

    ========  ===================  ======================
    forward   `x = z + shift`      `log|∂x/∂z| = 0`
    inverse   `z = x - shift`      `log|∂z/∂x| = 0`
    ========  ===================  ======================

    Domain and codomain: the real line.

    Parameters
    ----------
    shift : float
        In the unit of the data.

    Examples
    --------
    >>> Shift(2.0).forward([0.0, 1.0])
    array([2., 3.])
    """

    shift: float

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return `z + shift` and 0."""
        return z + self.shift, np.zeros_like(z)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return `x - shift` and 0."""
        return x - self.shift, np.zeros_like(x)


@dataclass(frozen=True, eq=False)
class Affine(Bijection):
    """Scale and shift: a location-scale family, with the scale `σ = exp(log_scale)`.

    ========  ==================================  =============================
    forward   `x = shift + exp(log_scale) z`      `log|∂x/∂z| = log_scale`
    inverse   `z = (x - shift) exp(-log_scale)`   `log|∂z/∂x| = -log_scale`
    ========  ==================================  =============================

    Domain and codomain: the real line.

    Parameters
    ----------
    shift : float
        In the unit of the data.
    log_scale : float
        Natural logarithm of the scale.

    Examples
    --------
    >>> Affine(1.0, np.log(2.0)).forward([-1.0, 0.0, 1.0])
    array([-1.,  1.,  3.])
    """

    shift: float
    log_scale: float

    @np.errstate(over="ignore")
    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return `shift + exp(log_scale) z` and `log_scale`."""
        x = self.shift + np.exp(self.log_scale) * z
        return x, np.zeros_like(x) + self.log_scale

    @np.errstate(over="ignore")
    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return `(x - shift) exp(-log_scale)` and `-log_scale`."""
        z = (x - self.shift) / np.exp(self.log_scale)
        return z, np.zeros_like(z) - self.log_scale


@dataclass(frozen=True, eq=False)
class Exp(Bijection):
    """The exponential function, from the real line onto the positive numbers.

    ========  ==============  =========================
    forward   `x = exp(z)`    `log|∂x/∂z| = z`
    inverse   `z = log(x)`    `log|∂z/∂x| = -log(x)`
    ========  ==============  =========================

    Domain: the real line. Codomain: `(0, ∞)`.

    Examples
    --------
    >>> Exp().inverse([1.0, np.e])
    array([0., 1.])
    """

    codomain: ClassVar[Interval] = (0.0, np.inf)

    @np.errstate(over="ignore")
    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return `exp(z)` and `z`."""
        return np.exp(z), +z

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return `log(x)` and `-log(x)`."""
        z = np.log(x)
        return z, -z


@dataclass(frozen=True, eq=False)
class Sigmoid(Bijection):
    """The logistic function, from the real line onto the unit interval.

    ========  ==========================  ==============================================
    forward   `x = 1/(1 + exp(-z))`       `log|∂x/∂z| = log x + log(1 - x)`
    inverse   `z = log(x/(1 - x))`        `log|∂z/∂x| = -log x - log(1 - x)`
    ========  ==========================  ==============================================

    Domain: the real line. Codomain: `(0, 1)`. In floating point `forward` reaches 1 from about
    `z = 37`, because no double lies between; `forward_and_log_det` still has the right
    log-determinant there.

    Examples
    --------
    >>> Sigmoid().forward([-1e4, 0.0, 1e4])
    array([0. , 0.5, 1. ])
    """

    codomain: ClassVar[Interval] = (0.0, 1.0)

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return `1/(1 + exp(-z))` and `log x + log(1 - x)`, through `exp(-|z|)`."""
        e = np.exp(-np.abs(z))
        x = np.where(z < 0.0, e, 1.0) / (1.0 + e)
        return x, -np.abs(z) - 2.0 * np.log1p(e)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return `log(x/(1 - x))` and `-log x - log(1 - x)`."""
        log_x, log_1mx = np.log(x), np.log1p(-x)
        return log_x - log_1mx, -log_x - log_1mx


@dataclass(frozen=True, eq=False)
class Softplus(Bijection):
    """A smooth ramp, from the real line onto the positive numbers.

    ========  ============================  ==========================================
    forward   `x = log(1 + exp(z))`         `log|∂x/∂z| = -log(1 + exp(-z))`
    inverse   `z = log(exp(x) - 1)`         `log|∂z/∂x| = -log(1 - exp(-x))`
    ========  ============================  ==========================================

    Domain: the real line. Codomain: `(0, ∞)`.

    Examples
    --------
    >>> Softplus().forward([-1.0, 0.0, 1.0]).round(4)
    array([0.3133, 0.6931, 1.3133])
    """

    codomain: ClassVar[Interval] = (0.0, np.inf)

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return `log(1 + exp(z))` and `-log(1 + exp(-z))`."""
        return -log_sigmoid(-z), log_sigmoid(z)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return `log(exp(x) - 1)` and `-log(1 - exp(-x))`, the latter through `z`."""
        z = x + np.log(-np.expm1(-x))
        return z, -log_sigmoid(z)


@dataclass(frozen=True, eq=False)
class Tanh(Bijection):
    """The hyperbolic tangent, from the real line onto `(-1, 1)`.

    ========  ==================  ================================
    forward   `x = tanh(z)`       `log|∂x/∂z| = -2 log cosh(z)`
    inverse   `z = artanh(x)`     `log|∂z/∂x| = -log(1 - x²)`
    ========  ==================  ================================

    Domain: the real line. Codomain: `(-1, 1)`. In floating point `forward` reaches ±1 from about
    `|z| = 19`, because no double lies between; `forward_and_log_det` still has the right
    log-determinant there.

    Examples
    --------
    >>> Tanh().inverse([-0.5, 0.0, 0.5]).round(4)
    array([-0.5493,  0.    ,  0.5493])
    """

    codomain: ClassVar[Interval] = (-1.0, 1.0)

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return `tanh(z)` and `-2 log cosh(z)`, which is `log(1 - x²)` near 0."""
        x, a = np.tanh(z), np.abs(z)
        near = np.log1p(-np.minimum(x * x, 0.5))
        far = -2.0 * (a + np.log1p(0.5 * np.expm1(-2.0 * a)))
        return x, np.where(x * x < 0.5, near, far)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return `artanh(x)` and `-log(1 - x²)`."""
        near = np.log1p(-np.minimum(x * x, 0.5))
        far = np.log((1.0 - x) * (1.0 + x))
        return np.arctanh(x), -np.where(x * x < 0.5, near, far)


@dataclass(frozen=True, eq=False)
class NormalCDF(Bijection):
    """The normal distribution function, from the real line onto the unit interval.

    ========  =============  ======================================
    forward   `x = Φ(z)`     `log|∂x/∂z| = log φ(z)`
    inverse   `z = Φ⁻¹(x)`   `log|∂z/∂x| = -log φ(z)`
    ========  =============  ======================================

    Here `log φ(z) = -½z² - ½ log 2π`. Domain: the real line. Codomain: `(0, 1)`. It makes a
    uniform variable of a standard normal one, and so begins the universal flow `F⁻¹∘Φ`. In
    floating point `forward` reaches 1 from about `z = 8.3` and 0 below `z = -38.5`. `inverse`
    takes a 0 or 1 for what was rounded to it, and returns the value of the nearest number between.

    Examples
    --------
    >>> NormalCDF().forward([-1.0, 0.0, 1.0]).round(4)
    array([0.1587, 0.5   , 0.8413])
    """

    codomain: ClassVar[Interval] = (0.0, 1.0)

    @np.errstate(over="ignore")
    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return `Φ(z)` and `log φ(z)`."""
        from scipy.special import ndtr

        return ndtr(z), -0.5 * z * z - HALF_LOG_2PI

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return `Φ⁻¹(x)` and `-log φ(z)`."""
        from scipy.special import ndtri

        if not is_traced(x):
            x = np.where((x == 0.0) | (x == 1.0), np.nextafter(x, 0.5), x)
        z = ndtri(x)
        return z, 0.5 * z * z + HALF_LOG_2PI

    def inverse_and_pullback(self, x: Array) -> tuple[Array, Array, Pullback]:
        """As for every bijection, with `∂z/∂x = 1/φ(z)` and `∂log|∂z/∂x|/∂x = z/φ(z)`.

        Over a standard normal base their sum is exactly 0, also where `1/φ(z)` overflows.
        """
        z, log_det = self.inverse_and_log_det(x)

        def pullback(bar: Array, summed: bool = False) -> tuple[Array, list[Array]]:
            along_z = bar + z
            with np.errstate(over="ignore", invalid="ignore"):
                return np.where(along_z == 0.0, 0.0, along_z * np.exp(log_det)), []

        return z, log_det, pullback


@dataclass(frozen=True, eq=False)
class LeakyReLU(Bijection):
    """Two half-lines with different slopes: 1 to the right of 0, `exp(log_slope)` to the left.

    ========  ==================================================  ===========================
    forward   `x = z` if `z ≥ 0` else `exp(log_slope) z`          `0` or `log_slope`
    inverse   `z = x` if `x ≥ 0` else `exp(-log_slope) x`         `0` or `-log_slope`
    ========  ==================================================  ===========================

    Domain and codomain: the real line. At 0, where the slope jumps, the right-hand value is taken.

    Parameters
    ----------
    log_slope : float
        Natural logarithm of the slope on the negative half-line. A slope of 0 (the ReLU) would
        not be invertible and can't be written.

    Examples
    --------
    >>> LeakyReLU(np.log(0.5)).forward([-2.0, 2.0])
    array([-1.,  2.])
    """

    log_slope: float

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return `z` and 0, or `exp(log_slope) z` and `log_slope`."""
        return _two_slopes(z, self.log_slope)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return `x` and 0, or `exp(-log_slope) x` and `-log_slope`."""
        return _two_slopes(x, -self.log_slope)


@np.errstate(over="ignore", invalid="ignore")  # ∞·0 on the half-line that is not taken
def _two_slopes(v: Array, log_slope: float) -> tuple[Array, Array]:
    log_det = np.where(v < 0.0, log_slope, np.where(np.isnan(v), v, 0.0))
    return np.where(v < 0.0, np.exp(log_slope) * v, v), log_det


@dataclass(frozen=True, eq=False)
class SinhArcsinh(Bijection):
    """Skewness and tail weight: a hyperbolic sine that bends the real line.

    With `d = exp(log_tailweight)`, `u = (arsinh z + skewness) d` and, for the inverse,
    `u = arsinh x`, `a = u/d - skewness`:

    ========  ==================  ===================================================
    forward   `x = sinh(u)`       `log|∂x/∂z| = log d + log cosh u - ½ log(1 + z²)`
    inverse   `z = sinh(a)`       `log|∂z/∂x| = -log d + log cosh a - ½ log(1 + x²)`
    ========  ==================  ===================================================

    Domain and codomain: the real line. At `skewness = log_tailweight = 0` it is the identity; a
    positive skewness gives a long right tail, `log_tailweight > 0` tails heavier than the base's.
    This is the transformation of Jones and Pewsey (2009), *Sinh-arcsinh distributions*, equation
    1, read from the normal variable to the data, with `ε = skewness` and `δ = 1/d`.

    Parameters
    ----------
    skewness, log_tailweight : float
        Without unit.

    Examples
    --------
    >>> SinhArcsinh(0.5, 0.0).forward([-1.0, 0.0, 1.0]).round(4)
    array([-0.3907,  0.5211,  1.8646])
    """

    skewness: float
    log_tailweight: float

    @np.errstate(over="ignore")
    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return `sinh((arsinh z + skewness) d)` and its log-derivative."""
        a = np.arcsinh(z)
        u = (a + self.skewness) * np.exp(self.log_tailweight)
        return np.sinh(u), self._log_stretch(a, u)

    @np.errstate(over="ignore")
    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return `sinh(arsinh(x)/d - skewness)` and its log-derivative."""
        u = np.arcsinh(x)
        a = u * np.exp(-self.log_tailweight) - self.skewness
        return np.sinh(a), -self._log_stretch(a, u)

    def _log_stretch(self, a: Array, u: Array) -> Array:
        """Return `log(d cosh u / cosh a)`; `cosh(arsinh z)` is `√(1 + z²)` without its overflow.

        With `cosh v = e^|v| (1 + e^(-2|v|))/2`, the ratio is `e^(|u| - |a|)` times one that is
        close to 1 near 0 and in the tails.
        """
        end = np.isinf(a)  # at ±∞ the difference below has no value, but it has a limit
        limit = np.where(
            np.equal(self.log_tailweight, 0.0),
            np.sign(a) * self.skewness,
            np.copysign(np.inf, self.log_tailweight),
        )
        a, u = np.where(end, 0.0, np.abs(a)), np.where(end, 0.0, np.abs(u))
        p, q = np.expm1(-2.0 * u), np.expm1(-2.0 * a)
        stretch = self.log_tailweight + (u - a) + np.log1p((p - q) / (2.0 + q))
        return np.where(end, limit, stretch)


@dataclass(frozen=True, eq=False)
class BoundedAffine(Bijection):
    """An affine map whose scale stays within bounds, for couplings far from the data.

    With `s = bound tanh(raw_scale/bound)`, which is close to `raw_scale` where that is small:

    ========  ==========================  ===================
    forward   `x = shift + exp(s) z`      `log|∂x/∂z| = s`
    inverse   `z = (x - shift) exp(-s)`   `log|∂z/∂x| = -s`
    ========  ==========================  ===================

    Dinh et al. (2017), section 4.1, bound the scales of RealNVP in this way. Domain and codomain:
    the real line.

    Parameters
    ----------
    shift, raw_scale : float
    bound : float
        The largest `|s|`; not trained.

    Examples
    --------
    >>> BoundedAffine(0.0, 1e6, bound=np.log(3.0)).forward([1.0, 2.0]).round(12)
    array([3., 6.])
    """

    shift: float
    raw_scale: float
    bound: float = field(default=2.0, metadata={"static": True})

    def __post_init__(self) -> None:
        if np.ndim(as_real(self.bound, "bound")) or not (
            self.bound > 0.0 and np.isfinite(self.bound)
        ):
            raise ValueError(f"bound: expected a positive number, and finite, got {self.bound!r}")

    def _log_scale(self) -> Array:
        return self.bound * np.tanh(self.raw_scale / self.bound)

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return `shift + exp(s) z` and `s`."""
        s = self._log_scale()
        x = self.shift + np.exp(s) * z
        return x, np.zeros_like(x) + s

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return `(x - shift) exp(-s)` and `-s`."""
        s = self._log_scale()
        z = (x - self.shift) * np.exp(-s)
        return z, np.zeros_like(z) - s

    def inverse_and_pullback(self, x: Array) -> tuple[Array, Array, Pullback]:
        """As for every bijection, by hand: most flows are trained through this map.

        With `t = tanh(raw_scale/bound)`: `∂z/∂x = exp(-s)`, `∂z/∂shift = -exp(-s)`, `∂z/∂s = -z`
        and `∂s/∂raw_scale = 1 - t²`.
        """
        with np.errstate(over="ignore"):
            z, log_det = self.inverse_and_log_det(x)

        def pullback(bar: Array, summed: bool = False) -> tuple[Array, list[Array]]:
            along_x, t = bar * np.exp(log_det), log_det / self.bound
            along_params = [-along_x, (bar * z + 1.0) * (t * t - 1.0)]
            return along_x, [gathered(part, np.ndim(bar), summed) for part in along_params]

        return z, log_det, pullback


@dataclass(frozen=True, eq=False)
class Elementwise(Bijection):
    """Lift bijections of numbers to vectors: each coordinate goes through one of them.

    Log-determinants of the coordinates add: the Jacobian matrix is diagonal.

    Parameters
    ----------
    bijection : Bijection, or a tuple of them
        One for all coordinates, with the same parameters, or one for each.

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If it is already a map of vectors.

    Examples
    --------
    >>> g = Elementwise((Exp(), Affine(1.0, 0.0)))
    >>> g.forward([0.0, 5.0])
    array([1., 6.])
    """

    event_ndim: ClassVar[int] = 1
    bijection: Bijection | tuple[Bijection, ...]

    def __post_init__(self) -> None:
        parts = self.bijection if isinstance(self.bijection, tuple) else (self.bijection,)
        if not parts:
            raise ValueError("bijection: expected one for each coordinate, got an empty tuple")
        for part in parts:
            if not isinstance(part, Bijection):
                raise TypeError(f"bijection: expected a bijection or a tuple, got {part!r}")
            if part.event_ndim:
                raise ValueError(
                    f"bijection: {part!r} is already a map of vectors; put it into a Chain as it is"
                )

    @property
    def dim(self) -> int | None:  # type: ignore[override]
        """Length of the vectors, if there is one bijection for each coordinate."""
        return len(self.bijection) if isinstance(self.bijection, tuple) else None

    @property
    def domain(self) -> Any:  # type: ignore[override]
        """That of each coordinate."""
        return self._intervals("domain")

    @property
    def codomain(self) -> Any:  # type: ignore[override]
        """That of each coordinate."""
        return self._intervals("codomain")

    def _intervals(self, name: str) -> Any:
        if not isinstance(self.bijection, tuple):
            return getattr(self.bijection, name)
        intervals = [getattr(part, name) for part in self.bijection]
        if all(interval == intervals[0] for interval in intervals):
            return intervals[0]
        return tuple(np.array(ends) for ends in zip(*intervals, strict=True))

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return the coordinates' images and the sum of their log-derivatives."""
        x, log_det, _ = self._each(z, "forward_and_log_det")
        return x, log_det

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return the coordinates' pre-images and the sum of their log-derivatives."""
        z, log_det, _ = self._each(x, "inverse_and_log_det")
        return z, log_det

    def forward_and_pullback(self, z: Array) -> tuple[Array, Array, Pullback]:
        """As for every bijection, coordinate by coordinate."""
        return self._each(z, "forward_and_pullback")

    def inverse_and_pullback(self, x: Array) -> tuple[Array, Array, Pullback]:
        """As for every bijection, coordinate by coordinate."""
        return self._each(x, "inverse_and_pullback")

    def _each(self, v: Array, method: str) -> tuple[Array, Array, Pullback]:
        axis = np.ndim(v) - 1
        if not isinstance(self.bijection, tuple):
            value, log_det, *through = getattr(self.bijection, method)(v)

            def of_all(bar: Array, summed: bool = False) -> tuple[Array, list[Array]]:
                along, fields = through[0](bar)
                fields = [np.sum(part, axis=axis) for part in fields]
                return along, [gathered(part, axis, summed) for part in fields]

            return value, np.sum(log_det, axis=-1), of_all
        results = [getattr(part, method)(v[..., i]) for i, part in enumerate(self.bijection)]

        def of_each(bar: Array, summed: bool = False) -> tuple[Array, list[Array]]:
            pulled = [through(bar[..., i], summed) for i, (_, _, through) in enumerate(results)]
            along = np.stack([along for along, _ in pulled], axis=-1)
            return along, [part for _, fields in pulled for part in fields]

        value, log_det = (np.stack([r[k] for r in results], axis=-1) for k in (0, 1))
        return value, np.sum(log_det, axis=-1), of_each
