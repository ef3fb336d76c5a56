"""Regions are the same whatever the bands they come in, and those that GDAL finds in the whole array."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from rasterio.features import shapes
from shapely.geometry import shape

from samtailor.data.polygons.regions import Regions, RegionTracer
from tests.data.polygons.scenes import AWKWARD, blobs, random_label, ring_that_touches_itself


def bands(
    label: NDArray[Any], weights: NDArray[Any], heights: Iterator[int] | int, junctions: bool = False
) -> Iterator[Regions]:
    """What a tracer gives for bands of these heights, and at the end."""
    tracer = RegionTracer(label.shape[1], junctions)
    y = 0
    while y < len(label):
        height = heights if isinstance(heights, int) else next(heights)
        yield tracer.add(label[y : y + height], weights[y : y + height])
        y += height
    yield tracer.finish()


def polygons_of(regions: Regions) -> NDArray[Any]:
    return shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, regions.points.astype(float), (regions.rings, regions.firsts)
    )


def found(label: NDArray[Any], heights: Iterator[int] | int) -> list[tuple[bytes, int, int, float]]:
    """Outline, value, pixels and weight of each region, sorted; a pixel weighs what it is called."""
    weights = np.arange(label.size, dtype=np.float64).reshape(label.shape)
    return sorted(
        row
        for part in bands(label, weights, heights)
        for row in zip(
            (polygon.normalize().wkb for polygon in polygons_of(part)),
            part.values.tolist(),
            part.pixels.tolist(),
            part.weights.tolist(),
            strict=True,
        )
    )


def expected(label: NDArray[Any]) -> list[tuple[bytes, int]]:
    """What GDAL's polygonize finds in the whole array."""
    pairs = shapes(label, mask=label > 0, connectivity=4)
    return sorted((shape(polygon).normalize().wkb, int(value)) for polygon, value in pairs)


def random_heights(seed: int) -> Iterator[int]:
    generator = np.random.default_rng(seed)
    while True:
        yield int(generator.integers(1, 6))


@pytest.mark.parametrize("name", AWKWARD)
def test_regions_of_bands_are_those_of_the_whole(name: str) -> None:
    label = AWKWARD[name]
    whole = found(label, len(label))
    assert [row[:2] for row in whole] == expected(label)
    assert found(label, 1) == found(label, 2) == found(label, random_heights(0)) == whole


@pytest.mark.parametrize("seed", range(60))
def test_random_labels_in_random_bands(seed: int) -> None:
    height, width, classes = np.random.default_rng(seed).integers((1, 1, 1), (16, 16, 4)).tolist()
    label = random_label((height, width), classes, seed)
    rows = found(label, random_heights(seed))
    assert [row[:2] for row in rows] == expected(label)


@pytest.mark.parametrize("junctions", [False, True])
@pytest.mark.parametrize("name", AWKWARD)
def test_rings_are_closed(name: str, junctions: bool) -> None:
    label = AWKWARD[name]
    for part in bands(label, np.ones(label.shape), 100, junctions):
        np.testing.assert_array_equal(part.points[part.rings[:-1]], part.points[part.rings[1:] - 1])
        assert part.rings[-1] == len(part.points)
        assert part.firsts[-1] == len(part.rings) - 1


@pytest.mark.parametrize("name", AWKWARD)
def test_outlines_are_valid_and_turn_at_every_vertex(name: str) -> None:
    label = AWKWARD[name]
    for part in bands(label, np.ones(label.shape), 3):
        polygons = polygons_of(part)
        assert shapely.is_valid(polygons).all()
        np.testing.assert_array_equal(shapely.area(polygons), part.pixels)
        # With rows downwards, counterclockwise on the map is clockwise in numbers.
        assert not shapely.is_ccw(shapely.get_exterior_ring(polygons)).any()
        for ring in np.split(part.points, part.rings[1:-1]):
            steps = np.diff(ring, axis=0)
            assert (np.count_nonzero(steps, axis=1) == 1).all()
            if len(steps):
                is_across = steps[:, 0] != 0
                assert (is_across != np.roll(is_across, 1)).all()


@pytest.mark.parametrize("name", AWKWARD)
def test_between_junctions_neighbours_have_the_same_vertices(name: str) -> None:
    """So no vertex of a polygon lies within an edge of another; GEOS looks for such."""
    label = AWKWARD[name]
    found = [polygons_of(part) for part in bands(label, np.ones(label.shape), 3, junctions=True) if len(part)]
    polygons = np.concatenate(found) if found else np.empty(0, object)
    assert shapely.is_valid(polygons).all()
    assert shapely.coverage_is_valid(polygons)
    plain = [polygons_of(part) for part in bands(label, np.ones(label.shape), 3) if len(part)]
    assert all(shapely.equals(first, second).all() for first, second in zip(found, plain, strict=True))


def test_weights_are_summed_over_the_pixels_of_a_region() -> None:
    label = np.array([[1, 1, 2], [0, 1, 2], [2, 2, 2]], np.int16)
    weights = np.array([[0.5, 0.25, 1], [9, 0.25, 0], [1, 0, 0.5]], np.float16)
    (one,), (two,) = (
        [row for part in bands(label, weights, 1) for row in zip(part.values, part.pixels, part.weights) if row[0] == v]  # noqa: B905
        for v in (1, 2)
    )
    assert one == (1, 3, 1.0)
    assert two == (2, 5, 2.5)


def test_pixels_that_touch_at_a_corner_only_are_apart() -> None:
    assert len(found(np.eye(4, dtype=np.int16), 2)) == 4


def test_a_ring_that_is_closed_by_a_corner_has_a_hole() -> None:
    (region,) = found(ring_that_touches_itself(), 1)
    assert len(shapely.from_wkb(region[0]).interiors) == 1


def test_a_region_is_given_as_soon_as_no_row_continues_it() -> None:
    tracer = RegionTracer(3)
    weights = np.ones((1, 3))
    assert len(tracer.add(np.array([[1, 0, 2]]), weights)) == 0
    assert tracer.add(np.array([[0, 0, 2]]), weights).values.tolist() == [1]
    assert tracer.add(np.array([[0, 2, 2]]), weights).values.tolist() == []
    assert tracer.finish().values.tolist() == [2]
    assert len(tracer.finish()) == 0


def test_the_caller_may_use_the_array_again() -> None:
    tracer, rows = RegionTracer(2), np.ones((1, 2), np.int16)
    tracer.add(rows, np.ones((1, 2)))
    rows[:] = 2
    assert tracer.add(rows, np.ones((1, 2))).pixels.tolist() == [2]


def test_memory_does_not_grow_with_the_rows() -> None:
    label = blobs((64, 200), 3, 0)
    label[-1] = 0
    weights = np.ones(label.shape, np.float16)

    def peak(times: int) -> int:
        tracer = RegionTracer(200)
        tracemalloc.start()
        for _ in range(times):
            tracer.add(label, weights)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak(1)
    assert peak(20) < 1.2 * peak(2)
