"""Training samples: which slices, which window of a slice, in which order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from samtailor.data.cache import CachedCase
from samtailor.data.preprocessing import Preprocessing, Window, wider_side
from samtailor.distributed.world import World
from samtailor.errors import DataError, listed
from samtailor.labels import IGNORE
from samtailor.training.augment import Augmentation
from samtailor.training.settings import SamplingConfig

_MOST_LISTED = 1 << 22  # pixels of a slice: more than any slice of a volume has
_DRAWS = 64

Drawn = tuple[int, int]
"""A sample's index and the seed that decides everything random about it; a negative seed makes it padding."""

PADDING_TARGET = IGNORE - 1
"""Target of all pixels of an image that only gives every process as many as the others."""
PADDING_CASE = -1
"""Position of a case that only gives every process as many as the others."""


@dataclass(frozen=True)
class SliceReference:
    """One slice of one case."""

    case: CachedCase
    index: int


def choose_slices(cases: Sequence[CachedCase], empty: float, seed: int) -> list[SliceReference]:
    """All slices with foreground, and at most `empty` times as many without, drawn at random.

    Raises:
        DataError: If no slice has foreground: there is nothing to learn.
    """
    with_foreground: list[SliceReference] = []
    without: list[SliceReference] = []
    for case in cases:
        for index, present in enumerate(case.counts[:, 1:].sum(axis=1) > 0):
            (with_foreground if present else without).append(SliceReference(case, index))
    if not with_foreground:
        raise DataError(
            "training cases: expected labelled pixels of a class other than the background, found none in "
            f"{listed([case.name for case in cases]) or 'no case'}; check the masks with samtailor check"
        )
    kept = min(len(without), round(empty * len(with_foreground)))
    chosen = np.random.default_rng(seed).choice(len(without), kept, replace=False)
    return with_foreground + [without[i] for i in sorted(chosen)]


class EpochSampler(Sampler[Drawn]):
    """Draws samples in an order, and with seeds, that depend on nothing but the run's seed and the epoch.

    So an epoch is the same whether the run was resumed before it or within it or not, whatever the number of workers,
    and whatever the number of processes: each takes its part of every batch. The last batch is filled up if it has to
    be shared.
    """

    def __init__(
        self,
        samples: int,
        per_epoch: int | Sequence[int] | None,
        seed: int,
        batch_size: int = 1,
        here: World | None = None,
        first: tuple[int, int] = (0, 0),
    ) -> None:
        """Draw from a number of samples.

        Args:
            samples: Samples there are.
            per_epoch: Samples in an epoch, or in each of them; all if None.
            seed: The run's seed.
            batch_size: Samples per step of all processes together.
            here: The process that is drawn for, by default the only one.
            first: A number of epochs that are drawn from other samples, and their number; they stand behind the others.
        """
        self.samples = samples
        self.first_epochs, self.first_samples = first
        self.per_epoch = per_epoch or samples
        self.seed = seed
        self.batch_size = batch_size
        self.here = here or World()
        self.epoch = 0
        self.done = (0, 0)

    def go_on(self, epoch: int, batches: int) -> None:
        """Begin with an epoch, counted from 0, of which some batches are done."""
        self.epoch, self.done = epoch, (epoch, batches)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; the trainer calls this."""
        self.epoch = epoch

    def samples_in(self, epoch: int) -> int:
        """Samples of an epoch, counted from 0, for all processes together; behind the last one as many as in it."""
        if isinstance(self.per_epoch, int):
            return self.per_epoch
        return self.per_epoch[min(epoch, len(self.per_epoch) - 1)]

    def batches_in(self, epoch: int) -> int:
        """Batches of an epoch, counted from 0."""
        return -(-self.samples_in(epoch) // self.batch_size)

    def __len__(self) -> int:
        shared = self.batches_in(self.epoch) * self.batch_size // self.here.size
        return self.samples_in(self.epoch) if self.here.size == 1 else shared

    def __iter__(self) -> Iterator[Drawn]:
        epoch, batches = self.done
        is_begun = self.epoch == epoch
        return iter(self.drawn(self.epoch)[batches * (self.batch_size // self.here.size) if is_begun else 0 :])

    def drawn(self, epoch: int) -> list[Drawn]:
        """What is drawn in an epoch, counted from 0, by this process."""
        random = np.random.default_rng((self.seed, epoch))
        start, samples = (self.samples, self.first_samples) if epoch < self.first_epochs else (0, self.samples)
        count = self.samples_in(epoch)
        order = start + np.concatenate([random.permutation(samples) for _ in range(-(-count // samples))])[:count]
        seeds = random.integers(2**31, size=count)
        if self.here.size > 1:
            missing = -count % self.batch_size
            order = np.pad(order, (0, missing), mode="edge")
            seeds = np.pad(seeds, (0, missing), constant_values=-1)
            parts = (-1, self.here.size, self.batch_size // self.here.size)  # of every batch
            order, seeds = (drawn.reshape(parts)[:, self.here.rank].reshape(-1) for drawn in (order, seeds))
        return list(zip(order.tolist(), seeds.tolist(), strict=True))


def case_positions(cases: int, here: World) -> list[int]:
    """Positions of the cases that a process validates on; all have as many, `PADDING_CASE` fills up."""
    return World(here.rank, here.size).share([*range(cases), *[PADDING_CASE] * (-cases % here.size)])


@dataclass(frozen=True)
class Crops:
    """Where crops of slices lie, and how much they show.

    Attributes:
        rare: Probability that one is centred on a foreground class rather than anywhere.
        wide: Probability that one shows twice the field, or the whole slice where that is less.
    """

    rare: float
    wide: float = 0.0

    @classmethod
    def of(cls, config: SamplingConfig) -> Self:
        """Those of a resolved config."""
        assert not isinstance(config.rare, str)
        assert not isinstance(config.wide, str)
        return cls(config.rare, config.wide)

    def drawn(self, reference: SliceReference, label: NDArray[np.int16], field: int, seed: int) -> Window:
        """A random one of a slice."""
        random = np.random.default_rng(seed)
        side = field
        if self.wide and random.random() < self.wide:
            side = wider_side(field, label.shape)
        present = 1 + np.flatnonzero(reference.case.counts[reference.index, 1:])
        if len(present) and random.random() < self.rare:
            pixel = pixel_of(label, random.choice(present), random)
            y, x = pixel + random.integers(-side // 4, side // 4 + 1, size=2)
        else:
            y, x = random.integers((0, 0), label.shape)
        return Window.around(y, x, side, label.shape)


class SliceSamples(Dataset[tuple[Tensor, Tensor]]):
    """Augmented network inputs and targets of slices, or of groups of neighbouring slices."""

    def __init__(
        self,
        slices: Sequence[SliceReference],
        preprocessing: Preprocessing,
        augment: Augmentation,
        crops: Crops,
        group: int = 1,
    ) -> None:
        """Keep what samples are made of; without a field there are no crops, but whole slices.

        Of a group the drawn slice is in the middle; the volume's first and last ones are repeated.
        """
        self.group = group
        self.slices = slices
        self.preprocessing = preprocessing
        self.augment = augment
        self.crops = crops

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, drawn: Drawn) -> tuple[Tensor, Tensor]:
        """Images (G, C, N, N) and targets (G, N, N) of a drawn sample, a group of G neighbouring slices."""
        index, seed = drawn[0], max(0, drawn[1])
        reference = self.slices[index]
        case, labels = reference.case, label_of(reference.case)
        window = self._window(reference, np.asarray(labels[reference.index]), seed)
        first = reference.index - self.group // 2
        group = [
            self.augment(
                self.preprocessing.input_of(self.preprocessing.slice_of(case.image, i), window),
                self.preprocessing.target_of(np.asarray(labels[i]), window),
                seed,
            )
            for i in np.clip(range(first, first + self.group), 0, len(labels) - 1)
        ]
        images, targets = zip(*group, strict=True)
        return torch.stack(images), target_or_padding(torch.stack(targets), drawn)

    def _window(self, reference: SliceReference, label: NDArray[np.int16], seed: int) -> Window:
        """Window of the slice: all of it, or a random crop."""
        field = self.preprocessing.field
        return Window(0, 0, max(label.shape)) if field is None else self.crops.drawn(reference, label, field, seed)


def pixel_of(label: NDArray[np.int16], wanted: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Row and column of a pixel of a class that occurs, each equally likely.

    Listing the pixels of a scene takes a second for every crop; drawing some until one is of the class takes none.
    """
    if label.size > _MOST_LISTED:
        for _ in range(_DRAWS):
            drawn = random.integers(label.shape, size=(256, 2))
            hits: NDArray[np.int64] = drawn[label[drawn[:, 0], drawn[:, 1]] == wanted]
            if len(hits):
                return hits[0]  # type: ignore[no-any-return]
    pixels = np.argwhere(label == wanted)
    return pixels[random.integers(len(pixels))]  # type: ignore[no-any-return]


class JoinedSamples(Dataset[Any]):
    """The samples of one kind, and behind them those of another."""

    def __init__(self, first: Any, second: Any) -> None:
        """Keep both."""
        self.first = first
        self.second = second

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def __getitem__(self, drawn: Drawn) -> Any:
        """The drawn sample."""
        index, seed = drawn
        return self.first[drawn] if index < len(self.first) else self.second[index - len(self.first), seed]


def target_or_padding(target: Tensor, drawn: Drawn) -> Tensor:
    """The target of a drawn sample; `PADDING_TARGET` everywhere if it is padding."""
    return target if drawn[1] >= 0 else torch.full_like(target, PADDING_TARGET)


def label_of(case: CachedCase) -> NDArray[np.int16]:
    """Label of a case that is known to have one, (S, H, W)."""
    if case.label is None:
        raise DataError(f"{case.name}: expected a label file, found none; add it, or take the case out of the split")
    return case.label


def class_shares(slices: Sequence[SliceReference]) -> NDArray[np.float64]:
    """Share of each class among the labelled pixels of slices as `choose_slices` gives them, (K,)."""
    counts = np.sum([s.case.counts[s.index] for s in slices], axis=0)
    return counts / max(counts.sum(), 1)  # type: ignore[no-any-return]


def balancing_weights(shares: NDArray[np.float64], largest: float = 50.0) -> Tensor:
    """Class weights, (K,): root of the inverse share, 1 for the commonest class, at most `largest`."""
    weights = np.sqrt(shares.max() / np.maximum(shares, 1e-12))
    return torch.tensor(np.minimum(weights, largest), dtype=torch.float32)
