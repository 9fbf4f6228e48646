"""Read plain NumPy code as a list of steps, and run the steps on long arrays.

As a traced array writes down its formula (`symbolic.trace`), a `Recorded` one writes down which
functions were called. What runs is then the same functions in the same order, so that every digit
is the same. But what does not depend on the data is computed once, what nobody asks for not at all,
and results go to places that are used again, where plain code asks for new memory at each step.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from operator import getitem
from typing import Any, NamedTuple, NoReturn

import numpy as np

from .blocks import BLOCK, Array

Function = Callable[..., Any]
Ignored = tuple[tuple[str, Any], ...]  # what `numpy.errstate` said where a function was called

_BITS = {np.dtype(np.float64): np.int64, np.dtype(np.float32): np.int32}
_NUMBER = bool | int | float | np.generic
FEW = 64  # comparisons, up to which they are faster than a search in a table
_MANY = 1 << 16  # values: reading the code takes as long as running it on some 20 000
_SOME = 1000  # values, from which on loops are used that somebody has asked for
_BYTES = 3 << 18  # of all buffers together, so that they stay in the processor's cache


compiling: ContextVar[bool] = ContextVar("compiling", default=False)  # set by `loops.compiled`


def for_many(
    function: Callable[[Array], Array], dtype: np.dtype, n: int, known: dict[Any, Any]
) -> tuple[Callable[[Array, Array | None], Array], int]:
    """Return an elementwise `function` in the form for `n` values, and how many of them at once.

    The form takes the values and, if there is one, a place that the result may be written to. What
    was recorded is kept in `known`, by the function's name.
    """
    program = None
    if n >= (_SOME if compiling.get() else _MANY):
        key = function.__name__, dtype, compiling.get()
        program = known[key] = known[key] if key in known else record(function, dtype)
    if program is None:
        return lambda x, out: function(x), BLOCK
    return program.with_buffers(), program.block


def record(function: Callable[[Array], Array], dtype: np.dtype) -> Program | None:
    """Return the steps that an elementwise `function` takes for an array of type `dtype`.

    None if it does something else than to call elementwise functions: if it branches on the data,
    say, or looks at the shape. Such a function is to be called itself. Warnings about the data are
    those of the function; what it says about its parameters alone is not repeated.
    """
    tape = Tape()
    x = tape.data(dtype)
    try:
        with np.errstate(all="call", call=lambda kind, flag: None):
            result = function(x)
    except Exception:  # the function itself, when it is called, says better what is wrong
        return None
    return Program(tape, result, dtype) if isinstance(result, Recorded) and result.place else None


class Place(int):
    """A number that says which call's result is meant: `i + 1` that of call `i`, 0 the data."""


class Tape:
    """The calls so far, each with what it reads: places, and numbers."""

    def __init__(self) -> None:
        self.calls: list[tuple[Function, list[Any], Ignored]] = []
        self.results: list[Recorded] = []
        self.known: dict[Any, Recorded] = {}
        self.numbers: list[Recorded] = []

    def data(self, dtype: Any) -> Recorded:
        """Return what stands for the data."""
        return Recorded(self, Place(0), np.ones(1, dtype))

    def number(self, value: Any) -> Recorded:
        """Return what stands for a number or an array, now `value`, that is to be filled in."""
        made = Recorded(self, Place(len(self.calls) + 1), np.asarray(value)[()], varies=False)
        self.calls.append((refuse, [], ()))
        self.results.append(made)
        self.numbers.append(made)
        return made

    def call(self, function: Function, *arguments: Any) -> Recorded:
        """Note a call, or find it among those before, and return its result."""
        of_data = any(map(varies, arguments))
        samples, read, keys, constant = [], [], [], True
        for argument in arguments:
            sample = part = argument
            if type(argument) is Recorded:
                sample, part = argument.sample, argument.place
                constant &= part is None
                if part is None:
                    part = np.ravel(sample)[0] if of_data else sample
            samples.append(sample)
            read.append(part)
            keys.append(part if type(part) is Place else _key(part))
        sample = function(*samples)
        if constant:
            return Recorded(self, None, sample)
        ignored = tuple(np.geterr().items())
        key = (function, ignored, *keys)
        result = self.known.get(key)
        if result is None:
            place = Place(len(self.calls) + 1)
            result = self.known[key] = Recorded(self, place, sample, of_data)
            self.calls.append((function, read, ignored))
            self.results.append(result)
        return result

    def call_on_numbers(self, function: Function, args: Any, kwargs: Any) -> Recorded:
        """Note a call of any kind, which has nothing to do with the data."""
        listed = isinstance(args[0], tuple | list)  # as of numpy.concatenate
        parts, rest = (args[0], args[1:]) if listed else (args, ())
        if any(map(varies, parts)) or any(
            isinstance(v, Recorded) for v in (*rest, *kwargs.values())
        ):
            refuse()
        if listed:
            return self.call(lambda *parts: function(parts, *rest, **kwargs), *parts)
        return self.call(functools.partial(function, **kwargs) if kwargs else function, *parts)

    def at(self, place: int) -> Recorded:
        """Return what stands at a place."""
        return self.results[place - 1] if place else self.data(np.float64)

    def reads(self, place: int) -> list[Place]:
        """Return the places that a call reads."""
        return [part for part in self.calls[place - 1][1] if type(part) is Place]

    def step(self, place: Place) -> Step:
        """Return the call whose result is meant."""
        function, read, ignored = self.calls[place - 1]
        return Step(function, read, place, self.results[place - 1].dtype, ignored)


def _key(number: Any) -> Any:
    """Return what tells numbers apart that NumPy tells apart: 0.0 from -0.0 and from 0."""
    return type(number), str(number) if isinstance(number, _NUMBER) else id(number)


class Recorded(np.lib.mixins.NDArrayOperatorsMixin):
    """An array that notes what is done with it; of `place` None if it does not depend on the data.

    `sample` has one element, of the type that the array will have. What depends on numbers to be
    filled in has a place, too, and does not vary; of these, any function may be called.
    """

    is_recorded = True

    def __init__(
        self, tape: Tape, place: Place | None, sample: Any, varies: bool | None = None
    ) -> None:
        self.tape, self.sample = tape, sample
        self.place: Any = place
        self.varies = place is not None if varies is None else varies
        self.dtype, self.shape, self.ndim = sample.dtype, np.shape(sample), np.ndim(sample)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if not any(map(varies, inputs)):
            given = ufunc if method == "__call__" else getattr(ufunc, method)
            return self.tape.call_on_numbers(given, inputs, kwargs)
        if method != "__call__" or kwargs or ufunc.nout != 1:
            refuse()
        return self.tape.call(ufunc, *map(_one, inputs))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func in (np.zeros_like, np.ones_like) and len(args) == 1 and not kwargs:
            return Recorded(self.tape, None, func(self.sample))
        if func is np.shape or func is np.ndim:
            return self.shape if func is np.shape else self.ndim
        if func is np.where and len(args) == 3 and any(map(varies, args)):
            return self._where(*map(_one, args))
        if func is np.broadcast_to and args[1] in ((), (1,)):
            return Recorded(self.tape, self.place, func(self.sample, args[1]), self.varies)
        if func is np.searchsorted and varies(args[1]) and kwargs == {"side": "right"}:
            table, x = args
            return self.tape.call(search, table if hasattr(table, "dtype") else np.array(table), x)
        return self.tape.call_on_numbers(func, args, kwargs)

    def _where(self, condition: Any, a: Any, b: Any) -> Recorded:
        known = np.ravel(condition.sample)[0] if isinstance(condition, Recorded) else condition
        if isinstance(condition, Recorded) and condition.place is not None:
            truth = condition if condition.dtype == bool else condition != 0
            return self.tape.call(where, truth, a, b)
        sample = np.where(known, *(p.sample if isinstance(p, Recorded) else p for p in (a, b)))
        taken = a if known else b
        if isinstance(taken, Recorded) and taken.place is not None:
            return taken.astype(sample.dtype)
        return Recorded(self.tape, None, sample)

    def astype(self, dtype: np.dtype, copy: bool = False) -> Recorded:
        """Return the array in another type."""
        return self if dtype == self.dtype else self.tape.call(cast, self, np.dtype(dtype))

    def entries_of(self, table: np.ndarray) -> Recorded:
        """Return `table[self]`, which NumPy would ask the table for."""
        return self.tape.call(take, table, self)

    def __getitem__(self, index: Any) -> Recorded:
        if index is ... or index == () or (type(index) is tuple and index == (...,)):
            return self
        return refuse() if self.varies else self.tape.call_on_numbers(getitem, (self, index), {})

    def __bool__(self) -> NoReturn:
        refuse()

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        refuse()


def varies(value: Any) -> bool:
    """Whether a value depends on the data."""
    return isinstance(value, Recorded) and value.varies


def _one(value: Any) -> Any:
    """Return a recorded array, or a single number."""
    if isinstance(value, Recorded):
        return value if value.varies or np.size(value.sample) == 1 else refuse()
    if isinstance(value, _NUMBER) or np.ndim(value) == 0:
        return value
    return value[0] if np.shape(value) == (1,) else refuse()


def refuse() -> NoReturn:
    """Say that code can't be recorded."""
    raise TypeError("a function of the whole array, not of each element")


# -- the functions that are no ufuncs, with a place for the result ---------------------------------


def where(condition: Array, a: Array, b: Array, out: Array | None = None) -> Array:
    """As `numpy.where`, without a branch for each element: a wrong guess costs more than a sum."""
    if out is None or out.dtype not in _BITS:
        return _put(np.where(condition, a, b), out)
    true = np.count_nonzero(condition)
    if 64 * min(true, condition.size - true) <= condition.size:  # a guess is hardly ever wrong
        most, rest, where = (b, a, condition) if 2 * true < condition.size else (a, b, ~condition)
        out[...] = most
        np.copyto(out, rest, where=where)
        return out
    bits = _BITS[out.dtype]
    of_a, of_b = (np.asarray(part, dtype=out.dtype).view(bits) for part in (a, b))
    chosen = out.view(bits)
    np.bitwise_xor(of_a, of_b, out=chosen)
    np.bitwise_and(chosen, -condition.view(np.int8), out=chosen)  # all bits of -1 are 1
    return np.bitwise_xor(chosen, of_b, out=chosen)


def take(table: Array, index: Array, out: Array | None = None) -> Array:
    """As `table[index]`."""
    return table[index] if out is None else np.take(table, index, out=out, mode="wrap")


def search(table: Array, x: Array, out: Array | None = None) -> Array:
    """As `numpy.searchsorted` on the right; for few edges, by counting those that are passed."""
    if out is None or not is_short(table):
        return _put(np.searchsorted(table, x, side="right"), out)
    above = np.sum(np.less(x, table[:, None]), axis=0, dtype=np.int8)
    return _put(len(table) - above, out)


def is_short(table: Array) -> bool:
    """Whether to count edges is quick, and right: NaN, which NumPy sorts last, can't be counted."""
    return len(table) <= FEW and not np.isnan(table).any()


def cast(a: Array, dtype: np.dtype, out: Array | None = None) -> Array:
    """As `a.astype(dtype)`."""
    return _put(a.astype(dtype), out)


def _put(value: Array, out: Array | None) -> Array:
    if out is None:
        return value
    out[...] = value
    return out


# -- the steps -------------------------------------------------------------------------------------


class Step(NamedTuple):
    """A call: what it reads, and the place of its result, or the number of a sum, no array."""

    function: Function
    read: list[Any]
    place: Place | None
    dtype: Any = None
    ignored: Ignored = ()
    number: int = 0

    def places(self) -> set[Place]:
        """Return the places that it reads."""
        return {part for part in self.read if type(part) is Place}

    def results(self) -> list[tuple[Place, Any]]:
        """Return the places that it writes to, and the types of these arrays."""
        return [] if self.place is None else [(self.place, self.dtype)]

    def line(self, text: Callable[[Any], str]) -> str:
        """Return the call as code; a sum is `s<number>`."""
        read = "".join(f"{text(part)}, " for part in self.read)
        if self.place is None:
            return f"s{self.number} = {text(self.function)}({read})"
        return f"{text(self.function)}({read}out={text(self.place)})"


def homes_of(
    steps: Iterable[Any], dtype: Any, without: Place | None = None
) -> tuple[dict[int, int], list[Any]]:
    """Return the buffer of each place, and the types of all buffers; number 0 stands for the data.

    A buffer is used again as soon as nobody reads any more what it holds. The place `without` needs
    none.
    """
    steps = list(steps)
    last = {place: number for number, step in enumerate(steps) for place in step.places()}
    dtypes, home, free = [dtype], {0: 0}, list[int]()
    for number, step in enumerate(steps):
        done = [home[place] for place in step.places() if place in home and last[place] == number]
        # a ufunc may write over what it reads, others may read after they have begun to write
        usable, taken = free + done if isinstance(step.function, np.ufunc) else free, list[int]()
        for place, kind in (each for each in step.results() if each[0] != without):
            fit = [b for b in usable if b and b not in taken and dtypes[b] == kind]
            home[place] = fit[-1] if fit else len(dtypes)
            taken.append(home[place])
            if not fit:
                dtypes.append(kind)
        free = [buffer for buffer in free + done if buffer and buffer not in taken]
    return home, dtypes


def block_of(dtypes: list[Any], whole: int = _BYTES) -> int:
    """Return how many values at once keep all buffers in the processor's cache."""
    together: int = sum(np.dtype(each).itemsize for each in dtypes[1:])
    return min(BLOCK, whole // together) if together else 8 * BLOCK


class Names(dict[str, Any]):
    """What printed code calls by a name."""

    def of(self, thing: Any) -> str:
        """Return a new name for a thing."""
        name = f"k{len(self)}"
        self[name] = thing
        return name

    def run(self, lines: list[str]) -> None:
        """Run lines of code, which may define more names."""
        exec(_compiled("\n".join(lines)), self)


@functools.lru_cache
def _compiled(source: str) -> Any:
    """Return code that is ready to run: the same steps come again with other numbers."""
    return compile(source, "<steps>", "exec")


class Buffers:
    """Arrays of some types, all of the length that is asked for."""

    def __init__(self, dtypes: list[Any]) -> None:
        self.views = self.whole = [np.empty(0, dtype) for dtype in dtypes]
        self.length = self.most = 0

    def of_length(self, length: int) -> list[Array]:
        """Return the arrays; what they hold is lost."""
        if length > self.most:
            self.whole, self.most = [np.empty(length, each.dtype) for each in self.whole], length
        if length != self.length:
            self.views, self.length = [each[:length] for each in self.whole], length
        return self.views


def to_read(x: Array) -> Array:
    """Return data as an array of one kind, for which loops are compiled once."""
    view = np.ascontiguousarray(x).view()
    view.flags.writeable = False
    return view


class Program:
    """The steps to a recorded result, printed as code with buffers that are used again."""

    def __init__(self, tape: Tape, result: Recorded, dtype: np.dtype) -> None:
        steps: list[Any] = [tape.step(place) for place in order_of(tape, [result.place])]
        if compiling.get() and dtype == np.float64:
            from .loops import fused

            steps = fused(tape, steps, [result.place])
        home, dtypes = homes_of(steps, dtype, without=result.place)
        self.block = block_of(dtypes)
        self.dtype = result.dtype
        names, inside = Names(), None

        def text(part: Any) -> str:
            if type(part) is not Place:
                return names.of(part)
            return "out" if part == result.place else f"b{home[part]}"

        lines = [f"def steps({', '.join(f'b{i}' for i in range(len(dtypes)))}, out):"]
        for step in steps:
            ignored = {kind: how for kind, how in step.ignored if how != "call"}  # its own
            if ignored != inside:
                lines.append(f"    with {names.of(np.errstate)}(**{names.of(ignored)}):")
                inside = ignored
            lines.append(f"        {step.line(text)}")
        names.run(lines)
        self.steps, self.dtypes = names["steps"], dtypes[1:]

    def with_buffers(self) -> Callable[[Array, Array | None], Array]:
        """Return a function of `x`, of one axis, and of a place for the result, if there is one."""
        buffers = Buffers(self.dtypes)

        def taken(x: Array, out: Array | None = None) -> Array:
            places = buffers.of_length(len(x))
            fits = out is not None and out.dtype == self.dtype
            result = out if fits else np.empty(len(x), self.dtype)
            self.steps(to_read(x), *places, result)
            return result

        return taken


def order_of(tape: Tape, places: list[Place]) -> list[Place]:
    """Return the calls that lead to some places.

    Each is as late as may be, so that buffers are free early.
    """
    order, seen = list[Place](), {0}
    stack = places[::-1]
    while stack:
        place = stack[-1]
        missing = [part for part in tape.reads(place) if part not in seen] if place else []
        if missing:
            stack += reversed(missing)
        else:
            stack.pop()
            if place not in seen:
                seen.add(place)
                order.append(place)
    return order
