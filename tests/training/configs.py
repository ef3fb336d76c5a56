"""Training settings in tests."""

from __future__ import annotations

from dataclasses import is_dataclass, replace
from typing import Any

from samtailor.training.settings import TrainConfig


def changed(config: TrainConfig, **settings: Any) -> TrainConfig:
    """The settings with some of them changed; those of the recipe stand beside the others, as in a file."""
    groups = {name: value for name, value in settings.items() if is_dataclass(value)}
    flat = {name: value for name, value in settings.items() if name not in groups}
    return replace(TrainConfig.from_plain({**config.to_plain(), **flat}, "test"), **groups)
