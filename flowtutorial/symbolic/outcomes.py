"""What can come out of a question: a verdict, or an exception that says why a step can't be taken.

`Undefined`, `Unclear`, `Undecided` and `NeedSign` pass between the modules of the prover; none of
them leaves `decide`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sympy as sp

PROVED_EXACT = "proved (exact)"
PROVED_IDENTITY = "proved (identity test, error < 2⁻¹⁰⁰)"
PROVED_FOR = "proved for "  # a dimension or a number of terms
CHECKED = "checked to 50 digits"
OPEN = "open"
REFUTED = "refuted"
NUMERICAL = "numerical inverse"  # of a direction without a formula: tested, not proved
STRENGTH = (PROVED_EXACT, PROVED_IDENTITY, CHECKED, OPEN, REFUTED)  # from the strongest

NAN = "not a real number"


def weakest_of(verdicts: Iterable[str]) -> str:
    """Return the verdict on several claims together."""
    return max(verdicts, key=STRENGTH.index)


@dataclass(frozen=True)
class Decision:
    """A verdict, what there is to know about it, and for a refuted claim the point that refutes it.

    The witness has the value of every symbol at the point, and the keys `lhs`, `rhs` and
    `difference`; all as strings of about 15 digits.
    """

    verdict: str
    note: str = ""
    witness: dict[str, str] | None = None


class Undefined(Exception):
    """The expression is not a real number here."""


class Undecided(Exception):
    """The method, or its budget, ends here."""


class NeedSign(Exception):
    """The next step depends on the sign of `core`."""

    def __init__(self, core: sp.Expr) -> None:
        super().__init__(f"the sign of {core}")
        self.core = core


class Unclear(Exception):
    """The enclosure is too wide to tell; a higher precision may help."""
