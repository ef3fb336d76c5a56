"""Many files are segmented, each on its own grid; a bad one does not stop the others."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

import samtailor
from samtailor.cli import main
from samtailor.data.formats.nifti import VolumeGeometry
from samtailor.data.intensity import CTWindow, Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.errors import ConfigError
from samtailor.inference.predict import predict
from samtailor.labels import LabelSpace
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base
from samtailor.recipes import LoRA
from tests.conftest import Report
from tests.generate import LABELS, affine, picture, volume, write_volume


def make_segmenter(directory: Path, base: Base, channels: int, labels: LabelSpace = LABELS) -> Path:
    """An untrained segmenter."""
    preprocessing = Preprocessing(CTWindow() if channels == 1 else Range(), 32, None, channels)
    SegmenterModel.create(base.name, LoRA(rank=2), labels, preprocessing).save(directory)
    return directory


def assert_most_probable(label: NDArray[Any], probabilities: NDArray[Any]) -> None:
    """No other class than that of the label, (...), has a larger probability, (K, ...); rounding makes some equal."""
    chosen = np.take_along_axis(probabilities, label[None].astype(int), axis=0)[0]
    np.testing.assert_array_equal(chosen, probabilities.max(axis=0))


def write_inputs(folder: Path) -> Path:
    """Three volumes, the second one cut off in the middle."""
    for index, codes in enumerate(("LAS", "RPS", "PIR")):
        write_volume(folder / f"case_{index}_0000.nii.gz", volume((20, 16, 5), index)[0], affine(codes=codes))
    bad = folder / "case_1_0000.nii.gz"
    bad.write_bytes(bad.read_bytes()[:200])
    return folder


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path, tiny_base: Base, reports: list[Report]) -> None:
    segmenter = make_segmenter(tmp_path / "segmenter", tiny_base, 1)
    folder = write_inputs(tmp_path / "in")
    report = predict(segmenter, [folder], tmp_path / "out", overwrite=True)
    assert [path.name for path in report.written] == ["case_0.nii.gz", "case_2.nii.gz"]
    assert [failure.file for failure in report.failures] == [folder / "case_1_0000.nii.gz"]
    assert "expected" in report.failures[0].reason
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["case_0.nii.gz", "case_2.nii.gz"]
    assert reports[-1] == ("inputs", 3, 3)
    assert reports == sorted(reports)


def test_results_lie_on_the_grid_of_their_inputs(tmp_path: Path, tiny_base: Base) -> None:
    segmenter = make_segmenter(tmp_path / "segmenter", tiny_base, 1)
    folder = write_inputs(tmp_path / "in")
    for path in predict(segmenter, [f"{folder}/case_[02]*"], tmp_path / "out").written:
        source, result = nib.load(folder / path.name.replace(".nii", "_0000.nii")), nib.load(path)
        assert result.shape == source.shape
        np.testing.assert_array_equal(result.affine, source.affine)
        assert set(np.unique(np.asanyarray(result.dataobj))) <= set(LABELS.ids)


def test_the_driver_and_the_segmenter_agree(tmp_path: Path, tiny_base: Base) -> None:
    directory = make_segmenter(tmp_path / "segmenter", tiny_base, 1)
    file = write_inputs(tmp_path / "in") / "case_2_0000.nii.gz"
    (driven,) = predict(directory, [file], tmp_path / "out", batch_size=3).written
    samtailor.load(directory).predict(file).save(tmp_path / "single.nii.gz")
    np.testing.assert_array_equal(
        np.asanyarray(nib.load(driven).dataobj), np.asanyarray(nib.load(tmp_path / "single.nii.gz").dataobj)
    )


def test_heat_maps_are_drawn_and_probabilities_are_not_kept_for_them(tmp_path: Path, tiny_base: Base) -> None:
    segmenter = make_segmenter(tmp_path / "segmenter", tiny_base, 1)
    file = write_inputs(tmp_path / "in") / "case_0_0000.nii.gz"
    predict(segmenter, [file], tmp_path / "out", heat_maps=True)
    found = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert found == ["case_0.nii.gz", "heat-maps/case_0.png"]
    assert Image.open(tmp_path / "out" / "heat-maps" / "case_0.png").size[0] > 500
    (tmp_path / "out" / "case_0.nii.gz").unlink()
    with pytest.raises(ConfigError, match=r"found .*case_0\.png"):
        predict(segmenter, [file], tmp_path / "out", heat_maps=True)


def test_colours_for_viewers_are_written_beside_and_never_over_others(tmp_path: Path, tiny_base: Base) -> None:
    segmenter = make_segmenter(tmp_path / "segmenter", tiny_base, 1)
    file = write_inputs(tmp_path / "in") / "case_0_0000.nii.gz"
    predict(segmenter, [file], tmp_path / "out", colours=True)
    assert '"liver"' in (tmp_path / "out" / "colours" / "itk-snap.txt").read_text()
    (tmp_path / "out" / "case_0.nii.gz").unlink()
    with pytest.raises(ConfigError, match=r"expected no earlier results there, found .*itk-snap\.txt"):
        predict(segmenter, [file], tmp_path / "out", colours=True)
    assert not (tmp_path / "out" / "case_0.nii.gz").exists()


def test_probabilities_and_overlays_are_written_beside(tmp_path: Path, tiny_base: Base) -> None:
    segmenter = make_segmenter(tmp_path / "segmenter", tiny_base, 1)
    file = write_inputs(tmp_path / "in") / "case_0_0000.nii.gz"
    (label,) = predict(segmenter, [file], tmp_path / "out", probabilities=True, overlays=True).written
    probabilities = np.asanyarray(nib.load(tmp_path / "out" / "probabilities" / "case_0.nii.gz").dataobj)
    assert probabilities.shape == (20, 16, 5, 3)
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=2e-3)
    assert_most_probable(np.asanyarray(nib.load(label).dataobj), np.moveaxis(probabilities, -1, 0))
    assert Image.open(tmp_path / "out" / "overlays" / "case_0.png").size[0] > 500


def test_pictures_come_back_as_palette_png_of_their_size(tmp_path: Path, tiny_base: Base) -> None:
    segmenter = make_segmenter(tmp_path / "segmenter", tiny_base, 3)
    Image.fromarray(picture((30, 44), 0)[0]).save(tmp_path / "colour.jpg")
    Image.fromarray(picture((21, 50), 1)[0][..., 0]).save(tmp_path / "gray.png")
    report = predict(segmenter, [tmp_path / "colour.jpg", tmp_path / "gray.png"], tmp_path / "out")
    assert not report.failures
    for path, size in zip(report.written, ((44, 30), (50, 21)), strict=True):
        with Image.open(path) as mask:
            assert (mask.format, mask.mode, mask.size) == ("PNG", "P", size)


def test_an_image_with_other_channels_fails_alone(tmp_path: Path, tiny_base: Base) -> None:
    segmenter = make_segmenter(tmp_path / "segmenter", tiny_base, 1)
    Image.fromarray(picture((30, 44), 0)[0]).save(tmp_path / "colour.png")
    Image.fromarray(picture((30, 44), 0)[0][..., 0]).save(tmp_path / "gray.png")
    report = predict(segmenter, [tmp_path / "colour.png", tmp_path / "gray.png"], tmp_path / "out")
    assert [path.name for path in report.written] == ["gray.png"]
    assert "1 channel" in report.failures[0].reason


def test_nothing_is_written_if_a_result_would_overwrite_an_input(tmp_path: Path, tiny_base: Base) -> None:
    segmenter = make_segmenter(tmp_path / "segmenter", tiny_base, 1)
    write_volume(tmp_path / "in" / "x.nii.gz", volume((20, 16, 5), 0)[0])
    before = (tmp_path / "in" / "x.nii.gz").read_bytes()
    with pytest.raises(ConfigError, match="overwrite the input"):
        predict(segmenter, [tmp_path / "in"], tmp_path / "in")
    assert (tmp_path / "in" / "x.nii.gz").read_bytes() == before


def test_an_unknown_refinement_is_refused_before_anything_is_written(tmp_path: Path, tiny_base: Base) -> None:
    segmenter = make_segmenter(tmp_path / "segmenter", tiny_base, 1)
    folder = write_inputs(tmp_path / "in")
    with pytest.raises(ConfigError, match=r"refine: expected one of .*largest-component.*; found 'magic'"):
        predict(segmenter, [folder], tmp_path / "out", refine="magic")
    assert main(["predict", str(segmenter), str(folder), "--out", str(tmp_path / "out"), "--refine", "magic"]) == 2
    assert not (tmp_path / "out").exists()


def test_a_kind_of_label_that_an_input_is_not_written_in_is_refused_before_anything_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(picture((30, 44), 0)[0]).save(tmp_path / "colour.png")
    asked = [str(tmp_path / "colour.png"), "--out", str(tmp_path / "out"), "--format", "seg"]
    assert main(["predict", "no segmenter", *asked]) == 2
    assert "png, for" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.fixture
def module() -> Any:
    """The module `predict`, which the package hides behind its function."""
    return sys.modules["samtailor.inference.pipeline"]


def write_volumes(folder: Path, count: int) -> Path:
    for index in range(count):
        write_volume(folder / f"case_{index}.nii.gz", volume((20, 16, 3), index)[0])
    return folder


def test_what_cannot_be_written_does_not_stop_the_others(tmp_path: Path, tiny_base: Base) -> None:
    segmenter = make_segmenter(tmp_path / "segmenter", tiny_base, 1)
    folder = write_volumes(tmp_path / "in", 4)
    for blocked in (1, 3):  # a folder stands where the result should go
        (tmp_path / "out" / f"case_{blocked}.nii.gz").mkdir(parents=True)
    report = predict(segmenter, [folder], tmp_path / "out", overwrite=True)
    assert [path.name for path in report.written] == ["case_0.nii.gz", "case_2.nii.gz"]
    assert [failure.file.name for failure in report.failures] == ["case_1.nii.gz", "case_3.nii.gz"]
    assert "directory" in report.failures[0].reason
    assert not list((tmp_path / "out").glob(".*"))


def test_every_result_is_written_once_while_the_next_is_computed(
    tmp_path: Path, tiny_base: Base, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = make_segmenter(tmp_path / "segmenter", tiny_base, 1)
    folder = write_volumes(tmp_path / "in", 4)
    write, segment = VolumeGeometry.write_label, module.segment
    written: Counter[str] = Counter()
    computed, running, most = threading.Semaphore(0), 0, 0

    def slow_write(geometry: VolumeGeometry, path: Path, *rest: Any) -> None:
        nonlocal running, most
        if path.name != "case_3.nii.gz":  # nothing is computed after the last
            assert computed.acquire(timeout=30)
        running += 1
        most = max(most, running)
        write(geometry, path, *rest)
        running -= 1
        written[path.name] += 1

    def counted(*args: Any, **kwargs: Any) -> Any:
        result = segment(*args, **kwargs)
        if result.case.name != "case_0":
            computed.release()
        return result

    monkeypatch.setattr(VolumeGeometry, "write_label", slow_write)
    monkeypatch.setattr(module, "segment", counted)
    report = predict(segmenter, [folder], tmp_path / "out")
    assert [path.name for path in report.written] == [f"case_{i}.nii.gz" for i in range(4)]
    assert written == Counter(path.name for path in report.written)
    assert most == 1


def test_an_interruption_leaves_whole_files_only(
    tmp_path: Path, tiny_base: Base, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = make_segmenter(tmp_path / "segmenter", tiny_base, 1)
    folder = write_volumes(tmp_path / "in", 3)
    segment = module.segment

    def interrupted(predictor: Any, case: Any, *rest: Any) -> Any:
        if case.name == "case_1":
            raise KeyboardInterrupt
        return segment(predictor, case, *rest)

    monkeypatch.setattr(module, "segment", interrupted)
    with pytest.raises(KeyboardInterrupt):
        predict(segmenter, [folder], tmp_path / "out")
    (left,) = (tmp_path / "out").iterdir()
    assert np.asanyarray(nib.load(left).dataobj).shape == (20, 16, 3)


def test_what_nobody_foresaw_is_raised(tmp_path: Path, tiny_base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(VolumeGeometry, "write_label", broken)
    segmenter = make_segmenter(tmp_path / "segmenter", tiny_base, 1)
    with pytest.raises(ZeroDivisionError):
        predict(segmenter, [write_volumes(tmp_path / "in", 2)], tmp_path / "out")


def test_probabilities_of_pictures_have_a_page_per_class(tmp_path: Path, tiny_base: Base) -> None:
    segmenter = make_segmenter(tmp_path / "segmenter", tiny_base, 3)
    Image.fromarray(picture((30, 44), 0)[0]).save(tmp_path / "colour.png")
    (label,) = predict(segmenter, [tmp_path / "colour.png"], tmp_path / "out", probabilities=True).written
    pages = tifffile.imread(tmp_path / "out" / "probabilities" / "colour.tif")
    assert (pages.shape, pages.dtype) == ((3, 30, 44), np.float32)
    np.testing.assert_allclose(pages.sum(0), 1, atol=2e-3)
    assert_most_probable(np.asarray(Image.open(label)), pages)
    assert not list((tmp_path / "out" / "probabilities").glob("tmp*"))
