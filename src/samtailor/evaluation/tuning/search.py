"""The search: candidate by candidate, what gains over the best so far is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from samtailor.evaluation.tuning.cases import MeanScore, TunedCase
from samtailor.progress import tracked
from samtailor.refinement.step import RefinementStep, Step

Cases = tuple[TunedCase, ...]


@dataclass(frozen=True)
class Trial:
    """One try.

    Attributes:
        steps: All steps, in order.
        score: Mean of the metric; NaN where nothing counts.
        seconds: What the last step took for each case; of a second pass, and without any step, the network with it.
    """

    steps: tuple[Step, ...]
    score: float
    seconds: float


@dataclass(frozen=True)
class Search:
    """Greedy search for steps that gain.

    Attributes:
        predicted: Cases as the network makes them with second passes.
        mean: The score.
    """

    predicted: Callable[[Sequence[Step]], Cases]
    mean: MeanScore

    def tried(self, candidates: Sequence[Sequence[Step]], saved: Sequence[Step]) -> tuple[list[Trial], Trial]:
        """All trials, and the best of all but the second.

        Args:
            candidates: Each step with the settings to try, in the order in which steps are applied.
            saved: The steps that the segmenter has now.

        Returns:
            No step, the saved steps, then each candidate with each of its settings behind the best so far; and the
            best of these, the first of equals.
        """
        best, cases = self._timed((), partial(self.predicted, ()))
        now, _ = self._timed(saved, partial(self._with_all, saved, cases)) if saved else (best, cases)
        trials = [best, now]
        for steps in candidates:
            so_far, before = best, cases
            for step in tracked("trials", steps):
                chain = (*so_far.steps, step)
                trial, after = self._timed(chain, partial(self._with_last, chain, before))
                trials.append(trial)
                if trial.score > best.score:
                    best, cases = trial, after
        return trials, best

    def _with_last(self, steps: Sequence[Step], cases: Cases) -> Cases:
        """Cases after the last of some steps; they are as the others leave them."""
        *_, last = steps
        if isinstance(last, RefinementStep):
            return tuple(one.refined(last) for one in cases)
        return self.predicted(steps)

    def _with_all(self, steps: Sequence[Step], cases: Cases) -> Cases:
        """Cases after all steps; they are as the network makes them without any."""
        for place in range(len(steps)):
            cases = self._with_last(steps[: place + 1], cases)
        return cases

    def _timed(self, steps: Sequence[Step], work: Callable[[], Cases]) -> tuple[Trial, Cases]:
        started = time.perf_counter()
        cases = work()
        seconds = (time.perf_counter() - started) / len(cases)
        return Trial(tuple(steps), self.mean(cases), seconds), cases
