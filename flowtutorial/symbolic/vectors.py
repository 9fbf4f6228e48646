"""Proofs about maps of vectors, on small instances of the shipped code.

A layer of a given length is run on symbols, coordinate by coordinate; what is found holds for that
length, and says so. A network is replaced by arbitrary functions of the coordinates that it sees,
since nothing depends on what it computes. Chapters 8 to 11 use it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy as sp

from ..autoregressive import Autoregressive
from ..bijection import Bijection, Pullback
from ..conditioner import MLP
from ..coupling import Conditioned
from ..parameters import Parametrised
from .decide import decide, decide_log_det, derivative_sign
from .outcomes import NUMERICAL, OPEN, PROVED_EXACT, REFUTED, Decision, weakest_of
from .prove import inside
from .trace import SymArray
from .unknown import substituted

Result = tuple[str, Decision, str]  # a statement, its verdict, and how its sides are spoken of


@dataclass(frozen=True, eq=False)
class AnyNetwork:
    """A conditioner that may compute anything from the inputs that each output sees."""

    outputs: int
    inputs: int
    seen: np.ndarray

    def sees(self) -> np.ndarray:
        """Return which inputs each output sees."""
        return self.seen

    def __call__(self, h: SymArray) -> SymArray:
        """Return the value of an undefined function for each output."""
        return SymArray([self._output(i)(h) for i in range(self.outputs)])

    def and_pullback(self, h: SymArray) -> tuple[SymArray, Callable[..., Any]]:
        """Return the values and what carries derivatives back to the inputs."""
        slots = [sp.Dummy(f"h{j}", real=True) for j in range(self.inputs)]
        at = dict(zip(slots, h.cells, strict=True))
        values = [self._output(i)(SymArray(slots)) for i in range(self.outputs)]
        jacobian = np.array(
            [[sp.diff(value, slot).subs(at) for slot in slots] for value in values], dtype=object
        ).reshape(self.outputs, self.inputs)

        def pullback(bar: SymArray, summed: bool = False) -> tuple[SymArray, list[Any]]:
            return bar @ SymArray(jacobian), []

        return self(h), pullback

    def _output(self, index: int) -> Callable[[SymArray], sp.Expr]:
        places = np.flatnonzero(self.seen[index])
        if not places.size:
            return lambda h: sp.Symbol(f"c_{index}", real=True)
        function = sp.Function(f"c_{index}", real=True)
        return lambda h: function(*h.cells[places])


@dataclass(frozen=True, eq=False)
class AnyTransformer(Bijection):
    """An elementwise bijection that may be anything, for layers that work with every one of them.

    The direction `made` is an undefined function; the other undoes what this one made, and knows
    nothing else.
    """

    parameters: Any = field(metadata={"ndim": 1})
    made: str = field(default="forward", metadata={"static": True})

    def forward_and_log_det(self, z: SymArray) -> tuple[SymArray, SymArray]:
        """Return an undefined function of each coordinate and its parameters, or undo it."""
        return self._make(z) if self.made == "forward" else self._undo(z)

    def inverse_and_log_det(self, x: SymArray) -> tuple[SymArray, SymArray]:
        """Undo the undefined function, or return it."""
        return self._make(x) if self.made == "inverse" else self._undo(x)

    def _make(self, v: SymArray) -> tuple[SymArray, SymArray]:
        values = [self._value(*cells) for cells in self._cells(v)]
        slopes = [self._slope(*cells) for cells in self._cells(v)]
        return SymArray(values), SymArray([sp.log(slope**2) / 2 for slope in slopes])

    def _undo(self, v: SymArray) -> tuple[SymArray, SymArray]:
        arguments = []
        for cell, parameters in self._cells(v):
            known = cell.func == self._value(sp.S.Zero, parameters).func
            if not (known and cell.args[1:] == tuple(parameters)):
                raise TypeError(f"the transformer is asked to undo {cell}, which it did not make")
            arguments.append(cell.args[0])
        value = SymArray(arguments)
        return value, -self._make(value)[1]

    def forward_and_pullback(self, z: SymArray) -> tuple[SymArray, SymArray, Pullback]:
        """As for every bijection, by SymPy's derivatives of the undefined function."""
        return self._pulled(z)

    def inverse_and_pullback(self, x: SymArray) -> tuple[SymArray, SymArray, Pullback]:
        """As for every bijection, by SymPy's derivatives of the undefined function."""
        return self._pulled(x)

    def _pulled(self, v: SymArray) -> tuple[SymArray, SymArray, Pullback]:
        rows = list(self._cells(v))
        slots = [sp.Dummy(f"p{j}", real=True) for j in range(1 + len(rows[0][1]))]
        general = self._value(slots[0], slots[1:])
        stretch = sp.log(sp.diff(general, slots[0]) ** 2) / 2

        def pullback(bar: SymArray, summed: bool = False) -> tuple[SymArray, list[Any]]:
            table = []
            for (cell, parameters), b in zip(rows, bar.cells, strict=True):
                at = dict(zip(slots, [cell, *parameters], strict=True))
                table.append(
                    [(b * sp.diff(general, s) + sp.diff(stretch, s)).subs(at) for s in slots]
                )
            cells = SymArray(table)
            return cells[..., 0], [cells[..., 1:]]

        return *self._make(v), pullback

    def _cells(self, v: SymArray) -> list[tuple[sp.Expr, Sequence[sp.Expr]]]:
        table = SymArray(self.parameters).cells
        return [(v.cells[i], list(table[i])) for i in range(v.shape[0])]

    @staticmethod
    def _value(z: sp.Expr, parameters: Sequence[sp.Expr]) -> sp.Expr:
        return sp.Function("tau", real=True)(z, *parameters)

    def _slope(self, z: sp.Expr, parameters: Sequence[sp.Expr]) -> sp.Expr:
        slot = sp.Dummy("z", real=True)
        return sp.diff(self._value(slot, parameters), slot).subs(slot, z)


class _Layer:
    """A layer whose numbers are symbols, and whose network may be any."""

    def __init__(self, layer: Bijection, dim: int | None, made: str = "forward") -> None:
        dim = dim if layer.dim is None else layer.dim
        if dim is None:
            raise ValueError(
                f"{type(layer).__name__}: it acts on vectors of any length; for a proof put it "
                "after a layer of known length in a Chain, or give one bijection for each"
            )
        self.dim, self.symbols = dim, list[sp.Symbol]()
        self.made = made
        self.opaque = isinstance(layer, Conditioned) and _has_no_formula(layer.transformer)
        self.instance = self._symbolic(layer)
        if layer.context_dim:
            context = [self._symbol(f"context_{i}") for i in range(layer.context_dim)]
            self.instance = self.instance.given(SymArray(context))

    def _symbol(self, name: str) -> sp.Symbol:
        names = {symbol.name for symbol in self.symbols}
        number, unique = 1, name
        while unique in names:
            number += 1
            unique = f"{name}_{number}"
        self.symbols.append(sp.Symbol(unique, real=True))
        return self.symbols[-1]

    def _symbolic(self, value: Any, name: str = "") -> Any:
        if isinstance(value, Conditioned):
            network = value.conditioner
            made: dict[str, Any] = {
                "conditioner": AnyNetwork(network.outputs, network.inputs, network.sees())
            }
            if self.opaque:
                made["transformer"] = AnyTransformer(np.zeros(value.per_coordinate), self.made)
            return dataclasses.replace(value, **made)
        if isinstance(value, Parametrised):
            fields = value.trained_fields().items()
            return dataclasses.replace(
                value, **{name: self._symbolic(part, name) for name, part in fields}
            )
        if isinstance(value, tuple):
            return tuple(self._symbolic(part, name) for part in value)
        cells = np.empty(np.shape(value), dtype=object)
        for index in np.ndindex(cells.shape):
            cells[index] = self._symbol("_".join([name, *map(str, index)]))
        return SymArray(cells) if cells.shape else SymArray(cells[()])

    def vector(self, letter: str) -> list[sp.Symbol]:
        """Return a symbol for each coordinate."""
        return [sp.Symbol(f"{letter}_{i}", real=True) for i in range(self.dim)]

    def coordinates(self, vector: list[sp.Symbol]) -> dict[sp.Symbol, sp.Expr]:
        """Return what to put for `z` or `x`: polar coordinates, if there is a center that matters.

        The direction comes from the tangents of half angles, so that no root is left. Numbers in
        an interval are put as a function of a positive one.
        """
        center = getattr(self.instance, "center", None)
        if center is None:
            ends = self.instance.domain if vector[0].name[0] == "z" else self.instance.codomain
            pairs = np.broadcast_to(np.stack(ends, axis=-1), (self.dim, 2))
            put = {v: inside(pair, v.name)[0] for v, pair in zip(vector, pairs, strict=True)}
            return {v: expr for v, expr in put.items() if v != expr}
        rest = sp.Symbol("rho", positive=True)
        places = []
        for i in range(self.dim - 1):
            t = sp.Symbol(f"t_{i}", real=True)
            places.append(rest * (1 - t**2) / (1 + t**2))
            rest = rest * 2 * t / (1 + t**2)
        cells = [c + place for c, place in zip(center.cells, [*places, rest], strict=True)]
        return dict(zip(vector, cells, strict=True))

    def onto(self, value: SymArray, at: dict[sp.Symbol, sp.Expr]) -> Decision:
        """Claim that the distance from the center grows with that before the map."""
        away = [
            substituted(SymArray(cell).expr, at) - c
            for cell, c in zip(value.cells, self.instance.center.cells, strict=True)
        ]
        rho = sp.Symbol("rho", positive=True)
        grows = derivative_sign(sp.sqrt(sum(part**2 for part in away)), rho)
        return Decision(PROVED_EXACT if grows == 1 else OPEN)

    def run(self, method: str, argument: Any) -> tuple[SymArray, SymArray]:
        """Return the results of a method of the layer."""
        name = f"{type(self.instance).__name__}.{method}"
        try:
            value, log_det = getattr(self.instance, method)(SymArray(argument))[:2]
            return SymArray(value), SymArray(log_det)
        except Exception as error:
            raise TypeError(f"{name} can't be read as a formula: {error}") from error


def _has_no_formula(transformer: Bijection) -> bool:
    return bool(transformer.numerical) or hasattr(transformer, "piece")


def layer_results(layer: Bijection, dim: int | None) -> list[Result]:
    """Return what there is to claim about a layer, with what became of it.

    Both directions undo each other and have the right log-determinants. If a direction is solved
    numerically, the claims are about the other one, that its determinant is positive besides, and
    a test of both at random points. If a transformer is no single formula, the layer is shown to
    be right for every transformer.
    """
    traced = _Layer(layer, dim)
    z, x = traced.vector("z"), traced.vector("x")
    value, log_det = traced.run("forward_and_log_det", z)
    forward = _log_det("forward", log_det, value, z, traced)
    if layer.numerical:
        return [forward, *_numerical(layer, traced, log_det)]
    returned, back = traced.run("inverse_and_log_det", value)
    there = _equal("inverse∘forward = id", returned, z, traced.coordinates(z))
    centered = hasattr(layer, "center")
    if traced.opaque or centered:
        at = traced.coordinates(z)
        opposite = decide(substituted(back.expr, at), substituted(-log_det.expr, at))
        onto = traced.onto(value, at) if centered else there[1]
        worst = weakest_of((there[1].verdict, onto.verdict))
        return [
            there,
            ("forward∘inverse = id", Decision(worst, "every x is a forward(z)"), there[2]),
            forward,
            ("log det inverse", opposite, "claimed {lhs}, expected {rhs}"),
        ]
    value, log_det = traced.run("inverse_and_log_det", x)
    returned = traced.run("forward_and_log_det", value)[0]
    again = _equal("forward∘inverse = id", returned, x, traced.coordinates(x))
    return [there, again, forward, _log_det("inverse", log_det, value, x, traced)]


def gradient_results(layer: Bijection | MLP) -> list[Result]:
    """Return the claims that a layer's derivatives are those that SymPy finds of its formula."""
    if isinstance(layer, MLP):
        return [_network_result(layer)]
    results = []
    for name, letter in (("forward", "z"), ("inverse", "x")):
        traced = _Layer(layer, layer.dim, made=name)
        # Some derivatives are not written, but solved for from the other direction's: those of a
        # planar or radial map back, and of an autoregressive layer forth.
        solved = hasattr(layer, "solve_transposed_at") and name == "inverse"
        if solved or (traced.opaque and isinstance(layer, Autoregressive) and name == "forward"):
            continue
        u = traced.vector(letter)
        value, log_det = traced.run(f"{name}_and_log_det", u)
        bar = [sp.Symbol(f"bar_{i}", real=True) for i in range(traced.dim)]
        target = _without_extrema((SymArray(bar) @ value + log_det).expr)
        pulled, params = getattr(traced.instance, f"{name}_and_pullback")(SymArray(u))[2](
            SymArray(bar)
        )
        found = [*SymArray(pulled).cells, *(c for p in params for c in np.ravel(SymArray(p).cells))]
        trained = [s for s in traced.symbols if not s.name.startswith("context_")]
        expected = [sp.diff(target, symbol) for symbol in [*u, *trained]]
        if hasattr(layer, "solve_transposed_at"):
            results.append(_solved_result(traced, value, u, bar))
        results.append(
            _equal(f"gradient of {name}", SymArray(found), expected, traced.coordinates(u))
        )
    return results


def _solved_result(
    traced: _Layer, value: SymArray, u: list[sp.Symbol], bar: list[sp.Symbol]
) -> Result:
    """Claim that `Jᵀ solve_transposed_at(z, bar) = bar` with SymPy's Jacobian matrix."""
    solved = traced.instance.solve_transposed_at(SymArray(u), SymArray(bar))
    cells = [_without_extrema(SymArray(cell).expr) for cell in value.cells]
    found = [
        sum(
            sp.diff(cell, v) * s.expr
            for cell, s in zip(cells, map(SymArray, solved.cells), strict=True)
        )
        for v in u
    ]
    statement = "gradient of inverse, by (∂x/∂z)⁻ᵀ"
    return _equal(statement, SymArray(found), bar, traced.coordinates(u))


def _network_result(network: MLP) -> Result:
    """Return the claim about a network's derivatives, with a symbol for every weight."""
    symbols: list[sp.Symbol] = []

    def symbolic(array: np.ndarray, name: str) -> SymArray:
        cells = np.empty(array.shape, dtype=object)
        for index in np.ndindex(array.shape):
            cells[index] = sp.Symbol("_".join([name, *map(str, index)]), real=True)
        symbols.extend(cells.flat)
        return SymArray(cells)

    parts = {
        name: tuple(symbolic(p, f"{name}{i}") for i, p in enumerate(getattr(network, name)))
        for name in ("weights", "biases")
    }
    made = dataclasses.replace(network, **parts)  # type: ignore[arg-type]
    h = [sp.Symbol(f"h_{i}", real=True) for i in range(network.inputs)]
    bar = [sp.Symbol(f"bar_{i}", real=True) for i in range(network.outputs)]
    out, pullback = made.and_pullback(SymArray(h))
    target = (SymArray(bar) @ out).expr
    along, params = pullback(SymArray(bar))
    found = [*along.cells, *(cell for part in params for cell in np.ravel(part.cells))]
    expected = [sp.diff(target, symbol) for symbol in [*h, *symbols]]
    return _equal("gradient of the network", SymArray(found), expected, {})


def _without_extrema(expr: sp.Expr) -> sp.Expr:
    """Write maxima and minima as cases, so that their derivatives are cases too."""
    return expr.replace(
        lambda node: isinstance(node, sp.Max | sp.Min), lambda node: node.rewrite(sp.Piecewise)
    )


def _equal(
    statement: str,
    found: SymArray,
    expected: Sequence[sp.Expr],
    at: dict[sp.Symbol, sp.Expr],
) -> Result:
    """Claim that two vectors are the same, in other coordinates if some are given.

    The weakest entry decides.
    """
    decisions = []
    for got, wanted in zip(found.cells, expected, strict=True):
        decision = decide(substituted(SymArray(got).expr, at), substituted(wanted, at))
        decisions.append(decision)
        if decision.verdict == REFUTED:
            break
    weakest = weakest_of(decision.verdict for decision in decisions)
    first = next(decision for decision in decisions if decision.verdict == weakest)
    return statement, first, "it gives {lhs}, expected {rhs}"


def _log_det(
    name: str, log_det: SymArray, value: SymArray, by: Sequence[sp.Symbol], traced: _Layer
) -> Result:
    at = traced.coordinates(list(by))
    cells = [substituted(SymArray(cell).expr, at) for cell in value.cells]
    arguments = [at.get(symbol, symbol) for symbol in by]
    variables = [symbol for symbol in _ordered(arguments) if symbol not in traced.symbols]
    decision = decide_log_det(substituted(log_det.expr, at), cells, variables, arguments)
    return f"log det {name}", decision, "claimed {lhs}, the determinant gives {rhs}"


def _ordered(expressions: Sequence[sp.Expr]) -> list[sp.Symbol]:
    symbols: set[sp.Symbol] = set().union(*(e.free_symbols for e in expressions))
    return sorted(symbols, key=sp.default_sort_key)


# -- directions without a formula ------------------------------------------------------------------


def _numerical(layer: Bijection, traced: _Layer, log_det: SymArray) -> list[Result]:
    """Claim that the determinant is positive, and test the direction that is solved for."""
    witness = layer_witness(layer)
    if witness is not None:
        wrong = Decision(REFUTED, witness=witness)
        return [(str(layer.numerical), wrong, "{claim}: {lhs}, expected {rhs}")]
    stretch = sp.piecewise_fold(sp.exp(log_det.expr))  # of cases, Abs would not know they are real
    positive = decide(sp.Abs(stretch), stretch)
    tested = Decision(NUMERICAL, "the round trip is tested, up to conditioning")
    return [
        ("the determinant is positive", positive, "|det| = {lhs}, det = {rhs}"),
        (str(layer.numerical), tested, ""),
    ]


def layer_witness(layer: Bijection) -> dict[str, str] | None:
    """Return a point at which the floating-point code of a layer fails, or None."""
    rng = np.random.default_rng(0)
    dim = layer.dim or 1
    for trial in range(8):
        moved = layer.params + (rng.normal(size=layer.params.size) if trial else 0.0)
        made = layer.with_params(moved)
        z = 3.0 * rng.normal(size=(50, dim))
        x, forward = made.forward_and_log_det(z)
        back, inverse = made.inverse_and_log_det(x)
        size = 1.0 + np.abs(z).max() + np.abs(x).max()
        # an error of x grows by at most the largest stretch of the inverse
        slack = 1e-9 * size * np.exp(np.abs(forward) + np.abs(inverse))
        for what, left, right, bound in (
            ("inverse(forward(z))", back, z, slack[:, None]),
            ("log det inverse", inverse, -forward, slack),
        ):
            wrong = ~(np.abs(left - right) <= bound)
            if wrong.any():
                index = tuple(int(i[0]) for i in np.nonzero(wrong))
                names = zip(made.param_names, made.params, strict=True)
                shown = {name: f"{number:.15g}" for name, number in names}
                shown |= {f"z_{j}": f"{z[index[0], j]:.15g}" for j in range(dim)}
                shown |= {"lhs": f"{left[index]:.15g}", "rhs": f"{right[index]:.15g}"}
                shown["difference"] = f"{left[index] - right[index]:.15g}"
                return shown | {"claim": what}
    return None
