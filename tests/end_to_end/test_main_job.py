"""The main job through the command line, whole and unmocked, on a tiny phantom with a tiny random base."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path

import lightning
import nibabel as nib
import numpy as np
import pytest
from PIL import Image

import samtailor
from samtailor.cli import main
from samtailor.data.phantom import make_phantom
from samtailor.models.zoo import Base
from samtailor.runs import Run
from samtailor.training.recorder import Recorder
from tests.generate import image_folder as make_image_folder

TINY = ("--base", "tiny-sam", "--epochs", "1", "--sampling.image_size", "32", "--batch_size", "8")


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four synthetic patients, two of them for testing."""
    return make_phantom(tmp_path_factory.mktemp("phantom") / "data", patients=4, shape=(6, 32, 32))


@pytest.fixture(scope="module")
def run(phantom: Path, tiny_base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the command line on the phantom."""
    directory = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", str(phantom), "--out", str(directory), *TINY]) == 0
    return directory


def metrics(run: Path) -> list[dict[str, str]]:
    """Rows of `metrics.csv` without the times."""
    with (run / "metrics.csv").open(newline="") as stream:
        return [
            {name: value for name, value in row.items() if name not in ("seconds", "waited")}
            for row in csv.DictReader(stream)
        ]


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one message of a refused command line."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    text = capsys.readouterr().err
    assert "Traceback" not in text
    (message,) = [line for line in text.splitlines() if line.startswith(f"samtailor {arguments[0]}: error:")]
    assert text.strip().endswith(message)
    return message


def test_training_leaves_a_run_and_says_how_to_go_on(
    phantom: Path, tiny_base: Base, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(phantom), "--out", str(tmp_path / "run"), *TINY]) == 0
    text = capsys.readouterr().out
    assert "4 cases, 0 errors" in text
    assert f"samtailor train {phantom}" not in text  # that is what runs
    assert "Warning: this training did not learn" in text  # of one epoch from random weights
    assert "samtailor evaluate" not in text
    Run(tmp_path / "run").write_warning(None)
    assert f"samtailor evaluate {tmp_path / 'run'} {phantom} --split test" in str(Run(tmp_path / "run"))
    for name in ("config.yaml", "dataset.json", "checkpoints/last.ckpt", "curves.png", "segmenter/segmenter.json"):
        assert (tmp_path / "run" / name).is_file()


def test_the_config_of_a_run_repeats_it(run: Path, tmp_path: Path) -> None:
    assert main(["train", "--config", str(run / "config.yaml"), "--out", str(tmp_path / "again")]) == 0
    assert metrics(tmp_path / "again") == metrics(run)
    weights = "segmenter/weights.safetensors"
    assert (tmp_path / "again" / weights).read_bytes() == (run / weights).read_bytes()


def test_a_run_is_evaluated_on_unseen_patients(run: Path, phantom: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), str(phantom), "--split", "test", "--bootstrap", "20"]) == 0
    assert "| liver" in capsys.readouterr().out
    content = json.loads((run / "evaluation" / "test" / "metrics.json").read_text())
    assert list(content["cases"]) == ["phantom_002", "phantom_003"]


def test_prediction_keeps_the_grid_and_survives_a_bad_file(
    run: Path, phantom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = sorted((phantom / "imagesTs").iterdir())
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(good[0].read_bytes()[:100])
    inputs = [str(path) for path in (good[0], bad, good[1])]
    assert main(["predict", str(run), *inputs, "--out", str(tmp_path / "out"), "--overlays"]) == 1
    captured = capsys.readouterr()
    assert f"2 written to {tmp_path / 'out'}" in captured.out
    assert "1 failed" in captured.err
    assert str(bad) in captured.err
    for source in good:
        image, label = nib.load(source), nib.load(tmp_path / "out" / source.name.replace("_0000", ""))
        assert label.shape == image.shape
        np.testing.assert_array_equal(label.affine, image.affine)


def test_the_same_from_python(run: Path, phantom: Path, tmp_path: Path) -> None:
    file = phantom / "imagesTs" / "phantom_002_0000.nii.gz"
    report = samtailor.predict(run, [file], tmp_path / "out")
    samtailor.load(run).predict(file).save(tmp_path / "single.nii.gz")
    driven, single = (np.asanyarray(nib.load(path).dataobj) for path in (report.written[0], tmp_path / "single.nii.gz"))
    np.testing.assert_array_equal(driven, single)


def test_pictures_go_all_the_way(tiny_base: Base, tmp_path: Path) -> None:
    data, run, out = make_image_folder(tmp_path / "data"), tmp_path / "run", tmp_path / "out"
    assert main(["train", str(data), "--out", str(run), *TINY, "--recipe", "head-only"]) == 0
    assert main(["evaluate", str(run), str(data), "--bootstrap", "20"]) == 0
    assert main(["predict", str(run), f"{data}/images/*_[12].png", "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["tile_1.png", "tile_2.png"]
    with Image.open(out / "tile_1.png") as mask:
        assert (mask.mode, mask.size) == ("P", (48, 40))


def test_bad_data_is_refused_before_anything_is_written(
    tiny_base: Base, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_image_folder(tmp_path / "data")
    (data / "masks" / "tile_3.png").unlink()
    message = refusal(capsys, "train", data, "--out", tmp_path / "run", *TINY)
    assert "forbid training" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--base", "sam-vit-z"), "expected one of sam-vit-b"),
        (("--sampling.image_size", "33"), "sampling.image_size: expected a multiple of 4"),
        (("--loss.class_weights", "[1, 2]"), "one weight for each of the 14 classes"),
        (("--weights", "nowhere.pth"), "nowhere.pth"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_written(
    phantom: Path,
    tiny_base: Base,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
    expected: str,
) -> None:
    assert expected in refusal(capsys, "train", phantom, "--out", tmp_path / "run", *TINY, *flags)
    assert not (tmp_path / "run").exists()


def test_each_bad_input_has_its_own_message(
    run: Path, phantom: Path, nnunet_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "new or empty directory" in refusal(capsys, "train", phantom, "--out", run, *TINY)
    assert "expected a run" in refusal(capsys, "evaluate", phantom, phantom)
    assert "expected the segmenter's classes" in refusal(capsys, "evaluate", run, nnunet_folder)
    assert "segmenter" in refusal(
        capsys, "predict", tmp_path / "nowhere", phantom / "imagesTs", "--out", tmp_path / "o"
    )
    assert "overwrite the input" in refusal(capsys, "predict", run, run / "curves.png", "--out", run)


def test_interrupted_training_is_resumed(
    phantom: Path, tiny_base: Base, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, epochs = tmp_path / "run", 4
    record = Recorder.on_train_epoch_end

    def interrupt(self: Recorder, trainer: lightning.Trainer, task: lightning.LightningModule) -> None:
        record(self, trainer, task)
        if trainer.current_epoch == 1:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "on_train_epoch_end", interrupt)
        assert main(["train", str(phantom), "--out", str(run), *TINY, "--epochs", str(epochs)]) == 130
    assert f"continue with samtailor train --resume {run}" in capsys.readouterr().err
    assert len(metrics(run)) < epochs
    assert main(["train", "--resume", str(run)]) == 0
    assert [int(row["epoch"]) for row in metrics(run)] == list(range(1, epochs + 1))
