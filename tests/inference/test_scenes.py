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

import samtailor
from samtailor.data.formats import image_files, open_scene, read_image
from samtailor.data.formats.gdal_raster import GdalRaster
from samtailor.data.formats.geotiff_writer import LabelWriter
from samtailor.data.intensity import ByChannel, Intensity, Percentile, Range, scale
from samtailor.data.preprocessing import Preprocessing, Window
from samtailor.data.scene import Scene
from samtailor.data.steps.median import MedianDenoising
from samtailor.errors import ConfigError
from samtailor.inference.predict import predict
from samtailor.inference.predictor import Predictor
from samtailor.inference.result import segment
from samtailor.labels import LabelSpace
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base
from samtailor.recipes import HeadOnly
from samtailor.refinement import chosen_refinement
from samtailor.settings import WindowChoice
from tests.data.formats.test_geotiff import TRANSFORM, write

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
@pytest.mark.filterwarnings("ignore:.*NaN or infinite (voxels|pixels)")
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


def test_a_scene_is_scaled_by_what_the_segmenter_has_stored(tmp_path: Path) -> None:
    stored, own = (Preprocessing(intensity, 32, 32, 4) for intensity in (Range(0, 3000), Percentile()))
    for factor in (1, 3):  # whatever else lies in the scene
        image = noise("uint16")
        image[:, 40:] *= factor
        with open_scene(image_files(write(tmp_path / f"{factor}.tif", image)), 4) as scene:
            of_data_set, of_scene = (np.asarray(one.prepare_scene(scene))[0] for one in (stored, own))
        np.testing.assert_array_equal(of_data_set, scale(image, Range(0, 3000)))
        np.testing.assert_array_equal(of_scene, scale(image, Percentile()))


@pytest.mark.parametrize(("choice", "windows"), [("auto", 4), ("whole", 1), ("training", 4)])
def test_a_scene_is_seen_whole_or_in_windows_as_is_wanted(
    choice: WindowChoice, windows: int, tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preprocessing = Preprocessing(Range(), 32, None, 4, seen=55)
    SegmenterModel.create(tiny_base.name, HeadOnly(), LABELS, preprocessing).save(tmp_path / "segmenter")
    seen: list[Window] = []
    cut_of = Preprocessing.input_of
    monkeypatch.setattr(
        Preprocessing, "input_of", lambda self, image, window: seen.append(window) or cut_of(self, image, window)
    )
    scene = write(tmp_path / "scene.tif", noise("uint8"))
    assert predict(tmp_path / "segmenter", [scene], tmp_path / "out", windows=choice).failures == ()
    assert len(seen) == windows
    label = samtailor.load(tmp_path / "segmenter").predict(scene, windows=choice).label[0]
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "scene.tif")), label)


def made(tmp_path: Path, base: Base, **settings: Any) -> tuple[Path, Path]:
    """A segmenter, and a scene with a block without data."""
    scene = write(tmp_path / "scene.tif", with_hole(noise("uint16"), 0), nodata=0)
    return segmenter(tmp_path / "segmenter", base, Percentile(), **settings), scene


def test_a_scene_is_never_read_as_a_whole(tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, scene = made(tmp_path, tiny_base)
    monkeypatch.setattr(GdalRaster, "whole", None)
    assert predict(run, [scene], tmp_path / "out", probabilities=True, overlays=True).failures == ()
    assert (tmp_path / "out" / "overlays" / "scene.png").stat().st_size > 1000


def test_heat_maps_of_a_scene_are_those_of_the_whole_image(tiny_base: Base, tmp_path: Path) -> None:
    run, scene = made(tmp_path, tiny_base)
    steps = {"streamed": None, "held": "largest-component"}  # which holds the scene, and leaves probabilities alone
    for name, refine in steps.items():
        assert predict(run, [scene], tmp_path / name, heat_maps=True, refine=refine).failures == ()
    streamed, held = (np.asarray(Image.open(tmp_path / name / "heat-maps" / "scene.png")) for name in steps)
    np.testing.assert_array_equal(streamed, held)
    assert not (tmp_path / "streamed" / "probabilities").exists()


@pytest.mark.parametrize("how", ["refine", "denoise"])
def test_what_looks_at_all_of_a_scene_gets_all_of_it(how: str, tiny_base: Base, tmp_path: Path) -> None:
    settings = {"steps": (MedianDenoising(),)} if how == "denoise" else {}
    run, scene = made(tmp_path, tiny_base, **settings)
    refine = "largest-component" if how == "refine" else None
    (found,) = predict(run, [scene], tmp_path / "out", refine=refine, cog=True).written
    steps = chosen_refinement(refine)
    whole = segment(
        Predictor(SegmenterModel.load(run).for_inference(), device="cpu", refinement=steps), read_image(scene)
    )
    whole.save(tmp_path / "whole.tif")
    require_same(found, tmp_path / "whole.tif")
    assert layout(found) == "COG"


@pytest.mark.parametrize("how", ["refine", "denoise"])
def test_what_looks_at_all_of_a_scene_that_does_not_fit_is_refused_by_name(
    how: str, tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"steps": (MedianDenoising(),)} if how == "denoise" else {}
    run, scene = made(tmp_path, tiny_base, **settings)
    monkeypatch.setattr("samtailor.inference.scenes.available_memory", lambda: 100_000)
    refine = "fill-holes,largest-component" if how == "refine" else None
    expected = (
        "fill-holes, largest-component; found .*--refine none" if how == "refine" else "median; found .*--denoise"
    )
    with pytest.raises(ConfigError, match=rf"scene\.tif: expected a scene that fits .* by {expected}"):
        predict(run, [scene], tmp_path / "out", refine=refine)
    assert not (tmp_path / "out").exists()
    if how == "refine":
        assert predict(run, [scene], tmp_path / "out", refine="none").failures == ()


def layout(path: Path) -> str | None:
    """How a GeoTIFF is laid out."""
    with rasterio.open(path) as file:
        found: str | None = file.tags(ns="IMAGE_STRUCTURE").get("LAYOUT")
        return found


def test_probabilities_are_kept_as_asked_for(tiny_base: Base, tmp_path: Path) -> None:
    run, scene = made(tmp_path, tiny_base)
    found: dict[str, Any] = {}
    for kind in ("float32", "float16", "uint8"):
        predict(run, [scene], tmp_path / kind, probabilities=True, probability_type=kind, cog=kind == "uint8")
        with rasterio.open(tmp_path / kind / "probabilities" / "scene.tif") as file:
            assert file.descriptions == LABELS.names
            found[kind] = file.read(masked=True) * np.array(file.scales)[:, None, None]
    assert (
        layout(tmp_path / "uint8" / "probabilities" / "scene.tif") == layout(tmp_path / "uint8" / "scene.tif") == "COG"
    )
    assert found["float32"].mask[:, 20:50, 10:60].all()
    for kind, tolerance in (("float16", 0), ("uint8", 0.51 / 254)):
        np.testing.assert_array_equal(found[kind].mask, found["float32"].mask)
        np.testing.assert_allclose(found[kind].filled(0), found["float32"].filled(0), rtol=0, atol=tolerance)


@pytest.mark.parametrize("flag", [{"cog": True}, {"probability_type": "uint8", "probabilities": True}])
def test_what_only_scenes_are_written_as_is_refused_for_others(
    flag: dict[str, Any], tiny_base: Base, tmp_path: Path
) -> None:
    run, scene = made(tmp_path, tiny_base)
    Image.fromarray(noise("uint8", 3)[0]).save(tmp_path / "picture.png")
    with pytest.raises(ConfigError, match=rf"{next(iter(flag))}: expected GeoTIFFs only.*found .*picture\.png"):
        predict(run, [scene, tmp_path / "picture.png"], tmp_path / "out", **flag)
    with pytest.raises(ConfigError, match="probability_type: expected --probabilities"):
        predict(run, [scene], tmp_path / "out", probability_type="uint8")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("where", ["read", "write", "network"])
def test_a_failure_in_the_middle_leaves_nothing(
    where: str, tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, scene = made(tmp_path, tiny_base)
    owner, name = {"read": (Scene, "read"), "write": (LabelWriter, "write"), "network": (Predictor, "_inputs")}[where]
    real, calls = getattr(owner, name), 0

    def failing(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise OSError("no space left")
        return real(*args)

    monkeypatch.setattr(owner, name, failing)
    report = predict(run, [scene], tmp_path / "out", probabilities=True, overlays=True, batch_size=1)
    assert [failure.reason for failure in report.failures] == ["no space left"]
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_a_scene_without_any_data_is_refused(tiny_base: Base, tmp_path: Path) -> None:
    scene = write(tmp_path / "scene.tif", np.zeros((4, *SIZE), np.uint8), nodata=0)
    for intensity in (Percentile(), Range()):
        run = segmenter(tmp_path / type(intensity).__name__, tiny_base, intensity)
        (failure,) = predict(run, [scene], tmp_path / "out").failures
        assert failure.reason.startswith("expected pixels with data, found none")
        assert not list((tmp_path / "out").glob("*"))


def test_a_scene_of_another_scale_is_refused(tiny_base: Base, tmp_path: Path) -> None:
    run = segmenter(tmp_path / "segmenter", tiny_base, Range())
    (failure,) = predict(run, [write(tmp_path / "scene.tif", noise("uint16"))], tmp_path / "out").failures
    assert "expected intensities from 0 to 255, as in training, found uint16 from" in failure.reason


def test_gray_is_repeated_for_colours_and_gray_colours_are_gray(tiny_base: Base, tmp_path: Path) -> None:
    gray = noise("uint16", 1)
    for channels, image in ((3, gray), (1, np.repeat(gray, 3, axis=0))):
        run = segmenter(tmp_path / str(channels), tiny_base, Percentile(), channels)
        scene = write(tmp_path / f"scene_{channels}.tif", image)
        (found,) = predict(run, [scene], tmp_path / "out").written
        predictor = Predictor(SegmenterModel.load(run).for_inference(), device="cpu")
        segment(predictor, read_image(scene, channels)).save(tmp_path / "whole.tif")
        require_same(found, tmp_path / "whole.tif")
    coloured = write(tmp_path / "coloured.tif", noise("uint16", 3))
    (failure,) = predict(tmp_path / "1", [coloured], tmp_path / "out").failures
    assert "expected 1 channel, found 3" in failure.reason


def test_a_mosaic_of_files_is_one_scene(tiny_base: Base, tmp_path: Path) -> None:
    """As gdalbuildvrt writes it."""
    run, scene = made(tmp_path, tiny_base)
    image = with_hole(noise("uint16"), 0)
    sources = []
    for name, rows in (("north", slice(0, 40)), ("south", slice(40, 75))):
        write(tmp_path / f"{name}.tif", image[:, rows], nodata=0)
        height = rows.stop - rows.start
        place = f'<SrcRect xOff="0" yOff="0" xSize="90" ySize="{height}"/>'
        place += f'<DstRect xOff="0" yOff="{rows.start}" xSize="90" ySize="{height}"/>'
        sources.append((name, place))
    bands = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{band}"><NoDataValue>0</NoDataValue>'
        + "".join(
            f'<ComplexSource><SourceFilename relativeToVRT="1">{name}.tif</SourceFilename>'
            f"<SourceBand>{band}</SourceBand>{place}<NODATA>0</NODATA></ComplexSource>"
            for name, place in sources
        )
        + "</VRTRasterBand>"
        for band in range(1, 5)
    )
    numbers = ", ".join(map(str, TRANSFORM.to_gdal()))
    grid = f"<SRS>EPSG:32633</SRS><GeoTransform>{numbers}</GeoTransform>"
    mosaic = tmp_path / "mosaic.vrt"
    mosaic.write_text(f'<VRTDataset rasterXSize="90" rasterYSize="75">{grid}{bands}</VRTDataset>')
    report = predict(run, [mosaic, scene], tmp_path / "out")
    assert [path.name for path in report.written] == ["mosaic.tif", "scene.tif"]
    require_same(*report.written)
