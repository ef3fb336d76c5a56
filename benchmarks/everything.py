"""Segmenting everything in one image: ours beside transformers' decoder, on the same image, points and thresholds.

The plain way is what the authors' generators do, with transformers' decoder: all masks of a batch of points, enlarged
to the network's input and to the image, then dropped by predicted IoU and stability. Both get the same image embedding:
the encoder is not part of it. The predicted IoU that is asked for is set so that a given share of the masks pass.
Weights are random.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.line import Place, Prepared, Side
from samtailor.models.sam2 import HieraSam
from samtailor.models.shared_decoder import SharedDecoder
from samtailor.models.zoo import find_base
from samtailor.zeroshot.image_input import InputRule, point_grid
from samtailor.zeroshot.prompted_image import PromptedImage

_PLAIN_BATCH = 64
"""Points at once in the authors' generators."""


def everything(base: str, side: int, points: int, kept: float) -> Callable[[Side, Place], Prepared]:
    """All masks of a grid of points.

    Args:
        base: Base model; 'lite-medsam' where it has to be small.
        side: Of the image.
        points: Along a side of the grid.
        kept: Share of the masks that pass.
    """

    def prepare(which: Side, place: Place) -> Prepared:
        shown, grid = shown_image(*(("lite-medsam", 64, 2) if place.small else (base, side, points)))
        least = threshold(shown, grid, kept)
        run = run_ours if which == "ours" else run_plain
        return Prepared(lambda: run(shown, grid, least))

    return prepare


@torch.inference_mode()
def shown_image(name: str, side: int, points: int) -> tuple[PromptedImage, np.ndarray]:
    """An encoded image of noise, and points on it, (N, 2)."""
    torch.manual_seed(0)
    base = find_base(name)
    image = np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8)
    return PromptedImage(base.build().eval(), InputRule.from_base(base, None), image), point_grid(points) * side


@torch.inference_mode()
def threshold(shown: PromptedImage, points: np.ndarray, kept: float) -> float:
    """Predicted IoU that this share of the masks reaches."""
    scores = torch.cat([shown.decoder.transform(part).iou[:, 1:] for part in shown.embed(points[:, None]).split(8)])
    return 1e-12 + float(torch.quantile(scores.flatten(), 1 - kept))


@torch.inference_mode()
def run_plain(shown: PromptedImage, points: np.ndarray, least: float) -> int:
    """Pixels of all masks that pass, as the originals compute them."""
    network, side = shown.network, shown.rule.side
    finer = {"high_resolution_features": list(shown.features[1:])} if isinstance(network, HieraSam) else {}
    pixels = 0
    for start in range(0, len(points), _PLAIN_BATCH):
        masks, iou = network.mask_decoder(
            image_embeddings=shown.features[0],
            image_positional_embeddings=shown.positions,
            sparse_prompt_embeddings=shown.embed(points[start : start + _PLAIN_BATCH, None])[None],
            dense_prompt_embeddings=network.prompt_encoder.no_mask_embed.weight[:, :, None, None],
            multimask_output=True,
            **finer,
        )[:2]
        masks = masks[0]
        if not shown.rule.is_square:
            rows, columns = shown.rule.taken(shown.size)
            masks = F.interpolate(masks, (side, side), mode="bilinear", align_corners=False)[..., :rows, :columns]
        masks = F.interpolate(masks, shown.size, mode="bilinear", align_corners=False).flatten(0, 1)
        masks = masks[iou[0].flatten() > least]
        stability = (masks > 1).sum((1, 2)) / (masks > -1).sum((1, 2))
        del stability
        pixels += int((masks > 0).sum())
    return pixels


@torch.inference_mode()
def run_ours(shown: PromptedImage, points: np.ndarray, least: float) -> int:
    """The same with the shared decoder; what an image shares is made anew each time."""
    dense = shown.network.prompt_encoder.no_mask_embed.weight[:, :, None, None]
    shown.decoder = SharedDecoder(shown.network.mask_decoder, shown.features, shown.positions, dense)
    upsampling = shown.upsampling()
    pixels = 0
    for candidate in shown.candidates(shown.embed(points[:, None]), True, max(least, 0.0)):
        if candidate.iou > least:
            found = upsampling.mask(candidate.logits.numpy(), 0.0, 1.0, 0.0)
            pixels += found[0].area if found else 0
    return pixels


def agreement() -> float:
    """Difference of the pixels of all masks, as a share of them; four points in a small image."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), small=True)
        make = everything("lite-medsam", 64, 2, 0.5)
        found, expected = (make(side, place).run() for side in ("ours", "peer"))
    assert isinstance(found, int)
    assert isinstance(expected, int)
    return abs(found - expected) / max(expected, 1)
