"""What the page begins with: everything is looked at and loaded before it listens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from samtailor.errors import ConfigError
from samtailor.models.zoo import find_base
from samtailor.page.cases import open_folder
from samtailor.page.fitting import FitAgain
from samtailor.page.project import Project
from samtailor.page.prompting import PromptedBase
from samtailor.runs import CrossValidation, Run
from samtailor.segmenter import load
from samtailor.settings import WHOLE, AnyPath, Device


def begun(
    run: AnyPath | None,
    data: AnyPath | None,
    base: str | None,
    classes: Sequence[str] | None,
    out: AnyPath | None,
    device: Device,
    weights: AnyPath | None,
) -> tuple[Project, FitAgain]:
    """The project of a call of `samtailor app`, and what fits it again.

    Raises:
        SamTailorError: If the run, the data or a setting is not as expected.
    """
    if run is None and base is None:
        found = "neither; name a run, or take --base lite-medsam with a folder of images"
        raise ConfigError(f"run: expected a run or --base, found {found}")
    if base is not None:
        find_base(base)
        if data is None:
            raise ConfigError("data: expected a folder of images with --base, found none; name it")
        folder = open_folder(Path(data), classes)
        project = Project(folder, base=PromptedBase(base, weights, device), device=device)
        return project, FitAgain(project, Path(out or "runs"), base, weights)
    assert run is not None
    segmenter = load(run, weights)
    place = Path(run)
    trained = _trained(place)
    root = Path(data) if data is not None else _data_of(trained)
    seen = trained.selection if trained else WHOLE
    # A fold is that of a training; the page shows the splits of the folder.
    images = (
        None if root is None else open_folder(root, classes, segmenter.labels, seen._replace(fold=None, folds=None))
    )
    project = Project(images, segmenter, run, device=device)
    runs = Path(out) if out is not None else place.resolve().parent if place.exists() else Path("runs")
    return project, FitAgain(project, runs, segmenter.model.base.base, weights or segmenter.model.base.file)


def _trained(place: Path) -> Run | None:
    """The run that is shown, the first of a cross-validation; None if it is a segmenter alone."""
    folds = CrossValidation(place)
    run = folds.run(0) if folds.is_there else Run(place)
    return run if run.is_there else None


def _data_of(run: Run | None) -> Path | None:
    """The data that a run was trained on, if it is still there."""
    root = Path(str(run.read_dataset()["root"])) if run else None
    return root if root and root.is_dir() else None
