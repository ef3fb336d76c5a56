"""One image, or a crop of it, encoded once and then asked for masks by prompts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samtailor.models.sam import AnySizeSam
from samtailor.models.sam2 import HieraSam
from samtailor.models.shared_decoder import SharedDecoder
from samtailor.zeroshot.image_input import Crop, InputRule, Upsampling

_CPU_BATCH = 4
"""Prompts at once on a CPU: what they need then stays in its cache."""
_CLAMP = 32.0
"""Largest logit of a mask that SAM 2 takes as a prompt."""


@dataclass(frozen=True)
class Candidate:
    """A mask before it is enlarged: low-resolution logits (h, w), predicted IoU, and which prompt it comes from."""

    logits: Tensor
    iou: float
    prompt: int


class PromptedImage:
    """An encoded crop of an image."""

    def __init__(
        self, network: AnySizeSam | HieraSam, rule: InputRule, image: NDArray[Any], crop: Crop | None = None
    ) -> None:
        """Encode a crop, or all, of an image (H, W, 3) as `InputRule.stretched` gives it."""
        self.network = network
        self.rule = rule
        self.size = (image.shape[0], image.shape[1])
        self.crop = crop or Crop(0, 0, image.shape[1], image.shape[0])
        part = image[self.crop.top : self.crop.bottom, self.crop.left : self.crop.right]
        device = network.prompt_encoder.no_mask_embed.weight.device
        pixels = rule.tensor(part).to(device)
        if isinstance(network, HieraSam):
            finer, fine, embedding = network.get_image_embeddings(pixels)
            self.features: tuple[Tensor, ...] = (embedding, finer, fine)
        else:
            network.set_image_size(rule.side)
            self.features = (network.vision_encoder(pixels).last_hidden_state,)
        self.positions = network.get_image_wide_positional_embeddings()
        dense = network.prompt_encoder.no_mask_embed.weight[:, :, None, None]
        self.decoder = SharedDecoder(network.mask_decoder, self.features, self.positions, dense)
        self.device = device

    def upsampling(self) -> Upsampling:
        """How low-resolution masks become masks of the image."""
        return self.rule.upsampling(self.crop, self.size, 4 * self.features[0].shape[2])

    def embed(
        self,
        points: NDArray[np.float64] | None = None,
        boxes: NDArray[np.float64] | None = None,
        on: NDArray[np.int_] | None = None,
    ) -> Tensor:
        """Points, x and y in pixels of the crop (B, P, 2), and boxes (B, 4) of B objects as tokens (B, tokens, C).

        Points lie on their objects, or where `on` (B, P) is 0 beside them.
        """
        kinds = places = corners = None
        if points is not None:
            places = self.rule.places(points, self.crop)[None].to(self.device)
            is_on = np.ones(points.shape[:2]) if on is None else on
            kinds = torch.from_numpy(is_on)[None].to(self.device, torch.int32)
        if boxes is not None:
            corners = self.rule.places(boxes.reshape(-1, 2, 2), self.crop).reshape(1, -1, 4).to(self.device)
        self.network.set_image_size(self.rule.side)
        sparse: Tensor = self.network.prompt_encoder(places, kinds, corners, None)[0][0]
        return sparse

    @torch.inference_mode()
    def candidates(self, sparse: Tensor, multimask: bool, least_iou: float = 0.0) -> list[Candidate]:
        """Masks of embedded prompts, three or one for each, whose predicted IoU is above the least; up to 0 all are."""
        found: list[Candidate] = []
        step = _CPU_BATCH if self.device.type == "cpu" else len(sparse)
        for start in range(0, len(sparse), step):
            decoded = self.decoder.transform(sparse[start : start + step])
            scores = decoded.iou.cpu()
            for prompt in range(len(scores)):
                iou = scores[prompt]
                if not multimask and self.decoder.is_sam2:
                    found += self._stable(decoded, iou, prompt, start, least_iou)
                    continue
                every = range(1, len(iou)) if multimask else range(1)
                if tokens := [token for token in every if least_iou <= 0 or iou[token] > least_iou]:
                    masks = zip(self.decoder.masks(decoded, prompt, tokens), tokens, strict=True)
                    found += [Candidate(mask, float(iou[token]), start + prompt) for mask, token in masks]
        return found

    def _stable(self, decoded: Any, scores: Tensor, prompt: int, start: int, least_iou: float) -> list[Candidate]:
        """SAM 2's single mask: its own where that is stable, otherwise the best of the three."""
        decoder = self.network.mask_decoder
        best = 1 + int(scores[1:].argmax())
        if least_iou > 0 and not max(scores[0], scores[best]) > least_iou:
            return []
        delta = decoder.dynamic_multimask_stability_delta
        mask = self.decoder.masks(decoded, prompt, [0])[0]
        lower = int((mask > -delta).sum())
        stability = float((mask > delta).sum()) / lower if lower else 1.0
        token = 0
        if decoder.dynamic_multimask_via_stability and stability < decoder.dynamic_multimask_stability_thresh:
            token, mask = best, self.decoder.masks(decoded, prompt, [best])[0]
        iou = float(scores[token])
        return [] if least_iou > 0 and not iou > least_iou else [Candidate(mask, iou, start + prompt)]

    @torch.inference_mode()
    def again(self, sparse: Tensor, candidates: list[Candidate]) -> list[Candidate]:
        """Each mask given to the decoder once more, with its embedded prompt, for a single mask."""
        refined: list[Candidate] = []
        step = _CPU_BATCH if self.device.type == "cpu" else 64
        for start in range(0, len(candidates), step):
            batch = candidates[start : start + step]
            shown = torch.stack([candidate.logits for candidate in batch])[:, None]
            shown = shown.clamp(-_CLAMP, _CLAMP) if self.decoder.is_sam2 else shown
            prompts = torch.tensor([candidate.prompt for candidate in batch], device=self.device)
            finer = {"high_resolution_features": [f.expand(len(batch), -1, -1, -1) for f in self.features[1:]]}
            masks, scores, *_ = self.network.mask_decoder(
                image_embeddings=self.features[0].expand(len(batch), -1, -1, -1),
                image_positional_embeddings=self.positions.expand(len(batch), -1, -1, -1),
                sparse_prompt_embeddings=sparse[prompts][:, None],
                dense_prompt_embeddings=self.network.prompt_encoder.mask_embed(shown),
                multimask_output=False,
                **(finer if self.decoder.is_sam2 else {}),
            )
            found = zip(batch, masks[:, 0, 0], scores[:, 0, 0], strict=True)
            refined += [replace(candidate, logits=mask, iou=float(iou)) for candidate, mask, iou in found]
        return refined
