"""Drawn splits: classes in all parts, neighbours in one, the folds of nnU-Net, always the same."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from samtailor.data.case import CaseFiles
from samtailor.data.check import check
from samtailor.data.dataset import Dataset, open_dataset
from samtailor.data.neighbours import blocks_of
from samtailor.data.splits import nnunets_folds, stratified
from samtailor.errors import FileError
from samtailor.labels import LabelSpace
from tests import generate
from tests.data.layouts.test_tree import folder

SKLEARN_12 = ["c00 c03 c08", "c07 c10 c11", "c06 c09", "c01 c04", "c02 c05"]
SKLEARN_7 = ["d g", "a e", "b", "f", "c"]


def test_the_folds_of_volumes_are_those_of_nnunet() -> None:
    # sklearn.model_selection.KFold(5, shuffle=True, random_state=12345).split(names), of 7 and of 12
    folds = nnunets_folds([f"c{index:02d}" for index in reversed(range(12))])
    assert [" ".join(fold["val"]) for fold in folds] == SKLEARN_12
    assert folds[0]["train"] == tuple(f"c{index:02d}" for index in range(12) if f"c{index:02d}" not in folds[0]["val"])
    assert [" ".join(fold["val"]) for fold in nnunets_folds(list("abcdefg"))] == SKLEARN_7


def test_every_class_is_in_every_part_in_its_share() -> None:
    rng = np.random.default_rng(1)
    shares = {1: 0.9, 2: 0.3, 3: 0.05}
    classes = {str(i): frozenset(c for c, share in shares.items() if rng.random() < share) for i in range(400)}
    sizes = {"train": 280, "val": 40, "test": 80}
    parts = stratified(classes, tuple(range(400)), sizes)
    assert {part: len(names) for part, names in parts.items()} == sizes
    assert sorted(name for names in parts.values() for name in names) == sorted(classes)
    for one in (1, 2, 3):
        total = sum(one in shown for shown in classes.values())
        for part, names in parts.items():
            assert abs(sum(one in classes[name] for name in names) - total * sizes[part] / 400) <= 1
    assert parts == stratified(classes, tuple(range(400)), sizes)


def test_a_class_of_one_case_is_learned_and_blocks_stay_whole() -> None:
    classes = {str(i): frozenset({1, *([2] if i == 7 else [])}) for i in range(30)}
    blocks = tuple(i // 3 for i in range(30))
    parts = stratified(classes, blocks, {"train": 21, "val": 3, "test": 6})
    assert "7" in parts["train"]
    of = {name: part for part, names in parts.items() for name in names}
    assert all(len({of[str(3 * block + i)] for i in range(3)}) == 1 for block in range(10))
    assert {part: len(names) for part, names in parts.items()} == {"train": 21, "val": 3, "test": 6}


def test_a_class_is_in_as_many_parts_as_it_can_be() -> None:
    for showing in (1, 2, 3, 5):
        classes = {str(i): frozenset({1, *([2] if i < showing else [])}) for i in range(40)}
        parts = stratified(classes, tuple(range(40)), {"train": 28, "val": 4, "test": 8})
        present = {part for part, names in parts.items() if any(int(name) < showing for name in names)}
        assert len(present) == min(showing, 3)
        assert "train" in present


def test_no_part_is_empty_where_blocks_are_few() -> None:
    classes = {str(i): frozenset({1}) for i in range(30)}
    parts = stratified(classes, tuple(i // 10 for i in range(30)), {"train": 21, "val": 3, "test": 6})
    assert sorted(map(len, parts.values())) == [10, 10, 10]


def by_names(*names: str) -> tuple[list[int], str]:
    """Size of each block, in the order of the names, and how they are told."""
    blocks = blocks_of([CaseFiles(name, (Path(f"{name}.png"),)) for name in names])
    return [blocks.keys.count(key) for key in dict.fromkeys(blocks.keys)], blocks.told


def test_series_stay_together() -> None:
    sizes, told = by_names(*(f"patient{p:02d}_slice_{s}" for p in range(12) for s in (10, 20, 30)))
    assert sizes == [3] * 12
    assert "patient00_slice_10" in told
    sizes, _ = by_names(*(f"scene{s}_r{r}_c{c}" for s in range(10) for r in range(2) for c in range(3)))
    assert sizes == [6] * 10


def test_a_series_that_is_most_of_all_is_no_block() -> None:
    sizes, told = by_names(*(f"s{s}_{i}" for s in range(10) for i in range(2)), *(f"film_{i}" for i in range(80)))
    assert max(sizes) == 5
    assert told.startswith("in blocks of up to 5")


def test_neighbouring_numbers_are_blocks_where_they_count() -> None:
    assert by_names(*(f"frame_{10 * i:05d}" for i in range(100))) == (
        [5] * 20,
        "in blocks of 5 neighbours by the numbers in their names",
    )
    assert by_names(*(f"a{i}" for i in range(20)), *(f"b{i}" for i in range(20)))[0] == [2] * 20
    sizes, told = by_names(*(f"many{i}" for i in range(180)), *(f"few{i}" for i in range(20)))
    assert (sizes, told.split(" neighbours")[0]) == ([10] * 18 + [2] * 10, "in blocks of up to 10")
    ids = np.random.default_rng(0).choice(600000, 100, replace=False)
    assert by_names(*(f"{i:012d}" for i in ids)) == ([1] * 100, "")
    assert by_names(*(f"a{i}" for i in range(39))) == ([1] * 39, "")  # too few to be kept apart
    assert by_names(*(f"a{i}" for i in range(99)), "another")[0] == [5] * 19 + [4, 1]


@pytest.mark.parametrize("name", ["p{p:02d}_slice_{s}", "p{p:02d}_{s}_ct", "p{p}_s{s}_T1", "p{p}_r{s}_c{s}_rgb"])
@pytest.mark.parametrize("patients", [6, 9, 20])
def test_a_patient_is_in_one_split_whatever_ends_the_names(name: str, patients: int) -> None:
    names = [name.format(p=p, s=s) for p in range(patients) for s in range(7)]
    assert by_names(*names)[0] == [7] * patients
    assert by_names(*names, "phantom")[0] == [7] * patients + [1]
    assert by_names(*names, *(name.format(p=99, s=i) for i in range(3 * len(names))))[0][:patients] == [7] * patients


def test_words_that_differ_from_picture_to_picture_end_a_name() -> None:
    assert (
        by_names(*(f"p{p}_{s}_{side}" for p in range(8) for s in range(2) for side in ("left", "right")))[0] == [4] * 8
    )


def test_classes_are_no_patients() -> None:
    words = ("farmland", "forest", "meadow", "urban", "water", "road")
    assert by_names(*(f"{word}_{i}" for word in words for i in range(20)))[0] == [2] * 60


def in_folders(*files: str) -> list[int]:
    """Size of each block of pictures there."""
    keys = blocks_of([CaseFiles(Path(file).stem, (Path(file),)) for file in files]).keys
    return [keys.count(key) for key in dict.fromkeys(keys)]


def test_folders_name_patients_too() -> None:
    tangled = [hashlib.sha256(bytes([i])).hexdigest() for i in range(60)]
    assert in_folders(*(f"patient{i // 10}/images/{name}.png" for i, name in enumerate(tangled))) == [10] * 6
    assert in_folders(*(f"{'abcde'[i // 12] * 3}/{name}.png" for i, name in enumerate(tangled))) == [1] * 60
    assert (
        in_folders(*(f"{split}/p{i}_{s}.png" for i in range(9) for s, split in enumerate(("train", "val")))) == [2] * 9
    )


def test_in_a_large_folder_a_picture_without_a_number_is_a_block_of_its_own() -> None:
    others = [f"p{p}/b{p}x{i}.png" for p in range(2, 7) for i in range(4)]
    assert in_folders("p1/overview.png", *(f"p1/a{i}.png" for i in range(80)), *others) == [1] + [5] * 16 + [4] * 5


def test_visits_of_adni_that_have_words_stay_together(tmp_path: Path) -> None:
    names = [f"{n:03}_S_{1000 + n}_{visit}" for n in range(20) for visit in ("bl", "m06", "m12")]
    dataset = volumes(tmp_path, *names).with_default_split()
    patients = [{name[:10] for name in part} for part in dataset.splits.values()]
    assert sum(map(len, patients)) == len(set().union(*patients)) == 20


def test_tiles_that_overlap_and_copies_of_a_picture_stay_together() -> None:
    tiles = [f"P{p:04}_{x}_{x + 800}_{y}_{y + 800}" for p in range(6) for x in (0, 600, 1200) for y in (0, 600, 1200)]
    assert by_names(*tiles)[0] == [9] * 6
    copies = [f"img{n:03}_jpg.rf.{hashlib.md5(bytes([n, k])).hexdigest()}" for n in range(10) for k in range(3)]
    sizes, told = by_names(*copies)
    assert (sizes, told) == ([3] * 10, "copies of a picture (by Roboflow's names) stay together")
    words = [f"{letter * 3}_png.rf.{hashlib.md5(bytes([n])).hexdigest()}" for letter in "abcdefghijkl" for n in (1, 2)]
    assert by_names(*words)[0] == [2] * 12


def volumes(root: Path, *names: str) -> Dataset:
    """A data set of volumes of these names, which need not be read."""
    labels = LabelSpace.from_names(("background", "heart"))
    stems = [name.rpartition("/")[2] for name in names]
    called = stems if len(set(stems)) == len(names) else [name.replace("/", "-") for name in names]
    files = [root / f"{name}.nii.gz" for name in names]
    cases = [CaseFiles(name, (file,), root / "label.nii.gz") for name, file in zip(called, files, strict=True)]
    return Dataset(labels, tuple(sorted(cases, key=lambda case: case.name)), ("MR",), root=root, layout="nnunet")


def test_volumes_of_a_patient_are_in_one_split(tmp_path: Path) -> None:
    names = {
        "bids": [f"sub-{n:02}_ses-{s}" for n in range(1, 13) for s in (1, 2)],
        "frames": [f"patient{n:03}_frame{f:02}" for n in range(1, 9) for f in (1, 9 + n % 4)],
        "few": [f"P{n}_visit_{s}" for n in (1, 2, 3, 4) for s in (1, 2, 3)],
        "many": [f"sub-{n:02}_ses-{s}" for n in range(1, 5) for s in range(1, 9)],
        "words": [f"pat{n:02}_{kind}" for n in range(1, 21) for kind in ("pre", "post")],
        "some twice": [f"sub-{n:02}_ses-1" for n in range(1, 13)] + [f"sub-{n:02}_ses-2" for n in (3, 6, 9, 12)],
        "scans": [f"BraTS-GLI-{n:05}-{s:03}" for n in range(20) for s in range(1 + (n % 3 == 0))],
        "sides": [f"knee_{n:03}_{side}" for n in range(20) for side in ("left", "right")],
        "folders": [f"p{n}/{kind}" for n in range(1, 11) for kind in ("before", "after")],
        "sessions": [f"sub-{n:02}/ses-{s}/image" for n in range(1, 21) for s in (1, 2)],
        "bids folders": [f"sub-{n:02}/ses-{s}/sub-{n:02}_ses-{s}_ct" for n in range(1, 21) for s in (1, 2)],
    }
    for kind, of in names.items():
        dataset = volumes(tmp_path, *of).with_default_split()
        split_of = {name: split for split, part in dataset.splits.items() for name in part}
        patients = {case.name: re.match(r"\D*\d+", case.name) for case in dataset.cases}
        seen = {(match[0], split_of[name]) for name, match in patients.items() if match}
        assert len(seen) == len({patient for patient, _ in seen}), kind
        assert {split for split, part in dataset.splits.items() if part} == {"train", "val", "test"}
        assert len(dataset.splits["train"]) >= len(of) / 2
        assert "volumes of a patient by their names or folders" in dataset.drawn


def test_folds_of_nnunet_say_that_they_part_patients(tmp_path: Path) -> None:
    _, told = volumes(tmp_path, *(f"sub-{n:02}_ses-{s}" for n in range(9) for s in (1, 2))).folds()
    assert told == (
        "those of nnU-Net; volumes of a patient by their names or folders (such as sub-00_ses-1) are in several of them"
    )
    assert volumes(tmp_path, *(f"case_{n}" for n in range(9))).folds()[1] == "those of nnU-Net"
    assert volumes(tmp_path, *(f"case_{n}" for n in range(6))).folds()[1] == "those of nnU-Net"


@pytest.mark.parametrize(
    "names",
    [
        [f"case_{n:03}" for n in range(30)],
        [f"{site}_{n:03}" for site in ("north", "south") for n in range(15)],
        [f"case_{n:02}" for n in range(6)],
        [f"scan_{n:02}/image" for n in range(20)],
        [f"A{site}_{n:03}" for site in (1, 2, 3) for n in range(10)],
        [f"{n:08x}" for n in range(0, 1 << 30, 1 << 25)],
    ],
)
def test_volumes_of_others_are_drawn_one_by_one(names: list[str], tmp_path: Path) -> None:
    """As ever: a split that changed would compare with nothing."""
    dataset = volumes(tmp_path, *names).with_default_split()
    order = np.random.default_rng(0).permutation(sorted(name.replace("/", "-") for name in names)).tolist()
    val, test = round(0.1 * len(names)), round(0.2 * len(names))
    assert dataset.drawn == "drawn at random"
    assert set(dataset.splits["val"]) == set(order[:val])
    assert set(dataset.splits["test"]) == set(order[val : val + test])


@pytest.mark.parametrize("name", ["t_r{r}_c{c}", "t-x{c}-y{r}", "T row{r} col{c}", "{y}.r{r}.c{c}"])
def test_tiles_of_a_grid_are_blocks_of_rows_and_columns(name: str) -> None:
    names = [name.format(r=512 * r, c=512 * c, y="s") for r in range(10) for c in range(10)]
    blocks = blocks_of([CaseFiles(name, (Path(f"{name}.png"),)) for name in names])
    assert blocks.told == "in blocks of 2 x 2 neighbours by the numbers in their names"
    keys = np.array([hash(key) for key in blocks.keys]).reshape(10, 10)
    assert (keys[::2, ::2] == keys[1::2, 1::2]).all()
    assert len(set(blocks.keys)) == 25


def geotiffs(root: Path, places: list[tuple[float, float]]) -> Dataset:
    """Pictures of 16 x 16 pixels of 2 m whose upper left corners are there, with masks; their names say nothing."""
    for index, (x, y) in enumerate(places):
        rng = np.random.default_rng(index)
        name = f"{index * 7919 % 100003}k"
        (root / "images").mkdir(exist_ok=True)
        (root / "masks").mkdir(exist_ok=True)
        tags = [(33550, "d", 3, (2.0, 2.0, 0.0), True), (33922, "d", 6, (0, 0, 0, x, y, 0), True)]
        pixels = rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)
        tifffile.imwrite(root / "images" / f"{name}.tif", pixels, photometric="rgb", extratags=tags)
        Image.fromarray((rng.random((16, 16)) < 0.5).astype(np.uint8)).save(root / "masks" / f"{name}.png")
    return open_dataset(root)


def test_pictures_next_to_each_other_on_the_ground_are_blocks(tmp_path: Path) -> None:
    dataset = geotiffs(tmp_path, [(32.0 * column, -32.0 * row) for row in range(9) for column in range(9)])
    blocks = blocks_of(dataset.cases)
    assert blocks.told == "in blocks of 2 x 2 neighbours by their coordinates"
    assert len(set(blocks.keys)) == 25
    assert "neighbours by their coordinates" in dataset.with_default_split().drawn


def test_scenes_apart_from_each_other_are_no_neighbours(tmp_path: Path) -> None:
    dataset = geotiffs(tmp_path, [(1000.0 * column, 0.0) for column in range(81)])
    assert blocks_of(dataset.cases).told == ""


def many(root: Path, count: int = 40) -> Path:
    """A folder whose last fifth of pictures shows another class than the others."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for index in range(count):
        ids = np.zeros((12, 12), np.uint8)
        ids[2:6, 2:6] = 1 if index < 0.8 * count else 2
        pixels = np.random.default_rng(index).integers(0, 255, (12, 12, 3), dtype=np.uint8)
        for name, one in (("images", pixels), ("masks", ids)):
            Image.fromarray(one).save(root / name / f"p{index:03d}.png")
    return root


def shown(dataset: Dataset, split: str) -> list[int]:
    return [
        sum(int(name[1:]) >= 0.8 * len(dataset.cases) for name in dataset.splits[split]),
        len(dataset.splits[split]),
    ]


def test_pictures_are_dealt_out_by_their_classes(tmp_path: Path) -> None:
    dataset = open_dataset(many(tmp_path)).with_default_split()
    assert [shown(dataset, split) for split in ("train", "val", "test")] == [[4, 28], [2, 4], [2, 8]]
    facts = check(tmp_path).facts["splits"]
    assert "28 train, 4 val, 8 test: drawn, each class in its share, in blocks of 2 neighbours" in facts


def test_folds_are_made_where_there_is_no_split_file(tmp_path: Path) -> None:
    root = many(tmp_path)
    folds = [open_dataset(root, fold).with_default_split() for fold in range(5)]
    assert [shown(fold, "val") for fold in folds] == [[2, 8]] * 4 + [[0, 8]]  # the class has four blocks
    assert sorted(name for fold in folds for name in fold.splits["val"]) == [case.name for case in folds[0].cases]
    for fold in folds:
        assert set(fold.splits) == {"train", "val"}
        assert not {*fold.splits["train"]} & {*fold.splits["val"]}
    with pytest.raises(FileError, match="a fold 5, found 5 folds"):
        open_dataset(root, 5)
    with pytest.raises(FileError, match="at least 5 cases for 5 folds, found 3"):
        open_dataset(folder(tmp_path / "few", "images/*.png", "masks/*.png"), 0)


def test_a_fold_is_told_apart_from_what_the_folder_shows(tmp_path: Path) -> None:
    root = many(tmp_path)
    assert check(root, fold=1).facts["splits"].startswith("32 train, 8 val: fold 1 of 5, drawn, each class")
    generate.write_json(root / "splits_final.json", [{"train": ["p000", "p039"], "val": ["p001"]}])
    assert check(root, fold=0).facts["splits"].endswith("fold 0 of splits_final.json")


def test_folds_of_volumes_leave_test_cases_alone(nnunet_folder: Path) -> None:
    (nnunet_folder / "splits_final.json").unlink()
    names = [f"case_{index}" for index in range(5)]
    for fold, expected in enumerate(nnunets_folds(names)):
        assert open_dataset(nnunet_folder, fold).splits == {**expected, "test": ("case_5",)}
    assert set(open_dataset(nnunet_folder).splits) == {"test"}


def test_a_split_file_is_read_in_every_layout(image_folder: Path, tmp_path: Path) -> None:
    fold = [{"train": ["tile_0"], "val": ["tile_1"]}, {"train": ["tile_2"], "val": ["tile_3"]}]
    generate.write_json(image_folder / "splits_final.json", fold)
    assert open_dataset(image_folder, 1).splits == {"train": ("tile_2",), "val": ("tile_3",)}
    assert open_dataset(image_folder).splits == {"train": ("tile_0",), "val": ("tile_1",)}
    root = shutil.copytree(image_folder, tmp_path / "inferred")
    (root / "dataset.json").unlink()
    assert open_dataset(root).splits == {"train": ("tile_0",), "val": ("tile_1",)}
    with pytest.raises(FileError, match=r"splits_final\.json: expected a fold 2, found 2 folds"):
        open_dataset(root, 2)


def test_folds_are_written_with_the_dataset_json(tmp_path: Path) -> None:
    root = many(tmp_path)
    before = [open_dataset(root, fold).splits for fold in range(5)]
    default = open_dataset(root).with_default_split().splits
    check(root, write=True)
    content = json.loads((root / "splits_final.json").read_text())
    assert [{split: tuple(names) for split, names in fold.items()} for fold in content] == before
    assert [open_dataset(root, fold).splits for fold in range(5)] == before
    assert open_dataset(root).with_default_split().splits == default


def test_a_split_file_is_never_replaced(tmp_path: Path) -> None:
    root = many(tmp_path)
    generate.write_json(root / "splits_final.json", [{"train": ["p000", "p039"], "val": ["p001"]}])
    check(root, write=True)
    assert len(json.loads((root / "splits_final.json").read_text())) == 1
    assert open_dataset(root).splits == {"train": ("p000", "p039"), "val": ("p001",)}
