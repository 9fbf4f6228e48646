"""Data for a fit, in blocks: in memory, in a file mapped to memory, or on the workers of a cluster.

A log-likelihood is a sum over observations, and so is its gradient. So the data may lie in blocks
anywhere: the formulas see one NumPy array at a time, and what comes back is a sum (chapter 12).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .blocks import BLOCK, ROWS, Array, as_real, as_vectors, is_chunked

if TYPE_CHECKING:
    from .flow import Flow


class Block(NamedTuple):
    """Some observations: numbers (m,) or vectors (m, D), their contexts, and where they begin."""

    x: Array
    context: Array | None
    first: int


class Summary(NamedTuple):
    """What a pass over the data finds out about them.

    Of values that are not finite, and of observations of density 0: how many there are, and index
    and value of the first. Then the smallest and the largest value, of vectors in each coordinate.
    """

    missing: tuple[int, float, Any]
    missing_context: tuple[int, float, Any]
    impossible: tuple[int, float, Any]
    low: Array
    high: Array


@dataclass(frozen=True, eq=False)
class Observations:
    """Finite data, of which sums over all observations can be asked for.

    Attributes
    ----------
    x : array of shape (n,), or (n, D) for vectors
        Of NumPy, or of Dask in chunks of whole observations.
    context : array of shape (n, C), optional
        For a conditional flow; of the same kind and in the same chunks.
    summary : Summary
        What a first pass has found.
    """

    x: Array
    context: Array | None
    summary: Summary | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return int(self.x.shape[0])

    def reduce(
        self, function: Callable[..., Any], *arguments: Any, combine: Any = None, rows: int = 0
    ) -> Any:
        """Return the sum of `function(block, *arguments)` over all blocks.

        Parameters
        ----------
        function : callable
            Of a `Block`; it returns a tuple of numbers or arrays that add up.
        *arguments
            Passed on to `function`, once for all blocks.
        combine : callable, optional
            What to do with the results of two blocks; by default, add entry by entry.
        rows : int, optional
            Observations in a block; by default as many as stay in the processor's cache.
        """
        work = functools.partial(_reduce, function, arguments, combine or added, rows)
        if is_chunked(self.x):
            from .cluster import reduce_chunks

            return reduce_chunks(work, combine or added, self.x, self.context)
        return work(self.x, self.context, 0)

    def rows(self, index: Any) -> tuple[Array, Array | None]:
        """Return some observations, and their contexts, in memory."""
        parts = [None if part is None else part[index] for part in (self.x, self.context)]
        if is_chunked(self.x):
            from .cluster import in_memory

            parts = in_memory(*parts)
        return as_double(parts[0]), parts[1]

    def chunk(self, index: int) -> tuple[Array, Array | None]:
        """Return a chunk of a Dask array, and its contexts, in memory."""
        first = sum(self.x.chunks[0][:index])
        return self.rows(slice(first, first + self.x.chunks[0][index]))

    @functools.cached_property
    def some(self) -> tuple[Array, Array | None]:
        """256 observations from all over the data, and their contexts."""
        return self.rows(np.linspace(0, len(self) - 1, 256).astype(int))

    @property
    def some_contexts(self) -> Array | None:
        """The contexts of these."""
        return None if self.context is None else self.some[1]


def observe(flow: Flow, x: Any, context: Any = None, *, density: bool = False) -> Observations:
    """Return data for a fit of `flow`, checked in one pass.

    Parameters
    ----------
    flow : Flow
    x : array of shape (n,), or (n, D) for vectors
        Of NumPy, also mapped to memory from a file, or of Dask.
    context : array of shape (C,) or (n, C), optional
    density : bool
        Whether to check that every observation has a positive density under `flow`.

    Raises
    ------
    TypeError
        If data are not real numbers.
    ValueError
        If there are none, or some are NaN or infinite, or of density 0; if the shapes don't fit.
    """
    x, shape = _observations(x, flow)
    context = _contexts(context, flow, x)
    if is_chunked(x) or is_chunked(context):
        from .cluster import in_chunks

        x, context = in_chunks(x, context)
    data = Observations(x, context)
    summary: Summary = data.reduce(_summary, flow, density, combine=_together)
    for found, whole, name in (
        (summary.missing, shape, "x"),
        (summary.missing_context, np.shape(context), "context"),
    ):
        count, first, value = found
        if count:
            rows = ".all(axis=-1)" if name == "context" or flow.event_ndim else ""
            index = ", ".join(str(int(i)) for i in np.unravel_index(int(first), whole))
            raise ValueError(
                f"{name}: {count} of {int(np.prod(whole))} values are NaN or infinite, the first "
                f"is {name}[{index}] = {value}; remove them first, for example with "
                f"{name}[numpy.isfinite({name}){rows}]"
            )
    count, first, value = summary.impossible
    if count:
        low, high = flow.support
        raise ValueError(
            f"x: {count} of {len(data)} values have density 0 under the flow at its start, the "
            f"first is x[{int(first)}] = {value}; its values lie in ({low}, {high}), so start "
            "elsewhere or choose another bijection"
        )
    return Observations(x, context, summary)


def added(a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the sums of the entries."""
    return tuple(u + v for u, v in zip(a, b, strict=True))


def blocks_of(x: Array, context: Array | None, first: int = 0, rows: int = 0) -> Iterator[Block]:
    """Yield the blocks of an array of NumPy, in double precision, in the size of the cache."""
    rows = rows or (BLOCK if x.ndim == 1 else ROWS)
    for start in range(0, len(x), rows):
        part = slice(start, start + rows)
        yield Block(as_double(x[part]), None if context is None else context[part], first + start)


def as_double(x: Array) -> Array:
    """Return real numbers in double precision."""
    return np.asarray(x).astype(np.float64, copy=False)


def _reduce(
    function: Callable[..., Any], arguments: Any, combine: Any, rows: int,
    x: Array, context: Array | None, first: int,
) -> Any:  # fmt: skip
    """Reduce one array of NumPy; on a cluster, one chunk."""
    parts = (function(block, *arguments) for block in blocks_of(x, context, first, rows))
    return functools.reduce(combine, parts)


def _observations(x: Any, flow: Flow) -> tuple[Array, tuple[int, ...]]:
    """Return data as an array of numbers (n,) or vectors (n, D), and the shape they had."""
    if is_chunked(x):
        _ = as_real(np.empty(0, x.dtype), "x")
        if any(np.isnan(size) for size in x.shape):
            raise ValueError(
                "x: the sizes of its chunks are unknown; call x.compute_chunk_sizes() first"
            )
    elif isinstance(x, np.ndarray) and not isinstance(x, np.ma.MaskedArray):
        _ = as_real(x[:0] if x.ndim else x, "x")  # blocks are converted one by one
    else:
        x = as_real(x, "x")
    if flow.event_ndim:
        as_vectors(x, flow.dim, "x")
    if x.size == 0:
        raise ValueError("x: no data; give at least one observation")
    return x.reshape((-1, x.shape[-1]) if flow.event_ndim else (-1,)), x.shape


def _contexts(context: Any, flow: Flow, x: Array) -> Array | None:
    """Return a context for each observation, if the flow takes one."""
    if not is_chunked(context):
        return flow.rows_of_context(context, len(x))
    if not flow.context_dim:
        return flow.as_context(context)
    _ = as_real(np.empty(0, context.dtype), "context")
    as_vectors(context, flow.context_dim, "context")
    if context.shape[:-1] != (len(x),):
        raise ValueError(
            f"context: expected one vector for each of {len(x)} observations, got an array of "
            f"shape {context.shape}"
        )
    return context


def _found(wrong: Array, values: Array, first: int) -> tuple[int, float, Any]:
    """Return how many entries are wrong, and index and value of the first."""
    count = int(np.count_nonzero(wrong))
    if not count:
        return 0, np.inf, None
    index = int(np.argmax(wrong))
    return count, first + index, values[index]


def _summary(block: Block, flow: Flow, density: bool) -> Summary:
    x, context, first = block
    finite = np.isfinite(x).ravel()
    missing = _found(~finite, x.ravel(), first * (x.shape[1] if x.ndim > 1 else 1))
    lost = (0, np.inf, None)
    if context is not None:
        lost = _found(~np.isfinite(context).ravel(), context.ravel(), first * context.shape[1])
    impossible = (0, np.inf, None)
    if density and not missing[0] and not lost[0]:
        impossible = _found(np.isneginf(flow.log_prob(x, context)), x, first)
    return Summary(missing, lost, impossible, x.min(axis=0), x.max(axis=0))


def _together(a: Summary, b: Summary) -> Summary:
    def both(a: tuple[int, float, Any], b: tuple[int, float, Any]) -> tuple[int, float, Any]:
        return (a[0] + b[0], *min(a[1:], b[1:], key=lambda found: found[0]))

    return Summary(
        both(a.missing, b.missing),
        both(a.missing_context, b.missing_context),
        both(a.impossible, b.impossible),
        np.minimum(a.low, b.low),
        np.maximum(a.high, b.high),
    )
