"""Arrays in memory become cases that are saved and measured like files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
import torch
from numpy.typing import NDArray
from PIL import Image

from samtailor.data.formats import match_channels, read_geometry, read_image
from samtailor.data.in_memory import case_of, case_of_array
from samtailor.errors import DataError, FileError
from samtailor.evaluation.measure import Grid
from samtailor.labels import LabelSpace

LABELS = LabelSpace.from_names(("background", "liver"))
HU = np.random.default_rng(0).integers(-1000, 1000, (3, 4, 5)).astype(np.int16)


def test_a_volume_is_saved_where_itk_puts_an_array(tmp_path: Path) -> None:
    case = case_of_array(HU, (5.0, 0.7, 0.8))
    assert (case.name, case.geometry.shape) == ("array", (3, 4, 5))
    assert case.geometry.spacing == pytest.approx((5.0, 0.7, 0.8))
    np.testing.assert_array_equal(case.image, HU[None])
    case.geometry.write_label(tmp_path / "x.nii.gz", (HU > 0).astype(np.int16), LABELS)
    saved = SimpleITK.ReadImage(tmp_path / "x.nii.gz")
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(saved), HU > 0)
    assert saved.GetDirection() == pytest.approx(np.eye(3).ravel())
    assert saved.GetSpacing() == pytest.approx((0.8, 0.7, 5.0))
    assert saved.GetOrigin() == pytest.approx((0, 0, 0))
    again = read_image(tmp_path / "x.nii.gz")
    np.testing.assert_array_equal(again.image[0], HU > 0)
    assert case.geometry.difference(again.geometry) is None
    assert Grid.from_geometry(case.geometry).spacing == Grid.from_geometry(again.geometry).spacing


def test_channels_of_a_volume_come_first(tmp_path: Path) -> None:
    case = case_of_array(np.stack([HU, HU + 1]), (1, 1, 1), "two")
    assert (case.name, case.image.shape, case.geometry.shape) == ("two", (2, 3, 4, 5), (3, 4, 5))
    np.testing.assert_array_equal(case.image[1], HU + 1)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 2), (4, 5, 3), (4, 5, 7)])
def test_channels_of_a_picture_come_last(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    case = case_of_array(array)
    assert (case.geometry.shape, case.geometry.spacing) == ((1, 4, 5), None)
    np.testing.assert_array_equal(np.moveaxis(case.image[:, 0], 0, -1), array.reshape(4, 5, -1))
    case.geometry.write_label(tmp_path / "x.png", np.ones((1, 4, 5), np.int16), LABELS)
    assert read_geometry(tmp_path / "x.png") == case.geometry


@pytest.mark.parametrize(
    ("given", "expected"),
    [("int16", "int16"), (">u2", "uint16"), (">f4", "float32"), ("float16", "float32"), ("float64", "float32")],
)
def test_numbers_come_as_readers_give_them(given: str, expected: str) -> None:
    image = case_of_array(HU.clip(0).astype(given), (1, 1, 1)).image
    assert image.dtype == np.dtype(expected)
    np.testing.assert_array_equal(image[0], HU.clip(0).astype(given))


@pytest.mark.parametrize(
    ("array", "spacing", "words"),
    [
        (HU > 0, (1, 1, 1), "integers or floats, found bool"),
        (HU.astype(complex), (1, 1, 1), "found complex128"),
        (HU.astype(object), None, "found object"),
        (HU[0], (1, 1, 1), r"volume .*found shape \(4, 5\); leave out the spacing"),
        (HU[None, None], (1, 1, 1), r"found shape \(1, 1, 3, 4, 5\)"),
        (HU[:0], (1, 1, 1), r"found shape \(0, 4, 5\)"),
        (HU[..., None], None, r"picture .*found shape \(3, 4, 5, 1\); give the spacing in mm of a volume"),
        (HU[0, 0], None, r"found shape \(5,\)"),
        (HU[:0, :, 0], None, r"found shape \(0, 4\)"),
        (np.array(1), None, r"found shape \(\)"),
        (HU[None], None, r"found shape \(1, 3, 4, 5\)"),
        (HU, (1, np.nan, 1), "three numbers above 0, found .*nan"),
        (HU, (1, np.inf, 1), "three numbers above 0"),
        (HU, (1, 0, 1), "three numbers above 0"),
        (HU, (1, -2, 1), "three numbers above 0"),
        (HU, (1, 1), "three numbers above 0"),
        (HU, 1.0, "three numbers above 0"),
    ],
)
def test_what_is_no_image_is_refused(array: NDArray[Any], spacing: Any, words: str) -> None:
    with pytest.raises(DataError, match=f"ct: expected .*{words}"):
        case_of_array(array, spacing, "ct")


def test_bands_are_taken_by_their_numbers_from_one() -> None:
    bands = np.arange(4)[:, None, None, None] * np.ones((1, 2, 3), np.uint8)
    assert match_channels(bands, (4, 1, 2), Path("x"))[:, 0, 0, 0].tolist() == [3, 0, 1]
    assert match_channels(bands[:2], (2, 1), Path("x"))[:, 0, 0, 0].tolist() == [1, 0]
    with pytest.raises(FileError, match="x: expected a band 5, as bands 1, 5 are used, found 4; give an image with"):
        match_channels(bands, (1, 5), Path("x"))


RGB = np.random.default_rng(0).integers(0, 255, (4, 6, 3), np.uint8)


def test_pictures_of_pillow_are_those_of_their_files(tmp_path: Path) -> None:
    picture = Image.fromarray(RGB)
    turned = Image.Exif()
    turned[0x0112] = 6  # shown turned by a quarter
    picture.save(tmp_path / "x.png", exif=turned)
    with Image.open(tmp_path / "x.png") as opened:
        case = case_of(opened)
    np.testing.assert_array_equal(case.image, read_image(tmp_path / "x.png").image)
    assert case.geometry.shape == (1, 6, 4)


@pytest.mark.parametrize("mode", ["L", "LA", "1", "I", "F"])
def test_gray_modes_of_pillow_have_one_channel(mode: str) -> None:
    case = case_of(Image.fromarray(RGB).convert("L").convert(mode))
    assert case.image.shape == (1, 1, 4, 6)
    assert case.image.dtype == {"I": np.int32, "F": np.float32}.get(mode, np.uint8)
    if mode == "1":
        assert set(np.unique(case.image)) == {0, 255}


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK"])
def test_coloured_modes_of_pillow_have_three(mode: str) -> None:
    flat = np.full((4, 6, 3), (0, 255, 51), np.uint8)  # a colour of all palettes
    image = case_of(Image.fromarray(flat).convert(mode)).image
    np.testing.assert_array_equal(np.moveaxis(image[:, 0], 0, -1), flat)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
def test_tensors_have_channels_first(dtype: torch.dtype) -> None:
    tensor = torch.arange(3 * 4 * 5).reshape(3, 4, 5).to(dtype)
    case = case_of(tensor.requires_grad_() if dtype.is_floating_point else tensor)
    assert case.geometry.shape == (1, 4, 5)
    np.testing.assert_array_equal(case.image[:, 0], tensor.detach().float())
    volume = case_of(tensor, (5.0, 1.0, 1.0))
    np.testing.assert_array_equal(volume.image[0], tensor.detach().float())
    assert case_of(tensor[0]).geometry.shape == (1, 4, 5)


def test_other_things_are_refused() -> None:
    with pytest.raises(DataError, match=r"expected a NumPy array, .* found list; convert it"):
        case_of([[1, 2], [3, 4]])  # type: ignore[arg-type]
