"""Every bijection: round trips, log-determinants, shapes, types, parameters."""

from __future__ import annotations

import dataclasses
import pickle
import re

import numpy as np
import pytest
from cases import CASES, VOLUME_PRESERVING, base_points
from hypothesis import given
from hypothesis import strategies as st

from flowtutorial import Affine, Bijection, Chain, Exp, Inverse, Shift, SinhArcsinh, Softplus

every_case = pytest.mark.parametrize("bijection", CASES.values(), ids=CASES.keys())
finite = st.floats(-5.0, 5.0)


@every_case
def test_round_trip(bijection: Bijection) -> None:
    z = base_points(bijection)
    np.testing.assert_allclose(bijection.inverse(bijection.forward(z)), z, rtol=1e-11, atol=1e-12)


@every_case
def test_log_det_is_that_of_an_independent_derivative(bijection: Bijection) -> None:
    """Five-point differences of `forward` know nothing of the formulas for the log-determinant."""
    z = base_points(bijection)
    low, high = bijection.domain
    h = 1e-3 * np.minimum(1.0, np.minimum(z - low, high - z))
    g = bijection.forward
    slope = (8.0 * (g(z + h) - g(z - h)) - (g(z + 2 * h) - g(z - 2 * h))) / (12.0 * h)
    smooth = np.abs(z) > 0.01  # a kink at 0 has no derivative
    _, log_det = bijection.forward_and_log_det(z)
    np.testing.assert_allclose(log_det[smooth], np.log(np.abs(slope[smooth])), rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", CASES)
def test_only_listed_cases_preserve_volume(name: str) -> None:
    _, log_det = CASES[name].forward_and_log_det(base_points(CASES[name]))
    assert bool(np.all(log_det == 0.0)) == (name in VOLUME_PRESERVING)


@every_case
def test_directions_have_opposite_log_dets(bijection: Bijection) -> None:
    z = base_points(bijection)
    x, forward = bijection.forward_and_log_det(z)
    _, inverse = bijection.inverse_and_log_det(x)
    np.testing.assert_allclose(inverse, -forward, rtol=1e-10, atol=1e-11)


@every_case
def test_images_lie_in_the_codomain(bijection: Bijection) -> None:
    low, high = bijection.codomain
    x = bijection.forward(base_points(bijection))
    assert np.all((x > low) & (x < high))


@every_case
def test_shapes_broadcast_and_types_are_kept(bijection: Bijection) -> None:
    z = base_points(bijection, 6)
    for shape in [(6,), (2, 3), (1, 6, 1)]:
        for method in (bijection.forward_and_log_det,):
            x, log_det = method(z.reshape(shape))
            assert np.shape(x) == np.shape(log_det) == shape
    assert np.shape(bijection.forward(z[0])) == ()
    assert bijection.forward(z.astype(np.float32)).dtype == np.float32
    assert bijection.forward(z).dtype == np.float64
    empty, log_det = bijection.forward_and_log_det(np.empty(0))
    assert empty.shape == log_det.shape == (0,)


def test_integers_become_float64() -> None:
    assert Shift(0.5).forward([1, 2]).dtype == np.float64
    np.testing.assert_array_equal(Shift(0.5).forward(np.arange(3)), [0.5, 1.5, 2.5])


@every_case
def test_nan_stays_where_it_is(bijection: Bijection) -> None:
    z = base_points(bijection, 5)
    expected = bijection.forward(z)
    z[2] = np.nan
    x, _ = bijection.forward_and_log_det(z)
    assert np.isnan(x[2])
    np.testing.assert_array_equal(np.delete(x, 2), np.delete(expected, 2))


@every_case
def test_input_is_not_changed(bijection: Bijection) -> None:
    z = base_points(bijection)
    kept = z.copy()
    _, log_det = bijection.forward_and_log_det(z)
    log_det += 1.0  # what comes out is the caller's
    np.testing.assert_array_equal(z, kept)


@pytest.mark.parametrize("bad", ["a", [1 + 2j], [None], np.array(["2020"], "M8[D]"), [True]])
def test_what_is_not_real_is_a_type_error(bad: object) -> None:
    with pytest.raises(TypeError, match=r"z: expected real numbers"):
        Shift(1.0).forward(bad)
    with pytest.raises(TypeError, match=r"x: expected real numbers"):
        Shift(1.0).inverse(bad)


def test_ragged_and_masked_input_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="z: not an array of numbers"):
        Shift(1.0).forward([[1.0], [1.0, 2.0]])
    with pytest.raises(TypeError, match="would lose its mask"):
        Shift(1.0).forward(np.ma.masked_invalid([1.0, np.nan]))


@given(z=finite, skewness=finite, log_tailweight=st.floats(-1.0, 1.0))
def test_sinh_arcsinh_is_increasing_for_all_parameters(
    z: float, skewness: float, log_tailweight: float
) -> None:
    bijection = SinhArcsinh(skewness, log_tailweight)
    low, high = bijection.forward([z, z + 0.5])
    assert low < high


@given(z=finite, shift=finite, log_scale=finite)
def test_affine_matches_its_formula(z: float, shift: float, log_scale: float) -> None:
    expected = shift + np.exp(log_scale) * z
    assert Affine(shift, log_scale).forward(z) == pytest.approx(expected, rel=1e-14, abs=1e-14)


# -- combination -----------------------------------------------------------------------------------


def test_chain_applies_its_first_part_first() -> None:
    double, add = Affine(0.0, np.log(2.0)), Shift(1.0)
    assert Chain((double, add)).forward(3.0) == pytest.approx(7.0)
    assert Chain((add, double)).forward(3.0) == pytest.approx(8.0)


def test_chain_sums_log_dets_at_the_values_that_arrive() -> None:
    first, second = SinhArcsinh(0.3, 0.2), Softplus()
    z = np.linspace(-2.0, 2.0, 5)
    middle, log_det_1 = first.forward_and_log_det(z)
    x, log_det_2 = second.forward_and_log_det(middle)
    got = Chain((first, second)).forward_and_log_det(z)
    np.testing.assert_array_equal(got, (x, log_det_1 + log_det_2))


def test_intervals_follow_the_parts() -> None:
    assert Chain((Exp(), Affine(-3.0, 0.5))).codomain == pytest.approx((-3.0, np.inf))
    assert Chain((Exp(), Inverse(Softplus()))).codomain == (-np.inf, np.inf)
    assert Inverse(Exp()).domain == (0.0, np.inf)
    assert Chain((Inverse(Exp()), Shift(1.0))).domain == (0.0, np.inf)
    assert Chain((Shift(-1.0), Inverse(Exp()))).domain == (1.0, np.inf)


def test_an_impossible_chain_has_no_domain() -> None:
    negative = Chain((Exp(), Affine(-5.0, 0.0), Inverse(Chain((Exp(), Shift(3.0))))))
    assert negative.domain == pytest.approx((np.log(8.0), np.inf))
    never = Chain((Inverse(Exp()), Exp(), Shift(0.0)))
    assert never.domain == (0.0, np.inf)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Chain(Shift(1.0)), "parts: expected a tuple"),  # type: ignore[arg-type]
        (lambda: Chain((Shift(1.0), 3)), r"parts\[1\]: expected a bijection, got 3"),  # type: ignore[arg-type]
        (lambda: Chain((Shift,)), r"parts\[0\]: expected a bijection"),  # type: ignore[arg-type]
        (lambda: Inverse(Exp), "bijection: expected a bijection"),  # type: ignore[arg-type]
    ],
)
def test_wrong_parts_are_named(make: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()  # type: ignore[operator]


def test_a_list_of_parts_is_kept_as_a_tuple() -> None:
    assert Chain([Shift(1.0), Exp()]).parts[1].forward(0.0) == 1.0  # type: ignore[arg-type]


def test_reprs_are_worth_reading() -> None:
    assert repr(Shift(2.0)) == "Shift(shift=2.0)"
    assert repr(Chain((Exp(), Shift(1.0)))) == "Chain((Exp(), Shift(shift=1.0)))"
    assert repr(Chain((Exp(),))) == "Chain((Exp(),))"
    assert repr(Inverse(Exp())) == "Inverse(Exp())"


# -- parameters ------------------------------------------------------------------------------------


@every_case
def test_params_go_to_a_vector_and_back(bijection: Bijection) -> None:
    vector = bijection.params
    assert vector.dtype == np.float64
    assert vector.shape == (len(bijection.param_names),)
    moved = bijection.with_params(vector + 0.125)
    np.testing.assert_array_equal(moved.params, vector + 0.125)
    assert type(moved) is type(bijection)
    np.testing.assert_array_equal(bijection.params, vector)  # the original stays
    z = base_points(bijection)
    np.testing.assert_array_equal(bijection.with_params(vector).forward(z), bijection.forward(z))


def test_params_come_in_order_of_application_then_of_fields() -> None:
    chain = Chain((SinhArcsinh(1.0, 2.0), Affine(3.0, 4.0), Shift(5.0)))
    np.testing.assert_array_equal(chain.params, [1.0, 2.0, 3.0, 4.0, 5.0])
    assert chain.param_names == ("skewness", "log_tailweight", "shift", "log_scale", "shift_2")


def test_a_bundle_has_the_fields_of_the_bijection() -> None:
    bundle = Chain((Affine(0.0, 0.0), Shift(0.0))).bundle([1.0, 2.0, 3.0])
    assert bundle.parts[0].log_scale == 2.0
    assert bundle.parts[1].shift == 3.0


@pytest.mark.parametrize("bad", [[1.0], [1.0, 2.0, 3.0], 1.0, [[1.0, 2.0]]])
def test_a_vector_of_wrong_length_is_named(bad: object) -> None:
    message = re.escape("params: expected a vector of length 2 (shift, log_scale)")
    with pytest.raises(ValueError, match=message):
        Affine(0.0, 0.0).with_params(bad)


def test_static_fields_and_array_parameters() -> None:
    @dataclasses.dataclass(frozen=True, eq=False)
    class Table(Bijection):
        heights: np.ndarray = dataclasses.field(metadata={"ndim": 2})
        bins: int = dataclasses.field(metadata={"static": True})

        def forward_and_log_det(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return z + self.heights.sum(), np.zeros_like(z)

        def inverse_and_log_det(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return x - self.heights.sum(), np.zeros_like(x)

    table = Table(np.arange(4.0).reshape(2, 2), bins=7)
    assert table.param_names == ("heights[0,0]", "heights[0,1]", "heights[1,0]", "heights[1,1]")
    moved = table.with_params([3.0, 2.0, 1.0, 0.0])
    assert moved.bins == 7
    np.testing.assert_array_equal(moved.heights, [[3.0, 2.0], [1.0, 0.0]])


def test_bijections_are_frozen_and_can_be_pickled() -> None:
    affine = Affine(1.0, 2.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        affine.shift = 3.0  # type: ignore[misc]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(affine)).params, affine.params)


def test_a_class_that_lacks_a_direction_can_not_be_made() -> None:
    class Half(Bijection):
        def forward_and_log_det(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return z, z

    with pytest.raises(TypeError, match="inverse_and_log_det"):
        Half()  # type: ignore[abstract]
