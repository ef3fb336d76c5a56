"""What a baseline has done so far: one file per slice, one per case, so that it can go on after an interruption."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from samtailor.evaluation.case_scores import CaseScore
from samtailor.files import atomic, write_text
from samtailor.metrics.overlap import Overlap
from samtailor.metrics.targets import TargetCounts
from samtailor.zeroshot.choice import Choice
from samtailor.zeroshot.rle import Runs


@dataclass(frozen=True)
class SliceResult:
    """What was taken in one slice.

    Attributes:
        choices: Mask of each class index that the slice's truth has.
        masks: Masks there were to choose from.
        seconds: What it took.
    """

    choices: dict[int, Choice]
    masks: int
    seconds: float

    def save(self, path: Path) -> None:
        """Write, complete or not at all."""
        arrays: dict[str, Any] = {"masks": self.masks, "seconds": self.seconds}
        for k, choice in self.choices.items():
            arrays[f"{k}-counts"] = np.array([*choice.runs.size, choice.both, choice.mask, choice.truth])
            arrays[f"{k}-runs"] = np.stack([choice.runs.starts, choice.runs.ends])
        with atomic(path) as scratch:
            np.savez_compressed(scratch, **arrays)

    @classmethod
    def load(cls, path: Path) -> SliceResult:
        """Read what `save` wrote."""
        with np.load(path) as arrays:
            choices: dict[int, Choice] = {}
            for name in arrays.files:
                if name.endswith("-counts"):
                    k = int(name.removesuffix("-counts"))
                    height, width, *counts = arrays[name].tolist()
                    starts, ends = arrays[f"{k}-runs"]
                    choices[k] = Choice(Runs((height, width), starts, ends), *counts)
            return cls(choices, int(arrays["masks"]), float(arrays["seconds"]))


def save_score(score: CaseScore, path: Path) -> None:
    """Write a case's score, complete or not at all."""
    content = {
        "name": score.name,
        "overlap": [counts.tolist() for counts in score.overlap],
        "surface": {metric: values.tolist() for metric, values in score.surface.items()},
        "targets": None if score.targets is None else asdict(score.targets),
    }
    write_text(path, json.dumps(content))


def load_score(path: Path) -> CaseScore:
    """Read what `save_score` wrote."""
    content = json.loads(path.read_text())
    return CaseScore(
        content["name"],
        Overlap(*(np.array(counts, np.int64) for counts in content["overlap"])),
        {metric: np.array(values, np.float64) for metric, values in content["surface"].items()},
        None,
        None if content["targets"] is None else TargetCounts(**content["targets"]),
    )
