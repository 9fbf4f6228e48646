"""Climbing over kinks, on functions whose summit is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flowtutorial.kinks import climb_over_kinks


def ridge(params: Any) -> tuple[float, Any]:
    """Return `-|u| - (v - 1)²` with a kink along `u = x - y²`, highest at (1, 1)."""
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
    found = climb_over_kinks(
        function, np.array([-1.2, 1.5]), np.eye(2), 100, tolerance=1e-10, iterations=500
    )
    assert found.converged, found.message
    np.testing.assert_allclose(found.params, [1.0, 1.0], atol=1e-4)
    assert ("kink" in found.message) == (function is ridge)


def test_a_climb_that_ends_early_says_so() -> None:
    found = climb_over_kinks(
        smooth, np.array([-1.2, 1.0]), np.eye(2), 100, tolerance=1e-10, iterations=5
    )
    assert not found.converged
    assert found.message == "5 iterations were not enough"


def test_the_foot_of_a_wall_is_no_summit() -> None:
    """The gradient promises a climb that the function does not keep."""

    def wall(params: Any) -> tuple[float, Any]:
        return (0.0 if params[0] <= 0.0 else -1.0), np.array([1.0])

    found = climb_over_kinks(wall, np.zeros(1), np.eye(1), 100, tolerance=1e-10, iterations=50)
    assert not found.converged
    assert found.message == "no step climbs any further"
