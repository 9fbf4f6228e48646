"""Small matrix products take one thread, and only while they are asked for."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from flowtutorial import Affine, Flow, StandardNormal, fit, gradient_ascent, likelihood, realnvp
from flowtutorial.threads import _controller, one_thread


def blas_threads() -> list[int]:
    """Return how many threads NumPy's library of linear algebra takes."""
    return [each["num_threads"] for each in _controller().info() if each["user_api"] == "blas"]


def test_one_thread_within_and_as_many_as_before_behind() -> None:
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        with one_thread():
            assert set(blas_threads()) == {1}
        with pytest.raises(ZeroDivisionError), one_thread():
            raise ZeroDivisionError
        assert blas_threads() == before


@pytest.mark.parametrize("how", ["ascent", "newton", "adam", "densities"])
def test_fits_and_densities_take_one_thread(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def noting(function: Any) -> Any:
        def noted(*args: Any) -> Any:
            seen.extend(blas_threads())
            return function(*args)

        return noted

    x = np.random.default_rng(0).normal(size=(2000, 2))
    with threadpool_limits(2, user_api="blas"):
        before = set(blas_threads())
        if how == "densities":
            flow = realnvp(2, layers=1, rng=0)
            monkeypatch.setattr(Flow, "_log_prob", noting(Flow._log_prob))
            flow.log_prob(x)
        elif how == "adam":
            monkeypatch.setattr(
                "flowtutorial.training.mean_and_slope", noting(likelihood.mean_and_slope)
            )
            fit(realnvp(2, layers=1, rng=0), x, rng=0, epochs=1)
        else:
            monkeypatch.setattr(likelihood, "slope_of", noting(likelihood.slope_of))
            monkeypatch.setattr(likelihood, "_moments", noting(likelihood._moments))
            flow = Flow(StandardNormal(), Affine(0.0, 0.0))
            _ = gradient_ascent(flow, x[:, 0], 0.1, 2) if how == "ascent" else fit(flow, x[:, 0])
        assert set(seen) == {1}
        assert set(blas_threads()) == before


def test_whoever_leaves_last_brings_the_threads_back() -> None:
    """Two threads that overlap: the first leaves while the second is still within."""
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        first, second = one_thread(), one_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert set(blas_threads()) == {1}
        second.__exit__(None, None, None)
        assert blas_threads() == before


def test_without_threadpoolctl_all_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    _controller.cache_clear()
    try:
        with one_thread():
            assert fit(Flow(StandardNormal(), Affine(0.0, 0.0)), [1.0, 2.0, 4.0]).converged
    finally:
        _controller.cache_clear()
