"""A labelled folder as a data set of torch: for a training loop of one's own."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from samtailor.data.cache import SliceCache
from samtailor.data.dataset import Dataset as LabelledFolder
from samtailor.data.dataset import open_dataset
from samtailor.data.preprocessing import Preprocessing
from samtailor.errors import ConfigError, counted
from samtailor.labels import LabelSpace
from samtailor.settings import AnyPath, Index, Seed, Split, checked
from samtailor.training.augment import Augmentation
from samtailor.training.resolve import preprocessing_of, resolve
from samtailor.training.samples import Crops, SliceReference, SliceSamples, choose_slices, label_of
from samtailor.training.settings import AugmentConfig, SamplingConfig, TrainConfig


class LabelledSamples(Dataset[tuple[Tensor, Tensor]]):
    """Slices of a split, preprocessed as for training: image (C, N, N) in [0, 1] and class indices (N, N).

    Pixels of the class index -1 count nowhere. Where crops are taken, and with augmentation, a sample is drawn anew
    each time, by torch's random numbers; without, it is always the same.

    Attributes:
        config: The training that these samples are made for, everything decided.
        folder: The labelled folder.
    """

    def __init__(self, config: TrainConfig, folder: LabelledFolder, split: Split, augment: bool) -> None:
        """Prepare, or find in the cache, the cases of a split; `config` must be resolved."""
        self.config = config
        self.folder = folder
        cache = SliceCache(folder.labels, self.preprocessing)
        cases = [cache.load(files) for files in folder.split(split)]
        if split == "train":
            slices = choose_slices(cases, config.sampling.empty, config.seed)
        else:
            slices = [SliceReference(case, index) for case in cases for index in range(len(label_of(case)))]
        assert config.sampling.image_size is not None
        changes = config.augment if augment else AugmentConfig(flip="none", affine=0, rotate=0, intensity=0)
        augmentation = Augmentation(changes, config.sampling.image_size)
        self._samples = SliceSamples(slices, self.preprocessing, augmentation, Crops.of(config.sampling))

    @property
    def labels(self) -> LabelSpace:
        """The classes, with ids and colours."""
        return self.folder.labels

    @property
    def preprocessing(self) -> Preprocessing:
        """What is done to an image before the network."""
        return preprocessing_of(self.config, self.folder.channel_choice)

    def __len__(self) -> int:
        """Slices of the split; pictures have one each."""
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Image (C, N, N) and target (N, N) of a slice."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"expected a sample from 0 to {len(self) - 1}, found {index}")
        images, targets = self._samples[index % len(self), int(torch.randint(2**31, ()))]
        return images[0], targets[0]

    def __repr__(self) -> str:
        samples, size = counted(len(self), "sample"), self.config.sampling.image_size
        return f"LabelledSamples({self.config.data}, {samples} of {size} pixels, {len(self.labels)} classes)"


@checked
def dataset(
    data: AnyPath,
    split: Split = "train",
    base: str = "lite-medsam",
    sampling: SamplingConfig | None = None,
    augment: AugmentConfig | bool | None = None,
    fold: Index | None = None,
    bands: str | None = None,
    seed: Seed = 0,
) -> LabelledSamples:
    """A labelled folder as a data set of torch, for a training loop of your own.

    Args:
        data: Labelled folder, as for `samtailor.train`.
        split: Whose cases: 'train', 'val' or 'test'. Of the training's volumes not all slices without a class are taken
            (`sampling.empty`).
        base: Base model that it is for, a name of the zoo: the sizes it takes.
        sampling: Size of the network's input, crops; by default as for a training.
        augment: Whether images are changed at random, or how; by default as in a training those of 'train' are, and no
            others. Corrupted copies (`augment.corrupt`) are not among the samples.
        fold: Entry of splits_final.json, or one of five folds where the folder has no such file; by default its own
            splits.
        bands: Which bands of pictures with more than three are used, as for `samtailor.train`.
        seed: Which slices without a class are taken.

    Returns:
        The samples; `Segmenter.new` makes a segmenter for them.

    Raises:
        SamTailorError: If the folder or a setting is not as expected.
    """
    folder = open_dataset(Path(data), fold, bands=bands).with_default_split()
    if not folder.splits.get(split):
        raise ConfigError(f"split: expected one of {', '.join(folder.splits)}, which {data} has; found '{split}'")
    is_augmented = split == "train" if augment is None else augment is not False
    unchanged = AugmentConfig(flip="none", affine=0, intensity=0)
    usual = AugmentConfig() if is_augmented else unchanged
    config = TrainConfig(
        data=data,
        out="",
        base=base,
        fold=fold,
        bands=bands,
        seed=seed,
        sampling=sampling or SamplingConfig(),
        augment=augment if isinstance(augment, AugmentConfig) else usual,
    )
    return LabelledSamples(resolve(config, folder), folder, split, is_augmented)
