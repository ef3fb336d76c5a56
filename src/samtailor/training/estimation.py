"""How much memory and time a training takes on this machine, and which settings would make it fit."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from samtailor.chunks import counts_of
from samtailor.data.cache import CachedCase, SliceCache
from samtailor.data.case import CaseFiles
from samtailor.data.channels import needs_projection
from samtailor.data.dataset import Dataset, open_dataset
from samtailor.errors import ConfigError
from samtailor.files import cache_home
from samtailor.memory import available_memory
from samtailor.models.zoo import find_base, weights_files
from samtailor.progress import report, tracked
from samtailor.recipes import recipe_from_json, recipe_to_json
from samtailor.recipes.recipe import attention_blocks
from samtailor.settings import by_dotted_name
from samtailor.training.estimate_report import HEADROOM, Estimate, Option, Workload
from samtailor.training.fit import check_surroundings
from samtailor.training.measure import Measurement, Probe, measure_apart
from samtailor.training.resolve import copies_of, least_side, preprocessing_of, resolve
from samtailor.training.samples import choose_slices, label_of
from samtailor.training.settings import TrainConfig

_CASES = 8  # of each split, of which slices are counted; the others are taken to be like them
_SLICES = 8  # of which training samples are made for the measurement
_SHARE = 4  # alternatives adapt the last quarter of the blocks

Measure = Callable[[Probe, int], Measurement | None]
Variation = Callable[[TrainConfig], TrainConfig | None]


@dataclass(frozen=True)
class Phase:
    """Epochs of one kind: those of the head, or those after them.

    Attributes:
        epochs: Which they are, from 1.
        measured: What a step takes.
        batch: Samples per step.
        workload: How much there is to compute.
    """

    epochs: range
    measured: Measurement
    batch: int
    workload: Workload

    @property
    def preparing(self) -> float:
        """Seconds before the first epoch, in which embeddings are computed, if they are kept."""
        return self.workload.embedded * self.measured.embedding_seconds

    @property
    def disk(self) -> int:
        """Bytes of these embeddings."""
        return self.workload.embedded * self.measured.embedding_bytes

    @property
    def validating(self) -> float:
        """Seconds of a validation."""
        return self.workload.validation_windows * self.measured.window_seconds

    def training(self, samples: int) -> float:
        """Seconds in which as many samples are trained on."""
        return math.ceil(samples / self.batch) * self.measured.step_seconds

    def samples_in(self, seconds: float) -> float:
        """Samples that are trained on in a time."""
        return max(0.0, seconds) / self.measured.step_seconds * self.batch

    def tuning(self, config: TrainConfig) -> float:
        """Seconds in which is tuned after the training, if this phase is its last."""
        return self.validating * config.tuning_predictions

    def of(self, epochs: range) -> Phase:
        """The same with other epochs."""
        return replace(self, epochs=epochs)

    def training_all(self, samples: int) -> float:
        """Seconds of all its epochs with that many samples each."""
        return len(self.epochs) * self.training(samples)

    def validating_all(self, every: int) -> float:
        """Seconds of all its validations, with that many epochs between two."""
        return sum(epoch % every == 0 for epoch in self.epochs) * self.validating


def phases_of(
    config: TrainConfig, workload: Workload, measure: Callable[[TrainConfig], Measurement | None]
) -> tuple[Phase, ...] | None:
    """What the phases of a training take, each measured alone; None if memory does not suffice."""
    phases = []
    for phase, epochs in config.phases():
        if (measured := measure(phase)) is None:
            return None
        phases.append(Phase(epochs, measured, config.batch_size, workload))
    return tuple(phases)


def estimate_training(config: TrainConfig, measure: Measure = measure_apart) -> Estimate:
    """Measure some steps of a training, with the given settings and with such that take less memory.

    Nothing of the run is written. Cutting the cases into slices, which a training does once, is not part of the
    estimate; the slices of the few cases that are looked at stay in the cache. Numbers do not depend on the seed beyond
    the choice of these cases; other programs on the machine make them larger.

    Args:
        config: What `train` would be given; `out` is ignored.
        measure: Measures a job within a limit of memory, in bytes; in a process of its own by default.

    Returns:
        The given settings and single changes of them; combinations of changes follow if none of these fits.

    Raises:
        SamTailorError: If the data, the base or a setting is not as expected, as in training.
    """
    check_surroundings(config)
    if config.time is not None:
        raise ConfigError("time: expected with train, which measures and lays itself out; found it with estimate")
    folder = open_dataset(Path(config.data), *config.selection).with_default_split()
    weights_files(config.base, config.weights)  # fetched once, not by every measurement
    given = resolve(config, folder)
    cases = sampled(given, folder)
    free, disk = available_memory(), _disk_free()
    limit = int(HEADROOM * free)

    def option(asked: TrainConfig) -> Option:
        changed = resolve(asked, folder)  # crops, and how many of them there are, may go with the image size
        workload, measured = look(changed, folder, cases, measure, limit)
        flags, steps = flags_of(config, asked), math.ceil(workload.samples / changed.batch_size)
        phases = phases_of(changed, workload, measured)
        if phases is None:
            return Option(flags, None, steps, None, None, fits=False)
        seconds = sum(
            phase.preparing + phase.training_all(workload.samples) + phase.validating_all(changed.validate_every)
            for phase in phases
        )
        seconds += phases[-1].tuning(changed)
        needed = sum(phase.disk for phase in phases)
        memory = all(one.measured.fits_gpu(HEADROOM) and one.measured.memory <= limit for one in phases)
        return Option(flags, phases[-1].measured, steps, seconds, needed, fits=memory and needed <= disk)

    variations = (partial(_checkpointing, folder=folder), _half_batch, _single_batch, _last_blocks, _half_image)
    singles = [changed for vary in variations if (changed := vary(config)) is not None]
    options = [option(changed) for changed in tracked("measuring settings", [config, *singles])]
    if not any(found.fits for found in options):
        for changed in tracked("measuring combinations", list(_combinations(config, variations))):
            options.append(option(changed))
            if options[-1].fits:
                break
    return Estimate(
        data=str(given.data),
        base=given.base,
        recipe=given.recipe.name,
        epochs=given.epoch_count,
        validations=given.epoch_count // given.validate_every,
        workers=given.workers,
        channels=len(folder.channels),
        memory_free=free,
        disk_free=disk,
        workload=look(given, folder, cases, measure, limit)[0],
        options=tuple(options),
    )


def flags_of(given: TrainConfig, changed: TrainConfig) -> str:
    """The flags that make the one config of the other."""
    before, after = (dict(by_dotted_name(config.to_plain())) for config in (given, changed))
    different = {name: value for name, value in after.items() if value != before[name]}
    return " ".join(f"--{name}" if value is True else f"--{name} {value}" for name, value in different.items())


def _combinations(config: TrainConfig, variations: Sequence[Variation]) -> Iterator[TrainConfig]:
    """The variations, mildest first, on top of each other: two, then all; at last a quarter of the image size."""
    changes, last = 0, config
    for vary in (*variations, variations[-1]):
        if vary is not _half_batch and (changed := vary(last)) is not None:
            last, changes = changed, changes + 1
            if changes > 1:
                yield last


def _checkpointing(config: TrainConfig, folder: Dataset) -> TrainConfig | None:
    """Activations are computed again; where nothing in or before the encoder is trained, there are none to keep."""
    if config.checkpointing or (config.recipe.freezes_encoder and not needs_projection(len(folder.channels))):
        return None
    return replace(config, checkpointing=True)


def _half_batch(config: TrainConfig) -> TrainConfig | None:
    """Two batches of half the size to a step; None if that is a batch of one."""
    return _with_batch(config, config.batch_size // 2) if config.batch_size >= 4 else None


def _single_batch(config: TrainConfig) -> TrainConfig | None:
    """One image at a time."""
    return _with_batch(config, 1) if config.batch_size > 1 else None


def _with_batch(config: TrainConfig, size: int) -> TrainConfig:
    """Smaller batches, and as many more of them to a step."""
    accumulate = config.optim.accumulate * round(config.batch_size / size)
    return replace(config, batch_size=size, optim=replace(config.optim, accumulate=accumulate))


def _last_blocks(config: TrainConfig) -> TrainConfig | None:
    """Only the last blocks are adapted: nothing is kept for a backward pass through those before."""
    recipe = recipe_to_json(config.recipe)
    if "last_blocks" not in recipe:
        return None
    with torch.device("meta"):
        blocks = len(attention_blocks(find_base(config.base).build().vision_encoder, None))
    last = max(1, blocks // _SHARE)
    if last >= min(recipe["last_blocks"] or blocks, blocks):
        return None
    return replace(config, recipe=recipe_from_json({**recipe, "last_blocks": last}))


def _half_image(config: TrainConfig) -> TrainConfig | None:
    """Half the image size, if the base takes it."""
    base = find_base(config.base)
    size = (config.sampling.image_size or base.image_size) // 2 // base.stride * base.stride
    if size < least_side(base):
        return None
    return replace(config, sampling=replace(config.sampling, image_size=size))


@dataclass(frozen=True)
class Sampled:
    """Some cases of a labelled folder, read once, by which the rest is judged.

    Attributes:
        train: Training cases from everywhere, of which at least one has an object if any has.
        validation: Validation cases from everywhere.
        splits: How many cases there are of each of the two.
    """

    train: list[CachedCase]
    validation: list[CachedCase]
    splits: tuple[int, int]


def sampled(config: TrainConfig, folder: Dataset) -> Sampled:
    """Read some cases of a labelled folder, with any size of the network's input."""
    cache = SliceCache(folder.labels, preprocessing_of(config, folder.channel_choice))
    train_files, validation_files = folder.split("train"), folder.split("val")
    train: list[CachedCase] = []
    for file in _spread(train_files):
        report(f"{folder.seen_as} (train)", len(train), max(len(train) + 1, min(_CASES, len(train_files))))
        train.append(cache.load(file))
        if len(train) >= _CASES and any(case.counts[:, 1:].any() for case in train):
            break
    report(f"{folder.seen_as} (train)", len(train), len(train))
    validation = [cache.load(file) for file in tracked(f"{folder.seen_as} (val)", _spread(validation_files)[:_CASES])]
    return Sampled(train, validation, (len(train_files), len(validation_files)))


def look(
    config: TrainConfig, folder: Dataset, cases: Sampled, measure: Measure, limit: int
) -> tuple[Workload, Callable[[TrainConfig], Measurement | None]]:
    """Count what there is to compute, and take some slices of the largest cases to measure trainings with.

    Args:
        config: Resolved config.
        folder: The labelled folder.
        cases: Some of its cases.
        measure: Measures a job within a limit of memory, in bytes.
        limit: That limit.

    Returns:
        What there is to compute, and what measures a training with another config; None if memory does not suffice.
    """
    preprocessing = preprocessing_of(config, folder.channel_choice)
    train, validation = cases.train, cases.validation
    chosen = choose_slices(train, config.sampling.empty, config.seed)

    def windows(case: CachedCase) -> int:
        return len(preprocessing.windows(*case.image.shape[2:]))

    more = (1 + len(copies_of(config))) * cases.splits[0] / len(train)  # corrupted copies have as many slices
    is_cached = config.is_cached(len(folder.channels))
    training_windows = round(more * sum(windows(reference.case) for reference in chosen))
    validation_windows = sum(len(case.image) * windows(case) for case in validation)
    largest = max(validation, key=lambda case: math.prod(case.image.shape[2:]))
    height, width = largest.image.shape[2:]
    size = (max(len(case.image) for case in validation), height, width)
    workload = Workload(
        training_cases=(cases.splits[0], len(train)),
        validation_cases=(cases.splits[1], len(validation)),
        samples=_in_epoch(config) or (training_windows if is_cached else round(more * len(chosen))),
        training_windows=training_windows,
        validation_windows=round(cases.splits[1] / len(validation) * validation_windows),
        largest=size,
    )
    labelled = [reference for reference in chosen if reference.case.counts[reference.index, 1:].any()]
    first = max(labelled, key=lambda reference: math.prod(reference.case.image.shape[2:]))
    validated = _excerpt(largest, len(largest.image) // 2, config, whole=False)

    def measured(changed: TrainConfig) -> Measurement | None:
        seen = _excerpt(first.case, first.index, config, whole=not (is_cached or changed.head_epochs))
        return measure(Probe(changed, folder.labels, seen, validated, size), limit)

    return workload, measured


def _in_epoch(config: TrainConfig) -> int | None:
    """Samples of an epoch, on average, that a config names."""
    per_epoch = config.sampling.per_epoch
    return round(fmean(per_epoch)) if isinstance(per_epoch, list) else per_epoch


def _spread(files: Sequence[CaseFiles]) -> list[CaseFiles]:
    """The files in another order: the first ones come from everywhere."""
    first = np.unique(np.linspace(0, len(files) - 1, min(_CASES, len(files))).round().astype(int)).tolist()
    return [files[i] for i in first] + [file for i, file in enumerate(files) if i not in first]


def _excerpt(case: CachedCase, index: int, config: TrainConfig, whole: bool) -> CachedCase:
    """Slices of a case from `index` on: some whole ones, or as many, and as much of each, as make a batch."""
    label = label_of(case)
    if whole:
        part = np.s_[index : index + _SLICES]
        return replace(case, image=case.image[part], label=label[part], counts=case.counts[part])
    height, width = label.shape[1:]
    preprocessing = preprocessing_of(config, case.image.shape[1])
    side = math.ceil(math.sqrt(config.batch_size)) * (preprocessing.field or max(height, width))
    rows, columns = min(side, height), min(side, width)
    # Where a labelled pixel is, for there must be something to train on.
    y, x = np.unravel_index(np.argmax(label[index] > 0), (height, width))
    top, left = min(int(y), height - rows), min(int(x), width - columns)
    count = math.ceil(config.batch_size / len(preprocessing.windows(rows, columns)))
    index = max(0, min(index, len(label) - count))
    corner = np.s_[top : top + rows, left : left + columns]
    cut = label[index : index + count, *corner]
    counts = np.stack([counts_of(plane, case.counts.shape[1]) for plane in cut])
    return replace(case, image=case.image[index : index + count, :, *corner], label=cut, counts=counts)


def _disk_free() -> int:
    """Bytes that are free where the cache lies, or will lie."""
    place = cache_home().absolute()
    return shutil.disk_usage(next(folder for folder in (place, *place.parents) if folder.exists())).free
