"""What the check of a data set found, and how it is told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from samtailor.data.named import DatasetName
from samtailor.errors import Finding, counted, listed
from samtailor.reporting.shown import Shown
from samtailor.reporting.table import UNDEFINED, Table
from samtailor.reporting.terminal import Block, Message

_FILES_SHOWN = 3
_NUMBERS = re.compile(r"\d[\d.e+-]*(, \d[\d.e+-]*)*")
_CASES_SHOWN = 40  # more fill the screen and tell nothing; `--json` has them all


@dataclass(frozen=True)
class CaseRow:
    """What one case is.

    Attributes:
        name: Name of the case.
        split: Split it is in; '' if in none.
        shape: Slices, rows, columns; None if the image cannot be read.
        spacing: Distance in mm of slices, rows, columns; None for pictures.
        voxels: Voxels of each class in the label, by class name.
        ignored: Voxels of the ignore id.
    """

    name: str
    split: str
    shape: tuple[int, int, int] | None
    spacing: tuple[float, float, float] | None
    voxels: dict[str, int]
    ignored: int = 0


@dataclass(frozen=True, repr=False)
class CheckReport(Shown):
    """What is in a data set and what is wrong with it.

    Attributes:
        root: The folder.
        layout: How it is laid out; '' if it cannot be told.
        classes: Class names.
        findings: Errors first, then warnings.
        cases: One row per case.
        name: Data set that it is, if it is known by name.
        facts: What is known of that data set: title, publisher's page, terms, split, protocol, advice; by what it is.
            And what becomes of its channels, if that is not plain.
        next_step: Command that trains on it as it was checked; '' where something forbids training.
    """

    root: str
    layout: str
    classes: tuple[str, ...]
    findings: tuple[Finding, ...]
    cases: tuple[CaseRow, ...]
    name: DatasetName | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    next_step: str = ""

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that forbid training."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings that do not."""
        return tuple(finding for finding in self.findings if finding.severity == "warning")

    @property
    def summary(self) -> str:
        """How many cases, errors and warnings there are."""
        there = {"case": self.cases, "error": self.errors, "warning": self.warnings}
        return ", ".join(counted(len(found), noun) for noun, found in there.items())

    @property
    def exit_code(self) -> int:
        """2 if something forbids training."""
        return 2 if self.errors else 0

    def voxels(self, split: str) -> dict[str, int]:
        """Voxels of each class in a split, by class name."""
        rows = [row for row in self.cases if row.split == split]
        return {name: sum(row.voxels[name] for row in rows) for name in self.classes}

    def __repr__(self) -> str:
        return f"<CheckReport of {self.root}: {self.summary}>"

    def blocks(self) -> list[Block]:
        """What is known by name, tables of splits, classes and (if few) cases, findings, a summary, what comes next."""
        blocks: list[Block] = [self.facts] if self.facts else []
        if self.cases:
            blocks += [self._split_table(), self._class_table()]
            if len(self.cases) <= _CASES_SHOWN:
                blocks.append(self._case_table())
        causes: dict[tuple[str, ...], list[Finding]] = {}
        for finding in self.findings:
            causes.setdefault(_cause(finding), []).append(finding)
        blocks += [self._message(findings) for findings in causes.values()]
        blocks.append(Message("error" if self.errors else "warning" if self.warnings else "good", self.summary))
        return [*blocks, {"next": self.next_step}] if self.next_step else blocks

    def _message(self, findings: Sequence[Finding]) -> Message:
        """All findings of one cause: what was found in the first files, and how many more there are."""
        shown = findings[:_FILES_SHOWN]
        expected, fix = _first([one.expected for one in findings]), _first([one.fix for one in findings])
        found = "; ".join([one.found for one in shown] if len({one.found for one in shown}) > 1 else [shown[0].found])
        files = listed([one.file.removeprefix(f"{self.root}/") for one in findings], _FILES_SHOWN)
        severity = shown[0].severity
        text = f"{severity}  {files}\n  expected {expected}\n  found    {found}\n  fix      {fix}"
        return Message(severity, self._in_words(text))

    @property
    def _is_of_pictures(self) -> bool:
        """Whether all cases that can be read are pictures: they have no slices, millimetres and voxels."""
        shapes = [row.shape for row in self.cases if row.shape]
        return bool(shapes) and all(shape[0] == 1 for shape in shapes) and not any(row.spacing for row in self.cases)

    def _in_words(self, text: str) -> str:
        """A text in the words of the data."""
        return re.sub(r"\bvoxel(s?)\b", r"pixel\1", text) if self._is_of_pictures else text

    def _split_names(self) -> list[str]:
        """Splits that have cases, in the usual order; '' stands for cases in none."""
        present = {row.split for row in self.cases}
        return [split for split in ("train", "val", "test", "") if split in present]

    def _split_table(self) -> Table:
        """Number, sizes and spacings of the cases of each split."""
        table = []
        for split in self._split_names():
            rows = [row for row in self.cases if row.split == split]
            table.append((split or "none", str(len(rows)), *self._sizes(rows)))
        return Table(("split", "cases", *self._size_names), tuple(table), title=f"{self.root} ({self.layout})")

    @property
    def _size_names(self) -> tuple[str, ...]:
        """What `_sizes` gives."""
        return ("rows x columns",) if self._is_of_pictures else ("slices x rows x columns", "spacing (mm)")

    def _sizes(self, rows: Sequence[CaseRow]) -> tuple[str, ...]:
        """Sizes of cases, and the spacings of volumes."""
        if self._is_of_pictures:
            return (_ranges(row.shape[1:] if row.shape else None for row in rows),)
        return _ranges(row.shape for row in rows), _ranges(row.spacing for row in rows) or UNDEFINED

    def _class_table(self) -> Table:
        """Voxels, share of all voxels and number of cases of each class, per split."""
        splits = self._split_names()
        totals = {split: self.voxels(split) for split in splits}
        rows = []
        for name in self.classes:
            cells = []
            for split in splits:
                voxels, everything = totals[split][name], max(1, sum(totals[split].values()))
                cases = sum(row.voxels[name] > 0 for row in self.cases if row.split == split)
                cells.append(f"{voxels} ({voxels / everything:.2%}, {cases})")
            rows.append((name, *cells))
        header = ("class", *(split or "none" for split in splits))
        return Table(header, tuple(rows), title=self._in_words("voxels per class (share, cases)"))

    def _case_table(self) -> Table:
        """One row per case: its size, voxels of all classes but the background, how many of these classes occur."""
        rows = []
        for row in self.cases:
            shape, *spacing = self._sizes([row])
            voxels = [row.voxels[name] for name in self.classes[1:]]
            present = f"{sum(count > 0 for count in voxels)} of {len(voxels)}"
            rows.append((row.name, row.split or "none", shape or "unreadable", *spacing, str(sum(voxels)), present))
        header = ("case", "split", *self._size_names, "foreground", "classes")
        return Table(header, tuple(rows), title="cases")

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary: errors, warnings, cases, and voxels of each class in each split."""
        content = asdict(self)
        findings = content.pop("findings")
        for severity in ("error", "warning"):
            content[f"{severity}s"] = [finding for finding in findings if finding["severity"] == severity]
        return content | {"splits": {split: self.voxels(split) for split in self._split_names() if split}}


def _first(texts: Sequence[str]) -> str:
    """The first of texts that are alike; it says that it is the first where they are not the same."""
    return texts[0] if len(set(texts)) == 1 else f"{texts[0]} (the first)"


def _cause(finding: Finding) -> tuple[str, ...]:
    """What findings of one cause have in common: all but numbers and the name of the case."""
    name = Path(finding.file).name.partition(".")[0]
    texts = (finding.expected, finding.found, finding.fix)
    return finding.severity, *(_NUMBERS.sub("#", text.replace(name, "*")) for text in texts)


def _ranges(sizes: Iterable[tuple[float, ...] | None]) -> str:
    """Smallest and largest of each value, 'a-b x c-d x e'; '' if no case has any."""
    parts = []
    for values in zip(*filter(None, sizes), strict=True):
        low, high = f"{min(values):.4g}", f"{max(values):.4g}"
        parts.append(low if low == high else f"{low}-{high}")
    return " x ".join(parts)
