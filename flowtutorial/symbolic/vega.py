"""Print traced formulas in the expression language of Vega, which draws the figures that move.

The language has `exp`, `log`, powers, roots, trigonometry and the normal distribution, and no
hyperbolic functions, `expm1` or `log1p`; those are printed in forms that keep their digits where
the textbook form cancels. `flowtutorial.interactive` puts the result into charts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import sympy as sp
from sympy.codegen.cfunctions import expm1, log1p
from sympy.printing.codeprinter import PrintMethodNotImplementedError
from sympy.printing.jscode import JavascriptCodePrinter
from sympy.printing.precedence import PRECEDENCE

from .trace import SymArray, ndtr, ndtri

_KNOWN = {
    "Abs": "abs",
    "acos": "acos",
    "asin": "asin",
    "atan": "atan",
    "ceiling": "ceil",
    "cos": "cos",
    "exp": "exp",
    "floor": "floor",
    "log": "log",
    "Max": "max",
    "Min": "min",
    "sin": "sin",
    "tan": "tan",
    "ndtr": "cumulativeNormal",
    "ndtri": "quantileNormal",
}


def vega(formulas: Mapping[str, Any], columns: Collection[str] | None = None) -> dict[str, str]:
    """Return Vega expressions that compute named formulas, one after the other.

    An intermediate result that is needed more than once becomes a name of its own, such as `p_1`
    for the formula `p`, and stands before the formula that needs it.

    Parameters
    ----------
    formulas : mapping of str to SymArray, SymPy expression or number
        What to compute, under which name.
    columns : collection of str, optional
        If given, the expressions are evaluated for each row of a table; these symbols are columns
        of it and are printed as `datum.name`, and so is every new name. All other symbols are
        parameters of the chart.

    Raises
    ------
    TypeError
        If a formula contains what the language does not have.

    Examples
    --------
    >>> from flowtutorial.symbolic import symbols
    >>> x, mu = symbols("x mu")
    >>> vega({"square": (x - mu) ** 2}, columns=["x"])
    {'square': 'pow(-mu + datum.x, 2)'}
    """
    printer = _Printer(columns)
    for name, formula in formulas.items():
        expression = SymArray(formula).cell
        printer.prefix = name
        try:
            printer.steps[name] = printer.printed(expression)
        except (PrintMethodNotImplementedError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise TypeError(
                f"{name}: {expression} has no form in the expression language of Vega ({reason})"
            ) from error
        if columns is not None:
            printer.columns.add(name)
    return printer.steps


def symbol_names(formulas: Iterable[Any]) -> set[str]:
    """Return the names of the symbols in traced formulas."""
    cells = [SymArray(formula).cell for formula in formulas]
    return {symbol.name for cell in cells for symbol in cell.free_symbols}


def multiplied_out(formula: Any) -> SymArray:
    """Return a polynomial multiplied out, so that a mean over data is a few numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from flowtutorial.symbolic import symbols
    >>> mu = symbols("mu")
    >>> multiplied_out(np.mean((SymArray([1.0, 2.0]) - mu) ** 2))
    SymArray(mu**2 - 3*mu + 5/2)
    """
    return SymArray(sp.expand(SymArray(formula).cell))


# Kahan's forms: what rounding does to exp(a) or to 1 + a, the other factor undoes.


def _expm1(a: str) -> str:
    near = f"exp({a}) == 1 ? {a} : (exp({a}) - 1) * {a} / log(exp({a}))"
    return f"abs({a}) > 0.5 ? exp({a}) - 1 : {near}"


def _log1p(a: str) -> str:
    near = f"1 + {a} == 1 ? {a} : log(1 + {a}) * {a} / (1 + {a} - 1)"
    return f"abs({a}) > 0.5 ? log(1 + {a}) : {near}"


class _Printer(JavascriptCodePrinter):  # type: ignore[misc]
    """SymPy's printer for JavaScript, with the names and the limits of Vega's language."""

    def __init__(self, columns: Collection[str] | None) -> None:
        super().__init__({})
        self.known_functions = dict(_KNOWN)
        self.in_rows = columns is not None
        self.columns = set(columns or ())
        self.steps: dict[str, str] = {}
        self.kept: dict[sp.Basic, str] = {}
        self.prefix = ""

    def printed(self, expression: Any) -> str:
        text: str = self._print(expression)
        return text

    def once(self, expression: sp.Expr) -> str:
        """Return text that may be repeated: what is more than a name or a number gets a name."""
        if expression.is_Atom:
            return self.parenthesize(expression, PRECEDENCE["Pow"])
        if expression not in self.kept:
            self.kept[expression] = self.printed(expression)
        return self._named(expression)

    def _named(self, expression: sp.Expr) -> str:
        """Give the text of an expression a name, unless it has one."""
        text = self.kept[expression]
        if not text.removeprefix("datum.").isidentifier():
            self.kept[expression] = self._step(text)
        return self.kept[expression]

    def _step(self, text: str) -> str:
        """Add a step before the formula that is being printed, and return its name."""
        number = 1 + sum(name.startswith(f"{self.prefix}_") for name in self.steps)
        name = f"{self.prefix}_{number}"
        self.steps[name] = text
        return f"datum.{name}" if self.in_rows else name

    def _print_Symbol(self, symbol: sp.Symbol) -> str:
        name: str = symbol.name
        if not name.isidentifier() or not name.isascii():
            raise TypeError(f"the symbol {name} is not a name in ASCII letters, digits and _")
        return f"datum.{name}" if name in self.columns else name

    def _print_Rational(self, number: sp.Rational) -> str:
        return repr(float(number))

    def _print_Float(self, number: sp.Float) -> str:
        return repr(float(number))

    def _print_Pow(self, power: sp.Pow) -> str:
        base, exponent = power.base, power.exp
        if exponent == -1:
            return f"1 / {self.parenthesize(base, PRECEDENCE['Mul'], strict=True)}"
        if exponent == sp.S.Half:
            return f"sqrt({self.printed(base)})"
        return f"pow({self.printed(base)}, {self.printed(exponent)})"

    def _print_Exp1(self, _: sp.Expr) -> str:
        return "E"

    def _print_Pi(self, _: sp.Expr) -> str:
        return "PI"

    def _print_NumberSymbol(self, number: sp.Expr) -> str:
        return repr(float(number))

    def _print_Infinity(self, _: sp.Expr) -> str:
        return "(1 / 0)"

    def _print_NegativeInfinity(self, _: sp.Expr) -> str:
        return "(-1 / 0)"

    def _print_NaN(self, _: sp.Expr) -> str:
        return "NaN"

    def _print_ImaginaryUnit(self, _: sp.Expr) -> str:
        raise TypeError("it is not real")

    _print_ComplexInfinity = _print_ImaginaryUnit

    def _print_Piecewise(self, cases: sp.Piecewise) -> str:
        text = "NaN"
        for value, condition in reversed(cases.args):
            whole = condition == sp.true
            text = self.printed(value) if whole else self._choice(condition, value, text)
        return f"({text})"

    def _choice(self, condition: sp.Basic, value: sp.Expr, other: str) -> str:
        return f"{self.printed(condition)} ? {self.printed(value)} : {other}"

    def _print_erf(self, function: sp.Expr) -> str:
        return self.printed(2 * ndtr(sp.sqrt(2) * function.args[0]) - 1)

    def _print_erfc(self, function: sp.Expr) -> str:
        return self.printed(2 * ndtr(-sp.sqrt(2) * function.args[0]))

    def _print_erfinv(self, function: sp.Expr) -> str:
        return self.printed(ndtri((function.args[0] + 1) / 2) / sp.sqrt(2))

    # Each of these is computed once and then known by name.

    def _print_sign(self, sign: sp.Expr) -> str:
        a = self.once(sign.args[0])
        return self._keep(sign, f"{a} > 0 ? 1 : {a} < 0 ? -1 : {a}")

    def _print_expm1(self, function: sp.Expr) -> str:
        return self._keep(function, _expm1(self.once(function.args[0])))

    def _print_log1p(self, function: sp.Expr) -> str:
        return self._keep(function, _log1p(self.once(function.args[0])))

    def _print_logaddexp(self, function: sp.Expr) -> str:
        a, b = function.args
        return self.printed(sp.Max(a, b) + log1p(sp.exp(-sp.Abs(a - b))))

    def _print_sinh(self, function: sp.Expr) -> str:
        a, e = self.once(function.args[0]), self.once(expm1(function.args[0]))
        far, near = f"0.5 * (exp({a}) - exp(-{a}))", f"0.5 * ({e} + {e} / (1 + {e}))"
        return self._keep(function, f"abs({a}) > 1 ? {far} : {near}")

    def _print_cosh(self, function: sp.Expr) -> str:
        a = self.once(function.args[0])
        return self._keep(function, f"0.5 * (exp({a}) + exp(-{a}))")

    def _print_tanh(self, function: sp.Expr) -> str:
        (a,) = function.args
        e = self.once(expm1(-2 * sp.Abs(a)))
        return self._keep(function, f"({self.once(a)} < 0 ? {e} : -{e}) / (2 + {e})")

    def _print_asinh(self, function: sp.Expr) -> str:
        (a,) = function.args
        size = sp.Abs(a)
        value = self.once(log1p(size + size**2 / (1 + sp.sqrt(1 + size**2))))
        return self._keep(function, f"{self.once(a)} < 0 ? -{value} : {value}")

    def _print_acosh(self, function: sp.Expr) -> str:
        t = self.once(function.args[0] - 1)
        above_one = self._step(f"{t} + sqrt({t} * ({t} + 2))")
        return self._keep(function, _log1p(above_one))

    def _print_atanh(self, function: sp.Expr) -> str:
        (a,) = function.args
        return self.printed((log1p(a) - log1p(-a)) / 2)

    def _keep(self, function: sp.Expr, text: str) -> str:
        self.kept.setdefault(function, text)
        return self._named(function)

    def parenthesize(self, item: sp.Expr, level: int, strict: bool = False) -> str:
        """Put parentheses where they are needed; a positive decimal needs none."""
        if item.is_Rational and item.is_positive:
            return self.printed(item)
        text: str = super().parenthesize(item, level, strict)
        return text
