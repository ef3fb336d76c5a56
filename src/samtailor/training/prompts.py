"""Prompts in training: drawn from the truth, so that a segmenter still takes them; or along outlines, to draw twice."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from samtailor.models.class_aware import ClassAwareSam, Features, Prompts
from samtailor.refinement.outline_prompts import drawn_again, object_of, parts_by_size
from samtailor.refinement.outline_settings import OutlinePrompts

JITTER = 0.1
"""Largest shift of a box's sides, over its width or height: users' boxes are not tight."""
POINTS = 3
"""Points of a prompt, drawn from the object."""


def draw_prompt(mask: Tensor, random: Generator) -> Prompts:
    """A box around a mask (N, N), or points in it, at even chances, in its pixels."""
    pixels = mask.nonzero().flip(1)  # x, y
    if torch.rand((), generator=random) < 0.5:
        low, high = pixels.amin(0), pixels.amax(0) + 1
        shift = (2 * torch.rand(4, generator=random) - 1).to(mask.device) * JITTER * (high - low).repeat(2)
        box = torch.cat([low, high]).float() + shift
        return Prompts(boxes=box.clamp(0, mask.shape[0])[None])
    chosen = pixels[torch.randint(len(pixels), (POINTS,), generator=random).to(mask.device)]
    return Prompts(points=chosen[None].float(), labels=torch.ones(1, POINTS, dtype=torch.int, device=mask.device))


def prompted_loss(
    network: ClassAwareSam, features: Features, target: Tensor, classes: int, random: Generator
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


_POINTS = (0, 4, 8, 16, 32)
_OBJECTS = 6  # of an image, drawn at random: each takes a pass of the mask decoder
_TRUSTED = 0.5  # DSC from which a network's own label is worth prompting with
_BENDS = 4  # along a side of the field that disturbs a truth
_BENT = 0.03  # how far it moves pixels, as a fraction of the side (standard deviation)


def outlined(network: ClassAwareSam, features: Features, logits: Tensor, target: Tensor, random: Generator) -> Tensor:
    """Class logits (B, K, n, n) after a second pass from outline prompts, as `Outline` makes them.

    The prompts are those of the labels that the logits (B, K, n, n) stand for, or of the disturbed truth, (B, N, N),
    where such a label is poor. How many points, and which of points, box and mask they have is drawn for each batch, so
    that one fit takes them all.
    """
    prompts = draw_outline_prompts(random)
    truths = F.interpolate(target[:, None].float(), logits.shape[2:], mode="nearest-exact")[:, 0].long().clamp(min=0)
    scale = features[0].shape[2] * network.stride / logits.shape[-1]
    chosen = []
    for label, truth in zip(logits.argmax(dim=1).cpu(), truths.cpu(), strict=True):
        rough = label if _mean_dsc(label, truth) >= _TRUSTED else disturbed(truth, random)
        parts = parts_by_size(rough.numpy(), prompts.smallest)
        drawn: list[int] = torch.randperm(len(parts), generator=random)[:_OBJECTS].tolist()
        chosen.append([object_of(*parts[i], logits.shape[2:], prompts, scale) for i in drawn])
    return drawn_again(network, features, logits.detach().float(), chosen, prompts)


def draw_outline_prompts(random: Generator) -> OutlinePrompts:
    """Which parts the outline prompts of a batch have, and how wide their boxes are."""
    points = _POINTS[int(torch.randint(len(_POINTS), (), generator=random))]
    box, mask = (torch.rand(2, generator=random) < 0.75).tolist()
    margin = 2 * JITTER * float(torch.rand((), generator=random))
    return OutlinePrompts(points=points, box=box or not (points or mask), mask=mask, margin=margin)


def disturbed(label: Tensor, random: Generator) -> Tensor:
    """A label map (n, n) bent by a smooth random field: its outlines are off as those of a rough segmentation."""
    size = len(label)
    bends = 2 * _BENT * torch.randn(1, 2, _BENDS, _BENDS, generator=random)  # the side is 2 for `grid_sample`
    field = F.interpolate(bends, (size, size), mode="bicubic")[0].permute(1, 2, 0).to(label.device)
    straight = F.affine_grid(torch.eye(2, 3, device=label.device)[None], [1, 1, size, size], align_corners=False)
    bent = F.grid_sample(label[None, None].float(), straight + field, mode="nearest", align_corners=False)
    return bent[0, 0].long()


def _mean_dsc(label: Tensor, truth: Tensor) -> float:
    """Mean DSC of the foreground classes of a truth; 1 if it has none."""
    scores = []
    for class_id in torch.bincount(truth.flatten()).nonzero()[:, 0].tolist():
        if class_id > 0:
            found, there = label == class_id, truth == class_id
            scores.append(2 * float((found & there).sum()) / float(found.sum() + there.sum()))
    return sum(scores) / len(scores) if scores else 1.0
