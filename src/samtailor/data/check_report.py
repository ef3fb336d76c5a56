"""What the check of a data set found, and how it is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from samtailor.data.named import DatasetName
from samtailor.errors import Finding, Severity, listed
from samtailor.reporting.table import UNDEFINED, Table
from samtailor.reporting.terminal import Block, Message, to_text

_FILES_SHOWN = 3
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


@dataclass(frozen=True)
class CheckReport:
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
    """

    root: str
    layout: str
    classes: tuple[str, ...]
    findings: tuple[Finding, ...]
    cases: tuple[CaseRow, ...]
    name: DatasetName | None = None
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that forbid training."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings that do not."""
        return tuple(finding for finding in self.findings if finding.severity == "warning")

    @property
    def exit_code(self) -> int:
        """2 if something forbids training."""
        return 2 if self.errors else 0

    def voxels(self, split: str) -> dict[str, int]:
        """Voxels of each class in a split, by class name."""
        rows = [row for row in self.cases if row.split == split]
        return {name: sum(row.voxels[name] for row in rows) for name in self.classes}

    def __str__(self) -> str:
        return to_text(self.blocks())

    def blocks(self) -> list[Block]:
        """What is known by name, tables of splits, classes and (if they are few) cases, every finding, a summary."""
        blocks: list[Block] = [self.facts] if self.facts else []
        if self.cases:
            blocks += [self._split_table(), self._class_table()]
            if len(self.cases) <= _CASES_SHOWN:
                blocks.append(self._case_table())
        alike: dict[tuple[Severity, str, str, str], list[str]] = {}
        for finding in self.findings:
            what = (finding.severity, finding.expected, finding.found, finding.fix)
            alike.setdefault(what, []).append(finding.file)
        for (severity, expected, found, fix), files in alike.items():  # the same of a thousand files is one message
            text = f"{severity}  {listed(files, _FILES_SHOWN)}\n  expected {expected}\n  found    {found}"
            blocks.append(Message(severity, f"{text}\n  fix      {fix}"))
        errors, warnings = len(self.errors), len(self.warnings)
        summary = f"{len(self.cases)} cases, {errors} errors, {warnings} warnings"
        return [*blocks, Message("error" if errors else "warning" if warnings else "good", summary)]

    def _split_names(self) -> list[str]:
        """Splits that have cases, in the usual order; '' stands for cases in none."""
        present = {row.split for row in self.cases}
        return [split for split in ("train", "val", "test", "") if split in present]

    def _split_table(self) -> Table:
        """Number, sizes and spacings of the cases of each split."""
        table = []
        for split in self._split_names():
            rows = [row for row in self.cases if row.split == split]
            shapes, spacings = _ranges(row.shape for row in rows), _ranges(row.spacing for row in rows)
            table.append((split or "none", str(len(rows)), shapes, spacings or UNDEFINED))
        header = ("split", "cases", "slices x rows x columns", "spacing (mm)")
        return Table(header, tuple(table), title=f"{self.root} ({self.layout})")

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
        return Table(header, tuple(rows), title="voxels per class (share, cases)")

    def _case_table(self) -> Table:
        """One row per case: its size, voxels of all classes but the background, how many of these classes occur."""
        rows = []
        for row in self.cases:
            shape, spacing = _ranges([row.shape]) or "unreadable", _ranges([row.spacing]) or UNDEFINED
            voxels = [row.voxels[name] for name in self.classes[1:]]
            present = f"{sum(count > 0 for count in voxels)} of {len(voxels)}"
            rows.append((row.name, row.split or "none", shape, spacing, str(sum(voxels)), present))
        header = ("case", "split", "slices x rows x columns", "spacing (mm)", "foreground", "classes")
        return Table(header, tuple(rows), title="cases")

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary: errors, warnings, cases, and voxels of each class in each split."""
        content = asdict(self)
        findings = content.pop("findings")
        for severity in ("error", "warning"):
            content[f"{severity}s"] = [finding for finding in findings if finding["severity"] == severity]
        return content | {"splits": {split: self.voxels(split) for split in self._split_names() if split}}


def _ranges(triples: Iterable[tuple[float, float, float] | None]) -> str:
    """Smallest and largest of each of three values, 'a-b x c-d x e'; '' if no case has any."""
    parts = []
    for values in zip(*filter(None, triples), strict=True):
        low, high = f"{min(values):.4g}", f"{max(values):.4g}"
        parts.append(low if low == high else f"{low}-{high}")
    return " x ".join(parts)
