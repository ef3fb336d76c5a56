"""Scenes are segmented without being held; what comes out is what segmenting them whole gives, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image

from samtailor.data.formats import read_image
from samtailor.data.intensity import ByChannel, Intensity, Percentile, Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.inference.predict import predict
from samtailor.inference.predictor import Predictor
from samtailor.inference.result import segment
from samtailor.labels import LabelSpace
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base
from samtailor.recipes import HeadOnly
from tests.data.formats.test_geotiff import write

LABELS = LabelSpace.from_names(("background", "field", "water"))
SIZE = (75, 90)
BY_BAND = ByChannel((Percentile(), Range(0, 3000), Percentile(2, 98), Percentile()))


def segmenter(folder: Path, base: Base, intensity: Intensity, channels: int = 4, **settings: Any) -> Path:
    """An untrained segmenter that sees windows of 32 pixels."""
    preprocessing = Preprocessing(intensity, 32, 32, channels, **settings)
    SegmenterModel.create(base.name, HeadOnly(), LABELS, preprocessing).save(folder)
    return folder


def noise(dtype: str, bands: int = 4, size: tuple[int, int] = SIZE) -> NDArray[Any]:
    """Smooth noise of four digits, and darker from band to band; negative where the type can be."""
    rng = np.random.default_rng(0)
    coarse = rng.normal(2000, 1000, (bands, 8, 8)) / np.arange(1, bands + 1)[:, None, None]
    coarse /= 16 if dtype == "uint8" else 1
    image = np.stack([np.asarray(Image.fromarray(plane).resize(size[::-1])) for plane in coarse])
    limits = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else np.finfo(dtype)
    return np.clip(image + rng.normal(0, 0.02, image.shape) * image, float(limits.min), float(limits.max)).astype(dtype)


def with_hole(image: NDArray[Any], value: float) -> NDArray[Any]:
    """A block without data, and another that lacks it in one band only."""
    image[:, 20:50, 10:60] = value
    image[1, 60:70, 70:80] = value
    return image


def mask() -> NDArray[np.uint8]:
    """All seen but a block."""
    seen = np.full(SIZE, 255, np.uint8)
    seen[30:60, 40:] = 0
    return seen


def require_same(first: Path, second: Path) -> None:
    """Two files hold the same numbers in the same place."""
    with rasterio.open(first) as found, rasterio.open(second) as expected:
        np.testing.assert_array_equal(found.read(), expected.read())
        assert (found.transform, found.crs) == (expected.transform, expected.crs)
        assert str(found.nodata) == str(expected.nodata)


SCENES: dict[str, tuple[Intensity, Callable[[Path], Path]]] = {
    "bytes": (Range(), lambda path: write(path, noise("uint8"))),
    "words": (Percentile(), lambda path: write(path, noise("uint16"))),
    "signed": (BY_BAND, lambda path: write(path, noise("int16"))),
    "floats": (BY_BAND, lambda path: write(path, noise("float32"))),
    "tiles": (Percentile(), lambda path: write(path, noise("uint16"), tiled=True, blockxsize=16, blockysize=32)),
    "nodata": (Percentile(), lambda path: write(path, with_hole(noise("uint16"), 0), nodata=0)),
    "no numbers": (BY_BAND, lambda path: write(path, with_hole(noise("float32"), np.nan))),
    "mask": (BY_BAND, lambda path: write(path, noise("uint16"), mask=mask(), tiled=True, blockxsize=16, blockysize=16)),
    "infinite": (Percentile(), lambda path: write(path, with_hole(noise("float32"), np.inf))),
}


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.filterwarnings("ignore:.*NaN or infinite voxels")
def test_a_scene_gives_what_the_whole_image_gives(name: str, tiny_base: Base, tmp_path: Path) -> None:
    intensity, make = SCENES[name]
    scene, run = make(tmp_path / "scene.tif"), segmenter(tmp_path / "segmenter", tiny_base, intensity)
    predictor = Predictor(SegmenterModel.load(run).for_inference(), device="cpu")
    for probabilities in (False, True):
        assert predict(run, [scene], tmp_path / "out", probabilities=probabilities, overwrite=True).failures == ()
        whole = segment(predictor, read_image(scene), probabilities)
        assert len(np.unique(whole.label)) > 1
        whole.save(tmp_path / "whole.tif")
        require_same(tmp_path / "out" / "scene.tif", tmp_path / "whole.tif")
    whole.save_probabilities(tmp_path / "probabilities.tif")
    require_same(tmp_path / "out" / "probabilities" / "scene.tif", tmp_path / "probabilities.tif")
