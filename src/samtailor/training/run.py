"""The directory of a run: where its config, data set, checkpoints, metrics and segmenter lie."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser

from samtailor.data.formats.atomic import atomic
from samtailor.errors import ConfigError
from samtailor.models.segmenter import Segmenter
from samtailor.training.config import TrainConfig


@dataclass(frozen=True)
class Run:
    """One training on disk.

    Attributes:
        directory: Holds everything of the run.
    """

    directory: Path

    @property
    def config_file(self) -> Path:
        """Resolved config; `samtailor train --config` repeats it."""
        return self.directory / "config.yaml"

    @property
    def dataset_file(self) -> Path:
        """Label space, splits and fingerprint of the data."""
        return self.directory / "dataset.json"

    @property
    def last_checkpoint(self) -> Path:
        """Where training goes on after an interruption."""
        return self.directory / "checkpoints" / "last.ckpt"

    @property
    def segmenter_directory(self) -> Path:
        """The segmenter of the best validation."""
        return self.directory / "segmenter"

    def require_new(self) -> None:
        """Refuse a directory that holds something.

        Raises:
            ConfigError: If there are files in it.
        """
        if self.directory.exists() and any(self.directory.iterdir()):
            raise ConfigError(
                f"out: expected a new or empty directory, found files in {self.directory}; name another one, or "
                f"continue the run with --resume {self.directory}"
            )

    def segmenter(self) -> Segmenter:
        """The fitted segmenter, in evaluation mode."""
        return Segmenter.load(self.segmenter_directory)

    def write_config(self, config: TrainConfig) -> None:
        """Save the resolved config."""
        with atomic(self.config_file) as scratch:
            scratch.write_text(yaml.safe_dump(asdict(config), sort_keys=False))

    def read_config(self) -> TrainConfig:
        """The resolved config.

        Raises:
            ConfigError: If there is none: the directory is not a run.
        """
        if not self.config_file.is_file():
            raise ConfigError(
                f"{self.directory}: expected a run with {self.config_file.name}, found none; check the path"
            )
        parser = ArgumentParser(exit_on_error=False)
        parser.add_class_arguments(TrainConfig, "run")
        content = {"run": yaml.safe_load(self.config_file.read_text())}
        config: TrainConfig = parser.instantiate(parser.parse_object(content)).run
        return config

    def write_dataset(self, content: dict[str, Any]) -> None:
        """Save what the run was trained on."""
        with atomic(self.dataset_file) as scratch:
            scratch.write_text(json.dumps(content, indent=1))

    def read_dataset(self) -> dict[str, Any]:
        """What the run was trained on: 'root', 'labels', 'splits', 'fingerprint'."""
        content: dict[str, Any] = json.loads(self.dataset_file.read_text())
        return content
