"""The check of a data set: everything that would spoil a training, found at once and before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.chunks import counts_of
from samtailor.data.case import CaseFiles, Geometry
from samtailor.data.channels import needs_projection
from samtailor.data.check_report import CaseRow, CheckReport
from samtailor.data.dataset import Dataset, open_cases, read_splits
from samtailor.data.formats import format_of, match_channels
from samtailor.errors import FileError, Finding
from samtailor.labels import LabelSpace
from samtailor.progress import report

_LARGEST_COUNTED = 65535
_THREADS = 4  # each holds one volume in memory


def check_dataset(root: Path, fold: int = 0) -> CheckReport:
    """Read a whole data set and report what is there and what is wrong; never raises for bad data."""
    try:
        dataset = open_cases(root)
    except FileError as error:
        return CheckReport(str(root), "", (), (Finding.from_error(error),), ())
    findings = list(dataset.remarks)
    with _collected(findings):
        dataset = replace(dataset, splits=read_splits(dataset, fold)).with_default_split()
    cases = _check_cases(dataset, findings)
    for condition in (_orphans, _unknown_cases, _cases_named_twice, _cases_in_no_split, _missing_splits):
        findings += condition(dataset)
    findings += _absent_classes(dataset, cases)
    findings.sort(key=lambda finding: finding.severity)  # errors before warnings, else in the order found
    names = dataset.labels.names
    facts = _facts(dataset) | _channels(dataset)
    return CheckReport(str(root), dataset.layout, names, tuple(findings), cases, dataset.name, facts)


def _facts(dataset: Dataset) -> dict[str, str]:
    """What is known of a data set with a name; of one in our own layouts only what its classes imply."""
    if not (named := dataset.named):
        return {}
    shipped = dataset.layout == "publisher"
    ours = "by its classes, in our own layout; --protocol chooses other rules"
    facts = {
        "recognised": f"{named.title} ({named.name}), {'as its publisher ships it' if shipped else ours}",
        "published": named.published,
        "terms": named.terms,
        "split": named.split if shipped else "",
        "protocol": named.protocol,
        "advice": named.advice,
    }
    return {name: fact for name, fact in facts.items() if fact}


def _channels(dataset: Dataset) -> dict[str, str]:
    """What becomes of channels that are neither one nor three."""
    if not needs_projection(count := len(dataset.channels)):
        return {}
    return {"channels": f"{count} ({', '.join(dataset.channels)}): a learned projection brings them to three"}


def _check_cases(dataset: Dataset, findings: list[Finding]) -> tuple[CaseRow, ...]:
    """All cases checked, in their order; several are read at a time."""
    splits = {name: split for split, names in dataset.splits.items() for name in names}
    labels, channels = dataset.labels, len(dataset.channels)
    with ThreadPoolExecutor(_THREADS) as pool:
        futures = [pool.submit(check_case, case, labels, channels, splits.get(case.name, "")) for case in dataset.cases]
        for done, _ in enumerate(as_completed(futures), start=1):
            report("checking cases", done, len(futures))
    checked = [future.result() for future in futures]
    findings += [finding for _, found in checked for finding in found]
    return tuple(row for row, _ in checked)


def _orphans(dataset: Dataset) -> Iterator[Finding]:
    for path in dataset.orphans:
        if path.parent.name.startswith("images"):
            channels = len(dataset.channels)
            expected = f"{channels} channel files per case, numbered from _0000, and as listed in dataset.json"
            yield Finding("error", str(path), expected, "another file", "fix channel_names, or take the file away")
        else:
            yield Finding("error", str(path), "an image for the label", "none", "add the image, or take the label away")


def _unknown_cases(dataset: Dataset) -> Iterator[Finding]:
    known = {case.name for case in dataset.cases}
    for split, names in dataset.splits.items():
        for name in names:
            if name not in known:
                fix = "add the image, or take the name out of the split"
                yield Finding("error", str(dataset.root), f"an image of case '{name}' of split {split}", "none", fix)


def _cases_named_twice(dataset: Dataset) -> Iterator[Finding]:
    times = Counter(name for names in dataset.splits.values() for name in names)
    for name, count in times.items():
        if count > 1:
            found = " and ".join(split for split, names in dataset.splits.items() for n in names if n == name)
            fix = "leave it in one split: a case seen in training measures nothing in a test"
            yield Finding("error", str(dataset.root), f"case '{name}' in one split", found, fix)


def _cases_in_no_split(dataset: Dataset) -> Iterator[Finding]:
    named = {name for names in dataset.splits.values() for name in names}
    unused = [case.name for case in dataset.cases if case.name not in named]
    if dataset.splits and unused:
        found = f"{len(unused)} in none: {', '.join(unused[:5])}{', ...' if len(unused) > 5 else ''}"
        yield Finding("warning", str(dataset.root), "every case in a split", found, "name them in a split to use them")


def _missing_splits(dataset: Dataset) -> Iterator[Finding]:
    for split in ("train", "val"):
        if dataset.splits and not dataset.splits.get(split):
            fix = "name its cases in the split file; training needs train and val"
            yield Finding("warning", str(dataset.root), f"cases in split {split}", "none", fix)


def _absent_classes(dataset: Dataset, cases: tuple[CaseRow, ...]) -> Iterator[Finding]:
    """Classes, except the background, that occur in no readable label of a split."""
    voxels = {case.name: case.voxels for case in cases}
    for split, names in dataset.splits.items():
        known = [voxels[name] for name in names if name in voxels]
        for label in dataset.labels.names[1:]:
            if known and not any(counts[label] for counts in known):
                fix = "add cases that show it, split differently, or take the class out"
                yield Finding("warning", str(dataset.root), f"class '{label}' in split {split}", "no voxel", fix)


def check_case(files: CaseFiles, labels: LabelSpace, channels: int, split: str = "") -> tuple[CaseRow, list[Finding]]:
    """Read image and label once and check every condition: what the case is, and everything found."""
    findings: list[Finding] = []
    geometry = _check_image(files, channels, findings)
    voxels: dict[int, int] = {}
    if files.label is None:
        expected, fix = f"a label for the image, named {files.name}", "add the label, or take the image away"
        findings.append(Finding("error", str(files.images[0]), expected, "none", fix))
    else:
        with _collected(findings):
            ids, label_geometry = format_of(files.label).read_ids(files.label, labels)
            voxels = _count(ids)
            findings += _off_grid(files.label, geometry, label_geometry)
            findings += _outside_label_space(files.label, voxels, labels)
    counts = {name: voxels.get(identifier, 0) for name, identifier in zip(labels.names, labels.ids, strict=True)}
    shape, spacing = (geometry.shape, geometry.spacing) if geometry else (None, None)
    return CaseRow(files.name, split, shape, spacing, counts), findings


@contextmanager
def _collected(findings: list[Finding]) -> Iterator[None]:
    """The error that ends the block, if one does, becomes a finding."""
    try:
        yield
    except FileError as error:
        findings.append(Finding.from_error(error))


def _check_image(files: CaseFiles, channels: int, findings: list[Finding]) -> Geometry | None:
    """Geometry; None if the image cannot be read."""
    with _collected(findings):
        pixels, geometry = format_of(files.images[0]).read_pixels(files.images)
        with _collected(findings):
            match_channels(pixels, channels, files.images[0])
        for channel, plane in enumerate(pixels):
            path = files.images[min(channel, len(files.images) - 1)]
            findings += [*_not_finite(path, plane), *_constant(path, plane)]
        findings += _void(files.images[0], geometry)
        return geometry
    return None


def _not_finite(path: Path, plane: NDArray[Any]) -> Iterator[Finding]:
    wrong = 0 if plane.dtype.kind in "iub" else int(plane.size - np.isfinite(plane).sum())
    if wrong:
        fix = "fill them with the value of the surroundings (air: -1000 HU)"
        yield Finding("error", str(path), "finite intensities", f"{wrong} NaN or infinite voxels", fix)


def _void(path: Path, geometry: Geometry) -> Iterator[Finding]:
    if void := geometry.void:
        count = int(void.where.sum())
        found = f"{void.why}: {count} pixels" if count else void.why
        fix = "if it is meant so, nothing: they count in no statistics, and nothing is learnt or scored there"
        yield Finding("warning", str(path), f"data in all {void.where.size} pixels", found, fix)


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
