"""Settings of the verbs that have none of their own elsewhere: each dataclass is a command line and a YAML file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from samtailor.inference.predict_settings import Precision, PredictConfig
from samtailor.metrics.protocols import ProtocolName
from samtailor.recipes.recipe import RecipeName
from samtailor.training.settings import TrainConfig


@dataclass(frozen=True)
class CheckConfig:
    """Look for everything in a data set that would spoil a training.

    Attributes:
        data: Labelled folder (nnU-Net layout, image folder, or a data set known by name as its publisher ships it).
        fold: Entry of splits_final.json (nnU-Net layout).
        seed: Seed of the split, if the folder names none.
        json: Print everything as JSON.
    """

    data: str
    fold: int = 0
    seed: int = 0
    json: bool = False


@dataclass(frozen=True, kw_only=True)
class Devices:
    """How many processes work on this machine, if torchrun or SLURM does not say it.

    Attributes:
        devices: Processes on this machine, each with a GPU of its own if there are any (see docs/distributed.md).
    """

    devices: int = 1


@dataclass(frozen=True)
class TrainOnDevices(TrainConfig, Devices):
    """Everything that determines a training, and in how many processes it runs, which changes no number."""

    def training(self) -> TrainConfig:
        """The settings of the training itself."""
        return TrainConfig(**{field.name: getattr(self, field.name) for field in fields(TrainConfig)})


@dataclass(frozen=True)
class PredictOnDevices(PredictConfig, Devices):
    """What is predicted, and in how many processes."""


@dataclass(frozen=True)
class EstimateConfig(TrainConfig):
    """Everything that determines a training, of which memory and time are estimated.

    Attributes:
        out: Directory of the run; nothing is written there.
        json: Print everything as JSON.
    """

    out: str = ""
    json: bool = False

    def training(self) -> TrainConfig:
        """The settings of the training itself."""
        return TrainConfig(**{field.name: getattr(self, field.name) for field in fields(TrainConfig)})


@dataclass(frozen=True)
class ResumeConfig(Devices):
    """Continue an interrupted training after its last finished epoch.

    Attributes:
        resume: Directory of the run.
    """

    resume: str


@dataclass(frozen=True)
class EvaluateConfig:
    """Score a run on a split of a labelled folder.

    Attributes:
        run: Directory of the run.
        data: Labelled folder with the run's classes.
        split: Cases to score.
        out: Where tables and figures are written; evaluation/SPLIT in the run if None.
        protocol: Which scores are computed, and by which rules; the data set's own, or else 'samtailor', if None.
        batch_size: Images computed at once.
        device: 'auto' takes a GPU if there is one.
        bootstrap: Resamples of the 95 % intervals.
        seed: Seed of the resamples.
        ignore_background: Pixels of the first class count nowhere (remote-sensing only), for data whose background
            means 'not labelled'.
        precision: 'auto' is bfloat16 where a GPU computes in it, single precision elsewhere.
    """

    run: str
    data: str
    split: Literal["train", "val", "test"] = "test"
    out: str | None = None
    protocol: ProtocolName | None = None
    batch_size: int = 8
    device: Literal["auto", "cpu", "cuda"] = "auto"
    bootstrap: int = 1000
    seed: int = 0
    ignore_background: bool = False
    precision: Precision = "auto"


@dataclass(frozen=True)
class ModelsConfig:
    """List the base models and what a recipe adds to them.

    Attributes:
        recipe: Which parameters are adapted, and how.
        rank: Rank of LoRA.
        dora: LoRA also trains the length of every weight vector (DoRA).
        rslora: LoRA's update is scaled by the square root of its rank (rsLoRA).
        reduction: Width of a block over the width of its adapter's bottleneck.
        scale: Factor of the adapter parallel to the MLP.
        depth: Adapters also attend across neighbouring slices of a volume.
        last_blocks: Attention blocks of the image encoder that LoRA or adapters change, from its end; all if None.
        classes: Classes, background included.
    """

    recipe: RecipeName = "lora"
    rank: int = 4
    dora: bool = False
    rslora: bool = False
    reduction: int = 4
    scale: float = 0.5
    depth: bool = False
    last_blocks: int | None = None
    classes: int = 14


@dataclass(frozen=True)
class ShareConfig:
    """Write a fitted segmenter for others: a folder with a model card, or a repository on the model hub.

    Attributes:
        run: Directory of the run.
        out: Folder to write: new, empty, or an earlier share.
        push: Repository on the hub to write, 'owner/name', instead of a folder.
        private: Make the repository visible to its owner only.
        merged: Write one self-contained network in transformers' format instead of what was trained alone.
        picture: Show one case of the run's evaluation on the card; it is then seen by everyone who opens it.
    """

    run: str
    out: str | None = None
    push: str | None = None
    private: bool = False
    merged: bool = False
    picture: bool = False


@dataclass(frozen=True)
class DemoConfig:
    """Try everything on a synthetic abdominal CT: make it, fit, evaluate, predict, report.

    Attributes:
        out: New directory for everything.
        miniature: Only a few small patients and epochs, to see that everything works; its scores mean nothing.
    """

    out: str = "demo"
    miniature: bool = False
