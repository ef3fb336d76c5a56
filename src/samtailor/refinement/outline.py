"""Outline prompts: what the first pass found goes back through the prompt encoder, and SAM draws it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from samtailor.refinement.outline_settings import OutlinePrompts
from samtailor.refinement.step import SecondPass

if TYPE_CHECKING:
    from torch import Tensor

    from samtailor.models.class_aware import ClassAwareSam, Features


@dataclass(frozen=True)
class Outline(OutlinePrompts, SecondPass, group="refine.outline"):
    """Draws each object of a window again from prompts along its outline (section 5.1 of the report).

    In an object's box the first pass's log odds of its class move to those of SAM's mask, by `weight`.
    """

    def __call__(self, network: ClassAwareSam, features: Features, logits: Tensor, images: Tensor) -> Tensor:
        """The class logits after the second pass, (B, K, n, n)."""
        from samtailor.refinement.outline_prompts import drawn_again, objects_of
        from samtailor.refinement.regions import label_by_regions

        logits = logits.float()
        labels = list(logits.argmax(dim=1).cpu().numpy())
        if self.from_ != "classes":
            labels = [label_by_regions(*one, self.from_) for one in zip(images, logits, strict=True)]
        scale = images.shape[-1] / logits.shape[-1]
        objects = [objects_of(label, self, scale)[: self.most] for label in labels]
        return drawn_again(network, features, logits, objects, self)
