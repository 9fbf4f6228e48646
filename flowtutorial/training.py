"""Training: maximum likelihood for flows of many parameters, by small steps on part of the data.

Each step sees a minibatch, and its gradient is the derivative of the same log-likelihood; some data
are held out, to see when there is nothing more to learn. Chapter 10 trains a coupling flow so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .blocks import Array, as_count, as_generator, is_chunked
from .flow import Flow
from .likelihood import (
    check_bounded,
    check_varied,
    finite_number,
    mean_and_slope,
    progress_bar,
    supported,
)
from .observations import Block, Observations, as_double
from .threads import in_one_thread


@dataclass(frozen=True, eq=False)
class Training:
    """The result of `train`.

    Attributes
    ----------
    flow : Flow
        The flow where the held-out data had the largest likelihood.
    params : array of shape (k,)
        Its parameters.
    log_likelihood : float
        Mean log-likelihood of all the data, in nats for each observation.
    validation_log_likelihood : float
        That of the held-out data alone; of all the data if none were held out.
    converged : bool
        Whether the held-out data had stopped gaining.
    message : str
        Why the training stopped.
    gradient_norm : float
        Euclidean norm of the gradient of the mean log-likelihood of all the data.
    iterations : int
        Steps taken.
    history : array of shape (epochs, 2)
        Mean log-likelihood of the minibatches of each epoch, and of the held-out data after it.
    """

    flow: Flow
    params: Array
    log_likelihood: float
    validation_log_likelihood: float
    converged: bool
    message: str
    gradient_norm: float
    iterations: int
    history: Array = field(repr=False)

    def __repr__(self) -> str:
        return "\n".join([
            f"{'converged' if self.converged else 'stopped'} after {self.iterations} steps in "
            f"{len(self.history)} epochs: {self.message}",
            f"mean log-likelihood {self.log_likelihood:.4f}, of held-out data "
            f"{self.validation_log_likelihood:.4f}",
            f"{self.params.size} parameters",
        ])  # fmt: skip


@in_one_thread
def train(
    flow: Flow,
    x: Array,
    context: Array | None = None,
    *,
    rng: np.random.Generator | int = 0,
    epochs: int = 100,
    batch_size: int | None = None,
    learning_rate: float = 2e-3,
    validation: float = 0.1,
    patience: int = 20,
    progress: bool | None = None,
) -> Training:
    """Find parameters of large likelihood by Adam on minibatches.

    The step size falls from `learning_rate` to 0 along half a cosine over the epochs. The
    parameters returned are those after the epoch in which the held-out data had the largest
    likelihood; so it is also when training is interrupted from the keyboard.

    Parameters
    ----------
    flow : Flow
        Where to start.
    x : array of shape (n,), or (n, D) for vectors
        Finite data; every value must have a positive density under `flow`. Of a Dask array the
        chunks are read one at a time, in random order.
    context : array of shape (C,) or (n, C), optional
        For a conditional flow.
    rng : numpy.random.Generator or int
        Draws what is held out, and the order of the data in each epoch.
    epochs : int
        Passes over the data.
    batch_size : int, optional
        Observations for each step, by default 256, or all if there are fewer.
    learning_rate : float
        The first step size.
    validation : float
        The share of data held out; 0 for none.
    patience : int
        Stop when the held-out data have not gained for so many epochs.
    progress : bool, optional
        Whether to show a progress bar (needs tqdm). By default, on terminals alone.

    Returns
    -------
    Training

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind; if the data are empty, not finite, or outside the
        support of `flow`; if a batch is larger than the data; if the likelihood has no bound.

    Notes
    -----
    Kingma and Ba (2015), *Adam: a method for stochastic optimization*, algorithm 1, with their
    constants.
    """
    data = supported(flow, x, context)
    check_varied(flow, data)
    rng, epochs = as_generator(rng), as_count(epochs, "epochs", 1)
    patience = as_count(patience, "patience", 1)
    rate = finite_number(learning_rate, "learning_rate")
    if rate <= 0.0:
        raise ValueError(f"learning_rate: expected a positive number, got {rate:g}")
    share = finite_number(validation, "validation")
    split = (_ChunkedSplit if is_chunked(data.x) else _Split)(data, share, rng)
    batch_size = _batch_size(batch_size, split.size)
    batches = split.size // batch_size
    adam = _Adam(flow.params)
    best = _Best(flow, mean_of(flow, split.held))
    history: list[tuple[float, float]] = []
    message, converged = f"{epochs} epochs are over", False
    with progress_bar(epochs * batches, progress) as bar:
        try:
            for epoch in range(epochs):
                total = 0.0
                for batch, part in enumerate(split.batches(rng, batch_size)):
                    mean, slope = mean_and_slope(flow.moved_to(adam.params), part)
                    done = (epoch + batch / batches) / epochs
                    adam.climb(slope, 0.5 * rate * (1.0 + np.cos(np.pi * done)))
                    total += mean
                    bar.update(1)
                now = flow.with_params(adam.params)
                history.append((total / batches, mean_of(now, split.held)))
                bar.set_postfix_str(f"held-out log-likelihood {history[-1][1]:.4f}", refresh=False)
                best.compare(now, history[-1][1], epoch)
                if epoch - best.epoch >= patience:
                    converged = best.epoch >= 0
                    message = f"held-out data have not gained for {patience} epochs"
                    break
        except KeyboardInterrupt:
            message = "interrupted from the keyboard"
        except _LeftError as error:
            message = str(error)
        else:
            if best.epoch < 0:
                message += ", none of them better than the start; a smaller learning_rate may help"
    mean, slope = mean_and_slope(best.flow, data)
    check_bounded(best.flow, data, mean)
    return Training(
        flow=best.flow,
        params=best.flow.params,
        log_likelihood=mean,
        validation_log_likelihood=best.value,
        converged=converged,
        message=message,
        gradient_norm=float(np.linalg.norm(slope)),
        iterations=adam.steps,
        history=np.array(history).reshape(-1, 2),
    )


class _LeftError(ArithmeticError):
    """The parameters are no longer finite."""


class _Adam:
    """The state of the method: weighted sums of gradients, and of their squares.

    The weights fall with age, `0.9^k` and `0.999^k`; divided by the sums of these, the sums are the
    means of the algorithm, with its corrections for the first steps.
    """

    def __init__(self, params: Array) -> None:
        self.params, self.steps = params, 0
        self.sum, self.squares, self.work = (np.zeros_like(params) for _ in range(3))

    @np.errstate(over="ignore", invalid="ignore")  # what comes out is checked
    def climb(self, gradient: Array, rate: float) -> None:
        """Take one step uphill."""
        self.steps += 1
        work = self.work  # new arrays of many parameters would take longer than the arithmetic
        self.sum *= 0.9
        self.sum += gradient
        self.squares *= 0.999
        self.squares += np.multiply(gradient, gradient, out=work)
        # rate · sum/m / (√(squares/s) + 1e-8), with the sums of weights m and s out of the arrays
        m, root_s = (1.0 - 0.9**self.steps) / 0.1, np.sqrt((1.0 - 0.999**self.steps) / 0.001)
        size = np.sqrt(self.squares, out=work)
        size += 1e-8 * root_s
        step = np.divide(self.sum, size, out=work)
        step *= rate * root_s / m
        moved = self.params + step
        if not np.isfinite(moved).all():
            raise _LeftError(
                f"a step of {rate:g} overflowed; take a smaller learning_rate"
                if np.isfinite(gradient).all()
                else f"the gradient was not finite at step {self.steps}; a smaller learning_rate "
                "may help"
            )
        self.params = moved


class _Best:
    """The flow with the largest likelihood of held-out data so far."""

    def __init__(self, flow: Flow, value: float) -> None:
        self.flow, self.value, self.epoch = flow, value, -1

    def compare(self, flow: Flow, value: float, epoch: int) -> None:
        """Keep `flow` if it is better."""
        if value > self.value:
            self.flow, self.value, self.epoch = flow, value, epoch


def mean_of(flow: Flow, data: Observations) -> float:
    """Return the mean log-likelihood."""
    return float(data.reduce(_log_prob_of, flow)[0]) / len(data)


def _log_prob_of(block: Block, flow: Flow) -> tuple[float]:
    with np.errstate(all="ignore"):  # far from the data it is -∞ or NaN, and never the best
        return (float(np.sum(flow.log_prob(block.x, block.context))),)


class _Split:
    """The rows of an array to learn from, and those held out; all rows twice if none are."""

    def __init__(self, data: Observations, share: float, rng: np.random.Generator) -> None:
        held = _held(len(data), share)
        order = rng.permutation(len(data))
        self.data, self.kept = data, order[held:]
        self.held = Observations(*data.rows(order[:held])) if held else data
        self.size = len(self.kept)

    def batches(self, rng: np.random.Generator, size: int) -> Iterator[Observations]:
        """Yield the whole batches of one pass, in random order."""
        order = rng.permutation(self.kept)
        for first in range(0, len(order) - size + 1, size):
            yield Observations(*self.data.rows(order[first : first + size]))


class _ChunkedSplit:
    """The same for a Dask array: some rows of each chunk are held out.

    A pass takes the chunks in random order, one at a time, and the rows of each in random order.
    """

    def __init__(self, data: Observations, share: float, rng: np.random.Generator) -> None:
        self.data, self.share = data, share
        self.seeds = rng.integers(2**32, size=len(data.x.chunks[0]))
        sizes = data.x.chunks[0]
        held = _held(len(data), share) and tuple(_held(n, share, whole=False) for n in sizes)
        self.size, self.held = len(data), data
        if held:
            self.size -= sum(held)
            parts = [part for part in (data.x, data.context) if part is not None]
            picked = [
                part.map_blocks(
                    _pick_held, self.seeds, share, dtype=part.dtype, chunks=(held, *part.chunks[1:])
                )
                for part in parts
            ]
            self.held = Observations(picked[0], picked[1] if len(picked) > 1 else None)

    def batches(self, rng: np.random.Generator, size: int) -> Iterator[Observations]:
        """Yield the whole batches of one pass; what a chunk leaves goes on with the next."""
        left: tuple[Array, ...] = ()
        for chunk in rng.permutation(len(self.seeds)):
            rows = _order(self.data.x.chunks[0][chunk], self.seeds[chunk], self.share)[1]
            rows = rng.permutation(rows)
            parts = [part[rows] for part in self.data.chunk(chunk) if part is not None]
            parts = (
                [np.concatenate(pair) for pair in zip(left, parts, strict=True)] if left else parts
            )
            n = len(parts[0])
            for first in range(0, n - size + 1, size):
                batch = [part[first : first + size] for part in parts]
                yield Observations(as_double(batch[0]), batch[1] if len(batch) > 1 else None)
            left = tuple(part[n - n % size :] for part in parts)


def _held(n: int, share: float, whole: bool = True) -> int:
    """Return how many of `n` observations are held out."""
    if not 0.0 <= share < 1.0:
        raise ValueError(f"validation: expected a share from 0 to below 1, got {share:g}")
    held = int(np.ceil(share * n))
    if whole and held == n:
        raise ValueError(f"validation: a share of {share:g} leaves nothing of {n} observations")
    return held


def _order(n: int, seed: int, share: float) -> tuple[Array, Array]:
    """Return the rows of a chunk that are held out, and the others."""
    order, held = np.random.default_rng(seed).permutation(n), _held(n, share, whole=False)
    return order[:held], order[held:]


def _pick_held(chunk: Array, seeds: Array, share: float, block_id: Any = None) -> Array:
    return chunk[_order(len(chunk), seeds[block_id[0]], share)[0]]


def _batch_size(batch_size: Any, n: int) -> int:
    if batch_size is None:
        return min(256, n)
    size = as_count(batch_size, "batch_size", 1)
    if size > n:
        raise ValueError(
            f"batch_size: {size} is more than the {n} observations to learn from; take fewer"
        )
    return size
