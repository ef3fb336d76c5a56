"""What was measured on public data sets, on any machine, at any commit: a file, and the tables and the figure of it.

python -m benchmarks.accuracy.measured                                        # prints the tables of docs/results.md
python -m benchmarks.accuracy.measured --figure docs/images/time-peers.png    # and draws their figure
python -m benchmarks.accuracy.measured --add OUT --machine "AMD EPYC (Zen 4)" --commit f1ab00f --note "beside tests"

OUT is a folder of results of python -m benchmarks.accuracy. A fit that the file has already gives way to the new one.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import mean
from typing import Self

from matplotlib.figure import Figure

from benchmarks.accuracy.methods import METHODS
from benchmarks.accuracy.results import FILE, draw_curves
from samtailor.errors import FileError, SamTailorError, not_one_of
from samtailor.files import made_of, read_csv, read_json, write_text
from samtailor.reporting.figures import save_figure
from samtailor.reporting.table import UNDEFINED, Table
from samtailor.settings import Split

MEASURED = Path(__file__).parents[1] / "results" / "accuracy.csv"
"""The file."""

_SCORES = {"pooled mIoU": "iou", "IoU": "iou", "Pd": "pd", "Fa, 1e-6": "fa", "mean DSC, SAMed's 8": "dsc8"}
"""Columns of the scores of `numbers_of`, by their names; the first score, of any name, is the DSC."""
_FORMS = {"dsc": ".3f", "iou": ".3f", "pd": ".1%", "fa": ".0f", "dsc8": ".3f"}


@dataclass(frozen=True)
class _PublicData:
    """What is shown of a data set.

    Attributes:
        name: In words.
        split: Whose cases are scored.
        cases: How many they are.
        kind: What they are, in words.
        scores: What is shown of them, in words by the columns of the file.
    """

    name: str
    split: Split
    cases: int
    kind: str
    scores: dict[str, str]

    @property
    def title(self) -> str:
        """Whose scores they are."""
        return f"{self.name}, {self.cases} {self.kind}"


_DATA = {
    "gid5": _PublicData("GID-5", "test", 91, "test tiles", {"dsc": "mean DSC of six classes", "iou": "pooled mIoU"}),
    "sirst": _PublicData(
        "SIRST", "test", 85, "test images", {"dsc": "target DSC", "iou": "IoU", "pd": "Pd", "fa": "Fa in a million"}
    ),
    "btcv": _PublicData(
        "BTCV", "val", 3, "validation volumes", {"dsc": "mean DSC of 13 organs", "dsc8": "of SAMed's 8"}
    ),
}
"""By the name of the folder."""


@dataclass(frozen=True)
class Measured:
    """One fit.

    Attributes:
        data: Name of the data set's folder.
        method: Name of the method.
        minutes: Time it was given.
        seed: Its seed.
        scores: By the columns of the file.
        samples: That it was trained on.
        machine: What it ran on.
        commit: Of this repository.
        note: What else must be known to compare it with others.
    """

    data: str
    method: str
    minutes: int
    seed: int
    scores: Mapping[str, float]
    samples: int
    machine: str
    commit: str
    note: str = ""

    @property
    def key(self) -> tuple[int, int, int, int]:
        """What it is known by, in the order of the file."""
        return list(_DATA).index(self.data), self.minutes, list(METHODS).index(self.method), self.seed

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> Self:
        """From a line of the file."""
        if row["data"] not in _DATA or row["method"] not in METHODS:
            raise ValueError(f"{row['method']} on {row['data']}")
        return cls(
            data=row["data"],
            method=row["method"],
            minutes=int(row["minutes"]),
            seed=int(row["seed"]),
            scores={name: float(row[name]) for name in _FORMS if row[name]},
            samples=int(row["samples"]),
            machine=row["machine"],
            commit=row["commit"],
            note=row["note"],
        )

    def to_row(self) -> dict[str, str]:
        """A line of the file."""
        row = {one.name: str(getattr(self, one.name)) for one in fields(self) if one.name != "scores"}
        return row | {name: f"{value:.3f}".rstrip("0").rstrip(".") for name, value in self.scores.items()}


_COLUMNS = ("data", "method", "minutes", "seed", *_FORMS, "samples", "machine", "commit", "note")


def read_measured(path: Path | None = None) -> list[Measured]:
    """What the file holds; by default `MEASURED`.

    Raises:
        FileError: If it is not as expected.
    """
    path, fix = path or MEASURED, "restore it: git has it"
    with made_of(path, "fits, a line each", fix):
        return [Measured.from_row(row) for row in read_csv(path, _COLUMNS, fix)]


def write_measured(found: Sequence[Measured], path: Path | None = None) -> None:
    """Write the file, by default `MEASURED`, in the order of data, minutes, method and seed."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(one.to_row() for one in sorted(found, key=lambda one: one.key))
    write_text(path or MEASURED, text.getvalue())


def results_in(out: Path, machine: str, commit: str, note: str) -> list[Measured]:
    """The fits of a folder of results.

    Raises:
        FileError: If there are none, or they are of another data set, or of a method with flags.
    """
    file = out / FILE
    content = read_json(file, dict, "give the --out of python -m benchmarks.accuracy")
    with made_of(file, "results of python -m benchmarks.accuracy", "give its --out"):
        if (data := content["data"]) not in _DATA:
            raise FileError(file, f"one of {', '.join(_DATA)}", data, "only public data are compared in the docs")
        split, public = content["split"], _DATA[data]
        if (split["scored"], split["cases"]) != (public.split, public.cases):
            found = f"{split['cases']} of '{split['scored']}'"
            raise FileError(file, f"the scores of {public.cases} cases of '{public.split}'", found, "score those")
        fits = []
        for fit in content["fits"]:
            if (method := fit["method"]) not in METHODS:
                raise FileError(file, "methods without flags", not_one_of(METHODS, method), "write of it in the docs")
            first, *others = fit["scores"].items()
            scores = {"dsc": first[1]} | {_SCORES[name]: value for name, value in others}
            samples = fit["facts"]["samples"]
            fits.append(
                Measured(data, method, round(fit["minutes"]), fit["seed"], scores, samples, machine, commit, note)
            )
    return fits


def tables(found: Sequence[Measured]) -> list[Table]:
    """Of each data set the scores by method and minutes: of several seeds the means, and how many they are."""
    minutes = sorted({one.minutes for one in found})
    made = []
    for data, public in _DATA.items():
        own = [one for one in found if one.data == data]
        rows = [
            (
                f"`{method}`",
                *(
                    _cell([one for one in own if (one.method, one.minutes) == (method, each)], public)
                    for each in minutes
                ),
            )
            for method in _methods(own)
        ]
        title = f"{public.title}: {', '.join(public.scores.values())}"
        made.append(Table((title, *(f"{each} minutes" for each in minutes)), tuple(rows)))
    return made


def figure_of(found: Sequence[Measured]) -> Figure:
    """The DSC over minutes, a panel for each data set."""
    figure = Figure(figsize=(12, 4.4), layout="constrained")
    for axes, (data, public) in zip(figure.subplots(1, len(_DATA)), _DATA.items(), strict=True):
        points = [(one.method, one.minutes, one.scores["dsc"]) for one in found if one.data == data]
        draw_curves(axes, points, _methods(found))
        axes.set(title=public.title, ylabel=public.scores["dsc"], ylim=(0, 1))
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def _methods(fits: Sequence[Measured]) -> list[str]:
    """The methods of some fits, in the order of `METHODS`."""
    used = {one.method for one in fits}
    return [method for method in METHODS if method in used]


def _cell(fits: Sequence[Measured], public: _PublicData) -> str:
    """The means of what is shown of a data set, and of how many seeds."""
    if not fits:
        return UNDEFINED
    scores = ", ".join(format(mean(fit.scores[name] for fit in fits), _FORMS[name]) for name in public.scores)
    return scores if len(fits) == 1 else f"{scores} ({len(fits)} seeds)"


def main(words: Sequence[str] | None = None) -> int:
    """Print the tables, draw the figure, or add to the file.

    Returns:
        Exit code: 2 if a file is not as expected.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.measured",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--add", type=Path, metavar="OUT", help="folder of results that are added to the file")
    parser.add_argument("--machine", help="what they ran on")
    parser.add_argument("--commit", help="of this repository, that was measured")
    parser.add_argument("--note", default="", help="what else must be known to compare them")
    parser.add_argument("--figure", type=Path, help="PNG file to draw")
    args = parser.parse_args(words)
    if args.add and not (args.machine and args.commit):
        parser.error("--add: expected --machine and --commit with it")
    try:
        if args.add:
            fits = [*read_measured(), *results_in(args.add, args.machine, args.commit, args.note)]
            write_measured(list({one.key: one for one in fits}.values()))
        found = read_measured()
    except SamTailorError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    if args.figure:
        save_figure(figure_of(found), args.figure, dpi=110)
    print(*tables(found), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
