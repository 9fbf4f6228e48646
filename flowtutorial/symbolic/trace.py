"""Read plain NumPy code as mathematics.

NumPy hands `np.exp(a)` to the type of `a` when that type asks for it (NEP 13 and NEP 18). A
`SymArray` asks for it: it is an array of SymPy expressions, so code that is run on it writes down
its own formula. Nothing in the code has to change, and nothing can be computed unnoticed outside:
`bool()`, `float()` and `np.asarray()` of a `SymArray` raise. Chapter 3 shows it at work.
"""

from __future__ import annotations

import operator
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn

import numpy as np
import sympy as sp
from sympy.codegen.cfunctions import expm1, log1p
from sympy.codegen.numpy_nodes import logaddexp

# Constants that code computes in floating point before it meets a symbol, and what they mean.
_NAMED = sorted(
    (
        (float(value), value)
        for value in [
            *(sp.pi * sp.Rational(p, q) for p in (1, 2, 3, 4) for q in (1, 2, 3, 4, 6, 8)),
            *(sp.Rational(p, q) for q in (3, 6, 7, 9, 11, 12) for p in range(1, 2 * q)),
            *(sp.sqrt(n) ** sign for n in range(2, 21) for sign in (1, -1)),
            *(sp.log(n) for n in range(2, 101)),
            *(sp.log(n) / 2 for n in range(2, 21)),
            *(sp.exp(n) for n in (-3, -2, -1, 1, 2, 3)),
            *(sp.sqrt(f * sp.pi) ** sign for f in (1, 2, sp.Rational(1, 2)) for sign in (1, -1)),
            *(sp.log(f * sp.pi) / g for f in (1, 2) for g in (1, 2)),
            1 / sp.pi,
            2 / sp.pi,
            sp.EulerGamma,
        ]
    ),
    key=lambda pair: pair[0],
)
_NAMED_FLOATS = [value for value, _ in _NAMED]


def _named(value: float) -> sp.Expr | None:
    """Return the named constant that `value` stands for: a fraction exactly, others to an ulp."""
    place = bisect_left(_NAMED_FLOATS, abs(value) * (1.0 - 4e-16))
    for number, constant in _NAMED[place : place + 3]:
        slack = 0.0 if constant.is_Rational else 4e-16 * number
        if abs(number - abs(value)) <= slack:
            return constant if value > 0 else -constant
    return None


def exact(number: Any) -> sp.Basic:
    """Return the SymPy number that a float in code stands for.

    A decimal of up to 12 digits is read as written (0.1 is 1/10); a simple fraction, a multiple of
    π, a root or a logarithm of a small integer as that; everything else as the exact value of the
    binary float.
    """
    if isinstance(number, sp.Basic):
        return number
    if isinstance(number, bool | np.bool_):
        return sp.true if number else sp.false
    if isinstance(number, int | np.integer):
        return sp.Integer(int(number))
    if not isinstance(number, float | np.floating):
        raise TypeError(f"a traced formula holds numbers and symbols, not {number!r}")
    value = float(number)
    if not np.isfinite(value):
        return sp.nan if np.isnan(value) else sp.oo if value > 0 else -sp.oo
    digits = repr(value).lstrip("-").split("e")[0].replace(".", "").strip("0")
    if len(digits) <= 12:
        return sp.Rational(repr(value))
    constant = _named(value)
    return sp.Rational(value) if constant is None else constant


def _where(condition: sp.Basic, a: sp.Basic, b: sp.Basic) -> sp.Basic:
    if condition in (sp.true, sp.false):
        return a if condition == sp.true else b
    same = _same.get()
    if same is not None and same(a, b):
        return a
    return sp.Piecewise((a, condition), (b, True))


def _product(a: sp.Basic, b: sp.Basic) -> sp.Expr:
    """Return `a b`, where a condition counts as 1 or 0, as NumPy counts it in a product."""
    a, b = (
        cell if isinstance(cell, sp.Expr) else sp.Piecewise((1, cell), (0, True)) for cell in (a, b)
    )
    return a * b


# What each ufunc means. `log1p`, `expm1` and `logaddexp` stay themselves, because their derivatives
# do not overflow; `SymArray.expr` rewrites them where a formula is to be read or proved.
_MEANING: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": _product,
    "divide": operator.truediv,
    "power": operator.pow,
    "float_power": operator.pow,
    "negative": operator.neg,
    "positive": operator.pos,
    "reciprocal": lambda a: 1 / a,
    "square": lambda a: a**2,
    "sqrt": sp.sqrt,
    "cbrt": lambda a: sp.sign(a) * sp.Abs(a) ** sp.Rational(1, 3),
    "hypot": lambda a, b: sp.sqrt(a**2 + b**2),
    "absolute": sp.Abs,
    "fabs": sp.Abs,
    "sign": sp.sign,
    "copysign": lambda a, b: sp.Abs(a) * sp.sign(b),
    "exp": sp.exp,
    "exp2": lambda a: 2**a,
    "expm1": expm1,
    "log": sp.log,
    "log2": lambda a: sp.log(a) / sp.log(2),
    "log10": lambda a: sp.log(a) / sp.log(10),
    "log1p": log1p,
    "logaddexp": logaddexp,
    "sin": sp.sin,
    "cos": sp.cos,
    "tan": sp.tan,
    "arcsin": sp.asin,
    "arccos": sp.acos,
    "arctan": sp.atan,
    "sinh": sp.sinh,
    "cosh": sp.cosh,
    "tanh": sp.tanh,
    "arcsinh": sp.asinh,
    "arccosh": sp.acosh,
    "arctanh": sp.atanh,
    "maximum": sp.Max,
    "minimum": sp.Min,
    "fmax": sp.Max,
    "fmin": sp.Min,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "less": operator.lt,
    "less_equal": operator.le,
    "equal": sp.Eq,
    "not_equal": sp.Ne,
    "logical_and": sp.And,
    "logical_or": sp.Or,
    "logical_not": sp.Not,
    "bitwise_and": sp.And,
    "bitwise_or": sp.Or,
    "invert": sp.Not,
    # symbols stand for finite real numbers
    "isfinite": lambda a: sp.true,
    "isinf": lambda a: sp.false,
    "isnan": lambda a: sp.false,
    # scipy.special has ufuncs too
    "expit": lambda a: 1 / (1 + sp.exp(-a)),
    "logit": lambda a: sp.log(a / (1 - a)),
    "log_expit": lambda a: -logaddexp(0, -a),
    "erf": sp.erf,
    "erfc": sp.erfc,
    "erfinv": sp.erfinv,
    "ndtr": lambda a: ndtr(a),
    "ndtri": lambda a: ndtri(a),
    "xlogy": lambda a, b: a * sp.log(b),
    "xlog1py": lambda a, b: a * log1p(b),
}


def _unwrap(value: Any) -> np.ndarray:
    """Return `value` as an object array of SymPy expressions."""
    if isinstance(value, SymArray):
        return value.cells
    if isinstance(value, list | tuple):
        return np.stack([_unwrap(part) for part in value]) if value else np.empty(0, dtype=object)
    if isinstance(value, np.ndarray):
        return _each(exact, 1)(value)
    cell = np.empty((), dtype=object)
    cell[()] = exact(value)
    return cell


class SymArray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array of SymPy expressions that NumPy's functions accept in place of numbers.

    Parameters
    ----------
    value : number, SymPy expression, SymArray, or nested sequence of these
        Floats are read as the exact numbers that they stand for (`exact`).

    Attributes
    ----------
    expr : SymPy expression
        The formula, in elementary functions; for an array without axes only.

    Raises
    ------
    TypeError
        When code tries to leave the symbolic domain: a branch on a symbolic condition, `float()`,
        `np.asarray()`, or a NumPy function that has no meaning here.

    Notes
    -----
    NEP 13 (`__array_ufunc__`) and NEP 18 (`__array_function__`).

    Examples
    --------
    >>> z = SymArray(sp.Symbol("z", real=True))
    >>> np.exp(2.0 * z) + 0.5
    SymArray(exp(2*z) + 1/2)
    """

    is_traced = True
    dtype = np.dtype(np.float64)

    def __init__(self, value: Any) -> None:
        self.cells = _unwrap(value)

    # -- what an array has -----------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.cells.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.cells.ndim

    @property
    def size(self) -> int:
        """Number of entries."""
        return self.cells.size

    @property
    def cell(self) -> Any:
        """The SymPy expression as it was traced, with `log1p` and `expm1`."""
        if self.ndim:
            raise TypeError(f"an array of shape {self.shape} has many expressions; index it first")
        return self.cells[()]

    @property
    def expr(self) -> sp.Expr:
        """The SymPy expression, in elementary functions."""
        return elementary(self.cell)

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, index: Any) -> SymArray:
        return SymArray(self.cells[index])

    def __repr__(self) -> str:
        cells = self.expr if self.ndim == 0 else self.cells.tolist()
        return f"SymArray({cells})"

    def _repr_latex_(self) -> str | None:
        return None if self.ndim else f"$\\displaystyle {sp.latex(self.expr)}$"

    def _sympy_(self) -> NoReturn:
        # SymPy then leaves `2 * sympy.pi * z` to the methods of this class.
        raise sp.SympifyError(self)

    def diff(self, variable: Any) -> SymArray:
        """Return the derivative of each entry with respect to a symbol.

        With respect to an array of symbols, by each of them, on new last axes: of a vector this is
        the Jacobian matrix.
        """
        by = _unwrap(variable)
        cells = np.reshape(self.cells, self.shape + (1,) * by.ndim)
        return SymArray(_each(lambda cell, symbol: sp.diff(cell, symbol), 2)(cells, by))

    # -- what would leave the symbolic domain ------------------------------------------------------

    def __bool__(self) -> bool:
        condition = self.cells[()] if self.ndim == 0 else None
        if condition in (sp.true, sp.false):
            return bool(condition)
        raise TypeError(f"the code branches on a symbol ({self!r}); use numpy.where instead of if")

    def __float__(self) -> NoReturn:
        raise TypeError(f"float() of a traced value ({self!r}): the formula would end here")

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(f"numpy.asarray() of a traced value ({self!r}): the formula would end here")

    # -- the dispatch protocols --------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        name = ufunc.__name__
        if method == "reduce" and name in ("add", "multiply"):
            reduce = np.sum if name == "add" else np.prod
            return SymArray(reduce(_unwrap(inputs[0]), axis=kwargs.get("axis", 0)))
        if method == "reduce" and name == "logaddexp":
            return SymArray(_log_sum_exp(_unwrap(inputs[0]), kwargs.get("axis", 0)))
        if name == "matmul" and method == "__call__":
            return SymArray(np.matmul(*[_unwrap(value) for value in inputs]))
        if "out" in kwargs:
            raise TypeError(f"numpy.{name} in place, as in a += b; write a = a + b instead")
        if method != "__call__" or name not in _MEANING or kwargs.keys() - {"dtype"}:
            raise TypeError(
                f"numpy.{name} ({method}, {sorted(kwargs)}) has no symbolic meaning here; "
                "see flowtutorial.symbolic.trace for what has one"
            )
        arguments = [_unwrap(value) for value in inputs]
        _note(name, arguments)
        return SymArray(_each(_MEANING[name], len(inputs))(*arguments))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        meaning = _FUNCTIONS.get(func)
        if meaning is None:
            raise TypeError(
                f"numpy.{func.__name__} has no symbolic meaning here; "
                "see flowtutorial.symbolic.trace for what has one"
            )
        return meaning(*args, **kwargs)


# Where a function is real: what has to be positive, of its argument. SymPy may simplify the
# function away (`exp(log z)` to `z`), and the condition with it: so the condition is noted first.
_NEEDS_POSITIVE: dict[str, Callable[..., Any]] = {
    "log": lambda a: a,
    "log2": lambda a: a,
    "log10": lambda a: a,
    "log1p": lambda a: 1 + a,
    "sqrt": lambda a: a,
    "power": lambda a, b: sp.S.One if b.is_integer else a,
    "float_power": lambda a, b: sp.S.One if b.is_integer else a,
    "arcsin": lambda a: 1 - a**2,
    "arccos": lambda a: 1 - a**2,
    "arctanh": lambda a: 1 - a**2,
    "arccosh": lambda a: a - 1,
    "erfinv": lambda a: 1 - a**2,
    "logit": lambda a: a * (1 - a),
    "ndtri": lambda a: a * (1 - a),
}
_noted: ContextVar[list[sp.Expr] | None] = ContextVar("_noted", default=None)


@contextmanager
def noting_conditions() -> Iterator[list[sp.Expr]]:
    """Collect what has to be positive for the code traced inside to have real values."""
    conditions: list[sp.Expr] = []
    token = _noted.set(conditions)
    try:
        yield conditions
    finally:
        _noted.reset(token)


_same: ContextVar[Callable[[sp.Expr, sp.Expr], bool] | None] = ContextVar("_same", default=None)


@contextmanager
def merging_cases(same: Callable[[sp.Expr, sp.Expr], bool]) -> Iterator[None]:
    """Trace `np.where(c, a, b)` as `a` where `a` and `b` are two forms of the same number."""
    token = _same.set(same)
    try:
        yield
    finally:
        _same.reset(token)


def _note(name: str, arguments: list[np.ndarray]) -> None:
    conditions = _noted.get()
    if conditions is None or name not in _NEEDS_POSITIVE:
        return
    for cell in np.ravel(_each(_NEEDS_POSITIVE[name], len(arguments))(*arguments)):
        if cell.free_symbols and cell not in conditions:
            conditions.append(cell)


def _each(function: Callable[..., Any], inputs: int) -> Callable[..., np.ndarray]:
    """Return `function` applied to each cell, with broadcasting, always as an array."""
    vectorised = np.frompyfunc(function, inputs, 1)

    def apply(*arrays: np.ndarray) -> np.ndarray:
        result = vectorised(*arrays)
        if isinstance(result, np.ndarray):
            return result
        cell = np.empty((), dtype=object)
        cell[()] = result
        return cell

    return apply


def _log_sum_exp(cells: np.ndarray, axis: int) -> np.ndarray:
    """Return `log Σ exp` along an axis, pair by pair as NumPy does."""
    first, *others = np.moveaxis(cells, axis, 0)
    join = _each(logaddexp, 2)
    for other in others:
        first = join(first, other)
    return _each(lambda cell: cell, 1)(first)


class ndtr(sp.Function):  # type: ignore[misc]
    """The normal distribution function, kept as one node because a sum with `erf` cancels."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return the normal density."""
        return sp.exp(-(self.args[0] ** 2) / 2) / sp.sqrt(2 * sp.pi)


class ndtri(sp.Function):  # type: ignore[misc]
    """The normal quantile function."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return the reciprocal of the normal density."""
        return sp.exp(self**2 / 2) * sp.sqrt(2 * sp.pi)


def _filled(like: Any, value: Any) -> SymArray:
    cells = np.empty(np.shape(like), dtype=object)
    cells[...] = _unwrap(value)
    return SymArray(cells)


def _stacked(join: Callable[..., np.ndarray]) -> Callable[..., SymArray]:
    return lambda parts, axis=0: SymArray(join([_unwrap(part) for part in parts], axis=axis))


_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.where: lambda c, a, b: SymArray(_each(_where, 3)(_unwrap(c), _unwrap(a), _unwrap(b))),
    np.zeros_like: lambda a, **_: _filled(a, 0),
    np.ones_like: lambda a, **_: _filled(a, 1),
    np.full_like: lambda a, value, **_: _filled(a, value),
    np.broadcast_to: lambda a, shape: SymArray(np.broadcast_to(_unwrap(a), shape)),
    np.sum: lambda a, axis=None: SymArray(np.sum(_unwrap(a), axis=axis)),
    np.prod: lambda a, axis=None: SymArray(np.prod(_unwrap(a), axis=axis)),
    np.mean: lambda a, axis=None: SymArray(
        np.sum(_unwrap(a), axis=axis) / (a.size if axis is None else a.shape[axis])
    ),
    np.cumsum: lambda a, axis=None: SymArray(np.cumsum(_unwrap(a), axis=axis)),
    np.stack: _stacked(np.stack),
    np.concatenate: _stacked(np.concatenate),
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
    np.size: lambda a: a.size,
    np.ravel: lambda a: SymArray(np.ravel(_unwrap(a))),
    np.swapaxes: lambda a, first, second: SymArray(np.swapaxes(_unwrap(a), first, second)),
    np.reshape: lambda a, shape: SymArray(np.reshape(_unwrap(a), shape)),
}


def elementary(expression: Any) -> Any:
    """Rewrite `log1p`, `expm1`, `logaddexp`, `ndtr` in terms of `log`, `exp` and `erf`."""
    return sp.sympify(expression).replace(
        lambda node: node.func in _ELEMENTARY, lambda node: _ELEMENTARY[node.func](*node.args)
    )


_ELEMENTARY: dict[Any, Callable[..., sp.Expr]] = {
    log1p: lambda a: sp.log(1 + a),
    expm1: lambda a: sp.exp(a) - 1,
    logaddexp: lambda a, b: sp.log(sp.exp(a) + sp.exp(b)),
    ndtr: lambda a: (1 + sp.erf(a / sp.sqrt(2))) / 2,
    ndtri: lambda a: sp.sqrt(2) * sp.erfinv(2 * a - 1),
}


def symbols(names: str, **assumptions: bool) -> Any:
    """Return traced symbols, real unless said otherwise: one, or a tuple for several names.

    Examples
    --------
    >>> z, mu = symbols("z mu")
    >>> z + mu
    SymArray(mu + z)
    """
    made = sp.symbols(names, **({"real": True} | assumptions))
    return tuple(map(SymArray, made)) if isinstance(made, tuple) else SymArray(made)


def trace(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run `function` on symbols and return the formula, or the tuple of formulas, that it computes.

    Parameters
    ----------
    function : callable
        Plain NumPy code, for example a method of a bijection.
    *arguments
        Numbers, SymPy expressions, SymArrays, or names, which become real symbols.

    Returns
    -------
    SymPy expression, or an array or a tuple of these

    Raises
    ------
    TypeError
        If the code can't be read as a formula; the message says where it leaves the symbols.

    Examples
    --------
    >>> trace(np.hypot, "a", "b")
    sqrt(a**2 + b**2)
    """
    made = [symbols(a) if isinstance(a, str) else SymArray(a) for a in arguments]
    return _formulas(function(*made))


def _formulas(result: Any) -> Any:
    if isinstance(result, tuple):
        return tuple(_formulas(part) for part in result)
    if not isinstance(result, SymArray):
        return result
    if result.ndim == 0:
        return result.expr
    return _each(elementary, 1)(result.cells)


def latex(formula: Any, **settings: Any) -> str:
    r"""Return the LaTeX of a traced value or a SymPy expression (`sympy.latex` has the settings).

    Examples
    --------
    >>> z, mu = symbols("z mu")
    >>> latex(z + mu)
    '\\mu + z'
    """
    text: str = sp.latex(formula.expr if isinstance(formula, SymArray) else formula, **settings)
    return text
