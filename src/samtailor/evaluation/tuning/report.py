"""What a search for steps tried, and what came of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import samtailor.kinds as kinds
from samtailor.errors import counted
from samtailor.evaluation.tuning.cases import TuningMetric
from samtailor.evaluation.tuning.result import TuningResult
from samtailor.evaluation.tuning.search import Trial
from samtailor.metrics.protocols import METRIC_NAMES
from samtailor.refinement import STEPS, to_plain
from samtailor.refinement.step import Step
from samtailor.reporting.table import Table, decimal
from samtailor.reporting.terminal import Message


@dataclass(frozen=True, repr=False)
class Tuning(TuningResult):
    """A search for steps after the network; printed, it is the table of all trials and what was stored.

    Attributes:
        metric: What was to gain.
        trials: No step, the segmenter's steps so far, then all others (see `Search.tried`).
        best: The best of them.
        cases: Names of the validation cases.
        seed: Of the choice of settings.
        is_stored: Whether the segmenter has the best trial's steps now.
        folder: Where the tables are written.
    """

    metric: TuningMetric
    trials: tuple[Trial, ...]
    best: Trial
    cases: tuple[str, ...]
    seed: int
    is_stored: bool
    folder: Path

    @property
    def before(self) -> Trial:
        """What the segmenter did before."""
        return self.trials[1]

    def table(self) -> Table:
        """One row per trial."""
        name = METRIC_NAMES[self.metric]
        header = ("steps", f"mean {name}", "gain", "seconds per case", "")
        rows = [("none", *self._numbers(self.trials[0]), "")]
        if self.before.steps:
            rows.append((f"saved: {in_words(self.before.steps)}", *self._numbers(self.before), ""))
        for trial in self.trials[2:]:
            rows.append((f"+ {in_words(trial.steps[-1:])}", *self._numbers(trial), self._mark(trial)))
        notes = (
            f"{name} of {len(self.cases)} validation cases: each class but the background averaged over the cases in "
            "which it counts, then over the classes (nnU-Net's rule). Each step, with the settings that are not its "
            "defaults, is tried behind those that are kept above it; gain: over no step. Seconds: what the step took; "
            f"of no step and of a second pass, the network with it. Seed of the choice of settings: {self.seed}.",
            "The settings were chosen on these cases: what they gain on others is for evaluate --split test to say.",
        )
        return Table(header, tuple(rows), notes)

    def _numbers(self, trial: Trial) -> tuple[str, str, str]:
        gain = trial.score - self.trials[0].score
        return decimal(trial.score), "" if math.isnan(gain) else f"{gain:+.4f}", f"{trial.seconds:.2f}"

    def _mark(self, trial: Trial) -> str:
        return "kept" if self.best.steps[: len(trial.steps)] == trial.steps else ""

    def verdict(self) -> Message:
        """What came of it, in a sentence."""
        gain = f"mean {METRIC_NAMES[self.metric]} {decimal(self.before.score)} -> {decimal(self.best.score)}"
        if self.is_stored:
            what = in_words(self.best.steps)
            return Message("good", f"stored in the segmenter: {what} ({gain}); --refine none turns it off")
        return Message("warning", f"nothing gains over {in_words(self.before.steps)}: the segmenter stays as it was")

    def __repr__(self) -> str:
        return f"<Tuning of {counted(len(self.trials), 'trial')} on {counted(len(self.cases), 'case')}>"

    def to_json(self) -> dict[str, Any]:
        """Plain values; None where a score is not defined."""
        return {
            "metric": self.metric,
            "cases": list(self.cases),
            "seed": self.seed,
            "stored": self.is_stored,
            "best": _plain(self.best),
            "before": _plain(self.before),
            "trials": [_plain(trial) for trial in (self.trials[0], *self.trials[2:])],
        }


def _plain(trial: Trial) -> dict[str, Any]:
    score = None if math.isnan(trial.score) else trial.score
    return {"steps": to_plain(trial.steps), "score": score, "seconds_per_case": trial.seconds}


def in_words(steps: tuple[Step, ...]) -> str:
    """Steps with the settings that are not their defaults."""
    return ", ".join(map(_in_words, steps)) or "none"


def _in_words(step: Step) -> str:
    content, default = kinds.to_json(step, STEPS), kinds.to_json(type(step)(), STEPS)
    own = [f"{name.rstrip('_')} {value}" for name, value in content.items() if value != default[name]]
    return f"{content['kind']} ({' '.join(own)})" if own else str(content["kind"])
