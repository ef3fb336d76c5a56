"""Folders without a dataset.json: which files are images and labels, which belong together, which splits they show."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samtailor.data.check import check
from samtailor.data.check_dataset import check_dataset
from samtailor.data.dataset import Dataset, open_dataset
from samtailor.data.formats import read_case, read_geometry
from samtailor.errors import FileError
from tests import generate
from tests.data.formats.dicom.files import laid, write_series

IMAGES = ["a.png", "b.png", "c.png"]


def folder(root: Path, image: str, label: str, names: tuple[str, ...] = ("a", "b", "c")) -> Path:
    """Pictures and masks at these places, '*' standing for each name."""
    for index, name in enumerate(names):
        pixels, ids = generate.picture((16, 20), index)
        for place, array in ((image, pixels), (label, ids)):
            path = root / place.replace("*", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(path)
    return root


def pairs(dataset: Dataset) -> dict[str, tuple[list[str], str]]:
    """Files of each case, relative to the folder."""
    return {
        case.name: (
            [image.relative_to(dataset.root).as_posix() for image in case.images],
            case.label.relative_to(dataset.root).as_posix() if case.label else "",
        )
        for case in dataset.cases
    }


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/*.png", "masks/*.png"),
        ("imgs/*.jpg", "gt/*.png"),
        ("JPEGImages/*.jpg", "SegmentationClass/*.png"),
        ("img/*.png", "labels/*_mask.png"),
        ("images/*.jpg", "annotations/*-labels.png"),
        ("image/*_0000.png", "label/*.png"),
        ("photos/*.png", "ground_truth/*.png"),
        ("*.png", "*_seg.png"),
        ("*.jpg", "*.mask.png"),
        ("*_sat.jpg", "*_mask.png"),
        ("images/*.png", "images/*_gt.png"),
        ("images/x_*_leftImg8bit.png", "labels/x_*_gtFine_labelIds.png"),
        ("frames/*.png", "annots/*_L.png"),
        ("*/image.png", "*/label.png"),
        ("train/images/*.png", "train/masks/*.png"),
        ("images/train/*.png", "labels/train/*.png"),
        ("train_images/*.png", "train_masks/*.png"),
        ("training/*.png", "trainannot/*.png"),
        ("VOC2012/JPEGImages/*.jpg", "VOC2012/SegmentationClass/*.png"),
        ("images_jpg/*.jpg", "labels_png/*.png"),
        ("scan_*/image.png", "scan_*/label.png"),
        ("*/photo.png", "*/mask.png"),
        ("*/images/photo.png", "*/gt/seg.png"),
        ("images/*.bmp", "masks/*.bmp"),
        ("images/*.webp", "masks/*.png"),
    ],
)
def test_images_and_labels_are_found_by_their_names(image: str, label: str, tmp_path: Path) -> None:
    dataset = open_dataset(folder(tmp_path, image, label))
    assert dataset.layout == "inferred"
    assert list(pairs(dataset).values()) == [([image.replace("*", name)], label.replace("*", name)) for name in "abc"]
    assert [case.name[-1] for case in dataset.cases] == ["a", "b", "c"]
    assert dataset.labels.names == ("background", "class 1", "class 2")
    assert not dataset.remarks


@pytest.mark.parametrize(("image", "label"), [("img*.png", "label*.png"), ("volume-*.png", "segmentation-*.png")])
def test_words_before_a_number_tell_images_and_labels_apart(image: str, label: str, tmp_path: Path) -> None:
    dataset = open_dataset(folder(tmp_path, image, label, ("01", "02")))
    assert [case.name for case in dataset.cases] == ["01", "02"]
    assert pairs(dataset)["02"] == ([image.replace("*", "02")], label.replace("*", "02"))


@pytest.mark.parametrize(
    ("image", "label", "names", "case"),
    [
        ("images/brain_image_*.png", "masks/brain_mask_*.png", "12", "brain_{}"),
        ("x_img*.png", "x_seg*.png", ("01", "02"), "x_{}"),
        ("images/tumor_*.png", "masks/tumor_mask_*.png", ("100", "101"), "tumor_{}"),
        ("images/*.png", "masks/*_mask1.png", ("1", "11"), "{}"),
    ],
)
def test_a_number_behind_the_word_is_the_cases_where_there_are_such_cases(
    image: str, label: str, names: Sequence[str], case: str, tmp_path: Path
) -> None:
    dataset = open_dataset(folder(tmp_path, image, label, tuple(names)))
    assert pairs(dataset) == {
        case.format(name): ([image.replace("*", name)], label.replace("*", name)) for name in names
    }


def test_folders_and_lists_show_splits(tmp_path: Path) -> None:
    for part, names in (("train", ("1", "2")), ("val", ("1",)), ("test", ("3",))):
        folder(tmp_path / "a", f"leftImg8bit/{part}/city/*_leftImg8bit.png", f"gtFine/{part}/city/*_gtFine.png", names)
    splits = open_dataset(tmp_path / "a").splits
    assert splits == {"test": ("test-city-3",), "train": ("train-city-1", "train-city-2"), "val": ("val-city-1",)}
    root = folder(tmp_path / "b", "JPEGImages/*.jpg", "SegmentationClass/*.png")
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nnobody\nc.jpg\n")
    (lists / "val.txt").write_text("b\n")
    assert open_dataset(root).splits == {"train": ("a", "c"), "val": ("b",)}
    assert not open_dataset(root).remarks


def test_lists_name_cases_by_files_too(tmp_path: Path) -> None:
    root = folder(tmp_path, "images/*.png", "masks/*.png", ("s1/0", "s2/0", "s2/pic 3", "s2/4"))
    (root / "train.txt").write_text("s1/0.png\nimages/s2/pic 3.png\n")
    (root / "test.txt").write_text("s2/0 -1\n")
    (root / "val.txt").write_text("4\n")
    dataset = open_dataset(root)
    assert {case.name for case in dataset.cases} == {"s1-0", "s2-0", "s2-pic 3", "s2-4"}
    assert dataset.splits == {"train": ("s1-0", "s2-pic 3"), "test": ("s2-0",)}
    (warning,) = (finding for finding in check(root).findings if "val.txt" in finding.file)
    assert (warning.severity, warning.found) == ("warning", "none, in 1 line such as '4'")


def test_a_folder_for_testing_beside_images_and_masks_stays_for_testing(tmp_path: Path) -> None:
    folder(tmp_path, "images/*.png", "masks/*.png", tuple(f"a{n}" for n in range(8)))
    folder(tmp_path, "test/images/*.png", "test/masks/*.png", ("t0", "t1"))
    dataset = open_dataset(tmp_path).with_default_split()
    assert dataset.splits["test"] == ("t0", "t1")
    assert sum(map(len, dataset.splits.values())) == 10
    assert not dataset.remarks


def test_a_folder_that_names_no_split_beside_those_that_do_is_in_none_with_a_word(tmp_path: Path) -> None:
    for split, names in (("train", ("a", "b", "c", "d", "e")), ("test", ("f",)), ("holdout", ("g", "h"))):
        folder(tmp_path, f"{split}/images/*.png", f"{split}/masks/*.png", names)
    dataset = open_dataset(tmp_path)
    assert dataset.with_default_split().splits["test"] == ("f",)
    named = {name for names in dataset.with_default_split().splits.values() for name in names}
    assert named == {"a", "b", "c", "d", "e", "f"}
    assert any("g, h" in finding.found for finding in check_dataset(tmp_path).warnings)


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        (
            {"test": "ab", "ImageSets/Segmentation/train": "abcd", "ImageSets/Segmentation/val": "ef"},
            {"train": "abcd", "val": "ef"},
        ),
        ({"trainval": "abcd", "test": "ef"}, {"train": "abcd", "test": "ef"}),
        ({"trainval": "abcd", "val": "cd", "test": "ef"}, {"train": "ab", "val": "cd", "test": "ef"}),
        ({"test": "ef"}, {"test": "ef"}),
    ],
)
def test_lists_of_tested_cases_alone_and_of_two_splits_in_one(
    lists: dict[str, str], expected: dict[str, str], tmp_path: Path
) -> None:
    folder(tmp_path, "img/*.png", "mask/*.png", tuple("abcdef"))
    (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
    for name, cases in lists.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(cases))
    assert open_dataset(tmp_path).splits == {split: tuple(cases) for split, cases in expected.items()}


@pytest.mark.parametrize(
    "name", ["BraTS2021_0000*", "BraTS-GLI-0000*-000", "KiTS23/case_0000*", "LiTS/*", "PanTS/case-*"]
)
def test_names_of_data_sets_say_no_split(name: str, tmp_path: Path) -> None:
    folder(tmp_path, f"{name}/x_image.png", f"{name}/x_seg.png", tuple("123"))
    assert open_dataset(tmp_path).splits == {}


def test_training_cases_without_others_give_some_for_validation(tmp_path: Path) -> None:
    folder(tmp_path, "train/images/*.png", "train/masks/*.png", tuple("abcdefgh"))
    folder(tmp_path, "test/images/*.png", "test/masks/*.png", ("x",))
    splits = open_dataset(tmp_path).with_default_split().splits
    assert {name: len(part) for name, part in splits.items()} == {"train": 7, "val": 1, "test": 1}
    assert splits == open_dataset(tmp_path).with_default_split().splits
    assert "7 train, 1 val, 1 test: test as the folder shows; drawn" in check(tmp_path).facts["splits"]


def test_a_folder_of_training_cases_alone_shows_no_split(tmp_path: Path) -> None:
    folder(tmp_path, "train/images/*.png", "train/masks/*.png", tuple("abcdefgh"))
    assert not open_dataset(tmp_path).splits
    assert set(open_dataset(tmp_path).with_default_split().splits) == {"train", "val", "test"}


def test_drawings_and_numbers_of_objects_are_no_labels(tmp_path: Path) -> None:
    root = folder(tmp_path, "images/*.png", "gtFine/*_gtFine_labelIds.png")
    for kind in ("gtFine_color", "gtFine_instanceIds", "gtFine_labelTrainIds"):
        folder(root, "images/*.png", f"gtFine/*_{kind}.png")
    folder(root, "images/*.png", "SegmentationObject/*.png")
    assert pairs(open_dataset(root))["a"][1] == "gtFine/a_gtFine_labelIds.png"


def test_what_belongs_to_nothing_is_left_out_and_told(tmp_path: Path) -> None:
    root = folder(tmp_path, "images/*.png", "masks/*.png")
    (root / "masks" / "a.png").unlink()
    (root / "images" / "b.png").unlink()
    dataset = open_dataset(root)
    assert [case.name for case in dataset.cases] == ["c"]
    told = " ".join(map(str, dataset.remarks))
    assert "1 without: images/a.png" in told
    assert "1 without: masks/b.png" in told


def test_what_cannot_be_read_is_told_where_images_and_labels_lie(tmp_path: Path) -> None:
    root = folder(tmp_path, "imgs/*.png", "gt/*.png")
    for name in ("imgs/d.gif", "imgs/e.npy", "gt/d.gif", "readme.md", "notes/f.gif"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    (root / "imgs" / "old").mkdir()
    told = {Path(remark.file).name: remark for remark in open_dataset(root).remarks}
    assert {name: remark.found for name, remark in told.items()} == {
        "imgs": "2 others, which are passed over: d.gif, e.npy",
        "gt": "1 others, which are passed over: d.gif",
    }
    assert {remark.expected for remark in told.values()} == {"files of the kinds .png"}
    for path in [*(root / "imgs").glob("*.png"), *(root / "gt").glob("*.png")]:
        path.rename(path.with_suffix(".npy"))
    folder(root, "imgs/*.png", "imgs/*.png")
    with pytest.raises(FileError, match=r"found 3 images and 0 labels; beside them 7 \.npy, 3 \.gif"):
        open_dataset(root)


@pytest.mark.parametrize("places", [("imgs/{}.png", "gt/{}.png", "{}.json"), ("{}.png", "{}_mask.png", "{}.json")])
def test_masks_count_before_the_outlines_that_they_were_made_of(places: tuple[str, str, str], tmp_path: Path) -> None:
    image, mask, outline = places
    root = folder(tmp_path, image.format("*"), mask.format("*"))
    shapes = [{"label": "cat", "points": [[1, 1], [9, 1], [9, 9]]}]
    for name in "abc":
        generate.write_json(root / outline.format(name), {"shapes": shapes})
    dataset = open_dataset(root)
    assert [label for _, label in pairs(dataset).values()] == [mask.format(name) for name in "abc"]
    assert not dataset.remarks
    (root / mask.format("b")).unlink()
    left = open_dataset(root)
    assert [label for _, label in pairs(left).values()] == [mask.format("a"), mask.format("c")]
    assert [remark.found for remark in left.remarks] == ["1 with outlines only, which are left out: b.json"]
    generate.write_json(root / "dataset.json", {"classes": ["background", "cat", "dog"]})
    expected = [mask.format("a"), outline.format("b"), mask.format("c")]
    assert [label for _, label in pairs(open_dataset(root)).values()] == expected


@pytest.mark.parametrize(("suffix", "text"), [("json", '{"shapes": []}'), ("txt", "0 0.5 0.5 0.2 0.2")])
def test_an_image_folder_may_hold_outlines_beside_its_masks(suffix: str, text: str, image_folder: Path) -> None:
    before = pairs(open_dataset(image_folder))
    for mask in sorted((image_folder / "masks").iterdir()):
        mask.with_suffix(f".{suffix}").write_text(text)
    dataset = open_dataset(image_folder)
    assert (dataset.layout, pairs(dataset)) == ("images", before)
    assert f"passed over: tile_0.{suffix}" in dataset.remarks[0].found
    (image_folder / "masks" / "tile_1.png").unlink()
    assert pairs(open_dataset(image_folder))["tile_1"][1] == f"masks/tile_1.{suffix}"


def test_short_words_say_a_split_where_they_are_words(tmp_path: Path) -> None:
    for split, names in (("dataTr", ("a", "b", "c")), ("dataTs", ("d", "e"))):
        folder(tmp_path, f"{split}/images/*.png", f"{split}/masks/*.png", names)
    assert open_dataset(tmp_path).splits["test"] == ("d", "e")
    brats = folder(tmp_path / "brats", "BraTS_images/*.png", "BraTS_labels/*.png")
    assert open_dataset(brats).splits == {}


@pytest.mark.parametrize("fov", ["mask/*_mask.tif", "mask/*.tif"])
def test_labels_of_two_kinds_are_an_error(fov: str, tmp_path: Path) -> None:
    """HRF: the vessels, and what the camera sees."""
    folder(tmp_path, "images/*_dr.jpg", "manual1/*_dr.tif", ("01", "02", "03"))
    folder(tmp_path, "images/*_dr.jpg", fov.replace("*", "*_dr"), ("01", "02", "03"))
    (error,) = (remark for remark in open_dataset(tmp_path).remarks if remark.severity == "error")
    assert error.expected == "one label of '01_dr.jpg'"
    assert "mask/01_dr" in error.found
    assert "manual1/01_dr.tif" in error.found


@pytest.mark.parametrize(
    ("image", "label", "more"),
    [
        ("siteA/images/*.png", "siteA/masks/*.png", "siteB/masks/*.png"),
        ("p*/image.png", "p*/image_mask.png", "q*/image_mask.png"),
        ("images/*.png", "masks/*.png", "masks_rgb/*.png"),
        ("JPEGImages/*.jpg", "SegmentationClass/*.png", "SegmentationClassVisualization/*.jpg"),
    ],
)
def test_labels_elsewhere_and_drawings_are_no_second_labels(image: str, label: str, more: str, tmp_path: Path) -> None:
    folder(tmp_path, image, label, ("1", "2", "3"))
    folder(tmp_path, more, more, ("1", "2"))
    dataset = open_dataset(tmp_path)
    assert len(dataset.cases) == 3
    assert not [remark for remark in dataset.remarks if remark.severity == "error"]


@pytest.mark.parametrize("inner", ["Dataset001", "D/E"])
@pytest.mark.parametrize("what", ["dataset.json", "ImageSets/Segmentation/train.txt"])
def test_a_folder_around_one_that_describes_itself_is_refused_with_its_name(
    inner: str, what: str, tmp_path: Path
) -> None:
    root = folder(tmp_path / inner, "images/*.png", "masks/*.png")
    assert open_dataset(tmp_path).cases  # nothing is said there that would be lost
    (root / what).parent.mkdir(parents=True, exist_ok=True)
    (root / what).write_text('{"classes": ["background", "field", "water"]}' if what == "dataset.json" else "a\nb\n")
    with pytest.raises(FileError, match=f"give .*{inner}"):
        open_dataset(tmp_path)
    assert open_dataset(root).cases


def test_several_labels_of_an_image_are_refused(tmp_path: Path) -> None:
    root = folder(tmp_path, "*.png", "*_mask.png")
    shutil.copy(root / "a_mask.png", root / "a_mask_1.png")
    with pytest.raises(FileError, match=r"one label of 'a', found a_mask\.png and a_mask_1\.png; merge them"):
        open_dataset(root)
    raters = folder(folder(tmp_path / "raters", "*.png", "masks/one/*.png"), "*.png", "masks/two/*.png")
    with pytest.raises(
        FileError, match=r"raters/masks: .* found one/a\.png and two/a\.png; merge them if .*leave one folder"
    ):
        open_dataset(raters)
    other = folder(tmp_path / "outlines", "*.png", "*.png")
    (other / "a.json").write_text('{"shapes": []}')
    (other / "a.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5")
    with pytest.raises(FileError, match=r"one label of 'a', found a\.json and a\.txt; rename or remove one of them"):
        open_dataset(other)


def test_images_without_any_labels_are_refused_with_the_names_that_are_known(tmp_path: Path) -> None:
    folder(tmp_path, "photos/*.png", "pictures/*.png")
    with pytest.raises(
        FileError, match=r"images and masks \(or imgs.*of photos/a\.png and pictures/a\.png no name"
    ) as error:
        open_dataset(tmp_path)
    assert "dataset.json" in str(error.value)


def volumes(root: Path, *names: str) -> None:
    for index, name in enumerate(names):
        hu, ids = generate.volume((12, 10, 4), index)
        is_label = "seg" in name or "label" in name
        generate.write_volume(root / f"{name}.nii.gz", ids if is_label else hu)


def test_volumes_have_channels_by_what_their_names_end_with(tmp_path: Path) -> None:
    volumes(tmp_path, *(f"{case}/{case}_{kind}" for case in ("p1", "p2") for kind in ("t1", "flair", "seg")))
    dataset = open_dataset(tmp_path)
    assert (dataset.channels, dataset.bits) == (("flair", "t1"), None)
    assert pairs(dataset)["p1"] == (["p1/p1_flair.nii.gz", "p1/p1_t1.nii.gz"], "p1/p1_seg.nii.gz")


def test_volumes_have_the_channels_that_lie_in_one_file(tmp_path: Path) -> None:
    for index in range(3):
        hu, ids = generate.volume((12, 10, 4), index)
        generate.write_volume(tmp_path / "images" / f"{index}.nii.gz", np.stack([hu, hu, hu + 1], axis=-1))
        generate.write_volume(tmp_path / "labels" / f"{index}.nii.gz", ids)
    assert open_dataset(tmp_path).channels == ("channel 0", "channel 1", "channel 2")
    assert not check_dataset(tmp_path).errors


def test_a_folder_for_each_case_needs_no_names(tmp_path: Path) -> None:
    volumes(tmp_path / "a", *(f"p{case}/{name}" for case in (1, 2) for name in ("ct", "pet", "seg")))
    dataset = open_dataset(tmp_path / "a")
    assert dataset.channels == ("ct", "pet")
    assert dataset.told["channels"] == "ct by its window, pet by percentiles"
    assert pairs(dataset) == {f"p{n}": ([f"p{n}/ct.nii.gz", f"p{n}/pet.nii.gz"], f"p{n}/seg.nii.gz") for n in (1, 2)}
    volumes(tmp_path / "b", "scan_1/volume", "scan_1/label", "scan_2/volume", "scan_2/label")
    assert list(pairs(open_dataset(tmp_path / "b"))) == ["1", "2"]
    assert open_dataset(tmp_path / "b").channels == ("image",)
    volumes(tmp_path / "d", "p1/ct", "p1/seg", "p2/ct", "p2/seg")
    assert open_dataset(tmp_path / "d").channels == ("CT",)
    assert open_dataset(tmp_path / "d").told["channels"] == "CT by its window"
    assert "take --intensity.kind window" in open_dataset(tmp_path / "b").told["channels"]
    write_series(tmp_path / "c" / "p1" / "dicom", *laid(generate.volume((12, 10, 4), 0)[0]))
    volumes(tmp_path / "c", "p1/label")
    dicom = open_dataset(tmp_path / "c")
    assert pairs(dicom) == {"p1": (["p1/dicom"], "p1/label.nii.gz")}
    assert (dicom.channels, dicom.told["channels"]) == (("CT",), "CT by its window")


@pytest.mark.parametrize("label", ["{}.seg.dcm", "{}/seg.dcm"])
def test_dicom_series_and_segmentations_need_no_names_of_classes(label: str, tmp_path: Path) -> None:
    series = "{}" if label == "{}.seg.dcm" else "{}/ct"
    for index, name in enumerate(("a", "b", "c")):
        hu, ids = generate.volume((4, 10, 12), index)
        path, target = tmp_path / series.format(name), tmp_path / label.format(name)
        write_series(path, *laid(hu))
        read_geometry(path).write_label(tmp_path / "x.seg.dcm", ids.astype(np.int16), generate.LABELS)
        (tmp_path / "x.seg.dcm").rename(target)
    dataset = open_dataset(tmp_path)
    assert dataset.labels.names == generate.LABELS.names
    assert pairs(dataset)["b"] == ([series.format("b")], label.format("b"))
    case = read_case(dataset.cases[1], dataset.labels)
    assert case.label is not None
    np.testing.assert_array_equal(np.unique(case.label), np.unique(generate.volume((4, 10, 12), 1)[1]))


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("a/rs.dcm", r"a/rs\.dcm: expected a DICOM segmentation, found a structure set; .*convert it"),
        ("labels/a.dcm", r"labels/a\.dcm: expected a DICOM segmentation, found a structure set; .*convert it"),
        ("a/ct/rs.dcm", r"a/ct/rs\.dcm: expected a DICOM segmentation, found a structure set; .*convert it"),
        ("a/ct/label.nii.gz", r"a/ct: expected slices .* found also label\.nii\.gz; move these, or the slices"),
    ],
)
def test_labels_that_are_not_read_or_not_looked_for_are_named(place: str, words: str, tmp_path: Path) -> None:
    hu, ids = generate.volume((4, 10, 12), 0)
    series = tmp_path / ("images/a" if "labels" in place else "a/ct")
    write_series(series, *laid(hu))
    label = tmp_path / place
    label.parent.mkdir(exist_ok=True)
    written = label.with_name("x.rtstruct.dcm" if label.suffix == ".dcm" else "x.nii.gz")
    read_geometry(series).write_label(written, ids.astype(np.int16), generate.LABELS)
    written.rename(label)
    with pytest.raises(FileError, match=words):
        open_dataset(tmp_path)


def test_images_that_are_called_otherwise_in_each_folder_are_refused(tmp_path: Path) -> None:
    volumes(tmp_path, "p1/ct", "p1/seg", "p2/mr", "p2/seg")
    with pytest.raises(FileError, match="2 images and 2 labels"):
        open_dataset(tmp_path)


def test_pictures_beside_one_label_are_not_its_channels(tmp_path: Path) -> None:
    folder(folder(tmp_path, "*/left.png", "*/mask.png"), "*/right.png", "*/mask.png")
    with pytest.raises(FileError, match="6 images and 3 labels"):
        open_dataset(tmp_path)


def test_a_missing_channel_is_named(tmp_path: Path) -> None:
    volumes(tmp_path, *(f"{case}_{kind}" for case in ("p1", "p2", "p3") for kind in ("t1", "t2", "seg")))
    (tmp_path / "p2_t2.nii.gz").unlink()
    with pytest.raises(FileError, match=r"p2_seg.*images of 'p2' that end with _t1, _t2 as others do, found _t1"):
        open_dataset(tmp_path)


def test_pictures_of_several_endings_are_not_taken_for_channels(tmp_path: Path) -> None:
    root = folder(folder(tmp_path, "images/*_left.png", "labels/*.png"), "images/*_right.png", "labels/*.png")
    with pytest.raises(FileError, match="6 images and 3 labels"):
        open_dataset(root)


def test_volumes_side_by_side_and_in_folders(tmp_path: Path) -> None:
    volumes(tmp_path / "a", "x", "x_seg", "y", "y_seg")
    assert [case.name for case in open_dataset(tmp_path / "a").cases] == ["x", "y"]
    volumes(tmp_path / "b", "images/x_0000", "images/x_0001", "labels/x")
    dataset = open_dataset(tmp_path / "b")
    assert dataset.channels == ("channel 0", "channel 1")
    assert len(dataset.cases[0].images) == 2


def test_pictures_and_volumes_do_not_mix(tmp_path: Path) -> None:
    volumes(tmp_path, "x", "x_seg")
    folder(tmp_path, "*.png", "*_mask.png")
    with pytest.raises(FileError, match="pictures or volumes, found"):
        open_dataset(tmp_path)


def test_nnunets_folders_need_no_dataset_json(nnunet_folder: Path) -> None:
    before = pairs(open_dataset(nnunet_folder))
    (nnunet_folder / "dataset.json").unlink()
    dataset = open_dataset(nnunet_folder)
    assert pairs(dataset) == before
    assert dataset.labels.ids == (0, 1, 2)


def test_a_dataset_json_of_classes_alone_leaves_the_rest_to_names(tmp_path: Path) -> None:
    root = folder(tmp_path, "imgs/*.png", "gt/*.png")
    generate.write_json(root / "dataset.json", {"classes": ["nothing", "field", "lake"], "splits": {"train": ["a"]}})
    dataset = open_dataset(root)
    assert dataset.labels.names == ("nothing", "field", "lake")
    assert dataset.splits == {"train": ("a",)}
    assert len(dataset.cases) == 3


@pytest.mark.parametrize(
    ("image", "label"), [("images/train/*.png", "masks/train/*.png"), ("images/*.png", "masks/*_mask.png")]
)
def test_a_dataset_json_of_classes_alone_leaves_other_places_in_images_and_masks_to_names(
    image: str, label: str, tmp_path: Path
) -> None:
    root = folder(tmp_path, image, label)
    generate.write_json(root / "dataset.json", {"classes": ["nothing", "field", "lake"]})
    dataset = open_dataset(root)
    assert (dataset.layout, dataset.labels.names) == ("inferred", ("nothing", "field", "lake"))
    assert pairs(dataset)["a"] == ([image.replace("*", "a")], label.replace("*", "a"))


def test_damaged_masks_are_left_to_the_check(tmp_path: Path) -> None:
    root = folder(tmp_path, "imgs/*.png", "gt/*.png")
    (root / "gt" / "b.png").write_bytes(b"no picture")
    report = check(root)
    assert [Path(finding.file).name for finding in report.errors] == ["b.png"]
    for mask in (root / "gt").iterdir():
        mask.write_bytes(b"no picture")
    (finding,) = check(root).errors
    assert Path(finding.file).name == "a.png"


def test_links_are_followed_but_not_in_a_circle(tmp_path: Path) -> None:
    root = folder(tmp_path / "data", "images/*.png", "masks/*.png")
    (root / "images").rename(tmp_path / "elsewhere")
    (root / "images").symlink_to(tmp_path / "elsewhere")
    (root / "up").symlink_to(root)
    assert len(open_dataset(root).cases) == 3


def test_masks_of_nothing_are_refused(tmp_path: Path) -> None:
    root = folder(tmp_path, "imgs/*.png", "gt/*.png")
    for mask in (root / "gt").iterdir():
        Image.fromarray(np.zeros((16, 20), np.uint8)).save(mask)
    with pytest.raises(FileError, match="others than 0, found none in 3 labels"):
        open_dataset(root)
