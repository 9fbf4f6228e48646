"""The door between a user's data and the formulas.

Everything that is not mathematics stands here once: which inputs are numbers, which type the
result has, and how a long array is cut into blocks that stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from .threads import one_thread

Array = Any  # an ndarray of floats, or another array type that answers NumPy's ufuncs

BLOCK = 16384  # elements: 128 KiB of float64, so that a formula's temporaries stay in the cache
ROWS = 512  # vectors: as many rows of 64 hidden units take 256 KiB

# Multiplications in a small matrix product. On processors with AVX-512 OpenBLAS has code for these
# that does not first copy the operands into an order of its own; on others they have no advantage.
_found = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])
SMALL = 10**6 if {"X86_V4", "AVX512_SKX"}.intersection(_found) else np.inf

# The C library of Linux gives freed memory back to the system, and asks for it again, page by page,
# with each new array. Once it has freed a block as large as this, which nobody touches, it keeps
# what it has: temporaries of the size of a block are then quick to get.
np.empty(2**22 - 1024)


def is_traced(value: object) -> bool:
    """Whether `value` is symbolic (`symbolic.SymArray`), to be passed on to the formulas."""
    return getattr(value, "is_traced", False)


def is_recorded(value: object) -> bool:
    """Whether `value` notes what is done with it (`recorded`), to be passed on to the formulas."""
    return getattr(value, "is_recorded", False)


def is_chunked(value: object) -> bool:
    """Whether `value` is a Dask array, whose chunks may lie anywhere."""
    return hasattr(value, "__dask_graph__") and hasattr(value, "chunks")


def spare(array: Array) -> Array | None:
    """Return `array` as the place for a result, `np.exp(array, out=spare(array))`.

    For arrays that nobody else holds: memory is not asked for again, which for large blocks takes
    longer than the arithmetic. A traced array is not written over: None, the usual new place.
    """
    return None if is_traced(array) else array


def times(rows: Array, matrix: Array) -> Array:
    """Return `rows @ matrix`; of many rows in stacks, and with a matrix that lies row by row.

    The same rows take a fifth less in small products.
    """
    if is_traced(rows) or is_traced(matrix) or rows.ndim != 2 or len(rows) < 100:
        return rows @ matrix
    (n, length), matrix = rows.shape, np.ascontiguousarray(matrix)
    stacks = count_stacks(n, matrix.size)
    if stacks == 1:
        return rows @ matrix
    return np.reshape(np.reshape(rows, (stacks, n // stacks, length)) @ matrix, (n, -1))


def count_stacks(n: int, size: int) -> int:
    """Return in how many stacks `n` rows make small products, of `size` multiplications a row."""
    for stacks in (1, 2, 4, 8, 16):
        if n * size <= stacks * SMALL and n % stacks == 0:
            return stacks
    return 1


def entries(table: Array, index: Array) -> Array:
    """Return `table[index]` of a table with one axis, also for an index that is recorded."""
    return index.entries_of(table) if hasattr(index, "entries_of") else table[index]


def as_real(value: object, name: str) -> Array:
    """Return `value` as a floating-point array: float32 and float64 stay, integers become float64.

    Raises
    ------
    TypeError
        If `value` does not hold real numbers, or hides some of them behind a mask.
    """
    if type(value) is np.ndarray and value.dtype.char in "fd":
        return value  # most often; layers ask at every call
    if is_traced(value):
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name}: a masked array would lose its mask; pass {name}.compressed() to drop the "
            f"masked entries or {name}.filled(numpy.nan) to keep their places"
        )
    try:
        array = np.asarray(value)
    except ValueError as error:  # ragged nested lists
        raise TypeError(f"{name}: not an array of numbers ({error})") from error
    if array.dtype.kind in "iu" or array.dtype == np.float16:
        return array.astype(np.float64)
    if array.dtype.kind != "f":
        raise TypeError(
            f"{name}: expected real numbers, got an array of type {array.dtype}; "
            f"convert it first, for example with numpy.asarray({name}, dtype=float)"
        )
    return array


def as_parameters(value: object, name: str) -> Array:
    """Return an array of parameters, a copy that can't be written to, with at least one axis.

    Traced values pass.

    Raises
    ------
    TypeError
        If `value` does not hold real numbers.
    ValueError
        If it is a single number.
    """
    array = as_real(value, name)
    if array.ndim == 0:
        raise ValueError(f"{name}: expected an array of parameters, got the single number {value}")
    if is_traced(array):
        return array
    copied = np.array(array)  # so that nobody else can change the parameters of a flow
    copied.flags.writeable = False
    return copied


def as_vectors(array: Array, dim: int | None, name: str) -> Array:
    """Return an array of vectors on the last axis.

    Raises
    ------
    ValueError
        If there is no last axis, or it has not the length `dim`.
    """
    if array.ndim == 0:
        raise ValueError(f"{name}: expected vectors on the last axis, got a single number")
    if dim is not None and array.shape[-1] != dim:
        raise ValueError(
            f"{name}: expected vectors of length {dim} on the last axis, got an array of shape "
            f"{array.shape}"
        )
    return array


def as_observations(value: object, name: str, event_ndim: int = 0) -> Array:
    """Return data for a fit: real, finite and not empty; numbers (n,), or vectors (n, D).

    Raises
    ------
    TypeError
        If `value` does not hold real numbers.
    ValueError
        If it is empty, or holds NaN or infinite values; the message has their number and the
        index of the first.
    """
    array = as_real(value, name)
    if array.size == 0:
        raise ValueError(f"{name}: no data; give at least one observation")
    finite = np.isfinite(array)
    if not finite.all():
        first = np.unravel_index(np.argmin(finite), array.shape)
        index = ", ".join(str(int(i)) for i in first)
        raise ValueError(
            f"{name}: {array.size - np.count_nonzero(finite)} of {array.size} values are NaN or "
            f"infinite, the first is {name}[{index}] = {array[first]}; remove them first, for "
            f"example with {name}[numpy.isfinite({name}){'.all(axis=-1)' if event_ndim else ''}]"
        )
    return array.reshape(-1, array.shape[-1]) if event_ndim else array.reshape(-1)


def as_generator(rng: object) -> np.random.Generator:
    """Return `rng` if it is a generator, or a new generator seeded by it if it is an integer."""
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool):
        if rng < 0:
            raise ValueError(f"rng: a seed is not negative, got {rng}")
        return np.random.default_rng(int(rng))
    raise TypeError(f"rng: expected numpy.random.default_rng(seed) or an integer seed, got {rng!r}")


def as_count(value: object, name: str, least: int = 0) -> int:
    """Return `value` as a number of things: an integer that is at least `least`."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name}: expected {least} or more, got {value}")
    return int(value)


def map_blocks(
    function: Callable[[Array, Array | None], Array], x: Array, length: int = BLOCK
) -> Array:
    """Apply an elementwise `function` to `x` block by block; the result has the type of `x`.

    The memory needed is the result and a few blocks, whatever the size and layout of `x`.

    Parameters
    ----------
    function : callable
        `function(block, out)` returns the result for a block. It may write it to `out`, which has
        the shape and the type of the block, or is None.
    x : array
    length : int
        Of a block.
    """
    if x.size <= min(length, BLOCK):
        result = function(x.reshape(-1) if x.ndim > 1 else x, None)
        return np.array(result, dtype=x.dtype).reshape(x.shape)[()]
    out = np.empty_like(x, subok=False)
    with np.nditer(
        [x, out],
        flags=["external_loop", "buffered"],
        op_flags=[["readonly"], ["writeonly"]],
        buffersize=length,
    ) as blocks:
        for source, target in blocks:
            result = function(source, target)
            if result is not target:
                target[...] = result
    return out


def map_rows(
    function: Callable[..., Array], x: Array, context: Array | None = None, rows: int = ROWS
) -> Array:
    """Apply a function of vectors to the last axis of `x`, block by block, in the type of `x`.

    Parameters
    ----------
    function : callable
        `function(rows)` or, with a context, `function(rows, rows of the context)`, for an array of
        shape (m, D); the result has the same first axis.
    x : array of shape (..., D)
    context : array of shape (..., C), optional
        Its leading axes broadcast with those of `x`.
    rows : int
        How many vectors at once.
    """
    whole = [x] if context is None else [x, context]
    lead = np.broadcast_shapes(*(part.shape[:-1] for part in whole))
    n = int(np.prod(lead))
    flat = [np.broadcast_to(p, (*lead, p.shape[-1])).reshape(n, p.shape[-1]) for p in whole]
    with one_thread() if n > rows else nullcontext():
        first = np.asarray(function(*(part[:rows] for part in flat)), dtype=x.dtype)
        out = np.empty((n, *first.shape[1:]), dtype=x.dtype)
        out[:rows] = first
        for start in range(rows, n, rows):
            out[start : start + rows] = function(*(part[start : start + rows] for part in flat))
    return out.reshape((*lead, *first.shape[1:]))[()]
