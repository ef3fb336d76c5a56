"""What an experiment is: columns and schedules, read from a small YAML file beside this module."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samtailor.data.dataset import Split
from samtailor.data.named import NAMED, DatasetName
from samtailor.errors import ConfigError
from samtailor.files import read_yaml

Settings = Mapping[str, Any]
"""Nested settings, as in a YAML file."""

AVERAGE = "average"
"""Name of the report's last row, the mean over all classes with the background."""

UPPER_BOUND = "upper bound, uses the ground truth"
"""What is said wherever a zero-shot number stands: the mask is chosen by its Dice with the truth."""

_TITLES = {"sam": "SAM", "sam2": "SAM2", "adapter": "SAM Adapter", "head-only": "SAM head only", "full": "SAM full"}
_ZERO_SHOT_CELLS = {"sam": "oracle", "sam2": "oracle-sam2"}


@dataclass(frozen=True)
class Column:
    """A column of the report's tables: a base as it is, or a fit of it by one recipe."""

    name: str

    def __post_init__(self) -> None:
        if self.name not in _TITLES and not self._rank:
            raise ConfigError(
                f"columns: expected sam, sam2, adapter, lora-RANK (lora-4), head-only or full; found '{self.name}'"
            )

    @property
    def _rank(self) -> int:
        """Rank of LoRA; 0 if it is not LoRA."""
        match = re.fullmatch(r"lora-([1-9]\d*)", self.name)
        return int(match[1]) if match else 0

    @property
    def is_zero_shot(self) -> bool:
        """Whether nothing is fitted."""
        return self.name in _ZERO_SHOT_CELLS

    @property
    def cell(self) -> str:
        """Name of its directory."""
        return _ZERO_SHOT_CELLS.get(self.name, self.name)

    @property
    def title(self) -> str:
        """What the report calls it."""
        return _TITLES.get(self.name, f"SAM LoRA (r={self._rank})")

    @property
    def settings(self) -> Settings:
        """What a fitted column itself sets of a training."""
        return {"recipe": "lora", "rank": self._rank} if self._rank else {"recipe": self.name}


@dataclass(frozen=True)
class Source:
    """A data set that an experiment takes, the split that is scored, and settings of the training that belong to it."""

    name: DatasetName
    split: Split
    train: Settings

    @property
    def title(self) -> str:
        """What people call it."""
        return NAMED[self.name].title


@dataclass(frozen=True)
class Schedule:
    """How the columns are trained and tried, and what the schedule is made for, in words."""

    text: str
    train: Settings
    baseline: Settings


@dataclass(frozen=True)
class Experiment:
    """A table or figure of the report.

    Attributes:
        name: 'table5', 'figure6', ...
        report: What it is in the report: 'Table 5'.
        title: Its heading there.
        cells: Table whose cells it is made of; tables and figures may share them.
        base: The report's base.
        base2: The base of the SAM 2 column.
        datasets: Data sets it takes, by their names; the first is the report's.
        columns: Its columns.
        schedule: Schedule for the report's base.
        bases: What other bases change of the schedule.
        published: The report's numbers, of each column and class.
        printed: The report's names of classes that are called otherwise here.
        field: What others publish on the data set, under its own protocol.
    """

    name: str
    report: str
    title: str
    cells: str
    base: str
    base2: str
    datasets: Mapping[DatasetName, Source]
    columns: tuple[Column, ...]
    schedule: Schedule
    bases: Mapping[str, Settings]
    published: Mapping[str, Mapping[str, float]]
    printed: Mapping[str, str]
    field: tuple[Mapping[str, Any], ...]

    @property
    def is_figure(self) -> bool:
        """Whether pictures, and no table, are what is asked for."""
        return self.name.startswith("figure")

    @property
    def own_data(self) -> Source:
        """The report's data set."""
        return next(iter(self.datasets.values()))

    def schedule_for(self, dataset: DatasetName, base: str, own: Path | None = None) -> Schedule:
        """Schedule for a data set and a base; the user's own YAML file, with 'train' and 'baseline', counts most."""
        text = self.schedule.text
        overlays: list[Settings] = [{"train": self.datasets[dataset].train}]
        if base in self.bases:
            text = self.bases[base]["schedule"]
            overlays.append(self.bases[base])
        elif base != self.base:
            text = f"{text} (made for {self.base})"
        if own is not None:
            text = f"{own}, on top of: {text}"
            overlays.append(_read_own(own))
        train, baseline = self.schedule.train, self.schedule.baseline
        for overlay in overlays:
            train = merged(train, overlay.get("train", {}))
            baseline = merged(baseline, overlay.get("baseline", {}))
        return Schedule(text, train, baseline)


def load_experiment(name: str) -> Experiment:
    """Read the YAML file of an experiment, and of the one it extends."""
    content = _read(name)
    schedule = Schedule(content.pop("schedule"), content.pop("train"), content.pop("baseline"))
    datasets = {key: Source(key, **{"train": {}, **value}) for key, value in content.pop("datasets").items()}
    columns = tuple(Column(column) for column in content.pop("columns"))
    content = {"bases": {}, "printed": {}, **content, "field": tuple(content.pop("field", ()))}
    return Experiment(name, schedule=schedule, datasets=datasets, columns=columns, **content)


def merged(below: Settings, above: Settings) -> dict[str, Any]:
    """Nested settings of both; where both name one, that of `above`."""
    result = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result


def _read(name: str) -> dict[str, Any]:
    """Content of an experiment's file on top of what it extends."""
    content = read_yaml(Path(__file__).parent / f"{name}.yaml", "install samtailor again")
    parent = content.pop("extends", None)
    return merged(_read(parent), content) if parent else content


def _read_own(path: Path) -> dict[str, Any]:
    """Content of the user's file."""
    content = read_yaml(path, "give --settings a YAML file with the keys train and baseline")
    if not set(content) <= {"train", "baseline"}:
        found = ", ".join(content)
        raise ConfigError(f"settings: expected the keys train and baseline in {path}, found {found}; fix the file")
    return content
