"""Networks of one input as what they are: functions with straight pieces.

A network with the activation `max(a, 0)` is linear between the inputs at which one of its units
switches on or off. Of one input there are some hundreds of these, and between two of them one
product and one sum give what all the layers give (Montúfar et al. 2014, *On the number of linear
regions of deep neural networks*). So in two dimensions, where a coupling's network sees one
coordinate, densities and samples of many points come from a table, to rounding the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .blocks import Array
from .conditioner import MLP
from .parameters import Parametrised, refilled

MANY = (
    1 << 15
)  # points: making the tables of a flow takes as long as its networks on some thousands


@dataclass(frozen=True, eq=False)
class Pieces(MLP):
    """A network of one input with `max(a, 0)`, evaluated piece by piece.

    Parameters
    ----------
    knots : array of shape (m,)
        Where the slope changes.
    centers : array of shape (m + 1,)
        An input on each piece.
    values, slopes : arrays of shape (outputs, m + 1)
        Outputs there, and their derivatives.
    """

    knots: Array = field(default=None, metadata={"static": True})
    centers: Array = field(default=None, metadata={"static": True})
    values: Array = field(default=None, metadata={"static": True})
    slopes: Array = field(default=None, metadata={"static": True})

    def __call__(self, h: Array) -> Array:
        """Return the outputs for inputs on the last axis, of length 1."""
        h = h[..., 0]
        piece = np.searchsorted(self.knots, h, side="right")
        beyond = h - self.centers[piece]
        out = np.empty((*h.shape, len(self.values)))
        for j, (value, slope) in enumerate(zip(self.values, self.slopes, strict=True)):
            out[..., j] = value[piece] + slope[piece] * beyond
        return out


def in_pieces(value: Any) -> Any:
    """Return a bijection whose networks of one input are evaluated piece by piece."""
    if type(value) is MLP:
        straight = value.inputs == 1 and value.activation == "relu" and value.masks is None
        return pieces_of(value) if straight else value
    if isinstance(value, tuple):
        made = tuple(map(in_pieces, value))
        return value if all(new is old for new, old in zip(made, value, strict=True)) else made
    if not isinstance(value, Parametrised):
        return value
    parts = {name: (old, in_pieces(old)) for name, old in value.trained_fields().items()}
    changed = {name: new for name, (old, new) in parts.items() if new is not old}
    return refilled(value, **changed) if changed else value


def pieces_of(network: MLP) -> Pieces:
    """Return a network of one input, with `max(a, 0)`, as its straight pieces.

    A unit switches where the line through its values at two neighbouring knots, or beyond the last
    of them, crosses 0.
    """
    knots = np.empty(0)
    for depth in range(1, len(network.weights)):
        points = np.array([-1.0, 1.0]) if not len(knots) else _with_ends(knots)
        before = MLP(network.weights[:depth], network.biases[:depth])
        a = before(points[:, None])
        with np.errstate(all="ignore"):
            share = a[:-1] / (a[:-1] - a[1:])  # of the way to the next point
            crossing = points[:-1, None] + share * np.diff(points)[:, None]
        within = np.isfinite(crossing)
        within[1:] &= share[1:] > 0.0  # the first line goes on to the left, and the last
        within[:-1] &= share[:-1] < 1.0  # to the right
        knots = np.unique(np.concatenate([knots, crossing[within]]))
    ends = _with_ends(knots) if len(knots) else np.zeros(2)
    centers = np.concatenate([ends[:1], 0.5 * (knots[:-1] + knots[1:]), ends[-1:]])
    centers = centers if len(knots) else np.zeros(1)
    values, pullback = network.and_pullback(centers[:, None])
    ones = np.eye(network.outputs)[:, None] * np.ones((len(centers), 1))
    slopes = np.array([pullback(one, True)[0][:, 0] for one in ones])
    return Pieces(
        network.weights, network.biases, knots=knots, centers=centers,
        values=np.ascontiguousarray(values.T), slopes=slopes,
    )  # fmt: skip


def _with_ends(knots: Array) -> Array:
    """Return knots with a point before the first and one behind the last."""
    low, high = knots[0], knots[-1]
    return np.concatenate([[low - max(1.0, abs(low))], knots, [high + max(1.0, abs(high))]])
