"""Diagnostics: against SciPy, by simulation, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from flowtutorial import (
    Affine,
    Chain,
    Exp,
    Flow,
    Logistic,
    LogisticMixture,
    NormalCDF,
    RationalQuadraticSpline,
    Shift,
    SinhArcsinh,
    StandardNormal,
    Uniform,
    fit,
)
from flowtutorial.diagnostics import (
    held_out,
    ks_test,
    ks_test_refitted,
    normal_scores,
    normalisation,
    pit,
    worm,
)

RIGHT = Flow(StandardNormal(), Affine(1.0, 0.5))
X = RIGHT.sample(200, rng=7)
FAR_APART = LogisticMixture([0.5], [-5.0, 90.0], [-2.0, 0.0])
NEGATIVE = Chain((Exp(), Affine(-3.0, 0.0)))


def test_pit_is_the_distribution_function() -> None:
    expected = stats.norm.cdf(X, 1.0, np.exp(0.5))
    np.testing.assert_allclose(pit(RIGHT, X), expected, rtol=1e-13)
    np.testing.assert_array_equal(pit(Flow(StandardNormal(), NEGATIVE), [-4.0, -3.0]), [0.0, 0.0])


def test_normal_scores_are_exact_in_both_tails() -> None:
    np.testing.assert_allclose(
        normal_scores(RIGHT, 1.0 + np.exp(0.5) * np.array([-30.0, 0.0, 30.0])), [-30.0, 0.0, 30.0]
    )
    logistic = Flow(Logistic(), Affine(0.0, 0.0))
    expected = stats.norm.ppf(stats.logistic.cdf([-2.0, 1.0]))
    np.testing.assert_allclose(normal_scores(logistic, [-2.0, 1.0]), expected)
    assert normal_scores(Flow(StandardNormal(), NEGATIVE), [-5.0])[0] == -np.inf


def test_scores_of_a_decreasing_map_keep_their_order() -> None:
    from flowtutorial import Bijection

    class Negate(Bijection):
        def forward_and_log_det(self, z: Any) -> Any:
            return -z, np.zeros_like(z)

        def inverse_and_log_det(self, x: Any) -> Any:
            return -x, np.zeros_like(x)

    np.testing.assert_array_equal(
        normal_scores(Flow(StandardNormal(), Negate()), [-1.0, 2.0]), [-1.0, 2.0]
    )


@pytest.mark.parametrize("band", ["simultaneous", "pointwise"])
def test_bands_hold_what_they_promise(band: str) -> None:
    found = worm(RIGHT, X, band=band, rng=3)
    rng, inside, whole = np.random.default_rng(11), 0.0, 0
    for _ in range(600):
        deviation = np.sort(rng.standard_normal(X.size)) - found.theoretical
        held = (found.low < deviation) & (deviation < found.high)
        inside += held.mean() / 600
        whole += held.all()
    if band == "pointwise":
        assert inside == pytest.approx(0.95, abs=0.01)
    else:
        assert whole / 600 == pytest.approx(0.95, abs=0.035)


def test_worm_is_the_sorted_scores_less_their_quantiles() -> None:
    found = worm(RIGHT, X)
    np.testing.assert_allclose(
        found.deviation + found.theoretical, np.sort(normal_scores(RIGHT, X))
    )
    np.testing.assert_allclose(found.theoretical, stats.norm.ppf((np.arange(200) + 0.5) / 200))
    wrong = worm(Flow(StandardNormal(), Affine(1.0, 1.5)), X)
    assert np.any((wrong.deviation < wrong.low) | (wrong.deviation > wrong.high))


def test_ks_test_agrees_with_scipy() -> None:
    result = ks_test(RIGHT, X)
    expected = stats.kstest(X, stats.norm(1.0, np.exp(0.5)).cdf)
    assert result == pytest.approx((expected.statistic, expected.pvalue))


def test_a_naive_test_after_fitting_is_too_kind() -> None:
    start = Flow(StandardNormal(), Affine(0.0, 0.0))
    naive, honest = [], []
    for seed in range(8):
        x = RIGHT.sample(60, rng=seed)
        naive.append(ks_test(fit(start, x, progress=False).flow, x).p_value)
        honest.append(ks_test_refitted(start, x, draws=39, rng=seed).p_value)
    assert np.mean(naive) > 0.75
    assert 0.2 < np.mean(honest) < 0.8
    skewed = Flow(StandardNormal(), Exp()).sample(60, rng=0)
    assert ks_test_refitted(start, skewed, draws=39).p_value == 1 / 40


def test_refitted_test_is_the_lilliefors_test() -> None:
    """Critical value at 5 % for n = 20, normal with both parameters: 0.192 (Lilliefors 1967)."""
    start = Flow(StandardNormal(), Affine(0.0, 0.0))
    x = stats.norm.ppf((np.arange(20) + 0.5) / 20)
    x[-1] += 1.2
    p = ks_test_refitted(start, x, draws=99).p_value
    statistic = ks_test(fit(start, x, progress=False).flow, x).statistic
    assert (statistic > 0.192) == (p < 0.05)


def test_held_out_is_the_mean_over_folds() -> None:
    start = Flow(StandardNormal(), Shift(0.0))
    found = held_out(start, X, folds=5, rng=1)
    order = np.random.default_rng(1).permutation(200)
    expected = np.empty(200)
    for part in np.array_split(order, 5):
        expected[part] = stats.norm.logpdf(X[part], np.delete(X, part).mean())
    np.testing.assert_allclose(found.log_prob, expected, rtol=1e-7)
    assert found.mean == pytest.approx(expected.mean())
    assert found.standard_error == pytest.approx(expected.std(ddof=1) / np.sqrt(200))
    better = held_out(Flow(StandardNormal(), Affine(0.0, 0.0)), X, folds=5, rng=1)
    assert better.mean > found.mean


@pytest.mark.parametrize(
    "flow",
    [
        RIGHT,
        Flow(StandardNormal(), SinhArcsinh(0.5, 0.8)),
        Flow(StandardNormal(), NEGATIVE),
        Flow(Uniform(), Affine(-1.0, 0.5)),
        Flow(StandardNormal(), Chain((NormalCDF(), FAR_APART))),
        Flow(StandardNormal(), RationalQuadraticSpline([0.0, 2.0], [1.0, -1.0], [0.5])),
    ],
)  # fmt: skip
def test_total_mass_is_one(flow: Flow) -> None:
    assert normalisation(flow) == pytest.approx((1.0, 1.0), abs=1e-7)


def test_a_wrong_log_det_shows_in_the_mass() -> None:
    class Wrong(Affine):
        def inverse_and_log_det(self, x: Any) -> Any:
            z, log_det = super().inverse_and_log_det(x)
            return z, -log_det

    found = normalisation(Flow(StandardNormal(), Wrong(0.0, 0.5)))
    assert found == pytest.approx((np.e, np.e), rel=1e-6)


NO_QUANTILE = type(
    "Bare", (), {"log_prob": lambda self, z: -0.5 * z * z, "sample": lambda self, n, rng: rng}
)()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pit(StandardNormal(), X), TypeError, "flow: expected a Flow"),
        (lambda: pit(RIGHT, []), ValueError, "x: no data"),
        (lambda: pit(RIGHT, [np.nan]), ValueError, "1 of 1 values are NaN"),
        (lambda: normal_scores(3, X), TypeError, "flow: expected a Flow"),
        (lambda: worm(RIGHT, X, level=1.0), ValueError, "level: expected a probability"),
        (lambda: worm(RIGHT, X, band="wide"), ValueError, "band: expected"),
        (lambda: worm(RIGHT, X, draws=9), ValueError, "draws: .* at least 100"),
        (lambda: ks_test_refitted(RIGHT, X, draws=5), ValueError, "draws: .* at least 19"),
        (lambda: held_out(RIGHT, X, folds=1), ValueError, "folds: expected 2 to 200"),
        (lambda: held_out(RIGHT, X[:3], folds=4), ValueError, "folds: expected 2 to 3"),
        (lambda: normalisation("flow"), TypeError, "flow: expected a Flow"),
        (lambda: normalisation(Flow(NO_QUANTILE, Shift(0.0))), TypeError, "no method quantile"),
    ],
)
def test_diagnostics_name_what_is_wrong(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
