"""MetaImage and NRRD: voxels lie where SimpleITK has them, and nothing that is damaged is taken for voxels."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from samtailor.data.check import check
from samtailor.data.dataset import open_dataset
from samtailor.data.formats import accompanies, find_format, format_of, read_geometry, read_image
from samtailor.data.formats.itk import MetaImageFormat, NrrdFormat
from samtailor.errors import ConfigError, FileError
from samtailor.labels import LabelSpace
from tests import generate
from tests.data.formats.itk_image import lay

VOLUME = np.random.default_rng(0).integers(-900, 900, (7, 9, 11)).astype(np.int16)
LABELS = LabelSpace.from_names(("background", "liver", "spleen"))


def write(
    path: Path, array: np.ndarray = VOLUME, packed: bool = True, codes: str = "LAS", vector: bool = False
) -> Path:
    """A volume whose array has z, y, x, with axes that point to codes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = SimpleITK.GetImageFromArray(array, isVector=vector)
    lay(image, generate.affine((0.7, 0.8, 2.5), codes))
    SimpleITK.WriteImage(image, str(path), useCompression=packed)
    return path


@pytest.mark.parametrize("codes", ["LAS", "RAS", "LPI", "PSR"])
@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd"])
def test_a_volume_is_that_of_its_nifti(codes: str, suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"x{suffix}", codes=codes)
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(path)), str(tmp_path / "x.nii.gz"))
    found, expected = read_image(path), read_image(tmp_path / "x.nii.gz")
    np.testing.assert_array_equal(found.image, expected.image)
    assert found.geometry.difference(expected.geometry) is None
    assert found.geometry.affine is not None
    assert expected.geometry.affine is not None
    np.testing.assert_allclose(found.geometry.affine, expected.geometry.affine, atol=1e-5)


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
@pytest.mark.parametrize("kind", [".mha", ".nrrd", ".nii.gz"])
def test_a_label_lies_on_its_image_for_itk_too(suffix: str, kind: str, tmp_path: Path) -> None:
    path, target = write(tmp_path / f"x{suffix}", codes="PSR"), tmp_path / f"label{kind}"
    geometry = read_geometry(path)
    label = np.random.default_rng(1).integers(0, 3, geometry.shape).astype(np.int16)
    geometry.write_label(target, label, LABELS)
    image, written = SimpleITK.ReadImage(str(path)), SimpleITK.ReadImage(str(target))
    assert written.GetSize() == image.GetSize()
    for name in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(written, name)(), getattr(image, name)(), atol=1e-5)
    ids, _ = format_of(target).read_ids(target, LABELS)
    np.testing.assert_array_equal(ids, label)
    assert format_of(target).content(target).names == dict(enumerate(LABELS.names))


@pytest.mark.parametrize(("suffix", "letters", "kept"), [("mha", 50, True), ("mha", 60, False), ("nrrd", 60, True)])
def test_names_that_are_too_long_for_metaimage_are_left_out_with_a_word(
    suffix: str, letters: int, kept: bool, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    names = ("background", *(f"{number:0{letters}}" for number in range(480)))
    geometry = read_image(write(tmp_path / f"x.{suffix}")).geometry
    path = tmp_path / f"label.{suffix}"
    geometry.write_label(path, np.full(geometry.shape, 400, np.int16), LabelSpace.from_names(names))
    assert format_of(path).read_names(path) == (dict(enumerate(names)) if kept else None)
    ids, _ = format_of(path).read_ids(path, LabelSpace.from_names(names))
    assert (ids == 400).all()
    assert [("left out" in str(warning.message)) for warning in recwarn] == [True] * (not kept)


def test_several_numbers_per_voxel_are_channels(tmp_path: Path) -> None:
    both = np.stack([VOLUME, VOLUME + 1], axis=-1)
    path = write(tmp_path / "x.mha", both, vector=True)
    case = read_image(path)
    assert case.image.shape == (2, 7, 9, 11)
    np.testing.assert_array_equal(case.image[1], case.image[0] + 1)
    with pytest.raises(FileError, match="one label per voxel, found 2 numbers"):
        format_of(path).read_ids(path, LABELS)


def test_what_lies_beside_a_text_belongs_to_it(tmp_path: Path) -> None:
    for packed, name in ((True, "x.zraw"), (False, "x.raw")):
        path = write(tmp_path / "x.mhd", packed=packed)
        assert MetaImageFormat().parts(path) == [path, tmp_path / name]
        assert accompanies(tmp_path / name)
        (tmp_path / name).unlink()
        with pytest.raises(FileError, match=rf"{name}: expected a file with the voxels of x\.mhd"):
            read_image(path)
    assert not accompanies(tmp_path / "y.raw")


def start_of(content: bytes) -> int:
    """Where the voxels begin."""
    end = content.index(b"\n\n") + 2 if content.startswith(b"NRRD") else content.index(b"LOCAL\n") + len(b"LOCAL\n")
    return int(end)


class TestDamage:
    """SimpleITK itself reads on where checksums differ."""

    @pytest.mark.parametrize("name", ["x.mha", "x.nrrd"])
    def test_of_packed_voxels_is_seen(self, name: str, tmp_path: Path) -> None:
        path = write(tmp_path / name)
        sound = path.read_bytes()
        for place in range(start_of(sound) + 12, len(sound), 97):
            content = bytearray(sound)
            content[place] ^= 0x10
            path.write_bytes(content)
            with pytest.raises(FileError, match=rf"{name}: expected .*voxels, as its header claims"):
                read_image(path)

    @pytest.mark.parametrize("name", ["x.mha", "x.nrrd"])
    @pytest.mark.parametrize("packed", [True, False])
    def test_of_sizes_is_seen_before_memory_is_taken(
        self, name: str, packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write(tmp_path / name, packed=packed)
        content = path.read_bytes()
        claimed = content.replace(b"11 9 7", b"11 9 7000000")
        assert claimed != content
        path.write_bytes(claimed)
        monkeypatch.setattr("samtailor.data.formats.itk.require_memory", None)
        with pytest.raises(FileError, match=r"expected 1,386,000,000 bytes of voxels, as its header claims, found \d+"):
            read_image(path)
        path.write_bytes(content.replace(b"11 9 7", b"11 9 6"))
        if packed:
            with pytest.raises(FileError, match="expected 1,188 bytes of voxels, as its header claims, found 1,386"):
                read_image(path)

    @pytest.mark.parametrize(
        ("name", "old", "new", "words"),
        [
            ("x.mha", b"LOCAL", b"../x.raw", r"ElementDataFile = \.\./x\.raw; save it again"),
            ("x.mha", b"LOCAL", b"LIST", "ElementDataFile = LIST"),
            ("x.mha", b"LOCAL", b"x%03d.raw", "ElementDataFile = x%03d"),
            ("x.mha", b"BinaryData = True", b"BinaryData = False", "found voxels as text"),
            ("x.mha", b"ElementDataFile", b"ElementDataFiles", "another beginning"),
            ("x.mha", b"NDims = 3", b"NDims = 1", "x.mha"),
            ("x.nrrd", b"encoding: gzip", b"encoding: bzip2", "found encoding bzip2"),
            ("x.nrrd", b"encoding: gzip", b"data file: x.raw\nencoding: gzip", "found voxels in another file"),
            ("x.nrrd", b"NRRD", b"XXXX", "another beginning"),
            ("x.nrrd", b"type: short", b"type: block", "x.nrrd"),
        ],
    )
    def test_what_we_do_not_read_is_named(self, name: str, old: bytes, new: bytes, words: str, tmp_path: Path) -> None:
        path = write(tmp_path / name)
        assert old in path.read_bytes()
        path.write_bytes(path.read_bytes().replace(old, new, 1))
        for read in (read_geometry, read_image):
            with pytest.raises(FileError, match=words):
                read(path)

    def test_pictures_and_series_of_volumes_are_refused(self, tmp_path: Path) -> None:
        for array, shape in ((VOLUME[0], "11 x 9"), (np.stack([VOLUME] * 2), "11 x 9 x 7 x 2")):
            SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array, isVector=False), str(tmp_path / "x.nrrd"))
            with pytest.raises(FileError, match=f"expected a 3-D volume, found shape {shape}"):
                read_geometry(tmp_path / "x.nrrd")


def test_the_package_is_asked_for_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "x.mha")
    monkeypatch.setitem(__import__("sys").modules, "SimpleITK", None)
    with pytest.raises(ConfigError, match=r"pip install 'samtailor\[itk\]'"):
        read_image(path)


def test_folders_of_them_are_data_sets(tmp_path: Path) -> None:
    for number in range(4):
        hu, ids = generate.volume((12, 10, 6), number)
        write(tmp_path / "images" / f"{number}.mha", hu.T.copy())
        write(tmp_path / "labels" / f"{number}.mha", ids.T.copy())
    report = check(tmp_path)
    assert not report.errors
    assert (report.layout, report.classes) == ("inferred", ("background", "class 1", "class 2"))
    assert len(open_dataset(tmp_path).cases) == 4
    assert nib.aff2axcodes(read_geometry(tmp_path / "images" / "0.mha").affine) == ("S", "P", "L")


def test_slicers_segmentations_are_no_images(tmp_path: Path) -> None:
    assert find_format(tmp_path / "x.seg.nrrd") is None
    assert isinstance(find_format(tmp_path / "x.NRRD"), NrrdFormat)


def test_a_member_of_gzip_behind_the_text_is_all_there_is(tmp_path: Path) -> None:
    path = write(tmp_path / "x.nrrd")
    content = path.read_bytes()
    start = start_of(content)
    path.write_bytes(content[:start] + gzip.compress(gzip.decompress(content[start:])[:-2]))
    with pytest.raises(FileError, match="expected 1,386 bytes of voxels, as its header claims, found 1,384"):
        read_image(path)
