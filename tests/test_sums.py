"""Sums that are printed as code are those of the code that they were read from."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from cases import CASES
from hypothesis import given, settings
from hypothesis import strategies as st

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
    StandardNormal,
    Uniform,
    fit,
    gradient_ascent,
    realnvp,
)
from flowtutorial.likelihood import _moments
from flowtutorial.observations import observe
from flowtutorial.sums import sums_for

number = st.floats(-0.8, 0.8)
rates = st.sampled_from([1e-3, 0.1, 1e3])
kinds = st.sampled_from(["float32", "swapped", "strided", "one", "constant", "large"])

READ = {
    "shift", "affine", "affine-small", "leaky-relu", "leaky-relu-steep", "sinh-arcsinh",
    "sinh-arcsinh-light", "chain", "inverse", "inverse-chain", "spline", "spline-one-bin",
    "spline-identity", "spline-affine", "inverse-spline",
}  # fmt: skip


FLOWS = {**CASES, "inverse-spline": Inverse(CASES["spline"])}


def plain(flow: Flow) -> Flow:
    """Return the flow, of which the code runs as it stands."""
    made = Flow(flow.base, flow.bijection)
    vars(made)["_printed"] = {False: None, True: None}
    return made


@pytest.mark.parametrize("base", [StandardNormal(), Logistic()])
@pytest.mark.parametrize("name", sorted(READ))
def test_sums_are_those_of_the_code(name: str, base: Any) -> None:
    start = Flow(base, FLOWS[name])
    assert start.sums is not None
    rng = np.random.default_rng(0)
    x = start.sample(40_000, rng)
    for n in (1, 7, 40_000, 16_384):
        moved = start.moved_to(start.params + 0.3 * rng.normal(size=start.params.size))
        assert moved.sums is start.sums
        data = observe(moved, x[:n])
        found, expected = _moments(moved, data), _moments(plain(moved), data)
        for a, b in zip(found[:4], expected[:4], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12 * max(1.0, np.abs(b).max()))
        value, slope = plain(moved)._log_prob_and_slope(x[:n])
        read = moved.sums.slope(x[:n], moved)
        np.testing.assert_allclose([read[0], *read[1]], [value, *slope], rtol=1e-11, atol=1e-10 * n)
        assert (found.narrow.peak[0] <= 0.0) == (expected.narrow.peak[0] <= 0.0)
        assert found.narrow.peak[0] == pytest.approx(expected.narrow.peak[0], rel=1e-12)


@pytest.mark.parametrize("name", sorted(set(CASES) - READ))
def test_other_flows_run_their_code(name: str) -> None:
    bijection = CASES[name]
    low, high = bijection.domain
    if (low, high) == (-np.inf, np.inf):
        assert sums_for(Flow(StandardNormal(), bijection)) is None


def test_an_affine_flow_is_read_as_three_sums() -> None:
    sums = sums_for(Flow(StandardNormal(), Affine(1.0, 0.5)))
    assert sums is not None
    assert sorted(f.__name__ for f, _ in sums._slope.reductions) == ["dot", "reduce"]
    assert sums._slope.shape == (3, 3)  # the third is how many data there are


def test_no_digits_are_lost_far_from_zero() -> None:
    """The sum of x - shift would have few digits if it were a difference of sums."""
    x = 1e10 + np.arange(-2.0, 3.0)
    flow = Flow(StandardNormal(), Chain((Shift(0.0), Shift(1e10 + 0.25)))).moved_to(
        np.array([0.0, 1e10 + 0.25])
    )
    assert flow.sums is not None
    assert flow.sums.slope(x, flow)[1].tolist() == [-1.25, -1.25]


def test_only_flows_of_numbers_on_the_whole_line_are_read() -> None:
    assert sums_for(realnvp(2, layers=1, rng=0)) is None
    assert sums_for(Flow(Uniform(), Affine(0.0, 0.0))) is not None  # of constants
    assert sums_for(Flow(StandardNormal(), Exp())) is None


@dataclass(frozen=True, eq=False)
class Branching(Bijection):
    """Reads the value of a parameter: the steps depend on it."""

    shift: float

    def forward_and_log_det(self, z: Any) -> tuple[Any, Any]:
        """Shift to the right."""
        return z + (self.shift if self.shift > 0.0 else 0.0), np.zeros_like(z)

    def inverse_and_log_det(self, x: Any) -> tuple[Any, Any]:
        """Shift back."""
        return x - (self.shift if self.shift > 0.0 else 0.0), np.zeros_like(x)


def test_code_that_looks_at_a_parameter_is_not_read() -> None:
    assert sums_for(Flow(StandardNormal(), Branching(1.0))) is None


@dataclass(frozen=True, eq=False)
class Cubed(Bijection):
    """A bijection of a reader's own: `x = z + c z³`, solved by formula, with `c` positive."""

    log_c: float

    def forward_and_log_det(self, z: Any) -> tuple[Any, Any]:
        """Return the cubic."""
        c = np.exp(self.log_c)
        return z + c * z * z * z, np.log1p(3.0 * c * z * z)

    def inverse_and_log_det(self, x: Any) -> tuple[Any, Any]:
        """Return the solution of Cardano."""
        c = np.exp(self.log_c)
        p, q = 1.0 / (3.0 * c), x / (2.0 * c)
        root = np.sqrt(q * q + p * p * p)
        t = np.sign(q) * (root + np.abs(q)) ** (1.0 / 3.0)
        z = t - p / t
        return z, -np.log1p(3.0 * c * z * z)


def test_a_readers_own_bijection_is_read() -> None:
    flow = Flow(StandardNormal(), Cubed(-1.0)).moved_to(np.array([-0.5]))
    x = np.random.default_rng(0).normal(size=1000) * 2.0
    assert flow.sums is not None
    value, slope = plain(flow)._log_prob_and_slope(x)
    read = flow.sums.slope(x, flow)
    np.testing.assert_allclose([read[0], *read[1]], [value, *slope], rtol=1e-11)


@dataclass(frozen=True, eq=False)
class Own(Bijection):
    """A shift with a score of a reader's own, which looks at the parameter and the data."""

    shift: float

    def forward_and_log_det(self, z: Any) -> tuple[Any, Any]:
        """Shift to the right."""
        return z + self.shift, np.zeros_like(z)

    def inverse_and_log_det(self, x: Any) -> tuple[Any, Any]:
        """Shift back."""
        return x - self.shift, np.zeros_like(x)

    def inverse_and_pullback(self, x: Any) -> tuple[Any, Any, Any]:
        """Pull back `weight`."""
        z, log_det = self.inverse_and_log_det(x)

        def pullback(bar: Any, summed: bool = False) -> tuple[Any, list[Any]]:
            weight = self.weight(x)
            return bar, [np.sum(weight) if summed else weight]

        return z, log_det, pullback

    def weight(self, x: Any) -> Any:
        """Return the score."""
        raise NotImplementedError


WEIGHTS: dict[str, Callable[[Any, Any], Any]] = {
    "of-two-masks": lambda shift, x: shift * (x > 0.0) * (x < 1.0),
    "of-their-product": lambda shift, x: shift * ((x > 0.0) * (x < 1.0)),
    "of-either": lambda shift, x: shift * ((x > 0.0) * (x < 1.0) + (x > 0.5) * (x < 2.0)),
    "of-small-integers": lambda shift, x: shift * (np.sign(x).astype(np.int8) * (x > -1.0)),
    "of-a-mask": lambda shift, x: 2.0 * (x > 0.0) - shift,
    "of-a-choice": lambda shift, x: np.where(shift > 0.0, x, -x) * np.maximum(shift, 0.5),
    "of-powers": lambda shift, x: x**2 / (1 + shift**2) ** 3 + np.power(shift, 4),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_scores_of_truth_values_are_counted(name: str) -> None:
    """A sum of products of truth values is a number of data; NumPy's dot says whether there are."""
    kind = type("Weighted", (Own,), {"weight": lambda self, x: WEIGHTS[name](self.shift, x)})
    flow = Flow(StandardNormal(), kind(-0.25)).moved_to(np.array([0.5]))
    data = observe(flow, np.random.default_rng(0).normal(size=3000))
    assert flow.sums is not None
    found, expected = _moments(flow, data), _moments(plain(flow), data)
    for a, b in zip(found[:4], expected[:4], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_no_digits_of_a_signed_number_are_lost() -> None:
    """A product with a sign is exact, so a constant stays in its sum."""
    kind = type("Signed", (Own,), {"weight": lambda _, x: np.sign(x) * x - (1e15 + 0.25)})
    flow = Flow(StandardNormal(), kind(0.0)).moved_to(np.array([1e15]))
    assert flow.sums is not None
    assert flow.sums.slope(1e15 + np.arange(101.0) ** 2, flow)[1] == 338350.0 - 25.25


class OnPositive(Own):
    """A shift whose values are said to be positive where the parameter is."""

    codomain = property(lambda self: (0.0 if self.shift > 0.0 else -np.inf, np.inf))  # type: ignore[assignment]

    def weight(self, x: Any) -> Any:
        """Return the score of a normal density."""
        return x - self.shift


def test_a_support_that_depends_on_the_parameters_is_left_to_the_code() -> None:
    assert sums_for(Flow(StandardNormal(), OnPositive(-1.0))) is None


class Improper:
    """The same density everywhere."""

    def log_prob(self, z: Any) -> Any:
        """Return 0."""
        return np.zeros_like(z)

    def sample(self, n: int, rng: np.random.Generator) -> Any:
        """Return draws from an interval."""
        return rng.random(n)


def test_a_density_that_does_not_vary_is_left_to_the_code() -> None:
    ascent = gradient_ascent(Flow(Improper(), Affine(0.0, 0.0)), [1.0, 2.0, 4.0], 0.5, 2)
    np.testing.assert_array_equal(ascent.params, [[0.0, 0.0], [0.0, -0.5], [0.0, -1.0]])
    ascent = gradient_ascent(Flow(Improper(), Shift(1.0)), [1.0, 2.0, 4.0], 0.5, 2)
    assert ascent.params.ravel().tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("parts", [(Affine(0.1, 0.2),), (Affine(0.1, 0.2), Shift(0.3))])
def test_a_chain_may_stretch_all_data_alike(parts: tuple[Bijection, ...]) -> None:
    """Its log-determinant is a number, summed in an array of one element."""
    x = np.array([1.0, 2.0, 4.0])
    ascent = gradient_ascent(Flow(StandardNormal(), Chain(parts)), x, 0.1, 3)
    expected = gradient_ascent(plain(Flow(StandardNormal(), Chain(parts))), x, 0.1, 3)
    np.testing.assert_allclose(ascent.params, expected.params, rtol=1e-13)


@pytest.mark.parametrize("between", [Affine(0.1, 0.2), Inverse(RationalQuadraticSpline.init(3))])
def test_products_of_splines_with_different_bins_are_left_to_the_code(between: Bijection) -> None:
    spline = RationalQuadraticSpline([0.3, 0.0], [-0.2, 0.1], [0.4])
    flow = Flow(StandardNormal(), Chain((spline, between, spline)))
    assert flow.sums is not None
    data = observe(flow, np.random.default_rng(0).normal(size=200))
    np.testing.assert_array_equal(_moments(flow, data).outer, _moments(plain(flow), data).outer)
    assert len(fit(flow, data.x, ridge=1.0, max_iterations=2).params) == flow.params.size


def test_many_products_of_scores_are_left_to_the_code() -> None:
    """Of 40 parameters there are 1600, each with a line of printed code."""
    flow = Flow(StandardNormal(), Chain((Affine(0.1, 0.01),) * 20))
    assert flow.sums is not None
    data = observe(flow, np.random.default_rng(0).normal(size=200))
    np.testing.assert_array_equal(_moments(flow, data).outer, _moments(plain(flow), data).outer)
    assert flow.sums._moments is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), number, number), min_size=1, max_size=3), rates, kinds)
def test_an_ascent_is_that_of_the_code(parts: Any, rate: float, kind: str) -> None:
    """Whatever the flow and the data, also where it diverges: iterates, and where it stops."""
    made = [(Affine, Shift, SinhArcsinh, LeakyReLU, Inverse)[which] for which, _, _ in parts]
    bijection = Chain(
        tuple(
            cls(Affine(a, b))
            if cls is Inverse
            else cls(a)
            if cls in (Shift, LeakyReLU)
            else cls(a, b)
            for cls, (_, a, b) in zip(made, parts, strict=True)
        )
    )
    x = 0.5 + 2.0 * np.random.default_rng(1).normal(size=200)
    x = {"float32": x.astype(np.float32), "swapped": x.astype(">f8"), "strided": x[::-3],
         "one": x[:1], "constant": np.full(9, 1.25), "large": 1e8 + x}[kind]  # fmt: skip
    start = Flow(StandardNormal(), bijection)
    ascents = []
    for flow in (start, plain(start)):
        try:
            ascents.append(gradient_ascent(flow, x, rate, 5))
        except DivergenceError as error:
            ascents.append(error.trace)
    found, expected = ascents
    assert found.params.shape == expected.params.shape
    np.testing.assert_allclose(found.params, expected.params, rtol=1e-9, atol=1e-9)


def test_an_ascent_and_a_fit_end_where_the_code_leads() -> None:
    x = 1.0 + 2.0 * np.random.default_rng(3).normal(size=5000)
    start = Flow(StandardNormal(), Affine(0.0, 0.0))
    ascent = gradient_ascent(start, x, 0.5, 300)
    expected = [x.mean(), np.log(x.std())]
    np.testing.assert_allclose(ascent.params[-1], expected, atol=1e-8)
    found = fit(start, x)
    np.testing.assert_allclose(found.params, expected, atol=1e-9)
    # by hand: θ + γ mean(score), with the scores z/s and z² - 1
    mu, log_s = ascent.params[3]
    z = (x - mu) / np.exp(log_s)
    step = 0.5 * np.array([np.mean(z) / np.exp(log_s), np.mean(z * z - 1.0)])
    np.testing.assert_allclose(ascent.params[4], ascent.params[3] + step, rtol=1e-12)


def test_numbers_that_overflow_before_a_sum_are_left_to_the_code() -> None:
    x = np.array([1e160, -1e160, 2e160])
    start = Flow(StandardNormal(), Affine(0.0, np.log(1e160)))
    assert gradient_ascent(start, x, 1e-3, 2).log_likelihood == pytest.approx(
        [plain(start).log_prob(x).mean()] * 3, rel=0.1
    )


def test_threads_do_not_share_places() -> None:
    start = Flow(StandardNormal(), SinhArcsinh(0.2, 0.1))
    start = start.moved_to(start.params)
    xs = [np.random.default_rng(i).normal(size=30_000) for i in range(4)]
    sums = start.sums
    assert sums is not None

    def both(x: Any) -> list[float]:
        value, slope = sums.slope(x, start)
        return [value, *slope]

    expected = [both(x) for x in xs]
    found: list[Any] = [None] * 4

    def work(i: int) -> None:
        for _ in range(20):
            found[i] = both(xs[i])
            if not np.array_equal(found[i], expected[i]):
                return

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda f: pickle.loads(pickle.dumps(f))]
)
def test_a_copy_prints_its_own(copied: Any) -> None:
    flow = Flow(StandardNormal(), Affine(1.0, 0.5)).moved_to(np.array([2.0, 0.25]))
    made = copied(flow)
    assert "_printed" not in vars(made)
    assert made.params.tolist() == [2.0, 0.25]
