"""Exercises of chapter 9, planar and radial flows: log-determinants, a lost term, a way back."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy as sp

from ..planar import Planar, Radial
from ..symbolic import SymArray, symbols
from .exercise import Exercise, Formula, Mistake

_LAYER = Planar(SymArray([2, 1]), SymArray([1, -1]), 0)  # wᵀu = 1
_SHEAR = Planar(SymArray([1, 3]), SymArray([1, 0]), 0)


def _log_det(z_1: SymArray, z_2: SymArray) -> Any:
    return _LAYER.forward_and_log_det(np.stack([z_1, z_2]))[1]


def _determinant_without_identity() -> Any:
    """Return the determinant of what a layer adds, without the point that it adds it to."""
    z: Any = np.stack([symbols("z_1"), symbols("z_2")])
    added: Any = _SHEAR.forward(z) - z
    rows = [[cell.diff(variable) for variable in z.cells] for cell in added.cells]
    return sp.simplify(sp.Matrix(rows).det())


def _with_identity(z_1: SymArray, z_2: SymArray) -> Any:
    return _SHEAR.forward(np.stack([z_1, z_2]))


def _log_det_at_center(alpha: Any, beta: Any) -> Any:
    center: Any = SymArray([0, 0, 0])
    layer = Radial(center, np.log(alpha), np.log(1 + beta / alpha))
    return layer.forward_and_log_det(center)[1]


def _way_back(rho: SymArray) -> Any:
    """Return the coordinate that a layer on the line sends to `rho`."""
    log_stretch: Any = np.log(SymArray(3))
    return Radial(SymArray([0]), 0.0, log_stretch).inverse(np.stack([rho]))[0]


def _slope(z_1: Any, z_2: Any) -> Any:
    return 1 - np.tanh(z_1 - z_2) ** 2


EXERCISES: tuple[Exercise, ...] = (
    Formula(
        name="planar-log-det",
        symbols={"z_1": "real", "z_2": "real"},
        reference=_log_det,
        solution=lambda z_1, z_2: np.log(1 + _slope(z_1, z_2)),
        mistakes=(
            Mistake(
                lambda z_1, z_2: np.log(_slope(z_1, z_2)),
                "Far away the layer only shifts, yours goes to minus infinity. What is missing?",
            ),
            Mistake(
                lambda z_1, z_2: np.log(1 + 3 * _slope(z_1, z_2)),
                "One entry of w is negative. Did its sign enter the scalar product?",
            ),
            Mistake(
                lambda z_1, z_2: np.log(1 + np.tanh(z_1 - z_2)),
                "The determinant holds the slope of tanh, not its value.",
            ),
            Mistake(
                lambda z_1, z_2: -np.log(1 + _slope(z_1, z_2)),
                "This belongs to the other direction.",
            ),
        ),
        hint="Which number is the scalar product of w and u? And what is the slope of tanh at a?",
    ),
    Formula(
        name="planar-lost-determinant",
        reference=_determinant_without_identity,
        solution=0,
        mistakes=(
            Mistake(
                1, "Write all four partial derivatives down. What do the two rows have in common?"
            ),
            Mistake(
                2, "This is the determinant of the right layer, at 0. Take the map as printed."
            ),
        ),
        hint="Into how many dimensions does the printed map send the plane?",
    ),
    Formula(
        name="planar-lost-term",
        symbols={"z_1": "real", "z_2": "real"},
        reference=_with_identity,
        solution=lambda z_1, z_2: [z_1 + np.tanh(z_1), z_2 + 3 * np.tanh(z_1)],
        mistakes=(
            Mistake(
                lambda z_1, z_2: [np.tanh(z_1), 3 * np.tanh(z_1) + 0 * z_2],
                "This is the printed map. All its values lie on one line.",
            ),
            Mistake(
                lambda z_1, z_2: [z_1 + np.tanh(z_1), z_2 + 3 * np.tanh(z_2)],
                "The push depends on one number only. On which?",
            ),
        ),
        hint="For which map is the printed log-determinant right?",
    ),
    Formula(
        name="radial-center",
        symbols={"alpha": "positive", "beta": "positive"},
        reference=_log_det_at_center,
        solution=lambda alpha, beta: 3 * np.log(1 + beta / alpha),
        mistakes=(
            Mistake(
                lambda alpha, beta: 2 * np.log(1 + beta / alpha),
                "These are the directions around the center. One more leads away from it.",
            ),
            Mistake(
                lambda alpha, beta: np.log(1 + beta / alpha),
                "This is the stretch along one direction. How many are there?",
            ),
            Mistake(
                lambda alpha, beta: 3 * np.log(1 + beta) + 0 * alpha,
                "What is h at the center, where r = 0?",
            ),
        ),
        hint="At the center all directions are stretched alike. How much, and how many are there?",
    ),
    Formula(
        name="radial-way-back",
        symbols={"rho": "positive"},
        reference=_way_back,
        solution=lambda rho: (rho - 3 + np.sqrt((rho - 3) ** 2 + 4 * rho)) / 2,
        mistakes=(
            Mistake(
                lambda rho: (rho - 3 - np.sqrt((rho - 3) ** 2 + 4 * rho)) / 2,
                "A distance is positive. Is yours?",
            ),
            Mistake(
                lambda rho: (rho + 3 + np.sqrt((rho + 3) ** 2 - 4 * rho)) / 2,
                "Check the signs of the quadratic equation: what comes back for a tiny distance?",
            ),
        ),
        hint="Multiply by 1 + r; what is left is quadratic in r, with one positive root.",
    ),
)
