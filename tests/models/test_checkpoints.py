"""Reading weights: never by unpickling, strictly."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from samtailor.errors import WeightsError
from samtailor.models.checkpoints import read_state


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    file = tmp_path / "evil.pth"
    torch.save({"model": Path("anything")}, file)
    with pytest.raises(WeightsError, match="expected a PyTorch file of named tensors"):
        read_state(file)
