"""A training that can be stopped within an epoch, and goes on there: checkpoints, and signals that wait for one."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import lightning

from samtailor.distributed.collectives import most_of_processes
from samtailor.distributed.world import world
from samtailor.training.averaging import WeightAverage
from samtailor.training.task import SegmentationTask

EVERY = 600.0
"""Seconds between two checkpoints within an epoch."""

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SAVE, _STOP = 1, 2  # what the processes agree on: the most that any of them wants
_WAIT = b"\nStopping after this step, with a checkpoint. Ctrl-C again stops at once, without one.\n"


class Stopper(lightning.Callback):
    """Writes checkpoints within an epoch: every ten minutes, and where a signal ends the training.

    A signal in the midst of a step would find half of the weights changed. So it waits for the step's end, or in a
    validation for the end of a case; once a checkpoint is written it does what it would have done at once. All
    processes of a job stop after the same step, whichever got the signal.

    Checkpoints are written after steps of the optimiser: gradients that are still accumulated are not kept. After an
    epoch's last step that is left to the epoch's end, or to its validation, which begins anew with the training.

    It comes after all callbacks whose state a step changes.
    """

    def __init__(self, checkpoint: Path, average: WeightAverage | None = None) -> None:
        """Write to a file; validations exchange the weights for their averages, if there are any."""
        self.checkpoint = checkpoint
        self.average = average
        self._handlers: dict[int, Any] = {}
        self._received: int | None = None
        self._saved = 0.0
        self._steps = 0

    def __enter__(self) -> Self:
        """Remember what signals do. A thread other than the main one is not asked to stop by any."""
        if threading.current_thread() is threading.main_thread():
            handlers = {number: signal.getsignal(number) for number in _STOPS}
            self._handlers = {n: kept for n, kept in handlers.items() if kept not in (None, signal.SIG_IGN)}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Signals do what they did; one that came too late for a checkpoint does it now."""
        self._restore()
        if kind is None and self._received is not None:
            self._stop()

    def on_load_checkpoint(self, trainer: Any, task: Any, checkpoint: dict[str, Any]) -> None:
        """A stopped validation begins anew: Lightning would leave out as many of its last cases as were done."""
        done = checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]["current"]
        done.update(dict.fromkeys(done, 0))

    def on_train_start(self, trainer: lightning.Trainer, task: lightning.LightningModule) -> None:
        """Let signals wait from here on: Lightning has set handlers of its own meanwhile."""
        assert isinstance(task, SegmentationTask)
        self._saved, self._steps = time.monotonic(), trainer.global_step
        task.before_case = lambda: self._act(trainer, is_validating=True)
        for number in self._handlers:
            signal.signal(number, self._wait)

    def on_train_epoch_start(self, *_: Any) -> None:
        """Stop between two epochs; the first one's checkpoint is written."""
        if self._wanted() == _STOP:
            self._stop()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Write a checkpoint after a step of the optimiser, if it is time, or stop."""
        if trainer.global_step == self._steps:
            return
        self._steps = trainer.global_step
        if not trainer.is_last_batch:
            self._act(trainer)

    def on_train_epoch_end(self, *_: Any) -> None:
        """The epoch's own checkpoint is written now."""
        self._saved = time.monotonic()

    def _act(self, trainer: lightning.Trainer, is_validating: bool = False) -> None:
        """Write a checkpoint, and stop, if that is wanted."""
        if not (wanted := self._wanted()):
            return
        task = trainer.lightning_module
        assert isinstance(task, SegmentationTask)
        task.require_finite()
        # Validations have exchanged weights and averages: this brings the weights back.
        with self.average.applied(task.model) if self.average and is_validating else nullcontext():
            trainer.save_checkpoint(self.checkpoint)
        self._saved = time.monotonic()
        if wanted == _STOP:
            self._stop()

    def _wanted(self) -> int:
        """What any of the processes wants: to stop, to write a checkpoint, or nothing (0)."""
        own = _STOP if self._received is not None else _SAVE if time.monotonic() - self._saved > EVERY else 0
        return most_of_processes(own)

    def _wait(self, number: int, frame: FrameType | None) -> None:
        """A signal waits for the next step; a second one does not, but under torchrun, which sends each twice."""
        if self._received is None:
            self._received = number
            if world().is_first:
                os.write(2, _WAIT)  # a stream may be in the midst of writing
        elif world().launcher == "none":
            self._received = None
            self._restore()
            signal.raise_signal(number)

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _stop(self) -> None:
        """Do what the signal would have done at once."""
        self._restore()
        number, self._received = self._received, None
        if number is not None:
            signal.raise_signal(number)
        raise KeyboardInterrupt  # another process got it
