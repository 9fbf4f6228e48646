"""Compile recorded steps: one loop over the data, in place of one pass for each operation.

Within `compiled()` the steps that are arithmetic are printed as a loop, and numba compiles it. What
NumPy has quick code for, such as logarithms, stays a call between two loops. So the numbers are
those of the same definition, and nothing is written twice.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .blocks import Array
from .recorded import Place, Step, Tape, cast, compiling, is_short, search, take, where

TEXT: dict[Any, str] = {
    np.add: "{} + {}", np.subtract: "{} - {}", np.multiply: "{} * {}", np.divide: "{} / {}",
    np.negative: "-{}", np.square: "{0} * {0}", np.absolute: "abs({})", np.sqrt: "sqrt({})",
    np.copysign: "copysign({}, {})", np.less: "{} < {}", np.less_equal: "{} <= {}",
    np.greater: "{} > {}", np.greater_equal: "{} >= {}", np.equal: "{} == {}",
    np.not_equal: "{} != {}", np.isnan: "isnan({})", np.isinf: "isinf({})",
    np.isfinite: "isfinite({})", np.maximum: "np.maximum({}, {})", np.minimum: "np.minimum({}, {})",
    np.sign: "np.sign({}) + 0", where: "({1} if {0} else {2})", take: "{}[{}]",
}  # fmt: skip
ON_TRUTH: dict[Any, str] = {  # of truth values alone, and without branches
    np.logical_and: "{} & {}", np.logical_or: "{} | {}", np.logical_not: "not {}",
    np.bitwise_and: "{} & {}", np.bitwise_or: "{} | {}", np.invert: "not {}",
}  # fmt: skip
USUAL = tuple(map(np.dtype, (np.float64, np.int64, np.bool_)))


@contextmanager
def compiled() -> Iterator[None]:
    """Compile what flows of numbers do to long arrays, until the block is left.

    `log_prob`, `sample`, `gradient_ascent`, `newton` and `fit` then read the data in compiled
    loops. The first call with a flow of a new structure takes some tenths of a second to compile;
    other parameters, or more data, do not. A division by a number is a product with its
    reciprocal, so digits differ as if a value on the way were rounded once more.

    Raises
    ------
    ImportError
        If numba is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from flowtutorial import Affine, Flow, StandardNormal, compiled
    >>> flow, x = Flow(StandardNormal(), Affine(1.0, 0.5)), np.linspace(-3.0, 3.0, 100_000)
    >>> with compiled():
    ...     quick = flow.log_prob(x)
    >>> np.allclose(quick, flow.log_prob(x), rtol=1e-14)
    True
    """
    try:
        import numba  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "compiled() needs numba; install it with `pip install 'flowtutorial[compiled]'`"
        ) from error
    token = compiling.set(True)
    try:
        yield
    finally:
        compiling.reset(token)


class Loop:
    """Steps that are taken together, for one datum after the other.

    It is printed as a step is (`recorded.Step`), with several results.

    Parameters
    ----------
    tape : Tape
    steps : list of Step
        Arithmetic, or the sum of one place or of the product of two.
    kept : set of Place
        Whose results are wanted after the loop.
    """

    def __init__(self, tape: Tape, steps: list[Step], kept: set[Place]) -> None:
        self.tape, self.steps = tape, steps
        self.stored = [step for step in steps if step.place in kept]
        self.sums = [step.number for step in steps if step.place is None]
        self.read, self.function = list[Any](), None
        self.ignored = ()  # a loop warns of nothing
        self._print()

    def places(self) -> set[Place]:
        """Return the places that it reads."""
        return {part for part in self.read if type(part) is Place}

    def results(self) -> list[tuple[Any, Any]]:
        """Return the places that it writes to, and the types of these arrays."""
        return [(step.place, step.dtype) for step in self.stored]

    def line(self, text: Callable[[Any], str]) -> str:
        """Return the call as code."""
        given = [text(self.function), *map(text, [*self.read, *(s.place for s in self.stored)])]
        call = f"{given[0]}({', '.join(given[1:])})"
        return f"{''.join(f's{number}, ' for number in self.sums)}= {call}" if self.sums else call

    def _print(self) -> None:
        names = dict[Any, str]()
        # numbered from 0, so that loops that do the same are the same code
        inside = {step.place: f"v{at}" for at, step in enumerate(self.steps)}
        sums = {number: f"s{at}" for at, number in enumerate(self.sums)}

        def text(part: Any, whole: bool) -> str:
            if type(part) is Place and part in inside:
                return inside[part]
            key = part if type(part) is Place else ("constant", id(part))
            if key not in names:
                names[key] = f"a{len(names)}"
                self.read.append(part if type(part) is Place or whole else _number(part))
            if type(part) is not Place or whole:
                return names[key]
            known = self.tape.at(part)
            return names[key] + ("[i]" if known.varies else "[0]" if known.ndim else "")

        lines = list[str]()
        for step in self.steps:
            parts = [
                text(part, at == 0 and step.function is take) for at, part in enumerate(step.read)
            ]
            if step.place is None:
                total, value = sums[step.number], " * ".join(parts)
                lines.append(f"{total} = added({total}, {value})")
            else:
                lines.append(f"{inside[step.place]} = {_text(step).format(*parts)}")
        for at, step in enumerate(self.stored):
            lines.append(f"o{at}[i] = {inside[step.place]}")
        outs = [f"o{at}" for at in range(len(self.stored))]
        data = next(n for k, n in names.items() if type(k) is Place and self.tape.at(k).varies)
        source = [
            f"def loop({', '.join([*names.values(), *outs])}):",
            *(f"    {total} = 0.0" for total in sums.values()),
            f"    for i in range(len({data})):",
            *(f"        {line}" for line in lines),
            f"    return ({''.join(f'{total}, ' for total in sums.values())})",
        ]
        self.function = _machine_code("\n".join(source))


def _number(value: Any) -> Any:
    """Return a constant as numba takes numbers best."""
    return np.ravel(value)[0] if isinstance(value, np.ndarray) else value


def _text(step: Step) -> str:
    """Return how a step is written for one datum."""
    if step.function is cast:
        return "1.0 * {}"
    return ON_TRUTH.get(step.function) or TEXT[step.function]


def _kind(tape: Tape, step: Step) -> int:
    """Return 0 for arithmetic, 1 for a look into a table, 2 for what stays a call.

    Arithmetic is done with several numbers at once, if no table is among them.
    """
    parts = [tape.at(part) if type(part) is Place else part for part in step.read]
    if step.function is cast:
        light = step.dtype == np.float64 and _is_usual(parts[0])
    elif not all(_is_usual(part) for part in parts):
        light = False
    elif step.place is None:
        light = step.function in (np.add.reduce, np.dot)
    elif step.function in ON_TRUTH:
        light = all(getattr(part, "dtype", None) == np.bool_ for part in parts)
    elif step.function is np.add and step.dtype == np.bool_:
        light = False  # True + True is True for NumPy, and 2 for numba
    else:
        light = step.function in TEXT and step.dtype in USUAL
    return 2 if not light else int(step.function is take)


def _undivided(tape: Tape, step: Step) -> Step:
    """Return a division of doubles by a known one as a product, which takes half the time."""
    x, number = step.read[0], step.read[-1]
    if step.function is not np.divide or type(number) is Place or not _is_usual(number):
        return step
    if tape.at(x).dtype == np.float64 and 1e-300 < abs(number) < 1e300:
        return step._replace(function=np.multiply, read=[x, 1.0 / number])
    return step


def _is_usual(part: Any) -> bool:
    """Whether a number or an array is of a type that computes in loops as in NumPy."""
    return (part.dtype if hasattr(part, "dtype") else np.asarray(part).dtype) in USUAL


def fused(tape: Tape, steps: list[Step], wanted: Collection[Place] = ()) -> list[Any]:
    """Return the steps with arithmetic in as few loops as the other calls leave.

    Parameters
    ----------
    tape : Tape
    steps : list of Step
        In an order in which they can be taken.
    wanted : collection of Place
        Whose results are wanted in the end.
    """
    rounds, left = list[list[list[Step]]](), [_undivided(tape, step) for step in steps]
    while left:
        groups: list[list[Step]] = [[], [], []]
        missing, later = set[Any](), list[Step]()
        for step in left:
            ready = missing.isdisjoint(step.places())
            kind = _kind(tape, step)
            (groups[kind] if ready else later).append(step)
            if kind or not ready:
                missing.add(step.place)
        rounds.append(groups)
        left = later
    read_by = [(group, step.places()) for each in rounds for group in each for step in group]
    arranged = list[Any]()
    for *loops, calls in rounds:
        for loop in filter(None, loops):
            elsewhere = (places for group, places in read_by if group is not loop)
            arranged.append(Loop(tape, loop, set(wanted).union(*elsewhere)))
        arranged += [
            step._replace(function=_search) if step.function is search else step for step in calls
        ]
    return arranged


@functools.cache  # to forget a loop frees nothing: numba holds what it has compiled
def _machine_code(source: str) -> Any:
    """Return a loop, which numba compiles for the types that it is called with."""
    import numba

    names = {**vars(math), "np": np, "added": _added()}
    exec(compile(source, "<loop>", "exec"), names)
    return numba.njit(names["loop"], error_model="numpy", nogil=True)


@functools.cache
def _added() -> Any:
    """Return a sum whose terms may be added in any order, so that several are added at once."""
    import numba

    return numba.njit(lambda a, b: a + b, fastmath={"reassoc"})


def _search(table: Array, x: Array, out: Array) -> None:
    """Do as `search` does."""
    if is_short(table) and table.dtype == x.dtype == np.float64:
        _counted()(table, x, out)
    else:
        search(table, x, out)


@functools.cache
def _counted() -> Any:
    """Return a search that counts: one edge after the other, for all numbers."""
    import numba

    def counted(table: Any, x: Any, out: Any) -> None:
        for i in range(len(x)):
            out[i] = len(table)
        for edge in table:
            for i in range(len(x)):
                out[i] -= x[i] < edge

    return numba.njit(counted, nogil=True)
