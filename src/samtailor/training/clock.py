"""How long the rest of a training takes: from what was measured before it, and then from itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from samtailor.training.settings import TrainConfig

_MEASURED = 3  # steps that what was measured before counts for


@dataclass(frozen=True)
class Pace:
    """What was measured of a phase of a training (see `TrainConfig.phases`).

    Attributes:
        step: Seconds of a training step.
        validation: Seconds of a validation.
    """

    step: float
    validation: float


@dataclass
class _Mean:
    """Mean of times, which begins with one that was measured before, if any; that one counts for `weight` others."""

    before: float | None
    weight: int
    total: float = 0.0
    count: int = 0

    def add(self, seconds: float) -> None:
        self.total += seconds
        self.count += 1

    @property
    def value(self) -> float | None:
        """Seconds; None while nothing is known."""
        weight = self.weight if self.before is not None else 0
        if not self.count + weight:
            return self.before
        return (self.total + weight * (self.before or 0.0)) / (self.count + weight)


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
        steps: Training steps in an epoch.
        paces: What was measured before, of each phase; none if nothing was.
    """

    config: TrainConfig
    steps: int
    paces: Sequence[Pace] = ()
    _phases: list[_Phase] = field(init=False)

    def __post_init__(self) -> None:
        phases = [epochs for _, epochs in self.config.phases()]
        steps: list[float | None] = [pace.step for pace in self.paces] or [None] * len(phases)
        validations: list[float | None] = [pace.validation for pace in self.paces] or [None] * len(phases)
        self._phases = [
            _Phase(epochs, _Mean(step, _MEASURED), _Mean(validation, 0))
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
        seconds = 0.0
        for phase in self._phases:
            epochs = [number for number in phase.epochs if number >= epoch]
            to_train = len(epochs) * self.steps - (steps if epoch in epochs else 0)
            to_validate = float(sum(number % self.config.validate_every == 0 for number in epochs))
            if epoch in epochs and epoch % self.config.validate_every == 0:
                to_validate -= validated
            if phase is self._phases[-1]:
                to_validate += self.config.tuning_predictions
            for count, mean in ((to_train, phase.step), (to_validate, phase.validation)):
                if count and mean.value is None:
                    return None
                seconds += count * (mean.value or 0.0)
        return seconds

    def _of(self, epoch: int) -> _Phase:
        return next(phase for phase in self._phases if epoch in phase.epochs)
