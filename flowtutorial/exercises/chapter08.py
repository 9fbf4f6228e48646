"""Exercises of chapter 8, Jacobians and volume: determinants, triangular maps, axes."""

from __future__ import annotations

import numpy as np
import sympy as sp

from ..blocks import Array
from ..distributions import StandardNormal
from ..elementwise import Affine, Elementwise
from ..symbolic import SymArray
from .exercise import Exercise, Formula, Mistake


def _log_det(x: list[Array], by: tuple[Array, ...]) -> SymArray:
    """Return `log|det ∂x/∂by|` of traced values."""
    jacobian = SymArray(x).diff(SymArray(by)).cells
    determinant = sp.trigsimp(sp.Matrix(jacobian.tolist()).det())
    return SymArray(sp.log(sp.Abs(determinant)))


def _spiral_log_det(z_1: Array, z_2: Array) -> SymArray:
    """Return the log-determinant of `exp(z₁) (cos z₂, sin z₂)`."""
    return _log_det([np.exp(z_1) * np.cos(z_2), np.exp(z_1) * np.sin(z_2)], (z_1, z_2))


def _spherical_log_det(r: Array, theta: Array, t: Array) -> SymArray:
    """Return the log-determinant of spherical coordinates."""
    in_plane = r * np.sin(theta)
    return _log_det([in_plane * np.cos(t), in_plane * np.sin(t), r * np.cos(theta)], (r, theta, t))


def _radius_density(r: Array) -> Array:
    """Return the density of the length of a standard normal vector of three numbers."""
    at = SymArray([r, 0 * r, 0 * r])  # anywhere on the sphere of radius r
    sphere = sp.integrate(sp.sin(sp.Symbol("t")), (sp.Symbol("t"), 0, sp.pi)) * 2 * sp.pi
    return np.exp(StandardNormal(3).log_prob(at)) * r**2 * SymArray(sphere)


def _undone(x_1: Array, x_2: Array) -> list[SymArray]:
    """Return what SymPy finds for `x₁ = 1 + 2 z₁`, `x₂ = z₂ exp(z₁) - z₁`."""
    z_1, z_2 = sp.symbols("z_1 z_2", real=True)
    (found,) = sp.solve([1 + 2 * z_1 - x_1.expr, z_2 * sp.exp(z_1) - z_1 - x_2.expr], [z_1, z_2])
    return [SymArray(value) for value in found]


def _undone_log_det(x_1: Array, x_2: Array) -> SymArray:
    """Return the log-determinant of that inverse."""
    return _log_det(_undone(x_1, x_2), (x_1, x_2))


def _scaled_log_prob(q: Array, D: Array, sigma: Array) -> SymArray:
    """Return `log p` of the shipped normal, for any number of coordinates.

    The density is a product: each coordinate has the log-density of one with `z² = q/D`.
    """
    z = sp.Symbol("z", real=True)
    one = StandardNormal(1).log_prob(SymArray([z])).expr.subs(z**2, q.expr / D.expr)
    log_det = Elementwise(Affine(0.0, np.log(sigma))).forward_and_log_det(SymArray([z]))[1]
    return SymArray(D.expr * (one - log_det.expr))


def _mass_of_one_log_det(D: Array, sigma: Array) -> Array:
    """Return the integral of a density with a factor `sigma^(D-1)` too many."""
    return np.exp((D - 1) * np.log(sigma))


EXERCISES: tuple[Exercise, ...] = (
    Formula(
        name="triple",
        reference=lambda: (
            Elementwise(Affine(0.0, np.log(3.0)))
            .forward_and_log_det(SymArray(sp.symbols("z_1:4", real=True)))[1]
            .expr
        ),
        solution=3 * sp.log(3),
        mistakes=(
            Mistake(sp.log(3), "That is the stretch of one coordinate. How many are there?"),
            Mistake(27, "That is the factor by which volumes grow. What was asked?"),
            Mistake(-3 * sp.log(3), "Does this map stretch or shrink?"),
        ),
        hint="By which factor does the volume of a small cube grow?",
    ),
    Formula(
        name="exponential-spiral",
        symbols={"z_1": "real", "z_2": "real"},
        reference=_spiral_log_det,
        solution=lambda z_1, z_2: 2 * z_1 + 0 * z_2,
        mistakes=(
            Mistake(
                lambda z_1, z_2: z_1 + 0 * z_2, "Both sides of a small square grow. By how much?"
            ),
            Mistake(
                lambda z_1, z_2: np.exp(2 * z_1) + 0 * z_2,
                "That is the determinant. What was asked?",
            ),
            Mistake(
                lambda z_1, z_2: 2 * z_1 + np.log(np.abs(np.cos(2 * z_2))),
                "Check the sign between the two products of the determinant.",
            ),
        ),
        hint="Write down the four partial derivatives, then the determinant.",
    ),
    Formula(
        name="spherical",
        symbols={"r": "positive", "theta": (0, sp.pi), "t": "real"},
        reference=_spherical_log_det,
        solution=lambda r, theta, t: 2 * np.log(r) + np.log(np.sin(theta)) + 0 * t,
        mistakes=(
            Mistake(
                lambda r, theta, t: 2 * np.log(r) + 0 * theta + 0 * t,
                "Are cells near the poles as large as those at the equator?",
            ),
            Mistake(
                lambda r, theta, t: np.log(r) + np.log(np.sin(theta)) + 0 * t,
                "How many of the three sides of a small cell grow with the distance?",
            ),
            Mistake(
                lambda r, theta, t: r**2 * np.sin(theta) + 0 * t,
                "That is the determinant. What was asked?",
            ),
        ),
        hint="The columns of the Jacobian are at right angles: multiply their lengths.",
    ),
    Formula(
        name="spherical-radius",
        symbols={"r": "positive"},
        reference=_radius_density,
        solution=lambda r: np.sqrt(2 / np.pi) * r**2 * np.exp(-(r**2) / 2),
        mistakes=(
            Mistake(
                lambda r: (2 * np.pi) ** -1.5 * r**2 * np.exp(-(r**2) / 2),
                "This is the density at one direction. What do all directions together give?",
            ),
            Mistake(
                lambda r: r * np.exp(-(r**2) / 2), "That is the distance in the plane. Here D = 3."
            ),
            Mistake(
                lambda r: np.sqrt(2 / np.pi) * np.exp(-(r**2) / 2),
                "Where is the factor by which cells grow with the distance?",
            ),
        ),
        hint="Multiply the density by the determinant and integrate over both angles.",
    ),
    Formula(
        name="triangular-inverse",
        symbols={"x_1": "real", "x_2": "real"},
        reference=_undone,
        solution=lambda x_1, x_2: [
            (x_1 - 1) / 2,
            (x_2 + (x_1 - 1) / 2) * np.exp(-(x_1 - 1) / 2),
        ],
        mistakes=(
            Mistake(
                lambda x_1, x_2: [(x_1 - 1) / 2, (x_2 + x_1) * np.exp(-x_1)],
                "The second equation contains z_1. Is that the same as x_1?",
            ),
            Mistake(
                lambda x_1, x_2: [
                    (x_1 - 1) / 2,
                    x_2 * np.exp(-(x_1 - 1) / 2) + (x_1 - 1) / 2,
                ],
                "In which order are the scale and the shift of the second coordinate undone?",
            ),
        ),
        hint="Solve the first equation; put what it gives into the second.",
    ),
    Formula(
        name="triangular-inverse-log-det",
        symbols={"x_1": "real", "x_2": "real"},
        reference=_undone_log_det,
        solution=lambda x_1, x_2: -np.log(2) - (x_1 - 1) / 2 + 0 * x_2,
        mistakes=(
            Mistake(
                lambda x_1, x_2: np.log(2) + (x_1 - 1) / 2 + 0 * x_2,
                "That is the way from z to x. Which way was asked?",
            ),
            Mistake(
                lambda x_1, x_2: -np.log(2) - x_1 + 0 * x_2,
                "The scale of the second coordinate is set by z_1, not by x_1.",
            ),
            Mistake(
                lambda x_1, x_2: -(x_1 - 1) / 2 + 0 * x_2,
                "The first coordinate is scaled, too.",
            ),
        ),
        hint="Only the diagonal of the Jacobian counts.",
    ),
    Formula(
        name="forgotten-axes",
        symbols={"q": "positive", "D": "positive", "sigma": "positive"},
        reference=_scaled_log_prob,
        solution=lambda q, D, sigma: -q / 2 - D / 2 * np.log(2 * np.pi) - D * np.log(sigma),
        mistakes=(
            Mistake(
                lambda q, D, sigma: -q / 2 - D / 2 * np.log(2 * np.pi) - np.log(sigma),
                "This is what the program computes. By which factor do volumes grow?",
            ),
            Mistake(
                lambda q, D, sigma: -q / 2 - D / 2 * np.log(2 * np.pi) + D * np.log(sigma),
                "The log-determinant of the map from base to data is subtracted.",
            ),
            Mistake(
                lambda q, D, sigma: -q / 2 - np.log(2 * np.pi) / 2 - D * np.log(sigma),
                "The base has D coordinates as well.",
            ),
        ),
        hint="Try D = 2: the density is a product of two.",
    ),
    Formula(
        name="forgotten-axes-mass",
        symbols={"D": "positive", "sigma": "positive"},
        reference=_mass_of_one_log_det,
        solution=lambda D, sigma: sigma ** (D - 1),
        mistakes=(
            Mistake(
                lambda D, sigma: sigma**D, "One of the factors is there. How many are missing?"
            ),
            Mistake(
                lambda D, sigma: sigma ** (1 - D), "For a large scale, is the density too high?"
            ),
        ),
        hint="Compare the wrong density with the right one, whose integral is one.",
    ),
)
