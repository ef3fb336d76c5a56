"""NIfTI volumes come in canonical axes and go back onto the very grid, axis order and header of the input."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from samtailor.data.case import CaseFiles
from samtailor.data.formats import read_case, read_geometry, read_header, read_image
from samtailor.data.formats.nifti import NiftiFormat
from samtailor.errors import DataError
from samtailor.labels import LabelSpace
from tests import generate

LABELS = LabelSpace(("background", "liver", "spleen"), (0, 3, 200), ((0, 0, 0), (1, 2, 3), (4, 5, 6)), ignore_id=None)
ORIENTATIONS = [
    "".join(codes) for axes in itertools.permutations(("RL", "AP", "SI")) for codes in itertools.product(*axes)
]


def random_affine(rng: np.random.Generator) -> NDArray[np.float64]:
    """Any permutation and flip of the axes, tilted by up to 20 degrees."""
    matrix = generate.affine((1.5, 2.0, 3.5), ORIENTATIONS[rng.integers(len(ORIENTATIONS))])
    axis = rng.normal(size=3)
    x, y, z = axis / np.linalg.norm(axis) * np.radians(rng.uniform(0, 20))
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    u, _, v = np.linalg.svd(np.eye(3) + skew)  # nearest rotation
    matrix[:3, :3] = u @ v @ matrix[:3, :3]
    matrix[:3, 3] = rng.uniform(-100, 100, 3)
    return matrix


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_axes_are_canonical_whatever_the_files(tmp_path: Path, codes: str) -> None:
    canonical = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    directions = {"S": (0, 1), "I": (0, -1), "P": (1, 1), "A": (1, -1), "L": (2, 1), "R": (2, -1)}
    array = canonical.transpose([directions[code][0] for code in codes])
    array = array[tuple(slice(None, None, directions[code][1]) for code in codes)]
    generate.write_volume(tmp_path / "x.nii.gz", array, generate.affine((1, 2, 3), codes))
    case = read_image(tmp_path / "x.nii.gz")
    assert np.array_equal(case.image[0], canonical)
    assert case.geometry.shape == (2, 3, 4)
    spacing = dict(zip([directions[code][0] for code in codes], (1, 2, 3), strict=True))
    assert case.geometry.spacing == pytest.approx([spacing[axis] for axis in range(3)])


@pytest.mark.parametrize("seed", range(30))
def test_what_is_read_is_written_back_on_the_same_grid(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.choice(np.array(LABELS.ids, dtype=np.uint8), size=rng.integers(2, 9, size=3))
    image = nib.Nifti1Image(ids, None)
    matrix = random_affine(rng)
    image.set_sform(matrix, code=int(rng.integers(0, 4)))
    image.set_qform(matrix, code=int(rng.integers(0, 4)))
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, tmp_path / "in.nii.gz")
    case = read_case(CaseFiles("in", (tmp_path / "in.nii.gz",), tmp_path / "in.nii.gz"), LABELS)
    assert case.label is not None
    case.geometry.write_label(tmp_path / "out.nii.gz", case.label, LABELS)
    before, after = nib.load(tmp_path / "in.nii.gz"), nib.load(tmp_path / "out.nii.gz")
    assert np.asarray(after.dataobj).tobytes() == np.asarray(before.dataobj).tobytes()
    assert after.get_data_dtype() == np.uint8
    assert after.shape == before.shape
    assert np.array_equal(after.affine, before.affine)
    for field in ("qform_code", "sform_code", "xyzt_units", "pixdim", "srow_x", "quatern_b"):
        assert np.array_equal(after.header[field], before.header[field]), field


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii"])
def test_both_suffixes_and_both_versions_are_kept(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    nib.save(nib.Nifti2Image(np.zeros((3, 4, 5), dtype=np.int16), generate.affine()), path)
    case = read_image(path)
    case.geometry.write_label(path, np.zeros(case.geometry.shape, dtype=np.int16), LABELS)
    assert isinstance(nib.load(path), nib.Nifti2Image)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_names_of_the_classes_lie_in_the_header(tmp_path: Path) -> None:
    generate.write_volume(tmp_path / "x.nii", np.zeros((2, 2, 2), dtype=np.int16))
    geometry = read_image(tmp_path / "x.nii").geometry
    geometry.write_label(tmp_path / "y.nii.gz", np.zeros((2, 2, 2), dtype=np.int16), LABELS)
    extension = nib.load(tmp_path / "y.nii.gz").header.extensions[0]
    assert b'{"labels": {"0": "background", "3": "liver", "200": "spleen"}}' in extension.get_content()


def test_scaled_integers_are_read_as_hu(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.full((2, 3, 4), 1064, dtype=np.int16), generate.affine())
    image.header.set_slope_inter(0.5, -1024)
    path = tmp_path / "x.nii.gz"
    nib.save(image, path)
    array = np.asarray(nib.load(path).dataobj)
    case = read_image(path)
    assert case.image.dtype == np.float32
    assert np.array_equal(np.unique(case.image), np.unique(array))
    case.geometry.write_label(tmp_path / "y.nii.gz", np.ones(case.geometry.shape, dtype=np.int16), LABELS)
    written = nib.load(tmp_path / "y.nii.gz")
    assert np.unique(np.asarray(written.dataobj)).tolist() == [3]  # the scaling of the image is not the label's


def test_single_volume_with_a_fourth_axis_keeps_it(tmp_path: Path) -> None:
    generate.write_volume(tmp_path / "x.nii", np.zeros((4, 3, 2, 1), dtype=np.uint8))
    case = read_case(CaseFiles("x", (tmp_path / "x.nii",), tmp_path / "x.nii"), LABELS)
    assert case.image.shape == (1, 2, 3, 4)
    case.geometry.write_label(tmp_path / "y.nii.gz", case.image[0], LABELS)
    assert nib.load(tmp_path / "y.nii.gz").shape == (4, 3, 2, 1)


def test_channels_come_from_several_files_or_the_fourth_axis(tmp_path: Path) -> None:
    arrays = np.random.default_rng(0).integers(0, 99, (2, 4, 3, 5)).astype(np.int16)
    for channel, array in enumerate(arrays):
        generate.write_volume(tmp_path / f"x_{channel:04d}.nii.gz", array)
    generate.write_volume(tmp_path / "y.nii.gz", np.moveaxis(arrays, 0, -1))
    several, together = read_image(tmp_path / "x_0000.nii.gz"), read_image(tmp_path / "y.nii.gz")
    assert several.name == "x"
    assert several.image.shape == (2, 5, 3, 4)
    assert np.array_equal(several.image, together.image)
    headers = read_header(tmp_path / "x_0000.nii.gz"), read_header(tmp_path / "y.nii.gz")
    assert [(header.channels, header.bits, header.bands) for header in headers] == [(1, 16, 1), (2, 16, 2)]
    together.geometry.write_label(tmp_path / "z.nii.gz", np.zeros((5, 3, 4), dtype=np.int16), LABELS)
    assert nib.load(tmp_path / "z.nii.gz").shape == (4, 3, 5)
    with pytest.raises(DataError, match="expected 1 channel, found 2"):
        read_image(tmp_path / "y.nii.gz", channels=1)


def test_channels_on_different_grids_are_refused(tmp_path: Path) -> None:
    generate.write_volume(tmp_path / "x_0000.nii.gz", np.zeros((2, 3, 4), dtype=np.int16))
    generate.write_volume(tmp_path / "x_0001.nii.gz", np.zeros((2, 3, 5), dtype=np.int16))
    with pytest.raises(DataError, match=r"x_0001.*resample"):
        read_image(tmp_path / "x_0000.nii.gz")


def test_label_with_another_axis_order_fits_its_image(tmp_path: Path) -> None:
    hu, ids = generate.volume((6, 5, 4), seed=0)
    image = nib.Nifti1Image(hu, generate.affine((2, 2, 5), "LAS"))
    nib.save(image, tmp_path / "image.nii.gz")
    label = nib.Nifti1Image(ids, image.affine).as_reoriented(nib.orientations.axcodes2ornt("PSR"))
    nib.save(label, tmp_path / "label.nii.gz")
    nib.save(nib.Nifti1Image(ids, image.affine), tmp_path / "same.nii.gz")
    files = [CaseFiles("x", (tmp_path / "image.nii.gz",), tmp_path / f"{n}.nii.gz") for n in ("label", "same")]
    reoriented, same = (read_case(case, generate.LABELS).label for case in files)
    assert reoriented is not None
    assert same is not None
    assert np.array_equal(reoriented, same)


def test_label_on_another_grid_is_refused(tmp_path: Path) -> None:
    generate.write_volume(tmp_path / "image.nii.gz", np.zeros((4, 4, 4), dtype=np.int16))
    generate.write_volume(tmp_path / "label.nii.gz", np.zeros((4, 4, 4), dtype=np.uint8), generate.affine((2, 2, 4)))
    with pytest.raises(DataError, match=r"label\.nii\.gz: expected spacing 5 x 2 x 2 mm"):
        read_case(CaseFiles("x", (tmp_path / "image.nii.gz",), tmp_path / "label.nii.gz"), generate.LABELS)


def test_label_in_another_direction_is_refused(tmp_path: Path) -> None:
    matrix = generate.affine()
    turn = np.radians(10)
    turned = matrix.copy()
    turned[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]] @ matrix[:2, :2]
    for name, affine in (("image", matrix), ("label", turned)):
        generate.write_volume(tmp_path / f"{name}.nii.gz", np.zeros((4, 4, 4), dtype=np.uint8), affine)
    image, label = (read_geometry(tmp_path / f"{name}.nii.gz") for name in ("image", "label"))
    assert (image.difference(label) or ("",))[0] == "the direction cosines of the image"


def test_distances_go_by_the_header_unless_the_affine_disagrees(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((4, 3, 2), dtype=np.uint8), None)
    image.set_sform(generate.affine((0.7, 0.8, 2.5), "LAS"), code=1)
    for steps, spacing in (
        ((0.7, 0.8, 2.5), [float(np.float32(step)) for step in (0.7, 0.8, 2.5)]),
        ((1.0, 1.0, 1.0), np.linalg.norm(image.affine[:3, :3], axis=0).tolist()),
    ):
        image.header.set_zooms(steps)
        nib.save(image, tmp_path / "x.nii")
        axes = read_geometry(tmp_path / "x.nii").file_axes
        assert axes is not None
        assert list(axes[0]) == spacing


def test_label_with_float_integers_is_read_and_fractions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "label.nii.gz"
    array = np.zeros((3, 3, 3), dtype=np.float32)
    array[0] = 2
    generate.write_volume(path, array)
    label = read_case(CaseFiles("x", (path,), path), generate.LABELS).label
    assert label is not None
    assert np.bincount(label.ravel()).tolist() == [18, 0, 9]
    array[0, 0, 0] = 0.4
    generate.write_volume(path, array)
    with pytest.raises(DataError, match=r"label\.nii\.gz: expected integer label ids, found 1 other values \(0\.4"):
        read_case(CaseFiles("x", (path,), path), generate.LABELS)


def test_label_ids_outside_the_label_space_are_named_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "label.nii.gz"
    generate.write_volume(path, np.full((3, 3, 3), 9, dtype=np.uint8))
    with pytest.raises(DataError, match=r"label\.nii\.gz: expected label ids \[0, 1, 2\], found \[9\]"):
        read_case(CaseFiles("x", (path,), path), generate.LABELS)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii"])
@pytest.mark.parametrize("kept", [0, 20, 300, 2000])
def test_truncated_file_is_refused(tmp_path: Path, suffix: str, kept: int) -> None:
    path = tmp_path / f"x{suffix}"
    generate.write_volume(path, np.random.default_rng(0).integers(0, 9999, (20, 20, 20)).astype(np.int16))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match="damaged or truncated"):
        read_image(path)


def test_what_is_no_volume_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.nii.gz"
    for array, words in ((np.zeros((3, 3)), "3-D volume"), (np.zeros((2, 2, 2), dtype=np.complex64), "one number")):
        nib.save(nib.Nifti1Image(array, generate.affine()), path)
        with pytest.raises(DataError, match=words):
            read_image(path)
    flat = nib.Nifti1Image(np.zeros((2, 2, 2)), None)
    flat.header.set_sform(np.diag([1.0, 1, 0, 1]), code=1)
    nib.save(flat, path)
    with pytest.raises(DataError, match="affine"):
        read_image(path)
    with pytest.raises(DataError, match="found nothing"):
        read_image(tmp_path / "missing.nii.gz")
    with pytest.raises(DataError, match=r"expected one of \.nii\.gz.*found '\.mha'"):
        read_image(tmp_path / "x.mha")


def test_probabilities_lie_on_the_grid_with_classes_last(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    generate.write_volume(tmp_path / "x.nii.gz", np.zeros((4, 3, 2), dtype=np.int16), random_affine(rng))
    geometry = read_image(tmp_path / "x.nii.gz").geometry
    probabilities = rng.random((3, *geometry.shape)).astype(np.float16)
    path = tmp_path / "p.nii.gz"
    geometry.write_probabilities(path, probabilities)
    assert nib.load(path).shape == (4, 3, 2, 3)
    assert np.array_equal(read_image(path).image, probabilities.astype(np.float32))


def test_names_of_files(tmp_path: Path) -> None:
    assert NiftiFormat().stem_of(Path("a/b.c.nii.gz")) == "b.c"
    assert NiftiFormat().stem_of(Path("B.NII")) == "B"
    generate.write_volume(tmp_path / "x [1]_0000.nii.gz", np.zeros((2, 2, 2), dtype=np.int16))
    assert read_image(tmp_path / "x [1]_0000.nii.gz").name == "x [1]"
