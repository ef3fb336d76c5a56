"""Results as polygons: what is connected in a label, with its class, area and mean probability, in map coordinates."""

from __future__ import annotations

from samtailor.data.polygons.ground import Ground
from samtailor.data.polygons.writer import PolygonKind, PolygonWriter, polygon_file

__all__ = ["Ground", "PolygonKind", "PolygonWriter", "polygon_file"]
