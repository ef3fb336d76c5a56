"""The benchmark runs, writes both files, judges its targets by what it found, and refuses what cannot be."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import __main__ as program
from benchmarks import attention
from benchmarks.encoder import TINY
from benchmarks.line import Place, Side, Target
from benchmarks.lines import LINES, find, select
from benchmarks.machine import Machine
from benchmarks.results import add, read
from benchmarks.row import Row
from benchmarks.training_step import training_step
from samtailor.models.relative_attention import Attended

MACHINE = Machine("Example CPU @ 1 GHz", 2, None, "3.11", "2.13", "5.23")
ROW = Row("encoder-512", "work", "peer", "wall", (1.0, 2.0, 9.0), (3.0, 4.0, 5.0), 1.0, 2.0, gflop=10, matrix_rate=10)


def test_a_tiny_line_is_measured_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--lines", "check", "--small", "--repeats", "1", "--out", str(tmp_path)]) == 0
    (page,), (file,) = tmp_path.glob("*-small.md"), tmp_path.glob("*-small.json")
    assert "| check |" in page.read_text()
    assert page.read_text() in capsys.readouterr().out
    (line,) = json.loads(file.read_text())["lines"]
    assert len(line["seconds"]) == len(line["peer_seconds"]) == 1
    assert line["gigabytes"] >= 0
    assert str(Path.home()) not in file.read_text()


def test_targets_are_judged_by_the_medians() -> None:
    row = replace(ROW, targets=(Target("times", 2.0), Target("times", 2.1), Target("memory", 0.5), Target("rate", 0.6)))
    assert [verdict["met"] for verdict in row.verdicts()] == [True, False, True, False]
    assert [verdict["met"] for verdict in replace(row, small=True).verdicts()] == [None] * 4


def test_lines_stay_until_they_are_measured_again(tmp_path: Path) -> None:
    add(ROW, MACHINE, tmp_path)
    add(replace(ROW, name="check"), MACHINE, tmp_path)
    rows = add(replace(ROW, seconds=(7.0,)), MACHINE, tmp_path)
    assert [(row.name, row.seconds) for row in rows] == [("encoder-512", (7.0,)), ("check", (1.0, 2.0, 9.0))]
    assert read(tmp_path / f"{MACHINE.kind}.json", MACHINE) == rows
    assert add(ROW, replace(MACHINE, torch="2.14"), tmp_path) == [ROW]


def test_lines_are_chosen_by_pattern() -> None:
    assert [line.name for line in select(["side-*", "check"], "cpu")][:2] == ["check", "side-256"]
    assert {line.device for line in select([], "cuda")} == {"cuda"}
    assert all(line.usual for line in select([], "cpu"))
    assert len({line.name for line in LINES}) == len(LINES)
    with pytest.raises(ValueError, match="found 'gpu-lora-1024'"):
        select(["gpu-lora-1024"], "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_its_lines_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        program.main(["--gpu"])
    assert "expected a CUDA device, found none" in capsys.readouterr().err


@pytest.mark.parametrize("side", ["ours", "peer"])
def test_the_work_of_a_gpu_line_runs(side: Side, tmp_path: Path) -> None:
    assert find("gpu-lora-1024").device == "cuda"
    work = training_step(TINY.image_size, 2, 3)(side, Place(tmp_path, small=True))
    work.run()
    assert work.gflop is not None
    assert work.gflop() > 0


@pytest.mark.parametrize("way", attention.WAYS)
def test_all_ways_of_attention_agree(way: str, tmp_path: Path) -> None:
    # FlexAttention computes no gradients on a CPU.
    given = Attended(*(tensor.detach() for tensor in attention.attended(2, 3, Place(tmp_path))))
    found, expected = (chosen(given, attention.HEADS) for chosen in (attention.WAYS[way], attention.whole_bias))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_lines_are_known_where_only_the_core_is_installed() -> None:
    extras = ["SimpleITK", "highdicom", "onnx", "onnxruntime", "openvino", "pydicom", "rasterio"]
    extras += ["segment_anything", "starlette", "uvicorn"]
    without = f"import sys; sys.modules.update(dict.fromkeys({extras}))"  # importing one of them is an error
    code = f"{without}; from benchmarks.__main__ import main; main(['--list'])"
    root = Path(__file__).resolve().parents[2]
    listed = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert listed.returncode == 0, listed.stderr
    assert "gpu-lora-1024" in listed.stdout
