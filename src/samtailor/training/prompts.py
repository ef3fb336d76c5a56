"""Prompts drawn from the truth, so that a segmenter still takes them after it has been fitted."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from samtailor.models.class_aware import ClassAwareSam, Features, Prompts

JITTER = 0.1
"""Largest shift of a box's sides, over its longer one: users' boxes are not tight."""
POINTS = 3
"""Points of a prompt, drawn from the object."""


def draw_prompt(mask: Tensor, random: torch.Generator) -> Prompts:
    """A box around a mask (N, N), or points in it, at even chances, in its pixels."""
    pixels = mask.nonzero().flip(1)  # x, y
    if torch.rand((), generator=random) < 0.5:
        low, high = pixels.amin(0), pixels.amax(0) + 1
        shift = (2 * torch.rand(4, generator=random) - 1) * JITTER * float((high - low).max())
        box = torch.cat([low, high]).float() + shift.to(mask.device)
        return Prompts(boxes=box.clamp(0, mask.shape[0])[None])
    chosen = pixels[torch.randint(len(pixels), (POINTS,), generator=random).to(mask.device)]
    return Prompts(points=chosen[None].float(), labels=torch.ones(1, POINTS, dtype=torch.int, device=mask.device))


def prompted_loss(
    network: ClassAwareSam, features: Features, target: Tensor, classes: int, random: torch.Generator
) -> Tensor:
    """Cross entropy plus Dice of the single mask of a prompt for one class of an image, whose target is (N, N).

    The class is drawn from the foreground classes that are there; an image of background alone asks for that.
    """
    present = torch.bincount(target[target >= 0], minlength=classes).nonzero()[:, 0]
    if len(present) == 0:
        return features[0].sum() * 0.0  # nothing is labelled: nothing to learn
    foreground = present[present > 0] if (present > 0).any() else present
    wanted = foreground[torch.randint(len(foreground), (), generator=random)]
    logits = network.decode_prompted(features, draw_prompt(target == wanted, random))
    logits = F.interpolate(logits[None], target.shape, mode="bilinear")[0, 0]
    known = target >= 0
    score, truth = logits[known], (target == wanted)[known].to(logits.dtype)
    probability = score.sigmoid()
    dice = 1 - 2 * (probability * truth).sum() / (probability.sum() + truth.sum())
    return F.binary_cross_entropy_with_logits(score, truth) + dice
