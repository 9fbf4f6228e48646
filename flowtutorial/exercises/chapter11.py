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


def _log_det(z1: Array, z2: Array) -> Array:
    layer = Autoregressive(_Given(), Affine(0.0, 0.0))  # type: ignore[arg-type]
    return layer.forward_and_log_det(SymArray([z1, z2]))[1]


def _normal(first: Array, second: Array, correlation: Array) -> TriangularAffine:
    """Return the triangular map to a normal density with mean 0, from its standard deviations."""
    rest = second * np.sqrt(1 - correlation**2)
    log_diagonal = SymArray([np.log(first), np.log(rest)])
    return TriangularAffine(SymArray([0, 0]), SymArray([correlation * second]), log_diagonal)


def _conditional_mean(
    x2: Array, mu1: Array, mu2: Array, sigma1: Array, sigma2: Array, rho: Array
) -> Array:
    """Return where the density is highest for a given `x2`; for a normal one it is the mean."""
    (x1,) = sp.symbols("X_1,", real=True)
    flow = Flow(StandardNormal(2), _normal(sigma1, sigma2, rho))
    slope = flow.log_prob(SymArray([SymArray(x1) - mu1, x2 - mu2])).diff(x1)
    (top,) = sp.solve(slope.expr, x1)
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


def _other_order(sigma1: Array, sigma2: Array, rho: Array) -> Array:
    """Return the map with the coordinates exchanged before and after."""
    return _normal(sigma2, sigma1, rho).matrix()[::-1, ::-1]


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


_SCALES: dict[str, Range | Data] = {"sigma1": "positive", "sigma2": "positive", "rho": (-1, 1)}

EXERCISES: tuple[Exercise, ...] = (
    Formula(
        name="autoregressive-log-det",
        symbols={"z1": "real", "z2": "real"},
        reference=_log_det,
        solution=lambda z1, z2: np.log(2) + 2 * z1,
        mistakes=(
            Mistake(
                lambda z1, z2: np.log(2) + z1,
                "The scale of the second coordinate reads the first one. As z, or as x?",
            ),
            Mistake(
                lambda z1, z2: -(np.log(2) + 2 * z1),
                "That is the way back, from x to z.",
            ),
            Mistake(lambda z1, z2: 2 * z1, "And the slope of the first coordinate?"),
        ),
        hint="Write down the two slopes on the diagonal, and take the logarithm of each.",
    ),
    Formula(
        name="conditional-mean",
        symbols={"x2": "real", "mu1": "real", "mu2": "real", **_SCALES},
        reference=_conditional_mean,
        solution=lambda x2, mu1, mu2, sigma1, sigma2, rho: mu1 + rho * sigma1 / sigma2 * (x2 - mu2),
        mistakes=(
            Mistake(
                lambda x2, mu1, mu2, sigma1, sigma2, rho: mu1 + rho * sigma2 / sigma1 * (x2 - mu2),
                "Look at the units: the slope has to turn those of the second into the first's.",
            ),
            Mistake(
                lambda x2, mu1, mu2, sigma1, sigma2, rho: (
                    mu1 + sigma1 / (rho * sigma2) * (x2 - mu2)
                ),
                "That is the line of the other regression, solved for the first coordinate.",
            ),
            Mistake(
                lambda x2, mu1, mu2, sigma1, sigma2, rho: mu1 + rho * sigma1 / sigma2 * x2,
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
        solution=lambda sigma1, sigma2, rho: [
            [sigma1 * np.sqrt(1 - rho**2), rho * sigma1],
            [0, sigma2],
        ],
        mistakes=(
            Mistake(
                lambda sigma1, sigma2, rho: [
                    [sigma1, 0],
                    [rho * sigma2, sigma2 * np.sqrt(1 - rho**2)],
                ],
                "There the first coordinate comes first.",
            ),
            Mistake(
                lambda sigma1, sigma2, rho: [
                    [sigma1, rho * sigma2],
                    [0, sigma2 * np.sqrt(1 - rho**2)],
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
