"""Read the code of a flow of numbers as the few sums over the data that its likelihood needs.

A step of gradient ascent wants `Σ log p(x_i; θ)` and `Σ ∂ log p(x_i; θ)/∂θ`, and no array. The
flow's code is recorded once (`recorded`), with numbers to be filled in for its parameters. Then the
sums are taken apart: `Σ c u = c Σ u`, and `Σ (u v + c) = Σ u v + n c`. Of an affine flow are left
`Σ z`, `Σ z z` and `n`, with numbers before them. What is left is printed as NumPy code.
"""

from __future__ import annotations

import functools
import math
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
    compiling,
    homes_of,
    order_of,
    to_read,
    varies,
)
from .spline import ByBin, assembled, products_by_bin

if TYPE_CHECKING:
    from .flow import Flow

DOUBLE = np.dtype(np.float64)
BYTES = 5 << 18  # of all buffers together: the steps of a gradient are many
FEW = 8  # parameters, up to which the sums of products of scores are taken one by one
Found = tuple[Array, list[Array], list[Array], float]
Reduction = tuple[Any, tuple[Place, ...]]
SIGNS: dict[Any, str] = {np.add: "+", np.subtract: "-", np.multiply: "*", np.divide: "/"}


def sums_for(flow: Flow) -> Sums | None:
    """Return the sums that the likelihood of `flow` needs, at any parameters.

    None if the flow is about vectors, has no parameters, or a bounded support for some of them, or
    if its code does something else than to call elementwise functions of the data.
    """
    if flow.event_ndim or not flow.params.size:
        return None
    tape = Tape()
    try:
        with np.errstate(all="call", call=lambda kind, flag: None):
            recorded = flow.around(flow.bijection.rebuild(tape.number, refilled))
            log_prob, score = recorded.formula_and_score(tape.data(DOUBLE), summed=None)
            if tuple(recorded.bijection.codomain) != (-np.inf, np.inf) or not varies(log_prob):
                return None
            return Sums(tape, log_prob, score)
    except Exception:  # the code itself, when it is called, says better what is wrong
        return None


class Sums:
    """Sums over blocks of numbers: of log-densities, of scores, and of products of scores.

    Of a spline, whose score is known for each end of a bin (`ByBin`), bin by bin.
    """

    def __init__(self, tape: Tape, log_prob: Any, score: list[Any]) -> None:
        self.tape, self.log_prob, self.score = tape, log_prob, score
        self.by_bin = [part for part in score if isinstance(part, ByBin)]
        self.single = [part for part in score if not isinstance(part, ByBin)]
        self.rows = [part.rows for part in self.by_bin]
        whole = list[Reduction]()
        for part in self.by_bin:
            add = functools.partial(np.bincount, minlength=len(part.rows.sample) - 1)
            whole += [(add, (part.k.place, end.place)) for end in (part.left, part.right)]
        self._slope = Reading(tape, [log_prob, *self.single], whole, self.rows)
        self._moments: Reading | None = None

    def slope(self, x: Array, flow: Flow) -> tuple[float, Array]:
        """Return `Σ log p(x; θ)` and its derivatives."""
        return self._joined(self._slope(x, flow))

    def slope_at(self, x: Array, flow: Flow) -> Callable[[Array], tuple[float, Array]]:
        """Return `slope` as a function of the vector of parameters, for data in memory."""
        shapes = [np.shape(value) for _, value in leaves(flow.bijection)]
        ends = np.cumsum([math.prod(shape) for shape in shapes]).tolist()
        parts = list(zip([0, *ends], ends, shapes, strict=False))

        def slope(params: Array) -> tuple[float, Array]:
            values = [
                params[start:end].reshape(shape) if shape else params[start]
                for start, end, shape in parts
            ]
            return self._joined(self._slope.with_values(x, values))

        return slope

    def _joined(self, found: Found) -> tuple[float, Array]:
        (value, *sums), ends, rows, _ = found
        if not rows:
            return float(value), np.array(sums)
        single, several = iter(sums), iter(zip(ends[::2], ends[1::2], rows, strict=True))
        parts = [
            ByBin.of_sums(*next(several)) if isinstance(part, ByBin) else [next(single)]
            for part in self.score
        ]
        return float(value), np.concatenate(parts)

    def moments(self, x: Array, flow: Flow) -> tuple[float, Array, float]:
        """Return `Σ log p`, `Σ s sᵀ` with `Σ s` below it, and the largest `log p`.

        NaN where the code has to say it: of many single parameters, whose products are quicker by
        a matrix product of all scores, and of splines with different bins.
        """
        if not self._has_moments():
            return np.nan, np.array(np.nan), np.nan
        if self._moments is None:
            self._moments = self._read_by_bin() if self.by_bin else self._read_moments()
        (value, *sums), products, rows, largest = self._moments(x, flow)
        if not self.by_bin:
            k = len(self.score)
            return float(value), np.reshape(sums, (k + 1, k)), largest
        left = iter(rows)
        one = np.ones((1, 1, 1))
        tables = [
            np.stack([row[:-1], row[1:]], axis=1) if row is not None else one
            for row in (next(left) if isinstance(p, ByBin) else None for p in self.score)
        ]
        return float(value), assembled(products[0], [*tables, one]), largest

    def _read_moments(self) -> Reading:
        products = [a * b for a in self.score for b in self.score]
        return Reading(self.tape, [self.log_prob, *products, *self.score], largest=self.log_prob)

    def _read_by_bin(self) -> Reading:
        add = functools.partial(_products, len(self.rows[0].sample) - 1)
        places = tuple(column.place for column in (self.by_bin[0].k, *self._columns()))
        return Reading(self.tape, [self.log_prob], [(add, places)], self.rows, self.log_prob)

    def _has_moments(self) -> bool:
        if not self.by_bin:
            return len(self.score) <= FEW
        one_set_of_bins = len({part.k.place for part in self.by_bin}) == 1
        return one_set_of_bins and all(map(varies, self._columns()))

    def _columns(self) -> Iterator[Any]:
        """Yield what a score has for each datum."""
        for part in self.score:
            yield from (part.left, part.right) if isinstance(part, ByBin) else (part,)


def _products(bins: int, k: Array, *columns: Array) -> Array:
    return products_by_bin(k, np.vstack([*columns, np.ones(len(k))]), bins)


class Term(NamedTuple):
    """Part of a sum over the data: a number times a sum, or times how many data there are."""

    weight: Any
    function: Callable[..., Any] | None = None
    places: tuple[Place, ...] = ()


def terms_of(part: Any, weight: Any = 1.0) -> Iterator[Term]:
    """Yield the terms of the sum of `weight * part` over the data.

    Constants are taken out of sums of products alone: such a product is rounded, and its sum adds
    little to the error. Of `x - c` the sum would lose digits that the difference has.
    """
    function, read = _call_of(part)
    if not varies(part):
        yield Term(weight * _value(part))
    elif _is_no_double(part):  # of truth values, a sum says how many: their product does not
        yield Term(weight, np.add.reduce, (part.place,))
    elif function in (np.add, np.subtract) and _is_zero(read[1]):
        yield from terms_of(read[0], weight)
    elif function is np.negative:
        yield from terms_of(read[0], -weight)
    elif function is np.multiply and not varies(read[0]):
        yield from terms_of(read[1], weight * read[0])
    elif function is np.multiply and not varies(read[1]):
        yield from terms_of(read[0], weight * read[1])
    elif function is np.divide and not varies(read[1]):
        yield from terms_of(read[0], weight / read[1])
    elif function in (np.multiply, np.square):
        (of_u, u), (of_v, v) = (_factor(each) for each in (read[0], read[-1]))
        yield Term(weight * of_u * of_v, np.dot, tuple(sorted((u.place, v.place))))
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
        if any(map(_is_no_double, read)):
            return weight, part
        if function is np.negative:
            weight, part = -weight, read[0]
        elif function is np.multiply and not varies(read[0]):
            weight, part = weight * read[0], read[1]
        elif function in (np.multiply, np.divide) and not varies(read[1]):
            weight = weight * read[1] if function is np.multiply else weight / read[1]
            part = read[0]
        else:
            return weight, part


def _is_rounded(part: Any) -> bool:
    """Whether a part is a product of two that vary, or a number, or a sum of these."""
    if not varies(part):
        return True
    function, read = _call_of(_factor(part)[1])
    if function in (np.add, np.subtract):
        return all(map(_is_rounded, read))
    return function in (np.multiply, np.square) and not any(map(_is_sign, read))


def _is_sign(part: Any) -> bool:
    """Whether a part is a sign or a truth value, with which a product is exact."""
    return _is_no_double(part) or _call_of(part)[0] is np.sign


def _is_no_double(part: Any) -> bool:
    return varies(part) and part.dtype != DOUBLE


def _without_constants(part: Recorded) -> tuple[Recorded, Any]:
    """Return `u` and `c` of a varying `u + c`: rounding keeps the order, so the largest stays."""
    above: Any = 0.0
    while True:
        function, read = _call_of(part)
        if function is np.add and not varies(read[0]):
            part, above = read[1], above + read[0]
        elif function in (np.add, np.subtract) and not varies(read[1]):
            above = above + read[1] if function is np.add else above - read[1]
            part = read[0]
        else:
            return part, above


def _is_zero(part: Any) -> bool:
    return not isinstance(part, Recorded) and np.size(part) == 1 and not np.any(part)


def _value(part: Any) -> Any:
    """Return a number, or what stands for one; of an array of one element, the element."""
    if isinstance(part, Recorded):
        return np.ravel(part.sample)[0] if part.place is None else part
    return np.ravel(part)[0]


def _number_of(part: Any) -> Any:
    """Return what stands for a number; of an array of one element, as zeros_like(x), for that."""
    return part.tape.call(_first, part) if isinstance(part, Recorded) and part.ndim else part


def _first(array: Array) -> Any:
    return np.ravel(array)[0]


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
    whole : list of pairs of a function and places
        Of what else there is an array for each block, and the sum of these is wanted.
    numbers : list of Recorded
        What is wanted for itself: it does not vary.
    largest : Recorded, optional
        Of what the largest value is wanted.
    """

    def __init__(
        self, tape: Tape, wanted: list[Any], whole: list[Reduction] | None = None,
        numbers: list[Recorded] | None = None, largest: Any = None,
    ) -> None:  # fmt: skip
        self.whole, self.extra = whole or [], len(numbers or [])
        self.reductions: dict[Reduction, int] = {}
        above, self.has_largest = 0.0, largest is not None
        if self.has_largest:  # its number is 0
            core, above = _without_constants(largest)
            self._number(Term(1.0, np.max, (core.place,)))
        weights = dict[tuple[int, int], Any]()
        for row, part in enumerate(wanted):
            for term in terms_of(part):
                entry = row, self._number(term)
                weights[entry] = weights[entry] + term.weight if entry in weights else term.weight
        self.entries = tuple(np.array(list(weights)).T)
        self.shape = len(wanted), len(self.reductions) + 1
        self._print(tape, [_number_of(above), *(numbers or []), *map(_number_of, weights.values())])
        self.free: list[_Places] = []

    def _number(self, term: Term) -> int:
        """Return the number of a reduction; -1 is that of how many data there are."""
        if term.function is None:
            return -1
        return self.reductions.setdefault(term[1:], len(self.reductions))

    def _print(self, tape: Tape, weights: list[Any]) -> None:
        before, steps = _in_order(tape, weights, [*self.reductions, *self.whole])
        if compiling.get():
            from .loops import fused

            steps = fused(tape, steps)
        home, self.dtypes = homes_of(steps, DOUBLE)
        self.length = block_of(self.dtypes, BYTES)
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
        lines += [f"    {step.line(text)}" for step in steps]
        sums = [f"s{number}, " for number in range(len(self.reductions) + len(self.whole))]
        single, whole = (
            "".join(part) for part in (sums[: len(self.reductions)], sums[len(self.reductions) :])
        )
        names.run([*lines, f"    return ({single}len(b0)), ({whole})"])
        self.numbers, self.block = names["numbers"], names["block"]

    def __call__(self, x: Array, flow: Flow) -> Found:
        """Return the sums, those of arrays, the numbers, and the largest value."""
        places = self._places()
        if flow is not places.flow:  # else the last block was of the same flow
            places.fill([np.asarray(value)[()] for _, value in leaves(flow.bijection)])
            places.flow = flow
        found = places.read(x)
        self.free.append(places)
        return found

    def with_values(self, x: Array, values: list[Any]) -> Found:
        """Return the same for a flow with these values of its parameters."""
        places = self._places()
        places.fill(values)
        places.flow = None
        found = places.read(x)
        self.free.append(places)
        return found

    def _places(self) -> _Places:
        try:
            return self.free.pop()  # each thread takes its own
        except IndexError:
            return _Places(self)


def _in_order(
    tape: Tape, weights: list[Any], reductions: list[Any]
) -> tuple[list[Place], list[Any]]:
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
    for number, (function, places) in enumerate(reductions):
        add(list(places))
        steps.append(Step(function, list(places), None, number=number))
    return before, steps


class _Places:
    """Arrays and numbers of a reading, filled in for one flow after the other."""

    def __init__(self, reading: Reading) -> None:
        self.reading, self.matrix = reading, np.zeros(reading.shape)
        self.flow: Flow | None = None
        self.buffers = Buffers(reading.dtypes[1:])

    def fill(self, values: list[Any]) -> None:
        """Fill in the numbers."""
        self.read_first, (self.above, *rest) = self.reading.numbers(*values)
        self.extra, weights = rest[: self.reading.extra], rest[self.reading.extra :]
        self.matrix[self.reading.entries] = weights

    def read(self, x: Array) -> Found:
        """Return what is wanted, from block after block."""
        reading = self.reading
        singles, wholes = [], []
        for start in range(0, len(x), reading.length):
            part = x[start : start + reading.length]
            buffers = self.buffers.of_length(len(part))
            single, whole = reading.block(to_read(part), *buffers, self.read_first)
            singles.append(single)
            wholes.append(whole)
        sums, largest = np.array(singles), np.nan
        if reading.has_largest:
            largest = float(sums[:, 0].max() + self.above)
            sums[:, 0] = 0.0
        added = [functools.reduce(np.add, parts) for parts in zip(*wholes, strict=True)]
        total = sums[0] if len(sums) == 1 else sums.sum(axis=0)
        return self.matrix @ total, added, self.extra, largest
