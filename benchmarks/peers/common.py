"""What the libraries' modules share."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np

Parameters = list[np.ndarray]
Networks = list[tuple[list[np.ndarray], list[np.ndarray]]]  # weights and biases of each coupling


class NoEquivalentError(Exception):
    """The library has nothing that computes this; the message says what is missing."""


def versions(*distributions: str) -> dict[str, str]:
    """Return what is installed of these."""
    return {name: version(name) for name in distributions}
