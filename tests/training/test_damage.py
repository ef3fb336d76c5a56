"""A run whose files are damaged: every verb that reads it ends in one message, and changes nothing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from samtailor.cli import main
from samtailor.errors import SamTailorError
from samtailor.models.zoo import Base
from samtailor.runs import Run
from samtailor.segmenter import load
from samtailor.training.fit import AtomicCheckpointIO
from samtailor.training.train import resume
from tests import generate
from tests.test_files import full_disk
from tests.test_outputs import tree


@pytest.fixture(scope="module")
def interrupted(tiny_base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set and a run on it that has ended two of its three epochs, and has been evaluated."""
    root = tmp_path_factory.mktemp("interrupted")
    data = generate.nnunet_folder(root / "data")
    words = ["--sampling.image_size", "32", "--epochs", "2", "--device", "cpu", "--base", tiny_base.name]
    assert main(["train", str(data), "--out", str(root / "run"), *words]) == 0
    assert main(["evaluate", str(root / "run"), str(data), "--split", "val", "--bootstrap", "10"]) == 0
    config = root / "run" / "config.yaml"
    config.write_text(config.read_text().replace("epochs: 2", "epochs: 3"))
    return root


@pytest.fixture
def run(interrupted: Path, tmp_path: Path) -> Run:
    shutil.copytree(interrupted / "run", tmp_path / "run")
    return Run(tmp_path / "run")


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "binary": lambda content: bytes(range(256)) * 9,
    "a list": lambda content: b"[1, 2, 3]",
    "a number": lambda content: b"5",
    "deeply nested": lambda content: b"[" * 100_000,
    "objects without what is needed": lambda content: b'{"format": 1, "epochs": "x"}',
    "a tag": lambda content: b"epochs: !!python/object/apply:os.system ['touch /tmp/owned']",
}

FILES = (
    "config.yaml",
    "dataset.json",
    "metrics.csv",
    "checkpoints/last.ckpt",
    "segmenter/segmenter.json",
    "segmenter/weights.safetensors",
    "evaluation/val/metrics.json",
)


def verbs(run: Run, data: Path, out: Path) -> list[list[str]]:
    """Everything that reads a run."""
    return [
        ["resume", str(run.directory)],
        ["evaluate", str(run.directory), str(data), "--out", str(out)],
        ["predict", str(run.directory), str(data / "imagesTs"), "--out", str(out)],
        ["share", str(run.directory), "--out", str(out)],
        ["compare", str(run.directory), str(run.directory), "--split", "val", "--out", str(out)],
    ]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_named_in_one_message(
    damage: Callable[[bytes], bytes], file: str, run: Run, interrupted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run.directory / file
    path.write_bytes(damage(path.read_bytes()))
    before, out = tree(run.directory), run.directory.parent / "out"
    complaints = 0
    for words in verbs(run, interrupted / "data", out):
        if words[0] == "resume" and file.startswith(("segmenter", "evaluation")):
            continue  # it reads neither, and would go on
        code = main(words)
        error = capsys.readouterr().err
        assert code in (0, 2), words
        if code == 2:
            complaints += 1
            assert "Traceback" not in error
            assert file.rpartition("/")[2] in error, (words, error)
        else:
            shutil.rmtree(out)
        assert not out.exists() or not list(out.iterdir())
    assert complaints
    assert tree(run.directory) == before


WRONG: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("segmenter/segmenter.json", lambda c: c["preprocessing"].update(image_size=10**9)),
    ("segmenter/segmenter.json", lambda c: c["preprocessing"].update(image_size="32")),
    ("segmenter/segmenter.json", lambda c: c["preprocessing"].update(intensity={"kind": []})),
    ("segmenter/segmenter.json", lambda c: c["labels"].update(names="abc")),
    ("segmenter/segmenter.json", lambda c: c["labels"].update(ids=[0, 1, 10**12])),
    ("segmenter/segmenter.json", lambda c: c["labels"].update(palette=[[0, 0], [1], []])),
    ("segmenter/segmenter.json", lambda c: c["recipe"].update(rank=-1)),
    ("segmenter/segmenter.json", lambda c: c["recipe"].update(name={})),
    ("segmenter/segmenter.json", lambda c: c["base"].update(base=3)),
    ("segmenter/segmenter.json", lambda c: c.update(refinement=3)),
    ("dataset.json", lambda c: c.update(splits=[])),
    ("dataset.json", lambda c: c.update(splits={"val": 3})),
]


@pytest.mark.parametrize(("file", "change"), WRONG)
def test_a_wrong_value_is_named_with_its_file(
    file: str, change: Callable[[dict[str, Any]], Any], run: Run, interrupted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run.directory / file
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    assert main(["evaluate", str(run.directory), str(interrupted / "data"), "--split", "val"]) == 2
    assert f"{path}: expected" in capsys.readouterr().err


def test_a_wrong_refinement_is_named(run: Run, interrupted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run.directory / "segmenter" / "segmenter.json"
    for wrong in ({}, {"kind": []}, {"kind": "largest-component", "x": 1}):
        path.write_text(json.dumps({**json.loads(path.read_text()), "refinement": [wrong]}))
        assert main(["evaluate", str(run.directory), str(interrupted / "data"), "--split", "val"]) == 2
        assert "refinement: expected one of" in capsys.readouterr().err


@pytest.mark.parametrize("change", [{"optim": 3}, {"recipe": []}, {"epochs": -2}, {"rank": "x"}, {"nonsense": 1}])
def test_a_wrong_setting_is_named_with_its_file(change: dict[str, Any], run: Run) -> None:
    run.write_config({**run.read_config(), **change})
    with pytest.raises(SamTailorError, match=rf"{run.config_file}: .*{next(iter(change))}"):
        resume(run.directory)


def test_a_damaged_last_checkpoint_offers_the_best(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run.last_checkpoint.write_bytes(run.last_checkpoint.read_bytes()[:-1000])
    before = tree(run.directory)
    assert main(["resume", str(run.directory)]) == 2
    advice = f"samtailor resume {run.directory} --from best"
    assert advice in capsys.readouterr().err
    assert tree(run.directory) == before
    assert main(advice.split()[1:]) == 0
    assert [row["epoch"] for row in run.history()] == [1, 2, 3]
    assert run.is_finished()


def test_no_training_begins_anew_where_a_checkpoint_is_lost(run: Run) -> None:
    run.last_checkpoint.unlink()
    run.best_checkpoint.unlink()
    with pytest.raises(SamTailorError, match="of the last epoch, found none; restore it, or train again"):
        resume(run.directory)


def test_a_checkpoint_of_another_run_is_refused(run: Run) -> None:
    content = torch.load(run.last_checkpoint, weights_only=True)
    torch.save({**content, "state_dict": {"other": torch.zeros(1)}}, run.last_checkpoint)
    with pytest.raises(SamTailorError, match=rf"{run.last_checkpoint}: expected a checkpoint of this run"):
        resume(run.directory)


def test_a_lost_history_comes_back_from_the_checkpoint(run: Run) -> None:
    rows = run.history()
    run.history_file.write_bytes(b"\0")
    with pytest.raises(SamTailorError, match="delete it, and samtailor resume"):
        run.history()
    run.history_file.unlink()
    assert resume(run.directory).history()[:2] == rows


def test_no_tag_is_obeyed(run: Run, tmp_path: Path) -> None:
    owned = tmp_path / "owned"
    run.config_file.write_text(f"data: !!python/object/apply:os.system ['touch {owned}']\n")
    with pytest.raises(SamTailorError, match="python/object"):
        resume(run.directory)
    assert not owned.exists()
    assert yaml.safe_load("1") == 1


def test_a_damaged_segmenter_is_refused_in_python(run: Run) -> None:
    (run.segmenter_directory / "segmenter.json").write_text("{}")
    with pytest.raises(SamTailorError, match=r"segmenter\.json: expected format 1"):
        load(run.directory)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"x": torch.zeros(10)}, path)
    before = path.read_bytes()
    with (
        full_disk(5000),
        pytest.raises(SamTailorError, match=f"room for a checkpoint.*samtailor resume {tmp_path / 'run'}"),
    ):
        AtomicCheckpointIO().save_checkpoint({"x": torch.rand(10_000)}, path)
    assert [file.read_bytes() for file in path.parent.iterdir()] == [before]


@pytest.mark.parametrize("part", [0.2, 0.4, 0.6, 0.8, 0.95])
def test_a_config_that_was_cut_off_between_its_settings_is_refused(part: float, run: Run) -> None:
    lines = run.config_file.read_text().splitlines(keepends=True)
    run.config_file.write_text("".join(lines[: round(part * len(lines))]))
    with pytest.raises(SamTailorError, match=rf"{re.escape(str(run.config_file))}: "):
        resume(run.directory)


@pytest.mark.parametrize(
    ("lost", "told"),
    [
        (("sampling", "image_size"), r"sampling\.image_size"),
        (("optim", "lr"), r"optim\.lr"),
        (("augment", "flip"), r"augment\.flip"),
        (("augment", "zoom"), r"augment\.zoom"),  # has a default, which may be another than what was trained with
    ],
)
def test_a_config_that_has_lost_what_was_decided_is_refused(lost: tuple[str, str], told: str, run: Run) -> None:
    content = yaml.safe_load(run.config_file.read_text())
    del content[lost[0]][lost[1]]
    run.config_file.write_text(yaml.safe_dump(content))
    with pytest.raises(
        SamTailorError, match=rf"config.yaml: expected the settings .* all decided, found none of {told}"
    ):
        resume(run.directory)
