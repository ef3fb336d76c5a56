"""Conditions that one case has to meet, each in a function of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.chunks import counts_of
from samtailor.data.case import CaseFiles, Geometry
from samtailor.data.finding import Finding
from samtailor.data.formats import match_channels, read_ids, read_pixels
from samtailor.errors import FileError
from samtailor.labels import LabelSpace

_LARGEST_COUNTED = 65535


@dataclass(frozen=True)
class CheckedCase:
    """What one case is and what is wrong with it.

    Attributes:
        name: Name of the case.
        shape: Slices, rows, columns; None if the image cannot be read.
        spacing: Distance in mm of slices, rows, columns; None for pictures.
        voxels: Voxels of each class in the label, in the order of the classes.
        findings: Everything found.
    """

    name: str
    shape: tuple[int, int, int] | None
    spacing: tuple[float, float, float] | None
    voxels: tuple[int, ...]
    findings: tuple[Finding, ...]


def check_case(files: CaseFiles, labels: LabelSpace, channels: int) -> CheckedCase:
    """Read image and label once and check every condition.

    Args:
        files: Where the case lies.
        labels: Label space of the data set.
        channels: Number of channels of every image.
    """
    geometry, findings = _check_image(files, channels)
    voxels: dict[int, int] = {}
    if files.label is None:
        findings.append(_missing_label(files))
    else:
        voxels, label_findings = _check_label(files.label, labels, geometry)
        findings += label_findings
    shape, spacing = (geometry.shape, geometry.spacing) if geometry else (None, None)
    counts = tuple(voxels.get(identifier, 0) for identifier in labels.ids)
    return CheckedCase(files.name, shape, spacing, counts, tuple(findings))


def _check_image(files: CaseFiles, channels: int) -> tuple[Geometry | None, list[Finding]]:
    """Geometry (None if the image cannot be read) and findings."""
    try:
        pixels, geometry = read_pixels(files.images)
    except FileError as error:
        return None, [Finding.of(error)]
    findings = []
    try:
        match_channels(pixels, channels, files.images[0])
    except FileError as error:
        findings.append(Finding.of(error))
    for channel, plane in enumerate(pixels):
        path = files.images[min(channel, len(files.images) - 1)]
        findings += [finding for finding in (_not_finite(path, plane), _constant(path, plane)) if finding]
    return geometry, findings


def _check_label(path: Path, labels: LabelSpace, image: Geometry | None) -> tuple[dict[int, int], list[Finding]]:
    """Voxels of each id, and findings."""
    try:
        ids, geometry = read_ids(path, labels)
    except FileError as error:
        return {}, [Finding.of(error)]
    voxels = _count(ids)
    return voxels, [*_off_grid(path, image, geometry), *_outside_label_space(path, voxels, labels)]


def _missing_label(files: CaseFiles) -> Finding:
    expected = f"a label for the image, named {files.name}"
    return Finding("error", str(files.images[0]), expected, "none", "add the label, or take the image away")


def _not_finite(path: Path, plane: NDArray[Any]) -> Finding | None:
    wrong = 0 if plane.dtype.kind in "iub" else int(plane.size - np.isfinite(plane).sum())
    if not wrong:
        return None
    fix = "fill them with the value of the surroundings (air: -1000 HU)"
    return Finding("error", str(path), "finite intensities", f"{wrong} NaN or infinite voxels", fix)


def _constant(path: Path, plane: NDArray[Any]) -> Finding | None:
    if plane.min() != plane.max():  # NaN differs from itself: reported as not finite
        return None
    found = f"{plane.flat[0]:g} everywhere"
    return Finding(
        "warning", str(path), "an image with contrast", found, "look at the image, take it away if it is empty"
    )


def _off_grid(path: Path, image: Geometry | None, label: Geometry) -> Iterator[Finding]:
    difference = image.difference(label) if image else None
    if difference:
        yield Finding("error", str(path), *difference, "resample the label to the image's grid")


def _outside_label_space(path: Path, voxels: dict[int, int], labels: LabelSpace) -> Iterator[Finding]:
    known = {*labels.ids, *([] if labels.ignore_id is None else [labels.ignore_id])}
    unknown = {identifier: count for identifier, count in voxels.items() if identifier not in known}
    if unknown:
        found = ", ".join(f"{identifier} ({count} voxels)" for identifier, count in list(unknown.items())[:10])
        fix = "fix the label, or add the ids to dataset.json"
        yield Finding("error", str(path), f"label ids {sorted(known)}", found, fix)


def _count(ids: NDArray[Any]) -> dict[int, int]:
    """Voxels of each id that occurs."""
    if ids.min() < 0 or ids.max() > _LARGEST_COUNTED:
        values, counts = np.unique(ids, return_counts=True)
        return dict(zip(values.tolist(), counts.tolist(), strict=True))
    length = int(ids.max()) + 1
    totals = sum(counts_of(plane, length) for plane in ids)
    return {identifier: count for identifier, count in enumerate(np.asarray(totals).tolist()) if count}
