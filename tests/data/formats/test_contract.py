"""What every format promises, and one that tests register themselves."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import nibabel as nib
import numpy as np
import pytest
import rasterio
import SimpleITK
import tifffile
from numpy.typing import NDArray
from PIL import Image
from pydicom.uid import RLELossless
from rasterio.enums import Resampling

from samtailor.data.case import CaseFiles, Geometry
from samtailor.data.formats import FORMATS, find_format, format_of, read_case, read_geometry, read_header, read_image
from samtailor.data.formats.dicom import DicomFormat
from samtailor.data.formats.format import Format
from samtailor.data.formats.geotiff import GeoTiffFormat
from samtailor.data.formats.itk import MetaImageFormat, NrrdFormat
from samtailor.data.formats.nifti import NiftiFormat
from samtailor.data.formats.picture import PictureFormat
from samtailor.errors import DataError, FileError
from samtailor.evaluation.measure import Grid
from samtailor.labels import LabelSpace
from samtailor.settings import LabelKind
from tests import generate
from tests.data.formats.dicom.files import laid, write_enhanced, write_series
from tests.data.formats.itk_image import lay
from tests.data.formats.npz import Npz

LABELS = LabelSpace(("background", "liver", "spleen"), (0, 3, 200), ((0, 0, 0), (1, 2, 3), (4, 5, 6)))


@dataclass(frozen=True)
class Kind:
    """How the tests write and read files of a format, apart from samtailor.

    Attributes:
        format: The format.
        shape: Channels, slices, rows, columns of an image.
        writers: Ways to write a canonical array (C, S, H, W), the usual one first, then odd ones.
        read_probabilities: File of probabilities as (K, S, H, W).
        probabilities_as: The format of the probabilities that are written, its own by default.
    """

    format: Format
    shape: tuple[int, int, int, int]
    writers: dict[str, Callable[[Path, NDArray[Any]], None]]
    read_probabilities: Callable[[Path], NDArray[Any]]
    probabilities_as: type[Format] | None = None

    def image(self, seed: int = 0) -> NDArray[Any]:
        """Noise."""
        return np.random.default_rng(seed).integers(0, 256, self.shape).astype(np.uint8)

    def label(self) -> NDArray[np.int16]:
        """Class indices (S, H, W)."""
        return np.random.default_rng(1).integers(0, len(LABELS), self.shape[1:]).astype(np.int16)

    def write(self, path: Path, array: NDArray[Any] | None = None) -> Geometry:
        """Write an image the usual way; how it lies in the file."""
        next(iter(self.writers.values()))(path, self.image() if array is None else array)
        return read_geometry(path)


def turned(image: NDArray[Any], codes: str) -> nib.Nifti1Image:
    """A canonical array (S, H, W, ...) in a volume with axes that point to `codes`."""
    to_codes = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("SPL"), nib.orientations.axcodes2ornt(codes)
    )
    affine = generate.affine((2.0, 3.0, 5.0), "SPL")  # the canonical axes
    return nib.Nifti1Image(image, affine).as_reoriented(to_codes)


def nifti_writer(codes: str) -> Callable[[Path, NDArray[Any]], None]:
    """Writes an image whose file has axes that point to `codes`."""

    def write(path: Path, image: NDArray[Any]) -> None:
        nib.save(turned(image[0], codes), path)

    return write


def itk_writer(codes: str, packed: bool = True, dtype: str = "uint8") -> Callable[[Path, NDArray[Any]], None]:
    """Writes a volume as SimpleITK does, with axes that point to `codes`; several channels as a vector."""

    def write(path: Path, image: NDArray[Any]) -> None:
        volume_in_codes = turned(np.moveaxis(image, 0, -1), codes)
        array = np.asanyarray(volume_in_codes.dataobj).transpose(2, 1, 0, 3).astype(dtype)
        volume = SimpleITK.GetImageFromArray(array[..., 0] if len(image) == 1 else array, isVector=len(image) > 1)
        lay(volume, volume_in_codes.affine)
        SimpleITK.WriteImage(volume, str(path), useCompression=packed)

    return write


def write_tiff(**settings: Any) -> Callable[[Path, NDArray[Any]], None]:
    """Writes a TIFF, whatever the suffix would be."""
    return lambda path, image: tifffile.imwrite(path, np.moveaxis(image[:, 0], 0, -1), photometric="rgb", **settings)


def write_planes(path: Path, image: NDArray[Any]) -> None:
    tifffile.imwrite(path, image[:, 0], photometric="rgb", planarconfig="separate", byteorder=">")


def series_writer(codes: str, degrees: float = 0.0, **settings: Any) -> Callable[[Path, NDArray[Any]], None]:
    """Writes a folder of slices whose columns, rows and planes point to `codes`."""

    def write(path: Path, image: NDArray[Any]) -> None:
        shutil.rmtree(path, ignore_errors=True)
        write_series(path, *laid(image[0], codes, degrees), **settings)

    return write


def geotiff_writer(overviews: Sequence[int] = (), **settings: Any) -> Callable[[Path, NDArray[Any]], None]:
    """Writes a georeferenced TIFF with rasterio; overviews of some sizes lie beside it."""

    def write(path: Path, image: NDArray[Any]) -> None:
        bands, _, rows, columns = image.shape
        grid = {"crs": "EPSG:32633", "transform": TRANSFORM, "height": rows, "width": columns, "count": bands}
        with rasterio.open(path, "w", **{"driver": "GTiff", "dtype": "uint8", **grid, **settings}) as dataset:
            dataset.write(image[:, 0])
        if overviews:
            with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(path, "r+") as dataset:
                dataset.build_overviews(overviews, Resampling.average)

    return write


def damage(path: Path, kept: float) -> Path:
    """Cut off the end of a file, or of one in a folder; which one."""
    file = sorted(path.iterdir())[1] if path.is_dir() else path
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * kept)])
    return file


def write_mosaic(path: Path, image: NDArray[Any]) -> None:
    """A VRT of a left and a right half."""
    half = image.shape[-1] // 2
    names = [f"{path.stem}_left.tif", f"{path.stem}_right.tif"]
    geotiff_writer()(path.with_name(names[0]), image[..., :half])
    geotiff_writer()(path.with_name(names[1]), image[..., half:])
    size = f'xSize="{half}" ySize="{image.shape[2]}"'
    bands = [
        f'<VRTRasterBand dataType="Byte" band="{band}">'
        + "".join(
            f'<SimpleSource><SourceFilename relativeToVRT="1">{name}</SourceFilename><SourceBand>{band}</SourceBand>'
            f'<SrcRect xOff="0" yOff="0" {size}/><DstRect xOff="{number * half}" yOff="0" {size}/></SimpleSource>'
            for number, name in enumerate(names)
        )
        + "</VRTRasterBand>"
        for band in range(1, len(image) + 1)
    ]
    transform = ", ".join(map(str, TRANSFORM.to_gdal()))
    path.write_text(
        f'<VRTDataset rasterXSize="{image.shape[3]}" rasterYSize="{image.shape[2]}"><SRS>EPSG:32633</SRS>'
        f"<GeoTransform>{transform}</GeoTransform>{''.join(bands)}</VRTDataset>"
    )


def read_bands(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as dataset:
        bands: NDArray[Any] = dataset.read()[:, None]
    return bands


TILES = {"tiled": True, "blockxsize": 16, "blockysize": 16}
TRANSFORM = rasterio.Affine(10, 0, 500_000, 0, -10, 4_600_000)

KINDS: dict[type[Format], Kind] = {
    GeoTiffFormat: Kind(
        GeoTiffFormat(),
        (4, 1, 48, 32),
        {
            "x.tif": geotiff_writer(photometric="minisblack", alpha="no"),
            "tiles.tiff": geotiff_writer(compress="lzw", predictor=2, dtype="uint16", **TILES),
            "big.TIF": geotiff_writer(bigtiff="yes", compress="deflate", dtype="int16", interleave="band"),
            "turned.tif": geotiff_writer(dtype="float32", transform=TRANSFORM @ rasterio.Affine.rotation(30)),
            "double.tif": geotiff_writer(dtype="float64", compress="zstd", endianness="big"),
            "sentinel.jp2": geotiff_writer(driver="JP2OpenJPEG", quality=100, reversible="yes", dtype="uint16"),
            "overviews.tif": geotiff_writer(dtype="uint16", overviews=[2, 4]),
            "mosaic.vrt": write_mosaic,
        },
        read_bands,
    ),
    NiftiFormat: Kind(
        NiftiFormat(),
        (1, 4, 9, 7),
        {f"x_{codes}.nii.gz": nifti_writer(codes) for codes in ("LPS", "SPL", "ARI", "PIR", "RIA")},
        lambda path: read_image(path).image,
    ),
    MetaImageFormat: Kind(
        MetaImageFormat(),
        (1, 4, 9, 7),
        {
            "x.mha": itk_writer("LPS"),
            "turned.mha": itk_writer("PIR", dtype="int16"),
            "raw.mha": itk_writer("ARI", packed=False, dtype="float32"),
            "beside.mhd": itk_writer("SPL", packed=False),
            "packed.mhd": itk_writer("RIA", dtype="uint16"),
        },
        lambda path: read_image(path).image,
        NiftiFormat,
    ),
    NrrdFormat: Kind(
        NrrdFormat(),
        (2, 4, 9, 7),
        {
            "x.nrrd": itk_writer("LPS"),
            "turned.nrrd": itk_writer("PIR", dtype="int16"),
            "raw.nrrd": itk_writer("ARI", packed=False, dtype="float64"),
        },
        lambda path: read_image(path).image,
        NiftiFormat,
    ),
    DicomFormat: Kind(
        DicomFormat(),
        (1, 4, 9, 7),
        {
            "axial": series_writer("LPS"),
            "coronal": series_writer("LIP", name="{:03}"),
            "sagittal": series_writer("PIL", name="1.2.840.{}"),
            "feet_first": series_writer("RPI"),
            "oblique": series_writer("LPS", degrees=12),
            "turned": series_writer("AIR", degrees=-9),
            "packed": series_writer("LPS", change=lambda header, _: header.compress(RLELossless)),
            "frames.dcm": lambda path, image: write_enhanced(path, *laid(image[0]), order=(2, 0, 3, 1)),
        },
        lambda path: read_image(path).image,
        NiftiFormat,
    ),
    PictureFormat: Kind(
        PictureFormat(),
        (3, 1, 48, 32),
        {
            "x.png": lambda path, image: Image.fromarray(np.moveaxis(image[:, 0], 0, -1)).save(path),
            "deep.tif": lambda path, image: write_tiff(compression="zlib")(path, image.astype(np.uint16)),
            "planes.TIF": write_planes,
            "tiles.tiff": write_tiff(tile=(16, 16)),
        },
        lambda path: tifffile.imread(path)[:, None],
    ),
    Npz: Kind(
        Npz(),
        (3, 1, 48, 32),
        {"x.npz": lambda path, image: np.savez(path, pixels=image[:, 0])},
        lambda path: np.load(path)["pixels"][:, None],
    ),
}


@pytest.fixture(params=[*FORMATS, Npz()], ids=lambda format: type(format).__name__)
def kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    """Each format in turn; who adds one says in `KINDS` how its files are written."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param not in FORMATS:
            patch.setattr("samtailor.data.formats.FORMATS", [*FORMATS, request.param])
        yield KINDS[type(request.param)]


@pytest.fixture(params=[(type_, name) for type_, kind in KINDS.items() for name in kind.writers], ids=lambda p: p[1])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Kind, Path]]:
    """A kind and a file of it, written in each of its ways in turn."""
    kind = KINDS[request.param[0]]
    path = tmp_path / request.param[1]
    kind.writers[path.name](path, kind.image())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("samtailor.data.formats.FORMATS", [*FORMATS, Npz()])
        yield kind, path


def test_the_kinds_of_labels_to_choose_from_are_those_of_the_formats() -> None:
    kinds = {kind for format in FORMATS for kind in format.label_suffixes}
    assert kinds | {"auto"} == set(get_args(LabelKind))


class TestReading:
    def test_axes_are_canonical_whatever_the_files(self, written: tuple[Kind, Path]) -> None:
        kind, path = written
        case = read_image(path)
        np.testing.assert_array_equal(case.image, kind.image())
        assert case.geometry.shape == kind.shape[1:]
        assert (case.geometry.spacing is not None) == kind.format.volumes
        assert case.name == kind.format.stem_of(path)

    def test_the_header_alone_says_what_reading_gives(self, written: tuple[Kind, Path]) -> None:
        header, case = read_header(written[1]), read_image(written[1])
        assert header.geometry.difference(case.geometry) is None
        assert header.geometry.spacing == case.geometry.spacing
        assert (header.channels, header.bits) == (len(case.image), 8 * case.image.itemsize)
        assert header.bands == header.channels

    def test_the_grid_of_distances_is_that_of_the_file(self, written: tuple[Kind, Path]) -> None:
        kind, path = written
        geometry, label = read_geometry(path), kind.label()
        grid = Grid.from_geometry(geometry)
        laid = grid.take(label)
        assert (grid.in_mm, laid.ndim) == (kind.format.volumes, len(grid.spacing))
        assert np.bincount(laid.ravel()).tolist() == np.bincount(label.ravel()).tolist()
        spacing_of = dict(zip(label.shape, geometry.spacing or (1, 1, 1), strict=True))  # all lengths differ
        np.testing.assert_allclose(grid.spacing, [spacing_of[length] for length in laid.shape])

    def test_its_files_are_recognised_by_no_other_format_and_nothing_else_is(self, kind: Kind, tmp_path: Path) -> None:
        for name, write in kind.writers.items():
            write(tmp_path / name, kind.image())
            assert type(find_format(tmp_path / name)) is type(kind.format)
            assert kind.format.case_files(tmp_path / name).images == (tmp_path / name,)
        label, probabilities = (
            tmp_path / f"result{suffix}" for suffix in (kind.format.label_suffix, kind.format.probabilities_suffix)
        )
        geometry = read_geometry(tmp_path / name)
        geometry.write_label(label, kind.label(), LABELS)
        geometry.write_probabilities(probabilities, np.zeros((3, *kind.shape[1:]), np.float16), LABELS)
        assert type(find_format(label)) is type(kind.format)
        assert type(find_format(probabilities)) is (kind.probabilities_as or type(kind.format))
        assert not kind.format.recognises(tmp_path / "notes.txt")
        (tmp_path / f"folder{kind.format.suffixes[0]}").mkdir()
        assert not kind.format.recognises(tmp_path / f"folder{kind.format.suffixes[0]}")


class TestWriting:
    def test_a_label_comes_back_on_the_grid_of_its_image(self, written: tuple[Kind, Path]) -> None:
        kind, path = written
        target = path.with_name(f"label{kind.format.label_suffix}")
        read_geometry(path).write_label(target, kind.label(), LABELS)
        case = read_case(CaseFiles("x", (path,), target), LABELS)
        np.testing.assert_array_equal(case.label, kind.label())
        assert Grid.from_geometry(read_geometry(target)).spacing == Grid.from_geometry(case.geometry).spacing

    def test_a_suffix_of_no_kind_of_result_is_refused_with_those_there_are(self, kind: Kind, tmp_path: Path) -> None:
        geometry = kind.write(tmp_path / next(iter(kind.writers)))
        with pytest.raises(FileError) as error:
            geometry.write_label(tmp_path / "label.xyz", kind.label(), LABELS)
        for suffix in kind.format.label_suffixes.values():
            assert suffix in error.value.expected
        with pytest.raises(FileError) as error:
            geometry.write_probabilities(tmp_path / "p.xyz", np.zeros((3, *kind.shape[1:]), np.float16), LABELS)
        assert kind.format.probabilities_suffix in error.value.expected
        assert not list(tmp_path.glob("*.xyz"))

    def test_the_names_of_the_classes_come_back(self, kind: Kind, tmp_path: Path) -> None:
        target = tmp_path / f"label{kind.format.label_suffix}"
        kind.write(tmp_path / next(iter(kind.writers))).write_label(target, kind.label(), LABELS)
        assert format_of(target).read_names(target) == dict(zip(LABELS.ids, LABELS.names, strict=True))

    def test_probabilities_come_back_as_single_precision(self, written: tuple[Kind, Path]) -> None:
        kind, path = written
        probabilities = np.random.default_rng(2).random((3, *kind.shape[1:])).astype(np.float16)
        target = path.with_name(f"p{kind.format.probabilities_suffix}")
        read_geometry(path).write_probabilities(target, probabilities, LABELS)
        found = kind.read_probabilities(target)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, probabilities.astype(np.float32))

    def test_a_file_appears_complete_or_not_at_all(
        self, kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        geometry = kind.write(tmp_path / next(iter(kind.writers)))
        probabilities = np.zeros((3, *kind.shape[1:]), np.float16)
        targets = [tmp_path / f"out{suffix}" for suffix in (kind.format.label_suffix, kind.format.probabilities_suffix)]

        def full_disk(source: Path, target: Path) -> None:
            raise OSError("no space left")

        for target in targets:
            target.write_bytes(b"what was there before")
        before = sorted(tmp_path.iterdir())
        monkeypatch.setattr(os, "replace", full_disk)
        with pytest.raises(OSError, match="no space left"):
            geometry.write_label(targets[0], kind.label(), LABELS)
        with pytest.raises(OSError, match="no space left"):
            geometry.write_probabilities(targets[1], probabilities, LABELS)
        assert sorted(tmp_path.iterdir()) == before
        assert {target.read_bytes() for target in targets} == {b"what was there before"}


class TestRefusing:
    @pytest.mark.parametrize("kept", [0, 0.3, 0.9])
    def test_a_damaged_file_is_named(self, written: tuple[Kind, Path], kept: float) -> None:
        kind, path = written
        damaged = damage(path, kept)
        with pytest.raises(FileError) as error:
            read_image(path)
        assert error.value.file == str(damaged)
        with pytest.raises(FileError):
            kind.format.read_ids(path, LABELS)
        if not kept:
            for read in (kind.format.read_header, kind.format.read_names):
                with pytest.raises(FileError):
                    read(path)

    def test_a_missing_file_is_named(self, kind: Kind, tmp_path: Path) -> None:
        path = tmp_path / next(iter(kind.writers))
        for read in (read_image, read_header, kind.format.read_names):
            with pytest.raises(FileError, match="x"):
                read(path)

    def test_a_label_on_another_grid_is_named(self, kind: Kind, tmp_path: Path) -> None:
        path, target = tmp_path / next(iter(kind.writers)), tmp_path / f"label{kind.format.label_suffix}"
        larger = np.pad(kind.image(), ((0, 0), (0, 0), (0, 2), (0, 0)))
        kind.write(path, larger).write_label(target, np.zeros(larger.shape[1:], np.int16), LABELS)
        geometry = kind.write(path)
        slices, rows, columns = kind.shape[1:]
        before, axes = (f"{slices} x ", "slices x rows x columns") if geometry.spacing else ("", "rows x columns")
        found = f"{before}{rows + 2} x {columns}"
        expected = f"expected {before}{rows} x {columns} {axes} like the image, found {found};"
        with pytest.raises(FileError, match=expected):
            read_case(CaseFiles("x", (path,), target), LABELS)
        assert geometry.difference(geometry) is None

    def test_ids_that_are_no_class_are_named(self, kind: Kind, tmp_path: Path) -> None:
        path, target = tmp_path / next(iter(kind.writers)), tmp_path / f"label{kind.format.label_suffix}"
        others = replace(LABELS, names=("background", "kidney", "spleen"))  # some formats go by names
        kind.write(path).write_label(target, kind.label(), others)
        with pytest.raises(DataError, match=r"label\..*expected .*, found (3|'kidney')"):
            read_case(CaseFiles("x", (path,), target), generate.LABELS)
