"""Time `import flowtutorial` beside `import numpy`.

Each import runs in an interpreter of its own, the two in turn, so that both meet the same load on
the machine; the shortest of the runs counts. The clone stands on the path, not an installed copy,
whose finder would be timed, too. The third line takes every name of the package, which loads all
the modules behind them.

Run it with `python benchmarks/import_time.py`, or with a number of runs.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

STATEMENTS = ("import numpy", "import flowtutorial", "from flowtutorial import *")
SCRIPT = """
import sys, time
sys.path.insert(0, {root!r})
start = time.perf_counter()
{statement}
print(time.perf_counter() - start)
"""


def seconds(statement: str) -> float:
    """Return how long a statement takes in a new interpreter."""
    script = SCRIPT.format(root=str(Path(__file__).resolve().parent.parent), statement=statement)
    command = [sys.executable, "-c", script]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Print the shortest times, and what they are compared with NumPy's."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    times = [[seconds(statement) for statement in STATEMENTS] for _ in range(runs)]
    shortest = [1e3 * min(column) for column in zip(*times, strict=True)]
    for statement, time in zip(STATEMENTS, shortest, strict=True):
        difference, ratio = time - shortest[0], time / shortest[0]
        print(f"{statement:<28}{time:8.1f} ms{difference:+8.1f} ms{ratio:8.2f} times NumPy's")


if __name__ == "__main__":
    main()
