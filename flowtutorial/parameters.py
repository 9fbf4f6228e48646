"""Objects whose fields are their parameters, and the one vector that holds them all.

Bijections and conditioners are frozen dataclasses; an optimiser wants a flat vector. Here one is
turned into the other, and back. Chapter 4 uses it for a handful of numbers, chapter 10 for many.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from math import prod
from types import SimpleNamespace
from typing import Any, Self

import numpy as np

from .blocks import Array, as_real, count_stacks, is_traced


@dataclass(frozen=True, eq=False)
class Parametrised:
    """A frozen dataclass whose fields are parameters: numbers, arrays, tuples of these, or parts.

    A field that is not trained says `field(metadata={"static": True})`; a parameter that is not a
    single number says how many axes it has, `field(metadata={"ndim": 1})`.
    """

    def trained_fields(self) -> dict[str, Any]:
        """Return name and value of each field that is trained, in the order of the class."""
        cls: Any = type(self)
        return {name: getattr(self, name) for name in _trained_names(cls)}

    @property
    def params(self) -> np.ndarray:
        """All parameters as one vector: order of application, then of fields, then C order."""
        parts = [np.ravel(value) for _, value in leaves(self)]
        return np.concatenate([np.empty(0), *parts]).astype(np.float64, copy=False)

    @property
    def param_names(self) -> tuple[str, ...]:
        """A name for each entry of `params`; a name that comes again is numbered from 2."""
        seen: dict[str, int] = {}
        names = []
        for leaf, value in leaves(self):
            for index in np.ndindex(np.shape(value)):
                name = f"{leaf}[{','.join(map(str, index))}]" if index else leaf
                seen[name] = seen.get(name, 0) + 1
                names.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
        return tuple(names)

    def with_params(self, params: Array) -> Self:
        """Return the same object with the parameters of the vector `params`.

        Raises
        ------
        ValueError
            If `params` has not the length of `self.params`.
        """
        made: Self = self.rebuild(_refill(self._checked(params)), dataclasses.replace)
        return made

    def moved_to(self, params: Array) -> Self:
        """Return `with_params(params)` for a vector that is known to be finite and to fit.

        An optimiser asks for it at every step: the checks of the constructors, which the object
        has passed with other numbers of the same shapes, are left out.
        """
        made: Self = self.rebuild(_refill(params), refilled)
        return made

    def bundle(self, params: Array) -> SimpleNamespace:
        """Return the vector `params` as a namespace with the fields of this object.

        A gradient comes in this form: `flow.gradient(x).shift`.
        """
        made: SimpleNamespace = self.rebuild(
            _refill(self._checked(params)), lambda _, **fields: SimpleNamespace(**fields)
        )
        return made

    def _checked(self, params: Array) -> Array:
        expected = sum(np.size(value) for _, value in leaves(self))
        values = np.asarray(params)
        if values.shape != (expected,):
            names = self.param_names
            shown = ", ".join(names if expected <= 12 else (*names[:6], "...", names[-1]))
            raise ValueError(
                f"params: expected a vector of length {expected} ({shown}), got shape "
                f"{values.shape}"
            )
        return values.copy() if values.dtype == object else np.array(as_real(values, "params"))

    def rebuild(self, leaf: Callable[[Any], Any], make: Callable[..., Any]) -> Any:
        """Pass every trained number or array through `leaf`; assemble each level with `make`."""
        cls: Any = type(self)
        fields = {name: _rebuilt(getattr(self, name), leaf, make) for name in _trained_names(cls)}
        return make(self, **fields)


def _rebuilt(value: Any, leaf: Callable[[Any], Any], make: Callable[..., Any]) -> Any:
    if isinstance(value, tuple):
        return tuple([_rebuilt(part, leaf, make) for part in value])
    return value.rebuild(leaf, make) if isinstance(value, Parametrised) else leaf(value)


@cache
def _trained_names(cls: Any) -> tuple[str, ...]:
    """Return the names of a class's trained fields."""
    fields = dataclasses.fields(cls)
    return tuple(field.name for field in fields if not field.metadata.get("static", False))


@cache
def _count_fields(cls: Any) -> int:
    return len(dataclasses.fields(cls))


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every trained number or array below `value` with the name of its field."""
    if isinstance(value, Parametrised):
        for field, part in value.trained_fields().items():
            yield from leaves(part, field)
    elif isinstance(value, tuple):
        for part in value:
            yield from leaves(part, name)
    else:
        yield name, value


def are_numbers(value: Parametrised, argument: str = "") -> bool:
    """Check every trained field; return whether all are numbers (and none is traced).

    Raises
    ------
    TypeError
        If one is no real number; the message begins with `argument`, or the name of the class.
    ValueError
        If one is not finite, or has not the axes that its field declares.
    """
    numeric = True
    for field in dataclasses.fields(value):
        if field.metadata.get("static", False):
            continue
        held: Any = getattr(value, field.name)
        where = f"{argument or type(value).__name__}.{field.name}"
        for part in held if isinstance(held, tuple) else (held,):
            if isinstance(part, Parametrised):
                numeric &= are_numbers(part, argument and where)
            elif is_traced(part):
                numeric = False
            else:
                _check_number(part, where, field.metadata.get("ndim", 0))
    return numeric


def _check_number(value: Any, where: str, ndim: int) -> None:
    array = as_real(value, where)
    if np.ndim(array) != ndim:
        raise ValueError(
            f"{where}: expected {'one number' if ndim == 0 else f'{ndim} axes'}, got an array of "
            f"shape {np.shape(array)}"
        )
    wrong = np.size(array) - np.count_nonzero(np.isfinite(array))
    if wrong:
        got = f"{wrong} of {np.size(array)} are NaN or infinite" if ndim else f"got {value!r}"
        raise ValueError(
            f"{where}: expected {'finite numbers' if ndim else 'a finite number'}, {got}"
        )


def refilled(old: Any, **fields: Any) -> Any:
    """Return a copy of an object with other values of its fields."""
    cls: Any = type(old)
    if len(vars(old)) > _count_fields(cls):  # its constructor keeps what it works out
        return dataclasses.replace(old, **fields)
    made = object.__new__(cls)
    vars(made).update(vars(old), **fields)
    return made


def _refill(vector: Array) -> Callable[[Any], Any]:
    """Return a function that gives each number or array in turn its new value from `vector`."""
    start = 0

    def leaf(old: Any) -> Any:
        nonlocal start
        shape = np.shape(old)
        first, start = start, start + prod(shape)
        if shape:
            return vector[first:start].reshape(shape)
        return vector[first] if vector.dtype == object else float(vector[first])

    return leaf


# -- gradients of parameters -------------------------------------------------------------------


def gathered(per_observation: Array, lead: int, summed: bool) -> Array:
    """Return derivatives as they are, or summed over their first `lead` axes, the observations."""
    if not summed:
        return per_observation
    if lead == 1 and np.ndim(per_observation) == 2:
        return np.ones(len(per_observation)) @ per_observation  # np.sum takes five times as long
    return np.sum(per_observation, axis=tuple(range(lead)))


def outer(a: Array, b: Array, summed: bool) -> Array:
    """Return `a bᵀ` of the vectors on the last axes, for each observation or summed over them."""
    if not summed:
        return a[..., :, None] * b[..., None, :]
    if a.ndim != 2:
        a, b = (np.reshape(v, (-1, v.shape[-1])) for v in (a, b))
    stacks = count_stacks(len(a), a.shape[1] * b.shape[1])
    if stacks == 1:
        return np.swapaxes(a, 0, 1) @ b
    a, b = (np.reshape(v, (stacks, -1, v.shape[1])) for v in (a, b))
    return np.sum(np.swapaxes(a, 1, 2) @ b, axis=0)
