"""The one case loop, from prepared slices to their label: windows, batches, stitching, refinement."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import prod
from typing import Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

import samtailor.kinds as kinds
from samtailor.data.case import Void
from samtailor.data.intensity import Slices
from samtailor.data.preprocessing import Window, cut, wider_side
from samtailor.errors import ConfigError, DataWarning, NotFiniteError
from samtailor.inference.ahead import ahead
from samtailor.inference.enlarge import winner
from samtailor.inference.room import room_for
from samtailor.inference.stitch import Settled, Stitcher
from samtailor.inference.thresholds import Threshold
from samtailor.inference.views import PLAIN, WindowView, chosen_flips, views_of
from samtailor.models.class_aware import Features
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.progress import report
from samtailor.refinement import STEPS
from samtailor.refinement.step import RefinementStep, SecondPass, Step
from samtailor.settings import ClassBias, Precision, TestTimeFlip, Thresholds, WindowChoice

_HALVES = {"bf16": torch.bfloat16, "16": torch.float16}


def choose_device(name: str, precision: Precision = "auto") -> torch.device:
    """The device of that name; 'auto' is a GPU if there is one.

    Raises:
        ConfigError: If it is not there, or does not compute in the precision.
    """
    has_gpu = torch.cuda.is_available()
    if name.startswith("cuda") and not has_gpu:
        raise ConfigError("device: expected a GPU that torch can use for 'cuda', found none; take --device cpu")
    device = torch.device(("cuda" if has_gpu else "cpu") if name == "auto" else name)
    if precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise ConfigError("precision: expected a GPU that computes in bfloat16, found an older one; take 16 or 32")
    return device


def chosen_precision(precision: Precision, device: torch.device) -> Literal["32", "bf16", "16"]:
    """What 'auto' means on a device; any other precision as it is."""
    if precision != "auto":
        return precision
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "32"


def computed_in(precision: Precision, device: torch.device) -> torch.autocast:
    """Context in which networks on a device compute in a precision; weights stay in single precision."""
    chosen = chosen_precision(precision, device)
    if chosen == "32":
        return torch.autocast(device.type, enabled=False)
    return torch.autocast(device.type, _HALVES[chosen])


@dataclass(frozen=True)
class Piece:
    """One network input: a window of a slice."""

    slice: int
    window: Window
    repeated: bool = False
    """Whether it only fills up a group of slices, and is not wanted itself."""


@dataclass(frozen=True)
class Band:
    """Rows of a slice that are finished.

    Attributes:
        index: Index of the slice.
        rows: Which of its rows.
        label: Class indices, (rows, W).
        probabilities: Softmax over classes, (K, rows, W), if asked for.
        certainty: Softmax of the label's class, (rows, W), if asked for.
    """

    index: int
    rows: slice
    label: NDArray[np.int16]
    probabilities: NDArray[np.float16] | None = None
    certainty: NDArray[np.float16] | None = None

    @classmethod
    def empty(cls, index: int, rows: slice, width: int, classes: int | None, certainty: bool) -> Self:
        """Room for rows of a slice; for probabilities, too, if their number of classes is given."""
        size = rows.stop - rows.start, width
        probabilities = None if classes is None else np.empty((classes, *size), np.float16)
        return cls(
            index, rows, np.empty(size, np.int16), probabilities, np.empty(size, np.float16) if certainty else None
        )


class Predictor:
    """Applies a segmenter to whole images and volumes; memory is bounded by one batch and one row of windows."""

    def __init__(
        self,
        model: SegmenterModel,
        batch_size: int = 8,
        device: str = "auto",
        precision: Precision = "auto",
        refinement: Sequence[Step] | None = None,
        tta: TestTimeFlip | None = None,
        bias: ClassBias = "saved",
        threshold: Thresholds | None = None,
        windows: WindowChoice = "auto",
    ) -> None:
        """Move the segmenter to the device and into evaluation mode.

        Args:
            model: What is applied.
            batch_size: Windows per batch.
            device: 'auto', 'cpu' or 'cuda'.
            precision: In which the network computes.
            refinement: What is done after the network's first pass; what the segmenter has saved if None.
            tta: Flips that are averaged over; 'auto' is those of the segmenter's training, None what it has saved;
                'none' also leaves out the wide views of a segmenter that was trained with some.
            bias: Whether the offsets of the class logits are added that the segmenter has saved, if any.
            threshold: Least probability of classes, by name: where a class is below its own, the label is the most
                probable one that is not; where all are, the first class.
            windows: How large the windows of a slice are (see `Preprocessing.side`).

        Raises:
            ConfigError: If there is no class of a threshold, or no such size of windows is known; or the segmenter was
                saved with a refinement that is not known, or cannot work, here, or does not say by which flips it was
                trained.
        """
        self.flips = chosen_flips(model.practice.tta if tta is None else tta, model.practice.flip)
        self.wide = 0.0 if tta == "none" else model.practice.wide
        """Weight of the wide view of windows around which more can be seen."""
        saved = (kinds.from_json(step, STEPS, "refinement") for step in model.practice.refinement)
        steps = tuple(saved if refinement is None else refinement)
        for step in steps:
            step.require_ready()
        self.second_passes = tuple(step for step in steps if isinstance(step, SecondPass))
        self.refinement = tuple(step for step in steps if isinstance(step, RefinementStep))
        if self.second_passes and model.practice.prompts not in ("outline", None):
            warnings.warn(
                "refine: expected a segmenter that was trained with outline prompts for 'outline', found one that has "
                "unlearnt them: it mostly gets worse; train with --prompts outline, or take --refine none",
                DataWarning,
                stacklevel=2,
            )
        model.preprocessing.side(1, 1, windows)  # refused before any image is read
        self.window_choice = windows
        self.model = model.to(choose_device(device)).eval()
        self.bias: Tensor | None = None
        """Offsets of the class logits, (K, 1, 1)."""
        if bias == "saved" and model.practice.bias is not None:
            self.bias = torch.tensor(model.practice.bias, device=self.model.device)[:, None, None]
        self.threshold = Threshold(threshold, model.labels) if threshold else None
        self.batch_size = batch_size
        self.precision = precision
        self.rough: NDArray[np.int16] | None = None
        """Class indices, (S, H, W), that second passes go by instead of the first pass's."""
        self.inputs_ahead = self.model.device.type != "cpu"
        """Whether a thread prepares the next batch meanwhile; on the CPU it would only take cores from the network."""
        self.tells_progress = True
        """Whether it reports how far it is."""

    @property
    def members(self) -> tuple[Predictor, ...]:
        """What applies one network each: itself, and in an ensemble the others."""
        return (self,)

    @torch.inference_mode()
    def label(
        self,
        image: Slices,
        spacing: tuple[float, float, float] | None = None,
        embeddings: NDArray[np.float16] | None = None,
        probabilities: NDArray[np.float16] | None = None,
        void: Void | None = None,
    ) -> NDArray[np.int16]:
        """Most probable class of every pixel (Eq. 1 of the report), refined.

        Args:
            image: Slices in [0, 1], (S, C, H, W).
            spacing: Distance in mm of slices, rows, columns; None for pictures.
            embeddings: What `embeddings` gave of all windows in order, if it is known; (windows, N). Not with flips.
            probabilities: Where the softmax over classes goes if it is wanted, (K, S, H, W); may lie on disk. The
                refinement does not change it.
            void: Pixels that hold nothing, on which nothing was trained: the refinement sees background there, or what
                is found there might be the largest component.

        Returns:
            Class indices, (S, H, W).
        """
        if probabilities is None and any(step.needs_probabilities for step in self.refinement):
            probabilities = room_for(self.probabilities_shape(image))
        label = self._most_probable(image, embeddings, probabilities)
        if self.refinement and void is not None:
            label[void.where] = 0
        for step in self.refinement:
            label = step(label, probabilities, image, spacing)
        return label

    @torch.inference_mode()
    def probabilities(self, image: Slices, slices: range | None = None) -> NDArray[np.float16]:
        """Softmax over classes of every pixel.

        Args:
            image: Slices in [0, 1], (S, C, H, W).
            slices: Which of them are wanted, N one after the other; all if None.

        Returns:
            (K, N, H, W).
        """
        wanted = slices or range(len(image))
        classes, _, *size = self.probabilities_shape(image)
        probabilities = np.empty((classes, len(wanted), *size), np.float16)
        for band in self.bands(image, probabilities=True, slices=wanted):
            probabilities[:, wanted.index(band.index), band.rows] = band.probabilities
        return probabilities

    def windows(self, height: int, width: int) -> list[Window]:
        """Windows that cover a slice, row by row."""
        mirrored = len(self.flips) > 1
        return self.model.preprocessing.windows(height, width, mirrored=mirrored, choice=self.window_choice)

    def views(self, height: int, width: int) -> tuple[WindowView, ...]:
        """Views of each window of a slice, whose weights sum to 1."""
        side = self.side(height, width)
        return views_of(self.flips, self.wide if wider_side(side, (height, width)) > side else 0.0)

    def side(self, height: int, width: int) -> int:
        """Side of the windows of a slice."""
        return self.model.preprocessing.side(height, width, self.window_choice)

    def probabilities_shape(self, image: Slices) -> tuple[int, ...]:
        """Shape (K, S, H, W) of the probabilities of slices (S, C, H, W)."""
        return len(self.model.labels), image.shape[0], *image.shape[2:]

    @torch.inference_mode()
    def bands(
        self,
        image: Slices,
        embeddings: NDArray[np.float16] | None = None,
        probabilities: bool = False,
        rows: slice | None = None,
        certainty: bool = False,
        slices: range | None = None,
    ) -> Iterator[Band]:
        """The label before it is refined, band of rows by band of rows.

        The bands of a slice come from top to bottom, each complete from the first column to the last; slices that are
        computed as one group come at the same time. What has come is not held any more.

        Args:
            image: Slices in [0, 1], (S, C, H, W), which may be computed, and read, where they are looked at.
            embeddings: As in `label`; for all rows of all slices only.
            probabilities: Whether the softmax over classes is wanted.
            rows: Rows that are wanted, from the start of a band (see `bands_of`) to the end of one; all if None.
            certainty: Whether the softmax of the label's class is wanted.
            slices: Which slices are wanted, one after the other; all if None.
        """
        width = image.shape[3]
        classes = len(self.model.labels) if probabilities else None
        begun: dict[int, Band] = {}
        everywhere, throughout = slice(0, image.shape[2]), range(len(image))
        for index, part in self._stitched(image, embeddings, rows or everywhere, slices or throughout):
            if index not in begun:
                begun[index] = Band.empty(index, part.band, width, classes, certainty)
            band = begun[index]
            place = slice(part.rows.start - band.rows.start, part.rows.stop - band.rows.start), part.columns
            scores = part.logits
            if probabilities or certainty or self.threshold:
                softmax = scores.softmax(dim=0)
            if band.probabilities is not None:
                band.probabilities[:, *place] = softmax.half().cpu().numpy()
            if self.threshold:
                scores = self.threshold.candidates(softmax)
            label = winner(scores.float())
            band.label[place] = label.cpu().numpy()
            if band.certainty is not None:
                of_label = softmax.gather(0, label[None].long())[0] if self.threshold else softmax.amax(dim=0)
                band.certainty[place] = of_label.half().cpu().numpy()
            if (part.rows.stop, part.columns.stop) == (band.rows.stop, width):
                yield begun.pop(index)

    def _most_probable(
        self, image: Slices, embeddings: NDArray[np.float16] | None, probabilities: NDArray[np.float16] | None
    ) -> NDArray[np.int16]:
        """The label before it is refined; the softmax is filled in if there is room for it."""
        label = np.empty((image.shape[0], *image.shape[2:]), np.int16)
        for band in self.bands(image, embeddings, probabilities is not None):
            label[band.index, band.rows] = band.label
            if probabilities is not None:
                probabilities[:, band.index, band.rows] = band.probabilities
        return label

    def _stitched(
        self, image: Slices, embeddings: NDArray[np.float16] | None, rows: slice, slices: range
    ) -> Iterator[tuple[int, Settled]]:
        """Slice and class logits of everything in some rows of some slices.

        Windows are blended by weights that fall to their rims.
        The parts of a slice come in its bands from top to bottom; slices that are computed as one group come at the
        same time.
        """
        height, width = image.shape[2:]
        windows = self.windows(height, width)
        views = self.views(height, width)
        stitchers: dict[int, Stitcher] = {}
        # Windows above these rows reach into them.
        touching = [window for window in windows if window.y + window.side > rows.start and window.y < rows.stop]
        for done, (piece, logits) in enumerate(self._window_logits(image, slices, touching, views, embeddings), 1):
            if piece.slice not in stitchers:
                stitchers[piece.slice] = Stitcher(windows, height, width, [view.flip for view in views])
            stitcher = stitchers[piece.slice]
            parts = stitcher.add(piece.window, *logits)
            yield from ((piece.slice, part) for part in parts if part.band.start >= rows.start)
            if piece.window == touching[-1]:
                del stitchers[piece.slice]
            if self.tells_progress and len(slices) > 1:
                report("slices", done / len(touching), len(slices))
            elif self.tells_progress:
                report("windows", done, len(touching))

    def _window_logits(
        self,
        image: Slices,
        slices: range,
        windows: list[Window],
        views: Sequence[WindowView],
        embeddings: NDArray[np.float16] | None,
    ) -> Iterator[tuple[Piece, tuple[Tensor, ...]]]:
        """What the network gives for every window of some slices.

        That is the part of each view in its class logits, (K, n, n), still flipped.
        Slices come in order, windows row by row.
        """
        group = self.model.group
        batches = _batches(slices, len(image), windows, group, max(1, self.batch_size // group) * group)
        if embeddings is None:
            computed = self._computed(image, batches, views)
        elif views == (PLAIN,):
            computed = self._decoded(image, embeddings, batches)
        else:
            raise ValueError("embeddings are those of windows as they are")
        for in_turn in zip(*[computed] * len(views), strict=True):
            batch = in_turn[0][0]
            parts = []
            for view, (_, logits) in zip(views, in_turn, strict=True):
                _require_finite(batch, logits, len(image))
                logits = logits if self.bias is None else logits + self.bias
                parts.append(view.weighted(logits, [piece.window for piece in batch], image.shape[2:]))
            by_window = zip(*parts, strict=True)
            yield from ((piece, x) for piece, x in zip(batch, by_window, strict=True) if not piece.repeated)

    def _computed(
        self, image: Slices, batches: Iterable[list[Piece]], views: Sequence[WindowView]
    ) -> Iterator[tuple[list[Piece], Tensor]]:
        """Batches and their logits (B, K, n, n): each batch as often as there are views, seen by each in turn."""
        inputs = ((batch, view, self._inputs(image, batch, view)) for batch in batches for view in views)
        for batch, view, images in ahead(inputs) if self.inputs_ahead else inputs:
            images = images.to(self.model.device)
            with self.in_precision():
                yield batch, self._drawn(batch, self.model.encode(images), images, view)

    def _decoded(
        self, image: Slices, embeddings: NDArray[np.float16], batches: Iterable[list[Piece]]
    ) -> Iterator[tuple[list[Piece], Tensor]]:
        """Batches and their logits (B, K, n, n), from what the frozen part of the image encoder gave."""
        shapes = self.model.network.frozen_shapes(self.model.preprocessing.image_size)
        start = 0
        for batch in batches:
            known = torch.from_numpy(embeddings[start : start + len(batch)].astype(np.float32))
            start += len(batch)
            state = unpack(known.to(self.model.device), shapes)
            images = self._inputs(image, batch).to(self.model.device) if self.second_passes else None
            with self.in_precision():
                yield batch, self._drawn(batch, self.model.encode_rest(state), images)

    def _drawn(self, batch: list[Piece], features: Features, images: Tensor | None, view: WindowView = PLAIN) -> Tensor:
        """Class logits (B, K, n, n) of windows, after the second passes that are wanted; these look at the images."""
        logits = self.model.decode(features)
        for again in self.second_passes:
            assert images is not None
            labels = None
            if self.rough is not None:
                side = logits.shape[-1]
                labels = [label_of_window(self.rough[piece.slice], piece.window, side, view) for piece in batch]
            logits = again(self.model.network, features, logits, images, labels)
        return logits

    def in_precision(self) -> torch.autocast:
        """Context in which the network computes."""
        return computed_in(self.precision, self.model.device)

    def _inputs(self, image: Slices, pieces: list[Piece], view: WindowView = PLAIN) -> Tensor:
        """Network inputs of windows, (B, C, N, N), on the CPU."""
        preprocessing = self.model.preprocessing
        seen = (view.seen(preprocessing.slice_of(image, piece.slice), piece.window) for piece in pieces)
        return torch.stack([preprocessing.input_of(*one) for one in seen])

    @torch.inference_mode()
    def features(self, image: Slices, piece: Piece) -> Features:
        """Feature maps of a window of a slice, a batch of one; its group is computed as in prediction."""
        group = group_of(piece.slice, image.shape[0], self.model.group)
        inputs = self._inputs(image, [Piece(index, piece.window) for index in group]).to(self.model.device)
        place = group.index(piece.slice)
        with self.in_precision():
            return tuple(feature[place : place + 1] for feature in self.model.encode(inputs))

    @torch.inference_mode()
    def embeddings(self, image: Slices, pieces: list[Piece]) -> Iterator[NDArray[np.float16]]:
        """Packed outputs of the frozen part of the image encoder for windows, batch by batch, (B, N).

        In single precision always: they are kept, for trainings in any.
        """
        for start in range(0, len(pieces), self.batch_size):
            inputs = self._inputs(image, pieces[start : start + self.batch_size])
            yield pack(self.model.encode_frozen(inputs.to(self.model.device))).half().cpu().numpy()


def _batches(wanted: range, slices: int, windows: list[Window], group: int, size: int) -> Iterator[list[Piece]]:
    """All windows of the wanted slices: group by group of neighbouring slices, in it window by window."""
    pieces = (
        Piece(index, window, repeated=first + i not in wanted)
        for first in range(wanted.start - wanted.start % group, wanted.stop, group)
        for window in windows
        for i, index in enumerate(group_of(first, slices, group))
    )
    while batch := list(islice(pieces, size)):
        yield batch


def _require_finite(batch: list[Piece], logits: Tensor, slices: int) -> None:
    """Refuse scores that are no numbers: they would become background."""
    if not torch.isfinite(logits).all():
        index = next(piece.slice for piece, x in zip(batch, logits, strict=True) if not torch.isfinite(x).all())
        where = f" in slice {index}" if slices > 1 else ""
        raise NotFiniteError(
            f"network: expected finite scores, found NaN or infinity{where}; check the image with samtailor check, and "
            "take --precision 32"
        )


def label_of_window(
    label: NDArray[np.int16], window: Window, side: int, view: WindowView = PLAIN
) -> NDArray[np.integer]:
    """A window of class indices (H, W) on the grid of the network's class maps, (side, side); background beyond it."""
    seen = torch.from_numpy(cut(*view.seen(label[None], window), 0).astype(np.float32))
    resized: NDArray[np.integer] = F.interpolate(seen[None], (side, side), mode="nearest-exact")[0, 0].long().numpy()
    return resized


def group_of(index: int, slices: int, group: int) -> list[int]:
    """The neighbouring slices that a slice is computed with; the last group is filled up with the last slice."""
    first = index - index % group
    return [min(first + i, slices - 1) for i in range(group)]


def pack(features: Features) -> Tensor:
    """Feature maps of each image in one row, (B, N)."""
    return torch.cat([feature.flatten(1) for feature in features], dim=1)


def unpack(rows: Tensor, shapes: list[tuple[int, int, int]]) -> Features:
    """Inverse of `pack`, for maps of shapes (C, h, w)."""
    parts = torch.split(rows, [prod(shape) for shape in shapes], dim=1)
    return tuple(part.reshape(-1, *shape) for part, shape in zip(parts, shapes, strict=True))
