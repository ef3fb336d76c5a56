"""Cells of an experiment: each a normal run or a normal baseline in a directory of its own."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import psutil  # type: ignore[import-untyped]
import yaml

from samtailor.data.dataset import Dataset, Split
from samtailor.errors import ConfigError
from samtailor.metrics.protocols import ProtocolName
from samtailor.reproduction.columns import Column
from samtailor.reproduction.plain import differences
from samtailor.runs import Run
from samtailor.training.resolve import resolve
from samtailor.training.settings import TrainConfig
from samtailor.zeroshot.settings import BaselineConfig

State = Literal["done", "interrupted", "missing"]

MAIN: ProtocolName = "samtailor"
"""Protocol of the comparison with the zero-shot columns; every cell is scored by it."""


@dataclass(frozen=True)
class Fit:
    """One training.

    Attributes:
        column: Whose column it is.
        config: Its settings, resolved; `out` is the directory of the cell.
    """

    column: Column
    config: TrainConfig

    @classmethod
    def of(cls, column: Column, config: TrainConfig, dataset: Dataset) -> Fit:
        """The cell with every setting decided that the data decides."""
        return cls(column, resolve(config, dataset.with_seeded_split(config.seed)))

    @property
    def run(self) -> Run:
        """Where everything of it lies."""
        return Run(Path(self.config.out))

    def evaluation(self, split: Split, protocol: ProtocolName = MAIN) -> Path:
        """Folder with its scores on a split by a protocol."""
        return self.run.evaluation(split if protocol == MAIN else f"{split}-{protocol}")

    def predictions(self, split: Split) -> Path:
        """Folder with the label maps of a split."""
        return self.evaluation(split) / "predictions"

    @property
    def seed(self) -> int:
        """Seed of the training."""
        return self.config.seed

    @property
    def seconds(self) -> float:
        """Wall time of all epochs, validation included."""
        return sum(row["seconds"] for row in self.run.history())

    def state(self) -> State:
        """How far it is.

        Raises:
            ConfigError: If the directory holds another training, or something else.
        """
        run = self.run
        if not run.is_there:
            run.require_new()
            return "missing"
        # An older version wrote fewer settings: those it did not know had their defaults.
        found = TrainConfig.from_plain(run.read_config(), str(run.config_file)).to_plain()
        wanted = self.config.to_plain()
        for settings in (found, wanted):
            settings["out"] = ""
            settings["data"] = str(Path(settings["data"]).resolve())
        if different := differences(found, wanted):
            raise ConfigError(
                f"{run.directory}: expected a training with the settings of this experiment, found another one "
                f"({'; '.join(different[:4])}); name another --out, or delete that directory"
            )
        return "done" if self._is_finished() else "interrupted"

    def _is_finished(self) -> bool:
        """Whether the last epoch is behind it, or patience has run out."""
        rows = self.run.history()
        if not rows or not self.run.segmenter_directory.is_dir():
            return False
        last = rows[-1]["epoch"]
        if last >= self.config.epochs:
            return True
        best = self.run.best_epoch()
        assert best is not None  # the segmenter is that of a validation
        return self.config.patience is not None and last - best["epoch"] >= self.config.patience

    def detail(self) -> str:
        """How far it is, in words."""
        rows = self.run.history()
        return f"{len(rows)} of {self.config.epochs} epochs" if rows else f"{self.config.epochs} epochs to train"

    def make(self) -> None:
        """Train it, or finish its training.

        Raises:
            ConfigError: If another process is at it.
            SamTailorError: What `train` and `resume` raise.
        """
        from samtailor.training.train import resume, train

        match self.state():
            case "missing":
                train(**vars(self.config))
            case "interrupted":
                require_idle(self.run.directory)
                resume(self.run.directory)
            case "done":
                pass


def require_idle(directory: Path) -> None:
    """Refuse to work in a directory where another process has files open.

    Raises:
        ConfigError: If one has; it is named.
    """
    own = psutil.Process().pid
    for process in psutil.process_iter():
        try:
            files = process.open_files() if process.pid != own else []
        except psutil.Error:  # ended meanwhile, or another user's
            continue
        if any(Path(file.path).is_relative_to(directory.resolve()) for file in files):
            raise ConfigError(
                f"{directory}: expected nobody at work there, found files open in process {process.pid}; wait until it "
                "has finished, or leave the column out with --columns"
            )


@dataclass(frozen=True)
class ZeroShot:
    """One base tried without fitting: segment everything, and take for each class the mask with the highest Dice.

    Attributes:
        column: Whose column it is.
        config: Its settings; `out` is the directory of the cell.
        seed: It depends on none but for the slices that are drawn.
    """

    column: Column
    config: BaselineConfig
    seed: int = 0

    @property
    def directory(self) -> Path:
        """Where everything of it lies."""
        return Path(self.config.out)

    def evaluation(self, split: Split) -> Path:
        """Folder with its scores on its split."""
        return self.directory

    @property
    def slices_file(self) -> Path:
        """Which slices it was tried on, with their scores and times."""
        return self.directory / "slices.csv"

    def predictions(self, split: Split) -> Path:
        """Folder with the chosen masks of its split as label maps."""
        return self.directory / "predictions"

    @property
    def seconds(self) -> float:
        """Wall time of all slices."""
        return sum({(row["case"], row["slice"]): float(row["seconds"]) for row in self._rows()}.values())

    def slices(self) -> dict[str, list[int]]:
        """Slices of each case that it was tried on."""
        places = sorted({(row["case"], int(row["slice"])) for row in self._rows()})
        return {name: [index for case, index in places if case == name] for name, _ in places}

    def _rows(self) -> list[dict[str, str]]:
        with self.slices_file.open(newline="") as stream:
            return list(csv.DictReader(stream))

    def state(self) -> State:
        """How far it is.

        Raises:
            ConfigError: If the directory holds another baseline, or something else.
        """
        file = self.directory / "config.yaml"
        if not file.is_file():
            Run(self.directory).require_new()
            return "missing"
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
        wanted = {name: value for name, value in asdict(self.config).items() if name in found and value is not None}
        wanted.pop("intensity", None)  # decided by the data, as is everything that is None
        wanted["data"] = str(Path(self.config.data).resolve())
        if different := differences(found, wanted):
            raise ConfigError(
                f"{self.directory}: expected a baseline with the settings of this experiment, found another one "
                f"({'; '.join(different[:4])}); name another --out, or delete that directory"
            )
        return "done" if (self.directory / "metrics.json").is_file() and self.slices_file.is_file() else "interrupted"

    def detail(self) -> str:
        """What is done, in words."""
        count = "all" if self.config.slices is None else f"{self.config.slices} drawn"
        return f"segment everything with {self.config.base}, {count} pictures or slices"

    def make(self) -> None:
        """Try it, or the rest of it.

        Raises:
            SamTailorError: What `baseline` raises.
        """
        from samtailor.zeroshot.baseline import baseline

        if self.state() != "done":
            baseline(**vars(self.config))


Cell = Fit | ZeroShot
