"""Results on the same cases: what can be said of their differences, in sentences, tables and plain values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from samtailor.errors import counted
from samtailor.evaluation.bootstrap import Interval, Statistic
from samtailor.evaluation.comparison.fits import fits_table, pictures_of
from samtailor.evaluation.comparison.results import ScoredResult
from samtailor.evaluation.comparison.statistics import (
    ALPHA,
    EXACT_PAIRS,
    MEAN,
    Difference,
    PairedDifference,
    compared_names,
    compared_values,
    estimates,
    least_pairs,
    smallest_p,
)
from samtailor.evaluation.scores import interval, number
from samtailor.files import write_json
from samtailor.metrics.protocols import LOWER_IS_BETTER, METRIC_NAMES
from samtailor.reporting.figures import png
from samtailor.reporting.page import Page, Picture, Section
from samtailor.reporting.plots import case_figure, class_figure
from samtailor.reporting.shown import Shown
from samtailor.reporting.table import UNDEFINED, Table, decimal
from samtailor.reporting.terminal import Block

_SIGNIFICANT = " *"


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """Results on the same cases, and how they differ; printed, it is the tables of all pairs and the verdict.

    Attributes:
        metric: The score.
        results: On the same cases and classes, the reference first.
        pairs: Each result with the first, or each with every other.
        left_out: Cases and classes that not all results have, in words.
        resamples: Bootstrap resamples of the intervals.
        seed: Seed of the bootstrap.
        folder: Where the page was written, if it was.
    """

    metric: str
    results: tuple[ScoredResult, ...]
    pairs: tuple[PairedDifference, ...]
    left_out: tuple[str, ...]
    resamples: int
    seed: int
    folder: Path | None = field(default=None, compare=False)

    def blocks(self) -> list[Block]:
        """What the command line shows: a table of each pair, the verdict, and where the page is."""
        pairs = [block for pair in self.pairs for block in (pair.heading, self.pair_table(pair))]
        return [*pairs, self.verdict(), *([{"page": str(self.folder / "compare.html")}] if self.folder else [])]

    def __repr__(self) -> str:
        names = ", ".join(result.name for result in self.results)
        return f"<Comparison of {names} by {self.metric} on {counted(len(self.results[0].cases), 'case')}>"

    @property
    def tests(self) -> list[Difference]:
        """All tests."""
        return [test for pair in self.pairs for test in pair.tests]

    @property
    def metric_title(self) -> str:
        """The score as people write it."""
        return {str(key): name for key, name in METRIC_NAMES.items()}.get(self.metric, self.metric.upper())

    @property
    def better(self) -> str:
        """Which values of the score are better: 'higher' or 'lower'."""
        return "lower" if self.metric in LOWER_IS_BETTER else "higher"

    @property
    def upper_bounds(self) -> dict[str, str]:
        """Results made with the ground truth, and how."""
        return {result.name: result.upper_bound for result in self.results if result.upper_bound}

    @cached_property
    def means(self) -> dict[str, dict[str, Statistic]]:
        """Mean over the cases of each result: of the mean of the classes and of each class."""
        found = {r.name: estimates(compared_values(r), self.resamples, self.seed) for r in self.results}
        what = compared_names(self.results[0])
        return {name: dict(zip(what, means, strict=True)) for name, means in found.items()}

    def verdict(self) -> str:
        """What the tests can say, and what they do say, in sentences."""
        tests = [test for test in self.tests if not math.isnan(test.p)]
        if not tests:
            return "No test could be done: no class counts in both results of any case."
        most = max(test.pairs for test in tests)
        least = smallest_p(most)
        limits = f"With {counted(most, 'paired case')} no p value can be below {_p(least)}"
        if least >= ALPHA:
            return (
                f"{limits}: nothing can be significant at {ALPHA:g}, however large the differences. "
                f"One test needs at least {least_pairs(1)} cases, the {counted(len(tests), 'test')} of this page "
                f"{least_pairs(len(tests))}."
            )
        if least * len(tests) >= ALPHA:
            return (
                f"{limits}, {_p(min(1, least * len(tests)))} after Holm's correction for {len(tests)} tests: nothing "
                f"on this page can be significant at {ALPHA:g}; it takes at least {least_pairs(len(tests))} cases."
            )
        found = sum(test.corrected < ALPHA for test in tests)
        are = "is" if found == 1 else "are"
        return (
            f"{found} of {counted(len(tests), 'difference')} {are} significant at {ALPHA:g} after Holm's correction. "
            "A difference that is not significant is not shown to be absent."
        )

    def method(self) -> tuple[str, ...]:
        """How the numbers were made, in paragraphs."""
        return (
            f"{self.metric_title} under protocol '{self.results[0].protocol}'; {self.better} is better. The background "
            f"is left out. '{MEAN}': each case averaged over the classes that count in it by the protocol, then over "
            "the cases. Differences are taken case by case; the means beside them are those of the pairs. A class that "
            "counts in a case of one result only (for instance predicted where it is absent) makes no pair for that "
            "class; in the mean of that case it counts as the protocol says.",
            f"95 % intervals: percentile bootstrap over cases ({self.resamples} resamples, seed {self.seed}, the same "
            f"draws for all results); '{UNDEFINED}' where fewer than two cases count. They are not corrected for the "
            "number of tests, and are too narrow with few cases.",
            "p: Wilcoxon's signed-rank test, two-sided. Zero differences are left out (p = 1 if there is nothing "
            f"else), ties take their mean rank. Up to {EXACT_PAIRS} differences other than zero p is exact, ties "
            "included; with more it comes from the normal distribution, corrected for ties. The smallest p of n such "
            "differences is 2 / 2^n: 0.25 for 3, 0.0625 for 5, 0.0312 for 6.",
            f"p (Holm): corrected over all {len(self.tests)} tests of this page, so that the chance of any false "
            f"finding among them is at most {ALPHA:g} where '{_SIGNIFICANT.strip()}' stands.",
            *(f"Not compared, because not all results have them: {names}." for names in self.left_out),
        )

    def results_table(self) -> Table:
        """One row for each result: what it is, and its mean."""
        what, *_ = compared_names(self.results[0])
        rows = []
        for result in self.results:
            mean, cases = self.means[result.name][what], (~np.isnan(result.case_means())).sum()
            source = (result.source or UNDEFINED, str(result.file))
            rows.append((result.name, decimal(mean.value), interval(mean.interval), str(cases), *source))
        header = ("result", what, "95 % interval", "cases", "scored", "file")
        return Table(header, tuple(rows), (self._rule(), *self.upper_bound_notes()))

    def pair_table(self, pair: PairedDifference) -> Table:
        """One row for the mean of the classes and each class."""
        names = (pair.reference.name, pair.result.name)
        notes = [self._rule()]
        unpaired = [f"{test.name} {test.unpaired}" for test in pair.tests if test.unpaired]
        if unpaired:
            notes.append(f"Cases without pair, because the class counts in one result only: {', '.join(unpaired)}.")
        return Table(
            ("class", *names, *TEST_COLUMNS), tuple(map(row_of, pair.tests)), (*notes, *self.upper_bound_notes(names))
        )

    def upper_bound_notes(self, names: Sequence[str] | None = None) -> list[str]:
        """Which results used the ground truth, and how; of the named ones, or of all."""
        return [f"{name}: {how}" for name, how in self.upper_bounds.items() if names is None or name in names]

    def _rule(self) -> str:
        """What every table must say."""
        return f"{self.metric_title}, protocol '{self.results[0].protocol}'."

    def to_json(self) -> dict[str, Any]:
        """Content of compare.json: plain values, None where a number is not defined."""
        return {
            "metric": self.metric,
            "protocol": self.results[0].protocol,
            "cases": list(self.results[0].cases),
            "classes": list(self.results[0].classes),
            "left_out": list(self.left_out),
            "interval": "95 % percentile bootstrap over cases; null where fewer than two count",
            "resamples": self.resamples,
            "seed": self.seed,
            "test": "Wilcoxon signed-rank, two-sided, zero differences left out; Holm's correction over all tests",
            "results": [
                {
                    "name": result.name,
                    "file": str(result.file),
                    "source": result.source,
                    "upper_bound": result.upper_bound,
                    "means": {what: _estimate(estimate) for what, estimate in self.means[result.name].items()},
                }
                for result in self.results
            ],
            "pairs": [
                {
                    "reference": pair.reference.name,
                    "result": pair.result.name,
                    "upper_bound": pair.reference.upper_bound or pair.result.upper_bound,
                    "tests": {test.name: _test(test) for test in pair.tests},
                }
                for pair in self.pairs
            ],
        }


TEST_COLUMNS = ("difference", "95 % interval", "pairs", "better / equal / worse", "p", "p (Holm)")
"""What `row_of` has behind the two means."""


def row_of(test: Difference) -> tuple[str, ...]:
    """Row of a test: its name, both means, and `TEST_COLUMNS`."""
    return (
        test.name,
        *map(decimal, test.means),
        _signed(test.change.value),
        _signed_interval(test.change.interval),
        str(test.pairs),
        " / ".join(map(str, test.signs)),
        _p(test.p),
        _p(test.corrected) + (_SIGNIFICANT if test.corrected < ALPHA else ""),
    )


def _test(test: Difference) -> dict[str, Any]:
    """A test for JSON."""
    return {
        "reference": number(test.means[0]),
        "result": number(test.means[1]),
        "difference": _estimate(test.change),
        "pairs": test.pairs,
        "unpaired": test.unpaired,
        **dict(zip(("better", "equal", "worse"), test.signs, strict=True)),
        "p": number(test.p),
        "p_holm": number(test.corrected),
    }


def _estimate(estimate: Statistic) -> dict[str, Any]:
    return {"value": number(estimate.value), "interval": estimate.interval}


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


def _signed_interval(ends: Interval | None) -> str:
    return UNDEFINED if ends is None else " to ".join(_signed(end, 3) for end in ends)


PAGE = ("compare.md", "compare.html", "compare.json", "cases.png", "classes.png", "cases")
"""Files, and a folder of them, that `write_page` writes."""


def write_page(comparison: Comparison, out: Path) -> None:
    """Write `PAGE`, each file complete or not at all."""
    cases, classes = figures(comparison)
    boxes = Picture("cases.png", png(cases), "Box plot of the cases of each result")
    bars = Picture("classes.png", png(classes), "Bars of each class and result, with intervals")
    fits, shown = fits_table(comparison.results), pictures_of(comparison.results)
    page = Page(
        f"Comparison of {comparison.metric_title} on {counted(len(comparison.results[0].cases), 'case')}",
        "\n".join([comparison.verdict(), *comparison.upper_bound_notes()]),
        (
            Section("Results", (comparison.results_table(), boxes)),
            Section("Classes", (bars,)),
            *(Section(pair.heading, (comparison.pair_table(pair),)) for pair in comparison.pairs),
            *([Section("Fits", (fits,))] if fits else []),
            *([Section("Cases", tuple(shown))] if shown else []),
            Section("How to read this", comparison.method()),
        ),
    )
    write_json(out / "compare.json", comparison.to_json())
    page.write(out / "compare.md")


def figures(comparison: Comparison) -> tuple[Figure, Figure]:
    """The cases of each result, and its classes with intervals; upper bounds are marked and explained above."""
    results = comparison.results
    names = {r.name: f"{r.name} †" if r.upper_bound else r.name for r in results}
    makers: dict[str, list[str]] = {}
    for name, sentence in comparison.upper_bounds.items():
        makers.setdefault(sentence, []).append(name)
    bounds = [f"† {', '.join(group)}: {sentence}" for sentence, group in makers.items()]
    better = f"({comparison.better} is better)"
    what = MEAN if len(results[0].classes) > 1 else results[0].classes[0]
    means = {
        names[name]: np.array([(m.value, *(m.interval or (m.value, m.value))) for m in rows.values()])
        for name, rows in comparison.means.items()
    }
    values = {names[result.name]: result.case_means() for result in results}
    score = comparison.metric_title
    is_share = all(result.values[~np.isnan(result.values)].max(initial=0) <= 1 for result in results)
    interval = f"{score}, mean over the cases and 95 % interval {better}"
    return (
        case_figure(values, f"{score} of each case, {what} {better}", bounds),
        class_figure(compared_names(results[0]), means, interval, bounds, is_share),
    )
