"""Where steps at the boundaries of objects work: the grid of a case, boxes around its objects, pieces of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil
from types import EllipsisType

import numpy as np
from numpy.typing import NDArray

from samtailor.data.intensity import Slices
from samtailor.errors import ConfigError

Box = tuple[slice, ...]

_PROBABLE = 0.05
"""A class that is nowhere as probable as this does not matter."""


@dataclass(frozen=True)
class Domain:
    """A volume, or a slice of a picture: one grid with everything that is known on it.

    Attributes:
        label: Class indices, (H, W) or (S, H, W).
        probabilities: Softmax over classes, (K, H, W) or (K, S, H, W); may lie on disk.
        slices: What the network saw, (1, C, H, W) or (S, C, H, W).
        spacing: Distance of voxels along each axis in mm; 1 for the pixels of pictures.
    """

    label: NDArray[np.int16]
    probabilities: NDArray[np.float16]
    slices: Slices
    spacing: tuple[float, ...]

    def image(self, box: Box) -> NDArray[np.float32]:
        """Intensities in a box, (C, ...)."""
        *depth, rows, columns = box
        part = np.asarray(self.slices[(*(depth or [slice(None)]), slice(None), rows, columns)]).astype(np.float32)
        return np.ascontiguousarray(part.swapaxes(0, 1) if depth else part[0])

    def voxels(self, distance: float) -> tuple[int, ...]:
        """Voxels along each axis that a distance covers."""
        return tuple(ceil(distance / step) for step in self.spacing)

    def classes(self, box: Box) -> list[int]:
        """The classes that matter in a box: those it is labelled with, and those that are probable somewhere in it."""
        labelled = set(np.unique(self.label[box]).tolist())
        return [k for k, of_class in enumerate(self.probabilities) if k in labelled or of_class[box].max() >= _PROBABLE]

    def likelihoods(self, box: Box, classes: list[int]) -> NDArray[np.float32]:
        """Probabilities of some classes, among them all labels in a box, (N, ...), of which the label's is the largest.

        Where an earlier step has changed the label, the label's class and the most probable one have changed places.
        """
        shape = self.label[box].shape
        values = np.stack([self.probabilities[k][box].ravel() for k in classes]).astype(np.float32)
        own, top = np.searchsorted(classes, self.label[box].ravel()), values.argmax(axis=0)
        (changed,) = np.nonzero(own != top)
        own, top = own[changed], top[changed]
        values[own, changed], values[top, changed] = values[top, changed], values[own, changed]
        return values.reshape(len(classes), *shape)


def domains(
    step: str,
    label: NDArray[np.int16],
    probabilities: NDArray[np.float16] | None,
    slices: Slices,
    spacing: tuple[float, float, float] | None,
) -> Iterator[tuple[int | EllipsisType, Domain]]:
    """A volume as a whole, pictures slice by slice, each with its place in the label.

    Args:
        step: Name of the step, for the error.
        label: Class indices, (S, H, W).
        probabilities: Softmax over classes, (K, S, H, W).
        slices: What the network saw, (S, C, H, W).
        spacing: Distance in mm of slices, rows, columns; None for pictures.

    Raises:
        ConfigError: If there are no probabilities.
    """
    if probabilities is None:
        raise ConfigError(f"refine: expected class probabilities for {step}, found none; give them to the step")
    if spacing is not None:
        yield ..., Domain(label, probabilities, slices, spacing)
        return
    for index, plane in enumerate(label):
        yield index, Domain(plane, probabilities[:, index], slices[index : index + 1], (1.0, 1.0))


def boxes_around(mask: NDArray[np.bool_], margin: tuple[int, ...]) -> list[Box]:
    """Boxes with a margin, in voxels along each axis, around the connected parts of a mask; none overlap.

    Boxes that touch each other are joined. Parts are connected by sides and corners.
    """
    from scipy import ndimage

    found = ndimage.find_objects(ndimage.label(mask, np.ones((3,) * mask.ndim))[0])
    while True:
        covered = np.zeros(mask.shape, np.bool_)
        for box in found:
            covered[grown(box, margin)] = True
        joined = ndimage.find_objects(ndimage.label(covered)[0])
        if len(joined) == len(found):
            return list(joined)
        found, margin = joined, (0,) * mask.ndim


def pieces(box: Box, margin: tuple[int, ...], fits: Callable[[Box], bool]) -> Iterator[tuple[Box, Box]]:
    """Parts of a box that cover it, each with what is to be looked at around it.

    A box that does not fit is halved, and its halves again; they look a margin, at most their own length, into their
    neighbours, so that some part always fits.

    Args:
        box: The box; what lies beyond it is not looked at.
        margin: Voxels along each axis.
        fits: Whether a box can be worked on at once.

    Yields:
        The part, and the box to look at.
    """
    waiting = [box]
    while waiting:
        core = waiting.pop()
        lengths = [side.stop - side.start for side in core]
        wide = grown(core, tuple(map(min, margin, lengths)))
        outer = tuple(
            slice(max(side.start, whole.start), min(side.stop, whole.stop))
            for side, whole in zip(wide, box, strict=True)
        )
        if max(lengths) == 1 or fits(outer):
            yield core, outer
            continue
        axis = lengths.index(max(lengths))
        middle = core[axis].start + lengths[axis] // 2
        for half in (slice(core[axis].start, middle), slice(middle, core[axis].stop)):
            waiting.append((*core[:axis], half, *core[axis + 1 :]))


def inside(core: Box, outer: Box) -> Box:
    """Where a part lies within the box around it."""
    return tuple(
        slice(part.start - whole.start, part.stop - whole.start) for part, whole in zip(core, outer, strict=True)
    )


def moved(box: Box, place: Box) -> Box:
    """Where a part of a place lies in the array that the place is cut from; the inverse of `inside`."""
    return tuple(
        slice(part.start + whole.start, part.stop + whole.start) for part, whole in zip(box, place, strict=True)
    )


def grown(box: Box, margin: tuple[int, ...]) -> Box:
    """A box with a margin; it may reach beyond the end of its array, as slices may, but not before its start."""
    return tuple(slice(max(side.start - more, 0), side.stop + more) for side, more in zip(box, margin, strict=True))
