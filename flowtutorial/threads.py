"""One thread for small matrix products.

A library of linear algebra divides a product among all processors. Products as small as those here
gain little from it, and on a machine with other work each waits for the slowest thread, ten times
as long. With one thread sums are also added in the same order everywhere.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

Called = TypeVar("Called", bound=Callable[..., Any])


class _Inside:
    """Who is in `one_thread` now: the number of threads is that of the whole process."""

    lock = threading.Lock()
    count = 0
    limits: Any = None


@contextmanager
def one_thread() -> Iterator[None]:
    """Return a context in which matrix products take one thread.

    It may be entered again, and from several threads: the last to leave brings back as many as
    before the first.
    """
    with _Inside.lock:
        if not _Inside.count:
            _Inside.limits = _limited_to_one()
        _Inside.count += 1
    try:
        yield
    finally:
        with _Inside.lock:
            _Inside.count -= 1
            if not _Inside.count and _Inside.limits is not None:
                _Inside.limits.restore_original_limits()


def in_one_thread(function: Called) -> Called:
    """Return a function that is called in `one_thread`."""

    @functools.wraps(function)
    def limited(*args: Any, **kwargs: Any) -> Any:
        with one_thread():
            return function(*args, **kwargs)

    return limited  # type: ignore[return-value]


def _limited_to_one() -> Any:
    """Limit NumPy's library to one thread; without threadpoolctl it takes what it takes."""
    try:
        return _controller().limit(limits=1, user_api="blas")
    except ModuleNotFoundError:
        return None


@functools.cache
def _controller() -> Any:
    """Return what knows NumPy's library; to find it takes milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
