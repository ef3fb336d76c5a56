"""From scaled slices to labels on the slices' own grid: windows, batches, stitching."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from samtailor.data.preprocessing import Window
from samtailor.models.class_aware import Features
from samtailor.models.segmenter import Segmenter


def choose_device(name: str) -> torch.device:
    """The device of that name; 'auto' is a GPU if there is one."""
    if name != "auto":
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class Piece:
    """One network input: a window of a slice."""

    slice: int
    window: Window
    repeated: bool = False
    """Whether it only fills up a group of slices."""


class Predictor:
    """Applies a segmenter to whole images and volumes; memory is bounded by one batch and the slices it touches."""

    def __init__(self, segmenter: Segmenter, batch_size: int = 8, device: str = "auto") -> None:
        """Move the segmenter to the device and into evaluation mode.

        Args:
            segmenter: What is applied.
            batch_size: Windows per batch.
            device: 'auto', 'cpu' or 'cuda'.
        """
        self.segmenter = segmenter.to(choose_device(device)).eval()
        self.batch_size = batch_size

    def label(
        self,
        image: NDArray[np.float16],
        progress: Callable[[int], None] | None = None,
        embeddings: NDArray[np.float16] | None = None,
    ) -> NDArray[np.int16]:
        """Most probable class of every pixel (Eq. 1 of the report).

        Args:
            image: Slices in [0, 1], (S, C, H, W).
            progress: Called with the number of finished slices after each.
            embeddings: Packed feature maps of all windows in order, if they are known; (windows, N).

        Returns:
            Class indices, (S, H, W).
        """
        label = np.empty((image.shape[0], *image.shape[2:]), np.int16)
        for index, logits in self._stitched(image, embeddings):
            label[index] = logits.argmax(dim=0).cpu().numpy()
            if progress is not None:
                progress(index + 1)
        return label

    def probabilities(
        self, image: NDArray[np.float16], progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float16]:
        """Softmax over classes of every pixel; `label` is its argmax.

        Args:
            image: Slices in [0, 1], (S, C, H, W).
            progress: Called with the number of finished slices after each.

        Returns:
            (K, S, H, W).
        """
        shape = (len(self.segmenter.labels), image.shape[0], *image.shape[2:])
        probabilities = np.empty(shape, np.float16)
        for index, logits in self._stitched(image, None):
            probabilities[:, index] = logits.softmax(dim=0).half().cpu().numpy()
            if progress is not None:
                progress(index + 1)
        return probabilities

    def _stitched(
        self, image: NDArray[np.float16], embeddings: NDArray[np.float16] | None
    ) -> Iterator[tuple[int, Tensor]]:
        """Class logits (K, H, W) of each slice in turn, windows blended with weights that fall to their rims."""
        height, width = image.shape[2:]
        windows = self.segmenter.preprocessing.windows(height, width)
        open_slices: dict[int, _Blend] = {}
        for piece, logits in self._window_logits(image, windows, embeddings):
            blend = open_slices.setdefault(piece.slice, _Blend(len(windows), height, width))
            blend.add(piece.window, logits)
            if not blend.missing:
                yield piece.slice, open_slices.pop(piece.slice).logits()

    @torch.inference_mode()
    def _window_logits(
        self, image: NDArray[np.float16], windows: list[Window], embeddings: NDArray[np.float16] | None
    ) -> Iterator[tuple[Piece, Tensor]]:
        """Class logits of every window at the window's own size, (K, side, side), slices in order."""
        group = self.segmenter.group
        pieces = _in_groups(len(image), windows, group)
        size = max(1, self.batch_size // group) * group
        shapes = self.segmenter.network.feature_shapes(self.segmenter.preprocessing.image_size)
        for start in range(0, len(pieces), size):
            batch = pieces[start : start + size]
            if embeddings is None:
                logits = self.segmenter(self._inputs(image, batch))
            else:
                known = torch.from_numpy(embeddings[start : start + len(batch)].astype(np.float32))
                logits = self.segmenter.decode(unpack(known.to(self.segmenter.device), shapes))
            side = windows[0].side
            resized = F.interpolate(logits.float(), (side, side), mode="bilinear", antialias=True)
            yield from ((p, x) for p, x in zip(batch, resized, strict=True) if not p.repeated)

    def _inputs(self, image: NDArray[np.float16], pieces: list[Piece]) -> Tensor:
        """Network inputs of windows, (B, 3, N, N)."""
        preprocessing = self.segmenter.preprocessing
        inputs = [preprocessing.input_of(image[piece.slice], piece.window) for piece in pieces]
        return torch.stack(inputs).to(self.segmenter.device)

    @torch.inference_mode()
    def embeddings(self, image: NDArray[np.float16], pieces: list[Piece]) -> Iterator[NDArray[np.float16]]:
        """Feature maps of windows, batch by batch, each window's packed into one row, (B, N)."""
        for start in range(0, len(pieces), self.batch_size):
            inputs = self._inputs(image, pieces[start : start + self.batch_size])
            yield pack(self.segmenter.encode(inputs)).half().cpu().numpy()


class _Blend:
    """Weighted mean of the windows of one slice, as they come."""

    def __init__(self, windows: int, height: int, width: int) -> None:
        self.missing = windows
        self._single = windows == 1
        self._shape = (height, width)
        self._total: Tensor | None = None
        self._weights: Tensor | None = None

    def add(self, window: Window, logits: Tensor) -> None:
        """Take in the logits of one window, (K, side, side)."""
        self.missing -= 1
        height, width = self._shape
        if self._single:
            self._total = logits[:, :height, :width]
            return
        if self._total is None or self._weights is None:
            self._total = logits.new_zeros(len(logits), height, width)
            self._weights = logits.new_zeros(height, width)
        weight = _gaussian(window.side).to(logits.device)
        rows, columns = min(window.side, height - window.y), min(window.side, width - window.x)
        place = (slice(window.y, window.y + rows), slice(window.x, window.x + columns))
        self._total[:, *place] += (logits * weight)[:, :rows, :columns]
        self._weights[place] += weight[:rows, :columns]

    def logits(self) -> Tensor:
        """(K, H, W)."""
        assert self._total is not None
        return self._total if self._weights is None else self._total / self._weights


def _in_groups(slices: int, windows: list[Window], group: int) -> list[Piece]:
    """All windows of all slices: group by group of neighbouring slices, in it window by window.

    The last group is filled up with its last slice, so that every group is complete.
    """
    return [
        Piece(min(first + i, slices - 1), window, repeated=first + i >= slices)
        for first in range(0, slices, group)
        for window in windows
        for i in range(group)
    ]


def pack(features: Features) -> Tensor:
    """Feature maps of each image in one row, (B, N)."""
    return torch.cat([feature.flatten(1) for feature in features], dim=1)


def unpack(rows: Tensor, shapes: list[tuple[int, int, int]]) -> Features:
    """Inverse of `pack`.

    Args:
        rows: (B, N).
        shapes: Shape (C, h, w) of each map.
    """
    parts = torch.split(rows, [prod(shape) for shape in shapes], dim=1)
    return tuple(part.reshape(-1, *shape) for part, shape in zip(parts, shapes, strict=True))


def _gaussian(side: int) -> Tensor:
    """Weights of a window's pixels, (side, side): one in the middle, falling with a quarter of the side."""
    distance = (torch.arange(side) - (side - 1) / 2) / (side / 4)
    profile = torch.exp(-0.5 * distance**2)
    return profile[:, None] * profile
