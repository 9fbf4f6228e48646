"""Train a RealNVP beside the libraries that a reader would otherwise use.

The model: six affine couplings in two dimensions, networks of two hidden layers of 64, in double
precision, on the moons, in minibatches of 512. All compute the same function with the same initial
values (`peers/of_torch.py` and `peers/of_jax.py` say how each library is told it), and are checked
to agree before they are timed. Each works in a process and an environment of its own; they take
turns, so that all meet the same load on the machine, and ratios are medians of those of each turn.
"Products" are the matrix products of a step and nothing else.

Run it with `make bench`, or `python benchmarks/realnvp.py --help`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from log_prob import cpu_name
from peers.install import FAMILIES, python_of

from flowtutorial import realnvp
from flowtutorial.datasets import moons
from flowtutorial.parameters import leaves

HERE = Path(__file__).resolve().parent
ROOMS = {name: python_of(family) for family, names in FAMILIES.items() for name in names}
NAMES = ("flowtutorial", "products", *ROOMS)
WITH_VALUES = ("zuko", "normflows", "nflows", "flowjax")  # flows of their own making
BATCH, GOAL = 512, -1.90


class Peer:
    """A process that measures one library."""

    def __init__(self, name: str, problem: Path, threads: int) -> None:
        self.name = name
        python = ROOMS.get(name, Path(sys.executable))
        if not python.exists():
            raise RuntimeError("not installed")
        counts = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        eigen = "true" if threads > 1 else "false"
        self.process = subprocess.Popen(
            [str(python), "-W", "ignore", str(HERE / "peers" / "worker.py"), name, str(problem)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={
                **os.environ, **{count: str(threads) for count in counts}, "JAX_PLATFORMS": "cpu",
                "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={eigen}",
                "PYTHONPATH": str(HERE.parent) if name not in ROOMS else "",
            },
        )  # fmt: skip

    def ask(self, do: str, **request: Any) -> Any:
        """Return an answer; `RuntimeError` with the reason if there is none."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        answer = json.loads(line) if line else {"error": "the process ended"}
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["answer"]

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def write_problem(path: Path, rate: float) -> np.ndarray:
    """Write data and parameters; return what the log-densities at `points` should be."""
    start = realnvp(2)
    jitter = np.random.default_rng(1).normal(size=start.params.size)
    rough = start.with_params(start.params + 0.05 * jitter)
    arrays: dict[str, Any] = {
        "data": moons(10_000, 5), "test": moons(10_000, 6), "points": moons(1000, 7),
        "batch": BATCH, "rate": rate, "couplings": 6, "depth": 3,
    }  # fmt: skip
    for prefix, flow in (("start", start), ("rough", rough)):
        for layer, coupling in enumerate(flow.bijection.parts):  # type: ignore[attr-defined]
            values = [value for _, value in leaves(coupling.conditioner)]
            for k in range(3):
                arrays[f"{prefix}_w{layer}_{k}"] = values[k]
                arrays[f"{prefix}_b{layer}_{k}"] = values[3 + k]
    np.savez(path, **arrays)
    expected: np.ndarray = rough.log_prob(arrays["points"])
    return expected


def in_turn(peers: list[Peer], rounds: int, do: str, **request: Any) -> dict[str, list[Any]]:
    """Return what each peer answers in each round; one that fails is named and left out."""
    answers: dict[str, list[Any]] = {peer.name: [] for peer in peers}
    working = list(peers)
    for turn in range(rounds):
        for peer in list(working):
            seed = {"seed": turn} if do == "steps" else {}
            try:
                answers[peer.name].append(peer.ask(do, **request, **seed))
            except RuntimeError as error:
                print(f"  {peer.name}: {error}")
                working.remove(peer)
                del answers[peer.name]
    return answers


def table(times: dict[str, list[float]], unit: float, name: str) -> None:
    """Print medians, shortest times, and ratios to ours and to the products."""
    ours, products = times["flowtutorial"], times["products"]
    print(f"  {'':14}{name + ', median':>14}{'shortest':>10}{'/ ours':>9}{'/ products':>12}")
    for key, values in sorted(times.items(), key=lambda item: np.median(item[1])):
        by_ours = np.median(np.divide(values, ours))
        by_products = np.median(np.divide(values, products))
        print(f"  {key:14}{np.median(values) / unit:14.3g}{min(values) / unit:10.3g}"
              f"{by_ours:9.2f}{by_products:12.2f}")  # fmt: skip


def agreement(peers: list[Peer], expected: np.ndarray) -> list[Peer]:
    """Print how far log-densities are from ours; return the peers that agree."""
    print("\nThe same function: largest relative difference of log p at 1000 points")
    agreed = []
    for peer in peers:
        try:
            if peer.name != "products":
                got = np.array(peer.ask("log_prob", start="rough"))
                error = float(np.max(np.abs(got - expected) / np.abs(expected)))
                print(f"  {peer.name:14}{error:10.1e}{'' if error < 1e-10 else '  LEFT OUT'}")
                if not error < 1e-10:
                    peer.close()
                    continue
            versions = peer.ask("versions")
            print(f"  {'':14}  {', '.join(f'{key} {value}' for key, value in versions.items())}")
            agreed.append(peer)
        except RuntimeError as error:
            print(f"  {peer.name:14}  left out: {error}")
            peer.close()
    return agreed


def to_goal(names: list[str], problem: Path, threads: int, rounds: int, most: int) -> list[Any]:
    """Print how long each trains from the start to the goal, each time in a new process."""
    print(f"\nTo a mean log-likelihood of {GOAL} on test data, compilation included, in seconds")
    print(f"  {'':14}{'begins':>16}{'training':>10}{'+ imports':>11}{'steps':>7}")
    rows: list[Any] = []
    runs = [(name, "start") for name in names if name != "products"]
    runs += [(name, None) for name in names if name in WITH_VALUES]
    found: dict[Any, list[Any]] = {run: [] for run in runs}
    for turn in range(rounds):
        for name, start in runs:
            peer = Peer(name, problem, threads)
            try:
                request = {"goal": GOAL, "most": most, "every": 20, "seed": turn}
                found[name, start].append(peer.ask("target", start=start, **request))
            except RuntimeError as error:
                print(f"  {name:14}  {error}")
            peer.close()
    for (name, start), answers in found.items():
        if not answers:
            continue
        begins = "as ours" if start else "as its manual"
        shown = [np.median([answer[key] for answer in answers]) for key in ("seconds", "steps")]
        whole = np.median([answer["seconds"] + answer["imports"] for answer in answers])
        reached = sum(answer["reached"] for answer in answers)
        missed = "" if reached == len(answers) else f"   (reached in {reached} of {len(answers)})"
        print(f"  {name:14}{begins:>16}{shown[0]:10.2f}{whole:11.2f}{shown[1]:7.0f}{missed}")
        rows.append({"name": name, "begins": begins, "answers": answers})
    return rows


def densities(peers: list[Peer], n: int, rounds: int) -> dict[str, Any]:
    """Print times and memory of many log-densities; a peer's quicker way counts, at once or not."""
    print(f"\nlog p of {n:.0e} points")
    best: dict[str, list[float]] = {}
    extra: dict[str, Any] = {}
    for block in (None, 8000):
        for name, answers in in_turn(peers, rounds, "density", n=n, block=block).items():
            seconds = [answer["seconds"] for answer in answers]
            if name not in best or np.median(seconds) < np.median(best[name]):
                best[name] = seconds
                extra[name] = (answers[0]["extra"], block)
    table(best, 1e-6 * n, "µs a point")
    for name, (more, block) in extra.items():
        way = "at once" if block is None else f"in blocks of {block}"
        if more is not None and name != "products":
            print(f"  {name:14}{more / 2**20:10.0f} MiB beside the result, {way}")
    return {"seconds": best, "memory": extra}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--peers", default=",".join(NAMES), help="of these: %(default)s")
    parser.add_argument("--rounds", type=int, default=15, help="turns of 20 steps each")
    parser.add_argument("--goals", type=int, default=3, help="runs to the goal; 0 for none")
    parser.add_argument("--points", type=float, default=1e6, help="log-densities; 0 for none")
    parser.add_argument("--rate", type=float, default=2e-3, help="Adam's step size, for all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where to write the figures, too")
    given = parser.parse_args()
    load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load unknown"
    print(f"{cpu_name()}, {os.cpu_count()} processors, {load}; {platform.system()}, "
          f"Python {platform.python_version()}, threads: {given.threads}, "
          f"{time.strftime('%Y-%m-%d')}")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        problem = Path(folder) / "problem.npz"
        expected = write_problem(problem, given.rate)
        peers = []
        for name in ("flowtutorial", "products", *given.peers.split(",")):
            if name in [peer.name for peer in peers]:
                continue
            try:
                peers.append(Peer(name, problem, given.threads))
            except RuntimeError as error:
                print(f"{name}: {error}")
        peers = agreement(peers, expected)
        figures: dict[str, Any] = {}
        if given.rounds:
            print(f"\nA step of Adam, batch {BATCH}")
            in_turn(peers, 1, "steps", count=5)
            seconds = in_turn(peers, given.rounds, "steps", count=20)
            figures["step"] = {k: [value / 20 for value in v] for k, v in seconds.items()}
            table(figures["step"], 1e-3, "ms")
        if given.points:
            figures["log_prob"] = densities(peers, int(given.points), 3)
        for peer in peers:
            peer.close()
        if given.goals:
            names = [peer.name for peer in peers]
            figures["goal"] = to_goal(names, problem, given.threads, given.goals, 3000)
        if given.json:
            given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
