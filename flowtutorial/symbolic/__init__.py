"""SymPy's readings of the package's NumPy code: trace, prove, derive, typeset.

The only part that imports SymPy.
"""

from .coverage import equation
from .derive import Derivatives, derive
from .moments import average
from .prove import Claim, Proof, prove, prove_bijection, prove_gradient
from .trace import SymArray, latex, symbols, trace

__all__ = [
    "Claim",
    "Derivatives",
    "Proof",
    "SymArray",
    "average",
    "derive",
    "equation",
    "latex",
    "prove",
    "prove_bijection",
    "prove_gradient",
    "symbols",
    "trace",
]
