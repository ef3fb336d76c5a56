"""The same segmenter scores alike in torch and OpenVINO."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.runtimes import main
from samtailor.data.intensity import Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.labels import LabelSpace
from samtailor.models.practice import Practice
from samtailor.models.zoo import Base
from tests import generate
from tests.unfitted import unfitted


def test_kinds_score_alike_in_single_precision(
    tiny_base: Base, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openvino", reason="needs the extra openvino")
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    data = generate.image_folder(tmp_path / "data")
    labels = LabelSpace.from_names(generate.PICTURE_CLASSES)
    run = unfitted(tiny_base, Preprocessing(Range(), 32, None, 3), Practice(tta="columns"), tmp_path / "run", labels)
    words = [str(run), str(data), "--out", str(tmp_path / "out"), "--kinds", "torch", "openvino"]
    assert main(words) == 0
    rows = re.findall(r"^\| (torch|openvino) +\| +([0-9.]+) ", (tmp_path / "out" / "results.md").read_text(), re.M)
    assert [name for name, _ in rows] == ["torch", "openvino"]
    ours, theirs = (float(score) for _, score in rows)
    assert ours > 0.05
    assert theirs == pytest.approx(ours, abs=1e-3)
    assert "times as fast" in capsys.readouterr().out
    assert main([str(tmp_path / "nothing"), str(data), "--out", str(tmp_path / "other")]) == 2
