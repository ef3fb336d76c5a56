"""What an image and its label have to be: `check` lists every breach, all who read a case refuse the first."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.chunks import counts_of
from samtailor.data.case import Case
from samtailor.errors import DataError, DataWarning, FileError, listed
from samtailor.labels import LabelSpace

_LARGEST_COUNTED = 65535
_SHOWN = 10
_LISTED = 40


def not_finite(image: NDArray[Any], paths: Sequence[Path | str]) -> Iterator[FileError]:
    """Channels of an image (C, ...) with NaN or infinite voxels: one of them would make its surroundings background.

    Args:
        image: Intensities.
        paths: File of each channel, or of all.
    """
    if image.dtype.kind != "f":
        return
    for channel, plane in enumerate(image):
        with np.errstate(invalid="ignore"):
            if np.isfinite(plane.min()) and np.isfinite(plane.max()):  # both hand NaN on, and need no memory
                continue
        wrong = plane.size - sum(int(np.isfinite(part).sum()) for part in plane)
        fix = "fill them with the value of the surroundings (air: -1000 HU)"
        path = paths[min(channel, len(paths) - 1)]
        unit = "pixels" if image.ndim == 4 and image.shape[1] == 1 else "voxels"
        yield FileError(path, "finite intensities", f"{wrong} NaN or infinite {unit}", fix)


def with_finite(image: NDArray[Any], paths: Sequence[Path | str]) -> NDArray[Any]:
    """The image with finite values in the place of others, and a word about it: the lowest of the channel, as of air.

    Raises:
        FileError: If no voxel of a channel is finite.
    """
    if not (errors := list(not_finite(image, paths))):
        return image
    image = np.array(image)  # it may lie in the file
    for plane in image:
        finite = plane[np.isfinite(plane)]
        if not finite.size:
            raise errors[0]
        np.nan_to_num(plane, copy=False, nan=finite.min(), posinf=finite.max(), neginf=finite.min())
    for error in errors:
        what = f"{error.file}: {error.found}, filled with the lowest value of the image"
        warnings.warn(what, DataWarning, stacklevel=2)
    return image


def require_intensities(case: Case) -> None:
    """Refuse a case whose image is no array of finite numbers (C, S, H, W), whoever made it."""
    image = case.image
    if image.ndim != 4 or not image.size or image.dtype.kind not in "iuf":
        fix = "make the case with case_of_array, or read it from a file"
        raise FileError(case.name, "integers or floats (C, S, H, W)", f"{image.dtype} of shape {image.shape}", fix)
    for error in not_finite(image, [case.name]):
        raise error


def unknown_ids(
    path: Path, voxels: dict[int, int], labels: LabelSpace, fix: str, unit: str = "voxels"
) -> Iterator[FileError]:
    """Label ids of a file, counted by `count_ids`, that are in no class."""
    known = {*labels.ids, *([] if labels.ignore_id is None else [labels.ignore_id])}
    unknown = {identifier: count for identifier, count in voxels.items() if identifier not in known}
    if unknown:
        found = ", ".join(f"{identifier} ({count} {unit})" for identifier, count in list(unknown.items())[:_SHOWN])
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        expected = f"label ids [{listed(list(map(str, sorted(known))), _LISTED)}]"
        yield FileError(path, expected, found + more, fix)


def count_ids(ids: NDArray[Any]) -> dict[int, int]:
    """Voxels of each id that occurs, in a label (S, H, W)."""
    if ids.min() < 0 or ids.max() > _LARGEST_COUNTED:
        values, counts = np.unique(ids, return_counts=True)
        return dict(zip(values.tolist(), counts.tolist(), strict=True))
    length = int(ids.max()) + 1
    totals = np.sum([counts_of(plane, length) for plane in ids], axis=0)
    return {identifier: count for identifier, count in enumerate(totals.tolist()) if count}


def class_indices(path: Path, ids: NDArray[Any], labels: LabelSpace, fix: str) -> NDArray[np.int16]:
    """Class indices of the ids of a label file (S, H, W); refused if one is in no class, with `fix` as advice."""
    try:
        return labels.to_indices(ids)
    except DataError as error:
        unit = "pixels" if len(ids) == 1 else "voxels"
        raise next(unknown_ids(path, count_ids(ids), labels, fix, unit)) from error
