"""SamTailor: fit Segment Anything models to your own classes.

A labelled folder in, a class-aware segmenter of a few megabytes out, masks written in the geometry of the input.

    import samtailor

    run = samtailor.train("data/btcv", out="runs/btcv", time="30m")
    segmenter = samtailor.load("runs/btcv")
    segmenter.predict("case.nii.gz").save("case_seg.nii.gz")

Importing the package is light: every name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from samtailor.version import VERSION

if TYPE_CHECKING:
    from samtailor.data.check import check as check
    from samtailor.errors import SamTailorError as SamTailorError
    from samtailor.evaluation.comparison.compare import compare as compare
    from samtailor.evaluation.evaluate import evaluate as evaluate
    from samtailor.evaluation.robustness.robustness import robustness as robustness
    from samtailor.evaluation.score import score as score
    from samtailor.evaluation.tuning.tune_bias import tune_bias as tune_bias
    from samtailor.evaluation.tuning.tune_refinement import tune_refinement as tune_refinement
    from samtailor.inference.predict import predict as predict
    from samtailor.inference.prompt import Prompt as Prompt
    from samtailor.losses import ClassAwareLoss as ClassAwareLoss
    from samtailor.models.listing import list_models as list_models
    from samtailor.models.zoo import load_base as load_base
    from samtailor.page.app import app as app
    from samtailor.recipes import Adapter as Adapter
    from samtailor.recipes import Full as Full
    from samtailor.recipes import HeadOnly as HeadOnly
    from samtailor.recipes import LoRA as LoRA
    from samtailor.recipes import Recipe as Recipe
    from samtailor.refinement.outline import Outline as Outline
    from samtailor.reproduction.demo import demo as demo
    from samtailor.reproduction.reproduce import reproduce as reproduce
    from samtailor.segmenter import Segmenter as Segmenter
    from samtailor.segmenter import load as load
    from samtailor.settings import IntensityConfig as IntensityConfig
    from samtailor.sharing.onnx.export import export as export
    from samtailor.sharing.share import share as share
    from samtailor.training.estimate import estimate as estimate
    from samtailor.training.labelled import dataset as dataset
    from samtailor.training.settings import AugmentConfig as AugmentConfig
    from samtailor.training.settings import LossConfig as LossConfig
    from samtailor.training.settings import OptimConfig as OptimConfig
    from samtailor.training.settings import SamplingConfig as SamplingConfig
    from samtailor.training.settings import TrainConfig as TrainConfig
    from samtailor.training.train import resume as resume
    from samtailor.training.train import train as train
    from samtailor.zeroshot.baseline import baseline as baseline
    from samtailor.zeroshot.encode import encode as encode
    from samtailor.zeroshot.generator import masks_everything as masks_everything

VERBS = {
    "check": "data.check.check",
    "estimate": "training.estimate.estimate",
    "train": "training.train.train",
    "resume": "training.train.resume",
    "evaluate": "evaluation.evaluate.evaluate",
    "robustness": "evaluation.robustness.robustness.robustness",
    "compare": "evaluation.comparison.compare.compare",
    "baseline": "zeroshot.baseline.baseline",
    "score": "evaluation.score.score",
    "tune-bias": "evaluation.tuning.tune_bias.tune_bias",
    "tune-refinement": "evaluation.tuning.tune_refinement.tune_refinement",
    "predict": "inference.predict.predict",
    "app": "page.app.app",
    "models": "models.listing.list_models",
    "share": "sharing.share.share",
    "export": "sharing.onnx.export.export",
    "reproduce": "reproduction.reproduce.reproduce",
    "demo": "reproduction.demo.demo",
}
"""The functions that are verbs of the command line as well, by the verb, in the order of its help."""

_OTHERS = (
    "segmenter.Segmenter",
    "segmenter.load",
    "models.zoo.load_base",
    "zeroshot.generator.masks_everything",
    "zeroshot.encode.encode",
    "training.labelled.dataset",
    "training.settings.TrainConfig",
    "training.settings.SamplingConfig",
    "settings.IntensityConfig",
    "training.settings.AugmentConfig",
    "training.settings.LossConfig",
    "training.settings.OptimConfig",
    "losses.ClassAwareLoss",
    "inference.prompt.Prompt",
    "refinement.outline.Outline",
    "recipes.LoRA",
    "recipes.Adapter",
    "recipes.HeadOnly",
    "recipes.Full",
    "recipes.Recipe",
    "errors.SamTailorError",
)

_MODULES = {name: module for module, _, name in (path.rpartition(".") for path in (*VERBS.values(), *_OTHERS))}

__version__ = VERSION
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    """Load a public name from its module."""
    if name not in _MODULES:
        raise AttributeError(f"module 'samtailor' has no attribute '{name}'")
    value = getattr(import_module(f"samtailor.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
