"""What an exercise answers to an answer, and how long it may think about it."""

from __future__ import annotations

import signal
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

RIGHT, NOT_YET, UNDECIDED = "right", "not yet", "could not be decided"

SECONDS = 30.0  # for one answer, readings and proofs together
_WRAPPED = textwrap.TextWrapper(
    width=78, subsequent_indent="    ", break_on_hyphens=False, break_long_words=False
)


@dataclass(frozen=True, repr=False)
class Reply:
    """What `check` says of an answer: true only if it is right.

    Attributes
    ----------
    verdict : str
        `right`, `not yet` or `could not be decided`.
    message : str
        For a right answer how that was established; else where it differs, or what kept it from
        being read.
    hint : str
        One sentence that says where to look, or nothing.
    """

    verdict: str
    message: str
    hint: str = ""

    def __bool__(self) -> bool:
        return self.verdict == RIGHT

    def __repr__(self) -> str:
        parts = [f"{self.verdict}: {self.message}"]
        if self.hint:
            parts.append(f"hint: {self.hint}")
        return "\n".join(map(_WRAPPED.fill, parts))


class Unusable(Exception):
    """The answer is of a kind that can't be compared; the message says so to the reader."""

    verdict = NOT_YET


class TooLarge(Unusable):
    """The answer may be right, but it would take too long to see."""

    verdict = UNDECIDED


class OutOfTime(BaseException):
    """The time is up. Not an `Exception`: what is interrupted must not swallow it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime` in the block after some seconds.

    Where there is no alarm clock (Windows, threads other than the main one) the prover's own
    budget has to do.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise OutOfTime

    def stop() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # rings again if someone caught the first
    try:
        try:
            yield
        finally:
            stop()
    except OutOfTime:  # which may have come while the clock was being stopped
        stop()
        raise
