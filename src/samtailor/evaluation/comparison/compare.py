"""Comparing results on the same cases."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from samtailor.errors import ConfigError
from samtailor.evaluation.comparison.comparison import Comparison
from samtailor.evaluation.comparison.page import write_page
from samtailor.evaluation.comparison.paired import PairedDifference, compare_pair, correct
from samtailor.evaluation.comparison.results import align, left_out, read_results


def compare(
    results: Sequence[str | Path],
    metric: str = "dsc",
    split: str = "test",
    out: Path | None = None,
    names: Sequence[str] | None = None,
    all_pairs: bool = False,
    common: bool = False,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare results on the same cases, and write a page about it.

    Args:
        results: metrics.json files, folders that hold one, or runs; the first one is the reference.
        metric: Score to compare, as it is called in the files.
        split: Split whose scores are taken from runs.
        out: Where compare.md, compare.html, compare.json and the figures are written; nowhere if None.
        names: Names of the results; those of their folders if None.
        all_pairs: Compare each with every other one, instead of each with the first.
        common: Compare on the cases and classes that all have, where they differ.
        bootstrap: Resamples of the 95 % intervals.
        seed: Seed of the resamples.

    Raises:
        SamTailorError: If the results cannot be compared.
    """
    if bootstrap < 1:
        raise ConfigError(f"bootstrap: expected at least one resample, found {bootstrap}; 1000 is usual")
    found = read_results([Path(result) for result in results], metric, split, names)
    aligned = align(found, common)
    chosen = combinations(aligned, 2) if all_pairs else ((aligned[0], other) for other in aligned[1:])
    pairs = correct(
        [PairedDifference(one, other, compare_pair(one, other, metric, bootstrap, seed)) for one, other in chosen]
    )
    comparison = Comparison(metric, tuple(aligned), pairs, left_out(found, aligned[0]), bootstrap, seed)
    if out is not None:
        write_page(comparison, out)
    return comparison
