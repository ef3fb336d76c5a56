"""The exponential moving average of the trained weights, which validation and the kept segmenter use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning
import torch
from torch import Tensor

from samtailor.errors import ConfigError
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.training.task import SegmentationTask


class WeightAverage(lightning.Callback):
    """Averages the trained weights after each step of the optimiser.

    Not Lightning's EMAWeightAveraging: it copies the whole task, the base that is never trained with it, and puts the
    averages in the place of the weights where checkpoints are written, which are loaded by name and strictly here.

    The decay of a step is min(ema, (1 + t) / (10 + t)) after t steps, as in TensorFlow's
    `tf.train.ExponentialMovingAverage`: a short training is not held at its start. Averages lie in the checkpoint
    beside the weights. Every process has the same ones, as it has the same weights.
    """

    def __init__(self, ema: float) -> None:
        """Average with that decay."""
        self.ema = ema
        self._steps = 0
        self._averages: dict[str, Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        """Averages, for the checkpoint."""
        return {"steps": self._steps, "averages": self._averages}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Averages of the checkpoint."""
        self._steps, self._averages = state_dict["steps"], state_dict["averages"]

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Begin with the weights as they are; those of a checkpoint go on."""
        weights = _weights_of(pl_module)
        if trainer.global_step != self._steps:
            raise ConfigError(
                f"optim.ema: expected a checkpoint with averages of {trainer.global_step} steps, found {self._steps}; "
                "give optim.ema in config.yaml the value that the run began with, or start a new run"
            )
        if self._averages and self._averages.keys() != weights.keys():
            raise ConfigError("checkpoint: expected averages of the trained weights, found others; start a new run")
        kept = self._averages or weights
        self._averages = {name: kept[name].to(weight.device, copy=True) for name, weight in weights.items()}

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any) -> None:
        """Move the averages, if the optimiser has made a step."""
        if trainer.global_step == self._steps:  # gradients are still accumulated
            return
        weights = _weights_of(pl_module)
        share = 1 - min(self.ema, (1 + self._steps) / (10 + self._steps))
        torch._foreach_lerp_([self._averages[name] for name in weights], list(weights.values()), share)
        self._steps = trainer.global_step

    @contextmanager
    def applied(self, model: SegmenterModel) -> Iterator[None]:
        """The model has the averages meanwhile."""
        self._swap(model)
        try:
            yield
        finally:
            self._swap(model)

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Validate the averages."""
        assert isinstance(pl_module, SegmentationTask)
        self._swap(pl_module.model)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Go on with the weights."""
        assert isinstance(pl_module, SegmentationTask)
        self._swap(pl_module.model)

    @torch.no_grad()
    def _swap(self, model: SegmenterModel) -> None:
        """Exchange weights and averages in place: the optimiser and other processes hold on to the former."""
        for name, weight in model.trained_state().items():
            kept = weight.clone()
            weight.copy_(self._averages[name])
            self._averages[name].copy_(kept)


def _weights_of(task: lightning.LightningModule) -> dict[str, Tensor]:
    assert isinstance(task, SegmentationTask)
    return task.model.trained_state()
