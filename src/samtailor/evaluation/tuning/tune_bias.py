"""Choosing offsets of the class logits on validation cases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from samtailor.settings import AnyPath, Count, Device, Precision, Rare, checked

if TYPE_CHECKING:
    from samtailor.evaluation.tuning.bias_report import BiasTuning


@checked
def tune_bias(
    run: AnyPath,
    data: AnyPath,
    batch_size: Count = 8,
    device: Device = "auto",
    precision: Rare[Precision] = "auto",
) -> BiasTuning:
    """Search offsets of the class logits that gain on the validation split, and store them in the segmenter.

    The network predicts each validation case once; then the offset of one class after the other is moved to where the
    mean DSC is greatest: of each class over the cases or, where the data set's protocol counts the pixels of all cases
    together (irstd, remote-sensing), over these; on land cover (remote-sensing) the background is a class, too. Only if
    the mean is higher than before, and offsets that one half of the cases chooses gain on the other half as well, the
    segmenter has them from then on: predict and evaluate add them unless --bias none says otherwise. Earlier ones that
    are worse than none are taken away. A class that no validation case shows keeps its logit. The weights are not
    touched. The refinement is to be tuned after the bias.

    Args:
        run: Directory of the run.
        data: The run's labelled folder, or another with its classes and a split 'val'.
        batch_size: Images computed at once.
        device: 'auto' takes a GPU if there is one.
        precision: 'auto' is bfloat16 where a GPU computes in it, single precision elsewhere.

    Returns:
        What was found and what came of it, as written to `tuning` in the run.

    Raises:
        SamTailorError: If run or data are not as expected, or the segmenter has steps that change its label.
    """
    import tempfile

    from samtailor.evaluation.tuning.bias import choose, counts_of, of_shown
    from samtailor.evaluation.tuning.bias_report import BiasTuning
    from samtailor.evaluation.tuning.cases import predicted
    from samtailor.evaluation.tuning.setup import TuningData
    from samtailor.files import write_json, write_text
    from samtailor.inference.predictor import Predictor, choose_device
    from samtailor.metrics.mean_dsc import MeanDsc
    from samtailor.models.segmenter_model import save_practice
    from samtailor.refinement import chosen_refinement, require_no_label_steps

    choose_device(device, precision)  # refused, if at all, before anything is read
    opened = TuningData.opened(Path(run), Path(data))
    folder = opened.run.tuning_directory
    with opened.run.alone(), tempfile.TemporaryDirectory(prefix="samtailor-") as scratch:
        model = opened.load()
        require_no_label_steps(chosen_refinement(model.practice.refinement) or ())
        predictor = Predictor(model.for_inference(), batch_size, device, precision, bias="none")
        cases = predicted(predictor, opened.files, opened.dataset.labels, scratch)
        mean = MeanDsc.of_protocol(opened.dataset.protocol)
        choice = choose(cases, len(model.labels), mean)
        saved = model.practice.bias
        before = choice.without if saved is None else of_shown(counts_of(cases, saved))
        kept, counts = choice.kept
        is_stored = mean(counts) > mean(before)
        tuning = BiasTuning(model.labels, choice, saved, before, opened.names, is_stored, folder)
        if is_stored:
            save_practice(opened.run.segmenter_directory, bias=kept)
        write_text(folder / "bias.md", tuning.to_markdown())
        write_json(opened.run.bias_file, tuning.to_json())
    return tuning
