"""The page of a comparison: verdict, tables and figures, in Markdown and HTML, and the numbers as JSON."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from samtailor.evaluation.comparison.comparison import Comparison, count
from samtailor.evaluation.comparison.paired import MEAN, compared_names
from samtailor.files import write_json
from samtailor.reporting.comparison import case_figure, class_figure
from samtailor.reporting.figures import png
from samtailor.reporting.page import Page, Picture, Section


def write_page(comparison: Comparison, out: Path) -> None:
    """Write compare.md, compare.html, compare.json, cases.png and classes.png, each complete or not at all."""
    cases, classes = figures(comparison)
    boxes = Picture("cases.png", png(cases), "Box plot of the cases of each result")
    bars = Picture("classes.png", png(classes), "Bars of each class and result, with intervals")
    page = Page(
        f"Comparison of {comparison.metric_title} on {count(len(comparison.results[0].cases), 'case')}",
        "\n".join([comparison.verdict(), *comparison.upper_bound_notes()]),
        (
            Section("Results", (comparison.results_table(), boxes)),
            Section("Classes", (bars,)),
            *(Section(pair.heading, (comparison.pair_table(pair),)) for pair in comparison.pairs),
            Section("How to read this", comparison.method()),
        ),
    )
    write_json(out / "compare.json", comparison.to_json())
    page.write_markdown(out / "compare.md")
    page.write_html(out / "compare.html")


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
