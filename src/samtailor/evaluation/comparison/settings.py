"""Settings of `samtailor compare`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class CompareConfig:
    """Compare results on the same cases: paired differences, intervals, tests, one page.

    Attributes:
        results: metrics.json files, folders that hold one, or runs; the first one is the reference.
        metric: Score to compare, as it is called in the metrics.json files.
        split: Split whose scores are taken from runs.
        out: Directory of the page, its figures and numbers.
        names: Names of the results, in their order; those of their folders if None.
        all_pairs: Compare every result with every other one, instead of each with the first.
        common: Compare on the cases and classes that all results have, where they differ.
        bootstrap: Resamples of the 95 % intervals.
        seed: Seed of the resamples.
    """

    results: list[str]
    metric: str = "dsc"
    split: Literal["train", "val", "test"] = "test"
    out: str = "comparison"
    names: list[str] | None = None
    all_pairs: bool = False
    common: bool = False
    bootstrap: int = 1000
    seed: int = 0
