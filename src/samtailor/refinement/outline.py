"""Outline prompts: what the first pass found goes back through the prompt encoder, and SAM draws it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from samtailor.refinement.outline_settings import OutlinePrompts
from samtailor.refinement.step import SecondPass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from samtailor.models.class_aware import ClassAwareSam, Features


@dataclass(frozen=True)
class Outline(OutlinePrompts, SecondPass, group="refine.outline"):
    """Draws each object of a window again from prompts along its outline (section 5.1 of the report).

    In an object's box the first pass's log odds of its class move to those of SAM's mask, by `weight`.
    """

    def __call__(
        self,
        network: ClassAwareSam,
        features: Features,
        logits: Tensor,
        images: Tensor,
        labels: Sequence[NDArray[np.integer]] | None = None,
    ) -> Tensor:
        """The class logits after the second pass, (B, K, n, n)."""
        from samtailor.refinement.outline_prompts import drawn_again, object_of, parts_by_size
        from samtailor.refinement.regions import label_by_regions

        logits = logits.float()
        if labels is None:
            how = self.from_
            if how == "classes":
                labels = list(logits.argmax(dim=1).cpu().numpy())
            else:
                labels = [label_by_regions(image, scores, how) for image, scores in zip(images, logits, strict=True)]
        scale = images.shape[-1] / logits.shape[-1]
        parts = [parts_by_size(label, self.smallest)[: self.most] for label in labels]
        objects = [[object_of(*part, logits.shape[2:], self, scale) for part in some] for some in parts]
        return drawn_again(network, features, logits, objects, self)
