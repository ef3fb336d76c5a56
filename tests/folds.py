"""A cross-validation on disk whose segmenters have learned nothing, each something else."""

from __future__ import annotations

from pathlib import Path

import torch

from samtailor.data.dataset import open_dataset
from samtailor.data.intensity import CTWindow, Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base
from samtailor.recipes import LoRA
from samtailor.runs import CrossValidation
from samtailor.training.settings import TrainConfig


def untrained_folds(directory: Path, base: Base, data: Path, count: int = 2) -> CrossValidation:
    """Runs of all folds of a labelled folder, as if they were trained."""
    folds = CrossValidation(directory)
    for fold in range(count):
        run, dataset = folds.run(fold), open_dataset(data, fold, folds=count)
        channels = len(dataset.channels)
        preprocessing = Preprocessing(CTWindow() if channels == 1 else Range(), 32, None, channels)
        torch.manual_seed(fold)
        model = SegmenterModel.create(base.name, LoRA(rank=2), dataset.labels, preprocessing)
        with torch.no_grad():  # far from undecided
            for parameter in model.trained_state().values():
                parameter.add_(0.3 * torch.randn_like(parameter))
        model.save(run.segmenter_directory)
        config = TrainConfig(data=str(data), out=str(run.directory), base=base.name, epochs=1, fold=fold, folds=count)
        run.write_config(config.to_plain())
        splits = {split: list(names) for split, names in dataset.splits.items()}
        content = {"root": str(data), "labels": dataset.labels.to_json(), "splits": splits, "fingerprint": ""}
        run.write_dataset(content)
        run.write_history([{"epoch": 1, "loss": 1.0, "dsc": 0.1 * fold}])
    return folds
