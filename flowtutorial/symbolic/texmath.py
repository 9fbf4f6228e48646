r"""A strict reader for the LaTeX of the book's displayed equations.

It knows the small part of LaTeX in which the book writes its claims, and guesses nothing: a letter
is a symbol or a function because the table of names says so, every token is consumed, and whatever
is unknown or can be read in two ways is an error. What comes out are traced formulas, ready for
`prove`. The page "What proved means here" lists what is trusted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import sympy as sp
from sympy.core.function import AppliedUndef, UndefinedFunction

from .trace import SymArray


class TexError(ValueError):
    """The LaTeX can't be read, or can be read in more than one way."""


@dataclass(frozen=True)
class Relation:
    """One equation or inequality: its sides, and the signs between them."""

    sides: tuple[SymArray, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True)
class Statement:
    r"""What one displayed equation says.

    Attributes
    ----------
    relations : tuple of Relation
        Statements beside or below each other. With `equivalent` there are two of them, and each
        holds just where the other does.
    where : mapping of symbol to (low, high)
        The open intervals to which a clause like `(x > 0)` restricts a symbol.
    equivalent : bool
        Whether `\iff` stands between the relations.
    """

    relations: tuple[Relation, ...]
    where: Mapping[sp.Symbol, tuple[sp.Expr, sp.Expr]]
    equivalent: bool = False


# -- tokens ----------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"\s+|\d+(?:\.\d+)?|\\\\|\\(?:text|operatorname)\{[^{}]*\}|\\(?:[A-Za-z]+|.)|.", re.DOTALL
)
_NUMBER = re.compile(r"\d+(\.\d+)?")
_SPACES = {r"\,", r"\;", r"\:", r"\!", r"\ ", r"\quad", r"\displaystyle", "~"}
_SIZES = re.compile(r"\\(?:left|right|[bB]igg?[lrm]?)$")
_ACCENTS = {
    r"\bar", r"\hat", r"\tilde", r"\dot", r"\bm", r"\boldsymbol", r"\mathbf", r"\mathbb",
    r"\mathcal", r"\mathrm", r"\mathsf",
}  # fmt: skip
_ROW = r"\\"
_CLAUSE = r"\qquad"


def _tokens(latex: str) -> list[str]:
    found: list[str] = []
    if latex.count(r"\begin{aligned}") > 1 or re.search(r"(\\\\|\{aligned\})\s*\[", latex):
        raise TexError(f"one aligned, and no [...] behind it or behind a row, in {latex!r}")
    text = re.sub(r"\\begin\{aligned\}|\\end\{aligned\}", " ", latex)
    inside = 0  # a matrix, where & parts the cells; elsewhere it only aligns
    columns = 0
    for token in _TOKEN.findall(text):
        inside += (token == r"\begin") - (token == r"\end")
        columns = 0 if token == _ROW else columns + (token == "&" and not inside)
        if columns > 1:
            raise TexError(f"two columns of equations can't be read, in {latex!r}")
        if token.isspace() or token in _SPACES or _SIZES.match(token):
            continue
        if token != "&" or inside:
            found.append(token)
    return found


def _is_text(token: str | None) -> bool:
    return token is not None and token.startswith(r"\text{")


# -- functions -------------------------------------------------------------------------------------


def _cellwise(function: Callable[..., Any]) -> Callable[..., SymArray]:
    def apply(*values: SymArray) -> SymArray:
        cells = np.frompyfunc(function, len(values), 1)(*(value.cells for value in values))
        return SymArray(cells)

    return apply


_FUNCTIONS: dict[str, Callable[[SymArray], SymArray]] = {
    name: _cellwise(function)
    for name, function in {
        r"\log": sp.log,
        r"\exp": sp.exp,
        r"\sin": sp.sin,
        r"\cos": sp.cos,
        r"\tan": sp.tan,
        r"\arcsin": sp.asin,
        r"\arccos": sp.acos,
        r"\arctan": sp.atan,
        r"\sinh": sp.sinh,
        r"\cosh": sp.cosh,
        r"\tanh": sp.tanh,
        r"\operatorname{arcsinh}": sp.asinh,
        r"\operatorname{arctanh}": sp.atanh,
        r"\operatorname{sign}": sp.sign,
        r"\operatorname{erf}": sp.erf,
        r"\Gamma": sp.gamma,
    }.items()
}
_FUNCTIONS[r"\det"] = lambda matrix: SymArray(_matrix(matrix, r"\det").det())
_FUNCTIONS[r"\operatorname{tr}"] = lambda matrix: SymArray(_matrix(matrix, "tr").trace())
_OF_SEVERAL = {r"\max": sp.Max, r"\min": sp.Min}
_CONSTANTS = {r"\pi": sp.pi, "e": sp.E, r"\infty": sp.oo}

# With a subscript, or declared without one, these act on all that follows in the term.
_OPERATORS = {
    r"\E", r"\Var", r"\sum", r"\prod", r"\min", r"\max", r"\sup", r"\inf", r"\lim",
    r"\operatorname{Cov}", r"\operatorname{Var}",
}  # fmt: skip
_EXPECTATIONS = {r"\E", r"\Var", r"\operatorname{Cov}", r"\operatorname{Var}"}
_OF_MATRICES = {r"\det", r"\operatorname{tr}"}
_SIGNS = {
    "=": "=", "<": "<", ">": ">", r"\leq": "<=", r"\le": "<=", r"\geq": ">=", r"\ge": ">=",
}  # fmt: skip
_OPENING = {"(": ")", "[": "]", "{": "}", r"\{": r"\}"}


def _matrix(value: SymArray, name: str) -> sp.Matrix:
    if value.ndim != 2:
        raise TexError(f"{name} needs a matrix, not an array of shape {value.shape}")
    return sp.Matrix(*value.shape, list(value.cells.flat))


# -- the reader ------------------------------------------------------------------------------------


def read(latex: str, names: Mapping[str, Any]) -> Statement:
    r"""Read a displayed equation.

    Parameters
    ----------
    latex : str
        One relation, or several in the rows of `aligned`; a row that begins with a sign goes on
        with what stands above it. Clauses follow a `\qquad`: `(0 < x < 1)` restricts a symbol,
        `\text{at } z = f(x)` puts a value in its place.
    names : mapping of str to object
        What every name stands for, keyed by its LaTeX (`r"\mu"`, `"p_X"`, `r"\bar{x}"`): a number,
        SymPy expression or SymArray; a function of such, in NumPy or SymPy; a distribution, whose
        value at a point is its density; any other object, which can be an argument alone. A key
        like `r"\E_p"` or `r"\sum_{i=1}^n"` declares an operator: a function of the formula that
        follows it. Primes need no key: `f'` is the derivative of `f`.

    Returns
    -------
    Statement

    Raises
    ------
    TexError
        If a name is not declared, a token is left over, or a formula is ambiguous.
    """
    return _Reader(latex, names).statement()


class _Reader:
    def __init__(self, latex: str, names: Mapping[str, Any]) -> None:
        self.latex = " ".join(latex.split())
        self.tokens = _tokens(latex)
        self.at = 0
        self.bars = [0]  # how many absolute values are open, for each bracket around
        self.names = {_canonical(key): value for key, value in names.items()}
        self.in_matrix = False

    # tokens

    def peek(self, ahead: int = 0) -> str | None:
        place = self.at + ahead
        return self.tokens[place] if place < len(self.tokens) else None

    def take(self) -> str:
        token = self.peek()
        if token is None:
            self.fail("unexpected end")
        self.at += 1
        return token

    def skip(self, *tokens: str) -> bool:
        if self.peek() in tokens:
            self.at += 1
            return True
        return False

    def expect(self, token: str) -> None:
        if not self.skip(token):
            self.fail(f"expected {token!r}, found {self.peek()!r}")

    def fail(self, what: str) -> NoReturn:
        done = " ".join(self.tokens[max(0, self.at - 6) : self.at])
        raise TexError(f"{what}, after {done!r} in {self.latex!r}")

    # statements

    def statement(self) -> Statement:
        relations, equivalent = [self.relation()], False
        while not self.begins_clause():
            iff = self.skip(r"\iff")
            equivalent |= iff
            if not iff and (not self.separator() or self.begins_clause()):
                break
            relations.append(self.relation())
        if equivalent and len(relations) != 2:
            self.fail(r"\iff stands between two relations")
        where: dict[sp.Symbol, tuple[sp.Expr, sp.Expr]] = {}
        while self.skip(_CLAUSE) or _is_text(self.peek()):
            relations = self.clause(relations, where)
        self.skip(".", ",")
        if self.peek() is not None:
            self.fail(f"can't read {' '.join(self.tokens[self.at :])!r}")
        return Statement(tuple(relations), where, equivalent)

    def begins_clause(self) -> bool:
        return self.peek() in (None, ".", _CLAUSE) or _is_text(self.peek())

    def separator(self) -> bool:
        """Pass what stands between two equations: a comma, the end of a row, or both."""
        comma = self.skip(",")
        return self.skip(_ROW) or comma

    def relation(self) -> Relation:
        sides, signs = [self.number(self.expression())], []
        while (sign := self.sign()) is not None:
            signs.append(sign)
            sides.append(self.number(self.expression()))
        if not signs:
            self.fail("expected a relation")
        return Relation(tuple(sides), tuple(signs))

    def sign(self) -> str | None:
        ahead = self.to_next_row()
        token = self.peek(ahead)
        if token not in _SIGNS:
            return None
        self.at += ahead + 1
        return _SIGNS[token]

    def clause(
        self, relations: list[Relation], where: dict[sp.Symbol, tuple[sp.Expr, sp.Expr]]
    ) -> list[Relation]:
        if _is_text(self.peek()):
            word = self.take().removeprefix(r"\text{").removesuffix("}").strip()
            if word == "at":
                symbol = self.symbol(self.expression())
                self.expect("=")
                value = self.number(self.expression())
                return [_put(relation, symbol, value) for relation in relations]
            if word != "for":
                self.fail(f"a clause begins with 'at', 'for' or a bracket, not {word!r}")
            self.restrict(where)
            return relations
        self.expect("(")
        self.restrict(where)
        self.expect(")")
        return relations

    def restrict(self, where: dict[sp.Symbol, tuple[sp.Expr, sp.Expr]]) -> None:
        bounds = self.relation()
        signs, sides = tuple(bounds.signs), [side.expr for side in bounds.sides]
        low, high = -sp.oo, sp.oo
        if signs == ("<", "<"):
            low, symbol, high = sides
        elif signs == (">",):
            symbol, low = sides
        elif signs == ("<",):
            symbol, high = sides
        else:
            self.fail("a condition is an open interval: x > 0, x < 1 or 0 < x < 1")
        where[self.symbol(SymArray(symbol))] = (low, high)

    def to_next_row(self) -> int:
        """Return how far ahead a sign stands that goes on with the row above."""
        return 1 if self.peek() == _ROW and not self.in_matrix else 0

    # sums and products

    def expression(self) -> Any:
        value = self.signed_term()
        while True:
            ahead = self.to_next_row()
            sign = self.peek(ahead)
            if sign not in ("+", "-"):
                return value
            self.at += ahead + 1
            value, other = self.number(value), self.number(self.term())
            if 2 in (value.ndim, other.ndim) and value.shape != other.shape:
                self.fail(f"the shapes {value.shape} and {other.shape} can't be added")
            value = value + other if sign == "+" else value - other

    def signed_term(self) -> Any:
        if self.skip("{"):  # {} before a sign, for its spacing
            if self.skip("}"):
                return self.signed_term()
            self.at -= 1
        if self.skip("-"):
            return -self.number(self.term())
        self.skip("+")
        return self.term()

    def term(self) -> Any:
        value = self.factor()
        while True:
            if self.skip(r"\cdot", r"\times"):
                value = self.product(value, self.factor())
            elif self.skip("/"):
                value = self.number(value) / self.single(self.factor(), "a denominator")
                if self.begins_factor():
                    self.fail("what stands below / is not clear; write brackets or \\frac")
            elif self.begins_factor():
                if _NUMBER.fullmatch(self.peek() or ""):
                    self.fail("a number stands behind a factor; write \\cdot between them")
                value = self.product(value, self.factor())
            else:
                return value

    def product(self, left: Any, right: Any) -> SymArray:
        a, b = self.number(left), self.number(right)
        if a.ndim == b.ndim == 2:
            cells = a.cells @ b.cells
            return SymArray(cells[0, 0] if cells.shape == (1, 1) else cells)  # a row by a column
        if {a.ndim, b.ndim} == {1, 2}:
            self.fail("the product of a matrix and a list of numbers is not clear")
        return SymArray(a * b)

    def begins_factor(self) -> bool:
        token = self.peek()
        if token is None:
            return False
        if token == "|":
            return self.bars[-1] == 0
        if token == "{":
            return self.peek(1) != "}"
        closing = {*"+-)]},;./:&", r"\}", r"\cdot", r"\times", r"\diff", r"\end", r"\iff"}
        return token not in {*closing, _ROW, _CLAUSE, *_SIGNS} and not _is_text(token)

    def factor(self) -> Any:
        value = self.atom()
        if self.skip("^"):
            value = self.power(value)
            if self.peek() == "^":
                self.fail("a power of a power needs brackets")
        return value

    def power(self, value: Any) -> SymArray:
        base = self.number(value)
        if self.peek() == "{" and self.peek(1) == r"\mathsf" and self.peek(2) == "T":
            self.at += 3
            self.expect("}")
            if base.ndim != 2:
                self.fail("only a matrix has a transpose")
            return SymArray(base.cells.T)
        exponent = self.single(self.group(), "an exponent")
        if base.ndim == 2:
            if exponent.expr != -1:
                self.fail("a matrix has the power -1 and no other")
            inverse = _matrix(base, "the inverse").inv()
            return SymArray(np.array(inverse.tolist(), dtype=object))
        return SymArray(base**exponent)

    def group(self) -> Any:
        r"""Read what a command takes: a group in braces, or one token (`\frac12`, `e^x`)."""
        token = self.peek()
        if token == "{":
            return self.bracketed("{")
        if token is not None and token.isdigit() and len(token) > 1:
            self.tokens[self.at : self.at + 1] = list(token)
        return self.atom()

    def bracketed(self, opening: str) -> Any:
        self.expect(opening)
        self.bars.append(0)
        value = self.expression()
        self.bars.pop()
        self.expect(_OPENING[opening])
        return value

    # atoms

    def atom(self) -> Any:
        token = self.peek()
        if token is None:
            self.fail("unexpected end")
        if _NUMBER.fullmatch(token):
            return SymArray(sp.Rational(self.take()))
        if token in _OPENING:
            start = self.at
            value = self.bracketed(token)
            if token == "{":
                self.check_braces(self.tokens[start + 1 : self.at - 1])
            return value
        if token == "|":
            return self.absolute_value()
        if token in (r"\frac", r"\tfrac", r"\dfrac"):
            return self.fraction()
        if token == r"\sqrt":
            self.take()
            if self.peek() == "[":
                self.fail("of the roots only the square root is read")
            return SymArray(self.single(self.group(), "a root") ** sp.Rational(1, 2))
        if token == r"\int":
            return self.integral()
        if token == r"\begin":
            return self.matrix()
        return self.named()

    def check_braces(self, inside: list[str]) -> None:
        """Refuse braces that have to be read as brackets: on the page they print nothing."""
        depth = 0
        for place, token in enumerate(inside):
            depth += (token in _OPENING) - (token in _OPENING.values())
            sign = token in ("+", "-") and depth == 0
            if sign and (place or self.peek() == "^"):
                self.fail("braces print nothing; write brackets")

    def single(self, value: Any, what: str) -> SymArray:
        """Return a number, or numbers side by side, but no matrix."""
        number = self.number(value)
        if number.ndim == 2:
            self.fail(f"{what} can't be a matrix")
        return number

    def absolute_value(self) -> SymArray:
        self.expect("|")
        self.bars[-1] += 1
        value = self.single(self.expression(), "an absolute value")
        self.bars[-1] -= 1
        self.expect("|")
        return SymArray(abs(value))

    def fraction(self) -> SymArray:
        self.take()
        if self.peek() == "{" and self.begins_differential(1):
            return self.derivative()
        above = self.number(self.group())
        return SymArray(above / self.number(self.group()))

    def begins_differential(self, ahead: int) -> bool:
        plain = self.peek(ahead) == "d" and "d" not in self.names
        return plain or self.peek(ahead) in (r"\partial", r"\diff")

    def derivative(self) -> SymArray:
        """Read a derivative, of what stands above the line or of the term behind it."""
        self.expect("{")
        sign = self.take()
        order = self.order()
        value = None if self.peek() == "}" else self.number(self.expression())
        self.expect("}")
        self.expect("{")
        variables: list[SymArray] = []
        while self.skip(sign):
            variable = self.number(self.atom())
            if self.peek() == "^" and (self.peek(1) or "").isdigit():
                variables += [variable] * self.order()
            else:
                variables.append(self.power(variable) if self.skip("^") else variable)
        self.expect("}")
        if len(variables) != order:
            self.fail(f"{order} derivatives above the line, {len(variables)} below")
        if value is None:
            value = self.number(self.term())
        for variable in variables:
            value = self.differentiated(value, variable)
        return value

    def order(self) -> int:
        return int(self.take()) if self.skip("^") else 1

    def differentiated(self, value: SymArray, variable: SymArray) -> SymArray:
        for cell in variable.cells.flat:
            if not isinstance(cell, sp.Symbol | AppliedUndef):
                self.fail(f"a derivative is by a symbol, not by {cell}")
        by = np.frompyfunc(lambda formula, symbol: sp.diff(formula, symbol), 2, 1)
        gradient = value.ndim == 2 and variable.ndim == 2 and 1 in value.shape
        if variable.ndim and value.ndim and not gradient:
            self.fail("the derivative of an array by an array is not read here")
        return SymArray(by(value.cells, variable.cells))

    def integral(self) -> SymArray:
        self.take()
        self.expect("_")
        low = self.number(self.group())
        self.expect("^")
        high = self.number(self.group())
        value = self.number(self.integrand())
        self.expect(r"\diff")
        variable = self.symbol(self.atom())
        if self.peek() == "^":
            self.fail("a power behind the variable of an integral is not clear")
        return SymArray(sp.integrate(value.expr, (variable, low.expr, high.expr)))

    def integrand(self) -> Any:
        end, depth = self.at, 0
        while end < len(self.tokens) and (depth or self.tokens[end] != r"\diff"):
            depth += (self.tokens[end] in _OPENING) - (self.tokens[end] in _OPENING.values())
            end += 1
        rest = self.tokens[end:]
        del self.tokens[end:]
        value = self.expression()
        if self.peek() is not None:
            self.fail("can't read the integrand")
        self.tokens += rest
        return value

    def matrix(self) -> SymArray:
        self.take()
        if _raw(self) != "p m a t r i x":
            self.fail("of the environments only aligned and pmatrix are read")
        around, self.in_matrix = self.in_matrix, True
        rows: list[list[sp.Expr]] = [[]]
        while True:
            rows[-1].append(self.number(self.expression()).expr)
            if self.skip(_ROW):
                rows.append([])
            elif not self.skip("&"):
                break
        self.in_matrix = around
        self.expect(r"\end")
        _raw(self)
        if len({len(row) for row in rows}) != 1:
            self.fail("the rows of the matrix differ in length")
        return SymArray(np.array(rows, dtype=object))

    # names

    def named(self) -> Any:
        start = self.at
        name = _Name.read(self)
        for primes, power in ((name.primes, name.power), (name.primes, ""), (0, "")):
            key = name.key(primes, power)
            if key in self.names or (not primes and key in _BUILT_IN):
                if not power:  # what is raised then is a power, not part of the name
                    self.at = name.before_power
                return self.value_of(key, name.primes - primes)
        self.at = start
        self.fail(f"undeclared name {name.key(name.primes, '')!r}")

    def value_of(self, key: str, derivatives: int) -> Any:
        if derivatives and key not in self.names:
            self.fail(f"{key!r} has no prime here")
        operator = key.split("_")[0].split("^")[0] in _OPERATORS
        if key in self.names:
            value = self.names[key]
            if operator and callable(value):
                return self.operated(value, key)
            if _is_density(value) or (callable(value) and not isinstance(value, SymArray)):
                return self.called(key, value, derivatives)
            if derivatives:
                self.fail(f"{key!r} is not a function, and has no derivative {key}'")
            return self.plain(value)
        if key in _CONSTANTS:
            return SymArray(_CONSTANTS[key])
        if key in _OF_SEVERAL:
            arguments = [self.number(value).expr for value in self.arguments(key)]
            return SymArray(_OF_SEVERAL[key](*arguments))
        return self.applied(key)

    def plain(self, value: Any) -> Any:
        if isinstance(value, SymArray):
            return value
        if isinstance(value, sp.Expr | int | float | np.ndarray | np.number):
            return SymArray(value)
        if isinstance(value, sp.MatrixBase):
            return SymArray(np.array(value.tolist(), dtype=object))
        return value

    def operated(self, operator: Callable[[SymArray], Any], key: str) -> Any:
        """Apply an operator to a bracket, or to the rest of the term."""
        head = key.split("_")[0].split("^")[0]
        if head in _EXPECTATIONS and self.peek() in ("[", "("):
            opening = self.peek() or ""
            value = self.bracketed(opening)
            if opening == "(" and (self.begins_factor() or self.peek() in ("^", "/")):
                self.fail(f"where the argument of {key} ends is not clear; write square brackets")
        else:
            value = self.term()
        return self.plain(operator(self.number(value)))

    def called(self, key: str, function: Any, derivatives: int) -> Any:
        if self.peek() not in ("(", "{"):
            if derivatives:
                self.fail(f"the derivative of {key!r} needs its argument")
            return function  # as the argument of another function
        arguments = self.arguments(key)
        if _is_density(function):
            density = function
            if len(arguments) != 1:
                self.fail(f"the density {key!r} has one argument")
            function = lambda x: np.exp(density.log_prob(x))  # noqa: E731
        if not derivatives:
            try:
                return self.plain(_call(function, arguments))
            except TypeError as error:
                self.fail(f"{key!r} can't be called with {len(arguments)} arguments: {error}")
        if len(arguments) != 1:
            self.fail(f"{key}' is not clear: {key!r} has {len(arguments)} arguments")
        argument = self.number(arguments[0]).expr
        # a symbol of its own: the function may use that of the argument for something else
        known = argument.assumptions0 if isinstance(argument, sp.Symbol) else {"real": True}
        variable = sp.Dummy("u", **known)
        value = self.number(self.plain(_call(function, [SymArray(variable)]))).expr
        slope = sp.diff(value, variable, derivatives)
        return SymArray(slope.subs(variable, argument).doit())

    def arguments(self, key: str) -> list[Any]:
        if self.peek() == "{":  # a macro with its arguments in braces
            found = []
            while self.peek() == "{":
                found.append(self.bracketed("{"))
            return found
        self.bars.append(0)
        self.expect("(")
        found = [self.expression()]
        while self.skip(",", ";"):
            found.append(self.expression())
        self.bars.pop()
        if self.peek() != ")":
            self.fail(f"expected ')' behind the arguments of {key!r}, found {self.peek()!r}")
        self.take()
        return found

    def applied(self, key: str) -> SymArray:
        r"""Apply a function like `\log`, with or without brackets around its argument."""
        power = None
        if self.skip("^"):
            power = self.number(self.group())
            if power.expr == -1:
                self.fail(f"{key}^{{-1}} can be read in two ways; write the inverse by its name")
        if self.peek() in ("(", "[", "|"):
            bracket = self.peek()
            argument = self.number(self.atom())
            if bracket != "|" and self.peek() == "^":
                self.fail(f"{key}(...)^ can be read in two ways")
        else:
            argument = self.number(self.bare_argument(key))
        if key not in _OF_MATRICES:
            self.single(argument, f"the argument of {key}")
        value = _FUNCTIONS[key](argument)
        return value if power is None else SymArray(value**power)

    def bare_argument(self, key: str) -> Any:
        """Read an argument without brackets: numbers and symbols side by side, or one thing."""
        value, simple = self.simple_factor()
        while simple and self.begins_factor() and not self.begins_function():
            if self.peek() in _OPENING or self.peek() == "|":
                break
            other, simple = self.simple_factor()
            value = self.product(value, other)
        if self.begins_factor() and not self.begins_function():
            self.fail(f"where the argument of {key} ends is not clear; write brackets")
        return value

    def begins_function(self) -> bool:
        return self.peek() in _FUNCTIONS or self.peek() in _OF_SEVERAL

    def simple_factor(self) -> tuple[Any, bool]:
        """Read a factor, and tell whether it is a number or symbol, perhaps with a power."""
        start = self.at
        value = self.factor()
        read = self.tokens[start : self.at]
        return value, not ({"(", "[", "|", r"\frac", r"\tfrac", r"\dfrac"} & set(read))

    def number(self, value: Any) -> SymArray:
        if isinstance(value, SymArray):
            return value
        self.fail(f"{value!r} is not a number; it can only be an argument")

    def symbol(self, value: Any) -> sp.Symbol:
        found = self.number(value)
        if found.ndim or not isinstance(found.expr, sp.Symbol):
            self.fail(f"expected a symbol, found {value!r}")
        return found.expr


_BUILT_IN = {*_FUNCTIONS, *_OF_SEVERAL, *_CONSTANTS}


@dataclass(frozen=True)
class _Name:
    r"""A name as it is written: `f_\theta''`, `\gamma^*`, `\hat\mu_{n+1}`, `\sum_{i=1}^n`."""

    head: str
    subscript: str
    primes: int
    power: str
    before_power: int

    @classmethod
    def read(cls, reader: _Reader) -> _Name:
        head = reader.take()
        if head in _ACCENTS:
            head += "{" + _raw(reader) + "}"
        elif not re.fullmatch(r"[A-Za-z]|\\[A-Za-z]+(\{.*\})?", head):
            reader.at -= 1
            reader.fail(f"can't read {head!r}")
        subscript, primes, power, before = "", 0, "", reader.at
        while True:
            if reader.peek() == "_" and not subscript:
                reader.take()
                subscript = _raw(reader)
            elif reader.peek() == "'":
                reader.take()
                primes += 1
            else:
                break
        before = reader.at
        if reader.peek() == "^":
            reader.take()
            power = _raw(reader)
        return cls(head, subscript, primes, power, before)

    def key(self, primes: int, power: str) -> str:
        subscript = f"_{{{self.subscript}}}" if self.subscript else ""
        return f"{self.head}{subscript}{chr(39) * primes}" + (f"^{{{power}}}" if power else "")


def _raw(reader: _Reader) -> str:
    """Return the text of the next group, or of a single token, in one way of writing it."""
    if reader.peek() != "{":
        token = reader.take()
        if token in _ACCENTS:
            return token + "{" + _raw(reader) + "}"
        if token.isdigit() and len(token) > 1:
            reader.at -= 1
            reader.tokens[reader.at : reader.at + 1] = list(token)
            return reader.take()
        return token
    reader.take()
    parts = []
    while reader.peek() != "}":
        parts.append("{" + _raw(reader) + "}" if reader.peek() == "{" else _part(reader))
    reader.take()
    return " ".join(parts)


def _part(reader: _Reader) -> str:
    token = reader.take()
    return token + "{" + _raw(reader) + "}" if token in _ACCENTS else token


def _canonical(key: str) -> str:
    """Return a declared name in the one way in which names are compared."""
    reader = object.__new__(_Reader)
    reader.__dict__.update(
        latex=key, tokens=_tokens(key), at=0, bars=[0], names={}, in_matrix=False
    )
    name = _Name.read(reader)
    if reader.peek() is not None:
        reader.fail("a name is a letter or command with accents, subscript, primes, superscript")
    return name.key(name.primes, name.power)


def _is_density(value: Any) -> bool:
    return hasattr(value, "log_prob") and not isinstance(value, type)


def _call(function: Callable[..., Any], arguments: list[Any]) -> Any:
    if isinstance(function, UndefinedFunction):
        return function(*(argument.expr for argument in arguments))
    return function(*arguments)


def _put(relation: Relation, symbol: sp.Symbol, value: SymArray) -> Relation:
    """Put a value in the place of a symbol, on every side."""
    put = _cellwise(lambda formula: formula.subs(symbol, value.expr).doit())
    return Relation(tuple(put(side) for side in relation.sides), relation.signs)
