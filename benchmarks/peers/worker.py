"""One library at work: answers requests, JSON a line, in the library's own environment.

NumPy and the library are all that it imports. A module beside it has `VERSIONS`, a function from a
library's name to what is installed, and `make(name, kind, parameters)`, which returns a model of
one of the kinds in `benchmarks/problems.py`, or raises `NoEquivalentError`. A model has

* `arrange(x)`: an array of the library's own, which is not timed;
* `log_prob(x)`: log-densities at such an array, complete when it returns;
* `sample(n, seed)`: draws;
* `ascend(x, rate, steps)`: the shift after steps of gradient ascent from the start, with every
  iterate and its log-likelihood kept; `ascend_compiled` where a library compiles the loop;
* `fit(x, goal)`: from the start up to this mean log-likelihood or to where the library stops;
  returns the mean log-likelihood and a word on how; `optimiser` names the method;

and of the kind `realnvp`, whose parameters are networks, or None for those of the library's manual,

* `step(rows)`: a step of Adam uphill on the mean log-likelihood of these rows of `model.data`;
* `wait()`: return when the steps are done.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

BORN = time.perf_counter()

import numpy as np  # noqa: E402

from .common import NoEquivalentError  # noqa: E402

MODULES = {
    "flowtutorial": "of_numpy", "flowtutorial-compiled": "of_numpy", "products": "of_numpy",
    "scipy": "of_scientific", "scikit-learn": "of_scientific", "numba": "of_scientific",
    "torch": "of_torch", "zuko": "of_torch", "nflows": "of_torch", "normflows": "of_torch",
    "pyro-ppl": "of_torch",
    "jax": "of_jax", "flowjax": "of_jax", "distrax": "of_jax",
}  # fmt: skip
LEAST = 0.05  # seconds for which short work is repeated


def memory(key: str) -> int | None:
    """Return the resident memory of this process in bytes, now or at its peak (Linux)."""
    try:
        with open("/proc/self/status") as lines:
            return next(1024 * int(line.split()[1]) for line in lines if line.startswith(key))
    except (OSError, StopIteration):
        return None


def forget_peak() -> bool:
    """Let the peak of the memory begin anew; return whether that works here."""
    try:
        with open("/proc/self/clear_refs", "w") as reset:
            reset.write("5")
    except OSError:
        return False
    return True


def shortest(function: Callable[[], Any]) -> float:
    """Return the seconds that a call takes; short ones are repeated, and the shortest counts."""
    best, end = np.inf, time.perf_counter() + LEAST
    while best == np.inf or time.perf_counter() < end:
        begin = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - begin)
    return best


class Worker:
    """Answers requests about one library."""

    def __init__(self, name: str, path: str) -> None:
        self.name, self.problem = name, np.load(path)
        self.module = importlib.import_module(f".{MODULES[name]}", __package__)
        self.imports = time.perf_counter() - BORN
        self.models: dict[tuple[str, str | None], Any] = {}
        self.warm: set[tuple[bool, int]] = set()

    def model(self, kind: str, start: str | None, anew: bool = False) -> Any:
        """Return the model that starts there; it is made once."""
        if anew or (kind, start) not in self.models:
            networks = kind == "realnvp"
            parameters = (self.networks if networks else self.parameters)(kind, start)
            model = self.module.make(self.name, kind, parameters)
            if networks:
                model.train_on(self.problem["realnvp/data"], float(self.problem["realnvp/rate"]))
            self.models[kind, start] = model
        return self.models[kind, start]

    def parameters(self, kind: str, start: str | None) -> list[np.ndarray]:
        """Return the parameters of a flow of one variable."""
        names = sorted(name for name in self.problem.files if name.startswith(f"{kind}/{start}/"))
        return [self.problem[name] for name in names]

    def networks(self, kind: str, start: str | None) -> Any:
        """Return the weights and the biases of each coupling's network."""
        if start is None:
            return None
        names = {name for name in self.problem.files if name.startswith(f"{kind}/{start}/")}
        layers, values = len({name.split("/")[2] for name in names}), []
        depth = len(names) // layers // 2
        for layer in range(layers):
            parts = [self.problem[f"{kind}/{start}/{layer}/{k}"] for k in range(2 * depth)]
            values.append((parts[:depth], parts[depth:]))
        return values

    def versions(self) -> dict[str, str]:
        """Return what is installed."""
        return dict(self.module.VERSIONS(self.name))

    def values(self, kind: str, start: str) -> list[float]:
        """Return log-densities at some points."""
        model = self.model(kind, start)
        points = self.problem["realnvp/points" if kind == "realnvp" else "points"]
        values: list[float] = np.asarray(model.log_prob(model.arrange(points))).tolist()
        return values

    def ascent(self, n: int, rate: float, steps: int, whole: bool = False) -> dict[str, float]:
        """Return the seconds that an ascent takes, and where it ends.

        With `whole` it is one compiled loop, where the library has that.
        """
        model = self.model("shift", "start")
        ascend = getattr(model, "ascend_compiled" if whole else "ascend", None)
        if ascend is None:
            raise NoEquivalentError("compiles no loops")
        x = model.arrange(self.problem["shift/data"][:n])
        if (whole, n) not in self.warm:
            ascend(x, rate, steps)
            self.warm.add((whole, n))
        begin = time.perf_counter()
        end = ascend(x, rate, steps)
        return {"seconds": time.perf_counter() - begin, "end": float(end)}

    def fit(self, kind: str) -> dict[str, Any]:
        """Return the seconds from the start to the goal, and those of the imports."""
        goal = float(self.problem[f"{kind}/goal"])
        begin = time.perf_counter()
        model = self.model(kind, "start")
        x = model.arrange(self.problem[f"{kind}/data"])
        value, how = model.fit(x, goal)
        seconds = time.perf_counter() - begin
        return {
            "seconds": seconds, "imports": self.imports, "value": float(value),
            "reached": bool(value >= goal), "note": f"{model.optimiser}, {how}",
        }  # fmt: skip

    def density(self, kind: str, n: int, block: int | None) -> dict[str, Any]:
        """Return the seconds for `n` log-densities, at once or in blocks, and the extra memory."""
        model = self.model(kind, "start" if kind == "realnvp" else "fixed")
        rng = np.random.default_rng(99)
        x = rng.standard_normal((n, 2)) if kind == "realnvp" else rng.normal(1.0, 1.8, n)
        parts = [model.arrange(x[i : i + (block or n)]) for i in range(0, n, block or n)]
        for part in (parts[0][: min(n, 1000)], *({0, len(parts) - 1} if block else ())):
            model.log_prob(parts[part] if isinstance(part, int) else part)  # compiled, if it is

        def work() -> Any:
            if block is None:
                return model.log_prob(parts[0])
            out = np.empty(n)
            for i, part in enumerate(parts):
                out[i * block : i * block + len(part)] = model.log_prob(part)
            return out

        if self.compiles and block is None:
            work()
        counted, before = forget_peak(), memory("VmRSS")
        begin = time.perf_counter()
        result = work()
        first, peak = time.perf_counter() - begin, memory("VmHWM")
        del result
        seconds = first if first > LEAST else min(first, shortest(work))
        extra = peak - before - 8 * n if counted and peak and before else None
        return {"seconds": seconds, "extra": extra}

    @property
    def compiles(self) -> bool:
        """Whether work of another size is compiled first."""
        return MODULES[self.name] == "of_jax" or self.name.endswith("-compiled")

    def sampling(self, kind: str, n: int, seed: int) -> dict[str, Any]:
        """Return the seconds for `n` draws, and their quartiles."""
        model = self.model(kind, "fixed")
        model.sample(n, seed)
        begin = time.perf_counter()
        draws = model.sample(n, seed + 1)
        seconds = time.perf_counter() - begin
        return {"seconds": seconds, "quartiles": np.quantile(draws, [0.25, 0.5, 0.75]).tolist()}

    def batches(self, count: int, seed: int) -> np.ndarray:
        """Return rows for minibatches, drawn anew in each pass over the data."""
        rng, n = np.random.default_rng(seed), len(self.problem["realnvp/data"])
        size = int(self.problem["realnvp/batch"])
        passes = [rng.permutation(n)[: n // size * size] for _ in range(-(-count * size // n) + 1)]
        return np.concatenate(passes).reshape(-1, size)[:count]

    def steps(self, count: int, seed: int) -> dict[str, float]:
        """Return the seconds that a step takes."""
        model, batches = self.model("realnvp", "start"), self.batches(count, seed)
        begin = time.perf_counter()
        for rows in batches:
            model.step(rows)
        model.wait()
        return {"seconds": (time.perf_counter() - begin) / count}

    def target(self, start: str | None, goal: float, most: int, every: int, seed: int) -> Any:
        """Train until the test data have the mean log-likelihood `goal`; return how long it took.

        The clock stands still while the test data are looked at. Compilation counts.
        """
        test, batches = self.problem["realnvp/test"], self.batches(most, seed)
        seconds, value, model = 0.0, -np.inf, None
        for first in range(0, most, every):
            begin = time.perf_counter()
            model = self.model("realnvp", start, anew=True) if model is None else model
            for rows in batches[first : first + every]:
                model.step(rows)
            model.wait()
            seconds += time.perf_counter() - begin
            value = float(np.mean(np.asarray(model.log_prob(model.arrange(test)))))
            if value >= goal:
                break
        return {
            "seconds": seconds, "imports": self.imports, "value": value, "reached": value >= goal,
            "note": f"{first + every} steps",
        }  # fmt: skip


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
        except NoEquivalentError as error:
            answer = {"without": str(error)}
        except Exception as error:
            print(traceback.format_exc(), file=sys.stderr)
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
