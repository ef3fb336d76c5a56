"""Training a peer until a deadline, and its label of whole cases."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.accuracy.patches import Patches
from benchmarks.accuracy.peers import Patch, Peer, patch_of
from samtailor.data.cache import CachedCase
from samtailor.files import atomic
from samtailor.inference.predictor import choose_device, computed_in
from samtailor.losses import ClassAwareLoss
from samtailor.settings import Flip
from samtailor.training.samples import SliceReference, choose_slices

_EMPTY = 0.2  # slices without foreground, as a fraction of those with: SamTailor's own
_SAVING = 1.0  # seconds that are left for it


@dataclass
class Fitted:
    """A peer that was trained.

    Attributes:
        network: Gives logits (B, K, h, w).
        patch: What it has seen.
        mean: Of each channel, (C, 1, 1).
        std: Of each channel, (C, 1, 1).
        classes: Their number.
    """

    network: nn.Module
    patch: Patch
    mean: Tensor
    std: Tensor
    classes: int

    def save(self, file: Path) -> None:
        """Write everything that `load` needs."""
        content = vars(self) | {"network": self.network.state_dict()}
        with atomic(file) as path:
            torch.save(content, path)

    @classmethod
    def load(cls, file: Path, peer: Peer, device: str) -> Self:
        """What was saved."""
        content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        network = peer.build(len(content["mean"]), content["classes"], content["patch"])
        network.load_state_dict(content["network"])
        return cls(**{**content, "network": network.to(choose_device(device))})

    @torch.inference_mode()
    def label(self, image: NDArray[Any]) -> NDArray[np.int16]:
        """Class indices, (S, H, W), of slices in [0, 1], (S, C, H, W).

        Windows of half a patch's distance, weighted by a Gaussian, without mirroring.
        """
        self.network.eval()
        device = next(self.network.parameters()).device
        labels = []
        for plane in image:
            inputs = (torch.from_numpy(np.asarray(plane, np.float32)) - self.mean) / self.std
            with computed_in("auto", device):
                logits = sliding_window_inference(
                    inputs[None].to(device), self.patch, 4, self.network, overlap=0.5, mode="gaussian"
                )
            labels.append(logits[0].argmax(dim=0).to(torch.int16).cpu().numpy())
        return np.stack(labels)


def fit(
    peer: Peer, cases: Sequence[CachedCase], classes: int, flip: Flip, seed: int, until: float, device: str
) -> tuple[Fitted, dict[str, Any]]:
    """Train until a moment, and keep the last weights, as nnU-Net does; no other cases are looked at.

    Args:
        peer: What is trained.
        cases: Training cases.
        classes: Their number.
        flip: Axes that SamTailor's own augmentation flips.
        seed: Of everything random.
        until: When it ends, by `time.monotonic`.
        device: Where.

    Returns:
        What was trained, and what is worth knowing of it.
    """
    torch.manual_seed(seed)
    where = choose_device(device)
    slices = choose_slices(cases, _EMPTY, seed)
    height, width = np.median([reference.case.image.shape[2:] for reference in slices], axis=0)
    patch = patch_of(height, width)
    mean, std = _moments(slices)
    network = peer.build(len(mean), classes, patch).to(where).train()
    optimizer = peer.optimizer(network.parameters())
    largest = [group["lr"] for group in optimizer.param_groups]
    loss_of = ClassAwareLoss(ce=1.0, dice=1.0)
    patches = Patches(slices, patch, mean, std, flip, seed)
    losses: list[float] = []
    began = now = time.monotonic()
    longest = 0.0
    while not losses or now + longest < until - _SAVING:
        for group, lr in zip(optimizer.param_groups, largest, strict=True):
            group["lr"] = lr * peer.rate(min(1.0, (now - began) / (until - began)))
        images, target = (tensor.to(where) for tensor in patches.batch(peer.batch))
        optimizer.zero_grad()
        with computed_in("auto", where):
            outputs = network(images)
        loss = supervised(loss_of, outputs, target)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), peer.clip)
        optimizer.step()
        losses.append(loss.item())
        now, before = time.monotonic(), now
        longest = max(longest if len(losses) > 2 else 0.0, now - before)  # the first steps allocate
    tenth = max(1, len(losses) // 10)
    facts = {
        "patch": list(patch),
        "batch": peer.batch,
        "steps": len(losses),
        "samples": len(losses) * peer.batch,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "loss": [float(np.mean(losses[:tenth])), float(np.mean(losses[-tenth:]))],
    }
    return Fitted(network, patch, mean, std, classes), facts


def supervised(loss_of: ClassAwareLoss, outputs: Tensor, target: Tensor) -> Tensor:
    """Loss of logits (B, K, H, W), or of those of several stages (B, stages, K, H, W), each half as heavy."""
    if outputs.ndim == 4:
        return loss_of(outputs, target)
    weights = [0.5**stage for stage in range(outputs.shape[1])]
    losses = [weight * loss_of(logits, target) for weight, logits in zip(weights, outputs.unbind(1), strict=True)]
    return torch.stack(losses).sum() / sum(weights)


def _moments(slices: Sequence[SliceReference], most: int = 500) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, (C, 1, 1), of at most so many evenly spread slices."""
    chosen = slices[:: max(1, len(slices) // most)]
    images = [np.asarray(reference.case.image[reference.index], np.float32) for reference in chosen]
    values = np.concatenate([image.reshape(len(image), -1) for image in images], axis=1)
    mean, std = (torch.from_numpy(found(values, axis=1)).float()[:, None, None] for found in (np.mean, np.std))
    return mean, std.clamp(min=1e-6)
