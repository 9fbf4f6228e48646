"""Our package, and the matrix products alone, for `worker.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

Networks = list[tuple[list[np.ndarray], list[np.ndarray]]]


class Ours:
    """`flowtutorial.realnvp`, with the steps that `flowtutorial.training.train` takes."""

    def __init__(self, start: Networks | None, data: np.ndarray, rate: float) -> None:
        import flowtutorial
        from flowtutorial.training import _Adam

        self.versions = {"flowtutorial": flowtutorial.__version__, "numpy": np.__version__}
        self.flow = flowtutorial.realnvp(2)
        if start is not None:
            params = [part.ravel() for weights, biases in start for part in (*weights, *biases)]
            self.flow = self.flow.with_params(np.concatenate(params))
        self.adam, self.data, self.rate = _Adam(self.flow.params), data, rate

    def step(self, rows: np.ndarray) -> None:
        """Take one step."""
        from flowtutorial.likelihood import mean_and_slope
        from flowtutorial.observations import Observations

        flow, batch = self.flow.moved_to(self.adam.params), Observations(self.data[rows], None)
        self.adam.climb(mean_and_slope(flow, batch)[1], self.rate)

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Return log-densities."""
        values: np.ndarray = self.flow.with_params(self.adam.params).log_prob(x)
        return values

    def wait(self) -> None:
        """Nothing is under way."""


class Products:
    """The matrix products of a step and no more: what arithmetic alone takes.

    For each linear map of a network one product forward, and two backward: by its weights, by its
    input. They are written to places that exist.
    """

    def __init__(self, start: Networks, data: np.ndarray, batch: int) -> None:
        self.versions = {"numpy": np.__version__}
        rng = np.random.default_rng(0)
        self.parts = []
        for weights, _ in start:
            values = [rng.standard_normal((batch, weights[0].shape[1]))]
            values += [rng.standard_normal((batch, weight.shape[0])) for weight in weights]
            self.parts.append((weights, values, [np.empty_like(weight) for weight in weights]))
        self.bars = [np.empty_like(value) for value in self.parts[0][1]]

    def step(self, rows: np.ndarray) -> None:
        """Multiply."""
        for weights, values, _ in self.parts:
            for k, weight in enumerate(weights):
                np.matmul(values[k], weight.T, out=values[k + 1])
        for weights, values, by_weights in reversed(self.parts):
            for k in reversed(range(len(weights))):
                np.matmul(self.bars[k + 1].T, values[k], out=by_weights[k])
                np.matmul(self.bars[k + 1], weights[k], out=self.bars[k])

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Multiply, in blocks of the batch; the result has no meaning."""
        out, size = np.empty(len(x)), len(self.bars[0])
        for first in range(0, len(x), size):
            for weights, values, _ in self.parts:
                for k, weight in enumerate(weights):
                    np.matmul(values[k], weight.T, out=values[k + 1])
            out[first : first + size] = 0.0
        return out

    def wait(self) -> None:
        """Nothing is under way."""


def make(name: str, start: Networks | None, data: np.ndarray, rate: float) -> Any:
    """Return the model."""
    if name == "flowtutorial":
        return Ours(start, data, rate)
    if start is None:
        raise ValueError("the products have no values of their own")
    return Products(start, data, 512)
