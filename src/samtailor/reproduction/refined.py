"""Fits with steps behind the network: predicted once where only the label differs, timed, scored."""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from samtailor.data.case import CaseFiles
from samtailor.data.formats import read_case
from samtailor.errors import ConfigError
from samtailor.evaluation.cases import grid_of
from samtailor.evaluation.measure import measure
from samtailor.evaluation.predictions import write_tables
from samtailor.evaluation.scores import Scores
from samtailor.files import read_json, write_json
from samtailor.inference.predictor import Predictor, choose_device
from samtailor.inference.result import segment
from samtailor.models.checkpoints import checksum
from samtailor.models.segmenter_model import WEIGHTS_NAME, load_model
from samtailor.progress import tracked
from samtailor.refinement import to_plain
from samtailor.refinement.step import RefinementStep, SecondPass, Step
from samtailor.reproduction.cells import MAIN, Fit
from samtailor.reproduction.plan import Plan
from samtailor.reproduction.scoring import read_saved, saved_file

LOG = logging.getLogger("samtailor")


@dataclass(frozen=True, eq=False)
class Refined:
    """A finished fit with steps behind its network, and the folder of what it predicts with these.

    What is there counts only for the weights and the steps that it was made with, wherever that was: no file's time
    and no path matters.

    Attributes:
        fit: The fit.
        steps: The steps, in order.
        folder: Where label maps, times and scores lie.
    """

    fit: Fit
    steps: tuple[Step, ...]
    folder: Path

    @property
    def predictions(self) -> Path:
        """Folder with the label maps."""
        return self.folder / "predictions"

    @property
    def scores_file(self) -> Path:
        """Scores of all cases."""
        return self.folder / "metrics.json"

    def made_by(self) -> dict[str, Any]:
        """What its label maps depend on."""
        weights = checksum([self.fit.run.segmenter_directory / WEIGHTS_NAME])
        return {"weights": weights, "steps": to_plain(self.steps)}

    def cases(self) -> dict[str, dict[str, Any]]:
        """Of each case that is predicted: 'seconds' it took, and on which 'machine'."""
        content = self._read(self.folder / "made.json")
        if content.get("made_by") != self.made_by():
            return {}
        cases: dict[str, dict[str, Any]] = content.get("cases", {})
        return cases

    def add(self, case: str, seconds: float) -> None:
        """Note that the label map of a case has been written."""
        cases = self.cases() | {case: {"seconds": seconds, "machine": machine(self.fit.config.device)}}
        write_json(self.folder / "made.json", {"made_by": self.made_by(), "cases": cases})

    def scores(self) -> dict[str, Any] | None:
        """Content of its `metrics.json`; None where there is none of these label maps."""
        content = self._read(self.scores_file)
        is_of_these = content.get("source", {}).get("made_by") == self.made_by()
        return content if is_of_these and content["cases"].keys() == self.cases().keys() else None

    def seconds_per_case(self) -> float:
        """Mean over the cases: preprocessing, network and steps."""
        times = [case["seconds"] for case in self.cases().values()]
        return sum(times) / len(times) if times else float("nan")

    @staticmethod
    def _read(file: Path) -> dict[str, Any]:
        if not file.is_file():
            return {}
        content: dict[str, Any] = read_json(file, dict, "delete its folder, and give the command again")
        return content


def machine(device: str) -> str:
    """What computes, in words."""
    chosen = choose_device(device)
    if chosen.type == "cuda":
        return torch.cuda.get_device_name(chosen)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def make_refined(plan: Plan, wanted: Sequence[Refined]) -> dict[Refined, str]:
    """Predict and score what is missing; gives what cannot be made here, and why.

    The network sees a case once for all steps that only change labels, and once for each different second pass.
    """
    files = plan.scored_cases
    lacking: dict[Refined, str] = {}
    for one in wanted:
        try:
            if not set(one.cases()) >= {file.name for file in files}:
                for step in one.steps:
                    step.require_ready()
        except ConfigError as error:
            lacking[one] = str(error)
    possible = [one for one in wanted if one not in lacking]
    for run in dict.fromkeys(one.fit.run.directory for one in possible):
        _predict([one for one in possible if one.fit.run.directory == run], files)
    for one in tracked("scoring", possible):
        if one.scores() is None:
            _score(plan, one, files)
    return lacking


def _predict(wanted: Sequence[Refined], files: Sequence[CaseFiles]) -> None:
    """Label maps of one fit that are missing."""
    done = {one: one.cases() for one in wanted}
    work = [(file, some) for file in files if (some := [one for one in wanted if file.name not in done[one]])]
    if not work:
        return
    fit = wanted[0].fit
    LOG.info("%s: predicting %d cases, %d refinements", fit.run.directory, len(work), len(wanted))
    network = load_model(fit.run.directory).for_inference()
    what = f"predicting ({fit.column.name}, seed {fit.config.seed})"
    for file, some in tracked(what, work):
        case = read_case(file, None, network.preprocessing.channel_choice)
        for passes, group in _by_second_passes(some):
            predictor = Predictor(network, device=fit.config.device, refinement=passes)
            label_steps = [step for one in group for step in one.steps if isinstance(step, RefinementStep)]
            started = time.perf_counter()
            result = segment(predictor, case, probabilities=any(step.needs_probabilities for step in label_steps))
            network_seconds = time.perf_counter() - started
            for one in group:
                label, started = result.label.copy(), time.perf_counter()
                steps = [step for step in one.steps if isinstance(step, RefinementStep)]
                if steps and (void := case.geometry.void):
                    label[void.where] = 0  # as in prediction
                for step in steps:
                    label = step(label, result.probabilities, result.slices, case.geometry.spacing)
                seconds = network_seconds + time.perf_counter() - started
                replace(result, label=label).save(saved_file(one.predictions, file))
                one.add(file.name, seconds)


def _by_second_passes(some: Iterable[Refined]) -> Iterator[tuple[tuple[Step, ...], list[Refined]]]:
    """What has the same second passes, together."""
    groups: dict[tuple[Step, ...], list[Refined]] = {}
    for one in some:
        groups.setdefault(tuple(step for step in one.steps if isinstance(step, SecondPass)), []).append(one)
    yield from groups.items()


def _score(plan: Plan, one: Refined, files: Sequence[CaseFiles]) -> None:
    """Score predicted label maps by the protocol of all comparisons."""
    labels, scored = plan.dataset.labels, []
    for file in tracked("cases", files):
        truth = read_case(file, labels).label
        assert truth is not None  # cases without are refused
        prediction = read_saved(one.predictions, file, plan.dataset)
        scored.append(measure(file.name, truth, prediction, labels, MAIN, grid_of(file)))
    source = {"data": plan.dataset.root.resolve().name, "split": plan.split, "made_by": one.made_by()}
    write_tables(Scores(labels, MAIN, tuple(scored), source=source), one.folder)
