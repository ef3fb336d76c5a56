"""Two processes do what one does: the same gradients and scores, every case once, none lost with a process."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import socket
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

import samtailor
from samtailor.cli import main
from samtailor.data.intensity import ByChannel, Percentile, Range
from samtailor.models.segmenter_model import load_model
from samtailor.models.sources import fetch
from samtailor.models.zoo import Base
from samtailor.training.task import SegmentationTask
from tests import generate
from tests.data.formats.test_geotiff import write
from tests.distributed.program import Plan, losses_and_gradients, record_gradients, run
from tests.inference.test_predict import make_segmenter
from tests.inference.test_scenes import noise, require_same
from tests.inference.test_scenes import segmenter as scene_segmenter

ROOT = Path(__file__).parents[2]
CLOCKS = ("seconds", "waited")
TRAIN = ["--base", "tiny-sam", "--device", "cpu", "--sampling.image_size", "32", "--loss.class_weights", "auto"]


def torchrun(plan: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Two processes of torchrun on this machine, each with a cache of its own and one thread."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    return subprocess.run(
        [*launcher, "-m", "tests.distributed.program", str(plan)],
        cwd=ROOT,
        env={**os.environ, "SAMTAILOR_HOME": str(home), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )


@dataclass(frozen=True)
class Ended:
    """What is left of a process: its exit code, negative for a signal; its output and error output."""

    code: int | None
    output: str
    errors: str


def slurm(plan: Plan, home: Path) -> list[Ended]:
    """Two processes with the variables that SLURM's srun gives them, forked off this one, which has imported all."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    step = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NUM_NODES": "1", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2"}
    step |= {"SLURM_NODELIST": "localhost", "SLURM_NODEID": "0", "MASTER_PORT": port, "SAMTAILOR_HOME": str(home)}
    context = multiprocessing.get_context("fork")
    texts = [[Path(plan.notes) / f"{name}-{rank}.txt" for name in ("output", "errors")] for rank in range(2)]
    processes = []
    for rank, files in enumerate(texts):
        own = {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}
        processes.append(context.Process(target=_forked, args=(plan, {**step, **own}, files)))
        processes[-1].start()
    try:
        for process in processes:
            process.join(600)
    finally:
        for process in processes:
            process.kill()
    return [
        Ended(process.exitcode, *(file.read_text() for file in files))
        for process, files in zip(processes, texts, strict=True)
    ]


def _forked(plan: Plan, variables: dict[str, str], files: list[Path]) -> None:
    """Carry out a plan with more variables; its output and its error output go to two files."""
    os.environ.update(variables)
    torch.set_num_threads(1)  # those of the pool are not there after a fork
    for stream, descriptor, file in zip((sys.stdout, sys.stderr), (1, 2), files, strict=True):
        stream.flush()
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), descriptor)
    sys.stdout, sys.stderr = (os.fdopen(descriptor, "w", buffering=1, closefd=False) for descriptor in (1, 2))
    sys.exit(run(plan))


def uneven_folder(root: Path) -> Path:
    """Pictures to share unevenly: four to train on, five to validate on, with more and less ignored in each."""
    generate.image_folder(root, cases=10)
    names = [f"tile_{index}" for index in range(10)]
    for index, name in enumerate(names):
        mask = np.array(Image.open(root / "masks" / f"{name}.png"))
        mask[: 3 * index] = 255
        Image.fromarray(mask).save(root / "masks" / f"{name}.png")
    description = json.loads((root / "dataset.json").read_text())
    splits = {"train": names[:4], "val": names[4:9], "test": names[9:]}
    generate.write_json(root / "dataset.json", {**description, "ignore_index": 255, "splits": splits})
    return root


def rows_of(run: Path) -> list[dict[str, float]]:
    """Numbers of metrics.csv, but for those of the clock."""
    with (run / "metrics.csv").open(newline="") as stream:
        return [{k: float(v) for k, v in row.items() if k not in CLOCKS} for row in csv.DictReader(stream)]


def test_two_processes_train_as_one(tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = uneven_folder(tmp_path / "data")
    # Seven samples in batches of four: the last batch gives one process two, the other one and a filling.
    flags = ["train", str(data), *TRAIN, "--epochs", "2", "--sampling.per_epoch", "7", "--optim.ema", "0.5"]
    prompts = ["--recipe", "head-only", "--prompt_fraction", "0.5"]
    plan = Plan(
        str(fetch(tiny_base.weights)),
        str(tmp_path),
        [[*flags, "--out", str(tmp_path / "two")], [*flags, *prompts, "--out", str(tmp_path / "prompted")]],
        str(tmp_path / "gradients.pt"),
        str(tmp_path / "losses.pt"),
    ).write(tmp_path / "plan.json")
    (tmp_path / "home").mkdir()
    result = torchrun(plan, tmp_path / "home")
    assert result.returncode == 0, result.stderr

    for found, expected in zip(
        torch.load(plan.parent / "losses.pt", weights_only=True), losses_and_gradients(np.s_[:]), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)

    monkeypatch.setattr(SegmentationTask, "on_before_optimizer_step", SegmentationTask.on_before_optimizer_step)
    steps = record_gradients()
    assert main([*flags, "--out", str(tmp_path / "one")]) == 0
    shared = torch.load(tmp_path / "gradients.pt", weights_only=True)[: len(steps)]
    assert len(steps) == 4
    for found, expected in zip(shared, steps, strict=True):
        assert found.keys() == expected.keys()
        size = sum(float(gradient.square().sum()) for gradient in expected.values()) ** 0.5
        error = sum(float((found[name] - expected[name]).square().sum()) for name in expected) ** 0.5
        assert error < 1e-5 * size

    for found, expected in zip(rows_of(tmp_path / "two"), rows_of(tmp_path / "one"), strict=True):
        assert found == pytest.approx(expected, rel=1e-4)
    assert len(rows_of(tmp_path / "prompted")) == 2
    assert np.isfinite([row["loss"] for row in rows_of(tmp_path / "prompted")]).all()
    assert load_model(tmp_path / "two").labels.names == generate.PICTURE_CLASSES
    built = Counter(line for rank in range(2) for line in (tmp_path / f"built-{rank}.txt").read_text().split())
    assert len(built) == 9
    assert set(built.values()) == {1}, "two processes have cut the same case into slices"
    assert result.stdout.count("kept  ") == 2, "more than one process has spoken"


def test_all_processes_stop_within_an_epoch_and_go_on_there(tiny_base: Base, tmp_path: Path) -> None:
    data = uneven_folder(tmp_path / "data")
    flags = ["train", str(data), *TRAIN, "--epochs", "2", "--sampling.per_epoch", "7", "--optim.ema", "0.5"]
    whole, part = tmp_path / "whole", tmp_path / "part"
    commands = [[*flags, "--out", str(whole)], [*flags, "--out", str(part)], ["train", "--resume", str(part)]]
    # The first step of the second training: only one process is told.
    plan = Plan(str(fetch(tiny_base.weights)), str(tmp_path), commands, stopped=5)
    (tmp_path / "home").mkdir()
    ended = slurm(plan, tmp_path / "home")
    assert [process.code for process in ended] == [0, 0], ended
    told = f"interrupted: continue with samtailor train --resume {part}"
    assert [process.errors.count(told) for process in ended] == [1, 1]  # both have stopped
    assert rows_of(part) == rows_of(whole)
    states = [torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for run in (part, whole)]
    assert all(torch.equal(states[0][name], value) for name, value in states[1].items())


def test_every_case_is_predicted_once_though_a_process_dies(
    tiny_base: Base, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    segmenter = make_segmenter(tmp_path / "segmenter", tiny_base, 1)
    inputs = tmp_path / "in"
    for index in range(5):
        generate.write_volume(inputs / f"case_{index}.nii.gz", generate.volume((20, 16, 5), index)[0])
    command = ["predict", str(segmenter), str(inputs), "--out", str(tmp_path / "out"), "--device", "cpu"]
    weights = str(fetch(tiny_base.weights))
    first, killed = slurm(Plan(weights, str(tmp_path), [command], dies=1), tmp_path / "home")
    assert (first.code, killed.code, killed.output) == (1, -9, "")
    assert "4 written" in first.output
    assert f"{inputs / 'case_3.nii.gz'}: its process has ended early" in first.errors
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == [f"case_{i}.nii.gz" for i in (0, 1, 2, 4)]

    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("[!.]*")}
    capsys.readouterr()
    assert main([*command, "--skip_existing"]) == 0
    assert "1 written" in (told := capsys.readouterr().out)
    assert "4 were there" in told
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    alone = samtailor.predict(segmenter, [inputs], tmp_path / "alone", device="cpu")
    assert len(alone.written) == 5
    for path in alone.written:
        images = [np.asanyarray(nib.load(folder / path.name).dataobj) for folder in (tmp_path / "out", path.parent)]
        np.testing.assert_array_equal(*images)


def test_a_scene_that_is_shared_by_rows_is_that_of_one_process(tiny_base: Base, tmp_path: Path) -> None:
    intensity = ByChannel((Percentile(), Range(0, 3000), Percentile(2, 98), Percentile()))
    segmenter = scene_segmenter(tmp_path / "segmenter", tiny_base, intensity)
    (tmp_path / "in").mkdir()
    for index, size in enumerate([(230, 70), (40, 70), (250, 40)]):  # the last one is left over
        image = noise("uint16", size=size)
        image[:, 100:180, 30:] = 0
        write(tmp_path / "in" / f"scene_{index}.tif", image, nodata=0)
    flags = ["predict", str(segmenter), str(tmp_path / "in"), "--device", "cpu", "--probabilities", "--overlays"]
    flags += ["--polygons", "geojson"]
    plan = Plan(str(fetch(tiny_base.weights)), str(tmp_path), [[*flags, "--out", str(tmp_path / "two")]])
    ended = slurm(plan, tmp_path / "home")
    assert [process.code for process in ended] == [0, 0], ended
    assert "3 written" in ended[0].output
    assert main([*flags, "--out", str(tmp_path / "one")]) == 0
    names = {path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*")}
    assert {path.relative_to(tmp_path / "two") for path in (tmp_path / "two").rglob("*")} == names
    for name in (name for name in names if name.suffix == ".tif"):
        require_same(tmp_path / "two" / name, tmp_path / "one" / name)
    for name in ("overlays/scene_2.png", "polygons/scene_2.geojson"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_nothing_is_left_of_a_scene_of_which_a_process_has_died(tiny_base: Base, tmp_path: Path) -> None:
    segmenter = scene_segmenter(tmp_path / "segmenter", tiny_base, Percentile())
    scene = write(tmp_path / "scene.tif", noise("uint16", size=(230, 70)))
    command = ["predict", str(segmenter), str(scene), "--out", str(tmp_path / "out"), "--device", "cpu"]
    plan = Plan(str(fetch(tiny_base.weights)), str(tmp_path), [command], dies=1)
    first, killed = slurm(plan, tmp_path / "home")
    assert (first.code, killed.code) == (1, -9)
    assert f"{scene}: its process has ended early" in first.errors
    assert not list((tmp_path / "out").iterdir())


def test_devices_starts_the_processes_and_keeps_the_exit_code(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "case.nii.gz").touch()
    files = [str(tmp_path / "nowhere"), str(tmp_path / "case.nii.gz"), "--out", str(tmp_path / "out")]
    before = dict(os.environ)
    assert main(["predict", *files, "--device", "cpu", "--devices", "2"]) == 2
    assert dict(os.environ) == before
    text = capfd.readouterr().err
    assert text.count("samtailor predict: error:") == 1
    assert not (tmp_path / "out").exists()
