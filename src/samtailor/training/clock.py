"""How long the rest of a training takes: from what was measured before it, and then from itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from samtailor.training.settings import TrainConfig

_MEASURED = 3  # steps that what was measured before counts for
_LATEST = 10  # steps that count at least; else those of an epoch, for a machine's speed changes


@dataclass(frozen=True)
class Pace:
    """What was measured of a phase of a training (see `TrainConfig.phases`).

    Attributes:
        step: Seconds of a training step.
        validation: Seconds of a validation.
    """

    step: float
    validation: float


@dataclass(frozen=True)
class Deadline:
    """What a training that was laid out to end in time is kept to.

    Attributes:
        end: When everything is to have ended, by `time.monotonic`.
        paces: What it was laid out by, of each phase.
    """

    end: float
    paces: Sequence[Pace]


class _Mean:
    """Mean of the latest times; before there are some, what was measured before, if anything."""

    def __init__(self, before: float | None, count: int, latest: int) -> None:
        """Begin with a time that counts for so many; so many of the latest count in all."""
        self.before = before
        self._seconds = deque([] if before is None else [before] * count, latest)

    def add(self, seconds: float) -> None:
        self._seconds.append(seconds)

    @property
    def value(self) -> float | None:
        """Seconds; None while nothing is known."""
        return fmean(self._seconds) if self._seconds else self.before


@dataclass
class _Phase:
    """Epochs of one kind, counted from 1, and what their steps and validations take."""

    epochs: range
    step: _Mean
    validation: _Mean


@dataclass
class Clock:
    """Time left of a training of which steps and validations are timed.

    Attributes:
        config: Resolved config.
        steps_in: Training steps of an epoch, counted from 0.
        paces: What was measured before, of each phase; none if nothing was.
    """

    config: TrainConfig
    steps_in: Callable[[int], int]
    paces: Sequence[Pace] = ()
    _phases: list[_Phase] = field(init=False)

    def __post_init__(self) -> None:
        self.expect(self.paces)

    def expect(self, paces: Sequence[Pace]) -> None:
        """Begin with what was measured of each phase."""
        self.paces = paces
        phases = [epochs for _, epochs in self.config.phases()]
        steps: list[float | None] = [pace.step for pace in paces] or [None] * len(phases)
        validations: list[float | None] = [pace.validation for pace in paces] or [None] * len(phases)
        self._phases = [
            _Phase(epochs, _Mean(step, _MEASURED, max(_LATEST, self.steps_in(epochs[0] - 1))), _Mean(validation, 0, 1))
            for epochs, step, validation in zip(phases, steps, validations, strict=True)
        ]

    def add_step(self, epoch: int, seconds: float) -> None:
        """A training step of an epoch, counted from 1, took that long, the preparation of its batch included."""
        self._of(epoch).step.add(seconds)

    def add_validation(self, epoch: int, seconds: float) -> None:
        """The validation after an epoch took that long."""
        self._of(epoch).validation.add(seconds)

    def left(self, epoch: int, steps: int = 0, validated: float = 0.0) -> float | None:
        """Seconds to the end of the training, the tuning after it included; None while a part is not known.

        Args:
            epoch: The current one, counted from 1.
            steps: Of its steps, those that are done.
            validated: Fraction of its validation that is done.
        """
        parts = self.parts(epoch, steps, validated)
        return None if parts is None else sum(parts)

    def parts(self, epoch: int, steps: int = 0, validated: float = 0.0) -> tuple[float, float] | None:
        """The same in two parts: seconds of steps, and of validations and tuning."""
        seconds = [0.0, 0.0]
        for phase in self._phases:
            epochs = [number for number in phase.epochs if number >= epoch]
            to_train = sum(self.steps_in(number - 1) for number in epochs) - (steps if epoch in epochs else 0)
            to_validate = float(sum(number % self.config.validate_every == 0 for number in epochs))
            if epoch in epochs and epoch % self.config.validate_every == 0:
                to_validate -= validated
            if phase is self._phases[-1]:
                to_validate += self.config.tuning_predictions
            for part, (count, mean) in enumerate(((to_train, phase.step), (to_validate, phase.validation))):
                if count and mean.value is None:
                    return None
                seconds[part] += count * (mean.value or 0.0)
        return seconds[0], seconds[1]

    def _of(self, epoch: int) -> _Phase:
        return next(phase for phase in self._phases if epoch in phase.epochs)
