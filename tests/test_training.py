"""Training on minibatches: what it finds, when it stops, what it keeps, what it refuses."""

from __future__ import annotations

import io
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from flowtutorial import (
    Affine,
    Autoregressive,
    Chain,
    Elementwise,
    Exp,
    Fit,
    Flow,
    Shift,
    StandardNormal,
    Training,
    TriangularAffine,
    fit,
    maf,
    realnvp,
    spline_flow,
    training,
)
from flowtutorial.datasets import moons
from flowtutorial.observations import Observations
from flowtutorial.training import _Adam, train

MOONS = moons(500, 0)
SMALL = realnvp(2, layers=2, hidden=(8,))
NORMAL = Flow(StandardNormal(2), TriangularAffine.init(2))
QUICK: dict[str, Any] = {"epochs": 4, "batch_size": 64, "learning_rate": 1e-2}


def test_adam_takes_the_steps_of_the_paper() -> None:
    """Kingma and Ba (2015), algorithm 1, line by line; uphill."""
    rng = np.random.default_rng(0)
    start, gradients = rng.standard_normal(7), rng.standard_normal((20, 7))
    adam, theta, m, v = _Adam(start.copy()), start.copy(), np.zeros(7), np.zeros(7)
    for t, gradient in enumerate(gradients, 1):
        kept = gradient.copy()
        adam.climb(gradient, 0.01 * t)
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        theta = theta + 0.01 * t * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        np.testing.assert_allclose(adam.params, theta, rtol=1e-12)
        np.testing.assert_array_equal(gradient, kept)
    assert adam.steps == 20


def test_one_epoch_by_hand() -> None:
    """Batches, gradients and step sizes are what the documentation says."""
    x = MOONS[:40]
    result = train(
        NORMAL, x, rng=3, epochs=2, batch_size=15, learning_rate=0.1, validation=0.2
    )  # 8 are held out, and of 32 two batches are whole
    rng = np.random.default_rng(3)
    order = rng.permutation(40)
    held, kept = order[:8], order[8:]
    adam, flow, history = _Adam(NORMAL.params), NORMAL, []
    for epoch in range(2):
        rows, means = rng.permutation(kept), []
        for batch in range(2):
            part = x[rows[15 * batch : 15 * batch + 15]]
            means.append(flow.log_prob(part).mean())
            score = flow.log_prob_and_score(part)[1].mean(axis=0)
            rate = 0.05 * (1.0 + np.cos(np.pi * (epoch + batch / 2) / 2))
            adam.climb(score, rate)
            flow = NORMAL.with_params(adam.params)
        history.append((np.mean(means), flow.log_prob(x[held]).mean()))
    np.testing.assert_allclose(result.history, history, rtol=1e-10)
    np.testing.assert_allclose(result.params, adam.params, rtol=1e-9)
    assert result.iterations == 4


@pytest.mark.parametrize(
    "flow",
    [SMALL, maf(2, layers=2, hidden=(8,)), spline_flow(2, layers=2, bins=4, hidden=(8,))],
    ids=["realnvp", "maf", "spline"],
)
def test_a_few_epochs_gain_on_the_start_and_repeat_under_a_seed(flow: Flow) -> None:
    start = flow.log_prob(MOONS).mean()
    params = flow.params
    result = train(flow, MOONS, **QUICK)
    assert isinstance(result, Training)
    assert result.log_likelihood > start + 0.1
    assert result.log_likelihood == pytest.approx(result.flow.log_prob(MOONS).mean())
    assert result.validation_log_likelihood == result.history[:, 1].max()
    assert result.history.shape == (4, 2)
    assert result.iterations == 4 * (450 // 64)
    assert np.isfinite(result.gradient_norm)
    np.testing.assert_array_equal(result.params, result.flow.params)
    np.testing.assert_array_equal(flow.params, params)  # the start stays as it was
    again = train(flow, MOONS, **QUICK, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(again.params, result.params)
    np.testing.assert_array_equal(again.history, result.history)
    other = train(flow, MOONS, **QUICK, rng=1)
    assert not np.array_equal(other.params, result.params)


def test_a_linear_flow_is_trained_to_its_closed_form() -> None:
    result = train(NORMAL, MOONS, epochs=150, batch_size=500, validation=0.0, learning_rate=0.1)
    best = fit(NORMAL, MOONS)
    assert isinstance(best, Fit)
    assert result.log_likelihood == pytest.approx(best.log_likelihood, abs=1e-6)
    np.testing.assert_allclose(result.params, best.params, atol=1e-2)
    assert result.gradient_norm < 1e-2


def test_nothing_held_out() -> None:
    result = train(SMALL, MOONS, **QUICK, validation=0.0)
    assert result.iterations == 4 * (500 // 64)
    assert result.validation_log_likelihood == pytest.approx(result.log_likelihood)


def test_held_out_data_are_not_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []
    original = training.mean_and_slope

    def watched(flow: Flow, data: Observations) -> Any:
        seen.append(data.x)
        return original(flow, data)

    monkeypatch.setattr(training, "mean_and_slope", watched)
    train(SMALL, MOONS, **QUICK, validation=0.3)
    learned = np.unique(np.concatenate(seen[:-1]), axis=0)  # the last looks at all of the data
    assert 250 < len(learned) <= 350
    assert all(len(batch) == 64 for batch in seen[:-1])


def test_it_stops_when_held_out_data_no_longer_gain() -> None:
    x = np.random.default_rng(0).standard_normal((60, 2)) * [1.5, 0.5]
    result = train(
        SMALL, x, epochs=200, batch_size=10, patience=3, learning_rate=0.03, validation=0.3
    )
    assert result.converged
    assert result.message == "held-out data have not gained for 3 epochs"
    best = int(result.history[:, 1].argmax())
    assert len(result.history) == best + 4 < 200
    assert result.validation_log_likelihood == result.history[best, 1]
    rng = np.random.default_rng(0)
    held = rng.permutation(60)[:18]
    kept = result.flow.log_prob(x[held]).mean()
    assert kept == pytest.approx(result.history[best, 1], rel=1e-12)


@pytest.mark.parametrize("moment", [0, 3, 17])
def test_an_interruption_keeps_the_best(moment: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the keyboard, in the middle of an epoch of 7 steps."""
    whole = train(SMALL, MOONS, **QUICK)
    original, calls = training._Adam.climb, iter(range(1000))

    def climb(self: _Adam, gradient: np.ndarray, rate: float) -> None:
        if next(calls) == moment:
            raise KeyboardInterrupt
        original(self, gradient, rate)

    monkeypatch.setattr(training._Adam, "climb", climb)
    result = train(SMALL, MOONS, **QUICK)
    epochs = moment // 7
    assert result.message == "interrupted from the keyboard"
    assert not result.converged
    assert result.iterations == moment
    np.testing.assert_array_equal(result.history, whole.history[:epochs])
    assert result.history.shape == (epochs, 2)
    if epochs:
        assert result.validation_log_likelihood == whole.history[:epochs, 1].max()
    else:
        np.testing.assert_array_equal(result.params, SMALL.params)
    assert repr(result).startswith(f"stopped after {moment} steps in {epochs} epochs: interrupted")


@pytest.mark.parametrize("rate", [30.0, 1e8, 1e200, 1e308])
@pytest.mark.parametrize("batch_size", [64, 450])
@pytest.mark.parametrize(
    "flow",
    [SMALL, realnvp(2, layers=2, hidden=(8,), transformer=Affine), spline_flow(2, 1, hidden=(4,))],
    ids=["bounded", "affine", "spline"],
)
def test_a_step_size_that_diverges_is_said_and_the_best_kept(
    flow: Flow, rate: float, batch_size: int
) -> None:
    result = train(flow, MOONS, learning_rate=rate, batch_size=batch_size, epochs=3)
    assert "smaller learning_rate" in result.message
    assert not result.converged
    assert np.isfinite(result.params).all()
    assert result.log_likelihood >= flow.log_prob(MOONS).mean() - 1e-12


def test_without_patience_a_start_that_is_never_left_is_no_success() -> None:
    result = train(SMALL, MOONS, epochs=10, patience=2, learning_rate=30.0, batch_size=64)
    assert not result.converged
    assert result.message == (
        "held-out data have not gained for 2 epochs, none of them better than the start; a smaller "
        "learning_rate may help"
    )


def test_what_went_well_before_a_divergence_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(SMALL, MOONS, **QUICK)
    original, calls = training.mean_and_slope, iter(range(1000))

    def spoiled(flow: Flow, data: Observations) -> Any:
        mean, slope = original(flow, data)
        return mean, slope * (np.nan if next(calls) == 16 else 1.0)

    monkeypatch.setattr(training, "mean_and_slope", spoiled)
    result = train(SMALL, MOONS, **QUICK)
    assert result.message == (
        "the gradient was not finite at step 17; a smaller learning_rate may help"
    )
    np.testing.assert_array_equal(result.history, whole.history[:2])
    assert result.validation_log_likelihood == whole.history[:2, 1].max()


def test_conditional_data() -> None:
    """Two clouds, told apart by the context, need it; a context of noise does not help."""
    rng = np.random.default_rng(0)
    context = rng.choice([-1.0, 1.0], (400, 1))
    x = 2.0 * context + 0.5 * rng.standard_normal((400, 2))
    flow = maf(2, layers=1, hidden=(8,), context_dim=1)
    options: dict[str, Any] = {"epochs": 40, "batch_size": 64, "learning_rate": 0.03}
    told = train(flow, x, context, **options)
    blind = train(flow, x, rng.permutation(context), **options)
    entropy = -2.0 * (0.5 * np.log(2.0 * np.pi * np.e) + np.log(0.5))
    assert told.log_likelihood == pytest.approx(entropy, abs=0.15)
    assert told.log_likelihood > blind.log_likelihood + 0.4
    draws = told.flow.sample(300, 0, [[-1.0], [1.0]])
    np.testing.assert_allclose(draws.mean(axis=0), [[-2.0, -2.0], [2.0, 2.0]], atol=0.2)
    same = train(flow, x, [1.0], epochs=1)  # one context for all
    assert same.log_likelihood == pytest.approx(same.flow.log_prob(x, [1.0]).mean())


def test_numbers_can_be_trained_too() -> None:
    x = np.random.default_rng(0).normal(3.0, 2.0, 400)
    flow = Flow(StandardNormal(), Affine(0.0, 0.0))
    result = fit(
        flow,
        x,
        method="adam",
        epochs=150,
        batch_size=400,
        learning_rate=0.2,
        validation=0.0,
        patience=150,
    )
    np.testing.assert_allclose(result.params, [x.mean(), np.log(x.std())], atol=0.02)


def test_the_method_follows_the_number_of_parameters_and_the_options() -> None:
    few = Autoregressive.init(1, 0, hidden=(8,), transformer=Shift, context_dim=1)
    x, context = MOONS[:60, :1], MOONS[:60, 1:]
    assert isinstance(fit(Flow(StandardNormal(1), Chain((few,))), x, context), Fit)
    many = realnvp(2, layers=6, hidden=(8,))
    assert many.params.size > 200
    result = fit(many, MOONS, epochs=1)
    assert isinstance(result, Training)
    np.testing.assert_array_equal(result.params, train(many, MOONS, epochs=1).params)
    assert isinstance(fit(NORMAL, MOONS, method="adam", epochs=1), Training)
    assert isinstance(fit(NORMAL, MOONS, batch_size=100, epochs=1), Training)


def test_repr() -> None:
    text = repr(train(SMALL, MOONS, **QUICK)).splitlines()
    assert text[0] == "stopped after 28 steps in 4 epochs: 4 epochs are over"
    assert text[1].startswith("mean log-likelihood -2.")
    assert "of held-out data -2." in text[1]
    assert text[2] == f"{SMALL.params.size} parameters"
    assert len(text) == 3


def test_progress(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for progress in (None, False):
        train(SMALL, MOONS, **QUICK, progress=progress)
        assert capsys.readouterr() == ("", "")
    train(SMALL, MOONS, **QUICK, progress=True)
    assert "0/28" in capsys.readouterr().err

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    fit(SMALL, MOONS, method="adam", **QUICK)
    assert "0/28" in terminal.getvalue()

    class Bar:
        steps, texts = 0, ()

        def update(self, steps: int) -> None:
            self.steps += steps

        def set_postfix_str(self, text: str, refresh: bool) -> None:
            self.texts += (text,)

    bar = Bar()
    monkeypatch.setattr(training, "progress_bar", lambda total, progress: nullcontext(bar))
    result = train(SMALL, MOONS, **QUICK)
    assert bar.steps == 28
    assert bar.texts == tuple(f"held-out log-likelihood {v:.4f}" for v in result.history[:, 1])


# -- what is refused -------------------------------------------------------------------------------

GIVEN = realnvp(2, layers=2, hidden=(8,), context_dim=2)
POSITIVE = Flow(StandardNormal(2), Chain((TriangularAffine.init(2), Elementwise(Exp()))))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"flow": StandardNormal(2)}, TypeError, "flow: expected a Flow"),
        ({"flow": Flow(StandardNormal(2), Elementwise(Exp()))}, ValueError, "has no parameters"),
        ({"flow": POSITIVE}, ValueError, r"x: \d+ of 500 values have density 0 .* x\["),
        ({"x": []}, ValueError, "x: "),
        ({"x": np.empty((0, 2))}, ValueError, "x: no data"),
        ({"x": MOONS[:, :1]}, ValueError, r"x: expected vectors of length 2.*\(500, 1\)"),
        ({"x": MOONS * [1.0, np.nan]}, ValueError, r"500 of 1000 values .*x\[0, 1\] = nan"),
        ({"x": MOONS * [1.0, 0.0]}, ValueError, "x: column 1 is constant, 0 in all of 500 rows"),
        ({"x": MOONS[:1]}, ValueError, "x: column 0 is constant"),
        ({"x": MOONS + 0j}, TypeError, "x: expected real numbers"),
        ({"context": MOONS}, ValueError, "context: this flow is not conditional"),
        ({"flow": GIVEN}, ValueError, "context: this flow is conditional; .* of length 2"),
        ({"flow": GIVEN, "context": MOONS[:9]}, ValueError, r"one for each of 500 .*\(9, 2\)"),
        ({"flow": GIVEN, "context": MOONS[:, :1]}, ValueError, r"length 2 .*\(500, 1\)"),
        ({"flow": GIVEN, "context": MOONS * np.inf}, ValueError, "context: expected finite"),
        ({"rng": None}, TypeError, "rng: expected numpy.random.default_rng"),
        ({"rng": -1}, ValueError, "rng: a seed is not negative"),
        ({"epochs": 0}, ValueError, "epochs: expected 1 or more, got 0"),
        ({"epochs": 2.5}, TypeError, "epochs: expected an integer, got 2.5"),
        ({"batch_size": 451}, ValueError, "batch_size: 451 is more than the 450 observations"),
        ({"batch_size": 0}, ValueError, "batch_size: expected 1 or more"),
        ({"batch_size": 9.0}, TypeError, "batch_size: expected an integer"),
        ({"learning_rate": 0.0}, ValueError, "learning_rate: expected a positive number"),
        ({"learning_rate": -1.0}, ValueError, "learning_rate: expected a positive number"),
        ({"learning_rate": np.inf}, ValueError, "learning_rate: expected a finite number"),
        ({"learning_rate": "1"}, TypeError, "learning_rate: expected a number"),
        ({"validation": 1.0}, ValueError, "validation: expected a share from 0 to below 1, got 1"),
        ({"validation": -0.1}, ValueError, "validation: expected a share"),
        ({"validation": 0.999}, ValueError, "validation: a share of 0.999 leaves nothing of 500"),
        ({"validation": None}, TypeError, "validation: expected a number"),
        ({"patience": 0}, ValueError, "patience: expected 1 or more"),
        ({"patience": None}, TypeError, "patience: expected an integer"),
    ],
)
def test_train_names_what_is_wrong(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    arguments = {"flow": SMALL, "x": MOONS, "epochs": 1} | change
    with pytest.raises(error, match=message):
        train(**arguments)
    with pytest.raises(error, match=message):
        fit(**({"method": "adam"} | arguments))


@pytest.mark.parametrize(
    ("flow", "options", "error", "message"),
    [
        (SMALL, {"method": "sgd"}, ValueError, "method: expected 'newton' or 'adam', got 'sgd'"),
        (NORMAL, {"method": "newton", "epochs": 3}, TypeError,
         "epochs: not an option of the method 'newton', which has .*tolerance"),
        (NORMAL, {"method": "adam", "tolerance": 3}, TypeError,
         "tolerance: not an option of the method 'adam', which has .*epochs, batch_size"),
        (realnvp(2), {"ridge": 1.0}, TypeError, "ridge: not an option of the method 'adam'"),
        (realnvp(2), {"steps": 1.0}, TypeError, "steps: not an option of the method 'adam'"),
    ],
)  # fmt: skip
def test_options_of_another_method_are_named(
    flow: Flow, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        fit(flow, MOONS, **options)
