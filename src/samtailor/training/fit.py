"""What a training is made of: cached cases, the untrained model, batches, Lightning's trainer."""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote
from typing import Any, Literal

import lightning
import numpy as np
import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from samtailor.data.cache import CachedCase, SliceCache
from samtailor.data.channels import ChannelChoice
from samtailor.data.dataset import Dataset as LabelledFolder
from samtailor.distributed.collectives import make_once
from samtailor.distributed.lightning_plugins import environment_of, strategy_of
from samtailor.distributed.world import World, world
from samtailor.errors import ConfigError, FileError, NotFiniteError, SharedError, listed
from samtailor.files import atomic, cache_home, made_of
from samtailor.inference.predictor import Predictor, choose_device, chosen_precision
from samtailor.labels import LabelSpace
from samtailor.losses import ClassAwareLoss
from samtailor.metrics.mean_dsc import MeanDsc
from samtailor.models.practice import Practice
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.progress import told_every
from samtailor.refinement import REFINE, to_plain
from samtailor.runs import Run, RunWarning
from samtailor.settings import Split
from samtailor.training.augment import Augmentation
from samtailor.training.averaging import WeightAverage
from samtailor.training.clock import Clock, Deadline
from samtailor.training.embeddings import EmbeddingCache, EmbeddingSamples, case_windows
from samtailor.training.judgement import Judged
from samtailor.training.keeping_time import TimeKeeper
from samtailor.training.progress_line import ProgressLine
from samtailor.training.recorder import Recorder, VanishingClassWarning
from samtailor.training.resolve import copies_of, preprocessing_of
from samtailor.training.samples import (
    Crops,
    EpochSampler,
    JoinedSamples,
    SliceSamples,
    balancing_weights,
    case_positions,
    choose_slices,
    class_shares,
)
from samtailor.training.settings import TrainConfig
from samtailor.training.stopping import Stopper
from samtailor.training.task import SegmentationTask, ValidationEmbeddings

LOG = logging.getLogger("samtailor")


def check_surroundings(config: TrainConfig) -> None:
    """Refuse a device that is not there, or does not train in the precision, and a variable that says nothing."""
    told_every()
    if choose_device(config.device, config.precision).type == "cpu" and config.precision == "16":
        raise ConfigError("precision: expected bf16 or 32 on the CPU, which does not train in 16; found 16")


def check_batch(config: TrainConfig, here: World) -> None:
    """Refuse a batch that the processes cannot share evenly."""
    if config.batch_size % here.size:
        raise ConfigError(
            f"batch_size: expected a multiple of {here.size}, for that many processes share each batch; "
            f"found {config.batch_size}"
        )


@dataclass(frozen=True)
class Cases:
    """Cached cases of the two splits that training sees.

    Attributes:
        train: What is trained on.
        validation: By what the kept epoch is chosen.
        mean: What the chosen one is best in.
    """

    train: list[CachedCase]
    validation: list[CachedCase]
    mean: MeanDsc = field(default_factory=MeanDsc)


@dataclass(frozen=True)
class Fitting:
    """What a trainer is given.

    Attributes:
        task: Loss, validation, optimiser.
        samples: Batches of training samples.
        cases: Positions of the validation cases.
        shares: Share of each class among the labelled pixels of the training slices, (K,).
    """

    task: SegmentationTask
    samples: DataLoader[Any]
    cases: DataLoader[int]
    shares: NDArray[np.float64]


def load_cases(config: TrainConfig, folder: LabelledFolder) -> Cases:
    """Build, or find, the slice cache of training and validation cases, and of corrupted copies of the former.

    Raises:
        DataError: If no training case has foreground.
    """
    preprocessing = preprocessing_of(config, folder.channel_choice)
    cache = SliceCache(folder.labels, preprocessing)
    splits: tuple[Split, ...] = ("train", "val")
    train, validation = (make_once(cache.load, folder.split(one), f"{folder.seen_as} ({one})") for one in splits)
    for copy, degradation in enumerate(copies_of(config), start=1):
        load = SliceCache(folder.labels, preprocessing, degradation=degradation).load
        copies = make_once(load, folder.split("train"), f"{folder.seen_as} (train, corrupted copy {copy})")
        train += [replace(case, name=f"{case.name}, corrupted copy {copy}") for case in copies]
    choose_slices(train, config.sampling.empty, config.seed)
    if not any(case.counts[:, 1:].any() for case in validation):
        LOG.warning(
            "No validation case (%s) has a pixel of a class other than the background, so no epoch can be told from "
            "another: the segmenter of the last is kept, and patience is not used up. Put cases that have some into "
            "the split val",
            listed([case.name for case in validation]),
        )
    return Cases(train, validation, MeanDsc.of_protocol(folder.protocol))


def fingerprint_of(folder: LabelledFolder, cases: Cases) -> str:
    """Hash of classes, splits, and the content of every training and validation file."""
    parts = [folder.fingerprint(), *(case.key for case in cases.train + cases.validation)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def refinement_of(config: TrainConfig) -> tuple[dict[str, Any], ...]:
    """The steps after the network that a config chooses, as a segmenter's practice holds them."""
    return tuple(to_plain(REFINE.chosen(config.refine)))


def new_segmenter(
    config: TrainConfig, labels: LabelSpace, channels: ChannelChoice, largest: tuple[int, int] | None = None
) -> SegmenterModel:
    """Segmenter before its training, the same for the same seed; `largest` are rows and columns of pictures."""
    lightning.seed_everything(config.seed, verbose=False)
    preprocessing = preprocessing_of(config, channels)
    if largest is not None:
        preprocessing = replace(preprocessing, seen=max(largest))
    flip = "none" if config.is_cached(preprocessing.channels) else config.augment.flip
    tta = config.tta or "none"
    assert flip != "auto", "the flips must be resolved before training"
    assert tta != "auto", "the flips must be resolved before training"
    practice = Practice(
        refinement=refinement_of(config),
        prompts=config.prompts if config.prompt_fraction else "none",
        flip=flip,
        tta=tta,
        wide=config.wide,
    )
    model = SegmenterModel.create(
        config.base, config.recipe, labels, preprocessing, config.weights, practice, config.fine_features
    )
    if config.cache_frozen and not model.network.frozen_steps:
        raise ConfigError(
            f"last_blocks: expected fewer than all {len(model.network.image_encoder.steps)} blocks of the image "
            f"encoder, for cache_frozen keeps what those before them give; found {config.recipe}"
        )
    model.network.recompute_activations(config.checkpointing)
    return model


def prepare(config: TrainConfig, model: SegmenterModel, cases: Cases, embeddings_home: Path) -> Fitting:
    """Everything a trainer is given; outputs of frozen blocks are computed, or found, if the config trains on them."""
    here = world()
    batch_size = max(1, config.batch_size // here.size)
    slices = choose_slices(cases.train, config.sampling.empty, config.seed)
    shares = class_shares(slices)
    samples: Dataset[Any]
    first_samples: EmbeddingSamples | SliceSamples | None = None
    embeddings: list[NDArray[np.float16]] | None = None
    head_embeddings: list[NDArray[np.float16]] | None = None

    def embedded() -> tuple[EmbeddingSamples, list[NDArray[np.float16]]]:
        """Training samples and the embeddings of the validation cases, of what is frozen now."""
        cache = EmbeddingCache(Predictor(model, batch_size, config.device), embeddings_home)
        work = [(case, case_windows(case, model)) for case in cases.validation]
        return EmbeddingSamples(slices, model, cache), cache.load_all(work, "embeddings (val)")

    if config.head_epochs:
        model.network.encoder_rests = True
        first_samples, head_embeddings = embedded()
        model.network.encoder_rests = False
    if config.is_cached(model.preprocessing.channels):
        samples, embeddings = embedded()
    else:
        if config.recipe.freezes_encoder and here.is_first:
            LOG.warning(
                f"{config.recipe.name}: the projection of the {model.preprocessing.channels} channels, in front of the "
                "image encoder, is trained, so that embeddings cannot be kept: each epoch computes them anew"
            )
        augmentation = Augmentation(config.augment, model.preprocessing.image_size)

        def cropped(crops: Crops) -> SliceSamples:
            return SliceSamples(slices, model.preprocessing, augmentation, crops, model.group)

        samples = cropped(replace(Crops.of(config.sampling), wide=config.wide))
        if config.wide and not config.head_epochs:
            first_samples = cropped(Crops(rare=1.0))  # objects are learnt sooner if seen often, and at one size
    known = ValidationEmbeddings(embeddings, head_embeddings)
    first = (config.head_epochs or 1, len(first_samples)) if first_samples else (0, 0)
    sampler = EpochSampler(len(samples), config.sampling.per_epoch, config.seed, config.batch_size, here, first)
    loss = _loss(config, shares)
    task = SegmentationTask(model, loss, config, cases.validation, cases.mean, known, batch_size, sampler.batches_in)
    if first_samples:
        samples = JoinedSamples(samples, first_samples)
    workers, on_gpu = config.workers, choose_device(config.device).type == "cuda"
    loader = DataLoader(
        samples, batch_size, sampler=sampler, num_workers=workers, persistent_workers=workers > 0, pin_memory=on_gpu
    )
    positions: Any = case_positions(len(cases.validation), here)
    return Fitting(task, loader, DataLoader(positions, batch_size=None), shares)


def checkpoint_of(run: Run, which: Literal["last", "best"]) -> Path | None:
    """Where a training goes on; None if no epoch had ended.

    Raises:
        FileError: If there should be a checkpoint, but is none.
    """
    file = run.last_checkpoint if which == "last" else run.best_checkpoint
    # The history is written just before the checkpoint: of one epoch, there may be one without the other.
    if which == "last" and not os.path.lexists(file) and len(run.history()) < 2:
        return None
    if not file.is_file():
        raise FileError(file, f"the checkpoint of the {which} epoch", "none", _way_out(run, file))
    with made_of(file, "a checkpoint of this run", _way_out(run, file)):
        torch.load(file, map_location="cpu", weights_only=True, mmap=True)["state_dict"]
    return file


def _way_out(run: Run, damaged: Path) -> str:
    """What to do without a checkpoint."""
    again = "train again into another directory"
    if damaged != run.last_checkpoint or not run.best_checkpoint.is_file():
        return f"restore it, or {again}"
    best = f"samtailor resume {quote(str(run.directory))} --from best"
    return f"restore it, go on after the best epoch with {best}, or {again}"


class _Begun(lightning.Callback):
    """Knows whether a training has begun: whatever it was restored from was sound."""

    def __init__(self) -> None:
        self.has = False

    def on_train_start(self, *_: Any) -> None:
        """Everything is restored."""
        self.has = True


def fit(
    run: Run,
    config: TrainConfig,
    model: SegmenterModel,
    cases: Cases,
    checkpoint: Path | None = None,
    deadline: Deadline | None = None,
) -> None:
    """Fit from scratch or from a checkpoint; one that was laid out to end in time is kept to it.

    Raises:
        FileError: If the checkpoint is damaged, or not of this training; nothing has been changed then.
    """
    fitting = prepare(config, model, cases, cache_home() / "embeddings")
    sampler = fitting.samples.sampler
    assert isinstance(sampler, EpochSampler)
    clock = Clock(config, sampler.batches_in, deadline.paces if deadline else ())
    callbacks: list[lightning.Callback] = [
        VanishingClassWarning(model.labels.names, fitting.shares),
        begun := _Begun(),
        _EpochInSampler(sampler),
        ProgressLine(run, fitting.samples, clock),
    ]
    average = WeightAverage(config.optim.ema) if config.optim.ema else None
    stopper = Stopper(run.last_checkpoint, average)
    callbacks += [TimeKeeper(run, sampler, clock, deadline.end)] if deadline else []
    callbacks += [*([average] if average else []), Recorder(run, config.patience, average), stopper]
    lengths_vary = deadline is not None or isinstance(config.sampling.per_epoch, list)
    trainer = _trainer(run, config, callbacks, lengths_vary)
    device = choose_device(config.device)
    try:
        with stopper:
            trainer.fit(fitting.task, fitting.samples, fitting.cases, ckpt_path=checkpoint, weights_only=True)
    except NotFiniteError as error:
        advice = _ADVICE[chosen_precision(config.precision, device)]
        if world().is_first:
            run.write_warning(
                RunWarning((str(error),), ("steps that were too large, or numbers too coarse",), (advice,))
            )
        text = f"{run.directory}: {error}; {_what_is_left(run)}. {advice}"
        raise (NotFiniteError if world().is_first else SharedError)(text) from error
    except SystemExit as stop:
        if not trainer.interrupted:
            raise
        raise KeyboardInterrupt from stop
    except ConfigError:
        raise
    except Exception:
        if checkpoint is None or begun.has:
            raise
        with made_of(checkpoint, "a checkpoint of this run", _way_out(run, checkpoint)):
            raise
    if world().is_first:
        having = np.sum([case.counts.any(axis=0) for case in cases.train], axis=0) // (1 + len(copies_of(config)))
        truth = np.sum([case.counts.sum(axis=0) for case in cases.validation], axis=0)
        names, steps = model.labels.names, trainer.global_step
        here = replace(config, out=str(run.directory))  # wherever it was begun
        run.write_warning(Judged(here, run.history(), names, fitting.shares, having, truth, steps).warning())


def _what_is_left(run: Run) -> str:
    """What a training leaves that cannot go on."""
    if (best := run.best_epoch()) is None:
        return "no epoch had ended, so there is no segmenter"
    return f"what was good before it is kept: {run.segmenter_directory} is that of epoch {best['epoch']:.0f}"


_SMALLER = "Train again into another --out with a smaller --optim.lr"
_ADVICE = {
    "32": f"{_SMALLER}, or a longer --optim.warmup",
    "bf16": f"{_SMALLER}, or --precision 32",
    "16": f"{_SMALLER}, or --precision bf16 or 32, which hold larger numbers",
}
"""What to do about numbers that have grown too large, by precision."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint files, whole or not there; read without unpickling."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write to a temporary name, flush to disk, rename."""
        try:
            with atomic(Path(path)) as scratch, scratch.open("wb") as stream:
                torch.save(checkpoint, stream)
                stream.flush()
                os.fsync(stream.fileno())
        except (OSError, RuntimeError) as error:  # RuntimeError: torch's own word for a full disk
            run = quote(str(Path(path).parent.parent))
            fix = f"free some space, then go on with samtailor resume {run}"
            raise FileError(path, "room for a checkpoint", str(error).split("\n")[0], fix) from error


def _loss(config: TrainConfig, shares: NDArray[np.float64]) -> ClassAwareLoss:
    """Loss with the class weights of the config."""
    loss, given = config.loss, config.loss.class_weights
    weights = balancing_weights(shares) if given == "auto" else None
    if isinstance(given, list):
        weights = torch.tensor(given, dtype=torch.float32)
    return ClassAwareLoss(loss.ce, loss.dice, weights, loss.batch_dice, loss.resolution)


def new_trainer(config: TrainConfig, **arguments: Any) -> lightning.Trainer:
    """Lightning trainer with a resolved config's precision, device and clipping, and further arguments."""
    # Its advice on workers and checkpoint folders is about choices made here on purpose.
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    device = choose_device(config.device)
    precisions: dict[str, Any] = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}
    return lightning.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        precision=precisions[chosen_precision(config.precision, device)],
        gradient_clip_val=config.optim.clip,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        **arguments,
    )


class _EpochInSampler(lightning.Callback):
    """Tells the sampler which epoch comes, and where a resumed training begins.

    Lightning does so too, but after it has asked how long the epoch is, and workers have begun to prepare its batches.
    """

    def __init__(self, sampler: EpochSampler) -> None:
        self._sampler = sampler

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """The next one comes."""
        self._sampler.set_epoch(trainer.current_epoch + 1)

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Where it goes on is what Lightning's loops go by."""
        loops = checkpoint["loops"]["fit_loop"]
        epochs, batches = loops["epoch_progress"]["current"], loops["epoch_loop.batch_progress"]["current"]
        is_within = epochs["started"] > epochs["processed"]
        self._sampler.go_on(epochs["processed"], batches["processed"] if is_within else 0)


def _trainer(
    run: Run, config: TrainConfig, callbacks: Sequence[lightning.Callback], lengths_vary: bool
) -> lightning.Trainer:
    """Lightning trainer that writes into the run."""
    here = world()
    last = run.last_checkpoint
    keeper = ModelCheckpoint(last.parent, last.stem, save_on_train_epoch_end=True, enable_version_counter=False)
    return new_trainer(
        config,
        devices=here.local_size,
        num_nodes=here.nodes,
        strategy=strategy_of(here),
        max_epochs=config.epochs,
        accumulate_grad_batches=config.optim.accumulate,
        check_val_every_n_epoch=config.validate_every,
        reload_dataloaders_every_n_epochs=int(lengths_vary),  # asks anew how long an epoch is
        logger=TensorBoardLogger(run.directory, name="tensorboard", version=""),
        log_every_n_steps=10,
        callbacks=[*callbacks, keeper],
        plugins=[AtomicCheckpointIO(), environment_of(here)],
        default_root_dir=run.directory,
    )
