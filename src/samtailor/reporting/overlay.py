"""Overlays: one slice of a case several times side by side, with the classes of truth and predictions over it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from scipy import ndimage

from samtailor.labels import IGNORE, LabelSpace
from samtailor.reporting.figures import class_colour, fitted, short
from samtailor.reporting.view import View

Plane = NDArray[np.int16] | None
"""Class indices of a slice, (H, W); None shows the image alone."""

_PANEL = 3.4  # inches, the longer side of a picture
_OPACITY = 0.4
_INSET = 0.42  # side of the inset as a fraction of the picture's
_INSET_STARTS = 0.01, 0.99 - _INSET  # where it begins, from the top or the left

# A slice whose foreground is smaller than this fraction gets a magnified inset.
_TINY = 0.005

# Least side of the magnified part in pixels, and its side in multiples of the target's.
_LEAST_SIDE, _MARGIN = 20, 3.0

# More frames than these would hide the picture.
_MOST_TARGETS = 16


@dataclass(frozen=True)
class Box:
    """A square of pixels, from its first row and column."""

    y: int
    x: int
    side: int

    @property
    def part(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        return np.s_[self.y : self.y + self.side, self.x : self.x + self.side]

    def holds(self, other: Box) -> bool:
        """Whether the centre of another square lies inside."""
        row, column = other.y + other.side / 2, other.x + other.side / 2
        return self.y <= row <= self.y + self.side and self.x <= column <= self.x + self.side


def gray_or_rgb(image: NDArray[Any]) -> NDArray[np.float32]:
    """Picture to draw on, (H, W, 3) in [0, 1], of a slice (C, H, W): its colours, or its first channel in gray."""
    channels = image if len(image) == 3 else np.repeat(image[:1], 3, axis=0)
    return np.ascontiguousarray(np.moveaxis(channels, 0, -1), dtype=np.float32).clip(0, 1)


def paint(
    picture: NDArray[np.float32], label: NDArray[np.int16], labels: LabelSpace, opacity: float
) -> NDArray[np.float32]:
    """Lay the colours of classes (H, W) over a picture (H, W, 3); the background stays, ignored pixels turn gray."""
    colours = np.array([*labels.palette, (128, 128, 128)], dtype=np.float32) / 255  # the last one is that of IGNORE
    painted = (label != 0)[..., None]
    return np.where(painted, (1 - opacity) * picture + opacity * colours[label], picture)


def outlines(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Edges between the pixels inside and outside of a mask: lines between (x, y) of `imshow`, (N, 2, 2)."""
    padded = np.pad(mask, 1)
    across = np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1])[:, ::-1] - 0.5  # horizontal edges above row y
    along = np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1])[:, ::-1] - 0.5  # vertical edges left of column x
    ends = np.concatenate([np.add(across, (1, 0)), np.add(along, (0, 1))])
    return np.stack([np.concatenate([across, along]), ends], axis=1)


def tiny_targets(label: NDArray[np.int16]) -> list[Box]:
    """Squares around the targets of a slice that shows tiny ones only, the largest first, at most `_MOST_TARGETS`."""
    foreground = label > 0
    if not 0 < np.count_nonzero(foreground) < _TINY * foreground.size:
        return []
    regions, _ = ndimage.label(foreground, structure=np.ones((3, 3)))
    spans = ndimage.find_objects(regions)
    by_size = np.argsort(-np.bincount(regions.reshape(-1))[1:], kind="stable")
    return [_square_around(spans[region], label.shape) for region in by_size[:_MOST_TARGETS]]


def _square_around(spans: tuple[slice, ...], shape: tuple[int, ...]) -> Box:
    """Square around a target, moved into the slice (H, W) where it would reach over its border."""
    target = max(span.stop - span.start for span in spans)
    side = min(max(_LEAST_SIDE, round(_MARGIN * target)), *shape)
    starts = [(span.start + span.stop - side) // 2 for span in spans]
    y, x = np.clip(starts, 0, np.array(shape) - side).tolist()
    return Box(y, x, side)


@dataclass(frozen=True)
class Inset:
    """A part of a picture, magnified in one of its corners.

    Attributes:
        box: The part.
        is_low: Whether it is magnified at the bottom.
        is_right: Whether it is magnified at the right.
    """

    box: Box
    is_low: bool
    is_right: bool

    @classmethod
    def of(cls, planes: Sequence[NDArray[np.int16]]) -> Inset | None:
        """The first tiny target of some planes, where it hides the fewest pixels of any class; None if there is none.

        What is magnified is not hidden either; of corners that are equally good, the farthest from it is taken.
        """
        box = next((box for plane in planes for box in tiny_targets(plane)), None)
        if box is None:
            return None
        shown = np.any([plane != 0 for plane in planes], axis=0)
        shown[box.part] = True
        insets = [cls(box, is_low, is_right) for is_low in (False, True) for is_right in (False, True)]
        return min(insets, key=lambda inset: (inset.hidden(shown), inset.nearness(shown.shape)))

    def hidden(self, shown: NDArray[np.bool_]) -> int:
        """How many of the pixels (H, W) that are to be seen lie below it."""
        starts = (_INSET_STARTS[self.is_low], _INSET_STARTS[self.is_right])
        rows, columns = (
            slice(int(start * length), math.ceil((start + _INSET) * length))
            for start, length in zip(starts, shown.shape, strict=True)
        )
        return int(shown[rows, columns].sum())

    def nearness(self, size: tuple[int, ...]) -> int:
        """In how many of both axes of a picture (H, W) it lies in the half that its part lies in."""
        height, width = size
        is_low, is_right = (self.box.y + self.box.side / 2 > height / 2, self.box.x + self.box.side / 2 > width / 2)
        return (self.is_low == is_low) + (self.is_right == is_right)


@dataclass(frozen=True)
class Panel:
    """One picture of a row with its heading."""

    name: str
    plane: Plane = None


def overlay_figure(view: View, labels: LabelSpace, title: str) -> Figure:
    """Image, truth (if known) and prediction side by side, with a legend of the classes that occur."""
    truth = [] if view.truth is None else [Panel("truth", view.truth)]
    panels = [Panel("image"), *truth, Panel("prediction", view.prediction)]
    heading = title if view.slices == 1 else f"{title}, slice {view.index + 1} of {view.slices}"
    return overlay_row(view.image, panels, labels, heading, view.aspect)


def overlay_row(
    image: NDArray[Any], panels: Sequence[Panel], labels: LabelSpace, title: str, aspect: float = 1.0
) -> Figure:
    """The same slice (C, H, W) several times side by side, with the classes of each panel and a legend.

    `aspect` is the height of a pixel over its width.
    """
    picture = gray_or_rgb(image)
    planes = [panel.plane for panel in panels if panel.plane is not None]
    present = sorted({int(value) for plane in planes for value in np.unique(plane)} - {0})
    inset = Inset.of(planes)

    height, width = picture.shape[0] * aspect, picture.shape[1]
    size = np.array([width, height]) * _PANEL / max(width, height)
    names = [short(labels.names[k]) if k != IGNORE else "ignored" for k in present]
    longest = max(map(len, names), default=1)
    columns = max(1, min(len(names), int(len(panels) * size[0] / (0.5 + 0.075 * longest))))  # as many as fit
    legend = 0.15 + 0.195 * -(-len(present) // columns)
    across = max(5, len(panels) * (size[0] + 0.1) + 0.1)
    title = fitted(title, across)
    headings = 0.43 + 0.17 * (max(panel.name.count("\n") for panel in panels) + 1) + 0.19 * title.count("\n")
    total = size[1] + headings + legend
    figure = Figure(figsize=(across, total))
    places = {"left": 0.01, "right": 0.99, "bottom": legend / total, "top": (legend + size[1]) / total, "wspace": 0.03}
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False, gridspec_kw=places)[0], panels, strict=True):
        _draw_panel(axes, picture, panel.plane, labels, aspect, inset)
        axes.set_title(panel.name, fontsize=10)
    figure.suptitle(title, fontsize=11, fontweight="bold", y=1 - 0.12 / total, va="top")
    if present:
        handles = [Patch(color=class_colour(labels, k), label=n) for k, n in zip(present, names, strict=True)]
        look = {"ncols": columns, "frameon": False, "fontsize": 9}
        figure.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, (legend - 0.02) / total), **look)
    return figure


def _draw_panel(
    axes: Axes, picture: NDArray[np.float32], plane: Plane, labels: LabelSpace, aspect: float, inset: Inset | None
) -> None:
    """A picture with the classes of a slice over it; tiny targets are framed, one is magnified in a corner."""
    _draw_classes(axes, picture, plane, labels, aspect, linewidth=0.8)
    if inset is None:
        return
    magnified = inset.box
    others = [] if plane is None else [box for box in tiny_targets(plane) if not magnified.holds(box)]
    for box, linewidth in [(magnified, 1.2), *((box, 0.6) for box in others)]:
        corner = (box.x - 0.5, box.y - 0.5)
        axes.add_patch(Rectangle(corner, box.side, box.side, fill=False, **_frame(linewidth)))
    left, bottom = _INSET_STARTS[inset.is_right], _INSET_STARTS[not inset.is_low]
    closer = axes.inset_axes((left, bottom, _INSET, _INSET))
    closer.set_anchor("NS"[inset.is_low] + "WE"[inset.is_right])
    part = magnified.part
    _draw_classes(closer, picture[part], None if plane is None else plane[part], labels, aspect, linewidth=1.5)
    closer.spines[:].set(visible=True, **_frame(1.2))


def _frame(linewidth: float) -> dict[str, Any]:
    """How frames look: white with dark edges, to be seen on bright pictures, too."""
    return {
        "edgecolor": "white",
        "linewidth": linewidth,
        "path_effects": [withStroke(linewidth=linewidth + 1, foreground="black")],
    }


def _draw_classes(
    axes: Axes, picture: NDArray[np.float32], plane: Plane, labels: LabelSpace, aspect: float, linewidth: float
) -> None:
    """A picture with classes painted translucently and outlined; without ticks and frame."""
    painted = picture if plane is None else paint(picture, plane, labels, _OPACITY)
    axes.imshow(painted, aspect=aspect, interpolation="nearest")
    for k in [] if plane is None else np.unique(plane[plane > 0]).tolist():
        lines = LineCollection(list(outlines(plane == k)), colors=[class_colour(labels, k)], linewidths=linewidth)
        lines.set_capstyle("projecting")
        axes.add_collection(lines, autolim=False)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
