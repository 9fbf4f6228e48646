"""The figures of the book that move, one function for each.

Each traces the package's own code on sliders and grids of `interactive`, and shows the result with
the numbers that belong to it. They stand in chapters 1, 2, 3, 5, 7 and 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .bijection import Bijection, Chain
from .blocks import Array, as_observations
from .distributions import StandardNormal
from .divergence import kl_normal
from .elementwise import Affine, Shift, SinhArcsinh
from .flow import Flow
from .interactive import (
    DIGITS,
    INK,
    Axis,
    Column,
    Figure,
    Grid,
    Panel,
    Table,
    Value,
    area,
    counts,
    curve,
    dots,
    histogram,
    rug,
    segment,
    slider,
    total,
)
from .plotting import BASE, DATA, JACOBIAN, LIGHT, MODEL
from .spline import SplineBin
from .symbolic import SymArray, symbols
from .symbolic.vega import multiplied_out

BASE_INK, MODEL_INK = "#0069a5", "#b34d00"  # for words: dark enough on white


def step_size(x: Array, steps: int = 10) -> Figure:
    """Chapter 1: climb the mean log-likelihood of a shift, with a step size of one's own.

    The update `μ ← μ + γ ∂ℓ/∂μ` is that of `gradient_ascent`: the slope is the derivative of the
    traced `Flow.log_prob`, averaged over the data, and the page applies it `steps` times.

    Parameters
    ----------
    x : array
        The data.
    steps : int
        How many updates are shown.
    """
    x = _sample(x)
    gamma = slider("gamma", -0.5, 2.5, 0.4, step=0.05, label="step size γ")
    start = slider("mu_0", -4.0, 8.0, 0.0, step=0.1, label="start μ₀")
    last = slider("steps", 0, steps, steps, step=1, label="steps taken")
    mu = symbols("mu")
    log_likelihood = _mean_log_likelihood(Flow(StandardNormal(), Shift(mu)), x)
    slope = log_likelihood.diff(mu)
    iterates: list[Any] = [Value("m_0", start)]
    for count in range(1, steps + 1):
        before = iterates[-1]
        iterates.append(Value(f"m_{count}", before + gamma * _at(slope, mu, before)))
    reached: Any = Value("m", _chosen(last, iterates))

    grid, t = Grid("x", -5.0, 9.0, 280), Grid("t", 0.0, float(steps), steps)
    density = np.exp(Flow(StandardNormal(), Shift(reached)).log_prob(grid))
    bell = [
        histogram(x, _edges(x, 0.5)),
        curve(grid, np.exp(StandardNormal().log_prob(grid)), color=BASE, label="base"),
        curve(grid, density, color=MODEL, label="model"),
    ]
    mean = float(x.mean())
    path = _chosen(t, iterates)
    climb = [
        segment((-0.5, mean), (steps + 0.5, mean), color=DATA, label="sample mean x̄"),
        curve(t, path, color=MODEL, strokeWidth=1.5),
        dots(t, path, along=t, color=MODEL, label="μ after t steps", size=45),
        dots(last, reached, color=LIGHT, label="the model shown", size=110, stroke=INK),
    ]
    return Figure(
        panels=[
            Panel(bell, Axis("x", -5.0, 9.0), Axis("density", 0.0, 0.6)),
            Panel(climb, Axis("step t", -0.5, steps + 0.5), Axis("μ", -5.0, 9.0)),
        ],
        sliders=[gamma, start, last],
        values=[*iterates, reached],
        numbers=[
            ("μ = ", (reached, ".4f"), f", x̄ = {mean:.4f}"),
            ("mean log-likelihood = ", (_at(log_likelihood, mu, reached), ".4f")),
        ],
        alt="Left: data, the base density, and the model density after the chosen number of steps. "
        "Right: the path of μ against the number of steps, and the sample mean as a line. Sliders "
        "for the step size, the start, and the number of steps.",
    )


def likelihood_and_kl(x: Array, mean: float = 2.0) -> Figure:
    """Chapter 2: move one observation; the likelihood follows, the divergence does not.

    Both curves are traced from the package: `Flow.log_prob`, averaged over the data, and
    `divergence.kl_normal`.

    Parameters
    ----------
    x : array
        Some ten observations; the last is the one that is moved.
    mean : float
        The mean of the density `N(mean, 1)` that they come from.
    """
    x = _sample(x)
    moved = slider(
        "moved", -4.0, 8.0, round(float(x[-1]), 1), step=0.1, label=f"observation {x.size}"
    )
    mu = slider("mu", -1.0, 5.0, 1.0, step=0.05, label="model mean μ")
    data = SymArray([*x[:-1].tolist(), moved])

    def loss(place: Any) -> Any:
        return -_mean_log_likelihood(Flow(StandardNormal(), Shift(place)), data)

    def divergence(place: Any) -> Any:
        return SymArray(kl_normal(mean, 1.0, place, 1.0))

    grid, m, kept = Grid("x", -4.0, 8.0, 240), Grid("m", -1.0, 5.0, 120), Column("x_i", x[:-1])
    truth, model = Flow(StandardNormal(), Shift(mean)), Flow(StandardNormal(), Shift(mu))
    sample_mean = np.mean(data)
    densities = [
        curve(grid, np.exp(truth.log_prob(grid)), color=DATA, label="source p"),
        curve(grid, np.exp(model.log_prob(grid)), color=MODEL, label="model"),
        rug(kept),
        dots(moved, 0.0, color=LIGHT, label="moved observation", size=130, stroke=INK, clip=False),
    ]
    curves = [
        segment((sample_mean, 0.0), (sample_mean, 6.0), color=LIGHT, label="sample mean x̄"),
        curve(m, loss(m), color=DATA, label="−ℓ(μ) of the data"),
        curve(m, divergence(m), color=MODEL, label="KL(p‖model)"),
        dots(mu, loss(mu), color=DATA, stroke=INK),
        dots(mu, divergence(mu), color=MODEL, stroke=INK),
    ]
    return Figure(
        panels=[
            Panel(densities, Axis("x", -4.0, 8.0), Axis("density", 0.0, 0.5)),
            Panel(curves, Axis("μ", -1.0, 5.0), Axis("nats", 0.0, 6.0)),
        ],
        sliders=[moved, mu],
        numbers=[
            ("x̄ = ", (sample_mean, ".4f"), ", KL = ", (divergence(mu), ".4f")),
            ("negative mean log-likelihood = ", (loss(mu), ".4f")),
        ],
        alt=f"Left: the density N({mean:g}, 1), the model density, and {x.size} observations of "
        "which the last can be moved. Right, against μ: the negative mean log-likelihood of the "
        "sample, which follows the moved observation, and the KL divergence, which does not. "
        "Sliders for the observation and for μ.",
    )


@dataclass(frozen=True, eq=False)
class _Slope(Bijection):
    """Multiply by a number other than 0, of either sign."""

    slope: float

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        return self.slope * z, np.zeros_like(z) + np.log(np.abs(self.slope))

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        return x / self.slope, np.zeros_like(x) - np.log(np.abs(self.slope))


def equal_areas(width: float = 0.6, pieces: int = 40) -> Figure:
    """Chapter 3: a slab of base density, carried through a map of adjustable slope.

    The two areas are added up in the page, each from `pieces` strips of its own density; that they
    agree is the change-of-variables formula. A negative slope turns the slab around.

    Parameters
    ----------
    width : float
        Width of the slab under the base density.
    pieces : int
        Number of strips.
    """
    slope = slider("slope", -2.5, 2.5, 1.5, step=0.2, label="slope of the map")
    place = slider("place", -2.5, 2.5, 0.8, step=0.1, label="place z of the slab")
    base = StandardNormal()
    g = _Slope(slope)
    flow = Flow(base, g)

    z, x = Grid("z", -4.0, 4.0, 160), Grid("x", -4.0, 4.0, 320)
    z_1, z_2 = place - width / 2, place + width / 2
    x_1, x_2 = g.forward(z_1), g.forward(z_2)
    s, middle = Grid("s", 0.0, 1.0, pieces), Grid("s", 0.5 / pieces, 1.0 - 0.5 / pieces, pieces - 1)

    def between(a: Array, b: Array, share: Grid) -> Array:
        return a + (b - a) * share

    def p_z(at: Array) -> Array:
        return np.exp(base.log_prob(at))

    def p_x(at: Array) -> Array:
        return np.exp(flow.log_prob(at))

    z_slab, x_slab = between(z_1, z_2, s), between(x_1, x_2, s)
    z_area = p_z(between(z_1, z_2, middle)) * (z_2 - z_1) / pieces
    x_area = p_x(between(x_1, x_2, middle)) * np.abs(x_2 - x_1) / pieces
    side = [
        area(s, p_x(x_slab), place=x_slab, color=MODEL, sideways=True),
        curve(x, x, x=p_x(x), color=MODEL),
    ]
    below = [area(s, p_z(z_slab), place=z_slab, color=BASE), curve(z, p_z(z), color=BASE)]
    center = [curve(z, g.forward(z), color=JACOBIAN)]
    for z_end, x_end in ((z_1, x_1), (z_2, x_2)):
        center.append(segment((z_end, -4.0), (z_end, x_end), color=BASE, strokeWidth=1))
        center.append(segment((-4.0, x_end), (z_end, x_end), color=MODEL, strokeWidth=1))
    along_z, along_x = Axis("z", -4.0, 4.0), Axis("x", -4.0, 4.0)
    hanging = Axis("density of z", 0.0, 0.7, reverse=True, ticks=4, orient="right")
    lying = Axis("density of x", 0.0, 0.7, reverse=True, ticks=4)
    side.append(total(middle, x_area, "area ", color=MODEL_INK))
    below.append(total(middle, z_area, "area ", color=BASE_INK, top=False))
    return Figure(
        panels=[
            Panel(side, lying, along_x, width=130, height=260),
            Panel(center, Axis("", -4.0, 4.0), Axis("", -4.0, 4.0), width=260, height=260),
            Panel([], lying, hanging, width=130, height=130),
            Panel(below, along_z, hanging, width=260, height=130),
        ],
        sliders=[slope, place],
        numbers=[
            (f"width: {width:g} → ", (np.abs(x_2 - x_1), ".4f")),
            ("height: ", (p_z(place), ".4f"), " → ", (p_x(g.forward(place)), ".4f")),
        ],
        stack=False,
        alt="The base density below, a straight line as the map above it, and the density of x at "
        "the side. A slab of the base density is followed through the map; both pieces have the "
        "same area, which is printed. Sliders for the slope, which may be negative, and for the "
        "place of the slab.",
    )


def sinh_arcsinh() -> Figure:
    """Chapter 5: skewness and tail weight of the sinh-arcsinh flow; its density and its stretch.

    Everything is traced from `SinhArcsinh` and `Flow.log_prob`.
    """
    skewness = slider("skewness", -1.5, 1.5, 0.5, step=0.05)
    tails = slider("log_tailweight", -0.7, 0.7, 0.2, step=0.05, label="log of the tail weight")
    place = slider("z_0", -3.0, 3.0, 1.0, step=0.1, label="base value z")
    base, g = StandardNormal(), SinhArcsinh(skewness, tails)
    flow = Flow(base, g)
    x, z = Grid("x", -8.0, 8.0, 320), Grid("z", -3.0, 3.0, 240)
    at, log_stretch = g.forward_and_log_det(place)
    p_x = np.exp(flow.log_prob(at))
    densities = [
        curve(x, np.exp(base.log_prob(x)), color=BASE, label="base"),
        curve(x, np.exp(flow.log_prob(x)), color=MODEL, label="flow"),
        dots(at, p_x, color=LIGHT, label="x = g(z)", size=110, stroke=INK),
    ]
    stretch = [
        segment((-3.0, 1.0), (3.0, 1.0), color=DATA, strokeDash=[4, 3]),
        curve(z, np.exp(g.forward_and_log_det(z)[1]), color=JACOBIAN, label="stretch ∂x/∂z"),
        dots(place, np.exp(log_stretch), color=LIGHT, label="at z", size=110, stroke=INK),
    ]
    return Figure(
        panels=[
            Panel(densities, Axis("x", -8.0, 8.0), Axis("density", 0.0, 0.8)),
            Panel(stretch, Axis("z", -3.0, 3.0), Axis("stretch", 0.0, 6.0)),
        ],
        sliders=[skewness, tails, place],
        numbers=[
            ("x = g(z) = ", (at, ".4f"), ", stretch = ", (np.exp(log_stretch), ".4f")),
            ("density of the base at z = ", (np.exp(base.log_prob(place)), ".4f")),
            ("density of x = ", (p_x, ".4f")),
        ],
        alt="Left: the standard normal density and the density of the sinh-arcsinh flow. Right: "
        "how much the flow stretches at each z. A marked point shows one z and its x. Sliders for "
        "skewness, the logarithm of the tail weight, and z.",
    )


@dataclass(frozen=True, eq=False)
class _OneKnot(Bijection):
    """A spline of two bins from `(-end, -end)` through one knot to `(end, end)`, and its tails."""

    knot: float
    image: float
    slope: float
    end: float

    def forward_and_log_det(self, z: Array) -> tuple[Array, Array]:
        first, second = (part.forward_and_log_det(z) for part in self._bins())
        return self._joined(z, z < self.knot, first, second)

    def inverse_and_log_det(self, x: Array) -> tuple[Array, Array]:
        first, second = (part.inverse_and_log_det(x) for part in self._bins())
        return self._joined(x, x < self.image, first, second)

    def _bins(self) -> tuple[SplineBin, SplineBin]:
        return (
            SplineBin(-self.end, self.knot, -self.end, self.image, 1.0, self.slope),
            SplineBin(self.knot, self.end, self.image, self.end, self.slope, 1.0),
        )

    def _joined(self, v: Array, before: Array, first: Any, second: Any) -> tuple[Array, Array]:
        inside = np.abs(v) < self.end
        value, log_det = (np.where(before, a, b) for a, b in zip(first, second, strict=True))
        return np.where(inside, value, v), np.where(inside, log_det, 0.0)


def spline_knot(end: float = 3.0) -> Figure:
    """Chapter 5: one knot of a rational-quadratic spline, its place, its image and its slope.

    Both bins are traced from `SplineBin`, the kernel of `RationalQuadraticSpline`.

    Parameters
    ----------
    end : float
        The spline lies in `(-end, end)`; outside it is the identity.
    """
    knot = slider("knot", -2.0, 2.0, -0.5, step=0.05, label="knot at z")
    image = slider("image", -2.0, 2.0, 0.5, step=0.05, label="its image x")
    slope = slider("slope", 0.1, 4.0, 0.5, step=0.05, label="slope there")
    base, g = StandardNormal(), _OneKnot(knot, image, slope, end)
    flow = Flow(base, g)
    low, high = -end - 1.0, end + 1.0
    z, x = Grid("z", low, high, 320), Grid("x", low, high, 320)
    value, log_stretch = g.forward_and_log_det(z)
    p_x = np.exp(flow.log_prob(x))
    at_knot = np.exp(flow.log_prob(image))
    the_map = [
        curve(z, z, color=DATA, strokeDash=[4, 3], strokeWidth=1.5),
        curve(z, value, color=JACOBIAN, label="map x = g(z)"),
        dots(-end, -end, color=DATA),
        dots(end, end, color=DATA),
        dots(knot, image, color=LIGHT, label="knot", size=110, stroke=INK),
    ]
    densities = [
        curve(x, np.exp(base.log_prob(x)), color=BASE, label="base"),
        curve(x, p_x, color=MODEL, label="flow"),
        dots(image, at_knot, color=LIGHT, label="knot", size=110, stroke=INK),
    ]
    stretch = [
        curve(z, np.exp(log_stretch), color=JACOBIAN, label="slope of the map"),
        dots(knot, slope, color=LIGHT, label="knot", size=110, stroke=INK),
    ]
    along_z = Axis("z", low, high)
    return Figure(
        panels=[
            Panel(the_map, along_z, Axis("x", low, high)),
            Panel(densities, Axis("x", low, high), Axis("density", 0.0, 1.2)),
            Panel(stretch, along_z, Axis("slope", 0.0, 5.0)),
        ],
        sliders=[knot, image, slope],
        numbers=[
            ("density of the base at the knot = ", (np.exp(base.log_prob(knot)), ".4f")),
            ("density of the flow at its image = ", (at_knot, ".4f")),
        ],
        alt="The map of a spline with one inner knot, the density that it makes of the standard "
        "normal, and the slope of the map. Sliders for the knot, its image, and the slope there.",
    )


def pit(x: Array, bins: int = 10) -> Figure:
    """Chapter 7: the probability integral transform of fixed data, as a normal model is made wrong.

    `u = Φ(f(x))` with the traced inverse of `Affine`; the page counts the bins.

    Parameters
    ----------
    x : array
        The data. The model starts at their mean and standard deviation.
    bins : int
        Number of equal parts of [0, 1].
    """
    from scipy.special import ndtr

    x = _sample(x)
    off = slider("location_error", -1.5, 1.5, 0.0, step=0.05, label="error in the mean")
    wide = slider("log_scale_error", -0.8, 0.8, 0.0, step=0.05, label="error in log σ")
    mean, log_std = round(float(x.mean()), DIGITS), round(float(np.log(x.std())), DIGITS)
    model = Flow(StandardNormal(), Affine(mean + off, log_std + wide))
    column = Column("x_i", x)
    u = ndtr(model.bijection.inverse(column))
    log_likelihood = _mean_log_likelihood(model, x)
    low, high = round(float(x.min()) - 1.5), round(float(x.max()) + 1.5)
    grid = Grid("x", low, high, 240)
    one = segment((0.0, 1.0), (1.0, 1.0), color=BASE, label="a right model, on average")
    densities = [
        histogram(x, _edges(x, 0.5)),
        curve(grid, np.exp(model.log_prob(grid)), color=MODEL, label="model"),
    ]
    return Figure(
        panels=[
            Panel(densities, Axis("x", low, high), Axis("density", 0.0, 0.9)),
            Panel(
                [*counts(column, u, bins, color=MODEL, label="data, counted"), one],
                Axis("u = F(x)", 0.0, 1.0),
                Axis("share of the expected count", 0.0, 4.0),
            ),
        ],
        sliders=[off, wide],
        numbers=[
            ("model mean = ", (mean + off, ".3f"), ", σ = ", (np.exp(log_std + wide), ".3f")),
            ("mean log-likelihood = ", (log_likelihood, ".4f")),
        ],
        alt="Left: the data as a histogram, and the density of a normal model. Right: a histogram "
        "of the model's distribution function at the data, flat if the model is right, a hill if "
        "it is too wide, a bowl if it is too narrow, a slope if it is shifted. Sliders for the "
        "errors in mean and scale.",
    )


def layers(chain: Chain, z: Array, x: Array) -> Figure:
    """Chapter 10: draws of the base, carried through the parts of a chain one after another.

    The positions after each part come from its `forward`; between two parts the page lets a dot go
    straight. The shade of a dot says where it began, from left to right.

    Parameters
    ----------
    chain : Chain
        Of maps of vectors of length 2.
    z : array of shape (n, 2)
        Draws of the base.
    x : array of shape (m, 2)
        Data, to compare with.
    """
    places = [np.asarray(z, dtype=float)]
    for part in chain.parts:
        places.append(part.forward(places[-1]))
    count = len(chain.parts)
    depth = slider("depth", 0, count, 0, step=0.25, label="layers passed")
    # a thousandth is less than a pixel
    columns = {
        f"{letter}_{number}": np.round(place[:, axis], 3)
        for axis, letter in enumerate("uv")
        for number, place in enumerate(places)
    }
    drawn = Table(**columns)
    data = Table(x_1=np.round(x[:, 0], 3), x_2=np.round(x[:, 1], 3))

    def at_depth(letter: str) -> Any:
        path = [drawn[f"{letter}_{number}"] for number in range(count + 1)]
        place = path[0]
        for number in range(count):
            done = np.minimum(np.maximum(depth - float(number), 0.0), 1.0)
            place = place + done * (path[number + 1] - path[number])
        return place

    dotted = [
        dots(data["x_1"], data["x_2"], along=data, color=DATA, size=14, opacity=0.35),
        dots(
            at_depth("u"), at_depth("v"), along=drawn, color=BASE, shade=drawn["u_0"], size=28,
            opacity=0.9,
        ),
    ]  # fmt: skip
    end = float(np.ceil(np.quantile(np.abs(places), 0.995)))
    across, up = Axis("first coordinate", -end, end), Axis("second coordinate", -end, end)
    return Figure(
        panels=[Panel(dotted, across, up, width=320, height=320)],
        sliders=[depth],
        numbers=[("layers passed: ", (depth, ".2f"), f" of {count}")],
        alt="Draws of the base, coloured from left to right, after some of the layers of a flow; "
        "grey dots are data. With no layer the draws are a round cloud, with all of them they lie "
        "where the data lie. A slider for the number of layers passed.",
    )


def _sample(x: Array) -> np.ndarray:
    """Return data rounded as the figure will hold them, so that all its numbers agree."""
    return np.round(np.asarray(as_observations(x, "x"), dtype=float), DIGITS)


def _mean_log_likelihood(flow: Flow, x: Any) -> SymArray:
    """Return the traced mean of `flow.log_prob(x)`, the data multiplied out to a few numbers."""
    return multiplied_out(np.mean(flow.log_prob(SymArray(x))))


def _at(formula: SymArray, symbol: SymArray, place: SymArray) -> SymArray:
    """Return a formula with another symbol or formula in place of a symbol."""
    return SymArray(formula.cell.subs(symbol.cell, place.cell))


def _edges(x: np.ndarray, width: float) -> np.ndarray:
    """Return the edges of bins of a round width that hold all data."""
    return np.arange(np.floor(x.min() / width), np.ceil(x.max() / width) + 1.0) * width


def _chosen(index: Array, among: Sequence[Array]) -> Array:
    """Return the entry of `among` with the number `index`."""
    chosen = among[-1]
    for number in reversed(range(len(among) - 1)):
        chosen = np.where(index == float(number), among[number], chosen)
    return chosen
