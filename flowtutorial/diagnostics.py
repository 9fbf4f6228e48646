"""Is the flow any good? Checks of a fitted density against data, and of its total mass.

If the flow is the distribution of the data, its distribution function makes them uniform, and a
worm plot of their normal scores stays within its band. Chapter 7 derives these checks, and shows
why a test that forgets about the fit almost never rejects.
"""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from .blocks import Array, as_count, as_generator, as_observations
from .distributions import StandardNormal
from .flow import Flow
from .likelihood import fit


def pit(flow: Flow, x: Array) -> Array:
    """Return the probability integral transform `F(x_i)` of data under a flow.

    Uniform on (0, 1) if the flow is right (Rosenblatt 1952; Dawid 1984).

    Parameters
    ----------
    flow : Flow
        Of one variable, over a base with a `cdf`.
    x : array
        Finite data.

    Returns
    -------
    array of shape (n,)

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or the data are empty or not finite.

    Examples
    --------
    >>> from flowtutorial import Flow, Shift, StandardNormal
    >>> pit(Flow(StandardNormal(), Shift(2.0)), [1.0, 2.0]).round(4)
    array([0.1587, 0.5   ])
    """
    flow, x = _checked(flow, x)
    values: Array = flow.cdf(x)
    return values


def normal_scores(flow: Flow, x: Array) -> Array:
    """Return `Φ⁻¹(F(x_i))`, also called quantile residuals: standard normal if the flow is right.

    Over a standard normal base these are the base values `f(x_i)`, or their negatives where the
    map decreases; so they keep their digits in both tails (Dunn and Smyth 1996).

    Parameters
    ----------
    flow : Flow
        Of one variable.
    x : array
        Finite data.

    Returns
    -------
    array of shape (n,)

    Raises
    ------
    TypeError, ValueError
        As for `pit`.

    Examples
    --------
    >>> from flowtutorial import Flow, Shift, StandardNormal
    >>> normal_scores(Flow(StandardNormal(), Shift(2.0)), [1.0, 12.0])
    array([-1., 10.])
    """
    from scipy.special import ndtri

    flow, x = _checked(flow, x)
    if not isinstance(flow.base, StandardNormal):
        scores: Array = ndtri(flow.cdf(x))
        return scores
    low, high = flow.support
    inside = (x > low) & (x < high)
    z = flow.bijection.inverse(np.where(inside, x, np.nan))
    beyond = np.where(x >= high, np.inf, -np.inf)
    return np.where(inside, z if flow.is_increasing() else -z, beyond)


class Worm(NamedTuple):
    """What a worm plot shows: `deviation` against `theoretical`, between `low` and `high`."""

    theoretical: Array
    deviation: Array
    low: Array
    high: Array


def worm(
    flow: Flow,
    x: Array,
    *,
    level: float = 0.95,
    band: str = "simultaneous",
    draws: int = 2000,
    rng: np.random.Generator | int = 0,
) -> Worm:
    """Return a worm plot: sorted normal scores minus the quantiles that they should be near.

    `deviation_i = z_(i) - Φ⁻¹((i - ½)/n)` (van Buuren and Fredriks 2001). A band that is
    `"pointwise"` holds each point with the given probability, so that some leave it even if the
    flow is right. One that is `"simultaneous"` holds all of them at once: pointwise bands, of the
    level that keeps this share of simulated samples inside (Aldor-Noiman et al. 2013). Both are for
    a flow given beforehand; after a fit to the same data they are too wide.

    Parameters
    ----------
    flow : Flow
        Of one variable.
    x : array of n values
        Finite data.
    level : float
        Probability, between 0 and 1.
    band : {"simultaneous", "pointwise"}
    draws : int
        Number of samples simulated for a simultaneous band.
    rng : numpy.random.Generator or int
        A generator, or a seed for a new one.

    Returns
    -------
    Worm
        Four arrays of shape (n,), in the order of the sorted data.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of its range.

    Examples
    --------
    >>> from flowtutorial import Flow, Shift, StandardNormal
    >>> flow = Flow(StandardNormal(), Shift(2.0))
    >>> found = worm(flow, flow.sample(100, rng=2))
    >>> bool(np.all((found.low < found.deviation) & (found.deviation < found.high)))
    True
    """
    from scipy.special import ndtri
    from scipy.stats import beta

    if not 0.0 < level < 1.0:
        raise ValueError(f"level: expected a probability between 0 and 1, got {level}")
    if band not in ("simultaneous", "pointwise"):
        raise ValueError(f"band: expected 'simultaneous' or 'pointwise', got {band!r}")
    scores = np.sort(normal_scores(flow, x))
    n = scores.size
    rank = np.arange(1, n + 1)
    ordered = beta(rank, n + 1 - rank)  # the ranked values of a uniform sample
    theoretical = ndtri((rank - 0.5) / n)
    outside = 1.0 - level
    if band == "simultaneous":
        if as_count(draws, "draws") < 100:
            raise ValueError(f"draws: a simulated band needs at least 100, got {draws}")
        generator = as_generator(rng)
        extremes = np.empty(draws)
        for index in range(draws):
            tail = ordered.cdf(np.sort(generator.random(n)))
            extremes[index] = 2.0 * np.minimum(tail, 1.0 - tail).min()
        outside = float(np.quantile(extremes, outside))
    low, high = (ndtri(ordered.ppf(q)) - theoretical for q in (outside / 2, 1.0 - outside / 2))
    return Worm(theoretical, scores - theoretical, low, high)


class KSResult(NamedTuple):
    """A statistic, and the probability of one at least as large if the flow is right."""

    statistic: float
    p_value: float


def ks_test(flow: Flow, x: Array) -> KSResult:
    """Return the Kolmogorov-Smirnov test of data against a flow given beforehand.

    The statistic is `max_x |F_n(x) - F(x)|`. Its p-value is right only if the flow was not fitted
    to these data: after a fit `F` follows them, the statistic is smaller, and the test almost never
    rejects. Use `ks_test_refitted` then.

    Parameters
    ----------
    flow : Flow
        Of one variable.
    x : array
        Finite data.

    Returns
    -------
    KSResult

    Raises
    ------
    TypeError, ValueError
        As for `pit`.

    Examples
    --------
    >>> from flowtutorial import Flow, Shift, StandardNormal
    >>> result = ks_test(Flow(StandardNormal(), Shift(0.0)), [-1.0, 0.0, 1.0])
    >>> round(result.statistic, 4), round(result.p_value, 4)
    (0.1747, 1.0)
    """
    from scipy.stats import kstest

    result = kstest(pit(flow, x), "uniform")
    return KSResult(float(result.statistic), float(result.pvalue))


def ks_test_refitted(
    flow: Flow, x: Array, *, draws: int = 199, rng: np.random.Generator | int = 0
) -> KSResult:
    """Return the Kolmogorov-Smirnov test of a family of flows whose parameters are fitted.

    Parametric bootstrap: the flow is fitted to the data, samples of the same size are drawn from
    the fit, the flow is fitted to each, and the statistic of the data is ranked among theirs:
    `p = (1 + number at least as large)/(1 + draws)` (Stute, González Manteiga and Presedo Quindimil
    1993; Lilliefors 1967 for the normal).

    Parameters
    ----------
    flow : Flow
        Where the fit to the data starts.
    x : array
        Finite data.
    draws : int
        Number of samples.
    rng : numpy.random.Generator or int
        A generator, or a seed for a new one.

    Returns
    -------
    KSResult

    Raises
    ------
    TypeError, ValueError
        As for `fit`.
    ArithmeticError
        If the fit to the data, or one in ten of those to the samples, does not converge.

    Examples
    --------
    >>> from flowtutorial import Flow, Shift, StandardNormal
    >>> start = Flow(StandardNormal(), Shift(0.0))
    >>> ks_test_refitted(start, start.sample(50, rng=3), draws=99).p_value > 0.05
    True
    """
    if as_count(draws, "draws") < 19:
        raise ValueError(f"draws: a p-value of 0.05 needs at least 19, got {draws}")
    flow, x = _checked(flow, x)
    found = fit(flow, x, progress=False)
    if not found.converged:
        raise ArithmeticError(f"the fit to the data did not converge: {found.message}")
    generator, statistic = as_generator(rng), ks_test(found.flow, x).statistic
    larger = failed = 0
    for _ in range(draws):
        sample = found.flow.sample(x.size, generator)
        again = fit(found.flow, sample, progress=False)
        failed += not again.converged
        larger += ks_test(again.flow, sample).statistic >= statistic
    if failed > draws / 10:
        raise ArithmeticError(f"{failed} of {draws} fits to simulated samples did not converge")
    return KSResult(statistic, (1 + larger) / (1 + draws))


class HeldOut(NamedTuple):
    """Mean log-likelihood of data that were not used in the fit, and its standard error.

    `log_prob` has the value of each observation: to compare two flows, take the mean and the
    standard error of the differences.
    """

    mean: float
    standard_error: float
    log_prob: Array


def held_out(flow: Flow, x: Array, folds: int = 10, rng: np.random.Generator | int = 0) -> HeldOut:
    """Return the cross-validated log-likelihood of a flow (Stone 1974).

    The data are divided at random into `folds` parts of nearly equal size. Each is judged by a fit
    to all others. The standard error, `sd/√n` over the observations, takes them as independent,
    which fits that share data make only nearly true.

    Parameters
    ----------
    flow : Flow
        Where each fit starts.
    x : array of n values
        Finite data.
    folds : int
        At least 2 and at most `n`.
    rng : numpy.random.Generator or int
        A generator, or a seed for a new one, for the division.

    Returns
    -------
    HeldOut

    Raises
    ------
    TypeError, ValueError
        As for `fit`; if there are too few or too many folds.
    ArithmeticError
        If a fit does not converge; the message has its number.

    Examples
    --------
    >>> from flowtutorial import Flow, Shift, StandardNormal
    >>> held_out(Flow(StandardNormal(), Shift(0.0)), [-1.0, 1.0, 0.0], folds=3).log_prob.round(4)
    array([-2.0439, -2.0439, -0.9189])
    """
    flow, x = _checked(flow, x)
    if not 2 <= as_count(folds, "folds") <= x.size:
        raise ValueError(f"folds: expected 2 to {x.size} for as many observations, got {folds}")
    order = as_generator(rng).permutation(x.size)
    log_prob = np.empty(x.size)
    for number, part in enumerate(np.array_split(order, folds), start=1):
        found = fit(flow, np.delete(x, part), progress=False)
        if not found.converged:
            raise ArithmeticError(f"the fit without part {number} of {folds}: {found.message}")
        log_prob[part] = found.flow.log_prob(x[part])
    mean = float(np.mean(log_prob))
    spread = float(np.std(log_prob, ddof=1)) if np.isfinite(mean) else np.nan
    return HeldOut(mean, spread / float(np.sqrt(x.size)), log_prob)


class Normalisation(NamedTuple):
    """The total mass of a density, integrated over the base variable and over the data."""

    over_base: float
    over_data: float


def normalisation(flow: Flow) -> Normalisation:
    """Return `∫ p(g(z)) |g'(z)| dz` and `∫ p(x) dx` by quadrature; both are 1.

    The first puts its points where the base has its mass and uses both directions of the map, the
    second uses the density alone, between the images of base quantiles. A value other than 1 means
    a wrong log-determinant, or a density too narrow or too heavy-tailed for the quadrature.

    Parameters
    ----------
    flow : Flow
        Of one variable, over a base with a `quantile`.

    Returns
    -------
    Normalisation

    Raises
    ------
    TypeError
        If `flow` is of another kind, or its base has no quantiles.

    Examples
    --------
    >>> from flowtutorial import Affine, Flow, StandardNormal
    >>> mass = normalisation(Flow(StandardNormal(), Affine(3.0, 1.0)))
    >>> round(mass.over_base, 9), round(mass.over_data, 9)
    (1.0, 1.0)
    """
    _require_flow(flow)
    if not hasattr(flow.base, "quantile"):
        raise TypeError(f"base: {type(flow.base).__name__} has no method quantile")
    g = flow.bijection

    def over_base(z: float) -> float:
        x, log_det = g.forward_and_log_det(np.array([z]))
        with np.errstate(invalid="ignore"):  # a tail where p is 0 and |g'| infinite
            mass = np.exp(flow.log_prob(x) + log_det)[0]
        return float(mass) if np.isfinite(mass) else 0.0

    def over_data(x: float) -> float:
        return float(np.exp(flow.log_prob(np.float64(x))))

    tail = 10.0 ** np.array([-300, -100, -30, -12, -6, -4, -3, -2])
    middle = np.linspace(0.02, 0.98, 25)
    # floating point has no probabilities close to 1 but by the mirror image
    levels = np.concatenate([tail, middle, 1.0 - tail[3:][::-1]])
    z = np.unique(flow.base.quantile(levels))
    x = np.unique(flow.bijection.forward(z))
    low, high = getattr(flow.base, "support", (-np.inf, np.inf))
    ends = flow.support
    return Normalisation(
        _integral(over_base, [low, *z[np.isfinite(z)], high]),
        _integral(over_data, [ends[0], *x[np.isfinite(x)], ends[1]]),
    )


def _integral(function: Any, points: list[float]) -> float:
    from scipy.integrate import IntegrationWarning, quad

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IntegrationWarning)  # what is missed shows in the sum
        parts = [quad(function, a, b, limit=200)[0] for a, b in pairwise(points) if a < b]
    return float(sum(parts))


def _checked(flow: Any, x: Array) -> tuple[Flow, Array]:
    _require_flow(flow)
    return flow, as_observations(x, "x")


def _require_flow(flow: Any) -> None:
    if not isinstance(flow, Flow):
        raise TypeError(f"flow: expected a Flow, got {flow!r}")
