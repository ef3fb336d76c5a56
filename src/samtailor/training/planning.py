"""A training that ends within a given time on this machine: measured first, then laid out once and for all."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch

from samtailor.data.cache import CachedCase
from samtailor.data.channels import needs_projection
from samtailor.data.dataset import Dataset
from samtailor.errors import ConfigError, counted
from samtailor.inference.predictor import choose_device
from samtailor.memory import available_memory
from samtailor.models.zoo import Base, find_base
from samtailor.refinement import chosen_refinement
from samtailor.reporting.amounts import in_time
from samtailor.training.clock import Deadline, Pace
from samtailor.training.estimate_report import HEADROOM
from samtailor.training.estimation import Measure, Phase, Sampled, look, phases_of, sampled
from samtailor.training.fingerprint import object_side
from samtailor.training.measure import measure_apart
from samtailor.training.resolve import least_side, resolve
from samtailor.training.samples import label_of
from samtailor.training.settings import TrainConfig, seconds_in

USED = 0.95
"""Share of the time that is laid out: the rest is for saving, and for a machine that is not always as fast."""
HEAD = 0.1
"""Share of the time in which the head is trained alone."""
VALIDATED = 0.15
"""Share of the time in which is validated, at most, unless a single validation takes longer."""
ONCE = 0.5
"""Share of the time that a single validation, at the end, may take."""
TUNED = 0.25
"""Share of the time in which is tuned at the end, at most, unless the user wants it."""
FEW = 1500
"""Samples of the encoder, with no time for more of which the head, whose steps are cheaper, is trained first."""
SEEN = 45
"""Samples that the encoder should be trained on, for each pixel of its input's side: in eight times as much time it
sees twice as many, of twice the side. Where there is time for fewer, the input is made smaller."""
SPARED = 0.8
"""Share of what is left that a training may need at least: where it needs more, its input is made smaller."""
EPOCHS = 10
"""Epochs of the encoder that are aimed at: between two validations, and two checkpoints, lies a tenth of the time."""

FASTER = 0.9
"""Share of a step's time in single precision that one in bfloat16 may take on a CPU, for bfloat16 to be chosen."""

OBJECT = 16
"""Pixels of the network's input that the side of an object should have, if the picture has them."""
COARSEST = 2.0
"""Pixels of a picture for each pixel of the network's input, at most: in pictures texture tells as much as shape."""
BARE = 0.99
"""Share of the training pixels above which the background is nearly all of them: to tell from the same few objects what
only looks like one, more of it has to be seen."""
RARE = 0.4
"""Probability, there, that a crop is centred on an object."""
WIDE = 0.3
"""Probability, there, that a crop shows twice as much: what looks like an object in part is seen whole."""
ANY_WAY = 180.0
"""Largest rotation, there, in degrees: of the little that looks like an object more is seen when it is turned."""
CROPPED = 0.75
"""Share of the longer side that a crop of a view from above has at most: tiles are cut out of a scene anywhere, so that
crops of them are as good as tiles, and there are more of them."""

LOG = logging.getLogger("samtailor")

_SIZES = (1.0, 0.75, 0.5, 0.375, 0.25)
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Timetable:
    """What a training is laid out from.

    Attributes:
        config: Resolved config, but for the number of epochs.
        phases: Its phases: the head's, if there is one, and the one that goes to the end.
        until: When it is to end, by `time.monotonic`.
        seconds: The time that it was given, of which some has passed.
        runs: How many trainings share a time, each as long as this one.
    """

    config: TrainConfig
    phases: tuple[Phase, ...]
    until: float
    seconds: float
    runs: int = 1

    @property
    def deadline(self) -> Deadline:
        """What the training is kept to."""
        return deadline_of(self.phases, self.until, self.seconds)

    @property
    def left(self) -> float:
        """Seconds for epochs and validations, if the rest begins now."""
        return self._free - self.tuning

    @property
    def tuning(self) -> float:
        """Seconds in which is tuned after the training."""
        return self.phases[-1].tuning(self.config)

    def needed(self, validated: float = VALIDATED) -> float:
        """Seconds for epochs and validations, in that share of which there is time for a validation."""
        *_, last = self.phases
        return (EPOCHS + len(self.phases) - 1) * last.training(self.config.batch_size) + last.validating / validated

    def with_tuning_of(self, asked: TrainConfig) -> Timetable:
        """The same; only with the tuning that was asked for, if all of it would take too long."""
        if self.tuning <= TUNED * self._free:
            return self
        config = replace(self.config, tune_bias=asked.tune_bias, tune_refinement=asked.tune_refinement)
        return replace(self, config=config)

    def laid_out(self) -> TrainConfig:
        """The config of a training that begins now and ends in time.

        Raises:
            ConfigError: If there is no time for an epoch.
        """
        left = self.left
        once = (1 + _ROUNDING) * self.phases[-1].validating / left if left > 0 else 1.0
        config = self._laid_out(left, VALIDATED, iter)  # as many validations as there may be
        if config is None and once <= ONCE:
            config = self._laid_out(left, once, reversed)  # the one, after as many epochs as there may be
        if config is not None:
            return config
        least = self.runs * (self.seconds + (self.needed(ONCE) - left) / USED)
        given = self.runs * self.seconds
        raise ConfigError(
            f"time: expected at least {in_time(least, above=given)}, for these data on this machine as it is now; "
            f"found {in_time(given)}; give more time, or a smaller --sampling.image_size, or end other programs that "
            "keep the processor busy"
        )

    def told(self, config: TrainConfig) -> str:
        """What was chosen, in words."""
        head = f"{config.head_epochs} of the head alone, " if config.head_epochs else ""
        return (
            f"Laid out to end in {in_time(self.until - time.monotonic())}: {config.sampling.image_size} pixels, "
            f"{counted(config.epoch_count, 'epoch')} of {config.sampling.per_epoch} samples, {head}a validation every "
            f"{config.validate_every}, precision {config.precision}. The same without measuring: "
            f"--config {config.out}/config.yaml"
        )

    def _laid_out(
        self, left: float, validated: float, in_order: Callable[[range], Iterable[int]]
    ) -> TrainConfig | None:
        """The config of a training of so many seconds; None if there is no time for one.

        Args:
            left: The seconds.
            validated: Share of them in which is validated, at most.
            in_order: In which order numbers of epochs between two validations are tried.
        """
        *head, last = self.phases
        on_head = HEAD * left if head else 0.0
        steps = int((1 - validated) * (left - on_head) / last.measured.step_seconds)
        about = max(1, steps // EPOCHS)  # steps of an epoch, until it is known how many validations there are
        head_epochs = max(1, round((1 - validated) * on_head / head[0].measured.step_seconds / about)) if head else 0
        most = head_epochs + min(EPOCHS, max(0, steps))
        for every in in_order(range(1, most + 1)):
            epochs = most // every * every
            phases = self._phases(epochs, head_epochs)
            validating = sum(phase.validating_all(every) for phase in phases)
            in_epoch = int((left - validating) / sum(phase.training_all(self.config.batch_size) for phase in phases))
            if epochs > head_epochs and in_epoch > 0 and validating <= validated * left:
                sampling = replace(self.config.sampling, per_epoch=in_epoch * self.config.batch_size)
                return replace(
                    self.config, sampling=sampling, epochs=epochs, head_epochs=head_epochs, validate_every=every
                )
        return None

    @property
    def _free(self) -> float:
        """Seconds for everything but what is prepared, if the rest begins now."""
        return USED * (self.until - time.monotonic()) - sum(phase.preparing for phase in self.phases)

    def _phases(self, epochs: int, head_epochs: int) -> list[Phase]:
        """The phases if there are so many epochs in all, and at most so many of the head."""
        *head, last = self.phases
        first = min(epochs, head_epochs)
        return [*(phase.of(range(1, first + 1)) for phase in head), last.of(range(first + 1, epochs + 1))]


@dataclass(frozen=True)
class _Trials:
    """Steps that are measured to choose by.

    Attributes:
        folder: The labelled folder.
        cases: Some of its cases.
        base: What is fitted.
        scale: Pixels of a picture for each pixel of the network's input; None if whole slices are shown, or the user
            has said what is.
        measure: Measures a job within a limit of memory.
        limit: That limit, in bytes.
    """

    folder: Dataset
    cases: Sampled
    base: Base
    scale: float | None
    measure: Measure
    limit: int

    @classmethod
    def of(cls, config: TrainConfig, folder: Dataset, measure: Measure) -> Self:
        """Look at some cases."""
        base = find_base(config.base)
        whole = resolve(with_side(config, config.sampling.image_size or base.image_size), folder)
        cases = sampled(whole, folder)
        scale = scale_of(cases.train) if folder.pictures and config.sampling.field == "auto" else None
        return cls(folder, cases, base, scale, measure, int(HEADROOM * available_memory()))

    @property
    def longest(self) -> int:
        """The longer side of the largest slice, in pixels."""
        seen = [side for case in self.cases.train for side in case.image.shape[2:]]
        return max(self.folder.largest or seen)

    @property
    def widest(self) -> int:
        """Side of the largest square that is shown to the network, in pixels of the slice."""
        is_cropped = self.scale is not None and self.folder.seen_from_above
        return round(CROPPED * self.longest) if is_cropped else self.longest

    @property
    def is_bare(self) -> bool:
        """Whether nearly all training pixels are background."""
        counts = np.sum([case.counts.sum(axis=0) for case in self.cases.train], axis=0)
        return bool(counts[0] > BARE * counts.sum())

    def sizes(self, chosen: int | None) -> list[int]:
        """Sides of the network's input to choose from, the largest first; only one if the user has chosen it."""
        return [chosen] if chosen else _sizes(self.base, min(self.base.image_size, self.widest))

    def at(self, config: TrainConfig, size: int) -> tuple[TrainConfig, tuple[Phase, ...]] | None:
        """The config of a training with that input, its precision chosen, and its phases; None without the memory."""
        resolved = self._resolved(config, size)
        LOG.info("Measuring steps at %d pixels", size)
        workload, measured = look(resolved, self.folder, self.cases, self.measure, self.limit)
        phases = phases_of(resolved, workload, measured)
        if phases is None or not all(phase.measured.fits_gpu(HEADROOM) for phase in phases):
            return None
        if config.precision != "auto" or choose_device(config.device).type != "cpu":
            return resolved, phases
        halved = measured(replace(resolved.phases()[-1][0], precision="bf16"))
        if halved is None or halved.step_seconds >= FASTER * phases[-1].measured.step_seconds:
            return replace(resolved, precision="32"), phases
        return replace(resolved, precision="bf16"), (*phases[:-1], replace(phases[-1], measured=halved))

    def _resolved(self, config: TrainConfig, size: int) -> TrainConfig:
        """The config with an input of that size, which shows as much of a slice as the scale says."""
        field = config.sampling.field
        if self.scale is not None:
            side = min(round(self.scale * size), max(self.widest, size))
            field = side if side < self.longest else None
        config = replace(config, sampling=replace(config.sampling, image_size=size, field=field))
        if isinstance(field, int) and self.is_bare:
            config = _with_more_background(config, self.folder.pictures)
        return resolve(config, self.folder)


def deadline_of(phases: Sequence[Phase], until: float, seconds: float) -> Deadline:
    """What a training of these phases is kept to; of the seconds that it was given some are left over."""
    paces = [Pace(phase.measured.step_seconds, phase.validating) for phase in phases]
    return Deadline(until - (1 - USED) * seconds, paces)


def planned(
    config: TrainConfig, folder: Dataset, began: float, measure: Measure = measure_apart, runs: int = 1
) -> Timetable:
    """Measure some steps; choose the precision, the size of the network's input, and whether the head comes first.

    Args:
        config: What the user set; the size is chosen only if it was left open.
        folder: The labelled folder, with splits.
        began: When the training began, by `time.monotonic`.
        measure: Measures a job within a limit of memory, in bytes; in a process of its own by default.
        runs: How many trainings share the time that is left after measuring, this one and others of the same length.

    Raises:
        ConfigError: If no size fits into memory.
    """
    assert config.time is not None
    seconds = seconds_in(config.time)
    ends = began + seconds
    # What was pretrained knows organs better than pictures, of which no head alone makes much.
    may_rest = not (folder.pictures or config.recipe.freezes_encoder or needs_projection(len(folder.channels)))
    asked = replace(config, time=None, epochs=2, head_epochs=0, validate_every=1)
    config = _with_usual(asked, folder)
    trials = _Trials.of(config, folder, measure)
    sizes = trials.sizes(config.sampling.image_size)
    tried = 0
    while tried < len(sizes):
        trial = trials.at(config, sizes[tried])
        if trial is None:
            tried += 1
            continue
        resolved, phases = trial
        config = replace(config, precision=resolved.precision)  # the same at all sizes
        now = time.monotonic()
        until = now + (ends - now) / runs
        found = Timetable(resolved, phases, until, seconds / runs, runs).with_tuning_of(asked)
        seen = phases[-1].samples_in((1 - VALIDATED) * (1 - HEAD) * found.left)
        # The time of a step goes with the area: the size that is taken is measured itself.
        enough = [place for place, size in enumerate(sizes) if seen * (sizes[tried] / size) ** 2 >= SEEN * size]
        wanted = min(enough, default=len(sizes) - 1)
        is_tight = found.needed() > SPARED * found.left and tried < len(sizes) - 1
        if is_tight or wanted > tried:
            tried = max(wanted, tried + 1)
        elif may_rest and seen < FEW and not config.head_epochs:
            config = replace(config, head_epochs=1)
        else:
            _tell_what_is_left_out(config, found.config)
            return found
    raise ConfigError(
        f"time: expected memory for a step at {sizes[-1]} pixels, found {_free_memory(config, trials.limit)}; take "
        "--batch_size 1, a smaller base (samtailor models), or --recipe head-only"
    )


def _free_memory(config: TrainConfig, limit: int) -> str:
    """What a step found too little, in words."""
    free, device = f"{limit / 1e9:.1f} GB free", choose_device(config.device)
    if device.type != "cuda":
        return free
    return f"{HEADROOM * torch.cuda.mem_get_info(device)[0] / 1e9:.1f} GB free on the GPU, {free} beside it"


def _with_usual(config: TrainConfig, folder: Dataset) -> TrainConfig:
    """The config with the class weights, flips and tuning of a training with a time, where the user left them open."""
    is_free = not chosen_refinement(config.refine)
    # With one class to find, the offset is a threshold; with several it takes from some what it gives to others.
    is_tuned = config.tune_bias or (len(folder.labels) == 2 and is_free)
    is_refined = config.tune_refinement or (not folder.pictures and is_free)  # an organ is one piece
    loss = config.loss
    if loss.class_weights is None and folder.seen_from_above and len(folder.labels) > 2:
        loss = replace(loss, class_weights="auto")  # land cover: a class that few tiles have is easily lost
    return replace(config, loss=loss, tta=config.tta or "auto", tune_bias=is_tuned, tune_refinement=is_refined)


def _with_more_background(config: TrainConfig, pictures: bool) -> TrainConfig:
    """The config with crops that show more of the background, of pictures turned any way, where that was left open."""
    sampling, augment = config.sampling, config.augment
    if sampling.rare == "auto":
        sampling = replace(sampling, rare=RARE)
    if pictures and sampling.wide == "auto":
        sampling = replace(sampling, wide=WIDE)
    if pictures and augment.flip == "auto":
        augment = replace(augment, flip="both")
    if pictures and augment.flip == "both" and augment.rotate == "auto":
        augment = replace(augment, rotate=ANY_WAY)
    return replace(config, sampling=sampling, augment=augment)


def _tell_what_is_left_out(config: TrainConfig, laid_out: TrainConfig) -> None:
    """Name what would have been tuned if there were time."""
    left_out = [flag for flag in ("tune_bias", "tune_refinement") if getattr(config, flag) > getattr(laid_out, flag)]
    if left_out:
        verbs = " and ".join(f"samtailor {flag.replace('_', '-')} {config.out} {config.data}" for flag in left_out)
        LOG.info("Nothing is tuned in the end, for validating takes long here; if that is wanted: %s", verbs)


def scale_of(cases: Sequence[CachedCase]) -> float:
    """Pixels of a picture for each pixel of the input: small objects are not shrunk, others at most by half."""
    side = object_side(label_of(case) for case in cases)
    return 1.0 if side is None else min(max(side / OBJECT, 1.0), COARSEST)


def with_side(config: TrainConfig, side: int) -> TrainConfig:
    """The config with another size of the network's input."""
    return replace(config, sampling=replace(config.sampling, image_size=side))


def _sizes(base: Base, largest: int) -> list[int]:
    """Sizes of the network's input to choose from, the largest first, which is about that many pixels."""
    sizes = {max(least_side(base), round(share * largest / base.stride) * base.stride) for share in _SIZES}
    return sorted(sizes, reverse=True)
