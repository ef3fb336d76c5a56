"""What a search for logit offsets found, and what came of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samtailor.errors import counted
from samtailor.evaluation.tuning.bias import Bias, BiasChoice
from samtailor.evaluation.tuning.result import TuningResult
from samtailor.labels import LabelSpace
from samtailor.metrics.overlap import Overlap
from samtailor.reporting.table import Table, decimal
from samtailor.reporting.terminal import Message


@dataclass(frozen=True, repr=False)
class BiasTuning(TuningResult):
    """A search for logit offsets; printed, it is a table of the classes and what was stored.

    Attributes:
        labels: The classes.
        choice: What was found.
        saved: The offsets that the segmenter had before; None if none.
        before: Counts of each case and class with these, (cases, K).
        cases: Names of the validation cases.
        is_stored: Whether the segmenter was changed: it has the offsets now or, if they do not hold, none any more.
        folder: Where the tables are written.
    """

    labels: LabelSpace
    choice: BiasChoice
    saved: Bias | None
    before: Overlap
    cases: tuple[str, ...]
    is_stored: bool
    folder: Path

    @property
    def held_out(self) -> float | None:
        """Mean DSC where each half of the cases is scored with the other half's choice; None of too few cases."""
        return None if self.choice.held_out is None else self.choice.mean(self.choice.held_out)

    def table(self) -> Table:
        """One row per class, and the mean."""
        choice = self.choice
        rows = [
            (name, f"{offset:+.1f}", decimal(before), decimal(after))
            for name, offset, before, after in zip(
                self.labels.names,
                choice.bias,
                choice.mean.by_class(choice.without).tolist(),
                choice.mean.by_class(choice.chosen).tolist(),
                strict=True,
            )
        ]
        without, chosen = (decimal(choice.mean(counts)) for counts in (choice.without, choice.chosen))
        rows.append(("mean" if choice.mean.has_background else "mean without background", "", without, chosen))
        rule = (
            "of the pixels of all cases together, as the data set's protocol counts them"
            if choice.mean.is_pooled
            else "by nnU-Net's rule: each class averaged over the cases in which it counts"
        )
        notes = [f"DSC of {len(self.cases)} validation cases, {rule}. The offset is added to the class's logit."]
        if self.held_out is None:
            notes.append("Too few cases to choose on one half and score the other: that check is left out.")
        else:
            notes.append(
                f"Each half of the cases scored with the offsets that the other half chose: {decimal(self.held_out)}."
            )
        return Table(("class", "offset", "DSC without", "DSC with"), tuple(rows), tuple(notes))

    def verdict(self) -> Message:
        """What came of it, in a sentence."""
        mean = self.choice.mean
        if self.is_stored:
            kept, counts = self.choice.kept
            gain = f"mean DSC {decimal(mean(self.before))} -> {decimal(mean(counts))}"
            if kept is None:
                return Message("good", f"the offsets that the segmenter had are taken away ({gain})")
            return Message("good", f"stored in the segmenter ({gain}); --bias none turns it off")
        if mean(self.choice.chosen) > mean(self.before):
            return Message("warning", "the gain does not hold on cases that did not choose it: nothing is stored")
        return Message("warning", "nothing gains: the segmenter stays as it was")

    def __repr__(self) -> str:
        return f"<BiasTuning of {len(self.labels)} classes on {counted(len(self.cases), 'case')}>"

    def to_json(self) -> dict[str, Any]:
        """Plain values; None where a score is not defined."""
        counts = {"without": self.choice.without, "before": self.before, "with": self.choice.chosen}
        dsc = {name: _plain(self.choice.mean(one)) for name, one in counts.items()}
        return {
            "classes": list(self.labels.names),
            "bias": list(self.choice.bias),
            "saved": None if self.saved is None else list(self.saved),
            "pooled": self.choice.mean.is_pooled,
            "background": self.choice.mean.has_background,
            "dsc": dsc | {"held_out": self.held_out},
            "cases": list(self.cases),
            "stored": self.is_stored and self.choice.holds,
            "taken_away": self.is_stored and not self.choice.holds,
        }


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value
