"""Planar and radial flows: maps of vectors whose Jacobian is the identity plus one simple term.

Both bend space along one direction, or around one point, so that a determinant costs no more than a
scalar product. Chapter 9 derives them (Rezende and Mohamed 2015, *Variational inference with
normalizing flows*, section 4.1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Self

import numpy as np

from .bijection import Bijection, Pullback, pullback_through_the_other
from .blocks import Array, as_count, as_generator, as_parameters, is_traced
from .linear import length
from .parameters import gathered
from .solve import solve_increasing

LEAST = -700.0  # its exponential is a float, and one may divide by it


@dataclass(frozen=True, eq=False)
class Planar(Bijection):
    """Push along one direction, by an amount that depends on the position along another.

    With `a = wᵀz + bias` and `û = u + (m - wᵀu) w/‖w‖²`, so that `wᵀû = m > -1`:

    ========  =========================================  ==================================
    forward   `x = z + û tanh(a)`                        `log(1 + m (1 - tanh² a))`
    inverse   `z = x - û tanh(a)`, `a` by root finding   `-log(1 + m (1 - tanh² a))`
    ========  =========================================  ==================================

    Here `m = wᵀu` where that is positive, and `exp(wᵀu) - 1` elsewhere: so every real parameter
    gives an invertible map with a smooth inverse, and `u = 0` the identity. For the inverse, the
    number `a` solves `a + m tanh(a) = wᵀx + bias`, whose left side increases. Where `wᵀu` is less
    than -700, `1 + m` is taken as `exp(-700)`: the floating-point numbers end there. Close to that
    fold the map is nearly constant along `w` for small `a`, and an inverse can't bring back what
    rounding has taken from `x`: it is off by up to 1e-5 in `a`.

    Domain and codomain: all vectors. Rezende and Mohamed (2015), equations 10 to 13 and appendix
    A.1, who take `m = log(1 + exp(wᵀu)) - 1`.

    Parameters
    ----------
    u, w : array of shape (D,)
        Where to push, and the direction in which the push changes.
    bias : float

    Raises
    ------
    ValueError
        If `w` is 0, or the shapes differ.

    Examples
    --------
    >>> Planar([1.0, 0.0], [0.0, 1.0], 0.0).forward([[0.0, -9.0], [0.0, 0.0], [0.0, 9.0]]).round(6)
    array([[-1., -9.],
           [ 0.,  0.],
           [ 1.,  9.]])
    """

    event_ndim: ClassVar[int] = 1
    numerical: ClassVar[str] = "inverse"
    u: Array = field(metadata={"ndim": 1})
    w: Array = field(metadata={"ndim": 1})
    bias: float

    def __post_init__(self) -> None:
        for name in ("u", "w"):
            object.__setattr__(self, name, as_parameters(getattr(self, name), name))
        if self.u.shape != self.w.shape or self.u.ndim != 1 or self.u.shape[0] == 0:
            raise ValueError(
                f"u, w: expected two vectors of one length, got shapes {self.u.shape} and "
                f"{self.w.shape}"
            )
        if not is_traced(self.w) and not np.any(self.w):
            raise ValueError("w: with the vector 0 there is no direction; give another")

    @classmethod
    def init(cls, dim: int, rng: np.random.Generator | int = 0) -> Self:
        """Return a map near the identity, its direction drawn from `rng`."""
        rng, dim = as_generator(rng), as_count(dim, "dim", 1)
        u, w = rng.standard_normal((2, dim)) / np.sqrt(dim)
        return cls(0.1 * u, w, 0.0)

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Length of the vectors."""
        return int(self.w.shape[-1])

    def push(self) -> tuple[Array, Array]:
        """Return `û` and `m = wᵀû`."""
        s, size = np.sum(self.w * self.u), length(self.w)
        m = np.where(s < 0.0, np.expm1(np.minimum(s, 0.0)), s)
        u = self.u + (m - s) / size * (self.w / size)
        # A large s leaves rounding along w. A second correction takes it away.
        return u + (m - np.sum(self.w * u)) / size * (self.w / size), m

    def _rise(self) -> Array:
        """Return `dm/d(wᵀu)`, which is `1 + m` where `m` is negative."""
        s = np.minimum(np.sum(self.w * self.u), 0.0)
        return np.exp(s if is_traced(s) else np.maximum(s, LEAST))

    def _stretch(self, m: Array, a: Array) -> Array:
        """Return `1 + m (1 - tanh² a)`, as a sum of positive terms."""
        h, slope = np.tanh(a), _slope_of_tanh(a)
        return np.where(m < 0.0, h * h + self._rise() * slope, 1.0 + m * slope)

    @np.errstate(divide="ignore")  # far away the stretch that is not taken may round to 0
    def _log_stretch(self, m: Array, a: Array) -> Array:
        """Return `log(1 + m (1 - tanh² a))`, also where it is all but 0."""
        more = m * _slope_of_tanh(a)
        return np.where(more > -0.5, np.log1p(more), np.log(self._stretch(m, a)))

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return `z + û tanh(a)` and `log(1 + m (1 - tanh² a))`."""
        u, m = self.push()
        a = np.sum(self.w * z, axis=-1) + self.bias
        return z + np.tanh(a)[..., None] * u, self._log_stretch(m, a)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return `x - û tanh(a)` and `-log(1 + m (1 - tanh² a))`."""
        u, m = self.push()
        target = np.sum(self.w * x, axis=-1) + self.bias

        def excess(a: Array) -> tuple[Array, Array]:
            return a + m * np.tanh(a) - target, self._stretch(m, a)

        a = solve_increasing(excess, target - np.abs(m), target + np.abs(m))
        h = np.tanh(a)
        z, size = x - h[..., None] * u, length(self.w)
        # along w, where a long push has left rounding in z, its place is known: it is a
        missed = a - self.bias - np.sum(self.w * z, axis=-1)
        missed = np.where(np.abs(m * h) > np.abs(a) + np.abs(self.bias), missed, 0.0)
        return z + (missed / size)[..., None] * (self.w / size), -self._log_stretch(m, a)

    def forward_and_pullback(self, z: Array) -> tuple[Array, Array, Pullback]:
        """As for every bijection: through `û`, `m`, `a`, and these through `u`, `w`, `bias`."""
        (u, m), w = self.push(), self.w
        a = (np.sum(w * z, axis=-1) + self.bias)[..., None]
        h, slope = np.tanh(a), _slope_of_tanh(a)
        log_det = self._log_stretch(m, a[..., 0])

        def pullback(bar: Array, summed: bool = False) -> tuple[Array, list[Array]]:
            # by a: bar·û h' from the value, and m h''/(1 + m h') with h'' = -2 h h' besides
            stretch = slope / self._stretch(m, a)
            a_bar = np.sum(bar * u, axis=-1)[..., None] * slope - 2.0 * m * h * stretch
            u_bar = h * bar
            # u_hat = u + (m(s) - s) w/|w|^2 with s = w·u
            s, size = np.sum(w * self.u), length(w)
            rise = self._rise()  # dm/ds
            along_w = np.sum(u_bar * (w / size), axis=-1)[..., None]
            s_bar = along_w / size * (rise - 1.0) + stretch * rise
            turned = u_bar - 2.0 * along_w * (w / size)
            w_bar = a_bar * z + s_bar * self.u + (m - s) / size * (turned / size)
            lead = np.ndim(z) - 1
            return bar + a_bar * w, [
                gathered(u_bar + s_bar * w, lead, summed),
                gathered(w_bar, lead, summed),
                gathered(a_bar[..., 0], lead, summed),
            ]

        return z + h * u, log_det, pullback

    def inverse_and_pullback(self, x: Array) -> tuple[Array, Array, Pullback]:
        """As for every bijection, through the forward map."""
        z, log_det = self.inverse_and_log_det(x)
        forward = self.forward_and_pullback(z)[2]
        solve = partial(self.solve_transposed_at, z)
        return z, log_det, pullback_through_the_other(z, forward, solve)

    def solve_transposed_at(self, z: Array, bar: Array) -> Array:
        """Return `(∂x/∂z)⁻ᵀ bar`, with `∂x/∂z = I + h' û wᵀ` (Sherman and Morrison 1950)."""
        u, m = self.push()
        a = (np.sum(self.w * z, axis=-1) + self.bias)[..., None]
        along = np.sum(bar * u, axis=-1)[..., None]
        return bar - _slope_of_tanh(a) * along / self._stretch(m, a) * self.w


@np.errstate(over="ignore")
def _slope_of_tanh(a: Array) -> Array:
    """Return `1 - tanh² a`, as `1/cosh² a`, in which nothing cancels."""
    return np.cosh(a) ** -2.0


@dataclass(frozen=True, eq=False)
class Radial(Bijection):
    """Pull towards a point, or push away from it.

    With `r = ‖z - center‖`, `α = exp(log_radius)`, `β = α (exp(log_stretch) - 1)`, `h = 1/(α + r)`:

    ========  =====================================  ==============================================
    forward   `x = z + β h (z - center)`             `(D-1) log(1 + βh) + log(1 + βαh²)`
    inverse   `z = center + (x - center)/(1 + βh)`   the negative, at `z`
    ========  =====================================  ==============================================

    For the inverse, `r` is the positive root of `r² + (α + β - ρ) r - αρ` with `ρ = ‖x - center‖`.
    At the center space is stretched by `exp(log_stretch)`; far from it not at all. Every real
    parameter gives an invertible map (`β > -α`), and `log_stretch = 0` the identity. Domain and
    codomain: all vectors. Rezende and Mohamed (2015), equation 14 and appendix A.2.

    Parameters
    ----------
    center : array of shape (D,)
    log_radius : float
        Natural logarithm of the distance over which the push decays.
    log_stretch : float
        Natural logarithm of the stretch at the center.

    Examples
    --------
    >>> Radial([0.0, 0.0], 0.0, np.log(3.0)).forward([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    array([[0. , 0. ],
           [2. , 0. ],
           [0. , 4.5]])
    """

    event_ndim: ClassVar[int] = 1
    center: Array = field(metadata={"ndim": 1})
    log_radius: float
    log_stretch: float

    def __post_init__(self) -> None:
        center = as_parameters(self.center, "center")
        if center.ndim != 1 or center.shape[0] == 0:
            raise ValueError(f"center: expected a vector, got an array of shape {center.shape}")
        object.__setattr__(self, "center", center)

    @classmethod
    def init(cls, dim: int, rng: np.random.Generator | int = 0) -> Self:
        """Return the identity, its center drawn from `rng`."""
        return cls(as_generator(rng).standard_normal(as_count(dim, "dim", 1)), 0.0, 0.0)

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Length of the vectors."""
        return int(self.center.shape[-1])

    def _scales(self) -> tuple[Array, Array, Array]:
        """Return `α`, `β` and `α + β`."""
        alpha, stretch = np.exp(self.log_radius), np.exp(self.log_stretch)
        return alpha, alpha * np.expm1(self.log_stretch), alpha * stretch

    def _stretches(self, r: Array) -> tuple[Array, Array]:
        """Return the stretch around the center, and away from it, as sums of positive terms.

        With `t = rh`, `a = αh` and `g = (α + β) h`, so that `t + a = 1`, they are `1 + βh = t + g`
        and `1 + βαh² = t² + 2ta + ag`.
        """
        alpha, _, both = self._scales()
        h = 1.0 / (alpha + r)
        t, a, g = r * h, alpha * h, both * h
        return t + g, t * (t + 2.0 * a) + a * g

    @np.errstate(divide="ignore")  # 1 + βh may round to 0 in the form that is not taken
    def _log_det(self, r: Array) -> Array:
        """Return `(D-1) log(1 + βh) + log(1 + βαh²)`, also where it is all but 0."""
        alpha, beta, _ = self._scales()
        h = 1.0 / (alpha + r)
        around, away = (
            np.where(more > -0.5, np.log1p(more), np.log(stretch))
            for more, stretch in zip(
                (beta * h, beta * h * alpha * h), self._stretches(r), strict=True
            )
        )
        return (self.dim - 1) * around + away

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return `center + (1 + βh) (z - center)` and its log-determinant."""
        away = z - self.center
        r = length(away)
        return self.center + self._stretches(r)[0][..., None] * away, self._log_det(r)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return `center + (x - center)/(1 + βh)` and its log-determinant."""
        away = x - self.center
        rho = length(away)
        alpha, _, both = self._scales()
        q = both - rho
        root = np.hypot(q, 2.0 * np.sqrt(alpha) * np.sqrt(rho))
        # the positive root of r² + q r - αρ, in the form that does not cancel
        r = np.where(q > 0.0, 2.0 * alpha * (rho / (np.abs(q) + root)), 0.5 * (root - q))
        shrink = (alpha + r) / (both + r)
        return self.center + shrink[..., None] * away, -self._log_det(r)

    def forward_and_pullback(self, z: Array) -> tuple[Array, Array, Pullback]:
        """As for every bijection: through both stretches, and these through `r`, `α` and `β`."""
        x, log_det = self.forward_and_log_det(z)
        away = z - self.center
        r = length(away)[..., None]
        around, along = self._stretches(r)
        alpha, beta, both = self._scales()
        h = 1.0 / (alpha + r)

        def pullback(bar: Array, summed: bool = False) -> tuple[Array, list[Array]]:
            around_bar = np.sum(bar * away, axis=-1)[..., None] + (self.dim - 1) / around
            # around = (α e^κ + r) h with κ = log_stretch: its derivative by log α is βh·rh, by r
            # -βh·h, by κ αh e^κ; those of along are 2αh, 2αh and αh times these
            bent = beta * h * (around_bar + 2.0 * alpha * h / along)
            stretch_bar = both * h * (around_bar + alpha * h / along)
            # at the center r has no derivative, but away is 0 there
            along_r = -bent * h * (away / np.where(r > 0.0, r, 1.0))
            lead = np.ndim(z) - 1
            return around * bar + along_r, [
                gathered(-beta * h * bar - along_r, lead, summed),
                gathered((bent * r * h)[..., 0], lead, summed),
                gathered(stretch_bar[..., 0], lead, summed),
            ]

        return x, log_det, pullback

    def inverse_and_pullback(self, x: Array) -> tuple[Array, Array, Pullback]:
        """As for every bijection, through the forward map."""
        z, log_det = self.inverse_and_log_det(x)
        forward = self.forward_and_pullback(z)[2]
        solve = partial(self.solve_transposed_at, z)
        return z, log_det, pullback_through_the_other(z, forward, solve)

    def solve_transposed_at(self, z: Array, bar: Array) -> Array:
        """Return `(∂x/∂z)⁻ᵀ bar`: away from the center one stretch is undone, around it another."""
        away = z - self.center
        r = length(away)[..., None]
        around, along = self._stretches(r)
        direction = away / np.where(r > 0.0, r, 1.0)
        radial = np.sum(bar * direction, axis=-1)[..., None] * direction
        return bar / around + radial * (1.0 / along - 1.0 / around)
