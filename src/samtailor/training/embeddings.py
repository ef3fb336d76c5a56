"""What the frozen part of the image encoder gives, computed once: all of the embedding, or the first blocks' tokens."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from samtailor.data.cache import CachedCase
from samtailor.distributed.collectives import make_once
from samtailor.errors import ConfigError
from samtailor.files import atomic, regular, reserve, write_text
from samtailor.inference.predictor import Piece, Predictor, unpack
from samtailor.models.class_aware import Features
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.training.samples import Drawn, SliceReference, label_of, target_or_padding
from samtailor.version import VERSION


def case_windows(case: CachedCase, model: SegmenterModel, slices: Sequence[int] | None = None) -> list[Piece]:
    """Every window of a case, or of some of its slices, in the order in which prediction visits them."""
    windows = model.preprocessing.windows(*case.image.shape[2:])
    return [Piece(s, window) for s in (range(len(case.image)) if slices is None else slices) for window in windows]


class EmbeddingCache:
    """Image embeddings on disk in half precision.

    Keyed by all that they depend on: the slices as the network sees them, the windows, the size of its input, the base
    and its weights, the frozen blocks, and the version of this library, which computes them. Not by labels, nor by
    anything that is trained: corrected masks or another number of classes find what is there.
    """

    def __init__(self, predictor: Predictor, directory: Path) -> None:
        """Use a predictor whose segmenter says what is frozen (`ClassAwareSam.frozen_steps`)."""
        self.predictor = predictor
        self.directory = directory

    def load(self, case: CachedCase, pieces: Sequence[Piece]) -> NDArray[np.float16]:
        """Packed frozen maps of windows of a case, (windows, N), memory-mapped, computed if missing or broken."""
        path = self.directory / f"{self._key(case, pieces)}.npy"
        known = _open(path)
        if known is None:
            self._compute(case, pieces, path)
            known = _open(path)
        if known is None:
            raise OSError(f"{path}: cannot be read back after writing it; check the disk")
        return known

    def load_all(self, work: Sequence[tuple[CachedCase, Sequence[Piece]]], what: str) -> list[NDArray[np.float16]]:
        """`load` of windows of several cases; several processes compute each a part of them."""
        return make_once(lambda one: self.load(*one), work, what)

    def _key(self, case: CachedCase, pieces: Sequence[Piece]) -> str:
        model = self.predictor.model
        settings = {
            "version": VERSION,
            "base": (model.base.base, model.base.sha256, model.mean.tolist(), model.std.tolist()),
            "frozen": model.network.frozen_steps,
            "image_size": model.preprocessing.image_size,
            **({"neighbours": True} if model.preprocessing.neighbours else {}),
            "windows": [(piece.slice, piece.window.y, piece.window.x, piece.window.side) for piece in pieces],
            "slices": (case.image.shape, str(case.image.dtype)),
            **({"fine_features": True} if model.network.fine_features else {}),
        }
        digest = hashlib.blake2b(json.dumps(settings).encode(), digest_size=20)
        digest.update(np.ascontiguousarray(case.image).view(np.uint8).data)
        return digest.hexdigest()

    def _compute(self, case: CachedCase, pieces: Sequence[Piece], path: Path) -> None:
        model, done = self.predictor.model, 0
        length = sum(map(prod, model.network.frozen_shapes(model.preprocessing.image_size)))
        with atomic(path) as scratch:
            embeddings = np.lib.format.open_memmap(scratch, "w+", np.float16, (len(pieces), length))
            with scratch.open("r+b") as file:
                reserve(file, scratch.stat().st_size, path)
            for batch in self.predictor.embeddings(case.image, list(pieces)):
                if not np.isfinite(batch).all():
                    raise ConfigError(
                        "cache_frozen: expected outputs of frozen blocks that half precision holds, found larger ones "
                        f"in case {case.name}; leave it out for this base"
                    )
                embeddings[done : done + len(batch)] = batch
                done += len(batch)
            embeddings.flush()
            write_text(path.with_suffix(".crc32"), str(_checksum(embeddings)))


def _checksum(embeddings: NDArray[np.float16]) -> int:
    return zlib.crc32(embeddings.reshape(-1).view(np.uint8).data)


def _open(path: Path) -> NDArray[np.float16] | None:
    """The embeddings memory-mapped, or None if they are missing or altered."""
    try:
        embeddings = np.load(regular(path), mmap_mode="r")
        sound = _checksum(embeddings) == int(regular(path.with_suffix(".crc32")).read_text(encoding="utf-8"))
    except (OSError, ValueError, EOFError):  # ValueError: a damaged header or a truncated file
        return None
    return embeddings if sound else None


class EmbeddingSamples(Dataset[tuple[Features, Tensor]]):
    """Frozen maps and targets of the windows of slices; the same in every epoch."""

    def __init__(self, slices: Sequence[SliceReference], model: SegmenterModel, cache: EmbeddingCache) -> None:
        """Compute, or find, the embeddings of all windows."""
        self.preprocessing = model.preprocessing
        self.shapes = model.network.frozen_shapes(model.preprocessing.image_size)
        chosen: dict[str, list[SliceReference]] = {}
        for reference in slices:
            chosen.setdefault(reference.case.name, []).append(reference)
        work = [
            (references[0].case, case_windows(references[0].case, model, [r.index for r in references]))
            for references in chosen.values()
        ]
        self.rows = [
            (case, piece, embeddings, i)
            for (case, pieces), embeddings in zip(work, cache.load_all(work, "embeddings (train)"), strict=True)
            for i, piece in enumerate(pieces)
        ]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, drawn: Drawn) -> tuple[Features, Tensor]:
        """What `Segmenter.encode_rest` takes, each without its batch, and target (N, N) of a drawn sample."""
        case, piece, embeddings, i = self.rows[drawn[0]]
        packed = torch.from_numpy(embeddings[i][None].astype(np.float32))
        target = self.preprocessing.target_of(np.asarray(label_of(case)[piece.slice]), piece.window)
        return tuple(feature[0] for feature in unpack(packed, self.shapes)), target_or_padding(target, drawn)
