"""Where a training is, and how long the rest takes: live on a terminal or in a notebook, a line a minute in files."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from datetime import datetime, timedelta
from html import escape
from importlib import import_module
from shlex import quote
from typing import Any, Protocol

import lightning
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column
from torch.utils.data import DataLoader

from samtailor.distributed.world import world
from samtailor.errors import counted
from samtailor.progress import Unit, shown_by, told_every
from samtailor.reporting.amounts import in_time, in_time_left
from samtailor.runs import Run
from samtailor.training.clock import Clock
from samtailor.training.rehearsal import rehearse
from samtailor.training.samples import EpochSampler
from samtailor.training.task import SegmentationTask

LOG = logging.getLogger("samtailor")

_OFTEN = 0.5  # seconds between two changes of the line on a terminal
LONG = 3600.0
"""Seconds of a training from which on is told what would make it shorter."""


class _Line(Protocol):
    """A line that changes."""

    def show(self, where: str, rest: str, fraction: float) -> None:
        """Say where the training is, how the rest stands, and draw what fraction is done."""


class _OnTerminal:
    """A line of rich, until `stack` is left."""

    def __init__(self, stack: ExitStack, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(None), TextColumn("{task.fields[rest]}"))
        for column in columns[::2]:
            column._table_column = Column(no_wrap=True)
        self._progress = stack.enter_context(Progress(*columns, console=console, expand=True))
        self._task = self._progress.add_task("", total=1.0, rest="")

    def show(self, where: str, rest: str, fraction: float) -> None:
        self._progress.update(self._task, description=where, completed=fraction, rest=rest)


class _InNotebook:
    """A line below the cell. Not rich's: where ipywidgets are missing, it asks for them once more at every change."""

    def __init__(self) -> None:
        self._display = import_module("IPython.display")  # there, as this is a notebook
        self._line = self._display.display(self._display.HTML(""), display_id=True)

    def show(self, where: str, rest: str, fraction: float) -> None:
        bar = f'<progress value="{fraction:.3f}"></progress>'
        self._line.update(self._display.HTML(f"<pre>{escape(where)} {bar} {escape(rest)}</pre>"))


class ProgressLine(lightning.Callback):
    """Tells when a training is expected to end, before its first step, and then how far it is.

    Not Lightning's bars: they count epochs from zero, know an epoch's end and not the training's, take four lines at 80
    columns, and leave nothing in a file until an epoch has ended.
    """

    def __init__(self, run: Run, samples: DataLoader[Any], clock: Clock) -> None:
        """Tell of a run and its training samples; what the clock begins with is told already, else it is measured."""
        self.run = run
        self.samples = samples
        self._console = Console(stderr=True)
        self._every = told_every()
        self._open = ExitStack()
        self._line: _Line | None = None
        self._clock = clock
        self._begin = self._mark = self._told = 0.0
        self._trainer: lightning.Trainer | None = None
        self._cases = 0
        self._validated: float | None = None  # fraction of the cases, while they are validated

    def on_train_start(self, trainer: lightning.Trainer, task: lightning.LightningModule) -> None:
        """Measure, and say when the end is expected."""
        assert isinstance(task, SegmentationTask)
        is_rehearsed = not self._clock.paces and world().size == 1
        if is_rehearsed:
            self._clock.expect(rehearse(trainer, task, self.samples))
        self._trainer = trainer
        if world().is_first:
            if is_rehearsed and not trainer.should_stop:
                self._tell_end(trainer)
            if self._console.is_jupyter:
                self._line = _InNotebook()
            elif self._console.is_terminal and not self._console.is_dumb_terminal:
                self._line = _OnTerminal(self._open, self._console)
            self._open.enter_context(shown_by(self._in_case))
        self._begin = self._mark = self._told = time.monotonic()

    def _tell_end(self, trainer: lightning.Trainer) -> None:
        """Say when the training is expected to end, and what to do if that is late."""
        sampler = self.samples.sampler
        assert isinstance(sampler, EpochSampler)
        epoch, done = sampler.done if sampler.done[0] == trainer.current_epoch else (trainer.current_epoch, 0)
        if (left := self._clock.left(epoch + 1, done)) is None:
            return
        if epoch or done:
            LOG.info("Going on in epoch %d%s", epoch + 1, f", after step {done}" if done else "")
        config, last = self._clock.config, self._clock.paces[-1]
        end = datetime.now() + timedelta(seconds=left)
        day = "" if end.date() == datetime.now().date() else f"{end:%a %d %b} "
        validations = f"every {config.validate_every} of them" if config.validate_every > 1 else "each"
        steps = counted(sampler.batches_in(epoch), "step")
        taken = f"{counted(config.epoch_count, 'epoch')} of {steps} ({in_time(last.step)} each)"
        lines = [
            f"Expected to end at {day}{end:%H:%M}, in {in_time(left)}",
            f"  {taken}, a validation ({in_time(last.validation)}) after {validations}",
        ]
        if left > LONG:
            lines += [
                "  Too long? Ctrl-C, and train again with --time 30m",
                f"  What other settings take: samtailor estimate --config {quote(str(self.run.config_file))}",
            ]
        LOG.info("%s", "\n".join(lines))

    def on_train_epoch_start(self, *_: Any) -> None:
        """Time the first step from here."""
        self._mark = time.monotonic()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Time a step."""
        self._clock.add_step(trainer.current_epoch + 1, self._lap())
        self._tell()

    def on_validation_start(self, *_: Any) -> None:
        """Time a validation."""
        self._lap()
        self._cases, self._validated = 0, 0.0

    def on_validation_batch_end(self, *_: Any) -> None:
        """A case is done."""
        self._cases += 1
        self._in_case("", 0, 1, "items")

    def _in_case(self, what: str, done: float, total: int, unit: Unit) -> None:
        """Some slices of a case are done (see `samtailor.progress.Display`)."""
        assert self._trainer is not None
        if self._validated is not None:
            self._validated = (self._cases + done / max(total, 1)) / sum(map(int, self._trainer.num_val_batches))
            self._tell()

    def on_validation_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Time a validation."""
        self._clock.add_validation(trainer.current_epoch + 1, self._lap())
        self._validated = None

    def on_train_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Show the end, unless stopped before it, and leave the screen to others."""
        if self._line and (last := trainer.max_epochs) == trainer.current_epoch:
            self._line.show(f"epoch {last}/{last}", " ".join(["100%", *self._scores()]), 1.0)
        self._open.close()
        if world().is_first:
            LOG.info(
                "Trained to the end of epoch %d in %s", trainer.current_epoch, in_time(time.monotonic() - self._begin)
            )

    def on_exception(self, *_: Any) -> None:
        """Leave the screen to others."""
        self._open.close()

    def _tell(self) -> None:
        """Show where the training is, unless that has just been done: looking at the loss waits for a GPU."""
        now = time.monotonic()
        if not world().is_first or now - self._told < (_OFTEN if self._line else self._every):
            return
        self._told = now
        where, rest, fraction = self._state()
        if self._line:
            self._line.show(" ".join(where), " ".join(rest), fraction)
        else:
            LOG.info("%s", ", ".join([*where, *rest]))

    def _state(self) -> tuple[list[str], list[str], float]:
        """Where the training is, how well it does and how long the rest takes, in words; what fraction is done."""
        assert self._trainer is not None
        epoch, steps = self._place(self._trainer)
        step = f"step {steps}/{self._clock.steps_in(epoch - 1)}"
        where = [f"epoch {epoch}/{self._trainer.max_epochs}", step if self._validated is None else "validating"]
        rest = self._scores()
        left, whole = self._clock.left(epoch, steps, self._validated or 0.0), self._clock.left(1)
        if left is None or not whole:
            return where, rest, 0.0
        fraction = max(0.0, 1 - left / whole)
        return where, [f"{fraction:.0%}", *rest, in_time_left(left)], fraction

    def _scores(self) -> list[str]:
        """How well the training does, in words."""
        assert self._trainer is not None
        trainer, task = self._trainer, self._trainer.lightning_module
        assert isinstance(task, SegmentationTask)
        scores = [f"loss {float(task.mean_loss):.3f}"]
        if (dsc := trainer.callback_metrics.get("dsc")) is not None:
            scores.append(f"DSC {float(dsc):.3f}")
        return scores

    def _lap(self) -> float:
        """Seconds since the last call."""
        now = time.monotonic()
        lap, self._mark = now - self._mark, now
        return lap

    def _place(self, trainer: lightning.Trainer) -> tuple[int, int]:
        """The epoch, counted from 1, and how many of its steps are done."""
        return trainer.current_epoch + 1, trainer.fit_loop.epoch_loop.batch_progress.current.ready
