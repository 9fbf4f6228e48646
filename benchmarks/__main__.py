"""Measure the package beside the libraries that a reader would otherwise use.

Each library works in a process and an environment of its own, in double precision with one thread.
All have the same data, the same model and the same starting values, and are checked to compute the
same numbers. They take turns, so that all meet the same load on the machine. A library that fails
or can't be installed is named in the results, and the others go on.

Run it with `make bench`, or `python -m benchmarks --help`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

from . import problems
from .peers.worker import MODULES
from .process import OURS, Peer
from .report import lines
from .workloads import WORKLOADS, Session

RESULTS = Path(__file__).resolve().parent / "results.json"
PEERS = tuple(name for name in MODULES if name != "products")


def machine() -> dict[str, Any]:
    """Return what the times depend on besides the code."""
    try:
        with open("/proc/cpuinfo") as rows:
            cpu = next(row.split(":")[1].strip() for row in rows if "model name" in row)
    except (OSError, StopIteration):
        cpu = platform.processor() or platform.machine()
    return {
        "cpu": cpu, "processors": os.cpu_count(), "system": platform.system(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }  # fmt: skip


def ready(peers: list[Peer]) -> dict[str, dict[str, Any]]:
    """Return the versions of the libraries, or why one can't take part."""
    found: dict[str, dict[str, Any]] = {}
    for peer in peers:
        try:
            found[peer.name] = {"versions": peer.ask("versions")}
        except RuntimeError as error:
            found[peer.name] = {"missing": str(error)}
            print(f"{peer.name} does not take part: {error}", flush=True)
    return found


def store(path: Path | None, results: dict[str, Any]) -> None:
    """Write what there is."""
    if path:
        beside = path.with_suffix(".part")
        beside.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        beside.replace(path)


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", help=f"some workloads, of {','.join(WORKLOADS)}; not stored")
    parser.add_argument("--peers", help=f"some libraries, of {','.join(PEERS)}; not stored")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: some minutes")
    parser.add_argument("--output", type=Path, help=f"where to store, by default {RESULTS.name}")
    given = parser.parse_args()
    part = given.only or given.peers
    output = given.output or (None if part else RESULTS)
    chosen = given.only.split(",") if given.only else list(WORKLOADS)
    names = [OURS, *given.peers.split(",")] if given.peers else list(PEERS)
    if unknown := {*chosen, *names} - {*WORKLOADS, *PEERS}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        problem = Path(folder) / "problem.npz"
        expected = problems.write(problem)
        peers = [Peer(name, problem) for name in dict.fromkeys(names)]
        results: dict[str, Any] = {
            "date": time.strftime("%Y-%m-%d"), "quick": given.quick, "complete": False,
            "minutes": None, "machine": machine(), "peers": ready(peers), "workloads": [],
        }  # fmt: skip
        taking = [peer for peer in peers if "versions" in results["peers"][peer.name]]
        session = Session(problem, expected, taking, given.quick)
        for name in chosen:
            try:
                for entry in WORKLOADS[name](session):
                    results["workloads"].append(entry)
                    store(output, results)
                    minutes = (time.perf_counter() - begin) / 60
                    print(f"\n[{minutes:.1f} min] " + "\n".join(lines(entry)), flush=True)
            except Exception as error:  # the other workloads go on; the results say what lacks
                print(f"\n{name} failed: {type(error).__name__}: {error}", flush=True)
                results.setdefault("errors", {})[name] = f"{type(error).__name__}: {error}"
            for peer in peers:
                peer.close()
        results["minutes"] = round((time.perf_counter() - begin) / 60, 1)
        results["complete"] = "errors" not in results
        store(output, results)
    if output:
        print(f"\nStored in {output}; `make notebooks NOTEBOOKS=book/benchmarks.ipynb` shows it.")


if __name__ == "__main__":
    main()
