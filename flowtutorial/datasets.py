"""Data for the chapters: four small sets of real data, and five targets in the plane.

Real data are shipped and read from disk at every call, as a plain dict of NumPy arrays, so that a
chapter can begin with `x = nile()["volume"]`; where the files come from, under which licence and
with which checksums stands in `data/README.md` beside them. The targets are drawn at random, as an
array of shape (n, 2): shapes on which one sees what a flow can do, each with mean zero and of about
unit size. No chapter derives anything here.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blocks import as_count, as_generator, as_real

__all__ = [
    "checkerboard",
    "eight_gaussians",
    "engel",
    "moons",
    "nile",
    "penguins",
    "rings",
    "spirals",
    "sunspots",
]


def penguins() -> dict[str, NDArray[Any]]:
    """Size measurements of 344 penguins of three species, Palmer Archipelago, Antarctica.

    Kristen Gorman and the Palmer Station Long Term Ecological Research programme measured breeding
    birds from 2007 to 2009; Allison Horst, Alison Hill and Gorman made the table known in 2020 as a
    set for teaching.

    Returns
    -------
    dict of numpy.ndarray
        Eight arrays of length 344:

        * `species` (str): `Adelie` (152), `Chinstrap` (68) or `Gentoo` (124);
        * `island` (str): `Biscoe` (168), `Dream` (124) or `Torgersen` (52);
        * `bill_length_mm`, `bill_depth_mm` (float64): millimetres, recorded to 0.1 mm;
        * `flipper_length_mm` (float64): millimetres, recorded to 1 mm;
        * `body_mass_g` (float64): grams, recorded to 25 g;
        * `sex` (str): `female` (165), `male` (168), or the empty string where it is missing (11);
        * `year` (int64): the year of the study, 2007 (110), 2008 (114) or 2009 (120).

    Notes
    -----
    Two birds have none of the four measurements; theirs are NaN. The records are coarse, so every
    measured column has ties: a density that may grow without bound at one value needs the data
    dequantised first, for example by uniform noise as wide as the resolution. Birds were
    measured in pairs, nest by nest, so neighbouring rows are not strictly independent.

    Source: Python package `palmerpenguins` 0.1.6. Licence: CC0 1.0.

    References
    ----------
    Gorman, Williams and Fraser (2014), Ecological sexual dimorphism and environmental variability
    within a community of Antarctic penguins (genus Pygoscelis). PLoS ONE 9(3): e90081.

    Examples
    --------
    >>> data = penguins()
    >>> list(data)[:3]
    ['species', 'island', 'bill_length_mm']
    >>> print(np.nanmean(data["body_mass_g"]).round(1))
    4201.8
    >>> int(np.isnan(data["body_mass_g"]).sum())
    2

    Two columns side by side, without the birds that were not measured:

    >>> x = np.column_stack([data["bill_length_mm"], data["bill_depth_mm"]])
    >>> x[~np.isnan(x).any(axis=1)].shape
    (342, 2)
    """
    column = _columns("penguins.csv")
    measured = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
    return {
        "species": _text(column["species"]),
        "island": _text(column["island"]),
        **{name: _real(column[name]) for name in measured},
        "sex": _text(column["sex"]),
        "year": column["year"].astype(np.int64),
    }


def engel() -> dict[str, NDArray[Any]]:
    """Income and food expenditure of 235 Belgian working-class households, 1857.

    Ernst Engel read from household budgets of this kind that the share spent on food falls as
    income rises, Engel's law; Koenker and Bassett (1982) made this table the standard example of
    quantile regression.

    Returns
    -------
    dict of numpy.ndarray
        Two arrays of length 235:

        * `income` (float64): annual household income, Belgian francs;
        * `food` (float64): annual household expenditure on food, Belgian francs.

    Notes
    -----
    No value is missing, all are positive, and both columns are skewed to the right. One row appears
    twice and another three times.

    Source: Python package `statsmodels` 0.15.0, which has it from the R package `quantreg`.
    Licence: public domain, as `statsmodels` declares.

    References
    ----------
    Koenker and Bassett (1982), Robust tests of heteroscedasticity based on regression quantiles.
    Econometrica 50, 43-61.

    Examples
    --------
    >>> data = engel()
    >>> data["income"].shape
    (235,)
    >>> print((data["food"] / data["income"]).mean().round(3))
    0.656

    Both columns side by side; none is missing:

    >>> np.column_stack([data["income"], data["food"]]).shape
    (235, 2)
    """
    column = _columns("engel.csv")
    return {"income": _real(column["income"]), "food": _real(column["foodexp"])}


def nile() -> dict[str, NDArray[Any]]:
    """Annual volume of the Nile at Aswan, 1871 to 1970.

    Cobb (1978) asked when the level of the river had changed, and the series has been the test case
    for change points ever since.

    Returns
    -------
    dict of numpy.ndarray
        Two arrays of length 100:

        * `year` (int64): 1871 to 1970;
        * `volume` (float64): annual discharge, 10⁸ m³, recorded to 10⁸ m³.

    Notes
    -----
    No value is missing; 85 of the 100 volumes are distinct.

    This is a time series. To treat its years as independent is to say that their order carries no
    information. It does: the mean is 1098 until 1898 and 850 afterwards, and consecutive years
    correlate by 0.51, though by less than 0.2 within either period. A density fitted to all the
    years describes the two periods mixed, not a year to come, and standard errors computed as for
    100 independent values are too small.

    Source: Python package `statsmodels` 0.15.0. Licence: public domain, as `statsmodels` declares.

    References
    ----------
    Cobb (1978), The problem of the Nile: conditional solution to a changepoint problem. Biometrika
    65, 243-251.

    Examples
    --------
    >>> data = nile()
    >>> print(data["volume"].mean())
    919.35
    >>> data["year"][[0, -1]].tolist()
    [1871, 1970]
    """
    column = _columns("nile.csv")
    return {"year": column["year"].astype(np.int64), "volume": _real(column["volume"])}


def sunspots() -> dict[str, NDArray[Any]]:
    """Yearly mean sunspot number, 1700 to 2008.

    Rudolf Wolf assembled the series from old observations in the nineteenth century and carried it
    back to 1700; Yule (1927) invented autoregression to describe it.

    Returns
    -------
    dict of numpy.ndarray
        Two arrays of length 309:

        * `year` (int64): 1700 to 2008;
        * `number` (float64): yearly mean of the relative sunspot number, an index without unit,
          recorded to 0.1 (to 1 before 1749), on the scale used until its revision of 2015.

    Notes
    -----
    No value is missing; the number is never negative and is 0 in 1711, 1712 and 1810, so a flow
    onto the open interval (0, ∞) gives these three years no density.

    This is a time series with a cycle of about eleven years. To treat its years as independent is
    to forget the cycle: consecutive years correlate by 0.82, years five apart by -0.43. A density
    fitted to all of them describes a year drawn at random from these three centuries, not the next
    year, and standard errors computed as for 309 independent values are too small.

    Source: Python package `statsmodels` 0.15.0, which has it from the United States National
    Geophysical Data Center. Licence: public domain, as `statsmodels` declares.

    References
    ----------
    Yule (1927), On a method of investigating periodicities in disturbed series, with special
    reference to Wolfer's sunspot numbers. Philosophical Transactions of the Royal Society A 226,
    267-298.

    Examples
    --------
    >>> data = sunspots()
    >>> print(data["number"].max(), data["year"][data["number"].argmax()])
    190.2 1957
    """
    column = _columns("sunspots.csv")
    return {"year": column["YEAR"].astype(np.int64), "number": _real(column["SUNACTIVITY"])}


def moons(n: int, rng: np.random.Generator | int, noise: float = 0.1) -> NDArray[np.float64]:
    """Draw from two interleaved half circles, the upper and the lower moon.

    With `t` uniform on `(0, π)`, a moon chosen with probability ½ and `e` standard normal in the
    plane, `y = (cos t, sin t) + noise·e` on the upper moon and
    `y = (1 - cos t, ½ - sin t) + noise·e` on the lower one. The result is
    `(y - (0.5, 0.25))/(0.87, 0.5)`.

    Parameters
    ----------
    n : int
        How many points.
    rng : numpy.random.Generator or int
        A generator, or a seed for a new one.
    noise : float
        Standard deviation of the noise, in units of the circles' radius before they are scaled.

    Returns
    -------
    numpy.ndarray
        Shape (n, 2), float64, without unit. The mean is 0 and, with the default noise, the
        variance of both coordinates within 2 % of 1; without noise the points lie in
        [-1.73, 1.73] × [-1.5, 1.5].

    Raises
    ------
    TypeError
        If an argument is of another type.
    ValueError
        If `n`, a seed or `noise` is negative, or `noise` is not finite.

    References
    ----------
    Pedregosa et al. (2011), Scikit-learn: machine learning in Python. Journal of Machine Learning
    Research 12, 2825-2830, whose `make_moons` takes `t` at equal distances. Dinh, Sohl-Dickstein
    and Bengio (2017), Density estimation using Real NVP, figure 1, for the moons as a target.

    Examples
    --------
    >>> x = moons(1000, rng=0)
    >>> x.shape, np.abs(x.mean(axis=0)).max() < 0.1
    ((1000, 2), np.True_)
    """
    n, rng, noise = as_count(n, "n"), as_generator(rng), _noise(noise)
    t, upper = np.pi * rng.random(n), rng.random(n) < 0.5
    first = np.where(upper, np.cos(t), 1.0 - np.cos(t))
    second = np.where(upper, np.sin(t), 0.5 - np.sin(t))
    y = np.stack([first, second], axis=1) + noise * rng.standard_normal((n, 2))
    x: NDArray[np.float64] = (y - np.array([0.5, 0.25])) / np.array([0.87, 0.5])
    return x


def rings(n: int, rng: np.random.Generator | int, noise: float = 0.05) -> NDArray[np.float64]:
    """Draw from four circles about the origin.

    With `r` one of ½, 1, 3/2 and 2, each with probability ¼, `t` uniform on `(0, 2π)` and `e`
    standard normal in the plane, `x = r (cos t, sin t) + noise·e`.

    Parameters
    ----------
    n : int
        How many points.
    rng : numpy.random.Generator or int
        A generator, or a seed for a new one.
    noise : float
        Standard deviation of the noise, in units of the result.

    Returns
    -------
    numpy.ndarray
        Shape (n, 2), float64, without unit. The mean is 0 and the variance of both coordinates
        `15/16 + noise²`; without noise the points lie within 2 of the origin.

    Raises
    ------
    TypeError
        If an argument is of another type.
    ValueError
        If `n`, a seed or `noise` is negative, or `noise` is not finite.

    References
    ----------
    Grathwohl, Chen, Bettencourt, Sutskever and Duvenaud (2019), FFJORD: free-form continuous
    dynamics for scalable reversible generative models. Their rings have the largest radius 3 and
    as many points on each; these are two thirds of the size.

    Examples
    --------
    >>> x = rings(1000, rng=0, noise=0.0)
    >>> np.unique(np.hypot(x[:, 0], x[:, 1]).round(9))
    array([0.5, 1. , 1.5, 2. ])
    """
    n, rng, noise = as_count(n, "n"), as_generator(rng), _noise(noise)
    r, t = 0.5 * rng.integers(1, 5, n), 2.0 * np.pi * rng.random(n)
    return np.stack([r * np.cos(t), r * np.sin(t)], axis=1) + noise * rng.standard_normal((n, 2))


def spirals(n: int, rng: np.random.Generator | int, noise: float = 0.07) -> NDArray[np.float64]:
    """Draw from two spirals of one and a half turns, one the other's image through the origin.

    With `u` uniform on `(0, 1)`, `r = 2√u`, `t = 3π√u`, `s` either 1 or -1 with probability ½ and
    `e` standard normal in the plane, `x = s r (-cos t, sin t) + noise·e`. The square root gives
    stretches of equal length nearly equally many points.

    Parameters
    ----------
    n : int
        How many points.
    rng : numpy.random.Generator or int
        A generator, or a seed for a new one.
    noise : float
        Standard deviation of the noise, in units of the result. Neighbouring arms are ⅔ apart.

    Returns
    -------
    numpy.ndarray
        Shape (n, 2), float64, without unit. The mean is 0 and the variances of the coordinates
        are `1 ± 1/(3π²) + noise²`; without noise the points lie within 2 of the origin.

    Raises
    ------
    TypeError
        If an argument is of another type.
    ValueError
        If `n`, a seed or `noise` is negative, or `noise` is not finite.

    References
    ----------
    Grathwohl, Chen, Bettencourt, Sutskever and Duvenaud (2019), FFJORD: free-form continuous
    dynamics for scalable reversible generative models. Their spirals end at the radius π and have
    uniform noise besides the normal.

    Examples
    --------
    >>> x = spirals(1000, rng=0)
    >>> x.shape, np.hypot(x[:, 0], x[:, 1]).max() < 2.5
    ((1000, 2), np.True_)
    """
    n, rng, noise = as_count(n, "n"), as_generator(rng), _noise(noise)
    root, sign = np.sqrt(rng.random(n)), np.where(rng.random(n) < 0.5, 1.0, -1.0)
    r, t = 2.0 * sign * root, 3.0 * np.pi * root
    return np.stack([-r * np.cos(t), r * np.sin(t)], axis=1) + noise * rng.standard_normal((n, 2))


def checkerboard(n: int, rng: np.random.Generator | int) -> NDArray[np.float64]:
    """Draw evenly from the dark squares of a board of four by four.

    The board is [-2, 2) × [-2, 2), and a square is dark where `⌊x₁⌋ + ⌊x₂⌋` is even. With `u` and
    `v` uniform on (0, 1) and `k` either 0 or 1 with probability ½, `x₁ = 4u - 2` and
    `x₂ = v - 2k + (⌊x₁⌋ mod 2)`.

    Parameters
    ----------
    n : int
        How many points.
    rng : numpy.random.Generator or int
        A generator, or a seed for a new one.

    Returns
    -------
    numpy.ndarray
        Shape (n, 2), float64, without unit: the side of a square is 1. The mean is 0, the variance
        of both coordinates 4/3 and their covariance 1/4. The density is 1/8 on the dark squares,
        so no model has a mean log-likelihood above `-log 8 = -2.079` but by chance.

    Raises
    ------
    TypeError
        If an argument is of another type.
    ValueError
        If `n` or a seed is negative.

    References
    ----------
    Grathwohl, Chen, Bettencourt, Sutskever and Duvenaud (2019), FFJORD: free-form continuous
    dynamics for scalable reversible generative models, whose board is twice as large.

    Examples
    --------
    >>> x = checkerboard(1000, rng=0)
    >>> np.unique(np.floor(x).sum(axis=1) % 2.0)
    array([0.])
    """
    n, rng = as_count(n, "n"), as_generator(rng)
    first = 4.0 * rng.random(n) - 2.0
    second = rng.random(n) - 2.0 * rng.integers(0, 2, n) + np.floor(first) % 2.0
    return np.stack([first, second], axis=1)


def eight_gaussians(
    n: int, rng: np.random.Generator | int, noise: float = 0.18
) -> NDArray[np.float64]:
    """Draw from a mixture of eight normal distributions in a circle.

    With `k` one of 0, …, 7, each with probability ⅛, and `e` standard normal in the plane,
    `x = √2 (cos(πk/4), sin(πk/4)) + noise·e`.

    Parameters
    ----------
    n : int
        How many points.
    rng : numpy.random.Generator or int
        A generator, or a seed for a new one.
    noise : float
        Standard deviation of each component, in units of the result. Neighbouring means are 1.08
        apart.

    Returns
    -------
    numpy.ndarray
        Shape (n, 2), float64, without unit. The mean is 0 and the variance of both coordinates
        `1 + noise²`.

    Raises
    ------
    TypeError
        If an argument is of another type.
    ValueError
        If `n`, a seed or `noise` is negative, or `noise` is not finite.

    References
    ----------
    Grathwohl, Chen, Bettencourt, Sutskever and Duvenaud (2019), FFJORD: free-form continuous
    dynamics for scalable reversible generative models. Their circle is twice as large; the
    standard deviation is an eighth of the radius there and about so here.

    Examples
    --------
    >>> x = eight_gaussians(1000, rng=0, noise=0.0)
    >>> np.unique(x.round(9), axis=0).shape
    (8, 2)
    """
    n, rng, noise = as_count(n, "n"), as_generator(rng), _noise(noise)
    t = np.pi / 4.0 * rng.integers(0, 8, n)
    x = np.sqrt(2.0) * np.stack([np.cos(t), np.sin(t)], axis=1)
    return np.asarray(x + noise * rng.standard_normal((n, 2)))


def _noise(value: object) -> float:
    """Return a standard deviation: one real number, finite and not negative."""
    number = as_real(value, "noise")
    if np.ndim(number) != 0 or not 0.0 <= number < np.inf:
        raise ValueError(f"noise: expected a finite number, 0 or more, got {value!r}")
    return float(number)


def _columns(name: str) -> dict[str, NDArray[np.str_]]:
    """Return the columns of a shipped table as text, by the name in its header."""
    with files("flowtutorial").joinpath("data", name).open(encoding="utf-8") as file:
        header, *rows = np.loadtxt(file, dtype=str, delimiter=",", quotechar='"', comments=None)
    return dict(zip(header.tolist(), np.transpose(rows), strict=True))


def _real(column: NDArray[np.str_]) -> NDArray[np.float64]:
    return np.where(column == "NA", "nan", column).astype(np.float64)


def _text(column: NDArray[np.str_]) -> NDArray[np.str_]:
    return np.array(["" if value == "NA" else value for value in column.tolist()])
