"""Exercises whose answer is a bijection that the reader writes."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..flow import Flow
from ..symbolic import Proof, SymArray, prove, prove_bijection, symbols
from ..symbolic.outcomes import CHECKED, OPEN, PROVED_EXACT, PROVED_IDENTITY
from .answers import as_floats, first_line, require_answer
from .exercise import Exercise
from .reply import NOT_YET, RIGHT, SECONDS, UNDECIDED, OutOfTime, Reply, Unusable

_METHODS = ("forward_and_log_det", "inverse_and_log_det")
_LETTERS = {"forward_and_log_det": "z", "inverse_and_log_det": "x"}
_SIZES = np.array([0.5, 1.0, 1.5, 2.0, 0.25, 0.75, 1.25, 3.0])  # of arguments
_SETTINGS = np.array([0.5, -0.25, 1.0, -1.5])  # of parameters
_TOLERANCE = 1e-9  # between two codes for the same formula
_UNPROVED = "yours agrees with the answer at all points that were tried, but no proof was found"
_VERDICTS = (PROVED_EXACT, PROVED_IDENTITY, CHECKED)  # from the strongest


@dataclass(frozen=True)
class _Place:
    """Where two maps differ."""

    at: str
    method: str
    part: int  # 0 the value, 1 the log-determinant
    yours: float
    expected: float

    def __str__(self) -> str:
        what = ("the value", "the log-determinant")[self.part]
        return (
            f"{what} of your {self.method}, at {self.at}: yours gives {self.yours:.6g}, "
            f"expected {self.expected:.6g}."
        )


@dataclass(frozen=True, kw_only=True)
class Map(Exercise):
    """An exercise whose answer is a bijection: a class, or where `instance` is true an instance.

    Attributes
    ----------
    asks : str
        The map in words, such as "the map x = 1/z".
    reference : callable
        Returns the right bijection, from its parameters; a class may stand here itself.
    parameters : tuple of str
        The names of the trained fields.
    """

    asks: str
    parameters: tuple[str, ...] = ()
    instance: bool = False

    @property
    def asked(self) -> str:
        """What is asked for, in words."""
        if self.instance:
            return f"{self.asks}, an instance of a bijection"
        fields = f" with the field{'s' * (len(self.parameters) > 1)} {', '.join(self.parameters)}"
        return f"{self.asks}, a subclass of Bijection{fields if self.parameters else ''}"

    def mark(self, answer: Any) -> Reply:
        """Compare a bijection with the right one, at points and then by proof."""
        self._require_bijection(answer)
        place = self._first_difference(answer)
        if place is not None:
            return Reply(NOT_YET, str(place), self._hint_for(answer, place))
        if not self.instance:
            self._require_intervals(answer)
        try:
            return self._proved(answer)
        except TypeError as error:
            n = len(self._settings()) * len(_SIZES)
            return Reply(
                RIGHT,
                f"agrees at {n} points to {_TOLERANCE:g}. No formula could be read from the code, "
                f"so this is no proof ({first_line(error)}).",
            )
        except OutOfTime:
            return Reply(UNDECIDED, f"{_UNPROVED} in {SECONDS:g} seconds. Try a simpler form.")

    # -- what kind of thing the answer is --------------------------------------------------------

    def _require_bijection(self, answer: Any) -> None:
        if isinstance(answer, Flow):
            raise Unusable(
                "the answer is a flow; hand over its bijection. This exercise asks for "
                f"{self.asked}."
            )
        require_answer(answer, self.asked)
        cls = answer if isinstance(answer, type) else type(answer)
        missing = [name for name in _METHODS if not callable(getattr(cls, name, None))]
        if len(missing) == 2:
            what = f"the class {cls.__name__}" if cls is answer else f"of type {cls.__name__}"
            raise Unusable(f"the answer is {what}; this exercise asks for {self.asked}.")
        missing += sorted(getattr(cls, "__abstractmethods__", ()))
        if missing:
            raise Unusable(f"{cls.__name__} has no method {missing[0]} yet.")
        if self.instance and cls is answer:
            raise Unusable(
                f"{cls.__name__} is a class; make an instance of it, {cls.__name__}(...)."
            )
        if self.instance and cls is self.reference:
            raise Unusable(f"{cls.__name__} is what is to be built; build it from other parts.")
        if not self.instance and cls is not answer and self.parameters:
            raise Unusable(
                f"the answer is an instance of {cls.__name__}; hand over the class itself, "
                f"{cls.__name__}, so that its fields can be symbols."
            )
        if not self.instance:
            self._require_fields(cls)

    def _require_fields(self, cls: type) -> None:
        fields = self._fields(cls)
        annotated = [name for name in inspect.get_annotations(cls) if name not in _METHODS]
        forgotten = [n for n in annotated if n in self.parameters and n not in fields]
        if forgotten:
            raise Unusable(
                f"{cls.__name__} does not know its field {forgotten[0]}; write "
                "@dataclass(frozen=True, eq=False) above the class."
            )
        if len(fields) != len(self.parameters):
            raise Unusable(
                f"{cls.__name__} has the fields {', '.join(fields) or '(none)'}; this exercise "
                f"asks for {', '.join(self.parameters) or 'none'}."
            )

    def _fields(self, cls: type) -> list[str]:
        fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
        return [f.name for f in fields if not f.metadata.get("static", False)]

    def _require_intervals(self, answer: Any) -> None:
        given = self._made(answer, self._settings()[0])
        for name, expected in zip(("domain", "codomain"), self._intervals(), strict=True):
            yours = getattr(given, name, None)
            if not (isinstance(yours, tuple) and len(yours) == 2):
                raise Unusable(f"{name}: expected an interval (low, high), got {yours!r}.")
            if not np.allclose(yours, expected, rtol=1e-12, atol=1e-12):
                low, high = yours
                does = "take in" if name == "domain" else "reach"
                raise Unusable(
                    f"the formulas are right. The {name} that yours declares is ({low:g}, "
                    f"{high:g}); which values does the map {does}? Set {name} = (low, high) in the "
                    "class."
                )

    # -- values ----------------------------------------------------------------------------------

    def _settings(self) -> list[dict[str, float]]:
        """Return values of the parameters; a map without any has one setting."""
        if not self.parameters:
            return [{}]
        return [
            {name: float(np.roll(_SETTINGS, i)[k]) for i, name in enumerate(self.parameters)}
            for k in range(len(_SETTINGS))
        ]

    def _made(self, maker: Any, setting: dict[str, Any]) -> Any:
        """Return an instance with parameters, which are known by name or else by their order."""
        if not isinstance(maker, type):
            return maker if hasattr(maker, _METHODS[0]) else maker(**setting)
        fields = self._fields(maker)
        by_name = sorted(fields) == sorted(setting)
        try:
            return maker(**setting) if by_name else maker(*setting.values())
        except Exception as error:
            raise Unusable(f"{maker.__name__} can't be made: {first_line(error)}.") from error

    def _values(self, maker: Any) -> Iterator[tuple[str, str, int, np.ndarray]]:
        """Yield what a map gives at points: words for the points, method, part and values."""
        for setting in self._settings():
            instance, reference = self._made(maker, setting), self._made(self.reference, setting)
            z = _inside(reference.domain)
            for method, argument in zip(_METHODS, (z, reference.forward(z)), strict=True):
                for part, values in enumerate(_run(instance, method, argument)):
                    for index, value in enumerate(values):
                        at = {_LETTERS[method]: argument[index], **setting}
                        words = ", ".join(f"{name} = {v:.6g}" for name, v in at.items())
                        yield words, method, part, value

    def _first_difference(self, answer: Any) -> _Place | None:
        for yours, expected in zip(self._values(answer), self._values(self.reference), strict=True):
            a, b = float(yours[3]), float(expected[3])
            if not abs(a - b) <= _TOLERANCE * max(1.0, abs(b)):
                return _Place(*expected[:3], a, b)
        return None

    def _hint_for(self, answer: Any, place: _Place) -> str:
        yours = np.array([float(row[3]) for row in self._values(answer)])
        for mistake in self.mistakes:
            known = np.array([float(row[3]) for row in self._values(mistake.answer)])
            if np.allclose(yours, known, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True):
                return mistake.hint
        if place.part == 1 and abs(place.yours + place.expected) <= _TOLERANCE:
            return "The size of the log-determinant is right, its sign is not."
        return self.hint

    # -- proofs ----------------------------------------------------------------------------------

    def _proved(self, answer: Any) -> Reply:
        """Prove that both maps have the same formulas, and of a class that it is a bijection."""
        names = {name: symbols(name) for name in self.parameters}
        instance, reference = self._made(answer, names), self._made(self.reference, names)
        proofs = [] if self.instance else [prove_bijection(answer)]
        for method, interval in zip(_METHODS, self._intervals(), strict=True):
            letter = _LETTERS[method]
            yours, right = (_traced(m, method, symbols(letter)) for m in (instance, reference))
            proofs.append(prove(yours, right, assume={letter: interval}))
        weakest = max(proofs, key=_weakness)
        if _weakness(weakest) == len(_VERDICTS):
            verdict = UNDECIDED if weakest.verdict == OPEN else NOT_YET
            return Reply(verdict, repr(weakest), self.hint)
        claims = "value and log-determinant agree, in both directions"
        if not self.instance:
            claims = ", ".join(claim.statement for claim in proofs[0].claims)
        return Reply(RIGHT, f"{weakest.verdict}: {claims}")

    def _intervals(self) -> tuple[tuple[float, float], tuple[float, float]]:
        reference = self._made(self.reference, self._settings()[0])
        return reference.domain, reference.codomain


def _weakness(proof: Proof) -> int:
    return _VERDICTS.index(proof.verdict) if proof.verdict in _VERDICTS else len(_VERDICTS)


def _traced(instance: Any, method: str, letter: SymArray) -> SymArray:
    value, log_det = getattr(instance, method)(letter)
    return SymArray([SymArray(value), SymArray(log_det)])


def _inside(interval: tuple[float, float]) -> np.ndarray:
    low, high = interval
    if np.isinf(low) and np.isinf(high):
        return _SIZES * np.where(np.arange(_SIZES.size) % 2, -1.0, 1.0)
    if np.isinf(high):
        return low + _SIZES
    return high - _SIZES if np.isinf(low) else low + (high - low) * _SIZES / (1.0 + _SIZES)


def _run(instance: Any, method: str, argument: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    on = f"an array of shape {argument.shape}"
    try:
        with np.errstate(all="ignore"):
            result = getattr(instance, method)(argument.copy())
    except Exception as error:
        raise Unusable(f"your {method} fails on {on}: {first_line(error)}.") from error
    if not isinstance(result, tuple) or len(result) != 2:
        raise Unusable(
            f"your {method} returns {type(result).__name__}; expected two arrays, the value and "
            "the log-determinant."
        )
    value = as_floats(result[0], argument.shape, f"the value of your {method}", on)
    log_det = as_floats(result[1], argument.shape, f"the log-determinant of your {method}", on)
    return value, log_det
