"""Figures that move: charts that compute in the page, from the formulas of the package's own code.

A slider is a symbol that the reader moves, a grid one that runs through an interval. Put them into
flows as numbers are put in, and what comes out is drawn; `symbolic.vega` prints the traced formulas
for the browser, so that no kernel is needed and nothing is typed twice. `gallery` has the figures
of the book. This is the only module that imports Altair.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import altair as alt
import numpy as np

from .blocks import Array
from .plotting import DATA
from .symbolic import SymArray, symbols
from .symbolic.vega import symbol_names, vega

MIME = "application/vnd.vegalite.v5+json"
# JupyterLab 4 renders Vega-Lite 5.6; the book's pages and still pictures are drawn by a newer one.
# What is used here both have.
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
VEGA_LITE = "6.4"
DIGITS = 6  # decimals of data inside a figure

INK, PALE = "#222222", "#666666"
FONT = "DejaVu Sans, Verdana, sans-serif"
# Everything that a dark theme would change is said here, because figures lie on a white card.
CONFIG: dict[str, Any] = {
    "background": "white",
    "font": FONT,
    "padding": 8,
    "view": {"stroke": None},
    "axis": {
        "domainColor": PALE,
        "gridColor": "#e6e6e6",
        "labelColor": INK,
        "labelFontSize": 12,
        "tickColor": PALE,
        "titleColor": INK,
        "titleFontSize": 13,
        "titleFontWeight": "normal",
    },
    "axisX": {"tickCount": 7},
    "axisY": {"tickCount": 5, "minExtent": 26},
    "legend": {
        "columns": 2,
        "labelColor": INK,
        "labelFontSize": 12,
        "labelLimit": 320,
        "orient": "bottom",
        "symbolOpacity": 1,
        "symbolStrokeWidth": 3,
        "symbolType": "stroke",
        "title": None,
    },
    "style": {"guide-label": {"fill": INK}, "guide-title": {"fill": INK}},
    "title": {
        "anchor": "start",
        "color": INK,
        "fontSize": 14,
        "fontWeight": "normal",
        "lineHeight": 19,
        "offset": 12,
    },
    "text": {"color": INK, "fontSize": 12},
    "concat": {"spacing": 18},
}


class Slider(SymArray):
    """What `slider` returns: a traced symbol with its name and its Vega-Lite parameter."""

    def __init__(self, name: str, parameter: Any) -> None:
        super().__init__(symbols(name))
        self.name = name
        self.parameter = parameter


def slider(name: str, low: float, high: float, value: float, step: float, label: str = "") -> Any:
    """Return a traced symbol that the reader moves.

    Parameters
    ----------
    name : str
        Its name in formulas, in ASCII.
    low, high, value, step : float
        The ends, the start, and the distance from one place to the next.
    label : str, optional
        What stands beside it; by default the name.

    Raises
    ------
    ValueError
        If the start lies outside, or the step is not positive.

    Examples
    --------
    >>> from flowtutorial import Shift
    >>> mu = slider("mu", -4, 4, 0, step=0.1, label="shift μ")
    >>> Shift(mu).forward(mu)
    SymArray(2*mu)
    """
    if not low <= value <= high:
        raise ValueError(
            f"value: expected a start in [{low:g}, {high:g}] for the slider {name}, got {value}"
        )
    if not step > 0.0:
        raise ValueError(f"step: expected a positive step for the slider {name}, got {step}")
    bound = alt.binding_range(min=low, max=high, step=step, name=f"{label or name} ")
    return Slider(name, alt.param(name=name, value=value, bind=bound))


class Grid(SymArray):
    """A traced symbol that runs through an interval: the horizontal axis of a curve.

    Parameters
    ----------
    name : str
        Its name in formulas, in ASCII.
    low, high : float
        The ends; both belong to it.
    intervals : int
        Into how many equal parts it is cut.
    """

    def __init__(self, name: str, low: float, high: float, intervals: int) -> None:
        super().__init__(symbols(name))
        step = (high - low) / intervals
        self.name = name
        self.table = alt.sequence(low, round(high + step / 2, DIGITS), round(step, 9), as_=name)


class Column(SymArray):
    """A traced symbol that runs through data, which the figure carries with it.

    Parameters
    ----------
    name : str
        Its name in formulas, in ASCII.
    values : array
        The data; rounded to 6 decimals.
    """

    def __init__(self, name: str, values: Array) -> None:
        super().__init__(symbols(name))
        self.name = name
        self.table = _rows(**{name: values})


class Table:
    """Traced symbols that run together through the rows of data, which the figure carries with it.

    Parameters
    ----------
    **columns : array
        The data by name, of the same length; rounded to 6 decimals. `table["x"]` is a symbol.

    Examples
    --------
    >>> Table(x=[0.0, 1.0], y=[2.0, 3.0])["y"]
    SymArray(y)
    """

    def __init__(self, **columns: Array) -> None:
        self.symbols = {name: symbols(name) for name in columns}
        self.table = _rows(**columns)

    def __getitem__(self, name: str) -> Any:
        return self.symbols[name]


class Value(SymArray):
    """A named number that follows the sliders.

    Parameters
    ----------
    name : str
        Its name in formulas, in ASCII.
    formula
        A traced formula of sliders and of values that come before it.
    """

    def __init__(self, name: str, formula: Any) -> None:
        super().__init__(symbols(name))
        self.name = name
        self.formula = formula


# -- what a panel holds ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """One thing that is drawn.

    Attributes
    ----------
    chart : altair.Chart
        Its mark and its table, with every formula computed for each row.
    channels : dict
        Which column stands for which channel (`x`, `y`, `x2`, `text`, ...).
    needs : set of str
        The sliders and values in its formulas.
    color, label : str
        Its colour, and its word in the legend; without a word it is not listed.
    """

    chart: Any
    channels: dict[str, Any]
    needs: set[str]
    color: str
    label: str = ""


def _rows(**columns: Array) -> Any:
    """Return columns of data as a table that the figure carries with it, rounded."""
    names = list(columns)
    rounded = [np.round(np.asarray(columns[name], dtype=float), DIGITS).tolist() for name in names]
    return alt.InlineData(
        values=[dict(zip(names, row, strict=True)) for row in zip(*rounded, strict=True)]
    )


def _computed(along: Grid | Column | Table | None, **formulas: Any) -> tuple[Any, set[str]]:
    """Return a chart that computes formulas for each place of `along`, or once; and their needs."""
    if along is None:
        names = set()
    else:
        names = set(along.symbols) if isinstance(along, Table) else {along.name}
    table = alt.InlineData(values=[{}]) if along is None else along.table
    chart: Any = alt.Chart(table)
    for name, text in vega(formulas, names).items():
        chart = chart.transform_calculate(calculate=text, as_=name)
    return chart, symbol_names(formulas.values()) - names


def curve(along: Grid, y: Any, *, x: Any = None, color: str, label: str = "", **mark: Any) -> Layer:
    """Draw `y` over a grid, or the point `(x, y)` at every place of the grid."""
    chart, needs = _computed(along, at_x=along if x is None else x, at_y=y)
    drawn = chart.mark_line(**({"strokeWidth": 2.5, "clip": True} | mark))
    channels = {"x": "at_x", "y": "at_y", "order": alt.Order(f"{along.name}:Q")}
    return Layer(drawn, channels, needs, color, label)


def area(
    along: Grid, height: Any, *, place: Any = None, color: str, sideways: bool = False
) -> Layer:
    """Fill what lies between the axis and a height, which is laid off upwards or `sideways`."""
    across, up = ("y", "x") if sideways else ("x", "y")
    chart, needs = _computed(along, at_place=along if place is None else place, at_height=height)
    orient = "horizontal" if sideways else "vertical"
    drawn = chart.mark_area(opacity=0.35, clip=True, orient=orient)
    return Layer(drawn, {across: "at_place", up: "at_height", f"{up}2": alt.datum(0)}, needs, color)


def dots(
    x: Any,
    y: Any,
    *,
    along: Grid | Column | Table | None = None,
    color: str,
    label: str = "",
    shade: Any = None,
    **mark: Any,
) -> Layer:
    """Draw a dot at `(x, y)`, or one for each place of `along`, perhaps in the shade of a number.

    Shades run from dark to light, without a legend; `color` is then not used.
    """
    formulas = {"at_x": x, "at_y": y} | ({} if shade is None else {"shade": shade})
    chart, needs = _computed(along, **formulas)
    drawn = chart.mark_point(**({"filled": True, "size": 70, "opacity": 1, "clip": True} | mark))
    channels: dict[str, Any] = {"x": "at_x", "y": "at_y"}
    if shade is not None:
        shades = alt.Scale(scheme="viridis")
        channels["color"] = alt.Color("shade:Q", scale=shades, legend=None)
    return Layer(drawn, channels, needs, color, label)


def segment(
    start: tuple[Any, Any], end: tuple[Any, Any], *, color: str, label: str = "", **mark: Any
) -> Layer:
    """Draw a straight line from one point to another."""
    chart, needs = _computed(None, x_1=start[0], y_1=start[1], x_2=end[0], y_2=end[1])
    drawn = chart.mark_rule(**({"strokeWidth": 1.5, "clip": True} | mark))
    return Layer(drawn, {"x": "x_1", "y": "y_1", "x2": "x_2", "y2": "y_2"}, needs, color, label)


def rug(along: Column, *, color: str = DATA, label: str = "data") -> Layer:
    """Draw each observation as a short stroke on the horizontal axis."""
    chart = alt.Chart(along.table).mark_tick(orient="vertical", size=14, thickness=1.5)
    return Layer(chart, {"x": along.name, "y": alt.datum(0)}, set(), color, label)


def histogram(x: Array, edges: Array, *, color: str = DATA, label: str = "data") -> Layer:
    """Draw data as a histogram of total area 1."""
    height, edges = np.histogram(x, bins=edges, density=True)
    chart = alt.Chart(_rows(left=edges[:-1], right=edges[1:], height=height))
    channels = {"x": "left", "x2": "right", "y": "height", "y2": alt.datum(0)}
    return Layer(chart.mark_rect(opacity=0.3, clip=True), channels, set(), color, label)


def counts(along: Column, u: Any, bins: int, *, color: str, label: str = "") -> list[Layer]:
    """Count in the page how many `u` fall into each part of [0, 1], and draw shares of the mean.

    A bar of height 1 holds as many as a uniform distribution would put there. The number counted
    stands in the bar.
    """
    chart, needs = _computed(along, at_u=u)
    expected = len(along.table.values) / bins
    counted = (
        chart.transform_calculate(calculate=f"min(floor({bins} * datum.at_u), {bins - 1})", as_="k")
        .transform_aggregate(count="count()", groupby=["k"])
        .transform_calculate(calculate=f"datum.k / {bins}", as_="left")
        .transform_calculate(calculate=f"(datum.k + 1) / {bins}", as_="right")
        .transform_calculate(calculate=f"(datum.k + 0.5) / {bins}", as_="middle")
        .transform_calculate(calculate=f"datum.count / {expected}", as_="height")
    )
    bar = {"x": "left", "x2": "right", "y": "height", "y2": alt.datum(0)}
    number = {"x": "middle", "y": alt.datum(0), "text": alt.Text("count:Q")}
    return [
        Layer(counted.mark_rect(opacity=0.3, stroke="white", clip=True), bar, needs, color, label),
        Layer(counted.mark_text(baseline="bottom", dy=-4), number, needs, INK),
    ]


def total(along: Grid, summand: Any, words: str, *, color: str = INK, top: bool = True) -> Layer:
    """Add up a formula over all places of a grid, in the page, and write the sum into a corner.

    Parameters
    ----------
    along, summand
        A grid, and what is added for each of its places.
    words : str
        What stands before the sum.
    top : bool
        Whether it stands in the upper left corner, or in the lower.
    """
    chart, needs = _computed(along, summand=summand)
    added = chart.transform_aggregate(total="sum(summand)").transform_calculate(
        calculate=f"{_quoted(words)} + format(datum.total, '.4f')", as_="words"
    )
    drawn = added.mark_text(align="left", baseline="top" if top else "bottom", fontSize=12)
    place = {"x": alt.value(4), "y": alt.value(3 if top else "height")}
    return Layer(drawn, {**place, "text": alt.Text("words:N")}, needs, color)


@dataclass(frozen=True)
class Axis:
    """An axis of a panel: what it shows, and its title; without a title it has no numbers either.

    Attributes
    ----------
    title : str
        Its words.
    low, high : float
        What it shows.
    reverse : bool
        Whether it runs to the left, or down.
    ticks : int
        About how many numbers stand on it; by default the book's usual number.
    orient : str
        On which side of the panel it stands, if not on the left or below.
    """

    title: str
    low: float
    high: float
    reverse: bool = False
    ticks: int | None = None
    orient: str | None = None

    def channel(self, kind: Any, column: Any) -> Any:
        """Return the channel of a column, `kind` being `altair.X` or `altair.Y`."""
        if not isinstance(column, str):
            return column
        scale = alt.Scale(domain=[self.low, self.high], nice=False, reverse=self.reverse)
        bare = {"labels": False, "ticks": False, "minExtent": 0}
        look: dict[str, Any] = {} if self.title else bare
        if self.ticks is not None:
            look["tickCount"] = self.ticks
        if self.orient is not None:
            look["orient"] = self.orient
        return kind(f"{column}:Q", scale=scale, title=self.title or None, axis=alt.Axis(**look))


@dataclass(frozen=True)
class Panel:
    """Layers over common axes; without a layer, an empty place."""

    layers: Sequence[Layer]
    x: Axis
    y: Axis
    width: int = 285
    height: int = 200

    def chart(self) -> Any:
        """Return the panel as an Altair chart, with a legend of its labelled layers."""
        listed = {layer.label: layer.color for layer in self.layers if layer.label}
        scale = alt.Scale(domain=list(listed), range=list(listed.values()))
        drawn = []
        for layer in self.layers:
            channels = dict(layer.channels)
            channels["x"] = self.x.channel(alt.X, channels["x"])
            channels["y"] = self.y.channel(alt.Y, channels["y"])
            channels.setdefault("color", alt.value(layer.color))
            chart = layer.chart
            if layer.label:
                chart = chart.transform_calculate(calculate=_quoted(layer.label), as_="legend")
                channels["color"] = alt.Color("legend:N", scale=scale)
            drawn.append(chart.encode(**channels))
        if not drawn:
            drawn.append(alt.Chart(alt.InlineData(values=[{}])).mark_text(text=""))
        return alt.layer(*drawn).properties(width=self.width, height=self.height)


# -- figures ---------------------------------------------------------------------------------------

Line = Sequence[str | tuple[Any, str]]  # words, and numbers with their d3 format


@dataclass(frozen=True, repr=False)
class Figure:
    """A chart with sliders, for JupyterLab and for the book, that needs no kernel.

    Its stored output is a Vega-Lite specification, which is the same each time, and a still
    picture for readers that know no Vega.

    Parameters
    ----------
    panels : sequence of Panel
        Row by row.
    sliders : sequence of Slider
        In the order in which they are shown.
    alt : str
        What the figure shows, in words; its accessible name.
    numbers : sequence of lines
        Shown above the panels; a line is a sequence of words and of pairs of a formula and the
        format of its value.
    values : sequence of Value
        Named numbers that the formulas of the panels use.
    columns : int
        Panels in a row.
    stack : bool
        Whether a narrow page may show the panels one below the other.

    Raises
    ------
    ValueError
        If a formula has a symbol that is neither slider nor value nor the grid of its layer.
    """

    panels: Sequence[Panel]
    sliders: Sequence[Any]
    alt: str
    numbers: Sequence[Line] = ()
    values: Sequence[Value] = ()
    columns: int = 2
    stack: bool = True

    def __post_init__(self) -> None:
        formulas = [value.formula for value in self.values]
        formulas += [part[0] for line in self.numbers for part in line if isinstance(part, tuple)]
        needs = symbol_names(formulas)
        for panel in self.panels:
            needs = needs.union(*(layer.needs for layer in panel.layers))
        unknown = needs - {control.name for control in (*self.sliders, *self.values)}
        if unknown:
            raise ValueError(
                f"panels: no slider or value is called {' or '.join(sorted(unknown))}; add one to "
                "sliders or values"
            )

    def spec(self) -> dict[str, Any]:
        """Return the Vega-Lite specification, as JSON objects."""
        parameters = [slider.parameter for slider in self.sliders]
        computed: dict[str, str] = {}
        for value in self.values:
            computed |= vega({value.name: value.formula})
        words = self._words(computed)
        parameters += [alt.param(name=name, expr=text) for name, text in computed.items()]
        chart = alt.concat(*(panel.chart() for panel in self.panels), columns=self.columns)
        chart = chart.resolve_scale(x="independent", y="independent", color="independent")
        if words:
            chart = chart.properties(title=alt.TitleParams(alt.ExprRef(words)))
        made: dict[str, Any] = chart.add_params(*parameters).to_dict()
        made.pop("config", None)  # a theme of the reader's is not part of the figure
        embed = {"actions": False, "renderer": "svg"}
        return made | {
            "$schema": SCHEMA,
            "config": CONFIG,
            "description": self.alt,
            "usermeta": {"embedOptions": embed, "stack": self.stack},
        }

    def _words(self, computed: dict[str, str]) -> str:
        """Return the expression of the lines above the panels; add their numbers to `computed`."""
        lines = []
        for line in self.numbers:
            parts = []
            for part in line:
                if isinstance(part, str):
                    parts.append(_quoted(part))
                    continue
                name = f"number_{len(computed) + 1}"
                computed |= vega({name: part[0]})
                parts.append(f"format({name}, '{part[1]}')")
            lines.append(" + ".join(parts))
        return f"[{', '.join(lines)}]" if lines else ""

    def png(self) -> bytes:
        """Return the still picture, with every slider at its start."""
        return still(self.spec(), "png")

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        picture = base64.b64encode(self.png()).decode("ascii")
        return {MIME: self.spec(), "image/png": picture, "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"Figure with sliders: {', '.join(slider.name for slider in self.sliders)}"


def _quoted(words: str) -> str:
    """Return words as a string of the expression language."""
    return json.dumps(words, ensure_ascii=False)


def still(spec: dict[str, Any], kind: str) -> bytes:
    """Return a picture of a specification, with every slider at its start: `"svg"` or `"png"`."""
    import vl_convert

    _use_fonts()
    drawn = {name: part for name, part in spec.items() if name != "$schema"}
    if kind == "svg":
        drawing: str = vl_convert.vegalite_to_svg(drawn, vl_version=VEGA_LITE)
        return drawing.encode("utf-8")
    picture = vl_convert.vegalite_to_png(drawn, vl_version=VEGA_LITE, scale=1.5)
    from PIL import Image

    packed = io.BytesIO()  # a quarter of the size: it needs no transparency
    Image.open(io.BytesIO(picture)).convert("RGB").save(packed, "PNG", optimize=True)
    return packed.getvalue()


@cache
def _use_fonts() -> None:
    """Let the converter use the fonts that matplotlib brings: the same letters everywhere."""
    import vl_convert
    from matplotlib import get_data_path

    vl_convert.register_font_directory(f"{get_data_path()}/fonts/ttf")
