"""What a comparison has found: one file of all fits, a table and a figure; fits that are there are not done again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from samtailor.errors import FileError
from samtailor.evaluation.scores import Scores
from samtailor.files import read_json, write_json, write_text
from samtailor.metrics.class_names import key_of
from samtailor.reporting.figures import save_figure
from samtailor.reporting.table import Table
from samtailor.reproduction.results import present_dsc

FILE = "results.json"

_SAMED = ("aorta", "gallbladder", "left kidney", "right kidney", "liver", "pancreas", "spleen", "stomach")
"""Organs of SAMed's and TransUNet's evaluation."""


@dataclass(frozen=True)
class Fit:
    """What one fit has reached.

    Attributes:
        method: Name of the method.
        minutes: Time it was given.
        seed: Its seed.
        seconds: Wall-clock time it took.
        scores: By name, the main one first.
        facts: What else is known: image size or patch, epochs or steps, samples, loss at the start and at the end.
    """

    method: str
    minutes: float
    seed: int
    seconds: float
    scores: dict[str, float]
    facts: dict[str, Any]

    @property
    def key(self) -> tuple[str, float, int]:
        """What it is known by."""
        return self.method, self.minutes, self.seed


def numbers_of(scores: Scores) -> dict[str, float]:
    """The numbers of a table, by what a data set is usually scored by.

    The DSC is that of each case on its own grid, each class averaged over the cases whose truth has it, then over the
    classes (docs/results.md).
    """
    dsc = present_dsc(scores.to_json())
    match scores.protocol:
        case "remote-sensing":
            found = {f"mean DSC, {len(dsc)} classes": np.nanmean(dsc), "pooled mIoU": scores.overall("miou").value}
        case "irstd":
            found = {"target DSC": np.nanmean(dsc[1:])} | {
                name: scores.overall(metric).value
                for name, metric in (("IoU", "iou"), ("Pd", "pd"), ("Fa, 1e-6", "fa"))
            }
        case _:
            found = {f"mean DSC, {len(dsc) - 1} classes": np.nanmean(dsc[1:])}
            keys = [key_of(name) for name in scores.labels.names]
            if all(key_of(organ) in keys for organ in _SAMED):
                found["mean DSC, SAMed's 8"] = np.nanmean(dsc[[keys.index(key_of(organ)) for organ in _SAMED]])
    return {name: float(value) for name, value in found.items()}


class Results:
    """The files of a comparison: `results.json`, `results.md` and `curves.png` in one folder."""

    def __init__(self, folder: Path, about: Mapping[str, Any], titles: Mapping[str, str]) -> None:
        """Go on with what is in the folder.

        Args:
            folder: Where the files are, or will be.
            about: Machine, versions, data and split: what every fit of a comparison must share.
            titles: What each method is, by its name, in the order of the table; others that are there come last.

        Raises:
            FileError: If the folder's results are of another machine, other versions or other data.
        """
        self.folder = folder
        self.about = dict(about)
        self.titles = titles
        self.fits: list[Fit] = []
        file = folder / FILE
        if file.exists():
            content = read_json(file, dict, "name another --out")
            for name, value in self.about.items():
                if content.get(name) != value:
                    found = f"{content.get(name)}"
                    raise FileError(file, f"results of this comparison, {name} {value}", found, "name another --out")
            self.fits = [Fit(**fit) for fit in content["fits"]]

    def has(self, method: str, minutes: float, seed: int) -> bool:
        """Whether a fit is there."""
        return (method, minutes, seed) in {fit.key for fit in self.fits}

    def add(self, fit: Fit) -> None:
        """Keep a fit, and write the files."""
        order = list(dict.fromkeys([*self.titles, *(one.method for one in self.fits)]))
        self.fits = sorted([*self.fits, fit], key=lambda one: (one.minutes, order.index(one.method), one.seed))
        write_json(self.folder / FILE, {**self.about, "fits": [asdict(one) for one in self.fits]})
        write_text(self.folder / "results.md", str(self.table()))
        save_figure(self.curves(), self.folder / "curves.png")

    def groups(self) -> dict[tuple[float, str], list[Fit]]:
        """Fits of all seeds, by minutes and method."""
        groups: dict[tuple[float, str], list[Fit]] = {}
        for fit in self.fits:
            groups.setdefault((fit.minutes, fit.method), []).append(fit)
        return groups

    def table(self) -> Table:
        """Scores by minutes and method: of several seeds the mean, and from the lowest to the highest."""
        names = list(self.fits[0].scores)
        rows = [
            (
                f"{minutes:g}",
                method,
                " ".join(str(fit.seed) for fit in fits),
                *(_spread([fit.scores[name] for fit in fits]) for name in names),
                _spread([fit.seconds / 60 for fit in fits], ".1f"),
            )
            for (minutes, method), fits in self.groups().items()
        ]
        used = {fit.method for fit in self.fits}
        machine = self.about["machine"]
        split = self.about["split"]
        where = machine["gpu"] or f"{machine['processor']}, {self.about['threads']} of {machine['cores']} cores"
        notes = (
            f"{where}; torch {machine['torch']}, transformers {machine['transformers']}, MONAI {self.about['monai']}, "
            f"SamTailor {self.about['samtailor']}. {split['train']} cases to train on, {split['val']} to validate on; "
            f"scored: the {split['cases']} cases of '{split['scored']}', all methods by SamTailor's own evaluation.",
            "Each fit begins with an empty cache; its time holds reading, measuring, training and validation, not the "
            "scoring. All methods see the slices of SamTailor's cache, intensities in [0, 1]. DSC: by case, each class "
            "over the cases whose truth has it.",
            *(f"{method}: {title}." for method, title in self.titles.items() if method in used),
        )
        return Table(("minutes", "method", "seeds", *names, "taken, min"), tuple(rows), notes, self.about["data"])

    def curves(self) -> Figure:
        """The main score over minutes: a line for each method through the means, every seed a point."""
        name = next(iter(self.fits[0].scores))
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.add_subplot()
        methods = list(dict.fromkeys(fit.method for fit in self.fits))
        draw_curves(axes, [(fit.method, fit.minutes, fit.scores[name]) for fit in self.fits], methods)
        axes.set(ylabel=name, title=self.about["data"])
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)  # hides no line
        return figure


def draw_curves(axes: Axes, points: Sequence[tuple[str, float, float]], methods: Sequence[str]) -> None:
    """Scores over minutes: a line for each method through the means of its seeds, every seed a point.

    Args:
        axes: Where they are drawn.
        points: Method, minutes and score of each fit.
        methods: In the order of their colours; one without a fit has its colour all the same.
    """
    ticks = sorted({minutes for _, minutes, _ in points})
    for method in methods:
        own = [(minutes, score) for name, minutes, score in points if name == method]
        scores = {tick: found for tick in ticks if (found := [score for minutes, score in own if minutes == tick])}
        (line,) = axes.plot(list(scores), [mean(some) for some in scores.values()], label=method)
        ends = [[end(some) for some in scores.values()] for end in (min, max)]
        axes.fill_between(list(scores), *ends, color=line.get_color(), alpha=0.2, linewidth=0)
        axes.scatter(*np.reshape(own, (-1, 2)).T, s=14, color=line.get_color())
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{each:g}" for each in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("minutes")
    axes.grid(alpha=0.3)


def _spread(values: Sequence[float], form: str = ".3f") -> str:
    """One number; of several the mean, the lowest and the highest."""
    if any(np.isnan(values)):
        return "-"
    form = ".0f" if max(values) >= 10 and form == ".3f" else form
    if len(values) == 1:
        return format(values[0], form)
    return f"{mean(values):{form}} ({min(values):{form}} to {max(values):{form}})"
