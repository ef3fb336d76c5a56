"""Segmentations of 3D Slicer as labels: by names, wherever in the image they lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from samtailor.data.case import CaseFiles
from samtailor.data.check import check
from samtailor.data.dataset import open_dataset
from samtailor.data.formats import label_format_of, read_case, read_geometry, read_image
from samtailor.errors import DataError, FileError
from samtailor.labels import LabelSpace
from tests import generate

LABELS = LabelSpace(("background", "liver", "spleen"), (0, 4, 9), ((0, 0, 0), (1, 2, 3), (4, 5, 6)))
SHAPE = (12, 10, 6)


def write(
    path: Path, ids: np.ndarray, image: SimpleITK.Image, start: tuple[int, int, int] = (0, 0, 0), **names: int
) -> None:
    """A segmentation as Slicer keeps it, of array (z, y, x), which begins at a voxel (x, y, z) of the image."""
    segments = SimpleITK.GetImageFromArray(ids.astype(np.uint8), isVector=ids.ndim > 3)
    segments.SetSpacing(image.GetSpacing())
    segments.SetDirection(image.GetDirection())
    segments.SetOrigin(image.TransformIndexToPhysicalPoint(start))
    for number, (name, value) in enumerate(names.items()):
        segments.SetMetaData(f"Segment{number}_Name", name)
        segments.SetMetaData(f"Segment{number}_LabelValue", str(value))
    SimpleITK.WriteImage(segments, str(path), useCompression=True)


@pytest.fixture
def image(tmp_path: Path) -> SimpleITK.Image:
    """An image, which lies in a file, too."""
    hu, _ = generate.volume(SHAPE, 0)
    generate.write_volume(tmp_path / "x.nii.gz", hu, generate.affine((0.7, 0.8, 2.5), "PSR"))
    return SimpleITK.ReadImage(str(tmp_path / "x.nii.gz"))


def label_of(tmp_path: Path) -> np.ndarray:
    """Class indices in the axes of SimpleITK, z, y, x."""
    case = read_case(CaseFiles("x", (tmp_path / "x.nii.gz",), tmp_path / "x.seg.nrrd"), LABELS)
    assert case.label is not None
    case.geometry.write_label(tmp_path / "back.nii.gz", case.label, LabelSpace.from_names(LABELS.names))
    return np.asarray(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "back.nii.gz"))))


def test_segments_count_by_their_names(image: SimpleITK.Image, tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 3, SHAPE[::-1])
    write(tmp_path / "x.seg.nrrd", ids, image, spleen=1, liver=2)
    np.testing.assert_array_equal(label_of(tmp_path), np.array([0, 2, 1])[ids])


@pytest.mark.parametrize("start", [(2, 3, 1), (0, 0, 0), (-3, 4, 2)])
def test_a_part_of_the_image_is_put_in_its_place(
    start: tuple[int, int, int], image: SimpleITK.Image, tmp_path: Path
) -> None:
    whole = np.zeros(SHAPE[::-1], int)
    whole[2:4, 5:7, 3:8] = 1
    frame = np.pad(whole, 5)
    x, y, z = (5 + first for first in start)
    write(tmp_path / "x.seg.nrrd", frame[z : z + 4, y : y + 6, x : x + 13], image, start, liver=1)
    expected = np.zeros_like(frame)
    expected[z : z + 4, y : y + 6, x : x + 13] = frame[z : z + 4, y : y + 6, x : x + 13]
    np.testing.assert_array_equal(label_of(tmp_path), expected[5:-5, 5:-5, 5:-5])


def test_what_does_not_fit_is_refused(image: SimpleITK.Image, tmp_path: Path) -> None:
    path, ids = tmp_path / "x.seg.nrrd", np.ones(SHAPE[::-1], int)
    write(path, ids, image, (4, 0, 0), liver=1)
    with pytest.raises(FileError, match=r"segments within the image, found 240 voxels of them beyond"):
        label_of(tmp_path)
    write(path, ids, image, tumour=1, liver=2)
    with pytest.raises(FileError, match="segments called background, liver, spleen, found tumour; rename"):
        label_of(tmp_path)
    write(path, np.stack([ids, ids], axis=-1), image, liver=1, spleen=1)
    with pytest.raises(FileError, match="segments in one layer, found 2 layers"):
        label_of(tmp_path)
    origin = image.GetOrigin()
    image.SetOrigin((origin[0] + 0.4, *origin[1:]))
    write(path, ids[:, :, 1:], image, (1, 0, 0), liver=1)
    with pytest.raises(DataError, match="slices x rows x columns like the image"):
        label_of(tmp_path)
    image.SetSpacing((1, 1, 1))
    write(path, ids, image, liver=1)
    with pytest.raises(DataError, match="spacing"):
        label_of(tmp_path)
    write(path, ids, image, liver=1)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"LabelValue:=1", b"LabelValue:=x"))
    with pytest.raises(FileError, match="segments of 3D Slicer, with names and numbers"):
        label_format_of(path).content(path)


def test_many_segments_with_all_that_slicer_says_of_them(image: SimpleITK.Image, tmp_path: Path) -> None:
    ids = np.zeros(SHAPE[::-1], int)
    ids[0, 0, :10] = np.arange(1, 11)
    path = tmp_path / "x.seg.nrrd"
    write(path, ids, image, **{f"segment {n}": n for n in range(1, 201)})
    told = b"".join(b"Segment%d_Tags:=%s\n" % (n, b"Segmentation.Status:inprogress|" * 12) for n in range(200))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"\n\n", b"\n" + told + b"\n", 1))
    assert len(label_format_of(path).content(path).objects) == 200


@pytest.mark.parametrize("more", [(), (1,)], ids=["3-D", "4-D"])
def test_our_own_come_back(more: tuple[int, ...], tmp_path: Path) -> None:
    hu, _ = generate.volume(SHAPE, 0)
    generate.write_volume(tmp_path / "x.nii.gz", hu.reshape(*SHAPE, *more), generate.affine((0.7, 0.8, 2.5), "PSR"))
    geometry = read_geometry(tmp_path / "x.nii.gz")
    label = np.random.default_rng(0).integers(0, 3, geometry.shape).astype(np.int16)
    geometry.write_label(tmp_path / "x.seg.nrrd", label, LABELS)
    case = read_case(CaseFiles("x", (tmp_path / "x.nii.gz",), tmp_path / "x.seg.nrrd"), LABELS)
    np.testing.assert_array_equal(case.label, label)


@pytest.mark.parametrize(
    ("volume", "label"),
    [("{}.nrrd", "{}.seg.nrrd"), ("p{}/CT.nrrd", "p{}/Segmentation.seg.nrrd"), ("{}.nii.gz", "{}.seg.nrrd")],
)
def test_folders_of_them_are_data_sets(volume: str, label: str, tmp_path: Path) -> None:
    for number in range(4):
        hu, ids = generate.volume(SHAPE, number)
        path = tmp_path / volume.format(number)
        path.parent.mkdir(exist_ok=True)
        image = SimpleITK.GetImageFromArray(hu.T)
        image.SetSpacing((0.7, 0.8, 2.5))
        SimpleITK.WriteImage(image, str(path))
        names = {"spleen": 2, "liver": 1} if number % 2 else {"liver": 1, "spleen": 2}
        write(tmp_path / label.format(number), ids.T, image, **names)
    report = check(tmp_path)
    assert not report.errors
    assert report.classes == ("background", "liver", "spleen")
    for case in open_dataset(tmp_path).cases:
        found = read_case(case, LabelSpace.from_names(report.classes)).label
        assert found is not None
        _, ids = generate.volume(SHAPE, int(case.name[-1]))
        assert np.bincount(found.ravel()).tolist() == np.bincount(ids.ravel()).tolist()
    assert read_image(tmp_path / volume.format(0)).image.shape == (1, *SHAPE[::-1])
