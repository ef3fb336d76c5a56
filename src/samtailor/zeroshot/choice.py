"""The masks that a baseline takes for the classes of a slice: the best of all, or those of prompts from the truth."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from samtailor.files import atomic, made_of, regular
from samtailor.labels import IGNORE
from samtailor.zeroshot.generator import MaskGenerator
from samtailor.zeroshot.masks import NEIGHBOURS, Runs, joined
from samtailor.zeroshot.prompted_image import Candidate, PromptedImage
from samtailor.zeroshot.settings import Kind

_BATCH = 64
"""Boxes in memory at once."""


@dataclass(frozen=True)
class Choice:
    """A class's mask in one slice.

    Attributes:
        runs: The mask; empty where there was none to take.
        both: Pixels in mask and class.
        mask: Pixels of the mask, where the truth is known.
        truth: Pixels of the class.
    """

    runs: Runs
    both: int
    mask: int
    truth: int

    @property
    def dsc(self) -> float:
        """Dice of mask and class."""
        return 2 * self.both / max(self.mask + self.truth, 1)

    @property
    def iou(self) -> float:
        """Intersection over union of mask and class."""
        return self.both / max(self.mask + self.truth - self.both, 1)


@dataclass(frozen=True)
class SliceResult:
    """What was taken in one slice: a mask of each class of the truth, of how many, and what it took."""

    choices: dict[int, Choice]
    masks: int
    seconds: float

    def save(self, path: Path) -> None:
        """Write, complete or not at all."""
        arrays: dict[str, Any] = {"masks": self.masks, "seconds": self.seconds}
        for k, choice in self.choices.items():
            arrays[f"{k}-counts"] = np.array([*choice.runs.size, choice.both, choice.mask, choice.truth])
            arrays[f"{k}-runs"] = np.stack([choice.runs.starts, choice.runs.ends])
        with atomic(path) as scratch:
            np.savez_compressed(scratch, **arrays)

    @classmethod
    def load(cls, path: Path) -> SliceResult:
        """Read what `save` wrote."""
        with (
            made_of(path, "the masks of a slice", "delete it, and it is computed again"),
            np.load(regular(path)) as arrays,
        ):
            choices: dict[int, Choice] = {}
            for k in [int(name.removesuffix("-counts")) for name in arrays.files if name.endswith("-counts")]:
                height, width, *counts = arrays[f"{k}-counts"].tolist()
                choices[k] = Choice(Runs((height, width), *arrays[f"{k}-runs"]), *counts)
            return cls(choices, int(arrays["masks"]), float(arrays["seconds"]))


def classes_in(truth: NDArray[np.int16]) -> list[int]:
    """Class indices present in a slice, (H, W)."""
    return [int(k) for k in np.unique(truth) if k != IGNORE]


def choose_best(masks: Sequence[Runs], truth: NDArray[np.int16]) -> dict[int, Choice]:
    """For each class of a slice (H, W) the mask with the highest Dice; of equals the first."""
    masks = [joined((truth.shape[0], truth.shape[1])), *masks]  # the empty mask is what no other is better than
    known = _counted(masks, truth != IGNORE)
    choices: dict[int, Choice] = {}
    for k in classes_in(truth):
        pixels = int((truth == k).sum())
        both = _counted(masks, truth == k)
        best = int((2 * both / np.maximum(known + pixels, 1)).argmax())
        choices[k] = Choice(masks[best], int(both[best]), int(known[best]), pixels)
    return choices


def choose(mask: Runs, k: int, truth: NDArray[np.int16]) -> Choice:
    """A mask that was made for a class."""
    both, known = _counted([mask], truth == k), _counted([mask], truth != IGNORE)
    return Choice(mask, int(both[0]), int(known[0]), int((truth == k).sum()))


def paint(choices: dict[int, Choice], size: tuple[int, int]) -> NDArray[np.int16]:
    """One label map of masks that may overlap, large ones first; the background where no mask is."""
    label = np.zeros(size, np.int16)
    for k in sorted(choices, key=lambda k: -choices[k].runs.area):
        label[choices[k].runs.to_mask()] = k
    return label


def _counted(masks: Sequence[Runs], region: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Pixels of each mask within a region (H, W), from one running sum."""
    running = np.zeros(region.size + 1, np.int64)
    np.cumsum(region.T.reshape(-1), out=running[1:])
    return np.array([int((running[m.ends] - running[m.starts]).sum()) for m in masks], np.int64)


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
    return Runs.from_mask(union)


def _of_points(shown: PromptedImage, points: NDArray[np.float64], multimask: bool) -> Runs:
    """Mask of one object that points (P, 2) show."""
    candidates = shown.candidates(shown.embed(points[None]), multimask)
    return _mask(shown, max(candidates, key=lambda candidate: candidate.iou))


def _mask(shown: PromptedImage, candidate: Candidate) -> Runs:
    """The mask in the image."""
    found = shown.upsampling().mask(candidate.logits.float().cpu().numpy(), 0.0, 0.0, 0.0)
    assert found is not None  # of any stability
    return found[0]
