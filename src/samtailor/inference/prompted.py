"""What SAM's mask decoder draws for a prompt."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from samtailor.data.intensity import Slices
from samtailor.data.preprocessing import Window, cut
from samtailor.inference.predictor import Piece, Predictor
from samtailor.inference.prompt import Mask, Prompt
from samtailor.models.class_aware import Features, Prompts
from samtailor.refinement.outline_prompts import MASK_LOGIT

MARGIN = 0.1
"""How far a box's object may reach over it, as a fraction of its longer side."""
_KEPT = 4
"""Windows whose embeddings are kept."""


class PromptedMasks:
    """Draws the objects of a case that are prompted for."""

    def __init__(self, predictor: Predictor, slices: Slices) -> None:
        """Draw with a predictor on what the network sees of a case, (S, C, H, W)."""
        self._predictor = predictor
        self._seen: dict[tuple[int, int], deque[Window]] = {}
        # Prompts for several classes mostly speak of the same slice: it is encoded once.
        self._features_of = lru_cache(maxsize=_KEPT)(
            lambda index, window: [one.features(slices, Piece(index, window)) for one in predictor.members]
        )

    def of(self, prompt: Prompt, size: tuple[int, ...]) -> tuple[Mask, Mask]:
        """Where a prompt speaks in its slice (H, W), and where it says the object is.

        A box speaks for its inside and a margin around it, points and masks for the whole window they are seen in.
        """
        window = self._window(prompt, size)
        inside, there = np.zeros((2, *size), bool)
        seen = np.s_[window.y : window.y + window.side, window.x : window.x + window.side]
        inside[seen] = True
        inside &= prompt.in_box(size, MARGIN)
        height, width = there[seen].shape
        there[seen] = self._mask(self._features_of(prompt.slice, window), window, prompt)[:height, :width]
        return inside, there & inside

    def _window(self, prompt: Prompt, size: tuple[int, ...]) -> Window:
        """What the network sees: the whole slice, or a window as prediction has them around the prompt.

        A window that was seen before is taken again if the prompt lies in the middle half of it: clicks on one object
        then see the same, which is encoded once.
        """
        field = self._predictor.side(*size)
        if field == max(size):
            return Window(0, 0, field)
        shown = np.array(prompt.places, float).reshape(-1, 2)
        if prompt.mask is not None:
            shown = np.concatenate([shown, np.argwhere(prompt.mask)[:, ::-1].reshape(-1, 2)])
        low, high = shown.min(axis=0), shown.max(axis=0)
        side = max(field, int(np.ceil(1.25 * (high - low).max())))
        seen = self._seen.setdefault((prompt.slice, side), deque(maxlen=_KEPT))
        for window in seen:
            middle = np.array([window.x, window.y]) + side / 4
            if (low >= middle).all() and (high <= middle + side / 2).all():
                return window
        x, y = (round(centre) for centre in (low + high) / 2)
        seen.append(Window.around(y, x, side, size))
        return seen[-1]

    @torch.inference_mode()
    def _mask(self, features: Sequence[Features], window: Window, prompt: Prompt) -> Mask:
        """SAM's mask for the prompt, (side, side) of the window, by the mean of what each network draws."""
        scale = self._predictor.model.preprocessing.image_size / window.side
        moved = _in_network_pixels(prompt, window, scale, features[0])
        with self._predictor.in_precision():
            drawn = [
                one.model.network.decode_prompted(seen, moved)
                for one, seen in zip(self._predictor.members, features, strict=True)
            ]
        logits = torch.stack(drawn).mean(dim=0)
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
