"""What chapters draw and print: each function draws what it is given."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from flowtutorial import Exp, Flow, Shift, Softplus, StandardNormal, plotting
from flowtutorial.linear import TriangularAffine
from flowtutorial.notebook import show_source


@pytest.fixture(autouse=True)
def one_style() -> None:
    plotting.use_style()
    plt.close("all")


def test_colours_differ() -> None:
    names = ["BASE", "DATA", "MODEL", "JACOBIAN", "OTHER", "LIGHT"]
    assert len({getattr(plotting, name) for name in names}) == len(names)


def test_density_is_that_of_the_flow() -> None:
    _, ax = plt.subplots()
    plotting.density(ax, Flow(StandardNormal(), Shift(2.0)), -1.0, 5.0, label="model")
    x, y = ax.lines[0].get_data()
    assert x[np.argmax(y)] == pytest.approx(2.0)
    assert np.max(y) == pytest.approx(1 / np.sqrt(2 * np.pi))
    assert ax.lines[0].get_color() == plotting.MODEL


def test_histogram_and_rug_show_all_data() -> None:
    _, ax = plt.subplots()
    x = np.linspace(0.0, 1.0, 50)
    plotting.histogram(ax, x, bins=5)
    area = sum(bar.get_width() * bar.get_height() for bar in ax.patches)
    assert area == pytest.approx(1.0)
    plotting.rug(ax, x)
    assert len(ax.lines[0].get_xdata()) == 50


def test_slabs_have_equal_areas_on_both_sides() -> None:
    _, axes = plotting.map_panels()
    plotting.through_map(
        axes, StandardNormal(), Softplus(), (-3.0, 3.0), (0.0, 3.5), slabs=[(-1.0, 0.0)]
    )
    side, centre, below = axes
    areas = []
    for ax, along in ((below, 0), (side, 1)):
        points = ax.collections[0].get_paths()[0].vertices
        x, y = points[:, along], points[:, 1 - along]
        areas.append(abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2)
    assert areas[0] == pytest.approx(areas[1], rel=0.02)
    assert areas[0] == pytest.approx(0.3413, rel=0.02)
    assert len(centre.lines) == 5


def test_rectangle() -> None:
    _, ax = plt.subplots()
    plotting.rectangle_under(ax, 0.0, 2.0, 0.5, plotting.JACOBIAN)
    box = ax.patches[0].get_path().get_extents()
    assert (box.width, box.height) == (2.0, 0.5)


def test_warped_grid_has_the_areas_of_the_map() -> None:
    _, ax = plt.subplots()
    stretch = TriangularAffine([1.0, 0.0], [0.5], [np.log(2.0), np.log(0.25)])
    mesh = plotting.warped_grid(ax, stretch, 0.0, (1.0, 2.0), lines=3, points=5, color="black")
    assert len(ax.lines) == 6
    assert {line.get_color() for line in ax.lines} == {"black"}
    corners = np.array([line.get_xydata()[[0, -1]] for line in ax.lines]).reshape(-1, 2)
    expected = stretch.forward([[0, 0], [1, 0], [0, 2], [1, 2]])
    assert all(np.isclose(corners, corner).all(axis=1).any() for corner in expected)
    np.testing.assert_allclose(mesh.get_array(), -np.log(2.0))
    assert mesh.norm(0.0) == pytest.approx(0.5)  # white stands for unchanged areas
    assert mesh.norm.halfrange == pytest.approx(np.log(2.0))
    assert plotting.warped_grid(ax, stretch, 0.0, 1.0, limit=3.0).norm.halfrange == 3.0


def test_source_is_shown_without_docstrings(capsys: pytest.CaptureFixture[str]) -> None:
    show_source(Exp.inverse_and_log_det, Flow._formula)
    text = capsys.readouterr().out
    assert '"""' not in text
    assert "z = np.log(x)" in text
    assert "return self.base.log_prob(z) + log_det" in text
    show_source(Exp)
    assert "class Exp(Bijection):" in capsys.readouterr().out
    with pytest.raises(TypeError):
        show_source(3)
