"""Reading DICOM-SEG back, whoever made it: segments become ids of classes on the grid of the series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from nibabel.orientations import apply_orientation
from numpy.typing import NDArray
from pydicom.pixels import iter_pixels  # type: ignore[attr-defined]

from samtailor.data.case import Geometry
from samtailor.data.formats.dicom.dicom_file import DicomFile, open_dicom
from samtailor.data.formats.dicom.notes import Notes
from samtailor.data.formats.format import reading, require_memory
from samtailor.data.formats.nifti import VolumeGeometry
from samtailor.errors import FileError
from samtailor.labels import LabelSpace
from samtailor.metrics.class_names import key_of

_KIND = "DICOM segmentation"
_OFF = 0.1
"""How far a frame may lie from its place on the grid, as a share of the smallest step."""
_SAME_DIRECTION = 1e-3  # of direction cosines
_SAME_PLACE = 1e-3  # mm


@dataclass(frozen=True)
class SegmentationFile:
    """A segmentation object whose header has been read.

    Attributes:
        file: The file.
        names: Name of each segment by its number.
        segments: Number of the segment that each frame shows; None where a frame shows all of them.
        notes: What a file of ours says beside.
    """

    file: DicomFile
    names: dict[int, str]
    segments: tuple[int | None, ...]
    notes: Notes | None

    @cached_property
    def grid(self) -> VolumeGeometry:
        """The grid of the series, as the notes say; without them that from the first to the last frame."""
        if self.notes:
            return VolumeGeometry.new(self.notes.affine, self.notes.shape)
        planes = self.file.planes
        first = planes[0]
        heights = np.array([plane.position @ first.normal for plane in planes])
        low, high = planes[int(heights.argmin())], planes[int(heights.argmax())]
        gaps = np.diff(np.unique(np.round(heights / _SAME_PLACE))) * _SAME_PLACE
        named = first.value("PixelMeasuresSequence", "SpacingBetweenSlices")
        step = abs(float(named)) if named else float(gaps.min()) if gaps.size else first.thickness() or 1.0
        count = round(float(np.ptp(heights)) / step) + 1
        rows, columns = self.file.size
        step_in_mm = (high.position - low.position) / (count - 1) if count > 1 else first.normal * step
        affine = replace(first, position=low.position).stacked(step_in_mm)
        return VolumeGeometry.new(affine, (columns, rows, count))

    def places(self) -> list[int]:
        """Plane of the grid that each frame is; refused if it is none."""
        affine, count = self.grid.file_affine, self.grid.file_shape[2]
        steps = np.linalg.norm(affine[:3, :3], axis=0)
        directions = affine[:3, :2] / steps[:2] * [[-1], [-1], [1]]
        places = []
        for number, plane in enumerate(self.file.planes, 1):
            index = np.linalg.solve(affine[:3, :3], plane.position * [-1, -1, 1] - affine[:3, 3])
            place = round(float(index[2]))
            is_off = np.linalg.norm((index - [0, 0, place]) * steps) > _OFF * steps.min()
            if (
                is_off
                or not 0 <= place < count
                or not np.allclose(plane.directions.T, directions, atol=_SAME_DIRECTION)
            ):
                found, fix = f"frame {number} elsewhere", "write it again on the grid of the series"
                raise FileError(self.file.path, "frames on one evenly spaced grid", found, fix)
            places.append(place)
        return places

    @property
    def class_names(self) -> dict[int, str] | None:
        """Name of each class by its id, the background included; None if the file does not say."""
        return self.notes.labels if self.notes else None

    def read_ids(self, labels: LabelSpace, whole: Geometry | None = None) -> tuple[NDArray[Any], Geometry]:
        """Ids of the classes that the segments are named after, shape (S, H, W), and how they lie.

        Files of others may end before the image does: what lies beyond is background.

        Args:
            labels: Classes.
            whole: How the image lies, if that is known.
        """
        ids = self._read(self._ids_of_segments(labels), labels.ids[0])
        room = None if whole is None or self.notes else _room(self.grid, whole)
        if room is None or whole is None:
            return ids, self.grid
        return np.pad(ids, room, constant_values=labels.ids[0]), whole

    def _ids_of_segments(self, labels: LabelSpace) -> dict[int, int]:
        """Id of each segment's class by the segment's number: of that name, or of another spelling of it."""
        exact = dict(zip(labels.names, labels.ids, strict=True))
        alike = {key_of(name): identifier for name, identifier in exact.items()}
        found = {number: exact.get(name, alike.get(key_of(name))) for number, name in self.names.items()}
        if unknown := [f"'{self.names[number]}'" for number, identifier in found.items() if identifier is None]:
            expected = f"segments of the classes {', '.join(labels.names[1:])}"
            fix = "rename the segments (SegmentLabel), or add their classes to dataset.json"
            raise FileError(self.file.path, expected, ", ".join(unknown), fix)
        return {number: identifier for number, identifier in found.items() if identifier is not None}

    def _read(self, ids_of: dict[int, int], background: int) -> NDArray[Any]:
        """Ids in canonical axes, shape (S, H, W); refused where segments of two ids overlap.

        Args:
            ids_of: Id of each segment by its number.
            background: Id where no segment is.
        """
        path, grid, places = self.file.path, self.grid, self.places()
        ends = [background, *ids_of.values()]
        dtype = np.promote_types(np.min_scalar_type(min(ends)), np.min_scalar_type(max(ends)))
        require_memory(path, int(np.prod(grid.file_shape)) * dtype.itemsize)
        stored = np.full(grid.file_shape[::-1], background, dtype)
        with reading(path, _KIND, quoting=False):
            for number, place, frame in zip(self.segments, places, self._frames(), strict=True):
                for segment in self.names if number is None else (number,):
                    where = frame == (1 if number is not None else segment)
                    there = stored[place][where]
                    if ((there != background) & (there != ids_of[segment])).any():
                        raise self._overlap(segment, int(there[there != background][0]), ids_of)
                    stored[place][where] = ids_of[segment]
        return apply_orientation(stored.transpose(2, 1, 0), grid.to_canonical)  # type: ignore[no-any-return]

    def _frames(self) -> Iterator[NDArray[Any]]:
        """Numbers of each frame, shape (rows, columns)."""
        rows, columns = self.file.size
        if self.file.get("BitsAllocated") != 1 or self.file.transfer_syntax.is_encapsulated:
            yield from iter_pixels(self.file.path, raw=True)
            return
        # Frames follow each other bit by bit (PS3.5, 8.1.1); pydicom 3.0 takes for granted that each begins a byte.
        packed, size = np.frombuffer(pydicom.dcmread(self.file.path).PixelData, np.uint8), rows * columns
        for first in range(0, size * len(self.segments), size):
            bits = np.unpackbits(packed[first // 8 : (first + size + 7) // 8], bitorder="little")
            yield bits[first % 8 :][:size].reshape(rows, columns)

    def _overlap(self, segment: int, identifier: int, ids_of: dict[int, int]) -> FileError:
        """What is wrong where two segments share a voxel."""
        other = next((self.names[number] for number, its in ids_of.items() if its == identifier), "")
        found = f"'{self.names[segment]}' and '{other}' in the same voxels"
        return FileError(self.file.path, "segments that do not overlap", found, "decide which one a voxel belongs to")


def open_segmentation(path: Path) -> SegmentationFile:
    """A segmentation object, its header read.

    Raises:
        FileError: If it is none, or one that holds no label of each voxel.
    """
    file = open_dicom(path)
    kind = file.get("SegmentationType")
    if kind not in ("BINARY", "LABELMAP"):
        expected = f"a {_KIND} of type BINARY or LABELMAP"
        raise FileError(path, expected, f"type {kind or 'none'}", "write it as BINARY, or give the labels as NIfTI")
    with reading(path, _KIND, quoting=False):
        names = {int(item.SegmentNumber): str(item.SegmentLabel) for item in file.header.SegmentSequence}
        segments = tuple(_segment(file, number) if kind == "BINARY" else None for number in range(len(file.planes)))
        notes = Notes.find_in(file.header)
    if notes:
        names = dict(zip(names, (notes.labels[identifier] for identifier in notes.segments), strict=True))
    if unknown := {number for number in segments if number is not None} - names.keys():
        raise FileError(path, f"frames of the segments {sorted(names)}", f"some of {sorted(unknown)}", "write it again")
    return SegmentationFile(file, names, segments, notes)


def _room(part: VolumeGeometry, whole: Geometry) -> list[tuple[int, int]] | None:
    """How much larger a grid is than part of it, before and behind on each canonical axis; None if it is no part."""
    if whole.affine is None:
        return None
    first = np.linalg.solve(whole.affine, part.affine @ [0, 0, 0, 1])[:3]
    before = np.round(first).astype(int)
    behind = np.array(whole.shape) - part.shape - before
    steps = np.linalg.norm(whole.affine[:3, :3], axis=0)
    is_off = np.linalg.norm((first - before) * steps) > _OFF * steps.min()
    is_turned = not np.allclose(part.affine[:3, :3] / steps, whole.affine[:3, :3] / steps, rtol=0, atol=_SAME_DIRECTION)
    if is_off or is_turned or before.min() < 0 or behind.min() < 0:
        return None
    return list(zip(before.tolist(), behind.tolist(), strict=True))


def _segment(file: DicomFile, index: int) -> int:
    """Number of the segment that a frame shows, by its functional group or by that of all frames."""
    groups = (file.header.PerFrameFunctionalGroupsSequence[index], file.header.SharedFunctionalGroupsSequence[0])
    item = next(group for group in groups if "SegmentIdentificationSequence" in group)
    return int(item.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
