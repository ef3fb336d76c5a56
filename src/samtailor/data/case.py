"""A case: one image or volume with its geometry and, if any, its label."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from samtailor.labels import LabelSpace


@dataclass(frozen=True)
class CaseFiles:
    """Where one case lies on disk.

    Attributes:
        name: Name of the case, unique in its data set.
        images: One file, or one file per channel; a folder where a format keeps an image in one.
        label: Label file, if there is one.
    """

    name: str
    images: tuple[Path, ...]
    label: Path | None = None


@dataclass(frozen=True)
class Void:
    """Pixels of an image that hold nothing: the sensor saw nothing there, or they are transparent.

    They count in no statistics of intensities, and nothing is learnt or scored there.

    Attributes:
        where: True for each of them, shape (S, H, W).
        why: What says so.
    """

    where: NDArray[np.bool_]
    why: str

    def filled(self, image: NDArray[Any]) -> NDArray[Any]:
        """A copy of an image (C, S, H, W) that has there what the nearest pixel of the slice has that holds something.

        What looks at neighbourhoods need not know of them then. A slice that holds nothing stays as it is.
        """
        from scipy.ndimage import distance_transform_edt

        filled = image.copy()
        for index, void in enumerate(self.where):
            if void.any() and not void.all():
                rows, columns = distance_transform_edt(void, return_distances=False, return_indices=True)
                filled[:, index, void] = image[:, index, rows[void], columns[void]]
        return filled


class Geometry(ABC):
    """How the canonical array of a case lies in its file, and how results are written like it; one kind per format.

    The canonical array is (slices, rows, columns). Volumes: slices go from inferior to superior, rows from
    anterior to posterior, columns from the patient's right to left, whatever the axes of the file. Pictures:
    one slice.

    Attributes:
        void: Pixels of the image that hold nothing; None where all hold something.
    """

    void: Void | None = None

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""

    @property
    def affine(self) -> NDArray[np.float64] | None:
        """Indices (slice, row, column) to mm (RAS+), shape (4, 4); None for pictures."""
        return None

    @property
    def spacing(self) -> tuple[float, float, float] | None:
        """Distance in mm of slices, rows, columns; None for pictures."""
        if (affine := self.affine) is None:
            return None
        slices, rows, columns = np.linalg.norm(affine[:3, :3], axis=0).tolist()
        return slices, rows, columns

    @property
    def file_axes(self) -> tuple[tuple[float, ...], NDArray[np.float64]] | None:
        """Spacing in mm along each axis of the file, and nibabel's orientation that takes canonical axes to them.

        None where the canonical axes are the file's.
        """
        return None

    def difference(self, other: Geometry, name: str = "label", like: str = "image") -> tuple[str, str, str] | None:
        """What another grid, by default a label's, should be, what it is, and how to fix it, if it differs from this.

        Compared in canonical axes, so that files with different axis orders can share a grid. Spacings may differ
        by 0.1 %, direction cosines by 0.001, origins by a tenth of a voxel: more than rounding in headers does,
        less than anybody sees.
        """
        if self.shape != other.shape:
            are_pictures = self.affine is None and self.shape[0] == other.shape[0] == 1
            axes = "rows x columns" if are_pictures else "slices x rows x columns"
            expected, found = (" x ".join(map(str, grid.shape[are_pictures:])) for grid in (self, other))
            if sorted(self.shape) == sorted(other.shape):
                fix = (
                    f"the axes of the {name}'s array are in another order (SimpleITK gives z, y, x): transpose it and "
                    f"save it with the {like}'s affine, nib.save(nib.Nifti1Image(array.T, {like}.affine), FILE)"
                )
            else:
                fix = f"resample the {name} to the {like}'s grid with nearest neighbours"
            return f"{expected} {axes} like the {like}", found, fix
        first, second = self.affine, other.affine
        if first is None or second is None:
            return None
        spacings = np.array([self.spacing, other.spacing])
        if np.allclose(spacings[1], 1, rtol=1e-6) and not np.allclose(spacings[0], 1, rtol=1e-6):
            found = "spacing 1 x 1 x 1 mm, as of a file that was saved without its header"
            return f"spacing {_mm(spacings[0])} like the {like}", found, _same_voxels(name, like, sure=True)
        fix = _same_voxels(name, like, sure=False)
        if not np.allclose(spacings[0], spacings[1], rtol=1e-3, atol=0):
            return f"spacing {_mm(spacings[0])} like the {like}", _mm(spacings[1]), fix
        if not np.allclose(first[:3, :3] / spacings[0], second[:3, :3] / spacings[1], rtol=0, atol=1e-3):
            found = f"others (the {name} is rotated or flipped against the {like})"
            return f"the direction cosines of the {like}", found, fix
        if np.linalg.norm(first[:3, 3] - second[:3, 3]) > 0.1 * spacings[0].min():
            return f"first voxel at {_mm(first[:3, 3])} like the {like}", _mm(second[:3, 3]), fix
        return None

    @abstractmethod
    def write_label(self, path: Path, label: NDArray[Any], labels: LabelSpace) -> None:
        """Write class indices as the label ids of `labels`, on the grid and in the format of the image.

        Args:
            path: File to write; its suffix, one of the format's `label_suffixes`, says which kind. It appears complete
                or not at all.
            label: Class indices, shape (S, H, W).
            labels: Label space; its names go into the file.

        Raises:
            FileError: If the suffix is none of them.
        """

    @abstractmethod
    def write_probabilities(self, path: Path, probabilities: NDArray[Any], labels: LabelSpace) -> None:
        """Write class probabilities as float32, part by part: the array may lie on disk.

        Args:
            path: File to write, with the format's `probabilities_suffix`; appears complete or not at all.
            probabilities: Shape (K, S, H, W), in [0, 1].
            labels: The classes; formats that have a place for names have them there.

        Raises:
            FileError: If it has another suffix.
        """


ProbabilityType = Literal["float32", "float16", "uint8"]
"""How probabilities are kept in a file."""


class RowWriter(Protocol):
    """Writes a result some rows at a time."""

    def write(self, first_row: int, values: NDArray[Any], void: NDArray[np.bool_] | None = None) -> None:
        """Write rows.

        Args:
            first_row: Where they lie: the row after those written before.
            values: Class indices (h, W), or probabilities (K, h, W).
            void: Where the image holds nothing, (h, W).
        """


class SceneGeometry(Geometry):
    """A geometry whose results can be written some rows at a time, from top to bottom: nobody has to hold them."""

    @abstractmethod
    def label_writer(
        self, path: Path, labels: LabelSpace, cloud_optimised: bool = False
    ) -> AbstractContextManager[RowWriter]:
        """A block in which class indices are written as the label ids of `labels`; when it succeeds, the file appears.

        Args:
            path: File to write, with one of the format's `label_suffixes`.
            labels: Label space; its names go into the file.
            cloud_optimised: Whether programs shall read parts of it over a network.
        """

    @abstractmethod
    def probability_writer(
        self, path: Path, labels: LabelSpace, kept: ProbabilityType, cloud_optimised: bool = False
    ) -> AbstractContextManager[RowWriter]:
        """A block in which class probabilities are written; when it succeeds, the file appears.

        Args:
            path: File to write, with the format's `probabilities_suffix`.
            labels: Label space.
            kept: Type of the numbers.
            cloud_optimised: Whether programs shall read parts of it over a network.
        """


@dataclass(frozen=True)
class Case:
    """One image or volume in canonical axes.

    Attributes:
        name: Name of the case.
        image: Intensities as in the file, shape (C, S, H, W).
        geometry: How the canonical array lies in the file.
        label: Class indices (not file ids), `IGNORE` where nothing counts, shape (S, H, W).
        files: What it was read from; none of an image in memory.
    """

    name: str
    image: NDArray[Any]
    geometry: Geometry
    label: NDArray[np.int16] | None = None
    files: tuple[Path, ...] = ()


def _mm(values: NDArray[np.float64]) -> str:
    return " x ".join(f"{value:.4g}" for value in values) + " mm"


def _same_voxels(name: str, like: str, sure: bool) -> str:
    """Advice where two files have as many voxels: resampling by a header that was lost would move the content."""
    code = f"nib.save(nib.Nifti1Image({name}.dataobj, {like}.affine), FILE)"
    if sure:
        return f"do not resample it, that would move it: copy the {like}'s affine into the {name}'s header, {code}"
    return (
        f"if both are the same voxels, the {name}'s header is wrong: copy the {like}'s affine into it, {code}; "
        f"only if they show other places, resample it to the {like}'s grid with nearest neighbours"
    )
