"""From a case to the network's input: the same steps, intensities, windows and sizes in training and prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

import samtailor.kinds as kinds
from samtailor.data.case import Case
from samtailor.data.channels import COLOURS, ChannelChoice
from samtailor.data.conditions import require_intensities
from samtailor.data.intensity import (
    ByChannel,
    Intensity,
    Scaled,
    Slices,
    intensity_from_json,
    intensity_to_json,
    limits_of,
    require_scale,
)
from samtailor.data.scene import Scene
from samtailor.data.steps import STEPS
from samtailor.data.steps.step import PreprocessingStep
from samtailor.errors import ConfigError, DataError, counted
from samtailor.labels import IGNORE
from samtailor.settings import Checked, WindowChoice, Within

_WIDER = 2
"""Times the side of a window is that of what is seen around it."""
_MUCH_LARGER = 1.5
"""From here on a picture is of another size than those of the training; augmentation zooms by less."""


@dataclass(frozen=True)
class Window:
    """A square of a slice that the network sees at once; it may reach over the slice's border.

    Attributes:
        y: First row.
        x: First column.
        side: Rows and columns.
    """

    y: int
    x: int
    side: int

    @classmethod
    def around(cls, y: int, x: int, side: int, size: tuple[int, ...]) -> Self:
        """Window with a pixel in its middle, or as near to it as the borders of a slice (H, W) allow."""
        first_row, first_column = (
            int(np.clip(centre - side // 2, 0, max(length - side, 0)))
            for centre, length in zip((y, x), size, strict=True)
        )
        return cls(first_row, first_column, side)

    def wider(self, size: tuple[int, ...]) -> Self:
        """What is seen of a slice (H, W) around this window: twice its side, or the whole slice where that is less.

        The window lies in its middle, or as near to it as the borders of the slice allow.
        """
        middle = self.side // 2
        return self.around(self.y + middle, self.x + middle, wider_side(self.side, size), size)


def wider_side(side: int, size: tuple[int, ...]) -> int:
    """Side of what is seen of a slice (H, W) around a window of some side."""
    return max(side, min(_WIDER * side, max(size)))


@dataclass(frozen=True)
class Preprocessing(Checked, group="preprocessing"):
    """Everything between a case's file values and the network's input; saved with the segmenter.

    Attributes:
        intensity: How file values become [0, 1].
        image_size: Side of the network's input, in pixels.
        field: Side of the window of the slice that becomes one input; None is the whole slice.
        channels: Channels of the images; a single one is repeated for the network.
        steps: What is done to file values before, in order.
        bands: Numbers, from 1, of the channels that are taken of a file with others; None takes a file as it is.
        seen: The longest side of the pictures of the training, in pixels; None of volumes, and in older files.
        neighbours: Whether the three colours that the network sees of a volume of one channel are a slice with the one
            before and the one behind it, rather than three times the slice.
    """

    intensity: Intensity
    image_size: Annotated[int, Within(1, 8192)]
    field: Annotated[int, Within(1, 1_000_000)] | None
    channels: Annotated[int, Within(1, 10_000)]
    steps: tuple[PreprocessingStep, ...] = ()
    bands: tuple[Annotated[int, Within(1, 65_535)], ...] | None = None
    seen: Annotated[int, Within(1)] | None = None
    neighbours: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.intensity, ByChannel) and len(self.intensity.channels) != self.channels:
            found = len(self.intensity.channels)
            raise ConfigError(f"intensity: expected one for each of {counted(self.channels, 'channel')}, found {found}")
        if self.bands is not None and len(self.bands) != self.channels:
            raise ConfigError(f"bands: expected {self.channels} numbers, one for each channel, found {self.bands}")
        if self.neighbours and self.channels != 1:
            raise ConfigError(f"neighbours: expected images of one channel, found {self.channels}")

    @property
    def channel_choice(self) -> ChannelChoice:
        """What is taken of an image."""
        return self.bands or self.channels

    def prepare(self, case: Case) -> Scaled:
        """Slices of a case in [0, 1], (S, C, H, W), scaled where they are looked at.

        The slice cache holds these values, and prediction looks at them: both see the same.

        Raises:
            FileError: If the image is none, or holds NaN or infinite voxels; files were refused when they were read.
            DataError: If a picture is of another scale than those of the training.
        """
        require_intensities(case)
        image, void = case.image, case.geometry.void
        if self.steps:
            image = image if void is None else void.filled(image)
            for step in self.steps:
                image = step(image, case.geometry.spacing)
            if void is not None:
                image[:, void.where] = case.image[:, void.where]
        known = image if void is None else image[:, ~void.where]
        if case.geometry.spacing is None:
            try:
                require_scale(case.image, self.intensity)
            except DataError as error:
                raise DataError(f"{case.name}: {error}") from error
        return Scaled(image.swapaxes(0, 1), self.intensity.limits(known))

    def prepare_scene(self, scene: Scene) -> Scaled:
        """What `prepare` gives, of a scene: nothing is read but what limits depend on, and what is looked at.

        Raises:
            ValueError: If there are steps: they change images that are held.
            DataError: If the scene is of another scale than those of the training, or nothing is known of it.
        """
        if self.steps:
            raise ValueError("expected a preprocessing without steps")
        values = scene.distribution()
        try:
            require_scale(values, self.intensity)
        except DataError as error:
            raise DataError(f"{scene.files.name}: {error}") from error
        return Scaled(scene.slices, limits_of(self.intensity, values))

    def side(self, height: int, width: int, choice: WindowChoice = "auto") -> int:
        """Side of the windows of a slice.

        Args:
            height: Rows of the slice.
            width: Its columns.
            choice: 'auto' is the field, or without one the whole slice; but a picture that is much larger than all of
                the training would be shrunk to a scale that was never seen: its windows are as large as those were.
                'whole' is the whole slice; 'training' is the field, or without one the size of those pictures.

        Raises:
            ConfigError: If that size is wanted, and not known.
        """
        longest, trained = max(height, width), self.field or self.seen
        if choice == "training":
            if trained is None:
                raise ConfigError(
                    "windows: expected a segmenter that was fitted to pictures, and says how large they were, for "
                    "'training'; found one that sees slices of any size as a whole; leave it out"
                )
            return trained
        if choice == "whole":
            return longest
        if self.field is None and self.seen is not None and longest > _MUCH_LARGER * self.seen:
            return self.seen
        return self.field or longest

    def windows(
        self,
        height: int,
        width: int,
        overlap: float = 0.25,
        mirrored: bool = False,
        choice: WindowChoice = "auto",
    ) -> list[Window]:
        """Windows that cover a slice, neighbours sharing at least the given fraction of their side.

        Mirrored: those of the flipped slice are where these come to lie when they are flipped with it.
        """
        side = self.side(height, width, choice)
        rows, columns = (_starts(length, side, overlap, mirrored) for length in (height, width))
        return [Window(y, x, side) for y in rows for x in columns]

    def slice_of(self, image: Slices, index: int) -> NDArray[Any] | Scaled:
        """What is looked at of one of the slices (S, C, H, W): (C, H, W), or with neighbours (3, H, W).

        The first and the last slice of a volume stand in for the neighbours they lack.
        """
        if not self.neighbours:
            return image[index]
        return image[np.clip([index - 1, index, index + 1], 0, len(image) - 1)][:, 0]

    def input_of(self, image: NDArray[Any] | Scaled, window: Window) -> Tensor:
        """Network input of a window of a slice in [0, 1], (C, H, W); zeros beyond it.

        Returns:
            (C, image_size, image_size), a single channel repeated to three.
        """
        # PyTorch turns half into single precision ten times as fast as NumPy.
        seen = torch.from_numpy(np.require(cut(image, window, 0), requirements=("C", "W"))).float()
        resized = F.interpolate(seen[None], (self.image_size, self.image_size), mode="bilinear", antialias=True)[0]
        return resized.expand(COLOURS, -1, -1) if len(resized) == 1 else resized

    def target_of(self, label: NDArray[Any], window: Window) -> Tensor:
        """Training target of a window of class indices, (H, W) to (image_size, image_size); `IGNORE` beyond them."""
        seen = torch.from_numpy(cut(label[None], window, IGNORE).astype(np.float32))
        resized = F.interpolate(seen[None], (self.image_size, self.image_size), mode="nearest-exact")
        return resized[0, 0].long()

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary, the inverse of `from_json`; steps, bands, 'seen' and neighbours only if there are any."""
        content = vars(self) | {"intensity": intensity_to_json(self.intensity)}
        steps = [kinds.to_json(step, STEPS) for step in content.pop("steps")]
        bands, seen, neighbours = (content.pop(name) for name in ("bands", "seen", "neighbours"))
        # Caches are keyed by this dictionary: those from before there were any stay good.
        content |= {"steps": steps} if steps else {}
        content |= {"bands": list(bands)} if bands else {}
        return content | ({"seen": seen} if seen else {}) | ({"neighbours": True} if neighbours else {})

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Preprocessing of a plain dictionary."""
        intensity = intensity_from_json(content["intensity"])
        steps = tuple(kinds.from_json(step, STEPS, "preprocessing") for step in content.get("steps", ()))
        bands = None if content.get("bands") is None else tuple(content["bands"])
        return cls(**{**content, "intensity": intensity, "steps": steps, "bands": bands})


def _starts(length: int, side: int, overlap: float, mirrored: bool) -> list[int]:
    """Evenly spread first positions of windows over a length."""
    if length <= side:
        return [0]
    last = length - side
    count = 1 + int(np.ceil(last / (side * (1 - overlap))))
    if mirrored and count % 2 and last % 2:  # no window can lie in the middle
        count += 1
    starts = [round(start) for start in np.linspace(0, last, count)]
    if mirrored:  # round turns halves to even numbers, at both ends alike
        starts[(count + 1) // 2 :] = [last - start for start in reversed(starts[: count // 2])]
    return starts


def cut(image: NDArray[Any] | Scaled, window: Window, fill: int) -> NDArray[Any]:
    """Square of (C, H, W), (C, side, side); `fill` beyond the border."""
    top, left = max(window.y, 0), max(window.x, 0)
    inside = image[:, top : window.y + window.side, left : window.x + window.side]
    if inside.shape[1:] == (window.side, window.side):
        return np.asarray(inside)
    square = np.full((len(image), window.side, window.side), fill, image.dtype)
    y, x = top - window.y, left - window.x
    square[:, y : y + inside.shape[1], x : x + inside.shape[2]] = inside
    return square
