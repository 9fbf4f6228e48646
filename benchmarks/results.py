"""What is stored of a measurement, and the bounds that ours should keep.

All times are in seconds. A library's ratio is its time over ours: above 1 it is slower. It is the
median of the ratios of single rounds, in which both met the same load on the machine.
"""

from __future__ import annotations

import math
import statistics
from typing import Any

OURS, COMPILED = OWN = ("flowtutorial", "flowtutorial-compiled")
TIE = 1.2  # ratios within 20 % of each other are no difference on a machine with other work
FLOWS = ("torch", "zuko", "nflows", "normflows", "pyro-ppl", "jax", "flowjax", "distrax")

# For each workload: our time may be at most `limit` times that of the best of these libraries
# ("all": of all that take part).
BOUNDS: dict[str, list[dict[str, Any]]] = {
    "import": [{"limit": 1.15, "of": ["numpy"]}],
    "ascent/1e4": [{"limit": 1 / 8, "of": "all"}],
    "ascent/1e6": [{"limit": 1 / 5, "of": "all"}],
    **{
        f"fit/{kind}/{state}": [{"limit": limit, "of": "all"}]
        for kind in ("affine", "sinh-arcsinh", "spline-8", "spline-16")
        for state, limit in (("warm", 0.5), ("cold", 1.0))
    },
    **{
        f"log_prob/{kind}/{n}": bounds
        for n in ("1e5", "1e6", "1e7")
        for kind, bounds in (
            ("affine", [{"limit": 2.0, "of": ["numba"]}, {"limit": 1.0, "of": list(FLOWS)}]),
            ("sinh-arcsinh", [{"limit": 0.5, "of": "all"}]),
            ("spline", [{"limit": TIE, "of": "all"}]),
        )
    },
    "sample/affine": [{"limit": 0.8, "of": ["scipy"]}],
    "sample/sinh-arcsinh": [{"limit": 0.8, "of": ["scipy"]}],
    **{
        f"realnvp/{part}/{threads}": bounds
        for threads in ("1 thread", "2 threads")
        for part, bounds in (
            ("step", [{"limit": 0.75, "of": "all"}, {"limit": 1.75, "of": ["products"]}]),
            ("goal", [{"limit": 1.0, "of": "all"}]),
            ("log_prob", [{"limit": 0.7, "of": "all"}]),
        )
    },
}
MEMORY = {  # bytes beside the result
    **{f"log_prob/{kind}/1e7": 2**20 for kind in ("affine", "sinh-arcsinh", "spline")},
    "realnvp/log_prob/1 thread": 2**20,
}


def check(name: str, libraries: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the bounds of a workload with what was found: `ours`, `best`, `ratio` and `met`.

    `ours` is the quicker of our two ways, plain or compiled; `ratio` is its time over that of the
    best library. It and `best` are None where nothing could be compared, and then the bound is not
    met.
    """
    own = {
        key: libraries[key]["ratio"] or libraries[key]["median"] for key in OWN
        if _counts(libraries.get(key))
    }  # fmt: skip
    ours = min(own, key=lambda key: own[key], default=None)
    found = []
    for bound in BOUNDS.get(name, []):
        named = [] if bound["of"] == "all" else bound["of"]
        rivals = {
            key: library["ratio"] or library["median"]  # without ours all lack a ratio
            for key, library in libraries.items()
            if (key in named if named else key not in OWN)
            and (named or not library.get("aside")) and _counts(library)
        }  # fmt: skip
        best = min(rivals, key=lambda key: rivals[key], default=None)
        known = best is not None and ours is not None and libraries[best]["ratio"]
        ratio = own[ours] / rivals[best] if known else None
        found.append({
            **bound, "kind": "time", "ours": ours, "best": best, "ratio": ratio,
            "met": ratio is not None and ratio <= bound["limit"],
        })  # fmt: skip
    if name in MEMORY:
        used = [libraries[key].get("memory") for key in OWN if key in libraries]
        memory = max(used) if used and None not in used else None
        met = memory is not None and memory <= MEMORY[name]
        found.append({"kind": "memory", "limit": MEMORY[name], "bytes": memory, "met": met})
    return found


def _counts(library: dict[str, Any] | None) -> bool:
    """Whether a library has computed what was asked."""
    return library is not None and library.get("agrees", True) and library.get("reached", True)


def record(
    name: str, title: str, times: dict[str, list[float]], *, more: dict[str, dict[str, Any]],
    without: dict[str, str], failed: dict[str, str], unit: tuple[str, float],
) -> dict[str, Any]:  # fmt: skip
    """Return what is stored of one workload.

    Parameters
    ----------
    name, title : str
    times : dict
        Seconds of each library, round by round.
    more : dict
        What else is known of a library: `error`, `agrees`, `note`, `memory`, `reached`, and
        `aside` if it is shown and no peer: it computes something else, or in another way.
    without, failed : dict
        Libraries without an equivalent, and those that gave no answer, with the reason.
    unit : pair of str and float
        In which the times are shown, and its seconds.
    """
    ours = times.get(OURS)
    libraries = {}
    for key, values in times.items():
        ratio = None
        if ours:
            ratio = statistics.median(a / b for a, b in zip(values, ours, strict=False))
        libraries[key] = {
            "median": _rounded(statistics.median(values)), "shortest": _rounded(min(values)),
            "rounds": len(values), "ratio": _rounded(ratio), **more.get(key, {}),
        }  # fmt: skip
    return {
        "name": name, "title": title, "unit": unit[0], "unit_seconds": unit[1],
        "libraries": libraries, "without": without, "failed": failed,
        "bounds": check(name, libraries),
    }  # fmt: skip


def _rounded(value: float | None) -> float | None:
    """Return four significant digits: more are noise."""
    if value is None or not math.isfinite(value) or value == 0.0:
        return value
    return float(f"{value:.4g}")
