"""Say which displayed equations of the book are not proved, cited or defined, and count the rest.

make equations
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from flowtutorial.symbolic.coverage import coverage, summary


def main() -> int:
    """Report what is not covered, and the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("book", type=Path, help="the folder of the book's pages")
    try:
        statuses = coverage(parser.parse_args().book)
    except FileNotFoundError as error:
        parser.error(str(error))
    missing = [status for status in statuses if not status.covered]
    for status in missing:
        print(f"{status.outcome}: {status.equation.name} ({status.equation.page})")
    print(summary(statuses))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
