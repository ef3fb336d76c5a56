"""Results as polygons: what is connected in a label, with its class, area and mean probability, in map coordinates."""

from __future__ import annotations

from samtailor.data.polygons.ground import Ground
from samtailor.data.polygons.writer import Drawing, PolygonWriter, polygon_file, write_polygons

__all__ = ["Drawing", "Ground", "PolygonWriter", "polygon_file", "write_polygons"]
