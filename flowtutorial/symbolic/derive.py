"""Compiled gradients, derived from the code that they belong to.

A bijection's NumPy code is traced once, SymPy differentiates the formula, and the result is printed
as NumPy code again, with common parts computed once. So a bijection that a reader has just written
has exact gradients at once. Chapter 4 shows what is derived and why it is enough.
"""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from sympy.printing.numpy import NumPyPrinter
from sympy.printing.precedence import PRECEDENCE

from ..bijection import Bijection
from ..blocks import Array, is_recorded, is_traced
from ..parameters import Parametrised, gathered
from .trace import SymArray

FEW = 1024  # rows of a minibatch, about


class Derivatives(NamedTuple):
    """Values and derivatives of one direction of a bijection, each of the shape of its argument.

    There is one derivative for each trained field; that of an array has the field's axes behind
    those of the argument.
    """

    value: Array
    log_det: Array
    d_value_dx: Array
    d_log_det_dx: Array
    d_value_dparams: tuple[Array, ...]
    d_log_det_dparams: tuple[Array, ...]


def derive(
    bijection: type[Bijection] | Bijection, direction: str = "inverse"
) -> Callable[..., Derivatives]:
    """Return the compiled derivatives of an elementwise bijection.

    Those of a direction that is solved numerically come from the other one, by the theorem on
    implicit functions (`reverse`). A class with a method `derivatives(argument, direction)` has the
    last word: a mixture derives one component, a spline one bin, and sums.

    Parameters
    ----------
    bijection : subclass of Bijection, or an instance
        An instance is needed if a trained field is an array, whose shape then is fixed, or if there
        are fields that are not trained, whose values then stand in the formulas.
    direction : {"inverse", "forward"}
        Which of the two methods to differentiate.

    Returns
    -------
    callable
        `f(parameters, x)`, with the trained parameters in the order of the fields, each a number or
        an array that broadcasts with `x`; an array field has its own axes behind. It returns
        `Derivatives`, per element and unsummed: the value (`z` for the inverse), its
        log-determinant, and the derivatives of both by the argument and by each parameter. With
        `f(parameters, x, full=False)` a derivative that is the same everywhere may be left a
        number. The function is compiled once and kept.

    Raises
    ------
    TypeError
        If `bijection` is of another kind, a class has array parameters, or the code can't be read
        as a formula.
    ValueError
        If `direction` is another word.

    Examples
    --------
    >>> from flowtutorial import Affine
    >>> d = derive(Affine)((1.0, 0.0), np.array([3.0]))
    >>> d.value, d.d_value_dparams[0]
    (array([2.]), array([-1.]))
    """
    cls = bijection if isinstance(bijection, type) else type(bijection)
    if not issubclass(cls, Bijection):
        raise TypeError(f"bijection: expected a bijection or its class, got {bijection!r}")
    if direction not in ("inverse", "forward"):
        raise ValueError(f"direction: expected 'inverse' or 'forward', got {direction!r}")
    if bijection is not cls and hasattr(cls, "derivatives"):
        return _of_instance(bijection, lambda made, x: made.derivatives(x, direction))
    if direction == cls.numerical:
        closed = derive(bijection, "forward" if direction == "inverse" else "inverse")
        return _through_the_other(bijection, direction, closed)
    key = (cls, direction, *([] if bijection is cls else _marks(bijection)))
    if key not in _KEPT:  # a layer asks at every step for the derivatives of its transformer
        _KEPT[key] = _derive(cls, direction, *_fields(bijection))
    return _KEPT[key]


_KEPT: dict[Any, Callable[..., Any]] = {}


def _marks(bijection: Any) -> list[Any]:
    """Return what the formulas of a bijection depend on: shapes of arrays, and what is static."""
    cls: Any = type(bijection)
    marks: list[Any] = []
    for name, ndim in _fields_that_count(cls):
        value = getattr(bijection, name)
        if ndim:
            marks.append(np.shape(value)[-ndim:])
        else:
            marks += [type(value), value if isinstance(value, float | str) else pickle.dumps(value)]
    return marks


@cache
def _fields_that_count(cls: Any) -> tuple[tuple[str, int], ...]:
    """Return the fields that are not trained, with a 0, and the arrays, with how many axes."""
    counted = []
    for field in dataclasses.fields(cls):
        static, ndim = field.metadata.get("static", False), field.metadata.get("ndim", 0)
        if static or ndim:
            counted.append((field.name, 0 if static else ndim))
    return tuple(counted)


def _fields(bijection: Any) -> tuple[dict[str, tuple[int, ...]], dict[str, Any]]:
    """Return the shapes of the trained fields, and the values of the others."""
    trained, static = {}, {}
    for field in dataclasses.fields(bijection):
        if field.metadata.get("static", False):
            if not isinstance(bijection, type):
                static[field.name] = getattr(bijection, field.name)
            continue
        ndim = field.metadata.get("ndim", 0)
        if ndim and isinstance(bijection, type):
            raise TypeError(
                f"{bijection.__name__}.{field.name} is an array of parameters; pass an instance, "
                "so that its shape is known"
            )
        shape = np.shape(getattr(bijection, field.name)) if ndim else ()
        trained[field.name] = shape[len(shape) - ndim :]
    return trained, static


def _of_instance(
    bijection: Any, derivatives: Callable[[Any, Array], Derivatives]
) -> Callable[..., Derivatives]:
    """Return a function of parameters and argument from one of an instance and the argument."""
    names = list(bijection.trained_fields())

    def of(parameters: Sequence[Any], argument: Array, full: bool = True) -> Derivatives:
        fields = dict(zip(names, parameters, strict=True))
        return derivatives(dataclasses.replace(bijection, **fields), np.asarray(argument))

    return of


def _through_the_other(
    bijection: Any, direction: str, closed: Callable[[Sequence[Any], Array], Derivatives]
) -> Callable[..., Derivatives]:
    """Return derivatives of a numerical direction, from those of the closed one."""
    names = list(_fields(bijection)[0])

    def of(parameters: Sequence[Any], argument: Array, full: bool = True) -> Derivatives:
        fields = dict(zip(names, parameters, strict=True))
        if isinstance(bijection, type):
            made = bijection(**fields)
        else:
            made = dataclasses.replace(bijection, **fields)
        value = getattr(made, f"{direction}_and_log_det")(np.asarray(argument))[0]
        return reverse(closed(parameters, value), value)

    return of


def reverse(d: Derivatives, argument: Array) -> Derivatives:
    """Return the derivatives of the inverse of a map from the map's own, taken at `argument`.

    With `y = f(x; θ)` and `l = log|f'|`, at fixed `y`: `∂x/∂y = 1/f'`, `∂x/∂θ = -(∂f/∂θ)/f'`, and
    of the inverse's log-determinant `-l` the derivatives `-l'/f'` and `-∂l/∂θ + l' (∂f/∂θ)/f'`.
    """

    def along(part: Array, by: Array) -> Array:
        return part.reshape(part.shape + (1,) * (by.ndim - part.ndim))

    with np.errstate(over="ignore"):
        back = 1.0 / d.d_value_dx
        values = tuple(-along(back, by) * by for by in d.d_value_dparams)
        log_dets = tuple(
            -by - along(d.d_log_det_dx, by) * value
            for by, value in zip(d.d_log_det_dparams, values, strict=True)
        )
        return Derivatives(
            np.asarray(argument), -d.log_det, back, -d.d_log_det_dx * back, values, log_dets
        )


def _derive(
    cls: type[Bijection],
    direction: str,
    trained: dict[str, tuple[int, ...]],
    static: dict[str, Any],
) -> Callable[..., Derivatives]:
    """Trace one direction of a class on symbols, differentiate, and compile."""
    x = sp.Symbol("x", real=True)
    params, made = [], {}
    for name, shape in trained.items():
        cells = np.empty(shape, dtype=object)
        for index in np.ndindex(shape):
            cells[index] = sp.Symbol("_".join(["theta", name, *map(str, index)]), real=True)
        params += list(cells.flat)
        made[name] = SymArray(cells)
    try:
        method = getattr(cls(**made, **static), f"{direction}_and_log_det")
        value, log_det = (_real(part) for part in method(SymArray(x)))
    except TypeError as error:
        raise TypeError(
            f"{cls.__name__}.{direction}_and_log_det can't be read as a formula: {error}"
        ) from error
    formulas = [value, log_det, sp.diff(value, x), sp.diff(log_det, x)]
    formulas += [sp.diff(value, p) for p in params] + [sp.diff(log_det, p) for p in params]
    compiled = _compile([x, *params], formulas)
    entries = [(shape, list(np.ndindex(shape))) for shape in trained.values()]
    has_arrays, k = any(trained.values()), len(params)

    def derivatives(parameters: Sequence[Any], argument: Array, full: bool = True) -> Derivatives:
        argument, parameters = _as_array(argument), [_as_array(value) for value in parameters]
        if not (full or has_arrays):
            with np.errstate(over="ignore"):
                value, log_det, value_dx, log_det_dx, *rest = compiled(argument, *parameters)
            log_det = _full(log_det, value.shape)
            return Derivatives(value, log_det, value_dx, log_det_dx, rest[:k], rest[k:])
        numbers, lead = [], [argument.shape]
        for value, (shape, places) in zip(parameters, entries, strict=True):
            lead.append(value.shape[: value.ndim - len(shape)])
            numbers += [value[(..., *place)] for place in places]
        with np.errstate(over="ignore"):
            results = compiled(argument, *numbers)
        whole = lead[0] if len(set(lead)) == 1 else np.broadcast_shapes(*lead)
        value, log_det, value_dx, log_det_dx, *rest = (_full(result, whole) for result in results)
        return Derivatives(
            value, log_det, value_dx, log_det_dx, _by_field(rest[:k]), _by_field(rest[k:])
        )

    def _by_field(parts: list[Array]) -> tuple[Array, ...]:
        if not has_arrays:
            return tuple(parts)
        left = iter(parts)
        return tuple(
            np.stack([next(left) for _ in np.ndindex(shape)], axis=-1).reshape(
                *np.shape(parts[0]), *shape
            )
            if shape
            else next(left)
            for shape in trained.values()
        )

    return derivatives


def _full(result: Any, shape: tuple[int, ...]) -> Array:
    """Return a result as an array of this shape."""
    if getattr(result, "shape", None) == shape:
        return result
    if type(result) in (int, float) and len(shape) and shape[0] <= FEW:
        return np.full(shape, result)  # numpy.broadcast_to takes longer than filling a minibatch
    return np.broadcast_to(result, shape)


def _as_array(value: Any) -> Array:
    """Return an array; a traced or recorded one as it is, so that derivatives can be, too."""
    return value if is_traced(value) or is_recorded(value) else np.asarray(value)


def score_of(base: Any, z: Array) -> Array:
    """Return `d log p(z)/dz` of a distribution.

    Its own method `score(z)` is asked if it has one; otherwise `log_prob` is traced and
    differentiated, and the compiled formula kept.

    Raises
    ------
    TypeError
        If `log_prob` can't be read as a formula.
    """
    if hasattr(base, "score"):
        return base.score(z)
    vectors = bool(getattr(base, "event_ndim", 0))
    symbols = _symbols("z", np.shape(z)[-1:] if vectors else ())
    try:
        log_prob = _real(base.log_prob(symbols))
    except TypeError as error:
        raise TypeError(
            f"base: {type(base).__name__}.log_prob can't be read as a formula ({error}); write it "
            "with NumPy functions, or give the class a method score(z) that returns d log p/dz"
        ) from error
    z = _as_array(z)
    compiled = _compiled_score(log_prob, tuple(symbols.cells.flat))
    with np.errstate(over="ignore"):
        parts = compiled(*np.moveaxis(z, -1, 0)) if vectors else compiled(z)
    if not vectors:
        return np.broadcast_to(parts[0], z.shape)
    return np.stack([np.broadcast_to(part, z.shape[:-1]) for part in parts], axis=-1)


@cache
def _compiled_score(log_prob: sp.Expr, symbols: tuple[sp.Symbol, ...]) -> Callable[..., Any]:
    return _compile(list(symbols), [sp.diff(log_prob, symbol) for symbol in symbols])


def _symbols(name: str, shape: tuple[int, ...]) -> SymArray:
    """Return an array of real symbols."""
    cells = np.empty(shape, dtype=object)
    for index in np.ndindex(shape):
        cells[index] = sp.Symbol("_".join([name, *map(str, index)]), real=True)
    return SymArray(cells)


def vector_pullback(bijection: Bijection, argument: Array, direction: str) -> Any:
    """Return value, log-determinant and pullback of a map of vectors, from its own code.

    Each length of the vectors is traced for itself, coordinate by coordinate, so this is meant for
    short ones; layers of the package bring pullbacks of their own.

    Raises
    ------
    TypeError
        If the code can't be read as a formula, or a trained field is not an array.
    """
    argument = np.asarray(argument)
    trained, _ = _fields(bijection)
    values = list(bijection.trained_fields().values())
    dim = argument.shape[-1]
    if any(isinstance(value, tuple | Parametrised) for value in values):
        raise _unreadable(bijection, direction, "it has parts of its own")
    if direction == bijection.numerical:
        raise _unreadable(bijection, direction, "it is solved for numerically")
    key = (type(bijection), direction, dim, *_marks(bijection))
    if key not in _KEPT:
        _KEPT[key] = _derive_vectors(bijection, direction, dim, trained)
    numbers = [number for value in values for number in np.ravel(value)]
    with np.errstate(over="ignore"):
        results = _KEPT[key](*np.moveaxis(argument, -1, 0), *numbers)
    lead = argument.shape[:-1]
    # a row for each coordinate of the value and one for the log-determinant; then a column for the
    # result itself, for each coordinate of the argument, and for each parameter
    table = np.stack([np.broadcast_to(result, lead) for result in results], axis=-1)
    table = table.reshape(*lead, dim + 1, 1 + dim + len(numbers))

    def pullback(bar: Array, summed: bool = False) -> tuple[Array, list[Array]]:
        back = np.einsum("...i,...ij->...j", bar, table[..., :-1, 1:]) + table[..., -1, 1:]
        along_params, start = [], dim
        for shape in trained.values():
            size = int(np.prod(shape))
            part = back[..., start : start + size].reshape(*lead, *shape)
            along_params.append(gathered(part, len(lead), summed))
            start += size
        return back[..., :dim], along_params

    return table[..., :-1, 0], table[..., -1, 0], pullback


def _derive_vectors(
    bijection: Bijection, direction: str, dim: int, trained: dict[str, tuple[int, ...]]
) -> Callable[..., Any]:
    """Trace one direction of a map of vectors on symbols, differentiate, and compile."""
    made = {name: _symbols(f"theta_{name}", shape) for name, shape in trained.items()}
    x = _symbols("x", (dim,))
    try:
        method = getattr(dataclasses.replace(bijection, **made), f"{direction}_and_log_det")
        value, log_det = method(x)
        if np.shape(value) != (dim,) or np.shape(log_det) != ():
            raise TypeError(
                f"of a vector of length {dim} it returns shapes {np.shape(value)} and "
                f"{np.shape(log_det)}, not ({dim},) and ()"
            )
        rows = [_real(cell) for cell in (*SymArray(value).cells.flat, log_det)]
    except (TypeError, ValueError, IndexError) as error:
        raise _unreadable(bijection, direction, str(error)) from error
    symbols = [*x.cells.flat, *(cell for part in made.values() for cell in part.cells.flat)]
    formulas = [part for row in rows for part in (row, *(sp.diff(row, s) for s in symbols))]
    return _compile(symbols, formulas)


def _unreadable(bijection: Bijection, direction: str, why: str) -> TypeError:
    name = type(bijection).__name__
    return TypeError(
        f"{name}.{direction}_and_log_det can't be read as a formula ({why}); write it with NumPy "
        f"functions of x[..., i], or give {name} a method {direction}_and_pullback"
    )


def _real(traced: Any) -> sp.Expr:
    """Return a traced formula, ready to be differentiated."""
    cell: sp.Expr = SymArray(traced).cell
    return cell.replace(sp.Abs, _RealAbs)


class _RealAbs(sp.Function):  # type: ignore[misc]
    """`|a|` of what is known to be real, so that its derivative is `sign(a)` and nothing more."""

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return sp.sign(self.args[0])


class _Printer(NumPyPrinter):  # type: ignore[misc]
    """SymPy's NumPy printer, with `where` and `maximum` in place of `select` and `amax`."""

    def _print_Piecewise(self, expr: sp.Piecewise) -> str:
        *cases, (last, _) = expr.args
        text: str = self._print(last)
        for value, condition in reversed(cases):
            where = self._module_format("numpy.where")
            text = f"{where}({self._print(condition)}, {self._print(value)}, {text})"
        return text

    def _print__RealAbs(self, expr: _RealAbs) -> str:
        return f"{self._module_format('numpy.abs')}({self._print(expr.args[0])})"

    def _print_ndtr(self, expr: sp.Function) -> str:
        return f"{self._module_format('scipy.special.ndtr')}({self._print(expr.args[0])})"

    def _print_ndtri(self, expr: sp.Function) -> str:
        return f"{self._module_format('scipy.special.ndtri')}({self._print(expr.args[0])})"

    def _print_Pow(self, expr: sp.Pow, rational: bool = False) -> str:
        """Print small powers as products and roots: `numpy.power` takes ten times as long."""
        base, exponent = expr.args
        if (2 * exponent).is_Integer and abs(exponent) <= 4 and exponent != 1:
            whole, half = divmod(abs(exponent), 1)
            factors = [self.parenthesize(base, PRECEDENCE["Pow"])] * int(whole)
            if half:
                factors.append(f"{self._module_format('numpy.sqrt')}({self._print(base)})")
            product = "*".join(factors)
            return f"({product})" if exponent > 0 else f"(1.0/({product}))"
        printed: str = super()._print_Pow(expr, rational)
        return printed

    def _print_Max(self, expr: sp.Max) -> str:
        return self._fold("numpy.maximum", expr)

    def _print_Min(self, expr: sp.Min) -> str:
        return self._fold("numpy.minimum", expr)

    def _print_Heaviside(self, expr: sp.Heaviside) -> str:
        step = self._module_format("numpy.heaviside")
        return f"{step}({self._print(expr.args[0])}, 0.5)"

    def _fold(self, function: str, expr: sp.Expr) -> str:
        others: list[str] = [self._print(argument) for argument in expr.args]
        text = others.pop(0)
        for other in others:
            text = f"{self._module_format(function)}({text}, {other})"
        return text


def _compile(arguments: list[sp.Symbol], formulas: list[sp.Expr]) -> Callable[..., Any]:
    """Print formulas as one NumPy function that computes their common parts once."""
    smooth = [
        formula.replace(sp.Derivative, lambda *_: sp.nan).replace(sp.DiracDelta, lambda *_: sp.S(0))
        for formula in formulas
    ]
    printer = _Printer({"fully_qualified_modules": False, "inline": True})
    compiled: Callable[..., Any] = sp.lambdify(
        arguments, smooth, modules=["numpy", "scipy"], printer=printer, cse=True
    )
    return compiled
