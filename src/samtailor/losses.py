"""Loss of class-aware segmentation: cross entropy and Dice on the K logits (Eq. 2 of the report)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samtailor.distributed.collectives import sum_over_processes
from samtailor.labels import IGNORE

_SMOOTH = 1e-5  # keeps the Dice of a class that is nowhere finite


class ClassAwareLoss(nn.Module):
    """Weighted sum of cross entropy and softmax Dice.

    Pixels labelled `IGNORE` count in neither term. A class without a pixel in the batch (in the image, with
    per-image Dice) is left out of the Dice mean: its Dice would be constant without smoothing and would reward
    emptiness with it; the cross entropy alone suppresses it. There is no smoothing, so that a target of a few
    pixels weighs as much as a large one.

    The batch is that of all processes: the sums of which both terms are made are added up over them, so the loss, and
    its gradients averaged over the processes, are those of one process with the whole batch.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        ce: float = 0.3,
        dice: float = 0.7,
        class_weights: Tensor | None = None,
        batch_dice: bool = True,
        resolution: Literal["low", "full"] = "low",
    ) -> None:
        """Set the weights.

        Args:
            ce: Weight of the cross entropy, lambda 1.
            dice: Weight of the Dice loss, lambda 2.
            class_weights: Weight of each class in the cross entropy, (K,).
            batch_dice: Dice over all pixels of the batch, rather than per image.
            resolution: 'low' brings the target to the size of the logits, 'full' the logits to that of the target.
        """
        super().__init__()
        self.ce = ce
        self.dice = dice
        self.batch_dice = batch_dice
        self.resolution = resolution
        self.register_buffer("class_weights", class_weights)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Loss of a batch.

        Args:
            logits: Class scores before softmax, (B, K, h, w).
            target: Class indices, (B, H, W), integer.

        Returns:
            Scalar loss; zero if every pixel is ignored.

        Raises:
            ValueError: If the batch sizes differ or an index is outside [0, K).
        """
        return self.of_sums(sum_over_processes(self.sums(logits, target)))

    def sums(self, logits: Tensor, target: Tensor) -> Tensor:
        """What the images of this process add to the sums of which the loss is made.

        Returns:
            Weighted cross entropy of the pixels and their weights; then, with Dice over the batch, overlap, predicted
            and true pixels of each class, and else the Dice losses of all classes in all images and their number.
            (2 + 3K,) or (4,).
        """
        classes = logits.shape[1]
        if len(logits) != len(target):
            raise ValueError(f"logits of {len(logits)} images, targets of {len(target)}")
        if target.max() >= classes or target.min() < IGNORE:
            raise ValueError(f"target: expected indices in [0, {classes}), found up to {target.max().item()}")
        logits = logits.float()
        if target.shape[1:] != logits.shape[2:] and self.resolution == "full":
            logits = F.interpolate(logits, target.shape[1:], mode="bilinear", align_corners=False)
        elif target.shape[1:] != logits.shape[2:]:
            resized = F.interpolate(target[:, None].float(), logits.shape[2:], mode="nearest-exact")
            target = resized[:, 0].long()
        valid = target != IGNORE
        known = target.clamp(min=0)
        weights = valid.float() if self.class_weights is None else self.class_weights[known] * valid
        cross_entropy = F.cross_entropy(logits, target, self.class_weights, ignore_index=IGNORE, reduction="sum")
        mask = valid[:, None]
        truth = (F.one_hot(known, classes).permute(0, 3, 1, 2) * mask).to(logits.dtype)
        predicted = logits.softmax(dim=1) * mask
        parts = torch.stack([(predicted * truth).sum((2, 3)), predicted.sum((2, 3)), truth.sum((2, 3))])  # (3, B, K)
        if self.batch_dice:
            dice = parts.sum(dim=1).flatten()
        else:
            occurs = parts[2] > 0
            dice = torch.stack([_dice_losses(parts)[occurs].sum(), occurs.sum()])
        return torch.cat([torch.stack([cross_entropy, weights.sum()]), dice])

    def of_sums(self, sums: Tensor) -> Tensor:
        """Loss of what `sums` gives, added up over all processes."""
        cross_entropy = _ratio(sums[0], sums[1])
        if self.batch_dice:
            parts = sums[2:].view(3, -1)
            occurs = parts[2] > 0
            dice = _ratio(_dice_losses(parts)[occurs].sum(), occurs.sum())
        else:
            dice = _ratio(sums[2], sums[3])
        loss: Tensor = self.ce * cross_entropy + self.dice * dice
        return loss

    def no_sums(self, like: Tensor, classes: int) -> Tensor:
        """What a process without images adds: zeros, with the type and device of another tensor."""
        return like.new_zeros(2 + 3 * classes if self.batch_dice else 4, dtype=torch.float32)


def _dice_losses(parts: Tensor) -> Tensor:
    """One minus Dice, from overlap, predicted and true pixels, (3, ...)."""
    overlap, predicted, truth = parts
    losses: Tensor = 1 - 2 * overlap / (predicted + truth + _SMOOTH)
    return losses


def _ratio(total: Tensor, number: Tensor) -> Tensor:
    """Mean of what was added up; zero, with a gradient of zero, of nothing."""
    return total / torch.where(number > 0, number, 1)
