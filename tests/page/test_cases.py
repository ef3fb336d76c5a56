"""Which images a folder has for the page, and what the classes are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samtailor.errors import ConfigError, FileError
from samtailor.labels import LabelSpace
from samtailor.page.cases import listed_cases, open_folder, space_of
from tests import generate


def picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(generate.picture((40, 48), seed)[0]).save(path)


def test_a_data_set_is_taken_as_it_is(nnunet_folder: Path) -> None:
    folder = open_folder(nnunet_folder)
    assert folder.labels == generate.LABELS
    assert folder.channels == ("CT",)
    assert [case.name for case in folder.cases] == [f"case_{number}" for number in range(6)]
    assert folder.splits["case_5"] == "test"
    assert folder.labelled == folder.cases


@pytest.mark.parametrize("names", [("liver", "spleen"), ("background", "liver", "spleen"), ("Background", "a")])
def test_the_background_may_be_left_out(names: tuple[str, ...]) -> None:
    found = space_of(names)
    assert found.names[0].lower() == "background"
    assert found.names[-1] == names[-1]
    assert len(found) == len({*names, found.names[0]})


def test_classes_of_a_data_set_are_its_own(nnunet_folder: Path) -> None:
    assert open_folder(nnunet_folder, ["liver", "spleen"]).labels == generate.LABELS
    with pytest.raises(ConfigError, match="classes of --classes, background, spleen, liver; found background, liver"):
        open_folder(nnunet_folder, ["spleen", "liver"])
    with pytest.raises(ConfigError, match="classes of the segmenter"):
        open_folder(nnunet_folder, labels=LabelSpace.from_names(("background", "liver")))


def test_a_folder_without_labels_needs_classes(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(ConfigError, match="expected --classes"):
        open_folder(tmp_path)
    assert open_folder(tmp_path, ["x"]).labels.names == ("background", "x")
    own = LabelSpace(("nothing", "x"), (0, 7), ((0, 0, 0), (1, 2, 3)))
    assert open_folder(tmp_path, labels=own).labels == own
    with pytest.raises(ConfigError, match="expected background, y of --classes, found nothing, x of the segmenter"):
        open_folder(tmp_path, ["y"], own)
    (tmp_path / "dataset.json").write_text(json.dumps({"classes": ["background", "z"]}))
    assert open_folder(tmp_path).labels.names == ("background", "z")
    with pytest.raises(ConfigError, match=r"background, x of --classes, found background, z of .*dataset.json"):
        open_folder(tmp_path, ["x"])


def test_images_without_a_label_come_after_those_with_one(tmp_path: Path) -> None:
    for number in range(4):
        picture(tmp_path / "images" / f"a{number}.png", number)
    (tmp_path / "labels").mkdir()
    for number in (1, 3):
        Image.fromarray(generate.picture((40, 48), number)[1]).save(tmp_path / "labels" / f"a{number}.png")
    folder = open_folder(tmp_path)
    assert [case.name for case in folder.cases] == ["a1", "a3", "a0", "a2"]
    assert [case.name for case in folder.labelled] == ["a1", "a3"]
    cases = listed_cases(folder)
    assert [case.id for case in cases] == [0, 1, 2, 3]
    assert [case.key for case in cases] == [f"images/a{number}.png" for number in (1, 3, 0, 2)]


def test_images_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for folder in ("north", "south"):
        picture(tmp_path / folder / "a.png")
    picture(tmp_path / "b.png")
    assert [case.name for case in open_folder(tmp_path, ["x"]).cases] == ["b", "north-a", "south-a"]


def test_an_unlabelled_image_that_is_called_as_a_case_is_told_apart(tmp_path: Path) -> None:
    pixels, ids = generate.picture((40, 48), 0)
    for folder, array in (("train/images", pixels), ("train/labels", ids), ("test/images", pixels)):
        (tmp_path / folder).mkdir(parents=True)
        Image.fromarray(array).save(tmp_path / folder / "a.png")
    assert [case.name for case in open_folder(tmp_path).cases] == ["a", "a 2"]


def test_channels_of_a_volume_are_one_case(tmp_path: Path) -> None:
    for channel in range(3):
        generate.write_volume(tmp_path / f"v_{channel:04d}.nii.gz", np.zeros((4, 4, 4), np.int16))
    folder = open_folder(tmp_path, ["x"])
    assert [(case.name, len(case.images)) for case in folder.cases] == [("v", 3)]


def test_what_is_no_folder_of_images_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "empty").mkdir()
    for place, found in (("a.png", "found a file"), ("nowhere", "found nothing"), ("empty", "empty folder")):
        with pytest.raises(FileError, match=found):
            open_folder(tmp_path / place, ["x"])


def test_a_damaged_data_set_is_not_taken_for_a_folder_without_labels(nnunet_folder: Path) -> None:
    (nnunet_folder / "dataset.json").write_text("{")
    with pytest.raises(FileError, match="fix the syntax"):
        open_folder(nnunet_folder, ["x"])


def test_images_of_nnunet_need_its_description(tmp_path: Path) -> None:
    generate.write_volume(tmp_path / "imagesTr" / "a_0000.nii.gz", np.zeros((4, 4, 4), np.int16))
    with pytest.raises(FileError, match="call the folder images"):
        open_folder(tmp_path, ["x"])
    content = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "x": 1}, "file_ending": ".nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    assert [case.name for case in open_folder(tmp_path).cases] == ["a"]
