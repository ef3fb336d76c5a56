"""SamTailor: fit Segment Anything models to your own classes.

A labelled folder in, a class-aware segmenter of a few megabytes out, masks written in the geometry of the input.

    import samtailor

    run = samtailor.train("data/btcv", out="runs/btcv", recipe=samtailor.LoRA(rank=4))
    segmenter = samtailor.load("runs/btcv")
    segmenter.predict("case.nii.gz").save("case_seg.nii.gz")

Importing the package is light: the verbs import what they need when they are called.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samtailor.errors import SamTailorError
from samtailor.recipes.recipe import Adapter, Full, HeadOnly, LoRA, Recipe
from samtailor.version import VERSION

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from samtailor.data.check import CheckReport
    from samtailor.data.dataset import Split
    from samtailor.evaluation.comparison.paired import Comparison
    from samtailor.evaluation.scores import Scores
    from samtailor.inference.predict import PredictReport
    from samtailor.inference.predict_settings import Precision
    from samtailor.metrics.protocols import ProtocolName
    from samtailor.models.sam import AnySizeSam
    from samtailor.models.sam2 import HieraSam
    from samtailor.reproduction.settings import ExperimentName
    from samtailor.runs import Run
    from samtailor.segmenter import Segmenter
    from samtailor.training.estimate import Estimate
    from samtailor.zeroshot.generator import MaskRecord

__version__ = VERSION

__all__ = [
    "Adapter",
    "Full",
    "HeadOnly",
    "LoRA",
    "Recipe",
    "SamTailorError",
    "baseline",
    "check",
    "compare",
    "estimate",
    "evaluate",
    "load",
    "load_base",
    "masks_everything",
    "predict",
    "reproduce",
    "resume",
    "score",
    "train",
]


def train(data: str | Path, *, out: str | Path, recipe: Recipe | None = None, **settings: Any) -> Run:
    """Fit a segmenter to a labelled folder.

    Args:
        data: nnU-Net folder or image folder.
        out: Directory of the run, new or empty.
        recipe: What is adapted, and how; `LoRA()` if None.
        **settings: Any other field of `samtailor.training.settings.TrainConfig`.

    Returns:
        The run; `samtailor.load` takes its directory.

    Raises:
        SamTailorError: If the data, the base or a setting is not as expected.
    """
    from samtailor.recipes.recipe import recipe_to_json
    from samtailor.training.settings import TrainConfig
    from samtailor.training.train import train as fit

    described = recipe_to_json(recipe or LoRA())
    name = described.pop("name")
    return fit(TrainConfig(data=str(data), out=str(out), recipe=name, **described, **settings))


def estimate(data: str | Path, *, recipe: Recipe | None = None, **settings: Any) -> Estimate:
    """Measure how much memory and time a training takes on this machine, and what would make it fit.

    Args:
        data: nnU-Net folder or image folder.
        recipe: What is adapted, and how; `LoRA()` if None.
        **settings: Any other field of `samtailor.training.settings.TrainConfig`.

    Returns:
        The given settings and alternatives, each measured in a process of its own.

    Raises:
        SamTailorError: If the data, the base or a setting is not as expected.
    """
    from samtailor.recipes.recipe import recipe_to_json
    from samtailor.training.estimate import estimate as measure
    from samtailor.training.settings import TrainConfig

    described = recipe_to_json(recipe or LoRA())
    name = described.pop("name")
    return measure(TrainConfig(**{"data": str(data), "out": "", "recipe": name, **described, **settings}))


def check(data: str | Path) -> CheckReport:
    """Everything in a labelled folder that would spoil a training, all findings at once."""
    from samtailor.data.check import check_dataset

    return check_dataset(Path(data))


def resume(run: str | Path) -> Run:
    """Continue an interrupted run after its last finished epoch."""
    from samtailor.training.train import resume as resume_run

    return resume_run(Path(run))


def evaluate(
    run: str | Path,
    data: str | Path,
    split: Split = "test",
    out: str | Path | None = None,
    protocol: ProtocolName | None = None,
    device: str = "auto",
) -> Scores:
    """Score a run on a split of a labelled folder, and write tables and figures.

    Args:
        run: Directory of the run.
        data: Labelled folder with the run's classes.
        split: 'train', 'val' or 'test'.
        out: Where tables and figures are written; evaluation/<split> of the run if None.
        protocol: By which rules (see `samtailor.metrics.protocols`); the data set's own, or else 'samtailor', if None.
        device: 'auto', 'cpu' or 'cuda'.

    Raises:
        SamTailorError: If run, data, classes or split are not as expected.
    """
    from samtailor.evaluation.evaluate import evaluate as score

    return score(Path(run), Path(data), split, Path(out) if out else None, protocol, device=device)


def compare(
    results: Sequence[str | Path],
    metric: str = "dsc",
    split: Split = "test",
    out: str | Path | None = None,
    names: Sequence[str] | None = None,
    all_pairs: bool = False,
    common: bool = False,
) -> Comparison:
    """Compare results on the same cases: paired differences, bootstrap intervals, Wilcoxon tests.

    Args:
        results: metrics.json files, folders that hold one, or runs; the first one is the reference.
        metric: Score to compare, as it is called in the files.
        split: Split whose scores are taken from runs.
        out: Where the page, its figures and numbers are written; nowhere if None.
        names: Names of the results; those of their folders if None.
        all_pairs: Compare each with every other one, instead of each with the first.
        common: Compare on the cases and classes that all have, where they differ.

    Raises:
        SamTailorError: If the results cannot be compared.
    """
    from samtailor.evaluation.comparison.compare import compare as compare_results

    return compare_results(results, metric, split, Path(out) if out else None, names, all_pairs, common)


def score(
    predictions: str | Path,
    labels: str | Path,
    protocol: ProtocolName | None = None,
    out: str | Path | None = None,
    **settings: Any,
) -> Scores:
    """Score a folder of saved masks, ours or another tool's, and write tables and figures.

    Args:
        predictions: Folder of masks (NIfTI, PNG, TIFF), each named after its case.
        labels: Folder of label files of the same names, or a labelled data set.
        protocol: By which rules (see `samtailor.metrics.protocols`); the data set's own, or else 'samtailor', if None.
        out: Where tables and figures are written; the folder 'scores' in that of the predictions if None.
        **settings: Any other field of `samtailor.evaluation.score_settings.ScoreConfig`.

    Raises:
        SamTailorError: If masks and labels do not go together; everything found is named, and nothing is written.
    """
    from samtailor.evaluation.score import score as score_masks
    from samtailor.evaluation.score_settings import ScoreConfig

    return score_masks(ScoreConfig(str(predictions), str(labels), protocol, out=str(out) if out else None, **settings))


def predict(
    run: str | Path,
    inputs: Sequence[str | Path],
    out: str | Path,
    probabilities: bool = False,
    overlays: bool = False,
    device: str = "auto",
    skip_existing: bool = False,
    precision: Precision = "auto",
) -> PredictReport:
    """Segment files, folders and globs; a bad file does not stop the others.

    Args:
        run: A run, or the directory of a segmenter.
        inputs: Files, folders, globs.
        out: Directory of the results.
        probabilities: Whether to write the softmax over classes as well.
        overlays: Whether to draw the most telling slice with its result as well.
        device: 'auto', 'cpu' or 'cuda'.
        skip_existing: Whether to leave out inputs whose result is there already, as after an interruption.
        precision: 'auto', '32', 'bf16' or '16'; 'auto' is bfloat16 where a GPU computes in it, else single precision.

    Returns:
        What was written, and what failed and why.
    """
    from samtailor.inference.predict import predict as segment

    return segment(
        run, inputs, out, probabilities, overlays, device=device, skip_existing=skip_existing, precision=precision
    )


def reproduce(what: ExperimentName, data: str | Path, **settings: Any) -> Path:
    """Measure a table or figure of the report again, and write a page with the published numbers beside ours.

    Args:
        what: 'table5', 'figure6', ... (table3 is counted by `samtailor.reproduction.table3`).
        data: Labelled folder of the report's data set, or of one that stands in for it.
        **settings: Any other field of `samtailor.reproduction.settings.ReproduceConfig`.

    Returns:
        The page in Markdown; the same in HTML lies beside it.

    Raises:
        SamTailorError: If data, base or a setting is not as expected.
    """
    from samtailor.reproduction.reproduce import reproduce as measure
    from samtailor.reproduction.settings import ReproduceConfig

    return measure(ReproduceConfig(what=what, data=str(data), **settings))


def load(source: str | Path, weights: str | Path | None = None) -> Segmenter:
    """Load a fitted segmenter.

    Args:
        source: A run, the directory of a segmenter, or a name on the model hub ('owner/name').
        weights: Weights of the base, if they are not where they were when the segmenter was fitted.

    Raises:
        SamTailorError: If something is missing, damaged, or does not fit.
    """
    from samtailor.segmenter import load as load_segmenter

    return load_segmenter(source, weights)


def load_base(name: str, weights: str | Path | None = None) -> AnySizeSam | HieraSam:
    """A pretrained base network by its name in the zoo, callable as transformers' `SamModel` or `Sam2Model` is.

    Args:
        name: Name in the zoo (`samtailor models` lists them).
        weights: A file, the authors' or safetensors; a folder in transformers' format; or a hub name. None is the
            published file, fetched into the cache if need be.

    Raises:
        SamTailorError: If there is no such base, or the weights are missing, damaged, or of another network.
    """
    from samtailor.models.zoo import load_base as load_network

    return load_network(name, weights)


def masks_everything(
    image: str | Path | NDArray[np.generic],
    base: str = "sam-vit-b",
    weights: str | Path | None = None,
    device: str = "auto",
    image_size: int | None = None,
    **settings: Any,
) -> list[MaskRecord]:
    """Everything that a base model sees in a picture, without fitting and without prompts.

    Args:
        image: Picture file, or an array (H, W) or (H, W, 3) of uint8, or of floats in [0, 1].
        base: Name in the zoo.
        weights: Weights of the base (see `load_base`).
        device: 'auto', 'cpu' or 'cuda'.
        image_size: Side of the network's input, in pixels; that of the pretraining if None.
        **settings: Fields of `samtailor.zeroshot.generator_settings.GeneratorSettings`, named as in the originals'
            automatic mask generators: points_per_side, pred_iou_thresh, crop_n_layers, ...

    Returns:
        The masks, the best first.

    Raises:
        SamTailorError: If the image, the base, its weights or a setting are not as expected.
    """
    from samtailor.zeroshot.generator import masks_everything as generate

    return generate(image, base, weights, device, image_size, **settings)


def baseline(data: str | Path, *, out: str | Path, **settings: Any) -> Scores:
    """Score what a base model finds without fitting: an upper bound, since it uses the ground truth.

    Args:
        data: Labelled folder.
        out: Folder of the results; an interrupted baseline goes on there.
        **settings: Any other field of `samtailor.zeroshot.settings.BaselineConfig`: base, kind, split, slices, ...

    Raises:
        SamTailorError: If the data, the base or a setting is not as expected.
    """
    from samtailor.zeroshot.run import baseline as score
    from samtailor.zeroshot.settings import BaselineConfig

    return score(BaselineConfig(data=str(data), out=str(out), **settings))
