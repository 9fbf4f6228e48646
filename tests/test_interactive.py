"""Figures that move: what they compute is what NumPy computes, evaluated by Vega itself."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import sympy as sp
import vl_convert
from numpy.testing import assert_allclose
from PIL import Image
from scipy import special

from flowtutorial import (
    Affine,
    Bijection,
    Exp,
    Flow,
    LeakyReLU,
    Logistic,
    Shift,
    Sigmoid,
    SinhArcsinh,
    Softplus,
    StandardNormal,
    Tanh,
    gallery,
    interactive,
    plotting,
)
from flowtutorial.spline import SplineBin
from flowtutorial.symbolic import SymArray, symbols
from flowtutorial.symbolic.vega import multiplied_out, vega
from tests.moving import CASES, COUPLINGS, PAIRS, figure, spline

LAB = "5.8"  # JupyterLab 4 has 5.6; this is the nearest here. The pages are tested in a browser.
POINTS = [-700.0, -30.0, -2.5, -1.0, -0.4, -1e-5, -1e-12, 0.0, 1e-9, 0.3, 0.7, 1.0, 2.0, 25.0]
INSIDE = [1e-9, 0.01, 0.3, 0.5, 0.8, 0.999]


def evaluated(rows: list[dict[str, float]], expressions: dict[str, str]) -> list[dict[str, Any]]:
    """Let Vega compute expressions for the rows of a table, and return the rows."""
    transforms = [{"type": "formula", "expr": text, "as": n} for n, text in expressions.items()]
    words = {"signal": "toString(datum.index) + ' ' + toString(datum.result)"}
    table = [dict(row, index=index) for index, row in enumerate(rows)]
    results: list[dict[str, Any]] = []
    for name in expressions:
        last = {"type": "formula", "expr": f"datum.{name}", "as": "result"}
        spec = {
            "data": [{"name": "table", "values": table, "transform": [*transforms, last]}],
            "marks": [
                {"type": "text", "from": {"data": "table"}, "encode": {"update": {"text": words}}}
            ],
        }
        found = [w.split() for w in texts(vl_convert.vega_to_scenegraph(spec))]
        results.append({index: float(value.replace("Infinity", "inf")) for index, value in found})
    return [
        {name: column[str(k)] for name, column in zip(expressions, results, strict=True)}
        for k in range(len(rows))
    ]


def texts(item: Any) -> Iterator[str]:
    """Yield all text in a drawn scene; a text of several lines yields each."""
    if isinstance(item, dict):
        text = item.get("text")
        if isinstance(text, list):
            yield from text
        elif text is not None:
            yield str(text)
        for part in item.values():
            yield from texts(part)
    elif isinstance(item, list):
        for part in item:
            yield from texts(part)


def in_vega(function: Callable[..., Any], points: list[float]) -> np.ndarray:
    """Trace a function of one variable, print it, and let Vega compute it."""
    expressions = vega({"value": function(symbols("x"))}, ["x"])
    rows = evaluated([{"x": point} for point in points], {**expressions})
    return np.array([row["value"] for row in rows])


# -- the printer -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        np.exp,
        np.expm1,
        np.sinh,
        np.cosh,
        np.tanh,
        np.arcsinh,
        np.arctan,
        np.sin,
        np.abs,
        np.sign,
        special.ndtr,
        special.erfc,
        lambda x: x**2 - 1 / (2.0 + x**4),
        lambda x: np.sqrt(x * x) * np.pi + np.e,
        lambda x: np.where(x < 0.0, -2.0 * x, np.where(x > 1.0, x**3, 0.5)),
        lambda x: np.maximum(x, 0.25) - np.minimum(x, -3.0),
        lambda x: np.logaddexp(x, 2.0),
        lambda x: np.where(
            (x > 0.0) & ~(x >= 2.0), 1.0, np.where((x == 2.0) | (x < -1.0), 2.0, 3.0)
        ),
    ],
)
def test_functions_have_the_values_of_numpy(function: Callable[..., Any]) -> None:
    assert_allclose(in_vega(function, POINTS), function(np.array(POINTS)), rtol=2e-12, atol=1e-300)


@pytest.mark.parametrize(
    "function",
    [np.log, np.log1p, np.arctanh, np.arcsin, np.arccos, np.sqrt, special.ndtri, special.erfinv],
)
def test_functions_on_the_unit_interval(function: Callable[..., Any]) -> None:
    assert_allclose(in_vega(function, INSIDE), function(np.array(INSIDE)), rtol=2e-9, atol=1e-15)


def test_arcosh() -> None:
    points = [1.0 + 1e-10, 1.5, 40.0]
    assert_allclose(in_vega(np.arccosh, points), np.arccosh(points), rtol=1e-13)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize(
    "bijection",
    [
        Shift(0.3),
        Affine(-1.0, 0.4),
        Exp(),
        Sigmoid(),
        Softplus(),
        Tanh(),
        LeakyReLU(-0.7),
        SinhArcsinh(0.4, -0.3),
        SplineBin(-1.0, 3.0, -1.0, 2.0, 0.3, 4.0),
    ],
    ids=lambda b: type(b).__name__,
)
def test_bijections_have_the_values_of_numpy(bijection: Bijection, direction: str) -> None:
    method = getattr(bijection, f"{direction}_and_log_det")
    for part in (0, 1):
        expected = method(np.array(INSIDE))[part]
        found = in_vega(lambda x, part=part: method(x)[part], INSIDE)
        assert_allclose(found, expected, rtol=1e-11, atol=1e-13)


def test_densities_have_the_values_of_numpy() -> None:
    points = [-3.0, -0.5, 0.0, 1.7]
    for flow in (
        Flow(StandardNormal(), SinhArcsinh(0.4, 0.2)),
        Flow(Logistic(), Affine(1.0, -0.5)),
    ):
        assert_allclose(in_vega(flow.log_prob, points), flow.log_prob(points), rtol=1e-12)


def test_infinities_and_nan() -> None:
    rows = evaluated([{}], {"a": vega({"a": np.inf})["a"], "b": vega({"b": -np.inf})["b"]})
    assert rows == [{"a": np.inf, "b": -np.inf}]
    assert vega({"a": np.nan}) == {"a": "NaN"}


def test_columns_and_parameters_are_told_apart() -> None:
    x, mu = symbols("x mu")
    assert vega({"p": x * mu}, ["x"]) == {"p": "mu*datum.x"}
    assert vega({"p": x * mu}) == {"p": "mu*x"}


def test_repeated_parts_are_computed_once() -> None:
    x = symbols("x")
    steps = vega({"a": np.tanh(np.sinh(x)), "b": np.sinh(x) + 1.0}, ["x"])
    assert list(steps)[-1] == "b"
    assert "exp" not in steps["b"]
    assert max(len(text) for text in steps.values()) < 200


@pytest.mark.parametrize(
    ("formula", "reason"),
    [
        (sp.gamma(sp.Symbol("x")), "gamma"),
        (sp.I * sp.Symbol("x"), "not real"),
        (sp.zoo, "not real"),
        (sp.Symbol("μ"), "ASCII"),
        (sp.Function("f")(sp.Symbol("x")), "f"),
        (sp.Derivative(sp.Function("f")(sp.Symbol("x")), sp.Symbol("x")), "Derivative"),
    ],
)
def test_what_can_not_be_printed_is_named(formula: sp.Expr, reason: str) -> None:
    with pytest.raises(TypeError, match=f"p: .*no form in the expression language.*{reason}"):
        vega({"p": formula})


def test_a_mean_over_data_becomes_a_few_numbers() -> None:
    x, mu = np.linspace(-1.0, 2.0, 50).round(3), symbols("mu")
    mean = multiplied_out(np.mean(Flow(StandardNormal(), Shift(mu)).log_prob(SymArray(x))))
    assert len(vega({"mean": mean})["mean"]) < 80


# -- the figures -----------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[str, interactive.Figure]:
    return request.param, figure(request.param)


def at(spec: dict[str, Any], place: dict[str, float]) -> dict[str, Any]:
    """Return the specification with its sliders at another place."""
    assert place.keys() == {p["name"] for p in spec["params"] if "bind" in p}
    params = [p | {"value": place.get(p["name"], p.get("value"))} for p in spec["params"]]
    params = [{k: v for k, v in p.items() if v is not None} for p in params]
    return spec | {"params": params}


def test_words_are_those_of_numpy(case: tuple[str, interactive.Figure]) -> None:
    name, figure = case
    for place in CASES[name].places:
        scene = vl_convert.vegalite_to_scenegraph(at(figure.spec(), place), vl_version=LAB)
        shown = list(texts(scene))
        for words in CASES[name].words(**place):
            assert words in shown, place
            shown.remove(words)


@pytest.mark.parametrize("version", [LAB, interactive.VEGA_LITE])
def test_specifications_compile_without_a_warning(
    case: tuple[str, interactive.Figure], version: str, capfd: pytest.CaptureFixture[str]
) -> None:
    spec = {name: part for name, part in case[1].spec().items() if name != "$schema"}
    vl_convert.vegalite_to_vega(spec, vl_version=version, show_warnings=True)
    assert capfd.readouterr() == ("", "")


def test_outputs_are_vega_a_picture_and_plain_text(case: tuple[str, interactive.Figure]) -> None:
    bundle = case[1]._repr_mimebundle_()
    assert set(bundle) == {"application/vnd.vegalite.v5+json", "image/png", "text/plain"}
    spec = bundle[interactive.MIME]
    assert spec["$schema"] == interactive.SCHEMA
    assert "http" not in json.dumps({k: v for k, v in spec.items() if k != "$schema"})
    picture = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert picture.width > 500
    assert len(np.unique(np.asarray(picture))) > 20
    assert all(name in bundle["text/plain"] for name in CASES[case[0]].places[0])


def numbers_in(item: Any) -> Iterator[float]:
    if isinstance(item, dict | list):
        for part in item.values() if isinstance(item, dict) else item:
            yield from numbers_in(part)
    elif isinstance(item, float):
        yield item


def test_data_have_six_decimals(case: tuple[str, interactive.Figure]) -> None:
    def tables(item: Any) -> Iterator[Any]:
        if isinstance(item, dict):
            yield from (v for k, v in item.items() if k in ("datasets", "values"))
            yield from (t for v in item.values() for t in tables(v))
        elif isinstance(item, list):
            yield from (t for v in item for t in tables(v))

    assert all(value == round(value, 6) for value in numbers_in(list(tables(case[1].spec()))))


def test_letters_are_large_enough(case: tuple[str, interactive.Figure]) -> None:
    def sizes(item: Any) -> Iterator[float]:
        if isinstance(item, dict):
            yield from (v for k, v in item.items() if "fontSize" in k or "FontSize" in k)
            yield from (s for v in item.values() for s in sizes(v))
        elif isinstance(item, list):
            yield from (s for v in item for s in sizes(v))

    scene = vl_convert.vegalite_to_scenegraph(case[1].spec(), vl_version=LAB)
    found = list(sizes(scene))
    assert found
    assert min(found) >= 11


def test_colours_have_the_meaning_of_the_book(case: tuple[str, interactive.Figure]) -> None:
    named = {plotting.BASE, plotting.DATA, plotting.MODEL, plotting.JACOBIAN, plotting.LIGHT}
    words = {interactive.INK, gallery.BASE_INK, gallery.MODEL_INK}
    for panel in case[1].panels:
        assert {layer.color for layer in panel.layers} <= named | words
        assert {layer.color for layer in panel.layers if layer.label == "model"} <= {plotting.MODEL}
        assert {layer.color for layer in panel.layers if layer.label == "base"} <= {plotting.BASE}


def test_a_new_process_makes_the_same_figure() -> None:
    script = (
        "import json; from tests.moving import CASES;"
        "print(json.dumps(CASES['likelihood_and_kl'].make().spec()))"
    )
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert other.returncode == 0, other.stderr
    assert json.loads(other.stdout) == figure("likelihood_and_kl").spec()


def test_the_same_figure_twice_in_one_session() -> None:
    first, second = figure("likelihood_and_kl"), CASES["likelihood_and_kl"].make()
    assert json.dumps(first.spec()) == json.dumps(second.spec())
    assert first.png() == second.png()


def test_one_knot_is_the_shipped_spline() -> None:
    z = np.linspace(-4.0, 4.0, 101)
    for place in CASES["spline_knot"].places:
        shipped, drawn = spline(**place), gallery._OneKnot(**place, end=3.0)
        for direction in ("forward_and_log_det", "inverse_and_log_det"):
            with np.errstate(invalid="ignore"):  # each bin is also asked outside of its interval
                found = getattr(drawn, direction)(z)
            assert_allclose(found, getattr(shipped, direction)(z), rtol=1e-9, atol=1e-11)


def test_slope_has_the_log_det_of_its_derivative() -> None:
    line = gallery._Slope(-1.5)
    x, log_det = line.forward_and_log_det(np.array([2.0]))
    back, inverse_log_det = line.inverse_and_log_det(x)
    assert_allclose([x[0], back[0]], [-3.0, 2.0])
    assert_allclose([log_det[0], inverse_log_det[0]], [np.log(1.5), -np.log(1.5)])


@pytest.mark.parametrize("depth", [0, 1, 2.5, 3])
def test_dots_are_where_the_layers_carry_them(depth: float) -> None:
    spec = figure("layers").spec()
    panel = spec["concat"][0]["layer"][1]
    steps = {step["as"]: step["calculate"] for step in panel["transform"] if "calculate" in step}
    placed = {name: re.sub(r"\bdepth\b", str(float(depth)), text) for name, text in steps.items()}
    rows = evaluated(spec["datasets"][panel["data"]["name"]], placed)
    places = [PAIRS]
    for part in COUPLINGS.parts:
        places.append(part.forward(places[-1]))
    before = int(min(depth, 2))
    expected = places[before] + (depth - before) * (places[before + 1] - places[before])
    found = [[row["at_x"], row["at_y"]] for row in rows]
    assert_allclose(found, expected, atol=1e-3)
    assert_allclose([row["shade"] for row in rows], PAIRS[:, 0], atol=1e-3)


# -- building one ----------------------------------------------------------------------------------


def small(formula: Any, sliders: list[Any], **options: Any) -> interactive.Figure:
    grid = interactive.Grid("x", 0.0, 1.0, 4)
    layer = interactive.curve(grid, formula(grid), color=plotting.MODEL)
    panel = interactive.Panel(
        [layer], interactive.Axis("x", 0.0, 1.0), interactive.Axis("y", 0.0, 1.0)
    )
    return interactive.Figure([panel], sliders, alt="A test", **options)


def test_a_formula_needs_its_sliders() -> None:
    a, b = (interactive.slider(name, 0.0, 1.0, 0.5, step=0.1) for name in "ab")
    assert small(lambda x: a * x, [a]).spec()["params"][0]["name"] == "a"
    with pytest.raises(ValueError, match="no slider or value is called b;"):
        small(lambda x: a * b * x, [a])
    with pytest.raises(ValueError, match="no slider or value is called b;"):
        small(lambda x: a * x, [a], numbers=[("b = ", (b, ".2f"))])
    with pytest.raises(ValueError, match="no slider or value is called b;"):
        small(lambda x: a * x, [a], values=[interactive.Value("c", a + b)])


def test_values_can_be_used_by_name() -> None:
    a = interactive.slider("a", 0.0, 1.0, 0.5, step=0.1)
    c = interactive.Value("c", np.expm1(a))
    spec = small(lambda x: c * x, [a], values=[c], numbers=[("it's ", (c, ".3f"))]).spec()
    shown = list(texts(vl_convert.vegalite_to_scenegraph(spec, vl_version=LAB)))
    assert f"it's {np.expm1(0.5):.3f}" in shown


def test_sliders_check_their_start_and_step() -> None:
    with pytest.raises(ValueError, match="value: expected a start in"):
        interactive.slider("a", 0.0, 1.0, 2.0, step=0.1)
    with pytest.raises(ValueError, match="step: expected a positive step"):
        interactive.slider("a", 0.0, 1.0, 0.5, step=0.0)
    with pytest.raises(ValueError, match="x: no data"):
        gallery.pit([])
