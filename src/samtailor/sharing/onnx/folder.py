"""A folder with a segmenter as ONNX or for OpenVINO, and a card that says how it is run."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from samtailor.data.channels import COLOURS
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import find_base
from samtailor.settings import require
from samtailor.sharing.card import PICTURE_NAME, write_card
from samtailor.sharing.folder import CARD_NAME, whole_folder
from samtailor.sharing.onnx.formats import NETWORK_ENDS, WEIGHTS_ENDS, ExportFormat
from samtailor.sharing.onnx.networks import Encoder, PromptDecoder, plain_copy
from samtailor.sharing.onnx.openvino_file import require_openvino, write_openvino
from samtailor.sharing.onnx.tracing import NetworkPart, require_onnx, write_onnx
from samtailor.sharing.record import read_record
from samtailor.version import VERSION

SEGMENTER, ENCODER, DECODER = "segmenter", "encoder", "decoder"
"""Names of the networks and, but for their ends, of their files."""

_ENDS = (*NETWORK_ENDS.values(), *WEIGHTS_ENDS.values())

NAMES = frozenset({CARD_NAME, PICTURE_NAME, *(name + end for name in (SEGMENTER, ENCODER, DECODER) for end in _ENDS)})
"""Files of an exported segmenter, in any format."""

_REQUIRED = {"onnx": require_onnx, "openvino": require_openvino}
_WRITERS = {"onnx": write_onnx, "openvino": write_openvino}
"""What a format needs, and what writes it."""

_EXAMPLE, _OTHER = 5, 17
"""Cells of the embedding along a side of what is traced, and of what it is compared on: more than any window has."""

_SQUARE = {0: "batch", 2: "side", 3: "side"}


def export_network(
    model: SegmenterModel,
    folder: Path,
    split: bool = False,
    run: Path | None = None,
    picture: bool = False,
    format: ExportFormat = "onnx",
) -> None:
    """Write a segmenter for other programs (see `Segmenter.export`), under the folder's name.

    Raises:
        ConfigError: If the extra is missing, or the folder holds something else; then nothing is written.
    """
    require_format(format)
    record = read_record(run, model, picture) if run else None
    copied = plain_copy(model)
    with whole_folder(folder, NAMES) as scratch:
        for part in [_whole(copied), *(_pair(copied) if split else [])]:
            _WRITERS[format](part, scratch, _described(model, part))
        write_card(scratch, model, folder.resolve().name, record, format, _how_to_run(model, split, format))


def require_format(format: ExportFormat) -> None:
    """Refuse to begin with a format that there is not, or without the packages that it needs."""
    require({"format": format}, {"format": ExportFormat})
    _REQUIRED[format]()


def _images(model: SegmenterModel, cells: int, groups: int) -> Tensor:
    """Network inputs of random patches, which networks tell apart better than noise, (B, C, N, N); always the same."""
    side, generator = cells * find_base(model.base.base).stride, torch.Generator().manual_seed(0)
    patches = torch.rand(groups * model.group, _channels(model), 4, 4, generator=generator)
    return F.interpolate(patches, (side, side))


def _channels(model: SegmenterModel) -> int:
    """Channels of the network's input."""
    return model.preprocessing.channels if model.network.is_projected else COLOURS


def _whole(model: SegmenterModel) -> NetworkPart:
    """Images to class logits."""
    example, other = _images(model, _EXAMPLE, 1), _images(model, _OTHER, 2)
    outputs = {"logits": {0: "batch", 2: "rows", 3: "columns"}}
    return NetworkPart(SEGMENTER, model, (example,), (other,), {"images": _SQUARE}, outputs)


def _pair(model: SegmenterModel) -> list[NetworkPart]:
    """Images to feature maps, and these with prompts to the mask of an object."""
    encoder, decoder = Encoder(model), PromptDecoder(model.network)
    seen = [_images(model, _EXAMPLE, 1), _images(model, _OTHER, 2)]
    with torch.no_grad():
        known = [encoder(images) for images in seen]
    maps = {f"features_{i}": {0: "batch", 2: f"rows_{i}", 3: f"columns_{i}"} for i in range(len(known[0]))}
    prompts = {
        "points": {0: "batch", 1: "count"},
        "labels": {0: "batch", 1: "count"},
        "mask": {0: "batch", 1: "rows", 2: "columns"},
        "has_mask": {0: "batch"},
    }
    examples = [(*features, *_prompts(features[0], count)) for features, count in zip(known, (2, 5), strict=True)]
    mask = {"mask_logits": {0: "batch", 1: "rows", 2: "columns"}}
    return [
        NetworkPart(ENCODER, encoder, (seen[0],), (seen[1],), {"images": _SQUARE}, maps),
        NetworkPart(DECODER, decoder, examples[0], examples[1], maps | prompts, mask),
    ]


def _prompts(embedding: Tensor, count: int) -> tuple[Tensor, ...]:
    """Points of all kinds and a mask for every second image."""
    batch, cells = embedding.shape[0], embedding.shape[2]
    points = torch.arange(batch * count * 2).view(batch, count, 2) % (4 * cells)
    labels = (torch.arange(count) % 5 - 1).expand(batch, -1).contiguous()
    mask = torch.linspace(-4, 4, (4 * cells) ** 2).view(1, 4 * cells, 4 * cells).expand(batch, -1, -1).contiguous()
    return points.float(), labels, mask, (torch.arange(batch) % 2).float()


def _described(model: SegmenterModel, part: NetworkPart) -> dict[str, str]:
    """What who has nothing but the file must know to run it as samtailor would, as JSON by name."""
    labels, practice, base = model.labels, model.practice, find_base(model.base.base)
    content = {
        "classes": labels.names,
        "ids": labels.ids,
        "colours": labels.palette,
        "preprocessing": model.preprocessing.to_json(),
        "bias": practice.bias or [0.0] * len(labels),
        "tta": practice.tta,
        "wide": practice.wide,
        "refinement": [dict(step) for step in practice.refinement],
        "slices": model.group,
        "stride": base.stride,
        "base": base.name,
        "empty_point": "always" if base.family == "sam2" else "without a box",
        "samtailor": VERSION,
        "part": part.name,
    }
    return {key: json.dumps(value) for key, value in content.items()}


_SESSIONS: dict[ExportFormat, str] = {
    "onnx": """\
import onnxruntime

session = onnxruntime.InferenceSession("segmenter.onnx")
known = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
(logits,) = session.run(None, {"images": images})""",
    "openvino": """\
import openvino

network = openvino.Core().read_model("segmenter.xml")
known = {key: json.loads(value.value) for key, value in network.rt_info["framework"].items()}
logits = openvino.compile_model(network, "CPU")(images)[0]""",
}
"""How class logits are made, by format: Python, of `images`, with what the file knows as `known`."""


def _how_to_run(model: SegmenterModel, split: bool, format: ExportFormat) -> str:
    """How the network is run, Markdown."""
    size, stride = model.preprocessing.image_size, find_base(model.base.base).stride
    shape, end = f"(B, {_channels(model)}, {size}, {size})", NETWORK_ENDS[format]
    together = f" B is a multiple of {model.group}: neighbouring slices." if model.group > 1 else ""
    prompts = (
        f"\n`{ENCODER}{end}` and `{DECODER}{end}` draw the mask of one object from points and boxes (samtailor's "
        "documentation, docs/guide/onnx.md, says how they are called)."
    )
    return f"""\
```python
import json
import numpy as np
{_SESSIONS[format]}
classes = (logits + np.array(known["bias"], np.float32)[:, None, None]).argmax(axis=1)  # of known["classes"]
```

`images` are float32 {shape} in [0, 1], made as described under Preprocessing, which `known["preprocessing"]` holds
too; normalisation is part of the network. Sides may be any multiple of {stride}; it was fitted at {size}.{together} The
logits have a quarter of the embedding's cells' side: enlarge them bilinearly before the argmax.
{prompts if split else ""}""".rstrip()
