"""TIFF of any samples, layout and compression is read as it is, or refused with the reason."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from samtailor.data.formats import read_header, read_image
from samtailor.errors import FileError
from tests.data.formats.lzw import write_lzw

RNG = np.random.default_rng(0)
TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64"]
KEPT = {"int8": "int16", "float16": "float32", "float64": "float32"}


def samples(dtype: str, channels: int, size: tuple[int, int] = (20, 37)) -> NDArray[Any]:
    """Samples over much of the range of a type, (H, W, C)."""
    if dtype.startswith("float"):
        return RNG.normal(0, 100, (*size, channels)).astype(dtype)
    limits = np.iinfo(dtype)
    return RNG.integers(limits.min // 2, limits.max, (*size, channels), dtype=dtype)


def require_read(path: Path, array: NDArray[Any]) -> None:
    """The file is read as (H, W, C), and its header says so."""
    image, header = read_image(path).image, read_header(path)
    kept = KEPT.get(str(array.dtype), str(array.dtype))
    assert image.dtype == kept
    np.testing.assert_array_equal(image, np.moveaxis(array.astype(kept), -1, 0)[:, None])
    assert (header.channels, header.bits, header.bands) == (array.shape[2], 8 * image.itemsize, array.shape[2])
    assert header.geometry.shape == (1, *array.shape[:2])


class TestSamples:
    """Every kind of samples comes as it is."""

    @pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
    @pytest.mark.parametrize("dtype", TYPES)
    def test_any_type_and_number(self, tmp_path: Path, dtype: str, channels: int) -> None:
        array = samples(dtype, channels)
        stored = array[..., 0] if channels == 1 else array
        tifffile.imwrite(tmp_path / "x.tif", stored, photometric="minisblack", planarconfig="contig")
        require_read(tmp_path / "x.tif", array)

    @pytest.mark.parametrize(
        "settings",
        [
            {"byteorder": ">"},
            {"bigtiff": True},
            {"compression": "zlib"},
            {"compression": "zlib", "predictor": True},
            {"compression": "lzma"},
            {"tile": (16, 16)},
            {"tile": (16, 32), "compression": "zlib", "predictor": True},
            {"rowsperstrip": 3},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("planes", ["contig", "separate"])
    def test_any_layout(self, tmp_path: Path, settings: dict[str, Any], planes: Any) -> None:
        array = samples("uint16", 4)
        stored = np.moveaxis(array, -1, 0) if planes == "separate" else array
        tifffile.imwrite(tmp_path / "x.tif", stored, photometric="minisblack", planarconfig=planes, **settings)
        require_read(tmp_path / "x.tif", array)

    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("tile", [None, 16])
    @pytest.mark.parametrize("planar", [False, True])
    @pytest.mark.parametrize(
        ("dtype", "predictor"), [("uint8", 1), ("uint16", 1), ("uint16", 2), ("float32", 1), ("float32", 3)]
    )
    def test_compressions_that_tifffile_lacks(
        self, tmp_path: Path, dtype: str, predictor: int, planar: bool, tile: int | None, order: str
    ) -> None:
        array = samples(dtype, 4)
        write_lzw(tmp_path / "x.tif", array, tile, planar, predictor, order)
        require_read(tmp_path / "x.tif", array)

    @pytest.mark.parametrize("compression", ["tiff_lzw", "zstd"])
    @pytest.mark.parametrize("predictor", [1, 2])
    def test_compressed_as_libtiff_does(self, tmp_path: Path, predictor: int, compression: str) -> None:
        for dtype, channels in (("uint8", 1), ("uint8", 3), ("uint16", 1)):
            array = samples(dtype, channels, (300, 200))
            image = Image.fromarray(array[..., 0] if channels == 1 else array)
            image.save(tmp_path / "x.tif", compression=compression, tiffinfo={317: predictor})
            require_read(tmp_path / "x.tif", array)

    @pytest.mark.skipif(find_spec("imagecodecs") is not None, reason="imagecodecs unpacks it")
    def test_what_nobody_here_unpacks_names_the_package_that_does(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "x.tif", samples("uint8", 1)[..., 0])
        content = bytearray((tmp_path / "x.tif").read_bytes())
        with tifffile.TiffFile(tmp_path / "x.tif") as file:
            place = file.pages[0].tags["Compression"].valueoffset
        content[place : place + 2] = (34887).to_bytes(2, "little")  # LERC
        (tmp_path / "x.tif").write_bytes(content)
        with pytest.raises(FileError, match=r"found LERC; pip install 'samtailor\[tiff\]', or save it"):
            read_image(tmp_path / "x.tif")

    def test_overviews_are_passed_over(self, tmp_path: Path) -> None:
        array = samples("uint8", 3)
        with tifffile.TiffWriter(tmp_path / "x.tif") as file:
            file.write(array, photometric="rgb", tile=(16, 16))
            file.write(array[::2, ::2], photometric="rgb", subfiletype=1)
        require_read(tmp_path / "x.tif", array)

    def test_tiles_that_gdal_left_out_are_empty(self, tmp_path: Path) -> None:
        array = np.zeros((32, 48), np.uint8)
        array[:, 16:] = 5
        tiles = (b"" if left == 0 else b"\5" * 256 for _ in range(2) for left in range(3))
        tifffile.imwrite(tmp_path / "x.tif", tiles, shape=array.shape, dtype=np.uint8, tile=(16, 16))
        require_read(tmp_path / "x.tif", array[..., None])


class TestColours:
    """What is stored otherwise is read as it is shown."""

    @pytest.mark.parametrize("bits", [1, 8, 16])
    @pytest.mark.parametrize("photometric", ["miniswhite", "minisblack"])
    def test_white_may_be_zero(self, tmp_path: Path, bits: int, photometric: Any) -> None:
        gray = RNG.integers(0, 2**bits, (16, 24)).astype({1: bool, 8: np.uint8, 16: np.uint16}[bits])
        tifffile.imwrite(tmp_path / "x.tif", gray, photometric=photometric)
        shown = gray.astype(int) if photometric == "minisblack" else 2**bits - 1 - gray.astype(int)
        shown = shown * 255 if bits == 1 else shown
        np.testing.assert_array_equal(read_image(tmp_path / "x.tif").image[0, 0], shown)

    @pytest.mark.parametrize("bits", [2, 4])
    def test_few_bits_are_the_gray_levels_they_show(self, tmp_path: Path, bits: int) -> None:
        gray = RNG.integers(0, 2**bits, (16, 24)).astype(np.uint8)
        packed = np.packbits(np.unpackbits(gray[..., None], axis=-1)[..., -bits:].reshape(16, -1), axis=-1)
        write_lzw(tmp_path / "x.tif", packed[..., None])
        content = bytearray((tmp_path / "x.tif").read_bytes())
        with tifffile.TiffFile(tmp_path / "x.tif") as file:
            tags: Any = file.pages.first.tags  # type: ignore[union-attr]
            content[tags[256].valueoffset], content[tags[258].valueoffset] = 24, bits
        (tmp_path / "x.tif").write_bytes(content)
        shown = gray * (255 // (2**bits - 1))
        np.testing.assert_array_equal(read_image(tmp_path / "x.tif").image[0, 0], shown)

    @pytest.mark.parametrize(
        ("mode", "compression"),
        [*product(["CMYK", "YCbCr", "LAB", "P"], ["raw", "tiff_lzw"]), ("CMYK", "jpeg"), ("YCbCr", "jpeg")],
    )
    def test_colours_are_those_that_are_shown(self, tmp_path: Path, mode: str, compression: str) -> None:
        image = Image.new("RGB", (32, 24), (200, 40, 90))
        if mode == "LAB":  # Pillow converts from RGB only to a few
            image = Image.merge("LAB", [Image.new("L", (32, 24), value) for value in (125, 128 + 60, 128 + 15)])
        else:
            image = image.convert(mode, palette=Image.Palette.ADAPTIVE)
        image.save(tmp_path / "x.tif", compression=compression)
        shown = read_image(tmp_path / "x.tif").image
        assert (shown.shape, shown.dtype, read_header(tmp_path / "x.tif").channels) == ((3, 1, 24, 32), np.uint8, 3)
        assert np.abs(shown[:, 0, 5, 5].astype(int) - (200, 40, 90)).max() < (60 if mode == "LAB" else 6)

    def test_fax_is_black_and_white(self, tmp_path: Path) -> None:
        white = RNG.random((16, 24)) > 0.5
        Image.fromarray(white).save(tmp_path / "x.tif", compression="group4")
        np.testing.assert_array_equal(read_image(tmp_path / "x.tif").image[0, 0], np.where(white, 255, 0))


class TestRefusing:
    """What cannot be read is said as what it is."""

    def test_stacks(self, tmp_path: Path) -> None:
        one_page_for_all = {"imagej": True, "truncate": True}
        for shape, settings in (
            ((4, 5, 7), {}),
            ((4, 5, 7), {"imagej": True}),
            ((4, 5, 7), one_page_for_all),
            ((2, 5, 7, 3), {"photometric": "rgb"}),
        ):
            settings = {"photometric": "minisblack", **settings}
            tifffile.imwrite(tmp_path / "x.tif", np.zeros(shape, dtype=np.uint8), **settings)  # type: ignore[arg-type]
            with pytest.raises(FileError, match=f"expected one picture, found {shape[0]} pages"):
                read_image(tmp_path / "x.tif")
        with tifffile.TiffWriter(tmp_path / "y.tif") as file:  # of several sizes
            for size in (9, 8):
                file.write(np.zeros((size, size), np.uint8))
        with pytest.raises(FileError, match="found 2 pages"):
            read_header(tmp_path / "y.tif")

    @pytest.mark.parametrize(
        ("array", "settings", "found"),
        [
            (np.zeros((5, 7), np.complex64), {}, "complex64 samples, MINISBLACK"),
            (np.zeros((5, 7, 4), np.uint16), {"photometric": "separated"}, "uint16 samples, SEPARATED"),
            (np.zeros((5, 7, 3), np.uint16), {"photometric": "cielab"}, "uint16 samples, CIELAB"),
        ],
    )
    def test_samples_that_nothing_can_read(
        self, tmp_path: Path, array: NDArray[Any], settings: dict[str, Any], found: str
    ) -> None:
        tifffile.imwrite(tmp_path / "x.tif", array, **settings)
        for read in (read_header, read_image):
            with pytest.raises(FileError, match=f"expected integer or float samples.*found {found}"):
                read(tmp_path / "x.tif")

    @pytest.mark.parametrize("tag", [256, 257])
    def test_a_picture_without_pixels(self, tmp_path: Path, tag: int) -> None:
        tifffile.imwrite(tmp_path / "x.tif", np.zeros((5, 7), np.uint8))
        content = bytearray((tmp_path / "x.tif").read_bytes())
        with tifffile.TiffFile(tmp_path / "x.tif") as file:
            page: Any = file.pages.first
            content[page.tags[tag].valueoffset] = 0
        (tmp_path / "x.tif").write_bytes(content)
        for read in (read_header, read_image):
            with pytest.raises(FileError, match=r"x\.tif: expected a picture with pixels, found . rows, . columns"):
                read(tmp_path / "x.tif")

    def test_bands_that_jpeg_would_lose(self, tmp_path: Path) -> None:
        Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / "x.tif", compression="jpeg")
        content = bytearray((tmp_path / "x.tif").read_bytes())
        with tifffile.TiffFile(tmp_path / "x.tif") as file:
            page: Any = file.pages.first
            content[page.tags[277].valueoffset] = 4
        (tmp_path / "x.tif").write_bytes(content)
        with pytest.raises(FileError, match=r"x\.tif: expected (integer|a readable)"):
            read_header(tmp_path / "x.tif")

    @pytest.mark.parametrize("settings", [{}, {"compression": "zlib"}, {"tile": (16, 16), "compression": "zlib"}])
    def test_a_header_that_claims_more_than_the_file_holds(self, tmp_path: Path, settings: dict[str, Any]) -> None:
        path = tmp_path / "x.tif"
        tifffile.imwrite(path, np.zeros((64, 64), np.uint8), **settings)
        content = bytearray(path.read_bytes())
        with tifffile.TiffFile(path) as file:
            page: Any = file.pages.first
            for tag in (256, 257):
                start = page.tags[tag].valueoffset
                content[start : start + 2] = (60_000).to_bytes(2, "little")
        path.write_bytes(content)
        for read in (read_header, read_image):
            with pytest.raises(FileError, match=r"x\.tif: expected a readable picture"):
                read(path)

    def test_a_picture_beyond_the_free_memory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tifffile.imwrite(tmp_path / "x.tif", np.zeros((100, 100), np.uint16))
        free = round(10 / 3 * 20_000)
        monkeypatch.setattr("samtailor.data.formats.format.available_memory", lambda: free - 1)
        assert read_header(tmp_path / "x.tif").geometry.shape == (1, 100, 100)
        with pytest.raises(FileError, match=r"fits into the 0\.0 GB of free memory"):
            read_image(tmp_path / "x.tif")
        monkeypatch.setattr("samtailor.data.formats.format.available_memory", lambda: free)
        assert read_image(tmp_path / "x.tif").image.shape == (1, 1, 100, 100)
