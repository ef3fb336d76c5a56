"""The check of a data set: everything that would spoil a training, found at once and before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

from samtailor.data.check_case import check_case, collected
from samtailor.data.check_report import CaseRow, CheckReport
from samtailor.data.dataset import Dataset, open_cases, read_splits
from samtailor.errors import FileError, Finding
from samtailor.progress import report

_THREADS = 4  # each holds one volume in memory


def check_dataset(root: Path, fold: int = 0, seed: int = 0) -> CheckReport:
    """Read a whole data set and report what is there and what is wrong; never raises for bad data."""
    try:
        dataset = open_cases(root)
    except FileError as error:
        return CheckReport(str(root), "", (), (Finding.of(error),), ())
    findings = list(dataset.remarks)
    with collected(findings):
        dataset = replace(dataset, splits=read_splits(dataset, fold)).with_seeded_split(seed)
    cases = _check_cases(dataset, findings)
    for condition in (_orphans, _unknown_cases, _cases_named_twice, _cases_in_no_split, _missing_splits):
        findings += condition(dataset)
    findings += _absent_classes(dataset, cases)
    findings.sort(key=lambda finding: finding.severity)  # errors before warnings, else in the order found
    names = dataset.labels.names
    return CheckReport(str(root), dataset.layout, names, tuple(findings), cases, dataset.name, _facts(dataset))


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
