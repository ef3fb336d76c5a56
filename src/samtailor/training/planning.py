"""A training that ends within a given time on this machine: measured first, then laid out once and for all."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from samtailor.data.channels import needs_projection
from samtailor.data.dataset import Dataset
from samtailor.errors import ConfigError
from samtailor.memory import available_memory
from samtailor.models.zoo import find_base
from samtailor.training.estimate_report import HEADROOM, in_time
from samtailor.training.estimation import Measure, look
from samtailor.training.measure import Measurement, measure_apart
from samtailor.training.resolve import least_side, resolve
from samtailor.training.settings import TrainConfig, seconds_in

USED = 0.95
"""Share of the time that is laid out: the rest is for saving, and for a machine that is not always as fast."""
HEAD = 0.2
"""Share of the time in which the head is trained alone."""
VALIDATED = 0.15
"""Share of the time in which is validated, at most."""
SEEN = 3000
"""Samples that the encoder should be trained on: where there is time for fewer, images are shrunk."""
EPOCHS = 10
"""Epochs of the encoder that are aimed at: between two validations, and two checkpoints, lies a tenth of the time."""

_SIZES = (1.0, 0.75, 0.5, 0.375, 0.25)


@dataclass(frozen=True)
class Phase:
    """Epochs of one kind: those of the head, or those after them.

    Attributes:
        measured: What a step takes.
        batch: Samples per step.
        windows: Windows of the validation cases.
        kept: Windows whose embeddings are computed once.
    """

    measured: Measurement
    batch: int
    windows: int
    kept: int

    @property
    def preparing(self) -> float:
        """Seconds before the first epoch."""
        return self.kept * self.measured.embedding_seconds

    @property
    def validating(self) -> float:
        """Seconds of a validation."""
        return self.windows * self.measured.window_seconds

    def samples_in(self, seconds: float) -> float:
        """Samples that are trained on in a time."""
        return max(0.0, seconds) / self.measured.step_seconds * self.batch

    def training(self, samples: int) -> float:
        """Seconds in which as many samples are trained on."""
        return math.ceil(samples / self.batch) * self.measured.step_seconds


@dataclass(frozen=True)
class Plan:
    """What a training is laid out from.

    Attributes:
        config: Resolved config, but for the number of epochs.
        phases: Its phases: the head's, if there is one, and the one that goes to the end.
        until: When it is to end, by `time.monotonic`.
    """

    config: TrainConfig
    phases: tuple[Phase, ...]
    until: float

    @property
    def left(self) -> float:
        """Seconds for epochs and validations, if the rest begins now."""
        return USED * (self.until - time.monotonic()) - sum(phase.preparing for phase in self.phases)

    def laid_out(self) -> TrainConfig:
        """The config of a training that begins now and ends in time.

        Raises:
            ConfigError: If there is no time for an epoch.
        """
        left = self.left
        *head, last = self.phases
        on_head = HEAD * left if head else 0.0
        batch = self.config.batch_size
        per_epoch = max(batch, int(last.samples_in((1 - VALIDATED) * (left - on_head)) / EPOCHS) // batch * batch)
        head_epochs = max(1, round(head[0].samples_in((1 - VALIDATED) * on_head) / per_epoch)) if head else 0
        for every in range(1, head_epochs + EPOCHS + 1):
            epochs = self._epochs(left, per_epoch, head_epochs, every)
            if epochs > head_epochs and self._validating(epochs, head_epochs, every) <= VALIDATED * left:
                sampling = replace(self.config.sampling, per_epoch=per_epoch)
                return replace(
                    self.config, sampling=sampling, epochs=epochs, head_epochs=head_epochs, validate_every=every
                )
        needed = (EPOCHS + head_epochs) * last.training(batch) + last.validating / VALIDATED
        raise ConfigError(
            f"time: expected {in_time((needed - left) / USED)} more at least, for these data on this machine; "
            f"found {in_time(max(0.0, left))} left for epochs; give more time, or a smaller --sampling.image_size"
        )

    def told(self, config: TrainConfig) -> str:
        """What was chosen, in words."""
        head = f"{config.head_epochs} of the head alone, " if config.head_epochs else ""
        return (
            f"Laid out to end in {in_time(self.until - time.monotonic())}: {config.sampling.image_size} pixels, "
            f"{config.epochs} epochs of {config.sampling.per_epoch} samples, {head}a validation every "
            f"{config.validate_every}. The same without measuring: --config {config.out}/config.yaml"
        )

    def _epochs(self, left: float, per_epoch: int, head_epochs: int, every: int) -> int:
        """The most epochs, a multiple of those between two validations, that there is time for; 0 for none."""
        epochs = 0
        while self._seconds(epochs + every, per_epoch, head_epochs, every) <= left:
            epochs += every
        return epochs

    def _seconds(self, epochs: int, per_epoch: int, head_epochs: int, every: int) -> float:
        """Seconds of all epochs and validations."""
        of_head = min(epochs, head_epochs)
        training = (epochs - of_head) * self.phases[-1].training(per_epoch)
        return training + of_head * self.phases[0].training(per_epoch) + self._validating(epochs, head_epochs, every)

    def _validating(self, epochs: int, head_epochs: int, every: int) -> float:
        """Seconds of all validations."""
        of_head = min(epochs, head_epochs) // every
        return of_head * self.phases[0].validating + (epochs // every - of_head) * self.phases[-1].validating


def planned(config: TrainConfig, folder: Dataset, began: float, measure: Measure = measure_apart) -> Plan:
    """Measure some steps, and choose the size of the network's input and whether the head comes first.

    Args:
        config: What the user set; the size is chosen only if it was left open.
        folder: The labelled folder, with splits.
        began: When the training began, by `time.monotonic`.
        measure: Measures a job within a limit of memory, in bytes; in a process of its own by default.

    Raises:
        ConfigError: If no size fits into memory.
    """
    assert config.time is not None
    until = began + seconds_in(config.time)
    begins_with_head = not config.recipe.freezes_encoder and not needs_projection(len(folder.channels))
    config = replace(config, time=None, epochs=2, head_epochs=int(begins_with_head), validate_every=1)
    # Whether pictures are seen whole or in crops is decided once: a smaller input must not mean other windows.
    side = config.sampling.image_size or find_base(config.base).image_size
    field = resolve(with_side(config, side), folder).sampling.field
    config = replace(config, sampling=replace(config.sampling, field=field))
    limit = int(HEADROOM * available_memory())
    sizes = list(_sizes(config, folder))
    tried = 0
    while tried < len(sizes):
        resolved = resolve(with_side(config, sizes[tried]), folder)
        phases = _measured(resolved, folder, limit, measure)
        if phases is None:
            tried += 1
            continue
        found = Plan(resolved, phases, until)
        seen = found.phases[-1].samples_in((1 - VALIDATED) * (1 - HEAD) * found.left)
        # The time of a step goes with the area: the size that is taken is measured itself.
        enough = [place for place, size in enumerate(sizes) if seen * (sizes[tried] / size) ** 2 >= SEEN]
        wanted = min(enough, default=len(sizes) - 1)
        if wanted <= tried:
            return found
        tried = wanted
    raise ConfigError(
        f"time: expected memory for a step at {sizes[-1]} pixels, found {limit / 1e9:.1f} GB free; take "
        "--batch_size 1, a smaller base (samtailor models), or --recipe head-only"
    )


def with_side(config: TrainConfig, side: int) -> TrainConfig:
    """The config with another size of the network's input."""
    return replace(config, sampling=replace(config.sampling, image_size=side))


def _sizes(config: TrainConfig, folder: Dataset) -> Iterator[int]:
    """Sizes of the network's input to choose from, the largest first: not above the data's own, nor the base's."""
    base = find_base(config.base)
    if config.sampling.image_size is not None:
        yield config.sampling.image_size
        return
    own = max(look(resolve(with_side(config, base.image_size), folder), folder)[0].largest[1:])
    largest = min(own, base.image_size)
    sizes = {max(least_side(base), round(share * largest / base.stride) * base.stride) for share in _SIZES}
    yield from sorted(sizes, reverse=True)


def _measured(config: TrainConfig, folder: Dataset, limit: int, measure: Measure) -> tuple[Phase, ...] | None:
    """What the phases of a resolved config take; None if memory does not suffice."""
    workload, job_of = look(config, folder)
    embedded = workload.training_windows + workload.validation_windows
    phases = []
    for phase, _ in config.phases():
        measured = measure(job_of(phase), limit)
        if measured is None or not measured.fits_gpu(HEADROOM):
            return None
        keeps = phase.head_epochs > 0 or phase.is_cached(len(folder.channels))
        phases.append(Phase(measured, phase.batch_size, workload.validation_windows, embedded if keeps else 0))
    return tuple(phases)
