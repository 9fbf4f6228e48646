"""The workloads: each asks all libraries in turn and returns what is to be stored."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import problems
from .process import OURS, ROOT, Answers, Peer, in_turn
from .results import COMPILED, record

AGREE = 1e-10
PATIENCE = 30.0  # seconds for a fit in a new process
IMPORTS = {
    "scipy": "import scipy.stats", "scikit-learn": "import sklearn.mixture",
    "numba": "import numba", "torch": "import torch", "zuko": "import zuko",
    "nflows": "from nflows import distributions, flows, transforms",
    "normflows": "import normflows", "pyro-ppl": "import pyro.distributions",
    "jax": "import jax.numpy", "flowjax": "import flowjax.flows", "distrax": "import distrax",
}  # fmt: skip
MILLISECONDS, SECONDS = ("ms", 1e-3), ("s", 1.0)
KINDS = {
    "affine": "an affine flow", "sinh-arcsinh": "a sinh-arcsinh and affine flow",
    "spline": "a spline flow, 8 bins", "spline-8": "a spline flow, 8 bins",
    "spline-16": "a spline flow, 16 bins",
}  # fmt: skip


@dataclass
class Session:
    """The libraries that take part, what they should compute, and how much time there is."""

    problem: Path
    expected: dict[str, np.ndarray]
    peers: list[Peer]
    quick: bool

    def rounds(self, whole: int, quick: int) -> int:
        """Return how often each library has its turn."""
        return quick if self.quick else whole

    def agreement(self, kind: str, start: str, peers: list[Peer]) -> dict[str, dict[str, Any]]:
        """Return the largest difference of each library's log-densities from ours.

        It is relative where the log-density is larger than 1.
        """
        expected = self.expected[kind]
        found: dict[str, dict[str, Any]] = {}
        scale = np.maximum(1.0, np.abs(expected))
        for name, (values,) in in_turn(peers, 1, "values", kind=kind, start=start).of.items():
            if name == "products":
                found[name] = {"aside": True}
                continue
            if (name, kind) == ("scipy", "sinh-arcsinh"):
                found[name] = {"aside": True, "note": "johnsonsu, another density"}
                continue
            error = float(np.max(np.abs(np.array(values) - expected) / scale))
            found[name] = {"error": float(f"{error:.2g}"), "agrees": error <= AGREE}
        return found


def imports(session: Session) -> Iterator[dict[str, Any]]:
    """`import flowtutorial` beside NumPy's and the other libraries', in new interpreters."""
    here = Path(sys.executable)
    runs = {
        "numpy": (here, "import numpy"), OURS: (here, "import flowtutorial"),
        f"{OURS}, every name": (here, "from flowtutorial import *"),
    }  # fmt: skip
    for peer in session.peers:
        if peer.name in IMPORTS:
            runs[peer.name] = (peer.python, IMPORTS[peer.name])
    times: dict[str, list[float]] = {name: [] for name in runs}
    failed: dict[str, str] = {}
    for turn in range(-1, session.rounds(15, 5)):
        for name, (python, statement) in runs.items():
            light = python == here
            if name in failed or (not light and turn >= session.rounds(3, 1)):
                continue
            try:
                seconds = _import_seconds(python, statement)
                if turn >= 0:  # the first time files are read from the disk, or compiled
                    times[name].append(seconds)
            except (OSError, subprocess.SubprocessError) as error:
                failed[name] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    yield record(
        "import", "Import", {name: found for name, found in times.items() if name not in failed},
        more={f"{OURS}, every name": {"aside": True}},
        without={COMPILED: "is the same import"}, failed=failed,
        unit=MILLISECONDS,
    )  # fmt: skip


def _import_seconds(python: Path, statement: str) -> float:
    """Return how long a statement takes in a new interpreter, with the clone on its path."""
    script = (
        f"import sys, time; sys.path.insert(0, {str(ROOT)!r}); begin = time.perf_counter(); "
        f"exec({statement!r}); print(time.perf_counter() - begin)"
    )
    command = [str(python), "-W", "ignore", "-c", script]
    run = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    return float(run.stdout.splitlines()[-1])


def ascents(session: Session) -> Iterator[dict[str, Any]]:
    """138 steps of gradient ascent on the shift flow; each step reads the data."""
    for size, n, rounds in (("1e4", 10_000, (7, 3)), ("1e6", 1_000_000, (3, 1))):
        request = {"n": n, "rate": problems.RATE, "steps": problems.STEPS}
        answers = Answers()
        for _ in range(session.rounds(*rounds)):
            for peer in session.peers:
                for whole in (False, True):
                    name = f"{peer.name}, one compiled loop" if whole else peer.name
                    answers.ask(peer, name, "ascent", **request, whole=whole)
        answers.without = {name: why for name, why in answers.without.items() if "," not in name}
        ours = answers.of.get(OURS)
        more = {}
        for name, found in answers.of.items():
            if ours:
                error = abs(found[0]["end"] - ours[0]["end"])
                more[name] = {"error": float(f"{error:.2g}"), "agrees": error <= AGREE}
                if "," in name:
                    more[name]["aside"] = True
        yield _timed(f"ascent/{size}", f"Gradient ascent, n = {size}", answers, more, MILLISECONDS)


def fits(session: Session) -> Iterator[dict[str, Any]]:
    """Fits to a threshold, warm and cold; a quick session leaves out half of them."""
    for kind in problems.FITS[:: session.rounds(1, 2)]:
        agreement = session.agreement(
            kind.split("-")[0] if "spline" in kind else kind, "fixed", session.peers
        )
        cold = Answers()
        for _ in range(session.rounds(2, 1)):
            for peer in session.peers:
                fresh = Peer(peer.name, session.problem)
                if not _too_slow(cold.of.get(peer.name)):
                    cold.ask(fresh, peer.name, "fit", kind=kind, seconds=PATIENCE)
                fresh.close()
        warm = Answers()
        warm.without, warm.failed = dict(cold.without), dict(cold.failed)
        for turn in range(1 + session.rounds(5, 2)):
            for peer in session.peers:
                if not _too_slow(cold.of.get(peer.name)):
                    warm.ask(peer, peer.name, "fit", kind=kind)
            if turn == 0:
                warm.of.clear()  # the first fit of a process is not warm
        for name, found in cold.of.items():
            warm.of.setdefault(name, [dict(answer) for answer in found])  # not asked again
            for answer in found:
                answer["seconds"] += answer["imports"]
        for state, answers in (("warm", warm), ("cold", cold)):
            more = {
                name: {
                    **{k: v for k, v in agreement.get(name, {}).items() if k != "note"},
                    "reached": all(answer["reached"] for answer in found),
                    "note": found[-1]["note"],
                    "log_likelihood": round(found[-1]["value"], 5),
                }
                for name, found in answers.of.items()
            }  # fmt: skip
            if state == "cold":
                for name, found in cold.of.items():
                    seconds = statistics.median(answer["imports"] for answer in found)
                    more[name]["imports"] = float(f"{seconds:.3g}")
            title = f"Fit of {KINDS[kind]}, {state}"
            unit = MILLISECONDS if state == "warm" else SECONDS
            yield _timed(f"fit/{kind}/{state}", title, answers, more, unit)


def _too_slow(answers: list[Any] | None) -> bool:
    """Whether a first fit took so long, or went so wrong, that it is not repeated."""
    return bool(answers) and (answers[0]["seconds"] > 15.0 or not answers[0]["reached"])  # type: ignore[index]


def densities(session: Session) -> Iterator[dict[str, Any]]:
    """Log-densities of flows with fixed parameters, and the memory that they take.

    A quick session stops at a million.
    """
    for kind in problems.DENSITIES:
        agreement = session.agreement(kind, "fixed", session.peers)
        way: dict[str, int | None] = {}
        sizes = (("1e5", 10**5, 5), ("1e6", 10**6, 5), ("1e7", 10**7, 2))
        for size, n, rounds in sizes[: session.rounds(3, 2)]:
            answers = _density(session.peers, kind, n, session.rounds(rounds, 1), 2**15, way)
            title = f"log p of {KINDS[kind]}, {size} values"
            yield _with_memory(f"log_prob/{kind}/{size}", title, n, answers, agreement, way)


def _density(
    peers: list[Peer], kind: str, n: int, rounds: int, block: int, way: dict[str, int | None]
) -> Answers:
    """Ask for log-densities at once and in blocks; keep, and note in `way`, what is quicker.

    Where `way` is known from a smaller `n` it is taken again, or blocks where all at once would
    take more than 4 GiB.
    """
    known = dict(way)
    best = Answers()
    for size in (None, block):
        chosen = [peer for peer in peers if known.get(peer.name, size) == size]
        answers = in_turn(chosen, rounds, "density", kind=kind, n=n, block=size)
        best.without.update(answers.without)
        best.failed.update(answers.failed)
        for name, found in answers.of.items():
            seconds = statistics.median(answer["seconds"] for answer in found)
            before = best.of.get(name)
            if before is None or seconds < statistics.median(one["seconds"] for one in before):
                best.of[name], way[name] = found, size
    for name, found in best.of.items():
        if (found[0]["extra"] or 0) * 10 > 4 * 2**30:
            way[name] = block
        best.failed.pop(name, None)
    return best


def _with_memory(
    name: str, title: str, n: int, answers: Answers, agreement: dict[str, Any],
    way: dict[str, int | None],
) -> dict[str, Any]:  # fmt: skip
    more = {}
    for key, found in answers.of.items():
        more[key] = dict(agreement.get(key, {}))
        extra = [answer["extra"] for answer in found if answer["extra"] is not None]
        if extra and key != "products":
            more[key]["memory"] = max(0, max(extra))
        if way.get(key):
            notes = [more[key].get("note"), f"in blocks of {way[key]}"]
            more[key]["note"] = ", ".join(note for note in notes if note)
    return _timed(name, title, answers, more, ("ns a value", 1e-9 * n))


def samples(session: Session) -> Iterator[dict[str, Any]]:
    """Draw a million times; the quartiles must be those of the flow."""
    n = 10**6
    for kind in ("affine", "sinh-arcsinh"):
        flow = problems.flow_of(kind, problems.fixed(kind))
        answers = in_turn(session.peers, session.rounds(7, 3), "sampling", kind=kind, n=n)
        more: dict[str, dict[str, Any]] = {}
        q = np.array([0.25, 0.5, 0.75])
        for name, found in answers.of.items():
            if (name, kind) == ("scipy", "sinh-arcsinh"):
                more[name] = {"aside": True, "note": "johnsonsu, another distribution"}
                continue
            got = np.mean([answer["quartiles"] for answer in found], axis=0)
            error = np.max(np.abs(flow.cdf(got) - q))  # a standard error is below 5e-4
            more[name] = {"error": float(f"{error:.2g}"), "agrees": bool(error < 3e-3)}
        title = f"A million draws from {KINDS[kind]}"
        yield _timed(f"sample/{kind}", title, answers, more, ("ns a value", 1e-9 * n))


def coupled(session: Session) -> Iterator[dict[str, Any]]:
    """RealNVP: a step of Adam, training to a goal, log-densities; with one thread and with two."""
    for threads, label in ((1, "1 thread"), (2, "2 threads")):
        peers = [Peer(peer.name, session.problem, threads) for peer in session.peers]
        peers.append(Peer("products", session.problem, threads))
        try:
            yield from _coupled(session, peers, label)
        finally:
            for peer in peers:
                peer.close()


def _coupled(session: Session, peers: list[Peer], label: str) -> Iterator[dict[str, Any]]:
    agreement = session.agreement("realnvp", "rough", peers)
    in_turn(peers, 1, "steps", count=5)
    answers = in_turn(peers, session.rounds(9, 3), "steps", count=20)
    title = f"RealNVP, a step of Adam, {label}"
    yield _timed(f"realnvp/step/{label}", title, answers, agreement, MILLISECONDS)

    way: dict[str, int | None] = {}
    _density(peers, "realnvp", 10**5, 1, 8192, way)  # which way is quicker
    found = _density(peers, "realnvp", 10**6, session.rounds(2, 1), 8192, way)
    title = f"RealNVP, log p of a million points, {label}"
    yield _with_memory(f"realnvp/log_prob/{label}", title, 10**6, found, agreement, way)

    for peer in peers:
        peer.close()
    answers = Answers()
    if session.quick and label != "1 thread":
        return
    named: list[str | None] = ["start"]
    runs = [(peer, start) for peer in peers if peer.name != "products" for start in named]
    if not session.quick and label == "1 thread":  # ours has begun from its own already
        runs += [(peer, None) for peer, _ in runs if peer.name != OURS]
    for peer, start in runs:
        name = peer.name if start else f"{peer.name}, its own start"
        answers.ask(
            peer, name, "target", start=start, goal=problems.REALNVP_GOAL, most=1500, every=20,
            seed=0,
        )  # fmt: skip
        peer.close()
    without = {name: why for name, why in answers.without.items() if "," not in name}
    answers.without = without
    more = {}
    for name, all_found in answers.of.items():
        reached = sum(answer["reached"] for answer in all_found)
        more[name] = {
            "reached": reached == len(all_found), "note": all_found[0]["note"],
            "imports": float(f"{statistics.median(a['imports'] for a in all_found):.3g}"),
        }  # fmt: skip
    title = f"RealNVP, trained to log p = {problems.REALNVP_GOAL}, {label}"
    yield _timed(f"realnvp/goal/{label}", title, answers, more, SECONDS)


def _timed(
    name: str, title: str, answers: Answers, more: dict[str, Any], unit: tuple[str, float]
) -> dict[str, Any]:
    times = {key: [answer["seconds"] for answer in found] for key, found in answers.of.items()}
    return record(
        name, title, times, more=more, without=answers.without, failed=answers.failed, unit=unit
    )


WORKLOADS: dict[str, Callable[[Session], Iterator[dict[str, Any]]]] = {
    "import": imports, "ascent": ascents, "fit": fits, "log_prob": densities, "sample": samples,
    "realnvp": coupled,
}  # fmt: skip
