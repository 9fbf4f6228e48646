"""Data in the chunks of a Dask array: the formulas go to the data.

The only module that imports Dask. Chunks are mapped to workers, where the formulas see arrays of
NumPy; sums travel back along a tree. Without a cluster, the threads of this process do the work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .blocks import Array, as_real, as_vectors, is_chunked

if TYPE_CHECKING:
    from .flow import Flow

FAN_IN = 8  # sums that are added at once on the way back


def log_prob(flow: Flow, x: Array, context: Array | None) -> Array:
    """Return the log-density of a Dask array, as one of the same chunks that is not yet computed.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers.
    ValueError
        If vectors have the wrong length, or the context does not fit.
    """
    import dask.array as da

    x = x if is_chunked(x) else da.from_array(x)
    dtype = as_real(np.empty(0, x.dtype), "x").dtype
    event_ndim = flow.event_ndim
    if event_ndim:
        x = as_vectors(x, flow.dim, "x").rechunk({x.ndim - 1: -1})
    lead = tuple(range(x.ndim - event_ndim))
    if not is_chunked(context):
        context = flow.as_context(context)
    if context is None or np.ndim(context) == 1:
        work = _LogProb(flow, context)
        return da.blockwise(
            work, lead, x, tuple(range(x.ndim)), dtype=dtype, concatenate=True,
            meta=np.empty((0,) * len(lead), dtype),
        )  # fmt: skip
    context = as_vectors(context, flow.context_dim, "context")
    shape = (*x.shape[:-1], context.shape[-1])
    context = da.broadcast_to(da.asarray(context), shape).rechunk((*x.chunks[:-1], -1))
    return da.blockwise(
        _LogProb(flow), lead, x, (*lead, -1), context, (*lead, -2), dtype=dtype, concatenate=True,
        meta=np.empty((0,) * len(lead), dtype),
    )  # fmt: skip


class _LogProb:
    """`flow.log_prob` of a chunk."""

    def __init__(self, flow: Flow, context: Array | None = None) -> None:
        self.flow, self.context = flow, context

    def __call__(self, x: Array, context: Array | None = None) -> Array:
        return self.flow.log_prob(x, self.context if context is None else context)


def in_chunks(x: Array, context: Array | None) -> tuple[Array, Array | None]:
    """Return data and contexts as Dask arrays, both in the same chunks of whole observations."""
    import dask.array as da

    if not is_chunked(x):
        x = da.from_array(x, chunks=(context.chunks[0], *([-1] * (x.ndim - 1))))  # type: ignore[union-attr]
    if x.ndim > 1:
        x = x.rechunk({1: -1})
    if context is not None:
        context = da.asarray(context).rechunk((x.chunks[0], -1))
    return x, context


def in_memory(*arrays: Array | None) -> list[Any]:
    """Return Dask arrays computed together; None stays."""
    from dask import base

    return list(base.compute(*arrays))


def reduce_chunks(
    work: Callable[..., Any], combine: Callable[[Any, Any], Any], x: Array, context: Array | None
) -> Any:
    """Return what `combine` makes of `work(x, context, first)` of all chunks.

    Parameters
    ----------
    work : callable
        Of a chunk, its contexts, and the place of its first observation.
    combine : callable
        Of two results.
    x, context : dask.array.Array
        From `in_chunks`.
    """
    from dask.delayed import delayed

    sizes = x.chunks[0]
    firsts = np.cumsum([0, *sizes[:-1]])
    parts = x.to_delayed().ravel()
    contexts = [None] * len(parts) if context is None else context.to_delayed().ravel()
    shared = delayed(work, traverse=False, pure=False)  # sent once, not with each chunk
    results = [
        delayed(_apply, pure=False)(shared, part, given, int(first))
        for part, given, first, size in zip(parts, contexts, firsts, sizes, strict=True)
        if size
    ]
    join = delayed(_combine, pure=False)
    while len(results) > 1:
        results = [join(combine, results[i : i + FAN_IN]) for i in range(0, len(results), FAN_IN)]
    return results[0].compute()


def _apply(work: Callable[..., Any], x: Array, context: Array | None, first: int) -> Any:
    return work(x, context, first)


def _combine(combine: Callable[[Any, Any], Any], results: list[Any]) -> Any:
    total = results[0]
    for result in results[1:]:
        total = combine(total, result)
    return total
