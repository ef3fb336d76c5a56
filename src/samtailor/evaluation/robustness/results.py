"""What robustness tells: corruption errors, tables, figure, plain values, one page."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.data.corruptions import SEVERITIES
from samtailor.errors import counted
from samtailor.evaluation.robustness.study import Curves
from samtailor.evaluation.scores import number
from samtailor.files import write_json, write_text
from samtailor.metrics.confusion import nan_mean
from samtailor.reporting.figures import png
from samtailor.reporting.page import Page, Picture, Section
from samtailor.reporting.plots import severity_figure
from samtailor.reporting.shown import Shown
from samtailor.reporting.table import UNDEFINED, Table, decimal
from samtailor.reporting.terminal import Block

RESULTS = ("robustness.json", "robustness.csv", "robustness.md", "robustness.html", "robustness.png")
"""Files that `write_results` writes."""


@dataclass(frozen=True, repr=False)
class Robustness(Shown):
    """DSC of runs under corruption; printed, it is the tables of all runs.

    Attributes:
        corruptions: Kinds of damage, by their names; C.
        dsc: Mean DSC without background of each run, clean and under severities 1 to 5, (C, 6).
        baseline: Name of the run to which corruption errors are relative, if any.
        data: Name of the data's folder.
        split: Split that was scored.
        cases: Names of the cases.
        out_of: How many cases the split has, of which these were drawn.
        slices: So many slices of each volume count; all if None.
        protocol: Rules of the DSC.
        seed: Seed of the damage and of the choice of cases.
        folder: Where tables and the figure were written, if they were.
    """

    corruptions: tuple[str, ...]
    dsc: Mapping[str, Curves]
    baseline: str | None
    data: str
    split: str
    cases: tuple[str, ...]
    out_of: int
    slices: int | None
    protocol: str
    seed: int
    folder: Path | None = field(default=None, compare=False)

    def blocks(self) -> list[Block]:
        """What the command line shows: all tables, and where they are."""
        return [*self.tables(), *([{"tables and figure": str(self.folder)}] if self.folder else [])]

    def __repr__(self) -> str:
        return f"<Robustness of {', '.join(self.dsc)} against {len(self.corruptions)} corruptions>"

    def corruption_errors(self, run: str, relative: bool = False) -> NDArray[np.float64]:
        """Error of a run under each corruption as a fraction of the baseline's, (C,); NaN without one.

        The error is the sum over the severities of 1 - DSC, relative less the clean error in each (Hendrycks and
        Dietterich 2019, section 4.1). NaN also where the baseline has no error to divide by.
        """
        if self.baseline is None:
            return np.full(len(self.corruptions), np.nan)
        own, base = (_errors(self.dsc[name], relative) for name in (run, self.baseline))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(base > 0, own / base, np.nan)

    def mce(self, run: str, relative: bool = False) -> float:
        """Mean of the corruption errors over the corruptions that have one; NaN if none has."""
        return float(nan_mean(self.corruption_errors(run, relative)))

    def clean(self, run: str) -> float:
        """DSC of a run on images as they are."""
        return float(self.dsc[run][0, 0])

    def corrupted(self, run: str) -> float:
        """DSC of a run, mean over all corruptions and severities."""
        return float(self.dsc[run][:, 1:].mean())

    def tables(self) -> list[Table]:
        """A row for each run; then for each run a row for each corruption."""
        header = ("run", "clean DSC", "corrupted DSC", "lost", "mCE", "relative mCE")
        rows = []
        for run in self.dsc:
            clean, corrupted = self.clean(run), self.corrupted(run)
            numbers = (clean, corrupted, clean - corrupted, self.mce(run), self.mce(run, relative=True))
            rows.append((run, *map(decimal, numbers)))
        return [Table(header, tuple(rows), (self.scope(), *self._baseline_note())), *map(self._run_table, self.dsc)]

    def _run_table(self, run: str) -> Table:
        header = ("corruption", *map(str, SEVERITIES), "mean", "CE", "relative CE")
        errors, relative = self.corruption_errors(run), self.corruption_errors(run, relative=True)
        rows = [
            (name, *map(decimal, (*curve[1:], curve[1:].mean(), errors[place], relative[place])))
            for place, (name, curve) in enumerate(zip(self.corruptions, self.dsc[run], strict=True))
        ]
        means = (*self.dsc[run][:, 1:].mean(axis=0), self.corrupted(run), self.mce(run), self.mce(run, relative=True))
        rows.append((f"mean (clean: {decimal(self.clean(run))})", *map(decimal, means)))
        return Table(header, tuple(rows), title=f"{run}: DSC by severity")

    def picture(self, name: str, alt: str) -> Picture:
        """Curves of DSC over severity, a panel for each corruption; `alt` is for those who do not see them."""
        curves = {
            corruption: {run: dsc[place] for run, dsc in self.dsc.items()}
            for place, corruption in enumerate(self.corruptions)
        }
        return Picture(name, png(severity_figure(curves, "mean DSC")), alt)

    def scope(self) -> str:
        """What was scored, in a sentence."""
        count = len(self.cases)
        cases = f"{counted(count, 'case')} of {self.data}, split {self.split}"
        drawn = f", drawn of {self.out_of} by seed {self.seed}" if count < self.out_of else ""
        part = ""
        if self.slices:
            part = f"; of each volume {self.slices} slices, spread over those with labels, as the network labels them"
        return f"{cases}{drawn}{part}. Mean DSC of the classes but the background, protocol '{self.protocol}'."

    def _baseline_note(self) -> tuple[str, ...]:
        if self.baseline is None:
            return (f"'{UNDEFINED}': corruption errors are fractions of a baseline's; --baseline RUN names one.",)
        return (f"mCE and CE: fractions of the errors of '{self.baseline}'; less is better.",)

    def method(self) -> tuple[str, ...]:
        """How the numbers were made, in paragraphs."""
        return (
            f"Corruptions: {', '.join(self.corruptions)}. Each is done to the file's values, before denoising and all "
            f"else of the preprocessing, in five severities, with seed {self.seed}; every run sees the same damage. "
            "They are synthetic: of real damage they say which run bears more of a kind, not how much it bears.",
            "Corruption error (CE) of a run: the sum over the severities of 1 - DSC, divided by the baseline's; mCE is "
            "its mean over the corruptions. Relative: the error on clean images is subtracted from each first, which "
            "tells what corruption alone costs; a run that is bad on clean images may look good there. Corruptions "
            "under which the baseline loses nothing have no relative CE and are left out of its mean. Hendrycks and "
            "Dietterich, Benchmarking neural network robustness to common corruptions and perturbations, ICLR 2019.",
        )

    def to_json(self) -> dict[str, Any]:
        """Content of robustness.json: plain values, None where a number is not defined."""
        return {
            "data": self.data,
            "split": self.split,
            "cases": list(self.cases),
            "cases_in_split": self.out_of,
            "slices": self.slices,
            "protocol": self.protocol,
            "seed": self.seed,
            "severities": list(SEVERITIES),
            "baseline": self.baseline,
            "runs": {run: self._run_json(run) for run in self.dsc},
        }

    def _run_json(self, run: str) -> dict[str, Any]:
        errors, relative = self.corruption_errors(run), self.corruption_errors(run, relative=True)
        return {
            "clean_dsc": number(self.clean(run)),
            "corrupted_dsc": number(self.corrupted(run)),
            "mce": number(self.mce(run)),
            "relative_mce": number(self.mce(run, relative=True)),
            "corruptions": {
                name: {
                    "dsc": [number(value) for value in self.dsc[run][place, 1:]],
                    "ce": number(errors[place]),
                    "relative_ce": number(relative[place]),
                }
                for place, name in enumerate(self.corruptions)
            },
        }

    def _lines(self) -> Iterator[tuple[str, str, int, float]]:
        """Run, corruption, severity and DSC; clean images have the corruption 'none' and severity 0."""
        for run, curves in self.dsc.items():
            yield run, "none", 0, self.clean(run)
            for name, curve in zip(self.corruptions, curves, strict=True):
                yield from ((run, name, severity, curve[severity]) for severity in SEVERITIES)

    def to_csv(self) -> str:
        """Content of robustness.csv: one line per run, corruption and severity; empty where DSC is not defined."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("run", "corruption", "severity", "dsc"))
        for run, name, severity, value in self._lines():
            writer.writerow((run, name, severity, "" if np.isnan(value) else f"{value:.6f}"))
        return text.getvalue()


def _errors(curves: Curves, relative: bool) -> NDArray[np.float64]:
    """Sum over the severities of 1 - DSC, or of what DSC is less than on clean images, (C,)."""
    errors: NDArray[np.float64] = ((curves[:, :1] if relative else 1) - curves[:, 1:]).sum(axis=1)
    return errors


def write_results(result: Robustness, out: Path) -> None:
    """Write robustness.json, .csv, .md, .html and .png, each complete or not at all."""
    picture = result.picture("robustness.png", "Curves of DSC over severity")
    first, *tables = result.tables()
    page = Page(
        f"Robustness on {result.data}",
        result.scope(),
        (
            Section("Runs", (first, picture)),
            Section("Each run", tuple(tables)),
            Section("How to read this", result.method()),
        ),
    )
    write_json(out / "robustness.json", result.to_json())
    write_text(out / "robustness.csv", result.to_csv())
    page.write(out / "robustness.md")
