"""From label maps to prompts for their objects, and from SAM's masks for these back to class logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from samtailor.models.class_aware import ClassAwareSam, Features, Prompts
from samtailor.refinement.outline_settings import OutlinePrompts
from samtailor.refinement.parts import Part, parts_of

MASK_LOGIT = 10.0
"""Largest logit that a mask given as a prompt stands for; SAM's own masks have logits of that size."""
_AT_ONCE = 16  # objects, whose image tokens are in memory together

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Object:
    """One connected part of a class in a label map with what it is prompted for by, in pixels of that map.

    Attributes:
        class_id: Its class.
        place: The smallest box around it: left, top, right, bottom.
        pixels: Which pixels of that box are its own.
        box: The box with a margin, within the map.
        inside: x and y of points on it, (N, 2); a pixel's centre has whole numbers.
        outside: x and y of points beside it, (N, 2); NaN where a point would lie beyond the map, or on the object.
    """

    class_id: int
    place: Box
    pixels: NDArray[np.bool_]
    box: Box
    inside: NDArray[np.float64]
    outside: NDArray[np.float64]


def parts_by_size(label: NDArray[np.integer[Any]], smallest: int) -> list[tuple[int, Part]]:
    """The connected parts of a label map (n, n), each with its class, the largest first; none below a size."""
    found = [
        (class_id, part)
        for class_id, place in enumerate(ndimage.find_objects(label.astype(np.int32)), start=1)
        if place is not None  # the class occurs
        for part in parts_of(label, class_id, place)
        if part.size >= smallest
    ]
    return sorted(found, key=lambda one: -one[1].size)


def object_of(class_id: int, part: Part, size: tuple[int, ...], outline: OutlinePrompts, scale: float = 1.0) -> Object:
    """A part of a map (n, n) of some size with its prompts; `scale` is the side of the network's input over n."""
    rows, columns = part.box
    left, top, right, bottom = columns.start, rows.start, columns.stop, rows.stop
    margin = max(1, round(outline.margin * max(right - left, bottom - top)))
    box = (
        max(left - margin, 0),
        max(top - margin, 0),
        min(right + margin, size[1]),
        min(bottom + margin, size[0]),
    )
    inside = outside = np.empty((0, 2))
    if outline.points:
        inside, outside = _along_outline(part.mask, outline.points, outline.push / scale)
        corner = np.array([left, top])
        inside, outside = inside + corner, outside + corner
        beyond = ((outside < -0.5) | (outside > np.array(size[::-1]) - 0.5)).any(axis=1)
        outside[beyond] = np.nan
    return Object(class_id, (left, top, right, bottom), part.mask, box, inside, outside)


def _along_outline(
    pixels: NDArray[np.bool_], count: int, push: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points on an object and beside it, x and y in its box: at equal distances along its outer outline."""
    from skimage.measure import find_contours

    padded = np.pad(pixels, 1)
    contours = find_contours(padded.astype(np.float32), 0.5)  # closed, with the object to the left
    contour = max(contours, key=len)[:, ::-1] - 1
    steps = np.linalg.norm(np.diff(contour, axis=0), axis=1)
    travelled = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.arange(count) * travelled[-1] / count
    places = np.stack([np.interp(wanted, travelled, contour[:, axis]) for axis in (0, 1)], axis=1)
    ahead, behind = (
        np.stack([np.interp((wanted + d) % travelled[-1], travelled, contour[:, axis]) for axis in (0, 1)], axis=1)
        for d in (1.0, -1.0)
    )
    along = ahead - behind
    normal = np.stack([along[:, 1], -along[:, 0]], axis=1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    distances = (push, push / 2, push / 4, 0.6)
    inside = _pushed(pixels, places, -normal, distances, wanted_on=True)
    return inside, _pushed(pixels, places, normal, distances, wanted_on=False)


def _pushed(
    pixels: NDArray[np.bool_],
    places: NDArray[np.float64],
    direction: NDArray[np.float64],
    distances: Sequence[float],
    wanted_on: bool,
) -> NDArray[np.float64]:
    """Places moved by the first distance that brings them onto the object, or beside it; NaN if none does."""
    moved = np.full_like(places, np.nan)
    for distance in distances:
        tried = places + distance * direction
        good = np.isnan(moved[:, 0]) & (_is_on(pixels, tried) == wanted_on)
        moved[good] = tried[good]
    return moved


def _is_on(pixels: NDArray[np.bool_], places: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the pixels that places x, y lie in are the object's."""
    x, y = np.round(places).astype(int).T
    within = (x >= 0) & (y >= 0) & (x < pixels.shape[1]) & (y < pixels.shape[0])
    on = np.zeros(len(places), np.bool_)
    on[within] = pixels[y[within], x[within]]
    return on


def drawn_again(
    network: ClassAwareSam,
    features: Features,
    logits: Tensor,
    objects: Sequence[Sequence[Object]],
    outline: OutlinePrompts,
) -> Tensor:
    """Class logits with SAM's masks for the objects of each image joined in.

    In the boxes of a class's objects its log odds l become l + weight (m - l), where m is the logit of SAM's mask, or
    the largest one where boxes of the class overlap. The odds among all other classes stay as they are.

    Args:
        network: The class-aware network.
        features: Its feature maps of the images.
        logits: Class logits, (B, K, n, n), n being four times the side of the image embedding.
        objects: What is drawn again in each image.
        outline: Which prompts they become.

    Returns:
        (B, K, n, n).
    """
    asked_for = [(index, one) for index, some in enumerate(objects) for one in some]
    if not asked_for or outline.weight == 0:
        return logits
    layers = list(dict.fromkeys((index, one.class_id) for index, one in asked_for))
    odds = {(index, class_id): _log_odds(logits[index], class_id) for index, class_id in layers}
    asked = {layer: torch.full_like(odds[layer], -torch.inf) for layer in layers}
    side = features[0].shape[2] * network.stride
    for some in (asked_for[start : start + _AT_ONCE] for start in range(0, len(asked_for), _AT_ONCE)):
        images = torch.tensor([index for index, _ in some], device=logits.device)
        rough = [(one, odds[index, one.class_id].detach()) for index, one in some]
        masks = network.decode_prompted(tuple(feature[images] for feature in features), _prompts(rough, outline, side))
        for (index, one), mask in zip(some, masks.float(), strict=True):
            layer = index, one.class_id
            asked[layer] = torch.maximum(asked[layer], torch.where(_within(one.box, mask), mask, -torch.inf))
    joined = [list(scores) for scores in logits]
    for index, class_id in layers:
        new, old = asked[index, class_id], odds[index, class_id]
        joined[index][class_id] = logits[index, class_id] + torch.where(new.isfinite(), outline.weight * (new - old), 0)
    return torch.stack([torch.stack(scores) for scores in joined])


def _within(box: Box, like: Tensor) -> Tensor:
    """Which pixels of a map (n, n) lie in a box."""
    left, top, right, bottom = box
    inside = torch.zeros_like(like, dtype=torch.bool)
    inside[top:bottom, left:right] = True
    return inside


def _log_odds(scores: Tensor, class_id: int) -> Tensor:
    """Log odds of a class against all others, (n, n)."""
    others = torch.cat([scores[:class_id], scores[class_id + 1 :]])
    return scores[class_id] - others.logsumexp(dim=0)


def _prompts(rough: Sequence[tuple[Object, Tensor]], outline: OutlinePrompts, side: int) -> Prompts:
    """The prompts for objects with the log odds of their classes, (n, n), in pixels of the network's input."""
    objects = [one for one, _ in rough]
    odds = rough[0][1]
    scale, device = side / len(odds), odds.device
    points = labels = boxes = masks = None
    if outline.points:
        places = np.stack([np.concatenate([one.inside, one.outside]) for one in objects])
        is_there = ~np.isnan(places[..., 0])
        kinds = np.repeat([1, 0], outline.points)[None] * is_there - ~is_there  # -1 for none
        moved = np.where(is_there[..., None], (np.nan_to_num(places) + 0.5) * scale - 0.5, 0.0)
        points = torch.tensor(moved, dtype=torch.float32, device=device)
        labels = torch.tensor(kinds, dtype=torch.int, device=device)
    if outline.box:
        boxes = torch.tensor([one.box for one in objects], dtype=torch.float32, device=device) * scale
    if outline.mask:
        masks = torch.stack([_rough_mask(one, certain) for one, certain in rough])
    return Prompts(points, labels, boxes, masks)


def _rough_mask(one: Object, odds: Tensor) -> Tensor:
    """Logits of an object's mask, (n, n), as certain as the first pass was of its class, or of others."""
    left, top, right, bottom = one.place
    certain = odds.abs().clamp(max=MASK_LOGIT)
    mask = -certain
    pixels = torch.from_numpy(one.pixels).to(odds.device)
    mask[top:bottom, left:right] = torch.where(pixels, 1, -1) * certain[top:bottom, left:right]
    return mask
