"""What chapter 12 shows of other libraries is what `make bench` checked."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from flowtutorial import Flow
from flowtutorial.datasets import moons

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
FOUND = json.loads((BENCHMARKS / "agreement.json").read_text(encoding="utf-8"))["libraries"]


@pytest.fixture(scope="module")
def agreement() -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCHMARKS))
    import agreement

    yield agreement
    sys.path.remove(str(BENCHMARKS))


def test_every_library_was_asked(agreement: ModuleType) -> None:
    files = {path.stem.removeprefix("in_") for path in agreement.LIBRARIES.glob("in_*.py")}
    assert set(FOUND) == set(agreement.PEERS) == files


@pytest.mark.parametrize("name", FOUND)
def test_it_was_asked_by_the_code_that_stands_there(agreement: ModuleType, name: str) -> None:
    assert FOUND[name]["source"] == agreement.source_digest(name), "run `make bench`"


@pytest.mark.parametrize("name", FOUND)
def test_it_agrees(agreement: ModuleType, name: str) -> None:
    said = FOUND[name]
    for kind in ("numbers", "vectors"):
        if kind in said:
            assert said[kind]["largest difference"] < agreement.BOUND
            assert said[kind]["draws pass"]
    assert said.get("five_dimensions", 0.0) < agreement.BOUND
    assert name == "torch" or "vectors" in said


def test_the_trained_flow_is_the_one_that_was_carried() -> None:
    here = Flow.load(BENCHMARKS / "moons.npz").log_prob(moons(1000, 7))[::200]
    for said in FOUND.values():
        if "vectors" in said:
            np.testing.assert_allclose(said["vectors"]["log_prob"], here, rtol=1e-10)
