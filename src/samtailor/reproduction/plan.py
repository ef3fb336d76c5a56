"""The cells of an experiment: what they are, which are missing, and making them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from samtailor.data.case import CaseFiles
from samtailor.data.dataset import Dataset, Split, open_dataset
from samtailor.data.preprocessing import Preprocessing
from samtailor.errors import ConfigError, DataError, WeightsError
from samtailor.evaluation.cases import cases_of_split
from samtailor.models.zoo import find_base, weights_files
from samtailor.outputs import require_place
from samtailor.reporting.table import Table
from samtailor.reproduction.cells import MAIN, Cell, Fit, ZeroShot
from samtailor.reproduction.definition import Column, Experiment, Schedule, ScoredData, load_experiment, merged
from samtailor.reproduction.settings import ReproduceConfig
from samtailor.settings import from_plain
from samtailor.training.resolve import preprocessing_of, resolve
from samtailor.training.settings import TrainConfig
from samtailor.zeroshot.settings import BaselineConfig


@dataclass(frozen=True)
class Plan:
    """An experiment on a user's data, with a base and seeds; its cells by column, and what is left out, and why."""

    experiment: Experiment
    config: ReproduceConfig
    dataset: Dataset
    base: str
    schedule: Schedule
    cells: dict[Column, tuple[Cell, ...]] = field(default_factory=dict)
    left_out: dict[Column, str] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        """Where everything lies."""
        return _out(self.config, self.experiment)

    @property
    def is_sam2_wanted(self) -> bool:
        """Whether the user asked for the SAM 2 column; else it is left out where its weights cannot be had."""
        return bool(self.config.base2 or self.config.columns)

    @property
    def source(self) -> ScoredData:
        """The data set, as the experiment knows it."""
        assert self.dataset.name is not None
        return self.experiment.datasets[self.dataset.name]

    @property
    def split(self) -> Split:
        """Split that is scored."""
        return self.source.split

    @property
    def scored_cases(self) -> tuple[CaseFiles, ...]:
        """Cases that are scored, the same in every column."""
        return cases_of_split(self.dataset, self.split, {})

    @property
    def preprocessing(self) -> Preprocessing:
        """What the images go through in training, whichever column, and before they are shown."""
        settings = {**self.schedule.train, "data": str(self.dataset.root), "out": "", "base": self.base}
        config = resolve(TrainConfig.from_plain(settings, "train"), self.dataset)
        return preprocessing_of(config, self.dataset.channel_choice)

    def all_cells(self) -> list[Cell]:
        """Cells of all columns."""
        return [cell for cells in self.cells.values() for cell in cells]

    @property
    def fits(self) -> list[Fit]:
        """Cells that are trained."""
        return [cell for cell in self.all_cells() if isinstance(cell, Fit)]

    @property
    def trained(self) -> list[dict[str, Any]]:
        """Name, seed and wall time of each fit, as plain values."""
        return [{"fit": cell.column.name, "seed": cell.config.seed, "seconds": cell.seconds} for cell in self.fits]

    @property
    def zero_shots(self) -> list[ZeroShot]:
        """Cells that are tried without training."""
        return [cell for cell in self.all_cells() if isinstance(cell, ZeroShot)]

    def to_table(self) -> Table:
        """What there is and what is missing, one row for each cell."""
        rows = [
            (str(cell.run.directory.relative_to(self.out)), cell.column.title, cell.state(), cell.detail())
            for cell in self.all_cells()
        ]
        missing = sum(cell.state() != "done" for cell in self.fits)
        note = f"Cells in {self.out}; trainings to do: {missing}. Schedule: {self.schedule.text}."
        return Table(("cell", "column", "state", "what"), tuple(rows), (note, *self.missing_columns()))

    def missing_columns(self) -> list[str]:
        """A sentence for each column that is left out."""
        return [f"Without {column.title}: {reason}." for column, reason in self.left_out.items()]

    def finished_only(self) -> Plan:
        """The plan without the cells that are not finished, at least one; nothing is trained or tried for it."""
        cells, left_out = dict[Column, tuple[Cell, ...]](), dict(self.left_out)
        for column, column_cells in self.cells.items():
            if done := tuple(cell for cell in column_cells if cell.state() == "done"):
                cells[column] = done
            if len(done) < len(column_cells):
                seeds = ", ".join(str(cell.config.seed) for cell in column_cells if cell not in done)
                left_out[column] = f"not finished (seed {seeds}), and --finished trains nothing"
        if not cells:
            raise ConfigError(f"{self.out}: expected a finished cell, found none; leave --finished out to make them")
        return replace(self, cells=cells, left_out=left_out)

    def with_weights(self) -> Plan:
        """The plan with the weights of its bases here.

        The SAM 2 column is left out if its weights cannot be had, unless the user named its base.
        """
        cells, left_out = dict(self.cells), dict(self.left_out)
        for column, column_cells in self.cells.items():
            wanted = {(cell.config.base, cell.config.weights) for cell in column_cells if cell.state() != "done"}
            try:
                for base, weights in wanted:
                    weights_files(base, weights)
            except WeightsError as error:
                if column.name != "sam2" or self.is_sam2_wanted:
                    raise
                left_out[column] = f"its weights cannot be had here ({error})"
                del cells[column]
        return replace(self, cells=cells, left_out=left_out)

    def make(self) -> None:
        """Make every cell that is missing, one after the other; if one cannot be made, those before it are kept."""
        for cell in self.all_cells():
            cell.make()


def lay_out(config: ReproduceConfig) -> Plan:
    """Look at the data and say which cells an experiment has; nothing is written."""
    experiment = load_experiment(config.what)
    if config.data is None:
        raise ConfigError(
            f"data: expected --data with a folder of {experiment.own_data.title}, found none; "
            "docs/guide/published-data.md tells how it is laid out"
        )
    if not config.seeds or len(set(config.seeds)) < len(config.seeds) or min(config.seeds) < 0:
        raise ConfigError(f"seeds: expected different numbers from 0, found {config.seeds}")
    require_place(_out(config, experiment), data=config.data)
    dataset = open_dataset(Path(config.data)).with_default_split()
    if dataset.name is None or dataset.name not in experiment.datasets:
        expected = " or ".join(source.title for source in experiment.datasets.values())
        found = dataset.name or f"classes {', '.join(dataset.labels.names)}"
        raise DataError(f"{config.data}: expected {expected} and its classes for {config.what}, found {found}")
    base = find_base(config.base or experiment.base).name
    schedule = experiment.schedule_for(dataset.name, base, Path(config.settings) if config.settings else None)
    plan = Plan(experiment, config, dataset, base, schedule)
    for column in map(schedule.column, config.columns or experiment.columns):
        if column.name == "sam2" and base != experiment.base and not plan.is_sam2_wanted:
            plan.left_out[column] = f"no base of SAM 2 was named (--base2 {experiment.base2})"
            continue
        try:
            plan.cells[column] = _zero_shot(plan, column) if column.is_zero_shot else _fits(plan, column)
        except WeightsError as error:  # of a step before the network; the base's are looked for later
            if config.columns:
                raise
            plan.left_out[column] = f"what it needs cannot be had here ({error})"
    _ = plan.scored_cases  # refused before hours of training, not after
    for cell in plan.all_cells():
        cell.state()  # refuses a directory that holds something else
    return plan


def _out(config: ReproduceConfig, experiment: Experiment) -> Path:
    """Where the cells and the page of an experiment lie."""
    return Path(config.out or Path("runs") / experiment.cells)


def _zero_shot(plan: Plan, column: Column) -> tuple[Cell, ...]:
    """The one cell of a zero-shot column; it does not depend on the seed."""
    base, weights = plan.base, plan.config.weights
    if column.name == "sam2":
        base, weights = plan.config.base2 or plan.experiment.base2, plan.config.weights2
        if find_base(base).family != "sam2":
            raise ConfigError(f"base2: expected a base of SAM 2, found {base}; samtailor models lists them")
    # By a data set's own protocol some classes would count in fewer slices than in the fits beside.
    own = {"base": base, "weights": weights, "kind": "everything", "split": plan.split, "protocol": MAIN}
    settings = {**plan.schedule.baseline, **_places(plan, column, 0), **own}
    return (ZeroShot(column, from_plain(BaselineConfig, settings, "baseline"), plan.dataset.fingerprint()),)


def _fits(plan: Plan, column: Column) -> tuple[Cell, ...]:
    """One cell for each seed, with every setting decided that the data decides."""
    fixed = {"base": plan.base, "weights": plan.config.weights}
    settings = {**merged(plan.schedule.train, column.settings), **fixed}
    cells = []
    for seed in plan.config.seeds:
        config = TrainConfig.from_plain({**settings, **_places(plan, column, seed), "seed": seed}, "train")
        cells.append(Fit(column, resolve(config, plan.dataset), plan.dataset.splits, plan.dataset.labels.names))
    return tuple(cells)


def _places(plan: Plan, column: Column, seed: int) -> dict[str, str]:
    """Where a cell reads and writes, and computes."""
    out = plan.out / column.cell / f"seed-{seed}"
    return {"data": str(plan.dataset.root.resolve()), "out": str(out), "device": plan.config.device}
