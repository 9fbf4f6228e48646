"""Set up the libraries that ours is measured beside, each family in an environment of its own.

They come from the Python package index by name. What can't be installed is named, and left out by
all that comes after. `make bench` runs this; by itself it is `python -m benchmarks.peers.install`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ENVIRONMENTS = Path(__file__).resolve().parent.parent / ".envs"
FAMILIES = {  # requirements as pip reads them
    "scientific": ("scipy", "scikit-learn", "numba"),
    "torch": ("torch", "zuko", "nflows", "normflows", "pyro-ppl"),
    "jax": ("jax", "flowjax", "distrax", "scipy"),  # SciPy for its L-BFGS
}
UV = shutil.which("uv")


def python_of(family: str) -> Path:
    """Return the interpreter of a family's environment."""
    folder = ENVIRONMENTS / family
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def has(python: Path, requirements: tuple[str, ...]) -> bool:
    """Whether an environment has all of these."""
    names = [re.split(r"[\[<>=~!; ]", requirement)[0] for requirement in requirements]
    code = "import sys; from importlib.metadata import version; [version(n) for n in sys.argv[1:]]"
    return (
        python.exists()
        and subprocess.run([python, "-c", code, *names], capture_output=True).returncode == 0
    )


def install(python: Path, requirements: tuple[str, ...]) -> bool:
    """Install requirements; return whether that worked."""
    if UV:
        command = [UV, "pip", "install", "--quiet", "--python", str(python), *requirements]
    else:
        command = [str(python), "-m", "pip", "install", "--quiet", *requirements]
    return subprocess.run(command).returncode == 0


def set_up(family: str, requirements: tuple[str, ...]) -> None:
    """Make an environment with what is missing."""
    python = python_of(family)
    if has(python, requirements):
        return
    print(f"Installing {', '.join(requirements)} into {ENVIRONMENTS.name}/{family}", flush=True)
    if not python.exists():
        made = [UV, "venv", "--quiet", "--python", sys.executable] if UV else [
            sys.executable, "-m", "venv",
        ]  # fmt: skip
        if subprocess.run([*made, str(ENVIRONMENTS / family)]).returncode:
            print(f"No environment {family}: the benchmark goes on without it.")
            return
    if not install(python, requirements):  # then one by one, so that one failure is one missing
        for requirement in requirements:
            if not install(python, (requirement,)):
                print(f"{requirement} can't be installed: the benchmark goes on without it.")


def main() -> None:
    """Make what is missing."""
    for family, requirements in FAMILIES.items():
        set_up(family, requirements)


if __name__ == "__main__":
    main()
