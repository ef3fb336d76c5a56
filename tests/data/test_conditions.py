"""One NaN or infinite voxel never becomes a silent piece of background, however the image comes in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from samtailor.data.cache import SliceCache
from samtailor.data.case import Case, CaseFiles
from samtailor.data.conditions import count_ids, not_finite, unknown_ids
from samtailor.data.formats import read_case, read_image
from samtailor.data.in_memory import case_of_array
from samtailor.data.intensity import CTWindow
from samtailor.data.preprocessing import Preprocessing
from samtailor.errors import DataWarning, FileError
from samtailor.labels import LabelSpace
from tests import generate

PREPROCESSING = Preprocessing(CTWindow(), 32, None, 1)


@pytest.fixture(params=[np.nan, np.inf, -np.inf])
def damaged(request: pytest.FixtureRequest) -> NDArray[np.float32]:
    """A volume from -100 to 100 with one voxel that is no number."""
    array = np.linspace(-100, 100, 4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)
    array[2, 2, 2] = request.param
    return array


def test_a_case_of_a_data_set_is_refused(tmp_path: Path, damaged: NDArray[np.float32]) -> None:
    files = CaseFiles("x", (tmp_path / "x.nii.gz",), tmp_path / "label.nii.gz")
    generate.write_volume(files.images[0], damaged)
    generate.write_volume(tmp_path / "label.nii.gz", np.zeros(damaged.shape, np.uint8))
    with pytest.raises(FileError, match=r"x\.nii\.gz: expected finite intensities, found 1 NaN or infinite voxels"):
        read_case(files, generate.LABELS)
    with pytest.raises(FileError, match="finite intensities"):
        SliceCache(generate.LABELS, PREPROCESSING, tmp_path / "cache").load(files)


def test_an_image_to_segment_is_repaired_with_a_word(tmp_path: Path, damaged: NDArray[np.float32]) -> None:
    generate.write_volume(tmp_path / "x.nii", damaged)
    with pytest.warns(DataWarning, match=r"x\.nii: 1 NaN or infinite voxels, filled with the lowest value"):
        image = read_image(tmp_path / "x.nii").image
    changed = np.sort(image.ravel())
    assert changed.max() == 100
    assert changed.min() == -100
    assert np.isin(changed, damaged).all()
    assert (changed == (100 if damaged[2, 2, 2] > 0 else -100)).sum() == 2


def test_an_image_of_nothing_finite_is_refused(tmp_path: Path) -> None:
    generate.write_volume(tmp_path / "x.nii", np.full((3, 4, 5), np.nan, np.float32))
    with pytest.raises(FileError, match="60 NaN or infinite voxels"):
        read_image(tmp_path / "x.nii")


def test_arrays_and_cases_are_refused_before_the_network(damaged: NDArray[np.float32]) -> None:
    with pytest.raises(FileError, match="array: expected finite intensities, found 1 NaN or infinite voxels"):
        PREPROCESSING.prepare(case_of_array(damaged, (1, 1, 1)))


@pytest.mark.parametrize(
    "image", [np.zeros((1, 0, 4, 4)), np.zeros((4, 4)), np.zeros((1, 1, 4, 4), complex), np.zeros((1, 1, 4, 4), bool)]
)
def test_a_case_that_is_no_image_is_refused(image: NDArray[np.generic]) -> None:
    geometry = case_of_array(np.zeros((4, 4))).geometry
    with pytest.raises(FileError, match="x: expected integers or floats"):
        PREPROCESSING.prepare(Case("x", image, geometry))


def test_the_file_of_the_channel_is_named() -> None:
    image = np.zeros((3, 2, 2, 2), np.float32)
    image[1, 0, 0, :] = np.nan
    errors = list(not_finite(image, [Path("a"), Path("b"), Path("c")]))
    assert [(error.file, error.found) for error in errors] == [("b", "2 NaN or infinite voxels")]
    assert [error.file for error in not_finite(image, [Path("all")])] == ["all"]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint64])
def test_ids_of_no_class_are_counted(dtype: type[np.integer]) -> None:
    top = np.iinfo(dtype).max
    ids = np.array([0, 0, 1, top, top], dtype).reshape(1, 1, 5)
    space = LabelSpace.from_names(("background", "liver"), ignore_id=-1)
    assert count_ids(ids) == {0: 2, 1: 1, top: 2}
    (error,) = unknown_ids(Path("x"), count_ids(ids), space, "fix it")
    assert error.found == f"{top} (2 voxels)"
    assert error.expected == "label ids [-1, 0, 1]"
