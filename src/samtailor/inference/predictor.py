"""From scaled slices to labels on the slices' own grid: windows, batches, stitching."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from samtailor.data.preprocessing import Window
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


class Predictor:
    """Applies a segmenter to whole images and volumes; memory is bounded by one batch and one slice."""

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
            embeddings: Image embeddings of all windows in order, if they are known; (windows, C, h, w).

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
        for index, group in groupby(self._window_logits(image, windows, embeddings), key=lambda item: item[0].slice):
            pieces = list(group)
            if len(pieces) == 1:
                yield index, pieces[0][1][:, :height, :width]
                continue
            total = torch.zeros(len(self.segmenter.labels), height, width, device=self.segmenter.device)
            weights = torch.zeros(height, width, device=self.segmenter.device)
            weight = _gaussian(windows[0].side).to(self.segmenter.device)
            for piece, logits in pieces:
                y, x, side = piece.window.y, piece.window.x, piece.window.side
                rows, columns = min(side, height - y), min(side, width - x)
                total[:, y : y + rows, x : x + columns] += (logits * weight)[:, :rows, :columns]
                weights[y : y + rows, x : x + columns] += weight[:rows, :columns]
            yield index, total / weights

    @torch.inference_mode()
    def _window_logits(
        self, image: NDArray[np.float16], windows: list[Window], embeddings: NDArray[np.float16] | None
    ) -> Iterator[tuple[Piece, Tensor]]:
        """Class logits of every window at the window's own size, (K, side, side), slice by slice."""
        pieces = [Piece(s, window) for s in range(len(image)) for window in windows]
        for start in range(0, len(pieces), self.batch_size):
            batch = pieces[start : start + self.batch_size]
            if embeddings is None:
                logits = self.segmenter(self._inputs(image, batch))
            else:
                known = torch.from_numpy(embeddings[start : start + len(batch)].astype(np.float32))
                logits = self.segmenter.decode(known.to(self.segmenter.device))
            side = windows[0].side
            resized = F.interpolate(logits.float(), (side, side), mode="bilinear", antialias=True)
            yield from zip(batch, resized, strict=True)

    def _inputs(self, image: NDArray[np.float16], pieces: list[Piece]) -> Tensor:
        """Network inputs of windows, (B, 3, N, N)."""
        preprocessing = self.segmenter.preprocessing
        inputs = [preprocessing.input_of(image[piece.slice], piece.window) for piece in pieces]
        return torch.stack(inputs).to(self.segmenter.device)

    @torch.inference_mode()
    def embeddings(self, image: NDArray[np.float16], pieces: list[Piece]) -> Iterator[NDArray[np.float16]]:
        """Image embeddings of windows, batch by batch, (B, C, h, w)."""
        for start in range(0, len(pieces), self.batch_size):
            inputs = self._inputs(image, pieces[start : start + self.batch_size])
            yield self.segmenter.encode(inputs).half().cpu().numpy()


def _gaussian(side: int) -> Tensor:
    """Weights of a window's pixels, (side, side): one in the middle, falling with a quarter of the side."""
    distance = (torch.arange(side) - (side - 1) / 2) / (side / 4)
    profile = torch.exp(-0.5 * distance**2)
    return profile[:, None] * profile
