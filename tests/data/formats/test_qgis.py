"""QGIS itself, where it is installed, shows a label by the names and the colours of its classes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from samtailor.labels import LabelSpace
from tests.data.formats.test_geotiff import SIZE, geometry

LOOK = """
import json, sys
from qgis.core import QgsApplication, QgsRasterLayer
QgsApplication([], False).initQgis()
layer = QgsRasterLayer(sys.argv[1], "label")
classes = [(int(one.value), one.label, one.color.name()) for one in layer.renderer().classes()]
print(json.dumps([layer.crs().authid(), layer.renderer().type(), classes, layer.dataProvider().sourceNoDataValue(1)]))
"""


@pytest.fixture
def python() -> str:
    """The system's Python, which knows QGIS where that is installed."""
    found = shutil.which("python3", path=os.defpath)
    if found is None or subprocess.run([found, "-c", "import qgis.core"], capture_output=True, check=False).returncode:
        pytest.skip("QGIS (Debian: python3-qgis) is not installed")
    return found


@pytest.mark.parametrize("count", [3, 300])
def test_qgis_takes_the_style(python: str, tmp_path: Path, count: int) -> None:
    labels = LabelSpace.from_names(tuple(f"class <{i}>" for i in range(count)))
    geometry().write_label(tmp_path / "x.tif", np.zeros((1, *SIZE), np.int16), labels)
    # Without our own packages, which are of another Python.
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    run = [python, "-c", LOOK, str(tmp_path / "x.tif")]
    shown = subprocess.run(
        run, env={**own, "QT_QPA_PLATFORM": "offscreen"}, capture_output=True, text=True, check=False
    )
    crs, kind, classes, nodata = json.loads(shown.stdout.splitlines()[-1])
    assert (crs, kind, nodata) == ("EPSG:32633", "paletted", 255 if count == 3 else 65535)
    colours = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in labels.palette]
    assert classes == [list(one) for one in zip(labels.ids, labels.names, colours, strict=True)]
