"""What a run leaves behind after every epoch: metrics, curves, the best segmenter, warnings."""

from __future__ import annotations

import time
import warnings
from contextlib import nullcontext
from typing import Any

import lightning
import numpy as np
from numpy.typing import NDArray

from samtailor.distributed.world import world
from samtailor.reporting.figures import save_figure
from samtailor.reporting.plots import curves_figure
from samtailor.runs import Run, best_of, is_over
from samtailor.training.averaging import WeightAverage
from samtailor.training.judgement import RARE_SHARE
from samtailor.training.task import SegmentationTask

DRAWN_EVERY = 10.0
"""Least seconds between two pictures of the curves: epochs of a few steps would take longer to draw than to train."""


class Recorder(lightning.Callback):
    """Writes `metrics.csv`, `curves.png` and the segmenter of the epoch that is kept; ends a training without patience.

    The rows live in the checkpoint, so a resumed run continues the table of the epochs it kept, and one that patience
    has ended is not taken up again. `waited` is the fraction of an epoch's training time, validation left out, in which
    the network had no batch to compute on.

    Not Lightning's EarlyStopping and ModelCheckpoint: which epoch is best, and when a training is over, is asked of
    finished runs too (`runs.best_of`, `runs.is_over`), and must be one answer.

    Not Lightning's CSVLogger: that deletes an existing `metrics.csv` when it opens, so that a resumed run would lose
    its rows, appends without atomic writes, rewrites in place when a column appears, and writes a row per log call.
    """

    def __init__(self, run: Run, patience: int | None = None, average: WeightAverage | None = None) -> None:
        """Write into a run; `patience` in epochs, as in `TrainConfig`; the segmenter has the averages, if any."""
        self.run = run
        self.patience = patience
        self.average = average
        self.rows: list[dict[str, float]] = []
        self._start = self._mark = self._elapsed = self._waited = self._computed = self._drawn = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Rows, and the clocks of an epoch that has not ended, for the checkpoint."""
        return {"rows": self.rows, "clocks": (time.monotonic() - self._start, self._waited, self._computed)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Rows and clocks of the checkpoint; older versions wrote no clocks."""
        self.rows = state_dict["rows"]
        self._elapsed, self._waited, self._computed = state_dict.get("clocks", (0.0, 0.0, 0.0))

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write the table as far as it is; there is nothing to do where the rows of the checkpoint are all."""
        self._drawn = time.monotonic()
        if world().is_first:
            self.run.write_history(self.rows)
        trainer.should_stop = self._is_over(trainer)

    def _is_over(self, trainer: lightning.Trainer) -> bool:
        assert trainer.max_epochs is not None
        return is_over(self.rows, trainer.max_epochs, self.patience)

    def on_train_start(self, *_: Any) -> None:
        """Let the clocks of an epoch go on that has begun."""
        self._mark = time.monotonic()
        self._start = self._mark - self._elapsed

    def on_train_epoch_start(self, *_: Any) -> None:
        """Start the clocks."""
        self._start = self._mark = time.monotonic()
        self._waited = self._computed = 0.0

    def on_train_batch_start(self, *_: Any) -> None:
        """Stop waiting for data."""
        self._waited += self._lap()

    def on_train_batch_end(self, *_: Any) -> None:
        """Start waiting for data."""
        self._computed += self._lap()

    def _lap(self) -> float:
        """Seconds since the last call."""
        lap = time.monotonic() - self._mark
        self._mark += lap
        return lap

    def on_train_epoch_end(self, trainer: lightning.Trainer, task: lightning.LightningModule) -> None:
        """Add the epoch's row and write everything; the curves if they are due, and at the end."""
        assert isinstance(task, SegmentationTask)
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        row = {
            "epoch": trainer.current_epoch + 1,
            "loss": float(task.mean_loss),
            "lr": float(trainer.optimizers[0].param_groups[0]["lr"]),
            "seconds": time.monotonic() - self._start,
            "waited": self._waited / max(self._waited + self._computed, 1e-9),
        }
        if row["epoch"] % (trainer.check_val_every_n_epoch or 1) == 0:  # else they are the last one's
            row |= {name: value for name, value in metrics.items() if name.split("/")[0] == "dsc"}
        self.rows.append(row)
        trainer.should_stop = self._is_over(trainer)
        kept = best_of(self.rows)
        assert kept is not None
        if is_kept := kept is row:
            trainer.save_checkpoint(self.run.best_checkpoint)
        if not world().is_first:
            return
        if is_kept:
            with self.average.applied(task.model) if self.average else nullcontext():
                task.model.save(self.run.segmenter_directory)
        if trainer.should_stop or time.monotonic() - self._drawn >= DRAWN_EVERY:
            curves = curves_figure(self.rows, task.model.labels, kept["epoch"], task.mean.has_background)
            save_figure(curves, self.run.curves_file, dpi=120)
            self._drawn = time.monotonic()
        self.run.write_history(self.rows)  # at last: what says that a run is finished must not be there before the rest


class VanishingClassWarning(lightning.Callback):
    """Warns, once per class, when a rare class of the validation cases is nowhere predicted."""

    def __init__(self, names: tuple[str, ...], shares: NDArray[np.float64]) -> None:
        """Remember which classes are rare, by their shares among the training pixels, (K,)."""
        self.rare = {i: name for i, name in enumerate(names) if 0 < shares[i] < RARE_SHARE}
        self.shares = shares

    def on_validation_epoch_end(self, trainer: lightning.Trainer, task: lightning.LightningModule) -> None:
        """Compare what was predicted with what is there."""
        assert isinstance(task, SegmentationTask)
        if not world().is_first:
            return
        for index in [i for i in self.rare if task.truth_voxels[i] and not task.predicted_voxels[i]]:
            name = self.rare.pop(index)
            warnings.warn(
                f"class '{name}' has {self.shares[index]:.3%} of the training pixels, and no pixel of the validation "
                "cases is predicted as it. If that stays so: --loss.class_weights auto, --loss.batch_dice true, "
                "crops around it with --sampling.field SMALLER and --sampling.rare 0.9, or a longer --optim.warmup",
                stacklevel=2,
            )
