"""Comparing results on the same cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from samtailor.outputs import require_free, require_place
from samtailor.settings import AnyPath, Rare, Resamples, Seed, Split, checked

if TYPE_CHECKING:
    from samtailor.evaluation.comparison.comparison import Comparison


@checked
def compare(
    results: Sequence[AnyPath],
    metric: str = "dsc",
    split: Split = "test",
    out: AnyPath | None = None,
    names: Sequence[str] | None = None,
    all_pairs: bool = False,
    common: bool = False,
    bootstrap: Rare[Resamples] = 1000,
    seed: Rare[Seed] = 0,
    overwrite: bool = False,
) -> Comparison:
    """Compare results on the same cases: paired differences, bootstrap intervals, Wilcoxon tests.

    Args:
        results: Files `metrics.json`, folders that hold one, or runs; the first one is the reference.
        metric: Score to compare, as it is called in the metrics.json files.
        split: Split whose scores are taken from runs.
        out: Directory of a page with figures and numbers; none is written by default.
        names: Names of the results, in their order; by default those of their folders.
        all_pairs: Compare every result with every other one, instead of each with the first.
        common: Compare on the cases and classes that all results have, where they differ.
        bootstrap: Resamples of the 95 % intervals.
        seed: Seed of the resamples.
        overwrite: Replace an earlier page in `out`.

    Returns:
        What the tests say.

    Raises:
        SamTailorError: If the results cannot be compared.
    """
    from samtailor.evaluation.comparison.comparison import PAGE, Comparison, write_page
    from samtailor.evaluation.comparison.results import align, left_out, read_results
    from samtailor.evaluation.comparison.statistics import PairedDifference, compare_pair, correct

    if out is not None:
        require_place(out, results)
        require_free([Path(out) / name for name in PAGE], overwrite)
    found = read_results([Path(result) for result in results], metric, split, names)
    aligned = align(found, common)
    chosen = combinations(aligned, 2) if all_pairs else ((aligned[0], other) for other in aligned[1:])
    pairs = correct(
        [PairedDifference(one, other, compare_pair(one, other, metric, bootstrap, seed)) for one, other in chosen]
    )
    comparison = Comparison(metric, tuple(aligned), pairs, left_out(found, aligned[0]), bootstrap, seed)
    if out is not None:
        write_page(comparison, Path(out))
        comparison = replace(comparison, folder=Path(out))
    return comparison
