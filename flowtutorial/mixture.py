"""A mixture of logistic distributions as a flow: the distribution function of any shape.

Its distribution function is closed, from data to base; the quantile function is not, and is solved
for numerically. With the normal distribution function before it, it is the universal flow of one
variable, `F⁻¹∘Φ`. Chapter 5 derives it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from .bijection import Bijection, Interval, in_type_of
from .blocks import Array, as_count, as_observations, as_parameters, is_traced
from .elementwise import Sigmoid, log_sigmoid
from .solve import solve_increasing

if TYPE_CHECKING:
    from .symbolic.derive import Derivatives


def log_sum_exp(a: Array) -> Array:
    """Return `log Σ_k exp(a_k)` along the last axis."""
    with np.errstate(invalid="ignore"):  # logaddexp compares, and a comparison with NaN warns
        return np.logaddexp.reduce(a, axis=-1)


def log_softmax(logits: Array) -> Array:
    """Return `a_k - log Σ_j exp(a_j)` along the last axis, from differences of the `a_k` alone."""
    return -log_sum_exp(logits[..., None, :] - logits[..., :, None])


@dataclass(frozen=True, eq=False)
class LogisticComponent(Bijection):
    """The quantile function of a logistic distribution, with the scale `s = exp(log_scale)`.

    ========  =========================================  ====================================
    forward   `x = mean + s log(z/(1 - z))`              `log|∂x/∂z| = log s - log z(1 - z)`
    inverse   `z = 1/(1 + exp(-(x - mean)/s))`           `log|∂z/∂x| = log z(1 - z) - log s`
    ========  =========================================  ====================================

    Domain: `(0, 1)`. Codomain: the real line.

    Parameters
    ----------
    mean, log_scale : float or array
        Location, and natural logarithm of the scale.

    Examples
    --------
    >>> LogisticComponent(1.0, 0.0).inverse([1.0])
    array([0.5])
    """

    mean: float
    log_scale: float
    domain: ClassVar[Interval] = (0.0, 1.0)

    @np.errstate(over="ignore")
    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return `mean + s log(z/(1 - z))` and its log-derivative."""
        t, log_det = Sigmoid().inverse_and_log_det(z)
        return self.mean + np.exp(self.log_scale) * t, log_det + self.log_scale

    @np.errstate(over="ignore")
    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return the distribution function and the logarithm of the density."""
        t = (x - self.mean) / np.exp(self.log_scale)
        z, log_det = Sigmoid().forward_and_log_det(t)
        return z, log_det - self.log_scale


@dataclass(frozen=True, eq=False)
class LogisticMixture(Bijection):
    """The quantile function of a mixture of `K` logistic distributions.

    With weights `w = softmax(0, logits)`, scales `s_k = exp(log_scales_k)`, the logistic function
    `σ(t) = 1/(1 + exp(-t))` and `t_k = (x - means_k)/s_k`:

    ========  ==============================  ================================================
    inverse   `z = Σ_k w_k σ(t_k)`            `log|∂z/∂x| = log Σ_k w_k σ(t_k) σ(-t_k)/s_k`
    forward   the `x` with this `z`           `log|∂x/∂z| = -log|∂z/∂x|`
    ========  ==============================  ================================================

    Domain: `(0, 1)`, to be entered by `NormalCDF` or a uniform base. Codomain: the real line.
    `inverse` is closed; `forward` is solved numerically, in the logarithm of the odds, which is
    nearly linear in the tails. The first logit is fixed at 0, because a constant added to all
    changes nothing.

    Floating point has numbers close to 0 but not to 1: in the right tail `z` has an absolute error
    of about `2⁻⁵³`, and is 1 beyond about 37 scales. The log-determinant is right there too.

    Parameters
    ----------
    logits : array of shape (..., K - 1)
        `log(w_k/w_1)` for all components but the first.
    means, log_scales : arrays of shape (..., K)
        Locations, and natural logarithms of the scales. Leading axes broadcast with the data.

    Raises
    ------
    TypeError
        If a parameter does not hold real numbers.
    ValueError
        If the lengths of the last axes do not fit together.

    Notes
    -----
    Ho et al. (2019), *Flow++*, section 3.2, for mixtures of logistics as flows.

    Examples
    --------
    >>> from flowtutorial import Chain, Flow, NormalCDF, StandardNormal
    >>> mixture = LogisticMixture([0.0], [-2.0, 2.0], [-1.0, -1.0])
    >>> flow = Flow(StandardNormal(), Chain((NormalCDF(), mixture)))
    >>> np.exp(flow.log_prob([-2.0, 0.0, 2.0])).round(4)
    array([0.3398, 0.0117, 0.3398])
    """

    logits: Array = field(metadata={"ndim": 1})
    means: Array = field(metadata={"ndim": 1})
    log_scales: Array = field(metadata={"ndim": 1})
    domain: ClassVar[Interval] = (0.0, 1.0)
    numerical: ClassVar[str | None] = "forward"

    def __post_init__(self) -> None:
        for name in ("logits", "means", "log_scales"):
            object.__setattr__(self, name, as_parameters(getattr(self, name), name))
        count = np.shape(self.means)[-1]
        if count == 0:
            raise ValueError("means: expected at least one component, got none")
        for name, expected in (("log_scales", count), ("logits", count - 1)):
            got = np.shape(getattr(self, name))[-1]
            if got != expected:
                raise ValueError(
                    f"{name}: expected {expected} on the last axis for {count} means, got {got}"
                    + (" (the first logit is fixed at 0)" if name == "logits" else "")
                )

    @classmethod
    def init(cls, components: int, x: Array) -> Self:
        """Return a start for a fit to data: equal weights, and means spread over the quantiles.

        Parameters
        ----------
        components : int
            How many.
        x : array
            Finite data that vary.
        """
        count, x = as_count(components, "components"), as_observations(x, "x")
        if count == 0:
            raise ValueError("components: expected 1 or more, got 0")
        means = np.quantile(x, (np.arange(count) + 0.5) / count)
        scale = np.std(x) * np.sqrt(3.0) / np.pi / count
        if not scale > 0.0:
            raise ValueError(f"x: all {x.size} values equal {x[0]:g}, so there is no scale")
        return cls(np.zeros(count - 1), means, np.full(count, np.log(scale)))

    def log_weights(self) -> Array:
        """Return `log w`, of shape (..., K)."""
        first = np.zeros((*np.shape(self.logits)[:-1], 1))
        return log_softmax(np.concatenate([first, self.logits], axis=-1))

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return the distribution function of the mixture and the logarithm of its density."""
        log_w = self.log_weights()
        component = LogisticComponent(self.means, self.log_scales)
        parts, log_dets = component.inverse_and_log_det(x[..., None])
        z = np.sum(np.exp(log_w) * parts, axis=-1)
        if not is_traced(z):
            z = np.minimum(z, 1.0)  # rounded weights may sum to a little more
        return in_type_of(x, z), in_type_of(x, log_sum_exp(log_w + log_dets))

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return the quantile function of the mixture and its log-derivative, numerically."""
        if is_traced(z):
            raise TypeError("a numerical inverse has no formula; trace the other direction")
        with np.errstate(divide="ignore", invalid="ignore"):  # ±∞ at 0 and 1, NaN outside
            log_odds = np.log(np.asarray(z, dtype=np.float64))
            log_odds = log_odds - np.log1p(-np.asarray(z, dtype=np.float64))
        inside = np.isfinite(log_odds)
        target = np.where(inside, log_odds, 0.0)
        quantiles = self.means + np.exp(self.log_scales) * target[..., None]
        log_w = self.log_weights()

        def excess(x: Array) -> tuple[Array, Array]:
            t = (x[..., None] - self.means) / np.exp(self.log_scales)
            log_below = log_sum_exp(log_w + log_sigmoid(t))
            log_above = log_sum_exp(log_w + log_sigmoid(-t))
            log_density = self.inverse_and_log_det(x)[1]
            return log_below - log_above - target, np.exp(log_density - log_below - log_above)

        x = solve_increasing(excess, quantiles.min(axis=-1), quantiles.max(axis=-1))
        x = np.where(inside, x, log_odds)
        return in_type_of(z, x), in_type_of(z, -self.inverse_and_log_det(x)[1])

    def derivatives(self, argument: Array, direction: str) -> Derivatives:
        """Return the derivatives of both results: one component's are derived, then summed.

        With the weights' parts `r_k` of the density and `v_k, l_k` of one component,
        `∂z = Σ w_k ∂v_k` and `∂ log|∂z/∂x| = Σ r_k ∂l_k`; for the logits `∂w_k = w_k (δ_jk - w_j)`.
        """
        from .symbolic.derive import Derivatives, derive, reverse

        if direction == "forward":
            x = self.forward_and_log_det(argument)[0]
            return reverse(self.derivatives(x, "inverse"), x)
        value, log_det = self.inverse_and_log_det(argument)
        d = derive(LogisticComponent)((self.means, self.log_scales), argument[..., None])
        log_w = self.log_weights()
        w = np.exp(log_w)
        with np.errstate(invalid="ignore"):
            r = np.exp(log_w + d.log_det - log_det[..., None])
        to_logits = w * (d.value - value[..., None])
        return Derivatives(
            value,
            log_det,
            np.sum(w * d.d_value_dx, axis=-1),
            np.sum(r * d.d_log_det_dx, axis=-1),
            (to_logits[..., 1:], *(w * part for part in d.d_value_dparams)),
            ((r - w)[..., 1:], *(r * part for part in d.d_log_det_dparams)),
        )
