"""Prediction of scenes: GeoTIFFs of four bands of sixteen bits in, a label GeoTIFF out.

Weights are random: time and memory do not depend on them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.line import Place, Prepared, Side
from benchmarks.prediction import made_segmenter, ours
from samtailor.data.intensity import Percentile
from samtailor.data.preprocessing import Preprocessing
from samtailor.models.segmenter_model import load_model

BANDS, CLASSES = 4, 6
_TILE = 512
_LARGE = 10**8
"""Pixels from which a scene is sparse."""


def scene(base: str, size: int, rows: int, columns: int, field: int) -> Callable[[Side, Place], Prepared]:
    """A scene in windows of `field` pixels, each brought to the network's input of `size` pixels.

    Args:
        base: Base model.
        size: Side of the network's input.
        rows: Rows of the scene; of large ones most tiles in the file are empty, which makes nothing smaller in memory.
        columns: Columns of the scene.
        field: Side of the windows.
    """

    def prepare(which: Side, place: Place) -> Prepared:
        shape, seen, input_size = ((600, 700), 256, 64) if place.small else ((rows, columns), field, size)
        preprocessing = Preprocessing(Percentile(), input_size, seen, BANDS)
        made_segmenter(base, place.folder, preprocessing, CLASSES)
        source = place.folder / "scene.tif"
        write_scene(source, *shape)
        if which == "peer":
            return Prepared(lambda: whole_array_loop(source, place, seen), holder=place.holder)
        return ours(source, place)

    return prepare


def write_scene(path: Path, rows: int, columns: int) -> None:
    """Smooth noise of twelve bits in tiles; of a large scene only those on the diagonal are there."""
    import rasterio
    from rasterio.windows import Window

    rng = np.random.default_rng(0)
    settings = {"driver": "GTiff", "width": columns, "height": rows, "count": BANDS, "dtype": "uint16", "tiled": True}
    settings |= {"blockxsize": _TILE, "blockysize": _TILE, "compress": "deflate", "bigtiff": "if_safer"}
    settings |= {"crs": "EPSG:32633", "transform": rasterio.Affine(4, 0, 500_000, 0, -4, 5_000_000)}
    with rasterio.open(path, "w", sparse_ok=True, **settings) as file:
        for y in range(0, rows, _TILE):
            for x in [y] if rows * columns > _LARGE else range(0, columns, _TILE):
                height, width = min(_TILE, rows - y), min(_TILE, columns - x)
                coarse = torch.from_numpy(rng.uniform(0, 4000, (1, BANDS, 17, 17)).astype(np.float32))
                fine = F.interpolate(coarse, (height, width), mode="bilinear")[0].numpy()
                file.write(fine.astype(np.uint16), window=Window(x, y, width, height))


def whole_array_loop(source: Path, place: Place, field: int) -> None:
    """What one writes by hand, and what torchgeo's sampling with full-array stitching comes to.

    The whole scene is read, normalised by its percentiles, and segmented window by window with an overlap of a quarter;
    the scores of all classes are summed in arrays of its size, and their argmax is written.
    """
    import rasterio

    with torch.inference_mode(), rasterio.open(source) as file:
        model = load_model(place.folder / "segmenter").for_inference().to(place.device).eval()
        image = file.read().astype(np.float32)
        low, high = np.percentile(image, (0.5, 99.5))
        image = np.clip((image - low) / (high - low), 0, 1)
        _, height, width = image.shape
        total = np.zeros((CLASSES, height, width), np.float32)
        hits = np.zeros((height, width), np.float32)
        preprocessing = model.preprocessing
        for window in preprocessing.windows(height, width):
            rows, columns = slice(window.y, window.y + field), slice(window.x, window.x + field)
            seen = preprocessing.input_of(image, window)[None].to(place.device)
            logits = F.interpolate(model(seen).float(), (field, field), mode="bilinear")[0].cpu().numpy()
            total[:, rows, columns] += logits[:, : height - window.y, : width - window.x]
            hits[rows, columns] += 1
        label = (total / hits).argmax(axis=0).astype(np.uint8)
        profile = file.profile | {"count": 1, "dtype": "uint8"}
        with rasterio.open(place.folder / "label.tif", "w", **profile) as target:
            target.write(label, 1)
