"""The learning rate of every step."""

from __future__ import annotations

import math
from collections.abc import Callable

from samtailor.training.settings import TrainConfig


def rate_of(config: TrainConfig, batches_in: Callable[[int], int]) -> Callable[[int], float]:
    """Rates as fractions of the peak: a linear warm-up, and a polynomial decay to zero.

    They go by the share of the epochs that has passed, of which each counts alike, however many steps it has: so no
    epoch's rates depend on how long those after it will be. While the encoder rests, the rate stays at its peak, and
    the decay is that of the epochs after it.

    Args:
        config: Resolved config.
        batches_in: Batches of an epoch, counted from 0.

    Returns:
        The rate of a step of the optimiser, counted from 0; 0 after the last.
    """
    optim, resting = config.optim, config.head_epochs

    def rate(step: int) -> float:
        for epoch in range(config.epoch_count):
            steps = math.ceil(batches_in(epoch) / optim.accumulate)
            if step < steps:
                break
            step -= steps
        else:
            return 0.0
        first, last = (0, resting) if epoch < resting else (resting, config.epoch_count)
        begun = epoch - first + step / steps
        warm = min((begun + 1 / steps) / max(optim.warmup * (last - first), 1 / steps), 1.0)
        decay: float = 1.0 if epoch < resting else (1 - begun / (last - first)) ** optim.power
        return warm * decay

    return rate
