"""A run that is trained in a second: one epoch of a small network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from samtailor.models.zoo import Base
from samtailor.recipes import LoRA
from samtailor.runs import Run
from samtailor.training.settings import SamplingConfig, TrainConfig
from samtailor.training.train import train


def small_run(data: Path, out: Path, base: Base, **settings: Any) -> Run:
    """A LoRA run of one epoch; further settings as of a training."""
    config = TrainConfig(
        data=str(data),
        out=str(out),
        base=base.name,
        recipe=LoRA(rank=2),
        epochs=1,
        batch_size=4,
        sampling=SamplingConfig(image_size=32),
        device="cpu",
        **settings,
    )
    run = train(**vars(config))
    assert isinstance(run, Run)
    return run
