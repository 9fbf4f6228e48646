"""Which part of the package may import which, and how light the whole is."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import flowtutorial

PACKAGE = Path(flowtutorial.__file__).parent
# Imports at the top of a module point to the left only.
ORDER = [
    "threads",
    "blocks",
    "recorded",
    "loops",
    "parameters",
    "bijection",
    "elementwise",
    "solve",
    "mixture",
    "spline",
    "linear",
    "planar",
    "conditioner",
    "pieces",
    "coupling",
    "autoregressive",
    "distributions",
    "observations",
    "sums",
    "flow",
    "architectures",
    "storage",
    "kinks",
    "likelihood",
    "training",
    "divergence",
    "diagnostics",
]
OUTSIDE = {
    "cluster": {"blocks"},
    "datasets": {"blocks"},
    "notebook": set(),
    "plotting": {"bijection", "blocks"},
    "interactive": {"blocks", "plotting", "symbolic", "symbolic.vega"},
    "gallery": {*ORDER, "interactive", "plotting", "symbolic", "symbolic.vega"},
}


def imported(path: Path) -> set[str]:
    """Return what a module imports when it is loaded."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return names


def test_imports_point_one_way() -> None:
    for place, name in enumerate(ORDER):
        own = {n[1:] for n in imported(PACKAGE / f"{name}.py") if n.startswith(".")}
        assert own <= set(ORDER[:place]), name
    for name, allowed in OUTSIDE.items():
        own = {n[1:] for n in imported(PACKAGE / f"{name}.py") if n.startswith(".")}
        assert own <= allowed, name


def test_every_module_is_in_the_order() -> None:
    found = {path.stem for path in PACKAGE.glob("*.py")}
    assert found == {*ORDER, *OUTSIDE, "__init__"}


def test_heavy_libraries_have_one_home() -> None:
    for path in PACKAGE.rglob("*.py"):
        roots = {name.split(".")[0] for name in imported(path)}
        assert "scipy" not in roots, path
        assert ("sympy" not in roots) or path.parent.name in {"symbolic", "exercises"}, path
        assert ("matplotlib" not in roots) or path.name == "plotting.py", path
        assert ("altair" not in roots) or path.name == "interactive.py", path


def fresh(script: str) -> set[str]:
    """Run a script in a new interpreter and return the words that it prints."""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


def test_using_the_package_loads_numpy_alone() -> None:
    loaded = fresh(
        "import sys, numpy; before = set(sys.modules); from flowtutorial import *;"
        "print(*{m.split('.')[0] for m in set(sys.modules) - before})"
    )
    assert loaded - set(sys.stdlib_module_names) == {"flowtutorial"}


def test_importing_the_package_loads_none_of_its_modules_yet() -> None:
    modules = "print(*(m for m in sys.modules if m.split('.')[0] in ('flowtutorial', 'numpy')))"
    assert fresh(f"import sys, flowtutorial; {modules}") == {"flowtutorial"}
    loaded = fresh(f"import sys; from flowtutorial import Bijection; {modules}")
    assert {m for m in loaded if m.startswith("flowtutorial")} == {
        "flowtutorial",
        "flowtutorial.bijection",
        "flowtutorial.blocks",
        "flowtutorial.parameters",
        "flowtutorial.threads",
    }


def test_type_checkers_and_python_see_the_same_names() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    declared = {
        alias.name: node.module
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert declared == flowtutorial._HOME
    assert sorted(flowtutorial.__all__) == sorted(declared)
    assert set(flowtutorial.__all__) <= set(dir(flowtutorial))
    for name, module in declared.items():
        home = importlib.import_module(f"flowtutorial.{module}")
        assert getattr(flowtutorial, name) is getattr(home, name)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'flowtutorial' has no attribute 'Afine'"):
        _ = flowtutorial.Afine
