"""How far one density is from another: the Kullback-Leibler divergence, three ways.

`KL(p‖q) = E_p[log p(x) - log q(x)]`, in nats, is never negative and is 0 only if the two agree.
Closed forms hold for normal distributions, quadrature for any two densities of one variable, Monte
Carlo wherever one can sample. Chapter 2 derives them (Kullback and Leibler 1951).
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .blocks import Array, as_count, as_generator, as_real, is_traced
from .distributions import Distribution
from .elementwise import HALF_LOG_2PI
from .flow import Flow


def entropy_normal(std: Array) -> Array:
    """Return the differential entropy of `N(m, s²)`: `½ log(2πe s²) = ½ + ½ log 2π + log s`.

    Parameters
    ----------
    std : float or array
        Standard deviation, positive.

    Raises
    ------
    ValueError
        If a standard deviation is not positive.

    Examples
    --------
    >>> round(float(entropy_normal(1.0)), 6)
    1.418939
    """
    return HALF_LOG_2PI + np.log(_positive(std, "std")) + 0.5


def cross_entropy_normal(mean_p: Array, std_p: Array, mean_q: Array, std_q: Array) -> Array:
    """Return `-E_p[log q(x)]` for `p = N(m₁, s₁²)` and `q = N(m₂, s₂²)`.

    `½ log 2π + log s₂ + (s₁² + (m₁ - m₂)²)/(2 s₂²)`, which is entropy plus divergence.

    Parameters
    ----------
    mean_p, std_p, mean_q, std_q : float or array
        Means, and positive standard deviations.

    Raises
    ------
    ValueError
        If a standard deviation is not positive.

    Examples
    --------
    >>> round(float(cross_entropy_normal(2.0, 1.0, 0.0, 1.0)), 6)
    3.418939
    """
    std_p, std_q = _positive(std_p, "std_p"), _positive(std_q, "std_q")
    gap = (as_real(mean_p, "mean_p") - as_real(mean_q, "mean_q")) / std_q
    return HALF_LOG_2PI + np.log(std_q) + 0.5 * ((std_p / std_q) ** 2 + gap**2)


def kl_normal(mean_p: Array, std_p: Array, mean_q: Array, std_q: Array) -> Array:
    """Return `KL(N(m₁, s₁²)‖N(m₂, s₂²))`.

    `log(s₂/s₁) + (s₁² + (m₁ - m₂)²)/(2 s₂²) - ½`, in a form that loses fewer digits when the two
    are close: with `δ = s₁/s₂ - 1` it is `δ + ½δ² - log(1 + δ) + ½((m₁ - m₂)/s₂)²`.

    Parameters
    ----------
    mean_p, std_p, mean_q, std_q : float or array
        Means, and positive standard deviations.

    Raises
    ------
    ValueError
        If a standard deviation is not positive.

    Examples
    --------
    >>> float(kl_normal(2.0, 1.0, 0.0, 1.0))
    2.0
    """
    std_p, std_q = _positive(std_p, "std_p"), _positive(std_q, "std_q")
    gap = (as_real(mean_p, "mean_p") - as_real(mean_q, "mean_q")) / std_q
    delta = (std_p - std_q) / std_q
    near, far = np.log1p(np.maximum(delta, -0.5)), np.log(std_p) - np.log(std_q)
    return delta + 0.5 * delta**2 - np.where(delta < -0.5, far, near) + 0.5 * gap**2


def kl_quadrature(p: Any, q: Any) -> float:
    """Return `KL(p‖q)` by numerical integration, to about 8 digits.

    If `p` is a flow, the integral is taken over its base variable, `∫ p_Z(z) [log p(g(z)) -
    log q(g(z))] dz`, which puts the points where `p` has its mass.

    Parameters
    ----------
    p, q : Flow or Distribution
        Densities of one variable.

    Returns
    -------
    float
        `∞` if `q` vanishes where `p` does not.

    Raises
    ------
    TypeError
        If an argument has no density.
    ArithmeticError
        If the integral does not converge, as when the divergence is infinite.

    Examples
    --------
    >>> from flowtutorial import Flow, Shift, StandardNormal
    >>> shifted = Flow(StandardNormal(), Shift(2.0))
    >>> round(kl_quadrature(shifted, StandardNormal()), 8)
    2.0
    """
    from scipy.integrate import IntegrationWarning, quad

    _require_density(p, "p")
    _require_density(q, "q")
    base = p.base if isinstance(p, Flow) else p
    low, high = getattr(base, "support", (-np.inf, np.inf))
    vanishes = False

    def integrand(z: float) -> float:
        nonlocal vanishes
        weight = float(np.exp(base.log_prob(np.float64(z))))
        if weight == 0.0:
            return 0.0
        x = p.bijection.forward(z) if isinstance(p, Flow) else np.float64(z)
        log_p, log_q = float(p.log_prob(x)), float(q.log_prob(x))
        if log_p == -np.inf:  # a tail that floating point can't reach
            return 0.0
        vanishes |= log_q == -np.inf
        return weight * (log_p - log_q) if log_q > -np.inf else 0.0

    with warnings.catch_warnings():
        warnings.simplefilter("error", IntegrationWarning)
        try:
            value = quad(integrand, low, high, epsabs=1e-10, epsrel=1e-10, limit=500)[0]
        except IntegrationWarning as error:
            raise ArithmeticError(
                f"the integral of p (log p - log q) did not converge; the divergence may be "
                f"infinite ({str(error).splitlines()[0]})"
            ) from None
    return np.inf if vanishes else float(value)


def kl_monte_carlo(
    p: Any,
    q: Any,
    n: int,
    rng: np.random.Generator | int,
) -> tuple[float, float]:
    """Return an estimate of `KL(p‖q)` from `n` draws of `p`, and its standard error.

    The mean of `log p(x_i) - log q(x_i)`, and their standard deviation over `√n`.

    Parameters
    ----------
    p, q : Flow or Distribution
        `p` is sampled, both are evaluated.
    n : int
        Number of draws, at least 2.
    rng : numpy.random.Generator or int
        A generator, or a seed for a new one.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If `n` is less than 2.

    Examples
    --------
    >>> from flowtutorial import Flow, Shift, StandardNormal
    >>> shifted = Flow(StandardNormal(), Shift(2.0))
    >>> estimate, error = kl_monte_carlo(shifted, StandardNormal(), 100_000, rng=0)
    >>> abs(estimate - 2.0) < 3 * error
    True
    """
    _require_density(p, "p")
    _require_density(q, "q")
    if as_count(n, "n") < 2:
        raise ValueError(f"n: a standard error needs at least 2 draws, got {n}")
    x = p.sample(n, as_generator(rng))
    log_ratio = p.log_prob(x) - q.log_prob(x)
    estimate = float(np.mean(log_ratio))
    if not np.isfinite(estimate):
        return estimate, np.nan
    return estimate, float(np.std(log_ratio, ddof=1) / np.sqrt(n))


def _positive(std: Array, name: str) -> Array:
    std = as_real(std, name)
    if not is_traced(std) and np.any(std <= 0.0):
        raise ValueError(f"{name}: a standard deviation is positive, got {np.min(std):g}")
    return std


def _require_density(value: Any, name: str) -> None:
    if isinstance(value, type) or not isinstance(value, Distribution):
        raise TypeError(f"{name}: expected a Flow or a distribution, got {value!r}")
