"""Exercises that mark themselves: `check("name", answer)` says *right* or *not yet*.

An answer is a SymPy expression, a SymArray, a number, a NumPy function, a list or matrix of these,
or a bijection that the reader wrote. It is compared with what the shipped code gives on symbols, by
the prover that proves the equations of the book.

To add an exercise, put it into `EXERCISES` of the module of its chapter (`chapter05.py`, ...; a new
module needs no registration)::

    Formula(
        name="shift-gradient",                     # "ex-shift-gradient" in the book
        symbols={"x": "real", "mu": "real"},       # as the text of the exercise states them
        reference=lambda x, mu: flow(mu).log_prob(x).diff(mu),     # from shipped code, traced
        solution=lambda x, mu: x - mu,             # as a reader would hand it over
        mistakes=(Mistake(lambda x, mu: mu - x, "Which way is up?"),),
        hint="Only the square depends on mu.",     # for all others; it does not give it away
    )

`Data(5)` as a range stands for a vector; `Map` is for bijections. The text of the exercise names
the symbols and the check. `tests/test_exercises.py` then holds that the solution is right, and that
every mistake gets its hint.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from .exercise import Exercise, Formula, Mistake
from .maps import Map
from .reply import NOT_YET, Reply
from .variables import Data

__all__ = ["Data", "Exercise", "Formula", "Map", "Mistake", "Reply", "check", "exercises"]


@cache
def exercises() -> dict[str, Exercise]:
    """Return all exercises by name, in the order of the chapters.

    Examples
    --------
    >>> "shift-known-scale" in exercises()
    True
    """
    chapters = sorted(m.name for m in iter_modules(__path__) if m.name.startswith("chapter"))
    found: dict[str, Exercise] = {}
    for chapter in chapters:
        for exercise in import_module(f".{chapter}", __name__).EXERCISES:
            if exercise.name in found:
                raise ValueError(f"two exercises are called {exercise.name!r}")
            found[exercise.name] = exercise
    return found


def check(name: str, answer: Any = None) -> Reply:
    """Mark an answer to an exercise of the book.

    Parameters
    ----------
    name : str
        As the text of the exercise says.
    answer : SymPy expression, SymArray, number, NumPy function, list or matrix of these, bijection
        In the symbols that the text names; what they assume does not matter. A function takes the
        same symbols, in the same order or under the same names.

    Returns
    -------
    Reply
        True if the answer is right, and then it says how that was established: `proved (exact)`,
        `checked to 50 digits`, or, for code that can't be read as a formula, at how many points it
        agrees. Else it says where the answer differs, and gives a hint. It never raises.

    Examples
    --------
    >>> import numpy as np
    >>> check("shift-known-scale", lambda S: (S**2 - 1) / 2 - np.log(S))
    right: proved (exact) for all S > 0, read from your code
    >>> check("shift-known-scale", None)
    not yet: there is no answer yet; this exercise asks for a formula in S, or a
        NumPy function of S.
    """
    found = exercises()
    if not isinstance(name, str):
        return Reply(
            NOT_YET,
            f"the name of the exercise comes first, as text, then the answer; got {name!r:.60}.",
        )
    plain = name.strip().lower().replace("_", "-").removeprefix("ex-")
    if plain not in found:
        near = difflib.get_close_matches(plain, found, n=3, cutoff=0.5)
        ask = (
            f"did you mean {' or '.join(map(repr, near))}?"
            if near
            else f"the text of each exercise gives its name, such as {next(iter(found))!r}."
        )
        return Reply(NOT_YET, f"no exercise is called {name!r:.60}; {ask}")
    return found[plain].check(answer)
