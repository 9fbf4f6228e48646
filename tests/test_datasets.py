"""The shipped data are the published ones, and the targets in the plane have their stated geometry.

The statistics typed below were computed with pandas and statsmodels from the source packages
(palmerpenguins 0.1.6, statsmodels 0.15.0), not with the code under test; the moments of the targets
by integrating their formulas.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from flowtutorial import datasets

SETS = {
    # function: (rows, {key: kind}), kinds as in numpy.dtype.kind
    datasets.penguins: (
        344,
        {
            "species": "U",
            "island": "U",
            "bill_length_mm": "f",
            "bill_depth_mm": "f",
            "flipper_length_mm": "f",
            "body_mass_g": "f",
            "sex": "U",
            "year": "i",
        },
    ),
    datasets.engel: (235, {"income": "f", "food": "f"}),
    datasets.nile: (100, {"year": "i", "volume": "f"}),
    datasets.sunspots: (309, {"year": "i", "number": "f"}),
}
SHA256 = {  # of the files in the source packages, by sha256sum
    "penguins.csv": "f204db2c753b0937caac3cb35258562c14f073e4bbc76be24b4c51ce22767a93",
    "engel.csv": "796c3da0406291dd324c51901b51386be12b5f52e330afaf69584f57c06ad45c",
    "nile.csv": "88e97bea7249e5832a85e41aec6ce4b8f7b1b14aae930c8363da7f193286b598",
    "sunspots.csv": "f67889b1d9002cd5227f0e0ef54e35b419cdd85a31279adef6f73fb41e5c0a9b",
}
DATA = files("flowtutorial").joinpath("data")
every_set = pytest.mark.parametrize("load", SETS, ids=lambda f: f.__name__)


@every_set
def test_columns_types_and_rows(load: Any) -> None:
    rows, kinds = SETS[load]
    data = load()
    assert type(data) is dict
    assert {key: column.dtype.kind for key, column in data.items()} == kinds
    for column in data.values():
        assert type(column) is np.ndarray
        assert column.shape == (rows,)
        assert column.dtype.kind == "U" or column.dtype.itemsize == 8


@every_set
def test_each_call_gives_a_fresh_copy(load: Any) -> None:
    spoiled, untouched = load(), load()
    for column in spoiled.values():
        column[:] = column[0]
    spoiled.clear()
    again = load()
    assert again.keys() == untouched.keys()
    for key in again:
        assert_array_equal(again[key], untouched[key])


def test_files_are_those_of_the_sources() -> None:
    readme = DATA.joinpath("README.md").read_text(encoding="utf-8")
    tables = {entry.name: entry for entry in DATA.iterdir() if entry.name.endswith(".csv")}
    assert tables.keys() == SHA256.keys() == {f"{load.__name__}.csv" for load in SETS}
    for name, digest in SHA256.items():
        content = (
            tables[name].read_bytes().replace(b"\r\n", b"\n")
        )  # as git may have checked it out
        assert hashlib.sha256(content).hexdigest() == digest, name
        assert f"{digest}  {name}\n" in readme


def test_penguins_against_the_source() -> None:
    data = datasets.penguins()
    assert Counter(data["species"].tolist()) == {"Adelie": 152, "Gentoo": 124, "Chinstrap": 68}
    assert Counter(data["island"].tolist()) == {"Biscoe": 168, "Dream": 124, "Torgersen": 52}
    assert Counter(data["sex"].tolist()) == {"male": 168, "female": 165, "": 11}
    assert Counter(data["year"].tolist()) == {2007: 110, 2008: 114, 2009: 120}
    # DataFrame.describe(): mean, std, min, max; a missing value is missing in all four columns.
    described = {
        "bill_length_mm": (43.9219298245614, 5.4595837139265315, 32.1, 59.6),
        "bill_depth_mm": (17.151169590643274, 1.9747931568167814, 13.1, 21.5),
        "flipper_length_mm": (200.91520467836258, 14.061713679356888, 172, 231),
        "body_mass_g": (4201.754385964912, 801.9545356980955, 2700, 6300),
    }
    for key, expected in described.items():
        assert np.flatnonzero(np.isnan(data[key])).tolist() == [3, 271]
        x = data[key][~np.isnan(data[key])]
        assert_allclose((x.mean(), x.std(ddof=1), x.min(), x.max()), expected, rtol=1e-12)
    # DataFrame.groupby("species").mean()
    for species, mass in {
        "Adelie": 3700.662252,
        "Chinstrap": 3733.088235,
        "Gentoo": 5076.016260,
    }.items():
        assert_allclose(
            np.nanmean(data["body_mass_g"][data["species"] == species]), mass, rtol=1e-9
        )


def test_penguins_resolution_is_as_documented() -> None:
    data = datasets.penguins()
    for key, step in {
        "bill_length_mm": 0.1,
        "bill_depth_mm": 0.1,
        "flipper_length_mm": 1,
        "body_mass_g": 25,
    }.items():
        x = data[key][~np.isnan(data[key])] / step
        assert_allclose(x, np.round(x), atol=1e-9)
        assert np.unique(x).size < x.size  # ties


def test_engel_against_the_source() -> None:
    data = datasets.engel()
    income, food = data["income"], data["food"]
    # DataFrame.describe() and .sum()
    assert_allclose(
        (income.sum(), food.sum()), (230881.16533838297, 146675.27615863856), rtol=1e-13
    )
    assert_allclose(income.std(ddof=1), 519.2308785960844, rtol=1e-12)
    assert_allclose(food.std(ddof=1), 276.4569973141452, rtol=1e-12)
    assert_allclose((income.min(), income.max()), (377.058369, 4957.813024), rtol=1e-8)
    assert_allclose((food.min(), food.max()), (242.320202, 2032.679190), rtol=1e-8)
    # statsmodels OLS of food on income: the least-squares line drawn beside the quantiles.
    slope, intercept = np.polyfit(income, food, 1)
    assert_allclose((intercept, slope), (147.475389, 0.485178), rtol=2e-6)
    # statsmodels QuantReg(q=0.5): half of the households lie below 81.482256 + 0.560181 income.
    assert abs(np.sum(food < 81.482256 + 0.560181 * income) - 235 / 2) < 2
    _, count = np.unique(np.column_stack([income, food]), axis=0, return_counts=True)
    assert sorted(count[count > 1].tolist()) == [2, 3]


def test_nile_against_the_source() -> None:
    data = datasets.nile()
    assert_array_equal(data["year"], np.arange(1871, 1971))
    x = data["volume"]
    # DataFrame.describe() and .sum(); the mean 919.35 is also that of R's `Nile`.
    assert x.sum() == 91935
    assert_allclose(x.std(ddof=1), 169.22750063065095, rtol=1e-12)
    assert (x.min(), np.median(x), x.max()) == (456, 893.5, 1370)
    assert (x[:3].tolist(), x[-3:].tolist()) == ([1120, 1160, 963], [718, 714, 740])
    # What the docstring says about independence.
    before, after = x[data["year"] <= 1898], x[data["year"] > 1898]
    assert np.unique(x).size == 85
    assert_allclose((before.mean(), after.mean()), (1097.75, 849.9722222222222), rtol=1e-12)
    assert_allclose(_lag(x, 1), 0.5050531272779193, rtol=1e-10)
    assert_allclose(_lag(before, 1), 0.11989586993473716, rtol=1e-10)
    assert_allclose(_lag(after, 1), 0.17918734360927985, rtol=1e-10)


def test_sunspots_against_the_source() -> None:
    data = datasets.sunspots()
    assert_array_equal(data["year"], np.arange(1700, 2009))
    x = data["number"]
    # DataFrame.describe() and .sum()
    assert_allclose(x.sum(), 15373.4, rtol=1e-13)
    assert_allclose(x.std(ddof=1), 40.45259495684408, rtol=1e-12)
    assert (x.min(), np.median(x), x.max()) == (0, 40, 190.2)
    # What the docstring says about zeros, resolution and independence.
    assert data["year"][x == 0].tolist() == [1711, 1712, 1810]
    assert_allclose(10 * x, np.round(10 * x), atol=1e-9)
    assert data["year"][x != np.round(x)][0] == 1749
    assert_allclose((_lag(x, 1), _lag(x, 5)), (0.824, -0.430), atol=6e-4)


# -- targets in the plane --------------------------------------------------------------------------

PI = np.pi
TARGETS = {
    # function: the covariance matrix (of first, of both, of second) for the noise s; means are 0
    datasets.moons: lambda s: (
        (0.75 + s**2) / 0.87**2,
        # the moons' centres differ by (1, ½ - 4/π), and within a moon cov(cos t, sin t) = 0
        (0.25 * (0.5 - 4.0 / PI)) / (0.87 * 0.5),
        (0.5 - 4.0 / PI**2 + (2.0 / PI - 0.25) ** 2 + s**2) / 0.5**2,
    ),
    datasets.rings: lambda s: (15 / 16 + s**2, 0.0, 15 / 16 + s**2),
    datasets.spirals: lambda s: (
        1.0 + 1.0 / (3.0 * PI**2) + s**2,
        (1.5 * PI - 0.25 / PI) / (2.25 * PI**2),
        1.0 - 1.0 / (3.0 * PI**2) + s**2,
    ),
    datasets.checkerboard: lambda s: (4 / 3, 1 / 4, 4 / 3),
    datasets.eight_gaussians: lambda s: (1.0 + s**2, 0.0, 1.0 + s**2),
}
DEFAULTS = {"moons": 0.1, "rings": 0.05, "spirals": 0.07, "eight_gaussians": 0.18}
every_target = pytest.mark.parametrize("draw", TARGETS, ids=lambda f: f.__name__)
noisy = pytest.mark.parametrize(
    "draw", [f for f in TARGETS if f.__name__ in DEFAULTS], ids=lambda f: f.__name__
)


def test_every_public_function_is_tested() -> None:
    assert {f.__name__ for f in (*SETS, *TARGETS)} == set(datasets.__all__)


@every_target
def test_target_shape_type_and_seed(draw: Any) -> None:
    x = draw(50, 3)
    assert type(x) is np.ndarray
    assert (x.shape, x.dtype) == ((50, 2), np.float64)
    assert np.isfinite(x).all()
    assert_array_equal(draw(50, np.random.default_rng(3)), x)
    assert not np.isin(draw(50, 4), x).any()
    generator = np.random.default_rng(3)
    draw(np.int64(50), generator)
    assert not np.isin(draw(50, generator), x).any()  # a generator goes on
    assert draw(0, 0).shape == (0, 2)


@every_target
def test_target_moments(draw: Any) -> None:
    n = 200_000
    x = draw(n, 1)
    first, both, second = TARGETS[draw](DEFAULTS.get(draw.__name__, 0.0))
    # Standard errors are below 2/√n for these bounded shapes; 5 of them, under a fixed seed.
    margin = 5 * 2 / np.sqrt(n)
    assert_allclose(x.mean(axis=0), 0.0, atol=margin)
    assert_allclose(np.cov(x.T), [[first, both], [both, second]], atol=margin)


@noisy
def test_noise_is_normal_and_of_the_size_asked_for(draw: Any) -> None:
    n = 20_000
    quiet, loud, louder = (draw(n, 5, noise=s) for s in (0.0, 1.0, 2.0))
    scale = [0.87, 0.5] if draw is datasets.moons else [1.0, 1.0]
    e = (loud - quiet) * scale
    assert_allclose((louder - quiet) * scale, 2.0 * e, atol=1e-12)
    assert_allclose(e.mean(axis=0), 0.0, atol=5 / np.sqrt(n))
    assert_allclose(np.cov(e.T), np.eye(2), atol=5 * np.sqrt(2 / n))
    assert_allclose((e**4).mean(axis=0), 3.0, atol=5 * np.sqrt(96 / n))  # the normal's, not another
    assert_array_equal(draw(9, 5), draw(9, 5, noise=DEFAULTS[draw.__name__]))
    assert_array_equal(draw(9, 5, noise=0), draw(9, 5, noise=0.0))


def test_moons_without_noise_are_two_half_circles() -> None:
    x = datasets.moons(4000, 2, noise=0.0) * [0.87, 0.5] + [0.5, 0.25]
    upper = np.isclose(np.hypot(x[:, 0], x[:, 1]), 1.0) & (x[:, 1] > 0.0)
    lower = np.isclose(np.hypot(x[:, 0] - 1.0, x[:, 1] - 0.5), 1.0) & (x[:, 1] < 0.5)
    assert np.all(upper ^ lower)
    assert abs(upper.mean() - 0.5) < 5 * 0.5 / np.sqrt(4000)
    _even(np.arctan2(x[upper, 1], x[upper, 0]), 0.0, PI)
    _even(np.arctan2(0.5 - x[lower, 1], 1.0 - x[lower, 0]), 0.0, PI)


def test_rings_without_noise_are_four_circles() -> None:
    x = datasets.rings(4000, 2, noise=0.0)
    radius, count = np.unique(np.hypot(x[:, 0], x[:, 1]).round(9), return_counts=True)
    assert radius.tolist() == [0.5, 1.0, 1.5, 2.0]
    assert np.all(np.abs(count - 1000) < 5 * np.sqrt(750))
    _even(np.arctan2(x[:, 1], x[:, 0]), -PI, PI)


def test_spirals_without_noise_turn_once_and_a_half() -> None:
    x = datasets.spirals(4000, 2, noise=0.0)
    r = np.hypot(x[:, 0], x[:, 1])
    t = 1.5 * PI * r
    arm = np.sign(-x[:, 0] * np.cos(t) + x[:, 1] * np.sin(t))
    assert_allclose(x, (arm * r)[:, None] * np.stack([-np.cos(t), np.sin(t)], axis=1), atol=1e-12)
    assert abs(arm.mean()) < 5 / np.sqrt(4000)
    _even(r**2, 0.0, 4.0)
    _even(r[arm > 0] ** 2, 0.0, 4.0)


def test_checkerboard_is_even_on_its_dark_squares() -> None:
    x = datasets.checkerboard(8000, 2)
    square = np.floor(x).astype(int)
    assert square.min() == -2
    assert square.max() == 1
    assert np.all(square.sum(axis=1) % 2 == 0)
    _, count = np.unique(square, axis=0, return_counts=True)
    assert count.size == 8
    assert np.all(np.abs(count - 1000) < 5 * np.sqrt(875))
    for within in (x - square).T:
        _even(within, 0.0, 1.0)


def test_eight_gaussians_without_noise_are_eight_points() -> None:
    x = datasets.eight_gaussians(8000, 2, noise=0.0)
    points, count = np.unique(x.round(9) + 0.0, axis=0, return_counts=True)
    root = np.sqrt(2.0)
    expected = [(-root, 0), (-1, -1), (-1, 1), (0, -root), (0, root), (1, -1), (1, 1), (root, 0)]
    assert_allclose(points, expected, atol=1e-9)
    assert np.all(np.abs(count - 1000) < 5 * np.sqrt(875))


@every_target
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((-1, 0), ValueError, "n: expected 0 or more, got -1"),
        ((2.0, 0), TypeError, "n: expected an integer, got 2.0"),
        ((True, 0), TypeError, "n: expected an integer, got True"),
        ((2, None), TypeError, "rng: expected numpy.random.default_rng"),
        ((2, np.random.RandomState(0)), TypeError, "rng: expected numpy.random.default_rng"),
        ((2, -1), ValueError, "rng: a seed is not negative"),
    ],
)
def test_target_refuses(draw: Any, arguments: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        draw(*arguments)


@noisy
@pytest.mark.parametrize(
    ("noise", "error"),
    [
        (-0.1, ValueError),
        (np.nan, ValueError),
        (np.inf, ValueError),
        ([0.1, 0.1], ValueError),
        ("0.1", TypeError),
        (None, TypeError),
        (True, TypeError),
        (1j, TypeError),
    ],
)
def test_target_refuses_noise(draw: Any, noise: Any, error: Any) -> None:
    with pytest.raises(error, match=r"noise: "):
        draw(2, 0, noise=noise)


def _even(x: np.ndarray, low: float, high: float) -> None:
    """Check by Kolmogorov's distance, at five times its usual size, that `x` is spread evenly."""
    share = (np.sort(x) - low) / (high - low)
    assert np.abs(share - np.linspace(0.0, 1.0, x.size)).max() < 2.5 / np.sqrt(x.size)


def _lag(x: np.ndarray, k: int) -> float:
    """Correlation of a series with itself, k steps later."""
    return float(np.corrcoef(x[k:], x[:-k])[0, 1])
