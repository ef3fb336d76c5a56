"""What answers a prompt on the page: the fitted segmenter, or a base model that nobody has fitted."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from samtailor.inference.predictor import choose_device
from samtailor.inference.prompt import Mask, Prompt
from samtailor.inference.prompted import MARGIN
from samtailor.inference.refine import Corrections, claimed
from samtailor.labels import LabelSpace
from samtailor.models.sam import AnySizeSam
from samtailor.models.sam2 import HieraSam
from samtailor.models.zoo import find_base, load_base
from samtailor.settings import AnyPath, Device
from samtailor.zeroshot.image_input import InputRule, as_picture
from samtailor.zeroshot.prompted_image import PromptedImage

WITHOUT_PROMPTS = (
    "This segmenter was trained without prompts: a click goes by its class probabilities. Fit again, and objects are "
    "drawn from clicks and boxes."
)
_SLICES = 4
"""Slices whose embeddings are kept."""
_STEADY = 1.0
"""How much higher and lower the thresholds of a mask's stability are; it is not asked for here."""


class Corrector(Protocol):
    """Corrects labels of one case by prompts."""

    def correct(self, plane: NDArray[np.int16], prompt: Prompt) -> None:
        """Correct a slice of a label in place, (H, W)."""
        ...

    def prepare(self, index: int) -> None:
        """Compute what further prompts on a slice may ask for."""
        ...


def note_of(corrector: Corrector) -> str:
    """What a user should know of how prompts are answered; '' if nothing."""
    return WITHOUT_PROMPTS if isinstance(corrector, Corrections) and not corrector.draws else ""


class PromptedBase:
    """A base model that draws objects from prompts, whatever they are."""

    def __init__(self, name: str, weights: AnyPath | None = None, device: Device = "auto") -> None:
        """Load a base of the zoo.

        Raises:
            SamTailorError: If there is no such base, or its weights are not as expected.
        """
        self.name = name
        self._rule = InputRule.from_base(find_base(name), None)
        self._network: AnySizeSam | HieraSam = load_base(name, weights).to(choose_device(device)).eval()

    @torch.inference_mode()
    def see(self, picture: NDArray[Any]) -> PromptedImage:
        """Encode a picture, (H, W) or (H, W, 3), of bytes."""
        return PromptedImage(self._network, self._rule, self._rule.stretched(as_picture(picture)))


class BaseCorrections:
    """Corrects labels of one case by what a base model draws; what it has seen of the last slices is kept."""

    def __init__(
        self, base: PromptedBase, picture_of: Callable[[int], NDArray[Any]], labels: LabelSpace, slices: int
    ) -> None:
        """Correct labels of a case.

        Args:
            base: The base model.
            picture_of: Gives a slice as it is shown, of bytes, (H, W) or (H, W, 3).
            labels: The classes.
            slices: Slices of the case.
        """
        self._labels, self._slices = labels, slices
        self._seen = lru_cache(maxsize=_SLICES)(lambda index: base.see(picture_of(index)))

    def correct(self, plane: NDArray[np.int16], prompt: Prompt) -> None:
        """Correct a slice of a label in place; what the class loses becomes background.

        A box or points on an object give it to the class, and what of the class is connected with points beside it and
        not drawn is taken. Points beside alone take the object that they lie on.

        Args:
            plane: Class indices of the prompt's slice, (H, W).
            prompt: The correction.

        Raises:
            DataError: If the prompt's class, slice or coordinates do not fit the case.
        """
        prompt.require_fit(self._labels, (self._slices, *plane.shape))
        class_id = self._labels.names.index(prompt.name)
        image = self._seen(prompt.slice)
        if not prompt.points and prompt.box is None:
            there = self._drawn(image, Prompt(prompt.name, prompt.slice, points=prompt.not_points))
            plane[there & (plane == class_id)] = 0
            return
        inside = prompt.in_box(plane.shape, MARGIN)
        given, taken = claimed(prompt, class_id, plane, inside, self._drawn(image, prompt) & inside)
        plane[taken] = 0
        plane[given & ~taken] = class_id

    def prepare(self, index: int) -> None:
        """Encode a slice."""
        self._seen(index)

    @staticmethod
    @torch.inference_mode()
    def _drawn(image: PromptedImage, prompt: Prompt) -> Mask:
        """The mask that the base is most sure of, (H, W); of one point alone the best of three, as SAM's authors do."""
        places = np.array([*prompt.points, *prompt.not_points], float).reshape(1, -1, 2)
        kinds = np.array([[1] * len(prompt.points) + [0] * len(prompt.not_points)])
        boxes = None if prompt.box is None else np.array([prompt.box], float)
        sparse = image.embed(places if places.size else None, boxes, kinds)
        alone = boxes is None and places.shape[1] == 1
        best = max(image.candidates(sparse, multimask=alone), key=lambda candidate: candidate.iou)
        found = image.upsampling().mask(best.logits.float().cpu().numpy(), 0.0, _STEADY, 0.0)
        return np.zeros(image.size, bool) if found is None else found[0].to_mask()
