"""One fit of a comparison: what is fitted, for how long, where; and a cache that no other fit has filled."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from samtailor.data.dataset import Dataset
from samtailor.files import cache_home
from samtailor.settings import Device, Split


@dataclass(frozen=True)
class Job:
    """One fit.

    Attributes:
        folder: The labelled folder, every case in a split.
        out: Where everything of the fit goes.
        minutes: Wall-clock time that it has, from opening the data to saved weights.
        seed: Of everything random.
        base: Base model of SamTailor's own methods.
        device: Where networks run.
        split: Cases that are scored.
    """

    folder: Dataset
    out: Path
    minutes: float
    seed: int
    base: str
    device: Device
    split: Split

    @property
    def seconds(self) -> float:
        """The time in seconds."""
        return 60 * self.minutes


@contextmanager
def own_cache(folder: Path) -> Iterator[None]:
    """An empty cache but for the weights, so that every fit pays for its slices and embeddings."""
    home, before = cache_home(), os.environ.get("SAMTAILOR_HOME")
    folder.mkdir(parents=True)
    (folder / "weights").symlink_to((home / "weights").resolve())
    os.environ["SAMTAILOR_HOME"] = str(folder.resolve())
    try:
        yield
    finally:
        if before is None:
            del os.environ["SAMTAILOR_HOME"]
        else:
            os.environ["SAMTAILOR_HOME"] = before
        shutil.rmtree(folder, ignore_errors=True)
