"""One library at work: answers the requests of `benchmarks/realnvp.py`, JSON a line.

It runs in the library's own environment, so NumPy and the library are all that it imports. A module
beside it has a function `make(name, start, data, rate)` for each library it knows; that returns an
object with

* `log_prob(x)`: the log-densities at the rows of an array, as an array;
* `step(rows)`: a step of Adam uphill on the mean log-likelihood of these rows of `data`;
* `wait()`: return when the steps are done;
* `versions`: a dictionary.

`start` holds the weights and biases of each coupling's network: so all begin with the same
function. With `start=None` a library makes the flow as its manual does, of the same size.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from typing import Any

BORN = time.perf_counter()

import numpy as np  # noqa: E402

MODULES = {
    "flowtutorial": "of_numpy",
    "products": "of_numpy",
    "torch": "of_torch",
    "zuko": "of_torch",
    "nflows": "of_torch",
    "normflows": "of_torch",
    "jax": "of_jax",
    "flowjax": "of_jax",
    "distrax": "of_jax",
}


def networks(problem: Any, prefix: str) -> list[tuple[list[np.ndarray], list[np.ndarray]]]:
    """Return the weights and the biases of each coupling's network."""
    return [
        (
            [problem[f"{prefix}_w{layer}_{k}"] for k in range(int(problem["depth"]))],
            [problem[f"{prefix}_b{layer}_{k}"] for k in range(int(problem["depth"]))],
        )
        for layer in range(int(problem["couplings"]))
    ]


def memory(key: str) -> int | None:
    """Return the resident memory of this process in bytes, now or at its peak (Linux)."""
    try:
        with open("/proc/self/status") as lines:
            return next(1024 * int(line.split()[1]) for line in lines if line.startswith(key))
    except (OSError, StopIteration):
        return None


class Worker:
    """Answers requests about one library."""

    def __init__(self, name: str, path: str) -> None:
        self.name, self.problem = name, np.load(path)
        self.make = importlib.import_module(MODULES[name]).make
        self.rate = float(self.problem["rate"])
        self.models: dict[str, Any] = {}

    def model(self, start: str | None) -> Any:
        """Return the model that starts there; it is made once."""
        key = str(start)
        if key not in self.models:
            self.models[key] = self.fresh(start)
        return self.models[key]

    def fresh(self, start: str | None) -> Any:
        """Return a new model."""
        networks_there = None if start is None else networks(self.problem, start)
        return self.make(self.name, networks_there, self.problem["data"], self.rate)

    def batches(self, count: int, seed: int) -> np.ndarray:
        """Return rows for minibatches, drawn anew in each pass over the data."""
        rng, n, size = np.random.default_rng(seed), len(self.problem["data"]), self.problem["batch"]
        passes = [rng.permutation(n)[: n // size * size] for _ in range(-(-count * size // n) + 1)]
        return np.concatenate(passes).reshape(-1, int(size))[:count]

    def versions(self) -> dict[str, str]:
        """Return what is installed."""
        return dict(self.model("start").versions)

    def log_prob(self, start: str) -> list[float]:
        """Return log-densities at some points."""
        values: list[float] = self.fresh(start).log_prob(self.problem["points"]).tolist()
        return values

    def steps(self, count: int, seed: int) -> float:
        """Return the seconds that some steps take."""
        model, batches = self.model("start"), self.batches(count, seed)
        begin = time.perf_counter()
        for rows in batches:
            model.step(rows)
        model.wait()
        return time.perf_counter() - begin

    def target(self, start: str | None, goal: float, most: int, every: int, seed: int) -> Any:
        """Train until the test data have the mean log-likelihood `goal`; return how long it took.

        The clock stands still while the test data are looked at. Compilation counts.
        """
        test, batches = self.problem["test"], self.batches(most, seed)
        imported, seconds, value = time.perf_counter() - BORN, 0.0, -np.inf
        model = None
        for first in range(0, most, every):
            begin = time.perf_counter()
            model = self.fresh(start) if model is None else model
            for rows in batches[first : first + every]:
                model.step(rows)
            model.wait()
            seconds += time.perf_counter() - begin
            value = float(np.mean(model.log_prob(test)))
            if value >= goal:
                break
        reached = value >= goal
        return {
            "seconds": seconds, "imports": imported, "steps": first + every, "value": value,
            "reached": reached,
        }  # fmt: skip

    def density(self, n: int, block: int | None) -> Any:
        """Return the seconds for `n` log-densities, at once or in blocks, and the extra memory."""
        model = self.model("start")
        x = np.random.default_rng(99).standard_normal((n, 2))
        size = n if block is None else block
        model.log_prob(x[:size])  # compiled, if it is
        try:
            with open("/proc/self/clear_refs", "w") as reset:
                reset.write("5")  # the peak begins anew
        except OSError:
            pass
        before, begin = memory("VmRSS"), time.perf_counter()
        out = np.concatenate([model.log_prob(x[i : i + size]) for i in range(0, n, size)])
        seconds, peak = time.perf_counter() - begin, memory("VmHWM")
        extra = None if before is None or peak is None else peak - before - out.nbytes
        return {"seconds": seconds, "extra": extra}


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    if hasattr(os, "sched_setaffinity") and os.environ.get("OMP_NUM_THREADS") == "1":
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    worker: Worker | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            worker = worker or Worker(*sys.argv[1:])
            answer = {"answer": getattr(worker, request.pop("do"))(**request)}
        except Exception as error:
            print(traceback.format_exc(), file=sys.stderr)
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
