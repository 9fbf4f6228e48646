"""Every layer is proved from its own code, and what is wrong in a layer is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pytest

from flowtutorial import (
    MLP,
    Affine,
    Autoregressive,
    Bijection,
    BoundedAffine,
    Chain,
    Coupling,
    Elementwise,
    Exp,
    Householder,
    Inverse,
    LULinear,
    Permutation,
    Planar,
    Radial,
    RationalQuadraticSpline,
    Shift,
    SinhArcsinh,
    TriangularAffine,
)
from flowtutorial.symbolic import SymArray, prove_bijection, prove_gradient

SPLINE = RationalQuadraticSpline.init(1)

LAYERS: dict[str, Bijection] = {
    "triangular": TriangularAffine.init(3),
    "triangular-one": TriangularAffine.init(1),
    "lu": LULinear.init(3, 1),
    "permutation": Permutation((1, 2, 0)),
    "householder": Householder.init(2, 0),
    "planar": Planar.init(2, 0),
    "radial": Radial.init(2, 0),
    "elementwise": Elementwise((Exp(), Affine(0.0, 0.0))),
    "coupling": Coupling.init(3, 0),
    "coupling-shift": Coupling.init(2, 0, transformer=Shift),
    "coupling-bounded": Coupling.init(2, 0, transformer=BoundedAffine, stays=(False, True)),
    "coupling-spline": Coupling.init(2, 0, transformer=SPLINE),
    "coupling-context": Coupling.init(2, 0, context_dim=2),
    "autoregressive": Autoregressive.init(3, 0),
    "autoregressive-one": Autoregressive.init(1, 0, context_dim=1),
    "autoregressive-spline": Autoregressive.init(2, 0, transformer=SPLINE),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_proved(name: str) -> None:
    layer = LAYERS[name]
    proof = prove_bijection(layer)
    assert proof, proof
    assert proof.verdict == f"proved for D = {layer.dim}"
    statements = [claim.statement for claim in proof.claims]
    assert "log det forward" in statements
    if layer.numerical:
        assert "the determinant is positive" in statements
        assert "numerical inverse: inverse" in repr(proof)
    else:
        assert {"inverse∘forward = id", "forward∘inverse = id"} <= set(statements)


@pytest.mark.parametrize("name", LAYERS)
def test_their_derivatives_are_proved(name: str) -> None:
    proof = prove_gradient(LAYERS[name])
    assert proof, proof
    assert proof.verdict == f"proved for D = {LAYERS[name].dim}"


def test_radial_maps_in_space_and_a_network() -> None:
    assert prove_bijection(Radial.init(3, 0)).verdict == "proved for D = 3"
    assert prove_gradient(MLP.init((2, 2, 1), 0, activation="tanh")).verdict == "proved (exact)"
    masked = MLP.autoregressive(2, 1, 0, hidden=(2,), activation="tanh")
    assert prove_gradient(masked)


def test_chains_and_inverses_are_proved_part_by_part() -> None:
    proof = prove_bijection(Chain((TriangularAffine.init(2), Inverse(Coupling.init(2, 0)))))
    assert proof.verdict == "proved for D = 2"
    assert any(claim.statement.startswith("Coupling: ") for claim in proof.claims)
    lifted = Chain((Permutation((1, 0)), Elementwise(SinhArcsinh(0.0, 0.0))))
    assert prove_bijection(lifted).verdict == "proved for D = 2"
    with pytest.raises(ValueError, match="vectors of any length"):
        prove_bijection(Elementwise(Exp()))
    with pytest.raises(ValueError, match="pass an instance"):
        prove_bijection(Coupling)
    with pytest.raises(TypeError, match="map of vectors or an MLP"):
        prove_gradient(Affine(0.0, 0.0))


# -- what is wrong ---------------------------------------------------------------------------------


def with_forward(layer: Bijection, change: Callable[[Any, Any, Any], tuple[Any, Any]]) -> Bijection:
    """Return a layer of a subclass whose forward results are changed."""

    @dataclass(frozen=True, eq=False)
    class Mutant(type(layer)):  # type: ignore[misc]
        def forward_and_log_det(self, z: Any) -> tuple[Any, Any]:
            return change(z, *super().forward_and_log_det(z))

    values = {f.name: getattr(layer, f.name) for f in fields(layer)}
    return Mutant(**values)


def with_inverse(layer: Bijection, change: Callable[[Any, Any, Any], tuple[Any, Any]]) -> Bijection:
    """Return a layer of a subclass whose inverse results are changed."""

    @dataclass(frozen=True, eq=False)
    class Mutant(type(layer)):  # type: ignore[misc]
        def inverse_and_log_det(self, x: Any) -> tuple[Any, Any]:
            return change(x, *super().inverse_and_log_det(x))

    values = {f.name: getattr(layer, f.name) for f in fields(layer)}
    return Mutant(**values)


CHANGES: dict[str, Callable[[Any, Any, Any], tuple[Any, Any]]] = {
    "sign": lambda u, v, log_det: (v, -log_det),
    "half": lambda u, v, log_det: (v, 0.5 * log_det),
    "value": lambda u, v, log_det: (v + 0.001 * u, log_det),
    "swapped": lambda u, v, log_det: (v[..., ::-1], log_det),
}
MUTATED = ["triangular", "planar", "radial", "coupling", "coupling-spline", "autoregressive"]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", MUTATED)
@pytest.mark.parametrize("mutated", [with_forward, with_inverse])
def test_mutants_are_refused(name: str, change: str, mutated: Any) -> None:
    if LAYERS[name].numerical and mutated is with_inverse and change == "swapped":
        pytest.skip("the witness of the numerical direction has a test of its own")
    mutant = mutated(LAYERS[name], CHANGES[change])
    if name == "coupling-spline" and change in ("value", "swapped") and mutated is with_forward:
        with pytest.raises(TypeError, match="did not make"):  # an arbitrary transformer can't undo
            prove_bijection(mutant)
        return
    assert prove_bijection(mutant).verdict == "refuted"


def wrong_pullback(layer: Bijection, change: Callable[[Any, list[Any]], Any]) -> Bijection:
    """Return a layer of a subclass whose forward pullback is changed."""

    @dataclass(frozen=True, eq=False)
    class Mutant(type(layer)):  # type: ignore[misc]
        def forward_and_pullback(self, z: Any) -> Any:
            value, log_det, pullback = super().forward_and_pullback(z)
            return value, log_det, lambda bar, summed=False: change(*pullback(bar, summed))

    values = {f.name: getattr(layer, f.name) for f in fields(layer)}
    return Mutant(**values)


@pytest.mark.parametrize("name", ["triangular", "householder", "radial"])
def test_wrong_derivatives_are_refused(name: str) -> None:
    layer = LAYERS[name]
    dropped = wrong_pullback(layer, lambda along, params: (along, [0.0 * params[0], *params[1:]]))
    assert prove_gradient(dropped).verdict == "refuted"
    flipped = wrong_pullback(layer, lambda along, params: (-along, params))
    assert prove_gradient(flipped).verdict == "refuted"


def test_a_numerical_direction_that_is_wrong_is_refuted_with_a_witness() -> None:
    proof = prove_bijection(with_inverse(Planar.init(2, 0), lambda x, z, ld: (z[..., ::-1], ld)))
    assert proof.verdict == "refuted"
    assert proof.witness is not None
    assert {"z_0", "z_1", "lhs", "rhs"} <= proof.witness.keys()


def test_an_output_that_sees_too_much_is_no_autoregressive_layer() -> None:
    network = MLP.init((2, 3, 4), 0)
    with pytest.raises(ValueError, match="sees coordinate"):
        Autoregressive(network)


def test_layers_trace_to_formulas() -> None:
    z = SymArray(np.array([1.0, 2.0]))
    value, log_det = TriangularAffine([0.5, 0.0], [2.0], [0.0, 0.0]).forward_and_log_det(z)
    assert [str(cell) for cell in value.cells] == ["3/2", "4"]
    assert log_det.expr == 0
