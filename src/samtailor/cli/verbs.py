"""What each verb does: call the library, print what came out, return the exit code."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from samtailor.distributed.world import world
from samtailor.errors import ConfigError

if TYPE_CHECKING:
    from samtailor.cli.settings import (
        CheckConfig,
        DemoConfig,
        EstimateConfig,
        EvaluateConfig,
        ModelsConfig,
        PredictOnDevices,
        ResumeConfig,
        ShareConfig,
        TrainOnDevices,
    )
    from samtailor.data.check import CheckReport
    from samtailor.evaluation.comparison.settings import CompareConfig
    from samtailor.evaluation.score_settings import ScoreConfig
    from samtailor.inference.predict import PredictReport
    from samtailor.models.zoo import Base
    from samtailor.runs import Run


def check(config: CheckConfig) -> int:
    """Print what is in a data set and what is wrong with it; 2 if that forbids training."""
    report = _check(config.data, config.fold, config.seed)
    if config.json:
        print(json.dumps(report.to_json(), indent=1))
    else:
        _print_check(report)
    return 2 if report.errors else 0


def train(config: TrainOnDevices) -> int:
    """Check the data, fit, and say where everything is."""
    from samtailor.cli.progress import Bars
    from samtailor.distributed.together import start, together
    from samtailor.runs import Run
    from samtailor.training.train import train as fit

    here = start(config.device)
    with together():  # what needs no look at the data is refused, and fetched, before the data is read
        Run(Path(config.out)).require_new()
        _fetch_weights(config.base, config.weights)
    with together():
        report = _check(config.data, config.fold, config.seed) if here.is_first else None
        if report is not None:
            _print_check(report)
            if report.errors:
                raise ConfigError(
                    f"{config.data}: the errors above forbid training; fix them, then check with samtailor check"
                )
    try:
        with Bars():
            run = fit(config.training())
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(_how_to_go_on(Path(config.out))) from interrupt
    if here.is_first:
        _print_run(run, config.data)
    return 0


def estimate(config: EstimateConfig) -> int:
    """Measure some steps, and print what a training takes here and what would make it fit."""
    from rich.console import Console

    from samtailor.cli.progress import Bars
    from samtailor.training.estimate import estimate as measure
    from samtailor.training.estimate_table import render

    _fetch_weights(config.base, config.weights)
    with Bars():
        result = measure(config.training())
    if config.json:
        print(json.dumps(result.to_json(), indent=1))
    else:
        Console(highlight=False, markup=False).print(render(result))
    return 0


def resume(config: ResumeConfig) -> int:
    """Continue a run, and say where everything is."""
    from samtailor.cli.progress import Bars
    from samtailor.training.train import resume as fit

    try:
        with Bars():
            run = fit(Path(config.resume))
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(_how_to_go_on(Path(config.resume))) from interrupt
    if world().is_first:
        _print_run(run, run.read_config()["data"])
    return 0


def evaluate(config: EvaluateConfig) -> int:
    """Score a run and print the table."""
    from samtailor.cli.progress import Bars
    from samtailor.evaluation.evaluate import evaluate as score
    from samtailor.evaluation.tables import to_markdown

    out = Path(config.out) if config.out else Path(config.run) / "evaluation" / config.split
    with Bars():
        scores = score(
            Path(config.run),
            Path(config.data),
            config.split,
            out,
            config.protocol,
            config.batch_size,
            config.device,
            config.bootstrap,
            config.seed,
            config.ignore_background,
            config.precision,
        )
    print(to_markdown(scores))
    print(f"tables and figures   {out}")
    return 0


def compare(config: CompareConfig) -> int:
    """Compare results and print what the tests say."""
    from samtailor.evaluation.comparison.compare import compare as compare_results
    from samtailor.evaluation.comparison.page import pair_table, verdict

    comparison = compare_results(**{**vars(config), "out": Path(config.out)})
    for pair in comparison.pairs:
        print(f"{pair.result.name} against {pair.reference.name}\n")
        print(pair_table(pair, comparison).to_markdown())
    print(verdict(comparison))
    print(f"page   {Path(config.out) / 'compare.html'}")
    return 0


def score(config: ScoreConfig) -> int:
    """Score saved masks and print the tables."""
    from samtailor.cli.progress import Bars
    from samtailor.evaluation.score import score as score_masks
    from samtailor.evaluation.tables import to_markdown

    with Bars():
        scores = score_masks(config)
    print(to_markdown(scores))
    print(f"tables and figures   {config.out or Path(config.predictions) / 'scores'}")
    return 0


def predict(config: PredictOnDevices) -> int:
    """Segment inputs; 1 if some could not be."""
    from samtailor.cli.progress import Bars
    from samtailor.inference.predict import predict as segment

    with Bars():
        report = segment(
            config.run,
            config.inputs,
            config.out,
            config.probabilities,
            config.overlays,
            config.batch_size,
            config.device,
            config.skip_existing,
            config.precision,
        )
    if world().is_first:
        _print_report(report, config.out)
    return 1 if report.failures else 0


def _print_report(report: PredictReport, out: str) -> None:
    """What was written, and what failed and why."""
    there = f", {len(report.skipped)} were there" if report.skipped else ""
    print(f"{len(report.written)} written to {out}{there}")
    if report.failures:
        print(f"{len(report.failures)} failed:", file=sys.stderr)
        for failure in report.failures:
            print(f"  {failure.file}: {failure.reason}", file=sys.stderr)


def models(config: ModelsConfig) -> int:
    """Print the zoo, with parameter counts under a recipe."""
    from samtailor.models.counts import parameter_table
    from samtailor.models.sources import cached_path
    from samtailor.models.zoo import BASES
    from samtailor.recipes.recipe import make_recipe
    from samtailor.reporting.table import Table

    for name, value, least in (("classes", config.classes, 2), ("rank", config.rank, 1)):
        if value < least:
            raise ConfigError(f"{name}: expected at least {least}, found {value}")
    recipe = make_recipe(config.recipe, vars(config))
    rows = []
    for count in parameter_table(recipe, config.classes):
        base = BASES[count.base]
        cached = "yes" if cached_path(base.weights()) else "no"
        numbers = (f"{count.total:,}", f"{count.trainable:,}", str(base.image_size))
        rows.append((base.name, *numbers, _normalisation(base), base.licence, base.source, cached))
    header = ("base", "total", "trainable", "input", "normalisation", "licence", "source", "cached")
    notes = (
        f"Parameters with {recipe} and {config.classes} classes. Input: image side of the pretraining; any multiple of "
        "16 (SAM, MobileSAM), 32 (SAM 2) or 4 (lite-medsam) will do.",
        "Other weights: --weights with a file of the authors, a folder in transformers' format, or a hub name.",
    )
    print(Table(header, tuple(rows), notes).to_markdown())
    return 0


def share(config: ShareConfig) -> int:
    """Write a segmenter for others, and say where."""
    import samtailor
    from samtailor.runs import Run

    if (config.out is None) == (config.push is None):
        raise ConfigError("share: expected either --out FOLDER or --push OWNER/NAME; give one of them")
    if config.merged and config.push is not None:
        raise ConfigError("share: expected --merged with --out FOLDER, found --push; push what was trained alone")
    run = config.run if Run(Path(config.run)).is_there else None
    segmenter = samtailor.load(config.run)
    if config.push is not None:
        print(f"shared   {segmenter.push_to_hub(config.push, run, config.private, config.picture)}")
        return 0
    assert config.out is not None
    write = segmenter.merge_and_export if config.merged else segmenter.save_pretrained
    write(config.out, run, config.picture)
    print(f"shared   {config.out}")
    print(f"card     {Path(config.out) / 'README.md'}")
    return 0


def demo(config: DemoConfig) -> int:
    """Run the demo and say where its report is."""
    from samtailor.cli.progress import Bars
    from samtailor.reproduction.demo import run_demo

    with Bars():
        result = run_demo(Path(config.out), config.miniature)
    print(f"mean DSC on {result.patients} unseen synthetic patients, without background: {result.dsc:.3f}")
    print("The data is synthetic: this shows that everything works, and nothing about real patients.")
    print(f"report   {result.report}")
    return 0


def _fetch_weights(base: str, weights: str | None) -> None:
    """Have the weights of a base here, with a bar on the screen if they must be fetched."""
    from samtailor.cli.progress import Bars
    from samtailor.models.zoo import weights_files

    with Bars():
        weights_files(base, weights)


def _check(data: str, fold: int, seed: int) -> CheckReport:
    """Check a data set with a bar on the screen."""
    from samtailor.cli.progress import Bars
    from samtailor.data.check import check_dataset

    with Bars():
        return check_dataset(Path(data), fold, seed)


def _print_check(report: CheckReport) -> None:
    from rich.console import Console

    from samtailor.data.check_report import render

    Console(highlight=False, markup=False).print(render(report))


def _print_run(run: Run, data: str) -> None:
    """Where everything of a finished run is, and what to do next."""
    best = run.best_epoch()
    assert best is not None  # the last epoch is validated
    print(f"best validation   mean DSC {best['dsc']:.4f} in epoch {best['epoch']:.0f}")
    print(f"segmenter         {run.segmenter_directory}")
    print(f"curves            {run.curves_file}")
    print(f"next              samtailor evaluate {run.directory} {data} --split test")
    print(f"                  samtailor predict {run.directory} INPUT --out OUT")


def _how_to_go_on(run: Path) -> str:
    """What to do after an interruption."""
    from samtailor.runs import Run

    if Run(run).is_there:
        return f"continue with samtailor train --resume {run}"
    return "nothing has been written; start again"


def _normalisation(base: Base) -> str:
    """How a base wants its images, in words."""
    from samtailor.models.zoo import IMAGENET, ZERO_ONE

    names = {ZERO_ONE: "[0, 1]", IMAGENET: "ImageNet's"}
    if (base.mean, base.std) in names:
        return names[base.mean, base.std]
    mean, std = (", ".join(f"{value:.3g}" for value in values) for values in (base.mean, base.std))
    return f"mean {mean}, std {std}"
