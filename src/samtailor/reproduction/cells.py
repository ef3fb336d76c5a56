"""Cells of an experiment: each a normal run or a normal baseline in a directory of its own."""

from __future__ import annotations

import reprlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Literal

from samtailor.data.dataset import Split
from samtailor.errors import ConfigError, counted
from samtailor.files import read_csv
from samtailor.labels import LabelSpace
from samtailor.metrics.protocols import ProtocolName
from samtailor.outputs import require_new
from samtailor.reproduction.definition import Column, Settings
from samtailor.runs import Run
from samtailor.training.settings import TrainConfig
from samtailor.zeroshot.settings import BaselineConfig

State = Literal["done", "interrupted", "missing"]

MAIN: ProtocolName = "samtailor"
"""Protocol of the comparison with the zero-shot columns; every cell is scored by it."""

_OF_THE_MACHINE = ("data", "out", "device")
"""Settings of a training that may differ where everything else is the same."""


@dataclass(frozen=True)
class _Cell(ABC):
    """What a training and a base that is tried without have in common: its column, and its settings, resolved."""

    column: Column
    config: TrainConfig | BaselineConfig

    what: ClassVar[str]

    @property
    def run(self) -> Run:
        """Where everything of it lies."""
        return Run(Path(self.config.out))

    def state(self) -> State:
        """How far it is; refuses a directory that holds another cell, or something else."""
        if not self.run.is_there:
            require_new(self.run.directory)
            return "missing"
        if different := differences(*self._found_and_wanted()):
            raise ConfigError(
                f"{self.run.directory}: expected a {self.what} with the settings of this experiment, found another one "
                f"({'; '.join(different[:4])}); name another --out, or delete that directory"
            )
        return "done" if self._is_finished() else "interrupted"

    @abstractmethod
    def _found_and_wanted(self) -> tuple[Settings, Settings]:
        """Settings that are written in the directory, and those that it should have."""

    @abstractmethod
    def _is_finished(self) -> bool:
        """Whether nothing is left to do."""

    @abstractmethod
    def evaluation(self, split: Split) -> Path:
        """Folder with its scores on a split by the protocol of the comparison."""

    def predictions(self, split: Split) -> Path:
        """Folder with the label maps of a split."""
        return self.evaluation(split) / "predictions"


@dataclass(frozen=True)
class Fit(_Cell):
    """One training, and the cases of each split and the classes that it is made with."""

    config: TrainConfig
    splits: Mapping[str, Sequence[str]]
    classes: Sequence[str]

    what = "training"

    def evaluation(self, split: Split, protocol: ProtocolName = MAIN) -> Path:
        """Folder with its scores on a split by a protocol."""
        return self.run.evaluation(split if protocol == MAIN else f"{split}-{protocol}")

    @property
    def seconds(self) -> float:
        """Wall time of all epochs, validation included."""
        return sum(row["seconds"] for row in self.run.history())

    def _found_and_wanted(self) -> tuple[Settings, Settings]:
        """Without what differs between machines: where everything lies, and what computes.

        The data are the same if classes, cases and splits are.
        """
        # An older version wrote fewer settings: those it did not know had their defaults.
        found = TrainConfig.from_plain(self.run.read_config(), str(self.run.config_file)).to_plain()
        wanted = self.config.to_plain()
        for settings in (found, wanted):
            for name in _OF_THE_MACHINE:
                settings[name] = None
        known = self.run.read_dataset()
        found["classes"], wanted["classes"] = list(LabelSpace.from_json(known["labels"]).names), list(self.classes)
        found["splits"], wanted["splits"] = ({k: list(v) for k, v in s.items()} for s in (known["splits"], self.splits))
        return found, wanted

    def _is_finished(self) -> bool:
        return self.run.is_finished()

    def detail(self) -> str:
        """How far it is, in words."""
        rows, epochs = self.run.history(), counted(self.config.epoch_count, "epoch")
        return f"{len(rows)} of {epochs}" if rows else f"{epochs} to train"

    def make(self) -> None:
        """Train it, or finish its training; while another process is at it, that is refused."""
        from samtailor.training.train import resume, train

        match self.state():
            case "missing":
                train(**vars(self.config))
            case "interrupted":
                self.run.write_config(self.config.to_plain())  # it may have begun on another machine
                resume(self.run.directory)


@dataclass(frozen=True)
class ZeroShot(_Cell):
    """One base tried without fitting: segment everything, and take for each class the mask with the highest Dice.

    Attributes:
        fingerprint: Of the data set (see `Dataset.fingerprint`).
    """

    config: BaselineConfig
    fingerprint: str

    what = "baseline"

    def evaluation(self, split: Split) -> Path:
        """Folder with its scores on its split."""
        return self.run.directory

    @property
    def slices_file(self) -> Path:
        """Which slices it was tried on, with their scores and times."""
        return self.run.directory / "slices.csv"

    @property
    def seconds(self) -> float:
        """Wall time of all slices."""
        return sum({(row["case"], row["slice"]): float(row["seconds"]) for row in self._rows()}.values())

    def slices(self) -> dict[str, list[int]]:
        """Slices of each case that it was tried on."""
        slices: dict[str, list[int]] = {}
        for name, index in sorted({(row["case"], int(row["slice"])) for row in self._rows()}):
            slices.setdefault(name, []).append(index)
        return slices

    def _rows(self) -> list[dict[str, str]]:
        columns = ("case", "slice", "seconds")
        return read_csv(self.slices_file, columns, "delete its folder, and give the command again")

    def _found_and_wanted(self) -> tuple[Settings, Settings]:
        found = self.run.read_config()
        wanted = {name: value for name, value in asdict(self.config).items() if name in found and value is not None}
        wanted.pop("intensity", None)  # decided by the data, as is everything that is None
        wanted.pop("data", None)  # which are the same if classes, cases and splits are
        return found, wanted | {"fingerprint": self.fingerprint}

    def _is_finished(self) -> bool:
        return (self.run.directory / "metrics.json").is_file() and self.slices_file.is_file()

    def detail(self) -> str:
        """What is done, in words."""
        count = "all" if self.config.slices is None else f"{self.config.slices} drawn"
        return f"segment everything with {self.config.base}, {count} pictures or slices"

    def make(self) -> None:
        """Try it, or the rest of it."""
        from samtailor.zeroshot.baseline import baseline

        if self.state() != "done":
            baseline(**vars(self.config))


Cell = Fit | ZeroShot


def differences(found: Settings, wanted: Settings, prefix: str = "") -> list[str]:
    """What differs in nested settings of the same dataclass: 'epochs: expected 14, found 6'."""
    result: list[str] = []
    for key, value in wanted.items():
        other = found.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            result += differences(other, value, f"{prefix}{key}.")
        elif value != other:
            result.append(f"{prefix}{key}: expected {reprlib.repr(value)}, found {reprlib.repr(other)}")
    return result
