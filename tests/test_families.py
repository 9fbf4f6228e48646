"""The mixture and the spline: what is theirs alone, beyond the tests that all bijections pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from scipy import stats

from flowtutorial import (
    Affine,
    Bijection,
    Chain,
    Flow,
    Inverse,
    LogisticMixture,
    NormalCDF,
    RationalQuadraticSpline,
    Sigmoid,
    StandardNormal,
    fit,
)
from flowtutorial.datasets import engel, nile, penguins
from flowtutorial.solve import solve_increasing
from flowtutorial.spline import outer_products
from flowtutorial.symbolic import derive, prove_bijection

MIXTURE = LogisticMixture([0.5, -1.0], [-1.5, 0.25, 2.0], [-0.5, 0.0, -1.0])
SPLINE = RationalQuadraticSpline([0.5, 0.0, -0.5], [-0.25, 1.0, 0.0], [0.75, -1.0], (-2.0, 3.0))
X = np.array([-5.0, -1.7, -0.4, 0.3, 1.1, 2.4, 6.0])


def universal(mixture: LogisticMixture) -> Flow:
    return Flow(StandardNormal(), Chain((NormalCDF(), mixture)))


# -- the mixture -----------------------------------------------------------------------------------


def test_mixture_has_the_textbook_distribution() -> None:
    w = np.exp([0.0, 0.5, -1.0])
    parts = [stats.logistic(m, np.exp(s)) for m, s in zip(MIXTURE.means, MIXTURE.log_scales)]  # noqa: B905
    density = sum(v * part.pdf(X) for v, part in zip(w / w.sum(), parts, strict=True))
    below = sum(v * part.cdf(X) for v, part in zip(w / w.sum(), parts, strict=True))
    np.testing.assert_allclose(universal(MIXTURE).log_prob(X), np.log(density), rtol=1e-13)
    np.testing.assert_allclose(universal(MIXTURE).cdf(X), below, rtol=1e-13)


def test_numerical_direction_undoes_the_closed_one_to_the_last_digits() -> None:
    levels = np.array([5e-324, 1e-300, 1e-16, 1e-3, 0.3, 0.5, 0.9, 1.0 - 1e-10])
    far = LogisticMixture([3.0, -30.0], [-1e6, 0.0, 1e6], [0.0, -20.0, 5.0])
    for mixture in (MIXTURE, LogisticMixture([], [7.0], [2.0]), far):
        x, log_det = mixture.forward_and_log_det(levels)
        back, inverse = mixture.inverse_and_log_det(x)
        # a rounding of x moves the level by |x| times the density
        carried = 2.0**-52 * (np.abs(x) * np.exp(inverse) + levels)
        assert np.all(np.abs(back - levels) <= 4.0 * carried + 5e-324)
        np.testing.assert_array_equal(log_det, -inverse)
        assert np.all(np.diff(x) > 0.0)


def test_a_level_between_far_components_lies_between_them() -> None:
    far = LogisticMixture([0.0], [-1e8, 1e8], [0.0, 0.0])
    assert -1e8 < far.forward(0.5) < 1e8
    assert far.forward(0.25) == pytest.approx(-1e8)
    assert far.forward(0.75) == pytest.approx(1e8)


def test_ends_of_the_unit_interval() -> None:
    x = MIXTURE.forward([0.0, 1.0, -0.1, 1.1, np.nan, 0.5])
    assert x[0] == -np.inf
    assert x[1] == np.inf
    assert np.isnan(x[2:5]).all()
    assert np.isfinite(x[5])


def test_density_is_right_where_the_level_is_rounded_to_0_or_1() -> None:
    far = np.array([-1e300, -1e6, -800.0, 800.0, 1e6, 1e300])
    mixture = LogisticMixture([0.0], [0.0, 0.0], [0.0, 0.0])
    expected = -np.abs(far)  # log σ(-|x|), to the last digit out there
    np.testing.assert_allclose(universal(mixture).log_prob(far), expected, rtol=1e-15)
    score = universal(mixture).log_prob_and_score(far[1:-1])[1]
    assert np.isfinite(score).all()
    logistic = Flow(StandardNormal(), Chain((NormalCDF(), Inverse(Sigmoid()))))
    np.testing.assert_allclose(logistic.log_prob(far), expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([], [], []), ValueError, "means: expected at least one component"),
        (([0.0], [1.0], [0.0]), ValueError, r"logits: expected 0 .* first logit is fixed at 0"),
        (([0.0], [1.0, 2.0], [0.0]), ValueError, "log_scales: expected 2 .* got 1"),
        (([0.0], 1.0, [0.0]), ValueError, "means: expected an array of parameters"),
        ((["a"], [1.0, 2.0], [0.0, 0.0]), TypeError, "logits: expected real numbers"),
    ],
)
def test_mixture_names_what_is_wrong(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LogisticMixture(*arguments)


def test_mixture_starts() -> None:
    start = LogisticMixture.init(3, X)
    assert start.means.shape == start.log_scales.shape == (3,)
    np.testing.assert_allclose(np.exp(start.log_weights()), 1.0 / 3.0)
    for bad in (0, -1):
        with pytest.raises(ValueError, match="components: expected"):
            LogisticMixture.init(bad, X)
    with pytest.raises(ValueError, match="all 3 values equal 2"):
        LogisticMixture.init(2, [2.0, 2.0, 2.0])


def test_a_search_has_no_formula() -> None:
    from flowtutorial.symbolic import symbols

    with pytest.raises(TypeError, match="numerical inverse has no formula"):
        MIXTURE.forward_and_log_det(symbols("z"))
    with pytest.raises(TypeError, match="numerical inverse has no formula"):
        solve_increasing(lambda x: (x, x), symbols("z"), 1.0)


def test_solutions_on_plateaus_and_at_ends() -> None:
    flat = solve_increasing(
        lambda x: (np.where(np.abs(x) < 1.0, 0.0, x), np.zeros_like(x)),
        np.array([-5.0, np.nan]),
        np.array([9.0, 1.0]),
    )
    assert abs(flat[0]) < 1.0
    assert np.isnan(flat[1])
    steep = solve_increasing(lambda x: (x**3, 3.0 * x**2), np.array([-1.0]), np.array([2.0]))
    assert abs(steep[0]) < 1e-5  # where the value is below 2⁻⁵²


# -- the spline ------------------------------------------------------------------------------------


def test_zero_parameters_give_the_identity_to_the_last_digits() -> None:
    for bins in (1, 2, 7, 40):
        spline = RationalQuadraticSpline.init(bins, (-1.7, 2.3))
        z = np.concatenate([np.linspace(-3.0, 3.0, 101), spline.knots()[0]])
        x, log_det = spline.forward_and_log_det(z)
        np.testing.assert_allclose(x, z, rtol=0, atol=2e-15)
        assert np.abs(log_det).max() < 2e-15


def test_knots_go_to_their_images_exactly_and_back() -> None:
    rng = np.random.default_rng(5)
    for _ in range(50):
        k = rng.integers(1, 12)
        spline = RationalQuadraticSpline(
            *(rng.normal(0.0, 3.0, size) for size in (k, k, k - 1)), (-2.5, 4.0)
        )
        knots, images, slopes = spline.knots()
        x, log_det = spline.forward_and_log_det(knots)
        np.testing.assert_array_equal(x, images)
        np.testing.assert_array_equal(spline.inverse(images), knots)
        np.testing.assert_allclose(np.exp(log_det), slopes, rtol=1e-12)
        assert (np.diff(knots) > 0).all()
        assert (np.diff(images) > 0).all()


def test_spline_does_not_fall_across_knots() -> None:
    for knot in SPLINE.knots()[0]:
        beside = knot + np.spacing(np.abs(knot)) * np.arange(-50, 51)
        assert np.all(np.diff(SPLINE.forward(beside)) >= 0.0)
        assert np.abs(SPLINE.inverse(SPLINE.forward(beside)) - beside).max() < 1e-14


def test_outside_the_interval_nothing_changes() -> None:
    outside = np.array([-np.inf, -1e300, -2.0, 3.0, 1e15, np.inf])
    x, log_det = SPLINE.forward_and_log_det(outside)
    np.testing.assert_array_equal(x, outside)
    np.testing.assert_array_equal(log_det, 0.0)
    np.testing.assert_array_equal(SPLINE.inverse_and_log_det(outside)[0], outside)
    flow = Flow(StandardNormal(), SPLINE)
    assert flow.log_prob(np.inf) == -np.inf


def test_parameters_of_one_spline_for_each_value() -> None:
    rng = np.random.default_rng(0)
    widths, heights, slopes = (rng.normal(size=(5, 2, size)) for size in (4, 4, 3))
    z = rng.normal(size=(5, 2))
    many = RationalQuadraticSpline(widths, heights, slopes)
    x, log_det = many.forward_and_log_det(z)
    d = derive(many)((widths, heights, slopes), x)
    assert d.d_value_dparams[0].shape == (5, 2, 4)
    for index in np.ndindex(5, 2):
        one = RationalQuadraticSpline(widths[index], heights[index], slopes[index])
        assert one.forward_and_log_det(z[index]) == pytest.approx((x[index], log_det[index]))
        single = derive(one)((widths[index], heights[index], slopes[index]), x[index])
        for part, whole in zip(single.d_log_det_dparams, d.d_log_det_dparams, strict=True):
            np.testing.assert_allclose(part, whole[index], rtol=1e-10, atol=1e-12)
    mixture = LogisticMixture(slopes[..., :1], widths[..., :2], heights[..., :2])
    np.testing.assert_allclose(mixture.inverse(mixture.forward(np.full((5, 2), 0.3))), 0.3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([], [], []), ValueError, "widths: expected 1 to 999 bins, got 0"),
        ((np.zeros(1000), np.zeros(1000), np.zeros(999)), ValueError, "got 1000"),
        (([0.0], [0.0, 0.0], []), ValueError, "heights: expected 1 .* got 2"),
        (([0.0, 0.0], [0.0, 0.0], []), ValueError, r"slopes: expected 1 .* ends are 1"),
        (([0.0], [0.0], [], (1.0, -1.0)), ValueError, "the smaller first"),
        (([0.0], [0.0], [], (-np.inf, 1.0)), ValueError, "interval: expected two finite"),
        (([0.0], [0.0], [], 3.0), TypeError, "interval: expected two numbers"),
        ((0.0, [0.0], []), ValueError, "widths: expected an array of parameters"),
    ],
)
def test_spline_names_what_is_wrong(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        RationalQuadraticSpline(*arguments)


@pytest.mark.parametrize("bijection", [MIXTURE, SPLINE, NormalCDF()])
def test_types_are_kept_and_nan_stays_where_it_is(bijection: Bijection) -> None:
    z = np.array([0.2, np.nan, 0.7], dtype=np.float32)
    for method in (bijection.forward_and_log_det, bijection.inverse_and_log_det):
        for result in method(z):
            assert result.dtype == np.float32
            np.testing.assert_array_equal(np.isnan(result), [False, True, False])


# -- derivatives -----------------------------------------------------------------------------------


def with_array() -> Bijection:
    """Return a bijection with an array of parameters such as a reader might write."""

    @dataclass(frozen=True, eq=False)
    class Waves(Bijection):
        heights: Any = field(metadata={"ndim": 1})
        log_slope: float
        numerical = "inverse"

        def forward_and_log_det(self, z: Any) -> Any:
            n = np.arange(1.0, 1.0 + np.shape(self.heights)[-1])
            share = 0.9 * np.tanh(self.heights) / np.shape(self.heights)[-1]
            waves = share * np.sin(n * z[..., None]) / n
            slope = 1.0 + np.sum(share * np.cos(n * z[..., None]), axis=-1)
            scale = np.exp(self.log_slope)
            return scale * (z + np.sum(waves, axis=-1)), self.log_slope + np.log(slope)

        def inverse_and_log_det(self, x: Any) -> Any:
            def excess(z: Any) -> Any:
                value, log_det = self.forward_and_log_det(z)
                return value - x, np.exp(log_det)

            middle = x * np.exp(-self.log_slope)
            z = solve_increasing(excess, middle - 1.0, middle + 1.0)
            return z, -self.forward_and_log_det(z)[1]

    return Waves(np.array([0.5, -0.8]), 0.3)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize(
    "bijection", [MIXTURE, SPLINE, RationalQuadraticSpline.init(4), with_array(), NormalCDF()]
)
def test_derivatives_agree_with_differences(bijection: Bijection, direction: str) -> None:
    _, high = bijection.domain if direction == "forward" else bijection.codomain
    argument = np.array([0.03, 0.21, 0.4, 0.77, 0.95]) if high == 1.0 else X
    fields = bijection.trained_fields()
    got = derive(bijection, direction)(tuple(fields.values()), argument)
    method = f"{direction}_and_log_det"
    value, log_det = getattr(bijection, method)(argument)
    np.testing.assert_allclose(got.value, value, rtol=1e-14)
    np.testing.assert_allclose(got.log_det, log_det, rtol=1e-12, atol=1e-14)
    h = 1e-6
    up, down = (getattr(bijection, method)(argument + s * h) for s in (1, -1))
    for found, above, below in zip((got.d_value_dx, got.d_log_det_dx), up, down, strict=True):
        np.testing.assert_allclose(found, (above - below) / (2 * h), rtol=1e-5, atol=1e-6)
    count = bijection.params.size
    for index, parts in enumerate((got.d_value_dparams, got.d_log_det_dparams)):
        columns = [np.reshape(part, (argument.size, -1)) for part in parts]
        found = np.concatenate([np.empty((argument.size, 0)), *columns], axis=1)
        assert found.shape == (argument.size, count)
        for j, step in enumerate(h * np.eye(count)):
            ends = [
                getattr(bijection.with_params(bijection.params + s * step), method)(argument)[index]
                for s in (1, -1)
            ]
            np.testing.assert_allclose(
                found[:, j], (ends[0] - ends[1]) / (2 * h), rtol=1e-5, atol=1e-7
            )


@pytest.mark.parametrize(
    "bijection",
    [
        Chain((NormalCDF(), MIXTURE)),
        Chain((NormalCDF(), MIXTURE, Affine(0.5, 0.2))),
        Chain((SPLINE, Affine(0.5, 0.2))),
        Inverse(Chain((Inverse(MIXTURE), Inverse(NormalCDF())))),
        Inverse(SPLINE),
        with_array(),
    ],
)
def test_scores_of_flows_agree_with_differences(bijection: Bijection) -> None:
    flow, h = Flow(StandardNormal(), bijection), 1e-6
    log_prob, score = flow.log_prob_and_score(X)
    np.testing.assert_allclose(log_prob, flow.log_prob(X), rtol=1e-12)
    for j, step in enumerate(h * np.eye(flow.params.size)):
        up, down = (flow.with_params(flow.params + s * step).log_prob(X) for s in (1, -1))
        np.testing.assert_allclose(score[:, j], (up - down) / (2 * h), rtol=1e-5, atol=1e-7)
    assert len(flow.param_names) == flow.params.size


def test_a_gradient_is_a_bundle_with_arrays() -> None:
    gradient = Flow(StandardNormal(), SPLINE).gradient(X)
    assert gradient.widths.shape == (3,)
    assert gradient.slopes.shape == (2,)
    assert SPLINE.param_names[:4] == ("widths[0]", "widths[1]", "widths[2]", "heights[0]")


# -- proofs ----------------------------------------------------------------------------------------


def test_mixture_is_proved_in_its_closed_direction() -> None:
    proof = prove_bijection(LogisticMixture([0.4], [-1.0, 1.2], [-0.3, 0.2]))
    assert proof
    verdicts = {claim.statement: claim.verdict for claim in proof.claims}
    assert verdicts == {
        "inverse is in (0, 1)": "proved (exact)",
        "log det inverse": "proved (exact)",
        "increasing": "proved (exact)",
        "forward": "numerical inverse",
    }
    assert repr(proof).endswith("; numerical inverse: forward")


def test_spline_is_proved_bin_by_bin() -> None:
    proof = prove_bijection(SPLINE)
    assert proof.verdict == "proved (exact)"
    statements = [claim.statement for claim in proof.claims]
    assert "slopes match at the knots" in statements
    assert "knots increase, slopes are positive" in statements
    with pytest.raises(ValueError, match="pass an instance"):
        prove_bijection(RationalQuadraticSpline)


def test_normal_cdf_is_proved() -> None:
    assert prove_bijection(NormalCDF).verdict == "proved (exact)"


def test_chains_of_what_has_no_formula_are_proved_part_by_part() -> None:
    chain = Chain((NormalCDF(), LogisticMixture([], [0.0], [0.0]), Inverse(SPLINE)))
    proof = prove_bijection(chain)
    assert proof
    statements = [claim.statement for claim in proof.claims]
    assert "LogisticMixture: log det inverse" in statements
    assert "Inverse: RationalQuadraticSpline: increasing" in statements


def test_a_readers_numerical_inverse_is_proved_and_a_wrong_one_refuted() -> None:
    good = with_array()
    assert prove_bijection(good).claims[-1].verdict == "numerical inverse"

    @dataclass(frozen=True, eq=False)
    class Wrong(type(good)):  # type: ignore[misc]
        def inverse_and_log_det(self, x: Any) -> Any:
            z, log_det = super().inverse_and_log_det(x)
            return z + 1e-3, log_det

    proof = prove_bijection(Wrong(np.array([0.5, -0.8]), 0.3))
    assert proof.verdict == "refuted"
    assert proof.witness is not None
    assert "heights[0]" in proof.witness


# -- fits ------------------------------------------------------------------------------------------

RNG = np.random.default_rng(1)
BIMODAL = np.concatenate([RNG.normal(-1.2, 0.4, 150), RNG.normal(0.9, 0.5, 250)])


def test_mixture_fits_two_modes() -> None:
    result = fit(universal(LogisticMixture.init(2, BIMODAL)), BIMODAL)
    assert result.converged
    assert np.isfinite(result.standard_errors).all()
    mixture = result.flow.bijection.parts[1]  # type: ignore[attr-defined]
    np.testing.assert_allclose(np.sort(mixture.means), [-1.2, 0.9], atol=0.15)
    assert result.log_likelihood > stats.norm.logpdf(BIMODAL, *stats.norm.fit(BIMODAL)).mean() + 0.1


@pytest.mark.parametrize("ridge", [0.0, 1.0])
def test_spline_fits_two_modes(ridge: float) -> None:
    start = Flow(StandardNormal(), RationalQuadraticSpline.init(4, (-4.0, 4.0)))
    result = fit(start, BIMODAL, ridge=ridge)
    assert result.converged
    assert result.log_likelihood > start.log_prob(BIMODAL).mean() + 0.05
    # 8 widths and heights, of which a constant may be added to each half
    assert np.isnan(result.standard_errors).any() or ridge > 0.0


@pytest.mark.parametrize(("bins", "end"), [(8, 3.0), (8, 5.0), (16, 5.0), (16, 8.0)])
@pytest.mark.parametrize("inverse", [False, True], ids=["spline", "inverse"])
def test_splines_wider_than_the_base_are_fitted(bins: int, end: float, inverse: bool) -> None:
    """Under the flow at its start, bins without mass of the base have no information."""
    rng = np.random.default_rng(3)
    x = np.where(rng.random(4000) < 0.4, rng.normal(-2.0, 0.5, 4000), rng.normal(1.5, 0.8, 4000))
    spline = RationalQuadraticSpline.init(bins, (-end, end))
    start = Flow(StandardNormal(), Inverse(spline) if inverse else spline)
    result = fit(start, x)
    true = 0.4 * stats.norm.pdf(x, -2.0, 0.5) + 0.6 * stats.norm.pdf(x, 1.5, 0.8)
    slack = 0.055 if end == 3.0 else 0.01  # outside the interval the tails are those of the base
    assert result.log_likelihood > np.log(true).mean() - slack


def test_outer_products_are_summed_in_the_bins() -> None:
    two = Chain((SPLINE, Affine(0.5, 0.2), RationalQuadraticSpline([0.3, 0.0], [0.1, 0.4], [0.2])))
    for bijection in (SPLINE, Inverse(SPLINE), Chain((SPLINE, Affine(0.5, 0.2))), two):
        flow = Flow(StandardNormal(), bijection)
        score = np.hstack([flow.log_prob_and_score(X)[1], np.ones((len(X), 1))])
        parts = flow._pulled(X, None)[1]  # type: ignore[arg-type]
        np.testing.assert_allclose(outer_products(parts, len(X)), score.T @ score, atol=1e-12)
        slope = flow._log_prob_and_slope(X)[1]
        np.testing.assert_allclose(slope, score[:, :-1].sum(axis=0), atol=1e-12)


DATA = {
    "bill": penguins()["bill_length_mm"],
    "flipper": penguins()["flipper_length_mm"],
    "nile": nile()["volume"],
    "engel": engel()["food"],
}


@pytest.mark.parametrize("name", DATA)
def test_fits_of_real_data(name: str) -> None:
    x = DATA[name][np.isfinite(DATA[name])].astype(float)
    normal = stats.norm.logpdf(x, x.mean(), x.std()).mean()
    mixture = fit(universal(LogisticMixture.init(2, x)), x)
    assert mixture.converged
    assert mixture.log_likelihood > normal
    affine = Affine(x.mean(), np.log(x.std()))
    spline = Flow(StandardNormal(), Chain((RationalQuadraticSpline.init(4, (-4.0, 4.0)), affine)))
    result = fit(spline, x, ridge=1.0)
    assert result.converged
    assert result.log_likelihood > normal


def test_a_component_on_a_tied_value_is_never_a_silent_success() -> None:
    x = np.concatenate([np.random.default_rng(0).normal(size=60), np.full(30, 5.0)])
    start = universal(LogisticMixture([0.0], [0.0, 5.0], [0.0, -6.0]))
    try:
        result = fit(start, x)
    except ValueError as error:
        assert "has no bound" in str(error)  # noqa: PT017
    else:
        assert not result.converged
    assert fit(start, x, ridge=1.0).converged


def test_a_ridge_keeps_parameters_near_their_start() -> None:
    start = Flow(StandardNormal(), Affine(0.0, 0.0))
    x = np.array([3.0, 5.0])
    shift = fit(Flow(StandardNormal(), Affine(0.0, 0.0)), x, ridge=1e6).params[0]
    assert 0.0 < shift < 1e-3
    with pytest.raises(ValueError, match="ridge: expected 0 or a positive number"):
        fit(start, x, ridge=-1.0)
