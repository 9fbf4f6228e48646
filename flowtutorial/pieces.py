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

from .blocks import Array, as_real, as_vectors
from .conditioner import MLP, affine
from .parameters import Parametrised, refilled

MANY = 1 << 13  # points: the tables of a flow take as long as its networks on a few thousand


@dataclass(frozen=True, eq=False)
class Pieces(MLP):
    """A network of one input with `max(a, 0)`, evaluated piece by piece.

    Parameters
    ----------
    knots : array of shape (m,)
        Where the slope changes.
    points : array of shape (m + 1,)
        The input closest to 0 on each piece: so the digits left are those of the network.
    values, slopes : arrays of shape (m + 1, outputs)
        Outputs there, and their derivatives.
    """

    knots: Array = field(default=None, metadata={"static": True})
    points: Array = field(default=None, metadata={"static": True})
    values: Array = field(default=None, metadata={"static": True})
    slopes: Array = field(default=None, metadata={"static": True})

    def __call__(self, h: Array) -> Array:
        """Return the outputs for inputs on the last axis, of length 1."""
        h = as_vectors(as_real(h, "h"), 1, "h")[..., 0]
        piece = np.searchsorted(self.knots, h, side="right")
        out = self.slopes.take(piece, axis=0)  # row by row: twice as fast as slopes[piece]
        out *= (h - self.points[piece])[..., None]
        out += self.values.take(piece, axis=0)
        return out


def in_pieces(value: Any) -> Any:
    """Return a bijection whose networks of one input are evaluated piece by piece."""
    if type(value) is MLP:
        straight = value.inputs == 1 and value.activation == "relu" and value.masks is None
        pieces = pieces_of(value) if straight else None
        return value if pieces is None else pieces
    if isinstance(value, tuple):
        made = tuple(map(in_pieces, value))
        return value if all(new is old for new, old in zip(made, value, strict=True)) else made
    if not isinstance(value, Parametrised):
        return value
    parts = {name: (old, in_pieces(old)) for name, old in value.trained_fields().items()}
    changed = {name: new for name, (old, new) in parts.items() if new is not old}
    return refilled(value, **changed) if changed else value


def pieces_of(network: MLP) -> Pieces | None:
    """Return a network of one input, with `max(a, 0)`, as its straight pieces.

    A unit switches where its line on a piece crosses 0. None if a slope overflows.
    """
    knots = np.empty(0)
    with np.errstate(all="ignore"):
        for depth in range(1, len(network.weights) + 1):
            left, right = np.append(-np.inf, knots), np.append(knots, np.inf)
            points = np.clip(0.0, left, right)
            layers = MLP(network.weights[:depth], network.biases[:depth])
            values, slopes = layers(points[:, None]), _slopes(layers, left, right)
            if depth < len(network.weights):
                crossing = points[:, None] - values / slopes
                within = (left[:, None] < crossing) & (crossing < right[:, None])
                knots = np.unique(np.concatenate([knots, crossing[within]]))
    if not (np.isfinite(values).all() and np.isfinite(slopes).all()):
        return None
    return Pieces(
        network.weights, network.biases, knots=knots, points=points, values=values, slopes=slopes
    )


def _slopes(network: MLP, left: Array, right: Array) -> Array:
    """Return the derivative of each output on the pieces between `left` and `right`.

    Which units are on is seen inside each piece, and not far out, where their sums lose digits.
    """
    low = np.maximum(left, np.where(right < 0.0, 2.0 * right, -1.0))
    high = np.minimum(right, np.where(left > 0.0, 2.0 * left, 1.0))
    h = np.where((left < 0.0) & (right > 0.0), 0.0, 0.5 * low + 0.5 * high)[:, None]
    slopes = np.ones_like(h)
    for weight, bias in zip(network.weights[:-1], network.biases[:-1], strict=True):
        h = np.maximum(affine(h, weight, bias), 0.0)
        slopes = (slopes @ weight.T) * (h > 0.0)
    return slopes @ network.weights[-1].T
