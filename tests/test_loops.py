"""Compiled loops give the numbers of the code that they were printed from."""

from __future__ import annotations

import pickle
import sys
import threading
from typing import Any

import numpy as np
import pytest
from cases import CASES

from flowtutorial import (
    Affine,
    Chain,
    Exp,
    Flow,
    RationalQuadraticSpline,
    Shift,
    SinhArcsinh,
    StandardNormal,
    compiled,
    fit,
    gradient_ascent,
    realnvp,
)
from flowtutorial import loops as loops_module
from flowtutorial.blocks import BLOCK
from flowtutorial.loops import Loop, fused
from flowtutorial.recorded import FEW, Place, Step, Tape, compiling, order_of, record
from flowtutorial.sums import sums_for

DOUBLE = np.dtype(np.float64)
NORMAL = {
    name: Flow(StandardNormal(), bijection)
    for name, bijection in CASES.items()
    if tuple(bijection.domain) == (-np.inf, np.inf)
}
EVERYWHERE = [name for name, flow in NORMAL.items() if sums_for(flow) is not None]
BENT = Flow(StandardNormal(), Chain((SinhArcsinh(0.3, 0.1), Affine(1.0, 0.3))))
rng = np.random.default_rng(0)
FEW_KNOTS, MANY_KNOTS = (
    Flow(StandardNormal(), RationalQuadraticSpline(*(rng.normal(size=k) for k in (n, n, n - 1))))
    for n in (8, FEW + 10)
)


def same(a: Any, b: Any) -> None:
    """Check that numbers agree to some units in the last place."""
    assert a.dtype == b.dtype
    np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13)


def points(flow: Flow, n: int) -> Any:
    """Return draws, and what is no number or outside of the support."""
    x = flow.sample(n, 1)
    x[:: n // 7] = [np.nan, np.inf, -np.inf, -7.0, 0.0, -0.0, 1e300, -1e-300][: len(x[:: n // 7])]
    return x


@pytest.mark.parametrize("name", sorted(NORMAL))
def test_densities_are_those_of_the_code(name: str) -> None:
    flow = NORMAL[name]
    x = points(flow, 3000)
    with np.errstate(all="ignore"):
        expected = flow.log_prob(x)
        with compiled():
            same(flow.log_prob(x), expected)
            same(flow.log_prob(x[:1500].reshape(3, 500)), expected[:1500].reshape(3, 500))
            same(flow.log_prob(x[::2]), expected[::2])
            same(flow.log_prob(x[:7]), expected[:7])


@pytest.mark.parametrize("flow", [BENT, FEW_KNOTS, MANY_KNOTS])
def test_many_blocks_and_frozen_arrays(flow: Flow) -> None:
    x = points(flow, 3 * BLOCK + 5)
    x.flags.writeable = False
    expected = flow.log_prob(x)
    with compiled():
        same(flow.log_prob(x), expected)
        same(
            flow.sample(3 * BLOCK + 5, 1), Flow(flow.base, flow.bijection).sample(3 * BLOCK + 5, 1)
        )


def test_draws_are_those_of_the_code() -> None:
    expected = BENT.sample(100_000, 3)
    with compiled():
        same(BENT.sample(100_000, 3), expected)


def test_single_precision_stays_as_it_is() -> None:
    x = BENT.sample(5000, 1).astype(np.float32)
    expected = BENT.log_prob(x)
    with compiled():
        np.testing.assert_array_equal(BENT.log_prob(x), expected)


@pytest.mark.parametrize("name", EVERYWHERE)
def test_sums_are_those_of_the_code(name: str) -> None:
    flow = NORMAL[name]
    x = flow.sample(5000, 2)
    plain = sums_for(flow)
    with compiled():
        loops = sums_for(flow)
        assert plain is not None
        assert loops is not None
        for moved in (flow, flow.moved_to(flow.params + 0.01)):
            found = [*loops.slope(x, moved), *loops.moments(x, moved)]
            expected = [*plain.slope(x, moved), *plain.moments(x, moved)]
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-9)


def test_fits_end_where_they_end_without() -> None:
    x = np.random.default_rng(5).normal(3.0, 2.0, 20_000)
    affine, shift = (Flow(StandardNormal(), part) for part in (Affine(0.0, 0.0), Shift(0.0)))
    expected, ascent = fit(affine, x), gradient_ascent(shift, x, 0.1, 20)
    with compiled():
        np.testing.assert_allclose(fit(affine, x).params, expected.params, atol=1e-8)
        found = gradient_ascent(shift, x, 0.1, 20)
        np.testing.assert_allclose(found.params, ascent.params, rtol=1e-12)
        np.testing.assert_allclose(found.log_likelihood, ascent.log_likelihood, rtol=1e-12)
    np.testing.assert_array_equal(gradient_ascent(shift, x, 0.1, 20).params, ascent.params)


def test_vectors_are_not_touched() -> None:
    flow = realnvp(2, layers=2, hidden=8)
    x = np.random.default_rng(0).normal(size=(3000, 2))
    expected = flow.log_prob(x)
    with compiled():
        np.testing.assert_array_equal(flow.log_prob(x), expected)


def steps_of(function: Any) -> tuple[Tape, list[Step], Place]:
    """Return the steps of a function."""
    tape = Tape()
    result = function(tape.data(DOUBLE))
    return tape, [tape.step(place) for place in order_of(tape, [result.place])], result.place


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda x: (x - 1.0) * (x + 1.0), "L"),
        (lambda x: np.sinh(x), "c"),
        (lambda x: 2.0 * np.sinh(x + 1.0) - np.cosh(x * x), "LccL"),
        (lambda x: np.exp(np.log(x * x) + x), "LcLc"),
    ],
)  # fmt: skip
def test_arithmetic_is_in_as_few_loops_as_may_be(function: Any, shape: str) -> None:
    tape, steps, place = steps_of(function)
    arranged = fused(tape, steps, [place])
    assert "".join("L" if isinstance(step, Loop) else "c" for step in arranged) == shape
    x = np.linspace(0.1, 3.0, 2000)
    token = compiling.set(True)
    program = record(function, DOUBLE)
    compiling.reset(token)
    assert program is not None
    same(program.with_buffers()(x, None), function(x))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.where((x > 0.0) & ~(x > 2.0), x, -x),
        lambda x: np.where((x < -1.0) | (x >= 1.0), 0, x),
        lambda x: np.where(np.isnan(x) | np.isinf(x), 1.0, x) + np.isfinite(x),
        lambda x: np.where(np.logical_or(x <= 0.0, np.logical_not(x == 1.0)), x, 2.0),
        lambda x: np.where(np.logical_and(x != 0.0, x > -1.0), np.maximum(x, 0.5), -x),
        lambda x: np.minimum(x, 3) * 2,
        lambda x: np.copysign(np.sqrt(np.abs(x)), x) + np.sign(x) - np.square(-x),
        lambda x: (x > 1.0) * (x * 3.0) + (x > 0.0).astype(np.float64),
        lambda x: np.sqrt(x) + 1.0 / x,
        lambda x: ((x > 0.0) + (x < 1.0)) * x + ((x > 2.0) + True) * 3.0,
        lambda x: np.logical_and(x, x - 1.0) * 3.0 + np.logical_or(x > 0.0, 2) + np.logical_not(x),
        lambda x: 1.0 / np.sign(x) + np.sign(np.searchsorted([0.0], x, side="right") - 1),
        lambda x: x * 2**70 + np.where(x > 0.0, 2**64, x) + (x < 2**63),
        lambda x: x.astype(np.float16).astype(np.float64) + x.astype(">f8").astype(np.float64),
        lambda x: (x.astype(np.longdouble) * 3.0).astype(np.float64) + x.astype(np.int8),
        lambda x: x * np.float32(0.1) + x / np.float32(3.0) + np.array([2]) * x,
        lambda x: np.searchsorted(np.linspace(-3.0, 3.0, 50), x, side="right") / 49,
        lambda x: np.searchsorted(np.array([0.0, 1.0, np.nan]), x, side="right") + x,
        lambda x: np.searchsorted(np.array([0.0, 1.0], ">f8"), x, side="right") + x,
        lambda x: np.searchsorted(np.array([0.0, 1.0], np.float16), x, side="right") + x,
    ],
)  # fmt: skip
def test_each_operation_is_that_of_numpy(function: Any) -> None:
    x = np.concatenate([np.linspace(-3.0, 3.0, 1001), [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0]])
    with np.errstate(all="ignore"), compiled():
        program = record(function, DOUBLE)
        assert program is not None
        np.testing.assert_array_equal(program.with_buffers()(x, None), function(x))


def test_loops_that_do_the_same_are_compiled_once() -> None:
    tape, steps, place = steps_of(lambda x: np.sin(2.0 * np.sin(3.0 * np.sin(4.0 * x))))
    loops = [step for step in fused(tape, steps, [place]) if isinstance(step, Loop)]
    assert len(loops) == 3
    assert len({loop.function for loop in loops}) == 1


def test_what_is_compiled_is_kept() -> None:
    sources = [f"def loop(a0):\n    return ({at})" for at in range(200)]
    loops = list(map(loops_module._machine_code, sources))
    assert all(
        loops_module._machine_code(s) is loop for s, loop in zip(sources, loops, strict=True)
    )


def test_data_of_any_layout_are_read_by_one_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    machine_code, loops = loops_module._machine_code, list[Any]()
    machine_code.cache_clear()  # other tests may have taken the same loops for other types
    monkeypatch.setattr(
        loops_module,
        "_machine_code",
        lambda source: loops.append(machine_code(source)) or loops[-1],
    )
    x = np.linspace(-3.0, 3.0, 3 * BLOCK)
    frozen = x.copy()
    frozen.flags.writeable = False
    flow = Flow(StandardNormal(), Chain((Shift(0.3), SinhArcsinh(0.3, 0.1), Shift(0.5))))
    with compiled():
        sums = flow.sums
        assert sums is not None
        for data in (x, x[:BLOCK], frozen, x[::2], x[::-1], x.reshape(3, -1), x.reshape(3, -1).T):
            flow.log_prob(data)
            sums.slope(data.reshape(-1), flow)
        assert {len(loop.signatures) for loop in loops} == {1}


@pytest.mark.parametrize("number", [3.0, -0.7, 1e-305, 1e305, 0.0, np.inf, np.nan, 2])
def test_divisions_by_numbers_of_any_size(number: float) -> None:
    x = np.concatenate([np.linspace(-3.0, 3.0, 1001), [np.nan, np.inf, 0.0, 1e300, 1e-300]])
    with np.errstate(all="ignore"), compiled():
        program = record(lambda x: x / number, DOUBLE)
        assert program is not None
        np.testing.assert_allclose(program.with_buffers()(x, None), x / number, rtol=4e-16)


def test_a_support_with_an_end() -> None:
    flow = Flow(StandardNormal(), Chain((Affine(0.2, -0.3), Exp())))
    x = np.concatenate([np.linspace(-2.0, 5.0, 3000), [np.nan, 0.0, np.inf]])
    expected = flow.log_prob(x)
    assert np.isneginf(expected[0])
    with compiled():
        same(flow.log_prob(x), expected)


def test_compiling_ends_with_the_block() -> None:
    assert not compiling.get()
    with compiled():
        with compiled():
            assert compiling.get()
        assert compiling.get()
    with pytest.raises(ZeroDivisionError), compiled():
        _ = 1 / 0
    assert not compiling.get()


def test_without_numba_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(ImportError, match=r"pip install 'flowtutorial\[compiled\]'"), compiled():
        pass
    assert not compiling.get()


def test_threads_do_not_share_buffers() -> None:
    x = [FEW_KNOTS.sample(200_000, seed) for seed in range(4)]
    expected = [FEW_KNOTS.log_prob(part) for part in x]
    found: list[Any] = [None] * 4

    def work(at: int) -> None:
        with compiled():
            found[at] = FEW_KNOTS.log_prob(x[at])

    threads = [threading.Thread(target=work, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for a, b in zip(found, expected, strict=True):
        same(a, b)


def test_a_flow_travels_without_what_was_compiled() -> None:
    x = BENT.sample(3000, 1)
    with compiled():
        expected = BENT.log_prob(x)
        made = pickle.loads(pickle.dumps(BENT))
        assert "_recorded" not in vars(made)
        same(made.log_prob(x), expected)
