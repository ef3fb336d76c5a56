"""Small labelled folders of georeferenced scenes, whose labels are rasters and polygons in several files and CRS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.features import shapes
from rasterio.warp import transform_geom

from tests import generate

SIZE = (40, 48)
BANDS = ["blue", "green", "red", "nir"]
EMPTY_ROWS = 3


def place_of(number: int) -> rasterio.Affine:
    """Where a scene lies: beside the one before, turned a little."""
    return (
        rasterio.Affine.translation(500_000 + 1000 * number, 4_600_000)
        @ rasterio.Affine.rotation(7)
        @ (rasterio.Affine.scale(10, -10))
    )


def polygons_of(ids: NDArray[np.uint8], transform: rasterio.Affine, crs: str) -> tuple[list[Any], list[str]]:
    """Outlines of classes in a CRS, and their names."""
    found = [(shape, int(value)) for shape, value in shapes(ids, mask=ids > 0, transform=transform)]
    outlines = [shapely.geometry.shape(transform_geom("EPSG:32633", crs, shape, precision=12)) for shape, _ in found]
    return outlines, [generate.PICTURE_CLASSES[value] for _, value in found]


def scene_folder(root: Path, count: int = 6, **settings: Any) -> Path:
    """Image folder of scenes of four bands of 16 bits whose first rows hold nothing, labelled in several ways."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for number in range(count):
        colours, ids = generate.picture(SIZE, number)
        bands = (
            np.concatenate([np.moveaxis(colours, -1, 0)[::-1], 255 - colours[None, ..., 0]]).astype(np.uint16) * 40 + 1
        )
        bands[:, :EMPTY_ROWS] = 0
        transform = place_of(number)
        grid = {"driver": "GTiff", "height": SIZE[0], "width": SIZE[1], "crs": "EPSG:32633", "transform": transform}
        with rasterio.open(root / "images" / f"s{number}.tif", "w", count=4, dtype="uint16", nodata=0, **grid) as file:
            file.write(bands)
        if number == 0:
            with rasterio.open(root / "masks" / "s0.tif", "w", count=1, dtype="uint8", **grid) as file:
                file.write(ids, 1)
            continue
        suffix, crs = [("gpkg", "EPSG:32633"), ("geojson", "EPSG:4326"), ("shp", "EPSG:3035")][number % 3]
        outlines, names = polygons_of(ids, transform, crs)
        pyogrio.raw.write(
            root / "masks" / f"s{number}.{suffix}",
            shapely.to_wkb(np.array(outlines, object)),
            [np.array(names)],
            ["kind"],
            crs=crs,
            geometry_type="Polygon",
        )
    names = [f"s{number}" for number in range(count)]
    splits = {"train": names[:-3], "val": names[-3:-2], "test": names[-2:]}
    content = {"classes": generate.PICTURE_CLASSES, "bands": BANDS, "label_column": "kind", "splits": splits}
    generate.write_json(root / "dataset.json", {**content, **settings})
    return root
