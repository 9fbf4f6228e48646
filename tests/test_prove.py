"""`prove` and `prove_bijection`: verdicts, witnesses, errors, and bijections of readers."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest
import sympy as sp

from flowtutorial import elementwise
from flowtutorial.bijection import Bijection, Chain, Inverse
from flowtutorial.symbolic.prove import Claim, Proof, prove, prove_bijection
from flowtutorial.symbolic.trace import SymArray, symbols

EXACT = "proved (exact)"
ALL_FIVE = (
    "inverse∘forward = id, forward∘inverse = id, log det forward, log det inverse, {direction}"
)
z, x = sp.symbols("z x", real=True)
plain = sp.Symbol("v")
frozen = dataclass(frozen=True, eq=False)
inf = np.inf

# -- prove -----------------------------------------------------------------------------------------


def test_proved() -> None:
    proof = prove(sp.log(1 + sp.exp(z)), z + sp.log(1 + sp.exp(-z)))
    assert proof
    assert proof.verdict == EXACT
    assert proof.witness is None
    assert repr(proof) == "proved (exact): log(exp(z) + 1) = z + log(1 + exp(-z))"


def test_refuted_with_a_witness() -> None:
    proof = prove(sp.sqrt(z**2), z)
    assert not proof
    assert proof.verdict == "refuted"
    assert proof.witness is not None
    assert set(proof.witness) == {"z", "lhs", "rhs", "difference"}
    assert float(proof.witness["rhs"]) == -float(proof.witness["lhs"])
    assert repr(proof).startswith("refuted: Abs(z) = z — at z = -")


def test_checked_and_open_are_not_proved() -> None:
    checked = prove(sp.sqrt(3 + 2 * sp.sqrt(2)), 1 + sp.sqrt(2))
    assert (bool(checked), checked.verdict) == (False, "checked to 50 digits")
    unknown = prove(sp.zeta(z), sp.zeta(z) + z - z * sp.sin(z) ** 2 - z * sp.cos(z) ** 2 + 0)
    assert (bool(unknown), unknown.verdict) == (False, "open")


def test_numbers_floats_and_traced_values() -> None:
    v = symbols("v")
    assert prove(np.log1p(np.expm1(v)), v)
    assert prove(0.5, sp.Rational(1, 2))
    assert prove(np.float64(np.pi), sp.pi)
    assert prove(0.5 * z, z / 2)
    assert prove(1, 1)
    assert not prove(1, 2)
    assert repr(prove(1, 2)) == "refuted: 1 = 2 — lhs = 1.0, rhs = 2.0"


def test_arrays_are_compared_entry_by_entry() -> None:
    left = SymArray([z + x, sp.exp(z + x)])
    assert prove(left, SymArray([x + z, sp.exp(x) * sp.exp(z)]))
    proof = prove(left, SymArray([x + z, sp.exp(x)]))
    assert proof.verdict == "refuted"
    assert [claim.verdict for claim in proof.claims] == [EXACT, "refuted"]
    assert prove(SymArray([z - z, x * 0]), 0)


def test_long_formulas_are_not_repeated() -> None:
    long = sum(sp.exp(k * z) for k in range(20))
    assert repr(prove(SymArray([long]), SymArray([long]))) == "proved (exact): lhs[0] = rhs[0]"


@pytest.mark.parametrize(
    ("assume", "verdict"),
    [
        (None, "refuted"),
        ({"v": "real"}, "refuted"),
        ({"v": "nonzero"}, "refuted"),
        ({"v": "positive"}, EXACT),
        ({plain: "positive"}, EXACT),
        ({"v": "negative"}, "refuted"),
        ({"v": (0, inf)}, EXACT),
        ({"v": (1.5, 2.0)}, EXACT),
        ({"v": (-0.5, 2.0)}, "refuted"),
        ({"v": (-inf, -1)}, "refuted"),
        ({"v": (-sp.oo, sp.oo)}, "refuted"),
    ],
)
def test_assumptions(assume: Any, verdict: str) -> None:
    assert prove(sp.sqrt(plain**2), plain, assume).verdict == verdict


def test_witness_is_given_in_the_symbols_of_the_reader() -> None:
    proof = prove(plain, 1.75, {"v": (1.5, 2)})
    assert proof.witness is not None
    assert 1.5 < float(proof.witness["v"]) < 2


@pytest.mark.parametrize(
    ("lhs", "rhs", "name"), [("z", 1, "lhs"), (z, None, "rhs"), (z > 0, 1, "lhs"), (z, 1j, "rhs")]
)
def test_what_is_not_a_formula_is_a_type_error(lhs: Any, rhs: Any, name: str) -> None:
    with pytest.raises(TypeError, match=f"^{name}: expected a SymPy expression"):
        prove(lhs, rhs)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"^rhs: expected the shape of lhs"):
        prove(SymArray([z, x]), SymArray([z, x, x]))
    with pytest.raises(ValueError, match=r"^assume: no symbol is called 'w'"):
        prove(z, x, {"w": "positive"})
    with pytest.raises(ValueError, match=r"^assume\['z'\]: expected one of"):
        prove(z, x, {"z": "small"})
    for interval in [(2, 1), (1, 1), 3, ("a", "b")]:
        with pytest.raises(ValueError, match=r"^assume\['z'\]: expected a word or an interval"):
            prove(z, x, {"z": interval})  # type: ignore[dict-item]


def test_proof_is_frozen_and_weakest_first() -> None:
    claims = (Claim("a = b", EXACT), Claim("c = d", "open", "why"))
    proof = Proof("open", claims)
    assert repr(proof) == "open: c = d — why"
    with pytest.raises(dataclasses.FrozenInstanceError):
        proof.verdict = EXACT  # type: ignore[misc]


# -- undefined functions ---------------------------------------------------------------------------

f, g = sp.Function("f_1"), sp.Function("f_2")
inner = g(plain, z)
outer = sp.Derivative(f(inner, x), inner)
total = sp.diff(f(inner, x), plain)  # by the chain rule
below, slot = sp.Symbol("n", negative=True), sp.Symbol("xi")


@pytest.mark.parametrize(
    ("lhs", "rhs"),
    [
        (sp.expand((outer + 1) ** 2), outer**2 + 2 * outer + 1),
        (sp.log(sp.exp(outer)), outer),
        (total, outer * sp.Derivative(inner, plain)),
        (
            sp.log(sp.Abs(total)),
            sp.log(sp.Abs(outer)) + sp.log(sp.Abs(sp.Derivative(inner, plain))),
        ),
        (outer, sp.Subs(sp.Derivative(f(slot, x), slot), slot, inner)),
        (sp.diff(f(plain), plain), sp.Subs(sp.Derivative(f(slot), slot), slot, plain)),
        (sp.diff(f(sp.Abs(z)), z), sp.sign(z) * sp.Subs(sp.Derivative(f(z), z), z, sp.Abs(z))),
        (sp.Derivative(sp.sin(z), z), sp.cos(z)),
        (sp.Subs(sp.Derivative(sp.exp(slot), slot), slot, f(z)), sp.exp(f(z))),
    ],
)
def test_derivatives_of_undefined_functions_are_proved(lhs: sp.Expr, rhs: sp.Expr) -> None:
    assert prove(lhs, rhs).verdict == EXACT


@pytest.mark.parametrize("assumption", [None, "positive", "negative", (0, 1)])
@pytest.mark.parametrize(
    ("lhs", "rhs"),
    [
        (outer, outer + 1),
        (outer, 2 * outer),
        (total, 2 * total),
        (total, outer),
        (outer, outer.subs(plain, plain + 1)),
        (outer, sp.Subs(sp.Derivative(f(slot, x), slot), slot, plain)),
        (sp.Derivative(inner, plain), sp.Derivative(inner, z)),
        (sp.diff(f(f(plain)), plain), sp.diff(f(f(plain)), plain, 2)),
    ],
)
def test_wrong_derivatives_are_refuted(lhs: sp.Expr, rhs: sp.Expr, assumption: Any) -> None:
    assert prove(lhs, rhs, assumption and {plain: assumption}).verdict == "refuted"


def test_a_derivative_by_a_negative_symbol_is_understood() -> None:
    slope = sp.diff(f(below), below)
    assert prove((slope + 1) ** 2, slope**2 + 2 * slope + 1)
    assert prove(slope, slope + 1).verdict == "refuted"


@pytest.mark.parametrize(
    "value",
    [
        sp.Derivative(f(inner, plain), plain, inner),  # each varies with the other
        sp.Derivative(inner * sp.Derivative(inner, plain), inner),
        sp.Subs(sp.Abs(f(slot)), slot, z) * sp.Subs(sp.Abs(f(slot)), slot, x),
        sp.Derivative(f(plain), (plain, sp.Symbol("k", integer=True, positive=True))),
        sp.Integral(f(plain), (plain, 0, z)),
        sp.Derivative(sp.zeta(f(plain)), plain),
    ],
)
def test_what_is_not_understood_is_no_error(value: sp.Expr) -> None:
    proof = prove(value, value + sp.exp(z) - sp.exp(z + 1))
    assert proof.verdict in ("open", "refuted"), proof
    assert prove(value * (z + 1), value * z + value).verdict != "refuted"


def test_what_fails_to_be_substituted_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("no\n  value")

    monkeypatch.setattr(sys.modules["flowtutorial.symbolic.prove"], "substituted", fail)
    assert prove(outer, total).claims[0].note == "no proof found: ValueError: no value"


# -- what ships ------------------------------------------------------------------------------------

SHIPPED = [
    value
    for value in vars(elementwise).values()
    if isinstance(value, type) and value.__module__ == elementwise.__name__
    if value.event_ndim == 0
]


@pytest.mark.parametrize("cls", SHIPPED, ids=lambda cls: cls.__name__)
def test_every_shipped_bijection_is_proved(cls: Any) -> None:
    proof = prove_bijection(cls)
    assert repr(proof) == f"proved (exact): {ALL_FIVE.format(direction='increasing')}"


def test_instances_and_compositions() -> None:
    affine, shift = elementwise.Affine(1.0, 0.5), elementwise.Shift(0.25)
    assert prove_bijection(affine)
    assert prove_bijection(Inverse(elementwise.Softplus()))
    assert prove_bijection(Chain((affine, elementwise.Tanh())))
    assert prove_bijection(Chain((affine, Inverse(Chain((shift, affine))), shift)))
    assert prove_bijection(Chain(()))


def test_a_codomain_that_depends_on_parameters_keeps_their_values() -> None:
    proof = prove_bijection(Chain((elementwise.Exp(), elementwise.Affine(1.0, 0.5))))
    assert proof
    assert proof.claims[0].note == "at these parameters"


# -- bijections of readers -------------------------------------------------------------------------


@frozen
class Cubic(Bijection):
    """`z + c z³`, with a closed inverse."""

    log_c: float

    def forward_and_log_det(self, z: Any) -> Any:
        c = np.exp(self.log_c)
        return z + c * z**3, np.log1p(3.0 * c * z * z)

    def inverse_and_log_det(self, x: Any) -> Any:
        k = np.sqrt(3.0 * np.exp(self.log_c))
        z = 2.0 / k * np.sinh(np.arcsinh(1.5 * k * x) / 3.0)
        return z, -np.log1p(k * k * z * z)


@frozen
class Gumbel(Bijection):
    """The distribution function of a Gumbel variable."""

    codomain: ClassVar[Any] = (0.0, 1.0)

    def forward_and_log_det(self, z: Any) -> Any:
        return np.exp(-np.exp(-z)), -z - np.exp(-z)

    def inverse_and_log_det(self, x: Any) -> Any:
        z = -np.log(-np.log(x))
        return z, z - np.log(x)


@frozen
class Weibull(Bijection):
    """The distribution function of a Weibull variable."""

    log_shape: float
    log_scale: float
    domain: ClassVar[Any] = (0.0, inf)
    codomain: ClassVar[Any] = (0.0, 1.0)

    def forward_and_log_det(self, z: Any) -> Any:
        k, scale = np.exp(self.log_shape), np.exp(self.log_scale)
        u = (z / scale) ** k
        return -np.expm1(-u), np.log(k / scale) + (k - 1.0) * np.log(z / scale) - u

    def inverse_and_log_det(self, x: Any) -> Any:
        k, scale = np.exp(self.log_shape), np.exp(self.log_scale)
        u = -np.log1p(-x)
        return scale * u ** (1.0 / k), np.log(scale / k) + (1.0 / k - 1.0) * np.log(u) + u


@frozen
class ArcTangent(Bijection):
    """Onto an interval whose ends are not decimal numbers."""

    codomain: ClassVar[Any] = (-np.pi / 2, np.pi / 2)

    def forward_and_log_det(self, z: Any) -> Any:
        return np.arctan(z), -np.log1p(z * z)

    def inverse_and_log_det(self, x: Any) -> Any:
        return np.tan(x), -2.0 * np.log(np.cos(x))


@frozen
class Reciprocal(Bijection):
    """A decreasing map of the positive numbers."""

    domain: ClassVar[Any] = (0.0, inf)
    codomain: ClassVar[Any] = (0.0, inf)

    def forward_and_log_det(self, z: Any) -> Any:
        return 1.0 / z, -2.0 * np.log(z)

    def inverse_and_log_det(self, x: Any) -> Any:
        return 1.0 / x, -2.0 * np.log(x)


@frozen
class Reflect(Bijection):
    """A decreasing map of the real line, whose log-determinant is a plain number."""

    def forward_and_log_det(self, z: Any) -> Any:
        return -z, 0.0

    def inverse_and_log_det(self, x: Any) -> Any:
        return -x, 0.0


@frozen
class Power(Bijection):
    """The part of the Box-Cox transformation that has no location."""

    log_power: float
    domain: ClassVar[Any] = (0.0, inf)
    codomain: ClassVar[Any] = (0.0, inf)

    def forward_and_log_det(self, z: Any) -> Any:
        return z ** np.exp(self.log_power), self.log_power + np.expm1(self.log_power) * np.log(z)

    def inverse_and_log_det(self, x: Any) -> Any:
        power = np.exp(-self.log_power)
        return x**power, -self.log_power + (power - 1.0) * np.log(x)


@frozen
class Triple(Bijection):
    """A floating-point constant that has a name."""

    def forward_and_log_det(self, z: Any) -> Any:
        return 3.0 * z, np.zeros_like(z) + np.log(3.0)

    def inverse_and_log_det(self, x: Any) -> Any:
        return x / 3.0, np.zeros_like(x) - np.log(3.0)


@frozen
class Moebius(Bijection):
    """A rational map of the unit interval onto itself."""

    log_slope: float
    domain: ClassVar[Any] = (0.0, 1.0)
    codomain: ClassVar[Any] = (0.0, 1.0)

    def _map(self, v: Any, log_slope: Any) -> Any:
        below = 1.0 + np.expm1(log_slope) * v
        return np.exp(log_slope) * v / below, log_slope - 2.0 * np.log(below)

    def forward_and_log_det(self, z: Any) -> Any:
        return self._map(z, self.log_slope)

    def inverse_and_log_det(self, x: Any) -> Any:
        return self._map(x, -self.log_slope)


@frozen
class SquarePlus(Bijection):
    """An algebraic softplus."""

    codomain: ClassVar[Any] = (0.0, inf)

    def forward_and_log_det(self, z: Any) -> Any:
        r = np.sqrt(z * z + 4.0)
        return (z + r) / 2.0, np.log((1.0 + z / r) / 2.0)

    def inverse_and_log_det(self, x: Any) -> Any:
        return x - 1.0 / x, np.log1p(1.0 / (x * x))


@frozen
class SignedLogarithm(Bijection):
    """`np.sign` and `np.abs`; continuous all the same."""

    def forward_and_log_det(self, z: Any) -> Any:
        return np.sign(z) * np.log1p(np.abs(z)), -np.log1p(np.abs(z))

    def inverse_and_log_det(self, x: Any) -> Any:
        return np.sign(x) * np.expm1(np.abs(x)), np.abs(x)


@frozen
class ThreeSlopes(Bijection):
    """Two knots: sign patterns that contradict each other."""

    def _slope(self, z: Any) -> Any:
        return np.where(z < -1.0, 1.0, np.where(z < 1.0, 2.0, 3.0))

    def forward_and_log_det(self, z: Any) -> Any:
        x = z + np.maximum(z + 1.0, 0.0) + np.maximum(z - 1.0, 0.0)
        return x, np.log(self._slope(z))

    def inverse_and_log_det(self, x: Any) -> Any:
        z = np.where(x < -1.0, x, np.where(x < 3.0, (x - 1.0) / 2.0, x / 3.0))
        return z, -np.log(self._slope(z))


READERS = {
    Cubic: "increasing",
    Gumbel: "increasing",
    Weibull: "increasing",
    ArcTangent: "increasing",
    Reciprocal: "decreasing",
    Reflect: "decreasing",
    Power: "increasing",
    Triple: "increasing",
    Moebius: "increasing",
    SquarePlus: "increasing",
    SignedLogarithm: "increasing",
    ThreeSlopes: "increasing",
}


@pytest.mark.parametrize("cls", READERS, ids=lambda cls: cls.__name__)
def test_bijections_of_readers_are_proved(cls: Any) -> None:
    assert repr(prove_bijection(cls)) == f"{EXACT}: {ALL_FIVE.format(direction=READERS[cls])}"


@frozen
class Scale(Bijection):
    """Right for a positive scale only."""

    scale: float

    def forward_and_log_det(self, z: Any) -> Any:
        return self.scale * z, np.zeros_like(z) + np.log(self.scale)

    def inverse_and_log_det(self, x: Any) -> Any:
        return x / self.scale, np.zeros_like(x) - np.log(self.scale)


def test_a_direction_that_depends_on_a_parameter_is_not_claimed() -> None:
    @frozen
    class Signed(Bijection):
        a: float

        def forward_and_log_det(self, z: Any) -> Any:
            return self.a * z, np.zeros_like(z) + np.log(np.abs(self.a))

        def inverse_and_log_det(self, x: Any) -> Any:
            return x / self.a, np.zeros_like(x) - np.log(np.abs(self.a))

    proof = prove_bijection(Signed)
    assert proof
    assert proof.claims[-1].statement == "monotone"


def test_an_interval_that_depends_on_the_instance() -> None:
    @frozen
    class Above(elementwise.Exp):
        shift: float

        @property
        def codomain(self) -> Any:
            return (self.shift, inf)

        def forward_and_log_det(self, z: Any) -> Any:
            return self.shift + np.exp(z), +z

        def inverse_and_log_det(self, x: Any) -> Any:
            return np.log(x - self.shift), -np.log(x - self.shift)

    assert prove_bijection(Above(1.0))
    with pytest.raises(ValueError, match="Above: its domain or codomain depends on the instance"):
        prove_bijection(Above)


def test_what_may_be_real_on_one_side_alone_is_not_proved() -> None:
    x, n = sp.Symbol("x", real=True), sp.Symbol("n", integer=True)
    for value in (sp.gamma(x), x**n):
        doubled = sp.Piecewise((value, x > 0), (2 * value, True))
        assert not prove(value, doubled)


def test_a_jump_far_out_is_not_proved_away() -> None:
    x, far = sp.Symbol("x", real=True), 100_000
    step = (x - far) / sp.expand((x - far) ** 2)
    constant = sp.atan(1 - far) + sp.atan(sp.Rational(1, 1 - far))
    assert not prove(sp.atan(x - far) + sp.atan(step), constant)


def test_rounded_constants_do_not_refute() -> None:
    @frozen
    class Root(Bijection):
        def forward_and_log_det(self, z: Any) -> Any:
            return z**3 + z, np.log1p(3.0 * z * z)

        def inverse_and_log_det(self, x: Any) -> Any:
            z = 2 / np.sqrt(3) * np.sinh(np.arcsinh(x * 3 * np.sqrt(3) / 2) / 3)
            return z, -np.log1p(3.0 * z * z)

    assert prove_bijection(Root).verdict == "open"


def test_a_constrained_parameter_needs_its_assumption() -> None:
    proof = prove_bijection(Scale)
    assert proof.verdict == "refuted"
    assert proof.witness is not None
    assert float(proof.witness["scale"]) < 0
    assert "forward has no real value" in repr(proof)
    assert prove_bijection(Scale, {"scale": "positive"})
    assert prove_bijection(Scale, {"scale": (0.5, 2.0)})


# Wrong ones: class, the claims that fail, and what the witness says


@frozen
class WrongSign(elementwise.Affine):
    """The log-determinant of the inverse, in both directions."""

    def forward_and_log_det(self, z: Any) -> Any:
        x, log_det = super().forward_and_log_det(z)
        return x, -log_det


@frozen
class WrongInverse(elementwise.Affine):
    """Shift and scale undone in the wrong order."""

    def inverse_and_log_det(self, x: Any) -> Any:
        return x * np.exp(-self.log_scale) - self.shift, np.zeros_like(x) - self.log_scale


@frozen
class NoDomain(Bijection):
    """A logarithm that SymPy cancels against the exponential; nothing says that `z` is positive."""

    a: float
    codomain: ClassVar[Any] = (0.0, inf)

    def forward_and_log_det(self, z: Any) -> Any:
        return np.exp(np.log(z) + self.a), np.zeros_like(z) + self.a

    def inverse_and_log_det(self, x: Any) -> Any:
        return np.exp(np.log(x) - self.a), np.zeros_like(x) - self.a


@frozen
class Pole(Bijection):
    """One over `z`, its pole behind an absolute value."""

    def forward_and_log_det(self, z: Any) -> Any:
        return np.sign(z) / np.abs(z), -2.0 * np.log(np.abs(z))

    inverse_and_log_det = forward_and_log_det


@frozen
class HiddenPole(Bijection):
    """One over `z - 3`, its pole behind a square."""

    def forward_and_log_det(self, z: Any) -> Any:
        return (z - 3.0) / (z * z - 6.0 * z + 9.0), -2.0 * np.log(np.abs(z - 3.0))

    def inverse_and_log_det(self, x: Any) -> Any:
        return 3.0 + x / (x * x), -2.0 * np.log(np.abs(x))


@frozen
class OnePoint(Bijection):
    """The identity but for one point, which trades places with another."""

    def forward_and_log_det(self, z: Any) -> Any:
        return np.where(z == 1.0, 5.0, z), np.zeros_like(z)

    def inverse_and_log_det(self, x: Any) -> Any:
        return np.where(x == 5.0, 1.0, x), np.zeros_like(x)


@frozen
class NoCodomain(elementwise.Exp):
    """Its values are positive, but it does not say so; SymPy has `exp(log(x)) = x` for every x."""

    codomain: ClassVar[Any] = (-inf, inf)


@frozen
class LeavesCodomain(elementwise.Shift):
    """It claims positive values, but shifts the real line."""

    codomain: ClassVar[Any] = (0.0, inf)


@frozen
class Square(Bijection):
    """Not one-to-one."""

    codomain: ClassVar[Any] = (0.0, inf)

    def forward_and_log_det(self, z: Any) -> Any:
        return z * z, np.log(2.0 * np.abs(z))

    def inverse_and_log_det(self, x: Any) -> Any:
        return np.sqrt(x), -np.log(2.0 * np.sqrt(x))


@frozen
class Exchange(Bijection):
    """It swaps two intervals: a bijection with derivative 1, but not monotone."""

    def _swap(self, v: Any) -> Any:
        return np.where((v < 0) | (v > 2), v, np.where(v < 1, v + 1, v - 1)), np.zeros_like(v)

    def forward_and_log_det(self, z: Any) -> Any:
        return self._swap(z)

    def inverse_and_log_det(self, x: Any) -> Any:
        return self._swap(x)


@frozen
class OnlyLargeNumbers(Bijection):
    """Wrong beyond 200."""

    def forward_and_log_det(self, z: Any) -> Any:
        return np.where(z > 200, 2 * z - 200, z), np.zeros_like(z)

    def inverse_and_log_det(self, x: Any) -> Any:
        return np.where(x > 200, x / 2 + 100, x), np.zeros_like(x)


WRONG = {
    WrongSign: {"log det forward"},
    WrongInverse: {"inverse∘forward = id", "forward∘inverse = id"},
    NoDomain: {"inverse∘forward = id"},
    Pole: {"monotone"},
    HiddenPole: {"monotone"},
    OnePoint: {"monotone"},
    NoCodomain: {"forward∘inverse = id", "log det inverse"},
    LeavesCodomain: {"inverse∘forward = id"},
    Square: {"inverse∘forward = id", "monotone"},
    Exchange: {"monotone"},
    OnlyLargeNumbers: {"log det forward", "log det inverse"},
}


@pytest.mark.parametrize("cls", WRONG, ids=lambda cls: cls.__name__)
def test_wrong_bijections_are_refuted(cls: Any) -> None:
    proof = prove_bijection(cls)
    assert proof.verdict == "refuted"
    assert {c.statement for c in proof.claims if c.verdict == "refuted"} == WRONG[cls]


def test_a_refutation_shows_the_point() -> None:
    proof = prove_bijection(WrongSign)
    assert proof.witness is not None
    point = {name: float(value) for name, value in proof.witness.items()}
    assert point["lhs"] == -point["log_scale"] == -point["rhs"]
    assert repr(proof) == (
        f"refuted: log det forward — at z = {proof.witness['z']}, "
        f"log_scale = {proof.witness['log_scale']}, shift = {proof.witness['shift']}: "
        f"claimed {proof.witness['lhs']}, log|∂x/∂z| = {proof.witness['rhs']}"
    )
    assert "is not in (0, oo)" in repr(prove_bijection(LeavesCodomain))


@frozen
class Rounded(Bijection):
    """A constant that nobody can name."""

    def forward_and_log_det(self, z: Any) -> Any:
        return 1.37 * z, np.zeros_like(z) + np.log(1.37)

    def inverse_and_log_det(self, x: Any) -> Any:
        return x / 1.37, np.zeros_like(x) - np.log(1.37)


def test_a_rounded_constant_is_named_and_left_open() -> None:
    proof = prove_bijection(Rounded)
    assert proof.verdict == "open"
    assert "the rounding of the constant 0.3148107398400336" in repr(proof)


# -- errors ----------------------------------------------------------------------------------------


@frozen
class Branching(elementwise.Shift):
    """An `if` on a symbol."""

    def forward_and_log_det(self, z: Any) -> Any:
        return (z if z > 0 else z + self.shift), np.zeros_like(z)


@frozen
class Vector(Bijection):
    """A parameter that is an array."""

    weights: Any = field(metadata={"ndim": 1})

    def forward_and_log_det(self, z: Any) -> Any:
        total = np.sum(np.exp(self.weights))
        return total * z, np.zeros_like(z) + np.log(total)

    def inverse_and_log_det(self, x: Any) -> Any:
        total = np.sum(np.exp(self.weights))
        return x / total, np.zeros_like(x) - np.log(total)


def test_code_that_is_no_formula_is_named() -> None:
    with pytest.raises(TypeError, match=r"^Branching\.forward_and_log_det can't be .* numpy.where"):
        prove_bijection(Branching)


def test_a_class_with_array_parameters_needs_an_instance() -> None:
    with pytest.raises(ValueError, match=r"^Vector: the parameter weights is an array"):
        prove_bijection(Vector)
    proof = prove_bijection(Vector(np.array([0.1, 0.2])))
    assert proof
    with pytest.raises(ValueError, match=r"^Chain: can't be made from numbers"):
        prove_bijection(Chain)


@pytest.mark.parametrize("value", [3, "Affine", np.exp, dict, None])
def test_what_is_not_a_bijection_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^bijection: expected a class or an instance"):
        prove_bijection(value)


def test_an_unknown_parameter_is_named() -> None:
    with pytest.raises(ValueError, match=r"^assume: no symbol is called 'sigma'"):
        prove_bijection(elementwise.Affine, {"sigma": "positive"})


def test_an_empty_codomain_is_named() -> None:
    empty = type("Empty", (elementwise.Exp,), {"codomain": (1.0, 1.0)})
    with pytest.raises(ValueError, match=r"^x: the interval \(1, 1\) is empty"):
        prove_bijection(empty)


@pytest.mark.parametrize(
    "claim",
    [
        lambda f, x, t: (f.diff(x, 3), 0),
        lambda f, x, t: ((f.diff(t) / f.diff(x)).diff(t), 0),
        lambda f, x, t: (f.diff(x, t) ** 2, f.diff(x, 2) * f.diff(t, 2)),
        lambda f, x, t: (f.diff(x, 2, t), f.diff(x, t, 2)),
    ],
)
def test_relations_that_hold_for_some_functions_alone_are_refuted(claim: Any) -> None:
    x, t = sp.symbols("x t", real=True)
    assert prove(*claim(sp.Function("f")(x, t), x, t)).verdict == "refuted"


def test_a_dropped_absolute_value_of_an_unknown_slope_is_refuted() -> None:
    x = sp.Symbol("x", real=True)
    f, density = sp.Function("f", real=True), sp.Function("p_Z")
    slope = f(x).diff(x)
    assert prove(density(f(x)) * sp.Abs(slope), density(f(x)) * slope).verdict == "refuted"
    assert prove(sp.Abs(slope), sp.sqrt(slope**2))
