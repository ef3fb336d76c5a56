"""Conditions that one case has to meet, each in a function of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.chunks import counts_of
from samtailor.data.case import CaseFiles, Geometry
from samtailor.data.check_report import CaseRow
from samtailor.data.formats import format_of, match_channels
from samtailor.errors import FileError, Finding
from samtailor.labels import LabelSpace

_LARGEST_COUNTED = 65535


def check_case(files: CaseFiles, labels: LabelSpace, channels: int, split: str = "") -> tuple[CaseRow, list[Finding]]:
    """Read image and label once and check every condition: what the case is, and everything found."""
    findings: list[Finding] = []
    geometry = _check_image(files, channels, findings)
    voxels: dict[int, int] = {}
    if files.label is None:
        expected, fix = f"a label for the image, named {files.name}", "add the label, or take the image away"
        findings.append(Finding("error", str(files.images[0]), expected, "none", fix))
    else:
        with collected(findings):
            ids, label_geometry = format_of(files.label).read_ids(files.label, labels)
            voxels = _count(ids)
            findings += _off_grid(files.label, geometry, label_geometry)
            findings += _outside_label_space(files.label, voxels, labels)
    counts = {name: voxels.get(identifier, 0) for name, identifier in zip(labels.names, labels.ids, strict=True)}
    shape, spacing = (geometry.shape, geometry.spacing) if geometry else (None, None)
    return CaseRow(files.name, split, shape, spacing, counts), findings


@contextmanager
def collected(findings: list[Finding]) -> Iterator[None]:
    """The error that ends the block, if one does, becomes a finding."""
    try:
        yield
    except FileError as error:
        findings.append(Finding.of(error))


def _check_image(files: CaseFiles, channels: int, findings: list[Finding]) -> Geometry | None:
    """Geometry; None if the image cannot be read."""
    with collected(findings):
        pixels, geometry = format_of(files.images[0]).read_pixels(files.images)
        with collected(findings):
            match_channels(pixels, channels, files.images[0])
        for channel, plane in enumerate(pixels):
            path = files.images[min(channel, len(files.images) - 1)]
            findings += [*_not_finite(path, plane), *_constant(path, plane)]
        return geometry
    return None


def _not_finite(path: Path, plane: NDArray[Any]) -> Iterator[Finding]:
    wrong = 0 if plane.dtype.kind in "iub" else int(plane.size - np.isfinite(plane).sum())
    if wrong:
        fix = "fill them with the value of the surroundings (air: -1000 HU)"
        yield Finding("error", str(path), "finite intensities", f"{wrong} NaN or infinite voxels", fix)


def _constant(path: Path, plane: NDArray[Any]) -> Iterator[Finding]:
    if plane.min() == plane.max():  # NaN differs from itself: reported as not finite
        found, fix = f"{plane.flat[0]:g} everywhere", "look at the image, take it away if it is empty"
        yield Finding("warning", str(path), "an image with contrast", found, fix)


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
    totals = np.sum([counts_of(plane, length) for plane in ids], axis=0)
    return {identifier: count for identifier, count in enumerate(totals.tolist()) if count}
