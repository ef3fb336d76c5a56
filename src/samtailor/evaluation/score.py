"""Scoring saved masks, ours or another tool's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from samtailor.metrics.protocols import ProtocolName, require_protocol
from samtailor.outputs import require_free, require_place
from samtailor.settings import AnyPath, Index, Rare, Recognition, Resamples, Seed, Selection, Split, Within, checked

if TYPE_CHECKING:
    from samtailor.evaluation.scores import Scores


@checked
def score(
    predictions: AnyPath,
    labels: AnyPath,
    protocol: ProtocolName | None = None,
    out: AnyPath | None = None,
    split: Split | None = None,
    fold: Rare[Index | None] = None,
    dataset: Rare[Recognition] = "auto",
    classes: AnyPath | None = None,
    ignore_background: Rare[bool] = False,
    workers: Rare[Annotated[int, Within(1, 1024)] | None] = None,
    bootstrap: Rare[Resamples] = 1000,
    seed: Rare[Seed] = 0,
    overwrite: bool = False,
) -> Scores:
    """Score saved masks, ours or another tool's, and write tables and figures.

    Cases are read and measured at once in several threads; how many is bounded by the memory that is free.

    Args:
        predictions: Folder of masks (NIfTI, PNG, TIFF), each named after its case.
        labels: Folder of label files of the same names, or a labelled data set.
        protocol: Which scores are computed, and by which rules; by default the data set's own, of other
            georeferenced scenes 'remote-sensing', or else 'samtailor'.
        out: Where tables and figures are written; the folder 'scores' in that of the predictions by default.
        split: Cases of a data set to score; all of them by default.
        fold: Entry of splits_final.json, or one of five folds where the folder has no such file; by default its own
            splits.
        dataset: 'none' takes the folder for no data set that is known by name, whatever its files are called.
        classes: A `dataset.json` with the classes, if neither the labels' folder nor the masks say what they are.
        ignore_background: Pixels of the first class count nowhere (remote-sensing only), for data whose background
            means 'not labelled'.
        workers: Cases read and measured at once; by default as many as the machine has cores and memory for.
        bootstrap: Resamples of the 95 % intervals.
        seed: Seed of the resamples.
        overwrite: Replace earlier results in `out`. Those in the predictions' own folder are replaced anyhow.

    Returns:
        The scores, as written.

    Raises:
        SamTailorError: If a setting is wrong, or masks and labels do not go together; everything found is named, and
            nothing has been written.
    """
    from samtailor.evaluation.masks import classes_of, geometry_error, measure_pairs, open_truth, pair, refuse, view_of
    from samtailor.evaluation.predictions import RESULTS, write_results
    from samtailor.evaluation.scores import Scores

    require_protocol(protocol or "samtailor")
    target = Path(out) if out else Path(predictions) / "scores"
    require_place(target, [predictions, labels])
    if out:
        require_free([target / name for name in RESULTS], overwrite)
    truth = open_truth(Path(labels), split, Selection(fold, dataset, "all"))
    pairs, errors = pair(Path(predictions), truth)
    rules = protocol or truth.protocol
    require_protocol(rules, ignore_background)
    refuse([*errors, *filter(None, map(geometry_error, pairs))], "masks")
    space = classes_of(pairs, truth, Path(classes) if classes else None, rules)
    cases = measure_pairs(pairs, space, rules, ignore_background, workers)
    source = {"data": truth.root.resolve().name, "predictions": Path(predictions).resolve().name}
    source |= {"split": split} if split else {}
    scores = Scores(space, rules, tuple(cases), bootstrap, seed, source=source, ignore_background=ignore_background)
    files = {case.name: case for case in truth.cases if case.images}
    draw = (lambda index: view_of(pairs[index], files[pairs[index].name], space)) if files else None
    return write_results(scores, target, draw)
