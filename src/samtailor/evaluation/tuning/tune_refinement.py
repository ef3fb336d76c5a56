"""Choosing the steps after the network on validation cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from samtailor.settings import AnyPath, Count, Device, Precision, Rare, Seed, checked

if TYPE_CHECKING:
    from samtailor.evaluation.tuning.report import Tuning
    from samtailor.refinement.step import Step


@checked
def tune_refinement(
    run: AnyPath,
    data: AnyPath,
    candidates: Sequence[str] | None = None,
    metric: Literal["dsc", "iou", "nsd", "boundary_iou"] = "dsc",
    trials: Count = 12,
    seed: Seed = 0,
    batch_size: Count = 8,
    device: Device = "auto",
    precision: Rare[Precision] = "auto",
) -> Tuning:
    """Search the steps after the network that gain on the validation split, and store them in the segmenter.

    The network predicts each validation case once, and once more for each trial of a step that uses it. Then one
    candidate after the other is tried with several settings behind what has gained so far; what raises the mean is
    kept. Only if the mean is higher than with the segmenter's steps so far, the segmenter has the new ones from then
    on: predict and evaluate apply them unless --refine says otherwise. Its weights are not touched.

    Args:
        run: Directory of the run.
        data: The run's labelled folder, or another with its classes and a split 'val'.
        candidates: Steps to try, in the order in which they are to be applied (see `samtailor.predict`). By default
            crf, level-set, fill-holes, smallest and largest-component, but for what is not installed.
        metric: What is to gain, as a mean over the cases, then over the classes but the background: 'dsc' or 'iou'; at
            boundaries 'nsd' (2 mm, volumes) or 'boundary_iou' (3 pixels, pictures).
        trials: Settings that are tried of each candidate at most: all of its grid, or a random choice.
        seed: Seed of that choice.
        batch_size: Images computed at once.
        device: 'auto' takes a GPU if there is one.
        precision: 'auto' is bfloat16 where a GPU computes in it, single precision elsewhere.

    Returns:
        What was tried and what came of it, as written to `tuning` in the run.

    Raises:
        SamTailorError: If run, data or candidates are not as expected, or a candidate needs what is not installed.
    """
    import tempfile

    from samtailor.evaluation.tuning.cases import MeanScore, TunedCase, predicted, require_metric
    from samtailor.evaluation.tuning.report import Tuning
    from samtailor.evaluation.tuning.search import Search
    from samtailor.evaluation.tuning.setup import TuningData
    from samtailor.evaluation.tuning.spaces import USUAL, ready, require_candidates, settings_of
    from samtailor.files import write_json, write_text
    from samtailor.inference.predictor import Predictor, choose_device
    from samtailor.models.segmenter_model import save_practice
    from samtailor.refinement import chosen_refinement, to_plain

    choose_device(device, precision)  # refused, if at all, before anything is read
    names = USUAL if candidates is None else candidates
    require_candidates(names)
    settings = [settings_of(name, trials, seed) for name in names]
    if candidates is None:
        settings = [usable for steps in settings if (usable := ready(steps))]
    for step in (step for steps in settings for step in steps):
        step.require_ready()
    opened = TuningData.opened(Path(run), Path(data))
    directory, dataset, files = opened.run, opened.dataset, opened.files
    require_metric(metric, dataset)
    with directory.alone(), tempfile.TemporaryDirectory(prefix="samtailor-") as scratch:
        model = opened.load()
        saved = chosen_refinement(model.practice.refinement)
        network = model.for_inference()

        def cases_after(passes: Sequence[Step]) -> tuple[TunedCase, ...]:
            return predicted(Predictor(network, batch_size, device, precision, passes), files, dataset.labels, scratch)

        tried, best = Search(cases_after, MeanScore(metric, dataset.labels)).tried(settings, saved or ())
        is_stored = best.score > tried[1].score
        tuning = Tuning(metric, tuple(tried), best, opened.names, seed, is_stored, directory.tuning_directory)
        if is_stored:
            save_practice(directory.segmenter_directory, refinement=tuple(to_plain(best.steps)))
        write_text(tuning.folder / "refinement.md", tuning.to_markdown())
        write_json(directory.refinement_file, tuning.to_json())
    return tuning
