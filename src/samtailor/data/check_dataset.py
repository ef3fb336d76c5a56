"""The check of a data set: everything that would spoil a training, found at once and before it."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Any

from numpy.typing import NDArray

from samtailor.data.case import CaseFiles, Geometry
from samtailor.data.channels import ChannelChoice, needs_projection
from samtailor.data.check_report import CaseRow, CheckReport
from samtailor.data.conditions import count_ids, not_finite, unknown_ids
from samtailor.data.dataset import Dataset, open_cases, with_splits
from samtailor.data.formats import find_format, format_of, label_format_of, match_channels
from samtailor.data.layouts import listed, split_file
from samtailor.data.layouts.contents import passed_over
from samtailor.data.layouts.found import stem_of
from samtailor.data.layouts.layout import Splits
from samtailor.data.splits import FOLDS
from samtailor.errors import FileError, Finding, Severity
from samtailor.files import write_json
from samtailor.labels import LabelSpace
from samtailor.progress import report
from samtailor.settings import WHOLE, Selection

_NO_FOREGROUND = {
    "train": "nothing can be learned of them: check the ids in the labels and in dataset.json, or add cases",
    "val": "the best epoch cannot be told by them: add cases that show the classes, or split differently",
    "test": "nothing can be scored on them: add cases that show the classes, or split differently",
}
_THREADS = 4  # each holds one volume in memory


def check_dataset(root: Path, selection: Selection = WHOLE, write: bool = False) -> CheckReport:
    """Read a whole data set and report what is there and what is wrong; never raises for bad data.

    With `write`, what its files tell is written into its dataset.json, which must not exist.
    """
    path = root / "dataset.json"
    if write and os.path.lexists(path):
        fix = "leave out --write, it is read as it is; or take it away first"
        raise FileError(path, "no dataset.json yet", "one, which is never replaced", fix)
    try:
        dataset = open_cases(root, selection.dataset, selection.bands)
    except FileError as error:
        return CheckReport(str(root), "", (), (Finding.from_error(error),), ())
    findings = list(dataset.remarks)
    shown: Splits = {}
    with _collected(findings):
        dataset = with_splits(dataset)
        shown = dataset.splits
        if selection.fold is not None:
            dataset = dataset.with_fold(selection.fold, selection.folds)
        dataset = dataset.with_default_split()
    cases = _check_cases(dataset, findings)
    for condition in (_orphans, _unknown_cases, _cases_named_twice, _names_alike, _cases_in_no_split, _missing_splits):
        findings += condition(dataset)
    findings += _absent_classes(dataset, cases)
    findings.sort(key=lambda finding: finding.severity)  # errors before warnings, else in the order found
    names = dataset.labels.names
    facts = _facts(dataset) | _channels(dataset) | _told(dataset, shown)
    if write:
        facts |= {"written": ", ".join(map(str, _write(path, dataset, shown)))}
    report = CheckReport(str(root), dataset.layout, names, tuple(findings), cases, dataset.name, facts)
    return report if report.errors else replace(report, next_step=_next_step(root, selection))


def _next_step(root: Path, selection: Selection) -> str:
    """The command that trains on what was selected of a folder."""
    usual = WHOLE._asdict()
    chosen = {name: value for name, value in selection._asdict().items() if value != usual[name]}
    flags = "".join(f" --{name} {quote(str(value))}" for name, value in chosen.items())
    return f"samtailor train {quote(str(root))} --out RUN --time 30m{flags}"


def _facts(dataset: Dataset) -> dict[str, str]:
    """What is known of a data set with a name; of one in our own layouts only what its classes imply."""
    if not (named := dataset.named):
        return {}
    shipped = dataset.layout == "publisher"
    how = "as its publisher ships it" if shipped else "by its classes and names, in another layout"
    facts = {
        "recognised": f"{named.title} ({named.name}), {how}; if it is other data, take --dataset none",
        "published": named.published,
        "terms": named.terms,
        "split": named.split if shipped else "",
        "protocol": named.protocol,
        "advice": named.advice,
    }
    return {name: fact for name, fact in facts.items() if fact}


def _write(path: Path, dataset: Dataset, shown: Splits) -> list[Path]:
    """Write the dataset.json that says what was inferred of a folder, and its folds, if there are none yet."""
    if dataset.layout != "inferred":
        found, fix = dataset.named.title if dataset.named else dataset.layout, "leave out --write: nothing is inferred"
        raise FileError(dataset.root, "a folder whose names and labels tell what is in it", found, fix)
    try:
        written = []
        folds = dataset.root / split_file.NAME
        if not os.path.lexists(folds) and len(dataset.cases) >= FOLDS:
            split_file.write_folds(folds, replace(dataset, splits=shown).folds()[0])
            written = [folds]
        write_json(path, listed.described(dataset.root, dataset, dataset.splits))
        return [path, *written]
    except OSError as error:
        fix = "change its permissions, or copy the data set"
        raise FileError(dataset.root, "a folder that can be written to", error.strerror or str(error), fix) from error


def _told(dataset: Dataset, shown: Splits) -> dict[str, str]:
    """What was taken for what where no dataset.json says it, and the one that would."""
    if not dataset.told:
        return {}
    facts = dict(dataset.told)
    if dataset.splits:
        counts = ", ".join(f"{len(names)} {split}" for split, names in dataset.splits.items())
        named = ", ".join(split for split in shown if shown[split] == dataset.splits.get(split))
        how = "; ".join(filter(None, [f"{named} as the folder shows" if named else "", dataset.drawn]))
        facts["splits"] = f"{counts}: {how}"
    said = json.dumps(listed.described_classes(dataset))
    facts["dataset.json"] = f"{said[:-1]}, ...}} says the same; samtailor check {quote(str(dataset.root))} --write"
    return facts


def _channels(dataset: Dataset) -> dict[str, str]:
    """Which bands are used, and what becomes of channels that are neither one nor three."""
    names, count = ", ".join(dataset.channels), len(dataset.channels)
    facts = {"bands": f"{names} (of each image number {', '.join(map(str, dataset.bands))})"} if dataset.bands else {}
    if needs_projection(count):
        facts["channels"] = f"{count} ({names}): a learned projection brings them to three"
    return facts


def _check_cases(dataset: Dataset, findings: list[Finding]) -> tuple[CaseRow, ...]:
    """All cases checked, in their order; several are read at a time."""
    splits = {name: split for split, names in dataset.splits.items() for name in names}
    labels, channels, there = dataset.labels, dataset.channel_choice, dataset.bands_there
    with ThreadPoolExecutor(_THREADS) as pool:
        futures = [
            pool.submit(check_case, case, labels, channels, splits.get(case.name, ""), there) for case in dataset.cases
        ]
        for done, _ in enumerate(as_completed(futures), start=1):
            report("checking cases", done, len(futures))
    checked = [future.result() for future in futures]
    findings += [finding for _, found in checked for finding in found]
    return tuple(row for row, _ in checked)


def _orphans(dataset: Dataset) -> Iterator[Finding]:
    channels = len(dataset.channels)
    for path in dataset.orphans:
        stem = label_format_of(path).stem_of(path)
        numbered = path.with_name(f"{stem}_0000{path.name[len(stem) :]}").name
        if path.parent.name.startswith("images"):
            expected = f"a number of a channel at the end of its name, from _0000 to _{channels - 1:04d}"
            fix = f"if it is a case, name it {numbered}; else add its channel to dataset.json, or take it away"
            yield Finding("error", str(path), expected, f"'{path.name}'", fix)
        else:
            image = f"'{numbered}'" if dataset.layout == "nnunet" else f"with the stem '{stem}'"
            fix = "add the image, or take the label away"
            yield Finding("error", str(path), f"an image for the label, {image}", "none", fix)


def _unknown_cases(dataset: Dataset) -> Iterator[Finding]:
    known = {case.name for case in dataset.cases}
    for split, names in dataset.splits.items():
        for name in names:
            if name not in known:
                is_file = stem_of(Path(name)) in known
                fix = "name it without suffix" if is_file else "add the image, or take the name out of the split"
                yield Finding("error", str(dataset.root), f"an image of case '{name}' of split {split}", "none", fix)


def _cases_named_twice(dataset: Dataset) -> Iterator[Finding]:
    yield from map(Finding.from_error, dataset.named_twice())


def _names_alike(dataset: Dataset) -> Iterator[Finding]:
    """Cases whose files would overwrite each other on systems that do not tell capitals from small letters."""
    alike = defaultdict(list)
    for case in dataset.cases:
        alike[case.name.casefold()].append(case.name)
    for names in alike.values():
        if len(names) > 1:
            found, fix = " and ".join(names), "rename them: macOS and Windows take them for one"
            yield Finding("warning", str(dataset.root), "names that differ in more than capitals", found, fix)


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
            yield Finding("error", str(dataset.root), f"cases in split {split}", "none", fix)


def _absent_classes(dataset: Dataset, cases: tuple[CaseRow, ...]) -> Iterator[Finding]:
    """Classes, except the background, that occur in no readable label of a split; in training, one has to."""
    rows = {case.name: case for case in cases if case.ignored or any(case.voxels.values())}
    for split, names in dataset.splits.items():
        known = [rows[name] for name in names if name in rows]
        absent = [label for label in dataset.labels.names[1:] if not any(row.voxels[label] for row in known)]
        if known and len(absent) == len(dataset.labels) - 1:
            background = any(any(row.voxels.values()) for row in known)
            found = f"only '{dataset.labels.names[0]}'" if background else "only ignored voxels"
            severity: Severity = "error" if split == "train" else "warning"
            expected = f"voxels of any other class than the first in the labels of {split}"
            yield Finding(severity, str(dataset.root), expected, found, _NO_FOREGROUND[split])
            continue
        for label in absent if known else ():
            fix = "add cases that show it, split differently, or take the class out"
            yield Finding("warning", str(dataset.root), f"class '{label}' in split {split}", "no voxel", fix)


def check_case(
    files: CaseFiles, labels: LabelSpace, channels: ChannelChoice, split: str = "", bands_there: int | None = None
) -> tuple[CaseRow, list[Finding]]:
    """Read image and label once and check every condition: what the case is, and everything found."""
    findings: list[Finding] = []
    geometry = _check_image(files, channels, bands_there, findings)
    voxels: dict[int, int] = {}
    ignored = 0
    if files.label is None:
        expected, fix = f"a label for the image, named {files.name}", "add the label, or take the image away"
        findings.append(Finding("error", str(files.images[0]), expected, "none", fix))
    elif geometry or find_format(files.label):  # polygons cannot be drawn without the image's grid
        with _collected(findings):
            format = label_format_of(files.label)
            ids, label_geometry = format.read_ids(files.label, labels, geometry)
            voxels = count_ids(ids)
            if labels.ignore_id is None and (void := label_geometry.void):
                ignored = int(void.where.sum())
                voxels[labels.ids[0]] -= ignored  # they have the first class's id for want of another
            if geometry and (difference := geometry.difference(label_geometry)):
                findings.append(Finding("error", str(files.label), *difference))
            unknown = unknown_ids(files.label, voxels, labels, "fix the label, or add the ids to dataset.json")
            findings += map(Finding.from_error, unknown)
            doubts = format.label_doubts(files.label, labels, label_geometry)
            findings += [Finding("warning", str(files.label), *doubt) for doubt in doubts]
    counts = {name: voxels.get(identifier, 0) for name, identifier in zip(labels.names, labels.ids, strict=True)}
    ignored = ignored if labels.ignore_id is None else voxels.get(labels.ignore_id, 0)
    shape, spacing = (geometry.shape, geometry.spacing) if geometry else (None, None)
    return CaseRow(files.name, split, shape, spacing, counts, ignored), findings


@contextmanager
def _collected(findings: list[Finding]) -> Iterator[None]:
    """The error that ends the block, if one does, becomes a finding."""
    try:
        yield
    except FileError as error:
        findings.append(Finding.from_error(error))


def _check_image(
    files: CaseFiles, channels: ChannelChoice, bands_there: int | None, findings: list[Finding]
) -> Geometry | None:
    """Geometry; None if the image cannot be read."""
    with _collected(findings):
        pixels, geometry = format_of(files.images[0]).read_pixels(files.images)
        if bands_there not in (None, len(pixels)):
            expected, fix = f"the {bands_there} bands that dataset.json names", "correct the names, or the image"
            findings.append(Finding("error", str(files.images[0]), expected, str(len(pixels)), fix))
        else:
            with _collected(findings):
                matched = match_channels(pixels, channels, files.images[0])
                pixels = pixels if isinstance(channels, int) else matched  # those of other bands are not looked at
        findings += map(Finding.from_error, not_finite(pixels, files.images))
        for channel, plane in enumerate(pixels):
            findings += _constant(files.images[min(channel, len(files.images) - 1)], plane)
        findings += _void(files.images[0], geometry)
        for path in files.images:
            format = format_of(path)
            findings += [Finding("warning", str(path), *doubt) for doubt in format.doubts(path)]
            findings += passed_over(path, format.parts(path), format.suffixes) if os.path.isdir(path) else ()
        return geometry
    return None


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
