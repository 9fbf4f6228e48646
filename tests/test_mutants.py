"""The prover must be able to fail: it must refuse every wrong copy of every shipped bijection.

Each test takes the source of one class, with the helpers that it calls, changes one place in it
(a sign, a factor, a function, a constant, a branch) and asks for a proof. A mutant that is proved
has to be a bijection with the right log-determinants after all, by a numerical check that shares
nothing with the prover.
"""

from __future__ import annotations

import ast
import copy
import dataclasses
import inspect
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from flowtutorial import elementwise, mixture, spline
from flowtutorial.symbolic.prove import prove_bijection

SOURCE = ast.parse(inspect.getsource(elementwise))
# Number of mutants that are at least expected, so that no test passes without having tried any.
CLASSES = {
    "Shift": 6,
    "Affine": 14,
    "Exp": 4,
    "Sigmoid": 20,
    "Softplus": 15,
    "Tanh": 14,
    "NormalCDF": 8,
    "LeakyReLU": 10,
    "SinhArcsinh": 30,
    "BoundedAffine": 5,
}

SWAPPED_OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Lt: ast.Gt,
    ast.GtE: ast.LtE,
}
SWAPPED_FUNCTIONS = {
    "exp": "expm1",
    "expm1": "exp",
    "log": "log1p",
    "log1p": "log",
    "sinh": "cosh",
    "arcsinh": "arctanh",
    "tanh": "sinh",
    "arctanh": "arcsinh",
    "minimum": "maximum",
    "maximum": "minimum",
}


def variants(node: ast.AST) -> Iterator[ast.AST]:
    """Yield every wrong version of one node of the syntax tree."""
    if isinstance(node, ast.BinOp):
        yield node.left  # a dropped term or factor
        if isinstance(node.op, ast.Add | ast.Mult):
            yield node.right
        if type(node.op) in SWAPPED_OPERATORS:
            yield ast.BinOp(node.left, SWAPPED_OPERATORS[type(node.op)](), node.right)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield node.operand
    if isinstance(node, ast.Constant) and isinstance(node.value, float):
        yield ast.Constant(node.value + 1.0)
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPPED_OPERATORS:
        yield ast.Compare(node.left, [SWAPPED_OPERATORS[type(node.ops[0])]()], node.comparators)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        yield from variants_of_call(node, node.func)


def variants_of_call(node: ast.Call, function: ast.Attribute) -> Iterator[ast.AST]:
    """Yield wrong versions of a call of a NumPy function."""
    name = function.attr
    if name in SWAPPED_FUNCTIONS:
        swapped = ast.Attribute(function.value, SWAPPED_FUNCTIONS[name], function.ctx)
        yield ast.Call(swapped, node.args, [])
    if name == "abs":
        yield node.args[0]
    if name == "zeros_like":
        yield ast.Call(ast.Attribute(function.value, "ones_like", function.ctx), node.args, [])
    if name == "where":
        condition, yes, no = node.args
        yield ast.Call(function, [condition, no, yes], [])
        yield yes
        yield no


def mutants(cls: str) -> Iterator[tuple[str, type]]:
    """Yield a description and the class, for each change of the class or of what it calls."""
    for definition in reachable(cls):
        yield from changed(SOURCE, definition, cls)


def changed(source: ast.Module, definition: Any, cls: str) -> Iterator[tuple[str, type]]:
    """Yield a description and the class `cls`, for each change within one definition."""
    index = list(ast.walk(source)).index(definition)
    for place, node in enumerate(ast.walk(definition)):
        for wrong in variants(node):
            tree = copy.deepcopy(source)
            target = list(ast.walk(tree))[index]
            old = list(ast.walk(target))[place]
            Replace(old, wrong).visit(target)
            yield f"{ast.unparse(node)}  ->  {ast.unparse(wrong)}", run(tree)[cls]


class Replace(ast.NodeTransformer):
    """Put one node in the place of another."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> Any:
        return copy.deepcopy(self.new) if node is self.old else super().visit(node)


def reachable(cls: str) -> list[Any]:
    """Return the methods' class and the functions of the module that it uses, directly or not."""
    found = {}
    waiting = [cls]
    definitions = {d.name: d for d in SOURCE.body if isinstance(d, ast.ClassDef | ast.FunctionDef)}
    while waiting:
        name = waiting.pop()
        found[name] = definitions[name]
        names = {n.id for n in ast.walk(definitions[name]) if isinstance(n, ast.Name)}
        waiting += sorted(names & definitions.keys() - found.keys())
    return list(found.values())


def run(tree: ast.Module) -> dict[str, Any]:
    """Execute a changed copy of the module and return its names."""
    module = ModuleType("mutant")
    module.__package__ = "flowtutorial"
    sys.modules["mutant"] = module  # dataclasses look their module up
    exec(compile(ast.fix_missing_locations(tree), "mutant", "exec"), module.__dict__)
    return module.__dict__


# -- the independent check -------------------------------------------------------------------------

PARAMETERS = np.array([[0.4, -0.3], [-0.7, 0.6], [1.3, 0.2]])


def is_bijection_in_floats(cls: Any) -> bool:
    """Check round trips and log-determinants numerically, for three sets of parameters."""
    count = len(dataclasses.fields(cls))
    z = np.array([-2.3, -1.1, -0.4, -0.07, 0.09, 0.6, 1.7, 2.9])
    with np.errstate(all="ignore"):
        return all(
            passes(one.forward_and_log_det, one.inverse_and_log_det, z)
            and passes(one.inverse_and_log_det, one.forward_and_log_det, original(one, z))
            for one in (cls(*row[:count]) for row in PARAMETERS)
        )


def original(mutant: Any, z: np.ndarray) -> np.ndarray:
    """Return points of the codomain, from the class that was not changed."""
    shipped = getattr(elementwise, type(mutant).__name__)
    fields = [getattr(mutant, field.name) for field in dataclasses.fields(mutant)]
    return shipped(*fields).forward_and_log_det(z)[0]


def passes(there: Any, back: Any, points: np.ndarray) -> bool:
    """Whether `back` undoes `there`, and its log-determinant is that of a difference quotient."""
    value, log_det = there(points)
    step = 1e-6 * np.maximum(np.abs(points), 0.01)
    slope = (there(points + step)[0] - there(points - step)[0]) / (2 * step)
    return np.allclose(back(value)[0], points, atol=1e-7) and np.allclose(
        log_det, np.log(np.abs(slope)), atol=1e-4
    )


@pytest.mark.parametrize("name", CLASSES)
def test_every_shipped_class_is_tried(name: str) -> None:
    assert is_bijection_in_floats(getattr(elementwise, name))


def test_no_class_is_forgotten() -> None:
    shipped = {
        name
        for name, value in vars(elementwise).items()
        if isinstance(value, type) and value.__module__ == elementwise.__name__
        if value.event_ndim == 0
    }
    assert shipped <= CLASSES.keys()


@pytest.mark.parametrize("name", CLASSES)
def test_wrong_mutants_are_never_proved(name: str) -> None:
    wrong = survivors = 0
    accepted = []
    for description, cls in mutants(name):
        try:
            proof = prove_bijection(cls)
        except (TypeError, ValueError):  # no formula, or an empty codomain
            wrong += 1
            continue
        if not proof:
            wrong += 1
        elif is_bijection_in_floats(cls):
            survivors += 1
        else:
            accepted.append(f"{description}: {proof!r}")
    assert not accepted
    assert wrong >= CLASSES[name], f"{wrong} mutants refused, {survivors} equivalent"


# -- families with arrays of parameters ------------------------------------------------------------

# Module, class, parameters, the methods that are changed, how many mutants are at least expected.
FAMILIES: list[tuple[ModuleType, str, tuple[Any, ...], set[str], int]] = [
    (
        mixture,
        "LogisticMixture",
        ([0.4], [-1.0, 1.2], [-0.3, 0.2]),
        {"log_softmax", "log_weights", "inverse_and_log_det", "forward_and_log_det", "excess"},
        25,
    ),
    (
        spline,
        "RationalQuadraticSpline",
        ([0.3, -0.2], [0.1, 0.9], [0.4], (-2.0, 3.0)),
        {"forward_and_log_det", "inverse_and_log_det", "_log_slope", "knots", "_accumulated",
         "_located", "_joined"},
        60,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name", "params", "methods", "expected"), FAMILIES)
def test_wrong_mutants_of_families_are_never_proved(
    module: ModuleType, name: str, params: tuple[Any, ...], methods: set[str], expected: int
) -> None:
    source = ast.parse(inspect.getsource(module))
    wrong, accepted = 0, []
    for definition in ast.walk(source):
        if not isinstance(definition, ast.FunctionDef) or definition.name not in methods:
            continue
        for description, cls in changed(source, definition, name):
            try:
                made = cls(*params)
                if family_is_bijection_in_floats(made, module, params):
                    continue
                proof = prove_bijection(made)
            except (TypeError, ValueError, IndexError, AttributeError):
                wrong += 1
                continue
            if proof:
                accepted.append(f"{description}: {proof!r}")
            wrong += not proof
    assert not accepted
    assert wrong >= expected


def family_is_bijection_in_floats(made: Any, module: ModuleType, params: tuple[Any, ...]) -> bool:
    """Check round trips, both log-determinants, and that knots are where they were."""
    shipped = getattr(module, type(made).__name__)(*params)
    x = np.array([-3.1, -1.6, -0.7, 0.21, 0.9, 1.83, 2.7, 3.4])
    with np.errstate(all="ignore"):
        z = shipped.inverse_and_log_det(x)[0]
        return passes(made.inverse_and_log_det, made.forward_and_log_det, x) and passes(
            made.forward_and_log_det, made.inverse_and_log_det, z
        )
