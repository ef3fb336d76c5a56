"""Simplified polygons are valid, near their outlines, and share their borders."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

from samtailor.data.polygons.borders import simplified
from samtailor.data.polygons.regions import RegionTracer
from tests.data.polygons.scenes import AWKWARD, blobs


def drawn(label: NDArray[Any], tolerance: float, rows: int = 1000) -> tuple[NDArray[Any], NDArray[Any]]:
    """Polygons of a label as its pixels are, and simplified."""
    tracer = RegionTracer(label.shape[1], junctions=True)
    parts = [label[y : y + rows] for y in range(0, len(label), rows)]
    exact, fewer = [], []
    for regions in [*(tracer.add(part, np.ones(part.shape)) for part in parts), tracer.finish()]:
        points = regions.points.astype(np.float64)
        exact.append(shapely.from_ragged_array(shapely.GeometryType.POLYGON, points, (regions.rings, regions.firsts)))
        fewer.append(simplified(regions, points, tolerance))
    return np.concatenate(exact), np.concatenate(fewer)


def smooth(side: int) -> NDArray[np.int16]:
    """Three sectors and an island in one: borders far from each other, a ring, and points where three meet."""
    y, x = np.indices((side, side)) - side / 2
    label = (np.floor((np.arctan2(y, x) + np.pi) / (2.1 * np.pi / 3)) + 1).astype(np.int16)
    for down, right, radius in ((-0.25, -0.125, 0.1), (-0.3, -0.03, 0.06), (-0.2, -0.2, 0.07)):
        label[(y / side - down) ** 2 + (x / side - right) ** 2 < radius**2] = 4
    return label


@pytest.mark.parametrize("tolerance", [0.4, 0.8, 1.5, 4, 100])
@pytest.mark.parametrize("name", AWKWARD)
def test_whatever_the_tolerance_polygons_stay_valid(name: str, tolerance: float) -> None:
    exact, fewer = drawn(AWKWARD[name], tolerance)
    assert len(fewer) == len(exact)
    assert shapely.is_valid(fewer).all()
    assert not shapely.is_empty(fewer).any()
    assert (shapely.get_type_id(fewer) == shapely.GeometryType.POLYGON).all()
    assert (shapely.get_num_interior_rings(fewer) == shapely.get_num_interior_rings(exact)).all()


@pytest.mark.parametrize(("side", "tolerance", "rows"), [(80, 1.5, 7), (80, 1.5, 1000), (333, 2.5, 1000)])
def test_neighbours_keep_their_common_border(side: int, tolerance: float, rows: int) -> None:
    exact, fewer = drawn(smooth(side), tolerance, rows)
    assert shapely.get_num_coordinates(fewer).sum() < 0.2 * shapely.get_num_coordinates(exact).sum()
    assert shapely.coverage_is_valid(fewer)
    assert shapely.area(fewer).sum() == pytest.approx(side * side, rel=1e-12)
    assert not shapely.coverage_is_valid(shapely.simplify(exact, tolerance))


def test_vertices_that_are_left_out_are_near_the_new_outline() -> None:
    exact, fewer = drawn(smooth(80), 1.5)
    for before, after in zip(exact, fewer, strict=True):
        assert shapely.distance(shapely.points(shapely.get_coordinates(before)), after.boundary).max() <= 1.5


def test_borders_are_common_nearly_everywhere_also_where_regions_are_narrow() -> None:
    exact, fewer = drawn(blobs((120, 120), 4, 0), 1.0)
    apart = [shapely.length(shapely.coverage_invalid_edges(some)).sum() for some in (shapely.simplify(exact, 1), fewer)]
    assert apart[1] < 0.2 * apart[0]


def test_what_simplification_would_break_is_simplified_less(monkeypatch: pytest.MonkeyPatch) -> None:
    own = shapely.simplify

    def careless(lines: NDArray[Any], tolerances: NDArray[np.float64]) -> NDArray[Any]:
        """Simplification that draws everything to one point beyond a tolerance of 1."""
        point = shapely.from_wkt("MULTILINESTRING ((0 0, 0 0))")
        return np.where(tolerances > 1, point, own(lines, tolerances))

    label = np.zeros((40, 40), np.int16)
    y, x = np.indices(label.shape)
    label[(y - 20) ** 2 + (x - 20) ** 2 < 200] = 1
    monkeypatch.setattr(shapely, "simplify", careless)
    _, (less,) = drawn(label, 4)
    monkeypatch.undo()
    _, (expected,) = drawn(label, 1)
    assert less.equals(expected)
