"""Networks of one input, evaluated piece by piece, are the networks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtutorial import MLP, Affine, Chain, Coupling, Flow, Inverse, StandardNormal, maf, realnvp
from flowtutorial.pieces import MANY, Pieces, in_pieces, pieces_of


def rough(flow: Flow, seed: int = 1) -> Flow:
    """Return a flow that is not near the identity."""
    noise = np.random.default_rng(seed).normal(size=flow.params.size)
    return flow.with_params(flow.params + 0.1 * noise)


@pytest.mark.parametrize("hidden", [(), (1,), (8,), (64, 64), (5, 3), (16, 16, 16), (7, 1, 7)])
@pytest.mark.parametrize("outputs", [0, 1, 3])
def test_pieces_are_the_network(hidden: tuple[int, ...], outputs: int) -> None:
    rng = np.random.default_rng(len(hidden))
    network = MLP.init([1, *hidden, outputs], rng, last=3.0)
    pieces = pieces_of(network)
    beside = [np.nextafter(pieces.knots, side) for side in (-np.inf, np.inf)]
    far = np.array([-1e8, 1e8, 0.0])
    x = np.concatenate(
        [3.0 * rng.normal(size=2000), 1e3 * rng.normal(size=50), pieces.knots, *beside, far]
    )
    expected = network(x[:, None])
    scale = 1e-13 * (1.0 + np.abs(x[:, None]))
    assert np.all(
        np.abs(pieces(x[:, None]) - expected)
        <= scale * (1.0 + np.abs(expected).max(initial=0.0, where=np.abs(x[:, None]) < 10.0))
    )
    assert pieces(x.reshape(1, -1, 1)[:, :6]).shape == (1, 6, outputs)


def test_knots_are_where_units_switch() -> None:
    """Units 2x - 4 and -x + 1; then, of max(2x - 4, 0) - 3, one that switches at 3.5."""
    network = MLP(([[2.0], [-1.0]], [[1.0, 0.0]], [[1.0]]), ([-4.0, 1.0], [-3.0], [0.5]))
    pieces = pieces_of(network)
    np.testing.assert_allclose(pieces.knots, [1.0, 2.0, 3.5], rtol=1e-15)
    np.testing.assert_allclose(pieces.slopes, [[0.0], [0.0], [0.0], [2.0]], rtol=1e-15)
    np.testing.assert_allclose(pieces(np.array([[0.0], [3.5], [4.5]]))[:, 0], [0.5, 0.5, 2.5])


def test_a_unit_that_switches_beyond_the_last_knot_is_found() -> None:
    network = MLP(([[1.0]], [[1.0]], [[1.0]]), ([0.0], [-1e6], [0.0]))
    np.testing.assert_allclose(pieces_of(network).knots, [0.0, 1e6])


SCALES = {
    "tiny-inputs": (1e-20, ([[1e20], [-2e20]], [[1.0, 0.5]]), ([1.0, 0.7], [0.0])),
    "far-knot": (1.0, ([[1e-9], [-1.0]], [[1.0, 1.0]]), ([1.0, 0.7], [0.0])),
    "farthest-knot": (1.0, ([[1e-300], [-1.0]], [[1.0, 1.0]]), ([1.0, 0.7], [0.0])),
    "steep-and-flat": (1.0, ([[1e8], [1e-8]], [[1.0, 1e8]]), ([1.0, 1.0], [0.0])),
}


@pytest.mark.parametrize("name", SCALES)
def test_digits_are_those_of_the_network_at_any_scale(name: str) -> None:
    scale, weights, biases = SCALES[name]
    network = MLP(weights, biases)
    x = scale * np.random.default_rng(0).normal(size=(2000, 1))
    expected = network(x)
    np.testing.assert_allclose(
        pieces_of(network)(x), expected, rtol=1e-14, atol=1e-15 * np.abs(expected).max()
    )


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_rounding_is_as_large_as_that_of_the_network(seed: int) -> None:
    """Weights from 1e-9 to 1e9, some of them 0; the bound is the network of absolute values."""
    rng = np.random.default_rng(seed)
    sizes = [1, *rng.integers(1, 9, rng.integers(1, 4)), 2]
    weights, biases = (
        [rng.normal(size=s) * np.exp(6.0 * rng.normal(size=s)) * (rng.random(s) < 0.8) for s in sh]
        for sh in (list(zip(sizes[1:], sizes[:-1], strict=True)), sizes[1:])
    )
    network = MLP(tuple(weights), tuple(biases))
    pieces = pieces_of(network)
    sides = [np.nextafter(pieces.knots, side) for side in (-np.inf, np.inf)]
    x = np.concatenate([rng.normal(size=100), 1e3 * rng.normal(size=50), pieces.knots, *sides])
    x = x[np.abs(x) < 1e50, None]
    bound = MLP(tuple(map(np.abs, weights)), tuple(map(np.abs, biases)))(np.abs(x))
    assert np.all(np.abs(pieces(x) - network(x)) <= 20 * np.finfo(float).eps * bound + 1e-300)


def test_a_network_whose_slopes_overflow_stays() -> None:
    flow = Flow(StandardNormal(2), Coupling.init(2, 0, hidden=(4,)))
    network = MLP(([[1e200]], [[1e200]] * 2), ([-1.0], [0.0, 0.0]))
    coupling = dataclasses.replace(flow.bijection, conditioner=network)
    assert in_pieces(coupling) is coupling


def test_weights_of_zero_leave_one_piece() -> None:
    network = MLP(([[0.0]], [[0.0]]), ([1.0], [2.0]))
    pieces = pieces_of(network)
    assert len(pieces.knots) == 0
    assert pieces([[5], [-5]]).tolist() == [[2.0], [2.0]]


def test_missing_values_stay_missing() -> None:
    pieces = pieces_of(MLP.init([1, 8, 2], 0))
    assert np.isnan(pieces(np.array([[np.nan]]))).all()


def test_densities_and_samples_of_many_points_are_those_of_few() -> None:
    flow = rough(realnvp(2, layers=4, rng=0))
    x = flow.sample(MANY + 100, 5)
    z = StandardNormal(2).sample(MANY + 100, np.random.default_rng(5))
    np.testing.assert_allclose(x[:999], flow.bijection.forward(z[:999]), rtol=1e-10, atol=1e-12)
    few = np.concatenate([flow.log_prob(part) for part in np.array_split(x, 4)])
    many = flow.log_prob(x)
    assert np.any(many != few)  # the tables have been used
    np.testing.assert_allclose(many, few, rtol=1e-11, atol=1e-11)
    spoiled = x.copy()
    spoiled[0, 0], spoiled[1, 1], spoiled[2, 0] = np.nan, np.inf, -1e300
    result = flow.log_prob(spoiled)
    assert np.isnan(result[0])
    assert result[1] == result[2] == -np.inf
    np.testing.assert_array_equal(result[3:], many[3:])
    grid = x[: MANY // 2 * 2].reshape(2, -1, 2).astype(np.float32)
    assert flow.log_prob(grid).dtype == np.float32
    assert flow.log_prob(grid).shape == grid.shape[:-1]


def test_only_networks_of_one_input_with_kinks_are_read_so() -> None:
    kept = [
        realnvp(4, layers=2, rng=0),
        realnvp(2, layers=2, rng=0, context_dim=1),
        maf(2, layers=2, rng=0),
        Flow(StandardNormal(2), Coupling.init(2, 0, activation="tanh")),
    ]
    for flow in kept:
        assert in_pieces(flow.bijection) is flow.bijection
    inside = Inverse(Chain((Coupling.init(2, 0, transformer=Affine),)))
    found = in_pieces(inside)
    assert isinstance(found.bijection.parts[0].conditioner, Pieces)
    assert found.bijection.parts[0].stays == inside.bijection.parts[0].stays
