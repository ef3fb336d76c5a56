"""The directory of a run: where its config, data set, checkpoints, metrics and segmenter lie."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from samtailor.errors import ConfigError
from samtailor.files import atomic, read_json, write_json, write_text


class Run:
    """One training on disk."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        """Holds everything of the run."""
        self.config_file = directory / "config.yaml"
        """Resolved config; `samtailor train --config` repeats it."""
        self.dataset_file = directory / "dataset.json"
        """Label space, splits and fingerprint of the data."""
        self.last_checkpoint = directory / "checkpoints" / "last.ckpt"
        """Where training goes on after an interruption."""
        self.segmenter_directory = directory / "segmenter"
        """The segmenter of the best validation."""
        self.history_file = directory / "metrics.csv"
        """Loss, learning rate, seconds and validation scores of every epoch, as CSV."""
        self.curves_file = directory / "curves.png"
        """Picture of the loss and the validation scores over the epochs."""

    def __str__(self) -> str:
        best = self.best_epoch()
        data = self.read_config()["data"] if self.is_there else "DATA"
        lines = [f"best validation   mean DSC {best['dsc']:.4f} in epoch {best['epoch']:.0f}"] if best else []
        lines += [
            f"segmenter         {self.segmenter_directory}",
            f"curves            {self.curves_file}",
            f"next              samtailor evaluate {self.directory} {data} --split test",
            f"                  samtailor predict {self.directory} INPUT --out OUT",
        ]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Plain values: where everything is, and the numbers of every epoch."""
        return {"directory": str(self.directory), "best_epoch": self.best_epoch(), "history": self.history()}

    def require_new(self) -> None:
        """Refuse a directory that holds something."""
        if self.directory.exists() and any(self.directory.iterdir()):
            raise ConfigError(
                f"out: expected a new or empty directory, found files in {self.directory}; name another one, or "
                f"continue the run with --resume {self.directory}"
            )

    def evaluation(self, split: str) -> Path:
        """Folder with the scores, tables and figures of a split."""
        return self.directory / "evaluation" / split

    @property
    def is_there(self) -> bool:
        """Whether the directory holds a run."""
        return self.config_file.is_file()

    def history(self) -> list[dict[str, float]]:
        """Numbers of each epoch; none before the first has ended.

        Returns:
            'epoch', 'loss', 'lr', 'seconds', 'waited', and where it was validated 'dsc' and 'dsc/CLASS'.
        """
        if not self.history_file.is_file():
            return []
        with self.history_file.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        return [{name: float(value) for name, value in row.items() if value} for row in rows]

    def write_history(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Save the rows of all epochs, under all names that occur in any."""
        names = list(dict.fromkeys(name for row in rows for name in row))
        with atomic(self.history_file) as scratch, scratch.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, names, restval="")
            writer.writeheader()
            writer.writerows(rows)

    def best_epoch(self) -> dict[str, float] | None:
        """The epoch of the best validation, the first of equals; None if there was no validation."""
        validated = [row for row in self.history() if "dsc" in row]
        return max(validated, key=lambda row: row["dsc"], default=None)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Save the resolved config, plain values by name."""
        write_text(self.config_file, yaml.safe_dump(dict(config), sort_keys=False))

    def read_config(self) -> dict[str, Any]:
        """The resolved config, plain values by name; refuses a directory that is no run."""
        if not self.is_there:
            raise ConfigError(
                f"{self.directory}: expected a run with {self.config_file.name}, found none; check the path"
            )
        content: dict[str, Any] = yaml.safe_load(self.config_file.read_text(encoding="utf-8"))
        return content

    def write_dataset(self, content: Mapping[str, Any]) -> None:
        """Save what the run was trained on."""
        write_json(self.dataset_file, content)

    def read_dataset(self) -> dict[str, Any]:
        """What the run was trained on: 'root', 'labels', 'splits', 'fingerprint'."""
        content: dict[str, Any] = read_json(self.dataset_file, dict, "name the directory of a finished training")
        return content
