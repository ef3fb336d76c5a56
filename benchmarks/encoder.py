"""The image encoder of SAM ViT-B beside transformers' and segment-anything's."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from transformers import SamModel

from benchmarks.line import Place, Prepared, Side
from samtailor.models.sam import VitSize, sam_config, vit_sam

VIT_B = VitSize(768, 12, 12, (2, 5, 8, 11))
TINY = VitSize(32, 2, 2, (1,), window=3)

Build = Callable[[VitSize], nn.Module]


def vit(size: int, place: Place) -> VitSize:
    """ViT-B for an image side, or something tiny in its place."""
    return replace(TINY, image_size=max(32, size // 16)) if place.small else replace(VIT_B, image_size=size)


def vit_gflop(size: VitSize) -> float:
    """What a forward pass needs, in 1e9: projections and MLPs of all tokens, attention, patches, neck."""
    tokens, width = (size.image_size // size.patch) ** 2, size.width
    linear = size.depth * 12 * width**2 * tokens
    everywhere = len(size.global_blocks) * 2 * tokens**2 * width
    windows = (size.depth - len(size.global_blocks)) * 2 * tokens * size.window**2 * width
    ends = tokens * (3 * size.patch**2 * width + width * 256 + 9 * 256**2)
    return 2e-9 * (linear + everywhere + windows + ends)


def ours_of(size: VitSize) -> nn.Module:
    """Our encoder."""
    encoder: nn.Module = vit_sam(size).eval().vision_encoder
    return encoder


def transformers_of(size: VitSize) -> nn.Module:
    """Transformers' encoder."""
    encoder: nn.Module = SamModel(sam_config(size)).eval().vision_encoder
    return encoder


def segment_anything_of(size: VitSize) -> nn.Module:
    """The authors' encoder, from their package."""
    if "segment_anything" not in sys.modules:
        # The package's own first lines import torchvision, which its encoder does not need.
        found = find_spec("segment_anything")
        assert found is not None
        package = ModuleType("segment_anything")
        package.__path__ = list(found.submodule_search_locations or [])
        sys.modules["segment_anything"] = package
    from segment_anything.modeling.image_encoder import ImageEncoderViT

    encoder: nn.Module = ImageEncoderViT(
        img_size=size.image_size,
        embed_dim=size.width,
        depth=size.depth,
        num_heads=size.heads,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=size.window,
        global_attn_indexes=size.global_blocks,
    )
    return encoder.eval()


def encoder(peer_of: Build, size: int) -> Callable[[Side, Place], Prepared]:
    """One image through the encoder, without gradients."""

    def prepare(side: Side, place: Place) -> Prepared:
        torch.manual_seed(0)
        whole = vit(size, place)
        network = (ours_of if side == "ours" else peer_of)(whole)
        return Prepared(partial(without_gradients, network, image_of(whole.image_size)), lambda: vit_gflop(whole))

    return prepare


def image_of(size: int) -> Tensor:
    """One image of noise, (1, 3, size, size)."""
    return torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def without_gradients(network: nn.Module, images: Tensor) -> Any:
    """What the network computes."""
    return network(images)


def agreement() -> float:
    """Difference of our embedding and transformers', same weights, of its largest number; 256 px."""
    size = replace(VIT_B, depth=4, global_blocks=(2,), image_size=256)
    peer, ours, image = transformers_of(size), ours_of(size), image_of(256)
    state: dict[str, Tensor] = {}
    for name, value in peer.state_dict().items():
        if ".attn.qkv." in name:
            for part, split in zip("qkv", value.chunk(3), strict=True):
                state[name.replace("qkv", f"{part}_proj")] = split
        else:
            state[name.replace(".attn.proj.", ".attn.out_proj.")] = value
    ours.load_state_dict(state)
    found, expected = (without_gradients(network, image).last_hidden_state for network in (ours, peer))
    return float((found - expected).abs().max() / expected.abs().max())
