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
from .parameters import gathered
from .solve import solve_increasing


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
    number `a` solves `a + m tanh(a) = wᵀx + bias`, whose left side increases. Domain and codomain:
    all vectors. Rezende and Mohamed (2015), equations 10 to 13 and appendix A.1, who take
    `m = log(1 + exp(wᵀu)) - 1`.

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
        s = np.sum(self.w * self.u)
        m = np.where(s < 0.0, np.expm1(np.minimum(s, 0.0)), s)
        u = self.u + (m - s) * self.w / np.sum(self.w * self.w)
        # once more, for what a large s has left of rounding along w
        return u + (m - np.sum(self.w * u)) * self.w / np.sum(self.w * self.w), m

    def _rise(self) -> Array:
        """Return `dm/d(wᵀu)`, which is `1 + m` where `m` is negative."""
        return np.exp(np.minimum(np.sum(self.w * self.u), 0.0))

    def _stretch(self, m: Array, h: Array) -> Array:
        """Return `1 + m (1 - h²)`, as a sum of positive terms."""
        slope = 1.0 - h * h
        return np.where(m < 0.0, h * h + self._rise() * slope, 1.0 + m * slope)

    @np.errstate(divide="ignore")  # exp(wᵀu) may round to 0
    def _log_stretch(self, m: Array, h: Array) -> Array:
        """Return `log(1 + m (1 - h²))`."""
        return np.log(self._stretch(m, h))

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return `z + û tanh(a)` and `log(1 + m (1 - tanh² a))`."""
        u, m = self.push()
        h = np.tanh(np.sum(self.w * z, axis=-1) + self.bias)
        return z + h[..., None] * u, self._log_stretch(m, h)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return `x - û tanh(a)` and `-log(1 + m (1 - tanh² a))`."""
        u, m = self.push()
        target = np.sum(self.w * x, axis=-1) + self.bias

        def excess(a: Array) -> tuple[Array, Array]:
            h = np.tanh(a)
            return a + m * h - target, self._stretch(m, h)

        a = solve_increasing(excess, target - np.abs(m), target + np.abs(m))
        h = np.tanh(a)
        z = x - h[..., None] * u
        # along w, where a long push has left rounding in z, its place is known: it is a
        missed = a - self.bias - np.sum(self.w * z, axis=-1)
        return z + missed[..., None] * self.w / np.sum(self.w * self.w), -self._log_stretch(m, h)

    def forward_and_pullback(self, z: Array) -> tuple[Array, Array, Pullback]:
        """As for every bijection: through `û`, `m`, `a`, and these through `u`, `w`, `bias`."""
        (u, m), w = self.push(), self.w
        h = np.tanh(np.sum(w * z, axis=-1) + self.bias)[..., None]
        slope = 1.0 - h * h
        log_det = self._log_stretch(m, h[..., 0])

        def pullback(bar: Array, summed: bool = False) -> tuple[Array, list[Array]]:
            # by a: bar·û h' from the value, and m h''/(1 + m h') with h'' = -2 h h' besides
            stretch = slope / self._stretch(m, h)
            a_bar = np.sum(bar * u, axis=-1)[..., None] * slope - 2.0 * m * h * stretch
            u_bar = h * bar
            # u_hat = u + (m(s) - s) w/|w|^2 with s = w·u
            s, square = np.sum(w * self.u), np.sum(w * w)
            rise = self._rise()  # dm/ds
            along_w = np.sum(u_bar * w, axis=-1)[..., None] / square
            s_bar = along_w * (rise - 1.0) + stretch * rise
            turned = u_bar - 2.0 * along_w * w
            w_bar = a_bar * z + s_bar * self.u + (m - s) / square * turned
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
        h = np.tanh(np.sum(self.w * z, axis=-1) + self.bias)[..., None]
        slope = 1.0 - h * h
        along = np.sum(bar * u, axis=-1)[..., None]
        return bar - slope * along / (1.0 + m * slope) * self.w


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

    def _scales(self) -> tuple[Array, Array]:
        """Return `α` and `β`."""
        alpha = np.exp(self.log_radius)
        return alpha, alpha * np.expm1(self.log_stretch)

    def _log_stretches(self, r: Array) -> tuple[Array, Array]:
        """Return the logarithms of the stretch around the center, and away from it."""
        alpha, beta = self._scales()
        h = 1.0 / (alpha + r)
        return np.log1p(beta * h), np.log1p(beta * h * alpha * h)

    def _log_det(self, r: Array) -> Array:
        around, away = self._log_stretches(r)
        return (self.dim - 1) * around + away

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return `z + β h (z - center)` and its log-determinant."""
        away = z - self.center
        r = _length(away)
        alpha, beta = self._scales()
        return z + (beta / (alpha + r))[..., None] * away, self._log_det(r)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return `center + (x - center)/(1 + βh)` and its log-determinant."""
        away = x - self.center
        rho = _length(away)
        alpha, beta = self._scales()
        q = alpha + beta - rho
        root = np.hypot(q, 2.0 * np.sqrt(alpha * rho))
        # the positive root of r² + q r - αρ, in the form that does not cancel
        r = np.where(q > 0.0, 2.0 * alpha * rho / (np.abs(q) + root), 0.5 * (root - q))
        shrink = (alpha + r) / (alpha + r + beta)
        return self.center + shrink[..., None] * away, -self._log_det(r)

    def forward_and_pullback(self, z: Array) -> tuple[Array, Array, Pullback]:
        """As for every bijection: through `r`, `α` and `β`."""
        away = z - self.center
        r = _length(away)[..., None]
        alpha, beta = self._scales()
        h = 1.0 / (alpha + r)
        around, along = 1.0 + beta * h, 1.0 + beta * alpha * h * h
        log_det = (self.dim - 1) * np.log(around[..., 0]) + np.log(along[..., 0])

        def pullback(bar: Array, summed: bool = False) -> tuple[Array, list[Array]]:
            pushed = np.sum(bar * away, axis=-1)[..., None]  # x = z + βh·away
            by_beta = (self.dim - 1) * h / around + alpha * h * h / along
            by_h = (self.dim - 1) * beta / around + 2.0 * beta * alpha * h / along
            by_alpha = beta * h * h / along
            beta_bar = pushed * h + by_beta
            h_bar = pushed * beta + by_h
            alpha_bar = by_alpha - h_bar * h * h  # ∂h/∂α = ∂h/∂r = -h²
            # at the center r has no derivative, but away is 0 there
            direction = away / np.where(r > 0.0, r, 1.0)
            along_away = beta * h * bar - h_bar * h * h * direction
            alpha_bar = alpha_bar + beta_bar * np.expm1(self.log_stretch)
            stretch_bar = beta_bar * alpha * np.exp(self.log_stretch)
            lead = np.ndim(z) - 1
            return bar + along_away, [
                gathered(-along_away, lead, summed),
                gathered((alpha_bar * alpha)[..., 0], lead, summed),
                gathered(stretch_bar[..., 0], lead, summed),
            ]

        return z + beta * h * away, log_det, pullback

    def inverse_and_pullback(self, x: Array) -> tuple[Array, Array, Pullback]:
        """As for every bijection, through the forward map."""
        z, log_det = self.inverse_and_log_det(x)
        forward = self.forward_and_pullback(z)[2]
        solve = partial(self.solve_transposed_at, z)
        return z, log_det, pullback_through_the_other(z, forward, solve)

    def solve_transposed_at(self, z: Array, bar: Array) -> Array:
        """Return `(∂x/∂z)⁻ᵀ bar`: away from the center one stretch is undone, around it another."""
        away = z - self.center
        r = _length(away)
        around, along = (np.exp(part)[..., None] for part in self._log_stretches(r))
        direction = away / np.where(r > 0.0, r, 1.0)[..., None]
        radial = np.sum(bar * direction, axis=-1)[..., None] * direction
        return bar / around + radial * (1.0 / along - 1.0 / around)


def _length(vectors: Array) -> Array:
    """Return `‖v‖` of the vectors on the last axis; their squares need not fit into a float."""
    if is_traced(vectors):
        return np.sqrt(np.sum(vectors * vectors, axis=-1))
    largest = np.max(np.abs(vectors), axis=-1)
    unit = np.where((largest > 0.0) & (largest < np.inf), largest, 1.0)
    return unit * np.sqrt(np.sum((vectors / unit[..., None]) ** 2, axis=-1))
