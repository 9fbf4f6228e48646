"""Exercises of chapter 11, autoregressive flows: triangular maps, their factors, and masks."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import sympy as sp

from ..autoregressive import Autoregressive
from ..blocks import Array
from ..conditioner import MLP
from ..distributions import StandardNormal
from ..elementwise import Affine
from ..flow import Flow
from ..linear import TriangularAffine
from ..parameters import Parametrised
from ..symbolic import SymArray, symbols
from .answers import Reading
from .exercise import Exercise, Formula, Mistake
from .variables import Data, Range


class _Given(Parametrised):
    """The conditioner of a layer with `x_1 = 2 z_1` and `x_2 = x_1 + exp(x_1) z_2`."""

    inputs: ClassVar[int] = 2
    outputs: ClassVar[int] = 4
    and_pullback: ClassVar[None] = None  # nobody trains it

    def sees(self) -> Array:
        """Return which coordinates each output sees."""
        return np.array([[0, 0], [0, 0], [1, 0], [1, 0]], dtype=bool)

    def __call__(self, x: Array) -> Array:
        """Return shift and log-scale of each coordinate."""
        none = np.zeros_like(x[..., 0])
        return np.stack([none, none + np.log(2.0), x[..., 0], x[..., 0]], axis=-1)


def _log_det(z_1: Array, z_2: Array) -> Array:
    layer = Autoregressive(_Given(), Affine(0.0, 0.0))  # type: ignore[arg-type]
    return layer.forward_and_log_det(SymArray([z_1, z_2]))[1]


def _normal(first: Array, second: Array, correlation: Array) -> TriangularAffine:
    """Return the triangular map to a normal density with mean 0, from its standard deviations."""
    rest = second * np.sqrt(1 - correlation**2)
    log_diagonal = SymArray([np.log(first), np.log(rest)])
    return TriangularAffine(SymArray([0, 0]), SymArray([correlation * second]), log_diagonal)


def _conditional_mean(
    x_2: Array, mu_1: Array, mu_2: Array, sigma_1: Array, sigma_2: Array, rho: Array
) -> Array:
    """Return where the density is highest for a given `x_2`; for a normal one it is the mean."""
    (x_1,) = sp.symbols("X_1,", real=True)
    flow = Flow(StandardNormal(2), _normal(sigma_1, sigma_2, rho))
    slope = flow.log_prob(SymArray([SymArray(x_1) - mu_1, x_2 - mu_2])).diff(x_1)
    (top,) = sp.solve(slope.expr, x_1)
    return SymArray(top)


def _cholesky() -> SymArray:
    """Solve `L Lᵀ = A` for the entries of the triangular map."""
    a, b = symbols("a b", positive=True)
    (below,) = sp.symbols("l,", real=True)
    factor = TriangularAffine(
        SymArray([0, 0]), SymArray([below]), SymArray([np.log(a), np.log(b)])
    ).matrix()
    product = (factor @ np.swapaxes(factor, 0, 1)).cells
    equations = [product[0, 0] - 4, product[1, 0] - 2, product[1, 1] - 10]
    (found,) = sp.solve(equations, [a.expr, below, b.expr], dict=True)
    return SymArray([[sp.sympify(cell).subs(found) for cell in row] for row in factor.cells])


def _cholesky_log_det() -> sp.Expr:
    return sp.log(sp.Mul(*np.diagonal(_cholesky().cells)))


def _other_order(sigma_1: Array, sigma_2: Array, rho: Array) -> Array:
    """Return the map with the coordinates exchanged before and after."""
    return _normal(sigma_2, sigma_1, rho).matrix()[::-1, ::-1]


def _output_mask() -> SymArray:
    masks = MLP.autoregressive(4, 1, rng=0, hidden=(5,)).masks
    assert masks is not None
    return SymArray(masks[1].astype(int))


def _as_numbers(answer: Any) -> Any:
    """Return an answer with 1 for true and 0 for false."""
    if isinstance(answer, np.ndarray) and answer.dtype == bool:
        return answer.astype(int)
    if isinstance(answer, list | tuple):
        return [_as_numbers(part) for part in answer]
    return int(answer) if isinstance(answer, bool | np.bool) else answer


class _Mask(Formula):
    """A formula whose entries may be true and false."""

    def _read(self, answer: Any) -> Reading:
        return super()._read(_as_numbers(answer))


_SCALES: dict[str, Range | Data] = {"sigma_1": "positive", "sigma_2": "positive", "rho": (-1, 1)}

EXERCISES: tuple[Exercise, ...] = (
    Formula(
        name="autoregressive-log-det",
        symbols={"z_1": "real", "z_2": "real"},
        reference=_log_det,
        solution=lambda z_1, z_2: np.log(2) + 2 * z_1,
        mistakes=(
            Mistake(
                lambda z_1, z_2: np.log(2) + z_1,
                "The scale of the second coordinate reads the first one. As z, or as x?",
            ),
            Mistake(
                lambda z_1, z_2: -(np.log(2) + 2 * z_1),
                "That is the way back, from x to z.",
            ),
            Mistake(lambda z_1, z_2: 2 * z_1, "And the slope of the first coordinate?"),
        ),
        hint="Write down the two slopes on the diagonal, and take the logarithm of each.",
    ),
    Formula(
        name="conditional-mean",
        symbols={"x_2": "real", "mu_1": "real", "mu_2": "real", **_SCALES},
        reference=_conditional_mean,
        solution=lambda x_2, mu_1, mu_2, sigma_1, sigma_2, rho: (
            mu_1 + rho * sigma_1 / sigma_2 * (x_2 - mu_2)
        ),
        mistakes=(
            Mistake(
                lambda x_2, mu_1, mu_2, sigma_1, sigma_2, rho: (
                    mu_1 + rho * sigma_2 / sigma_1 * (x_2 - mu_2)
                ),
                "Look at the units: the slope has to turn those of the second into the first's.",
            ),
            Mistake(
                lambda x_2, mu_1, mu_2, sigma_1, sigma_2, rho: (
                    mu_1 + sigma_1 / (rho * sigma_2) * (x_2 - mu_2)
                ),
                "That is the line of the other regression, solved for the first coordinate.",
            ),
            Mistake(
                lambda x_2, mu_1, mu_2, sigma_1, sigma_2, rho: mu_1 + rho * sigma_1 / sigma_2 * x_2,
                "Where does the line pass when the second coordinate is at its mean?",
            ),
        ),
        hint="Exchange the two indices in the conditional mean of the chapter.",
    ),
    Formula(
        name="cholesky-numbers",
        reference=_cholesky,
        solution=[[2, 0], [1, 3]],
        mistakes=(
            Mistake([[2, 1], [0, 3]], "Below the diagonal, or above it?"),
            Mistake(
                [[2, 0], [1, sp.sqrt(10)]],
                "The variance of the second coordinate comes from two parts.",
            ),
            Mistake([[-2, 0], [-1, 3]], "The product is right. And the sign of the diagonal?"),
        ),
        hint="Multiply the factor with its transpose and compare, beginning at the upper left.",
    ),
    Formula(
        name="cholesky-log-det",
        reference=_cholesky_log_det,
        solution=sp.log(6),
        mistakes=(
            Mistake(sp.log(36), "That is for the covariance matrix. What is its factor's?"),
            Mistake(-sp.log(6), "That is the way back, from x to z."),
            Mistake(6, "And its logarithm?"),
        ),
        hint="The determinant of a triangular matrix is the product of its diagonal.",
    ),
    Formula(
        name="other-order",
        symbols=_SCALES,
        reference=_other_order,
        solution=lambda sigma_1, sigma_2, rho: [
            [sigma_1 * np.sqrt(1 - rho**2), rho * sigma_1],
            [0, sigma_2],
        ],
        mistakes=(
            Mistake(
                lambda sigma_1, sigma_2, rho: [
                    [sigma_1, 0],
                    [rho * sigma_2, sigma_2 * np.sqrt(1 - rho**2)],
                ],
                "There the first coordinate comes first.",
            ),
            Mistake(
                lambda sigma_1, sigma_2, rho: [
                    [sigma_1, rho * sigma_2],
                    [0, sigma_2 * np.sqrt(1 - rho**2)],
                ],
                "The transpose of the factor has another product. Which variance has the second?",
            ),
        ),
        hint="The second row has one entry that is not zero: the second coordinate comes first.",
    ),
    _Mask(
        name="mask-degrees",
        reference=_output_mask,
        solution=[[0, 0, 0, 0, 0], [1, 0, 0, 1, 0], [1, 1, 0, 1, 1], [1, 1, 1, 1, 1]],
        mistakes=(
            Mistake(
                [[1, 0, 0, 1, 0], [1, 1, 0, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1]],
                "A unit whose degree is that of the output sees the coordinate itself.",
            ),
            Mistake(
                [[1, 1, 1, 1, 1], [0, 1, 1, 0, 1], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]],
                "Later outputs may see more, not less.",
            ),
        ),
        hint="The output for a coordinate sees the units of a smaller degree, and no others.",
    ),
)
