"""The check's report for the screen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from samtailor.data.check_dataset import CaseRow, CheckReport

_CASES_SHOWN = 40  # more fill the screen and tell nothing; `--json` has them all


def render(report: CheckReport) -> Group:
    """What is known by name, tables of splits, classes and (if they are few) cases, every finding, errors first."""
    parts: list[RenderableType] = [_facts(report)] if report.facts else []
    if report.table:
        parts += [_splits(report), _classes(report)]
        if len(report.table) <= _CASES_SHOWN:
            parts.append(_cases(report))
    for finding in report.findings:
        style = "bold red" if finding.severity == "error" else "yellow"
        text = Text(f"{finding.severity}  ", style=style)
        text.append(finding.file, style="bold")
        text.append(f"\n  expected {finding.expected}\n  found    {finding.found}\n  fix     {finding.fix}", style="")
        parts.append(text)
    parts.append(_verdict(report))
    return Group(*parts)


def _facts(report: CheckReport) -> Table:
    """What is known of a data set with a name, one line each."""
    table = Table.grid(padding=(0, 2))
    for what, text in report.facts.items():
        table.add_row(Text(what, style="bold"), text)
    return table


def _verdict(report: CheckReport) -> Text:
    errors, warnings = len(report.errors), len(report.warnings)
    style = "bold red" if errors else "yellow" if warnings else "green"
    return Text(f"{len(report.table)} cases, {errors} errors, {warnings} warnings", style=style)


def _split_names(report: CheckReport) -> list[str]:
    """Splits that have cases, in the usual order; '' stands for cases in none."""
    present = {row.split for row in report.table}
    return [split for split in ("train", "val", "test", "") if split in present]


def _splits(report: CheckReport) -> Table:
    """Number, sizes and spacings of the cases of each split."""
    table = Table("split", "cases", "slices x rows x columns", "spacing (mm)", title=f"{report.root} ({report.layout})")
    for split in _split_names(report):
        rows = [row for row in report.table if row.split == split]
        shapes = [row.shape for row in rows if row.shape]
        spacings = [row.spacing for row in rows if row.spacing]
        table.add_row(split or "none", str(len(rows)), _ranges(shapes), _ranges(spacings) or "-")
    return table


def _classes(report: CheckReport) -> Table:
    """Voxels, share of all voxels and number of cases of each class, per split."""
    splits = _split_names(report)
    table = Table("class", title="voxels per class (share, cases)")
    for split in splits:
        table.add_column(split or "none", justify="right")
    totals = {split: report.voxels(split) for split in splits}
    for name in report.classes:
        cells = []
        for split in splits:
            voxels, everything = totals[split][name], max(1, sum(totals[split].values()))
            cases = sum(row.voxels[name] > 0 for row in report.table if row.split == split)
            cells.append(f"{voxels} ({voxels / everything:.2%}, {cases})")
        table.add_row(name, *cells)
    return table


def _cases(report: CheckReport) -> Table:
    """One row per case."""
    table = Table("case", "split", "slices x rows x columns", "spacing (mm)", "foreground", "classes", title="cases")
    for row in report.table:
        table.add_row(row.name, row.split or "none", *_size(row), *_foreground(row, report.classes[1:]))
    return table


def _size(row: CaseRow) -> tuple[str, str]:
    shape = _ranges([row.shape]) if row.shape else "unreadable"
    return shape, _ranges([row.spacing]) if row.spacing else "-"


def _foreground(row: CaseRow, classes: Sequence[str]) -> tuple[str, str]:
    """Voxels of all classes but the background, and how many of these classes occur."""
    voxels = [row.voxels[name] for name in classes]
    return str(sum(voxels)), f"{sum(count > 0 for count in voxels)} of {len(voxels)}"


def _ranges(triples: Iterable[tuple[float, float, float]]) -> str:
    """Smallest and largest of each of three values, 'a-b x c-d x e'."""
    parts = []
    for values in zip(*triples, strict=True):
        low, high = f"{min(values):.4g}", f"{max(values):.4g}"
        parts.append(low if low == high else f"{low}-{high}")
    return " x ".join(parts)
