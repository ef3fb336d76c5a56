"""Settings of scoring saved masks: the command line and the YAML file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from samtailor.metrics.protocols import ProtocolName


@dataclass(frozen=True)
class ScoreConfig:
    """Score saved masks, ours or another tool's, against labels.

    Attributes:
        predictions: Folder of masks (NIfTI, PNG, TIFF), each named after its case.
        labels: Folder of label files of the same names, or a labelled data set.
        protocol: Which scores are computed, and by which rules; the data set's own, or else 'samtailor', if None.
        split: Cases of a data set to score; all of them if None.
        fold: Entry of splits_final.json (nnU-Net layout).
        classes: dataset.json with the classes, if neither the labels' folder nor the masks say what they are.
        ignore_background: Pixels of the first class count nowhere (remote-sensing only), for data whose background
            means 'not labelled'.
        out: Where tables and figures are written; the folder 'scores' in that of the predictions if None.
        workers: Cases read and measured at once; as many as the machine has cores and memory for if None.
        bootstrap: Resamples of the 95 % intervals.
        seed: Seed of the resamples.
    """

    predictions: str
    labels: str
    protocol: ProtocolName | None = None
    split: Literal["train", "val", "test"] | None = None
    fold: int = 0
    classes: str | None = None
    ignore_background: bool = False
    out: str | None = None
    workers: int | None = None
    bootstrap: int = 1000
    seed: int = 0
