"""The check finds each kind of damage, all of it at once, and says how to fix it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from samtailor.data.check_dataset import check_dataset
from samtailor.data.check_report import CheckReport
from samtailor.reporting.terminal import to_text
from samtailor.settings import Selection
from tests import generate
from tests.conftest import Report


def change(path: Path, function: Callable[[np.ndarray], np.ndarray]) -> None:
    """Rewrite a NIfTI file with its array changed."""
    image = nib.load(path)
    array = function(np.asarray(image.dataobj).copy())
    image = nib.Nifti1Image(array, image.affine)
    path.unlink()
    nib.save(image, path)


def move(path: Path, affine: np.ndarray) -> None:
    """Rewrite a NIfTI file with another affine."""
    array = np.asarray(nib.load(path).dataobj).copy()
    path.unlink()
    generate.write_volume(path, array, affine)


def put(value: float) -> Callable[[np.ndarray], np.ndarray]:
    """Change the first voxel."""

    def function(array: np.ndarray) -> np.ndarray:
        array = array.astype(np.float32)
        array[0, 0, 0] = value
        return array

    return function


def found(report: CheckReport, severity: str, file: str, words: str) -> bool:
    """Whether there is a finding of this severity, for this file, with these words."""
    findings = [f for f in report.findings if f.severity == severity and Path(f.file).name == file]
    return any(words in str(finding) and finding.fix for finding in findings)


def test_sound_folders_have_no_findings(nnunet_folder: Path, image_folder: Path) -> None:
    for folder in (nnunet_folder, image_folder):
        report = check_dataset(folder)
        assert (report.findings, report.exit_code) == ((), 0)


def test_table_has_sizes_spacings_and_voxels_of_every_case(nnunet_folder: Path) -> None:
    report = check_dataset(nnunet_folder)
    assert [row.name for row in report.cases] == [f"case_{i}" for i in range(6)]
    row = report.cases[4]
    assert row.split == "val"
    assert row.shape == (6, 24, 32)
    assert row.spacing == pytest.approx((5, 2, 2))
    ids = np.asarray(nib.load(nnunet_folder / "labelsTr" / "case_4.nii.gz").dataobj)
    assert list(row.voxels.values()) == np.bincount(ids.ravel(), minlength=3).tolist()
    assert report.voxels("val") == row.voxels


def copy_case(root: Path, old: str, new: str) -> None:
    for folder, ending in (("imagesTr", "_0000.nii.gz"), ("labelsTr", ".nii.gz")):
        shutil.copy(root / folder / f"{old}{ending}", root / folder / f"{new}{ending}")


def ignored(root: Path) -> None:
    """Labels in which nothing counts."""
    content = json.loads((root / "dataset.json").read_text())
    content["labels"]["ignore"] = 9
    generate.write_json(root / "dataset.json", content)
    for label in (root / "labelsTr").iterdir():
        change(label, lambda a: np.full_like(a, 9))


@pytest.mark.parametrize(
    ("damage", "severity", "file", "words"),
    [
        (lambda r: truncate(r / "imagesTr/case_1_0000.nii.gz"), "error", "case_1_0000.nii.gz", "readable"),
        (lambda r: truncate(r / "labelsTr/case_1.nii.gz"), "error", "case_1.nii.gz", "readable"),
        (lambda r: (r / "labelsTr/case_1.nii.gz").unlink(), "error", "case_1_0000.nii.gz", "a label"),
        (lambda r: (r / "imagesTr/case_1_0000.nii.gz").unlink(), "error", "case_1.nii.gz", "an image"),
        (
            lambda r: change(r / "labelsTr/case_1.nii.gz", lambda a: a[:-1]),
            "error",
            "case_1.nii.gz",
            "expected 6 x 24 x 32 slices x rows x columns like the image, found 6 x 24 x 31",
        ),
        (
            lambda r: move(r / "labelsTr/case_1.nii.gz", generate.affine((2, 2, 4))),
            "error",
            "case_1.nii.gz",
            "spacing 5 x 2 x 2 mm like the image, found 4 x 2 x 2 mm",
        ),
        (
            lambda r: move(r / "labelsTr/case_1.nii.gz", generate.affine() + np.eye(4, k=3) * 3),
            "error",
            "case_1.nii.gz",
            "first voxel",
        ),
        (lambda r: move(r / "labelsTr/case_1.nii.gz", tilted()), "error", "case_1.nii.gz", "direction cosines"),
        (
            lambda r: change(r / "labelsTr/case_1.nii.gz", put(7)),
            "error",
            "case_1.nii.gz",
            "expected label ids [0, 1, 2], found 7 (1 voxels)",
        ),
        (lambda r: change(r / "labelsTr/case_1.nii.gz", put(0.5)), "error", "case_1.nii.gz", "integer label ids"),
        (
            lambda r: change(r / "imagesTr/case_1_0000.nii.gz", put(np.nan)),
            "error",
            "case_1_0000.nii.gz",
            "1 NaN or infinite",
        ),
        (
            lambda r: change(r / "imagesTr/case_1_0000.nii.gz", np.zeros_like),
            "warning",
            "case_1_0000.nii.gz",
            "0 everywhere",
        ),
        (
            lambda r: change(r / "labelsTr/case_4.nii.gz", np.zeros_like),
            "warning",
            "nnunet",
            "voxels of any other class than the first in the labels of val, found only 'background'",
        ),
        (lambda r: splits(r, ["case_0", "case_4"], ["case_4"]), "error", "nnunet", "found train and val"),
        (lambda r: splits(r, ["case_0", "case_9"], ["case_4"]), "error", "nnunet", "an image of case 'case_9'"),
        (lambda r: splits(r, ["case_0.nii.gz"], ["case_4"]), "error", "nnunet", "name it without suffix"),
        (lambda r: splits(r, ["case_0"], ["case_4"]), "warning", "nnunet", "3 in none: case_1, case_2, case_3"),
        (lambda r: splits(r, ["case_0"], []), "error", "nnunet", "cases in split val, found none"),
        (
            lambda r: generate.write_json(r / "splits_final.json", {"train": []}),
            "error",
            "splits_final.json",
            "a list",
        ),
        (
            lambda r: (r / "imagesTr/case_1_0000.nii.gz").rename(r / "imagesTr/case_0001.nii.gz"),
            "error",
            "case_0001.nii.gz",
            "if it is a case, name it case_0001_0000.nii.gz",
        ),
        (
            lambda r: (r / "imagesTr/case_1_0000.nii.gz").rename(r / "imagesTr/case_1.nii.gz"),
            "error",
            "case_1.nii.gz",
            "if it is a case, name it case_1_0000.nii.gz",
        ),
        (
            lambda r: (r / "imagesTr/case_1_0000.nii.gz").rename(r / "imagesTr/case_1_0000.mnc"),
            "warning",
            "imagesTr",
            "1 others, which are passed over: case_1_0000.mnc",
        ),
        (lambda r: (r / "labelsTr/old").mkdir(), "warning", "labelsTr", "passed over: old"),
        (lambda r: (r / "labelsTr/old.nii.gz").mkdir(), "warning", "labelsTr", "passed over: old.nii.gz"),
        (
            lambda r: copy_case(r, "case_1", "Case_1"),
            "warning",
            "nnunet",
            "Case_1 and case_1; rename them: macOS and Windows",
        ),
        (
            lambda r: copy_case(r, "case_1", "case_7"),
            "warning",
            "dataset.json",
            "numTraining cases in imagesTr, 5, found 6",
        ),
        (
            lambda r: [change(r / f"labelsTr/case_{i}.nii.gz", np.zeros_like) for i in range(4)],
            "error",
            "nnunet",
            "voxels of any other class than the first in the labels of train, found only 'background'",
        ),
        (ignored, "error", "nnunet", "in the labels of train, found only ignored voxels"),
        (
            lambda r: move(r / "imagesTr/case_1_0000.nii.gz", np.diag([200.0, 200, 200, 1])),
            "warning",
            "case_1_0000.nii.gz",
            "a spacing between 0.0001 and 100 mm",
        ),
        (
            lambda r: move(r / "labelsTr/case_1.nii.gz", np.eye(4)),
            "error",
            "case_1.nii.gz",
            "do not resample it, that would move it: copy the image's affine",
        ),
        (
            lambda r: change(r / "labelsTr/case_1.nii.gz", np.transpose),
            "error",
            "case_1.nii.gz",
            "another order (SimpleITK gives z, y, x): transpose it",
        ),
        (
            lambda r: change(r / "labelsTr/case_1.nii.gz", lambda a: a[:-1]),
            "error",
            "case_1.nii.gz",
            "resample the label to the image's grid with nearest neighbours",
        ),
    ],
)
def test_damage_is_found(
    nnunet_folder: Path, damage: Callable[[Path], object], severity: str, file: str, words: str
) -> None:
    damage(nnunet_folder)
    report = check_dataset(nnunet_folder)
    assert found(report, severity, file, words), "\n".join(map(str, report.findings))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def tilted() -> np.ndarray:
    """The generated volumes' affine, rotated by three degrees."""
    angle = np.radians(3)
    rotation = np.eye(4)
    rotation[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return generate.affine() @ rotation


def splits(root: Path, train: list[str], val: list[str]) -> None:
    generate.write_json(root / "splits_final.json", [{"train": train, "val": val}])


def test_all_findings_come_at_once_errors_first(nnunet_folder: Path) -> None:
    change(nnunet_folder / "imagesTr/case_0_0000.nii.gz", np.zeros_like)
    change(nnunet_folder / "labelsTr/case_1.nii.gz", put(7))
    (nnunet_folder / "labelsTr/case_2.nii.gz").unlink()
    splits(nnunet_folder, ["case_0", "case_1", "case_2", "case_3", "case_9"], ["case_4"])
    report = check_dataset(nnunet_folder)
    assert [finding.severity for finding in report.findings] == ["error"] * 3 + ["warning"]
    assert (len(report.errors), len(report.warnings)) == (3, 1)


def test_the_same_of_many_files_is_one_message(nnunet_folder: Path) -> None:
    for index in range(5):
        change(nnunet_folder / f"imagesTr/case_{index}_0000.nii.gz", np.zeros_like)
    report = check_dataset(nnunet_folder)
    assert len(report.warnings) == 5
    text = to_text(report.blocks(), width=1000)
    assert text.count("0 everywhere") == 1
    assert "and 2 more" in text


def test_one_cause_in_many_files_is_one_message_with_what_the_first_ones_have(nnunet_folder: Path) -> None:
    for index in range(4):
        change(nnunet_folder / f"labelsTr/case_{index}.nii.gz", put(9 + min(index, 3)))
    (nnunet_folder / "labelsTr/case_4.nii.gz").unlink()
    text = to_text(check_dataset(nnunet_folder).blocks(), width=1000)
    assert text.count("expected label ids [0, 1, 2]") == 1
    assert "error  labelsTr/case_0.nii.gz, labelsTr/case_1.nii.gz, labelsTr/case_2.nii.gz and 1 more\n" in text
    assert "found    9 (1 voxels); 10 (1 voxels); 11 (1 voxels)\n" in text
    assert "error  imagesTr/case_4_0000.nii.gz\n  expected a label for the image" in text


def test_what_the_first_of_a_cause_should_be_is_said_to_be_its_own(image_folder: Path) -> None:
    for index in range(4):
        (image_folder / f"masks/tile_{index}.png").unlink()
    text = to_text(check_dataset(image_folder).blocks(), width=1000)
    assert "expected a label for the image, named tile_0 (the first)\n  found    none\n" in text


def test_pictures_have_pixels_and_neither_slices_nor_millimetres(image_folder: Path, nnunet_folder: Path) -> None:
    Image.fromarray(np.full((40, 48), 255, dtype=np.uint8)).save(image_folder / "masks" / "tile_4.png")
    text = to_text(check_dataset(image_folder).blocks(), width=200)
    assert "rows x columns" in text
    assert all(word in text for word in ("pixels per class", "255 (1920 pixels)", " 40 x 48 "))
    assert not any(word in text for word in ("voxel", "slices", "mm"))
    text = to_text(check_dataset(nnunet_folder).blocks(), width=200)
    assert all(word in text for word in ("slices x rows x columns", "spacing (mm)", "voxels per class"))


def test_pictures_of_other_kinds_are_counted(image_folder: Path) -> None:
    for index in range(3):
        (image_folder / f"images/tile_{index}.png").rename(image_folder / f"images/tile_{index}.xyz")
        (image_folder / f"masks/tile_{index}.png").rename(image_folder / f"masks/tile_{index}.xyz")
    report = check_dataset(image_folder)
    for folder in ("images", "masks"):
        words = "3 others, which are passed over: tile_0.xyz, tile_1.xyz, tile_2.xyz"
        assert found(report, "warning", folder, words)


def test_broken_splits_do_not_hide_broken_cases(nnunet_folder: Path) -> None:
    (nnunet_folder / "splits_final.json").write_text("[")
    truncate(nnunet_folder / "imagesTr/case_1_0000.nii.gz")
    files = {Path(finding.file).name for finding in check_dataset(nnunet_folder).errors}
    assert files == {"splits_final.json", "case_1_0000.nii.gz"}


def test_masks_with_unknown_colours_and_ids_are_found(image_folder: Path) -> None:
    mask = image_folder / "masks" / "tile_3.png"
    pixels = np.zeros((40, 48, 3), dtype=np.uint8)
    pixels[0, 0] = (1, 2, 3)
    Image.fromarray(pixels).save(mask)
    Image.fromarray(np.full((40, 48), 255, dtype=np.uint8)).save(image_folder / "masks" / "tile_4.png")
    Image.fromarray(np.zeros((40, 40), dtype=np.uint8)).save(image_folder / "masks" / "tile_5.png")
    report = check_dataset(image_folder)
    assert found(report, "error", "tile_3.png", "(1, 2, 3)")
    assert found(report, "error", "tile_4.png", "255 (1920 voxels)")
    assert found(report, "error", "tile_5.png", "expected 40 x 48 rows x columns like the image, found 40 x 40")


def test_a_folder_that_is_no_data_set_is_one_finding(tmp_path: Path) -> None:
    report = check_dataset(tmp_path / "nowhere")
    assert len(report.errors) == 1
    assert report.cases == ()
    assert report.layout == ""


def test_report_can_be_written_as_json_and_shown(nnunet_folder: Path) -> None:
    truncate(nnunet_folder / "imagesTr/case_1_0000.nii.gz")
    report = check_dataset(nnunet_folder)
    assert report.exit_code == 2
    content = json.loads(json.dumps(report.to_json()))
    assert content["errors"][0].keys() == {"severity", "file", "expected", "found", "fix"}
    assert content["cases"][0]["shape"] == [6, 24, 32]
    assert content["splits"]["val"]["liver"] > 0
    text = to_text(report.blocks(), width=200)
    assert "case_1_0000.nii.gz" in text
    assert "6 cases, 1 error, 0 warnings" in text
    assert "unreadable" in text


def test_progress_counts_the_cases(image_folder: Path, reports: list[Report]) -> None:
    check_dataset(image_folder)
    told = [report for report in reports if report[0] == "checking cases"]
    assert told == [("checking cases", done, 10) for done in range(1, 11)]


def test_the_training_that_comes_next_takes_what_was_checked(image_folder: Path) -> None:
    whole = check_dataset(image_folder)
    assert whole.next_step == f"samtailor train {image_folder} --out RUN --time 30m"
    assert whole.next_step in to_text(whole.blocks(), width=200).splitlines()[-1]

    part = check_dataset(image_folder, Selection(fold=1, dataset="none", folds=3))
    assert part.next_step == f"{whole.next_step} --fold 1 --dataset none --folds 3"


def test_nothing_comes_next_where_something_forbids_training(image_folder: Path) -> None:
    next((image_folder / "masks").iterdir()).write_bytes(b"no picture")
    broken = check_dataset(image_folder)
    assert not broken.next_step
    assert "samtailor train" not in to_text(broken.blocks(), width=200)
