"""The symbols of an exercise: what values they take, and the points at which answers are compared.

Symbols are known by their names. What a reader's symbol assumes does not matter, so
`sp.Symbol("x")` and `symbols("x")` mean the same.
"""

from __future__ import annotations

import numbers
import random
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from ..symbolic import SymArray

# Sizes of the numbers that are tried: plain ones first, because readers see the first that differs.
_PLAIN = [Fraction(n, 2) for n in (1, 2, 3, 4, 5, 6, 7, 8)]
_FINE = [Fraction(n, 8) for n in range(1, 33)]
_WIDE = [Fraction(1, 100), Fraction(1, 10), Fraction(1, 5), *map(Fraction, (5, 6, 7, 9, 10))]
_SIZES = [_PLAIN] * 16 + [_FINE] * 16 + [_WIDE] * 8
POINTS = len(_SIZES)

Range = str | tuple[Any, Any]  # "real", "positive", "nonzero", or an open interval


@dataclass(frozen=True)
class Data:
    """A vector of `length` numbers in a range; for `x` they are called `x1`, ..., `xn`."""

    length: int
    each: Range = "real"


@dataclass(frozen=True)
class Variable:
    """A symbol of an exercise, or a vector of symbols, with its range."""

    name: str
    given: Range | Data = "real"

    @property
    def is_data(self) -> bool:
        """Whether it is a vector."""
        return isinstance(self.given, Data)

    @property
    def taking(self) -> Range:
        """The range of a single symbol."""
        return self.given.each if isinstance(self.given, Data) else self.given

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the single symbols."""
        if isinstance(self.given, Data):
            return tuple(f"{self.name}{i}" for i in range(1, self.given.length + 1))
        return (self.name,)

    @property
    def named(self) -> str:
        """The names in words."""
        return f"{self.names[0]}, ..., {self.names[-1]}" if self.is_data else self.name

    @property
    def symbols(self) -> tuple[sp.Symbol, ...]:
        """The single symbols, as the prover is given them."""
        kind = "positive" if self.taking == "positive" else "real"
        return tuple(sp.Symbol(name, **{kind: True}) for name in self.names)

    @property
    def traced(self) -> SymArray:
        """The symbol, or the vector of symbols, to be put into NumPy code."""
        return SymArray(list(self.symbols) if self.is_data else self.symbols[0])

    @property
    def assumption(self) -> str | tuple[Any, Any] | None:
        """What the prover has to be told about the symbol, beyond that it is real or positive."""
        return self.taking if self.taking == "nonzero" or isinstance(self.taking, tuple) else None

    def spoken(self) -> str:
        """Return the symbol with its range, as in `x > 0`."""
        if isinstance(self.taking, tuple):
            low, high = self.taking
            if high in (np.inf, sp.oo):
                return f"{self.named} > {low}"
            return f"{low} < {self.named} < {high}"
        return self.named + {"positive": " > 0", "nonzero": " ≠ 0"}.get(self.taking, "")

    def value(self, size: Fraction, sign: int) -> Fraction:
        """Return a value in the range, from a size."""
        if isinstance(self.taking, tuple):
            low, high = (None if np.isinf(float(end)) else _fraction(end) for end in self.taking)
            if low is None:
                return sign * size if high is None else high - size
            return low + size if high is None else low + (high - low) * size / (1 + size)
        return size if self.taking == "positive" else sign * size


def _fraction(end: Any) -> Fraction:
    """Return an end of an interval, of π and the like to the digits of a float."""
    return Fraction(end if isinstance(end, numbers.Rational) else float(end))


Point = dict[str, Fraction]


def points(variables: Sequence[Variable]) -> list[Point]:
    """Return points in the ranges of the variables; at each, all sizes are different.

    Different sizes keep apart what only agrees where two symbols have one value.
    """
    rng = random.Random(1)
    made = []
    for sizes in _SIZES:
        count = sum(len(variable.names) for variable in variables)
        drawn = iter(rng.sample(sizes if count <= len(sizes) else _FINE, count))
        made.append(
            {
                name: variable.value(next(drawn), rng.choice((1, -1)))
                for variable in variables
                for name in variable.names
            }
        )
    return made


def arguments(variables: Sequence[Variable], point: Point) -> list[Any]:
    """Return the values of the variables at a point: numbers, and arrays for data."""
    made: list[Any] = []
    for variable in variables:
        values = [float(point[name]) for name in variable.names]
        made.append(np.array(values) if variable.is_data else np.float64(values[0]))
    return made


def spoken_point(variables: Sequence[Variable], point: Point) -> str:
    """Return a point in words, as in `x = 1, mu = -0.5`."""
    parts = []
    for variable in variables:
        values = ", ".join(f"{float(point[name]):.6g}" for name in variable.names)
        shown = f"[{values}]" if variable.is_data else values
        parts.append(f"{variable.name} = {shown}")
    return ", ".join(parts)


def plain_name(name: str) -> str:
    """Return a name without underscores, and with Greek letters in words."""
    words = []
    for letter in name:
        described = unicodedata.name(letter, "")
        letters = described.rpartition(" ")[2] if described.startswith("GREEK") else ""
        if letter == "\N{MICRO SIGN}":
            letters = "MU"
        small = "SMALL" in described or letter == "\N{MICRO SIGN}"
        words.append((letters.lower() if small else letters.title()) or letter)
    return "".join(words).replace("_", "")
