"""Figures of the book, in one style and with one meaning for each colour.

The colours are those of Okabe and Ito, which remain distinct for colour-blind readers. This is the
only module that imports matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import as_file, files
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import CenteredNorm, LinearSegmentedColormap
from matplotlib.patches import Polygon

from .bijection import Bijection
from .blocks import Array

BASE = "#0072B2"  # blue: the base density and base values z
DATA = "#4D4D4D"  # grey: data
MODEL = "#D55E00"  # vermilion: the flow's density, parameters and fits
JACOBIAN = "#009E73"  # green: stretching, log-determinants, areas
OTHER = "#CC79A7"  # purple: a second model, or what goes wrong
LIGHT = "#E69F00"  # amber: a highlight

# A colour map for log|det|: green where areas grow, brown where they shrink, white between.
STRETCH = LinearSegmentedColormap.from_list(
    "stretch", ["#A6611A", "#DFC27D", "white", "#80CDC1", JACOBIAN]
)


def use_style() -> None:
    """Set matplotlib to the style of the book for the rest of the session."""
    with as_file(files("flowtutorial") / "book.mplstyle") as path:
        plt.style.use(path)


def density(
    ax: Axes, distribution: Any, low: float, high: float, color: str = MODEL, **line: Any
) -> None:
    """Draw the density of a flow or a distribution between `low` and `high`."""
    x = np.linspace(low, high, 601)
    ax.plot(x, np.exp(distribution.log_prob(x)), color=color, **line)


def histogram(ax: Axes, x: Array, bins: int | Sequence[float] = 30, **bars: Any) -> None:
    """Draw data as a grey histogram of total area 1."""
    style: dict[str, Any] = {"color": DATA, "alpha": 0.35, "density": True, "label": "data"}
    ax.hist(x, bins=bins, **(style | bars))


def rug(ax: Axes, x: Array, color: str = DATA, **marks: Any) -> None:
    """Draw each observation as a short stroke on the horizontal axis."""
    style: dict[str, Any] = {"linestyle": "none", "marker": "|", "markersize": 9, "clip_on": False}
    ax.plot(x, np.zeros_like(x), color=color, **(style | marks))


def through_map(
    axes: tuple[Axes, Axes, Axes],
    base: Any,
    bijection: Bijection,
    z_range: tuple[float, float],
    x_range: tuple[float, float],
    slabs: Sequence[tuple[float, float]] = (),
) -> None:
    """Draw a base density (below), the map (centre) and the density it makes (at the side).

    Each slab `(z₁, z₂)` is shaded under the base density, followed through the map, and shaded
    again under the new density: both pieces have the same area.

    Parameters
    ----------
    axes : three Axes
        Side panel, map, base panel. The side panel shares its vertical axis with the map, the base
        panel its horizontal one.
    base, bijection
        A distribution of one variable and the map that is applied to it.
    z_range, x_range : tuple of float
        What to show.
    slabs : sequence of tuple of float
        Intervals of `z`.
    """
    side, centre, below = axes
    z = np.linspace(*z_range, 801)
    x, log_det = bijection.forward_and_log_det(z)
    p_z = np.exp(base.log_prob(z))
    p_x = np.exp(base.log_prob(z) - log_det)
    centre.plot(z, x, color=JACOBIAN)
    below.plot(z, p_z, color=BASE)
    side.plot(p_x, x, color=MODEL)
    for z_1, z_2 in slabs:
        part = (z >= z_1) & (z <= z_2)
        x_1, x_2 = bijection.forward([z_1, z_2])
        below.fill_between(z[part], p_z[part], color=BASE, alpha=0.35, linewidth=0)
        side.fill_betweenx(x[part], p_x[part], color=MODEL, alpha=0.35, linewidth=0)
        for z_end, x_end in ((z_1, x_1), (z_2, x_2)):
            centre.plot([z_end, z_end], [x_range[0], x_end], color=BASE, linewidth=0.8)
            centre.plot([z_range[0], z_end], [x_end, x_end], color=MODEL, linewidth=0.8)
    centre.set(xlim=z_range, ylim=x_range)
    centre.tick_params(labelbottom=False, labelleft=False)
    below.set(xlim=z_range, xlabel="$z$")
    below.set_ylim(1.15 * p_z.max(), 0.0)  # hangs from the map
    side.set(ylim=x_range, ylabel="$x$")
    visible = (x >= x_range[0]) & (x <= x_range[1])
    side.set_xlim(1.15 * p_x[visible].max(), 0.0)


def map_panels(figsize: tuple[float, float] = (6.4, 5.2)) -> tuple[Any, tuple[Axes, Axes, Axes]]:
    """Return a figure with the three panels that `through_map` fills."""
    figure, grid = plt.subplots(
        2, 2, figsize=figsize, width_ratios=(1, 2.4), height_ratios=(2.4, 1), sharex="col"
    )
    grid[1, 0].set_visible(False)
    grid[0, 1].sharey(grid[0, 0])
    return figure, (grid[0, 0], grid[0, 1], grid[1, 1])


def rectangle_under(
    ax: Axes, left: float, right: float, height: float, color: str, **style: Any
) -> None:
    """Shade the rectangle of the given height over `(left, right)`."""
    corners = [(left, 0.0), (left, height), (right, height), (right, 0.0)]
    ax.add_patch(Polygon(corners, facecolor=color, **({"alpha": 0.35, "linewidth": 0} | style)))


def warped_grid(
    ax: Axes,
    bijection: Bijection,
    low: float | tuple[float, float],
    high: float | tuple[float, float],
    lines: int = 13,
    points: int = 121,
    limit: float | None = None,
    **line: Any,
) -> QuadMesh:
    """Draw the image of a regular grid of the plane, shaded by `log|det ∂x/∂z|`.

    Parameters
    ----------
    ax : Axes
        Its scales are set equal, so that areas can be compared.
    bijection : Bijection
        A map of vectors of length 2; its forward direction is drawn.
    low, high : float or pair of float
        Corners of the grid; one number stands for both coordinates.
    lines : int
        Number of lines each way.
    points : int
        Number of points along each line, and of the shading each way.
    limit : float, optional
        The `log|det|` of the darkest colours; by default its largest size on the grid. White is 0.
    **line
        How the lines are drawn.

    Returns
    -------
    QuadMesh
        For a colour bar: `figure.colorbar(mesh, ax=ax)`.
    """
    corners = zip(np.broadcast_to(low, 2), np.broadcast_to(high, 2), strict=True)
    ends = [(float(a), float(b)) for a, b in corners]
    fine_1, fine_2 = (np.linspace(a, b, points) for a, b in ends)
    coarse_1, coarse_2 = (np.linspace(a, b, lines) for a, b in ends)

    x, log_det = bijection.forward_and_log_det(np.stack(np.meshgrid(fine_1, fine_2), axis=-1))
    # rounding alone should not fill a map that keeps areas with colour
    half = max(float(np.abs(log_det).max()), 1e-6) if limit is None else limit
    style: dict[str, Any] = {"cmap": STRETCH, "norm": CenteredNorm(0.0, half), "rasterized": True}
    mesh = ax.pcolormesh(x[..., 0], x[..., 1], log_det, shading="gouraud", **style)

    across = np.stack(np.meshgrid(fine_1, coarse_2), axis=-1)  # one row for each line
    upwards = np.stack(np.meshgrid(coarse_1, fine_2, indexing="ij"), axis=-1)
    pen: dict[str, Any] = {"color": DATA, "linewidth": 0.7} | line
    for curve in (*bijection.forward(across), *bijection.forward(upwards)):
        ax.plot(curve[:, 0], curve[:, 1], **pen)
    ax.set_aspect("equal")
    ax.grid(visible=False)
    return mesh
