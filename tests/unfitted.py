"""A segmenter with random weights that yet tells images apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from samtailor.data.preprocessing import Preprocessing
from samtailor.labels import LabelSpace
from samtailor.models.practice import Practice
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base
from samtailor.recipes import HeadOnly
from tests.generate import LABELS


def unfitted(
    base: Base, preprocessing: Preprocessing, practice: Practice, folder: Path, labels: LabelSpace = LABELS
) -> Path:
    """Save one whose classes are all found, by offsets of their logits."""
    torch.manual_seed(1)
    model = SegmenterModel.create(base.name, HeadOnly(), labels, preprocessing, practice=practice).eval()
    with torch.no_grad():
        for value in model.trained_state().values():
            value += 0.1 * torch.randn(value.shape)
        channels = preprocessing.channels if model.network.is_projected else 3
        logits = model(torch.rand(1, channels, 32, 32))
    # A network with random weights says one class everywhere: the offsets make all of them as likely.
    model.practice = replace(practice, bias=tuple((-logits.mean(dim=(0, 2, 3))).tolist()))
    model.save(folder)
    return folder
