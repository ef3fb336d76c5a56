"""Correcting a class-aware result with prompts: points, boxes and masks, each for one class in one slice."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from samtailor.data.preprocessing import Window, cut
from samtailor.errors import DataError, DataWarning
from samtailor.inference.predictor import Piece, Predictor, group_of
from samtailor.inference.result import Result
from samtailor.models.class_aware import Features, Prompts
from samtailor.refinement.outline_prompts import MASK_LOGIT

MARGIN = 0.1
"""How far a box's object may reach over it, as a fraction of its longer side."""


@dataclass(frozen=True)
class Prompt:
    """What a user shows of one object, in the axes of `Result.label`.

    Attributes:
        name: Class of the object.
        slice: Slice of the volume; 0 for pictures.
        points: Column x and row y of points on the object.
        not_points: Column x and row y of points beside it.
        box: Left, top, right and bottom of a box around it.
        mask: Rough mask of it, (H, W).
    """

    name: str
    slice: int = 0
    points: tuple[tuple[float, float], ...] = ()
    not_points: tuple[tuple[float, float], ...] = ()
    box: tuple[float, float, float, float] | None = None
    mask: NDArray[np.bool_] | None = None

    @property
    def places(self) -> list[tuple[float, float]]:
        """Column x and row y of all points and of the box's corners."""
        corners = [] if self.box is None else [self.box[:2], self.box[2:]]
        return [*self.points, *self.not_points, *corners]


def refine(predictor: Predictor, result: Result, prompts: Sequence[Prompt]) -> Result:
    """The result with every prompted class replaced, where its prompt speaks, by the prompted mask.

    A box speaks for its inside and a margin around it, points and masks for the whole window they are seen in. There
    the class is what the prompted mask says; what it loses goes to the next most probable class. Prompts count in
    order.

    Args:
        predictor: Applies the segmenter that gave the result.
        result: Class-aware result of the case.
        prompts: Corrections.

    Returns:
        A new result, without probabilities: they no longer belong to the label.

    Raises:
        DataError: If a prompt's class, slice or coordinates do not fit the result.
    """
    for prompt in prompts:
        _require_fit(prompt, result)
    if predictor.model.practice.prompts == "none":
        warnings.warn(
            "prompts: expected a segmenter that was trained with some, found one that was trained without: its answers "
            "may be poor; train with --prompt_fraction 0.25",
            DataWarning,
            stacklevel=2,
        )

    # Prompts for several classes mostly speak of the same slice: it is encoded and segmented once.
    @lru_cache(maxsize=4)
    def features_of(index: int, window: Window) -> Features:
        return predictor.features(result.slices, Piece(index, window))

    @lru_cache(maxsize=4)
    def probabilities_of(index: int) -> NDArray[np.float16]:
        group = group_of(index, len(result.label), predictor.model.group)  # the segmenter looks at them together
        return predictor.probabilities(result.slices[group[0] : group[-1] + 1])[:, index - group[0]]

    label = result.label.copy()
    for prompt in prompts:
        class_id = result.labels.names.index(prompt.name)
        window = _window(predictor, prompt, label.shape[1:])
        found = _prompted_mask(predictor, features_of(prompt.slice, window), window, prompt)
        inside, there = _place(found, window, prompt, label.shape[1:])
        plane = label[prompt.slice]
        lost = inside & (plane == class_id) & ~there
        if lost.any():
            others = probabilities_of(prompt.slice)[:, lost]
            others[class_id] = -1
            plane[lost] = others.argmax(axis=0)
        plane[there] = class_id
    return replace(result, label=label, probabilities=None)


def redraw(predictor: Predictor, result: Result) -> Result:
    """The result with every object of its label, which may have been corrected, drawn again by the second passes.

    Args:
        predictor: Applies the segmenter that gave the result, with second passes among its refinement.
        result: Result of the case.

    Returns:
        A new result, without probabilities: they no longer belong to the label.
    """
    predictor.rough = result.label
    label = predictor.label(result.slices, result.case.geometry.spacing)
    return replace(result, label=label, probabilities=None)


def _require_fit(prompt: Prompt, result: Result) -> None:
    """Refuse a prompt that cannot be meant for the result."""
    slices, height, width = result.label.shape

    def require(fits: bool, expected: str, found: object) -> None:
        if not fits:
            raise DataError(f"prompt for {prompt.name}: expected {expected}, found {found}")

    if prompt.name not in result.labels.names:
        raise DataError(f"prompt: expected one of the classes {', '.join(result.labels.names)}; found '{prompt.name}'")
    require(0 <= prompt.slice < slices, f"a slice from 0 to {slices - 1}", prompt.slice)
    require(bool(prompt.places) or prompt.mask is not None, "points, a box or a mask", "none")
    if prompt.mask is not None:
        found = " x ".join(map(str, prompt.mask.shape))
        require(prompt.mask.shape == (height, width), f"a mask of {height} x {width}", found)
    if prompt.box is not None:
        left, top, right, bottom = prompt.box
        require(left < right and top < bottom, "a box (left, top, right, bottom)", prompt.box)
    for x, y in prompt.places:
        require(0 <= x <= width and 0 <= y <= height, f"x up to {width} and y up to {height}", f"{x}, {y}")


def _window(predictor: Predictor, prompt: Prompt, size: tuple[int, ...]) -> Window:
    """What the network sees: the whole slice, or a window as prediction has them around the prompt."""
    field = predictor.model.preprocessing.side(*size)
    if field == max(size):
        return Window(0, 0, field)
    shown = np.array(prompt.places, float).reshape(-1, 2)
    if prompt.mask is not None:
        shown = np.concatenate([shown, np.argwhere(prompt.mask)[:, ::-1].reshape(-1, 2)])
    low, high = shown.min(axis=0), shown.max(axis=0)
    side = max(field, int(np.ceil(1.25 * (high - low).max())))
    x, y = (round(centre) for centre in (low + high) / 2)
    return Window.around(y, x, side, size)


@torch.inference_mode()
def _prompted_mask(predictor: Predictor, features: Features, window: Window, prompt: Prompt) -> NDArray[np.bool_]:
    """SAM's mask for the prompt, (side, side) of the window."""
    scale = predictor.model.preprocessing.image_size / window.side
    moved = _in_network_pixels(prompt, window, scale, features)
    with predictor.in_precision():
        logits = predictor.model.network.decode_prompted(features, moved)
    resized = F.interpolate(logits[None].float(), (window.side, window.side), mode="bilinear")
    return (resized[0, 0] > 0).cpu().numpy()


def _in_network_pixels(prompt: Prompt, window: Window, scale: float, features: Features) -> Prompts:
    """The prompt in pixels of the network's input."""
    device = features[0].device
    offset = torch.tensor([window.x, window.y], dtype=torch.float32)

    def moved(places: Sequence[Sequence[float]]) -> Tensor:
        return ((torch.tensor(places, dtype=torch.float32).view(-1, 2) - offset) * scale).to(device)

    points = [*prompt.points, *prompt.not_points]
    kinds = [1] * len(prompt.points) + [0] * len(prompt.not_points)
    masks = None
    if prompt.mask is not None:
        seen = cut(prompt.mask[None].astype(np.float32), window, 0)
        size = [4 * side for side in features[0].shape[2:]]
        share = F.interpolate(torch.from_numpy(seen)[None], size, mode="bilinear", antialias=True)[:, 0]
        masks = ((2 * share - 1) * MASK_LOGIT).to(device)
    return Prompts(
        points=moved(points)[None] if points else None,
        labels=torch.tensor([kinds], dtype=torch.int, device=device) if points else None,
        boxes=moved([prompt.box[:2], prompt.box[2:]]).view(1, 4) if prompt.box is not None else None,
        masks=masks,
    )


def _place(
    found: NDArray[np.bool_], window: Window, prompt: Prompt, size: tuple[int, ...]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where the prompt speaks, and where it says the object is, both (H, W)."""
    inside, there = np.zeros((2, *size), bool)
    seen = np.s_[window.y : window.y + window.side, window.x : window.x + window.side]
    inside[seen] = True
    if prompt.box is not None:
        left, top, right, bottom = prompt.box
        margin = MARGIN * max(right - left, bottom - top)
        y, x = np.ogrid[: size[0], : size[1]]
        inside &= (x >= left - margin) & (x < right + margin) & (y >= top - margin) & (y < bottom + margin)
    height, width = there[seen].shape
    there[seen] = found[:height, :width]
    return inside, there & inside
