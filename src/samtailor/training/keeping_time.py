"""A training that was laid out to end in time ends in time, though the machine's speed changes."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

import lightning

from samtailor.errors import counted
from samtailor.runs import Run
from samtailor.training.clock import Clock
from samtailor.training.samples import EpochSampler
from samtailor.training.task import SegmentationTask

TOLERATED = 0.02
"""Share of a training's time by which it may be expected to end too early, or too late."""

LOG = logging.getLogger("samtailor")


class TimeKeeper(lightning.Callback):
    """Gives the epochs to come more samples, or fewer, after each epoch that took another time than expected.

    The lengths of all epochs are written into the run's config.yaml, with which a training repeats without a clock.
    """

    def __init__(self, run: Run, sampler: EpochSampler, clock: Clock, end: float) -> None:
        """Keep a run to its end, by `time.monotonic`; its steps and validations are timed by a clock."""
        self.run = run
        self.sampler = sampler
        self.clock = clock
        self.end = end

    def on_train_epoch_end(self, trainer: lightning.Trainer, task: lightning.LightningModule) -> None:
        """Compare the time that is left with what the rest would take."""
        config, done = self.clock.config, trainer.current_epoch + 1
        training, others = self.clock.parts(done + 1) or (0.0, 0.0)
        if not training:
            return
        left = self.end - time.monotonic() - others
        if abs(left - training) <= TOLERATED * (self.clock.left(1) or 0.0):
            return
        size = self.sampler.batch_size
        steps = [self.sampler.batches_in(epoch) for epoch in range(done, config.epoch_count)]
        to_come = [size * max(1, int(some * left / training)) for some in steps]
        LOG.info(
            "To end in time at the speed of now: %s of %d samples to come, instead of %d",
            *(counted(len(to_come), "epoch"), to_come[-1], self.sampler.samples_in(config.epoch_count - 1)),
        )
        lengths = [*(self.sampler.samples_in(epoch) for epoch in range(done)), *to_come]
        self.sampler.per_epoch = lengths
        assert isinstance(task, SegmentationTask)
        task.take_rate()
        self.run.write_config(replace(config, sampling=replace(config.sampling, per_epoch=lengths)).to_plain())
