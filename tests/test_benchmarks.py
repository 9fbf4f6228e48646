"""The stored measurements and the page that shows them belong together; nothing is timed here."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest

from benchmarks import problems, report
from benchmarks.__main__ import PEERS, ready
from benchmarks.process import Peer, WithoutError, in_turn
from benchmarks.results import BOUNDS, COMPILED, MEMORY, OURS, check, record

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def results() -> dict[str, Any]:
    return report.read(ROOT)


@pytest.fixture
def page() -> Any:
    return nbformat.read(ROOT / "book/benchmarks.ipynb", as_version=4)


def shown(page: Any) -> str:
    """Return all that the page's cells have put out as text."""
    outputs = [o for cell in page.cells if cell.cell_type == "code" for o in cell.outputs]
    return "\n".join(o.data.get("text/markdown", "") for o in outputs if "data" in o)


def test_results_say_when_where_and_with_what(results: dict[str, Any]) -> None:
    year, month, day = map(int, results["date"].split("-"))
    assert year >= 2024
    assert 1 <= month <= 12
    assert 1 <= day <= 31
    assert {"cpu", "processors", "system", "python", "load"} <= set(results["machine"])
    assert results["complete"]
    assert set(results["peers"]) == set(PEERS)
    for peer in results["peers"].values():
        assert set(peer) in ({"versions"}, {"missing"})
    assert "numpy" in results["peers"][OURS]["versions"]


def test_every_workload_with_a_bound_was_measured_or_is_named(results: dict[str, Any]) -> None:
    names = [entry["name"] for entry in results["workloads"]]
    assert len(set(names)) == len(names)
    assert set(names) <= set(BOUNDS)
    assert set(names) == set(BOUNDS) or results["quick"]
    assert {name.split("/")[0] for name in names} == set(report.GROUPS)


def test_every_library_is_accounted_for_in_every_workload(results: dict[str, Any]) -> None:
    taking = [name for name, peer in results["peers"].items() if "versions" in peer]
    for entry in results["workloads"]:
        found = {*entry["libraries"], *entry["without"], *entry["failed"]}
        assert set(taking) <= found, entry["name"]
        assert entry["title"]
        assert entry["unit"]


def test_bounds_follow_from_what_was_measured(results: dict[str, Any]) -> None:
    for entry in results["workloads"]:
        assert entry["bounds"] == check(entry["name"], entry["libraries"]), entry["name"]


def test_the_page_was_made_from_these_results(results: dict[str, Any], page: Any) -> None:
    text = shown(page)
    for part in (
        report.conditions(results), report.summary(results), report.missed(results),
        report.methods(results), report.left_out(results),
    ):  # fmt: skip
        assert part in text, "`make notebooks NOTEBOOKS=book/benchmarks.ipynb` shows new results"
    for group in report.GROUPS:
        assert report.details(results, group) in text
    for entry in results["workloads"]:
        assert entry["title"] in text


def test_the_prose_of_the_page_holds_no_measured_number(page: Any) -> None:
    prose = "".join(cell.source for cell in page.cells if cell.cell_type == "markdown")
    for word in (" times faster", " times slower", " ms", " MiB", " ns "):
        assert word not in prose


def test_a_library_that_is_missing_or_fails_is_shown(results: dict[str, Any]) -> None:
    changed = copy.deepcopy(results)
    changed["peers"]["zuko"] = {"missing": "no environment torch"}
    changed["workloads"][0]["failed"]["jax"] = "the process ended"
    changed["complete"], changed["errors"] = False, {"fit": "RuntimeError: x"}
    assert "| zuko | **did not take part**: no environment torch |" in report.conditions(changed)
    assert "not complete" in report.conditions(changed)
    assert "no environment torch" in report.left_out(changed)
    assert "the process ended" in report.left_out(changed)


def test_outside_a_clone_the_page_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="in a clone"):
        report.read(tmp_path)
    source = (ROOT / "book/benchmarks.ipynb").read_text(encoding="utf-8")
    assert "clone it, and open this notebook in its folder book" in source


def test_a_library_that_is_not_installed_or_ends_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent, broken = (Peer("zuko", tmp_path / "problem.npz") for _ in range(2))
    absent.python = tmp_path / "torch/bin/python"
    broken.name, broken.python = "jax", Path(sys.executable)
    broken.problem = tmp_path / "no file"
    found = ready([absent, broken])
    broken.close()
    assert found["zuko"] == {"missing": "no environment torch"}
    assert "no file" in found["jax"]["missing"]
    assert "zuko does not take part: no environment torch" in capsys.readouterr().out


def test_a_failure_ends_a_librarys_turns_alone() -> None:
    class Failing(Peer):
        def ask(self, do: str, **request: Any) -> Any:
            if self.name == "jax" and request["seed"] == 1:
                raise RuntimeError("the process ended")
            if self.name == "scipy":
                raise WithoutError("has no networks")
            return {"seconds": 1.0}

    peers = [Failing(name, Path()) for name in (OURS, "jax", "scipy")]
    answers = in_turn(peers, 3, "steps", count=1)
    assert list(answers.of) == [OURS]
    assert len(answers.of[OURS]) == 3
    assert answers.failed == {"jax": "the process ended"}
    assert answers.without == {"scipy": "has no networks"}


def entry_of(times: dict[str, list[float]], **more: Any) -> dict[str, Any]:
    return record(
        "fit/spline-8/warm", "a fit", times, more=more, without={}, failed={}, unit=("s", 1.0)
    )


def test_ratios_are_medians_of_single_rounds() -> None:
    entry = entry_of({OURS: [1.0, 2.0, 4.0], "jax": [3.0, 6.0, 4.0]})
    assert entry["libraries"]["jax"]["ratio"] == 3.0
    assert entry["libraries"]["jax"]["shortest"] == 3.0
    (bound,) = entry["bounds"]
    assert bound["best"] == "jax"
    assert bound["ratio"] == pytest.approx(1 / 3)
    assert bound["met"]


@pytest.mark.parametrize("flag", [{"agrees": False}, {"reached": False}, {"aside": True}])
def test_who_does_not_do_the_work_is_no_rival(flag: dict[str, bool]) -> None:
    entry = entry_of({OURS: [1.0], "jax": [0.1], "torch": [4.0]}, jax=flag)
    assert entry["bounds"][0]["best"] == "torch"
    assert entry["bounds"][0]["met"]


@pytest.mark.parametrize("flag", [{"agrees": False}, {"reached": False}])
def test_ours_keeps_no_bound_without_doing_the_work(flag: dict[str, bool]) -> None:
    entry = entry_of({OURS: [1.0], "torch": [4.0]}, **{OURS: flag})
    assert not entry["bounds"][0]["met"]
    assert not entry_of({"torch": [4.0]})["bounds"][0]["met"]


def test_the_quicker_of_our_two_ways_counts() -> None:
    for compiled, ours, ratio in ((0.5, COMPILED, 0.25), (3.0, OURS, 0.5)):
        (bound,) = entry_of({OURS: [1.0], COMPILED: [compiled], "jax": [2.0]})["bounds"]
        assert (bound["ours"], bound["best"], bound["ratio"]) == (ours, "jax", ratio)
    (bound,) = entry_of(
        {OURS: [1.0], COMPILED: [0.1], "jax": [2.0]}, **{COMPILED: {"agrees": False}}
    )["bounds"]
    assert bound["ours"] == OURS


def test_a_bound_of_the_memory_needs_a_measurement() -> None:
    name = "log_prob/affine/1e7"
    for size, met in ((None, False), (2**20, True), (2**20 + 1, False)):
        found = check(name, {OURS: {"ratio": 1.0, "memory": size}})
        assert [bound["met"] for bound in found if bound["kind"] == "memory"] == [met]
    assert set(MEMORY) <= set(BOUNDS)


@pytest.mark.parametrize("kind", ["affine", "sinh-arcsinh"])
def test_goals_lie_just_below_the_maximum(kind: str) -> None:
    from flowtutorial import fit

    best = fit(problems.flow_of(kind, problems.start(kind)), problems.data(kind)).log_likelihood
    assert best == pytest.approx(-problems.BEST[kind], abs=1e-8)
    assert problems.goal(kind) < best


def test_knots_for_others_are_ours() -> None:
    spline = problems.flow_of("spline", problems.fixed("spline")).bijection.bijection
    for theirs, ours in zip(problems.knots(*problems.fixed("spline")), spline.knots(), strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-14)


def test_results_are_plain_json(results: dict[str, Any]) -> None:
    text = (ROOT / "benchmarks/results.json").read_text(encoding="utf-8")
    assert "NaN" not in text
    assert "Infinity" not in text
    assert json.loads(text) == results
