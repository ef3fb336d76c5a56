"""The page of a comparison: what can be said, tables and figures, in Markdown and HTML."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from samtailor.evaluation.comparison.figures import case_figure, class_figure
from samtailor.evaluation.comparison.paired import (
    LOWER_IS_BETTER,
    MEAN,
    Comparison,
    Difference,
    PairedDifference,
    metric_title,
)
from samtailor.evaluation.comparison.statistics import ALPHA, EXACT_PAIRS, least_pairs, smallest_p
from samtailor.evaluation.tables import interval
from samtailor.files import atomic
from samtailor.reporting.figures import png
from samtailor.reporting.page import Picture, Section, write_report
from samtailor.reporting.table import UNDEFINED, Table, decimal

_SIGNIFICANT = " *"


def write_page(comparison: Comparison, out: Path) -> None:
    """Write compare.md, compare.html, compare.json, cases.png and classes.png, each complete or not at all."""
    title = f"Comparison of {metric_title(comparison.metric)} on {_count(len(comparison.results[0].cases), 'case')}"
    pictures = {
        "cases.png": Picture(png(case_figure(comparison)), "Box plot of the cases of each result"),
        "classes.png": Picture(png(class_figure(comparison)), "Bars of each class and result, with intervals"),
    }
    sections = [
        Section("Results", (results_table(comparison), pictures["cases.png"])),
        Section("Classes", (pictures["classes.png"],)),
        *(Section(_heading(pair), (pair_table(pair, comparison),)) for pair in comparison.pairs),
        Section("How to read this", tuple(method(comparison))),
    ]
    note = "\n".join([verdict(comparison), *upper_bound_notes(comparison)])
    texts = {
        "compare.json": json.dumps(comparison.to_json(), indent=1, allow_nan=False),
        "compare.md": _markdown(title, note, sections, {picture.png: name for name, picture in pictures.items()}),
    }
    for name, picture in pictures.items():
        with atomic(out / name) as scratch:
            scratch.write_bytes(picture.png)
    for name, text in texts.items():
        with atomic(out / name) as scratch:
            scratch.write_text(text, encoding="utf-8")
    write_report(out / "compare.html", title, note, sections)


def verdict(comparison: Comparison) -> str:
    """What the tests can say, and what they do say, in sentences."""
    tests = [test for test in comparison.tests if not math.isnan(test.p)]
    if not tests:
        return "No test could be done: no class counts in both results of any case."
    most = max(test.pairs for test in tests)
    least = smallest_p(most)
    limits = f"With {_count(most, 'paired case')} no p value can be below {_p(least)}"
    if least >= ALPHA:
        return (
            f"{limits}: nothing can be significant at {ALPHA:g}, however large the differences. "
            f"One test needs at least {least_pairs(1)} cases, the {_count(len(tests), 'test')} of this page "
            f"{least_pairs(len(tests))}."
        )
    if least * len(tests) >= ALPHA:
        return (
            f"{limits}, {_p(min(1, least * len(tests)))} after Holm's correction for {len(tests)} tests: nothing on "
            f"this page can be significant at {ALPHA:g}; it takes at least {least_pairs(len(tests))} cases."
        )
    found = sum(test.corrected < ALPHA for test in tests)
    return (
        f"{found} of {_count(len(tests), 'difference')} {'is' if found == 1 else 'are'} significant at {ALPHA:g} after "
        "Holm's correction. A difference that is not significant is not shown to be absent."
    )


def method(comparison: Comparison) -> list[str]:
    """How the numbers were made, in paragraphs."""
    first = comparison.results[0]
    better = "lower" if comparison.metric in LOWER_IS_BETTER else "higher"
    paragraphs = [
        f"{metric_title(comparison.metric)} under protocol '{first.protocol}'; {better} is better. The background is "
        f"left out. '{MEAN}': each case averaged over the classes that count in it by the protocol, then over the "
        "cases. Differences are taken case by case; the means beside them are those of the pairs. A class that counts "
        "in a case of one result only (for instance predicted where it is absent) makes no pair for that class; in the "
        "mean of that case it counts as the protocol says.",
        f"95 % intervals: percentile bootstrap over cases ({comparison.resamples} resamples, seed {comparison.seed}, "
        f"the same draws for all results); '{UNDEFINED}' where fewer than two cases count. They are not corrected for "
        "the number of tests, and are too narrow with few cases.",
        "p: Wilcoxon's signed-rank test, two-sided. Zero differences are left out (p = 1 if there is nothing else), "
        f"ties take their mean rank. Up to {EXACT_PAIRS} differences other than zero p is exact, ties included; with "
        "more it comes from the normal distribution, corrected for ties. The smallest p of n such differences is "
        "2 / 2^n: 0.25 for 3, 0.0625 for 5, 0.0312 for 6.",
        f"p (Holm): corrected over all {len(comparison.tests)} tests of this page, so that the chance of any false "
        f"finding among them is at most {ALPHA:g} where '{_SIGNIFICANT.strip()}' stands.",
    ]
    return paragraphs + [f"Not compared, because not all results have them: {names}." for names in comparison.left_out]


def results_table(comparison: Comparison) -> Table:
    """One row for each result: what it is, and its mean."""
    first = comparison.results[0]
    what = next(iter(comparison.means[first.name]))
    header = ("result", what, "95 % interval", "cases", "scored", "file")
    rows = []
    for result in comparison.results:
        mean = comparison.means[result.name][what]
        cases = str((~np.isnan(result.case_means())).sum())
        rows.append(
            (
                result.name,
                decimal(mean.value),
                interval(mean.interval),
                cases,
                result.source or UNDEFINED,
                str(result.file),
            )
        )
    return Table(header, tuple(rows), (_rule(comparison), *upper_bound_notes(comparison)))


def pair_table(pair: PairedDifference, comparison: Comparison) -> Table:
    """One row for the mean of the classes and each class."""
    header = (
        "class",
        pair.reference.name,
        pair.result.name,
        "difference",
        "95 % interval",
        "pairs",
        "better / equal / worse",
        "p",
        "p (Holm)",
    )
    notes = [_rule(comparison)]
    unpaired = [f"{test.what} {test.unpaired}" for test in pair.tests if test.unpaired]
    if unpaired:
        notes.append(f"Cases without pair, because the class counts in one result only: {', '.join(unpaired)}.")
    names = (pair.reference.name, pair.result.name)
    notes += upper_bound_notes(comparison, names)
    return Table(header, tuple(_row(test) for test in pair.tests), tuple(notes))


def upper_bound_notes(comparison: Comparison, names: Sequence[str] | None = None) -> list[str]:
    """Which results used the ground truth, and how.

    Args:
        comparison: The comparison.
        names: Results that are shown; all if None.
    """
    return [
        f"{name}: {sentence}" for name, sentence in comparison.upper_bounds.items() if names is None or name in names
    ]


def _row(test: Difference) -> tuple[str, ...]:
    """Row of a test."""
    star = _SIGNIFICANT if test.corrected < ALPHA else ""
    signs = " / ".join(str(count) for count in test.signs)
    before, after = (decimal(mean) for mean in test.means)
    return (
        test.what,
        before,
        after,
        _signed(test.change.value),
        UNDEFINED if test.change.interval is None else " to ".join(_signed(end, 3) for end in test.change.interval),
        str(test.pairs),
        signs,
        _p(test.p),
        _p(test.corrected) + star,
    )


def _heading(pair: PairedDifference) -> str:
    return f"{pair.result.name} against {pair.reference.name}"


def _rule(comparison: Comparison) -> str:
    """What every table must say."""
    return f"{metric_title(comparison.metric)}, protocol '{comparison.results[0].protocol}'."


def _markdown(title: str, note: str, sections: Sequence[Section], names: dict[bytes, str]) -> str:
    """The page in Markdown; pictures are named by their files."""
    lines = [f"# {title}", "", *(f"> {line}" for line in note.split("\n"))]
    for section in sections:
        lines += ["", f"## {section.heading}"]
        for item in section.content:
            match item:
                case Table():
                    text = item.to_markdown().rstrip()
                case Picture():
                    text = f"![{item.alt}]({names[item.png]})"
                case _:
                    text = item
            lines += ["", text]
    return "\n".join(lines) + "\n"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _p(value: float) -> str:
    """A p value: four decimals, more for small ones."""
    if math.isnan(value):
        return UNDEFINED
    return f"{value:.4f}" if value >= 0.001 else f"{value:.1e}"


def _signed(value: float, decimals: int = 4) -> str:
    """A difference with its sign; no sign for zero."""
    if math.isnan(value):
        return UNDEFINED
    return f"{value:+.{decimals}f}" if round(value, decimals) else f"{0:.{decimals}f}"
