"""What came of segmenting many files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command line reads this before it knows whether anything is counted
    from samtailor.inference.volumes import CaseVolumes


@dataclass(frozen=True)
class Failure:
    """An image that could not be segmented.

    Attributes:
        file: The image.
        reason: What was wrong and how to fix it.
    """

    file: Path
    reason: str


@dataclass(frozen=True)
class PredictReport:
    """What came of a prediction.

    Attributes:
        written: Label files.
        failures: Images that could not be segmented.
        skipped: Label files that were there already.
        out: Folder of the results.
        volumes: What the classes take of each image that was written, if that was asked for.
    """

    written: tuple[Path, ...]
    failures: tuple[Failure, ...]
    skipped: tuple[Path, ...] = ()
    out: Path = Path()
    volumes: tuple[CaseVolumes, ...] = ()

    @property
    def exit_code(self) -> int:
        """1 if some images could not be segmented."""
        return 1 if self.failures else 0

    @property
    def complaint(self) -> str:
        """What failed and why; empty if nothing did."""
        lines = [f"  {one.file}: {one.reason}" for one in self.failures]
        return "\n".join([f"{len(lines)} failed:", *lines]) if lines else ""

    def __str__(self) -> str:
        there = f", {len(self.skipped)} were there" if self.skipped else ""
        return f"{len(self.written)} written to {self.out}{there}"
