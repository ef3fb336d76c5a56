"""NIfTI volumes come in canonical axes and go back onto the very grid, axis order and header of the input."""

from __future__ import annotations

import gzip
import itertools
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from samtailor.data.case import CaseFiles
from samtailor.data.formats import read_case, read_geometry, read_header, read_image
from samtailor.data.formats.nifti import NiftiFormat
from samtailor.errors import DataError, FileError
from samtailor.labels import LabelSpace
from tests import generate

LABELS = LabelSpace(("background", "liver", "spleen"), (0, 3, 200), ((0, 0, 0), (1, 2, 3), (4, 5, 6)), ignore_id=None)
ORIENTATIONS = [
    "".join(codes) for axes in itertools.permutations(("RL", "AP", "SI")) for codes in itertools.product(*axes)
]


def read_label(path: Path, labels: LabelSpace = generate.LABELS) -> NDArray[np.int16]:
    label = read_case(CaseFiles("x", (path,), path), labels).label
    assert label is not None
    return label


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
    with pytest.raises(DataError, match=r"label\.nii\.gz: expected label ids \[0, 1, 2\], found 9 \(27 voxels\)"):
        read_case(CaseFiles("x", (path,), path), generate.LABELS)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii"])
@pytest.mark.parametrize("kept", [0, 20, 300, 2000])
def test_truncated_file_is_refused(tmp_path: Path, suffix: str, kept: int) -> None:
    path = tmp_path / f"x{suffix}"
    generate.write_volume(path, np.random.default_rng(0).integers(0, 9999, (20, 20, 20)).astype(np.int16))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match="damaged or truncated"):
        read_image(path)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64])
def test_integers_of_every_type_are_images_and_labels(tmp_path: Path, dtype: type[np.integer]) -> None:
    path = tmp_path / "x.nii.gz"
    limits = np.iinfo(dtype)
    array = np.array([limits.min, 0, 1, 2, limits.max], dtype).reshape(1, 1, 5)
    nib.save(nib.Nifti1Image(array, generate.affine(), dtype=dtype), path)
    assert sorted(read_image(path).image.ravel().tolist()) == sorted(array.ravel().tolist())
    nib.save(nib.Nifti1Image(array[..., 1:4], generate.affine(), dtype=dtype), path)
    assert sorted(read_label(path).ravel().tolist()) == [0, 1, 2]
    nib.save(nib.Nifti1Image(array[..., 1:], generate.affine(), dtype=dtype), path)
    with pytest.raises(FileError, match=rf"found {limits.max} \(1 voxels\)"):
        read_label(path)


@pytest.mark.parametrize("ids", [(0, 2**24 + 1, 2**31 - 1), (0, 70_000, 90_000)])
@pytest.mark.parametrize("dtype", [np.int64, np.uint32, np.float64])
def test_large_ids_stay_apart(tmp_path: Path, ids: tuple[int, int, int], dtype: type[np.generic]) -> None:
    path = tmp_path / "x.nii"
    space = LabelSpace(("background", "liver", "spleen"), ids, ((0, 0, 0), (1, 2, 3), (4, 5, 6)), ignore_id=-1)
    array = np.array(ids, dtype).reshape(3, 1, 1)
    nib.save(nib.Nifti1Image(array, generate.affine(codes="RAS"), dtype=dtype), path)
    assert read_label(path, space).ravel().tolist() == [2, 1, 0]
    nib.save(nib.Nifti1Image(array - dtype(1), generate.affine(codes="RAS"), dtype=dtype), path)
    if dtype != np.uint32:
        array[0] = 2
    with pytest.raises(FileError, match=str(ids[1] - 1)):
        read_label(path, space)


@pytest.mark.parametrize("stored", [np.uint8, np.int16])
def test_ids_that_a_slope_has_rounded_are_taken(tmp_path: Path, stored: type[np.integer]) -> None:
    """What nibabel makes of floats under a header of integers."""
    path = tmp_path / "x.nii.gz"
    ids = np.random.default_rng(0).integers(0, 14, (4, 5, 6))
    image = nib.Nifti1Image(ids.astype(np.float64), generate.affine(codes="SPL"))
    image.header.set_data_dtype(stored)
    nib.save(image, path)
    assert not np.array_equal(np.asarray(nib.load(path).dataobj), ids)
    space = LabelSpace.from_names(tuple(f"class {index}" for index in range(14)))
    assert np.array_equal(read_label(path, space), ids)


@pytest.mark.parametrize(
    ("value", "is_id"),
    [(1.0005, True), (1.002, False), (100_000.01, True), (100_000.25, False), (0.9995, True), (0.5, False)],
)
def test_what_counts_as_rounding(tmp_path: Path, value: float, is_id: bool) -> None:
    generate.write_volume(tmp_path / "x.nii", np.full((1, 1, 1), value, np.float32))
    if is_id:
        assert NiftiFormat().read_ids(tmp_path / "x.nii", LABELS)[0].item() == round(value)
        return
    with pytest.raises(FileError, match=rf"found 1 other values \({value}"):
        NiftiFormat().read_ids(tmp_path / "x.nii", LABELS)


def test_ids_that_arithmetic_has_rounded_are_taken_and_only_fractions_named(tmp_path: Path) -> None:
    path = tmp_path / "x.nii.gz"
    array = np.array([0, 1, 2, 1], np.float32).reshape(4, 1, 1) * np.float32(1.0000001)
    generate.write_volume(path, array)
    assert sorted(read_label(path).ravel().tolist()) == [0, 1, 1, 2]
    array[0], array[3] = 1.0015, np.nan
    generate.write_volume(path, array)
    with pytest.raises(FileError, match=r"found 2 other values \(1\.0015, nan\)"):
        NiftiFormat().read_ids(path, LABELS)


@pytest.mark.parametrize("dtype", [np.complex64, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])])
def test_numbers_that_are_none_are_refused(tmp_path: Path, dtype: np.dtype) -> None:
    generate.write_volume(tmp_path / "x.nii.gz", np.zeros((2, 2, 2), dtype))
    with pytest.raises(FileError, match="one number per voxel"):
        read_image(tmp_path / "x.nii.gz")


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1000), ("mm", 1), ("micron", 0.001), ("unknown", 1)])
def test_the_header_s_unit_counts_and_is_kept(tmp_path: Path, unit: str, factor: float) -> None:
    image = nib.Nifti1Image(np.zeros((4, 3, 2), np.uint8), None)
    image.set_sform(generate.affine((0.5, 0.25, 2)), code=1)
    image.header.set_zooms((0.5002, 0.25, 2))
    image.header.set_xyzt_units(unit, "sec")
    nib.save(image, tmp_path / "x.nii.gz")
    geometry = read_geometry(tmp_path / "x.nii.gz")
    assert geometry.spacing == pytest.approx((2 * factor, 0.25 * factor, 0.5 * factor))
    assert geometry.file_axes is not None
    assert geometry.file_axes[0] == (float(np.float32(0.5002)) * factor, 0.25 * factor, 2 * factor)
    geometry.write_label(tmp_path / "y.nii.gz", np.zeros(geometry.shape, np.int16), LABELS)
    written = nib.load(tmp_path / "y.nii.gz")
    assert np.array_equal(written.affine, image.affine)
    assert written.header.get_xyzt_units() == (unit, "sec")
    assert geometry.difference(read_geometry(tmp_path / "y.nii.gz")) is None


def test_spacings_of_a_microscope_are_read(tmp_path: Path) -> None:
    generate.write_volume(tmp_path / "x.nii", np.zeros((2, 2, 2), np.uint8), generate.affine((5e-4, 5e-4, 5e-4)))
    assert read_geometry(tmp_path / "x.nii").spacing == pytest.approx((5e-4, 5e-4, 5e-4))
    assert doubts(tmp_path / "x.nii") == []


def doubts(path: Path) -> list[str]:
    return ["; ".join(doubt) for doubt in NiftiFormat().doubts(path)]


def odd_header(path: Path, change: Callable[[nib.Nifti1Header], object], sform: bool = True) -> Path:
    """A sound file of which a field of the header is changed afterwards."""
    image = nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), None)
    image.set_qform(generate.affine(), code=0 if sform else 1)
    image.set_sform(generate.affine(), code=1 if sform else 0)
    nib.save(image, path)
    header = nib.Nifti1Header(path.read_bytes()[:348], check=False)
    change(header)
    path.write_bytes(header.binaryblock + path.read_bytes()[348:])
    return path


def put(field: str, value: object) -> Callable[[nib.Nifti1Header], None]:
    def change(header: nib.Nifti1Header) -> None:
        header[field] = value

    return change


def put_step(value: float) -> Callable[[nib.Nifti1Header], None]:
    def change(header: nib.Nifti1Header) -> None:
        header["pixdim"][1] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put_step(0), "0 x 2 x 5 in the header"),
        (put_step(-2), "-2 x 2 x 5 in the header"),
        (put_step(np.nan), "nan x 2 x 5 in the header"),
        (put_step(7), "7 x 2 x 5 in the header and 2 x 2 x 5 of the affine"),
        (put("xyzt_units", 7), "code 7"),
        (put("xyzt_units", 1), "5000 x 2000 x 2000 mm"),
        (put("xyzt_units", 3), None),
        (put("srow_x", [-1e-5, 0, 0, 0]), "1e-05"),
        (lambda header: header.set_qform(generate.affine((2, 2, 4)), code=1), "a qform that agrees with the sform"),
        (lambda header: None, None),
    ],
)
def test_odd_headers_are_read_and_told(tmp_path: Path, change: Callable[..., object], words: str | None) -> None:
    path = odd_header(tmp_path / "x.nii", change)
    assert read_image(path).image.shape == (1, 2, 2, 2)
    found = doubts(path)
    assert (not found) if words is None else any(words in doubt for doubt in found), found


@pytest.mark.parametrize("value", [0, np.nan])
def test_steps_that_the_affine_is_made_of_are_told_or_refused(tmp_path: Path, value: float) -> None:
    path = odd_header(tmp_path / "x.nii", put_step(value), sform=False)
    if np.isnan(value):
        with pytest.raises(FileError, match="affine"):
            read_image(path)
    else:
        assert any("0 x 2 x 5 in the header" in doubt for doubt in doubts(path))


def claim(dims: list[int], kind: type = np.uint8) -> Callable[[nib.Nifti1Header], None]:
    def change(header: nib.Nifti1Header) -> None:
        header["dim"] = [3, *dims, 1, 1, 1, 1]
        header.set_data_dtype(kind)

    return change


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (claim([32767] * 3), "as the header claims"),
        (claim([600, 600, 600]), "as the header claims"),
        (claim([3, 2, 2]), "as the header claims|Expected 12 bytes, got 8"),
        (claim([0, 2, 2]), "shape 0 x 2 x 2"),
        (claim([-2, 2, 2]), "shape -2 x 2 x 2"),
        (put("vox_offset", 1e30), "begin at byte 1e[+]30"),
        (put("vox_offset", np.nan), "begin at byte nan"),
        (put("vox_offset", 100_000), "NIfTI|as the header claims"),
        (put("datatype", 9999), "NIfTI"),
        (put("magic", b"abc"), "NIfTI"),
    ],
)
def test_false_claims_are_refused_before_memory_is_taken(
    tmp_path: Path, suffix: str, change: Callable[..., object], words: str
) -> None:
    path = odd_header(tmp_path / "x.nii", change)
    if suffix == ".nii.gz":
        path = tmp_path / "x.nii.gz"
        path.write_bytes(gzip.compress((tmp_path / "x.nii").read_bytes()))
    tracemalloc.start()
    with pytest.raises(FileError, match=words):
        read_image(path)
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()


def test_no_more_is_unpacked_than_the_header_claims(tmp_path: Path) -> None:
    sound = odd_header(tmp_path / "x.nii", lambda header: None).read_bytes()
    with gzip.open(tmp_path / "x.nii.gz", "wb", 1) as stream:
        stream.write(sound)
        for _ in range(300):
            stream.write(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(FileError, match=r"8 bytes of voxels, as the header claims.*found more"):
        read_image(tmp_path / "x.nii.gz")
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_volumes_that_do_not_fit_into_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate.write_volume(tmp_path / "x.nii.gz", np.zeros((20, 20, 20), np.int16))
    monkeypatch.setattr("samtailor.data.formats.format.available_memory", lambda: 15_999)
    with pytest.raises(FileError, match="free memory"):
        read_image(tmp_path / "x.nii.gz")
    monkeypatch.setattr("samtailor.data.formats.format.available_memory", lambda: 16_000)
    read_image(tmp_path / "x.nii.gz")


@pytest.mark.parametrize("esize", [0, 4, 2**31 - 16])
def test_extensions_of_false_lengths_take_no_memory(tmp_path: Path, esize: int) -> None:
    sound = odd_header(tmp_path / "x.nii", put("vox_offset", 384)).read_bytes()
    extension = b"\1\0\0\0" + np.array([esize, 6], "<i4").tobytes() + bytes(24)
    with gzip.open(tmp_path / "x.nii.gz", "wb", 1) as stream:
        stream.write(sound[:348] + extension + bytes(300 << 20))
    tracemalloc.start()
    with pytest.raises(FileError):
        read_image(tmp_path / "x.nii.gz")
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_damage_in_a_packed_file_is_noticed_by_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / "x.nii.gz"
    generate.write_volume(path, np.zeros((9, 9, 9), np.int16))
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileError, match="CRC"):
        read_image(path)


def test_a_name_may_be_in_capitals(tmp_path: Path) -> None:
    generate.write_volume(tmp_path / "x.nii.gz", np.arange(8, dtype=np.int16).reshape(2, 2, 2))
    (tmp_path / "x.nii.gz").rename(tmp_path / "X.NII.GZ")
    assert read_image(tmp_path / "X.NII.GZ").image.sum() == 28


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
    with pytest.raises(DataError, match=r"expected one of \.nii\.gz.*found '\.mnc'"):
        read_image(tmp_path / "x.mnc")


def test_probabilities_lie_on_the_grid_with_classes_last(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    generate.write_volume(tmp_path / "x.nii.gz", np.zeros((4, 3, 2), dtype=np.int16), random_affine(rng))
    geometry = read_image(tmp_path / "x.nii.gz").geometry
    probabilities = rng.random((3, *geometry.shape)).astype(np.float16)
    path = tmp_path / "p.nii.gz"
    geometry.write_probabilities(path, probabilities, LabelSpace.from_names(("a", "b", "c")))
    assert nib.load(path).shape == (4, 3, 2, 3)
    assert np.array_equal(read_image(path).image, probabilities.astype(np.float32))


def test_names_of_files(tmp_path: Path) -> None:
    assert NiftiFormat().stem_of(Path("a/b.c.nii.gz")) == "b.c"
    assert NiftiFormat().stem_of(Path("B.NII")) == "B"
    generate.write_volume(tmp_path / "x [1]_0000.nii.gz", np.zeros((2, 2, 2), dtype=np.int16))
    assert read_image(tmp_path / "x [1]_0000.nii.gz").name == "x [1]"
