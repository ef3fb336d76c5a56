"""Checkpoints that are whole or not there: written beside and renamed, read without unpickling."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from samtailor.files import atomic


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint files, safe against a kill at any moment."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write to a temporary name, flush to disk, rename."""
        with atomic(Path(path)) as scratch, scratch.open("wb") as stream:
            torch.save(checkpoint, stream)
            stream.flush()
            os.fsync(stream.fileno())
