"""From stored results to tables and a figure: pure functions, which the book's page calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .results import COMPILED, OURS

# What stands behind a missed bound, by the beginning of a workload's name; the longest counts.
REASONS = {
    "import": "Python's own start weighs more than the difference",
    "ascent": "A step costs us some twenty microseconds of Python besides the sums, more than the "
    "arithmetic on ten thousand data",
    "fit": "Ours climbs on to its own convergence, while the others stop at the goal",
    "fit/affine": "SciPy and scikit-learn know this maximum in closed form; of the flows, ours "
    "climbs on to its own convergence, while the others stop at the goal",
    "fit/spline": "The likelihood of a spline has kinks, where Newton's method slows down; ours "
    "looks for a summit, while the others stop at the goal",
    "log_prob": "NumPy crosses a block of the data once for every operation",
    "log_prob/affine": "Our loop also looks for values without a density, as ±∞, and each call "
    "goes through some Python",
    "log_prob/sinh-arcsinh": "The proved formula calls five of NumPy's slow functions, 7 ns a "
    "value; written out by hand for this flow, three would do",
    "sample": "Drawing normal numbers takes most of the time, and that is the same NumPy for both",
    "realnvp": "The matrix products alone, in double precision, take about as long as the bound "
    "allows; between them NumPy crosses the batch once for every operation",
}
SCRATCH = "Blocks of the data need scratch arrays beside the result"
GROUPS = {
    "import": "Import", "ascent": "Gradient ascent", "fit": "Fits to a threshold",
    "log_prob": "Log-densities", "sample": "Samples", "realnvp": "RealNVP",
}  # fmt: skip
FIRST_TIME = ("import", "cold", "realnvp/goal")  # compilation or imports are part of these


def read(folder: Path) -> dict[str, Any]:
    """Return the results stored in a clone of the repository.

    Raises
    ------
    FileNotFoundError
        If this is no clone, or nothing was measured in it.
    """
    path = folder / "benchmarks" / "results.json"
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}: `make bench` writes it, in a clone")
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return results


def conditions(results: dict[str, Any]) -> str:
    """Return when and where the results were measured, and with what, in Markdown."""
    machine = results["machine"]
    rounds = "few rounds (`--quick`)" if results["quick"] else "all rounds"
    rows = [
        f"Measured on **{results['date']}** with {rounds}, on {machine['cpu']} with "
        f"{machine['processors']} processors, {machine['system']}, Python {machine['python']}; "
        f"load at the start {machine['load']}.",
        "", "| library | versions |", "|:--|:--|",
    ]  # fmt: skip
    for name, peer in results["peers"].items():
        if "versions" in peer:
            text = ", ".join(f"{key} {value}" for key, value in peer["versions"].items())
        else:
            text = f"**did not take part**: {peer['missing']}"
        rows.append(f"| {name} | {text} |")
    if not results["complete"]:
        rows += ["", f"**These results are not complete**: {results.get('errors', 'interrupted')}."]
    return "\n".join(rows)


def summary(results: dict[str, Any]) -> str:
    """Return one row for each bound of each workload, in Markdown."""
    rows = [
        "| work | ours | best other | ours / other | at most | bound |",
        "|:--|--:|--:|--:|--:|:--|",
    ]
    for entry in results["workloads"]:
        for bound in entry["bounds"]:
            met = "met" if bound["met"] else "**missed**"
            if bound["kind"] == "memory":
                has = "–" if bound["bytes"] is None else _mebibytes(bound["bytes"])
                limit = _mebibytes(bound["limit"])
                rows.append(f"| {entry['title']}, extra memory | {has} | | | {limit} | {met} |")
                continue
            ratio = "–" if bound["ratio"] is None else f"{bound['ratio']:.2f}"
            ours, best = _time(entry, bound["ours"] or OURS), _time(entry, bound["best"])
            ours = f"{ours} compiled" if bound["ours"] == COMPILED else ours
            best = f"{best} {bound['best']}" if bound["best"] else best
            rows.append(
                f"| {entry['title']} | {ours} | {best} | {ratio} | {bound['limit']:.3g} | {met} |"
            )
    return "\n".join(rows)


def missed(results: dict[str, Any]) -> str:
    """Return the bounds that are missed, by how much, and why, in Markdown."""
    reasons: dict[str, list[str]] = {}
    for entry, bound in _bounds(results):
        if bound["met"]:
            continue
        prefix = max((p for p in REASONS if entry["name"].startswith(p)), key=len)
        reason, title = REASONS[prefix], entry["title"]
        if bound["kind"] == "memory":
            reason = SCRATCH
            has = "unknown" if bound["bytes"] is None else _mebibytes(bound["bytes"])
            what = f"{has} beside the result, at most {_mebibytes(bound['limit'])}"
        elif bound["ratio"] is not None:
            how = ", compiled" if bound["ours"] == COMPILED else ""
            what = (
                f"{bound['ratio']:.2f} times {bound['best']}'s{how}, at most {bound['limit']:.3g}"
            )
        else:
            what = _incomparable(entry, bound)
        reasons.setdefault(reason, []).append(f"  - {title}: {what}.")
    items = [f"- {reason}:\n" + "\n".join(found) for reason, found in reasons.items()]
    return "\n".join(items) or "None."


def _incomparable(entry: dict[str, Any], bound: dict[str, Any]) -> str:
    """Say why ours and the best other library were not compared."""
    if OURS in entry["failed"]:
        return f"ours failed ({entry['failed'][OURS]})"
    if not entry["libraries"].get(OURS, {}).get("reached", True):
        return "ours did not reach the goal"
    return "no other library to compare with" if bound["best"] is None else "ours is missing"


def left_out(results: dict[str, Any]) -> str:
    """Return who did not take part in what, and why, in Markdown."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for name, peer in results["peers"].items():
        if "missing" in peer:
            reasons[name, f"did not take part: {peer['missing']}"] = ["everything"]
    for entry in results["workloads"]:
        for name, why in entry["without"].items():
            reasons.setdefault((name, why), []).append(entry["name"])
        for name, why in entry["failed"].items():
            reasons.setdefault((name, f"**failed**: {why}"), []).append(entry["name"])
        for name, library in entry["libraries"].items():
            if not library.get("agrees", True):
                why = f"computes other numbers, off by {library['error']:.1e}"
                reasons.setdefault((name, why), []).append(entry["name"])
            if not library.get("reached", True):
                reasons.setdefault((name, "did not reach the goal"), []).append(entry["name"])
    rows = ["| library | why | where |", "|:--|:--|:--|"]
    for (name, why), places in sorted(reasons.items()):
        shown = ", ".join(dict.fromkeys(_shortened(place) for place in places))
        rows.append(f"| {name} | {why} | {shown} |")
    return "\n".join(rows)


def _shortened(name: str) -> str:
    """Return a workload's name without the size or the state."""
    group, *rest = name.split("/")
    return "/".join((group, *rest[:1])) if group in ("log_prob", "fit", "realnvp") else group


def details(results: dict[str, Any], group: str) -> str:
    """Return the times of all libraries in the workloads of a group, in Markdown.

    Each cell has the median and, in brackets, the ratio to ours.
    """
    entries = [e for e in results["workloads"] if e["name"].split("/")[0] == group]
    columns = [e["name"].partition("/")[2].replace("/", ", ") or e["name"] for e in entries]
    heads = [f"{c} ({e['unit']})" for c, e in zip(columns, entries, strict=True)]
    names = dict.fromkeys(name for e in entries for name in (*e["libraries"], *e["failed"]))
    rows = [f"| library | {' | '.join(heads)} |", "|:--|" + "--:|" * len(heads)]
    for name in sorted(names, key=lambda name: name != OURS):
        rows.append(f"| {name} | {' | '.join(_cell(e, name) for e in entries)} |")
    return "\n".join(rows)


def methods(results: dict[str, Any]) -> str:
    """Return how each library was fitted, in Markdown."""
    entries = [e for e in results["workloads"] if e["name"].endswith("/warm")]
    names = dict.fromkeys(name for e in entries for name in e["libraries"])
    heads = [e["name"].split("/")[1] for e in entries]
    rows = [f"| library | {' | '.join(heads)} |", "|:--|" + ":--|" * len(heads)]
    for name in names:
        notes = [e["libraries"].get(name, {}).get("note", "–") for e in entries]
        rows.append(f"| {name} | {' | '.join(notes)} |")
    return "\n".join(rows)


def _cell(entry: dict[str, Any], name: str) -> str:
    if name in entry["failed"]:
        return "failed"
    library = entry["libraries"].get(name)
    if library is None:
        return "–"
    text = _number(library["median"] / entry["unit_seconds"])
    if library["ratio"] is not None and name != OURS:
        text += f" ({_number(library['ratio'])})"
    for mark, condition in (
        (" ≠", not library.get("agrees", True)), (" ↯", not library.get("reached", True)),
        (" *", library.get("aside", False)),
    ):  # fmt: skip
        text += mark if condition else ""
    return text


def _time(entry: dict[str, Any], name: str | None) -> str:
    library = entry["libraries"].get(name)
    if library is None:
        return "–"
    unit = entry["unit"].split()[0]  # what it is for says the title
    return f"{_number(library['median'] / entry['unit_seconds'])}\N{NO-BREAK SPACE}{unit}"


def _number(value: float) -> str:
    """Return three digits, without an exponent where there are more before the point."""
    return f"{float(f'{value:.3g}'):.0f}" if value >= 100.0 else f"{value:.3g}"


def _mebibytes(size: float) -> str:
    return f"{size / 2**20:.1f}\N{NO-BREAK SPACE}MiB"


def _bounds(results: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for entry in results["workloads"]:
        for bound in entry["bounds"]:
            yield entry, bound


def first_time(name: str) -> bool:
    """Whether imports or compilation are part of a workload."""
    return name.startswith(FIRST_TIME) or name.endswith(FIRST_TIME)


def figure(results: dict[str, Any], cold: bool) -> Any:
    """Return a figure of ratios: one row for each workload, our time at 1, on a logarithmic axis.

    With `cold` it has the workloads of which imports or compilation are a part, else the others. A
    stroke shows where the fastest other library has to be, or further right; it is as far from the
    quicker of our two ways, plain or compiled, as the bound asks.
    """
    import matplotlib.pyplot as plt

    from flowtutorial import plotting

    families = {
        "PyTorch": (plotting.BASE, "o", ("torch", "zuko", "nflows", "normflows", "pyro-ppl")),
        "JAX": (plotting.JACOBIAN, "s", ("jax", "flowjax", "distrax")),
        "others": (plotting.DATA, "D", ()),
    }
    entries = [e for e in results["workloads"] if first_time(e["name"]) == cold][::-1]
    drawn, axes = plt.subplots(figsize=(6.4, 1.6 + 0.54 * len(entries)))
    axes.axvline(1.0, color=plotting.MODEL, linewidth=2.0, label="ours", zorder=1)
    axes.plot([], [], "^", color=plotting.MODEL, label="ours, compiled")
    for family, (color, marker, _) in families.items():  # the legend, the same in each figure
        axes.plot([], [], marker, color=color, label=family)
    met, missed = (plotting.DATA, "bound, met"), (plotting.OTHER, "bound, missed")
    for color, label in (met, missed):
        axes.plot([], [], color=color, linewidth=2.5, label=label)
    text: dict[str, Any] = {"textcoords": "offset points", "fontsize": 11.5}
    for row, entry in enumerate(entries):
        axes.annotate(
            entry["title"], (0.0, row + 0.2), xytext=(3, 0), xycoords=("axes fraction", "data"),
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5}, zorder=2, **text,
        )  # fmt: skip
        if not any(library["ratio"] for library in entry["libraries"].values()):
            axes.annotate("no time of ours", (1.0, row), xytext=(6, -4), color=missed[0], **text)
            continue
        for name, library in entry["libraries"].items():
            if name == OURS or library["ratio"] is None or library.get("aside"):
                continue
            if name == COMPILED:
                axes.plot(library["ratio"], row, "^", color=plotting.MODEL, markersize=7)
                continue
            first = name.split(",")[0]
            family = next((key for key, value in families.items() if first in value[2]), "others")
            color, marker, _ = families[family]
            fastest = name in {bound.get("best") for bound in entry["bounds"]}
            counts = library.get("agrees", True) and library.get("reached", True)
            axes.plot(
                library["ratio"], row, marker, color=color, markersize=7 if fastest else 5,
                markerfacecolor=color if counts else "white", alpha=1.0 if fastest else 0.6,
            )  # fmt: skip
        for bound in entry["bounds"]:
            if bound["kind"] == "time":
                color, _ = met if bound["met"] else missed
                own = entry["libraries"][bound["ours"]]["ratio"] if bound["ours"] else 1.0
                at = own / bound["limit"]
                axes.plot([at, at], [row - 0.28, row + 0.15], color=color, linewidth=2.5)
    axes.set(xscale="log", ylim=(-0.6, len(entries) - 0.2), yticks=[])
    axes.set_xlabel("time of a library / time of ours")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(visible=True, axis="x")
    drawn.legend(loc="outside upper center", ncols=3)
    return drawn


def lines(entry: dict[str, Any]) -> list[str]:
    """Return a workload as text, for the terminal."""
    out = [f"{entry['title']} ({entry['unit']}: median, shortest, times ours)"]
    unit = entry["unit_seconds"]
    for name, library in sorted(entry["libraries"].items(), key=lambda item: item[1]["median"]):
        ratio = "" if library["ratio"] is None else f"{library['ratio']:9.2f}"
        row = f"  {name:26}{library['median'] / unit:11.4g}{library['shortest'] / unit:11.4g}"
        marks = [library.get("note", "")]
        if "error" in library:
            marks.append(f"error {library['error']:.1e}")
        if not library.get("agrees", True):
            marks.append("DOES NOT AGREE")
        if not library.get("reached", True):
            marks.append("NOT REACHED")
        if library.get("memory") is not None:
            marks.append(_mebibytes(library["memory"]))
        out.append(f"{row}{ratio:>9}  {', '.join(mark for mark in marks if mark)}")
    out += [f"  {name:26} failed: {why}" for name, why in entry["failed"].items()]
    for bound in entry["bounds"]:
        word = "met" if bound["met"] else "MISSED"
        if bound["kind"] == "memory":
            out.append(f"  memory: {bound['bytes']} of {bound['limit']} bytes, {word}")
        else:
            ratio = "-" if bound["ratio"] is None else f"{bound['ratio']:.3f}"
            who = f"{bound['ours']} / {bound['best']}"
            out.append(f"  {who}: {ratio}, bound {bound['limit']:.3g}, {word}")
    return out
