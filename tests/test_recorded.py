"""Recorded steps are the code itself: the same numbers, to the last bit, and the same warnings."""

from __future__ import annotations

import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import CASES, base_points

from flowtutorial import Affine, Chain, Flow, Logistic, SinhArcsinh, StandardNormal, Uniform
from flowtutorial.blocks import BLOCK, entries
from flowtutorial.recorded import record

SOLVED = {"logistic-one", "logistic-mixture", "universal"}  # with an axis of components
IDENTITY = {"chain-empty"}  # in one direction nothing is left to do
DOUBLE = np.dtype(np.float64)


def steps_of(function: Callable[[Any], Any], dtype: Any = DOUBLE) -> Callable[..., Any]:
    """Return the steps of a function that can be read."""
    program = record(function, np.dtype(dtype))
    assert program is not None
    return program.with_buffers()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", sorted(set(CASES) - SOLVED - IDENTITY))
def test_steps_give_the_same_bits_as_the_code(name: str, dtype: type) -> None:
    bijection = CASES[name]
    z = np.random.default_rng(0).permutation(base_points(bijection, 3001)).astype(dtype)
    for method, values in (
        (bijection.forward_and_log_det, z),
        (bijection.inverse_and_log_det, bijection.forward(z)),
    ):
        for part in (0, 1):
            function = lambda v, method=method, part=part: method(v)[part]  # noqa: E731
            program = record(function, np.dtype(dtype))
            if program is None:  # a constant, or a map without steps
                first = function(values)
                assert np.all(first == first[0]) or first is values
                continue
            steps = program.with_buffers()
            for length in (3000, 17, 3000):
                result, expected = steps(values[:length]), function(values[:length])
                assert result.dtype == expected.dtype
                np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("base", [StandardNormal(), Logistic(), Uniform()])
def test_densities_of_bases_can_be_read(base: Any) -> None:
    z = np.concatenate([base.sample(1000, np.random.default_rng(1)), [-3.0, np.nan, 2.0]])
    np.testing.assert_array_equal(steps_of(base.log_prob)(z), base.log_prob(z))


def branches(x: Any) -> Any:
    """A function of the whole array."""
    return x if x[0] > 0.0 else -x


def writes(x: Any) -> Any:
    """A function that writes into an array of its own."""
    y = np.exp(x)
    y += 1.0
    return y


@pytest.mark.parametrize(
    "function",
    [
        branches,
        writes,
        lambda x: np.where(x > 0.0, 1.0, -1.0) if x > 0.0 else x,
        lambda x: x - x.mean(),
        lambda x: x - np.sum(x),
        lambda x: x + np.arange(3),
        lambda x: np.exp(x, out=np.empty(3)),
        lambda x: np.asarray(x) + 1.0,
        lambda x: x[..., None] * np.ones(2),
        lambda x: np.zeros(x.shape),
        lambda x: 1.0,
        lambda x: x,
        lambda x: np.zeros_like(x),
        lambda x: np.modf(x)[0],
        lambda x: np.add.accumulate(x),
        lambda x: np.sort(x),
    ],
)
def test_what_is_not_a_function_of_each_element_is_left_alone(function: Any) -> None:
    assert record(function, DOUBLE) is None


@pytest.mark.parametrize("share", [0.0, 1e-3, 0.5, 1.0 - 1e-3, 1.0])
def test_where_chooses_bit_by_bit(share: float) -> None:
    rng = np.random.default_rng(2)
    x = np.where(rng.random(9000) < share, 1.0, -1.0) * rng.random(9000)
    x[::100] = np.where(rng.random(90) < 0.5, -0.0, np.nan)

    def function(x: Any) -> Any:
        return np.where(x > 0.0, np.log(np.abs(x)), np.where(np.isnan(x), x, -np.inf))

    with np.errstate(divide="ignore"):
        result, expected = steps_of(function)(x), function(x)
    np.testing.assert_array_equal(result.view(np.int64), expected.view(np.int64))


@pytest.mark.parametrize(
    "condition",
    [
        lambda x: np.maximum(x, 0.0),
        lambda x: np.floor(np.abs(x) / 3.0).astype(np.int64),
        lambda x: 2 * np.greater(x, 0.0).astype(np.int8),
    ],
)
def test_where_takes_numbers_for_truth_values(condition: Any) -> None:
    x = np.concatenate([[0.0, -0.0, np.nan], np.random.default_rng(0).normal(size=5000)])

    def function(x: Any) -> Any:
        return np.where(condition(x), x, 1.0)

    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(steps_of(function)(x), function(x))


def test_zeros_of_two_signs_are_two_numbers() -> None:
    def function(x: Any) -> Any:
        return np.copysign(x, 0.0) + 2.0 * np.copysign(x, -0.0)

    np.testing.assert_array_equal(steps_of(function)(np.array([1.0, -3.0])), [-1.0, -3.0])


def test_a_list_is_searched_as_a_table_is() -> None:
    x = np.linspace(-1.0, 2.0, 31)
    steps = steps_of(lambda x: np.searchsorted([0.0, 1.0], x, side="right"))
    np.testing.assert_array_equal(steps(x), np.searchsorted([0.0, 1.0], x, side="right"))


def test_negative_indices_count_from_the_end() -> None:
    knots, table, x = np.array([0.0, 1.0]), np.array([3.0, 4.0, 5.0]), np.linspace(-1.0, 2.0, 31)
    steps = steps_of(lambda x: entries(table, np.searchsorted(knots, x, side="right") - 1))
    np.testing.assert_array_equal(steps(x), table[np.searchsorted(knots, x, side="right") - 1])


def test_numbers_that_are_missing_from_a_table_are_its_last() -> None:
    table = np.array([-1.0, 0.0, np.nan])
    x = np.concatenate([np.linspace(-2.0, 2.0, 33), [np.nan, np.inf]])
    steps = steps_of(lambda x: np.searchsorted(table, x, side="right"))
    np.testing.assert_array_equal(steps(x), np.searchsorted(table, x, side="right"))


@pytest.mark.parametrize("length", [3, 100])
def test_a_table_is_searched_as_numpy_does(length: int) -> None:
    table = np.linspace(-1.0, 1.0, length)
    x = np.concatenate([table, np.linspace(-2.0, 2.0, 333), [np.nan, np.inf, -np.inf]])
    steps = steps_of(lambda x: np.searchsorted(table, x, side="right"))
    np.testing.assert_array_equal(steps(x), np.searchsorted(table, x, side="right"))


def test_warnings_stay_as_they_are() -> None:
    @np.errstate(divide="ignore")
    def silent(x: Any) -> Any:
        return np.log(x)

    zeros = np.zeros(5)
    steps = steps_of(lambda x: 1.0 / (1.0 - silent(x)))
    np.testing.assert_array_equal(steps(zeros), zeros)
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        steps_of(np.log)(zeros)
    with warnings.catch_warnings(), np.errstate(divide="ignore"):
        warnings.simplefilter("error")
        steps_of(np.log)(zeros)


FLOWS = {
    "affine": Flow(StandardNormal(), Affine(0.3, 0.2)),
    "chain": Flow(StandardNormal(), Chain((SinhArcsinh(0.3, 0.2), Affine(0.1, -0.1)))),
    "spline": Flow(StandardNormal(), CASES["spline"]),
    "positive": Flow(StandardNormal(), CASES["exp"]),
    "mixture": Flow(StandardNormal(), CASES["universal"]),
}


@pytest.mark.parametrize("name", FLOWS)
def test_many_values_have_the_densities_of_few(name: str) -> None:
    flow = FLOWS[name]
    x = np.random.default_rng(3).normal(0.0, 2.0, 5 * BLOCK + 11)
    x[::5000] = np.resize([np.nan, np.inf, -np.inf, 0.0], x[::5000].shape)
    few = [flow.log_prob(part) for part in np.array_split(x, 9)]
    np.testing.assert_array_equal(flow.log_prob(x), np.concatenate(few))
    single = x.astype(np.float32)
    few = [flow.log_prob(part) for part in np.array_split(single, 9)]
    np.testing.assert_array_equal(flow.log_prob(single), np.concatenate(few))


@pytest.mark.parametrize("name", FLOWS)
def test_many_draws_are_images_of_the_draws_of_the_base(name: str) -> None:
    flow, n = FLOWS[name], 4 * BLOCK + 5 if name != "mixture" else BLOCK + 5
    z = flow.base.sample(n, np.random.default_rng(4))
    expected = [flow.bijection.forward(part) for part in np.array_split(z, 7)]
    np.testing.assert_array_equal(flow.sample(n, 4), np.concatenate(expected))


@pytest.mark.parametrize("name", ["affine", "chain", "spline"])
def test_long_arrays_need_the_result_and_a_mebibyte(name: str) -> None:
    flow, x = FLOWS[name], np.linspace(-3.0, 3.0, 400_000)
    for work in (flow.log_prob, lambda x: flow.sample(x.size, 0)):
        work(x)
        tracemalloc.start()
        work(x)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < x.nbytes + 2**20


class Shifted:
    """A base that somebody changes."""

    support = (-np.inf, np.inf)

    def __init__(self, mean: float) -> None:
        self.mean = mean

    def log_prob(self, z: Any) -> Any:
        """As the standard normal, moved."""
        return StandardNormal().log_prob(z - self.mean)

    def sample(self, n: int, rng: Any) -> Any:
        """As the standard normal, moved."""
        return self.mean + StandardNormal().sample(n, rng)


def test_a_base_that_changes_is_read_anew_and_a_frozen_one_once() -> None:
    x = np.linspace(-2.0, 2.0, 70_000)
    base = Shifted(0.0)
    flow = Flow(base, Affine(0.5, 0.1))
    before = flow.log_prob(x)
    base.mean = 1.0
    np.testing.assert_array_equal(flow.log_prob(x), Flow(base, flow.bijection).log_prob(x))
    assert not np.array_equal(flow.log_prob(x), before)
    frozen = Flow(StandardNormal(), Affine(0.5, 0.1))
    frozen.log_prob(x)
    (program,) = frozen._known.values()
    frozen.log_prob(x)
    assert list(frozen._known.values()) == [program]
