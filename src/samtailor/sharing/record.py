"""What a run knows about its segmenter: data, training, scores, picture; nothing that names the user's machine."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from samtailor.errors import ConfigError, DataWarning, counted
from samtailor.files import made_of, read_json, read_text
from samtailor.labels import LabelSpace
from samtailor.metrics.empty import EMPTY_RULES
from samtailor.metrics.mean_dsc import foreground_mean
from samtailor.models.practice import Practice
from samtailor.models.segmenter_model import WEIGHTS_NAME, SegmenterModel, read_weights, segmenter_told
from samtailor.reporting.table import Table, decimal
from samtailor.runs import Run
from samtailor.settings import Fraction, require

_PICTURES = ("overlay_median.png", "overlay_worst.png", "overlay_best.png")
"""The picture of a card, the most honest first; evaluation writes one of few cases only as 'best' or 'worst'."""


_BY_DEFAULT = {"tta": "none", "wide": 0.0, "windows": "auto", "bias": "saved", "refine": ""}
"""How a segmenter predicts, where `metrics.json` does not say so."""


@dataclass(frozen=True)
class Quality:
    """How good a segmenter is, as far as its run knows.

    Attributes:
        split: Where it was measured.
        dsc: Mean DSC without background; None where no class counts.
        table: Scores of each class, Markdown.
        picture: Overlay of one case of the split, if there is one.
    """

    split: Literal["test", "val"]
    dsc: float | None
    table: str
    picture: Path | None


@dataclass(frozen=True)
class Record:
    """What a run knows about its segmenter.

    Attributes:
        data: Name of the data set's folder.
        cases: Number of cases of each split.
        training: How it was trained, in one sentence.
        channels: Names of the images' channels in their order, as far as they are known.
        quality: None if it was never validated.
    """

    data: str
    cases: dict[str, int]
    training: str
    channels: tuple[str, ...]
    quality: Quality | None


def read_record(directory: Path, model: SegmenterModel, picture: bool) -> Record:
    """What a run knows about the segmenter it has fitted, which must be unchanged; `picture` if one is wanted."""
    run = Run(directory)
    config = run.read_config()
    _require_same(run, model)
    dataset = run.read_dataset()
    best = run.best_epoch()
    how = "validated best and is" if best and "dsc" in best else "was the last, chosen by no validation, and is"
    chosen = "" if best is None else f"of which epoch {best['epoch']:.0f} {how} this segmenter; "
    with made_of(run.config_file, "the settings of a training", "restore it, or share the segmenter without the run"):
        training = (
            f"up to {counted(config['epochs'], 'epoch')}, {chosen}batches of {config['batch_size']}, peak "
            f"learning rate {config['optim']['lr']:g}, {config['loss']['ce']:g} cross entropy + "
            f"{config['loss']['dice']:g} Dice, seed {config['seed']}"
        )
    data = Path(dataset["root"]).name
    return Record(
        data=data,
        cases={split: len(names) for split, names in dataset["splits"].items()},
        training=training,
        channels=tuple(dataset["channels"]),
        quality=_evaluated(run, "test", data, model.practice, picture)
        or _evaluated(run, "val", data, model.practice, picture)
        or _validated(best, model.labels),
    )


def _require_same(run: Run, model: SegmenterModel) -> None:
    """Refuse the record of another segmenter."""
    own = model.trained_state()
    file = run.segmenter_directory / WEIGHTS_NAME
    stored = read_weights(file) if file.is_file() else {}
    if own.keys() != stored.keys() or not all(torch.equal(own[name].cpu(), stored[name]) for name in own):
        raise ConfigError(
            f"run: expected the run that fitted this segmenter, found another segmenter in {run.segmenter_directory}; "
            "name its own run, or share it without one"
        )


def _evaluated(run: Run, split: Literal["test", "val"], data: str, practice: Practice, picture: bool) -> Quality | None:
    """What `samtailor evaluate` has written into the run, if it has, of this segmenter as it predicts, and data set."""
    folder = run.evaluation(split)
    metrics, table = folder / "metrics.json", folder / "metrics.md"
    if not metrics.is_file() or not table.is_file():
        return None
    with made_of(metrics, "the scores of an evaluation", "evaluate again"):
        content = read_json(metrics, dict, "evaluate again")
        dsc, source = content["mean_without_background"]["dsc"], _BY_DEFAULT | content.get("source", {})
        require({"dsc": dsc}, {"dsc": Fraction | None})
        own = _BY_DEFAULT | {"data": data, "segmenter": segmenter_told(run), "tta": practice.tta, "wide": practice.wide}
        other = next((name for name, value in own.items() if source.get(name, value) != value), None)
    if other:
        of_others = {"data": f"other data, {source.get('data')}", "segmenter": "another segmenter, or an older version"}
        found = of_others.get(other, f"{other} {source.get(other)}")
        warnings.warn(
            f"{metrics}: expected scores of this segmenter on {data}, found those of {found}: the card leaves them "
            f"out; evaluate again on {data} to have some in it",
            DataWarning,
            stacklevel=5,
        )
        return None
    pictures = [folder / name for name in _PICTURES if (folder / name).is_file()] if picture else []
    return Quality(
        split, dsc, read_text(table, "a table of scores", "evaluate again"), pictures[0] if pictures else None
    )


def _validated(best: dict[str, float] | None, labels: LabelSpace) -> Quality | None:
    """Scores of the validation during training."""
    if best is None or "dsc" not in best:
        return None
    mean = foreground_mean(best, labels.names)
    rows = [(name, decimal(best.get(f"dsc/{name}", math.nan))) for name in labels.names]
    rows.append(("mean without background", decimal(mean)))
    notes = (
        f"DSC of whole cases of the validation split in epoch {best['epoch']:.0f}, which was chosen for its score: "
        "expect less on other cases. The segmenter was not evaluated on a test split.",
        f"Absent classes, rule 'nnunet': {EMPTY_RULES['nnunet'].description}",
    )
    return Quality("val", mean, Table(("class", "DSC"), tuple(rows), notes).to_markdown(), None)
