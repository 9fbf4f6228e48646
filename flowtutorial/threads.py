"""One thread for small matrix products.

A library of linear algebra divides a product among all processors. Products as small as those here
gain little from it, and on a machine with other work each waits for the slowest thread, ten times
as long. With one thread sums are also added in the same order everywhere.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

Called = TypeVar("Called", bound=Callable[..., Any])


def one_thread() -> AbstractContextManager[Any]:
    """Return a context in which matrix products take one thread."""
    limited: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return limited


def in_one_thread(function: Called) -> Called:
    """Return a function that is called in `one_thread`."""

    @functools.wraps(function)
    def limited(*args: Any, **kwargs: Any) -> Any:
        with one_thread():
            return function(*args, **kwargs)

    return limited  # type: ignore[return-value]


@functools.cache
def _controller() -> Any:
    """Return what knows NumPy's library; to find it takes milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
