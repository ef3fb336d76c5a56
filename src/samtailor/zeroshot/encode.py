"""Image embeddings of a base model that nobody has fitted."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from samtailor.inference.predictor import choose_device
from samtailor.models.zoo import find_base, load_base
from samtailor.settings import AnyPath, Device, Side, checked
from samtailor.zeroshot.image_input import InputRule, as_picture
from samtailor.zeroshot.prompted_image import PromptedImage


@checked
def encode(
    image: str | Path | NDArray[Any],
    base: str = "lite-medsam",
    weights: AnyPath | None = None,
    device: Device = "auto",
    image_size: Side | None = None,
) -> Tensor:
    """Features of a picture: the image embedding of a base model, prepared as its authors do.

    `Segmenter.encode` gives those of a fitted one.

    Args:
        image: Picture file, or an array (H, W) or (H, W, 3) of uint8, or of floats in [0, 1].
        base: Name in the zoo.
        weights: Weights of the base (see `load_base`).
        device: 'auto', 'cpu' or 'cuda'.
        image_size: Side of the network's input, in pixels; that of the pretraining if None.

    Returns:
        (C, h, w) of the part of the network's input that shows the picture; all of SAM 2's, which sees it stretched.

    Raises:
        SamTailorError: If the image, the base or its weights are not as expected.
    """
    rule = InputRule.from_base(find_base(base), image_size)
    picture = as_picture(image)
    network = load_base(base, weights).to(choose_device(device))
    with torch.inference_mode():
        embedding = PromptedImage(network, rule, rule.stretched(picture)).features[0][0].cpu()
    rows, columns = (math.ceil(side / rule.base.stride) for side in rule.taken(picture.shape[:2]))
    return embedding[:, :rows, :columns]
