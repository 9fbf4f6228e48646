"""Climbing over kinks, on functions whose summit is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flowtutorial.kinks import Place, Summit, climb_over_kinks


class Objective:
    """A function of value and gradient, in the metric of the identity."""

    def __init__(self, function: Any) -> None:
        self.slope = function

    def slopes(self, points: Any) -> Any:
        return np.array([self.slope(point)[1] for point in points])

    def place(self, params: Any) -> Place:
        return Place(params, *self.slope(params), np.eye(params.size))


def climb(function: Any, start: Any, n: int = 100, iterations: int = 500) -> Summit:
    objective = Objective(function)
    place = objective.place(np.array(start))
    return climb_over_kinks(objective, place, n, tolerance=1e-10, iterations=iterations)


def ridge(params: Any) -> tuple[float, Any]:
    """Return `-|u| - (y - 1)²` with a kink along `u = x - y²`, highest at (1, 1)."""
    x, y = params
    u = x - y * y
    value = -abs(u) - (y - 1.0) ** 2
    return value, np.array([-np.sign(u), 2.0 * y * np.sign(u) - 2.0 * (y - 1.0)])


def smooth(params: Any) -> tuple[float, Any]:
    """Return minus the function of Rosenbrock, highest at (1, 1)."""
    x, y = params
    value = -((1.0 - x) ** 2) - 100.0 * (y - x * x) ** 2
    return value, np.array([2.0 * (1.0 - x) + 400.0 * x * (y - x * x), -200.0 * (y - x * x)])


@pytest.mark.parametrize("function", [ridge, smooth])
def test_the_summit_is_found(function: Any) -> None:
    found = climb(function, [-1.2, 1.5])
    assert found.converged, found.message
    np.testing.assert_allclose(found.params, [1.0, 1.0], atol=1e-4)
    assert found.kink == ("kink" in found.message) == (function is ridge)


@pytest.mark.parametrize("k", [3, 12])
def test_a_rounded_summit_is_no_kink_though_steps_end_in_noise(k: int) -> None:
    """A value of many digits hides the last gains, so that no step seems to climb."""

    def paraboloid(params: Any) -> tuple[float, Any]:
        scale = np.arange(1.0, k + 1.0)
        noise = 1e-9 * np.sin(1e9 * params.sum())
        return 1e6 - 0.5 * scale @ params**2 + noise, -scale * params

    found = climb(paraboloid, np.ones(k))
    assert found.converged, found.message
    assert not found.kink
    np.testing.assert_allclose(found.params, 0.0, atol=1e-5)


@pytest.mark.parametrize("k", [3, 12])
def test_a_pointed_summit_is_a_kink(k: int) -> None:
    def pyramid(params: Any) -> tuple[float, Any]:
        slopes = np.arange(1.0, k + 1.0)
        return -slopes @ np.abs(params), -slopes * np.sign(params)

    found = climb(pyramid, np.linspace(0.5, 1.0, k))
    assert found.converged, found.message
    assert found.kink
    np.testing.assert_allclose(found.params, 0.0, atol=1e-3)


def test_a_saddle_is_left() -> None:
    """The gradient at the start is 0, and so is that of the step along the way down."""

    def saddle(params: Any) -> tuple[float, Any]:
        x, y = params
        return 0.5 * x * x - 0.25 * x**4 - 0.5 * y * y, np.array([x - x**3, -y])

    found = climb(saddle, [0.0, 0.0])
    assert found.converged
    np.testing.assert_allclose(np.abs(found.params), [1.0, 0.0], atol=1e-8)


def test_a_climb_that_ends_early_says_so() -> None:
    found = climb(smooth, [-1.2, 1.0], iterations=5)
    assert (found.converged, found.iterations, found.message) == (False, 5, "")


def test_the_foot_of_a_wall_is_no_summit() -> None:
    """The gradient promises a climb that the function does not keep."""

    def wall(params: Any) -> tuple[float, Any]:
        return (0.0 if params[0] <= 0.0 else -1.0), np.array([1.0])

    found = climb(wall, [0.0])
    assert not found.converged
    assert found.message == "no step climbs any further"
