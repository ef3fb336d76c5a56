"""QGIS itself, where it is installed, draws polygons by the names and in the colours of their classes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np

from samtailor.data.formats.geotiff import GeoGeometry
from samtailor.data.polygons import Drawing, Ground, write_polygons
from tests.data.formats.test_qgis import python
from tests.data.polygons.test_writer import LABELS, NORTH_UP, UTM

__all__ = ["python"]

LOOK = """
import json, sys
from qgis.core import QgsApplication, QgsVectorLayer
QgsApplication([], False).initQgis()
layer = QgsVectorLayer(sys.argv[1] + "|layername=polygons", "polygons", "ogr")
style = layer.renderer()
classes = [(int(one.value()), one.label(), one.symbol().color().getRgb()) for one in style.categories()]
print(json.dumps([layer.crs().authid(), layer.featureCount(), style.classAttribute(), classes]))
"""


def test_qgis_takes_the_style(python: str, tmp_path: Path) -> None:
    label = np.array([[1, 1, 0], [1, 0, 2], [3, 2, 2]], np.int16)
    ground = Ground.of(Path("x.tif"), GeoGeometry((3, 3), UTM, NORTH_UP))
    write_polygons(tmp_path / "x.gpkg", ground, label, LABELS, Drawing("gpkg"))
    # Without our own packages, which are of another Python.
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    shown = subprocess.run(
        [python, "-c", LOOK, str(tmp_path / "x.gpkg")],
        env={**own, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        check=False,
    )
    crs, count, attribute, classes = json.loads(shown.stdout.splitlines()[-1])
    assert (crs, count, attribute) == ("EPSG:32633", 3, "class_id")
    expected = zip(LABELS.ids[1:], LABELS.names[1:], LABELS.palette[1:], strict=True)
    assert classes == [[identifier, name, [*colour, 160]] for identifier, name, colour in expected]
