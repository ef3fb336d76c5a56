"""A run that is to be longer, or shorter, than it was begun: so many epochs, or as many as end in time."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from samtailor.data.dataset import Dataset
from samtailor.errors import ConfigError
from samtailor.memory import available_memory
from samtailor.reporting.amounts import in_time
from samtailor.runs import is_over
from samtailor.training.clock import Deadline
from samtailor.training.estimate_report import HEADROOM
from samtailor.training.estimation import Measure, Phase, look, phases_of, sampled
from samtailor.training.measure import measure_apart
from samtailor.training.planning import USED, deadline_of
from samtailor.training.resolve import resolve
from samtailor.training.settings import TrainConfig, seconds_in


def extended(config: TrainConfig, rows: Sequence[Mapping[str, float]], epochs: int, folder: Dataset) -> TrainConfig:
    """The config of a run that is to have another number of epochs.

    Patience that has run out is given up: whoever asks for more epochs wants them trained.

    Args:
        config: Resolved config of the run.
        rows: Its history, as far as it goes on from there.
        epochs: Passes over the training samples, those that are done included.
        folder: The labelled folder.

    Raises:
        ConfigError: If so many epochs, or more, are done, or belong to the head.
    """
    if epochs <= (done := done_of(rows)):
        raise ConfigError(f"epochs: expected more than the {done} that are done, found {epochs}")
    patience = None if is_over(rows, epochs, config.patience) else config.patience
    sampling = config.sampling
    if isinstance(sampling.per_epoch, list):
        sampling = replace(sampling, per_epoch=[_length(config, 0, epoch) for epoch in range(1, epochs + 1)])
    return resolve(replace(config, epochs=epochs, patience=patience, sampling=sampling), folder)


def done_of(rows: Sequence[Mapping[str, float]]) -> int:
    """Epochs that have ended."""
    return int(rows[-1]["epoch"]) if rows else 0


def epochs_until(
    config: TrainConfig, done: int, duration: str, began: float, folder: Dataset, measure: Measure = measure_apart
) -> tuple[int, Deadline]:
    """The most epochs of a run that end in time, of which the last is validated; steps are measured first.

    The deadline is what the training is then kept to.

    Args:
        config: Resolved config of the run.
        done: Epochs that have ended.
        duration: When the training is to end, from when it began to go on (see `TrainConfig.time`).
        began: When that was, by `time.monotonic`.
        folder: The labelled folder.
        measure: Measures a job within a limit of memory, in bytes; in a process of its own by default.

    Raises:
        ConfigError: If there is no time for an epoch, or memory does not suffice for a step.
    """
    limit = int(HEADROOM * available_memory())
    workload, measured = look(config, folder, sampled(config, folder), measure, limit)
    if (phases := phases_of(config, workload, measured)) is None:
        raise ConfigError("time: expected memory for a step of the run, found too little; other programs take it")
    taken = partial(_taken, config, phases, workload.samples, done)
    seconds = seconds_in(duration)
    available = USED * (began + seconds - time.monotonic())
    epochs = first = _validated(config, max(done, config.head_epochs) + 1)
    while taken(epochs) <= available:
        epochs += config.validate_every
    if epochs == first:
        least = seconds + (taken(first) - available) / USED
        raise ConfigError(
            f"time: expected at least {in_time(least, above=seconds)}, to the validation after epoch {first} on this "
            f"machine as it is now; found {in_time(seconds)}; give more time, or end other programs "
            "that keep the processor busy"
        )
    return epochs - config.validate_every, deadline_of(phases, began + seconds, seconds)


def _validated(config: TrainConfig, epoch: int) -> int:
    """The epoch, or the next one that is validated."""
    return -(-epoch // config.validate_every) * config.validate_every


def _taken(config: TrainConfig, phases: Sequence[Phase], samples: int, done: int, epochs: int) -> float:
    """Seconds from the end of an epoch to that of another, and of the tuning after it."""
    *head, last = phases
    rest = [phase.of(range(done + 1, config.head_epochs + 1)) for phase in head]
    rest.append(last.of(range(max(done, config.head_epochs) + 1, epochs + 1)))
    training = sum(phase.training(_length(config, samples, epoch)) for phase in rest for epoch in phase.epochs)
    return training + sum(phase.validating_all(config.validate_every) for phase in rest) + last.tuning(config)


def _length(config: TrainConfig, samples: int, epoch: int) -> int:
    """Samples of an epoch, usually `samples`; epochs behind those whose lengths are listed are as long as the last."""
    lengths = config.sampling.per_epoch
    return lengths[min(epoch, len(lengths)) - 1] if isinstance(lengths, list) else samples
