"""Pictures of every common kind are read as they are, and masks as class ids or colours."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps, PngImagePlugin

from samtailor.data.case import Case, CaseFiles
from samtailor.data.check_dataset import check_dataset
from samtailor.data.dataset import open_dataset
from samtailor.data.formats import read_case, read_header, read_image
from samtailor.data.formats.picture import PictureFormat
from samtailor.data.intensity import Percentile, scale
from samtailor.data.preprocessing import Preprocessing
from samtailor.errors import DataError
from samtailor.labels import IGNORE, LabelSpace
from tests import generate

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
DEEP_GRAY = RNG.integers(0, 65536, (5, 7), dtype=np.uint16)
DEEP_COLOUR = RNG.integers(0, 65536, (5, 7, 3), dtype=np.uint16)
LABELS = LabelSpace(generate.PICTURE_CLASSES, (0, 1, 2), generate.PICTURE_PALETTE, ignore_id=255)


def channels_first(array: NDArray[Any]) -> NDArray[Any]:
    """What `read_image` gives for an array as pictures hold it: (C, 1, H, W)."""
    return (array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0))[:, None]


def kind_of(path: Path) -> tuple[int, int]:
    """Channels and bits by the header."""
    header = read_header(path)
    return header.channels, header.bits


def write_deep_png(path: Path, array: NDArray[np.uint16]) -> None:
    """16-bit PNG with 3 (RGB) or 4 (RGBA) channels, or 2 (gray and alpha), which Pillow cannot write."""
    height, width, channels = array.shape
    kind = {2: 4, 3: 2, 4: 6}[channels]
    rows = array.astype(">u2").reshape(height, -1).view(np.uint8).astype(int)
    left = np.pad(rows, ((0, 0), (2 * channels, 0)))[:, : rows.shape[1]]
    filtered = np.concatenate([np.ones((height, 1), dtype=int), rows - left], axis=1)  # filter 1: left neighbour
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    content = zlib.compress((filtered % 256).astype(np.uint8).tobytes())
    chunks = ((b"IHDR", header), (b"IDAT", content), (b"IEND", b""))
    parts = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def alpha(array: NDArray[Any]) -> NDArray[Any]:
    """The array with an alpha channel."""
    array = array[..., None] if array.ndim == 2 else array
    return np.concatenate([array, np.full_like(array[..., :1], 9)], axis=-1)


def palette_image(gray: bool) -> Image.Image:
    """Palette picture whose pixel i has the colour of row i of the palette."""
    image = Image.fromarray(GRAY)
    colours = np.repeat(np.arange(256, dtype=np.uint8)[::-1, None], 3, axis=1)
    if not gray:
        colours[:, 1] = 7
    image.putpalette(colours.tobytes())
    return image


@pytest.mark.parametrize(
    ("name", "array", "bits"),
    [
        ("x.png", GRAY, 8),
        ("x.png", COLOUR, 8),
        ("x.tif", GRAY, 8),
        ("x.tiff", COLOUR, 8),
        ("x.png", DEEP_GRAY, 16),
        ("x.tif", DEEP_GRAY, 16),
    ],
)
def test_pixels_come_as_they_are(tmp_path: Path, name: str, array: NDArray[Any], bits: int) -> None:
    Image.fromarray(array).save(tmp_path / name)
    image = read_image(tmp_path / name).image
    assert image.dtype == array.dtype
    assert np.array_equal(image, channels_first(array))
    assert kind_of(tmp_path / name) == (image.shape[0], bits)


def test_jpeg_is_read(tmp_path: Path) -> None:
    for array in (GRAY, COLOUR):
        Image.fromarray(array).save(tmp_path / "x.JPG", format="JPEG")
        assert read_image(tmp_path / "x.JPG").image.shape == channels_first(array).shape


@pytest.mark.parametrize("array", [DEEP_COLOUR, alpha(DEEP_COLOUR)])
def test_deep_colour_keeps_all_its_bits(tmp_path: Path, array: NDArray[np.uint16]) -> None:
    write_deep_png(tmp_path / "x.png", array)
    tifffile.imwrite(tmp_path / "x.tif", array, photometric="rgb")
    tifffile.imwrite(tmp_path / "p.tif", np.moveaxis(array, -1, 0), photometric="rgb", planarconfig="separate")
    tifffile.imwrite(tmp_path / "b.tif", array, photometric="rgb", byteorder=">", compression="zlib")
    for name in ("x.png", "x.tif", "p.tif", "b.tif"):
        image = read_image(tmp_path / name).image
        assert image.dtype == np.uint16, name
        assert np.array_equal(image, channels_first(DEEP_COLOUR)), name
        assert kind_of(tmp_path / name) == (3, 16)
    assert read_header(tmp_path / "x.tif").bands == array.shape[2]


def test_alpha_is_dropped(tmp_path: Path) -> None:
    write_deep_png(tmp_path / "deep.png", alpha(DEEP_GRAY))
    for array in (GRAY, COLOUR):
        for path in (tmp_path / "x.png", tmp_path / "x.tif"):
            Image.fromarray(alpha(array)).save(path)
            assert np.array_equal(read_image(path).image, channels_first(array))
            header = read_header(path)
            assert (header.channels, header.bands) == ((1, 2) if array is GRAY else (3, 4))
    assert np.array_equal(read_image(tmp_path / "deep.png").image, channels_first(DEEP_GRAY))
    assert kind_of(tmp_path / "deep.png") == (1, 16)


def test_palettes_are_read_as_what_they_show(tmp_path: Path) -> None:
    palette_image(gray=True).save(tmp_path / "gray.png")
    palette_image(gray=False).save(tmp_path / "colour.png")
    assert np.array_equal(read_image(tmp_path / "gray.png").image, channels_first(255 - GRAY))
    shown = np.stack([255 - GRAY, np.full_like(GRAY, 7), 255 - GRAY], axis=-1)
    assert np.array_equal(read_image(tmp_path / "colour.png").image, channels_first(shown))
    assert (kind_of(tmp_path / "gray.png"), kind_of(tmp_path / "colour.png")) == ((1, 8), (3, 8))


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(GRAY > 127).save(tmp_path / "x.png")
    assert np.array_equal(read_image(tmp_path / "x.png").image[0, 0], np.where(GRAY > 127, 255, 0))


def test_floats_are_read(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", GRAY.astype(np.float32) / 3)
    assert np.array_equal(read_image(tmp_path / "x.tif").image[0, 0], GRAY.astype(np.float32) / 3)
    assert kind_of(tmp_path / "x.tif") == (1, 32)


def test_masks_of_several_pages_or_frames_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((4, 5, 7), dtype=np.uint8), photometric="minisblack")
    frames = [Image.fromarray(np.full((5, 7), value, dtype=np.uint8)) for value in (0, 1)]
    frames[0].save(tmp_path / "frames.png", save_all=True, append_images=frames[1:])
    for name, found in (("stack.tif", "4 pages"), ("frames.png", "an animation of 2 frames")):
        with pytest.raises(DataError, match=found):
            PictureFormat().read_ids(tmp_path / name, LABELS)
        with pytest.raises(DataError, match=found):
            read_image(tmp_path / name)


def turned(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """How an array is stored that a viewer shows upright by the tag."""
    stored = {1: array, 2: array[:, ::-1], 3: array[::-1, ::-1], 4: array[::-1]}
    stored |= {5: array.swapaxes(0, 1), 6: np.rot90(array), 7: array[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(array, -1)}
    return np.ascontiguousarray(stored[orientation])


class TestOrientation:
    """Pictures and masks lie as viewers show them, whatever order their rows are stored in."""

    @pytest.fixture(params=["x.png", "late.png", "x.tif", "lzw.tif", "group4.tif", "ycbcr.tif", "x.jpg"])
    def name(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
    def test_pixels_are_upright(self, tmp_path: Path, name: str, orientation: int) -> None:
        shown = np.repeat(np.repeat(np.uint8([[0, 0, 255], [255, 0, 255]]), 16, axis=0), 16, axis=1)
        self.write(tmp_path / name, turned(shown, orientation), orientation)
        image, header = read_image(tmp_path / name), read_header(tmp_path / name)
        assert header.geometry.shape == image.geometry.shape == image.image.shape[1:] == (1, 32, 48)
        assert np.abs(image.image[0, 0].astype(int) - shown).max() < 5
        with Image.open(tmp_path / name) as other:  # what everybody else sees
            seen = np.asarray((other if name.endswith("tif") else ImageOps.exif_transpose(other)).convert("L"))
        if seen.shape == shown.shape:  # Pillow confuses rows and columns of some TIFFs
            assert np.abs(seen.astype(int) - shown).max() < 5

    def test_masks_lie_on_their_pictures(self, tmp_path: Path) -> None:
        ids = RNG.integers(0, 3, (5, 7), dtype=np.uint8)
        for orientation in range(1, 9):
            for name in ("mask.png", "mask.tif"):
                self.write(tmp_path / name, turned(ids, orientation), orientation)
                label = label_of(tmp_path / name)
                assert label is not None
                assert np.array_equal(label[0], ids), (name, orientation)

    def test_results_lie_on_what_is_shown(self, tmp_path: Path) -> None:
        self.write(tmp_path / "x.png", turned(GRAY, 6), 6)
        geometry = read_image(tmp_path / "x.png").geometry
        geometry.write_label(tmp_path / "y.png", np.ones((1, 5, 7), np.int16), LABELS)
        assert Image.open(tmp_path / "y.png").size == (7, 5)

    def test_a_mask_of_the_stored_pixels_is_named(self, tmp_path: Path) -> None:
        self.write(tmp_path / "x.png", turned(GRAY, 6), 6)
        Image.fromarray(np.zeros((7, 5), np.uint8)).save(tmp_path / "mask.png")
        with pytest.raises(DataError, match="as if one of them lay on its side"):
            read_case(CaseFiles("x", (tmp_path / "x.png",), tmp_path / "mask.png"), LABELS)

    @pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
    @pytest.mark.parametrize("broken", [b"Exif\0\0nonsense", b"Exif\0\0II*\0\xff\xff\xff\xff"])
    def test_broken_exif_does_not_matter(self, tmp_path: Path, broken: bytes) -> None:
        for name in ("x.png", "x.jpg"):
            Image.fromarray(GRAY).save(tmp_path / name, exif=broken)
            image = read_image(tmp_path / name).image
            assert np.abs(image[0, 0].astype(int) - np.asarray(Image.open(tmp_path / name))).max() == 0

    def write(self, path: Path, stored: NDArray[Any], orientation: int) -> None:
        """Write gray pixels with the tag; what the kind is, the name says."""
        image = Image.fromarray(stored)
        exif = Image.Exif()
        exif[0x0112] = orientation
        match path.name:
            case "late.png":  # EXIF behind the pixels
                image.save(path, exif=exif)
                content = path.read_bytes()
                start = content.index(b"eXIf") - 4
                end = start + 12 + int.from_bytes(content[start : start + 4])
                path.write_bytes(content[:start] + content[end:-12] + content[start:end] + content[-12:])
            case "lzw.tif":
                image.save(path, exif=exif, compression="tiff_lzw")
            case "group4.tif":
                image.convert("1").save(path, exif=exif, compression="group4")
            case "ycbcr.tif":
                image.convert("RGB").convert("YCbCr").save(path, exif=exif)
            case _:
                image.save(path, exif=exif)


class TestVoid:
    """Pixels without data count in no statistics, and nothing is learnt there."""

    @pytest.mark.parametrize("value", [-9999.0, -99999.0, -32768.0, -3.4028234663852886e38, 3.4e38, np.nan])
    def test_usual_numbers_in_floats_need_no_tag(self, tmp_path: Path, value: float) -> None:
        array = COLOUR.astype(np.float32) / 255
        array[0], array[1, :, 0] = value, value
        tifffile.imwrite(tmp_path / "x.tif", array, photometric="rgb")
        case = self.require_first_row(tmp_path / "x.tif", "usual nodata numbers")
        assert case.image[0, 0, :2].max() == case.image[0, 0, 2:].min()  # a single channel is filled, the pixel stays
        assert np.array_equal(case.image[1:, 0, 1:], channels_first(array)[1:, 0, 1:])

    @pytest.mark.parametrize(
        ("dtype", "tag", "value"),
        [("uint8", "7", 7), ("int16", "-32768", -32768), ("float32", "1e-3", 1e-3), ("float64", "nan", np.nan)],
    )
    def test_the_tag_names_the_number(self, tmp_path: Path, dtype: str, tag: str, value: float) -> None:
        array = np.clip(COLOUR, 10, None).astype(dtype)
        array[0] = value
        tifffile.imwrite(tmp_path / "x.tif", array, photometric="rgb", extratags=[(42113, "s", 0, tag, True)])
        case = self.require_first_row(tmp_path / "x.tif", f"nodata {tag}" if tag != "1e-3" else "nodata 0.001")
        assert np.array_equal(case.image[:, 0, 1:], channels_first(array)[:, 0, 1:])

    def test_a_channel_may_lack_all(self, tmp_path: Path) -> None:
        array = COLOUR.astype(np.float32)
        array[..., 1] = np.nan
        tifffile.imwrite(tmp_path / "x.tif", array, photometric="rgb")
        case = read_image(tmp_path / "x.tif")
        assert case.geometry.void is not None
        assert not case.geometry.void.where.any()
        array[..., 1] = 0
        assert np.array_equal(case.image, channels_first(array))

    @pytest.mark.parametrize("tag", ["300", "-9999", "nonsense", "7.5"])
    def test_a_number_that_no_pixel_has_does_nothing(self, tmp_path: Path, tag: str) -> None:
        tifffile.imwrite(tmp_path / "x.tif", COLOUR, photometric="rgb", extratags=[(42113, "s", 0, tag, True)])
        assert read_image(tmp_path / "x.tif").geometry.void is None

    def test_integers_need_a_tag(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "x.tif", np.where(GRAY > 99, np.int16(-9999), GRAY).astype(np.int16))
        assert read_image(tmp_path / "x.tif").geometry.void is None

    @pytest.mark.parametrize(
        "name", ["rgba.png", "la.png", "deep.png", "key.png", "index.png", "indices.png", "x.tif", "mask.tif"]
    )
    def test_transparent_pixels_are_none(self, tmp_path: Path, name: str) -> None:
        opacity = np.full((5, 7, 1), 255, np.uint8)
        opacity[0] = 0
        match name:
            case "la.png":
                Image.fromarray(np.concatenate([GRAY[..., None], opacity], axis=-1)).save(tmp_path / name)
            case "deep.png":
                write_deep_png(tmp_path / name, np.concatenate([COLOUR, opacity], axis=-1) * np.uint16(257))
            case "key.png":
                colour = np.where(opacity == 0, np.uint8(1), np.clip(COLOUR, 2, None))
                Image.fromarray(colour).save(tmp_path / name, transparency=(1, 1, 1))
            case "index.png":
                image = Image.fromarray(np.where(opacity[..., 0] == 0, np.uint8(3), np.uint8(1)))
                image.putpalette(bytes(range(12)))
                image.save(tmp_path / name, transparency=3)
            case "indices.png":
                image = Image.fromarray(np.where(opacity[..., 0] == 0, np.uint8([0, 3, 3, 0, 0, 3, 0]), np.uint8(1)))
                image.putpalette(bytes(range(12)))
                image.save(tmp_path / name, transparency=b"\0\x80\xff\0")
            case "mask.tif":  # GDAL's
                with tifffile.TiffWriter(tmp_path / name) as file:
                    file.write(COLOUR, photometric="rgb")
                    file.write(opacity[..., 0] > 0, subfiletype=4, photometric="mask")
            case _:
                Image.fromarray(np.concatenate([COLOUR, opacity], axis=-1)).save(tmp_path / name)
        self.require_first_row(tmp_path / name, "transparency")

    def test_an_alpha_that_hides_nothing_is_named(self, tmp_path: Path) -> None:
        opacity = np.clip(GRAY, 1, None)[..., None]
        Image.fromarray(np.concatenate([COLOUR, opacity], axis=-1)).save(tmp_path / "x.png")
        void = read_image(tmp_path / "x.png").geometry.void
        assert void is not None
        assert not void.where.any()
        assert void.why == "an alpha channel that is dropped"

    def test_a_picture_without_anything_is_refused(self, tmp_path: Path) -> None:
        Image.fromarray(np.concatenate([COLOUR, np.zeros((5, 7, 1), np.uint8)], axis=-1)).save(tmp_path / "alpha.png")
        tifffile.imwrite(tmp_path / "nodata.tif", np.full((5, 7), -9999, np.float32))
        for name, found in (
            ("alpha.png", "alpha channel of 0 everywhere"),
            ("nodata.tif", "none but the usual nodata"),
        ):
            with pytest.raises(DataError, match=rf"{name}: expected pixels with data, found .*{found}"):
                read_image(tmp_path / name)

    def test_the_check_names_them_and_all_count_without(self, tmp_path: Path) -> None:
        root = generate.image_folder(tmp_path, cases=4)
        pixels = np.asarray(Image.open(root / "images" / "tile_0.png")).astype(np.float32)
        pixels[:4] = -9999
        tifffile.imwrite(root / "images" / "tile_0.tif", pixels, photometric="rgb")
        (root / "images" / "tile_0.png").unlink()
        (warning,) = [one for one in check_dataset(root).findings if "tile_0" in one.file]
        assert (warning.severity, warning.expected) == ("warning", "data in all 1920 pixels")
        assert warning.found == "the usual nodata numbers (-9999, -3.4e38, NaN), without a tag: 192 pixels"
        dataset = open_dataset(root)
        case = read_case(dataset.cases[0], dataset.labels)
        assert case.label is not None
        assert (case.label[0, :4] == IGNORE).all()
        assert (case.label[0, 4:] >= 0).all()
        prepared = np.asarray(Preprocessing(Percentile(), 64, None, 3).prepare(case))
        expected = scale(pixels[4:], Percentile())
        assert np.array_equal(prepared[0, :, 4:], np.moveaxis(expected, -1, 0))

    def require_first_row(self, path: Path, why: str) -> Case:
        """Only the first row is void, as dark as the darkest other pixel."""
        case = read_image(path)
        void = case.geometry.void
        assert void is not None
        assert why in void.why
        assert void.where[0, 0].all()
        assert not void.where[0, 1:].any()
        assert (case.image[:, 0, 0] == case.image[:, 0, 1:].min(axis=(1, 2))[:, None]).all()
        return case


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif", "deep.tif"])
@pytest.mark.parametrize("kept", [0, 0.3, 0.9])
def test_truncated_pictures_are_refused(tmp_path: Path, name: str, kept: float) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    path = tmp_path / name
    if name == "deep.tif":
        tifffile.imwrite(path, noise.astype(np.uint16), photometric="rgb")
    else:
        Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(DataError, match=f"{name}: expected a readable picture"):
        read_image(path)


def test_a_case_of_two_files_is_refused(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        Image.fromarray(GRAY).save(tmp_path / name)
    with pytest.raises(DataError, match=r"b\.png: expected one picture file per case"):
        read_case(CaseFiles("x", (tmp_path / "a.png", tmp_path / "b.png")), None)


def test_gray_and_colour_pictures_come_with_one_number_of_channels(tmp_path: Path) -> None:
    root = generate.image_folder(tmp_path, cases=3)
    Image.open(root / "images" / "tile_1.png").convert("L").save(root / "images" / "tile_1.png")
    dataset = open_dataset(root)
    assert dataset.channels == ("R", "G", "B")
    image = read_case(dataset.cases[1], dataset.labels, channels=3).image
    assert image.shape == (3, 1, 40, 48)
    assert (image == image[:1]).all()
    for name in ("tile_0", "tile_2"):
        Image.open(root / "images" / f"{name}.png").convert("L").save(root / "images" / f"{name}.png")
    assert open_dataset(root).channels == ("gray",)


@pytest.mark.parametrize(
    ("counts", "channels"),
    [
        ((4, 4, 4), ("band 1", "band 2", "band 3", "band 4")),
        ((4, 4, 3), ("band 1", "band 2", "band 3", "band 4")),
        ((1, 1, 4), ("gray",)),
        ((1, 1, 3), ("R", "G", "B")),
        ((2, 2, 2), ("band 1", "band 2")),
    ],
)
def test_the_channels_are_those_that_most_pictures_have(
    tmp_path: Path, counts: tuple[int, ...], channels: tuple[str, ...]
) -> None:
    root = generate.image_folder(tmp_path, cases=3)
    for index, count in enumerate(counts):
        (root / "images" / f"tile_{index}.png").unlink()
        array = RNG.integers(0, 256, (40, 48, count), dtype=np.uint8)
        array = array[..., 0] if count == 1 else array
        path = root / "images" / f"tile_{index}.tif"
        tifffile.imwrite(path, array, photometric="minisblack", planarconfig="contig")
    assert open_dataset(root).channels == channels
    odd = [index for index, count in enumerate(counts) if count not in (len(channels), 1)]
    assert [Path(error.file).stem for error in check_dataset(root).errors] == [f"tile_{index}" for index in odd]


def test_colours_become_gray_only_if_they_are(tmp_path: Path) -> None:
    Image.fromarray(np.repeat(GRAY[..., None], 3, axis=-1)).save(tmp_path / "gray.png")
    Image.fromarray(COLOUR).save(tmp_path / "colour.png")
    assert np.array_equal(read_image(tmp_path / "gray.png", channels=1).image, channels_first(GRAY))
    with pytest.raises(DataError, match=r"colour\.png: expected 1 channel, found 3"):
        read_image(tmp_path / "colour.png", channels=1)


def label_of(path: Path) -> NDArray[np.int16] | None:
    """Class indices of a mask, read as the label of itself."""
    return read_case(CaseFiles("x", (path,), path), LABELS).label


def test_masks_hold_ids_or_palette_colours(tmp_path: Path) -> None:
    ids = RNG.integers(0, 3, (5, 7), dtype=np.uint8)
    colours = np.array(generate.PICTURE_PALETTE, dtype=np.uint8)
    palette = Image.fromarray(ids)
    palette.putpalette(colours.tobytes())
    masks = {
        "gray.png": Image.fromarray(ids),
        "palette.png": palette,
        "deep.png": Image.fromarray(ids.astype(np.uint16)),
        "gray.tif": Image.fromarray(ids),
        "colour.png": Image.fromarray(colours[ids]),
        "alpha.png": Image.fromarray(alpha(colours[ids])),
    }
    for name, image in masks.items():
        image.save(tmp_path / name)
        label = label_of(tmp_path / name)
        assert label is not None
        assert np.array_equal(label, ids[None]), name


def test_one_bit_masks_are_classes_zero_and_one(tmp_path: Path) -> None:
    Image.fromarray(GRAY > 127).save(tmp_path / "x.png")
    label = label_of(tmp_path / "x.png")
    assert label is not None
    assert np.array_equal(label[0], GRAY > 127)


def test_the_ignore_id_counts_nowhere_in_ids_and_colours(tmp_path: Path) -> None:
    ids = np.array([[0, 1], [255, 2]], dtype=np.uint8)
    Image.fromarray(ids).save(tmp_path / "ids.png")
    colours = np.array([(0, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)], dtype=np.uint8)
    Image.fromarray(colours[[[0, 1], [3, 2]]]).save(tmp_path / "colours.png")
    for name in ("ids.png", "colours.png"):
        label = label_of(tmp_path / name)
        assert label is not None
        assert label.tolist() == [[[0, 1], [IGNORE, 2]]]


def test_unknown_ids_and_colours_are_named_with_the_file(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 2), 9, dtype=np.uint8)).save(tmp_path / "ids.png")
    Image.fromarray(np.full((2, 2, 3), 9, dtype=np.uint8)).save(tmp_path / "colours.png")
    tifffile.imwrite(tmp_path / "floats.tif", np.full((2, 2), 0.5, dtype=np.float32))
    for name, words in (("ids.png", r"found 9 "), ("colours.png", r"\(9, 9, 9\)"), ("floats.tif", "integer")):
        with pytest.raises(DataError, match=rf"{name}: .*{words}"):
            label_of(tmp_path / name)


def test_label_is_written_as_palette_png_with_the_names(tmp_path: Path) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "x.png")
    geometry = read_image(tmp_path / "x.png").geometry
    assert (geometry.shape, geometry.spacing) == ((1, 5, 7), None)
    label = RNG.integers(0, 3, (1, 5, 7)).astype(np.int16)
    geometry.write_label(tmp_path / "y.png", label, LABELS)
    assert np.array_equal(label_of(tmp_path / "y.png"), label)  # type: ignore[arg-type]
    with Image.open(tmp_path / "y.png") as image:
        assert image.mode == "P"
        assert json.loads(image.text["labels"]) == {"0": "background", "1": "field", "2": "water"}
        shown = np.asarray(image.convert("RGB"))
    assert np.array_equal(shown, np.array(generate.PICTURE_PALETTE)[label[0]])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.png", "y.png"]


def test_large_ids_are_written_with_sixteen_bits(tmp_path: Path) -> None:
    labels = LabelSpace(("background", "city"), (0, 1000), ((0, 0, 0), (9, 9, 9)))
    Image.fromarray(GRAY).save(tmp_path / "x.png")
    geometry = read_image(tmp_path / "x.png").geometry
    geometry.write_label(tmp_path / "y.png", np.ones((1, 5, 7), dtype=np.int16), labels)
    assert np.unique(read_image(tmp_path / "y.png").image).tolist() == [1000]


def test_probabilities_are_pages_of_a_tiff(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "x.png")
    geometry = read_image(tmp_path / "x.png").geometry
    probabilities = RNG.random((3, 1, 5, 7)).astype(np.float16)
    path = tmp_path / "p.tif"
    geometry.write_probabilities(path, probabilities, LABELS)
    assert np.array_equal(tifffile.imread(path), probabilities[:, 0].astype(np.float32))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"0": ' * 10_000, "1" * 5000, "null", "[1]", '{"a": "b"}', "\u00e9"])
def test_text_of_others_is_no_names(tmp_path: Path, text: str) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("labels", text)
    Image.fromarray(np.zeros((5, 7), np.uint8)).save(tmp_path / "x.png", pnginfo=info)
    assert PictureFormat().read_names(tmp_path / "x.png") is None
