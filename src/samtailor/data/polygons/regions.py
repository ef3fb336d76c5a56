"""Connected regions of a label that comes band of rows by band of rows, and the outlines along their pixels' edges.

GDAL's polygonize (`rasterio.features.shapes`) takes whole arrays: pieces of a region that bands cut would have to be
joined again. Here no band leaves a trace. A vertex of an outline is seen in the four pixels around it, so vertices are
collected as the rows come, with the region that they belong to; regions that meet farther down become one. Once no row
can continue a region, its vertices are linked: along each row of them, and along each column, every second gap
between neighbours is an edge.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

NOTHING = -1
"""Region of pixels that are in none."""


@dataclass(frozen=True)
class Regions:
    """Regions of equal pixels that touch along edges (connectivity 4).

    Attributes:
        values: Label of each region, shape (N,).
        pixels: Number of its pixels, shape (N,).
        weights: Sum of the weights of its pixels, shape (N,).
        points: Vertices (column, row) of all rings, each closed by its first vertex, shape (P, 2). Pixel (row, column)
            reaches from (column, row) to (column + 1, row + 1). With rows downwards, shells run counterclockwise.
        rings: Where each ring begins, and the end, shape (R + 1,).
        firsts: The first ring of each region, its shell, and the end, shape (N + 1,); the others are its holes.
        meet: Whether more than two regions (or the same one twice) meet at a vertex, shape (P,).
    """

    values: NDArray[np.int64]
    pixels: NDArray[np.int64]
    weights: NDArray[np.float64]
    points: NDArray[np.int32]
    rings: NDArray[np.int64]
    firsts: NDArray[np.int64]
    meet: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.values)


class _Corners(NamedTuple):
    """Vertices of outlines, each with two edges; where a region touches itself at a corner, the point has two.

    Attributes:
        region: The region that it belongs to.
        y: Row of the pixel below.
        x: Column of the pixel to the right.
        right: Whether the horizontal edge goes to the right.
        down: Whether the vertical edge goes down.
        across: Whether the outline leaves by the horizontal edge, the region on its left.
        meet: Whether more than two regions (or the same one twice) meet there.
    """

    region: NDArray[np.integer]
    y: NDArray[np.int32]
    x: NDArray[np.int32]
    right: NDArray[np.bool_]
    down: NDArray[np.bool_]
    across: NDArray[np.bool_]
    meet: NDArray[np.bool_]

    def taken(self, which: NDArray[Any]) -> _Corners:
        """Some of them."""
        return _Corners(*(part[which] for part in self))


class _Sums(NamedTuple):
    """Label, number of pixels, and sum of their weights, of regions or runs."""

    values: NDArray[np.int64]
    pixels: NDArray[np.int64]
    weights: NDArray[np.float64]

    def taken(self, which: NDArray[Any]) -> _Sums:
        """Some of them."""
        return _Sums(self.values[which], self.pixels[which], self.weights[which])

    def by_region(self, region: NDArray[np.int32], count: int) -> _Sums:
        """Of `count` regions, where this is of their parts; a part may be in none."""
        values = np.zeros(count + 1, np.int64)  # the last is where `NOTHING` points
        values[region] = self.values
        pixels = np.bincount(region + 1, self.pixels, count + 1)[1:].astype(np.int64)
        weights = np.bincount(region + 1, self.weights, count + 1)[1:].astype(np.float64)
        return _Sums(values[:-1], pixels, weights)


class RegionTracer:
    """Takes rows from top to bottom, and gives the regions that they finish; holds the open ones and one band."""

    def __init__(self, width: int, junctions: bool = False) -> None:
        """Expect rows of that many pixels.

        Args:
            width: Pixels of a row.
            junctions: Whether outlines have a vertex also where they go straight on, but other regions meet beside
                them: between vertices at which regions `meet`, neighbours then have the same ones.
        """
        self._junctions = junctions
        self._y = 0
        self._labels = np.zeros(width, np.int64)  # of the last row
        self._last = np.full(width, NOTHING, np.int32)  # open region of each pixel of the last row
        self._open = _Sums(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))
        self._corners = _joined([])

    def add(self, label: NDArray[Any], weights: NDArray[Any]) -> Regions:
        """Take in the next rows.

        Args:
            label: Integers, shape (h, W); what is not above 0 is in no region.
            weights: What is summed over each region, shape (h, W).

        Returns:
            Regions that the rows finish.
        """
        known = len(self._open.values)
        starts = np.ones(label.shape, dtype=bool)  # of runs of equal pixels
        starts[:, 1:] = label[:, 1:] != label[:, :-1]
        first = np.flatnonzero(starts)
        # A graph of the open regions and, after them, the runs: its components are regions.
        runs = np.cumsum(starts, dtype=np.int32).reshape(label.shape) + np.int32(known - 1)
        lengths = np.diff(first, append=label.size)
        run_weights: NDArray[np.float64] = np.add.reduceat(weights.ravel(), first, dtype=np.float64)
        own = _Sums(label.ravel()[first].astype(np.int64), lengths, run_weights)
        nodes = _Sums(*(np.concatenate(pair) for pair in zip(self._open, own, strict=True)))
        joined = (label > 0) & (np.vstack([self._labels[None], label[:-1]]) == label)
        joined[1:] &= starts[1:] | starts[:-1]  # one edge where runs begin to touch is enough
        above = np.vstack([self._last[None], runs[:-1]])
        count, region = _components(len(nodes.values), above[joined], runs[joined])
        region[nodes.values <= 0] = NOTHING
        sums = nodes.by_region(region, count)

        rows = np.full((len(label) + 1, label.shape[1] + 2), NOTHING, np.int32)  # with the last row, and a rim
        rows[0, 1:-1] = np.append(region, NOTHING)[self._last]
        rows[1:, 1:-1] = region[runs]
        known_corners = self._corners._replace(region=region[self._corners.region])
        corners = _joined([known_corners, *_corners_between(rows, self._y, self._junctions)])

        is_open = np.zeros(count, dtype=bool)
        last = rows[-1, 1:-1]
        is_open[last[last != NOTHING]] = True
        numbers = np.append(np.cumsum(is_open, dtype=np.int32) - 1, NOTHING)
        self._open, self._last, self._labels = sums.taken(is_open), numbers[last], label[-1].copy()
        self._corners = corners.taken(is_open[corners.region])
        self._corners = self._corners._replace(region=numbers[self._corners.region])
        self._y += len(label)
        is_done = ~is_open & (sums.pixels > 0)
        return _traced(sums.taken(is_done), corners.taken(is_done[corners.region]))

    def finish(self) -> Regions:
        """The regions that reach the last row."""
        return self.add(np.zeros((1, len(self._last)), np.int64), np.zeros((1, len(self._last)), np.float64))


def _components(count: int, first: NDArray[np.int32], second: NDArray[np.int32]) -> tuple[int, NDArray[np.int32]]:
    """Number of components of a graph of `count` nodes with these edges, and the component of each node."""
    edges = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=(count, count))
    components, of_node = connected_components(edges, directed=False)
    return components, of_node.astype(np.int32, copy=False)


def _joined(parts: list[_Corners]) -> _Corners:
    """Corners in one."""
    none = _Corners(*(np.empty(0, kind) for kind in (*[np.int32] * 3, *[np.bool_] * 4)))
    return _Corners(*(np.concatenate(part) for part in zip(none, *parts, strict=True)))


def _corners_between(rows: NDArray[np.int32], y: int, junctions: bool) -> Iterator[_Corners]:
    """Corners on the lines between rows of regions (h, W), the second of which is row `y`; a rim is on both sides."""
    above, below = rows[:-1], rows[1:]
    (a, b), (c, d) = (above[:, :-1], above[:, 1:]), (below[:, :-1], below[:, 1:])
    is_straight = ((a == b) & (c == d)) | ((a == c) & (b == d))
    line, column = np.nonzero(~is_straight)
    (a, b), (c, d) = around = [[part[line, column] for part in pair] for pair in ((a, b), (c, d))]
    # Where one region has three of the pixels, two borders between them are none.
    meet = np.add.reduce([a == b, c == d, a == c, b == d], dtype=np.int8) < 2

    def corners(found: NDArray[np.bool_], region: NDArray[np.int32], right: int, down: int, across: bool) -> _Corners:
        (where,) = np.nonzero(found)
        at = region[where], (line[where] + y).astype(np.int32), column[where].astype(np.int32)
        to_right, to_bottom, is_across = (np.full(len(where), flag, dtype=bool) for flag in (right, down, across))
        return _Corners(*at, to_right, to_bottom, is_across, meet[where])

    for down in (0, 1):
        for right in (0, 1):
            pixel, beside = around[down][right], around[down][1 - right]
            over, opposite = around[1 - down][right], around[1 - down][1 - right]
            outer = (pixel != NOTHING) & (pixel != beside) & (pixel != over)
            yield corners(outer, pixel, right, down, right != down)
            # The three others are one region, with a corner around the pixel.
            inner = (opposite != NOTHING) & (opposite == beside) & (opposite == over) & (opposite != pixel)
            yield corners(inner, opposite, right, down, right == down)
            if junctions:
                # Straight on is two corners in one point, with an edge of no length between them. (As where a region
                # meets itself, the direction of their vertical edges is turned over later.)
                flat = meet & (pixel == beside) & (pixel != NOTHING)
                yield corners(flat, pixel, right, 1 - right, right != down)
                upright = meet & (pixel == over) & (pixel != NOTHING)
                yield corners(upright, pixel, down, 1 - down, right != down)


def _traced(sums: _Sums, corners: _Corners) -> Regions:
    """Regions of all their corners; these have other numbers, in the same order."""
    corners = corners.taken(_order(corners.region, corners.y, corners.x, corners.right))
    # Where a region meets itself at a corner (known only now: it may have been joined farther down), two rings touch,
    # or else one ring would cross itself: each goes on along an edge of the other pixel.
    corners = corners._replace(down=corners.down ^ _twice(corners.region, corners.y, corners.x))
    # Along a row, the first of each two corners is the left end of an edge, the second the right one.
    count = len(corners.region)
    neighbour = np.arange(count) ^ 1
    by_column = _order(corners.region, corners.x, corners.y, corners.down)
    following = np.empty(count, np.int64)
    following[by_column] = by_column[neighbour]
    following = np.where(corners.across, neighbour, following)
    order, rings = _cycles(following)
    region_of_ring = corners.region[order[rings[:-1]]]
    firsts = np.append(np.flatnonzero(np.diff(region_of_ring, prepend=-1)), len(region_of_ring))
    points = np.column_stack([corners.x[order], corners.y[order]])
    is_new = np.append(True, (points[1:] != points[:-1]).any(axis=1))[: len(points)]  # no edges of no length
    is_new[rings[:-1]] = True
    rings = np.append(0, np.cumsum(is_new))[rings]
    return Regions(sums.values, sums.pixels, sums.weights, points[is_new], rings, firsts, corners.meet[order[is_new]])


def _order(
    region: NDArray[np.integer], first: NDArray[np.int32], second: NDArray[np.int32], last: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Order by region, then a coordinate, then the other, then a direction; two keys sort faster than four."""
    key = (first.astype(np.int64) << 32) | (second << 1) | last
    return np.lexsort((key, region))


def _twice(*keys: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which of sorted elements are there twice."""
    is_like_next = np.all([key[1:] == key[:-1] for key in keys], axis=0)
    is_there_twice: NDArray[np.bool_] = np.append(is_like_next, False) | np.append(False, is_like_next)
    return is_there_twice


def _cycles(following: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cycles of a permutation, by their least elements, each with that at both ends; and where they begin."""
    after = following.tolist()
    is_seen = bytearray(len(after))
    order, begins = array("q"), array("q")
    for start, seen in enumerate(is_seen):
        if seen:
            continue
        begins.append(len(order))
        order.append(start)
        element = after[start]
        while element != start:
            is_seen[element] = True
            order.append(element)
            element = after[element]
        order.append(start)
    begins.append(len(order))
    return np.frombuffer(order, np.int64), np.frombuffer(begins, np.int64)
