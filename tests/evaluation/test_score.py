"""Folders of saved masks, ours and other tools', are scored; what does not fit is named before anything is written."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

import samtailor
from samtailor.cli import main
from samtailor.data.formats import read_geometry, read_image
from samtailor.errors import ConfigError, DataError
from samtailor.evaluation.masks import MaskPair, open_truth, read_pair
from samtailor.labels import LabelSpace
from samtailor.metrics.protocols import FLARE22_CLASSES
from samtailor.settings import WHOLE
from tests.generate import LABELS, affine, picture, volume, write_json, write_volume


def shifted(folder: Path, out: Path, step: int = 1) -> Path:
    """Masks like the labels of a folder, each shifted by some columns."""
    for path in sorted(folder.glob("*.nii.gz")):
        image = nib.load(path)
        write_volume(out / path.name, np.roll(np.asarray(image.dataobj), step, axis=0), image.affine)
    for path in sorted(folder.glob("*.png")):
        out.mkdir(exist_ok=True)
        Image.fromarray(np.roll(np.asarray(Image.open(path)), step, axis=1)).save(out / path.name)
    return out


def test_a_folder_of_masks_is_scored_against_a_folder_of_labels(tmp_path: Path, nnunet_folder: Path) -> None:
    labels = nnunet_folder / "labelsTr"
    masks = shifted(labels, tmp_path / "masks")
    scores = samtailor.score(masks, labels)  # the classes stand in the dataset.json beside the labels
    assert [case.name for case in scores.cases] == [f"case_{n}" for n in range(5)]
    assert scores.metrics == ("dsc", "iou", "nsd", "hd95")
    content = json.loads((masks / "scores" / "metrics.json").read_text())
    assert content["protocol"] == "samtailor"
    assert content["source"] == {"data": "labelsTr", "predictions": "masks"}
    assert set(content["cases"]["case_0"]["liver"]) >= {"dsc", "iou", "nsd", "hd95", "truth_voxels"}
    assert content["rules"]["nsd_tolerance_mm"] == {"liver": 2, "spleen": 2}
    assert sorted(path.name for path in (masks / "scores").iterdir()) == [
        "boxplot.png",
        "metrics.csv",
        "metrics.json",
        "metrics.md",
    ]


def test_a_data_set_gives_split_classes_and_pictures(
    tmp_path: Path, nnunet_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks = shifted(nnunet_folder / "labelsTs", tmp_path / "masks")
    out = tmp_path / "out"
    arguments = [str(masks), str(nnunet_folder), "--split", "test", "--protocol", "nnunet", "--out", str(out)]
    assert main(["score", *arguments]) == 0
    assert "Protocol 'nnunet'" in capsys.readouterr().out
    assert (out / "overlay_best.png").is_file()
    assert json.loads((out / "metrics.json").read_text())["source"]["split"] == "test"


@pytest.mark.parametrize(("folder", "is_data"), [("pictures", True), ("masks", False)])
def test_outlines_beside_images_are_a_data_set_and_beside_masks_nothing(
    folder: str, is_data: bool, tmp_path: Path
) -> None:
    root = tmp_path / folder
    root.mkdir()
    for name in "abc":
        pixels, ids = picture((40, 48), ord(name))
        Image.fromarray(pixels if is_data else ids).save(root / f"{name}.png")
        shapes = [{"label": "field", "points": [[1, 1], [19, 1], [9, 19]]}]
        write_json(root / f"{name}.json", {"shapes": shapes, "imageHeight": 40, "imageWidth": 48})
    truth = open_truth(root, None, WHOLE)
    assert (truth.dataset is not None) is is_data
    assert {case.label.suffix for case in truth.cases if case.label} == {".json" if is_data else ".png"}


@pytest.mark.parametrize(("of_slicer", "other"), [("label", "mask"), ("mask", "label")])
def test_a_segmentation_of_slicer_lies_on_the_other_s_grid_or_is_refused(
    of_slicer: str, other: str, tmp_path: Path
) -> None:
    hu, ids = volume((12, 10, 6), 0)
    folders = {"mask": tmp_path / "predicted", "label": tmp_path / "labels"}
    write_volume(folders[other] / "x.nii.gz", ids)
    write_volume(tmp_path / "x.nii.gz", hu)
    folders[of_slicer].mkdir()
    label = read_image(folders[other] / "x.nii.gz").image[0]
    read_geometry(tmp_path / "x.nii.gz").write_label(folders[of_slicer] / "x.seg.nrrd", label, LABELS)
    write_json(tmp_path / "dataset.json", {"labels": dict(zip(LABELS.names, LABELS.ids, strict=True))})
    samtailor.score(folders["mask"], folders["label"], out=tmp_path / "out")
    content = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert content["mean_without_background"]["dsc"] == 1
    write_volume(folders[other] / "x.nii.gz", ids[:, :, 1:], affine((1, 1, 1)))
    with pytest.raises(DataError, match=rf"x\.seg\.nrrd: expected .* slices x rows x columns like the {other}"):
        samtailor.score(folders["mask"], folders["label"], out=tmp_path / "again")


def test_masks_and_labels_without_a_grid_lie_on_the_image(tmp_path: Path) -> None:
    data, masks = tmp_path / "data", tmp_path / "masks"
    masks.mkdir()
    for name in "abc":
        hu, ids = volume((12, 10, 6), ord(name))
        write_volume(data / f"{name}.nii.gz", hu)
        geometry = read_geometry(data / f"{name}.nii.gz")
        write_volume(tmp_path / f"{name}.nii.gz", ids)
        label = read_image(tmp_path / f"{name}.nii.gz").image[0]
        for folder in (masks, data):
            geometry.write_label(folder / f"{name}.seg.nrrd", label, LABELS)
    write_json(masks / "itk-snap.json", {})  # might be outlines
    scores = samtailor.score(masks, data, "nnunet", tmp_path / "out")
    assert scores.summary("dsc").without_background.value == 1
    (tmp_path / "labels").mkdir()
    for name in "abc":
        (data / f"{name}.seg.nrrd").rename(tmp_path / "labels" / f"{name}.seg.nrrd")
    with pytest.raises(DataError, match=r"a\.seg\.nrrd: expected a mask, or a label, with a grid of its own"):
        samtailor.score(masks, tmp_path / "labels", "nnunet", tmp_path / "again")


def test_cases_measured_at_once_score_as_one_after_the_other(tmp_path: Path, nnunet_folder: Path) -> None:
    masks = shifted(nnunet_folder / "labelsTr", tmp_path / "masks")
    for workers in (1, 3):
        samtailor.score(masks, nnunet_folder / "labelsTr", "flare22", tmp_path / f"{workers}", workers=workers)
    assert (tmp_path / "1" / "metrics.json").read_bytes() == (tmp_path / "3" / "metrics.json").read_bytes()


def test_pictures_are_scored_for_land_cover(tmp_path: Path, image_folder: Path) -> None:
    masks = shifted(image_folder / "masks", tmp_path / "masks")
    out = tmp_path / "out"
    scores = samtailor.score(masks, image_folder, "remote-sensing", out, ignore_background=True)
    assert 0 < scores.overall("miou").value < 1
    assert (out / "confusion.png").is_file()
    content = json.loads((out / "metrics.json").read_text())
    assert set(content["overall"]) == set(content["interval"]["overall"]) >= {"oa", "miou", "mf1", "kappa"}


@pytest.mark.parametrize(("level", "of_label"), [(255, 1), (1, 255), (65535, 1), (65535, 255), (1, 65535)])
def test_masks_of_one_class_may_call_it_as_other_tools_do(level: int, of_label: int, tmp_path: Path) -> None:
    for folder, white in (("labels", of_label), ("masks", level)):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.eye(8, dtype=np.uint16) * white).save(tmp_path / folder / "Misc_1.png")
    write_json(tmp_path / "dataset.json", {"labels": {"background": 0, "target": of_label}})
    scores = samtailor.score(tmp_path / "masks", tmp_path / "labels", "irstd")
    assert [scores.overall(metric).value for metric in ("iou", "niou", "pd", "fa")] == [1, 1, 1, 0]


@pytest.mark.parametrize(
    ("level", "labels"),
    [
        (1, {"background": 0, "target": 2}),
        (255, {"background": 0, "target": 1, "ignore": 255}),
    ],
)
def test_masks_of_what_may_be_another_class_are_refused(level: int, labels: dict[str, int], tmp_path: Path) -> None:
    for folder, pixels in (("labels", np.full((8, 8), labels["target"])), ("masks", np.eye(8) * level)):
        (tmp_path / folder).mkdir()
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / folder / "x.png")
    write_json(tmp_path / "dataset.json", {"labels": labels})
    with pytest.raises(DataError, match=rf"found {level}|pixels of the ignore id"):
        samtailor.score(tmp_path / "masks", tmp_path / "labels")


def test_flare22_implies_its_classes(tmp_path: Path) -> None:
    label = np.zeros((20, 20, 10), np.uint8)
    label[4:9, 4:9, 2:8], label[11:16, 4:9, 2:8] = 1, 13
    for folder in ("labels", "masks"):
        write_volume(tmp_path / folder / "FLARE22_Tr_0001.nii.gz", label)
    scores = samtailor.score(tmp_path / "masks", tmp_path / "labels", "flare22")
    assert scores.labels.names == FLARE22_CLASSES
    assert scores.summary("nsd").without_background.value == 1


def test_our_own_masks_bring_their_classes_and_ids(tmp_path: Path) -> None:
    label = np.zeros((12, 12, 6), np.uint8)
    label[2:6, 2:6, 1:5], label[7:10, 2:6, 1:5] = 1, 2
    write_volume(tmp_path / "labels" / "case.nii.gz", label)
    geometry = read_geometry(tmp_path / "labels" / "case.nii.gz")
    own = LabelSpace(LABELS.names, (0, 5, 9), LABELS.palette)
    (tmp_path / "masks").mkdir()
    write_json(tmp_path / "classes.json", {"classes": list(LABELS.names)})
    pair = MaskPair("case", tmp_path / "masks" / "case.nii.gz", tmp_path / "labels" / "case.nii.gz")
    truth = read_pair(MaskPair("case", pair.label, pair.label), LABELS)[0]
    geometry.write_label(pair.prediction, truth, own)
    scores = samtailor.score(tmp_path / "masks", tmp_path / "labels", classes=str(tmp_path / "classes.json"))
    assert scores.summary("dsc").without_background.value == 1


def test_names_in_a_mask_say_which_of_two_classes_it_is(tmp_path: Path) -> None:
    labels = LabelSpace.from_names(("background", "target"))
    Image.fromarray(np.ones((8, 8), np.uint8)).save(tmp_path / "label.png")
    own = LabelSpace(labels.names, (1, 0), labels.palette)
    read_geometry(tmp_path / "label.png").write_label(tmp_path / "mask.png", np.ones((1, 8, 8), np.int16), own)
    pair = read_pair(MaskPair("x", tmp_path / "mask.png", tmp_path / "label.png"), labels)
    np.testing.assert_array_equal(pair.prediction, pair.truth)


def test_everything_that_does_not_fit_is_named_at_once(
    tmp_path: Path, nnunet_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = nnunet_folder / "labelsTr"
    masks = shifted(labels, tmp_path / "masks")
    (masks / "case_0.nii.gz").rename(masks / "other.nii.gz")
    array = np.zeros((32, 24, 6), np.uint8)
    write_volume(masks / "case_1.nii.gz", array[:, :, :4])
    write_volume(masks / "case_2.nii.gz", array, affine((1.0, 2.0, 5.0)))
    write_volume(masks / "case_3.nii.gz", array, affine(codes="RAS"))
    assert main(["score", str(masks), str(labels), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "5 masks are not as expected, nothing was written" in error
    assert "a mask of case 'case_0', found none" in error
    assert "other.nii.gz: expected a label of that name" in error
    assert "6 x 24 x 32 slices x rows x columns like the label, found 4 x 24 x 32" in error
    assert "like the label, found 5 x 2 x 1 mm" in error
    assert "like the label, found 73 x 24 x 33 mm" in error  # flipped: its first voxel lies elsewhere
    assert not (tmp_path / "out").exists()


def test_a_picture_is_no_mask_of_a_volume(tmp_path: Path) -> None:
    for folder in ("labels", "masks"):
        (tmp_path / folder).mkdir()
    write_volume(tmp_path / "labels" / "case.nii.gz", np.zeros((5, 4, 1), np.uint8))
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / "masks" / "case.png")
    with pytest.raises(DataError, match="expected a volume like the label, found a picture; save the mask in the lab"):
        samtailor.score(tmp_path / "masks", tmp_path / "labels")


def test_ids_that_are_no_class_are_named_for_every_file(tmp_path: Path, nnunet_folder: Path) -> None:
    labels = nnunet_folder / "labelsTr"
    masks = shifted(labels, tmp_path / "masks")
    for name, identifier in (("case_0", 7), ("case_1", 8)):
        array = np.full((32, 24, 6), identifier, np.uint8)
        write_volume(masks / f"{name}.nii.gz", array)
    with pytest.raises(DataError, match=r"2 files(.|\n)*case_0(.|\n)*label ids \[0, 1, 2\], found 7(.|\n)*found 8"):
        samtailor.score(masks, labels, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_masks_of_other_classes_are_refused(tmp_path: Path, nnunet_folder: Path) -> None:
    labels = nnunet_folder / "labelsTs"
    geometry = read_geometry(labels / "case_5.nii.gz")
    (tmp_path / "masks").mkdir()
    space = LabelSpace.from_names(("background", "liver", "kidney"))
    geometry.write_label(tmp_path / "masks" / "case_5.nii.gz", np.zeros(geometry.shape, np.int16), space)
    with pytest.raises(DataError, match="classes background, liver, spleen, found background, liver, kidney"):
        samtailor.score(tmp_path / "masks", labels)


def test_nothing_to_score_and_unknown_classes_are_refused(tmp_path: Path, nnunet_folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"masks \(.nii.gz, .*\) named after their cases, found none"):
        samtailor.score(tmp_path / "empty", nnunet_folder)
    with pytest.raises(DataError, match="no such folder"):
        samtailor.score(tmp_path / "nowhere", nnunet_folder)
    labels = shifted(nnunet_folder / "labelsTr", tmp_path / "labels")
    with pytest.raises(DataError, match=r"neither; give --classes dataset.json"):
        samtailor.score(labels, labels)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"protocol": "flare"}, "protocol: expected one of samtailor, flare22"),
        ({"bootstrap": 0}, "bootstrap: expected a whole number from 1 to 100000; found 0"),
        ({"workers": 0}, "workers: expected a whole number from 1 to 1024; found 0"),
        ({"ignore_background": True}, "expected with the protocol remote-sensing, found 'samtailor'"),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, nnunet_folder: Path, settings: dict, message: str) -> None:
    labels = nnunet_folder / "labelsTr"
    with pytest.raises(ConfigError, match=message):
        samtailor.score(labels, labels, out=tmp_path / "out", **settings)
