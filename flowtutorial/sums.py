"""Read the code of a flow of numbers as the few sums over the data that its likelihood needs.

A step of gradient ascent wants `Σ log p(x_i; θ)` and `Σ ∂ log p(x_i; θ)/∂θ`, and no array. The
flow's code is recorded once (`recorded`), with numbers to be filled in for its parameters. Then the
sums are taken apart: `Σ c u = c Σ u`, and `Σ (u v + c) = Σ u v + n c`. Of an affine flow are left
`Σ z`, `Σ z z` and `n`, with numbers before them. What is left is printed as NumPy code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .blocks import Array
from .parameters import leaves, refilled
from .recorded import (
    Buffers,
    Names,
    Place,
    Recorded,
    Step,
    Tape,
    block_of,
    homes_of,
    order_of,
)

if TYPE_CHECKING:
    from .flow import Flow

DOUBLE = np.dtype(np.float64)
SIGNS: dict[Any, str] = {np.add: "+", np.subtract: "-", np.multiply: "*", np.divide: "/"}


def sums_for(flow: Flow) -> Sums | None:
    """Return the sums that the likelihood of `flow` needs, at any parameters.

    None if the flow is about vectors, has no parameters or arrays of them, or a bounded support, or
    if its code does something else than to call elementwise functions.
    """
    values = [value for _, value in leaves(flow.bijection)]
    if flow.event_ndim or not values or any(map(np.ndim, values)):
        return None
    tape = Tape()
    try:
        if tuple(flow.bijection.codomain) != (-np.inf, np.inf):
            return None
        with np.errstate(all="call", call=lambda kind, flag: None):
            recorded = flow.around(flow.bijection.rebuild(tape.number, refilled))
            return Sums(tape, *recorded.formula_and_score(tape.data(DOUBLE), summed=False))
    except Exception:  # the code itself, when it is called, says better what is wrong
        return None


class Sums:
    """Sums over blocks of numbers: of log-densities, of scores, and of products of scores."""

    def __init__(self, tape: Tape, log_prob: Any, score: list[Any]) -> None:
        self.tape, self.log_prob, self.score = tape, log_prob, score
        self._slope = Reading(tape, [log_prob, *score])
        self._moments: Reading | None = None

    def slope(self, x: Array, flow: Flow) -> Array:
        """Return `Σ log p(x; θ)` and, behind it, its derivatives."""
        return self._slope(x, flow)[0]

    def moments(self, x: Array, flow: Flow) -> tuple[Array, float]:
        """Return as well, behind these, the sums of products of scores; and the largest `log p`."""
        if self._moments is None:
            products = [a * b for a in self.score for b in self.score]
            wanted = [self.log_prob, *self.score, *products]
            self._moments = Reading(self.tape, wanted, self.log_prob)
        return self._moments(x, flow)


class Term(NamedTuple):
    """Part of a sum over the data: a number times a sum, or times how many data there are."""

    weight: Any
    function: Callable[..., Any] | None = None
    places: tuple[Place, ...] = ()


def terms_of(part: Any, weight: Any = 1.0) -> Iterator[Term]:
    """Yield the terms of the sum of `weight * part` over the data.

    Constants are taken out of sums of products alone: such a product is rounded, and its sum has no
    larger error. Of `x - c` the sum would lose digits that the difference has.
    """
    function, read = _call_of(part)
    if not _varies(part):
        yield Term(weight * _value(part))
    elif function in (np.add, np.subtract) and _is_zero(read[1]):
        yield from terms_of(read[0], weight)
    elif function is np.negative:
        yield from terms_of(read[0], -weight)
    elif function is np.multiply and not _varies(read[0]):
        yield from terms_of(read[1], weight * read[0])
    elif function is np.multiply and not _varies(read[1]):
        yield from terms_of(read[0], weight * read[1])
    elif function is np.divide and not _varies(read[1]):
        yield from terms_of(read[0], weight / read[1])
    elif function in (np.multiply, np.square):
        (of_u, u), (of_v, v) = (_factor(each) for each in (read[0], read[-1]))
        yield Term(weight * of_u * of_v, np.dot, (u.place, v.place))
    elif function in (np.add, np.subtract) and all(map(_is_rounded, read)):
        yield from terms_of(read[0], weight)
        yield from terms_of(read[1], weight if function is np.add else -weight)
    else:
        yield Term(weight, np.add.reduce, (part.place,))


def _factor(part: Recorded) -> tuple[Any, Recorded]:
    """Return `c` and `u` of a varying `c u`."""
    weight: Any = 1.0
    while True:
        function, read = _call_of(part)
        if function is np.negative:
            weight, part = -weight, read[0]
        elif function is np.multiply and not _varies(read[0]):
            weight, part = weight * read[0], read[1]
        elif function in (np.multiply, np.divide) and not _varies(read[1]):
            weight = weight * read[1] if function is np.multiply else weight / read[1]
            part = read[0]
        else:
            return weight, part


def _is_rounded(part: Any) -> bool:
    """Whether a part is a product of two that vary, or a number, or a sum of these."""
    if not _varies(part):
        return True
    function, read = _call_of(_factor(part)[1])
    if function in (np.add, np.subtract):
        return all(map(_is_rounded, read))
    return function in (np.multiply, np.square)


def _without_constants(part: Recorded) -> tuple[Recorded, Any]:
    """Return `u` and `c` of a varying `u + c`: rounding keeps the order, so the largest stays."""
    above: Any = 0.0
    while True:
        function, read = _call_of(part)
        if function is np.add and not _varies(read[0]):
            part, above = read[1], above + read[0]
        elif function in (np.add, np.subtract) and not _varies(read[1]):
            above = above + read[1] if function is np.add else above - read[1]
            part = read[0]
        else:
            return part, above


def _is_zero(part: Any) -> bool:
    return not isinstance(part, Recorded) and np.size(part) == 1 and not np.any(part)


def _varies(part: Any) -> bool:
    return isinstance(part, Recorded) and part.varies


def _value(part: Any) -> Any:
    """Return a number, or what stands for one; of an array of one element, the element."""
    if isinstance(part, Recorded):
        return np.ravel(part.sample)[0] if part.place is None else part
    return np.ravel(part)[0]


def _call_of(part: Any) -> tuple[Any, list[Any]]:
    """Return the function that gave a part, and what it has read."""
    if not isinstance(part, Recorded) or not part.place:
        return None, []
    function, read, _ = part.tape.calls[part.place - 1]
    return function, [part.tape.at(each) if type(each) is Place else each for each in read]


class Reading:
    """One pass over the data, printed as code.

    `numbers(*params)` returns what the steps read, and the weights of the sums; `block(buffers,
    numbers)` takes the steps for the data in the first buffer, and sums.

    Parameters
    ----------
    tape : Tape
    wanted : list of Recorded or float
        What to sum over the data.
    largest : Recorded, optional
        Of what the largest value is wanted.
    """

    def __init__(self, tape: Tape, wanted: list[Any], largest: Any = None) -> None:
        self.reductions: dict[tuple[Any, tuple[Place, ...]], int] = {}
        above, self.has_largest = 0.0, largest is not None
        if self.has_largest:  # its number is 0
            core, above = _without_constants(largest)
            self._number(Term(1.0, np.max, (core.place,)))
        entries, weights = list[tuple[int, int]](), list[Any]()
        for row, part in enumerate(wanted):
            for term in terms_of(part):
                entries.append((row, self._number(term)))
                weights.append(term.weight)
        self.entries, self.shape = np.array(entries).T, (len(wanted), len(self.reductions) + 1)
        self._print(tape, [above, *weights])
        self.free: list[_Places] = []

    def _number(self, term: Term) -> int:
        """Return the number of a reduction; -1 is that of how many data there are."""
        if term.function is None:
            return -1
        return self.reductions.setdefault(term[1:], len(self.reductions))

    def _print(self, tape: Tape, weights: list[Any]) -> None:
        before, steps = _in_order(tape, weights, list(self.reductions))
        home, self.dtypes = homes_of(steps, DOUBLE)
        self.length = block_of(self.dtypes)
        names = Names()

        def text(part: Any) -> str:
            part = part.place if isinstance(part, Recorded) else part
            if type(part) is Place:
                return f"b{home[part]}" if tape.at(part).varies else f"n{part}"
            return names.of(part)

        def several(parts: Iterable[Any]) -> str:
            return "".join(f"{text(part)}, " for part in parts)

        lines = [f"def numbers({several(tape.numbers)}):"]
        for place in before:
            function, read, _ = tape.calls[place - 1]
            sign = SIGNS.get(function)
            call = (
                f" {sign} ".join(map(text, read)) if sign else f"{text(function)}({several(read)})"
            )
            lines.append(f"    n{place} = {call}")
        used = sorted(
            {part for step in steps for part in step.places() if not tape.at(part).varies}
        )
        lines.append(f"    return ({several(used)}), ({several(weights)})")
        buffers = "".join(f"b{number}, " for number in range(len(self.dtypes)))
        lines.append(f"def block({buffers}numbers):")
        lines += [f"    {several(used)} = numbers"] * bool(used)
        sums = ""
        for number, step in enumerate(steps):
            if step.place is None:
                sums += f"s{number}, "
                lines.append(f"    s{number} = {text(step.function)}({several(step.read)})")
            else:
                call = f"{text(step.function)}({several(step.read)}out={text(step.place)})"
                lines.append(f"    {call}")
        names.run([*lines, f"    return {sums}len(b0)"])
        self.numbers, self.block = names["numbers"], names["block"]

    def __call__(self, x: Array, flow: Flow) -> tuple[Array, float]:
        """Return the sums that are wanted, and the largest value."""
        try:
            places = self.free.pop()  # each thread takes its own
        except IndexError:
            places = _Places(self)
        found = places.read(x, flow)
        self.free.append(places)
        return found


def _in_order(
    tape: Tape, weights: list[Any], reductions: list[Any]
) -> tuple[list[Place], list[Step]]:
    """Return the calls that lead to numbers, and the steps on arrays with what is summed."""
    before, steps, known = list[Place](), list[Step](), {each.place for each in tape.numbers}

    def add(places: list[Place]) -> None:
        for place in order_of(tape, places):
            if place not in known:
                known.add(place)
                if tape.at(place).varies:
                    steps.append(tape.step(place))
                else:
                    before.append(place)

    add([weight.place for weight in weights if isinstance(weight, Recorded)])
    for function, places in reductions:
        add(list(places))
        steps.append(Step(function, list(places), None))
    return before, steps


class _Places:
    """Arrays and numbers of a reading, filled in for one flow after the other."""

    def __init__(self, reading: Reading) -> None:
        self.reading, self.matrix = reading, np.zeros(reading.shape)
        self.flow: Flow | None = None
        self.buffers = Buffers(reading.dtypes[1:])

    def read(self, x: Array, flow: Flow) -> tuple[Array, float]:
        """Return the sums, block by block."""
        reading = self.reading
        if flow is not self.flow:
            self.numbers, (self.above, *weights) = reading.numbers(*flow.params)
            self.matrix[...] = 0.0
            np.add.at(self.matrix, tuple(reading.entries), weights)
            self.flow = flow
        parts = []
        for start in range(0, len(x), reading.length):
            part = x[start : start + reading.length]
            buffers = self.buffers.of_length(len(part))
            parts.append(reading.block(part, *buffers, self.numbers))
        sums, largest = np.array(parts), np.nan
        if reading.has_largest:
            largest = sums[:, 0].max() + self.above
            sums[:, 0] = 0.0
        return self.matrix @ sums.sum(axis=0), float(largest)
