"""What an experiment is: columns and schedules, read from a small YAML file beside this module."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from samtailor.data.dataset import Split
from samtailor.data.named import NAMED, DatasetName
from samtailor.errors import ConfigError, did_you_mean
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
    """A column of the report's tables: a base as it is, or a fit of it by one recipe.

    Attributes:
        name: What it is called.
        own: What a fit of an experiment beyond the report's tables sets of a training; its name says nothing then.
    """

    name: str
    own: Settings | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.own is None and self.name not in _TITLES and not self._rank:
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
        return self.own is None and self.name in _ZERO_SHOT_CELLS

    @property
    def cell(self) -> str:
        """Name of its directory."""
        return _ZERO_SHOT_CELLS.get(self.name, self.name)

    @property
    def title(self) -> str:
        """What the report calls it."""
        if self.own is not None:
            return self.name
        return _TITLES.get(self.name, f"SAM LoRA (r={self._rank})")

    @property
    def settings(self) -> Settings:
        """What a fitted column itself sets of a training."""
        if self.own is not None:
            return self.own
        return {"recipe": "lora", "rank": self._rank} if self._rank else {"recipe": self.name}


@dataclass(frozen=True)
class ScoredData:
    """A data set that an experiment takes, and the split that is scored."""

    name: DatasetName
    split: Split

    @property
    def title(self) -> str:
        """What people call it."""
        return NAMED[self.name].title


@dataclass(frozen=True)
class Schedule:
    """How the columns are trained and tried, and what the schedule is made for, in words.

    Attributes:
        text: What it is made for.
        train: Settings of all trainings.
        baseline: Settings of the zero-shot columns.
        fits: What single fits set beyond `train`, by their names, where they are no columns of the report.
        refinements: Steps between network and label by the names they have in the table, where it is about these.
        sweep: Outline prompts that are tried, where it is about these: on which 'fit', and with how many 'points'.
        damage: What of the data is scored under which 'corruptions' ('cases', 'slices', as `samtailor.robustness`
            takes them), where it is about these.
    """

    text: str
    train: Settings
    baseline: Settings
    fits: Settings = field(default_factory=dict)
    refinements: Settings = field(default_factory=dict)
    sweep: Settings = field(default_factory=dict)
    damage: Settings = field(default_factory=dict)

    def column(self, name: str) -> Column:
        """The column of a name: one of the fits, or if there are none one of the report's.

        Raises:
            ConfigError: If there is none.
        """
        if self.fits and name not in self.fits:
            raise ConfigError(f"columns: expected some of {', '.join(self.fits)}; found '{name}'")
        return Column(name, self.fits.get(name))


_PARTS = ("train", "baseline", "fits", "refinements", "sweep", "damage")
"""What data sets, other bases and the user's own file may change of a schedule."""


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
        columns: Names of its columns.
        schedule: Schedule for the report's base.
        changes: What its data sets change of the schedule, by their names.
        bases: What other bases change of the schedule.
        published: The report's numbers, of each column and class.
        printed: The report's names of classes that are called otherwise here.
        field: What others publish on the data set, under its own protocol.
        table: Names of the refinements that are tried on each fit, where it is about these.
    """

    name: str
    report: str
    title: str
    cells: str
    base: str
    base2: str
    datasets: Mapping[DatasetName, ScoredData]
    columns: tuple[str, ...]
    schedule: Schedule
    changes: Mapping[str, Settings]
    bases: Mapping[str, Settings]
    published: Mapping[str, Mapping[str, float]]
    printed: Mapping[str, str]
    field: tuple[Mapping[str, Any], ...]
    table: Mapping[str, Sequence[str]]

    @property
    def is_figure(self) -> bool:
        """Whether pictures, and no table, are what is asked for."""
        return self.name.startswith("figure")

    @property
    def own_data(self) -> ScoredData:
        """The report's data set."""
        return next(iter(self.datasets.values()))

    def schedule_for(self, dataset: DatasetName, base: str, own: Path | None = None) -> Schedule:
        """Schedule for a data set and a base.

        The user's own YAML file counts most. It has some of the keys of a schedule, and under 'datasets' the same for
        single data sets.
        """
        text = self.schedule.text
        changes: list[Settings] = [{"datasets": self.changes}]
        if base in self.bases:
            text = self.bases[base]["schedule"]
            changes.append(self.bases[base])
        elif base != self.base:
            text = f"{text} (made for {self.base})"
        if own is not None:
            text = f"{own}, on top of: {text}"
            changes.append(_read_own(own))
        parts = {part: getattr(self.schedule, part) for part in _PARTS}
        for change in changes:
            for layer in (change, change.get("datasets", {}).get(dataset, {})):
                parts = {part: merged(below, layer.get(part, {})) for part, below in parts.items()}
        return Schedule(text, **parts)


def load_experiment(name: str) -> Experiment:
    """Read the YAML file of an experiment, and of the one it extends."""
    content = _read(name)
    parts = {part: content.pop(part, {}) for part in _PARTS}
    schedule = Schedule(content.pop("schedule"), **parts)
    datasets: dict[DatasetName, ScoredData] = {}
    changes = content.pop("datasets")
    for key, change in changes.items():
        datasets[key] = ScoredData(key, change["split"])
    columns = tuple(content.pop("columns"))
    absent: Settings = {"base2": "", "bases": {}, "published": {}, "printed": {}, "table": {}}
    content = {**absent, **content, "field": tuple(content.pop("field", ()))}
    return Experiment(name, schedule=schedule, datasets=datasets, changes=changes, columns=columns, **content)


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
    keys = f"{', '.join(_PARTS)} and datasets"
    content = read_yaml(path, f"give --settings a YAML file with some of the keys {keys}")
    if not set(content) <= {*_PARTS, "datasets"}:
        found = ", ".join(content)
        raise ConfigError(f"settings: expected some of the keys {keys} in {path}, found {found}; fix the file")
    _require_named(path, "datasets", content.get("datasets", {}), get_args(DatasetName))
    for name, change in content.get("datasets", {}).items():
        _require_named(path, name, change, _PARTS)
    for layer in (content, *content.get("datasets", {}).values()):
        for part in _PARTS:
            _require_named(path, part, layer.get(part, {}))
    return content


def _require_named(path: Path, name: str, content: Any, known: Collection[str] | None = None) -> None:
    """Refuse what is no settings by name, or has names that nothing would look at."""
    if not isinstance(content, Mapping):
        found = "nothing" if content is None else f"{content!r:.80}"
        raise ConfigError(f"settings: expected settings by name under '{name}' in {path}, found {found}; fix the file")
    if known is not None and (unknown := next((key for key in content if key not in known), None)) is not None:
        meant = did_you_mean(str(unknown), known)
        expected = f"some of {', '.join(known)} under '{name}' in {path}"
        raise ConfigError(f"settings: expected {expected}, found '{unknown}'{meant}; fix the file")
