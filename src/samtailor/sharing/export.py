"""A fitted segmenter as one network in transformers' format, which opens without samtailor."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save as serialise
from torch import Tensor, nn
from transformers import PreTrainedModel, Sam2Model, SamModel

from samtailor.errors import ConfigError
from samtailor.files import write_json
from samtailor.models.key_maps import rename
from samtailor.models.sam import resize_positions
from samtailor.models.sam2 import FEATURE_STRIDES
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.tiny_sam import TinySam
from samtailor.models.zoo import Base, find_base
from samtailor.recipes import RECIPES
from samtailor.sharing.card import PICTURE_NAME, write_card
from samtailor.sharing.folder import CARD_NAME, whole_folder
from samtailor.sharing.record import read_record

PROCESSOR_NAME = "preprocessor_config.json"
PROJECTION_NAME = "channel_projection.safetensors"
"""The projection of the channels, which transformers' networks have no place for."""
NAMES = frozenset({"config.json", "model.safetensors", PROCESSOR_NAME, PROJECTION_NAME, CARD_NAME, PICTURE_NAME})
"""Files of an exported network."""

_RENAMES = (
    (r"^image_encoder\.trunk\.", "vision_encoder."),
    (r"^image_encoder\.no_memory_embedding$", "no_memory_embedding"),
    (r"^image_encoder\.", "vision_encoder."),
)
"""From the names of a class-aware SAM to those of transformers' networks, where they differ."""


def merge_and_export(model: SegmenterModel, folder: Path, run: Path | None = None, picture: bool = False) -> None:
    """Write a segmenter as one network in transformers' format (see `Segmenter.merge_and_export`).

    `pred_masks[:, 0]` of the network under the default prompt and with `multimask_output=True` are the class logits. It
    takes images of the segmenter's own size. A projection of the channels lies beside it, offsets of the class logits
    are in its config, and the card says how both are applied. Where a ConfigError is raised, nothing is written.
    """
    if not model.recipe.is_mergeable:
        mergeable = ", ".join(kind.__name__ for kind in RECIPES.values() if kind.is_mergeable)
        raise ConfigError(
            f"recipe: expected one of {mergeable}, found {model.recipe}, whose modules are not linear and cannot be "
            "merged into weights; share the segmenter with save_pretrained"
        )
    if model.fine_features:
        raise ConfigError(
            "fine_features: expected a segmenter without them, for transformers' networks have no place for "
            "convolutions beside the encoder; share the segmenter with save_pretrained"
        )
    record = read_record(run, model, picture) if run else None
    base, name = find_base(model.base.base), folder.resolve().name
    network = _network(model, base)
    with whole_folder(folder, NAMES) as scratch:
        network.save_pretrained(scratch)
        library = "samtailor" if base.family == "tiny-vit" else "transformers"
        if model.network.is_projected:  # no image processor knows so many channels
            state = {key: value.cpu() for key, value in model.network.to_colours.state_dict().items()}
            (scratch / PROJECTION_NAME).write_bytes(serialise(state))
        else:
            write_json(scratch / PROCESSOR_NAME, _processor(base, model.preprocessing.image_size))
        how = _how_to_open(type(network), name, model.network.is_projected, model.practice.bias is not None)
        write_card(scratch, model, name, record, library, how)


def _network(model: SegmenterModel, base: Base) -> PreTrainedModel:
    """The segmenter's network as transformers knows it; shares no memory with the segmenter."""
    merged = copy.deepcopy(model.network).cpu()
    merged.to_colours = nn.Identity()
    model.recipe.merge(merged)
    config = _config(model, base)
    kinds: dict[str, type[PreTrainedModel]] = {"sam": SamModel, "sam2": Sam2Model, "tiny-vit": TinySam}
    with torch.device("meta"):
        network = kinds[base.family](config)
    state = _named_as_in_transformers(merged.state_dict())
    if base.family != "tiny-vit":
        state = _fuse_projections(state)
    if base.family == "sam":
        state = _resize_vit_positions(state, {key: value.shape for key, value in network.state_dict().items()})
    network.load_state_dict(state, assign=True)
    return network.eval()


def _config(model: SegmenterModel, base: Base) -> Any:
    """Configuration in transformers of a base for the segmenter's classes and image size."""
    with torch.device("meta"):
        config = base.build().config
    size = model.preprocessing.image_size
    config.prompt_encoder_config.image_size = size
    if base.family == "sam2":
        config.vision_config.backbone_config.image_size = [size, size]
        config.vision_config.backbone_feature_sizes = [[size // stride] * 2 for stride in FEATURE_STRIDES]
    else:
        config.vision_config.image_size = size
        config.prompt_encoder_config.image_embedding_size = size // config.prompt_encoder_config.patch_size
    names = model.labels.names
    config.mask_decoder_config.num_multimask_outputs = len(names)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: index for index, name in enumerate(names)}
    if model.practice.bias is not None:
        config.class_bias = list(model.practice.bias)
    return config


def _named_as_in_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State of a class-aware SAM under transformers' names, each hypernetwork by itself."""
    renamed: dict[str, Tensor] = {}
    for key, value in rename(state, _RENAMES).items():
        stacked = re.fullmatch(r"mask_decoder\.hypernetworks\.(weight|biase)s\.(\d)", key)
        if stacked is None:
            renamed[key] = value
            continue
        kind = stacked[1].removesuffix("e")
        layer = ("proj_in", "layers.0", "proj_out")[int(stacked[2])]
        for token, own in enumerate(value.transpose(1, 2) if kind == "weight" else value):
            renamed[f"mask_decoder.output_hypernetworks_mlps.{token}.{layer}.{kind}"] = own.contiguous()
    # The Fourier features are one tensor with two names in transformers.
    features = renamed["prompt_encoder.shared_embedding.positional_embedding"]
    return renamed | {"shared_image_embedding.positional_embedding": features.clone()}


def _fuse_projections(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State whose image encoder has one projection for queries, keys and values, as the base had."""
    fused: dict[str, Tensor] = {}
    for key, value in state.items():
        match = re.fullmatch(r"(vision_encoder\..*\.attn)\.(q|k|v|out)_proj\.(weight|bias)", key)
        if match is None:
            fused[key] = value
        elif match[2] == "out":
            fused[f"{match[1]}.proj.{match[3]}"] = value
        elif match[2] == "q":
            parts = [state[f"{match[1]}.{part}_proj.{match[3]}"] for part in "qkv"]
            fused[f"{match[1]}.qkv.{match[3]}"] = torch.cat(parts)
    return fused


def _resize_vit_positions(state: Mapping[str, Tensor], shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """State whose position embeddings are those of another image size, as the network itself interpolates them."""
    resized = dict(state)
    for key, shape in shapes.items():
        if key.endswith("vision_encoder.pos_embed"):
            resized[key] = resize_positions(state[key], shape[1], shape[2]).contiguous()
        elif key.endswith(("rel_pos_h", "rel_pos_w")) and state[key].shape != shape:
            resized[key] = F.interpolate(state[key].T[None], shape[0], mode="linear")[0].T.contiguous()
    return resized


def _processor(base: Base, size: int) -> dict[str, Any]:
    """Settings of transformers' image processor: size and normalisation of images of values 0 to 255."""
    rescaled = {"do_resize": True, "do_rescale": True, "rescale_factor": 1 / 255}
    shared = rescaled | {"do_normalize": True, "image_mean": list(base.mean), "image_std": list(base.std)}
    square = {"height": size, "width": size}
    if base.family == "sam2":
        return {"image_processor_type": "Sam2ImageProcessor", "size": square} | shared
    sides = {"size": {"longest_edge": size}, "do_pad": True, "pad_size": square}
    return {"image_processor_type": "SamImageProcessor"} | sides | shared


def _how_to_open(kind: type[PreTrainedModel], name: str, is_projected: bool, has_bias: bool) -> str:
    """How the network is opened, Markdown."""
    added = "\n    logits += torch.tensor(model.config.class_bias)[:, None, None]" if has_bias else ""
    package = "samtailor.models.tiny_sam" if kind is TinySam else "transformers"
    opened = f"""\
```python
import torch
from {package} import {kind.__name__}

model = {kind.__name__}.from_pretrained("{name}").eval()
with torch.no_grad():
    logits = model(pixel_values, multimask_output=True).pred_masks[:, 0]  # (B, classes, size / 4, size / 4){added}
probabilities = torch.nn.functional.interpolate(logits, pixel_values.shape[-2:], mode="bilinear").softmax(1)
names = [model.config.id2label[index] for index in range(logits.shape[1])]
```

No prompt is given: the classes come in place of the masks that the base would propose for one. `pixel_values` are made
as described under Preprocessing: intensities to [0, 1], squares, the size, then the normalisation."""
    if not is_projected:
        return f"""{opened} The image processor
in these files does the last two for square pictures of values 0 to 255."""
    return f"""{opened} Before the
normalisation a projection, which transformers' networks have no place for, brings the channels to three:

```python
from safetensors.torch import load_file

projection = load_file("{name}/{PROJECTION_NAME}")
colours = torch.nn.functional.conv2d(images, projection["weight"], projection["bias"])  # (B, C, N, N) to (B, 3, N, N)
```"""
