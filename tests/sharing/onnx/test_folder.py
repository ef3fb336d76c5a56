"""What is exported gives the segmenter's class logits in ONNX Runtime, for any image, batch and size."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

import samtailor
import samtailor.sharing.onnx.tracing as tracing
from samtailor.data.intensity import ByChannel, Percentile, Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.errors import ConfigError
from samtailor.labels import LabelSpace
from samtailor.models.class_aware import Prompts
from samtailor.models.practice import Practice
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base
from samtailor.recipes import Adapter, Full, HeadOnly, LoRA, Recipe
from samtailor.segmenter import Segmenter
from samtailor.sharing.onnx.folder import export_network
from samtailor.sharing.onnx.formats import ExportFormat

ort = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
LABELS = LabelSpace(("background", "field", "water"), (0, 7, 9), ((0, 0, 0), (0, 255, 0), (0, 0, 255)))

Array = NDArray[Any]
TOLERANCE = 1e-4
BIAS = (0.5, -0.25, 0.0)


def new_segmenter(base: Base, recipe: Recipe, channels: int = 3, **more: Any) -> SegmenterModel:
    torch.manual_seed(1)
    preprocessing = Preprocessing(Range(), 64, None, channels)
    model = SegmenterModel.create(base.name, recipe, LABELS, preprocessing, **more).eval()
    with torch.no_grad():
        for value in model.trained_state().values():
            value += 0.2 * torch.randn(value.shape)
    return model


def scenes(batch: int, channels: int, side: int) -> Tensor:
    """Images of large patches, which networks with random weights tell apart: noise looks all the same to them."""
    return F.interpolate(torch.rand(batch, channels, 4, 4) * torch.rand(batch, channels, 1, 1), (side, side))


def run(file: Path, *values: Tensor) -> list[Array]:
    session = ort.InferenceSession(file)
    feed = {one.name: value.numpy() for one, value in zip(session.get_inputs(), values, strict=True)}
    return list(session.run(None, feed))


def assert_same(found: Array, expected: Tensor) -> None:
    assert expected.std() > 1e-3
    assert found.shape == expected.shape
    assert np.abs(found - expected.numpy()).max() < TOLERANCE * expected.abs().max()


KINDS: list[tuple[Recipe, int, bool]] = [
    (LoRA(rank=2, dora=True, layers="all"), 3, False),
    (Adapter(), 3, True),
    (LoRA(rank=2), 3, False),
    (Adapter(depth=True), 3, False),
    (HeadOnly(), 4, False),
    (Full(), 1, True),
]
EXPORTED = [
    *(("tiny-vit", *kind) for kind in KINDS),
    *((name, *kind) for name in ("sam", "sam2") for kind in KINDS[:2]),
]


@pytest.mark.parametrize(("any_base", "recipe", "channels", "fine"), EXPORTED, ids=str, indirect=["any_base"])
def test_the_network_gives_the_class_logits_of_every_image_batch_and_size(
    recipe: Recipe, channels: int, fine: bool, any_base: Base, tmp_path: Path
) -> None:
    model = new_segmenter(any_base, recipe, channels, fine_features=fine)
    export_network(model, tmp_path / "export")
    session = ort.InferenceSession(tmp_path / "export" / "segmenter.onnx")
    seen: list[Array] = []
    for batch, side in ((1, 64), (1, 64), (3, 160)):
        images = scenes(batch * model.group, max(3, channels), side)
        with torch.no_grad():
            expected = model(images)
        seen += session.run(None, {"images": images.numpy()})
        assert_same(seen[-1], expected)
    assert np.abs(seen[0] - seen[1]).max() > 10 * TOLERANCE * np.abs(seen[0]).max()  # two images


def test_openvino_gives_the_class_logits_in_single_precision(any_base: Base, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino", reason="needs the extra openvino")
    model = new_segmenter(any_base, Adapter(), fine_features=True)
    export_network(model, tmp_path / "export", split=True, format="openvino")
    names = {f"{part}.{end}" for part in ("segmenter", "encoder", "decoder") for end in ("xml", "bin")}
    assert {path.name for path in (tmp_path / "export").iterdir()} == names | {"README.md"}
    file = tmp_path / "export" / "segmenter.xml"
    network = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for batch, side in ((1, 64), (3, 160)):
        images = scenes(batch, 3, side)
        with torch.no_grad():
            assert_same(network(images.numpy())[0], model(images))


@pytest.mark.parametrize("format", get_args(ExportFormat))
def test_the_extra_of_the_format_is_asked_for(
    format: ExportFormat, tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)  # importing it is an error
    with pytest.raises(ConfigError, match=rf"pip install 'samtailor\[{format}\]'"):
        export_network(new_segmenter(tiny_base, HeadOnly()), tmp_path / "export", format=format)
    assert not (tmp_path / "export").exists()


def test_it_is_told_what_was_written(tiny_base: Base, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="needs the extra openvino")
    model = new_segmenter(tiny_base, HeadOnly())
    model.save(tmp_path / "run")
    for format, names in {"onnx": ["segmenter.onnx"], "openvino": ["segmenter.bin", "segmenter.xml"]}.items():
        found = samtailor.export(tmp_path / "run", tmp_path / "export", format=format, overwrite=True)
        assert [file.name for file in found.files] == names
        assert all(file.stat().st_size > 10_000 for file in found.files)
        assert str(found).splitlines()[-1] == f"card     {tmp_path / 'export' / 'README.md'}"


@pytest.mark.parametrize(
    ("any_base", "fine"), [("tiny-vit", False), ("sam", True), ("sam2", True)], indirect=["any_base"]
)
def test_the_pair_draws_what_is_prompted_for(fine: bool, any_base: Base, tmp_path: Path) -> None:
    model = new_segmenter(any_base, Adapter(), fine_features=fine)
    export_network(model, tmp_path / "export", split=True)
    images = torch.rand(2, 3, 96, 96)
    always = any_base.family == "sam2"
    with torch.no_grad():
        features = model.encode(images)
        found = run(tmp_path / "export" / "encoder.onnx", images)
        for one, other in zip(found, features, strict=True):
            assert_same(one, other)
        points, labels = torch.rand(2, 3, 2) * 96, torch.tensor([[1, 0, 1], [0, 1, -1]])
        boxes = torch.tensor([[3.0, 4.0, 50.0, 60.0], [10.0, 1.0, 90.0, 33.0]])
        mask = torch.randn(2, 4 * features[0].shape[2], 4 * features[0].shape[3])
        corners, ends = boxes.view(2, 2, 2), torch.tensor([[2, 3], [2, 3]])
        empty, none = torch.zeros(2, 1, 2), torch.full((2, 1), -1)
        off, on = torch.zeros(2), torch.ones(2)
        cases = [
            (Prompts(points, labels), [points, empty], [labels, none], off),
            (Prompts(boxes=boxes), [corners, *([empty] if always else [])], [ends, *([none] if always else [])], off),
            (
                Prompts(points, labels, boxes, mask),
                [points, corners, *([empty] if always else [])],
                [labels, ends, *([none] if always else [])],
                on,
            ),
        ]
        for prompts, places, kinds, has_mask in cases:
            expected = model.network.decode_prompted(features, prompts)
            asked = (torch.cat(places, dim=1), torch.cat(kinds, dim=1), mask, has_mask)
            (drawn,) = run(tmp_path / "export" / "decoder.onnx", *features, *asked)
            assert_same(drawn, expected)
    metadata = ort.InferenceSession(tmp_path / "export" / "decoder.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(metadata["empty_point"]) == ("always" if always else "without a box")


def test_the_file_says_all_that_prediction_needs(tiny_base: Base, tmp_path: Path) -> None:
    practice = Practice(bias=BIAS, tta="both", wide=0.3, refinement=({"kind": "crf"},))
    model = new_segmenter(tiny_base, HeadOnly(), practice=practice)
    model.preprocessing = Preprocessing(ByChannel((Range(), Percentile(1, 99), Range(0, 9))), 64, 32, 3, seen=500)
    export_network(model, tmp_path / "export")
    session = ort.InferenceSession(tmp_path / "export" / "segmenter.onnx")
    known = session.get_modelmeta().custom_metadata_map
    assert {key: json.loads(value) for key, value in known.items()} == {
        "classes": ["background", "field", "water"],
        "ids": [0, 7, 9],
        "colours": [[0, 0, 0], [0, 255, 0], [0, 0, 255]],
        "preprocessing": model.preprocessing.to_json(),
        "bias": list(BIAS),
        "tta": "both",
        "wide": 0.3,
        "refinement": [{"kind": "crf"}],
        "slices": 1,
        "stride": 4,
        "base": "tiny-sam",
        "empty_point": "without a box",
        "samtailor": samtailor.__version__,
        "part": "segmenter",
    }


@pytest.mark.parametrize("format", get_args(ExportFormat))
def test_the_cards_code_runs_and_gives_the_segmenters_classes(
    format: ExportFormat, tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(format, reason=f"needs the extra {format}")
    model = new_segmenter(tiny_base, HeadOnly(), practice=Practice(bias=BIAS))
    export_network(model, tmp_path / "export", format=format)
    images = scenes(2, 3, 64)
    with torch.no_grad():
        expected = (model(images) + torch.tensor(BIAS)[:, None, None]).argmax(dim=1)
    (code,) = re.findall(r"```python\n(.*?)```", (tmp_path / "export" / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path / "export")
    names = {"images": images.numpy()}
    exec(code, names)
    assert len(np.unique(expected)) > 1
    ties = {"onnx": 1e-3, "openvino": 2e-2}[format]  # two classes equally likely; OpenVINO may compute in bfloat16
    assert (names["classes"] != expected.numpy()).mean() < ties


def test_the_segmenter_stays_as_it_is_and_an_earlier_export_is_replaced(tiny_base: Base, tmp_path: Path) -> None:
    model = new_segmenter(tiny_base, LoRA(rank=2))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    segmenter = Segmenter(model)
    segmenter.export(tmp_path / "export", split=True)
    names = {"README.md", "segmenter.onnx", "encoder.onnx", "decoder.onnx"}
    assert {path.name for path in (tmp_path / "export").iterdir()} == names
    segmenter.export(tmp_path / "export")
    assert {path.name for path in (tmp_path / "export").iterdir()} == {"README.md", "segmenter.onnx"}
    with pytest.raises(ConfigError, match=r"format: expected one of onnx, openvino; found 'tflite'"):
        segmenter.export(tmp_path / "export", format="tflite")  # type: ignore[arg-type]
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    (tmp_path / "export" / "mine.txt").touch()
    with pytest.raises(ConfigError, match=r"earlier share, found mine\.txt"):
        segmenter.export(tmp_path / "export")


def test_weights_that_are_too_many_for_one_file_lie_beside_it(
    tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "LARGEST", 1000)
    model = new_segmenter(tiny_base, HeadOnly())
    export_network(model, tmp_path / "export")
    folder = (tmp_path / "export").rename(tmp_path / "elsewhere")
    weights = sum(parameter.nbytes for parameter in model.network.parameters())
    assert (folder / "segmenter.onnx.data").stat().st_size > 0.8 * weights
    assert len(onnx.load(folder / "segmenter.onnx").graph.initializer) > 10
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert_same(run(folder / "segmenter.onnx", images)[0], model(images))


def test_what_tracing_bakes_in_is_refused(tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SegmenterModel, "forward", lambda _, images: images * float(images.mean()))
    model = new_segmenter(tiny_base, HeadOnly())
    with pytest.raises(ConfigError, match=r"found logits of segmenter off by"):
        export_network(model, tmp_path / "export")
    assert not (tmp_path / "export").exists()
