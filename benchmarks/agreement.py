"""Write the same flows in other libraries, and see that all compute the same numbers.

Two flows: `x = exp(shift + exp(log_scale) z)` for numbers, and a RealNVP for vectors, trained here
on the moons and kept in `moons.npz`. `libraries/in_zuko.py` and its neighbours build them, each in
the environment that `peers/install.py` makes. What they find is written to `agreement.json`, which
the chapter "Beyond this package" reads. The script fails if log-densities of a library differ from
ours by a relative 1e-10. Where one is not installed, the file stays as it was.

Run it with `make bench`, or `python -m benchmarks.agreement`.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
LIBRARIES = HERE / "libraries"
RESULTS, TRAINED = HERE / "agreement.json", HERE / "moons.npz"
SHIFT, LOG_SCALE = 0.5, -0.3
NUMBERS = np.geomspace(0.01, 50.0, 1000)
BOUND = 1e-10

# Family of the environment, and the distributions whose versions matter. distrax brings TensorFlow
# Probability for JAX along.
PEERS = {
    "torch": ("torch", ("torch",)),
    "zuko": ("torch", ("zuko", "torch")),
    "nflows": ("torch", ("nflows", "torch")),
    "normflows": ("torch", ("normflows", "torch")),
    "flowjax": ("jax", ("flowjax", "jax")),
    "tfp": ("jax", ("tfp-nightly", "jax")),
}


def source_digest(name: str) -> str:
    """Return a digest of the code by which a library was told the flows."""
    code = [LIBRARIES / f"in_{name}.py"]
    if name in ("nflows", "normflows"):
        code.append(LIBRARIES / "in_torch.py")
    text = "".join(path.read_text(encoding="utf-8") for path in code)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def outcome(function: Any, *arguments: Any) -> str:
    """Return the shape of a result, or the error."""
    try:
        return f"shape {np.shape(function(*arguments))}"
    except Exception as error:
        return type(error).__name__


def answers(name: str) -> dict[str, Any]:
    """Return what one library says, in whose environment this runs."""
    from flowtutorial import Flow
    from flowtutorial.datasets import moons

    sys.path.insert(0, str(LIBRARIES))
    there = importlib.import_module(f"in_{name}")
    flow = there.log_normal(SHIFT, LOG_SCALE)
    alone = name in ("torch", "flowjax", "tfp")  # a data point may be a number
    shaped = NUMBERS if alone else NUMBERS[:, None]
    there_forward = np.ravel(there.forward(flow, np.array([0.7] if alone else [[0.7]])))[0]
    found = {
        "versions": {package: version(package) for package in PEERS[name][1]},
        "numbers": np.ravel(there.log_prob(flow, shaped)).tolist(),
        "draws": np.ravel(there.sample(flow, 4000, 0)).tolist(),
        "forward": float(there_forward),
        "five_numbers": outcome(there.log_prob, flow, NUMBERS[:5]),
        "five_rows": outcome(there.log_prob, flow, NUMBERS[:5, None]),
    }
    if hasattr(there, "realnvp"):
        flow = there.realnvp(Flow.load(TRAINED))
        found["vectors"] = np.ravel(there.log_prob(flow, moons(1000, 7))).tolist()
        found["draws of vectors"] = np.asarray(there.sample(flow, 4000, 0)).tolist()
    if name in ("zuko", "flowjax"):
        found["five_dimensions"] = in_five_dimensions(there)
    return found


def in_five_dimensions(there: Any) -> float:
    """Return the largest relative difference for a flow of another size, with halves unequal."""
    from flowtutorial import realnvp

    rng, ours = np.random.default_rng(0), realnvp(5, layers=3, hidden=(7, 4))
    ours = ours.with_params(ours.params + 0.3 * rng.normal(size=ours.params.size))
    x = rng.normal(size=(1000, 5))
    expected, got = ours.log_prob(x), np.ravel(there.log_prob(there.realnvp(ours), x))
    return float(np.max(np.abs(got - expected) / np.abs(expected)))


def train() -> None:
    """Train the RealNVP."""
    from flowtutorial import fit, realnvp
    from flowtutorial.datasets import moons

    start = realnvp(2, layers=6, rng=0, hidden=(16, 16), activation="tanh")
    how = {"rng": 0, "batch_size": 250, "learning_rate": 0.01, "epochs": 12}
    fit(start, moons(10_000, 5), progress=False, **how).flow.save(TRAINED)


def looks_standard_normal(z: np.ndarray) -> bool:
    """Whether Kolmogorov and Smirnov would let draws pass, sent back to the base by our flow."""
    from scipy.stats import kstest

    return bool(kstest(np.ravel(z), "norm").pvalue > 1e-3)


def compare(name: str, said: dict[str, Any]) -> dict[str, Any]:
    """Return how a library compares with ours."""
    from flowtutorial import Affine, Chain, Exp, Flow, StandardNormal
    from flowtutorial.datasets import moons

    g = Chain((Affine(SHIFT, LOG_SCALE), Exp()))
    ours = {"numbers": (Flow(StandardNormal(), g), NUMBERS)}
    if "vectors" in said:
        ours["vectors"] = (Flow.load(TRAINED), moons(1000, 7))
    forward = {float(g.forward(0.7)): "base to data", float(g.inverse(0.7)): "data to base"}
    result: dict[str, Any] = {
        "versions": said["versions"],
        "source": source_digest(name),
        "forward": next(way for x, way in forward.items() if np.isclose(x, said["forward"])),
        "five_numbers": said["five_numbers"],
        "five_rows": said["five_rows"],
    }
    if "five_dimensions" in said:
        result["five_dimensions"] = said["five_dimensions"]
    for kind, (flow, x) in ours.items():
        expected, got = flow.log_prob(x), np.array(said[kind])
        difference = np.abs(got - expected) / np.abs(expected)
        draws = np.array(said["draws" if kind == "numbers" else "draws of vectors"])
        result[kind] = {
            "largest difference": float(difference.max()),
            "draws pass": looks_standard_normal(flow.bijection.inverse(draws)),
            "log_prob": said[kind][::200],
        }
    return result


def main() -> int:
    """Ask every library; return whether one of them disagrees."""
    from .__main__ import machine
    from .peers.install import python_of

    if not TRAINED.exists():
        train()
    results: dict[str, Any] = {}
    agreed = complete = True
    print("log-densities: largest relative difference from ours")
    for name, (family, _) in PEERS.items():
        environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "JAX_PLATFORMS": "cpu"}
        command = [str(python_of(family)), "-W", "ignore", __file__, name]
        try:
            run = subprocess.run(command, env=environment, capture_output=True, text=True)
            said = json.loads(run.stdout)
        except (OSError, json.JSONDecodeError):
            last = run.stderr.strip().splitlines()[-1:] if python_of(family).exists() else []
            print(f"  {name:10} left out: {' '.join(last) or 'not installed'}")
            complete = False
            continue
        found = results[name] = compare(name, said)
        shown = []
        for kind in ("numbers", "vectors"):
            if kind in found:
                good = found[kind]["largest difference"] < BOUND and found[kind]["draws pass"]
                agreed &= good
                shown.append(
                    f"{kind} {found[kind]['largest difference']:.0e}{'' if good else ' DISAGREES'}"
                )
        if "five_dimensions" in found:
            agreed &= found["five_dimensions"] < BOUND
            shown.append(f"in five dimensions {found['five_dimensions']:.0e}")
        shown += [f"{key} {value}" for key, value in found["versions"].items()]
        print(f"  {name:10} {', '.join(shown)}")
    if agreed and complete:
        text = {
            "date": time.strftime("%Y-%m-%d"),
            "machine": machine()["cpu"],
            "libraries": results,
        }
        RESULTS.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {RESULTS.name}; `make notebooks` brings the chapter up to date")
    else:
        print(f"{RESULTS.name} stays as it was: it is written when all are there and agree")
    return int(not agreed)


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(answers(sys.argv[1])))
    else:
        sys.exit(main())
