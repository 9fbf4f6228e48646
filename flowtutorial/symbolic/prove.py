"""Prove what the book claims, and that a bijection is one, from the code that runs.

`prove` compares two formulas. `prove_bijection` runs the two methods of a bijection on symbols and
checks everything that makes them a change of variables: each undoes the other, and both
log-determinants are right. The method stands in `decide`; chapter 3 explains it.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

import numpy as np
import sympy as sp

from ..bijection import Chain, Inverse
from .decide import (
    decide,
    decide_log_det,
    derivative_sign,
    described,
    direction,
    is_continuous,
    is_positive,
)
from .outcomes import (
    CHECKED,
    NAN,
    NUMERICAL,
    OPEN,
    PROVED_EXACT,
    PROVED_FOR,
    PROVED_IDENTITY,
    REFUTED,
    Decision,
    weakest_of,
)
from .parts import ends_claims, float_witness, knots_claim, numerical_claim, symbolic_piece
from .trace import SymArray, elementary, exact, merging_cases, noting_conditions
from .unknown import substituted

_RESERVED = ("lhs", "rhs", "difference")

Assumption = str | tuple[Any, Any]

_LOCK = threading.RLock()  # the precision of interval arithmetic is one setting for all threads
P = ParamSpec("P")
R = TypeVar("R")


def _one_at_a_time(function: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(function)
    def locked(*args: P.args, **kwargs: P.kwargs) -> R:
        with _LOCK:
            return function(*args, **kwargs)

    return locked


@dataclasses.dataclass(frozen=True)
class Claim:
    """One statement, its verdict, and what there is to add."""

    statement: str
    verdict: str
    note: str = ""


@dataclasses.dataclass(frozen=True, repr=False)
class Proof:
    """What became of one or several claims: true only if all of them are proved.

    Attributes
    ----------
    verdict : str
        That of the weakest claim: `proved (exact)`; `proved (identity test, error < 2⁻¹⁰⁰)`;
        `checked to 50 digits` for what agrees at random points but has no proof; `open`;
        `refuted`. A claim whose verdict is `numerical inverse` is about a direction that has no
        formula: it is tested, and does not count here.
    claims : tuple of Claim
    witness : dict or None
        For a refuted claim the point that refutes it: the value of each symbol by name, and under
        `lhs`, `rhs` and `difference` those of the two sides, as strings.
    """

    verdict: str
    claims: tuple[Claim, ...]
    witness: dict[str, str] | None = None

    def __bool__(self) -> bool:
        return self.verdict in (PROVED_EXACT, PROVED_IDENTITY) or self.verdict.startswith(
            PROVED_FOR
        )

    def __repr__(self) -> str:
        if self:
            numerical = [c.statement for c in self.claims if c.verdict == NUMERICAL]
            proved = [c.statement for c in self.claims if c.verdict != NUMERICAL]
            also = f"; {NUMERICAL}: {', '.join(numerical)}" if numerical else ""
            return f"{self.verdict}: {', '.join(proved)}{also}"
        weakest = [claim for claim in self.claims if claim.verdict == self.verdict]
        first = weakest[0]
        rest = f" — {first.note}" if first.note else ""
        statements = [claim.statement for claim in weakest]
        if self.verdict == REFUTED:  # its note is about one point of one claim
            statements = statements[:1]
        return f"{self.verdict}: {', '.join(statements)}{rest}"


def _proof(results: Iterable[tuple[Claim, dict[str, str] | None]]) -> Proof:
    claims, witnesses = zip(*results, strict=True)
    weakest = weakest_of(claim.verdict for claim in claims if claim.verdict != NUMERICAL)
    found = [witness for witness in witnesses if witness is not None]
    return Proof(weakest, claims, found[0] if found else None)


# -- two formulas ----------------------------------------------------------------------------------


@_one_at_a_time
def prove(lhs: Any, rhs: Any, assume: Mapping[sp.Symbol | str, Assumption] | None = None) -> Proof:
    """Prove that two formulas are equal, or show where they differ.

    Parameters
    ----------
    lhs, rhs : SymPy expression, number or SymArray
        Arrays of the same shape are compared entry by entry; a single value with each entry.
    assume : mapping of symbol (or its name) to assumption, optional
        `"real"`, `"positive"`, `"negative"`, `"nonzero"`, or an open interval `(low, high)` whose
        ends may be infinite. What is not mentioned keeps the assumptions of its symbol; a symbol
        without any is real.

    Returns
    -------
    Proof
        It says `proved` only of what is proved: for all real values, save single points.

    Raises
    ------
    TypeError
        If a side is not a formula or number.
    ValueError
        If the shapes differ, or `assume` has an unknown symbol or assumption.

    Examples
    --------
    >>> x = sp.Symbol("x")
    >>> prove(sp.log(sp.exp(x) + 1), x + sp.log(1 + sp.exp(-x)))
    proved (exact): log(exp(x) + 1) = x + log(1 + exp(-x))
    >>> prove(sp.sqrt(x**2), x)
    refuted: sqrt(x**2) = x — at x = -1.0: lhs = 1.0, rhs = -1.0
    >>> bool(prove(sp.sqrt(x**2), x, assume={"x": "positive"}))
    True
    """
    left, right = _formulas(lhs, "lhs"), _formulas(rhs, "rhs")
    if left.shape != right.shape and left.shape and right.shape:
        raise ValueError(
            f"rhs: expected the shape of lhs, {left.shape}, or a single value, got {right.shape}"
        )
    pairs = np.broadcast(left, right)
    results = []
    for index, (a, b) in zip(np.ndindex(pairs.shape), pairs, strict=True):
        given = _parametrised(a.free_symbols | b.free_symbols, assume, left, right)
        decision = _decided(a, b, given)
        results.append(_result(_statement(a, b, index), decision, "lhs = {lhs}, rhs = {rhs}"))
    return _proof(results)


def _decided(lhs: sp.Expr, rhs: sp.Expr, given: Mapping[sp.Symbol, sp.Expr]) -> Decision:
    try:
        return decide(substituted(lhs, given), substituted(rhs, given), _by_name(given))
    except Exception as error:  # SymPy can't substitute everywhere
        return Decision(OPEN, f"no proof found: {described(error)}")


def _formulas(value: Any, name: str) -> np.ndarray:
    """Return an object array of SymPy expressions."""
    try:
        array = SymArray(value)
        cells = np.empty(array.shape, dtype=object)
        for index in np.ndindex(array.shape):
            formula = array[index].expr
            if not isinstance(formula, sp.Expr):
                raise TypeError(f"{formula} is not a number")
            floats = {number: exact(float(number)) for number in formula.atoms(sp.Float)}
            cells[index] = formula.xreplace(floats)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{name}: expected a SymPy expression, a number or a SymArray, got {value!r} ({error})"
        ) from error
    return cells


def _statement(lhs: sp.Expr, rhs: sp.Expr, index: tuple[int, ...]) -> str:
    text = f"{lhs} = {rhs}"
    place = f"[{', '.join(map(str, index))}]" if index else ""
    return text if len(text) <= 72 else f"lhs{place} = rhs{place}"


def _result(
    statement: str, decision: Decision, wording: str
) -> tuple[Claim, dict[str, str] | None]:
    """Return a claim with its witness; `wording` says how the two sides are spoken of."""
    note, witness = decision.note, decision.witness
    if witness is not None:
        point = ", ".join(f"{k} = {v}" for k, v in witness.items() if k not in _RESERVED)
        sides = wording.format_map(witness).replace(f"= {NAN}", f"is {NAN}")
        note = f"at {point}: {sides}" if point else sides
    return Claim(statement, decision.verdict, note), witness


# -- assumptions -----------------------------------------------------------------------------------


def _parametrised(
    symbols: Iterable[sp.Symbol],
    assume: Mapping[sp.Symbol | str, Assumption] | None,
    *formulas: np.ndarray,
) -> dict[sp.Symbol, sp.Expr]:
    """Return for each symbol an expression in unrestricted symbols that takes all its values."""
    assumed = {str(key): value for key, value in (assume or {}).items()}
    known = {s.name for cells in formulas for cell in cells.flat for s in cell.free_symbols}
    unknown = sorted(assumed.keys() - known)
    if unknown:
        raise ValueError(f"assume: no symbol is called {unknown[0]!r}; there are {sorted(known)}")
    ordered = sorted(symbols, key=sp.default_sort_key)
    return {s: _taking(s, assumed[s.name]) if s.name in assumed else s for s in ordered}


def _taking(symbol: sp.Symbol, assumption: Assumption) -> sp.Expr:
    """Return an expression whose values are those that the assumption allows."""
    name = symbol.name
    words = {"real": (-sp.oo, sp.oo), "positive": (0, sp.oo), "negative": (-sp.oo, 0)}
    if assumption == "nonzero":
        return sp.Symbol(f"_{name}", real=True, nonzero=True)
    if isinstance(assumption, str):
        if assumption not in words:
            raise ValueError(
                f"assume[{name!r}]: expected one of {[*words, 'nonzero']} or an interval "
                f"(low, high), got {assumption!r}"
            )
        return inside(words[assumption], name)[0]
    try:
        low, high = assumption
        return inside((low, high), name)[0]
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"assume[{name!r}]: expected a word or an interval (low, high) with low < high, "
            f"got {assumption!r}"
        ) from error


def inside(interval: tuple[Any, Any], name: str) -> tuple[sp.Expr, sp.Symbol]:
    """Return an expression that runs through an open interval, and the symbol it depends on."""
    low, high = (_end(end) for end in interval)
    if not bool(low < high):
        raise ValueError(f"{name}: the interval ({low}, {high}) is empty")
    if low == -sp.oo and high == sp.oo:
        everything = sp.Symbol(name, real=True)
        return everything, everything
    v = sp.Symbol(f"_{name}", positive=True)
    if low == -sp.oo:
        return high - v, v
    return (low + v if high == sp.oo else low + (high - low) * v / (1 + v)), v


def _end(end: Any) -> sp.Expr:
    """Return an end of an interval as an exact number; that of -π/2 is the negative of π/2."""
    if isinstance(end, sp.Expr) and end.free_symbols:
        return end
    return -exact(-end) if end < 0 else exact(end)


def _by_name(values: Mapping[sp.Symbol, sp.Expr]) -> dict[str, sp.Expr]:
    return {symbol.name: value for symbol, value in values.items()}


# -- bijections ------------------------------------------------------------------------------------


@_one_at_a_time
def prove_bijection(
    bijection: Any, assume: Mapping[sp.Symbol | str, Assumption] | None = None
) -> Proof:
    """Prove that a bijection is one, and that its log-determinants are right.

    The claims are: `inverse∘forward = id` on the domain and `forward∘inverse = id` on the
    codomain, each with values inside the other interval; `log_det = log|∂x/∂z|` of `forward` and
    `log_det = log|∂z/∂x|` of `inverse`; and that the map is increasing, or decreasing.

    Parameters
    ----------
    bijection : class or instance
        Every trained parameter becomes a symbol; of a class, all parameters must be single numbers.
        Of a map of vectors an instance, whose length is that of the proof; a network in it becomes
        an arbitrary function, and a spline that it conditions an arbitrary bijection.
    assume : mapping of parameter name to assumption, optional
        As for `prove`, for a class whose parameters are constrained.

    Returns
    -------
    Proof

    Raises
    ------
    TypeError
        If it is not a bijection, or its code can't be read as a formula.
    ValueError
        If a class needs more than numbers to make an instance: pass an instance then.

    Examples
    --------
    >>> from flowtutorial import Affine
    >>> prove_bijection(Affine).verdict
    'proved (exact)'
    """
    _require_bijection(bijection)
    if getattr(bijection, "event_ndim", 0) == 1:
        return _prove_layer(bijection)
    if hasattr(bijection, "piece"):
        return _prove_pieces(bijection)
    if isinstance(bijection, Chain | Inverse) and _has_no_formula(bijection):
        return _prove_parts(bijection)
    traced = _Traced(bijection, assume or {})
    numerical = getattr(bijection, "numerical", None)
    if not numerical:
        return _proof(_claims_both_ways(traced))
    tested = _result(*numerical_claim(numerical, bijection), _FLOATS)
    if tested[0].verdict == REFUTED:
        return _proof([tested])
    forward, inverse = _directions(traced)
    closed, other = (inverse, forward) if numerical == "forward" else (forward, inverse)
    there = traced.through(closed, other, numerical=True)
    results = [there.image_claim(), there.log_det_claim(), there.monotone(False)]
    return _proof([*results, tested])


def _prove_layer(layer: Any) -> Proof:
    """Prove a map of vectors for vectors of its length; of a chain, or an inverse, its parts."""
    if isinstance(layer, type):
        raise ValueError(f"{layer.__name__}: pass an instance, so that the length is known")
    results = _layer_claims(layer, layer.dim)
    proof = _proof(results)
    if not proof.verdict.startswith("proved") or layer.dim is None:
        return proof
    return dataclasses.replace(proof, verdict=f"{PROVED_FOR}D = {layer.dim}")


def _layer_claims(layer: Any, dim: int | None) -> list[tuple[Claim, dict[str, str] | None]]:
    from .vectors import layer_results

    if isinstance(layer, Chain | Inverse):
        results = []
        for part in layer.parts if isinstance(layer, Chain) else (layer.bijection,):
            for claim, witness in _layer_claims(part, dim):
                name = claim.statement
                if ": " not in name:  # a part of a part has its name already
                    name = f"{type(part).__name__}: {name}"
                results.append((dataclasses.replace(claim, statement=name), witness))
        return results
    results = [_result(*result) for result in layer_results(layer, dim)]
    transformer = getattr(layer, "transformer", None)
    if transformer is not None:
        proof = prove_bijection(transformer)
        statement = f"its transformer, {type(transformer).__name__}, is a bijection"
        note = "" if proof else repr(proof)
        results.append((Claim(statement, proof.verdict, note), proof.witness))
    return results


@_one_at_a_time
def prove_gradient(layer: Any) -> Proof:
    """Prove that the derivatives of a layer, or a network, are those of its own formula.

    What `forward_and_pullback` and `inverse_and_pullback` return is compared with what SymPy finds
    by differentiating `Σ_i b_i v_i + log|det ∂v/∂u|` by every coordinate of `u` and every
    parameter, for symbols `b`. A network in a layer becomes an arbitrary function; its own
    derivatives are proved of a small network, as `prove_gradient(MLP.init((2, 2, 1), 0))`.

    Parameters
    ----------
    layer : Bijection of vectors, or MLP
        A small instance: every trained number becomes a symbol.

    Returns
    -------
    Proof

    Raises
    ------
    TypeError
        If it is something else, or the code can't be read as a formula.

    Examples
    --------
    >>> from flowtutorial import TriangularAffine
    >>> prove_gradient(TriangularAffine.init(2))
    proved for D = 2: gradient of forward, gradient of inverse
    """
    from ..conditioner import MLP
    from .vectors import gradient_results

    if not isinstance(layer, MLP) and not getattr(layer, "event_ndim", 0):
        raise TypeError(
            f"layer: expected a map of vectors or an MLP, got {layer!r}; derivatives of maps of "
            "numbers are derived, not written"
        )
    proof = _proof(_result(*result) for result in gradient_results(layer))
    if isinstance(layer, MLP) or not proof.verdict.startswith("proved"):
        return proof
    return dataclasses.replace(proof, verdict=f"{PROVED_FOR}D = {layer.dim}")


def _has_no_formula(bijection: Any) -> bool:
    """Whether a direction of a bijection, or of a part of it, is no single formula."""
    inner = getattr(bijection, "parts", ()) or [getattr(bijection, "bijection", None)]
    special = getattr(bijection, "numerical", None) or hasattr(bijection, "piece")
    return bool(special) or any(_has_no_formula(part) for part in inner if part is not None)


def _prove_parts(bijection: Chain | Inverse) -> Proof:
    """Prove the parts one by one: what is made of bijections is one, and log-determinants add."""
    parts = bijection.parts if isinstance(bijection, Chain) else (bijection.bijection,)
    results: list[tuple[Claim, dict[str, str] | None]] = []
    for part in parts:
        proof = prove_bijection(part)
        name = f"{type(part).__name__}: "
        witness = proof.witness
        for claim in proof.claims:
            named = dataclasses.replace(claim, statement=name + claim.statement)
            results.append((named, witness if claim.verdict == REFUTED else None))
    return _proof(results)


def _prove_pieces(bijection: Any) -> Proof:
    """Prove one piece for all its corners, how pieces meet, and that knots are in order."""
    if isinstance(bijection, type):
        raise ValueError(
            f"{bijection.__name__}: its parameters are arrays; pass an instance, so that their "
            "shape is known"
        )
    whole = _Traced(bijection, {}).instance
    piece, symbols = symbolic_piece(bijection)
    witness = float_witness(bijection)
    if witness is not None:
        wrong = Decision(REFUTED, witness=witness)
        return _proof([_result("the pieces together are a bijection", wrong, _FLOATS)])
    traced = _TracedPiece(piece, symbols)
    there = traced.through(*_directions(traced))
    ends = [_result(*claim, _COMPARED) for claim in ends_claims(piece)]
    round_trip, increasing = there.round_trip(), there.monotone(False)
    claims = [round_trip, *ends, increasing]
    onto = Decision(weakest_of(claim.verdict for claim, _ in claims), "every x is a forward(z)")
    return _proof([
        round_trip,
        (Claim("forward∘inverse = id", onto.verdict, onto.note), None),
        there.log_det_claim(),
        there.log_det_back(),
        increasing,
        *ends,
        _result(*knots_claim(whole), _COMPARED),
    ])  # fmt: skip


_FLOATS = "{claim}: {lhs}, expected {rhs}"
_COMPARED = "{lhs}, expected {rhs}"


def _directions(traced: _Traced) -> tuple[_Direction, _Direction]:
    """Return forward and inverse, each with its intervals."""
    return (
        _Direction("forward", "z", "x", traced.domain, traced.codomain),
        _Direction("inverse", "x", "z", traced.codomain, traced.domain),
    )


def _claims_both_ways(traced: _Traced) -> list[tuple[Claim, dict[str, str] | None]]:
    """Return round trips, log-determinants and monotonicity of two closed directions."""
    forward, inverse = _directions(traced)
    there, back = traced.through(forward, inverse), traced.through(inverse, forward)
    results = [there.round_trip(), back.round_trip(), there.log_det_claim(), back.log_det_claim()]
    one_to_one = all(Proof(claim.verdict, (claim,)) for claim, _ in results[:2])
    return [*results, there.monotone(one_to_one)]


@dataclasses.dataclass(frozen=True)
class _Direction:
    """One of the two methods, the letters of its argument and value, and their intervals."""

    name: str
    letter: str
    image_letter: str
    interval: tuple[float, float]
    image: tuple[float, float]


class _Traced:
    """A bijection whose parameters are symbols."""

    def __init__(self, bijection: Any, assume: Mapping[sp.Symbol | str, Assumption]) -> None:
        _require_bijection(bijection)
        self.names: set[str] = {"x", "z"}
        self.parameters: list[sp.Symbol] = []
        self.fixed = not isinstance(bijection, type) and _interval_moves(bijection)
        if isinstance(bijection, type):
            self.instance = self._from_class(bijection)
        else:
            self.instance = self._symbolic(bijection)
        self.domain, self.codomain = bijection.domain, bijection.codomain
        cells = np.array(self.parameters, dtype=object)
        self.given = _parametrised(self.parameters, assume, cells)

    def _symbol(self, name: str) -> SymArray:
        number, unique = 1, name
        while unique in self.names:
            number += 1
            unique = f"{name}_{number}"
        self.names.add(unique)
        self.parameters.append(sp.Symbol(unique, real=True))
        return SymArray(self.parameters[-1])

    def _from_class(self, cls: type) -> Any:
        fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
        values = {}
        for field in fields:
            if field.metadata.get("ndim", 0):
                raise ValueError(
                    f"{cls.__name__}: the parameter {field.name} is an array; pass an instance, "
                    "so that its shape is known"
                )
            if not field.metadata.get("static", False):
                values[field.name] = self._symbol(field.name)
        try:
            made = cls(**values)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{cls.__name__}: can't be made from numbers alone ({error}); pass an instance"
            ) from error
        if not all(isinstance(getattr(cls, name), tuple) for name in ("domain", "codomain")):
            raise ValueError(
                f"{cls.__name__}: its domain or codomain depends on the instance; pass an instance"
            )
        return made

    def _symbolic(self, value: Any, name: str = "") -> Any:
        """Return `value` with a symbol, or an exact number, for every trained number in it."""
        if _is_bijection(value):
            if not dataclasses.is_dataclass(value):
                return value
            trained = {
                field.name: self._symbolic(getattr(value, field.name), field.name)
                for field in dataclasses.fields(value)
                if not field.metadata.get("static", False)
            }
            return dataclasses.replace(value, **trained)  # type: ignore[type-var]
        if isinstance(value, tuple):
            return tuple(self._symbolic(part, name) for part in value)
        shape = np.shape(value)
        if self.fixed:
            return SymArray(value)
        if not shape:
            return self._symbol(name)
        cells = np.empty(shape, dtype=object)
        for index in np.ndindex(shape):
            cells[index] = self._symbol(f"{name}_{'_'.join(map(str, index))}").expr
        return SymArray(cells)

    def run(self, method: str, argument: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
        """Return value and log-determinant of `forward` or `inverse` as formulas."""
        name = f"{type(self.instance).__name__}.{method}_and_log_det"
        try:
            value, log_det = getattr(self.instance, f"{method}_and_log_det")(SymArray(argument))
            return SymArray(value).expr, SymArray(log_det).expr
        except Exception as error:
            raise TypeError(f"{name} can't be read as a formula: {error}") from error

    def through(self, there: _Direction, back: _Direction, numerical: bool = False) -> _Passage:
        """Run one method and then the other, on a symbol that runs through the interval.

        If the other is numerical, the first alone is run.
        """
        letter = sp.Symbol(there.letter, real=True)
        with noting_conditions() as conditions:
            value, log_det = self.run(there.name, letter)
        returned = letter if numerical else self.run(back.name, value)[0]
        argument, variable = inside(there.interval, there.letter)
        given = {letter: argument, **self.given}
        put: Callable[[sp.Expr], sp.Expr] = lambda expr: substituted(expr, given)  # noqa: E731
        return _Passage(
            there, back, variable, argument, put(value), put(log_det), put(returned),
            tuple(put(elementary(condition)) for condition in conditions),
            _by_name(given), "at these parameters" if self.fixed else "",
        )  # fmt: skip


class _TracedPiece(_Traced):
    """A piece whose corners and slopes are symbols, and its intervals with them."""

    def __init__(self, piece: Any, symbols: list[sp.Symbol]) -> None:
        self.instance, self.parameters, self.fixed = piece, symbols, False
        self.domain, self.codomain = (
            tuple(end.expr for end in ends) for ends in (piece.domain, piece.codomain)
        )
        self.given = {symbol: symbol for symbol in symbols}

    def through(self, there: _Direction, back: _Direction, numerical: bool = False) -> _Passage:
        """As for every bijection; two forms of one number, for accuracy, are proved the same."""
        argument, variable = inside(there.interval, there.letter)
        same = lambda a, b: bool(prove(elementary(a), elementary(b)))  # noqa: E731
        with noting_conditions() as conditions, merging_cases(same):
            value, log_det = self.run(there.name, argument)
            returned, back_log_det = self.run(back.name, value)
        return _Passage(
            there, back, variable, argument, value, log_det, returned,
            tuple(map(elementary, conditions)), {there.letter: argument}, "", back_log_det,
        )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Passage:
    """What one method does to a symbol, and what the other makes of the result."""

    there: _Direction
    back: _Direction
    variable: sp.Symbol
    argument: sp.Expr
    value: sp.Expr
    log_det: sp.Expr
    returned: sp.Expr
    needs: tuple[sp.Expr, ...]
    shown: dict[str, sp.Expr]
    note: str
    back_log_det: sp.Expr = sp.nan

    def _result(
        self, statement: str, decision: Decision, wording: str
    ) -> tuple[Claim, dict[str, str] | None]:
        claim, witness = _result(statement, decision, wording)
        notes = "; ".join(part for part in (claim.note, self.note) if part)
        return dataclasses.replace(claim, note=notes), witness

    def round_trip(self) -> tuple[Claim, dict[str, str] | None]:
        """Claim that the other method returns the argument, from a value in its interval."""
        there, back = self.there, self.back
        statement = f"{back.name}∘{there.name} = id"
        wording = f"{back.name}({there.name}({there.letter})) = {{lhs}}"
        decision = decide(self.returned, self.argument, self.shown)
        if decision.verdict in (PROVED_EXACT, PROVED_IDENTITY, CHECKED):
            image = self._is_real_everywhere()
            if image.verdict == REFUTED:
                wording = f"{there.name} has no real value"
                return self._result(statement, image, wording)
            if image.verdict.startswith("proved"):
                image = self._lands_inside()
            if weakest_of((decision.verdict, image.verdict)) != decision.verdict:
                low, high = (_end(end) for end in there.image)
                wording = f"{there.name}({there.letter}) = {{rhs}} is not in ({low}, {high})"
                decision = image
        return self._result(statement, decision, wording)

    def image_claim(self) -> tuple[Claim, dict[str, str] | None]:
        """Claim that the value is a number in its interval, where there is no way back to prove."""
        low, high = (_end(end) for end in self.there.image)
        name, letter = self.there.name, self.there.letter
        decision = self._is_real_everywhere()
        if decision.verdict.startswith("proved"):
            decision = self._lands_inside()
        wording = f"{name}({letter}) = {{rhs}} is not in ({low}, {high})"
        return self._result(f"{name} is in ({low}, {high})", decision, wording)

    def _is_real_everywhere(self) -> Decision:
        """Decide whether what stands in a logarithm or a root is positive on the interval."""
        for condition in self.needs:
            if is_positive(condition):
                continue
            decision = decide(sp.Abs(condition), condition, self.shown)
            if not decision.verdict.startswith("proved"):
                return decision
        return Decision(PROVED_EXACT)

    def _lands_inside(self) -> Decision:
        """Decide whether the value lies in the declared interval, `|distance| = distance`."""
        low, high = (_end(end) for end in self.there.image)
        for end, way in ((low, 1), (high, -1)):
            if end in (sp.oo, -sp.oo) or is_positive(way * (self.value - end)):
                continue
            distance = way * (self.value - end)
            decision = decide(sp.Abs(distance), distance, self.shown)
            if decision.witness is not None and end.is_number:
                value = float(decision.witness["rhs"]) * way + float(end)
                shown = decision.witness | {"rhs": f"{value:.15g}"}
                decision = dataclasses.replace(decision, witness=shown)
            if not decision.verdict.startswith("proved"):
                return decision
        return Decision(PROVED_EXACT)

    def log_det_claim(self) -> tuple[Claim, dict[str, str] | None]:
        """Claim that the log-determinant is that of the value."""
        there = self.there
        decision = decide_log_det(
            self.log_det, [self.value], [self.variable], [self.argument], self.shown
        )
        slope = f"log|∂{there.image_letter}/∂{there.letter}|"
        return self._result(
            f"log det {there.name}", decision, f"claimed {{lhs}}, {slope} = {{rhs}}"
        )

    def log_det_back(self) -> tuple[Claim, dict[str, str] | None]:
        """Claim that the other log-determinant, at the value, is the negative of this one."""
        decision = decide(self.back_log_det, -self.log_det, self.shown)
        return self._result(f"log det {self.back.name}", decision, "claimed {lhs}, expected {rhs}")

    def monotone(self, one_to_one: bool) -> tuple[Claim, None]:
        """Claim that the value increases, or that it decreases."""
        words = {1: "increasing", -1: "decreasing", 0: "monotone"}
        way = direction(self.value, self.variable) * direction(self.argument, self.variable)
        slope = derivative_sign(self.value, self.variable, self.argument)
        if way and is_continuous(self.value, self.variable):
            if slope == way:
                return Claim(words[way], PROVED_EXACT, "the derivative has one sign"), None
            if one_to_one:
                why = "continuous and one-to-one on an interval"
                if self.value.free_symbols - {self.variable}:
                    return Claim("monotone", PROVED_EXACT, why), None
                why += ", compared at two points"
                return Claim(words[way], PROVED_EXACT, why), None
        return self._monotone_at_points(words, way), None

    def _monotone_at_points(self, words: dict[int, str], way: int) -> Claim:
        step = sp.Dummy("step", positive=True)
        later = {self.variable: self.variable + step}
        rise = way * (self.value.xreplace(later) - self.value)
        run = self.argument.xreplace(later) - self.argument
        decision = decide(sp.Abs(rise / run), rise / run, self.shown)
        note = "continuity or the sign of the derivative is not proved"
        if decision.verdict == REFUTED and decision.witness is not None:
            point = ", ".join(f"{name} = {decision.witness[name]}" for name in self.shown)
            return Claim("monotone", REFUTED, f"neither increasing nor decreasing, at {point}")
        return Claim(words[way], CHECKED if decision.verdict != OPEN else OPEN, note)


def _is_bijection(value: Any) -> bool:
    return all(
        callable(getattr(value, f"{name}_and_log_det", None)) for name in ("forward", "inverse")
    )


def _require_bijection(value: Any) -> None:
    if not _is_bijection(value):
        raise TypeError(
            "bijection: expected a class or an instance with the methods forward_and_log_det and "
            f"inverse_and_log_det, got {value!r}"
        )


def _interval_moves(instance: Any) -> bool:
    """Whether the domain or codomain depends on the parameters, as in a chain it may."""
    ends = (getattr(type(instance), name, ()) for name in ("domain", "codomain"))
    if all(isinstance(end, tuple) for end in ends):
        return False
    params = instance.params
    moved = instance.with_params(params + 0.37 + 0.11 * np.arange(params.size))
    return bool((moved.domain, moved.codomain) != (instance.domain, instance.codomain))
