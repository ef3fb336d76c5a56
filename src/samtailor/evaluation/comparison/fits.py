"""What the trainings behind compared results were: settings that differ, time, parameters, and pictures of cases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open

from samtailor.errors import FileError
from samtailor.evaluation.comparison.results import ScoredResult
from samtailor.reporting.page import Picture
from samtailor.reporting.table import UNDEFINED, Table
from samtailor.runs import Run
from samtailor.settings import by_dotted_name

_RESTORE = "restore the file, or compare the metrics.json files outside of their runs"
_OWN = ("data", "out")
"""Settings that say where, not how."""
_SHOWN = {"best": "best case", "median": "median case", "worst": "worst case"}


def run_of(result: ScoredResult) -> Run | None:
    """The run that a result was scored in; None for masks of other tools and scores written elsewhere."""
    folder = result.file.resolve().parent  # RUN/evaluation/SPLIT
    run = Run(folder.parent.parent)
    return run if run.is_there and folder.is_relative_to(run.directory / "evaluation") else None


def fits_table(results: Sequence[ScoredResult]) -> Table | None:
    """Time, trained parameters and differing settings of the results' trainings; None if there is none."""
    runs = {result.name: run_of(result) for result in results}
    if not any(runs.values()):
        return None
    histories = [None if run is None else run.history() for run in runs.values()]
    settings = {
        name: {key: str(value) for key, value in by_dotted_name(run.read_config())} if run else {}
        for name, run in runs.items()
    }
    rows = [
        ("epochs trained", *(UNDEFINED if rows is None else str(len(rows)) for rows in histories)),
        ("time in epochs", *map(_time, histories)),
        ("trained parameters", *(_parameters(run) for run in runs.values())),
        *_differing(settings),
    ]
    notes = ("Settings that differ among the runs, and what their trainings took, as their files tell.",)
    return Table(("fit", *runs), tuple(rows), notes)


def pictures_of(results: Sequence[ScoredResult]) -> list[Picture]:
    """Image, truth and prediction of the best, the median and the worst case of each result that has them."""
    return [
        Picture(
            f"cases/{place}-{kind}.png",
            (result.file.parent / f"overlay_{kind}.png").read_bytes(),
            f"Image, truth and prediction of the {what} of {result.name}",
            f"{result.name}: {what}",
        )
        for place, result in enumerate(results, start=1)
        for kind, what in _SHOWN.items()
        if (result.file.parent / f"overlay_{kind}.png").is_file()
    ]


def _differing(settings: Mapping[str, Mapping[str, str]]) -> list[tuple[str, ...]]:
    """A row for each setting that is not the same in all runs."""
    names = dict.fromkeys(name for of_run in settings.values() for name in of_run if name not in _OWN)
    rows = [(name, *(of_run.get(name, UNDEFINED) for of_run in settings.values())) for name in names]
    known = [place for place, of_run in enumerate(settings.values(), start=1) if of_run]
    return [row for row in rows if len({row[place] for place in known}) > 1]


def _time(history: Sequence[Mapping[str, float]] | None) -> str:
    """Hours or minutes of all epochs; validations and the preparation of data come to it."""
    if history is None:
        return UNDEFINED
    minutes = sum(row.get("seconds", 0.0) for row in history) / 60
    return f"{minutes:.1f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def _parameters(run: Run | None) -> str:
    file = Path() if run is None else run.segmenter_directory / "weights.safetensors"
    if not file.is_file():
        return UNDEFINED
    try:
        with safe_open(file, "numpy") as weights:
            count = sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise FileError(file, "the trained parameters of a segmenter (safetensors)", str(error), _RESTORE) from error
    return f"{count / 1e6:.2f} million"
