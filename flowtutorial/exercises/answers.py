"""Read an answer: a formula, a number, or NumPy code, and say kindly why another thing is none.

Formulas are rewritten in the symbols of the exercise. A function is run twice: on symbols, which
gives its formula, and on arrays, which shows that it also runs on numbers.
"""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import sympy as sp
from sympy.core.function import AppliedUndef

from ..bijection import Bijection
from ..flow import Flow
from ..symbolic import Proof, SymArray
from ..symbolic.trace import elementary, exact
from .reply import Reply, TooLarge, Unusable
from .variables import Point, Variable, arguments, plain_name

_DIGITS = 40  # of the arithmetic in which formulas are compared at points
_TOO_LONG = 4000  # operations
_TOO_HIGH = 10_000  # exponents, and digits of a number
_UNDONE = (sp.Integral, sp.Derivative, sp.Sum, sp.Product, sp.Limit, sp.Subs)


@dataclass(frozen=True)
class Reading:
    """What an answer says.

    Attributes
    ----------
    cells : object array of SymPy expressions, or None
        In the symbols of the exercise; None for a function that can't be read as a formula.
    values : object array
        At each point the value, or array of values.
    is_function : bool
    why_not : str
        For a function without a formula, what kept it from being read.
    """

    cells: np.ndarray | None
    values: np.ndarray
    is_function: bool = False
    why_not: str = ""


def read(
    answer: Any,
    variables: Sequence[Variable],
    shape: tuple[int, ...],
    points: Sequence[Point],
    asked: str,
) -> Reading:
    """Read an answer to an exercise in the given variables, of the given shape.

    Raises
    ------
    Unusable
        If it is no such answer.
    """
    require_answer(answer, asked)
    if isinstance(answer, Bijection):
        raise Unusable(f"{answer!r} is a bijection; this exercise asks for {asked}.")
    if isinstance(answer, type) and not isinstance(answer, sp.core.function.FunctionClass):
        raise Unusable(f"{answer.__name__} is a class; this exercise asks for {asked}.")
    if isinstance(answer, sp.Lambda | sp.core.function.FunctionClass):
        answer = _applied(answer, variables)
    if callable(answer) and not isinstance(answer, sp.Basic):
        return _read_function(answer, variables, shape, points, asked)
    cells = _shaped(cells_of(answer, asked), shape, asked)
    cells = _each(cells, lambda cell: _in_symbols_of(variables, cell))
    return Reading(cells, values_of(cells, variables, points))


def require_answer(answer: Any, asked: str) -> None:
    """Raise `Unusable` for nothing at all, and for things that are not mathematics."""
    sized = isinstance(answer, str | bytes | list | tuple | dict | set)
    empty = len(answer) == 0 if sized else isinstance(answer, np.ndarray) and answer.size == 0
    if answer is None or answer is ... or empty:
        raise Unusable(f"there is no answer yet; this exercise asks for {asked}.")
    if isinstance(answer, str | bytes):
        raise Unusable(
            f"the answer is text, {answer!r:.40}; this exercise asks for {asked}, without quotes."
        )
    what = {
        Proof: "a proof; hand over what is to be proved",
        Reply: "a reply; hand over an answer",
        Flow: "a flow; hand over one of its formulas or its bijection",
        dict: "a dictionary; hand over one of its values",
    }
    for kind, words in what.items():
        if isinstance(answer, kind):
            raise Unusable(f"the answer is {words}. This exercise asks for {asked}.")


# -- formulas and numbers --------------------------------------------------------------------------


def cells_of(value: Any, asked: str) -> np.ndarray:
    """Return an object array of SymPy expressions."""
    if isinstance(value, SymArray):
        return _each(value.cells, elementary)
    if isinstance(value, sp.MatrixBase):
        value = value.tolist()
    if isinstance(value, np.ndarray) and value.ndim:
        value = list(value)
    if isinstance(value, list | tuple | set | frozenset | sp.Tuple | sp.FiniteSet):
        parts = [cells_of(part, asked) for part in value]
        if len({part.shape for part in parts}) > 1:
            raise Unusable(f"the answer is a list of unequal parts; expected {asked}.")
        return np.stack(parts) if parts else np.empty(0, dtype=object)
    cell = np.empty((), dtype=object)
    cell[()] = _expression(value, asked)
    return cell


def _expression(value: Any, asked: str) -> sp.Expr:
    if isinstance(value, np.ndarray | np.generic):
        value = np.asarray(value).item()
    if isinstance(value, SymArray):
        value = value.expr
    if isinstance(value, complex):
        if value.imag:
            raise Unusable(f"{value} is a complex number; this exercise asks for {asked}.")
        value = value.real
    if isinstance(value, bool | sp.logic.boolalg.Boolean) and not isinstance(value, sp.Expr):
        if isinstance(value, sp.Rel):
            raise Unusable(
                f"the answer states something, {value}; hand over one side of it. This exercise "
                f"asks for {asked}."
            )
        raise Unusable(f"the answer is true or false, {value}; this exercise asks for {asked}.")
    if isinstance(value, Fraction | Decimal):
        value = sp.Rational(str(value)) if math.isfinite(value) else sp.Float(value)
    if isinstance(value, sp.Poly):
        value = value.as_expr()
    if isinstance(value, mpmath.mpf):
        value = float(value)
    if isinstance(value, numbers.Real) and not isinstance(value, sp.Basic):
        value = exact(value if isinstance(value, int) else float(value))
    if not isinstance(value, sp.Expr):
        raise Unusable(f"the answer is of type {type(value).__name__}; expected {asked}.")
    if value.has(sp.nan, sp.zoo) or value in (sp.oo, -sp.oo):
        raise Unusable(f"{value} is not a finite number; this exercise asks for {asked}.")
    return value.xreplace({number: exact(float(number)) for number in value.atoms(sp.Float)})


def _shaped(cells: np.ndarray, shape: tuple[int, ...], asked: str) -> np.ndarray:
    """Return the cells in the expected shape; axes of length 1 do not matter."""
    if [n for n in cells.shape if n != 1] != [n for n in shape if n != 1]:
        has = f"an array of shape {cells.shape}" if cells.shape else "a single one"
        raise Unusable(f"the answer is {has}; this exercise asks for {asked}.")
    return cells.reshape(shape)


def _in_symbols_of(variables: Sequence[Variable], expr: sp.Expr) -> sp.Expr:
    """Return a formula in the symbols of the exercise, which are found by name."""
    unknown_function = next(iter(expr.atoms(AppliedUndef)), None)
    if unknown_function is not None:
        raise Unusable(
            f"the answer contains {unknown_function}, a function of which nothing is known; "
            "write out its formula."
        )
    own = {s.name: s for variable in variables for s in variable.symbols}
    by_name = {plain_name(name): symbol for name, symbol in own.items()}
    given = sorted(expr.free_symbols, key=str)
    unknown = [str(s) for s in given if plain_name(str(s)) not in by_name]
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        names = ", ".join(variable.named for variable in variables)
        stated = f"is stated in {names}" if own else "asks for a number, without symbols"
        raise Unusable(
            f"your answer uses the symbol{plural} {', '.join(unknown)}; this exercise {stated}."
        )
    _require_moderate(expr)
    expr = expr.xreplace({symbol: by_name[plain_name(str(symbol))] for symbol in given})
    return expr.doit() if expr.has(*_UNDONE) else expr


def _require_moderate(expr: sp.Expr) -> None:
    """Refuse formulas whose numbers alone would take minutes to compute."""
    huge = [p.exp for p in expr.atoms(sp.Pow) if p.exp.is_number and abs(p.exp) > _TOO_HIGH]
    huge += [n for n in expr.atoms(sp.Rational) if max(abs(n.p), n.q).bit_length() > 4 * _TOO_HIGH]
    if huge or sum(1 for _ in sp.preorder_traversal(expr)) > _TOO_LONG:
        raise TooLarge("the formula is too long, or has too large numbers, to be compared.")


def _each(cells: np.ndarray, function: Callable[[Any], Any]) -> np.ndarray:
    made = np.empty(cells.shape, dtype=object)
    for index in np.ndindex(cells.shape):
        made[index] = function(cells[index])
    return made


def values_of(
    cells: np.ndarray,
    variables: Sequence[Variable],
    points: Sequence[Point],
    digits: int = _DIGITS,
) -> np.ndarray:
    """Return the values of formulas at points: NaN where they are not real."""
    names = [symbol for variable in variables for symbol in variable.symbols]
    values = np.empty((len(points), *cells.shape), dtype=object)
    with mpmath.workdps(digits):
        for index in np.ndindex(cells.shape):
            compute = sp.lambdify(names, cells[index], "mpmath")
            for i, point in enumerate(points):
                at = [mpmath.mpf(v.numerator) / v.denominator for v in point.values()]
                values[(i, *index)] = _real(compute, at)
    return values


def _real(compute: Callable[..., Any], at: Sequence[Any]) -> Any:
    try:
        value = mpmath.mpmathify(compute(*at))
    except (ArithmeticError, ValueError):
        return mpmath.nan
    except MemoryError as error:
        raise TooLarge("the values of the formula are too large to be compared.") from error
    except Exception as error:
        raise Unusable(f"the formula can't be evaluated ({first_line(error)}).") from error
    if isinstance(value, mpmath.mpc):
        real = abs(value.imag) <= abs(value) * mpmath.mpf(10) ** (10 - mpmath.mp.dps)
        return value.real if real else mpmath.nan
    return value


class Fails(Unusable):
    """A function of the reader's does not work on the arrays or numbers that it was given."""


# -- functions -------------------------------------------------------------------------------------


def _applied(function: Any, variables: Sequence[Variable]) -> Any:
    """Return what a SymPy function gives on the symbols."""
    try:
        return function(*(symbol for variable in variables for symbol in variable.symbols))
    except TypeError as error:
        called = ", ".join(variable.name for variable in variables)
        raise Unusable(f"{function} can't be applied to {called} ({first_line(error)}).") from error


def _read_function(
    function: Callable[..., Any],
    variables: Sequence[Variable],
    shape: tuple[int, ...],
    points: Sequence[Point],
    asked: str,
) -> Reading:
    if not variables:
        raise Unusable(f"the answer is a function; this exercise asks for {asked}.")
    function = _in_order(function, variables)
    cells, why_not = _traced(function, variables, shape, asked)
    return Reading(cells, _run(function, variables, shape, points), True, why_not)


def _in_order(function: Callable[..., Any], variables: Sequence[Variable]) -> Callable[..., Any]:
    """Return a function of the variables in the order of the exercise, whatever its own order."""
    names = [variable.name for variable in variables]
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # some functions written in C do not say
        return function
    own = [plain_name(name) for name in parameters]
    if sorted(own) == sorted(map(plain_name, names)):
        places = [own.index(plain_name(name)) for name in names]
        ordered = [list(parameters)[place] for place in places]
        if all(p.kind is not p.POSITIONAL_ONLY for p in parameters.values()):
            return lambda *values: function(**dict(zip(ordered, values, strict=True)))
    try:
        inspect.signature(function).bind(*names)
    except TypeError as error:
        takes = ", ".join(parameters) or "nothing"
        raise Unusable(
            f"your function takes {takes}; it is called with {len(names)} "
            f"argument{'s' if len(names) > 1 else ''}: {', '.join(names)}."
        ) from error
    return function


def _traced(
    function: Callable[..., Any],
    variables: Sequence[Variable],
    shape: tuple[int, ...],
    asked: str,
) -> tuple[np.ndarray | None, str]:
    """Return the formulas that a function computes, or None and what was in the way."""
    try:
        result = function(*(variable.traced for variable in variables))
    except Exception as error:
        return None, first_line(error)
    if result is None:
        raise Unusable("your function returns nothing; is there a return?")
    try:
        cells = _shaped(cells_of(result, asked), shape, asked)
    except Unusable as problem:  # perhaps on symbols only: what it gives on numbers decides
        return None, str(problem)
    return _each(cells, lambda cell: _in_symbols_of(variables, cell)), ""


def _run(
    function: Callable[..., Any],
    variables: Sequence[Variable],
    shape: tuple[int, ...],
    points: Sequence[Point],
) -> np.ndarray:
    """Return the values of a function at points.

    A formula is called once, with arrays; a function of data or of several values, and one that
    fails on arrays, point by point.
    """
    at = [arguments(variables, point) for point in points]

    def one_by_one() -> np.ndarray:
        return np.stack([_called(function, values, shape) for values in at]).astype(object)

    if shape or any(variable.is_data for variable in variables):
        return one_by_one()
    columns = [np.array(column) for column in zip(*at, strict=True)]
    try:
        return _called(function, columns, (len(points),)).astype(object)
    except Fails as failure:
        try:
            return one_by_one()
        except Unusable:
            raise failure from None


def _called(
    function: Callable[..., Any], values: Sequence[Any], shape: tuple[int, ...]
) -> np.ndarray:
    shapes = sorted({np.shape(value) for value in values}, key=len)
    on = f"arrays of shape {shapes[-1]}" if shapes[-1] else "numbers"
    try:
        with np.errstate(all="ignore"):
            result = function(*(np.copy(value)[()] for value in values))
    except Exception as error:
        advice = ""
        if isinstance(error, TypeError | AttributeError):
            advice = " Inside a NumPy function use np.log and np.exp, not those of math or SymPy."
        raise Fails(f"your function fails on {on}: {first_line(error)}.{advice}") from error
    if result is None:
        raise Unusable("your function returns nothing; is there a return?")
    return as_floats(result, shape, "your function", on)


def as_floats(result: Any, shape: tuple[int, ...], whose: str, on: str) -> np.ndarray:
    """Return what code computed as floats of the expected shape, or raise `Unusable`."""
    try:
        array = np.asarray(result)
        if array.dtype == object:  # numbers of SymPy or of mpmath
            array = array.astype(np.float64)
    except Exception as error:  # whatever stands in it
        raise Fails(f"{whose} returns {type(result).__name__} for {on}.") from error
    if array.dtype.kind not in "iuf":
        raise Unusable(f"{whose} returns values of type {array.dtype} for {on}; expected floats.")
    if array.shape != shape:
        has = f"an array of shape {array.shape}" if array.shape else "a single number"
        wants = f"an array of shape {shape}" if shape else "a single number"
        raise Unusable(f"{whose} returns {has} for {on}; expected {wants}.")
    values = array.astype(np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def first_line(error: BaseException) -> str:
    """Return the type of an error and the first line of its message."""
    lines = str(error).strip().splitlines()
    text = lines[0].rstrip(".") if lines else ""
    text = text if len(text) <= 160 else text[:157] + "..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
