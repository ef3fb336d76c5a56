"""Some steps of a training, and a piece of a validation, done and timed just before it begins; nothing is changed."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from statistics import median
from typing import Any

import lightning
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch.utils.data import DataLoader

from samtailor.data.cache import CachedCase
from samtailor.progress import shown_by
from samtailor.training.clock import Pace
from samtailor.training.samples import EpochSampler
from samtailor.training.task import SegmentationTask

STEPS = 3
"""Steps that are timed at most, after one to warm up; of a short training, less exact, only that one."""
SHARE = 0.1
"""Share of a phase's steps that may be timed."""
ENOUGH = 3.0
"""Seconds of steps after which no further one begins."""


def rehearse(trainer: lightning.Trainer, task: SegmentationTask, samples: DataLoader[Any]) -> list[Pace]:
    """Time a training that is about to begin, in its own process, on its own network.

    Gradients are thrown away, random states restored. What belongs to the optimiser alone is not timed.

    Args:
        trainer: Its trainer, with everything restored.
        task: Its task.
        samples: Its training samples.

    Returns:
        The pace of each phase.
    """
    config, network = task.config, task.model.network
    rests, modes = network.encoder_rests, {module: module.training for module in task.modules()}
    paces = []
    with isolate_rng(include_cuda=task.device.type == "cuda"), shown_by(lambda *_: None):
        for _, epochs in config.phases():
            network.encoder_rests = epochs[0] <= config.head_epochs
            validation = _validation(task)
            for module, mode in modes.items():
                module.training = mode
            paces.append(Pace(_step(trainer, task, samples, [epoch - 1 for epoch in epochs]), validation))
    network.encoder_rests = rests
    return paces


def _step(trainer: lightning.Trainer, task: SegmentationTask, samples: DataLoader[Any], epochs: Sequence[int]) -> float:
    """Seconds of a training step of the first of some epochs, counted from 0."""
    assert isinstance(samples.sampler, EpochSampler)
    assert samples.batch_size is not None
    assert samples.collate_fn is not None
    drawn, size = samples.sampler.drawn(epochs[0]), samples.batch_size
    timed = min(STEPS, int(SHARE * sum(map(samples.sampler.batches_in, epochs))))
    preparing: list[float] = []
    computing: list[float] = []
    begin = time.perf_counter()
    for step in range(1 + timed):
        batch = [drawn[(step * size + i) % len(drawn)] for i in range(size)]
        with _timed(task, preparing):
            on_device = trainer.strategy.batch_to_device(samples.collate_fn([samples.dataset[one] for one in batch]))
        with _timed(task, computing), torch.enable_grad(), trainer.precision_plugin.train_step_context():
            torch.autograd.backward(task.loss_of(on_device, step)[0])
        for parameter in task.parameters():
            parameter.grad = None
        if step and time.perf_counter() - begin > ENOUGH:
            break
    if len(computing) > 1:
        del preparing[0], computing[0]
    prepared, computed = median(preparing), median(computing)
    return max(computed, prepared / samples.num_workers) if samples.num_workers else computed + prepared


def _validation(task: SegmentationTask) -> float:
    """Seconds of a validation, by some windows of its largest case."""
    if not (cases := task.validation):
        return 0.0
    windows = [len(case.image) * len(task.model.preprocessing.windows(*case.image.shape[2:])) for case in cases]
    place = max(range(len(cases)), key=lambda i: math.prod(cases[i].image.shape[2:]))
    case, embeddings = cases[place], task.embeddings_of(place)
    if embeddings is None:
        part = _corner(case, task)
    else:
        slices = math.ceil(task.config.batch_size * len(case.image) / windows[place])
        part = replace(case, image=case.image[:slices])
        embeddings = embeddings[: slices * windows[place] // len(case.image)]
    seconds: list[float] = []
    for _ in range(2):  # the first warms up
        with _timed(task, seconds), torch.no_grad():
            task.predict(part, embeddings)
    seen = len(part.image) * len(task.model.preprocessing.windows(*part.image.shape[2:]))
    return seconds[-1] * sum(windows) / seen


def _corner(case: CachedCase, task: SegmentationTask) -> CachedCase:
    """As many slices, and as much of each, as make about one batch of windows."""
    size, preprocessing = task.config.batch_size, task.model.preprocessing
    height, width = case.image.shape[2:]
    side = math.ceil(math.sqrt(size)) * (preprocessing.field or max(height, width))
    rows, columns = min(side, height), min(side, width)
    slices = max(task.model.group, math.ceil(size / len(preprocessing.windows(rows, columns))))
    return replace(case, image=case.image[:slices, :, :rows, :columns])


@contextmanager
def _timed(task: SegmentationTask, seconds: list[float]) -> Iterator[None]:
    """Add the seconds of the block, at whose end the device has done everything, to a list."""
    begin = time.perf_counter()
    yield
    if task.device.type == "cuda":
        torch.cuda.synchronize(task.device)
    seconds.append(time.perf_counter() - begin)
