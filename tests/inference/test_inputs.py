"""Files, folders and patterns become images, and every result gets a place of its own."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import rasterio
from rasterio.shutil import copy

from samtailor.data.formats import FORMATS
from samtailor.errors import ConfigError, DataError, DataWarning
from samtailor.inference.inputs import Wanted, plan, read
from samtailor.settings import LabelKind
from tests.data.formats.npz import Npz, NpzFolder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two volumes, one of them with two channels, two numbered pictures, and what is no image."""
    root = tmp_path / "in"
    names = ("a_0000.nii.gz", "a_0001.nii.gz", "b.nii", "frame_0000.png", "frame_0001.png")
    for name in (*names, "dataset.json", ".hidden.png", "sub/c.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def targets(inputs: list[str | Path], out: Path) -> list[str]:
    return [job.target.name for job in plan(inputs, out)]


def test_a_folder_stands_for_its_images(folder: Path, tmp_path: Path) -> None:
    jobs = plan([folder], tmp_path / "out")
    assert [job.target.name for job in jobs] == ["a.nii.gz", "b.nii.gz", "frame_0000.png", "frame_0001.png"]
    assert [path.name for path in jobs[0].files.images] == ["a_0000.nii.gz", "a_0001.nii.gz"]
    assert {job.target.parent for job in jobs} == {tmp_path / "out"}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a_*", ["a.nii.gz"]),
        ("*.png", ["frame_0000.png", "frame_0001.png"]),
        ("*", ["a.nii.gz", "b.nii.gz", "frame_0000.png", "frame_0001.png", "c.png"]),
        ("**/*.jpg", ["c.png"]),
    ],
)
def test_a_pattern_the_shell_left_alone_stands_for_its_images(
    folder: Path, tmp_path: Path, pattern: str, expected: list[str]
) -> None:
    assert targets([f"{folder}/{pattern}"], tmp_path / "out") == expected


def test_a_folder_is_one_image_where_a_format_keeps_images_in_folders(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    (folder / "series").mkdir()
    for index, channel in enumerate(pixels):
        np.savez(folder / "series" / f"{index}.npz", pixels=channel)
    monkeypatch.setattr("samtailor.data.formats.FORMATS", [*FORMATS, Npz(), NpzFolder()])
    (job,) = plan([folder / "series"], tmp_path / "out")
    assert (job.file, job.target.name) == (folder / "series", "series.npz")
    np.testing.assert_array_equal(read(job, 2).image[:, 0], pixels)
    assert targets([folder], tmp_path / "out")[-1] == "series.npz"


def test_a_result_is_of_the_kind_asked_for(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Both(Npz):
        label_suffixes: ClassVar = {"png": ".png", "seg": ".seg.npz"}

    monkeypatch.setattr("samtailor.data.formats.FORMATS", [*FORMATS, Both()])
    (folder / "x.npz").touch()
    kinds: dict[LabelKind, str] = {"auto": "x.png", "png": "x.png", "seg": "x.seg.npz"}
    for kind, name in kinds.items():
        (job,) = plan([folder / "x.npz"], tmp_path / "out", kind)
        assert job.target == tmp_path / "out" / name
    with pytest.raises(ConfigError, match=r"png, seg, for .*x\.npz; found 'nifti'"):
        plan([folder / "a_0000.nii.gz", folder / "x.npz"], tmp_path / "out", "nifti")


def test_what_is_written_beside_a_result_is_one_too(tmp_path: Path) -> None:
    (job,) = plan([tmp_path / "scene.vrt"], tmp_path / "out")
    assert [path.name for path in job.results(Wanted())] == ["scene.tif", "scene.qml"]


def test_an_image_named_twice_is_taken_once(folder: Path, tmp_path: Path) -> None:
    inputs: list[str | Path] = [folder / "b.nii", f"{folder}/*.nii", folder / "a_0001.nii.gz", folder / "a_0000.nii.gz"]
    assert targets(inputs, tmp_path / "out") == ["b.nii.gz", "a.nii.gz"]


def test_a_file_with_the_signs_of_a_pattern_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "x[1].png").touch()
    assert targets([tmp_path / "x[1].png"], tmp_path / "out") == ["x[1].png"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "found nothing there"),
        ("*.tif", "found nothing there"),
        ("empty", "images in the folder"),
        ("in/dataset.json", r"one of \.nii"),
    ],
)
def test_what_is_no_image_fails_when_it_is_read(folder: Path, tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (job,) = plan([tmp_path / name], tmp_path / "out")
    with pytest.raises(DataError, match=message):
        read(job, 1)


def test_what_is_no_image_is_not_taken_for_a_result(folder: Path) -> None:
    (job,) = plan([folder / "dataset.json"], folder)
    assert not job.target.exists()


def test_a_link_to_nowhere_in_a_folder_is_missed_by_name(folder: Path, tmp_path: Path) -> None:
    (folder / "link.png").symlink_to(tmp_path / "nowhere.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    *_, link, loop = plan([folder], tmp_path / "out")
    for job in (link, loop):
        with pytest.raises(DataError, match=rf"{job.file.name}: expected a picture"):
            read(job, 3)


def test_what_a_folder_holds_besides_images_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.warns(DataWarning, match=r"2 others, which are passed over: dataset\.json, sub"):
        plan([folder], tmp_path / "out")


@pytest.mark.parametrize("name", ["a\0b.png", "x" * 300 + ".png", "b.nii/c.png"])
def test_paths_that_can_be_none_fail_when_they_are_read(folder: Path, tmp_path: Path, name: str) -> None:
    (job,) = plan([folder / name], tmp_path / "out")
    with pytest.raises(DataError, match="nothing there"):
        read(job, 3)


def test_cases_whose_numbers_look_like_channels_are_refused_with_help(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"patient_{number:04d}.nii.gz").touch()
    (job,) = plan([tmp_path], tmp_path / "out")
    with pytest.raises(DataError, match=r"expected 1 channel, found 3: patient_0000.*if they number cases.*_0000"):
        read(job, 1)


def test_a_channel_that_is_missing_is_not_replaced_by_the_next(tmp_path: Path) -> None:
    for number in (0, 2):
        (tmp_path / f"x_{number:04d}.nii.gz").touch()
    assert [len(job.files.images) for job in plan([tmp_path], tmp_path / "out")] == [1, 1]


def test_nothing_to_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found none"):
        plan([], tmp_path)


def test_a_result_never_overwrites_an_input(folder: Path, tmp_path: Path) -> None:
    (folder / "a.nii.gz").touch()
    with pytest.raises(ConfigError, match="overwrite the input"):
        plan([folder / "frame_0000.png"], folder)
    with pytest.raises(ConfigError, match="overwrite the input"):
        plan([folder / "a_0000.nii.gz", folder / "a.nii.gz"], folder / "sub" / "..")


def test_a_result_never_overwrites_what_an_input_is_made_of(tmp_path: Path) -> None:
    grid = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 5e6), "dtype": "uint8", "count": 1}
    with rasterio.open(tmp_path / "scene.tif", "w", driver="GTiff", height=5, width=6, **grid) as file:
        file.write(np.ones((1, 5, 6), np.uint8))
    copy(tmp_path / "scene.tif", tmp_path / "scene.vrt", driver="VRT")
    with pytest.raises(ConfigError, match=r"result of .*scene\.vrt would overwrite the input .*scene\.tif"):
        plan([tmp_path / "scene.vrt"], tmp_path)
    (job,) = plan([tmp_path / "scene.vrt"], tmp_path / "out")
    assert job.target == tmp_path / "out" / "scene.tif"


def test_nothing_that_is_written_overwrites_an_input(tmp_path: Path) -> None:
    for folder, wanted in (("overlays", Wanted(overlay=True)), ("probabilities", Wanted(probabilities=True))):
        image = tmp_path / folder / ("x.png" if folder == "overlays" else "x.tif")
        image.parent.mkdir()
        image.touch()
        plan([image], tmp_path)
        with pytest.raises(ConfigError, match="would overwrite the input"):
            plan([image], tmp_path, wanted=wanted)


def test_two_results_never_share_a_place(folder: Path, tmp_path: Path) -> None:
    (folder / "sub" / "b.nii.gz").touch()
    with pytest.raises(ConfigError, match=r"b\.nii and .*sub/b\.nii\.gz would both be"):
        plan([folder / "b.nii", folder / "sub" / "b.nii.gz"], tmp_path / "out")


def test_pictures_of_one_name_have_no_place_beside_their_labels(tmp_path: Path) -> None:
    for name in ("a.png", "a.nii", "b.png"):
        (tmp_path / name).touch()
    out = tmp_path / "out"
    plan([tmp_path], out)  # a.png and a.nii.gz are labels of their own
    plan([tmp_path / "a.nii", tmp_path / "b.png"], out, wanted=Wanted(overlay=True, volumes=True))
    for wanted, place in ((Wanted(overlay=True), "overlays/a.png"), (Wanted(heat_map=True), "heat-maps/a.png")):
        with pytest.raises(ConfigError, match=rf"a\.nii and .*a\.png would both be .*{place}; predict them into two"):
            plan([tmp_path], out, wanted=wanted)
    with pytest.raises(ConfigError, match=r"a\.nii and .*a\.png would both be called 'a' in the table"):
        plan([tmp_path], out, wanted=Wanted(volumes=True))


def test_a_file_name_is_no_folder(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a folder"):
        plan([folder / "b.nii"], tmp_path / "seg.nii.gz")
