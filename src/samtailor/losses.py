"""Loss of class-aware segmentation: cross entropy and Dice on the K logits (Eq. 2 of the report)."""

from __future__ import annotations

import torch.nn.functional as F
from monai.losses import DiceLoss
from torch import Tensor, nn

from samtailor.data.labels import IGNORE


class ClassAwareLoss(nn.Module):
    """Weighted sum of cross entropy and softmax Dice.

    Pixels labelled `IGNORE` count in neither term. A class without a pixel in the batch (in the image, with
    per-image Dice) is left out of the Dice mean: its Dice would be constant without smoothing and would reward
    emptiness with it; the cross entropy alone suppresses it. There is no smoothing, so that a target of a few
    pixels weighs as much as a large one.
    """

    class_weights: Tensor | None

    def __init__(
        self, ce: float = 0.3, dice: float = 0.7, class_weights: Tensor | None = None, batch_dice: bool = True
    ) -> None:
        """Set the weights.

        Args:
            ce: Weight of the cross entropy, lambda 1.
            dice: Weight of the Dice loss, lambda 2.
            class_weights: Weight of each class in the cross entropy, (K,).
            batch_dice: Dice over all pixels of the batch, rather than per image.
        """
        super().__init__()
        self.ce = ce
        self.dice = dice
        self.batch_dice = batch_dice
        self.register_buffer("class_weights", class_weights)
        self._dice = DiceLoss(batch=batch_dice, reduction="none", smooth_nr=0.0, smooth_dr=1e-5)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Loss of a batch.

        Args:
            logits: Class scores before softmax, (B, K, h, w).
            target: Class indices, (B, H, W), integer; brought to the resolution of the logits.

        Returns:
            Scalar loss; zero if every pixel is ignored.

        Raises:
            ValueError: If the batch sizes differ or an index is outside [0, K).
        """
        classes = logits.shape[1]
        if len(logits) != len(target):
            raise ValueError(f"logits of {len(logits)} images, targets of {len(target)}")
        if target.max() >= classes or target.min() < IGNORE:
            raise ValueError(f"target: expected indices in [0, {classes}), found up to {target.max().item()}")
        logits = logits.float()
        if target.shape[1:] != logits.shape[2:]:
            resized = F.interpolate(target[:, None].float(), logits.shape[2:], mode="nearest-exact")
            target = resized[:, 0].long()
        valid = target != IGNORE
        if not valid.any():
            return logits.sum() * 0.0
        cross_entropy = F.cross_entropy(logits, target, self.class_weights, ignore_index=IGNORE)
        return self.ce * cross_entropy + self.dice * self._masked_dice(logits, target, valid)

    def _masked_dice(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Mean Dice loss of the classes that occur."""
        mask = valid[:, None]
        truth = F.one_hot(target.clamp(min=0), logits.shape[1]).permute(0, 3, 1, 2) * mask
        per_class: Tensor = self._dice(logits.softmax(dim=1) * mask, truth.to(logits.dtype))
        occurs = truth.any(dim=0, keepdim=True) if self.batch_dice else truth
        occurs = occurs.flatten(2).any(dim=2)
        return per_class.reshape(occurs.shape)[occurs].mean()
