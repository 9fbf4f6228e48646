"""Our package, plain and compiled, and the matrix products of a RealNVP alone, for `worker.py`."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np

from .common import Networks, NoEquivalentError, Parameters, versions

COMPILED = "flowtutorial-compiled"
always = ExitStack()  # what is open until the process ends


def VERSIONS(name: str) -> dict[str, str]:
    """Return what is installed."""
    import flowtutorial

    ours = {} if name == "products" else {"flowtutorial": flowtutorial.__version__}
    return {**ours, **(versions("numba") if name == COMPILED else {}), "numpy": np.__version__}


class Scalar:
    """A flow of one variable, used as a reader would."""

    optimiser = "fit"

    def __init__(self, kind: str, parameters: Parameters) -> None:
        from ..problems import flow_of

        self.flow = flow_of(kind, parameters)

    def arrange(self, x: np.ndarray) -> np.ndarray:
        """Return `x`."""
        return x

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Return log-densities."""
        values: np.ndarray = self.flow.log_prob(x)
        return values

    def sample(self, n: int, seed: int) -> np.ndarray:
        """Return draws."""
        draws: np.ndarray = self.flow.sample(n, seed)
        return draws

    def ascend(self, x: np.ndarray, rate: float, steps: int) -> float:
        """Return the last iterate."""
        from flowtutorial import gradient_ascent

        return float(gradient_ascent(self.flow, x, rate, steps).params[-1, 0])

    def fit(self, x: np.ndarray, goal: float) -> tuple[float, str]:
        """Fit to its own convergence, which is beyond the goal."""
        from flowtutorial import fit

        found = fit(self.flow, x)
        return found.log_likelihood, f"{found.iterations} iterations"


class Ours:
    """`flowtutorial.realnvp`, with the steps that `flowtutorial.training.train` takes.

    `fit` can't be asked for one step, nor to stop at a goal; so `step` repeats the lines of its
    loop. This is the only place here that looks behind the package's public names.
    """

    def __init__(self, start: Networks | None) -> None:
        import flowtutorial

        self.flow = flowtutorial.realnvp(2)
        if start is not None:
            params = [part.ravel() for weights, biases in start for part in (*weights, *biases)]
            self.flow = self.flow.with_params(np.concatenate(params))

    def train_on(self, data: np.ndarray, rate: float) -> None:
        """Begin to train; `train` is in one thread from its first step to its last."""
        from flowtutorial.threads import one_thread
        from flowtutorial.training import _Adam

        self.alone = one_thread()
        self.alone.__enter__()
        self.adam, self.data, self.rate = _Adam(self.flow.params), data, rate

    def step(self, rows: np.ndarray) -> None:
        """Take one step."""
        from flowtutorial.likelihood import mean_and_slope
        from flowtutorial.observations import Observations

        flow, batch = self.flow.moved_to(self.adam.params), Observations(self.data[rows], None)
        self.adam.climb(mean_and_slope(flow, batch)[1], self.rate)

    def arrange(self, x: np.ndarray) -> np.ndarray:
        """Return `x`."""
        return x

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

    def __init__(self, start: Networks | None) -> None:
        if start is None:
            raise NoEquivalentError("products have no values of their own")
        self.start = start

    def train_on(self, data: np.ndarray, rate: float, batch: int = 512) -> None:
        """Make the places."""
        rng = np.random.default_rng(0)
        self.parts = []
        for weights, _ in self.start:
            values = [rng.standard_normal((batch, weights[0].shape[1]))]
            values += [rng.standard_normal((batch, weight.shape[0])) for weight in weights]
            self.parts.append((weights, values, [np.empty_like(weight) for weight in weights]))
        self.bars = [rng.standard_normal(value.shape) for value in self.parts[0][1]]

    def step(self, rows: np.ndarray) -> None:
        """Multiply."""
        for weights, values, _ in self.parts:
            for k, weight in enumerate(weights):
                np.matmul(values[k], weight.T, out=values[k + 1])
        for weights, values, by_weights in reversed(self.parts):
            for k in reversed(range(len(weights))):
                np.matmul(self.bars[k + 1].T, values[k], out=by_weights[k])
                np.matmul(self.bars[k + 1], weights[k], out=self.bars[k])

    def arrange(self, x: np.ndarray) -> np.ndarray:
        """Return `x`."""
        return x

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Multiply, in blocks of the batch; the result has no meaning."""
        out, size = np.zeros(len(x)), len(self.bars[0])
        for _ in range(0, len(x), size):
            for weights, values, _ in self.parts:
                for k, weight in enumerate(weights):
                    np.matmul(values[k], weight.T, out=values[k + 1])
        return out

    def wait(self) -> None:
        """Nothing is under way."""


def make(name: str, kind: str, parameters: Any) -> Any:
    """Return the model."""
    if name == COMPILED and kind == "realnvp":
        raise NoEquivalentError("networks are matrix products, which nothing here compiles")
    if kind == "realnvp":
        return (Ours if name == "flowtutorial" else Products)(parameters)
    if name == "products":
        raise NoEquivalentError("only a RealNVP has matrix products")
    if name == COMPILED:
        from flowtutorial import compiled

        always.enter_context(compiled())
    return Scalar(kind, parameters)
