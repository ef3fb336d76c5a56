"""The demo: the main job from nothing to a report, on a synthetic abdominal CT."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from shlex import quote

from samtailor.data.phantom import make_phantom
from samtailor.errors import counted
from samtailor.evaluation.evaluate import evaluate
from samtailor.evaluation.scores import Scores, case_table, class_table
from samtailor.inference.predict import predict
from samtailor.models.counts import count_parameters
from samtailor.models.zoo import find_base
from samtailor.outputs import require_new, require_place
from samtailor.recipes import LoRA
from samtailor.reporting.page import Page, Picture, Section, machine_table, settings_table
from samtailor.reporting.table import Table
from samtailor.runs import Run
from samtailor.training.settings import AugmentConfig, SamplingConfig, TrainConfig
from samtailor.training.train import train_run

_RANK = 4

NOTE = (
    "Synthetic data: these patients were made by a program. The numbers show that everything works; "
    "they say nothing about real patients."
)


@dataclass(frozen=True)
class DemoSettings:
    """Size and training of a demo; a fifth of the patients (at least two) is unseen in training."""

    patients: int
    shape: tuple[int, int, int]
    training: TrainConfig


def settings_of(out: Path, miniature: bool) -> DemoSettings:
    """Settings of the demo in a directory, or of its miniature for continuous integration."""
    training = TrainConfig(data=str(out / "data"), out=str(out / "run"), recipe=LoRA(rank=_RANK))
    if miniature:
        tiny = replace(training, epochs=12, validate_every=4, sampling=SamplingConfig(image_size=64))
        return DemoSettings(6, (8, 64, 64), tiny)
    # Small batches: what counts in so short a training is the number of steps.
    full = replace(
        training,
        epochs=6,
        batch_size=2,
        validate_every=2,
        sampling=SamplingConfig(image_size=96, empty=0.1),
        augment=AugmentConfig(affine=0.3, intensity=0.05),
    )
    return DemoSettings(12, (24, 128, 128), full)


@dataclass(frozen=True)
class DemoResult:
    """What came of a demo.

    Attributes:
        report: The HTML page.
        dsc: Mean DSC of the unseen patients, without background.
        patients: Number of unseen patients.
    """

    report: Path
    dsc: float
    patients: int

    def __str__(self) -> str:
        return (
            f"mean DSC on {self.patients} unseen synthetic patients, without background: {self.dsc:.3f}\n"
            "The data is synthetic: this shows that everything works, and nothing about real patients.\n"
            f"report   {self.report}"
        )


def run_demo(out: Path, miniature: bool) -> DemoResult:
    """Do what `demo` says."""
    require_place(out)
    require_new(out, "name another one, or delete it")
    settings = settings_of(out, miniature)
    steps = [("", time.perf_counter())]  # when each has ended

    def ended(step: str) -> None:
        steps.append((step, time.perf_counter()))

    data = make_phantom(out / "data", settings.patients, settings.shape)
    ended(f"making {settings.patients} patients")
    run = train_run(settings.training)
    ended("training")
    scores = evaluate(run.directory, data, "test")
    ended(f"evaluating {len(scores.cases)} unseen patients, with figures")
    unseen = data / "imagesTs" / f"{scores.cases[-1].name}_0000.nii.gz"
    prediction = predict(run.directory, [unseen], out / "prediction", overlays=True).written[0]
    ended("predicting one volume, from loading the segmenter to the overlay")
    overlay = prediction.parent / "overlays" / f"{unseen.name.removesuffix('_0000.nii.gz')}.png"
    predicted = (
        f"samtailor predict wrote {prediction} for {unseen}, on the very grid of the input.",
        _picture(overlay, "Image and prediction, without truth"),
    )
    sections = (
        _summary(settings, steps),
        _scores(scores, run),
        Section("Prediction", predicted),
        _training(settings.training, run, len(scores.labels)),
        Section("Machine and versions", (machine_table(),)),
    )
    Page("SamTailor demo", NOTE, sections).write_html(out / "report.html")
    dsc = scores.summary("dsc").without_background.value
    return DemoResult(out / "report.html", dsc, len(scores.cases))


def _summary(settings: DemoSettings, steps: Sequence[tuple[str, float]]) -> Section:
    """What was done, and how long it took."""
    slices, rows, columns = settings.shape
    training = settings.training
    text = (
        f"{settings.patients} synthetic abdominal CT volumes of {slices} x {rows} x {columns} voxels with 13 organs "
        f"were made, {training.base} was fitted to some of them with LoRA of rank {_RANK}, and the segmenter "
        "was tried on patients it had not seen. Any step can be repeated with the command line, for instance\n"
        f"samtailor evaluate {quote(str(training.out))} {quote(str(training.data))}"
    )
    seconds = [(step, end - start) for (_, start), (step, end) in pairwise(steps)]
    seconds.append(("all", steps[-1][1] - steps[0][1]))
    table = Table(("step", "seconds"), tuple((step, f"{value:.1f}") for step, value in seconds))
    return Section("What was done", (text, table))


def _scores(scores: Scores, run: Run) -> Section:
    """Tables and figures of the unseen patients."""
    figures = run.evaluation("test")
    pictures = [
        _picture(path, f"Image, truth and prediction of the {path.stem.removeprefix('overlay_')} case")
        for path in sorted(figures.glob("overlay_*.png"))
    ]
    box_plot = _picture(figures / "boxplot.png", "DSC of each class, every patient a point")
    return Section("Unseen patients", (class_table(scores), case_table(scores), *pictures, box_plot))


def _training(config: TrainConfig, run: Run, classes: int) -> Section:
    """Parameters, settings and curves."""
    recipe = config.recipe
    count = count_parameters(find_base(config.base), recipe, classes)
    size = sum(file.stat().st_size for file in run.segmenter_directory.iterdir())
    row = (
        f"{config.base}, {recipe}, {counted(classes, 'class')}",
        f"{count.total:,}",
        f"{count.trainable:,}",
        f"{count.trainable / count.total:.1%}",
        f"{size / 1e6:.1f} MB",
    )
    parameters = Table(("base and recipe", "parameters", "trained", "share", "segmenter on disk"), (row,))
    curves = _picture(run.curves_file, "Training loss and validation DSC over the epochs")
    settings = settings_table(run.read_config())
    return Section("Training", (parameters, curves, f"All settings, as in {run.config_file}:", settings))


def _picture(path: Path, caption: str) -> Picture:
    """Picture of a PNG file."""
    return Picture(path.name, path.read_bytes(), caption, caption)
