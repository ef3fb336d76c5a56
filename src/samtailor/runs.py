"""The directory of a run: where its config, data set, checkpoints, metrics and segmenter lie."""

from __future__ import annotations

import base64
import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from html import escape
from itertools import accumulate
from pathlib import Path
from shlex import quote
from typing import Any, TypeVar

import yaml

from samtailor.alone import alone
from samtailor.errors import ConfigError, counted, listed
from samtailor.files import atomic, made_of, read_csv, read_json, read_yaml, write_json, write_text
from samtailor.settings import Count, Folds, Index, Recognition, Selection, Split, require

COLUMNS = ("epoch", "loss", "lr", "seconds", "waited")
"""What the history has of every epoch, whether it was validated or not."""

_RESTORE = "restore it: samtailor wrote it when the run began"

Row = TypeVar("Row", bound=Mapping[str, float])


def best_of(rows: Sequence[Row]) -> Row | None:
    """The epoch whose segmenter is kept: that of the highest smoothed validation DSC, of equals the first.

    Where no validation has found anything, or could, since no validation case has foreground, there is nothing to
    choose by: the last epoch is kept.
    """
    best = _best_validated(rows)
    return best if best and best["dsc"] > 0 else rows[-1] if rows else None


def _best_validated(rows: Sequence[Row]) -> Row | None:
    """The first of the epochs with the highest smoothed validation DSC; None before the first validation."""
    validated = [row for row in rows if "dsc" in row]
    scores = smoothed([row["dsc"] for row in validated])
    return validated[scores.index(max(scores))] if scores else None


def smoothed(scores: Iterable[float]) -> list[float]:
    """Means of the scores so far, of which each score counts half, and those before it together as much.

    Few cases tell by chance that an early epoch is the best, though later ones, with smaller learning rates, are as
    good. nnU-Net keeps its best checkpoint so, with a tenth for each of its 1000 epochs.
    """
    return list(accumulate(scores, lambda mean, score: (mean + score) / 2))


def is_over(rows: Sequence[Mapping[str, float]], epochs: int, patience: int | None) -> bool:
    """Whether a training with that history has ended.

    It has after its last epoch, and after a validation that lies `patience` epochs or more behind the first with the
    highest smoothed DSC (see `best_of`). Validations that can measure nothing use up no patience.
    """
    if not rows or rows[-1]["epoch"] >= epochs:
        return bool(rows)
    best = _best_validated(rows)
    if patience is None or best is None:
        return False
    last = next(row for row in reversed(rows) if "dsc" in row)
    return last["epoch"] - best["epoch"] >= patience


@dataclass(frozen=True)
class RunWarning:
    """Why a training that has ended is not to be trusted.

    Attributes:
        found: What was found.
        causes: Likely causes.
        fixes: What may help against each of them.
    """

    found: tuple[str, ...]
    causes: tuple[str, ...]
    fixes: tuple[str, ...]

    def __str__(self) -> str:
        reasons = [f"  {cause}\n    {fix}" for cause, fix in zip(self.causes, self.fixes, strict=True)]
        found = [f"  {text}" for text in self.found]
        title = "Warning: this training did not learn what it was to learn."
        return "\n".join([title, *found, "Likely causes, each with what may help:", *reasons])

    def to_json(self) -> dict[str, list[str]]:
        """Plain values by name."""
        return {name: list(texts) for name, texts in asdict(self).items()}


class Run:
    """One training on disk."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        """Holds everything of the run."""
        self.config_file = directory / "config.yaml"
        """Resolved config; `samtailor train --config` repeats it."""
        self.dataset_file = directory / "dataset.json"
        """Label space, splits and fingerprint of the data."""
        self.last_checkpoint = directory / "checkpoints" / "last.ckpt"
        """Where training goes on after an interruption."""
        self.best_checkpoint = directory / "checkpoints" / "best.ckpt"
        """Training at the end of the epoch whose segmenter is kept."""
        self.segmenter_directory = directory / "segmenter"
        """The segmenter of the epoch that is kept (see `best_of`)."""
        self.history_file = directory / "metrics.csv"
        """Loss, learning rate, seconds and validation scores of every epoch, as CSV."""
        self.curves_file = directory / "curves.png"
        """Picture of the loss and the validation scores over the epochs."""
        self.warning_file = directory / "warning.json"
        """Why the training is not to be trusted; not there where nothing speaks against it."""
        self.tuning_directory = directory / "tuning"
        """What `samtailor tune-bias` and `tune-refinement` tried, as tables and as plain values."""
        self.bias_file = self.tuning_directory / "bias.json"
        """What `samtailor tune-bias` found; written last, when the segmenter has it."""
        self.refinement_file = self.tuning_directory / "refinement.json"
        """What `samtailor tune-refinement` found; written last, when the segmenter has it."""

    def __repr__(self) -> str:
        best = self.best_epoch()
        score = f", validation DSC {best['dsc']:.4f}" if best and "dsc" in best else ""
        return f"<Run in {self.directory}: {counted(len(self.history()), 'epoch')}{score}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the curves, once there are some, and what the command line says."""
        curves = ""
        if self.curves_file.is_file():
            content = base64.b64encode(self.curves_file.read_bytes()).decode("ascii")
            curves = f'<img src="data:image/png;base64,{content}" alt="curves of loss and validation scores">\n'
        return f"{curves}<pre>{escape(str(self))}</pre>"

    def __str__(self) -> str:
        best = self.best_epoch()
        run, data = quote(str(self.directory)), quote(str(self.read_config().get("data"))) if self.is_there else "DATA"
        splits = self.read_dataset()["splits"] if self.dataset_file.is_file() else {}
        split = next((name for name in ("test", "val") if splits.get(name)), "test")
        lines: list[str] = []
        if best and "dsc" in best:
            lines.append(f"kept              epoch {best['epoch']:.0f}, validation mean DSC {best['dsc']:.4f}")
        elif best:
            lines.append(
                f"no validation     could tell which is best: the segmenter is that of epoch {best['epoch']:.0f}"
            )
        lines += [
            f"segmenter         {self.segmenter_directory}",
            f"curves            {self.curves_file}",
        ]
        if warning := self.warning:
            lines += [f"warning           {text}" for text in warning.found]
            lines.append(f"                  likely causes: {self.warning_file}")
        else:
            lines += [
                f"next              samtailor evaluate {run} {data} --split {split}",
                f"                  samtailor predict {run} INPUT --out OUT",
            ]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Plain values: where everything is, the numbers of every epoch, and what speaks against the training."""
        return {
            "directory": str(self.directory),
            "best_epoch": self.best_epoch(),
            "history": self.history(),
            "warning": warning.to_json() if (warning := self.warning) else None,
        }

    def holds(self, place: Path) -> bool:
        """Whether a place is the directory itself, or where a training writes in it, if it is that of a run."""
        own = (self.last_checkpoint.parent, self.segmenter_directory, self.directory / "tensorboard")
        if not self.is_there or not (self.dataset_file.is_file() or any(folder.is_dir() for folder in own)):
            return False
        return place == self.directory or any(place.is_relative_to(folder) for folder in own)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process trains into the directory, which is made if need be, while the block runs."""
        self.directory.mkdir(parents=True, exist_ok=True)
        refusal = (
            f"{self.directory}: expected nobody at work there, found another training; wait until it has ended, or "
            "name another directory"
        )
        with alone(self.directory, refusal):
            yield

    def evaluation(self, split: str) -> Path:
        """Folder with the scores, tables and figures of a split."""
        return self.directory / "evaluation" / split

    @property
    def is_there(self) -> bool:
        """Whether the directory holds a run."""
        return self.config_file.is_file()

    def history(self) -> list[dict[str, float]]:
        """Numbers of each epoch; none before the first has ended.

        Returns:
            'epoch', 'loss', 'lr', 'seconds', 'waited', and where it was validated 'dsc' and 'dsc/CLASS'.
        """
        if not self.history_file.is_file():
            return []
        fix = f"delete it, and samtailor resume {quote(str(self.directory))} writes it again"
        rows = read_csv(self.history_file, ("epoch",), fix)
        with made_of(self.history_file, "numbers of every epoch", fix):
            return [{name: float(value) for name, value in row.items() if value} for row in rows]

    def write_history(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Save the rows of all epochs, under all names that occur in any."""
        names = list(dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)]))
        with atomic(self.history_file) as scratch, scratch.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, names, restval="")
            writer.writeheader()
            writer.writerows(rows)

    @property
    def warning(self) -> RunWarning | None:
        """Why the training is not to be trusted; None where nothing speaks against it, or before it has ended."""
        if not self.warning_file.is_file():
            return None
        content = read_json(self.warning_file, dict, "delete it")
        with made_of(self.warning_file, "what speaks against a training", "delete it"):
            require(content, dict.fromkeys(("found", "causes", "fixes"), list[str]))
            return RunWarning(**{name: tuple(content[name]) for name in ("found", "causes", "fixes")})

    def write_warning(self, warning: RunWarning | None) -> None:
        """Save what speaks against the training, in place of what did before."""
        if warning is None:
            self.warning_file.unlink(missing_ok=True)
        else:
            write_json(self.warning_file, warning.to_json())

    def best_epoch(self) -> dict[str, float] | None:
        """The epoch whose segmenter is kept (see `best_of`); None before the first has ended."""
        return best_of(self.history())

    def is_finished(self) -> bool:
        """Whether nothing is left to train: the last epoch is behind it, or patience has run out."""
        epochs, patience = self._settings(epochs=Count, patience=Count | None)
        over = is_over(self.history(), epochs, patience)
        return over and self.segmenter_directory.is_dir()

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Save the resolved config, plain values by name."""
        write_text(self.config_file, yaml.safe_dump(dict(config), sort_keys=False))

    def read_config(self) -> dict[str, Any]:
        """The resolved config, plain values by name; refuses a directory that is no run."""
        if not self.is_there:
            CrossValidation(self.directory).require_none()
            raise ConfigError(
                f"{self.directory}: expected a run with {self.config_file.name}, found none; check the path"
            )
        return read_yaml(self.config_file, _RESTORE)

    def _settings(self, **kinds: Any) -> list[Any]:
        """Settings of the config, by their names, of these types; None where an older version wrote none."""
        config = self.read_config()
        with made_of(self.config_file, "the settings of a training", _RESTORE):
            found = {name: config.get(name) for name in kinds}
            require(found, kinds)
            return list(found.values())

    @property
    def default_split(self) -> Split:
        """What is evaluated by default."""
        return "test"

    @property
    def selection(self) -> Selection:
        """What of the labelled folder it was trained on."""
        kinds = {"fold": Index | None, "dataset": Recognition | None, "bands": str | None, "folds": Folds | None}
        fold, dataset, bands, folds = self._settings(**kinds)
        if dataset is None:  # written by a version that took fold 0 where nobody had chosen one
            return Selection(fold or None)
        return Selection(fold, dataset, bands, folds)

    def write_dataset(self, content: Mapping[str, Any]) -> None:
        """Save what the run was trained on."""
        write_json(self.dataset_file, content)

    def read_dataset(self) -> dict[str, Any]:
        """What the run was trained on: 'root', 'labels', 'splits', 'fingerprint', 'channels' (none in older runs)."""
        content: dict[str, Any] = read_json(self.dataset_file, dict, _RESTORE)
        with made_of(self.dataset_file, "what a run was trained on", _RESTORE):
            content.setdefault("channels", [])
            kinds = {"channels": list[str], "root": str, "labels": dict, "splits": dict, "fingerprint": str}
            require({name: content[name] for name in kinds}, kinds)
            require(content["splits"], dict.fromkeys(content["splits"], list[str]))
        return content


class CrossValidation:
    """A cross-validation on disk: a folder of runs, each of which has left out another fold of the same cases."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        """Holds the runs `fold-0`, `fold-1`, ..."""
        self.settings_file = directory / "cross-validation.yaml"
        """What the user set, as `config.yaml` would hold it; not there where each fold was trained by itself."""

    def __repr__(self) -> str:
        return f"<CrossValidation in {self.directory}: {len(self.trained)} of {self.count} folds>"

    def __str__(self) -> str:
        folder = quote(str(self.directory))
        lines: list[str] = []
        for run in self.trained:
            best, name = run.best_epoch(), run.directory.name
            if best and "dsc" in best:
                lines.append(f"{name:<18}kept: epoch {best['epoch']:.0f}, validation mean DSC {best['dsc']:.4f}")
            if warning := run.warning:
                lines += [f"{name:<18}warning: {text}" for text in warning.found]
        data = quote(str(self.run(0).read_config().get("data")))
        lines += [
            f"next              samtailor evaluate {folder} {data}",
            f"                  samtailor predict {folder} INPUT --out OUT",
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """What a notebook shows: what the command line says."""
        return f"<pre>{escape(str(self))}</pre>"

    def to_json(self) -> dict[str, Any]:
        """Plain values: where everything is, and the numbers of each fold."""
        return {"directory": str(self.directory), "folds": [run.to_json() for run in self.trained]}

    def run(self, fold: int) -> Run:
        """The run that has left out a fold."""
        return Run(self.directory / f"fold-{fold}")

    @property
    def is_there(self) -> bool:
        """Whether the directory holds the first of such runs."""
        return self.run(0).is_there

    @property
    def count(self) -> int:
        """How many folds there are to be; where the first run does not tell, as many as there are."""
        folds = self.selection.folds
        return folds or sum(Run(folder).is_there for folder in self.directory.glob("fold-*"))

    @property
    def runs(self) -> tuple[Run, ...]:
        """All of them, begun or not, in order."""
        return tuple(self.run(fold) for fold in range(self.count))

    @property
    def trained(self) -> tuple[Run, ...]:
        """Those whose training has ended."""
        return tuple(run for run in self.runs if run.is_there and run.is_finished())

    @property
    def default_split(self) -> Split:
        """What is evaluated by default: the cases that the folds have left out."""
        return "val"

    @property
    def selection(self) -> Selection:
        """What of the labelled folder its first fold was trained on."""
        return self.run(0).selection

    def require_trained(self) -> tuple[Run, ...]:
        """All runs.

        Raises:
            ConfigError: If the training of one has not ended.
        """
        runs = self.runs
        trained = {run.directory for run in self.trained}
        if names := [run.directory.name for run in runs if run.directory not in trained]:
            expected = f"the {len(runs)} runs of a cross-validation, all trained"
            fix = f"go on with samtailor resume {quote(str(self.directory))}"
            raise ConfigError(f"{self.directory}: expected {expected}; found {listed(names)} unfinished; {fix}")
        return runs

    def require_none(self) -> None:
        """Refuse a cross-validation where one run is wanted.

        Raises:
            ConfigError: Naming a run.
        """
        if self.is_there:
            found = f"the {self.count} of a cross-validation"
            raise ConfigError(f"{self.directory}: expected one run, found {found}; name one: {self.run(0).directory}")

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        """Save what the user set, plain values by name."""
        write_text(self.settings_file, yaml.safe_dump(dict(settings), sort_keys=False))

    def read_settings(self) -> dict[str, Any] | None:
        """What the user set, plain values by name; None where each fold was trained by itself."""
        return read_yaml(self.settings_file, _RESTORE) if self.settings_file.is_file() else None

    def evaluation(self, split: str) -> Path:
        """Folder with the scores, tables and figures of a split."""
        return self.directory / "evaluation" / split


def found_at(directory: Path) -> Run | CrossValidation:
    """What lies in a directory: a cross-validation, or else a run."""
    folds = CrossValidation(directory)
    return folds if folds.is_there else Run(directory)
