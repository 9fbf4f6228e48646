"""Exercises: what is asked, the right answer, the wrong ones that are known, and how to mark one.

The right answer comes from the shipped code, run on symbols. An answer is first compared with it at
points, so that a wrong one is told where it differs; what agrees there goes to the prover.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import mpmath
import numpy as np
import sympy as sp

from ..symbolic import prove
from ..symbolic.outcomes import OPEN, REFUTED
from .answers import Reading, cells_of, read, require_answer, values_of
from .reply import NOT_YET, RIGHT, SECONDS, UNDECIDED, OutOfTime, Reply, Unusable, time_limit
from .variables import Data, Point, Range, Variable, points, spoken_point

# How far values may be apart, in units of max(1, |expected|).
_EXACT = 1e-25  # formulas, in arithmetic of 40 digits
_FLOAT = 1e-12  # functions that have no formula
_ROUNDING = 1e-6  # functions that have one: the prover decides, this only finds another function
_DECIMAL = 1e-9  # a decimal number for an exact one
_NEAR, _ROUNDED = 1e-6, 1e-3  # so near that a constant, or a number, may have been rounded
_MANY_DIGITS = 400

_UNPROVED = (
    "yours agrees with the answer at all {} points that were tried, but no proof was found{}. "
    "Try a simpler form."
)


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that readers give, and the hint for it."""

    answer: Any
    hint: str


@dataclass(frozen=True, kw_only=True)
class Exercise(ABC):
    """What every exercise has; `Formula` and `Map` are the two kinds.

    Attributes
    ----------
    name : str
        That of the exercise in the book without its `ex-`; with a word more where one exercise
        asks several questions.
    reference : callable
        Returns the right answer, from shipped code.
    solution : object
        The worked answer, as a reader would hand it over.
    mistakes : tuple of Mistake
        Wrong answers, each with a hint of its own.
    hint : str
        For every other wrong answer.
    """

    name: str
    reference: Callable[..., Any]
    solution: Any
    mistakes: tuple[Mistake, ...] = ()
    hint: str

    @property
    @abstractmethod
    def asked(self) -> str:
        """What is asked for, in words."""

    @abstractmethod
    def mark(self, answer: Any) -> Reply:
        """Mark an answer. Raises `Unusable` if it is none, and `OutOfTime`."""

    def check(self, answer: Any) -> Reply:
        """Mark an answer within a limited time, and never raise."""
        try:
            with time_limit(SECONDS), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a reply says what there is to say
                return self.mark(answer)
        except Unusable as problem:
            return Reply(problem.verdict, str(problem))
        except OutOfTime:
            return Reply(
                UNDECIDED, f"it takes longer than {SECONDS:g} seconds. Try a simpler form."
            )
        except (Exception, SystemExit) as error:  # whatever a reader's own object fails with
            return Reply(
                UNDECIDED, f"the answer fails with {type(error).__name__} when it is read."
            )


@dataclass(frozen=True, kw_only=True)
class Formula(Exercise):
    """An exercise whose answer is a formula, a number, or an array of these.

    Attributes
    ----------
    symbols : mapping of name to range
        "real", "positive", "nonzero", an open interval, or `Data(n)` for a vector. The reference is
        called with them, traced, in this order; so is a function that is an answer.
    any_order : bool
        Whether the answer is a list of numbers whose order does not matter.
    """

    symbols: Mapping[str, Range | Data] = field(default_factory=dict)
    any_order: bool = False

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """The symbols with their ranges."""
        return tuple(Variable(name, taking) for name, taking in self.symbols.items())

    @cached_property
    def points(self) -> list[Point]:
        """Where answers are compared; a number has one point."""
        return points(self.variables) if self.variables else [{}]

    @cached_property
    def right(self) -> Reading:
        """The right answer."""
        traced = (variable.traced for variable in self.variables)
        cells = cells_of(self.reference(*traced), "formulas")
        if self.any_order:
            cells = _sorted(cells)
        return Reading(cells, values_of(cells, self.variables, self.points))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the answer."""
        assert self.right.cells is not None
        return self.right.cells.shape

    @property
    def asked(self) -> str:
        """What is asked for, in words."""
        names = ", ".join(variable.named for variable in self.variables)
        size = " × ".join(map(str, self.shape))
        if not names:
            return f"{size} numbers" if self.shape else "a number"
        if not self.shape:
            return f"a formula in {names}, or a NumPy function of {', '.join(self.symbols)}"
        what = f"{size} formulas" if len(self.shape) == 1 else f"a {size} array of formulas"
        return f"{what} in {names}"

    def mark(self, answer: Any) -> Reply:
        """Compare an answer with the right one, at points and then by proof."""
        reading = self._read(answer)
        tolerance = _EXACT
        if reading.is_function:
            tolerance = _FLOAT if reading.cells is None else _ROUNDING
        for place in _differences(reading.values, self.right.values, tolerance):
            if reading.is_function or self._certainly_differ(reading, place):
                return self._as_decimal(reading) or self._not_yet(reading, place)
        if reading.cells is None:
            return Reply(
                RIGHT,
                f"agrees at {len(self.points)} points to {_FLOAT:g}. No formula could be read from "
                f"the function, so this is no proof ({reading.why_not}).",
            )
        return self._proved(reading.cells, reading.is_function)

    def _certainly_differ(self, reading: Reading, place: tuple[int, ...]) -> bool:
        """Whether two formulas differ at a point by more than the digits that cancel there."""
        assert reading.cells is not None
        assert self.right.cells is not None
        point, index = self.points[place[0]], place[1:]
        at = {
            symbol: sp.Rational(point[symbol.name].numerator, point[symbol.name].denominator)
            for variable in self.variables
            for symbol in variable.symbols
        }
        sides = [cells[index].subs(at) for cells in (reading.cells, self.right.cells)]
        verdict = prove(*sides).verdict
        if verdict != OPEN:
            return verdict == REFUTED
        yours, right = (
            values_of(np.array(side, dtype=object), (), [{}], _MANY_DIGITS) for side in sides
        )
        return not _agree(yours, right, _EXACT)

    def _read(self, answer: Any) -> Reading:
        if self.any_order and not callable(answer):
            return _read_set(answer, self)
        return read(answer, self.variables, self.shape, self.points, self.asked)

    def _proved(self, cells: np.ndarray, is_function: bool) -> Reply:
        assert self.right.cells is not None
        used = {s.name for cell in (*cells.flat, *self.right.cells.flat) for s in cell.free_symbols}
        ranges = [v for v in self.variables if used.intersection(v.names)]
        assume = {v.name: v.assumption for v in ranges if v.assumption is not None}
        try:
            proof = prove(_array(cells), _array(self.right.cells), assume=assume)
        except OutOfTime:
            return Reply(UNDECIDED, _UNPROVED.format(len(self.points), f" in {SECONDS:g} seconds"))
        if proof.witness is not None:
            at = ", ".join(
                f"{name} = {proof.witness[name]}" for name in sorted(used) if name in proof.witness
            )
            return Reply(
                NOT_YET,
                f"at {at}: {_sides(proof.witness['lhs'], proof.witness['rhs'])}.",
                self.hint,
            )
        if proof.verdict == OPEN:
            notes = [claim.note for claim in proof.claims if claim.verdict == OPEN]
            return Reply(UNDECIDED, _UNPROVED.format(len(self.points), f" ({notes[0]})"))
        whose = ", read from your code" if is_function else ""
        where = f" for all {_spoken(ranges)}" if ranges else ""
        return Reply(RIGHT, f"{proof.verdict}{where}{whose}")

    # -- wrong answers -------------------------------------------------------------------------

    def _as_decimal(self, reading: Reading) -> Reply | None:
        """Accept a decimal number for an exact one, if it has enough digits."""
        if self.variables or not _agree(reading.values, self.right.values, _DECIMAL):
            return None
        return Reply(
            RIGHT, f"agrees to {-round(np.log10(_DECIMAL))} digits, as a decimal number can"
        )

    def _not_yet(self, reading: Reading, place: tuple[int, ...]) -> Reply:
        yours, expected = reading.values[place], self.right.values[place]
        entry = f"entry {list(place[1:])}, " if len(place) > 1 and not self.any_order else ""
        if self.variables:
            at = f"{entry}at {spoken_point(self.variables, self.points[place[0]])}"
            message = f"{at}: {_sides(yours, expected)}."
            if reading.is_function and reading.cells is not None:
                formula = values_of(reading.cells, self.variables, self.points)
                if _agree(formula[place], expected, _NEAR):
                    return Reply(
                        NOT_YET,
                        f"{message[:-1]} when your code runs on numbers. Run on symbols, it gives "
                        "the right formula. Does it lose digits, or treat the two differently?",
                    )
        else:  # the expected value would be the answer
            message = f"{entry}yours is {_number(yours)}, {_compared(yours, expected)}."
        return Reply(NOT_YET, message, self._hint_for(reading.values))

    def _hint_for(self, values: np.ndarray) -> str:
        for mistake in self.mistakes:
            if _agree(values, self._read(mistake.answer).values, _DECIMAL):
                return mistake.hint
        if _agree(values, self.right.values, _NEAR if self.variables else _ROUNDED):
            return (
                "It is very close. Is a constant rounded, or a value computed numerically? Write "
                "constants exactly, as sp.log(2) or sp.Rational(1, 3)."
            )
        related = _relation(values, self.right.values) if self.variables else ""
        return " ".join(part for part in (related, self.hint) if part)


def _array(cells: np.ndarray) -> Any:
    return cells if cells.shape else cells[()]


def _sorted(cells: np.ndarray) -> np.ndarray:
    made = np.empty(cells.size, dtype=object)
    made[:] = sorted(cells.flat, key=lambda cell: float(cell))
    return made


def _read_set(answer: Any, exercise: Formula) -> Reading:
    require_answer(answer, exercise.asked)
    cells = cells_of(answer, exercise.asked).reshape(-1)
    for cell in cells:  # each has to be a number
        read(cell, (), (), exercise.points, "numbers")
    if len(cells) != exercise.shape[0]:
        have = "1 number" if len(cells) == 1 else f"{len(cells)} numbers"
        raise Unusable(f"the answer has {have}; this exercise asks for {exercise.asked}.")
    cells = _sorted(cells)
    return Reading(cells, values_of(cells, (), exercise.points))


def _differences(yours: Any, expected: Any, tolerance: float) -> Iterator[tuple[int, ...]]:
    """Yield the index of each value that is further away than the tolerance."""
    for place in np.ndindex(expected.shape):
        a, b = mpmath.mpf(yours[place]), mpmath.mpf(expected[place])
        if mpmath.isnan(a) or mpmath.isnan(b):
            if mpmath.isnan(a) != mpmath.isnan(b):
                yield place
        elif a != b and not abs(a - b) <= tolerance * max(1, abs(b)):
            yield place


def _agree(yours: Any, expected: Any, tolerance: float) -> bool:
    a, b = (np.asarray(values, dtype=object) for values in (yours, expected))
    return next(_differences(a, b, tolerance), None) is None


def _relation(yours: np.ndarray, expected: np.ndarray) -> str:
    """Say how two sets of values are related, if they are in a simple way."""
    a, b = (np.array([float(v) for v in values.flat]) for values in (yours, expected))
    if not (np.isfinite(a).all() and np.isfinite(b).all()) or np.ptp(b) == 0.0:
        return ""

    def constant(values: np.ndarray) -> bool:
        return bool(np.isfinite(values).all() and np.ptp(values) <= 1e-9 * np.abs(values).max())

    with np.errstate(all="ignore"):
        if constant(a / b):
            if np.allclose(a, -b, rtol=1e-9, atol=0.0):
                return "The size is right, the sign is not."
            return "Up to a constant factor it is right."
        if constant(a - b):
            return "Up to a constant that is added it is right."
        if np.allclose(np.log(a), b, rtol=1e-9, atol=1e-12):
            return "You have the exponential of what is asked for."
        if np.allclose(np.exp(a), b, rtol=1e-9, atol=1e-12):
            return "You have the logarithm of what is asked for."
        if constant(a * b):
            return "It looks like one over what is asked for."
    return ""


# -- words -----------------------------------------------------------------------------------------


def _number(value: Any, digits: int = 6) -> str:
    value = mpmath.mpf(value)
    if mpmath.isnan(value):
        return "not a real number"
    text: str = mpmath.nstr(value, digits, strip_zeros=True)
    return text.removesuffix(".0")


def _sides(yours: Any, expected: Any) -> str:
    try:
        digits = next(
            n for n in (6, 12, 20, 40) if _number(yours, n) != _number(expected, n) or n == 40
        )
        yours, expected = _number(yours, digits), _number(expected, digits)
    except ValueError:  # a word
        pass
    return f"yours gives {yours}, expected {expected}"


def _compared(yours: Any, expected: Any) -> str:
    if mpmath.isnan(yours):
        return "and the answer is one"
    return "which is too large" if yours > expected else "which is too small"


def _spoken(variables: Sequence[Variable]) -> str:
    """Return `real x, mu and sigma > 0`."""
    real = [v.spoken() for v in variables if v.taking == "real"]
    rest = [v.spoken() for v in variables if v.spoken() not in real]
    return " and ".join(
        part for part in (f"real {', '.join(real)}" if real else "", ", ".join(rest)) if part
    )
