"""SIRST is read as its publisher ships it; Misc_111 is left out, and said to be."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samtailor.data.check_dataset import check_dataset
from samtailor.data.dataset import open_dataset
from samtailor.data.formats import read_case
from samtailor.data.formats.picture import PictureGeometry
from samtailor.errors import FileError
from tests.generate_publishers import sirst_folder


def test_images_masks_and_lists_are_found(tmp_path: Path) -> None:
    dataset = open_dataset(sirst_folder(tmp_path / "data"))
    assert dataset.splits == {"train": ("Misc_1", "Misc_2", "Misc_4"), "val": ("Misc_5",), "test": ("Misc_6",)}
    assert dataset.labels.names == ("background", "target")
    assert (dataset.channels, dataset.bits, dataset.orphans) == (("gray",), 8, ())


def test_the_target_is_what_is_more_than_half_white(tmp_path: Path) -> None:
    dataset = open_dataset(sirst_folder(tmp_path / "data"))
    label = read_case(dataset.cases[0], dataset.labels).label
    assert label is not None
    assert np.unique(label, return_counts=True)[1].tolist() == [40 * 44 - 9, 9]


def test_a_mask_that_we_write_is_read_again(tmp_path: Path) -> None:
    dataset = open_dataset(sirst_folder(tmp_path / "data"))
    label = np.zeros((1, 40, 44), dtype=np.int16)
    label[0, 3:5, 6:9] = 1
    file = dataset.cases[0].label
    assert file is not None
    PictureGeometry((40, 44)).write_label(file, label, dataset.labels)
    again = read_case(dataset.cases[0], dataset.labels).label
    np.testing.assert_array_equal(again, label)


def test_misc_111_is_left_out_by_name(tmp_path: Path) -> None:
    report = check_dataset(sirst_folder(tmp_path / "data"))
    assert report.errors == ()
    assert "Misc_111" not in [row.name for row in report.cases]
    (remark,) = [finding for finding in report.warnings if "Misc_111" in finding.file]
    assert (remark.expected, remark.found) == ("a mask of 40 x 44 pixels like the image", "38 x 44")
    assert "left out" in remark.fix


def test_misc_111_is_kept_where_somebody_has_mended_it(tmp_path: Path) -> None:
    root = sirst_folder(tmp_path / "data")
    mask = root / "masks" / "Misc_111_pixels0.png"
    Image.open(mask).resize((44, 40), Image.Resampling.NEAREST).save(mask)
    assert open_dataset(root).splits["test"] == ("Misc_111", "Misc_6")


def test_another_mask_of_another_size_is_an_error(tmp_path: Path) -> None:
    root = sirst_folder(tmp_path / "data")
    mask = root / "masks" / "Misc_2_pixels0.png"
    Image.open(mask).crop((0, 0, 44, 39)).save(mask)
    (error,) = check_dataset(root).errors
    assert Path(error.file) == mask


def test_a_mask_of_ones_is_refused_rather_than_read_as_empty(tmp_path: Path) -> None:
    root = sirst_folder(tmp_path / "data")
    mask = root / "masks" / "Misc_2_pixels0.png"
    Image.fromarray((np.array(Image.open(mask)) > 127).astype(np.uint8)).save(mask)
    (error,) = check_dataset(root).errors
    assert (error.expected, error.found) == ("white where 'target' is", "no level above 127, the highest is 1")


def test_the_older_lists_serve_where_there_are_no_others(tmp_path: Path) -> None:
    root = sirst_folder(tmp_path / "data")
    (root / "idx_427").rename(root / "idx_320")
    assert open_dataset(root).splits["val"] == ("Misc_5",)


def test_missing_lists_images_and_masks_are_explained(tmp_path: Path) -> None:
    root = sirst_folder(tmp_path / "data")
    shutil.rmtree(root / "idx_427")
    (error,) = check_dataset(root).errors
    assert "list of the images of split train" in error.expected
    assert "github.com/YimianDai/sirst" in error.fix
    shutil.rmtree(root / "masks")
    with pytest.raises(FileError, match=r"SIRST as its publisher ships it.* with files in masks, found images; unpack"):
        open_dataset(root)


def test_masks_that_are_called_as_the_images_are_somebody_elses(tmp_path: Path) -> None:
    root = sirst_folder(tmp_path / "data")
    shutil.rmtree(root / "idx_427")
    for mask in (root / "masks").glob("*.png"):
        mask.rename(mask.with_name(mask.name.replace("_pixels0", "")))
    assert (open_dataset(root).layout, open_dataset(root).name) == ("inferred", None)
