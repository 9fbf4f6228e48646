"""Ascent and fit, against closed forms, theory and other optimisers."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats

from flowtutorial import (
    Affine,
    Bijection,
    Chain,
    DivergenceError,
    Exp,
    Flow,
    Inverse,
    LeakyReLU,
    Logistic,
    RationalQuadraticSpline,
    Shift,
    SinhArcsinh,
    Softplus,
    StandardNormal,
    Uniform,
    fit,
    gradient_ascent,
)
from flowtutorial.blocks import BLOCK
from flowtutorial.datasets import engel, nile, penguins, sunspots
from flowtutorial.likelihood import mean_and_slope

NORMAL = Flow(StandardNormal(), Affine(0.0, 0.0))
SHAPED = Flow(StandardNormal(), Chain((SinhArcsinh(0.0, 0.0), Affine(0.0, 0.0))))
DATA = np.random.default_rng(0).normal(2.0, 1.0, 200)


@dataclass(frozen=True, eq=False)
class ScaleOnly(Bijection):
    """A scale without a location."""

    log_scale: float

    def forward_and_log_det(self, z: Any) -> Any:
        return np.exp(self.log_scale) * z, np.zeros_like(z) + self.log_scale

    def inverse_and_log_det(self, x: Any) -> Any:
        return np.exp(-self.log_scale) * x, np.zeros_like(x) - self.log_scale


# -- gradient ascent -------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.1, 1.0, 1.9, 2.0, 2.3, -0.5])
def test_shift_follows_its_closed_form(rate: float) -> None:
    start = Flow(StandardNormal(), Shift(-1.0))
    ascent = gradient_ascent(start, DATA, learning_rate=rate, steps=12)
    t = np.arange(13)
    expected = DATA.mean() + (1.0 - rate) ** t * (-1.0 - DATA.mean())
    np.testing.assert_allclose(ascent.params[:, 0], expected, rtol=1e-10, atol=1e-12)
    likelihood = -0.5 * np.log(2 * np.pi) - 0.5 * DATA.var() - 0.5 * (DATA.mean() - expected) ** 2
    np.testing.assert_allclose(ascent.log_likelihood, likelihood, rtol=1e-10)


def test_the_trace_is_whole() -> None:
    ascent = gradient_ascent(NORMAL, DATA, learning_rate=0.2, steps=5)
    assert ascent.params.shape == (6, 2)
    assert ascent.log_likelihood.shape == (6,)
    np.testing.assert_array_equal(ascent.params[0], NORMAL.params)
    np.testing.assert_array_equal(ascent.params[-1], ascent.flow.params)
    assert ascent.log_likelihood[-1] == pytest.approx(ascent.flow.log_prob(DATA).mean())
    assert (np.diff(ascent.log_likelihood) > 0).all()
    assert repr(ascent).startswith("Ascent(5 steps, mean log-likelihood -")


def test_no_steps_evaluate_the_start() -> None:
    ascent = gradient_ascent(NORMAL, DATA, learning_rate=0.2, steps=0)
    assert ascent.params.shape == (1, 2)


def test_divergence_names_the_step_size_and_keeps_the_trace() -> None:
    start = Flow(StandardNormal(), Shift(0.0))
    with pytest.raises(DivergenceError, match="learning_rate: with 3 the ascent left") as caught:
        gradient_ascent(start, DATA, learning_rate=3.0, steps=2000)
    trace = caught.value.trace
    assert np.isfinite(trace.params).all()
    assert 1000 < len(trace.params) < 1100
    assert trace.log_likelihood[-1] == -np.inf
    np.testing.assert_array_equal(trace.params[-1], trace.flow.params)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"flow": StandardNormal()}, TypeError, "flow: expected a Flow"),
        ({"flow": Flow(StandardNormal(), Exp())}, ValueError, "has no parameters to fit"),
        ({"x": []}, ValueError, "x: no data"),
        ({"x": [1.0, np.nan]}, ValueError, r"1 of 2 values .*x\[1\] = nan"),
        ({"x": ["1.0"]}, TypeError, "x: expected real numbers"),
        ({"x": [1.0 + 0j]}, TypeError, "x: expected real numbers"),
        ({"learning_rate": np.nan}, ValueError, "learning_rate: expected a finite number"),
        ({"learning_rate": "0.1"}, TypeError, "learning_rate: expected a number"),
        ({"steps": -1}, ValueError, "steps: expected 0 or more"),
        ({"steps": 2.0}, TypeError, "steps: expected an integer"),
    ],
)
def test_ascent_names_what_is_wrong(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    arguments = {"flow": NORMAL, "x": DATA, "learning_rate": 0.1, "steps": 3} | change
    with pytest.raises(error, match=message):
        gradient_ascent(**arguments)


def test_data_outside_the_support_are_named() -> None:
    positive = Flow(StandardNormal(), Chain((Affine(0.0, 0.0), Exp())))
    for method in (lambda x: fit(positive, x), lambda x: gradient_ascent(positive, x, 0.1, 1)):
        with pytest.raises(ValueError, match=r"2 of 4 values have density 0 .*x\[1\] = -1"):
            method([1.0, -1.0, 2.0, 0.0])


# -- fit -------------------------------------------------------------------------------------------


def test_affine_fit_is_the_closed_form() -> None:
    result = fit(NORMAL, DATA)
    assert result.converged
    np.testing.assert_allclose(result.params, [DATA.mean(), np.log(DATA.std())], rtol=1e-9)
    best = -0.5 * np.log(2 * np.pi) - np.log(DATA.std()) - 0.5
    assert result.log_likelihood == pytest.approx(best, rel=1e-12)
    assert result.gradient_norm < 1e-7
    np.testing.assert_allclose(
        result.standard_errors, np.array([DATA.std(), np.sqrt(0.5)]) / np.sqrt(200), rtol=1e-6
    )


@pytest.mark.parametrize(
    "x",
    [
        nile()["volume"],
        engel()["income"],
        sunspots()["number"],
        penguins()["body_mass_g"][np.isfinite(penguins()["body_mass_g"])],
        np.random.default_rng(1).standard_t(3, 500) * 1e-6,
        np.random.default_rng(1).gumbel(size=500) * 1e9 + 1e10,
    ],
    ids=["nile", "engel", "sunspots", "penguins", "tiny", "huge"],
)
def test_fit_arrives_from_far_away(x: np.ndarray) -> None:
    """The start is N(0, 1), wherever the data are; a simplex search finds nothing better."""
    result = fit(NORMAL, x)
    assert result.converged
    closed_form = np.array([x.mean(), np.log(x.std())])
    assert (np.abs(result.params - closed_form) < 1e-6 * result.standard_errors).all()
    if x.min() == 0.0:  # sunspots: against a wall at 0, the best skewness is infinite
        return
    shaped = fit(SHAPED.with_params([0.0, 0.0, *result.params]), x)
    assert shaped.converged
    search = optimize.minimize(
        lambda p: -SHAPED.with_params(p).log_prob(x).mean(),
        shaped.params,
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 2000},
    )
    assert shaped.log_likelihood >= -search.fun - 1e-9 * abs(search.fun)


BIMODAL = np.concatenate([DATA[:80] - 4.0, DATA[80:] + 1.0])


@pytest.mark.parametrize("bins", [4, 8])
@pytest.mark.parametrize(
    ("x", "start"),
    [
        (nile()["volume"], Affine(0.0, 0.0)),
        (engel()["income"], Affine(0.0, 0.0)),
        (sunspots()["number"], Affine(0.0, 0.0)),
        (BIMODAL, Affine(30.0, 0.0)),
        (BIMODAL, Affine(-50.0, 2.0)),
    ],
    ids=["nile", "engel", "sunspots", "right", "left"],
)
def test_a_spline_is_fitted_from_far_away(x: np.ndarray, start: Affine, bins: int) -> None:
    """It gets beyond its affine map alone; where it says converged, nothing near is higher."""
    flow = Flow(StandardNormal(), Chain((RationalQuadraticSpline.init(bins), start)))
    result = fit(flow, x)
    normal = stats.norm.logpdf(x, x.mean(), x.std()).mean()
    assert result.log_likelihood > normal + 0.05
    if not result.converged:
        assert "NOT CONVERGED" in repr(result)
        return
    score = result.flow.log_prob_and_score(x)[1]
    unit = 1.0 / np.sqrt(np.maximum((score**2).sum(axis=0), 1e-300))
    unit = np.minimum(unit, 1.0 + np.abs(result.params))  # standard errors, if there are

    def loss(steps: np.ndarray) -> tuple[float, np.ndarray]:
        with np.errstate(all="ignore"):
            value, slope = mean_and_slope(flow.moved_to(result.params + unit * steps), result._data)
        return (-value, -unit * slope) if np.isfinite(slope).all() else (1e10, 0.0 * steps)

    rng = np.random.default_rng(0)
    for size in (0.0, 1e-3, 1e-2, 0.1, 0.1):
        away = size * rng.standard_normal(unit.size)
        search = optimize.minimize(loss, away, jac=True, method="L-BFGS-B")
        assert result.log_likelihood > -search.fun - 1e-3


def test_a_spline_without_data_in_its_interval_has_not_converged() -> None:
    """Its slope is 0 in all parameters, and so is its likelihood's curvature."""
    x = 50.0 + DATA
    result = fit(Flow(StandardNormal(), RationalQuadraticSpline.init(4)), x)
    assert not result.converged
    assert "no longer depends on widths[0], widths[1], widths[2] and 8 more" in result.message
    assert "give a ridge, or start nearer to the data" in result.message


def test_a_saturated_slope_has_not_converged() -> None:
    """An income that is at a knot raises the likelihood for ever, until its slope is the least."""
    x = engel()["income"]
    x = (x - x.mean()) / x.std()
    start = Flow(StandardNormal(), RationalQuadraticSpline.init(4))
    result = fit(start, x)
    assert not result.converged
    assert "no longer depends on slopes" in result.message
    assert fit(start, x, ridge=1.0).converged


def test_a_smooth_summit_of_a_spline_is_no_kink() -> None:
    x = penguins()["body_mass_g"]
    x = x[np.isfinite(x)]
    spline = RationalQuadraticSpline.init(4)
    for start in (Affine(x.mean(), np.log(x.std())), Affine(0.0, 0.0)):
        result = fit(Flow(StandardNormal(), Chain((spline, start))), x)
        assert result.converged
        assert result.gradient_norm < 1e-7
        assert "kink" not in repr(result)
        assert np.isfinite(result.standard_errors[-2:]).all()


def test_few_parameters_take_few_steps() -> None:
    result = fit(NORMAL, [1.0, 2.0, 4.0, 9.0])
    assert result.converged
    assert result.iterations <= 9


def test_shaped_fit_recovers_parameters() -> None:
    true = SHAPED.with_params([0.5, 0.3, 10.0, 2.0])
    result = fit(SHAPED, true.sample(20_000, rng=1))
    assert result.converged
    assert (np.abs(result.params - true.params) < 4.0 * result.standard_errors).all()


def test_logistic_fit_agrees_with_scipy() -> None:
    x = engel()["income"]
    result = fit(Flow(Logistic(), Affine(0.0, 0.0)), x)
    location, scale = stats.logistic.fit(x)
    np.testing.assert_allclose(result.params, [location, np.log(scale)], rtol=1e-4)


def test_standard_errors_are_the_spread_of_estimates() -> None:
    true = Flow(StandardNormal(), Affine(2.0, 0.0))
    rng = np.random.default_rng(5)
    estimates = [fit(NORMAL, true.sample(100, rng)).params for _ in range(200)]
    errors = fit(NORMAL, true.sample(100, rng)).standard_errors
    np.testing.assert_allclose(np.std(estimates, axis=0), errors, rtol=0.2)


def test_covariances_agree_when_the_model_holds_and_not_when_it_does_not() -> None:
    x = Flow(StandardNormal(), Affine(1.0, 0.5)).sample(200_000, rng=3)
    result = fit(NORMAL, x)
    observed = result.covariance("observed")
    for kind in ("opg", "sandwich"):
        np.testing.assert_allclose(np.diag(result.covariance(kind)), np.diag(observed), rtol=0.02)
    heavy = fit(NORMAL, np.random.default_rng(2).standard_t(5, 50_000))
    ratio = heavy.covariance("sandwich")[1, 1] / heavy.covariance("observed")[1, 1]
    kurtosis = stats.kurtosis(heavy._data.x, fisher=False)
    assert ratio == pytest.approx((kurtosis - 1.0) / 2.0, rel=1e-4)


def test_sandwich_has_the_textbook_form() -> None:
    x = engel()["income"] / 1000.0
    result = fit(NORMAL, x)
    s = x.std()
    r = (x - x.mean()) / s
    expected = np.array([[s**2, s * (r**3).mean() / 2], [0, ((r**4).mean() - 1) / 4]]) / x.size
    expected[1, 0] = expected[0, 1]
    np.testing.assert_allclose(result.covariance("sandwich"), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="kind: expected 'observed', 'opg' or 'sandwich'"):
        result.covariance("hessian")


def test_fit_is_the_same_over_blocks_and_types() -> None:
    x = np.random.default_rng(0).normal(3.0, 2.0, 2 * BLOCK + 11)
    whole = fit(NORMAL, x)
    np.testing.assert_allclose(whole.params, [x.mean(), np.log(x.std())], rtol=1e-9)
    single = fit(NORMAL, x.astype(np.float32))
    np.testing.assert_allclose(single.params, whole.params, rtol=1e-5)
    assert fit(NORMAL, [1, 2, 4]).params[0] == pytest.approx(7 / 3)


def test_table() -> None:
    text = repr(fit(SHAPED, nile()["volume"])).splitlines()
    assert text[0].startswith("converged after ")
    assert text[1] == "mean log-likelihood -6.521839 over 100 observations"
    assert [line.split()[0] for line in text[3:]] == list(SHAPED.param_names)


def test_too_few_iterations_are_said() -> None:
    result = fit(SHAPED, nile()["volume"], max_iterations=2)
    assert not result.converged
    assert result.message == "2 iterations were not enough"
    assert "NOT CONVERGED" in repr(result)


def test_one_parameter_and_constant_data() -> None:
    result = fit(Flow(StandardNormal(), Shift(0.0)), [3.0, 3.0])
    assert result.converged
    assert result.params == pytest.approx([3.0])


@pytest.mark.parametrize("value", [0.0, 3.0, -1e-20, 1e20])
@pytest.mark.parametrize("flow", [NORMAL, SHAPED], ids=["normal", "shaped"])
def test_constant_data_have_no_bounded_likelihood(flow: Flow, value: float) -> None:
    with pytest.raises(ValueError, match=r"x: all 4 values equal .* has no bound"):
        fit(flow, np.full(4, value))


def test_a_scale_alone_on_constant_zeros_has_no_bound() -> None:
    scale = Flow(StandardNormal(), Chain((Softplus(), Inverse(Softplus()), ScaleOnly(0.0))))
    with pytest.raises(ValueError, match=r"likelihood of these 3 values has no bound"):
        fit(scale, np.zeros(3))


def test_a_divergence_passes_between_processes() -> None:
    with pytest.raises(DivergenceError) as caught:
        gradient_ascent(Flow(StandardNormal(), Shift(0.0)), DATA, learning_rate=3.0, steps=2000)
    copy = pickle.loads(pickle.dumps(caught.value))
    np.testing.assert_array_equal(copy.trace.params, caught.value.trace.params)
    assert str(copy) == str(caught.value)


def test_single_precision_data_are_fitted_in_double() -> None:
    result = fit(NORMAL, np.array([1e30, 2e30, 5e30], dtype=np.float32))
    assert result.converged
    assert result.params[0] == pytest.approx(8e30 / 3, rel=1e-6)


def test_two_shifts_are_not_identified() -> None:
    flow = Flow(StandardNormal(), Chain((Shift(0.0), Shift(0.0))))
    result = fit(flow, DATA)
    assert result.params.sum() == pytest.approx(DATA.mean())
    assert np.isnan(result.standard_errors).all()


def test_a_parameter_without_influence_has_no_standard_error() -> None:
    flow = Flow(StandardNormal(), Chain((LeakyReLU(0.0), Shift(0.0))))
    result = fit(Flow(StandardNormal(), Chain((Exp(), LeakyReLU(0.0)))), [1.0, 2.0])
    assert np.isnan(result.standard_errors).all()
    assert fit(flow, DATA).converged


def test_uniform_base_has_a_flat_likelihood_inside() -> None:
    with pytest.raises(ValueError, match="have density 0"):
        fit(Flow(Uniform(), Shift(0.0)), DATA)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"tolerance": 0.0}, ValueError, "tolerance: expected a positive number"),
        ({"tolerance": "small"}, TypeError, "tolerance: expected a number"),
        ({"max_iterations": -1}, ValueError, "max_iterations: expected 0 or more"),
    ],
)
def test_fit_names_what_is_wrong(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        fit(NORMAL, DATA, **arguments)


def test_progress_is_silent_unless_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for progress in (None, False):
        fit(SHAPED, nile()["volume"], progress=progress)
        assert capsys.readouterr() == ("", "")
    long = np.random.default_rng(0).standard_t(3, 100_000)
    fit(SHAPED, long, progress=True)
    assert "mean log-likelihood" in capsys.readouterr().err

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    fit(SHAPED, long)  # a shorter fit ends before there is anything to show
    assert "mean log-likelihood" in terminal.getvalue()


def test_without_tqdm_fits_go_on_and_bars_say_what_they_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tqdm", None)
    assert fit(NORMAL, DATA).converged
    with pytest.raises(ImportError, match="progress: a bar needs the package tqdm"):
        fit(NORMAL, DATA, progress=True)
