"""Settings of a prediction: the command line and the YAML file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Precision = Literal["auto", "32", "bf16", "16"]
"""In which a network computes; 'auto' is bfloat16 where a GPU computes in it, single precision elsewhere."""


@dataclass(frozen=True)
class PredictConfig:
    """Segment files, each result named after its input and on its grid.

    Attributes:
        run: Directory of a run, or of a segmenter.
        inputs: Volumes and pictures: files, folders, or glob patterns.
        out: Folder of the results.
        probabilities: Also write the probability of every class, into the folder 'probabilities'.
        overlays: Also draw the result over its image, into the folder 'overlays'.
        batch_size: Images computed at once.
        device: 'auto' takes a GPU if there is one.
        precision: 'auto' is bfloat16 where a GPU computes in it, single precision elsewhere.
        skip_existing: Leave out inputs whose result is there already, of an interrupted prediction with the same run.
    """

    run: str
    inputs: list[str]
    out: str
    probabilities: bool = False
    overlays: bool = False
    batch_size: int = 8
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Precision = "auto"
    skip_existing: bool = False
