"""Masks of the base for prompts that are drawn from the ground truth: boxes and points."""

from __future__ import annotations

import zlib
from typing import Any, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from samtailor.zeroshot.choice import Choice, choose, classes_in
from samtailor.zeroshot.generator import MaskGenerator
from samtailor.zeroshot.masks import NEIGHBOURS, Runs
from samtailor.zeroshot.prompted_image import Candidate, PromptedImage
from samtailor.zeroshot.settings import Kind

_BATCH = 64
"""Boxes in memory at once."""


@torch.inference_mode()
def prompt_classes(
    generator: MaskGenerator,
    image: NDArray[Any],
    truth: NDArray[np.int16],
    kind: Kind,
    points: int,
    seed: tuple[int, str, int],
) -> dict[int, Choice]:
    """A mask for each class of a slice, from prompts in its truth (H, W); seed, case and slice decide the points."""
    shown = PromptedImage(generator.network, generator.rule, generator.rule.stretched(image))
    choices: dict[int, Choice] = {}
    for k in classes_in(truth):
        region = truth == k
        match kind:
            case "box":
                found = _of_boxes(shown, boxes_of(region))
            case "point":
                # One point is ambiguous: of the three masks the one that the network thinks best, as SAM's authors do.
                found = _of_points(shown, middle_of(region)[None], bool(generator.settings.multimask_output))
            case "points":
                case_seed = (seed[0], zlib.crc32(seed[1].encode()), seed[2], k)
                found = _of_points(shown, drawn_from(region, points, case_seed), False)
            case "everything":
                raise ValueError("kind: expected prompts, found 'everything'")
            case _:
                assert_never(kind)
        choices[k] = choose(found, k, truth)
    return choices


def boxes_of(region: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Tight boxes around the connected objects of a region (H, W): left, top, right, bottom of their pixels' edges."""
    objects = ndimage.find_objects(ndimage.label(region, structure=NEIGHBOURS)[0])
    return np.array([(x.start, y.start, x.stop, y.stop) for y, x in objects], np.float64)


def middle_of(region: NDArray[np.bool_]) -> NDArray[np.float64]:
    """X and y of the pixel of the largest object of a region (H, W) that is farthest from the object's border."""
    objects, _ = ndimage.label(region, structure=NEIGHBOURS)
    largest = objects == 1 + np.argmax(np.bincount(objects.reshape(-1))[1:])
    depth = ndimage.distance_transform_edt(np.pad(largest, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(np.argmax(depth), depth.shape)
    return np.array([x, y], np.float64)


def drawn_from(region: NDArray[np.bool_], count: int, seed: tuple[int, ...]) -> NDArray[np.float64]:
    """X and y of pixels drawn from a region (H, W), each once, as many as there are at most."""
    pixels = np.flatnonzero(region)
    drawn = np.random.default_rng(seed).choice(pixels, min(count, len(pixels)), replace=False)
    y, x = np.unravel_index(drawn, region.shape)
    return np.stack([x, y], axis=-1).astype(np.float64)


def _of_boxes(shown: PromptedImage, boxes: NDArray[np.float64]) -> Runs:
    """Union of the masks of boxes."""
    union = np.zeros(shown.size, np.bool_)
    for start in range(0, len(boxes), _BATCH):
        for candidate in shown.candidates(shown.embed(boxes=boxes[start : start + _BATCH]), multimask=False):
            union |= _mask(shown, candidate).to_mask()
    return Runs.of(union)


def _of_points(shown: PromptedImage, points: NDArray[np.float64], multimask: bool) -> Runs:
    """Mask of one object that points (P, 2) show."""
    candidates = shown.candidates(shown.embed(points[None]), multimask)
    return _mask(shown, max(candidates, key=lambda candidate: candidate.iou))


def _mask(shown: PromptedImage, candidate: Candidate) -> Runs:
    """The mask in the image."""
    found = shown.upsampling().mask(candidate.logits.float().cpu().numpy(), 0.0, 0.0, 0.0)
    assert found is not None  # of any stability
    return found[0]
