"""Decide whether two real expressions are equal: proved, refuted, or neither, and never a guess.

`decide` works in two opposite directions. First it tries to *refute* (`refute`): both sides are
enclosed in intervals at many rational points, so that a disagreement is certain. What survives it
tries to *prove* (`claims`): the sign of everything in an absolute value, maximum or case
distinction is assumed to be positive, then negative (`branches`); exponentials, roots and
logarithms become symbols of their own (`convert`, `kernels`); what is left is a rational function,
which is zero or not (`zero`). Chapter 3 explains the method.

A claim is about almost every real point: at each, both sides are real numbers and equal, or neither
side is a real number. Points in which a denominator is zero or a case changes may be exceptions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from time import monotonic

import sympy as sp
from sympy.core.relational import Relational

from .branches import Branch, on_every_branch, zero_of
from .claims import Claim, Equality, LogDet, has_no_poles, proved
from .convert import Converter
from .enclosure import is_rounded, sign_at
from .outcomes import (
    CHECKED,
    NAN,
    OPEN,
    PROVED_EXACT,
    PROVED_IDENTITY,
    REFUTED,
    Decision,
    Undecided,
    Undefined,
)
from .refute import POINTS, Evidence, look_for_counterexample
from .signs import SECONDS
from .unknown import substituted, with_concrete_functions
from .zero import Method


def described(error: Exception) -> str:
    """Say in one line why a step failed."""
    if isinstance(error, Undefined):
        return "an expression is not real in one of the cases"
    text = " ".join(str(error).split())
    return text if isinstance(error, Undecided) else f"{type(error).__name__}: {text}"


@lru_cache(maxsize=512)
def _decide(claim: Claim, shown_items: tuple[tuple[str, sp.Expr], ...]) -> Decision:
    """Refute the claim, or prove it, or say what is known."""
    shown = dict(shown_items)
    symbols = sorted(
        set().union(*(e.free_symbols for e in (*claim.expressions, *shown.values()))),
        key=sp.default_sort_key,
    )
    try:
        concrete = replace(
            claim, expressions=tuple(with_concrete_functions(e) for e in claim.expressions)
        )
        seen = look_for_counterexample(concrete.sides, symbols, shown, claim.total)
    except Exception as error:  # whatever SymPy fails with is no reason to fail ourselves
        seen = Evidence(note=described(error))
    if seen.witness is not None:
        if _within_rounding(seen.witness) and any(_is_long(e) for e in claim.expressions):
            return Decision(OPEN, "the sides differ by no more than the rounding of constants")
        return Decision(REFUTED, witness=seen.witness)
    if seen.blurred:
        constants = sorted(
            {n for e in claim.expressions for n in e.atoms(sp.Rational) if is_rounded(n)}, key=float
        )
        names = ", ".join(repr(float(n)) for n in constants)
        return Decision(OPEN, f"the sides differ by the rounding of the constant {names}")
    if seen.undefined and not seen.agreed:
        return Decision(OPEN, f"each side is {NAN} at every point that was tried")
    method, note = Method(), "no proof found"
    try:
        if proved(claim, method):
            return Decision(PROVED_EXACT if method.exact else PROVED_IDENTITY)
    except Exception as error:
        note = f"no proof found: {described(error)}"
    if seen.agreed >= min(10, POINTS) or (seen.agreed and not symbols):
        return Decision(CHECKED, note)
    return Decision(OPEN, seen.note or note)


def _within_rounding(witness: Mapping[str, str]) -> bool:
    """Whether the two sides of a witness differ by less than 10⁻¹³ of their size."""
    try:
        lhs, rhs = float(witness["lhs"]), float(witness["rhs"])
        return abs(float(witness["difference"])) <= 1e-13 * max(abs(lhs), abs(rhs))
    except ValueError:  # one side is not a number
        return False


def _is_long(expr: sp.Expr) -> bool:
    """Whether a constant has so many digits that it may have been rounded."""
    return any(max(abs(n.p), n.q) > 10**12 for n in expr.atoms(sp.Rational))


@dataclass(frozen=True)
class _Real:
    """Turns symbols into real ones: those without assumptions, and those with unusual ones."""

    twins: dict[sp.Symbol, sp.Expr]

    @classmethod
    def of(cls, *expressions: sp.Expr) -> _Real:
        """Choose a real or positive symbol, or a negative one's size, for each symbol."""
        symbols: set[sp.Symbol] = set().union(*(sp.sympify(e).free_symbols for e in expressions))
        return cls({s: cls._twin(s) for s in sorted(symbols, key=sp.default_sort_key)})

    @staticmethod
    def _twin(symbol: sp.Symbol) -> sp.Expr:
        if symbol.is_positive or symbol.is_nonnegative or symbol.is_nonpositive:
            if symbol.is_positive:
                return symbol
            size = sp.Dummy(symbol.name, positive=True, integer=symbol.is_integer)
            return size if symbol.is_nonnegative else -size
        return symbol if symbol.is_real else sp.Dummy(symbol.name, real=True)

    def __call__(self, expr: sp.Expr) -> sp.Expr:
        return substituted(sp.sympify(expr), self.twins)

    def shown(self, values: Mapping[str, sp.Expr] | None) -> tuple[tuple[str, sp.Expr], ...]:
        """Return what a witness shows; by default every symbol by its name."""
        if values:
            return tuple((name, self(value)) for name, value in values.items())
        return tuple((symbol.name, twin) for symbol, twin in self.twins.items())

    def variable(self, symbol: sp.Symbol) -> sp.Symbol:
        """Return the symbol to differentiate by."""
        return next(iter(self(symbol).free_symbols))


def decide(lhs: sp.Expr, rhs: sp.Expr, shown: Mapping[str, sp.Expr] | None = None) -> Decision:
    """Decide whether `lhs = rhs`.

    Parameters
    ----------
    lhs, rhs : SymPy expression
        Symbols without assumptions stand for real numbers.
    shown : mapping of name to SymPy expression, optional
        What a witness shows; by default the value of every symbol.

    Returns
    -------
    Decision

    Examples
    --------
    >>> x = sp.Symbol("x", real=True)
    >>> decide(sp.log(1 + sp.exp(x)), sp.Max(x, 0) + sp.log(1 + sp.exp(-sp.Abs(x)))).verdict
    'proved (exact)'
    >>> decide(sp.log(x**2), 2 * sp.log(x)).witness["rhs"]
    'not a real number'
    """
    if lhs == rhs:
        return Decision(PROVED_EXACT)
    real = _Real.of(lhs, rhs, *(shown or {}).values())
    return _decide(Equality((real(lhs), real(rhs))), real.shown(shown))


def decide_log_det(
    log_det: sp.Expr,
    values: Sequence[sp.Expr],
    variables: Sequence[sp.Symbol],
    arguments: Sequence[sp.Expr] | None = None,
    shown: Mapping[str, sp.Expr] | None = None,
) -> Decision:
    """Decide whether `log_det = log|det ∂values/∂arguments|`, and all of them are real.

    Parameters
    ----------
    log_det : SymPy expression
    values : sequence of SymPy expressions
    variables : sequence of symbols
        As many as values.
    arguments : sequence of SymPy expressions, optional
        What to differentiate by: functions of the variables, by default the variables themselves.
    shown : mapping of name to SymPy expression, optional
        What a witness shows; by default the value of every symbol.

    Examples
    --------
    >>> z = sp.Symbol("z", real=True)
    >>> decide_log_det(-sp.log(1 + sp.exp(-z)), [sp.log(1 + sp.exp(z))], [z]).verdict
    'proved (exact)'
    """
    given = (log_det, *values, *(arguments or variables))
    real = _Real.of(*given, *variables, *(shown or {}).values())
    claim = LogDet(tuple(map(real, given)), tuple(map(real.variable, variables)))
    return _decide(claim, real.shown(shown))


@lru_cache(maxsize=512)
def sign_of(expr: sp.Expr) -> int | None:
    """Return 1 or -1 if the expression is shown to be positive or negative almost everywhere.

    None means that it has no single sign, or that the method does not find it.

    Examples
    --------
    >>> x = sp.Symbol("x", positive=True)
    >>> sign_of(1 - sp.exp(-x))
    1
    """
    return _common_sign((expr,), lambda _, smooth: smooth[0])


@lru_cache(maxsize=512)
def derivative_sign(
    value: sp.Expr, variable: sp.Symbol, argument: sp.Expr | None = None
) -> int | None:
    """Return 1 or -1 if `∂value/∂argument` is shown to be positive or negative almost everywhere.

    `argument`, a monotone function of `variable`, is `variable` itself unless it is given.
    """

    def slope(branch: Branch, smooth: Sequence[sp.Expr]) -> sp.Expr:
        over, under = (sp.diff(expr, branch.variables[0]) for expr in smooth)
        return over / under

    return _common_sign((value, variable if argument is None else argument), slope, (variable,))


@lru_cache(maxsize=512)
def is_continuous(value: sp.Expr, variable: sp.Symbol) -> bool:
    """Whether a value is shown to be a continuous function of a variable, wherever it is real.

    A case distinction may have a boundary at a value of the variable that can be solved for.
    """
    real = _Real.of(value, variable)
    value, variable = real(value), real.variable(variable)
    for power in value.atoms(sp.Pow):
        base = power.base
        if power.exp.is_negative and base.has(sp.Abs, sp.sign):
            constant, rest = base.as_coeff_Add()
            if not (constant > 0 and is_positive(rest)):
                return False  # a pole could hide behind an absolute value
    if value.has(sp.Eq, sp.Ne):
        return False  # a single point could lie elsewhere
    cores = [node.args[0] for node in value.atoms(sp.sign)]
    for piecewise in value.atoms(sp.Piecewise):
        for _, condition in piecewise.args:
            cores += [r.lhs - r.rhs for r in condition.atoms(Relational)]
    step = sp.Dummy("step", positive=True)
    try:
        for core in cores:
            if variable not in core.free_symbols:
                continue
            boundary = zero_of(core, variable)
            if boundary is None:
                return False
            if variable.is_positive and boundary.is_nonpositive:
                continue
            sides = tuple(value.xreplace({variable: boundary + way * step}) for way in (-1, 1))
            if not on_every_branch(Branch(sides, (step,)), _meet):
                return False
        return on_every_branch(Branch((value,)), _has_no_poles)
    except Exception:  # not shown, for whatever reason
        return False


def _meet(branch: Branch) -> bool:
    """Whether two expressions agree in the limit of the branch's variable to 0."""
    kernels, step = Converter(facts=branch.facts), branch.variables[0]
    left, right = (kernels.resolve(expr).subs(step, 0) for expr in branch.expressions)
    return decide(left, right).verdict.startswith("proved")


def _has_no_poles(branch: Branch) -> bool:
    kernels = Converter(facts=branch.facts)
    smooth = kernels.resolve(branch.expressions[0])
    kernels.convert(smooth)
    return has_no_poles(smooth, kernels)


def direction(value: sp.Expr, variable: sp.Symbol) -> int:
    """Return the sign of `value(2) - value(1)` at one point: the direction of a monotone value."""
    real = _Real.of(value, variable)
    value, variable = real(value), real.variable(variable)
    rise = value.xreplace({variable: sp.Integer(2)}) - value.xreplace({variable: sp.S.One})
    try:
        return sign_at(rise, {s: sp.Rational(1, 3) for s in rise.free_symbols})
    except (Undecided, Undefined):
        return 0


def _common_sign(
    expressions: Sequence[sp.Expr],
    quantity: Callable[[Branch, Sequence[sp.Expr]], sp.Expr],
    variables: Sequence[sp.Symbol] = (),
) -> int | None:
    """Return the sign of a quantity if it is the same on every branch."""
    found: set[int | None] = set()
    deadline = monotonic() + SECONDS

    def check(branch: Branch) -> bool:
        kernels = Converter(facts=branch.facts, deadline=deadline)
        smooth = [kernels.resolve(expr) for expr in branch.expressions]
        for expr in smooth:
            kernels.convert(expr)  # splits where the expression itself depends on a sign
        found.add(kernels.sign_or_none(quantity(branch, smooth)))
        return len(found) == 1 and found <= {1, -1}

    real = _Real.of(*expressions, *variables)
    start = Branch(tuple(map(real, expressions)), tuple(map(real.variable, variables)))
    try:
        return found.pop() if on_every_branch(start, check) else None
    except Exception:  # not found, for whatever reason
        return None


def is_positive(expr: sp.Expr) -> bool:
    """Whether the expression is shown to be positive almost everywhere."""
    return sign_of(expr) == 1
