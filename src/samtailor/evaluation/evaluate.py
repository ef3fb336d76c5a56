"""Evaluating a run on a split of a labelled folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from samtailor.metrics.protocols import ProtocolName, require_protocol
from samtailor.outputs import require_free, require_place
from samtailor.refinement import Refine, chosen_refinement, to_plain, told
from samtailor.runs import Run, found_at
from samtailor.settings import (
    AnyPath,
    ClassBias,
    Count,
    Device,
    Precision,
    Rare,
    Resamples,
    Seed,
    Severity,
    Split,
    TestTimeFlip,
    WindowChoice,
    checked,
)

if TYPE_CHECKING:
    from samtailor.evaluation.scores import Scores


@checked
def evaluate(
    run: AnyPath,
    data: AnyPath,
    split: Split | None = None,
    out: AnyPath | None = None,
    protocol: ProtocolName | None = None,
    batch_size: Count = 8,
    device: Device = "auto",
    bootstrap: Rare[Resamples] = 1000,
    seed: Rare[Seed] = 0,
    ignore_background: Rare[bool] = False,
    precision: Rare[Precision] = "auto",
    refine: Refine | None = None,
    corrupt: str | None = None,
    severity: Severity | None = None,
    corrupt_seed: Rare[Seed] = 0,
    overwrite: bool = False,
    tta: TestTimeFlip | None = None,
    bias: ClassBias = "saved",
    windows: WindowChoice = "auto",
) -> Scores:
    """Score a run on a split of a labelled folder, and write tables and figures.

    Args:
        run: Directory of the run, or of a cross-validation.
        data: Labelled folder with the run's classes.
        split: Cases to score, by default 'test'. A folder that names no such split, but is the run's data, is split as
            in the run. Of a cross-validation 'val', its default, scores each case by the fold that has not seen it,
            'test' the mean of all folds.
        out: Where tables and figures are written; evaluation/SPLIT in the run by default, or
            evaluation/SPLIT-NAME-SEVERITY where images are corrupted.
        protocol: Which scores are computed, and by which rules; by default the data set's own, of other
            georeferenced scenes 'remote-sensing', or else 'samtailor'.
        batch_size: Images computed at once.
        device: 'auto' takes a GPU if there is one.
        bootstrap: Resamples of the 95 % intervals.
        seed: Seed of the resamples.
        ignore_background: Pixels of the first class count nowhere (remote-sensing only), for data whose background
            means 'not labelled'.
        precision: 'auto' is bfloat16 where a GPU computes in it, single precision elsewhere.
        refine: What is done to labels at the end (see `samtailor.predict`); by default what the segmenter was fitted
            with.
        corrupt: Score the run on images with one kind of damage, by its name (docs/guide/robustness.md lists them), in
            the place of the images as they are.
        severity: How severe the damage is, from 1 to 5.
        corrupt_seed: Seed of the damage.
        overwrite: Replace earlier results in `out`. Those in the run itself are replaced anyhow.
        tta: Flips at test time: what the network says of an image and of its mirror images is averaged, which takes so
            many times as long. 'columns' (2) where left and right look alike, 'both' (4) for views from above, 'auto'
            the flips of the training; by default what the segmenter was fitted with. 'none' shows the network each
            window once: a segmenter that was fitted with `sampling.wide` is otherwise also shown twice as much of a
            picture.
        windows: What the network sees at once of a picture: 'whole' all of it, shrunk to the network's input;
            'training' squares as large as the pictures, or crops, of the training, which overlap; 'auto' is the
            training's crops if there were any, else the whole of it unless its longer side is more than 1.5 times that
            of the largest picture of the training.
        bias: 'none' leaves out the offsets of the class logits that `samtailor.tune_bias` has stored in the segmenter.

    Returns:
        The scores, as written.

    Raises:
        SamTailorError: If run, data, classes or split are not as expected, a case has no label, or `out` cannot take
            the results.
    """
    from samtailor.data.corruptions import corruption_of
    from samtailor.data.dataset import open_dataset
    from samtailor.evaluation.cases import check_classes, parts_of_split, predict_parts
    from samtailor.evaluation.predictions import RESULTS, score_and_write
    from samtailor.inference.ensemble import mean_of
    from samtailor.inference.predictor import Predictor, choose_device
    from samtailor.models.segmenter_model import load_models, segmenter_told

    choose_device(device, precision)  # refused, if at all, before anything is read
    refinement, degradation = chosen_refinement(refine), corruption_of(corrupt, severity, corrupt_seed)
    place = found_at(Path(run))
    selection = place.selection
    split = split or place.default_split
    target = Path(out) if out else place.evaluation(f"{split}-{corrupt}-{severity}" if degradation else split)
    require_place(target, [run], data)
    if out:
        require_free([target / name for name in RESULTS], overwrite)
    dataset = open_dataset(Path(data), *selection)
    rules = protocol or dataset.protocol
    require_protocol(rules, ignore_background)
    parts = parts_of_split(dataset, split, place)
    models = load_models(run)
    for model in models:
        check_classes(dataset, model.labels)
    predictors = [
        Predictor(model.for_inference(), batch_size, device, precision, refinement, tta, bias, windows=windows)
        for model in models
    ]
    by_part = predictors if len(parts) > 1 else [mean_of(predictors)]
    cases = predict_parts(by_part, parts, dataset.labels, degradation)
    source: dict[str, Any] = {"data": dataset.root.resolve().name, "split": split}
    source |= {"run": place.directory.resolve().name}
    if isinstance(place, Run):
        source |= {"segmenter": segmenter_told(place)}
    else:
        source |= {"folds": len(models)}
    source |= {"corruption": corrupt, "severity": severity, "corrupt_seed": corrupt_seed} if degradation else {}
    practice = models[0].practice
    flips = practice.flip if tta == "auto" else tta or practice.tta
    source |= {"tta": flips} if flips != "none" else {}
    source |= {"wide": predictors[0].wide} if predictors[0].wide else {}
    source |= {"windows": windows} if windows != "auto" else {}
    if refinement is not None and to_plain(refinement) != list(practice.refinement):
        source |= {"refine": told(refinement)}
    source |= {"bias": bias} if any(model.practice.bias is not None for model in models) else {}
    return score_and_write(cases, dataset.labels, rules, target, bootstrap, seed, source, ignore_background)
