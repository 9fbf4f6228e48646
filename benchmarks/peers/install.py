"""Set up the libraries that `benchmarks/realnvp.py` measures beside, each family in an environment.

They come from the Python package index by name. What can't be installed is named and left out; the
benchmark then says that it is missing. Run it with `python benchmarks/peers/install.py`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ENVIRONMENTS = Path(__file__).resolve().parent.parent / ".envs"
FAMILIES = {
    "torch": ("torch", "zuko", "nflows", "normflows"),
    "jax": ("jax", "flowjax", "distrax"),
}
UV = shutil.which("uv")


def python_of(family: str) -> Path:
    """Return the interpreter of a family's environment."""
    folder = ENVIRONMENTS / family
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def has(python: Path, names: tuple[str, ...]) -> bool:
    """Whether an environment has all of these distributions."""
    code = "import sys; from importlib.metadata import version; [version(n) for n in sys.argv[1:]]"
    return (
        python.exists()
        and subprocess.run([python, "-c", code, *names], capture_output=True).returncode == 0
    )


def install(python: Path, names: tuple[str, ...]) -> bool:
    """Install distributions; return whether that worked."""
    if UV:
        command = [UV, "pip", "install", "--quiet", "--python", str(python), *names]
    else:
        command = [str(python), "-m", "pip", "install", "--quiet", *names]
    return subprocess.run(command).returncode == 0


def main() -> None:
    """Make what is missing."""
    for family, names in FAMILIES.items():
        python = python_of(family)
        if has(python, names):
            continue
        print(f"Installing {', '.join(names)} into {ENVIRONMENTS.name}/{family} ...", flush=True)
        if not python.exists():
            made = [UV, "venv", "--quiet", "--python", sys.executable] if UV else [
                sys.executable, "-m", "venv",
            ]  # fmt: skip
            subprocess.run([*made, str(ENVIRONMENTS / family)], check=True)
        if not install(python, names):  # then one by one, so that one failure is one missing
            for name in names:
                if not install(python, (name,)):
                    print(f"{name} can't be installed here; the benchmark goes on without it.")


if __name__ == "__main__":
    main()
