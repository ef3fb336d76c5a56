"""Outlines of fewer vertices, whose borders stay common to neighbours.

Polygons that are simplified one by one part from each other everywhere: each of two neighbours keeps other vertices of
their border. Here the outline of a region is cut where more than two regions meet, and each piece is simplified from
the same end by both. GEOS simplifies the pieces of one region together, so that none crosses another.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.data.polygons.regions import Regions


def simplified(regions: Regions, points: NDArray[np.float64], tolerance: float) -> NDArray[Any]:
    """Polygons of regions, each valid.

    Args:
        regions: Regions with their junctions.
        points: Their vertices in map coordinates, shape (P, 2).
        tolerance: How far a vertex that is left out may be from the new outline (Douglas and Peucker), in map units.
            A region whose polygon would not be valid is simplified less.
    """
    import shapely

    if not len(regions):
        return np.empty(0, object)
    chains = _Chains(regions)
    lines = shapely.multilinestrings(chains.lines(points), indices=chains.region)
    tolerances = np.full(len(regions), float(tolerance))
    drawn = shapely.simplify(lines, tolerances)
    while True:
        vertices, rings = chains.rings(drawn)
        is_wrong = np.zeros(len(regions), dtype=bool)
        is_wrong[chains.region_of_ring[np.diff(rings) < 4]] = True
        if not is_wrong.any():
            polygons = shapely.from_ragged_array(shapely.GeometryType.POLYGON, vertices, (rings, regions.firsts))
            is_wrong = ~shapely.is_valid(polygons)
            if not is_wrong.any():
                return np.asarray(polygons)
        tolerances[is_wrong] /= 2
        drawn[is_wrong] = shapely.simplify(lines[is_wrong], tolerances[is_wrong])


class _Chains:
    """Pieces of outlines between vertices where regions meet; whole rings where none do."""

    def __init__(self, regions: Regions) -> None:
        """Cut the rings of regions."""
        begins, counts = regions.rings[:-1], np.diff(regions.rings)
        place = np.arange(len(regions.points))
        # Rings are turned to begin where regions meet.
        turned = np.minimum.reduceat(np.where(regions.meet, place, len(place)), begins)
        turned = np.where(turned < len(place), turned - begins, 0)
        along = place - np.repeat(begins, counts)
        source = np.repeat(begins, counts) + (along + np.repeat(turned, counts)) % np.repeat(counts - 1, counts)
        is_cut = regions.meet[source]
        is_cut[begins] = is_cut[regions.rings[1:] - 1] = True
        cuts = np.flatnonzero(is_cut)
        ring = np.repeat(np.arange(len(begins)), counts)[cuts]
        is_chain = ring[1:] == ring[:-1]
        first, last = cuts[:-1][is_chain], cuts[1:][is_chain]
        self.ring = ring[:-1][is_chain]
        self.region_of_ring = np.repeat(np.arange(len(regions)), np.diff(regions.firsts))
        self.region = self.region_of_ring[self.ring]
        # Both neighbours begin at the same end; at closed chains, with the same neighbour of it.
        points = regions.points[source]
        ends = _is_after(points[first], points[last])
        inner = _is_after(points[first + 1], points[last - 1])
        self.is_backward = np.where((points[first] == points[last]).all(axis=1), inner, ends)
        sizes = last - first + 1
        self._chain, order = _runs(sizes, self.is_backward)
        self._source = source[np.repeat(first, sizes) + order]

    def lines(self, points: NDArray[np.float64]) -> NDArray[Any]:
        """A line for each chain, from the end where both neighbours begin."""
        import shapely

        return np.asarray(shapely.linestrings(points[self._source], indices=self._chain))

    def rings(self, drawn: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Vertices (P, 2) of the rings of lines for each region, and where each ring begins, and the end."""
        import shapely

        vertices, chain = shapely.get_coordinates(shapely.get_parts(drawn), return_index=True)
        sizes = np.bincount(chain, minlength=len(self.ring))
        begins = np.cumsum(sizes) - sizes
        _, order = _runs(sizes, self.is_backward)
        vertices = vertices[np.repeat(begins, sizes) + order]
        # A chain ends where the next one of its ring begins.
        is_kept = np.ones(len(vertices), dtype=bool)
        is_kept[(begins + sizes - 1)[np.append(self.ring[1:] == self.ring[:-1], False)]] = False
        counts = np.bincount(self.ring[chain[is_kept]], minlength=len(self.region_of_ring))
        return vertices[is_kept], np.append(0, np.cumsum(counts))


def _runs(sizes: NDArray[np.int64], is_backward: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number of each run, as often as it is long, and the places in it, from its end where it is backward."""
    number = np.repeat(np.arange(len(sizes)), sizes)
    forward = np.arange(len(number)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return number, np.where(is_backward[number], sizes[number] - 1 - forward, forward)


def _is_after(first: NDArray[np.integer], second: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Whether points (N, 2) come after others, by column, then by row."""
    is_after: NDArray[np.bool_] = np.where(
        first[:, 0] == second[:, 0], first[:, 1] > second[:, 1], first[:, 0] > second[:, 0]
    )
    return is_after
