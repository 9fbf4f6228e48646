"""Maps and distributions of vectors that readers write: derived from their code, or refused."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from flowtutorial import (
    Affine,
    Bijection,
    Chain,
    Flow,
    Inverse,
    SinhArcsinh,
    StandardNormal,
    TriangularAffine,
    fit,
    realnvp,
)

X = np.random.default_rng(0).standard_normal((20, 2))
LINEAR = TriangularAffine([0.1, 0.2], [0.3], [0.4, 0.5])


@dataclass(frozen=True, eq=False)
class Funnel(Bijection):
    """The first coordinate scales the second."""

    event_ndim = 1
    shift: Any = field(metadata={"ndim": 1})
    width: float

    def forward_and_log_det(self, z: Any) -> tuple[Any, Any]:
        log_scale = self.width * np.tanh(z[..., 0])
        second = z[..., 1] * np.exp(log_scale) + self.shift[1]
        return np.stack([z[..., 0] + self.shift[0], second], axis=-1), log_scale

    def inverse_and_log_det(self, x: Any) -> tuple[Any, Any]:
        first = x[..., 0] - self.shift[0]
        log_scale = self.width * np.tanh(first)
        return np.stack([first, (x[..., 1] - self.shift[1]) * np.exp(-log_scale)], axis=-1), (
            -log_scale
        )


class Ellipse:
    """A normal density of two widths, without a score."""

    event_ndim, dim = 1, 2

    def log_prob(self, z: Any) -> Any:
        return -0.5 * np.sum((z / np.array([1.0, 3.0])) ** 2, axis=-1) - np.log(6.0 * np.pi)

    def sample(self, n: int, rng: np.random.Generator) -> Any:
        return rng.standard_normal((n, 2)) * [1.0, 3.0]


class Student(Ellipse):
    """A density with heavy tails, coordinate by coordinate."""

    def log_prob(self, z: Any) -> Any:
        return -3.0 * np.log1p(0.25 * (z[..., 0] ** 2 + z[..., 1] ** 2))


FUNNEL = Funnel(np.array([0.1, 0.2]), 0.4)
SMALL = realnvp(2, 2, 1, hidden=(4,))


@pytest.mark.parametrize(
    "flow",
    [
        Flow(StandardNormal(2), FUNNEL),
        Flow(StandardNormal(2), Inverse(FUNNEL)),
        Flow(Ellipse(), LINEAR),
        Flow(Student(), LINEAR),
        Flow(Student(), Chain((FUNNEL, LINEAR, Inverse(FUNNEL), SMALL.bijection))),
        Flow(SMALL, LINEAR),
        Flow(Flow(StandardNormal(), SinhArcsinh(0.1, 0.2)), Affine(0.3, -0.2)),
    ],
    ids=["own map", "its inverse", "own base", "indexed base", "chain", "flow as base", "numbers"],
)
def test_scores_are_the_differences_of_log_prob(flow: Flow) -> None:
    x = X if flow.event_ndim else X.ravel()
    log_prob, score = flow.log_prob_and_score(x)
    np.testing.assert_allclose(log_prob, flow.log_prob(x), rtol=1e-12)
    for j, step in enumerate(1e-6 * np.eye(flow.params.size)):
        ends = [flow.with_params(flow.params + s * step).log_prob(x) for s in (1.0, -1.0)]
        np.testing.assert_allclose(score[:, j], (ends[0] - ends[1]) / 2e-6, rtol=1e-6, atol=1e-8)
    along = flow.score(x)
    for j in range(2 if flow.event_ndim else 1):
        step = 1e-6 * np.eye(2)[j] if flow.event_ndim else 1e-6
        slope = (flow.log_prob(x + step) - flow.log_prob(x - step)) / 2e-6
        found = along[:, j] if flow.event_ndim else along
        np.testing.assert_allclose(found, slope, rtol=1e-6, atol=1e-8)


def test_a_map_of_ones_own_is_fitted() -> None:
    truth = Flow(StandardNormal(2), Funnel(np.array([1.0, -2.0]), 0.8))
    found = fit(Flow(StandardNormal(2), FUNNEL), truth.sample(4000, 0))
    assert found.converged
    assert np.all(np.abs(found.params - [1.0, -2.0, 0.8]) < 5.0 * found.standard_errors)


def test_code_that_is_no_formula_is_named() -> None:
    class Wrong(Funnel):
        def inverse_and_log_det(self, x: Any) -> tuple[Any, Any]:
            return x - self.shift, np.zeros_like(x)

    class Sorted(Funnel):
        def inverse_and_log_det(self, x: Any) -> tuple[Any, Any]:
            return np.sort(x), np.zeros(x.shape[:-1])

    for cls, message in ((Wrong, r"returns shapes \(2,\) and \(2,\)"), (Sorted, "formula")):
        flow = Flow(StandardNormal(2), cls(np.array([0.0, 0.0]), 0.0))
        with pytest.raises(TypeError, match=rf"{cls.__name__}.inverse_and_log_det .*{message}"):
            flow.gradient(X)


def test_latents_beyond_floating_point_have_density_0() -> None:
    flow = realnvp(2, transformer=Affine)
    x = np.array([[1e3, 300.0], [np.nan, 1.0], [1.0, 1.0], [np.inf, 0.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        log_prob = flow.log_prob(x)
    assert np.isneginf(log_prob[[0, 3]]).all()
    assert np.isnan(log_prob[1])
    assert np.isfinite(log_prob[2])


def test_parameters_can_not_be_changed_from_outside() -> None:
    shift = np.zeros(2)
    flow = Flow(StandardNormal(2), TriangularAffine(shift, [0.0], [0.0, 0.0]))
    shift[0] = 5.0
    assert flow.params[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        flow.bijection.shift[0] = 5.0  # type: ignore[attr-defined]


def test_data_of_any_unit_are_fitted() -> None:
    """Far from zero, one spacing changes a log-density without any narrowing."""
    x = np.random.default_rng(0).standard_normal((300, 2))
    assert fit(Flow(StandardNormal(2), TriangularAffine.init(2)), 1e9 * x).converged
    flow = realnvp(2, 2, hidden=(8,))
    assert np.isfinite(fit(flow, x + 1e8, method="adam", epochs=2).log_likelihood)


def test_advice_about_missing_rows_can_be_followed() -> None:
    x = np.where(np.arange(40).reshape(20, 2) == 7, np.nan, X)
    with pytest.raises(ValueError, match=r"x\[3, 1\] = nan.* x\[numpy.isfinite\(x\).all\(axis"):
        fit(Flow(StandardNormal(2), LINEAR), x)
    assert fit(Flow(StandardNormal(2), LINEAR), x[np.isfinite(x).all(axis=-1)]).converged
