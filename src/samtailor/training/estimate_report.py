"""An estimate of a training: what it takes here, and how that is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from samtailor.data.channels import needs_projection
from samtailor.errors import counted
from samtailor.reporting.amounts import in_bytes, in_time
from samtailor.reporting.shown import Shown
from samtailor.reporting.table import UNDEFINED, Table
from samtailor.reporting.terminal import Block, Level, Message
from samtailor.training.measure import WARM_UP, Measurement

HEADROOM = 0.9
"""Fraction of the free memory that a training may take: other programs come and go."""


@dataclass(frozen=True)
class Workload:
    """How much there is to compute; whole numbers are rounded where cases are counted in part.

    Attributes:
        training_cases: Cases to train on, and how many of them were counted.
        validation_cases: Cases to validate on, and how many of them were counted.
        samples: Training samples in an epoch.
        training_windows: Windows of the training slices, of which `head-only` and `cache_frozen` keep something.
        validation_windows: Windows of the validation cases.
        largest: Slices, rows and columns of the largest validation case.
    """

    training_cases: tuple[int, int]
    validation_cases: tuple[int, int]
    samples: int
    training_windows: int
    validation_windows: int
    largest: tuple[int, int, int]

    @property
    def embedded(self) -> int:
        """Windows of which embeddings are computed once, if any are."""
        return self.training_windows + self.validation_windows


@dataclass(frozen=True)
class Option:
    """One choice of settings.

    Attributes:
        flags: What it changes in the given settings, as flags; empty for these themselves.
        measured: What a step took; None if memory did not suffice for one.
        steps_per_epoch: Training steps in an epoch.
        seconds: The whole training, validations and embeddings included; None if memory did not suffice.
        disk: Bytes that image embeddings take on disk; None if memory did not suffice.
        fits: Whether the training fits this machine.
    """

    flags: str
    measured: Measurement | None
    steps_per_epoch: int
    seconds: float | None
    disk: int | None
    fits: bool


@dataclass(frozen=True, repr=False)
class Estimate(Shown):
    """What a training takes on this machine.

    Attributes:
        data: The labelled folder.
        base: Base model.
        recipe: Recipe.
        epochs: Passes over the training samples.
        validations: Validations in the whole training.
        workers: Processes that prepare samples; their own memory is not measured.
        channels: Channels of the images.
        memory_free: Memory that was free before, in bytes.
        disk_free: Bytes that are free where image embeddings are kept.
        workload: How much there is to compute.
        options: The given settings, then alternatives.
    """

    data: str
    base: str
    recipe: str
    epochs: int
    validations: int
    workers: int
    channels: int
    memory_free: int
    disk_free: int
    workload: Workload
    options: tuple[Option, ...]

    @property
    def recommended(self) -> Option | None:
        """The given settings if they fit, else the alternative that fits and changes least; None if none fits."""
        return next((option for option in self.options if option.fits), None)

    def advice(self) -> str:
        """What to do, in one line."""
        match self.recommended:
            case None:
                less = "" if self.recipe == "head-only" else "--recipe head-only, "
                return f"Nothing here fits: try {less}a smaller base (samtailor models), or a machine with more memory."
            case Option(flags=""):
                return "It fits: train with these settings."
            case option:
                return f"It does not fit as it is; it fits with: {option.flags}"

    def __repr__(self) -> str:
        return f"<Estimate for {self.base}, {self.recipe}, {counted(self.epochs, 'epoch')}: {self.advice()}>"

    def blocks(self) -> list[Block]:
        """Table of the settings, what was measured, and the advice."""
        best = self.recommended
        level: Level = "error" if best is None else "warning" if best.flags else "good"
        return [self._table(), self._facts(), *self._remarks(), Message(level, self.advice())]

    def _table(self) -> Table:
        """Memory and time of each option; flags stand one below the other."""
        on_gpu = any(option.measured and option.measured.gpu_memory is not None for option in self.options)
        rows = []
        for option in self.options:
            memory, gpu, step, whole = "too much", UNDEFINED, UNDEFINED, UNDEFINED
            if (measured := option.measured) is not None and option.seconds is not None:
                memory, step, whole = in_bytes(measured.memory), in_time(measured.step_seconds), in_time(option.seconds)
                gpu = gpu if measured.gpu_memory is None else in_bytes(measured.gpu_memory)
            flags = option.flags.replace(" --", "\n--") or "as given"
            rows.append((flags, memory, *([gpu] if on_gpu else []), step, whole, "yes" if option.fits else "no"))
        header = ("settings", "memory", *(["GPU memory"] if on_gpu else []), "per step", "whole training", "fits")
        epochs = counted(self.epochs, "epoch")
        title = f"{self.base}, {self.recipe}, {epochs} of {self.data}"
        return Table(header, tuple(rows), title=title)

    def _facts(self) -> dict[str, str]:
        """What the numbers are made of."""
        given, work = self.options[0], self.workload
        free = f"{in_bytes(self.memory_free)} of memory"
        if self._measured and (gpu_free := self._measured[0].gpu_free) is not None:
            free += f", {in_bytes(gpu_free)} on the GPU"
        facts = {"free": f"{free}; a training may take {HEADROOM:.0%} of it"}
        if given.measured is not None:
            weights, optimiser = in_bytes(given.measured.weights), in_bytes(given.measured.optimiser)
            facts["of the memory"] = f"{weights} are weights, {optimiser} gradients and the optimiser's state"
        training, validation = _looked_at(work.training_cases), _looked_at(work.validation_cases)
        facts["each epoch"] = (
            f"{counted(given.steps_per_epoch, 'step')} with {counted(work.samples, 'sample')} of {training}"
        )
        facts["validations"] = f"{self.validations} with {work.validation_windows} windows of {validation}"
        if given.measured is not None and given.disk:
            seconds = work.embedded * given.measured.embedding_seconds
            time = f", in {in_time(seconds)}" if seconds else ""  # what the head's own epochs need is not told apart
            on_disk = f"{in_bytes(given.disk)} on disk, where {in_bytes(self.disk_free)} are free"
            facts["embeddings"] = f"{work.embedded} computed once{time}; {on_disk}"
        return facts

    def _remarks(self) -> Iterator[str]:
        """How it was measured, and what was not."""
        if measured := self._measured:
            counts = sorted({found.steps for found in measured})
            steps = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
            yield (
                f"An estimate from {steps} measured steps after {WARM_UP} to warm up, each row in a process of its "
                f"own, on {measured[0].device}. Other programs make it slower; the seed makes no difference. Reading "
                "the cases into the cache, once, comes on top."
            )
        if any("--optim.accumulate" in option.flags for option in self.options):
            yield (
                "With --optim.accumulate each of the smaller batches has a Dice of its own: steps resemble those of "
                "one larger batch, but are not the same."
            )
        if needs_projection(self.channels):
            kept = ", so that no embeddings are kept" if self.recipe == "head-only" else ""
            yield (
                f"A learned projection brings the {self.channels} channels to the network's three; its gradient goes "
                f"through the whole image encoder{kept}."
            )
        if self.workers:
            yield f"The memory of the {self.workers} processes that prepare samples comes on top."

    @property
    def _measured(self) -> list[Measurement]:
        """What was measured of the options that memory sufficed for."""
        return [option.measured for option in self.options if option.measured is not None]

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary of everything; bytes and seconds."""
        best = self.recommended
        return {**asdict(self), "recommended": best.flags if best else None, "advice": self.advice()}


def _looked_at(cases: tuple[int, int]) -> str:
    """Number of cases, and how many of them were looked at."""
    total, some = cases
    text = counted(total, "case")
    return text if some == total else f"{text} ({some} of them counted)"
