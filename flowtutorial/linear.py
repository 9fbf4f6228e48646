"""Linear maps of vectors: triangular, LU, permutations and reflections.

A linear flow of a standard normal vector is a normal density with any mean and covariance matrix.
Chapter 8 derives the determinants and fits one in closed form.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from .bijection import Bijection, Pullback, pullback_through_the_other, zero_log_det
from .blocks import Array, as_count, as_generator, as_parameters, as_real, is_traced
from .parameters import gathered, outer


def solve_lower(lower: Array, log_diagonal: Array, y: Array) -> Array:
    """Solve `L z = y` on the last axis, from the top; only what is below the diagonal is read.

    The diagonal of `L` is `exp(log_diagonal)`.
    """
    z = (y[..., 0] * np.exp(-log_diagonal[0]))[..., None]
    for i in range(1, y.shape[-1]):
        rest = y[..., i] - z @ lower[i, :i]
        z = np.concatenate([z, (rest * np.exp(-log_diagonal[i]))[..., None]], axis=-1)
    return z


def solve_upper(upper: Array, log_diagonal: Array, y: Array) -> Array:
    """Solve `U z = y` on the last axis, from the bottom."""
    return solve_lower(upper[::-1, ::-1], log_diagonal[::-1], y[..., ::-1])[..., ::-1]


def below_diagonal(entries: Array, dim: int) -> Array:
    """Return the matrix of shape (dim, dim) with `entries` below the diagonal, row by row."""
    place = np.full((dim, dim), -1)  # the last entry, a zero, everywhere else
    place[np.tril_indices(dim, -1)] = np.arange(dim * (dim - 1) // 2)
    return np.concatenate([entries, np.zeros(1)])[place]


def entries_below(matrix: Array) -> Array:
    """Return what stands below the diagonal of matrices on the last two axes, row by row."""
    rows, columns = np.tril_indices(matrix.shape[-1], -1)
    return matrix[..., rows, columns]


def diagonal_of(matrix: Array) -> Array:
    """Return the diagonal of matrices on the last two axes."""
    each = np.arange(matrix.shape[-1])
    return matrix[..., each, each]


def transposed(matrix: Array) -> Array:
    """Return matrices on the last two axes, transposed."""
    return np.swapaxes(matrix, -1, -2)


@dataclass(frozen=True, eq=False)
class Linear(Bijection):
    """What linear maps `x = shift + A z` have in common: `log|det ∂x/∂z| = log|det A|`.

    A subclass says what `A` is, how to solve with it, and how its fields enter. Derivatives are
    those of any matrix, `z̄ = Aᵀ x̄` and `Ā = Σ x̄ zᵀ`, passed on to the fields.
    """

    event_ndim: ClassVar[int] = 1
    shift: Array = field(metadata={"ndim": 1})

    def __post_init__(self) -> None:
        for name in self.trained_fields():
            object.__setattr__(self, name, as_parameters(getattr(self, name), name))
        dim = self.shift.shape[-1]
        if self.shift.ndim != 1 or dim == 0:
            raise ValueError(f"shift: expected a vector, got an array of shape {self.shift.shape}")
        below = dim * (dim - 1) // 2
        for name, expected in (("lower", below), ("upper", below), ("log_diagonal", dim)):
            shape = np.shape(getattr(self, name, np.empty(expected)))
            if shape != (expected,):
                raise ValueError(
                    f"{name}: expected {expected} entries for a shift of length {dim}, got an "
                    f"array of shape {shape}"
                )

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Length of the vectors."""
        return int(self.shift.shape[-1])

    @abstractmethod
    def matrix(self) -> Array:
        """Return `A`, of shape (D, D)."""

    @abstractmethod
    def log_abs_det(self) -> Array:
        """Return `log|det A|`."""

    @abstractmethod
    def solve(self, y: Array) -> Array:
        """Return `A⁻¹ y` for vectors on the last axis."""

    @abstractmethod
    def solve_transposed(self, y: Array) -> Array:
        """Return `A⁻ᵀ y` for vectors on the last axis."""

    @abstractmethod
    def along_fields(self, matrix_bar: Array) -> list[Array]:
        """Return the derivatives by the fields after `shift`, from `Ā = ∂l/∂A`."""

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return `shift + A z` and `log|det A|`."""
        x = self.shift + z @ transposed(self.matrix())
        return x, zero_log_det(z, 1) + self.log_abs_det()

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return `A⁻¹(x - shift)` and `-log|det A|`."""
        return self.solve(x - self.shift), zero_log_det(x, 1) - self.log_abs_det()

    def forward_and_pullback(self, z: Array) -> tuple[Array, Array, Pullback]:
        """As for every bijection; `∂ log|det A|/∂ log_diagonal = 1`."""
        x, log_det = self.forward_and_log_det(z)
        lead = np.ndim(z) - 1

        def pullback(bar: Array, summed: bool = False) -> tuple[Array, list[Array]]:
            fields = self.along_fields(outer(bar, z, summed))
            ones = gathered(np.ones_like(z), lead, summed)
            fields[-1] = fields[-1] + ones  # the last field is log_diagonal
            return bar @ self.matrix(), [gathered(bar, lead, summed), *fields]

        return x, log_det, pullback

    def inverse_and_pullback(self, x: Array) -> tuple[Array, Array, Pullback]:
        """As for every bijection, through the forward map."""
        z, log_det = self.inverse_and_log_det(x)
        forward = self.forward_and_pullback(z)[2]
        return z, log_det, pullback_through_the_other(z, forward, self.solve_transposed)


@dataclass(frozen=True, eq=False)
class TriangularAffine(Linear):
    """Shift and lower triangular matrix: the Cholesky factor of a covariance matrix.

    ========  ========================  ========================================
    forward   `x = shift + L z`         `log|det ∂x/∂z| = Σ log_diagonal`
    inverse   `z = L⁻¹(x - shift)`      `log|det ∂z/∂x| = -Σ log_diagonal`
    ========  ========================  ========================================

    Of a standard normal `z` it makes `N(shift, L Lᵀ)`. Domain and codomain: all vectors.

    Parameters
    ----------
    shift : array of shape (D,)
        In the units of the data.
    lower : array of shape (D(D-1)/2,)
        What stands below the diagonal of `L`, row by row.
    log_diagonal : array of shape (D,)
        Natural logarithms of the diagonal.

    Raises
    ------
    ValueError
        If the shapes do not belong together.

    Examples
    --------
    >>> g = TriangularAffine([1.0, 0.0], [2.0], [0.0, 0.0])
    >>> g.forward([1.0, 1.0])
    array([2., 3.])
    """

    lower: Array = field(metadata={"ndim": 1})
    log_diagonal: Array = field(metadata={"ndim": 1})

    @classmethod
    def init(cls, dim: int, rng: np.random.Generator | int = 0) -> Self:
        """Return the identity on vectors of length `dim`; nothing is drawn from `rng`."""
        dim = as_count(dim, "dim", 1)
        return cls(np.zeros(dim), np.zeros(dim * (dim - 1) // 2), np.zeros(dim))

    @classmethod
    def from_moments(cls, mean: Array, covariance: Array) -> Self:
        """Return the map that makes `N(mean, covariance)` of a standard normal vector.

        Parameters
        ----------
        mean : array of shape (D,)
        covariance : array of shape (D, D)
            Symmetric and positive definite. A column that is a sum of others is refused, as far as
            a covariance can tell: if it comes from data whose means are more than 10⁷ times as
            large as their spread, rounding may hide the sum. Subtract a constant from such columns
            first.

        Raises
        ------
        ValueError
            If shapes do not fit, or a number is not finite, or the matrix is not symmetric, or
            singular.
        """
        mean, covariance = as_real(mean, "mean"), as_real(covariance, "covariance")
        if mean.ndim != 1 or covariance.shape != (mean.size, mean.size):
            raise ValueError(
                f"covariance: expected the shape (D, D) for a mean of shape (D,), got "
                f"{covariance.shape} and {mean.shape}"
            )
        for name, value in (("mean", mean), ("covariance", covariance)):
            if not np.isfinite(value).all():
                raise ValueError(f"{name}: expected finite numbers, got NaN or infinite ones")
        variance = np.abs(diagonal_of(covariance))
        scale = np.sqrt(variance)
        if (np.abs(covariance - covariance.T) > 1e-10 * scale * scale[:, None]).any():
            raise ValueError("covariance: expected a symmetric matrix")
        try:
            factor = np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError:
            factor = np.zeros_like(covariance)
        # what a column has beyond a sum of those before it; of nothing, rounding may leave a little
        if (diagonal_of(factor) ** 2 <= 1e-14 * mean.size * variance).any():
            values = np.linalg.eigvalsh(covariance)
            raise ValueError(
                f"covariance: the matrix is singular or not positive definite (its eigenvalues go "
                f"from {values[0]:.3g} to {values[-1]:.3g}); leave out columns that are constant "
                "or sums of others"
            )
        return cls(mean, entries_below(factor), np.log(diagonal_of(factor)))

    def matrix(self) -> Array:
        """Return `L`."""
        diagonal = np.eye(self.dim) * np.exp(self.log_diagonal)
        return below_diagonal(self.lower, self.dim) + diagonal

    def log_abs_det(self) -> Array:
        """Return `Σ log_diagonal`."""
        return np.sum(self.log_diagonal)

    def solve(self, y: Array) -> Array:
        """Return `L⁻¹ y`, by forward substitution."""
        return solve_lower(below_diagonal(self.lower, self.dim), self.log_diagonal, y)

    def solve_transposed(self, y: Array) -> Array:
        """Return `L⁻ᵀ y`, by backward substitution."""
        upper = transposed(below_diagonal(self.lower, self.dim))
        return solve_upper(upper, self.log_diagonal, y)

    def along_fields(self, matrix_bar: Array) -> list[Array]:
        """Return the entries of `Ā` below the diagonal, and on it times `exp(log_diagonal)`."""
        return [entries_below(matrix_bar), diagonal_of(matrix_bar) * np.exp(self.log_diagonal)]


@dataclass(frozen=True, eq=False)
class LULinear(Linear):
    """Shift and any invertible matrix of a given arrangement, by its LU factors.

    ========  ===============================  ========================================
    forward   `x = shift + P L U z`            `log|det ∂x/∂z| = Σ log_diagonal`
    inverse   `z = U⁻¹ L⁻¹ Pᵀ(x - shift)`      `log|det ∂z/∂x| = -Σ log_diagonal`
    ========  ===============================  ========================================

    `L` is lower triangular with ones on its diagonal, `U` upper triangular with the diagonal
    `exp(log_diagonal)`, `P` a permutation that is not trained: `(P y)_i = y_order(i)`. Kingma and
    Dhariwal (2018), *Glow*, section 3.2. Domain and codomain: all vectors.

    Parameters
    ----------
    shift : array of shape (D,)
    lower : array of shape (D(D-1)/2,)
        Below the diagonal of `L`, row by row.
    upper : array of shape (D(D-1)/2,)
        Below the diagonal of `Uᵀ`, row by row.
    log_diagonal : array of shape (D,)
    order : tuple of int, optional
        The permutation; by default that which changes nothing.

    Raises
    ------
    ValueError
        If the shapes do not belong together, or `order` is not a permutation of 0, …, D-1.

    Examples
    --------
    >>> LULinear([0.0, 0.0], [1.0], [2.0], [0.0, 0.0]).matrix()
    array([[1., 2.],
           [1., 3.]])
    """

    lower: Array = field(metadata={"ndim": 1})
    upper: Array = field(metadata={"ndim": 1})
    log_diagonal: Array = field(metadata={"ndim": 1})
    order: tuple[int, ...] = field(default=(), metadata={"static": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        order = self.order if np.size(self.order) else range(self.dim)
        object.__setattr__(self, "order", as_order(order, self.dim))

    @classmethod
    def init(cls, dim: int, rng: np.random.Generator | int = 0) -> Self:
        """Return a permutation of vectors of length `dim`, drawn from `rng`."""
        dim = as_count(dim, "dim", 1)
        below = np.zeros(dim * (dim - 1) // 2)
        order = tuple(as_generator(rng).permutation(dim).tolist())
        return cls(np.zeros(dim), below, below, np.zeros(dim), order)

    def _factors(self) -> tuple[Array, Array]:
        """Return `L` and `Uᵀ` without their diagonals."""
        return below_diagonal(self.lower, self.dim), below_diagonal(self.upper, self.dim)

    def _lower_and_upper(self) -> tuple[Array, Array]:
        lower, upper = self._factors()
        identity = np.eye(self.dim)
        return lower + identity, transposed(upper) + identity * np.exp(self.log_diagonal)

    def matrix(self) -> Array:
        """Return `P L U`."""
        lower, upper = self._lower_and_upper()
        return (lower @ upper)[list(self.order)]

    def log_abs_det(self) -> Array:
        """Return `Σ log_diagonal`."""
        return np.sum(self.log_diagonal)

    def solve(self, y: Array) -> Array:
        """Return `U⁻¹ L⁻¹ Pᵀ y`."""
        lower, upper = self._factors()
        y = solve_lower(lower, np.zeros(self.dim), y[..., np.argsort(self.order)])
        return solve_upper(transposed(upper), self.log_diagonal, y)

    def solve_transposed(self, y: Array) -> Array:
        """Return `P L⁻ᵀ U⁻ᵀ y`."""
        lower, upper = self._factors()
        y = solve_lower(upper, self.log_diagonal, y)
        return solve_upper(transposed(lower), np.zeros(self.dim), y)[..., list(self.order)]

    def along_fields(self, matrix_bar: Array) -> list[Array]:
        """Return `L̄ = Pᵀ Ā Uᵀ` and `Ū = Lᵀ Pᵀ Ā`, each where its matrix has entries."""
        lower, upper = self._lower_and_upper()
        bar = matrix_bar[..., np.argsort(self.order), :]
        lower_bar, upper_bar = bar @ transposed(upper), transposed(lower) @ bar
        return [
            entries_below(lower_bar),
            entries_below(transposed(upper_bar)),
            diagonal_of(upper_bar) * np.exp(self.log_diagonal),
        ]


@dataclass(frozen=True, eq=False)
class Permutation(Bijection):
    """Change the order of the coordinates: `x_i = z_order(i)`, with `log|det ∂x/∂z| = 0`.

    Parameters
    ----------
    order : tuple of int
        Not trained.

    Raises
    ------
    ValueError
        If it is not a permutation of 0, …, D-1.

    Examples
    --------
    >>> Permutation((2, 0, 1)).forward([10.0, 20.0, 30.0])
    array([30., 10., 20.])
    """

    event_ndim: ClassVar[int] = 1
    order: tuple[int, ...] = field(metadata={"static": True})

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", as_order(self.order, None))

    @classmethod
    def init(cls, dim: int, rng: np.random.Generator | int = 0) -> Self:
        """Return a permutation of `dim` coordinates, drawn from `rng`."""
        return cls(tuple(as_generator(rng).permutation(as_count(dim, "dim", 1)).tolist()))

    @classmethod
    def reverse(cls, dim: int) -> Self:
        """Return the permutation that turns the order around."""
        return cls(tuple(range(as_count(dim, "dim", 1)))[::-1])

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Length of the vectors."""
        return len(self.order)

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return `z` in the new order, and 0."""
        return z[..., list(self.order)], zero_log_det(z, 1)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return `x` in the old order, and 0."""
        return x[..., np.argsort(self.order)], zero_log_det(x, 1)

    def forward_and_pullback(self, z: Array) -> tuple[Array, Array, Pullback]:
        """As for every bijection."""
        return (
            *self.forward_and_log_det(z),
            lambda bar, summed=False: (bar[..., np.argsort(self.order)], []),
        )

    def inverse_and_pullback(self, x: Array) -> tuple[Array, Array, Pullback]:
        """As for every bijection."""
        return (
            *self.inverse_and_log_det(x),
            lambda bar, summed=False: (bar[..., list(self.order)], []),
        )


@dataclass(frozen=True, eq=False)
class Householder(Bijection):
    """Reflect in the plane perpendicular to a vector: `x = z - 2 v vᵀz/‖v‖²`.

    It is its own inverse, and `log|det ∂x/∂z| = 0`. Products of reflections are all orthogonal
    matrices. Tomczak and Welling (2016), *Improving variational auto-encoders using Householder
    flow*, section 3.

    Parameters
    ----------
    vector : array of shape (D,)
        `v`; its length does not matter, but it must not be 0.

    Raises
    ------
    ValueError
        If the vector is 0.

    Examples
    --------
    >>> Householder([1.0, -1.0]).forward([3.0, 5.0])
    array([5., 3.])
    """

    event_ndim: ClassVar[int] = 1
    vector: Array = field(metadata={"ndim": 1})

    def __post_init__(self) -> None:
        vector = as_parameters(self.vector, "vector")
        if vector.ndim != 1:
            raise ValueError(f"vector: expected a vector, got an array of shape {vector.shape}")
        if not is_traced(vector) and not np.any(vector):
            raise ValueError("vector: there is no plane perpendicular to 0; give another vector")
        object.__setattr__(self, "vector", vector)

    @classmethod
    def init(cls, dim: int, rng: np.random.Generator | int = 0) -> Self:
        """Return a reflection in a plane of random direction."""
        return cls(as_generator(rng).standard_normal(as_count(dim, "dim", 1)))

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Length of the vectors."""
        return int(self.vector.shape[-1])

    def _along(self, z: Array) -> tuple[Array, Array]:
        """Return `n = v/‖v‖`, and `nᵀz` with a last axis of length 1."""
        v = self.vector
        if not is_traced(v):
            v = v / np.max(np.abs(v))  # of the smallest floats a length has few digits
        n = v / length(v)
        return n, np.sum(z * n, axis=-1)[..., None]

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        """Return `z - 2 v vᵀz/‖v‖²` and 0."""
        n, b = self._along(z)
        return z - 2.0 * b * n, zero_log_det(z, 1)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Return `x - 2 v vᵀx/‖v‖²` and 0."""
        return self.forward_and_log_det(x)

    def forward_and_pullback(self, z: Array) -> tuple[Array, Array, Pullback]:
        """As for every bijection.

        The derivative of `x̄ᵀx` by `v` is `(4 a b n - 2(b x̄ + a z))/‖v‖` with `n = v/‖v‖`,
        `a = nᵀx̄` and `b = nᵀz`.
        """
        n, b = self._along(z)

        def pullback(bar: Array, summed: bool = False) -> tuple[Array, list[Array]]:
            a = self._along(bar)[1]
            along_v = (4.0 * a * b * n - 2.0 * (b * bar + a * z)) / length(self.vector)
            return bar - 2.0 * a * n, [gathered(along_v, np.ndim(z) - 1, summed)]

        return *self.forward_and_log_det(z), pullback

    def inverse_and_pullback(self, x: Array) -> tuple[Array, Array, Pullback]:
        """As for every bijection."""
        return self.forward_and_pullback(x)


def as_order(order: Any, dim: int | None) -> tuple[int, ...]:
    """Return a permutation as a tuple of integers."""
    try:
        indices = tuple(order)
    except TypeError as error:
        raise TypeError(f"order: expected a tuple of integers, got {order!r}") from error
    count = dim or len(indices)
    whole = all(isinstance(i, int | np.integer) and not isinstance(i, bool) for i in indices)
    if not whole or not indices or sorted(indices) != list(range(count)):
        raise ValueError(f"order: expected a permutation of 0, …, {count - 1}, got {order!r}")
    return tuple(map(int, indices))


def length(vectors: Array) -> Array:
    """Return `‖v‖` of the vectors on the last axis; their squares need not fit into a float."""
    if is_traced(vectors):
        return np.sqrt(np.sum(vectors * vectors, axis=-1))
    largest = np.max(np.abs(vectors), axis=-1)
    unit = np.where((largest > 0.0) & (largest < np.inf), largest, 1.0)
    return unit * np.sqrt(np.sum((vectors / unit[..., None]) ** 2, axis=-1))
