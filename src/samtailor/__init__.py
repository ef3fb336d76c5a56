"""SamTailor: fit Segment Anything models to your own classes.

A labelled folder in, a class-aware segmenter of a few megabytes out, masks written in the geometry of the input.

    import samtailor

    run = samtailor.train("data/btcv", out="runs/btcv", recipe=samtailor.LoRA(rank=4))
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
    from samtailor.evaluation.score import score as score
    from samtailor.inference.predict import predict as predict
    from samtailor.inference.refine import Prompt as Prompt
    from samtailor.models.listing import models as models
    from samtailor.models.zoo import load_base as load_base
    from samtailor.recipes import Adapter as Adapter
    from samtailor.recipes import Full as Full
    from samtailor.recipes import HeadOnly as HeadOnly
    from samtailor.recipes import LoRA as LoRA
    from samtailor.recipes import Recipe as Recipe
    from samtailor.reproduction.demo import demo as demo
    from samtailor.reproduction.reproduce import reproduce as reproduce
    from samtailor.segmenter import Segmenter as Segmenter
    from samtailor.segmenter import load as load
    from samtailor.sharing.share import share as share
    from samtailor.training.estimate import estimate as estimate
    from samtailor.training.train import resume as resume
    from samtailor.training.train import train as train
    from samtailor.zeroshot.baseline import baseline as baseline
    from samtailor.zeroshot.generator import masks_everything as masks_everything

VERBS = {
    "check": "data.check",
    "estimate": "training.estimate",
    "train": "training.train",
    "resume": "training.train",
    "evaluate": "evaluation.evaluate",
    "compare": "evaluation.comparison.compare",
    "baseline": "zeroshot.baseline",
    "score": "evaluation.score",
    "predict": "inference.predict",
    "models": "models.listing",
    "share": "sharing.share",
    "reproduce": "reproduction.reproduce",
    "demo": "reproduction.demo",
}
"""Modules of the functions that are verbs of the command line as well, in the order of its help."""

_OTHERS = {
    "load": "segmenter",
    "load_base": "models.zoo",
    "masks_everything": "zeroshot.generator",
    "Adapter": "recipes",
    "Full": "recipes",
    "HeadOnly": "recipes",
    "LoRA": "recipes",
    "Prompt": "inference.refine",
    "Recipe": "recipes",
    "SamTailorError": "errors",
    "Segmenter": "segmenter",
}

__version__ = VERSION
__all__ = [*VERBS, *_OTHERS]


def __getattr__(name: str) -> Any:
    """Load a public name from its module."""
    module = VERBS.get(name) or _OTHERS.get(name)
    if module is None:
        raise AttributeError(f"module 'samtailor' has no attribute '{name}'")
    value = getattr(import_module(f"samtailor.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
