"""Every map of vectors: log-determinants, round trips, derivatives, shapes, densities, fits."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from layers import AT_LEAST_TWO, LAYERS, MIXTURE, SPLINE, VOLUME_PRESERVING, dims, planar, points
from scipy import stats

import flowtutorial.blocks
import flowtutorial.flow
from flowtutorial import (
    MLP,
    Affine,
    Autoregressive,
    Bijection,
    BoundedAffine,
    Chain,
    Coupling,
    Elementwise,
    Exp,
    Flow,
    Householder,
    Inverse,
    LeakyReLU,
    LogisticMixture,
    LULinear,
    Permutation,
    Planar,
    Radial,
    RationalQuadraticSpline,
    Shift,
    Sigmoid,
    SinhArcsinh,
    StandardNormal,
    TriangularAffine,
    fit,
    gradient_ascent,
    maf,
    realnvp,
    spline_flow,
)
from flowtutorial.blocks import times
from flowtutorial.parameters import outer

EPS = float(np.finfo(float).eps)
every_layer = pytest.mark.parametrize("name", LAYERS)


class Swap(Bijection):
    """A map of one's own, which derives nothing by hand."""

    event_ndim = 1
    dim = 2

    def forward_and_log_det(self, z: Any) -> tuple[Any, Any]:
        return z[..., ::-1], 0.0 * z[..., 0]

    inverse_and_log_det = forward_and_log_det


def jacobian(function: Callable[[np.ndarray], np.ndarray], v: np.ndarray) -> np.ndarray:
    """Return the Jacobian matrix at each row of `v`, by five-point differences."""
    h = 1e-5  # so that few steps lead over the knot of a spline
    step = h * np.eye(v.shape[-1])
    at = v[..., None, :]
    once, twice = (function(at + k * step) - function(at - k * step) for k in (1, 2))
    return np.swapaxes((8.0 * once - twice) / (12.0 * h), -1, -2)


# -- the map ---------------------------------------------------------------------------------------


@every_layer
def test_log_det_is_that_of_an_independent_jacobian(name: str) -> None:
    for dim in dims(name, *range(1, 9)):
        layer = LAYERS[name](dim)
        z = points(dim)
        x, log_det = layer.forward_and_log_det(z)
        for function, v, got in (
            (layer.forward, z, log_det),
            (layer.inverse, x, layer.inverse_and_log_det(x)[1]),
        ):
            sign, expected = np.linalg.slogdet(jacobian(function, v))
            np.testing.assert_array_equal(np.abs(sign), 1.0)
            np.testing.assert_allclose(got, expected, rtol=0, atol=2e-8)


# Layers whose inner values say less about a vector than the ones outside, and why.
LOSES_DIGITS = {"autoregressive-mixture": (1e4, "it goes through Φ(z), all but 1 on the right")}


@every_layer
def test_round_trips_end_where_they_began_up_to_conditioning(name: str) -> None:
    for dim in dims(name, 1, 2, 3, 8):
        layer = LAYERS[name](dim)
        for there, back in ((layer.forward, layer.inverse), (layer.inverse, layer.forward)):
            v = points(dim, 20, seed=1)
            w = there(v)
            # What rounding of size eps on the way becomes at the end.
            carried = np.linalg.norm(jacobian(back, w), 2, axis=(-2, -1))
            size = 1.0 + np.linalg.norm(v, axis=-1) + (1.0 + np.linalg.norm(w, axis=-1)) * carried
            error = np.linalg.norm(back(w) - v, axis=-1)
            bound = LOSES_DIGITS.get(name, (100.0, ""))[0] * EPS * size
            assert (error <= bound).all(), (dim, (error / size).max() / EPS)


@every_layer
def test_directions_have_opposite_log_dets(name: str) -> None:
    for dim in dims(name, 1, 2, 5):
        layer = LAYERS[name](dim)
        x, forward = layer.forward_and_log_det(points(dim))
        np.testing.assert_allclose(layer.inverse_and_log_det(x)[1], -forward, atol=1e-11)


@every_layer
def test_only_listed_layers_preserve_volume(name: str) -> None:
    _, log_det = LAYERS[name](3).forward_and_log_det(points(3))
    assert bool(np.all(log_det == 0.0)) == (name in VOLUME_PRESERVING)


@every_layer
def test_coordinates_are_not_treated_alike(name: str) -> None:
    """A layer that forgot some coordinates would pass many tests."""
    layer = LAYERS[name](4)
    z = points(4)
    if name not in ("elementwise", "permutation"):
        assert not np.allclose(layer.forward(z[:, ::-1])[:, ::-1], layer.forward(z))


# -- extremes --------------------------------------------------------------------------------------

SIZES = (0.0, 1e-300, 1e-8, 1.0, 40.0, 700.0, 1e4, 1e15, 1e300)
SIGNED = np.array([sign * size for size in SIZES for sign in (1.0, -1.0)])
# Where a map has no value in floating point, and why.
NO_VALUE_FAR_OUT = {
    "autoregressive-mixture": "forward goes through Φ(z), which rounds to 0 or 1 from |z| = 8.3 on",
}
# Where a value can't be led back, and why.
NO_WAY_BACK = {
    "autoregressive-mixture": NO_VALUE_FAR_OUT["autoregressive-mixture"],
    "elementwise": "the tails of sinh are so heavy that values overflow",
    "elementwise-each": "as elementwise",
    "coupling-sinh-arcsinh": "as elementwise",
    "coupling-chain": "as elementwise",
    "coupling-leaky-relu": "a network without bound makes slopes that overflow",
    "chain": "a coordinate is lost in the rounding of a larger one, whose scale depends on it",
}


def extremes(dim: int) -> np.ndarray:
    if dim < 3:
        return np.array(list(itertools.product(SIGNED, repeat=dim)))
    return np.random.default_rng(dim).choice(SIGNED, (1000, dim))


@every_layer
def test_extreme_values_neither_warn_nor_become_nan(name: str) -> None:
    for dim in dims(name, 1, 2, 3):
        layer, v = LAYERS[name](dim), extremes(dim)
        assert not np.isnan(Flow(StandardNormal(dim), layer).log_prob(v)).any()
        for method in (layer.inverse_and_log_det, layer.forward_and_log_det):
            if name in NO_VALUE_FAR_OUT and method == layer.forward_and_log_det:
                continue
            value, log_det = method(v)
            assert not np.isnan(value).any()
            assert not np.isnan(log_det).any()


@pytest.mark.parametrize("name", [name for name in LAYERS if name not in NO_WAY_BACK])
def test_round_trips_at_extremes(name: str) -> None:
    """The error is small against the largest coordinate of the vector."""
    for dim in dims(name, 1, 2, 3):
        layer, v = LAYERS[name](dim), extremes(dim)
        for there, back in ((layer.forward, layer.inverse), (layer.inverse, layer.forward)):
            w = there(v)
            largest = np.maximum(np.abs(v).max(axis=-1), np.abs(w).max(axis=-1))
            error = np.abs(back(w) / 4.0 - v / 4.0).max(axis=-1)
            bound = 1e-11 * (1.0 + largest)
            assert (error <= bound).all(), (dim, v[np.argmax(error / bound)])


@pytest.mark.parametrize("name", NO_WAY_BACK)
def test_layers_without_a_way_back_have_one_at_moderate_distances(name: str) -> None:
    layer = LAYERS[name](3)
    z = np.random.default_rng(0).choice([0.0, 1e-300, -1e-8, 3.0, -6.0], (200, 3))
    np.testing.assert_allclose(layer.inverse(layer.forward(z)), z, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("slope", [1e6, 1e3, 30.0, 1e-8, 0.0, -1e-8, -1.0, -30.0, -1e3, -1e6])
def test_planar_inverse_has_the_last_digits(slope: float) -> None:
    """The vector that comes back is led by 60-digit arithmetic to within rounding of its image."""
    layer = planar(3, slope)
    w = layer.w / (layer.w @ layer.w)
    steps = np.array([0.0, 1e-12, 1e-6, 0.01, -0.5, 2.0, -10.0, 30.0, 1e5])
    x = layer.forward(steps[:, None] * w + [0.3, -0.2, 0.1])
    z = layer.inverse(x)
    assert np.isfinite(z).all()
    with mpmath.workdps(60):
        u_hat, m = layer.push()
        exact = [mpmath.mpf(float(value)) for value in u_hat]
        for start, end in zip(z, x, strict=True):
            a = mpmath.fdot(map(float, layer.w), map(float, start)) + layer.bias
            led = [
                mpmath.mpf(float(s)) + mpmath.tanh(a) * u for s, u in zip(start, exact, strict=True)
            ]
            missed = max(abs(float(got - float(want))) for got, want in zip(led, end, strict=True))
            stretch = 1.0 + max(float(m), 0.0) / float(mpmath.cosh(a)) ** 2
            scale = np.abs(start).max() * stretch + np.abs(u_hat).max() + np.abs(end).max()
            assert missed <= 16.0 * EPS * scale


@pytest.mark.parametrize("slope", [1e6, 30.0, 0.5, -0.5, -10.0, -36.0, -40.0, -600.0])
def test_planar_log_det_where_the_map_all_but_folds(slope: float) -> None:
    """Below `wᵀu = -37` the number `1 + m` is less than the spacing of floats at `m`."""
    layer = Planar([slope], [1.0], 0.0)
    for z in (0.0, 1e-12, 1e-7, 0.01, 1.0, 5.0):
        with mpmath.workdps(400):
            m = slope if slope >= 0 else mpmath.expm1(slope)
            exact = float(mpmath.log(1 + m * mpmath.sech(mpmath.mpf(z)) ** 2))
        rounding = 8.0 * EPS * (1.0 + abs(exact) + max(slope, 0.0))
        assert layer.forward_and_log_det(np.array([z]))[1] == pytest.approx(exact, abs=rounding)


@pytest.mark.parametrize("slope", [1e15, 1e6, 1e-9, -1e-9, -0.5, -20.0])
def test_planar_log_det_far_away_is_small_to_its_last_digits(slope: float) -> None:
    """There `1 - tanh²` cancels, and `1 + m (1 - tanh²)` rounds to 1."""
    layer = Planar([slope], [1.0], 0.0)
    for z in (3.0, -15.0, 25.0, -40.0, 300.0):
        with mpmath.workdps(400):
            m = slope if slope >= 0 else mpmath.expm1(slope)
            exact = float(mpmath.log1p(m * mpmath.sech(mpmath.mpf(z)) ** 2))
        for got in (
            layer.forward_and_log_det(np.array([z]))[1],
            layer.forward_and_pullback(np.array([z]))[1],
        ):
            assert got == pytest.approx(exact, rel=1e-13, abs=0.0)


def test_planar_inverse_with_a_short_w_keeps_the_digits_of_a_short_push() -> None:
    layer, x = Planar([1e-3, 0.0], [1e-8, 0.0], 0.3), np.array([1.0, 2.0])
    np.testing.assert_allclose(layer.forward(layer.inverse(x)), x, rtol=4.0 * EPS)


@pytest.mark.parametrize("slope", [-700.0, -745.0, -746.0, -1e4])
def test_planar_where_exp_underflows_is_finite(slope: float) -> None:
    """Below -700 the number `1 + m` is `exp(-700)`: at `a = 0` it is the stretch, and a divisor."""
    layer = Planar([slope, 0.5], [1.0, 0.0], 0.0)
    z = np.array([[0.0, 0.3], [1e-300, 0.3], [1e-8, 0.3], [0.01, 0.3], [1.0, 0.3]])
    x, log_det, pullback = layer.forward_and_pullback(z)
    np.testing.assert_allclose(log_det[:2], [-700.0, -700.0], rtol=1e-13)
    np.testing.assert_allclose(log_det[2:], 2.0 * np.log(np.tanh(z[2:, 0])), rtol=1e-12)
    back, log_det_back, pullback_back = layer.inverse_and_pullback(x)
    np.testing.assert_allclose(back, z, rtol=0, atol=1e-5)
    np.testing.assert_allclose(back[3:], z[3:], rtol=1e-9)
    np.testing.assert_allclose(log_det_back[3:], -log_det[3:], rtol=1e-9)
    for pull in (pullback, pullback_back):
        along, fields = pull(np.ones_like(z))
        assert all(np.isfinite(part).all() for part in (along, *fields))


@pytest.mark.parametrize("slope", [-20.0, -40.0, -300.0])
def test_planar_derivatives_where_the_map_all_but_folds(slope: float) -> None:
    """At `a = 0` the slope is `exp(wᵀu)`, and `z̄ = x̄ exp(-wᵀu)`, on the way back."""
    layer = Planar([slope], [1.0], 0.0)
    along = layer.solve_transposed_at(np.array([0.0]), np.array([2.0]))
    np.testing.assert_allclose(along, 2.0 * np.exp(-slope), rtol=1e-12)


@pytest.mark.parametrize("log_stretch", [-40.0, -20.0, -1.0, -1e-9, 1e-9, 1.0, 20.0, 40.0])
@pytest.mark.parametrize("log_radius", [-20.0, 0.0, 20.0])
def test_radial_at_extremes_has_the_last_digits(log_radius: float, log_stretch: float) -> None:
    layer = Radial([0.0, 0.0, 0.0], log_radius, log_stretch)
    for size in (0.0, 1e-250, 1e-12, 1e-3, 1.0, 1e3, 1e15, 1e300):
        z = size * np.array([1.0, -0.5, 0.7])
        with mpmath.workdps(400):
            alpha, grown = mpmath.exp(log_radius), mpmath.expm1(log_stretch)
            r = mpmath.sqrt(mpmath.fsum(mpmath.mpf(float(v)) ** 2 for v in z))
            h = 1 / (alpha + r)
            around, away = 1 + alpha * grown * h, 1 + alpha**2 * grown * h**2
            log_det = float(2 * mpmath.log(around) + mpmath.log(away))
            x = np.array([float(around * mpmath.mpf(float(v))) for v in z])
            carried = 16.0 * EPS * (1.0 + float(around / away))  # what the rounding of x does to z
        got = layer.forward_and_log_det(z)
        np.testing.assert_allclose(got[0], x, rtol=1e-14)
        np.testing.assert_allclose(got[1], log_det, rtol=1e-13)
        back = layer.inverse_and_log_det(x)
        np.testing.assert_allclose(back[0], z, rtol=carried)
        np.testing.assert_allclose(
            back[1], -log_det, rtol=1e-13, atol=4.0 * carried if z.any() else 0.0
        )
        along, fields = layer.forward_and_pullback(z)[2](np.zeros(3))
        assert all(np.isfinite(part).all() for part in (along, *fields))


@pytest.mark.parametrize("size", [1e-320, 1e-200, 1e-160, 1e160, 1e200, 1e307])
def test_vectors_whose_squares_are_no_floats_are_directions(size: float) -> None:
    z, v = points(3), np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(
        Householder(size * v).forward(z),
        Householder(v).forward(z),
        rtol=1e-2 if size < 1e-300 else 1e-12,
    )
    if 1e-300 < size < 1e300:
        along, (by_v,) = Householder(size * v).forward_and_pullback(z)[2](points(3, seed=1))
        expected = Householder(v).forward_and_pullback(z)[2](points(3, seed=1))
        np.testing.assert_allclose(along, expected[0], rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(by_v * size, expected[1][0], rtol=1e-12, atol=1e-13)
        long = Planar(v[::-1] / size, size * v, 0.1)
        there, log_det = long.forward_and_log_det(z / size)
        expected = Planar(v[::-1], v, 0.1).forward_and_log_det(z)
        np.testing.assert_allclose(there * size, expected[0], rtol=1e-12)
        np.testing.assert_allclose(log_det, expected[1], rtol=1e-12)


@pytest.mark.parametrize("flow", ["autoregressive", "couplings"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_coordinate_that_leaves_the_floats_does_not_warn(flow: str, activation: str) -> None:
    """From `z = 8.3` on `Φ(z)` is 1 and the quantile infinite; a network then reads that."""
    settings: Any = {"transformer": MIXTURE, "hidden": 4, "activation": activation}
    layer: Bijection = Chain(
        (
            Coupling.init(2, 0, stays=(True, False), **settings),
            Coupling.init(2, 1, stays=(False, True), **settings),
        )
    )
    if flow == "autoregressive":
        layer = Autoregressive.init(2, 0, **settings)
    x, log_det = layer.forward_and_log_det(np.array([[9.0, 9.0], [0.0, 0.5]]))
    assert np.inf in x[0]
    assert not np.isfinite(log_det[0])
    np.testing.assert_allclose(layer.inverse(x[1]), [0.0, 0.5], atol=1e-12)


def test_slopes_keep_their_digits_beside_large_curvatures() -> None:
    """One coordinate: `∂L/∂z = (1 - ∂l/∂x)/slope`, and the logarithm of the slope is known."""
    steep = RationalQuadraticSpline([0.0, 0.0], [8.0, -8.0], [20.0])
    layer, z = Autoregressive.init(1, 0, transformer=steep, hidden=4), np.array([[0.5], [1.0]])
    x, _, pullback = layer.forward_and_pullback(z)
    _, log_det, of_inverse = layer.inverse_and_pullback(x)
    expected = (1.0 - of_inverse(np.zeros_like(x))[0]) * np.exp(-log_det)[:, None]
    np.testing.assert_allclose(pullback(np.ones_like(z))[0], expected, rtol=1e-15)


def test_an_intermediate_overflow_does_not_spoil_a_sample() -> None:
    """On the way to x₂ a coordinate that is not right yet may overflow."""
    weights = np.zeros((6, 3))
    weights[3, 0], weights[4, 1] = -1000.0, 1.0
    masks = (np.repeat(np.tril(np.ones((3, 3)), -1), 2, axis=0),)
    layer = Autoregressive(MLP((weights,), ([0.0, 0.0, 0.0, 1000.0, 0.0, 0.0],), masks=masks))
    np.testing.assert_array_equal(layer.forward([1.0, 2.0, 3.0]), [1.0, 2.0, 5.0])
    np.testing.assert_array_equal(layer.inverse([1.0, 2.0, 5.0]), [1.0, 2.0, 3.0])


# -- derivatives -----------------------------------------------------------------------------------


def objective(layer: Bijection, direction: str, v: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return `weights·value + log_det` of each observation."""
    value, log_det = getattr(layer, f"{direction}_and_log_det")(v)
    return (weights * value).sum(axis=-1) + log_det


def slope(function: Callable[[float], np.ndarray]) -> np.ndarray:
    """Return the derivative at 0, by central differences."""
    h = 1e-5
    return (function(h) - function(-h)) / (2.0 * h)


def columns(parts: list[np.ndarray], lead: tuple[int, ...]) -> np.ndarray:
    """Return derivatives by all fields side by side, after the axes of the observations."""
    flat = [np.reshape(part, (*lead, -1)) for part in parts]
    return np.concatenate([np.empty((*lead, 0)), *flat], axis=-1)


def check_pullback(layer: Bijection, direction: str, v: np.ndarray, some: int | None) -> None:
    """Compare derivatives by the argument and by all or some parameters with differences."""
    weights, start = points(v.shape[-1], len(v), seed=1), layer.params
    value, log_det, pullback = getattr(layer, f"{direction}_and_pullback")(v)
    expected = getattr(layer, f"{direction}_and_log_det")(v)
    np.testing.assert_allclose(value, expected[0], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(log_det, expected[1], rtol=1e-12, atol=1e-13)
    along, fields = pullback(weights)
    for j, unit in enumerate(np.eye(v.shape[-1])):
        by_v = slope(lambda h, e=unit: objective(layer, direction, v + h * e, weights))
        np.testing.assert_allclose(along[:, j], by_v, rtol=1e-6, atol=2e-7)
    got = columns(fields, (len(v),))
    assert got.shape == (len(v), start.size)
    for j in np.random.default_rng(0).permutation(start.size)[:some]:
        unit = np.arange(start.size) == j
        by_j = slope(
            lambda h, e=unit: objective(layer.with_params(start + h * e), direction, v, weights)
        )
        np.testing.assert_allclose(
            got[:, j], by_j, rtol=1e-6, atol=2e-7, err_msg=layer.param_names[j]
        )


@every_layer
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_pullbacks_agree_with_differences(name: str, direction: str) -> None:
    """By the argument and by every parameter; in three dimensions by some of many."""
    for dim in dims(name, 1, 2, 3):
        check_pullback(LAYERS[name](dim), direction, points(dim, 4), 15 if dim == 3 else None)


@every_layer
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_pullbacks_have_the_axes_of_the_observations(name: str, direction: str) -> None:
    """Over batches of any axes, and for one vector; summed or for each."""
    layer, v, weights = LAYERS[name](3), points(3, 6), points(3, 6, seed=1)
    along, fields = getattr(layer, f"{direction}_and_pullback")(v)[2](weights)
    whole = columns(fields, (6,))
    for shape in ((6,), (2, 3), (1, 3, 2)):
        value, log_det, pullback = getattr(layer, f"{direction}_and_pullback")(v.reshape(*shape, 3))
        assert np.shape(value) == (*shape, 3)
        assert np.shape(log_det) == shape
        got, parts = pullback(weights.reshape(*shape, 3))
        np.testing.assert_allclose(got, along.reshape(*shape, 3), rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(
            columns(parts, shape), whole.reshape(*shape, -1), rtol=1e-9, atol=1e-12
        )
        got, parts = pullback(weights.reshape(*shape, 3), True)
        np.testing.assert_allclose(got, along.reshape(*shape, 3), rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(columns(parts, ()), whole.sum(axis=0), rtol=1e-9, atol=1e-12)
    for i in (0, 4):
        for summed in (False, True):
            got, parts = getattr(layer, f"{direction}_and_pullback")(v[i])[2](weights[i], summed)
            np.testing.assert_allclose(got, along[i], rtol=1e-11, atol=1e-13)
            np.testing.assert_allclose(columns(parts, ()), whole[i], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "flow",
    [
        realnvp(4, rng=1, activation="tanh"),
        realnvp(4, layers=3, rng=2, context_dim=2, hidden=(16,)),
        maf(3, layers=3, rng=3, activation="tanh"),
        spline_flow(2, layers=2, rng=4, hidden=(32,)),
    ],
    ids=["realnvp", "realnvp-context", "maf", "spline"],
)
def test_gradients_of_large_models_agree_with_differences(flow: Flow) -> None:
    rng = np.random.default_rng(8)
    flow = flow.with_params(flow.params + 0.05 * rng.standard_normal(flow.params.size))
    x = rng.standard_normal((40, flow.dim))  # type: ignore[arg-type]
    context = rng.standard_normal((40, flow.context_dim)) if flow.context_dim else None
    log_prob, score = flow.log_prob_and_score(x, context)
    np.testing.assert_allclose(log_prob, flow.log_prob(x, context), rtol=1e-12)
    gradient = np.concatenate([np.ravel(part) for part in _values(flow.gradient(x, context))])
    np.testing.assert_allclose(gradient, score.mean(axis=0), rtol=1e-9, atol=1e-12)
    for j in rng.choice(flow.params.size, 12, replace=False):
        unit = 1e-5 * (np.arange(flow.params.size) == j)
        up, down = (flow.with_params(flow.params + s * unit).log_prob(x, context) for s in (1, -1))
        # a kink of relu may lie between: it moves few observations, and these little
        np.testing.assert_allclose(score[:, j], (up - down) / 2e-5, rtol=1e-4, atol=1e-4)


def _values(bundle: Any) -> list[np.ndarray]:
    """Return the arrays of a bundle in order."""
    if hasattr(bundle, "__dict__"):
        bundle = tuple(vars(bundle).values())
    if isinstance(bundle, tuple):
        return [leaf for part in bundle for leaf in _values(part)]
    return [bundle]


# -- shapes and types ------------------------------------------------------------------------------


@every_layer
def test_batches_have_any_axes(name: str) -> None:
    layer, v = LAYERS[name](3), points(3, 6)
    flow = Flow(StandardNormal(3), layer)
    for method in (layer.forward_and_log_det, layer.inverse_and_log_det):
        value, log_det = method(v)
        for shape in ((2, 3), (1, 6, 1), (3, 1, 2)):
            got = method(v.reshape(*shape, 3))
            np.testing.assert_allclose(got[0], value.reshape(*shape, 3), rtol=1e-13, atol=1e-14)
            np.testing.assert_allclose(got[1], log_det.reshape(shape), rtol=1e-13, atol=1e-14)
        one = method(v[0])
        assert np.shape(one[0]) == (3,)
        assert np.shape(one[1]) == ()
        np.testing.assert_allclose(one[0], value[0], rtol=1e-13, atol=1e-14)
    for shape in ((), (4,), (2, 3)):
        assert np.shape(flow.log_prob(np.zeros((*shape, 3)))) == shape
    for shape in ((0, 3), (2, 0, 3), (0, 2, 3)):
        empty = np.empty(shape)
        assert layer.forward(empty).shape == layer.inverse(empty).shape == shape
        assert flow.log_prob(empty).shape == shape[:-1]
    assert flow.sample(0, 0).shape == (0, 3)
    assert flow.sample(5, 0).shape == (5, 3)


@every_layer
def test_types_are_kept(name: str) -> None:
    layer, v = LAYERS[name](3), points(3)
    flow = Flow(StandardNormal(3), layer)
    for method, exact in ((layer.forward, layer.forward(v)), (layer.inverse, layer.inverse(v))):
        single = method(v.astype(np.float32))
        assert single.dtype == np.float32
        np.testing.assert_allclose(single, exact, rtol=1e-3, atol=1e-4)
        assert method(np.arange(6).reshape(2, 3)).dtype == np.float64
        assert method([1, 2, 3]).dtype == np.float64
        assert exact.dtype == np.float64
    single = flow.log_prob(v.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, flow.log_prob(v), rtol=1e-3, atol=1e-3)
    assert flow.log_prob(v.astype(np.float32)[0]).dtype == np.float32
    assert flow.log_prob([1, 2, 3]) == flow.log_prob([1.0, 2.0, 3.0])


@every_layer
def test_nan_stays_in_its_row(name: str) -> None:
    flow, x = Flow(StandardNormal(3), LAYERS[name](3)), points(3, 6)
    expected = flow.log_prob(x)
    for coordinate in range(3):
        spoiled = x.copy()
        spoiled[2, coordinate] = np.nan
        got = flow.log_prob(spoiled)
        assert np.isnan(got[2])
        np.testing.assert_array_equal(np.delete(got, 2), np.delete(expected, 2))


@every_layer
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_rows_have_no_density(name: str, value: float) -> None:
    flow, x = Flow(StandardNormal(3), LAYERS[name](3)), points(3, 6)
    expected = flow.log_prob(x)
    x[1, 0] = x[4, 2] = value
    got = flow.log_prob(x)
    assert got[1] == got[4] == -np.inf
    np.testing.assert_array_equal(np.delete(got, [1, 4]), np.delete(expected, [1, 4]))
    x[1, 1] = np.nan
    assert np.isnan(flow.log_prob(x)[1])


@every_layer
def test_arguments_are_not_changed(name: str) -> None:
    layer, v = LAYERS[name](3), points(3)
    kept, params = v.copy(), layer.params
    for method in ("forward", "inverse"):
        value, log_det = getattr(layer, f"{method}_and_log_det")(v)
        value += 1.0  # what comes out is the caller's
        log_det += 1.0
        value, log_det, pullback = getattr(layer, f"{method}_and_pullback")(v)
        weights = np.ones_like(v)
        first = pullback(weights)
        again = pullback(weights)  # a pullback can be asked more than once
        for got, expected in zip((again[0], *again[1]), (first[0], *first[1]), strict=True):
            np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(weights, 1.0)
    np.testing.assert_array_equal(v, kept)
    np.testing.assert_array_equal(layer.params, params)


@pytest.mark.parametrize("name", ["triangular", "planar", "coupling-spline", "autoregressive"])
def test_results_do_not_depend_on_the_blocks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flow, x = Flow(StandardNormal(3), LAYERS[name](3)), points(3, 50)

    def results() -> list[Any]:
        draws = flow.sample(50, 3)
        return [
            flow.log_prob(x),
            draws,
            np.concatenate([np.ravel(g) for g in _values(flow.gradient(x))]),
        ]

    whole = results()
    for rows in (1, 7, 49, 50):
        monkeypatch.setattr(flowtutorial.blocks, "ROWS", rows)
        monkeypatch.setattr(flowtutorial.observations, "ROWS", rows)
        for got, expected in zip(results(), whole, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-13)


def test_many_rows_are_more_than_one_block() -> None:
    flow = realnvp(2, layers=2, hidden=(4,))
    x = np.random.default_rng(0).standard_normal((3 * flowtutorial.blocks.ROWS + 5, 2))
    got = flow.log_prob(x)
    some = np.arange(0, len(x), 501)
    np.testing.assert_allclose(got[some], [flow.log_prob(row) for row in x[some]], rtol=1e-12)
    strided = np.repeat(x, 2, axis=0)[::2]
    np.testing.assert_array_equal(flow.log_prob(strided), got)
    np.testing.assert_array_equal(flow.log_prob(np.asfortranarray(x)), got)
    np.testing.assert_array_equal(flow.log_prob(x.astype(">f8")), got)


# -- density and samples ---------------------------------------------------------------------------


@every_layer
def test_log_prob_is_base_and_log_det(name: str) -> None:
    layer, x = LAYERS[name](3), points(3)
    z, log_det = layer.inverse_and_log_det(x)
    by_hand = stats.norm.logpdf(z).sum(axis=-1) + log_det
    np.testing.assert_allclose(Flow(StandardNormal(3), layer).log_prob(x), by_hand, rtol=1e-13)


@pytest.mark.parametrize(
    "name",
    [
        "triangular", "planar-negative", "radial", "coupling-affine", "coupling-spline",
        "autoregressive", "coupling-chain", "inverse-planar", "chain-nested",
    ],
)  # fmt: skip
def test_density_integrates_to_one(name: str) -> None:
    flow = Flow(StandardNormal(2), LAYERS[name](2))
    draws = flow.sample(4000, 0)
    low, high = draws.min(axis=0), draws.max(axis=0)
    axes = [np.linspace(a - (b - a), b + (b - a), 301) for a, b in zip(low, high, strict=True)]
    x = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    cell = np.prod([axis[1] - axis[0] for axis in axes])
    assert np.exp(flow.log_prob(x)).sum() * cell == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("name", ["coupling-spline", "planar", "inverse-autoregressive"])
def test_samples_follow_the_density(name: str) -> None:
    """Counts in the cells of a grid against the integral of the density over each."""
    flow = Flow(StandardNormal(2), LAYERS[name](2))
    draws = flow.sample(20_000, 5)
    low, high = np.quantile(draws, [0.02, 0.98], axis=0)
    fine = [np.linspace(a, b, 12 * 20 + 1) for a, b in zip(low, high, strict=True)]
    middles = np.meshgrid(*(0.5 * (f[1:] + f[:-1]) for f in fine), indexing="ij")
    density = np.exp(flow.log_prob(np.stack(middles, axis=-1)))
    mass = density.reshape(12, 20, 12, 20).sum(axis=(1, 3)) * np.prod([f[1] - f[0] for f in fine])
    counts, *_ = np.histogram2d(*draws.T, bins=[f[::20] for f in fine])
    observed = np.append(counts.ravel(), len(draws) - counts.sum())
    expected = len(draws) * np.append(mass.ravel(), 1.0 - mass.sum())
    often = expected > 5.0
    observed, expected = (
        np.append(values[often], values[~often].sum()) for values in (observed, expected)
    )
    assert often.sum() > 60
    keep = expected > 0.5
    assert stats.chisquare(observed[keep], expected[keep], sum_check=False).pvalue > 0.005


def test_moments_of_a_linear_flow() -> None:
    mean, covariance = (
        np.array([1.0, -2.0, 0.5]),
        np.array([[2.0, 0.5, 0.1], [0.5, 1.0, -0.3], [0.1, -0.3, 0.7]]),
    )
    flow = Flow(StandardNormal(3), TriangularAffine.from_moments(mean, covariance))
    np.testing.assert_allclose(
        flow.log_prob(points(3)),
        stats.multivariate_normal(mean, covariance).logpdf(points(3)),
        rtol=1e-12,
    )
    rounded = np.array([[2.0, 3e-17, 0.0], [-1e-17, 2.0, 0.5], [0.0, 0.5, 1.0]])
    made = TriangularAffine.from_moments(mean, rounded)
    np.testing.assert_allclose(made.matrix() @ made.matrix().T, rounded, rtol=0.0, atol=1e-15)
    factor = flow.bijection.matrix()  # type: ignore[attr-defined]
    np.testing.assert_allclose(factor @ factor.T, covariance, rtol=1e-12, atol=1e-14)
    z = np.random.default_rng(3).standard_normal((1000, 3))
    np.testing.assert_allclose(flow.sample(1000, 3), mean + z @ factor.T, rtol=1e-12, atol=1e-14)
    draws = flow.sample(100_000, 4)
    errors = np.sqrt(np.diag(covariance) / len(draws))
    assert (np.abs(draws.mean(axis=0) - mean) < 4.0 * errors).all()
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=0.03)


# -- one dimension, and what is known by hand ------------------------------------------------------


def test_layers_of_one_dimension_are_maps_of_numbers() -> None:
    z = np.linspace(-3.0, 3.0, 13)
    constant = MLP(([[0.0], [0.0]],), ([0.4, -0.3],), masks=([[0], [0]],))
    leaky = Chain((LeakyReLU(0.5), Shift(1.0)))
    for layer, scalar in (
        (TriangularAffine([0.4], [], [-0.3]), Affine(0.4, -0.3)),
        (LULinear([0.4], [], [], [-0.3]), Affine(0.4, -0.3)),
        (Elementwise(SinhArcsinh(0.3, 0.2)), SinhArcsinh(0.3, 0.2)),
        (Elementwise((SPLINE,)), SPLINE),
        (Chain((Elementwise(LeakyReLU(0.5)), Elementwise(Shift(1.0)))), leaky),
        (Autoregressive(constant), Affine(0.4, -0.3)),
    ):  # fmt: skip
        for method in ("forward_and_log_det", "inverse_and_log_det"):
            value, log_det = getattr(layer, method)(z[:, None])
            expected = getattr(scalar, method)(z)
            np.testing.assert_allclose(value[:, 0], expected[0], rtol=1e-14, atol=1e-15)
            np.testing.assert_allclose(log_det, expected[1], rtol=1e-14, atol=1e-15)
    np.testing.assert_array_equal(Householder([-3.0]).forward([[2.0], [-1.0]]), [[-2.0], [1.0]])
    np.testing.assert_array_equal(Permutation((0,)).forward([[2.0]]), [[2.0]])


def test_planar_and_radial_by_their_published_formulas() -> None:
    z = points(2, 7)
    u, w = np.array([0.5, -0.4]), np.array([1.0, 0.3])
    x, log_det = Planar(u, w, 0.2).forward_and_log_det(z)  # wᵀu > 0: u is taken as it is
    a = z @ w + 0.2
    np.testing.assert_allclose(x, z + np.outer(np.tanh(a), u), rtol=1e-14)
    np.testing.assert_allclose(log_det, np.log(np.abs(1.0 + (w @ u) / np.cosh(a) ** 2)), rtol=1e-13)
    negative = Planar(-3.0 * u, w, 0.2).push()[0]
    assert w @ negative == pytest.approx(np.exp(w @ (-3.0 * u)) - 1.0)
    across = np.array([-0.3, 1.0])
    assert across @ negative == pytest.approx(across @ (-3.0 * u))
    center = np.array([0.3, 0.1])
    x, log_det = Radial(center, 0.2, 0.7).forward_and_log_det(z)
    alpha = np.exp(0.2)
    beta = alpha * (np.exp(0.7) - 1.0)
    r = np.linalg.norm(z - center, axis=1)
    h = 1.0 / (alpha + r)
    np.testing.assert_allclose(x, z + (beta * h)[:, None] * (z - center), rtol=1e-14)
    expected = np.log1p(beta * h) + np.log(1.0 + beta * h - beta * r * h**2)
    np.testing.assert_allclose(log_det, expected, rtol=1e-12)


def test_radial_at_its_center_and_near_it() -> None:
    layer = Radial([1.0, -1.0], 0.3, -2.0)
    for away in (0.0, 1e-300, 1e-12):
        x = layer.forward(np.array([1.0 + away, -1.0]))
        np.testing.assert_allclose(layer.inverse(x), [1.0 + away, -1.0], rtol=1e-15)
    assert layer.forward_and_log_det(layer.center)[1] == pytest.approx(-4.0)
    for direction in ("forward", "inverse"):
        along, fields = getattr(layer, f"{direction}_and_pullback")(layer.center)[2](np.ones(2))
        assert all(np.isfinite(part).all() for part in (along, *fields))


def test_linear_layers_are_their_matrices() -> None:
    for dim in (1, 2, 5):
        for name in ("triangular", "lu"):
            layer = LAYERS[name](dim)
            matrix = layer.matrix()  # type: ignore[attr-defined]
            z = points(dim)
            np.testing.assert_allclose(
                layer.forward(z), layer.shift + z @ matrix.T, rtol=1e-13, atol=1e-14
            )  # type: ignore[attr-defined]
            assert layer.forward_and_log_det(z[0])[1] == pytest.approx(np.linalg.slogdet(matrix)[1])
    vector = np.array([1.0, 2.0, -1.0])
    reflection = np.eye(3) - 2.0 * np.outer(vector, vector) / 6.0
    np.testing.assert_allclose(
        Householder(vector).forward(points(3)), points(3) @ reflection, atol=1e-14
    )
    np.testing.assert_array_equal(
        Permutation((1, 2, 0)).inverse([20.0, 30.0, 10.0]), [10.0, 20.0, 30.0]
    )
    order = LULinear([0.0] * 3, [0.0] * 3, [0.0] * 3, [0.0] * 3, (1, 2, 0))
    np.testing.assert_array_equal(order.forward([1.0, 2.0, 3.0]), [2.0, 3.0, 1.0])
    array = LULinear([0.0] * 3, [0.0] * 3, [0.0] * 3, [0.0] * 3, np.array([1, 2, 0]))  # type: ignore[arg-type]
    assert array.order == order.order


# -- parameters ------------------------------------------------------------------------------------


@every_layer
def test_params_go_to_a_vector_and_back(name: str) -> None:
    for dim in dims(name, 1, 3):
        layer = LAYERS[name](dim)
        vector = layer.params
        assert vector.dtype == np.float64
        assert vector.shape == (len(layer.param_names),)
        assert len(set(layer.param_names)) == vector.size
        given = vector + 0.125
        moved = layer.with_params(given)
        given[:] = np.nan  # the caller's vector is the caller's
        np.testing.assert_array_equal(moved.params, vector + 0.125)
        moved.params[:] = np.nan
        np.testing.assert_array_equal(moved.params, vector + 0.125)
        np.testing.assert_array_equal(layer.params, vector)
        assert type(moved) is type(layer)
        assert (moved.dim, moved.event_ndim) == (layer.dim, 1)
        np.testing.assert_array_equal(
            layer.with_params(vector).forward(points(dim)), layer.forward(points(dim))
        )
        bundle = layer.bundle(np.arange(float(vector.size)))
        flat = [np.ravel(part) for part in _values(bundle)]
        np.testing.assert_array_equal(np.concatenate([[], *flat]), np.arange(vector.size))
        with pytest.raises(ValueError, match=rf"params: expected a vector of length {vector.size}"):
            layer.with_params(np.zeros(vector.size + 1))


def test_names_and_order_of_params() -> None:
    chain = Chain(
        (TriangularAffine([1.0, 2.0], [3.0], [4.0, 5.0]), Planar([6.0, 7.0], [8.0, 9.0], 10.0))
    )
    np.testing.assert_array_equal(chain.params, np.arange(1.0, 11.0))
    assert chain.param_names[:4] == ("shift[0]", "shift[1]", "lower[0]", "log_diagonal[0]")
    assert chain.param_names[-1] == "bias"
    network = Coupling(MLP(([[3.0]], [[4.0], [5.0]]), ([0.5], [0.0, 0.25])), stays=(True, False))
    np.testing.assert_array_equal(network.params, [3.0, 4.0, 5.0, 0.5, 0.0, 0.25])
    bundle = network.bundle(np.arange(6.0))
    np.testing.assert_array_equal(bundle.conditioner.weights[1], [[1.0], [2.0]])
    twice = Chain((Shift(0.0), Shift(0.0)))
    assert Elementwise(twice).param_names == ("shift", "shift_2")


def test_chains_apply_their_first_part_first() -> None:
    double, add = TriangularAffine([0.0] * 2, [0.0], [np.log(2.0)] * 2), Elementwise(Shift(1.0))
    np.testing.assert_allclose(Chain((double, add)).forward([3.0, 4.0]), [7.0, 9.0])
    np.testing.assert_allclose(Chain((add, double)).forward([3.0, 4.0]), [8.0, 10.0])
    np.testing.assert_allclose(Chain((add, double)).inverse([8.0, 10.0]), [3.0, 4.0])


def test_new_layers_are_near_the_identity() -> None:
    z = points(3, 50)
    for layer in (
        TriangularAffine.init(3),
        Radial.init(3),
        Planar.init(3),
        Coupling.init(3, 0),
        Autoregressive.init(3, 0),
        realnvp(3).bijection,
        maf(3).bijection,
        spline_flow(3).bijection,
    ):
        assert np.abs(np.sort(layer.forward(z)) - np.sort(z)).max() < 1.0
        assert np.abs(layer.forward_and_log_det(z)[1]).max() < 1.0


def test_a_seed_repeats_a_model_and_another_does_not() -> None:
    for make in (realnvp, maf, spline_flow):
        first, again, other = (
            make(3, layers=2, rng=seed, hidden=(4,)).params for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)


# -- conditioners ----------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [(), (1,), (2,), (8,), (9, 3, 16), (64, 64)], ids=str)
@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("dim", [1, 2, 3, 5, 8])
def test_masks_hide_what_comes_later_and_show_what_came_before(
    dim: int, context: int, hidden: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(0)
    network = MLP.autoregressive(dim, 2, rng, hidden=hidden, context_dim=context, activation="tanh")
    network = network.with_params(rng.standard_normal(network.params.size))
    sees = jacobian(network, rng.standard_normal(dim + context)) != 0.0
    sees = sees.reshape(dim, 2, dim + context)
    np.testing.assert_array_equal(sees[:, 0], sees[:, 1])
    assert not sees[:, 0, :dim][np.triu_indices(dim)].any()
    # with a unit for every coordinate in every layer nothing is hidden that need not be
    if all(units >= dim for units in hidden):
        expected = np.hstack([np.tri(dim, k=-1, dtype=bool), np.ones((dim, context), dtype=bool)])
        np.testing.assert_array_equal(sees[:, 0], expected)


@pytest.mark.parametrize("name", [name for name in LAYERS if name.startswith("autoregressive")])
@pytest.mark.parametrize("dim", [2, 5])
def test_jacobian_of_an_autoregressive_layer_is_triangular(name: str, dim: int) -> None:
    layer = LAYERS[name](dim)
    for function in (layer.forward, layer.inverse):
        matrices = jacobian(function, points(dim))
        assert not np.triu(matrices, 1).any()
        assert (np.diagonal(matrices, axis1=-2, axis2=-1) > 0.0).all()
        assert np.tril(matrices, -1).any()


@pytest.mark.parametrize("name", sorted(AT_LEAST_TWO - {"inverse-coupling"}))
def test_couplings_leave_alone_what_stays(name: str) -> None:
    layer = LAYERS[name](5)
    stays = np.array(layer.stays)  # type: ignore[attr-defined]
    z = points(5)
    np.testing.assert_array_equal(layer.forward(z)[:, stays], z[:, stays])
    matrix = jacobian(layer.forward, z[0])
    among = matrix[np.ix_(~stays, ~stays)]
    np.testing.assert_array_equal(among, np.diag(np.diag(among)))
    assert (matrix[np.ix_(~stays, stays)] != 0.0).any()


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("masked", [False, True])
def test_network_pullback_agrees_with_differences(activation: str, masked: bool) -> None:
    network = (
        MLP.autoregressive(3, 2, 0, hidden=(5, 4), activation=activation)
        if masked
        else MLP.init((3, 5, 4, 6), 0, activation=activation)
    )
    rng = np.random.default_rng(1)
    network = network.with_params(rng.standard_normal(network.params.size))
    h, weights = rng.standard_normal((2, 3, 3)), rng.standard_normal((2, 3, 6))
    out, pullback = network.and_pullback(h)
    np.testing.assert_allclose(out, network(h), rtol=1e-13)
    along, fields = pullback(weights)
    whole = columns(fields, (2, 3))
    for j, unit in enumerate(np.eye(3)):
        by_h = slope(lambda t, e=unit: (weights * network(h + t * e)).sum(axis=-1))
        np.testing.assert_allclose(along[..., j], by_h, atol=1e-8)
    for j, unit in enumerate(np.eye(network.params.size)):
        moved = lambda t, e=unit: network.with_params(network.params + t * e)  # noqa: E731
        by_j = slope(lambda t, m=moved: (weights * m(t)(h)).sum(axis=-1))
        np.testing.assert_allclose(whole[..., j], by_j, atol=1e-8)
    summed, fields = pullback(weights, True)
    np.testing.assert_allclose(summed, along, rtol=1e-12)
    np.testing.assert_allclose(columns(fields, ()), whole.sum(axis=(0, 1)), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "shape", [(512, 64), (250, 80), (509, 64), (64,), (2, 300, 64), (0, 3), (4, 0)]
)
@pytest.mark.parametrize("transposed", [False, True])
def test_products_in_stacks_are_those_of_all_rows(shape: tuple[int, ...], transposed: bool) -> None:
    rng = np.random.default_rng(0)
    rows, matrix = rng.standard_normal(shape), rng.standard_normal((shape[-1], 70))
    matrix = np.asfortranarray(matrix) if transposed else matrix
    product = times(rows, matrix)
    assert product.shape == (*shape[:-1], 70)
    np.testing.assert_allclose(product, np.einsum("...i,ij->...j", rows, matrix), atol=1e-12)
    others = rng.standard_normal((*shape[:-1], 70))
    each = np.reshape(outer(rows, others, False), (int(np.prod(shape[:-1])), shape[-1], 70))
    np.testing.assert_allclose(outer(rows, others, True), each.sum(axis=0), atol=1e-11)


@pytest.mark.parametrize(
    ("n", "size", "stacks"),
    [
        (512, 4096, 4),
        (512, 1000, 1),
        (256, 4096, 2),
        (250, 4000, 1),
        (251, 4000, 1),
        (48, 10**6, 1),
    ],
)
def test_stacks_are_of_small_products_and_as_few_as_that_takes(
    n: int, size: int, stacks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flowtutorial.blocks, "SMALL", 10**6)
    assert flowtutorial.blocks.count_stacks(n, size) == stacks
    monkeypatch.setattr(flowtutorial.blocks, "SMALL", np.inf)
    assert flowtutorial.blocks.count_stacks(n, size) == 1


# -- context ---------------------------------------------------------------------------------------


def around(layer: Bijection) -> Flow:
    return Flow(StandardNormal(layer.dim), layer)


CONDITIONAL = {
    "coupling": around(Coupling.init(3, 0, hidden=(4,), context_dim=2, transformer=SPLINE)),
    "realnvp": realnvp(3, layers=3, hidden=(4,), context_dim=2),
    "spline": spline_flow(3, layers=2, bins=3, hidden=(4,), context_dim=2),
    "maf": maf(3, layers=2, hidden=(4,), context_dim=2),
    "one-dimension": maf(1, layers=2, hidden=(4,), context_dim=2),
    "inverse": around(Inverse(Autoregressive.init(3, 0, hidden=(4,), context_dim=2))),
}  # fmt: skip
CONDITIONAL = {
    name: flow.with_params(
        flow.params + 0.3 * np.random.default_rng(0).standard_normal(flow.params.size)
    )
    for name, flow in CONDITIONAL.items()
}
every_conditional = pytest.mark.parametrize("flow", CONDITIONAL.values(), ids=CONDITIONAL.keys())


@every_conditional
def test_a_context_for_each_row_is_each_row_with_its_context(flow: Flow) -> None:
    x, context = points(flow.dim, 6), points(2, 6, seed=2)  # type: ignore[arg-type]
    got = flow.log_prob(x, context)
    for i in range(6):
        given = Flow(flow.base, flow.bijection.given(context[i]))
        z, log_det = given.bijection.inverse_and_log_det(x[i])
        assert got[i] == pytest.approx(flow.base.log_prob(z) + log_det, rel=1e-12)
        assert got[i] == pytest.approx(flow.log_prob(x[i], context[i]), rel=1e-12)
        np.testing.assert_allclose(given.bijection.forward(z), x[i], rtol=1e-9, atol=1e-9)
    assert len(np.unique(flow.log_prob(np.zeros(flow.dim), context))) == 6  # type: ignore[arg-type]
    for shape in ((2, 3), (6, 1)):
        again = flow.log_prob(x.reshape(*shape, -1), context.reshape(*shape, 2))
        np.testing.assert_allclose(again, got.reshape(shape), rtol=1e-12)
    table = flow.log_prob(x[:, None], context[None])
    assert table.shape == (6, 6)
    np.testing.assert_allclose(np.diag(table), got, rtol=1e-12)
    np.testing.assert_allclose(flow.log_prob(x, [1, 2]), flow.log_prob(x, [[1.0, 2.0]] * 6))


@every_conditional
def test_gradients_of_conditional_flows(flow: Flow) -> None:
    x, context = points(flow.dim, 6), points(2, 6, seed=2)  # type: ignore[arg-type]
    log_prob, score = flow.log_prob_and_score(x, context)
    np.testing.assert_allclose(log_prob, flow.log_prob(x, context), rtol=1e-12)
    for j, unit in enumerate(np.eye(flow.params.size)[::3]):
        by_j = slope(lambda h, e=unit: flow.with_params(flow.params + h * e).log_prob(x, context))
        np.testing.assert_allclose(score[:, 3 * j], by_j, rtol=1e-5, atol=1e-6)
    one = flow.log_prob_and_score(x, context[0])
    np.testing.assert_allclose(one[0], flow.log_prob(x, context[0]), rtol=1e-12)


@every_conditional
def test_samples_given_a_context(flow: Flow) -> None:
    context = points(2, 4, seed=2)
    assert flow.sample(5, 0, context[0]).shape == (5, flow.dim)
    draws = flow.sample(5, 0, context)
    assert draws.shape == (5, 4, flow.dim)
    assert flow.log_prob(draws, context).shape == (5, 4)
    assert flow.sample(5, 0, context.reshape(2, 2, 2)).shape == (5, 2, 2, flow.dim)
    z = np.random.default_rng(0).standard_normal((20, flow.dim)).reshape(5, 4, -1)
    for i in range(4):
        expected = flow.bijection.given(context[i]).forward(z[:, i])
        np.testing.assert_allclose(draws[:, i], expected, rtol=1e-11, atol=1e-12)


def test_blocks_keep_rows_and_contexts_together(monkeypatch: pytest.MonkeyPatch) -> None:
    flow, x, context = CONDITIONAL["realnvp"], points(3, 20), points(2, 20, seed=2)
    whole = flow.log_prob(x, context), flow.gradient(x, context), flow.sample(3, 0, context)
    for module in (flowtutorial.blocks, flowtutorial.observations):
        monkeypatch.setattr(module, "ROWS", 7)
    np.testing.assert_allclose(flow.log_prob(x, context), whole[0], rtol=1e-12)
    for got, expected in zip(_values(flow.gradient(x, context)), _values(whole[1]), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(flow.sample(3, 0, context), whole[2], rtol=1e-12)


# -- fits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [1, 2, 4])
def test_a_linear_fit_is_the_mean_and_the_cholesky_factor(dim: int) -> None:
    rng = np.random.default_rng(dim)
    x = rng.standard_normal((300, dim)) @ rng.standard_normal((dim, dim)) + 3.0 * np.arange(dim)
    result = fit(Flow(StandardNormal(dim), TriangularAffine.init(dim)), x)
    assert result.converged
    covariance = np.cov(x.T, bias=True).reshape(dim, dim)
    layer = result.flow.bijection
    np.testing.assert_allclose(layer.shift, x.mean(axis=0), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(layer.matrix(), np.linalg.cholesky(covariance), rtol=1e-8, atol=1e-8)
    closed = TriangularAffine.from_moments(x.mean(axis=0), covariance)
    np.testing.assert_allclose(result.params, closed.params, rtol=1e-7, atol=1e-8)
    assert (result.standard_errors > 0.0).all()
    np.testing.assert_allclose(
        result.standard_errors[:dim], np.sqrt(np.diag(covariance) / 300), rtol=1e-5
    )
    if dim == 2:
        lu = fit(Flow(StandardNormal(dim), LULinear.init(dim, 0)), x)
        assert lu.log_likelihood == pytest.approx(result.log_likelihood, rel=1e-9)


def test_a_conditional_fit_of_one_dimension_is_a_regression() -> None:
    rng = np.random.default_rng(2)
    context = rng.standard_normal((200, 3))
    x = 1.5 + context @ [2.0, -1.0, 0.5] + rng.standard_normal(200)
    start = Autoregressive.init(1, 0, hidden=(), transformer=Shift, context_dim=3)
    result = fit(Flow(StandardNormal(1), start), x[:, None], context)
    assert result.converged
    design = np.column_stack([context, np.ones(200)])
    coefficients = np.linalg.lstsq(design, x)[0]
    network = result.flow.bijection.conditioner
    np.testing.assert_allclose(network.weights[0][0, 1:], coefficients[:3], rtol=1e-8)
    np.testing.assert_allclose(network.biases[0], coefficients[3:], rtol=1e-8)
    errors = np.sqrt(np.diag(np.linalg.inv(design.T @ design)))
    np.testing.assert_allclose(result.standard_errors[1:], errors, rtol=1e-5)
    assert np.isnan(result.standard_errors[0])  # a masked weight: the data say nothing of it


def test_a_regression_with_a_scale_that_varies() -> None:
    rng = np.random.default_rng(3)
    context = rng.uniform(-1.0, 1.0, (4000, 1))
    x = 1.0 + 2.0 * context + np.exp(-0.5 + context) * rng.standard_normal((4000, 1))
    start = Autoregressive.init(1, 0, hidden=(), transformer=Affine, context_dim=1)
    result = fit(Flow(StandardNormal(1), start), x, context)
    assert result.converged
    network = result.flow.bijection.conditioner
    estimates = [
        network.biases[0][0],
        network.weights[0][0, 1],
        network.biases[0][1],
        network.weights[0][1, 1],
    ]
    np.testing.assert_allclose(estimates, [1.0, 2.0, -0.5, 1.0], atol=0.06)


def test_gradient_ascent_of_a_vector_flow_is_its_closed_form() -> None:
    x = points(2, 40)
    start = Flow(StandardNormal(2), Elementwise((Shift(-1.0), Shift(2.0))))
    ascent = gradient_ascent(start, x, learning_rate=0.3, steps=6)
    away = np.array([-1.0, 2.0]) - x.mean(axis=0)
    expected = x.mean(axis=0) + 0.7 ** np.arange(7)[:, None] * away
    np.testing.assert_allclose(ascent.params, expected, rtol=1e-12)


# -- what is refused -------------------------------------------------------------------------------

VECTORS = Flow(StandardNormal(2), TriangularAffine.init(2))
GIVEN = realnvp(2, layers=2, hidden=(4,), context_dim=3)
LINEAR = TriangularAffine.init(2)
DEPENDENT = np.random.default_rng(0).standard_normal((40, 3)) @ [
    [1, 0, 0, 1],
    [0, 1, 0, 2],
    [0, 0, 1, -1],
]
SINGULAR = [[1.0, 2.0], [2.0, 4.0]]
NET = MLP.init((1, 4, 2), 0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        # data
        (lambda: VECTORS.log_prob(np.zeros((4, 3))), ValueError,
         r"x: expected vectors of length 2 on the last axis, got an array of shape \(4, 3\)"),
        (lambda: VECTORS.log_prob(np.zeros(3)), ValueError,
         r"x: expected vectors of length 2.*\(3,\)"),
        (lambda: VECTORS.log_prob(1.0), ValueError,
         "x: expected vectors on the last axis, got a single number"),
        (lambda: VECTORS.bijection.forward(1.0), ValueError,
         "z: expected vectors on the last axis"),
        (lambda: VECTORS.bijection.inverse(np.zeros((2, 5))), ValueError,
         r"x: expected vectors of length 2.*\(2, 5\)"),
        (lambda: Elementwise(Shift(1.0)).forward(3.0), ValueError,
         "z: expected vectors on the last axis"),
        (lambda: Planar.init(2).forward_and_log_det(z=np.zeros(3)), ValueError,
         r"z: expected vectors of length 2.*\(3,\)"),
        (lambda: Swap().inverse_and_pullback(np.zeros((2, 3))), ValueError,
         r"x: expected vectors of length 2.*\(2, 3\)"),
        (lambda: Planar.init(2).forward_and_log_det(), TypeError, "missing 1 required .* 'z'"),
        (lambda: VECTORS.log_prob([[1j, 0.0]]), TypeError, "x: expected real numbers"),
        (lambda: VECTORS.log_prob([["a", "b"]]), TypeError, "x: expected real numbers"),
        (lambda: VECTORS.log_prob([[True, False]]), TypeError, "x: expected real numbers"),
        (lambda: VECTORS.log_prob([[1.0, 2.0], [3.0]]), TypeError, "x: not an array of numbers"),
        (lambda: VECTORS.log_prob(np.ma.masked_invalid([[1.0, np.nan]])), TypeError,
         "x: a masked array would lose its mask"),
        (lambda: VECTORS.cdf([[0.0, 0.0]]), TypeError, "no distribution function"),
        (lambda: VECTORS.quantile(0.5), TypeError, "no distribution function"),
        # flows
        (lambda: Flow(StandardNormal(), TriangularAffine.init(2)), ValueError,
         r"base: StandardNormal\(\) is a distribution of numbers.*vectors.*StandardNormal\(2\)"),
        (lambda: Flow(StandardNormal(2), Affine(0.0, 0.0)), ValueError,
         r"base: StandardNormal\(2\) is a distribution of vectors.*Elementwise"),
        (lambda: Flow(StandardNormal(3), TriangularAffine.init(2)), ValueError,
         r"base: StandardNormal\(3\) makes vectors of length 3, .* takes vectors of length 2"),
        (lambda: Flow(StandardNormal(2), Inverse(Elementwise(Exp()))), ValueError,
         r"takes values in \(0, inf\) but the base"),
        (lambda: Flow(StandardNormal(1), TriangularAffine([np.nan], [], [0.0])), ValueError,
         r"TriangularAffine\.shift: expected finite numbers, 1 of 1 are NaN or infinite"),
        (lambda: Flow(StandardNormal(2), Planar([0.0, np.inf], [1.0, 0.0], 0.0)), ValueError,
         r"Planar\.u: expected finite numbers, 1 of 2 are NaN or infinite"),
        (lambda: Flow(StandardNormal(2), Planar([0.0, 1.0], [1.0, 0.0], [0.0, 1.0])), ValueError,
         r"Planar\.bias: expected one number"),
        (lambda: StandardNormal(2).log_prob(np.zeros((4, 3))), ValueError,
         r"z: expected vectors of length 2 on the last axis, got an array of shape \(4, 3\)"),
        (lambda: StandardNormal(2).log_prob(1.0), ValueError, "z: expected vectors on the last"),
        (lambda: StandardNormal(0), ValueError, "dim: expected 1 or more, got 0"),
        (lambda: StandardNormal(2.0), TypeError, "dim: expected an integer"),
        (lambda: Chain((Shift(0.0), TriangularAffine.init(2))), ValueError,
         r"parts\[1\]: TriangularAffine is a map of vectors and Shift .* numbers.*Elementwise"),
        (lambda: Chain((TriangularAffine.init(2), Shift(0.0))), ValueError,
         r"parts\[1\]: Shift is a map of numbers"),
        (lambda: Chain((LINEAR, Elementwise(Shift(0.0)), Permutation((0, 2, 1)))), ValueError,
         r"parts\[2\]: Permutation takes vectors of length 3, the parts before it of length 2"),
        (lambda: Chain((Elementwise(Exp()), TriangularAffine.init(2))), ValueError,
         r"parts\[1\]: TriangularAffine takes values in .* Elementwise before it gives .* \(0"),
        (lambda: Chain((GIVEN.bijection, Autoregressive.init(2, 0, context_dim=2))), ValueError,
         r"parts\[1\]: Autoregressive takes a context of length 2.* of length 3"),
        # linear
        (lambda: TriangularAffine([[0.0]], [], [0.0]), ValueError,
         r"shift: expected a vector, got an array of shape \(1, 1\)"),
        (lambda: TriangularAffine([], [], []), ValueError, "shift: expected a vector"),
        (lambda: TriangularAffine(0.0, [], [0.0]), ValueError,
         "shift: expected an array of parameters, got the single number"),
        (lambda: TriangularAffine([0.0, 0.0], [], [0.0, 0.0]), ValueError,
         r"lower: expected 1 entries for a shift of length 2, got an array of shape \(0,\)"),
        (lambda: TriangularAffine([0.0, 0.0], [0.0], [0.0]), ValueError,
         r"log_diagonal: expected 2 entries.*\(1,\)"),
        (lambda: LULinear([0.0, 0.0], [0.0], [0.0, 1.0], [0.0, 0.0]), ValueError,
         r"upper: expected 1 entries.*\(2,\)"),
        (lambda: LULinear([0.0, 0.0], [0.0], [0.0], [0.0, 0.0], (0, 0)), ValueError,
         "order: expected a permutation of 0, …, 1"),
        (lambda: LULinear([0.0, 0.0], [0.0], [0.0], [0.0, 0.0], (0, 1, 2)), ValueError,
         "order: expected a permutation of 0, …, 1"),
        (lambda: TriangularAffine(["a"], [], [0.0]), TypeError, "shift: expected real numbers"),
        (lambda: TriangularAffine.init(0), ValueError, "dim: expected 1 or more"),
        (lambda: TriangularAffine.init(2.0), TypeError, "dim: expected an integer"),
        (lambda: TriangularAffine.from_moments([0.0, 0.0], SINGULAR), ValueError,
         "covariance: the matrix is singular or not positive definite"),
        (lambda: TriangularAffine.from_moments(np.zeros(4), np.cov(DEPENDENT.T)), ValueError,
         "covariance: the matrix is singular .* columns that are constant or sums of others"),
        (lambda: TriangularAffine.from_moments([0.0, 0.0], -np.eye(2)), ValueError,
         "covariance: the matrix is singular or not positive"),
        (lambda: TriangularAffine.from_moments([0.0, 0.0], [[1.0, 0.5], [0.4, 1.0]]), ValueError,
         "covariance: expected a symmetric matrix"),
        (lambda: TriangularAffine.from_moments([0.0, 0.0], np.eye(3)), ValueError,
         r"covariance: expected the shape \(D, D\).*\(3, 3\) and \(2,\)"),
        (lambda: TriangularAffine.from_moments([0.0, np.nan], np.eye(2)), ValueError, "mean: "),
        (lambda: TriangularAffine.from_moments([0.0, 0.0], np.full((2, 2), np.nan)), ValueError,
         "covariance: .*NaN"),
        (lambda: TriangularAffine.from_moments([0.0, 0.0], np.diag([1.0, np.inf])), ValueError,
         "covariance: .*infinite"),
        (lambda: Permutation((0, 0)), ValueError,
         r"order: expected a permutation of 0, …, 1, got \(0, 0\)"),
        (lambda: Permutation(()), ValueError, "order: expected a permutation"),
        (lambda: Permutation((1, 2)), ValueError, "order: expected a permutation"),
        (lambda: Permutation((1.0, 0.0)), ValueError, "order: expected a permutation"),
        (lambda: Permutation(np.array([[0, 1], [1, 0]])), ValueError, "order: expected a permut"),
        (lambda: Permutation(np.array([True, False])), ValueError, "order: expected a permutation"),
        (lambda: LULinear([0.0] * 2, [0.0], [0.0], [0.0] * 2, np.array([0, 2])), ValueError,
         r"order: expected a permutation of 0, …, 1, got array\(\[0, 2\]\)"),
        (lambda: Permutation(2), TypeError, "order: expected a tuple of integers"),
        (lambda: Householder([0.0, 0.0]), ValueError,
         "vector: there is no plane perpendicular to 0"),
        (lambda: Householder(3.0), ValueError, "vector: expected an array"),
        (lambda: Householder([[1.0, 0.0]]), ValueError,
         r"vector: expected a vector, got an array of shape \(1, 2\)"),
        # planar and radial
        (lambda: Planar([1.0, 0.0], [0.0, 0.0], 0.0), ValueError,
         "w: with the vector 0 there is no direction"),
        (lambda: Planar([1.0, 0.0], [1.0], 0.0), ValueError,
         r"u, w: expected two vectors of one length, got shapes \(2,\) and \(1,\)"),
        (lambda: Planar(1.0, 1.0, 0.0), ValueError, "u: expected an array"),
        (lambda: Planar([], [], 0.0), ValueError, "u, w: "),
        (lambda: Radial([], 0.0, 0.0), ValueError,
         r"center: expected a vector, got an array of shape \(0,\)"),
        (lambda: Radial([[0.0]], 0.0, 0.0), ValueError,
         r"center: expected a vector, got an array of shape \(1, 1\)"),
        # elementwise
        (lambda: Elementwise(TriangularAffine.init(2)), ValueError,
         "bijection: .* is already a map of vectors"),
        (lambda: Elementwise(()), ValueError, "bijection: expected one for each coordinate"),
        (lambda: Elementwise(Shift), TypeError, "bijection: expected a bijection"),
        (lambda: Elementwise((Shift(0.0), 3)), TypeError,
         "bijection: expected a bijection or a tuple, got 3"),
        (lambda: BoundedAffine(0.0, 0.0, bound=0.0), ValueError,
         "bound: expected a positive number"),
        (lambda: BoundedAffine(0.0, 0.0, bound=np.inf), ValueError,
         "bound: expected a positive number, and finite, got inf"),
        (lambda: BoundedAffine(0.0, 0.0, bound=np.ones(2)), ValueError, "bound: expected a pos"),
        (lambda: BoundedAffine(0.0, 0.0, bound="2"), TypeError, "bound: expected real numbers"),
        # networks
        (lambda: MLP(3.0, ([0.0],)), TypeError, "weights: expected a tuple with an array"),
        (lambda: MLP(([[1.0]],), 3.0), TypeError, "biases: expected a tuple with an array"),
        (lambda: MLP(([[1.0]],), ([0.0],), masks=5), TypeError, "masks: expected a tuple with an"),
        (lambda: MLP.init(4, 0), TypeError, "sizes: expected a tuple of integers, got 4"),
        (lambda: MLP.autoregressive(3, 2, 0, hidden=4.0), TypeError,
         "hidden: expected a tuple of integers, got 4.0"),
        (lambda: MLP.autoregressive(3, 2, 0, hidden=(4, 0)), ValueError,
         r"hidden\[1\]: expected 1 or more, got 0"),
        (lambda: realnvp(2, hidden=None), TypeError, "hidden: expected a tuple of integers"),
        (lambda: maf(2, hidden="4"), TypeError, "hidden: expected a tuple of integers, got '4'"),
        (lambda: Coupling.init(2, 0, transformer=Chain), TypeError,
         r"transformer: Chain can't be made with parameters 0 \(parts: .*\); pass an instance"),
        (lambda: maf(2, transformer=Inverse), TypeError, "transformer: Inverse can't be made"),
        (lambda: MLP((), ()), ValueError,
         "biases: expected as many as weights and at least one, got 0 and 0"),
        (lambda: MLP(([[1.0]],), ([0.0], [0.0])), ValueError,
         "biases: expected as many as weights"),
        (lambda: MLP(([[1.0]], [[1.0, 2.0]]), ([0.0], [0.0])), ValueError,
         r"weights\[1\]: expected the shape \(outputs, 1\).*\(1, 2\) and \(1,\)"),
        (lambda: MLP(([1.0],), ([0.0],)), ValueError, r"weights\[0\]: expected the shape"),
        (lambda: MLP(([[1.0]],), ([0.0, 1.0],)), ValueError,
         r"weights\[0\]: expected the shape.*\(1, 1\) and \(2,\)"),
        (lambda: MLP(([["a"]],), ([0.0],)), TypeError, r"weights\[0\]: expected real numbers"),
        (lambda: MLP(([[1.0]],), ([0.0],), "gelu"), ValueError,
         "activation: expected one of relu, tanh, got 'gelu'"),
        (lambda: MLP(([[1.0]],), ([0.0],), masks=([[1, 1]],)), ValueError,
         r"masks: expected the shapes of weights, \[\(1, 1\)\]"),
        (lambda: Coupling.init(3, 0, hidden=(4, 0)), ValueError,
         r"hidden\[1\]: expected 1 or more, got 0"),
        (lambda: Coupling.init(3, 0, hidden="ab"), TypeError,
         "hidden: expected a tuple of integers"),
        (lambda: Coupling.init(3, 0, hidden=(4.5,)), TypeError,
         r"hidden\[0\]: expected an integer, got 4.5"),
        (lambda: maf(2, activation="gelu"), ValueError, "activation: expected one of"),
        (lambda: NET(np.zeros((5, 4))), ValueError,
         r"h: expected vectors of length 1 on the last axis, got an array of shape \(5, 4\)"),
        (lambda: NET(0.5), ValueError, "h: expected vectors on the last axis"),
        (lambda: MLP.init((3,), 0), ValueError, "sizes: expected at least two, .* got 1"),
        (lambda: MLP.init((3, 2.5, 1), 0), TypeError, r"sizes\[1\]: expected an integer"),
        # couplings
        (lambda: Coupling.init(1, 0), ValueError,
         "dim: a coupling needs two coordinates.*Autoregressive"),
        (lambda: realnvp(1), ValueError, "dim: a coupling needs two coordinates"),
        (lambda: spline_flow(1), ValueError, "dim: a coupling needs two coordinates"),
        (lambda: realnvp(0), ValueError, "dim: expected 1 or more"),
        (lambda: realnvp("2"), TypeError, "dim: expected an integer"),
        (lambda: realnvp(2, layers=0), ValueError, "layers: expected 1 or more"),
        (lambda: realnvp(2, rng=None), TypeError, "rng: expected numpy.random.default_rng"),
        (lambda: realnvp(2, context_dim=-1), ValueError, "context_dim: expected 0 or more"),
        (lambda: maf(2, context_dim=1.5), TypeError, "context_dim: expected an integer"),
        (lambda: spline_flow(2, bins=0), ValueError, "widths: expected 1 to 999 bins"),
        (lambda: Coupling.init(2, 0, stays=(True, True)), ValueError,
         r"stays: expected at least one coordinate that stays and one .*, got \(True, True\)"),
        (lambda: Coupling.init(2, 0, stays=(False, False)), ValueError,
         "stays: expected at least one coordinate that stays"),
        (lambda: Coupling.init(3, 0, stays=(0, 2, 1)), TypeError,
         r"stays: expected a bool for each coordinate, .* got \(0, 2, 1\)"),
        (lambda: Coupling(NET, stays=1), TypeError, "stays: expected a bool for each coordinate"),
        (lambda: Coupling(NET, stays=np.eye(2)), TypeError, "stays: expected a bool for each"),
        (lambda: Coupling.init(3, 0, stays=(True, False)), ValueError,
         "stays: expected 3 entries, one each, got 2"),
        (lambda: Coupling(NET, Affine(0.0, 0.0), stays=(True, True)), ValueError,
         "stays: expected at least one"),
        (lambda: Coupling(NET, Affine(0.0, 0.0), stays=(True, False, False)), ValueError,
         "conditioner: expected 4 outputs, 2 for each of 2 coordinates, got 2"),
        (lambda: Coupling(NET, Affine(0.0, 0.0), stays=(True, True, False)), ValueError,
         "conditioner: expected at least 2 inputs, one for each coordinate, got 1"),
        (lambda: Coupling(lambda h: h, Affine(0.0, 0.0)), TypeError,
         "conditioner: expected a network"),
        (lambda: Coupling(NET, Affine), TypeError, "transformer: expected a bijection of numbers"),
        (lambda: Coupling(NET, TriangularAffine.init(1)), TypeError,
         "transformer: expected a bijection of numbers"),
        (lambda: Coupling(NET, Sigmoid()), ValueError,
         r"transformer: expected a map of all numbers .* got Sigmoid\(\)"),
        (lambda: Coupling.init(2, 0, transformer=Exp), ValueError,
         "transformer: expected a map of all numbers onto all"),
        (lambda: Coupling.init(2, 0, transformer=Chain(())), ValueError,
         r"transformer: Chain\(\(\)\) has no parameters to condition"),
        (lambda: Coupling.init(2, 0, transformer=RationalQuadraticSpline), TypeError,
         r"transformer: RationalQuadraticSpline has arrays of parameters; pass an instance"),
        (lambda: Coupling.init(2, 0, transformer=LogisticMixture([], [0.0], [0.0])), ValueError,
         "transformer: expected a map of all numbers onto all numbers"),
        (lambda: Coupling.init(2, 0, transformer=Planar), TypeError,
         "transformer: expected a bijection of numbers, and Planar is one of vectors"),
        (lambda: Coupling.init(2, 0, transformer=Affine(np.zeros(3), 0.0)), ValueError,
         r"transformer.shift: expected one number, got an array of shape \(3,\)"),
        (lambda: Autoregressive.init(2, 0, transformer=Chain((SPLINE, Affine(0.0, np.nan)))),
         ValueError, "transformer.parts.log_scale: expected a finite number, got nan"),
        (lambda: Coupling.init(2, 0, transformer=RationalQuadraticSpline(*np.zeros((3, 2, 1)))),
         ValueError, "slopes: expected 0"),
        (lambda: maf(2, transformer=Affine("0", 0.0)), TypeError,
         "transformer.shift: expected real numbers"),
        (lambda: Coupling.init(2, 0, transformer="affine"), TypeError,
         "transformer: expected a bijection or its class, got 'affine'"),
        # autoregressive
        (lambda: Autoregressive(MLP.init((3, 4, 6), 0)), ValueError,
         "conditioner: output 0, for coordinate 0, sees coordinate 0; .* MLP.autoregressive"),
        (lambda: Autoregressive(MLP.autoregressive(3, 1, 0, hidden=(4,))), ValueError,
         "conditioner: "),
        (lambda: Autoregressive(MLP.autoregressive(3, 2, 0, hidden=(4,)), SPLINE), ValueError,
         "conditioner: "),
        (lambda: Autoregressive(NET, 3.0), TypeError,
         "transformer: expected a bijection of numbers"),
        (lambda: Autoregressive(None), TypeError, "conditioner: expected a network"),
        (lambda: Autoregressive.init(2, 0, transformer=Chain((Exp(), Inverse(Exp())))), ValueError,
         "transformer: .* has no parameters to condition"),
        # context
        (lambda: GIVEN.log_prob(np.zeros((5, 2))), ValueError,
         "context: this flow is conditional; give a context of length 3"),
        (lambda: GIVEN.sample(5, 0), ValueError, "context: this flow is conditional"),
        (lambda: GIVEN.gradient(np.zeros((5, 2))), ValueError, "context: this flow is conditional"),
        (lambda: GIVEN.bijection.forward(np.zeros((5, 2))), ValueError,
         "context: this flow is conditional"),
        (lambda: VECTORS.log_prob(np.zeros((5, 2)), np.zeros(3)), ValueError,
         "context: this flow is not conditional; leave the context out"),
        (lambda: VECTORS.sample(5, 0, np.zeros(3)), ValueError,
         "context: this flow is not conditional"),
        (lambda: Flow(StandardNormal(), Shift(0.0)).log_prob(0.0, [1.0]), ValueError,
         "context: this flow is not conditional"),
        (lambda: GIVEN.log_prob(np.zeros((5, 2)), np.zeros((5, 2))), ValueError,
         r"context: expected vectors of length 3 on the last axis, got an array of shape \(5, 2\)"),
        (lambda: GIVEN.log_prob(np.zeros((5, 2)), 1.0), ValueError,
         "context: expected vectors on the last axis"),
        (lambda: GIVEN.log_prob(np.zeros((5, 2)), np.zeros((4, 3))), ValueError,
         r"context: its shape \(4, 3\) does not go with that of x, \(5, 2\)"),
        (lambda: GIVEN.gradient(np.zeros((5, 2)), np.zeros((4, 3))), ValueError,
         r"context: expected one vector, or one for each of 5 .* of shape \(4, 3\)"),
        (lambda: GIVEN.log_prob(np.zeros((5, 2)), [0.0, np.nan, 0.0]), ValueError,
         "context: expected finite numbers"),
        (lambda: GIVEN.sample(5, 0, [0.0, np.inf, 0.0]), ValueError,
         "context: expected finite numbers"),
        (lambda: GIVEN.log_prob(np.zeros((5, 2)), ["a", "b", "c"]), TypeError,
         "context: expected real numbers"),
        (lambda: GIVEN.bijection.given(np.zeros(2)), ValueError,
         r"context: expected vectors of length 3 on the last axis, got an array of shape \(2,\)"),
        (lambda: GIVEN.bijection.given("abc"), TypeError, "context: expected real numbers"),
        (lambda: GIVEN.bijection.given(np.zeros((4, 3))).forward(np.zeros((5, 2))), ValueError,
         r"context: its shape \(4, 3\) does not go with vectors of shape \(5,\)"),
        # numbers of draws
        (lambda: VECTORS.sample(2.0, 0), TypeError, "n: expected an integer"),
        (lambda: VECTORS.sample(-1, 0), ValueError, "n: expected 0 or more"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(
    call: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()


GOOD = np.random.default_rng(0).standard_normal((30, 2))


def with_column(values: Any) -> np.ndarray:
    return np.stack([GOOD[:, 0], np.broadcast_to(values, 30)], axis=1)


@pytest.mark.parametrize("method", ["newton", "adam"])
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.empty((0, 2)), ValueError, "x: no data"),
        (np.zeros((30, 3)), ValueError, r"x: expected vectors of length 2.*\(30, 3\)"),
        (np.zeros(30), ValueError, r"x: expected vectors of length 2.*\(30,\)"),
        (with_column(np.nan), ValueError,
         r"x: 30 of 60 values are NaN or infinite, the first is x\[0, 1\] = nan"),
        (with_column(-np.inf), ValueError, r"x\[0, 1\] = -inf"),
        (GOOD + 0j, TypeError, "x: expected real numbers"),
        (GOOD.astype(str), TypeError, "x: expected real numbers"),
        (np.ma.masked_greater(GOOD, 1.0), TypeError, "x: a masked array would lose its mask"),
        (with_column(3.0), ValueError, "x: column 1 is constant, 3 in all of 30 rows"),
        (np.ones((1, 2)), ValueError, "x: column 0 is constant"),
    ],
)  # fmt: skip
def test_data_that_can_not_be_fitted_are_named(
    x: Any, error: type[Exception], message: str, method: str
) -> None:
    with pytest.raises(error, match=message):
        fit(VECTORS, x, method=method)


def test_columns_that_depend_on_each_other_have_no_bounded_likelihood() -> None:
    x = with_column(1e3 - 1e6 * GOOD[:, 0])
    with pytest.raises(ValueError, match=r"x: .*no bound: in one direction.*sums of others"):
        fit(VECTORS, x)
    apart = Flow(StandardNormal(2), Elementwise((Affine(0.0, 0.0), Affine(0.0, 0.0))))
    assert fit(apart, x).converged  # each column has a likelihood with a maximum
    assert fit(VECTORS, with_column(GOOD[:, 0] + 1e-3 * GOOD[:, 1])).converged


@every_layer
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_vectors_of_another_length_are_named_by_every_method(name: str, direction: str) -> None:
    layer = LAYERS[name](3)
    argument = {"forward": "z", "inverse": "x"}[direction]
    for method in (direction, f"{direction}_and_log_det", f"{direction}_and_pullback"):
        if layer.dim is not None:
            with pytest.raises(ValueError, match=rf"{argument}: .*length 3.* \(5, 4\)"):
                getattr(layer, method)(np.zeros((5, 4)))
        with pytest.raises(ValueError, match=f"{argument}: expected vectors on the last axis"):
            getattr(layer, method)(1.0)
        with pytest.raises(TypeError, match=f"{argument}: expected real numbers"):
            getattr(layer, method)(["a", "b", "c"])


def test_a_number_of_hidden_units_is_one_layer() -> None:
    for one, several in (
        (MLP.autoregressive(3, 2, 0, hidden=4), MLP.autoregressive(3, 2, 0, hidden=(4,))),
        (maf(2, 1, hidden=np.int64(4)).bijection, maf(2, 1, hidden=(4,)).bijection),
    ):
        np.testing.assert_array_equal(one.params, several.params)


def test_columns_that_are_sums_are_found_in_the_covariance_up_to_large_means() -> None:
    for offset in (0.0, 1e3, -1e7):
        x = np.random.default_rng(1).standard_normal((1000, 2)) + offset
        x = np.column_stack([x, x.sum(axis=1)])
        with pytest.raises(ValueError, match="covariance: the matrix is singular"):
            TriangularAffine.from_moments(x.mean(axis=0), np.cov(x.T))


def test_messages_of_long_parameter_vectors_are_short() -> None:
    flow = realnvp(2)
    with pytest.raises(
        ValueError, match=re.escape("params: expected a vector of length")
    ) as caught:
        flow.with_params([1.0])
    assert len(str(caught.value)) < 300
