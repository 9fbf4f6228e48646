"""Compiled derivatives, against differences, and against overflow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from flowtutorial import (
    Affine,
    Bijection,
    Exp,
    Flow,
    LeakyReLU,
    Shift,
    Sigmoid,
    SinhArcsinh,
    Softplus,
    StandardNormal,
    Tanh,
)
from flowtutorial.symbolic import derive

CASES: list[tuple[type[Bijection], tuple[float, ...]]] = [
    (Shift, (0.4,)),
    (Affine, (0.4, -0.3)),
    (Exp, ()),
    (Sigmoid, ()),
    (Softplus, ()),
    (Tanh, ()),
    (LeakyReLU, (-0.7,)),
    (SinhArcsinh, (0.4, -0.3)),
]


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize(("cls", "params"), CASES)
def test_derivatives_agree_with_differences(
    cls: type[Bijection], params: tuple[float, ...], direction: str
) -> None:
    argument = np.array([-2.3, -0.4, 0.21, 0.8, 1.9])
    if direction == "inverse":
        argument = cls(*params).forward(argument)
    got = derive(cls, direction)(params, argument)
    h = 1e-6

    def evaluate(theta: Any, at: Any) -> tuple[Any, Any]:
        result: tuple[Any, Any] = getattr(cls(*theta), f"{direction}_and_log_det")(at)
        return result

    value, log_det = evaluate(params, argument)
    np.testing.assert_allclose(got.value, value, rtol=1e-14)
    np.testing.assert_allclose(got.log_det, log_det, rtol=1e-12, atol=1e-14)
    low, high = cls.codomain if direction == "inverse" else cls.domain
    step = h * np.minimum(1.0, np.minimum(argument - low, high - argument))
    up, down = evaluate(params, argument + step), evaluate(params, argument - step)
    for found, above, below in zip((got.d_value_dx, got.d_log_det_dx), up, down, strict=True):
        np.testing.assert_allclose(found, (above - below) / (2 * step), rtol=1e-5, atol=1e-7)
    for j in range(len(params)):
        theta = np.array(params)
        ends = [evaluate(theta + s * h * np.eye(len(params))[j], argument) for s in (1, -1)]
        for found, index in ((got.d_value_dparams[j], 0), (got.d_log_det_dparams[j], 1)):
            expected = (ends[0][index] - ends[1][index]) / (2 * h)
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
            assert found.shape == argument.shape


@pytest.mark.parametrize(("cls", "params"), CASES)
def test_derivatives_do_not_overflow(cls: type[Bijection], params: tuple[float, ...]) -> None:
    argument = np.array([-1e4, -700.0, -40.0, 0.0, 40.0, 700.0])
    got = derive(cls, "forward")(params, argument)
    assert np.isfinite(got.d_log_det_dx).all()
    for part in got.d_log_det_dparams:
        assert np.isfinite(part).all()


def test_at_the_middle_of_a_symmetric_form_the_derivative_is_there() -> None:
    got = derive(Softplus)((), np.log([2.0]))
    assert got.value == pytest.approx([0.0], abs=1e-15)
    assert got.d_log_det_dx == pytest.approx([-1.0])


def test_parameters_broadcast() -> None:
    shifts = np.array([0.0, 1.0, 2.0])
    got = derive(Affine)((shifts, 0.0), np.array([5.0, 5.0, 5.0]))
    np.testing.assert_array_equal(got.value, [5.0, 4.0, 3.0])
    np.testing.assert_array_equal(got.d_value_dparams[1], [-5.0, -4.0, -3.0])


def test_it_is_compiled_once() -> None:
    assert derive(Affine) is derive(Affine)
    assert derive(Affine) is not derive(Affine, "forward")


def test_a_bijection_of_ones_own_has_a_gradient_at_once() -> None:
    @dataclass(frozen=True, eq=False)
    class Cubic(Bijection):
        log_c: float

        def forward_and_log_det(self, z: Any) -> Any:
            c = np.exp(self.log_c)
            return z + c * z**3, np.log1p(3.0 * c * z * z)

        def inverse_and_log_det(self, x: Any) -> Any:
            k = np.sqrt(3.0 * np.exp(self.log_c))
            z = 2.0 / k * np.sinh(np.arcsinh(1.5 * k * x) / 3.0)
            return z, -self.forward_and_log_det(z)[1]

    x, h = np.linspace(-3.0, 3.0, 7), 1e-6
    got = derive(Cubic)((0.2,), x)
    expected = (Cubic(0.2 + h).inverse(x) - Cubic(0.2 - h).inverse(x)) / (2 * h)
    np.testing.assert_allclose(got.d_value_dparams[0], expected, rtol=1e-8, atol=1e-9)


def test_what_can_not_be_derived_is_named() -> None:
    @dataclass(frozen=True, eq=False)
    class Branching(Bijection):
        def forward_and_log_det(self, z: Any) -> Any:
            return (z, z) if z > 0 else (-z, z)

        def inverse_and_log_det(self, x: Any) -> Any:
            return (x, x) if x > 0 else (-x, x)

    with pytest.raises(TypeError, match=r"Branching\.inverse_and_log_det can't be read .* branch"):
        derive(Branching)
    for bad in (StandardNormal(), StandardNormal, 3):
        with pytest.raises(TypeError, match="bijection: expected a bijection or its class"):
            derive(bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="direction: expected 'inverse' or 'forward'"):
        derive(Affine, "sideways")


def test_fields_that_are_not_trained_keep_their_values() -> None:
    @dataclass(frozen=True, eq=False)
    class Stretched(Bijection):
        shift: float
        k: float = field(default=1.0, metadata={"static": True})

        def forward_and_log_det(self, z: Any) -> Any:
            return self.shift + self.k * z, np.zeros_like(z) + np.log(self.k)

        def inverse_and_log_det(self, x: Any) -> Any:
            return (x - self.shift) / self.k, np.zeros_like(x) - np.log(self.k)

    for k in (4.0, 2.0):
        flow = Flow(StandardNormal(), Stretched(0.5, k))
        log_prob, score = flow.log_prob_and_score([2.0])
        assert log_prob == pytest.approx(flow.log_prob([2.0]))
        assert score[0, 0] == pytest.approx(1.5 / k**2)


def test_arrays_of_parameters_need_an_instance() -> None:
    @dataclass(frozen=True, eq=False)
    class Weights(Bijection):
        w: Any = field(metadata={"ndim": 1})

        def forward_and_log_det(self, z: Any) -> Any:
            return z + np.sum(np.asarray([1.0, 2.0, 3.0]) * self.w, axis=-1), np.zeros_like(z)

        def inverse_and_log_det(self, x: Any) -> Any:
            return x - np.sum(np.asarray([1.0, 2.0, 3.0]) * self.w, axis=-1), np.zeros_like(x)

    flow = Flow(StandardNormal(), Weights(np.ones(3)))
    assert flow.log_prob([6.0]) == pytest.approx(flow.base.log_prob(0.0))
    np.testing.assert_allclose(flow.gradient([7.0]).w, [1.0, 2.0, 3.0])
    with pytest.raises(TypeError, match=r"Weights\.w is an array of parameters; pass an instance"):
        derive(Weights)
    each = derive(flow.bijection)((np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]),), np.zeros(2))
    np.testing.assert_array_equal(each.value, [-1.0, -3.0])
    np.testing.assert_array_equal(each.d_value_dparams[0], [[-1.0, -2.0, -3.0]] * 2)
