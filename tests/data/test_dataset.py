"""Opening labelled folders: both layouts, their variants, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from samtailor.data.check import check
from samtailor.data.dataset import open_dataset
from samtailor.data.formats import read_case
from samtailor.errors import DataError, FileError
from samtailor.labels import LabelSpace
from tests import generate


def rewrite(root: Path, **changes: Any) -> None:
    """Change entries of dataset.json; None removes one."""
    content = json.loads((root / "dataset.json").read_text()) | changes
    generate.write_json(root / "dataset.json", {k: v for k, v in content.items() if v is not None})


def test_nnunet_folder_gives_classes_channels_cases_and_splits(nnunet_folder: Path) -> None:
    dataset = open_dataset(nnunet_folder)
    assert dataset.layout == "nnunet"
    assert dataset.labels == generate.LABELS
    assert dataset.channels == ("CT",)
    assert dataset.bits is None
    assert dataset.orphans == ()
    assert [case.name for case in dataset.split("train")] == [f"case_{i}" for i in range(4)]
    assert [case.name for case in dataset.split("val")] == ["case_4"]
    assert dataset.held_out == "test"
    test = dataset.split("test")[0]
    assert test.images == (nnunet_folder / "imagesTs" / "case_5_0000.nii.gz",)
    assert test.label == nnunet_folder / "labelsTs" / "case_5.nii.gz"


def test_image_folder_gives_classes_palette_channels_and_bits(image_folder: Path) -> None:
    dataset = open_dataset(image_folder)
    assert dataset.layout == "images"
    assert dataset.labels.palette == generate.PICTURE_PALETTE
    assert dataset.channels == ("R", "G", "B")
    assert dataset.bits == 8
    assert dataset.splits == {}
    assert dataset.held_out == "val"
    assert len(dataset.cases) == 10


def test_decathlon_json_lists_files_and_maps_ids_to_names(nnunet_folder: Path) -> None:
    (nnunet_folder / "splits_final.json").unlink()
    for folder in ("imagesTs", "labelsTs"):
        shutil.rmtree(nnunet_folder / folder)
    for image in (nnunet_folder / "imagesTr").iterdir():
        image.rename(image.with_name(image.name.replace("_0000", "")))
    names = [f"case_{index}" for index in range(5)]
    entries = [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in names]
    labels = {"0": "background", "1": "liver", "2": "spleen"}
    content = {"modality": {"0": "CT"}, "labels": labels, "training": entries}
    generate.write_json(nnunet_folder / "dataset.json", content)
    dataset = open_dataset(nnunet_folder)
    assert dataset.labels == generate.LABELS
    assert [case.name for case in dataset.cases] == names
    assert all(case.label and case.images[0].is_file() for case in dataset.cases)
    assert dataset.orphans == ()


@pytest.mark.parametrize("is_listed", [False, True])
@pytest.mark.parametrize("folder", ["Va", "Val"])
def test_a_folder_of_cases_for_validation_is_taken_for_that(folder: str, is_listed: bool, nnunet_folder: Path) -> None:
    """As AMOS, whose files have no numbers of channels, and WORD have it."""
    (nnunet_folder / "splits_final.json").unlink()
    for kind in ("images", "labels"):
        (nnunet_folder / f"{kind}{folder}").mkdir()
        for index in (3, 4):
            (file,) = (nnunet_folder / f"{kind}Tr").glob(f"case_{index}*")
            name = file.name.replace("_0000", "") if is_listed else file.name
            file.rename(nnunet_folder / f"{kind}{folder}" / name)
    if is_listed:
        entries = [{"image": f"./imagesTr/case_{n}.nii.gz", "label": f"./labelsTr/case_{n}.nii.gz"} for n in range(3)]
        rewrite(nnunet_folder, training=entries, validation=["whatever"])
    dataset = open_dataset(nnunet_folder)
    assert dataset.splits == {"val": ("case_3", "case_4"), "test": ("case_5",)}
    assert dataset.with_default_split().splits["val"] == ("case_3", "case_4")
    assert dataset.orphans == ()
    folds, _ = dataset.folds(3)
    assert {name for fold in folds for names in fold.values() for name in names} == {"case_0", "case_1", "case_2"}


def test_cases_that_are_listed_for_validation_are_that(nnunet_folder: Path) -> None:
    """As MONAI lists them, beside the training cases or among them."""
    (nnunet_folder / "splits_final.json").unlink()
    entries = [{"image": f"imagesTr/case_{n}_0000.nii.gz", "label": f"./labelsTr/case_{n}.nii.gz"} for n in range(5)]
    rewrite(nnunet_folder, training=entries[:4], validation=entries[3:], numTraining=4)
    report = check(nnunet_folder)
    assert not report.findings
    assert [case.name for case in report.cases if case.split == "val"] == ["case_3_0000", "case_4_0000"]


def test_pictures_in_nnunets_folders_are_told_by_names(tmp_path: Path) -> None:
    for index in range(3):
        pixels, ids = generate.picture((16, 20), index)
        for place, array in ((f"imagesTr/c_{index}_0000.png", pixels), (f"labelsTr/c_{index}.png", ids)):
            (tmp_path / place).parent.mkdir(exist_ok=True)
            Image.fromarray(array).save(tmp_path / place)
    labels = {"background": 0, "field": 1, "lake": 2}
    content = {"channel_names": {"0": "R"}, "labels": labels, "numTraining": 3, "file_ending": ".png"}
    generate.write_json(tmp_path / "dataset.json", content)
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, dataset.labels.names) == ("inferred", tuple(labels))
    assert [case.name for case in dataset.cases] == ["c_0", "c_1", "c_2"]


def test_nnunets_first_version_lists_names_without_channel(nnunet_folder: Path) -> None:
    entries = [{"image": f"./imagesTr/case_{i}.nii.gz", "label": f"./labelsTr/case_{i}.nii.gz"} for i in range(5)]
    rewrite(nnunet_folder, training=entries, modality={"0": "CT"}, channel_names=None)
    assert open_dataset(nnunet_folder).cases[0].images[0].name == "case_0_0000.nii.gz"


def test_label_named_ignore_is_the_ignore_id(nnunet_folder: Path) -> None:
    rewrite(nnunet_folder, labels={"background": 0, "liver": 1, "spleen": 2, "ignore": 3})
    labels = open_dataset(nnunet_folder).labels
    assert labels.names == ("background", "liver", "spleen")
    assert labels.ignore_id == 3


def test_files_that_belong_to_no_case_are_named(nnunet_folder: Path) -> None:
    stray = nnunet_folder / "labelsTr" / "nobody.nii.gz"
    shutil.copy(nnunet_folder / "labelsTr" / "case_0.nii.gz", stray)
    second = nnunet_folder / "imagesTr" / "case_0_0001.nii.gz"
    shutil.copy(nnunet_folder / "imagesTr" / "case_0_0000.nii.gz", second)
    (nnunet_folder / "imagesTr" / "._case_0_0000.nii.gz").touch()
    assert set(open_dataset(nnunet_folder).orphans) == {stray, second}
    assert len(open_dataset(nnunet_folder).cases) == 6


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": {"background": 0, "organs": [1, 2]}}, "region-based"),
        ({"labels": {"background": 0, "liver": "one"}}, "integer ids"),
        ({"labels": {"background": 0, "liver": 1.0}}, "integer ids"),
        ({"labels": {"background": 0, "liver": True}}, "integer ids"),
        ({"labels": {"background": 0, "liver": "1"}}, "integer ids"),
        ({"labels": ["background", "liver"]}, "labels"),
        ({"labels": {"background": 0, "liver": 1, "spleen": 1}}, "id occurs twice"),
        ({"labels": {"background": 0, "liver": -1}}, "background with id 0"),
        ({"labels": {"background": 0, "liver": 10**12}}, "to 2147483647; found .*1000000000000"),
        ({"labels": {"background": 0, "liver": 1, "ignore": -(10**12)}}, "to 2147483647"),
        ({"labels": {"0": "background", "1": "liver", "2": "liver"}}, "a name of its own"),
        ({"labels": {"0": "background", "9" * 5000: "liver"}}, "integer ids"),
        ({"labels": {"0": "background", "²": "liver"}}, "integer ids"),
        ({"file_ending": [".nii.gz"]}, "convert the files"),
        ({"channel_names": ["CT"]}, "number the channels from 0"),
        ({"training": [{"image": 3}]}, "image and label"),
        ({"labels": {"liver": 1, "spleen": 2}}, "background with id 0"),
        ({"labels": None}, "labels"),
        ({"channel_names": None}, "channel_names"),
        ({"channel_names": {"1": "CT"}}, "number the channels from 0"),
        ({"file_ending": ".mnc"}, "convert the files"),
        ({"training": ["x"]}, "image and label"),
    ],
)
def test_nnunet_json_is_refused_with_the_reason(nnunet_folder: Path, changes: dict[str, Any], words: str) -> None:
    rewrite(nnunet_folder, **changes)
    with pytest.raises(DataError, match=words) as error:
        open_dataset(nnunet_folder)
    assert "dataset.json" in str(error.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": ["background"]}, "at least two names"),
        ({"classes": None}, "at least two names"),
        ({"palette": [[0, 0, 0]]}, "palette: 3 times"),
        ({"palette": [[0, 0, 0], [9, 9, 9], [9, 9, 9]]}, "make them distinct"),
        ({"palette": [[0, 0, 0], [9, 9, 9], [9, 9, 300]]}, "in 0..255"),
        ({"ids": [0, 1]}, "3 integers"),
        ({"ids": [0, 1, 1]}, "twice"),
        ({"ids": [0, 1, 2.0]}, "3 integers"),
        ({"ids": [0, 1, 10**12]}, "3 integers"),
        ({"ids": [0, 1, -1]}, "3 integers"),
        ({"classes": ["background", "field", "field"]}, "twice"),
        ({"classes": {"background": 0}}, "at least two names"),
        ({"ignore_index": -1}, "up to 65535"),
        ({"ignore_index": 10**12}, "up to 65535"),
        ({"ignore_index": "255"}, "up to 65535"),
        ({"ignore_index": 1}, "no class's id"),
        ({"splits": {"training": []}}, "train, val and test"),
        ({"splits": {"train": "tile_0"}}, "list of case names"),
        ({"bands": []}, "bands: a name of its own for each"),
        ({"bands": ["red", "red"]}, "bands: a name of its own for each"),
        ({"bands": ["red", 4]}, "bands: a name of its own for each"),
        ({"bands": "red"}, "bands: a name of its own for each"),
        ({"bands": ["red", "nir"], "use_bands": ["nir", "green"]}, "use_bands: names .* numbers from 1 to 2"),
        ({"bands": ["red", "nir"], "use_bands": ["nir", 2]}, "use_bands: .*each once"),
        ({"bands": ["red", "nir"], "use_bands": [3]}, "numbers from 1 to 2"),
        ({"use_bands": ["nir"]}, "use_bands: names of bands, or their numbers from 1,"),
        ({"use_bands": [0, 1]}, "use_bands"),
        ({"use_bands": [True]}, "use_bands"),
        ({"use_bands": []}, "use_bands"),
        ({"use_bands": 3}, "use_bands"),
        ({"label_column": 3}, "label_column: a name"),
        ({"label_layer": ["a"]}, "label_layer: a name"),
    ],
)
def test_image_folder_json_is_refused_with_the_reason(image_folder: Path, changes: dict[str, Any], words: str) -> None:
    rewrite(image_folder, **changes)
    with pytest.raises(DataError, match=words):
        open_dataset(image_folder)


@pytest.mark.parametrize(
    ("changes", "channels", "bands", "there"),
    [
        ({}, ("R", "G", "B"), None, None),
        ({"bands": ["b", "g", "r"]}, ("b", "g", "r"), None, 3),
        ({"bands": ["b", "g", "r", "n"], "use_bands": ["n", 3, "g"]}, ("n", "r", "g"), (4, 3, 2), 4),
        ({"use_bands": [3, 1]}, ("band 3", "band 1"), (3, 1), None),
    ],
)
def test_bands_are_named_and_chosen_by_name_or_number(
    image_folder: Path, changes: dict[str, Any], channels: Any, bands: Any, there: Any
) -> None:
    rewrite(image_folder, **changes)
    dataset = open_dataset(image_folder)
    assert (dataset.channels, dataset.bands, dataset.bands_there) == (channels, bands, there)
    assert dataset.channel_choice == (bands or len(channels))


def test_vector_labels_have_a_column_and_a_layer(image_folder: Path) -> None:
    rewrite(image_folder, label_column="kind", label_layer="fields")
    labels = open_dataset(image_folder).labels
    assert (labels.column, labels.layer) == ("kind", "fields")
    assert LabelSpace.from_json(json.loads(json.dumps(labels.to_json()))) == labels


def test_an_image_folder_holds_pictures(image_folder: Path) -> None:
    for image in (image_folder / "images").iterdir():
        image.rename(image.with_name(f"{image.stem}.nii.gz"))
    with pytest.raises(DataError, match=r"pictures \(.*\.png, \.jpg, .*, found tile_0\.nii\.gz"):
        open_dataset(image_folder)


def two_spellings(name: str) -> tuple[str, str]:
    """A name with composed and with decomposed letters, which look the same."""
    spellings = (unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name))
    assert spellings[0] != spellings[1]
    return spellings


def test_names_are_the_same_however_unicode_spells_them(image_folder: Path) -> None:
    composed, decomposed = two_spellings("über-Gefäß")
    (image_folder / "images" / "tile_0.png").rename(image_folder / "images" / f"{composed}.png")
    (image_folder / "masks" / "tile_0.png").rename(image_folder / "masks" / f"{decomposed}.png")
    rewrite(image_folder, splits={"train": [decomposed]})
    (case,) = open_dataset(image_folder).split("train")
    assert case.name == composed
    assert case.label == image_folder / "masks" / f"{decomposed}.png"
    assert case.images[0].is_file()
    assert case.label.is_file()


def test_volumes_are_the_same_however_unicode_spells_them(nnunet_folder: Path) -> None:
    composed, decomposed = two_spellings("Müller")
    (nnunet_folder / "imagesTr/case_0_0000.nii.gz").rename(nnunet_folder / f"imagesTr/{decomposed}_0000.nii.gz")
    (nnunet_folder / "labelsTr/case_0.nii.gz").rename(nnunet_folder / f"labelsTr/{composed}.nii.gz")
    case = next(case for case in open_dataset(nnunet_folder).cases if case.name == composed)
    assert case.label is not None


def test_two_names_that_look_alike_are_told_apart_in_the_error(image_folder: Path) -> None:
    for name in two_spellings("Gefäß"):
        shutil.copy(image_folder / "images" / "tile_0.png", image_folder / "images" / f"{name}.png")
    with pytest.raises(FileError, match=r"a\\u0308.* and .*\\xe4|\\xe4.* and .*a\\u0308"):
        open_dataset(image_folder)


def test_volumes_of_either_suffix_are_cases(nnunet_folder: Path) -> None:
    for old, new in (
        ("imagesTr/case_0_0000.nii.gz", "imagesTr/case_0_0000.nii"),
        ("labelsTr/case_1.nii.gz", "labelsTr/case_1.NII"),
        ("imagesTr/case_2_0000.nii.gz", "imagesTr/case_2_0000.NII.GZ"),
    ):
        (nnunet_folder / old).rename(nnunet_folder / new)
    dataset = open_dataset(nnunet_folder)
    assert (len(dataset.cases), dataset.orphans, dataset.remarks) == (6, (), ())
    assert all(case.label and case.images[0].is_file() for case in dataset.cases)
    shutil.copy(nnunet_folder / "imagesTr/case_1_0000.nii.gz", nnunet_folder / "imagesTr/case_1_0000.nii")
    with pytest.raises(FileError, match=r"case_1_0000\.nii and case_1_0000\.nii\.gz"):
        open_dataset(nnunet_folder)


def test_a_split_that_names_a_case_twice_is_refused(image_folder: Path) -> None:
    rewrite(image_folder, splits={"train": ["tile_0"], "val": ["tile_1"], "test": ["tile_0"]})
    with pytest.raises(FileError, match="'tile_0' in one split, found train and test"):
        open_dataset(image_folder).split("test")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_refused(image_folder: Path) -> None:
    (image_folder / "images").chmod(0)
    with pytest.raises(FileError, match="Permission denied"):
        open_dataset(image_folder)


def test_links_to_nowhere_and_loops_are_cases_that_fail_by_name(image_folder: Path) -> None:
    (image_folder / "images/tile_0.png").unlink()
    (image_folder / "images/tile_0.png").symlink_to(image_folder / "gone.png")
    (image_folder / "masks/tile_1.png").unlink()
    (image_folder / "masks/tile_1.png").symlink_to(image_folder / "masks/tile_1.png")
    dataset = open_dataset(image_folder)
    assert len(dataset.cases) == 10
    for case, file in zip(dataset.cases, ("images/tile_0.png", "masks/tile_1.png"), strict=False):
        with pytest.raises(FileError, match=file):
            read_case(case, dataset.labels)


def test_two_pictures_of_one_name_are_refused(image_folder: Path) -> None:
    shutil.copy(image_folder / "images" / "tile_0.png", image_folder / "images" / "tile_0.jpg")
    with pytest.raises(DataError, match=r"tile_0\.jpg and tile_0\.png"):
        open_dataset(image_folder)


def test_case_that_is_both_training_and_test_is_refused(nnunet_folder: Path) -> None:
    for folder, name in (("images", "case_0_0000.nii.gz"), ("labels", "case_0.nii.gz")):
        shutil.copy(nnunet_folder / f"{folder}Tr" / name, nnunet_folder / f"{folder}Ts" / name)
    with pytest.raises(DataError, match="one case named 'case_0'"):
        open_dataset(nnunet_folder)


def test_folder_that_is_no_data_set_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match=r"images and their labels.*found photos"):
        open_dataset(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        open_dataset(tmp_path / "nowhere")


def test_json_with_a_syntax_error_is_refused(image_folder: Path) -> None:
    (image_folder / "dataset.json").write_text('{"classes": [')
    with pytest.raises(DataError, match=r"dataset\.json.*fix the syntax"):
        open_dataset(image_folder)


def test_fold_that_does_not_exist_is_refused(nnunet_folder: Path) -> None:
    with pytest.raises(DataError, match="found 1 fold;"):
        open_dataset(nnunet_folder, fold=5)


def test_missing_split_names_the_splits_there_are(nnunet_folder: Path) -> None:
    shutil.rmtree(nnunet_folder / "labelsTs")
    with pytest.raises(DataError, match=r"'test', found train \(4\), val \(1\)"):
        open_dataset(nnunet_folder).split("test")


def test_split_with_an_unknown_case_is_refused(image_folder: Path) -> None:
    rewrite(image_folder, splits={"train": ["tile_0", "tile_77"]})
    with pytest.raises(DataError, match="tile_77"):
        open_dataset(image_folder).split("train")


def test_the_default_split_is_always_the_same(image_folder: Path) -> None:
    splits = [open_dataset(image_folder).with_default_split().splits for _ in range(2)]
    assert splits[0] == splits[1]
    assert splits[0]["test"] == ("tile_1", "tile_9")
    assert {name: len(cases) for name, cases in splits[0].items()} == {"train": 7, "val": 1, "test": 2}
    assert sorted(sum(splits[0].values(), ())) == [f"tile_{i}" for i in range(10)]


def test_the_default_split_leaves_the_folders_own_splits_alone(nnunet_folder: Path) -> None:
    dataset = open_dataset(nnunet_folder)
    assert dataset.with_default_split() is dataset
    (nnunet_folder / "splits_final.json").unlink()
    splits = open_dataset(nnunet_folder).with_default_split().splits
    assert splits["test"] == ("case_5",)
    assert (len(splits["train"]), len(splits["val"])) == (4, 1)


def test_the_default_split_needs_a_case_for_each_part(tmp_path: Path) -> None:
    root = generate.image_folder(tmp_path, cases=2)
    with pytest.raises(DataError, match="at least 3 cases"):
        open_dataset(root).with_default_split()


def test_fingerprint_changes_with_classes_cases_and_splits(image_folder: Path) -> None:
    dataset = open_dataset(image_folder)
    prints = {dataset.fingerprint(), dataset.with_default_split().fingerprint()}
    assert open_dataset(image_folder).fingerprint() in prints
    rewrite(image_folder, classes=["background", "field", "lake"])
    prints.add(open_dataset(image_folder).fingerprint())
    (image_folder / "images" / "tile_9.png").unlink()
    prints.add(open_dataset(image_folder).fingerprint())
    assert len(prints) == 4
